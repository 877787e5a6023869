"""Exercise 1.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
import torch.nn.functional as F

MISTAKES = {
    "log-of-sigmoid": (
        lambda x, a: x * torch.log(torch.sigmoid(a)) + (1 - x) * torch.log(1 - torch.sigmoid(a)),
        "Right for ordinary logits, but for large ones the sigmoid rounds to exactly 0 or 1, and its logarithm "
        "is infinite. Never go through the probability: use softplus.",
    ),
    "softplus-by-hand": (
        lambda x, a: x * a - torch.log(1 + torch.exp(a)),
        "The formula is right, but exp(a) overflows for large a. F.softplus computes log(1 + exp(a)) safely.",
    ),
    "clamped-probability": (
        lambda x, a: (
            x * torch.log(torch.sigmoid(a).clamp(1e-7, 1 - 1e-7))
            + (1 - x) * torch.log((1 - torch.sigmoid(a)).clamp(1e-7, 1 - 1e-7))
        ),
        "You clamp the probability away from 0 and 1. That hides the infinities but gives wrong values and no "
        "gradient for large logits: use softplus, which needs no clamp.",
    ),
    "epsilon-in-the-log": (
        lambda x, a: x * torch.log(torch.sigmoid(a) + 1e-8) + (1 - x) * torch.log(1 - torch.sigmoid(a) + 1e-8),
        "The small number inside the logarithm hides the infinities but gives wrong values for large logits: "
        "use softplus, which needs none.",
    ),
    "cross-entropy-of-probabilities": (
        lambda x, a: -F.binary_cross_entropy(*torch.broadcast_tensors(torch.sigmoid(a), x), reduction="none"),
        "For large logits the sigmoid rounds to exactly 0 or 1, and PyTorch then cuts the logarithm at -100. "
        "Stay with the logits.",
    ),
    "cross-entropy": (
        lambda x, a: F.softplus(a) - x * a,
        "The sign is wrong: this is the binary cross-entropy, which is *minus* the log-probability.",
    ),
    "softplus-added": (
        lambda x, a: x * a + F.softplus(a),
        "The softplus has the wrong sign: it is subtracted, so that log-probabilities are below 0.",
    ),
    "softplus-of-minus": (
        lambda x, a: x * a - F.softplus(-a),
        "The sign inside the softplus is wrong for x = 0: log(1 - p) is minus softplus of a itself.",
    ),
    "logits-as-probabilities": (
        lambda x, a: x * torch.log(a) + (1 - x) * torch.log(1 - a),
        "You treat the logits as probabilities. A logit is any real number; the probability is its sigmoid.",
    ),
    "sigmoid-twice": (
        lambda x, a: x * torch.sigmoid(a) - F.softplus(torch.sigmoid(a)),
        "The sigmoid is applied twice: softplus wants the logit itself, not its sigmoid.",
    ),
    "probability": (
        lambda x, a: torch.exp(x * a - F.softplus(a)),
        "You return the probability. Its logarithm is needed.",
    ),
    "outcomes-swapped": (
        lambda x, a: -x * a - F.softplus(-a),
        "Outcomes 0 and 1 are swapped: a large logit should make x = 1 likely.",
    ),
    "outcome-ignored": (
        lambda x, a: a - F.softplus(a) + 0 * x,
        "x is not used: this is the log-probability of a 1, whatever came.",
    ),
    "outcome-inside-the-sigmoid": (
        lambda x, a: F.logsigmoid(x * a),
        "x is multiplied into the logit. It has to choose between log p and log(1 - p) instead.",
    ),
    "arguments-swapped": (
        lambda x, a: x * a - F.softplus(x),
        "x and logits are swapped in the softplus.",
    ),
    "ones-only": (
        lambda x, a: x * F.logsigmoid(a),
        "Only x = 1 is dealt with; a cell with x = 0 also has a probability, 1 - p.",
    ),
    "summed": (
        lambda x, a: (x * a - F.softplus(a)).sum(),
        "You summed over the entries. The function works elementwise; sums come later.",
    ),
    "averaged": (
        lambda x, a: (x * a - F.softplus(a)).mean(),
        "You averaged over the entries. The function works elementwise; sums come later.",
    ),
}
