# %% [markdown]
# # Lesson 5 · From our VAE to scVI, and the comparison
#
# {{links}}
#
# **You will be able to**
#
# - choose a distribution for counts, write it so that it does not break, and say which genes need extra zeros
#   (exercises 5.1 and 5.2, quiz 1)
# - write scVI's decoder and its dispersion, and say what each head means (exercises 5.3 and 5.4, quiz 3)
# - tell the library's prior, its posterior and the observed total apart, and compute both KLs (exercise 5.5, quiz 2)
# - build scVI from a blank class, out of your own parts, and train it to its end (exercise 5.9, quiz 4)
# - ask a trained model, and read its numbers without mistaking one for another (quiz 5, quiz 6, quiz 8)
# - read a comparison of two programs, and find your way in scvi-tools (quiz 7, quiz 9)
#
# **Time:** about {{minutes}} minutes, exercises included: two or three evenings. **You need:** lessons 0 to 4.
# (Exercises keep their numbers: 5.9 stands in section 5.8, quiz 9 in 5.17.)
#
# | part | sections | minutes | what you have at its end |
# |---|---|---|---|
# | counts | 5.1 to 5.3 | {{minutes 5.1-5.3}} | the distribution of a count |
# | the parts | 5.4 to 5.7 | {{minutes 5.4-5.7}} | library, decoder, dispersion, two KLs |
# | **your scVI** | 5.8 to 5.10 | {{minutes 5.8-5.10}} | the model, written, trained, and asked |
# | the comparison | 5.11 to 5.18 | {{minutes 5.11-5.18}} | its numbers beside scvi-tools', and what it is good for |
#
# Take a break where a part ends: each begins with `catch_up`, which brings back your answers that passed. In a new
# session run the set-up cell and go on there. Stuck in an exercise? `hint("5.1")`, twice, then `solution("5.1")`.

# %% setup=true
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import vae_course as vc
from vae_course.exercises import catch_up, exercise, hint, progress, quiz, solution, whose

# %% [markdown]
# ## 5.1 Counts: why a Poisson is too narrow
#
# **Question.** Lessons 3 and 4 trained on bits: a gene is detected or not. What did that cost us?

# %%
data = vc.load_pbmc()
counts = torch.from_numpy(data.counts.toarray())  # (cells, genes)
total = counts.sum(dim=1, keepdim=True)  # (cells, 1), the library sizes of lesson 0
genes, cell_type = data.gene_names.tolist(), data.label_names[data.labels]  # cell_type (cells,)
for name in ("CD14+ Monocyte", "Dendritic"):
    x = counts[torch.from_numpy(cell_type == name), genes.index("LYZ")]  # (cells of the type,)
    print(f"{name:15} {len(x)} cells   LYZ detected in {(x > 0).float().mean():.0%}   mean count {x.mean():.1f}")

# %% [markdown]
# To a Bernoulli the two groups are alike, yet one makes six times as much LYZ. We need a probability for 0, 1, 2, 3 and
# so on. (A Gaussian on $\log(1 + x)$ puts weight between the counts and below zero.)
#
# The simplest distribution of counts is the **Poisson**. Gene $g$ has the share $s_g$ of all molecules and cell $i$ the
# total $N_i$, so we expect $\mu = N_i s_g$ molecules (`mu`), and
#
# $$\log p(x) = x \log\mu - \mu - \log x!$$
#
# A Poisson's variance equals its mean. Take HLA-DRA in the 129 cells labelled CD14+ Monocyte. At their totals a Poisson
# would show a variance of 12.
#
# **Predict.** What does the gene show? (a) 12, as the Poisson says. (b) About 20. (c) More than 40.

# %%
from vae_course.distributions import poisson_log_prob

monocyte = torch.from_numpy(cell_type == "CD14+ Monocyte")  # (cells,)
x, n = counts[monocyte][:, [genes.index("HLA-DRA")]], total[monocyte]  # (monocytes, 1) each
mu_poisson = n * x.sum() / n.sum()  # (monocytes, 1)
print(f"a Poisson at these totals has variance {mu_poisson.mean() + mu_poisson.var():.1f}")
print(f"the gene:  mean {x.mean():.1f}   variance {x.var():.1f}")

# %% [markdown]
# (c): four times as much. Genes are read in bursts, labels mix kinds of cells, and a Poisson has no room for that.
# Drawn: the shares of cells with each count (grey), and what Poissons at these totals expect.

# %% fold="What is drawn"
k = torch.arange(0, 36.0)  # (counts,)
observed = torch.bincount(x[:, 0].long(), minlength=36)[:36] / len(x)  # (counts,)
poisson = poisson_log_prob(k, mu_poisson).exp().mean(dim=0)  # (monocytes, counts) -> (counts,)
ax = vc.plots.panels(1, 3.2, 6)[0]
ax.bar(k, observed, color="0.8", label="129 monocytes")
vc.plots.lines(k, {"Poisson, given each total": poisson}, ax, xlabel="count of HLA-DRA", ylabel="share of cells")
vc.plots.show(ax, alt="Observed counts of HLA-DRA spread from 1 to 33; the Poisson allows only about 2 to 20.")

# %% [markdown]
# ## 5.2 The negative binomial
#
# **Question.** What is the least we must add to a Poisson so that it can be wide?
#
# **Idea.** Let the rate itself vary. Draw a positive rate $\lambda$ with mean $\mu$ from a **Gamma** distribution, then
# a Poisson count with that rate. The Gamma's shape $\theta$ (`theta`) says how tightly the rates sit around their mean:
# $\operatorname{var}(\lambda) = \mu^2/\theta$. The counts have mean $\mu$ still, and their variance is that within a
# rate plus that of the rates:
#
# $$\operatorname{var}(x) = \mathbb E[\lambda] + \operatorname{var}(\lambda) = \mu + \frac{\mu^2}{\theta}.$$
#
# Two steps, a hundred thousand cells:

# %% tags=["volatile"]
torch.manual_seed(0)
mu, theta = torch.tensor(2.5), torch.tensor(1.7)
rate = torch.distributions.Gamma(theta, theta / mu).sample((100_000,))  # (cells,): shape, then 1 / scale
two_steps = torch.poisson(rate)  # (cells,)
print(f"mean     {two_steps.mean():.2f}   formula {mu:.2f}")
print(f"variance {two_steps.var():.2f}   formula {mu + mu**2 / theta:.2f}")
assert abs(two_steps.var() - 6.18) < 0.3

# %% [markdown]
# This is the **negative binomial** ([Grün et al. 2014](https://doi.org/10.1038/nmeth.2930)). $\theta$ is called the
# *inverse dispersion*: small $\theta$, wide counts. Summed over all rates that may have made a count, its probability
# has a closed form. With $\Gamma$, the factorial of numbers that need not be whole ($\Gamma(n + 1) = n!$; its logarithm
# is `torch.lgamma`),
#
# $$\log p(x) = \log\Gamma(x+\theta) - \log\Gamma(\theta) - \log\Gamma(x + 1)
# + \theta \log\frac{\theta}{\theta+\mu} + x \log\frac{\mu}{\theta+\mu} .$$
#
# <details><summary>The integral</summary>
#
# Poisson times Gamma, with the powers of $\lambda$ collected:
#
# $$p(x) = \int_0^\infty \frac{\lambda^x e^{-\lambda}}{x!} \cdot
# \frac{(\theta/\mu)^{\theta}}{\Gamma(\theta)}\,\lambda^{\theta - 1} e^{-\lambda\theta/\mu}\,d\lambda
# = \frac{(\theta/\mu)^{\theta}}{x!\,\Gamma(\theta)}
# \int_0^\infty \lambda^{x+\theta - 1} e^{-c\lambda}\,d\lambda, \qquad c = 1 + \frac{\theta}{\mu} .$$
#
# Under the integral stands a Gamma density without its constant. Every density has area 1, so the integral is
# $\Gamma(x+\theta)\,c^{-(x+\theta)}$. With $1/c = \mu/(\theta+\mu)$ the logarithm is the formula above.
#
# </details>
#
# **A limit to know.** Let $\theta$ grow: the rates shrink onto their mean, and the negative binomial becomes the
# Poisson. So for genes without overdispersion a fit drives $\theta$ to $10^5$ and beyond.
#
# **Predict.** Type the formula as it stands, in float32, at $\theta = 10^5$. The answer is near $-1.9$. How far off
# will it be? (a) Less than 0.001. (b) About 0.1. (c) It is NaN.


