"""The command line: what it writes, what it refuses, and that an interrupted run goes on."""

import json
import os
import subprocess
import sys
import time

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import vae_course as vc
from vae_course import cli
from vae_course.cli import main

FIGURES = ["losses.png", "mean_variance.png", "zeros.png"]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # other libraries change the number, and resuming warns of a different one


@pytest.fixture
def cells(tmp_path):
    """Write a small file of a user's own: normalised X, counts in a layer, batch and label columns."""
    data = vc.simulate_counts(n_cells=150, n_genes=40, n_batches=2, n_labels=3, seed=1)
    adata = data.to_anndata()
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X * 0.37
    adata.obs = adata.obs.rename(columns={"batch": "donor", "label": "type"})
    path = tmp_path / "cells.h5ad"
    adata.write_h5ad(path)
    return path


def options(cells, out, *more):
    keys = ["--layer", "counts", "--batch-key", "donor", "--label-key", "type"]
    return ["train", str(cells), *keys, "--epochs", "3", "--warmup", "2", "--out", str(out), *more]


def test_train_writes_model_latent_data_history_and_figures(cells, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(options(cells, out)) == 0
    printed = capsys.readouterr().out

    model = vc.VAE.load(out / "model.pt")
    data = vc.load_h5ad(cells, layer="counts", batch_key="donor", label_key="type")
    latent = vc.Posterior(model, data).get_latent()[0]
    np.testing.assert_array_equal(anndata.read_h5ad(out / "data.h5ad").obsm["X_vae"], latent)
    table = pd.read_csv(out / "latent.csv", index_col="cell")
    np.testing.assert_allclose(table.to_numpy(), latent, rtol=1e-5)
    assert list(table.index) == list(anndata.read_h5ad(cells).obs_names)

    summary = json.loads((out / "summary.json").read_text())
    for number in (summary["negative_elbo"], summary["kl_local"], summary["marginal_log_likelihood"]):
        assert f"{number:.2f}" in printed
    for key in ("ari", "nmi", "asw"):
        assert f"{summary['vae'][key]:.3f}" in printed
        assert f"{summary['pca'][key]:.3f}" in printed
    parts = summary["reconstruction"] + summary["kl_local"] + summary["kl_global"]
    assert summary["negative_elbo"] == pytest.approx(parts, rel=1e-6)
    assert len(json.loads((out / "history.json").read_text())["elbo_test_set"]) == 3
    drawn = [*FIGURES, "umap_label.png", "umap_batch.png", "tsne_label.png", "tsne_batch.png"]
    assert all((out / figure).stat().st_size > 5000 for figure in drawn)


def test_train_without_batches_and_labels(cells, tmp_path, capsys):
    arguments = ["train", str(cells), "--layer", "counts", "--epochs", "1", "--warmup", "0", "--likelihood", "nb"]
    assert main([*arguments, "--library", "observed", "--train-size", "1", "--out", str(tmp_path / "out")]) == 0
    assert "ARI" not in capsys.readouterr().out
    assert "vae" not in json.loads((tmp_path / "out" / "summary.json").read_text())


def test_a_second_run_into_the_same_folder_is_refused(cells, tmp_path, capsys):
    (tmp_path / "checkpoint.pt").write_text("of an earlier run")
    assert main(options(cells, tmp_path)) == 1
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "checkpoint.pt").read_text() == "of an earlier run"


def test_a_killed_run_goes_on_to_the_same_weights(cells, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(options(cells, whole, "--epochs", "60")) == 0
    command = [sys.executable, "-m", "vae_course.cli", *options(cells, killed, "--epochs", "60")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (killed / "checkpoint.pt").exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (killed / "model.pt").exists()
    assert main(options(cells, killed, "--epochs", "60", "--resume")) == 0
    assert (whole / "latent.csv").read_bytes() == (killed / "latent.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": "missing.h5ad"}, "There is no file"),
        ({"--layer": "spliced"}, "'counts'"),
        ({"--batch-key": "sample"}, "'donor'"),
        ({"--likelihood": "gaussian"}, "'zinb'"),
        ({"--n-top-genes": "41"}, "1 to 40"),
        ({"--train-size": "1.5"}, "train_size"),
        ({"--epochs": "0"}, "n_epochs"),
    ],
)
def test_bad_options_get_one_line_and_leave_nothing_behind(cells, tmp_path, capsys, change, message):
    out = tmp_path / "out"
    arguments = options(change.pop("cells", cells), out, *[word for pair in change.items() for word in pair])
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("vae-course: ")
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists() or not any(out.iterdir())


