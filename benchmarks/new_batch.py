"""Map a third laboratory onto a model of two, or train anew on all three, and compare.

    python benchmarks/new_batch.py --seeds 5 --strength 0.5

The cells are those of `load_pbmc` with their 300 genes of largest variance, dealt to three laboratories: as measured,
and passed through two different batch effects of `load_two_batches`. A seed is that of the data and of the training.
The reference is trained on laboratories 0 and 1. Of laboratory 2 a fifth is held out. Compared are the grown model of
`add_batches` before its columns learn, after, and a model that is trained on all three laboratories. Recorded: -ELBO
of the held-out cells (nats per cell, 20 draws), how well laboratory 2 mixes with the others (entropy, as a share of the
most), the share of neighbours with the same label, labels of laboratory 2 by the 15 nearest cells of the others, the
share of the 30 neighbours that the reference's own cells keep, and seconds. Seeds are the unit of the
standard error.
"""

import argparse
import time

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier

import vae_course as vc
from results import save
from vae_course import metrics

DRAWS, N_GENES, HELD_OUT = 20, 300, 0.2


def three_laboratories(seed: int, strength: float) -> vc.CountData:
    """Deal the blood cells to three laboratories, two of which have a batch effect of their own."""
    first, second = (vc.load_two_batches(2 * seed + k, strength) for k in range(2))
    hit = first.batch_index + 2 * second.batch_index  # 0 neither, 1 the first, 2 the second, 3 both
    laboratory = np.where(hit == 3, 1 + np.arange(len(hit)) % 2, hit)
    counts = np.stack([one.toarray() for one in (first.truth.untouched, first.counts, second.counts)])
    genes = np.sort(np.argsort(-counts[0].var(axis=0))[:N_GENES])
    counts = counts[laboratory, np.arange(len(hit))][:, genes]  # (cells, genes)
    names = [f"laboratory {k}" for k in range(3)]
    return vc.CountData(counts, laboratory, first.labels, first.gene_names[genes], names, first.label_names)


def trained(data: vc.CountData, seed: int, n_epochs: int) -> tuple[vc.VAE, float]:
    """Train on all cells; return the model and the seconds."""
    model = vc.FastVAE(data.n_genes, n_batch=data.n_batches, seed=seed)
    trainer = vc.UnsupervisedTrainer(model, data, train_size=1.0, seed=seed)
    start = time.perf_counter()
    trainer.train(n_epochs)
    return model, time.perf_counter() - start


def let_columns_learn(model: vc.VAE, cells: vc.CountData, n_epochs: int = 60, lr: float = 0.01) -> float:
    """Set the prior of the library of the last batch, train its columns on these cells; return the seconds."""
    log_totals = np.log(cells.counts.sum(axis=1))
    model.library_log_means[:, -1], model.library_log_vars[:, -1] = float(log_totals.mean()), float(log_totals.var())
    x, batch_index, _ = cells.minibatch(np.arange(cells.n_cells))
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=lr)
    start = time.perf_counter()
    for _ in range(n_epochs):
        model.train()
        for some in torch.randperm(len(x)).split(64):
            loss = sum(term.mean() for term in model.loss_terms(x[some], batch_index[some]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    return time.perf_counter() - start


@torch.no_grad()
def negative_elbo(model: vc.VAE, cells: vc.CountData) -> float:
    """Return the mean over several draws, nats per cell."""
    torch.manual_seed(0)
    x, batch_index, _ = cells.minibatch(np.arange(cells.n_cells))
    return float(np.mean([torch.stack(model.eval().loss_terms(x, batch_index)).sum(0).mean() for _ in range(DRAWS)]))


def scores(model: vc.VAE, data: vc.CountData, reference: np.ndarray) -> dict[str, float]:
    """Score the latent means of all cells; `reference` holds those that the reference gave its own cells."""
    latent, new = vc.Posterior(model, data).get_latent()[0], data.batch_index == 2
    neighbours = KNeighborsClassifier(15).fit(latent[~new], data.labels[~new])
    mixing = metrics.entropy_batch_mixing(latent, new.astype(int)) / metrics.entropy_from_indices(new.astype(int))
    return {
        "mixed": float(mixing),
        "purity": metrics.knn_purity(latent, data.labels),
        "transferred": float(neighbours.score(latent[new], data.labels[new])),
        "kept": metrics.nn_overlap(latent[~new], reference, 30)[1] * 30 / len(reference),  # of the 30 neighbours
    }


def compare(seed: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure everything for one seed."""
    torch.manual_seed(seed)
    data = three_laboratories(seed, args.strength)
    new = np.random.default_rng(seed).permutation(np.flatnonzero(data.batch_index == 2))
    held_out, shown = np.split(new, [round(HELD_OUT * len(new))])
    old = np.flatnonzero(data.batch_index < 2)
    own = data.subset(old).replaced(batch_names=data.batch_names[:2])
    reference, seconds = trained(own, seed, args.epochs)
    before = vc.Posterior(reference, own).get_latent()[0]
    grown = vc.add_batches(reference, 1)
    grown.names.batches[-1] = str(data.batch_names[2])
    result = {"reference": {"seconds": seconds}}
    untouched = vc.add_batches(reference, 1)
    untouched.names = grown.names
    let_columns_learn(untouched, data.subset(shown), n_epochs=0)
    took = let_columns_learn(grown, data.subset(shown))
    anew, retraining = trained(data.subset(np.sort(np.r_[old, shown])), seed, args.epochs)
    for what, model, seconds in (
        ("start", untouched, 0.0),
        ("mapped", grown, took),
        ("trained anew", anew, retraining),
    ):
        result[what] = {"negative_elbo": negative_elbo(model, data.subset(held_out)), "seconds": seconds}
        result[what] |= scores(model, data, before)
        print(seed, what, {name: round(value, 3) for name, value in result[what].items()}, flush=True)
    return result


def summarise(runs: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean over seeds and its standard error, also of mapped minus trained anew."""
    rows = {what: [run[what] for run in runs] for what in ("start", "mapped", "trained anew")}
    rows["mapped - trained anew"] = [
        {name: run["mapped"][name] - run["trained anew"][name] for name in run["mapped"]} for run in runs
    ]
    rows["mapped - start"] = [{name: run["mapped"][name] - run["start"][name] for name in run["start"]} for run in runs]
    return {
        what: {
            name: {
                "mean": float(np.mean([one[name] for one in of])),
                "standard_error": float(np.std([one[name] for one in of], ddof=1) / np.sqrt(len(of))),
            }
            for name in of[0]
        }
        for what, of in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--strength", type=float, default=0.5, help="of the batch effects, 0 to 3")
    parser.add_argument("--epochs", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = [compare(seed, args) for seed in range(args.seeds)]
    summary = summarise(runs)
    for what, row in summary.items():
        print(what, {name: f"{s['mean']:.3f} ± {s['standard_error']:.3f}" for name, s in row.items()})
    save("new_batch", {"settings": vars(args), "runs": dict(enumerate(runs)), "summary": summary})


if __name__ == "__main__":
    main()
