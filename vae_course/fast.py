"""`FastVAE`: the `VAE` with its loss computed from the non-zero counts, and the gradients written by hand.

The formulas are those of `VAE`; `docs/fast.md` derives the gradients line by line and says what each operation costs.

Every function below that computes a part of the loss returns its value and its backward pass, a function from the
gradient of the value to the gradient of the input. Backward passes put the gradients of the parameters into a
dictionary `grads`. Names that begin with `grad_` are gradients of what is minimised; in the likelihood they are
derivatives of log p.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from vae_course.distributions import sample_normal
from vae_course.model import LossTerms, check_genes
from vae_course.nn import Encoder, one_hot, one_hot_covariates
from vae_course.vae import VAE

LARGEST_TABLED = 16  # counts above it are rare, so that evaluating their gamma functions is cheap
TERMS = torch.arange(LARGEST_TABLED, dtype=torch.float64).unsqueeze(-1)  # (LARGEST_TABLED, 1)
LOG_DIVISORS = torch.log(TERMS + 1)
TINY = torch.finfo(torch.float32).tiny  # of p(0); below it log p(0) is cut off at -87.3, without a gradient
LOG2_E = 1.4426950408889634
ONE = torch.ones(())  # as a tensor, which PyTorch need not make of the number first
STANDARD_NORMAL = torch.zeros(()), torch.ones(())  # mean and variance of p(z)

Gradients = dict[nn.Parameter, Tensor]
Backward = Callable[[Tensor, Gradients], Tensor]


class FastVAE(VAE):
    """The same model as `VAE`, trained faster on a CPU.

    Constructor, options, parameters, random draws and results are those of `VAE`, the latter to the rounding of
    float32; saved models and checkpoints of one load into the other. Only the training loss is computed in another
    way: on a CPU `collate` lists the non-zero counts of a minibatch, and `loss_terms` computes the loss and its
    gradients from the list, without calling the `forward` of the layers. Subclass `VAE` to change the model. On a GPU
    it trains as `VAE` does.

    Parameters
    ----------
    *args, **options
        As in `VAE`, with the likelihood "zinb" or "nb".

    Raises
    ------
    ValueError
        For unknown options, and for a Poisson likelihood.
    """

    @wraps(VAE.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.likelihood == "poisson":
            raise ValueError("FastVAE takes the likelihood 'zinb' or 'nb', got 'poisson': use VAE for it.")

    @classmethod
    def kind(cls) -> str:
        """Return "VAE", the name by which files know both."""
        return VAE.kind()

    def collate(self, rows: sp.csr_matrix | Tensor, device: torch.device) -> "Tensor | Nonzeros":
        """Return the counts of a minibatch as `loss_terms` takes them: `Nonzeros` on a CPU, elsewhere dense."""
        return Nonzeros.of(rows) if device.type == "cpu" else super().collate(rows, device)

    def loss_terms(
        self,
        x: "Tensor | Nonzeros",
        batch_index: Tensor | None = None,
        y: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> LossTerms:
        """Return what `VAE.loss_terms` returns, for dense counts or for `Nonzeros`.

        Raises
        ------
        ValueError
            As `VAE.loss_terms`; for `Nonzeros` also if batch normalisation gets a single cell to train on.
        """
        if isinstance(x, Tensor):
            return super().loss_terms(x, batch_index, y, covariates)
        check_genes(x, self.n_input)
        if len(x) == 1 and self.training:
            raise ValueError("Batch normalisation trains on two cells or more, got a minibatch of one.")
        if self.n_batch <= 1:
            batch_index = torch.zeros(len(x), dtype=torch.int64)
        y = self._label_codes(x, y) if self.dispersion == "gene-label" else None
        return LossTerms(*Loss.apply(self, (x, batch_index, y, covariates), *self.parameters()))


@dataclass(frozen=True)
class Nonzeros:
    """The non-zero counts of a minibatch, in two orders: by cell (as in CSR) and by gene (as in CSC).

    Attributes
    ----------
    counts, cells, genes
        Value, row and column of each, by cell, (nonzeros,).
    indptr
        Where each cell begins in these, and where the last one ends, (cells + 1,).
    positions
        Their positions in the dense table, row by row, (nonzeros,).
    table_positions
        The positions of min(count, LARGEST_TABLED) and gene in a table of (LARGEST_TABLED, genes), (nonzeros,).
    large
        Which of `counts` are above `LARGEST_TABLED`: positions in `counts`.
    counts_by_gene, cells_by_gene, indptr_by_gene
        Value and row of each, by gene, (nonzeros,), and where each gene begins, (genes + 1,).
    shape
        That of the dense table, (cells, genes).
    """

    counts: Tensor
    cells: Tensor
    genes: Tensor
    indptr: Tensor
    positions: Tensor
    table_positions: Tensor
    large: Tensor
    counts_by_gene: Tensor
    cells_by_gene: Tensor
    indptr_by_gene: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, rows: sp.csr_matrix) -> Self:
        """List the counts of some cells, a float32 matrix (cells, genes)."""
        cells = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        positions = cells * rows.shape[1] + rows.indices
        tabled = np.minimum(rows.data, LARGEST_TABLED).astype(np.int32)
        table_positions = (tabled - 1) * rows.shape[1] + rows.indices
        large = np.flatnonzero(rows.data > LARGEST_TABLED)
        by_gene = rows.tocsc()
        by_cell = rows.data, cells, rows.indices, rows.indptr, positions, table_positions, large
        return cls(*map(torch.from_numpy, (*by_cell, by_gene.data, by_gene.indices, by_gene.indptr)), rows.shape)

    def __len__(self) -> int:
        """Return the number of cells."""
        return self.shape[0]

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.counts.device


class Loss(torch.autograd.Function):
    """The three terms of the negative ELBO, with a backward pass by hand."""

    @staticmethod
    def forward(ctx: FunctionCtx, model: FastVAE, minibatch: tuple[Any, ...], *parameters: nn.Parameter) -> LossTerms:
        """Return reconstruction, local KL and global KL, nats, (cells,) each."""
        terms, ctx.backward_pass = _loss_terms(model, *minibatch)
        ctx.parameters = parameters
        return terms

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grad_terms: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the parameters."""
        if ctx.backward_pass is None:
            raise RuntimeError("FastVAE's backward pass overwrites what it needs: compute the loss again.")
        backward_pass, ctx.backward_pass = ctx.backward_pass, None
        grads = backward_pass(*grad_terms)
        return None, None, *(grads.get(p) if p.requires_grad else None for p in ctx.parameters)


