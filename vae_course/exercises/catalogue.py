"""The six lessons, their exercises, and where a reader finds them. Tests keep it in step with the lessons."""

from typing import NamedTuple

from vae_course.exercises import lesson0, lesson1, lesson2, lesson3, lesson4, lesson5
from vae_course.exercises.engine import Exercise

LESSONS = (lesson0, lesson1, lesson2, lesson3, lesson4, lesson5)
EXERCISES: dict[str, Exercise] = {one.id: one for lesson in LESSONS for one in lesson.EXERCISES}


class Lesson(NamedTuple):
    """A lesson: the stem of its file's name, its title, its minutes, and the section of each of its exercises."""

    stem: str
    title: str
    minutes: int
    sections: dict[str, str]


# In the order of the lessons, which is not always that of the numbers.
CONTENTS = (
    Lesson(
        "00_latents",
        "scVI as a dimensionality reduction problem",
        200,
        {
            "0.1": "0.2 What a count matrix is",
            "0.2": "0.3 Why 765 numbers are too many",
            "0.3": "0.4 PCA: the first encoder and decoder",
            "0.4": "0.4 PCA: the first encoder and decoder",
            "0.5": "0.5 What it keeps and what it throws away",
        },
    ),
    Lesson(
        "01_problem_setup",
        "Problem setup and mathematical background",
        265,
        {
            "1.1": "1.4 One coin, seen twice",
            "1.2": "1.5 The Gaussian, and its two spreads",
            "1.3": "1.7 Two Gaussians: the KL in closed form",
            "1.4": "1.8 In k dimensions",
            "1.5": "1.9 No formula? Draw",
            "1.6": "1.10 The posterior, seen",
        },
    ),
    Lesson(
        "02_pytorch_linear",
        "PyTorch and nn.Linear",
        250,
        {
            "2.1": "2.6 nn.Linear from scratch",
            "2.2": "2.7 A category is not a number: one-hot",
            "2.3": "2.8 One step for any module",
            "2.4": "2.12 FCLayers: the part all networks here are made of",
            "2.5": "2.13 An encoder has two heads",
        },
    ),
    Lesson(
        "03_demo",
        "The demo, running the network",
        190,
        {
            "3.1": "3.3 A loss in two parts",
            "3.2": "3.4 The training loop, by hand",
            "3.3": "3.7 Rebuild, and make up",
            "3.4": "3.8 A walk between two cells",
            "3.5": "3.10 A gallery of curves",
        },
    ),
    Lesson(
        "04_math_details",
        "Reparameterisation, loss function, ELBO",
        200,
        {
            "4.1": "4.4 The gradient that cannot pass a die",
            "4.2": "4.5 The price: KL to the standard normal",
            "4.3": "4.6 The loss",
            "4.4": "4.8 From the bound to the likelihood",
            "4.5": "4.11 When f jumps: the score function",
        },
    ),
    Lesson(
        "05_comparison_with_scvi",
        "From our VAE to scVI, and the comparison",
        428,
        {
            "5.1": "5.3 Part A, counts: the negative binomial",
            "5.2": "5.4 Part A, counts: extra zeros, and which genes need them",
            "5.3": "5.6 Part B, the model: the decoder and its three heads",
            "5.4": "5.7 Part B, the model: four ways to have a dispersion",
            "5.5": "5.8 Part B, the model: two latents, two KLs",
            "5.7": "5.14 Part C, working with it: two laboratories",
            "5.6": "5.15 Part C, working with it: hide and seek",
            "5.8": "5.17 Part C, working with it: how sure, and how much",
        },
    ),
)
