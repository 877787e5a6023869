"""Posterior: everything one asks of a trained model, and that asking changes nothing."""

import os
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from posteriors import (
    N_CELLS,
    N_GENES,
    N_LATENT,
    STATES,
    SUBSET,
    TABLE,
    Decoded,
    many_sparse_cells,
    peak_of_arrays,
    simulated,
    some_cells,
    trained_vae,
)
from scipy import stats

import vae_course as vc
from vae_course import metrics, posterior
from vae_course.distributions import normal_log_prob

pytestmark = pytest.mark.numerical


@pytest.fixture
def everything(model, data) -> vc.Posterior:
    return vc.Posterior(model, data)


# --------------------------------------------------------------------------------------------------------------------
# For all methods: deterministic, seeded, without side effects
# --------------------------------------------------------------------------------------------------------------------

SEEDED = {
    "reconstruction_error": {},
    "elbo": {},
    "loss_terms": {},
    "marginal_ll": {"n_samples": 3},
    "get_latent": {"sample": True},
    "get_sample_scale": {},
    "get_harmonized_scale": {"fixed_batch": 1},
    "get_stats": {},
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
    "integration_scores": {},
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
# Corrupted counts
# --------------------------------------------------------------------------------------------------------------------


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


def test_integration_scores_are_those_of_the_metrics(cells):
    latent, batch_index, labels = cells.get_latent()
    assert cells.integration_scores(20, 30) == {
        "entropy_share": cells.entropy_batch_mixing(20) / metrics.entropy_from_indices(batch_index),
        "ilisi": metrics.ilisi(latent, batch_index, 30),
        "silhouette_batch": metrics.silhouette_batch(latent, batch_index, labels),
        "clisi": metrics.clisi(latent, labels, 30),
        "silhouette_label": metrics.silhouette_label(latent, labels),
        "isolated_labels": metrics.isolated_labels(latent, labels, batch_index),
    }
    drawn = np.random.default_rng(3).choice(90, 60, replace=False)
    of_some = cells.integration_scores(20, 30, max_cells=60, seed=3)
    assert of_some["clisi"] == metrics.clisi(latent[drawn], labels[drawn], 30)
    assert of_some["isolated_labels"] == metrics.isolated_labels(latent[drawn], labels[drawn], batch_index[drawn])


@pytest.mark.parametrize(("one", "what"), [("n_batches", "two batches"), ("n_labels", "two labels")])
def test_integration_needs_batches_and_labels(model, one, what):
    data = simulated(**{one: 1})
    with pytest.raises(ValueError, match=f"at least {what}, got 1"):
        vc.Posterior(model, data).integration_scores()


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
def test_counts_are_generated_and_judged_in_every_mode_of_dispersion(data, dispersion):
    cells = some_cells(trained_vae(data, n_epochs=1, dispersion=dispersion), data)
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


def parameters(cells: vc.Posterior) -> list[np.ndarray]:
    """Dropout log-odds, mean and inverse dispersion at one draw, (n, genes) each."""
    with torch.no_grad():
        inferred = cells.model.inference(*cells.data.minibatch(cells.indices))
    table = inferred["px_rate"].shape
    return [inferred[name].expand(table).double().numpy() for name in ("px_dropout", "px_rate", "px_r")]


def test_generated_counts_have_the_mean_and_the_zeros_of_the_model(certain):
    generated, observed = certain.generate(10, seed=1)
    assert generated.shape == (1200, N_GENES, 10)
    np.testing.assert_array_equal(observed, certain.data.counts[certain.indices].toarray())
    assert (generated == np.round(generated)).all()
    generated = generated.reshape(3, 400, N_GENES, 10).transpose(0, 2, 1, 3).reshape(3, N_GENES, 4000)
    n_samples = 4000  # of each of three cells
    logits, mu, theta = (parameter[::400] for parameter in parameters(certain))
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


@pytest.mark.parametrize("name", ["get_sample_scale", "get_stats", "generate", "imputation", "one_vs_all_degenes"])
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


def test_draws_of_neighbouring_seeds_are_not_shared(cells):
    assert not (cells.imputation(2, seed=0)[1] == cells.imputation(1, seed=1)).all()


def test_imputation_gives_the_rates_of_the_model(certain):
    rates = parameters(certain)[1]
    np.testing.assert_allclose(certain.imputation(), rates, rtol=1e-4)
    several = certain.imputation(n_samples=3)
    assert several.shape == (3, 1200, N_GENES)
    for draw in several:
        np.testing.assert_allclose(draw, rates, rtol=1e-4)


# --------------------------------------------------------------------------------------------------------------------
# Memory: tables of all cells exist where they are the answer, and once
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "n_tables"),
    [
        ("get_sample_scale", {}, 1),
        ("get_harmonized_scale", {"fixed_batch": 1}, 1),
        ("imputation", {}, 1),
        ("imputation", {"n_samples": 3}, 3),
        ("differential_expression_stats", {"n_samples": 3}, 3),
        ("generate", {"n_samples": 2}, 3),  # the counts as they are among them
    ],
)
def test_a_table_of_all_cells_is_in_memory_once(name, options, n_tables):
    sparse_cells = many_sparse_cells()
    decoded = Decoded(sparse_cells.model)
    peak = peak_of_arrays(lambda: getattr(sparse_cells, name)(**options))
    assert n_tables * TABLE <= peak < (n_tables + 0.5) * TABLE
    assert decoded.most <= 100
