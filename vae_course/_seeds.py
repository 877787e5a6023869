"""Randomness that starts from a seed and leaves the caller's random state as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run the body with PyTorch's generators seeded; restore their states afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
