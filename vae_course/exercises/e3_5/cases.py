"""Exercise 3.5: the visible cases, and the hidden ones that grading adds."""

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    return [Case("the six runs", ())]
