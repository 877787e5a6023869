"""`CountData`: counts with the batch, the label and covariates of every cell; bundled data sets; corruption."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from vae_course.counts_in_anndata import (
    check_different,
    codes_of_column,
    covariates_in,
    listed,
    matrix_of,
    where_counts_are,
)
from vae_course.runtime.devices import CountsOnGPU, rows_on
from vae_course.validation import (
    NotCountsError,
    Rows,
    validated_categories,
    validated_codes,
    validated_counts,
    validated_values,
)

if TYPE_CHECKING:
    from anndata import AnnData

LIBRARY_VAR_FLOOR = 1e-6  # a standard deviation of 0.1 % of the total; anything smaller counts as constant


# --------------------------------------------------------------------------------------------------------------------
# Corruption
# --------------------------------------------------------------------------------------------------------------------


def corrupt(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Set a share of the non-zero counts to zero, to see later whether a model can restore them.

    Parameters
    ----------
    counts
        Counts, (cells, genes). Left unchanged.
    rate
        Share of the non-zero entries to hide, between 0 and 1.
    generator
        Source of all randomness.

    Returns
    -------
    corrupted
        A copy in which exactly floor(rate * non-zeros) non-zero entries, drawn uniformly, are 0.
    mask
        Boolean, of the same shape, True where that happened.

    Raises
    ------
    ValueError
        For a rate outside 0..1.
    """
    check_rate(rate)
    nonzero = torch.nonzero(counts.flatten()).squeeze(-1)
    order = torch.randperm(len(nonzero), generator=generator, device=counts.device)
    mask = torch.zeros(counts.numel(), dtype=torch.bool, device=counts.device)
    mask[nonzero[order[: int(rate * len(nonzero))]]] = True
    mask = mask.view(counts.shape)
    return counts.masked_fill(mask, 0), mask


