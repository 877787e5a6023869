"""Counts and what belongs to them: `CountData`, its loaders, simulated cells with known truth, corruption."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from vae_course._seeds import same_threads, seeded
from vae_course.distributions import sample_nb, sample_zinb

if TYPE_CHECKING:
    from anndata import AnnData

LIBRARY_VAR_FLOOR = 1e-6  # a standard deviation of 0.1 % of the total; anything smaller counts as constant
LARGEST_COUNT = 2**24  # the largest range of whole numbers that float32 holds exactly
PORTION = 2**24  # entries of a matrix that are looked at together, zeros among them: 128 MiB as dense float64


# --------------------------------------------------------------------------------------------------------------------
# Corruption
# --------------------------------------------------------------------------------------------------------------------


def corrupt(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Set a share of the non-zero counts to zero, to see later whether a model can restore them.

    Parameters
    ----------
    counts
        Counts of any shape. Left unchanged.
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
        n_chosen = generator.hypergeometric(len(counts), n_entries - len(counts), int(rate * n_entries))
    else:  # beyond what NumPy's hypergeometric takes; with so many entries the binomial is as good
        n_chosen = generator.binomial(len(counts), rate)
    chosen = generator.choice(len(counts), n_chosen, replace=False)
    thinned = counts.copy()
    thinned[chosen] = generator.binomial(counts[chosen].astype(np.int64), 0.2)
    return thinned


# --------------------------------------------------------------------------------------------------------------------
# CountData
# --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SimulationTruth:
    """What generated a simulated data set.

    Attributes
    ----------
    latent
        Latent position of each cell, (cells, n_latent).
    library
        Log-library of each cell, (cells,).
    scale
        Expected share of each gene in each cell, batch effect included, (cells, genes); rows sum to 1.
    theta
        Inverse dispersion of each gene, (genes,).
    dropout
        Probability of an extra zero for each gene, (genes,).
    batch_effect
        Log fold change that a batch puts on each gene, (batches, genes).
    lfc
        Log2 fold change that a label puts on each gene, (labels, genes).
    de_genes
        Whether that fold change differs from 0, (labels, genes), boolean.
    """

    latent: np.ndarray
    library: np.ndarray
    scale: np.ndarray
    theta: np.ndarray
    dropout: np.ndarray
    batch_effect: np.ndarray
    lfc: np.ndarray
    de_genes: np.ndarray

    def subset(self, indices: np.ndarray) -> "SimulationTruth":
        """Return the truth of some cells."""
        per_cell = {name: getattr(self, name)[indices] for name in ("latent", "library", "scale")}
        return replace(self, **per_cell)


@dataclass(frozen=True)
class CountsOnDevice:
    """The counts of all cells in the memory of a device, as a sparse matrix by rows.

    Attributes
    ----------
    values, genes
        Non-zero counts, float32, and their columns, int32, (nonzeros,).
    ends
        Where each cell begins in that list, on the processor, (cells + 1,).
    n_genes
        Number of columns.
    """

    values: Tensor
    genes: Tensor
    ends: np.ndarray
    n_genes: int

    @classmethod
    def of(cls, counts: sp.csr_matrix, device: torch.device) -> Self:
        """Copy a matrix to the device."""
        genes = torch.from_numpy(counts.indices.astype(np.int32, copy=False))
        return cls(torch.from_numpy(counts.data).to(device), genes.to(device), counts.indptr, counts.shape[1])

    def rows(self, indices: np.ndarray) -> Tensor:
        """Return some rows as a dense table, (b, genes)."""
        starts = self.ends[indices].astype(np.int64)
        lengths = self.ends[indices + 1] - starts
        where = self.values.device
        before = torch.from_numpy(np.cumsum(lengths) - lengths).to(where)
        starts, lengths, n = torch.from_numpy(starts).to(where), torch.from_numpy(lengths).to(where), int(lengths.sum())
        cells = torch.repeat_interleave(torch.arange(len(indices), device=where), lengths, output_size=n)
        place = torch.arange(n, device=where) + (starts - before)[cells]
        x = torch.zeros(len(indices), self.n_genes, device=where)
        x[cells, self.genes[place].long()] = self.values[place]
        return x


class CountData:
    """A matrix of counts with the batch and the label of every cell.

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

    Attributes
    ----------
    library_mean, library_var
        Mean and (population) variance of the natural logarithm of the cells' totals, in each batch, (n_batches,).
        The variance is at least `LIBRARY_VAR_FLOOR`. Cells that corruption emptied do not count; a batch
        without cells gets the values of all cells together.
    truth
        What generated the counts (`SimulationTruth`), or None for real data.

    Raises
    ------
    ValueError
        For counts that are negative, fractional, missing or infinite anywhere, for a cell without counts, for
        empty matrices, and for arguments whose lengths do not fit.
    """

    def __init__(
        self,
        counts: Any,
        batch_index: Any = None,
        labels: Any = None,
        gene_names: Sequence[str] | None = None,
        batch_names: Sequence[str] | None = None,
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.counts = _validated_counts(counts)
        n_cells, n_genes = self.counts.shape
        self.batch_index, self.batch_names = _validated_codes("batch_index", batch_index, batch_names, n_cells)
        self.labels, self.label_names = _validated_codes("labels", labels, label_names, n_cells)
        if gene_names is not None and len(gene_names) != n_genes:
            raise ValueError(f"gene_names needs one name per gene: expected {n_genes}, got {len(gene_names)}.")
        self.gene_names = np.array([f"gene {g}" for g in range(n_genes)] if gene_names is None else gene_names, str)
        self.truth: SimulationTruth | None = None
        self._on_card: dict[torch.device, CountsOnDevice | None] = {}

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
        return (
            f"CountData: {self.n_cells:,} cells x {self.n_genes:,} genes, {self.n_batches} batch(es), "
            f"{self.n_labels} label(s), {1 - self.counts.nnz / max(1, self.n_cells * self.n_genes):.0%} zeros"
        )

    def minibatch(self, indices: np.ndarray, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Return some cells as tensors.

        Parameters
        ----------
        indices
            Integer positions of the cells, (b,).
        device
            Where the tensors shall be. On a card the counts stay, as sparse as they are, once they were used there, if
            they fit into half of its free memory; else every minibatch is copied to it.

        Returns
        -------
        x, batch_index, labels
            Counts, float32, (b, genes); experimental batch and label, int64, (b, 1) each.
        """
        if torch.device(device).type == "cpu":
            x = torch.from_numpy(self.counts[indices].toarray())
        else:
            x = self._dense_on_card(np.asarray(indices), torch.device(device))
        batch_index = torch.from_numpy(self.batch_index[indices]).unsqueeze(-1)  # (b,) -> (b, 1)
        labels = torch.from_numpy(self.labels[indices]).unsqueeze(-1)  # (b,) -> (b, 1)
        return x, batch_index.to(device), labels.to(device)

    def _dense_on_card(self, indices: np.ndarray, device: torch.device) -> Tensor:
        """Return the counts of some cells, (b, genes), on a card, made there if the card has them all."""
        if device not in self._on_card:
            needed, (free, _) = 8 * self.counts.nnz, torch.cuda.mem_get_info(device)
            self._on_card[device] = CountsOnDevice.of(self.counts, device) if needed < free / 2 else None
        counts = self._on_card[device]
        return torch.from_numpy(self.counts[indices].toarray()).to(device) if counts is None else counts.rows(indices)

    def subset(self, indices: Any) -> "CountData":
        """Return some cells, by integer positions or a boolean mask; genes, names and codes stay as they are."""
        indices = as_indices(indices, self.n_cells)
        data = self._with_counts(self.counts[indices])
        data.batch_index, data.labels = self.batch_index[indices], self.labels[indices]
        data.truth = self.truth.subset(indices) if self.truth is not None else None
        return data

    def without_batches(self) -> "CountData":
        """Return the data with all cells in a single batch."""
        data = self._with_counts(self.counts)
        data.batch_index, data.batch_names = np.zeros_like(self.batch_index), np.array(["0"])
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
        data.__dict__.update(self.__dict__, counts=counts, _on_card={})
        return data

    def to_anndata(self) -> "AnnData":
        """Return the counts as an AnnData object with `obs["batch"]` and `obs["label"]`."""
        import pandas as pd
        from anndata import AnnData

        obs = pd.DataFrame(
            {
                "batch": pd.Categorical.from_codes(self.batch_index, self.batch_names),
                "label": pd.Categorical.from_codes(self.labels, self.label_names),
            },
            index=[f"cell {i}" for i in range(self.n_cells)],
        )
        return AnnData(self.counts.copy(), obs=obs, var=pd.DataFrame(index=self.gene_names))

    @classmethod
    def from_anndata(
        cls,
        adata: "AnnData",
        layer: str | None = None,
        batch_key: str | None = None,
        label_key: str | None = None,
        shard: tuple[int, int] | None = None,
    ) -> "CountData":
        """Take counts, batches and labels out of an AnnData object.

        Counts that AnnData left in a file (`backed`) are read a portion of cells at a time.

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
            Codes and names of batches and labels are those of all cells. All cells if None.

        Raises
        ------
        ValueError
            For an unknown layer or column, for a column with missing values, for a shard that there is not, and for
            what `CountData` refuses.
        """
        if layer is not None and layer not in adata.layers:
            raise ValueError(f"There is no layer {layer!r}; the data have {_listed(adata.layers)}.")
        cells = _cells_of_shard(shard, adata.n_obs)
        batch_index, batch_names = _codes_of_column(adata, batch_key, "batch_key", cells)
        labels, label_names = _codes_of_column(adata, label_key, "label_key", cells)
        counts = adata.X if layer is None else adata.layers[layer]
        if counts is None:
            raise ValueError(f"The data have no X; name a layer with the counts: {_listed(adata.layers)}.")
        try:
            return cls(_Rows(counts, cells), batch_index, labels, adata.var_names, batch_names, label_names)
        except ValueError as error:
            source = "X" if layer is None else f"layer {layer!r}"
            others = [name for name in adata.layers if name != layer]
            advice = f" Other layers that may hold the counts: {_listed(others)}." if others else ""
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


