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


def first_random_states(seed: int, device: torch.device) -> list[torch.Tensor]:
    """Return the states of PyTorch's generators, that of the processor and that of a card, after seeding them."""
    devices = [torch.device("cpu"), *([device] if device.type == "cuda" else [])]
    return [torch.Generator(one).manual_seed(seed).get_state() for one in devices]


def random_states(device: torch.device) -> list[torch.Tensor]:
    """Return the states of PyTorch's generators, that of the processor and that of a card."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_states(states: list[torch.Tensor], device: torch.device) -> None:
    """Go on from these states."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


@contextmanager
def same_threads() -> Iterator[None]:
    """Give PyTorch back its number of threads, which numba (in scanpy and UMAP) sets for the whole process."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
