"""Differential expression: which genes two groups of cells express differently.

By the model: which group is higher (Lopez et al., 2018, Methods), and by how much (Boyeau et al., 2019). By a test of
sums over donors, for comparison: `pseudobulk_de`.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vae_course import metrics
from vae_course.data import CountData, as_indices
from vae_course.model import check_option

if TYPE_CHECKING:
    import pandas as pd

FEW_CELLS = 10  # a group of fewer is warned about
RARE = 0.01  # mean count below which scvi-tools takes a gene for not expressed
Pairs = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # gives the draws of two groups, (b, genes) each, ever anew


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
        delta: float | None = 0.25,
        pseudocount: float | None = 1e-6,
        seed: int = 0,
        mode: str = "vanilla",
        test_mode: str | None = None,
    ) -> "pd.DataFrame":
        """Compare the expression of every gene between two groups of cells.

        A draw takes a cell of each group, at random and with replacement, with a z ~ q(z|x) each, and decodes
        both under the same batch. Mode "vanilla" asks which group is higher (Lopez et al., 2018, Methods), mode
        "change" whether the fold change matters (Boyeau et al., 2019), both as in scvi-tools 1.4.

        Parameters
        ----------
        cells_1, cells_2
            The groups: boolean masks over this posterior's cells, or positions among them.
        batchid
            Batches to decode under, in equal parts; all if None.
        n_samples
            Pairs of draws under each batch.
        delta
            Smallest log2 fold change that matters. If None, it is estimated from the genes' mean fold changes, as in
            scvi-tools: 0.6 times the mean distance from 0 of the outer ones of three Gaussians, at least 0.1.
        pseudocount
            Added to shares before taking logarithms, so that genes that are hardly expressed show no large change.
            If None, it is estimated from genes with a mean count below 0.01 in a group, as scvi-tools does unless
            told otherwise.
        seed
            Seed of the draws.
        mode
            "vanilla" or "change": what the Bayes factor is about, and what the table is sorted by.
        test_mode
            How prob_de counts draws: "two" takes a change of at least delta in either direction, "three" in the
            likelier direction alone. If None, "two" in mode "vanilla" and, as in scvi-tools, "three" in mode "change".

        Returns
        -------
        DataFrame
            A row per gene, highest Bayes factor first (which in mode "change" is highest prob_de first):

            - gene;
            - bayes_factor: the log-odds of prob_greater, or in mode "change" of prob_de;
            - prob_greater: the probability that group 1 expresses it more; a tie counts half;
            - lfc, lfc_std: mean and standard deviation of the log2 fold change of group 1 over group 2; in mode
              "change" with a thousandth of the pseudocount, as in scvi-tools, which shrinks it less;
            - prob_de: the probability of a change of at least delta;
            - fdr: `metrics.posterior_fdr` of it: genes with fdr <= 0.05 are expected to hold 5 % of false ones;
            - scale_1, scale_2: mean shares; raw_mean_1, raw_mean_2: mean counts; nonzero_1, nonzero_2: shares of the
              cells in which it was detected; n_1, n_2: cells in the groups;
            - delta, pseudocount: the values that were used.

        Warns
        -----
        UserWarning
            If a group has fewer than 10 cells, which scVI's one-vs-all comparison leaves out too.

        Raises
        ------
        ValueError
            If a group is empty, a batch does not exist, delta is negative, or for unknown modes.

        Notes
        -----
        prob_de is about pairs of cells, not about means of groups: it rises with the spread of the fold changes, and
        for test_mode "two" towards 1, even for a gene whose mean change is 0 (scvi-tools issue 1343, from which "three"
        comes: there it stays near 0.5 at most). Read it beside lfc and lfc_std. Where nothing differs, one random half
        of the 129 CD14+ monocytes of `load_pbmc()` against the other, the mean prob_de over the genes is 0.72 for
        "two" and 0.39 for "three" (FastVAE at its defaults; ten halvings: 0.72 to 0.73 and 0.38 to 0.40); no gene has
        fdr <= 0.05. Cells that vary within the groups also keep true changes from it: of simulated ones that exceed
        delta, 4 % or fewer were called (benchmarks/RESULTS.md). The ranking says more than the call.

        Small groups differ by chance: of such monocytes against all others of their kind, 3 cells show a mean change of
        0.25 or more in 29 % of the genes, 9 cells in 15 %, 30 cells in 4 % (means of 15 draws).

        Cells of one donor resemble each other, which the model does not know of: see `pseudobulk_de`.
        """
        check_option("mode", mode, ("vanilla", "change"))
        test_mode = test_mode or ("three" if mode == "change" else "two")
        check_option("test_mode", test_mode, ("two", "three"))
        if delta is not None and not delta >= 0:
            raise ValueError(f"delta has to be at least 0, or None to have it estimated, got {delta}.")
        self._check_draws(n_samples)
        groups = [self.indices[as_indices(cells, len(self))] for cells in (cells_1, cells_2)]
        _check_sizes(groups)
        raw = [self.data.counts[group] for group in groups]
        with self._evaluating(seed):
            drawn = [self._draw_latents(group, self._batches(batchid), n_samples) for group in groups]
            pairs = partial(self._decode_pairs, *drawn)
            if pseudocount is None:
                pseudocount = _estimate_pseudocount(pairs, *(counts.mean(axis=0).A1 < RARE for counts in raw))
            if delta is None:
                delta = _estimate_delta(_mean_lfc(pairs, pseudocount), seed)
            compared = _compare(pairs(), delta, pseudocount, mode, test_mode)
        return self._de_table(compared, raw, mode).assign(delta=delta, pseudocount=pseudocount)

    def _de_table(self, compared: dict[str, Tensor], raw: list[Any], mode: str) -> "pd.DataFrame":
        """Put what `_compare` found and what was counted, two matrices of (cells, genes), into one sorted table."""
        import pandas as pd

        columns = {name: values.cpu().numpy() for name, values in compared.items()}
        columns |= {f"raw_mean_{group}": counts.mean(axis=0).A1 for group, counts in enumerate(raw, start=1)}
        columns |= {f"nonzero_{group}": (counts > 0).mean(axis=0).A1 for group, counts in enumerate(raw, start=1)}
        columns |= {f"n_{group}": counts.shape[0] for group, counts in enumerate(raw, start=1)}
        table = pd.DataFrame({"gene": self.data.gene_names, **columns})
        key = "prob_de" if mode == "change" else "bayes_factor"
        return table.sort_values(key, ascending=False, kind="stable", ignore_index=True)

    def _batches(self, batchid: Sequence[int] | None) -> list[int]:
        n_batch = max(1, self._vae.n_batch)
        batches = list(range(n_batch) if batchid is None else batchid)
        if not batches or not all(0 <= b < n_batch for b in batches):
            raise ValueError(f"batchid has to name batches from 0 to {n_batch - 1}, got {batches}.")
        return batches

    def _draw_latents(self, cells: np.ndarray, batches: list[int], n_samples: int) -> list[tuple[Tensor, ...]]:
        """Draw z and log-library of random cells under each batch; return minibatches of what the decoder takes.

        All of them are kept, since they are small; what they decode to, with a column per gene, is not.
        """
        latents = []
        for batch in batches:
            drawn = cells[torch.randint(len(cells), (n_samples,)).numpy()]
            for x, batch_index, labels, positions in self.minibatches(drawn):
                z, library = self._vae.sample_from_posterior_z(x, labels), self._vae.sample_from_posterior_l(x)
                given = z, library, torch.full_like(batch_index, batch)
                covariates = self.seen.covariates_of(positions, self.device)
                latents.append(self._vae.with_covariates(*given, **covariates))
        return latents

    def _decode_scale(self, latents: tuple[Tensor, ...]) -> Tensor:
        """Return px_scale, (b, genes), of one minibatch of `_draw_latents`."""
        return self._vae.decoder(self._vae.dispersion, *latents)[0]

    def _decode_pairs(self, *drawn: list[tuple[Tensor, ...]]) -> Iterable[tuple[Tensor, Tensor]]:
        """Decode the draws of two groups minibatch by minibatch; (b, genes) each."""
        return zip(*(map(self._decode_scale, latents) for latents in drawn), strict=True)

    def one_vs_all_degenes(self, min_cells: int = 10, **options: Any) -> "pd.DataFrame":
        """Compare the cells of every label with all others.

        Parameters
        ----------
        min_cells
            A comparison needs more cells than this on either side; others are left out. Nothing warns of few cells if
            it is lowered; the sizes are in the table.
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
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Group . should have at least")  # min_cells allows it
                    table = self.differential_expression_score(cells_1, cells_2, **options)
                table.insert(0, "cluster", code)
                table.insert(1, "cluster_name", self.data.label_names[code])
                tables.append(table)
        if not tables:
            raise ValueError(f"No cluster has more than {min_cells} cells on both sides of the comparison.")
        return pd.concat(tables, ignore_index=True)


