"""Differential expression: which genes two groups of cells express differently (Lopez et al., 2018, Methods)."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vae_course import metrics
from vae_course.data import as_indices

if TYPE_CHECKING:
    import pandas as pd


class DifferentialExpression:
    """The part of `Posterior` that compares the expression of genes between groups of cells."""

    def differential_expression_stats(self, n_samples: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return draws of the genes' shares for every cell.

        Returns
        -------
        scales, labels
            (n * n_samples, genes), float32, so 4 bytes a number; and (n * n_samples,). The draws of a cell are
            adjacent.
        """
        draws = self._draws("px_scale", n_samples, seed).swapaxes(0, 1)  # (n, n_samples, genes)
        labels = np.repeat(self.data.labels[self.indices], n_samples)
        return draws.reshape(-1, self.data.n_genes), labels  # (n * n_samples, genes)

    def differential_expression_score(
        self,
        cells_1: Any,
        cells_2: Any,
        batchid: Sequence[int] | None = None,
        n_samples: int = 5000,
        delta: float = 0.25,
        pseudocount: float = 1e-6,
        seed: int = 0,
    ) -> "pd.DataFrame":
        """Compare the expression of every gene between two groups of cells (Lopez et al., 2018, Methods).

        A draw takes a cell of each group, at random and with replacement, with a z ~ q(z|x) each, and decodes
        both under the same batch.

        Parameters
        ----------
        cells_1, cells_2
            The groups: boolean masks over this posterior's cells, or positions among them.
        batchid
            Batches to decode under, in equal parts; all if None.
        n_samples
            Pairs of draws under each batch.
        delta
            Smallest log2 fold change that matters.
        pseudocount
            Added to shares before taking logarithms, so that genes that are hardly expressed show no large change.
        seed
            Seed of the draws.

        Returns
        -------
        DataFrame
            A row per gene, highest Bayes factor first: gene; bayes_factor, the log-odds that group 1 expresses it more;
            prob_greater, that probability; lfc and lfc_std, mean and standard deviation of the log2 fold change of
            group 1 over group 2; prob_de, the probability that it is at least delta in either direction; scale_1 and
            scale_2, mean shares; raw_mean_1 and raw_mean_2, mean counts; nonzero_1 and nonzero_2, the shares of cells
            in which the gene was detected.

        Raises
        ------
        ValueError
            If a group is empty, or a batch does not exist.
        """
        import pandas as pd

        self._check_draws(n_samples)
        groups = [self.indices[as_indices(cells, len(self))] for cells in (cells_1, cells_2)]
        for position, group in enumerate(groups, start=1):
            if not len(group):
                raise ValueError(f"Group {position} has no cells, so there is nothing to compare.")
        with self._evaluating(seed):
            drawn_1, drawn_2 = (self._draw_latents(group, self._batches(batchid), n_samples) for group in groups)
            pairs = zip(map(self._decode_scale, drawn_1), map(self._decode_scale, drawn_2), strict=True)
            compared = _compare(pairs, delta, pseudocount)
        raw_1, raw_2 = (self.data.counts[group] for group in groups)
        table = pd.DataFrame(
            {
                "gene": self.data.gene_names,
                **{name: values.cpu().numpy() for name, values in compared.items()},
                "raw_mean_1": raw_1.mean(axis=0).A1,
                "raw_mean_2": raw_2.mean(axis=0).A1,
                "nonzero_1": (raw_1 > 0).mean(axis=0).A1,
                "nonzero_2": (raw_2 > 0).mean(axis=0).A1,
            }
        )
        return table.sort_values("bayes_factor", ascending=False, kind="stable", ignore_index=True)

    def _batches(self, batchid: Sequence[int] | None) -> list[int]:
        n_batch = max(1, self._vae.n_batch)
        batches = list(range(n_batch) if batchid is None else batchid)
        if not batches or not all(0 <= b < n_batch for b in batches):
            raise ValueError(f"batchid has to name batches from 0 to {n_batch - 1}, got {batches}.")
        return batches

    def _draw_latents(self, cells: np.ndarray, batches: list[int], n_samples: int) -> list[tuple[Tensor, ...]]:
        """Draw z and log-library of random cells under each batch; return minibatches of z, library and batch.

        All of them are kept, since they are small; what they decode to, with a column per gene, is not.
        """
        latents = []
        for batch in batches:
            drawn = cells[torch.randint(len(cells), (n_samples,)).numpy()]
            for x, batch_index, labels, _ in self.minibatches(drawn):
                z, library = self._vae.sample_from_posterior_z(x, labels), self._vae.sample_from_posterior_l(x)
                latents.append((z, library, torch.full_like(batch_index, batch)))
        return latents

    def _decode_scale(self, latents: tuple[Tensor, ...]) -> Tensor:
        """Return px_scale, (b, genes), of one minibatch of `_draw_latents`."""
        return self._vae.decoder(self._vae.dispersion, *latents)[0]

    def one_vs_all_degenes(self, min_cells: int = 10, **options: Any) -> "pd.DataFrame":
        """Compare the cells of every label with all others.

        Parameters
        ----------
        min_cells
            A comparison needs more cells than this on either side; others are left out.
        **options
            Go to `differential_expression_score`.

        Returns
        -------
        DataFrame
            The tables one below the other, with two columns in front: `cluster`, the code of the label, and
            `cluster_name`.
        """
        labels = self.data.labels[self.indices]
        return self._compare_clusters(
            {code: (labels == code, labels != code) for code in np.unique(labels)}, min_cells, options
        )

    def within_cluster_degenes(self, states: Any, min_cells: int = 10, **options: Any) -> "pd.DataFrame":
        """Compare cells in a state with the other cells of the same label, label by label.

        Parameters
        ----------
        states
            Whether each cell is in the state (is treated, say), boolean, (n,).
        min_cells, **options
            As in `one_vs_all_degenes`.

        Returns
        -------
        DataFrame
            As `one_vs_all_degenes`.

        Raises
        ------
        ValueError
            If `states` is not a boolean value for every cell.
        """
        labels, states = self.data.labels[self.indices], np.asarray(states)
        if states.shape != labels.shape or not np.isin(states, (0, 1)).all():
            raise ValueError(
                f"states needs True or False for each of the {len(labels)} cells, got shape {states.shape}."
            )
        states = states.astype(bool)
        groups = {code: ((labels == code) & states, (labels == code) & ~states) for code in np.unique(labels)}
        return self._compare_clusters(groups, min_cells, options)

    def _compare_clusters(
        self, groups: dict[int, tuple[np.ndarray, np.ndarray]], min_cells: int, options: dict[str, Any]
    ) -> "pd.DataFrame":
        import pandas as pd

        tables = []
        for code, (cells_1, cells_2) in groups.items():
            if min(cells_1.sum(), cells_2.sum()) > min_cells:
                table = self.differential_expression_score(cells_1, cells_2, **options)
                table.insert(0, "cluster", code)
                table.insert(1, "cluster_name", self.data.label_names[code])
                tables.append(table)
        if not tables:
            raise ValueError(f"No cluster has more than {min_cells} cells on both sides of the comparison.")
        return pd.concat(tables, ignore_index=True)


