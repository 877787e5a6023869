"""Posterior: everything one asks of a trained model, and that asking changes nothing."""

import os
import random
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import vae_course as vc
from vae_course import metrics, posterior
from vae_course._seeds import seeded
from vae_course.distributions import normal_log_prob

pytestmark = pytest.mark.numerical
N_CELLS, N_GENES, N_LATENT = 150, 30, 4
SUBSET = np.random.default_rng(0).permutation(N_CELLS)[:90]


def simulated(**options: Any) -> vc.CountData:
    defaults = {"n_cells": N_CELLS, "n_genes": N_GENES, "n_labels": 3, "n_batches": 2, "seed": 0}
    return vc.simulate_counts(**{**defaults, **options})


def trained_vae(data: vc.CountData, n_epochs: int = 30, **options: Any) -> vc.VAE:
    model = vc.VAE(data.n_genes, data.n_batches, data.n_labels, n_hidden=24, n_latent=N_LATENT, **options)
    vc.UnsupervisedTrainer(model, data, batch_size=32, lr=0.01, n_epochs_kl_warmup=0).train(n_epochs)
    return model


@pytest.fixture(scope="module")
def data() -> vc.CountData:
    return simulated()


@pytest.fixture(scope="module")
def model(data) -> vc.VAE:
    return trained_vae(data)


@pytest.fixture
def cells(model, data) -> vc.Posterior:
    """Some cells in no order, in minibatches that do not divide them."""
    return vc.Posterior(model, data, SUBSET, batch_size=32)


@pytest.fixture
def everything(model, data) -> vc.Posterior:
    return vc.Posterior(model, data)


# --------------------------------------------------------------------------------------------------------------------
# For all methods: deterministic, seeded, without side effects
# --------------------------------------------------------------------------------------------------------------------

STATES = np.arange(len(SUBSET)) % 2 == 0

SEEDED = {
    "reconstruction_error": {},
    "elbo": {},
    "loss_terms": {},
    "marginal_ll": {"n_samples": 3},
    "get_latent": {"sample": True},
    "get_sample_scale": {},
    "get_harmonized_scale": {"fixed_batch": 1},
    "get_stats": {},
    "generate_parameters": {},
    "generate": {"n_samples": 2},
    "imputation": {"n_samples": 2},
    "differential_expression_stats": {"n_samples": 2},
    "differential_expression_score": {"cells_1": STATES, "cells_2": ~STATES, "n_samples": 40},
    "one_vs_all_degenes": {"n_samples": 40},
    "within_cluster_degenes": {"states": STATES, "min_cells": 5, "n_samples": 40},
}
OF_CORRUPTED = {"imputation_list": {}, "imputation_score": {}, "imputation_benchmark": {"n_samples": 2}}
UNSEEDED = {
    "get_latent": {},
    "entropy_batch_mixing": {"n_neighbors": 20},
    "knn_purity": {"n_neighbors": 20},
    "nn_overlap_score": {"n_neighbors": 20},
}
QUIET = {
    "clustering_scores": {},
    "t_sne": {"max_iter": 250, "perplexity": 10},
}  # whose seed need not show in the result
METHODS = [*SEEDED.items(), *UNSEEDED.items(), *QUIET.items(), *OF_CORRUPTED.items(), ("corrupted", {})]


def asked(cells: vc.Posterior, name: str, options: dict[str, Any], **more: Any) -> Any:
    cells = cells.corrupted(0.3) if name in OF_CORRUPTED else cells
    result = getattr(cells, name)(**options, **more)
    return result.seen.counts.toarray() if isinstance(result, vc.Posterior) else result


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal to the last bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, pd.DataFrame):
        return first.equals(second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return first == second


@pytest.mark.parametrize(("name", "options"), METHODS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_same_question_has_the_same_answer(cells, name, options):
    first = asked(cells, name, options)
    torch.rand(5)
    cells.marginal_ll(2, seed=9)
    assert same(asked(cells, name, options), first)


@pytest.mark.parametrize(
    ("name", "options"), [*SEEDED.items(), *OF_CORRUPTED.items()], ids=lambda v: v if isinstance(v, str) else ""
)
def test_another_seed_has_another_answer(cells, name, options):
    assert not same(asked(cells, name, options, seed=1), asked(cells, name, options, seed=2))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "options"), METHODS, ids=lambda value: value if isinstance(value, str) else "")
def test_asking_changes_nothing(cells, name, options, training):
    model, data = cells.model, cells.data
    expected = asked(cells, name, options)
    model.train(training)
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    counts, held, indices = data.counts.copy(), dict(vars(cells)), cells.indices.copy()
    torch.rand(3)  # away from the state that a method which seeds the global generator would leave behind
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    try:
        assert same(asked(cells, name, options), expected)  # dropout is off, whatever mode the model is in
        assert all(module.training == training for module in model.modules())
    finally:
        model.eval()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None or not parameter.grad.isnan().any() for parameter in model.parameters())
    assert (data.counts != counts).nnz == 0
    assert vars(cells).keys() == held.keys()
    assert all(vars(cells)[key] is value for key, value in held.items())
    np.testing.assert_array_equal(cells.indices, indices)


def test_the_mode_is_restored_after_an_error(model, data):
    model.train()
    try:
        with pytest.raises(ValueError, match="genes"):
            vc.Posterior(model, simulated(n_genes=7)).elbo()
        assert model.training
    finally:
        model.eval()


UMAP_SCRIPT = """
import numpy as np, torch, vae_course as vc
data = vc.simulate_counts(n_cells=90, n_genes=20, seed=0)
cells = vc.Posterior(vc.VAE(20, n_hidden=8), data, np.arange(90)[::-1])
torch.set_num_threads(1)
state = torch.get_rng_state()
first, again, other = (cells.umap(seed=seed, n_neighbors=10, n_epochs=20) for seed in (0, 0, 1))
print("shape", first.shape == (90, 2) and np.isfinite(first).all())
print("same seed", (first == again).all())
print("other seed", (first != other).any())
print("random state", torch.equal(torch.get_rng_state(), state))
print("threads", torch.get_num_threads() == 1)
"""


