"""Scores of a latent space against reference values and against definitions written out."""

import itertools
import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.special import entr
from sklearn.metrics import silhouette_samples

from vae_course import metrics

pytestmark = pytest.mark.numerical


def rng(seed=0):
    return np.random.default_rng(seed)


def entropy(*shares):
    return float(entr(np.array(shares)).sum())


# --------------------------------------------------------------------------------------------------------------------
# Entropies
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([0, 0, 0, 1], 0.562335144618808),
        ([5, 5, 5], 0.0),
        (["b", "a", "c", "d"], math.log(4)),
        (torch.tensor([[7], [7], [-1], [-1]]), math.log(2)),
    ],
)
def test_entropy_from_indices(indices, expected):
    assert metrics.entropy_from_indices(indices) == pytest.approx(expected, abs=1e-12)


def test_mixing_of_separated_batches_is_zero():
    latent = np.concatenate([rng().normal(size=(100, 3)), rng(1).normal(size=(100, 3)) + 100])
    assert metrics.entropy_batch_mixing(latent, np.repeat([0, 1], 100)) == 0


@pytest.mark.parametrize(("share", "published"), [(0.5, 0.6830), (0.25, 0.5522)])
def test_mixing_of_mixed_batches_is_the_entropy_of_fifty_draws(share, published):
    # the mean over cells of the entropy of k = 50 neighbours drawn blindly
    k = np.arange(51)
    per_neighbourhood = entr(k / 50) + entr(1 - k / 50)
    expected = stats.binom(50, share).pmf(k) @ per_neighbourhood
    assert expected == pytest.approx(published, abs=1e-3)
    batch_index = np.arange(4000) < share * 4000
    found = metrics.entropy_batch_mixing(rng().normal(size=(4000, 2)), batch_index)
    # neighbourhoods overlap, so that about 4000 / 50 of them are independent; five standard errors
    spread = math.sqrt(stats.binom(50, share).pmf(k) @ (per_neighbourhood - expected) ** 2)
    assert found == pytest.approx(expected, abs=5 * spread / math.sqrt(4000 / 50))


@pytest.mark.parametrize("n_batches", [1, 2, 3, 5])
def test_mixing_of_any_number_of_batches(n_batches):
    # batches take turns on a circle: each cell's neighbours hold every batch equally often but for the cell's own
    per_batch = 40
    angle = 2 * np.pi * np.arange(n_batches * per_batch) / (n_batches * per_batch)
    latent, batch_index = np.stack([np.cos(angle), np.sin(angle)], axis=1), np.arange(len(angle)) % n_batches
    found = metrics.entropy_batch_mixing(latent, batch_index, n_neighbors=2 * n_batches)
    assert found == pytest.approx(math.log(n_batches), abs=1e-12)


@pytest.mark.parametrize(
    "codes", [[0, 1, 2], [5, 17, -3], ["x", "y", "z"], [0.5, 1.5, 2.5]], ids=["plain", "gaps", "text", "float"]
)
def test_mixing_does_not_depend_on_what_the_batches_are_called(codes):
    latent, batch = rng().normal(size=(90, 2)), rng(1).integers(3, size=90)
    expected = metrics.entropy_batch_mixing(latent, batch, 10)
    assert expected > 0.5
    assert metrics.entropy_batch_mixing(latent, np.array(codes)[batch], 10) == expected


def test_mixing_against_its_definition():
    latent, batch = rng().normal(size=(60, 2)), rng(1).integers(3, size=60)
    distances = np.linalg.norm(latent[:, None] - latent, axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :7]
    expected = np.mean([entropy(*(np.mean(batch[cells] == b) for b in range(3))) for cells in nearest])
    assert metrics.entropy_batch_mixing(latent, batch, 7) == pytest.approx(expected, abs=1e-12)


