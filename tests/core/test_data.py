"""CountData and what it refuses, the loaders, corruption, simulated cells."""

import importlib.util
import os
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from scipy import stats
from sklearn.decomposition import PCA

import vae_course as vc
from vae_course import metrics
from vae_course.data import LIBRARY_VAR_FLOOR, as_indices, corrupt
from vae_course.reading.stores import open_h5ad

ROOT = Path(__file__).parents[2]
SMALL = np.array([[1, 0, 3], [0, 2, 0], [5, 0, 0], [1, 1, 1]])


def random_counts(n_cells: int = 60, n_genes: int = 30, seed: int = 0) -> np.ndarray:
    """Counts with many zeros and without an empty cell."""
    counts = np.random.default_rng(seed).poisson(0.7, size=(n_cells, n_genes))
    counts[:, 0] += 1
    return counts


def dense(data: vc.CountData) -> np.ndarray:
    return data.counts.toarray()


def raw_parts(matrix) -> list[np.ndarray]:
    """Copies of the arrays that a caller's matrix consists of."""
    if isinstance(matrix, torch.Tensor):
        return [matrix.clone().numpy()]
    if not sp.issparse(matrix):
        return [np.array(matrix)]
    names = ("data", "indices", "indptr", "row", "col")
    return [np.array(getattr(matrix, name)) for name in names if hasattr(matrix, name)]


# --------------------------------------------------------------------------------------------------------------------
# Counts that are refused
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, torch.tensor])
@pytest.mark.parametrize(
    ("value", "word"),
    [(0.5, "fractional"), (-1.0, "negative"), (np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")],
)
def test_a_single_bad_entry_is_refused_and_located(form, value, word):
    counts = SMALL.astype(np.float64)
    counts[2, 1] = value
    with pytest.raises(ValueError, match=word) as caught:
        vc.CountData(form(counts))
    assert "cell 2, gene 1" in str(caught.value)
    assert "raw counts" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "word"), [(3.25, "fractional"), (-2.0, "negative"), (np.nan, "NaN"), (np.inf, "infinite")]
)
@pytest.mark.parametrize("position", [0, 54_321, -1])
def test_one_bad_entry_deep_inside_a_big_sparse_matrix_is_found(value, word, position):
    # scvi-tools looks at a sample of the entries only, and misses such a one
    counts = sp.random(20_000, 2_000, density=0.005, format="csr", random_state=0)
    counts.data = np.ceil(counts.data * 10)
    counts = sp.csr_matrix(sp.hstack([np.ones((20_000, 1)), counts], format="csr"))
    vc.CountData(counts)
    counts.data[position] = value
    with pytest.raises(ValueError, match=f"1 {word}" if word in ("fractional", "negative", "infinite") else "NaN"):
        vc.CountData(counts)


def test_counts_beyond_what_float32_holds_exactly_are_refused():
    assert vc.CountData([[2**24]]).counts[0, 0] == 2**24
    with pytest.raises(ValueError, match="16,777,216"):
        vc.CountData([[2**24 + 1]])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, torch.tensor])
def test_an_empty_cell_is_refused_and_named(form):
    counts = SMALL.copy()
    counts[3] = 0
    with pytest.raises(ValueError, match=r"1 of 4 cells.*cell 3"):
        vc.CountData(form(counts))


def test_a_cell_with_nothing_but_explicit_zeros_is_empty():
    matrix = sp.csr_matrix((np.array([1.0, 0.0]), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2))
    with pytest.raises(ValueError, match="cell 1"):
        vc.CountData(matrix)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_no_cells_or_no_genes_is_refused(shape, form):
    with pytest.raises(ValueError, match="at least one cell and one gene"):
        vc.CountData(form(np.zeros(shape)))


LINE = sp.coo_array(np.ones(3))  # a row of a matrix for older SciPy


@pytest.mark.parametrize("counts", [5, np.ones(4), np.ones((2, 3, 4)), torch.ones(3), *[LINE] * (LINE.ndim == 1)])
def test_anything_but_a_matrix_is_refused(counts):
    with pytest.raises(ValueError, match="matrix"):
        vc.CountData(counts)


@pytest.mark.parametrize(
    "counts",
    [
        [["1", "2"], ["3", "4"]],
        np.array([[1, 2], [3, None]], dtype=object),
        np.array([[1 + 0j, 2]]),
        np.array([["2024-01-01"]], dtype="datetime64[D]"),
    ],
    ids=["strings", "objects", "complex", "dates"],
)
def test_entries_that_are_no_numbers_are_refused(counts):
    with pytest.raises(ValueError, match="whole numbers"):
        vc.CountData(counts)


# --------------------------------------------------------------------------------------------------------------------
# Counts that are accepted
# --------------------------------------------------------------------------------------------------------------------


def with_explicit_zeros(counts: np.ndarray) -> sp.csr_matrix:
    n_cells, n_genes = counts.shape
    columns = np.tile(np.arange(n_genes), n_cells)
    return sp.csr_matrix((counts.ravel(), columns, np.arange(n_cells + 1) * n_genes), shape=counts.shape)


