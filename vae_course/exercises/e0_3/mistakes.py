"""Exercise 0.3: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from torch import Tensor


def _encode_in_place(x: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    x -= mean
    return x @ components.T


def _whitened(z: Tensor) -> Tensor:
    return z / z.std(dim=0)


MISTAKES = {
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
        "@ binds more tightly than the minus sign. Put brackets around the difference.",
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
}
