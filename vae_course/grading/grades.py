"""The grade of a student."""

from dataclasses import dataclass, field

from vae_course.exercises.engine import Result


@dataclass
class Grade:
    """What one student has reached.

    Attributes
    ----------
    student, name
        As in the submission.
    results
        Exercise id -> what became of it. One point for each that passed.
    notes
        What could not be read or graded, one sentence each.
    seed
        Of the hidden cases: the same seed grades the same way again.
    """

    student: str
    name: str = ""
    results: dict[str, Result] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seed: int = 0

    @property
    def maximum(self) -> int:
        """Points that there were to get."""
        return len(self.results)

    @property
    def total(self) -> int:
        """Points."""
        return sum(result.status == "passed" for result in self.results.values())
