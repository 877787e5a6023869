"""The loss of a ZINB `VAE` as in `models.py`, made fast for a processor: the same formula, its gradients by hand.

While a model is `arranged`, its loss terms are those of `VAE.loss_terms` to float32 rounding, with the same random
numbers. They are computed from the non-zero counts of a minibatch, `data.Nonzeros`. The trainer does so where it can
(`applies`). `docs/fast.md` derives it line by line and says what each operation costs.

Names that begin with `by_`, and the dictionary `by`, are gradients of what is minimised by what is named; in the
likelihood, derivatives of log p.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from vae_course.data import LARGEST_TABLED, Nonzeros
from vae_course.distributions import sample_normal
from vae_course.models import VAE, LossTerms, check_genes
from vae_course.nn import Encoder, FCLayers, one_hot, one_hot_covariates

STEPS = torch.arange(LARGEST_TABLED, dtype=torch.float64).unsqueeze(-1)  # (LARGEST_TABLED, 1)
SMALLEST = torch.finfo(torch.float32).tiny  # of p(0); below that, log p(0) is cut off at -87.3, without a gradient
LOG2_E = 1.4426950408889634
STANDARD = torch.zeros(()), torch.ones(())  # mean and variance of p(z)

Weights = dict[str, Tensor]  # and running statistics, or gradients, by the names of `_groups`


def applies(model: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
    """Whether an arranged model trains as the model itself does: a ZINB `VAE` as it was made, with Adam.

    Where a part or a method of the model was replaced, as learners do, where something is tied, kept from learning or
    watched by a hook, and where the optimizer is another one, the model is left to its own method. A class or function
    of the package that is changed in place is not noticed: changes go through a subclass.
    """
    if type(model) is not VAE or model.likelihood != "zinb" or type(optimizer) is not torch.optim.Adam:
        return False
    parts, weights = list(model.modules()), list(model.parameters())
    steps = {float(optimizer.state.get(weight, {}).get("step", 0)) for weight in weights if weight.requires_grad}
    hooks = [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    hooks += [hook for weight in weights for hook in (weight._backward_hooks, weight._post_accumulate_grad_hooks)]
    for part in parts:
        hooks += [part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks]
    return (
        _structure(model) == _structure_as_made(**model.options)
        and [[id(weight) for weight in weights]] == [[id(p) for p in g["params"]] for g in optimizer.param_groups]
        and len(steps) == 1
        and not any(hooks)
        and not any(callable(value) for part in parts for value in vars(part).values())
        and "step" not in vars(optimizer)
        and not torch.is_autocast_enabled("cpu")
    )


@lru_cache(maxsize=8)
def _structure_as_made(**options: Any) -> tuple[list, list]:
    with torch.device("meta"):  # without memory and random numbers
        return _structure(VAE(**options))


def _structure(model: VAE) -> tuple[list, list]:
    """Return what the parts and weights of a model are; what is tied appears once."""
    parts = [(name, type(part), part.extra_repr()) for name, part in model.named_modules()]
    return parts, [(name, p.shape, p.dtype, p.requires_grad) for name, p in model.named_parameters()]


# --------------------------------------------------------------------------------------------------------------------
# The weights
# --------------------------------------------------------------------------------------------------------------------


@contextmanager
def arranged(model: VAE, optimizer: torch.optim.Adam) -> Iterator[tuple[Callable[..., LossTerms], torch.optim.Adam]]:
    """Yield `loss_terms` for this model, and an optimizer of its weights as they are arranged meanwhile.

    Meanwhile the model's own weights and statistics are views of the arranged ones. At the end they stand alone again,
    with their gradients, and the model's optimizer knows what the other one has gathered.
    """
    groups = _groups(model)
    w = {name: _joined(name, parts) for name, parts in groups.items()}
    learning = {name: nn.Parameter(w[name]) for name, parts in groups.items() if isinstance(parts[0], nn.Parameter)}
    adam = torch.optim.Adam(learning.values())
    adam.register_step_pre_hook(partial(_follow, optimizer))
    for name, whole in learning.items():
        states = [optimizer.state.get(part, {}) for part in groups[name]]
        adam.state[whole] = {key: _joined(name, [state[key] for state in states]) for key in states[0]}
    own = {part: part.data for parts in groups.values() for part in parts}
    try:
        for name, parts in groups.items():
            for part, piece in zip(parts, _pieces(name, w[name], parts), strict=True):
                part.data = piece
        yield partial(loss_terms, model, w | learning), adam
    finally:
        for part, data in own.items():
            part.data = data.copy_(part.data)
        for name, whole in learning.items():
            if whole.grad is not None:
                for part, gradient in zip(groups[name], _alone(name, whole.grad, groups[name]), strict=True):
                    part.grad = gradient
            for key, value in adam.state[whole].items():
                for part, state in zip(groups[name], _alone(name, value, groups[name]), strict=True):
                    optimizer.state[part][key] = state


def _follow(optimizer: torch.optim.Adam, follower: torch.optim.Adam, *_: Any) -> None:
    """Let an optimizer have the settings of another one."""
    follower.param_groups[0].update({key: v for key, v in optimizer.param_groups[0].items() if key != "params"})


def _groups(model: VAE) -> dict[str, list[Tensor]]:
    """Return the weights and running statistics of a model in groups, each of which is used as one.

    The first layers of the encoders, which see the same counts, are one group; so are mean and variance of an encoder.
    The others stand alone.
    """
    first = [encoder.encoder.fc_layers[0] for encoder in _encoders(model)]
    layers = {"first": [linear for linear, *_ in first], "first norm": [norm for _, norm, *_ in first]}
    hidden = {"decoder": enumerate(model.decoder.px_decoder.fc_layers)}
    for name, encoder in zip("zl", _encoders(model), strict=False):
        layers[name] = [encoder.mean_encoder, encoder.var_encoder]
        hidden[name] = enumerate(encoder.encoder.fc_layers[1:], start=1)
    for name, numbered in hidden.items():
        for i, (linear, norm, *_) in numbered:
            layers |= {f"{name} {i}": [linear], f"{name} {i} norm": [norm]}
    layers |= {"scale": [model.decoder.px_scale_decoder[0]], "zi": [model.decoder.px_dropout_decoder]}
    if model.dispersion == "gene-cell":
        layers["px_r"] = [model.decoder.px_r_decoder]
    groups = {
        f"{name} {key}": [getattr(layer, key) for layer in group]
        for name, group in layers.items()
        for key in group[0].state_dict()
    }
    return groups if model.px_r is None else groups | {"px_r": [model.px_r]}


def _encoders(model: VAE) -> list[Encoder]:
    return [model.z_encoder, model.l_encoder] if model.library == "latent" else [model.z_encoder]


def _joined(name: str, parts: Sequence[Tensor]) -> Tensor:
    """Put the rows of a group's tensors together; of numbers, those of the steps, take the first.

    The first weight is turned, (genes, columns), so that a gene's weights are together in memory.
    """
    if parts[0].dim() == 0:
        return parts[0].clone()
    whole = torch.cat([part.detach() for part in parts])
    return whole.t().contiguous() if name == "first weight" else whole


def _pieces(name: str, whole: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return views of what `_joined` made: what stands in the place of each part, in its shape."""
    if whole.dim() == 0:
        return [whole] * len(parts)
    return (whole.t() if name == "first weight" else whole).split([len(part) for part in parts])


