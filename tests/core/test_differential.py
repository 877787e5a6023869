"""Differential expression: the table, its figures against all draws at once, and changes that were simulated."""

import numpy as np
import pandas as pd
import pytest
import torch
from posteriors import N_CELLS, N_GENES, STATES, SUBSET, Decoded, many_sparse_cells, trained_vae
from scipy import stats

import vae_course as vc
from vae_course import metrics
from vae_course.runtime.seeds import seeded

pytestmark = pytest.mark.numerical


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


def test_a_comparison_under_many_batches_needs_no_more_memory_than_under_one():
    sparse_cells = many_sparse_cells()
    cells_1, cells_2 = range(100), range(100, 300)
    for n_batches in (1, 30):
        decoded = Decoded(sparse_cells.model)
        sparse_cells.differential_expression_score(cells_1, cells_2, batchid=[0, 1] * n_batches, n_samples=100)
        assert decoded.most <= 200  # two minibatches of each group
