"""The command line: what it writes, what it refuses, and that an interrupted run goes on."""

import json
import os
import subprocess
import sys
import time

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import vae_course as vc
from vae_course.cli import main

FIGURES = ["report.html", "losses.png", "mean_variance.png", "zeros.png"]


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


def test_train_takes_covariates(cells, tmp_path, capsys):
    adata = anndata.read_h5ad(cells)
    adata.obs["site"], adata.obs["age"] = np.where(np.arange(150) % 3, "s", "t"), np.sin(np.arange(150))
    adata.obs["depth"] = np.cos(np.arange(150))
    adata.write_h5ad(cells)
    names = ["--categorical-covariate", "site", "--continuous-covariate", "age", "--continuous-covariate", "depth"]
    assert main(options(cells, tmp_path / "out", *names)) == 0
    assert "covariates 'site', 'age', 'depth'" in capsys.readouterr().out
    known = vc.VAE.load(tmp_path / "out" / "model.pt").names
    assert known.categorical_covariates == {"site": ["s", "t"]}
    assert known.continuous_covariates == ["age", "depth"]
    assert main(options(cells, tmp_path / "other", "--categorical-covariate", "mouse")) == 1
    assert "there is no column 'mouse'" in capsys.readouterr().err


def test_train_without_batches_and_labels(cells, tmp_path, capsys):
    arguments = ["train", str(cells), "--layer", "counts", "--epochs", "1", "--warmup", "0", "--likelihood", "nb"]
    assert main([*arguments, "--library", "observed", "--train-size", "1", "--out", str(tmp_path / "out")]) == 0
    assert "ARI" not in capsys.readouterr().out
    assert "vae" not in json.loads((tmp_path / "out" / "summary.json").read_text())


@pytest.fixture
def models(monkeypatch):
    """Models that were to be trained, instead of training them."""
    models = []

    def stop(trainer, *_, **__):
        models.append(trainer.model)
        raise KeyboardInterrupt

    monkeypatch.setattr(vc.UnsupervisedTrainer, "train", stop)
    return models


@pytest.mark.parametrize(
    ("likelihood", "device", "kind", "words"),
    [
        ("zinb", "cpu", vc.FastVAE, "Model: FastVAE, the fast implementation of VAE: same results"),
        ("nb", "cpu", vc.FastVAE, "Model: FastVAE, the fast implementation of VAE: same results"),
        ("poisson", "cpu", vc.VAE, "Model: VAE, since FastVAE, its fast implementation, has no poisson likelihood."),
        ("zinb", "cuda", vc.VAE, "Model: VAE, since FastVAE, its fast implementation, runs on CPUs only."),
    ],
)
def test_the_fast_model_is_trained_where_it_can_be(
    cells, tmp_path, capsys, monkeypatch, models, likelihood, device, kind, words
):
    # what the resolved device is; there may be no GPU here
    monkeypatch.setattr("vae_course.commands.train.resolve_device", lambda _: torch.device(device))
    assert main(options(cells, tmp_path / "out", "--likelihood", likelihood, "--n-latent", "7")) == 130
    assert capsys.readouterr().out.splitlines()[-1].startswith(words)
    assert type(models[0]) is kind
    assert models[0].options | {"n_latent": 7, "n_batch": 2, "n_labels": 3} == models[0].options
    assert models[0].likelihood == likelihood


def test_the_demo_trains_the_fast_model(tmp_path, capsys, models):
    assert main(["demo", "--device", "cpu", "--out", str(tmp_path)]) == 130
    assert "Model: FastVAE" in capsys.readouterr().out
    assert type(models[0]) is vc.FastVAE


def test_only_an_interrupted_training_of_ones_own_is_advised_to_resume(cells, tmp_path, capsys, models):
    assert main(options(cells, tmp_path / "out")) == 130
    assert "--resume" in capsys.readouterr().err
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 130
    assert capsys.readouterr().err == "vae-course: stopped.\n"


def test_a_second_run_into_the_same_folder_is_refused(cells, tmp_path, capsys, models):
    out = tmp_path / "out"
    assert main(options(cells, out)) == 130
    (out / "checkpoint.pt").write_text("of this run")
    assert main(options(cells, out)) == 1
    assert "holds a run already: add --resume" in capsys.readouterr().err
    assert (out / "checkpoint.pt").read_text() == "of this run"


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
        ({"--train-size": "1.5"}, "--train-size"),
        ({"--epochs": "0"}, "--epochs"),
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
    assert f"--out needs a folder, and {cells} is a file" in capsys.readouterr().err


def test_gene_selection_keeps_the_other_genes_in_the_output(cells, tmp_path):
    assert main(options(cells, tmp_path / "out", "--n-top-genes", "20")) == 0
    assert vc.VAE.load(tmp_path / "out" / "model.pt").n_input == 20
    assert anndata.read_h5ad(tmp_path / "out" / "data.h5ad").n_vars == 40


COMMAND = """
import os, signal, sys
from vae_course import cli, report
from vae_course.trainer import Trainer

report.N_DRAWS, report.draw_figures = 10, lambda *_: []  # what takes long
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


def test_a_handful_of_cells_is_enough(tmp_path):
    vc.simulate_counts(n_cells=24, n_genes=15, n_labels=2, seed=1).to_anndata().write_h5ad(tmp_path / "few.h5ad")
    arguments = ["train", str(tmp_path / "few.h5ad"), "--label-key", "label", "--epochs", "1", "--warmup", "0"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "tsne_label.png").exists()
