"""Exercise 5.6: how an attempt is called. Copied as it is into the sandbox of the grader."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

N_REPEATED = 20  # calls that are made a second time from the same seed


def use(attempt: Callable, counts: Tensor, rate: float, n_calls: int, seed: int) -> dict[str, Any]:
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
