"""A walk in the latent plane of a learner's own model."""

from itertools import combinations

import numpy as np
import torch

from vae_course.binary_vae import BinaryVAE
from vae_course.data import CountData
from vae_course.explore.page import Explorable
from vae_course.explore.weights import encoded, twin

MOST_POINTS = 400  # of a walk: what keeps its page below 100 kB
N_GENES_SHOWN = 12
N_DIGIT_PIXELS = 64


def walk(model: BinaryVAE, data: CountData) -> Explorable:
    """Walk between two places in the latent plane of your own model, and see what its decoder makes (lesson 3.7).

    Parameters
    ----------
    model
        A trained `BinaryVAE` with two latents.
    data
        Binary data of as many genes or pixels. 64 columns are shown as digits, others as bars: the 12 genes whose
        probability of being detected varies most between the cells. 400 cells, drawn at random, are shown at most.

    Raises
    ------
    ValueError
        If the model is no BinaryVAE of two latents, or the data have other columns or counts above 1.
    """
    model = twin(model)
    if model.n_latent != 2 or not isinstance(model, BinaryVAE):
        has = f"{type(model).__name__} with {model.n_latent} latents"
        raise ValueError(f"A walk needs a BinaryVAE with 2 latents, got a {has}.")
    model.prepare(data)  # which checks the data
    data = data.subset(np.sort(np.random.default_rng(0).permutation(data.n_cells)[:MOST_POINTS]))
    with torch.no_grad():
        means = model.encode(torch.from_numpy(data.counts.toarray()).float())[0].double().numpy()  # (cells, 2)
    labels, weights, genes = data.labels.ravel(), _decoder(model), None
    start, end = _ends(means, labels)
    is_digits = data.n_genes == N_DIGIT_PIXELS
    if not is_digits:
        chosen = _varying_genes(model, means, start, end)
        genes = data.gene_names[chosen].tolist()
        weights |= {name: weights[name][chosen] for name in ("output_weight", "output_bias")}
    names, ends = data.label_names.tolist(), labels[[start, end]]
    alt = (
        f"Your latent plane with {data.n_cells} cells and a straight line between two of them, whose start is decoded. "
        f"Beside it is what the decoder makes there: {'images of 8 by 8 pixels' if is_digits else 'bars of 12 genes'}."
    )
    content = {
        "means": encoded(means),
        "labels": labels.tolist(),
        "label_names": names,
        "ends": [names[label] for label in ends] if ends[0] != ends[1] else [],
        "start": means[start].tolist(),
        "end": means[end].tolist(),
        "genes": genes,
        "weights": {name: encoded(values) for name, values in weights.items()},
    }
    return Explorable("walk", "A walk in your latent plane", alt, height=700, data=content)


@torch.no_grad()
def _decoder(model: BinaryVAE) -> dict[str, np.ndarray]:
    """Return the decoder's weights, float64, with the batch normalisation of eval mode worked into the hidden layer."""
    linear, norm = model.decoder.fc_layers[0][:2]
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)  # (n_hidden,)
    weights = {
        "hidden_weight": scale.unsqueeze(-1) * linear.weight,
        "hidden_bias": scale * (linear.bias - norm.running_mean) + norm.bias,
        "output_weight": model.logits_decoder.weight,
        "output_bias": model.logits_decoder.bias,
    }
    return {name: values.double().numpy() for name, values in weights.items()}


def _ends(means: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """Return two cells to walk between: the longest walk between labels that keep together, with a third one halfway.

    Each end is that cell of its label which has the most of the label among its nearest cells. Where fewer than two
    labels keep together, the two are the outermost cells along the first latent.
    """
    candidates = []
    for code in np.unique(labels):
        cells = np.flatnonzero(labels == code)
        own = (labels[_nearest(means[cells], means)] == code).mean(axis=1)
        if own.max() >= 0.6:
            candidates.append(int(cells[own.argmax()]))
    if len(candidates) < 2:
        return int(means[:, 0].argmin()), int(means[:, 0].argmax())
    pairs = np.array(list(combinations(candidates, 2)))
    halfway = labels[_nearest(means[pairs].mean(axis=1), means)]  # (pairs, neighbours)
    votes = np.stack([(halfway == code).sum(axis=1) for code in range(labels.max() + 1)], axis=1)  # (pairs, labels)
    np.put_along_axis(votes, labels[pairs], 0, axis=1)  # what an end is does not count as another
    lengths = np.linalg.norm(means[pairs[:, 0]] - means[pairs[:, 1]], axis=1)
    return tuple(pairs[np.lexsort((lengths, votes.max(axis=1) >= 10))[-1]].tolist())


def _nearest(places: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the positions of the 15 means that are nearest to each place, (places, 15)."""
    return np.argsort(np.linalg.norm(places[:, None] - means[None], axis=-1), axis=1, kind="stable")[:, :15]


@torch.no_grad()
def _varying_genes(model: BinaryVAE, means: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return the genes whose decoded probability varies most over the cells, in the order of what the walk takes."""
    probability = torch.sigmoid(model.decode(torch.from_numpy(means).float())).numpy()  # (cells, genes)
    chosen = np.argsort(-probability.var(axis=0), kind="stable")[:N_GENES_SHOWN]
    lost = probability[start, chosen] - probability[end, chosen]
    return chosen[np.argsort(-lost, kind="stable")]
