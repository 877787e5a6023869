"""Several processes that train one model: their ranks, what they exchange, and the steps they take together.

The processes are those of `torch.distributed`. Where it was not initialised there is one process, which needs none of
this.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from vae_course.runtime.devices import resolve_device


class NonFiniteLossError(ValueError):
    """A loss that is NaN or infinite, found after its gradients were computed and before they were used."""


class OtherProcessError(ValueError):
    """Another process failed, and every process has been told."""


class _Failure(NamedTuple):
    message: str


def is_distributed() -> bool:
    """Whether this process is one of several."""
    return dist.is_available() and dist.is_initialized()


def n_processes() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """Return this process's rank, from 0."""
    return dist.get_rank() if is_distributed() else 0


def tell(sentence: str) -> None:
    """Print a sentence, in the first process only."""
    if rank() == 0:
        print(sentence, flush=True)


def seed_of_rank(seed: int) -> int:
    """Return a seed of this process alone; in the first process, `seed` itself."""
    return int(seed) if rank() == 0 else int(np.random.SeedSequence([seed, rank()]).generate_state(1)[0])


def gather(value: Any) -> list[Any]:
    """Return the values that all processes pass, in the order of their ranks.

    Raises
    ------
    OtherProcessError
        If another process failed in the body of `all_or_none`, or is gone.
    """
    if not is_distributed():
        return [value]
    values = [None] * n_processes()
    try:
        dist.all_gather_object(values, value)
    except RuntimeError as error:
        raise OtherProcessError("Another process is gone. Its own output says what happened.") from error
    for process, failure in enumerate(values):
        if isinstance(failure, _Failure):
            raise OtherProcessError(f"Process {process} of {len(values)} says: {failure.message}")
    return values


def broadcast(value: Any, source: int = 0) -> Any:
    """Return the value that process `source` passes.

    Raises
    ------
    OtherProcessError
        If another process failed in the body of `all_or_none`.
    """
    if not is_distributed():
        return value
    gather(None)  # a process that failed waits here, not for a broadcast
    values = [value]
    dist.broadcast_object_list(values, src=source)
    return values[0]


@contextmanager
def all_or_none() -> Iterator[None]:
    """Run the body so that it succeeds in all processes or fails in all of them, and none waits for ever.

    A process that fails tells the others when they next communicate: in a `gather` or `broadcast` within the body, or
    at its end. Nothing else in the body may wait for other processes.
    """
    try:
        yield
    except OtherProcessError:
        raise
    except Exception as error:
        with suppress(OtherProcessError):
            gather(_Failure(str(error)))
        raise
    gather(None)


def pooled_moments(n: np.ndarray, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Combine the sizes, means and population variances of every process's values into those of all values.

    Parameters
    ----------
    n, mean, var
        Of this process's values, of any one shape. Where n is 0 the others do not matter.

    Returns
    -------
    n, mean, var
        Of all values, of the same shape.
    """
    shards = gather((n, mean, var))
    if len(shards) == 1:
        return n, mean, var
    ns, means, variances = (np.array(part) for part in zip(*shards, strict=True))  # (processes, ...)
    total = ns.sum(axis=0)
    shares = ns / np.maximum(total, 1)
    mean = (shares * means).sum(axis=0)
    return total, mean, (shares * (variances + (means - mean) ** 2)).sum(axis=0)


def mean_over_cells(sums: np.ndarray) -> list[float]:
    """Divide sums over cells by the number of cells, which comes last; both are summed over the processes first."""
    *totals, n_cells = sum(gather(sums))
    return [float(total / n_cells) for total in totals]


class _LossTerms(torch.nn.Module):
    """What DistributedDataParallel wraps: it synchronises in `forward` only, which returns the loss terms."""

    def __init__(self, optimizer: torch.optim.Optimizer, loss_terms: Callable[..., Any]) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(p for group in optimizer.param_groups for p in group["params"])
        self.loss_terms, self.n_calls = loss_terms, 0

    def forward(self, *minibatch: Any, **covariates: Tensor) -> tuple[Tensor, ...]:
        self.n_calls += 1
        return self.loss_terms(*minibatch, **covariates)


@contextmanager
def synchronized_steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Callable[..., Any]]:
    """Yield what to call instead of `model.loss_terms` during an epoch, so that all processes take the same steps.

    Gradients are averaged over the processes. A process that has no minibatches left adds zeros to the average until
    the others are done, and then takes over what they have learned. After the epoch the running statistics of batch
    normalisation are those of the first process.

    Raises
    ------
    NonFiniteLossError
        In all processes, with the first message, if the body raised it in some.
    """
    module, problem = _LossTerms(optimizer, model.loss_terms), ""
    # A new wrapper every epoch: DDP fixes the order in which it sums gradients in its first step, and a resumed run
    # has to use the order of one that was never interrupted.
    wrapped = DistributedDataParallel(module)
    with warnings.catch_warnings(), wrapped.join():  # join changes how warnings are filtered
        try:
            yield wrapped
        except NonFiniteLossError as error:
            problem = str(error)  # leaving join with an error would let the others wait for ever
    ends = gather((module.n_calls, rank(), problem))
    if any(message for *_, message in ends):
        _, process, message = min(end for end in ends if end[2])  # the first in time
        raise NonFiniteLossError(f"Process {process} of {n_processes()} says: {message}")
    steps = [n_calls for n_calls, *_ in ends]
    if min(steps) < max(steps):  # join hands on the weights, but not the state of the optimizer
        optimizer.load_state_dict(broadcast(optimizer.state_dict(), source=steps.index(max(steps))))
    for statistics in model.buffers():
        dist.broadcast(statistics, src=0)


def pool_batch_norm(model: torch.nn.Module) -> None:
    """Give all processes the averages over the minibatches of all of them."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            shards = gather((norm.num_batches_tracked, norm.running_mean, norm.running_var))
            n, means, variances = (torch.stack(part) for part in zip(*shards, strict=True))  # (processes, ...)
            if len(shards) > 1 and n.sum() > 0:
                shares = (n / n.sum()).unsqueeze(-1)  # (processes, 1)
                norm.num_batches_tracked.copy_(n.sum())
                norm.running_mean.copy_((shares * means).sum(dim=0))
                norm.running_var.copy_((shares * variances).sum(dim=0))


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; one that exits because another failed prints no error.

    Raises
    ------
    ValueError
        If there are more processes on this machine than GPUs to train on.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched():
        yield
        return
    if resolve_device(device).type == "cuda":
        n_local, n_gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if n_local > n_gpus:
            raise ValueError(
                f"There are {n_local} processes and {n_gpus} GPU(s) on this machine: start at most {n_gpus}, or add "
                "--device cpu."
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, own_rank, world_size = next(dist.rendezvous("env://"))
    # torchrun keeps its store across restarts; without a new prefix processes would read the addresses of ended ones
    store = dist.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    # without the name of a backend it is gloo for tensors on the CPU, nccl for those on GPUs
    dist.init_process_group(store=store, rank=own_rank, world_size=world_size)
    try:
        yield
    except OtherProcessError as error:
        if error.__cause__:  # nobody may be left who could say why
            print(f"vae-course: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        dist.destroy_process_group()
