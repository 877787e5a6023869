"""Exercise 4.1: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.calling import is_real_tensor


def use(attempt: Callable, mean: Tensor, logvar: Tensor, source: str) -> dict[str, Any]:
    """Draw three times: twice in a row, and once more from the first seed."""

    def seeded() -> tuple[torch.Generator, ...]:
        if source == "generator":
            return (torch.Generator().manual_seed(4),)
        torch.manual_seed(4)
        return ()

    state, given = torch.get_rng_state(), seeded()
    leaves = [mean.clone().requires_grad_(), logvar.clone().requires_grad_()]
    drawn = attempt(*leaves, *given)
    following = attempt(mean, logvar, *(given or (None,)))
    untouched = torch.equal(torch.get_rng_state(), state) or source == "global"
    repeated = attempt(mean, logvar, *seeded())
    for z in (drawn, following, repeated):
        if not is_real_tensor(z) or z.shape != mean.shape:
            return {"the draw": z}
    slopes: Sequence[Tensor | None] = (None, None)
    if drawn.requires_grad:
        slopes = torch.autograd.grad(drawn.sum(), leaves, allow_unused=True)
    return {
        "the draw": drawn,
        "the next draw": following,
        "the draw from the first seed": repeated,
        "the slope in mean": slopes[0],
        "the slope in logvar": slopes[1],
        "the global random numbers": "not used" if untouched else "used",
    }
