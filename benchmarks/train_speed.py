"""Time an epoch of `FastVAE` and `VAE` against scvi-tools: same cells and sizes, one thread, in turns, in one process.

    python benchmarks/train_speed.py [FILE.h5ad ...]

Of each file the 1,000 most variable genes are used, with X as counts. Simulated cells and the bundled blood cells are
timed in any case. Beside the three stand the matrix products of an epoch of dense counts alone. What an epoch costs
depends on the share of zeros. Processor time is kept beside the time on the clock: it says more where other programs
use the same machine.
"""

import argparse
import datetime
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import vae_course as vc
from results import save, spread

ROUNDS = 5
EPOCHS = 5  # the first of each round is not timed: it warms up
BATCH_SIZE, N_HIDDEN = 128, 128
Times = list[tuple[float, float]]  # seconds on the clock and of the processor, an epoch each


def clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def timed(epoch: Callable[[], None]) -> Times:
    ends = []
    for _ in range(EPOCHS):
        epoch()
        ends.append(clock())
    return np.diff(ends, axis=0).tolist()


def times_of_ours(data: vc.CountData, model: type[vc.VAE]) -> Times:
    trainer = vc.UnsupervisedTrainer(model(data.n_genes), data, train_size=1.0, n_epochs_kl_warmup=0, device="cpu")
    return timed(lambda: trainer.train(1))


def times_of_scvi_tools(adata) -> Times:
    from lightning.pytorch.callbacks import Callback
    from scvi.model import SCVI

    ends = []

    class Clock(Callback):
        def on_train_epoch_end(self, *_):
            ends.append(clock())

    quiet = dict.fromkeys(("enable_progress_bar", "logger", "enable_model_summary", "enable_checkpointing"), False)
    model = SCVI(adata, use_observed_lib_size=False)
    model.train(EPOCHS, accelerator="cpu", train_size=1.0, batch_size=BATCH_SIZE, callbacks=[Clock()], **quiet)
    return np.diff(ends, axis=0).tolist()


def times_of_products(n_cells: int, n_genes: int) -> Times:
    """Time the ten large products of all steps of an epoch: two encoders, two heads of the decoder."""
    x, hidden = torch.rand(BATCH_SIZE, n_genes), torch.rand(BATCH_SIZE, N_HIDDEN)
    encoder, head = torch.rand(N_HIDDEN, n_genes), torch.rand(n_genes, N_HIDDEN)

    def epoch() -> None:
        for _ in range(2 * n_cells // BATCH_SIZE):
            x @ encoder.T, hidden.T @ x  # forward; the gradient of the weights
            hidden @ head.T, x.T @ hidden, x @ head  # forward; the gradients of the weights and of the input

    return timed(epoch)


def compare(name: str, data: vc.CountData) -> dict:
    """Time all four in turns."""
    import scvi

    adata = data.to_anndata()
    scvi.model.SCVI.setup_anndata(adata)
    ways = {
        "FastVAE": lambda: times_of_ours(data, vc.FastVAE),
        "scvi-tools": lambda: times_of_scvi_tools(adata),
        "VAE": lambda: times_of_ours(data, vc.VAE),
        "matrix products": lambda: times_of_products(data.n_cells, data.n_genes),
    }
    times: dict[str, Times] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, measure in ways.items():
            times[way] += measure()
    row = {"cells": f"{name}, {data.n_cells:,} x {data.n_genes:,}"}
    row |= {"zeros": 1 - data.counts.nnz / (data.n_cells * data.n_genes)}
    for way, pairs in times.items():
        on_the_clock, of_the_processor = map(list, zip(*pairs, strict=True))
        row[way] = {**spread(on_the_clock), "processor": spread(of_the_processor)}
    for way in ways:
        faster = row["scvi-tools"]["median"] / row[way]["median"]
        of_processor = row["scvi-tools"]["processor"]["median"] / row[way]["processor"]["median"]
        print(
            f"{row['cells']:36s} {way:16s} {row[way]['median']:.3f} s an epoch, {faster:.2f} times scvi-tools' speed "
            f"({of_processor:.2f} by processor time)"
        )
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
    rows = [compare(name, data) for name, data in sets.items()]
    save("train_speed", {"date": datetime.date.today().isoformat(), "rows": rows})


if __name__ == "__main__":
    main()
