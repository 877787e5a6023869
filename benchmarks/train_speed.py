"""Time an epoch of the ZINB model against scvi-tools: same cells, same sizes, one thread, alternating, one process.

    python benchmarks/train_speed.py [FILE.h5ad ...]

Of each file the 1,000 most variable genes are used, with X as counts. Simulated cells and the bundled blood cells are
timed in any case. Beside the two stand the readable formula of `models.py`, with which a subclass of `VAE` is trained,
and the matrix products of an epoch alone. What an epoch costs depends on the share of zeros.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import torch

import vae_course as vc
from results import save, spread

ROUNDS = 5
EPOCHS = 5  # the first of each round is not timed: it warms up
BATCH_SIZE, N_HIDDEN = 128, 128


class ReadableVAE(vc.VAE):
    """The same model; the fast loss is for `VAE` itself, so that subclasses keep their own methods."""


def seconds_of_ours(data: vc.CountData, model: type[vc.VAE]) -> list[float]:
    trainer = vc.UnsupervisedTrainer(model(data.n_genes), data, train_size=1.0, n_epochs_kl_warmup=0)
    trainer.train(EPOCHS)
    return trainer.epoch_seconds[1:]


def seconds_of_scvi_tools(adata) -> list[float]:
    from lightning.pytorch.callbacks import Callback
    from scvi.model import SCVI

    ends = []

    class Clock(Callback):
        def on_train_epoch_end(self, *_):
            ends.append(time.perf_counter())

    quiet = dict.fromkeys(("enable_progress_bar", "logger", "enable_model_summary", "enable_checkpointing"), False)
    model = SCVI(adata, use_observed_lib_size=False)
    model.train(EPOCHS, accelerator="cpu", train_size=1.0, batch_size=BATCH_SIZE, callbacks=[Clock()], **quiet)
    return np.diff(ends).tolist()


def seconds_of_products(n_cells: int, n_genes: int) -> list[float]:
    """Time the ten large products of all steps of an epoch: two encoders, two heads of the decoder."""
    x, hidden = torch.rand(BATCH_SIZE, n_genes), torch.rand(BATCH_SIZE, N_HIDDEN)
    encoder, head = torch.rand(N_HIDDEN, n_genes), torch.rand(n_genes, N_HIDDEN)
    seconds = []
    for _ in range(EPOCHS - 1):
        start = time.perf_counter()
        for _ in range(2 * n_cells // BATCH_SIZE):
            x @ encoder.T, hidden.T @ x  # forwards; the gradient of the weights
            hidden @ head.T, x.T @ hidden, x @ head  # forwards; the gradients of the weights and of the input
        seconds.append(time.perf_counter() - start)
    return seconds


def compare(name: str, data: vc.CountData) -> dict:
    """Time all four in turns."""
    import scvi

    adata = data.to_anndata()
    scvi.model.SCVI.setup_anndata(adata)
    ways = {
        "vae_course": lambda: seconds_of_ours(data, vc.VAE),
        "scvi-tools": lambda: seconds_of_scvi_tools(adata),
        "readable": lambda: seconds_of_ours(data, ReadableVAE),
        "matrix products": lambda: seconds_of_products(data.n_cells, data.n_genes),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, measure in ways.items():
            times[way] += measure()
    row = {"cells": f"{name}, {data.n_cells:,} x {data.n_genes:,}"}
    row |= {"zeros": 1 - data.counts.nnz / (data.n_cells * data.n_genes)}
    row |= {way: spread(seconds) for way, seconds in times.items()}
    for way in ways:
        faster = row["scvi-tools"]["median"] / row[way]["median"]
        print(f"{row['cells']:36s} {way:16s} {row[way]['median']:.3f} s an epoch, {faster:.2f} times scvi-tools' speed")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    sets = {f"`{path.stem}`": vc.load_h5ad(path, n_top_genes=1000) for path in options.files}
    sets["simulated"] = vc.simulate_counts(3774, 1000, mean_library=150)
    sets["bundled blood cells"] = vc.load_pbmc()
    save("train_speed", {"rows": [compare(name, data) for name, data in sets.items()]})


if __name__ == "__main__":
    main()