# %%
def typed_as_it_stands(x, mu, theta):
    """Log-probability of the negative binomial, formula as printed."""
    gammas = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return gammas + theta * torch.log(theta / (theta + mu)) + x * torch.log(mu / (theta + mu))


# %% tags=["volatile"]
seven, errors = torch.tensor(7.0), []
for large in (10.0, 1e3, 1e5, 1e7):
    exact = typed_as_it_stands(seven.double(), seven.double(), torch.tensor(large).double()).item()
    errors.append(abs(typed_as_it_stands(seven, seven, torch.tensor(large)).item() - exact))
    print(f"theta {large:8g}   exact {exact:.4f}   error of float32 {errors[-1]:.4f} nats")
assert errors[0] < 0.001
assert max(errors[2:]) > 0.05

# %% [markdown]
# (b), at $10^7$ even a whole nat. Float32 keeps seven digits. Each $\log\Gamma$ is about a
# million here, so the seventh digit is a tenth of a nat, and we want the *difference* of two such numbers.
# (scvi-tools 1.4 has this error: [issue 2965](https://github.com/scverse/scvi-tools/issues/2965).) Two changes mend it.
# Compute in float64, which keeps sixteen digits. And never form $\theta+\mu$ inside a logarithm, where a small $\mu$
# drowns; divide by $\theta$ above and below:
#
# $$\log\frac{\theta}{\theta+\mu} = -\log\Big(1 + \frac{\mu}{\theta}\Big), \qquad
# \log\frac{\mu}{\theta+\mu} = \log\frac{\mu}{\theta} - \log\Big(1 + \frac{\mu}{\theta}\Big).$$
#
# `torch.log1p(u)` is $\log(1 + u)$; `torch.xlogy(x, y)` is $x \log y$, and 0 at $x = 0$.

# %% [markdown]
# Given counts `x`, means `mu` and inverse dispersions `theta`, return the log-probability of each count. By hand, at
# $\mu = \theta = 1$: each further count halves the probability, so $x = 0, 1, 2$ have
# $\tfrac12, \tfrac14, \tfrac18$, and you return $-0.6931$, $-1.3863$, $-2.0794$.
#
# In: tensors whose shapes broadcast, such as `x` and `mu` (cells, genes), `theta` (genes,). Out: the broadcast shape,
# nothing summed. Mind the range: counts up to 100,000 and $\theta$ from $10^{-4}$ to $10^8$, where the answer must hold
# to five digits; at $\mu = 0$ only $x = 0$ is possible. `x.double()` is float64, and a float64 answer is welcome.
# Gradients must reach `mu` and `theta`.

# %% exercise="5.1" source="vae_course.distributions.nb_log_prob" minutes=12 difficulty=2 plain=true

# %% [markdown]
# Now the gene. Find $\theta$ by walking downhill on minus the log-probability (lesson 2). We search its logarithm,
# since any number is the logarithm of something positive:


# %%
def fit(log_prob, x: Tensor, total: Tensor, *starts: float, n_steps: int = 120) -> list[Tensor]:
    """Fit every gene's log share and further parameters by gradient steps; return them, (genes,) each."""
    log_share = (x.sum(dim=0) / total.sum()).log()  # (genes,)
    fitted = [log_share, *(torch.full_like(log_share, start) for start in starts)]
    optimizer = torch.optim.Adam([parameter.requires_grad_() for parameter in fitted], lr=0.1)
    for _ in range(n_steps):
        loss = -log_prob(x, total * fitted[0].exp(), *fitted[1:]).mean(dim=0).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach() for parameter in fitted]


def nb(x, mu, log_theta):
    """Your negative binomial, with the logarithm of theta."""
    return nb_log_prob(x, mu, log_theta.exp())


# %% tags=["volatile"]
log_share, log_theta = fit(nb, x, n, 0.0)  # (1,) each
mu_nb = n * log_share.exp()  # (monocytes, 1)
gain = nb(x, mu_nb, log_theta).mean() - poisson_log_prob(x, mu_poisson).mean()
print(f"HLA-DRA in monocytes: theta = {log_theta.exp().item():.1f}, worth {gain:.2f} nats per cell over the Poisson")
assert 2.8 < log_theta.exp() < 4.6
assert 0.5 < gain < 0.9

# %% [markdown]
# Two thirds of a nat per cell, from one gene of 765.

# %% fold="What is drawn"
ax = vc.plots.panels(1, 3.2, 6)[0]
ax.bar(k, observed, color="0.8", label="129 monocytes")
curves = {"Poisson, given each total": poisson, "negative binomial": nb(k, mu_nb, log_theta).exp().mean(dim=0)}
vc.plots.lines(k, curves, ax, xlabel="count of HLA-DRA", ylabel="share of cells")
vc.plots.show(ax, alt="The negative binomial follows the counts of HLA-DRA from 1 to 33; the Poisson is too narrow.")

# %% [markdown]
# ## 5.3 Extra zeros, and who needs them
#
# **Question.** Two thirds of the matrix are zeros. Do we need a distribution with zeros on top?
#
# **Idea.** Throw a coin first. With probability $\pi$ the count is 0 whatever the rest says: the molecule was lost, a
# *dropout*. Otherwise it is negative binomial. That is the **zero-inflated negative binomial**, ZINB:
#
# $$p(0) = \pi + (1 - \pi)\,\mathrm{NB}(0), \qquad p(x) = (1 - \pi)\,\mathrm{NB}(x) \quad\text{for } x>0 .$$
#
# A network puts out the logit $a$ of $\pi = \sigma(a)$ (`zi_logits`), and lesson 1 has the logarithms of both outcomes:
# $\log\pi = -\text{softplus}(-a)$ and $\log(1 - \pi) = -\text{softplus}(a)$. Above zero we add:
#
# $$\log p(x) = \log \mathrm{NB}(x) - \text{softplus}(a).$$
#
# At zero we have the logarithm of a sum of two exponentials. With $A = \log\mathrm{NB}(0)$, pull the first one out; a
# softplus is left:
#
# $$\log p(0) = \log\big(e^{-\text{softplus}(-a)} + e^{A - \text{softplus}(a)}\big)
# = \text{softplus}(A - a) - \text{softplus}(-a) .$$

# %%
import torch.nn.functional as F

a, A = torch.tensor(-1.0), -1.7 * torch.log1p(torch.tensor(2.5 / 1.7))  # mu 2.5, theta 1.7
pi = torch.sigmoid(a)
print(f"through probabilities {torch.log(pi + (1 - pi) * A.exp()):.4f}", end="   ")
print(f"softplus {F.softplus(A - a) - F.softplus(-a):.4f}")

# %% [markdown]
# The same number, but only the second way survives a loud gene, whose $\mathrm{NB}(0)$ underflows to 0.

# %% [markdown]
# Given `x`, `mu`, `theta` and `zi_logits`, return the log-probability of each count. Call your `nb_log_prob`. By
# hand, at $\mu = \theta = 1$ and logit 0: $x = 0$ has 0.75, so $-0.2877$; $x = 1$ has $\tfrac12 \cdot \tfrac14$, so
# $-2.0794$.
#
# In: four tensors whose shapes broadcast. Out: the broadcast shape, nothing summed.
# `torch.where(condition, this, that)` picks entry by entry. Precision as in exercise 5.1, logits from $-30$ to 30.