def _alone(name: str, whole: Tensor, parts: Sequence[Tensor]) -> list[Tensor]:
    return [piece.clone(memory_format=torch.contiguous_format) for piece in _pieces(name, whole, parts)]


# --------------------------------------------------------------------------------------------------------------------
# The networks
# --------------------------------------------------------------------------------------------------------------------


def loss_terms(
    model: VAE, w: Weights, x: Nonzeros, batch_index: Tensor | None = None, y: Tensor | None = None
) -> LossTerms:
    """Return what `VAE.loss_terms` returns for the same counts: nats per cell, (cells,) each.

    Parameters
    ----------
    model, w
        The model, and its weights as `arranged` has them.
    x, batch_index, y
        The counts of some cells, their batches and labels.
    """
    check_genes(x, model.n_input)
    if len(x) == 1 and model.training:
        raise ValueError("Batch normalisation trains on two cells or more, got a minibatch of one.")
    codes = model._batch_codes(x, batch_index), model._label_codes(x, y)
    return LossTerms(*Loss.apply(model, w, x, *codes, *w.values()))


class Loss(torch.autograd.Function):
    """The parts of the negative ELBO of every cell, at a draw of z and l, and the gradients of all weights."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, model: VAE, w: Weights, x: Nonzeros, batch_index: Tensor, y: Tensor | None, *_: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstruction, local KL and global KL, nats, (cells,) each. The last arguments are for autograd."""
        first, back_first = _first_layers(model, w, x)
        # draws from q, and KL(q || p)
        z, kl_global, back_z = _draw(model.z_encoder, first[0], w, "z", STANDARD)
        if model.library == "latent":
            prior = model.library_prior(batch_index)
            library, kl_local, back_l = _draw(model.l_encoder, first[1], w, "l", prior)
        else:
            totals = torch.zeros(len(x)).index_add_(0, x.cells, x.counts)
            library, kl_local = torch.log(totals).unsqueeze(-1), torch.zeros(len(x))
        # the decoder
        hidden, back_decoder = _layers(model.decoder.px_decoder, z, w, "decoder", codes=[batch_index])
        scale_logits, zi_logits = _linear(hidden, w, "scale"), _linear(hidden, w, "zi")
        # the likelihood
        codes = {"gene-batch": batch_index, "gene-label": y}.get(model.dispersion)
        indicator = None if codes is None else one_hot(codes, w["px_r"].shape[1])  # (cells, categories)
        if model.dispersion == "gene-cell":
            theta = _linear(hidden, w, "px_r").exp_()
        else:
            theta = torch.exp(w["px_r"] if codes is None else indicator @ w["px_r"].t())
        log_prob, back_likelihood = zinb_log_prob(x, scale_logits, library, theta, zi_logits)

        def back(by_reconstruction: Tensor, by_kl_local: Tensor, by_kl_global: Tensor) -> Weights:
            by: Weights = {}
            by_scale_logits, by_zi_logits, by_library, by_theta = back_likelihood(-by_reconstruction)
            by_hidden = _back_linear(by_scale_logits, hidden, w, "scale", by)
            by_hidden += _back_linear(by_zi_logits, hidden, w, "zi", by)
            by_px_r = by_theta.mul_(theta)
            if model.dispersion == "gene-cell":
                by_hidden += _back_linear(by_px_r, hidden, w, "px_r", by)
            else:
                by["px_r"] = by_px_r if codes is None else by_px_r.t() @ indicator
            by_z = back_decoder(by_hidden, by)
            by_first = [back_z(by_z, by_kl_global, by)]
            if model.library == "latent":
                by_first.append(back_l(by_library, by_kl_local, by))
            back_first(torch.cat(by_first, dim=-1), by)
            return by

        ctx.names, ctx.back = list(w), back
        return log_prob.neg_(), kl_local, kl_global

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *by_terms: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights."""
        if ctx.back is None:
            raise RuntimeError("The way back writes over what it needs, and can be taken once. Compute the loss again.")
        by, ctx.back = ctx.back(*by_terms), None
        return None, None, None, None, None, *(by.get(name) for name in ctx.names)


def _first_layers(model: VAE, w: Weights, x: Nonzeros) -> tuple[Sequence[Tensor], Callable[[Tensor, Weights], None]]:
    """Return what the first ReLU of each encoder gives, (cells, n_hidden) each, and the way back.

    In the product with the counts, a cell's row is the sum of its genes' rows of the weight, times the counts. On the
    way back, a gene's row is a sum over the cells that have it.
    """
    transform = torch.log1p if model.log_variational else torch.Tensor.float
    seen = replace(x, counts=transform(x.counts), counts_by_gene=transform(x.counts_by_gene))
    product = _weighted_sums(w["first weight"].detach(), x.genes, x.ends_of_cells, seen.counts).add_(w["first bias"])
    out, back_norm = _norm_and_relu(model.z_encoder.encoder.fc_layers[0][1], product, w, "first norm")

    def back(by_out: Tensor, by: Weights) -> None:
        by_product = back_norm(by_out, by)
        by["first bias"] = by_product.sum(dim=0)
        by["first weight"] = _weighted_sums(by_product, x.cells_by_gene, x.ends_of_genes, seen.counts_by_gene)

    widths = [encoder.encoder.fc_layers[0][0].out_features for encoder in _encoders(model)]
    return out.split(widths, dim=-1), back


def _weighted_sums(table: Tensor, rows: Tensor, ends: Tensor, weights: Tensor) -> Tensor:
    """Sum rows of a table, times their weights, from one end to the next, (len(ends) - 1, columns)."""
    return F.embedding_bag(rows, table, ends, mode="sum", per_sample_weights=weights, include_last_offset=True)


def _draw(
    encoder: Encoder, x: Tensor, w: Weights, name: str, prior: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor, Weights], Tensor]]:
    """Return a draw from q, (cells, latents), KL(q || prior), (cells,), and the way back, given the first ReLU's x."""
    x, back_layers = _layers(encoder.encoder, x, w, name, done=3)  # the first product, normalisation and ReLU
    mean, log_var = _linear(x, w, name).chunk(2, dim=-1)
    exp = log_var.exp_()
    var = exp + encoder.var_eps
    draw = sample_normal(mean, var)
    prior_mean, prior_var = prior
    distance, ratio = (mean - prior_mean).div_(prior_var), var / prior_var
    kl = torch.addcmul(ratio - ratio.log(), distance, mean - prior_mean).sum(dim=-1).sub_(mean.shape[-1]).mul_(0.5)

    def back(by_draw: Tensor, by_kl: Tensor, by: Weights) -> Tensor:
        by_kl = by_kl.unsqueeze(-1)  # (cells, 1)
        by_mean = torch.addcmul(by_draw, distance, by_kl)
        by_var = (by_draw * (draw - mean)).addcmul_(ratio - 1, by_kl).div_(var).mul_(0.5)
        by_outputs = torch.cat([by_mean, by_var.mul_(exp)], dim=-1)
        return back_layers(_back_linear(by_outputs, x, w, name, by), by)

    return draw, kl, back


