"""The exercise engine: what passes, what is recognised, what is said, and that nothing breaks the notebook."""

import itertools
import math
import os
import re
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import psutil
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vae_course.exercises import (
    EXERCISES,
    attempt,
    catch_up,
    check,
    exercise,
    export_progress,
    hint,
    import_progress,
    progress,
    record,
    reset,
    solution,
)
from vae_course.exercises.e3_5.answer import diagnose as right_diagnosis
from vae_course.exercises.engine import judge
from vae_course.exercises.sources import blanked, excerpt, names_beside, solution_lines, source_of, without_docstrings
from vae_course.nn import FCLayers, one_hot

IDS = [f"{lesson}.{n + 1}" for lesson, number in enumerate((5, 6, 5, 5, 5, 8)) for n in range(number)]


@pytest.fixture(autouse=True)
def _own_record(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "home"))


@pytest.fixture
def in_thread(monkeypatch):
    """Windows' way on any machine."""
    monkeypatch.setattr(attempt, "_in_child", lambda work: None)


def sentences(text):
    return len(re.findall(r"[.?!](?=\s+[A-Z(`]|$)", text))


# --------------------------------------------------------------------------------------------------------------------
# The exercises
# --------------------------------------------------------------------------------------------------------------------


def test_all_exercises_are_there():
    assert list(EXERCISES) == IDS


@pytest.mark.parametrize("number", IDS)
def test_the_reference_passes(number):
    result = check(number, EXERCISES[number].reference)
    assert (result.status, result.diagnosis) == ("passed", None)


@pytest.mark.parametrize("number", [number for number, one in EXERCISES.items() if one.plain])
def test_the_plain_answer_passes(number):
    plain = EXERCISES[number].plain
    assert plain.__name__ == EXERCISES[number].name
    assert check(number, plain).status == "passed"


@pytest.mark.parametrize("number", IDS)
def test_there_are_hints_and_misconceptions_enough(number):
    one = EXERCISES[number]
    assert len(one.hints) == 2
    assert len(one.mistakes) >= 4
    assert len({message for _, message in one.mistakes.values()}) == len(one.mistakes)


MISTAKES = [(number, name) for number, one in EXERCISES.items() for name in one.mistakes]


@pytest.mark.parametrize(("number", "name"), MISTAKES)
def test_every_misconception_is_recognised_and_named(number, name):
    answer, message = EXERCISES[number].mistakes[name]
    result = check(number, answer)
    assert result.diagnosis == name
    assert result.message == message
    assert result.status in ("wrong", "error")
    assert sentences(message) <= 2


@pytest.mark.parametrize("number", IDS)
def test_no_hint_or_message_tells_the_answer(number):
    one = EXERCISES[number]
    names = re.compile("|".join(["self", *one.arguments]) if one.arguments else ".")
    telling = max((line for line in solution_lines(source_of(one.reference)) if names.search(line)), key=len)
    telling = telling.removeprefix("return ")
    said = [*one.hints, *(message for _, message in one.mistakes.values())]
    assert not [text for text in said if telling in text]


# --------------------------------------------------------------------------------------------------------------------
# Right answers in other styles
# --------------------------------------------------------------------------------------------------------------------


def by_loops(counts):
    totals = torch.zeros(len(counts))
    for i in range(counts.shape[0]):
        for j in range(counts.shape[1]):
            totals[i] += counts[i, j]
    return totals


def normalize_on_a_copy(counts, target_sum=1e4):
    y = counts.clone().double()
    y /= y.sum(1)[:, None]
    y *= target_sum
    y += 1
    return y.log_()


def kl_by_distributions(mean_q, var_q, mean_p, var_p):
    q, p = torch.distributions.Normal(mean_q, var_q.sqrt()), torch.distributions.Normal(mean_p, var_p.sqrt())
    return torch.distributions.kl_divergence(q, p)


def multivariate_by_distributions(mean_q, cov_q, mean_p, cov_p):
    make = torch.distributions.MultivariateNormal
    return torch.distributions.kl_divergence(make(mean_q, cov_q), make(mean_p, cov_p))


def multivariate_by_eigenvalues(mean_q, cov_q, mean_p, cov_p):
    inverse = torch.linalg.inv(cov_p)
    d = (mean_p - mean_q)[:, None]
    trace = torch.einsum("ij,ji->", inverse, cov_q)
    log_ratio = torch.linalg.slogdet(cov_p)[1] - torch.linalg.slogdet(cov_q)[1]
    return (0.5 * (trace + d.T @ inverse @ d - d.shape[0] + log_ratio)).squeeze()


def monte_carlo_in_python(sample_q, log_q, log_p):
    terms = [float(a - b) for a, b in zip(log_q(sample_q), log_p(sample_q), strict=True)]
    mean = sum(terms) / len(terms)
    var = sum((term - mean) ** 2 for term in terms) / (len(terms) - 1)
    return mean, math.sqrt(var / len(terms))


def grid_by_shifting(log_prior, log_likelihood):
    joint = log_prior + log_likelihood
    joint = joint - joint.max(dim=-1, keepdim=True).values
    return joint - joint.exp().sum(-1, keepdim=True).log()


class LinearByEinsum(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.bias = nn.Parameter(torch.rand(n_out))
        self.weight = nn.Parameter(torch.empty(n_out, n_in).normal_())

    def forward(self, x):
        return torch.einsum("...i,oi->...o", x, self.weight) + self.bias


class LinearByF(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.register_parameter("weight", nn.Parameter(torch.randn((n_out, n_in))))
        self.register_parameter("bias", nn.Parameter(torch.zeros((n_out,))))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


def one_hot_by_scatter(index, n_categories):
    table = torch.zeros(index.numel(), n_categories, dtype=torch.float64)
    return table.scatter_(1, index.view(-1, 1), 1.0)


def one_hot_by_comparison(index, n_categories):
    return (index.reshape(-1, 1) == torch.arange(n_categories)).to(torch.float32)


def step_by_grad(params, loss, lr):
    params = list(params)
    for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
        p.data = p.data - lr * g


def step_by_optimizer(params, loss, lr):
    optimizer = torch.optim.SGD(params, lr=lr)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)


class FCLayersByAddModule(nn.Module):
    def __init__(self, n_in, n_out, n_cat_list=None, n_layers=1, n_hidden=128, dropout_rate=0.1, use_batch_norm=True):
        super().__init__()
        self.sizes = n_cat_list or []
        self.fc_layers = nn.Sequential()
        extra = sum(n for n in self.sizes if n > 1)
        for i in range(n_layers):
            a = n_in if i == 0 else n_hidden
            b = n_out if i == n_layers - 1 else n_hidden
            block = nn.Sequential(
                nn.Linear(a + extra, b),
                nn.BatchNorm1d(b, eps=1e-3, momentum=1e-2) if use_batch_norm else nn.Identity(),
                nn.ReLU(inplace=True),
                nn.Dropout(p=dropout_rate),
            )
            self.fc_layers.add_module(f"Layer {i}", block)

    def forward(self, x, *cat_list):
        hot = [F.one_hot(c.flatten(), n).to(x.dtype) for c, n in zip(cat_list, self.sizes, strict=False) if n > 1]
        for block in self.fc_layers:
            x = block(torch.cat([x, *hot], 1))
        return x


class FCLayersByParts(nn.Module):
    def __init__(self, n_in, n_out, n_cat_list=None, n_layers=1, n_hidden=128, dropout_rate=0.1, use_batch_norm=True):
        super().__init__()
        self.n_cat_list, self.rate = n_cat_list or [], dropout_rate
        width = sum(n for n in self.n_cat_list if n > 1)
        self.fc_layers = nn.ModuleDict()
        for i in range(n_layers):
            n_from, n_to = [n_in, *[n_hidden] * n_layers][i], [*[n_hidden] * n_layers, n_out][i + 1]
            parts = [nn.Linear(n_from + width, n_out if i == n_layers - 1 else n_to)]
            parts += [nn.BatchNorm1d(parts[0].out_features, 0.001, 0.01)] if use_batch_norm else []
            self.fc_layers[f"Layer {i}"] = nn.ModuleList(parts)

    def forward(self, x, *cat_list):
        for layer in self.fc_layers.values():
            for n, codes in zip(self.n_cat_list, cat_list, strict=False):
                if n > 1:
                    x = torch.hstack([x, torch.eye(n)[codes.squeeze(-1) if codes.dim() == 2 else codes]])
            for part in layer:
                x = part(x)
            x = F.dropout(F.relu(x), self.rate, training=self.training)
        return x


class HeadByChunks(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__()
        self.both = nn.Linear(n_in, 2 * n_latent)

    def forward(self, h):
        mean, logvar = self.both(h).chunk(2, dim=-1)
        return mean, logvar


class HeadWithZeroBias(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__()
        self.mean, self.logvar = LinearByF(n_in, n_latent), LinearByF(n_in, n_latent)

    def forward(self, h):
        return self.mean(h), self.logvar(h)


class HeadByParameters(nn.Module):
    def __init__(self, n_in, n_latent):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(n_in, n_latent)) for _ in range(2)])
        self.offsets = nn.ParameterList([nn.Parameter(torch.randn(n_latent)) for _ in range(2)])

    def forward(self, h):
        return [torch.addmm(b, h, w) for w, b in zip(self.weights, self.offsets, strict=True)]


