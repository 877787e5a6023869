"""Make vae_course/_data/pbmc68k_reduced.npz from the data set that scanpy bundles (see README.md)."""

from pathlib import Path

import numpy as np
import scanpy as sc
import scipy.sparse as sp

TARGET = Path(__file__).parents[1] / "vae_course" / "_data" / "pbmc68k_reduced.npz"


def recover_counts(adata) -> tuple[sp.csr_matrix, float]:
    """Undo log1p(counts / total * 10,000); also return how far the result was from whole numbers at most."""
    normalised = sp.csr_matrix(adata.raw.X, dtype=np.float64, copy=True)
    totals = adata.obs["n_counts"].to_numpy()[:, None]
    counts = normalised.expm1().multiply(totals / 1e4).tocsr()
    whole = counts.copy()
    whole.data = np.round(whole.data)
    return whole, abs(counts - whole).max()


def main() -> None:
    adata = sc.datasets.pbmc68k_reduced()
    counts, distance = recover_counts(adata)
    labels = adata.obs["bulk_labels"].cat
    np.savez_compressed(
        TARGET,
        data=counts.data.astype(np.uint16),
        indices=counts.indices.astype(np.uint16),
        indptr=counts.indptr.astype(np.int32),
        shape=np.array(counts.shape),
        labels=labels.codes.to_numpy().astype(np.int8),
        label_names=labels.categories.to_numpy(dtype=str),
        gene_names=adata.raw.var_names.to_numpy(dtype=str),
    )
    print(f"{TARGET.name}: {counts.shape}, {counts.nnz} non-zeros, at most {distance:.1e} from whole numbers")


if __name__ == "__main__":
    main()
