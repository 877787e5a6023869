"""The loss of a ZINB `VAE` as in `models.py`, made fast for a processor: the same formula, its gradients by hand.

`loss_terms` here gives what `VAE.loss_terms` gives, to float32 rounding, and draws the same random numbers. It sees a
minibatch as the list of its non-zero counts, `data.Nonzeros`. The trainer takes it where it can (`applies`).
`docs/fast.md` derives it line by line and says what each operation costs.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from vae_course.data import LARGEST_TABLED, Nonzeros
from vae_course.models import VAE, LossTerms
from vae_course.nn import DecoderSCVI, Encoder, FCLayers, sample_normal

SPARSE = 0.2  # share of non-zeros up to which the first product of the encoders is faster without the zeros
STEPS = torch.arange(LARGEST_TABLED, dtype=torch.float64).unsqueeze(-1)  # (LARGEST_TABLED, 1)
SMALLEST = torch.finfo(torch.float32).tiny  # keeps log p(0) finite where pi underflows, for logits below -87
PARTS = {VAE, Encoder, DecoderSCVI, FCLayers, nn.Sequential, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Softmax}


def applies(model: torch.nn.Module) -> bool:
    """Whether `loss_terms` computes what the model's own method does: for a ZINB `VAE` whose parts are the package's.

    Where a part or a method of it was replaced, as learners do, or is watched by a hook, the model is left to its own
    method.
    """
    if type(model) is not VAE or model.likelihood != "zinb":
        return False
    parts = list(model.modules())
    return (
        {type(part) for part in parts} <= PARTS
        and [type(part) for part in model.decoder.px_scale_decoder] == [nn.Linear, nn.Softmax]
        and not any(part._forward_hooks or part._forward_pre_hooks for part in parts)
        and not any(callable(value) for part in parts for value in vars(part).values())
    )


def loss_terms(model: VAE, x: Nonzeros, batch_index: Tensor | None = None, y: Tensor | None = None) -> LossTerms:
    """Return what `VAE.loss_terms` returns for the same counts: nats per cell, (cells,) each."""
    batch_index, y = model._batch_codes(x, batch_index), model._label_codes(x, y)
    transform = torch.log1p if model.log_variational else torch.Tensor.float
    encoder_input = replace(x, counts=transform(x.counts), counts_by_gene=transform(x.counts_by_gene))
    if len(x.counts) > SPARSE * x.shape[0] * x.shape[1]:
        encoder_input = encoder_input.dense()
    qz_m, qz_v, z = _encode(model.z_encoder, encoder_input)
    ql_m, ql_v, library = _encode(model.l_encoder, encoder_input) if model.library == "latent" else _observed_library(x)
    hidden = model.decoder.px_decoder(z, batch_index)
    px_r = model.decoder.px_r_decoder(hidden) if model.dispersion == "gene-cell" else model.px_r
    log_prob = ZINBLogProb.apply(
        x,
        model.decoder.px_scale_decoder[0](hidden),
        library,
        model.select_dispersion(px_r, batch_index, y),
        model.decoder.px_dropout_decoder(hidden),
    )
    kl_local, kl_global = model.kl({"qz_m": qz_m, "qz_v": qz_v, "ql_m": ql_m, "ql_v": ql_v}, batch_index)
    return LossTerms(-log_prob, kl_local, kl_global)


# --------------------------------------------------------------------------------------------------------------------
# The encoders
# --------------------------------------------------------------------------------------------------------------------


def _encode(encoder: Encoder, x: Nonzeros | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, variance and a draw as `Encoder.forward` does."""
    if isinstance(x, Tensor):
        return encoder(x)
    (linear, *first), *layers = encoder.encoder.fc_layers
    hidden = SparseProduct.apply(x, linear.weight) + linear.bias
    for step in (*first, *layers):
        hidden = step(hidden)
    mean = encoder.mean_encoder(hidden)
    var = torch.exp(encoder.var_encoder(hidden)) + encoder.var_eps
    return mean, var, sample_normal(mean, var)


def _observed_library(x: Nonzeros) -> tuple[Tensor, Tensor, Tensor]:
    totals = torch.zeros(len(x)).index_add_(0, x.cells, x.counts)
    library = torch.log(totals).unsqueeze(-1)  # (cells, 1)
    return library, torch.zeros_like(library), library


