"""Exercise 0.5: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch

MISTAKES = {
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
        "You return an error for every cell. One number is needed: average them.",
    ),
    "cells-minus-one": (
        lambda x, x_hat: ((x - x_hat) ** 2).sum() / (len(x) - 1),
        "You divided by the number of cells minus 1. A mean divides by their number.",
    ),
    "median": (
        lambda x, x_hat: ((x - x_hat) ** 2).sum(dim=1).median(),
        "You took the median over cells. The mean is needed.",
    ),
    "difference-of-squares": (
        lambda x, x_hat: (x**2 - x_hat**2).sum(dim=1).mean(),
        "You subtracted squares. Square the difference.",
    ),
    "half": (
        lambda x, x_hat: 0.5 * ((x - x_hat) ** 2).sum(dim=1).mean(),
        "There is a factor 1/2 too much.",
    ),
}
