"""Exercise 5.9: the reference answer."""

import torch
from torch import Tensor, nn

from vae_course.distributions import scvi_kl, zinb_log_prob
from vae_course.nn import DecoderSCVI, Encoder, one_hot
from vae_course.vae import select_dispersion


class MyVAE(nn.Module):
    """scVI, put together from its parts: latents z and l, dispersion "gene", zero-inflated counts.

    Its parameters bear the names of `vc.VAE`: `px_r`, `z_encoder`, `l_encoder` and `decoder`.

    Parameters
    ----------
    n_input
        Number of genes.
    n_batch
        Number of experimental batches; 0 and 1 both mean that there is nothing to tell apart.
    n_hidden, n_latent
        Width of the one hidden layer of each network, number of latents.
    """

    def __init__(self, n_input: int, n_batch: int = 0, n_hidden: int = 128, n_latent: int = 10) -> None:
        """Make px_r, the three networks, and two buffers, (1, batches), for the prior of the library."""
        super().__init__()
        self.n_batch = n_batch
        self.px_r = nn.Parameter(torch.randn(n_input))
        self.z_encoder = Encoder(n_input, n_latent, n_hidden=n_hidden)
        self.l_encoder = Encoder(n_input, 1, n_hidden=n_hidden)
        self.decoder = DecoderSCVI(n_latent, n_input, [n_batch], n_hidden=n_hidden)
        for name in ("library_log_means", "library_log_vars"):
            self.register_buffer(name, torch.full((1, max(1, n_batch)), torch.nan))

    def inference(self, x: Tensor, batch_index: Tensor | None = None) -> dict[str, Tensor]:
        """Encode counts x, (cells, genes), draw z and then the library, decode; return the ten results by name."""
        log_x = torch.log1p(x)
        qz_m, qz_v, z = self.z_encoder(log_x)
        ql_m, ql_v, library = self.l_encoder(log_x)
        px_scale, _, px_rate, px_dropout = self.decoder("gene", z, library, batch_index)
        found = {"qz_m": qz_m, "qz_v": qz_v, "z": z, "ql_m": ql_m, "ql_v": ql_v, "library": library}
        found |= {"px_scale": px_scale, "px_rate": px_rate, "px_dropout": px_dropout}
        return found | {"px_r": select_dispersion(self.px_r, "gene")}

    def loss_terms(self, x: Tensor, batch_index: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction -log p(x|z, l), KL(q(l|x), p(l)) and KL(q(z|x), p(z)), nats, (cells,) each."""
        found = self.inference(x, batch_index)
        log_prob = zinb_log_prob(x, found["px_rate"], found["px_r"], found["px_dropout"])  # (cells, genes)
        prior = self.library_log_means, self.library_log_vars  # (1, batches) each
        if self.n_batch > 1:
            prior = [one_hot(batch_index, self.n_batch) @ moments.T for moments in prior]  # (cells, 1) each
        return -log_prob.sum(dim=-1), *scvi_kl(found["qz_m"], found["qz_v"], found["ql_m"], found["ql_v"], *prior)
