"""Simulated cells with known truth, and real cells with a simulated batch effect."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from vae_course.data import CountData, load_pbmc
from vae_course.distributions import sample_nb, sample_zinb
from vae_course.runtime.seeds import seeded


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
    donor
        Donor of each cell, (cells,), or None without donors.
    donor_effect
        Log fold change that a donor puts on each gene, (donors, genes), or None without donors.
    """

    latent: np.ndarray
    library: np.ndarray
    scale: np.ndarray
    theta: np.ndarray
    dropout: np.ndarray
    batch_effect: np.ndarray
    lfc: np.ndarray
    de_genes: np.ndarray
    donor: np.ndarray | None = None
    donor_effect: np.ndarray | None = None

    def subset(self, indices: np.ndarray) -> "SimulationTruth":
        """Return the truth of some cells."""
        per_cell = {name: getattr(self, name) for name in ("latent", "library", "scale", "donor")}
        return replace(self, **{name: values[indices] for name, values in per_cell.items() if values is not None})


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
    n_donors: int = 0,
    sd_donor_effect: float = 0.4,
    label_by_donor: bool = False,
) -> CountData:
    """Simulate cells from the model that scVI assumes, and keep what generated them in `.truth`.

    A cell of label k in batch b lies at z ~ N(0, I) in the latent space. Its genes' shares are the softmax of
    baseline + z W + ln(2) lfc_k + batch_effect_b; its log-library is Gaussian and independent of all else; counts
    are ZINB(library * share, theta, dropout). Batches are of equal expected size, labels too. With donors, a cell's
    genes also get the log fold changes of its donor, so that cells of one donor resemble each other.

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
    n_donors
        Number of donors, equally large to within a cell and in every batch; 0 for none.
    sd_donor_effect
        Standard deviation of a donor's log fold changes. 0.4 is typical of human samples (edgeR User's Guide, "What
        to do if you have no replicates", biological coefficient of variation).
    label_by_donor
        Whether all cells of a donor have one label, that of donor d being d modulo n_labels. Labels are then
        conditions: `n_donors=6, n_labels=2` compares three donors with three.

    Returns
    -------
    CountData
        With `.truth`, a `SimulationTruth`.

    Raises
    ------
    ValueError
        For sizes below 1, for shares and probabilities outside 0..1, for more donors than cells, for fewer donors than
        labels that go by donor, if so few counts are asked for that cells are empty.
    """
    if min(n_cells, n_genes, n_labels, n_batches, n_latent) < 1:
        raise ValueError("n_cells, n_genes, n_labels, n_batches and n_latent have to be at least 1 each.")
    if not (0 <= share_de <= 1 and 0 <= mean_dropout < 1):
        raise ValueError(f"Expected share_de in 0..1 and mean_dropout in 0..1, got {share_de} and {mean_dropout}.")
    _check_donors(n_donors, sd_donor_effect, label_by_donor, n_cells, n_labels)
    rng = np.random.default_rng(seed)
    labels, batch_index = rng.integers(n_labels, size=n_cells), rng.integers(n_batches, size=n_cells)
    latent = rng.normal(size=(n_cells, n_latent))
    loadings = rng.normal(scale=0.3, size=(n_latent, n_genes))
    de_genes = rng.random((n_labels, n_genes)) < share_de
    lfc = np.where(de_genes, rng.normal(scale=sd_lfc, size=de_genes.shape), 0.0)
    batch_effect = rng.normal(scale=sd_batch_effect, size=(n_batches, n_genes))
    batch_effect[0] = 0.0
    logits = rng.normal(size=n_genes) + latent @ loadings
    library = rng.normal(np.log(mean_library), sd_log_library, size=n_cells)
    theta = rng.gamma(4.0, 0.5, size=n_genes) + 0.1
    dropout = rng.beta(10 * mean_dropout, 10 * (1 - mean_dropout), n_genes) if mean_dropout > 0 else np.zeros(n_genes)
    donor = donor_effect = None
    if n_donors:  # drawn last, so that all else is as without donors
        donor = rng.permutation(np.arange(n_cells) % n_donors)
        donor_effect = rng.normal(scale=sd_donor_effect, size=(n_donors, n_genes))
        labels = donor % n_labels if label_by_donor else labels
    logits = logits + np.log(2) * lfc[labels] + batch_effect[batch_index]
    logits = logits if donor is None else logits + donor_effect[donor]
    truth = SimulationTruth(
        latent=latent,
        library=library,
        scale=torch.softmax(torch.from_numpy(logits), dim=-1).numpy(),
        theta=theta,
        dropout=dropout,
        batch_effect=batch_effect,
        lfc=lfc,
        de_genes=de_genes,
        donor=donor,
        donor_effect=donor_effect,
    )
    mu = torch.from_numpy(np.exp(truth.library)[:, None] * truth.scale)
    theta, dropout = torch.from_numpy(truth.theta), torch.from_numpy(truth.dropout)
    with seeded(seed):
        counts = sample_zinb(mu, theta, torch.logit(dropout)) if mean_dropout > 0 else sample_nb(mu, theta)
    data = CountData(counts, batch_index, labels, batch_names=range(n_batches), label_names=range(n_labels))
    data.truth = truth
    return data