def test_umap_gives_coordinates_that_its_seed_decides_and_changes_nothing():
    # numba sets the threads of the OpenMP library that it shares with torch, on whose number the last bits of all
    # that is trained afterwards depend (and its speed, if other programs keep the cores busy). It does so once in a
    # process, hence a fresh one.
    environment = os.environ | {"NUMBA_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UMAP_SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    answers = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
    assert answers == dict.fromkeys(["shape", "same seed", "other seed", "random state", "threads"], "True")


def test_t_sne_gives_coordinates(cells):
    coordinates = cells.t_sne(max_iter=250, perplexity=10)
    assert coordinates.shape == (90, 2)
    assert np.isfinite(coordinates).all()


# --------------------------------------------------------------------------------------------------------------------
# Which cells, in which order
# --------------------------------------------------------------------------------------------------------------------


def test_all_cells_in_order_are_the_default(everything):
    assert everything.indices.tolist() == list(range(N_CELLS))
    assert len(everything) == N_CELLS


@pytest.mark.parametrize(
    "indices",
    [np.arange(N_CELLS) < 40, (np.arange(N_CELLS) < 40).tolist(), list(range(40)), torch.arange(40), range(40)],
    ids=["mask", "list of bool", "list", "tensor", "range"],
)
def test_masks_and_positions_name_cells(model, data, indices):
    cells = vc.Posterior(model, data, indices)
    assert cells.indices.tolist() == list(range(40))
    assert cells.get_latent()[0].shape == (40, N_LATENT)


def test_the_callers_indices_are_copied(model, data):
    indices = np.arange(10)
    cells = vc.Posterior(model, data, indices)
    indices[:] = 0
    assert cells.indices.tolist() == list(range(10))


@pytest.mark.parametrize(
    "indices", [[0, N_CELLS], [-N_CELLS - 1], [0.5], [[0, 1]], np.ones(3, bool), ["a"], 3],
    ids=["too large", "too negative", "fractional", "two axes", "short mask", "strings", "scalar"],
)  # fmt: skip
def test_indices_that_name_no_cells_are_refused(model, data, indices):
    with pytest.raises(ValueError, match=r"cells|mask"):
        vc.Posterior(model, data, indices)


def test_batch_size_has_to_be_positive(model, data):
    with pytest.raises(ValueError, match="batch_size"):
        vc.Posterior(model, data, batch_size=0)


def test_results_come_in_the_order_of_indices(cells, everything):
    latent, batch_index, labels = cells.get_latent()
    all_latent, all_batch_index, all_labels = everything.get_latent()
    np.testing.assert_allclose(latent, all_latent[SUBSET], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(batch_index, all_batch_index[SUBSET])
    np.testing.assert_array_equal(labels, all_labels[SUBSET])
    np.testing.assert_array_equal(all_labels, everything.data.labels)
    np.testing.assert_array_equal(cells.generate(1)[1], cells.data.counts[SUBSET].toarray())


def test_iterating_gives_the_cells_in_minibatches(cells):
    minibatches = list(cells)
    assert [len(m.x) for m in minibatches] == [32, 32, 26]
    np.testing.assert_array_equal(np.concatenate([m.indices for m in minibatches]), SUBSET)
    np.testing.assert_array_equal(torch.cat([m.x for m in minibatches]), cells.data.counts[SUBSET].toarray())
    np.testing.assert_array_equal(torch.cat([m.labels for m in minibatches])[:, 0], cells.data.labels[SUBSET])


def test_shuffled_goes_through_the_same_cells_in_another_order(cells):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = np.concatenate([m.indices for m in cells.shuffled()])
    assert sorted(drawn) == sorted(SUBSET)
    assert drawn.tolist() != SUBSET.tolist()


def test_a_cell_may_be_named_twice(everything, model, data):
    latent = vc.Posterior(model, data, [3, 3, 5]).get_latent()[0]
    np.testing.assert_allclose(latent, everything.get_latent()[0][[3, 3, 5]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 89, 1000])
def test_batch_size_does_not_matter_to_the_latent(cells, model, data, batch_size):
    latent = vc.Posterior(model, data, SUBSET, batch_size).get_latent()[0]
    np.testing.assert_allclose(latent, cells.get_latent()[0], rtol=1e-5, atol=1e-6)


NO_CELLS = {**SEEDED, **UNSEEDED, **QUIET}


@pytest.mark.parametrize("name", [name for name in NO_CELLS if "degenes" not in name and "score" not in name])
def test_without_cells_a_question_is_refused_in_words(model, data, name):
    with pytest.raises(ValueError, match="no cells"):
        getattr(vc.Posterior(model, data, []), name)(**NO_CELLS[name])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("marginal_ll", {}),
        ("generate", {}),
        ("imputation", {}),
        ("differential_expression_stats", {}),
        ("differential_expression_score", {"cells_1": [0], "cells_2": [1]}),
    ],
)
@pytest.mark.parametrize("n_samples", [0, -1])
def test_without_draws_a_question_is_refused_in_words(cells, name, options, n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        getattr(cells, name)(n_samples=n_samples, **options)


# --------------------------------------------------------------------------------------------------------------------
# How well the model explains the cells
# --------------------------------------------------------------------------------------------------------------------


def test_elbo_is_minus_the_sum_of_the_terms(cells):
    terms = cells.loss_terms(seed=3)
    assert [term.shape for term in terms] == [(90,)] * 3
    assert cells.elbo(seed=3) == pytest.approx(-sum(term.double().mean().item() for term in terms), rel=1e-6)
    assert cells.reconstruction_error(seed=3) == pytest.approx(terms.reconstruction.double().mean().item(), rel=1e-6)
    assert cells.reconstruction_error(seed=3) > 0 > cells.elbo(seed=3)
    assert isinstance(cells.elbo(), float)
    assert isinstance(cells.reconstruction_error(), float)


def test_terms_are_those_of_the_model(model, data):
    cells = vc.Posterior(model, data, [4, 2, 9])
    x, batch_index, labels = data.minibatch(np.array([4, 2, 9]))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        expected = model.loss_terms(x, batch_index, labels)
    for ours, theirs in zip(cells.loss_terms(seed=5), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_marginal_ll_lies_above_the_elbo_and_grows_with_the_draws(cells):
    means = [np.mean([cells.marginal_ll(n, seed=seed) for seed in range(5)]) for n in (1, 5, 25, 125)]
    assert means == sorted(means)
    assert means[-1] > cells.elbo()
    single = np.array([cells.marginal_ll(1, seed=seed) for seed in range(40)])
    elbo = np.array([cells.elbo(seed=seed) for seed in range(40)])
    standard_error = np.sqrt((single.var() + elbo.var()) / 40)
    assert abs(single.mean() - elbo.mean()) < 5 * standard_error  # one draw estimates the ELBO


def test_marginal_ll_per_cell_has_values_and_sample_sizes(cells):
    values, ess = cells.marginal_ll(20, return_per_cell=True)
    assert values.shape == ess.shape == (90,)
    assert np.isfinite(values).all()
    assert ((ess >= 1 - 1e-9) & (ess <= 20 + 1e-9)).all()
    assert ess.std() > 0
    assert cells.marginal_ll(20) == pytest.approx(values.mean(), rel=1e-12)
    assert isinstance(cells.marginal_ll(20), float)
    np.testing.assert_allclose(cells.marginal_ll(1, return_per_cell=True)[1], 1, rtol=1e-12)


class LinearGaussian(torch.nn.Module):
    """z ~ N(0, I), x ~ N(W z + b, s2 I), q(z) = N(m, diag(v)): log p(x) is known."""

    def __init__(self, shift: float = 0.3) -> None:
        super().__init__()
        self.loading = torch.tensor([[1.0, 0.5], [0.0, 1.0], [-0.5, 2.0]], dtype=torch.float64)
        self.offset = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
        self.noise, self.shift = 0.5, shift

    def log_marginal(self, x: np.ndarray) -> np.ndarray:
        covariance = self.loading @ self.loading.T + self.noise * torch.eye(3, dtype=torch.float64)
        return stats.multivariate_normal(self.offset.numpy(), covariance.numpy()).logpdf(x)

    def importance_terms(self, x, batch_index=None, y=None, n_samples=1):
        x = x.double()
        precision = torch.eye(2, dtype=torch.float64) + self.loading.T @ self.loading / self.noise
        mean = (x - self.offset) @ self.loading @ torch.linalg.inv(precision) / self.noise + self.shift
        var = torch.tensor([0.8, 0.7], dtype=torch.float64)  # wider than the posterior: weights of finite variance
        # drawn one by one, so that portions and the whole take the same numbers from the generator
        eps = torch.stack([torch.randn(mean.shape, dtype=torch.float64) for _ in range(n_samples)])
        z = mean + var.sqrt() * eps
        log_joint = normal_log_prob(x, z @ self.loading.T + self.offset, torch.full_like(x, self.noise)).sum(-1)
        log_joint = log_joint + normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z)).sum(-1)
        return log_joint, normal_log_prob(z, mean, var.expand_as(mean)).sum(-1)


