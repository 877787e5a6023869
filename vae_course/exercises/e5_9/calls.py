"""Exercise 5.9: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.calling import NO_MODULE, list_parameters, misplaced_parameters

NAMES = ("qz_m", "qz_v", "z", "ql_m", "ql_v", "library", "px_scale", "px_rate", "px_dropout", "px_r")  # in this order
TERMS = ("the reconstruction", "kl_local", "kl_global")


def use(
    attempt: Callable, options: dict[str, Any], weights: dict[str, Tensor], x: Tensor, batch_index: Tensor | None
) -> dict[str, Any]:
    """Give the attempt weights, and see what its methods make of x: in eval mode with a seed, then in train mode."""
    model = attempt(**options)
    if not isinstance(model, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {
        "its parameters": list_parameters(model.state_dict()),
        "astray": misplaced_parameters(model),
    }
    if found["its parameters"] != list_parameters(weights):
        return found
    model.load_state_dict(weights)
    found["what is trained"] = ", ".join(sorted(name for name, _ in model.named_parameters()))
    torch.manual_seed(0)
    inferred = model.eval().inference(x, batch_index)
    if not isinstance(inferred, dict) or sorted(map(str, inferred)) != sorted(NAMES):
        return found | {"what inference returns": _kind_of(inferred)}
    found["what inference returns"] = "the ten names"
    found |= {name: inferred[name] for name in NAMES}
    torch.manual_seed(1)
    terms = model.loss_terms(x, batch_index)
    if not isinstance(terms, tuple | list) or len(terms) != len(TERMS):
        return found | {"what loss_terms returns": _kind_of(terms)}
    found["what loss_terms returns"] = "three things"
    found |= dict(zip(TERMS, terms, strict=True))
    found["reached by gradients"] = _reached(terms, model)
    if len(x) > 1:
        found["dropout"] = _dropout(model, x, inferred["z"], inferred["library"], batch_index)
    return found


def _kind_of(result: Any) -> str:
    if isinstance(result, dict):
        names = ", ".join(sorted(map(str, result)))
        return f"a dict of {len(result)}, {names}" if len(names) < 200 else f"a dict of {len(result)}"
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    return "a single tensor" if isinstance(result, Tensor) else f"something of type {type(result).__name__}"


def _reached(terms: Any, model: nn.Module) -> str:
    """Name the parameters that the loss moves."""
    total = sum((term.sum() for term in terms if isinstance(term, Tensor) and term.requires_grad), torch.zeros(()))
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not (named and total.requires_grad):
        return "nothing"
    gradients = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    moved = [name for name, g in zip(named, gradients, strict=True) if g is not None and bool(g.any())]
    return ", ".join(sorted(name for name in moved if "fc_layers" not in name or name.endswith("0.weight")))


@torch.no_grad()
def _dropout(model: nn.Module, x: Tensor, z: Tensor, library: Tensor, batch_index: Tensor | None) -> str:
    """Say which of the three networks have dropout in train mode, and how much where it is a module of its own."""
    model.train()
    log_x, said = torch.log1p(x), []
    for name, given in (
        ("z_encoder", (log_x,)),
        ("l_encoder", (log_x,)),
        ("decoder", ("gene", z, library, batch_index)),
    ):
        network = getattr(model, name)
        passes = [network(*given)[0] for _ in range(4)]
        rates = {round(part.p, 4) for part in network.modules() if isinstance(part, nn.Dropout)} - {0.1, 0.0}
        changes = not all(torch.allclose(one, passes[0], rtol=1e-4, atol=1e-4) for one in passes)
        said.append(f"{name} {' and '.join(map(str, sorted(rates))) or ('yes' if changes else 'no')}")
    return ", ".join(said)
