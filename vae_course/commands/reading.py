"""The options that say which cells to read, for every command that takes files."""

import argparse
import re
import shlex
from ast import literal_eval
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COUNTS = ["layer", "raw", "round", "batch_key", "label_key", "genes_are"]  # options that are load_counts' arguments
GENES = ["n_top_genes", "gene_flavor", "gene_span", "genes_by_batch"]
OTHERS = {
    "n_epochs": "--epochs",
    "n_epochs_kl_warmup": "--warmup",
    "categorical_covariate_keys": "--categorical-covariate",
    "continuous_covariate_keys": "--continuous-covariate",
}  # arguments whose options are called otherwise


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the files and what to take of them."""
    kinds = ".h5ad, 10x .h5 or folder, .loom, .zarr, .csv; several: batches"
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=kinds)
    parser.add_argument("--layer", help="layer with the counts (default: X)")
    parser.add_argument("--raw", action="store_true", help="take the counts, and their genes, from raw")
    parser.add_argument("--round", action="store_true", help="round estimates of counts (SoupX, RSEM, alevin)")
    parser.add_argument("--genes-are", choices=("rows", "columns"), help="of a table (default: judged by names)")
    parser.add_argument("--batch-key", help="column of obs with the experimental batch")
    parser.add_argument("--label-key", help="column of obs with the cell type")
    for kind, what in (("categorical", "categories"), ("continuous", "numbers")):
        parser.add_argument(
            f"--{kind}-covariate",
            action="append",
            default=[],
            metavar="KEY",
            help=f"column of obs with {what} that the decoder shall know beside the batch (may be repeated)",
        )


def source_of(options: argparse.Namespace) -> Any:
    """Return the one path, or the list of paths."""
    return options.files if len(options.files) > 1 else options.files[0]


def load_cells(options: argparse.Namespace, shard: tuple[int, int] | None = None) -> Any:
    """Load the counts that the options name."""
    import vae_course as vc

    arguments = {name: getattr(options, name) for name in (*COUNTS, *GENES) if hasattr(options, name)}
    covariates = {
        f"{kind}_covariate_keys": getattr(options, f"{kind}_covariate") for kind in ("categorical", "continuous")
    }
    return vc.load_counts(source_of(options), **arguments, **covariates, shard=shard)


def as_options(message: str, names: Iterable[str] = (*COUNTS, *GENES)) -> str:
    """Return a message of the package with arguments of these names as the options that they are: raw=True is --raw."""
    typed = {name: f"--{name.replace('_', '-')}" for name in names} | OTHERS

    def option(found: re.Match) -> str:
        name, value = typed[found[1]], found[2]
        if value == "True":
            return name
        if value == "False":
            return f"--no-{name[2:]}"
        return f"{name} {shlex.quote(str(literal_eval(value)))}"

    message = re.sub(rf"(?<![\w'\"-])({'|'.join(typed)})=('[^']*'|\"[^\"]*\"|-?[\w.]*\w)", option, message)
    for name, written in typed.items():
        if "_" in name:  # no word of the language
            message = re.sub(rf"(?<![\w/.'\"-]){name}(?![\w/.'\"=-])", written, message)
        else:
            message = re.sub(rf"^{name}(?= has to be )", written, message)
    return message
