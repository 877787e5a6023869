"""Exercise 4.5: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    return [
        Case("a square", (("a square", 1.0), 1.0, 50, 100)),
        Case("a step", (("a step", 1.75), 2.0, 2, 300)),
        Case("three draws of a step", (("a step", -1.25), -1.5, 3, 300)),
        Case("a constant, whose derivative is 0", (("a constant", 3.0), 2.0, 2, 120)),
        Case("a slope with a jump", (("a slope with a jump", -0.5, 3.0), -0.7, 10, 200)),
        Case("a box, with many draws", (("a box", 0.5, 1.5), 0.2, 100, 60)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    """Choose numbers for which an answer with a baseline, such as f(mean), does not scatter too much."""
    generator = torch.Generator().manual_seed(seed)
    mean, height, factor, apart, width = torch.rand(5, generator=generator).tolist()
    mean = 0.5 + 1.5 * mean
    n = torch.randint(40, 60, (3,), generator=generator).tolist()
    low = mean + 0.2 + 0.3 * apart
    return [
        Case("a square times a number", (("a square", 0.5 + factor), mean, n[0], 200)),
        Case("a slope with a higher or lower jump", (("a slope with a jump", low, 2 + 2 * height), mean, n[1], 200)),
        Case("a box elsewhere", (("a box", low, low + 0.8 + width), mean, 60 + n[2], 100)),
    ]
