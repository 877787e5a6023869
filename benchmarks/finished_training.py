"""What finishing the training is worth, step by step, on held-out cells, beside scvi-tools.

    python benchmarks/finished_training.py [FILE.h5ad] --label-key K --genes seurat_v3 --seeds 5 --name pbmc_facs

Of a file, 1,000 genes are used, the most variable ones by `seurat_v3` or those of largest variance; without one, the
bundled blood cells. For every seed scvi-tools' SCVI is trained for 100 epochs at its own settings (Adam at 1e-3, kept;
random theta; a latent library and a warm-up of 50 epochs, so that its ELBO is comparable and whole). From the same
initial networks, on the same cells with the same split, `FastVAE` is trained for 100 epochs with one more step finished
in every row: the averages of batch normalisation, theta from moments, the falling learning rate. All models are
evaluated by the same code: negative ELBO and log p(x) of the held-out cells, nats per cell; ARI and NMI of k-means on
the latent means of all cells; and how counts that the model generates for the held-out cells compare with theirs.

Time to quality: `FastVAE` is trained from the same networks in minibatches of 64 from 6e-3, which suits a hurry, with
ever more epochs, each time to the end of its schedule, until the held-out log p(x) is that of scvi-tools' 100 epochs.
Seconds are those of the processor, one thread.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import vae_course as vc
from results import save
from vae_course.metrics import clustering_scores
from vae_course.posterior import finish_averages

EPOCHS, WARMUP, BATCH_SIZE, N_GENES = 100, 50, 128, 1000
ADAM = {"lr": 1e-3, "eps": 0.01, "weight_decay": 1e-6}
SCVI_WAY = {"lr": 1e-3, "lr_schedule": "constant", "n_epochs_kl_warmup": WARMUP}
BUDGETS = (8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32, 40, 50, 60, 80, 100)  # epochs, for the time to quality
HURRY = {"lr": 6e-3, "batch_size": 64}
ELBO_DRAWS, MARGINAL_SAMPLES, GENERATED = 10, 100, 50
GENE_GROUPS = 12
QUIET = dict.fromkeys(("enable_progress_bar", "logger", "enable_model_summary", "enable_checkpointing"), False)


def untrained(theirs: Any, dispersion_init: str) -> vc.FastVAE:
    """Return our model with scvi-tools' initial networks."""
    model = vc.FastVAE.from_scvi_tools(theirs)
    ours = vc.FastVAE(**model.options | {"dispersion_init": dispersion_init})
    ours.load_state_dict(model.state_dict())
    return ours


def train(theirs: Any, data: vc.CountData, seed: int, epochs: int, theta: str, **options: Any) -> tuple[Any, float]:
    """Train our model; return its trainer and the seconds."""
    options = {"batch_size": BATCH_SIZE, **options}
    trainer = vc.UnsupervisedTrainer(untrained(theirs, theta), data, 0.9, seed=seed, **options)
    held_out, trainer.posteriors["test_set"] = trainer.test_set, vc.Posterior(trainer.model, data, [], BATCH_SIZE)
    start = time.process_time()
    trainer.train(epochs)  # without looking at the held-out cells, as scvi-tools does
    seconds = time.process_time() - start
    trainer.posteriors["test_set"] = held_out
    return trainer, seconds


def train_scvi_tools(theirs: Any, split: list[np.ndarray]) -> float:
    """Train scvi-tools' model in place; return the seconds."""
    start = time.process_time()
    theirs.train(
        EPOCHS,
        accelerator="cpu",
        batch_size=BATCH_SIZE,
        datasplitter_kwargs={"external_indexing": split},
        plan_kwargs={"n_epochs_kl_warmup": WARMUP, **ADAM},
        **QUIET,
    )
    return time.process_time() - start


def evaluate(model: vc.VAE, data: vc.CountData, held_out: np.ndarray) -> dict[str, Any]:
    """Return all that is measured on a model."""
    posterior = vc.Posterior(model, data, held_out, BATCH_SIZE)
    scores = clustering_scores(vc.Posterior(model, data).get_latent()[0], data.labels)
    return {
        "negative_elbo": -float(np.mean([posterior.elbo(seed) for seed in range(ELBO_DRAWS)])),
        "marginal_ll": posterior.marginal_ll(MARGINAL_SAMPLES),
        "ari": scores["ari"],
        "nmi": scores["nmi"],
        "generated": generated(posterior),
    }


def generated(posterior: vc.Posterior) -> dict[str, Any]:
    """Compare counts from the posterior predictive with the cells' own: together, and by genes of similar mean."""
    draws, observed = posterior.generate(GENERATED)  # (n, genes, draws), (n, genes)
    draws = np.moveaxis(draws, 2, 0)
    seen = observed.mean(axis=0) > 0
    dispersed = np.stack([draws.var(axis=1).mean(axis=0) / draws.mean(axis=(0, 1)).clip(1e-9), fano(observed)])
    detected = np.stack([(draws > 0).mean(axis=(0, 1)), (observed > 0).mean(axis=0)])  # generated, observed
    order = np.argsort(observed.mean(axis=0))
    groups = np.array_split(order[np.count_nonzero(~seen) :], GENE_GROUPS)
    return {
        "total": float(draws.sum(dtype=np.float64) / GENERATED / observed.sum(dtype=np.float64)),
        "zeros": [float((draws == 0).mean()), float((observed == 0).mean())],
        "fano_ratio": float(np.median(dispersed[0, seen] / dispersed[1, seen])),
        "detection_error": float(np.abs(detected[0] - detected[1]).mean()),
        "by_mean": {
            "mean": [float(observed[:, group].mean()) for group in groups],
            "fano": [np.median(dispersed[:, group], axis=1).tolist() for group in groups],
            "detected": [detected[:, group].mean(axis=1).tolist() for group in groups],
        },
    }


