"""What the command writes stays apart from what is the user's, and what cannot end well is refused before training."""

import json
import os
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest

import vae_course as vc
from vae_course import report
from vae_course.cli import main
from vae_course.runtime.run_folder import RunFolder

DATA = vc.simulate_counts(n_cells=60, n_genes=20, n_batches=2, n_labels=3, seed=1)
UNCHANGED = "the user's"


@pytest.fixture
def cells(tmp_path):
    DATA.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def trained(monkeypatch):
    """How often a training began; reports are quick."""
    epochs = []
    train_epoch = vc.UnsupervisedTrainer._train_epoch

    def count(trainer, bar):
        epochs.append(trainer.epoch)
        train_epoch(trainer, bar)

    monkeypatch.setattr(vc.UnsupervisedTrainer, "_train_epoch", count)
    monkeypatch.setattr(report, "N_DRAWS", 2)
    monkeypatch.setattr(report, "map_cells", lambda *_: {})
    monkeypatch.setattr(report, "draw_figures", lambda *_: [])
    return epochs


def train(cells, out, *more):
    return main(["train", str(cells), "--epochs", "2", "--warmup", "0", "--device", "cpu", "--out", str(out), *more])


def refusal(capsys):
    """The one sentence on the error stream."""
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("vae-course: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0].removeprefix("vae-course: ")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# --------------------------------------------------------------------------------------------------------------------
# The folder
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data.h5ad", "latent.csv", "model.pt", "checkpoint.pt", "report.html", "run.json"])
@pytest.mark.parametrize("resume", [[], ["--resume"]], ids=["", "resume"])
def test_files_of_the_user_are_never_replaced(cells, tmp_path, capsys, trained, name, resume):
    out = tmp_path / "project"
    out.mkdir()
    (out / name).write_text(UNCHANGED)
    assert train(cells, out, *resume) == 1
    error = refusal(capsys)
    assert error.startswith("--out needs ")
    assert name in error
    assert contents(out) == {name: UNCHANGED.encode()}
    assert trained == []


@pytest.mark.parametrize("name", ["summary.json", "umap_label.png", "report.html"])
def test_the_demo_replaces_no_file_of_the_user_either(tmp_path, capsys, trained, name):
    (tmp_path / name).write_text(UNCHANGED)
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path)]) == 1
    assert name in refusal(capsys)
    assert contents(tmp_path) == {name: UNCHANGED.encode()}
    assert trained == []


def test_files_that_no_run_writes_are_no_hindrance(cells, trained):
    (cells.parent / "notes.txt").write_text(UNCHANGED)
    assert train(cells, cells.parent) == 0  # beside the user's cells
    assert (cells.parent / "notes.txt").read_text() == UNCHANGED
    assert (cells.parent / "report.html").exists()


def test_a_run_that_ended_can_be_resumed_and_is_not_started_again(cells, tmp_path, capsys, trained):
    out = tmp_path / "out"
    assert train(cells, out) == 0
    first = contents(out)
    capsys.readouterr()
    assert train(cells, out) == 1
    assert refusal(capsys).startswith(f"{out} holds a run already: add --resume")
    assert trained == [0, 1]
    assert train(cells, out, "--resume") == 0
    assert trained == [0, 1]
    again = contents(out)
    assert again.keys() == first.keys()
    assert again["latent.csv"] == first["latent.csv"]


def test_a_folder_that_was_copied_can_be_resumed(cells, tmp_path, trained):
    assert train(cells, tmp_path / "out") == 0
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    assert train(cells, tmp_path / "copy", "--resume") == 0


def test_what_the_user_changed_after_a_run_is_the_user_s(cells, tmp_path, capsys, trained):
    out = tmp_path / "out"
    assert train(cells, out) == 0
    adata = anndata.read_h5ad(out / "data.h5ad")
    adata.obs["mine"] = "annotated for a week"
    adata.write_h5ad(out / "data.h5ad")
    mine = (out / "data.h5ad").read_bytes()
    assert train(cells, out, "--resume") == 1
    assert "data.h5ad" in refusal(capsys)
    assert (out / "data.h5ad").read_bytes() == mine


