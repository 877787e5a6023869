"""What has to be left as it was: the state of the random generators, and the number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PROCESSOR = torch.device("cpu")


def first_random_states(seed: int, device: torch.device) -> list[torch.Tensor]:
    """Return the states of PyTorch's generators, that of the processor and that of a card, after seeding them."""
    devices = [PROCESSOR, *([device] if device.type == "cuda" else [])]
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
def going_on_from(states: list[torch.Tensor], device: torch.device) -> Iterator[None]:
    """Run the body with these states of the generators; restore afterwards what they were. Other cards stay asleep."""
    before = random_states(device)
    set_random_states(states, device)
    try:
        yield
    finally:
        set_random_states(before, device)


@contextmanager
def seeded(seed: int, device: torch.device = PROCESSOR) -> Iterator[None]:
    """Run the body with PyTorch's generators seeded; restore their states afterwards."""
    with going_on_from(first_random_states(seed, device), device):
        yield


@contextmanager
def same_threads() -> Iterator[None]:
    """Give PyTorch back its number of threads, which numba (in scanpy and UMAP) sets for the whole process."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
