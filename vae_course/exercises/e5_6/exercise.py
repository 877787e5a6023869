"""Exercise 5.6: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import tensor_from
from vae_course.exercises.e5_6.answer import corrupt
from vae_course.exercises.e5_6.calls import N_REPEATED, use
from vae_course.exercises.e5_6.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_6.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    """Say in words what an attempt did in many calls."""
    counts, rate, n_calls, _ = case.arguments
    returned = got.get("what it returns")
    if returned is None or returned.text != "corrupted and mask":
        return {"what it returns": returned}
    corrupted, masks = (tensor_from(got, f"all {what}", (n_calls, counts.numel())) for what in ("corrupted", "masks"))
    left = torch.equal(tensor_from(got, "counts itself", counts.shape), counts.double())
    found = {
        "what it returns": returned,
        "counts itself": "left as it was" if left else "changed",
        "corrupted": got.get("corrupted") if left else "a copy",
        **_what_is_hidden(counts, rate, corrupted, masks.bool()),
    }
    n_nonzero = int((counts != 0).sum())
    if 0 < int(rate * n_nonzero) < n_nonzero:
        found |= {name: got.get(name) for name in ("the generator", "other randomness")}
        repeated = tensor_from(got, "the same seed twice", (N_REPEATED, counts.numel()))
        found["the same seed twice"] = "the same" if torch.equal(repeated, corrupted[:N_REPEATED]) else "something else"
    return found


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
        "what it returns": "it should return two tensors of the shape of counts, corrupted (floating-point) and mask "
        "(boolean); yours gives {}.",
        "counts itself": "counts itself is {} by your code. Work on a copy.",
        "corrupted": "corrupted is {}, under another name: changing one changes both. Return a copy.",
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


EXERCISE = Exercise(
    "5.6",
    "vae_course.data.corrupt",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(_explain_corrupt,),
    plain=corrupt,
    hints=(
        "Three steps: find the positions of the non-zero entries, put them in a random order, and take as many "
        "from the front as are to be hidden. Positions are easiest in counts.flatten().",
        "torch.randperm makes a random order of 0..n-1 and takes generator=; what is n here, and what do these "
        "numbers count? int() of a positive number rounds down. Mark the chosen entries in a flat boolean mask: "
        "both results follow from it.",
    ),
    built="You can hide counts, and see whether a model finds them again.",
    mistakes=MISTAKES,
)