# Lesson 3


def loss_in_float64(x, logits, mean, logvar):
    bce = F.binary_cross_entropy_with_logits(logits.double(), x.double(), reduction="sum") / len(x)
    q = torch.distributions.Normal(mean.double(), logvar.double().mul(0.5).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(torch.zeros(()), torch.ones(()))).sum() / len(
        x
    )
    return [bce + kl, bce, kl]


def loss_cell_by_cell(x, logits, mean, logvar):
    bce = sum((F.softplus(a) - t * a).sum() for t, a in zip(x, logits, strict=True)) / x.shape[0]
    kl = sum((s.exp() + m * m - s - 1).sum() / 2 for m, s in zip(mean, logvar, strict=True)) / x.shape[0]
    return bce + kl, bce, kl


def epoch_with_a_weighted_mean(model, minibatches, optimizer):
    model.train(True)
    losses, sizes = [], []
    for x in minibatches:
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = None
        loss, _, _ = model.loss(x)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        sizes.append(x.shape[0])
    return np.average([loss.item() for loss in losses], weights=sizes)


def epoch_with_a_closure(model, minibatches, optimizer):
    model.train()
    seen = []

    def closure(x):
        optimizer.zero_grad()
        loss = model.loss(x)[0]
        loss.backward()
        seen.append(loss.detach().double().repeat(len(x)))
        return loss

    for x in list(minibatches):
        optimizer.step(lambda x=x: closure(x))
    return torch.cat(seen).mean()


def samples_cell_by_cell(model, n_cells, generator):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        cells = [model.decode(torch.empty(1, model.n_latent).normal_(generator=generator)) for _ in range(n_cells)]
    model.train(was_training)
    return torch.cat(cells).sigmoid()


def samples_column_by_column(model, n_cells, generator):
    z = torch.stack([torch.randn(n_cells, generator=generator) for _ in range(model.n_latent)], dim=1)
    return torch.sigmoid(model.eval().decode(z)).detach().double()


def samples_without_decode(model, n_cells, generator):
    model.eval()
    with torch.inference_mode():
        z = torch.normal(0.0, 1.0, (n_cells, model.logits_decoder.in_features and model.n_latent), generator=generator)
        return 1 / (1 + torch.exp(-model.logits_decoder(model.decoder(z))))


def walk_step_by_step(model, x_start, x_end, n_steps):
    model.eval()
    with torch.no_grad():
        start, end = model.encode(x_start[None])[0], model.encode(x_end[None])[0]
        step = (end - start) / (n_steps - 1)
        return torch.cat([model.decode(start + i * step).sigmoid() for i in range(n_steps)])


def walk_by_outer_products(model, x_start, x_end, n_steps):
    model = model.eval()
    mean = model.encode(torch.vstack((x_start, x_end)))[0].detach()
    t = torch.arange(n_steps) / (n_steps - 1)
    z = torch.outer(1 - t, mean[0]) + torch.outer(t, mean[1])
    return torch.sigmoid(model.decode(z)).detach().double()


def walk_by_numpy(model, x_start, x_end, n_steps):
    model.eval()
    with torch.no_grad():
        ends = model.encode(torch.stack([x_start, x_end]))[0].numpy()
        z = torch.from_numpy(np.linspace(ends[0], ends[1], n_steps)).float()
        return torch.sigmoid(model.decode(z))


@torch.no_grad()
def walk_without_recording(model, x_start, x_end, n_steps):
    ends = model.eval().encode(torch.stack([x_start, x_end]))[0]
    return model.decode(torch.stack([torch.lerp(*ends, i / (n_steps - 1)) for i in range(n_steps)])).sigmoid()


def wobbling_walk(model, x_start, x_end, n_steps):
    walk = walk_step_by_step(model, x_start, x_end, n_steps)
    walk[1:-1] = walk[1:-1].flip(0) * 0.9
    return walk


def epoch_that_keeps_its_graphs(model, minibatches, optimizer):
    model.train()
    total, n_cells = 0, 0
    for x in minibatches:
        loss, _, _ = model.loss(x)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total, n_cells = total + loss * len(x), n_cells + len(x)
    return total / n_cells


def epoch_with_another_optimizer(model, minibatches, optimizer):
    return epoch_with_a_closure(model, minibatches, torch.optim.SGD(model.parameters(), lr=0.02))


def epoch_with_large_steps(model, minibatches, optimizer):
    for group in optimizer.param_groups:
        group["lr"] *= 3
    return epoch_with_a_closure(model, minibatches, optimizer)


def nb_by_distributions(x, mu, theta):
    logits = mu.double().log() - theta.double().log()
    return torch.distributions.NegativeBinomial(theta.double(), logits=logits).log_prob(x.double())


def nb_in_place(x, mu, theta):
    theta = theta.to(torch.float64)
    ratio = mu / theta
    total = torch.special.gammaln(x + theta)
    total -= torch.special.gammaln(theta)
    total -= torch.special.gammaln(x.double() + 1)
    return (total - (x + theta) * torch.log1p(ratio) + torch.xlogy(x, ratio)).float()


def nb_by_mask(x, mu, theta):
    x, mu, theta = torch.broadcast_tensors(x.double(), mu.double(), theta.double())
    log_p0 = -theta * torch.log1p(mu / theta)
    is_zero, safe = x == 0, x.clamp(min=1)
    log_beta = torch.lgamma(safe) + torch.lgamma(theta) - torch.lgamma(safe + theta)
    above = log_p0 - torch.log(safe) - log_beta + safe * F.logsigmoid(mu.log() - theta.log())
    return torch.where(is_zero, log_p0, above)


