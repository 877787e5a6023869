"""Several processes that train one model together: who they are, and what all of them have to know.

They are those of `torch.distributed`. Where it was not initialised there is one process, which needs none of this.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel


class NonFiniteLossError(ValueError):
    """A loss that is NaN or infinite, found after its gradients were computed and before they were used."""


class ElsewhereError(ValueError):
    """Another process failed; all of them know."""


class _Failure(NamedTuple):
    message: str


def is_distributed() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized()


def n_processes() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if is_distributed() else 0


def own_seed(seed: int) -> int:
    """Return a seed that is this process's alone; in the first process, `seed` itself."""
    return seed if rank() == 0 else int(np.random.SeedSequence([seed, rank()]).generate_state(1)[0])


def gather(value: Any) -> list[Any]:
    """Return the values that all processes pass, in the order of their ranks.

    Raises
    ------
    ElsewhereError
        If another process failed in the body of `together`, or is gone.
    """
    if not is_distributed():
        return [value]
    values = [None] * n_processes()
    try:
        dist.all_gather_object(values, value)
    except RuntimeError as error:
        raise ElsewhereError("Another process is gone. What happened is in its own output.") from error
    for process, failure in enumerate(values):
        if isinstance(failure, _Failure):
            raise ElsewhereError(f"Process {process} of {len(values)} says: {failure.message}")
    return values


def broadcast(value: Any, source: int = 0) -> Any:
    """Return the value that process `source` passes.

    Raises
    ------
    ElsewhereError
        If another process failed in the body of `together`.
    """
    if not is_distributed():
        return value
    gather(None)  # who failed would wait here, not for a broadcast
    values = [value]
    dist.broadcast_object_list(values, src=source)
    return values[0]


@contextmanager
def together() -> Iterator[None]:
    """Leave the body in all processes or in none: an error in one is an error in all, so that nobody waits for ever.

    A process that fails tells the others when they meet next: in a `gather` or `broadcast` within the body, or at its
    end. Nothing else in the body may wait for other processes.
    """
    try:
        yield
    except ElsewhereError:
        raise
    except Exception as error:
        with suppress(ElsewhereError):
            gather(_Failure(str(error)))
        raise
    gather(None)


def pooled_moments(n: np.ndarray, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Combine numbers, means and population variances of every process's values into those of all values.

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


class _LossTerms(torch.nn.Module):
    """What DistributedDataParallel wraps: it acts in `forward` alone, which gives the loss of the weights."""

    def __init__(self, optimizer: torch.optim.Optimizer, loss_terms: Callable[..., Any]) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(p for group in optimizer.param_groups for p in group["params"])
        self.loss_terms, self.n_calls = loss_terms, 0

    def forward(self, *minibatch: Any) -> tuple[Tensor, ...]:
        self.n_calls += 1
        return self.loss_terms(*minibatch)


@contextmanager
def shared_steps(
    model: torch.nn.Module, loss_terms: Callable[..., Any], optimizer: torch.optim.Optimizer
) -> Iterator[Callable[..., Any]]:
    """Yield what to call in the place of `loss_terms` during an epoch: all processes make the same steps.

    Gradients are averaged over the processes. One that has no minibatches left adds zeros to the average until the
    others are done, and then takes over what they have learned. Running statistics of batch normalisation are, after
    the epoch, those of the first process.

    Raises
    ------
    NonFiniteLossError
        In all processes, with the first message, if the body raised it in some.
    """
    if not is_distributed():
        yield loss_terms
        return
    module, problem = _LossTerms(optimizer, loss_terms), ""
    # A new wrapper every epoch: it orders the sums of the gradients by what it saw in its first step, and a resumed
    # run has to order them like one that was never interrupted.
    wrapped = DistributedDataParallel(module, broadcast_buffers=False)
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
