"""Differential expression: the table, its figures against all draws at once, and changes that were simulated."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from posteriors import N_CELLS, N_GENES, STATES, SUBSET, Decoded, many_sparse_cells, trained_vae
from scipy import stats

import vae_course as vc
from vae_course import differential, metrics
from vae_course.runtime.seeds import seeded

pytestmark = pytest.mark.numerical


COLUMNS = ["gene", "bayes_factor", "prob_greater", "lfc", "lfc_std", "prob_de", "fdr", "scale_1", "scale_2"]
COLUMNS.extend(["raw_mean_1", "raw_mean_2", "nonzero_1", "nonzero_2", "n_1", "n_2", "delta", "pseudocount"])


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
    np.testing.assert_array_equal(rows["fdr"], metrics.posterior_fdr(rows["prob_de"]))
    for name, value in {"n_1": 45, "n_2": 45, "delta": 0.25, "pseudocount": 1e-6}.items():
        assert (rows[name] == value).all()


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


@pytest.mark.filterwarnings("ignore:Group . should have")
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
        cells.differential_expression_score(
            **{"cells_1": range(10), "cells_2": range(10, 20), "n_samples": 10, **options}
        )


def test_a_comparison_under_many_batches_needs_no_more_memory_than_under_one():
    sparse_cells = many_sparse_cells()
    cells_1, cells_2 = range(100), range(100, 300)
    for n_batches in (1, 30):
        decoded = Decoded(sparse_cells.model)
        sparse_cells.differential_expression_score(cells_1, cells_2, batchid=[0, 1] * n_batches, n_samples=100)
        assert decoded.most <= 200  # two minibatches of each group


# --------------------------------------------------------------------------------------------------------------------
# Effect sizes
# --------------------------------------------------------------------------------------------------------------------

N_DRAWS, N_SIMULATED = 400, 60


def draws_of_two_groups() -> tuple[np.ndarray, np.ndarray]:
    """Shares of genes that differ by nothing, by little and by a lot, with spreads of all kinds; some are tiny."""
    rng = np.random.default_rng(0)
    effect = np.repeat([0.0, 0.3, 2.0], N_SIMULATED // 3) * rng.choice([-1, 1], N_SIMULATED)
    base, spread = rng.normal(0, 2, N_SIMULATED), rng.uniform(0.05, 1.5, N_SIMULATED)
    base[:3] = -14
    noise = rng.normal(size=(2, N_DRAWS, N_SIMULATED)) * spread
    logits = base + noise + np.stack([effect, np.zeros(N_SIMULATED)])[:, None]
    scale_1, scale_2 = torch.softmax(torch.from_numpy(logits), dim=-1).float().numpy()
    return scale_1, scale_2


def scvi_tools_table(scales: tuple[np.ndarray, np.ndarray], counts: np.ndarray, **options) -> dict:
    """Give scvi-tools' own `get_bayes_factors` these draws, as if a model had made them for ten cells a group."""
    reason = "NOT RUN: scvi-tools is not installed (pip install 'vae-course[compare]')"
    differential_of_scvi = pytest.importorskip("scvi.model.base._differential", reason=reason)
    first = np.arange(20) < 10
    manager = SimpleNamespace(
        adata=np.empty((20, N_SIMULATED)),
        get_state_registry=lambda key: SimpleNamespace(categorical_mapping=[0]),
        get_from_registry=lambda key: counts,
    )
    computation = differential_of_scvi.DifferentialComputation(
        lambda adata, indices, **_: scales[int(indices[0] >= 10)], None, manager
    )
    np.random.seed(3)  # noqa: NPY002 - its mixture of Gaussians draws from the global state
    return computation.get_bayes_factors(first, ~first, n_samples_overall=N_DRAWS, **options)


def our_table(scales: tuple[np.ndarray, np.ndarray], counts: np.ndarray, monkeypatch, **options) -> pd.DataFrame:
    """Give the public method these draws, in portions, in the order of the genes."""
    data = vc.CountData(counts)
    portions = list(zip(*(torch.from_numpy(scale).split(150) for scale in scales), strict=True))
    monkeypatch.setattr(vc.Posterior, "_decode_pairs", lambda *_: iter(portions))
    posterior = vc.Posterior(vc.VAE(N_SIMULATED, n_hidden=4, n_latent=2), data)
    table = posterior.differential_expression_score(range(10), range(10, 20), seed=3, **options)
    return table.set_index("gene").loc[data.gene_names]


def counts_with_rare_genes() -> np.ndarray:
    counts = np.random.default_rng(1).poisson(3, size=(20, N_SIMULATED))
    counts[:10, [0, 1, 20]], counts[10:, [1, 2, 41]] = 0, 0
    return counts