def pseudobulk_de(data: CountData, donors: Any, cells_1: Any, cells_2: Any) -> "pd.DataFrame":
    """Compare two groups of donors gene by gene, with one sum of counts per donor (Squair et al., 2021).

    Cells of a donor are no independent observations of a condition, donors are. Counts are summed over each donor's
    cells, become log2 counts per million (with 2 added per gene to an average donor, as in edgeR's `cpm`), and Welch's
    t-test compares the two groups of donors. With three donors on a side it finds large changes only; edgeR, DESeq2 and
    limma find more, since they learn the spread between donors from all genes.

    Parameters
    ----------
    data
        Cells with counts.
    donors
        Donor of each cell, (cells,), any codes or names.
    cells_1, cells_2
        The groups: boolean masks over the cells, or positions among them; a donor is in one of them, with all of its
        cells or some.

    Returns
    -------
    DataFrame
        A row per gene, smallest p-value first: gene; lfc, mean log2 counts per million of group 1 minus that of group
        2; p_value, 1 for a gene without counts; fdr, the p-value as adjusted by Benjamini and Hochberg (1995); n_1 and
        n_2, donors in the groups.

    Raises
    ------
    ValueError
        If there is not one donor per cell, a group has fewer than two donors, or a donor is in both groups.
    """
    import pandas as pd
    from scipy import stats

    donors = np.asarray(donors)
    if donors.shape != (data.n_cells,):
        raise ValueError(f"Expected the donor of each of the {data.n_cells} cells, got shape {donors.shape}.")
    groups = [as_indices(cells, data.n_cells) for cells in (cells_1, cells_2)]
    of_group = [np.unique(donors[group]) for group in groups]
    n_1, n_2 = map(len, of_group)
    if min(n_1, n_2) < 2:
        raise ValueError(f"Each group needs cells of two donors or more, got {n_1} and {n_2} donors.")
    if len(shared := np.intersect1d(*of_group)):
        raise ValueError(f"Each donor has to be in one group, but {shared[0]} is in both: leave its cells out of one.")
    sums = [
        np.stack([data.counts[group[donors[group] == donor]].sum(axis=0).A1 for donor in names])
        for group, names in zip(groups, of_group, strict=True)
    ]  # (donors, genes) each
    counts = np.concatenate(sums).astype(np.float64)
    log_cpm = _log_cpm(counts)
    logs, counted = (log_cpm[:n_1], log_cpm[n_1:]), counts.any(axis=0)
    p_value = np.ones(data.n_genes)
    p_value[counted] = stats.ttest_ind(*(log[:, counted] for log in logs), equal_var=False).pvalue
    columns = {"lfc": logs[0].mean(axis=0) - logs[1].mean(axis=0), "p_value": np.nan_to_num(p_value, nan=1.0)}
    columns |= {"fdr": stats.false_discovery_control(columns["p_value"]), "n_1": n_1, "n_2": n_2}
    table = pd.DataFrame({"gene": data.gene_names, **columns})
    return table.sort_values("p_value", kind="stable", ignore_index=True)


