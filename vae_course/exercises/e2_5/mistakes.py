"""Exercise 2.5: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor, nn

from vae_course.exercises.e2_5.answer import GaussianHead


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


MISTAKES = {
    "shared-layer": (
        _SharedHead,
        "One layer makes both, so that the log-variance always equals the mean. Each needs a layer of its own.",
    ),
    "variance": (
        _ExponentiatedHead,
        "You return the variance, exp of the second head. The log-variance is needed, as the layer gives it.",
    ),
    "activation": (
        _ActivatedHead,
        "There is a ReLU in it: means could never be negative, nor variances below 1. Return what the layers give.",
    ),
    "softplus": (
        _SoftplusHead,
        "A softplus makes a positive number, as a variance needs. A log-variance may be negative: return what "
        "the layer gives.",
    ),
    "mean-only": (_MeanOnlyHead, "You return the mean alone. A pair is needed, (mean, logvar)."),
    "concatenated": (
        _ConcatenatedHead,
        "You return one tensor with both side by side. A pair of tensors is needed, (mean, logvar).",
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
}
