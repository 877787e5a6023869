"""Exercise 5.2: a right answer to show to learners, in few steps."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.exercises.e5_1.answer import nb_log_prob


def zinb_log_prob(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    """Return log ZINB(x), elementwise."""
    log_nb = nb_log_prob(x, mu, theta)
    zero = F.softplus(log_nb - zi_logits) - F.softplus(-zi_logits)  # an extra one, or one of the negative binomial
    return torch.where(x == 0, zero, log_nb - F.softplus(zi_logits))
