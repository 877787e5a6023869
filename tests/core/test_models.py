"""`BinaryVAE` and `VAE`: shapes, losses against scipy, the prior of the library, options, files, seeds."""

import itertools
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy import sparse, stats
from torch.distributions import Normal, kl_divergence

import vae_course as vc
from vae_course.binary_vae import binary_vae_loss
from vae_course.model import LossTerms
from vae_course.moments import PRIOR_PAIRS, theta_from_moments
from vae_course.vae import select_dispersion

pytestmark = pytest.mark.numerical
CELLS, G, L = 6, 4, 2
DISPERSIONS = ["gene", "gene-batch", "gene-label", "gene-cell"]
LIKELIHOODS = ["zinb", "nb", "poisson"]
LIBRARIES = ["latent", "observed"]
NAMES = ["px_scale", "px_r", "px_rate", "px_dropout", "qz_m", "qz_v", "z", "ql_m", "ql_v", "library"]

X = torch.tensor(
    [[0, 3, 1, 0], [5, 0, 0, 2], [1, 1, 1, 1], [0, 0, 40, 3], [2, 0, 0, 0], [7, 8, 9, 0]], dtype=torch.float32
)
BATCH = torch.tensor([[0], [1], [1], [0], [1], [0]])
LABEL = torch.tensor([[2], [0], [1], [1], [0], [2]])


def make(dispersion="gene", likelihood="zinb", library="latent", **options):
    """A small VAE in evaluation mode, with a library prior that differs between its batches."""
    options = {"n_batch": 2, "n_labels": 3, "n_hidden": 8, "n_latent": L} | options
    model = vc.VAE(G, dispersion=dispersion, likelihood=likelihood, library=library, **options).eval()
    for values, buffer in (((2.0, 3.0), model.library_log_means), ((0.5, 0.2), model.library_log_vars)):
        buffer.copy_(torch.tensor([values[: buffer.shape[1]]]))
    return model


def seeded(seed, function, *arguments, **options):
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        return function(*arguments, **options)


every_option = pytest.mark.parametrize(
    ("dispersion", "likelihood", "library"), list(itertools.product(DISPERSIONS, LIKELIHOODS, LIBRARIES))
)

# --------------------------------------------------------------------------------------------------------------------
# VAE: inference
# --------------------------------------------------------------------------------------------------------------------


@every_option
@pytest.mark.parametrize("n_samples", [1, 3])
def test_inference_returns_ten_tensors_of_the_right_shapes(dispersion, likelihood, library, n_samples):
    found = make(dispersion, likelihood, library).inference(X, BATCH, LABEL, n_samples)
    leading = (n_samples,) if n_samples > 1 else ()
    per_cell, per_gene = (*leading, CELLS), (*leading, CELLS, G)
    theta = {"gene": (G,), "gene-batch": (CELLS, G), "gene-label": (CELLS, G), "gene-cell": per_gene}[dispersion]
    assert list(found) == NAMES
    assert {name: tuple(t.shape) for name, t in found.items()} == {
        **dict.fromkeys(("px_scale", "px_rate", "px_dropout"), per_gene),
        "px_r": theta,
        **dict.fromkeys(("qz_m", "qz_v", "z"), (*per_cell, L)),
        **dict.fromkeys(("ql_m", "ql_v", "library"), (*per_cell, 1)),
    }
    assert (found["px_r"] > 0).all()
    torch.testing.assert_close(found["px_rate"], found["library"].exp() * found["px_scale"])


def test_inference_draws_z_before_l():
    model = make()
    found = seeded(5, model.inference, X, BATCH)
    eps_z, eps_l = seeded(5, lambda: (torch.randn(CELLS, L), torch.randn(CELLS, 1)))
    torch.testing.assert_close(found["z"], found["qz_m"] + found["qz_v"].sqrt() * eps_z)
    torch.testing.assert_close(found["library"], found["ql_m"] + found["ql_v"].sqrt() * eps_l)


def test_draws_of_inference_differ_and_each_is_decoded_for_itself():
    model = make("gene-cell", n_layers=2)
    found = seeded(0, model.inference, X, BATCH, None, 3)
    assert found["z"].unique().numel() == 3 * CELLS * L
    assert torch.equal(found["qz_m"][0], found["qz_m"][2])
    for s in range(3):
        scale, log_theta, rate, dropout = model.decoder("gene-cell", found["z"][s], found["library"][s], BATCH)
        expected = {"px_scale": scale, "px_r": log_theta.exp(), "px_rate": rate, "px_dropout": dropout}
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name][s], tensor)