def _check_donors(n_donors: int, sd_donor_effect: float, label_by_donor: bool, n_cells: int, n_labels: int) -> None:
    """Raise ValueError for donors that cannot be simulated."""
    if not 0 <= n_donors <= n_cells:
        raise ValueError(f"Expected n_donors from 0 (none) to n_cells, here {n_cells}, got {n_donors}.")
    if not 0 <= sd_donor_effect < np.inf:
        raise ValueError(f"Expected an sd_donor_effect of at least 0, got {sd_donor_effect}.")
    if label_by_donor and n_donors < n_labels:
        raise ValueError(
            f"label_by_donor needs a donor for each of the {n_labels} labels, got n_donors={n_donors}: ask for more."
        )


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


@dataclass(frozen=True)
class BatchEffectTruth:
    """What was done to the second batch of `load_two_batches`.

    Attributes
    ----------
    efficiency
        Capture efficiency of each gene, (genes,), between 0 and 1.
    depth
        Share of the captured molecules that were counted. A molecule was kept with probability efficiency * depth.
    ambient
        Expected share of ambient counts in a cell's total.
    untouched
        Counts of all cells before the batch effect, CSR, (cells, genes).
    """

    efficiency: np.ndarray
    depth: float
    ambient: float
    untouched: sp.csr_matrix

    def subset(self, indices: np.ndarray) -> "BatchEffectTruth":
        """Return the truth of some cells."""
        return replace(self, untouched=self.untouched[indices])


def load_two_batches(seed: int = 0, strength: float = 1.0) -> CountData:
    """Load the real cells of `load_pbmc`, half of them passed through a simulated batch effect: SEMI-SYNTHETIC data.

    The cells, their order and their labels are real, the second batch is not. Half of the cells of each label, drawn at
    random and one fewer if their number is odd, go through three steps that change no cell's type. Capture: a molecule
    of gene g is kept with probability efficiency_g, drawn from Beta(1 / strength, 1), whose mean is
    1 / (1 + strength). Depth: of these a share of 0.9^strength is kept. Ambient molecules: Poisson counts with the mean
    profile of all untouched cells, which are expected to be 0.05 * strength of a cell's total. Differences between real
    laboratories also depend on the cell type and hit some cells harder than others; this effect is the same for all
    cells, and therefore easier to remove.

    Parameters
    ----------
    seed
        Same seed, same cells. The choice of the cells and the order of the genes' efficiencies do not depend on
        `strength`.
    strength
        Strength of the batch effect, from 0 (none: the counts are those of `load_pbmc`) to 3.

    Returns
    -------
    CountData
        700 cells x 765 genes, batch 0 "as measured", batch 1 "passed through a batch effect", with `.truth`, a
        `BatchEffectTruth`.

    Raises
    ------
    ValueError
        For a strength outside 0..3.
    """
    if not 0 <= strength <= 3:
        raise ValueError(f"strength of the batch effect: expected 0 (none) to 3, got {strength!r}.")
    real = load_pbmc()
    rng = np.random.default_rng(seed)
    batch_index = np.zeros(real.n_cells, dtype=np.int64)
    for label in range(real.n_labels):
        cells = rng.permutation(np.flatnonzero(real.labels == label))
        batch_index[cells[: len(cells) // 2]] = 1
    efficiency = rng.random(real.n_genes) ** strength  # a power of a uniform number is Beta(1 / strength, 1)
    truth = BatchEffectTruth(efficiency, 0.9**strength, 0.05 * strength, real.counts)
    counts = real.counts.toarray()
    hit = batch_index == 1
    counts[hit] = _with_batch_effect(counts[hit], counts.mean(axis=0), truth, rng)
    names = ["as measured", "passed through a batch effect"]
    data = CountData(counts, batch_index, real.labels, real.gene_names, names, real.label_names)
    data.truth = truth
    return data


def _with_batch_effect(
    counts: np.ndarray, profile: np.ndarray, truth: BatchEffectTruth, rng: np.random.Generator
) -> np.ndarray:
    """Return counts of the molecules that are kept, and of ambient ones that are distributed as `profile`."""
    kept = rng.binomial(counts.astype(np.int64), truth.efficiency * truth.depth)
    n_ambient = kept.sum(axis=1, keepdims=True) * truth.ambient / (1 - truth.ambient)  # expected, (cells, 1)
    return kept + rng.poisson(n_ambient * profile / profile.sum())
