"""The metrics of an epoch, over the cells of all processes."""

from typing import TYPE_CHECKING

import numpy as np

from vae_course.runtime.diagnostics import ADVICE
from vae_course.runtime.processes import all_or_none, gather, mean_over_cells

if TYPE_CHECKING:
    from vae_course.trainer import Trainer


@all_or_none()
def record_metrics(trainer: "Trainer", sums: np.ndarray) -> None:
    """Add the metrics of an epoch to `trainer.history`, and let early stopping know.

    They are loss (what was minimised; of the train set only), elbo, reconstruction_error, kl_local and kl_global, nats
    per cell. Those of the train set are means over the minibatches as they were trained on, with dropout and changing
    weights; the other posteriors are evaluated after the epoch.

    Parameters
    ----------
    trainer
        Whose history it is.
    sums
        Of the train set during the epoch: the loss and the three parts of the negative ELBO, summed over cells, and
        the number of cells.

    Raises
    ------
    ValueError
        If a metric is not finite.
    """
    loss, *means = mean_over_cells(sums)
    trainer.history.setdefault("loss_train_set", []).append(loss)
    _record(trainer, "train_set", *means)
    for name, posterior in trainer.posteriors.items():
        if name != "train_set" and sum(gather(len(posterior))):
            terms = posterior.loss_terms() if len(posterior) else []
            totals = [term.double().sum().item() for term in terms] or [0.0] * 3
            _record(trainer, name, *mean_over_cells(np.array([*totals, len(posterior)])))
    if stopping := trainer.early_stopping:
        stopping.update(trainer.history[f"{stopping.metric}_{stopping.on}"][-1], trainer.model)


def _record(trainer: "Trainer", name: str, reconstruction: float, kl_local: float, kl_global: float) -> None:
    if not np.isfinite([reconstruction, kl_local, kl_global]).all():
        raise ValueError(f"The loss on the {name} is not finite after epoch {trainer.epoch}. {ADVICE}")
    elbo = -(reconstruction + kl_local + kl_global)
    metrics = {"elbo": elbo, "reconstruction_error": reconstruction, "kl_local": kl_local, "kl_global": kl_global}
    for metric, value in metrics.items():
        trainer.history.setdefault(f"{metric}_{name}", []).append(value)
