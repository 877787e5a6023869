"""Exercise 5.11: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class _Model(nn.Module):
    """An encoder and a decoder with batch normalisation, whose dropout and draws are the same in every call."""

    def __init__(self, seed: int, momenta: tuple[float, ...]) -> None:
        super().__init__()
        self.seed, self.recorded = seed, []
        norms = [nn.BatchNorm1d(8, eps=0.001, momentum=momentum) for momentum in momenta]
        self.encoder = nn.Sequential(nn.Sequential(nn.Linear(6, 8), norms[0], nn.ReLU(), nn.Dropout(0.4)))
        self.heads = nn.ModuleDict({"mean": nn.Linear(8, 2), "logvar": nn.Linear(8, 2)})
        self.decoder = nn.Sequential(nn.Linear(2, 8), norms[1], nn.ReLU(), nn.Linear(8, 6))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, 0.5, generator=generator)
            for norm in norms:
                norm.running_mean.normal_(0, 1, generator=generator)
                norm.running_var.uniform_(0.5, 2, generator=generator)
                norm.num_batches_tracked.fill_(7)

    def inference(self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None) -> dict[str, Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            h = self.encoder(torch.log1p(x))
            qz_m, qz_v = self.heads["mean"](h), torch.exp(self.heads["logvar"](h))
            z = qz_m + qz_v.sqrt() * torch.randn(qz_m.shape)
            px_rate = torch.exp(self.decoder(z))
        self.recorded.append(px_rate.requires_grad)
        return {"qz_m": qz_m, "qz_v": qz_v, "z": z, "px_rate": px_rate}


def use(
    attempt: Callable, cells: Tensor, sizes: tuple[int, ...], form: str, train: bool, momenta: tuple, seed: int
) -> dict[str, Any]:
    model = _Model(seed, momenta).train(train)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    minibatches = [x.clone() for x in cells.split(list(sizes))]
    result = attempt(model, minibatches if form == "list" else iter(minibatches))
    kept = [torch.nan if norm.momentum is None else norm.momentum for norm in norms]
    modes = {module.training for module in model.modules()}
    return {
        "the running means": torch.cat([norm.running_mean for norm in norms]),
        "the running variances": torch.cat([norm.running_var for norm in norms]),
        "the weights": torch.cat([parameter.detach().flatten() for parameter in model.parameters()]),
        "the momenta": torch.tensor(kept),
        "the mode": "mixed" if len(modes) > 1 else "train" if modes.pop() else "eval",
        "the graph": "recorded" if any(model.recorded) else "not recorded",
        "what is returned": result,
    }
