"""Exercise 2.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor, nn

from vae_course.exercises.e2_1.answer import Linear


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


MISTAKES = {
    "unregistered": (
        _UnregisteredLinear,
        "weight and bias are plain tensors, so that no optimizer will ever find them. Wrap them in nn.Parameter.",
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
}