def with_duplicates(counts: np.ndarray) -> sp.csr_matrix:
    """Every entry as two stored parts, in no order."""
    n_cells, n_genes = counts.shape
    parts = np.hstack([counts // 2, counts - counts // 2])[:, ::-1]
    columns = np.tile(np.tile(np.arange(n_genes), 2)[::-1], n_cells)
    return sp.csr_matrix((parts.ravel(), columns, np.arange(n_cells + 1) * 2 * n_genes), shape=counts.shape)


def with_unsorted_columns(counts: np.ndarray) -> sp.csr_matrix:
    n_cells, n_genes = counts.shape
    columns = np.tile(np.arange(n_genes)[::-1], n_cells)
    return sp.csr_matrix((counts[:, ::-1].ravel(), columns, np.arange(n_cells + 1) * n_genes), shape=counts.shape)


def coo_with_duplicates(counts: np.ndarray) -> sp.coo_matrix:
    row, col = np.nonzero(counts)
    values = counts[row, col]
    half = values // 2
    parts = np.concatenate([half, values - half])
    return sp.coo_matrix((parts, (np.tile(row, 2), np.tile(col, 2))), shape=counts.shape)


FORMS = {
    "int64": lambda c: c.astype(np.int64),
    "uint16": lambda c: c.astype(np.uint16),
    "float64": lambda c: c.astype(np.float64),
    "float32, Fortran order": lambda c: np.asfortranarray(c, dtype=np.float32),
    "nested list": lambda c: c.tolist(),
    "DataFrame": pd.DataFrame,
    "torch int": torch.tensor,
    "torch float with gradient": lambda c: torch.tensor(c, dtype=torch.float32, requires_grad=True),
    "csr": sp.csr_matrix,
    "csr float32": lambda c: sp.csr_matrix(c, dtype=np.float32),
    "csr array": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_matrix,
    "csr with explicit zeros": with_explicit_zeros,
    "csr with duplicates": with_duplicates,
    "csr with unsorted columns": with_unsorted_columns,
    "coo with duplicates": coo_with_duplicates,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_the_same_counts_gives_the_same_data(form):
    counts = random_counts()
    data = vc.CountData(form(counts))
    np.testing.assert_array_equal(dense(data), counts)
    assert data.counts.nnz == np.count_nonzero(counts)  # neither stored zeros nor duplicates are left
    assert data.counts.has_sorted_indices
    assert data.counts.dtype == np.float32
    assert data.counts.format == "csr"


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, torch.tensor])
def test_booleans_are_counts_of_zero_and_one(form):
    counts = random_counts() > 0
    np.testing.assert_array_equal(dense(vc.CountData(form(counts))), counts.astype(float))


@pytest.mark.parametrize("name", ["float64", "torch int", "csr float32", "csc", "coo with duplicates"])
def test_the_callers_matrix_is_never_modified(name):
    check_untouched(FORMS[name](random_counts()))


@pytest.mark.parametrize("form", [with_explicit_zeros, with_duplicates, with_unsorted_columns])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_callers_csr_is_not_even_tidied(form, dtype):
    # sorting or compressing a matrix that shares its indices with the caller's would silently permute the caller's
    check_untouched(form(random_counts().astype(dtype)))


def check_untouched(matrix) -> None:
    before = raw_parts(matrix)
    data = vc.CountData(matrix)
    for change in (data.binarize(), data.corrupt(0.9), data.corrupt(0.9, "binomial"), data.subset([1, 2]), data):
        change.counts.data[:] = 77
        change.counts.indices[:] = 0
    for now, then in zip(raw_parts(matrix), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_counts_stay_sparse_and_a_minibatch_is_dense():
    # 1.2 billion entries: a dense copy would take 4.8 GB
    n_cells, n_genes = 40_000, 30_000
    cells = np.arange(n_cells)
    matrix = sp.csr_matrix((cells % 9 + 1, cells % n_genes, np.arange(n_cells + 1)), shape=(n_cells, n_genes))
    data = vc.CountData(matrix)
    for version in (data, data.binarize(), data.subset(cells < 20_000), data.corrupt(0.5), data.without_batches()):
        assert sp.issparse(version.counts)
        assert version.counts.nnz <= n_cells
    x, batch_index, labels = data.minibatch(np.array([3, 31_000, 3]))
    assert x.shape == (3, n_genes)
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x.numpy(), matrix[[3, 31_000, 3]].toarray())
    assert batch_index.shape == labels.shape == (3, 1)
    assert batch_index.dtype == labels.dtype == torch.int64


def test_repr_tells_the_sizes():
    assert repr(vc.CountData(SMALL)) == "CountData: 4 cells x 3 genes, 1 batch(es), 1 label(s), 42% zeros"


# --------------------------------------------------------------------------------------------------------------------
# Batches, labels, names
# --------------------------------------------------------------------------------------------------------------------


def test_without_batches_labels_and_names_there_is_one_of_each():
    data = vc.CountData(SMALL)
    assert (data.n_cells, data.n_genes, data.n_batches, data.n_labels, len(data)) == (4, 3, 1, 1, 4)
    assert data.gene_names.tolist() == ["gene 0", "gene 1", "gene 2"]
    assert data.batch_index.tolist() == data.labels.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "codes",
    [[0, 2, 1, 0], np.array([[0], [2], [1], [0]]), np.array([0.0, 2.0, 1.0, 0.0]), torch.tensor([0, 2, 1, 0])],
    ids=["list", "column", "whole floats", "tensor"],
)
def test_codes_come_in_many_forms(codes):
    data = vc.CountData(SMALL, batch_index=codes, labels=codes)
    for values, number in ((data.batch_index, data.n_batches), (data.labels, data.n_labels)):
        assert values.tolist() == [0, 2, 1, 0]
        assert values.dtype == np.int64
        assert number == 3


@pytest.mark.parametrize("argument", ["batch_index", "labels"])
@pytest.mark.parametrize(
    "codes",
    [
        [0, 1, 0],
        [0, 1, 0, 1, 0],
        [[0, 1, 0, 1]],
        [0, 1, 0, -1],
        [0, 1, 0, 0.5],
        [0, 1, 0, np.nan],
        [0, 1, 0, np.inf],
        ["T", "B", "T", "B"],
        [0, 1, 0, None],
    ],
    ids=["short", "long", "row", "negative", "fractional", "NaN", "infinite", "strings", "None"],
)
def test_wrong_codes_are_refused_by_the_name_of_the_argument(argument, codes):
    with pytest.raises(ValueError, match=argument):
        vc.CountData(SMALL, **{argument: codes})


def test_names_have_to_fit():
    with pytest.raises(ValueError, match=r"gene_names.*expected 3, got 2"):
        vc.CountData(SMALL, gene_names=["a", "b"])
    with pytest.raises(ValueError, match=r"labels has codes up to 2 but only 2"):
        vc.CountData(SMALL, labels=[0, 1, 2, 0], label_names=["T", "B"])
    with pytest.raises(ValueError, match=r"batch_index has codes up to 1 but only 1"):
        vc.CountData(SMALL, batch_index=[0, 1, 1, 0], batch_names=["monday"])


def test_more_names_than_codes_keep_their_place():
    data = vc.CountData(SMALL, labels=[0, 1, 0, 1], label_names=["T", "B", "NK"])
    assert data.n_labels == 3
    assert data.label_names.tolist() == ["T", "B", "NK"]


# --------------------------------------------------------------------------------------------------------------------
# The library
# --------------------------------------------------------------------------------------------------------------------


def test_library_moments_of_totals_10_100_1000():
    data = vc.CountData([[10, 0], [40, 60], [999, 1]])
    np.testing.assert_allclose(data.library_mean, [4.60517018598809], rtol=1e-14)
    np.testing.assert_allclose(data.library_var, [3.53459874031893], rtol=1e-14)  # divided by n, not by n - 1


def test_library_moments_are_per_batch():
    totals = np.array([10, 7, 100, 9, 1000])
    data = vc.CountData(totals[:, None], batch_index=[1, 0, 1, 0, 1])
    np.testing.assert_allclose(data.library_mean, [np.log([7, 9]).mean(), 4.60517018598809], rtol=1e-14)
    np.testing.assert_allclose(data.library_var, [np.log([7, 9]).var(), 3.53459874031893], rtol=1e-13)


def test_variance_of_a_constant_library_is_floored():
    assert vc.CountData([[3, 1], [2, 2]]).library_var.tolist() == [LIBRARY_VAR_FLOOR]


def test_emptied_cells_do_not_enter_the_library_and_an_absent_batch_takes_that_of_all():
    data = vc.CountData([[10, 0], [40, 60], [999, 1], [1, 0]], batch_index=[0, 0, 0, 1])
    emptied = data.corrupt(rate=0.0)
    emptied.counts.data[-1] = 0  # as corruption may leave the only cell of batch 1
    np.testing.assert_allclose(emptied.library_mean, [4.60517018598809] * 2, rtol=1e-14)
    np.testing.assert_allclose(emptied.library_var, [3.53459874031893] * 2, rtol=1e-14)


# --------------------------------------------------------------------------------------------------------------------
# Versions of the data
# --------------------------------------------------------------------------------------------------------------------


def named_data() -> vc.CountData:
    return vc.CountData(
        SMALL,
        batch_index=[0, 1, 1, 0],
        labels=[2, 0, 1, 2],
        gene_names=["CD3E", "CD79A", "LYZ"],
        batch_names=["monday", "tuesday"],
        label_names=["T", "B", "NK"],
    )