def _log_cpm(counts: np.ndarray) -> np.ndarray:
    """Log2 counts per million as in edgeR's `cpm(log=TRUE)`, (samples, genes)."""
    totals = counts.sum(axis=1, keepdims=True)  # (samples, 1)
    prior = 2 * totals / totals.mean()
    return np.log2((counts + prior) / (totals + 2 * prior) * 1e6)


def _check_sizes(groups: list[np.ndarray]) -> None:
    """Raise ValueError if a group is empty, and warn if it is small."""
    for position, group in enumerate(groups, start=1):
        if not len(group):
            raise ValueError(f"Group {position} has no cells, so there is nothing to compare.")
        if len(group) < FEW_CELLS:
            warnings.warn(
                f"Group {position} should have at least {FEW_CELLS} cells, got {len(group)}: what so few happen to "
                "express passes for a difference, so compare larger groups.",
                stacklevel=3,
            )


def _estimate_pseudocount(pairs: Pairs, *rare: np.ndarray) -> float:
    """Estimate it as scvi-tools' `estimate_pseudocounts_offset`, from the largest shares of each group's rare genes."""
    largest = None
    for pair in pairs():
        shares = torch.stack([scale.amax(dim=0) for scale in pair])  # (2, genes)
        largest = shares if largest is None else torch.maximum(largest, shares)
    of_groups = zip(largest.double().cpu().numpy(), rare, strict=True)
    quantiles = [np.quantile(shares[genes], 0.9) for shares, genes in of_groups if genes.any()]
    return max(1e-10, float(max(quantiles, default=0)) / largest.shape[1])