def zinb_by_softplus(x, mu, theta, zi_logits):
    log_nb = nb_in_place(x, mu, theta)
    zero = F.softplus(log_nb - zi_logits) - F.softplus(-zi_logits)
    above = log_nb - F.softplus(zi_logits)
    return (x == 0) * zero + (x > 0) * above


def zinb_by_logaddexp(x, mu, theta, zi_logits):
    both = F.logsigmoid(-zi_logits) + nb_by_mask(x, mu, theta)
    return torch.where(x == 0, torch.logaddexp(F.logsigmoid(zi_logits), both), both)


def zinb_by_bernoulli(x, mu, theta, zi_logits):
    extra = torch.distributions.Bernoulli(logits=zi_logits)
    ways = [extra.log_prob(torch.ones_like(zi_logits)), extra.log_prob(torch.zeros_like(zi_logits))]
    log_pi, other = torch.broadcast_tensors(ways[0].masked_fill(x > 0, -math.inf), ways[1] + nb_in_place(x, mu, theta))
    return torch.logsumexp(torch.stack([log_pi, other]), dim=0)


def zinb_by_probabilities(x, mu, theta, zi_logits):
    a, log_nb = zi_logits.double(), nb_by_mask(x, mu, theta)
    return torch.where(x < 0.5, torch.log(torch.sigmoid(a) + torch.sigmoid(-a) * log_nb.exp()), log_nb - F.softplus(a))


class DecoderByF(nn.Module):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__()
        self.px_decoder = FCLayers(n_input, n_hidden, n_cat_list, n_layers, n_hidden, dropout_rate=0.0)
        self.px_scale_decoder = nn.Sequential(nn.Linear(n_hidden, n_output))
        self.px_dropout_decoder, self.px_r_decoder = (nn.Linear(n_hidden, n_output) for _ in range(2))

    def forward(self, dispersion, z, library, *cat_list):
        h = self.px_decoder(z, *cat_list)
        px_scale = F.softmax(self.px_scale_decoder(h), 1 if h.dim() == 2 else -1)
        px_r = None
        if dispersion == "gene-cell":
            px_r = self.px_r_decoder(h)
        return [px_scale, px_r, px_scale * library.exp(), self.px_dropout_decoder(h)]


class DecoderByParts(nn.Module):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__()
        self.px_decoder = FCLayersByParts(n_input, n_hidden, n_cat_list, n_layers, n_hidden, 0)
        self.px_scale_decoder = nn.ModuleList([nn.Linear(n_hidden, n_output)])
        self.px_r_decoder, self.px_dropout_decoder = nn.Linear(n_hidden, n_output), nn.Linear(n_hidden, n_output)

    def forward(self, dispersion, z, library, *cat_list):
        hidden = self.px_decoder(z, *cat_list)
        heads = [self.px_scale_decoder[0], self.px_r_decoder, self.px_dropout_decoder]
        scale, r, dropout = (F.linear(hidden, head.weight, head.bias) for head in heads)
        log_scale = scale - scale.logsumexp(dim=-1, keepdim=True)
        rate = (library + log_scale).exp()
        return log_scale.exp(), {"gene-cell": r}.get(dispersion), rate, dropout


class DecoderInFloat64(DecoderByF):
    def __init__(self, n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128):
        super().__init__(n_input, n_output, n_cat_list, n_layers, n_hidden)
        self.px_scale_decoder.append(nn.Softmax(-1))

    def forward(self, dispersion, z, library, *cat_list):
        hidden = self.px_decoder(z, *cat_list)
        px_scale = self.px_scale_decoder(hidden).double()
        px_r = self.px_r_decoder(hidden).double() if dispersion == "gene-cell" else None
        return px_scale, px_r, torch.einsum("...g,...o->...g", px_scale, library.double().exp()), self.logits(hidden)

    def logits(self, hidden):
        return self.px_dropout_decoder(hidden).double()


def dispersion_by_one_hot(px_r, dispersion, batch_index=None, y=None):
    if dispersion in ("gene", "gene-cell"):
        return px_r.exp()
    codes = batch_index if dispersion == "gene-batch" else y
    return torch.einsum("cb,gb->cg", one_hot(codes, px_r.shape[1]), torch.exp(px_r))


def dispersion_by_embedding(px_r, dispersion, batch_index=None, y=None):
    if dispersion == "gene":
        px_r = px_r.unsqueeze(0)
    elif dispersion != "gene-cell":
        px_r = F.embedding({"gene-batch": batch_index, "gene-label": y}[dispersion].reshape(-1), px_r.t())
    return px_r.exp()


def dispersion_by_index_select(px_r, dispersion, batch_index=None, y=None):
    if dispersion.endswith(("batch", "label")):
        codes = batch_index if dispersion.endswith("batch") else y
        px_r = px_r.index_select(1, codes.view(-1)).T
    return px_r.exp()


def dispersion_cell_by_cell(px_r, dispersion, batch_index=None, y=None):
    codes = {"gene-batch": batch_index, "gene-label": y}.get(dispersion)
    if codes is None:
        return math.e ** px_r.double()
    return torch.stack([math.e ** px_r[:, int(code)].double() for code in codes])


def scvi_kl_by_distributions(qz_m, qz_v, ql_m, ql_v, library_mean, library_var):
    normal = torch.distributions.Normal
    local = torch.distributions.kl_divergence(normal(ql_m, ql_v.sqrt()), normal(library_mean, library_var.sqrt()))
    return [local.squeeze(1), torch.distributions.kl_divergence(normal(qz_m, qz_v.sqrt()), normal(0, 1)).sum(1)]


def scvi_kl_by_einsum(m, v, lm, lv, pm, pv):
    kl_global = 0.5 * (torch.einsum("ij,ij->i", m, m) + (v - v.log() - 1).sum(-1))
    kl_local = pv.sqrt().log() - lv.sqrt().log() + (lv + (lm - pm) ** 2) / (2 * pv) - 0.5
    return kl_local[:, 0], kl_global


def scvi_kl_in_float64(*arguments):
    m, v, lm, lv, pm, pv = (argument.double() for argument in arguments)
    make, divergence = torch.distributions.MultivariateNormal, torch.distributions.kl_divergence
    local = divergence(make(lm, torch.diag_embed(lv)), make(pm, torch.diag_embed(pv)))
    return local, divergence(make(m, torch.diag_embed(v)), make(torch.zeros_like(m), torch.eye(m.shape[1]).double()))


def corrupt_by_sorting(counts, rate, generator):
    nonzero = counts != 0
    lots = torch.rand(counts.shape, generator=generator).masked_fill(~nonzero, 2.0)
    mask = torch.zeros_like(nonzero)
    mask.view(-1)[lots.flatten().argsort()[: int(rate * nonzero.sum().item())]] = True
    corrupted = counts.clone()
    corrupted[mask] = 0
    return corrupted, mask


def corrupt_by_multinomial(counts, rate, generator):
    weights = (counts > 0).float().flatten()
    mask = torch.zeros(counts.numel(), dtype=torch.bool)
    if (n_hidden := math.floor(rate * weights.sum())) > 0:
        mask[torch.multinomial(weights, n_hidden, generator=generator)] = True
    return [counts * ~mask.view_as(counts), mask.view_as(counts)]


