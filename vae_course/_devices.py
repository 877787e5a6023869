"""Where a model computes: on the processor, or on a card."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def chosen(device: str | torch.device) -> torch.device:
    """Return the device that "auto" or a name stands for.

    "auto" is what the environment variable VAE_COURSE_DEVICE names, else a CUDA card where there is one, else the
    processor.

    Raises
    ------
    ValueError
        For a device that is not there.
    """
    name = "device"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if os.environ.get("VAE_COURSE_DEVICE"):
            name, device = "VAE_COURSE_DEVICE", os.environ["VAE_COURSE_DEVICE"]
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name} has to be 'auto', 'cpu' or a card that is there, got {device!r}: {reason}") from error
    if found.type not in ("cpu", "cuda"):  # the gamma functions need float64, which other cards may not have
        raise ValueError(f"{name} has to be 'auto', 'cpu' or 'cuda', got {device!r}, which was never tried.")
    return found


def device_of(model: torch.nn.Module) -> torch.device:
    """Return where the model is."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@contextmanager
def computing_on(device: torch.device, model: torch.nn.Module) -> Iterator[None]:
    """Have the model on a device while the body runs, and put it back where it was.

    So a model can always be given the tensors that its owner has, wherever it was trained.
    """
    home = device_of(model)
    try:
        model.to(device)
        yield
    finally:
        model.to(home)
