"""Train scvi-tools' SCVI and our VAE from the same initial weights on the same cells, and compare what they learnt.

    python benchmarks/paired_comparison.py [FILE.h5ad] --label-key K --seeds 5 --epochs 100 --likelihood zinb
        --out FILE.json

Of a file, the 1,000 most variable genes are used; without one, the bundled blood cells. What is equal in a pair: cells,
genes, split (10 % held out), initial weights, the prior of the library (that of our training cells is copied into scvi-
tools' buffers, which would otherwise hold that of all cells, the held-out ones among them), Adam and its settings with
a constant learning rate, theta from N(0, 1), minibatches of 128, warm-up of the KL, and averages of batch normalisation
that are finished after training (which scvi-tools leaves out). What differs: the random numbers, that is the order of
the cells, dropout and the draws. Both are then evaluated by the same code, scvi-tools' weights through
`VAE.from_scvi_tools`: negative ELBO (mean over several draws) and marginal log-likelihood of the held-out cells, nats
per cell; ARI and NMI of k-means on the latent means of all cells against the labels. Seconds of training are recorded
beside (ours evaluates the held-out cells after every epoch, scvi-tools does not).
"""

import argparse
import json
import logging
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

import vae_course as vc
from results import RECORDED, write_results
from vae_course.metrics import clustering_scores
from vae_course.posterior import finish_averages
from vae_course.runtime.files import write_atomically

BATCH_SIZE, TRAIN_SIZE, N_TOP_GENES = 128, 0.9, 1000
ADAM = {"lr": 1e-3, "eps": 0.01, "weight_decay": 1e-6}
ELBO_DRAWS, MARGINAL_SAMPLES = 20, 1000
HIGHER_IS_BETTER = {"negative_elbo": False, "marginal_ll": True, "ari": True, "nmi": True}
QUIET = dict.fromkeys(("enable_progress_bar", "logger", "enable_model_summary", "enable_checkpointing"), False)


def untrained_pair(adata, data: vc.CountData, seed: int, args: argparse.Namespace):
    """Return a scvi-tools model and a trainer of ours with the same weights and the same library prior.

    Weights and training get seeds of their own, lest the random numbers of the weights return as those of the training.
    """
    from scvi import settings
    from scvi.model import SCVI

    settings.seed = seed
    theirs = SCVI(adata, gene_likelihood=args.likelihood, use_observed_lib_size=False)
    ours = vc.VAE.from_scvi_tools(theirs)
    training_seed = settings.seed = 1000 + seed
    trainer = vc.UnsupervisedTrainer(
        ours,
        data,
        TRAIN_SIZE,
        n_epochs_kl_warmup=args.kl_warmup,
        batch_size=BATCH_SIZE,
        lr_schedule="constant",
        seed=training_seed,
        **ADAM,
    )
    with torch.no_grad():
        theirs.module.library_log_means.copy_(ours.library_log_means)
        theirs.module.library_log_vars.copy_(ours.library_log_vars)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.module.state_dict()[name]), name
    return theirs, trainer


def train_scvi_tools(model, trainer: vc.UnsupervisedTrainer, args: argparse.Namespace) -> None:
    """Train scvi-tools' model on the cells of our trainer, and check that it did."""
    split = [trainer.train_set.indices, trainer.test_set.indices]
    model.train(
        args.epochs,
        accelerator="cpu",
        batch_size=BATCH_SIZE,
        datasplitter_kwargs={"external_indexing": split.copy()},
        plan_kwargs={"n_epochs_kl_warmup": args.kl_warmup, **ADAM},
        **QUIET,
    )
    assert np.array_equal(np.sort(model.train_indices), split[0])
    assert np.array_equal(np.sort(model.validation_indices), split[1])


def evaluate(model: vc.VAE, data: vc.CountData, held_out: np.ndarray) -> dict[str, float]:
    """Return the four numbers, and the parts of the ELBO."""
    posterior = vc.Posterior(model, data, held_out, BATCH_SIZE)
    draws = [posterior.loss_terms(seed) for seed in range(ELBO_DRAWS)]
    terms = {name: np.mean([getattr(draw, name).double().mean() for draw in draws]) for name in draws[0]._fields}
    scores = vc.Posterior(model, data).clustering_scores()
    return {
        "negative_elbo": float(sum(terms.values())),
        "marginal_ll": posterior.marginal_ll(MARGINAL_SAMPLES),
        "ari": scores["ari"],
        "nmi": scores["nmi"],
        **{name: float(value) for name, value in terms.items()},
    }


