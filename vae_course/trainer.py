"""Training: the loop, KL warm-up, early stopping. What else a long run needs is in `runtime/`."""

import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.data import CountData
from vae_course.early_stopping import EarlyStopping, epochs_for
from vae_course.model import LossTerms, check_option, plain_number, prepare
from vae_course.names import matched
from vae_course.posterior import finish_averages, split_posteriors
from vae_course.runtime import processes
from vae_course.runtime.checkpoints import Checkpoint
from vae_course.runtime.devices import resolve_device
from vae_course.runtime.diagnostics import check_parameters, explain_nonfinite
from vae_course.runtime.history import record_metrics
from vae_course.runtime.progress import progress_bar
from vae_course.runtime.seeds import get_rng_state, initial_rng_state
from vae_course.vae import VAE


class Trainer:
    """The training loop for any model; a subclass fills `posteriors` and says what the loss is.

    Parameters
    ----------
    model
        Module with `loss_terms(x, batch_index, y)`; `vae_course/model.py` says what more it may have.
    data
        The cells. With several processes (`runtime/processes.py`), each passes its own share.
    batch_size, lr, eps, weight_decay
        Cells in a minibatch; settings of the Adam optimizer.
    lr_schedule
        "cosine": the learning rate falls from `lr` towards 0 in the epochs of a call of `train`; "constant": it stays.
    early_stopping
        When to stop before the end, with the best weights; None for never.
    seed
        Seed of the split into training and test cells, the order of the cells, dropout and the draws.
    device
        Where to train: "auto" (a GPU, if there is one), "cpu", "cuda". After training the model is back where it was.

    Attributes
    ----------
    posteriors
        The sets of cells by name. Training goes through "train_set".
    history
        Lists by `<metric>_<posterior>`, such as "elbo_test_set", a value per epoch (`runtime/history.py`).
    epoch, epoch_seconds
        Epochs done so far, and how long each took without its evaluation.
    """

    def __init__(
        self,
        model: nn.Module,
        data: CountData,
        batch_size: int = 128,
        lr: float = 4e-3,
        eps: float = 0.01,
        weight_decay: float = 1e-6,
        lr_schedule: str = "cosine",
        early_stopping: EarlyStopping | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size has to be at least 2, for batch normalisation, got {batch_size}.")
        check_option("lr_schedule", lr_schedule, ("cosine", "constant"))
        self.model, self.data, self.n_processes = model, matched(data, model), processes.n_processes()
        self.device, self.lr_schedule = resolve_device(device), lr_schedule
        self.batch_size, self.lr, self.seed, eps, decay = map(plain_number, (batch_size, lr, seed, eps, weight_decay))
        self.early_stopping = early_stopping and early_stopping.for_trainer()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=self.lr, eps=eps, weight_decay=decay, fused=True)
        self.history, self.posteriors, self.epoch, self.epoch_seconds = {}, {}, 0, []
        self.first_call, self.starts = 0, []  # epochs of the first call of train(), starts of all checkpointed ones
        self._progress_bar = progress_bar(desc="training", unit="cells", unit_scale=True)
        self.rng_state = initial_rng_state(processes.seed_of_rank(self.seed), self.device)

    def loss(self, terms: LossTerms) -> Tensor:
        """Return what to minimise, a scalar, given the parts of the negative ELBO of some cells."""
        raise NotImplementedError

    def train(self, n_epochs: int | None = None, checkpoint: str | Path | None = None, resume: bool = False) -> None:
        """Train for some epochs; a second call goes on where the first ended.

        Parameters
        ----------
        n_epochs
            Passes through the training cells; if None, as many as suit their number (`epochs_for`).
        checkpoint
            File, rewritten after every epoch, that holds everything needed to resume.
        resume
            Resume from `checkpoint`, if it exists, to the end of the interrupted call; finished calls before it are
            skipped. The weights are bitwise those of an uninterrupted run.

        Raises
        ------
        ValueError
            If the loss or a weight becomes NaN or infinite; if a checkpoint is damaged or belongs to another run.
        OSError
            If the checkpoint cannot be written; the previous one is left intact.
        """
        if n_epochs is None:
            n_epochs = epochs_for(sum(processes.gather(len(self.posteriors["train_set"]))))
        if n_epochs < 1 or n_epochs != int(n_epochs):
            raise ValueError(f"n_epochs has to be a whole number of at least 1, got {n_epochs}.")
        if resume and checkpoint is None:
            raise ValueError("resume=True needs a file to resume from: pass it as checkpoint.")
        if self.early_stopping and self.early_stopping.stopped and not resume:
            warnings.warn("Training was stopped early before; this call trains no further.", stacklevel=2)
        self.first_call = self.first_call or int(n_epochs)
        last_epoch, home = self.epoch + int(n_epochs), self.optimizer.param_groups[0]["params"][0].device
        try:
            self.model.to(self.device)
            if checkpoint is not None:
                checkpoint = Checkpoint(self, checkpoint)
                last_epoch = checkpoint.start(int(n_epochs), resume)
            n_cells = len(self.posteriors["train_set"].indices) * self.n_processes
            gpus = [self.device] if self.device.type == "cuda" else []
            bar = self._progress_bar(total=last_epoch * n_cells, initial=self.epoch * n_cells)
            with torch.random.fork_rng(gpus), bar:  # the caller's random numbers stay as they were
                torch.set_rng_state(self.rng_state[0])
                for gpu in gpus:
                    torch.cuda.set_rng_state(self.rng_state[1], gpu)
                while self.epoch < last_epoch and not (self.early_stopping and self.early_stopping.stopped):
                    bar.set_description_str(f"training, epoch {self.epoch + 1}/{last_epoch}", refresh=False)
                    if self.lr_schedule == "cosine":
                        done = 1 - (last_epoch - self.epoch) / n_epochs  # share of this call's epochs
                        self.optimizer.param_groups[0]["lr"] = float(self.lr * (1 + np.cos(np.pi * done)) / 2)
                    self._train_epoch(bar)
                    if checkpoint is not None:
                        checkpoint.save()
        finally:  # also when interrupted
            if self.early_stopping and self.early_stopping.best_weights:
                self.model.load_state_dict(self.early_stopping.best_weights)
            self.model.to(home).eval()
        if self.epoch <= last_epoch:  # else it is a finished call, which a resumed run skips
            finish_averages(self.posteriors["train_set"], processes.seed_of_rank(self.seed))
        self.on_train_end()

    def on_train_end(self) -> None:
        """Say what the user should know about the finished training; nothing by default."""

    def _train_epoch(self, bar: Any) -> None:
        """One pass through the training cells, a step for each minibatch; then the metrics."""
        start, sums = time.perf_counter(), np.zeros(5)  # over cells: the loss, its three terms, 1
        seen, indices = self.posteriors["train_set"].seen, self.posteriors["train_set"].indices
        counts = seen.counts if self.device.type == "cpu" else seen.counts_on(self.device)  # a GPU keeps them all
        order = indices[torch.randperm(len(indices)).numpy()]
        minibatches = np.split(order, range(self.batch_size, len(order) - 1, self.batch_size))  # none of a single cell
        self.model.train()
        alone = nullcontext(self.model.loss_terms)
        with processes.synchronized_steps(self.model, self.optimizer) if self.n_processes > 1 else alone as loss_terms:
            for cells in minibatches:
                x = getattr(self.model, "collate", VAE.collate)(counts[cells], self.device)  # (b, genes)
                codes = torch.from_numpy(np.stack([seen.batch_index[cells], seen.labels[cells]])).to(self.device)
                known = seen.covariates_of(cells, self.device) if seen.covariates.shape[1] else {}
                sums += self._step(loss_terms, cells, x, *codes.unsqueeze(-1), **known)  # codes of (b, 1) each
                bar.set_postfix_str(f"loss={sums[0] / sums[-1]:.1f}", refresh=False)
                bar.update(len(cells) * self.n_processes)
        check_parameters(self.model)
        self.epoch += 1
        self.epoch_seconds.append(time.perf_counter() - start)
        record_metrics(self, sums)
        self.rng_state = get_rng_state(self.device)

    def _step(self, loss_terms: Any, cells: np.ndarray, *minibatch: Any, **covariates: Tensor) -> np.ndarray:
        """Update the weights; return the loss and its three parts, summed over the cells, and the number of cells."""
        terms = LossTerms(*loss_terms(*minibatch, **covariates))
        loss = self.loss(terms)
        self.optimizer.zero_grad()
        loss.backward()  # even if it is not finite: other processes wait for these gradients
        if not loss.isfinite():
            raise processes.NonFiniteLossError(explain_nonfinite(self, cells))
        self.optimizer.step()
        return np.array([loss.item() * len(cells), *torch.stack(terms).detach().sum(dim=1).tolist(), len(cells)])

    def corrupt_posteriors(self, rate: float = 0.1, corruption: str = "uniform", seed: int = 0) -> None:
        """Show the model damaged counts from now on (`CountData.corrupt`); a second call replaces the first."""
        damaged = self.data.corrupt(rate, corruption, seed)
        self.posteriors = {name: p.showing(damaged) for name, p in self.posteriors.items()}

    def uncorrupt_posteriors(self) -> None:
        """Show the model the counts as they are again."""
        self.posteriors = {name: p.uncorrupted() for name, p in self.posteriors.items()}


