"""Exercise 2.5: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.calling import NO_MODULE, misplaced_parameters


def use(attempt: Callable, n_in: int, n_latent: int, h: Tensor, far: Tensor) -> dict[str, Any]:
    """Give the attempt other weights and see what it makes of h, and of other features."""
    head = attempt(n_in, n_latent)
    if not isinstance(head, nn.Module):
        return {"its parameters": NO_MODULE}
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()  # a bias may start at zero
    parameters = torch.cat([torch.zeros(0), *(parameter.flatten() for parameter in head.parameters())])
    found: dict[str, Any] = {"the parameters": parameters, "astray": misplaced_parameters(head)}
    pair = head(h)
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, Tensor) for part in pair)):
        is_layers = isinstance(pair, tuple | list) and any(isinstance(part, nn.Module) for part in pair)
        other = "the layers themselves, which have to be called on h" if is_layers else f"a {type(pair).__name__}"
        return found | {"what it returns": pair if isinstance(pair, Tensor) else other}
    found |= {"what it returns": "two tensors"} | dict(zip(("mean of h", "logvar of h"), pair, strict=True))
    if isinstance(getattr(head, "mean", None), nn.Linear):
        found["self.mean of h"] = head.mean(h)
    if any(part.shape != (len(h), n_latent) for part in pair):
        return found
    for place, features in (("0", torch.zeros_like(h)), ("2 h", 2 * h), ("far features", far)):
        found |= {f"{name} of {place}": part for name, part in zip(("mean", "logvar"), head(features), strict=True)}
    return found | {
        f"what moves {name}": _moving(head, part) for name, part in zip(("mean", "logvar"), pair, strict=True)
    }


def _moving(head: nn.Module, part: Tensor) -> Tensor | None:
    """Gradients of all parameters in a row, for one of the two outputs: 0 where a parameter does not move it."""
    parameters = list(head.parameters())
    if not part.requires_grad:
        return None
    found = torch.autograd.grad(part.square().sum(), parameters, retain_graph=True, allow_unused=True)
    moved = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
    return torch.cat([gradient.flatten() for gradient in moved])
