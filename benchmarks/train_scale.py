"""Train from a file with the command `vae-course train`, for growing numbers of cells: speed and peak memory.

    python benchmarks/train_scale.py [--cells 10000 100000 1000000]

The cells have 1,000 genes and about 90 % zeros. 20,000 of them are simulated (`simulate_counts`); the file repeats
these, each time with every count thinned anew (binomially, to half), so that no two blocks are the same and a million
cells are written within a minute, never all in memory. Reading and the whole command run in processes of their
own, whose peak resident memory the system reports.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import save

N_GENES = 1000
BLOCK = 20_000
EPOCHS = 2
READ = """
import sys, time
import vae_course as vc
from vae_course.reading.stores import open_h5ad  # what is imported is not to be timed
import anndata.io
start = time.perf_counter()
data = vc.load_h5ad(sys.argv[1], label_key="label")
print(time.perf_counter() - start, data.counts.nnz)
"""


def write_cells(path: Path, n_cells: int) -> None:
    """Write an .h5ad file of sparse counts, a block at a time."""
    import h5py
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData
    from anndata.io import sparse_dataset, write_elem

    import vae_course as vc

    base = vc.simulate_counts(min(n_cells, BLOCK), N_GENES, mean_library=270, seed=0)
    rng = np.random.default_rng(0)
    labels = []
    for first in range(0, n_cells, BLOCK):
        rows = slice(0, min(BLOCK, n_cells - first))
        block, counts = base.counts[rows], base.counts[rows].data.astype(np.int64)
        thinned = rng.binomial(counts, 0.5)
        thinned[block.indptr[:-1]] = counts[block.indptr[:-1]]  # one count of a cell stays, so that no cell is empty
        block = sp.csr_matrix((thinned.astype(np.float32), block.indices, block.indptr), shape=block.shape)
        block.eliminate_zeros()
        labels.append(base.labels[rows])
        if first == 0:
            AnnData(block).write_h5ad(path)
        else:
            with h5py.File(path, "r+") as file:
                sparse_dataset(file["X"]).append(block)
    names = [f"cell {i}" for i in range(n_cells)]
    with h5py.File(path, "r+") as file:
        obs = pd.DataFrame({"label": pd.Categorical(np.concatenate(labels).astype(str))}, index=names)
        write_elem(file, "obs", obs)


def run_measured(command: list[str]) -> tuple[str, float]:
    """Run a command; return what it printed, and its peak resident memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}.")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return printed, usage.ru_maxrss * unit / 1e6


def measure(path: Path, n_cells: int) -> dict[str, Any]:
    """Read the cells, train on them, and return what that took."""
    printed, peak_reading = run_measured([sys.executable, "-c", READ, str(path)])
    seconds_reading, nonzeros = printed.split()
    out = path.with_name("out")
    arguments = [str(path), "--label-key", "label", "--epochs", str(EPOCHS), "--warmup", "0", "--out", str(out)]
    start = time.perf_counter()
    _, peak = run_measured([sys.executable, "-m", "vae_course.cli", "train", *arguments])
    seconds_total = time.perf_counter() - start
    summary = json.loads((out / "summary.json").read_text())
    return {
        "cells": n_cells,
        "nonzeros": int(nonzeros),
        "cells_per_second": (n_cells - summary["held_out_cells"]) / summary["seconds_per_epoch"],
        "peak_mb": peak,
        "peak_mb_reading": peak_reading,
        "seconds_total": seconds_total,
        "seconds_reading": float(seconds_reading),
        "file_mb": path.stat().st_size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    rows = []
    for n_cells in options.cells:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cells.h5ad"
            # in a process of its own: the memory of this one would count as its children's
            writer = multiprocessing.get_context("spawn").Process(target=write_cells, args=(path, n_cells))
            writer.start()
            writer.join()
            rows.append(measure(path, n_cells))
            print(rows[-1], flush=True)
    save("train_scale", {"settings": f"{N_GENES:,} genes, {EPOCHS} epochs, one thread.", "rows": rows})


if __name__ == "__main__":
    main()
