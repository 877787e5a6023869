"""The models: `BinaryVAE` for genes detected or not, `VAE` for counts (scVI).

Both answer the same questions, which is all that trainer and posterior know of them: `loss_terms` (what to minimise),
`importance_terms` (how likely the cells are), `sample_from_posterior_z` (where the cells lie).
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from vae_course._distributed import pooled_moments
from vae_course._files import write_atomically
from vae_course._seeds import seeded
from vae_course.data import LIBRARY_VAR_FLOOR, CountData
from vae_course.distributions import (
    bernoulli_log_prob,
    kl_standard_normal,
    nb_log_prob,
    normal_log_prob,
    poisson_log_prob,
    reparameterize,
    sample_normal,
    scvi_kl,
    zinb_log_prob,
)
from vae_course.nn import DecoderSCVI, Encoder, FCLayers, one_hot

if TYPE_CHECKING:
    from anndata import AnnData
    from scvi.model import SCVI

DISPERSIONS = ("gene", "gene-batch", "gene-label", "gene-cell")
LIKELIHOODS = ("zinb", "nb", "poisson")
LIBRARIES = ("latent", "observed")
SMALLEST = {"n_input": 1, "n_hidden": 1, "n_latent": 1, "n_layers": 1, "n_batch": 0, "n_labels": 0}


class LossTerms(NamedTuple):
    """The three parts of the negative ELBO, nats per cell, (cells,) each: their sum is the negative ELBO."""

    reconstruction: Tensor
    kl_local: Tensor
    kl_global: Tensor


# --------------------------------------------------------------------------------------------------------------------
# What both models share
# --------------------------------------------------------------------------------------------------------------------


class Model(nn.Module):
    """A network that can be saved and loaded together with the options that built it.

    A subclass is saved under its own name, unless it says `saved_as` another one, whose files it shares.
    """

    saved_as: str

    def __init_subclass__(cls, saved_as: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.saved_as = saved_as or cls.__name__

    def __init__(self, **options: Any) -> None:
        super().__init__()
        for name, least in SMALLEST.items():
            if name in options:
                options[name] = _whole_number(name, options[name], least)
        self.options = options

    def collate(self, rows: sp.csr_matrix, device: torch.device) -> Tensor:
        """Return the counts of a minibatch, (cells, genes), as `loss_terms` takes them: dense, on the device."""
        return dense(rows, device)

    def save(self, path: str | Path) -> None:
        """Write the options and the weights to one file, whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier file is then untouched.
        """
        content = io.BytesIO()
        torch.save({"model": self.saved_as, "options": self.options, "weights": self.state_dict()}, content)
        write_atomically(path, lambda temporary: temporary.write_bytes(content.getvalue()))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the model that `save` wrote, in evaluation mode.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file holds something else.
        """
        content = read_torch_file(path)
        if not isinstance(content, dict) or content.get("model") != cls.saved_as:
            found = content.get("model") if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"{path} does not hold a saved {cls.__name__} (found: {found}).")
        try:
            model = cls(**content["options"])
            model.load_state_dict(content["weights"])
        except ValueError as error:  # which says what an option has to be
            raise ValueError(f"{path} is not a {cls.__name__}. {error}") from error
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} is not a complete {cls.__name__}: options and weights do not fit.") from error
        return model.eval()


def dense(rows: sp.csr_matrix, device: torch.device) -> Tensor:
    """Return sparse counts as a dense tensor on a device, (cells, genes)."""
    return torch.from_numpy(rows.toarray()).to(device)


