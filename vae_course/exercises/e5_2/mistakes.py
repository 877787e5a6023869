"""Exercise 5.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.exercises.e5_1.answer import nb_log_prob
from vae_course.exercises.e5_1.mistakes import nb_in_float32, nb_with_epsilon, nb_without_xlogy
from vae_course.exercises.e5_2.answer import zinb_log_prob


def _zinb_of(
    zero: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda log_pi, log_rest, log_nb: torch.logaddexp(
        log_pi, log_rest + log_nb
    ),
    count: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda log_pi, log_rest, log_nb: log_rest + log_nb,
    nb: Callable[[Tensor, Tensor, Tensor], Tensor] = nb_log_prob,
    logits: Callable[[Tensor], Tensor] = lambda a: a,
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Zero-inflated negative binomial with something else at zeros or above; the defaults are right."""

    def answer(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
        a = logits(zi_logits.double())
        parts = F.logsigmoid(a), F.logsigmoid(-a), nb(x, mu, theta)
        return torch.where(x == 0, zero(*parts), count(*parts))

    return answer


def _zinb_by_probabilities(
    x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor, *, to_pi: Callable = torch.sigmoid, eps: float = 0.0
) -> Tensor:
    pi, log_nb = to_pi(zi_logits), nb_log_prob(x, mu, theta)
    return torch.where(x == 0, torch.log(pi + (1 - pi) * torch.exp(log_nb) + eps), torch.log(1 - pi + eps) + log_nb)


def _zinb_of_shrunk_mean(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    return nb_log_prob(x, mu.double() * torch.sigmoid(-zi_logits.double()), theta)


MISTAKES = {
    "extra-zeros-everywhere": (
        _zinb_of(count=lambda p, q, nb: torch.logaddexp(p, q + nb)),
        "pi is added at every count. An extra zero is a zero: it cannot explain a count above 0.",
    ),
    "without-the-zeros-of-the-nb": (
        _zinb_of(zero=lambda p, q, nb: p),
        "At x = 0 only the extra zeros are there. The negative binomial gives zeros too, with probability "
        "1 - pi times its own.",
    ),
    "counts-not-shrunk": (
        _zinb_of(count=lambda p, q, nb: nb),
        "A count above 0 also needs that there was no extra zero: log(1 - pi) is missing there.",
    ),
    "zeros-not-shrunk": (
        _zinb_of(zero=lambda p, q, nb: torch.logaddexp(p, nb)),
        "At x = 0 the zeros of the negative binomial come only when there is no extra one: the factor 1 - pi "
        "is missing.",
    ),
    "nothing-shrunk": (
        _zinb_of(zero=lambda p, q, nb: torch.logaddexp(p, nb), count=lambda p, q, nb: nb),
        "The negative binomial has to be multiplied by 1 - pi, at zeros and above, or the probabilities sum to 1 + pi.",
    ),
    "pi-swapped": (
        _zinb_of(logits=lambda a: -a),
        "pi and 1 - pi are swapped: a large logit makes an extra zero likely.",
    ),
    "pi-for-counts": (
        _zinb_of(count=lambda p, q, nb: p + nb),
        "Zeros are right, but a count above 0 is multiplied by pi. It needs that there was no extra zero.",
    ),
    "branches-swapped": (
        _zinb_of(zero=lambda p, q, nb: q + nb, count=lambda p, q, nb: torch.logaddexp(p, q + nb)),
        "The two branches are swapped: the sum of two ways belongs to x = 0.",
    ),
    "logarithms-added": (
        _zinb_of(zero=lambda p, q, nb: p + q + nb),
        "At x = 0 you add logarithms, which multiplies the probabilities. The probabilities are to be added.",
    ),
    "mean-of-logarithms": (
        lambda x, mu, theta, a: torch.where(
            x == 0,
            torch.sigmoid(-a.double()) * nb_log_prob(x, mu, theta),
            F.logsigmoid(-a.double()) + nb_log_prob(x, mu, theta),
        ),
        "At x = 0 you average logarithms with the weights pi and 1 - pi. Average the probabilities: the "
        "logarithm comes last.",
    ),
    "through-probabilities": (
        _zinb_by_probabilities,
        "Right for ordinary logits, but at 30 the sigmoid rounds to 1, and log(1 - pi) is minus infinity. Stay "
        "with logarithms: F.softplus gives both.",
    ),
    "probabilities-in-float64": (
        lambda x, mu, theta, a: _zinb_by_probabilities(x, mu, theta, a.double()),
        "Right for ordinary logits, but at 30 even float64 has few digits left in 1 - pi. Stay with "
        "logarithms, or take the sigmoid of the negative logit.",
    ),
    "epsilon-in-the-log": (
        lambda x, mu, theta, a: _zinb_by_probabilities(x, mu, theta, a, eps=1e-8),
        "The small number inside the logarithm hides the infinities at large logits but gives wrong values: "
        "use F.softplus, which needs none.",
    ),
    "logits-as-probabilities": (
        lambda x, mu, theta, a: _zinb_by_probabilities(x, mu, theta, a.double(), to_pi=lambda a: a),
        "You treat the logits as probabilities. A logit is any real number; pi is its sigmoid.",
    ),
    "sigmoid-twice": (
        _zinb_of(logits=torch.sigmoid),
        "The sigmoid is applied twice: F.softplus, or the sigmoid, wants the logit itself.",
    ),
    "zero-whatever-came": (
        _zinb_of(
            zero=lambda p, q, nb: torch.logaddexp(p, q + nb),
            count=lambda p, q, nb: torch.logaddexp(p, q),
        ),
        "Above zero the negative binomial is not used: whatever the count, you return a logarithm of 1.",
    ),
    "mean-shrunk": (
        _zinb_of_shrunk_mean,
        "You make the mean smaller by 1 - pi. The two distributions have the same mean but not the same zeros: "
        "mix the probabilities.",
    ),
    "nb-only": (
        lambda x, mu, theta, a: nb_log_prob(x, mu, theta) + 0 * a,
        "This is the negative binomial alone: zi_logits is not used.",
    ),
    "float32": (
        _zinb_of(nb=nb_in_float32),
        "The mixture is right, but the negative binomial in it is computed in float32, where its gamma "
        "functions nearly cancel for a large theta. Use your nb_log_prob of exercise 5.1.",
    ),
    "epsilon": (
        _zinb_of(nb=nb_with_epsilon),
        "The mixture is right, but in the negative binomial a small number is added to mu. Use your "
        "nb_log_prob of exercise 5.1.",
    ),
    "negative": (
        lambda x, mu, theta, a: -zinb_log_prob(x, mu, theta, a),
        "The sign is wrong: this is the negative log-likelihood, a loss. The log-probability is needed.",
    ),
    "probability": (
        lambda x, mu, theta, a: torch.exp(zinb_log_prob(x, mu, theta, a)),
        "You return the probability. Its logarithm is needed.",
    ),
    "summed-over-genes": (
        lambda x, mu, theta, a: zinb_log_prob(x, mu, theta, a).sum(dim=-1),
        "You summed over the genes, as scVI 0.3.0 did. The function works elementwise; sums come later.",
    ),
    "summed": (
        lambda x, mu, theta, a: zinb_log_prob(x, mu, theta, a).sum(),
        "You summed over all entries. The function works elementwise; sums come later.",
    ),
    "nan-at-mean-zero": (
        _zinb_of(nb=nb_without_xlogy),
        "The mixture is right, but for mu = 0 the negative binomial in it is NaN at x = 0, by 0 times the logarithm "
        "of 0. torch.xlogy(x, y) is x * torch.log(y), and 0 at x = 0.",
    ),
}