def fano(counts: np.ndarray) -> np.ndarray:
    """Return the variance over the mean of every gene, (genes,)."""
    return counts.var(axis=0) / counts.mean(axis=0).clip(1e-9)


def steps(theirs: Any, data: vc.CountData, seed: int) -> Iterator[tuple[str, Any, vc.Posterior, float]]:
    """Yield the name of every row, its model, the posterior of its training cells and the seconds of training."""
    trained = [
        ("theta from moments", EPOCHS, "moments", SCVI_WAY),
        ("... and a falling learning rate: our defaults", EPOCHS, "moments", {}),
    ]
    ours = {name: train(theirs, data, seed, epochs, theta, **options) for name, epochs, theta, options in trained}
    first = next(iter(ours.values()))[0]
    split = [first.train_set.indices, first.test_set.indices]
    with torch.no_grad():
        for name in ("library_log_means", "library_log_vars"):
            getattr(theirs.module, name).copy_(getattr(first.model, name))
    seconds = train_scvi_tools(theirs, split)
    yield "scvi-tools", vc.VAE.from_scvi_tools(theirs), split, seconds
    finished = vc.VAE.from_scvi_tools(theirs)
    finish_averages(vc.Posterior(finished, data, split[0], BATCH_SIZE), seed)
    yield "scvi-tools, averages finished", finished, split, seconds
    for name, (trainer, took) in ours.items():
        yield name, trainer.model, split, took


def time_to_quality(theirs: Any, data: vc.CountData, seed: int, wanted: float) -> dict[str, float]:
    """Return the epochs and seconds after which our held-out log p(x) is at least `wanted`."""
    for epochs in BUDGETS:
        trainer, seconds = train(theirs, data, seed, epochs, "moments", n_epochs_kl_warmup=epochs // 4, **HURRY)
        reached = trainer.test_set.marginal_ll(MARGINAL_SAMPLES)
        if reached >= wanted:
            break
    return {"epochs": epochs, "seconds": seconds, "marginal_ll": reached, "wanted": wanted}


def compare(adata: Any, data: vc.CountData, seed: int) -> dict[str, Any]:
    """Return the rows of one seed, and the time to quality."""
    from scvi import settings
    from scvi.model import SCVI

    settings.seed = seed
    theirs, start = (SCVI(adata, gene_likelihood="zinb", use_observed_lib_size=False) for _ in range(2))
    start.module.load_state_dict(theirs.module.state_dict())
    settings.seed = 1000 + seed
    rows = {}
    for name, model, split, seconds in steps(theirs, data, 1000 + seed):
        rows[name] = evaluate(model, data, split[1]) | {"seconds": seconds}
        print(f"seed {seed}  {name:46s} {show(rows[name])}", flush=True)
    quality = time_to_quality(start, data, 1000 + seed, rows["scvi-tools"]["marginal_ll"])
    quality["share"] = quality["seconds"] / rows["scvi-tools"]["seconds"]
    print(f"seed {seed}  time to quality {quality}", flush=True)
    return {"rows": rows, "time_to_quality": quality}


def show(row: dict[str, Any]) -> str:
    parts = row | row["generated"] | {"zeros": np.subtract(*row["generated"]["zeros"])}
    return "  ".join(f"{key} {value:.3f}" for key, value in parts.items() if not isinstance(value, dict))


def read(args: argparse.Namespace) -> vc.CountData:
    """Return the cells with the genes that were asked for."""
    if not args.file:
        return vc.load_pbmc()
    if args.genes == "seurat_v3":
        return vc.load_h5ad(args.file, label_key=args.label_key, n_top_genes=N_GENES)
    data = vc.load_h5ad(args.file, label_key=args.label_key)
    squares = data.counts.multiply(data.counts).mean(axis=0).A1
    genes = np.sort(np.argsort(squares - data.counts.mean(axis=0).A1 ** 2)[-N_GENES:])
    counts = data.counts[:, genes]
    kept = counts.sum(axis=1).A1 > 0
    return vc.CountData(
        counts[kept], labels=data.labels[kept], gene_names=data.gene_names[genes], label_names=data.label_names
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="an .h5ad file with counts in X")
    parser.add_argument("--label-key", help="column of obs with the cell types")
    parser.add_argument("--genes", choices=("seurat_v3", "variance"), default="seurat_v3")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--name", default="bundled", help="the record is results/finished_training_NAME.json")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    from scvi.model import SCVI

    data = read(args)
    print(data)
    adata = data.to_anndata()
    SCVI.setup_anndata(adata)
    seeds = []
    for seed in range(args.seeds):
        seeds.append(compare(adata, data, seed))
        save(f"finished_training_{args.name}", {"cells": repr(data), "genes": args.genes, "seeds": seeds})


if __name__ == "__main__":
    main()
