"""The learner's own scVI, exercise 5.9, as a `VAE` of the package: with what trainer and posterior ask beside."""

import torch
from torch import Tensor, nn

from vae_course.model import LossTerms
from vae_course.runtime.seeds import seeded
from vae_course.vae import VAE


class _Foundation(VAE):
    """What the learner's `super().__init__()` finds: a `VAE` without any parts."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


def as_vae(own: type[nn.Module]) -> type[VAE]:
    """Make a `VAE` of an answer to exercise 5.9, so that trainer, `Posterior` and files take it.

    Parameters
    ----------
    own
        The class. Its parts, its `inference` and its `loss_terms` are what runs.

    Returns
    -------
    type
        A class that takes `n_input`, `n_batch`, `n_hidden`, `n_latent` and the seed of the initial weights. It adds the
        housekeeping: the start of the library's prior and of theta (`prepare`), several draws of a cell at once, saving
        as a `VAE`.
    """

    class Own(own, _Foundation):  # type: ignore[misc, valid-type]
        def __init__(
            self, n_input: int, n_batch: int = 0, n_hidden: int = 128, n_latent: int = 10, seed: int = 0
        ) -> None:
            with seeded(seed), torch.device("meta"):
                pattern = VAE(n_input, n_batch, n_hidden=n_hidden, n_latent=n_latent, seed=seed)
            with seeded(seed):
                own.__init__(self, n_input, n_batch, n_hidden=n_hidden, n_latent=n_latent)
            plain = {name: value for name, value in vars(pattern).items() if not name.startswith("_")}
            for name, value in plain.items():  # options, and the names under which the package asks for them
                if name != "training":
                    setattr(self, name, value)
            self.decoder.px_r_decoder.requires_grad_(False)  # which nothing uses

        @classmethod
        def kind(cls) -> str:
            return VAE.kind()

        def inference(
            self,
            x: Tensor,
            batch_index: Tensor | None = None,
            y: Tensor | None = None,
            n_samples: int = 1,
            covariates: Tensor | None = None,
        ) -> dict[str, Tensor]:
            codes = None if batch_index is None or self.n_batch <= 1 else batch_index.flatten()
            if n_samples == 1:
                return own.inference(self, x, codes)
            found = own.inference(self, x.repeat(n_samples, 1), None if codes is None else codes.repeat(n_samples))
            return {name: one if name == "px_r" else one.unflatten(0, (n_samples, -1)) for name, one in found.items()}

        def loss_terms(
            self,
            x: Tensor,
            batch_index: Tensor | None = None,
            y: Tensor | None = None,
            covariates: Tensor | None = None,
        ) -> LossTerms:
            self.library_prior(batch_index)  # which says so where nobody has set it yet
            codes = None if batch_index is None or self.n_batch <= 1 else batch_index.flatten()
            return LossTerms(*own.loss_terms(self, x, codes))

    Own.__name__ = Own.__qualname__ = own.__name__
    return Own
