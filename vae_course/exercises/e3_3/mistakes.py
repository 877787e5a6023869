"""Exercise 3.3: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


def _sampled(model: BinaryVAE, z: Tensor, mode: bool = False, squash: bool = True) -> Tensor:
    model.train(mode)
    with torch.no_grad():
        logits = model.decode(z)
    return torch.sigmoid(logits) if squash else logits


MISTAKES = {
    "logits": (
        lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g), squash=False),
        "These are log-odds, as the decoder gives them. Probabilities are needed.",
    ),
    "uniform": (
        lambda m, n, g: _sampled(m, torch.rand(n, 3, generator=g)),
        "The latents are drawn with torch.rand, uniform between 0 and 1. The prior is a standard normal.",
    ),
    "mean-of-the-prior": (
        lambda m, n, g: _sampled(m, torch.zeros(n, 3)),
        "All cells are the same: their latents are the mean of the prior. Draw them.",
    ),
    "one-draw-for-all": (
        lambda m, n, g: _sampled(m, torch.randn(1, 3, generator=g).expand(n, 3)),
        "One z is drawn and used for all cells. Each cell needs its own.",
    ),
    "one-number-a-cell": (
        lambda m, n, g: _sampled(m, torch.randn(n, 1, generator=g).expand(n, 3)),
        "Each cell has one random number, repeated in all latents. Draw one for every cell and latent.",
    ),
    "generator-ignored": (
        lambda m, n, g: _sampled(m, torch.randn(n, 3)),
        "Not all draws come from the generator, so the same seed does not give the same cells.",
    ),
    "seeded-anew": (
        lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g.manual_seed(0))),
        "The generator is seeded inside the function, so every call makes the same cells. Just draw from it.",
    ),
    "train-mode": (
        lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g), mode=True),
        "The decoder runs in train mode, where batch normalisation rescales the latents of each call and fails "
        "for a single cell. Set eval mode.",
    ),
    "mode-not-set": (
        lambda m, n, g: _sampled(m, torch.randn(n, 3, generator=g), mode=m.training),
        "Right for a model in eval mode, but a model fresh from training is in train mode: set the mode first.",
    ),
    "gradient-kept": (
        lambda m, n, g: torch.sigmoid(m.eval().decode(torch.randn(n, 3, generator=g))),
        "The cells are right, but they drag the record of their making along. Nothing is trained here: use "
        "torch.no_grad().",
    ),
    "outcomes": (
        lambda m, n, g: torch.bernoulli(_sampled(m, torch.randn(n, 3, generator=g)), generator=g),
        "You throw the coins: these are outcomes, 0 or 1. Return the probabilities.",
    ),
    "too-wide": (
        lambda m, n, g: _sampled(m, 2 * torch.randn(n, 3, generator=g)),
        "The latents are spread twice as widely as the prior, whose standard deviation is 1.",
    ),
    "softmax": (
        lambda m, n, g: torch.softmax(_sampled(m, torch.randn(n, 3, generator=g), squash=False), dim=-1),
        "A softmax makes the genes of a cell share one probability. Here every gene has a coin of its own: sigmoid.",
    ),
}