@pytest.fixture
def linear() -> vc.Posterior:
    counts = np.random.default_rng(0).poisson(1.5, size=(12, 3)) + np.array([1, 0, 0])
    return vc.Posterior(LinearGaussian(), vc.CountData(counts), batch_size=5)


def test_marginal_ll_converges_to_the_truth_of_a_linear_gaussian_model(linear):
    truth = linear.model.log_marginal(linear.data.counts.toarray())
    values, ess = linear.marginal_ll(3000, return_per_cell=True)
    standard_error = np.sqrt(1 / ess - 1 / 3000)  # of log of the mean weight, by the delta method
    assert standard_error.max() < 0.2
    assert (abs(values - truth) < 5 * standard_error).all()
    few = np.mean([linear.marginal_ll(2, seed=seed) for seed in range(100)])
    assert few < truth.mean()  # too low on average, never too high


@pytest.mark.parametrize("portion", [1, 3, 7, 100])
def test_draws_in_portions_give_what_draws_at_once_give(linear, monkeypatch, portion):
    at_once = linear.marginal_ll(20, return_per_cell=True)
    monkeypatch.setattr(posterior, "DECODED_NUMBERS", portion * 5 * 3)  # 5 cells of 3 genes in a minibatch
    in_portions = linear.marginal_ll(20, return_per_cell=True)
    for now, then in zip(in_portions, at_once, strict=True):
        np.testing.assert_allclose(now, then, rtol=1e-12)


@pytest.mark.parametrize(("fitting", "portions"), [(0.1, [1] * 8), (3, [3, 3, 2]), (8, [8]), (100, [8])])
def test_a_vae_never_decodes_more_at_once_than_fits(model, data, monkeypatch, fitting, portions):
    sizes = []

    class Watched(vc.VAE):
        def importance_terms(self, x, batch_index=None, y=None, n_samples=1):
            sizes.append(n_samples)
            return super().importance_terms(x, batch_index, y, n_samples)

    watched = Watched(**model.options)
    watched.load_state_dict(model.state_dict())
    monkeypatch.setattr(posterior, "DECODED_NUMBERS", int(fitting * 32 * N_GENES))
    values, ess = vc.Posterior(watched, data, range(32), batch_size=32).marginal_ll(8, return_per_cell=True)
    assert sizes == portions
    assert values.shape == ess.shape == (32,)
    assert ess.max() > 1


def test_the_model_scores_its_own_kind_of_noise_as_well_as_the_truth_does_but_not_better():
    # The control of Lopez et al.: an estimate that mixes two draws, as in scVI 0.3.0, beats the truth by 0.7 nats.
    noise = vc.simulate_noise(n_cells=1500, seed=0)
    model = vc.VAE(10, n_hidden=32, n_latent=3)
    trainer = vc.UnsupervisedTrainer(model, noise, train_size=0.7, lr=5e-3, n_epochs_kl_warmup=5)
    trainer.train(40)
    x = noise.counts[trainer.test_set.indices].toarray()
    truth = np.log(0.7 * (x == 0) + 0.3 * stats.nbinom(2, 2 / (2 + 4)).pmf(x)).sum(axis=1).mean()
    estimate = trainer.test_set.marginal_ll(100)
    assert truth - 2.5 < estimate < truth + 0.25


# --------------------------------------------------------------------------------------------------------------------
# The latent space
# --------------------------------------------------------------------------------------------------------------------


def test_get_latent_returns_float_and_int_arrays(cells):
    latent, batch_index, labels = cells.get_latent()
    assert (latent.shape, latent.dtype) == ((90, N_LATENT), np.float32)
    assert (batch_index.shape, batch_index.dtype) == ((90,), np.int64)
    assert (labels.shape, labels.dtype) == ((90,), np.int64)


