"""Measure training on a GPU: cells per second against the GPU's own limits and, where it is installed, scvi-tools.

    python benchmarks/gpu_speed.py [--cells 50000]

The limit is that of the ten large matrix products of a step, measured on the same GPU with the same shapes in float32.
Where there is no GPU the script says so, and so does RESULTS.md.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import scipy.sparse as sp
import torch

import vae_course as vc
from results import save

N_GENES, N_HIDDEN = 1000, 128
BATCH_SIZES = (128, 1024, 8192)
EPOCHS = 4  # the first is not timed: it warms up
NO_GPU = "There was no GPU to run it on."


def simulated(n_cells: int) -> vc.CountData:
    """Return many cells, 5,000 different ones over and over."""
    few = vc.simulate_counts(5000, N_GENES, mean_library=150)
    return vc.CountData(sp.vstack([few.counts] * -(-n_cells // few.n_cells))[:n_cells])


def ours(data: vc.CountData, batch_size: int) -> float:
    """Return cells per second of our trainer."""
    trainer = vc.UnsupervisedTrainer(
        vc.VAE(N_GENES), data, train_size=1.0, batch_size=batch_size, n_epochs_kl_warmup=0, device="cuda"
    )
    trainer.train(EPOCHS)
    return data.n_cells / sorted(trainer.epoch_seconds[1:])[(EPOCHS - 1) // 2]


def scvi_tools(data: vc.CountData, batch_size: int) -> float:
    """Return cells per second of scvi-tools."""
    from scvi.model import SCVI

    adata = data.to_anndata()
    SCVI.setup_anndata(adata)
    model = SCVI(adata, use_observed_lib_size=False)
    quiet = dict.fromkeys(("enable_progress_bar", "logger", "enable_model_summary", "enable_checkpointing"), False)
    seconds = []
    for epochs in (1, EPOCHS):
        start = time.perf_counter()
        model.train(epochs, accelerator="gpu", train_size=1.0, batch_size=batch_size, **quiet)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return (EPOCHS - 1) * data.n_cells / (seconds[1] - seconds[0])


def products(batch_size: int) -> float:
    """Return the cells per second that the matrix products alone would allow."""
    tables = {"x": (batch_size, N_GENES), "hidden": (batch_size, N_HIDDEN)}
    tables |= {"encoder": (N_HIDDEN, N_GENES), "head": (N_GENES, N_HIDDEN)}
    x, hidden, encoder, head = (torch.rand(shape, device="cuda") for shape in tables.values())

    def step() -> None:
        for _ in range(2):
            x @ encoder.T, hidden.T @ x  # an encoder: forwards; the gradient of the weights
            hidden @ head.T, x.T @ hidden, x @ head  # a head: forwards; the gradients of weights and input

    return batch_size / seconds_of(step)


def seconds_of(step: Callable[[], None], n_steps: int = 200) -> float:
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / n_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=50_000)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(NO_GPU)
        save("gpu_speed", {"reason": NO_GPU})
        return
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = simulated(options.cells)
    ways = {"vae_course": ours} | ({"scvi-tools": scvi_tools} if find_spec("scvi") else {})
    rows = []
    for batch_size in BATCH_SIZES:
        limit = products(batch_size)
        for what, measure in ways.items():
            speed = measure(data, batch_size)
            rows.append(
                {
                    "what": what,
                    "batch_size": batch_size,
                    "cells_per_second": speed,
                    "share_of_products": speed / limit,
                    "peak_mb": torch.cuda.max_memory_allocated() / 2**20,
                }
            )
            print(f"{what}, minibatches of {batch_size}: {speed:,.0f} cells a second, {speed / limit:.0%} of the limit")
    save("gpu_speed", {"cells": repr(data), "rows": rows})


if __name__ == "__main__":
    main()
