"""How many of the genes that are called differential at 5 % are false: the model beside Wilcoxon's test and pseudobulk.

    python benchmarks/differential_calibration.py --seeds 5

1,000 cells with 200 genes are simulated (`simulate_counts`), of two conditions with three donors each, once with donors
that do not matter, so that cells are independent, and once with a log fold change of each donor on each gene. A gene is
truly changed if the log2 fold changes that the conditions put on it differ by more than `--delta`. Called are, at 5 %:
genes by the posterior expected share of false ones (`metrics.posterior_fdr`) of a FastVAE in mode "change", which
counts a change in the likelier direction or in either; genes by Wilcoxon's rank-sum test of the cells' log-normalised
counts and by `pseudobulk_de`, both adjusted by Benjamini and Hochberg. These two test for any change, so that sure but
small changes count as false here; how many of the false ones the conditions left alone altogether is given beside,
and, whatever is called, the share of changed genes among as many first ones of the ranking as are changed.
Shares sum to 1, so that large changes of some genes shift all others the other way: `shift` says by how much, log2.
One thread; processor time is recorded.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from scipy import stats
from scipy.special import logsumexp

import vae_course as vc
from results import save
from vae_course.differential import pseudobulk_de

LEVEL = 0.05
SIZES = {"n_cells": 1000, "n_genes": 200, "n_labels": 2, "n_donors": 6, "label_by_donor": True}
EFFECTS = {"n_latent": 2, "sd_lfc": 1.0}  # cells of one type, and conditions that change them
SD_DONOR_EFFECT = {"independent cells": 0.0, "donors that differ": 0.4}


def shift_of_shares(data: vc.CountData) -> float:
    """Log2 fold change, label 0 over label 1, of the share of a gene that no label changes, in the same cell."""
    truth = data.truth
    rest = np.log(truth.scale) - np.log(2) * truth.lfc[data.labels] - truth.donor_effect[truth.donor]
    totals = [logsumexp(rest + np.log(2) * lfc, axis=1) / np.log(2) for lfc in truth.lfc]  # (cells,) each
    return float((totals[1] - totals[0]).mean())


def trained(data: vc.CountData, seed: int) -> vc.Posterior:
    model = vc.FastVAE(data.n_genes, seed=seed)
    vc.UnsupervisedTrainer(model, data, seed=seed).train()
    return vc.Posterior(model, data)


def estimates(data: vc.CountData, seed: int, args: argparse.Namespace) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return for each method what it ranks genes by, least first, and the false ones that it expects, (genes,) each."""
    posterior, groups = trained(data, seed), [data.labels == label for label in (0, 1)]
    result = {}
    for test_mode, name in {"three": "likelier direction", "two": "either direction"}.items():
        table = posterior.differential_expression_score(
            *groups, mode="change", test_mode=test_mode, delta=args.delta, n_samples=2000, seed=seed
        )
        table = table.set_index("gene").loc[data.gene_names]
        result[f"model, {name}"] = (-table["prob_de"].to_numpy(), table["fdr"].to_numpy())
    table = pseudobulk_de(data, data.truth.donor, *groups).set_index("gene").loc[data.gene_names]
    result["pseudobulk"] = table["p_value"].to_numpy(), table["fdr"].to_numpy()
    counts = data.counts.toarray()
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    p_value = stats.mannwhitneyu(*(logs[group] for group in groups)).pvalue
    return result | {"Wilcoxon": (p_value, stats.false_discovery_control(p_value))}


def calibration(scenario: str, seed: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Simulate, call genes by every method and count the false ones."""
    data = vc.simulate_counts(**SIZES, **EFFECTS, sd_donor_effect=SD_DONOR_EFFECT[scenario], seed=seed)
    changed = abs(data.truth.lfc[0] - data.truth.lfc[1]) > args.delta
    left_alone = ~data.truth.de_genes.any(axis=0)
    result = {}
    for name, (rank, fdr) in estimates(data, seed, args).items():
        called, first = fdr <= LEVEL, np.argsort(rank, kind="stable")[: changed.sum()]
        result[name] = {
            "called": int(called.sum()),
            "changed": int(changed.sum()),
            "false": int((called & ~changed).sum()),
            "false_left_alone": int((called & ~changed & left_alone).sum()),
            "false_share": float((called & ~changed).sum() / max(1, called.sum())),
            "found_share": float((called & changed).sum() / max(1, changed.sum())),
            "changed_share_of_first": float(changed[first].mean()),
            "expected_share": float(fdr[called].max(initial=0.0)),
            "shift": shift_of_shares(data),
        }
        print_row(f"seed {seed}  {scenario}  {name}", result[name])
    return result


def summarise(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Mean of every figure over the seeds, by method."""
    return {
        method: {key: float(np.mean([run[method][key] for run in runs])) for key in figures}
        for method, figures in runs[0].items()
    }


def print_row(title: str, figures: dict[str, float]) -> None:
    print(
        f"{title:60s}", *(f"{figures[key]:8.1f}" for key in ("called", "changed", "false", "false_left_alone")), end=""
    )
    print(*(f"{figures[key]:12.3f}" for key in ("false_share", "found_share", "changed_share_of_first")), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--delta", type=float, default=0.25, help="smallest log2 fold change that matters")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    started = time.process_time()
    titles = [f"{title:>8s}" for title in ("called", "changed", "false", "alone")]
    print(
        f"{'':60s}", *titles, *(f"{title:>12s}" for title in ("false share", "found share", "first right")), flush=True
    )
    runs = {scenario: [calibration(scenario, seed, args) for seed in range(args.seeds)] for scenario in SD_DONOR_EFFECT}
    summary = {scenario: summarise(of_seeds) for scenario, of_seeds in runs.items()}
    for scenario, methods in summary.items():
        for method, figures in methods.items():
            print_row(f"mean    {scenario}  {method}", figures)
    settings = {**vars(args), **SIZES, **EFFECTS, "sd_donor_effect": SD_DONOR_EFFECT, "level": LEVEL}
    seconds = time.process_time() - started
    print(f"{seconds:.0f} s of processor time")
    save("differential_calibration", {"settings": settings, "seconds": seconds, "runs": runs, "summary": summary})


if __name__ == "__main__":
    main()
