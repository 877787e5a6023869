"""Mix two batches whose difference is known, with and without the batch as a covariate, and compare with PCA.

    python benchmarks/two_batches.py --seeds 5 --strength 1

The cells are those of `load_two_batches`: real ones, half of them passed through a simulated batch effect. A seed is
that of the data and of the training. Compared are 10 principal components of log(1 + counts per 10,000), a `FastVAE`
that is not told the batch, and one that is. Every latent space holds all cells, and is scored by how well batches mix
(entropy of mixing as a share of the most, iLISI) and by how well cell types stay apart (cLISI, purity of neighbours,
ARI of k-means). Seeds are the unit of the standard error.
"""

import argparse

import numpy as np
import torch
from sklearn.decomposition import PCA

import vae_course as vc
from results import save
from vae_course import metrics

SCORES = ("entropy_share", "ilisi", "clisi", "knn_purity", "ari")
N_LATENT = 10


def principal_components(data: vc.CountData) -> np.ndarray:
    counts = data.counts
    normalised = np.log1p(counts.multiply(1e4 / counts.sum(axis=1)).toarray())
    return PCA(N_LATENT, random_state=0).fit_transform(normalised)


def latent_means(data: vc.CountData, n_batch: int, seed: int) -> np.ndarray:
    """Train, and return the latent means of all cells."""
    model = vc.FastVAE(data.n_genes, n_batch=n_batch, n_latent=N_LATENT, seed=seed)
    vc.UnsupervisedTrainer(model, data, seed=seed).train()
    return vc.Posterior(model, data).get_latent()[0]


def scores(latent: np.ndarray, data: vc.CountData) -> dict[str, float]:
    mixing = metrics.entropy_batch_mixing(latent, data.batch_index)
    return {
        "entropy_share": mixing / metrics.entropy_from_indices(data.batch_index),
        "ilisi": metrics.ilisi(latent, data.batch_index),
        "clisi": metrics.clisi(latent, data.labels),
        "knn_purity": metrics.knn_purity(latent, data.labels),
        "ari": metrics.clustering_scores(latent, data.labels)["ari"],
    }


def compare(seed: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Score the three latent spaces of one seed."""
    data = vc.load_two_batches(seed, args.strength)
    latents = {
        "PCA, 10 components of log-normalised counts": principal_components(data),
        "VAE without the batch": latent_means(data, 0, seed),
        "VAE with the batch as covariate": latent_means(data, data.n_batches, seed),
    }
    result = {what: scores(latent, data) for what, latent in latents.items()}
    for what, figures in result.items():
        print_row(f"seed {seed}  {what}", [f"{figures[name]:.3f}" for name in SCORES])
    return result


def summarise(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean over seeds of each score, and its standard error."""
    summary = {}
    for what in runs[0]:
        values = {name: np.array([run[what][name] for run in runs]) for name in SCORES}
        summary[what] = {
            name: {"mean": float(v.mean()), "standard_error": float(v.std(ddof=1) / np.sqrt(len(v)))}
            for name, v in values.items()
        }
    return summary


def print_row(title: str, cells: list[str]) -> None:
    print(f"{title:52s}", *(f"{cell:>15s}" for cell in cells), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--strength", type=float, default=1.0, help="of the batch effect, 0 to 3")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds has to be at least 2, for a standard error")
    return args


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(1)
    print_row("", list(SCORES))
    runs = [compare(seed, args) for seed in range(args.seeds)]
    summary = summarise(runs)
    for what, row in summary.items():
        print_row(f"mean  {what}", [f"{s['mean']:.3f} ± {s['standard_error']:.3f}" for s in row.values()])
    save("two_batches", {"settings": vars(args), "runs": dict(enumerate(runs)), "summary": summary})


if __name__ == "__main__":
    main()