@pytest.mark.parametrize(
    "indices",
    [[3, 0], np.array([-1, 0]), np.array([True, False, False, True]), torch.tensor([3, 0])],
    ids=["list", "negative", "mask", "tensor"],
)
def test_subset_keeps_names_and_codes(indices):
    data = named_data()
    part = data.subset(indices)
    order = [0, 3] if np.asarray(indices).dtype == bool else [3, 0]
    np.testing.assert_array_equal(dense(part), SMALL[order])
    assert part.batch_index.tolist() == [0, 0]
    assert part.labels.tolist() == [2, 2]
    assert (part.n_batches, part.n_labels) == (2, 3)  # although only one of each is left
    assert part.gene_names.tolist() == ["CD3E", "CD79A", "LYZ"]
    assert part.batch_names.tolist() == ["monday", "tuesday"]
    assert part.label_names.tolist() == ["T", "B", "NK"]
    np.testing.assert_array_equal(dense(data), SMALL)


@pytest.mark.parametrize(
    "indices", [[4], [-5], [0.5], [True, False], np.ones((2, 2), dtype=int), ["a"]],
    ids=["too large", "too negative", "fractional", "short mask", "matrix", "strings"],
)  # fmt: skip
def test_indices_that_name_no_cells_are_refused(indices):
    with pytest.raises(ValueError, match=r"cell|mask"):
        named_data().subset(indices)


def test_subset_of_no_cells_is_possible_and_can_be_printed():
    part = named_data().subset(np.zeros(4, dtype=bool))
    assert (part.n_cells, part.n_genes, part.n_labels) == (0, 3, 3)
    assert "0 cells" in repr(part)


def test_as_indices_returns_positions():
    assert as_indices([False, True, True], 3).tolist() == [1, 2]
    assert as_indices([2, -1, 0], 3).tolist() == [2, 2, 0]
    assert as_indices([], 3).tolist() == []


def test_binarize_says_detected_or_not():
    data = named_data()
    binary = data.binarize()
    np.testing.assert_array_equal(dense(binary), SMALL > 0)
    assert binary.counts.dtype == np.float32
    assert binary.label_names.tolist() == ["T", "B", "NK"]
    np.testing.assert_array_equal(dense(data), SMALL)


def test_without_batches_leaves_the_rest():
    data = named_data()
    single = data.without_batches()
    assert single.n_batches == 1
    assert single.batch_index.tolist() == [0, 0, 0, 0]
    assert single.labels.tolist() == [2, 0, 1, 2]
    assert data.n_batches == 2


@pytest.mark.parametrize(
    ("n", "sizes"), [(10, [4, 4, 2]), (9, [4, 5]), (8, [4, 4]), (5, [5]), (4, [4]), (3, [3]), (1, [1])]
)
def test_a_last_minibatch_of_one_cell_joins_the_one_before(n, sizes):
    data = vc.CountData(np.ones((n, 3)))
    minibatches = [minibatch.indices for minibatch in vc.Posterior(vc.VAE(3), data, batch_size=4)]
    assert [len(m) for m in minibatches] == sizes
    assert np.concatenate(minibatches).tolist() == list(range(n))


# --------------------------------------------------------------------------------------------------------------------
# Corruption
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.37, 1.0])
def test_uniform_corruption_zeroes_exactly_that_many_nonzeros(rate):
    data = vc.CountData(random_counts())
    damaged = data.corrupt(rate, "uniform", seed=3)
    changed = dense(damaged) != dense(data)
    assert changed.sum() == int(rate * data.counts.nnz)
    assert (dense(damaged)[changed] == 0).all()  # all of the chosen, not a tenth of them as in scVI 0.3.0
    assert damaged.counts.nnz == data.counts.nnz - changed.sum()


def test_uniform_corruption_draws_from_all_nonzeros_alike():
    data = vc.CountData(np.ones((20, 10)))
    hits = sum(dense(data.corrupt(0.25, seed=seed)) == 0 for seed in range(400))  # Binomial(400, 1/4) each
    z = (hits - 100) / np.sqrt(400 * 0.25 * 0.75)
    assert abs(z).max() < 5
    assert 0.7 < z.var() < 1.3


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.37, 1.0])
def test_binomial_corruption_thins_exactly_that_many_entries(rate):
    # counts of 5,000 survive a thinning unchanged with probability 0, so that the changed ones are the chosen ones
    data = vc.CountData(np.full((40, 25), 5000))
    values = dense(data.corrupt(rate, "binomial", seed=1))
    thinned = values[values != 5000]
    assert len(thinned) == int(rate * 40 * 25)
    if len(thinned):
        z = (thinned - 1000) / np.sqrt(5000 * 0.2 * 0.8)  # Binomial(5000, 0.2)
        assert abs(z).max() < 5
        assert abs(z.mean()) < 5 / np.sqrt(len(z))


def test_binomial_corruption_spends_its_draws_on_zeros_too():
    counts = np.full((100, 100), 5000)
    counts[:, 50:] = 0
    values = dense(vc.CountData(counts).corrupt(0.2, "binomial", seed=0))
    chosen = (values[:, :50] != 5000).sum()  # hypergeometric: 2,000 of 10,000 entries, half of which are zeros
    spread = stats.hypergeom(10_000, 5_000, 2_000)
    assert chosen != 2_000
    assert abs(chosen - spread.mean()) < 5 * spread.std()
    assert (values[:, 50:] == 0).all()


def test_binomial_corruption_at_rate_1_thins_every_count():
    data = vc.CountData(random_counts(300, 100))
    total, left = dense(data).sum(), dense(data.corrupt(1.0, "binomial", seed=0)).sum()
    assert abs(left - 0.2 * total) < 5 * np.sqrt(total * 0.2 * 0.8)


def test_binomial_corruption_works_beyond_a_billion_entries():
    n_cells, n_genes = 40_000, 30_000
    cells = np.arange(n_cells)
    matrix = sp.csr_matrix((np.full(n_cells, 5000), cells % n_genes, np.arange(n_cells + 1)), shape=(n_cells, n_genes))
    damaged = vc.CountData(matrix).corrupt(0.5, "binomial", seed=0)
    changed = (damaged.counts.data != 5000).sum()
    assert abs(changed - n_cells / 2) < 5 * np.sqrt(n_cells) / 2


@pytest.mark.parametrize("corruption", ["uniform", "binomial"])
def test_corruption_follows_its_seed_and_leaves_everything_else(corruption):
    data = named_data()
    before = dense(data)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (data.corrupt(0.5, corruption, seed) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    np.testing.assert_array_equal(dense(first), dense(again))
    assert (dense(first) != dense(other)).any()
    np.testing.assert_array_equal(dense(data), before)
    assert first.labels.tolist() == data.labels.tolist()
    assert first.gene_names.tolist() == data.gene_names.tolist()
    assert first.batch_names.tolist() == data.batch_names.tolist()


def test_corruption_may_empty_cells():
    emptied = named_data().corrupt(1.0)
    assert emptied.counts.nnz == 0
    assert emptied.n_cells == 4
    assert emptied.subset([0, 1]).n_cells == 2
    assert np.isfinite(emptied.library_mean).all()


@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match="rate"):
        named_data().corrupt(rate)


def test_an_unknown_corruption_is_refused():
    with pytest.raises(ValueError, match=r"'uniform' or 'binomial', got 'gaussian'"):
        named_data().corrupt(0.1, "gaussian")


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("transposed", [False, True])
def test_corrupt_hides_exactly_that_many_nonzeros_of_a_tensor(rate, dtype, transposed):
    counts = torch.tensor(random_counts(), dtype=dtype)
    counts = counts.T if transposed else counts  # not contiguous
    before = counts.clone()
    corrupted, mask = corrupt(counts, rate, torch.Generator().manual_seed(0))
    assert mask.dtype == torch.bool
    assert mask.shape == corrupted.shape == counts.shape
    assert corrupted.dtype == dtype
    assert mask.sum() == int(rate * (counts != 0).sum().item())
    assert (counts[mask] != 0).all()
    assert (corrupted[mask] == 0).all()
    assert torch.equal(corrupted[~mask], counts[~mask])
    assert torch.equal(counts, before)
    assert corrupted.data_ptr() != counts.data_ptr()


