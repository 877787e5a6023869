"""Genes, batches and labels by name: what a model knows, and other data brought into its order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from vae_course.data import CountData

SHOWN = 5  # the most names in a message


class Names(NamedTuple):
    """The names behind a model's columns and codes, in their order."""

    genes: list[str]
    batches: list[str]
    labels: list[str]

    @classmethod
    def of(cls, data: CountData) -> "Names":
        """Return the names of the data."""
        return cls(*([str(name) for name in names] for names in (data.gene_names, data.batch_names, data.label_names)))


def matched(data: CountData, model: Any, missing_genes: str = "error") -> CountData:
    """Bring data into the order of the names that a model was trained with.

    Names that were made up, since none were given ("gene 0", or "0" for a batch), say nothing but a position; such
    data are taken as they are. So are data for a model that has no names yet.

    Parameters
    ----------
    data
        The cells. Genes that the model does not know are left out.
    model
        A model with `names`; any other leaves the data as they are.
    missing_genes
        What to do about genes of the model that the data do not have: "error", or "zeros" to count them as never seen.

    Returns
    -------
    CountData
        With the model's genes and codes; the same object if nothing has to change.

    Raises
    ------
    ValueError
        If the data lack genes of the model, or have a batch or label that it was not trained with.
    """
    if missing_genes not in ("error", "zeros"):
        raise ValueError(f"missing_genes has to be 'error' or 'zeros', got {missing_genes!r}.")
    names = getattr(model, "names", None)
    if names is None:
        return data
    batch_index, labels = data.batch_index, data.labels
    batch_names, label_names = data.batch_names.tolist(), data.label_names.tolist()
    if getattr(model, "n_batch", 0) > 1:
        batch_index, batch_names = _recoded("batch", batch_index, batch_names, names.batches)
    if getattr(model, "dispersion", None) == "gene-label" and model.n_labels > 1:
        labels, label_names = _recoded("label", labels, label_names, names.labels)
    counts = _columns(data, names.genes, missing_genes)
    same_codes = batch_index is data.batch_index and labels is data.labels
    if counts is data.counts and same_codes:
        return data
    genes = data.gene_names if counts is data.counts else names.genes
    return CountData(counts, batch_index, labels, genes, batch_names, label_names)


def _columns(data: CountData, genes: Sequence[str], missing_genes: str) -> sp.csr_matrix:
    """Return the counts of these genes, (cells, genes)."""
    own = data.gene_names
    if np.array_equal(own, genes):
        return data.counts
    made_up = [np.array_equal(side, [f"gene {g}" for g in range(len(side))]) for side in (own, genes)]
    places = {str(name): place for place, name in enumerate(own)}
    missing = [name for name in genes if name not in places]
    if all(made_up) or (any(made_up) and missing and len(own) == len(genes)):
        return data.counts
    if len(missing) == len(genes):
        raise ValueError(
            f"The data have none of the model's {len(genes)} genes: it knows genes such as {genes[0]!r}, the data have "
            f"genes such as {str(own[0])!r}. Use the same kind of names (symbols or Ensembl identifiers)."
        )
    if missing and missing_genes == "error":
        raise ValueError(
            f"The data lack {len(missing):,} of the model's {len(genes):,} genes: {_listed(missing)}. Take data that "
            "have them, or count them as never seen with missing_genes='zeros'."
        )
    _refuse_repeated(own, genes)
    padded = sp.hstack([data.counts, sp.csr_matrix((data.n_cells, 1), dtype=np.float32)], format="csc")
    return padded[:, [places.get(name, data.n_genes) for name in genes]].tocsr()


def _refuse_repeated(own: np.ndarray, genes: Sequence[str]) -> None:
    unique, times = np.unique(own, return_counts=True)
    repeated = sorted({str(name) for name in unique[times > 1]} & set(genes))
    if repeated:
        raise ValueError(
            f"The data have several genes called {_listed(repeated)}, so names do not tell the model's genes apart. "
            "Make them differ, as adata.var_names_make_unique() does, or keep one of each."
        )


def _recoded(kind: str, codes: np.ndarray, own: list[str], known: list[str]) -> tuple[np.ndarray, list[str]]:
    """Return the codes that the model has for these names, (cells,), and their names."""
    if own == known:
        return codes, known
    used = [own[code] for code in np.unique(codes)]
    unknown = [name for name in used if name not in known]
    if not unknown:
        places = np.array([known.index(name) if name in known else -1 for name in own])
        return places[codes], known
    if own == [str(code) for code in range(len(known))]:  # made up: codes that the user gave as numbers
        return codes, known
    plural = "batches" if kind == "batch" else "labels"
    raise ValueError(
        f"The model was trained with the {plural} {_listed(known)}; the data have {_listed(unknown)}. Name the column "
        f"with the model's {plural} as {kind}_key, or train a model on these cells."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(repr(str(name)) for name in names[:SHOWN]) + more