def test_get_latent_gives_the_mean_around_which_it_draws(cells):
    mean = cells.get_latent()[0]
    np.testing.assert_array_equal(cells.get_latent(seed=4)[0], mean)
    draws = np.stack([cells.get_latent(sample=True, seed=seed)[0] for seed in range(200)])
    z = (draws.mean(axis=0) - mean) / (draws.std(axis=0) / np.sqrt(200))
    assert abs(z).max() < 5.5
    assert abs(z).mean() < 1.2


def test_latent_scores_are_those_of_the_metrics(cells):
    latent, batch_index, labels = cells.get_latent()
    assert cells.entropy_batch_mixing(20) == metrics.entropy_batch_mixing(latent, batch_index, 20)
    assert cells.knn_purity(15) == metrics.knn_purity(latent, labels, 15)
    for method in ("kmeans", "gmm"):
        assert cells.clustering_scores(method, seed=1) == metrics.clustering_scores(latent, labels, method, 1)
    assert set(cells.clustering_scores()) == {"asw", "nmi", "nmi_geometric", "ari", "uca"}


def test_the_mixing_of_many_cells_is_that_of_some_among_all(cells):
    latent, batch_index, _ = cells.get_latent()
    neighbours = batch_index[metrics.nearest_other_cells(latent, 20)]  # (cells, 20)
    entropies = np.array([metrics.entropy_from_indices(batches) for batches in neighbours])
    draws = [cells.entropy_batch_mixing(20, max_cells=45, seed=seed) for seed in range(40)]
    standard_error = entropies.std() / np.sqrt(45)
    assert 0 < np.std(draws) < standard_error
    assert abs(np.mean(draws) - entropies.mean()) < 4 * standard_error / np.sqrt(40)
    assert draws[3] == cells.entropy_batch_mixing(20, max_cells=45, seed=3)
    drawn = np.random.default_rng(3).choice(90, 45, replace=False)
    assert draws[3] == pytest.approx(entropies[drawn].mean())


def test_neighbours_are_compared_with_those_of_the_counts_or_of_another_space(cells):
    latent = cells.get_latent()[0]
    counts = cells.data.counts[SUBSET].toarray()
    normalised = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    assert cells.nn_overlap_score(n_neighbors=20) == pytest.approx(metrics.nn_overlap(latent, normalised, 20))
    correlation, fold = cells.nn_overlap_score(latent * 3, n_neighbors=20)
    assert correlation == pytest.approx(1)
    assert fold == pytest.approx(90 / 20)
    with pytest.raises(ValueError, match="90 and 10"):
        cells.nn_overlap_score(latent[:10], n_neighbors=5)


@pytest.mark.parametrize("name", ["entropy_batch_mixing", "knn_purity", "nn_overlap_score"])
def test_too_few_cells_for_that_many_neighbours(cells, name):
    with pytest.raises(ValueError, match="1 to 89 for 90 cells, got 90"):
        getattr(cells, name)(n_neighbors=90)


def test_clustering_needs_labels_and_a_known_method(model, cells):
    with pytest.raises(ValueError, match="'kmeans' or 'gmm', got 'knn'"):
        cells.clustering_scores("knn")
    data = simulated(n_labels=1, n_batches=2)
    with pytest.raises(ValueError, match="give the data labels"):
        vc.Posterior(model, data).clustering_scores()


# --------------------------------------------------------------------------------------------------------------------
# What the model expects the counts to be
# --------------------------------------------------------------------------------------------------------------------


def test_scales_are_shares(cells):
    for scale in (cells.get_sample_scale(), cells.get_harmonized_scale(0), cells.get_harmonized_scale(1)):
        assert (scale.shape, scale.dtype) == ((90, N_GENES), np.float32)
        assert (scale >= 0).all()
        np.testing.assert_allclose(scale.sum(axis=1), 1, rtol=1e-5)


def test_harmonized_scale_of_a_cell_under_its_own_batch_is_its_scale(cells):
    own = cells.data.batch_index[SUBSET]
    scale = cells.get_sample_scale(seed=2)
    of_batch = np.stack([cells.get_harmonized_scale(b, seed=2) for b in (0, 1)])
    np.testing.assert_array_equal(of_batch[own, np.arange(90)], scale)
    assert (of_batch[1 - own, np.arange(90)] != scale).mean() > 0.9


def test_harmonized_scales_agree_if_the_decoder_ignores_the_batch(data):
    model = trained_vae(data, n_epochs=1)
    with torch.no_grad():
        model.decoder.px_decoder.fc_layers[0][0].weight[:, -2:] = 0  # the columns of the two batches
    cells = vc.Posterior(model, data)
    np.testing.assert_array_equal(cells.get_harmonized_scale(0), cells.get_harmonized_scale(1))


@pytest.mark.parametrize("fixed_batch", [-1, 2])
def test_a_batch_that_is_not_there_is_refused(cells, fixed_batch):
    with pytest.raises(ValueError, match=f"from 0 to 1, got {fixed_batch}"):
        cells.get_harmonized_scale(fixed_batch)


def test_get_stats_gives_log_libraries(cells, data):
    drawn = cells.get_stats()
    assert (drawn.shape, drawn.dtype) == ((90,), np.float32)
    observed = vc.Posterior(trained_vae(data, n_epochs=1, library="observed"), data, SUBSET).get_stats()
    np.testing.assert_allclose(observed, np.log(data.counts[SUBSET].sum(axis=1).A1), rtol=1e-6)


@pytest.mark.parametrize("dispersion", ["gene", "gene-batch", "gene-label", "gene-cell"])
def test_parameters_have_a_row_per_cell_in_every_mode(data, dispersion):
    model = trained_vae(data, n_epochs=1, dispersion=dispersion)
    cells = vc.Posterior(model, data, SUBSET, batch_size=32)
    dropout, mean, theta = cells.generate_parameters(seed=1)
    assert dropout.shape == mean.shape == theta.shape == (90, N_GENES)
    assert (mean > 0).all()
    assert (theta > 0).all()
    code = {"gene": np.zeros(90), "gene-batch": data.batch_index[SUBSET], "gene-label": data.labels[SUBSET]}
    if dispersion == "gene-cell":
        assert len(np.unique(theta, axis=0)) == 90
    else:
        px_r = model.px_r.detach().view(N_GENES, -1).exp().numpy()
        np.testing.assert_allclose(theta, px_r.T[code[dispersion].astype(int)], rtol=1e-6)
    assert cells.generate(2)[0].shape == (90, N_GENES, 2)
    assert np.isfinite(cells.marginal_ll(3))