def test_mixing_of_many_batches_needs_no_table_of_cells_and_batches():
    latent, batch = rng().normal(size=(2000, 2)), rng(1).integers(400, size=2000)
    metrics.entropy_batch_mixing(latent, batch, 5)  # imports what it needs
    tracemalloc.start()
    try:
        found = metrics.entropy_batch_mixing(latent, batch, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2000 * 400 * 8 / 4
    of_neighbours = batch[metrics.nearest_other_cells(latent, 5)]
    shares = (of_neighbours[:, :, None] == np.arange(400)).mean(axis=1)  # (cells, batches)
    assert found == pytest.approx(entr(shares).sum(axis=1).mean(), abs=1e-12)


@pytest.mark.parametrize("n_neighbors", [1, 3, 19])
def test_duplicated_cells_never_count_as_their_own_neighbours(n_neighbors):
    # All cells at one place. A cell that counted itself would find its own, unique batch among its neighbours.
    neighbours = metrics.nearest_other_cells(np.zeros((20, 2)), n_neighbors)
    assert neighbours.shape == (20, n_neighbors)
    assert all(i not in row and len(set(row)) == n_neighbors for i, row in enumerate(neighbours.tolist()))


@pytest.mark.parametrize("latent", [np.zeros((20, 2)), rng().normal(size=(20, 2)), rng().integers(2, size=(20, 2))])
def test_some_cells_have_the_neighbours_that_they_have_among_all(latent):
    of = np.array([7, 0, 19])
    distances = np.linalg.norm(latent[of][:, None] - latent, axis=2)  # (3, cells)
    for neighbours in (metrics.nearest_other_cells(latent, 5)[of], metrics.nearest_other_cells(latent, 5, of)):
        assert all(i not in row and len(set(row)) == 5 for i, row in zip(of.tolist(), neighbours.tolist(), strict=True))
        found = np.take_along_axis(distances, neighbours, axis=1)
        expected = [np.sort(np.delete(row, i))[:5] for i, row in zip(of, distances, strict=True)]
        assert np.sort(found, axis=1) == pytest.approx(np.array(expected))


def test_pairs_of_identical_cells_in_different_batches_mix_completely():
    # the nearest other cell is the twin of the other batch, at distance 0
    latent = np.repeat(rng().normal(size=(50, 2)), 2, axis=0)
    batch = np.tile([0, 1], 50)
    neighbours = metrics.nearest_other_cells(latent, 1)[:, 0]
    assert (batch[neighbours] != batch).all()
    assert metrics.knn_purity(latent, batch, n_neighbors=1) == 0


# --------------------------------------------------------------------------------------------------------------------
# Purity and overlap of neighbourhoods
# --------------------------------------------------------------------------------------------------------------------


def test_knn_purity_of_separated_and_of_mixed_labels():
    latent = np.concatenate([rng().normal(size=(100, 2)), rng(1).normal(size=(100, 2)) + 50])
    assert metrics.knn_purity(latent, np.repeat([3, 8], 100)) == 1
    assert metrics.knn_purity(latent, np.tile([3, 8], 100)) == pytest.approx(0.5, abs=0.05)


def test_knn_purity_averages_over_labels_not_over_cells():
    # 8 cells of label 0 far away from 2 of label 1, one of which sits amid label 0
    latent = np.array([[0.0], [1], [2], [3], [4], [5], [6], [7], [3.4], [100]])
    labels = np.array([0] * 8 + [1] * 2)
    same = [1, 1, 1, 0, 0, 1, 1, 1, 0, 0]  # is the nearest other cell (of 3, 4: the intruder) alike?
    expected = (np.mean(same[:8]) + np.mean(same[8:])) / 2
    assert metrics.knn_purity(latent, labels, n_neighbors=1) == pytest.approx(expected)


def test_overlap_of_a_representation_with_itself():
    latent = rng().normal(size=(1000, 5))
    assert metrics.nn_overlap(latent, latent) == pytest.approx((1, 10), rel=1e-12)


def test_overlap_of_independent_representations():
    correlation, fold = metrics.nn_overlap(rng().normal(size=(1000, 5)), rng(1).normal(size=(1000, 3)))
    assert correlation == pytest.approx(0, abs=0.02)
    assert fold == pytest.approx(1, abs=0.1)


def test_overlap_is_spearmans_correlation_of_the_neighbour_matrices():
    first, second = rng().normal(size=(40, 3)), rng(1).normal(size=(40, 2))
    second[:, 0] = first[:, 0]
    matrices = np.zeros((2, 40, 40))
    for matrix, latent in zip(matrices, (first, second), strict=True):
        distances = np.linalg.norm(latent[:, None] - latent, axis=-1)
        np.fill_diagonal(distances, np.inf)
        np.put_along_axis(matrix, np.argsort(distances, axis=1)[:, :6], 1, axis=1)
    correlation, fold = metrics.nn_overlap(first, second, n_neighbors=6)
    assert correlation == pytest.approx(stats.spearmanr(matrices[0].ravel(), matrices[1].ravel()).statistic, abs=1e-12)
    assert fold == pytest.approx((matrices[0] * matrices[1]).sum() * 40**2 / (40 * 6) ** 2, rel=1e-12)


# --------------------------------------------------------------------------------------------------------------------
# Clustering
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "clusters", "expected"),
    [
        ("001122", "110020", 5 / 6),
        ("0011", "1100", 1),
        ("0011", "0000", 1 / 2),
        ("0011", "5578", 3 / 4),
        ("000111", "001122", 2 / 3),
    ],
)
def test_unsupervised_clustering_accuracy(labels, clusters, expected):
    assert metrics.unsupervised_clustering_accuracy(list(labels), list(clusters)) == pytest.approx(expected)
    swapped = metrics.unsupervised_clustering_accuracy(np.array(list(clusters))[:, None], np.array(list(labels)))
    assert swapped == pytest.approx(expected)


