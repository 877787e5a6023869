"""Exercise 5.3: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.nn import DecoderSCVI, FCLayers


def _decoder(
    *,
    shares: Callable[[], nn.Module] = lambda: nn.Softmax(dim=-1),
    trunk: Mapping[str, Any] | None = None,
    rate: Callable[[Tensor, Tensor], Tensor] = lambda scale, library: torch.exp(library) * scale,
    r: Callable[[Tensor], Tensor] = lambda px_r: px_r,
    logits: Callable[[Tensor], Tensor] = lambda px_dropout: px_dropout,
    modes: tuple[str, ...] = ("gene-cell",),
    order: tuple[int, ...] = (0, 1, 2, 3),
    bias: bool = True,
    covariates: bool = True,
    pick: Callable[..., tuple] = tuple,
) -> type[nn.Module]:
    """Make a decoder with something wrong in it; the defaults are right."""

    class Decoder(DecoderSCVI):
        def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
            super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
            options = {"n_cat_list": n_cat_list, "n_layers": n_layers, "n_hidden": n_hidden, "dropout_rate": 0}
            self.px_decoder = FCLayers(n_input, n_hidden, **{**options, **(trunk or {})})
            self.px_scale_decoder = nn.Sequential(nn.Linear(n_hidden, n_output, bias), shares())

        def forward(self, dispersion, z, library, *cat_list) -> tuple:
            hidden = self.px_decoder(z, *cat_list) if covariates else self.px_decoder(z)
            scale = self.px_scale_decoder(hidden)
            px_r = r(self.px_r_decoder(hidden)) if dispersion in modes else None
            results = scale, px_r, rate(scale, library), logits(self.px_dropout_decoder(hidden))
            return pick(results[i] for i in order)

    return Decoder


class _BareScaleDecoder(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_scale_decoder = nn.Linear(n_hidden, n_output)


class _DecoderWithoutTrunk(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        del self.px_decoder
        self.px_scale_decoder[0] = nn.Linear(n_input, n_output)
        self.px_r_decoder = nn.Linear(n_input, n_output)
        self.px_dropout_decoder = nn.Linear(n_input, n_output)


class _DecoderOfLatents(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_scale_decoder[0] = nn.Linear(n_input, n_output)
        self.px_r_decoder = nn.Linear(n_input, n_output)
        self.px_dropout_decoder = nn.Linear(n_input, n_output)


class _DecoderOfGenes(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_output, n_cat_list, n_layers, n_hidden, dropout_rate=0)


class _OneHeadDecoder(DecoderSCVI):
    def forward(self, dispersion, z, library, *cat_list) -> tuple:
        px_scale, px_r, px_rate, _ = super().forward("gene-cell", z, library, *cat_list)
        return px_scale, px_r if dispersion == "gene-cell" else None, px_rate, px_r


class _DecoderWithATrunkForEveryHead(DecoderSCVI):
    def forward(self, dispersion, z, library, *cat_list) -> tuple:
        px_scale = self.px_scale_decoder(self.px_decoder(z, *cat_list))
        px_r = self.px_r_decoder(self.px_decoder(z, *cat_list)) if dispersion == "gene-cell" else None
        return px_scale, px_r, library.exp() * px_scale, self.px_dropout_decoder(self.px_decoder(z, *cat_list))


class _SwappedHeadsDecoder(DecoderSCVI):
    def forward(self, dispersion, z, library, *cat_list) -> tuple:
        px_scale, px_r, px_rate, px_dropout = super().forward("gene-cell", z, library, *cat_list)
        return px_scale, px_dropout if dispersion == "gene-cell" else None, px_rate, px_r


class _HeadsWithoutLayers(DecoderSCVI):
    """The trunk has no parameters that a covariate could meet."""

    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, None, n_layers, n_hidden)


class _DecoderWithLayersForWidth(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_hidden, n_cat_list, n_hidden, n_layers, dropout_rate=0)


class _OneLayerDecoder(DecoderSCVI):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128) -> None:
        super().__init__(n_input, n_output, n_cat_list, 1, n_hidden)


MISTAKES = {
    "softmax-over-cells": (
        _decoder(shares=lambda: nn.Softmax(dim=0)),
        "The softmax runs over the cells. The shares of the genes within one cell have to sum to 1: it goes "
        "over the last axis.",
    ),
    "no-softmax": (
        _decoder(shares=nn.Identity),
        "The softmax is missing: px_scale should hold shares of the genes, above 0, with a sum of 1 in each cell.",
    ),
    "sigmoid-for-softmax": (
        _decoder(shares=nn.Sigmoid),
        "A sigmoid makes numbers between 0 and 1, but they do not sum to 1 over the genes. A softmax does.",
    ),
    "softplus-for-softmax": (
        _decoder(shares=nn.Softplus),
        "A softplus makes positive numbers, but they do not sum to 1 over the genes. A softmax does.",
    ),
    "relu-for-softmax": (
        _decoder(shares=nn.ReLU),
        "A ReLU makes no shares: some genes get exactly 0, and the sum over the genes is not 1. A softmax is needed.",
    ),
    "log-softmax": (
        _decoder(shares=lambda: nn.LogSoftmax(dim=-1)),
        "px_scale holds logarithms of shares. The shares themselves are needed.",
    ),
    "library-not-exponentiated": (
        _decoder(rate=lambda scale, library: library * scale),
        "The library is the logarithm of a cell's size. Undo the logarithm before you multiply the shares by it.",
    ),
    "library-ignored": (
        _decoder(rate=lambda scale, library: scale),
        "px_rate is the same as px_scale: the size of the cell is missing.",
    ),
    "library-added": (
        _decoder(rate=lambda scale, library: torch.exp(library + scale)),
        "You add the share to the log-library inside the exponential. The share is no logarithm: it is "
        "multiplied with the size.",
    ),
    "log-rate": (
        _decoder(rate=lambda scale, library: library + torch.log(scale)),
        "px_rate is the logarithm of the expected counts. The expected counts are needed.",
    ),
    "library-undone-by-ten": (
        _decoder(rate=lambda scale, library: 10**library * scale),
        "The library is a natural logarithm, not one to the base of 10.",
    ),
    "library-divides": (
        _decoder(rate=lambda scale, library: scale / torch.exp(library)),
        "You divide the shares by the size of the cell. A larger cell has larger counts.",
    ),
    "sigmoid-on-dropout": (
        _decoder(logits=torch.sigmoid),
        "px_dropout goes through a sigmoid. zinb_log_prob wants logits: return what the layer gives.",
    ),
    "exponential-of-r": (
        _decoder(r=torch.exp),
        "px_r goes through an exponential. It is the logarithm of theta: select_dispersion does that later.",
    ),
    "r-always": (
        _decoder(modes=("gene", "gene-batch", "gene-label", "gene-cell")),
        'px_r is returned in every mode. It should be None unless dispersion is "gene-cell".',
    ),
    "r-never": (
        _decoder(modes=()),
        'px_r is always None. When dispersion is "gene-cell" its head has to be asked.',
    ),
    "r-of-batches-too": (
        _decoder(modes=("gene-batch", "gene-label", "gene-cell")),
        'px_r is returned for "gene-batch" or "gene-label" too. In these modes the model has a parameter for '
        "it, and the decoder returns None.",
    ),
    "r-reversed": (
        _decoder(modes=("gene", "gene-batch", "gene-label")),
        'The condition on dispersion is reversed: px_r is needed for "gene-cell" and for nothing else.',
    ),
    "dropout-in-the-trunk": (
        _decoder(trunk={"dropout_rate": 0.1}),
        "The shares change from pass to pass in train mode: the decoder has no dropout. FCLayers brings it "
        "unless it is told otherwise.",
    ),
    "rate-before-r": (
        _decoder(order=(0, 2, 1, 3)),
        "The results come in another order: it is px_scale, px_r, px_rate, px_dropout.",
    ),
    "dropout-before-rate": (
        _decoder(order=(0, 1, 3, 2)),
        "px_rate and px_dropout are swapped: the order is px_scale, px_r, px_rate, px_dropout.",
    ),
    "rate-first": (
        _decoder(order=(2, 1, 0, 3)),
        "px_scale and px_rate are swapped: the shares come first.",
    ),
    "three-results": (
        _decoder(order=(0, 2, 3)),
        "px_r is left out of the results. Four are needed, the second of which is None in most modes.",
    ),
    "one-head-for-two": (
        _OneHeadDecoder,
        "px_r and px_dropout come from the same layer. Each needs a head of its own.",
    ),
    "trunk-for-every-head": (
        _DecoderWithATrunkForEveryHead,
        "The trunk runs anew for every head, so that in train mode its batch normalisation counts each "
        "minibatch several times. Let it run once; all heads read what it returned.",
    ),
    "heads-swapped": (
        _SwappedHeadsDecoder,
        "px_r comes from px_dropout_decoder and px_dropout from px_r_decoder: the two heads are exchanged.",
    ),
    "softmax-beside-the-head": (
        _BareScaleDecoder,
        "px_scale_decoder is a Linear alone, so that its weights have other names than in scVI. Put the Linear "
        "and the softmax together in an nn.Sequential.",
    ),
    "heads-without-trunk": (
        _DecoderWithoutTrunk,
        "There is no px_decoder: the heads read the latents directly, and all is linear but for the softmax. "
        "They share the hidden features of FCLayers.",
    ),
    "heads-on-latents": (
        _DecoderOfLatents,
        "The heads are as narrow as the latents. They read what px_decoder returns, n_hidden columns.",
    ),
    "trunk-to-genes": (
        _DecoderOfGenes,
        "px_decoder ends with n_output columns. It ends with n_hidden; the heads go from there to the genes.",
    ),
    "one-layer-only": (
        _OneLayerDecoder,
        "n_layers is not passed on to FCLayers: there is always a single layer.",
    ),
    "layers-for-width": (
        _DecoderWithLayersForWidth,
        "n_layers and n_hidden are swapped on the way to FCLayers: the number of layers comes first, then their width.",
    ),
    "no-place-for-covariates": (
        _HeadsWithoutLayers,
        "n_cat_list is not passed on to FCLayers, which has no columns for the covariates then.",
    ),
    "covariates-not-passed": (
        _decoder(covariates=False),
        "FCLayers misses its covariates: forward has to pass their codes on to px_decoder.",
    ),
}