@pytest.mark.parametrize("test_mode", ["two", "three"])
@pytest.mark.parametrize(
    ("delta", "pseudocount"), [(0.25, 1e-6), (0.5, 1e-3), (None, 1e-6), (0.25, None), (None, None)]
)
def test_effect_sizes_are_those_of_scvi_tools_from_the_same_draws(delta, pseudocount, test_mode, monkeypatch):
    scales, counts = draws_of_two_groups(), counts_with_rare_genes()
    options = {"mode": "change", "delta": delta, "test_mode": test_mode}
    theirs = scvi_tools_table(scales, counts, pseudocounts=pseudocount, **options)
    ours = our_table(scales, counts, monkeypatch, pseudocount=pseudocount, **options)
    np.testing.assert_allclose(ours["delta"], theirs["delta"], rtol=1e-5)
    np.testing.assert_allclose(ours["pseudocount"], theirs["pseudocounts"], rtol=1e-5)
    np.testing.assert_allclose(ours["prob_de"], theirs["proba_de"], atol=1e-12)
    np.testing.assert_allclose(ours["bayes_factor"], theirs["bayes_factor"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours["lfc"], theirs["lfc_mean"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours["lfc_std"], theirs["lfc_std"] * np.sqrt(N_DRAWS / (N_DRAWS - 1)), rtol=1e-4)
    np.testing.assert_allclose(ours["scale_1"], theirs["scale1"], rtol=1e-5)
    np.testing.assert_allclose(ours["scale_2"], theirs["scale2"], rtol=1e-5)
    assert ours["prob_de"].nunique() > 30


def test_the_defaults_of_mode_change_are_those_of_scvi_tools(monkeypatch):
    scales, counts = draws_of_two_groups(), counts_with_rare_genes()
    theirs = scvi_tools_table(scales, counts, mode="change", delta=0.25, pseudocounts=1e-6)
    ours = our_table(scales, counts, monkeypatch, mode="change")
    np.testing.assert_allclose(ours["prob_de"], theirs["proba_de"], atol=1e-12)


def test_mode_vanilla_is_that_of_scvi_tools_from_the_same_draws(monkeypatch):
    scales, counts = draws_of_two_groups(), counts_with_rare_genes()
    theirs = scvi_tools_table(scales, counts, mode="vanilla")
    ours = our_table(scales, counts, monkeypatch)
    np.testing.assert_allclose(ours["prob_greater"], theirs["proba_m1"], atol=1e-12)
    np.testing.assert_allclose(ours["bayes_factor"], theirs["bayes_factor"], rtol=1e-9, atol=1e-9)


def test_a_change_of_exactly_delta_counts_upwards_alone_as_in_scvi_tools():
    double = torch.full((4, 1), 0.5), torch.full((4, 1), 0.25)
    up, down = (
        differential._compare([pair], 1.0, 0.0, "change", "three")["prob_de"].item() for pair in (double, double[::-1])
    )
    assert (up, down) == (1, 0)


def test_mode_change_sorts_by_the_probability_of_a_change(cells):
    table = cells.differential_expression_score(STATES, ~STATES, n_samples=200, mode="change")
    assert list(table.columns) == COLUMNS
    assert table["prob_de"].is_monotonic_decreasing
    assert table["fdr"].is_monotonic_increasing
    p = table["prob_de"]
    np.testing.assert_allclose(table["bayes_factor"], np.log(p + 1e-8) - np.log(1 - p + 1e-8), rtol=1e-9)
    vanilla = by_gene(cells.differential_expression_score(STATES, ~STATES, n_samples=200, test_mode="three"))
    np.testing.assert_array_equal(by_gene(table)["prob_de"], vanilla["prob_de"])  # the same draws


def test_modes_reach_every_cluster_of_a_comparison(cells):
    table = cells.one_vs_all_degenes(n_samples=60, mode="change", delta=None)
    assert table.groupby("cluster")["prob_de"].apply(lambda p: p.is_monotonic_decreasing).all()
    assert table.groupby("cluster")["delta"].nunique().eq(1).all()
    assert table["delta"].nunique() == 3


def test_a_wide_posterior_passes_for_a_change_in_either_direction():
    # log shares with the same mean in both groups: log2 fold changes are N(0, 2 spread^2)
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([0.02, 0.5, 2.0])
    pair = [torch.exp2(spread * torch.randn(20_000, 3, generator=generator)) for _ in range(2)]
    for test_mode, share in {"two": 2, "three": 1}.items():
        found = differential._compare([pair], 0.25, 0.0, "change", test_mode)
        expected = share * stats.norm.sf(0.25 / (np.sqrt(2) * spread.numpy()))
        np.testing.assert_allclose(found["prob_de"], expected, atol=0.02)
        assert found["lfc"].abs().max() < 0.1
    either_way = differential._compare([pair], 0.25, 0.0)["prob_de"]
    assert either_way[0] < 0.01
    assert either_way[2] > 0.9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "effect"}, "mode has to be one of 'vanilla', 'change', got 'effect'"),
        ({"test_mode": "one"}, "test_mode has to be one of 'two', 'three', got 'one'"),
        ({"delta": -0.1}, "delta has to be at least 0"),
        ({"delta": float("nan")}, "delta has to be at least 0"),
    ],
)
def test_unknown_ways_to_compare_are_refused(cells, options, words):
    with pytest.raises(ValueError, match=words):
        cells.differential_expression_score(STATES, ~STATES, n_samples=10, **options)