def test_what_the_user_puts_there_during_the_training_is_the_user_s(cells, tmp_path, capsys, trained, monkeypatch):
    out = tmp_path / "out"
    train_epoch = vc.UnsupervisedTrainer._train_epoch

    def save_beside(trainer, bar):
        (out / "data.h5ad").write_text(UNCHANGED)
        train_epoch(trainer, bar)

    monkeypatch.setattr(vc.UnsupervisedTrainer, "_train_epoch", save_beside)
    assert train(cells, out) == 1
    assert "data.h5ad" in refusal(capsys)
    assert (out / "data.h5ad").read_text() == UNCHANGED
    (out / "data.h5ad").unlink()
    assert train(cells, out, "--resume") == 0  # nothing of the training was lost
    assert trained == [0, 1]


@pytest.mark.parametrize("step", ["write_latent", "write_report"])
def test_a_run_that_was_interrupted_while_it_wrote_can_be_resumed(cells, tmp_path, trained, monkeypatch, step):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(f"vae_course.commands.train.{step}", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert train(cells, out) == 130
    assert (out / "model.pt").exists()
    assert train(cells, out, "--resume") == 0
    assert (out / "report.html").exists()
    assert trained == [0, 1]


def test_without_its_checkpoint_a_run_is_neither_resumed_nor_replaced(cells, tmp_path, capsys, trained):
    out = tmp_path / "out"
    assert train(cells, out) == 0
    (out / "checkpoint.pt").unlink()
    before = contents(out)
    for resume in ([], ["--resume"]):
        capsys.readouterr()
        assert train(cells, out, *resume) == 1
        assert "another --out" in refusal(capsys)
    assert contents(out) == before


def test_the_demo_runs_again_in_its_own_folder_and_train_does_not(cells, tmp_path, capsys, trained, monkeypatch):
    monkeypatch.setattr(vc, "load_pbmc", lambda: DATA)
    out = str(tmp_path / "out")
    for _ in range(2):
        assert main(["demo", "--epochs", "11", "--device", "cpu", "--out", out]) == 0
    assert len(trained) == 22
    capsys.readouterr()
    assert train(cells, out) == 1
    assert "as a run of vae-course train wrote it" in refusal(capsys)


def test_the_record_says_what_was_written(cells, tmp_path, trained):
    out = tmp_path / "out"
    assert train(cells, out) == 0
    files = json.loads((out / "run.json").read_text())["files"]
    assert files.keys() == {path.name for path in out.iterdir()} - {"run.json"}
    assert files["checkpoint.pt"] is None
    assert all(len(digest) == 64 for name, digest in files.items() if name != "checkpoint.pt")


@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_file_in_the_place_of_the_folder_is_refused_before_training(cells, tmp_path, capsys, trained, command):
    (tmp_path / "taken").write_text(UNCHANGED)
    for out in (tmp_path / "taken", tmp_path / "taken" / "below"):
        arguments = [command, *([str(cells)] if command == "train" else []), "--epochs", "1", "--out", str(out)]
        assert main(arguments) == 1
        assert refusal(capsys).startswith(f"--out needs a folder, and {tmp_path / 'taken'} is a file")
    assert trained == []


def test_a_place_that_may_not_be_written_to_is_refused_before_training(cells, tmp_path, capsys, trained, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    assert train(cells, tmp_path / "out") == 1
    assert refusal(capsys).startswith(f"--out needs a folder to write to, and {tmp_path} is read-only")
    assert trained == []


def test_a_full_disk_is_found_before_training(cells, tmp_path, capsys, trained, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    assert train(cells, tmp_path / "out") == 1
    error = refusal(capsys)
    assert error.startswith("--out needs about ")
    assert "1 MB" in error
    assert trained == []


def test_names_of_links_that_lead_nowhere_are_taken_too(tmp_path):
    (tmp_path / "data.h5ad").symlink_to(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"data\.h5ad"):
        RunFolder(tmp_path, "train", ["data.h5ad"]).check()


# --------------------------------------------------------------------------------------------------------------------
# The cells, their labels and batches
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--label-key", "--batch-key"])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.linspace(0, 1, 60), "float64 numbers such as 0"),
        (np.repeat([0.5, 1.5], 30).astype(np.float32), "float32 numbers such as 0.5"),
        (np.r_[np.arange(40), np.arange(20)], "40 values in 60 cells"),
        ([f"cell {i}" for i in range(60)], "60 values in 60 cells"),
    ],
    ids=["floats", "few floats", "counts", "names"],
)
def test_measurements_and_names_of_cells_are_no_groups(cells, tmp_path, capsys, trained, option, values, words):
    adata = anndata.read_h5ad(cells)
    adata.obs["column"] = values
    adata.write_h5ad(cells)
    assert train(cells, tmp_path / "out", option, "column") == 1
    error = refusal(capsys)
    assert error.startswith(f"{option} needs a column with ")
    assert words in error
    assert "choose another column" in error
    assert trained == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("values", [np.arange(60) % 5, np.arange(60) % 2 == 0, [f"t{i % 31}" for i in range(60)]])
def test_codes_and_names_of_groups_are_labels(cells, tmp_path, trained, values):
    adata = anndata.read_h5ad(cells)
    adata.obs["column"] = values
    adata.write_h5ad(cells)
    assert train(cells, tmp_path / "out", "--label-key", "column") == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["labels"] == len(set(values))


def test_advice_names_options_as_the_user_types_them(cells, tmp_path, capsys, trained):
    adata = anndata.read_h5ad(cells)
    adata.obs["donor"] = ["alone"] + 59 * ["other"]
    adata.write_h5ad(cells)
    assert train(cells, tmp_path / "out", "--batch-key", "donor", "--train-size", "1") == 1
    assert "Use --library observed, or leave" in refusal(capsys)


def test_two_hundred_batches_train(tmp_path, trained):
    adata = vc.simulate_counts(n_cells=600, n_genes=20, seed=1).to_anndata()
    adata.obs["donor"] = np.arange(600) % 200
    adata.write_h5ad(tmp_path / "cells.h5ad")
    arguments = ["--batch-key", "donor", "--library", "observed"]
    assert train(tmp_path / "cells.h5ad", tmp_path / "out", *arguments) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["batches"] == 200


@pytest.mark.parametrize("n_cells", [1, 2])
def test_one_or_two_cells_get_a_sentence_before_training(cells, tmp_path, capsys, trained, n_cells):
    anndata.read_h5ad(cells)[:n_cells].copy().write_h5ad(cells)
    assert train(cells, tmp_path / "out") == 1
    assert refusal(capsys) == f"Training needs at least 3 cells, and {cells} has {n_cells}: add cells."
    assert trained == []
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")  # those of matplotlib, say
def test_three_cells_train_and_what_cannot_be_reported_is_said(cells, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "N_DRAWS", 2)
    adata = anndata.read_h5ad(cells)[:3].copy()
    adata.obs["type"], adata.obs["donor"] = pd.Categorical(list("aab")), pd.Categorical(list("xxy"))
    adata.write_h5ad(cells)
    out, keys = tmp_path / "out", ["--label-key", "type", "--batch-key", "donor", "--library", "observed"]
    assert train(cells, out, *keys) == 0
    left_out = json.loads((out / "summary.json").read_text())["left_out"]
    assert left_out.keys() == {"map", "clustering", "mixing"}
    printed, html = capsys.readouterr().out, (out / "report.html").read_text(encoding="utf-8")
    for sentence in left_out.values():
        assert sentence in printed
        assert sentence in html
    assert {"losses.png", "zeros.png", "mean_variance.png"} <= {path.name for path in out.iterdir()}
    assert not (out / "umap_label.png").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--train-size", "1.5", "--train-size is the share of cells to train on: expected 0 to 1, got 1.5."),
        ("--epochs", "0", "--epochs has to be at least 1, got 0."),
        ("--warmup", "-1", "--warmup has to be at least 0, got -1."),
        ("--n-latent", "0", "--n-latent has to be a whole number of at least 1, got 0."),
        ("--likelihood", "gamma", "--likelihood has to be one of 'zinb', 'nb', 'poisson', got 'gamma'."),
        ("--label-key", "label_key", "--label-key: there is no column 'label_key' in obs; it has 'batch', 'label'."),
    ],
)
def test_options_are_named_as_the_user_types_them(cells, tmp_path, capsys, trained, option, value, words):
    assert train(cells, tmp_path / "out", option, value) == 1
    assert refusal(capsys) == words
    assert trained == []
