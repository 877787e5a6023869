"""The exchange of weights with scvi-tools, and the agreement of everything that is computed from them.

The tests with `scvi` in their arguments need scvi-tools and are reported as NOT RUN without it; the recorded cases
(data/record_scvi_tools.py) run everywhere.

Log-likelihoods are compared with a float64 evaluation of scvi-tools' own tensors, because the float32 one that
scvi-tools computes from them itself may be off by up to 0.024 nats a cell (SCVI_TOOLS_ERROR).
"""

import json
import sys
from itertools import product

import numpy as np
import pytest
import torch
from closeness import assert_close
from scipy.special import gammaln, log_expit

import vae_course as vc
from vae_course.exercises.recorded import RECORDED, recorded_comparison, recorded_outputs
from vae_course.vae import select_dispersion

pytestmark = pytest.mark.numerical
NOT_RUN = "NOT RUN: scvi-tools is not installed (pip install 'vae-course[compare]')"
SCVI_TOOLS_ERROR = 0.024
DISPERSIONS = ("gene", "gene-batch", "gene-label", "gene-cell")
CASES = list(product(DISPERSIONS, ("zinb", "nb"), (1, 2), ("latent", "observed"), (1, 3)))
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
every_dispersion = pytest.mark.parametrize("dispersion", DISPERSIONS)
PRIOR = {"library_log_means", "library_log_vars"}


def exact_log_likelihood(x, mu, theta, zi_logits=None):
    """Sum over genes of log NB, or of log ZINB, in float64, (cells,): written down again, for an independent check."""
    x, mu, theta = (np.asarray(t, dtype=np.float64) for t in (x, mu, theta))
    log_prob = gammaln(x + theta) - gammaln(theta) - gammaln(x + 1)
    log_prob += theta * np.log(theta / (theta + mu)) + x * np.log(mu / (theta + mu))
    if zi_logits is not None:
        zi_logits = np.asarray(zi_logits, dtype=np.float64)
        log_prob = log_expit(-zi_logits) + log_prob
        log_prob = np.where(x == 0, np.logaddexp(log_expit(zi_logits), log_prob), log_prob)
    return log_prob.sum(axis=1)


def assert_same_bits(state, other, names=None):
    """Compare state dicts bit for bit, NaN included."""
    assert names is not None or state.keys() == other.keys()
    for name in names or state:
        assert state[name].shape == other[name].shape, name
        assert state[name].numpy().tobytes() == other[name].numpy().tobytes(), name


# --------------------------------------------------------------------------------------------------------------------
# Live: against the scvi-tools that is installed
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def scvi():
    return pytest.importorskip("scvi", reason=NOT_RUN)


@pytest.fixture(scope="session")
def cells(scvi):
    """Simulated cells by number of batches, as our data and as an AnnData that scvi-tools has set up."""
    result = {}
    for n_batches in (1, 3):
        data = vc.simulate_counts(60, 20, n_labels=3, n_batches=n_batches, mean_library=200, seed=n_batches)
        adata = data.to_anndata()
        scvi.model.SCVI.setup_anndata(adata, batch_key="batch", labels_key="label")
        result[n_batches] = data, adata
    return result