def test_unsupervised_clustering_accuracy_is_the_best_of_all_matchings():
    labels, clusters = rng().integers(4, size=50), rng(1).integers(4, size=50)
    best = max(np.mean(np.array(order)[clusters] == labels) for order in itertools.permutations(range(4)))
    assert metrics.unsupervised_clustering_accuracy(labels, clusters) == pytest.approx(best)


def test_asw_reference_value():
    latent = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]])
    assert metrics.clustering_scores(latent, [0, 0, 1, 1])["asw"] == pytest.approx(0.900249, abs=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # three clusters of two places
def test_clustering_scores_reference_values():
    # KMeans finds the two places, whatever the number of clusters: clusters 000111 against labels 001122
    latent = np.repeat([[0.0, 0.0], [9.0, 9.0]], 3, axis=0)
    scores = metrics.clustering_scores(latent, [0, 0, 1, 1, 2, 2])
    assert scores["nmi"] == pytest.approx(0.515804, abs=1e-6)
    assert scores["nmi_geometric"] == pytest.approx(0.529541, abs=1e-6)
    assert scores["ari"] == pytest.approx(0.242424, abs=1e-6)
    assert scores["uca"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_clustering_scores_of_well_separated_labels(method):
    labels = np.repeat([10, 20, 30], 40)
    latent = rng().normal(size=(120, 2)) + labels[:, None]
    scores = metrics.clustering_scores(torch.from_numpy(latent), torch.from_numpy(labels)[:, None], method)
    assert scores.keys() == {"asw", "nmi", "nmi_geometric", "ari", "uca"}
    assert all(type(score) is float for score in scores.values())
    assert [scores[name] for name in ("nmi", "nmi_geometric", "ari", "uca")] == pytest.approx([1, 1, 1, 1])
    assert 0.7 < scores["asw"] < 1


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_clustering_scores_follow_their_seed_and_leave_numpy_alone(method):
    latent, labels = rng().normal(size=(150, 4)), rng(1).integers(5, size=150)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (metrics.clustering_scores(latent, labels, method, seed=3) for _ in range(2))
    assert first == again
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


# --------------------------------------------------------------------------------------------------------------------
# The panel for integration
# --------------------------------------------------------------------------------------------------------------------


def integrated(shift, seed, n_cells=200):
    """Cells of three labels, the first of which is in one batch only, and three batches that lie `shift` apart."""
    generator = np.random.default_rng(seed)
    labels, batch_index = generator.integers(3, size=n_cells), generator.integers(3, size=n_cells)
    batch_index[labels == 0] = 0
    latent = generator.normal(size=(n_cells, 4))
    latent[:, 0] += 3 * labels
    latent[:, 1] += shift * batch_index
    return latent, batch_index, labels


# scib-metrics 0.5.10 (jax 0.10.2, with a stand-in for chex) on exact neighbours
SCIB_METRICS = {
    (1.0, 0): {
        "ilisi": (0.5381972789764404, 0.3759003281593323),  # of 90 and of 30 neighbours
        "clisi": (0.8765395879745483, 0.9600397348403931),
        "silhouette_label": 0.635857343673706,
        "silhouette_batch": 0.8789571523666382,
        "isolated_labels": 0.6755708456039429,
    },
    (0.0, 1): {
        "ilisi": (0.7840967178344727, 0.5457547903060913),
        "clisi": (0.8813273906707764, 0.9717235565185547),
        "silhouette_label": 0.6366788148880005,
        "silhouette_batch": 0.9311949014663696,
        "isolated_labels": 0.6674098372459412,
    },
}


@pytest.mark.parametrize("case", SCIB_METRICS, ids=str)
def test_the_panel_gives_the_numbers_of_scib_metrics(case):
    latent, batch_index, labels = integrated(*case)
    expected = SCIB_METRICS[case]
    for at, k in enumerate((90, 30)):
        assert metrics.ilisi(latent, batch_index, k) == pytest.approx(expected["ilisi"][at], abs=1e-4)
        assert metrics.clisi(latent, labels, k) == pytest.approx(expected["clisi"][at], abs=1e-4)
    assert metrics.ilisi(latent, batch_index) == metrics.ilisi(latent, batch_index, 90)
    assert metrics.silhouette_label(latent, labels) == pytest.approx(expected["silhouette_label"], abs=1e-5)
    found = metrics.silhouette_batch(torch.from_numpy(latent), batch_index[:, None], labels)
    assert found == pytest.approx(expected["silhouette_batch"], abs=1e-5)
    found = metrics.isolated_labels(latent, labels, batch_index)
    assert found == pytest.approx(expected["isolated_labels"], abs=1e-5)


def test_lisi_by_hand():
    # one place for all cells: every neighbour has the same weight, whatever the perplexity
    codes = np.array([0] * 4 + [1] * 4)
    shares = np.array([3, 4]) / 7  # of the own and of the other code among a cell's 7 others
    assert metrics.lisi(np.zeros((8, 2)), codes, 8) == pytest.approx(np.full(8, 1 / (shares @ shares)))
    assert metrics.ilisi(np.zeros((8, 2)), codes, 8) == pytest.approx(1 / (shares @ shares) - 1)
    assert metrics.clisi(np.zeros((8, 2)), codes, 8) == pytest.approx(2 - 1 / (shares @ shares))


def test_lisi_of_groups_that_lie_apart():
    latent = np.concatenate([rng().normal(size=(100, 3)), rng(1).normal(size=(100, 3)) + 1000])
    assert metrics.ilisi(latent, np.repeat([0, 1], 100)) == pytest.approx(0, abs=1e-12)
    assert metrics.clisi(latent, np.repeat(["a", "b"], 100)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_weights_have_the_perplexity_asked_for_and_decay_with_the_distance(scale):
    distances = scale * rng().exponential(size=(20, 29))
    weights = metrics.perplexity_weights(distances, 10)
    assert entr(weights).sum(axis=1) == pytest.approx(np.full(20, math.log(10)), abs=1e-9)
    beta = -np.log(weights / weights[:, :1]) / (distances - distances[:, :1] + np.eye(1, 29))  # one number per cell
    assert beta[:, 1:] == pytest.approx(np.broadcast_to(beta[:, 1:2], (20, 28)), rel=1e-6)


def test_silhouettes_by_hand():
    # two pairs at distance 1, ten apart: s = 1 - 1 / mean(10, sqrt(101)) for each cell
    latent, pair = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]]), np.array([0, 0, 1, 1])
    apart = 1 - 1 / ((10 + math.sqrt(101)) / 2)
    assert metrics.silhouette_label(latent, pair) == pytest.approx((apart + 1) / 2)
    assert metrics.isolated_labels(latent, pair, [0, 0, 0, 1]) == pytest.approx((apart + 1) / 2)
    assert metrics.silhouette_batch(latent, pair, np.zeros(4)) == pytest.approx(1 - apart)


