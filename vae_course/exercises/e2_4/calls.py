"""Exercise 2.4: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.calling import NO_MODULE, gradients_of, list_parameters, misplaced_parameters

N_PASSES = 300  # from which the share of outputs that dropout sets to zero is told


def use(
    attempt: Callable, options: dict[str, Any], weights: dict[str, Tensor], x: Tensor, *codes: Tensor
) -> dict[str, Any]:
    """Give the attempt weights and see what it makes of x, in both modes."""
    layers = attempt(**options)
    if not isinstance(layers, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {
        "its parameters": list_parameters(layers.state_dict()),
        "astray": misplaced_parameters(layers),
    }
    if found["its parameters"] != list_parameters(weights):
        return found
    layers.load_state_dict(weights)
    output = layers.eval()(x, *codes)
    found |= {"the output in eval mode": output} | gradients_of(output, layers)
    with torch.no_grad():
        found["two passes in eval mode"] = layers(x, *codes)  # the second one
        trained = layers.train()(x, *codes)
        if options.get("dropout_rate", 0.1) == 0:
            found["the output in train mode"] = trained
            found["the running means"] = torch.cat(
                [b for n, b in layers.named_buffers() if n.endswith("mean")] or [x[0]]
            )
        elif isinstance(output, Tensor) and isinstance(trained, Tensor):
            found["dropout in train mode"] = torch.stack([layers(x, *codes) for _ in range(N_PASSES)])
    return found
