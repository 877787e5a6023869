"""Exercise 4.5: how an attempt is called. Copied as it is into the sandbox of the grader."""

import math
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_course.exercises.calling import is_real_tensor

WATCHED = 100  # calls whose draws are kept

FUNCTIONS = {  # of draws, with numbers to choose
    "a square": lambda z, factor: factor * z**2,
    "a step": lambda z, at: 2 * (z > at).float() - 1,
    "a constant": lambda z, value: torch.full_like(z, value),
    "a slope with a jump": lambda z, at, height: z + height * (z > at).float(),
    "a box": lambda z, low, high: ((z > low) & (z < high)).float(),
}


def use(attempt: Callable, f: tuple[Any, ...], mean: float, n_samples: int, n_calls: int) -> dict[str, Any]:
    """Estimate many times from one generator, and a few times more from its first seed."""
    name, *numbers = f
    calls: list[list[Tensor | None]] = []  # draws that f was called on; None if they are not n_samples
    longest, moving = 0, False

    def watched(z: Tensor) -> Tensor:
        nonlocal longest, moving
        moving = moving or z.requires_grad
        y = FUNCTIONS[name](z, *numbers)
        if len(calls) <= WATCHED:
            calls[-1].append(z.detach().double().clone() if z.shape == (n_samples,) else None)
            longest = max(longest, z.numel())
        return y

    results, state = [], torch.get_rng_state()
    for n in (n_calls, 5):
        generator = torch.Generator().manual_seed(1)
        for _ in range(n):
            calls.append([])
            result = attempt(watched, mean, n_samples, generator)
            if not _is_number(result) or (len(calls) <= n_calls and not math.isfinite(result)):
                return {"the estimate": result}
            results.append(float(result))
    first = calls[: min(WATCHED, n_calls)]
    once = [call[0] for call in first if len(call) == 1 and call[0] is not None]
    return {
        "the estimates": torch.tensor(results[:n_calls], dtype=torch.float64),
        "the estimates from the first seed": torch.tensor(results[n_calls:], dtype=torch.float64),
        "the draws": torch.stack(once) if len(once) == len(first) else None,
        "the largest number of draws": torch.tensor(float(longest)),
        "the draws move with the mean": "yes" if moving else "no",
        "the global random numbers": "not used" if torch.equal(torch.get_rng_state(), state) else "used",
    }


def _is_number(result: Any) -> bool:
    if isinstance(result, Tensor):
        return is_real_tensor(result) and result.shape == ()
    return isinstance(result, Number | np.generic) and not isinstance(result, complex)