@pytest.fixture(scope="module", params=["zinb", "nb", "poisson"])
def certain(request, data) -> vc.Posterior:
    """A posterior whose q has no width: the parameters of every count are known without drawing."""
    model = trained_vae(data, n_epochs=3, likelihood=request.param, var_eps=0.0)
    with torch.no_grad():
        for encoder in (model.z_encoder, model.l_encoder):
            encoder.var_encoder.weight.zero_()
            encoder.var_encoder.bias.fill_(-60.0)
    return vc.Posterior(model, data, np.repeat([5, 80, 33], 400), batch_size=500)


def test_generated_counts_have_the_mean_and_the_zeros_of_the_model(certain):
    generated, observed = certain.generate(10, seed=1)
    assert generated.shape == (1200, N_GENES, 10)
    np.testing.assert_array_equal(observed, certain.data.counts[certain.indices].toarray())
    assert (generated == np.round(generated)).all()
    generated = generated.reshape(3, 400, N_GENES, 10).transpose(0, 2, 1, 3).reshape(3, N_GENES, 4000)
    n_samples = 4000  # of each of three cells
    logits, mu, theta = (parameter[::400].astype(np.float64) for parameter in certain.generate_parameters())
    pi = 1 / (1 + np.exp(-logits)) if certain.model.likelihood == "zinb" else 0.0
    if certain.model.likelihood == "poisson":
        p_zero, spread = np.exp(-mu), 1 + 0 * mu
    else:
        p_zero, spread = (theta / (theta + mu)) ** theta, 1 + mu / theta
    p_zero = pi + (1 - pi) * p_zero
    variance = (1 - pi) * mu * (spread + pi * mu)
    z = (generated.mean(axis=2) - (1 - pi) * mu) / np.sqrt(variance / n_samples)
    assert abs(z).max() < 6  # heavy tails where theta is small
    assert 0.6 < z.var() < 1.6
    z = ((generated == 0).mean(axis=2) - p_zero) / np.sqrt(p_zero * (1 - p_zero) / n_samples + 1e-9)
    assert abs(z).max() < 5


def test_imputation_gives_the_rates_of_the_model(certain):
    rates = certain.generate_parameters()[1]
    np.testing.assert_allclose(certain.imputation(), rates, rtol=1e-4)
    several = certain.imputation(n_samples=3)
    assert several.shape == (3, 1200, N_GENES)
    for draw in several:
        np.testing.assert_allclose(draw, rates, rtol=1e-4)


def test_several_imputations_are_several_draws(cells):
    draws = cells.imputation(n_samples=3)
    assert draws.shape == (3, 90, N_GENES)
    assert (draws[0] != draws[1]).all(axis=0).any()
    np.testing.assert_array_equal(draws[0], cells.imputation())


@pytest.mark.parametrize(
    "name", ["get_sample_scale", "get_stats", "generate", "generate_parameters", "imputation", "one_vs_all_degenes"]
)
def test_what_only_a_vae_can_say_is_refused_by_others_in_words(name):
    data = simulated().binarize()
    cells = vc.Posterior(vc.BinaryVAE(N_GENES, n_hidden=8), data)
    with pytest.raises(ValueError, match=r"needs a VAE.*BinaryVAE"):
        getattr(cells, name)()


def test_a_binary_vae_has_latent_elbo_and_marginal_ll():
    data = simulated().binarize()
    cells = vc.Posterior(vc.BinaryVAE(N_GENES, n_hidden=8), data, SUBSET)
    assert cells.get_latent()[0].shape == (90, 2)
    assert cells.elbo() == pytest.approx(-sum(cells.loss_terms()).double().mean().item(), rel=1e-6)
    assert cells.marginal_ll(50) > cells.elbo() - 0.5


def test_a_latent_library_without_a_prior_is_refused_with_advice(data):
    cells = vc.Posterior(vc.VAE(N_GENES, n_batch=2), data)
    for name in ("elbo", "marginal_ll"):
        with pytest.raises(ValueError, match=r"model\.prepare\(data\)"):
            getattr(cells, name)()


# --------------------------------------------------------------------------------------------------------------------
# Imputation
# --------------------------------------------------------------------------------------------------------------------


class Oracle(vc.VAE):
    """A model that knows every rate, whatever it sees, and so makes known errors."""

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__(rates.shape[1])
        self.rates = torch.tensor(rates, dtype=torch.float32)
        self.seen: list[torch.Tensor] = []

    def inference(self, x, batch_index=None, y=None, n_samples=1):
        start = sum(len(part) for part in self.seen) % len(self.rates)
        self.seen.append(x)
        return {"px_rate": self.rates[start : start + len(x)]}


def test_imputation_scores_are_the_errors_at_the_changed_entries():
    counts = np.random.default_rng(0).poisson(3, size=(40, 12)) + 1
    data = vc.CountData(counts)
    error = np.random.default_rng(1).normal(size=counts.shape).round(2)
    cells = vc.Posterior(Oracle(counts + error), data, batch_size=16).corrupted(0.02, seed=4)
    changed = cells.seen.counts.toarray() == 0
    assert changed.sum() == 9  # floor(0.02 * 480); most cells have none
    original, imputed = cells.imputation_list()
    assert [len(part) for part in original] == [len(part) for part in imputed] == changed.sum(axis=1).tolist()
    np.testing.assert_array_equal(np.concatenate(original), counts[changed])
    np.testing.assert_allclose(np.concatenate(imputed), (counts + error)[changed], rtol=1e-5)
    assert cells.imputation_score() == pytest.approx(np.median(abs(error[changed])), abs=1e-5)
    scores = cells.imputation_benchmark()
    per_cell = [np.median(abs(error[i][changed[i]])) for i in range(40) if changed[i].any()]
    assert scores == pytest.approx(
        {"median": np.median(abs(error[changed])), "mean_of_medians": np.mean(per_cell), "n_entries": 9}, abs=1e-5
    )
    np.testing.assert_array_equal(torch.cat(cells.model.seen[:3]), np.where(changed, 0, counts))  # sees the damage