def test_draws_of_inference_have_the_moments_of_q():
    model = make()
    found = seeded(0, model.inference, X, BATCH, None, 20_000)
    for draws, mean, var in (("z", "qz_m", "qz_v"), ("library", "ql_m", "ql_v")):
        mean, var = found[mean][0], found[var][0]
        assert ((found[draws].mean(dim=0) - mean).abs() < 5 * (var / 20_000).sqrt()).all()
        assert ((found[draws].var(dim=0) - var).abs() < 5 * var * (2 / 20_000) ** 0.5).all()


@pytest.mark.parametrize("n_samples", [1, 3])
def test_an_observed_library_is_the_logarithm_of_the_total(n_samples):
    found = make(library="observed").inference(X, BATCH, None, n_samples)
    expected = X.sum(dim=1, keepdim=True).log().expand(found["library"].shape)
    torch.testing.assert_close(found["library"], expected)
    torch.testing.assert_close(found["ql_m"], expected)
    assert found["ql_v"].abs().max() == 0


@pytest.mark.parametrize("log_variational", [True, False])
def test_the_encoders_see_log_counts_unless_told_otherwise(log_variational):
    model = make(log_variational=log_variational)
    expected = model.z_encoder(torch.log1p(X) if log_variational else X)[0]
    torch.testing.assert_close(model.inference(X, BATCH)["qz_m"], expected)


def test_var_eps_is_added_to_both_variances():
    with_eps, without = (make(var_eps=eps).inference(X, BATCH) for eps in (0.25, 0.0))
    torch.testing.assert_close(with_eps["qz_v"], without["qz_v"] + 0.25)
    torch.testing.assert_close(with_eps["ql_v"], without["ql_v"] + 0.25)


def test_theta_is_the_row_of_the_cells_batch_or_label():
    by_batch, by_label = make("gene-batch"), make("gene-label")
    torch.testing.assert_close(by_batch.inference(X, BATCH)["px_r"], by_batch.px_r.exp().T[BATCH.flatten()])
    torch.testing.assert_close(by_label.inference(X, BATCH, LABEL)["px_r"], by_label.px_r.exp().T[LABEL.flatten()])
    gene = make("gene")
    torch.testing.assert_close(gene.inference(X, BATCH)["px_r"], gene.px_r.exp())


def test_px_r_starts_from_a_standard_normal():
    px_r = vc.VAE(20_000, n_hidden=1).px_r.detach()
    assert px_r.mean().item() == pytest.approx(0, abs=5 / 20_000**0.5)
    assert px_r.var().item() == pytest.approx(1, abs=5 * (2 / 20_000) ** 0.5)


def test_select_dispersion_refuses_an_unknown_mode():
    with pytest.raises(ValueError, match=r"dispersion has to be one of 'gene', .*got 'cell'"):
        select_dispersion(torch.zeros(G), "cell")


@pytest.mark.parametrize(("n_batch", "n_labels"), [(0, 0), (1, 1)])
@pytest.mark.parametrize("dispersion", DISPERSIONS)
def test_a_model_without_batches_and_labels_ignores_them(dispersion, n_batch, n_labels):
    model = make(dispersion, n_batch=n_batch, n_labels=n_labels)
    plain, coded = (seeded(0, model.loss_terms, X, *codes) for codes in ((), (BATCH, LABEL)))
    for a, b in zip(plain, coded, strict=True):
        assert torch.equal(a, b)


