"""The command `vae-course`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_course import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status, 1 with one line on the error stream for what went wrong."""
    parser = _parser()
    options, options.for_jupyter = parser.parse_known_args(arguments)
    if options.for_jupyter and options.run is not run_lab:
        parser.error(f"unrecognized arguments: {' '.join(options.for_jupyter)}")
    try:
        return options.run(options) or 0
    except (ValueError, OSError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = f"{error.filename}: {reason}" if getattr(error, "filename", None) else reason
        print(f"vae-course: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vae-course: stopped.", file=sys.stderr)
        if options.run is run_train:
            print("Add --resume to the same command to go on from the last complete epoch.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vae-course", description=__doc__)
    parser.add_argument("--version", action="version", version=f"vae-course {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train on the bundled blood cells, print a table, write figures")
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
    train.add_argument(
        "--categorical-covariate",
        action="append",
        default=[],
        metavar="KEY",
        help="column of obs with categories that the decoder shall know beside the batch (may be repeated)",
    )
    train.add_argument(
        "--continuous-covariate",
        action="append",
        default=[],
        metavar="KEY",
        help="column of obs with numbers that the decoder shall know (may be repeated)",
    )
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
    from vae_course.report import write_report
    from vae_course.runtime.files import make_folder

    data = vc.load_pbmc()
    print(data)
    model = _new_model(data, "zinb", options.device, seed=options.seed)
    trainer = vc.UnsupervisedTrainer(model, data, seed=options.seed, device=options.device)
    make_folder(options.out)
    trainer.train(options.epochs)
    write_report(trainer, options.out, options.seed)


def run_train(options: argparse.Namespace) -> None:
    """Train on a user's .h5ad file, with a checkpoint after every epoch, and report.

    Under torchrun each process trains on its own part of the cells, and the first one writes and reports.
    """
    import vae_course as vc
    from vae_course.report import write_data, write_latent, write_report
    from vae_course.runtime.files import make_folder
    from vae_course.runtime.processes import all_or_none, gather, n_processes, process_group, rank

    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists() and not options.resume:  # before any process can have written one
        raise ValueError(f"{options.out} holds a run already: add --resume to go on with it, or choose another --out.")
    with process_group(options.device):
        with all_or_none():
            data = vc.load_h5ad(
                options.file,
                layer=options.layer,
                batch_key=options.batch_key,
                label_key=options.label_key,
                n_top_genes=options.n_top_genes,
                shard=(rank(), n_processes()) if n_processes() > 1 else None,
                categorical_covariate_keys=options.categorical_covariate,
                continuous_covariate_keys=options.continuous_covariate,
            )
        if rank() == 0:
            print(data if n_processes() == 1 else f"The first of {n_processes()} parts: {data}")
        trainer = _new_trainer(data, options)
        make_folder(options.out)
        trainer.train(options.epochs, checkpoint=checkpoint, resume=options.resume)
        own_latent = vc.Posterior(trainer.model, data, device=options.device).get_latent()[0]
        latent = np.concatenate(gather(own_latent))  # in the order of the file
        if rank() == 0:
            trainer.model.save(options.out / "model.pt")
            write_latent(options.file, options.out / "latent.csv", latent)
            write_data(options.file, options.out / "data.h5ad", latent)
            write_report(trainer, options.out, options.seed)


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
    covariates = {"n_cats_per_cov": data.n_cats_per_cov, "n_continuous_cov": data.n_continuous_cov}
    model = kind(data.n_genes, data.n_batches, data.n_labels, likelihood=likelihood, **covariates, **options)
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