def test_imputation_follows_the_indices_and_the_binomial_corruption(model, data):
    cells = vc.Posterior(model, data, SUBSET, batch_size=32).corrupted(0.3, "binomial", seed=2)
    damaged = data.corrupt(0.3, "binomial", seed=2).counts[SUBSET].toarray()
    counts = data.counts[SUBSET].toarray()
    original, imputed = cells.imputation_list(n_samples=3, seed=1)
    assert len(original) == len(imputed) == 90
    mean = cells.imputation(n_samples=3, seed=1).mean(axis=0)
    for i in range(90):
        np.testing.assert_array_equal(original[i], counts[i][counts[i] != damaged[i]])
        np.testing.assert_array_equal(imputed[i], mean[i][counts[i] != damaged[i]])  # to the last bit


def test_entries_that_were_zero_and_are_shown_as_counts_have_changed_too(model, data):
    damaged = data.corrupt(0.3, seed=1)
    cells = vc.Posterior(model, damaged, SUBSET).showing(data)
    original = cells.imputation_list()[0]
    changed = (data.counts[SUBSET] != damaged.counts[SUBSET]).sum(axis=1).A1
    assert [len(part) for part in original] == changed.tolist()
    assert not np.concatenate(original).any()


def test_nothing_changed_is_refused_with_advice(cells):
    for question in (cells.imputation_score, cells.imputation_benchmark, cells.corrupted(0.0).imputation_score):
        with pytest.raises(ValueError, match=r"posterior\.corrupted\(\)"):
            question()
    assert [len(part) for part in cells.imputation_list()[0]] == [0] * 90


def test_corrupted_and_uncorrupted_are_copies_of_the_same_cells(cells):
    damaged = cells.corrupted(0.5, seed=1)
    again = damaged.corrupted(0.2, seed=1)
    assert (damaged.seen.counts != cells.data.corrupt(0.5, seed=1).counts).nnz == 0
    assert (again.seen.counts != cells.data.corrupt(0.2, seed=1).counts).nnz == 0  # replaces, does not add
    assert damaged.elbo() != cells.elbo()
    assert damaged.uncorrupted().elbo() == cells.elbo()
    assert cells.seen is cells.data
    for copy in (damaged, again, damaged.uncorrupted()):
        np.testing.assert_array_equal(copy.indices, SUBSET)
        assert copy.batch_size == cells.batch_size


# --------------------------------------------------------------------------------------------------------------------
# Differential expression
# --------------------------------------------------------------------------------------------------------------------

COLUMNS = ["gene", "bayes_factor", "prob_greater", "lfc", "lfc_std", "prob_de", "scale_1", "scale_2"]
COLUMNS.extend(["raw_mean_1", "raw_mean_2", "nonzero_1", "nonzero_2"])


