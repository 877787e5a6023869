"""Lesson 2, PyTorch: reference answers that only the lesson needs, and what goes wrong."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.engine import Exercise
from vae_course.nn import FCLayers, one_hot_covariates


class Linear(nn.Module):
    """An affine map from scratch, x -> x W^T + b.

    Parameters
    ----------
    n_in, n_out
        Columns of the input and of the output.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        """Make the parameters `weight`, (n_out, n_in), drawn at random, and `bias`, (n_out,)."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map x of any leading shape, (..., n_in), to (..., n_out)."""
        return x @ self.weight.T + self.bias  # (..., n_in) @ (n_in, n_out)


def gradient_step(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    """Go one step downhill, p <- p - lr * dloss/dp, in place.

    Parameters
    ----------
    params
        Leaf tensors that require gradients, a list or a generator; their `.grad` is empty.
    loss
        What to make smaller, a scalar computed from the parameters.
    lr
        Learning rate.
    """
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad = None


class GaussianHead(nn.Module):
    """The end of an encoder: from hidden features to the mean and the log-variance of a Gaussian.

    Parameters
    ----------
    n_in, n_latent
        Columns of the input and number of latents.
    """

    def __init__(self, n_in: int, n_latent: int) -> None:
        """Make two affine layers, each with parameters of its own."""
        super().__init__()
        self.mean = nn.Linear(n_in, n_latent)
        self.logvar = nn.Linear(n_in, n_latent)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map h, (cells, n_in), to (mean, logvar), (cells, n_latent) each."""
        return self.mean(h), self.logvar(h)


# --------------------------------------------------------------------------------------------------------------------
# Modules: what an attempt is asked, and what can be told from the answers
# --------------------------------------------------------------------------------------------------------------------

NO_MODULE = "not an nn.Module"


def _between(low: int, high: int, generator: torch.Generator) -> int:
    """Draw a whole number, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def _teacher(network: type[nn.Module], options: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """Draw weights and running averages, by the names that they have in a network."""
    with torch.device("meta"):  # names and shapes, and no draws from PyTorch's own generator
        shapes = network(**options).state_dict()
    weights = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}
    for name, value in weights.items():
        if value.is_floating_point():
            value.uniform_(*((0.5, 1.5) if "running_var" in name else (-1.0, 1.0)), generator=generator)
    return weights


def _tensor_from(got: Mapping[str, Value], name: str, shape: Sequence[int]) -> Tensor:
    """Take a tensor of a known shape from what an attempt sent; nan throughout where it sent something else."""
    tensor = got[name].tensor if name in got else None
    if tensor is None or tensor.is_complex() or tensor.shape != torch.Size(shape):
        return torch.full(shape, torch.nan, dtype=torch.float64)
    return tensor


def _parameters(weights: Mapping[str, Tensor]) -> str:
    """List parameters and buffers with their shapes, by name."""
    shapes = {name: tuple(value.shape) for name, value in sorted(weights.items())}
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"


def _astray(module: nn.Module) -> str:
    """Name what is stored on a module where it does not look for parameters."""
    if any(isinstance(value, Tensor) for value in vars(module).values()):
        return "plain tensors"
    kept = [value for value in vars(module).values() if isinstance(value, list | tuple)]
    return "modules in a list" if any(isinstance(part, nn.Module) for parts in kept for part in parts) else "nothing"


def _gradients_of(output: Any, module: nn.Module) -> dict[str, Any]:
    """Gradient of every parameter, of a sum in which each output has a weight of its own."""
    named = dict(module.named_parameters())
    if not (isinstance(output, Tensor) and output.requires_grad):
        return {f"the gradient of {name}": None for name in named}
    weights = torch.linspace(0.5, 1.5, output.numel())
    found = torch.autograd.grad((output.flatten() * weights).sum(), list(named.values()), allow_unused=True)
    return {f"the gradient of {name}": gradient for name, gradient in zip(named, found, strict=True)}


def _explain_module(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say how the parameters differ from those that are due."""
    key = "its parameters"
    if got[key].text == NO_MODULE:
        return "what your class makes is not an nn.Module: it has to begin with class ...(nn.Module)."
    if got[key].text != want[key].text:
        if got["astray"].text == "plain tensors":
            return (
                "there are plain tensors on self, which no optimizer will find. Wrap the finished tensor in "
                "nn.Parameter: arithmetic with a parameter gives a plain tensor again."
            )
        if got["astray"].text == "modules in a list":
            return "there are layers in a Python list, where nn.Module does not look for parameters."
        sizes = "" if isinstance(case.arguments[0], dict) else " for n_in = {} and n_out = {}".format(*case.arguments)
        return f"{_first_difference(got[key].text, want[key].text)}{sizes}."
    return None


def _shapes(text: str) -> dict[str, str]:
    """Undo `_parameters`: the shape of every parameter by its name."""
    parts = (part.partition(" (") for part in text.removesuffix(")").split("), "))
    return {name: f"({shape})" for name, between, shape in parts if between}


def _first_difference(got: str, want: str) -> str:
    """Name the first parameter that is missing, superfluous, or of another shape."""
    mine, due = _shapes(got), _shapes(want)
    for name in sorted(mine.keys() | due.keys()):
        if name not in mine:
            return f"`{name}`, of shape {due[name]}, is missing; yours has {', '.join(mine) or 'no parameters'}"
        if name not in due:
            return f"there is a `{name}`, which should not be; due are {', '.join(due)}"
        if mine[name] != due[name]:
            return f"`{name}` should have shape {due[name]}; yours has {mine[name]}"
    return "its parameters come in another order"


def _use_linear(attempt: Callable, n_in: int, n_out: int, x: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Any]:
    layer = attempt(n_in, n_out)
    if not isinstance(layer, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {"its parameters": _parameters(layer.state_dict()), "astray": _astray(layer)}
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    if shapes != {"weight": (n_out, n_in), "bias": (n_out,)}:
        return found
    with torch.no_grad():
        found["the initial weight"] = torch.stack([layer.weight, attempt(n_in, n_out).weight])
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    output = layer(x)
    return found | {"the output": output} | dict(sorted(_gradients_of(output, layer).items()))


def _examine_linear(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    name = "the initial weight"
    n_in, n_out, *_ = case.arguments
    return {**got, name: _draw_of(*_tensor_from(got, name, (2, n_out, n_in)))} if name in got else dict(got)


def _draw_of(weight: Tensor, again: Tensor) -> str:
    """Tell a random draw from other numbers, by a second one."""
    if not weight.isfinite().all():
        return "not finite"
    if weight.unique().numel() == 1:
        return "the same number everywhere"
    return "drawn at random" if not torch.equal(weight, again) else "the same in every new layer"


def _linear(label: str, n_in: int, n_out: int, leading: tuple[int, ...], generator: torch.Generator) -> Case:
    x, weight = torch.randn(*leading, n_in, generator=generator), torch.randn(n_out, n_in, generator=generator)
    return Case(label, (n_in, n_out, x, weight, torch.randn(n_out, generator=generator) + 1))


def _cases_of_linear() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [
        _linear("a table of five cells", 2, 3, (5,), generator),
        _linear("as many outputs as inputs", 3, 3, (4,), generator),
        _linear("one cell alone, of shape (n_in,)", 4, 2, (), generator),
        _linear("a stack of two tables", 2, 3, (2, 5), generator),
    ]


def _hidden_linear(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_in, n_out, n_cells = (_between(2, 6, generator) for _ in range(3))
    return [
        _linear("another table of cells", n_in, n_out, (n_cells,), generator),
        _linear("another cell alone", n_out, n_in, (), generator),
        _linear("a stack of three tables", n_in, n_out, (3, n_cells), generator),
    ]


def _cases_of_one_hot() -> list[Case]:
    return [
        Case("four cells of three categories", (torch.tensor([2, 0, 1, 0]), 3)),
        Case("codes in a column, (cells, 1)", (torch.tensor([[2], [0], [1], [0], [1]]), 3)),
        Case("a last category that no cell has", (torch.tensor([0, 1, 0]), 4)),
        Case("as many cells as categories", (torch.tensor([1, 1, 2]), 3)),
        Case("a single cell", (torch.tensor([1]), 2)),
    ]


def _hidden_one_hot(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_categories = _between(5, 12, generator), _between(3, 7, generator)
    codes = torch.randint(n_categories, (3, n_cells), generator=generator)
    return [
        Case("other codes", (codes[0], n_categories)),
        Case("other codes in a column", (codes[1].unsqueeze(-1), n_categories)),
        Case("two last categories that no cell has", (codes[2], n_categories + 2)),
        Case("another single cell", (codes[2, :1], n_categories)),
    ]


def _explain_one_hot(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values = next(iter(got.values())).tensor
    if not ((values == 0) | (values == 1)).all():
        return "it should hold nothing but 0 and 1."
    sums = values.sum(dim=1)
    if not (sums == 1).all():
        return f"each row should sum to 1, yours sums to {sums[sums != 1][0].item():g}."
    return None


def _use_gradient_step(
    attempt: Callable, values: Tensor, lr: float, form: str, n_steps: int, x: Tensor, y: Tensor
) -> dict[str, Any]:
    """Fit w x + b to points (x, y), from w and b in `values`, by steps of the attempt."""
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


def _examine_gradient_step(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    name = "the gradients left behind"
    return {**got, name: "still there" if _tensor_from(got, name, (2,)).any() else "none"}


def _cases_of_gradient_step() -> list[Case]:
    start, points = torch.tensor([0.5, -1.0]), (torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([1.0, 0.0, 3.0]))
    return [
        Case("one step", (start, 0.1, "list", 1, *points)),
        Case("another learning rate", (start, 0.01, "list", 1, *points)),
        Case("parameters from a generator", (start, 0.1, "generator", 1, *points)),
        Case("three steps", (start, 0.1, "list", 3, *points)),
    ]


def _hidden_gradient_step(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    start, (x, y) = torch.randn(2, generator=generator), torch.randn(2, 5, generator=generator)
    lr = _between(2, 9, generator) / 100
    return [
        Case("one step with other points", (start, lr, "list", 1, x, y)),
        Case("two steps with parameters from a generator", (start + 1, lr, "generator", 2, x, y)),
        Case("four steps", (start - 1, lr, "list", 4, x, y)),
    ]


def _explain_gradient_step(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    start = case.arguments[0].double()
    names = ("the first parameter", "the second parameter")
    moved = torch.stack([got[name].tensor for name in names]) - start
    due = torch.stack([want[name].tensor for name in names]) - start
    if not moved.any() and case.arguments[2] == "generator":
        return "the parameters do not change: a generator can be walked only once, so make a list of it first."
    if not moved.any():
        return "the parameters do not change. Are they changed in place, and is their gradient there when you use it?"
    if got["the gradients left behind"].text != "none" and torch.allclose(moved, due, atol=1e-4):
        return "the step is right, but .grad is still there after it: PyTorch would add the next gradient to it."
    if moved[0] != 0 and moved[1] == 0:
        return "only the first parameter moves. Does the loop end too early?"
    if (moved * due < 0).all():
        return "the parameters go uphill: the loss should become smaller."
    if got["the parameters"].text != "leaves":
        return (
            "after the step the parameters are no leaf tensors any more, so that the next backward() cannot reach them."
        )
    return None


N_PASSES = 300  # from which the share of outputs that dropout sets to zero is told


def _use_fc_layers(
    attempt: Callable, options: dict[str, Any], weights: dict[str, Tensor], x: Tensor, *codes: Tensor
) -> dict[str, Any]:
    """Give the attempt weights and see what it makes of x, in both modes."""
    layers = attempt(**options)
    if not isinstance(layers, nn.Module):
        return {"its parameters": NO_MODULE}
    found: dict[str, Any] = {"its parameters": _parameters(layers.state_dict()), "astray": _astray(layers)}
    if found["its parameters"] != _parameters(weights):
        return found
    layers.load_state_dict(weights)
    output = layers.eval()(x, *codes)
    found |= {"the output in eval mode": output} | _gradients_of(output, layers)
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


def _examine_fc_layers(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    options, _, x, *_ = case.arguments
    shape, found = (len(x), options["n_out"]), dict(got)
    if "two passes in eval mode" in got:
        passes = [_tensor_from(got, name, shape) for name in ("the output in eval mode", "two passes in eval mode")]
        found["two passes in eval mode"] = "agree" if torch.equal(*passes) else "differ"
    if "dropout in train mode" in got:
        found["dropout in train mode"] = _dropout_of(_tensor_from(got, "dropout in train mode", (N_PASSES, *shape)))
    return found


def _dropout_of(passes: Tensor) -> str:
    """Estimate the share of outputs that dropout sets to zero, from many passes in train mode."""
    alive = passes.amax(dim=0) > 0  # (cells, n_out)
    return f"about {10 * round(10 * (passes[:, alive] == 0).double().mean().item()):.0f} %" if alive.any() else "all"


def _cases_of_fc_layers() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=generator)
    batch, donor = torch.tensor([0, 2, 1, 0, 1, 2]), torch.tensor([[0], [1], [1], [0], [0], [1]])
    plain, small = {"dropout_rate": 0.0, "use_batch_norm": False}, {"n_in": 4, "n_out": 3, "n_hidden": 5}

    def case(label: str, options: dict[str, Any], *codes: Tensor) -> Case:
        return Case(label, (options, _teacher(FCLayers, options, generator), x, *codes))

    return [
        case("a single plain layer", {**small, **plain}),
        case("batch normalisation", {**small, "dropout_rate": 0.0}),
        case("two layers", {**small, **plain, "n_layers": 2}),
        case("three layers with batch normalisation", {**small, "dropout_rate": 0.0, "n_layers": 3}),
        case("a covariate", {**small, **plain, "n_cat_list": [3]}, batch),
        case("a covariate and two layers", {**small, **plain, "n_cat_list": [3], "n_layers": 2}, batch),
        case("a covariate with a single category", {**small, **plain, "n_cat_list": [1]}, 0 * batch),
        case("a single category before another covariate", {**small, **plain, "n_cat_list": [1, 2]}, 0 * batch, donor),
        case("two covariates", {**small, **plain, "n_cat_list": [3, 2]}, batch, donor),
        case("dropout", {**small, "n_out": 8, "use_batch_norm": False, "dropout_rate": 0.5}),
        case("the default options", {"n_in": 4, "n_out": 3}),
    ]


def _hidden_fc_layers(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_in, n_hidden = (_between(4, 7, generator) for _ in range(3))
    sizes = [_between(2, 4, generator), 1, _between(2, 4, generator)]
    codes = [torch.randint(n, (n_cells,), generator=generator) for n in sizes]

    def case(label: str, *codes: Tensor, **options: Any) -> Case:
        options = {"n_in": n_in, "n_hidden": n_hidden, **options}
        x = torch.randn(n_cells, n_in, generator=generator)
        return Case(label, (options, _teacher(FCLayers, options, generator), x, *codes))

    plain, rate = {"dropout_rate": 0.0, "use_batch_norm": False}, _between(2, 5, generator) / 10
    return [
        case("three covariates and two layers", *codes, n_out=n_hidden + 1, n_cat_list=sizes, n_layers=2, **plain),
        case("a covariate and batch normalisation", codes[0], n_out=3, n_cat_list=sizes[:1], dropout_rate=0.0),
        case(f"dropout of {100 * rate:.0f} %", n_out=16, dropout_rate=rate, use_batch_norm=False),
    ]


def _explain_fc_layers(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    for name in ("two passes in eval mode", "dropout in train mode"):
        if name in got and name in want and got[name].text != want[name].text:
            if name.startswith("two"):
                return "two passes in eval mode differ: dropout has to be off there."
            asked = f"{100 * case.arguments[0].get('dropout_rate', 0.1):.0f} %"
            return (
                f"in train mode dropout should set about {asked} of the outputs to zero; yours sets {got[name].text}."
            )
    return None


def _use_gaussian_head(attempt: Callable, n_in: int, n_latent: int, h: Tensor, far: Tensor) -> dict[str, Any]:
    """Give the attempt other weights and see what it makes of h, and of other features."""
    head = attempt(n_in, n_latent)
    if not isinstance(head, nn.Module):
        return {"its parameters": NO_MODULE}
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()  # a bias may start at zero
    parameters = torch.cat([torch.zeros(0), *(parameter.flatten() for parameter in head.parameters())])
    found: dict[str, Any] = {"the parameters": parameters, "astray": _astray(head)}
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


def _examine_gaussian_head(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    if "the parameters" not in got:
        return dict(got)
    n_parameters, pair = math.prod(got["the parameters"].shape), [got.get(f"{n} of h") for n in ("mean", "logvar")]
    found: dict[str, Any] = {"how many parameters": n_parameters, "astray": got.get("astray")}
    found["what it returns"] = got.get("what it returns")
    if None in pair:
        return found
    _, n_latent, h, far = case.arguments
    shape, names = (len(h), n_latent), ("mean", "logvar")
    swapped = torch.equal(_tensor_from(got, "self.mean of h", shape), _tensor_from(got, "logvar of h", shape))
    found["the order"] = "logvar, mean" if swapped else "mean, logvar"
    for name, part in zip(names, pair, strict=True):
        found[f"the shape of {name}"] = str(part.shape)
    if any(part.shape != shape for part in pair):
        return found
    for name in names:
        at_zero, at_h, at_twice = (_tensor_from(got, f"{name} of {place}", shape) for place in ("0", "h", "2 h"))
        far_out = _tensor_from(got, f"{name} of far features", (len(far), n_latent))
        found[f"{name} as a function of h"] = _course_of(at_zero, at_h, at_twice)
        found[f"{name} of many cells"] = "never negative" if (far_out >= 0).all() else "of both signs"
        found[f"{name} for h = 0"] = "the bias" if at_zero.any() else "zero"
    gradients = [got.get(f"what moves {name}") for name in names]
    return found | {"the parameters of the two": _owners(gradients, n_parameters)}


def _course_of(at_zero: Tensor, at_h: Tensor, at_twice: Tensor) -> str:
    """Tell an affine map by its values at 0, h and 2 h; after an exp, their logarithms are those of one."""
    for course, values in (
        ("straight", (at_zero, at_h, at_twice)),
        ("exponential", (at_zero.log(), at_h.log(), at_twice.log())),
    ):
        if (values[2] - 2 * values[1] + values[0]).abs().max() < 1e-3:
            return course
    return "bent"


def _owners(gradients: Sequence[Value | None], n_parameters: int) -> str:
    """Say which entries of the parameters move the mean, and which the log-variance: gradients tell."""
    if any(g is None or g.tensor is None or g.tensor.shape != (n_parameters,) for g in gradients):
        return "unreached by gradients"
    of_mean, of_logvar = (gradient.tensor != 0 for gradient in gradients)
    if (of_mean & of_logvar).any():
        return "shared"
    return "their own" if (of_mean | of_logvar).all() else "partly unused"


def _gaussian_head(label: str, n_cells: int, n_in: int, n_latent: int, generator: torch.Generator) -> Case:
    h, far = torch.randn(n_cells, n_in, generator=generator) + 1, 10 * torch.randn(100, n_in, generator=generator)
    return Case(label, (n_in, n_latent, h, far))


def _cases_of_gaussian_head() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [
        _gaussian_head("five cells, four features and two latents", 5, 4, 2, generator),
        _gaussian_head("a single cell", 1, 3, 2, generator),
        _gaussian_head("as many latents as features", 4, 3, 3, generator),
    ]


def _hidden_gaussian_head(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_in, n_latent = _between(2, 6, generator), _between(4, 7, generator), _between(2, 5, generator)
    return [
        _gaussian_head("other numbers of cells, features and latents", n_cells, n_in, n_latent, generator),
        _gaussian_head("another single cell", 1, n_latent + 1, n_in, generator),
    ]


def _explain_gaussian_head(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if got.get("its parameters", Value("")).text == NO_MODULE:
        return "what your class makes is not an nn.Module: it has to begin with class ...(nn.Module)."
    if got["what it returns"].text != "two tensors":
        yours = got["what it returns"]
        kind = yours.text or f"a single {yours.kind}"
        return f"`forward` should return two tensors, mean and logvar; yours returns {kind}."
    if got["the order"].text != want["the order"].text:
        return "mean and logvar have changed places: `forward` returns the mean first."
    for name in ("mean", "logvar"):
        shape = f"the shape of {name}"
        if got[shape].text != want[shape].text:
            return f"`{name}` should have shape {want[shape].text}, (cells, n_latent); yours has {got[shape].text}."
    for name in ("mean", "logvar"):
        if (course := got[f"{name} as a function of h"].text) != "straight":
            return f"`{name}` should be an affine function of h; yours is {course}. Is there an activation or an exp?"
    if got["the parameters of the two"].text != "their own":
        return f"mean and logvar need parameters of their own; here they are {got['the parameters of the two'].text}."
    count = "how many parameters"
    if got[count].tensor != want[count].tensor:
        n_got, n_want = (int(values[count].tensor.item()) for values in (got, want))
        return f"two affine maps with these sizes have {n_want} parameters in all; yours has {n_got}."
    return None


# --------------------------------------------------------------------------------------------------------------------
# Wrong answers
# --------------------------------------------------------------------------------------------------------------------


class _UnregisteredLinear(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = torch.randn(n_out, n_in)
        self.bias = torch.zeros(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


class _LinearWithoutSuper(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))


class _LinearOfShapes(nn.Module):
    """Parameters of chosen shapes, the weight not transposed."""

    def __init__(self, weight: tuple[int, ...], bias: tuple[int, ...] | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(weight))
        if bias is not None:
            self.bias = nn.Parameter(torch.zeros(bias))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class _ConstantLinear(Linear):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out)
        nn.init.constant_(self.weight, 0.0)


class _LinearWithoutBias(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


class _UntransposedLinear(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class _TablesOnlyLinear(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.mm(x, self.weight.t()) + self.bias


class _DetachedLinear(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.data.T + self.bias.data


class _ActivatedLinear(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


class _NegativeBiasLinear(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T - self.bias


def _uphill(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    gradient_step(params, loss, -lr)


def _without_rate(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    gradient_step(params, loss, 1.0)


def _rebinding_only(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    for p in params:
        del p  # as good as p = p - lr * p.grad


def _rebinding(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    for p in params:
        moved = p - lr * p.grad
        p.grad = None
        del moved


def _keeping_gradients(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad


def _recording(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    for p in params:
        p -= lr * p.grad


def _without_backward(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad


def _first_only(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    everything = list(params)
    gradient_step(everything[:1], loss, lr)
    everything[1].grad = None


def _walked_twice(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
        for p in params:
            p.grad = None


def _cleared_first(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    for p in params:
        p.grad = None
    gradient_step(params, loss, lr)


def _loss_for_gradient(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    with torch.no_grad():
        for p in params:
            p -= lr * loss


def _fc_layers(
    *,
    order: str = "LBRD",
    activation: Callable[[], nn.Module] = nn.ReLU,
    momentum: float = 0.01,
    eps: float = 0.001,
    one_category: bool = False,
    inject: str = "every",
    last: str = "n_out",
    batch_norm: bool | None = None,
    dropout: float | None = None,
    container: str = "named",
    keep_positions: bool = True,
    columns_first: bool = False,
    bend_at_the_end: bool = True,
    more_layers: int = 0,
) -> type[nn.Module]:
    """Fully connected layers with something wrong in them; the defaults are right."""

    class Layers(nn.Module):
        def __init__(
            self, n_in, n_out, n_cat_list=None, n_layers=1, n_hidden=128, dropout_rate=0.1, use_batch_norm=True
        ) -> None:
            super().__init__()
            self.n_cat_list = [n if n > 1 or one_category else 0 for n in n_cat_list or []]
            if not keep_positions:
                self.n_cat_list = [n for n in self.n_cat_list if n]
            n_layers += more_layers
            extra = 0 if inject == "never" else sum(self.n_cat_list)
            widths = [n_in] + [n_hidden] * (n_layers - 1) + [n_out if last == "n_out" else n_hidden]
            rate, layers = dropout_rate if dropout is None else dropout, {}
            for i in range(n_layers):
                width = widths[i] + (extra if inject == "every" or i == 0 else 0)
                is_last = i == n_layers - 1
                steps = {"L": nn.Linear(width, widths[i + 1])}
                if bend_at_the_end or not is_last:
                    steps["R"] = activation()
                if use_batch_norm if batch_norm is None else batch_norm:
                    steps["B"] = nn.BatchNorm1d(widths[i + 1], momentum=momentum, eps=eps)
                if rate > 0:
                    steps["D"] = nn.Dropout(rate)
                layers[f"Layer {i}"] = nn.Sequential(*[steps[name] for name in order if name in steps])
            if container == "list":
                self.fc_layers = list(layers.values())
            elif container == "numbered":
                self.fc_layers = nn.Sequential(*layers.values())
            else:
                self.fc_layers = nn.Sequential()
                for name, layer in layers.items():
                    self.fc_layers.add_module(name, layer)

        def forward(self, x: Tensor, *cat_list: Tensor) -> Tensor:
            columns = []
            if inject != "never":
                columns = one_hot_covariates(cat_list, self.n_cat_list, len(x))
                columns += [torch.ones(len(x), 1) for n in self.n_cat_list if n == 1]
            for i, layer in enumerate(self.fc_layers):
                if columns and (inject == "every" or i == 0):
                    x = torch.cat([*columns, x] if columns_first else [x, *columns], dim=-1)
                x = layer(x)
            return x

    return Layers


class _AlwaysDroppingLayers(FCLayers):
    def forward(self, x: Tensor, *cat_list: Tensor) -> Tensor:
        for layer in self.fc_layers:
            for step in layer:
                step.train(step.training or isinstance(step, nn.Dropout))
        return super().forward(x, *cat_list)


class _SharedHead(nn.Module):
    def __init__(self, n_in: int, n_latent: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_latent)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(h), self.linear(h)


class _ExponentiatedHead(GaussianHead):
    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(h), torch.exp(self.logvar(h))


class _ActivatedHead(GaussianHead):
    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return torch.relu(self.mean(h)), torch.relu(self.logvar(h))


class _SoftplusHead(GaussianHead):
    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(h), nn.functional.softplus(self.logvar(h))


class _MeanOnlyHead(GaussianHead):
    def forward(self, h: Tensor) -> Tensor:
        return self.mean(h)


class _ConcatenatedHead(GaussianHead):
    def forward(self, h: Tensor) -> Tensor:
        return torch.cat([self.mean(h), self.logvar(h)], dim=-1)


class _UnbiasedHead(nn.Module):
    def __init__(self, n_in: int, n_latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(n_in, n_latent, bias=False)
        self.logvar = nn.Linear(n_in, n_latent, bias=False)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(h), self.logvar(h)


class _ChainedHead(nn.Module):
    def __init__(self, n_in: int, n_latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(n_in, n_latent)
        self.logvar = nn.Linear(n_latent, n_latent)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.mean(h)
        return mean, self.logvar(mean)


class _OneVarianceHead(nn.Module):
    def __init__(self, n_in: int, n_latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(n_in, n_latent)
        self.logvar = nn.Linear(n_in, 1)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(h), self.logvar(h)


class _UnregisteredHead(nn.Module):
    def __init__(self, n_in: int, n_latent: int) -> None:
        super().__init__()
        self.heads = [nn.Linear(n_in, n_latent), nn.Linear(n_in, n_latent)]

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.heads[0](h), self.heads[1](h)


# --------------------------------------------------------------------------------------------------------------------
# The exercises
# --------------------------------------------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "2.1",
        "vae_course.exercises.lesson2.Linear",
        cases=_cases_of_linear,
        use=_use_linear,
        examine=_examine_linear,
        hidden=_hidden_linear,
        properties=(_explain_module,),
        hints=(
            "Call super().__init__() first. A tensor becomes a parameter, which an optimizer can find, when it is "
            "wrapped in nn.Parameter and stored on self.",
            "weight has shape (n_out, n_in), so that x @ weight.T works for every leading shape of x: the last axis of "
            "x meets the first of weight.T. The bias is added by broadcasting.",
        ),
        mistakes={
            "unregistered": (
                _UnregisteredLinear,
                "weight and bias are plain tensors, so that no optimizer will ever find them. Wrap them in "
                "nn.Parameter.",
            ),
            "no-super": (
                _LinearWithoutSuper,
                "nn.Module has to set itself up before it can hold parameters: call super().__init__() first.",
            ),
            "weight-transposed": (
                lambda n_in, n_out: _LinearOfShapes((n_in, n_out), (n_out,)),
                "weight has shape (n_in, n_out). PyTorch's convention, and this exercise's, is (n_out, n_in): a row "
                "for every output.",
            ),
            "no-bias-parameter": (
                lambda n_in, n_out: _LinearOfShapes((n_out, n_in), None),
                "There is no parameter called bias: one number for every output, which may start at zero.",
            ),
            "bias-for-every-input": (
                lambda n_in, n_out: _LinearOfShapes((n_out, n_in), (n_in,)),
                "The bias has a number for every input. It is added to the outputs, so it needs one for every output.",
            ),
            "bias-in-two-dimensions": (
                lambda n_in, n_out: _LinearOfShapes((n_out, n_in), (1, n_out)),
                "bias has two axes, (1, n_out). Give it one, (n_out,): broadcasting does the rest.",
            ),
            "constant-weight": (
                _ConstantLinear,
                "All weights start at the same number, so that all outputs start the same and always get the same "
                "gradient: they never become different. Draw them at random.",
            ),
            "bias-not-added": (
                _LinearWithoutBias,
                "The bias is there, but forward does not add it.",
            ),
            "bias-subtracted": (
                _NegativeBiasLinear,
                "forward subtracts the bias. Add it.",
            ),
            "not-transposed": (
                _UntransposedLinear,
                "forward multiplies by weight as it is. It has shape (n_out, n_in) and has to be transposed, or the "
                "inputs meet the outputs' axis.",
            ),
            "tables-only": (
                _TablesOnlyLinear,
                "Right for a table of cells, but torch.mm takes nothing else. The operator @ takes any leading shape, "
                "also a single cell, (n_in,).",
            ),
            "detached": (
                _DetachedLinear,
                "The output is right, but .data or .detach() cuts the chain: no gradient reaches weight and bias, and "
                "nothing can be learned.",
            ),
            "activation": (
                _ActivatedLinear,
                "There is an activation (ReLU) in it. Linear is only the affine map; the bend comes in another layer.",
            ),
        },
    ),
    Exercise(
        "2.2",
        "vae_course.nn.one_hot",
        cases=_cases_of_one_hot,
        hidden=_hidden_one_hot,
        shape="(cells, n_categories)",
        properties=(_explain_one_hot,),
        hints=(
            "Make the index one-dimensional first, whatever shape it comes in. Then PyTorch has a function of the same "
            "name in torch.nn.functional; mind how it learns the number of columns, and what type it returns.",
            "index.flatten() gives (cells,). Or compare it, as a column, with torch.arange(n_categories): a table of "
            "True and False, which still has to become numbers.",
        ),
        mistakes={
            "integers": (
                lambda index, n: nn.functional.one_hot(index.flatten(), n),
                "The table is right but holds integers. It will stand beside float columns in a network: convert it.",
            ),
            "booleans": (
                lambda index, n: index.reshape(-1, 1) == torch.arange(n),
                "The table is right but holds True and False. It will stand beside float columns: convert it.",
            ),
            "extra-axis": (
                lambda index, n: nn.functional.one_hot(index, n).float(),
                "Right for index of shape (cells,), but (cells, 1) gives a table with three axes. Flatten the index "
                "first.",
            ),
            "squeezed-away": (
                lambda index, n: nn.functional.one_hot(index.squeeze(), n).float(),
                "A single cell loses its row: index has length 1 there, and squeezing or plain indexing drops that "
                "axis. index.flatten() always has shape (cells,).",
            ),
            "width-from-the-data": (
                lambda index, n: nn.functional.one_hot(index.flatten()).float(),
                "The number of columns comes from the largest code at hand, so that a minibatch without the last "
                "category gets a narrower table. Use n_categories.",
            ),
            "transposed": (
                lambda index, n: nn.functional.one_hot(index.flatten(), n).float().T,
                "The table is transposed: a row for every cell, a column for every category.",
            ),
            "column-against-column": (
                lambda index, n: (index == torch.arange(n)).float(),
                "index of shape (cells,) is compared with the categories entry by entry. Make it a column, (cells, 1), "
                "so that every cell meets every category.",
            ),
            "counted-from-one": (
                lambda index, n: torch.eye(n)[index.flatten() - 1],
                "The codes count from 0, as Python does; yours lands one column to the left.",
            ),
            "all-up-to-the-code": (
                lambda index, n: (torch.arange(n) <= index.reshape(-1, 1)).float(),
                "Every column up to the code is 1. Only the column of the code itself should be.",
            ),
            "table-of-counts": (
                lambda index, n: nn.functional.one_hot(index.flatten(), n).float().sum(dim=0),
                "You counted how often each category occurs. A row for every cell is due.",
            ),
            "codes-as-numbers": (
                lambda index, n: index.reshape(-1, 1).float().expand(-1, n),
                "You repeated the code itself. As a number it would say that category 2 is twice category 1: each row "
                "should have a single 1, in the column of its category.",
            ),
        },
    ),
    Exercise(
        "2.3",
        "vae_course.exercises.lesson2.gradient_step",
        cases=_cases_of_gradient_step,
        use=_use_gradient_step,
        examine=_examine_gradient_step,
        hidden=_hidden_gradient_step,
        properties=(_explain_gradient_step,),
        hints=(
            "Three things: let PyTorch fill p.grad for all parameters with one call on the loss; change every "
            "parameter in place without PyTorch recording it; leave no gradient behind.",
            "loss.backward(), then with torch.no_grad(): a single loop over params that does p -= ... and then "
            "p.grad = None.",
        ),
        mistakes={
            "uphill": (_uphill, "The step goes uphill: the gradient points to where the loss grows, so subtract it."),
            "no-learning-rate": (
                _without_rate,
                "lr is not used: the step should be lr times the gradient.",
            ),
            "new-name": (
                _rebinding_only,
                "The parameters do not change: p = p - ... makes a new tensor and only moves the name p to it. Change "
                "p itself, with -=.",
            ),
            "nothing-moves": (
                _rebinding,
                "The parameters do not change. Either p = p - ... only moves the name p to a new tensor (write -=), or "
                "the gradient is emptied before it is used.",
            ),
            "keeps-gradients": (
                _keeping_gradients,
                "The gradients are left behind, and PyTorch would add the next ones to them. Empty .grad after the "
                "step.",
            ),
            "recorded": (
                _recording,
                "PyTorch refuses to change a parameter in place while it records operations. Do it inside "
                "with torch.no_grad():.",
            ),
            "no-backward": (
                _without_backward,
                "The gradient that you use is None. Call backward() on the loss first, then take each p.grad, and "
                "empty it only after the step.",
            ),
            "first-parameter-only": (_first_only, "Only the first parameter moves. Every one has to."),
            "walked-twice": (
                _walked_twice,
                "Right for a list, but a generator such as model.parameters() can be walked only once: your second "
                "loop finds nothing. Do all in one loop, or make a list first.",
            ),
            "cleared-first": (
                _cleared_first,
                "Right for a list, but a generator such as model.parameters() can be walked only once: after your "
                "first loop nothing is left to change. Do all in one loop, or make a list first.",
            ),
            "loss-for-gradient": (
                _loss_for_gradient,
                "You subtract the loss. What is due is its gradient with respect to each parameter, p.grad after "
                "backward().",
            ),
        },
    ),
    Exercise(
        "2.4",
        "vae_course.nn.FCLayers",
        cases=_cases_of_fc_layers,
        use=_use_fc_layers,
        examine=_examine_fc_layers,
        hidden=_hidden_fc_layers,
        properties=(_explain_module, _explain_fc_layers),
        hints=(
            "Build a list of steps for each layer, Linear, BatchNorm1d, ReLU, Dropout, and leave out what the options "
            "exclude. nn.Sequential takes an OrderedDict of names and modules. In forward, put the one-hot columns "
            "beside x anew before every layer.",
            "one_hot_covariates(cat_list, self.n_cat_list, n_cells) makes the columns; keep in self.n_cat_list a 0 "
            "for a covariate with one category. Each Linear is wider by the sum of that list, and "
            "torch.cat([x, *columns], dim=-1) goes into each layer.",
        ),
        mistakes={
            "activation-before-normalisation": (
                _fc_layers(order="LRBD"),
                "The batch normalisation does not follow the Linear directly. The order is Linear, BatchNorm1d, ReLU, "
                "Dropout.",
            ),
            "dropout-before-activation": (
                _fc_layers(order="DLBR"),
                "Dropout comes first. The order is Linear, BatchNorm1d, ReLU, Dropout.",
            ),
            "no-activation": (
                _fc_layers(activation=nn.Identity),
                "The ReLU is missing: without a bend, several layers are no more than one Linear.",
            ),
            "other-activation": (
                _fc_layers(activation=nn.Sigmoid),
                "The activation is a sigmoid. FCLayers uses ReLU.",
            ),
            "first-layer-only": (
                _fc_layers(inject="first"),
                "The covariates enter the first Linear only. They have to stand beside the input of every Linear.",
            ),
            "covariates-ignored": (
                _fc_layers(inject="never"),
                "The covariates do not enter: every Linear takes their one-hot columns beside its input.",
            ),
            "single-category-encoded": (
                _fc_layers(one_category=True),
                "A covariate with a single category gets a column. It is the same for all cells and says nothing: "
                "leave it out.",
            ),
            "positions-lost": (
                _fc_layers(keep_positions=False),
                "You dropped the covariate with a single category from the list, so that the next one gets its codes. "
                "Keep its place, for example as a 0.",
            ),
            "columns-before-x": (
                _fc_layers(columns_first=True),
                "The one-hot columns stand in front of x. They belong behind it, as in the weights that come from "
                "scvi-tools.",
            ),
            "no-activation-at-the-end": (
                _fc_layers(bend_at_the_end=False),
                "The last layer has no ReLU. In FCLayers every layer ends alike; the heads come after it.",
            ),
            "one-layer-too-many": (
                _fc_layers(more_layers=1),
                "There is a layer too many: n_layers counts all of them, the last one too.",
            ),
            "hidden-width-at-the-end": (
                _fc_layers(last="n_hidden"),
                "The last layer has n_hidden outputs. Only the widths in between are n_hidden; the last is n_out.",
            ),
            "default-batch-norm": (
                _fc_layers(momentum=0.1, eps=1e-5),
                "BatchNorm1d has PyTorch's default options. Give it momentum=0.01 and eps=0.001.",
            ),
            "always-batch-norm": (
                _fc_layers(batch_norm=True),
                "There is batch normalisation although use_batch_norm=False was asked for.",
            ),
            "never-batch-norm": (
                _fc_layers(batch_norm=False),
                "There is no batch normalisation although use_batch_norm=True was asked for.",
            ),
            "no-dropout": (_fc_layers(dropout=0.0), "Dropout is missing where dropout_rate is above 0."),
            "dropout-for-ever": (
                _AlwaysDroppingLayers,
                "Dropout is on in eval mode too. nn.Dropout switches itself off there; a call of F.dropout needs "
                "training=self.training.",
            ),
            "fixed-dropout": (
                _fc_layers(dropout=0.1),
                "Dropout does not follow dropout_rate.",
            ),
            "python-list": (
                _fc_layers(container="list"),
                "The layers are in a Python list, where nn.Module does not look for parameters: no optimizer will find "
                "them. Use nn.Sequential.",
            ),
            "numbered-layers": (
                _fc_layers(container="numbered"),
                'The layers are called "0", "1", ... They should be called "Layer 0", "Layer 1", ...: give '
                "nn.Sequential an OrderedDict.",
            ),
        },
    ),
    Exercise(
        "2.5",
        "vae_course.exercises.lesson2.GaussianHead",
        cases=_cases_of_gaussian_head,
        use=_use_gaussian_head,
        examine=_examine_gaussian_head,
        hidden=_hidden_gaussian_head,
        properties=(_explain_gaussian_head,),
        hints=(
            "Two numbers for every latent, so two layers. Any real number is a valid mean, and any real number is a "
            "valid log-variance: do they need an activation?",
            "Make two nn.Linear(n_in, n_latent) in __init__, and return what each makes of h, as a pair.",
        ),
        mistakes={
            "shared-layer": (
                _SharedHead,
                "One layer makes both, so that the log-variance always equals the mean. Each needs a layer of its own.",
            ),
            "variance": (
                _ExponentiatedHead,
                "You return the variance, exp of the second head. The log-variance is due, as the layer gives it.",
            ),
            "activation": (
                _ActivatedHead,
                "There is a ReLU in it: means could never be negative, nor variances below 1. Return what the layers "
                "give.",
            ),
            "softplus": (
                _SoftplusHead,
                "A softplus makes a positive number, as a variance needs. A log-variance may be negative: return what "
                "the layer gives.",
            ),
            "mean-only": (_MeanOnlyHead, "You return the mean alone. A pair is due, (mean, logvar)."),
            "concatenated": (
                _ConcatenatedHead,
                "You return one tensor with both side by side. A pair of tensors is due, (mean, logvar).",
            ),
            "no-bias": (_UnbiasedHead, "The two layers have no bias. An affine map has one."),
            "chained": (
                _ChainedHead,
                "The log-variance is computed from the mean. Both are computed from h.",
            ),
            "one-variance-for-all": (
                _OneVarianceHead,
                "There is a single log-variance for all latents. Each latent needs its own: n_latent outputs.",
            ),
            "python-list": (
                _UnregisteredHead,
                "The layers are in a Python list, where nn.Module does not look for parameters: no optimizer will find "
                "them. Store them on self.",
            ),
        },
    ),
]