def test_normalised_counts_are_refused_with_the_name_of_the_layer_to_use(cells, tmp_path, capsys):
    assert main(["train", str(cells), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "fractional" in error
    assert "'counts'" in error


def test_an_impossible_folder_gets_one_line(cells, capsys):
    assert main(options(cells, cells / "below a file")) == 1
    assert "could not make the folder" in capsys.readouterr().err


def test_gene_selection_keeps_the_other_genes_in_the_output(cells, tmp_path):
    assert main(options(cells, tmp_path / "out", "--n-top-genes", "20")) == 0
    assert vc.VAE.load(tmp_path / "out" / "model.pt").n_input == 20
    assert anndata.read_h5ad(tmp_path / "out" / "data.h5ad").n_vars == 40


def stored(path):
    """Every data set and every attribute of an HDF5 file, by name."""
    found = {}

    def note(name, item):
        found.update({f"{name}@{key}": str(value) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@pytest.mark.parametrize("with_obsm", [True, False])
def test_all_of_the_input_survives_beside_the_latent(cells, tmp_path, with_obsm):
    adata = anndata.read_h5ad(cells)
    adata.raw = adata
    adata.uns["note"] = {"who": "me", "when": [1, 2]}
    adata.obsm["X_pca"] = np.ones((150, 2))
    adata.obsp["distances"] = sp.eye(150, format="csr")
    adata.layers["dense"] = adata.X.toarray()
    adata.write_h5ad(cells, compression="gzip")
    if not with_obsm:
        with h5py.File(cells, "r+") as file:
            del file["obsm"]
    latent = np.arange(300.0).reshape(150, 2)
    cli._write_data(cells, tmp_path / "data.h5ad", latent)
    before, after = stored(cells), stored(tmp_path / "data.h5ad")
    np.testing.assert_array_equal(after.pop("obsm/X_vae"), latent)
    new = {name for name in after if name.startswith("obsm/X_vae@") or (name.startswith("obsm@") and not with_obsm)}
    assert after.keys() - new == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "data.h5ad").obsm["X_vae"], latent)
    cli._write_data(tmp_path / "data.h5ad", tmp_path / "data.h5ad", -latent)  # over the earlier one
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "data.h5ad").obsm["X_vae"], -latent)


@pytest.mark.filterwarnings("ignore")  # of anndata, about the age of the file
def test_the_latent_is_added_to_a_file_of_an_old_anndata_too(tmp_path):
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["X"] = np.eye(2, dtype=np.float32)
        file["obs"] = np.array([(b"first",), (b"second",)], dtype=[("index", "S6")])
        file["var"] = np.array([(b"CD3E",), (b"LYZ",)], dtype=[("index", "S4")])
        file["obsm"] = np.array([((1.0, 2.0),)] * 2, dtype=[("X_pca", "f4", (2,))])
    cli._write_data(tmp_path / "old.h5ad", tmp_path / "data.h5ad", np.ones((2, 3)))
    adata = anndata.read_h5ad(tmp_path / "data.h5ad")
    assert adata.obs_names.tolist() == ["first", "second"]
    assert adata.obsm["X_vae"].tolist() == np.ones((2, 3)).tolist()
    assert adata.obsm["X_pca"].tolist() == [[1, 2], [1, 2]]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files the POSIX way")
