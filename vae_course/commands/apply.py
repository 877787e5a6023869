"""`vae-course apply` and `vae-course de`: a saved model and cells, which need not be those it was trained on."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from vae_course.commands.reading import load_cells, source_of
from vae_course.files import cell_names
from vae_course.names import matched
from vae_course.posterior import Posterior
from vae_course.runtime.files import write_atomically
from vae_course.runtime.run_folder import RunFolder
from vae_course.vae import VAE

APPLIED = ("latent.csv", "library.csv", "expression.csv", "data.h5ad")
COMPARED = ("de.csv", "de.png", "summary.json")
TARGET_SUM = 1e4  # counts per 10,000, the unit of normalised expression
IN_ALL_DRAWS = 10  # log-odds that are drawn for a change in all draws, beyond those for one in all but one


def run_apply(options: argparse.Namespace) -> None:
    """Encode the cells with a saved model; write latents, libraries and, if asked to, normalised expression."""
    run = RunFolder(options.out, "apply", APPLIED)
    run.check()
    posterior = _posterior(options)
    names = cell_names(source_of(options), options.genes_are)
    run.claim()
    with run.writing():
        latent, library = posterior.get_latent()[0], posterior.get_library()
        columns = [f"z{k + 1}" for k in range(latent.shape[1])]
        _write_table(options.out / "latent.csv", pd.DataFrame(latent, names, columns))
        _write_table(options.out / "library.csv", pd.DataFrame({"library": library}, names))
        expression = None
        if options.expression != "none":
            expression = TARGET_SUM * posterior.get_normalized_expression(options.draws, options.seed)
        if options.expression == "table":
            _write_table(options.out / "expression.csv", pd.DataFrame(expression, names, posterior.data.gene_names))
        adata = posterior.data.to_anndata()
        adata.obs_names = names
        adata.obsm["X_vae"], adata.obs["vae_library"] = latent, library
        if options.expression == "layer":
            adata.layers["vae_expression"] = expression
        write_atomically(options.out / "data.h5ad", adata.write_h5ad)
    written = [name for name in APPLIED if (options.out / name).exists()]
    print(f"\nWritten to {options.out}/: {', '.join(written)}")


def run_de(options: argparse.Namespace) -> None:
    """Compare two groups of cells by the posterior of a saved model; write the table of genes and a figure."""
    if options.label_key is None:
        raise ValueError("--groups needs --label-key, the column of obs that has these groups.")
    run = RunFolder(options.out, "de", COMPARED)
    run.check()
    posterior = _posterior(options)
    known = posterior.data.label_names.tolist()
    unknown = [group for group in options.groups if group not in known]
    if unknown or options.groups[0] == options.groups[1]:
        raise ValueError(
            f"--groups needs two different values of {options.label_key!r}, got {' and '.join(options.groups)}: it has "
            f"{', '.join(known)}."
        )
    cells = [posterior.data.labels == known.index(group) for group in options.groups]
    table = posterior.differential_expression_score(*cells, mode="change", delta=options.delta, seed=options.seed)
    run.claim()
    with run.writing():
        write_atomically(options.out / "de.csv", lambda path: table.to_csv(path, index=False))
        _draw(table, options.groups, options.out / "de.png")
        called = int((table["fdr"] <= options.fdr).sum())
        summary = {"groups": options.groups, "cells": [int(group.sum()) for group in cells], "genes_called": called}
        summary |= {"expected_fdr": options.fdr, "delta": float(table["delta"].iloc[0])}
        text = json.dumps(summary, indent=1) + "\n"
        write_atomically(options.out / "summary.json", lambda path: path.write_text(text))
    print(table.head(10)[["gene", "lfc", "prob_de", "fdr", "raw_mean_1", "raw_mean_2"]].to_string(index=False))
    print(f"\n{called} genes are called at an expected false discovery rate of {options.fdr:g}.")
    print(f"Written to {options.out}/: {', '.join(COMPARED)}")


def _posterior(options: argparse.Namespace) -> Posterior:
    """Return the saved model with the cells, whose genes and batches it knows by name."""
    model = VAE.load(options.model)
    data = matched(load_cells(options), model, options.missing_genes)
    print(data)
    return Posterior(model, data, device=options.device)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, lambda temporary: table.to_csv(temporary, index_label="cell"))


def _draw(table: pd.DataFrame, groups: list[str], path: Path) -> None:
    """Draw every gene: how much it changes, and how sure the model is."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from vae_course import plots

    log_odds, widest = table["bayes_factor"].clip(upper=IN_ALL_DRAWS), table["lfc"].abs().max()
    ax = plots.points(table["lfc"], log_odds, title=f"{groups[0]} against {groups[1]}")
    ax.set(xlabel=f"log2 fold change, {groups[0]} over {groups[1]}", xlim=(-2.6 * widest, 2.6 * widest))
    ax.set_ylabel(f"log-odds of a change ({IN_ALL_DRAWS}: in all draws)")
    for sign, edge, side in ((-1, 0.02, "left"), (1, 0.98, "right")):  # names stand in a column at either edge
        named = table[np.sign(table["lfc"]) == sign].head(6)  # the table begins with the surest
        for place, (row, gene) in enumerate(named["gene"].items()):
            point, text = (table["lfc"][row], log_odds[row]), (edge, 0.95 - 0.06 * place)
            line = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.6", "relpos": ((1 - sign) / 2, 0.5)}
            ax.annotate(
                f"{gene:.16}", point, text, textcoords="axes fraction", ha=side, va="center", size=8, arrowprops=line
            )
    write_atomically(path, lambda temporary: ax.figure.savefig(temporary, dpi=150))
    plt.close(ax.figure)