def corrupt_by_trying(counts, rate, generator):
    corrupted, left = counts.clone(), int(rate * torch.count_nonzero(counts))
    while left:
        i = int(torch.randint(counts.numel(), (1,), generator=generator))
        left -= int(corrupted.view(-1)[i] != 0)
        corrupted.view(-1)[i] = 0
    return corrupted, (corrupted == 0) & (counts != 0)


def corrupt_in_numpy(counts, rate, generator):
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    array = counts.numpy().astype(np.float64)
    nonzero = np.flatnonzero(array)
    mask = np.zeros(array.size, dtype=bool)
    mask[rng.choice(nonzero, int(rate * len(nonzero)), replace=False)] = True
    array[mask.reshape(array.shape)] = 0
    return torch.from_numpy(array), torch.from_numpy(mask.reshape(array.shape))


def mixing_by_categorical(latent, batch_index, n_neighbors=50):
    distances = ((latent[:, None] - latent) ** 2).sum(-1) + torch.diag(torch.full((len(latent),), math.inf))
    shares = F.one_hot(batch_index.view(-1))[distances.argsort(1)[:, :n_neighbors]].float().mean(1)
    return torch.distributions.Categorical(probs=shares).entropy().mean()


def mixing_by_entr(latent, batch_index, n_neighbors=50):
    distances = torch.cdist(latent, latent).fill_diagonal_(math.inf)
    batches = batch_index.flatten()[distances.topk(n_neighbors, largest=False).indices]
    return torch.special.entr(F.one_hot(batches).double().mean(1)).sum(1).mean().item()


def mixing_in_numpy(latent, batch_index, n_neighbors=50):
    z, codes = latent.numpy(), batch_index.numpy().ravel()
    distances = np.sqrt(((z[:, None, :] - z[None]) ** 2).sum(-1))
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, n_neighbors - 1, axis=1)[:, :n_neighbors]
    shares = np.stack([(codes[nearest] == code).mean(1) for code in np.unique(codes)])
    return -(shares * np.log(shares + 1e-12)).sum(0).mean()


def mixing_by_sklearn(latent, batch_index, n_neighbors=50):
    from scipy.stats import entropy
    from sklearn.neighbors import kneighbors_graph

    graph = kneighbors_graph(latent.numpy(), n_neighbors, include_self=False)
    return entropy(graph @ np.eye(int(batch_index.max()) + 1)[batch_index.numpy().ravel()], axis=1).mean()


def mixing_in_python(latent, batch_index, n_neighbors=50):
    z, batches = latent.tolist(), batch_index.flatten().tolist()
    total = 0.0
    for i, here in enumerate(z):
        others = sorted((j for j in range(len(z)) if j != i), key=lambda j, here=here: math.dist(here, z[j]))
        found = [batches[j] for j in others[:n_neighbors]]
        shares = [found.count(batch) / n_neighbors for batch in set(found)]
        total -= sum(share * math.log(share) for share in shares)
    return total / len(z)


def factor_by_heaviside(scale_1, scale_2, eps=1e-8):
    p = torch.heaviside(scale_1 - scale_2, torch.tensor(0.5)).mean(0)
    return torch.log(p + eps) - torch.log(1 - p + eps)


def factor_by_signs(scale_1, scale_2, eps=1e-8):
    p = (1 + torch.sign(scale_1 - scale_2).mean(dim=0)) / 2
    return torch.log((p + eps) / (1 - p + eps))


def factor_in_numpy(scale_1, scale_2, eps=1e-8):
    a, b = scale_1.numpy(), scale_2.numpy()
    p = np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0)).mean(axis=0)
    return torch.as_tensor(np.log(p + eps) - np.log(1 - p + eps))


def factor_by_loops(scale_1, scale_2, eps=1e-8):
    if scale_1.dim() > 1:
        return torch.tensor([factor_by_loops(a, b, eps) for a, b in zip(scale_1.T, scale_2.T, strict=True)])
    p = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in zip(scale_1, scale_2, strict=True)) / len(scale_1)
    return math.log(p + eps) - math.log(1 - p + eps)


def draw_by_entries(mean, logvar, generator=None):
    rows = [
        m + (v / 2).exp() * torch.randn((), generator=generator)
        for m, v in zip(mean.flatten(), logvar.flatten(), strict=True)
    ]
    return torch.stack(rows).view(mean.shape)


def draw_by_normal(mean, logvar, generator=None):
    eps = torch.normal(torch.zeros(mean.shape), 1.0, generator=generator)
    return torch.addcmul(mean, eps, logvar.exp().sqrt())


def draw_by_rsample(mean, logvar, generator=None):
    if generator is None:
        return torch.distributions.Normal(mean, (0.5 * logvar).exp()).rsample()
    return mean + (0.5 * logvar).exp() * torch.empty_like(mean).normal_(generator=generator)


def draw_by_box_muller(mean, logvar, generator=None):
    u, v = torch.rand(2, *mean.shape, generator=generator, dtype=torch.float64)
    return mean - torch.exp(0.5 * logvar) * torch.sqrt(-2 * torch.log1p(-u)) * torch.cos(2 * math.pi * v)


def standard_kl_by_distributions(mean, logvar):
    q = torch.distributions.Normal(mean, torch.exp(logvar / 2))
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    return torch.distributions.kl_divergence(q, p).sum(-1)


def standard_kl_by_loop(mean, logvar):
    total = 0
    for k in range(mean.shape[-1]):
        total = total - 0.5 * (1 + logvar[..., k] - mean[..., k].pow(2) - logvar[..., k].exp())
    return total


def marginal_by_shifting(log_joint, log_q):
    cells = []
    for w in (log_joint - log_q).T:
        cells.append(w.max() + torch.log(torch.exp(w - w.max()).mean()))
    return torch.stack(cells)


def marginal_by_logaddexp(log_joint, log_q):
    total = (log_joint - log_q)[0]
    for w in (log_joint - log_q)[1:]:
        total = torch.logaddexp(total, w)
    return total - np.log(len(log_joint))


def marginal_in_float64(log_joint, log_q):
    w = log_joint.double() - log_q.double()
    return w[0] - torch.log_softmax(w, dim=0)[0] - math.log(len(w))


def score_by_autograd(f, mean, n_samples, generator):
    at = torch.tensor(mean, requires_grad=True)
    z = (at + torch.randn(n_samples, generator=generator)).detach()
    return torch.autograd.grad((f(z) * torch.distributions.Normal(at, 1.0).log_prob(z)).mean(), at)[0]


def score_leaving_one_out(f, mean, n_samples, generator):
    eps = torch.randn(n_samples, generator=generator)
    y = f(mean + eps)
    return torch.cov(torch.stack([y, eps]))[0, 1]


def score_in_pairs(f, mean, n_samples, generator):
    eps = torch.empty(n_samples).normal_(generator=generator)
    return 0.5 * ((f(mean + eps) - f(mean - eps)) * eps).mean()


def score_above_the_level(f, mean, n_samples, generator):
    z = torch.normal(mean, 1.0, (n_samples,), generator=generator)
    return ((f(z) - f(torch.full_like(z, mean))) @ (z - mean)) / n_samples


