"""The explorables that come with the course, in the order of the lessons; that of a learner's own model is apart."""

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from vae_course.data import CountData, load_pbmc
from vae_course.explore.page import Explorable

MARKERS = ("CD3D", "IL32", "S100A9", "FCN1", "LYZ", "CST3")  # lesson 1: two genes of T cells, four of myeloid cells
CELLS = {"T cell": 3, "cytotoxic T cell": 36, "dendritic cell": 1, "B cell": 15}  # rows of the PBMCs; three of lesson 1


def pca(data: CountData | None = None, genes: Sequence[str] | None = None) -> Explorable:
    """Turn a direction through cells; what it keeps and what it loses always add up to the same (lesson 0).

    Parameters
    ----------
    data
        The cells, of which the first 200 are shown; `load_pbmc()` if None.
    genes
        Two genes, HLA-DRA and CD74 if None; their counts are log-normalised as in exercise 0.2.

    Raises
    ------
    ValueError
        If there are not two genes, or if the data do not have them.
    """
    genes = ["HLA-DRA", "CD74"] if genes is None else list(genes)
    if len(genes) != 2:
        raise ValueError(f"genes: expected two names, one for each axis, got {len(genes)}.")
    table, columns = _columns(data, genes)
    x = np.log1p(table[:, columns] / table.sum(axis=1, keepdims=True) * 10_000)[:200]  # (cells, 2), log counts
    alt = (
        "Cells by the log-normalised counts of two genes; a line through their mean at 110 degrees, and a thin segment "
        "from each cell to its projection."
    )
    if data is None and genes == ["HLA-DRA", "CD74"]:
        alt = (
            "200 cells by their log-normalised counts of HLA-DRA and CD74, which rise together. A line through the "
            "mean at 110 degrees runs across the cloud, and long thin segments join each cell to its projection: the "
            "line keeps a variance of 1.07 and loses 8.59, 9.66 in all."
        )
    return Explorable("pca", "Turn the direction", alt, height=725, data={"x": x.round(4).tolist(), "names": genes})


def posterior() -> Explorable:
    """Look at the genes of a real cell one by one; the posterior of its z follows, on a grid (lesson 1)."""
    data = load_pbmc()
    names = data.gene_names.tolist()
    bits = data.binarize().counts.toarray()[:, [names.index(gene) for gene in MARKERS]]  # (cells, genes)
    kinds = data.labels <= 4, np.isin(data.labels, (5, 9))  # T cells, myeloid cells: z = -1 and z = +1
    shares = [(bits[kind].sum(axis=0) + 1) / (kind.sum() + 2) for kind in kinds]
    at_t, at_myeloid = (np.log(share / (1 - share)) for share in shares)  # logits, (genes,)
    lines = zip(MARKERS, (at_myeloid - at_t) / 2, (at_myeloid + at_t) / 2, strict=True)
    genes = [{"name": gene, "slope": round(float(w), 4), "offset": round(float(b), 4)} for gene, w, b in lines]
    cells = [{"name": name, "seen": bits[row].astype(int).tolist()} for name, row in CELLS.items()]
    alt = (
        "Over the latent z: the prior N(0, 1); the likelihood of CD3D detected, a plateau on the left that falls to "
        "half its height at z = 0.4; the posterior, mean -0.50, standard deviation 0.79; log p(x) = -0.47 nats. "
        "Below, six genes of a T cell, of which one has been looked at."
    )
    return Explorable("posterior", "A posterior, gene by gene", alt, height=730, data={"genes": genes, "cells": cells})


def kl() -> Explorable:
    """Pull a Gaussian q over a density p of one or two bells; both KL divergences follow, in nats (lesson 1)."""
    alt = (
        "A density p with two bells of different height, and a Gaussian q between them; below, KL(q, p) = 0.90 nats "
        "and KL(p, q) = 0.64 nats."
    )
    return Explorable("kl", "Pull q over p", alt, height=730)


def descent() -> Explorable:
    """Take gradient steps down a bowl or into one of two valleys; too large a learning rate diverges (lesson 2)."""
    alt = (
        "A bowl, f = x squared, and six steps of gradient descent from x = -2.7 at learning rate 0.1, to x = -0.71, "
        "where f = 0.50 and the slope is -1.42. Beside it f against the step, falling."
    )
    return Explorable("descent", "Gradient descent, step by step", alt, height=655)


def batch_norm() -> Explorable:
    """Move a cell or its companions in a minibatch; its output in train mode follows both, in eval mode not (lesson 2).

    Momentum and eps are those of scVI. Training is made of minibatches whose mean is 3 and whose variance is 1.
    """
    alt = (
        "A cell with the value 4 among seven companions. The mean of the minibatch is 3.13, the running mean, after "
        "500 minibatches, 2.98; a bar about each is one standard deviation long to either side. Below, the cell after "
        "batch normalisation: 0.82 in train mode, 1.02 in eval mode."
    )
    return Explorable("batch_norm", "Batch normalisation in two modes", alt, height=665)