def test_codes_may_be_a_column_or_a_row():
    model = make("gene-label")
    for a, b in zip(
        seeded(0, model.loss_terms, X, BATCH, LABEL),
        seeded(0, model.loss_terms, X, BATCH.flatten(), LABEL.flatten()),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_the_batch_reaches_the_decoder_but_not_the_encoders():
    model = make()
    first, second = (seeded(0, model.inference, X, torch.full((CELLS,), code)) for code in (0, 1))
    assert torch.equal(first["z"], second["z"])
    assert not torch.allclose(first["px_scale"], second["px_scale"])


# --------------------------------------------------------------------------------------------------------------------
# VAE: loss
# --------------------------------------------------------------------------------------------------------------------


def log_likelihood_by_scipy(likelihood, inferred):
    """Return log p(x|z, l) of every cell in float64, (cells,)."""
    x, rate = X.numpy().astype(float), inferred["px_rate"].double().numpy()
    if likelihood == "poisson":
        return stats.poisson.logpmf(x, rate).sum(axis=-1)
    theta = inferred["px_r"].double().numpy()
    log_nb = stats.nbinom.logpmf(x, theta, theta / (theta + rate))
    if likelihood == "nb":
        return log_nb.sum(axis=-1)
    pi = 1 / (1 + np.exp(-inferred["px_dropout"].double().numpy()))
    return np.log(pi * (x == 0) + (1 - pi) * np.exp(log_nb)).sum(axis=-1)


def prior_of_library():
    """Return the Gaussian that `make` gives to each cell's log-library."""
    mean, var = torch.tensor([2.0, 3.0])[BATCH], torch.tensor([0.5, 0.2])[BATCH]
    return Normal(mean, var.sqrt())


@every_option
def test_loss_terms_are_the_parts_of_the_negative_elbo(dispersion, likelihood, library):
    model = make(dispersion, likelihood, library)
    terms = seeded(7, model.loss_terms, X, BATCH, LABEL)
    inferred = seeded(7, model.inference, X, BATCH, LABEL)
    kl_z = kl_divergence(Normal(inferred["qz_m"], inferred["qz_v"].sqrt()), Normal(0.0, 1.0)).sum(dim=-1)
    kl_l = torch.zeros(CELLS)
    if library == "latent":
        kl_l = kl_divergence(Normal(inferred["ql_m"], inferred["ql_v"].sqrt()), prior_of_library()).squeeze(-1)
    assert isinstance(terms, LossTerms)
    assert all(term.shape == (CELLS,) for term in terms)
    np.testing.assert_allclose(terms.reconstruction, -log_likelihood_by_scipy(likelihood, inferred), rtol=1e-5)
    torch.testing.assert_close(terms.kl_local, kl_l, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(terms.kl_global, kl_z, rtol=1e-5, atol=1e-5)


@every_option
def test_forward_returns_the_two_numbers_of_the_lectures(dispersion, likelihood, library):
    model = make(dispersion, likelihood, library)
    terms = seeded(7, model.loss_terms, X, BATCH, LABEL)
    found = seeded(7, model, X, BATCH, LABEL)
    assert isinstance(found, tuple)
    torch.testing.assert_close(found[0], terms.reconstruction + terms.kl_local, rtol=0, atol=0)
    torch.testing.assert_close(found[1], terms.kl_global, rtol=0, atol=0)


@every_option
def test_every_weight_that_matters_gets_a_finite_gradient(dispersion, likelihood, library):
    model = make(dispersion, likelihood, library).train()
    sum(model.loss_terms(X, BATCH, LABEL)).mean().backward()
    unused = set()
    if likelihood == "poisson" or dispersion == "gene-cell":
        unused |= {"px_r"}
    if likelihood == "poisson" or dispersion != "gene-cell":
        unused |= {"decoder.px_r_decoder.weight", "decoder.px_r_decoder.bias"}
    if likelihood != "zinb":
        unused |= {"decoder.px_dropout_decoder.weight", "decoder.px_dropout_decoder.bias"}
    for name, parameter in model.named_parameters():
        if name in unused or (library == "observed" and name.startswith("l_encoder")):
            assert not parameter.requires_grad, name
            assert parameter.grad is None, name
        else:
            assert torch.isfinite(parameter.grad).all(), name
            # the bias before a batch normalisation has no effect, so its gradient is 0 up to rounding
            assert parameter.grad.abs().max() > 0 or name.endswith("0.bias"), name


@every_option
def test_importance_terms_belong_to_one_draw(dispersion, likelihood, library):
    # log p(x, z, l) - log q(z, l|x) has to be made of the tensors of a single call of inference
    model = make(dispersion, likelihood, library)
    log_joint, log_q = seeded(7, model.importance_terms, X, BATCH, LABEL, n_samples=3)
    inferred = seeded(7, model.inference, X, BATCH, LABEL, n_samples=3)
    joint = torch.from_numpy(log_likelihood_by_scipy(likelihood, inferred))
    joint = joint + Normal(0.0, 1.0).log_prob(inferred["z"]).sum(dim=-1)
    q = Normal(inferred["qz_m"], inferred["qz_v"].sqrt()).log_prob(inferred["z"]).sum(dim=-1)
    if library == "latent":
        joint = joint + prior_of_library().log_prob(inferred["library"]).squeeze(-1)
        q = q + Normal(inferred["ql_m"], inferred["ql_v"].sqrt()).log_prob(inferred["library"]).squeeze(-1)
    assert log_joint.dtype == log_q.dtype == torch.float64
    torch.testing.assert_close(log_joint, joint.double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_q, q.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("library", LIBRARIES)
def test_importance_terms_of_one_draw_have_its_axis_too(library):
    log_joint, log_q = make(library=library).importance_terms(X, BATCH)
    assert log_joint.shape == log_q.shape == (1, CELLS)


def test_the_mean_importance_weight_is_the_elbo():
    model = make()
    log_joint, log_q = seeded(0, model.importance_terms, X, BATCH, n_samples=4000)
    losses = torch.stack([sum(seeded(seed, model.loss_terms, X, BATCH)) for seed in range(400)]).double()
    log_weights = log_joint - log_q
    error = (log_weights.var(dim=0) / 4000 + losses.var(dim=0) / 400).sqrt()
    assert ((log_weights.mean(dim=0) + losses.mean(dim=0)).abs() < 5 * error).all()


def test_a_likelihood_or_kl_put_in_by_a_subclass_is_used():
    # lessons replace these methods by the learner's own functions
    class Patched(vc.VAE):
        def log_likelihood(self, x, px_rate, px_r, px_dropout):
            return torch.full_like(px_rate, -1.0) + 0 * px_r

        def kl(self, inferred, batch_index):
            return torch.full((CELLS,), 2.0), torch.full((CELLS,), 3.0)

    model = Patched(G, n_hidden=8)
    terms = model.loss_terms(X)
    assert [term.tolist() for term in terms] == [[float(G)] * CELLS, [2.0] * CELLS, [3.0] * CELLS]


# --------------------------------------------------------------------------------------------------------------------
# VAE: the pieces that scVI names
# --------------------------------------------------------------------------------------------------------------------


def test_the_named_pieces_are_parts_of_inference():
    model = make()
    inferred = seeded(1, model.inference, X, BATCH)
    assert torch.equal(seeded(1, model.get_sample_scale, X, BATCH), inferred["px_scale"])
    assert torch.equal(seeded(1, model.get_sample_rate, X, BATCH), inferred["px_rate"])
    assert torch.equal(seeded(1, model.sample_from_posterior_z, X), inferred["z"])
    assert torch.equal(seeded(9, model.sample_from_posterior_z, X, give_mean=True), inferred["qz_m"])
    (latent,) = seeded(1, model.get_latents, X)
    assert torch.equal(latent, inferred["z"])
    assert model.get_sample_scale(X, BATCH, n_samples=3).shape == (3, CELLS, G)
    assert model.get_sample_rate(X, BATCH, n_samples=3).shape == (3, CELLS, G)


def test_sample_from_posterior_l_is_a_draw_of_the_library():
    model = make()
    inferred = model.inference(X, BATCH)
    eps = seeded(1, torch.randn, CELLS, 1)
    expected = inferred["ql_m"] + inferred["ql_v"].sqrt() * eps
    torch.testing.assert_close(seeded(1, model.sample_from_posterior_l, X), expected)
    observed = make(library="observed").sample_from_posterior_l(X)
    torch.testing.assert_close(observed, X.sum(dim=1, keepdim=True).log())


# --------------------------------------------------------------------------------------------------------------------
# VAE: the prior of the library
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_batch", [0, 1, 3])
def test_the_buffers_of_the_prior_have_a_column_per_batch(n_batch):
    model = vc.VAE(G, n_batch=n_batch)
    assert model.library_log_means.shape == model.library_log_vars.shape == (1, max(1, n_batch))


@pytest.mark.parametrize("method", ["loss_terms", "forward", "importance_terms"])
def test_a_latent_library_refuses_a_loss_until_its_prior_is_set(method):
    with pytest.raises(ValueError, match="prior of the library is not set yet"):
        getattr(vc.VAE(G), method)(X)


def test_what_needs_no_prior_works_without_it():
    assert vc.VAE(G).inference(X)["px_rate"].shape == (CELLS, G)
    assert torch.isfinite(sum(vc.VAE(G, library="observed").loss_terms(X))).all()


@pytest.mark.parametrize("forgotten", ["library_log_means", "library_log_vars"])
def test_half_a_prior_is_not_enough(forgotten):
    model = make()
    getattr(model, forgotten).fill_(torch.nan)
    with pytest.raises(ValueError, match="prior of the library is not set yet"):
        model.loss_terms(X, BATCH)


def test_a_prior_set_by_hand_is_used_batch_by_batch():
    model = make()
    inferred = model.inference(X, BATCH)
    q = Normal(inferred["ql_m"], inferred["ql_v"].sqrt())
    expected = kl_divergence(q, prior_of_library()).squeeze(-1)
    torch.testing.assert_close(model.loss_terms(X, BATCH).kl_local, expected, rtol=1e-5, atol=1e-5)


def test_prepare_sets_the_prior_to_mean_and_variance_of_each_batch():
    data = vc.CountData(X, batch_index=BATCH)
    model = vc.VAE(G, n_batch=2)
    model.prepare(data)
    log_totals = [np.log(X.numpy().sum(axis=1)[BATCH.numpy()[:, 0] == b]) for b in (0, 1)]
    np.testing.assert_allclose(model.library_log_means[0], [t.mean() for t in log_totals], rtol=1e-6)
    np.testing.assert_allclose(model.library_log_vars[0], [t.var() for t in log_totals], rtol=1e-6)


@pytest.mark.parametrize("n_batch", [0, 1])
def test_prepare_of_a_model_without_batches_pools_the_cells(n_batch):
    model = vc.VAE(1, n_batch=n_batch)
    model.prepare(vc.CountData([[10], [100], [1000]], batch_index=[0, 1, 1]))
    assert model.library_log_means.item() == pytest.approx(4.60517018598809, rel=1e-6)
    assert model.library_log_vars.item() == pytest.approx(3.53459874031893, rel=1e-6)


# --------------------------------------------------------------------------------------------------------------------
# Where theta starts
# --------------------------------------------------------------------------------------------------------------------


def negative_binomial(theta, n_cells, seed=0):
    """Counts of genes with equal shares, for cells whose totals differ by a factor of up to 4."""
    rng = np.random.default_rng(seed)
    totals = rng.uniform(2000, 8000, size=(n_cells, 1))
    mu = totals / len(theta)
    return sparse.csr_matrix(rng.negative_binomial(theta, theta / (theta + mu)).astype(np.float32))


def test_moments_find_the_theta_that_made_the_counts():
    theta = np.array([0.3, 1.0, 5.0] + [50.0] * 400)  # many genes, so that no gene decides the total of a cell
    found = theta_from_moments(negative_binomial(theta, 20_000), np.zeros(20_000, int), 1)
    assert found.shape == (403, 1)
    np.testing.assert_allclose(found[:3, 0], theta[:3], rtol=0.1)


def test_moments_of_a_table_by_hand():
    counts = sparse.csr_matrix(np.array([[2, 8], [0, 10], [9, 11]], dtype=np.float32))
    y, inverse = np.array([[0.2, 0.0, 0.45], [0.8, 1.0, 0.55]]), np.mean([0.1, 0.1, 0.05])
    mean = y.mean(axis=1)
    own = (y.var(axis=1) - mean * inverse) / mean**2  # of 1 / theta
    own[1] = 0  # less than a Poisson's variance
    typical = own[1]  # the better known half of two genes
    pairs = 3 * (mean / inverse) ** 2
    expected = [(pairs[0] + PRIOR_PAIRS) / (pairs[0] * own[0] + PRIOR_PAIRS * typical), 1000]
    np.testing.assert_allclose(theta_from_moments(counts, np.zeros(3, int), 1)[:, 0], expected)


def test_moments_of_a_rare_gene_are_close_to_those_of_the_others():
    theta = np.full(400, 2.0)
    counts = negative_binomial(theta, 500).tolil()
    counts[:, 0] = 0
    counts[0, 0] = 3  # all the molecules of this gene are in one cell: by itself its theta would be about 0.002
    found = theta_from_moments(counts.tocsr(), np.zeros(500, int), 1)
    assert found[0, 0] == pytest.approx(2, rel=0.2)


def test_moments_stay_in_bounds_and_do_without_the_cells_they_lack():
    counts = sparse.csr_matrix(np.array([[5, 5, 0], [5, 5, 0], [0, 0, 0], [100, 0, 0]], dtype=np.float32))
    found = theta_from_moments(counts, np.array([0, 0, 0, 1]), 3)  # an empty cell, a gene without counts, no group 2
    assert found[0, 0] == found[2, 0] == 1000  # less variance than a Poisson; nothing at all
    np.testing.assert_array_equal(found[:, 2], theta_from_moments(counts, np.zeros(4, int), 1)[:, 0])
    assert np.isfinite(found).all()
    assert found.min() >= 0.01


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("dispersion", DISPERSIONS)
def test_prepare_starts_theta_from_the_moments_in_every_mode(dispersion, likelihood):
    data = vc.simulate_counts(60, G, n_labels=3, n_batches=2, seed=0)
    options = {"n_batch": 2, "n_labels": 3, "n_hidden": 8, "dispersion": dispersion, "likelihood": likelihood}
    model, drawn = vc.VAE(G, **options), vc.VAE(G, **options, dispersion_init="random")
    random_start = deepcopy(drawn.state_dict())
    for one in (model, drawn):
        one.prepare(data)
    name = "decoder.px_r_decoder.bias" if dispersion == "gene-cell" else "px_r"
    assert torch.equal(drawn.state_dict()[name], random_start[name])
    if likelihood == "poisson":
        assert torch.equal(model.state_dict()[name], random_start[name])
        return
    codes = {"gene-batch": data.batch_index, "gene-label": data.labels}.get(dispersion, np.zeros(60, int))
    expected = np.log(theta_from_moments(data.counts, codes, codes.max() + 1)).squeeze()
    np.testing.assert_allclose(model.state_dict()[name], expected, rtol=1e-6)


def test_theta_that_was_learned_or_loaded_stays(tmp_path):
    data = vc.simulate_counts(60, G, seed=0)
    model = vc.VAE(G, n_hidden=8)
    vc.UnsupervisedTrainer(model, data, n_epochs_kl_warmup=0).train(2)
    learned = model.px_r.detach().clone()
    model.save(tmp_path / "model.pt")
    for one in (model, vc.VAE.load(tmp_path / "model.pt")):
        one.prepare(vc.simulate_counts(60, G, seed=1))
        assert torch.equal(one.px_r, learned)


@pytest.mark.parametrize(
    ("counts", "batch", "message"),
    [
        ([[1, 2], [3, 9], [5, 1]], [0, 0, 1], "Batch '1' has 1 training cell"),
        ([[1, 2], [3, 9], [5, 1], [4, 2]], [0, 0, 1, 1], "Batch '1' has cells that all have the same total"),
    ],
)
def test_a_latent_library_refuses_what_it_cannot_learn_from_and_an_observed_one_does_not(counts, batch, message):
    data = vc.CountData(counts, batch_index=batch)
    with pytest.raises(ValueError, match=message + ".*library='observed'"):
        vc.VAE(2, n_batch=2).prepare(data)
    vc.VAE(2, n_batch=2, library="observed").prepare(data)


# --------------------------------------------------------------------------------------------------------------------
# VAE: what it refuses
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dispersion", "likelihood", "library"])
@pytest.mark.parametrize("value", ["genes", "", "ZINB", None])
def test_unknown_options_are_named(name, value):
    with pytest.raises(ValueError, match=rf"{name} has to be one of .*, got {value!r}"):
        vc.VAE(G, **{name: value})


@pytest.mark.parametrize("name", ["n_input", "n_hidden", "n_latent", "n_layers"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "3"])
def test_impossible_sizes_are_named(name, value):
    with pytest.raises(ValueError, match=rf"{name} has to be a whole number of at least 1, got {value!r}"):
        vc.VAE(**{"n_input": G, name: value})


@pytest.mark.parametrize("name", ["n_batch", "n_labels"])
@pytest.mark.parametrize("value", [-1, 2.5])
def test_impossible_numbers_of_batches_and_labels_are_named(name, value):
    with pytest.raises(ValueError, match=rf"{name}.*{value!r}"):
        vc.VAE(G, **{name: value})


@pytest.mark.parametrize(("name", "value"), [("dropout_rate", -0.1), ("dropout_rate", 1.5), ("var_eps", -1.0)])
def test_impossible_rates_are_named(name, value):
    with pytest.raises(ValueError, match=rf"{name}.*{value!r}"):
        vc.VAE(G, **{name: value})


def test_sizes_may_be_numpys_whole_numbers():
    assert vc.VAE(np.int64(G), n_latent=np.int32(3)).inference(X)["z"].shape == (CELLS, 3)


def test_the_wrong_number_of_genes_is_named():
    with pytest.raises(ValueError, match=r"4 genes \(columns\), got counts of shape \(6, 3\)"):
        make().inference(X[:, :3], BATCH)


@pytest.mark.parametrize(
    ("dispersion", "codes", "message"),
    [
        ("gene", (None, None), r"2 categories is missing: give its codes for every cell, for example batch_index"),
        ("gene-label", (BATCH, None), r"needs y: one label per cell, of shape \(6,\)"),
        ("gene", (BATCH[:5], None), r"needs a code for each of 6 cells, got 5"),
        ("gene", (BATCH[:1], None), r"needs a code for each of 6 cells, got 1"),
        ("gene-label", (BATCH, LABEL.T), r"needs y: one label per cell, of shape \(6,\) .*, got shape \(1, 6\)"),
        ("gene", (BATCH + 1, None), r"0\.\.1 \(2 categories\), got 1 to 2"),
        ("gene-label", (BATCH, LABEL - 1), r"0\.\.2 \(3 categories\), got -1 to 1"),
    ],
)
def test_missing_and_wrong_codes_are_named(dispersion, codes, message):
    with pytest.raises(ValueError, match=message):
        make(dispersion).loss_terms(X, *codes)


@pytest.mark.parametrize("n_samples", [0, -2])
def test_impossible_numbers_of_draws_are_named(n_samples):
    with pytest.raises(ValueError, match=f"n_samples.*{n_samples}"):
        make().inference(X, BATCH, n_samples=n_samples)


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({}, {"counts": [[1, 2], [3, 4]]}, r"4 genes \(columns\), got counts of shape \(2, 2\)"),
        ({"n_batch": 3}, {"counts": X, "batch_index": BATCH}, "3 batches, the data have 2"),
        ({"n_labels": 2, "dispersion": "gene-label"}, {"counts": X, "labels": LABEL}, "2 labels, the data have 3"),
    ],
)
def test_prepare_refuses_data_that_do_not_fit(options, data, message):
    with pytest.raises(ValueError, match=message):
        vc.VAE(G, **options).prepare(vc.CountData(**data))


# --------------------------------------------------------------------------------------------------------------------
# BinaryVAE
# --------------------------------------------------------------------------------------------------------------------

BINARY = (X > 0).float()


def test_binary_vae_shapes():
    model = vc.BinaryVAE(G, n_hidden=8)
    mu, logvar = model.encode(BINARY)
    z = model.reparameterize(mu, logvar)
    logits = model.decode(z)
    assert mu.shape == logvar.shape == z.shape == (CELLS, 2)  # two latents unless told otherwise
    assert logits.shape == BINARY.shape
    assert [t.shape for t in model(BINARY)] == [logits.shape, mu.shape, mu.shape]
    assert model.decode(torch.zeros(3, CELLS, 2)).shape == (3, CELLS, G)


def test_binary_vae_loss_is_summed_over_pixels_and_latents_then_averaged_over_cells():
    model = vc.BinaryVAE(G, n_latent=3, n_hidden=8).eval()
    total, bce, kl = seeded(2, model.loss, BINARY)
    logits, mu, logvar = seeded(2, model, BINARY)
    p = torch.sigmoid(logits.double())
    log_likelihood = torch.where(BINARY == 1, p, 1 - p).log().sum(dim=1)
    divergence = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    assert bce.item() == pytest.approx(-log_likelihood.mean().item(), rel=1e-5)
    assert kl.item() == pytest.approx(divergence.mean().item(), rel=1e-5)
    assert total.item() == pytest.approx(bce.item() + kl.item(), rel=1e-6)
    assert [t.item() for t in binary_vae_loss(BINARY, logits, mu, logvar)] == [total.item(), bce.item(), kl.item()]


def test_binary_vae_loss_terms_are_the_same_cell_by_cell():
    model = vc.BinaryVAE(G, n_hidden=8).eval()
    terms = seeded(2, model.loss_terms, BINARY, BATCH, LABEL)
    total, bce, kl = seeded(2, model.loss, BINARY)
    assert all(term.shape == (CELLS,) for term in terms)
    assert terms[0].mean().item() == pytest.approx(bce.item(), rel=1e-6)
    assert terms[1].abs().max() == 0
    assert terms[2].mean().item() == pytest.approx(kl.item(), rel=1e-6)
    assert sum(terms).mean().item() == pytest.approx(total.item(), rel=1e-6)


def test_binary_vae_importance_terms_belong_to_one_draw():
    model = vc.BinaryVAE(G, n_hidden=8).eval()
    log_joint, log_q = seeded(3, model.importance_terms, BINARY, n_samples=4)
    with torch.no_grad():
        mu, logvar = model.encode(BINARY)
        z = mu + (logvar / 2).exp() * seeded(3, torch.randn, 4, CELLS, 2)
        p = torch.sigmoid(model.decode(z).double())
    expected = torch.where(BINARY == 1, p, 1 - p).log().sum(dim=-1) + Normal(0.0, 1.0).log_prob(z).sum(dim=-1)
    torch.testing.assert_close(log_joint, expected.double(), rtol=1e-5, atol=1e-5)
    expected = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(dim=-1)
    torch.testing.assert_close(log_q, expected.double(), rtol=1e-5, atol=1e-5)


def test_binary_vae_latents_are_means_or_draws():
    model = vc.BinaryVAE(G, n_hidden=8).eval()
    mu, logvar = model.encode(BINARY)
    torch.testing.assert_close(model.sample_from_posterior_z(BINARY, give_mean=True), mu)
    draw = seeded(1, model.sample_from_posterior_z, BINARY)
    torch.testing.assert_close(draw, mu + (logvar / 2).exp() * seeded(1, torch.randn, CELLS, 2))


def test_binary_vae_refuses_counts_other_genes_and_impossible_sizes():
    with pytest.raises(ValueError, match=r"entries 0 and 1, got counts up to 40: use data\.binarize"):
        vc.BinaryVAE(G).prepare(vc.CountData(X))
    vc.BinaryVAE(G).prepare(vc.CountData(X).binarize())
    with pytest.raises(ValueError, match=r"4 genes \(columns\), got counts of shape \(6, 3\)"):
        vc.BinaryVAE(G)(BINARY[:, :3])
    with pytest.raises(ValueError, match="n_latent has to be a whole number of at least 1, got 0"):
        vc.BinaryVAE(G, n_latent=0)


# --------------------------------------------------------------------------------------------------------------------
# Seeds and files, of both
# --------------------------------------------------------------------------------------------------------------------

BUILDERS = {
    "VAE": lambda **options: vc.VAE(G, n_batch=2, n_hidden=8, **options),
    "BinaryVAE": lambda **options: vc.BinaryVAE(G, n_hidden=8, **options),
}
both = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def same_weights(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(first[k].equal(second[k]) or k.startswith("library") for k in first)


@both
def test_a_seed_gives_the_same_weights_and_leaves_the_random_state_alone(build):
    torch.rand(3)  # wherever the global generator stands
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = build(seed=4)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    torch.rand(5)
    assert same_weights(first, build(seed=4))
    assert not same_weights(first, build(seed=5))
    assert same_weights(build(), build(seed=0))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dispersion": "gene-batch", "likelihood": "nb", "library": "observed"},
        {"dispersion": "gene-label", "n_layers": 2, "likelihood": "poisson", "var_eps": 0.0},
        {"dispersion": "gene-cell", "n_batch": 0, "dropout_rate": 0.0, "log_variational": False, "seed": 3},
    ],
)
def test_a_saved_vae_comes_back_the_same(tmp_path, options):
    model = make(**options)
    model.train()
    model.loss_terms(X, BATCH, LABEL)  # moves the running means of the batch normalisation
    model.save(tmp_path / "model.pt")
    loaded = vc.VAE.load(tmp_path / "model.pt")
    assert loaded.options == model.options
    assert not loaded.training
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    before, after = (seeded(0, m.eval().loss_terms, X, BATCH, LABEL) for m in (model, loaded))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_saved_binary_vae_comes_back_the_same(tmp_path):
    model = vc.BinaryVAE(G, n_latent=3, n_hidden=8, seed=2)
    model.save(str(tmp_path / "model.pt"))
    loaded = vc.BinaryVAE.load(str(tmp_path / "model.pt"))
    assert loaded.options == model.options
    assert not loaded.training
    assert same_weights(model, loaded)