def score_in_python(f, mean, n_samples, generator):
    z = [mean + torch.randn(1, generator=generator).item() for _ in range(n_samples)]
    return sum(y * (point - mean) for y, point in zip(f(torch.tensor(z)).tolist(), z, strict=True)) / n_samples


RIGHT = {  # the least usual answer comes last
    "0.1": [by_loops, lambda c: torch.einsum("ij->i", c), lambda c: c.double() @ torch.ones(c.shape[1]).double()],
    "0.2": [
        lambda c, target_sum=10_000: torch.log(target_sum * c / torch.sum(c, 1, keepdim=True) + 1),
        lambda c, t=1e4: torch.stack([torch.log1p(row / row.sum() * t) for row in c]),
        normalize_on_a_copy,
    ],
    "0.3": [
        lambda x, m, c: torch.einsum("ng,lg->nl", x - m, c),
        lambda x, m, c: F.linear(x - m[None, :], c),
        lambda x, m, c: (c @ x.T).T - c @ m,
    ],
    "0.4": [
        lambda z, m, c: torch.addmm(m, z, c),
        lambda z, m, c: sum(z[:, k : k + 1] * c[k] for k in range(len(c))) + m,
        lambda z, m, c: ((c.T @ z.T) + m[:, None]).T,
    ],
    "0.5": [
        lambda x, y: F.mse_loss(x, y, reduction="sum") / len(x),
        lambda x, y: float(torch.linalg.vector_norm(x - y) ** 2 / x.shape[0]),
        lambda x, y: np.mean(np.sum((x.numpy() - y.numpy()) ** 2, axis=1)),
    ],
    "1.1": [
        lambda x, a: torch.distributions.Bernoulli(logits=a).log_prob(x),
        lambda x, a: x * F.logsigmoid(a) + (1 - x) * F.logsigmoid(-a),
        lambda x, a: torch.where(x.bool(), -F.softplus(-a), -F.softplus(a)),
        lambda x, a: -F.binary_cross_entropy_with_logits(*torch.broadcast_tensors(a, x), reduction="none"),
        lambda x, a: x * a - (a.clamp(min=0) + torch.log1p(torch.exp(-a.abs()))),
        lambda x, a: (2 * x - 1).mul(a).neg().double().logaddexp(torch.zeros(()).double()).neg(),
    ],
    "1.2": [
        lambda x, m, v: torch.distributions.Normal(m, v.sqrt()).log_prob(x),
        lambda x, m, v: -((x - m) ** 2) / (2 * v) - v.sqrt().log() - 0.5 * np.log(2 * np.pi),
        lambda x, m, v: -F.gaussian_nll_loss(*torch.broadcast_tensors(m, x, v), full=True, eps=1e-30, reduction="none"),
    ],
    "1.3": [
        kl_by_distributions,
        lambda a, b, c, d: torch.log(d.sqrt() / b.sqrt()) + (b + (a - c).pow(2)) / (2 * d) - 0.5,
        lambda a, b, c, d: 0.5 * (b / d - 1 - torch.log(b / d) + (c - a).square().div(d)),
    ],
    "1.4": [multivariate_by_distributions, multivariate_by_eigenvalues],
    "1.5": [
        monte_carlo_in_python,
        lambda z, q, p: [(q(z) - p(z)).double().mean(), (q(z) - p(z)).var().div(len(z)).sqrt()],
        lambda z, q, p: (np.mean((q(z) - p(z)).numpy()), np.std((q(z) - p(z)).numpy(), ddof=1) / np.sqrt(len(z))),
    ],
    "1.6": [
        grid_by_shifting,
        lambda a, b: torch.log_softmax(a + b, dim=-1),
        lambda a, b: torch.distributions.Categorical(logits=a + b).logits,
    ],
    "2.1": [LinearByF, nn.Linear, LinearByEinsum],
    "2.2": [one_hot_by_comparison, lambda i, n: torch.eye(n)[i.reshape(-1)], one_hot_by_scatter],
    "2.3": [step_by_grad, step_by_optimizer],
    "2.4": [FCLayersByAddModule, FCLayersByParts],
    "2.5": [HeadByParameters, HeadWithZeroBias, HeadByChunks],
    "3.1": [
        loss_cell_by_cell,
        lambda x, a, m, s: (
            (t := -torch.distributions.Bernoulli(logits=a).log_prob(x).sum(1).mean())
            + (k := (0.5 * (s.exp() + m.square() - 1 - s)).sum(1).mean()),
            t,
            k,
        ),
        loss_in_float64,
    ],
    "3.2": [epoch_with_a_weighted_mean, epoch_that_keeps_its_graphs, epoch_with_a_closure],
    "3.3": [samples_cell_by_cell, samples_without_decode, samples_column_by_column],
    "3.4": [walk_step_by_step, walk_without_recording, walk_by_numpy, walk_by_outer_products],
    "3.5": [
        lambda: dict(zip("FEDCBA", reversed([*right_diagnosis().values()]), strict=True)),
        lambda: {**right_diagnosis()},
    ],
    "4.1": [draw_by_entries, draw_by_normal, draw_by_rsample, draw_by_box_muller],
    "4.2": [
        standard_kl_by_distributions,
        standard_kl_by_loop,
        lambda m, v: 0.5 * (v.exp() + m**2 - 1 - torch.log(v.exp())).sum(-1),
        lambda m, v: 0.5 * (torch.einsum("...k,...k->...", m, m) + torch.expm1(v).sum(-1) - v.sum(-1)),
        lambda m, v: -0.5 * torch.sum(1 + v.double() - m.double() ** 2 - v.double().exp(), -1),
    ],
    "4.3": [
        lambda a, b, c: a.mean(0) - (c - b).mean(0),
        lambda a, b, c: sum(x + y - z for x, y, z in zip(a, b, c, strict=True)) / len(a),
        lambda a, b, c: torch.einsum("tsn,t->n", torch.stack([a, b, c]), torch.tensor([1.0, 1.0, -1.0])) / a.shape[0],
        lambda a, b, c: (a.double() + b - c).T @ torch.full((len(a),), 1 / len(a), dtype=torch.float64),
    ],
    "4.4": [
        marginal_by_shifting,
        marginal_by_logaddexp,
        lambda a, b: torch.logsumexp((a - b).T, 1) - torch.tensor(float(len(a))).log(),
        marginal_in_float64,
    ],
    "4.5": [score_by_autograd, score_leaving_one_out, score_in_pairs, score_above_the_level, score_in_python],
    "5.1": [nb_in_place, nb_by_distributions, nb_by_mask],
    "5.2": [zinb_by_softplus, zinb_by_logaddexp, zinb_by_bernoulli, zinb_by_probabilities],
    "5.3": [DecoderByF, DecoderByParts, DecoderInFloat64],
    "5.4": [
        dispersion_by_one_hot,
        dispersion_by_embedding,
        dispersion_by_index_select,
        dispersion_cell_by_cell,
    ],
    "5.5": [scvi_kl_by_distributions, scvi_kl_by_einsum, scvi_kl_in_float64],
    "5.6": [corrupt_by_sorting, corrupt_by_multinomial, corrupt_by_trying, corrupt_in_numpy],
    "5.7": [mixing_by_categorical, mixing_by_entr, mixing_in_numpy, mixing_by_sklearn, mixing_in_python],
    "5.8": [factor_by_heaviside, factor_by_signs, factor_in_numpy, factor_by_loops],
}