@torch.no_grad()
def randomise(module, seed):
    """Replace all weights and statistics: those too that start as zeros and ones, where a mix-up would not show."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, tensor in module.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.random_(1, 1000)
            elif name.endswith(("running_var", "library_log_vars")):
                tensor.uniform_(0.5, 2.0)
            else:
                tensor.normal_(0.0, 0.3)
        module.l_encoder.mean_encoder.bias.add_(np.log(200))
        if hasattr(module, "library_log_means"):
            module.library_log_means.add_(np.log(200))


def theirs_of(scvi, cells, case):
    """Return our data, and a scvi-tools model of them in evaluation mode with random weights."""
    dispersion, likelihood, n_layers, library, n_batches = case
    data, adata = cells[n_batches]
    # var_eps is 0 in half of the cases: of each number of layers and of batches
    extra = {"var_eps": 0.0} if (n_layers == 2) != (n_batches == 3) else {}
    model = scvi.model.SCVI(
        adata,
        n_latent=3,
        n_hidden=16,
        n_layers=n_layers,
        dispersion=dispersion,
        gene_likelihood=likelihood,
        use_observed_lib_size=library == "observed",
        extra_encoder_kwargs=extra,
    )
    randomise(model.module, seed=CASES.index(case))
    model.module.eval()
    return data, model


def variance(encoder, x):
    """Variance of q as scvi-tools computes it; its distribution keeps the root, whose square is rounded once more."""
    return encoder.var_activation(encoder.var_encoder(encoder.encoder(torch.log1p(x)))) + encoder.var_eps


@torch.no_grad()
def run_theirs(module, data):
    """Run scvi-tools' module on all cells with seed 0: its outputs under our names, its distribution and its loss."""
    x, batch_index, labels = data.minibatch(np.arange(data.n_cells))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inferred, generated, loss = module({"X": x, "batch": batch_index, "labels": labels})
    z, library, px = inferred["z"], inferred["library"], generated["px"]
    dropout = module.decoder(module.dispersion, z, library, batch_index)[3]
    outputs = {"px_scale": px.scale, "px_r": px.theta, "px_rate": px.mu, "px_dropout": dropout}
    outputs |= {"qz_m": inferred["qz"].loc, "qz_v": variance(module.z_encoder, x), "z": z, "library": library}
    if inferred["ql"] is not None:
        outputs |= {"ql_m": inferred["ql"].loc, "ql_v": variance(module.l_encoder, x)}
    return outputs, px, loss


@every_case
def test_every_tensor_agrees(scvi, cells, case):
    data, theirs = theirs_of(scvi, cells, case)
    ours = vc.VAE.from_scvi_tools(theirs)
    assert not ours.training
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        inferred = ours.inference(*data.minibatch(np.arange(data.n_cells)))
    expected, _, _ = run_theirs(theirs.module, data)
    if ours.library == "observed":  # there is no q(l|x) in scvi-tools then, and a point in ours
        assert torch.equal(inferred.pop("ql_m"), expected["library"])
        assert not inferred.pop("ql_v").any()
    assert inferred.keys() == expected.keys()
    for name, tensor in inferred.items():
        assert_close(tensor.expand_as(expected[name]), expected[name], what=name)


@every_case
def test_log_likelihood_and_kl_agree(scvi, cells, case):
    data, theirs = theirs_of(scvi, cells, case)
    ours = vc.VAE.from_scvi_tools(theirs)
    terms = vc.Posterior(ours, data).loss_terms(seed=0)
    _, px, loss = run_theirs(theirs.module, data)
    zi_logits = px.zi_logits if ours.likelihood == "zinb" else None
    exact = exact_log_likelihood(data.counts.toarray(), px.mu, px.theta, zi_logits)
    assert_close(-terms.reconstruction, exact)
    np.testing.assert_allclose(-loss.reconstruction_loss["reconstruction_loss"], exact, rtol=0, atol=SCVI_TOOLS_ERROR)
    assert_close(terms.kl_global, loss.kl_local["kl_divergence_z"])
    assert_close(terms.kl_local, loss.kl_local["kl_divergence_l"])


@every_case
def test_round_trip_is_exact(scvi, cells, case):
    data, theirs = theirs_of(scvi, cells, case)
    ours = vc.VAE.from_scvi_tools(theirs)
    assert_same_bits(theirs.module.state_dict(), ours.state_dict(), names=list(theirs.module.state_dict()))
    assert ours.state_dict().keys() - theirs.module.state_dict().keys() <= (
        PRIOR if ours.library == "observed" else set()
    )
    for adata in (cells[data.n_batches][1], data.to_anndata()):  # set up by scvi-tools; not set up yet
        returned = ours.to_scvi_tools(adata)
        assert not returned.module.training
        assert_same_bits(theirs.module.state_dict(), returned.module.state_dict())
        again = vc.VAE.from_scvi_tools(returned)
        assert_same_bits(ours.state_dict(), again.state_dict())
        options = {"n_labels"} if ours.dispersion != "gene-label" else set()  # without use there, so not handed over
        assert {k: v for k, v in again.options.items() if k not in options} == {
            k: v for k, v in ours.options.items() if k not in options
        }


