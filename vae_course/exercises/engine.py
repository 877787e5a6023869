"""What an exercise is, and how an attempt at it is judged."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises import isolation
from vae_course.exercises.attempt import Case, Outcome, Report, Use, Value, name_results, plain, run_case
from vae_course.exercises.sources import find

Property = Callable[[Case, Mapping[str, Value], Mapping[str, Value]], str | None]
Warn = Callable[[Case, Mapping[str, Value]], str | None]


@dataclass(frozen=True)
class Result:
    """What became of an attempt.

    Attributes
    ----------
    status
        "passed", "not_attempted", "wrong" or "error" (the attempt raised, or did not end).
    message
        One or two sentences for the learner.
    diagnosis
        Id of the known misconception that the attempt shows, or None.
    printed
        The beginning of what the attempt printed.
    name
        What the attempt calls itself, if it is callable.
    compared
        For a wrong number: the case, the attempt's first numbers and the right ones, as text; else None.
    warning
        For a right answer that will hurt later: why, in a sentence; else "".
    """

    status: str
    message: str
    diagnosis: str | None = None
    printed: str = ""
    name: str = ""
    compared: tuple[str, str, str] | None = None
    warning: str = ""


@dataclass(frozen=True)
class Exercise:
    """An exercise: what it is called with, what is right, and what people get wrong.

    Attributes
    ----------
    id
        Such as "0.1".
    symbol
        Dotted name of the reference answer.
    cases
        Makes the calls that an attempt has to answer, the plainest first.
    hints
        Two: what to think of, then nearly how.
    built
        What the learner has built with a right answer, in one sentence.
    mistakes
        Misconceptions: id -> (a wrong answer that shows it, a message that names it in a beginner's words).
    returns
        Names of the results, in words.
    gradients
        Names of the arguments that gradients have to reach.
    use
        Turns an attempt and a case's arguments into named results, where the attempt runs; calls the attempt if None.
    examine
        Turns what came from `use` into the results that are compared, in this process, where no attempt can reach it;
        takes the case and the named values. As they are if None.
    hidden
        Makes further calls, with numbers drawn from a seed: for grading, so that an answer cannot know them.
    properties
        Explain what is wrong with an answer that shows no known misconception: each takes the case, the results
        and the right ones, and returns a sentence or None.
    warns
        Say why a right answer will hurt later: each takes a case and what came from `use`, before `examine`, and
        returns a sentence or None. The first sentence is shown, and the attempt has passed all the same.
    shape
        The shape of the result in words, such as "(cells,), one number for every cell".
    plain
        A right answer to show to learners, where the reference is written for speed.
    tolerance
        Absolute, or relative where the right value is above 1.
    advice
        Words in an exception's text -> what to say about it in this exercise, beside what is said in all of them.
    """

    id: str
    symbol: str
    cases: Callable[[], list[Case]]
    hints: tuple[str, str]
    built: str
    mistakes: Mapping[str, tuple[Callable, str]]
    returns: tuple[str, ...] = ("the result",)
    gradients: tuple[str, ...] = ()
    use: Use | None = None
    examine: Callable[[Case, Mapping[str, Value]], dict[str, Any]] | None = None
    hidden: Callable[[int], list[Case]] | None = None
    properties: tuple[Property, ...] = ()
    warns: tuple[Warn, ...] = ()
    shape: str = ""
    plain: Callable | None = None
    tolerance: float = 1e-4
    advice: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the function or class to write."""
        return self.symbol.rsplit(".", 1)[1]

    @property
    def kind(self) -> str:
        """What to write, "class" or "function"."""
        return "class" if isinstance(self.reference, type) else "function"

    @property
    def number(self) -> tuple[int, int]:
        """Its lesson, and its place there: to sort by, since 5.10 comes after 5.9."""
        lesson, place = self.id.split(".")
        return int(lesson), int(place)

    @property
    def lesson(self) -> int:
        """Number of its lesson."""
        return self.number[0]

    @cached_property
    def reference(self) -> Callable:
        """The right answer."""
        return find(self.symbol)

    @cached_property
    def arguments(self) -> list[str]:
        """Names of the arguments of the calls."""
        if self.use is not None:
            return list(inspect.signature(self.use).parameters)[1:]
        return list(inspect.signature(self.reference).parameters)

    @cached_property
    def wanted(self) -> list[Outcome]:
        """What the reference does in every case."""
        return list(Outcomes(self, self.reference))

    @cached_property
    def mistaken(self) -> dict[str, "Outcomes"]:
        """What every misconception does in every case."""
        return {name: Outcomes(self, answer) for name, (answer, _) in self.mistakes.items()}

    def run(self, attempt: Any) -> Report:
        """Let an attempt answer all cases, where it can do no harm."""
        report = isolation.run(attempt, self.name, self._use, self.cases(), self.gradients, self.arguments)
        try:
            return replace(report, outcomes=self.examined(report.outcomes))
        except Exception:  # the attempt wrote its own report, which nothing can be made of
            return Report([], trouble="crash")

    def examined(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Turn what an attempt did in all cases into what is compared."""
        if not (self.examine or self.warns) or not outcomes:
            return outcomes
        return [self._examined(case, got) for case, got in zip(self.cases(), outcomes, strict=True)]

    def _examined(self, case: Case, got: Outcome) -> Outcome:
        if got.error:
            return got
        warning = next(filter(None, (warn(case, got.values) for warn in self.warns)), "")
        values = got.values if self.examine is None else self.examine(case, got.values)
        return replace(got, values={name: plain(value) for name, value in values.items()}, warning=warning)

    def agrees(self, got: Outcome, want: Outcome) -> bool:
        """Whether an attempt did in a case what it should."""
        return _same(got, want, self.tolerance)

    def _use(self, attempt: Callable, *arguments: Any) -> dict[str, Any]:
        if self.use is not None:
            return self.use(attempt, *arguments)
        return name_results(attempt(*arguments), self.returns)


class Outcomes(Sequence[Outcome]):
    """What an answer of the course's own does in every case, worked out when it is asked for.

    A misconception that differs from an attempt in the first case is not run on the others.
    """

    def __init__(self, exercise: Exercise, answer: Callable) -> None:
        self._exercise, self._answer, self._cases = exercise, answer, exercise.cases()
        self._known: dict[int, Outcome] = {}

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self._cases)

    def __getitem__(self, number: int) -> Outcome:
        """Return what it does in a case."""
        if number not in self._known:
            one, case = self._exercise, self._cases[number]
            got = run_case(self._answer, one._use, case, one.gradients, one.arguments)
            self._known[number] = one._examined(case, got)
        return self._known[number]


def judge(exercise: Exercise, attempt: Any) -> Result:
    """Judge an attempt, whatever it is, without touching it in this process.

    Returns
    -------
    Result
        "passed" only if it does what the reference does in every case.
    """
    exercise.wanted  # noqa: B018  # first, in this process: what has to be imported on the way, a child then has
    report = exercise.run(attempt)
    if report.trouble or report.kind == "callable":
        return replace(verdict(exercise, report), name=report.words)
    if report.kind == "blank":
        return Result("not_attempted", "Not done yet: write your code where the blank is, then run the cell again.")
    return Result("wrong", f"Expected the {exercise.kind} {exercise.name}, got {report.words}.")


def verdict(exercise: Exercise, report: Report) -> Result:
    """Judge what an attempt did in all cases of an exercise, after `Exercise.examined`."""
    if report.trouble == "endless":
        reason = (
            f"It did not finish within {isolation.SECONDS:.0f} seconds: is there a loop that never ends? "
            "On a busy computer, run the cell again."
        )
        return Result("error", reason, printed=report.printed)
    if report.trouble == "crash":
        return Result("error", "It made Python itself stop. Does it end the program, or use up all memory?")
    return _judge_outcomes(exercise, report)


def _judge_outcomes(exercise: Exercise, report: Report) -> Result:
    pairs = list(zip(report.outcomes, exercise.wanted, strict=True))
    bad = [position for position, (got, want) in enumerate(pairs) if not exercise.agrees(got, want)]
    if not bad:
        warning = next((got.warning for got in report.outcomes if got.warning), "")
        return Result("passed", "Correct.", printed=report.printed, warning=warning)
    mistake = _recognised(exercise, report.outcomes)
    cases, first = exercise.cases(), bad[0]
    got, want = pairs[first]
    compared = _compared(cases[first].label, got, want, exercise.tolerance)
    if mistake is not None:
        raised = all(report.outcomes[position].error for position in bad)
        status = "error" if raised else "wrong"
        return Result(status, exercise.mistakes[mistake][1], mistake, report.printed, compared=compared)
    right_before = f"Right for {cases[0].label}, but not for {cases[first].label}: " if first > 0 else ""
    if got.error:
        message = right_before + _explain_error(got, exercise.advice)
        return Result("error", _as_sentence(message), printed=report.printed)
    message = right_before + _explain_difference(exercise, cases[first], got, want)
    return Result("wrong", _as_sentence(message), printed=report.printed, compared=compared)


def _compared(label: str, got: Outcome, want: Outcome, tolerance: float) -> tuple[str, str, str] | None:
    """Put the first wrong numbers beside the right ones."""
    for name, due in want.values.items():
        yours = got.values.get(name)
        if yours is None or yours.tensor is None or due.tensor is None or yours.shape != due.shape:
            return None
        if not _same_value(yours, due, tolerance, any_dtype=True):
            wrong = ~_close(yours.tensor, due.tensor, tolerance)
            shown = [", ".join(f"{n + 0:.4g}" for n in one.tensor[wrong][:3].tolist()) for one in (yours, due)]  # no -0
            return (label, *(numbers + ", ..." * (int(wrong.sum()) > 3) for numbers in shown))
    return None


def _as_sentence(message: str) -> str:
    return message[0].upper() + message[1:]


# --------------------------------------------------------------------------------------------------------------------
# Comparing
# --------------------------------------------------------------------------------------------------------------------


def _recognised(exercise: Exercise, outcomes: list[Outcome]) -> str | None:
    """Find the misconception that does the same as an attempt in every case, and not what is right in every case.

    Compared are first values, gradients and side effects; then values alone; then values where the attempt ran.
    """
    tolerance = exercise.tolerance

    def in_everything(got: Outcome, other: Outcome) -> bool:
        return _same(got, other, tolerance)

    def in_values(got: Outcome, other: Outcome) -> bool:
        return _same_error(got, other) and _same_values(got.values, other.values, tolerance, any_dtype=True)

    def where_it_ran(got: Outcome, other: Outcome) -> bool:
        return bool(got.error) or in_values(got, other)

    for agree in (in_everything, in_values, where_it_ran):
        if all(agree(got, want) for got, want in zip(outcomes, exercise.wanted, strict=True)):
            continue
        for name, others in exercise.mistaken.items():
            if all(agree(got, other) for got, other in zip(outcomes, others, strict=True)):
                return name
    wrong = [i for i, got in enumerate(outcomes) if not got.error and not in_values(got, exercise.wanted[i])]
    return _recognised_by_one_result(exercise, outcomes, wrong)


def _recognised_by_one_result(exercise: Exercise, outcomes: list[Outcome], wrong: list[int]) -> str | None:
    """Find the misconception that gives the same for the first wrong result, at once and in half of the wrong cases.

    Where the attempt was right before, the misconception has to be right, too.
    """

    def alike(value: Value | None, other: Value | None) -> bool:
        return bool(value and other) and _same_value(value, other, exercise.tolerance, any_dtype=True)

    for name, value in outcomes[wrong[0]].values.items() if wrong else ():
        if alike(value, exercise.wanted[wrong[0]].values.get(name)):
            continue
        is_one_of_many = exercise.use and len(exercise.returns) < 2  # results of a class, say
        if value.tensor is None or not value.tensor.any() or (is_one_of_many and value.tensor.numel() < 2):
            return None  # too little to tell mistakes apart
        for mistake, others in exercise.mistaken.items():
            if any(not alike(others[i].values.get(name), exercise.wanted[i].values.get(name)) for i in range(wrong[0])):
                continue
            agreeing = [i for i in wrong if alike(outcomes[i].values.get(name), others[i].values.get(name))]
            if wrong[0] in agreeing and 2 * len(agreeing) >= len(wrong):
                return mistake
        return None
    return None


def _same(got: Outcome, want: Outcome, tolerance: float) -> bool:
    """Whether two outcomes agree in values, gradients and side effects, or in their errors."""
    if not _same_error(got, want):
        return False
    if sorted(got.changed) != sorted(want.changed):
        return False
    if not _same_values(got.values, want.values, tolerance):
        return False
    return _same_values(got.gradients, want.gradients, tolerance)


def _same_error(got: Outcome, want: Outcome) -> bool:
    return (got.error, got.reason) == (want.error, want.reason)


def _same_values(
    got: Mapping[str, Value], want: Mapping[str, Value], tolerance: float, any_dtype: bool = False
) -> bool:
    return got.keys() == want.keys() and all(_same_value(got[name], want[name], tolerance, any_dtype) for name in want)


def _same_value(got: Value, want: Value, tolerance: float, any_dtype: bool = False) -> bool:
    if want.tensor is None or got.tensor is None:
        return want.tensor is got.tensor and (got.kind, got.shape, got.text) == (want.kind, want.shape, want.text)
    if got.shape != want.shape or (_sort(got) != _sort(want) and not any_dtype):
        return False
    if got.tensor.is_complex() or want.tensor.is_complex():
        return got.dtype == want.dtype and torch.equal(got.tensor, want.tensor)
    return bool(_close(got.tensor, want.tensor, tolerance).all())


def _sort(value: Value) -> str:
    """Sort of numbers: a Python number is as good as a tensor, and one precision as good as another."""
    return "float" if value.kind == "number" or "float" in value.dtype else value.dtype.rstrip("0123456789")


def _close(got: Tensor, want: Tensor, tolerance: float) -> Tensor:
    scale = torch.where(want.isfinite(), want.abs(), 1.0).clamp(min=1.0)
    near = (got - want).abs() <= tolerance * scale
    return near | (got == want) | (got.isnan() & want.isnan())


# --------------------------------------------------------------------------------------------------------------------
# Saying what is wrong
# --------------------------------------------------------------------------------------------------------------------


ADVICE = (  # beginning of an exception's name, words in its text, what to say about it
    ("NameError", "", "is the name spelled right, defined before this cell, and with self. if it is kept on self?"),
    ("UnboundLocalError", "", "the variable is used before it gets a value"),
    ("RecursionError", "", "the function calls itself without end"),
    ("MemoryError", "", "it asks for far more memory than these small inputs need"),
    ("SystemExit", "", "it tries to end Python instead of returning a result"),
    ("KeyboardInterrupt", "", "it tries to end Python instead of returning a result"),
    ("NestedCheckError", "", "move that line out of the function: to the left margin, below it"),
    ("PermissionError", "[Errno 1]", "an answer may not start other processes, and needs none"),
    # modules
    ("", "before Module.__init__() call", "begin with super().__init__(), with both pairs of brackets"),
    ("", "_hooks'", "begin with super().__init__(), with both pairs of brackets"),
    ("", "descriptor '__init__'", "super().__init__() needs both pairs of brackets"),
    ("", 'missing the required "forward"', "is there a method inside the class that is spelled forward?"),
    ("", "is not a Module subclass", "nn.Sequential takes modules, made with brackets; a star unpacks a list of them"),
    ("", "has no attribute 'detach'", "nn.Parameter takes a torch tensor"),
    ("NotImplementedError", "Could not run", ""),
    # gradients
    ("", "backward through the graph a second time", "call backward() once, before the loop"),
    ("", "numpy() on Tensor that requires grad", "gradients cannot pass through NumPy, so stay with torch functions"),
    ("", "leaf Variable that requires grad", "it changes a tensor in place whose operations PyTorch records"),
    ("", "context manager protocol", "with torch.no_grad(): needs its brackets"),
    (
        "",
        "'float' object has no attribute 'backward'",
        "backward() needs the tensor, before item() makes a number of it",
    ),
    ("", "'tuple' object has no attribute 'backward'", "model.loss returns three things: take the first"),
    # several things for one
    ("", "'tuple' object has no attribute", "these are several things: take the one that you need by its position"),
    ("", "'tuple' object is not callable", "a comma is missing, or a tuple of several things is called"),
    ("", "can be converted to an index", "a tensor times a tuple: encode, for one, returns two things, so take one"),
    ("", "can't multiply sequence", "a tuple of several things times a number: take the one that you need first"),
    ("", "concatenate tuple", "a tuple holds several things: take the one that you need first"),
    ("", "and 'tuple'", "a tuple holds several things: take the one that you need first"),
    ("", "'tuple' and", "a tuple holds several things: take the one that you need first"),
    ("", "not tuple", "a tuple holds several things: take the one that you need first"),
    (
        "IndexError",
        "tuple index out of range",
        "the tuple is shorter, such as a shape of fewer axes; networks take tables: "
        "give a single cell an axis of rows with unsqueeze(0), or stack cells",
    ),
    # numbers for tensors, and tensors for numbers
    ("", "argument 'input' (position 1) must be Tensor", "torch functions take tensors; for plain numbers use math"),
    ("", "converted to Python scalar", "math functions take one number; use the torch function of the same name"),
    ("", "converted to Scalar", "math functions take one number; use the torch function of the same name"),
    ("", "Boolean value of Tensor", "an if cannot decide for many entries at once: use arithmetic or torch.where"),
    ("", "bitwise_xor", "in Python a power is written **"),
    ("", "'function'", "one of these is a function: call it first"),
    ("", "return_types", "max and min with dim return values and positions: take .values"),
    ("", "'NoneType' object is not iterable", "an argument whose default is None has to be dealt with"),
    ("", "'NoneType'", "something is None: a function without return, or a gradient that nobody computed"),
    ("", "'axis'", "in torch an axis is called dim"),
    ("", "'Tensor' object is not callable", "round brackets after a tensor call it like a function"),
    ("", "'Tensor' object has no attribute", "torch tensors have no such method"),
    ("", "module 'torch' has no attribute", "some functions live in torch.nn.functional, here called F"),
    # shapes
    ("", "expected Tensor as element", "torch.cat takes one flat list of tensors: [x, *columns]"),
    ("", "must match except in dimension", "torch.cat joins along rows unless it is told dim=1 or dim=-1"),
    ("", "must be the same as", "this function does not broadcast: expand its arguments first"),
    ("", "1D tensors expected", "dot takes two vectors: @ is the matrix product"),
    ("", "must match", "do two shapes not fit, or does a tensor come from an earlier cell instead of the arguments?"),
    ("", "cannot be multiplied", "the shapes do not fit: the inner axes of a matrix product have to be equal"),
    ("", "expected 2D or 3D input", "networks take tables: give a single cell an axis of rows with unsqueeze(0)"),
    ("", "more than 1 value per channel", "batch normalisation in train mode needs two cells: is it in eval mode?"),
    ("", "object of type 'generator' has no len", "count while you walk through it"),
    ("", "_iterator' has no len", "count while you walk through it"),
    ("IndexError", "Dimension out of range", "the tensor has fewer axes than you ask for"),
    # calls
    ("TypeError", "positional argument", "does your def line have the exercise's arguments, and self in a method?"),
    ("TypeError", "keyword argument", "does your def line have the exercise's arguments, and self in a method?"),
    ("NotImplementedError", "", "a part of it is still to be written"),
)


def _explain_error(outcome: Outcome, here: Mapping[str, str]) -> str:
    where = f' in the line "{outcome.line}"' if outcome.line else ""
    error, reason = outcome.error, outcome.reason.split(", but expected one of")[0].rstrip(".")
    known = [*(("", words, say) for words, say in here.items()), *ADVICE]
    advice = next((say for name, words, say in known if error.startswith(name) and words in reason), "")
    return f"your code stopped with {error}{where}: {reason}" + (f" ({advice})." if advice else ".")


def _explain_difference(exercise: Exercise, case: Case, got: Outcome, want: Outcome) -> str:
    """Say which property of an answer fails: its kind, its shape, a property of this exercise, its values, ..."""
    if len(got.values) == 1 < len(exercise.returns):
        kind = next(iter(got.values.values())).kind
        kind = f"a {kind}" if kind in ("number", "tensor") else kind
        return f"it should return {len(want.values)} things, {' and '.join(want.values)}; yours returns {kind}."
    for name, value in want.values.items():
        if name in got.values and (problem := _explain_kind(exercise, name, got.values[name], value)):
            return problem
    for explain in exercise.properties:
        if problem := explain(case, got.values, want.values):
            return problem
    for name, value in want.values.items():
        if name not in got.values:
            return f"{name} is missing."
        if not _same_value(got.values[name], value, exercise.tolerance):
            return _explain_values(name, got.values[name], value, exercise, case)
    if got.changed != want.changed:
        names = " and ".join(f"`{name}`" for name in got.changed)
        return f"the result is right, but your code also changes its input {names}: make a new tensor instead."
    for name, value in want.gradients.items():
        if not _same_value(got.gradients[name], value, exercise.tolerance):
            return _explain_gradient(name, got.gradients[name])
    return "it does something besides what is asked for."


def _explain_kind(exercise: Exercise, name: str, got: Value, want: Value) -> str | None:
    if want.tensor is None:
        return None
    if got.kind == "nothing" and name.startswith("the gradient of "):
        parameter = name.removeprefix("the gradient of ")
        return (
            f"no gradient reaches `{parameter}`: the forward pass does not use it, or torch.tensor, detach, data or "
            "no_grad cut the chain on the way."
        )
    if got.kind == "nothing":
        return f"{name} is None. Did you forget to return it?"
    if got.kind not in ("tensor", "number"):
        return f"{name} should be a torch tensor; yours is {got.kind}."
    if got.shape != want.shape:
        in_words = f", that is {exercise.shape}" if exercise.shape else ""
        yours = "a single number" if got.shape == () else f"of shape {got.shape}"
        due = "a single number" if want.shape == () else f"of shape {want.shape}"
        return f"{name} should be {due}{in_words}; yours is {yours}.{_explain_shape(got.shape, want.shape)}"
    if _sort(got) != _sort(want):
        return f"{name} should hold floating-point numbers; yours has type {got.dtype}."
    return None


def _explain_shape(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    if got == want[::-1] and len(want) == 2:
        return " It is transposed: rows and columns are swapped."
    if tuple(n for n in got if n != 1) == tuple(n for n in want if n != 1):
        return " An axis of length 1 is left over or missing."
    if len(got) > len(want):
        return " Too few axes are summed or indexed away, or two shapes broadcast to a larger one."
    return ""


def _explain_values(name: str, got: Value, want: Value, exercise: Exercise, case: Case) -> str:
    if got.tensor is None or want.tensor is None:
        return f"{name} should be {want.text or want.kind}; yours is {got.text or got.kind}."
    if got.tensor.is_complex():
        return f"{name} holds complex numbers."
    right = _close(got.tensor, want.tensor, exercise.tolerance)
    where = tuple(torch.nonzero(~right)[0].tolist())
    at_first = f"{got.tensor[where].item():.4g}{_arguments_at(where, got.shape, exercise, case)}"
    yours, due = got.tensor[~right], want.tensor[~right]
    for what, odd in (("nan (not a number)", yours.isnan()), ("infinite", yours.isinf())):
        if odd.any() and due[odd].isfinite().all():
            share = _share(odd.sum(), got)
            return f"{name} is {what} in {share}, where it should be finite. The first wrong one is {at_first}."
    if pattern := _pattern(got.tensor, want.tensor):
        return f"{name} is {pattern}"
    if right.any():
        return f"{name} is right in {_share(right.sum(), got)} and wrong elsewhere. The first wrong one is {at_first}."
    return f"{name} has the right shape but wrong values. Your first is {at_first}."


def _arguments_at(where: tuple[int, ...], shape: tuple[int, ...], exercise: Exercise, case: Case) -> str:
    """Name the arguments that belong to an entry of the result, where the function works elementwise."""
    tensors = [argument for argument in case.arguments if isinstance(argument, Tensor)]
    if shape == () or exercise.use is not None or len(tensors) < len(case.arguments):
        return f", at position {list(where)}" if shape else ""
    try:
        if torch.broadcast_shapes(*(tensor.shape for tensor in tensors)) != shape:
            return f", at position {list(where)}"
    except RuntimeError:
        return f", at position {list(where)}"
    values = [
        f"{name} = {t.expand(shape)[where].item():g}" for name, t in zip(exercise.arguments, tensors, strict=False)
    ]
    return f", with {', '.join(values)}"


def _share(count: Tensor, value: Value) -> str:
    n = value.tensor.numel()
    return "its only entry" if n == 1 else f"{int(count)} of {n} entries"


def _pattern(got: Tensor, want: Tensor) -> str | None:
    """Describe what turns the right values into these."""
    if not (got.isfinite().all() and want.isfinite().all()):
        return None
    got, want = got.flatten(), want.flatten()
    many = len(want) > 1
    if many and not got.any():
        return "0 everywhere."
    if _close(got, -want, 1e-4).all():
        return "right but for its sign."
    ratio = got / want
    if many and ratio.isfinite().all() and _close(ratio, ratio[:1], 1e-3).all():
        return f"{ratio[0].item():.3g} times as large as it should be, everywhere."
    difference = got - want
    if many and _close(difference, difference[:1], 1e-4 * float(want.abs().max().clamp(min=1))).all():
        return f"off by a constant {abs(difference[0].item()):.3f} everywhere."
    if many and _close(got.sort().values, want.sort().values, 1e-4).all():
        return "made of the right numbers in the wrong places."
    if not many and ratio.isfinite().all():
        return f"{got.item():.4g}, which is {'too large' if got > want else 'too small'}."
    return None


def _explain_gradient(name: str, got: Value) -> str:
    if got.tensor is None:
        return (
            f"the values are right, but no gradient reaches `{name}`: something on the way (detach, item, numpy, "
            "torch.tensor, no_grad) cuts the chain."
        )
    if not got.tensor.isfinite().all():
        return f"the values are right, but the gradient with respect to `{name}` is not finite."
    return f"the values are right, but the gradient with respect to `{name}` is not."
