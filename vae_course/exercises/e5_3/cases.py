"""Exercise 5.3: the visible cases, and the hidden ones that grading adds."""

from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer, draw_weights
from vae_course.nn import DecoderSCVI


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    z, library = torch.randn(6, 3, generator=generator), 0.3 + torch.rand(6, 1, generator=generator)
    batch, donor = torch.tensor([0, 2, 1, 0, 1, 2]), torch.tensor([[0], [1], [1], [0], [0], [1]])
    small = {"n_input": 3, "n_output": 4, "n_hidden": 5}
    square = torch.randn(4, 4, generator=generator)

    def case(label: str, options: dict[str, Any], dispersion: str, *inputs: Tensor) -> Case:
        return Case(label, (options, draw_weights(DecoderSCVI, options, generator), dispersion, *inputs))

    return [
        case('the dispersion "gene"', small, "gene", z, library),
        case('the dispersion "gene-cell"', small, "gene-cell", z, library),
        case('the dispersion "gene-batch"', {**small, "n_cat_list": [3]}, "gene-batch", z, library, batch),
        case('the dispersion "gene-label"', {**small, "n_cat_list": [3]}, "gene-label", z, library, batch),
        case("two layers", {**small, "n_layers": 2}, "gene-cell", z, library),
        case("a covariate and two layers", {**small, "n_cat_list": [2], "n_layers": 2}, "gene-cell", z, library, donor),
        case("two covariates", {**small, "n_cat_list": [3, 2]}, "gene-cell", z, library, batch, donor),
        case("a covariate with a single category", {**small, "n_cat_list": [1]}, "gene", z, library, 0 * batch),
        case("as many cells and latents as genes", {**small, "n_input": 4}, "gene-cell", square, library[:4] + 1),
        case("a single cell", small, "gene-cell", z[:1], library[:1]),
        case("the default options", {"n_input": 3, "n_output": 4}, "gene-cell", z, library),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_input, n_output, n_hidden = (draw_integer(4, 7, generator) for _ in range(4))
    sizes = [draw_integer(2, 4, generator) for _ in range(2)]
    codes = [torch.randint(n, (n_cells,), generator=generator) for n in sizes]

    def case(label: str, dispersion: str, *codes: Tensor, **options: Any) -> Case:
        options = {"n_input": n_input, "n_output": n_output, "n_hidden": n_hidden, **options}
        z, library = (torch.randn(n_cells, n, generator=generator) for n in (n_input, 1))
        return Case(label, (options, draw_weights(DecoderSCVI, options, generator), dispersion, z, library + 1, *codes))

    return [
        case("other numbers of latents and genes", "gene"),
        case("covariates and two layers", "gene-cell", *codes, n_cat_list=sizes, n_layers=2),
        case("another covariate", "gene-label", codes[0], n_cat_list=sizes[:1]),
    ]