def _loss_terms(
    model: FastVAE, x: Nonzeros, batch_index: Tensor, y: Tensor | None, covariates: Tensor | None
) -> tuple[LossTerms, Callable[..., Gradients]]:
    """Encode, draw z and l, decode; return the terms, and the gradients of the parameters as a function of theirs."""
    encoder_input = [torch.log1p(c) if model.log_variational else c for c in (x.counts, x.counts_by_gene)]
    z, kl_global, z_backward = _encode(model.z_encoder, x, encoder_input, STANDARD_NORMAL)
    if model.library == "latent":
        library, kl_local, l_backward = _encode(model.l_encoder, x, encoder_input, model.library_prior(batch_index))
    else:
        totals = torch.zeros(len(x)).index_add_(0, x.cells, x.counts)
        library, kl_local = torch.log(totals).unsqueeze(-1), torch.zeros(len(x))
    log_prob, decode_backward = _decode(model, x, z, library, batch_index, y, covariates)

    def backward(grad_reconstruction: Tensor, grad_kl_local: Tensor, grad_kl_global: Tensor) -> Gradients:
        grads: Gradients = {}
        grad_z, grad_library = decode_backward(-grad_reconstruction, grads)
        z_backward(grad_z, grad_kl_global, grads)
        if model.library == "latent":
            l_backward(grad_library, grad_kl_local, grads)
        return grads

    return LossTerms(log_prob.neg_(), kl_local, kl_global), backward


