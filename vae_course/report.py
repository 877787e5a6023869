"""The report on a finished training: a table, figures, a page, and files for other programs."""

import errno
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from vae_course import metrics
from vae_course.data import CountData
from vae_course.files import Paths, cell_names, is_one, read_cells
from vae_course.posterior import Posterior
from vae_course.reading import existing, format_of
from vae_course.reading.stores import is_old_h5ad, read_h5ad
from vae_course.report_figures import FIGURES, MAPPED_CELLS, draw_figures, map_cells
from vae_course.report_page import page
from vae_course.runtime.files import write_atomically
from vae_course.runtime.processes import n_processes
from vae_course.trainer import UnsupervisedTrainer

SHOWN_CELLS = 5000  # the most cells in figures, on the page and in clustering scores
GENERATED_CELLS = 1000  # about the most cells whose counts are generated
LIKELIHOOD_CELLS = 2000  # the most cells whose marginal log-likelihood is estimated
N_DRAWS = 1000  # for the marginal log-likelihood
MIXING_NEIGHBORS = 50
REPORT_FILES = ("report.html", "summary.json", "history.json", *FIGURES)


def write_report(
    trainer: UnsupervisedTrainer,
    folder: Path,
    seed: int,
    source: str = "",
    command: str = "",
    settings: Mapping[str, str] | None = None,
    cell_names: Sequence[str] | None = None,
) -> None:
    """Print the table of a finished training; write it as summary.json, the history, the figures and report.html.

    Where several processes have trained, each on its own cells, the report is on the cells of the one that calls this;
    the history is that of all cells.

    Parameters
    ----------
    trainer
        After training.
    folder
        Where to write; has to exist.
    seed
        Seed of the draws, of the clustering and of the choice of cells where there are too many.
    source, command, settings
        For the page: what the cells come from, the command line that repeats the run, and its options with their
        values.
    cell_names
        Names of the cells of `trainer.data`, (cells,); numbers if None.
    """
    numbers, shown = measure(trainer, seed), _shown_cells(trainer, seed)
    print_table(numbers)
    for name, content in (("summary", numbers), ("history", trainer.history)):
        _write_text(folder / f"{name}.json", json.dumps(content, indent=1) + "\n")
    coordinates = map_cells(shown, seed)
    few = shown.indices[:: 1 + len(shown) // GENERATED_CELLS]
    generated, observed = Posterior(trainer.model, trainer.data, few, device=trainer.device).generate(1, seed)
    counts = observed, generated[..., 0]  # (cells, genes) each
    figures = draw_figures(trainer, shown, coordinates, *counts, folder)
    about = {"source": source, "command": command, "settings": dict(settings or {}), "device": str(trainer.device)}
    first_map = next((folder / name for name in figures if name.startswith("umap")), None)
    names = [f"cell {i}" for i in range(trainer.data.n_cells)] if cell_names is None else cell_names
    cells = (shown, coordinates.get("UMAP"), [str(names[i]) for i in shown.indices])
    html = page(about, numbers, trainer.history, cells, *counts, first_map)
    _write_text(folder / "report.html", html)
    print(f"\nWritten to {folder}/: report.html, summary.json, history.json, {', '.join(figures)}")


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="replace"))


# --------------------------------------------------------------------------------------------------------------------
# Numbers
# --------------------------------------------------------------------------------------------------------------------


def measure(trainer: UnsupervisedTrainer, seed: int) -> dict[str, Any]:
    """Return the numbers of the table, by name: the run, the likelihood of held-out cells, scores of the latents."""
    data, evaluated = trainer.data, trainer.test_set if len(trainer.test_set) else trainer.train_set
    shown = _shown_cells(trainer, seed)
    return {
        "processes": n_processes(),
        "cells": data.n_cells,
        "held_out_cells": len(trainer.test_set),
        "evaluated_cells": len(evaluated),
        "genes": data.n_genes,
        "batches": data.n_batches,
        "labels": data.n_labels,
        "share_of_zeros": 1 - data.counts.nnz / (data.n_cells * data.n_genes),
        "epochs": trainer.epoch,
        "seed": seed,
        "seconds_per_epoch": float(np.median(trainer.epoch_seconds)),
        "kl_weight": trainer.kl_weight(trainer.epoch - 1),
        **_likelihood(evaluated, seed),
        "shown_cells": len(shown),
        **_latent_scores(shown, seed),
        "left_out": _left_out(shown),
    }


