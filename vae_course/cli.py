"""The command `vae-course`."""

import argparse
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vae_course import __version__

SHOWN_CELLS = 5000  # cells in figures and clustering scores at most
LIKELIHOOD_CELLS = 2000  # cells whose marginal log-likelihood is estimated at most
N_DRAWS = 1000  # for the marginal log-likelihood


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status, 1 with one line on the error stream for what went wrong."""
    parser = _parser()
    options, options.for_jupyter = parser.parse_known_args(arguments)
    if options.for_jupyter and options.run is not run_lab:
        parser.error(f"unrecognized arguments: {' '.join(options.for_jupyter)}")
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = f"{error.filename}: {reason}" if getattr(error, "filename", None) else reason
        print(f"vae-course: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vae-course: stopped. `vae-course train` goes on from the last epoch with --resume.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vae-course", description=__doc__)
    parser.add_argument("--version", action="version", version=f"vae-course {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train on the bundled blood cells, print a table, write figures")
    demo.add_argument("--epochs", type=int, default=200, help="passes through the cells (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--device", default="auto", help="auto (a card, if there is one), cpu or cuda")
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
    train.add_argument("--epochs", type=int, default=100, help="(default: %(default)s)")
    train.add_argument("--warmup", type=int, default=50, help="epochs of KL warm-up (default: %(default)s)")
    train.add_argument("--train-size", type=float, default=0.9, help="share of the cells (default: %(default)s)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="auto", help="auto (a card, if there is one), cpu or cuda")
    train.add_argument("--out", type=Path, required=True, help="folder for the results")
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run in the same folder")
    train.set_defaults(run=run_train)

    check = commands.add_parser("check", help="check the answers in a notebook of yours")
    check.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    check.set_defaults(run=run_check)

    grade = commands.add_parser("grade", help="grade the notebooks of a class, each in a sandbox")
    grade.add_argument("folder", type=Path, metavar="FOLDER", help="one folder a student, or a download")
    grade.add_argument("--out", type=Path, required=True, help="table of grades, such as grades.csv")
    grade.add_argument("--lessons", type=int, nargs="+", help="which ones to grade (default: all)")
    grade.add_argument("--title", default="vae_course", help="of the assignment in Canvas (default: %(default)s)")
    grade.add_argument("--seed", type=int, help="of the hidden cases (default: drawn, and told)")
    grade.add_argument("--jobs", type=int, help="submissions at a time (default: one a processor)")
    grade.add_argument("--unsafe", action="store_true", help="without a sandbox, where none can be had")
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

    data = vc.load_pbmc()
    print(data)
    model = vc.VAE(data.n_genes, n_batch=data.n_batches, n_labels=data.n_labels, seed=options.seed)
    trainer = vc.UnsupervisedTrainer(model, data, seed=options.seed, device=options.device)
    _make_folder(options.out)
    trainer.train(options.epochs)
    report(trainer, options.out, options.seed)


def run_train(options: argparse.Namespace) -> None:
    """Train on a user's .h5ad file, with a checkpoint after every epoch, and report.

    Under torchrun each process trains on its own part of the cells, and the first one writes and reports.
    """
    import vae_course as vc
    from vae_course.runtime.processes import all_or_none, gather, n_processes, rank

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
            )
        if rank() == 0:
            print(data if n_processes() == 1 else f"The first of {n_processes()} parts: {data}")
        trainer = _trainer_for(data, options)
        _make_folder(options.out)
        trainer.train(options.epochs, checkpoint=checkpoint, resume=options.resume)
        own_latent = vc.Posterior(trainer.model, data, device=options.device).get_latent()[0]
        latent = np.concatenate(gather(own_latent))  # in the order of the file
        if rank() == 0:
            trainer.model.save(options.out / "model.pt")
            _write_latent(options.file, options.out / "latent.csv", latent)
            _write_data(options.file, options.out / "data.h5ad", latent)
            report(trainer, options.out, options.seed)


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; those that end because another one failed say nothing."""
    import torch
    from torch import distributed

    from vae_course.runtime.devices import resolve_device
    from vae_course.runtime.processes import OtherProcessError

    if not distributed.is_available() or not distributed.is_torchelastic_launched():
        yield
        return
    if resolve_device(device).type == "cuda":
        number_here, cards = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if number_here > cards:
            raise ValueError(
                f"There are {number_here} processes and {cards} card(s) on this machine: start at most {cards}, or add "
                "--device cpu."
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, own_rank, number = next(distributed.rendezvous("env://"))
    # torchrun keeps its store when it starts the processes again, and addresses of those that ended would be taken
    store = distributed.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    # without a name of a backend it is gloo for tensors of the processor, nccl for those of cards
    distributed.init_process_group(store=store, rank=own_rank, world_size=number)
    try:
        yield
    except OtherProcessError as error:
        if error.__cause__:  # nobody may be left who could say why
            print(f"vae-course: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        distributed.destroy_process_group()


def _trainer_for(data: Any, options: argparse.Namespace) -> Any:
    """Return a trainer of a new model, both as the options say."""
    import vae_course as vc

    model = vc.VAE(
        data.n_genes,
        n_batch=data.n_batches,
        n_labels=data.n_labels,
        n_latent=options.n_latent,
        n_layers=options.n_layers,
        dispersion=options.dispersion,
        likelihood=options.likelihood,
        library=options.library,
        seed=options.seed,
    )
    return vc.UnsupervisedTrainer(
        model, data, options.train_size, n_epochs_kl_warmup=options.warmup, seed=options.seed, device=options.device
    )


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


def run_lab(options: argparse.Namespace) -> None:
    """Copy the lessons to work/, beside the learner's own copies, and open JupyterLab there at the start page."""
    if shutil.which("jupyter-lab") is None and not (Path(sys.executable).parent / "jupyter-lab").exists():
        raise ImportError("JupyterLab is not installed: pip install 'vae-course[lab]'.")
    from vae_course.exercises.start import START, write_start_page

    work = Path("work")
    _make_folder(work)
    for lesson in sorted(Path("lessons").glob("*.ipynb")):
        copy_lesson(lesson, work)
    write_start_page(work)
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{START}", *options.for_jupyter]
    subprocess.run(command, cwd=work, check=False)


def run_progress(options: argparse.Namespace) -> None:
    """Print what is done and what is next; write the page to print, if it is asked for."""
    from vae_course.exercises import certificate, progress
    from vae_course.runtime.files import write_atomically

    sys.stdout.reconfigure(errors="replace")  # a console may have no sign for a bar
    print(progress())
    if options.certificate:
        if not options.name:
            raise ValueError('Say whose certificate it is: --name "Ada Lovelace".')
        page = certificate(options.name)
        write_atomically(options.certificate, lambda path: path.write_text(page, encoding="utf-8"))
        print(f"\nWritten to {options.certificate}: open it in a browser and print it.")


def copy_lesson(lesson: Path, folder: Path) -> None:
    """Copy a lesson, never over the learner's copy: a newer version goes beside it, with its number in the name."""
    version = _version_of(lesson)
    for target in (folder / lesson.name, folder / f"{lesson.stem}_v{version}.ipynb"):
        if not target.exists():
            shutil.copy(lesson, target)
            return
        if _version_of(target) == version:
            return


def _version_of(notebook: Path) -> str:
    """Version of the course that a notebook comes from; "" for one that is not of the course, or cannot be read."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["vae_course"]["version"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""


# --------------------------------------------------------------------------------------------------------------------
# The report: numbers and figures
# --------------------------------------------------------------------------------------------------------------------


def report(trainer: Any, folder: Path, seed: int) -> dict[str, Any]:
    """Print the table of a finished training; write it as summary.json, the history and the figures.

    Of several processes, each with its own cells, the one that calls this shows its own; the history is that of all.
    """
    from vae_course.runtime.files import write_atomically

    numbers = measure(trainer, seed)
    _print_table(numbers)
    for name, content in (("summary", numbers), ("history", trainer.history)):
        text = json.dumps(content, indent=1) + "\n"
        write_atomically(folder / f"{name}.json", lambda path, text=text: path.write_text(text))
    figures = _draw_figures(trainer, folder, seed)
    print(f"\nWritten to {folder}/: summary.json, history.json, {', '.join(figures)}")
    return numbers


def measure(trainer: Any, seed: int) -> dict[str, Any]:
    """Return all that the table shows: how well held-out cells are explained, how well cell types come apart."""
    from vae_course import metrics
    from vae_course.runtime.processes import n_processes

    data, held_out = trainer.data, trainer.test_set if len(trainer.test_set) else trainer.train_set
    terms = held_out.loss_terms(seed)
    sampled = _some_cells(held_out, LIKELIHOOD_CELLS, seed)
    values, ess = sampled.marginal_ll(N_DRAWS, return_per_cell=True, seed=seed)
    numbers: dict[str, Any] = {
        "processes": n_processes(),
        "cells": data.n_cells,
        "held_out_cells": len(trainer.test_set),
        "evaluated_cells": len(held_out),
        "genes": data.n_genes,
        "batches": data.n_batches,
        "labels": data.n_labels,
        "share_of_zeros": 1 - data.counts.nnz / (data.n_cells * data.n_genes),
        "epochs": trainer.epoch,
        "seed": seed,
        "seconds_per_epoch": float(np.median(trainer.epoch_seconds)),
        "kl_weight": trainer.kl_weight(trainer.epoch - 1),
        "negative_elbo": sum(terms).double().mean().item(),
        **{name: term.double().mean().item() for name, term in terms._asdict().items()},
        "marginal_log_likelihood": float(values.mean()),
        "marginal_log_likelihood_cells": len(sampled),
        "draws": N_DRAWS,
        "effective_sample_size": {"median": float(np.median(ess)), "smallest": float(ess.min())},
    }
    shown = _shown_cells(trainer, seed)
    if len(np.unique(data.labels[shown.indices])) > 1:
        pca = _pca(data.counts[shown.indices], min(10, data.n_genes - 1, len(shown) - 1), seed)
        numbers["scored_cells"] = len(shown)
        numbers["vae"] = shown.clustering_scores(seed=seed)
        numbers["pca"] = metrics.clustering_scores(pca, data.labels[shown.indices], seed=seed)
    if data.n_batches > 1 and len(shown) > 50:
        most = metrics.entropy_from_indices(data.batch_index[shown.indices])
        numbers["batch_mixing"] = shown.entropy_batch_mixing() / most
    return numbers


def _shown_cells(trainer: Any, seed: int) -> Any:
    """Posterior of all cells, or of a random part of them if they are too many for figures."""
    from vae_course import Posterior

    return _some_cells(Posterior(trainer.model, trainer.data, device=trainer.device), SHOWN_CELLS, seed)


def _some_cells(posterior: Any, n_cells: int, seed: int) -> Any:
    """Return a posterior of that many random cells of this one, in their order; of all if there are no more."""
    from vae_course import Posterior

    chosen = np.random.default_rng(seed).permutation(len(posterior))[:n_cells]
    return Posterior(posterior.model, posterior.data, posterior.indices[np.sort(chosen)], device=posterior.device)


def _pca(counts: Any, n_components: int, seed: int) -> np.ndarray:
    """Principal components of the log-normalised counts, the usual way with scanpy."""
    import scanpy as sc
    from anndata import AnnData

    adata = AnnData(counts.copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=n_components, random_state=seed)
    return adata.obsm["X_pca"]


def _print_table(numbers: dict[str, Any]) -> None:
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
        f"    effective sample size     {ess['median']:10.1f}   median over cells; {ess['smallest']:.1f} at least, "
        f"{numbers['draws']} draws"
    )
    if "vae" in numbers:
        print(f"\nCell types apart, on {numbers['scored_cells']} cells        VAE       PCA")
        for key, name in (("ari", "ARI"), ("nmi", "NMI"), ("asw", "silhouette")):
            print(f"  {name:28s}{numbers['vae'][key]:10.3f}{numbers['pca'][key]:10.3f}")
    if "batch_mixing" in numbers:
        print(f"\nBatch mixing entropy, share of the most possible: {numbers['batch_mixing']:.2f}")
    print(f"\n{numbers['seconds_per_epoch']:.3f} s an epoch (median)")


def _draw_figures(trainer: Any, folder: Path, seed: int) -> list[str]:
    import matplotlib as mpl

    mpl.use("Agg")
    from vae_course import Posterior, plots

    data, shown = trainer.data, _shown_cells(trainer, seed)
    axes = {"losses.png": plots.losses(trainer.history)[0]}
    groups = [("label", data.labels, data.label_names)] if data.n_labels > 1 else []
    groups += [("batch", data.batch_index, data.batch_names)] if data.n_batches > 1 else []
    for method, coordinates in (("UMAP", shown.umap(seed)), ("t-SNE", shown.t_sne(seed))):
        for by, codes, names in groups or [("cells", np.zeros(data.n_cells, int), ["cells"])]:
            title = f"{method} of the latent space, by {by}"
            name = f"{method.lower().replace('-', '')}_{by}.png"
            axes[name] = plots.latent(coordinates, codes[shown.indices], names, title=title, axis_name=method)
    few = Posterior(trainer.model, data, shown.indices[:: 1 + len(shown) // 1000], device=trainer.device)
    generated, observed = few.generate(1, seed)
    axes["mean_variance.png"] = plots.mean_variance(observed, generated[..., 0])
    axes["zeros.png"] = plots.zero_fractions(observed, generated[..., 0])
    for name, ax in axes.items():
        _save_figure(ax.figure, folder / name)
    return list(axes)


def _save_figure(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    from vae_course.runtime.files import write_atomically

    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
    plt.close(figure)


def _write_data(source: Path, target: Path, latent: np.ndarray) -> None:
    """Copy an .h5ad file and add `obsm["X_vae"]`; all else stays as it is."""
    import h5py
    from anndata.io import write_elem

    from vae_course.files import is_old_h5ad, read_h5ad
    from vae_course.runtime.files import write_atomically

    def write(temporary: Path) -> None:
        with h5py.File(source) as file:
            is_old = is_old_h5ad(file)
        if is_old:
            adata = read_h5ad(source)
            adata.obsm["X_vae"] = latent
            adata.write_h5ad(temporary)
            return
        shutil.copyfile(source, temporary)
        try:
            with h5py.File(temporary, "r+") as file:
                if "obsm" not in file:
                    write_elem(file, "obsm", {})
                write_elem(file["obsm"], "X_vae", latent)
        except (OSError, RuntimeError) as error:  # in words of HDF5, several lines of them
            number = getattr(error, "errno", None) or errno.EIO
            raise OSError(number, os.strerror(number)) from error

    write_atomically(target, write)


def _write_latent(source: Path, target: Path, latent: np.ndarray) -> None:
    """Write a table of the latent means with the names that the cells have in an .h5ad file."""
    import pandas as pd

    from vae_course.files import open_h5ad
    from vae_course.runtime.files import write_atomically

    with open_h5ad(source) as adata:
        names = adata.obs_names
    table = pd.DataFrame(latent, index=names, columns=[f"z{k + 1}" for k in range(latent.shape[1])])
    write_atomically(target, lambda temporary: table.to_csv(temporary, index_label="cell"))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(error.errno, f"could not make the folder {path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
