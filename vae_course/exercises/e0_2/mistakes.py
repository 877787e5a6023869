"""Exercise 0.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor


def _normalize_in_place(counts: Tensor, target_sum: float = 1e4) -> Tensor:
    counts /= counts.sum(dim=1, keepdim=True)
    counts *= target_sum
    return torch.log1p(counts)


def _fractions(counts: Tensor) -> Tensor:
    return counts / counts.sum(dim=1, keepdim=True)


MISTAKES = {
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
        "You took the logarithm first and normalised the logarithms. Normalise the counts; the logarithm comes last.",
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
}