# %% exercise="5.2" source="vae_course.distributions.zinb_log_prob" minutes=12 difficulty=2 plain=true

# %% [markdown]
# **Which real genes need it?** Fit NB and ZINB to two thirds of the cells, score the other third. We take the 100
# loudest genes, since quiet ones cannot tell the two apart.
#
# **Predict.** What will extra zeros be worth over the NB, for a hundred genes *together*? (a) About a hundred nats. (b)
# About ten. (c) About one.


# %%
def zinb(x, mu, log_theta, zi_logits):
    """Your zero-inflated negative binomial, with the logarithm of theta."""
    return zinb_log_prob(x, mu, log_theta.exp(), zi_logits)


def held_out_gain(x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return what extra zeros gain in the held-out cells, (held-out cells, genes), and every gene's pi, (genes,)."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    test, train = order[: len(x) // 3], order[len(x) // 3 :]
    share, *of_nb = fit(nb, x[train], total[train], 0.0)
    zinb_share, *of_zinb = fit(zinb, x[train], total[train], 0.0, -2.0)
    without = nb(x[test], total[test] * share.exp(), *of_nb)
    return zinb(x[test], total[test] * zinb_share.exp(), *of_zinb) - without, torch.sigmoid(of_zinb[1])


# %% tags=["volatile"]
loud = counts.mean(dim=0).argsort(descending=True)[:100]  # (100,)
gain, pi = held_out_gain(counts[:, loud], total)
print(f"extra zeros, 100 genes together: {gain.sum(dim=1).mean():+.1f} nats per held-out cell")
cst3 = [genes[gene] for gene in loud.tolist()].index("CST3")
print(f"CST3 alone: {gain[:, cst3].mean():+.2f} nats, pi = {pi[cst3]:.2f}")
assert abs(gain.sum(dim=1).mean()) < 5

# %% [markdown]
# (c). One gene stands out: CST3, with $\pi$ near 0.4. Did the machine lose CST3 in 40 % of the cells? It is a myeloid
# gene; T and B cells do not make it. So fit again, inside one label:

# %% tags=["volatile"]
dendritic = torch.from_numpy(cell_type == "Dendritic")  # (cells,)
gain, pi = held_out_gain(counts[dendritic][:, loud], total[dendritic])
print(f"CST3 in the 240 cells called Dendritic: {gain[:, cst3].mean():+.2f} nats, pi = {pi[cst3]:.2f}")
assert pi[cst3] < 0.05

# %% [markdown]
# Gone. Those zeros were no dropouts but *other kinds of cells*, and a model with a latent $z$ can say so without a
# coin. That holds widely: technical controls of droplet data show no more zeros than counting explains ([Svensson
# 2020](https://doi.org/10.1038/s41587-019-0379-5)). scVI has ZINB because in 2018 zeros were widely held to be dropouts
# ([Lopez et al. 2018](https://doi.org/10.1038/s41592-018-0229-2)). It costs little, since a gene that needs no extra
# zeros gets a low logit. Gene by gene, 25 minutes: [deeper/5a](deeper/5a_which_genes_need_extra_zeros.ipynb).
#
# Now by hand: pick a gene, set $\mu$, $\theta$ and $\pi$, and watch the nats.

# %%
vc.explore.counts()

# %%
quiz("5.1")

# %% [markdown]
# ## 5.4 The library: three things with one name
#
# **Question.** Above, $\mu = N_i s_g$ used the observed total $N_i$. Is the total what we should use?
#
# The second part begins here. Its first cell also makes a second sequencing run that caught less: every second cell
# keeps each molecule with probability 0.4.

# %% tags=["volatile"]
catch_up(globals(), "1.3", "2.2", "2.4", "4.2", "5.1", "5.2")
import numpy as np

whose(kl_normal, one_hot, FCLayers, kl_standard_normal, nb_log_prob, zinb_log_prob)
data = vc.load_pbmc()
counts = data.counts.toarray()  # (cells, genes), numpy
run = np.arange(len(counts)) % 2  # (cells,), every second cell in run 1
thinned = np.random.default_rng(0).binomial(counts.astype(int), 0.4)  # (cells, genes)
shallow = np.where(run[:, None] == 1, thinned, counts)  # (cells, genes)
runs = vc.CountData(shallow, run, data.labels, data.gene_names, ["deep", "shallow"], data.label_names)
log_total = torch.from_numpy(np.log(shallow.sum(axis=1))).float()  # (cells,)

# %% [markdown]
# scVI treats a cell's size as something *unknown*: a second latent beside $z$, one number $l$ (`library`), the
# logarithm of what the rates of its genes add up to. A latent has a prior, and in logarithms totals look Gaussian. With
# one prior for both runs, every shallow cell would be charged for being small, which is the run's doing. So each batch
# $b$ has its own, measured once from its cells:
#
# $$p(l) = \mathcal N(m_b, v_b) \qquad\text{for a cell of batch } b .$$
#
# And the posterior? In a toy, let the *total* be Poisson with mean $e^l$, take one shallow cell, and multiply prior and
# likelihood on a grid (lesson 1).

# %%
from vae_course.distributions import normal_log_prob, poisson_log_prob

cell, grid = 1, torch.linspace(4, 8, 4001, dtype=torch.float64)  # a shallow cell; (points,), spacing 0.001
mean, var = (torch.tensor(float(moments[1])) for moments in (runs.library_mean, runs.library_var))
log_prior = normal_log_prob(grid, mean, var)  # (points,)
post = torch.softmax(log_prior + poisson_log_prob(log_total[cell].exp().round(), grid.exp()), dim=0)  # (points,)
post_mean = (post * grid).sum()
print(f"prior     {mean:.2f} ± {var.sqrt():.2f}   observed log total {log_total[cell]:.2f}")
print(f"posterior {post_mean:.2f} ± {((post * (grid - post_mean) ** 2).sum()).sqrt():.2f}")

# %% [markdown]
# Drawn: left, the totals of both runs with their priors; right, the one cell.

# %% fold="What is drawn"
left, right = vc.plots.panels(2, 3.2, 4.8)
for b, name in enumerate(runs.batch_names):
    left.hist(
        log_total[run == b], np.linspace(4.8, 7.6, 29), density=True, alpha=0.3, color=vc.plots.COLORS[b], label=name
    )
moments = torch.tensor(np.stack([runs.library_mean, runs.library_var]))  # (2, batches)
priors = {f"prior, {name}": normal_log_prob(grid, *moments[:, b]).exp() for b, name in enumerate(runs.batch_names)}
vc.plots.lines(grid, priors, left, xlabel="l (log counts)", ylabel="density", xlim=(4.8, 7.6), ylim=(0, 1.9))
curves = {"prior p(l)": log_prior.exp(), "posterior p(l|x)": post / 0.001}
vc.plots.lines(grid, curves, right, xlabel="l (log counts)", ylabel="density", xlim=(4.8, 7.6), title="one cell")
right.axvline(log_total[cell], color="0.4", linewidth=1, linestyle=":", label="observed log total")
right.legend(frameon=False)
vc.plots.show(
    left, alt="Left: two humps of log totals, each with its prior. Right: wide prior, narrow posterior at the total."
)

# %% [markdown]
# The posterior sits at the observed total and is narrow. Three things, then, all called "library":
#
# | object | what it is | in the code |
# |---|---|---|
# | $p(l)$ | the prior: how large cells of this *batch* are | `library_log_means`, `library_log_vars` |
# | $q(l\mid x)$ | what an encoder makes of the posterior: the size of *one cell* | `ql_m`, `ql_v`, draw `library` |
# | $\log \sum_g x_g$ | the observed total, a number | `torch.log(x.sum(dim=-1))` |
#
# If the total says it so well, why infer? Since version 0.8 scvi-tools takes the observed total by default
# (`library="observed"` in our package): no $l$, no prior, no KL for it. **What breaks:** comparing. Such a model is
# *handed* the total, a function of the very counts it scores. Its ELBO is about something else, and in
# [deeper/5f](deeper/5f_six_years_later.ipynb) it beats even the truth.

# %% [markdown]
# ## 5.5 The decoder and its three heads
#
# **Question.** ZINB has three parameters for every gene in every cell: $\mu$, $\theta$ and the logit of $\pi$. The
# decoder sees ten latents. How do they become three tables?
#
# By a shared trunk and a head for each, as in lesson 2. Start with the head for $\mu$, on a toy of two cells and three
# genes. A softmax makes shares of what a linear layer puts out: positive, with a sum of 1 in each cell. That is
# `px_scale`. Size comes from $l$:
#
# $$\mu = e^{l} \cdot \mathrm{px\_scale}$$

# %%
score = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 3.0]])  # (cells, genes), from a Linear
scale = torch.softmax(score, dim=-1)  # (cells, genes)
library = torch.tensor([[10.0], [1000.0]]).log()  # (cells, 1)
rate = torch.exp(library) * scale  # (cells, 1) * (cells, genes) -> (cells, genes)
for row in rate:
    print([round(value, 1) for value in row.tolist()], f"sum {row.sum():.0f}")

