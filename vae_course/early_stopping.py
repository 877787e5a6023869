"""When to stop training, and which weights to keep."""

from copy import deepcopy
from typing import Self

import torch
from torch import Tensor

from vae_course.model import plain_number

HIGHER_IS_BETTER = {"elbo": True, "reconstruction_error": False, "kl_local": False, "kl_global": False}


def epochs_for(n_cells: int) -> int:
    """Return how many epochs suit a number of training cells: 100, fewer from 10,000 cells on, but at least 20.

    A compromise: more epochs raise the held-out likelihood a little further, and clusters of the latents then agree
    less with cell types. For some hundreds of cells a smaller learning rate can do better (`benchmarks/RESULTS.md`).
    """
    return min(100, max(20, round(1_000_000 / n_cells)))


class EarlyStopping:
    """Stop when a metric has not improved for a while, and keep the weights of its best value.

    Small gains count once they add up: the metric is compared with its value at the last improvement, not with the
    one before. The first trainer that is given an object works with it, others with a copy of its settings:
    `trainer.early_stopping`.

    Parameters
    ----------
    metric
        "elbo", "reconstruction_error", "kl_local" or "kl_global".
    on
        The posterior it is measured on, "test_set" or "train_set".
    patience
        Evaluations without improvement after which training stops.
    threshold
        Smallest change, in nats per cell, that counts as an improvement.

    Attributes
    ----------
    best_value, best_weights
        The best value so far and a copy of the weights that gave it.
    """

    def __init__(self, metric: str = "elbo", on: str = "test_set", patience: int = 15, threshold: float = 3.0) -> None:
        if metric not in HIGHER_IS_BETTER:
            raise ValueError(f"metric has to be one of {', '.join(map(repr, HIGHER_IS_BETTER))}, got {metric!r}.")
        if on not in ("train_set", "test_set"):
            raise ValueError(f"on has to be 'train_set' or 'test_set', got {on!r}.")
        if patience < 1 or threshold < 0:
            raise ValueError(f"Expected patience >= 1 and threshold >= 0, got {patience} and {threshold}.")
        self.metric, self.on = metric, on
        self.patience, self.threshold = plain_number(patience), plain_number(threshold)
        self.best_value: float | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.reference: float | None = None
        self.waited = 0
        self.is_taken = False

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def settings(self) -> tuple[str, str, int, float]:
        """Return metric, posterior, patience and threshold."""
        return self.metric, self.on, self.patience, self.threshold

    def for_trainer(self) -> Self:
        """Return this object to the first trainer, a fresh one of the same settings to every other."""
        if self.is_taken:
            return type(self)(*self.settings()).for_trainer()
        self.is_taken = True
        return self

    def check(self, n_cells: int) -> None:
        """Raise ValueError if the posterior that is watched has no cells."""
        if not n_cells:
            raise ValueError("Early stopping on the test set needs test cells: choose train_size below 1.")

    def update(self, value: float, model: torch.nn.Module) -> bool:
        """Take note of a new evaluation; return whether to stop."""
        sign = 1 if HIGHER_IS_BETTER[self.metric] else -1
        if self.best_value is None or sign * (value - self.best_value) > 0:
            self.best_value, self.best_weights = value, deepcopy(model.state_dict())
        if self.reference is None or sign * (value - self.reference) > self.threshold:
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        return self.stopped
