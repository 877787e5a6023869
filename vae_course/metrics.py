"""Scores of a latent space and of a comparison between groups: arrays in, numbers out.

Arrays may be NumPy arrays or PyTorch tensors. A latent space is (cells, n_latent); codes are (cells,) or (cells, 1).
"""

from typing import Any

import numpy as np
import torch
from scipy.special import entr, softmax
from torch import Tensor


def entropy_from_indices(indices: Any) -> float:
    """Entropy, in nats, of the shares of the distinct values among `indices`."""
    _, counts = np.unique(np.asarray(indices), return_counts=True)
    return float(entr(counts / counts.sum()).sum())


def entropy_batch_mixing(latent: Any, batch_index: Any, n_neighbors: int = 50) -> float:
    """How well batches mix: the entropy of the batches among each cell's neighbours.

    For every cell, the shares of the batches among its nearest other cells (Euclidean; the cell itself is left out by
    its position, so duplicates do no harm) have an entropy; the mean over cells is returned. 0 means that batches lie
    apart; the entropy of the batches' overall shares is about the most that one can get.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    batch_index
        Batch of each cell; any number of batches, any codes.
    n_neighbors
        Neighbours of a cell, fewer than there are cells.

    Returns
    -------
    float
        Nats. Divided by `entropy_from_indices(batch_index)` it is a share of what can be had.

    Raises
    ------
    ValueError
        If there are not enough cells, or lengths differ.
    """
    latent, batch_index = matched(latent, batch_index)
    batches, codes = np.unique(batch_index, return_inverse=True)
    of_neighbours = codes[nearest_other_cells(latent, n_neighbors)]  # (cells, n_neighbors)
    shares = ((of_neighbours == b).mean(axis=1) for b in range(len(batches)))  # (cells,) each
    return float(sum(entr(share) for share in shares).mean())


def ilisi(latent: Any, batch_index: Any, n_neighbors: int = 90) -> float:
    """How well batches mix: the local inverse Simpson index of the batches, scaled to 0..1; higher is better.

    Korsunsky et al. (2019), Methods, "LISI metric": how many batches a cell's neighbourhood effectively holds. As in
    Luecken et al. (2022) and scib-metrics it is (median over cells - 1) / (batches - 1). Like every score of mixing it
    falls where cell types are in one batch only, and knows nothing of cell types that were merged.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    batch_index
        Batch of each cell; at least two different ones.
    n_neighbors
        Size of a neighbourhood, from 6 to the number of cells. It counts the cell itself, which is then left out, as
        Harmony and scib-metrics do; a third of it is the perplexity, that is the effective number of neighbours.

    Returns
    -------
    float
        0: every neighbourhood is of one batch; 1: all batches have the same weight in them.

    Raises
    ------
    ValueError
        For a single batch, an impossible number of neighbours, or lengths that differ.
    """
    latent, codes = matched(latent, batch_index)
    n_batches = number_of_groups(codes, "batches")
    return float((np.median(lisi(latent, codes, n_neighbors)) - 1) / (n_batches - 1))


def clisi(latent: Any, labels: Any, n_neighbors: int = 90) -> float:
    """How well cell types stay apart: the local inverse Simpson index of the labels, scaled to 0..1; higher is better.

    As `ilisi`, of labels and the other way round: (labels - median over cells) / (labels - 1). With many labels it is
    near 1 for almost any latent space, so that small differences count.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    labels
        Label of each cell; at least two different ones.
    n_neighbors
        Size of a neighbourhood, the cell itself included.

    Returns
    -------
    float
        1: every neighbourhood is of one label; 0: all labels have the same weight in them.

    Raises
    ------
    ValueError
        For a single label, an impossible number of neighbours, or lengths that differ.
    """
    latent, codes = matched(latent, labels)
    n_labels = number_of_groups(codes, "labels")
    return float((n_labels - np.median(lisi(latent, codes, n_neighbors))) / (n_labels - 1))


