"""Exercise 2.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import nn

MISTAKES = {
    "integers": (
        lambda index, n: nn.functional.one_hot(index.flatten(), n),
        "The table is right but holds integers. It will stand beside float columns in a network: convert it.",
    ),
    "booleans": (
        lambda index, n: index.reshape(-1, 1) == torch.arange(n),
        "The table is right but holds True and False. It will stand beside float columns: convert it.",
    ),
    "extra-axis": (
        lambda index, n: nn.functional.one_hot(index, n).float(),
        "Right for index of shape (cells,), but (cells, 1) gives a table with three axes. Flatten the index first.",
    ),
    "squeezed-away": (
        lambda index, n: nn.functional.one_hot(index.squeeze(), n).float(),
        "A single cell loses its row: index has length 1 there, and squeezing or plain indexing drops that "
        "axis. index.flatten() always has shape (cells,).",
    ),
    "width-from-the-data": (
        lambda index, n: nn.functional.one_hot(index.flatten()).float(),
        "The number of columns comes from the largest code at hand, so that a minibatch without the last "
        "category gets a narrower table. Use n_categories.",
    ),
    "transposed": (
        lambda index, n: nn.functional.one_hot(index.flatten(), n).float().T,
        "The table is transposed: a row for every cell, a column for every category.",
    ),
    "column-against-column": (
        lambda index, n: (index == torch.arange(n)).float(),
        "index of shape (cells,) is compared with the categories entry by entry. Make it a column, (cells, 1), "
        "so that every cell meets every category.",
    ),
    "counted-from-one": (
        lambda index, n: torch.eye(n)[index.flatten() - 1],
        "The codes count from 0, as Python does; yours lands one column to the left.",
    ),
    "all-up-to-the-code": (
        lambda index, n: (torch.arange(n) <= index.reshape(-1, 1)).float(),
        "Every column up to the code is 1. Only the column of the code itself should be.",
    ),
    "table-of-counts": (
        lambda index, n: nn.functional.one_hot(index.flatten(), n).float().sum(dim=0),
        "You counted how often each category occurs. A row for every cell is needed.",
    ),
    "codes-as-numbers": (
        lambda index, n: index.reshape(-1, 1).float().expand(-1, n),
        "You repeated the code itself. As a number it would say that category 2 is twice category 1: each row "
        "should have a single 1, in the column of its category.",
    ),
}
