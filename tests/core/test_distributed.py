"""Several processes train one model, each on its own cells: same steps, same history, same end, and nobody waits."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

import vae_course as vc
from vae_course.runtime.processes import pool_batch_norm, pooled_moments
from vae_course.runtime.progress import progress_bar

START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(START)
if START == "forkserver":  # its children need not import again what takes long
    CONTEXT.set_forkserver_preload(["pytest", "torch._dynamo", "vae_course.trainer"])

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="this PyTorch cannot train in several processes"
)
LONGEST_SECONDS = 150


# --------------------------------------------------------------------------------------------------------------------
# Helpers
# --------------------------------------------------------------------------------------------------------------------


def child(function: Callable[..., Any], rank: int, n_processes: int, folder: Path, arguments: tuple) -> None:
    """Be one of several processes: keep what the function returns, or the error that it raises."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / "store"), n_processes), rank=rank, world_size=n_processes
    )
    try:
        result = function(*arguments)
    except Exception as error:
        result = error
    torch.save(result, folder / f"{rank}.part")
    (folder / f"{rank}.part").rename(folder / str(rank))
    # the end of a process would wake those that wait for it: stay until all are done
    while not all((folder / str(other)).exists() for other in range(n_processes)):
        time.sleep(0.01)


def run(folder: Path, function: Callable[..., Any], *arguments: Any, n_processes: int = 2) -> list[Any]:
    """Call a function in several processes at once; return the results, errors among them, by rank."""
    (folder / "store").unlink(missing_ok=True)
    processes = []
    for rank in range(n_processes):
        (folder / str(rank)).unlink(missing_ok=True)
        process = CONTEXT.Process(target=child, args=(function, rank, n_processes, folder, arguments), daemon=True)
        process.start()
        processes.append(process)
    end = time.monotonic() + LONGEST_SECONDS
    for process in processes:
        process.join(timeout=max(0.0, end - time.monotonic()))
    hanging = [rank for rank, process in enumerate(processes) if process.is_alive()]
    for process in processes:
        process.kill()
    assert not hanging, f"processes {hanging} wait for ever"
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(n_processes)]


def cells(n_cells: int = 150, **options: Any) -> vc.CountData:
    return vc.simulate_counts(n_cells, **{"n_genes": 20, "n_labels": 2, "n_batches": 2, "seed": 0, **options})


def shard(data: vc.CountData, ends: tuple[int, ...]) -> vc.CountData:
    """This process's part of the cells: up to ends[0] in the first process, and so on."""
    rank = dist.get_rank()
    return data.subset(np.arange((0, *ends)[rank], ends[rank]))


def small_vae(**options: Any) -> vc.VAE:
    return vc.VAE(20, **{"n_batch": 2, "n_labels": 2, "n_hidden": 8, "n_latent": 3, **options})


def trainer_on(data: vc.CountData, model: Any = None, **options: Any) -> vc.UnsupervisedTrainer:
    model = small_vae() if model is None else model
    defaults = {"batch_size": 16, "train_size": 0.8, "n_epochs_kl_warmup": 2, "seed": 3}
    return vc.UnsupervisedTrainer(model, data, **{**defaults, **options})


def outcome(trainer: vc.UnsupervisedTrainer) -> dict[str, Any]:
    return {
        "weights": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict()["state"],
        "history": trainer.history,
        "epoch": trainer.epoch,
    }


