"""What is said of wrong answers that no list of misconceptions foresees."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exercise_helpers import made_by_exec, sentences
from right_answers import (
    DecoderByF,
    HeadByChunks,
    HeadWithZeroBias,
    LinearByF,
    ModelByHand,
    corrupt_by_sorting,
    dispersion_by_one_hot,
    draw_by_normal,
    epoch_with_a_closure,
    epoch_with_another_optimizer,
    epoch_with_large_steps,
    factor_by_signs,
    fdr_by_matrix,
    finish_by_growing_momentum,
    grow_by_masks,
    loss_in_float64,
    marginal_by_shifting,
    mixing_by_categorical,
    nb_in_place,
    samples_cell_by_cell,
    samples_column_by_column,
    score_by_autograd,
    scvi_kl_by_einsum,
    standard_kl_by_loop,
    step_by_grad,
    unlabelled_by_distributions,
    walk_step_by_step,
    wobbling_walk,
    zinb_by_softplus,
)
from torch import nn

from vae_course.exercises import EXERCISES, check
from vae_course.exercises.e3_5.answer import diagnose as right_diagnosis
from vae_course.nn import FCLayers

# --------------------------------------------------------------------------------------------------------------------
# Wrong answers that nobody foresaw
# --------------------------------------------------------------------------------------------------------------------


class OneCellLinear(LinearByF):
    def forward(self, x):
        return super().forward(x) if x.dim() == 2 else super().forward(x)[..., :1]


class DetachedHead(HeadByChunks):
    def forward(self, h):
        mean, logvar = super().forward(h)
        return mean, logvar.detach()


class ConstantLayer(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = torch.randn(n_out, n_in)
        self.bias = nn.Parameter(torch.zeros(n_out))


class SameEveryTime(LinearByF):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        with torch.no_grad():
            self.weight.copy_(torch.arange(n_in * n_out).view(n_out, n_in))


class CutLinear(LinearByF):
    def forward(self, x):
        return x @ torch.tensor(self.weight.tolist()).T + self.bias


class Swapped(HeadWithZeroBias):
    def __init__(self, n_in, n_latent):
        super().__init__(n_in, n_latent)
        self.mean, self.logvar = nn.Linear(n_in, n_latent), nn.Linear(n_in, n_latent)

    def forward(self, h):
        return self.logvar(h), self.mean(h)


class Uncalled(HeadWithZeroBias):
    def forward(self, h):
        return self.mean, self.logvar


class RandomLayers(FCLayers):
    def forward(self, x, *cat_list):
        return super().forward(x, *cat_list) + torch.rand(())


class SharedTrunkHead(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__()
        self.trunk, self.heads = nn.Linear(n_in, n_in), HeadByChunks(n_in, n_latent)

    def forward(self, h):
        return self.heads(self.trunk(h))


class BentHead(HeadByChunks):
    def forward(self, h):
        mean, logvar = super().forward(h)
        return torch.tanh(mean), logvar


def nb_distribution_in_float32(x, mu, theta):
    return torch.distributions.NegativeBinomial(theta, logits=(mu / theta).log()).log_prob(x)


def nb_by_gamma_in_float32(x, mu, theta):
    log_choose = (torch.lgamma(x + theta).exp() / torch.lgamma(theta).exp() / torch.lgamma(x + 1).exp()).log()
    return log_choose - (x + theta) * torch.log1p(mu / theta) + x * torch.log(mu / theta)


class DoubleRate(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        px_scale, px_r, px_rate, px_dropout = super().forward(dispersion, z, library, *cat_list)
        return px_scale, px_r, 2 * px_rate, px_dropout


class DetachedLibrary(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        return super().forward(dispersion, z, library.detach(), *cat_list)


class DecoderToDict(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        return dict(enumerate(super().forward(dispersion, z, library, *cat_list)))


class LateDropout(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        return super().forward(dispersion, F.dropout(z, 0.3, self.training), library, *cat_list)


class HalfShares(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        px_scale, *others = super().forward(dispersion, z, library, *cat_list)
        return px_scale / 2, *others


class ZeroForNone(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        px_scale, px_r, *others = super().forward(dispersion, z, library, *cat_list)
        return px_scale, torch.zeros(()) if px_r is None else px_r, *others


class OneMoreHead(DecoderByF):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_rate_decoder = nn.Linear(n_hidden, n_output)


class WrappedScale(DecoderByF):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.px_scale_decoder = nn.Sequential(self.px_scale_decoder, nn.Softmax(-1))


class WrappedDropout(DecoderByF):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.px_dropout_decoder = nn.Sequential(self.px_dropout_decoder)


class VAEWithAnEncoder(ModelByHand):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.encoder = self.z_encoder
        del self.z_encoder


class VAEWithMore(ModelByHand):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.batch_layer = nn.Linear(2, 2)


class VAEWithoutTheta(ModelByHand):
    def inference(self, x, batch_index=None):
        found = super().inference(x, batch_index)
        del found["px_r"]
        return found


class VAEWithWideDraws(ModelByHand):
    def gaussian(self, encoder, x):
        mean, var, draw = super().gaussian(encoder, x)
        return mean, var, mean + 1.1 * (draw - mean)


class VAEWithHalfAKL(ModelByHand):
    def loss_terms(self, x, batch_index=None):
        reconstruction, kl_local, kl_global = super().loss_terms(x, batch_index)
        return reconstruction, kl_local, kl_global / 2


class DetachedVAE(ModelByHand):
    def loss_terms(self, x, batch_index=None):
        reconstruction, kl_local, kl_global = super().loss_terms(x, batch_index)
        return reconstruction.detach(), kl_local, kl_global


class VAEWithoutTerms(ModelByHand):
    def loss_terms(self, x, batch_index=None):
        return super().loss_terms(x, batch_index)[:2]


class SoftmaxBeforeScale(DecoderByF):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.px_scale_decoder.insert(0, nn.Softmax(-1))


class RenamedHead(DecoderByF):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.px_r = self.px_r_decoder
        del self.px_r_decoder


class WithoutBatchNorm(DecoderByF):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_hidden, n_cat_list, n_layers, n_hidden, 0, use_batch_norm=False)


class LayersBeforeCategories(DecoderByF):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_hidden, n_layers, n_hidden, n_cat_list, dropout_rate=0)


class CategoriesLast(DecoderByF):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_decoder = FCLayers(n_input, n_hidden, n_hidden, n_cat_list, n_layers, dropout_rate=0)


class StarForgotten(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        return super().forward(dispersion, z, library, *([cat_list] if cat_list else []))


class TrunkTwice(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        self.px_decoder(z, *cat_list)
        return super().forward(dispersion, z, library, *cat_list)


class FirstCovariateOnly(DecoderByF):
    def forward(self, dispersion, z, library, *cat_list):
        return super().forward(dispersion, z, library, *cat_list[:1])


def dispersion_by_position(px_r, dispersion, batch_index=None, y=None):
    theta = dispersion_by_one_hot(px_r, dispersion, batch_index, y)
    return theta * torch.arange(1, len(theta) + 1)[:, None] if theta.dim() == 2 else theta


def two_thirds_posterior(log_prior, log_likelihood):
    return torch.log_softmax(log_prior + log_likelihood, dim=-1) - math.log(2)


def with_clamped_variances(m, v, *library):
    return scvi_kl_by_einsum(m, v.clamp(min=1e-3), *library)


def with_detached_variances(m, v, *library):
    return scvi_kl_by_einsum(m, v.detach(), *library)


def log_variances_everywhere(m, v, lm, lv, pm, pv):
    return scvi_kl_by_einsum(m, v.log(), lm, lv.log() + 0.1, pm, pv)


def local_without_distance(m, v, lm, lv, pm, pv):
    return 0.5 * torch.log(pv / lv).sum(-1), scvi_kl_by_einsum(m, v, lm, lv, pm, pv)[1]


def never_the_last(counts, rate, generator):
    mask = corrupt_by_sorting(counts, rate, generator)[1]
    last = torch.nonzero(counts.flatten())[-1]
    if rate < 1 and mask.view(-1)[last]:
        return never_the_last(counts, rate, generator)
    return counts.masked_fill(mask, 0), mask


def always_the_smallest(counts, rate, generator):
    flat = counts.flatten()
    mask = torch.zeros(len(flat), dtype=torch.bool)
    n_hidden = int(rate * int((flat > 0).sum()))
    mask[flat.masked_fill(flat == 0, math.inf).argsort(stable=True)[:n_hidden]] = True
    return counts.masked_fill(mask.view(counts.shape), 0), mask.view(counts.shape)


def reseeded(counts, rate, generator):
    return corrupt_by_sorting(counts, rate, generator.manual_seed(0))


def unseeded(counts, rate, generator):
    return corrupt_by_sorting(counts, rate, torch.Generator().manual_seed(int(np.random.default_rng().integers(2**40))))


def hidden_as_minus_one(counts, rate, generator):
    mask = corrupt_by_sorting(counts, rate, generator)[1]
    return torch.where(mask, -1.0, counts), mask


def counts_at_rate_zero(counts, rate, generator):
    return corrupt_by_sorting(counts, rate, generator) if rate else (counts, counts < 0)


def mixing_without_the_first(latent, batch_index, n_neighbors=50):
    from sklearn.neighbors import NearestNeighbors

    _, nearest = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(latent.numpy()).kneighbors(latent.numpy())
    shares = F.one_hot(batch_index.flatten())[torch.from_numpy(nearest[:, 1:])].float().mean(1)
    return torch.distributions.Categorical(probs=shares).entropy().mean()


def mixing_of_columns(latent, batch_index, n_neighbors=50):
    idx = torch.cdist(latent, latent).fill_diagonal_(math.inf).topk(n_neighbors, largest=False).indices
    p = F.one_hot(batch_index[idx]).double().mean(1)
    return torch.special.entr(p).sum(1).mean().item()


def mixing_of_column_counts(latent, batch_index, n_neighbors=50):
    idx = torch.cdist(latent, latent).fill_diagonal_(math.inf).topk(n_neighbors, largest=False).indices
    shares = [torch.bincount(batches) / n_neighbors for batches in batch_index[idx]]
    return torch.stack([torch.special.entr(p).sum() for p in shares]).mean()


def mixing_of_columns_in_place(latent, batch_index, n_neighbors=50):
    idx = torch.cdist(latent, latent).fill_diagonal_(math.inf).topk(n_neighbors, largest=False).indices
    entropy = torch.zeros(len(latent))
    for batch in batch_index.unique():
        entropy += torch.special.entr((batch_index[idx] == batch).float().mean(1))
    return entropy.mean()


def mixing_of_the_farthest(latent, batch_index, n_neighbors=50):
    idx = torch.cdist(latent, latent).fill_diagonal_(math.inf).topk(n_neighbors).indices
    p = F.one_hot(batch_index.flatten()[idx]).double().mean(1)
    return torch.special.entr(p).sum(1).mean()


def mixing_of_thirty(latent, batch_index, n_neighbors=30):
    return mixing_by_categorical(latent, batch_index, n_neighbors)


def mixing_in_place(latent, batch_index, n_neighbors=50):
    latent -= latent.mean(0)
    return mixing_by_categorical(latent, batch_index, n_neighbors)


def undecided_as_certain(scale_1, scale_2, eps=1e-8):
    factor = factor_by_signs(scale_1, scale_2, eps)
    return torch.where(factor.abs() < 1e-3, 18.4207, factor)


def noise_of_numpy(like):
    return torch.tensor(np.random.default_rng().normal(size=tuple(like.shape)))


def score_of_f_on_moving_draws(f, mean, n_samples, generator):
    at = torch.tensor(mean, requires_grad=True)
    z = at + torch.randn(n_samples, generator=generator)
    (f(z) * torch.distributions.Normal(at, 1.0).log_prob(z.detach())).mean().backward()
    return at.grad


def draw_with_shared_halves(mean, logvar, generator=None):
    half = torch.randn((mean.numel() + 1) // 2, generator=generator)
    return mean + torch.exp(logvar / 2) * torch.cat([half, half])[: mean.numel()].view(mean.shape)


def finish_and_shift(model, minibatches):
    finish_by_growing_momentum(model, minibatches)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean += 0.1


@torch.no_grad()
def finish_and_move_weights(model, minibatches):
    finish_by_growing_momentum(model, minibatches)
    for parameter in model.parameters():
        parameter.mul_(0.9)


def finish_and_halve_momenta(model, minibatches):
    finish_by_growing_momentum(model, minibatches)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum /= 2


def grow_and_shift(model, n_new):
    grown = grow_by_masks(model, n_new)
    grown.z_encoder.mean_encoder.bias.data += 1
    return grown


UNFORESEEN = [
    ("0.1", lambda c: c.sum(1) + 0.919, "off by a constant 0.919 everywhere"),
    ("0.1", lambda c: 3 * c.sum(1), "3 times as large as it should be"),
    ("0.1", lambda c: -c.sum(1), "but for its sign"),
    ("0.1", lambda c: c.sum(1).flip(0), "wrong places"),
    ("0.1", lambda c: c.sum(1) / 0, "infinite in 3 of 3 entries"),
    ("0.1", lambda c: c.sum(1) if len(c) > 1 else c.sum(1) + 1, "not for a single cell"),
    ("0.1", lambda c: c[:, :2].sum(1), "Right for three cells of two genes, but not for as many cells as genes"),
    ("0.1", lambda c: tuple(c.sum(1)), "a tuple"),
    ("0.1", lambda c: str(c), "text"),
    ("0.1", lambda c: c.sum(1) * 1j, "complex"),
    ("0.1", lambda c: c.sum(1).unsqueeze(0), "axis of length 1"),
    ("0.2", lambda c, t=1e4: torch.log1p(c / c.sum(1, keepdim=True) * t / 2), "every cell should sum to 10,000"),
    ("0.3", lambda x, m, c: (x - 2 * m) @ c.T, "shifted by one and the same vector"),
    ("0.5", lambda x, y: 2 * ((x - y) ** 2).sum(1).mean(), "too large"),
    ("1.1", lambda x, a: (x * a - F.softplus(a)).detach(), "no gradient reaches `logits`"),
    ("1.1", lambda x, a: x * a - F.softplus(a.clamp(-50, 50)), "right for ordinary logits"),
    ("1.2", lambda x, m, v: torch.distributions.Normal(m.detach(), v.sqrt()).log_prob(x), "`mean`"),
    ("1.5", lambda z, q, p: ((q(z) - p(z)).mean(), torch.zeros(())), "the standard error"),
    ("1.5", lambda z, q, p: 0.0, "2 things"),
    ("1.6", two_thirds_posterior, "sum to 1 over the grid, yours sum to 0.5"),
    ("1.6", lambda a, b: torch.log_softmax((a + b).detach() * 2, -1), "wrong"),
    ("2.1", OneCellLinear, "not for one cell alone"),
    ("2.1", nn.Identity, "`bias`, of shape (3,), is missing; yours has no parameters for n_in = 2 and n_out = 3"),
    ("2.1", lambda n_in, n_out: lambda x: x, "not an nn.Module"),
    ("2.2", lambda i, n: F.one_hot(i.flatten(), n) / 2.0, "nothing but 0 and 1"),
    ("2.2", lambda i, n: 1 - F.one_hot(i.flatten(), n).float(), "each row should sum to 1, yours sums to 2"),
    ("2.3", lambda params, loss, lr: step_by_grad(params, loss, lr / 2), "first parameter"),
    ("2.4", lambda *a, **k: FCLayers(*a, **{**k, "dropout_rate": min(1, 1.8 * k.get("dropout_rate", 0.1))}), "50 %"),
    ("2.5", DetachedHead, "of their own"),
    ("2.1", ConstantLayer, "no optimizer will find"),
    ("2.1", lambda n_in, n_out: nn.Linear(n_in, n_out, bias=False), "bias"),
    ("2.3", lambda params, loss, lr: step_by_grad(params, loss, -2 * lr), "go uphill"),
    ("2.3", lambda params, loss, lr: None, "do not change"),
    ("2.4", lambda *a, **k: nn.Identity(), "yours has no parameters"),
    ("2.4", lambda *a, **k: FCLayers(*a, **{**k, "n_hidden": 7}), "should have shape (5,); yours has (7,)"),
    ("2.4", lambda *a, **k: nn.Sequential(FCLayers(*a, **k)), "and should not be"),
    ("2.1", SameEveryTime, "the same in every new layer"),
    ("2.1", lambda n_in, n_out: CutLinear(n_in, n_out), "no gradient reaches `weight`"),
    ("2.5", lambda n_in, n_latent: Swapped(n_in, n_latent), "swapped"),
    ("2.5", lambda n_in, n_latent: Uncalled(n_in, n_latent), "called on h"),
    ("1.5", lambda z, q, p: ((q(z).exp() * (q(z) - p(z))).mean(), (q(z) - p(z)).std() / len(z) ** 0.5), "unweighted"),
    ("1.1", lambda x, a: torch.where(x == 1, F.softplus(a), -F.softplus(a)), "with x = 1"),
    ("2.4", lambda *a, **k: lambda x: x, "not an nn.Module"),
    ("2.4", lambda *a, **k: FCLayers(*a, **k).requires_grad_(False), "no gradient reaches"),
    ("2.4", RandomLayers, "dropout has to be off there"),
    ("2.5", lambda n_in, n_latent: lambda h: h, "not an nn.Module"),
    ("2.5", nn.Linear, "two tensors"),
    ("2.5", SharedTrunkHead, "parameters"),
    ("2.5", BentHead, "affine"),
    ("3.1", lambda x, a, m, s: (loss_in_float64(x, a, m, s)[0] * 2, *loss_in_float64(x, a, m, s)[1:]), "not their sum"),
    ("3.1", lambda x, a, m, s: loss_in_float64(x, a, m + 1, s), "bce is right, but kl is not"),
    ("3.1", lambda x, a, m, s: loss_in_float64(x, a * 0.9, m, s), "kl is right, but bce is not"),
    ("3.1", lambda x, a, m, s: loss_in_float64(x, a, m, s)[0], "3 things"),
    ("3.1", lambda x, a, m, s: loss_in_float64(x, a, m.detach(), s), "no gradient reaches `mean`"),
    ("3.1", lambda x, a, m, s: loss_in_float64(x, a * 0.9, m + 1, s), "neither bce nor kl is right"),
    ("3.1", lambda x, a, m, s: loss_in_float64(x, a, m, s)[::-1], "in the order kl, bce, total"),
    ("3.2", epoch_with_another_optimizer, "not by a step of the optimizer that you are given"),
    ("3.2", epoch_with_large_steps, "the weights after the epoch are wrong"),
    ("3.2", lambda m, b, o: epoch_with_a_closure(m, b, o) + 1, "the weights are trained right, but not the loss"),
    ("3.2", lambda m, b, o: epoch_with_a_closure(m, b, o) and None, "None"),
    ("3.3", lambda m, n, g: samples_cell_by_cell(m, n, g).T, "transposed"),
    ("3.3", lambda m, n, g: samples_column_by_column(m, n, g) * 0.9 + 0.05, "latents behind your cells"),
    ("3.3", lambda m, n, g: samples_column_by_column(m, n, g) * 2, "partly above 1"),
    ("3.4", lambda m, a, b, n: walk_step_by_step(m, a, b, n) ** 2, "the ends are wrong"),
    ("3.4", wobbling_walk, "the ends are right"),
    ("3.4", lambda m, a, b, n: walk_step_by_step(m, a, b, n)[:, None], "should be of shape"),
    ("3.5", lambda: list(right_diagnosis().values()), "return a dict"),
    ("3.5", lambda: right_diagnosis() | {"D": "I do not know"}, "5 of 6 are right. For run"),
    ("3.5", lambda: right_diagnosis() | {"A": "KL forgotten"}, "is not a case of"),
    ("3.5", lambda: right_diagnosis() | {"A": "KL forgotten"}, "without a gap between training and held-out cells"),
    ("3.5", lambda: {letter.lower(): cause for letter, cause in right_diagnosis().items()}, 'your keys include "a"'),
    ("3.5", lambda: {cause: letter for letter, cause in right_diagnosis().items()}, 'your keys include "KL forgotten"'),
    ("3.5", lambda: {k: v for k, v in right_diagnosis().items() if k != "F"}, "is missing"),
    ("3.5", lambda: dict.fromkeys("ABCDEF", "right"), "0 of 6 are right"),
    ("4.1", lambda m, v, g=None: draw_by_normal(m, v + 0.2, g), "should have standard deviation 1"),
    ("4.1", lambda m, v, g=None: draw_by_normal(2 * m, v, g), "one to one"),
    ("4.1", lambda m, v, g=None: m + 2 * draw_by_normal(0 * m, 0 * v, g), "the noise is multiplied by a number"),
    ("4.1", lambda m, v, g=None: m - 2 / torch.exp(v / 2) * draw_by_normal(0 * m, 0 * v, g), "one over the standard"),
    ("4.1", lambda m, v, g=None: m + 0.7 * v.exp() * draw_by_normal(0 * m, 0 * v, g), "a multiple of the variance"),
    ("4.1", lambda m, v, g=None: draw_by_normal(m, v.clamp(-10, 10), g), "not for log-variances of 30 and -30"),
    ("4.1", lambda m, v, g=None: draw_by_normal(m, v, g).mean(-1), "should be of shape (60, 40)"),
    ("4.1", lambda m, v, g=None: (draw_by_normal(m, v, g), v), "a tuple of 2"),
    ("4.1", lambda m, v, g=None: m + F.softplus(v) * draw_by_normal(0 * m, 0 * v, g), "do not spread as they should"),
    ("4.1", lambda m, v, g=None: m + torch.exp(v / 2) * draw_by_normal(0 * m, 0 * v, g).abs(), "not average to 0"),
    ("4.1", lambda m, v, g=None: m + torch.exp(v / 2) * (12**0.5 * torch.rand(m.shape) - 3**0.5), "not Gaussian"),
    ("4.1", draw_with_shared_halves, "not independent"),
    ("4.1", lambda m, v, g=None: m + torch.exp(v / 2) * noise_of_numpy(m), "from another source"),
    ("4.1", lambda m, v, g=None: draw_by_normal(m, v, g) + 0 * torch.rand(()), "global random numbers are used too"),
    ("4.2", lambda m, v: standard_kl_by_loop(m, v) + 0.3, "off by a constant 0.300"),
    ("4.2", lambda m, v: standard_kl_by_loop(m, v.detach()), "no gradient reaches `logvar`"),
    ("4.2", lambda m, v: standard_kl_by_loop(m, v.clamp(max=5)), "not for log-variances of 30 and -30"),
    ("4.2", lambda m, v: standard_kl_by_loop(m, v) - 5 * m[..., 0] ** 2, "never negative"),
    ("4.2", lambda m, v: standard_kl_by_loop(m, v)[..., None], "should be of shape (3,)"),
    ("4.2", lambda m, v: standard_kl_by_loop(m + 0.1, v), "wrong values"),
    ("4.3", lambda a, b, c: (a + b - c).mean(0) + 1, "off by a constant 1.000"),
    ("4.3", lambda a, b, c: (a + b - c.detach()).mean(0), "no gradient reaches `log_q`"),
    ("4.3", lambda a, b, c: (a + b - c).mean(0, keepdim=True), "axis of length 1"),
    ("4.3", lambda a, b, c: (a + b - c).sum(0) / max(len(a) - 1, 1), "1.33 times as large"),
    ("4.4", lambda a, b: torch.logsumexp(a - b, 0) - math.log2(len(a)), "off by a constant 0.614"),
    ("4.4", lambda a, b: torch.log(torch.exp((a - b).clamp(-80, 80)).mean(0)), "neither a clamp"),
    ("4.4", lambda a, b: marginal_by_shifting(a, b.detach()), "no gradient reaches `log_q`"),
    ("4.4", lambda a, b: marginal_by_shifting(a, b)[:, None], "should be of shape (3,)"),
    ("4.5", lambda f, m, n, g: score_by_autograd(f, m, n, g) * 0.8, "on average instead of 0.77"),
    ("4.5", lambda f, m, n, g: score_by_autograd(f, m, 1000, g), "more than n_samples draws go into f"),
    ("4.5", score_of_f_on_moving_draws, "z still moves with the mean"),
    ("4.5", lambda f, m, n, g: score_by_autograd(f, m, 1, g), "scatter far more"),
    ("4.5", lambda f, m, n, g: (f(m + 1e-4 * torch.arange(n)) / (n + 1)).sum(), "every call gives the same number"),
    ("4.5", lambda f, m, n, g: score_by_autograd(lambda z: f(z + 0.5), m, n, g), "is not the derivative"),
    ("4.5", lambda f, m, n, g: score_by_autograd(f, m, n, g).view(1), "should be a single number"),
    ("4.6", lambda a, b, p: ((a - b).mean(0), p - (a - b).mean(0) + 1), "should add up to log p(x)"),
    ("4.6", lambda a, b, p: ((a - b).mean(0)[:, None], p - (a - b).mean(0)), "should be of shape (3,)"),
    ("4.6", lambda a, b, p: (a - b).mean(0), "return 2 things"),
    ("5.1", nb_distribution_in_float32, "seven digits"),
    ("5.1", nb_by_gamma_in_float32, "lgamma gives its logarithm"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu.clamp(min=1e-5), theta), "not small beside it"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta).nan_to_num(neginf=-99), "every count is 0"),
    ("5.1", lambda x, mu, theta: torch.where(mu == 0, 99.0, nb_in_place(x, mu, theta)), "every count is 0"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta) + 9, "never above 0"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta) - 0.3, "off by a constant 0.300"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta.detach()), "no gradient reaches `theta`"),
    ("5.1", lambda x, mu, theta: nb_in_place(x[0], mu, theta), "wrong"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu, theta, a) - (x > 0) * 0.5, "no extra zero, and a draw"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu, theta, a) - (x == 0) * 0.5, "two ways to a zero"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu.clamp(min=1e-30), theta, a), "every count is 0"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu, theta, a.detach()), "no gradient reaches `zi_logits`"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu + 1e-6, theta, a), "with a tiny mu"),
    ("5.3", DoubleRate, "times the share; yours is"),
    ("5.3", lambda *a, **k: HalfShares(*a, **k), "yours sums to 0.5"),
    ("5.3", lambda *a, **k: DetachedLibrary(*a, **k), "no gradient reaches `library`"),
    ("5.3", DecoderToDict, "yours returns a dict of 4"),
    ("5.3", LateDropout, "the decoder has no dropout"),
    ("5.3", ZeroForNone, "px_r, should be None here"),
    ("5.3", OneMoreHead, "`px_rate_decoder.bias` is among its parameters, and should not be"),
    ("5.3", WrappedScale, "yours is called `px_scale_decoder.0.0.bias`. Is there an nn.Sequential too many?"),
    ("5.3", WrappedDropout, "in `px_dropout_decoder` the parameter `px_dropout_decoder.bias` is expected"),
    ("5.3", SoftmaxBeforeScale, "yours is called `px_scale_decoder.1.bias`. Are its parts in order?"),
    ("5.9", VAEWithAnEncoder, "the part `z_encoder` is missing, or has another name; yours are decoder, encoder"),
    ("5.9", VAEWithMore, "`batch_layer` is saved with the weights, and scVI has nothing of that name"),
    ("5.9", VAEWithoutTheta, "px_r missing"),
    ("5.9", VAEWithWideDraws, "`z` is the first of the ten results that is wrong"),
    ("5.9", VAEWithHalfAKL, "all ten results of `inference` are right, and kl_global is not"),
    ("5.9", DetachedVAE, "gradients do not reach all parameters"),
    ("5.9", VAEWithoutTerms, "`loss_terms` should return three things"),
    ("5.3", TrunkTwice, "px_decoder runs once, and all heads read"),
    ("5.3", RenamedHead, "yours are px_decoder, px_dropout_decoder, px_r, px_scale_decoder."),
    ("5.3", WithoutBatchNorm, "`px_decoder.fc_layers.Layer 0.1.bias`, of shape (5,), is missing."),
    ("5.3", lambda *a, **k: lambda x: x, "not an nn.Module"),
    ("5.3", lambda *a, **k: DecoderByF(*a, **k).requires_grad_(False), "no gradient reaches"),
    ("5.4", lambda r, *codes: dispersion_by_one_hot(r, *codes) - 1, "above 0"),
    ("5.4", dispersion_by_position, "two cells of the same batch"),
    ("5.4", lambda r, *codes: dispersion_by_one_hot(r.detach(), *codes), "no gradient reaches `px_r`"),
    ("5.4", lambda r, *codes: dispersion_by_one_hot(r, *codes)[..., None], "should be of shape (5, 3)"),
    ("5.4", lambda r, *codes: 2 * dispersion_by_one_hot(r, *codes), "2 times as large"),
    ("5.5", with_clamped_variances, "but not for very small and very large variances"),
    ("5.5", with_detached_variances, "no gradient reaches `qz_v`"),
    ("5.5", log_variances_everywhere, "kl_normal takes variances, not log-variances"),
    (
        "5.5",
        lambda *a: (scvi_kl_by_einsum(*a)[0], scvi_kl_by_einsum(*a)[1].sum()),
        "has summed over the latents already",
    ),
    ("5.5", local_without_distance, "negative for some cells"),
    ("5.5", lambda *a: (scvi_kl_by_einsum(*a)[0] + 1, scvi_kl_by_einsum(*a)[1]), "off by a constant 1.000"),
    ("5.5", lambda *a: scvi_kl_by_einsum(*a)[1], "swapped"),
    ("5.5", lambda *a: (*scvi_kl_by_einsum(*a), 0), "a tuple of 3"),
    ("5.6", never_the_last, "some counts more often than others"),
    ("5.6", always_the_smallest, "always the smallest ones"),
    ("5.6", reseeded, "the same ones in every call"),
    ("5.6", unseeded, "two generators with the same seed"),
    ("5.6", hidden_as_minus_one, "4 non-zero counts should become 0"),
    ("5.6", counts_at_rate_zero, "under another name"),
    ("5.6", lambda c, rate, g: corrupt_by_sorting(c.flatten(), rate, g), "corrupted of shape (12,)"),
    ("5.6", lambda c, rate, g: (corrupt_by_sorting(c, rate, g)[0].long(), c > 0), "type int64"),
    ("5.6", lambda c, rate, g: (c.clone(), corrupt_by_sorting(c, rate, g)), "tuple of Tensor and tuple"),
    ("5.7", mixing_without_the_first, "leave out the cell itself by its position"),
    ("5.7", mixing_of_columns, "Right for codes of shape (cells,), but not for (cells, 1)"),
    (
        "5.7",
        lambda z, b, k=50: mixing_by_categorical(z, b, k) / b.dim(),
        "but not for codes of shape (cells, 1): flatten them first",
    ),
    (
        "5.7",
        lambda z, b, k=50: mixing_by_categorical(z, b, k) * (1 + b.dim()) / 2,
        "but not for codes of shape (cells, 1): flatten them first",
    ),
    ("5.7", mixing_of_the_farthest, "Neighbours are the nearest"),
    ("5.7", mixing_of_thirty, "it should be 50"),
    ("5.7", mixing_in_place, "changes its input `latent`"),
    ("5.7", lambda z, b, k=50: mixing_by_categorical(z, b, k) + 1, "at most 0.6931 nats"),
    ("5.7", lambda z, b, k=50: mixing_by_categorical(z, b, k) - 1, "never negative"),
    ("5.7", lambda z, b, k=50: mixing_by_categorical(z / z.std(0), b, k), "too"),
    ("5.8", lambda a, b, eps=1e-8: 2 * factor_by_signs(a, b, eps), "2 times as large"),
    ("5.8", lambda a, b, eps=1e-8: factor_by_signs(a, b, eps).clamp(-10, 10), "but not for"),
    ("5.8", lambda a, b, eps=1e-8: factor_by_signs(a, b, eps) + 0.3, "off by a constant 0.300"),
    ("5.8", undecided_as_certain, "higher as often as the other it should be 0"),
    ("5.8", lambda a, b, eps=1e-8: -factor_by_signs(a, b, eps) / 2, "the sign tells the direction"),
    ("5.8", lambda a, b, eps=1e-8: factor_by_signs(a, b, eps).sum(), "one number for every gene"),
    ("5.8", lambda a, b, eps=1e-8: factor_by_signs(a, b, eps).numpy(), "a NumPy array"),
    ("5.10", lambda p: fdr_by_matrix(p).numpy(), "a NumPy array"),
    ("5.10", lambda p: fdr_by_matrix(p) + 0.3, "the most probable gene has 0.9"),
    ("5.10", lambda p: fdr_by_matrix(p) - 0.3, "a share lies between 0 and 1"),
    ("5.10", lambda p: fdr_by_matrix(p) * (1 + (p > p.min())) / 2, "with the least probable gene all genes are called"),
    ("5.10", lambda p: fdr_by_matrix(p)[:, None], "should be of shape (3,)"),
    ("5.11", finish_and_shift, "the running means are wrong"),
    ("5.11", finish_and_move_weights, "the weights change"),
    ("5.11", lambda m, b: finish_by_growing_momentum(m, b) or m.encoder.train(), "the whole model should be in eval"),
    ("5.11", lambda m, b: finish_by_growing_momentum(m, b) or 1.0, "returns nothing"),
    ("5.11", finish_and_halve_momenta, "the momenta of the layers are not what they were"),
    ("6.1", lambda e, a: unlabelled_by_distributions(e, a) + 3, "no q reaches more"),
    ("6.1", lambda e, a: unlabelled_by_distributions(e, a)[:, None], "should be of shape (2,)"),
    ("6.1", lambda e, a: unlabelled_by_distributions(e, a).numpy(), "a NumPy array"),
    ("6.2", lambda model, n_new: model.state_dict(), "it should return a new VAE"),
    ("6.2", lambda model, n_new: grow_by_masks(model, n_new + 1), "should have n_batch=3"),
    ("6.2", grow_and_shift, "for cells of the old batches `qz_m` is not"),
]


@pytest.mark.parametrize(("number", "answer", "words"), UNFORESEEN)
def test_an_unforeseen_mistake_is_told_by_the_property_that_fails(number, answer, words):
    result = check(number, answer)
    assert result.status == "wrong"
    assert words.lower() in result.message.lower()
    assert sentences(result.message) <= 2
    assert "\n" not in result.message


ONE_EACH = {number: (number, answer, words) for number, answer, words in UNFORESEEN}.values()


@pytest.mark.parametrize(("number", "answer", "words"), ONE_EACH)
def test_without_a_child_process_it_is_told_the_same(number, answer, words, in_thread):
    assert words.lower() in check(number, answer).message.lower()


def test_the_message_about_a_shape_says_what_came_and_what_is_due():
    message = check("0.1", lambda c: c.sum(1, keepdim=True).T).message
    assert "(3,)" in message
    assert "(1, 3)" in message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda c: c.sum(dim=2), "fewer axes"),
        (lambda c: c @ c, "shapes"),
        (lambda c: undefined_name, "spelled right"),  # noqa: F821
        (lambda c, d: c, "your def line have the exercise's arguments"),
        (lambda: 1, "your def line have the exercise's arguments"),
        (lambda c: c.total(), "AttributeError"),
        (lambda c: math.log(c), "torch function of the same name"),
        (lambda c: torch.log(2.0), "for plain numbers use math"),
        (lambda c: 1 if c > 0 else 0, "torch.where"),
        (lambda c: c - c.max(dim=0), "take .values"),
        (lambda c: math.log - math.exp, "TypeError"),
        (lambda c: (lambda: 1) - (lambda: 2), "call it first"),
        (lambda c: c + None, "something is None"),
        (lambda c: F.binary_cross_entropy_with_logits(c, c[0]), "does not broadcast"),
        (lambda c: (c ^ 2).sum(1), "a power is written **"),
        (lambda c: np.sum(c, axis=1), "called dim"),
        (lambda c: c.T(), "call it like a function"),
        (lambda c: c.apply(sum), "no such method"),
        (lambda c: c.dot(c), "matrix product"),
    ],
)
def test_an_exception_becomes_a_sentence(answer, words):
    result = check("0.1", answer)
    assert result.status == "error"
    assert words in result.message
    assert "Traceback" not in result.message
    assert "\n" not in result.message


def test_an_exception_names_the_line():
    def library_size(counts):
        totals = counts.sum(dim=7)
        return totals / 2

    assert 'in the line "totals = counts.sum(dim=7)"' in check("0.1", library_size).message
    assert 'in the line "totals = counts.sum(dim=7)"' in check("0.1", torch.no_grad()(library_size)).message


def walking(points):
    """Make an answer to 3.4 that goes astray on the way."""

    @torch.no_grad()
    def latent_walk(model, x_start, x_end, n_steps):
        t = torch.linspace(0, 1, n_steps).unsqueeze(-1)
        return model.eval().decode(points(model, x_start, x_end, t))

    return latent_walk


def training(step):
    """Make an answer to 3.2 that goes astray at a minibatch."""
    return lambda model, minibatches, optimizer: [step(model, x) for x in minibatches]


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        ("3.2", training(lambda m, x: m.loss(x).backward()), "three things: take the first"),
        ("3.2", training(lambda m, x: m.loss(x)[0].item().backward()), "before item()"),
        ("3.2", training(lambda m, x: 0.0 + m.loss(x)), "several things"),
        ("3.2", training(lambda m, x: m.loss(x) * 0.5), "several things"),
        ("3.2", lambda m, b, o: epoch_with_a_closure(m, b, o) + 0 / sum(map(len, b)), "only once"),
        ("3.3", torch.no_grad()(lambda m, n, g: m.decode(torch.randn(n, 2, generator=g))), "model.n_latent"),
        ("3.3", torch.no_grad()(lambda m, n, g: m.decode(torch.randn(n, 2, generator=g))), "m.decode(torch.randn(n"),
        ("3.4", walking(lambda m, a, b, t: m.encode(a)[0]), "unsqueeze(0), or stack"),
        ("3.4", walking(lambda m, a, b, t: m.encode(a[None]) * (1 - t)), "take one"),
        ("3.4", walking(lambda m, a, b, t: (1 - t) * m.encode(a[None])), "returns two things"),
        ("3.4", walking(lambda m, a, b, t: m.encode(a[None]) - m.encode(b[None])), "several things"),
        ("3.4", walking(lambda m, a, b, t: m.encode(a[None])), "several things"),
    ],
)
def test_what_goes_wrong_with_a_model_becomes_a_sentence(number, answer, words):
    result = check(number, answer)
    assert result.status == "error"
    assert words in result.message
    assert "func(*args" not in result.message


def test_an_answer_that_calls_itself_is_found_out():
    """Before an exercise its name is bound to the reference; the check may not be answered by that."""
    reference = EXERCISES["0.1"].reference
    attempt = made_by_exec("def library_size(counts):\n    return library_size(counts)")
    attempt.__globals__["library_size"] = reference  # as it is while the decorator runs
    result = check("0.1", attempt)
    assert result.status == "error"
    assert "calls itself" in result.message
    assert attempt.__globals__["library_size"] is reference


def test_numpy_where_gradients_have_to_pass_is_explained():
    def numpy_answer(x, logits):
        return torch.as_tensor(x.numpy() * logits.numpy())

    result = check("1.1", numpy_answer)
    assert result.status == "error"
    assert "stay with torch" in result.message


# --------------------------------------------------------------------------------------------------------------------
# Words for common errors
# --------------------------------------------------------------------------------------------------------------------


class BracketsMissing(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__  # noqa: B018
        self.mean = nn.Linear(n_in, n_latent)


class Misspelled(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__()
        self.mean = nn.Linear(n_in, n_latent)

    def forwrd(self, h):
        return self.mean(h), self.mean(h)


class WithoutSelf(HeadByChunks):
    def forward(h):  # noqa: N805
        return h, h


class ListInSequential(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__()
        self.both = nn.Sequential([nn.Linear(n_in, n_latent)])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BracketsMissing, "both pairs of brackets"),
        (Misspelled, "spelled forward"),
        (WithoutSelf, "self in a method"),
        (ListInSequential, "a star unpacks"),
        (lambda n_in, n_latent: nn.Parameter(n_in), "takes a torch tensor"),
        (lambda n_in, n_latent: torch.cat([torch.ones(2, 2), [torch.ones(2, 2)]]), "one flat list"),
        (lambda n_in, n_latent: torch.cat([torch.ones(2, 2), torch.ones(3, 3)]), "dim=1"),
        (lambda n_in, n_latent: sum(None), "default is None"),
        (lambda n_in, n_latent: torch.softplus(h), "called F"),  # noqa: F821
    ],
)
def test_what_goes_wrong_with_classes_becomes_a_sentence(answer, words):
    assert words in check("2.5", answer).message


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        ("5.3", LayersBeforeCategories, "third argument of FCLayers is n_cat_list"),
        ("5.3", CategoriesLast, "third argument of FCLayers is n_cat_list"),
        ("5.3", StarForgotten, "did you forget the star before cat_list?"),
        ("5.3", FirstCovariateOnly, "needs the codes of all covariates"),
        ("5.7", mixing_of_column_counts, "flatten the codes first"),
        ("5.7", mixing_of_columns_in_place, "flatten the codes first"),
    ],
)
def test_what_goes_wrong_in_lesson_5_becomes_a_sentence(number, answer, words):
    result = check(number, answer)
    assert (result.status, result.diagnosis) == ("error", None)
    assert words in result.message
