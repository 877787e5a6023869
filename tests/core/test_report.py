"""What a run writes: the numbers of the table, and the user's data with the latents."""

import json
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

import vae_course as vc
from vae_course import metrics, report
from vae_course.report import write_data

DATA = vc.simulate_counts(n_cells=150, n_genes=40, n_batches=2, n_labels=3, seed=1)


@pytest.fixture
def cells(tmp_path):
    """A file of a user's own."""
    DATA.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def trained(data):
    trainer = vc.UnsupervisedTrainer(vc.VAE(40, n_batch=2, n_hidden=16), data, n_epochs_kl_warmup=0)
    trainer.train(1)
    return trainer


@pytest.fixture(scope="module")
def trainer():
    return trained(DATA)


@pytest.fixture
def summary(tmp_path, monkeypatch, capsys):
    """Call with a trainer: what is written to summary.json, and what is printed."""
    monkeypatch.setattr(report, "draw_figures", lambda *_: [])
    monkeypatch.setattr(report, "map_cells", lambda *_: {})
    monkeypatch.setattr(report, "N_DRAWS", 10)

    def write(trainer):
        report.write_report(trainer, tmp_path, seed=0)
        return json.loads((tmp_path / "summary.json").read_text()), capsys.readouterr().out

    return write


# --------------------------------------------------------------------------------------------------------------------
# The table
# --------------------------------------------------------------------------------------------------------------------


def test_the_likelihood_of_many_held_out_cells_is_estimated_on_some(trainer, summary, monkeypatch):
    assert len(trainer.test_set) == 15
    monkeypatch.setattr(report, "LIKELIHOOD_CELLS", 14)
    few, printed = summary(trainer)
    assert "on 14 of them, drawn at random" in printed
    monkeypatch.setattr(report, "LIKELIHOOD_CELLS", 15)
    numbers, printed = summary(trainer)
    assert "of them" not in printed
    assert [few["marginal_log_likelihood_cells"], numbers["marginal_log_likelihood_cells"]] == [14, 15]
    assert few["negative_elbo"] == numbers["negative_elbo"]
    assert few["marginal_log_likelihood"] != numbers["marginal_log_likelihood"]
    expected = trainer.test_set.marginal_ll(10, return_per_cell=True)[0].mean()
    assert numbers["marginal_log_likelihood"] == pytest.approx(expected, rel=1e-6)


def test_the_mixing_of_batches_is_a_share_of_what_is_possible(trainer, summary):
    numbers, printed = summary(trainer)
    most = metrics.entropy_from_indices(DATA.batch_index)
    assert numbers["batch_mixing"] == pytest.approx(vc.Posterior(trainer.model, DATA).entropy_batch_mixing() / most)
    assert f"Batch mixing entropy, as a share of its maximum: {numbers['batch_mixing']:.2f}" in printed


def test_nothing_is_said_of_the_mixing_where_all_shown_cells_are_of_one_batch(summary, monkeypatch):
    monkeypatch.setattr(report, "SHOWN_CELLS", 60)
    shown = np.random.default_rng(0).permutation(150)[:60]
    data = vc.CountData(DATA.counts, np.isin(np.arange(150), shown, invert=True).astype(int), DATA.labels)
    numbers, printed = summary(trained(data))
    assert numbers["batches"] == 2
    assert numbers["scored_cells"] == 60
    assert "batch_mixing" not in numbers
    assert "mixing" not in printed


# --------------------------------------------------------------------------------------------------------------------
# The user's data, with the latents
# --------------------------------------------------------------------------------------------------------------------


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
    write_data(cells, tmp_path / "data.h5ad", latent)
    before, after = stored(cells), stored(tmp_path / "data.h5ad")
    np.testing.assert_array_equal(after.pop("obsm/X_vae"), latent)
    new = {name for name in after if name.startswith("obsm/X_vae@") or (name.startswith("obsm@") and not with_obsm)}
    assert after.keys() - new == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "data.h5ad").obsm["X_vae"], latent)
    write_data(tmp_path / "data.h5ad", tmp_path / "data.h5ad", -latent)  # over the earlier one
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "data.h5ad").obsm["X_vae"], -latent)


@pytest.mark.filterwarnings("ignore")  # of anndata, about the age of the file
def test_the_latent_is_added_to_a_file_of_an_old_anndata_too(tmp_path):
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["X"] = np.eye(2, dtype=np.float32)
        file["obs"] = np.array([(b"first",), (b"second",)], dtype=[("index", "S6")])
        file["var"] = np.array([(b"CD3E",), (b"LYZ",)], dtype=[("index", "S4")])
        file["obsm"] = np.array([((1.0, 2.0),)] * 2, dtype=[("X_pca", "f4", (2,))])
    write_data(tmp_path / "old.h5ad", tmp_path / "data.h5ad", np.ones((2, 3)))
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
from vae_course.report import write_data
limit = int({share} * Path(sys.argv[1]).stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    write_data(Path(sys.argv[1]), Path(sys.argv[2]), np.ones((150, 1000)))
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
