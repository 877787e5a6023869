"""Exercise 6.2: the visible cases, and the hidden ones that grading adds."""

from typing import Any

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer

SMALL = {"n_input": 6, "n_hidden": 8, "n_latent": 3}


def _case(label: str, options: dict[str, Any], n_new: int, optimizer: str, seed: int) -> Case:
    generator = torch.Generator().manual_seed(seed)
    options = SMALL | options
    counts = torch.poisson(torch.full((12, options["n_input"]), 2.0), generator=generator)
    counts[:, 0] += 1  # no empty cell
    sizes = [*options.get("n_cats_per_cov", ()), *[0] * options.get("n_continuous_cov", 0)]
    columns = [
        torch.randint(n, (12,), generator=generator).float() if n else torch.randn(12, generator=generator)
        for n in sizes
    ]
    covariates = torch.stack(columns, dim=1) if columns else None
    return Case(label, (options, n_new, optimizer, counts, covariates, seed))


def visible_cases() -> list[Case]:
    deep = {"n_batch": 3, "n_layers": 2, "n_hidden": 7}
    more = {"n_batch": 2, "n_cats_per_cov": [3, 2], "n_continuous_cov": 1}
    return [
        _case("one batch more than two, trained by SGD", {"n_batch": 2}, 1, "SGD", 1),
        _case("two batches more than three", {"n_batch": 3}, 2, "SGD", 2),
        _case("Adam with weight decay", {"n_batch": 2}, 2, "Adam", 3),
        _case("two layers in each network", deep, 1, "Adam", 4),
        _case("a model with other covariates", more, 2, "Adam", 5),
        _case('dispersion "gene-batch"', {"n_batch": 2, "dispersion": "gene-batch"}, 1, "SGD", 6),
        _case("an observed library", {"n_batch": 2, "library": "observed", "likelihood": "nb"}, 1, "Adam", 7),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_batch, n_new, n_hidden, n_input = (draw_integer(2, 6, generator) for _ in range(4))
    seeds = [draw_integer(1000, 10**6, generator) for _ in range(2)]
    sizes = {"n_batch": n_batch, "n_hidden": 4 + n_hidden, "n_input": 3 + n_input}
    return [
        _case("other numbers of batches", sizes, n_new, "Adam", seeds[0]),
        _case(
            "other batches, and a covariate", sizes | {"n_cats_per_cov": [4], "n_layers": 2}, n_new, "Adam", seeds[1]
        ),
    ]
