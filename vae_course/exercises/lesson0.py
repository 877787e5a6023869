"""Lesson 0, a count matrix and principal components: reference answers and what goes wrong."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.engine import Exercise


def library_size(counts: Tensor) -> Tensor:
    """Return the library size of every cell: how many counts it has in total.

    Parameters
    ----------
    counts
        Counts, (cells, genes).

    Returns
    -------
    Tensor
        Total counts, (cells,).
    """
    return counts.sum(dim=1)


def log_normalize(counts: Tensor, target_sum: float = 1e4) -> Tensor:
    """Give every cell the same total, then compress: log(1 + counts / library size * target_sum).

    Parameters
    ----------
    counts
        Counts, (cells, genes).
    target_sum
        The total that every cell gets before the logarithm.

    Returns
    -------
    Tensor
        Log-normalised expression (natural logarithm), (cells, genes).
    """
    return torch.log1p(counts / library_size(counts).unsqueeze(-1) * target_sum)


def pca_encode(x: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Encode cells: their coordinates along the principal components.

    Parameters
    ----------
    x
        Cells, (cells, genes).
    mean
        The point that the components start from, (genes,).
    components
        Directions, one a row, orthonormal, (latent, genes).

    Returns
    -------
    Tensor
        Coordinates, (cells, latent).
    """
    return (x - mean) @ components.T  # (cells, genes) @ (genes, latent)


def pca_decode(z: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Decode coordinates: go from the mean along every component as far as z says.

    Parameters
    ----------
    z
        Coordinates, (cells, latent).
    mean
        The point that the components start from, (genes,).
    components
        Directions, one a row, orthonormal, (latent, genes).

    Returns
    -------
    Tensor
        Reconstructed cells, (cells, genes).
    """
    return mean + z @ components  # (cells, latent) @ (latent, genes)


def reconstruction_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return how far a reconstruction is off: the squared error of a cell, averaged over cells.

    Parameters
    ----------
    x
        Cells, (cells, genes).
    x_hat
        Their reconstructions, (cells, genes).

    Returns
    -------
    Tensor
        Squared error, summed over genes, averaged over cells, a scalar.
    """
    return ((x - x_hat) ** 2).sum(dim=1).mean()


# --------------------------------------------------------------------------------------------------------------------
# The exercises
# --------------------------------------------------------------------------------------------------------------------


def _cases_of_counts() -> list[Case]:
    many = torch.poisson(torch.full((5, 7), 3.0), generator=torch.Generator().manual_seed(1)) + 1
    return [
        Case("three cells of two genes", (torch.tensor([[1.0, 2.0], [0.0, 4.0], [5.0, 0.0]]),)),
        Case("as many cells as genes", (torch.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 5.0], [0.0, 7.0, 0.0]]),)),
        Case("a single cell", (torch.tensor([[3.0, 0.0, 1.0, 2.0]]),)),
        Case("a single gene", (torch.tensor([[3.0], [1.0], [2.0], [9.0]]),)),
        Case("five cells of seven genes", (many,)),
    ]


def _cases_of_normalization() -> list[Case]:
    counts = [case.arguments[0] for case in _cases_of_counts()]
    return [
        Case("three cells of two genes", (counts[0],)),
        Case("target_sum = 100", (counts[0], 100.0)),
        Case("as many cells as genes", (counts[1],)),
        Case("a single cell", (counts[2],)),
        Case("a large and a small cell", (torch.tensor([[900.0, 0.0, 100.0], [1.0, 1.0, 0.0]]), 50.0)),
    ]


