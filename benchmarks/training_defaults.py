"""Compare the trainer's default settings with others, by the held-out likelihood, on data of many sizes.

    python benchmarks/training_defaults.py [FILE.h5ad --label-key K --name pbmc_facs] [--seeds 5]

Every run changes one setting of the defaults: the learning rate, the number of epochs, or the warm-up of the KL. The
cells are simulated ones of several numbers and depths, the bundled ones, and those of a file, with its 1,000 most
variable genes. Compared are log p(x) of the held-out cells (of 1,000 of them at most), nats per cell, and the NMI of
k-means on the latent means of all cells (5,000 at most) with their labels, by pairs: same cells, split and initial
weights. A run that diverges, so that the trainer refuses to go on, is counted.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import vae_course as vc
from results import save
from vae_course.early_stopping import epochs_for

N_GENES, HELD_OUT, CLUSTERED, MARGINAL_SAMPLES = 1000, 1000, 5000, 100
DEFAULTS = {"the defaults": {}}
RATE = {"learning rate 8e-3": {"lr": 8e-3}}
EPOCHS = {"learning rate 2e-3": {"lr": 2e-3}, "half the epochs": {"epochs": 0.5}, "twice the epochs": {"epochs": 2}}
OTHERS = {
    "warm-up of 10 epochs": {"n_epochs_kl_warmup": 10},
    "1e-3, kept, as scVI does": {"lr": 1e-3, "lr_schedule": "constant"},
}


def simulated(n_cells: int, n_genes: int, molecules: float) -> Callable[[int], vc.CountData]:
    return lambda seed: vc.simulate_counts(n_cells, n_genes, mean_library=molecules, seed=seed)


def measure(data: vc.CountData, seed: int, epochs: float = 1, **options: Any) -> dict[str, float | None]:
    """Train and return log p(x) and NMI; None if training diverges."""
    model = vc.FastVAE(data.n_genes, seed=seed)
    trainer = vc.UnsupervisedTrainer(model, data, seed=seed, **options)
    held_out = vc.Posterior(model, data, trainer.test_set.indices[:HELD_OUT])
    trainer.posteriors["test_set"] = vc.Posterior(model, data, [])  # not looked at before the end
    try:
        trainer.train(round(epochs * epochs_for(len(trainer.train_set))))
    except ValueError as error:
        print(error, flush=True)
        return {"marginal_ll": None, "nmi": None}
    clustered = vc.Posterior(model, data, np.arange(min(CLUSTERED, data.n_cells)))
    return {"marginal_ll": held_out.marginal_ll(MARGINAL_SAMPLES), "nmi": clustered.clustering_scores()["nmi"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="an .h5ad file with counts in X")
    parser.add_argument("--label-key", help="column of obs with the cell types")
    parser.add_argument("--name", help="what to call its cells")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    large = DEFAULTS | RATE
    medium = large | EPOCHS
    small = medium | OTHERS
    sets = [
        ("simulated, 300 cells, 500 genes, 500 molecules", simulated(300, 500, 500), small),
        ("bundled, 700 cells, 765 genes", lambda _: vc.load_pbmc(), small),
        ("simulated, 3,000 cells, 500 genes, 5,000 molecules", simulated(3000, 500, 5000), medium),
        ("simulated, 100,000 cells, 100 genes, 1,000 molecules", simulated(100_000, 100, 1000), large),
    ]
    if args.file:
        read = vc.load_h5ad(args.file, label_key=args.label_key, n_top_genes=N_GENES)
        sets.insert(3, (f"{args.name}, {read.n_cells:,} cells, {read.n_genes:,} genes", lambda _: read, medium))
    figures: dict[str, dict[str, list[Any]]] = {title: {what: [] for what in which} for title, _, which in sets}
    for title, cells, variants in sets:
        for seed in range(args.seeds):
            data = cells(seed)
            for what, options in variants.items():
                start = time.process_time()
                figures[title][what].append(measure(data, seed, **options))
                seconds = time.process_time() - start
                print(f"{title}  seed {seed}  {what:26s} {figures[title][what][-1]}  {seconds:.0f} s", flush=True)
            save("training_defaults", {"seeds": args.seeds, "sets": figures})


if __name__ == "__main__":
    main()
