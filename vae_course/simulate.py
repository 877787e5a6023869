"""Simulated cells with known truth."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from vae_course.data import CountData
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
