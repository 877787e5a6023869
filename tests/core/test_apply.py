"""`vae-course apply` and `vae-course de`: a saved model meets cells of another file."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import vae_course as vc
from vae_course.cli import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with cells of three batches and two labels, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("trained")
    data = vc.simulate_counts(90, 30, n_labels=2, n_batches=3, share_de=0.5, mean_library=300, seed=1)
    adata = data.to_anndata()
    adata.obs["batch"] = adata.obs["batch"].cat.rename_categories(["d1", "d2", "d3"])
    adata.write_h5ad(folder / "cells.h5ad")
    keys = ["--batch-key", "batch", "--label-key", "label"]
    options = ["--epochs", "3", "--warmup", "1", "--n-hidden", "16", "--lr", "0.01", "--batch-size", "32"]
    assert main(["train", str(folder / "cells.h5ad"), *keys, *options, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def others(trained, tmp_path):
    """The cells of one batch alone, with the genes in another order, as a file of their own."""
    adata = anndata.read_h5ad(trained / "cells.h5ad")[:, ::-1].copy()
    path = tmp_path / "others.h5ad"
    adata[adata.obs["batch"] == "d2"].copy().write_h5ad(path)
    return path


def apply(trained, cells, out, *more):
    return main(["apply", str(trained / "run" / "model.pt"), str(cells), "--out", str(out), *more])


def test_training_takes_the_options_of_model_and_trainer(trained):
    model = vc.VAE.load(trained / "run" / "model.pt")
    assert model.options["n_hidden"] == 16
    assert model.names.batches == ["d1", "d2", "d3"]
    genes = pd.read_csv(trained / "run" / "genes.csv")
    counts = anndata.read_h5ad(trained / "cells.h5ad").X.toarray()
    assert genes["gene"].tolist() == model.names.genes
    np.testing.assert_array_equal(genes["total"], counts.sum(axis=0))
    np.testing.assert_allclose(genes["detected"], (counts > 0).mean(axis=0))


def test_cells_of_another_file_get_the_latents_that_they_had(trained, others, tmp_path):
    assert apply(trained, others, tmp_path / "out", "--batch-key", "batch", "--expression", "layer") == 0
    first = pd.read_csv(trained / "run" / "latent.csv", index_col="cell")
    again = pd.read_csv(tmp_path / "out" / "latent.csv", index_col="cell")
    assert 0 < len(again) < len(first)
    np.testing.assert_allclose(again, first.loc[again.index], atol=1e-5)
    adata = anndata.read_h5ad(tmp_path / "out" / "data.h5ad")
    assert adata.var_names.tolist() == pd.read_csv(trained / "run" / "genes.csv")["gene"].tolist()
    np.testing.assert_allclose(adata.layers["vae_expression"].sum(axis=1), 1e4, rtol=1e-4)
    np.testing.assert_allclose(adata.obsm["X_vae"], again, atol=1e-6)
    library = pd.read_csv(tmp_path / "out" / "library.csv", index_col="cell")["library"]
    np.testing.assert_allclose(adata.obs["vae_library"], library, rtol=1e-5)
    model, counts = vc.VAE.load(trained / "run" / "model.pt"), torch.from_numpy(adata.X.toarray())
    with torch.no_grad():
        expected = model.l_encoder(torch.log1p(counts))[0].exp()[:, 0]
    np.testing.assert_allclose(library, expected, rtol=1e-4)


def test_expression_comes_as_a_table_too(trained, others, tmp_path):
    assert apply(trained, others, tmp_path / "out", "--batch-key", "batch", "--expression", "table") == 0
    table = pd.read_csv(tmp_path / "out" / "expression.csv", index_col="cell")
    np.testing.assert_allclose(table.sum(axis=1), 1e4, rtol=1e-4)
    assert "vae_expression" not in anndata.read_h5ad(tmp_path / "out" / "data.h5ad").layers


def test_what_the_model_does_not_know_is_named_as_an_option(trained, others, tmp_path, capsys):
    assert apply(trained, others, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "'d1', 'd2', 'd3'; the data have '0'. Name the column" in error
    assert "--batch-key" in error
    few = anndata.read_h5ad(others)[:, 2:].copy()
    few.write_h5ad(tmp_path / "few.h5ad")
    assert apply(trained, tmp_path / "few.h5ad", tmp_path / "out", "--batch-key", "batch") == 1
    error = capsys.readouterr().err
    assert "lack 2 of the model's 30 genes" in error
    assert "--missing-genes zeros" in error
    assert not (tmp_path / "out").exists()
    options = ["--batch-key", "batch", "--missing-genes", "zeros"]
    assert apply(trained, tmp_path / "few.h5ad", tmp_path / "out", *options) == 0


def test_files_of_the_user_are_not_replaced(trained, others, tmp_path, capsys):
    (tmp_path / "latent.csv").write_text("mine")
    assert apply(trained, others, tmp_path, "--batch-key", "batch") == 1
    assert "latent.csv" in capsys.readouterr().err
    assert (tmp_path / "latent.csv").read_text() == "mine"


def compare(trained, out, *groups):
    keys = ["--batch-key", "batch", "--label-key", "label", "--groups", *groups]
    return main(["de", str(trained / "run" / "model.pt"), str(trained / "cells.h5ad"), *keys, "--out", str(out)])


def test_two_groups_are_compared(trained, tmp_path, capsys):
    assert compare(trained, tmp_path / "de", "0", "1") == 0
    table, summary = pd.read_csv(tmp_path / "de" / "de.csv"), json.loads((tmp_path / "de" / "summary.json").read_text())
    assert sorted(table["gene"]) == sorted(pd.read_csv(trained / "run" / "genes.csv")["gene"])
    assert table["prob_de"].is_monotonic_decreasing
    assert summary["genes_called"] == (table["fdr"] <= 0.05).sum()
    assert sum(summary["cells"]) == 90
    assert (tmp_path / "de" / "de.png").stat().st_size > 5000
    assert f"{summary['genes_called']} genes are called" in capsys.readouterr().out


@pytest.mark.parametrize("groups", [("0", "7"), ("1", "1")])
def test_groups_have_to_be_two_that_are_there(trained, tmp_path, capsys, groups):
    assert compare(trained, tmp_path / "de", *groups) == 1
    assert "--groups needs two different values of 'label'" in capsys.readouterr().err


def test_a_comparison_needs_a_column(trained, tmp_path, capsys):
    model, cells = str(trained / "run" / "model.pt"), str(trained / "cells.h5ad")
    assert main(["de", model, cells, "--batch-key", "batch", "--groups", "0", "1", "--out", str(tmp_path / "de")]) == 1
    assert "--label-key" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_called_so(trained, others, tmp_path, capsys):
    assert main(["apply", str(others), str(others), "--out", str(tmp_path / "out")]) == 1
    assert "others.h5ad" in capsys.readouterr().err