def test_a_group_of_few_cells_is_warned_about(cells):
    with pytest.warns(UserWarning, match="Group 2 should have at least 10 cells, got 9") as caught:
        table = cells.differential_expression_score(range(10), range(20, 29), n_samples=10)
    assert [str(warning.filename) for warning in caught] == [__file__]
    assert (table["n_1"] == 10).all()
    assert (table["n_2"] == 9).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells.differential_expression_score(range(10), range(20, 30), n_samples=10)


def test_nothing_warns_of_small_clusters_that_min_cells_lets_in(cells):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = cells.within_cluster_degenes(STATES, min_cells=5, n_samples=10)
    assert table["n_1"].min() < 10


# --------------------------------------------------------------------------------------------------------------------
# Sums over donors
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def donors_of_two_conditions() -> vc.CountData:
    return vc.simulate_counts(
        600, 40, n_labels=2, n_donors=6, label_by_donor=True, sd_donor_effect=0.1, mean_library=5000, seed=2
    )


def test_pseudobulk_tests_sums_over_donors(donors_of_two_conditions):
    data, names = donors_of_two_conditions, np.array(list("abcdef"))
    donors = names[data.truth.donor]
    table = differential.pseudobulk_de(data, donors, data.labels == 0, np.flatnonzero(data.labels == 1))
    assert list(table.columns) == ["gene", "lfc", "p_value", "fdr", "n_1", "n_2"]
    assert table["p_value"].is_monotonic_increasing
    sums = np.stack([data.counts.toarray()[donors == name].sum(axis=0) for name in "abcdef"]).astype(float)
    totals = sums.sum(axis=1, keepdims=True)
    prior = 2 * totals / totals.mean()
    logs = np.log2((sums + prior) / (totals + 2 * prior) * 1e6)
    expected = stats.ttest_ind(logs[::2], logs[1::2], equal_var=False)
    rows = table.set_index("gene").loc[data.gene_names]
    np.testing.assert_allclose(rows["lfc"], logs[::2].mean(axis=0) - logs[1::2].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows["p_value"], expected.pvalue, rtol=1e-3)
    np.testing.assert_allclose(rows["fdr"], stats.false_discovery_control(rows["p_value"]))
    assert (table[["n_1", "n_2"]] == 3).all(axis=None)
    lfc = data.truth.lfc[0] - data.truth.lfc[1]
    assert area_under_curve(-rows["p_value"].to_numpy(), abs(lfc) > 1) > 0.9


def test_pseudobulk_of_a_gene_without_counts_finds_nothing():
    counts = np.random.default_rng(0).poisson(5, size=(40, 10))
    counts[:, 3] = 0
    data = vc.CountData(counts)
    table = differential.pseudobulk_de(data, np.arange(40) % 4, range(0, 40, 2), range(1, 40, 2))
    row = table.set_index("gene").loc[data.gene_names[3]]
    assert row["p_value"] == 1
    assert abs(row["lfc"]) < 1e-12
    assert table["fdr"].notna().all()


@pytest.mark.parametrize(
    ("donors", "cells_1", "words"),
    [
        (np.arange(599) % 6, range(10), r"each of the 600 cells, got shape \(599,\)"),
        (np.arange(600) % 6, [0, 6, 12], "two donors or more, got 1 and 6 donors"),
        (np.arange(600) % 6, [0, 1], "0 is in both"),
    ],
)
def test_pseudobulk_needs_donors_that_can_be_compared(donors_of_two_conditions, donors, cells_1, words):
    with pytest.raises(ValueError, match=words):
        differential.pseudobulk_de(donors_of_two_conditions, donors, cells_1, range(100, 200))
