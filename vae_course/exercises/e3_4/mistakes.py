"""Exercise 3.4: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


def _walked(model: BinaryVAE, x_start: Tensor, x_end: Tensor, share: Tensor, mode: bool = False) -> Tensor:
    model.train(mode)
    with torch.no_grad():
        means, _ = model.encode(torch.stack([x_start, x_end]))
        return torch.sigmoid(model.decode(torch.lerp(means[0], means[1], share.unsqueeze(-1))))


def _walked_between_draws(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    model.eval()
    with torch.no_grad():
        ends = model.reparameterize(*model.encode(torch.stack([x_start, x_end])))
        return torch.sigmoid(model.decode(torch.lerp(ends[0], ends[1], torch.linspace(0, 1, n_steps).unsqueeze(-1))))


def _walked_between_pictures(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    model.eval()
    with torch.no_grad():
        x = torch.lerp(x_start, x_end, torch.linspace(0, 1, n_steps).unsqueeze(-1))
        return torch.sigmoid(model.decode(model.encode(x)[0]))


def _walked_between_results(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    ends = _walked(model, x_start, x_end, torch.linspace(0, 1, 2))
    return torch.lerp(ends[0], ends[1], torch.linspace(0, 1, n_steps).unsqueeze(-1))


MISTAKES = {
    "logits": (
        lambda m, a, b, n: torch.logit(_walked(m, a, b, torch.linspace(0, 1, n))),
        "These are log-odds, as the decoder gives them. Probabilities are needed.",
    ),
    "train-mode": (
        lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n), mode=True),
        "The networks run in train mode, where batch normalisation uses these few cells and dropout is on. Set "
        "eval mode.",
    ),
    "mode-not-set": (
        lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n), mode=m.training),
        "Right for a model in eval mode, but a model fresh from training is in train mode: set the mode first.",
    ),
    "between-draws": (
        _walked_between_draws,
        "The ends are draws from the posteriors. Walk between their means, so that a walk can be repeated.",
    ),
    "between-pictures": (
        _walked_between_pictures,
        "You mix the two cells themselves and encode the mixtures. Encode the cells, and mix their latents.",
    ),
    "between-results": (
        _walked_between_results,
        "You mix the two decoded cells: that is a fade. Mix the latents, and decode every step.",
    ),
    "last-end-missing": (
        lambda m, a, b, n: _walked(m, a, b, torch.arange(n) / n),
        "The walk stops before it arrives. With n_steps points and both ends there are n_steps - 1 gaps.",
    ),
    "both-ends-missing": (
        lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n + 2)[1:-1]),
        "Both ends are missing. The first point is the first mean, the last one the second.",
    ),
    "backwards": (
        lambda m, a, b, n: _walked(m, a, b, torch.linspace(1, 0, n)),
        "The walk goes from x_end to x_start.",
    ),
    "one-too-many": (
        lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n + 1)),
        "There is one step too many: n_steps counts the points, both ends included.",
    ),
    "uneven": (
        lambda m, a, b, n: _walked(m, a, b, torch.linspace(0, 1, n) ** 2),
        "The ends are right, but the steps between them are not even.",
    ),
    "latents": (
        lambda m, a, b, n: torch.lerp(
            *m.eval().encode(torch.stack([a, b]))[0].detach(), torch.linspace(0, 1, n).unsqueeze(-1)
        ),
        "These are the latents on the way. Decode them.",
    ),
    "gradient-kept": (
        lambda m, a, b, n: torch.sigmoid(
            m.eval().decode(torch.lerp(*m.encode(torch.stack([a, b]))[0], torch.linspace(0, 1, n).unsqueeze(-1)))
        ),
        "The walk is right, but autograd still records it. Nothing is trained here: use torch.no_grad().",
    ),
}
