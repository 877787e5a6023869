"""Are made-up cells like real ones? An autoencoder's and scVI's, by one yardstick (lesson 0, sections 0.7 and 0.8).

    python benchmarks/made_up_cells.py --seeds 5

A seed is that of the split of the bundled cells (560 to train, 140 held out), of the training and of the draws. A cell
is too far out if it lies further from its nearest training cell, in ten principal components of log(1 + counts per
10,000), than 95 % of the held-out cells do. Compared are 500 cells decoded by an autoencoder with two latents, 500
whose counts are drawn from a `FastVAE` at draws from its prior, and counts drawn where it puts
the held-out cells. Seeds are the unit of the standard error.
"""

import argparse

import numpy as np
import torch
from torch import Tensor, nn

import vae_course as vc
from results import save
from vae_course.distributions import sample_zinb

N_MADE_UP = 500
EPOCHS = (50, 200)  # of scVI


def log_normalise(counts: Tensor) -> Tensor:
    return torch.log1p(counts / counts.sum(dim=1, keepdim=True) * 1e4).float()


class Yardstick:
    """Judges cells by their distance to the training cells."""

    def __init__(self, x: Tensor, train: Tensor, test: Tensor):
        self.mean = x[train].mean(dim=0)
        self.components = torch.linalg.svd(x[train] - self.mean, full_matrices=False).Vh[:10]
        self.train = (x[train] - self.mean) @ self.components.T
        self.edge = self.distance(x[test]).quantile(0.95)

    def distance(self, cells: Tensor) -> Tensor:
        """Return the distance of each cell to the nearest training cell."""
        return torch.cdist((cells - self.mean) @ self.components.T, self.train).min(dim=1).values

    def __call__(self, cells: Tensor) -> dict[str, float]:
        """Return the share of cells that are too far out, and their median distance."""
        distance = self.distance(cells)
        beyond = 1 - (distance <= self.edge).float().mean()  # so that nan, of a cell without counts, is too far out
        return {"too_far_out": float(beyond), "median_distance": float(distance.median())}


def fit_autoencoder(cells: Tensor, seed: int) -> tuple[nn.Module, nn.Module]:
    """As in section 0.6."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(cells.shape[1], 128), nn.ReLU(), nn.Linear(128, 2))
    decoder = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, cells.shape[1]))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for _ in range(60):
        for minibatch in cells[torch.randperm(len(cells))].split(56):
            loss = ((decoder(encoder(minibatch)) - minibatch) ** 2).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return encoder.requires_grad_(False), decoder.requires_grad_(False)


def by_autoencoder(x: Tensor, train: Tensor, test: Tensor, judge: Yardstick, seed: int) -> dict[str, dict[str, float]]:
    encoder, decoder = fit_autoencoder(x[train], seed)
    z = encoder(x[train])
    noise = torch.randn(N_MADE_UP, 2, generator=torch.Generator().manual_seed(seed))
    matched = z.mean(dim=0) + noise @ torch.linalg.cholesky(torch.cov(z.T)).T
    return {
        "autoencoder, N(0, 1)": judge(decoder(noise)),
        "autoencoder, Gaussian with its latents' mean and covariance": judge(decoder(matched)),
        "autoencoder, held-out cells encoded and decoded": judge(decoder(encoder(x[test]))),
    }


def by_scvi(trainer: vc.UnsupervisedTrainer, judge: Yardstick, seed: int, epochs: int) -> dict[str, dict[str, float]]:
    model = trainer.model
    torch.manual_seed(seed)
    z, noise = torch.randn(N_MADE_UP, 10), torch.randn(N_MADE_UP, 1)
    with torch.no_grad():
        log_size = model.library_log_means + model.library_log_vars.sqrt() * noise
        _, _, expected, extra_zeros = model.decoder("gene", z, log_size)
        drawn = sample_zinb(expected, model.px_r.exp(), extra_zeros)
    at_cells = torch.from_numpy(trainer.test_set.generate(n_samples=1)[0][..., 0])
    return {
        f"scVI, {epochs} epochs, N(0, 1)": judge(log_normalise(drawn)),
        f"scVI, {epochs} epochs, at held-out cells": judge(log_normalise(at_cells)),
    }


def compare(seed: int) -> dict[str, dict[str, float]]:
    """Judge all made-up cells of one seed."""
    data = vc.load_pbmc()
    x = log_normalise(torch.from_numpy(data.counts.toarray()))
    result: dict[str, dict[str, float]] = {}
    for epochs in EPOCHS:
        model = vc.FastVAE(data.n_genes, seed=seed)
        trainer = vc.UnsupervisedTrainer(model, data, train_size=0.8, n_epochs_kl_warmup=20, seed=seed)
        trainer.train(n_epochs=epochs)
        train, test = (torch.from_numpy(part.indices) for part in (trainer.train_set, trainer.test_set))
        judge = Yardstick(x, train, test)
        if not result:
            result = {"held-out cells": judge(x[test])} | by_autoencoder(x, train, test, judge, seed)
        result |= by_scvi(trainer, judge, seed, epochs)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds has to be at least 2, for a standard error")
    torch.set_num_threads(1)
    runs = [compare(seed) for seed in range(args.seeds)]
    summary = {}
    for what, scores in runs[0].items():
        values = {name: np.array([run[what][name] for run in runs]) for name in scores}
        summary[what] = {
            name: {"mean": float(v.mean()), "standard_error": float(v.std(ddof=1) / len(v) ** 0.5)}
            for name, v in values.items()
        }
        print(what, summary[what], flush=True)
    save("made_up_cells", {"settings": vars(args), "runs": dict(enumerate(runs)), "summary": summary})


if __name__ == "__main__":
    main()