def test_corrupt_draws_from_its_generator_alone():
    counts = torch.tensor(random_counts())
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(1)
    first, again = (corrupt(counts, 0.3, torch.Generator().manual_seed(1))[1] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(corrupt(counts, 0.3, generator)[1], first)
    assert not torch.equal(corrupt(counts, 0.3, generator)[1], first)  # the generator has moved on
    assert torch.equal(torch.get_rng_state(), state)


def test_corrupt_takes_any_shape_and_no_nonzeros():
    one = torch.tensor([0.0, 3.0, 0.0, 5.0])
    corrupted, mask = corrupt(one, 0.5, torch.Generator().manual_seed(0))
    assert mask.sum() == 1
    assert corrupted.count_nonzero() == 1
    corrupted, mask = corrupt(torch.zeros(2, 3), 1.0, torch.Generator())
    assert not mask.any()
    assert not corrupted.any()


# --------------------------------------------------------------------------------------------------------------------
# AnnData
# --------------------------------------------------------------------------------------------------------------------


def test_anndata_round_trip():
    data = named_data()
    adata = data.to_anndata()
    assert adata.obs["batch"].tolist() == ["monday", "tuesday", "tuesday", "monday"]
    assert adata.obs["label"].tolist() == ["NK", "T", "B", "NK"]
    back = vc.CountData.from_anndata(adata, batch_key="batch", label_key="label")
    np.testing.assert_array_equal(dense(back), SMALL)
    for name in ("batch_index", "labels", "gene_names", "batch_names", "label_names"):
        assert getattr(back, name).tolist() == getattr(data, name).tolist()
    adata.X.data[:] = 9
    np.testing.assert_array_equal(dense(data), SMALL)


def test_round_trip_through_a_file_keeps_codes_whose_names_sort_otherwise(tmp_path):
    labels = np.arange(12)
    data = vc.CountData(random_counts(12), labels=labels, label_names=[str(k) for k in range(12)])  # "10" < "2"
    data.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    back = vc.load_h5ad(tmp_path / "cells.h5ad", label_key="label")
    assert back.labels.tolist() == labels.tolist()
    assert back.label_names.tolist() == data.label_names.tolist()


def test_from_anndata_takes_layer_batch_and_label():
    adata = anndata.AnnData(np.log1p(SMALL.astype(float)))
    adata.layers["counts"] = sp.csr_matrix(SMALL)
    adata.obs["donor"] = ["b", "a", "b", "a"]
    adata.obs["type"] = [7, 5, 7, 7]
    adata.var_names = ["x", "y", "z"]
    data = vc.CountData.from_anndata(adata, layer="counts", batch_key="donor", label_key="type")
    np.testing.assert_array_equal(dense(data), SMALL)
    assert data.batch_index.tolist() == [1, 0, 1, 0]
    assert data.batch_names.tolist() == ["a", "b"]
    assert data.labels.tolist() == [1, 0, 1, 1]
    assert data.label_names.tolist() == ["5", "7"]
    assert data.gene_names.tolist() == ["x", "y", "z"]


def test_from_anndata_of_a_view_leaves_no_category_without_cells():
    data = vc.CountData.from_anndata(named_data().to_anndata()[1:3], batch_key="batch", label_key="label")
    assert data.batch_names.tolist() == ["tuesday"]
    assert data.label_names.tolist() == ["T", "B"]


def test_normalised_x_is_refused_and_the_layer_with_counts_is_named():
    adata = anndata.AnnData(np.log1p(SMALL.astype(float)))
    with pytest.raises(ValueError, match=r"^X: .*fractional") as caught:
        vc.CountData.from_anndata(adata)
    assert "layer" not in str(caught.value)
    adata.layers["umi_counts"] = SMALL
    with pytest.raises(ValueError, match=r"^X: .*fractional.*'umi_counts'"):
        vc.CountData.from_anndata(adata)
    adata.layers["scaled"] = adata.X - 1
    with pytest.raises(ValueError, match=r"^layer 'scaled': .*negative.*'umi_counts'"):
        vc.CountData.from_anndata(adata, layer="scaled")


def test_missing_keys_and_layers_are_named_with_what_there_is():
    adata = named_data().to_anndata()
    adata.layers["umi"] = adata.X
    with pytest.raises(ValueError, match=r"no layer 'counts'.*'umi'"):
        vc.CountData.from_anndata(adata, layer="counts")
    with pytest.raises(ValueError, match=r"batch_key.*'donor'.*'batch', 'label'"):
        vc.CountData.from_anndata(adata, batch_key="donor")
    with pytest.raises(ValueError, match=r"label_key.*'type'.*'batch', 'label'"):
        vc.CountData.from_anndata(adata, label_key="type")
    with pytest.raises(ValueError, match=r"no X.*'umi'"):
        vc.CountData.from_anndata(anndata.AnnData(X=None, obs=adata.obs, var=adata.var, layers={"umi": SMALL}))


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("argument", ["batch_key", "label_key"])
def test_missing_labels_are_refused_with_their_number(missing, argument):
    adata = named_data().to_anndata()
    adata.obs["type"] = pd.Series(["T", missing, missing, "B"], index=adata.obs_names, dtype=object)
    with pytest.raises(ValueError, match=rf"{argument}: column 'type' has no value for 2 cells"):
        vc.CountData.from_anndata(adata, **{argument: "type"})


# --------------------------------------------------------------------------------------------------------------------
# Loaders
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scanpy_pbmc() -> anndata.AnnData:
    import scanpy as sc

    with warnings.catch_warnings():  # scanpy reads its own old file with deprecated parts of anndata
        warnings.simplefilter("ignore")
        return sc.datasets.pbmc68k_reduced()


def recover_counts(adata: anndata.AnnData):
    spec = importlib.util.spec_from_file_location("make_pbmc", ROOT / "data" / "make_pbmc.py")
    make_pbmc = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_pbmc)
    return make_pbmc.recover_counts(adata)


def test_recovering_counts_leaves_the_published_values_alone(scanpy_pbmc):
    before = scanpy_pbmc.raw.X.toarray()
    recover_counts(scanpy_pbmc)
    np.testing.assert_array_equal(scanpy_pbmc.raw.X.toarray(), before)


def test_bundled_pbmc_counts_are_those_recovered_from_scanpy(scanpy_pbmc):
    counts, distance = recover_counts(scanpy_pbmc)
    data = vc.load_pbmc()
    assert (data.counts != counts).nnz == 0
    assert distance < 0.1
    labels = scanpy_pbmc.obs["bulk_labels"]
    assert data.label_names[data.labels].tolist() == labels.tolist()
    assert data.gene_names.tolist() == scanpy_pbmc.raw.var_names.tolist()


