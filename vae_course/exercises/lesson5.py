"""Lesson 5, scVI: what was recorded of scvi-tools, and what goes wrong."""

import json
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.distributions import kl_normal, kl_standard_normal, scvi_kl
from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.engine import Exercise
from vae_course.exercises.lesson2 import (
    NO_MODULE,
    _astray,
    _between,
    _explain_module,
    _parameters,
    _shapes,
    _teacher,
    _tensor_from,
)
from vae_course.nn import DecoderSCVI, FCLayers

RECORDED = files("vae_course") / "_data"


def recorded_outputs(
    dispersion: str,
) -> tuple[dict[str, Any], dict[str, Tensor], tuple[Tensor, ...], dict[str, Tensor]]:
    """Return what scvi-tools 1.4.2 once computed from given weights and counts, for one dispersion mode.

    Parameters
    ----------
    dispersion
        "gene", "gene-batch", "gene-label" or "gene-cell".

    Returns
    -------
    options
        Of the `VAE` that takes the weights.
    weights
        scvi-tools' state dict.
    inputs
        Counts (cells, genes), batch_index and labels (cells,).
    outputs
        px_scale, theta, px_rate, px_dropout, qz_m, qz_v, z, ql_m, ql_v, library, kl_global, kl_local and
        log_likelihood, one row per cell. z and library are one draw.
    """
    with (RECORDED / "scvi_tools_1_4_2.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        case = {
            name.removeprefix(f"{dispersion}."): a for name, a in arrays.items() if name.startswith(f"{dispersion}.")
        }
        inputs = tuple(torch.from_numpy(arrays[name]) for name in ("counts", "batch_index", "labels"))
    options, names = json.loads(str(case.pop("options"))), case.pop("names")
    shapes = [json.loads(str(shape)) for shape in case.pop("shapes")]
    parts = torch.from_numpy(case.pop("weights")).split([int(np.prod(shape)) for shape in shapes])
    weights = {str(name): part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
    return options, weights, (inputs[0].float(), *inputs[1:]), {name: torch.from_numpy(a) for name, a in case.items()}


def recorded_comparison() -> dict[str, Any]:
    """Return what benchmarks/paired_comparison.py recorded of our model and scvi-tools' on the bundled cells.

    "pairs" holds the figures of every seed, "summary" their means and paired differences, "settings" and "versions"
    how they were made.
    """
    return json.loads((RECORDED / "comparison_pbmc.json").read_text(encoding="utf-8"))


# --------------------------------------------------------------------------------------------------------------------
# 5.1 and 5.2: the negative binomial, alone and with extra zeros
# --------------------------------------------------------------------------------------------------------------------


def nb_log_prob(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    """Return log NB(x), elementwise, in float64."""
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(theta / (theta + mu)) + x * torch.log(mu / (theta + mu))


def zinb_log_prob(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    """Return log ZINB(x), elementwise."""
    log_nb = nb_log_prob(x, mu, theta)
    zero = F.softplus(log_nb - zi_logits) - F.softplus(-zi_logits)  # an extra one, or one of the negative binomial
    return torch.where(x == 0, zero, log_nb - F.softplus(zi_logits))


def _nb_draws(seed: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Make a source of counts, and one of means and thetas, both of any shape."""
    generator = torch.Generator().manual_seed(seed)

    def counts(*shape: int) -> Tensor:
        return torch.randint(0, 6, shape, generator=generator).float()

    def positive(*shape: int) -> Tensor:
        return 0.3 + 4 * torch.rand(shape, generator=generator)

    return counts, positive


def _cases_of_nb() -> list[Case]:
    counts, positive = _nb_draws(0)

    def given(label: str, x: list[float], mu: list[float], theta: list[float]) -> Case:
        return Case(label, (torch.tensor(x), torch.tensor(mu), torch.tensor(theta)))

    return [
        given("five counts", [0.0, 3.0, 10.0, 1.0, 2.0], [2.5, 2.5, 0.5, 1.3, 4.0], [1.7, 1.2, 0.3, 5.0, 0.6]),
        Case("a theta for every gene", (counts(4, 3), positive(4, 3), positive(3))),
        Case("as many cells as genes", (counts(3, 3), positive(3, 3), positive(3))),
        Case("a single cell", (counts(1, 4), positive(1, 4), positive(4))),
        Case("a row of counts beside a column of means", (counts(4), positive(2, 1), positive())),
        Case("two samples of the mean for every cell", (counts(3, 4), positive(2, 3, 4), positive(4))),
        given("means far below 1", [1.0, 0.0, 2.0, 1.0], [1e-4, 1e-8, 1e-6, 1e-8], [5.0, 0.5, 2.0, 0.3]),
        given("a theta of 100,000", [7.0, 0.0, 12.0], [7.0, 3.0, 9.0], [1e5]),
        given("counts up to 100,000", [500.0, 1e5, 7e4, 0.0], [300.0, 1e5, 1e6, 1e6], [12.0, 3.0, 0.5, 20.0]),
        given("a theta of 0.0001", [0.0, 1.0, 50.0, 1e5], [1e6, 2.0, 40.0, 1e-8], [1e-4]),
        given("a theta of 100 million", [3.0, 0.0, 1.0, 1e5], [3.0, 1e6, 1e-8, 1e5], [1e8]),
    ]


def _hidden_nb(seed: int) -> list[Case]:
    counts, positive = _nb_draws(seed)
    n_cells, n_genes = (2 + int(counts()) for _ in range(2))
    return [
        Case(
            "other counts, means and thetas", (counts(n_cells, n_genes), positive(n_cells, n_genes), positive(n_genes))
        ),
        Case("another single cell", (counts(1, n_genes), positive(1, n_genes), positive(n_genes))),
        Case("counts in the hundreds", (100 * counts(n_cells, 3), 90 * positive(n_cells, 3), 20 * positive(3))),
        Case("a theta of many thousands", (counts(5), positive(5), 2e4 * positive(1))),
    ]


def _with_logits(cases: list[Case], seed: int) -> list[Case]:
    """Give each case logits of the counts' shape."""
    generator = torch.Generator().manual_seed(seed)
    logits = [1.5 * torch.randn(case.arguments[0].shape, generator=generator) for case in cases]
    return [Case(case.label, (*case.arguments, a)) for case, a in zip(cases, logits, strict=True)]


def _cases_of_zinb() -> list[Case]:
    cases = _with_logits(_cases_of_nb(), 1)
    zeros = (torch.zeros(4), torch.tensor([2.0, 0.5, 1e6, 1e6]), torch.tensor([1.7, 3.0, 400.0, 0.4]))
    counts = tuple(torch.tensor([[3.0, 1.0, 8.0, 20.0], [2.0, 0.5, 4.0, 30.0], [1.7, 3.0, 9.0, 0.4]]))
    extreme = torch.tensor([30.0, -30.0])
    one_for_all = (*cases[2].arguments[:3], torch.tensor(-0.4))
    return [
        *cases[:6],
        Case("one logit for all", one_for_all),
        Case("counts with logits of 30 and -30", (*counts, extreme.repeat(2))),
        Case("zeros with logits of 30 and -30", (*zeros, extreme.repeat(2))),
        *cases[6:],
    ]


def _hidden_zinb(seed: int) -> list[Case]:
    cases = _with_logits(_hidden_nb(seed), seed)
    x, mu, theta, logits = cases[0].arguments
    return [*cases, Case("logits between 10 and 30, and between -30 and -10", (x, mu, theta, _far_from_zero(logits)))]


def _far_from_zero(logits: Tensor) -> Tensor:
    return (10 * logits.sign() + 10 * logits).clamp(-30, 30)


def _wrong_entries(got: Tensor, want: Tensor) -> Tensor:
    return ~((got - want).abs() <= 1e-5 * want.abs().clamp(min=1))


def _explain_rounding(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell the rounding of float32 from other mistakes by its size, that of the gamma functions."""
    values, due = got["the result"].tensor, want["the result"].tensor
    x, mu, theta = (argument.double() for argument in case.arguments[:3])
    size = torch.lgamma(x + theta).abs() + torch.lgamma(x + 1) + (x + theta) * torch.log(x + theta + mu).abs()
    error, wrong = (values - due).abs(), _wrong_entries(values, due)
    if not wrong.any() or not (error[wrong] < 5e-7 * size.expand(due.shape)[wrong]).all():
        return None
    return (
        f"there numbers as large as {size.max().item():.0e} are subtracted from one another, of which float32 keeps "
        "seven digits, so the small rest is lost. Turn the arguments into float64 before anything else."
    )


def _explain_overflow(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values = got["the result"].tensor
    x, _, theta = case.arguments[:3]
    if values.isfinite().all() or max(x.max(), theta.max()) < 100:
        return None
    return (
        f"{int((~values.isfinite()).sum())} of {values.numel()} entries are not finite, because a number on the way "
        "is too large or too small for a float. Stay with logarithms from the start: lgamma, not the gamma function."
    )


def _explain_tiny_mean(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = got["the result"].tensor, want["the result"].tensor
    wrong, tiny = _wrong_entries(values, due), (case.arguments[1] < 1e-3).expand(due.shape)
    if not wrong.any() or (wrong & ~tiny).any():
        return None
    if not values.isfinite().all():
        return (
            "with a tiny mu its share of theta + mu is lost in rounding, as in 1 - p, and the logarithm is not finite. "
            "Compute that share directly, by a division."
        )
    return (
        f"{int(wrong.sum())} of {wrong.numel()} entries are wrong, all with a tiny mu. A small number that is added to "
        "it, or a clamp, is not small beside it."
    )


def _explain_above_zero(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    highest = got["the result"].tensor.max().item()
    if not highest > 1e-5:
        return None
    return f"a probability is at most 1, so its logarithm is never above 0; yours goes up to {highest:.4g}."


def _explain_large_logits(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = got["the result"].tensor, want["the result"].tensor
    if case.arguments[3].abs().max() < 20 or not _wrong_entries(values, due).any():
        return None
    return (
        "there pi rounds to 0 or 1, or 1 - pi keeps few digits, and neither a clamp nor a small number inside the "
        "logarithm gives the right value. Stay with the logarithms of pi and 1 - pi, which the logits give directly."
    )


def _explain_zeros(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell whether the zeros or the other counts are wrong."""
    values, due = got["the result"].tensor, want["the result"].tensor
    wrong, zero = _wrong_entries(values, due), (case.arguments[0] == 0).expand(due.shape)
    if wrong.any() and not (wrong & ~zero).any():
        return (
            "the counts above zero are right, and zeros are wrong. There are two ways to a zero, an extra one or one "
            "of the negative binomial, and their probabilities are added."
        )
    if wrong.any() and not (wrong & zero).any() and zero.any():
        return (
            "the zeros are right, and counts above zero are wrong. Such a count needs two things at once: no extra "
            "zero, and a draw of x from the negative binomial."
        )
    return None


def _nb_with(signs: tuple[float, ...], shift: float = 1) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Negative binomial with chosen signs of its five terms; (1, -1, -1, 1, 1) is right."""

    def answer(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
        x, mu, theta = x.double(), mu.double(), theta.double()
        terms = (
            torch.lgamma(x + theta),
            torch.lgamma(theta),
            torch.lgamma(x + shift),
            theta * torch.log(theta / (theta + mu)),
            x * torch.log(mu / (theta + mu)),
        )
        return sum(sign * term for sign, term in zip(signs, terms, strict=True) if sign)

    return answer


def _nb_in_float32(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(theta / (theta + mu)) + x * torch.log(mu / (theta + mu))


def _nb_with_epsilon(x: Tensor, mu: Tensor, theta: Tensor, eps: float = 1e-8) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_total = torch.log(theta + mu + eps)
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * (torch.log(theta + eps) - log_total) + x * (torch.log(mu + eps) - log_total)


def _nb_cast_too_late(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    log_choose = torch.lgamma((x + theta).double()) - torch.lgamma(theta.double()) - torch.lgamma((x + 1).double())
    p = mu.double() / (theta.double() + mu.double())
    return log_choose + theta.double() * torch.log1p(-p) + x.double() * torch.log(p)


def _nb_by_gamma(x: Tensor, mu: Tensor, theta: Tensor, log: Callable[[Tensor], Tensor]) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    gammas = [log(torch.exp(torch.lgamma(argument))) for argument in (x + theta, theta, x + 1)]
    rest = theta * torch.log(theta / (theta + mu)) + x * torch.log(mu / (theta + mu))
    return gammas[0] - gammas[1] - gammas[2] + rest


def _nb_by_product(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    choose = torch.exp(torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1))
    return torch.log(choose * (theta / (theta + mu)) ** theta * (mu / (theta + mu)) ** x)


def _nb_by_probabilities(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    return torch.distributions.NegativeBinomial(theta, probs=mu / (theta + mu)).log_prob(x)


def _nb_by_one_minus_p(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    p = theta / (theta + mu)
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(p) + x * torch.log(1 - p)


def _nb_swapped(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(mu / (theta + mu)) + x * torch.log(theta / (theta + mu))


def _nb_without_total(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(theta) + x * torch.log(mu)


def _nb_without_power(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    return _nb_with((1, -1, -1, 0, 1))(x, mu, theta) + torch.log(theta.double() / (theta.double() + mu.double()))


def _zinb_of(
    zero: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda log_pi, log_rest, log_nb: torch.logaddexp(
        log_pi, log_rest + log_nb
    ),
    count: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda log_pi, log_rest, log_nb: log_rest + log_nb,
    nb: Callable[[Tensor, Tensor, Tensor], Tensor] = nb_log_prob,
    logits: Callable[[Tensor], Tensor] = lambda a: a,
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Zero-inflated negative binomial with something else at zeros or above; the defaults are right."""

    def answer(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
        a = logits(zi_logits.double())
        parts = F.logsigmoid(a), F.logsigmoid(-a), nb(x, mu, theta)
        return torch.where(x == 0, zero(*parts), count(*parts))

    return answer


def _zinb_by_probabilities(
    x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor, *, to_pi: Callable = torch.sigmoid, eps: float = 0.0
) -> Tensor:
    pi, log_nb = to_pi(zi_logits), nb_log_prob(x, mu, theta)
    return torch.where(x == 0, torch.log(pi + (1 - pi) * torch.exp(log_nb) + eps), torch.log(1 - pi + eps) + log_nb)


def _zinb_of_shrunk_mean(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    return nb_log_prob(x, mu.double() * torch.sigmoid(-zi_logits.double()), theta)


# --------------------------------------------------------------------------------------------------------------------
# 5.3: the decoder
# --------------------------------------------------------------------------------------------------------------------

FC_ORDER = "the third argument of FCLayers is n_cat_list, the fourth n_layers: are yours in this order?"
PX = ("px_scale", "px_r", "px_rate", "px_dropout")


def _use_decoder(
    attempt: Callable,
    options: dict[str, Any],
    weights: dict[str, Tensor],
    dispersion: str,
    z: Tensor,
    library: Tensor,
    *codes: Tensor,
) -> dict[str, Any]:
    """Give the attempt weights and see what it makes of z, in both modes."""
    decoder = attempt(**options)
    if not isinstance(decoder, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {"its parameters": _parameters(decoder.state_dict()), "astray": _astray(decoder)}
    if found["its parameters"] != _parameters(weights):
        return found
    decoder.load_state_dict(weights)
    outputs = decoder.eval()(dispersion, z, library, *codes)
    if not isinstance(outputs, tuple | list) or len(outputs) != len(PX):
        return found | {"what it returns": _kind_of(outputs)}
    found["what it returns"] = "four things"
    found |= dict(zip(PX, outputs, strict=True))
    return found | _weights_reached(outputs, decoder) | _in_train_mode(decoder, dispersion, z, library, *codes)


def _kind_of(outputs: Any) -> str:
    if isinstance(outputs, tuple | list | dict):
        return f"a {type(outputs).__name__} of {len(outputs)}"
    return "a single tensor" if isinstance(outputs, Tensor) else f"something of type {type(outputs).__name__}"


def _weights_reached(outputs: Sequence[Any], decoder: nn.Module) -> dict[str, Any]:
    """Gradient of every parameter, of a sum in which each output has a weight of its own."""
    total = torch.zeros(())
    for start, output in zip((0.5, 0.7, 0.4, 0.6), outputs, strict=True):
        if isinstance(output, Tensor) and output.requires_grad:
            total = total + (output.flatten() * torch.linspace(start, 1.5, output.numel())).sum()
    named = dict(decoder.named_parameters())
    asked = {name: parameter for name, parameter in named.items() if parameter.requires_grad and total.requires_grad}
    reached = torch.autograd.grad(total, list(asked.values()), allow_unused=True, retain_graph=True) if asked else ()
    gradients = dict(zip(asked, reached, strict=True))
    return {f"the gradient of {name}": gradients.get(name) for name in named}


def _in_train_mode(decoder: nn.Module, dispersion: str, z: Tensor, library: Tensor, *codes: Tensor) -> dict[str, Any]:
    """Decode four times in train mode: with dropout, the result would change from pass to pass."""
    if len(z) == 1:
        return {}  # nothing to normalise over
    with torch.no_grad():
        passes = [decoder.train()(dispersion, z, library, *codes)[0] for _ in range(4)]
        means = [buffer for name, buffer in decoder.named_buffers() if name.endswith("running_mean")]
    if not all(isinstance(one, Tensor) and one.shape == passes[0].shape for one in passes):
        return {"passes in train mode": "no tensors"}
    return {"passes in train mode": torch.stack(passes), "the running means": torch.cat(means)}


def _examine_decoder(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    """Tell whether passes in train mode agree; if they do, the first one and the running means count."""
    passes = got["passes in train mode"].tensor if "passes in train mode" in got else None
    if passes is None or passes.dim() == 0 or len(passes) < 2:
        return dict(got)
    rest = {name: value for name, value in got.items() if name not in ("passes in train mode", "the running means")}
    if not torch.equal(passes, passes[:1].expand_as(passes)):
        return rest | {"passes in train mode": "differ"}
    in_train_mode = {"passes in train mode": "agree", "px_scale in train mode": passes[0]}
    return rest | in_train_mode | {"the running means": got.get("the running means")}


def _cases_of_decoder() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    z, library = torch.randn(6, 3, generator=generator), 0.3 + torch.rand(6, 1, generator=generator)
    batch, donor = torch.tensor([0, 2, 1, 0, 1, 2]), torch.tensor([[0], [1], [1], [0], [0], [1]])
    small = {"n_input": 3, "n_output": 4, "n_hidden": 5}
    square = torch.randn(4, 4, generator=generator)

    def case(label: str, options: dict[str, Any], dispersion: str, *inputs: Tensor) -> Case:
        return Case(label, (options, _teacher(DecoderSCVI, options, generator), dispersion, *inputs))

    return [
        case('the dispersion "gene"', small, "gene", z, library),
        case('the dispersion "gene-cell"', small, "gene-cell", z, library),
        case('the dispersion "gene-batch"', {**small, "n_cat_list": [3]}, "gene-batch", z, library, batch),
        case('the dispersion "gene-label"', {**small, "n_cat_list": [3]}, "gene-label", z, library, batch),
        case("two layers", {**small, "n_layers": 2}, "gene-cell", z, library),
        case("a covariate and two layers", {**small, "n_cat_list": [2], "n_layers": 2}, "gene-cell", z, library, donor),
        case("two covariates", {**small, "n_cat_list": [3, 2]}, "gene-cell", z, library, batch, donor),
        case("a covariate with a single category", {**small, "n_cat_list": [1]}, "gene", z, library, 0 * batch),
        case("as many cells and latents as genes", {**small, "n_input": 4}, "gene-cell", square, library[:4] + 1),
        case("a single cell", small, "gene-cell", z[:1], library[:1]),
        case("the default options", {"n_input": 3, "n_output": 4}, "gene-cell", z, library),
    ]


def _hidden_decoder(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_input, n_output, n_hidden = (_between(4, 7, generator) for _ in range(4))
    sizes = [_between(2, 4, generator) for _ in range(2)]
    codes = [torch.randint(n, (n_cells,), generator=generator) for n in sizes]

    def case(label: str, dispersion: str, *codes: Tensor, **options: Any) -> Case:
        options = {"n_input": n_input, "n_output": n_output, "n_hidden": n_hidden, **options}
        z, library = (torch.randn(n_cells, n, generator=generator) for n in (n_input, 1))
        return Case(label, (options, _teacher(DecoderSCVI, options, generator), dispersion, z, library + 1, *codes))

    return [
        case("other numbers of latents and genes", "gene"),
        case("covariates and two layers", "gene-cell", *codes, n_cat_list=sizes, n_layers=2),
        case("another covariate", "gene-label", codes[0], n_cat_list=sizes[:1]),
    ]


def _explain_heads(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Name the head, or the trunk, whose parameters have other names than those that are due, and no others."""
    mine, due = (_shapes(values["its parameters"].text) for values in (got, want))
    if not mine or got["astray"].text != "nothing" or mine.keys() == due.keys():
        return None  # explained for all modules alike
    heads = _parts(due)
    for head in heads:
        if not any(name.startswith(f"{head}.") for name in mine):
            return f"`{head}` is missing, or has another name; yours are {', '.join(_parts(mine))}."
    missing, superfluous = sorted(due.keys() - mine.keys()), sorted(mine.keys() - due.keys())
    for head in heads:
        of_head = [[name for name in names if name.startswith(f"{head}.")] for names in (missing, superfluous)]
        if all(of_head):
            name, yours = of_head[0][0], of_head[1][0]
            ask = (
                "Is there an nn.Sequential too many?"
                if yours.count(".") > name.count(".")
                else "Are its parts in order?"
            )
            return f"in `{head}` the parameter `{name}` is due; yours is called `{yours}`. {ask}"
    if superfluous:
        return f"there is a `{superfluous[0]}`, which should not be; due are {', '.join(heads)}."
    return f"`{missing[0]}`, of shape {due[missing[0]]}, is missing."


def _parts(names: Iterable[str]) -> list[str]:
    return sorted({name.partition(".")[0] for name in names})


def _explain_decoder(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if (returned := got["what it returns"].text) != "four things":
        return f"`forward` should return four things, {', '.join(PX)}; yours returns {returned}."
    if want["px_r"].kind == "nothing" and got["px_r"].kind != "nothing":
        return 'the second result, px_r, should be None here: its head is asked only for the dispersion "gene-cell".'
    found = {name: got[name].tensor for name in PX}
    sums = found["px_scale"].sum(dim=-1)
    wrong = sums[~((sums - 1).abs() <= 1e-4)]
    if len(wrong):
        return (
            f"each row of px_scale holds shares of the genes and should sum to 1; yours sums to {wrong[0].item():.4g}."
        )
    ratio, due = (values["px_rate"].tensor / values["px_scale"].tensor for values in (got, want))
    wrong = ~torch.isclose(ratio, due, rtol=1e-4)
    if wrong.any() and torch.allclose(found["px_scale"], want["px_scale"].tensor, atol=1e-4):
        cell, gene = torch.nonzero(wrong)[0].tolist()
        return (
            f"the shares are right, px_rate is not: with a log-library of {case.arguments[4][cell].item():.4g} it "
            f"should be {due[cell, gene].item():.4g} times the share; yours is {ratio[cell, gene].item():.4g} times."
        )
    if got.get("passes in train mode", want.get("passes in train mode")) != want.get("passes in train mode"):
        return "two passes in train mode differ: the decoder has no dropout in its layers."
    outputs = [name for name in PX if got[name].tensor is not None and want[name].tensor is not None]
    right = all(torch.allclose(got[name].tensor, want[name].tensor, atol=1e-4) for name in outputs)
    means, due = (values.get("the running means", Value("")).tensor for values in (got, want))
    if right and means is not None and due is not None and not torch.allclose(means, due, atol=1e-4):
        return (
            "in train mode the running means of the batch normalisation move more than once in a pass: px_decoder runs "
            "once, and all heads read what it returned."
        )
    return None


def _decoder(
    *,
    shares: Callable[[], nn.Module] = lambda: nn.Softmax(dim=-1),
    trunk: Mapping[str, Any] | None = None,
    rate: Callable[[Tensor, Tensor], Tensor] = lambda scale, library: torch.exp(library) * scale,
    r: Callable[[Tensor], Tensor] = lambda px_r: px_r,
    logits: Callable[[Tensor], Tensor] = lambda px_dropout: px_dropout,
    modes: tuple[str, ...] = ("gene-cell",),
    order: tuple[int, ...] = (0, 1, 2, 3),
    bias: bool = True,
    covariates: bool = True,
    pick: Callable[..., tuple] = tuple,
) -> type[nn.Module]:
    """Make a decoder with something wrong in it; the defaults are right."""

    class Decoder(DecoderSCVI):
        def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
            super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
            options = {"n_cat_list": n_cat_list, "n_layers": n_layers, "n_hidden": n_hidden, "dropout_rate": 0}
            self.px_decoder = FCLayers(n_input, n_hidden, **{**options, **(trunk or {})})
            self.px_scale_decoder = nn.Sequential(nn.Linear(n_hidden, n_output, bias), shares())

        def forward(self, dispersion, z, library, *cat_list) -> tuple:
            hidden = self.px_decoder(z, *cat_list) if covariates else self.px_decoder(z)
            scale = self.px_scale_decoder(hidden)
            px_r = r(self.px_r_decoder(hidden)) if dispersion in modes else None
            results = scale, px_r, rate(scale, library), logits(self.px_dropout_decoder(hidden))
            return pick(results[i] for i in order)

    return Decoder


class _BareScaleDecoder(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_scale_decoder = nn.Linear(n_hidden, n_output)


class _DecoderWithoutTrunk(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        del self.px_decoder
        self.px_scale_decoder[0] = nn.Linear(n_input, n_output)
        self.px_r_decoder = nn.Linear(n_input, n_output)
        self.px_dropout_decoder = nn.Linear(n_input, n_output)


class _DecoderOfLatents(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_scale_decoder[0] = nn.Linear(n_input, n_output)
        self.px_r_decoder = nn.Linear(n_input, n_output)
        self.px_dropout_decoder = nn.Linear(n_input, n_output)


class _DecoderOfGenes(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_output, n_cat_list, n_layers, n_hidden, dropout_rate=0)


class _OneHeadDecoder(DecoderSCVI):
    def forward(self, dispersion, z, library, *cat_list) -> tuple:
        px_scale, px_r, px_rate, _ = super().forward("gene-cell", z, library, *cat_list)
        return px_scale, px_r if dispersion == "gene-cell" else None, px_rate, px_r


class _DecoderWithATrunkForEveryHead(DecoderSCVI):
    def forward(self, dispersion, z, library, *cat_list) -> tuple:
        px_scale = self.px_scale_decoder(self.px_decoder(z, *cat_list))
        px_r = self.px_r_decoder(self.px_decoder(z, *cat_list)) if dispersion == "gene-cell" else None
        return px_scale, px_r, library.exp() * px_scale, self.px_dropout_decoder(self.px_decoder(z, *cat_list))


class _SwappedHeadsDecoder(DecoderSCVI):
    def forward(self, dispersion, z, library, *cat_list) -> tuple:
        px_scale, px_r, px_rate, px_dropout = super().forward("gene-cell", z, library, *cat_list)
        return px_scale, px_dropout if dispersion == "gene-cell" else None, px_rate, px_r


class _HeadsWithoutLayers(DecoderSCVI):
    """The trunk has no parameters that a covariate could meet."""

    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, None, n_layers, n_hidden)


class _DecoderWithLayersForWidth(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_hidden, n_cat_list, n_hidden, n_layers, dropout_rate=0)


class _OneLayerDecoder(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, 1, n_hidden)


# --------------------------------------------------------------------------------------------------------------------
# 5.4: the dispersion modes
# --------------------------------------------------------------------------------------------------------------------


def select_dispersion(
    px_r: Tensor, dispersion: str, batch_index: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """Return theta, broadcastable to (cells, genes)."""
    if dispersion == "gene-batch":
        px_r = px_r.T[batch_index.flatten()]  # (n_batch, genes), then a row for every cell
    elif dispersion == "gene-label":
        px_r = px_r.T[y.flatten()]
    return torch.exp(px_r)


def _use_select_dispersion(
    attempt: Callable, px_r: Tensor, dispersion: str, batch_index: Tensor | None, y: Tensor | None, shape: tuple
) -> dict[str, Any]:
    """Compare theta as it meets the counts, (cells, genes)."""
    theta = attempt(px_r, dispersion, batch_index, y)
    if isinstance(theta, Tensor) and theta.layout == torch.strided:
        with suppress(RuntimeError):  # of a shape that does not fit: left as it is
            theta = theta.broadcast_to(shape)
    return {"theta": theta}


def _cases_of_select_dispersion() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    batch, y = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([0, 3, 2, 1, 3])

    def px_r(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return [
        Case('the mode "gene"', (px_r(3), "gene", None, None, (5, 3))),
        Case('the mode "gene-batch"', (px_r(3, 2), "gene-batch", batch, None, (5, 3))),
        Case('the mode "gene-label"', (px_r(3, 4), "gene-label", None, y, (5, 3))),
        Case('the mode "gene-cell"', (px_r(5, 3), "gene-cell", None, None, (5, 3))),
        Case("batches in a column, (cells, 1)", (px_r(3, 2), "gene-batch", batch[:, None], None, (5, 3))),
        Case("labels in a column, (cells, 1)", (px_r(3, 4), "gene-label", None, y[:, None], (5, 3))),
        Case("batches where labels are given too", (px_r(3, 4), "gene-batch", 3 - y, y, (5, 3))),
        Case("labels where batches are given too", (px_r(3, 4), "gene-label", batch, y[:, None], (5, 3))),
        Case("a last batch that no cell is from", (px_r(3, 3), "gene-batch", batch, y, (5, 3))),
        Case("a last label that no cell has", (px_r(4, 6), "gene-label", batch, y, (5, 4))),
        Case("as many cells as genes and batches", (px_r(3, 3), "gene-batch", torch.tensor([2, 0, 2]), None, (3, 3))),
        Case("a single cell", (px_r(3, 2), "gene-batch", torch.tensor([[1]]), torch.tensor([0]), (1, 3))),
        Case("a single batch", (px_r(3, 1), "gene-batch", 0 * batch, y, (5, 3))),
        Case('the mode "gene" with codes', (px_r(5), "gene", batch, y, (5, 5))),
        Case('the mode "gene-cell" with codes', (px_r(5, 5), "gene-cell", batch[:, None], y[:, None], (5, 5))),
    ]


def _hidden_select_dispersion(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_genes, n_batch, n_labels = (_between(2, 7, generator) for _ in range(4))
    batch, y = (torch.randint(n, (n_cells,), generator=generator) for n in (n_batch, n_labels))

    def case(label: str, mode: str, *shape: int, batch: Tensor | None = batch, y: Tensor | None = y) -> Case:
        return Case(label, (torch.randn(shape, generator=generator), mode, batch, y, (n_cells, n_genes)))

    return [
        case("other batches and labels", "gene-batch", n_genes, n_batch),
        case("other labels in a column", "gene-label", n_genes, n_labels, batch=None, y=y[:, None]),
        case("other genes", "gene", n_genes),
        case("other cells", "gene-cell", n_cells, n_genes, batch=None, y=None),
    ]


def _explain_dispersion(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, (_, mode, batch_index, y, _) = got["theta"].tensor, case.arguments
    if values.isnan().any():
        return None
    if (values <= 0).any():
        return f"theta has to be above 0, as every exponential is; yours goes down to {values.min().item():.3g}."
    codes = {"gene-batch": batch_index, "gene-label": y}.get(mode)
    if codes is not None:
        codes = codes.flatten()
        for code in codes.unique():
            rows = values[codes == code]
            if not torch.allclose(rows, rows[:1].expand_as(rows), atol=1e-4):
                kind = mode.removeprefix("gene-")
                return f"two cells of the same {kind} should have the same theta; yours differ."
    if mode == "gene" and not torch.allclose(values, values[:1].expand_as(values), atol=1e-4):
        return 'in the mode "gene" all cells share one theta for each gene; yours differ between cells.'
    return None


def _dispersion_of(
    table: Callable[[Tensor, Tensor], Tensor] = lambda px_r, codes: px_r.T[codes.flatten()],
    end: Callable[[Tensor], Tensor] = torch.exp,
    plain: Callable[[Tensor], Tensor] | None = None,
    codes_of: Callable[[str, Any, Any], Any] = lambda mode, batch_index, y: batch_index if mode == "gene-batch" else y,
) -> Callable[..., Any]:
    """Dispersion with something wrong in it; the defaults are right. `plain` ends modes without codes."""

    def answer(px_r: Tensor, dispersion: str, batch_index: Tensor | None = None, y: Tensor | None = None) -> Any:
        if dispersion in ("gene-batch", "gene-label"):
            return end(table(px_r, codes_of(dispersion, batch_index, y)))
        return (plain or end)(px_r)

    return answer


def _dispersion_without_gene_cell(
    px_r: Tensor, dispersion: str, batch_index: Tensor | None = None, y: Tensor | None = None
) -> Tensor | None:
    return None if dispersion == "gene-cell" else select_dispersion(px_r, dispersion, batch_index, y)


def _indicator(codes: Tensor, n_categories: int) -> Tensor:
    return F.one_hot(codes.flatten(), n_categories).float()


# --------------------------------------------------------------------------------------------------------------------
# 5.5 to 5.8: cases, and what is asked of an answer
# --------------------------------------------------------------------------------------------------------------------


def _scvi_kl_case(label: str, n_cells: int, n_latent: int, generator: torch.Generator) -> Case:
    qz_m = torch.randn(n_cells, n_latent, generator=generator)
    qz_v = 0.2 + 2 * torch.rand(n_cells, n_latent, generator=generator)
    ql_m, library_mean = (5 + torch.randn(n_cells, 1, generator=generator) for _ in range(2))
    ql_v, library_var = (0.2 + 2 * torch.rand(n_cells, 1, generator=generator) for _ in range(2))
    return Case(label, (qz_m, qz_v, ql_m, ql_v, library_mean, library_var))


def _cases_of_scvi_kl() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    cases = [
        _scvi_kl_case("three cells with two latents", 3, 2, generator),
        _scvi_kl_case("as many cells as latents", 3, 3, generator),
        _scvi_kl_case("a single cell", 1, 4, generator),
        _scvi_kl_case("a single latent", 4, 1, generator),
    ]
    latent = torch.tensor([[0.5, -1.0], [2.0, 0.1]]), torch.tensor([[1e-4, 50.0], [3.0, 1e-6]])
    library = torch.tensor([[[7.0], [9.0]], [[1e-3], [20.0]], [[8.0], [6.5]], [[0.1], [0.4]]])
    cases.append(Case("very small and very large variances", (*latent, *(value.clone() for value in library))))
    prior = (torch.tensor([[6.0], [7.5]]), torch.tensor([[0.3], [1.7]]))
    same = (torch.zeros(2, 3), torch.ones(2, 3), *(value.clone() for value in prior), *prior)
    cases.append(Case("two posteriors equal to their priors", same))
    return cases


def _hidden_scvi_kl(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_latent = (_between(2, 9, generator) for _ in range(2))
    return [
        _scvi_kl_case("other numbers of cells and latents", n_cells, n_latent, generator),
        _scvi_kl_case("another single cell", 1, n_latent, generator),
        _scvi_kl_case("another single latent", n_cells, 1, generator),
    ]


def _kls(
    local: Callable[..., Tensor] = lambda ql_m, ql_v, p_m, p_v: kl_normal(ql_m, ql_v, p_m, p_v).sum(dim=-1),
    latent: Callable[..., Tensor] = lambda qz_m, qz_v: kl_standard_normal(qz_m, torch.log(qz_v)),
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.5 of its two parts."""

    def answer(qz_m: Tensor, qz_v: Tensor, ql_m: Tensor, ql_v: Tensor, p_m: Tensor, p_v: Tensor) -> tuple:
        return local(ql_m, ql_v, p_m, p_v), latent(qz_m, qz_v)

    return answer


def _latent_kl_terms(mean: Tensor, var: Tensor) -> Tensor:
    return kl_normal(mean, var, torch.zeros(()), torch.ones(()))


def _explain_scvi_kl(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say which of the two is wrong, and whether a KL can be so at all."""
    for name, what in (("the local KL", "q(l|x) and its prior"), ("the global KL", "q(z|x) and N(0, I)")):
        if name not in got or got[name].tensor is None or got[name].shape != want[name].shape:
            return None
        values, due = got[name].tensor, want[name].tensor
        if values.isnan().any():
            return f"{name} is nan for some cells: kl_normal takes variances, not log-variances, which may be negative."
        if (values < -1e-3).any():
            return f"{name} is negative for some cells, but no KL divergence can be: it compares {what}."
        if (due.abs() < 1e-6).all() and (values.abs() > 1e-3).any():
            return f"{name} should be 0 where the posterior equals the prior; yours is {values.max().item():.4g}."
    return None


def corrupt(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide a share of the non-zero counts: a right answer to 5.6 in few steps."""
    nonzero = torch.nonzero(counts.flatten()).flatten()  # positions
    shuffled = nonzero[torch.randperm(len(nonzero), generator=generator)]
    mask = torch.zeros(counts.numel(), dtype=torch.bool)
    mask[shuffled[: int(rate * len(nonzero))]] = True
    mask = mask.reshape(counts.shape)
    return torch.where(mask, 0.0, counts), mask


def _cases_of_corrupt() -> list[Case]:
    table = torch.tensor([[12.0, 0.0, 1.0, 5.0], [0.0, 30.0, 0.0, 3.0], [7.0, 0.0, 2.0, 0.0]])
    square = torch.tensor([[4.0, 0.0, 1.0], [2.0, 9.0, 0.0], [0.0, 3.0, 1.0]])
    block = torch.tensor([[[1.0, 0.0, 2.0], [6.0, 3.0, 0.0]], [[0.0, 8.0, 1.0], [0.0, 0.0, 5.0]]])
    large = torch.poisson(0.8 * torch.ones(20, 60), generator=torch.Generator().manual_seed(0))
    return [
        Case("seven non-zero counts in three cells", (table, 0.6, 1000, 1)),
        Case("another rate", (table, 0.4, 200, 1)),
        Case("a single cell", (torch.tensor([[3.0, 0.0, 1.0, 14.0, 2.0, 6.0]]), 0.5, 200, 1)),
        Case("as many cells as genes", (square, 0.5, 200, 1)),
        Case("counts of one axis", (torch.tensor([2.0, 9.0, 1.0, 4.0, 1.0, 3.0, 25.0, 6.0]), 0.25, 200, 1)),
        Case("counts of three axes", (block, 0.5, 200, 1)),
        Case("rate 1", (table, 1.0, 20, 1)),
        Case("rate 0", (table, 0.0, 20, 1)),
        Case("a rate too small for one count", (table, 0.1, 20, 1)),
        Case("a thousand entries", (large, 0.35, 20, 1)),
    ]


def _hidden_corrupt(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(label: str, n_calls: int) -> Case:
        """Half of the entries are zero; the due number is far from a whole one before it is rounded down."""
        n_cells, n_genes = _between(3, 4, generator), _between(4, 5, generator)
        n_nonzero = n_cells * n_genes // 2 + 1
        counts = torch.zeros(n_cells * n_genes)
        places = torch.randperm(len(counts), generator=generator)[:n_nonzero]
        counts[places] = torch.randint(1, 40, (n_nonzero,), generator=generator).float()
        rate = (n_nonzero // 2 + 0.5) / n_nonzero
        return Case(label, (counts.reshape(n_cells, n_genes), rate, n_calls, _between(1000, 10**6, generator)))

    return [case("other counts", 1000), case("a few calls with other counts", 20)]


N_REPEATED = 20  # calls that are made a second time from the same seed


def _use_corrupt(attempt: Callable, counts: Tensor, rate: float, n_calls: int, seed: int) -> dict[str, Any]:
    """Call an attempt many times, since single draws cannot be compared, and once more from the same seed."""
    before, states = counts.clone(), _global_states()
    generator = torch.Generator().manual_seed(seed)
    start = generator.get_state()
    pair = attempt(counts, rate, generator)
    moved = not torch.equal(generator.get_state(), start)
    returned = _kind_of_pair(pair, counts)
    if returned != "corrupted and mask":
        return {"what it returns": returned}
    is_counts = pair[0].untyped_storage().data_ptr() == counts.untyped_storage().data_ptr()
    corrupted, masks = _many_calls(attempt, before, rate, generator, n_calls, pair)
    other_states = _global_states()
    again = torch.Generator().manual_seed(seed)
    repeated, _ = _many_calls(attempt, before, rate, again, N_REPEATED, attempt(before.clone(), rate, again))
    return {
        "what it returns": returned,
        "counts itself": counts,
        "corrupted": "counts itself" if is_counts else "a copy",
        "all corrupted": corrupted,
        "all masks": masks,
        "the generator": "moved on" if moved else "not used",
        "other randomness": "none" if states == other_states else "used",
        "the same seed twice": repeated,
    }


def _examine_corrupt(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    """Say in words what an attempt did in many calls."""
    counts, rate, n_calls, _ = case.arguments
    returned = got.get("what it returns")
    if returned is None or returned.text != "corrupted and mask":
        return {"what it returns": returned}
    corrupted, masks = (_tensor_from(got, f"all {what}", (n_calls, counts.numel())) for what in ("corrupted", "masks"))
    left = torch.equal(_tensor_from(got, "counts itself", counts.shape), counts.double())
    found = {
        "what it returns": returned,
        "counts itself": "left as it was" if left else "changed",
        "corrupted": got.get("corrupted") if left else "a copy",
        **_what_is_hidden(counts, rate, corrupted, masks.bool()),
    }
    n_nonzero = int((counts != 0).sum())
    if 0 < int(rate * n_nonzero) < n_nonzero:
        found |= {name: got.get(name) for name in ("the generator", "other randomness")}
        repeated = _tensor_from(got, "the same seed twice", (N_REPEATED, counts.numel()))
        found["the same seed twice"] = "the same" if torch.equal(repeated, corrupted[:N_REPEATED]) else "something else"
    return found


def _global_states() -> tuple[bytes, ...]:
    """State of the random numbers that belong to no generator: PyTorch's, NumPy's and Python's."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    return (torch.get_rng_state().numpy().tobytes(), repr(numpy_state[1:]).encode(), repr(random.getstate()).encode())


def _kind_of_pair(pair: Any, counts: Tensor) -> str:
    if not isinstance(pair, tuple | list):
        return f"a single {'tensor' if isinstance(pair, Tensor) else type(pair).__name__}"
    if len(pair) != 2 or not all(isinstance(part, Tensor) and part.layout == torch.strided for part in pair):
        return f"a {type(pair).__name__} of {' and '.join(type(part).__name__ for part in pair) or 'nothing'}"
    corrupted, mask = pair
    for name, part in (("corrupted", corrupted), ("mask", mask)):
        if part.shape != counts.shape:
            return f"{name} of shape {tuple(part.shape)}"
    if corrupted.dtype == torch.bool and mask.dtype != torch.bool:
        return "mask and corrupted"
    for name, dtype, right in (
        ("corrupted", corrupted.dtype, corrupted.dtype.is_floating_point),
        ("mask", mask.dtype, mask.dtype == torch.bool),
    ):
        if not right:
            return f"{name} of type {str(dtype).removeprefix('torch.')}"
    return "corrupted and mask"


def _many_calls(
    attempt: Callable, counts: Tensor, rate: float, generator: torch.Generator, n_calls: int, first: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Collect the two results of many calls, (calls, entries) each."""
    pairs = [first, *(attempt(counts.clone(), rate, generator) for _ in range(n_calls - 1))]
    corrupted = torch.stack([torch.as_tensor(pair[0]).detach().flatten().double() for pair in pairs])
    return corrupted, torch.stack([torch.as_tensor(pair[1]).detach().flatten().bool() for pair in pairs])


def _what_is_hidden(counts: Tensor, rate: float, corrupted: Tensor, masks: Tensor) -> dict[str, str]:
    flat = counts.flatten().double()
    hidden = (flat != 0) & (corrupted == 0)  # (calls, entries)
    unchanged = bool(((corrupted == flat) | hidden).all())
    n_due, found = int(rate * int((flat != 0).sum())), {}
    found["how many counts become 0"] = _numbers(hidden.sum(dim=1), n_due)
    found["the other entries"] = "as they were" if unchanged else "changed"
    if torch.equal(masks, hidden):
        found["the mask"] = "True where a count became 0"
    elif torch.equal(masks, ~hidden):
        found["the mask"] = "False there, and True everywhere else"
    elif torch.equal(masks, ~hidden & (flat != 0)):
        found["the mask"] = "True for the counts that are left"
    elif torch.equal(masks, hidden | (flat == 0)):
        found["the mask"] = "True at every 0, also where there was one before"
    elif (masks & (flat == 0)).any() and not (hidden & ~masks).any():
        found["the mask"] = "True at some entries that were 0 before"
    else:
        found["the mask"] = "something else than where counts became 0"
    if 0 < n_due < int((flat != 0).sum()) and len(hidden) >= 200:
        found["which counts"] = _which(hidden[:, flat != 0].double(), flat[flat != 0])
    return found


def _numbers(numbers: Tensor, n_due: int) -> str:
    """Put in words how many entries are hidden in each of many calls."""
    smallest, largest = int(numbers.min()), int(numbers.max())
    if smallest == largest:
        return f"always {smallest}"
    if smallest < n_due < largest:
        return "sometimes more and sometimes fewer"
    return "never too many, but often too few" if largest <= n_due else "never too few, but often too many"


def _which(hidden: Tensor, counts: Tensor) -> str:
    """Tell a uniform choice from others by how often each count is hidden, and each pair of counts together.

    A right answer would be accused of a bias with a probability below 1e-7: six standard errors.
    """
    n_calls, n = hidden.shape
    numbers = hidden.sum(dim=1)
    n_hidden, rank = int(numbers.max()), counts.argsort(stable=True).argsort().double()
    if (hidden == hidden[0]).all():
        first = torch.zeros(n, dtype=hidden.dtype)
        first[:n_hidden] = 1
        fixed = (
            (first, "always the first ones"),
            (first.flip(0), "always the last ones"),
            (first[counts.argsort(descending=True, stable=True).argsort()], "always the largest ones"),
            (first[counts.argsort(stable=True).argsort()], "always the smallest ones"),
        )
        return next((say for choice, say in fixed if torch.equal(hidden[0], choice)), "the same ones in every call")
    often = hidden.mean(dim=0)
    error = (often.mean() * (1 - often.mean()) / n_calls).sqrt()
    if ((often - often.mean()).abs() > 6 * error).any():
        trend = torch.corrcoef(torch.stack([often, rank]))[0, 1].item()
        more = "larger" if trend > 0.7 else "smaller" if trend < -0.7 else "some"
        return f"{more} counts more often than others"
    if n_calls < 1000 or numbers.min() != numbers.max():
        return "each as often as any other"
    together = (hidden.T @ hidden / n_calls)[~torch.eye(n, dtype=torch.bool)]
    due = n_hidden * (n_hidden - 1) / (n * (n - 1))
    is_even = (together - due).abs().max() <= 6 * (due * (1 - due) / n_calls) ** 0.5
    return "each as often as any other" if is_even else "certain counts together more often than others"


def _explain_corrupt(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Go through what was found out, the plainest first."""
    due = want["how many counts become 0"].text.removeprefix("always ")
    say = {
        "what it returns": "two tensors of the shape of counts are due, floating-point corrupted and boolean mask; "
        "yours gives {}.",
        "counts itself": "counts itself is {} by your code. Work on a copy.",
        "corrupted": "corrupted is {}, under another name: whoever changes one changes both. Return a copy.",
        "how many counts become 0": f"in every call {due} non-zero counts should become 0, which is floor(rate * "
        "non-zeros); in yours it is {}.",
        "the other entries": "entries that are not hidden should stay as they were, and hidden ones become 0; yours "
        "are {}.",
        "the mask": "the mask should be True exactly where a count became 0; yours is {}.",
        "which counts": "every non-zero count should be hidden equally often, whatever others are; over many calls "
        "with one generator your code hides {}.",
        "other randomness": "random numbers from elsewhere than the generator are {}: torch's functions take "
        "generator=generator.",
        "the same seed twice": "two generators with the same seed should give the same; yours gives {}, so there is "
        "randomness from elsewhere.",
        "the generator": "the generator is {}: all randomness should come from it.",
    }
    for name, sentence in say.items():
        if name in want and name in got and got[name].text != want[name].text:
            return sentence.format(got[name].text)
    return None


def _shuffled(n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator)


def _hiding(
    choose: Callable[[Tensor, float, int, torch.Generator], Tensor], among_all: bool = False
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.6 of a choice among the non-zero entries (or all): entries, rate, non-zeros, generator."""

    def answer(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        flat = counts.flatten()
        nonzero = torch.nonzero(flat).flatten()
        chosen = choose(flat, rate, len(nonzero), generator)
        mask = torch.zeros(len(flat), dtype=torch.bool)
        mask[chosen if among_all else nonzero[chosen]] = True
        mask = mask.reshape(counts.shape)
        return counts.masked_fill(mask, 0), mask

    return answer


def _by_mask(
    draw: Callable[[Tensor, float, torch.Generator], Tensor],
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.6 of a random mask."""

    def answer(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        mask = draw(counts, rate, generator)
        return counts.masked_fill(mask, 0), mask

    return answer


def _with_mask(make: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.6 that hides the right entries and returns another mask: of counts, corrupted and mask."""

    def answer(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        corrupted, mask = corrupt(counts, rate, generator)
        return corrupted, make(counts, corrupted, mask)

    return answer


def _in_place(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    _, mask = corrupt(counts, rate, generator)
    counts[mask] = 0
    return counts, mask


def _cell_by_cell(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    pairs = [corrupt(row, rate, generator) for row in (counts if counts.dim() > 1 else counts.unsqueeze(-1))]
    return tuple(torch.stack(parts).reshape(counts.shape) for parts in zip(*pairs, strict=True))


def _whole_cells(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    mask = torch.zeros(counts.shape, dtype=torch.bool)
    mask[_shuffled(len(counts), generator)[: int(rate * len(counts))]] = True
    mask &= counts != 0
    return counts.masked_fill(mask, 0), mask


def _seeding(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    torch.manual_seed(generator.initial_seed())
    return corrupt(counts, rate, torch.default_generator)


def entropy_batch_mixing(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    """Score how well batches mix: a right answer to 5.7 in few steps."""
    distances = torch.cdist(latent, latent)  # (cells, cells)
    distances.fill_diagonal_(torch.inf)
    neighbours = distances.topk(n_neighbors, largest=False).indices  # (cells, n_neighbors)
    batches = batch_index.flatten()[neighbours]
    entropy = torch.zeros(len(latent))
    for batch in batch_index.unique():
        share = (batches == batch).float().mean(dim=1)  # (cells,)
        entropy -= torch.xlogy(share, share)
    return entropy.mean()


def _draw_cells(n_cells: int, n_latent: int, seed: int, shares: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Draw latents and batches."""
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(n_cells, n_latent, generator=generator)
    return latent, torch.multinomial(torch.tensor(shares), n_cells, replacement=True, generator=generator)


def _cases_of_mixing() -> list[Case]:
    draw = _draw_cells  # with these seeds no cell has two candidates for its last neighbour at one distance
    z, column = draw(15, 2, 142, (0.4, 0.3, 0.3))
    places, first = draw(16, 2, 42, (0.4, 0.3, 0.3))
    twins = torch.cat([first, (first + 1 + torch.arange(16) % 2) % 3])
    shift = 20.0 * (torch.arange(12) % 2).unsqueeze(-1)
    return [
        Case("two batches", (*draw(12, 2, 15, (0.6, 0.4)), 4)),
        Case("three batches of unequal size", (*draw(20, 3, 100, (0.6, 0.25, 0.15)), 6)),
        Case("codes of shape (cells, 1)", (z, column.unsqueeze(-1), 5)),
        Case("a batch that no cell has", (*draw(18, 2, 82, (0.4, 0.0, 0.3, 0.3)), 5)),
        Case("batches that lie apart", (draw(12, 2, 15, (0.6, 0.4))[0] + shift, torch.arange(12) % 2, 3)),
        Case("as many latents as cells", (*draw(6, 6, 48, (0.5, 0.5)), 3)),
        Case("a single latent", (*draw(14, 1, 81, (0.5, 0.5)), 4)),
        Case("a single neighbour", (*draw(10, 2, 168, (0.5, 0.5)), 1)),
        Case("all other cells as neighbours", (*draw(12, 2, 15, (0.5, 0.3, 0.2)), 11)),
        Case("70 cells and n_neighbors not given", draw(70, 4, 178, (0.7, 0.2, 0.1))),
        Case("cells that have a double in another batch", (torch.cat([places, places]), twins, 7)),
    ]


def _hidden_mixing(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(label: str, shares: Sequence[float], column: bool = False) -> Case:
        n_cells, n_latent, n_neighbors = (_between(*ends, generator) for ends in ((16, 24), (1, 4), (2, 7)))
        while True:
            latent, batch_index = _draw_cells(n_cells, n_latent, _between(1000, 10**9, generator), shares)
            distances = torch.cdist(latent, latent).sort(dim=1).values
            if (distances.diff()[:, n_neighbors] > 1e-3).all():  # one candidate for every last neighbour
                return Case(label, (latent, batch_index.unsqueeze(-1) if column else batch_index, n_neighbors))

    return [
        case("two other batches", (0.6, 0.4)),
        case("four batches of unequal size", (0.4, 0.3, 0.2, 0.1)),
        case("other codes of shape (cells, 1)", (0.4, 0.3, 0.3), column=True),
    ]


COLUMN_MEETS_ROW = ("doesn't match the broadcast shape", "only supports 1-d")


def _neighbours(latent: Tensor, n_neighbors: int, norm: float = 2.0) -> Tensor:
    """Nearest other cells, (cells, n_neighbors), by differences."""
    distances = (latent.unsqueeze(1) - latent).norm(p=norm, dim=-1)
    distances.fill_diagonal_(torch.inf)
    return distances.argsort(dim=1, stable=True)[:, :n_neighbors]


def _all_ordered(latent: Tensor) -> Tensor:
    """All cells in the order of their distance, each cell itself among them, (cells, cells)."""
    return (latent.unsqueeze(1) - latent).norm(dim=-1).argsort(dim=1, stable=True)


def _but_doubles(latent: Tensor, n_neighbors: int) -> Tensor:
    distances = (latent.unsqueeze(1) - latent).norm(dim=-1)
    return distances.masked_fill(distances == 0, torch.inf).argsort(dim=1, stable=True)[:, :n_neighbors]


def _shares(neighbours: Tensor, batch_index: Tensor) -> Tensor:
    """Shares of the batches among the neighbours, (cells, batches)."""
    return nn.functional.one_hot(batch_index.flatten())[neighbours].double().mean(dim=1)


def _entropies(shares: Tensor) -> Tensor:
    return -torch.xlogy(shares, shares).sum(dim=-1)


def _mixing(
    neighbours: Callable[[Tensor, int], Tensor] = _neighbours,
    score: Callable[[Tensor], Tensor] = lambda shares: _entropies(shares).mean(),
) -> Callable[..., Tensor]:
    """Make an answer to 5.7 of a choice of neighbours and a score of the shares."""

    def answer(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
        return score(_shares(neighbours(latent, n_neighbors), batch_index))

    return answer


def _farthest_and_self(latent: Tensor, n_neighbors: int) -> Tensor:
    distances = (latent.unsqueeze(1) - latent).norm(dim=-1).fill_diagonal_(torch.inf)
    return distances.argsort(dim=1, descending=True, stable=True)[:, :n_neighbors]


def _codes_in_a_column(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    shares = F.one_hot(batch_index[_neighbours(latent, n_neighbors)]).double().mean(dim=1)
    return -torch.xlogy(shares, shares).sum(dim=1).mean()


def _codes_averaged(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    p = batch_index.flatten()[_neighbours(latent, n_neighbors)].double().mean(dim=1)
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).mean()


def _mixing_by_batch(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    entropies = _entropies(_shares(_neighbours(latent, n_neighbors), batch_index))
    return torch.stack([entropies[batch_index.flatten() == batch].mean() for batch in batch_index.unique()]).mean()


def _own_batch_entropy(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    same = batch_index.flatten()[_neighbours(latent, n_neighbors)] == batch_index.reshape(-1, 1)
    p = same.double().mean(dim=1)
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).mean()


def _explain_mixing(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    value, due = (next(iter(values.values())).tensor for values in (got, want))
    if value is None or value.numel() != 1 or not value.isfinite():
        return None
    _, batch_index, *_ = case.arguments
    if (value - due).abs() > 1e-4 and batch_index.dim() == 2:
        return "flatten them first, so that they are like codes of shape (cells,)."
    largest = math.log(len(batch_index.unique()))
    if value < -1e-4:
        return f"an entropy is never negative; yours is {value.item():.4g}."
    if value > largest + 1e-4:
        return (
            f"the entropy of {len(batch_index.unique())} batches is at most {largest:.4g} nats; yours is "
            f"{value.item():.4g}."
        )
    if (value - due).abs() > 1e-4 and len(case.arguments) == 2:
        return "where n_neighbors is not given it should be 50, and no more or fewer cells should count."
    if (value - due).abs() > 1e-4 and "double" in case.label:
        return (
            "another cell may lie at exactly the same place, at distance 0, and is a neighbour like any other. Leave "
            "out the cell itself by its position in the table, not by its distance or its rank."
        )
    return None


def bayes_factor(scale_1: Tensor, scale_2: Tensor, eps: float = 1e-8) -> Tensor:
    """Compare two groups draw by draw: a right answer to 5.8 in few steps."""
    wins = (scale_1 > scale_2).double()  # (S, ...)
    ties = (scale_1 == scale_2).double()
    p = (wins + ties / 2).mean(dim=0)
    return torch.log(p + eps) - torch.log(1 - p + eps)


def _draw_scales(n_draws: int, n_genes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    tables = (torch.randn(n_draws, n_genes, generator=generator) for _ in range(2))
    return tuple(torch.softmax(table + torch.linspace(0, 1, n_genes), dim=1) for table in tables)


def _cases_of_bayes_factor() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def shares(n_draws: int, n_genes: int) -> tuple[Tensor, Tensor]:
        return _draw_scales(n_draws, n_genes, generator)

    first, second = shares(8, 4)
    first[:4, 0], second[:4, 0] = second[4:, 1], second[4:, 1]  # ties with unequal rows
    second[2:7, 2] = first[2:7, 2]
    high, low = 0.1 + torch.rand(5, 3, generator=generator), 0.1 * torch.rand(5, 3, generator=generator)
    certain = torch.stack([high[:, 0], low[:, 1], high[:, 2]], dim=1), torch.stack([low[:, 0], *high.T[1:]], dim=1)
    many = torch.rand(1000, 2, generator=generator) + 1
    rare = torch.rand(1000, 2, generator=generator)
    rare[17], rare[400, 0] = 3.0, 2.5
    return [
        Case("seven draws of three genes", shares(7, 3)),
        Case("draws with ties", (first, second)),
        Case("very small scales", (1e-9 * first, 1e-9 * second)),
        Case("one gene, of shape (draws,)", tuple(table[:, 1] for table in shares(6, 3))),
        Case("as many draws as genes", shares(4, 4)),
        Case("genes that are higher, or lower, in every draw", certain),
        Case("another eps", (*certain, 0.01)),
        Case("another eps and ties", (first, second, 0.2)),
        Case("a single draw", shares(1, 3)),
        Case("a thousand draws", (many, rare)),
    ]


def _hidden_bayes_factor(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_draws, n_genes = _between(5, 30, generator), _between(2, 7, generator)
    first, second = _draw_scales(n_draws, n_genes, generator)
    tied = first.clone()
    tied[n_draws // 2 :] = second[n_draws // 2 :]
    return [
        Case("other scales", (first, second)),
        Case("other scales with ties and another eps", (tied, second, _between(5, 50, generator) / 100)),
        Case("another gene, of shape (draws,)", tuple(table[:, 0] for table in _draw_scales(n_draws, 2, generator))),
    ]


def _odds(p: Tensor, eps: float) -> Tensor:
    return torch.log(p + eps) - torch.log(1 - p + eps)


def _p(scale_1: Tensor, scale_2: Tensor) -> Tensor:
    return ((scale_1 > scale_2).double() + (scale_1 == scale_2).double() / 2).mean(dim=0)


def _factor(
    p: Callable[[Tensor, Tensor], Tensor] = _p, score: Callable[[Tensor, float], Tensor] = _odds
) -> Callable[..., Tensor]:
    """Make an answer to 5.8 of a probability and what is made of it."""

    def answer(scale_1: Tensor, scale_2: Tensor, eps: float = 1e-8) -> Tensor:
        return score(p(scale_1, scale_2), eps)

    return answer


def _explain_bayes_factor(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    value, due = next(iter(got.values())), next(iter(want.values()))
    if value.tensor is None or value.shape != due.shape or not value.tensor.isfinite().all():
        return None
    clear = (_p(*case.arguments[:2]) - 0.5).abs() > 0.01
    if (value.tensor * due.tensor < 0)[clear].any():
        return "the sign tells the direction: above 0 where group 1 is higher in most draws, below 0 where group 2 is."
    even = ~clear & (value.tensor.abs() > 1e-3)
    if even.any():
        return f"where each group is higher as often as the other it should be 0; yours is {value.tensor[even][0]:.4g}."
    return None


EXERCISES = [
    Exercise(
        "5.1",
        "vae_course.distributions.nb_log_prob",
        cases=_cases_of_nb,
        hidden=_hidden_nb,
        gradients=("mu", "theta"),
        tolerance=1e-5,
        plain=nb_log_prob,
        shape="the broadcast shape of x, mu and theta",
        properties=(_explain_overflow, _explain_rounding, _explain_tiny_mean, _explain_above_zero),
        hints=(
            "Take the logarithm of the probability by hand: a generalised binomial coefficient, made of three gamma "
            "functions, and two powers with exponents theta and x. torch.lgamma is the logarithm of the gamma "
            "function, and x! is the gamma function of x + 1.",
            "The bases of the two powers are the shares of theta and of mu in theta + mu. Turn all three arguments "
            "into float64 with .double() before anything else: for a large theta the gamma functions nearly cancel.",
        ),
        mistakes={
            "float32": (
                _nb_in_float32,
                "The formula is right, but float32 keeps seven digits: for a large theta or x the gamma functions are "
                "huge and nearly cancel, and what is left is wrong. Compute in float64.",
            ),
            "cast-too-late": (
                _nb_cast_too_late,
                "x + theta is still computed in float32, where a large theta swallows the count. Turn the arguments "
                "into float64 before you add them.",
            ),
            "epsilon": (
                _nb_with_epsilon,
                "A small number is added inside the logarithms, as scVI does. It makes the result wrong where mu is as "
                "small itself, and nothing needs it as long as mu is above 0.",
            ),
            "dispersion-inverted": (
                lambda x, mu, theta: nb_log_prob(x, mu, 1 / theta.double()),
                "You treat theta as the dispersion. It is the inverse: a large theta makes the variance small, "
                "close to that of a Poisson.",
            ),
            "powers-swapped": (
                _nb_swapped,
                "The two powers have changed bases: the share of mu belongs to the exponent x, that of theta to the "
                "exponent theta.",
            ),
            "arguments-swapped": (
                lambda x, mu, theta: nb_log_prob(x, theta, mu),
                "mu and theta have changed places everywhere.",
            ),
            "without-factorial": (
                _nb_with((1, -1, 0, 1, 1)),
                "The factorial of x is missing: right for x = 0 and 1 only, where log(x!) is 0.",
            ),
            "factorial-of-one-less": (
                _nb_with((1, -1, -1, 1, 1), shift=0),
                "The gamma function of x is (x - 1)!, not x!. It is even infinite at x = 0.",
            ),
            "factorial-added": (
                _nb_with((1, -1, 1, 1, 1)),
                "The factorial of x is multiplied where it should divide: its logarithm has the wrong sign.",
            ),
            "without-gamma-of-theta": (
                _nb_with((1, 0, -1, 1, 1)),
                "The gamma function of theta is missing: the binomial coefficient has two of them below the line.",
            ),
            "gamma-of-theta-added": (
                _nb_with((1, 1, -1, 1, 1)),
                "The gamma function of theta stands below the line of the binomial coefficient: its logarithm has the "
                "wrong sign.",
            ),
            "coefficient-inverted": (
                _nb_with((-1, 1, 1, 1, 1)),
                "The binomial coefficient is upside down: all three gamma functions have the wrong sign.",
            ),
            "without-coefficient": (
                _nb_with((0, 0, 0, 1, 1)),
                "The binomial coefficient is missing. Without the three gamma functions the probabilities do not sum "
                "to 1 over the counts.",
            ),
            "logarithm-of-gamma": (
                lambda x, mu, theta: _nb_by_gamma(x, mu, theta, torch.log),
                "Right for small numbers, but the gamma function of 172 is already too large for a float64. Never "
                "compute it: lgamma gives its logarithm at once.",
            ),
            "gamma-not-its-logarithm": (
                lambda x, mu, theta: _nb_by_gamma(x, mu, theta, lambda gamma: gamma),
                "You add the gamma functions themselves. What is added to logarithms has to be a logarithm, lgamma.",
            ),
            "logarithm-of-the-product": (
                _nb_by_product,
                "Right for small counts, but the powers and the coefficient become 0 or infinite before you take the "
                "logarithm. Take it of each factor by hand.",
            ),
            "theta-power-missing": (
                _nb_with((1, -1, -1, 0, 1)),
                "The power with the exponent theta is missing.",
            ),
            "count-power-missing": (
                _nb_with((1, -1, -1, 1, 0)),
                "The power with the exponent x is missing: right at x = 0 only.",
            ),
            "exponent-forgotten": (
                _nb_without_power,
                "The logarithm of the share of theta has to be multiplied by its exponent, theta.",
            ),
            "not-normalised": (
                _nb_without_total,
                "You take the powers of theta and of mu themselves. Their bases are shares: each is divided by "
                "theta + mu.",
            ),
            "one-minus-p": (
                _nb_by_one_minus_p,
                "Right but in a corner: with a tiny mu and a large theta, 1 - p rounds to 0, and its logarithm is "
                "minus infinity. Compute the share of mu directly.",
            ),
            "distribution-of-probabilities": (
                _nb_by_probabilities,
                "Right but in a corner: with a tiny mu and a large theta PyTorch's distribution cuts the probability "
                "off at 2e-16. Give it logits instead of probs, or write the formula.",
            ),
            "poisson": (
                lambda x, mu, theta: (
                    x.double() * torch.log(mu.double()) - mu.double() - torch.lgamma(x.double() + 1) + 0 * theta
                ),
                "This is the Poisson distribution: theta is not used, and the variance cannot exceed the mean.",
            ),
            "negative": (
                lambda x, mu, theta: -nb_log_prob(x, mu, theta),
                "The sign is wrong: this is the negative log-likelihood, a loss. The log-probability is due.",
            ),
            "probability": (
                lambda x, mu, theta: torch.exp(nb_log_prob(x, mu, theta)),
                "You return the probability. Its logarithm is due.",
            ),
            "summed-over-genes": (
                lambda x, mu, theta: nb_log_prob(x, mu, theta).sum(dim=-1),
                "You summed over the genes. The function works elementwise; sums come later.",
            ),
            "summed": (
                lambda x, mu, theta: nb_log_prob(x, mu, theta).sum(),
                "You summed over all entries. The function works elementwise; sums come later.",
            ),
            "averaged": (
                lambda x, mu, theta: nb_log_prob(x, mu, theta).mean(),
                "You averaged over the entries. The function works elementwise; sums come later.",
            ),
        },
    ),
    Exercise(
        "5.2",
        "vae_course.distributions.zinb_log_prob",
        cases=_cases_of_zinb,
        hidden=_hidden_zinb,
        gradients=("mu", "theta", "zi_logits"),
        tolerance=1e-5,
        plain=zinb_log_prob,
        shape="the broadcast shape of x, mu, theta and zi_logits",
        properties=(
            _explain_large_logits,
            _explain_overflow,
            _explain_rounding,
            _explain_tiny_mean,
            _explain_above_zero,
            _explain_zeros,
        ),
        hints=(
            "Write the two cases down. A count above zero needs two things, no extra zero and a draw of x from the "
            "negative binomial; a zero comes in either of two ways, whose probabilities are added. torch.where then "
            "chooses by x.",
            "log(pi) and log(1 - pi) are each minus an F.softplus, one of the negative logit, one of the logit. That "
            "does for counts above zero; at zero follow the derivation down to its last line, a difference of two "
            "softplus, in which nb_log_prob takes the place of A.",
        ),
        mistakes={
            "extra-zeros-everywhere": (
                _zinb_of(count=lambda p, q, nb: torch.logaddexp(p, q + nb)),
                "pi is added at every count. An extra zero is a zero: it cannot explain a count above 0.",
            ),
            "without-the-zeros-of-the-nb": (
                _zinb_of(zero=lambda p, q, nb: p),
                "At x = 0 only the extra zeros are there. The negative binomial gives zeros too, with probability "
                "1 - pi times its own.",
            ),
            "counts-not-shrunk": (
                _zinb_of(count=lambda p, q, nb: nb),
                "A count above 0 also needs that there was no extra zero: log(1 - pi) is missing there.",
            ),
            "zeros-not-shrunk": (
                _zinb_of(zero=lambda p, q, nb: torch.logaddexp(p, nb)),
                "At x = 0 the zeros of the negative binomial come only when there is no extra one: the factor 1 - pi "
                "is missing.",
            ),
            "nothing-shrunk": (
                _zinb_of(zero=lambda p, q, nb: torch.logaddexp(p, nb), count=lambda p, q, nb: nb),
                "The negative binomial has to be multiplied by 1 - pi, at zeros and above, or the probabilities sum to "
                "1 + pi.",
            ),
            "pi-swapped": (
                _zinb_of(logits=lambda a: -a),
                "pi and 1 - pi have changed places: a large logit makes an extra zero likely.",
            ),
            "pi-for-counts": (
                _zinb_of(count=lambda p, q, nb: p + nb),
                "Zeros are right, but a count above 0 is multiplied by pi. It needs that there was no extra zero.",
            ),
            "branches-swapped": (
                _zinb_of(zero=lambda p, q, nb: q + nb, count=lambda p, q, nb: torch.logaddexp(p, q + nb)),
                "The two branches have changed places: the sum of two ways belongs to x = 0.",
            ),
            "logarithms-added": (
                _zinb_of(zero=lambda p, q, nb: p + q + nb),
                "At x = 0 you add logarithms, which multiplies the probabilities. The probabilities are to be added.",
            ),
            "mean-of-logarithms": (
                lambda x, mu, theta, a: torch.where(
                    x == 0,
                    torch.sigmoid(-a.double()) * nb_log_prob(x, mu, theta),
                    F.logsigmoid(-a.double()) + nb_log_prob(x, mu, theta),
                ),
                "At x = 0 you average logarithms with the weights pi and 1 - pi. Average the probabilities: the "
                "logarithm comes last.",
            ),
            "through-probabilities": (
                _zinb_by_probabilities,
                "Right for ordinary logits, but at 30 the sigmoid rounds to 1, and log(1 - pi) is minus infinity. Stay "
                "with logarithms: F.softplus gives both.",
            ),
            "probabilities-in-float64": (
                lambda x, mu, theta, a: _zinb_by_probabilities(x, mu, theta, a.double()),
                "Right for ordinary logits, but at 30 even float64 has few digits left in 1 - pi. Stay with "
                "logarithms, or take the sigmoid of the negative logit.",
            ),
            "epsilon-in-the-log": (
                lambda x, mu, theta, a: _zinb_by_probabilities(x, mu, theta, a, eps=1e-8),
                "The small number inside the logarithm hides the infinities at large logits but gives wrong values: "
                "use F.softplus, which needs none.",
            ),
            "logits-as-probabilities": (
                lambda x, mu, theta, a: _zinb_by_probabilities(x, mu, theta, a.double(), to_pi=lambda a: a),
                "You treat the logits as probabilities. A logit is any real number; pi is its sigmoid.",
            ),
            "sigmoid-twice": (
                _zinb_of(logits=torch.sigmoid),
                "The sigmoid is applied twice: F.softplus, or the sigmoid, wants the logit itself.",
            ),
            "zero-whatever-came": (
                _zinb_of(
                    zero=lambda p, q, nb: torch.logaddexp(p, q + nb),
                    count=lambda p, q, nb: torch.logaddexp(p, q),
                ),
                "Above zero the negative binomial is not used: whatever the count, you return a logarithm of 1.",
            ),
            "mean-shrunk": (
                _zinb_of_shrunk_mean,
                "You make the mean smaller by 1 - pi. The two distributions have the same mean but not the same zeros: "
                "mix the probabilities.",
            ),
            "nb-only": (
                lambda x, mu, theta, a: nb_log_prob(x, mu, theta) + 0 * a,
                "This is the negative binomial alone: zi_logits is not used.",
            ),
            "float32": (
                _zinb_of(nb=_nb_in_float32),
                "The mixture is right, but the negative binomial in it is computed in float32, where its gamma "
                "functions nearly cancel for a large theta. Use your nb_log_prob of exercise 5.1.",
            ),
            "epsilon": (
                _zinb_of(nb=_nb_with_epsilon),
                "The mixture is right, but in the negative binomial a small number is added to mu. Use your "
                "nb_log_prob of exercise 5.1.",
            ),
            "negative": (
                lambda x, mu, theta, a: -zinb_log_prob(x, mu, theta, a),
                "The sign is wrong: this is the negative log-likelihood, a loss. The log-probability is due.",
            ),
            "probability": (
                lambda x, mu, theta, a: torch.exp(zinb_log_prob(x, mu, theta, a)),
                "You return the probability. Its logarithm is due.",
            ),
            "summed-over-genes": (
                lambda x, mu, theta, a: zinb_log_prob(x, mu, theta, a).sum(dim=-1),
                "You summed over the genes, as scVI 0.3.0 did. The function works elementwise; sums come later.",
            ),
            "summed": (
                lambda x, mu, theta, a: zinb_log_prob(x, mu, theta, a).sum(),
                "You summed over all entries. The function works elementwise; sums come later.",
            ),
        },
    ),
    Exercise(
        "5.3",
        "vae_course.nn.DecoderSCVI",
        cases=_cases_of_decoder,
        use=_use_decoder,
        examine=_examine_decoder,
        hidden=_hidden_decoder,
        gradients=("z", "library"),
        shape="(cells, genes)",
        properties=(_explain_heads, _explain_module, _explain_decoder),
        advice={
            "'int' object is not iterable": FC_ORDER,
            "'<' not supported between instances of 'NoneType' and 'int'": FC_ORDER,
            "needs a code for each of": "did you forget the star before cat_list?",
            "is missing: give its codes": "px_decoder needs the codes of all covariates: is the star before cat_list?",
        },
        hints=(
            "One trunk, FCLayers from n_input to n_hidden without dropout, and three heads that all read what it "
            "returns. Only the scale has something after its Linear; put the two in an nn.Sequential. The library is a "
            "logarithm.",
            "The names have to be scVI's: px_decoder for the trunk, px_scale_decoder, px_r_decoder and "
            "px_dropout_decoder for the heads. Which axis do the genes lie on, over which shares sum to 1? What turns "
            "a log-library into the size of a cell? And in which mode is the head of px_r asked at all?",
        ),
        mistakes={
            "softmax-over-cells": (
                _decoder(shares=lambda: nn.Softmax(dim=0)),
                "The softmax runs over the cells. The shares of the genes within one cell have to sum to 1: it goes "
                "over the last axis.",
            ),
            "no-softmax": (
                _decoder(shares=nn.Identity),
                "The softmax is missing: px_scale should hold shares of the genes, above 0, with a sum of 1 in each "
                "cell.",
            ),
            "sigmoid-for-softmax": (
                _decoder(shares=nn.Sigmoid),
                "A sigmoid makes numbers between 0 and 1, but they do not sum to 1 over the genes. A softmax does.",
            ),
            "softplus-for-softmax": (
                _decoder(shares=nn.Softplus),
                "A softplus makes positive numbers, but they do not sum to 1 over the genes. A softmax does.",
            ),
            "relu-for-softmax": (
                _decoder(shares=nn.ReLU),
                "A ReLU makes no shares: some genes get exactly 0, and the sum over the genes is not 1. A softmax is "
                "due.",
            ),
            "log-softmax": (
                _decoder(shares=lambda: nn.LogSoftmax(dim=-1)),
                "px_scale holds logarithms of shares. The shares themselves are due.",
            ),
            "library-not-exponentiated": (
                _decoder(rate=lambda scale, library: library * scale),
                "The library is the logarithm of a cell's size. Undo the logarithm before you multiply the shares by "
                "it.",
            ),
            "library-ignored": (
                _decoder(rate=lambda scale, library: scale),
                "px_rate is the same as px_scale: the size of the cell is missing.",
            ),
            "library-added": (
                _decoder(rate=lambda scale, library: torch.exp(library + scale)),
                "You add the share to the log-library inside the exponential. The share is no logarithm: it is "
                "multiplied with the size.",
            ),
            "log-rate": (
                _decoder(rate=lambda scale, library: library + torch.log(scale)),
                "px_rate is the logarithm of the expected counts. The expected counts are due.",
            ),
            "library-undone-by-ten": (
                _decoder(rate=lambda scale, library: 10**library * scale),
                "The library is a natural logarithm, not one to the base of 10.",
            ),
            "library-divides": (
                _decoder(rate=lambda scale, library: scale / torch.exp(library)),
                "You divide the shares by the size of the cell. A larger cell has larger counts.",
            ),
            "sigmoid-on-dropout": (
                _decoder(logits=torch.sigmoid),
                "px_dropout goes through a sigmoid. zinb_log_prob wants logits: return what the layer gives.",
            ),
            "exponential-of-r": (
                _decoder(r=torch.exp),
                "px_r goes through an exponential. It is the logarithm of theta: select_dispersion does that later.",
            ),
            "r-always": (
                _decoder(modes=("gene", "gene-batch", "gene-label", "gene-cell")),
                'px_r is returned in every mode. It should be None unless dispersion is "gene-cell".',
            ),
            "r-never": (
                _decoder(modes=()),
                'px_r is always None. When dispersion is "gene-cell" its head has to be asked.',
            ),
            "r-of-batches-too": (
                _decoder(modes=("gene-batch", "gene-label", "gene-cell")),
                'px_r is returned for "gene-batch" or "gene-label" too. In these modes the model has a parameter for '
                "it, and the decoder returns None.",
            ),
            "r-reversed": (
                _decoder(modes=("gene", "gene-batch", "gene-label")),
                'The condition on dispersion is reversed: px_r is due for "gene-cell" and for nothing else.',
            ),
            "dropout-in-the-trunk": (
                _decoder(trunk={"dropout_rate": 0.1}),
                "The shares change from pass to pass in train mode: the decoder has no dropout. FCLayers brings it "
                "unless it is told otherwise.",
            ),
            "rate-before-r": (
                _decoder(order=(0, 2, 1, 3)),
                "The results come in another order: it is px_scale, px_r, px_rate, px_dropout.",
            ),
            "dropout-before-rate": (
                _decoder(order=(0, 1, 3, 2)),
                "px_rate and px_dropout have changed places: the order is px_scale, px_r, px_rate, px_dropout.",
            ),
            "rate-first": (
                _decoder(order=(2, 1, 0, 3)),
                "px_scale and px_rate have changed places: the shares come first.",
            ),
            "three-results": (
                _decoder(order=(0, 2, 3)),
                "px_r is left out of the results. Four are due, the second of which is None in most modes.",
            ),
            "one-head-for-two": (
                _OneHeadDecoder,
                "px_r and px_dropout come from the same layer. Each needs a head of its own.",
            ),
            "trunk-for-every-head": (
                _DecoderWithATrunkForEveryHead,
                "The trunk runs anew for every head, so that in train mode its batch normalisation counts each "
                "minibatch several times. Let it run once; all heads read what it returned.",
            ),
            "heads-swapped": (
                _SwappedHeadsDecoder,
                "px_r comes from px_dropout_decoder and px_dropout from px_r_decoder: the two heads are exchanged.",
            ),
            "softmax-beside-the-head": (
                _BareScaleDecoder,
                "px_scale_decoder is a Linear alone, so that its weights have other names than in scVI. Put the Linear "
                "and the softmax together in an nn.Sequential.",
            ),
            "heads-without-trunk": (
                _DecoderWithoutTrunk,
                "There is no px_decoder: the heads read the latents directly, and all is linear but for the softmax. "
                "They share the hidden features of FCLayers.",
            ),
            "heads-on-latents": (
                _DecoderOfLatents,
                "The heads are as narrow as the latents. They read what px_decoder returns, n_hidden columns.",
            ),
            "trunk-to-genes": (
                _DecoderOfGenes,
                "px_decoder ends with n_output columns. It ends with n_hidden; the heads go from there to the genes.",
            ),
            "one-layer-only": (
                _OneLayerDecoder,
                "n_layers is not passed on to FCLayers: there is always a single layer.",
            ),
            "layers-for-width": (
                _DecoderWithLayersForWidth,
                "n_layers and n_hidden have changed places on the way to FCLayers: the number of layers comes first, "
                "then their width.",
            ),
            "no-place-for-covariates": (
                _HeadsWithoutLayers,
                "n_cat_list is not passed on to FCLayers, which has no columns for the covariates then.",
            ),
            "covariates-not-passed": (
                _decoder(covariates=False),
                "FCLayers misses its covariates: forward has to pass their codes on to px_decoder.",
            ),
        },
    ),
    Exercise(
        "5.4",
        "vae_course.vae.select_dispersion",
        cases=_cases_of_select_dispersion,
        use=_use_select_dispersion,
        hidden=_hidden_select_dispersion,
        gradients=("px_r",),
        returns=("theta",),
        plain=select_dispersion,
        shape="(cells, genes), or what broadcasts to it",
        properties=(_explain_dispersion,),
        hints=(
            "Two modes have a table with a column for every batch or label, and each cell needs the column of its own "
            "code, as a row. The other two modes already fit beside the counts. The exponential is common to all four.",
            "Codes in square brackets pick rows, but the batches are columns of the table, (genes, n_batch): turn it "
            "first. What else has to happen to the codes, which may be (cells, 1), so that two axes come out?",
        ),
        mistakes={
            "no-exponential": (
                _dispersion_of(end=lambda r: r * 1),
                "The exponential is missing: px_r is the logarithm of theta, and theta has to be above 0.",
            ),
            "softplus": (
                _dispersion_of(end=F.softplus),
                "A softplus also makes positive numbers, but px_r is the logarithm of theta: undo that.",
            ),
            "exponential-twice": (
                _dispersion_of(end=lambda r: torch.exp(torch.exp(r))),
                "The exponential is taken twice.",
            ),
            "inverted": (
                _dispersion_of(end=lambda r: torch.exp(-r)),
                "This is one over theta. px_r is the logarithm of theta, the inverse dispersion, itself.",
            ),
            "sigmoid": (
                _dispersion_of(end=torch.sigmoid),
                "A sigmoid keeps theta below 1. px_r is the logarithm of theta: undo that.",
            ),
            "exponential-in-two-modes-only": (
                _dispersion_of(plain=lambda r: r * 1),
                'The exponential is missing for "gene" and "gene-cell". All four modes store logarithms.',
            ),
            "exponential-missing-in-two-modes": (
                _dispersion_of(end=lambda r: r * 1, plain=torch.exp),
                'The exponential is missing for "gene-batch" and "gene-label". All four modes store logarithms.',
            ),
            "exponential-of-the-indicator": (
                _dispersion_of(
                    lambda r, codes: torch.exp(_indicator(codes, r.shape[1])) @ r.T,
                    end=lambda r: r * 1,
                    plain=torch.exp,
                ),
                "You take the exponential of the one-hot table, so that every category adds something. Select first, "
                "then take the exponential.",
            ),
            "not-transposed": (
                _dispersion_of(lambda r, codes: _indicator(codes, r.shape[1]) @ r),
                "px_r is multiplied as it is, (genes, n_batch). Its batches have to meet those of the one-hot table: "
                "transpose it.",
            ),
            "transposed-result": (
                _dispersion_of(lambda r, codes: r[:, codes.flatten()]),
                "The result is transposed: a row for every gene. A row for every cell is due.",
            ),
            "genes-for-categories": (
                _dispersion_of(lambda r, codes: r[codes.flatten()]),
                "The codes pick rows of px_r, which are genes. Batches and labels are its columns.",
            ),
            "extra-axis": (
                _dispersion_of(lambda r, codes: r.T[codes]),
                "Right for codes of shape (cells,), but (cells, 1) gives a result with three axes. Flatten the codes "
                "first.",
            ),
            "first-category-for-all": (
                _dispersion_of(lambda r, codes: r[:, 0]),
                "All cells get the theta of the first batch or label. Each needs that of its own.",
            ),
            "mean-over-categories": (
                _dispersion_of(lambda r, codes: r.mean(dim=1)),
                "You average over the batches or labels. Each cell needs the theta of its own.",
            ),
            "codes-ignored": (
                _dispersion_of(lambda r, codes: r),
                "The table is returned as it is, (genes, n_batch). A row for every cell is due, with the theta of its "
                "own batch or label.",
            ),
            "width-from-the-data": (
                _dispersion_of(lambda r, codes: F.one_hot(codes.flatten()).float() @ r.T),
                "The width of the one-hot table comes from the largest code at hand, so that it does not fit when no "
                "cell has the last category. px_r tells how many there are.",
            ),
            "labels-for-batches": (
                _dispersion_of(codes_of=lambda mode, batch_index, y: y),
                '"gene-batch" goes by y, the labels. Its codes are in batch_index.',
            ),
            "batches-for-labels": (
                _dispersion_of(codes_of=lambda mode, batch_index, y: batch_index),
                '"gene-label" goes by batch_index. Its codes are in y.',
            ),
            "codes-exchanged": (
                _dispersion_of(codes_of=lambda mode, batch_index, y: y if mode == "gene-batch" else batch_index),
                'batch_index and y have changed places: "gene-batch" needs the first, "gene-label" the second.',
            ),
            "gene-cell-forgotten": (
                _dispersion_without_gene_cell,
                'Nothing is returned for "gene-cell": px_r, (cells, genes), needs its exponential there too.',
            ),
        },
    ),
    Exercise(
        "5.5",
        "vae_course.distributions.scvi_kl",
        cases=_cases_of_scvi_kl,
        hidden=_hidden_scvi_kl,
        gradients=("qz_m", "qz_v", "ql_m", "ql_v", "library_mean", "library_var"),
        returns=("the local KL", "the global KL"),
        shape="(cells,), one number for every cell",
        properties=(_explain_scvi_kl,),
        hints=(
            "You have written both before: kl_normal takes two variances, kl_standard_normal a log-variance. Which of "
            "them does each latent need, and which axis has to go?",
            "The library l has a prior of its own for every cell and a last axis of length 1, which a sum removes. z "
            "has the prior N(0, I), and torch.log turns a variance into a log-variance.",
        ),
        mistakes={
            "order-of-the-results": (
                lambda *a: scvi_kl(*a)[::-1],
                "The two results have changed places: first the local KL, that of the library, then the global one, "
                "that of z.",
            ),
            "variance-for-log-variance": (
                _kls(latent=kl_standard_normal),
                "The second result takes qz_v for a log-variance. It is the variance already.",
            ),
            "log-variance-of-the-library": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v.log(), p_m, p_v).sum(-1)),
                "kl_normal takes variances, not log-variances: ql_v goes in as it is.",
            ),
            "log-variance-of-the-library-prior": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m, p_v.log()).sum(-1)),
                "kl_normal takes variances, not log-variances: library_var goes in as it is.",
            ),
            "log-variances-of-the-library": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v.log(), p_m, p_v.log()).sum(-1)),
                "kl_normal takes variances, not log-variances: ql_v and library_var go in as they are.",
            ),
            "log-variance-of-the-latents": (
                _kls(latent=lambda m, v: _latent_kl_terms(m, v.log()).sum(-1)),
                "kl_normal takes variances, not log-variances: qz_v goes in as it is. It is kl_standard_normal that "
                "wants a logarithm.",
            ),
            "summed-once-more": (
                _kls(latent=lambda m, v: kl_standard_normal(m, torch.log(v)).sum(-1)),
                "kl_standard_normal has summed over the latents already, so that your sum goes over the cells. One "
                "number for every cell is due, (cells,).",
            ),
            "all-variances-for-log-variances": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v.exp(), p_m, p_v.exp()).sum(-1), kl_standard_normal),
                "You take the variances for log-variances and exponentiate them. They are variances already.",
            ),
            "variances-for-standard-deviations": (
                _kls(
                    lambda m, v, p_m, p_v: kl_normal(m, v**2, p_m, p_v**2).sum(-1),
                    lambda m, v: kl_standard_normal(m, 2 * torch.log(v)),
                ),
                "You take the variances for standard deviations. torch.distributions.Normal, for one, wants the square "
                "root of a variance.",
            ),
            "standard-deviations-for-variances": (
                _kls(
                    lambda m, v, p_m, p_v: kl_normal(m, v.sqrt(), p_m, p_v.sqrt()).sum(-1),
                    lambda m, v: kl_standard_normal(m, 0.5 * torch.log(v)),
                ),
                "You take square roots of the variances and then use them as variances.",
            ),
            "axis-left-over": (
                _kls(kl_normal),
                "kl_local still has its last axis, (cells, 1). Added to kl_global, (cells,), it would broadcast to "
                "(cells, cells) without a word.",
            ),
            "squeezed-away": (
                _kls(lambda *a: kl_normal(*a).squeeze()),
                "Right for several cells, but squeeze() takes every axis of length 1, and with a single cell also that "
                "of the cells. Take the last axis only.",
            ),
            "both-squeezed-away": (
                lambda *a: tuple(kl.squeeze() for kl in scvi_kl(*a)),
                "Right for several cells, but with a single one squeeze() takes the axis of the cells away from both. "
                "Take the last axis only.",
            ),
            "both-axes-left-over": (
                _kls(kl_normal, lambda m, v: _latent_kl_terms(m, v).sum(-1, keepdim=True)),
                "Both results still have a last axis of length 1. One number for every cell is due, (cells,).",
            ),
            "every-cell-with-every-prior": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m.flatten(), p_v.flatten())),
                "A column of posteriors, (cells, 1), meets a row of priors, (cells,), and broadcasts to (cells, "
                "cells). Every cell should meet its own prior only.",
            ),
            "every-cell-with-every-prior-summed": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m.flatten(), p_v.flatten()).sum(-1)),
                "A column of posteriors, (cells, 1), met a row of priors, (cells,), and you summed over (cells, "
                "cells). The shape is right by chance only: every cell should meet its own prior.",
            ),
            "every-cell-with-every-prior-averaged": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m.flatten(), p_v.flatten()).mean(-1)),
                "A column of posteriors, (cells, 1), met a row of priors, (cells,), and you averaged over (cells, "
                "cells). The shape is right by chance only: every cell should meet its own prior.",
            ),
            "standard-deviation-of-the-prior": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m, p_v**2).sum(-1)),
                "You take library_var for a standard deviation. It is a variance, as ql_v is.",
            ),
            "standard-normal-library": (
                _kls(lambda m, v, p_m, p_v: _latent_kl_terms(m, v).sum(-1)),
                "kl_local compares the library with N(0, 1). Its prior has the mean and variance that are given, and "
                "log-libraries are nowhere near 0.",
            ),
            "library-variance-of-one": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m, torch.ones_like(p_v)).sum(-1)),
                "library_var is not used: the prior of the library has a variance of its own.",
            ),
            "library-mean-of-zero": (
                _kls(lambda m, v, p_m, p_v: kl_normal(m, v, torch.zeros_like(p_m), p_v).sum(-1)),
                "library_mean is not used: the prior of the library has a mean of its own.",
            ),
            "mean-over-latents": (
                _kls(latent=lambda m, v: _latent_kl_terms(m, v).mean(-1)),
                "kl_global averages over the latents. The KL of independent latents is the sum of theirs.",
            ),
            "latents-kept": (
                _kls(latent=_latent_kl_terms),
                "kl_global still has one number for every latent. Sum over them, so that one for every cell is left.",
            ),
            "sum-over-cells": (
                _kls(
                    lambda *a: kl_normal(*a).sum(0),
                    lambda m, v: _latent_kl_terms(m, v).sum(0),
                ),
                "You summed over the first axis, the cells. The last one has to go.",
            ),
            "averaged-over-cells": (
                lambda *a: tuple(kl.mean() for kl in scvi_kl(*a)),
                "You averaged over the cells. One number for every cell is due; the mean comes later, in the loss.",
            ),
            "reversed-library": (
                _kls(lambda m, v, p_m, p_v: kl_normal(p_m, p_v, m, v).sum(-1)),
                "kl_local is KL(prior, posterior). It is the other way round: q(l|x) comes first.",
            ),
            "reversed-latent": (
                _kls(latent=lambda m, v: kl_normal(torch.zeros(()), torch.ones(()), m, v).sum(-1)),
                "kl_global is KL(prior, posterior). It is the other way round: q(z|x) comes first.",
            ),
            "both-reversed": (
                _kls(
                    lambda m, v, p_m, p_v: kl_normal(p_m, p_v, m, v).sum(-1),
                    lambda m, v: kl_normal(torch.zeros(()), torch.ones(()), m, v).sum(-1),
                ),
                "Both are KL(prior, posterior). It is the other way round: the posterior q comes first.",
            ),
            "negative": (
                lambda *a: tuple(-kl for kl in scvi_kl(*a)),
                "The sign is wrong: a KL divergence is never negative. It is the ELBO that contains minus the KL.",
            ),
            "added": (
                lambda *a: sum(scvi_kl(*a)),
                "You return the sum of the two. They are due one by one: only the global one is weighted by the KL "
                "warm-up.",
            ),
            "fixed-prior": (
                lambda qz_m, qz_v, ql_m, ql_v, p_m, p_v: scvi_kl(qz_m, qz_v, ql_m, ql_v, p_m.detach(), p_v.detach()),
                "The values are right, but the prior is detached: no gradient reaches library_mean and library_var.",
            ),
        },
    ),
    Exercise(
        "5.6",
        "vae_course.data.corrupt",
        cases=_cases_of_corrupt,
        use=_use_corrupt,
        examine=_examine_corrupt,
        hidden=_hidden_corrupt,
        properties=(_explain_corrupt,),
        plain=corrupt,
        hints=(
            "Three steps: find the positions of the non-zero entries, put them in a random order, and take as many "
            "from the front as are due. Positions are easiest in counts.flatten().",
            "torch.randperm makes a random order of 0..n-1 and takes generator=; what is n here, and what do these "
            "numbers count? int() of a positive number rounds down. Mark the chosen entries in a flat boolean mask: "
            "both results follow from it.",
        ),
        mistakes={
            "share-of-all-entries": (
                _hiding(lambda flat, rate, n, g: _shuffled(n, g)[: int(rate * len(flat))]),
                "You take the share of *all* entries, so that far too many counts are hidden. It is a share of the "
                "non-zero ones.",
            ),
            "zeros-chosen-too": (
                _hiding(
                    lambda flat, rate, n, g: torch.randperm(len(flat), generator=g)[: int(rate * n)], among_all=True
                ),
                "Entries that are zero already are chosen too, and nothing is hidden there. Choose among the non-zero "
                "ones only.",
            ),
            "share-of-all-and-zeros-too": (
                _hiding(
                    lambda flat, rate, n, g: torch.randperm(len(flat), generator=g)[: int(rate * len(flat))],
                    among_all=True,
                ),
                "You choose among all entries, zeros included. Both the choice and the share concern the non-zero ones "
                "only.",
            ),
            "a-coin-for-every-count": (
                _by_mask(lambda counts, rate, g: (torch.rand(counts.shape, generator=g) < rate) & (counts > 0)),
                "You toss a coin for every count, so that the number of hidden ones changes from call to call. Exactly "
                "floor(rate * non-zeros) are due.",
            ),
            "a-coin-for-every-entry": (
                _by_mask(lambda counts, rate, g: torch.rand(counts.shape, generator=g) < rate),
                "You toss a coin for every entry, zeros included, and the number of hidden counts changes from call to "
                "call. Choose an exact number of non-zero ones.",
            ),
            "with-replacement": (
                _hiding(lambda flat, rate, n, g: torch.randint(max(n, 1), (int(rate * n),), generator=g)),
                "An entry may be drawn twice, so that often too few are hidden. The entries have to be distinct: a "
                "random order has every position once.",
            ),
            "first-entries": (
                _hiding(lambda flat, rate, n, g: torch.arange(int(rate * n))),
                "Nothing is random: you always hide the first ones.",
            ),
            "largest-counts": (
                _hiding(
                    lambda flat, rate, n, g: flat[flat != 0].argsort(descending=True, stable=True)[: int(rate * n)]
                ),
                "Nothing is random: you always hide the largest counts.",
            ),
            "larger-counts-preferred": (
                _hiding(
                    lambda flat, rate, n, g: (
                        torch.multinomial(flat[flat != 0], int(rate * n), generator=g)
                        if int(rate * n)
                        else torch.arange(0)
                    )
                ),
                "Larger counts are hidden more often: they serve as weights. Every non-zero entry should be as likely "
                "as any other.",
            ),
            "a-random-stretch": (
                _hiding(
                    lambda flat, rate, n, g: (
                        (torch.arange(int(rate * n)) + int(torch.randint(max(n, 1), (1,), generator=g))) % max(n, 1)
                    )
                ),
                "You hide a stretch of neighbouring counts, of which only the start is random. Every set of entries "
                "should be as likely as any other.",
            ),
            "in-place": (
                _in_place,
                "The choice is right, but counts itself changes too, and nothing is left to compare with. Work on a "
                "copy.",
            ),
            "mask-inverted": (
                _with_mask(lambda counts, corrupted, mask: ~mask),
                "The mask is the wrong way round: it should be True where a count became 0.",
            ),
            "mask-of-the-entries-left": (
                _with_mask(lambda counts, corrupted, mask: corrupted != 0),
                "The mask is True for the counts that are left. It should be True where one became 0.",
            ),
            "mask-of-all-zeros": (
                _with_mask(lambda counts, corrupted, mask: corrupted == 0),
                "The mask is True at every zero, also where there was one before. Those were not hidden, and nothing "
                "is to be restored there.",
            ),
            "mask-of-numbers": (
                _with_mask(lambda counts, corrupted, mask: mask.float()),
                "The mask holds numbers. With them counts[mask] would not select: it should be boolean.",
            ),
            "mask-of-integers": (
                _with_mask(lambda counts, corrupted, mask: mask.long()),
                "The mask holds integers. As an index they mean rows 0 and 1: it should be boolean.",
            ),
            "rounded-up": (
                _hiding(lambda flat, rate, n, g: _shuffled(n, g)[: math.ceil(rate * n)]),
                "The number of hidden entries is rounded up. Round down.",
            ),
            "rounded-to-the-nearest": (
                _hiding(lambda flat, rate, n, g: _shuffled(n, g)[: round(rate * n)]),
                "The number of hidden entries is rounded to the nearest whole number. Round down.",
            ),
            "kept-instead-of-hidden": (
                _hiding(lambda flat, rate, n, g: _shuffled(n, g)[int(rate * n) :]),
                "You keep the share that should be hidden, and hide the rest.",
            ),
            "cell-by-cell": (
                _cell_by_cell,
                "You take a share of every cell, and rounding down in each of them loses some. The share is of all "
                "non-zero entries together.",
            ),
            "whole-cells": (
                _whole_cells,
                "You choose cells and hide all that is in them. Choose single entries.",
            ),
            "generator-ignored": (
                _hiding(lambda flat, rate, n, g: torch.randperm(n)[: int(rate * n)]),
                "The generator is not used, so that nobody can repeat the draw: give it to torch's function.",
            ),
            "seed-of-its-own": (
                _hiding(lambda flat, rate, n, g: _shuffled(n, torch.Generator().manual_seed(0))[: int(rate * n)]),
                "You make a generator of your own with a fixed seed: every call hides the same entries. Use the one "
                "that is given.",
            ),
            "global-seed": (
                _seeding,
                "You seed PyTorch for everyone and draw from there. Only the generator that is given may be used, and "
                "every call should draw anew.",
            ),
            "nothing-hidden": (
                lambda counts, rate, g: (counts.clone(), corrupt(counts, rate, g)[1]),
                "The mask says what to hide, but the counts are returned as they were.",
            ),
            "one-read-less": (
                lambda counts, rate, g: (lambda mask: (counts - mask.float(), mask))(corrupt(counts, rate, g)[1]),
                "You take 1 off the chosen counts. They should become 0.",
            ),
            "others-hidden": (
                lambda counts, rate, g: (lambda mask: (counts * mask, mask))(corrupt(counts, rate, g)[1]),
                "You hide everything but the chosen entries: multiplying by the mask keeps what is True.",
            ),
            "order-of-the-results": (
                lambda counts, rate, g: corrupt(counts, rate, g)[::-1],
                "The two results have changed places: first the corrupted counts, then the mask.",
            ),
            "no-mask": (
                lambda counts, rate, g: corrupt(counts, rate, g)[0],
                "You return the corrupted counts alone. The mask is due as well, to know where to look later.",
            ),
        },
    ),
    Exercise(
        "5.7",
        "vae_course.metrics.entropy_batch_mixing",
        cases=_cases_of_mixing,
        hidden=_hidden_mixing,
        shape="one score for all cells",
        properties=(_explain_mixing,),
        advice=dict.fromkeys(COLUMN_MEETS_ROW, "flatten the codes first, which may have shape (cells, 1)"),
        plain=entropy_batch_mixing,
        hints=(
            "First the neighbours: a table of all distances, in which no cell may choose itself. Then, for every cell, "
            "the share of each batch among its neighbours, an entropy from the shares, and the mean over cells.",
            "torch.cdist gives all distances, topk(..., largest=False) the smallest of every row: what has to stand on "
            "the diagonal before? Look up the neighbours' batches, (cells, n_neighbors), by their positions. "
            "torch.xlogy knows what p log p is for p = 0.",
        ),
        mistakes={
            "self-among-the-neighbours": (
                _mixing(lambda z, k: _all_ordered(z)[:, :k]),
                "Every cell counts as its own nearest neighbour, so that batches look less mixed than they are. Leave "
                "it out.",
            ),
            "self-and-the-neighbours": (
                _mixing(lambda z, k: _all_ordered(z)[:, : k + 1]),
                "Every cell is counted besides its neighbours, so that there are n_neighbors + 1. Leave it out.",
            ),
            "one-neighbour-short": (
                _mixing(lambda z, k: _all_ordered(z)[:, 1:k]),
                "You leave the cell itself out, but of the n_neighbors nearest: one neighbour too few is left.",
            ),
            "nearest-left-out": (
                _mixing(lambda z, k: _all_ordered(z)[:, 1 : k + 1]),
                "Right as long as all cells are at different places: you leave out the nearest one and trust that it "
                "is the cell itself. A double of it may come first, so leave it out by its position in the table.",
            ),
            "doubles-left-out": (
                _mixing(_but_doubles),
                "Right as long as all cells are at different places: you leave out everything at distance 0, and with "
                "the cell itself go its doubles. Leave it out by its position in the table.",
            ),
            "base-two": (
                _mixing(score=lambda shares: _entropies(shares).mean() / math.log(2)),
                "This is in bits, from a logarithm of base 2. Nats are due, from the natural one.",
            ),
            "base-ten": (
                _mixing(score=lambda shares: _entropies(shares).mean() / math.log(10)),
                "The logarithm has base 10. Nats are due, from the natural one.",
            ),
            "all-cells": (
                lambda z, b, k=50: _entropies(nn.functional.one_hot(b.flatten()).double().mean(dim=0)),
                "These are the shares of the batches among all cells, wherever they lie. Take those among each cell's "
                "neighbours.",
            ),
            "entropy-of-the-mean": (
                _mixing(score=lambda shares: _entropies(shares.mean(dim=0))),
                "You averaged the shares over the cells and took one entropy. Take an entropy for every cell first: "
                "cells with a neighbourhood of a single batch each should give 0.",
            ),
            "zero-times-infinity": (
                _mixing(score=lambda shares: -(shares * torch.log(shares)).sum(dim=-1).mean()),
                "Where a batch is missing among the neighbours you compute 0 * log(0), which is nan. Its part of the "
                "entropy is 0.",
            ),
            "manhattan": (
                _mixing(lambda z, k: _neighbours(z, k, norm=1)),
                "You add up absolute differences. The Euclidean distance is the root of the sum of their squares.",
            ),
            "largest-difference": (
                _mixing(lambda z, k: _neighbours(z, k, norm=math.inf)),
                "You take the largest difference over the latents. The Euclidean distance uses all of them.",
            ),
            "dot-products": (
                _mixing(
                    lambda z, k: (
                        (z @ z.T).fill_diagonal_(-torch.inf).argsort(dim=1, descending=True, stable=True)[:, :k]
                    )
                ),
                "Your neighbours have the largest dot products. Take those with the smallest Euclidean distances.",
            ),
            "first-latent-only": (
                _mixing(lambda z, k: _neighbours(z[:, :1], k)),
                "Only the first latent enters the distances. All of them do.",
            ),
            "codes-in-a-column": (
                _codes_in_a_column,
                "Right for codes of shape (cells,), but not for (cells, 1), where the axis of length 1 takes the place "
                "of another. Flatten them first.",
            ),
            "farthest-and-self": (
                _mixing(_farthest_and_self),
                "You take the largest distances: the farthest cells and, with infinity on the diagonal, the cell "
                "itself. Neighbours are the nearest.",
            ),
            "farthest": (
                _mixing(
                    lambda z, k: (z.unsqueeze(1) - z).norm(dim=-1).argsort(dim=1, descending=True, stable=True)[:, :k]
                ),
                "You take the farthest cells. Neighbours are the nearest.",
            ),
            "two-batches-only": (
                _mixing(
                    score=lambda shares: (
                        -(
                            torch.xlogy(shares[:, 0], shares[:, 0]) + torch.xlogy(1 - shares[:, 0], 1 - shares[:, 0])
                        ).mean()
                    )
                ),
                "Right for two batches, wrong for more: you compare batch 0 with all the others. Every batch has a "
                "share of its own.",
            ),
            "own-batch-or-not": (
                _own_batch_entropy,
                "Right for two batches, wrong for more: you compare a cell's own batch with all the others. Every "
                "batch has a share of its own.",
            ),
            "codes-averaged": (
                _codes_averaged,
                "Right for batches 0 and 1, wrong for more: you averaged the codes as if they were shares. Count how "
                "often each batch occurs.",
            ),
            "summed": (
                _mixing(score=lambda shares: _entropies(shares).sum()),
                "You summed over the cells. Their mean is due.",
            ),
            "not-averaged": (
                _mixing(score=_entropies),
                "You return one entropy for every cell. Their mean is due.",
            ),
            "median": (
                _mixing(score=lambda shares: _entropies(shares).quantile(0.5)),
                "You return the median over the cells. Their mean is due.",
            ),
            "mean-over-batches": (
                _mixing(score=lambda shares: -torch.xlogy(shares, shares).mean()),
                "You averaged over the batches. An entropy is a sum over them; the mean is over cells.",
            ),
            "mean-within-batches": (
                _mixing_by_batch,
                "You averaged within each batch first, so that cells of small batches weigh more. All cells weigh the "
                "same.",
            ),
            "sign": (
                _mixing(score=lambda shares: -_entropies(shares).mean()),
                "The sign is wrong: logarithms of shares are negative, and an entropy is minus their mean.",
            ),
            "share-of-the-most": (
                _mixing(score=lambda shares: _entropies(shares).mean() / math.log(shares.shape[1])),
                "You divide by the largest entropy there can be. The entropy itself is due, in nats.",
            ),
            "always-fifty": (
                lambda z, b, k=50: _entropies(_shares((torch.cdist(z, z)).topk(50, largest=False).indices, b)).mean(),
                "n_neighbors is not used: it is always 50. That is only its default.",
            ),
        },
    ),
    Exercise(
        "5.8",
        "vae_course.metrics.bayes_factor",
        cases=_cases_of_bayes_factor,
        hidden=_hidden_bayes_factor,
        shape="one number for every gene, (genes,), or a single one for (draws,)",
        properties=(_explain_bayes_factor,),
        plain=bayes_factor,
        hints=(
            "First p, the share of draws in which group 1 is higher: a comparison gives True and False, which can be "
            "averaged over the first axis once they are numbers. A tie is half a win.",
            "(scale_1 > scale_2).double() and (scale_1 == scale_2).double() are wins and ties, a row for every draw. "
            "Then two logarithms, each with eps added inside, so that neither meets 0.",
        ),
        mistakes={
            "ties-as-wins": (
                _factor(lambda a, b: (a >= b).double().mean(dim=0)),
                "A tie counts as a win of group 1. It should count half, so that neither group is favoured.",
            ),
            "ties-as-losses": (
                _factor(lambda a, b: (a > b).double().mean(dim=0)),
                "A tie counts as a win of group 2. It should count half, so that neither group is favoured.",
            ),
            "ties-left-out": (
                _factor(lambda a, b: (a > b).double().sum(dim=0) / (a != b).double().sum(dim=0)),
                "You leave the draws with a tie out. They should count half.",
            ),
            "near-ties": (
                _factor(lambda a, b: ((a > b) & ~a.isclose(b)).double().mean(0) + a.isclose(b).double().mean(0) / 2),
                "Right for large scales, but scales of many genes are tiny, and isclose() takes all that is below 1e-8 "
                "for equal. A tie is an equality.",
            ),
            "all-pairs": (
                _factor(lambda a, b: _p((a.unsqueeze(1) - b).flatten(0, 1), torch.zeros(()))),
                "You compare every draw of group 1 with every draw of group 2. Compare row with row.",
            ),
            "no-eps": (
                _factor(score=lambda p, eps: torch.log(p) - torch.log(1 - p)),
                "Right as long as neither group wins always, but for p = 0 or p = 1 a logarithm meets 0 and is "
                "infinite. eps is there for that.",
            ),
            "eps-in-the-first-log-only": (
                _factor(score=lambda p, eps: torch.log(p + eps) - torch.log(1 - p)),
                "eps is in the first logarithm only, so that p = 1 gives infinity. Both need it.",
            ),
            "eps-in-the-second-log-only": (
                _factor(score=lambda p, eps: torch.log(p) - torch.log(1 - p + eps)),
                "eps is in the second logarithm only, so that p = 0 gives minus infinity. Both need it.",
            ),
            "eps-subtracted": (
                _factor(score=lambda p, eps: torch.log(p + eps) - torch.log(1 - (p + eps))),
                "eps is subtracted in the second logarithm: for p = 1 something negative is left, and the result is "
                "nan. Add it in both.",
            ),
            "eps-rounded-away": (
                _factor(score=lambda p, eps: torch.log(p.float() + eps) - torch.log(1 + eps - p.float())),
                "In float32, 1 + 1e-8 is exactly 1: eps is rounded away, and p = 1 gives infinity. Subtract p from 1 "
                "before you add it, or compute in float64.",
            ),
            "eps-fixed": (
                _factor(score=lambda p, eps: _odds(p, 1e-8)),
                "eps is not used: it is always 1e-8. That is only its default.",
            ),
            "clamped": (
                _factor(score=lambda p, eps: torch.logit(p, eps=eps)),
                "You clamp p between eps and 1 - eps. eps is to be added inside both logarithms, which also changes "
                "what lies in between a little.",
            ),
            "base-two": (
                _factor(score=lambda p, eps: _odds(p, eps) / math.log(2)),
                "The logarithm has base 2. The natural one is due.",
            ),
            "base-ten": (
                _factor(score=lambda p, eps: _odds(p, eps) / math.log(10)),
                "The logarithm has base 10. The natural one is due.",
            ),
            "log-of-p-only": (
                _factor(score=lambda p, eps: torch.log(p + eps)),
                "This is log p alone. The Bayes factor compares p with 1 - p.",
            ),
            "odds": (
                _factor(score=lambda p, eps: (p + eps) / (1 - p + eps)),
                "These are the odds. Their logarithm is due, so that 0 means undecided.",
            ),
            "logarithms-added": (
                _factor(score=lambda p, eps: torch.log(p + eps) + torch.log(1 - p + eps)),
                "You add the two logarithms. Of a quotient they are subtracted.",
            ),
            "logarithms-divided": (
                _factor(score=lambda p, eps: torch.log(p + eps) / torch.log(1 - p + eps)),
                "You divided two logarithms. The logarithm of a quotient is a difference of logarithms.",
            ),
            "means-compared": (
                _factor(lambda a, b: _p(a.mean(dim=0, keepdim=True), b.mean(dim=0, keepdim=True))),
                "You compare the mean scales, so that p can only be 0 or 1. Compare draw by draw, then average.",
            ),
            "fold-change": (
                lambda a, b, eps=1e-8: torch.log(a.mean(dim=0) + eps) - torch.log(b.mean(dim=0) + eps),
                "This is the log fold change of the mean scales, the size of an effect. A Bayes factor says how sure "
                "one can be of its direction.",
            ),
            "swapped": (
                _factor(score=lambda p, eps: -_odds(p, eps)),
                "The sign is wrong: above 0 where group 1 is higher. Have the two groups changed places?",
            ),
            "probability": (
                _factor(score=lambda p, eps: p),
                "This is the probability p. Make log-odds of it.",
            ),
            "mean-over-genes": (
                lambda a, b, eps=1e-8: _odds(_p(a, b).mean(), eps),
                "You averaged over the genes too. Every gene has a Bayes factor of its own.",
            ),
            "wrong-axis": (
                _factor(lambda a, b: ((a > b).double() + (a == b).double() / 2).mean(dim=-1)),
                "You averaged over the last axis, the genes. The draws are the first one.",
            ),
            "averaged-factors": (
                lambda a, b, eps=1e-8: _odds((a > b).double() + (a == b).double() / 2, eps).mean(dim=0),
                "You make a Bayes factor of every single draw and average those. Average first, to get p.",
            ),
            "not-averaged": (
                lambda a, b, eps=1e-8: _odds((a > b).double() + (a == b).double() / 2, eps),
                "You return one number for every draw. Average over the draws first, to get p.",
            ),
            "absolute": (
                _factor(score=lambda p, eps: _odds(p, eps).abs()),
                "You return absolute values. The sign tells which group is higher.",
            ),
        },
    ),
]
