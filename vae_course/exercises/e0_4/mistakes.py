"""Exercise 0.4: known misconceptions, each with a wrong answer that shows it and a message that names it."""

MISTAKES = {
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
}