# --------------------------------------------------------------------------------------------------------------------
# The networks
# --------------------------------------------------------------------------------------------------------------------


def _encode(
    encoder: Encoder, x: Nonzeros, encoder_input: Sequence[Tensor], prior: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor, Gradients], None]]:
    """Return a draw from q, (cells, latents), KL(q || prior), (cells,), and the backward pass."""
    first, *others = [step for layer in encoder.encoder.fc_layers for step in layer]
    hidden, first_backward = _sparse_linear(first, x, *encoder_input)
    hidden, layers_backward = _layers(others, hidden)
    mean, mean_backward = _linear(encoder.mean_encoder, hidden)
    logvar, var_backward = _linear(encoder.var_encoder, hidden)
    exp = logvar.exp_()
    var = exp + encoder.var_eps
    draw = sample_normal(mean, var)
    prior_mean, prior_var = prior
    distance, ratio = (mean - prior_mean).div_(prior_var), var / prior_var
    kl = torch.addcmul(ratio - ratio.log(), distance, mean - prior_mean).sum(dim=-1).sub_(mean.shape[-1]).mul_(0.5)

    def backward(grad_draw: Tensor, grad_kl: Tensor, grads: Gradients) -> None:
        grad_kl = grad_kl.unsqueeze(-1)  # (cells, 1)
        grad_mean = torch.addcmul(grad_draw, distance, grad_kl)
        grad_var = (grad_draw * (draw - mean)).addcmul_(ratio - 1, grad_kl).div_(var).mul_(0.5)
        grad_hidden = mean_backward(grad_mean, grads).add_(var_backward(grad_var.mul_(exp), grads))
        first_backward(layers_backward(grad_hidden, grads), grads)

    return draw, kl, backward


def _sparse_linear(
    layer: nn.Linear, x: Nonzeros, values: Tensor, values_by_gene: Tensor
) -> tuple[Tensor, Callable[[Tensor, Gradients], None]]:
    """Apply a linear layer to a sparse table, given its non-zero values by cell and by gene.

    The row of a cell is the sum of its genes' columns of the weight, times the values; in the backward pass, the row
    of a gene is a sum over the cells that express it.
    """

    def backward(grad_out: Tensor, grads: Gradients) -> None:
        grads[layer.weight] = _transposed(_weighted_sums(grad_out, x.cells_by_gene, x.indptr_by_gene, values_by_gene))
        grads[layer.bias] = grad_out.sum(dim=0)

    return _weighted_sums(_transposed(layer.weight), x.genes, x.indptr, values).add_(layer.bias), backward


def _weighted_sums(table: Tensor, rows: Tensor, indptr: Tensor, weights: Tensor) -> Tensor:
    """Sum rows of a table, times their weights, from one `indptr` to the next, (len(indptr) - 1, columns)."""
    return F.embedding_bag(rows, table, indptr, mode="sum", per_sample_weights=weights, include_last_offset=True)


def _transposed(matrix: Tensor) -> Tensor:
    """Return the transpose, contiguous, in a quarter of the time of `matrix.t().contiguous()`.

    Shuffling all entries, as channels in as many groups as there are rows, is a transposition. In the layout
    "channels last" PyTorch has vector instructions for it.
    """
    n, (n_rows, n_columns) = matrix.numel(), matrix.shape
    channels = matrix.as_strided((1, n, 1, 1), (n, 1, n, n))
    return torch.channel_shuffle(channels, n_rows).view(n_columns, n_rows)