@pytest.mark.parametrize("share", [0.5, 1.0], ids=["while copying", "while adding the latent"])
def test_a_full_disk_leaves_no_half_of_the_data(cells, tmp_path, share):
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np
from vae_course.cli import _write_data
limit = int({share} * Path(sys.argv[1]).stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    _write_data(Path(sys.argv[1]), Path(sys.argv[2]), np.ones((150, 1000)))
except OSError as error:
    print(error.strerror or error)
"""
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "data.h5ad"
    command = [sys.executable, "-c", code, str(cells), str(target)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.startswith(f"could not write {target}: ")
    assert "nothing was written" in printed
    assert printed.count("\n") == 1
    assert not any((tmp_path / "out").iterdir())


def test_the_likelihood_of_many_held_out_cells_is_estimated_on_some(cells, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "_draw_figures", lambda *_: [])
    monkeypatch.setattr(cli, "N_DRAWS", 10)
    printed, summaries = [], []
    for limit in (14, 15):  # of 15 held-out cells
        monkeypatch.setattr(cli, "LIKELIHOOD_CELLS", limit)
        torch.set_num_threads(1)
        assert main(options(cells, tmp_path / str(limit), "--epochs", "1", "--warmup", "0")) == 0
        printed.append(capsys.readouterr().out)
        summaries.append(json.loads((tmp_path / str(limit) / "summary.json").read_text()))
    assert "on 14 of them, drawn at random" in printed[0]
    assert "of them" not in printed[1]
    assert [summary["marginal_log_likelihood_cells"] for summary in summaries] == [14, 15]
    assert summaries[0]["negative_elbo"] == summaries[1]["negative_elbo"]
    data = vc.load_h5ad(cells, layer="counts", batch_key="donor", label_key="type")
    model = vc.VAE.load(tmp_path / "15" / "model.pt")
    held_out = vc.UnsupervisedTrainer(vc.VAE(40, n_batch=2), data).test_set.indices
    expected = vc.Posterior(model, data, held_out).marginal_ll(10, return_per_cell=True)[0].mean()
    assert summaries[1]["marginal_log_likelihood"] == pytest.approx(expected, rel=1e-6)


COMMAND = """
import os, signal, sys
from vae_course import cli
from vae_course.trainer import Trainer

cli.N_DRAWS, cli._draw_figures = 10, lambda *_: []  # what takes long
train_epoch, attempt = Trainer._train_epoch, os.environ["TORCHELASTIC_RESTART_COUNT"]

def train_epoch_or_die(trainer, bar):
    if trainer.epoch == 2 and os.environ["RANK"] == "1" and attempt == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    train_epoch(trainer, bar)

Trainer._train_epoch = train_epoch_or_die
if __name__ == "__main__":
    sys.exit(cli.main())
"""


def torchrun(folder, *arguments):
    """Run the command in two processes that train together; the second is killed once, in the third epoch."""
    (folder / "command.py").write_text(COMMAND)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "--max-restarts", "1", str(folder / "command.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "VAE_COURSE_DEVICE": "cpu"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


needs_gloo = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="training in several processes needs a PyTorch with gloo, and is tried on Linux and macOS",
)


@needs_gloo
def test_two_processes_train_one_model_whatever_happens_to_one_and_the_first_writes(cells, tmp_path):
    out = tmp_path / "out"
    run = torchrun(tmp_path, *options(cells, out, "--resume"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("held-out cells of the first of 2 parts") == 1
    assert "exitcode: -9" in run.stderr
    assert len(json.loads((out / "history.json").read_text())["elbo_train_set"]) == 3
    assert "CountData: 75 cells" in run.stdout
    model = vc.VAE.load(out / "model.pt")
    data = vc.load_h5ad(cells, layer="counts", batch_key="donor", label_key="type")
    latent = vc.Posterior(model, data).get_latent()[0]
    np.testing.assert_allclose(anndata.read_h5ad(out / "data.h5ad").obsm["X_vae"], latent, rtol=1e-4, atol=1e-5)
    table = pd.read_csv(out / "latent.csv", index_col="cell")
    np.testing.assert_allclose(table.to_numpy(), latent, rtol=1e-4, atol=1e-5)
    assert list(table.index) == list(anndata.read_h5ad(cells).obs_names)
    assert json.loads((out / "summary.json").read_text())["processes"] == 2
    assert (out / "checkpoint.pt").exists()


@needs_gloo
def test_an_error_in_one_process_ends_all_with_one_line(cells, tmp_path):
    adata = anndata.read_h5ad(cells)
    counts = adata.layers["counts"].toarray()
    counts[149] = 0  # the second process's
    adata.layers["counts"] = counts
    adata.write_h5ad(cells)
    run = torchrun(tmp_path, *options(cells, tmp_path / "out"))
    assert run.returncode != 0
    lines = [line for line in run.stderr.splitlines() if line.startswith("vae-course: ")]
    assert len(lines) == 2  # in the first attempt and in the second
    assert "1 of 75 cells have no counts at all, the first is cell 149" in lines[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Training ended with a KL weight")
def test_demo_prints_what_it_writes(tmp_path, capsys):
    assert main(["demo", "--epochs", "2", "--out", str(tmp_path)]) == 0
    printed, summary = capsys.readouterr().out, json.loads((tmp_path / "summary.json").read_text())
    assert [summary[key] for key in ("cells", "genes", "batches", "labels", "epochs")] == [700, 765, 1, 10, 2]
    assert f"{summary['share_of_zeros']:.0%} zeros" in printed
    assert f"{summary['marginal_log_likelihood']:.2f}" in printed
    assert f"{summary['effective_sample_size']['median']:.1f}" in printed
    assert f"{summary['seconds_per_epoch']:.3f}" in printed
    assert all((tmp_path / figure).exists() for figure in [*FIGURES, "umap_label.png", "tsne_label.png"])


def test_the_command_is_installed():
    command = os.path.join(os.path.dirname(sys.executable), "vae-course")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"vae-course {vc.__version__}"


@pytest.mark.filterwarnings("ignore:n_neighbors is larger:UserWarning")
def test_a_handful_of_cells_is_enough(tmp_path):
    vc.simulate_counts(n_cells=24, n_genes=15, n_labels=2, seed=1).to_anndata().write_h5ad(tmp_path / "few.h5ad")
    arguments = ["train", str(tmp_path / "few.h5ad"), "--label-key", "label", "--epochs", "1", "--warmup", "0"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "tsne_label.png").exists()


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A folder with one lesson of version 1, and a JupyterLab that only notes where it was opened."""

    def write(version):
        text = json.dumps({"cells": [], "metadata": {"vae_course": {"version": version}}, "text": f"of {version}"})
        (tmp_path / "lessons" / "00_latents.ipynb").write_text(text)

    (tmp_path / "lessons").mkdir()
    write("1.0")
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr(subprocess, "run", lambda command, cwd, check: opened.append((command[1:], str(cwd))))
    return tmp_path, write, opened


def test_lab_opens_the_learners_own_copies(course):
    folder, _, opened = course
    assert main(["lab", "--no-browser"]) == 0
    assert opened == [(["-m", "jupyterlab", "--LabApp.default_url=/lab/tree/START.ipynb", "--no-browser"], "work")]
    assert sorted(os.listdir(folder / "work")) == ["00_latents.ipynb", "START.ipynb"]


def test_lab_never_overwrites_and_puts_a_newer_version_beside(course):
    folder, write, _ = course
    assert main(["lab"]) == 0
    mine = folder / "work" / "00_latents.ipynb"
    mine.write_text(mine.read_text().replace("of 1.0", "my answers"))
    assert main(["lab"]) == 0
    assert sorted(os.listdir(folder / "work")) == ["00_latents.ipynb", "START.ipynb"]
    write("1.1")
    for _ in range(2):
        assert main(["lab"]) == 0
        assert sorted(os.listdir(folder / "work")) == ["00_latents.ipynb", "00_latents_v1.1.ipynb", "START.ipynb"]
    assert "my answers" in mine.read_text()
    assert "of 1.1" in (folder / "work" / "00_latents_v1.1.ipynb").read_text()


def test_lab_leaves_a_broken_copy_alone(course):
    folder, _, _ = course
    (folder / "work").mkdir()
    (folder / "work" / "00_latents.ipynb").write_text("{half a notebook")
    assert main(["lab"]) == 0
    assert (folder / "work" / "00_latents.ipynb").read_text() == "{half a notebook"
    assert (folder / "work" / "00_latents_v1.0.ipynb").exists()
