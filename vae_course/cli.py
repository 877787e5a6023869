"""The command `vae-course`."""

import argparse
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_course import __version__

CHECKPOINT = "checkpoint.pt"
FEWEST_CELLS = 3
MOST_FREE_CODES = 10  # so many numbers as labels or batches are fine, however few cells there are
ROOM = 20_000_000  # bytes for figures, the page and tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status, 1 with one line on the error stream for what went wrong."""
    parser = _parser()
    options, options.for_jupyter = parser.parse_known_args(arguments)
    options.command = shlex.join(["vae-course", *(sys.argv[1:] if arguments is None else arguments)])
    if options.for_jupyter and options.run is not run_lab:
        parser.error(f"unrecognized arguments: {' '.join(options.for_jupyter)}")
    try:
        return options.run(options) or 0
    except (ValueError, OSError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = f"{error.filename}: {reason}" if getattr(error, "filename", None) else reason
        reason = _as_typed(reason, options) if isinstance(error, ValueError) else reason
        print(f"vae-course: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vae-course: stopped.", file=sys.stderr)
        if options.run is run_train:
            print("Add --resume to the same command to go on from the last complete epoch.", file=sys.stderr)
        return 130


def _as_typed(reason: str, options: argparse.Namespace) -> str:
    """Name the options in a message of the package as the user types them: batch_key becomes --batch-key."""
    typed = {name: f"--{name.replace('_', '-')}" for name in vars(options)}
    typed |= {"n_epochs": "--epochs", "n_epochs_kl_warmup": "--warmup"}
    for name, option in typed.items():
        reason = re.sub(rf"(?<![\w'\"]){name}='(\w+)'", rf"{option} \1", reason)
        if "_" in name:  # no word of the language
            reason = re.sub(rf"(?<![\w/.'\"-]){name}(?![\w/.'\"-])", option, reason)
        else:
            reason = re.sub(rf"^{name}(?= has to be )", option, reason)
    return reason


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vae-course", description=__doc__)
    parser.add_argument("--version", action="version", version=f"vae-course {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train on the bundled blood cells, print a table, write a page and figures")
    demo.add_argument("--epochs", type=int, help="passes through the cells (default: as many as suit their number)")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--device", default="auto", help="auto (a GPU, if there is one), cpu or cuda")
    demo.add_argument("--out", type=Path, default=Path("results/demo"), help="folder (default: %(default)s)")
    demo.set_defaults(run=run_demo)

    train = commands.add_parser("train", help="train on your own counts")
    train.add_argument("file", type=Path, metavar="FILE.h5ad")
    train.add_argument("--layer", help="layer with the counts (default: X)")
    train.add_argument("--batch-key", help="column of obs with the experimental batch")
    train.add_argument("--label-key", help="column of obs with the cell type, used to score the latent space")
    train.add_argument("--n-top-genes", type=int, help="keep the most variable genes only (default: all)")
    train.add_argument("--likelihood", default="zinb", help="zinb, nb or poisson (default: %(default)s)")
    train.add_argument("--dispersion", default="gene", help="gene, gene-batch, gene-label or gene-cell")
    train.add_argument("--library", default="latent", help="latent or observed (default: %(default)s)")
    train.add_argument("--n-latent", type=int, default=10, help="(default: %(default)s)")
    train.add_argument("--n-layers", type=int, default=1, help="(default: %(default)s)")
    train.add_argument("--epochs", type=int, help="passes through the cells (default: as many as suit their number)")
    train.add_argument("--warmup", type=int, default=10, help="epochs of KL warm-up (default: %(default)s)")
    train.add_argument("--train-size", type=float, default=0.9, help="share of the cells (default: %(default)s)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="auto", help="auto (a GPU, if there is one), cpu or cuda")
    train.add_argument("--out", type=Path, required=True, help="folder for the results")
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run in the same folder")
    train.set_defaults(run=run_train)

    check = commands.add_parser("check", help="check the answers in a notebook of yours")
    check.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    check.set_defaults(run=run_check)

    grade = commands.add_parser("grade", help="grade the notebooks of a class, each in a sandbox")
    grade.add_argument("folder", type=Path, metavar="FOLDER", help="a folder per student, or a download of the class")
    grade.add_argument("--out", type=Path, required=True, help="the table of grades to write, such as grades.csv")
    grade.add_argument("--lessons", type=int, nargs="+", help="which ones to grade (default: all)")
    grade.add_argument("--title", default="vae_course", help="of the assignment in Canvas (default: %(default)s)")
    grade.add_argument("--seed", type=int, help="of the hidden cases (default: drawn at random, and printed)")
    grade.add_argument("--jobs", type=int, help="submissions graded at a time (default: one per processor)")
    grade.add_argument("--unsafe", action="store_true", help="run the answers without a sandbox, where there is none")
    grade.set_defaults(run=run_grade)

    lab = commands.add_parser("lab", help="open JupyterLab in the folder work/; other options go to JupyterLab")
    lab.set_defaults(run=run_lab)

    progress = commands.add_parser("progress", help="show what is done of the exercises, and what is next")
    progress.add_argument("--certificate", type=Path, metavar="FILE.html", help="write a page to print as well")
    progress.add_argument("--name", help="whose certificate it is")
    progress.set_defaults(run=run_progress)
    return parser


# --------------------------------------------------------------------------------------------------------------------
# Commands
# --------------------------------------------------------------------------------------------------------------------


def run_demo(options: argparse.Namespace) -> None:
    """Train the ZINB model on the bundled PBMC counts and report."""
    import vae_course as vc
    from vae_course.report import REPORT_FILES, write_report
    from vae_course.runtime.run_folder import RunFolder

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
    """Train on a user's .h5ad file, with a checkpoint after every epoch, and report.

    Under torchrun each process trains on its own part of the cells, and the first one writes and reports.
    """
    import vae_course as vc
    from vae_course.runtime.processes import all_or_none, gather, n_processes, process_group, rank

    _check_epochs(options.epochs)
    run = _run_folder(options)  # looked at before any process can have written there
    with process_group(options.device):
        with all_or_none():
            data = vc.load_h5ad(
                options.file,
                layer=options.layer,
                batch_key=options.batch_key,
                label_key=options.label_key,
                n_top_genes=options.n_top_genes,
                shard=(rank(), n_processes()) if n_processes() > 1 else None,
            )
        _check_cells(data, sum(gather(data.n_cells)), options)
        if rank() == 0:
            print(data if n_processes() == 1 else f"The first of {n_processes()} parts: {data}")
        trainer = _new_trainer(data, options)
        with all_or_none():
            if rank() == 0:
                run.claim(CHECKPOINT, _bytes_needed(trainer, options.file))
        trainer.train(options.epochs, checkpoint=options.out / CHECKPOINT, resume=options.resume)
        own_latent = vc.Posterior(trainer.model, data, device=options.device).get_latent()[0]
        latent = np.concatenate(gather(own_latent))  # in the order of the file
        if rank() == 0:
            with run.writing():
                _write_results(trainer, latent, options)


def _run_folder(options: argparse.Namespace) -> Any:
    """Return the folder of a training; refuse one that cannot be written to, or holds another run or a user's files."""
    from vae_course.report import REPORT_FILES
    from vae_course.runtime.run_folder import RunFolder

    run = RunFolder(options.out, "train", (CHECKPOINT, "model.pt", "latent.csv", "data.h5ad", *REPORT_FILES))
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


def _check_cells(data: Any, n_cells: int, options: argparse.Namespace) -> None:
    """Refuse too few cells, and labels or batches that are measurements or names of cells; a shard has its share.

    Raises
    ------
    ValueError
        In one sentence, before anything is trained.
    """
    if n_cells < FEWEST_CELLS:
        raise ValueError(f"Training needs at least {FEWEST_CELLS} cells, and {options.file} has {n_cells}: add cells.")
    for option, key, names in (
        ("--label-key", options.label_key, data.label_names),
        ("--batch-key", options.batch_key, data.batch_names),
    ):
        are_numbers = all(re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", name) for name in names)
        if len(names) == n_cells or (are_numbers and len(names) > max(MOST_FREE_CODES, n_cells / 2)):
            raise ValueError(
                f"{option} needs a column with groups of cells, and {key!r} has {len(names)} values in {n_cells} "
                "cells: choose another column, or leave the option out."
            )


def _bytes_needed(trainer: Any, file: Path) -> int:
    """Return about how much a training writes: the checkpoint twice, the model, the data with the latents, the rest."""
    n_weights = sum(weight.numel() for weight in trainer.model.parameters())
    return ROOM + file.stat().st_size + 28 * (n_weights + trainer.data.n_cells * trainer.model.n_latent)


def _write_results(trainer: Any, latent: np.ndarray, options: argparse.Namespace) -> None:
    """Write the model, the latents of all cells, (cells, n_latent), and the report."""
    import pandas as pd

    from vae_course.report import write_data, write_latent, write_report

    trainer.model.save(options.out / "model.pt")
    write_latent(options.file, options.out / "latent.csv", latent)
    write_data(options.file, options.out / "data.h5ad", latent)
    names = pd.read_csv(options.out / "latent.csv", usecols=["cell"], dtype=str, keep_default_na=False)["cell"]
    source, command, settings = options.file.name, options.command, _settings(options)
    write_report(trainer, options.out, options.seed, source, command, settings, names[: trainer.data.n_cells])


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """Return the options as the user types them, with their values, those that were left out among them."""
    return {
        f"--{name.replace('_', '-')}": str(value)
        for name, value in vars(options).items()
        if name not in ("run", "file", "for_jupyter", "command") and value is not None and value is not False
    }


def _new_trainer(data: Any, options: argparse.Namespace) -> Any:
    """Return a trainer of a new model, both as the options say."""
    import vae_course as vc

    model = _new_model(
        data,
        options.likelihood,
        options.device,
        n_latent=options.n_latent,
        n_layers=options.n_layers,
        dispersion=options.dispersion,
        library=options.library,
        seed=options.seed,
    )
    return vc.UnsupervisedTrainer(
        model, data, options.train_size, n_epochs_kl_warmup=options.warmup, seed=options.seed, device=options.device
    )


def _new_model(data: Any, likelihood: str, device: str, **options: Any) -> Any:
    """Return a new model for the data, a `FastVAE` where it applies, and print which class it is and why."""
    import vae_course as vc
    from vae_course.fast import FastVAE
    from vae_course.runtime.devices import resolve_device
    from vae_course.runtime.processes import rank

    reason = "" if likelihood in ("zinb", "nb") else f"has no {likelihood} likelihood"
    if resolve_device(device).type != "cpu":
        reason = "runs on CPUs only"
    kind = vc.VAE if reason else FastVAE
    model = kind(data.n_genes, data.n_batches, data.n_labels, likelihood=likelihood, **options)
    if rank() == 0:
        fast = "FastVAE, the fast implementation of VAE: same results, up to rounding, in less time"
        print(f"Model: {f'VAE, since FastVAE, its fast implementation, {reason}' if reason else fast}.")
    return model


def run_check(options: argparse.Namespace) -> None:
    """Say of every exercise of a notebook's lesson whether its answer is right."""
    from vae_course.exercises import EXERCISES
    from vae_course.grading import check_notebook

    results = check_notebook(options.notebook)
    marks = {"passed": "✓", "not_attempted": "·"}
    for exercise_id, result in results.items():
        print(f"{marks.get(result.status, '✗')} {exercise_id} {EXERCISES[exercise_id].name}: {result.message}")
    print(f"{sum(one.status == 'passed' for one in results.values())} of {len(results)} exercises are correct.")


def run_grade(options: argparse.Namespace) -> None:
    """Grade the submissions in a folder, and write tables and feedback."""
    from vae_course.grading import grade_folder, write_reports
    from vae_course.grading.reports import check_place

    check_place(options.out)
    started = time.monotonic()
    grades = grade_folder(
        options.folder,
        options.lessons,
        options.seed,
        options.jobs,
        options.unsafe,
        tell=lambda grade: print(f"{grade.student}: {grade.total} of {grade.maximum}.", *grade.notes, flush=True),
    )
    written = write_reports(grades, options.out, options.title)
    print(f"Graded {len(grades)} submissions in {time.monotonic() - started:.0f} s, with seed {grades[0].seed}.")
    print(f"Written: {', '.join(map(str, written))}")


def run_lab(options: argparse.Namespace) -> int:
    """Copy the lessons to work/, beside the learner's own copies, and open JupyterLab there; return its status."""
    from vae_course.lab import open_lab

    return open_lab(Path("work"), options.for_jupyter)


def run_progress(options: argparse.Namespace) -> None:
    """Print what is done and what is next; write the page to print, if it is asked for."""
    from vae_course.exercises import certificate, progress
    from vae_course.runtime.files import write_atomically

    sys.stdout.reconfigure(errors="replace")  # not every console can show the bars
    print(progress())
    if options.certificate:
        if not options.name:
            raise ValueError('Say whose certificate it is: --name "Ada Lovelace".')
        page = certificate(options.name)
        write_atomically(options.certificate, lambda path: path.write_text(page, encoding="utf-8"))
        print(f"\nWritten to {options.certificate}: open it in a browser and print it.")


if __name__ == "__main__":
    sys.exit(main())
