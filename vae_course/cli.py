"""The command `vae-course`."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from vae_course import __version__
from vae_course.commands.reading import add_files, as_options

AUTO_EPOCHS = "passes through the cells (default: as many as suit their number)"
DEVICE = "auto (a CUDA GPU, if there is one), cpu or cuda; not mps, which has no float64"


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
        reason = as_options(reason, vars(options).keys() - {"run", "for_jupyter", "command", "files"})
        print(f"vae-course: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vae-course: stopped.", file=sys.stderr)
        if getattr(options, "resume", None) is not None:
            print("Add --resume to the same command to go on from the last complete epoch.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vae-course", description=__doc__)
    parser.add_argument("--version", action="version", version=f"vae-course {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train on the bundled blood cells, print a table, write a page and figures")
    demo.add_argument("--epochs", type=int, help=AUTO_EPOCHS)
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--device", default="auto", help=DEVICE)
    demo.add_argument("--out", type=Path, default=Path("results/demo"), help="folder (default: %(default)s)")
    demo.set_defaults(run=in_module("train", "run_demo"))

    train = commands.add_parser("train", help="train on your own counts")
    add_files(train)
    _add_training(train)
    train.set_defaults(run=in_module("train", "run_train"))

    apply = commands.add_parser("apply", help="encode cells with a saved model: latents, libraries, expression")
    apply.add_argument("model", type=Path, metavar="MODEL", help="model.pt of a training")
    add_files(apply)
    _add_use(apply)
    apply.add_argument("--expression", choices=("none", "layer", "table"), default="none", help="write it, per 10,000")
    apply.add_argument("--draws", type=int, default=25, help="over which it is averaged (default: %(default)s)")
    apply.set_defaults(run=in_module("apply", "run_apply"))

    de = commands.add_parser("de", help="compare two groups of cells with a saved model: table and figure of genes")
    de.add_argument("model", type=Path, metavar="MODEL", help="model.pt of a training")
    add_files(de)
    _add_use(de)
    de.add_argument("--groups", nargs=2, required=True, metavar=("A", "B"), help="two values of --label-key")
    de.add_argument("--delta", type=float, default=0.25, help="log2 fold change that matters (default: %(default)s)")
    de.add_argument("--fdr", type=float, default=0.05, help="expected false discovery rate (default: %(default)s)")
    de.set_defaults(run=in_module("apply", "run_de"))

    check = commands.add_parser("check", help="check the answers in a notebook of yours")
    check.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    check.set_defaults(run=run_check)

    grade = commands.add_parser("grade", help="grade the notebooks of a class, each in a sandbox")
    grade.add_argument("folder", type=Path, metavar="FOLDER", help="a folder per student, or a download of the class")
    grade.add_argument("--out", type=Path, required=True, help="the table of grades to write, such as grades.csv")
    grade.add_argument("--lessons", type=int, nargs="+", help="which ones to grade (default: all)")
    grade.add_argument("--deeper", action="store_true", help="grade the exercises of the deeper notebooks as well")
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


def _add_training(train: argparse.ArgumentParser) -> None:
    """Add the options of genes, model, trainer and results."""
    default = "(default: %(default)s)"
    train.add_argument("--n-top-genes", type=int, help="keep the most variable genes only (default: all)")
    train.add_argument("--gene-flavor", default="seurat_v3", help=f"or seurat or cell_ranger {default}")
    train.add_argument("--gene-span", type=float, default=0.3, help=f"of seurat_v3's trend {default}")
    train.add_argument("--genes-by-batch", action=argparse.BooleanOptionalAction, default=True, help="in each batch")
    train.add_argument("--likelihood", default="zinb", help=f"zinb, nb or poisson {default}")
    train.add_argument("--dispersion", default="gene", help="gene, gene-batch, gene-label or gene-cell")
    train.add_argument("--library", default="latent", help=f"latent or observed {default}")
    train.add_argument("--n-hidden", type=int, default=128, help=f"width of the networks {default}")
    train.add_argument("--n-latent", type=int, default=10, help=default)
    train.add_argument("--n-layers", type=int, default=1, help=default)
    train.add_argument("--lr", type=float, default=4e-3, help=f"learning rate at the start {default}")
    train.add_argument("--batch-size", type=int, default=128, help=f"cells in a minibatch {default}")
    train.add_argument("--epochs", type=int, help=AUTO_EPOCHS)
    train.add_argument("--warmup", type=int, help="epochs of KL warm-up (default: half of the epochs)")
    train.add_argument("--early-stopping", type=int, metavar="PATIENCE", help="epochs without a better held-out ELBO")
    train.add_argument("--train-size", type=float, default=0.9, help=f"share of the cells {default}")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="auto", help=DEVICE)
    train.add_argument("--out", type=Path, required=True, help="folder for the results")
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run in the same folder")


def _add_use(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that use a saved model."""
    parser.add_argument(
        "--missing-genes", choices=("error", "zeros"), default="error", help="of the model, in the cells"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")


def in_module(module: str, function: str) -> Callable[[argparse.Namespace], int | None]:
    """Return a function of a module of `commands` that is imported when it is called, since it imports PyTorch."""
    return lambda options: getattr(import_module(f"vae_course.commands.{module}"), function)(options)


# --------------------------------------------------------------------------------------------------------------------
# Commands
# --------------------------------------------------------------------------------------------------------------------


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
        deeper=options.deeper,
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