def _hidden_counts(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_cells, n_genes in torch.randint(2, 9, (3, 2), generator=generator).tolist():
        counts = torch.poisson(torch.full((n_cells, n_genes), 3.0), generator=generator)
        counts[:, 0] += 1  # so that no cell is empty
        cases.append(Case(f"{n_cells} cells of {n_genes} genes", (counts,)))
    return cases


def _hidden_normalization(seed: int) -> list[Case]:
    targets = torch.empty(3).uniform_(10.0, 10_000.0, generator=torch.Generator().manual_seed(seed)).round().tolist()
    return [
        Case(f"target_sum = {target:.0f}", (*case.arguments, target))
        for case, target in zip(_hidden_counts(seed), targets, strict=True)
    ]


def _components(n_latent: int, n_genes: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows, (n_latent, n_genes)."""
    square = torch.randn(n_genes, n_genes, generator=generator)
    return torch.linalg.qr(square).Q[:n_latent].contiguous()


def _cases_of_pca(coded: bool) -> list[Case]:
    """Cells to encode, or coordinates to decode."""
    cases = []
    for label, n_cells, n_latent, n_genes in (
        ("three cells of four genes and two components", 3, 2, 4),
        ("a single component", 5, 1, 3),
        ("a single cell", 1, 2, 5),
        ("as many components as genes", 4, 3, 3),
        ("as many cells as genes", 4, 2, 4),
    ):
        generator = torch.Generator().manual_seed(n_cells + 10 * n_genes)
        x = torch.randn(n_cells, n_latent if coded else n_genes, generator=generator)
        mean = torch.randn(n_genes, generator=generator) + 1
        components = _components(n_latent, n_genes, torch.Generator().manual_seed(n_genes))
        cases.append(Case(label, (x, mean, components)))
    return cases


def _hidden_pca(seed: int, coded: bool) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_cells, n_latent, more in torch.randint(1, 6, (3, 3), generator=generator).tolist():
        n_genes = n_latent + more
        x = torch.randn(n_cells + 1, n_latent if coded else n_genes, generator=generator)
        mean = torch.randn(n_genes, generator=generator) + 1
        label = f"{n_cells + 1} cells of {n_genes} genes, components: {n_latent}"
        cases.append(Case(label, (x, mean, _components(n_latent, n_genes, generator))))
    return cases


def _cases_of_reconstruction() -> list[Case]:
    generator = torch.Generator().manual_seed(3)
    cases = []
    for label, n_cells, n_genes in (
        ("two cells of three genes", 2, 3),
        ("as many cells as genes", 3, 3),
        ("a single cell", 1, 4),
        ("a single gene", 5, 1),
    ):
        x, x_hat = torch.randn(2, n_cells, n_genes, generator=generator)
        cases.append(Case(label, (x, x_hat)))
    return [*cases, Case("a perfect reconstruction", (torch.ones(2, 3), torch.ones(2, 3)))]


def _hidden_reconstruction(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_cells, n_genes in torch.randint(2, 9, (3, 2), generator=generator).tolist():
        x, x_hat = 2 * torch.randn(2, n_cells, n_genes, generator=generator)
        cases.append(Case(f"{n_cells} cells of {n_genes} genes", (x, x_hat)))
    return cases


def _explain_total(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Undo the logarithm of normalised cells and compare their totals with the target."""
    values = next(iter(got.values())).tensor
    target = case.arguments[1] if len(case.arguments) > 1 else 1e4
    totals = torch.expm1(values).sum(dim=1)
    if torch.allclose(totals, torch.full_like(totals, target), rtol=1e-3):
        return None
    yours = f"the first of yours sums to {totals[0]:,.0f}"
    return f"if one undoes the logarithm, every cell should sum to {target:,.0f}; {yours}."


def _explain_origin(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Find an error that is the same for all cells."""
    difference = next(iter(got.values())).tensor - next(iter(want.values())).tensor
    if len(difference) > 1 and not torch.allclose(difference[0], torch.zeros(()).double(), atol=1e-4):
        shared = torch.allclose(difference, difference[:1].expand_as(difference), atol=1e-4)
        return (
            "all cells are shifted by one and the same vector: is `mean` used, and with its right sign?"
            if shared
            else None
        )
    return None


def _normalize_in_place(counts: Tensor, target_sum: float = 1e4) -> Tensor:
    counts /= counts.sum(dim=1, keepdim=True)
    counts *= target_sum
    return torch.log1p(counts)


def _encode_in_place(x: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    x -= mean
    return x @ components.T


def _whitened(z: Tensor) -> Tensor:
    return z / z.std(dim=0)


def _fractions(counts: Tensor) -> Tensor:
    return counts / counts.sum(dim=1, keepdim=True)


EXERCISES = [
    Exercise(
        "0.1",
        "vae_course.exercises.lesson0.library_size",
        cases=_cases_of_counts,
        hidden=_hidden_counts,
        shape="(cells,), one number for every cell",
        hints=(
            "A cell is a row of the matrix, and its library size is the sum of that row. What has torch.sum to be told "
            "so that it adds along rows?",
            "counts.sum(dim=...) removes the axis that you name. counts has shape (cells, genes), the result shape "
            "(cells,): which axis has to go?",
        ),
        mistakes={
            "sums-over-cells": (
                lambda counts: counts.sum(dim=0),
                "You added up over the cells, which gives the total of every gene. A cell is a row: add up along it.",
            ),
            "grand-total": (
                lambda counts: counts.sum(),
                "You added up everything into one number. Each cell has a library size of its own.",
            ),
            "mean-for-sum": (
                lambda counts: counts.mean(dim=1),
                "You took the mean over genes. The library size is the total of a cell, not its average gene.",
            ),
            "detected-genes": (
                lambda counts: (counts > 0).sum(dim=1),
                "You counted how many genes are above zero. The library size adds up the counts themselves.",
            ),
            "kept-axis": (
                lambda counts: counts.sum(dim=1, keepdim=True),
                "The totals are right, but they stand in a column, (cells, 1). Here they are due as (cells,): do not "
                "keep the summed axis.",
            ),
            "log-total": (
                lambda counts: counts.sum(dim=1).log(),
                "You took the logarithm of the totals. The library size is the total itself; logarithms come later.",
            ),
            "largest-count": (
                lambda counts: counts.max(dim=1).values,
                "You took the largest count of every cell. The library size adds up all of them.",
            ),
            "numpy-array": (
                lambda counts: counts.sum(dim=1).numpy(),
                "The totals are right, but they come as a NumPy array. The course stays with torch tensors.",
            ),
            "python-list": (
                lambda counts: [float(cell.sum()) for cell in counts],
                "You return a Python list. One torch tensor is due; no loop over the cells is needed.",
            ),
        },
    ),
    Exercise(
        "0.2",
        "vae_course.exercises.lesson0.log_normalize",
        cases=_cases_of_normalization,
        hidden=_hidden_normalization,
        shape="(cells, genes), as counts",
        properties=(_explain_total,),
        hints=(
            "Three steps, in this order: divide every row by its total, multiply by target_sum, take log(1 + ...). "
            "Only the first needs care with shapes.",
            "(cells, genes) / (cells,) lines up the wrong axes. Make the totals a column of shape (cells, 1) with "
            ".unsqueeze(-1); torch.log1p(y) is log(1 + y).",
        ),
        mistakes={
            "no-log": (
                lambda counts, target_sum=1e4: _fractions(counts) * target_sum,
                "Every cell has the right total now, but the logarithm is missing.",
            ),
            "log-of-zero": (
                lambda counts, target_sum=1e4: torch.log(_fractions(counts) * target_sum),
                "You took log(y), which is minus infinity for every zero count. The formula has log(1 + y).",
            ),
            "log-before-scaling": (
                lambda counts, target_sum=1e4: torch.log1p(counts) / counts.sum(dim=1, keepdim=True) * target_sum,
                "You took the logarithm first and scaled afterwards. Scale the counts first; the logarithm comes last.",
            ),
            "log-then-normalized": (
                lambda counts, target_sum=1e4: _fractions(torch.log1p(counts)) * target_sum,
                "You took the logarithm first and normalised the logarithms. Normalise the counts; the logarithm comes "
                "last.",
            ),
            "log-before-dividing": (
                lambda counts, target_sum=1e4: torch.log1p(counts) / counts.sum(dim=1, keepdim=True),
                "You took the logarithm of the counts and divided afterwards. Divide and scale first; the logarithm "
                "comes last.",
            ),
            "no-target": (
                lambda counts, target_sum=1e4: torch.log1p(_fractions(counts)),
                "target_sum is not used: after the division every cell sums to 1, and should sum to target_sum.",
            ),
            "fixed-target": (
                lambda counts, target_sum=1e4: torch.log1p(_fractions(counts) * 1e4),
                "You wrote 10,000 into the code. Use the argument target_sum, whose default it is.",
            ),
            "scaled-after-the-log": (
                lambda counts, target_sum=1e4: torch.log1p(_fractions(counts)) * target_sum,
                "You multiplied by target_sum after the logarithm. Scale first; the logarithm comes last.",
            ),
            "one-added-before-scaling": (
                lambda counts, target_sum=1e4: torch.log(_fractions(counts + 1) * target_sum),
                "You added the 1 to the counts. Add it after the scaling, just before the logarithm.",
            ),
            "target-added": (
                lambda counts, target_sum=1e4: torch.log1p(_fractions(counts) + target_sum),
                "You added target_sum. Multiply by it.",
            ),
            "divided-by-target": (
                lambda counts, target_sum=1e4: torch.log1p(_fractions(counts) / target_sum),
                "You divided by target_sum. Multiply by it.",
            ),
            "mean-for-total": (
                lambda counts, target_sum=1e4: torch.log1p(counts / counts.mean(dim=1, keepdim=True) * target_sum),
                "You divided every cell by its mean. Divide by its total, the library size.",
            ),
            "one-added-twice": (
                lambda counts, target_sum=1e4: torch.log1p(1 + _fractions(counts) * target_sum),
                "The 1 is added twice: log1p(y) is log(1 + y) already.",
            ),
            "log10": (
                lambda counts, target_sum=1e4: torch.log10(1 + _fractions(counts) * target_sum),
                "You took the logarithm to base 10. In this course log is the natural logarithm.",
            ),
            "log2": (
                lambda counts, target_sum=1e4: torch.log2(1 + _fractions(counts) * target_sum),
                "You took the logarithm to base 2. In this course log is the natural logarithm.",
            ),
            "totals-along-the-wrong-axis": (
                lambda counts, target_sum=1e4: torch.log1p(counts / counts.sum(dim=1) * target_sum),
                "The totals have shape (cells,), and broadcasting lines them up with the genes: an error, or worse, "
                "silently wrong when there are as many cells as genes. They have to stand in a column, (cells, 1).",
            ),
            "normalizes-genes": (
                lambda counts, target_sum=1e4: torch.log1p(counts / counts.sum(dim=0) * target_sum),
                "You divided by the totals of the genes (columns). Divide every cell (row) by its own total.",
            ),
            "grand-total": (
                lambda counts, target_sum=1e4: torch.log1p(counts / counts.sum() * target_sum),
                "You divided by the total of the whole matrix. Divide every cell by its own total.",
            ),
            "changes-its-input": (
                _normalize_in_place,
                "The result is right, but `counts` is changed on the way (/=, *= and names that end in _ work in "
                "place), and the raw counts are lost. Make new tensors instead.",
            ),
        },
    ),
    Exercise(
        "0.3",
        "vae_course.exercises.lesson0.pca_encode",
        cases=lambda: _cases_of_pca(coded=False),
        hidden=lambda seed: _hidden_pca(seed, coded=False),
        shape="(cells, latent)",
        properties=(_explain_origin,),
        hints=(
            "First move the origin: subtract `mean` from every cell. A coordinate is then the dot product of the cell "
            "with a component, for all cells and components at once a matrix product.",
            "Shapes decide: (cells, genes) @ (genes, latent) gives (cells, latent), but components is (latent, genes). "
            ".T transposes.",
        ),
        mistakes={
            "not-centred": (
                lambda x, mean, components: x @ components.T,
                "`mean` is not used: coordinates are measured from the mean, so subtract it first.",
            ),
            "own-mean": (
                lambda x, mean, components: (x - x.mean(dim=0)) @ components.T,
                "You subtracted the mean of these very cells. Use the mean that is given: a new cell has to land in "
                "the same coordinates, whoever else is in the table.",
            ),
            "cell-mean": (
                lambda x, mean, components: (x - x.mean(dim=1, keepdim=True)) @ components.T,
                "You subtracted from every cell the average of its own genes. Subtract the given `mean`, a number for "
                "every gene.",
            ),
            "mean-added": (
                lambda x, mean, components: (x + mean) @ components.T,
                "You added the mean. The encoder takes it away; the decoder will put it back.",
            ),
            "not-transposed": (
                lambda x, mean, components: (x - mean) @ components,
                "The matrix product is the wrong way round: components has a direction in each row, (latent, genes), "
                "and has to be transposed.",
            ),
            "entry-by-entry": (
                lambda x, mean, components: (x - mean) * components,
                "* multiplies entry by entry. The matrix product, which adds up over the genes, is written @.",
            ),
            "standardized": (
                lambda x, mean, components: (x - mean) / x.std(dim=0) @ components.T,
                "You divided by the standard deviation. Only the mean is taken away.",
            ),
            "transposed-result": (
                lambda x, mean, components: components @ (x - mean).T,
                "The coordinates are right, but transposed: cells belong in the rows.",
            ),
            "decoded-too": (
                lambda x, mean, components: mean + (x - mean) @ components.T @ components,
                "You went back to genes. The encoder stops at the coordinates, (cells, latent).",
            ),
            "decoded-without-mean": (
                lambda x, mean, components: (x - mean) @ components.T @ components,
                "You went back to genes, without the mean. The encoder stops at the coordinates, (cells, latent).",
            ),
            "minus-after-product": (
                lambda x, mean, components: x - mean @ components.T,
                "@ binds more tightly than the minus sign. Set brackets around the difference.",
            ),
            "whitened": (
                lambda x, mean, components: _whitened((x - mean) @ components.T),
                "You divided the coordinates by their standard deviation. Leave them as they are.",
            ),
            "mean-of-products": (
                lambda x, mean, components: ((x - mean).unsqueeze(1) * components).mean(dim=2),
                "You took the mean over genes of the products. A coordinate is their sum, the dot product.",
            ),
            "changes-its-input": (
                _encode_in_place,
                "The result is right, but `x` is changed on the way (-= works in place). Make a new tensor instead.",
            ),
        },
    ),
    Exercise(
        "0.4",
        "vae_course.exercises.lesson0.pca_decode",
        cases=lambda: _cases_of_pca(coded=True),
        hidden=lambda seed: _hidden_pca(seed, coded=True),
        shape="(cells, genes)",
        properties=(_explain_origin,),
        hints=(
            "Undo the encoder backwards: a cell is the mean, plus its first coordinate times the first component, plus "
            "its second coordinate times the second, and so on.",
            "That sum is a matrix product, (cells, latent) @ (latent, genes); components has just this shape. Then the "
            "mean comes back.",
        ),
        mistakes={
            "no-mean": (
                lambda z, mean, components: z @ components,
                "`mean` is not added back: z = 0 should decode to the mean, yours decodes to zeros.",
            ),
            "mean-subtracted": (
                lambda z, mean, components: z @ components - mean,
                "You subtracted the mean. The encoder took it away, so the decoder adds it.",
            ),
            "transposed": (
                lambda z, mean, components: mean + z @ components.T,
                "components should not be transposed here: (cells, latent) @ (latent, genes) fits as it is.",
            ),
            "entry-by-entry": (
                lambda z, mean, components: mean + z * components,
                "* multiplies entry by entry. The matrix product, which adds up over the components, is written @.",
            ),
            "clamped": (
                lambda z, mean, components: (mean + z @ components).clamp(min=0),
                "You cut off negative values. PCA knows nothing of counts and may produce them: leave them.",
            ),
            "mean-added-to-z": (
                lambda z, mean, components: (z + mean) @ components,
                "You added the mean to the coordinates. It is a point among genes: add it after the matrix product.",
            ),
            "mean-subtracted-from-z": (
                lambda z, mean, components: (z - mean) @ components,
                "You subtracted the mean from the coordinates. It is a point among genes, and is added after the "
                "matrix product.",
            ),
            "mean-multiplied": (
                lambda z, mean, components: (z @ components) * mean,
                "You multiplied by the mean. Add it.",
            ),
            "mean-of-means": (
                lambda z, mean, components: z @ components + mean.mean(),
                "You added one number to all genes. `mean` has a value for every gene: add it as it is.",
            ),
            "transposed-result": (
                lambda z, mean, components: (mean + z @ components).T,
                "The values are right, but transposed: cells belong in the rows.",
            ),
            "first-component-only": (
                lambda z, mean, components: mean + z[:, :1] * components[0],
                "Only the first component is used. Add up all of them, each times its own coordinate.",
            ),
        },
    ),
    Exercise(
        "0.5",
        "vae_course.exercises.lesson0.reconstruction_error",
        cases=_cases_of_reconstruction,
        hidden=_hidden_reconstruction,
        shape="the error of an average cell",
        hints=(
            "Three steps: the squared differences, (cells, genes); one sum per cell; the mean of these sums.",
            "The sum runs over one axis, the mean over what is left. Which axis are the genes?",
        ),
        mistakes={
            "mean-over-genes": (
                lambda x, x_hat: ((x - x_hat) ** 2).mean(),
                "You averaged over genes and cells. Here the genes are summed and only the cells averaged: the error "
                "of a cell, not of an entry.",
            ),
            "sum-over-cells": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum(),
                "You summed over the cells too, so that the error grows with the number of cells. Average over cells.",
            ),
            "axes-swapped": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum(dim=0).mean(),
                "You summed over cells and averaged over genes. It is the other way round.",
            ),
            "not-squared": (
                lambda x, x_hat: (x - x_hat).sum(dim=1).mean(),
                "The differences are not squared, so that positive and negative ones cancel.",
            ),
            "absolute": (
                lambda x, x_hat: (x - x_hat).abs().sum(dim=1).mean(),
                "You took absolute differences. The squared error squares them.",
            ),
            "squared-too-late": (
                lambda x, x_hat: ((x - x_hat).sum(dim=1) ** 2).mean(),
                "You squared after summing over genes, when differences have already cancelled. Square first.",
            ),
            "root": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum(dim=1).sqrt().mean(),
                "You took the square root of every cell's error. Leave the squares as they are.",
            ),
            "root-mean-square": (
                lambda x, x_hat: ((x - x_hat) ** 2).mean().sqrt(),
                "That is the root mean squared error of an entry. Sum over genes, average over cells, take no root.",
            ),
            "root-of-the-mean": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum(dim=1).mean().sqrt(),
                "You took the square root at the end. Leave the squares as they are.",
            ),
            "fixed-number-of-genes": (
                lambda x, x_hat: ((x - x_hat) ** 2).mean() * 765,
                "You wrote 765 genes into the code. The function has to work for any number: sum over the genes.",
            ),
            "distance-to-all": (
                lambda x, x_hat: torch.cdist(x, x_hat).mean(),
                "cdist compares every cell with every reconstruction. Each cell is compared with its own.",
            ),
            "one-per-cell": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum(dim=1),
                "You return an error for every cell. One number is due: average them.",
            ),
            "cells-minus-one": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum() / (len(x) - 1),
                "You divided by the number of cells minus 1. A mean divides by their number.",
            ),
            "median": (
                lambda x, x_hat: ((x - x_hat) ** 2).sum(dim=1).median(),
                "You took the median over cells. The mean is due.",
            ),
            "difference-of-squares": (
                lambda x, x_hat: (x**2 - x_hat**2).sum(dim=1).mean(),
                "You subtracted squares. Square the difference.",
            ),
            "half": (
                lambda x, x_hat: 0.5 * ((x - x_hat) ** 2).sum(dim=1).mean(),
                "There is a factor 1/2 too much.",
            ),
        },
    ),
]