def test_bundled_pbmc_counts_give_back_the_published_values_everywhere(scanpy_pbmc):
    # whatever the recovery did: normalising the counts has to return the published values, which have 3 decimals
    totals = scanpy_pbmc.obs["n_counts"].to_numpy()[:, None]
    expected = np.log1p(dense(vc.load_pbmc()).astype(np.float64) / totals * 1e4)
    published = scanpy_pbmc.raw.X.toarray().astype(np.float64)
    assert abs(published - published.round(3)).max() < 1e-6
    assert abs(expected - published).max() <= 0.5e-3 + 1e-6


def test_bundled_pbmc_is_what_the_lessons_say():
    data = vc.load_pbmc()
    assert dense(data).shape == (700, 765)
    smallest = np.minimum.reduceat(data.counts.data, data.counts.indptr[:-1])
    assert (smallest == 1).all()
    assert data.n_labels == len(set(data.label_names)) == 10
    assert set(data.labels) == set(range(10))
    assert len(set(data.gene_names)) == 765
    assert data.n_batches == 1


def test_digits_are_binary_pixels():
    from sklearn import datasets

    data = vc.load_digits()
    pixels, digits = datasets.load_digits(return_X_y=True)
    np.testing.assert_array_equal(dense(data), pixels >= 8)
    assert data.counts.shape == (1797, 64)
    assert data.labels.tolist() == digits.tolist()
    assert data.label_names.tolist() == [str(digit) for digit in range(10)]