def same(first: Any, second: Any) -> bool:
    """Compare nested results bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    return type(first) is type(second) and first == second


# --------------------------------------------------------------------------------------------------------------------
# The same steps
# --------------------------------------------------------------------------------------------------------------------


def noise_of(mean: torch.Tensor, var: torch.Tensor) -> torch.Tensor:
    """A draw that depends on the cell alone, whatever minibatch and process it is in."""
    return mean + var.sqrt() * torch.sin(1e4 * mean.detach())


def gradients_of_one_step(kind: type[vc.VAE], ends: tuple[int, ...], batch_size: int) -> dict[str, torch.Tensor]:
    """Without chance: no dropout, the noise of `noise_of`, batch normalisation in evaluation mode."""
    data = cells(64)
    data = shard(data, ends) if dist.is_initialized() else data
    model = kind(20, n_batch=2, n_hidden=8, n_latent=3, dropout_rate=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vae_course.nn.sample_normal", noise_of)
        patch.setattr("vae_course.fast.sample_normal", noise_of)
        patch.setattr(vc.VAE, "train", lambda self, mode=True: torch.nn.Module.train(self, False))
        trainer_on(data, model, batch_size=batch_size, train_size=1.0, n_epochs_kl_warmup=0).train(1)
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", [vc.VAE, vc.FastVAE])
def test_two_halves_of_a_minibatch_give_the_gradients_of_the_whole(tmp_path, kind):
    first, second = run(tmp_path, gradients_of_one_step, kind, (32, 64), 32)
    whole = gradients_of_one_step(kind, (), 64)
    assert same(first, second)
    for name, gradient in whole.items():
        if gradient is None:  # the dispersion of every cell, which this model does without
            assert first[name] is None
        else:
            largest = gradient.abs().max().item()
            torch.testing.assert_close(first[name], gradient, rtol=1e-4, atol=1e-5 * largest, msg=name)
    assert sum(gradient is not None and gradient.abs().max() > 0 for gradient in whole.values()) > 10


def train(ends: tuple[int, ...], own_seeds: bool = False) -> dict[str, Any]:
    model = small_vae(seed=dist.get_rank() if own_seeds else 0)
    stopping = vc.EarlyStopping(patience=2, threshold=0.1)
    trainer = trainer_on(shard(cells(), ends), model, early_stopping=stopping, lr=0.05)
    trainer.train(40)
    return outcome(trainer)


@pytest.mark.parametrize("ends", [(75, 150), (110, 150), (5, 60, 150)], ids=str)
def test_every_process_ends_with_the_same_whatever_the_size_of_its_shard(tmp_path, ends):
    first, *others = run(tmp_path, train, ends, n_processes=len(ends))
    assert first["epoch"] < 40, "early stopping was not tried"
    assert all(torch.isfinite(weights).all() for weights in first["weights"].values())
    for other in others:
        assert same(first, other)


def pooled_averages() -> dict[str, torch.Tensor]:
    """Pool running averages of which process r has seen r + 1 minibatches."""
    norm = torch.nn.BatchNorm1d(2)
    norm.num_batches_tracked.fill_(dist.get_rank() + 1)
    norm.running_mean.copy_(torch.tensor([3.0, 6.0]) * dist.get_rank())
    norm.running_var.copy_(torch.tensor([1.0, 4.0]) + 6 * dist.get_rank())
    pool_batch_norm(norm)
    return dict(norm.named_buffers())


def test_running_averages_are_those_over_the_minibatches_of_all_processes(tmp_path):
    for found in run(tmp_path, pooled_averages):
        torch.testing.assert_close(found["running_mean"], torch.tensor([2.0, 4.0]))
        torch.testing.assert_close(found["running_var"], torch.tensor([5.0, 8.0]))
        assert found["num_batches_tracked"] == 3


def test_training_can_be_repeated_and_starts_from_the_weights_of_the_first_process(tmp_path):
    first, second = run(tmp_path, train, (90, 150), False)[0], run(tmp_path, train, (90, 150), True)[0]
    assert same(first, second)


def train_in_a_group_and_then_alone() -> bool:
    in_group = train((150,))
    dist.destroy_process_group()
    trainer = trainer_on(cells(), early_stopping=vc.EarlyStopping(patience=2, threshold=0.1), lr=0.05)
    trainer.train(40)
    return same(in_group, outcome(trainer))


def test_a_group_of_one_trains_like_a_process_without_group(tmp_path):
    assert run(tmp_path, train_in_a_group_and_then_alone, n_processes=1) == [True]


def order_of_the_cells() -> list[float]:
    totals = []

    class Totals(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def loss_terms(self, x, batch_index=None, y=None):
            totals.extend(x.sum(dim=1).tolist())
            return (self.weight * x).sum(dim=1), torch.zeros(len(x)), torch.zeros(len(x))

    trainer_on(cells(40), Totals(), train_size=1.0).train(1)
    return totals


def test_each_process_draws_its_own_random_numbers(tmp_path):
    first, second = run(tmp_path, order_of_the_cells)
    assert first != second
    assert sorted(first) == sorted(second)


def warnings_of_training() -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer_on(shard(cells(), (70, 150)), n_epochs_kl_warmup=0).train(2)
    return [str(warning.message) for warning in caught]


def test_training_warns_of_nothing(tmp_path):
    assert run(tmp_path, warnings_of_training) == [[], []]


def train_every_kind() -> list[str]:
    """Train one epoch with every option; return what failed."""
    options = itertools.product(
        ("gene", "gene-batch", "gene-label", "gene-cell"), ("zinb", "nb", "poisson"), ("latent", "observed")
    )
    data = shard(cells(), (70, 150))
    failed = []
    for dispersion, likelihood, library in options:
        model = small_vae(dispersion=dispersion, likelihood=likelihood, library=library)
        try:
            trainer_on(data, model).train(1)
        except Exception as error:
            failed.append(f"{dispersion} {likelihood} {library}: {error}")
    trainer_on(data.binarize(), vc.BinaryVAE(20, n_hidden=8)).train(1)
    return failed


def train_with_covariates(kind: type[vc.VAE]) -> dict[str, Any]:
    data = cells()
    codes, values = np.arange(data.n_cells)[:, None] % 3, np.sin(np.arange(data.n_cells))[:, None]
    data = shard(data.replaced(categorical_covariates=codes, continuous_covariates=values), (70, 150))
    model = kind(20, n_hidden=8, n_latent=3, n_cats_per_cov=[3], n_continuous_cov=1)
    trainer = trainer_on(data, model)
    trainer.train(2)
    return outcome(trainer)


@pytest.mark.parametrize("kind", [vc.VAE, vc.FastVAE])
def test_covariates_reach_the_model_in_every_process(tmp_path, kind):
    first, second = run(tmp_path, train_with_covariates, kind)
    assert same(first, second)
    assert first["weights"]["decoder.px_decoder.fc_layers.Layer 0.0.weight"].shape == (8, 3 + 1 + 3)


def test_every_kind_of_model_trains(tmp_path):
    # a parameter that asks for gradients and gets none would end the second step
    assert run(tmp_path, train_every_kind) == [[], []]


# --------------------------------------------------------------------------------------------------------------------
# History
# --------------------------------------------------------------------------------------------------------------------


class Total(torch.nn.Module):
    """Its loss on a cell is the cell's total, whatever it learns; on test cells twice that."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def loss_terms(self, x, batch_index=None, y=None):
        totals = x.sum(dim=1) * (1 if self.training else 2)
        return totals + 0 * self.weight, torch.zeros(len(x)), torch.ones(len(x))


