"""Exercise 0.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

MISTAKES = {
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
        "The totals are right, but they stand in a column, (cells, 1). Here they are needed as (cells,): do not "
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
        "You return a Python list. One torch tensor is needed; no loop over the cells is needed.",
    ),
}
