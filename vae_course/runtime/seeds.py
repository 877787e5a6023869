"""Random numbers and threads: seeded blocks that leave the global state of the process as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


def initial_rng_state(seed: int, device: torch.device = CPU) -> list[torch.Tensor]:
    """Return the states that PyTorch's generators (of the CPU, and of a GPU `device`) have after seeding."""
    devices = [CPU, *([device] if device.type == "cuda" else [])]
    return [torch.Generator(one).manual_seed(int(seed)).get_state() for one in devices]


def get_rng_state(device: torch.device = CPU) -> list[torch.Tensor]:
    """Return the present states of PyTorch's generators: that of the CPU, and that of a GPU `device`."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_rng_state(states: list[torch.Tensor], device: torch.device = CPU) -> None:
    """Set the states that `get_rng_state` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Run the body with PyTorch's generators seeded; restore their states afterwards. Other GPUs are not touched."""
    before = get_rng_state(device)
    set_rng_state(initial_rng_state(seed, device), device)
    try:
        yield
    finally:
        set_rng_state(before, device)


@contextmanager
def same_threads() -> Iterator[None]:
    """Restore PyTorch's number of threads, which numba (in scanpy and UMAP) sets for the whole process."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