def _layers(steps: Sequence[nn.Module], x: Tensor, covariates: Sequence[Tensor] = ()) -> tuple[Tensor, Backward]:
    """Pass x through steps of `FCLayers`, and the covariates into every linear one."""
    backwards = []
    for step in steps:
        if isinstance(step, nn.Linear):
            x, backward = _linear(step, x, covariates)
        elif isinstance(step, nn.BatchNorm1d):
            x, backward = _batch_norm(step, x)
        elif isinstance(step, nn.ReLU):
            x, backward = _relu(x)
        elif step.training:  # dropout
            x, backward = _dropout(step, x)
        else:
            continue
        backwards.append(backward)

    def backward_all(grad_x: Tensor, grads: Gradients) -> Tensor:
        for backward in reversed(backwards):
            grad_x = backward(grad_x, grads)
        return grad_x

    return x, backward_all


def _linear(layer: nn.Linear, x: Tensor, covariates: Sequence[Tensor] = ()) -> tuple[Tensor, Backward]:
    n_in = x.shape[-1]
    x = torch.cat([x, *covariates], dim=-1) if covariates else x

    def backward(grad_out: Tensor, grads: Gradients) -> Tensor:
        grads[layer.weight], grads[layer.bias] = grad_out.t() @ x, grad_out.sum(dim=0)
        grad_x = grad_out @ layer.weight
        return grad_x[:, :n_in] if covariates else grad_x

    return F.linear(x, layer.weight, layer.bias), backward


def _batch_norm(norm: nn.BatchNorm1d, x: Tensor) -> tuple[Tensor, Backward]:
    if norm.training:
        norm.num_batches_tracked.add_(1)
    weight, running = norm.weight, (norm.running_mean, norm.running_var)
    out, *saved = torch.native_batch_norm(x, weight, norm.bias, *running, norm.training, norm.momentum, norm.eps)

    def backward(grad_out: Tensor, grads: Gradients) -> Tensor:
        grad_x, grads[weight], grads[norm.bias] = torch.ops.aten.native_batch_norm_backward(
            grad_out, x, weight, *running, *saved, norm.training, norm.eps, (True, True, True)
        )
        return grad_x

    return out, backward


def _relu(x: Tensor) -> tuple[Tensor, Backward]:
    out = x.relu_()
    return out, lambda grad_out, grads: torch.ops.aten.threshold_backward(grad_out, out, 0)


def _dropout(step: nn.Dropout, x: Tensor) -> tuple[Tensor, Backward]:
    kept = torch.empty_like(x).bernoulli_(1 - step.p).div_(1 - step.p)
    return x * kept, lambda grad_out, grads: grad_out.mul_(kept)


# --------------------------------------------------------------------------------------------------------------------
# The likelihood
# --------------------------------------------------------------------------------------------------------------------


def _decode(
    model: FastVAE,
    x: Nonzeros,
    z: Tensor,
    library: Tensor,
    batch_index: Tensor,
    y: Tensor | None,
    covariates: Tensor | None,
) -> tuple[Tensor, Callable[[Tensor, Gradients], tuple[Tensor, Tensor]]]:
    """Return log p(x|z, l), nats, (cells,), and its backward pass to z and the log-library."""
    decoder = model.decoder
    decoder_input, _, *codes = model.with_covariates(z, library, batch_index, covariates)
    columns = one_hot_covariates(codes, decoder.px_decoder.n_cat_list, n_cells=len(x))
    steps = [step for layer in decoder.px_decoder.fc_layers for step in layer]
    hidden, hidden_backward = _layers(steps, decoder_input, columns)
    scale_logits, scale_backward = _linear(decoder.px_scale_decoder[0], hidden)
    zi_logits = None
    if model.likelihood == "zinb":
        zi_logits, zi_backward = _linear(decoder.px_dropout_decoder, hidden)
    theta, theta_backward = _theta(model, hidden, batch_index, y)
    log_prob, likelihood_backward = log_likelihood(x, scale_logits, library, theta, zi_logits)

    def backward(grad: Tensor, grads: Gradients) -> tuple[Tensor, Tensor]:
        grad_scale_logits, grad_library, grad_theta, *grad_zi_logits = likelihood_backward(grad)
        grad_hidden = scale_backward(grad_scale_logits, grads)
        if grad_zi_logits:
            grad_hidden += zi_backward(*grad_zi_logits, grads)
        if (of_theta := theta_backward(grad_theta, grads)) is not None:
            grad_hidden += of_theta
        return hidden_backward(grad_hidden, grads)[:, : model.n_latent], grad_library

    return log_prob, backward