def compare(adata, data: vc.CountData, seed: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Train and evaluate one pair."""
    theirs, trainer = untrained_pair(adata, data, seed, args)
    started = time.perf_counter()
    trainer.train(args.epochs)
    ours_done = time.perf_counter()
    train_scvi_tools(theirs, trainer, args)
    seconds = {"vae_course": ours_done - started, "scvi-tools": time.perf_counter() - ours_done}
    models = {"vae_course": trainer.model, "scvi-tools": vc.VAE.from_scvi_tools(theirs)}
    finish_averages(vc.Posterior(models["scvi-tools"], data, trainer.train_set.indices, BATCH_SIZE), seed)
    held_out = trainer.test_set.indices
    result = {name: evaluate(model, data, held_out) | {"seconds": seconds[name]} for name, model in models.items()}
    for name, figures in result.items():
        print_row(f"seed {seed}  {name}", figures)
    return result


def summarise(pairs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float | bool]]:
    """Mean paired difference (ours minus theirs) of each number, its standard error, and whether ours is no worse."""
    summary = {}
    for name, higher_is_better in HIGHER_IS_BETTER.items():
        values = {who: np.array([pair[who][name] for pair in pairs]) for who in pairs[0]}
        differences = values["vae_course"] - values["scvi-tools"]
        mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(len(pairs))
        summary[name] = {
            **{who: float(value.mean()) for who, value in values.items()},
            "difference": float(mean),
            "standard_error": float(error),
            "not_worse": bool((mean if higher_is_better else -mean) >= -2 * error),
        }
    return summary


def pca_baseline(data: vc.CountData) -> dict[str, float]:
    """Cluster the same cells by 10 principal components of log(1 + counts per 10,000)."""
    counts = data.counts
    normalised = np.log1p(counts.multiply(1e4 / counts.sum(axis=1)).toarray())
    scores = clustering_scores(PCA(10, random_state=0).fit_transform(normalised), data.labels)
    return {"ari": scores["ari"], "nmi": scores["nmi"]}


def print_row(title: str, figures: dict[str, float]) -> None:
    digits = {"negative_elbo": 2, "marginal_ll": 2, "ari": 4, "nmi": 4}
    cells = [f"{figures[name]:12.{d}f}" if name in figures else f"{'-':>12s}" for name, d in digits.items()]
    print(f"{title:28s}", *cells, flush=True)


def print_summary(summary: dict, baseline: dict[str, float]) -> None:
    for who in ("vae_course", "scvi-tools"):
        print_row(f"mean    {who}", {name: row[who] for name, row in summary.items()})
    print_row("mean paired difference", {name: row["difference"] for name, row in summary.items()})
    print_row("  its standard error", {name: row["standard_error"] for name, row in summary.items()})
    verdicts = ["yes" if row["not_worse"] else "NO" for row in summary.values()]
    print(f"{'ours not worse by > 2 s.e.':28s}", *(f"{verdict:>12s}" for verdict in verdicts))
    print_row("PCA-10 of log counts", baseline)


def record(args: argparse.Namespace, data: vc.CountData, pairs: list, summary: dict, baseline: dict) -> None:
    """Write everything to a JSON file."""
    settings = {name: value for name, value in vars(args).items() if name not in ("file", "out")}
    settings |= {"batch_size": BATCH_SIZE, "train_size": TRAIN_SIZE, "optimizer": {"name": "Adam", **ADAM}}
    settings |= {"library": "latent", "elbo_draws": ELBO_DRAWS, "marginal_ll_samples": MARGINAL_SAMPLES}
    settings |= {"threads": torch.get_num_threads()}
    packages = ("vae-course", "scvi-tools", "torch", "lightning", "numpy", "scikit-learn")
    content = {
        "data": {"file": Path(args.file).name if args.file else "load_pbmc()", "description": repr(data)},
        "settings": settings,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "pairs": dict(enumerate(pairs)),
        "summary": summary,
        "pca_10": baseline,
    }
    write_atomically(args.out, lambda path: path.write_text(json.dumps(content, indent=2) + "\n"))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="an .h5ad file with counts in X")
    parser.add_argument("--label-key", help="column of obs with the cell types")
    parser.add_argument("--seeds", type=int, default=5, help="number of pairs, at least 2")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--kl-warmup", type=int, default=50, help="epochs until the KL has its full weight")
    parser.add_argument("--likelihood", choices=("zinb", "nb"), default="zinb")
    parser.add_argument(
        "--out", type=Path, help="the record (default: that of the bundled cells, which lesson 5 shows)"
    )
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds has to be at least 2, for a standard error")
    if args.file and not args.label_key:
        parser.error("--label-key is needed with a file, for ARI and NMI")
    if args.file and not args.out:
        parser.error("--out is needed with a file")
    args.out = args.out or RECORDED / "comparison_pbmc.json"
    return args


def main() -> None:
    args = parse_arguments()
    from scvi.model import SCVI

    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    data = vc.load_h5ad(args.file, label_key=args.label_key, n_top_genes=N_TOP_GENES) if args.file else vc.load_pbmc()
    print(data)
    print(f"{'':28s}", *(f"{title:>12s}" for title in ("-ELBO", "log p(x)", "ARI", "NMI")), flush=True)
    adata = data.to_anndata()
    SCVI.setup_anndata(adata)
    pairs = [compare(adata, data, seed, args) for seed in range(args.seeds)]
    summary, baseline = summarise(pairs), pca_baseline(data)
    print_summary(summary, baseline)
    record(args, data, pairs, summary, baseline)
    write_results()


if __name__ == "__main__":
    main()