# %% [markdown]
# *What kind of cell* and *how much of it was caught* have been taken apart. Mind one word: `px_rate` is $\mu$, the mean
# of the negative binomial. With extra zeros the expected *count* is $(1 - \pi)\mu$.
#
# | head | layers | puts out | is used as |
# |---|---|---|---|
# | `px_scale_decoder` | Linear, Softmax | `px_scale`, shares | $\mu$ = exp(library) * `px_scale` = `px_rate` |
# | `px_r_decoder` | Linear | `px_r`, the logarithm of $\theta$ | $\theta$, only in mode "gene-cell" (5.6) |
# | `px_dropout_decoder` | Linear | `px_dropout`, logits | $\pi = \sigma(a)$, in ZINB |
#
# The trunk, `px_decoder`, is your `FCLayers` without dropout. It takes the batch as one-hot columns beside $z$: the
# *decoder* then explains what differs between runs, and $z$ need not.
#
# **Predict.** A friend writes `nn.Softmax(dim=0)`. What is the symptom? (a) An error about shapes. (b) NaN. (c) None:
# all shapes are right, and the loss falls.
#
# <details><summary>Decide, then open</summary>
#
# (c). Each *gene* sums to 1 over the minibatch, so what a cell gets depends on its neighbours there. One line shows it:
# `px_scale.sum(dim=-1)`.
#
# </details>

# %% [markdown]
# Write the class `DecoderSCVI`.
#
# `__init__(n_input, n_output, n_cat_list=None, n_layers=1, n_hidden=128)`: `n_input` latents, `n_output` genes. It
# makes `self.px_decoder`, an `FCLayers` from `n_input` to `n_hidden` with `n_cat_list`, `n_layers`, `n_hidden` and no
# dropout, and the three heads of the table under their names, each from `n_hidden` to `n_output`. Keep the names:
# scvi-tools' weights will be loaded into them. `px_scale_decoder` is an `nn.Sequential` that begins with the Linear.
#
# `forward(dispersion, z, library, *cat_list)`: `z` (cells, latents), `library` (cells, 1), a logarithm, and the codes
# of the covariates. Return `px_scale, px_r, px_rate, px_dropout` in this order, each (cells, genes). `px_r` is `None`
# unless `dispersion` is `"gene-cell"`.
#
# *By hand.* If all three shares of a cell are $\tfrac13$ and `library` is $\log 30$, each rate is 10.

# %% exercise="5.3" source="vae_course.nn.DecoderSCVI" minutes=12 difficulty=2

# %% [markdown]
# Your decoder on three real sizes, untrained, with $z$ drawn from the prior:

# %%
torch.manual_seed(0)
decoder = DecoderSCVI(10, runs.n_genes, [2]).eval()
z, batch_index = torch.randn(3, 10), torch.tensor([[0], [1], [0]])  # (cells, latents), (cells, 1)
px_scale, px_r, px_rate, px_dropout = decoder("gene", z, log_total[:3].unsqueeze(-1), batch_index)
print("rates sum to", [round(total) for total in px_rate.sum(dim=-1).tolist()], end="; ")
print("totals are", [round(total) for total in log_total[:3].exp().tolist()])

# %% [markdown]
# **What breaks it.** With a softplus in place of the softmax nothing ties the scale down: double every output, take
# $\log 2$ from $l$, and the rates are the same.

# %% [markdown]
# ## 5.6 One dispersion, or four
#
# **Question.** $\mu$ and $\pi$ come from the decoder, one for each gene in each cell. Should $\theta$ as well?
#
# In 5.2 a whole gene's counts went into one $\theta$. One for each gene *and cell* would be guessed from a single
# count. Between the two lie batches and labels. `px_r` holds *logarithms* of $\theta$, so that any number will do:
#
# | `dispersion` | shape of `px_r` | shape of $\theta$ |
# |---|---|---|
# | `"gene"` | (genes,) | (genes,), the same in every cell |
# | `"gene-batch"` | (genes, n_batch) | (cells, genes), by the cell's batch |
# | `"gene-label"` | (genes, n_labels) | (cells, genes), by the cell's label `y` |
# | `"gene-cell"` | (cells, genes), from the head `px_r_decoder` | (cells, genes) |
#
# In the middle modes every cell picks a column of a table, by one-hot rows and a matrix product:

# %%
DISPERSIONS = vc.vae.DISPERSIONS  # the four modes of the table
table = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])  # (genes, n_batch)
print(one_hot(torch.tensor([1, 0, 1]), 2) @ table.T)  # (cells, n_batch) @ (n_batch, genes) -> (cells, genes)

# %% [markdown]
# Write `select_dispersion(px_r, dispersion, batch_index=None, y=None)`, which returns $\theta$, broadcastable to
# (cells, genes), in the four modes. Codes `batch_index` and `y` are (cells,) or (cells, 1), and `one_hot` takes both.
# By hand: with the table above and a cell of batch 1, $\theta = (e^1, e^3, e^5) = (2.72, 20.1, 148.4)$.

# %% exercise="5.4" source="vae_course.vae.select_dispersion" minutes=6 difficulty=1

# %%
codes = torch.tensor([[1], [0]])  # (cells, 1)
for mode, shape in (("gene", (3,)), ("gene-batch", (3, 2)), ("gene-label", (3, 10)), ("gene-cell", (2, 3))):
    theta = select_dispersion(torch.zeros(shape), mode, codes, codes)
    print(f"{mode:11} px_r {shape!s:8} theta {tuple(theta.shape)!s:7} all one: {bool((theta == 1).all())}")

# %% [markdown]
# **What breaks it.** Forget the exponential. scVI starts `px_r` as draws from $\mathcal N(0, 1)$: half of the genes get
# a negative $\theta$, and the loss is NaN. Those draws are a poor start, too: at scVI's learning rate $\log\theta$
# still correlates 0.997 with them after 40 epochs (five seeds). Our trainer starts from each gene's mean and variance
# (`dispersion_init="moments"`).

# %% [markdown]
# ## 5.7 Two latents, two KLs
#
# **Question.** Lesson 4 charged the encoder one KL, for $z$. Now there are two latents. What is the bill?
#
# The two are independent, in the prior and in $q$: $q(z, l\mid x) = q(z\mid x)\,q(l\mid x)$. So their KLs add:
#
# $$\underbrace{\mathrm{KL}\big(q(z\mid x) \,\|\, \mathcal N(0, I)\big)}_{\mathrm{kl\_global}}
# + \underbrace{\mathrm{KL}\big(q(l\mid x) \,\|\, p(l)\big)}_{\mathrm{kl\_local}} .$$
#
# The lectures, scVI 0.3.0 and we call the first **global** and the second **local**: $z$ places a cell in a space that
# all cells share, $l$, the local latent, is its own nuisance. (scvi-tools reports both under `kl_local`.)
#
# You have both formulas (exercises 1.3 and 4.2). But scVI's encoders return *variances*, while `kl_standard_normal`
# takes log-variances. Confuse them, and nothing complains:

