"""Exercise 6.1: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _case(label: str, n_cells: int, n_labels: int, generator: torch.Generator, level: float = -8.0) -> Case:
    bounds = level + 2 * torch.randn(n_cells, n_labels, generator=generator)
    return Case(label, (bounds, torch.log_softmax(2 * torch.randn(n_cells, n_labels, generator=generator), dim=1)))


def _ruled_out(log_q: Tensor, where: Tensor) -> Tensor:
    """Rule labels out, and let the others share what they had."""
    return torch.log_softmax(log_q.masked_fill(where, -torch.inf), dim=1)


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    even = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    some = torch.tensor([[0, 0, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]]).bool()
    known = torch.nn.functional.one_hot(torch.tensor([2, 0, 1]), 3).log()
    bounds, log_q = torch.randn(2, 3, 4, generator=generator)
    return [
        Case("two cells, two labels", (torch.tensor([[-3.0, -5.0], [-4.0, -2.0]]), even)),
        _case("five cells, three labels", 5, 3, generator),
        _case("as many cells as labels", 4, 4, generator),
        _case("a single cell", 1, 3, generator),
        _case("a single label", 3, 1, generator),
        Case("labels that are ruled out, with a probability of 0", (bounds - 8.0, _ruled_out(log_q, some))),
        Case("cells whose label is known", (torch.randn(3, 3, generator=generator) - 8.0, known)),
        Case("probabilities that round to 0", (bounds[:2] - 8.0, torch.tensor([[0.0, -200, -300, -1e4]] * 2))),
        _case("bounds around -900", 4, 3, generator, -900.0),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_labels = draw_integer(2, 8, generator), draw_integer(3, 9, generator)
    bounds, log_q = torch.randn(2, n_cells, n_labels, generator=generator)
    where = torch.rand(n_cells, n_labels, generator=generator) < 0.4
    where[:, draw_integer(0, n_labels - 1, generator)] = False
    return [
        _case("other cells and labels", n_cells, n_labels, generator),
        Case("other labels that are ruled out", (5 * bounds - 20.0, _ruled_out(log_q, where))),
        _case("other bounds far below 0", n_cells, n_labels, generator, -2000.0),
    ]
