"""Exercise 3.5: the training runs to diagnose."""

import torch

from vae_course.binary_vae import BinaryVAE
from vae_course.data import CountData
from vae_course.exercises.e3_5.answer import diagnose
from vae_course.runtime.seeds import seeded

CAUSES = (
    "nothing is wrong",
    "learning rate too high",
    "learning rate too low",
    "overfitting",
    "posterior collapse",
    "KL forgotten",
)

MADE_WITH = {  # training cells, cells in a minibatch, number of latents, learning rate, weight of the KL in the loss
    "nothing is wrong": (1400, 100, 2, 5e-3, 1.0),
    "learning rate too high": (1400, 100, 2, 0.1, 1.0),
    "learning rate too low": (1400, 100, 2, 1e-5, 1.0),
    "overfitting": (60, 10, 10, 2e-2, 1.0),
    "posterior collapse": (1400, 100, 2, 5e-3, 30.0),
    "KL forgotten": (1400, 100, 2, 5e-3, 0.0),
}

N_EPOCHS = 40


def mystery_runs(data: CountData) -> dict[str, dict[str, list[float]]]:
    """Train a small binary VAE once for every cause, and record what the curves show.

    Parameters
    ----------
    data
        Binary data of at least 1,700 cells: of 1,400 training and 300 held-out ones.

    Returns
    -------
    dict
        For each run, "A" to "F": "bce train", "kl train", "bce held out" and "kl held out", nats per cell of every
        epoch. The training cells count as they were trained on, the held-out ones in eval mode after the epoch.
    """
    return {letter: _run(data, *MADE_WITH[cause]) for letter, cause in diagnose().items()}


def _run(
    data: CountData, n_train: int, batch_size: int, n_latent: int, lr: float, kl_weight: float
) -> dict[str, list[float]]:
    x = torch.from_numpy(data.counts.toarray())
    history: dict[str, list[float]] = {name: [] for name in ("bce train", "kl train", "bce held out", "kl held out")}
    with seeded(0):
        order = torch.randperm(len(x))
        train, held_out = x[order[:n_train]], x[order[-300:]]
        model = BinaryVAE(data.n_genes, n_latent=n_latent, n_hidden=64)
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        for _ in range(N_EPOCHS):
            model.train()
            terms = []
            for minibatch in train[torch.randperm(n_train)].split(batch_size):
                _, bce, kl = model.loss(minibatch)
                optimizer.zero_grad()
                (bce + kl_weight * kl).backward()
                optimizer.step()
                terms.append((bce.item(), kl.item()))
            model.eval()
            with torch.no_grad():
                held_out_terms = [term.item() for term in model.loss(held_out)[1:]]
            values = [*torch.tensor(terms).mean(dim=0).tolist(), *held_out_terms]
            for name, value in zip(history, values, strict=True):
                history[name].append(value)
    return history