def _theta(
    model: FastVAE, hidden: Tensor, batch_index: Tensor, y: Tensor | None
) -> tuple[Tensor, Callable[[Tensor, Gradients], Tensor | None]]:
    """Return the inverse dispersion, (genes,) or (cells, genes); its backward pass reaches `hidden` in "gene-cell"."""
    px_r = model.px_r
    if px_r is None:
        px_r, linear_backward = _linear(model.decoder.px_r_decoder, hidden)
        theta = px_r.exp_()
        return theta, lambda grad_theta, grads: linear_backward(grad_theta.mul_(theta), grads)
    codes = {"gene-batch": batch_index, "gene-label": y}.get(model.dispersion)
    indicator = None if codes is None else one_hot(codes, px_r.shape[1])  # (cells, categories)
    theta = torch.exp(px_r if indicator is None else indicator @ px_r.t())

    def backward(grad_theta: Tensor, grads: Gradients) -> None:
        grad_px_r = grad_theta.mul_(theta)
        grads[px_r] = grad_px_r if indicator is None else grad_px_r.t() @ indicator

    return theta, backward


def log_likelihood(
    x: Nonzeros, scale_logits: Tensor, library: Tensor, theta: Tensor, zi_logits: Tensor | None
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, ...]]]:
    """Return log p(x|z, l) of every cell, given what the decoder's last layers return, and the backward pass.

    With ratio = mu / theta, p0 = (1 + ratio)^-theta, pi = sigmoid(zi_logits) and q = pi + (1 - pi) p0:

        log p(0) = log q
        log p(x) = log_choose(x, theta) + x log(ratio) - (x + theta) log(1 + ratio) + log(1 - pi)    for x > 0

    All entries are first taken for zeros; then those that are not are replaced. Both tables of logits are overwritten
    (reusing memory keeps the tables in the cache).

    Parameters
    ----------
    x
        The counts.
    scale_logits, zi_logits
        Logits of px_scale and of an extra zero, (cells, genes). Without the latter, pi = 0: the negative binomial.
    library
        Log-library, (cells, 1).
    theta
        Inverse dispersion, (genes,) or (cells, genes).

    Returns
    -------
    log_prob
        Nats per cell, (cells,).
    backward
        From the gradient of log_prob to those of scale_logits, library, theta and zi_logits; to be called once.
    """
    scale, size = torch.softmax(scale_logits, dim=-1), torch.exp(library)
    above_zero = _above_zero(x, scale, size, theta, zi_logits)
    ratio = torch.mul(scale, size, out=scale_logits).div_(theta)
    tables = _at_zero(ratio, theta, zi_logits)
    for table, values in zip(tables, above_zero, strict=True):
        table.view(-1).scatter_(0, x.positions, values)
    log_prob, grad_log_mu, grad_theta, *grad_zi_logits = tables

    def backward(grad: Tensor) -> tuple[Tensor, ...]:
        grad = grad.unsqueeze(-1)  # (cells, 1)
        grad_library = grad_log_mu.mul_(grad).sum(dim=-1, keepdim=True)
        grad_scale_logits = grad_log_mu.addcmul_(scale, grad_library, value=-1)
        summed = (grad.t() @ grad_theta).view(-1) if theta.dim() == 1 else grad_theta.mul_(grad)
        return grad_scale_logits, grad_library, summed, *(table.mul_(grad) for table in grad_zi_logits)

    return log_prob.sum(dim=-1), backward


