"""Exercise 2.1: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.calling import NO_MODULE, gradients_of, list_parameters, misplaced_parameters


def use(attempt: Callable, n_in: int, n_out: int, x: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Any]:
    layer = attempt(n_in, n_out)
    if not isinstance(layer, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {
        "its parameters": list_parameters(layer.state_dict()),
        "astray": misplaced_parameters(layer),
    }
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    if shapes != {"weight": (n_out, n_in), "bias": (n_out,)}:
        return found
    with torch.no_grad():
        found["the initial weight"] = torch.stack([layer.weight, attempt(n_in, n_out).weight])
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    output = layer(x)
    return found | {"the output": output} | dict(sorted(gradients_of(output, layer).items()))
