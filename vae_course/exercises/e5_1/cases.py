"""Exercise 5.1: the visible cases, and the hidden ones that grading adds."""

from collections.abc import Callable

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case


def _nb_draws(seed: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Make a source of counts, and one of means and thetas, both of any shape."""
    generator = torch.Generator().manual_seed(seed)

    def counts(*shape: int) -> Tensor:
        return torch.randint(0, 6, shape, generator=generator).float()

    def positive(*shape: int) -> Tensor:
        return 0.3 + 4 * torch.rand(shape, generator=generator)

    return counts, positive


def visible_cases() -> list[Case]:
    counts, positive = _nb_draws(0)

    def given(label: str, x: list[float], mu: list[float], theta: list[float]) -> Case:
        return Case(label, (torch.tensor(x), torch.tensor(mu), torch.tensor(theta)))

    return [
        given("five counts", [0.0, 3.0, 10.0, 1.0, 2.0], [2.5, 2.5, 0.5, 1.3, 4.0], [1.7, 1.2, 0.3, 5.0, 0.6]),
        Case("a theta for every gene", (counts(4, 3), positive(4, 3), positive(3))),
        Case("as many cells as genes", (counts(3, 3), positive(3, 3), positive(3))),
        Case("a single cell", (counts(1, 4), positive(1, 4), positive(4))),
        Case("a row of counts beside a column of means", (counts(4), positive(2, 1), positive())),
        Case("two samples of the mean for every cell", (counts(3, 4), positive(2, 3, 4), positive(4))),
        given("means far below 1", [1.0, 0.0, 2.0, 1.0], [1e-4, 1e-8, 1e-6, 1e-8], [5.0, 0.5, 2.0, 0.3]),
        given("a theta of 100,000", [7.0, 0.0, 12.0], [7.0, 3.0, 9.0], [1e5]),
        given("counts up to 100,000", [500.0, 1e5, 7e4, 0.0], [300.0, 1e5, 1e6, 1e6], [12.0, 3.0, 0.5, 20.0]),
        given("a theta of 0.0001", [0.0, 1.0, 50.0, 1e5], [1e6, 2.0, 40.0, 1e-8], [1e-4]),
        given("a theta of 100 million", [3.0, 0.0, 1.0, 1e5], [3.0, 1e6, 1e-8, 1e5], [1e8]),
        Case(  # last: an answer that is wrong elsewhere, too, hears of that
            "a mean of 0", (torch.tensor([0.0, 1.0]), torch.zeros(2), torch.tensor([1.7, 0.6])), values_only=True
        ),
    ]


def hidden_cases(seed: int) -> list[Case]:
    counts, positive = _nb_draws(seed)
    n_cells, n_genes = (2 + int(counts()) for _ in range(2))
    return [
        Case(
            "other counts, means and thetas", (counts(n_cells, n_genes), positive(n_cells, n_genes), positive(n_genes))
        ),
        Case("another single cell", (counts(1, n_genes), positive(1, n_genes), positive(n_genes))),
        Case("counts in the hundreds", (100 * counts(n_cells, 3), 90 * positive(n_cells, 3), 20 * positive(3))),
        Case("a theta of many thousands", (counts(5), positive(5), 2e4 * positive(1))),
    ]
