"""A run that is killed, or whose disk is full, goes on from its last checkpoint as if nothing had happened."""

import json
import multiprocessing
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vae_course as vc

# Children start from a server that has loaded all that takes long (torch.optim loads torch._dynamo when it is first
# used): hundredths of a second instead of seconds, of which the kills would hit nothing but imports.
START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(START)
if START == "forkserver":
    CONTEXT.set_forkserver_preload(["pytest", "torch._dynamo", "vae_course.trainer"])

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="file sizes can be limited on POSIX systems only")


# --------------------------------------------------------------------------------------------------------------------
# Helpers
# --------------------------------------------------------------------------------------------------------------------


def make_trainer(early_stopping: bool = False, *, data: Any = None, n_hidden: int = 128, **options: Any):
    """A trainer of a VAE with dropout, batch effects and a random latent: all that needs random numbers.

    Its learning rate stays, so that a call that was to train for fewer epochs stands for one that was interrupted.
    """
    data = vc.simulate_counts(n_cells=72, n_genes=100, n_labels=2, n_batches=2, seed=0) if data is None else data
    model = vc.VAE(data.n_genes, n_batch=data.n_batches, n_hidden=n_hidden, n_latent=5)
    stopping = vc.EarlyStopping(patience=60, threshold=0.5) if early_stopping else None
    defaults = {"train_size": 0.75, "batch_size": 32, "n_epochs_kl_warmup": 10, "seed": 3, "lr_schedule": "constant"}
    return vc.UnsupervisedTrainer(model, data, early_stopping=stopping, **{**defaults, **options})


def outcome(trainer) -> dict[str, Any]:
    """All that a run leaves behind."""
    stopping = trainer.early_stopping
    return {
        "weights": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "history": trainer.history,
        "epoch": trainer.epoch,
        "n_seconds": len(trainer.epoch_seconds),
        "stopping": vars(stopping) if stopping else None,
    }


def assert_same(first: Any, second: Any, where: str = "outcome") -> None:
    """Compare nested results bit for bit."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert list(first) == list(second), where
        for key in first:
            assert_same(first[key], second[key], f"{where}[{key!r}]")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for position, pair in enumerate(zip(first, second, strict=True)):
            assert_same(*pair, f"{where}[{position}]")
    else:
        assert first == second, where


def assert_same_parameters(trainer, state: dict[str, Any]) -> None:
    """Compare with a checkpoint, whose running averages are those of the last minibatches and not the final ones."""
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter, state["weights"][name]), name


def train_quietly(trainer, n_epochs: int, **options: Any) -> None:
    """Train without the warning that so short a run does not end the warm-up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Training ended with a KL weight")
        trainer.train(n_epochs, **options)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def start(function: Callable[..., None], *arguments: Any) -> multiprocessing.Process:
    process = CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def finish(process: multiprocessing.Process) -> None:
    process.join(timeout=120)
    assert process.exitcode == 0, f"the child process ended with {process.exitcode}"


# --------------------------------------------------------------------------------------------------------------------
# Killed at any instant
# --------------------------------------------------------------------------------------------------------------------


def child_that_trains(early_stopping: bool, n_epochs: int, checkpoint: Path | None, result: Path) -> None:
    """What a learner's script does: build everything anew, train, keep the result."""
    torch.set_num_threads(1)
    trainer = make_trainer(early_stopping, lr=1e-3, lr_schedule="cosine")
    trainer.train(n_epochs, checkpoint=checkpoint, resume=checkpoint is not None)
    torch.save(outcome(trainer), result)


def stamp(path: Path) -> int:
    """When the file was written; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.exists() else 0


def wait_until(condition: Callable[[], bool], while_alive: multiprocessing.Process) -> None:
    """Wait without a pause, since what is waited for lasts a millisecond."""
    while not condition() and while_alive.is_alive():
        pass


@pytest.mark.parametrize("early_stopping", [False, True], ids=["to the end", "early stopping"])
def test_a_run_killed_again_and_again_ends_bitwise_as_one_never_killed(tmp_path, early_stopping):
    n_epochs = 120
    checkpoint = tmp_path / "run.pt"

    def partial() -> list[Path]:
        return list(tmp_path.glob(".run.*.partial.pt"))

    finish(start(child_that_trains, early_stopping, n_epochs, None, tmp_path / "undisturbed.pt"))
    undisturbed = torch.load(tmp_path / "undisturbed.pt", weights_only=True)
    assert 60 < undisturbed["epoch"] <= n_epochs
    assert early_stopping == (undisturbed["epoch"] < n_epochs)
    process = start(child_that_trains, early_stopping, n_epochs, tmp_path / "timed.pt", tmp_path / "timed result.pt")
    wait_until((tmp_path / "timed.pt").exists, while_alive=process)
    began = time.perf_counter()
    finish(process)
    seconds = time.perf_counter() - began  # of training with checkpoints, so that the kills suit slow and fast machines

    rng = np.random.default_rng(0)
    epochs_at_kill, while_writing = [], 0
    # at least ten kills, and on until some of them hit the writing of a checkpoint (but not for ever)
    while len(epochs_at_kill) < 10 or (while_writing < 2 and len(epochs_at_kill) < 40):
        for left_behind in partial():
            left_behind.unlink()
        before = stamp(checkpoint)
        process = start(child_that_trains, early_stopping, n_epochs, checkpoint, tmp_path / "killed.pt")
        if epochs_at_kill:  # the first kill may come while the child is still starting
            wait_until(lambda before=before: stamp(checkpoint) != before, while_alive=process)
        time.sleep(rng.uniform(0.0, 0.1) * seconds)
        if len(epochs_at_kill) % 2:  # aim every other kill: writing takes but a small part of the time
            wait_until(partial, while_alive=process)
        process.kill()
        process.join()
        if process.exitcode == 0:  # done before the kill
            break
        assert process.exitcode == -signal.SIGKILL or sys.platform == "win32"
        while_writing += bool(partial())
        if checkpoint.exists():  # whatever the instant, the checkpoint is whole
            epochs_at_kill.append(torch.load(checkpoint, weights_only=True)["epoch"])
        else:
            epochs_at_kill.append(0)
    assert len(epochs_at_kill) >= 10, "the run was over before it was killed ten times"
    assert while_writing >= 1, "no kill hit the writing of a checkpoint"
    assert epochs_at_kill == sorted(epochs_at_kill)
    assert len({epoch for epoch in epochs_at_kill if 0 < epoch < undisturbed["epoch"]}) >= 4, epochs_at_kill

    finish(start(child_that_trains, early_stopping, n_epochs, checkpoint, tmp_path / "killed.pt"))
    assert_same(torch.load(tmp_path / "killed.pt", weights_only=True), undisturbed)
    assert not partial()


# --------------------------------------------------------------------------------------------------------------------
# Resuming
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint_of_12(tmp_path_factory) -> Path:
    """A checkpoint after 12 epochs of the default trainer."""
    path = tmp_path_factory.mktemp("run") / "run.pt"
    make_trainer().train(12, checkpoint=path)
    return path


@pytest.fixture
def checkpoint(checkpoint_of_12, tmp_path) -> Path:
    path = tmp_path / "run.pt"
    path.write_bytes(checkpoint_of_12.read_bytes())
    return path


def test_writing_checkpoints_changes_nothing(checkpoint_of_12):
    trainer = make_trainer()
    trainer.train(12)
    state = torch.load(checkpoint_of_12, weights_only=True)
    assert_same_parameters(trainer, state)
    assert_same(state["history"], trainer.history)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_resume_with_another_seed_of_the_weights_takes_those_of_the_checkpoint(tmp_path, early_stopping):
    whole = make_trainer(early_stopping)
    whole.train(20)
    first = make_trainer(early_stopping)
    train_quietly(first, 7, checkpoint=tmp_path / "run.pt")
    second = make_trainer(early_stopping)
    with torch.no_grad():
        for parameter in second.model.parameters():
            parameter.fill_(0.5)
    torch.manual_seed(123)  # the global state must not matter
    second.train(20, checkpoint=tmp_path / "run.pt", resume=True)
    assert_same(outcome(second), outcome(whole))


def test_epochs_count_from_the_start_of_the_interrupted_call(tmp_path):
    whole = make_trainer()
    whole.train(11)
    whole.train(6)
    interrupted = make_trainer()
    interrupted.train(11)
    interrupted.train(2, checkpoint=tmp_path / "run.pt")  # stands for a call train(6) that ended after 2 epochs
    resumed = make_trainer()
    resumed.train(6, checkpoint=tmp_path / "run.pt", resume=True)
    assert resumed.epoch == 17
    assert_same(outcome(resumed), outcome(whole))


def test_resuming_a_finished_run_changes_nothing(checkpoint):
    before = torch.load(checkpoint, weights_only=True)
    trainer = make_trainer()
    trainer.train(12, checkpoint=checkpoint, resume=True)
    assert trainer.epoch == 12
    assert_same_parameters(trainer, before)
    assert_same(trainer.history, before["history"])
    finished = make_trainer()
    finished.train(12)
    assert_same(trainer.model.state_dict(), finished.model.state_dict())


def test_an_interrupted_run_that_goes_on_for_another_number_of_epochs_is_told_of_its_learning_rate(tmp_path):
    train_quietly(make_trainer(lr_schedule="cosine"), 2, checkpoint=tmp_path / "run.pt")
    with pytest.warns(UserWarning, match="was to train 2 epochs, this one 12, so the learning rate"):
        make_trainer(lr_schedule="cosine").train(12, checkpoint=tmp_path / "run.pt", resume=True)


def test_a_script_that_trains_in_two_calls_does_both_when_each_may_resume(tmp_path):
    trainer = make_trainer()
    for _ in range(2):
        trainer.train(11, checkpoint=tmp_path / "run.pt", resume=True)
    assert trainer.epoch == 22


def test_without_a_checkpoint_training_says_so_and_starts_anew(tmp_path, capsys):
    path = tmp_path / "run.pt"
    trainer = make_trainer()
    trainer.train(11, checkpoint=path, resume=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search(rf"no checkpoint {re.escape(str(path))} yet.*from the beginning", shown.err)
    reference = make_trainer()
    reference.train(11)
    assert capsys.readouterr().err == ""
    assert_same(outcome(trainer), outcome(reference))
    assert path.exists()


def test_resume_needs_the_name_of_a_file():
    with pytest.raises(ValueError, match="checkpoint"):
        make_trainer().train(3, resume=True)


def other_data(**changes: Any) -> vc.CountData:
    data = vc.simulate_counts(n_cells=72, n_genes=100, n_labels=2, n_batches=2, seed=changes.pop("seed", 0))
    for name, value in changes.items():
        setattr(data, name, value)
    return data


def with_one_count_more() -> vc.CountData:
    data = other_data()
    data.counts.data[-1] += 1
    return data


DIFFERENT = {
    "lr": lambda: {"lr": 2e-3},
    "eps": lambda: {"eps": 1e-8},
    "weight_decay": lambda: {"weight_decay": 0.0},
    "batch_size": lambda: {"batch_size": 16},
    "seed": lambda: {"seed": 4},
    "warm-up": lambda: {"n_epochs_kl_warmup": 11},
    "train_size": lambda: {"train_size": 0.8},
    "width": lambda: {"n_hidden": 64},
    "other cells": lambda: {"data": other_data(seed=1)},
    "one count": lambda: {"data": with_one_count_more()},
    "batches": lambda: {"data": other_data(batch_index=1 - other_data().batch_index)},
    "labels": lambda: {"data": other_data(labels=1 - other_data().labels)},
    "early stopping": lambda: {"early_stopping": True},
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_resuming_with_other_data_or_options_is_refused(checkpoint, changes):
    trainer = make_trainer(**changes())
    weights = deepcopy(trainer.model.state_dict())
    content = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=r"run\.pt belongs to another run: .* differ"):
        trainer.train(14, checkpoint=checkpoint, resume=True)
    assert checkpoint.read_bytes() == content
    assert_same(trainer.model.state_dict(), weights)
    assert trainer.epoch == 0


def test_resuming_with_another_patience_is_refused(tmp_path):
    make_trainer(early_stopping=True).train(11, checkpoint=tmp_path / "run.pt")
    trainer = make_trainer(early_stopping=True)
    trainer.early_stopping.patience = 2
    with pytest.raises(ValueError, match="another run"):
        trainer.train(14, checkpoint=tmp_path / "run.pt", resume=True)


def test_resuming_a_run_on_damaged_counts_with_whole_ones_is_refused(tmp_path):
    trainer = make_trainer()
    trainer.corrupt_posteriors(0.3)
    trainer.train(11, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="another run"):
        make_trainer().train(14, checkpoint=tmp_path / "run.pt", resume=True)


class Wide(torch.nn.Module):
    """A model of one's own, without options."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(n_genes, width)
        self.outer = torch.nn.Linear(width, n_genes)

    def loss_terms(self, x, batch_index=None, y=None):
        error = (self.outer(torch.relu(self.inner(torch.log1p(x)))) - torch.log1p(x)).square().sum(dim=-1)
        return error, torch.zeros_like(error), torch.zeros_like(error)


def test_resuming_with_a_model_of_other_shapes_is_refused(tmp_path):
    data = other_data()
    path = tmp_path / "run.pt"
    train_quietly(vc.UnsupervisedTrainer(Wide(100, 8), data), 2, checkpoint=path)
    with pytest.raises(ValueError, match=r"run\.pt"):
        vc.UnsupervisedTrainer(Wide(100, 9), data).train(3, checkpoint=path, resume=True)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(checkpoint, share):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"run\.pt is damaged"):
        make_trainer().train(14, checkpoint=checkpoint, resume=True)
    assert checkpoint.read_bytes() == content[: int(share * len(content))]  # nothing is thrown away unasked


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"not a checkpoint"),
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        lambda path: path.write_text(json.dumps({"epoch": 3})),
        lambda path: torch.save([1, 2, 3], path),
        lambda path: torch.save({"weights": torch.ones(3)}, path),
        lambda path: vc.VAE(100).save(path),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["text", "noise", "json", "list", "other dict", "saved model", "folder"],
)
def test_garbage_is_not_taken_for_a_checkpoint(checkpoint, write):
    write(checkpoint)
    with pytest.raises(ValueError, match=r"run\.pt"):
        make_trainer().train(14, checkpoint=checkpoint, resume=True)


def test_no_code_hidden_in_a_checkpoint_is_run(checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    state["history"] = Trap(checkpoint.parent / "sprung")
    torch.save(state, checkpoint)
    with pytest.raises(ValueError, match=r"run\.pt"):
        make_trainer().train(14, checkpoint=checkpoint, resume=True)
    assert not (checkpoint.parent / "sprung").exists()


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_another_number_of_threads_is_warned_about(checkpoint):
    threads = torch.get_num_threads()
    trainer = make_trainer()
    try:
        torch.set_num_threads(threads + 1)
        with pytest.warns(UserWarning, match=rf"threads {threads} -> {threads + 1}.*last bits"):
            trainer.train(13, checkpoint=checkpoint, resume=True)
    finally:
        torch.set_num_threads(threads)
    assert trainer.epoch == 13


@pytest.mark.parametrize("name", ["torch", "numpy", "processor"])
def test_other_versions_are_warned_about(checkpoint, name):
    state = torch.load(checkpoint, weights_only=True)
    state["machine"][name] = "something else"
    torch.save(state, checkpoint)
    with pytest.warns(UserWarning, match=rf"{name} something else -> "):
        make_trainer().train(13, checkpoint=checkpoint, resume=True)


def test_on_the_same_set_up_nothing_is_warned_about(checkpoint):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_trainer().train(13, checkpoint=checkpoint, resume=True)


# --------------------------------------------------------------------------------------------------------------------
# Writing: whole or not at all
# --------------------------------------------------------------------------------------------------------------------


def test_whoever_has_the_old_checkpoint_open_keeps_it_whole(checkpoint):
    before = checkpoint.read_bytes()
    trainer = make_trainer()
    with checkpoint.open("rb") as file:
        trainer.train(13, checkpoint=checkpoint, resume=True)
        assert file.read() == before  # written in place, it would have changed under the reader
    assert checkpoint.read_bytes() != before
    assert files_in(checkpoint.parent) == {"run.pt"}


def child_that_checkpoints(path: Path) -> None:
    torch.set_num_threads(1)
    make_trainer().train(40, checkpoint=path)


def test_a_reader_finds_a_whole_checkpoint_at_any_time(tmp_path):
    process = start(child_that_checkpoints, tmp_path / "run.pt")
    epochs = []
    while process.is_alive():
        if (tmp_path / "run.pt").exists():
            epochs.append(torch.load(tmp_path / "run.pt", weights_only=True)["epoch"])
    finish(process)
    assert epochs == sorted(epochs)
    assert len(set(epochs)) > 5


def test_a_partial_file_left_by_a_kill_is_removed(checkpoint):
    (checkpoint.parent / ".run.12ab34cd.partial.pt").write_bytes(b"half")
    make_trainer().train(13, checkpoint=checkpoint, resume=True)
    assert files_in(checkpoint.parent) == {"run.pt"}


def test_settings_that_are_numpy_scalars_can_be_resumed(tmp_path):
    def trainer():
        data = vc.simulate_counts(n_cells=np.int64(60), n_genes=10, seed=np.int64(0))
        model = vc.VAE(np.int64(10), n_hidden=np.int32(8), dropout_rate=np.float64(0.1), seed=np.int64(3))
        numbers = {"lr": np.float64(0.01), "batch_size": np.int64(16), "seed": np.int64(1), "lr_schedule": "constant"}
        stopping = vc.EarlyStopping(patience=np.int64(50), threshold=np.float64(1.0))
        options = {"n_epochs_kl_warmup": np.int64(0), "train_size": np.float64(0.8), "early_stopping": stopping}
        return vc.UnsupervisedTrainer(model, data, **numbers, **options)

    trainer().train(np.int64(2), checkpoint=tmp_path / "run.pt")
    resumed = trainer()
    resumed.train(np.int64(3), checkpoint=tmp_path / "run.pt", resume=True)
    assert resumed.epoch == 3
    resumed.model.save(tmp_path / "model.pt")
    assert vc.VAE.load(tmp_path / "model.pt").options == resumed.model.options


def child_on_a_full_disk(path: Path, connection: Any) -> None:
    """Resume with files limited to half the size of a checkpoint; report what comes."""
    import resource

    torch.set_num_threads(1)
    trainer = make_trainer()
    limit = path.stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        trainer.train(14, checkpoint=path, resume=True)
    except Exception as error:
        connection.send((isinstance(error, OSError), str(error)))
    else:
        connection.send((False, "no error"))


@posix_only
def test_a_full_disk_is_one_clear_line_and_the_checkpoint_stays(checkpoint):
    before = checkpoint.read_bytes()
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = start(child_on_a_full_disk, checkpoint, sender)
    assert receiver.poll(60), "the child said nothing"
    is_os_error, message = receiver.recv()
    finish(process)
    assert is_os_error, message
    assert f"could not write {checkpoint}" in message
    assert "the earlier file is untouched" in message
    assert "\n" not in message
    assert checkpoint.read_bytes() == before
    assert files_in(checkpoint.parent) == {"run.pt"}


def below_a_file(folder: Path) -> Path:
    (folder / "notes.txt").write_text("a regular file")
    return folder / "notes.txt" / "run.pt"


def a_folder(folder: Path) -> Path:
    (folder / "run.pt").mkdir()
    return folder / "run.pt"


@pytest.mark.parametrize(
    ("place", "resume"),
    [
        (below_a_file, False),
        (below_a_file, True),
        (lambda folder: folder / "missing" / "run.pt", False),
        (lambda folder: folder / "missing" / "run.pt", True),
        (a_folder, False),  # when resuming, a folder is refused as it is read, like any other garbage
    ],
)
def test_an_unwritable_place_is_one_clear_line_before_training(tmp_path, place, resume, capsys):
    path = place(tmp_path)
    before = files_in(tmp_path)
    trainer = make_trainer()
    with pytest.raises(OSError, match=re.escape(f"could not write {path}")) as caught:
        trainer.train(3, checkpoint=path, resume=resume)
    assert "nothing was written" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert trainer.epoch == 0  # said at once, not after an epoch's work
    assert files_in(tmp_path) == before
    capsys.readouterr()


@pytest.mark.parametrize("place", [below_a_file, lambda folder: folder / "missing" / "run.pt", a_folder])
def test_a_model_that_cannot_be_saved_says_so_and_leaves_nothing(tmp_path, place):
    path = place(tmp_path)
    before = files_in(tmp_path)
    with pytest.raises(OSError, match=re.escape(f"could not write {path}")):
        vc.VAE(5).save(path)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("epochs_before_the_kill", [0, 5, 11, 15, 22])
def test_a_script_of_two_calls_ends_the_same_wherever_it_was_killed(tmp_path, monkeypatch, epochs_before_the_kill):
    class KilledError(Exception):
        pass

    def script() -> vc.UnsupervisedTrainer:
        trainer = make_trainer(lr_schedule="cosine")
        for _ in range(2):
            trainer.train(11, checkpoint=tmp_path / "run.pt", resume=True)
        return trainer

    def train_epoch_or_die(trainer: vc.Trainer, bar: Any) -> None:
        if trainer.epoch == epochs_before_the_kill:
            raise KilledError
        train_epoch(trainer, bar)

    train_epoch = vc.Trainer._train_epoch
    with monkeypatch.context() as patch:
        patch.setattr(vc.Trainer, "_train_epoch", train_epoch_or_die)
        if epochs_before_the_kill < 22:
            with pytest.raises(KilledError):
                script()
        else:
            script()
    again = script()
    assert again.epoch == 22
    reference = make_trainer(lr_schedule="cosine")
    for _ in range(2):
        reference.train(11)
    assert_same(outcome(again), outcome(reference))


def test_a_refused_resume_can_be_repeated_with_the_right_file(tmp_path, checkpoint):
    trainer = make_trainer()
    (tmp_path / "wrong.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="wrong"):
        trainer.train(14, checkpoint=tmp_path / "wrong.pt", resume=True)
    done = torch.load(checkpoint, weights_only=True)["epoch"]
    trainer.train(14, checkpoint=checkpoint, resume=True)
    assert trainer.epoch == 14
    assert len(trainer.epoch_seconds) == 14
    assert done < 14
