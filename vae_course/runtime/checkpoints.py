"""Checkpoints: all that a trainer needs to go on after its process was killed, bitwise as if it had not been."""

import hashlib
import io
import platform
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vae_course.runtime.files import read_torch_file, remove_partial_files, write_atomically
from vae_course.runtime.processes import all_or_none, broadcast, gather, n_processes, rank

if TYPE_CHECKING:
    from vae_course.trainer import Trainer


class Checkpoint:
    """The checkpoint file of one call of `Trainer.train`. Of several processes the first reads and writes it.

    Parameters
    ----------
    trainer
        Whose state is kept.
    path
        The file.
    """

    def __init__(self, trainer: "Trainer", path: str | Path) -> None:
        self.trainer, self.path = trainer, path
        with all_or_none():
            self.identity = _identity(trainer)

    def start(self, n_epochs: int, resume: bool) -> int:
        """Take over what the file holds, if asked to; return the epoch at which this call of `train` ends.

        Raises
        ------
        ValueError
            If the file is damaged, or belongs to another run or to another number of processes.
        OSError
            If the file cannot be written; raised now, not after the first epoch.
        """
        trainer = self.trainer
        with all_or_none():
            if rank() == 0:
                remove_partial_files(self.path)
            self.n_epochs, starts = n_epochs, [*trainer.starts, trainer.epoch]
            trainer.starts = self._resume(starts) if resume else starts
            last_epoch = trainer.starts[-1] + n_epochs
            if trainer.epoch < last_epoch:
                self._write()
        return last_epoch

    def save(self) -> None:
        """Replace the file; no process goes on before it is written.

        Raises
        ------
        OSError
            If the file cannot be written; the previous one is left intact.
        """
        with all_or_none():
            self._write()

    def _write(self) -> None:
        trainer = self.trainer
        state = {
            "identities": gather(self.identity),
            "machine": _machine(),
            "weights": trainer.model.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "rng_states": gather(trainer.rng_state),
            "starts": trainer.starts,
            "n_epochs": self.n_epochs,
            "epoch": trainer.epoch,
            "epoch_seconds": trainer.epoch_seconds,
            "history": trainer.history,
            "early_stopping": vars(trainer.early_stopping) if trainer.early_stopping else None,
        }
        if rank() == 0:
            content = io.BytesIO()
            torch.save(state, content)
            write_atomically(self.path, lambda temporary: temporary.write_bytes(content.getbuffer()))

    def _resume(self, starts: list[int]) -> list[int]:
        """Take over the state in the file; return at which epochs this call and those before it began."""
        trainer, state = self.trainer, broadcast(self._read() if rank() == 0 else None)
        if state is None:
            return starts
        then = len(state["identities"])
        if then != n_processes():
            raise ValueError(
                f"{self.path} was written by a run of {then} process(es), this run has {n_processes()}: "
                f"start {then} again."
            )
        saved = state["identities"][rank()]
        differing = [name for name, value in self.identity.items() if saved.get(name) != value]
        if differing:
            raise ValueError(f"{self.path} belongs to another run: {', '.join(differing)} differ(s). Start a new one.")
        if len(state["starts"]) < len(starts):
            return starts  # the checkpoint is that of an earlier call, whose work this trainer has done itself
        _warn_of_another_machine(state["machine"])
        if len(state["starts"]) == len(starts) and state["n_epochs"] != self.n_epochs:
            _warn_of_another_length(trainer, state["n_epochs"], self.n_epochs)
        trainer.model.load_state_dict(state["weights"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.rng_state = state["rng_states"][rank()]
        trainer.epoch, trainer.epoch_seconds, trainer.history = state["epoch"], state["epoch_seconds"], state["history"]
        if trainer.early_stopping:
            vars(trainer.early_stopping).update(state["early_stopping"])
        return state["starts"][: len(starts)]

    def _read(self) -> dict[str, Any] | None:
        if not Path(self.path).exists():
            print(f"There is no checkpoint {self.path} yet: training starts from the beginning.", file=sys.stderr)
            return None
        state = read_torch_file(self.path)
        if not isinstance(state, dict) or "identities" not in state:
            raise ValueError(f"{self.path} is not a checkpoint of a trainer.")
        return state


def _identity(trainer: "Trainer") -> dict[str, Any]:
    """Return what has to be the same for a run to go on from a checkpoint."""
    model, seen, adam = trainer.model, trainer.posteriors["train_set"].seen, trainer.optimizer.param_groups[0]
    names, digest = getattr(model, "names", None), hashlib.sha256()
    counts = seen.counts.data, seen.counts.indices, seen.counts.indptr
    for array in (*counts, seen.batch_index, seen.labels, seen.covariates):
        digest.update(np.ascontiguousarray(array))
    return {
        "model": model.kind() if hasattr(model, "kind") else type(model).__name__,
        "model options": getattr(model, "options", None),
        "names of genes, batches, labels and covariates": names and names._asdict(),
        "shapes of the weights": [(name, tuple(t.shape)) for name, t in model.state_dict().items()],
        "early stopping": trainer.early_stopping and trainer.early_stopping.settings(),
        "batch_size": trainer.batch_size,
        "seed": trainer.seed,
        "device": trainer.device.type,
        "n_epochs_kl_warmup": getattr(trainer, "n_epochs_kl_warmup", None),
        "lr": trainer.lr,
        "lr_schedule": trainer.lr_schedule,
        **{name: adam[name] for name in ("eps", "weight_decay")},
        **{f"cells in {name}": len(posterior) for name, posterior in trainer.posteriors.items()},
        "counts, batches, labels and covariates": digest.hexdigest(),
    }


def _machine() -> dict[str, Any]:
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _warn_of_another_machine(then: dict[str, Any]) -> None:
    changed = [f"{name} {then.get(name)} -> {now}" for name, now in _machine().items() if then.get(name) != now]
    if changed:
        warnings.warn(
            f"Resuming on a different set-up ({'; '.join(changed)}): weights may differ in the last bits.",
            stacklevel=5,
        )


def _warn_of_another_length(trainer: "Trainer", then: int, now: int) -> None:
    if trainer.lr_schedule != "constant":
        warnings.warn(
            f"The interrupted call was to train {then} epochs, this one {now}, so the learning rate falls in another "
            "way than in a run that was never interrupted. Ask for the same number to get the same weights.",
            stacklevel=5,
        )
