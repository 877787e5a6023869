"""Covariates of the cells, categorical and continuous: what the decoder knows of them, and what is asked of a model."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

import vae_course as vc
from vae_course.names import matched

N_CELLS, GENES = 300, [f"g{i}" for i in range(20)]
KEYS = {"categorical_covariate_keys": ["donor", "site"], "continuous_covariate_keys": ["age", "stress"]}


@pytest.fixture(scope="module")
def adata() -> AnnData:
    """Cells whose first five genes double with every unit of age; donor, site and stress do nothing."""
    random = np.random.default_rng(0)
    age = random.normal(size=N_CELLS)
    mean = np.tile(random.gamma(2.0, 5.0, 20), (N_CELLS, 1))
    mean[:, :5] *= 2 ** age[:, None]
    obs = {name: pd.Categorical(random.choice(list(values), N_CELLS)) for name, values in OBS.items()}
    obs |= {"age": age, "stress": random.normal(size=N_CELLS)}
    counts = sp.csr_matrix(random.poisson(mean).astype(np.float32) + np.eye(1, 20, 19, dtype=np.float32))
    index = [f"cell {i}" for i in range(N_CELLS)]
    return AnnData(counts, obs=pd.DataFrame(obs, index=index), var=pd.DataFrame(index=GENES))


OBS = {"batch": "AB", "label": "KL", "donor": "def", "site": "st"}


def load(adata: AnnData, **keys) -> vc.CountData:
    return vc.CountData.from_anndata(adata, batch_key="batch", label_key="label", **(KEYS | keys))


@pytest.fixture(scope="module")
def data(adata) -> vc.CountData:
    return load(adata)


def vae(data: vc.CountData, kind: type[vc.VAE] = vc.VAE, **options) -> vc.VAE:
    covariates = {"n_cats_per_cov": data.n_cats_per_cov, "n_continuous_cov": data.n_continuous_cov}
    return kind(data.n_genes, data.n_batches, data.n_labels, **({"n_hidden": 16, "n_latent": 3} | covariates | options))


def train(data: vc.CountData, n_epochs: int = 3, **options) -> vc.VAE:
    model = vae(data, **options)
    vc.UnsupervisedTrainer(model, data, batch_size=64, n_epochs_kl_warmup=0).train(n_epochs)
    return model


@pytest.fixture(scope="module")
def model(data) -> vc.VAE:
    return train(data, 40)


def scale(model: vc.VAE, data: vc.CountData) -> np.ndarray:
    return vc.Posterior(model, data).get_sample_scale()


# --------------------------------------------------------------------------------------------------------------------
# The data
# --------------------------------------------------------------------------------------------------------------------


def test_covariates_come_from_obs_and_go_back(adata, data):
    assert {name: names.tolist() for name, names in data.category_names.items()} == {
        "donor": ["d", "e", "f"],
        "site": ["s", "t"],
    }
    assert data.continuous_names.tolist() == ["age", "stress"]
    assert (data.n_cats_per_cov, data.n_continuous_cov) == ([3, 2], 2)
    assert data.categorical_covariates.dtype == np.int64
    assert data.categorical_covariates[:, 0].tolist() == adata.obs["donor"].cat.codes.tolist()
    np.testing.assert_array_equal(data.continuous_covariates, adata.obs[["age", "stress"]].to_numpy(np.float32))
    back = data.to_anndata().obs
    for key in OBS:
        assert back[key].tolist() == adata.obs[key].tolist()
    np.testing.assert_array_equal(back["age"], adata.obs["age"].astype(np.float32))
    assert "'donor', 'site', 'age', 'stress'" in repr(data)


@pytest.mark.parametrize(
    "change",
    [vc.CountData.without_batches, vc.CountData.binarize, vc.CountData.corrupt, vc.CountData.replaced],
)
def test_changes_of_the_counts_keep_them(data, change):
    changed = change(data)
    np.testing.assert_array_equal(changed.covariates, data.covariates)
    assert list(changed.category_names) == list(data.category_names)
    assert changed.continuous_names.tolist() == data.continuous_names.tolist()


def test_a_subset_keeps_those_of_its_cells(data):
    part = data.subset([7, 3])
    np.testing.assert_array_equal(part.covariates, data.covariates[[7, 3]])
    assert part.n_cats_per_cov == [3, 2]
    assert list(part.covariates_of(np.array([1]))) == ["covariates"]
    torch.testing.assert_close(part.covariates_of(np.array([1]))["covariates"], torch.tensor(data.covariates[[3]]))


def test_data_without_covariates_hand_over_none():
    data = vc.simulate_counts(20, 5)
    assert data.covariates.shape == (20, 0)
    assert data.covariates_of(np.arange(3)) == {}
    assert len(data.minibatch(np.arange(3))) == 3


def test_a_shard_has_the_names_of_all_cells(adata):
    other = adata[np.argsort(adata.obs["donor"].to_numpy())].copy()
    last = load(other, shard=(2, 3))
    assert last.n_cats_per_cov == [3, 2]
    assert last.n_cells == 100
    np.testing.assert_array_equal(last.covariates, load(other).covariates[200:])


def test_covariates_are_read_from_a_file(adata, data, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(vc.load_h5ad(tmp_path / "cells.h5ad", **KEYS).covariates, data.covariates)


def test_choosing_genes_keeps_covariates(adata, data, tmp_path):
    pytest.importorskip("skmisc", reason="NOT RUN: scikit-misc is not installed (pip install 'vae-course[genes]')")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    few = vc.load_h5ad(tmp_path / "cells.h5ad", batch_key="batch", n_top_genes=15, **KEYS)
    assert few.n_genes == 15
    np.testing.assert_array_equal(few.covariates, data.covariates)
    assert few.batch_names.tolist() == ["A", "B"]


REFUSED = {
    "codes of too few cells": ({"categorical_covariates": np.zeros((2, 1), int)}, r"expected shape \(3, covariates\)"),
    "a column": ({"continuous_covariates": np.zeros(3)}, r"continuous_covariates needs a row per cell.*got \(3,\)"),
    "negative": ({"categorical_covariates": [[-1], [0], [0]]}, "'categorical 0' has to hold the codes 0, 1, 2"),
    "too few names": (
        {"categorical_covariates": [[2], [0], [0]], "category_names": {"donor": ["d", "e"]}},
        "'donor' has codes up to 2 but only 2 name",
    ),
    "no name": ({"categorical_covariates": [[0, 0]] * 3, "category_names": {"donor": ["d"]}}, "each of 2 covariate"),
    "NaN": ({"continuous_covariates": [[0.0], [np.nan], [1.0]]}, r"1 missing or infinite value.*cell 1 in 'continuous"),
    "too large": ({"continuous_covariates": [[0.0], [1.0], [1e39]]}, "missing or infinite value.*cell 2"),
    "text": ({"continuous_covariates": [["a"], ["b"], ["c"]]}, "has to hold numbers"),
    "names": ({"continuous_covariates": np.zeros((3, 2)), "continuous_names": ["age"]}, "a name for each of 2"),
    "twice": ({"continuous_covariates": np.zeros((3, 2)), "continuous_names": ["age", "age"]}, "'age' comes twice"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_data_that_are_no_covariates_are_refused(what):
    arguments, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        vc.CountData(np.ones((3, 2)), **arguments)


REFUSED_COLUMNS = {
    "missing": ({"categorical_covariate_keys": ["mouse"]}, "categorical_covariate_keys: there is no column 'mouse'"),
    "missing number": ({"continuous_covariate_keys": ["size"]}, "continuous_covariate_keys: there is no column 'size'"),
    "NaN": ({"continuous_covariate_keys": ["nan"]}, "column 'nan' has no value for 1 cells"),
    "infinite": ({"continuous_covariate_keys": ["inf"]}, "column 'inf' has to hold finite numbers, got 'inf'"),
    "names": ({"continuous_covariate_keys": ["label"]}, "'label' has to hold finite numbers, got '[KL]'.*categorical"),
    "one name": ({"categorical_covariate_keys": "donor"}, r"has to be a list of columns: use \['donor'\]"),
    "twice": ({"categorical_covariate_keys": ["age"]}, "'age' comes twice"),
}


@pytest.mark.parametrize("what", REFUSED_COLUMNS)
def test_columns_that_are_no_covariates_are_refused(adata, what):
    other = adata.copy()
    other.obs["nan"], other.obs["inf"] = other.obs["age"], other.obs["age"]
    other.obs.loc["cell 3", "nan"], other.obs.loc["cell 3", "inf"] = np.nan, np.inf
    keys, message = REFUSED_COLUMNS[what]
    with pytest.raises(ValueError, match=message):
        load(other, **keys)


def test_a_covariate_called_batch_has_no_place_in_obs(adata):
    data = vc.CountData.from_anndata(adata, batch_key="site", categorical_covariate_keys=["batch"])
    with pytest.raises(ValueError, match="'batch' comes twice"):
        data.to_anndata()


def test_a_constant_column_is_fine(adata):
    other = adata.copy()
    other.obs["stress"], other.obs["site"] = 1, "s"
    data = load(other)
    assert data.n_cats_per_cov == [3, 1]
    assert np.isfinite(vc.Posterior(train(data, 1), data).elbo())


# --------------------------------------------------------------------------------------------------------------------
# The model
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [vc.VAE, vc.FastVAE])
def test_the_gradient_reaches_every_column_of_the_decoder(data, kind):
    model = vae(data, kind, n_layers=2)
    model.prepare(data)
    x = model.collate(data.counts, torch.device("cpu"))
    _, *codes = data.minibatch(np.arange(N_CELLS))
    sum(model.loss_terms(x, *codes, **data.covariates_of(np.arange(N_CELLS)))).mean().backward()
    for layer, n_columns in zip(model.decoder.px_decoder.fc_layers, (3 + 2 + 2 + 3 + 2, 16 + 2 + 3 + 2), strict=True):
        assert layer[0].weight.shape[1] == n_columns
        assert (layer[0].weight.grad.abs().amax(dim=0) > 0).all()


def test_draws_are_decoded_each_with_the_covariates_of_its_cell(data, model):
    x, batch_index, labels = data.minibatch(np.arange(9))
    covariates = data.covariates_of(np.arange(9))["covariates"]
    with torch.no_grad():
        found = model.inference(x, batch_index, labels, 4, covariates)
        for z, library, px_scale in zip(found["z"], found["library"], found["px_scale"], strict=True):
            decoder_input = torch.cat([z, covariates[:, 2:]], dim=1)
            one = model.decoder("gene", decoder_input, library, batch_index, covariates[:, 0], covariates[:, 1])[0]
            torch.testing.assert_close(px_scale, one)


def test_a_model_without_covariates_ignores_those_of_the_data(adata, data):
    without = vc.CountData.from_anndata(adata, batch_key="batch", label_key="label")
    model = train(without)
    assert vc.Posterior(model, data).elbo() == vc.Posterior(model, without).elbo()
    other = train(data, n_cats_per_cov=(), n_continuous_cov=0)
    assert vc.Posterior(other, data).elbo() == vc.Posterior(model, data).elbo()
    assert other.names == model.names
    x, *codes = data.minibatch(np.arange(5))
    assert model.inference(x, *codes, **data.covariates_of(np.arange(5)))["px_scale"].shape == (5, 20)


def test_a_model_that_takes_no_covariates_trains_on_data_that_have_some(data):
    class OfALearner(vc.VAE):
        def loss_terms(self, x, batch_index=None, y=None):
            return super().loss_terms(x, batch_index, y)

    vc.UnsupervisedTrainer(OfALearner(20, n_hidden=8), data, n_epochs_kl_warmup=0).train(1)
    vc.UnsupervisedTrainer(vc.BinaryVAE(20), data.binarize(), n_epochs_kl_warmup=0).train(1)


def test_covariates_that_are_needed_are_asked_for(data, model):
    x, *codes = data.minibatch(np.arange(5))
    with pytest.raises(ValueError, match=r"needs covariates of shape \(5, 4\), the codes of 2 categorical.*got none"):
        model.loss_terms(x, *codes)
    with pytest.raises(ValueError, match=r"got shape \(5, 3\)"):
        model.loss_terms(x, *codes, torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"0\.\.2 \(3 categories\)"):
        model.loss_terms(x, *codes, torch.full((5, 4), 3.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cats_per_cov": [3]}, r"categorical covariates of \[3\] categories, the data have \[3, 2\]"),
        ({"n_continuous_cov": 1}, "1 continuous covariate.*the data have 2"),
        ({"n_cats_per_cov": [3, 0]}, "Each entry of n_cats_per_cov has to be a whole number of at least 1"),
        ({"n_continuous_cov": -1}, "n_continuous_cov has to be a whole number of at least 0"),
    ],
)
def test_a_model_of_other_covariates_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        train(data, **options)


def test_a_covariate_that_moves_the_counts_is_taken_out(data, model):
    """The share of the genes that double with the age, decoded as it is and as if all cells were of age 0."""
    ages = data.continuous_covariates[:, 0]
    as_one = data.continuous_covariates.copy()
    as_one[:, 0] = 0
    same_age = data.replaced(continuous_covariates=as_one)
    np.testing.assert_array_equal(
        vc.Posterior(model, same_age).get_latent()[0], vc.Posterior(model, data).get_latent()[0]
    )
    before, after = (np.log(scale(model, cells)[:, :5].sum(axis=1)) for cells in (data, same_age))
    assert np.corrcoef(before, ages)[0, 1] > 0.9
    assert np.polyfit(ages, after, 1)[0] < 0.35 * np.polyfit(ages, before, 1)[0]


# --------------------------------------------------------------------------------------------------------------------
# Names, files, trainers
# --------------------------------------------------------------------------------------------------------------------


def test_covariates_in_another_order_and_with_other_codes_are_matched_by_name(adata, data, model):
    other = adata.copy()
    other.obs["donor"] = other.obs["donor"].cat.set_categories(["f", "d", "e"])
    shuffled = load(
        other, categorical_covariate_keys=["label", "site", "donor"], continuous_covariate_keys=["stress", "age"]
    )
    np.testing.assert_array_equal(matched(shuffled, model).covariates, data.covariates)
    np.testing.assert_array_equal(scale(model, shuffled), scale(model, data))
    assert matched(data, model) is data


def test_a_subset_of_the_categories_gets_the_codes_of_their_names(adata, data, model):
    cells = (adata.obs["donor"] == "f").to_numpy()
    part = load(adata[cells].copy())
    assert part.n_cats_per_cov == [1, 2]
    np.testing.assert_array_equal(matched(part, model).covariates, data.covariates[cells])


def test_data_without_names_go_by_position(data, model):
    unnamed = vc.CountData(
        data.counts,
        data.batch_index,
        data.labels,
        categorical_covariates=data.categorical_covariates,
        continuous_covariates=data.continuous_covariates,
    )
    np.testing.assert_array_equal(scale(model, unnamed), scale(model, data))


def test_what_the_model_does_not_know_is_named(adata, model):
    with pytest.raises(ValueError, match=r"lack the categorical covariate\(s\) 'site'.*they have 'donor'"):
        vc.Posterior(model, load(adata, categorical_covariate_keys=["donor"]))
    with pytest.raises(ValueError, match=r"lack the continuous covariate\(s\) 'age', 'stress'.*they have none"):
        vc.Posterior(model, load(adata, continuous_covariate_keys=[]))
    other = adata.copy()
    other.obs["donor"] = other.obs["donor"].astype(str).replace("e", "new")
    with pytest.raises(ValueError, match=r"categories 'd', 'e', 'f' of 'donor'; the data have 'new'"):
        vc.Posterior(model, load(other))


def test_names_and_numbers_survive_saving(data, model, tmp_path):
    model.save(tmp_path / "model.pt")
    loaded = vc.VAE.load(tmp_path / "model.pt")
    assert loaded.names == model.names
    assert loaded.names.categorical_covariates == {"donor": ["d", "e", "f"], "site": ["s", "t"]}
    np.testing.assert_array_equal(scale(loaded, data), scale(model, data))


def test_a_file_from_before_there_were_covariates_loads(adata, tmp_path):
    data = vc.CountData.from_anndata(adata)
    model = train(data, 1)
    model.save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    for new in ("n_cats_per_cov", "n_continuous_cov"):
        del content["options"][new]
    for new in ("categorical_covariates", "continuous_covariates"):
        del content["names"][new]
    torch.save(content, tmp_path / "model.pt")
    loaded = vc.VAE.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(scale(loaded, data), scale(model, data))
    loaded.save(tmp_path / "again.pt")
    assert vc.VAE.load(tmp_path / "again.pt").names == model.names


def test_everything_that_is_asked_of_a_posterior_works(data, model):
    cells = vc.Posterior(model, data, np.arange(0, N_CELLS, 2), batch_size=40)
    assert cells.marginal_ll(20) > cells.elbo()
    assert cells.generate(2)[0].shape == (150, 20, 2)
    assert cells.get_stats().shape == (150,)
    assert cells.corrupted().imputation_score() > 0
    assert cells.imputation(2).shape == (2, 150, 20)
    harmonized = [cells.get_harmonized_scale(batch) for batch in (0, 1)]
    assert not np.array_equal(*harmonized)
    own = data.batch_index[cells.indices, None] == 0
    np.testing.assert_array_equal(np.where(own, *harmonized), cells.get_sample_scale())


def test_differential_expression_decodes_with_the_covariates_of_each_cell(data, model):
    """Old cells against young ones: their genes differ through the covariate, and not once it is the same for all."""
    old = data.continuous_covariates[:, 0] > 0
    table = vc.Posterior(model, data).differential_expression_score(old, ~old, n_samples=500).set_index("gene")
    assert (table["lfc"][GENES[:5]] > 0.3).all()
    as_one = data.replaced(continuous_covariates=np.zeros((N_CELLS, 2)))
    without = vc.Posterior(model, as_one).differential_expression_score(old, ~old, n_samples=500).set_index("gene")
    assert without["lfc"][GENES[:5]].mean() < 0.5 * table["lfc"][GENES[:5]].mean()


def test_running_averages_are_finished_with_the_covariates(data, monkeypatch):
    """With the weights standing still, a year more for all cells moves the averages by the column of the age."""
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)
    averages = []
    for years in (0, 1):
        model = vae(data)
        older = data.replaced(continuous_covariates=data.continuous_covariates + np.array([years, 0]))
        vc.UnsupervisedTrainer(model, older, n_epochs_kl_warmup=0).train(1)
        linear, norm = model.decoder.px_decoder.fc_layers[0][:2]
        averages.append(norm.running_mean.clone())
    torch.testing.assert_close(averages[1] - averages[0], linear.weight[:, model.n_latent].detach())


def test_a_checkpoint_does_not_go_on_with_other_covariates(data, tmp_path):
    def trainer(data: vc.CountData) -> vc.UnsupervisedTrainer:
        return vc.UnsupervisedTrainer(vae(data), data, n_epochs_kl_warmup=0)

    trainer(data).train(1, checkpoint=tmp_path / "run.pt")
    trainer(data).train(1, checkpoint=tmp_path / "run.pt", resume=True)
    older = data.replaced(continuous_covariates=data.continuous_covariates + 1)
    with pytest.raises(ValueError, match="another run: counts, batches, labels and covariates differ"):
        trainer(older).train(1, checkpoint=tmp_path / "run.pt", resume=True)