@pytest.mark.parametrize(("number", "position"), [(n, i) for n, answers in RIGHT.items() for i in range(len(answers))])
def test_right_answers_in_other_styles_pass(number, position):
    result = check(number, RIGHT[number][position])
    assert result.status == "passed", result.message


@pytest.mark.parametrize("number", [number for number, one in EXERCISES.items() if one.hidden])
def test_right_answers_pass_the_cases_that_grading_adds(number):
    for seed, answer in enumerate([EXERCISES[number].reference, *RIGHT[number]]):
        result = judge(replace(EXERCISES[number], cases=partial(EXERCISES[number].hidden, seed)), answer)
        assert result.status == "passed", f"seed {seed}: {result.message}"


def test_right_answers_of_every_exercise_are_tried():
    assert list(RIGHT) == IDS
    assert all(len(answers) >= 2 for answers in RIGHT.values())


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
    ("2.4", lambda *a, **k: nn.Sequential(FCLayers(*a, **k)), "which should not be"),
    ("2.1", SameEveryTime, "the same in every new layer"),
    ("2.1", lambda n_in, n_out: CutLinear(n_in, n_out), "no gradient reaches `weight`"),
    ("2.5", lambda n_in, n_latent: Swapped(n_in, n_latent), "changed places"),
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
    ("5.1", nb_distribution_in_float32, "seven digits"),
    ("5.1", nb_by_gamma_in_float32, "lgamma gives its logarithm"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu.clamp(min=1e-5), theta), "not small beside it"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta) + 9, "never above 0"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta) - 0.3, "off by a constant 0.300"),
    ("5.1", lambda x, mu, theta: nb_in_place(x, mu, theta.detach()), "no gradient reaches `theta`"),
    ("5.1", lambda x, mu, theta: nb_in_place(x[0], mu, theta), "wrong"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu, theta, a) - (x > 0) * 0.5, "no extra zero, and a draw"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu, theta, a) - (x == 0) * 0.5, "two ways to a zero"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu, theta, a.detach()), "no gradient reaches `zi_logits`"),
    ("5.2", lambda x, mu, theta, a: zinb_by_softplus(x, mu + 1e-6, theta, a), "with a tiny mu"),
    ("5.3", DoubleRate, "times the share; yours is"),
    ("5.3", lambda *a, **k: HalfShares(*a, **k), "yours sums to 0.5"),
    ("5.3", lambda *a, **k: DetachedLibrary(*a, **k), "no gradient reaches `library`"),
    ("5.3", DecoderToDict, "yours returns a dict of 4"),
    ("5.3", LateDropout, "the decoder has no dropout"),
    ("5.3", ZeroForNone, "px_r, should be None here"),
    ("5.3", OneMoreHead, "`px_rate_decoder.bias`, which should not be"),
    ("5.3", WrappedScale, "yours is called `px_scale_decoder.0.0.bias`. Is there an nn.Sequential too many?"),
    ("5.3", WrappedDropout, "in `px_dropout_decoder` the parameter `px_dropout_decoder.bias` is due"),
    ("5.3", SoftmaxBeforeScale, "yours is called `px_scale_decoder.1.bias`. Are its parts in order?"),
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
    ("5.5", lambda *a: scvi_kl_by_einsum(*a)[1], "changed places"),
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
# Nothing written yet
# --------------------------------------------------------------------------------------------------------------------


def dots(counts):
    """With a docstring."""
    ...  # noqa: PIE790


def passing(counts):
    pass


def raising(counts):
    """Raise."""
    raise NotImplementedError("later")


def only_docstring(counts):
    """Only this."""


class BlankLinear(nn.Module):
    """A blank class."""

    def __init__(self, n_in, n_out):
        """Make it."""
        ...  # noqa: PIE790

    def forward(self, x):
        raise NotImplementedError


def returning_none(counts):
    return None


def made_by_exec(text):
    scope = {"torch": torch}
    exec(text, scope)
    return next(value for name, value in scope.items() if name not in ("torch", "__builtins__"))


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


@pytest.mark.parametrize("blank", [None, dots, passing, raising, only_docstring])
def test_a_blank_is_not_attempted(blank):
    assert check("0.1", blank).status == "not_attempted"


def test_a_decorated_blank_is_not_attempted():
    assert check("0.1", torch.no_grad()(dots)).status == "not_attempted"
    assert check("0.1", torch.no_grad()(made_by_exec("def library_size(counts): ..."))).status == "not_attempted"


def test_a_ring_of_decorators_is_judged():
    answer = made_by_exec("def library_size(counts): return counts.sum(1)")
    answer.__wrapped__ = answer
    assert check("0.1", answer).status == "passed"


def test_a_blank_class_is_not_attempted():
    assert check("2.1", BlankLinear).status == "not_attempted"


@pytest.mark.parametrize(
    "body", ["...", "pass", "'doc'", "'doc'\n    ...", "raise NotImplementedError", "raise NotImplementedError('x')"]
)
def test_a_blank_without_source_text_is_not_attempted(body):
    assert check("0.1", made_by_exec(f"def library_size(counts):\n    {body}")).status == "not_attempted"


@pytest.mark.parametrize("number", IDS)
def test_every_blank_of_the_student_editions_is_not_attempted(number):
    text = blanked(source_of(EXERCISES[number].reference))
    scope = {}
    exec("from __future__ import annotations\nfrom torch import nn\n" + text, scope)
    assert check(number, scope[EXERCISES[number].name]).status == "not_attempted"


@pytest.mark.parametrize("wrong", [returning_none, lambda counts: None, "library_size", 3, 3.0, [], {}, object(), int])
def test_what_is_no_blank_is_wrong(wrong):
    result = check("0.1", wrong)
    assert result.status in ("wrong", "error")
    assert sentences(result.message) <= 2


def test_an_answer_without_source_text_is_judged():
    assert check("0.1", made_by_exec("def library_size(counts):\n    return counts.sum(1)")).status == "passed"
    assert (
        check("0.1", made_by_exec("def library_size(counts):\n    return counts.sum(0)")).diagnosis == "sums-over-cells"
    )


def test_an_unknown_exercise_is_named():
    for ask in (check, lambda number, _: exercise(number), lambda number, _: hint(number)):
        with pytest.raises(ValueError, match=r"no exercise '7\.3'; there are 0\.1"):
            ask("7.3", None)
        with pytest.raises(ValueError, match=r'quotes: "0.1", not 1.1'):
            ask(1.1, None)


# --------------------------------------------------------------------------------------------------------------------
# Hostile answers
# --------------------------------------------------------------------------------------------------------------------


def endless(counts):
    while True:
        pass


def endless_and_stubborn(counts):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def asleep(counts):
    time.sleep(1000)


def grandparent(counts):
    if os.fork() == 0:
        time.sleep(1000)
    return counts.sum(1)


def raiser(error):
    def answer(counts):
        raise error

    return answer


def recursive(counts):
    return recursive(counts)


def chatty(counts):
    for _ in range(20_000):
        print("x" * 1000)
    os.write(1, b"y" * 10_000_000)
    return counts.sum(1)


def greedy(counts):
    return torch.ones(10**13)


def hoarder(counts):
    kept = []
    while True:
        kept.append(torch.empty(10**7))


def dying(counts):
    os._exit(0)


def asking(counts):
    return float(input("your totals? "))


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError


class Hostile:
    def __getattr__(self, name):
        raise KeyboardInterrupt

    def __eq__(self, other):
        return True


class AlwaysEqual(torch.Tensor):
    def __eq__(self, other):
        return torch.ones(self.shape, dtype=torch.bool)

    def __sub__(self, other):
        return torch.zeros(self.shape)


def patching(counts):
    torch.equal = torch.allclose = lambda *a, **k: True
    return counts.sum(0)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which Windows does not have")


@pytest.mark.parametrize("answer", [endless, endless_and_stubborn, asleep, grandparent], ids=lambda f: f.__name__)
@needs_fork
def test_an_endless_answer_is_ended(answer, monkeypatch):
    monkeypatch.setattr(attempt, "SECONDS", 1.0)
    start = time.monotonic()
    result = check("0.1", answer)
    assert time.monotonic() - start < 3
    assert result.status == ("passed" if answer is grandparent else "error")


def test_an_endless_answer_is_given_less_than_ten_seconds():
    assert attempt.SECONDS <= 9


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raiser(SystemExit(0)), "end Python"),
        (raiser(KeyboardInterrupt()), "end Python"),
        (raiser(GeneratorExit()), "GeneratorExit"),
        (raiser(UnprintableError()), "UnprintableError"),
        (recursive, "without end"),
        (greedy, "your code stopped"),
        (asking, "keyboard"),
        pytest.param(dying, "Python itself", marks=needs_fork),
        pytest.param(hoarder, "memory", marks=needs_fork),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_hostile_answer_is_an_error(answer, words):
    result = check("0.1", answer)
    assert result.status == "error"
    assert words.lower() in result.message.lower()


@needs_fork
def test_megabytes_of_output_are_swallowed(capfd):
    result = check("0.1", chatty)
    assert result.status == "passed"
    assert set(result.printed) == {"x"}
    assert len(result.printed) <= attempt.PRINTED
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "answer",
    [
        lambda c: Hostile(),
        lambda c: c.sum(0).as_subclass(AlwaysEqual),
        lambda c: c.sum(1).to_sparse().bool(),
        lambda c: torch.nn.Parameter(c.sum(0)),
        lambda c: (x for x in c),
        lambda c: torch.zeros(3000, 3000),
        pytest.param(patching, marks=needs_fork),
    ],
)
def test_an_odd_result_is_wrong(answer):
    assert check("0.1", answer).status in ("wrong", "error")
    assert not torch.equal(torch.ones(1), torch.zeros(1))


class OddModule(nn.Module):
    """A module that answers every call with the same thing."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.weight = answer, nn.Parameter(torch.ones(2))

    def forward(self, *arguments):
        return self.answer


ODD = [
    *(None, "text", b"bytes", 0, 1.5, True, 1j, float("nan"), [], {}, (), object(), int, np.ones(3), np.float32(2)),
    *(torch.ones(shape) for shape in ((), (1,), (3,), (3, 3), (5, 2), (4, 3, 2), (0,), (2000, 2000))),
    *(torch.tensor(0), torch.tensor([True]), torch.tensor([1j]), torch.full((3, 2), float("nan"))),
    *(torch.ones(3, 2).to_sparse(), torch.empty(3, device="meta"), (torch.ones(3), None), [torch.ones(5, 2)] * 2),
    *((torch.ones(5, 2), torch.ones(5, 3)), (torch.ones(2), torch.ones(2), torch.ones(2))),
]


@pytest.mark.parametrize("number", IDS)
@pytest.mark.usefixtures("in_thread")
def test_nothing_that_an_answer_returns_breaks_the_check(number):
    for odd in ODD:
        for answer in (lambda *a, odd=odd, **k: odd, lambda *a, odd=odd, **k: OddModule(odd)):
            result = check(number, answer)
            assert result.status in ("wrong", "error"), odd
            assert 0 < len(result.message) < 1500


def test_the_process_is_left_as_it_was():
    torch.manual_seed(5)
    state, threads, cwd = torch.get_rng_state(), torch.get_num_threads(), os.getcwd()
    stdout, ask = sys.stdout, __builtins__["input"] if isinstance(__builtins__, dict) else __builtins__.input

    def meddling(counts):
        torch.manual_seed(1)
        torch.set_num_threads(3)
        torch.set_default_dtype(torch.float64)
        os.chdir("/")
        sys.stdout = None
        return counts.sum(1)

    if hasattr(os, "fork"):
        assert check("0.1", meddling).status == "passed"
    assert check("2.4", FCLayers).status == "passed"
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), os.getcwd(), torch.get_default_dtype()) == (threads, cwd, torch.float32)
    assert sys.stdout is stdout
    assert (__builtins__["input"] if isinstance(__builtins__, dict) else __builtins__.input) is ask


@needs_fork
def test_no_child_is_left_behind():
    check("0.1", raiser(ValueError("x")))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@needs_fork
def test_no_grandchild_is_left_behind(tmp_path):
    def forking(counts):
        if os.fork() == 0:
            (tmp_path / str(os.getpid())).touch()
            time.sleep(1000)
        time.sleep(0.2)
        return counts.sum(1)

    assert check("0.1", forking).status == "passed"
    grandchildren = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    assert grandchildren
    for _ in range(100):
        if not any(_is_alive(pid) for pid in grandchildren):
            return
        time.sleep(0.05)
    raise AssertionError(f"still alive: {grandchildren}")


def _is_alive(pid):
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@needs_fork
def test_a_slow_right_answer_passes():
    def slow(counts):
        time.sleep(0.05)
        return counts.sum(1)

    assert check("0.1", slow).status == "passed"


@pytest.mark.usefixtures("in_thread")
def test_without_a_child_process_the_judgement_is_the_same(monkeypatch, capsys):
    for number in IDS:
        assert check(number, EXERCISES[number].reference).status == "passed"
    assert check("0.1", lambda c: c.sum(0)).diagnosis == "sums-over-cells"
    assert check("0.1", raiser(SystemExit(1))).status == "error"
    assert check("0.1", asking).status == "error"

    def chatting(counts):
        print("hello", counts.shape)
        return counts.sum(1)

    assert check("0.1", chatting).printed.startswith("hello torch.Size([3, 2])")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(attempt, "SECONDS", 0.3)
    assert "never ends" in check("0.1", asleep_for_a_while).message


def asleep_for_a_while(counts):
    time.sleep(1)


@pytest.mark.usefixtures("in_thread")
def test_inputs_are_safe_without_a_child_process_too():
    def vandal(counts):
        return counts.zero_().sum(1)

    assert "wrong" in check("0.1", vandal).status
    assert check("0.1", EXERCISES["0.1"].reference).status == "passed"


# --------------------------------------------------------------------------------------------------------------------
# The decorator
# --------------------------------------------------------------------------------------------------------------------


def test_a_right_answer_goes_on(capsys):
    def library_size(counts):
        return counts.sum(1)

    assert exercise("0.1")(library_size) is library_size
    assert capsys.readouterr().out == "✓ 0.1 library_size: correct. The lesson goes on with yours.\n"
    assert progress()["0.1"] == {"status": "passed", "attempts": 1, "hints": 0, "solution": False}


@pytest.mark.parametrize("number", IDS)
def test_any_single_wrong_answer_yields_the_reference(number, capsys):
    one = EXERCISES[number]
    first_mistake = next(iter(one.mistakes.values()))[0]
    for answer in (None, "text", dots, first_mistake, raiser(SystemExit(2)), lambda *arguments: 0):
        assert exercise(number)(answer) is one.reference
        assert len(capsys.readouterr().out.splitlines()) <= 6


def test_what_the_learner_printed_and_another_name_are_mentioned(capsys):
    @exercise("0.1")
    def totals(counts):
        print("shape", tuple(counts.shape))
        return counts.sum(1)

    out = capsys.readouterr().out
    assert "Your code printed: shape (3, 2)" in out
    assert "you call it totals, and the lesson looks for library_size" in out
    assert "goes on with yours" not in out


def test_a_blank_is_no_attempt(capsys):
    assert exercise("0.1")(dots) is EXERCISES["0.1"].reference
    out = capsys.readouterr().out
    assert "not done yet" in out
    assert 'hint("0.1")' in out
    assert progress()["0.1"]["attempts"] == 0


# --------------------------------------------------------------------------------------------------------------------
# Hints, solutions, progress
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", IDS)
def test_two_hints_then_the_solution(number, capsys):
    one = EXERCISES[number]
    hint(number)
    first = capsys.readouterr().out
    assert one.hints[0] in first
    assert one.hints[1] not in first
    hint(number)
    second = capsys.readouterr().out
    assert one.hints[1] in second
    assert f'solution("{number}")' in second
    hint(number)
    assert capsys.readouterr().out == second
    solution(number)
    shown = capsys.readouterr().out
    assert shown == without_docstrings(source_of(one.plain or one.reference)) + "\n"
    assert '"""' not in shown
    assert progress()[number]["hints"] == 2
    assert progress()[number]["solution"] is True