def beta() -> Explorable:
    """Change the weight of the KL in VAEs of the digits, and see the latent plane collapse (lesson 3.9).

    Five models that differ in beta alone; bce and KL of each digit are computed in the page, at the mean of its q.
    """
    alt = (
        "With beta = 1 the means of 300 digits, drawn as numerals, fill the prior's circle of two standard deviations, "
        "and an orange circle is q of a 3. Beside the plane: the 3, its reconstruction, and what the decoder makes of "
        "13 by 13 points of the plane, which are digits almost everywhere. The 3 costs a bce of 8.9 and a KL of 3.86 "
        "nats."
    )
    return Explorable("beta", "The weight β on the KL", alt, height=700, data=_trained("beta"))


def reparameterization() -> Explorable:
    """Estimate the mean of f(z) for many mu, with frozen dice or fresh ones; one of them has a slope (lesson 4)."""
    alt = (
        "Over mu, the exact mean of f(z) = (z - 3) squared, a parabola, and its estimate from 30 draws with frozen "
        "dice, a smooth curve from mu = 0 to 1. It ends at 3.85 with slope -3.48; exact are 5.00 and -4.00."
    )
    return Explorable("reparameterization", "Frozen dice, fresh dice", alt, height=685)


def elbo() -> Explorable:
    """Pull a Gaussian q towards the posterior; the ELBO rises to log p(x), which q cannot move (lesson 4)."""
    alt = (
        "The posterior of z, a filled bell with mean 0.6, and left of it a Gaussian q with mean -0.8; below, a bar in "
        "nats: the ELBO of -4.33 and the gap KL(q, posterior) of 2.94 reach up to log p(x) = -1.39."
    )
    return Explorable("elbo", "Close the gap", alt, height=825)


def counts(data: CountData | None = None, genes: Sequence[str] | None = None) -> Explorable:
    """Fit a Poisson, a negative binomial or a ZINB to the counts of a gene by hand (lesson 5).

    Parameters
    ----------
    data
        The cells; `load_pbmc()` if None.
    genes
        Up to four or so, GNLY, CST3, FTL and RNF181 if None.

    Raises
    ------
    ValueError
        If the data do not have one of the genes, or if none is given.
    """
    genes = ["GNLY", "CST3", "FTL", "RNF181"] if genes is None else list(genes)
    if not genes:
        raise ValueError("genes: expected at least one name, got none.")
    table, columns = _columns(data, genes)
    histograms = [np.bincount(table[:, column].astype(np.int64)).tolist() for column in columns]
    alt = f"Histogram of the counts of {genes[0]}, and over it a Poisson distribution with the same mean."
    if data is None and genes[0] == "GNLY":
        alt = (
            "Histogram of the counts of GNLY in 700 cells: 74 % are zeros, the rest spreads up to 46. A Poisson "
            "distribution with the same mean, 2.39, makes 9 % zeros and ends near 9: -5.15 nats per cell."
        )
    by_gene = [{"name": gene, "counts": histogram} for gene, histogram in zip(genes, histograms, strict=True)]
    return Explorable("counts", "Which distribution does a gene need?", alt, height=895, data={"genes": by_gene})


def batches() -> Explorable:
    """Strengthen a batch effect, and compare the maps of PCA and of VAEs told the batch or not (lessons 0 and 5).

    The cells are those of `load_two_batches`, the scores those of `benchmarks/two_batches.py`, of one seed.
    """
    alt = (
        "Three t-SNE maps of the same cells without a batch effect: by PCA, by a VAE that is not told the batch, and "
        "by one that is. On each the types of cell lie apart and the batches are mixed, 0.99 of the most; 0.51 of the "
        "neighbours are of the same type."
    )
    return Explorable("batches", "Two batches, three maps", alt, height=660, data=_trained("batches"))


def _columns(data: CountData | None, genes: list[str]) -> tuple[np.ndarray, list[int]]:
    """Return the counts of the cells, (cells, genes), of `load_pbmc()` if there are none, and where the genes stand."""
    data = load_pbmc() if data is None else data
    names = data.gene_names.tolist()
    if unknown := [gene for gene in genes if gene not in names]:
        raise ValueError(f"genes: the data have no {', '.join(map(repr, unknown))}; choose names of data.gene_names.")
    return data.counts.toarray().astype(np.float64), [names.index(gene) for gene in genes]


def _trained(name: str) -> dict[str, Any]:
    """Return what tools/train_explorables.py wrote."""
    return json.loads((files("vae_course.explore") / "data" / f"{name}.json").read_text(encoding="utf-8"))
