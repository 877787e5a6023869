"""A model knows its genes, batches and labels by name: other data give the numbers of the same cells."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

import vae_course as vc
from vae_course.names import Names, matched

GENES = [f"g{i}" for i in range(20)]


@pytest.fixture(scope="module")
def adata() -> AnnData:
    """60 cells x 20 genes in three batches; the second batch has five times the counts of the first genes."""
    random = np.random.default_rng(0)
    counts = random.poisson(random.gamma(1.0, 3.0, 20), (60, 20)) + 1
    batch = pd.Categorical(random.choice(["d1", "d2", "d3"], 60))
    counts[batch == "d2", :8] *= 5
    obs = pd.DataFrame({"batch": batch, "type": pd.Categorical(random.choice(["A", "B"], 60))})
    obs.index = [f"c{i}" for i in range(60)]
    return AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=GENES))


def load(adata: AnnData) -> vc.CountData:
    return vc.CountData.from_anndata(adata, batch_key="batch", label_key="type")


def train(data: vc.CountData, **options) -> vc.VAE:
    model = vc.VAE(data.n_genes, n_batch=data.n_batches, n_labels=data.n_labels, n_hidden=16, **options)
    vc.UnsupervisedTrainer(model, data, n_epochs_kl_warmup=0).train(5)
    return model


@pytest.fixture(scope="module")
def model(adata) -> vc.VAE:
    return train(load(adata))


@pytest.fixture(scope="module")
def by_label(adata) -> vc.VAE:
    return train(load(adata), dispersion="gene-label")


def scale(model: vc.VAE, data: vc.CountData) -> np.ndarray:
    return vc.Posterior(model, data).get_sample_scale()


def log_p(model: vc.VAE, data: vc.CountData) -> np.ndarray:
    return vc.Posterior(model, data).marginal_ll(20, return_per_cell=True)[0]


def test_a_trained_model_has_the_names_of_its_data(model):
    assert model.names == Names(GENES, ["d1", "d2", "d3"], ["A", "B"])


def test_an_untrained_model_has_none():
    assert vc.VAE(3).names is None
    assert vc.BinaryVAE(3).names is None


@pytest.mark.parametrize("order", [list(reversed(GENES)), ["unknown", *GENES[7:], *GENES[:7]]])
def test_genes_in_another_order_give_the_same_numbers(adata, model, order):
    other = AnnData(sp.csr_matrix((60, len(order)), dtype=np.float32), obs=adata.obs, var=pd.DataFrame(index=order))
    other.X = np.column_stack([adata[:, g].X.toarray() if g in GENES else np.full((60, 1), 7.0) for g in order])
    np.testing.assert_array_equal(log_p(model, load(other)), log_p(model, load(adata)))
    assert vc.Posterior(model, load(other)).data.gene_names.tolist() == GENES


@pytest.mark.parametrize("kept", [["d2"], ["d1", "d3"], ["d3"]])
def test_a_subset_of_the_batches_gets_the_codes_of_their_names(adata, model, kept):
    cells = adata.obs["batch"].isin(kept).to_numpy()
    whole, part = load(adata), load(adata[cells].copy())
    assert part.n_batches == len(kept)
    expected = vc.Posterior(model, whole, cells).get_sample_scale()
    np.testing.assert_allclose(scale(model, part), expected, rtol=2e-5, atol=1e-8)
    assert vc.Posterior(model, part).data.n_batches == 3


def test_labels_are_matched_where_the_dispersion_needs_them(adata, by_label):
    cells = (adata.obs["type"] == "B").to_numpy()
    expected = vc.Posterior(by_label, load(adata), cells).get_sample_scale()
    part = load(adata[cells].copy())
    np.testing.assert_allclose(scale(by_label, part), expected, rtol=2e-5, atol=1e-8)
    assert vc.Posterior(by_label, part).data.labels.tolist() == [1] * cells.sum()


def test_labels_stay_as_they_are_where_nothing_needs_them(adata, model):
    other = adata.copy()
    other.obs["type"] = "C"
    assert vc.Posterior(model, load(other)).data.label_names.tolist() == ["C"]


def test_cells_come_from_another_file_with_other_codes(adata, model):
    other = adata.copy()
    other.obs["batch"] = pd.Categorical(other.obs["batch"].astype(str), categories=["d3", "unused", "d2", "d1"])
    np.testing.assert_array_equal(log_p(model, load(other)), log_p(model, load(adata)))


def test_missing_genes_are_named(adata, model):
    few = load(adata[:, GENES[3:]].copy())
    with pytest.raises(ValueError, match=r"lack 3 of the model's 20 genes: 'g0', 'g1', 'g2'\. .*missing_genes='zeros'"):
        vc.Posterior(model, few)


def test_missing_genes_are_counted_as_zeros_when_asked_to(adata, model):
    zeroed = adata.copy()
    zeroed.X = adata.X.multiply([g not in GENES[:3] for g in GENES]).tocsr()
    few = matched(load(adata[:, GENES[3:]].copy()), model, missing_genes="zeros")
    np.testing.assert_array_equal(log_p(model, few), log_p(model, load(zeroed)))


def test_other_kinds_of_gene_names_are_not_taken_for_zeros(adata, model):
    other = adata.copy()
    other.var_names = [f"ENSG{i}" for i in range(20)]
    with pytest.raises(ValueError, match=r"none of the model's 20 genes.*'g0'.*'ENSG0'.*symbols or Ensembl"):
        matched(load(other), model, missing_genes="zeros")


def test_genes_with_the_same_name_cannot_be_told_apart(adata, model):
    other = AnnData(adata.X[:, [*range(20), 4]], obs=adata.obs, var=pd.DataFrame(index=[*GENES, "g4"]))
    with pytest.raises(ValueError, match=r"several genes called 'g4'.*var_names_make_unique"):
        vc.Posterior(model, load(other))


def test_an_unknown_batch_is_named(adata, model):
    other = adata.copy()
    other.obs["batch"] = other.obs["batch"].astype(str).replace("d3", "new")
    with pytest.raises(ValueError, match=r"batches 'd1', 'd2', 'd3'; the data have 'new'.*batch_key"):
        vc.Posterior(model, load(other))


def test_cells_without_a_batch_are_not_taken_for_the_first_one(adata, model):
    with pytest.raises(ValueError, match=r"batches 'd1', 'd2', 'd3'; the data have '0'.*batch_key"):
        vc.Posterior(model, vc.CountData.from_anndata(adata))


def test_data_without_names_go_by_position(adata, model):
    named = load(adata)
    unnamed = vc.CountData(named.counts, named.batch_index, named.labels)
    np.testing.assert_array_equal(log_p(model, unnamed), log_p(model, named))


def test_names_survive_saving(adata, model, tmp_path):
    model.save(tmp_path / "model.pt")
    loaded = vc.VAE.load(tmp_path / "model.pt")
    assert loaded.names == model.names
    np.testing.assert_array_equal(log_p(loaded, load(adata[:, ::-1].copy())), log_p(model, load(adata)))


def test_a_file_from_before_there_were_names_goes_by_position(adata, model, tmp_path):
    model.save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    del content["names"]
    torch.save(content, tmp_path / "model.pt")
    assert vc.VAE.load(tmp_path / "model.pt").names is None


def test_training_goes_on_with_the_names_that_the_model_knows(adata, model, tmp_path):
    model.save(tmp_path / "model.pt")
    ours = vc.VAE.load(tmp_path / "model.pt")
    trainer = vc.UnsupervisedTrainer(
        ours, load(adata[:, ::-1].copy()[adata.obs["batch"] == "d2"].copy()), n_epochs_kl_warmup=0
    )
    trainer.train(1)
    assert trainer.data.gene_names.tolist() == GENES
    assert set(trainer.data.batch_index) == {1}
    assert ours.names == model.names


def test_a_refused_model_keeps_no_names(adata):
    model = vc.VAE(7)
    with pytest.raises(ValueError, match="built for 7 genes"):
        vc.UnsupervisedTrainer(model, load(adata))
    assert model.names is None


def test_a_binary_model_has_names_too(adata):
    data = load(adata).binarize()
    model = vc.BinaryVAE(20)
    vc.UnsupervisedTrainer(model, data, n_epochs_kl_warmup=0).train(1)
    reversed_genes = load(adata[:, ::-1].copy()).binarize()
    assert vc.Posterior(model, reversed_genes).elbo() == vc.Posterior(model, data).elbo()


def test_a_checkpoint_does_not_go_on_with_other_names(adata, tmp_path):
    def trainer(data: vc.CountData) -> vc.UnsupervisedTrainer:
        return vc.UnsupervisedTrainer(vc.VAE(20, n_batch=3, n_hidden=8), data, n_epochs_kl_warmup=0)

    trainer(load(adata)).train(1, checkpoint=tmp_path / "run.pt")
    renamed = adata.copy()
    renamed.var_names = [f"h{i}" for i in range(20)]
    with pytest.raises(ValueError, match="another run: names of genes, batches, labels and covariates differ"):
        trainer(load(renamed)).train(1, checkpoint=tmp_path / "run.pt", resume=True)
