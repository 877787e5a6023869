"""Train the models of the latent explorer: OMP_NUM_THREADS=1 python tools/train_explorer.py [digits] [cells].

Three models of the digits and three of the blood cells, which differ in the weight beta of the KL alone. Writes their
weights to docs/explorer/digits.json and cells.json; tools/build_site.py makes the page with them. Everything is seeded,
so that the same versions of the libraries write the same files. It takes some minutes of one core.

A model with two latents easily ends in a poor optimum, where many digits decode to a mixture of two. So the digits'
models start from a map of the data (t-SNE of the grey digits, which sees no labels): the encoder first learns the
places of that map, the decoder what lies there. Then they are trained on their loss as always, but for one thing: the
encoder is shown most digits as other hands draw them (redrawn.py), and the decoder has to give back the digit. So that
it reads other hands, it has three hidden layers.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from redrawn import OtherHands
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE
from torch import Tensor, nn

import vae_course as vc
from vae_course.distributions import bernoulli_log_prob
from vae_course.explore.weights import DeepBinaryVAE, exported
from vae_course.runtime.files import make_folder, write_atomically

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "explorer"

DIGITS_BETAS = (0.01, 1, 32)  # 32 is the weight that lesson 3.9 finds hidden in a colleague's loss
CELLS_BETAS = (0.01, 1, 100)


class BetaTrainer(vc.UnsupervisedTrainer):
    """Train with the same weight beta on the global KL from the first epoch to the last."""

    beta = 1.0

    def kl_weight(self, epoch: int) -> float:
        """Return beta, whatever the epoch."""
        return self.beta

    def on_train_end(self) -> None:
        """Say nothing: the weight is meant to differ from 1."""


class RedrawnVAE(DeepBinaryVAE):
    """A DeepBinaryVAE whose encoder is shown most digits as `redrawn` returns them while it is trained."""

    redrawn: Callable[[Tensor], Tensor]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x)."""
        return super().encode(self.redrawn(x) if self.training else x)


def main() -> None:
    makers = {"digits": digits_models, "cells": cells_models}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *makers], default=list(makers))
    names = parser.parse_args().names
    torch.set_num_threads(1)  # sums come out the same
    for name in names:
        write(name, {"models": makers[name]()})


def write(name: str, content: dict[str, Any]) -> None:
    make_folder(FOLDER)
    path = FOLDER / f"{name}.json"
    text = json.dumps(content, separators=(",", ":")) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size // 1000} kB")


def digits_models() -> list[dict[str, Any]]:
    data = vc.load_digits()
    x = torch.from_numpy(data.counts.toarray()).float()
    redrawn = OtherHands(x, torch.from_numpy(data.labels.ravel()))
    places = torch.from_numpy(TSNE(init="pca", random_state=0).fit_transform(load_digits().data)).float()
    places = (places - places.mean(dim=0)) / places.std(dim=0)
    models = []
    for beta in DIGITS_BETAS:
        model = RedrawnVAE(data.n_genes, n_latent=2, n_hidden=192, n_encoder_layers=3)
        model.redrawn = redrawn
        start_from(model, x, places)
        models.append(exported(train(model, data, beta, n_epochs=600, lr=2e-3), beta))
    return models


def cells_models() -> list[dict[str, Any]]:
    data = vc.load_pbmc()
    models = []
    for beta in CELLS_BETAS:
        model = vc.VAE(data.n_genes, n_latent=2, n_hidden=32)
        models.append(exported(train(model, data, beta, n_epochs=200, lr=5e-3), beta))
    return models


def train(model: vc.model.Model, data: vc.CountData, beta: float, n_epochs: int, lr: float) -> vc.model.Model:
    trainer = BetaTrainer(model, data, lr=lr, seed=0)
    trainer.beta = beta
    trainer.train(n_epochs=n_epochs)
    history = {name: round(values[-1], 2) for name, values in trainer.history.items() if name.endswith("test_set")}
    print(f"{type(model).__name__} with beta = {beta}: {history}")
    return model


def start_from(model: vc.BinaryVAE, x: Tensor, places: Tensor, n_steps: int = 20_000, sd: float = 0.1) -> None:
    """Teach the encoder the places of the inputs, and the decoder what lies within `sd` of a place, in some steps."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model.decoder.fc_layers[0][1].bias.uniform_(-2, 2)  # the kinks of the hidden units lie all over the plane
        model.logvar_encoder.bias.fill_(2 * torch.tensor(sd).log())
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0  # noise in the encoder would widen q
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.2, n_steps)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(n_steps):
            rows = torch.randint(len(x), (128,))
            mean, _ = model.encode(x[rows])
            logits = model.decode(places[rows] + sd * torch.randn_like(mean))
            distance = (mean - places[rows]).square().sum(dim=-1)
            misplaced = distance / (distance + 0.3)  # far off is not worse than off
            loss = 100 * misplaced.mean() - bernoulli_log_prob(x[rows], logits).sum(dim=-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


if __name__ == "__main__":
    main()