class UnsupervisedTrainer(Trainer):
    """Train on the ELBO, with the weight of the global KL growing from 0 to 1 over the first epochs.

    Parameters
    ----------
    model, data, **options
        As in `Trainer`. A model's method `prepare` is called with the training cells.
    train_size
        Share of the cells to train on, above 0 and at most 1; the others are the test set.
    n_epochs_kl_warmup
        Epochs until the global KL has its full weight, counted over all calls of `train`; 0 for no warm-up, None for
        half of the epochs of the first call.

    Raises
    ------
    ValueError
        If the data do not suit the model, or an option is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        data: CountData,
        train_size: float = 0.9,
        n_epochs_kl_warmup: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, data, **options)
        if (n_epochs_kl_warmup or 0) < 0:
            raise ValueError(f"n_epochs_kl_warmup has to be at least 0, got {n_epochs_kl_warmup}.")
        self.n_epochs_kl_warmup = plain_number(n_epochs_kl_warmup)
        with processes.all_or_none():
            self.posteriors = split_posteriors(model, self.data, train_size, self.seed, self.batch_size, self.device)
            if self.early_stopping:
                self.early_stopping.check(sum(processes.gather(len(self.posteriors[self.early_stopping.on]))))
            prepare(model, self.data.subset(self.train_set.indices))

    train_set = property(lambda self: self.posteriors["train_set"], doc="Posterior of the training cells.")
    test_set = property(lambda self: self.posteriors["test_set"], doc="Posterior of the other cells.")
    warmup = property(lambda self: self.first_call // 2 if self.n_epochs_kl_warmup is None else self.n_epochs_kl_warmup)

    def kl_weight(self, epoch: int) -> float:
        """Return the weight of the global KL in an epoch, counted from 0."""
        return min(1.0, epoch / self.warmup) if self.warmup else 1.0

    def loss(self, terms: LossTerms) -> Tensor:
        """Return the mean over cells of reconstruction + kl_local + kl_weight * kl_global."""
        return (terms.reconstruction + terms.kl_local + self.kl_weight(self.epoch) * terms.kl_global).mean()

    def on_train_end(self) -> None:
        """Warn if training ended before the global KL had its full weight."""
        if (weight := self.kl_weight(self.epoch - 1)) < 1:
            warnings.warn(
                f"Training ended with a KL weight of {weight:.2f}: the warm-up takes {self.warmup} epochs, "
                f"{self.epoch} were done. The model did not see the full ELBO; train longer or shorten the warm-up.",
                stacklevel=3,
            )