def test_a_prior_that_was_not_set_is_not_set_after_loading(tmp_path):
    vc.VAE(G).save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="prior of the library is not set yet"):
        vc.VAE.load(tmp_path / "model.pt").loss_terms(X)


@both
def test_saving_leaves_one_file_and_replaces_an_earlier_one(tmp_path, build):
    path = tmp_path / "model.pt"
    build(seed=0).save(path)
    build(seed=1).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
    assert same_weights(type(build()).load(path), build(seed=1))


@both
def test_saving_where_there_is_no_folder_says_so(tmp_path, build):
    with pytest.raises(OSError, match=r"could not write .*model\.pt.*nothing was written"):
        build().save(tmp_path / "missing" / "model.pt")


@both
def test_loading_a_missing_file(tmp_path, build):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*model\.pt"):
        type(build()).load(tmp_path / "model.pt")


@both
@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x80\x02}q\x00.", b"PK\x03\x04" + b"0" * 500])
def test_loading_garbage(tmp_path, build, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.pt (is damaged|does not hold)"):
        type(build()).load(path)


@both
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_loading_a_truncated_file(tmp_path, build, kept):
    path = tmp_path / "model.pt"
    build().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"model\.pt is damaged, incomplete"):
        type(build()).load(path)


@both
def test_loading_a_folder(tmp_path, build):
    with pytest.raises(ValueError, match="is damaged, incomplete or not written by vae_course"):
        type(build()).load(tmp_path)