# %%
qz_m, qz_v = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 1.0]])  # (cells, latents) each
print(f"log-variance given:   {kl_standard_normal(qz_m, qz_v.log()).item():.4f} nats")
print(f"variance in its place: {kl_standard_normal(qz_m, qz_v).item():.4f} nats")

# %% [markdown]
# Write `scvi_kl(qz_m, qz_v, ql_m, ql_v, library_mean, library_var)`. `qz_m` and `qz_v` are (cells, latents), the
# other four (cells, 1); all `_v` and `var` are variances. Return `(kl_local, kl_global)`, the local one *first*, each
# (cells,). `kl_normal(mean_q, var_q, mean_p, var_p)` and `kl_standard_normal(mean, logvar)` are there.
#
# By hand: $q(l\mid x) = \mathcal N(7.1, 0.04)$ with prior $\mathcal N(7, 0.25)$ costs
# $\tfrac12[\log\tfrac{0.25}{0.04} + \tfrac{0.04 + 0.01}{0.25} - 1] = 0.5163$. And $q(z\mid x)$ with means $(1, 0)$ and
# variances $(0.5, 1)$ costs 0.5966, the first number above.

# %% exercise="5.5" source="vae_course.distributions.scvi_kl" minutes=6 difficulty=1

# %% [markdown]
# **Predict.** The local KL comes out of `kl_normal` as a column, (cells, 1), the global one as (cells,). Forget that,
# add the two, and take the mean, as a loss does. For three equal cells: is the mean too large, too small, or right?

# %%
ql_m, ql_v, prior_m, prior_v = (torch.full((3, 1), value) for value in (7.1, 0.04, 7.0, 0.25))  # (cells, 1)
kl_local, kl_global = scvi_kl(qz_m.expand(3, 2), qz_v.expand(3, 2), ql_m, ql_v, prior_m, prior_v)
column = kl_normal(ql_m, ql_v, prior_m, prior_v)  # (cells, 1): the axis was forgotten
print(tuple(column.shape), "+", tuple(kl_global.shape), "=", tuple((column + kl_global).shape))
print(f"mean of that table {(column + kl_global).mean():.4f}   right {(kl_local + kl_global).mean():.4f}")

# %% [markdown]
# Right, always: a mean of sums is a sum of means. Only who looks at single cells, as section 5.10 will, meets a
# table where a list should be.

# %%
quiz("5.2")

# %% [markdown]
# ## 5.8 Your scVI, from a blank class
#
# **Question.** How do your parts hang together?

# %% tags=["volatile"]
catch_up(globals(), "2.2", "2.4", "5.2", "5.3", "5.4", "5.5")
import numpy as np

from vae_course.distributions import sample_normal

whose(one_hot, FCLayers, zinb_log_prob, DecoderSCVI, select_dispersion, scvi_kl)

# %% tags=["slide"] fold="What is drawn"
vc.plots.show(
    vc.plots.model_map(),
    alt="scVI from left to right: counts x through log1p into z_encoder and l_encoder, giving qz_m, qz_v and ql_m, "
    "ql_v; draws z and library; z and batch_index through px_decoder into three heads for px_dropout, px_r, px_scale; "
    "px_rate is exp(library) times px_scale; zinb_log_prob gives the reconstruction, which with kl_global and "
    "kl_local makes the loss.",
)

# %% [markdown]
# From left to right: two encoders, which see $\log(1 + x)$, two draws, one decoder. The loss is the negative
# ELBO:
#
# $$-\text{ELBO} = \underbrace{-\mathbb E_q[\log p(x\mid z, l)]}_{\text{reconstruction}}
# + \mathrm{kl\_local} + \mathrm{kl\_global} .$$
#
# The mean over $q$ is taken with a single draw. Genes are independent given $z$ and $l$, so their log-probabilities are
# *summed*.
#
# **One part is still missing:** scVI's `Encoder`, the two heads of exercise 2.5 on your `FCLayers`, with the draw of
# exercise 4.1 built in. It *returns* the variance, with a floor of $10^{-4}$.

# %% source="vae_course.nn.Encoder"

# %%
x = torch.poisson(torch.full((5, 20), 2.0), generator=torch.Generator().manual_seed(0))  # (cells, genes)
print([tuple(result.shape) for result in Encoder(20, 3, n_hidden=16)(torch.log1p(x))], "mean, variance, draw")

# %% [markdown]
# **Predict.** On the map the batch enters at the decoder. You take the same cells, with the same noise, and tell the
# model the *other* batch. Which of `qz_m`, `z`, `library`, `px_scale`, `px_rate` change?

# %% [markdown]
# Now build it: `class MyVAE(nn.Module)`, from a blank page, in three methods. (It keeps its number, 5.9, though it
# stands in section 5.8.)
#
# - `__init__(n_input, n_batch=0, n_hidden=128, n_latent=10)` makes what has weights, under scVI's names: the parameter
#   `px_r` (genes,), drawn from $\mathcal N(0, 1)$; the networks `z_encoder`, `l_encoder` (one latent) and `decoder`
#   (which gets `[n_batch]` as its `n_cat_list`), each with one layer of width `n_hidden`; and two *buffers*,
#   `library_log_means` and `library_log_vars` of shape (1, batches), to be filled later, so NaN for now.
#   (`self.register_buffer(name, tensor)`: saved with the weights, not trained.) `n_batch` of 0 or 1 both mean one
#   batch.
# - `inference(x, batch_index=None)` encodes, draws `z` and *then* `library`, and decodes with the dispersion
#   `"gene"`. It returns a dict with ten names: `qz_m`, `qz_v`, `z`, `ql_m`, `ql_v`, `library`, `px_scale`,
#   `px_rate`, `px_dropout`, and `px_r`, which in the results is $\theta$ itself.
# - `loss_terms(x, batch_index=None)` returns (reconstruction, kl_local, kl_global), each (cells,), in nats. Each
#   cell is measured against the library prior of its own batch.
#
# `x` holds counts, (cells, genes); `batch_index` is (cells,) or (cells, 1), and a model of a single batch ignores it.
# Mind what your parts already do: the encoders draw, the decoder exponentiates the library, `select_dispersion` the
# dispersion, `zinb_log_prob` takes logits.

# %% exercise="5.9" source="vae_course.exercises.e5_9.answer.MyVAE" minutes=25 difficulty=3

# %% [markdown]
# Is it scVI? Give the package's `VAE` and yours the same weights and the same seed. And the prediction: swap the batch.

# %%
runs = vc.load_two_batches()  # real cells, half of them passed through a known batch effect (lesson 0)
package = vc.VAE(runs.n_genes, n_batch=2)
package.prepare(runs)  # measures the library priors of the two batches
mine = MyVAE(runs.n_genes, n_batch=2)
print(mine.load_state_dict(package.state_dict()))
x, batch_index, _ = runs.minibatch(np.arange(64))  # (cells, genes), (cells, 1)
with torch.no_grad():
    torch.manual_seed(0)
    theirs = package.eval().loss_terms(x, batch_index)
    torch.manual_seed(0)
    ours = mine.eval().loss_terms(x, batch_index)
print("equal:", [bool(torch.allclose(a.float(), b.float(), rtol=1e-4)) for a, b in zip(ours, theirs, strict=True)])

# %%
with torch.no_grad():
    torch.manual_seed(0)
    told = mine.inference(x, batch_index)
    torch.manual_seed(0)
    swapped = mine.inference(x, 1 - batch_index)
changed = {name: not torch.equal(told[name], swapped[name]) for name in ("qz_m", "z", "library", "px_scale", "px_rate")}
print("the other batch changes:", [name for name, is_changed in changed.items() if is_changed])

# %% [markdown]
# Everything up to $z$ and the library is blind to the batch. So the model can predict what a cell would have looked
# like in the other run: decode its $z$ with the *other* `batch_index`.

