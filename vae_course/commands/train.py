"""`vae-course train` and `vae-course demo`: check all that can be checked, train, report."""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import vae_course as vc
from vae_course.commands.reading import load_cells, source_of
from vae_course.files import cell_names
from vae_course.report import REPORT_FILES, write_data, write_genes, write_latent, write_report
from vae_course.runtime.devices import resolve_device
from vae_course.runtime.processes import all_or_none, gather, n_processes, process_group, rank
from vae_course.runtime.run_folder import RunFolder

CHECKPOINT = "checkpoint.pt"
RESULTS = ("model.pt", "genes.csv", "latent.csv", "data.h5ad", *REPORT_FILES)
FEWEST_CELLS = 3
MOST_FREE_CODES = 10  # so many numbers as labels or batches are fine, however few cells there are
ROOM = 20_000_000  # bytes for figures, the page and tables


def run_demo(options: argparse.Namespace) -> None:
    """Train the ZINB model on the bundled PBMC counts and report."""
    _check_epochs(options.epochs)
    run = RunFolder(options.out, "demo", REPORT_FILES)
    run.check()
    data = vc.load_pbmc()
    print(data)
    model = _new_model(data, "zinb", options.device, seed=options.seed)
    trainer = vc.UnsupervisedTrainer(model, data, seed=options.seed, device=options.device)
    run.claim(needed=ROOM)
    trainer.train(options.epochs)
    with run.writing():
        write_report(trainer, options.out, options.seed, "700 blood cells", options.command, _settings(options))


def run_train(options: argparse.Namespace) -> None:
    """Train on a user's file or files, with a checkpoint after every epoch, and report.

    Under torchrun each process trains on its own part of the cells, and the first one writes and reports.
    """
    _check_epochs(options.epochs)
    run = _run_folder(options)  # looked at before any process can have written there
    with process_group(options.device):
        with all_or_none():
            data = load_cells(options, shard=(rank(), n_processes()) if n_processes() > 1 else None)
        _check_cells(data, sum(gather(data.n_cells)), options)
        if rank() == 0:
            print(data if n_processes() == 1 else f"The first of {n_processes()} parts: {data}")
        trainer = _new_trainer(data, options)
        with all_or_none():
            if rank() == 0:
                run.claim(CHECKPOINT, _bytes_needed(trainer, options.files))
        trainer.train(options.epochs, checkpoint=options.out / CHECKPOINT, resume=options.resume)
        own_latent = vc.Posterior(trainer.model, data, device=options.device).get_latent()[0]
        latent = np.concatenate(gather(own_latent))  # in the order of the file
        if rank() == 0:
            with run.writing():
                _write_results(trainer, latent, options)


# --------------------------------------------------------------------------------------------------------------------
# Before training
# --------------------------------------------------------------------------------------------------------------------


def _run_folder(options: argparse.Namespace) -> RunFolder:
    """Return the folder of a training; refuse one that cannot be written to, or holds another run or a user's files."""
    run = RunFolder(options.out, "train", (CHECKPOINT, *RESULTS))
    run.check()
    if run.holds_results() and not options.resume:
        raise ValueError(f"{options.out} holds a run already: add --resume to go on with it, or choose another --out.")
    if run.holds_results() and not (options.out / CHECKPOINT).exists():
        raise ValueError(
            f"--resume needs the file {CHECKPOINT} of the run, and {options.out} holds results without it: choose "
            "another --out to train anew."
        )
    return run


def _check_epochs(n_epochs: int | None) -> None:
    if n_epochs is not None and n_epochs < 1:
        raise ValueError(f"--epochs has to be at least 1, got {n_epochs}.")