@pytest.fixture
def _same_threads():
    """Give torch back the threads it had, so that later tests are as fast and as exact as alone."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def h5ad_file(tmp_path) -> Path:
    data = vc.simulate_counts(n_cells=300, n_genes=60, n_labels=3, n_batches=2, seed=1)
    data.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_load_h5ad_gives_counts_batches_and_labels(h5ad_file):
    data = vc.simulate_counts(n_cells=300, n_genes=60, n_labels=3, n_batches=2, seed=1)
    for path in (h5ad_file, str(h5ad_file)):
        loaded = vc.load_h5ad(path, batch_key="batch", label_key="label")
        assert (loaded.counts != data.counts).nnz == 0
        assert loaded.batch_index.tolist() == data.batch_index.tolist()
        assert loaded.labels.tolist() == data.labels.tolist()


def test_load_h5ad_of_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5ad"):
        vc.load_h5ad(tmp_path / "nothing.h5ad")


def test_load_h5ad_of_a_folder(tmp_path):
    (tmp_path / "cells.h5ad").mkdir()
    with pytest.raises(ValueError, match="folder"):
        vc.load_h5ad(tmp_path / "cells.h5ad")


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "an empty file"), (b"gene,cell\n1,2\n", "a text file"), (b"\x89HDF\r\n\x1a\n", "damaged or incomplete")],
    ids=["empty", "text", "signature alone"],
)
def test_load_h5ad_of_something_else(tmp_path, content, what):
    path = tmp_path / "cells.h5ad"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"cells\.h5ad.*{what}"):
        vc.load_h5ad(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_load_h5ad_of_a_truncated_file(h5ad_file, share):
    content = h5ad_file.read_bytes()
    h5ad_file.write_bytes(content[: int(share * len(content))])
    there = int(share * len(content))
    with pytest.raises(ValueError, match=rf"is incomplete, {there:,} of its {len(content):,} bytes are there"):
        vc.load_h5ad(h5ad_file)


def test_load_h5ad_of_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        file["X"] = SMALL
    with pytest.raises(ValueError, match=r"cells\.h5ad"):
        vc.load_h5ad(tmp_path / "cells.h5ad", label_key="type")


def test_load_h5ad_of_normalised_values_names_the_layer_with_counts(tmp_path):
    adata = anndata.AnnData(np.log1p(SMALL.astype(float)))
    adata.layers["raw_umi"] = SMALL
    adata.write_h5ad(tmp_path / "cells.h5ad")
    for n_top_genes in (None, 2):  # refused before genes are ranked, with the same words
        with pytest.raises(ValueError, match=r"^X: .*fractional.*'raw_umi'"):
            vc.load_h5ad(tmp_path / "cells.h5ad", n_top_genes=n_top_genes)
    np.testing.assert_array_equal(dense(vc.load_h5ad(tmp_path / "cells.h5ad", layer="raw_umi")), SMALL)


@pytest.mark.parametrize(
    "form",
    [
        *(FORMS[name] for name in ("int64", "float64", "csr", "csr float32", "csc")),
        *(with_explicit_zeros, with_duplicates, with_unsorted_columns),
    ],
)
@pytest.mark.parametrize("layer", [None, "counts"])
def test_counts_are_read_in_portions_in_whatever_form_they_are_stored(tmp_path, monkeypatch, form, layer):
    monkeypatch.setattr("vae_course.validation.PORTION", 7 * 30)  # 60 cells x 30 genes: 7 cells at a time
    counts = random_counts()
    adata = anndata.AnnData(form(counts) if layer is None else None, obs=pd.DataFrame(index=map(str, range(60))))
    if layer is not None:
        adata = anndata.AnnData(np.zeros((60, 30)), layers={layer: form(counts)})
    adata.write_h5ad(tmp_path / "cells.h5ad")
    data = vc.load_h5ad(tmp_path / "cells.h5ad", layer=layer)
    np.testing.assert_array_equal(dense(data), counts)
    assert data.counts.nnz == np.count_nonzero(counts)
    assert data.counts.dtype == np.float32
    assert data.counts.indices.dtype == data.counts.indptr.dtype == np.int32
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(dense(vc.CountData.from_anndata(backed, layer=layer)), counts)
    backed.file.close()


@pytest.mark.parametrize("stored", [np.asarray, sp.csr_matrix])
def test_nothing_but_the_counts_is_loaded_and_no_dense_matrix_of_them(tmp_path, monkeypatch, stored):
    monkeypatch.setattr("vae_course.validation.PORTION", 2**18)  # 1 MiB of float32
    n_cells, n_genes = 10_000, 500  # 20 MB dense
    others = sp.random(n_cells, n_genes - 1, density=0.02, dtype=np.float32, random_state=0).ceil()
    counts = sp.csr_matrix(sp.hstack([np.ones((n_cells, 1), np.float32), others]))
    whole = np.zeros((n_cells, n_genes), np.float32)
    adata = anndata.AnnData(stored(counts.toarray()), layers={"other": whole}, obsm={"X": whole}, uns={"x": whole})
    adata.write_h5ad(tmp_path / "cells.h5ad")
    del adata, whole
    vc.load_h5ad(tmp_path / "cells.h5ad")  # imports what it needs
    tracemalloc.start()
    data = vc.load_h5ad(tmp_path / "cells.h5ad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (data.counts != counts).nnz == 0
    assert peak < 12e6  # the counts take 1.8 MB


def test_a_portion_is_at_least_a_cell(monkeypatch):
    monkeypatch.setattr("vae_course.validation.PORTION", 1)
    np.testing.assert_array_equal(dense(vc.CountData(SMALL)), SMALL)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_bad_entries_of_all_portions_are_counted_and_the_first_is_named(monkeypatch, form):
    monkeypatch.setattr("vae_course.validation.PORTION", 30)  # a cell at a time
    counts = random_counts().astype(float)
    counts[9, 3], counts[20, 4], counts[50, 5], counts[59, 6] = 0.5, 1.5, 2.5, -1
    with pytest.raises(ValueError, match=r"1 negative entries, the first at cell 59, gene 6: -1\.0"):
        vc.CountData(form(counts))
    counts[59, 6] = 7.5
    with pytest.raises(ValueError, match=r"4 fractional entries, the first at cell 9, gene 3: 0\.5"):
        vc.CountData(form(counts))


@pytest.mark.parametrize("number", [1, 2, 7])
def test_shards_are_all_cells_once_with_the_codes_of_the_whole_file(h5ad_file, number):
    whole = vc.load_h5ad(h5ad_file, batch_key="batch", label_key="label")
    shards = [
        vc.load_h5ad(h5ad_file, batch_key="batch", label_key="label", shard=(position, number))
        for position in range(number)
    ]
    assert {shard.n_cells for shard in shards} <= {300 // number, 300 // number + 1}
    assert (sp.vstack([shard.counts for shard in shards]) != whole.counts).nnz == 0
    for name in ("batch_index", "labels"):
        assert np.concatenate([getattr(shard, name) for shard in shards]).tolist() == getattr(whole, name).tolist()
    for shard in shards:
        for name in ("batch_names", "label_names", "gene_names"):
            assert getattr(shard, name).tolist() == getattr(whole, name).tolist()


def test_a_shard_leaves_out_the_categories_without_cells_in_the_whole_file_alone(tmp_path):
    adata = anndata.AnnData(np.ones((6, 3)))
    adata.obs["type"] = pd.Categorical(list("aabbcc"), categories=list("zcba"))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    data = vc.load_h5ad(tmp_path / "cells.h5ad", label_key="type", shard=(1, 3))
    assert data.label_names.tolist() == ["c", "b", "a"]
    assert data.labels.tolist() == [1, 1]


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), (0, 301)])
def test_a_shard_that_there_is_not_is_refused(h5ad_file, shard):
    with pytest.raises(ValueError, match=r"0 <= position < number <= 300 cells"):
        vc.load_h5ad(h5ad_file, shard=shard)


def test_genes_cannot_be_chosen_on_a_shard(h5ad_file):
    with pytest.raises(ValueError, match=r"n_top_genes=20 needs all cells.*beforehand"):
        vc.load_h5ad(h5ad_file, n_top_genes=20, shard=(0, 2))


def test_a_shard_names_cells_by_their_place_in_the_file(tmp_path):
    counts = random_counts()
    counts[45] = 0
    anndata.AnnData(counts).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"1 of 30 cells.*the first is cell 45"):
        vc.load_h5ad(tmp_path / "cells.h5ad", shard=(1, 2))
    counts[45] = -1
    anndata.AnnData(counts).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"30 negative entries, the first at cell 45, gene 0"):
        vc.load_h5ad(tmp_path / "cells.h5ad", shard=(1, 2))


def compressed_badly(file: h5py.File) -> None:
    stored = file["X/data"]
    del file["X/data"]
    broken = file.create_dataset("X/data", stored.shape, stored.dtype, chunks=stored.shape, compression="gzip")
    broken.id.write_direct_chunk((0,), b"these bytes were never compressed")


def pointing_outside(file: h5py.File) -> None:
    file["X/indices"][5] = 10_000


def with_too_few_columns(file: h5py.File) -> None:
    file["X/indices"].resize((5,))


def without_values(file: h5py.File) -> None:
    del file["X/data"]


@pytest.mark.parametrize("damage", [compressed_badly, pointing_outside, with_too_few_columns, without_values])
def test_damage_that_shows_when_the_counts_are_read(h5ad_file, damage):
    with h5py.File(h5ad_file, "r+") as file:
        damage(file)
    with pytest.raises(ValueError, match=r"^[^:]*cells\.h5ad cannot be read as \.h5ad, it is damaged or incomplete"):
        vc.load_h5ad(h5ad_file)


def test_a_file_is_closed_when_its_counts_are_loaded(h5ad_file):
    data = vc.load_h5ad(h5ad_file)
    with pytest.raises(ValueError, match="shard") as caught:
        vc.load_h5ad(h5ad_file, shard=(9, 9))
    h5py.File(h5ad_file, "w").close()  # HDF5 refuses that for a file that is open
    del data, caught  # until here they could have held it open


def write_old_h5ad(path: Path) -> None:
    """Write a file as anndata before 0.7 did: tables are compound data sets."""
    with h5py.File(path, "w") as file:
        file["X"] = SMALL.astype(np.float32)
        file["obs"] = np.array([(f"cell {i}".encode(), i) for i in range(4)], dtype=[("index", "S6"), ("age", "i4")])
        file["var"] = np.array([(b"CD3E",), (b"LYZ",), (b"NKG7",)], dtype=[("index", "S4")])
        file["obsm"] = np.array([((1.0, 2.0),)] * 4, dtype=[("X_pca", "f4", (2,))])


@pytest.mark.filterwarnings("ignore")  # of anndata, about the age of the file
def test_files_of_an_old_anndata_are_read(tmp_path):
    write_old_h5ad(tmp_path / "cells.h5ad")
    data = vc.load_h5ad(tmp_path / "cells.h5ad", batch_key="age")
    np.testing.assert_array_equal(dense(data), SMALL)
    assert data.gene_names.tolist() == ["CD3E", "LYZ", "NKG7"]
    assert data.batch_index.tolist() == [0, 1, 2, 3]
    with open_h5ad(tmp_path / "cells.h5ad") as adata:
        assert adata.obs_names.tolist() == ["cell 0", "cell 1", "cell 2", "cell 3"]


@pytest.mark.parametrize("n_top_genes", [0, -1, 61, 10_000])
def test_a_wrong_number_of_genes_is_refused_with_the_right_range(h5ad_file, n_top_genes):
    with pytest.raises(ValueError, match=rf"n_top_genes: expected 1 to 60 .*got {n_top_genes}"):
        vc.load_h5ad(h5ad_file, n_top_genes=n_top_genes)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.usefixtures("_same_threads")
def test_gene_selection_keeps_the_most_variable_genes(h5ad_file):
    pytest.importorskip("skmisc", reason="scanpy chooses genes with scikit-misc")
    full = vc.load_h5ad(h5ad_file, label_key="label")
    data = vc.load_h5ad(h5ad_file, batch_key="batch", label_key="label", n_top_genes=20)
    assert data.counts.shape == (300, 20)
    kept = np.isin(full.gene_names, data.gene_names)
    assert kept.sum() == 20
    np.testing.assert_array_equal(dense(data), dense(full)[:, kept])
    dispersion = dense(full).var(axis=0) / dense(full).mean(axis=0)
    assert dispersion[kept].mean() > dispersion[~kept].mean()


def test_gene_selection_leaves_the_threads_of_torch_alone(h5ad_file):
    # scanpy ranks genes with numba, which sets the threads of the OpenMP library that it shares with torch; the last
    # bits of all that is trained afterwards depend on their number. It does so once, hence the fresh process.
    pytest.importorskip("skmisc", reason="scanpy chooses genes with scikit-misc")
    code = f"""
