"""Small posteriors to ask, and what the memory of an answer is measured with; for several files of tests."""

import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

import vae_course as vc

N_CELLS, N_GENES, N_LATENT = 150, 30, 4
SUBSET = np.random.default_rng(0).permutation(N_CELLS)[:90]
STATES = np.arange(len(SUBSET)) % 2 == 0

MANY_CELLS, MANY_GENES = 3000, 400
TABLE = MANY_CELLS * MANY_GENES * 4  # bytes


def simulated(**options: Any) -> vc.CountData:
    defaults = {"n_cells": N_CELLS, "n_genes": N_GENES, "n_labels": 3, "n_batches": 2, "seed": 0}
    return vc.simulate_counts(**{**defaults, **options})


def trained_vae(data: vc.CountData, n_epochs: int = 30, **options: Any) -> vc.VAE:
    model = vc.VAE(data.n_genes, data.n_batches, data.n_labels, n_hidden=24, n_latent=N_LATENT, **options)
    vc.UnsupervisedTrainer(model, data, batch_size=32, lr=0.01, n_epochs_kl_warmup=0).train(n_epochs)
    return model


def some_cells(model: vc.VAE, data: vc.CountData) -> vc.Posterior:
    """Some cells in no order, in minibatches that do not divide them."""
    return vc.Posterior(model, data, SUBSET, batch_size=32)


def many_sparse_cells() -> vc.Posterior:
    """Many cells of which 95 % are zeros, in small minibatches."""
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.05, size=(MANY_CELLS, MANY_GENES))
    counts[:, 0] = 1
    data = vc.CountData(counts, np.arange(MANY_CELLS) % 2, np.arange(MANY_CELLS) % 3)
    return vc.Posterior(vc.VAE(MANY_GENES, 2, n_hidden=4, n_latent=2), data, batch_size=50)


class Decoded:
    """Counts the cells whose decoded shares are in memory at the same time."""

    def __init__(self, model: vc.VAE) -> None:
        self.shares: list[weakref.ref] = []
        self.most = 0
        model.decoder.register_forward_hook(self)

    def __call__(self, decoder, arguments, results):
        self.shares = [share for share in self.shares if share() is not None] + [weakref.ref(results[0])]
        self.most = max(self.most, sum(len(share()) for share in self.shares))


def peak_of_arrays(question: Callable[[], Any]) -> int:
    """Most bytes that Python and NumPy, which tells tracemalloc of its arrays, take while the question is answered."""
    tracemalloc.start()
    try:
        question()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
