"""Training: the loop, the metrics along the way, early stopping, checkpoints."""

import hashlib
import io
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vae_course._devices import chosen, computing_on
from vae_course._distributed import (
    NonFiniteLossError,
    broadcast,
    gather,
    n_processes,
    own_seed,
    rank,
    shared_steps,
    together,
)
from vae_course._files import write_atomically
from vae_course._seeds import first_random_states, going_on_from, random_states
from vae_course.data import CountData, split_minibatches
from vae_course.models import LossTerms, dense, read_torch_file
from vae_course.posterior import Minibatch, Posterior

HIGHER_IS_BETTER = {"elbo": True, "reconstruction_error": False, "kl_local": False, "kl_global": False}
SECONDS_BETWEEN_LINES = 60  # of progress, where it is written to a file


class EarlyStopping:
    """Stop when a metric has not improved for a while, and keep the weights of its best value.

    Small gains count once they add up: the metric is compared with its value at the last improvement, not with the
    one before.

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
        self.metric, self.on, self.patience, self.threshold = metric, on, patience, threshold
        self.best_value: float | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.reference: float | None = None
        self.waited = 0

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def settings(self) -> tuple[str, str, int, float]:
        """Return metric, posterior, patience and threshold."""
        return self.metric, self.on, self.patience, self.threshold

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


class Trainer:
    """The training loop for any model; a subclass says what the posteriors and the loss are.

    Where `torch.distributed` is initialised (by a script that `torchrun` starts, say), its processes train one model
    together through DistributedDataParallel: each has its own cells in `data`, draws its own random numbers, and makes
    the same steps, along the mean of all processes' gradients. The loss of a minibatch is a mean over its cells, so
    that minibatches count the same whatever their size, and a process that has none left counts as a gradient of 0:
    with shards of about equal size, all cells count about the same. History is that of the cells of all processes;
    the running means of batch normalisation are those of the first of them. For `torchrun --max-restarts`, set
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1: processes started again may otherwise look for each other where the ended
    ones were (pytorch/pytorch, issue 135712).

    Parameters
    ----------
    model
        Module whose `loss_terms(x, batch_index, y)` returns three tensors of nats per cell, (cells,) each.
    data
        The cells.
    batch_size
        Cells in a minibatch; a last one of a single cell joins the one before.
    lr, eps, weight_decay
        Of the Adam optimizer.
    early_stopping
        When to stop before the end; None for never.
    seed
        Seed of the split, of the order of the cells, of dropout and of the draws.
    device
        Where to train: "auto" (a card, if there is one), "cpu", "cuda". The counts stay on the card if they fit there.
        After training the model is back where it was.

    Attributes
    ----------
    posteriors
        The sets of cells by name. Training goes through "train_set".
    history
        Lists by `<metric>_<posterior>`, a value per epoch, nats per cell. The metrics are loss (what was minimised; of
        the train set only), elbo, reconstruction_error, kl_local and kl_global. On the train set they are means over
        the minibatches as they were trained on, with dropout and changing weights; the test set is evaluated after
        the epoch.
    epoch
        Epochs done so far.
    epoch_seconds
        How long each took, evaluation not included.
    """

    posteriors: dict[str, Posterior]

    def __init__(
        self,
        model: torch.nn.Module,
        data: CountData,
        batch_size: int = 128,
        lr: float = 1e-3,
        eps: float = 0.01,
        weight_decay: float = 1e-6,
        early_stopping: EarlyStopping | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size has to be at least 2, for batch normalisation, got {batch_size}.")
        self.model, self.data, self.batch_size = model, data, batch_size
        self.early_stopping, self.seed, self.device = early_stopping, seed, chosen(device)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr, eps=eps, weight_decay=weight_decay, fused=True)
        self.history: dict[str, list[float]] = {}
        self.epoch = 0
        self.epoch_seconds: list[float] = []
        self._random_states = first_random_states(own_seed(seed), self.device)
        self._bar: tqdm | None = None  # while training
        self._starts: list[int] = []  # the epoch at which each call of train() with a checkpoint began

    def loss(self, terms: LossTerms) -> Tensor:
        """Return what to minimise, a scalar, given the parts of the negative ELBO of some cells."""
        raise NotImplementedError

    # -- the loop -----------------------------------------------------------------------------------------------------

    def train(self, n_epochs: int = 100, checkpoint: str | Path | None = None, resume: bool = False) -> None:
        """Train for some epochs; a second call goes on where the first ended.

        Parameters
        ----------
        n_epochs
            Passes through the training cells.
        checkpoint
            File that is replaced after every epoch by all that is needed to go on from there. Of several processes
            the first one writes and reads it, for all.
        resume
            Go on from `checkpoint` until `n_epochs` are complete, counted from the start of the interrupted call. In
            a script that calls `train` several times, calls that were complete are passed over. The weights come out
            bitwise as without the interruption. Without a checkpoint file training starts anew.

        Raises
        ------
        ValueError
            If the loss or a weight becomes NaN or infinite; if a checkpoint is damaged or belongs to another run or
            another number of processes. What one process finds ends all of them.
        OSError
            If the checkpoint cannot be written; the one before stays whole.
        """
        if n_epochs < 1 or n_epochs != int(n_epochs):
            raise ValueError(f"n_epochs has to be a whole number of at least 1, got {n_epochs}.")
        if resume and checkpoint is None:
            raise ValueError("resume=True needs to know where from: give checkpoint, the file to go on from.")
        if self.early_stopping and self.early_stopping.stopped and not resume:
            warnings.warn("Training was stopped early before; this call trains no further.", stacklevel=2)
        try:
            with computing_on(self.device, self.model):
                self._train(n_epochs, checkpoint, resume)
        finally:
            self._bar = None  # it holds a stream, which cannot be copied with the trainer
        if self.early_stopping and self.early_stopping.best_weights:
            self.model.load_state_dict(self.early_stopping.best_weights)
        self.model.eval()
        self.on_train_end()

    def _train(self, n_epochs: int, checkpoint: str | Path | None, resume: bool) -> None:
        """Find out from which epoch to which, and train."""
        last_epoch, identity = self.epoch + n_epochs, {}
        if checkpoint is not None:
            with together():
                identity, starts = self.identity(), [*self._starts, self.epoch]
                self._starts = self._resume(checkpoint, identity, starts) if resume else starts
                last_epoch = self._starts[-1] + n_epochs
                if self.epoch < last_epoch:
                    self._save_checkpoint(checkpoint, identity)  # says now, not after an epoch, if it cannot be written
        self._train_until(last_epoch, checkpoint, identity)

    def _train_until(self, last_epoch: int, checkpoint: str | Path | None, identity: dict[str, Any]) -> None:
        """Train until so many epochs are complete, or early stopping says so."""
        n_cells = sum(gather(len(self.posteriors["train_set"])))
        with (
            going_on_from(self._random_states, self.device),
            progress_bar(last_epoch * n_cells, self.epoch * n_cells) as self._bar,
        ):
            while self.epoch < last_epoch and not (self.early_stopping and self.early_stopping.stopped):
                self._bar.set_description_str(f"training, epoch {self.epoch + 1}/{last_epoch}", refresh=False)
                self._train_epoch()
                self._bar.update(self.epoch * n_cells - self._bar.n)  # shards of several processes may differ in size
                self._random_states = random_states(self.device)
                if checkpoint is not None:
                    with together():  # nobody goes on before it is written
                        self._save_checkpoint(checkpoint, identity)

    def on_train_end(self) -> None:
        """Say what the user should know about the finished training; nothing by default."""

    def _train_epoch(self) -> float:
        """One pass through the training cells, then the metrics; return the mean loss."""
        start = time.perf_counter()
        sums = np.zeros(5)  # of the loss, of its parts, and of 1, over cells
        self.model.train()
        with shared_steps(self.model, self.model.loss_terms, self.optimizer) as loss_terms:
            for minibatch in self._minibatches():
                sums += self._step(minibatch, loss_terms, self.optimizer)
                self._bar.set_postfix_str(f"loss={sums[0] / sums[-1]:.1f}", refresh=False)
                self._bar.update(len(minibatch.x) * n_processes())
        check_parameters(self.model)
        self.epoch += 1
        self.epoch_seconds.append(time.perf_counter() - start)
        with together():
            loss, *terms = mean_over_processes(sums)
            self._record("loss_train_set", loss)
            self._record_terms("train_set", *terms)
            self._evaluate()
        return loss

    def _minibatches(self) -> Iterator[Minibatch]:
        """Go through the training cells in an order drawn from PyTorch's global generator."""
        cells, data = self.posteriors["train_set"].indices, self.posteriors["train_set"].seen
        collate = getattr(self.model, "collate", dense)  # a module that is no `Model` may do without
        for indices in split_minibatches(cells[torch.randperm(len(cells)).numpy()], self.batch_size):
            x = collate(data.counts[indices], self.device)
            codes = [torch.from_numpy(c[indices]).unsqueeze(-1) for c in (data.batch_index, data.labels)]  # (b, 1)
            yield Minibatch(x, *(c.to(self.device) for c in codes), indices)

    def _step(
        self, minibatch: Minibatch, loss_terms: Callable[..., Iterable[Tensor]], optimizer: torch.optim.Optimizer
    ) -> np.ndarray:
        """Update the weights; return the loss and its three parts, summed over the cells, and the number of cells."""
        terms = LossTerms(*loss_terms(*minibatch[:3]))
        loss = self.loss(terms)
        value = loss.item()
        problem = "" if math.isfinite(value) else self._explain_nonfinite(minibatch.indices)
        optimizer.zero_grad()
        loss.backward()  # in spite of a problem: other processes wait for these gradients
        if problem:
            raise NonFiniteLossError(problem)
        optimizer.step()
        n_cells = len(minibatch.x)
        return np.array([value * n_cells, *(term.detach().sum().item() for term in terms), n_cells])

    def _explain_nonfinite(self, indices: np.ndarray) -> str:
        x = self.posteriors["train_set"].seen.minibatch(indices, device=self.device)
        return explain_nonfinite(self.model, Minibatch(*x, indices))

    def _evaluate(self) -> None:
        """Record the metrics of the posteriors that are not trained on, and let early stopping know."""
        for name, posterior in self.posteriors.items():
            if name != "train_set" and sum(gather(len(posterior))):
                terms = posterior.loss_terms() if len(posterior) else ()
                sums = [term.double().sum().item() for term in terms] or [0.0] * 3
                self._record_terms(name, *mean_over_processes(np.array([*sums, len(posterior)])))
        if self.early_stopping:
            watched = self.history[f"{self.early_stopping.metric}_{self.early_stopping.on}"]
            self.early_stopping.update(watched[-1], self.model)

    def _record_terms(self, name: str, reconstruction: float, kl_local: float, kl_global: float) -> None:
        if not np.isfinite([reconstruction, kl_local, kl_global]).all():
            raise ValueError(f"The loss on the {name} is not finite after epoch {self.epoch}. {_advice()}")
        self._record(f"elbo_{name}", -(reconstruction + kl_local + kl_global))
        self._record(f"reconstruction_error_{name}", reconstruction)
        self._record(f"kl_local_{name}", kl_local)
        self._record(f"kl_global_{name}", kl_global)

    def _record(self, key: str, value: float) -> None:
        self.history.setdefault(key, []).append(value)

    # -- corruption ---------------------------------------------------------------------------------------------------

    def corrupt_posteriors(self, rate: float = 0.1, corruption: str = "uniform", seed: int = 0) -> None:
        """Show the model damaged counts from now on (`CountData.corrupt`); a second call replaces the first."""
        damaged = self.data.corrupt(rate, corruption, seed)
        self.posteriors = {name: p.showing(damaged) for name, p in self.posteriors.items()}

    def uncorrupt_posteriors(self) -> None:
        """Show the model the counts as they are again."""
        self.posteriors = {name: p.uncorrupted() for name, p in self.posteriors.items()}

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """Return what has to be the same for a run to go on from a checkpoint."""
        group = self.optimizer.param_groups[0]
        return {
            "model": getattr(self.model, "saved_as", type(self.model).__name__),
            "model options": getattr(self.model, "options", None),
            "shapes of the weights": [(name, tuple(t.shape)) for name, t in self.model.state_dict().items()],
            "early stopping": self.early_stopping and self.early_stopping.settings(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "device": self.device.type,
            **{name: group[name] for name in ("lr", "eps", "weight_decay")},
            **{f"cells in {name}": len(posterior) for name, posterior in self.posteriors.items()},
            "counts, batches and labels": _fingerprint(self.posteriors["train_set"].seen),
        }

    def _save_checkpoint(self, path: str | Path, identity: dict[str, Any]) -> None:
        content = io.BytesIO()
        state = {
            "identities": gather(identity),
            "machine": _machine(),
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random_states": gather(self._random_states),
            "starts": self._starts,
            "epoch": self.epoch,
            "epoch_seconds": self.epoch_seconds,
            "history": self.history,
            "early_stopping": vars(self.early_stopping) if self.early_stopping else None,
        }
        if rank() == 0:
            torch.save(state, content)
            write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))

    def _resume(self, path: str | Path, identity: dict[str, Any], starts: list[int]) -> list[int]:
        """Take over the state in a checkpoint; return at which epochs this call and those before it began."""
        state = None
        if rank() == 0 and not Path(path).exists():
            print(f"There is no checkpoint {path} yet: training starts from the beginning.", file=sys.stderr)
        elif rank() == 0:
            state = read_torch_file(path)
            if not isinstance(state, dict) or "identities" not in state:
                raise ValueError(f"{path} is not a checkpoint of a trainer.")
        state = broadcast(state)
        if state is None:
            return starts
        then = len(state["identities"])
        if then != n_processes():
            raise ValueError(f"{path} is of a run of {then} process(es), this has {n_processes()}: start {then} again.")
        differing = [k for k, value in identity.items() if state["identities"][rank()].get(k) != value]
        if differing:
            raise ValueError(f"{path} belongs to another run: {', '.join(differing)} differ(s). Start a new one.")
        if len(state["starts"]) < len(starts):
            return starts  # the checkpoint is that of an earlier call, whose work this trainer has done itself
        changed = [
            f"{k} {state['machine'].get(k)} -> {now}" for k, now in _machine().items() if state["machine"].get(k) != now
        ]
        if changed:
            warnings.warn(
                f"Resuming on a different set-up ({'; '.join(changed)}): weights may differ in the last bits.",
                stacklevel=3,
            )
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._random_states = state["random_states"][rank()]
        self.epoch, self.epoch_seconds, self.history = state["epoch"], state["epoch_seconds"], state["history"]
        if self.early_stopping and state["early_stopping"]:
            vars(self.early_stopping).update(state["early_stopping"])
        return state["starts"][: len(starts)]


