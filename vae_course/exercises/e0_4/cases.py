"""Exercise 0.4: the visible cases, and the hidden ones that grading adds."""

from vae_course.exercises.attempt import Case
from vae_course.exercises.e0_3.cases import hidden_pca_cases, pca_cases


def visible_cases() -> list[Case]:
    return pca_cases(coded=True)


def hidden_cases(seed: int) -> list[Case]:
    return hidden_pca_cases(seed, coded=True)