def test_batch_silhouette_averages_over_labels_and_leaves_out_those_of_one_batch():
    latent, batch_index, labels = integrated(1.0, 0)
    of_labels = []
    for label in (1, 2):
        cells = labels == label
        of_labels.append(1 - np.abs(silhouette_samples(latent[cells], batch_index[cells])).mean())
    assert (labels == 1).sum() != (labels == 2).sum()
    assert metrics.silhouette_batch(latent, batch_index, labels) == pytest.approx(np.mean(of_labels), abs=1e-12)


def test_isolated_labels_are_those_in_the_fewest_batches():
    latent, batch_index, labels = integrated(1.0, 0)
    scaled = (silhouette_samples(latent, labels) + 1) / 2
    means = [scaled[labels == label].mean() for label in range(3)]
    assert metrics.isolated_labels(latent, labels, batch_index) == pytest.approx(means[0], abs=1e-12)
    everywhere = np.arange(200) % 2
    assert metrics.isolated_labels(latent, labels, everywhere) == pytest.approx(np.mean(means), abs=1e-12)


# --------------------------------------------------------------------------------------------------------------------
# Bayes factors
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "expected"),
    [
        (4, 0, 0, 18.4206807),
        (3, 0, 1, 1.09861),
        (0, 0, 4, -18.4206807),
        (0, 4, 0, 0.0),
        (2, 2, 0, 1.09861),
        (1, 2, 1, 0.0),
    ],
)
def test_bayes_factor(wins, ties, losses, expected):
    scale_1 = torch.tensor([2.0] * wins + [1.0] * ties + [0.0] * losses).unsqueeze(-1)
    found = metrics.bayes_factor(scale_1, torch.ones_like(scale_1))
    assert (found.shape, found.dtype) == ((1,), torch.float64)
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_bayes_factor_is_antisymmetric_gene_by_gene():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(101, 6, generator=generator), torch.rand(101, 6, generator=generator) * 1.3
    there, back = metrics.bayes_factor(first, second), metrics.bayes_factor(second, first)
    torch.testing.assert_close(there, -back)
    assert there.unique().numel() > 1