def _check_cells(data: vc.CountData, n_cells: int, options: argparse.Namespace) -> None:
    """Refuse too few cells, and labels or batches that are measurements or names of cells; a shard has its share.

    Raises
    ------
    ValueError
        In one sentence, before anything is trained.
    """
    if n_cells < FEWEST_CELLS:
        where = " and ".join(map(str, options.files))
        raise ValueError(f"Training needs at least {FEWEST_CELLS} cells, and {where} has {n_cells}: add cells.")
    for option, key, names in (
        ("--label-key", options.label_key, data.label_names),
        ("--batch-key", options.batch_key, data.batch_names),
    ):
        if key is None:
            continue
        are_numbers = all(re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", name) for name in names)
        if len(names) == n_cells or (are_numbers and len(names) > max(MOST_FREE_CODES, n_cells / 2)):
            raise ValueError(
                f"{option} needs a column with groups of cells, and {key!r} has {len(names)} values in {n_cells} "
                "cells: choose another column, or leave the option out."
            )


def _bytes_needed(trainer: vc.Trainer, files: list[Path]) -> int:
    """Return about how much a training writes: the checkpoint twice, the model, the data with the latents, the rest."""
    n_weights = sum(weight.numel() for weight in trainer.model.parameters())
    read = sum(part.stat().st_size for file in files for part in ([file] if file.is_file() else file.rglob("*")))
    return ROOM + read + 28 * (n_weights + trainer.data.n_cells * trainer.model.n_latent)


# --------------------------------------------------------------------------------------------------------------------
# Model and trainer
# --------------------------------------------------------------------------------------------------------------------


def _new_trainer(data: vc.CountData, options: argparse.Namespace) -> vc.UnsupervisedTrainer:
    """Return a trainer of a new model, both as the options say."""
    names = ("n_hidden", "n_latent", "n_layers", "dispersion", "library", "seed")
    model = _new_model(data, options.likelihood, options.device, **{name: getattr(options, name) for name in names})
    stopping = options.early_stopping and vc.EarlyStopping(patience=options.early_stopping)
    return vc.UnsupervisedTrainer(
        model,
        data,
        options.train_size,
        n_epochs_kl_warmup=options.warmup,
        batch_size=options.batch_size,
        lr=options.lr,
        early_stopping=stopping,
        seed=options.seed,
        device=options.device,
    )


def _new_model(data: vc.CountData, likelihood: str, device: str, **options: Any) -> vc.VAE:
    """Return a new model for the data, a `FastVAE` where it applies, and print which class it is and why."""
    reason = "" if likelihood in ("zinb", "nb") else f"has no {likelihood} likelihood"
    if resolve_device(device).type != "cpu":
        reason = "runs on CPUs only"
    kind = vc.VAE if reason else vc.FastVAE
    covariates = {"n_cats_per_cov": data.n_cats_per_cov, "n_continuous_cov": data.n_continuous_cov}
    model = kind(data.n_genes, data.n_batches, data.n_labels, likelihood=likelihood, **covariates, **options)
    if rank() == 0:
        fast = "FastVAE, the fast implementation of VAE: same results, up to rounding, in less time"
        print(f"Model: {f'VAE, since FastVAE, its fast implementation, {reason}' if reason else fast}.")
    return model


# --------------------------------------------------------------------------------------------------------------------
# Results
# --------------------------------------------------------------------------------------------------------------------


def _write_results(trainer: vc.UnsupervisedTrainer, latent: np.ndarray, options: argparse.Namespace) -> None:
    """Write the model, its genes, the latents of all cells, (cells, n_latent), and the report."""
    source = source_of(options)
    trainer.model.save(options.out / "model.pt")
    write_genes(trainer.data, options.out / "genes.csv")
    write_latent(source, options.out / "latent.csv", latent, options.genes_are)
    write_data(source, options.out / "data.h5ad", latent, options.genes_are)
    names = pd.Index(cell_names(source, options.genes_are)).astype(str)[: trainer.data.n_cells]
    title = ", ".join(file.name for file in options.files)
    write_report(trainer, options.out, options.seed, title, options.command, _settings(options), names)


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """Return the options as the user types them, with their values, those that were left out among them."""
    return {
        f"--{name.replace('_', '-')}": str(value)
        for name, value in vars(options).items()
        if name not in ("run", "files", "for_jupyter", "command") and value not in (None, False, [])
    }
