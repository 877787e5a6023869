"""Exercise 5.9: the visible cases, and the hidden ones that grading adds."""

from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer, draw_weights
from vae_course.exercises.e5_9.answer import MyVAE


def _case(
    label: str, options: dict[str, Any], n_cells: int, generator: torch.Generator, batch_index: Tensor | None
) -> Case:
    weights = draw_weights(MyVAE, options, generator)
    for name, low, high in (("library_log_means", 1.0, 2.0), ("library_log_vars", 0.2, 0.7)):
        weights[name].uniform_(low, high, generator=generator)
    for name, value in weights.items():
        if "mean_encoder" in name or "var_encoder" in name:
            value *= 0.3  # so that no size explodes
    x = torch.poisson(torch.full((n_cells, options["n_input"]), 1.5), generator=generator)
    x[:, 0] += 1  # no empty cell
    return Case(label, (options, weights, x, batch_index))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    small = {"n_input": 5, "n_hidden": 6, "n_latent": 3}
    three = torch.tensor([0, 2, 1, 0, 1, 2, 0, 1])
    several = {**small, "n_batch": 3}
    return [
        _case("a single batch", small, 8, generator, None),
        _case("three batches", several, 8, generator, three),
        _case("batches as a column", several, 8, generator, three.unsqueeze(-1)),
        _case("two batches", {**small, "n_batch": 2}, 6, generator, torch.tensor([1, 0, 0, 1, 1, 0])),
        _case("codes that a model of one batch ignores", {**small, "n_batch": 1}, 6, generator, torch.arange(6) % 2),
        _case("a single cell", several, 1, generator, torch.tensor([1])),
        _case("as many cells as genes and latents", {**several, "n_latent": 5}, 5, generator, three[:5]),
        _case("the default width and latents", {"n_input": 7}, 4, generator, None),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_input, n_hidden, n_latent = (draw_integer(4, 9, generator) for _ in range(4))
    n_batch = draw_integer(2, 4, generator)
    options = {"n_input": n_input, "n_hidden": n_hidden, "n_latent": n_latent}
    codes = torch.randint(n_batch, (n_cells,), generator=generator)
    return [
        _case("other numbers of genes and latents", options, n_cells, generator, None),
        _case("other batches", {**options, "n_batch": n_batch}, n_cells, generator, codes),
    ]