@every_case
def test_public_methods_agree(scvi, cells, case):
    data, theirs = theirs_of(scvi, cells, case)
    ours = vc.VAE.from_scvi_tools(theirs)
    returned, posterior = ours.to_scvi_tools(data.to_anndata()), vc.Posterior(ours, data)
    assert_close(posterior.get_latent()[0], returned.get_latent_representation())

    def draw(method, **options):  # a data loader takes a number from the global generator unless given another one
        torch.manual_seed(4)
        return method(data_loader_kwargs={"generator": torch.Generator()}, **options)

    with torch.random.fork_rng():
        scale = draw(returned.get_normalized_expression, return_numpy=True)
        other = str(data.n_batches - 1)
        transform = {"transform_batch": other} if data.n_batches > 1 else {}
        harmonized = draw(returned.get_normalized_expression, return_numpy=True, **transform)
        elbo = draw(returned.get_elbo).item()
    assert_close(posterior.get_sample_scale(seed=4), scale)
    assert_close(posterior.get_harmonized_scale(data.n_batches - 1, seed=4), harmonized)
    assert_close(posterior.elbo(seed=4), elbo)


@every_dispersion
def test_training_loss_and_gradients_agree(scvi, cells, dispersion):
    """In training mode too, where batch normalisation looks at the minibatch and dropout is drawn."""
    data, theirs = theirs_of(scvi, cells, (dispersion, "zinb", 2, "latent", 3))
    ours, module = vc.VAE.from_scvi_tools(theirs).train(), theirs.module.train()
    x, batch_index, labels = data.minibatch(np.arange(data.n_cells))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loss = module({"X": x, "batch": batch_index, "labels": labels}, loss_kwargs={"kl_weight": 0.3})[2].loss
        torch.manual_seed(0)
        terms = ours.loss_terms(x, batch_index, labels)
    loss.backward()
    our_loss = (terms.reconstruction + terms.kl_local + 0.3 * terms.kl_global).mean()
    our_loss.backward()
    assert_close(our_loss.item(), loss.item())
    for name, buffer in ours.named_buffers():
        assert_close(buffer, module.get_buffer(name), tolerance=1e-6, what=name)
    gradients = {name: p.grad for name, p in module.named_parameters()}
    largest = max(gradient.abs().max().item() for gradient in gradients.values() if gradient is not None)
    for name, parameter in ours.named_parameters():
        assert (parameter.grad is None) == (gradients[name] is None), name
        if parameter.grad is not None:
            np.testing.assert_allclose(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6 * largest, err_msg=name)