def by_gene(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("gene").sort_index()


def test_stats_are_draws_of_every_cell(cells):
    scales, labels = cells.differential_expression_stats(n_samples=4)
    assert scales.shape == (90 * 4, N_GENES)
    np.testing.assert_allclose(scales.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(labels, np.repeat(cells.data.labels[SUBSET], 4))
    np.testing.assert_array_equal(scales[::4], cells.get_sample_scale())  # the draws of one cell stand together
    assert (scales.reshape(90, 4, N_GENES).std(axis=1) > 0).all()


def test_the_table_has_a_row_per_gene_and_what_was_counted(cells):
    table = cells.differential_expression_score(STATES, ~STATES, n_samples=100)
    assert list(table.columns) == COLUMNS
    assert sorted(table["gene"]) == sorted(cells.data.gene_names)
    assert table["bayes_factor"].is_monotonic_decreasing
    assert table.index.tolist() == list(range(N_GENES))
    counts = cells.data.counts[SUBSET].toarray()
    rows = by_gene(table).loc[cells.data.gene_names]
    np.testing.assert_allclose(rows["raw_mean_1"], counts[STATES].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows["raw_mean_2"], counts[~STATES].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows["nonzero_1"], (counts[STATES] > 0).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(rows["nonzero_2"], (counts[~STATES] > 0).mean(axis=0), rtol=1e-12)
    p = rows["prob_greater"]
    np.testing.assert_allclose(rows["bayes_factor"], np.log(p + 1e-8) - np.log(1 - p + 1e-8), rtol=1e-9)
    assert rows["scale_1"].sum() == pytest.approx(1, abs=1e-4)
    assert rows["prob_de"].between(0, 1).all()


def test_masks_and_positions_give_the_same_table(cells):
    by_mask = cells.differential_expression_score(STATES, ~STATES, n_samples=50)
    by_position = cells.differential_expression_score(np.flatnonzero(STATES), np.flatnonzero(~STATES), n_samples=50)
    pd.testing.assert_frame_equal(by_mask, by_position)


def drawn_scales(cells: vc.Posterior, group: np.ndarray, batches: list[int], n_samples: int) -> torch.Tensor:
    """Draw shares of random cells of the group under each batch, all of them in one table."""
    scales = []
    for batch in batches:
        drawn = group[torch.randint(len(group), (n_samples,)).numpy()]
        for x, batch_index, labels, _ in cells.minibatches(drawn):
            scales.append(cells.model.get_sample_scale(x, torch.full_like(batch_index, batch), labels))
    return torch.cat(scales)


@pytest.mark.parametrize("batches", [[1], [1, 0, 1]])
def test_a_comparison_in_portions_is_that_of_all_draws_together(cells, batches):
    table = cells.differential_expression_score(STATES, ~STATES, batches, n_samples=75, delta=0.1, seed=3)
    rows = table.set_index("gene").loc[cells.data.gene_names]
    with torch.no_grad(), seeded(3):
        scale_1, scale_2 = (drawn_scales(cells, SUBSET[group], batches, 75) for group in (STATES, ~STATES))
    lfc = torch.log2(scale_1 + 1e-6) - torch.log2(scale_2 + 1e-6)
    assert rows["bayes_factor"].tolist() == metrics.bayes_factor(scale_1, scale_2).tolist()
    assert rows["prob_greater"].tolist() == metrics.probability_greater(scale_1, scale_2).tolist()
    assert rows["prob_de"].tolist() == (lfc.abs() >= 0.1).double().mean(dim=0).tolist()
    assert 0.05 < rows["prob_de"].mean() < 0.95
    dense = {"lfc": lfc.mean(dim=0), "lfc_std": lfc.std(dim=0)}
    for name, expected in (dense | {"scale_1": scale_1.mean(dim=0), "scale_2": scale_2.mean(dim=0)}).items():
        assert rows[name].dtype == np.float32
        np.testing.assert_allclose(rows[name], expected, rtol=2e-6, atol=1e-6)


def test_draws_that_always_tie_show_no_difference(data):
    model = trained_vae(data, n_epochs=1)
    with torch.no_grad():
        model.decoder.px_scale_decoder[0].weight.zero_()  # every cell decodes to the same shares
    table = vc.Posterior(model, data).differential_expression_score(range(50), range(50, N_CELLS), n_samples=75)
    assert (table["prob_greater"] == 0.5).all()
    assert (table[["bayes_factor", "lfc", "lfc_std", "prob_de"]] == 0).all(axis=None)


def test_a_single_draw_has_no_standard_deviation(cells):
    table = cells.differential_expression_score(STATES, ~STATES, batchid=[0], n_samples=1)
    assert table["lfc_std"].isna().all()
    assert table["lfc"].notna().all()


def test_a_group_against_itself_does_not_differ(cells):
    table = cells.differential_expression_score(STATES, STATES, n_samples=3000)
    # p has a standard error of sqrt(1 / 4 / 6000), the Bayes factor 4 times that
    assert table["bayes_factor"].abs().max() < 5 * 4 * np.sqrt(0.25 / 6000)
    assert table["lfc"].abs().max() < 5 * table["lfc_std"].max() / np.sqrt(6000)


def area_under_curve(score: np.ndarray, truth: np.ndarray) -> float:
    ranks = stats.rankdata(score)[truth].sum()
    n_true, n_false = truth.sum(), (~truth).sum()
    return (ranks - n_true * (n_true + 1) / 2) / (n_true * n_false)


@pytest.fixture(scope="module")
def two_types() -> vc.Posterior:
    """Two cell types whose fold changes are known, and a model trained on them for a few seconds."""
    data = vc.simulate_counts(
        n_cells=500, n_genes=100, n_labels=2, n_batches=2, share_de=0.3, mean_library=5000, seed=3
    )
    model = vc.VAE(100, n_batch=2, n_hidden=64, n_latent=5)
    vc.UnsupervisedTrainer(model, data, train_size=1.0, lr=3e-3, n_epochs_kl_warmup=10).train(40)
    return vc.Posterior(model, data)


def test_swapping_the_groups_changes_the_sign(two_types):
    labels = two_types.data.labels
    forth = by_gene(two_types.differential_expression_score(labels == 0, labels == 1, n_samples=2000))
    back = by_gene(two_types.differential_expression_score(labels == 1, labels == 0, n_samples=2000))
    np.testing.assert_allclose(forth["prob_greater"] + back["prob_greater"], 1, atol=5 * np.sqrt(2 * 0.25 / 4000))
    clear = forth["prob_greater"].sub(0.5).abs() > 0.1
    assert clear.sum() >= 20
    assert (np.sign(forth["bayes_factor"]) == -np.sign(back["bayes_factor"]))[clear].all()
    np.testing.assert_allclose(forth["raw_mean_1"], back["raw_mean_2"])
    np.testing.assert_allclose(forth["nonzero_2"], back["nonzero_1"])


def test_simulated_fold_changes_are_found(two_types):
    data = two_types.data
    lfc = data.truth.lfc[0] - data.truth.lfc[1]
    table = two_types.differential_expression_score(data.labels == 0, data.labels == 1, n_samples=500)
    table = table.set_index("gene").loc[data.gene_names]
    large, none = abs(lfc) > 1.5, lfc == 0
    judged = large | none
    assert large.sum() > 15
    assert none.sum() > 15
    assert area_under_curve(table["lfc"].abs()[judged].to_numpy(), large[judged]) > 0.8
    assert area_under_curve(table["prob_de"][judged].to_numpy(), large[judged]) > 0.8
    # in which direction: up against down
    assert area_under_curve(table["bayes_factor"][large].to_numpy(), lfc[large] > 0) > 0.95
    assert np.corrcoef(table["lfc"][large], lfc[large])[0, 1] > 0.8


def test_decoding_under_one_batch_ignores_the_others(two_types):
    labels = two_types.data.labels
    options = {"cells_1": labels == 0, "cells_2": labels == 1, "n_samples": 200}
    first, second, both, pair = (
        two_types.differential_expression_score(batchid=batchid, **options) for batchid in ([0], [1], None, [0, 1])
    )
    pd.testing.assert_frame_equal(both, pair)
    assert not by_gene(first)["scale_1"].equals(by_gene(second)["scale_1"])
    mean = (by_gene(first)["scale_1"] + by_gene(second)["scale_1"]) / 2
    assert np.corrcoef(by_gene(both)["scale_1"], mean)[0, 1] > 0.99


def test_a_batch_that_differs_is_no_differential_expression(two_types):
    # cells of one type, one group from each batch: decoded under the same batch, the batch effect is gone
    data = two_types.data
    of_type = data.labels == 0
    table = two_types.differential_expression_score(
        of_type & (data.batch_index == 1), of_type & (data.batch_index == 0), n_samples=1000
    )
    rows = table.set_index("gene").loc[data.gene_names]
    effect = abs(data.truth.batch_effect[1]) / np.log(2)
    strong = effect > 1
    assert strong.sum() >= 5
    assert rows["lfc"].abs()[strong].mean() < 0.5 * effect[strong].mean()


def test_one_vs_all_compares_every_label_with_the_rest(cells):
    table = cells.one_vs_all_degenes(n_samples=60, seed=2)
    assert list(table.columns) == ["cluster", "cluster_name", *COLUMNS]
    labels = cells.data.labels[SUBSET]
    assert table["cluster"].unique().tolist() == [0, 1, 2]
    assert len(table) == 3 * N_GENES
    for code, part in table.groupby("cluster"):
        expected = cells.differential_expression_score(labels == code, labels != code, n_samples=60, seed=2)
        pd.testing.assert_frame_equal(part[COLUMNS].reset_index(drop=True), expected)
        assert set(part["cluster_name"]) == {cells.data.label_names[code]}


def test_one_vs_all_goes_by_the_code_of_a_label_not_by_its_position(model, data):
    # scVI 0.3.0 compares labels with the position in a loop: of the codes 0, 2, 4 it would find the first alone
    spread = vc.CountData(data.counts, data.batch_index, data.labels * 2, label_names=list("abcde"))
    table = vc.Posterior(model, spread).one_vs_all_degenes(n_samples=20)
    assert table["cluster"].unique().tolist() == [0, 2, 4]
    assert table["cluster_name"].unique().tolist() == ["a", "c", "e"]


def test_clusters_with_few_cells_are_left_out(model, data):
    labels = np.zeros(N_CELLS, dtype=int)
    labels[:10], labels[10:21] = 1, 2
    cells = vc.Posterior(model, vc.CountData(data.counts, data.batch_index, labels))
    assert cells.one_vs_all_degenes(n_samples=20)["cluster"].unique().tolist() == [0, 2]  # 10 cells are too few, 11 not
    assert cells.one_vs_all_degenes(min_cells=9, n_samples=20)["cluster"].unique().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="more than 100 cells"):
        cells.one_vs_all_degenes(min_cells=100)


def test_within_cluster_compares_the_state_inside_each_label(cells):
    labels = cells.data.labels[SUBSET]
    options = {"min_cells": 5, "n_samples": 60}
    table = cells.within_cluster_degenes(STATES, **options)
    assert table["cluster"].unique().tolist() == [0, 1, 2]
    for code, part in table.groupby("cluster"):
        # scVI 0.3.0 turned these masks into the positions 0 and 1 and compared the first two cells every time
        expected = cells.differential_expression_score(
            (labels == code) & STATES, (labels == code) & ~STATES, n_samples=60
        )
        pd.testing.assert_frame_equal(part[COLUMNS].reset_index(drop=True), expected)
    for states in (STATES.astype(int), STATES.tolist(), pd.Series(STATES)):
        pd.testing.assert_frame_equal(cells.within_cluster_degenes(states, **options), table)


@pytest.mark.parametrize("states", [STATES[:-1], np.arange(len(SUBSET)), STATES[:, None]])
def test_states_have_to_be_true_or_false_for_every_cell(cells, states):
    with pytest.raises(ValueError, match="True or False for each of the 90 cells"):
        cells.within_cluster_degenes(states)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cells_1": np.zeros(90, bool)}, "Group 1 has no cells"),
        ({"cells_2": []}, "Group 2 has no cells"),
        ({"cells_1": np.zeros(89, bool)}, r"expected shape \(90,\)"),
        ({"cells_2": [90]}, "90 cells"),
        ({"batchid": [2]}, r"from 0 to 1, got \[2\]"),
        ({"batchid": []}, "from 0 to 1"),
    ],
)
def test_impossible_comparisons_are_refused(cells, options, words):
    with pytest.raises(ValueError, match=words):
        cells.differential_expression_score(**{"cells_1": [0, 1], "cells_2": [2, 3], "n_samples": 10, **options})


