"""`BinaryVAE`: a variational autoencoder for binary data, such as genes detected or not."""

import torch
from torch import Tensor, nn

from vae_course.data import CountData
from vae_course.distributions import bernoulli_log_prob, kl_standard_normal, normal_log_prob, reparameterize
from vae_course.model import LossTerms, Model, check_genes
from vae_course.nn import FCLayers
from vae_course.runtime.seeds import seeded


def binary_vae_loss(x: Tensor, logits: Tensor, mean: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Negative ELBO of a VAE with Bernoulli outcomes: binary cross-entropy plus KL to the prior.

    Both parts are summed over a cell's genes or latents and averaged over cells. Averaging the first over genes would
    silently multiply the second by their number.

    Parameters
    ----------
    x, logits
        Outcomes 0 or 1 and their decoded log-odds, (cells, genes).
    mean, logvar
        Of q(z|x), (cells, n_latent).

    Returns
    -------
    total, bce, kl
        Nats per cell, scalars; total = bce + kl.
    """
    bce = -bernoulli_log_prob(x, logits).sum(dim=-1).mean()
    kl = kl_standard_normal(mean, logvar).mean()
    return bce + kl, bce, kl


class BinaryVAE(Model):
    """Variational autoencoder for binary data.

    z ~ N(0, I), x_g ~ Bernoulli(sigmoid(decode(z)_g)), q(z|x) = N(mu, exp(logvar)).

    Parameters
    ----------
    n_input
        Number of genes (or pixels).
    n_latent, n_hidden
        Number of latents, and width of the hidden layers.
    seed
        Seed of the initial weights.
    """

    def __init__(self, n_input: int, n_latent: int = 2, n_hidden: int = 128, seed: int = 0) -> None:
        super().__init__(n_input=n_input, n_latent=n_latent, n_hidden=n_hidden, seed=seed)
        self.n_input, self.n_latent = n_input, n_latent
        with seeded(seed):
            # q(z|x): a hidden layer, then two heads
            self.encoder = FCLayers(n_input, n_hidden)
            self.mean_encoder = nn.Linear(n_hidden, n_latent)
            self.logvar_encoder = nn.Linear(n_hidden, n_latent)
            # p(x|z): a hidden layer, then the log-odds
            self.decoder = FCLayers(n_latent, n_hidden, dropout_rate=0)
            self.logits_decoder = nn.Linear(n_hidden, n_input)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x), (cells, n_latent) each, for x of (cells, n_input)."""
        check_genes(x, self.n_input)
        hidden = self.encoder(x)
        return self.mean_encoder(hidden), self.logvar_encoder(hidden)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Draw z ~ N(mu, exp(logvar)), (cells, n_latent)."""
        return reparameterize(mu, logvar)

    def decode(self, z: Tensor) -> Tensor:
        """Return the log-odds of every gene, (..., cells, n_input), for latents (..., cells, n_latent)."""
        return self.logits_decoder(self.decoder(z))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, draw, decode: return logits (cells, n_input), mu and logvar (cells, n_latent)."""
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return total, binary cross-entropy and KL, nats per cell averaged over the cells: scalars."""
        logits, mu, logvar = self(x)
        return binary_vae_loss(x, logits, mu, logvar)

    def loss_terms(self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None) -> LossTerms:
        """Return binary cross-entropy, zeros and KL of every cell; batch and label are not used."""
        logits, mu, logvar = self(x)
        bce = -bernoulli_log_prob(x, logits).sum(dim=-1)
        return LossTerms(bce, torch.zeros_like(bce), kl_standard_normal(mu, logvar))

    def importance_terms(
        self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None, n_samples: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return log p(x, z) and log q(z|x) of the same draws z ~ q(z|x), nats, (n_samples, cells) each."""
        mu, logvar = (t.expand(n_samples, *t.shape) for t in self.encode(x))  # (samples, cells, n_latent)
        z = self.reparameterize(mu, logvar)
        log_likelihood = bernoulli_log_prob(x, self.decode(z)).double().sum(dim=-1)
        log_prior = normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z)).double().sum(dim=-1)
        log_q = normal_log_prob(z, mu, logvar.exp()).double().sum(dim=-1)
        return log_likelihood + log_prior, log_q

    def sample_from_posterior_z(self, x: Tensor, y: Tensor | None = None, give_mean: bool = False) -> Tensor:
        """Return a draw from q(z|x), or its mean, (cells, n_latent)."""
        mu, logvar = self.encode(x)
        return mu if give_mean else self.reparameterize(mu, logvar)

    def prepare(self, data: CountData) -> None:
        """Check that the data suit the model; the trainer calls this with its training cells.

        Raises
        ------
        ValueError
            If the number of genes differs, or the entries are not all 0 or 1.
        """
        check_genes(data.counts, self.n_input)
        if data.counts.max() > 1:
            raise ValueError(
                f"BinaryVAE needs entries 0 and 1, got counts up to {data.counts.max():.0f}: use data.binarize()."
            )
