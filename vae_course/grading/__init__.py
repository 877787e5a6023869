"""Grade a class: every exercise of every student, found by its name, run in a sandbox, judged outside of it.

A student's code is called on the visible cases and on hidden ones that are drawn anew for every grading. Right answers
and every comparison stay in this process; what comes back from the sandbox is plain data that nobody trusts.
"""

import ast
import base64
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from vae_course.exercises import EXERCISES, check, wire
from vae_course.exercises.attempt import Outcome, Report
from vae_course.exercises.catalogue import CONTENTS, CORE, DEEPER
from vae_course.exercises.engine import Exercise, Result, verdict
from vae_course.exercises.sources import source_of
from vae_course.grading.answers import define, find_answer, read_notebook
from vae_course.grading.grades import Grade
from vae_course.grading.interrupts import Interrupts
from vae_course.grading.reports import write_reports
from vae_course.grading.sandbox import Session, check_sandbox
from vae_course.grading.stripped import answer_of, write_package
from vae_course.grading.submissions import Submission, find_submissions

__all__ = ["Grade", "check_notebook", "grade_folder", "write_reports"]

SECONDS = 40.0  # for the reply to one exercise; the sandbox's own limit is shorter
SECONDS_OF_ALL = 180.0  # for one submission
STARTS = 4  # of the sandbox for one submission, if its code ends it
LONGEST_MESSAGE = 1000  # characters that are said of one answer
FIRST = ("4.1", "4.2")  # are graded before lesson 3, whose answers and models may be made of them
JUDGING = threading.Lock()  # misconceptions are run in this process, with its random numbers


