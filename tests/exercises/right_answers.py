"""Right answers to every exercise in the styles that people write them in, the least usual last."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vae_course.distributions import zinb_log_prob
from vae_course.exercises.e3_5.answer import diagnose as right_diagnosis
from vae_course.nn import DecoderSCVI, Encoder, FCLayers, one_hot
from vae_course.vae import VAE


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


def epoch_with_another_optimizer(model, minibatches, optimizer):
    return epoch_with_a_closure(model, minibatches, torch.optim.SGD(model.parameters(), lr=0.02))


def epoch_with_large_steps(model, minibatches, optimizer):
    for group in optimizer.param_groups:
        group["lr"] *= 3
    return epoch_with_a_closure(model, minibatches, optimizer)


def nb_by_distributions(x, mu, theta):
    logits = mu.double().log() - theta.double().log()
    log_p = torch.distributions.NegativeBinomial(theta.double(), logits=logits).log_prob(x.double())
    return torch.where((x == 0) & (mu == 0), 0.0, log_p)


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


def gap_cell_by_cell(log_joint, log_q, log_px):
    bounds, gaps = [], []
    for joint, q, evidence in zip(log_joint.T, log_q.T, log_px, strict=True):
        bounds.append(sum(a - b for a, b in zip(joint, q, strict=True)) / len(joint))
        gaps.append(evidence - bounds[-1])
    return torch.stack(bounds), torch.stack(gaps)


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


class ModelOfThePackage(VAE):
    def __init__(self, n_input, n_batch=0, n_hidden=128, n_latent=10):
        super().__init__(n_input, n_batch, n_hidden=n_hidden, n_latent=n_latent)


class ModelByHand(nn.Module):
    """Draws, picks and adds by its own lines."""

    def __init__(self, n_input, n_batch=0, n_hidden=128, n_latent=10):
        super().__init__()
        self.several = n_batch > 1
        self.px_r = nn.Parameter(torch.zeros(n_input).normal_())
        self.z_encoder = Encoder(n_input, n_latent, None, 1, n_hidden, 0.1)
        self.l_encoder = Encoder(n_input, 1, None, 1, n_hidden, 0.1)
        self.decoder = DecoderSCVI(n_latent, n_input, n_cat_list=[n_batch] if self.several else None, n_hidden=n_hidden)
        self.register_buffer("library_log_means", torch.zeros(1, n_batch or 1))
        self.register_buffer("library_log_vars", torch.ones(1, n_batch or 1))

    def gaussian(self, encoder, x):
        hidden = encoder.encoder(x)
        mean, var = encoder.mean_encoder(hidden), encoder.var_encoder(hidden).exp() + 1e-4
        return mean, var, mean + torch.randn_like(mean) * var**0.5

    def inference(self, x, batch_index=None):
        found = {}
        found["qz_m"], found["qz_v"], found["z"] = self.gaussian(self.z_encoder, (1 + x).log())
        found["ql_m"], found["ql_v"], found["library"] = self.gaussian(self.l_encoder, (1 + x).log())
        codes = [batch_index] if self.several else []
        decoded = self.decoder("gene", found["z"], found["library"], *codes)
        found["px_scale"], found["px_rate"], found["px_dropout"] = (decoded[i] for i in (0, 2, 3))
        return dict(found, px_r=self.px_r.exp())

    def loss_terms(self, x, batch_index=None):
        f = self.inference(x, batch_index)
        column = batch_index.flatten() if self.several else torch.zeros(len(x), dtype=torch.long)
        mean, var = self.library_log_means[0, column], self.library_log_vars[0, column]  # (cells,)
        q_l, p_l = (
            torch.distributions.Normal(m, v.sqrt()) for m, v in ((f["ql_m"][:, 0], f["ql_v"][:, 0]), (mean, var))
        )
        q_z = torch.distributions.Normal(f["qz_m"], f["qz_v"].sqrt())
        p_z = torch.distributions.Normal(torch.zeros_like(f["z"]), torch.ones_like(f["z"]))
        reconstruction = -zinb_log_prob(x, f["px_rate"], f["px_r"], f["px_dropout"]).sum(1)
        kl = torch.distributions.kl_divergence
        return reconstruction, kl(q_l, p_l), kl(q_z, p_z).sum(1)


class ModelInFloat64(ModelByHand):
    def loss_terms(self, x, batch_index=None):
        return [term.double() for term in super().loss_terms(x, batch_index)]


def fdr_by_sorting(prob_de):
    """Running means in sorted order; of genes that are equally probable the last one's counts."""
    probable, order = prob_de.sort(descending=True)
    means = (1 - probable).cumsum(0) / torch.arange(1, len(prob_de) + 1)
    last = torch.searchsorted(-probable, -probable, right=True) - 1
    fdr = torch.empty_like(means)
    fdr[order] = means[last]
    return fdr


