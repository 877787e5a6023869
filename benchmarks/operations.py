"""Say what every operation of an epoch of `FastVAE` costs, one thread.

    python benchmarks/operations.py [FILE.h5ad]

PyTorch's profiler counts, over some epochs, the time within each operation; what is left of the measured time of an
epoch without the profiler is Python and autograd's bookkeeping. Without a file, cells are simulated.
"""

import argparse
import datetime
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

import vae_course as vc
from results import save

EPOCHS = 5
SHARE_SHOWN = 0.01  # of the time; the rest is put together
MEANING = {
    "aten::mm": "matrix products, backward pass (`mm`)",
    "aten::addmm": "matrix products, forward pass (`addmm`)",
    "aten::_embedding_bag_forward_only": "first product of the encoders and its gradient (`embedding_bag`)",
    "aten::_fused_adam_": "Adam (`_fused_adam_`)",
    "aten::bernoulli_": "which outputs dropout sets to zero (`bernoulli_`)",
    "aten::native_channel_shuffle": "the encoders' first weights and gradients, transposed (`native_channel_shuffle`)",
    "aten::copy_": "copies: from float32 to float64 and back, numbers into tensors (`copy_`)",
    "aten::_softmax": "shares of the genes (`_softmax`)",
    "aten::lgamma": "gamma functions of large counts (`lgamma`)",
    "aten::digamma": "their derivatives (`digamma`)",
    "aten::index_select": "values at the non-zeros (`index_select`)",
    "aten::index_copy_": "results put at the non-zeros (`index_copy_`)",
    "aten::cumsum": "sums of logarithms for small counts (`cumsum`)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = (
        vc.load_h5ad(options.file, n_top_genes=1000)
        if options.file
        else vc.simulate_counts(3774, 1000, mean_library=150)
    )
    trainer = vc.UnsupervisedTrainer(vc.FastVAE(data.n_genes), data, train_size=1.0, n_epochs_kl_warmup=0, device="cpu")
    trainer.train(EPOCHS + 1)
    steps = -(-data.n_cells // trainer.batch_size)
    per_step = 1e6 * sorted(trainer.epoch_seconds[1:])[EPOCHS // 2] / steps
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        trainer.train(EPOCHS)
    costs = [
        {
            "what": MEANING.get(event.key, f"`{event.key.removeprefix('aten::')}`"),
            "calls": round(event.count / EPOCHS / steps, 1),
            "microseconds": event.self_cpu_time_total / EPOCHS / steps,
        }
        for event in profiled.key_averages()
        if event.key.startswith("aten::")
    ]
    costs.sort(key=lambda row: -row["microseconds"])
    rows = [row for row in costs if row["microseconds"] > SHARE_SHOWN * per_step]
    small = costs[len(rows) :]
    others = {name: round(sum(row[name] for row in small), 1) for name in ("calls", "microseconds")}
    rows.append({"what": f"{len(small)} other operations"} | others)
    left = per_step - sum(row["microseconds"] for row in rows)
    rows.append({"what": "Python and autograd between the operations", "calls": "", "microseconds": left})
    for row in rows:
        print(f"{row['microseconds']:8.0f} microseconds  {row['what']}")
    today = datetime.date.today().isoformat()
    save("operations", {"date": today, "cells": repr(data), "microseconds_a_step": per_step, "rows": rows})


if __name__ == "__main__":
    main()
