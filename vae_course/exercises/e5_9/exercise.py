"""Exercise 5.9: hints, and how results are judged."""

from collections.abc import Mapping

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import explain_module, parse_parameters
from vae_course.exercises.e5_9.calls import NAMES, TERMS, use
from vae_course.exercises.e5_9.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_9.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

PARTS = ("px_r", "z_encoder", "l_encoder", "decoder", "library_log_means", "library_log_vars")
WHERE = {"q": "an encoder", "z": "the draw of z", "l": "the draw of the library", "p": "the decoder"}


def _explain_parts(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Name a part that is missing or that should not be there; shapes are explained for all modules alike."""
    mine, due = (parse_parameters(values["its parameters"].text) for values in (got, want))
    if not mine or got["astray"].text == "modules in a list" or mine.keys() == due.keys():
        return None
    have = sorted({name.partition(".")[0] for name in mine})
    for part in PARTS:
        if part not in have:
            kind = "the buffer" if part.startswith("library") else "the part"
            return f"{kind} `{part}` is missing, or has another name; yours are {', '.join(have)}."
    for part in have:
        if part not in PARTS:
            return f"`{part}` is saved with the weights, and scVI has nothing of that name; its parts are " + (
                f"{', '.join(PARTS)}."
            )
    return None


def _explain_results(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say which is the first of the results that is wrong; the later ones follow from it."""
    if (returned := got["what inference returns"].text) != "the ten names":
        missing = [name for name in NAMES if name not in returned.split(", ")] if returned.startswith("a dict") else []
        also = f"; {', '.join(missing)} missing" if missing else ""
        return f"`inference` should return a dict with the ten names {', '.join(NAMES)}; yours is {returned}{also}."
    if got["what is trained"].text != want["what is trained"].text:
        return "the parameters that are trained are other ones: is a buffer a parameter, or a parameter a buffer?"
    for name in NAMES:
        if _differs(got[name], want[name]):
            return (
                f"`{name}` is the first of the ten results that is wrong, in the order in which they are made: look at "
                f"{WHERE[name[0]] if name != 'px_r' else 'the dispersion'}."
            )
    if (returned := got["what loss_terms returns"].text) != "three things":
        return f"`loss_terms` should return three things, {', '.join(TERMS)}; yours returns {returned}."
    for name in TERMS:
        if _differs(got[name], want[name]):
            return f"all ten results of `inference` are right, and {name} is not."
    if got["reached by gradients"].text != want["reached by gradients"].text:
        return "the values are right, but gradients do not reach all parameters. Is there a detach(), or no_grad()?"
    if "dropout" in want and got["dropout"].text != want["dropout"].text:
        return f"dropout in train mode should be: {want['dropout'].text}; yours is: {got['dropout'].text}."
    return None


def _differs(got: Value, want: Value) -> bool:
    if got.tensor is None or got.shape != want.shape:
        return True
    return not torch.allclose(got.tensor, want.tensor, rtol=1e-4, atol=1e-4)


EXERCISE = Exercise(
    "5.9",
    "vae_course.exercises.e5_9.answer.MyVAE",
    cases=visible_cases,
    use=use,
    hidden=hidden_cases,
    shape="(cells,), one number for every cell",
    properties=(_explain_parts, explain_module, _explain_results),
    hints=(
        "Walk along the map of the model from left to right. __init__ makes what has weights, one line a box; "
        "inference is all of the map but its right edge, which is loss_terms; every box is a function that you have.",
        "An Encoder returns mean, variance and a draw, so two calls of encoders give six of the ten names, and one "
        "call of the decoder gives three more. Which column of the buffers belongs to a cell? one_hot and a matrix "
        "product pick it, as they picked the dispersion in exercise 5.4.",
    ),
    built="It is scVI, every box of the map, and it is yours.",
    mistakes=MISTAKES,
)
