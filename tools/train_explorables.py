"""Make what two explorables show: OMP_NUM_THREADS=1 python tools/train_explorables.py [--only beta].

Trains models of the digits that differ in the weight beta of the KL alone, and models of `load_two_batches` that are
told the batch or not, at several strengths of the batch effect. Writes vae_course/explore/data/beta.json and
batches.json. Everything is seeded: the same versions of the libraries write the same files. It takes minutes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from train_explorer import BetaTrainer

import vae_course as vc
from vae_course import metrics
from vae_course.explore.weights import encoded
from vae_course.runtime.files import make_folder, write_atomically

FOLDER = Path(vc.__file__).parent / "explore" / "data"

BETAS = (0.01, 0.3, 1, 4, 32)  # 32 is the weight that lesson 3.9 finds hidden in a colleague's loss
N_DIGITS = 300

STRENGTHS = (0, 0.5, 1, 1.5)
N_CELLS = 300
N_LATENT = 10
GROUPS = ("T cell", "B cell", "NK cell", "Monocyte", "Dendritic cell", "Stem cell")
GROUP_OF = {"CD4+": 0, "CD8+": 0, "CD19+": 1, "CD56+": 2, "CD14+": 3, "Dendritic": 4, "CD34+": 5}  # by a label's start


def main() -> None:
    makers = {"beta": make_beta, "batches": make_batches}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=makers, help="make one of the two")
    only = parser.parse_args().only
    torch.set_num_threads(1)  # sums come out the same
    make_folder(FOLDER)
    for name in [only] if only else makers:
        text = json.dumps(makers[name](), separators=(",", ":")) + "\n"
        path = FOLDER / f"{name}.json"
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
        print(f"wrote {path.name}, {path.stat().st_size / 1000:.0f} kB")


# --------------------------------------------------------------------------------------------------------------------
# The weight of the KL
# --------------------------------------------------------------------------------------------------------------------


def make_beta() -> dict[str, Any]:
    data = vc.load_digits()
    shown = np.random.default_rng(0).choice(data.n_cells, N_DIGITS, replace=False)
    return {
        "x": encoded(np.packbits(data.counts[shown].toarray().astype(np.uint8))),  # 8 pixels a byte, a row of them
        "labels": "".join(str(label) for label in data.labels[shown].ravel()),
        "models": [{"beta": beta, "weights": weights_of(train_digits(data, beta))} for beta in BETAS],
    }


def train_digits(data: vc.CountData, beta: float) -> vc.BinaryVAE:
    model = vc.BinaryVAE(data.n_genes, n_latent=2, n_hidden=16)
    trainer = BetaTrainer(model, data, lr=5e-3, seed=0)
    trainer.beta = beta
    trainer.train(n_epochs=200)
    history = {name: round(values[-1], 2) for name, values in trainer.history.items() if name.endswith("test_set")}
    print(f"digits, beta = {beta}: {history}", flush=True)
    return model


def weights_of(model: vc.BinaryVAE) -> str:
    """Return all weights in PyTorch's order, one after the other, as 16-bit floats: half the size, same pictures."""
    weights = [w.numpy().ravel() for name, w in model.state_dict().items() if "num_batches_tracked" not in name]
    return encoded(np.concatenate(weights).astype("<f2"))


# --------------------------------------------------------------------------------------------------------------------
# The strength of a batch effect
# --------------------------------------------------------------------------------------------------------------------


def make_batches() -> dict[str, Any]:
    shown = np.sort(np.random.default_rng(0).choice(vc.load_pbmc().n_cells, N_CELLS, replace=False))
    maps: dict[str, np.ndarray] = {}  # the last of each kind, where the next one starts
    steps = []
    for strength in STRENGTHS:
        data = vc.load_two_batches(seed=0, strength=strength)
        spaces = {"pca": principal_components(data), "untold": latent_means(data, 0), "told": latent_means(data, 2)}
        maps = {name: map_of(space, maps.get(name)) for name, space in spaces.items()}
        steps.append(
            {
                "strength": strength,
                "scores": {name: scores(space, data) for name, space in spaces.items()},
                "maps": {name: quantised(places[shown]) for name, places in maps.items()},
            }
        )
        print(f"batches, strength {strength}: {steps[-1]['scores']}", flush=True)
    names = [str(name) for name in data.label_names[data.labels.ravel()[shown]]]
    groups = [next(code for start, code in GROUP_OF.items() if name.startswith(start)) for name in names]
    return {
        "batch": "".join(str(batch) for batch in data.batch_index.ravel()[shown]),
        "group": "".join(map(str, groups)),
        "group_names": GROUPS,
        "steps": steps,
    }


def principal_components(data: vc.CountData) -> np.ndarray:
    normalised = np.log1p(data.counts.multiply(1e4 / data.counts.sum(axis=1)).toarray())
    return PCA(N_LATENT, svd_solver="full").fit_transform(normalised)  # exact: the same neighbours on every processor


def latent_means(data: vc.CountData, n_batch: int) -> np.ndarray:
    """Train, told the batch or not, and return the latent means of all cells."""
    model = vc.FastVAE(data.n_genes, n_batch=n_batch, n_latent=N_LATENT, seed=0)
    vc.UnsupervisedTrainer(model, data, seed=0).train()
    return vc.Posterior(model, data).get_latent()[0]


def map_of(space: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Return t-SNE places of all cells, which start from the last map and are turned to fit it: cells can be followed.

    t-SNE knows no left or right, so a turn or a reflection changes nothing that it says.
    """
    start = "pca" if before is None else 1e-4 * before / before[:, 0].std()  # as small as scikit-learn makes its own
    places = TSNE(init=start, random_state=0).fit_transform(space)
    places -= places.mean(axis=0)
    return places if before is None else places @ orthogonal_procrustes(places, before)[0]


def scores(space: np.ndarray, data: vc.CountData) -> dict[str, float]:
    """Score a latent space of all cells, as benchmarks/two_batches.py does."""
    mixed = metrics.entropy_batch_mixing(space, data.batch_index) / metrics.entropy_from_indices(data.batch_index)
    return {"mixed": round(mixed, 7), "same": round(metrics.knn_purity(space, data.labels), 7)}


def quantised(places: np.ndarray) -> str:
    """Return places as 16-bit numbers, x and y of every cell, scaled so that the one farthest out is at the edge."""
    return encoded(np.round(places / np.abs(places).max() * 32767).astype("<i2"))


if __name__ == "__main__":
    main()
