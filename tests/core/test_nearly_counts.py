"""Fractional values: estimates of counts are told from normalised ones, and rounded if that is asked for."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

import vae_course as vc

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(RNG.gamma(1.0, 2.0, (1, 60)) * RNG.lognormal(0, 0.4, (50, 1)))
COUNTS[COUNTS.sum(axis=1) == 0, 0] = 1
TOTALS = COUNTS.sum(axis=1, keepdims=True)
WITHOUT_SOME = COUNTS[:, ::2] + (COUNTS[:, ::2].sum(axis=1, keepdims=True) == 0)  # of normalised genes, some are kept

NORMALISED = {
    "counts per 10,000": COUNTS / TOTALS * 1e4,
    "log1p": np.log1p(COUNTS / TOTALS * 1e4),
    "log1p, float32": np.log1p(COUNTS / TOTALS * 1e4).astype(np.float32),
    "log2": np.log2(1 + COUNTS / TOTALS * 1e4),
    "to the median": COUNTS / TOTALS * np.median(TOTALS),
    "log1p of some genes": np.log1p(WITHOUT_SOME / TOTALS * 1e4),
    "divided by size factors": WITHOUT_SOME / RNG.lognormal(0, 0.5, (50, 1)),
    "TPM": (COUNTS / RNG.uniform(0.5, 5, 60)) / (COUNTS / RNG.uniform(0.5, 5, 60)).sum(axis=1, keepdims=True) * 1e6,
}
NORMALISED["TPM"] *= 1e6 / NORMALISED["TPM"].sum(axis=1, keepdims=True)
ESTIMATES = {
    "SoupX": COUNTS * RNG.uniform(0.8, 1, COUNTS.shape),
    "SoupX, some subtracted": np.where(RNG.random(COUNTS.shape) < 0.5, COUNTS * 0.93, COUNTS),
    "alevin": np.where(RNG.random(COUNTS.shape) < 0.2, COUNTS / RNG.choice([2, 3], COUNTS.shape), COUNTS),
    "halves": COUNTS / 2,
    "RSEM": np.where(RNG.random(COUNTS.shape) < 0.1, COUNTS * RNG.random(COUNTS.shape), COUNTS),
}


@pytest.mark.parametrize("name", NORMALISED)
@pytest.mark.parametrize("rounded", [False, True])
def test_normalised_values_are_told_and_never_rounded(name, rounded):
    with pytest.raises(ValueError, match=r"These are normalised values \(.*\), which cannot be rounded\. Use raw") as e:
        vc.CountData(NORMALISED[name], round=rounded)
    assert "round=True" not in str(e.value)


@pytest.mark.parametrize("name", ESTIMATES)
def test_estimates_are_told_and_rounded(name, capsys):
    values = ESTIMATES[name]
    with pytest.raises(ValueError, match=r"estimates of counts, as SoupX, CellBender, RSEM.* give.* round=True rounds"):
        vc.CountData(values)
    rounded = np.rint(values)
    rounded[rounded.sum(axis=1) == 0, 0] = 1
    values = np.where(rounded.sum(axis=1, keepdims=True) == 1, rounded, values)
    data = vc.CountData(sp.csr_matrix(values), round=True)
    np.testing.assert_array_equal(data.counts.toarray(), np.rint(values))
    assert data.counts.nnz == np.count_nonzero(np.rint(values))
    moves = np.abs(np.rint(values) - values)[values > 0]
    moved = moves[moves > 0]
    assert capsys.readouterr().out == (
        f"Rounded {len(moved):,} of {len(moves):,} non-zero entries ({len(moved) / len(moves):.1%}) to whole numbers: "
        f"they moved by {np.median(moved):.2g} (median), at most by {moved.max():.2g}.\n"
    )


def test_the_input_is_not_rounded_itself():
    matrix = sp.csr_matrix(ESTIMATES["RSEM"] + (COUNTS.sum(axis=1, keepdims=True) > 0))
    before = matrix.copy()
    vc.CountData(matrix, round=True)
    assert (matrix != before).nnz == 0


@pytest.mark.parametrize("dtype", [int, bool, np.float32])
def test_whole_numbers_stay_when_rounded(dtype, capsys):
    np.testing.assert_array_equal(vc.CountData(COUNTS.astype(dtype), round=True).counts.toarray(), COUNTS.astype(dtype))
    assert capsys.readouterr().out == "Nothing had to be rounded: all counts are whole numbers.\n"


@pytest.mark.parametrize(("value", "word"), [(-0.3, "negative"), (np.nan, "NaN"), (np.inf, "infinite")])
def test_what_no_rounding_makes_a_count_is_refused(value, word):
    values = ESTIMATES["RSEM"].copy()
    values[0, 0] = value
    with pytest.raises(ValueError, match=word):
        vc.CountData(values, round=True)


def test_counts_elsewhere_are_found_and_named():
    adata = anndata.AnnData(ESTIMATES["RSEM"], layers={"log": np.log1p(COUNTS), "umi": COUNTS})
    adata.raw = anndata.AnnData(COUNTS)
    with pytest.raises(
        ValueError, match=r"^X: .*There are counts in layer 'umi': give layer='umi'\. .*\.raw: give raw=T"
    ):
        vc.CountData.from_anndata(adata)
    adata = anndata.AnnData(COUNTS, layers={"log": np.log1p(COUNTS)})
    with pytest.raises(ValueError, match=r"^layer 'log': .*There are counts in X: give no layer and no raw\.$"):
        vc.CountData.from_anndata(adata, layer="log")
