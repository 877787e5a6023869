"""What was recorded of scvi-tools, for lesson 5 and deeper notebook 6 to compare with."""

import json
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

RECORDED = files("vae_course") / "_data"


def recorded_outputs(
    dispersion: str,
) -> tuple[dict[str, Any], dict[str, Tensor], tuple[Tensor, ...], dict[str, Tensor]]:
    """Return what scvi-tools 1.4.2 once computed from given weights and counts, for one dispersion mode.

    Parameters
    ----------
    dispersion
        "gene", "gene-batch", "gene-label" or "gene-cell".

    Returns
    -------
    options
        Of the `VAE` that takes the weights.
    weights
        scvi-tools' state dict.
    inputs
        Counts (cells, genes), batch_index and labels (cells,).
    outputs
        px_scale, theta, px_rate, px_dropout, qz_m, qz_v, z, ql_m, ql_v, library, kl_global, kl_local and
        log_likelihood, one row per cell. z and library are one draw.
    """
    with (RECORDED / "scvi_tools_1_4_2.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        case = {
            name.removeprefix(f"{dispersion}."): a for name, a in arrays.items() if name.startswith(f"{dispersion}.")
        }
        inputs = tuple(torch.from_numpy(arrays[name]) for name in ("counts", "batch_index", "labels"))
    options, names = json.loads(str(case.pop("options"))), case.pop("names")
    shapes = [json.loads(str(shape)) for shape in case.pop("shapes")]
    parts = torch.from_numpy(case.pop("weights")).split([int(np.prod(shape)) for shape in shapes])
    weights = {str(name): part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
    return options, weights, (inputs[0].float(), *inputs[1:]), {name: torch.from_numpy(a) for name, a in case.items()}


def recorded_comparison() -> dict[str, Any]:
    """Return what benchmarks/paired_comparison.py recorded of our model and scvi-tools' on the bundled cells.

    "pairs" holds the figures of every seed, "summary" their means and paired differences, "settings" and "versions"
    how they were made.
    """
    return json.loads((RECORDED / "comparison_pbmc.json").read_text(encoding="utf-8"))


def recorded_scvi_run() -> dict[str, Any]:
    """Return what data/record_scvi_run.py recorded of a training with scvi-tools 1.4.2, for deeper notebook 6.

    "elbo_train" and "elbo_validation" hold -ELBO after every epoch, "latent" the posterior means of all cells, "genes",
    "lfc" and "prob_de" the comparison of B cells with monocytes, "loaded" the largest change of a latent by saving.
    """
    with (RECORDED / "scvi_tools_run.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays.items())