def test_draws_of_neighbouring_seeds_are_not_shared(cells):
    assert not (cells.imputation(2, seed=0)[1] == cells.imputation(1, seed=1)).all()


# --------------------------------------------------------------------------------------------------------------------
# Memory: tables of all cells exist where they are the answer, and once
# --------------------------------------------------------------------------------------------------------------------


class Decoded:
    """Counts the cells whose decoded shares are in memory at the same time."""

    def __init__(self, model: vc.VAE) -> None:
        self.shares: list[weakref.ref] = []
        self.most = 0
        model.decoder.register_forward_hook(self)

    def __call__(self, decoder, arguments, results):
        self.shares = [share for share in self.shares if share() is not None] + [weakref.ref(results[0])]
        self.most = max(self.most, sum(len(share()) for share in self.shares))


def peak_of_arrays(question: Callable[[], Any]) -> int:
    """Most bytes that Python and NumPy, which tells tracemalloc of its arrays, take while the question is answered."""
    tracemalloc.start()
    try:
        question()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MANY_CELLS, MANY_GENES = 3000, 400
TABLE = MANY_CELLS * MANY_GENES * 4  # bytes


@pytest.fixture
def sparse_cells() -> vc.Posterior:
    """Many cells of which 95 % are zeros, in small minibatches."""
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.05, size=(MANY_CELLS, MANY_GENES))
    counts[:, 0] = 1
    data = vc.CountData(counts, np.arange(MANY_CELLS) % 2, np.arange(MANY_CELLS) % 3)
    return vc.Posterior(vc.VAE(MANY_GENES, 2, n_hidden=4, n_latent=2), data, batch_size=50)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_scores_of_an_imputation_need_no_table_of_all_cells(sparse_cells, n_samples):
    corrupted, decoded = sparse_cells.corrupted(), Decoded(sparse_cells.model)
    assert peak_of_arrays(lambda: corrupted.imputation_benchmark(n_samples)) < 0.6 * TABLE
    assert decoded.most <= 100


@pytest.mark.parametrize(
    ("name", "options", "n_tables"),
    [
        ("get_sample_scale", {}, 1),
        ("get_harmonized_scale", {"fixed_batch": 1}, 1),
        ("imputation", {}, 1),
        ("imputation", {"n_samples": 3}, 3),
        ("differential_expression_stats", {"n_samples": 3}, 3),
        ("generate", {"n_samples": 2}, 3),  # the counts as they are among them
        ("generate_parameters", {}, 3),
    ],
)
def test_a_table_of_all_cells_is_in_memory_once(sparse_cells, name, options, n_tables):
    decoded = Decoded(sparse_cells.model)
    peak = peak_of_arrays(lambda: getattr(sparse_cells, name)(**options))
    assert n_tables * TABLE <= peak < (n_tables + 0.5) * TABLE
    assert decoded.most <= 100


def test_a_comparison_under_many_batches_needs_no_more_memory_than_under_one(sparse_cells):
    cells_1, cells_2 = range(100), range(100, 300)
    for n_batches in (1, 30):
        decoded = Decoded(sparse_cells.model)
        sparse_cells.differential_expression_score(cells_1, cells_2, batchid=[0, 1] * n_batches, n_samples=100)
        assert decoded.most <= 200  # two minibatches of each group
