"""Time what one asks of a trained model, and its peak memory, on 10,000, 30,000 and 100,000 cells of 1,000 genes.

    python benchmarks/evaluation_scale.py [--cells 10000 30000 100000]

The cells are simulated: two batches, four labels, about 90 % zeros. A model is trained on at most 10,000 of them for
a few seconds, so that they lie in groups in its latent space; how long neighbours take to find depends on that. Each
question is asked in a process of its own, whose peak memory holds Python, the libraries and the data too. On Linux and
macOS.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import vae_course as vc
from results import save

N_GENES, N_LABELS, N_BATCHES = 1000, 4, 2
PORTION = 5000  # cells simulated at a time
TRAINED_ON, EPOCHS = 10_000, 5
N_SAMPLES = 25
QUESTIONS: dict[str, Callable[[vc.Posterior], Any]] = {
    "marginal likelihood": lambda cells: cells.marginal_ll(n_samples=N_SAMPLES),
    "batch-mixing entropy": lambda cells: cells.entropy_batch_mixing(),
    "differential expression": lambda cells: cells.one_vs_all_degenes(),
    "imputation benchmark": lambda cells: cells.corrupted().imputation_benchmark(),
    "imputation": lambda cells: cells.imputation(),
}


def simulate(n_cells: int) -> vc.CountData:
    """Draw negative binomial counts; `vc.simulate_counts` would keep tables of all cells in float64."""
    rng = np.random.default_rng(0)
    labels, batch_index = rng.integers(N_LABELS, size=n_cells), rng.integers(N_BATCHES, size=n_cells)
    of_label = rng.normal(size=N_GENES) + 0.7 * rng.normal(size=(N_LABELS, N_GENES))  # logits, (labels, genes)
    of_batch = 0.3 * rng.normal(size=(N_BATCHES, N_GENES))
    portions = []
    for start in range(0, n_cells, PORTION):
        cells = slice(start, min(start + PORTION, n_cells))
        logits = torch.from_numpy(of_label[labels[cells]] + of_batch[batch_index[cells]])
        library = rng.lognormal(np.log(160), 0.4, size=(len(logits), 1))
        mu = library * torch.softmax(logits, dim=-1).numpy()
        portions.append(sp.csr_matrix(rng.poisson(mu * rng.gamma(2.0, 0.5, size=mu.shape)).astype(np.float32)))
    counts = sp.vstack(portions, format="csr")
    seen = np.diff(counts.indptr) > 0
    return vc.CountData(counts[seen], batch_index[seen], labels[seen])


def prepare(n_cells: int, folder: Path) -> None:
    """Write the cells and a model that has seen some of them."""
    data = simulate(n_cells)
    sp.save_npz(folder / "counts.npz", data.counts, compressed=False)
    np.savez(folder / "codes.npz", batch_index=data.batch_index, labels=data.labels)
    model = vc.VAE(N_GENES, n_batch=N_BATCHES)
    some = data.subset(np.arange(min(TRAINED_ON, data.n_cells)))
    vc.UnsupervisedTrainer(model, some, train_size=1.0, n_epochs_kl_warmup=0).train(EPOCHS)
    model.save(folder / "model.pt")


def measure(what: str, folder: Path) -> dict[str, Any]:
    """Ask one question; return seconds without the reading of the data, and the peak memory of this process."""
    with np.load(folder / "codes.npz") as codes:
        data = vc.CountData(sp.load_npz(folder / "counts.npz"), codes["batch_index"], codes["labels"])
    cells = vc.Posterior(vc.VAE.load(folder / "model.pt"), data)
    start = time.perf_counter()
    QUESTIONS[what](cells)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"cells": data.n_cells, "what": what, "seconds": seconds, "peak_mb": peak}


def alone(function: Callable, *arguments: Any) -> Any:
    """Call the function in a fresh process, which ends with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_all(sizes: list[int]) -> dict[str, Any]:
    """Ask all questions on all sizes, and print the answers as they come."""
    rows = []
    print(f"{'cells':>10}  {'what':24}{'seconds':>10}{'peak MB':>10}")
    for n_cells in sizes:
        with tempfile.TemporaryDirectory() as folder:
            alone(prepare, n_cells, Path(folder))
            for what in QUESTIONS:
                row = alone(measure, what, Path(folder))
                print(f"{row['cells']:>10,}  {what:24}{row['seconds']:>10.1f}{row['peak_mb']:>10,.0f}", flush=True)
                rows.append(row)
    settings = (
        f"{N_GENES:,} simulated genes, {N_BATCHES} batches, {N_LABELS} labels; {torch.get_num_threads()} threads; "
        f"{N_SAMPLES} draws a cell for the marginal likelihood, else the defaults; differential expression is of every "
        "label against the rest. Memory includes Python, libraries and data."
    )
    return {"settings": settings, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    save("evaluation_scale", measure_all(parser.parse_args().cells))


if __name__ == "__main__":
    main()