# %%
quiz("5.3")

# %% [markdown]
# ## 5.9 Train it, to the end
#
# **Question.** In its first steps the decoder cannot read $z$ yet. What does the loss tell the encoder to do?
#
# To say nothing: every nat that $q(z\mid x)$ spends on telling cells apart costs a nat of KL, and buys nothing yet.
# That is the collapse of lesson 3. So we let the price rise slowly ([Bowman et al.
# 2016](https://doi.org/10.18653/v1/K16-1002)): a weight $w$ on the global KL grows from 0 to 1 over the first epochs,
# the **warm-up**. Only $w = 1$ is the ELBO, so the warm-up has to *end* before the training does.
#
# `as_vae` adds what a trainer needs beside your class, such as to measure the library's prior in the training cells.

# %% tags=["volatile"]
catch_up(globals(), "2.2", "2.4", "vae_course.nn.Encoder", "5.2", "5.3", "5.4", "5.5", "5.9")
import numpy as np

from vae_course.exercises import as_vae

whose(MyVAE, DecoderSCVI, zinb_log_prob)
runs = vc.load_two_batches()
Model = as_vae(MyVAE)
trainer = vc.UnsupervisedTrainer(Model(runs.n_genes, n_batch=2), runs, n_epochs_kl_warmup=50, seed=0)
print("weight in epochs 0, 10, 25, 50, 99:", [trainer.kl_weight(epoch) for epoch in (0, 10, 25, 50, 99)])

# %% [markdown]
# **Predict.** While the weight grows from 0 to 1, what will the global KL do? (a) Rise all the way. (b) Rise, then
# fall. (c) Fall all the way. (A hundred epochs on 630 cells, 70 are held out: about twenty seconds.)

# %% tags=["volatile"]
trainer.train(100)
for name in ("elbo_train_set", "elbo_test_set", "kl_local_test_set", "kl_global_test_set"):
    print(f"{name:19} first {trainer.history[name][0]:8.1f}   last {trainer.history[name][-1]:7.1f}")
error = trainer.test_set.loss_terms().reconstruction.std() / 70**0.5
print(f"standard error of a mean over the 70 held-out cells: {error:.0f} nats")
assert len(trainer.history["elbo_test_set"]) == 100

# %% [markdown]
# Drawn over the epochs. The grey line marks where the weight has reached 1.

# %% fold="What is drawn"
axes = vc.plots.losses(trainer.history)
for ax in axes:
    ax.axvline(50, color="0.7", linewidth=1, zorder=0)
vc.plots.show(
    axes[0],
    alt="Four panels over 100 epochs. Negative ELBO and reconstruction fall; the held-out cells lag far behind the "
    "training cells in the first half. The global KL first rises, then falls while its weight grows, and settles.",
)

# %% [markdown]
# (b). While $z$ is cheap the encoder spends freely; as the price rises it gives back what was not worth it.
#
# **Why do the two lines differ?** At epoch 1 the held-out cells are *ahead*: they are measured when the epoch is over,
# while the number of the training cells is a mean over its steps, the first ones included. Then they lag far behind. In
# evaluation mode batch normalisation uses running averages (lesson 2), and scVI lets each minibatch replace only 1 % of
# them: they describe weights that are gone. So our trainer *finishes* them after the last epoch: weights fixed, one
# more pass over the training cells, plain averages. (It also lets the learning rate fall to 0; section 5.12 measures
# what this is worth.) At the end 91 nats remain. Some are luck, as the standard error says. The rest is memory: half a
# million weights know 630 cells partly by heart.

# %%
quiz("5.4")

# %% [markdown]
# ## 5.10 Ask it: a tour of the Posterior
#
# **Question.** A trained model is a bag of weights. Which object do we ask about the cells?
#
# The lectures and scVI 0.3.0 call it `Posterior`: a **model**, the **data**, a **loader**, which cuts minibatches, and
# a **sampler**, which says which cells come. The trainer made `train_set` and `test_set`. You can make others:

# %%
held_out, everyone = trainer.test_set, vc.Posterior(trainer.model, runs)
print(len(everyone), "cells in all,", len(held_out), "held out; the first are", held_out.indices[:5].tolist())

# %% [markdown]
# **A likelihood.** Three numbers, in nats per cell. `reconstruction_error()`: how well are counts rebuilt *once $z$ and
# $l$ are told*? `elbo()`: the same with a minus, less both KLs, which is what the telling costs.
# `marginal_ll(n_samples)`: $\log p(x)$ itself, by the importance sampling of lesson 4.

# %% tags=["volatile"]
bound, ess = held_out.marginal_ll(n_samples=100, return_per_cell=True)  # (cells,) each
print(f"reconstruction {held_out.reconstruction_error():.0f}   ELBO {held_out.elbo():.0f}   ", end="")
print(f"log p(x) >= {bound.mean():.0f}, effective draws of 100: median {np.median(ess):.1f}")
assert bound.mean() > held_out.elbo()

# %% [markdown]
# A draw or two carry the whole estimate, so it is a bound, tighter than the ELBO, and not the truth.
#
# **A map.** `get_latent` gives the means of $q(z\mid x)$, in ten dimensions; t-SNE draws them in two. Read it by
# neighbours: who lies beside whom. Distances between islands, and their sizes, do not ([Chari and
# Pachter 2023](https://doi.org/10.1371/journal.pcbi.1011288)). Drawn: the cells by group, and by batch.

# %%
latent, batch_index, labels = everyone.get_latent()
merged = ["T cell" if name.startswith(("CD4+", "CD8+")) else name for name in runs.label_names]
group_names, codes = np.unique(merged, return_inverse=True)
groups = codes[labels]  # (cells,), the six groups of lesson 0
drawn = everyone.t_sne(max_iter=500)  # (cells, 2)

# %% tags=["volatile"] fold="What is drawn"
axes = vc.plots.panels(2, height=3.8, width=5.4)
vc.plots.latent(drawn, groups, group_names, axes[0], axis_name="t-SNE", title="six groups, never shown to the model")
vc.plots.latent(drawn, batch_index, runs.batch_names, axes[1], axis_name="t-SNE", title="two batches")
vc.plots.show(
    axes[0],
    alt="Two t-SNE maps of 700 cells. Left: B cells lie apart, T and NK cells side by side, monocytes beside "
    "dendritic cells. Right: most places hold cells of both batches; where myeloid cells lie, some hold mostly one.",
)

# %% [markdown]
# On most islands both batches are neighbours, among myeloid cells less so. Why do dendritic cells lie among monocytes?
# A label here is a cell's best match among purified populations, and "Dendritic" is the least sure: they are one in a
# hundred of blood, yet 240 of our 700 have the name (section 0.9). Read it as "myeloid"; the others are surer.
#
# **Clusters.** `clustering_scores` runs k-means in the latent and compares clusters with those labels: NMI and ARI (1
# for equal groupings, 0 for unrelated ones). A score needs a rival, here PCA of log-normalised counts:

# %% tags=["volatile"]
shares = torch.from_numpy(runs.counts.multiply(1e4 / runs.counts.sum(axis=1)).toarray())  # (cells, genes)
centred = torch.log1p(shares) - torch.log1p(shares).mean(dim=0)
components = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:10].T  # (cells, 10), as in lesson 0
for name, position in (("yours", latent), ("PCA", components)):
    score = vc.metrics.clustering_scores(position, groups)
    print(f"{name:6} NMI {score['nmi']:.2f}   ARI {score['ari']:.2f}")
    assert 0.2 < score["nmi"] < 0.9

# %% [markdown]
# **Batch mixing.** Take a cell's 50 nearest neighbours: from which batches do they come? `entropy_batch_mixing` is
# the mean entropy of their shares, $H = -\sum_b p_b \log p_b$. The most one can get here is $\log 2 = 0.69$ nats.

