"""Imputation: the damaged entries are found, and the model is asked for them and judged by them."""

import numpy as np
import pytest
import torch
from posteriors import (
    N_GENES,
    SUBSET,
    TABLE,
    Decoded,
    many_sparse_cells,
    peak_of_arrays,
)

import vae_course as vc

pytestmark = pytest.mark.numerical


def test_several_imputations_are_several_draws(cells):
    draws = cells.imputation(n_samples=3)
    assert draws.shape == (3, 90, N_GENES)
    assert (draws[0] != draws[1]).all(axis=0).any()
    np.testing.assert_array_equal(draws[0], cells.imputation())


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


@pytest.mark.parametrize("n_samples", [1, 3])
def test_scores_of_an_imputation_need_no_table_of_all_cells(n_samples):
    sparse_cells = many_sparse_cells()
    corrupted, decoded = sparse_cells.corrupted(), Decoded(sparse_cells.model)
    assert peak_of_arrays(lambda: corrupted.imputation_benchmark(n_samples)) < 0.6 * TABLE
    assert decoded.most <= 100