def read_torch_file(path: str | Path) -> Any:
    """Read what `torch.save` wrote, tensors and plain values only.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or is incomplete.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; each means that the file is not what it should be
        raise ValueError(f"{path} is damaged, incomplete or not written by vae_course.") from error


def check_option(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} has to be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def _whole_number(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} has to be a whole number of at least {least}, got {value!r}.")
    return int(value)


def check_genes(x: Tensor, n_input: int) -> None:
    """Raise ValueError unless x has `n_input` columns."""
    if x.shape[-1] != n_input:
        raise ValueError(f"The model was built for {n_input} genes (columns), got counts of shape {tuple(x.shape)}.")


# --------------------------------------------------------------------------------------------------------------------
# BinaryVAE
# --------------------------------------------------------------------------------------------------------------------


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


# --------------------------------------------------------------------------------------------------------------------
# VAE
# --------------------------------------------------------------------------------------------------------------------


def select_dispersion(
    px_r: Tensor, dispersion: str, batch_index: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """Inverse dispersion theta = exp(px_r) of every cell.

    Parameters
    ----------
    px_r
        Its logarithm: (genes,) for "gene", (genes, n_batch) for "gene-batch", (genes, n_labels) for "gene-label",
        (..., cells, genes) for "gene-cell".
    dispersion
        One of these four.
    batch_index, y
        Codes of the cells, (cells,) or (cells, 1), where the mode needs them.

    Returns
    -------
    Tensor
        Broadcastable to (cells, genes).

    Raises
    ------
    ValueError
        For an unknown mode.
    """
    check_option("dispersion", dispersion, DISPERSIONS)
    if dispersion == "gene-batch":
        px_r = one_hot(batch_index, px_r.shape[1]) @ px_r.T  # (cells, n_batch) @ (n_batch, genes)
    elif dispersion == "gene-label":
        px_r = one_hot(y, px_r.shape[1]) @ px_r.T  # (cells, n_labels) @ (n_labels, genes)
    return torch.exp(px_r)


class VAE(Model):
    """scVI: a variational autoencoder for single-cell counts (Lopez et al., 2018).

    z ~ N(0, I), l ~ N(library_log_means[s], library_log_vars[s]) for a cell of batch s,
    x_g ~ ZINB(exp(l) scale_g(z, s), theta_g, dropout_g(z, s)); q(z, l|x) = q(z|x) q(l|x), both Gaussian.

    Parameters
    ----------
    n_input
        Number of genes.
    n_batch, n_labels
        Number of experimental batches and of labels; 0 and 1 both mean that there is nothing to tell apart.
    n_hidden, n_latent, n_layers, dropout_rate
        Width of the hidden layers, number of latents, number of layers, dropout of the encoders.
    dispersion
        What the inverse dispersion depends on: "gene", "gene-batch", "gene-label" or "gene-cell".
    log_variational
        Whether the encoders see log(1 + x) instead of x.
    likelihood
        "zinb", "nb" or "poisson".
    library
        "latent" infers the size of a cell, "observed" takes the logarithm of its total. The second conditions on a
        function of x, so the two ELBOs cannot be compared.
    var_eps
        Added to the variances of q; 0 reproduces scVI 0.3.0.
    seed
        Seed of the initial weights.

    Attributes
    ----------
    library_log_means, library_log_vars
        Buffers of shape (1, max(1, n_batch)): the prior of the log-library in each batch. The trainer sets them from
        its training cells (`prepare`); until then they are NaN and a latent library refuses to compute a loss.

    Raises
    ------
    ValueError
        For unknown options.
    """

    def __init__(
        self,
        n_input: int,
        n_batch: int = 0,
        n_labels: int = 0,
        n_hidden: int = 128,
        n_latent: int = 10,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        dispersion: str = "gene",
        log_variational: bool = True,
        likelihood: str = "zinb",
        library: str = "latent",
        var_eps: float = 1e-4,
        seed: int = 0,
    ) -> None:
        super().__init__(
            n_input=n_input,
            n_batch=n_batch,
            n_labels=n_labels,
            n_hidden=n_hidden,
            n_latent=n_latent,
            n_layers=n_layers,
            dropout_rate=dropout_rate,
            dispersion=dispersion,
            log_variational=log_variational,
            likelihood=likelihood,
            library=library,
            var_eps=var_eps,
            seed=seed,
        )
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"dropout_rate has to be from 0 to below 1, got {dropout_rate!r}.")
        if var_eps < 0:
            raise ValueError(f"var_eps has to be at least 0, got {var_eps!r}.")
        check_option("dispersion", dispersion, DISPERSIONS)
        check_option("likelihood", likelihood, LIKELIHOODS)
        check_option("library", library, LIBRARIES)
        self.n_input, self.n_batch, self.n_labels, self.n_latent = n_input, n_batch, n_labels, n_latent
        self.dispersion, self.likelihood, self.library = dispersion, likelihood, library
        self.log_variational = log_variational
        columns = {"gene-batch": (max(1, n_batch),), "gene-label": (max(1, n_labels),)}.get(dispersion, ())
        with seeded(seed):
            # logarithm of the inverse dispersion, which in mode "gene-cell" the decoder makes instead
            self.px_r = nn.Parameter(torch.randn(n_input, *columns)) if dispersion != "gene-cell" else None
            # q(z|x)
            self.z_encoder = Encoder(n_input, n_latent, None, n_layers, n_hidden, dropout_rate, var_eps)
            # q(l|x)
            self.l_encoder = Encoder(n_input, 1, None, 1, n_hidden, dropout_rate, var_eps)
            # p(x|z, l, s)
            self.decoder = DecoderSCVI(n_latent, n_input, [n_batch], n_layers, n_hidden)
        # what the loss leaves unused has no gradient
        if self.px_r is not None:
            self.px_r.requires_grad_(likelihood != "poisson")
        self.decoder.px_r_decoder.requires_grad_(dispersion == "gene-cell" and likelihood != "poisson")
        self.decoder.px_dropout_decoder.requires_grad_(likelihood == "zinb")
        self.l_encoder.requires_grad_(library == "latent")
        nothing_yet = torch.full((1, max(1, n_batch)), torch.nan)
        self.register_buffer("library_log_means", nothing_yet)
        self.register_buffer("library_log_vars", nothing_yet.clone())

    # -- the model, from the encoders to the loss ---------------------------------------------------------------------

    def inference(
        self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None, n_samples: int = 1
    ) -> dict[str, Tensor]:
        """Encode, draw z and then l, decode.

        Parameters
        ----------
        x
            Counts, (cells, genes).
        batch_index, y
            Batch and label of the cells, (cells,) or (cells, 1).
        n_samples
            Draws per cell. With more than one, all results but a px_r that the decoder did not make have a leading
            axis of that length.

        Returns
        -------
        dict
            px_scale, px_r (the inverse dispersion theta), px_rate, px_dropout (log-odds), qz_m, qz_v, z, ql_m, ql_v,
            library (log counts). With an observed library q(l|x) is a point: ql_m = library, ql_v = 0.

        Raises
        ------
        ValueError
            If the number of genes is wrong, or a batch or label is needed and missing or out of range.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples has to be at least 1, got {n_samples}.")
        batch_index, y = self._batch_codes(x, batch_index), self._label_codes(x, y)
        encoder_input = self._encoder_input(x)
        qz_m, qz_v, z = self.z_encoder(encoder_input)
        ql_m, ql_v, library = self._infer_library(x, encoder_input)
        if n_samples > 1:
            qz_m, qz_v, ql_m, ql_v = (t.expand(n_samples, *t.shape) for t in (qz_m, qz_v, ql_m, ql_v))
            z = sample_normal(qz_m, qz_v)  # (samples, cells, n_latent)
            library = sample_normal(ql_m, ql_v)  # (samples, cells, 1)
        px_scale, px_r, px_rate, px_dropout = self._decode(z, library, batch_index)
        px_r = self.select_dispersion(self.px_r if px_r is None else px_r, batch_index, y)
        return {
            "px_scale": px_scale,
            "px_r": px_r,
            "px_rate": px_rate,
            "px_dropout": px_dropout,
            "qz_m": qz_m,
            "qz_v": qz_v,
            "z": z,
            "ql_m": ql_m,
            "ql_v": ql_v,
            "library": library,
        }

    def select_dispersion(self, px_r: Tensor, batch_index: Tensor, y: Tensor) -> Tensor:
        """Return theta, broadcastable to (cells, genes), in the model's dispersion mode."""
        return select_dispersion(px_r, self.dispersion, batch_index, y)

    def log_likelihood(self, x: Tensor, px_rate: Tensor, px_r: Tensor, px_dropout: Tensor) -> Tensor:
        """Return log p(x|z, l) of every gene, nats, (..., cells, genes)."""
        if self.likelihood == "zinb":
            return zinb_log_prob(x, px_rate, px_r, px_dropout)
        if self.likelihood == "nb":
            return nb_log_prob(x, px_rate, px_r)
        return poisson_log_prob(x, px_rate)

    def kl(self, inferred: dict[str, Tensor], batch_index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return KL(q(l|x) || p(l)) and KL(q(z|x) || p(z)), nats per cell, (..., cells) each."""
        if self.library == "observed":
            kl_global = kl_standard_normal(inferred["qz_m"], torch.log(inferred["qz_v"]))
            return torch.zeros_like(kl_global), kl_global
        prior = self.library_prior(batch_index)
        return scvi_kl(inferred["qz_m"], inferred["qz_v"], inferred["ql_m"], inferred["ql_v"], *prior)

    def library_prior(self, batch_index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mean and variance of p(l) for cells of these batches, broadcastable to (cells, 1).

        Raises
        ------
        ValueError
            If the prior has not been set yet.
        """
        if torch.isnan(self.library_log_means).any() or torch.isnan(self.library_log_vars).any():
            raise ValueError(
                "The prior of the library is not set yet: train with a trainer, which sets it from its training cells, "
                "or call model.prepare(data), or fill model.library_log_means and model.library_log_vars by hand."
            )
        if self.n_batch <= 1:
            return self.library_log_means, self.library_log_vars
        indicator = one_hot(batch_index, self.n_batch)  # (cells, n_batch)
        return indicator @ self.library_log_means.T, indicator @ self.library_log_vars.T

    def loss_terms(self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None) -> LossTerms:
        """Return reconstruction, local KL and global KL of every cell: the parts of the negative ELBO.

        Parameters
        ----------
        x, batch_index, y
            As in `inference`.

        Returns
        -------
        LossTerms
            -log p(x|z, l) at one draw, KL(q(l|x) || p(l)) and KL(q(z|x) || p(z)), nats per cell, (cells,) each.
        """
        inferred = self.inference(x, batch_index, y)
        log_likelihood = self.log_likelihood(x, inferred["px_rate"], inferred["px_r"], inferred["px_dropout"])
        kl_local, kl_global = self.kl(inferred, batch_index)
        return LossTerms(-log_likelihood.sum(dim=-1), kl_local, kl_global)

    def forward(self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return reconstruction + local KL, and global KL, nats per cell, (cells,) each, as scVI 0.3.0 does."""
        terms = self.loss_terms(x, batch_index, y)
        return terms.reconstruction + terms.kl_local, terms.kl_global

    def importance_terms(
        self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None, n_samples: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return log p(x, z, l) and log q(z, l|x), both of the same draws (z, l) ~ q, nats, (n_samples, cells) each.

        Every term belongs to one draw. scVI 0.3.0 takes the likelihood from a second one, which estimates neither
        log p(x) nor a bound of it.
        """
        inferred = self.inference(x, batch_index, y, n_samples)
        z, library = inferred["z"], inferred["library"]
        log_likelihood = self.log_likelihood(x, inferred["px_rate"], inferred["px_r"], inferred["px_dropout"])
        log_joint = log_likelihood.double().sum(dim=-1)
        log_joint = log_joint + normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z)).double().sum(dim=-1)
        log_q = normal_log_prob(z, inferred["qz_m"], inferred["qz_v"]).double().sum(dim=-1)
        if self.library == "latent":
            prior = self.library_prior(batch_index)
            log_joint = log_joint + normal_log_prob(library, *prior).double().sum(dim=-1)
            log_q = log_q + normal_log_prob(library, inferred["ql_m"], inferred["ql_v"]).double().sum(dim=-1)
        return log_joint.view(n_samples, len(x)), log_q.view(n_samples, len(x))

    # -- parts of the above, under the names that scVI 0.3.0 gives them -----------------------------------------------

    def get_latents(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        """Return the latents of the cells as a list: one draw of z, (cells, n_latent)."""
        return [self.sample_from_posterior_z(x, y)]

    def sample_from_posterior_z(self, x: Tensor, y: Tensor | None = None, give_mean: bool = False) -> Tensor:
        """Return a draw from q(z|x), or its mean, (cells, n_latent)."""
        qz_m, _, z = self.z_encoder(self._encoder_input(x))
        return qz_m if give_mean else z

    def sample_from_posterior_l(self, x: Tensor) -> Tensor:
        """Return a draw of the log-library, (cells, 1): from q(l|x), or the observed value."""
        return self._infer_library(x, self._encoder_input(x))[2]

    def get_sample_scale(
        self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None, n_samples: int = 1
    ) -> Tensor:
        """Return px_scale at draws of z, (cells, genes) or (n_samples, cells, genes)."""
        return self.inference(x, batch_index, y, n_samples)["px_scale"]

    def get_sample_rate(
        self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None, n_samples: int = 1
    ) -> Tensor:
        """Return px_rate, the expected counts, at draws of z and l, (cells, genes) or (n_samples, cells, genes)."""
        return self.inference(x, batch_index, y, n_samples)["px_rate"]

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _decode(self, z: Tensor, library: Tensor, batch_index: Tensor) -> tuple[Tensor | None, ...]:
        """Decode latents of (cells, n_latent) or (samples, cells, n_latent), the latter as one long table of cells."""
        if z.dim() == 2:
            return self.decoder(self.dispersion, z, library, batch_index)
        codes = batch_index.flatten().repeat(len(z))  # (samples * cells,)
        decoded = self.decoder(self.dispersion, z.flatten(0, 1), library.flatten(0, 1), codes)
        return tuple(None if t is None else t.unflatten(0, z.shape[:2]) for t in decoded)

    def _encoder_input(self, x: Tensor) -> Tensor:
        check_genes(x, self.n_input)
        return torch.log1p(x) if self.log_variational else x

    def _infer_library(self, x: Tensor, encoder_input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.library == "latent":
            return self.l_encoder(encoder_input)
        library = torch.log(x.sum(dim=-1, keepdim=True))  # (cells, 1)
        return library, torch.zeros_like(library), library

    def _batch_codes(self, x: Tensor, batch_index: Tensor | None) -> Tensor:
        """Codes for the decoder; a model without batches sees a single one, whatever the data say."""
        if self.n_batch <= 1:
            return torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return _required_codes("batch_index", batch_index, len(x))

    def _label_codes(self, x: Tensor, y: Tensor | None) -> Tensor | None:
        """Codes for the dispersion, which alone depends on labels."""
        if self.dispersion != "gene-label":
            return None
        if self.n_labels <= 1:
            return torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return _required_codes("y", y, len(x))

    def prepare(self, data: CountData) -> None:
        """Check that the data suit the model and set the prior of the library; the trainer calls this.

        Parameters
        ----------
        data
            The training cells. Where several processes train together, each passes its own, and the prior is that of
            all of them.

        Raises
        ------
        ValueError
            If the numbers of genes, batches or labels do not fit, or if the library is latent and has no variance to
            learn in some batch.
        """
        check_genes(data.counts, self.n_input)
        if self.n_batch > 1 and data.n_batches != self.n_batch:
            raise ValueError(f"The model was built for {self.n_batch} batches, the data have {data.n_batches}.")
        if self.dispersion == "gene-label" and self.n_labels > 1 and data.n_labels != self.n_labels:
            raise ValueError(f"The model was built for {self.n_labels} labels, the data have {data.n_labels}.")
        if self.library == "latent":
            mean, var = _library_prior_of(data, by_batch=self.n_batch > 1)
            self.library_log_means.copy_(torch.from_numpy(mean))
            self.library_log_vars.copy_(torch.from_numpy(var))

    # -- exchange with scvi-tools -------------------------------------------------------------------------------------

    @classmethod
    def from_scvi_tools(cls, model: "SCVI") -> Self:
        """Take over the options and the weights of a scvi-tools model.

        Parameters
        ----------
        model
            A `scvi.model.SCVI` (or its `module`), trained or not.

        Returns
        -------
        VAE
            In evaluation mode; its tensors agree with scvi-tools' to 1e-5.

        Raises
        ------
        ValueError
            If it uses something that this model does not have.
        """
        module = getattr(model, "module", model)
        _check_scvi_tools_options(module)
        dropouts = [layer.p for layer in module.z_encoder.modules() if isinstance(layer, nn.Dropout)]
        ours = cls(
            module.n_input,
            module.n_batch,
            module.n_labels,
            module.n_hidden,
            module.n_latent,
            module.n_layers,
            dropouts[0] if dropouts else 0.0,
            module.dispersion,
            module.log_variational,
            module.gene_likelihood,
            "observed" if module.use_observed_lib_size else "latent",
            module.z_encoder.var_eps,
        )
        ours._load_weights(ours, module.state_dict(), "The scvi-tools model")
        return ours.eval()

    def to_scvi_tools(self, adata: "AnnData") -> "SCVI":
        """Hand options and weights to a scvi-tools model.

        Parameters
        ----------
        adata
            The data of the scvi-tools model, with the genes in this model's order. If `SCVI.setup_anndata` was not
            called on them, it is called with X as counts, `obs["batch"]` if the model has batches and `obs["label"]`
            if its dispersion needs labels, as `CountData.to_anndata` writes them.

        Returns
        -------
        scvi.model.SCVI
            Ready to use: marked as trained, in evaluation mode. A library prior that is not set here is scvi-tools'
            own.

        Raises
        ------
        ImportError
            If scvi-tools is not installed.
        ValueError
            If the data do not fit the model.
        """
        try:
            from scvi.model import SCVI
        except ImportError as error:
            raise ImportError("This needs scvi-tools: pip install 'vae-course[compare]'.") from error
        if SCVI._get_most_recent_anndata_manager(adata) is None:
            by_label = self.dispersion == "gene-label" and self.n_labels > 1
            keys = {"batch_key": "batch" if self.n_batch > 1 else None, "labels_key": "label" if by_label else None}
            missing = [key for key in keys.values() if key is not None and key not in adata.obs]
            if missing:
                raise ValueError(f"The model needs the column(s) {missing} in obs, or data set up for scvi-tools.")
            SCVI.setup_anndata(adata, **keys)
        options = {name: self.options[name] for name in ("n_hidden", "n_latent", "n_layers", "dropout_rate")}
        with seeded(self.options["seed"]):
            model = SCVI(
                adata,
                dispersion=self.dispersion,
                gene_likelihood=self.likelihood,
                use_observed_lib_size=self.library == "observed",
                log_variational=self.log_variational,
                extra_encoder_kwargs={"var_eps": self.options["var_eps"]},
                **options,
            )
        self._load_weights(model.module, self.state_dict(), "These AnnData")
        model.is_trained_ = True
        model.module.eval()
        return model

    @staticmethod
    def _load_weights(target: nn.Module, weights: dict[str, Tensor], who: str) -> None:
        """Load all weights, except for a library prior that only one side has (or that is not set yet)."""
        own = target.state_dict()
        prior = {"library_log_means", "library_log_vars"}
        unset = {name for name in prior & weights.keys() if torch.isnan(weights[name]).any()}
        weights = {name: t for name, t in weights.items() if name not in (prior - own.keys()) | unset}
        differing = [name for name in weights.keys() ^ own.keys() if name not in prior]
        differing += [name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape]
        if differing:
            raise ValueError(f"{who} and this model do not have the same parameters: {', '.join(sorted(differing))}.")
        target.load_state_dict(weights, strict=False)


def _required_codes(name: str, codes: Tensor | None, n_cells: int) -> Tensor:
    if codes is None:
        raise ValueError(f"This model needs {name}: one code per cell, of shape ({n_cells},) or ({n_cells}, 1).")
    if codes.shape not in ((n_cells,), (n_cells, 1)):
        raise ValueError(f"{name} needs one code per cell: expected shape ({n_cells},), got {tuple(codes.shape)}.")
    return codes


def _library_prior_of(data: CountData, by_batch: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the log-library, (1, n_batch or 1) each; refuse what a latent library cannot learn from."""
    if not by_batch:
        data = data.without_batches()
    n_cells, mean, var = np.bincount(data.batch_index, minlength=data.n_batches), data.library_mean, data.library_var
    n_cells, mean, var = pooled_moments(n_cells, mean, np.where(var > LIBRARY_VAR_FLOOR, var, 0.0))
    advice = "Use library='observed'"
    for batch in range(data.n_batches):
        name = f"Batch {str(data.batch_names[batch])!r}" if by_batch else "The data"
        if n_cells[batch] < 2:
            raise ValueError(
                f"{name} has {n_cells[batch]} training cell(s), and a latent library needs the spread of at least 2. "
                f"{advice}, or leave the batch out."
            )
        if var[batch] <= LIBRARY_VAR_FLOOR:
            raise ValueError(
                f"{name} has cells that all have the same total count, so a latent library has nothing to learn. "
                f"{advice}; if the counts were normalised or downsampled to one total, take the raw ones."
            )
    return mean[None], var[None]


def _check_scvi_tools_options(module: nn.Module) -> None:
    """Refuse what is not a scvi-tools VAE, and options that this model does not have."""
    if not hasattr(module, "gene_likelihood") or not hasattr(module, "z_encoder"):
        raise ValueError(f"from_scvi_tools takes a scvi.model.SCVI or its module, got a {type(module).__name__}.")
    decoder = module.decoder.px_decoder
    networks = (module.z_encoder.encoder, module.l_encoder.encoder, decoder)
    layers = [[type(step) for step in layer.children()] for network in networks for layer in network.fc_layers]
    one_hot_batch = module.batch_representation == "one-hot"
    columns = module.n_latent + sum(decoder.n_cat_list)
    unsupported = {
        f"gene_likelihood={module.gene_likelihood!r}": module.gene_likelihood not in LIKELIHOODS,
        f"latent_distribution={module.latent_distribution!r}": module.latent_distribution != "normal",
        f"batch_representation={module.batch_representation!r}": not one_hot_batch,
        "encode_covariates=True": module.encode_covariates,
        "a size factor": module.use_size_factor_key,
        "categorical covariates besides the batch": sum(decoder.n_cat_list[1:]) > 0,
        "continuous covariates": one_hot_batch and decoder.fc_layers[0][0].in_features > columns,
        "deeply_inject_covariates=False": sum(decoder.n_cat_list) > 0
        and module.n_layers > 1
        and not decoder.inject_covariates,
        "another var_activation than exp": module.z_encoder.var_activation is not torch.exp,
        "another activation_fn than ReLU": any(nn.ReLU not in layer for layer in layers),
        "use_batch_norm other than 'both'": any(nn.BatchNorm1d not in layer for layer in layers),
        "use_layer_norm": any(nn.LayerNorm in layer for layer in layers),
    }
    found = [name for name, used in unsupported.items() if used]
    if found:
        raise ValueError(f"The scvi-tools model uses what this VAE does not have: {', '.join(found)}.")