def split_minibatches(indices: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Cut positions into minibatches; a last one of a single cell joins the one before.

    Batch normalisation cannot train on one cell, hence the merger.
    """
    ends = [*range(batch_size, len(indices) - 1, batch_size), len(indices)]
    start = 0
    for end in ends:
        yield indices[start:end]
        start = end


@dataclass(frozen=True)
class _Rows:
    """Some rows of a matrix that is in memory or in a file; in a file, h5py and anndata read what is sliced."""

    matrix: Any
    cells: range

    def portions(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Go through the rows, as many at a time as make a portion, each time with the position of the first."""
        in_memory = sp.issparse(self.matrix) or isinstance(self.matrix, np.ndarray)
        try:
            matrix = _by_rows(self.matrix)
            n_rows = max(1, PORTION // matrix.shape[1])
            for first in self.cells[::n_rows]:
                portion = sp.csr_matrix(matrix[first : min(first + n_rows, self.cells.stop)])
                if not in_memory:
                    portion.check_format()  # what a damaged file says may point outside of the matrix
                yield first, portion
        except ValueError as error:  # of scipy, about arrays that do not fit each other
            if in_memory:
                raise
            raise OSError(f"the counts cannot be read from their file: {error}") from error


def _by_rows(matrix: Any) -> Any:
    """Return the matrix in a form whose rows can be sliced; what is stored by columns has to be read whole."""
    if getattr(matrix, "format", "csr") == "csr":
        return matrix
    return (matrix if sp.issparse(matrix) else matrix.to_memory()).tocsr()


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


BAD_ENTRIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "missing (NaN)": np.isnan,
    "infinite": np.isinf,
    "negative": lambda values: values < 0,
    "fractional": lambda values: values != np.floor(values),
    f"above {LARGEST_COUNT:,}, the largest that float32 holds exactly,": lambda values: values > LARGEST_COUNT,
}


def _validated_counts(counts: Any) -> sp.csr_matrix:
    """Look at all entries, a portion of cells at a time; return a float32 copy of the counts."""
    if isinstance(counts, Tensor):
        counts = counts.detach().cpu().numpy()
    matrix = counts.matrix if isinstance(counts, _Rows) else counts
    if not (hasattr(matrix, "shape") and hasattr(matrix, "dtype")):
        matrix = np.asarray(matrix)
    shape = tuple(matrix.shape)
    if len(shape) != 2:
        raise ValueError(f"counts has to be a matrix (cells, genes), got shape {shape}.")
    if 0 in shape:
        raise ValueError(f"counts needs at least one cell and one gene, got shape {shape} (cells, genes).")
    if np.dtype(matrix.dtype).kind not in "biuf":
        raise ValueError(f"counts has to hold whole numbers, got entries of type {matrix.dtype}.")
    cells = counts.cells if isinstance(counts, _Rows) else range(shape[0])
    validated = _checked_portions(_Rows(matrix, cells))
    empty = np.flatnonzero(np.diff(validated.indptr) == 0)
    if len(empty):
        raise ValueError(
            f"{len(empty)} of {len(cells)} cells have no counts at all, the first is cell {cells[empty[0]]}. "
            "Remove empty cells first, for example with scanpy.pp.filter_cells(adata, min_counts=1); "
            "if genes were chosen, choose more of them."
        )
    return validated


def _checked_portions(rows: _Rows) -> sp.csr_matrix:
    """Return the rows as float32; refuse entries that are no counts, with their number and the first of them."""
    portions, found = [], {}
    for first_cell, portion in rows.portions():
        values = portion.data
        for what, is_bad in BAD_ENTRIES.items():
            bad = np.flatnonzero(is_bad(values))
            if len(bad):
                cell = first_cell + np.searchsorted(portion.indptr, bad[0], side="right") - 1
                where = f"the first at cell {cell}, gene {portion.indices[bad[0]]}: {values[bad[0]]}"
                number, where = found.get(what, (0, where))
                found[what] = number + len(bad), where
        if not found:
            portion = portion.astype(np.float32)  # a copy even when it was float32 already
            portion.sum_duplicates()
            portion.eliminate_zeros()
            portions.append(portion)
    for what in BAD_ENTRIES:  # in this order, wherever in the matrix they are
        if what in found:
            number, where = found[what]
            raw = "Use raw counts, not normalised or log-transformed values."
            raise ValueError(f"counts has {number} {what} entries, {where}. {raw}")
    return sp.vstack(portions, format="csr")


def _validated_codes(name: str, codes: Any, names: Sequence[str] | None, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    codes = np.zeros(n_cells, dtype=np.int64) if codes is None else np.asarray(codes)
    if codes.shape not in ((n_cells,), (n_cells, 1)):
        raise ValueError(f"{name} needs one code per cell: expected shape ({n_cells},), got {codes.shape}.")
    codes = codes.reshape(n_cells)
    whole = np.issubdtype(codes.dtype, np.number) and np.isfinite(codes).all() and (codes == np.floor(codes)).all()
    if not whole or codes.min() < 0:
        raise ValueError(f"{name} has to hold the codes 0, 1, 2, ..., got {codes.dtype} values such as {codes[:3]}.")
    codes = codes.astype(np.int64)
    n_codes = codes.max() + 1
    if names is None:
        names = [str(code) for code in range(n_codes)]
    if len(names) < n_codes:
        raise ValueError(f"{name} has codes up to {n_codes - 1} but only {len(names)} name(s): give {n_codes} names.")
    if len(set(names)) < len(names):
        raise ValueError(f"The names that go with {name} have to differ from each other, got {list(names)}.")
    return codes, np.array(names, dtype=str)


def _codes_of_column(adata: "AnnData", key: str | None, argument: str, cells: range) -> tuple[Any, Any]:
    """Return the codes of some cells, and the names of the codes, which are those of all cells."""
    if key is None:
        return None, None
    if key not in adata.obs:
        raise ValueError(f"{argument}: there is no column {key!r} in obs; it has {_listed(adata.obs.columns)}.")
    column = adata.obs[key].astype("category").cat.remove_unused_categories()
    if column.isna().any():
        raise ValueError(
            f"{argument}: column {key!r} has no value for {column.isna().sum()} cells; fill it or remove them."
        )
    return column.cat.codes.to_numpy()[cells.start : cells.stop], column.cat.categories.astype(str)


def _listed(names: Any) -> str:
    return ", ".join(repr(str(name)) for name in names) or "none"


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


def load_h5ad(
    path: str | Path,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    n_top_genes: int | None = None,
    shard: tuple[int, int] | None = None,
) -> CountData:
    """Load counts from an .h5ad file, a portion of cells at a time; nothing else of the file is kept.

    A matrix that the file holds dense becomes sparse a portion at a time. One that it holds by columns (CSC) is read
    whole, as sparse as it is.

    Parameters
    ----------
    path
        The file.
    layer, batch_key, label_key
        As in `CountData.from_anndata`.
    n_top_genes
        Keep this many most variable genes, chosen on the counts by scanpy's `seurat_v3`; all genes if None. Cells
        without counts in them are refused.
    shard
        As in `CountData.from_anndata`: load only a part of the cells, for example one part in each of several
        processes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a readable .h5ad, if there are not that many genes, for n_top_genes together with a shard,
        and for what `CountData.from_anndata` refuses.
    ImportError
        If scikit-misc, which scanpy needs to choose genes, is not installed.
    """
    if n_top_genes is not None and shard is not None:
        raise ValueError(
            f"n_top_genes={n_top_genes} needs all cells and shard={shard} reads a part of them: "
            "choose the genes beforehand and write them to a file of their own."
        )
    with open_h5ad(path) as adata:
        data = CountData.from_anndata(adata, layer=layer, batch_key=batch_key, label_key=label_key, shard=shard)
    if n_top_genes is None:
        return data
    chosen = _most_variable(data, n_top_genes, by_batch=batch_key is not None)
    names = data.gene_names[chosen], data.batch_names, data.label_names
    return CountData(data.counts[:, chosen], data.batch_index, data.labels, *names)


def read_h5ad(path: str | Path) -> "AnnData":
    """Read a whole .h5ad file into memory, or say in one sentence why that cannot be done."""
    import anndata

    path = _existing_file(path)
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds; each means that the file is not what it should be
        raise _damaged(path, error) from error


@contextmanager
def open_h5ad(path: str | Path) -> Iterator["AnnData"]:
    """Open an .h5ad file: `obs` and `var` are read, X and the layers stay in the file, the rest is left out.

    Files that anndata wrote before version 0.7 are read whole.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a readable .h5ad, which may turn out only when its counts are read.
    """
    import h5py
    from anndata import AnnData
    from anndata.io import read_elem, sparse_dataset

    def in_file(stored: Any) -> Any:
        return sparse_dataset(stored) if isinstance(stored, h5py.Group) else stored

    path = _existing_file(path)
    try:
        file = h5py.File(path)
    except Exception as error:
        raise _damaged(path, error) from error
    with file:
        try:
            if is_old_h5ad(file):
                adata = read_h5ad(path)
            else:
                layers = {name: in_file(stored) for name, stored in file.get("layers", {}).items()}
                counts = in_file(file["X"]) if "X" in file else None
                adata = AnnData(counts, obs=read_elem(file["obs"]), var=read_elem(file["var"]), layers=layers)
        except Exception as error:
            raise _damaged(path, error) from error
        try:
            yield adata
        except (OSError, LookupError, RuntimeError) as error:
            raise _damaged(path, error) from error


def is_old_h5ad(file: Any) -> bool:
    """Whether anndata before version 0.7 wrote an open .h5ad file: `obs` is a single HDF5 data set then."""
    return hasattr(file["obs"], "dtype")


def _existing_file(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise ValueError(f"{path} is a folder; an .h5ad file was expected.")
    return path


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} cannot be read as .h5ad: it is damaged, incomplete or of another format "
        f"({type(error).__name__}). Open it with anndata.read_h5ad to see more."
    )


def _most_variable(data: CountData, n_top_genes: int, by_batch: bool) -> np.ndarray:
    """Return which genes are the most variable ones by scanpy's `seurat_v3`, boolean, (genes,)."""
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    if not 1 <= n_top_genes <= data.n_genes:
        raise ValueError(f"n_top_genes: expected 1 to {data.n_genes} (the genes there are), got {n_top_genes}.")
    obs = pd.DataFrame({"batch": data.batch_index.astype(str)}, index=np.arange(data.n_cells).astype(str))
    batch_key = "batch" if by_batch else None
    try:
        with same_threads():
            ranked = sc.pp.highly_variable_genes(
                AnnData(data.counts, obs=obs),
                flavor="seurat_v3",
                n_top_genes=n_top_genes,
                batch_key=batch_key,
                inplace=False,
            )
    except ImportError as error:
        raise ImportError("Choosing genes needs scikit-misc: pip install 'vae-course[genes]'.") from error
    return ranked["highly_variable"].to_numpy()


# --------------------------------------------------------------------------------------------------------------------
# Simulated cells
# --------------------------------------------------------------------------------------------------------------------


def simulate_counts(
    n_cells: int = 1000,
    n_genes: int = 200,
    n_labels: int = 4,
    n_batches: int = 1,
    n_latent: int = 5,
    mean_library: float = 2000.0,
    sd_log_library: float = 0.4,
    share_de: float = 0.1,
    sd_lfc: float = 2.0,
    sd_batch_effect: float = 0.5,
    mean_dropout: float = 0.1,
    seed: int = 0,
) -> CountData:
    """Simulate cells from the model that scVI assumes, and keep what generated them in `.truth`.

    A cell of label k in batch b lies at z ~ N(0, I) in the latent space. Its genes' shares are the softmax of
    baseline + z W + ln(2) lfc_k + batch_effect_b; its log-library is Gaussian and independent of all else; counts
    are ZINB(library * share, theta, dropout). Batches are of equal expected size, labels too.

    Parameters
    ----------
    n_cells, n_genes, n_labels, n_batches, n_latent
        Sizes.
    mean_library, sd_log_library
        Median total count, and the standard deviation of its natural logarithm.
    share_de, sd_lfc
        Share of the genes that a label changes, and the standard deviation of the log2 fold changes.
    sd_batch_effect
        Standard deviation of a batch's log fold changes; the first batch has none.
    mean_dropout
        Mean probability of an extra zero; 0 switches zero inflation off.
    seed
        Same seed, same cells.

    Returns
    -------
    CountData
        With `.truth`, a `SimulationTruth`.

    Raises
    ------
    ValueError
        For sizes below 1, for shares and probabilities outside 0..1, if so few counts are asked for that cells are
        empty.
    """
    if min(n_cells, n_genes, n_labels, n_batches, n_latent) < 1:
        raise ValueError("n_cells, n_genes, n_labels, n_batches and n_latent have to be at least 1 each.")
    if not (0 <= share_de <= 1 and 0 <= mean_dropout < 1):
        raise ValueError(f"Expected share_de in 0..1 and mean_dropout in 0..1, got {share_de} and {mean_dropout}.")
    rng = np.random.default_rng(seed)
    labels, batch_index = rng.integers(n_labels, size=n_cells), rng.integers(n_batches, size=n_cells)
    latent = rng.normal(size=(n_cells, n_latent))
    loadings = rng.normal(scale=0.3, size=(n_latent, n_genes))
    de_genes = rng.random((n_labels, n_genes)) < share_de
    lfc = np.where(de_genes, rng.normal(scale=sd_lfc, size=de_genes.shape), 0.0)
    batch_effect = rng.normal(scale=sd_batch_effect, size=(n_batches, n_genes))
    batch_effect[0] = 0.0
    logits = rng.normal(size=n_genes) + latent @ loadings + np.log(2) * lfc[labels] + batch_effect[batch_index]
    truth = SimulationTruth(
        latent=latent,
        library=rng.normal(np.log(mean_library), sd_log_library, size=n_cells),
        scale=torch.softmax(torch.from_numpy(logits), dim=-1).numpy(),
        theta=rng.gamma(4.0, 0.5, size=n_genes) + 0.1,
        dropout=rng.beta(10 * mean_dropout, 10 * (1 - mean_dropout), n_genes)
        if mean_dropout > 0
        else np.zeros(n_genes),
        batch_effect=batch_effect,
        lfc=lfc,
        de_genes=de_genes,
    )
    mu = torch.from_numpy(np.exp(truth.library)[:, None] * truth.scale)
    theta, dropout = torch.from_numpy(truth.theta), torch.from_numpy(truth.dropout)
    with seeded(seed):
        counts = sample_zinb(mu, theta, torch.logit(dropout)) if mean_dropout > 0 else sample_nb(mu, theta)
    data = CountData(counts, batch_index, labels, batch_names=range(n_batches), label_names=range(n_labels))
    data.truth = truth
    return data


def simulate_noise(
    n_cells: int = 2000, n_genes: int = 10, mu: float = 4.0, theta: float = 2.0, dropout: float = 0.7, seed: int = 0
) -> CountData:
    """Simulate cells without any structure: every count is ZINB(mu, theta, dropout), independently.

    The control data of Lopez et al. (2018): there is nothing to learn but one distribution, whose entropy is known
    (1.2102 nats a gene with these defaults), so no honest estimate of a held-out likelihood beats it. Empty cells are
    dropped, so a few fewer than `n_cells` come back.
    """
    shape = (n_cells, n_genes)
    with seeded(seed):
        counts = sample_zinb(
            torch.full(shape, mu), torch.tensor(theta), torch.logit(torch.tensor(dropout, dtype=torch.float64)).float()
        )
    return CountData(counts[counts.sum(dim=1) > 0])
