"""`VAE`: scVI, a variational autoencoder for single-cell counts."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from vae_course.data import CountData
from vae_course.distributions import (
    kl_standard_normal,
    nb_log_prob,
    normal_log_prob,
    poisson_log_prob,
    sample_normal,
    scvi_kl,
    zinb_log_prob,
)
from vae_course.model import LossTerms, Model, check_genes, check_option, check_whole_number, plain_number
from vae_course.moments import library_prior_of, theta_from_moments
from vae_course.nn import DecoderSCVI, Encoder, one_hot
from vae_course.runtime.seeds import seeded
from vae_course.scvi_tools import ScviToolsExchange

DISPERSIONS = ("gene", "gene-batch", "gene-label", "gene-cell")
LIKELIHOODS = ("zinb", "nb", "poisson")
LIBRARIES = ("latent", "observed")
DISPERSION_INITS = ("moments", "random")


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
    if dispersion not in DISPERSIONS:
        raise ValueError(f"dispersion has to be one of {', '.join(map(repr, DISPERSIONS))}, got {dispersion!r}.")
    if dispersion == "gene-batch":
        px_r = one_hot(batch_index, px_r.shape[1]) @ px_r.T  # (cells, n_batch) @ (n_batch, genes)
    elif dispersion == "gene-label":
        px_r = one_hot(y, px_r.shape[1]) @ px_r.T  # (cells, n_labels) @ (n_labels, genes)
    return torch.exp(px_r)


class VAE(ScviToolsExchange, Model):
    """scVI: a variational autoencoder for single-cell counts (Lopez et al., 2018).

    z ~ N(0, I), l ~ N(library_log_means[s], library_log_vars[s]) for a cell of batch s,
    x_g ~ ZINB(exp(l) scale_g(z, s), theta_g, dropout_g(z, s)); q(z, l|x) = q(z|x) q(l|x), both Gaussian.

    Covariates are further things that are known about a cell. They stand beside the batch s in the decoder, and the
    encoders do not see them, as in scvi-tools: categorical ones, such as the donor, as one-hot columns in every layer,
    continuous ones, such as the age, as numbers beside z.

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
    dispersion_init
        Where the inverse dispersion theta starts: "moments" takes it from the training cells when a trainer prepares
        the model (`theta_from_moments`), since in so few small steps it hardly moves; "random" draws its logarithm
        from N(0, 1), as scVI does. One that was trained or comes from scvi-tools stays as it is.
    seed
        Seed of the initial weights.
    n_cats_per_cov
        Number of categories of each categorical covariate.
    n_continuous_cov
        Number of continuous covariates.

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
        dispersion_init: str = "moments",
        seed: int = 0,
        n_cats_per_cov: Sequence[int] = (),
        n_continuous_cov: int = 0,
    ) -> None:
        for n_categories in n_cats_per_cov:
            check_whole_number("Each entry of n_cats_per_cov", n_categories, 1)
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
            dispersion_init=dispersion_init,
            seed=seed,
            n_cats_per_cov=[plain_number(n) for n in n_cats_per_cov],
            n_continuous_cov=n_continuous_cov,
        )
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"dropout_rate has to be from 0 to below 1, got {dropout_rate!r}.")
        if var_eps < 0:
            raise ValueError(f"var_eps has to be at least 0, got {var_eps!r}.")
        check_option("dispersion", dispersion, DISPERSIONS)
        check_option("likelihood", likelihood, LIKELIHOODS)
        check_option("library", library, LIBRARIES)
        check_option("dispersion_init", dispersion_init, DISPERSION_INITS)
        self.n_input, self.n_batch, self.n_labels, self.n_latent = n_input, n_batch, n_labels, n_latent
        self.dispersion, self.likelihood, self.library = dispersion, likelihood, library
        self.log_variational = log_variational
        self.n_cats_per_cov, self.n_continuous_cov = self.options["n_cats_per_cov"], n_continuous_cov
        self.n_covariates = len(n_cats_per_cov) + n_continuous_cov
        columns = {"gene-batch": (max(1, n_batch),), "gene-label": (max(1, n_labels),)}.get(dispersion, ())
        with seeded(seed):
            # logarithm of the inverse dispersion, which in mode "gene-cell" the decoder makes instead
            self.px_r = nn.Parameter(torch.randn(n_input, *columns)) if dispersion != "gene-cell" else None
            # q(z|x)
            self.z_encoder = Encoder(n_input, n_latent, None, n_layers, n_hidden, dropout_rate, var_eps)
            # q(l|x)
            self.l_encoder = Encoder(n_input, 1, None, 1, n_hidden, dropout_rate, var_eps)
            # p(x|z, l, s, covariates)
            n_cat_list = [n_batch, *n_cats_per_cov]
            self.decoder = DecoderSCVI(n_latent + n_continuous_cov, n_input, n_cat_list, n_layers, n_hidden)
        # freeze what the loss does not use with these options
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
        self,
        x: Tensor,
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        n_samples: int = 1,
        covariates: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Encode, draw z and then l, decode.

        Parameters
        ----------
        x
            Counts, (cells, genes).
        batch_index, y
            Batch and label of the cells, (cells,) or (cells, 1).
        n_samples
            Draws per cell. If greater than 1, every result gains a leading axis of this length, except a px_r that
            does not come from the decoder.
        covariates
            Of the cells, float32, (cells, n_covariates): the codes of the categorical ones, then the continuous ones
            (`CountData.covariates`). A model without covariates ignores them.

        Returns
        -------
        dict
            px_scale, px_r (the inverse dispersion theta), px_rate, px_dropout (log-odds), qz_m, qz_v, z, ql_m, ql_v,
            library (log counts). With an observed library q(l|x) is a point: ql_m = library, ql_v = 0.

        Raises
        ------
        ValueError
            If the number of genes is wrong, or a batch, label or covariate is needed and missing or out of range.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples has to be at least 1, got {n_samples}.")
        if self.n_batch <= 1:
            batch_index = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # a single one, whatever the data say
        if self.dispersion == "gene-label":
            y = self._label_codes(x, y)
        encoder_input = torch.log1p(x) if self.log_variational else x
        qz_m, qz_v, z = self.z_encoder(encoder_input)
        if self.library == "latent":
            ql_m, ql_v, library = self.l_encoder(encoder_input)
        else:  # a point
            library = torch.log(x.sum(dim=-1, keepdim=True))  # (cells, 1)
            ql_m, ql_v = library, torch.zeros_like(library)
        if n_samples > 1:
            qz_m, qz_v, ql_m, ql_v = (t.expand(n_samples, *t.shape) for t in (qz_m, qz_v, ql_m, ql_v))
            z = sample_normal(qz_m, qz_v)  # (samples, cells, n_latent)
            library = sample_normal(ql_m, ql_v)  # (samples, cells, 1)
        given = (z, library, batch_index)
        if self.n_covariates:
            given = self.with_covariates(*given, covariates)
        decode = self.decoder if n_samples == 1 else self._decode_draws
        px_scale, px_r, px_rate, px_dropout = decode(self.dispersion, *given)
        px_r = select_dispersion(self.px_r if px_r is None else px_r, self.dispersion, batch_index, y)
        decoded = {"px_scale": px_scale, "px_r": px_r, "px_rate": px_rate, "px_dropout": px_dropout}
        return decoded | {"qz_m": qz_m, "qz_v": qz_v, "z": z, "ql_m": ql_m, "ql_v": ql_v, "library": library}

    @staticmethod
    def collate(rows: sp.csr_matrix | Tensor, device: torch.device) -> Tensor:
        """Return rows of counts, which are sparse or on a GPU already, as `loss_terms` takes them: (cells, genes)."""
        return rows if isinstance(rows, Tensor) else torch.from_numpy(rows.toarray()).to(device)

    def log_likelihood(self, x: Tensor, px_rate: Tensor, px_r: Tensor, px_dropout: Tensor) -> Tensor:
        """Return log p(x|z, l) of every gene, nats, (..., cells, genes)."""
        if self.likelihood == "zinb":
            return zinb_log_prob(x, px_rate, px_r, px_dropout)
        if self.likelihood == "nb":
            return nb_log_prob(x, px_rate, px_r)
        return poisson_log_prob(x, px_rate)

    def kl(self, inferred: dict[str, Tensor], batch_index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return KL(q(l|x) || p(l)) and KL(q(z|x) || p(z)), nats per cell, (..., cells) each.

        The prior p(z) is N(0, I) here, in `scvi_kl`, in `importance_terms` and in `FastVAE`.
        """
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
            If the prior has not been set yet, for one of the batches of these cells.
        """
        means, variances = self.library_log_means, self.library_log_vars  # (1, batches) each
        if self.n_batch > 1:
            codes = one_hot(batch_index, self.n_batch).argmax(dim=1)  # (cells,)
            means, variances = means[0, codes].unsqueeze(-1), variances[0, codes].unsqueeze(-1)
        if torch.isnan(means).any() or torch.isnan(variances).any():
            raise ValueError(
                "The prior of the library is not set yet: train with a trainer, which sets it from its training cells, "
                "or call model.prepare(data), or fill model.library_log_means and model.library_log_vars by hand."
            )
        return means, variances

    def loss_terms(
        self,
        x: Tensor,
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> LossTerms:
        """Return reconstruction, local KL and global KL of every cell: the parts of the negative ELBO.

        Parameters
        ----------
        x, batch_index, y, covariates
            As in `inference`.

        Returns
        -------
        LossTerms
            -log p(x|z, l) at one draw, KL(q(l|x) || p(l)) and KL(q(z|x) || p(z)), nats per cell, (cells,) each.
        """
        inferred = self.inference(x, batch_index, y, covariates=covariates)
        log_likelihood = self.log_likelihood(x, inferred["px_rate"], inferred["px_r"], inferred["px_dropout"])
        kl_local, kl_global = self.kl(inferred, batch_index)
        return LossTerms(-log_likelihood.sum(dim=-1), kl_local, kl_global)

    def forward(
        self,
        x: Tensor,
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return reconstruction + local KL, and global KL, nats per cell, (cells,) each, as scVI 0.3.0 does."""
        terms = self.loss_terms(x, batch_index, y, covariates)
        return terms.reconstruction + terms.kl_local, terms.kl_global

    def importance_terms(
        self,
        x: Tensor,
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        n_samples: int = 1,
        covariates: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return log p(x, z, l) and log q(z, l|x), both of the same draws (z, l) ~ q, nats, (n_samples, cells) each.

        Every term belongs to one draw. scVI 0.3.0 computes the likelihood at a second one, which estimates neither
        log p(x) nor a bound on it.
        """
        inferred = self.inference(x, batch_index, y, n_samples, covariates)
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
        qz_m, _, z = self.z_encoder(torch.log1p(x) if self.log_variational else x)
        return qz_m if give_mean else z

    def sample_from_posterior_l(self, x: Tensor) -> Tensor:
        """Return a draw of the log-library, (cells, 1): from q(l|x), or the observed value."""
        if self.library == "observed":
            return torch.log(x.sum(dim=-1, keepdim=True))
        return self.l_encoder(torch.log1p(x) if self.log_variational else x)[2]

    def get_sample_scale(
        self,
        x: Tensor,
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        n_samples: int = 1,
        covariates: Tensor | None = None,
    ) -> Tensor:
        """Return px_scale at draws of z, (cells, genes) or (n_samples, cells, genes)."""
        return self.inference(x, batch_index, y, n_samples, covariates)["px_scale"]

    def get_sample_rate(
        self,
        x: Tensor,
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        n_samples: int = 1,
        covariates: Tensor | None = None,
    ) -> Tensor:
        """Return px_rate, the expected counts, at draws of z and l, (cells, genes) or (n_samples, cells, genes)."""
        return self.inference(x, batch_index, y, n_samples, covariates)["px_rate"]

    # -- helpers ------------------------------------------------------------------------------------------------------

    def with_covariates(
        self, z: Tensor, library: Tensor, batch_index: Tensor, covariates: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return what the decoder takes after the dispersion: z with the continuous covariates, library, all codes.

        Parameters
        ----------
        z, library
            Latents and log-library, (..., cells, n_latent) and (..., cells, 1).
        batch_index, covariates
            As in `inference`.

        Raises
        ------
        ValueError
            If the model has covariates and they are missing or of another shape.
        """
        if not self.n_covariates:
            return z, library, batch_index
        shape = (z.shape[-2], self.n_covariates)
        if covariates is None or covariates.shape != shape:
            raise ValueError(
                f"This model needs covariates of shape {shape}, the codes of {len(self.n_cats_per_cov)} categorical "
                f"one(s) first, got {'none' if covariates is None else f'shape {tuple(covariates.shape)}'}."
            )
        n_cats = len(self.n_cats_per_cov)
        values = covariates[:, n_cats:].expand(*z.shape[:-1], -1)  # (..., cells, n_continuous_cov)
        return torch.cat([z, values], dim=-1), library, batch_index, *covariates[:, :n_cats].unbind(dim=1)

    def _decode_draws(self, dispersion: str, z: Tensor, library: Tensor, *codes: Tensor) -> tuple[Tensor, ...]:
        """Decode latents of (samples, cells, n_latent) as one long table of cells."""
        codes = [code.flatten().repeat(len(z)) for code in codes]  # (samples * cells,) each
        decoded = self.decoder(dispersion, z.flatten(0, 1), library.flatten(0, 1), *codes)
        return tuple(None if t is None else t.unflatten(0, z.shape[:2]) for t in decoded)

    def _label_codes(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return label codes for the dispersion, the only part that uses labels; without labels every cell gets 0."""
        if self.n_labels <= 1:
            return torch.zeros(len(x), dtype=torch.int64, device=x.device)
        if y is None or y.shape not in ((len(x),), (len(x), 1)):
            found = "none" if y is None else f"shape {tuple(y.shape)}"
            raise ValueError(
                f"This model needs y: one label per cell, of shape ({len(x)},) or ({len(x)}, 1), got {found}."
            )
        return y

    def prepare(self, data: CountData) -> None:
        """Check the data, set the prior of the library and start theta; the trainer calls this.

        A model that was trained before (by us or by scvi-tools) keeps its prior and its theta.

        Parameters
        ----------
        data
            The training cells. With several processes, each passes its own share, and the prior is that of all cells.

        Raises
        ------
        ValueError
            If the numbers of genes, batches, labels or covariates do not fit, or if the library is latent and has no
            variance to learn in some batch.
        """
        check_genes(data.counts, self.n_input)
        if self.n_batch > 1 and data.n_batches != self.n_batch:
            raise ValueError(f"The model was built for {self.n_batch} batches, the data have {data.n_batches}.")
        if self.dispersion == "gene-label" and self.n_labels > 1 and data.n_labels != self.n_labels:
            raise ValueError(f"The model was built for {self.n_labels} labels, the data have {data.n_labels}.")
        if self.n_cats_per_cov and data.n_cats_per_cov != self.n_cats_per_cov:
            raise ValueError(
                f"The model was built for categorical covariates of {self.n_cats_per_cov} categories, the data have "
                f"{data.n_cats_per_cov}."
            )
        if self.n_continuous_cov and data.n_continuous_cov != self.n_continuous_cov:
            raise ValueError(
                f"The model was built for {self.n_continuous_cov} continuous covariate(s), the data have "
                f"{data.n_continuous_cov}."
            )
        if any(norm.num_batches_tracked > 0 for norm in self.modules() if isinstance(norm, nn.BatchNorm1d)):
            return  # it was trained before
        if self.library == "latent":
            mean, var = library_prior_of(data, by_batch=self.n_batch > 1)
            self.library_log_means.copy_(torch.from_numpy(mean))
            self.library_log_vars.copy_(torch.from_numpy(var))
        if self.options["dispersion_init"] == "moments" and self.likelihood != "poisson":
            self._start_theta(data)

    @torch.no_grad()
    def _start_theta(self, data: CountData) -> None:
        """Set the inverse dispersion to that of the moments of these cells' counts."""
        codes = {"gene-batch": data.batch_index, "gene-label": data.labels}.get(self.dispersion)
        n_groups = self.px_r.shape[1] if codes is not None else 1
        if n_groups == 1:
            codes = np.zeros(data.n_cells, np.int64)
        log_theta = torch.from_numpy(np.log(theta_from_moments(data.counts, codes, n_groups)))  # (genes, groups)
        start = self.px_r if self.px_r is not None else self.decoder.px_r_decoder.bias
        start.copy_(log_theta.view_as(start))
