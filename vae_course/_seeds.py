"""What has to be left as it was: the state of the random generators, and the number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run the body with PyTorch's generators seeded; restore their states afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def same_threads() -> Iterator[None]:
    """Give PyTorch back its number of threads, which numba (in scanpy and UMAP) sets for the whole process."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
