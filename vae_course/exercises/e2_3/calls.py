"""Exercise 2.3: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def use(attempt: Callable, values: Tensor, lr: float, form: str, n_steps: int, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Fit w x + b to points (x, y), from w and b in `values`, by steps of the attempt."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)  # the first one imports for seconds: before it counts
    w, b = (value.clone().requires_grad_() for value in values)
    for _ in range(n_steps):
        loss = ((w * x + b - y) ** 2).mean()
        attempt((p for p in (w, b)) if form == "generator" else [w, b], loss, lr)
    return {
        "the first parameter": w,
        "the second parameter": b,
        "the gradients left behind": torch.stack([torch.zeros(()) if p.grad is None else p.grad for p in (w, b)]),
        "the parameters": "leaves" if w.requires_grad and w.is_leaf and b.requires_grad else "no longer leaves",
    }