def _mean_lfc(pairs: Pairs, pseudocount: float) -> np.ndarray:
    """Mean log2 fold change of every gene, (genes,)."""
    n_draws, total = 0, 0
    for pair in pairs():
        lfc = _log2_fold_change(*pair, pseudocount)
        total, n_draws = total + lfc.sum(dim=0, dtype=torch.float64), n_draws + len(lfc)
    return (total / n_draws).cpu().numpy()


def _estimate_delta(mean_lfc: np.ndarray, seed: int) -> float:
    """Estimate it as scvi-tools' `estimate_delta`: most genes change little, those in the outer Gaussians do."""
    from sklearn.mixture import GaussianMixture

    means = GaussianMixture(3, random_state=seed).fit(mean_lfc[:, None]).means_
    return max(0.1, 0.6 * float(abs(means.max()) + abs(means.min())) / 2)


def _log2_fold_change(scale_1: Tensor, scale_2: Tensor, pseudocount: float) -> Tensor:
    return torch.log2(scale_1 + pseudocount) - torch.log2(scale_2 + pseudocount)


def _compare(
    pairs: Iterable[tuple[Tensor, Tensor]],
    delta: float,
    pseudocount: float,
    mode: str = "vanilla",
    test_mode: str = "two",
) -> dict[str, Tensor]:
    """Compare draws of two groups gene by gene; they come in portions of (b, genes), and only sums are kept."""
    n_draws, sums, center = 0, {}, None
    for scale_1, scale_2 in pairs:
        tested = lfc = _log2_fold_change(scale_1, scale_2, pseudocount)
        if mode == "change":
            lfc = _log2_fold_change(scale_1, scale_2, 1e-3 * pseudocount)
        center = lfc[0].double() if center is None else center
        deviation = lfc - center  # from the first draw, so that the variance is exactly 0 where all draws agree
        portion = {
            "wins": scale_1 > scale_2,
            "ties": scale_1 == scale_2,
            "up": tested >= delta,
            "down": tested < -delta,
        }
        portion |= {"scale_1": scale_1, "scale_2": scale_2, "deviation": deviation, "square": deviation**2}
        for name, values in portion.items():
            sums[name] = sums.get(name, 0) + values.sum(dim=0, dtype=torch.float64)
        n_draws += len(lfc)
    changed = sums["up"] + sums["down"] if test_mode == "two" else torch.maximum(sums["up"], sums["down"])
    means = {name: total / n_draws for name, total in sums.items()}
    var = (means["square"] - means["deviation"] ** 2) * n_draws / (n_draws - 1)  # NaN for a single draw
    prob_greater, prob_de = means["wins"] + means["ties"] / 2, changed / n_draws
    return {
        "bayes_factor": metrics.log_odds(prob_de if mode == "change" else prob_greater),
        "prob_greater": prob_greater,
        "lfc": (center + means["deviation"]).float(),
        "lfc_std": var.sqrt().float(),
        "prob_de": prob_de,
        "fdr": metrics.posterior_fdr(prob_de),
        "scale_1": means["scale_1"].float(),
        "scale_2": means["scale_2"].float(),
    }