def _likelihood(evaluated: Posterior, seed: int) -> dict[str, Any]:
    """Return the negative ELBO and its parts, nats per cell, and the marginal log-likelihood of some of the cells."""
    terms, sampled = evaluated.loss_terms(seed), _some_cells(evaluated, LIKELIHOOD_CELLS, seed)
    values, ess = sampled.marginal_ll(N_DRAWS, return_per_cell=True, seed=seed)
    return {
        "negative_elbo": sum(terms).double().mean().item(),
        **{name: term.double().mean().item() for name, term in terms._asdict().items()},
        "marginal_log_likelihood": float(values.mean()),
        "marginal_log_likelihood_cells": len(sampled),
        "draws": N_DRAWS,
        "effective_sample_size": {"median": float(np.median(ess)), "smallest": float(ess.min())},
    }


def _latent_scores(shown: Posterior, seed: int) -> dict[str, Any]:
    """Score labels and batches in the latent space; what needs two labels or two batches is left out without them."""
    data, scores, left_out = shown.data, {}, _left_out(shown)
    counts, batch_index, labels = (of[shown.indices] for of in (data.counts, data.batch_index, data.labels))
    if len(np.unique(labels)) > 1 and "clustering" not in left_out:
        pca = _pca(counts, min(10, data.n_genes - 1, len(shown) - 1), seed)
        scores["scored_cells"] = len(shown)
        scores["vae"] = shown.clustering_scores(seed=seed)
        scores["pca"] = metrics.clustering_scores(pca, labels, seed=seed)
    if len(np.unique(batch_index)) > 1 and "mixing" not in left_out:
        mixing = shown.entropy_batch_mixing(MIXING_NEIGHBORS)
        scores["batch_mixing"] = mixing / metrics.entropy_from_indices(batch_index)
    return scores


def _left_out(shown: Posterior) -> dict[str, str]:
    """Say of the parts of the report that these cells are too few for, each in one sentence, why they are left out."""
    data, n_cells, sentences = shown.data, len(shown), {}
    n_labels, n_batches = (len(np.unique(codes[shown.indices])) for codes in (data.labels, data.batch_index))
    if n_cells < MAPPED_CELLS:
        sentences["map"] = f"The map is left out: UMAP needs {MAPPED_CELLS} cells, and there are {n_cells}."
    if n_labels > 1 and (n_cells < 2 * n_labels or data.n_genes < 2):
        sentences["clustering"] = (
            f"Clustering scores are left out: they need two cells a label and two genes, and there are {n_cells} cells "
            f"of {n_labels} labels with {data.n_genes} gene(s)."
        )
    if n_batches > 1 and n_cells <= MIXING_NEIGHBORS:
        sentences["mixing"] = (
            f"The mixing of batches is left out: it looks at {MIXING_NEIGHBORS} neighbours of each cell, and there are "
            f"{n_cells} cells."
        )
    return sentences


def _shown_cells(trainer: UnsupervisedTrainer, seed: int) -> Posterior:
    """Return a posterior of all cells, or of a random sample if they are too many for figures."""
    return _some_cells(Posterior(trainer.model, trainer.data, device=trainer.device), SHOWN_CELLS, seed)


def _some_cells(posterior: Posterior, n_cells: int, seed: int) -> Posterior:
    """Return a posterior of that many of its cells, drawn at random and in their order; of all if there are no more."""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(posterior))[:n_cells])
    return Posterior(posterior.model, posterior.data, posterior.indices[drawn], device=posterior.device)


def _pca(counts: sp.csr_matrix, n_components: int, seed: int) -> np.ndarray:
    """Return principal components of the log-normalised counts, (cells, n_components), as is usual with scanpy."""
    import scanpy as sc
    from anndata import AnnData

    adata = AnnData(counts.copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=n_components, random_state=seed)
    return adata.obsm["X_pca"]


