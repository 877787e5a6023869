"""Exercise 3.5: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable, Mapping
from typing import Any


def use(attempt: Callable) -> dict[str, Any]:
    """Take down as text which cause an attempt names for every run."""
    answer = attempt()
    if not isinstance(answer, Mapping):
        return {"the answer": answer}
    return {f"run {letter}": str(cause) for letter, cause in answer.items()}