def check_rate(rate: float) -> None:
    """Raise ValueError unless `rate` is a share between 0 and 1."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is the share of entries to damage: expected 0 to 1, got {rate!r}.")


def _corrupt_binomial(counts: np.ndarray, n_entries: int, rate: float, generator: np.random.Generator) -> np.ndarray:
    """Thin `rate` of all `n_entries` entries to Binomial(x, 0.2); `counts` are the non-zero ones, zeros stay zeros."""
    if n_entries < 10**9:
        n_drawn = generator.hypergeometric(len(counts), n_entries - len(counts), int(rate * n_entries))
    else:  # beyond what NumPy's hypergeometric takes; with so many entries the binomial is as good
        n_drawn = generator.binomial(len(counts), rate)
    drawn = generator.choice(len(counts), n_drawn, replace=False)
    thinned = counts.copy()
    thinned[drawn] = generator.binomial(counts[drawn].astype(np.int64), 0.2)
    return thinned


# --------------------------------------------------------------------------------------------------------------------
# CountData
# --------------------------------------------------------------------------------------------------------------------


class CountData:
    """A matrix of counts with the batch and the label of every cell, and what else is known about it.

    Parameters
    ----------
    counts
        Whole numbers, (cells, genes), dense or scipy sparse; every cell needs at least one. Kept as a float32 CSR
        matrix in `.counts`.
    batch_index
        Experimental batch of each cell, (cells,) or (cells, 1), codes 0..B-1; one batch if None.
    labels
        Cell type of each cell, (cells,) or (cells, 1), codes 0..K-1; one label if None.
    gene_names, batch_names, label_names
        Names of the columns and of the codes; made up if None.
    categorical_covariates
        Codes of the cells' donor, chemistry and the like, 0, 1, 2, ... in each column, (cells, covariates); none if
        None.
    category_names
        Name of each of these covariates with the names of its codes, such as {"donor": ["A", "B"]}; made up if None.
    continuous_covariates
        Numbers such as the cells' age or share of mitochondrial counts, (cells, covariates); none if None. A decoder
        takes them as they are, so values far from the order of 1 should be standardised.
    continuous_names
        Names of these covariates; made up if None.
    round
        Round fractional estimates of counts, as SoupX, RSEM or alevin give, and print how far they moved. Values that
        are recognised as normalised are refused all the same.

    Attributes
    ----------
    covariates
        All covariates in one table, codes first, float32, (cells, covariates): what a model is given. It has no
        columns if there are none.
    library_mean, library_var
        Mean and (population) variance of the natural logarithm of the cells' totals, in each batch, (n_batches,).
        The variance is at least `LIBRARY_VAR_FLOOR`. Cells that corruption emptied do not count; a batch
        without cells gets the values of all cells together.
    truth
        What generated the counts (`simulate.SimulationTruth`), or was done to them (`simulate.BatchEffectTruth`); None
        for real data.

    Raises
    ------
    ValueError
        For counts that are negative, fractional, missing or infinite anywhere, for a cell without counts, for
        empty matrices, for covariates with missing or infinite values, and for arguments whose lengths do not fit.
    """

    def __init__(
        self,
        counts: Any,
        batch_index: Any = None,
        labels: Any = None,
        gene_names: Sequence[str] | None = None,
        batch_names: Sequence[str] | None = None,
        label_names: Sequence[str] | None = None,
        categorical_covariates: Any = None,
        category_names: Mapping[str, Sequence[str]] | None = None,
        continuous_covariates: Any = None,
        continuous_names: Sequence[str] | None = None,
        round: bool = False,  # noqa: A002
    ) -> None:
        self.counts = validated_counts(counts, round)
        n_cells, n_genes = self.counts.shape
        self.batch_index, self.batch_names = validated_codes("batch_index", batch_index, batch_names, n_cells)
        self.labels, self.label_names = validated_codes("labels", labels, label_names, n_cells)
        if gene_names is not None and len(gene_names) != n_genes:
            raise ValueError(f"gene_names needs one name per gene: expected {n_genes}, got {len(gene_names)}.")
        self.gene_names = np.array([f"gene {g}" for g in range(n_genes)] if gene_names is None else gene_names, str)
        codes, self.category_names = validated_categories(categorical_covariates, category_names, n_cells)
        values, self.continuous_names = validated_values(continuous_covariates, continuous_names, n_cells)
        check_different([*self.category_names, *self.continuous_names])
        self.covariates = np.hstack([codes, values], dtype=np.float32)
        self.truth: Any = None
        self._rows_on: dict[torch.device, sp.csr_matrix | CountsOnGPU] = {}

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.counts.shape[0]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.counts.shape[1]

    @property
    def n_batches(self) -> int:
        """Number of experimental batches."""
        return len(self.batch_names)

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return len(self.label_names)

    @property
    def n_cats_per_cov(self) -> list[int]:
        """Number of categories of each categorical covariate."""
        return [len(names) for names in self.category_names.values()]

    @property
    def n_continuous_cov(self) -> int:
        """Number of continuous covariates."""
        return len(self.continuous_names)

    @property
    def categorical_covariates(self) -> np.ndarray:
        """Codes of the categorical covariates, int64, (cells, covariates)."""
        return self.covariates[:, : len(self.category_names)].astype(np.int64)

    @property
    def continuous_covariates(self) -> np.ndarray:
        """Values of the continuous covariates, float32, (cells, covariates)."""
        return self.covariates[:, len(self.category_names) :]

    @property
    def library_mean(self) -> np.ndarray:
        """Mean log-total of each batch, (n_batches,)."""
        return self._library_moments()[0]

    @property
    def library_var(self) -> np.ndarray:
        """Variance of the log-totals of each batch, (n_batches,)."""
        return self._library_moments()[1]

    def _library_moments(self) -> tuple[np.ndarray, np.ndarray]:
        totals = self.counts.sum(axis=1, dtype=np.float64).A1
        log_totals, batch_index = np.log(totals[totals > 0]), self.batch_index[totals > 0]
        of_batch = [log_totals[batch_index == b] for b in range(self.n_batches)]
        of_batch = [values if len(values) else log_totals for values in of_batch]
        mean = np.array([values.mean() if len(values) else 0.0 for values in of_batch])
        var = np.array([values.var() if len(values) else 0.0 for values in of_batch])
        return mean, np.maximum(var, LIBRARY_VAR_FLOOR)

    def __len__(self) -> int:
        return self.n_cells

    def __repr__(self) -> str:
        names = [*self.category_names, *self.continuous_names]
        covariates = f"covariates {listed(names)}, " if names else ""
        return (
            f"CountData: {self.n_cells:,} cells x {self.n_genes:,} genes, {self.n_batches} batch(es), "
            f"{self.n_labels} label(s), {covariates}"
            f"{1 - self.counts.nnz / max(1, self.n_cells * self.n_genes):.0%} zeros"
        )

    def counts_on(self, device: torch.device) -> sp.csr_matrix | CountsOnGPU:
        """Return the counts, to be indexed by cells: those on a GPU stay there if they fit (`runtime.devices`)."""
        if device not in self._rows_on:
            self._rows_on[device] = rows_on(device, self.counts)
        return self._rows_on[device]

    def minibatch(self, indices: np.ndarray, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Return some cells as tensors on a device.

        Parameters
        ----------
        indices
            Integer positions of the cells, (b,).
        device
            Where the tensors shall be.

        Returns
        -------
        x, batch_index, labels
            Counts, float32, (b, genes); experimental batch and label, int64, (b, 1) each.
        """
        rows = self.counts_on(torch.device(device))[np.asarray(indices)]
        x = rows if isinstance(rows, Tensor) else torch.from_numpy(rows.toarray()).to(device)
        batch_index = torch.from_numpy(self.batch_index[indices]).unsqueeze(-1)  # (b,) -> (b, 1)
        labels = torch.from_numpy(self.labels[indices]).unsqueeze(-1)  # (b,) -> (b, 1)
        return x, batch_index.to(device), labels.to(device)

    def covariates_of(self, indices: np.ndarray, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """Return the covariates of some cells as the argument of a model, `model.inference(..., **this)`.

        Parameters
        ----------
        indices, device
            As in `minibatch`.

        Returns
        -------
        dict
            {"covariates": float32, (b, covariates)}; empty if there are none.
        """
        if not self.covariates.shape[1]:
            return {}
        return {"covariates": torch.from_numpy(self.covariates[indices]).to(device)}

    def subset(self, indices: Any) -> "CountData":
        """Return some cells, by integer positions or a boolean mask; genes, names and codes stay as they are."""
        indices = as_indices(indices, self.n_cells)
        data = self._with_counts(self.counts[indices])
        data.batch_index, data.labels = self.batch_index[indices], self.labels[indices]
        data.covariates = self.covariates[indices]
        data.truth = self.truth.subset(indices) if self.truth is not None else None
        return data

    def without_batches(self) -> "CountData":
        """Return the data with all cells in a single batch."""
        data = self._with_counts(self.counts)
        data.batch_index, data.batch_names = np.zeros_like(self.batch_index), np.array(["0"])
        return data

    def replaced(self, **arguments: Any) -> "CountData":
        """Return the data with some arguments of the constructor replaced, and all of them checked again.

        For example `data.replaced(continuous_covariates=np.zeros((data.n_cells, 1)))` are the same cells as if their
        only continuous covariate were 0. What goes with a replaced argument, such as `gene_names` with other columns
        of `counts`, has to be given too. `truth` is left out.
        """
        names = ("counts", "batch_index", "labels", "gene_names", "batch_names", "label_names")
        names += ("categorical_covariates", "category_names", "continuous_covariates", "continuous_names")
        return CountData(**{name: arguments.pop(name, getattr(self, name)) for name in names}, **arguments)

    def select_covariates(self, categorical: Sequence[int], continuous: Sequence[int]) -> "CountData":
        """Return the data with the covariates at these positions among those of their kind, in this order."""
        n_cats, named = len(self.category_names), list(self.category_names.items())
        data = self._with_counts(self.counts)
        data.covariates = self.covariates[:, [*categorical, *(n_cats + place for place in continuous)]]
        data.category_names = dict(named[place] for place in categorical)
        data.continuous_names = self.continuous_names[list(continuous)]
        return data

    def binarize(self) -> "CountData":
        """Return the data with every count above 0 replaced by 1: gene detected or not."""
        return self._with_counts((self.counts > 0).astype(np.float32))

    def corrupt(self, rate: float = 0.1, corruption: str = "uniform", seed: int = 0) -> "CountData":
        """Return the data with some counts damaged; a cell may end up empty.

        Parameters
        ----------
        rate
            Share of the entries to damage, between 0 and 1.
        corruption
            "uniform": floor(rate * non-zeros) non-zero entries become 0. "binomial": floor(rate * entries) of all
            entries, zeros among them, become Binomial(count, 0.2).
        seed
            Same seed, same damage.

        Raises
        ------
        ValueError
            For a rate outside 0..1 or an unknown corruption.
        """
        check_rate(rate)
        values = self.counts.data
        if corruption == "uniform":
            values = corrupt(torch.from_numpy(values), rate, torch.Generator().manual_seed(seed))[0].numpy()
        elif corruption == "binomial":
            values = _corrupt_binomial(values, self.n_cells * self.n_genes, rate, np.random.default_rng(seed))
        else:
            raise ValueError(f"corruption has to be 'uniform' or 'binomial', got {corruption!r}.")
        counts = sp.csr_matrix((values, self.counts.indices, self.counts.indptr), shape=self.counts.shape, copy=True)
        counts.eliminate_zeros()
        return self._with_counts(counts)

    def _with_counts(self, counts: sp.csr_matrix) -> "CountData":
        """Copy of this data with other counts, which are not checked again."""
        data = object.__new__(CountData)
        data.__dict__.update(self.__dict__, counts=counts, _rows_on={})
        return data

    def to_anndata(self) -> "AnnData":
        """Return the counts as an AnnData object with `obs["batch"]`, `obs["label"]` and the covariates in `obs`.

        Raises
        ------
        ValueError
            If a covariate is called "batch" or "label".
        """
        import pandas as pd
        from anndata import AnnData

        columns = {"batch": (self.batch_index, self.batch_names), "label": (self.labels, self.label_names)}
        check_different([*columns, *self.category_names, *self.continuous_names])
        columns |= {
            name: (codes, self.category_names[name])
            for name, codes in zip(self.category_names, self.categorical_covariates.T, strict=True)
        }
        obs = {name: pd.Categorical.from_codes(*column) for name, column in columns.items()}
        obs |= dict(zip(self.continuous_names, self.continuous_covariates.T, strict=True))
        obs = pd.DataFrame(obs, index=[f"cell {i}" for i in range(self.n_cells)])
        return AnnData(self.counts.copy(), obs=obs, var=pd.DataFrame(index=self.gene_names))

    @classmethod
    def from_anndata(
        cls,
        adata: "AnnData",
        layer: str | None = None,
        batch_key: str | None = None,
        label_key: str | None = None,
        shard: tuple[int, int] | None = None,
        raw: bool = False,
        round: bool = False,  # noqa: A002
        categorical_covariate_keys: Sequence[str] = (),
        continuous_covariate_keys: Sequence[str] = (),
    ) -> "CountData":
        """Take counts, batches, labels and covariates out of an AnnData object.

        Counts that AnnData left in a file (`backed`, or lazy) are read a portion of cells at a time.

        Parameters
        ----------
        adata
            Cells x genes.
        layer
            Name of the layer with the counts; `adata.X` if None.
        batch_key, label_key
            Columns of `adata.obs` with the experimental batch and the cell type; none if None.
        shard
            (position, number): take only that one of `number` contiguous parts of about equal size, counted from 0.
            Codes and names of batches, labels and categories are those of all cells. All cells if None.
        raw
            Take counts and genes from `adata.raw`.
        round
            As in `CountData`.
        categorical_covariate_keys, continuous_covariate_keys
            Columns of `adata.obs` with categories and with numbers that the decoder shall know.

        Raises
        ------
        ValueError
            For an unknown layer or column, for a column with missing values, for a continuous one without numbers, for
            a shard that there is not, and for what `CountData` refuses. If there are counts in another matrix, the
            message names it.
        """
        counts, gene_names, source = matrix_of(adata, layer, raw)
        cells = _cells_of_shard(shard, adata.n_obs)
        batch_index, batch_names = codes_of_column(adata, batch_key, "batch_key", cells)
        labels, label_names = codes_of_column(adata, label_key, "label_key", cells)
        covariates = covariates_in(adata, categorical_covariate_keys, continuous_covariate_keys, cells)
        names = gene_names, batch_names, label_names
        try:
            return cls(Rows(counts, cells), batch_index, labels, *names, **covariates, round=round)
        except ValueError as error:
            advice = where_counts_are(adata, source) if isinstance(error, NotCountsError) else ""
            raise ValueError(f"{source}: {error}{advice}") from error


def as_indices(indices: Any, n_cells: int) -> np.ndarray:
    """Turn a boolean mask or integer positions into integer positions, (n,).

    Raises
    ------
    ValueError
        For a mask of another length, for positions that are out of range, for anything else.
    """
    indices = np.asarray(indices)
    if indices.dtype == bool:
        if indices.shape != (n_cells,):
            raise ValueError(f"A mask needs one entry per cell: expected shape ({n_cells},), got {indices.shape}.")
        return np.flatnonzero(indices)
    if indices.size == 0:
        return np.empty(0, dtype=np.int64)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            f"Cells are named by a boolean mask or by integer positions in one dimension, "
            f"got {indices.dtype} of shape {indices.shape}."
        )
    if indices.min() < -n_cells or indices.max() >= n_cells:
        raise ValueError(f"There are {n_cells} cells; got positions {indices.min()} to {indices.max()}.")
    return indices % n_cells


