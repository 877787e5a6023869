"""Helpers that several exercises share to call an attempt. Copied as it is into the sandbox of the grader."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

NO_MODULE = "not an nn.Module"


def list_parameters(weights: Mapping[str, Tensor]) -> str:
    """List parameters and buffers with their shapes, by name."""
    shapes = {name: tuple(value.shape) for name, value in sorted(weights.items())}
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"


def misplaced_parameters(module: nn.Module) -> str:
    """Name what is stored on a module where it does not look for parameters."""
    if any(isinstance(value, Tensor) for value in vars(module).values()):
        return "plain tensors"
    kept = [value for value in vars(module).values() if isinstance(value, list | tuple)]
    return "modules in a list" if any(isinstance(part, nn.Module) for parts in kept for part in parts) else "nothing"


def gradients_of(output: Any, module: nn.Module) -> dict[str, Any]:
    """Gradient of every parameter, of a sum in which each output has a weight of its own."""
    named = dict(module.named_parameters())
    if not (isinstance(output, Tensor) and output.requires_grad):
        return {f"the gradient of {name}": None for name in named}
    weights = torch.linspace(0.5, 1.5, output.numel())
    found = torch.autograd.grad((output.flatten() * weights).sum(), list(named.values()), allow_unused=True)
    return {f"the gradient of {name}": gradient for name, gradient in zip(named, found, strict=True)}


def is_real_tensor(z: Any) -> bool:
    """Whether a result is a tensor that one can compute with."""
    is_dense = isinstance(z, Tensor) and z.layout == torch.strided and z.device.type == "cpu"
    return is_dense and z.is_floating_point()