def lisi(latent: np.ndarray, codes: np.ndarray, n_neighbors: int = 90) -> np.ndarray:
    """Local inverse Simpson index of every cell: effective number of codes among its neighbours, (cells,)."""
    if not 6 <= n_neighbors <= len(latent):
        raise ValueError(
            f"n_neighbors counts the cell itself and has to be from 6 (a perplexity of 2) to {len(latent)} for "
            f"{len(latent)} cells, got {n_neighbors}."
        )
    neighbours = nearest_other_cells(latent, n_neighbors - 1)  # (cells, n_neighbors - 1)
    distances = np.empty(neighbours.shape)
    for k, others in enumerate(neighbours.T):
        distances[:, k] = np.linalg.norm(latent - latent[others], axis=1)
    weights = perplexity_weights(distances, n_neighbors // 3)
    groups = np.unique(codes)
    return 1 / sum((weights * (codes[neighbours] == group)).sum(axis=1) ** 2 for group in groups)


def perplexity_weights(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """Weights exp(-beta distance) of each cell's neighbours that sum to 1, (cells, neighbours).

    Bisection finds each cell's beta, the one for which the weights have the entropy log(perplexity) (van der Maaten and
    Hinton 2008, section 2, with distances that are not squared).
    """
    beta = np.ones(len(distances))
    lowest, highest = np.zeros(len(distances)), np.full(len(distances), np.inf)
    for _ in range(50):
        entropy = entr(softmax(-beta[:, None] * distances, axis=1)).sum(axis=1)
        too_flat = entropy > np.log(perplexity)
        lowest, highest = np.where(too_flat, beta, lowest), np.where(too_flat, highest, beta)
        beta = np.where(np.isinf(highest), 2 * beta, (lowest + highest) / 2)
    return softmax(-beta[:, None] * distances, axis=1)


def silhouette_label(latent: Any, labels: Any) -> float:
    """How well cell types stay apart: (average silhouette width of the labels + 1) / 2; higher is better.

    Luecken et al. (2022), Methods, "cell type ASW", as scib-metrics computes it. Rautenstrauch and Ohler (2025),
    "Shortcomings of silhouette in single-cell integration benchmarking", Nature Biotechnology,
    doi:10.1038/s41587-025-02743-4, show that it is unreliable here: it favours compact, spherical groups (figure 1b),
    and groups that come from labels, not from a clustering, may have any shape (figure 1c). Do not report it alone.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    labels
        Label of each cell; at least two different ones, and fewer than cells.

    Returns
    -------
    float
        Between 0 and 1; 0.5 where labels overlap.

    Raises
    ------
    ValueError
        For a single label, for labels that are all different, or lengths that differ.
    """
    return float((label_silhouettes(*matched(latent, labels)).mean() + 1) / 2)


def silhouette_batch(latent: Any, batch_index: Any, labels: Any) -> float:
    """How well batches mix within cell types: 1 - |silhouette of the batches|; higher is better.

    Luecken et al. (2022), Methods, "batch ASW", as scib-metrics computes it: averaged over the cells of a label, then
    over labels. Labels whose cells are all of one batch, or each of another one, are left out. Rautenstrauch and Ohler
    (2025, as in `silhouette_label`) show that it cannot be relied upon: the silhouette looks only at the nearest other
    batch, and so misses a batch effect if each batch overlaps with one other (figure 1d). Trust `ilisi` and
    `entropy_batch_mixing` where they disagree.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    batch_index, labels
        Batch and label of each cell.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If no label has cells of several batches, or lengths differ.
    """
    from sklearn.metrics import silhouette_samples

    latent, codes = matched(latent, batch_index)
    _, labels = matched(latent, labels)
    of_labels = []
    for label in np.unique(labels):
        cells = labels == label
        if 1 < len(np.unique(codes[cells])) < cells.sum():
            of_labels.append(1 - np.abs(silhouette_samples(latent[cells], codes[cells])).mean())
    if not of_labels:
        raise ValueError("Mixing within labels needs a label with cells of several batches: there is none.")
    return float(np.mean(of_labels))


def isolated_labels(latent: Any, labels: Any, batch_index: Any) -> float:
    """How well the cell types that are in the fewest batches stay apart; higher is better.

    Luecken et al. (2022), Methods, "Isolated label scores", by silhouette, as scib-metrics computes it: the scaled
    silhouette of `silhouette_label`, averaged over the cells of each such label, then over these labels. With every
    label in every batch these are all labels. The caveats of `silhouette_label` hold.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    labels, batch_index
        Label and batch of each cell; at least two different labels, and fewer than cells.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        For a single label, for labels that are all different, or lengths that differ.
    """
    latent, labels = matched(latent, labels)
    _, codes = matched(latent, batch_index)
    scaled = (label_silhouettes(latent, labels) + 1) / 2  # (cells,)
    n_batches = {label: len(np.unique(codes[labels == label])) for label in np.unique(labels)}
    fewest = min(n_batches.values())
    return float(np.mean([scaled[labels == label].mean() for label, n in n_batches.items() if n == fewest]))


def label_silhouettes(latent: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Silhouette of every cell in its label, (cells,); raise ValueError for one label, or one label per cell."""
    from sklearn.metrics import silhouette_samples

    if number_of_groups(labels, "labels") == len(labels):
        raise ValueError(f"A silhouette needs labels that cells share: all {len(labels)} cells have different ones.")
    return silhouette_samples(latent, labels)


def number_of_groups(codes: np.ndarray, what: str) -> int:
    """Return the number of distinct codes; raise ValueError if there are not two."""
    n_groups = len(np.unique(codes))
    if n_groups < 2:
        raise ValueError(f"This score compares cells of at least two {what}, got {n_groups}: give the data {what}.")
    return n_groups


def knn_purity(latent: Any, labels: Any, n_neighbors: int = 30) -> float:
    """Share of a cell's nearest other cells that have its label, averaged within each label, then over labels.

    Raises
    ------
    ValueError
        If there are not enough cells, or lengths differ.
    """
    latent, labels = matched(latent, labels)
    same = (labels[nearest_other_cells(latent, n_neighbors)] == labels[:, None]).mean(axis=1)  # (cells,)
    return float(np.mean([same[labels == label].mean() for label in np.unique(labels)]))


def nn_overlap(first: Any, second: Any, n_neighbors: int = 100) -> tuple[float, float]:
    """Compare the neighbours that cells have in two representations.

    Parameters
    ----------
    first, second
        Two representations, (cells, any number of columns) each.
    n_neighbors
        Neighbours of a cell.

    Returns
    -------
    correlation
        Spearman's correlation of the entries of the two neighbour matrices. These are 0 or 1, so it follows from the
        number of shared neighbours.
    fold
        Number of shared neighbour pairs over that expected of independent representations,
        |A and B| cells^2 / (|A| |B|).

    Raises
    ------
    ValueError
        If there are not enough cells, or the numbers of cells differ.
    """
    first, second = np.asarray(first), np.asarray(second)
    if len(first) != len(second):
        raise ValueError(f"Both representations need the same cells, got {len(first)} and {len(second)}.")
    n_cells = len(first)
    neighbours = zip(nearest_other_cells(first, n_neighbors), nearest_other_cells(second, n_neighbors), strict=True)
    shared = sum(len(np.intersect1d(a, b, assume_unique=True)) for a, b in neighbours) / n_cells**2
    density = n_neighbors / n_cells
    return (shared - density**2) / (density - density**2), shared / density**2


def unsupervised_clustering_accuracy(labels: Any, clusters: Any) -> float:
    """Share of cells whose cluster is matched to their label, for the best one-to-one matching of clusters to labels.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    if np.size(labels) != np.size(clusters):
        raise ValueError(f"Expected one cluster per label: {np.size(labels)} labels, got {np.size(clusters)} clusters.")
    table = contingency_matrix(np.ravel(labels), np.ravel(clusters))  # (labels, clusters)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def clustering_scores(latent: Any, labels: Any, method: str = "kmeans", seed: int = 0) -> dict[str, float]:
    """Cluster the cells into as many clusters as there are labels, and compare with the labels.

    Parameters
    ----------
    latent
        Positions of the cells, (cells, n_latent).
    labels
        Label of each cell; at least two different ones.
    method
        "kmeans" (which scVI 0.3.0 calls "knn") or "gmm", a Gaussian mixture with full covariances.
    seed
        Seed of the clustering.

    Returns
    -------
    dict
        asw: average silhouette width of the labels (not of the clusters); nmi: normalised mutual information with
        the arithmetic mean, scikit-learn's default, and nmi_geometric with the geometric one, as published for scVI;
        ari: adjusted Rand index; uca: unsupervised clustering accuracy.

    Raises
    ------
    ValueError
        For an unknown method, a single label, or lengths that differ.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
    from sklearn.mixture import GaussianMixture

    latent, labels = matched(latent, labels)
    n_clusters = len(np.unique(labels))
    if n_clusters < 2:
        raise ValueError(
            "Clustering scores compare with labels, and all cells have the same one: give the data labels."
        )
    if method == "kmeans":
        clusters = KMeans(n_clusters, n_init=50, random_state=seed).fit_predict(latent)
    elif method == "gmm":
        clusters = GaussianMixture(n_clusters, n_init=5, random_state=seed).fit_predict(latent)
    else:
        raise ValueError(f"method has to be 'kmeans' or 'gmm', got {method!r}.")
    return {
        "asw": float(silhouette_score(latent, labels)),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "nmi_geometric": float(normalized_mutual_info_score(labels, clusters, average_method="geometric")),
        "ari": float(adjusted_rand_score(labels, clusters)),
        "uca": unsupervised_clustering_accuracy(labels, clusters),
    }


def bayes_factor(scale_1: Tensor, scale_2: Tensor, eps: float = 1e-8) -> Tensor:
    """Log-odds that a gene is expressed more in group 1 than in group 2.

    Lopez et al. (2018), Methods, "Differential expression", with the probability that scale_1 is larger estimated draw
    by draw; a tie counts half.

    Parameters
    ----------
    scale_1, scale_2
        Draws of the genes' shares in the two groups, (S, ...); row s is compared with row s.
    eps
        Added to both probabilities, to keep the result finite: where group 1 always wins it is 18.4207.

    Returns
    -------
    Tensor
        (...), float64; above 0 where group 1 is higher. Large values mean certainty, not a large effect.
    """
    p = probability_greater(scale_1, scale_2)
    return torch.log(p + eps) - torch.log(1 - p + eps)


def probability_greater(scale_1: Tensor, scale_2: Tensor) -> Tensor:
    """P(scale_1 > scale_2) over the first axis, draw by draw, a tie counting half: (S, ...) -> (...), float64."""
    wins = (scale_1 > scale_2).double().mean(dim=0)
    ties = (scale_1 == scale_2).double().mean(dim=0)
    return wins + ties / 2


def log_odds(p: Tensor, eps: float = 1e-8) -> Tensor:
    """Log-odds of a probability, elementwise; `eps` is added to p and to 1 - p, which keeps the result finite."""
    return torch.log(p + eps) - torch.log(1 - p + eps)


def posterior_fdr(prob_de: Tensor) -> Tensor:
    """Share of false genes to expect among those called, when every gene at least as probable is called.

    A called gene is false with probability 1 - prob_de, so the expected share is the mean of that over the called
    genes; genes that are equally probable are called together (Newton et al., 2004; for single cells Boyeau et
    al., 2019). It is as good as the probabilities.

    Parameters
    ----------
    prob_de
        Posterior probability that each gene is differential, (genes,).

    Returns
    -------
    Tensor
        (genes,), float64, in the order of the input. Calling all genes with at most 0.05 holds the expected share of
        false ones at 5 %.

    Raises
    ------
    ValueError
        If `prob_de` is not one probability per gene.
    """
    prob_de = torch.as_tensor(prob_de if isinstance(prob_de, Tensor) else np.asarray(prob_de)).double()
    if prob_de.ndim != 1 or not ((prob_de >= 0) & (prob_de <= 1)).all():
        raise ValueError(f"prob_de has to hold a probability from 0 to 1 for each gene, got {prob_de!r}.")
    probable, rank, n_genes = prob_de.unique(return_inverse=True, return_counts=True)  # least probable first
    false, called = ((1 - probable) * n_genes).flip(0).cumsum(0), n_genes.flip(0).cumsum(0)
    return (false / called).flip(0)[rank]


def matched(latent: Any, codes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays, the codes flat; raise ValueError unless there is one code per cell."""
    latent, codes = np.asarray(latent), np.ravel(codes)
    if len(latent) != len(codes):
        raise ValueError(f"Expected one code per cell: {len(latent)} cells, got {len(codes)} codes.")
    return latent, codes


def nearest_other_cells(latent: np.ndarray, n_neighbors: int, of: np.ndarray | None = None) -> np.ndarray:
    """Positions of the nearest other cells of each cell, or of the cells at the positions `of`, (cells, n_neighbors).

    The search is exact: with scikit-learn's tree up to 15 columns, beyond that over all pairs, some rows at a time.
    Memory grows linearly with the number of cells. Time grows about linearly in two dimensions, nearly quadratically in
    ten, and at most linearly for a fixed number of cells in `of`.
    """
    from sklearn.neighbors import NearestNeighbors

    if not 1 <= n_neighbors < len(latent):
        raise ValueError(
            f"n_neighbors has to be from 1 to {len(latent) - 1} for {len(latent)} cells, got {n_neighbors}."
        )
    search = NearestNeighbors(n_neighbors=n_neighbors).fit(latent)
    if of is None:
        return search.kneighbors(return_distance=False)
    nearest = search.kneighbors(latent[of], n_neighbors + 1, return_distance=False)
    itself = nearest == of[:, None]
    itself[~itself.any(axis=1), -1] = True  # not found among other cells at the same place
    return nearest[~itself].reshape(len(of), n_neighbors)