def _cells_of_shard(shard: tuple[int, int] | None, n_cells: int) -> range:
    """Return the positions of the cells in one of several contiguous parts; of all cells if there are no parts."""
    if shard is None:
        return range(n_cells)
    position, number = shard
    if not 0 <= position < number <= n_cells:
        raise ValueError(
            f"shard: expected (position, number) with 0 <= position < number <= {n_cells} cells, got {shard}."
        )
    return range(position * n_cells // number, (position + 1) * n_cells // number)


# --------------------------------------------------------------------------------------------------------------------
# Loaders
# --------------------------------------------------------------------------------------------------------------------


def load_pbmc() -> CountData:
    """Load 700 human blood cells x 765 genes, unique molecular identifier counts, labels = 10 cell types.

    Zheng et al. (2017), as subsampled by scanpy's `pbmc68k_reduced`; the counts are recovered exactly from its
    normalised values (data/README.md). Bundled with the package, so no network is needed.
    """
    with files("vae_course").joinpath("_data/pbmc68k_reduced.npz").open("rb") as file, np.load(file) as arrays:
        counts = sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
        return CountData(
            counts, labels=arrays["labels"], gene_names=arrays["gene_names"], label_names=arrays["label_names"]
        )


def load_digits() -> CountData:
    """Load 1,797 handwritten digits, 8 x 8 pixels that are on (1) or off (0), labels = the digits.

    scikit-learn's bundled copy of the UCI test set; a pixel is on from grey value 8 of 16 upwards.
    """
    from sklearn import datasets

    pixels, digits = datasets.load_digits(return_X_y=True)
    return CountData(pixels >= 8, labels=digits)