def _layers(
    network: FCLayers, x: Tensor, w: Weights, name: str, codes: Sequence[Tensor] = (), done: int = 0
) -> tuple[Tensor, Callable[[Tensor, Weights], Tensor]]:
    """Pass x through the layers as `FCLayers.forward` does, but for the steps that are done; return the way back.

    The whole way goes through those of the steps, from the last to the first.
    """
    covariates = one_hot_covariates(codes, network.n_cat_list, n_cells=len(x))
    steps = [(f"{name} {i}", step) for i, layer in enumerate(network.fc_layers) for step in layer]
    backs = []
    for of_layer, step in steps[done:]:
        if isinstance(step, nn.Linear):
            seen = torch.cat([x, *covariates], dim=-1) if covariates else x
            backs.append(partial(_back_linear, x=seen, w=w, name=of_layer, n_in=x.shape[-1]))
            x = _linear(seen, w, of_layer)
        elif isinstance(step, nn.BatchNorm1d):
            x, back = _norm_and_relu(step, x, w, f"{of_layer} norm")
            backs.append(back)
        elif isinstance(step, nn.Dropout) and step.training:
            kept = torch.empty(x.shape).bernoulli_(1 - step.p).mul_(1 / (1 - step.p))
            x = x * kept
            backs.append(lambda by_x, by, kept=kept: by_x.mul_(kept))

    def back(by_x: Tensor, by: Weights) -> Tensor:
        for step_back in reversed(backs):
            by_x = step_back(by_x, by=by)
        return by_x

    return x, back