import torch, vae_course as vc
torch.set_num_threads(1)
torch.get_num_threads()  # torch applies the number when it first needs it
vc.load_h5ad({str(h5ad_file)!r}, n_top_genes=20)
print(torch.get_num_threads())
"""
    environment = os.environ | {"NUMBA_NUM_THREADS": "2"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1"]


# --------------------------------------------------------------------------------------------------------------------
# Simulated cells
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated() -> vc.CountData:
    return vc.simulate_counts(n_cells=3000, n_genes=120, n_labels=3, n_batches=3, n_latent=4, seed=5)


def test_simulated_shapes(simulated):
    truth = simulated.truth
    assert simulated.counts.shape == truth.scale.shape == (3000, 120)
    assert (simulated.n_batches, simulated.n_labels) == (3, 3)
    assert truth.latent.shape == (3000, 4)
    assert truth.library.shape == (3000,)
    assert truth.theta.shape == truth.dropout.shape == (120,)
    assert truth.batch_effect.shape == truth.lfc.shape == truth.de_genes.shape == (3, 120)
    assert truth.de_genes.dtype == bool
    np.testing.assert_allclose(truth.scale.sum(axis=1), 1, rtol=1e-12)
    assert (truth.theta > 0).all()
    assert ((truth.dropout >= 0) & (truth.dropout < 1)).all()


def test_simulated_counts_have_the_mean_and_variance_of_the_truth(simulated):
    truth = simulated.truth
    mu = np.exp(truth.library)[:, None] * truth.scale
    pi = truth.dropout
    variance = (1 - pi) * mu * (1 + mu / truth.theta + pi * mu)
    deviation = dense(simulated) - (1 - pi) * mu
    z = deviation.sum(axis=0) / np.sqrt(variance.sum(axis=0))  # one per gene, about N(0, 1)
    assert abs(z).max() < 5
    assert 0.6 < z.var() < 1.5
    ratio = (deviation**2).sum(axis=0) / variance.sum(axis=0)
    assert 0.9 < np.median(ratio) < 1.1


def test_simulated_zeros_are_those_of_the_truth(simulated):
    truth = simulated.truth
    mu = np.exp(truth.library)[:, None] * truth.scale
    p_zero = truth.dropout + (1 - truth.dropout) * (truth.theta / (truth.theta + mu)) ** truth.theta
    z = ((dense(simulated) == 0) - p_zero).sum(axis=0) / np.sqrt((p_zero * (1 - p_zero)).sum(axis=0))
    assert abs(z).max() < 5


def test_simulated_library_is_gaussian_and_independent_of_the_label(simulated):
    library = simulated.truth.library
    assert abs(library.mean() - np.log(2000)) < 5 * 0.4 / np.sqrt(3000)
    assert abs(library.std() - 0.4) < 5 * 0.4 / np.sqrt(2 * 3000)
    of_label = [library[simulated.labels == k] for k in range(3)]
    assert stats.f_oneway(*of_label).pvalue > 1e-4


def test_simulated_effects_are_in_the_shares(simulated):
    truth = simulated.truth
    assert (truth.batch_effect[0] == 0).all()
    assert (truth.batch_effect[1:] != 0).all()
    assert ((truth.lfc != 0) == truth.de_genes).all()
    assert abs(truth.de_genes.mean() - 0.1) < 5 * np.sqrt(0.1 * 0.9 / truth.de_genes.size)
    # without them, log shares are baseline + z W up to the constant that makes a row sum to 1
    rest = np.log(truth.scale) - np.log(2) * truth.lfc[simulated.labels] - truth.batch_effect[simulated.batch_index]
    rest -= rest.mean(axis=1, keepdims=True)
    design = np.column_stack([np.ones(3000), truth.latent])
    fitted = design @ np.linalg.lstsq(design, rest, rcond=None)[0]
    assert abs(rest - fitted).max() < 1e-10


def test_simulation_follows_its_seed_and_leaves_global_state():
    state = torch.get_rng_state()
    first, again, other = (vc.simulate_counts(n_cells=50, n_genes=20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(dense(first), dense(again))
    np.testing.assert_array_equal(first.truth.latent, again.truth.latent)
    assert (dense(first) != dense(other)).any()


DONORS = {"n_cells": 400, "n_genes": 60, "n_labels": 2, "n_donors": 6, "seed": 1}


@pytest.mark.parametrize("label_by_donor", [False, True])
def test_donors_shift_the_log_shares_of_their_cells(label_by_donor):
    data = vc.simulate_counts(**DONORS, sd_donor_effect=0.7, label_by_donor=label_by_donor)
    truth = data.truth
    assert (truth.donor.shape, truth.donor_effect.shape) == ((400,), (6, 60))
    assert abs(truth.donor_effect.std() - 0.7) < 5 * 0.7 / np.sqrt(2 * 6 * 60)
    assert np.ptp(np.bincount(truth.donor, minlength=6)) <= 1
    labels_of = {(donor, donor % 2) for donor in range(6)} if label_by_donor else set(np.ndindex(6, 2))
    assert set(zip(truth.donor.tolist(), data.labels.tolist(), strict=True)) == labels_of
    rest = np.log(truth.scale) - np.log(2) * truth.lfc[data.labels] - truth.donor_effect[truth.donor]
    rest -= rest.mean(axis=1, keepdims=True)
    design = np.column_stack([np.ones(400), truth.latent])
    assert abs(rest - design @ np.linalg.lstsq(design, rest, rcond=None)[0]).max() < 1e-10


def test_donors_change_nothing_else():
    without = vc.simulate_counts(**{**DONORS, "n_donors": 0})
    assert without.truth.donor is None
    assert without.truth.donor_effect is None
    np.testing.assert_array_equal(dense(vc.simulate_counts(**DONORS, sd_donor_effect=0.0)), dense(without))
    truth = vc.simulate_counts(**DONORS).truth
    for name in ("latent", "library", "theta", "dropout", "batch_effect", "lfc", "de_genes"):
        np.testing.assert_array_equal(getattr(truth, name), getattr(without.truth, name))


def test_donors_go_with_their_cells():
    truth = vc.simulate_counts(**DONORS).truth
    part = truth.subset(np.array([4, 40, 7]))
    np.testing.assert_array_equal(part.donor, truth.donor[[4, 40, 7]])
    np.testing.assert_array_equal(part.donor_effect, truth.donor_effect)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_donors": -1}, "n_donors from 0 .* 400, got -1"),
        ({"n_donors": 401}, "n_donors from 0 .* 400, got 401"),
        ({"sd_donor_effect": -0.1}, "sd_donor_effect of at least 0, got -0.1"),
        ({"sd_donor_effect": np.nan}, "sd_donor_effect of at least 0"),
        ({"n_donors": 1, "label_by_donor": True}, "each of the 2 labels, got n_donors=1"),
    ],
    ids=str,
)
def test_impossible_donors_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        vc.simulate_counts(**{**DONORS, **options})


def test_truth_goes_with_its_cells():
    data = vc.simulate_counts(n_cells=50, n_genes=20, n_labels=2, seed=1)
    part = data.subset([4, 40, 7]).truth
    for name in ("latent", "library", "scale"):
        np.testing.assert_array_equal(getattr(part, name), getattr(data.truth, name)[[4, 40, 7]])
    for name in ("theta", "dropout", "batch_effect", "lfc", "de_genes"):
        np.testing.assert_array_equal(getattr(part, name), getattr(data.truth, name))
    assert vc.CountData(SMALL).truth is None


@pytest.mark.parametrize("mean_dropout", [0.05, 0.1, 0.3, 0.5])
def test_mean_dropout_is_the_mean_of_the_dropout(mean_dropout):
    dropout = vc.simulate_counts(n_cells=2, n_genes=20_000, mean_library=1e5, mean_dropout=mean_dropout).truth.dropout
    assert abs(dropout.mean() - mean_dropout) < 5 * dropout.std() / np.sqrt(len(dropout))


def test_zero_inflation_can_be_switched_off():
    data = vc.simulate_counts(n_cells=300, n_genes=20, mean_dropout=0.0)
    assert (data.truth.dropout == 0).all()
    mu = np.exp(data.truth.library)[:, None] * data.truth.scale
    z = (dense(data) - mu).sum(axis=0) / np.sqrt((mu + mu**2 / data.truth.theta).sum(axis=0))
    assert abs(z).max() < 5


@pytest.mark.parametrize(
    "options",
    [
        *({name: 0} for name in ("n_cells", "n_genes", "n_labels", "n_batches", "n_latent")),
        *({"share_de": 1.5}, {"mean_dropout": -0.1}, {"mean_dropout": 1.0}, {"mean_library": 0.5}),
    ],
    ids=str,
)
def test_impossible_simulations_are_refused(options):
    with pytest.raises(ValueError, match=r"at least 1|share_de|no counts"):
        vc.simulate_counts(**options)


@pytest.fixture(scope="module")
def two_batches() -> vc.CountData:
    return vc.load_two_batches()


def test_half_of_the_cells_of_every_label_are_passed_through_the_batch_effect(two_batches):
    real, hit = vc.load_pbmc(), two_batches.batch_index == 1
    assert list(two_batches.batch_names) == ["as measured", "passed through a batch effect"]
    np.testing.assert_array_equal(two_batches.labels, real.labels)
    np.testing.assert_array_equal(two_batches.gene_names, real.gene_names)
    np.testing.assert_array_equal(two_batches.label_names, real.label_names)
    np.testing.assert_array_equal(np.bincount(real.labels[hit]), np.bincount(real.labels) // 2)
    np.testing.assert_array_equal(dense(two_batches)[~hit], dense(real)[~hit])
    np.testing.assert_array_equal(two_batches.truth.untouched.toarray(), dense(real))
    assert (dense(two_batches)[hit] != dense(real)[hit]).any(axis=1).all()


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_the_batch_effect_is_that_of_the_truth(strength):
    data = vc.load_two_batches(seed=3, strength=strength)
    truth, hit = data.truth, data.batch_index == 1
    assert (truth.depth, truth.ambient) == (pytest.approx(0.9**strength), pytest.approx(0.05 * strength))
    assert stats.kstest(truth.efficiency, stats.beta(1 / strength, 1).cdf).pvalue > 1e-3
    before, after = truth.untouched.toarray().astype(float), dense(data)[hit]
    kept = truth.efficiency * truth.depth
    profile = before.sum(axis=0) / before.sum()
    n_ambient = (before[hit] @ kept * truth.ambient / (1 - truth.ambient)).sum()
    expected = before[hit].sum(axis=0) * kept + n_ambient * profile  # (genes,)
    variance = before[hit].sum(axis=0) * kept * (1 - kept) + n_ambient * profile
    z = (after.sum(axis=0) - expected) / np.sqrt(variance)
    assert abs(z).max() < 5
    assert z.std() == pytest.approx(1, abs=0.15)
    assert abs(after.sum() - expected.sum()) < 4 * np.sqrt(variance.sum())


def test_without_strength_there_is_no_batch_effect():
    data = vc.load_two_batches(strength=0)
    np.testing.assert_array_equal(dense(data), dense(vc.load_pbmc()))
    assert (data.truth.depth, data.truth.ambient) == (1, 0)
    assert (data.truth.efficiency == 1).all()
    assert data.n_batches == 2


def test_strength_changes_neither_the_cells_nor_the_order_of_the_genes(two_batches):
    weak, other = vc.load_two_batches(strength=0.5), vc.load_two_batches(seed=1)
    np.testing.assert_array_equal(weak.batch_index, two_batches.batch_index)
    np.testing.assert_allclose(weak.truth.efficiency**2, two_batches.truth.efficiency)
    assert (other.batch_index != two_batches.batch_index).any()
    assert (other.truth.efficiency != two_batches.truth.efficiency).all()
    np.testing.assert_array_equal(dense(vc.load_two_batches()), dense(two_batches))


@pytest.mark.parametrize("seed", range(3))
def test_no_cell_of_two_batches_is_empty(seed):
    data = vc.load_two_batches(seed, strength=3)
    assert data.counts.sum(axis=1).min() > 0
    assert (data.library_var > 0.01).all()


def test_the_truth_of_two_batches_goes_with_its_cells(two_batches):
    part = two_batches.subset([4, 40, 7]).truth
    np.testing.assert_array_equal(part.untouched.toarray(), two_batches.truth.untouched.toarray()[[4, 40, 7]])
    np.testing.assert_array_equal(part.efficiency, two_batches.truth.efficiency)


@pytest.mark.parametrize("strength", [-0.1, 3.1, float("nan")])
def test_impossible_strengths_are_refused(strength):
    with pytest.raises(ValueError, match=rf"expected 0 \(none\) to 3, got {strength}"):
        vc.load_two_batches(strength=strength)


@pytest.mark.numerical
def test_the_batch_effect_parts_the_batches_of_a_pca_and_leaves_their_types(two_batches):
    for data, mixing in ((two_batches, (0, 0.25)), (vc.load_two_batches(strength=0), (0.9, 1))):
        counts = dense(data)
        latent = PCA(10, random_state=0).fit_transform(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)))
        share = metrics.entropy_batch_mixing(latent, data.batch_index) / np.log(2)
        assert mixing[0] <= share < mixing[1]
        assert metrics.knn_purity(latent, data.labels) > 0.4


def noise_log_prob(x: np.ndarray) -> np.ndarray:
    """Log-probability of a count of the noise set, from scipy: mean 4, inverse dispersion 2, dropout 0.7."""
    return np.log(0.7 * (x == 0) + 0.3 * stats.nbinom(2, 2 / (2 + 4)).pmf(x))


def test_noise_has_the_entropy_it_should_have():
    x = np.arange(400)
    assert -(np.exp(noise_log_prob(x)) * noise_log_prob(x)).sum() == pytest.approx(1.21022567, abs=5e-9)
    data = vc.simulate_noise(n_cells=20_000, seed=0)
    p_empty = np.exp(10 * noise_log_prob(np.zeros(1)))[0]
    assert abs(data.n_cells - 20_000 * (1 - p_empty)) < 5 * np.sqrt(20_000 * p_empty * (1 - p_empty))
    # empty cells are left out, so their share of the entropy is too: 12.102 nats per cell become 12.526
    expected = (12.1022567 + p_empty * np.log(p_empty)) / (1 - p_empty)
    nats = -noise_log_prob(dense(data)).sum(axis=1)
    assert abs(nats.mean() - expected) < 4 * nats.std() / np.sqrt(len(nats))


def test_noise_follows_its_options():
    data = vc.simulate_noise(n_cells=4000, n_genes=30, mu=9.0, theta=3.0, dropout=0.0, seed=1)
    assert data.counts.shape == (4000, 30)
    counts = dense(data)
    assert abs(counts.mean() - 9) < 5 * np.sqrt((9 + 27) / counts.size)
    assert counts.var() == pytest.approx(9 + 81 / 3, rel=0.05)
    assert (dense(vc.simulate_noise(50, seed=1)) == dense(vc.simulate_noise(50, seed=1))).all()


def test_two_codes_cannot_have_the_same_name():
    with pytest.raises(ValueError, match="differ from each other"):
        vc.CountData(np.ones((2, 3)), labels=[0, 1], label_names=["T", "T"])


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_share_outside_0_to_1_cannot_be_hidden(rate):
    with pytest.raises(ValueError, match="0 to 1"):
        corrupt(torch.ones(2, 3), rate, torch.Generator())