@pytest.mark.parametrize(("saved", "asked"), [("VAE", "BinaryVAE"), ("BinaryVAE", "VAE")])
def test_loading_the_other_class(tmp_path, saved, asked):
    path = tmp_path / "model.pt"
    BUILDERS[saved]().save(path)
    with pytest.raises(ValueError, match=rf"does not hold a saved {asked} \(found: {saved}\)"):
        type(BUILDERS[asked]()).load(path)


@pytest.mark.parametrize(
    ("content", "found"), [([1, 2], "list"), ({"weights": {}}, "None"), (torch.zeros(2), "Tensor")]
)
def test_loading_something_else_that_torch_can_read(tmp_path, content, found):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"does not hold a saved VAE \(found: {found}\)"):
        vc.VAE.load(tmp_path / "model.pt")


@pytest.mark.parametrize("damage", ["no options", "no weights", "unknown option", "other weights", "missing weight"])
def test_loading_a_file_whose_parts_do_not_fit(tmp_path, damage):
    model = vc.VAE(G, n_hidden=8)
    content = {"model": "VAE", "options": dict(model.options), "weights": model.state_dict()}
    if damage.startswith("no "):
        del content[damage[3:]]
    elif damage == "unknown option":
        content["options"]["n_colours"] = 3
    elif damage == "other weights":
        content["weights"] = vc.VAE(G, n_hidden=9).state_dict()
    else:
        del content["weights"]["px_r"]
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt"):
        vc.VAE.load(tmp_path / "model.pt")


def test_loading_executes_nothing(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"model": "VAE", "options": Malicious()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt is damaged"):
        vc.VAE.load(tmp_path / "model.pt")
    assert not (tmp_path / "executed").exists()