def grade_folder(
    folder: str | Path,
    lessons: Sequence[int] | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    unsafe: bool = False,
    tell: Callable[[Grade], None] = lambda grade: None,
    deeper: bool = False,
) -> list[Grade]:
    """Grade all submissions in a folder.

    Parameters
    ----------
    folder
        One folder of notebooks a student, or a download from Canvas or Moodle.
    lessons
        Which ones to grade, 0 to 5; all if None.
    seed
        Of the hidden cases; drawn if None.
    jobs
        Submissions that are graded at a time; as many as there are processors if None.
    unsafe
        Run students' code without a sandbox.
    tell
        Called with every grade as soon as it stands.
    deeper
        Grade the exercises of the deeper notebooks as well.

    Returns
    -------
    list of Grade
        In order of the students' ids.

    Raises
    ------
    ValueError
        If there is no such lesson, no submission, no job, or no sandbox to be had.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"Expected one job or more; got {jobs}.")
    exercises = _to_grade(lessons, deeper)
    submissions = find_submissions(folder)
    if not unsafe:
        check_sandbox()
    seed = secrets.randbelow(2**31) if seed is None else seed
    exercises = [with_hidden_cases(one, seed) for one in exercises]
    for one in exercises:
        one.wanted  # noqa: B018  # once for all submissions
    with tempfile.TemporaryDirectory(prefix="vae-course-package-") as package:
        Path(package).chmod(0o755)
        write_package(Path(package))

        sandbox = partial(Session, Path(package), unsafe)
        idle: list[Session] = []  # sandboxes that have served a submission and are as new

        def grade(submission: Submission) -> Grade:
            done = Grade(submission.student, submission.name, {}, submission.notes, seed)
            try:
                done.results = _Grader(exercises, sandbox, idle).grade(submission)
            except Exception as error:  # one submission never stops the others
                done.notes.append(f"This submission could not be graded ({type(error).__name__}): look at it by hand.")
            for one in exercises:
                done.results.setdefault(one.id, Result("error", "Not graded."))
            tell(done)
            return done

        try:
            with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
                return list(pool.map(grade, submissions))
        finally:
            for session in idle:
                session.close()


def check_notebook(path: str | Path) -> dict[str, Result]:
    """Judge the answers of a notebook by the visible cases, as its own cells do, where no kernel runs.

    For the learner's own notebooks: nothing protects the machine from what is in them.

    Parameters
    ----------
    path
        A notebook of the course.

    Returns
    -------
    dict
        Exercise id -> what became of it, for the exercises of its lesson, or of a deeper notebook by its name.

    Raises
    ------
    ValueError
        If it is no notebook, or of none of the lessons.
    KeyboardInterrupt
        If the user presses Ctrl-C; one that the code of the notebook raises is an error of that exercise.
    """
    path = Path(path)
    names = names_by_lesson(EXERCISES.values())
    lesson, statements = read_notebook(path.read_bytes(), path.name, names)
    if lesson not in names:
        raise ValueError(f"{path.name} has no exercise of the lessons in it.")
    deeper = (one for one in DEEPER if one.stem.removeprefix("deeper/") in path.name)
    numbered = (one for one in (*CONTENTS, *DEEPER) if one.number == str(int(lesson)))
    asked = next(chain(deeper, numbered)).sections
    results, references = {}, {one.name: one.reference for one in EXERCISES.values()}
    for one in (one for one in EXERCISES.values() if one.id in asked):
        others = {name: value for name, value in references.items() if name != one.name}
        answer = find_answer(one.id, one.name, statements, others)
        with Interrupts() as interrupts:
            try:
                results[one.id] = check(one.id, define(one.id, one.name, answer, others)) if answer else _missing(one)
            except BaseException as error:  # SystemExit and KeyboardInterrupt among them, which a cell may raise itself
                results[one.id] = _stopped(one, type(error).__name__, str(error))
            interrupts.pass_on()
    return results


def with_hidden_cases(exercise: Exercise, seed: int) -> Exercise:
    """Return an exercise that asks for its visible cases and for those drawn from a seed."""
    if exercise.hidden is None:
        return replace(exercise)
    return replace(exercise, cases=lambda: [*exercise.cases(), *exercise.hidden(seed)])


def _to_grade(lessons: Sequence[int] | None, deeper: bool) -> list[Exercise]:
    asked = [one for one in EXERCISES.values() if deeper or one.id in CORE]
    known = sorted({one.lesson for one in asked})
    if lessons is not None and not (lessons and set(lessons) <= set(known)):
        raise ValueError(f"Expected lessons among {', '.join(map(str, known))}; got {', '.join(map(str, lessons))}.")
    chosen = [one for one in asked if lessons is None or one.lesson in lessons]
    return sorted(chosen, key=lambda one: (3, 0, *one.number) if one.id in FIRST else one.number)


def names_by_lesson(exercises: Iterable[Exercise]) -> dict[str, list[str]]:
    """Return what is to be written in every lesson: "03" -> names."""
    names: dict[str, list[str]] = {}
    for one in exercises:
        names.setdefault(f"{one.lesson:02}", []).append(one.name)
    return names


class _Grader:
    """Grades one submission, exercise by exercise, in one sandbox as long as it lives: an idle one if there is one."""

    def __init__(self, exercises: list[Exercise], sandbox: Callable[[], Session], idle: list[Session]) -> None:
        self.exercises, self.sandbox, self.idle = exercises, sandbox, idle
        graded = {one.id for one in exercises}
        self.handed_in = [one for one in EXERCISES.values() if one.id not in graded]  # nothing is to be won by these
        self.session: Session | None = None
        self.n_starts = 0

    def grade(self, submission: Submission) -> dict[str, Result]:
        """Return the result of every exercise."""
        end, results = time.monotonic() + SECONDS_OF_ALL, {}
        try:
            self._start(submission)
            for one in self.exercises:
                if time.monotonic() > end or (self.session is None and self.n_starts == STARTS):
                    break
                results[one.id] = self._grade(one, submission)
                self.handed_in.append(one)
            self._let_go()
        finally:
            self._close()
        too_late = Result("error", "Not graded: exercises before it used up the time, or kept ending Python.")
        return {one.id: results.get(one.id, too_late) for one in sorted(self.exercises, key=lambda one: one.number)}

    def _grade(self, exercise: Exercise, submission: Submission) -> Result:
        try:
            if self.session is None:
                self._start(submission)
            reply = self.session.ask(self._request(exercise), SECONDS)
        except TimeoutError:
            self._close()
            return verdict(exercise, Report([], trouble="endless"))
        except EOFError:
            self._close()
            return verdict(exercise, Report([], trouble="crash"))
        self.new_answers = [exercise]
        return judge_reply(exercise, reply)

    def _start(self, submission: Submission) -> None:
        self.n_starts += 1
        try:
            self.session = self.idle.pop()
        except IndexError:
            self.session = self.sandbox()
        self.new_answers = list(self.handed_in)
        files = {path: base64.b64encode(content).decode() for path, content in submission.notebooks.items()}
        reply = self.session.ask({"files": files, "names": names_by_lesson(self.exercises)}, 2 * SECONDS)
        if self.n_starts == 1:
            submission.notes += [str(note)[:200] for note in reply.get("notes", [])]

    def _request(self, exercise: Exercise) -> dict[str, Any]:
        answers = {symbol: source for one in self.new_answers for symbol, source in answer_of(one).items()}
        return {
            "id": exercise.id,
            "name": exercise.name,
            "lesson": f"{exercise.lesson:02}",
            "cases": wire.pack_cases(exercise.cases()),
            "use": exercise.use and f"{exercise.use.__module__}.{exercise.use.__name__}",
            "returns": exercise.returns,
            "gradients": exercise.gradients,
            "arguments": exercise.arguments,
            "answers": answers,
            "graded": [one.symbol for one in self.handed_in],
        }

    def _let_go(self) -> None:
        """Leave the sandbox to another submission, if it says that it has cleaned up."""
        with suppress(TimeoutError, EOFError, AttributeError):  # it did not, it has ended, or there is none any more
            self.session.ask({"done": True}, SECONDS)
            self.idle.append(self.session)
            self.session = None

    def _close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


def judge_reply(exercise: Exercise, reply: dict[str, Any]) -> Result:
    """Judge what came back from the sandbox, of which nothing is taken on trust."""
    answer = reply.get("answer")
    if answer == "none":
        return _missing(exercise)
    if answer == "no function":
        kind = str(reply.get("kind"))[:60]
        return Result("wrong", f"Expected the {exercise.kind} {exercise.name}, got {kind}.")
    if answer == "raises":
        return _stopped(exercise, str(reply.get("error")), str(reply.get("reason")))
    if answer == "endless":
        return verdict(exercise, Report([], trouble="endless"))
    try:
        outcomes = wire.unpack_outcomes(reply.get("outcomes"), len(exercise.cases()))
        with JUDGING:
            result = _verdict(exercise, exercise.examined(outcomes))
    except Exception:  # whatever else a forged reply may hold
        return verdict(exercise, Report([], trouble="crash"))
    if result.status != "passed" and reply.get("text") == ast.unparse(ast.parse(source_of(exercise.reference))):
        return Result("passed", "Correct: the package's own text.")  # parts of which the sandbox does not have
    return replace(result, message=result.message[:LONGEST_MESSAGE])


def _verdict(exercise: Exercise, outcomes: list[Outcome]) -> Result:
    """Judge by the visible cases first; of the hidden ones no number is told."""
    visible = EXERCISES[exercise.id]
    result = verdict(visible, Report(outcomes[: len(visible.wanted)]))
    if result.status != "passed":
        return result
    result = verdict(exercise, Report(outcomes))
    if result.status == "passed" or result.diagnosis:
        return result
    bad = next(
        n for n, (got, want) in enumerate(zip(outcomes, exercise.wanted, strict=True)) if not visible.agrees(got, want)
    )
    label = exercise.cases()[bad].label
    return replace(result, message=f"Right for the cases of the lesson, but not for {label}.")


def _stopped(exercise: Exercise, error: str, reason: str) -> Result:
    return Result("error", f"The cell that defines {exercise.name} stopped with {error[:40]}: {reason[:160]}.")


def _missing(exercise: Exercise) -> Result:
    reasons = f"there is no `{exercise.name}`, its body is still blank, or its cell has a syntax error"
    return Result("not_attempted", f"No answer: {reasons}.")
