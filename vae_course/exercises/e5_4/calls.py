"""Exercise 5.4: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor


def use(
    attempt: Callable, px_r: Tensor, dispersion: str, batch_index: Tensor | None, y: Tensor | None, shape: tuple
) -> dict[str, Any]:
    """Compare theta as it meets the counts, (cells, genes)."""
    theta = attempt(px_r, dispersion, batch_index, y)
    if isinstance(theta, Tensor) and theta.layout == torch.strided:
        with suppress(RuntimeError):  # of a shape that does not fit: left as it is
            theta = theta.broadcast_to(shape)
    return {"theta": theta}