def history_of_totals(ends: tuple[int, ...]) -> tuple[dict, float, int, float, int]:
    trainer = trainer_on(shard(cells(), ends), Total(), n_epochs_kl_warmup=0, train_size=0.75)
    trainer.train(2)
    sets = [trainer.data.subset(posterior.indices) for posterior in (trainer.train_set, trainer.test_set)]
    return trainer.history, *itertools.chain(*((part.counts.sum(), part.n_cells) for part in sets))


@pytest.mark.parametrize("ends", [(60, 150), (3, 150)], ids=["two shards", "one without test cells"])
def test_history_is_that_of_the_cells_of_all_processes(tmp_path, ends):
    results = run(tmp_path, history_of_totals, ends)
    first, second = (history for history, *_ in results)
    assert first == second
    total, n_cells, total_test, n_test = np.sum([numbers for _, *numbers in results], axis=0)
    assert (results[0][-1] == 0) == (ends[0] == 3)
    np.testing.assert_allclose(first["reconstruction_error_train_set"], total / n_cells, rtol=1e-6)
    np.testing.assert_allclose(first["loss_train_set"], total / n_cells + 1, rtol=1e-6)
    np.testing.assert_allclose(first["reconstruction_error_test_set"], 2 * total_test / n_test, rtol=1e-6)
    np.testing.assert_allclose(first["kl_global_test_set"], 1)


# --------------------------------------------------------------------------------------------------------------------
# The prior of the library
# --------------------------------------------------------------------------------------------------------------------