def fdr_by_matrix(prob_de):
    called = (prob_de[None, :] >= prob_de[:, None]).double()  # (genes, genes), a list a row
    return called @ (1 - prob_de.double()) / called.sum(1)


def fdr_in_numpy(prob_de):
    p = prob_de.numpy().astype("float64")
    return torch.from_numpy(np.array([np.mean(1 - p[p >= one]) for one in p]))


def fdr_in_python(prob_de):
    p = prob_de.tolist()
    lists = [[1 - other for other in p if other >= one] for one in p]
    return torch.tensor([sum(one) / len(one) for one in lists])


def finish_by_growing_momentum(model, minibatches):
    """Weigh the minibatch number k with 1 / k."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = {norm: norm.momentum for norm in norms}
    model.train()
    for k, x in enumerate(minibatches):
        for norm in norms:
            norm.momentum = 1 / (k + 1)
        with torch.no_grad():
            model.inference(x)
    for norm in norms:
        norm.momentum = before[norm]
    model.eval()


def finish_by_hooks(model, minibatches):
    """Average the moments of what comes to every layer."""
    seen = {module: [] for module in model.modules() if isinstance(module, nn.BatchNorm1d)}
    hooks = [norm.register_forward_pre_hook(lambda norm, given: seen[norm].append(given[0])) for norm in seen]
    model.train()
    with torch.inference_mode():
        for x in list(minibatches):
            model.inference(x)
    for hook in hooks:
        hook.remove()
    for norm, inputs in seen.items():
        norm.running_mean = torch.stack([h.mean(0) for h in inputs]).mean(0).clone()
        norm.running_var = torch.stack([h.var(0) for h in inputs]).mean(0).clone()
    model.train(False)


def finish_with_update_bn(model, minibatches):
    """PyTorch has it; it calls the model, and leaves it in the mode that it was in."""

    class Passing(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner.inference(x)

    torch.optim.swa_utils.update_bn(minibatches, Passing())
    model.eval()


def unlabelled_by_distributions(elbo_by_label, log_q_y):
    """A distribution has its entropy, also where a probability is 0."""
    q = torch.distributions.Categorical(logits=log_q_y)
    return (q.probs * elbo_by_label).sum(-1) + q.entropy()


def unlabelled_in_place(elbo_by_label, log_q_y):
    terms = elbo_by_label - log_q_y
    terms[torch.isinf(terms)] = 0
    return torch.einsum("ck,ck->c", terms, log_q_y.exp())


def unlabelled_in_python(elbo_by_label, log_q_y):
    """Cell by cell, in Python's own numbers."""
    rows = zip(elbo_by_label.double().tolist(), log_q_y.double().tolist(), strict=True)
    return torch.tensor([math.fsum(math.exp(q) * (e - q) for e, q in zip(*row, strict=True) if math.exp(q) > 0)
                         for row in rows], dtype=torch.float64)  # fmt: skip


class SplitLinear(nn.Linear):
    """A layer whose input has one more block of columns, somewhere inside."""

    def __init__(self, layer, start, n_new):
        super().__init__(layer.in_features + n_new, layer.out_features)
        self.start, self.n_new = start, n_new
        del self.weight, self.bias
        self.register_buffer("old", layer.weight.detach().clone())
        self.register_buffer("bias", layer.bias.detach().clone())
        self.new = nn.Parameter(torch.zeros(len(self.bias), n_new))

    def forward(self, x):
        new = x[..., self.start : self.start + self.n_new]
        rest = torch.cat([x[..., : self.start], x[..., self.start + self.n_new :]], dim=-1)
        return rest @ self.old.T + self.bias + new @ self.new.T


class ByTheAverages(nn.Module):
    """Batch normalisation without a mode."""

    def __init__(self, norm):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(norm, name).detach().clone())
        self.eps = norm.eps

    def forward(self, h):
        return (h - self.running_mean) / (self.running_var + self.eps).sqrt() * self.weight + self.bias