def test_log_odds_are_the_bayes_factor_of_a_known_probability():
    first, second = torch.tensor([[1.0], [2.0], [3.0], [0.0]]), torch.tensor([[0.0], [2.0], [1.0], [1.0]])
    assert metrics.probability_greater(first, second).item() == 0.625
    probabilities = torch.tensor([0.0, 0.625, 1.0], dtype=torch.float64)
    least, found, most = metrics.log_odds(probabilities)
    assert found == metrics.bayes_factor(first, second)
    assert most == metrics.bayes_factor(torch.ones(1), torch.zeros(1)) == -least


# --------------------------------------------------------------------------------------------------------------------
# What they refuse
# --------------------------------------------------------------------------------------------------------------------

LATENT, CODES = np.arange(20.0).reshape(10, 2), np.arange(10) % 2


PANEL = [metrics.ilisi, metrics.clisi, metrics.silhouette_label]


@pytest.mark.parametrize(
    "metric", [metrics.entropy_batch_mixing, metrics.knn_purity, metrics.clustering_scores, *PANEL]
)
def test_lengths_that_differ_are_named(metric):
    with pytest.raises(ValueError, match="10 cells, got 9 codes"):
        metric(LATENT, CODES[:9])


@pytest.mark.parametrize("metric", [metrics.entropy_batch_mixing, metrics.knn_purity])
@pytest.mark.parametrize("n_neighbors", [0, -1, 10, 50])
def test_impossible_numbers_of_neighbours_are_named(metric, n_neighbors):
    with pytest.raises(ValueError, match=f"from 1 to 9 for 10 cells, got {n_neighbors}"):
        metric(LATENT, CODES, n_neighbors)


def test_nn_overlap_refuses_different_cells_and_too_many_neighbours():
    with pytest.raises(ValueError, match="same cells, got 10 and 9"):
        metrics.nn_overlap(LATENT, LATENT[:9])
    with pytest.raises(ValueError, match="from 1 to 9 for 10 cells, got 100"):
        metrics.nn_overlap(LATENT, LATENT)


def test_unsupervised_clustering_accuracy_refuses_lengths_that_differ():
    with pytest.raises(ValueError, match=r"3.*2"):
        metrics.unsupervised_clustering_accuracy([0, 0, 1], [0, 1])


