"""Lesson 3, the demo: reference answers that only the lesson needs, the runs to diagnose, and what goes wrong."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.binary_vae import BinaryVAE
from vae_course.data import CountData
from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.engine import Exercise
from vae_course.exercises.lesson2 import _between, _tensor_from
from vae_course.nn import FCLayers
from vae_course.runtime.seeds import seeded


def train_epoch(model: BinaryVAE, minibatches: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Train a model for one epoch: one step of the optimizer for every minibatch.

    Parameters
    ----------
    model
        A `BinaryVAE`; `model.loss(x)[0]` is what to minimise, nats per cell.
    minibatches
        Tensors x of (cells, n_input), to be walked once; they may be of unequal size.
    optimizer
        Holds the model's parameters.

    Returns
    -------
    float
        The loss, each minibatch's taken before its step, as a mean over all cells, nats per cell.
    """
    model.train()
    total, n_cells = 0.0, 0
    for x in minibatches:
        loss = model.loss(x)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
        n_cells += len(x)
    return total / n_cells


def sample_prior(model: BinaryVAE, n_cells: int, generator: torch.Generator) -> Tensor:
    """Make cells up: draw latents from the prior and decode them.

    Parameters
    ----------
    model
        A trained `BinaryVAE`, in train or eval mode; it has to be used in eval mode. It has `model.n_latent` latents.
    n_cells
        Number of cells.
    generator
        Source of the draws.

    Returns
    -------
    Tensor
        Probabilities of a 1, (n_cells, n_input), without a gradient.
    """
    model.eval()
    z = torch.randn(n_cells, model.n_latent, generator=generator)
    with torch.no_grad():
        return torch.sigmoid(model.decode(z))