def _linear(x: Tensor, w: Weights, name: str) -> Tensor:
    return torch.addmm(w[f"{name} bias"], x, w[f"{name} weight"].t())


def _back_linear(by_out: Tensor, x: Tensor, w: Weights, name: str, by: Weights, n_in: int | None = None) -> Tensor:
    """Go back from out = x @ weight.T + bias to the first columns of x, those that are no covariates."""
    by[f"{name} weight"], by[f"{name} bias"] = by_out.t() @ x, by_out.sum(dim=0)
    return (by_out @ w[f"{name} weight"])[:, :n_in]


def _norm_and_relu(
    norm: nn.BatchNorm1d, x: Tensor, w: Weights, name: str
) -> tuple[Tensor, Callable[[Tensor, Weights], Tensor]]:
    """Normalise over the minibatch, set what is negative to zero; return the way back."""
    if norm.training:
        w[f"{name} num_batches_tracked"].add_(1)
    weight, running = w[f"{name} weight"], (w[f"{name} running_mean"], w[f"{name} running_var"])
    out, mean, inverse_std = torch.native_batch_norm(
        x, weight, w[f"{name} bias"], *running, norm.training, norm.momentum, norm.eps
    )
    out.relu_()

    def back(by_out: Tensor, by: Weights) -> Tensor:
        by_normalised = torch.ops.aten.threshold_backward(by_out, out, 0)
        by_x, by[f"{name} weight"], by[f"{name} bias"] = torch.ops.aten.native_batch_norm_backward(
            by_normalised, x, weight, *running, mean, inverse_std, norm.training, norm.eps, (True, True, True)
        )
        return by_x

    return out, back