# %% tags=["volatile"]
mixing = {"yours": everyone.entropy_batch_mixing()}
mixing["PCA"] = float(vc.metrics.entropy_batch_mixing(components, runs.batch_index))
print({name: round(float(value), 2) for name, value in mixing.items()}, "nats")
assert mixing["yours"] > mixing["PCA"] + 0.1

# %% [markdown]
# Your model has just won: PCA hardly mixes them.
#
# **Imputation.** Hide a tenth of the non-zero counts (*corruption*), and ask for them. The published score is the
# median absolute error:

# %% tags=["volatile"]
trainer.corrupt_posteriors(rate=0.1)
original, imputed = (np.hstack(one) for one in trainer.test_set.imputation_list(n_samples=10))
trainer.uncorrupt_posteriors()
print(f"{len(original)} hidden counts: median error {np.median(np.abs(imputed - original)):.2f}", end="   ")
print(f"always say 1: {np.median(np.abs(1 - original)):.2f}")
assert np.median(np.abs(1 - original)) < 0.5

# %% [markdown]
# "Always 1" wins: a score that asks for no knowledge. Fairer ones: [deeper/5c](deeper/5c_hide_and_seek.ipynb).
#
# **Differential expression.** Draw a share of each gene from a random B cell and from a random other cell, again and
# again. How often is the first larger, $p = P(\rho_1 > \rho_2)$? The log-odds are the **Bayes factor**, $\mathrm{BF}
# = \log p - \log(1 - p)$: how *sure*. The log2 fold change, `lfc`, says how *much*. A useful list asks for both.

# %% tags=["volatile"]
is_b = runs.labels == runs.label_names.tolist().index("CD19+ B")  # (cells,)
table = everyone.differential_expression_score(is_b, ~is_b, n_samples=300)
table = table[(table["nonzero_1"] > 0.5) & (table["bayes_factor"] > 2)].sort_values("lfc", ascending=False)
print(table[["gene", "bayes_factor", "lfc", "nonzero_1"]].head(6).round(1).to_string(index=False))
assert {"CD79A", "MS4A1"} & set(table["gene"].head(8))

# %% [markdown]
# CD79A is part of the B-cell receptor, MS4A1 the antigen CD20. How well such lists are calibrated, and what to do
# with several donors: [deeper/5e](deeper/5e_differential_expression.ipynb). Whether the model's own cells look like
# ours: [deeper/5d](deeper/5d_does_it_dream_of_the_right_cells.ipynb).

# %%
quiz("5.5")

# %%
quiz("5.6")

# %% [markdown]
# ## 5.11 Their weights in your class
#
# scvi-tools is what became of scVI ([Gayoso et al. 2022](https://doi.org/10.1038/s41587-021-01206-w)).

# %% tags=["volatile"]
catch_up(globals(), "2.2", "2.4", "vae_course.nn.Encoder", "5.2", "5.3", "5.4", "5.5", "5.9")
whose(MyVAE, DecoderSCVI, zinb_log_prob, scvi_kl)

# %% [markdown]
# **Question.** Is yours the same model as theirs, or a model like theirs?
#
# Put *their* trained weights into *your* class, and give both the same cells: all numbers must
# agree. One wrong name or shape, and PyTorch complains. All below was **recorded** from a small model of scvi-tools
# 1.4.2.

# %%
from vae_course.exercises.recorded import recorded_outputs

options, weights, (x, batch_index, _), theirs = recorded_outputs("gene")
mine = MyVAE(options["n_input"], options["n_batch"], options["n_hidden"], options["n_latent"]).eval()
print(mine.load_state_dict(weights), f"{sum(w.numel() for w in weights.values()):,} numbers")

# %% [markdown]
# For the decoder and the likelihood, decode *their* draws of $z$ and $l$. Printed is the largest difference in every
# tensor (relative where a value is above 1).

# %%
with torch.no_grad():
    found = mine.inference(x, batch_index)
    _, found["kl_local"], found["kl_global"] = mine.loss_terms(x, batch_index)
    scale, _, rate, logits = mine.decoder("gene", theirs["z"], theirs["library"], batch_index)
    found |= {"px_scale": scale, "px_rate": rate, "px_dropout": logits, "theta": found["px_r"]}
    found["log_likelihood"] = zinb_log_prob(x, rate, found["px_r"], logits).sum(dim=-1)  # (cells,)

# %% tags=["volatile"]
compared = sorted((found.keys() & theirs.keys()) - {"z", "library"})
gaps = {name: ((found[name] - theirs[name]).abs() / theirs[name].abs().clamp(min=1)).max().item() for name in compared}
for name, gap in gaps.items():
    print(f"{name:15} {gap:.0e}")
assert max(gaps.values()) < 1e-4

# %% [markdown]
# The same model, to the last digits of float32. **Would the test notice a small slip?** Take away the floor of the
# variance, $10^{-4}$, which scVI 0.3.0 did not have:

# %%
mine.z_encoder.var_eps = 0.0
with torch.no_grad():
    off = (mine.inference(x, batch_index)["qz_v"] - theirs["qz_v"]).abs().max().item()
print(f"variance of q(z|x): off by {off:.0e}")

# %% [markdown]
# ## 5.12 The same cells, two trainings
#
# **Question.** The same model. But does our *training* find weights as good as theirs?
#
# Two runs never agree: minibatches, dropout and draws are random. So: pairs. For ten seeds both programs started
# from the *same* weights and saw the same 630 cells (one batch, with more counts than those of 5.9), with scVI's
# settings; both averages were finished. This was **recorded** (`benchmarks/paired_comparison.py`).
#
# **Predict.** Two runs of the *same* model, on different held-out cells: how far apart are their ELBOs, in nats? (a)
# Under 1. (b) About 5. (c) 10 and more.

# %%
import numpy as np

from vae_course.exercises.recorded import recorded_comparison

pairs, names = list(recorded_comparison()["pairs"].values()), ("vae_course", "scvi-tools")
print("mean ± sd over ten seeds   ours             scvi-tools       paired difference ± s.e.")
for key, name, digits in (("negative_elbo", "-ELBO", 1), ("marginal_ll", "log p(x) >=", 1), ("nmi", "NMI", 3)):
    ours, theirs = (np.array([pair[who][key] for pair in pairs]) for who in names)  # (seeds,) each
    gap, error = (ours - theirs).mean(), (ours - theirs).std(ddof=1) / np.sqrt(len(pairs))
    print(f"{name:12}", *(f"{v.mean():12.{digits}f} ± {v.std(ddof=1):.{digits}f}" for v in (ours, theirs)), end="")
    print(f" {gap:+12.{digits}f} ± {error:.{digits}f}")

# %% [markdown]
# (c): seeds differ by some 15 nats, mostly since each has its own held-out cells. Inside a pair the cells are the same,
# so read the **paired** difference. A point is a seed; on the line both are equal.

# %% fold="What is drawn"
axes = vc.plots.panels(2, height=3.4, width=4.2)
for ax, key, unit in zip(axes, ("negative_elbo", "nmi"), ("-ELBO, nats per cell", "NMI"), strict=True):
    ours, theirs = (np.array([pair[who][key] for pair in pairs]) for who in names)
    vc.plots.points(theirs, ours, ax=ax, xlabel="scvi-tools", ylabel="ours", title=unit)
    ax.axline((ours.mean(), ours.mean()), slope=1, color="0.3", linewidth=1)
vc.plots.show(
    axes[0], alt="Ten seeds, ours against scvi-tools: the points lie along the line of equality, on both sides."
)

