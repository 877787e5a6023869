"""Exercise 5.3: hints, and how results are judged."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import explain_module, near, parse_parameters
from vae_course.exercises.e5_3.calls import PX, use
from vae_course.exercises.e5_3.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_3.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

FC_ORDER = "the third argument of FCLayers is n_cat_list, the fourth n_layers: are yours in this order?"


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    """Tell whether passes in train mode agree; if they do, the first one and the running means count."""
    passes = got["passes in train mode"].tensor if "passes in train mode" in got else None
    if passes is None or passes.dim() == 0 or len(passes) < 2:
        return dict(got)
    rest = {name: value for name, value in got.items() if name not in ("passes in train mode", "the running means")}
    if not near(passes, passes[:1].expand_as(passes)):
        return rest | {"passes in train mode": "differ"}
    in_train_mode = {"passes in train mode": "agree", "px_scale in train mode": passes[0]}
    return rest | in_train_mode | {"the running means": got.get("the running means")}


def _explain_heads(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Name the head, or the trunk, whose parameters have other names than those that are expected, and no others."""
    mine, due = (parse_parameters(values["its parameters"].text) for values in (got, want))
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
            return f"in `{head}` the parameter `{name}` is expected; yours is called `{yours}`. {ask}"
    if superfluous:
        return f"`{superfluous[0]}` is among its parameters, and should not be; expected are {', '.join(heads)}."
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


EXERCISE = Exercise(
    "5.3",
    "vae_course.nn.DecoderSCVI",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    gradients=("z", "library"),
    shape="(cells, genes)",
    properties=(_explain_heads, explain_module, _explain_decoder),
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
    built="It is the p(x|z) of scVI: shares, sizes and extra zeros.",
    mistakes=MISTAKES,
)