# --------------------------------------------------------------------------------------------------------------------
# The likelihood
# --------------------------------------------------------------------------------------------------------------------


def zinb_log_prob(
    x: Nonzeros, scale_logits: Tensor, library: Tensor, theta: Tensor, zi_logits: Tensor
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, ...]]]:
    """Return log p(x|z, l) of every cell, given what the decoder's last layers return, and the way back.

    With ratio = mu / theta, p0 = (1 + ratio)^-theta, pi = sigmoid(zi_logits) and q = pi + (1 - pi) p0:

        log p(0) = log q
        log p(x) = log_choose(x, theta) + x log(ratio) - (x + theta) log(1 + ratio) + log(1 - pi)    for x > 0

    All entries are first taken for zeros. Then those that are not are put right. Both tables of logits are written
    over: what is no longer needed makes room, since six tables stay nearer to the processor than twenty.

    Parameters
    ----------
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
    log_prob
        Nats per cell, (cells,).
    back
        From its gradient to those of scale_logits, zi_logits, library and theta; to be called once.
    """
    scale, size = torch.softmax(scale_logits, dim=-1), torch.exp(library)
    above_zero = _above_zero(x, scale, size, theta, zi_logits)
    ratio = torch.mul(scale, size, out=scale_logits).div_(theta)
    tables = _as_zeros(ratio, theta, zi_logits)
    for table, values in zip(tables, above_zero, strict=True):
        table.view(-1).index_copy_(0, x.places, values)
    log_prob, by_log_mu, by_logit, by_theta = tables

    def back(gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gradient = gradient.unsqueeze(-1)  # (cells, 1)
        by_library = by_log_mu.mul_(gradient).sum(dim=-1, keepdim=True)
        by_scale_logits = by_log_mu.addcmul_(scale, by_library, value=-1)
        summed = (gradient.t() @ by_theta).view(-1) if theta.dim() == 1 else by_theta.mul_(gradient)
        return by_scale_logits, by_logit.mul_(gradient), by_library, summed

    return log_prob.sum(dim=-1), back


def _as_zeros(ratio: Tensor, theta: Tensor, zi_logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p(0) and its derivatives by log mu, the logit and theta, (cells, genes) each.

    Both tables that are given are written over.
    """
    one = torch.ones(())
    log_1p, one_plus = torch.log1p(ratio), ratio + one
    slope = ratio.div_(one_plus)
    p0 = torch.mul(log_1p, theta * -LOG2_E, out=one_plus).exp2_()
    pi = zi_logits.sigmoid_()
    q = torch.lerp(p0, one, pi).clamp_(min=SMALLEST)  # pi + (1 - pi) p0
    not_pi = torch.sub(one, pi, out=pi)
    from_nb = p0.mul_(not_pi).div_(q)  # the probability that a zero is one of the negative binomial
    by_theta = torch.sub(slope, log_1p, out=log_1p).mul_(from_nb)
    by_log_mu = slope.mul_(from_nb).mul_(-theta)
    return q.log_(), by_log_mu, not_pi.sub_(from_nb), by_theta


def _above_zero(
    x: Nonzeros, scale: Tensor, size: Tensor, theta: Tensor, zi_logits: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p(x) of the counts above zero and its derivatives as above, (nonzeros,) each.

    In float64, since large terms cancel, but for log(1 - pi) and its derivative.
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
    entries = (x.counts.int() - 1).clamp_(max=LARGEST_TABLED - 1).mul_(len(theta)).add_(x.genes)
    value = _pick((terms / (STEPS + 1)).log_().cumsum(dim=0), entries)
    slope = _pick(terms.reciprocal_().cumsum(dim=0), entries)
    counts, genes = _pick(x.counts, x.large).double(), _pick(x.genes, x.large)
    exact = _by_gamma_functions(counts, _pick(theta, genes).double())
    return value.index_copy_(0, x.large, exact[0]), slope.index_copy_(0, x.large, exact[1])


def _by_gamma_functions(counts: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    value = torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1)
    return value, torch.digamma(counts + theta) - torch.digamma(theta)


def _pick(table: Tensor, entries: Tensor) -> Tensor:
    """Return entries of a table, which are named by their positions in it, row by row."""
    return table.reshape(-1).index_select(0, entries)