def prior(counts: list[list[list[int]]], batches: list[list[int]], n_batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Prior in a process with its own counts and batches."""
    rank = dist.get_rank()
    data = vc.CountData(counts[rank], batches[rank], batch_names=["one", "two"])
    model = vc.VAE(1, n_batch=n_batch, n_hidden=4)
    trainer_on(data, model, train_size=1.0)
    return model.library_log_means.numpy(), model.library_log_vars.numpy()


COUNTS = [[[3], [10], [40]], [[7], [100], [1000], [5]]]
APART = [[0, 0, 0], [1, 1, 1, 1]]
LONELY = [[0, 1, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize("n_batch", [0, 2])
@pytest.mark.parametrize("batches", [APART, LONELY], ids=["each batch in one shard", "one cell of a batch in each"])
def test_the_prior_is_that_of_the_cells_of_all_processes(tmp_path, batches, n_batch):
    results = run(tmp_path, prior, COUNTS, batches, n_batch)
    data = vc.CountData([*COUNTS[0], *COUNTS[1]], [*batches[0], *batches[1]])
    data = data if n_batch else data.without_batches()
    for means, variances in results:
        np.testing.assert_allclose(means[0], data.library_mean, rtol=1e-6)
        np.testing.assert_allclose(variances[0], data.library_var, rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "batches", "message"),
    [
        (COUNTS, [[0, 0, 0], [0, 0, 1, 0]], "'two' has 1 training cell"),
        (COUNTS, [[0, 0, 0], [0, 0, 0, 0]], "'two' has 0 training cell"),
        (
            [[[3], [4]] + 5 * [[9]], 7 * [[9]]],
            [[0, 0] + 5 * [1], 7 * [1]],
            "'two' has cells that all have the same total",
        ),
    ],
)
def test_a_batch_that_is_too_small_in_all_is_refused_by_all(tmp_path, counts, batches, message):
    for error in run(tmp_path, prior, counts, batches, 2):
        assert isinstance(error, ValueError)
        assert message in str(error)


def test_moments_of_one_process_are_left_as_they_are():
    n, mean, var = np.array([3, 0]), np.array([1.1, 7.7]), np.array([0.3, 0.1])
    assert all(after is before for after, before in zip(pooled_moments(n, mean, var), (n, mean, var), strict=True))


# --------------------------------------------------------------------------------------------------------------------
# An error in one process ends all
# --------------------------------------------------------------------------------------------------------------------


class Breaking(Total):
    """In one process, the local KL is NaN from a certain minibatch on; its gradients are fine."""

    def __init__(self, rank: int, good_calls: int) -> None:
        super().__init__()
        self.good_calls = good_calls if dist.get_rank() == rank else 1000

    def loss_terms(self, x, batch_index=None, y=None):
        self.good_calls -= 1
        reconstruction, kl_local, kl_global = super().loss_terms(x)
        return reconstruction, kl_local if self.good_calls >= 0 else kl_local * torch.nan, kl_global


def break_in_one_process(rank: int, good_calls: int) -> None:
    trainer_on(shard(cells(), (100, 150)), Breaking(rank, good_calls), train_size=1.0).train(3)


@pytest.mark.parametrize("good_calls", [0, 3, 8])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_loss_that_is_nan_in_one_process_ends_all_of_them(tmp_path, rank, good_calls):
    for error in run(tmp_path, break_in_one_process, rank, good_calls):
        assert isinstance(error, ValueError)
        assert f"Process {rank} of 2 says: " in str(error)
        assert "first bad tensor is the output of kl_local" in str(error)


def train_with_bad_counts() -> None:
    trainer = trainer_on(shard(cells(), (100, 150)), train_size=1.0)
    if dist.get_rank() == 1:
        trainer.data.counts.data[50] = np.nan
    trainer.train(100)


def test_of_nan_that_spreads_all_processes_name_the_origin(tmp_path):
    for error in run(tmp_path, train_with_bad_counts):
        assert isinstance(error, ValueError)
        assert "Process 1 of 2 says: " in str(error)
        assert "counts are not (tensor x)" in str(error)


def train_with_other_cells_in_the_second(n_cells: int, n_batches: int, n_genes: int) -> None:
    changes = {"n_batches": n_batches, "n_genes": n_genes} if dist.get_rank() == 1 else {}
    trainer_on(cells(n_cells if changes else 60, **changes)).train(1)


@pytest.mark.parametrize(
    ("other", "message"),
    [((60, 3, 20), "2 batches, the data have 3"), ((1, 1, 20), "at least 2 cells"), ((60, 2, 21), "20 genes")],
    ids=["batches", "cells", "genes"],
)
def test_cells_that_do_not_suit_the_model_in_one_process_are_refused_by_all(tmp_path, other, message):
    first, second = run(tmp_path, train_with_other_cells_in_the_second, *other)
    assert isinstance(first, ValueError)
    assert str(first) == f"Process 1 of 2 says: {second}"
    assert message in str(second)


def train_towards(path: Path) -> None:
    trainer_on(cells(60)).train(2, checkpoint=path)


def test_a_checkpoint_that_cannot_be_written_ends_all(tmp_path):
    first, second = run(tmp_path, train_towards, tmp_path / "missing" / "run.pt")
    assert isinstance(first, OSError)
    assert isinstance(second, ValueError)
    for error in (first, second):
        assert "could not write" in str(error)


# --------------------------------------------------------------------------------------------------------------------
# Checkpoints
# --------------------------------------------------------------------------------------------------------------------


def train_from(path: Path, ends: tuple[int, ...], n_epochs: int = 6, resume: bool = True) -> dict[str, Any]:
    trainer = trainer_on(shard(cells(), ends), lr_schedule="constant")  # so that fewer epochs stand for an interruption
    trainer.train(n_epochs, checkpoint=path, resume=resume)
    return outcome(trainer)


@pytest.mark.parametrize("ends", [(75, 150), (40, 100, 150)], ids=["even shards", "three uneven shards"])
def test_a_resumed_run_ends_bitwise_as_an_uninterrupted_one(tmp_path, ends):
    n_processes = len(ends)
    whole = run(tmp_path, train_from, tmp_path / "whole.pt", ends, 6, n_processes=n_processes)
    run(tmp_path, train_from, tmp_path / "run.pt", ends, 2, n_processes=n_processes)
    resumed = run(tmp_path, train_from, tmp_path / "run.pt", ends, 6, n_processes=n_processes)
    for one, two in zip(whole, resumed, strict=True):
        assert two["epoch"] == 6
        assert same(one, two)


@pytest.fixture(scope="module")
def checkpoint_of_two(tmp_path_factory) -> Path:
    """A checkpoint of two processes with 75 cells each."""
    folder = tmp_path_factory.mktemp("run")
    run(folder, train_from, folder / "run.pt", (75, 150), 2)
    return folder / "run.pt"


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((50, 100, 150), "by a run of 2 process(es), this run has 3: start 2 again"),
        ((150,), "by a run of 2 process(es), this run has 1: start 2 again"),
        ((75, 149), "Process 1 of 2 says: "),
    ],
    ids=["three processes", "one process", "other cells in the second"],
)
def test_a_checkpoint_of_other_processes_is_refused_by_all(tmp_path, checkpoint_of_two, ends, message):
    results = run(tmp_path, train_from, checkpoint_of_two, ends, n_processes=len(ends))
    assert all(isinstance(error, ValueError) for error in results)
    assert message in str(results[0])
    assert all("process(es)" in str(error) or "another run: cells in test_set" in str(error) for error in results)


def test_a_checkpoint_of_several_processes_is_refused_without_them(checkpoint_of_two):
    with pytest.raises(ValueError, match=r"2 process\(es\), this run has 1"):
        trainer_on(cells()).train(6, checkpoint=checkpoint_of_two, resume=True)


SCRIPT = """
import os, signal, sys, warnings
from pathlib import Path
import numpy as np
import torch
import torch.distributed as dist
import vae_course as vc

warnings.filterwarnings("ignore", message="Training ended with a KL weight")
folder, kill = Path(sys.argv[1]), sys.argv[2] == "kill"
dist.init_process_group("gloo")
rank = dist.get_rank()
data = vc.simulate_counts(n_cells=120, n_genes=20, n_batches=2, seed=0)
data = data.subset(np.arange(50) if rank == 0 else np.arange(50, 120))
trainer = vc.UnsupervisedTrainer(vc.VAE(20, n_batch=2, n_hidden=8, n_latent=3), data, batch_size=16)
train_epoch = trainer._train_epoch

def train_epoch_and_die(bar):
    train_epoch(bar)
    if kill and rank == 1 and trainer.epoch == 3 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)