class SparseProduct(torch.autograd.Function):
    """x @ weight.T for sparse x: a cell's row is the sum of its non-zero genes' columns of weight, times the counts."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Nonzeros, weight: Tensor) -> Tensor:
        """Return (cells, n_out) for weight (n_out, genes)."""
        ctx.x = x
        return _weighted_sums(weight.detach().t().contiguous(), x.genes, x.ends_of_cells, x.counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[None, Tensor]:
        """Return the gradient of weight, grad.T @ x: a sum over the cells in which a gene is not zero."""
        x = ctx.x
        return None, _weighted_sums(grad.contiguous(), x.cells_by_gene, x.ends_of_genes, x.counts_by_gene).t()


def _weighted_sums(table: Tensor, rows: Tensor, ends: Tensor, weights: Tensor) -> Tensor:
    """Sum rows of a table, times their weights, from one end to the next, (len(ends) - 1, columns)."""
    return F.embedding_bag(rows, table, ends, mode="sum", per_sample_weights=weights, include_last_offset=True)


# --------------------------------------------------------------------------------------------------------------------
# The likelihood
# --------------------------------------------------------------------------------------------------------------------


class ZINBLogProb(torch.autograd.Function):
    """log p(x|z, l) of every cell, given what the decoder's last layers return.

    With ratio = mu / theta, p0 = (1 + ratio)^-theta, pi = sigmoid(zi_logits) and q = pi + (1 - pi) p0:

        log p(0) = log q
        log p(x) = log_choose(x, theta) + x log(ratio) - (x + theta) log(1 + ratio) + log(1 - pi)    for x > 0
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Nonzeros, scale_logits: Tensor, library: Tensor, theta: Tensor, zi_logits: Tensor
    ) -> Tensor:
        """Take all entries for zeros, then put right those that are not; keep the derivatives for `backward`.

        Parameters
        ----------
        ctx
            Where the derivatives are kept.
        x
            The counts.
        scale_logits, zi_logits
            Logits of px_scale and of an extra zero, (cells, genes).
        library
            Log-library, (cells, 1).
        theta
            Inverse dispersion, (genes,) or (cells, genes).

        Returns
        -------
        Tensor
            Nats per cell, (cells,).
        """
        scale, size = torch.softmax(scale_logits, dim=-1), torch.exp(library)
        tables = _as_zeros((scale * size).div_(theta), theta, zi_logits)
        for table, values in zip(tables, _above_zero(x, scale, size, theta, zi_logits), strict=True):
            table.view(-1).index_copy_(0, x.places, values)
        log_prob, *derivatives = tables
        ctx.save_for_backward(theta, scale, *derivatives)
        return log_prob.sum(dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of all arguments; the softmax and the library share that of log mu."""
        theta, scale, by_log_mu, by_logit, by_theta = ctx.saved_tensors
        grad = grad.unsqueeze(-1)  # (cells, 1)
        by_log_mu, by_logit = by_log_mu.mul_(grad), by_logit.mul_(grad)  # PyTorch refuses a second backward now
        by_library = by_log_mu.sum(dim=-1, keepdim=True)
        by_scale_logits = by_log_mu.addcmul_(scale, by_library, value=-1)
        by_theta = (grad.t() @ by_theta).view(-1) if theta.dim() == 1 else by_theta.mul_(grad)
        return None, by_scale_logits, by_library, by_theta, by_logit


def _as_zeros(ratio: Tensor, theta: Tensor, zi_logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p(0) and its derivatives by log mu, the logit and theta, (cells, genes) each.

    What is no longer needed is written over: six tables stay nearer to the processor than twenty.
    """
    one = torch.ones(())
    log_1p, one_plus = torch.log1p(ratio), 1 + ratio
    slope = ratio.div_(one_plus)
    p0 = torch.mul(log_1p, -theta, out=one_plus).exp_()
    pi = torch.sigmoid(zi_logits)
    q = torch.lerp(p0, one, pi).clamp_(min=SMALLEST)  # pi + (1 - pi) p0
    not_pi = torch.sub(one, pi, out=pi)
    w = p0.mul_(not_pi).div_(q)  # the probability that a zero is one of the negative binomial
    by_theta = torch.sub(slope, log_1p, out=log_1p).mul_(w)
    by_log_mu = slope.mul_(w).mul_(-theta)
    return q.log_(), by_log_mu, not_pi.sub_(w), by_theta


def _above_zero(
    x: Nonzeros, scale: Tensor, size: Tensor, theta: Tensor, zi_logits: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p(x) of the counts above zero and its derivatives as above, (nonzeros,) each.

    In float64, since large terms cancel.
    """
    mu = _pick(scale, x.places).double() * _pick(size, x.cells)
    theta_above = _pick(theta, x.genes if theta.dim() == 1 else x.places).double()
    zi_logits = _pick(zi_logits, x.places)
    counts, ratio = x.counts.double(), mu / theta_above
    slope, log_1p = ratio / (1 + ratio), torch.log1p(ratio)
    choose, choose_slope = log_choose(x, theta) if theta.dim() == 1 else _by_gamma_functions(counts, theta_above)
    # x log(ratio) - (x + theta) log(1 + ratio) = x log(slope) - theta log(1 + ratio)
    value = choose + counts * torch.log(slope) - theta_above * log_1p + F.logsigmoid(-zi_logits)
    by_log_mu = counts - (counts + theta_above) * slope
    by_theta = choose_slope - log_1p - by_log_mu / theta_above
    return value.float(), by_log_mu.float(), torch.sigmoid(zi_logits).neg_(), by_theta.float()


def log_choose(x: Nonzeros, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return lgamma(x + theta) - lgamma(theta) - lgamma(x + 1) and its derivative by theta, (nonzeros,), in float64.

    Both are sums of x terms, log((theta + k) / (k + 1)) and 1 / (theta + k) for k = 0..x-1. For small counts they are
    made once per gene and looked up.

    Parameters
    ----------
    x
        The counts.
    theta
        Inverse dispersion, (genes,).
    """
    terms = theta + STEPS  # (LARGEST_TABLED, genes)
    entries = (x.counts.long() - 1).clamp_(max=LARGEST_TABLED - 1).mul_(len(theta)).add_(x.genes)
    value = _pick((terms / (STEPS + 1)).log_().cumsum(dim=0), entries)
    slope = _pick(terms.reciprocal_().cumsum(dim=0), entries)
    exact = _by_gamma_functions(x.counts[x.large].double(), theta[x.genes[x.large]].double())
    value[x.large], slope[x.large] = exact
    return value, slope


def _by_gamma_functions(counts: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    value = torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1)
    return value, torch.digamma(counts + theta) - torch.digamma(theta)


def _pick(table: Tensor, entries: Tensor) -> Tensor:
    """Return entries of a table, which are named by their positions in it, row by row."""
    return table.reshape(-1).index_select(0, entries)
