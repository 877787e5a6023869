"""Exercise 2.4: the visible cases, and the hidden ones that grading adds."""

from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer, draw_weights
from vae_course.nn import FCLayers


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=generator)
    batch, donor = torch.tensor([0, 2, 1, 0, 1, 2]), torch.tensor([[0], [1], [1], [0], [0], [1]])
    plain, small = {"dropout_rate": 0.0, "use_batch_norm": False}, {"n_in": 4, "n_out": 3, "n_hidden": 5}

    def case(label: str, options: dict[str, Any], *codes: Tensor) -> Case:
        return Case(label, (options, draw_weights(FCLayers, options, generator), x, *codes))

    return [
        case("a single plain layer", {**small, **plain}),
        case("batch normalisation", {**small, "dropout_rate": 0.0}),
        case("two layers", {**small, **plain, "n_layers": 2}),
        case("three layers with batch normalisation", {**small, "dropout_rate": 0.0, "n_layers": 3}),
        case("a covariate", {**small, **plain, "n_cat_list": [3]}, batch),
        case("a covariate and two layers", {**small, **plain, "n_cat_list": [3], "n_layers": 2}, batch),
        case("a covariate with a single category", {**small, **plain, "n_cat_list": [1]}, 0 * batch),
        case("a single category before another covariate", {**small, **plain, "n_cat_list": [1, 2]}, 0 * batch, donor),
        case("two covariates", {**small, **plain, "n_cat_list": [3, 2]}, batch, donor),
        case("dropout", {**small, "n_out": 8, "use_batch_norm": False, "dropout_rate": 0.5}),
        case("the default options", {"n_in": 4, "n_out": 3}),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_in, n_hidden = (draw_integer(4, 7, generator) for _ in range(3))
    sizes = [draw_integer(2, 4, generator), 1, draw_integer(2, 4, generator)]
    codes = [torch.randint(n, (n_cells,), generator=generator) for n in sizes]

    def case(label: str, *codes: Tensor, **options: Any) -> Case:
        options = {"n_in": n_in, "n_hidden": n_hidden, **options}
        x = torch.randn(n_cells, n_in, generator=generator)
        return Case(label, (options, draw_weights(FCLayers, options, generator), x, *codes))

    plain, rate = {"dropout_rate": 0.0, "use_batch_norm": False}, draw_integer(2, 5, generator) / 10
    return [
        case("three covariates and two layers", *codes, n_out=n_hidden + 1, n_cat_list=sizes, n_layers=2, **plain),
        case("a covariate and batch normalisation", codes[0], n_out=3, n_cat_list=sizes[:1], dropout_rate=0.0),
        case(f"dropout of {100 * rate:.0f} %", n_out=16, dropout_rate=rate, use_batch_norm=False),
    ]
