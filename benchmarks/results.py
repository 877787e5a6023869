"""What the benchmarks share: how a measurement is kept, and `RESULTS.md`, which is written from what is kept.

    python benchmarks/results.py

A script calls `save` with its figures; that writes `results/NAME.json`, with the machine and the versions, and then
`RESULTS.md`, its plots and the table in `docs/fast.md`. A benchmark that was not run is said to be missing.
"""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from vae_course.runtime.files import write_atomically

FOLDER = Path(__file__).parent
KEPT = FOLDER / "results"
RECORDED = FOLDER.parent / "vae_course" / "_data"
FAST = FOLDER.parent / "docs" / "fast.md"
PACKAGES = ("vae-course", "scvi-tools", "torch", "numpy", "scipy", "scikit-learn", "anndata")


def save(name: str, figures: dict[str, Any]) -> None:
    """Keep the figures of a benchmark, and write everything anew that is made of them."""
    KEPT.mkdir(exist_ok=True)
    content = {"machine": machine(), "versions": versions(), "figures": figures}
    write_json(KEPT / f"{name}.json", content)
    write_results()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write the file, whole or not at all."""
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True), "gpu": gpu}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median of some measurements, the smallest, the largest and their number."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "n": len(values)}


# --------------------------------------------------------------------------------------------------------------------
# RESULTS.md
# --------------------------------------------------------------------------------------------------------------------


def write_results() -> None:
    """Write `RESULTS.md`, its plots, and the table of operations in `docs/fast.md`."""
    text = results()
    write_atomically(FOLDER / "RESULTS.md", lambda path: path.write_text(text, encoding="utf-8"))
    for name, seconds, group in PLOTS:
        if content := kept(name):
            plot(name, content["figures"]["rows"], seconds, group)
    for name in FINISHED:
        if content := kept(f"finished_training_{name}"):
            plot_generated(name, content)
    operations = kept("operations")
    if operations and FAST.exists():
        before, _, rest = FAST.read_text(encoding="utf-8").partition("<!-- operations -->")
        _, _, after = rest.partition("<!-- end of operations -->")
        table = f"<!-- operations -->\n\n{_operations(operations['figures'])}\n\n<!-- end of operations -->"
        write_atomically(FAST, lambda path: path.write_text(before + table + after, encoding="utf-8"))


def results() -> str:
    """Return the text of `RESULTS.md`."""
    comparisons = f"## What is learnt, beside scvi-tools\n\n{_comparison()}"
    sections = [_introduction(), _finished_training(), comparisons, *(_section(*section) for section in SECTIONS)]
    return "\n\n".join(sections) + "\n"


def kept(name: str) -> dict[str, Any] | None:
    """Return what `save` kept of a benchmark, or None."""
    path = KEPT / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _introduction() -> str:
    return (
        "# What was measured\n\n"
        "Written by the scripts in this folder (`results.py`); do not edit. Every section names the script, the\n"
        "machine and the versions. Medians are followed by the smallest and the largest value. The cells called\n"
        "`pbmc_facs` are 3,774 sorted human blood cells (Zheng et al. 2017) with their 1,000 most variable genes\n"
        "(`seurat_v3`), 91 % zeros; their file is not part of this repository."
    )


def _section(title: str, script: str, name: str, render: Any) -> str:
    content = kept(name)
    heading = f"## {title}\n\n"
    if content is None:
        return f"{heading}`{script}` was not run yet."
    where = content["machine"]
    packages = ", ".join(f"{package} {number}" for package, number in content["versions"].items())
    gpu = "" if where["gpu"] == "none" else f", {where['gpu']}"
    on = f"on {where['processor']} ({where['cores']} cores{gpu}), {where['system']}"
    return f"{heading}`{script}`, {on}; {packages}.\n\n{render(content['figures'])}"


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table in Markdown."""
    lines = [list(header)]
    lines.append(["---"] * len(lines[0]))
    lines += [[str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(values: dict[str, Any], digits: int = 3) -> str:
    """Return a median with its range."""
    return f"{values['median']:.{digits}f} ({values['least']:.{digits}f} to {values['most']:.{digits}f})"


def _paired(summary: dict[str, Any], baseline: dict[str, float]) -> str:
    names = {"negative_elbo": 2, "marginal_ll": 2, "ari": 3, "nmi": 3}
    rows = [
        [who, *(f"{summary[name][who]:.{d}f}" for name, d in names.items())] for who in ("vae_course", "scvi-tools")
    ]
    differences = [
        f"{summary[name]['difference']:.{d}f} ± {summary[name]['standard_error']:.{d}f}" for name, d in names.items()
    ]
    rows.append(["mean paired difference ± standard error", *differences])
    rows.append(
        ["PCA, 10 components of log-normalised counts", "", "", f"{baseline['ari']:.3f}", f"{baseline['nmi']:.3f}"]
    )
    return table(["", "negative ELBO", "log p(x)", "ARI", "NMI"], rows)


def _comparison() -> str:
    """Render the record of `paired_comparison.py`, which holds its own versions."""
    content = json.loads((RECORDED / "comparison_pbmc.json").read_text(encoding="utf-8"))
    settings, used = content["settings"], content["versions"]
    return (
        "`paired_comparison.py`: same cells, split, initial weights and settings, those of scVI; of both the averages\n"
        "of batch normalisation were finished. What differs are random numbers. Held-out cells, nats per cell; ARI\n"
        "and NMI of k-means on all cells against the labels.\n\n"
        f"{content['data']['file']}, {settings['likelihood'].upper()}, {settings['seeds']} seeds, "
        f"{settings['epochs']} epochs, KL warm-up of {settings['kl_warmup']} "
        f"(torch {used['torch']}, scvi-tools {used['scvi-tools']}):\n\n"
        + _paired(content["summary"], content["pca_10"])
    )


FINISHED = {
    "pbmc_facs": "`pbmc_facs`, 1,000 genes by `seurat_v3`",
    "pbmc_facs_variance": "`pbmc_facs`, the 1,000 genes of largest variance",
    "bundled": "bundled blood cells",
}
TRUTH = {
    "total": lambda generated: generated["total"],
    "zeros": lambda generated: generated["zeros"][0] - generated["zeros"][1],
    "variance over mean": lambda generated: generated["fano_ratio"],
    "detection": lambda generated: generated["detection_error"],
}
PLOTTED = {
    "scvi-tools": "scvi-tools",
    "scvi-tools, averages finished": "scvi-tools, averages finished",
    "... and a falling learning rate: our defaults": "vae_course, its defaults",
}


def _finished_training() -> str:
    """Render the records of `finished_training.py`, one a set of genes."""
    text = (
        "## What finishing the training is worth\n\n"
        "`finished_training.py`: `FastVAE` from scvi-tools' initial networks, on the same cells and split; every row\n"
        "adds a step to the one above. Held-out cells, nats per cell: means over seeds, and in brackets the mean\n"
        "paired difference to scvi-tools at its own settings and 100 epochs, with its standard error. Seconds are of\n"
        "the processor, one thread. Time to quality: until the held-out log p(x) is that of scvi-tools.\n\n"
        "The second table of every set compares counts drawn from the posterior predictive of the held-out cells\n"
        "with their own. Total: generated over observed. Zeros: share, generated minus observed. Variance over mean:\n"
        "generated over observed, median over genes. Detection: difference between the shares of cells in which a\n"
        "gene is seen, without its sign, mean over genes. Means over seeds with standard errors; perfect would be\n"
        "1, 0, 1 and 0. Still off with every step done: totals some percent too large, too many zeros, and too wide\n"
        "variances, since theta starts at the moments of all cells together, where differences between cell types\n"
        "count as noise, and hardly moves."
    )
    parts = [text]
    for name, title in FINISHED.items():
        content = kept(f"finished_training_{name}")
        parts.append(f"{title}: not run yet." if content is None else _finished(name, title, content))
    return "\n\n".join(parts)


def _finished(name: str, title: str, content: dict[str, Any]) -> str:
    seeds = content["figures"]["seeds"]
    base, *_ = rows = list(seeds[0]["rows"])
    table_rows = []
    for row in rows:
        cells = [row]
        for key, digits in (("negative_elbo", 1), ("marginal_ll", 1), ("ari", 3), ("nmi", 3)):
            values = [seed["rows"][row][key] for seed in seeds]
            cells.append(f"{statistics.mean(values):.{digits}f}")
            if row != base:
                cells[-1] += f" ({_difference([seed['rows'][base][key] for seed in seeds], values, digits)})"
        table_rows.append([*cells, f"{statistics.median(seed['rows'][row]['seconds'] for seed in seeds):.0f}"])
    generated_rows = [
        [row, *(_mean_and_error([read(seed["rows"][row]["generated"]) for seed in seeds]) for read in TRUTH.values())]
        for row in rows
    ]
    quality = [seed["time_to_quality"] for seed in seeds]
    shares = [one["share"] for one in quality]
    used, processor = content["versions"], content["machine"]["processor"]
    return (
        f"{title}, {len(seeds)} seeds (torch {used['torch']}, scvi-tools {used['scvi-tools']}, {processor}):\n\n"
        + table(["", "negative ELBO", "log p(x)", "ARI", "NMI", "seconds"], table_rows)
        + f"\n\nTime to quality: {statistics.median(one['seconds'] for one in quality):.1f} s "
        f"({statistics.median(one['epochs'] for one in quality):.0f} epochs), {statistics.median(shares):.1%} of "
        f"scvi-tools' seconds (medians; {min(shares):.1%} to {max(shares):.1%}).\n\n"
        + table(["generated counts", *TRUTH], generated_rows)
        + f"\n\n![Generated and observed counts](results/finished_training_{name}.png)"
    )


def _mean_and_error(values: Sequence[float]) -> str:
    """Return the mean of some values and its standard error."""
    return f"{statistics.mean(values):.3f} ± {_standard_error(values):.3f}"


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def _difference(base: Sequence[float], values: Sequence[float], digits: int) -> str:
    """Return the mean paired difference and its standard error."""
    differences = [value - other for value, other in zip(values, base, strict=True)]
    return f"{statistics.mean(differences):+.{digits}f} ± {_standard_error(differences):.{digits}f}"


def _train_speed(figures: dict[str, Any]) -> str:
    rows = []
    for one in figures["rows"]:
        fast, vae, theirs, products = (one[name] for name in ("FastVAE", "VAE", "scvi-tools", "matrix products"))
        rows.append(
            [
                *(one["cells"], f"{one['zeros']:.0%}"),
                *map(shown, (fast, vae, theirs, products)),
                f"{theirs['median'] / fast['median']:.2f}",
                f"{theirs['processor']['median'] / fast['processor']['median']:.2f}",
                f"{theirs['median'] / vae['median']:.2f}",
            ]
        )
    header = ["cells", "zeros", "`FastVAE`, s", "`VAE`, s", "scvi-tools, s", "matrix products alone, s"]
    ratios = ["scvi-tools / `FastVAE`", "the same by processor time", "scvi-tools / `VAE`"]
    return (
        f"Seconds an epoch, one thread, alternating in one process, {figures['date']}.\n\n"
        + table([*header, *ratios], rows)
        + "\n\nWhere the time goes is in [docs/fast.md](../docs/fast.md)."
    )


def _operations(figures: dict[str, Any]) -> str:
    total = sum(row["microseconds"] for row in figures["rows"])
    rows = [
        [row["what"], row["calls"], f"{row['microseconds']:.0f}", f"{row['microseconds'] / total:.0%}"]
        for row in figures["rows"]
    ]
    rows.append(["**together**", "", f"**{total:.0f}**", "100%"])
    return table(["operation", "calls", "microseconds", "share"], rows)


def _evaluation_scale(figures: dict[str, Any]) -> str:
    rows = [[f"{r['cells']:,}", r["what"], f"{r['seconds']:.1f}", f"{r['peak_mb']:,.0f}"] for r in figures["rows"]]
    return (
        f"{figures.get('settings', '')}\n\n".lstrip()
        + table(["cells", "what", "seconds", "peak memory of the process, MB"], rows)
        + "\n\n![Two panels over the number of cells: seconds of each evaluation, and peak memory of its process]"
        "(results/evaluation_scale.png)"
    )


def _train_scale(figures: dict[str, Any]) -> str:
    rows = [
        [
            *(f"{r[key]:,}" for key in ("cells", "nonzeros")),
            *(f"{r[key]:,.0f}" for key in ("cells_per_second", "seconds_reading", "seconds_total", "peak_mb")),
        ]
        for r in figures["rows"]
    ]
    header = ["cells", "non-zero counts", "cells per second of training", "seconds to read", "seconds in all"]
    return (
        f"{figures.get('settings', '')}\n\n".lstrip()
        + table([*header, "peak memory of the process, MB"], rows)
        + "\n\nSeconds in all include the report: scores and figures of a sample of the cells."
        + "\n\n![Two panels over the number of cells: seconds of the whole command, and its peak memory]"
        "(results/train_scale.png)"
    )


def _two_batches(figures: dict[str, Any]) -> str:
    names = {
        "entropy_share": "entropy of mixing, share of the most",
        "ilisi": "iLISI",
        "clisi": "cLISI",
        "knn_purity": "purity of neighbours",
        "ari": "ARI",
    }
    rows = [
        [what, *(f"{row[name]['mean']:.3f} ± {row[name]['standard_error']:.3f}" for name in names)]
        for what, row in figures["summary"].items()
    ]
    settings = figures["settings"]
    return (
        f"`load_two_batches(strength={settings['strength']:g})`: real cells, half of them passed through a simulated\n"
        f"batch effect. Means and standard errors over {settings['seeds']} seeds of data and training, all cells.\n"
        "The first two columns say how well batches mix, the others how well types stay apart: higher is better.\n\n"
        + table(["", *names.values()], rows)
    )


def _new_batch(figures: dict[str, Any]) -> str:
    names = {
        "negative_elbo": "-ELBO, unseen new cells",
        "mixed": "mixed",
        "purity": "purity of neighbours",
        "transferred": "labels transferred",
        "kept": "reference's neighbours kept",
    }
    rows = [
        [what, *(f"{row[name]['mean']:.3f} ± {row[name]['standard_error']:.3f}" for name in names)]
        for what, row in figures["summary"].items()
    ]
    settings = figures["settings"]
    return (
        "The bundled cells, 300 genes, dealt to three laboratories, of which two have a simulated batch effect of\n"
        f"strength {settings['strength']:g}. A reference of two is grown by `add_batches` for the third, or all are\n"
        f"trained anew, {settings['epochs']} epochs. Means and standard errors over {settings['seeds']} seeds; "
        "differences are paired.\n\n" + table(["", *names.values()], rows)
    )


def _made_up_cells(figures: dict[str, Any]) -> str:
    rows = []
    for what, row in figures["summary"].items():
        share, distance = (row[name] for name in ("too_far_out", "median_distance"))
        rows.append([
            what,
            f"{100 * share['mean']:.0f} ± {100 * share['standard_error']:.0f} %",
            f"{distance['mean']:.1f} ± {distance['standard_error']:.1f}",
        ])  # fmt: skip
    return (
        "Cells made up by an autoencoder with two latents and by scVI, each trained on 560 cells: the share that lies\n"
        "further from the nearest training cell, in ten principal components, than 95 % of 140 held-out cells do, and\n"
        f"the median distance. Means and standard errors over {figures['settings']['seeds']} splits.\n\n"
        + table(["", "too far out", "median distance"], rows)
    )


def _rivals(figures: dict[str, Any]) -> str:
    pairs = figures["summary"]
    rows = [
        [
            seed,
            *(
                f"{pair['splits'][place]['mean']:+.1f} ± {pair['splits'][place]['standard_error']:.1f}"
                for pair in pairs.values()
            ),
        ]
        for place, seed in enumerate(figures["seeds"])
    ]
    for title, name in (("mean ± s.e. over splits", "mean"), ("the same of the median cell", "median")):
        over = [pair["over_splits"][name] for pair in pairs.values()]
        rows.append([title, *(f"{one['mean']:+.1f} ± {one['standard_error']:.1f}" for one in over)])
    ahead = [pair["over_splits"]["share_ahead"] for pair in pairs.values()]
    rows.append(["cells with a gain", *(f"{one['mean']:.0%} ± {one['standard_error']:.0%}" for one in ahead)])
    rows.append(
        ["the worst cell of all", *(f"{min(s['worst'] for s in pair['splits']):+.0f}" for pair in pairs.values())]
    )
    log_px = table(
        ["log p(x)", *map(str, figures["seeds"])],
        [[name, *(f"{value:.1f}" for value in values)] for name, values in figures["log_px"].items()],
    )
    return (
        "The bundled cells, 630 to learn from and 70 held out. Rivals without a network: negative binomials of one\n"
        "kind of cell, or of five or ten clusters, with the library averaged out on a grid. scVI: 100 epochs with the\n"
        "trainer's defaults, log p(x) bounded from 1,000 draws unless it says 200; in its own way: constant rate,\n"
        "theta from random numbers, averages not finished. Paired gains, nats per held-out cell; of a split with the\n"
        "standard error over its cells.\n\n" + table(["seed", *pairs], rows) + "\n\n" + log_px
    )


def _training_defaults(figures: dict[str, Any]) -> str:
    parts = [
        "The trainer's defaults (Adam at 4e-3 with cosine decay, 100 epochs up to 10,000 cells and then a million\n"
        "passes of a cell, at least 20; a warm-up of half of them), and what one changed setting adds: held-out log\n"
        "p(x), nats per cell, and NMI of k-means with the labels; mean paired differences with standard errors,\n"
        f"{figures['seeds']} seeds. Higher is better."
    ]
    for title, variants in figures["sets"].items():
        if any(len(runs) < figures["seeds"] for runs in variants.values()):  # being measured
            continue
        base, rows = variants["the defaults"], []
        for what, runs in variants.items():
            pairs = [(b, run) for b, run in zip(base, runs, strict=True) if None not in (*b.values(), *run.values())]
            row = [what if len(pairs) == len(base) else f"{what}; {len(base) - len(pairs)} diverged"]
            for key, digits in (("marginal_ll", 1), ("nmi", 3)):
                ours, others = ([run[key] for run in side] for side in zip(*pairs, strict=True))
                row.append(f"{statistics.mean(ours):.{digits}f}" if runs is base else _difference(ours, others, digits))
            rows.append(row)
        parts.append(table([title, "log p(x)", "NMI"], rows))
    return "\n\n".join(parts)


def plot_generated(name: str, content: dict[str, Any]) -> None:
    """Draw how generated counts differ from observed ones, over seeds and over genes, and save the figure."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from vae_course.plots import COLORS, MARKERS

    seeds = content["figures"]["seeds"]
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    for place, (row, label), colour, marker in zip(range(9), PLOTTED.items(), COLORS, MARKERS, strict=False):
        runs = [seed["rows"][row]["generated"]["by_mean"] for seed in seeds]
        means = [statistics.mean(column) for column in zip(*(run["mean"] for run in runs), strict=True)]
        for panel, key in zip(panels[:2], ("fano", "detected"), strict=True):
            ratios = [[drawn / seen for drawn, seen in run[key]] for run in runs]
            columns = list(zip(*ratios, strict=True))
            middle = [statistics.mean(column) for column in columns]
            errors = [_standard_error(column) for column in columns]
            panel.errorbar(means, middle, errors, color=colour, marker=marker, markersize=4, label=label)
        values = [TRUTH["total"](seed["rows"][row]["generated"]) for seed in seeds]
        panels[2].plot([place] * len(values), values, marker, color=colour)
    for panel in panels:
        panel.axhline(1, color="0.6", linewidth=1, zorder=0)
    panels[0].set(title="variance over mean", xlabel="mean count of the genes", ylabel="generated / observed")
    panels[1].set(title="detection rate", xlabel="mean count of the genes")
    panels[2].set(title="total count", xlabel="each mark a seed", xlim=(-0.5, len(PLOTTED) - 0.5), xticks=[])
    for panel in panels[:2]:
        panel.set_xscale("log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    write_atomically(KEPT / f"finished_training_{name}.png", lambda path: figure.savefig(path, dpi=150))
    plt.close(figure)


def plot(name: str, rows: list[dict[str, Any]], seconds: str, group: str | None = None) -> None:
    """Draw seconds and peak memory against cells, and save the figure."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from vae_course.plots import COLORS, MARKERS

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    groups = list(dict.fromkeys(row[group] for row in rows)) if group else [None]
    for panel, key, label in zip(panels, (seconds, "peak_mb"), ("seconds", "peak memory (MB)"), strict=True):
        for one, colour, marker in zip(groups, COLORS, MARKERS, strict=False):
            mine = [row for row in rows if group is None or row[group] == one]
            panel.plot([r["cells"] for r in mine], [r[key] for r in mine], color=colour, marker=marker, label=one)
        panel.set(xlabel="cells", ylabel=label, xscale="log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
    if max(row[seconds] for row in rows) > 10 * min(row[seconds] for row in rows):
        panels[0].set_yscale("log")
    else:
        panels[0].set_ylim(bottom=0)
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[1].set_ylim(bottom=0)
    panels[1].yaxis.set_major_formatter("{x:,.0f}")
    if group:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    write_atomically(KEPT / f"{name}.png", lambda path: figure.savefig(path, dpi=150))
    plt.close(figure)


def _gpu(figures: dict[str, Any]) -> str:
    if "reason" in figures:
        return figures["reason"]
    rows = [
        [r["what"], r["batch_size"], f"{r['cells_per_second']:,.0f}", f"{r['share_of_products']:.0%}"]
        for r in figures["rows"]
    ]
    return table(["what", "minibatch", "cells per second", "of what the matrix products alone would allow"], rows)


def _grading(figures: dict[str, Any]) -> str:
    return (
        f"{figures['submissions']} submissions of {figures['exercises']} exercises, a quarter each solved, partly\n"
        f"wrong, partly done and untouched, {figures['jobs']} at a time in the sandbox: {figures['seconds']:.0f} s,\n"
        f"{figures['seconds'] / figures['submissions']:.1f} s a submission. Of the {figures['wrong']} answers that\n"
        f"were wrong, the message named the misconception in {figures['named']}."
    )


def _calibration(figures: dict[str, Any]) -> str:
    settings, keys = figures["settings"], ("called", "changed", "false", "false_left_alone")
    rows = [
        [
            scenario,
            method,
            *(f"{row[key]:.1f}" for key in keys),
            f"{row['false_share']:.0%}",
            f"{row['found_share']:.0%}",
            f"{row['changed_share_of_first']:.0%}",
        ]
        for scenario, methods in figures["summary"].items()
        for method, row in methods.items()
    ]
    header = ["cells", "method", "called", "changed", "false", "of these left alone", "share of false ones"]
    return (
        f"Genes called at {settings['level']:.0%}, means over {settings['seeds']} seeds; {settings['n_cells']:,} cells,"
        f" {settings['n_genes']} genes, three\ndonors against three. A gene is changed if its log2 fold change exceeds "
        f"{settings['delta']}; the tests call\nsmaller changes too.\n\n"
        + table([*header, "share of the changed ones found", "changed among as many ranked first"], rows)
    )


SECTIONS = (
    ("The trainer's defaults beside other settings", "training_defaults.py", "training_defaults", _training_defaults),
    (
        "Which genes are called differential, and how many wrongly",
        "differential_calibration.py",
        "differential_calibration",
        _calibration,
    ),
    ("Two batches", "two_batches.py", "two_batches", _two_batches),
    ("Rivals without a network", "rivals.py", "rivals", _rivals),
    ("A new batch on frozen weights", "new_batch.py", "new_batch", _new_batch),
    ("Made-up cells", "made_up_cells.py", "made_up_cells", _made_up_cells),
    ("How fast an epoch is", "train_speed.py", "train_speed", _train_speed),
    ("Evaluation against the number of cells", "evaluation_scale.py", "evaluation_scale", _evaluation_scale),
    ("Training from a file against the number of cells", "train_scale.py", "train_scale", _train_scale),
    ("On a GPU", "gpu_speed.py", "gpu_speed", _gpu),
    ("How long a class takes to grade", "grading_speed.py", "grading_speed", _grading),
)
PLOTS = (("evaluation_scale", "seconds", "what"), ("train_scale", "seconds_total", None))


if __name__ == "__main__":
    write_results()