def latent_walk(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    """Walk from one cell to another in the latent space, in even steps on a straight line, and decode every step.

    Parameters
    ----------
    model
        A trained `BinaryVAE`, in train or eval mode; it has to be used in eval mode.
    x_start, x_end
        Two cells, (n_input,) each. The walk goes from one posterior mean to the other.
    n_steps
        Number of points on the line, both ends included; at least 2.

    Returns
    -------
    Tensor
        Probabilities of a 1, (n_steps, n_input), without a gradient.
    """
    model.eval()
    share = torch.linspace(0, 1, n_steps).unsqueeze(-1)  # (n_steps, 1)
    with torch.no_grad():
        means, _ = model.encode(torch.stack([x_start, x_end]))  # (2, n_latent)
        z = (1 - share) * means[0] + share * means[1]  # (n_steps, n_latent)
        return torch.sigmoid(model.decode(z))


def diagnose() -> dict[str, str]:
    """Name what is wrong with each of the runs whose curves are plotted above.

    Returns
    -------
    dict
        For each run, "A" to "F", one of the causes in the list.
    """
    return {
        "A": "overfitting",
        "B": "learning rate too high",
        "C": "nothing is wrong",
        "D": "KL forgotten",
        "E": "posterior collapse",
        "F": "learning rate too low",
    }


# --------------------------------------------------------------------------------------------------------------------
# The runs to diagnose
# --------------------------------------------------------------------------------------------------------------------

CAUSES = (
    "nothing is wrong",
    "learning rate too high",
    "learning rate too low",
    "overfitting",
    "posterior collapse",
    "KL forgotten",
)
MADE_WITH = {  # training cells, cells in a minibatch, number of latents, learning rate, weight of the KL in the loss
    "nothing is wrong": (1400, 100, 2, 5e-3, 1.0),
    "learning rate too high": (1400, 100, 2, 0.1, 1.0),
    "learning rate too low": (1400, 100, 2, 1e-5, 1.0),
    "overfitting": (60, 10, 10, 2e-2, 1.0),
    "posterior collapse": (1400, 100, 2, 5e-3, 30.0),
    "KL forgotten": (1400, 100, 2, 5e-3, 0.0),
}
N_EPOCHS = 40


def mystery_runs(data: CountData) -> dict[str, dict[str, list[float]]]:
    """Train a small binary VAE once for every cause, and record what the curves show.

    Parameters
    ----------
    data
        Binary data of at least 1,700 cells: of 1,400 training and 300 held-out ones.

    Returns
    -------
    dict
        For each run, "A" to "F": "bce train", "kl train", "bce held out" and "kl held out", nats per cell of every
        epoch. The training cells count as they were trained on, the held-out ones in eval mode after the epoch.
    """
    return {letter: _run(data, *MADE_WITH[cause]) for letter, cause in diagnose().items()}


def _run(
    data: CountData, n_train: int, batch_size: int, n_latent: int, lr: float, kl_weight: float
) -> dict[str, list[float]]:
    x = torch.from_numpy(data.counts.toarray())
    history: dict[str, list[float]] = {name: [] for name in ("bce train", "kl train", "bce held out", "kl held out")}
    with seeded(0):
        order = torch.randperm(len(x))
        train, held_out = x[order[:n_train]], x[order[-300:]]
        model = BinaryVAE(data.n_genes, n_latent=n_latent, n_hidden=64)
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        for _ in range(N_EPOCHS):
            model.train()
            terms = []
            for minibatch in train[torch.randperm(n_train)].split(batch_size):
                _, bce, kl = model.loss(minibatch)
                optimizer.zero_grad()
                (bce + kl_weight * kl).backward()
                optimizer.step()
                terms.append((bce.item(), kl.item()))
            model.eval()
            with torch.no_grad():
                held_out_terms = [term.item() for term in model.loss(held_out)[1:]]
            values = [*torch.tensor(terms).mean(dim=0).tolist(), *held_out_terms]
            for name, value in zip(history, values, strict=True):
                history[name].append(value)
    return history


# --------------------------------------------------------------------------------------------------------------------
# What an attempt is asked, and what can be told from the answers
# --------------------------------------------------------------------------------------------------------------------


def _loss_of(bce: Tensor, kl: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return bce + kl, bce, kl


def _bce(x: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy of every entry, (cells, genes)."""
    return F.softplus(logits) - x * logits


def _kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL to the prior of every latent, (cells, n_latent)."""
    return 0.5 * (torch.exp(logvar) + mean**2 - 1 - logvar)


def _loss_case(label: str, n_cells: int, n_genes: int, n_latent: int, generator: torch.Generator) -> Case:
    x = torch.bernoulli(torch.full((n_cells, n_genes), 0.4), generator=generator)
    logits = 2 * torch.randn(n_cells, n_genes, generator=generator)
    mean, logvar = (torch.randn(n_cells, n_latent, generator=generator) for _ in range(2))
    return Case(label, (x, logits, mean, logvar))


def _cases_of_loss() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    cases = [
        _loss_case("four cells of five genes, with two latents", 4, 5, 2, generator),
        _loss_case("a single cell", 1, 3, 2, generator),
        _loss_case("as many cells as genes and latents", 3, 3, 3, generator),
    ]
    x, logits, mean, logvar = cases[0].arguments
    return [*cases, Case("logits of 200 and -200", (x, 200 * torch.sign(logits), mean, logvar))]


def _hidden_loss(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_genes, n_latent = (_between(2, 9, generator) for _ in range(3))
    x, logits, mean, logvar = _loss_case("", n_genes, n_latent, n_cells, generator).arguments
    return [
        _loss_case("other numbers of cells, genes and latents", n_cells, n_genes, n_latent, generator),
        _loss_case("another single cell", 1, n_genes, n_latent, generator),
        Case("logits of 150 and -150", (x, 150 * torch.sign(logits), mean, logvar)),
    ]


def _explain_total(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if got.keys() < {"total", "bce", "kl"} or any(got[name].tensor is None for name in want):
        return None
    parts = {name: _near(got[name].tensor, want[name].tensor) for name in want}
    names = [next((name for name in want if _near(got[place].tensor, want[name].tensor)), "") for place in want]
    if sorted(names) == sorted(want) and not all(parts.values()):
        return f"you return them in the order {', '.join(names)}. The order is total, bce, kl."
    if parts["bce"] and parts["kl"] and not parts["total"]:
        return "bce and kl are right, but the total is not their sum."
    if parts["kl"] and not parts["bce"]:
        return "kl is right, but bce is not: is it summed over genes and averaged over cells?"
    if parts["bce"] and not parts["kl"]:
        return "bce is right, but kl is not: is it summed over latents and averaged over cells?"
    if not any(parts.values()) and not _near(-got["total"].tensor, want["total"].tensor):
        return "neither bce nor kl is right: is each of them summed over genes or latents, and averaged over cells?"
    return None


def _near(got: Tensor, want: Tensor) -> bool:
    return got.shape == want.shape and torch.allclose(got, want, rtol=1e-4, atol=1e-4)


class _Deterministic(BinaryVAE):
    """A small model without dropout and noise, whose loss depends on its mode through the latents alone.

    Batch normalisation would make gradients that are zero but for rounding, and Adam steps of a full size from these.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(n_input=6, n_latent=2, n_hidden=8, seed=seed)
        self.encoder, self.decoder = (FCLayers(n, 8, dropout_rate=0, use_batch_norm=False) for n in (6, 2))
        with torch.no_grad(), seeded(seed):
            for parameter in self.parameters():
                parameter.normal_(0, 0.5)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu + (0.1 if self.training else 0.5) * logvar


def _epoch(label: str, sizes: tuple[int, ...], optimizer: str, form: str, train: bool, seed: int) -> Case:
    cells = torch.bernoulli(torch.full((sum(sizes), 6), 0.4), generator=torch.Generator().manual_seed(seed + 1))
    return Case(label, (cells, sizes, optimizer, form, train, seed))


def _cases_of_train_epoch() -> list[Case]:
    return [
        _epoch("minibatches of unequal size", (5, 3, 2), "SGD", "list", True, 2),
        _epoch("a model that comes in eval mode", (4, 4), "SGD", "list", False, 2),
        _epoch("minibatches that can be walked only once", (4, 2, 6), "SGD", "generator", True, 2),
        _epoch("Adam as the optimizer", (6, 3), "Adam", "list", True, 2),
    ]


def _hidden_train_epoch(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [tuple(_between(2, 8, generator) for _ in range(4)) for _ in range(2)]
    seeds = [_between(1000, 10**6, generator) for _ in range(2)]
    return [
        _epoch("another model and other minibatches", sizes[0], "SGD", "generator", False, seeds[0]),
        _epoch("another model and Adam", sizes[1], "Adam", "list", True, seeds[1]),
    ]


def _use_train_epoch(
    attempt: Callable, cells: Tensor, sizes: tuple[int, ...], optimizer: str, form: str, train: bool, seed: int
) -> dict[str, Any]:
    model = _Deterministic(seed).train(train)
    minibatches = [x.clone() for x in cells.split(list(sizes))]
    step = torch.optim.SGD(model.parameters(), lr=0.1) if optimizer == "SGD" else torch.optim.Adam(model.parameters())
    before, steps = _weights_of(model), []
    step.register_step_post_hook(lambda *_: steps.append(1))
    result = attempt(model, minibatches if form == "list" else iter(minibatches), step)
    return {"the trained weights": _weights_of(model), "the loss": result, "steps": len(steps), "before": before}


def _examine_train_epoch(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    weights, before, steps = (
        got[name].tensor if name in got else None for name in ("the trained weights", "before", "steps")
    )
    moved = weights is None or before is None or not torch.equal(weights, before)
    by_another = moved and (steps is None or not steps.any())
    kept = {name: got[name] for name in ("the trained weights", "the loss") if name in got}
    return kept | {"trained by": "another" if by_another else "optimizer"}


def _weights_of(model: BinaryVAE) -> Tensor:
    return torch.cat([parameter.detach().clone().flatten() for parameter in model.parameters()])


def _explain_train_epoch(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    loss, weights = got["the loss"], got["the trained weights"]
    if loss.tensor is None or loss.shape != ():
        return None
    if got["trained by"].text != "optimizer":
        return "the weights change, but not by a step of the optimizer that you are given: make no other one."
    if not _near(weights.tensor, want["the trained weights"].tensor):
        return "the weights after the epoch are wrong: it takes one step for every minibatch, in train mode."
    if not _near(loss.tensor, want["the loss"].tensor):
        return (
            f"the weights are trained right, but not the loss, {loss.tensor.item():.4g}: every cell "
            "counts once, with the loss of its minibatch before the step."
        )
    return None


@torch.no_grad()
def _transparent_model(slope: float, offset: float) -> BinaryVAE:
    """Make a model whose probabilities tell which latents were decoded, and in which mode.

    In eval mode the log-odds of the first three genes are slope * z + offset: batch normalisation multiplies by 2. In
    train mode it would scale the latents to a spread of 1.
    """
    model = BinaryVAE(n_input=5, n_latent=3, n_hidden=6)
    eye = torch.eye(3)
    linear, norm = model.decoder.fc_layers[0][:2]
    linear.weight.copy_(torch.cat([eye, -eye]))
    linear.bias.zero_()
    norm.running_mean.zero_()
    norm.running_var.fill_(0.25 - norm.eps)
    model.logits_decoder.weight.zero_()
    model.logits_decoder.weight[:3] = slope / 2 * torch.cat([eye, -eye], dim=1)  # relu(z) - relu(-z) = z
    model.logits_decoder.bias.fill_(offset)
    return model


def _cases_of_sample_prior() -> list[Case]:
    return [
        Case("a model in eval mode", (4000, False, 0.4, 0.3, 11)),
        Case("a model that comes in train mode", (4000, True, 0.4, 0.3, 11)),
        Case("a single cell", (1, True, 0.4, 0.3, 11)),
    ]


def _hidden_sample_prior(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def model() -> tuple[float, float, int]:
        return _between(30, 60, generator) / 100, _between(-50, 50, generator) / 100, _between(1000, 10**6, generator)

    return [
        Case("another model, in train mode", (_between(3500, 4500, generator), True, *model())),
        Case("a few cells of another model", (_between(2, 9, generator), False, *model())),
    ]


N_COMPARED = 100  # cells by which two calls are told apart


def _use_sample_prior(
    attempt: Callable, n_cells: int, train: bool, slope: float, offset: float, seed: int
) -> dict[str, Any]:
    """Make cells up three times: twice in a row, and once more from the first seed."""
    model, generator = _transparent_model(slope, offset).train(train), torch.Generator().manual_seed(seed)
    outside = torch.get_rng_state()
    first = attempt(model, n_cells, generator)
    if not isinstance(first, Tensor) or not first.is_floating_point() or first.shape != (n_cells, 5):
        return {"the result": first}
    untouched = torch.equal(outside, torch.get_rng_state())
    second = attempt(model.train(train), n_cells, generator)
    again = attempt(model.train(train), n_cells, torch.Generator().manual_seed(seed))
    return {
        "the result": first,
        "gradient": "recorded" if first.requires_grad else "none",
        "global random numbers": "not used" if untouched else "used",
        "a second call": second[:N_COMPARED],
        "the same seed": again[:N_COMPARED],
    }


def _examine_sample_prior(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    """Tell from three calls what the cells, and the latents behind them, look like."""
    n_cells, _, slope, offset, _ = case.arguments
    if "a second call" not in got:
        return dict(got)
    first = _tensor_from(got, "the result", (n_cells, 5))
    shape = (min(n_cells, N_COMPARED), 5)
    second, again = (_tensor_from(got, name, shape) for name in ("a second call", "the same seed"))
    outside = got.get("global random numbers", Value("nothing")).text
    is_repeated = outside == "not used" and torch.equal(first[:N_COMPARED], again)
    return {
        "the result": torch.zeros(first.shape),
        "range": _range_of(first),
        "gradient": got.get("gradient"),
        "noise": "from the generator" if is_repeated else "not from the generator alone",
        "a second call": "the same draws" if torch.equal(first[:N_COMPARED], second) else "new draws",
        "latents": _looks_of((torch.logit(first[:, :3]) - offset) / slope) if n_cells >= N_COMPARED else "few",
    }


def _range_of(values: Tensor) -> str:
    if ((values == 0) | (values == 1)).all():
        return "only 0 and 1"
    if (values < 0).any():
        return "partly negative"
    if (values > 1).any():
        return "partly above 1"
    return "shares of 1" if ((values.sum(dim=-1) - 1).abs() < 1e-4).all() else "probabilities"


def _looks_of(z: Tensor) -> str:
    """Say in words how draws are distributed, (draws, latents); with six standard errors of tolerance."""
    n_draws, tolerance = len(z), 6 / len(z) ** 0.5
    if not z.isfinite().all():
        return "not finite"
    if (z.std(dim=0) < 1e-3).all():
        return "the same in every cell"
    if torch.corrcoef(z.T).fill_diagonal_(0).abs().max() > tolerance + 1e-6:
        return "tied to each other"
    if (z.mean(dim=0).abs() > tolerance * z.std(dim=0)).any():
        return f"of a mean of {round(z.mean().item() * 2) / 2:g} instead of 0"
    spread = z.std(dim=0)
    if ((spread - 1).abs() > tolerance).any():
        return f"of a spread of {round(spread.mean().item() * 2) / 2:g} instead of 1"
    kurtosis = (z**4).mean(dim=0)
    return "standard normal" if ((kurtosis - 3).abs() < 6 * (96 / n_draws) ** 0.5 + 0.2).all() else "not Gaussian"


def _explain_sample_prior(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if "range" not in got:
        return None
    if got["range"].text != want["range"].text:
        return f"the values are {got['range'].text}. Probabilities are due, one of its own for every gene."
    if got["gradient"].text != "none":
        return "the result drags a gradient along: nothing is trained here, so switch recording off."
    if got["noise"].text != want["noise"].text:
        return "the draws do not come from the generator alone: with the same generator state they should be the same."
    if got["a second call"].text != want["a second call"].text:
        return "a second call gives the same cells again: go on with the generator, do not seed it anew."
    if got["latents"].text != want["latents"].text:
        return (
            f"the latents behind your cells are {got['latents'].text}. Draw them from N(0, I), one of their own for "
            "every cell and latent, and decode them in eval mode."
        )
    return None


def _cases_of_latent_walk() -> list[Case]:
    generator = torch.Generator().manual_seed(5)
    x = torch.bernoulli(torch.full((6, 7), 0.5), generator=generator)
    return [
        Case("five steps, with a model in eval mode", (x[0], x[1], 5, False, 6)),
        Case("a model that comes in train mode", (x[2], x[3], 4, True, 6)),
        Case("two steps, which are the two ends", (x[4], x[5], 2, False, 6)),
        Case("as many steps as genes", (x[1], x[4], 7, True, 6)),
    ]


def _hidden_latent_walk(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def walk(label: str, train: bool) -> Case:
        x = torch.bernoulli(torch.full((2, 7), 0.5), generator=generator)
        return Case(label, (*x, _between(3, 12, generator), train, _between(1000, 10**6, generator)))

    return [walk("another model, in train mode", True), walk("another model, in eval mode", False)]


@torch.no_grad()
def _walked_model(seed: int) -> BinaryVAE:
    """Make a model with weights and running averages that are all of their own."""
    model = BinaryVAE(n_input=7, n_latent=2, n_hidden=8)
    with seeded(seed):
        for parameter in model.parameters():
            parameter.normal_(0, 1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return model


def _use_latent_walk(
    attempt: Callable, x_start: Tensor, x_end: Tensor, n_steps: int, train: bool, seed: int
) -> dict[str, Any]:
    result = attempt(_walked_model(seed).train(train), x_start, x_end, n_steps)
    recorded = isinstance(result, Tensor) and result.requires_grad
    return {"the walk": result, "gradient": "recorded" if recorded else "none"}


def _explain_latent_walk(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    walk, due = got["the walk"].tensor, want["the walk"].tensor
    if walk is None or walk.shape != due.shape:
        return None
    if not ((walk >= 0) & (walk <= 1)).all():
        return "these are not probabilities: the decoder gives log-odds."
    if not _near(walk[[0, -1]], due[[0, -1]]):
        return "the ends are wrong: they are the two cells' posterior means, decoded in eval mode."
    if not _near(walk, due):
        return "the ends are right, but between them there are no even steps on the straight line of latents."
    return "the result drags a gradient along: nothing is trained here." if got["gradient"].text != "none" else None


def _use_diagnose(attempt: Callable) -> dict[str, Any]:
    """Take down as text which cause an attempt names for every run."""
    answer = attempt()
    if not isinstance(answer, Mapping):
        return {"the answer": answer}
    return {f"run {letter}": str(cause) for letter, cause in answer.items()}


def _examine_diagnose(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    if "the answer" in got:
        return dict(got)
    causes = {name.removeprefix("run "): value.text for name, value in got.items()}
    verdicts: dict[str, Any] = {"further runs": ", ".join(sorted(causes.keys() - set(RIGHT_CAUSES)))}
    for letter, cause in RIGHT_CAUSES.items():
        given = causes.get(letter, "None")
        verdicts[letter] = "right" if given == cause else f"not {given}"
    return verdicts


IF_IT_WERE = {
    "nothing is wrong": "Both curves would settle together, at a low cross-entropy and a KL of some nats.",
    "learning rate too high": "The held-out curves would be jagged, jumping from epoch to epoch.",
    "learning rate too low": "The curves would creep, hardly below where they started after all epochs.",
    "overfitting": "The training curve would go on falling, and the held-out one would stay far above it.",
    "posterior collapse": "The KL would go to 0, and the cross-entropy would get stuck early.",
    "KL forgotten": "The KL would grow to many nats, and the cross-entropy would be low without a gap between training "
    "and held-out cells.",
}


def _explain_diagnose(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if "A" not in got:
        return "return a dict: a cause from the list for each of the letters A to F."
    verdicts = {letter: got[letter].text for letter in RIGHT_CAUSES}
    wrong = {letter: text.removeprefix("not ") for letter, text in verdicts.items() if text != "right"}
    if not wrong:
        return "there are runs in the dict that are not plotted."
    if strange := got["further runs"].text.split(", ")[0]:
        return f'your keys include "{strange:.40}". The keys are the letters "A" to "F", and the values the causes.'
    letter, given = next(iter(wrong.items()))
    if given == "None":
        return f'{6 - len(wrong)} of 6 are right, and run "{letter}" is missing.'
    if given not in CAUSES:
        return (
            f'{6 - len(wrong)} of 6 are right. For run "{letter}" your cause is not in the list: copy it word by word.'
        )
    return f'{6 - len(wrong)} of 6 are right, but run "{letter}" is not a case of "{given}". {IF_IT_WERE[given]}'


# --------------------------------------------------------------------------------------------------------------------
# What goes wrong
# --------------------------------------------------------------------------------------------------------------------


def _train(
    model: BinaryVAE,
    minibatches: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    mode: bool | None = True,
    clear: bool = True,
    step: bool = True,
    term: int | slice = 0,
    after: bool = False,
) -> tuple[list[float], list[int]]:
    """Train for an epoch in one of the wrong ways; return the minibatches' losses and sizes."""
    if mode is not None:
        model.train(mode)
    losses, sizes = [], []
    for x in minibatches:
        terms = model.loss(x)[term]
        loss = sum(terms) if isinstance(terms, tuple) else terms
        if clear:
            optimizer.zero_grad()
        if step:
            loss.backward()
            optimizer.step()
        losses.append((model.loss(x)[0] if after else loss).item())
        sizes.append(len(x))
    return losses, sizes


def _over_cells(losses: list[float], sizes: list[int]) -> float:
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def _train_at_once(model: BinaryVAE, minibatches: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> float:
    model.train()
    minibatches = list(minibatches)
    optimizer.zero_grad()
    losses = [model.loss(x)[0] for x in minibatches]
    sum(losses).backward()
    optimizer.step()
    return _over_cells([loss.item() for loss in losses], [len(x) for x in minibatches])


def _train_after_counting(model: BinaryVAE, minibatches: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> float:
    n_cells = sum(len(x) for x in minibatches)
    losses, sizes = _train(model, minibatches, optimizer)
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / n_cells


def _sampled(model: BinaryVAE, z: Tensor, mode: bool = False, squash: bool = True) -> Tensor:
    model.train(mode)
    with torch.no_grad():
        logits = model.decode(z)
    return torch.sigmoid(logits) if squash else logits


def _walked(model: BinaryVAE, x_start: Tensor, x_end: Tensor, share: Tensor, mode: bool = False) -> Tensor:
    model.train(mode)
    with torch.no_grad():
        means, _ = model.encode(torch.stack([x_start, x_end]))
        return torch.sigmoid(model.decode(torch.lerp(means[0], means[1], share.unsqueeze(-1))))


def _walked_between_draws(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    model.eval()
    with torch.no_grad():
        ends = model.reparameterize(*model.encode(torch.stack([x_start, x_end])))
        return torch.sigmoid(model.decode(torch.lerp(ends[0], ends[1], torch.linspace(0, 1, n_steps).unsqueeze(-1))))


def _walked_between_pictures(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    model.eval()
    with torch.no_grad():
        x = torch.lerp(x_start, x_end, torch.linspace(0, 1, n_steps).unsqueeze(-1))
        return torch.sigmoid(model.decode(model.encode(x)[0]))


def _walked_between_results(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    ends = _walked(model, x_start, x_end, torch.linspace(0, 1, 2))
    return torch.lerp(ends[0], ends[1], torch.linspace(0, 1, n_steps).unsqueeze(-1))


def _confused(**causes: str) -> Callable[[], dict[str, str]]:
    return lambda: RIGHT_CAUSES | causes


RIGHT_CAUSES = diagnose()
HIGH, LOW, COLLAPSE, FORGOTTEN, OVERFIT, FINE = (
    "learning rate too high", "learning rate too low", "posterior collapse", "KL forgotten", "overfitting",
    "nothing is wrong",
)  # fmt: skip

# --------------------------------------------------------------------------------------------------------------------
# The exercises
# --------------------------------------------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "3.1",
        "vae_course.binary_vae.binary_vae_loss",
        cases=_cases_of_loss,
        hidden=_hidden_loss,
        returns=("total", "bce", "kl"),
        gradients=("logits", "mean", "logvar"),
        properties=(_explain_total,),
        hints=(
            "You have both parts already: bernoulli_log_prob from lesson 1 for the outcomes, and the KL of a Gaussian "
            "to the standard normal. Mind over what each is summed, and over what it is averaged.",
            "Bring both parts to one number for every cell first, and average those at the end. What shapes do "
            "bernoulli_log_prob and kl_standard_normal return, that is, which of them still has to be summed over its "
            "last axis? And which of them grows as the model gets better, and so needs another sign?",
        ),
        mistakes={
            "bce-averaged-over-genes": (
                lambda x, a, m, s: _loss_of(_bce(x, a).mean(), _kl(m, s).sum(dim=-1).mean()),
                "The cross-entropy is averaged over genes, while the KL is summed over latents. That hides a weight on "
                "the KL as large as the number of genes.",
            ),
            "kl-averaged-over-latents": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).mean()),
                "The KL is averaged over latents. It belongs to the whole cell: sum over latents, then average over "
                "cells.",
            ),
            "both-averaged": (
                lambda x, a, m, s: _loss_of(_bce(x, a).mean(), _kl(m, s).mean()),
                "Both parts are averaged over everything. Sum over a cell's genes or latents first, and average over "
                "cells only.",
            ),
            "summed-over-cells": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(), _kl(m, s).sum()),
                "Both parts are summed over cells too, so that the loss grows with the minibatch. Average over cells.",
            ),
            "bce-summed-over-cells": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(), _kl(m, s).sum(dim=-1).mean()),
                "The cross-entropy is summed over cells, and the KL is averaged over them. Average both over cells.",
            ),
            "kl-summed-over-cells": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).sum()),
                "The KL is summed over cells too, while the cross-entropy is averaged over them. If you take it from "
                "kl_standard_normal, that has summed over latents already, so another sum runs over cells.",
            ),
            "sum-and-mean-swapped": (
                lambda x, a, m, s: _loss_of(_bce(x, a).mean(dim=-1).sum(), _kl(m, s).mean(dim=-1).sum()),
                "Sum and mean have changed places in both parts: you average over genes or latents and sum over cells.",
            ),
            "sum-and-mean-swapped-in-bce": (
                lambda x, a, m, s: _loss_of(_bce(x, a).mean(dim=-1).sum(), _kl(m, s).sum(dim=-1).mean()),
                "Sum and mean have changed places in the cross-entropy: you average over genes and sum over cells.",
            ),
            "sum-and-mean-swapped-in-kl": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).mean(dim=-1).sum()),
                "Sum and mean have changed places in the KL: you average over latents and sum over cells.",
            ),
            "per-cell": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1), _kl(m, s).sum(dim=-1)),
                "There is one number for every cell. Average over the cells, so that three single numbers come out.",
            ),
            "sign-of-bce": (
                lambda x, a, m, s: _loss_of(-_bce(x, a).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()),
                "The cross-entropy has the wrong sign: it is minus the log-probability, and a loss is to be small.",
            ),
            "sign-of-kl": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), -_kl(m, s).sum(dim=-1).mean()),
                "The KL has the wrong sign: training would drive the posterior away from the prior without end.",
            ),
            "kl-subtracted": (
                lambda x, a, m, s: (
                    _bce(x, a).sum(dim=-1).mean() - _kl(m, s).sum(dim=-1).mean(),
                    _bce(x, a).sum(dim=-1).mean(),
                    _kl(m, s).sum(dim=-1).mean(),
                ),
                "The total subtracts the KL. The negative ELBO is their sum.",
            ),
            "kl-left-out": (
                lambda x, a, m, s: (
                    _bce(x, a).sum(dim=-1).mean(),
                    _bce(x, a).sum(dim=-1).mean(),
                    _kl(m, s).sum(dim=-1).mean(),
                ),
                "The total is the cross-entropy alone. Add the KL, or nothing keeps the latents near the prior.",
            ),
            "order": (
                lambda x, a, m, s: _loss_of(_kl(m, s).sum(dim=-1).mean(), _bce(x, a).sum(dim=-1).mean()),
                "bce and kl have changed places: the order is total, bce, kl.",
            ),
            "total-last": (
                lambda x, a, m, s: (lambda total, bce, kl: (bce, kl, total))(
                    *_loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean())
                ),
                "The three are right, but the total comes last. The order is total, bce, kl.",
            ),
            "variance-for-logvar": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s.exp()).sum(dim=-1).mean()),
                "The KL is that of exp(logvar) taken for a log-variance: the exponential is applied twice. "
                "kl_standard_normal takes the log-variance as it is.",
            ),
            "mean-and-logvar-swapped": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(s, m).sum(dim=-1).mean()),
                "mean and logvar have changed places in the KL.",
            ),
            "half-forgotten": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), 2 * _kl(m, s).sum(dim=-1).mean()),
                "The KL is twice as large as it should be: its factor 1/2 is missing.",
            ),
            "x-and-logits-swapped": (
                lambda x, a, m, s: _loss_of(_bce(a, x).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()),
                "x and logits have changed places in the cross-entropy: bernoulli_log_prob takes the outcomes first.",
            ),
            "logvar-as-variance": (
                lambda x, a, m, s: _loss_of(
                    _bce(x, a).sum(dim=-1).mean(), 0.5 * (s + m**2 - 1 - torch.log(s)).sum(dim=-1).mean()
                ),
                "logvar is treated as the variance. It is its logarithm, so the variance is exp(logvar).",
            ),
            "logvar-as-log-sd": (
                lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, 2 * s).sum(dim=-1).mean()),
                "logvar is treated as the logarithm of the standard deviation. It is the logarithm of the variance.",
            ),
            "logits-as-probabilities": (
                lambda x, a, m, s: _loss_of(
                    -(x * torch.log(a) + (1 - x) * torch.log(1 - a)).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()
                ),
                "The logits are treated as probabilities, so that logarithms of negative numbers come out.",
            ),
            "sigmoid-twice": (
                lambda x, a, m, s: _loss_of(_bce(x, torch.sigmoid(a)).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()),
                "The sigmoid is applied twice: the function that takes logits applies it itself.",
            ),
            "log-of-sigmoid": (
                lambda x, a, m, s: _loss_of(
                    -(x * torch.log(torch.sigmoid(a)) + (1 - x) * torch.log(1 - torch.sigmoid(a))).sum(dim=-1).mean(),
                    _kl(m, s).sum(dim=-1).mean(),
                ),
                "Right for small logits, but for large ones the sigmoid rounds to 0 or 1, and its logarithm is "
                "infinite. Stay with the logits, as in exercise 1.1.",
            ),
        },
    ),
    Exercise(
        "3.2",
        "vae_course.exercises.lesson3.train_epoch",
        cases=_cases_of_train_epoch,
        use=_use_train_epoch,
        examine=_examine_train_epoch,
        hidden=_hidden_train_epoch,
        properties=(_explain_train_epoch,),
        advice={
            "division by zero": "minibatches can be walked through only once: count cells as you train",
            "expected a non-empty list": "minibatches can be walked through only once: count cells as you train",
        },
        hints=(
            "For every minibatch: the loss, its gradients, one step. Remember from lesson 2 what PyTorch does with "
            "gradients that are there already, and which mode training needs.",
            "Train mode before the loop. In it four lines, as in lesson 2: the loss, empty the gradients, compute new "
            "ones, step. For the mean keep two sums, loss times cells and cells; divide them at the end.",
        ),
        mistakes={
            "mean-of-means": (
                lambda m, b, o: (lambda t: sum(t[0]) / len(t[0]))(_train(m, b, o)),
                "You average over minibatches. They are of unequal size, so weigh each loss with its number of cells.",
            ),
            "gradients-kept": (
                lambda m, b, o: _over_cells(*_train(m, b, o, clear=False)),
                "The gradients of earlier minibatches are still there and add up. Empty them before each backward().",
            ),
            "no-step": (
                lambda m, b, o: _over_cells(*_train(m, b, o, step=False)),
                "The weights do not change: it takes backward() and then a step for every minibatch, and no "
                "zero_grad() between the two.",
            ),
            "one-step": (
                _train_at_once,
                "There is one step at the end of the epoch. Take one after every minibatch.",
            ),
            "eval-mode": (
                lambda m, b, o: _over_cells(*_train(m, b, o, mode=False)),
                "The model is in eval mode, where batch normalisation uses its running averages and dropout is off. "
                "Train in train mode.",
            ),
            "mode-not-set": (
                lambda m, b, o: _over_cells(*_train(m, b, o, mode=None)),
                "Right for a model that comes in train mode, but a model that was just evaluated comes in eval mode: "
                "set the mode first.",
            ),
            "loss-after-the-step": (
                lambda m, b, o: _over_cells(*_train(m, b, o, after=True)),
                "The loss that you return is measured after each step. Take it before, from the loss that you step on.",
            ),
            "last-loss": (
                lambda m, b, o: _train(m, b, o)[0][-1],
                "You return the loss of the last minibatch. The mean over all cells is due.",
            ),
            "sum": (
                lambda m, b, o: sum(_train(m, b, o)[0]),
                "You return the sum over minibatches. The mean over all cells is due.",
            ),
            "sum-over-cells": (
                lambda m, b, o: (lambda t: _over_cells(*t) * sum(t[1]))(_train(m, b, o)),
                "You return the sum over all cells. Divide it by their number.",
            ),
            "sum-by-minibatches": (
                lambda m, b, o: (lambda t: _over_cells(*t) * sum(t[1]) / len(t[1]))(_train(m, b, o)),
                "The sum over all cells is divided by the number of minibatches. Divide it by the number of cells.",
            ),
            "bce-only": (
                lambda m, b, o: _over_cells(*_train(m, b, o, term=1)),
                "You train on the cross-entropy alone. model.loss returns total, bce and kl: the total is the first.",
            ),
            "kl-only": (
                lambda m, b, o: _over_cells(*_train(m, b, o, term=2)),
                "You train on the KL alone. model.loss returns total, bce and kl: the total is the first.",
            ),
            "length-asked": (
                lambda m, b, o: (lambda n: sum(_train(m, b, o)[0]) / n)(len(b)),
                "minibatches need not be a list: all that is sure is that one can walk through it once. Count cells as "
                "you go.",
            ),
            "counted-first": (
                _train_after_counting,
                "Right for a list, but minibatches may be something that can be walked through only once. You walk it "
                "before the training, which then finds it used up: count cells as you go.",
            ),
            "all-three-added": (
                lambda m, b, o: _over_cells(*_train(m, b, o, term=slice(None))),
                "Every step has gradients twice as large as they should be. Do you add up all three things that "
                "model.loss returns, of which the first is the total already?",
            ),
            "own-optimizer": (
                lambda m, b, o: _over_cells(*_train(m, b, torch.optim.Adam(m.parameters(), lr=1e-3))),
                "You make a new optimizer inside the function. Use the one that is given: it has its own kind, "
                "learning rate and memory of earlier steps.",
            ),
            "all-losses": (
                lambda m, b, o: _train(m, b, o)[0],
                "You return a list of losses. One number is due, their mean over all cells.",
            ),
        },
    ),
    Exercise(
        "3.3",
        "vae_course.exercises.lesson3.sample_prior",
        cases=_cases_of_sample_prior,
        use=_use_sample_prior,
        examine=_examine_sample_prior,
        hidden=_hidden_sample_prior,
        properties=(_explain_sample_prior,),
        advice={
            "cannot be multiplied": "the rows of z need as many latents as this model has, and that is model.n_latent",
        },
        shape="(n_cells, n_input), a row for every cell",
        hints=(
            "The generative story from lesson 1, in two steps: draw z from the prior, then let the decoder say how "
            "probable each 1 is. The encoder has no part in it.",
            "torch.randn takes generator=. z has n_cells rows and model.n_latent columns; model.decode gives log-odds. "
            "Set eval mode, and wrap it all in torch.no_grad().",
        ),
        mistakes={
            "logits": (
                lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g), squash=False),
                "These are log-odds, as the decoder gives them. Probabilities are due.",
            ),
            "uniform": (
                lambda m, n, g: _sampled(m, torch.rand(n, 3, generator=g)),
                "The latents are drawn with torch.rand, uniform between 0 and 1. The prior is a standard normal.",
            ),
            "mean-of-the-prior": (
                lambda m, n, g: _sampled(m, torch.zeros(n, 3)),
                "All cells are the same: their latents are the mean of the prior. Draw them.",
            ),
            "one-draw-for-all": (
                lambda m, n, g: _sampled(m, torch.randn(1, 3, generator=g).expand(n, 3)),
                "One z is drawn and used for all cells. Each cell needs its own.",
            ),
            "one-number-a-cell": (
                lambda m, n, g: _sampled(m, torch.randn(n, 1, generator=g).expand(n, 3)),
                "Each cell has one random number, repeated in all latents. Draw one for every cell and latent.",
            ),
            "generator-ignored": (
                lambda m, n, g: _sampled(m, torch.randn(n, 3)),
                "Not all draws come from the generator, so the same seed does not give the same cells.",
            ),
            "seeded-anew": (
                lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g.manual_seed(0))),
                "The generator is seeded inside the function, so every call makes the same cells. Just draw from it.",
            ),
            "train-mode": (
                lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g), mode=True),
                "The decoder runs in train mode, where batch normalisation rescales the latents of each call and fails "
                "for a single cell. Set eval mode.",
            ),
            "mode-not-set": (
                lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g), mode=m.training),
                "Right for a model in eval mode, but a model fresh from training is in train mode: set the mode first.",
            ),
            "gradient-kept": (
                lambda m, n, g: torch.sigmoid(m.eval().decode(torch.randn(n, 3, generator=g))),
                "The cells are right, but they drag the record of their making along. Nothing is trained here: use "
                "torch.no_grad().",
            ),
            "outcomes": (
                lambda m, n, g: torch.bernoulli(_sampled(m, torch.randn(n, 3, generator=g)), generator=g),
                "You throw the coins: these are outcomes, 0 or 1. Return the probabilities.",
            ),
            "too-wide": (
                lambda m, n, g: _sampled(m, 2 * torch.randn(n, 3, generator=g)),
                "The latents are spread twice as widely as the prior, whose standard deviation is 1.",
            ),
            "softmax": (
                lambda m, n, g: torch.softmax(_sampled(m, torch.randn(n, 3, generator=g), squash=False), dim=-1),
                "A softmax makes the genes of a cell share one probability. Here every gene has a coin of its own: "
                "sigmoid.",
            ),
        },
    ),
    Exercise(
        "3.4",
        "vae_course.exercises.lesson3.latent_walk",
        cases=_cases_of_latent_walk,
        use=_use_latent_walk,
        hidden=_hidden_latent_walk,
        properties=(_explain_latent_walk,),
        shape="(n_steps, n_input), a row for every step",
        hints=(
            "Three stations: from the two cells to their posterior means, from the means to points on the line between "
            "them, from the points to probabilities.",
            "encode takes a table, so stack the two cells; it returns means and log-variances. torch.linspace gives "
            "the shares of the way: what part of each mean is in a point, and how do n_steps shares broadcast against "
            "n_latent latents? Eval mode, no gradient.",
        ),
        mistakes={
            "logits": (
                lambda m, a, b, n: torch.logit(_walked(m, a, b, torch.linspace(0, 1, n))),
                "These are log-odds, as the decoder gives them. Probabilities are due.",
            ),
            "train-mode": (
                lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n), mode=True),
                "The networks run in train mode, where batch normalisation uses these few cells and dropout is on. Set "
                "eval mode.",
            ),
            "mode-not-set": (
                lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n), mode=m.training),
                "Right for a model in eval mode, but a model fresh from training is in train mode: set the mode first.",
            ),
            "between-draws": (
                _walked_between_draws,
                "The ends are draws from the posteriors. Walk between their means, so that a walk can be repeated.",
            ),
            "between-pictures": (
                _walked_between_pictures,
                "You mix the two cells themselves and encode the mixtures. Encode the cells, and mix their latents.",
            ),
            "between-results": (
                _walked_between_results,
                "You mix the two decoded cells: that is a fade. Mix the latents, and decode every step.",
            ),
            "last-end-missing": (
                lambda m, a, b, n: _walked(m, a, b, torch.arange(n) / n),
                "The walk stops before it arrives. With n_steps points and both ends there are n_steps - 1 gaps.",
            ),
            "both-ends-missing": (
                lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n + 2)[1:-1]),
                "Both ends are missing. The first point is the first mean, the last one the second.",
            ),
            "backwards": (
                lambda m, a, b, n: _walked(m, a, b, torch.linspace(1, 0, n)),
                "The walk goes from x_end to x_start.",
            ),
            "one-too-many": (
                lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n + 1)),
                "There is one step too many: n_steps counts the points, both ends included.",
            ),
            "uneven": (
                lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n) ** 2),
                "The ends are right, but the steps between them are not even.",
            ),
            "latents": (
                lambda m, a, b, n: torch.lerp(
                    *m.eval().encode(torch.stack([a, b]))[0].detach(), torch.linspace(0, 1, n).unsqueeze(-1)
                ),
                "These are the latents on the way. Decode them.",
            ),
            "gradient-kept": (
                lambda m, a, b, n: torch.sigmoid(
                    m.eval().decode(
                        torch.lerp(*m.encode(torch.stack([a, b]))[0], torch.linspace(0, 1, n).unsqueeze(-1))
                    )
                ),
                "The walk is right, but it drags the record of its making along. Nothing is trained here: use "
                "torch.no_grad().",
            ),
        },
    ),
    Exercise(
        "3.5",
        "vae_course.exercises.lesson3.diagnose",
        cases=lambda: [Case("the six runs", ())],
        use=_use_diagnose,
        examine=_examine_diagnose,
        properties=(_explain_diagnose,),
        hints=(
            "Look at the scales first, then at the gap between training and held-out cells, then at the KL. Which run "
            "has hardly moved? In which does the KL vanish, or grow?",
            "A KL of 0 means that the decoder ignores z; a KL of many nats, that nothing holds it back. A wide gap "
            "between the two curves means too few cells; jumps mean steps too large; a creep, steps too small.",
        ),
        mistakes={
            "learning-rates-swapped": (
                _confused(B=LOW, F=HIGH),
                "The two learning rates have changed places. Steps that are too small make a curve creep; steps that "
                "are too large make it jump.",
            ),
            "collapse-and-no-kl-swapped": (
                _confused(D=COLLAPSE, E=FORGOTTEN),
                "The two KL troubles have changed places. A collapsed posterior equals the prior, so its KL is 0; "
                "without a KL term nothing keeps it small.",
            ),
            "overfitting-is-fine": (
                _confused(A=FINE, C=OVERFIT),
                "A good run and overfitting have changed places. Overfitting shows in the gap between training and "
                "held-out cells.",
            ),
            "collapse-for-slow": (
                _confused(E=LOW, F=COLLAPSE),
                "Collapse and a low learning rate have changed places. A KL near 0 is in both: look at whether the "
                "cross-entropy has settled or is still on its way.",
            ),
            "noise-for-overfitting": (
                _confused(A=HIGH, B=OVERFIT),
                "Overfitting and a high learning rate have changed places. A lasting gap between the curves is one "
                "thing, jumps that come and go are another.",
            ),
            "no-kl-for-fine": (
                _confused(C=FORGOTTEN, D=FINE),
                "A good run and one without the KL have changed places. The lower cross-entropy is not the better run: "
                "compare the KLs.",
            ),
            "jumps-for-fine": (
                _confused(B=FINE, C=HIGH),
                "A good run and one with a high learning rate have changed places. Compare the held-out curves' jumps.",
            ),
            "all-is-fine": (
                lambda: dict.fromkeys("ABCDEF", FINE),
                "You say that nothing is wrong with any of them. One run is good; the other five are broken, each in "
                "its own way.",
            ),
        },
    ),
]
