"""Exercise 5.3: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.calling import NO_MODULE, list_parameters, misplaced_parameters

PX = ("px_scale", "px_r", "px_rate", "px_dropout")


def use(
    attempt: Callable,
    options: dict[str, Any],
    weights: dict[str, Tensor],
    dispersion: str,
    z: Tensor,
    library: Tensor,
    *codes: Tensor,
) -> dict[str, Any]:
    """Give the attempt weights and see what it makes of z, in both modes."""
    decoder = attempt(**options)
    if not isinstance(decoder, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {
        "its parameters": list_parameters(decoder.state_dict()),
        "astray": misplaced_parameters(decoder),
    }
    if found["its parameters"] != list_parameters(weights):
        return found
    decoder.load_state_dict(weights)
    outputs = decoder.eval()(dispersion, z, library, *codes)
    if not isinstance(outputs, tuple | list) or len(outputs) != len(PX):
        return found | {"what it returns": _kind_of(outputs)}
    found["what it returns"] = "four things"
    found |= dict(zip(PX, outputs, strict=True))
    return found | _weights_reached(outputs, decoder) | _in_train_mode(decoder, dispersion, z, library, *codes)


def _kind_of(outputs: Any) -> str:
    if isinstance(outputs, tuple | list | dict):
        return f"a {type(outputs).__name__} of {len(outputs)}"
    return "a single tensor" if isinstance(outputs, Tensor) else f"something of type {type(outputs).__name__}"


def _weights_reached(outputs: Sequence[Any], decoder: nn.Module) -> dict[str, Any]:
    """Gradient of every parameter, of a sum in which each output has a weight of its own."""
    total = torch.zeros(())
    for start, output in zip((0.5, 0.7, 0.4, 0.6), outputs, strict=True):
        if isinstance(output, Tensor) and output.requires_grad:
            total = total + (output.flatten() * torch.linspace(start, 1.5, output.numel())).sum()
    named = dict(decoder.named_parameters())
    asked = {name: parameter for name, parameter in named.items() if parameter.requires_grad and total.requires_grad}
    reached = torch.autograd.grad(total, list(asked.values()), allow_unused=True, retain_graph=True) if asked else ()
    gradients = dict(zip(asked, reached, strict=True))
    return {f"the gradient of {name}": gradients.get(name) for name in named}


def _in_train_mode(decoder: nn.Module, dispersion: str, z: Tensor, library: Tensor, *codes: Tensor) -> dict[str, Any]:
    """Decode four times in train mode: with dropout, the result would change from pass to pass."""
    if len(z) == 1:
        return {}  # nothing to normalise over
    with torch.no_grad():
        passes = [decoder.train()(dispersion, z, library, *codes)[0] for _ in range(4)]
        means = [buffer for name, buffer in decoder.named_buffers() if name.endswith("running_mean")]
    if not all(isinstance(one, Tensor) and one.shape == passes[0].shape for one in passes):
        return {"passes in train mode": "no tensors"}
    return {"passes in train mode": torch.stack(passes), "the running means": torch.cat(means)}