def test_clustering_scores_refuse_an_unknown_method_and_a_single_label():
    with pytest.raises(ValueError, match=r"'kmeans' or 'gmm', got 'knn'"):
        metrics.clustering_scores(LATENT, CODES, "knn")
    with pytest.raises(ValueError, match="all cells have the same one"):
        metrics.clustering_scores(LATENT, np.ones(10))


# --------------------------------------------------------------------------------------------------------------------
# False discoveries
# --------------------------------------------------------------------------------------------------------------------


def test_posterior_fdr_is_the_mean_probability_of_being_false_among_the_called():
    prob_de = np.array([0.5, 1.0, 0.9, 0.0, 0.9])
    expected = [(0 + 0.1 + 0.1 + 0.5) / 4, 0, (0 + 0.1 + 0.1) / 3, 1.7 / 5, (0 + 0.1 + 0.1) / 3]
    np.testing.assert_allclose(metrics.posterior_fdr(prob_de), expected, atol=1e-15)
    np.testing.assert_array_equal(metrics.posterior_fdr(torch.from_numpy(prob_de)), metrics.posterior_fdr(prob_de))
    assert metrics.posterior_fdr([]).shape == (0,)


def test_posterior_fdr_written_out_gene_by_gene():
    prob_de = rng().integers(0, 20, size=200) / 19  # many ties
    expected = [(1 - prob_de[prob_de >= p]).mean() for p in prob_de]
    np.testing.assert_allclose(metrics.posterior_fdr(prob_de), expected, atol=1e-14)


@pytest.mark.parametrize("target", [0.01, 0.05, 0.3])
def test_posterior_fdr_calls_the_genes_that_scvi_tools_calls(target):
    reason = "NOT RUN: scvi-tools is not installed (pip install 'vae-course[compare]')"
    de_core = pytest.importorskip("scvi.model.base._de_core", reason=reason)
    for seed in range(5):
        prob_de = rng(seed).beta(0.3, 0.3, size=300)  # no ties, which scvi-tools parts at random
        called = metrics.posterior_fdr(prob_de) <= target
        np.testing.assert_array_equal(called, de_core._fdr_de_prediction(pd.Series(prob_de), fdr=target))
        assert 20 < called.sum() < 280


@pytest.mark.parametrize("prob_de", [[0.5, 1.1], [-0.1], [float("nan")], [[0.5]], 0.5], ids=str)
def test_posterior_fdr_refuses_what_are_no_probabilities(prob_de):
    with pytest.raises(ValueError, match="a probability from 0 to 1 for each gene"):
        metrics.posterior_fdr(prob_de)


@pytest.mark.parametrize("metric", [metrics.silhouette_batch, metrics.isolated_labels])
@pytest.mark.parametrize("codes", [(CODES[:9], CODES), (CODES, CODES[:9])], ids=["first", "second"])
def test_scores_of_batches_and_labels_need_both_for_every_cell(metric, codes):
    with pytest.raises(ValueError, match="10 cells, got 9 codes"):
        metric(LATENT, *codes)


@pytest.mark.parametrize(("metric", "what"), [(PANEL[0], "batches"), (PANEL[1], "labels"), (PANEL[2], "labels")])
def test_one_group_is_nothing_to_compare(metric, what):
    with pytest.raises(ValueError, match=f"at least two {what}, got 1: give the data {what}"):
        metric(LATENT, np.ones(10))


def test_isolated_labels_need_two_labels_and_mixing_needs_a_label_of_two_batches():
    with pytest.raises(ValueError, match="at least two labels, got 1"):
        metrics.isolated_labels(LATENT, np.ones(10), CODES)
    with pytest.raises(ValueError, match="several batches"):
        metrics.silhouette_batch(LATENT, CODES, CODES)
    with pytest.raises(ValueError, match="all 10 cells have different ones"):
        metrics.silhouette_label(LATENT, np.arange(10))


@pytest.mark.parametrize("metric", [metrics.ilisi, metrics.clisi])
@pytest.mark.parametrize("n_neighbors", [0, 5, 11])
def test_impossible_neighbourhoods_are_named(metric, n_neighbors):
    assert 0 <= metric(LATENT, CODES, 10) <= 1
    with pytest.raises(ValueError, match=rf"from 6 .* to 10 for 10 cells, got {n_neighbors}"):
        metric(LATENT, CODES, n_neighbors)
