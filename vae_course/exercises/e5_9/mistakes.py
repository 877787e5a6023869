"""Exercise 5.9: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.distributions import kl_normal, kl_standard_normal, nb_log_prob, scvi_kl, zinb_log_prob
from vae_course.exercises.e5_9.answer import MyVAE
from vae_course.nn import DecoderSCVI, Encoder, one_hot

Found = dict[str, Tensor]


def _prior_of_batch(model: nn.Module, batch_index: Tensor | None) -> tuple[Tensor, Tensor]:
    both = model.library_log_means, model.library_log_vars
    if model.n_batch <= 1:
        return both
    mean, var = (one_hot(batch_index, model.n_batch) @ moments.T for moments in both)
    return mean, var


def _draw(mean: Tensor, var: Tensor) -> Tensor:
    return mean + var.sqrt() * torch.randn(mean.shape)


def _vae(
    *,
    seen: Callable[[Tensor], Tensor] = torch.log1p,
    draw_z: Callable[[Tensor, Tensor], Tensor] = _draw,
    draw_l: Callable[[Tensor, Tensor], Tensor] = _draw,
    library_first: bool = False,
    size: Callable[[Tensor, Tensor], Tensor] = lambda x, library: library,
    code: Callable[[Tensor | None], Tensor | None] = lambda batch_index: batch_index,
    decoded: Callable[[Found], Found] = lambda found: {},
    theta: Callable[[Tensor], Tensor] = torch.exp,
    log_prob: Callable[..., Tensor] = lambda x, f: zinb_log_prob(x, f["px_rate"], f["px_r"], f["px_dropout"]),
    over_genes: Callable[[Tensor], Tensor] = lambda log_prob: -log_prob.sum(dim=-1),
    prior: Callable[[nn.Module, Tensor | None], tuple[Tensor, Tensor]] = _prior_of_batch,
    kl: Callable[..., tuple[Tensor, Tensor]] = scvi_kl,
    twice: bool = False,
    returned: Callable[[Found], Any] = lambda found: found,
    terms: Callable[..., Any] = lambda *terms: terms,
    parts: Callable[[nn.Module, Mapping[str, int]], None] = lambda model, sizes: None,
) -> type[nn.Module]:
    """Make a model with something wrong in it; the defaults are right."""

    class Model(MyVAE):
        def __init__(self, n_input, n_batch=0, n_hidden=128, n_latent=10) -> None:
            super().__init__(n_input, n_batch, n_hidden, n_latent)
            parts(self, {"n_input": n_input, "n_batch": n_batch, "n_hidden": n_hidden, "n_latent": n_latent})

        def _inferred(self, x: Tensor, batch_index: Tensor | None) -> Found:
            log_x, found = seen(x), {}
            encoders = {"z": (self.z_encoder, draw_z), "l": (self.l_encoder, draw_l)}
            for name in reversed(encoders) if library_first else encoders:
                encoder, draw = encoders[name]
                hidden = encoder.encoder(log_x)
                mean = encoder.mean_encoder(hidden)
                var = torch.exp(encoder.var_encoder(hidden)) + encoder.var_eps
                found |= {f"q{name}_m": mean, f"q{name}_v": var, {"z": "z", "l": "library"}[name]: draw(mean, var)}
            found["library"] = size(x, found["library"])
            scale, _, rate, dropout = self.decoder("gene", found["z"], found["library"], code(batch_index))
            found |= {"px_scale": scale, "px_rate": rate, "px_dropout": dropout, "px_r": theta(self.px_r)}
            return found | decoded(found)

        def inference(self, x, batch_index=None) -> Any:
            return returned(self._inferred(x, batch_index))

        def loss_terms(self, x, batch_index=None) -> Any:
            if twice:
                self._inferred(x, batch_index)
            found = self._inferred(x, batch_index)
            moments = [found[name] for name in ("qz_m", "qz_v", "ql_m", "ql_v")]
            kls = kl(*moments, *prior(self, batch_index))
            return terms(over_genes(log_prob(x, found)), *kls)

    return Model


def _with(**kinds: Any) -> Callable[..., None]:
    """Replace a part of a model."""

    def change(model: nn.Module, sizes: Mapping[str, int]) -> None:
        for name, make in kinds.items():
            delattr(model, name)
            setattr(model, name, make(**sizes))

    return change


def _encoder(n_out: int | None = None, **options: Any) -> Callable[..., nn.Module]:
    def make(n_input: int, n_batch: int, n_hidden: int, n_latent: int) -> nn.Module:
        return Encoder(n_input, n_out or n_latent, n_hidden=options.pop("n_hidden", n_hidden), **options)

    return make


def _plain_prior(model: nn.Module, sizes: Mapping[str, int]) -> None:
    for name in ("library_log_means", "library_log_vars"):
        delattr(model, name)
        setattr(model, name, torch.ones(1, max(1, sizes["n_batch"])))


def _prior_in_a_row(model: nn.Module, sizes: Mapping[str, int]) -> None:
    for name in ("library_log_means", "library_log_vars"):
        model.register_buffer(name, torch.ones(max(1, sizes["n_batch"])))


def _prior_without_batches(model: nn.Module, sizes: Mapping[str, int]) -> None:
    for name in ("library_log_means", "library_log_vars"):
        model.register_buffer(name, torch.ones(1, sizes["n_batch"]))


def _trained_prior(model: nn.Module, sizes: Mapping[str, int]) -> None:
    for name in ("library_log_means", "library_log_vars"):
        delattr(model, name)
        setattr(model, name, nn.Parameter(torch.ones(1, max(1, sizes["n_batch"]))))


def _default_width(model: nn.Module, sizes: Mapping[str, int]) -> None:
    model.z_encoder = Encoder(sizes["n_input"], sizes["n_latent"])
    model.l_encoder = Encoder(sizes["n_input"], 1)
    model.decoder = DecoderSCVI(sizes["n_latent"], sizes["n_input"], [sizes["n_batch"]])


def _no_dropout(model: nn.Module, sizes: Mapping[str, int]) -> None:
    for encoder in (model.z_encoder, model.l_encoder):
        encoder.encoder.fc_layers[0][3] = nn.Identity()


def _dropout_in_the_decoder(model: nn.Module, sizes: Mapping[str, int]) -> None:
    layer = model.decoder.px_decoder.fc_layers[0]
    layer[2] = nn.Sequential(layer[2], nn.Dropout(0.1))


MISTAKES = {
    # the networks and what is kept
    "batch-missing-in-the-decoder": (
        _vae(parts=_with(decoder=lambda n_input, n_batch, n_hidden, n_latent: DecoderSCVI(
            n_latent, n_input, n_hidden=n_hidden))),
        "The decoder has no columns for the batch. Pass the list [n_batch] as its n_cat_list.",
    ),
    "batch-in-the-encoders": (
        _vae(parts=_with(
            z_encoder=lambda n_input, n_batch, n_hidden, n_latent: Encoder(
                n_input, n_latent, [n_batch], n_hidden=n_hidden),
            l_encoder=lambda n_input, n_batch, n_hidden, n_latent: Encoder(n_input, 1, [n_batch], n_hidden=n_hidden),
        )),
        "The encoders have columns for the batch. Only the decoder is told the batch here, as in scVI's code.",
    ),
    "library-of-many-latents": (
        _vae(parts=_with(l_encoder=_encoder())),
        "l_encoder puts out n_latent numbers for a cell. The library is a single number.",
    ),
    "width-not-passed-on": (
        _vae(parts=_default_width),
        "n_hidden does not reach the networks, which all have their default width of 128.",
    ),
    "dispersion-for-every-batch": (
        _vae(parts=_with(px_r=lambda n_input, n_batch, **sizes: nn.Parameter(torch.zeros(n_input, max(1, n_batch))))),
        'px_r has a column for every batch. The dispersion is "gene": one number for every gene, (n_input,).',
    ),
    "dispersion-is-a-single-number": (
        _vae(parts=_with(px_r=lambda **sizes: nn.Parameter(torch.zeros(1)))),
        "px_r is one number for all genes. Every gene has its own, (n_input,).",
    ),
    "prior-not-registered": (
        _vae(parts=_plain_prior),
        "The prior of the library hangs on self as plain tensors, so it is neither saved nor loaded with the weights. "
        "Register both as buffers.",
    ),
    "prior-in-a-row": (
        _vae(parts=_prior_in_a_row),
        "The buffers of the library's prior have shape (batches,). scVI's, whose weights are to be loaded, have "
        "shape (1, batches).",
    ),
    "prior-without-batches": (
        _vae(parts=_prior_without_batches),
        "With n_batch = 0 the buffers of the library's prior are empty. 0 and 1 both mean a single batch, which has "
        "a prior, too.",
    ),
    "prior-is-trained": (
        _vae(parts=_trained_prior),
        "The prior of the library is a parameter, so training would move it. It is measured once: a buffer.",
    ),
    "no-dropout": (
        _vae(parts=_no_dropout),
        "The encoders have no dropout in train mode. Their default of 0.1 is right.",
    ),
    "dropout-in-the-decoder": (
        _vae(parts=_dropout_in_the_decoder),
        "The decoder drops features in train mode. Only the encoders have dropout.",
    ),
    # encode
    "log1p-forgotten": (
        _vae(seen=lambda x: x),
        "The encoders see raw counts. Give them log(1 + x), so that no loud gene drowns the others.",
    ),
    "log-normalised": (
        _vae(seen=lambda x: torch.log1p(1e4 * x / x.sum(dim=-1, keepdim=True))),
        "You divide by the totals before the encoders. They see log(1 + x): the library encoder could not find "
        "the size otherwise.",
    ),
    "variance-for-standard-deviation": (
        _vae(
            draw_z=lambda mean, var: mean + var * torch.randn(mean.shape),
            draw_l=lambda mean, var: mean + var * torch.randn(mean.shape),
        ),
        "The noise is multiplied by the variance. It needs the standard deviation: the square root of qz_v and ql_v.",
    ),
    "variance-for-log-variance": (
        _vae(
            draw_z=lambda mean, var: mean + torch.exp(0.5 * var) * torch.randn(mean.shape),
            draw_l=lambda mean, var: mean + torch.exp(0.5 * var) * torch.randn(mean.shape),
        ),
        "You take qz_v and ql_v for log-variances when you draw. Encoder returns variances.",
    ),
    "z-not-drawn": (
        _vae(draw_z=lambda mean, var: mean),
        "z is the mean of q(z|x). It has to be a draw, the third thing that the encoder returns.",
    ),
    "library-not-drawn": (
        _vae(draw_l=lambda mean, var: mean),
        "The library is the mean of q(l|x). It has to be a draw, the third thing that its encoder returns.",
    ),
    "nothing-drawn": (
        _vae(draw_z=lambda mean, var: mean, draw_l=lambda mean, var: mean),
        "z and the library are the means of q. Both have to be draws, the third thing that an encoder returns.",
    ),
    "library-drawn-first": (
        _vae(library_first=True),
        "The library is drawn before z. With one seed other numbers come out than from scVI: draw z first.",
    ),
    "observed-library": (
        _vae(size=lambda x, library: torch.log(x.sum(dim=-1, keepdim=True))),
        "The library is the logarithm of the observed total. Here it is a latent: what l_encoder draws.",
    ),
    "library-of-the-mean": (
        _vae(decoded=lambda f: {"px_rate": torch.exp(f["ql_m"]) * f["px_scale"]}),
        "px_rate is made with the mean of q(l|x), and not with the library that was drawn.",
    ),
    # decode
    "batch-not-passed-on": (
        _vae(code=lambda batch_index: None if batch_index is None else torch.zeros_like(batch_index)),
        "The decoder takes every cell for one of batch 0. Pass batch_index on to it.",
    ),
    "library-not-exponentiated": (
        _vae(decoded=lambda f: {"px_rate": f["library"] * f["px_scale"]}),
        "px_rate multiplies the shares by the library itself. That is a logarithm: undo it first.",
    ),
    "library-exponentiated-twice": (
        _vae(decoded=lambda f: {"px_rate": torch.exp(f["library"].exp()) * f["px_scale"]}),
        "The library is exponentiated twice. The decoder does it: hand it the logarithm.",
    ),
    "sigmoid-before-the-likelihood": (
        _vae(decoded=lambda f: {"px_dropout": torch.sigmoid(f["px_dropout"])}),
        "px_dropout went through a sigmoid, and zinb_log_prob applies one again. It takes the logits as they are.",
    ),
    "theta-not-exponentiated": (
        _vae(theta=lambda px_r: px_r),
        "px_r in the results is still a logarithm, and often negative. The likelihood wants theta = exp(px_r).",
    ),
    "theta-exponentiated-twice": (
        _vae(theta=lambda px_r: px_r.exp().exp()),
        "px_r is exponentiated twice. select_dispersion does it already.",
    ),
    "inverse-of-theta": (
        _vae(theta=lambda px_r: torch.exp(-px_r)),
        "px_r in the results is 1 / theta. The inverse dispersion itself is wanted, exp(px_r).",
    ),
    "rate-less-the-dropout": (
        _vae(decoded=lambda f: {"px_rate": torch.sigmoid(-f["px_dropout"]) * f["px_rate"]}),
        "px_rate is multiplied by 1 - pi. It is the mean of the negative binomial, before extra zeros: "
        "zinb_log_prob deals with those.",
    ),
    "a-tuple-of-results": (
        _vae(returned=lambda f: tuple(f.values())),
        "inference returns a tuple. Return a dict, with the ten names as its keys.",
    ),
    # the loss
    "shares-for-rates": (
        _vae(log_prob=lambda x, f: zinb_log_prob(x, f["px_scale"], f["px_r"], f["px_dropout"])),
        "The likelihood is given the shares px_scale. Its mean is px_rate, in counts.",
    ),
    "log-counts-in-the-likelihood": (
        _vae(log_prob=lambda x, f: zinb_log_prob(torch.log1p(x), f["px_rate"], f["px_r"], f["px_dropout"])),
        "The likelihood is asked for log(1 + x). It is a distribution of counts: give it x itself.",
    ),
    "no-extra-zeros": (
        _vae(log_prob=lambda x, f: nb_log_prob(x, f["px_rate"], f["px_r"])),
        "The reconstruction uses the negative binomial and never looks at px_dropout. Use zinb_log_prob.",
    ),
    "sigmoid-within-the-loss": (
        _vae(log_prob=lambda x, f: zinb_log_prob(x, f["px_rate"], f["px_r"], torch.sigmoid(f["px_dropout"]))),
        "In the loss px_dropout goes through a sigmoid, and zinb_log_prob applies one again. Give it the logits.",
    ),
    "mean-over-genes": (
        _vae(over_genes=lambda log_prob: -log_prob.mean(dim=-1)),
        "The reconstruction is a mean over genes. Log-probabilities of independent genes are added; a mean would "
        "make it 765 times too light beside the KLs.",
    ),
    "sum-over-cells": (
        _vae(over_genes=lambda log_prob: -log_prob.sum(dim=0)),
        "The reconstruction is summed over the cells. The genes, the last axis, have to go: one number a cell.",
    ),
    "sign-of-the-reconstruction": (
        _vae(over_genes=lambda log_prob: log_prob.sum(dim=-1)),
        "The reconstruction has the wrong sign: the loss is minimised, so it is minus the log-probability.",
    ),
    "averaged-over-cells": (
        _vae(terms=lambda *terms: tuple(term.mean() for term in terms)),
        "loss_terms averages over the cells. One number for every cell is needed; the trainer takes the mean.",
    ),
    "inferred-twice": (
        _vae(twice=True),
        "loss_terms encodes and draws twice. Call inference once and use what it returned for all three terms.",
    ),
    "kls-forgotten": (
        _vae(kl=lambda m, *rest: (torch.zeros(len(m)), torch.zeros(len(m)))),
        "Both KLs are zero. Without them nothing keeps q near its prior: add the two of scvi_kl.",
    ),
    "kl-of-the-library-forgotten": (
        _vae(kl=lambda m, v, *rest: (torch.zeros(len(m)), kl_standard_normal(m, v.log()))),
        "kl_local is zero. The library is a latent too, and pays for leaving the prior of its batch.",
    ),
    "kls-swapped": (
        _vae(kl=lambda *moments: scvi_kl(*moments)[::-1]),
        "The two KLs are swapped. scvi_kl returns the local one, of the library, first, and so does loss_terms.",
    ),
    "only-the-sum": (
        _vae(terms=lambda *terms: sum(terms)),
        "loss_terms returns the sum. The three terms are needed one by one: the trainer gives the last a weight.",
    ),
    "kl-added-to-the-reconstruction": (
        _vae(terms=lambda r, local, latent: (r + local, local, latent)),
        "The reconstruction contains kl_local, which is returned again beside it, and would count twice.",
    ),
    "standard-normal-library": (
        _vae(prior=lambda model, batch_index: (torch.zeros(1, 1), torch.ones(1, 1))),
        "kl_local compares the library with N(0, 1). Its prior is that of the buffers: log-totals are nowhere near 0.",
    ),
    "prior-of-batch-0": (
        _vae(prior=lambda model, batch_index: (model.library_log_means[:, :1], model.library_log_vars[:, :1])),
        "Every cell is measured against the library prior of batch 0. Take the column of its own batch.",
    ),
    "prior-averaged-over-batches": (
        _vae(prior=lambda model, batch_index: (
            model.library_log_means.mean(dim=1, keepdim=True), model.library_log_vars.mean(dim=1, keepdim=True))),
        "Every cell is measured against the average of the batches' library priors. Take the column of its own batch.",
    ),
    "prior-exponentiated": (
        _vae(prior=lambda model, batch_index: tuple(one.exp() for one in _prior_of_batch(model, batch_index))),
        "The buffers go through exp before the KL. They hold mean and variance of the log-library already.",
    ),
    "prior-variance-for-standard-deviation": (
        _vae(prior=lambda model, batch_index: (
            _prior_of_batch(model, batch_index)[0], _prior_of_batch(model, batch_index)[1].sqrt())),
        "scvi_kl is given the square root of library_log_vars. It takes variances.",
    ),
    "variances-for-log-variances-in-the-kl": (
        _vae(kl=lambda m, v, lm, lv, pm, pv: (kl_normal(lm, lv, pm, pv).sum(-1), kl_standard_normal(m, v))),
        "kl_global takes qz_v for a log-variance. Encoder returns variances, and scvi_kl takes them.",
    ),
    "reversed-kls": (
        _vae(kl=lambda m, v, lm, lv, pm, pv: (
            kl_normal(pm, pv, lm, lv).sum(-1), kl_normal(torch.zeros(()), torch.ones(()), m, v).sum(-1))),
        "Both are KL(prior, q). It is the other way round: q comes first.",
    ),
}  # fmt: skip