def test_what_was_passed_stays_passed():
    exercise("0.1")(lambda c: c.sum(1))
    exercise("0.1")(lambda c: c.sum(0))
    assert progress()["0.1"] == {"status": "passed", "attempts": 1, "hints": 0, "solution": False}


def test_reset_begins_again(capsys):
    exercise("0.1")(lambda c: c.sum(1))
    hint("0.1")
    capsys.readouterr()
    reset("0.1")
    assert progress()["0.1"] == {"status": "not_attempted", "attempts": 0, "hints": 0, "solution": False}
    out = capsys.readouterr().out
    assert '@exercise("0.1")\ndef library_size(counts: Tensor) -> Tensor:\n    ...  # your code' in out


def test_progress_travels_by_a_code(tmp_path, monkeypatch):
    exercise("0.1")(lambda c: c.sum(1))
    hint("0.2")
    code = export_progress()
    assert re.fullmatch(r"[\w-]+", code)
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "another machine"))
    exercise("0.2")(lambda c, t=1e4: torch.log1p(c / c.sum(1, keepdim=True) * t))
    assert progress()["0.1"]["status"] == "not_attempted"
    joined = import_progress(f"  {code[:20]}\n{code[20:]} ")
    assert joined == progress()
    assert joined["0.1"]["status"] == "passed"
    assert joined["0.2"] == {"status": "passed", "attempts": 1, "hints": 1, "solution": False}


def test_a_damaged_code_is_refused_and_changes_nothing():
    exercise("0.1")(lambda c: c.sum(1))
    before, code = progress(), export_progress()
    for damaged in (
        code[:-5],
        code[5:],
        "",
        "hello",
        "ü",
        code[:10] + ("A" if code[10] != "A" else "B") + code[11:],
        None,
        3,
    ):
        with pytest.raises(ValueError, match="not a progress code"):
            import_progress(damaged)
    assert progress() == before


def test_a_code_with_impossible_content_is_refused():
    import base64
    import json
    import zlib

    def packed(content):
        return base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode()

    for content in ([], {"0.1": 3}, {"0.1": {"status": "genius"}}, {"0.1": {"attempts": "many"}}, {"0.1": {"x": 1}}):
        with pytest.raises(ValueError, match="not a progress code"):
            import_progress(packed(content))
    with pytest.raises(ValueError, match="not a progress code"):
        import_progress(base64.urlsafe_b64encode(zlib.compress(b" " * 10**8)).decode())


def test_a_damaged_record_is_put_aside(capsys):
    exercise("0.1")(lambda c: c.sum(1))
    record.path().write_text("{half a record")
    assert progress()["0.1"]["status"] == "not_attempted"
    assert "cannot be read" in capsys.readouterr().err
    assert record.path().with_suffix(".unreadable.json").read_text() == "{half a record"


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "file" / "below"))

    def library_size(counts):
        return counts.sum(1)

    assert exercise("0.1")(library_size) is library_size
    assert "not kept" in capsys.readouterr().err


def test_without_the_variable_the_record_is_in_the_users_folder(monkeypatch):
    monkeypatch.delenv("VAE_COURSE_HOME")
    assert record.path().name == "progress.json"
    assert record.path().parent.name == "vae_course"


# --------------------------------------------------------------------------------------------------------------------
# Blanks and solutions
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", IDS)
def test_a_blank_keeps_signature_and_docstring_and_nothing_else(number):
    source = source_of(EXERCISES[number].reference)
    blank = blanked(source)
    assert without_docstrings(blank).count("...  # your code") == (
        2 if isinstance(EXERCISES[number].reference, type) else 1
    )
    assert blank.startswith(source.split("\n")[0])
    for line in solution_lines(source):
        if len(line) > 5:
            assert line not in [kept.strip() for kept in blank.splitlines()]
    compile(blank, "blank", "exec")


def test_one_hot_of_the_course_is_the_learners(monkeypatch):
    """The layers of exercise 2.4 reach one_hot through a global: in a lesson it is the learner's."""
    seen = []
    monkeypatch.setattr("vae_course.nn.one_hot", lambda *arguments: seen.append(1) or one_hot(*arguments))
    FCLayers(2, 3, [2])(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert seen == [1]


def test_cases_are_made_anew_for_every_attempt():
    for one in EXERCISES.values():
        for first, second in itertools.pairwise([one.cases(), one.cases()]):
            for a, b in zip(first, second, strict=True):
                tensors = [(x, y) for x, y in zip(a.arguments, b.arguments, strict=True) if isinstance(x, torch.Tensor)]
                assert all(torch.equal(x, y) and x.data_ptr() != y.data_ptr() for x, y in tensors)


def test_what_a_reader_skipped_comes_from_the_package_and_what_he_wrote_stays():
    def one_hot_of_mine(index, n_categories):
        return index

    names = {"one_hot": one_hot_of_mine}
    catch_up(names, "vae_course.nn.one_hot", "vae_course.nn.FCLayers")
    assert names == {"one_hot": one_hot_of_mine, "FCLayers": FCLayers}


def test_an_excerpt_holds_the_methods_asked_for():
    text = excerpt(source_of(FCLayers), ["forward"], base="nn.Module")
    assert text.splitlines()[:2] == [
        "class FCLayers(nn.Module):",
        "    def forward(self, x: Tensor, *cat_list: Tensor | None) -> Tensor:",
    ]
    assert '"""Pass x through the layers."""' in text
    assert "Parameters" not in text
    whole = source_of(FCLayers)
    assert text.endswith(whole[whole.index("        covariates = ") :])


def test_names_beside_are_those_of_the_same_module():
    from vae_course.distributions import scvi_kl

    assert names_beside(scvi_kl) == ["kl_normal", "kl_standard_normal"]
    assert names_beside(one_hot) == []
