"""Time an epoch of the ZINB model against scvi-tools: same cells, same sizes, one thread, alternating, one process.

    python benchmarks/train_speed.py [FILE.h5ad | --pbmc]

Without a file, cells are simulated that have the size and the zeros of a small experiment; `--pbmc` takes the bundled
blood cells. What our epoch costs depends on the share of zeros, at which the gamma functions cancel and are not
evaluated; that share is printed with the data.
"""

import argparse
import logging
import statistics
import time
import warnings

import numpy as np
import torch

import vae_course as vc

ROUNDS = 5
EPOCHS = 5  # the first of each round is not timed: it warms up


def seconds_of_ours(data: vc.CountData) -> list[float]:
    trainer = vc.UnsupervisedTrainer(vc.VAE(data.n_genes), data, train_size=1.0, n_epochs_kl_warmup=0)
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
    model.train(EPOCHS, accelerator="cpu", train_size=1.0, batch_size=128, callbacks=[Clock()], **quiet)
    return np.diff(ends).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "file", nargs="?", help="an .h5ad file with counts in X; its 1,000 most variable genes are used"
    )
    parser.add_argument("--pbmc", action="store_true", help="use the bundled blood cells")
    options = parser.parse_args()
    import scvi

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if options.file:
        data = vc.load_h5ad(options.file, n_top_genes=1000)
    else:
        data = vc.load_pbmc() if options.pbmc else vc.simulate_counts(3774, 1000, mean_library=150)
    print(data)
    adata = data.to_anndata()
    scvi.model.SCVI.setup_anndata(adata)
    times: dict[str, list[float]] = {"vae_course": [], "scvi-tools": []}
    for _ in range(ROUNDS):
        times["vae_course"] += seconds_of_ours(data)
        times["scvi-tools"] += seconds_of_scvi_tools(adata)
    theirs = statistics.median(times["scvi-tools"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        spread = f"median of {len(seconds)}, {min(seconds):.3f} to {max(seconds):.3f}"
        print(f"{name:10s} {median:.3f} s an epoch ({spread}), {theirs / median:.2f} times as fast as scvi-tools")


if __name__ == "__main__":
    main()