trainer._train_epoch = train_epoch_and_die
trainer.train(5, checkpoint=folder / f"{sys.argv[2]}.pt", resume=True)
torch.save([trainer.model.state_dict(), trainer.history], folder / f"{sys.argv[2]} {rank}")
dist.destroy_process_group()
"""


def torchrun(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # without the second, processes that are started again may look for each other where the killed ones were
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return subprocess.run(
        [*command, "--max-restarts", "2", str(script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_worker_of_torchrun_goes_on_and_ends_bitwise_the_same(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    for kind in ("undisturbed", "kill"):
        result = torchrun(script, str(tmp_path), kind)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "killed").exists()
    found = [torch.load(tmp_path / f"{kind} {rank}") for kind in ("undisturbed", "kill") for rank in (0, 1)]
    for weights, history in found[1:]:
        assert same(weights, found[0][0])
        assert history == found[0][1]


# --------------------------------------------------------------------------------------------------------------------
# The progress bar
# --------------------------------------------------------------------------------------------------------------------


def bar_is_silent() -> bool:
    with suppress(KeyError):
        del os.environ["TQDM_DISABLE"]
    return progress_bar()(total=10).disable


def test_only_the_first_process_shows_progress(tmp_path):
    assert run(tmp_path, bar_is_silent) == [False, True]
