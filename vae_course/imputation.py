"""Imputation: what the model expects where counts were damaged, and how far that is from the truth."""

from collections.abc import Iterable, Iterator

import numpy as np
import scipy.sparse as sp


class Imputation:
    """The part of `Posterior` that fills in counts; `posterior.corrupted()` shows the model counts with errors."""

    def imputation(self, n_samples: int = 1, seed: int = 0) -> np.ndarray:
        """Return the expected counts (px_rate), (n, genes), or (n_samples, n, genes) for more than one draw.

        That takes 4 bytes a number; `imputation_list` needs far less memory.
        """
        draws = self._draws("px_rate", n_samples, seed)
        return draws[0] if n_samples == 1 else draws

    def imputation_list(self, n_samples: int = 1, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return original and imputed values of the entries that corruption changed.

        Parameters
        ----------
        n_samples
            Draws over which imputed values are averaged.
        seed
            Seed of the draws.

        Returns
        -------
        original, imputed
            Lists of one array per cell, which is empty where no entry of the cell was changed.
        """
        self._check_draws(n_samples)
        changed = self.data.counts[self.indices] != self.seen.counts[self.indices]  # sparse, (n, genes)
        original = _pick((self.data.counts[minibatch.indices].toarray() for minibatch in self), changed)
        with self._evaluating(seed):
            imputed = sum(_pick(self._rates(), changed) for _ in range(n_samples)) / n_samples  # draw by draw
        ends = changed.indptr[1:-1]  # where the entries of each cell but the last end
        return np.split(original, ends), np.split(imputed, ends)

    def _rates(self) -> Iterator[np.ndarray]:
        """Draw the expected counts of every minibatch, (b, genes)."""
        return (inferred["px_rate"].cpu().numpy() for _, inferred in self._inferences())

    def imputation_score(self, n_samples: int = 1, seed: int = 0) -> float:
        """Return the median absolute difference between original and imputed counts at the changed entries.

        Raises
        ------
        ValueError
            If no count was changed.
        """
        return self.imputation_benchmark(n_samples, seed)["median"]

    def imputation_benchmark(self, n_samples: int = 1, seed: int = 0) -> dict[str, float]:
        """Return how far imputed counts are from the original ones, at the entries that corruption changed.

        Returns
        -------
        dict
            median: median absolute difference over all entries; mean_of_medians: the median within each cell, averaged
            over cells; n_entries: number of changed entries.

        Raises
        ------
        ValueError
            If no count was changed.
        """
        original, imputed = self.imputation_list(n_samples, seed)
        errors = [np.abs(a - b) for a, b in zip(original, imputed, strict=True) if len(a)]
        if not errors:
            raise ValueError("No count was changed, so there is nothing to impute: call this on posterior.corrupted().")
        all_errors = np.concatenate(errors)
        return {
            "median": float(np.median(all_errors)),
            "mean_of_medians": float(np.mean([np.median(e) for e in errors])),
            "n_entries": len(all_errors),
        }


def _pick(tables: Iterable[np.ndarray], entries: sp.csr_matrix) -> np.ndarray:
    """Return some entries of a dense table that comes a few rows at a time, in the order of the rows."""
    picked, end = np.empty(entries.nnz, np.float32), 0
    for table in tables:
        start, end = end, end + len(table)
        picked[entries.indptr[start] : entries.indptr[end]] = table[entries[start:end].nonzero()]
    return picked
