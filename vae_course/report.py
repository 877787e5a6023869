"""The report on a finished training: a table, figures, and files for other programs."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from vae_course import metrics
from vae_course.files import Paths, cell_names, is_one, read_cells
from vae_course.posterior import Posterior
from vae_course.reading import existing, format_of
from vae_course.reading.stores import is_old_h5ad, read_h5ad
from vae_course.runtime.files import write_atomically
from vae_course.runtime.processes import n_processes
from vae_course.trainer import UnsupervisedTrainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_CELLS = 5000  # the most cells in figures and clustering scores
LIKELIHOOD_CELLS = 2000  # the most cells whose marginal log-likelihood is estimated
N_DRAWS = 1000  # for the marginal log-likelihood
MIXING_NEIGHBORS = 50


def write_report(trainer: UnsupervisedTrainer, folder: Path, seed: int) -> None:
    """Print the table of a finished training; write it as summary.json, the history as history.json, and the figures.

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
    """
    numbers = measure(trainer, seed)
    print_table(numbers)
    for name, content in (("summary", numbers), ("history", trainer.history)):
        text = json.dumps(content, indent=1) + "\n"
        write_atomically(folder / f"{name}.json", lambda path, text=text: path.write_text(text))
    figures = draw_figures(trainer, folder, seed)
    print(f"\nWritten to {folder}/: summary.json, history.json, {', '.join(figures)}")


# --------------------------------------------------------------------------------------------------------------------
# Numbers
# --------------------------------------------------------------------------------------------------------------------


def measure(trainer: UnsupervisedTrainer, seed: int) -> dict[str, Any]:
    """Return the numbers of the table, by name: the run, the likelihood of held-out cells, scores of the latents."""
    data, evaluated = trainer.data, trainer.test_set if len(trainer.test_set) else trainer.train_set
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
        **_latent_scores(_shown_cells(trainer, seed), seed),
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
    data, scores = shown.data, {}
    counts, batch_index, labels = (of[shown.indices] for of in (data.counts, data.batch_index, data.labels))
    if len(np.unique(labels)) > 1:
        pca = _pca(counts, min(10, data.n_genes - 1, len(shown) - 1), seed)
        scores["scored_cells"] = len(shown)
        scores["vae"] = shown.clustering_scores(seed=seed)
        scores["pca"] = metrics.clustering_scores(pca, labels, seed=seed)
    if len(np.unique(batch_index)) > 1 and len(shown) > MIXING_NEIGHBORS:
        mixing = shown.entropy_batch_mixing(MIXING_NEIGHBORS)
        scores["batch_mixing"] = mixing / metrics.entropy_from_indices(batch_index)
    return scores


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
    print(f"\n{numbers['seconds_per_epoch']:.3f} s per epoch (median)")


# --------------------------------------------------------------------------------------------------------------------
# Figures
# --------------------------------------------------------------------------------------------------------------------


def draw_figures(trainer: UnsupervisedTrainer, folder: Path, seed: int) -> list[str]:
    """Write losses, maps of the latent space, and generated beside observed counts; return the names of the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    from vae_course import plots

    shown = _shown_cells(trainer, seed)
    axes = {"losses.png": plots.losses(trainer.history)[0], **_maps(shown, seed)}
    few = Posterior(trainer.model, trainer.data, shown.indices[:: 1 + len(shown) // 1000], device=trainer.device)
    generated, observed = few.generate(1, seed)
    axes["mean_variance.png"] = plots.mean_variance(observed, generated[..., 0])
    axes["zeros.png"] = plots.zero_fractions(observed, generated[..., 0])
    for name, ax in axes.items():
        _save_figure(ax.figure, folder / name)
    return list(axes)


def _maps(shown: Posterior, seed: int) -> dict[str, "Axes"]:
    """Draw the latent space with UMAP and t-SNE, coloured by label and by batch where there are several."""
    from vae_course import plots

    data, axes = shown.data, {}
    groups = [("label", data.labels, data.label_names)] if data.n_labels > 1 else []
    groups += [("batch", data.batch_index, data.batch_names)] if data.n_batches > 1 else []
    for method, coordinates in (("UMAP", shown.umap(seed)), ("t-SNE", shown.t_sne(seed))):
        for by, codes, names in groups or [("cells", np.zeros(data.n_cells, int), ["cells"])]:
            title = f"{method} of the latent space, by {by}"
            name = f"{method.lower().replace('-', '')}_{by}.png"
            axes[name] = plots.latent(coordinates, codes[shown.indices], names, title=title, axis_name=method)
    return axes


def _save_figure(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
    plt.close(figure)


# --------------------------------------------------------------------------------------------------------------------
# The latents, for other programs
# --------------------------------------------------------------------------------------------------------------------


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