class UnsupervisedTrainer(Trainer):
    """Train on the ELBO, with the weight of the global KL growing from 0 to 1 over the first epochs.

    loss = mean over cells of reconstruction + kl_local + weight * kl_global, weight = min(1, epoch / warm-up).

    Parameters
    ----------
    model, data
        As in `Trainer`. A model with a method `prepare` is given the training cells, from which `VAE` takes the prior
        of the library.
    train_size
        Share of the cells to train on, above 0 and at most 1; the others are the test set.
    n_epochs_kl_warmup
        Epochs until the global KL has its full weight, counted over all calls of `train`; 0 for no warm-up.
    batch_size, lr, eps, weight_decay, early_stopping, seed, device
        As in `Trainer`.

    Attributes
    ----------
    train_set, test_set
        Posteriors of the cells to train on and of the others.

    Raises
    ------
    ValueError
        If the data do not suit the model, or an option is out of range.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data: CountData,
        train_size: float = 0.9,
        batch_size: int = 128,
        lr: float = 1e-3,
        n_epochs_kl_warmup: int = 50,
        seed: int = 0,
        eps: float = 0.01,
        weight_decay: float = 1e-6,
        early_stopping: EarlyStopping | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(model, data, batch_size, lr, eps, weight_decay, early_stopping, seed, device)
        if not 0 < train_size <= 1:
            raise ValueError(f"train_size is the share of cells to train on: expected 0 to 1, got {train_size}.")
        if n_epochs_kl_warmup < 0:
            raise ValueError(f"n_epochs_kl_warmup has to be at least 0, got {n_epochs_kl_warmup}.")
        self.n_epochs_kl_warmup = n_epochs_kl_warmup
        with together():
            self.posteriors = self._split(train_size)
            if early_stopping and early_stopping.on == "test_set" and not sum(gather(len(self.test_set))):
                raise ValueError("Early stopping on the test set needs test cells: choose train_size below 1.")
            if hasattr(model, "prepare"):
                model.prepare(data.subset(self.train_set.indices))

    def _split(self, train_size: float) -> dict[str, Posterior]:
        n_cells = self.data.n_cells
        order = np.random.default_rng(self.seed).permutation(n_cells)
        n_train = math.ceil(round(train_size * n_cells, 6))  # rounded, so that 0.55 of 100 are 55
        if n_train < 2:
            raise ValueError(f"Training needs at least 2 cells, got {n_train} of {n_cells}.")
        split = {"train_set": np.sort(order[:n_train]), "test_set": np.sort(order[n_train:])}
        sets = {name: (self.model, self.data, cells, self.batch_size, self.device) for name, cells in split.items()}
        return {name: Posterior(*arguments) for name, arguments in sets.items()}

    @property
    def train_set(self) -> Posterior:
        """Posterior of the training cells."""
        return self.posteriors["train_set"]

    @property
    def test_set(self) -> Posterior:
        """Posterior of the other cells."""
        return self.posteriors["test_set"]

    def kl_weight(self, epoch: int) -> float:
        """Return the weight of the global KL in an epoch, counted from 0."""
        return min(1.0, epoch / self.n_epochs_kl_warmup) if self.n_epochs_kl_warmup else 1.0

    def loss(self, terms: LossTerms) -> Tensor:
        """Return the mean of reconstruction + kl_local + kl_weight * kl_global."""
        return (terms.reconstruction + terms.kl_local + self.kl_weight(self.epoch) * terms.kl_global).mean()

    def on_train_end(self) -> None:
        """Warn if training ended before the global KL had its full weight."""
        weight = self.kl_weight(self.epoch - 1)
        if weight < 1:
            warnings.warn(
                f"Training ended with a KL weight of {weight:.2f}: the warm-up takes {self.n_epochs_kl_warmup} epochs, "
                f"{self.epoch} were done. The model did not see the full ELBO; train longer or shorten the warm-up.",
                stacklevel=3,
            )

    def identity(self) -> dict[str, Any]:
        """Return what has to be the same for a run to go on from a checkpoint."""
        return super().identity() | {"n_epochs_kl_warmup": self.n_epochs_kl_warmup}


# --------------------------------------------------------------------------------------------------------------------
# Helpers
# --------------------------------------------------------------------------------------------------------------------


def progress_bar(total: int, initial: int) -> tqdm:
    """Bar of cells with the time left; silent if TQDM_DISABLE is set, and in all processes but the first.

    Outside of terminals and notebooks a plain line is written once a minute instead, to runs of less than that nothing.
    """
    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    kind = tqdm if sys.stderr.isatty() or in_notebook else ProgressLines
    silent = rank() > 0 or os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    return kind(total=total, initial=initial, desc="training", unit="cells", unit_scale=True, disable=silent)


class ProgressLines(tqdm):
    """A progress bar for files: now and then a line of its own, without control characters."""

    monitor_interval = 0  # no thread that looks after the display

    def __init__(self, **options: Any) -> None:
        seconds = {"delay": SECONDS_BETWEEN_LINES, "mininterval": SECONDS_BETWEEN_LINES, "miniters": 1}
        layout = "{desc}: {percentage:.0f}% [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
        super().__init__(bar_format=layout, **seconds, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write a line."""
        print(self, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Write nothing more."""
        self.disable = True


def mean_over_processes(sums: np.ndarray) -> list[float]:
    """Divide sums over cells by the number of cells, which is the last of them; both of all processes together."""
    *totals, n_cells = sum(gather(sums))
    return [float(total / n_cells) for total in totals]


def check_parameters(model: torch.nn.Module) -> None:
    """Refuse to go on with weights that are NaN or infinite."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"The weights {name} became NaN or infinite. {_advice()}")


def explain_nonfinite(model: torch.nn.Module, minibatch: Minibatch) -> str:
    """Name the first tensor that is NaN or infinite on the way from the counts to the loss, and say what to do."""
    if not torch.isfinite(minibatch.x).all():
        return "The loss is not finite because the counts are not (tensor x). Check the data for NaN and infinities."
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"The loss is not finite; the first bad tensor is the parameter {name}. {_advice()}"
    bad: list[str] = []

    def note(name: str, output: Any) -> None:
        tensors: Iterable[Any] = output if isinstance(output, tuple) else (output,)
        if any(isinstance(t, Tensor) and not torch.isfinite(t).all() for t in tensors):
            bad.append(name)

    named = [(name, module) for name, module in model.named_modules() if name]
    hooks = [m.register_forward_hook(lambda _m, _i, output, name=name: note(name, output)) for name, m in named]
    try:
        with torch.no_grad():
            terms = LossTerms(*model.loss_terms(*minibatch[:3]))
    finally:
        for hook in hooks:
            hook.remove()
    bad += [name for name, term in terms._asdict().items() if not torch.isfinite(term).all()]
    where = f"the output of {bad[0]}" if bad else "the weighted sum of the loss terms"
    return f"The loss is not finite; the first bad tensor is {where}. {_advice()}"


def _advice() -> str:
    return "Lower the learning rate (lr), and check that the data are raw counts without extreme cells."


def _fingerprint(data: CountData) -> str:
    digest = hashlib.sha256()
    for array in (data.counts.data, data.counts.indices, data.counts.indptr, data.batch_index, data.labels):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _machine() -> dict[str, Any]:
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }
