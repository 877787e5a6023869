"""The engine: blanks, hostile answers, the decorator; nothing breaks the notebook."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from exercise_helpers import made_by_exec, sentences
from torch import nn

from vae_course.exercises import EXERCISES, check, exercise, hint, isolation, progress, wire
from vae_course.exercises.sources import blanked, source_of
from vae_course.nn import FCLayers

IDS = list(EXERCISES)


# --------------------------------------------------------------------------------------------------------------------
# Nothing written yet
# --------------------------------------------------------------------------------------------------------------------


def dots(counts):
    """With a docstring."""
    ...  # noqa: PIE790


def passing(counts):
    pass


def raising(counts):
    """Raise."""
    raise NotImplementedError("later")


def only_docstring(counts):
    """Only this."""


class BlankLinear(nn.Module):
    """A blank class."""

    def __init__(self, n_in, n_out):
        """Make it."""
        ...  # noqa: PIE790

    def forward(self, x):
        raise NotImplementedError


def returning_none(counts):
    return None


@pytest.mark.parametrize("blank", [None, dots, passing, raising, only_docstring])
def test_a_blank_is_not_attempted(blank):
    assert check("0.1", blank).status == "not_attempted"


def test_a_decorated_blank_is_not_attempted():
    assert check("0.1", torch.no_grad()(dots)).status == "not_attempted"
    assert check("0.1", torch.no_grad()(made_by_exec("def library_size(counts): ..."))).status == "not_attempted"


def test_a_ring_of_decorators_is_judged():
    answer = made_by_exec("def library_size(counts): return counts.sum(1)")
    answer.__wrapped__ = answer
    assert check("0.1", answer).status == "passed"


def test_a_blank_class_is_not_attempted():
    assert check("2.1", BlankLinear).status == "not_attempted"


@pytest.mark.parametrize(
    "body", ["...", "pass", "'doc'", "'doc'\n    ...", "raise NotImplementedError", "raise NotImplementedError('x')"]
)
def test_a_blank_without_source_text_is_not_attempted(body):
    assert check("0.1", made_by_exec(f"def library_size(counts):\n    {body}")).status == "not_attempted"


@pytest.mark.parametrize("number", IDS)
def test_every_blank_of_the_student_editions_is_not_attempted(number):
    text = blanked(source_of(EXERCISES[number].reference))
    scope = {}
    exec("from __future__ import annotations\nimport torch\nfrom torch import nn\n" + text, scope)
    assert check(number, scope[EXERCISES[number].name]).status == "not_attempted"


@pytest.mark.parametrize("wrong", [returning_none, lambda counts: None, "library_size", 3, 3.0, [], {}, object(), int])
def test_what_is_no_blank_is_wrong(wrong):
    result = check("0.1", wrong)
    assert result.status in ("wrong", "error")
    assert sentences(result.message) <= 2


def test_an_answer_without_source_text_is_judged():
    assert check("0.1", made_by_exec("def library_size(counts):\n    return counts.sum(1)")).status == "passed"
    assert (
        check("0.1", made_by_exec("def library_size(counts):\n    return counts.sum(0)")).diagnosis == "sums-over-cells"
    )


def test_an_unknown_exercise_is_named():
    for ask in (check, lambda number, _: exercise(number), lambda number, _: hint(number)):
        with pytest.raises(ValueError, match=r"no exercise '7\.3'; there are 0\.1"):
            ask("7.3", None)
        with pytest.raises(ValueError, match=r'quotes: "0.1", not 1.1'):
            ask(1.1, None)


# --------------------------------------------------------------------------------------------------------------------
# Hostile answers
# --------------------------------------------------------------------------------------------------------------------


def endless(counts):
    while True:
        pass


def endless_and_stubborn(counts):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def asleep(counts):
    time.sleep(1000)


def stopped(counts):
    os.kill(os.getpid(), signal.SIGSTOP)


def raiser(error):
    def answer(counts):
        raise error

    return answer


def recursive(counts):
    return recursive(counts)


def chatty(counts):
    for _ in range(20_000):
        print("x" * 1000)
    os.write(1, b"y" * 10_000_000)
    return counts.sum(1)


def greedy(counts):
    return torch.ones(10**13)


def hoarder(counts):
    kept = []
    while True:
        kept.append(torch.empty(10**7))


def dying(counts):
    os._exit(0)


def asking(counts):
    return float(input("your totals? "))


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError


class Hostile:
    def __getattr__(self, name):
        raise KeyboardInterrupt

    def __eq__(self, other):
        return True


class AlwaysEqual(torch.Tensor):
    def __eq__(self, other):
        return torch.ones(self.shape, dtype=torch.bool)

    def __sub__(self, other):
        return torch.zeros(self.shape)


def patching(counts):
    torch.equal = torch.allclose = lambda *a, **k: True
    return counts.sum(0)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which Windows does not have")


@pytest.mark.parametrize("answer", [endless, endless_and_stubborn, asleep, stopped], ids=lambda f: f.__name__)
@needs_fork
def test_an_endless_answer_is_ended(answer, monkeypatch):
    monkeypatch.setattr(isolation, "SECONDS", 1.0)
    start = time.monotonic()
    result = check("0.1", answer)
    assert time.monotonic() - start < 3
    assert result.status == "error"


def writes_to_all_pipes(counts):
    for descriptor in range(3, 50):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\0" * 4 + b"\1[1, 2, 3]" * 1000)
    return counts.sum(1)


def forges_a_report(report):
    def answer(counts):
        for descriptor in range(3, 50):
            with contextlib.suppress(OSError):
                wire.send(os.fdopen(descriptor, "wb", closefd=False), report)
        os._exit(0)

    return answer


GOOD = {"kind": "callable", "words": "", "printed": "", "outcomes": []}
FORGED = [
    {},
    {"trouble": 3},
    GOOD,
    GOOD | {"outcomes": [1]},
    GOOD | {"outcomes": [{"values": {}, "gradients": {}, "changed": [], "error": "", "reason": "", "line": ""}] * 9},
    GOOD | {"kind": ["blank"]},
    {"kind": "other", "words": "\ud800 a lone surrogate", "printed": "\ud800"},
]


@needs_fork
@pytest.mark.parametrize("answer", [writes_to_all_pipes, *map(forges_a_report, FORGED)])
def test_what_an_answer_writes_into_the_pipe_breaks_nothing(answer):
    result = check("0.1", answer)
    assert result.status in ("wrong", "error")
    result.message.encode()


def named(name):
    def answer(counts):
        return counts.sum(1)

    answer.__name__ = name
    return answer


class Meta(type):
    def __getattribute__(cls, name):
        raise SystemExit

    def __instancecheck__(cls, other):
        raise SystemExit


def exploding():
    return Meta("Exploding", (), {})  # pytest itself looks at classes of a module


class EndlessRepr(str):
    __slots__ = ()

    def __repr__(self):
        while True:
            pass


class LyingClass:
    @property
    def __class__(self):
        while True:
            pass

    def __call__(self, counts):
        return counts.sum(1)


class EndlessGetattr:
    def __getattr__(self, name):
        while True:
            pass


def with_source_in(path):
    """Return an answer whose source is said to be in a file that never ends."""
    scope = {}
    exec(compile("def library_size(counts):\n    return counts.sum(0)", path, "exec"), scope)
    return scope["library_size"]


@needs_fork
@pytest.mark.parametrize(
    "make",
    [
        lambda path: exploding(),
        lambda path: EndlessRepr("x"),
        lambda path: LyingClass(),
        lambda path: EndlessGetattr(),
        lambda path: Hostile(),
        lambda path: named("\ud800"),
        lambda path: with_source_in("/dev/zero"),
        lambda path: os.mkfifo(path) or with_source_in(str(path)),
    ],
)
def test_an_odd_object_is_only_touched_where_it_does_no_harm(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(isolation, "SECONDS", 2.0)
    start = time.monotonic()
    exercise("0.1")(make(tmp_path / "fifo"))
    assert time.monotonic() - start < 6
    assert capsys.readouterr().out.encode()


def test_an_endless_answer_is_given_less_than_ten_seconds():
    assert isolation.SECONDS <= 9


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raiser(SystemExit(0)), "end Python"),
        (raiser(KeyboardInterrupt()), "end Python"),
        (raiser(GeneratorExit()), "GeneratorExit"),
        (raiser(UnprintableError()), "UnprintableError"),
        (recursive, "without end"),
        (greedy, "your code stopped"),
        (asking, "keyboard"),
        pytest.param(dying, "Python itself", marks=needs_fork),
        pytest.param(hoarder, "memory", marks=needs_fork),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_hostile_answer_is_an_error(answer, words):
    result = check("0.1", answer)
    assert result.status == "error"
    assert words.lower() in result.message.lower()


@needs_fork
def test_megabytes_of_output_are_swallowed(capfd):
    result = check("0.1", chatty)
    assert result.status == "passed"
    assert set(result.printed) == {"x"}
    assert len(result.printed) <= isolation.PRINTED
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "answer",
    [
        lambda c: Hostile(),
        lambda c: c.sum(0).as_subclass(AlwaysEqual),
        lambda c: c.sum(1).to_sparse().bool(),
        lambda c: torch.nn.Parameter(c.sum(0)),
        lambda c: (x for x in c),
        lambda c: torch.zeros(3000, 3000),
        pytest.param(patching, marks=needs_fork),
    ],
)
def test_an_odd_result_is_wrong(answer):
    assert check("0.1", answer).status in ("wrong", "error")
    assert not torch.equal(torch.ones(1), torch.zeros(1))


class OddModule(nn.Module):
    """A module that answers every call with the same thing."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.weight = answer, nn.Parameter(torch.ones(2))

    def forward(self, *arguments):
        return self.answer


ODD = [
    *(None, "text", b"bytes", 0, 1.5, True, 1j, float("nan"), [], {}, (), object(), int, np.ones(3), np.float32(2)),
    *(torch.ones(shape) for shape in ((), (1,), (3,), (3, 3), (5, 2), (4, 3, 2), (0,), (2000, 2000))),
    *(torch.tensor(0), torch.tensor([True]), torch.tensor([1j]), torch.full((3, 2), float("nan"))),
    *(torch.ones(3, 2).to_sparse(), torch.empty(3, device="meta"), (torch.ones(3), None), [torch.ones(5, 2)] * 2),
    *((torch.ones(5, 2), torch.ones(5, 3)), (torch.ones(2), torch.ones(2), torch.ones(2))),
]


@pytest.mark.parametrize("number", IDS)
@pytest.mark.usefixtures("in_thread")
def test_nothing_that_an_answer_returns_breaks_the_check(number):
    for odd in ODD:
        for answer in (lambda *a, odd=odd, **k: odd, lambda *a, odd=odd, **k: OddModule(odd)):
            result = check(number, answer)
            assert result.status in ("wrong", "error"), odd
            assert 0 < len(result.message) < 1500


def test_the_process_is_left_as_it_was():
    torch.manual_seed(5)
    state, threads, cwd = torch.get_rng_state(), torch.get_num_threads(), os.getcwd()
    stdout, ask = sys.stdout, __builtins__["input"] if isinstance(__builtins__, dict) else __builtins__.input

    def meddling(counts):
        torch.manual_seed(1)
        torch.set_num_threads(3)
        torch.set_default_dtype(torch.float64)
        os.chdir("/")
        sys.stdout = None
        return counts.sum(1)

    if hasattr(os, "fork"):
        assert check("0.1", meddling).status == "passed"
    assert check("2.4", FCLayers).status == "passed"
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), os.getcwd(), torch.get_default_dtype()) == (threads, cwd, torch.float32)
    assert sys.stdout is stdout
    assert (__builtins__["input"] if isinstance(__builtins__, dict) else __builtins__.input) is ask


