"""Exercise 5.8: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _odds(p: Tensor, eps: float) -> Tensor:
    return torch.log(p + eps) - torch.log(1 - p + eps)


def share_of_wins(scale_1: Tensor, scale_2: Tensor) -> Tensor:
    return ((scale_1 > scale_2).double() + (scale_1 == scale_2).double() / 2).mean(dim=0)


def _factor(
    p: Callable[[Tensor, Tensor], Tensor] = share_of_wins, score: Callable[[Tensor, float], Tensor] = _odds
) -> Callable[..., Tensor]:
    """Make an answer to 5.8 of a probability and what is made of it."""

    def answer(scale_1: Tensor, scale_2: Tensor, eps: float = 1e-8) -> Tensor:
        return score(p(scale_1, scale_2), eps)

    return answer


MISTAKES = {
    "ties-as-wins": (
        _factor(lambda a, b: (a >= b).double().mean(dim=0)),
        "A tie counts as a win of group 1. It should count half, so that neither group is favoured.",
    ),
    "ties-as-losses": (
        _factor(lambda a, b: (a > b).double().mean(dim=0)),
        "A tie counts as a win of group 2. It should count half, so that neither group is favoured.",
    ),
    "ties-left-out": (
        _factor(lambda a, b: (a > b).double().sum(dim=0) / (a != b).double().sum(dim=0)),
        "You leave the draws with a tie out. They should count half.",
    ),
    "near-ties": (
        _factor(lambda a, b: ((a > b) & ~a.isclose(b)).double().mean(0) + a.isclose(b).double().mean(0) / 2),
        "Right for large scales, but scales of many genes are tiny, and isclose() takes all that is below 1e-8 "
        "for equal. A tie is an equality.",
    ),
    "all-pairs": (
        _factor(lambda a, b: share_of_wins((a.unsqueeze(1) - b).flatten(0, 1), torch.zeros(()))),
        "You compare every draw of group 1 with every draw of group 2. Compare row with row.",
    ),
    "no-eps": (
        _factor(score=lambda p, eps: torch.log(p) - torch.log(1 - p)),
        "Right as long as neither group wins always, but for p = 0 or p = 1 a logarithm meets 0 and is "
        "infinite. eps is there for that.",
    ),
    "eps-in-the-first-log-only": (
        _factor(score=lambda p, eps: torch.log(p + eps) - torch.log(1 - p)),
        "eps is in the first logarithm only, so that p = 1 gives infinity. Both need it.",
    ),
    "eps-in-the-second-log-only": (
        _factor(score=lambda p, eps: torch.log(p) - torch.log(1 - p + eps)),
        "eps is in the second logarithm only, so that p = 0 gives minus infinity. Both need it.",
    ),
    "eps-subtracted": (
        _factor(score=lambda p, eps: torch.log(p + eps) - torch.log(1 - (p + eps))),
        "eps is subtracted in the second logarithm: for p = 1 something negative is left, and the result is "
        "nan. Add it in both.",
    ),
    "eps-rounded-away": (
        _factor(score=lambda p, eps: torch.log(p.float() + eps) - torch.log(1 + eps - p.float())),
        "In float32, 1 + 1e-8 is exactly 1: eps is rounded away, and p = 1 gives infinity. Subtract p from 1 "
        "before you add it, or compute in float64.",
    ),
    "eps-fixed": (
        _factor(score=lambda p, eps: _odds(p, 1e-8)),
        "eps is not used: it is always 1e-8. That is only its default.",
    ),
    "clamped": (
        _factor(score=lambda p, eps: torch.logit(p, eps=eps)),
        "You clamp p between eps and 1 - eps. eps is to be added inside both logarithms, which also changes "
        "what lies in between a little.",
    ),
    "base-two": (
        _factor(score=lambda p, eps: _odds(p, eps) / math.log(2)),
        "The logarithm has base 2. The natural one is needed.",
    ),
    "base-ten": (
        _factor(score=lambda p, eps: _odds(p, eps) / math.log(10)),
        "The logarithm has base 10. The natural one is needed.",
    ),
    "log-of-p-only": (
        _factor(score=lambda p, eps: torch.log(p + eps)),
        "This is log p alone. The Bayes factor compares p with 1 - p.",
    ),
    "odds": (
        _factor(score=lambda p, eps: (p + eps) / (1 - p + eps)),
        "These are the odds. Their logarithm is needed, so that 0 means undecided.",
    ),
    "logarithms-added": (
        _factor(score=lambda p, eps: torch.log(p + eps) + torch.log(1 - p + eps)),
        "You add the two logarithms. Of a quotient they are subtracted.",
    ),
    "logarithms-divided": (
        _factor(score=lambda p, eps: torch.log(p + eps) / torch.log(1 - p + eps)),
        "You divided two logarithms. The logarithm of a quotient is a difference of logarithms.",
    ),
    "means-compared": (
        _factor(lambda a, b: share_of_wins(a.mean(dim=0, keepdim=True), b.mean(dim=0, keepdim=True))),
        "You compare the mean scales, so that p can only be 0 or 1. Compare draw by draw, then average.",
    ),
    "fold-change": (
        lambda a, b, eps=1e-8: torch.log(a.mean(dim=0) + eps) - torch.log(b.mean(dim=0) + eps),
        "This is the log fold change of the mean scales, the size of an effect. A Bayes factor says how sure "
        "one can be of its direction.",
    ),
    "swapped": (
        _factor(score=lambda p, eps: -_odds(p, eps)),
        "The sign is wrong: above 0 where group 1 is higher. Are the two groups swapped?",
    ),
    "probability": (
        _factor(score=lambda p, eps: p),
        "This is the probability p. Make log-odds of it.",
    ),
    "mean-over-genes": (
        lambda a, b, eps=1e-8: _odds(share_of_wins(a, b).mean(), eps),
        "You averaged over the genes too. Every gene has a Bayes factor of its own.",
    ),
    "wrong-axis": (
        _factor(lambda a, b: ((a > b).double() + (a == b).double() / 2).mean(dim=-1)),
        "You averaged over the last axis, the genes. The draws are the first one.",
    ),
    "averaged-factors": (
        lambda a, b, eps=1e-8: _odds((a > b).double() + (a == b).double() / 2, eps).mean(dim=0),
        "You make a Bayes factor of every single draw and average those. Average first, to get p.",
    ),
    "not-averaged": (
        lambda a, b, eps=1e-8: _odds((a > b).double() + (a == b).double() / 2, eps),
        "You return one number for every draw. Average over the draws first, to get p.",
    ),
    "absolute": (
        _factor(score=lambda p, eps: _odds(p, eps).abs()),
        "You return absolute values. The sign tells which group is higher.",
    ),
}