# %% [markdown]
# No difference exceeds chance. But *not significant is not equal*. Ten pairs exclude what lies more
# than about 2.3 standard errors away, so neither is better by more than 5 nats of 770, or by 0.003 in NMI.
#
# **What finishing is worth.** Both programs above trained in scVI's way. Five seeds of the same cells, each step on top
# of the one before, beside scvi-tools as it comes (held-out -ELBO and its paired differences, in nats,
# `benchmarks/RESULTS.md`):
#
# | | -ELBO | to scvi-tools | NMI |
# |---|---|---|---|
# | scvi-tools, at its own settings, 100 epochs | 779.8 | | 0.642 |
# | the averages of batch normalisation finished | 772.2 | -7.6 ± 2.3 | 0.637 |
# | $\theta$ from moments | 762.6 | -17.2 ± 3.5 | 0.640 |
# | a falling learning rate: our defaults | 752.2 | -27.6 ± 6.8 | 0.642 |
#
# The model is theirs to the last digit; 28 nats a cell lay in how training *starts and ends*.

# %%
quiz("5.7")

# %% [markdown]
# ## 5.13 The Rosetta table
#
# **Question.** You open scVI 0.3.0, or the scvi-tools of today. Where is what you wrote?
#
# | here | scVI 0.3.0 (2019) | scvi-tools 1.4 |
# |---|---|---|
# | `CountData` | `GeneExpressionDataset` | AnnData with `SCVI.setup_anndata(layer, batch_key, labels_key)` |
# | `MyVAE`, `VAE` | `VAE` | `scvi.module.VAE`, inside the user's class `scvi.model.SCVI` |
# | `inference` (encode, draw, decode) | `VAE.inference` | `module.inference` (encoders), `module.generative` |
# | `loss_terms` | `VAE.forward` | `module.loss`, a `LossOutput` |
# | `UnsupervisedTrainer` | the same, in the *package* `scvi.inference` | `TrainingPlan`, `TrainRunner`, Lightning |
# | `lr=4e-3, lr_schedule="cosine"` | `train(lr=1e-3)`, constant | `plan_kwargs={"lr": 1e-3}`, constant |
# | `Posterior`, such as `test_set` | the same names | methods of the model with `indices=` |
# | `elbo`, `marginal_ll` | `ll` (reconstruction + local KL), `marginal_ll` | `get_elbo`, `get_marginal_ll` |
# | `get_latent` | `get_latent` | `get_latent_representation` |
# | `get_harmonized_scale(b)` | the same name | `get_normalized_expression(transform_batch=...)` |
# | `imputation` | `imputation` | `get_normalized_expression(library_size="latent")` |
# | `differential_expression_score` | the same name | `differential_expression(idx1=..., idx2=...)` |
# | `generate` | `generate` | `posterior_predictive_sample` |
# | `entropy_batch_mixing`, `clustering_scores` | the same names | none: see scib-metrics |
#
# Three things differ by default in scvi-tools: the library is the observed total, the warm-up lasts 400 epochs however
# long one trains, and `get_elbo` is +ELBO while the history holds -ELBO. What changed in six years, and why:
# [deeper/5f](deeper/5f_six_years_later.ipynb). What came after: [deeper/6](deeper/6_after_scvi.ipynb).

# %% [markdown]
# ## 5.14 Was it worth it? Two laboratories
#
# **Question.** PCA clusters cells too, in a millisecond. What does your model do that PCA cannot?
#
# It can be *told* which batch a cell comes from. Raise the strength of the batch effect below. What happens on the map
# of PCA, on that of a VAE that is not told, on that of one that is?

# %%
vc.explore.batches()

# %% [markdown]
# In numbers: five seeds of data and training at strength 1, **recorded** by `benchmarks/two_batches.py`.
# *Mixed* is the batch entropy of section 5.10 as a share of its most.
#
# | | mixed | ARI, ten labels |
# |---|---|---|
# | PCA, ten components | 0.183 ± 0.009 | 0.384 ± 0.003 |
# | VAE, not told the batch | 0.253 ± 0.009 | 0.390 ± 0.001 |
# | **VAE, told** | **0.767 ± 0.014** | **0.437 ± 0.016** |
#
# **A win.** The laboratories mix four times as well, and the kinds of cells are found better. The middle row says that
# it is not the network that does it, but *being told*, through your decoder's one-hot columns. (The effect is
# simulated, easier to remove than a real one. What integrates real atlases best: [Luecken et al.
# 2022](https://doi.org/10.1038/s41592-021-01336-8).)
#
# **What breaks it.** Mixing alone is easy to win. Throw the cells about at random:

# %%
runs = vc.load_two_batches()
at_random = torch.randn(700, 10, generator=torch.Generator().manual_seed(0))
most = vc.metrics.entropy_from_indices(runs.batch_index)
mixed = float(vc.metrics.entropy_batch_mixing(at_random, runs.batch_index)) / most
kept = vc.metrics.clustering_scores(at_random, runs.labels)["ari"]
print(f"random positions: mixed {mixed:.2f}   ARI {kept:.2f}")

# %% [markdown]
# Perfectly mixed, and worthless. A mixing score needs a score of what was *kept* beside it:
# [deeper/5b](deeper/5b_a_map_of_the_cells.ipynb).

# %%
quiz("5.8")

# %% [markdown]
# ## 5.15 An open task: break it, and say how one would notice
#
# Nobody checks this one. Copy your `MyVAE` into the next cell under another name and put **one** slip into it that
# gives no error: the library's prior of the wrong batch, a sigmoid too many, a mean over genes for the sum. Train it.
# Then find a number or a picture of this lesson that gives it away *to someone who cannot read the code*.

# %%
# your broken model, and the number that gives it away

# %% [markdown]
# <details><summary>What a good answer would contain</summary>
#
# A slip, a *symptom*, and the check that shows it. For example: a mean over the genes makes the reconstruction 765
# times too light beside the KLs. The global KL falls to 0, the map becomes one cloud, and the ARI drops to chance. Or:
# with a sigmoid too many the clusters look as good as ever, but $\pi$ is above one half everywhere. Best is a check
# that would have caught *other* slips, too: known weights in, known numbers out (section 5.11).
#
# </details>

# %% [markdown]
# ## 5.16 What can I now do with my data?
#
# Everything above takes a `CountData`, which can be read from `.h5ad`, 10x folders and `.h5`, and tables:
#
# ```python
# data = vc.load_h5ad("my.h5ad", batch_key="sample")      # raw counts; says so when they are none
# model = Model(data.n_genes, n_batch=data.n_batches)     # your class; vc.FastVAE is the same and faster
# trainer = vc.UnsupervisedTrainer(model, data)
# trainer.train()
# latent = vc.Posterior(model, data).get_latent()[0]      # into adata.obsm, and on with scanpy
# model.save("my_model.pt")
# ```
#
# Or without a notebook: `vae-course train my.h5ad` writes the model, the latents, and a report. Two warnings. If all
# treated cells come from one batch, no model can tell treatment and batch apart. And cells are not patients: to compare
# conditions, compare donors.

# %% [markdown]
# ## 5.17 Quiz
#
# One last question.

# %%
quiz("5.9")

# %% [markdown]
# ## 5.18 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `nb_log_prob` | `vae_course.distributions` | `log_nb_positive` | `NegativeBinomial` |
# | `zinb_log_prob` | `vae_course.distributions` | `log_zinb_positive` | `ZeroInflatedNegativeBinomial` |
# | `DecoderSCVI` | `vae_course.nn.DecoderSCVI` | `DecoderSCVI` | `DecoderSCVI` |
# | `select_dispersion` | `vae_course.vae` | inside `VAE.inference` | inside `module.generative` |
# | `scvi_kl` | `vae_course.distributions` | inside `VAE.forward` | inside `module.loss` |
# | `MyVAE` | `vae_course.VAE` | `VAE` | `scvi.module.VAE`, `scvi.model.SCVI` |
#
# Symbols are in the [notation](../docs/notation.md), words in the [glossary](../docs/glossary.md), where the cells come
# from in [data](../data/README.md).
#
# **And that was the course.** In lesson 0 a cell was 765 numbers and a latent a promise. Here you built scVI from a
# blank page. Each part was put to a test whose answer was known beforehand. Keep that habit.
#
# Now take your own cells. When you need more, open scvi-tools: you will recognise everything.

# %% tags=["volatile"]
progress()