UNSUPPORTED = {
    "encode_covariates": ({}, {"encode_covariates": True}, "encode_covariates"),
    "size factor": ({"size_factor_key": "size"}, {}, "size.factor"),
    "layer norm": ({}, {"use_layer_norm": "both"}, "use_layer_norm"),
    "layer norm in the decoder": ({}, {"use_layer_norm": "decoder"}, "use_layer_norm"),
    "no batch norm": ({}, {"use_batch_norm": "none"}, "use_batch_norm"),
    "normal likelihood": ({}, {"gene_likelihood": "normal"}, "gene_likelihood='normal'"),
    "covariates in the first layer only": (
        {},
        {"n_layers": 2, "deeply_inject_covariates": False},
        "deeply_inject_covariates",
    ),
    "logistic normal": ({}, {"latent_distribution": "ln"}, "latent_distribution='ln'"),
    "batch embedding": ({}, {"batch_representation": "embedding"}, "batch_representation='embedding'"),
    "variance activation": ({}, {"var_activation": torch.nn.functional.softplus}, "var_activation"),
    "activation of the encoders": ({}, {"extra_encoder_kwargs": {"activation_fn": torch.nn.GELU}}, "activation_fn"),
    "activation of the decoder": ({}, {"extra_decoder_kwargs": {"activation_fn": torch.nn.GELU}}, "activation_fn"),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_an_unsupported_option_is_named(scvi, what):
    setup, options, named = UNSUPPORTED[what]
    data = vc.simulate_counts(60, 20, n_batches=3, mean_library=200, seed=3)
    adata = data.to_anndata()
    adata.obs["size"] = data.counts.sum(axis=1).A1 / 200
    scvi.model.SCVI.setup_anndata(adata, batch_key="batch", **setup)
    model = scvi.model.SCVI(adata, n_latent=3, n_hidden=16, **options)
    with pytest.raises(ValueError, match=named):
        vc.VAE.from_scvi_tools(model)


def test_data_that_do_not_fit_are_refused(scvi):
    model = vc.VAE(20, n_batch=3, library="observed", n_hidden=16)
    for other in (vc.simulate_counts(60, 19, n_batches=3), vc.simulate_counts(60, 20, n_batches=2)):
        with pytest.raises(ValueError, match="AnnData"):
            model.to_scvi_tools(other.to_anndata())


def permuted(adata):
    """The same cells with genes and categories in another order, and a category that no cell has."""
    other = adata[:, ::-1].copy()
    names = adata.obs["batch"].cat.categories
    other.obs["batch"] = other.obs["batch"].cat.set_categories(["unused", *reversed(names)])
    return other


def test_names_come_from_scvi_tools(scvi):
    adata = vc.simulate_counts(60, 20, n_batches=3, mean_library=200, seed=3).to_anndata()
    other = permuted(adata)
    scvi.model.SCVI.setup_anndata(other, batch_key="batch", labels_key="label")
    ours = vc.VAE.from_scvi_tools(scvi.model.SCVI(other, n_hidden=16))
    assert ours.names.genes == list(reversed(adata.var_names))
    assert ours.names.batches == ["unused", "2", "1", "0"]
    data = vc.CountData.from_anndata(adata, batch_key="batch", label_key="label")
    assert vc.Posterior(ours, data).data.batch_index.tolist() == (3 - data.batch_index).tolist()


def test_scvi_tools_gets_the_data_in_the_order_of_the_model(scvi):
    data = vc.simulate_counts(60, 20, n_batches=3, mean_library=200, seed=3)
    ours = vc.VAE(20, n_batch=3, n_hidden=16)
    vc.UnsupervisedTrainer(ours, data, n_epochs_kl_warmup=0).train(1)
    expected = ours.to_scvi_tools(data.to_anndata()).get_latent_representation()
    np.testing.assert_array_equal(ours.to_scvi_tools(permuted(data.to_anndata())).get_latent_representation(), expected)


@pytest.mark.parametrize("what", ["genes", "batches"])
def test_data_that_were_set_up_in_another_order_are_refused(scvi, what):
    data = vc.simulate_counts(60, 20, n_batches=3, mean_library=200, seed=3)
    ours = vc.VAE(20, n_batch=3, n_hidden=16)
    vc.UnsupervisedTrainer(ours, data, n_epochs_kl_warmup=0).train(1)
    adata = data.to_anndata()
    other = adata[:, ::-1].copy() if what == "genes" else adata
    if what == "batches":
        other.obs["batch"] = other.obs["batch"].cat.set_categories(["2", "1", "0"])
    scvi.model.SCVI.setup_anndata(other, batch_key="batch")
    with pytest.raises(ValueError, match=f"set up with other {what}"):
        ours.to_scvi_tools(other)


CATEGORICAL, CONTINUOUS = ["donor", "site"], ["age", "size"]


def with_covariates(n_batches=3, shuffled=False):
    """The cells of `cells` with two covariates of each kind, as an AnnData in whose order the codes are not sorted."""
    data = vc.simulate_counts(60, 20, n_labels=3, n_batches=n_batches, mean_library=200, seed=n_batches)
    random, adata = np.random.default_rng(0), data.to_anndata()
    order = (lambda names: names[::-1]) if shuffled else (lambda names: names)
    donors = np.array(["d", "e", "f", "g"])
    adata.obs["donor"] = random.choice(donors, 60)
    adata.obs["donor"] = adata.obs["donor"].astype("category").cat.set_categories(order(donors))
    adata.obs["site"] = random.choice(["t", "s"], 60)
    adata.obs["age"], adata.obs["size"] = random.normal(size=60), data.counts.sum(axis=1).A1 / 200
    return adata


def their_model(scvi, adata, n_batches=3, **options):
    """A scvi-tools model with covariates of both kinds, with random weights, in evaluation mode."""
    keys = {"categorical_covariate_keys": CATEGORICAL, "continuous_covariate_keys": CONTINUOUS}
    scvi.model.SCVI.setup_anndata(adata, batch_key="batch" if n_batches > 1 else None, labels_key="label", **keys)
    options = {"n_latent": 3, "n_hidden": 16, "use_observed_lib_size": False} | options
    model = scvi.model.SCVI(adata, **options)
    randomise(model.module, seed=5)
    model.module.eval()
    model.is_trained_ = True
    return model


def read(adata):
    keys = {"categorical_covariate_keys": CATEGORICAL, "continuous_covariate_keys": CONTINUOUS}
    return vc.CountData.from_anndata(adata, batch_key="batch", label_key="label", **keys)


def covariates_of(adata):
    """Both tables as scvi-tools registered them: values, and codes."""
    tables = (adata.obsm["_scvi_extra_continuous_covs"], adata.obsm["_scvi_extra_categorical_covs"])
    return [torch.from_numpy(table.to_numpy(np.float32)) for table in tables]


@pytest.mark.parametrize("n_samples", [1, 3])
@pytest.mark.parametrize("n_batches", [1, 3])
@pytest.mark.parametrize("n_layers", [1, 2])
@every_dispersion
@torch.no_grad()
def test_every_tensor_agrees_with_covariates(scvi, dispersion, n_layers, n_batches, n_samples):
    adata = with_covariates(n_batches)
    theirs = their_model(scvi, adata, n_batches, dispersion=dispersion, n_layers=n_layers)
    ours, data, module = vc.VAE.from_scvi_tools(theirs), read(adata), theirs.module
    assert (ours.n_cats_per_cov, ours.n_continuous_cov) == ([4, 2], 2)
    minibatch = x, batch_index, labels = data.minibatch(np.arange(60))
    values, codes = covariates_of(adata)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = ours.inference(*minibatch, n_samples, **data.covariates_of(np.arange(60)))
        torch.manual_seed(0)
        inferred = module.inference(x, batch_index, cont_covs=values, cat_covs=codes)
    z, library = (found["z"], found["library"]) if n_samples > 1 else (inferred["z"], inferred["library"])
    px = module.generative(z, library, batch_index, values, codes.long(), y=labels)["px"]
    decoder_input = torch.cat([z, values.expand(*z.shape[:-1], -1)], dim=-1)
    dropout = module.decoder(dispersion, decoder_input, library, batch_index, *codes.long().split(1, dim=1))[3]
    expected = {"px_scale": px.scale, "px_r": px.theta, "px_rate": px.mu, "px_dropout": dropout}
    expected |= {"z": z, "library": library, "qz_m": inferred["qz"].loc, "ql_m": inferred["ql"].loc}
    expected |= {"qz_v": variance(module.z_encoder, x), "ql_v": variance(module.l_encoder, x)}
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert_close(*torch.broadcast_tensors(found[name], tensor), what=name)


@pytest.mark.parametrize("likelihood", ["zinb", "nb", "poisson"])
def test_scvi_tools_gets_back_its_weights_and_numbers_with_covariates(scvi, likelihood):
    adata = with_covariates()
    theirs = their_model(scvi, adata, gene_likelihood=likelihood)
    ours = vc.VAE.from_scvi_tools(theirs)
    latent = theirs.get_latent_representation()
    posterior = vc.Posterior(ours, read(adata))
    assert_close(posterior.get_latent()[0], latent)

    def scale_of(model):
        torch.manual_seed(4)
        return model.get_normalized_expression(
            return_numpy=True, transform_batch="1", data_loader_kwargs={"generator": torch.Generator()}
        )

    with torch.random.fork_rng():
        scale = scale_of(theirs)
        assert_close(posterior.get_harmonized_scale(1, seed=4), scale)
        for other in (adata, with_covariates(), permuted(with_covariates(shuffled=True))):
            returned = ours.to_scvi_tools(other)
            assert_same_bits(theirs.module.state_dict(), returned.module.state_dict())
            np.testing.assert_array_equal(returned.get_latent_representation(), latent)
            np.testing.assert_array_equal(scale_of(returned), scale)
            again = vc.VAE.from_scvi_tools(returned)
            assert (again.n_cats_per_cov, again.n_continuous_cov) == ([4, 2], 2)
            assert again.names._replace(labels=[]) == ours.names._replace(labels=[])  # labels have no use there


def test_names_of_covariates_come_from_scvi_tools(scvi):
    adata = with_covariates(shuffled=True)
    ours = vc.VAE.from_scvi_tools(their_model(scvi, adata))
    assert ours.names.categorical_covariates == {"donor": ["g", "f", "e", "d"], "site": ["s", "t"]}
    assert list(ours.names.categorical_covariates) == CATEGORICAL
    assert ours.names.continuous_covariates == CONTINUOUS
    codes = vc.Posterior(ours, read(adata)).data.categorical_covariates
    assert codes.tolist() == adata.obsm["_scvi_extra_categorical_covs"].to_numpy().tolist()


def test_covariates_that_were_set_up_in_another_order_are_refused(scvi):
    ours = vc.VAE.from_scvi_tools(their_model(scvi, with_covariates()))
    for keys, what in (
        ((CATEGORICAL[::-1], CONTINUOUS), "categorical"),
        ((CATEGORICAL, CONTINUOUS[::-1]), "continuous"),
        ((None, CONTINUOUS), "categorical"),
    ):
        other = with_covariates()
        scvi.model.SCVI.setup_anndata(
            other, batch_key="batch", categorical_covariate_keys=keys[0], continuous_covariate_keys=keys[1]
        )
        with pytest.raises(ValueError, match=f"set up with other {what} covariates"):
            ours.to_scvi_tools(other)


def test_data_that_lack_covariates_are_refused(scvi):
    ours = vc.VAE.from_scvi_tools(their_model(scvi, with_covariates()))
    adata = with_covariates()
    del adata.obs["site"], adata.obs["age"]
    with pytest.raises(ValueError, match=r"needs the column\(s\) \['site', 'age'\] in obs"):
        ours.to_scvi_tools(adata)
    ours.names = None
    with pytest.raises(ValueError, match="does not know the names of its covariates"):
        ours.to_scvi_tools(with_covariates())


# --------------------------------------------------------------------------------------------------------------------
# Recorded: without scvi-tools
# --------------------------------------------------------------------------------------------------------------------


def recorded_case(dispersion):
    """Return our model with the recorded weights, its input, and the recorded outputs."""
    options, weights, inputs, outputs = recorded_outputs(dispersion)
    model = vc.VAE(**options)
    state = model.state_dict()
    assert state.keys() - weights.keys() == (PRIOR if model.library == "observed" else set())
    model.load_state_dict(weights, strict=False)
    assert {name: t.shape for name, t in weights.items()} == {name: state[name].shape for name in weights}
    return model.eval(), inputs, outputs


def test_the_record_says_what_made_it():
    with (RECORDED / "scvi_tools_1_4_2.npz").open("rb") as file, np.load(file, allow_pickle=False) as recorded:
        versions = json.loads(str(recorded["versions"]))
        assert versions["scvi-tools"] == "1.4.2"
        assert {"python", "torch", "numpy"} <= versions.keys()
        assert {name.split(".")[0] for name in recorded if "." in name} == set(DISPERSIONS)


def test_the_recorded_comparison_holds_together():
    """Five seeds or more, and the summary is that of the pairs."""
    record = recorded_comparison()
    pairs = record["pairs"].values()
    assert len(pairs) >= 5
    assert record["data"]["file"] == "load_pbmc()"
    for name, row in record["summary"].items():
        ours, theirs = (np.array([pair[who][name] for pair in pairs]) for who in ("vae_course", "scvi-tools"))
        assert row["difference"] == pytest.approx((ours - theirs).mean())
        assert row["standard_error"] == pytest.approx((ours - theirs).std(ddof=1) / len(pairs) ** 0.5)
    for pair in pairs:
        for figures in pair.values():
            parts = figures["reconstruction"] + figures["kl_local"] + figures["kl_global"]
            assert figures["negative_elbo"] == pytest.approx(parts)
            assert figures["seconds"] > 0


@every_dispersion
def test_recorded_encoders(dispersion):
    model, inputs, case = recorded_case(dispersion)
    with torch.no_grad():
        inferred = model.inference(*inputs)
        kl_local, kl_global = model.kl(inferred, inputs[1])
    for name in ("qz_m", "qz_v", "ql_m", "ql_v"):
        assert_close(inferred[name], case[name], what=name)
    if model.library == "observed":
        assert_close(inferred["library"], case["library"])
    assert_close(kl_global, case["kl_global"])
    assert_close(kl_local, case["kl_local"])


@every_dispersion
def test_recorded_decoder_and_log_likelihood(dispersion):
    """From the recorded z and l on, as random numbers may differ between machines."""
    model, (x, batch_index, labels), case = recorded_case(dispersion)
    z, library = case["z"], case["library"]
    with torch.no_grad():
        px_scale, px_r, px_rate, px_dropout = model.decoder(dispersion, z, library, batch_index)
        theta = select_dispersion(model.px_r if px_r is None else px_r, model.dispersion, batch_index, labels)
        log_likelihood = model.log_likelihood(x, px_rate, theta, px_dropout).sum(dim=-1)
    decoded = {"px_scale": px_scale, "theta": theta.expand_as(x), "px_rate": px_rate, "px_dropout": px_dropout}
    for name, tensor in decoded.items():
        assert_close(tensor, case[name], what=name)
    assert_close(log_likelihood, case["log_likelihood"])
    zi_logits = case["px_dropout"] if model.likelihood == "zinb" else None
    assert_close(
        case["log_likelihood"], exact_log_likelihood(x, case["px_rate"], case["theta"], zi_logits), tolerance=1e-12
    )
    np.testing.assert_allclose(case["log_likelihood_float32"], case["log_likelihood"], rtol=0, atol=SCVI_TOOLS_ERROR)


@every_dispersion
def test_a_disturbed_weight_does_not_pass_for_the_recorded_one(dispersion):
    """Proves that the two tests above can fail: every weight that is used moves something beyond the tolerance."""
    model, inputs, _ = recorded_case(dispersion)
    unused = {"decoder.px_r_decoder"} if dispersion != "gene-cell" else set()
    if model.library == "observed":
        unused |= {"l_encoder"}

    def everything():
        torch.manual_seed(0)
        inferred = model.inference(*inputs)
        return torch.cat([t.flatten() for t in (*inferred.values(), *model.kl(inferred, inputs[1]))])

    with torch.no_grad(), torch.random.fork_rng():
        before = everything()
        noise = torch.Generator().manual_seed(1)
        for name, tensor in model.state_dict().items():
            if name.startswith(tuple(unused)) or name.endswith("num_batches_tracked") or torch.isnan(tensor).any():
                continue
            original = tensor.clone()
            tensor.add_(
                0.01 * torch.randn(tensor.shape, generator=noise)
            )  # the same for all genes would not change a softmax
            moved = (everything() - before).abs().max()
            tensor.copy_(original)
            assert moved > 1e-5, name


def test_without_scvi_tools_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scvi", None)
    monkeypatch.setitem(sys.modules, "scvi.model", None)
    with pytest.raises(ImportError, match=r"pip install 'vae-course\[compare\]'"):
        vc.VAE(20, library="observed").to_scvi_tools(vc.simulate_counts(60, 20).to_anndata())