def print_table(numbers: dict[str, Any]) -> None:
    """Print what `measure` returned."""
    ess = numbers["effective_sample_size"]
    which = f"{numbers['held_out_cells']} held-out cells" if numbers["held_out_cells"] else "training cells"
    if numbers["processes"] > 1:
        which += f" of the first of {numbers['processes']} parts"
    print(f"\nAfter {numbers['epochs']} epochs, KL weight {numbers['kl_weight']:.2f}, on {which} (nats per cell)")
    print(f"  negative ELBO               {numbers['negative_elbo']:10.2f}")
    print(f"    reconstruction            {numbers['reconstruction']:10.2f}")
    print(f"    local KL (library)        {numbers['kl_local']:10.2f}")
    print(f"    global KL (z)             {numbers['kl_global']:10.2f}")
    sampled = numbers["marginal_log_likelihood_cells"]
    where = f"   on {sampled} of them, drawn at random" if sampled < numbers["evaluated_cells"] else ""
    print(f"  marginal log-likelihood     {numbers['marginal_log_likelihood']:10.2f}{where}")
    print(
        f"    effective sample size     {ess['median']:10.1f}   median over cells, at least {ess['smallest']:.1f}, "
        f"of {numbers['draws']} draws"
    )
    if "vae" in numbers:
        heading = f"Cell types apart, on {numbers['scored_cells']} cells"
        print(f"\n{heading:30s}{'VAE':>10s}{'PCA':>10s}")
        for key, name in (("ari", "ARI"), ("nmi", "NMI"), ("asw", "silhouette")):
            print(f"  {name:28s}{numbers['vae'][key]:10.3f}{numbers['pca'][key]:10.3f}")
    if "batch_mixing" in numbers:
        print(f"\nBatch mixing entropy, as a share of its maximum: {numbers['batch_mixing']:.2f}")
    for sentence in numbers["left_out"].values():
        print(f"\n{sentence}")
    print(f"\n{numbers['seconds_per_epoch']:.3f} s per epoch (median)")


# --------------------------------------------------------------------------------------------------------------------
# The latents, for other programs
# --------------------------------------------------------------------------------------------------------------------


def write_genes(data: CountData, target: Path) -> None:
    """Write the genes of a training as a table: name, counts in all cells, share of the cells that have it."""
    import pandas as pd

    totals, n_cells = data.counts.sum(axis=0, dtype=np.float64).A1.astype(int), data.counts.getnnz(axis=0)
    table = pd.DataFrame({"gene": data.gene_names, "total": totals, "detected": n_cells / data.n_cells})
    write_atomically(target, lambda temporary: table.to_csv(temporary, index=False))


def write_latent(source: Paths, target: Path, latent: np.ndarray, genes_are: str | None = None) -> None:
    """Write the latents as a table, with the names that the cells have in the user's file.

    Parameters
    ----------
    source
        The file or files whose cells these are, as for `load_counts`.
    target
        The CSV file to write.
    latent
        Means of q(z|x), (cells, n_latent), in the order of the file.
    genes_are
        As for `load_counts`.
    """
    import pandas as pd

    columns = [f"z{k + 1}" for k in range(latent.shape[1])]
    table = pd.DataFrame(latent, index=cell_names(source, genes_are), columns=columns)
    write_atomically(target, lambda temporary: table.to_csv(temporary, index_label="cell"))


def write_data(source: Paths, target: Path, latent: np.ndarray, genes_are: str | None = None) -> None:
    """Write the cells of the user's file as .h5ad, with the latents, (cells, n_latent), as `obsm["X_vae"]`.

    An .h5ad file is copied, and all else stays as it is. Of other formats, and of several files, this is what
    `files.read_cells` reads.
    """
    import h5py

    def write(temporary: Path) -> None:
        copied = is_one(source) and format_of(existing(source)) == "h5ad"
        if copied:
            with h5py.File(source) as file:
                is_old = is_old_h5ad(file)
        if copied and not is_old:
            shutil.copyfile(source, temporary)
            _add_latent(temporary, latent)
            return
        adata = read_h5ad(source) if copied else read_cells(source, genes_are)
        adata.obsm["X_vae"] = latent
        adata.write_h5ad(temporary)

    write_atomically(target, write)


def _add_latent(path: Path, latent: np.ndarray) -> None:
    import h5py
    from anndata.io import write_elem

    try:
        with h5py.File(path, "r+") as file:
            if "obsm" not in file:
                write_elem(file, "obsm", {})
            write_elem(file["obsm"], "X_vae", latent)
    except (OSError, RuntimeError) as error:  # HDF5 explains itself in several lines
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, os.strerror(number)) from error