def _at_zero(ratio: Tensor, theta: Tensor, zi_logits: Tensor | None) -> tuple[Tensor, ...]:
    """Return log p(0) and its derivatives by log mu, theta and (if given) the logit, (cells, genes) each.

    Both tables that are given are overwritten.
    """
    base = 1.0 if zi_logits is None else LOG2_E  # 2^x is computed faster than e^x
    log_1p, one_plus = torch.log1p(ratio), ratio + ONE
    slope = ratio.div_(one_plus)
    log_p0 = torch.mul(log_1p, theta * -base, out=one_plus)
    grad_theta = torch.sub(slope, log_1p, out=log_1p)
    grad_log_mu = slope.mul_(-theta)
    if zi_logits is None:
        return log_p0, grad_log_mu, grad_theta
    pi, p0 = zi_logits.sigmoid_(), log_p0.exp2_()
    not_pi = ONE - pi
    nb_share = p0.mul_(not_pi)
    q = pi.add_(nb_share).clamp_(min=TINY)
    nb_share.div_(q)  # the probability that a zero is one of the negative binomial
    return q.log_(), grad_log_mu.mul_(nb_share), grad_theta.mul_(nb_share), not_pi.sub_(nb_share)


def _above_zero(
    x: Nonzeros, scale: Tensor, size: Tensor, theta: Tensor, zi_logits: Tensor | None
) -> tuple[Tensor, ...]:
    """Return log p(x) of the counts above zero and its derivatives as `_at_zero` does, (nonzeros,) each.

    In float64, since large terms cancel, but for log(1 - pi) and its derivative.
    """
    mu = (_gather(scale, x.positions) * _gather(size, x.cells)).double()
    theta_above = _gather(theta, x.genes if theta.dim() == 1 else x.positions).double()
    counts, ratio = x.counts.double(), mu / theta_above
    slope, log_1p = ratio / (1 + ratio), torch.log1p(ratio)
    choose, choose_slope = log_choose(x, theta) if theta.dim() == 1 else _by_gamma_functions(counts, theta_above)
    # x log(ratio) - (x + theta) log(1 + ratio) = x log(slope) - theta log(1 + ratio)
    value = choose + counts * torch.log(slope) - theta_above * log_1p
    grad_log_mu = counts - (counts + theta_above) * slope
    grad_theta = choose_slope - log_1p - grad_log_mu / theta_above
    nb = value.float(), grad_log_mu.float(), grad_theta.float()
    if zi_logits is None:
        return nb
    zi_logits = _gather(zi_logits, x.positions)
    return nb[0].sub_(F.softplus(zi_logits)), *nb[1:], torch.sigmoid(zi_logits).neg_()


def log_choose(x: Nonzeros, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return lgamma(x + theta) - lgamma(theta) - lgamma(x + 1) and its derivative by theta, (nonzeros,), in float64.

    Both are sums of x terms, log((theta + k) / (k + 1)) and 1 / (theta + k) for k = 0..x-1. For small counts they are
    computed once per gene and looked up.

    Parameters
    ----------
    x
        The counts.
    theta
        Inverse dispersion, (genes,).
    """
    terms = theta + TERMS  # (LARGEST_TABLED, genes)
    value = _gather(terms.log().sub_(LOG_DIVISORS).cumsum(dim=0), x.table_positions)
    slope = _gather(terms.reciprocal_().cumsum(dim=0), x.table_positions)
    counts, genes = _gather(x.counts, x.large).double(), _gather(x.genes, x.large)
    exact = _by_gamma_functions(counts, _gather(theta, genes).double())
    return value.scatter_(0, x.large, exact[0]), slope.scatter_(0, x.large, exact[1])


def _by_gamma_functions(counts: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    value = torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1)
    return value, torch.digamma(counts + theta) - torch.digamma(theta)


def _gather(table: Tensor, entries: Tensor) -> Tensor:
    """Return entries of a table, given by their positions in it, row by row."""
    return table.reshape(-1).index_select(0, entries)