def _compare(pairs: Iterable[tuple[Tensor, Tensor]], delta: float, pseudocount: float) -> dict[str, Tensor]:
    """Compare draws of two groups gene by gene; they come in portions of (b, genes), and only sums are kept."""
    n_draws, sums, center = 0, {}, None
    for scale_1, scale_2 in pairs:
        lfc = torch.log2(scale_1 + pseudocount) - torch.log2(scale_2 + pseudocount)
        center = lfc[0].double() if center is None else center
        deviation = lfc - center  # from the first draw, so that the variance is exactly 0 where all draws agree
        portion = {"wins": scale_1 > scale_2, "ties": scale_1 == scale_2, "large": lfc.abs() >= delta}
        portion |= {"scale_1": scale_1, "scale_2": scale_2, "deviation": deviation, "square": deviation**2}
        for name, values in portion.items():
            sums[name] = sums.get(name, 0) + values.sum(dim=0, dtype=torch.float64)
        n_draws += len(lfc)
    means = {name: total / n_draws for name, total in sums.items()}
    var = (means["square"] - means["deviation"] ** 2) * n_draws / (n_draws - 1)  # NaN for a single draw
    prob_greater = means["wins"] + means["ties"] / 2
    return {
        "bayes_factor": metrics.log_odds(prob_greater),
        "prob_greater": prob_greater,
        "lfc": (center + means["deviation"]).float(),
        "lfc_std": var.sqrt().float(),
        "prob_de": means["large"],
        "scale_1": means["scale_1"].float(),
        "scale_2": means["scale_2"].float(),
    }