@needs_fork
def test_no_child_is_left_behind():
    check("0.1", raiser(ValueError("x")))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# What a mis-indented line, a fork bomb and processes that flee do, at the mercy of a limit on processes.
MULTIPLYING = """
import os, resource, sys
from vae_course.exercises import check, exercise
check("0.1", lambda counts: counts.sum(1))  # what is imported on the way, an ordinary user might not see
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))

def calls_itself(counts):
    result = counts.sum(1)
    check("0.1", calls_itself)
    return result

def decorated_within(counts):
    @exercise("0.1")
    def library_size(counts):
        return counts.sum(1)
    return library_size(counts)

def bomb(counts):
    while True:
        os.fork()

def flees(counts):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:  # from process to process
                if os.fork():
                    os._exit(0)
    return counts.sum(1)

def spawns(counts):
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    return counts.sum(1)

for answer in (calls_itself, decorated_within, bomb, flees, spawns):
    print(answer.__name__, check("0.1", answer), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes by Linux's limit for an ordinary user")
def test_an_answer_cannot_multiply():
    command = [sys.executable, "-c", MULTIPLYING]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert set(said) == {"calls_itself", "decorated_within", "bomb", "flees", "spawns"}
    assert all("status='error'" in what for what in said.values())
    assert "stands within the answer that it checks (move that line out of the function" in said["calls_itself"]
    assert "may not start other processes" in said["bomb"]


def test_an_answer_that_uses_threads_passes():
    def threaded(counts):
        totals = []
        thread = threading.Thread(target=lambda: totals.append(counts.sum(1)))
        thread.start()
        thread.join()
        return totals[0]

    assert check("0.1", threaded).status == "passed"


@needs_fork
def test_a_slow_right_answer_passes():
    def slow(counts):
        time.sleep(0.05)
        return counts.sum(1)

    assert check("0.1", slow).status == "passed"


@pytest.mark.usefixtures("in_thread")
def test_without_a_child_process_the_judgement_is_the_same(monkeypatch, capsys):
    for number in IDS:
        assert check(number, EXERCISES[number].reference).status == "passed"
    assert check("0.1", lambda c: c.sum(0)).diagnosis == "sums-over-cells"
    assert check("0.1", raiser(SystemExit(1))).status == "error"
    assert check("0.1", asking).status == "error"

    def chatting(counts):
        print("hello", counts.shape)
        return counts.sum(1)

    assert check("0.1", chatting).printed.startswith("hello torch.Size([3, 2])")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(isolation, "SECONDS", 0.3)
    message = check("0.1", asleep_for_a_while).message
    assert "never ends" in message
    assert "run the cell again" in message


def asleep_for_a_while(counts):
    time.sleep(1)


@pytest.mark.usefixtures("in_thread")
def test_inputs_are_safe_without_a_child_process_too():
    def vandal(counts):
        return counts.zero_().sum(1)

    assert "wrong" in check("0.1", vandal).status
    assert check("0.1", EXERCISES["0.1"].reference).status == "passed"


# --------------------------------------------------------------------------------------------------------------------
# The decorator
# --------------------------------------------------------------------------------------------------------------------


def test_a_right_answer_goes_on(capsys):
    def library_size(counts):
        return counts.sum(1)

    assert exercise("0.1")(library_size) is library_size
    said = f"correct. {EXERCISES['0.1'].built}\n  The lesson goes on with yours.\n"
    assert capsys.readouterr().out == f"✓ 0.1 library_size: {said}"
    assert progress()["0.1"] == {"status": "passed", "attempts": 1, "hints": 0, "solution": False}


@pytest.mark.parametrize("number", IDS)
def test_any_single_wrong_answer_yields_the_reference(number, capsys):
    one = EXERCISES[number]
    first_mistake = next(iter(one.mistakes.values()))[0]
    for answer in (None, "text", dots, first_mistake, raiser(SystemExit(2)), lambda *arguments: 0):
        assert exercise(number)(answer) is one.reference
        assert len(capsys.readouterr().out.splitlines()) <= 6


def test_what_the_learner_printed_and_another_name_are_mentioned(capsys):
    @exercise("0.1")
    def totals(counts):
        print("shape", tuple(counts.shape))
        return counts.sum(1)

    out = capsys.readouterr().out
    assert "Your code printed: shape (3, 2)" in out
    assert "you call it totals, and the lesson looks for library_size" in out
    assert "goes on with yours" not in out


def test_a_blank_is_no_attempt(capsys):
    assert exercise("0.1")(dots) is EXERCISES["0.1"].reference
    out = capsys.readouterr().out
    assert "not done yet" in out
    assert 'hint("0.1")' in out
    assert progress()["0.1"]["attempts"] == 0
