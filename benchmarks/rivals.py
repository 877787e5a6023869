"""Compare a finished scVI with two rivals that have no network, by the likelihood of held-out cells.

    python benchmarks/rivals.py --seeds 5

The cells are the bundled ones, 630 to learn from and 70 held out; a seed is that of the split and of the training. Both
rivals are negative binomials with the library's prior that scVI has, averaged over the library on a grid. `one kind`
has one share and one theta for every gene. A mixture has shares for each of five or ten clusters (k-means on ten
principal components of log-normalised counts), drawn to the common ones by 500 molecules, and one theta for every gene.
scVI is a `FastVAE` after 100 epochs with the trainer's defaults; its log p(x) is the lower bound from 1,000 draws, and
from 200, to see how loose it is. `scVI's way` is scVI at a constant rate of 0.001, with theta from random numbers and
averages not finished (200 draws). Gains are paired, cell by cell, in nats per cell.
"""

import argparse
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

import vae_course as vc
from results import save
from vae_course.distributions import nb_log_prob, normal_log_prob

EPOCHS, WARMUP, FIRST_SEED = 100, 50, 1000
CLUSTERS, COMMON_MOLECULES = (5, 10), 500
GRID = torch.linspace(4.5, 8.5, 81)  # of the log library, spacing 0.05
SCVIS_WAY = {"lr": 1e-3, "lr_schedule": "constant"}
COMPARED = {
    "scVI over one kind": ("one kind", "scVI"),
    **{f"scVI over {n} clusters": (f"{n} clusters", "scVI") for n in CLUSTERS},
    "scVI's way over one kind (200 draws)": ("one kind", "scVI's way, 200 draws"),
    "1,000 draws over 200": ("scVI, 200 draws", "scVI"),
}


class Rivals:
    """Models without a network, of the training cells of one split."""

    def __init__(self, train: torch.Tensor, test: torch.Tensor, library_mean: torch.Tensor, library_var: torch.Tensor):
        self.train, self.test = train, test
        self.log_prior = normal_log_prob(GRID, library_mean, library_var)  # (points,)
        self.total = train.sum(dim=1, keepdim=True)  # (cells, 1)
        self.share = (train.sum(dim=0) + 0.1) / (train.sum() + 0.1 * train.shape[1])  # (genes,)

    def theta(self, expected: torch.Tensor) -> torch.Tensor:
        """Return theta by moments of the training counts about their expected values, (genes,)."""
        above_poisson = ((self.train - expected) ** 2 - expected).sum(dim=0)
        return ((expected**2).sum(dim=0) / above_poisson.clamp(min=1e-3)).clamp(max=1e4)

    def log_p(self, share: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Return log p(x) of the held-out cells with the library averaged out, (cells,)."""
        given = torch.stack([nb_log_prob(self.test, size * share, theta).sum(dim=-1) for size in GRID.exp()])
        return torch.logsumexp(given + self.log_prior.unsqueeze(-1), dim=0) + np.log(0.05)

    def one_kind(self) -> np.ndarray:
        """Return log p(x) of the held-out cells where all are of one kind, (cells,)."""
        return self.log_p(self.share, self.theta(self.total * self.share)).numpy()

    def mixture(self, n_clusters: int) -> np.ndarray:
        """Return log p(x) of the held-out cells where each may come from any of the clusters, (cells,)."""
        components = PCA(10, random_state=0).fit_transform(torch.log1p(1e4 * self.train / self.total))
        found = KMeans(n_clusters, n_init=10, random_state=0).fit_predict(components)
        cluster = torch.from_numpy(found).long()  # (cells,)
        molecules = torch.stack([self.train[cluster == k].sum(dim=0) for k in range(n_clusters)])  # (clusters, genes)
        drawn = molecules + COMMON_MOLECULES * self.share
        shares = drawn / (molecules.sum(dim=1, keepdim=True) + COMMON_MOLECULES)
        theta = self.theta(self.total * shares[cluster])
        weights = (cluster.bincount() / len(cluster)).log()
        each = torch.stack([self.log_p(share, theta) for share in shares]) + weights.unsqueeze(-1)
        return torch.logsumexp(each, dim=0).numpy()


def compare(seed: int) -> dict[str, dict[str, list[float]]]:
    """Return log p(x) of every held-out cell of one split, by model."""
    data = vc.load_pbmc()
    counts = torch.from_numpy(data.counts.toarray())
    trainer = vc.UnsupervisedTrainer(vc.FastVAE(data.n_genes), data, n_epochs_kl_warmup=WARMUP, seed=seed)
    trainer.train(EPOCHS)
    model, held_out = trainer.model, trainer.test_set
    rivals = Rivals(
        counts[trainer.train_set.indices],
        counts[held_out.indices],
        model.library_log_means.squeeze(),
        model.library_log_vars.squeeze(),
    )
    plain = vc.FastVAE(data.n_genes, dispersion_init="random")
    plain = vc.UnsupervisedTrainer(plain, data, n_epochs_kl_warmup=WARMUP, seed=seed, **SCVIS_WAY)
    with patch("vae_course.trainer.finish_averages"):  # left behind the weights
        plain.train(EPOCHS)
    found = {
        "one kind": rivals.one_kind(),
        **{f"{n} clusters": rivals.mixture(n) for n in CLUSTERS},
        "scVI, 200 draws": held_out.marginal_ll(200, return_per_cell=True)[0],
        "scVI": held_out.marginal_ll(1000, return_per_cell=True)[0],
        "scVI's way, 200 draws": plain.test_set.marginal_ll(200, return_per_cell=True)[0],
    }
    print(f"seed {seed} ", *(f"{name} {np.mean(values):.1f};" for name, values in found.items()), flush=True)
    return {name: [round(float(value), 2) for value in values] for name, values in found.items()}


def gain_over(rival: str, model: str, runs: list[dict[str, list[float]]]) -> dict[str, Any]:
    """Summarise the paired gains of a model over a rival: of every split, over its cells; then over splits."""
    splits = []
    for run in runs:
        gain = np.array(run[model]) - np.array(run[rival])
        splits.append({
            "mean": float(gain.mean()),
            "standard_error": float(gain.std(ddof=1) / np.sqrt(len(gain))),
            "median": float(np.median(gain)),
            "share_ahead": float((gain > 0).mean()),
            "worst": float(gain.min()),
        })  # fmt: skip
    over = {}
    for name in ("mean", "median", "share_ahead"):
        values = np.array([split[name] for split in splits])
        over[name] = {"mean": float(values.mean()), "standard_error": float(values.std(ddof=1) / np.sqrt(len(values)))}
    return {"splits": splits, "over_splits": over}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds has to be at least 2, for a standard error")
    torch.set_num_threads(1)
    seeds = [FIRST_SEED + seed for seed in range(args.seeds)]
    runs = [compare(seed) for seed in seeds]
    summary = {name: gain_over(rival, model, runs) for name, (rival, model) in COMPARED.items()}
    for name, row in summary.items():
        over = row["over_splits"]["mean"]
        print(f"{name:40s} {over['mean']:+.1f} ± {over['standard_error']:.1f}", flush=True)
    log_px = {name: [float(np.mean(run[name])) for run in runs] for name in runs[0]}
    save("rivals", {"settings": vars(args), "seeds": seeds, "log_px": log_px, "summary": summary})


if __name__ == "__main__":
    main()