def grow_by_own_layers(model, n_new):
    """A copy whose layers are replaced one by one."""
    grown = copy.deepcopy(model)
    grown.requires_grad_(False)
    grown.n_batch += n_new
    grown.options = {**model.options, "n_batch": grown.n_batch}
    sizes = grown.decoder.px_decoder.n_cat_list = [grown.n_batch, *model.decoder.px_decoder.n_cat_list[1:]]
    for network in (grown.z_encoder.encoder, grown.l_encoder.encoder, grown.decoder.px_decoder):
        for layer in network.fc_layers:
            layer[1] = ByTheAverages(layer[1])
    for layer in grown.decoder.px_decoder.fc_layers:
        layer[0] = SplitLinear(layer[0], layer[0].in_features - sum(sizes[1:]), n_new)
    for name in ("library_log_means", "library_log_vars"):
        grown.register_buffer(name, F.pad(getattr(model, name), (0, n_new), value=torch.nan))
    if model.dispersion == "gene-batch":
        px_r = torch.cat([model.px_r.detach(), *[model.px_r.detach()[:, :1]] * n_new], dim=1)
        grown.px_r = nn.Parameter(px_r, requires_grad=False)
    return grown


class Masked(nn.Module):
    def __init__(self, weight, learns):
        super().__init__()
        self.register_buffer("kept", weight.detach().clone())
        self.register_buffer("learns", learns)

    def forward(self, weight):
        return torch.where(self.learns, weight, self.kept)


def grow_by_masks(model, n_new):
    """The parameter is whole, and only some of its columns are used; averages are kept by hooks."""
    grown = VAE(**{**model.options, "n_batch": model.n_batch + n_new})
    grown.requires_grad_(False)
    weights = {}
    for name, weight in model.state_dict().items():
        if name.startswith("library"):
            weight = torch.cat([weight, weight.new_full((1, n_new), torch.nan)], 1)
        elif name == "px_r" and model.dispersion == "gene-batch":
            weight = torch.cat([weight, weight.mean(1, keepdim=True).repeat(1, n_new)], 1)
        elif "px_decoder.fc_layers" in name and name.endswith(".0.weight"):
            sizes = [weight.shape[1] - sum(model.decoder.px_decoder.n_cat_list), *model.decoder.px_decoder.n_cat_list]
            z, batch, *rest = weight.split([n for n in sizes if n], dim=1)
            weight = torch.cat([z, batch, 0.1 * torch.ones(len(weight), n_new), *rest], 1)
        weights[name] = weight
    grown.load_state_dict(weights)
    for layer in grown.decoder.px_decoder.fc_layers:
        linear, others = layer[0], sum(model.decoder.px_decoder.n_cat_list[1:])
        columns = torch.arange(linear.in_features)
        learns = (columns >= linear.in_features - others - n_new) & (columns < linear.in_features - others)
        nn.utils.parametrize.register_parametrization(linear, "weight", Masked(linear.weight, learns))
        linear.parametrizations.weight.original.requires_grad_(True)
    for norm in grown.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.register_forward_pre_hook(lambda norm, _: (norm.eval(), None)[1])
    return grown


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
    "3.2": [epoch_with_a_weighted_mean, epoch_with_a_closure],
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
    "4.6": [
        lambda a, b, p: ((a - b).mean(0), (b - (a - p)).mean(0)),
        gap_cell_by_cell,
        lambda a, b, p: (torch.einsum("sn->n", a - b) / len(a), p + (b.sum(0) - a.sum(0)) / len(a)),
        lambda a, b, p: [(e := a.double().mean(0) - b.mean(0)), p - e],
    ],
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
    "5.9": [ModelOfThePackage, ModelByHand, ModelInFloat64],
    "5.10": [fdr_by_sorting, fdr_by_matrix, fdr_in_numpy, fdr_in_python],
    "5.11": [finish_by_growing_momentum, finish_by_hooks, finish_with_update_bn],
    "6.1": [
        unlabelled_by_distributions,
        unlabelled_in_place,
        lambda e, a: torch.where(a > -1000, a.exp() * (e - a), 0).sum(-1),
        lambda e, a: torch.sum(a.exp() * e + torch.special.entr(a.exp()), dim=1),
        unlabelled_in_python,
    ],
    "6.2": [grow_by_masks, grow_by_own_layers],
}
