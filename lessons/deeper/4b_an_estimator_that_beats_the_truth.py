# %% [markdown]
# # Deeper 4b · An estimator that beats the truth
#
# {{links}}
#
# **You will be able to**
#
# - show that weights and likelihood from different draws estimate something else, and what
# - make data whose best possible likelihood is known, and use them to catch such a bug
# - say which tests would have missed it
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 4, section 4.8](../04_math_details.ipynb). **You need:**
# importance sampling, $\log p(x) \approx \log \frac1S \sum_s w_s$. The second half trains scVI's model as a black box;
# lesson 5 opens it.

# %% setup=true
import torch

import vae_course as vc
from vae_course import plots
from vae_course.distributions import log_marginal_likelihood, normal_log_prob, zinb_log_prob

# %% fold="Further names that this notebook uses"
# isort: split
import math

from torch import Tensor

# %% [markdown]
# ## 4b.1 Two draws instead of one
#
# **Question.** A published package reported marginal likelihoods that were too good. What was wrong?
#
# scVI 0.3.0, the version of the lectures, drew twice. From the first draw $z_s$ it took the ratio $p(z_s) / q(z_s \mid
# x)$. Then it ran the model anew, which drew *another* $z_s'$, and took the likelihood $p(x \mid z_s')$ from that one.
# Their product went into the log-mean-exp.
#
# We try it in a model whose $\log p(x)$ is known, the linear-Gaussian one of lesson 4: $z \sim \mathcal N(0, I)$ with
# two latents, $x = W z + b$ plus noise of variance $\tau^2$, three genes, one cell, and a $q$ that is roughly right.

# %%
W = torch.tensor([[1.0, 0.5], [0.0, 1.0], [-0.5, 2.0]], dtype=torch.float64)  # (genes, latents)
b = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)  # (genes,)
noise_var = torch.tensor(0.5, dtype=torch.float64)  # tau^2
x = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)  # (genes,), the one cell

# %%
mean = torch.tensor([0.2, -0.4], dtype=torch.float64)  # of q
var = torch.tensor([0.3, 0.1], dtype=torch.float64)
zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
log_px = torch.distributions.MultivariateNormal(b, W @ W.T + noise_var * torch.eye(3)).log_prob(x)


# %%
def log_lik_of(z: Tensor) -> Tensor:
    """Return log p(x|z) of our cell, (..., 2) -> (...)."""
    return normal_log_prob(x, z @ W.T + b, noise_var).sum(dim=-1)


def log_ratio_of(z: Tensor) -> Tensor:
    """Return log p(z) - log q(z|x), (..., 2) -> (...)."""
    return (normal_log_prob(z, zero, one) - normal_log_prob(z, mean, var)).sum(dim=-1)


# %% [markdown]
# **Predict.** An honest estimate is too low on average, for every number of draws $S$, and rises to $\log p(x) =
# -4.31$. With two draws it will be (a) noisier, but the same on average, (b) lower, (c) higher than $\log p(x)$ once
# $S$ is large.

# %%
generator = torch.Generator().manual_seed(1)
sizes, means = (1, 10, 100, 1000), {"same draw": [], "two draws": []}

# %%
for n in sizes:
    eps = torch.randn(2, n, 1000, 2, dtype=torch.float64, generator=generator)  # two independent sets of draws
    z, z_other = mean + var.sqrt() * eps  # (S, repetitions, 2) each
    nothing = torch.zeros(n, 1000, dtype=torch.float64)
    for name, at in (("same draw", z), ("two draws", z_other)):
        means[name].append(float(log_marginal_likelihood(log_ratio_of(z) + log_lik_of(at), nothing).mean()))
    print(f"S = {n:4}: same draw {means['same draw'][-1]:.1f}   two draws {means['two draws'][-1]:.1f}")
print(f"truth {log_px:.2f}")

# %% fold="What is drawn: the mean of 1000 estimates against the number of draws, for both"
ax = plots.lines(sizes, means, ax=plots.panels(width=5.6, height=3.4)[0], xscale="log")
ax.axhline(log_px, color="black", linewidth=1)
ax.text(1, float(log_px) + 0.05, "log p(x)")
ax.set(xlabel="draws per estimate, S", ylabel="mean estimate (nats)")
plots.show(
    ax,
    alt="Mean of 1000 estimates against the number of draws. Both start at the ELBO, -5.0. That from the same draw "
    "rises to log p(x) at -4.3; that from two draws crosses the line before S = 10 and ends most of a nat above it.",
)

# %% [markdown]
# (c). Follow the mean of the product. The two draws are independent, so it is the product of the means:
#
# $$\mathbb E\Big[\frac{p(z)}{q(z \mid x)}\;p(x \mid z')\Big]
# = \mathbb E_q\Big[\frac{p(z)}{q(z \mid x)}\Big]\;\mathbb E_q\big[p(x \mid z')\big].$$
#
# In the first factor $q$ cancels:
#
# $$\mathbb E_q\Big[\frac{p(z)}{q(z \mid x)}\Big] = \int q(z \mid x)\,\frac{p(z)}{q(z \mid x)}\,dz
# = \int p(z)\,dz = 1.$$
#
# So the correction corrects nothing, and what is left is $\log \mathbb E_q\big[p(x \mid z)\big]$: the likelihood where
# the *encoder* puts the cell, with no price for having looked at the cell first. In our model it has a closed form, the
# marginal with $q$ in place of the prior: mean $W\mu + b$, covariance $W Q W^\top + \tau^2 I$ with $Q$ that of $q$.

# %%
cov = torch.diag(var)  # (latents, latents), Q
peeked = torch.distributions.MultivariateNormal(W @ mean + b, W @ cov @ W.T + noise_var * torch.eye(3))
print(f"limit of two draws: {peeked.log_prob(x):.2f}   log p(x): {log_px:.2f}")

# %% [markdown]
# More than a nat too good.
#
# <details><summary><b>Check yourself.</b> Why does the wrong estimator agree with the right one at S = 1?</summary>
#
# At $S = 1$ no mean is taken inside the logarithm, so on average only means of single logarithms matter: $\mathbb
# E[\log p(z)] - \mathbb E[\log q(z \mid x)] + \mathbb E[\log p(x \mid z')]$. A mean of a *sum* does not care whether
# the parts come from one draw or from two. Both give the ELBO. A test at $S = 1$ sees nothing.
#
# </details>

# %% [markdown]
# ## 4b.2 Data whose best likelihood is known
#
# **Question.** On real cells nobody knows $\log p(x)$. How would one have noticed?
#
# On data whose true density is known. `vc.simulate_noise()` makes cells without any structure: ten genes, every count
# drawn from one and the same ZINB (a distribution of counts with more zeros than usual; lesson 5). Nobody can predict
# held-out cells better, on average, than that distribution itself.

# %% tags=["volatile"]
noise = vc.simulate_noise(seed=0)
print("cells, genes:", noise.n_cells, noise.n_genes)
print("the first cell:", noise.counts[0].toarray()[0].astype(int).tolist())
assert 1800 < noise.n_cells < 2000  # checks that your machine agrees; skip it

# %% [markdown]
# Its log-probability on average: sum $p \log p$ over all counts of a gene, times ten genes. Empty cells are dropped, so
# take the empty one out, and divide by the share of the others, which are that much more probable.

# %%
# mean 4, theta 2 (its spread, lesson 5), log-odds of an extra zero
true_params = [torch.tensor(value, dtype=torch.float64) for value in (4.0, 2.0, math.log(0.7 / 0.3))]
log_p = zinb_log_prob(torch.arange(500, dtype=torch.float64), *true_params)  # (counts,), 0 first
empty = log_p[0].exp() ** 10  # all ten genes zero

# %%
per_gene = (log_p.exp() * log_p).sum()
best_log_p = (10 * per_gene - empty * torch.log(empty)) / (1 - empty) - torch.log(1 - empty)
print(f"share of empty cells {empty:.3f}   ceiling {best_log_p:.2f} nats per cell")

# %% [markdown]
# We train scVI's model on a part of them. One setting is that of 0.3.0: `theta`, the spread of each gene, starts at
# random.

# %%
black_box = vc.VAE(10, dispersion_init="random")
trainer = vc.UnsupervisedTrainer(black_box, noise, train_size=0.8, n_epochs_kl_warmup=5, seed=0)
trainer.train(30)

# %% tags=["volatile"]
x_noise = torch.from_numpy(noise.counts[trainer.test_set.indices].toarray())  # (cells, genes)
log_true = zinb_log_prob(x_noise.double(), *true_params).sum(dim=-1) - torch.log(1 - empty)  # (cells,)
error = log_true.std() / math.sqrt(len(log_true))
print(f"truth on the {len(x_noise)} held-out cells: {log_true.mean():.2f} +- {error:.2f} nats per cell")
assert abs(log_true.mean() - best_log_p) < 5 * error  # checks that your machine agrees; skip it


# %% [markdown]
# ## 4b.3 Caught
#
# **Question.** Which estimate lies above the ceiling?
#
# The estimator of 0.3.0 weighs with one set of draws, decodes a second one, and subtracts the exact KL of the second
# latent $l$, the library. Look only for the two calls of `inference`, which encodes, draws and decodes; what begins
# with `px_` are parameters of the ZINB.


# %%
@torch.no_grad()
def marginal_of_two_draws(model: vc.VAE, x: Tensor, n_samples: int) -> Tensor:
    """Return what scVI 0.3.0 called the marginal log-likelihood, (cells,)."""
    first = model.inference(x, n_samples=n_samples)
    z = first["z"]  # (S, cells, latents)
    log_ratio = normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z))
    log_ratio = (log_ratio - normal_log_prob(z, first["qz_m"], first["qz_v"])).sum(dim=-1)  # (S, cells)
    second = model.inference(x, n_samples=n_samples)  # here is the slip: other draws
    log_lik = model.log_likelihood(x, second["px_rate"], second["px_r"], second["px_dropout"]).sum(dim=-1)
    kl_local, _ = model.kl(second, None)  # (S, cells), the KL of l; None: there is one batch only
    return log_marginal_likelihood(log_lik + log_ratio - kl_local, torch.zeros_like(log_lik))


# %%
torch.manual_seed(0)
with torch.no_grad():
    terms = black_box.importance_terms(x_noise, n_samples=200)  # log p(x, z, l) and log q(z, l|x) of the same draws
    honest = float(log_marginal_likelihood(*terms).mean())
too_good = marginal_of_two_draws(black_box, x_noise, 200)  # (cells,)

# %% tags=["volatile"]
truth, excess = float(log_true.mean()), too_good - log_true  # a scalar, (cells,)
rows = ("ELBO", trainer.test_set.elbo()), ("same draws", honest), ("truth", truth)
for name, value in (*rows, ("two draws", float(too_good.mean()))):
    print(f"{name:11} {value:.2f} nats per held-out cell")
print(f"two draws minus truth: {excess.mean():+.2f} +- {excess.std() / math.sqrt(len(excess)):.2f}")
assert honest < truth < float(too_good.mean())  # checks that your machine agrees; skip it

# %% [markdown]
# The honest estimate stays below the truth. The two-draw estimate is above it, on cells that contain nothing to be
# learned. **An estimate that beats the truth is no achievement; it is a proof of a bug.** The mend (scVI 0.4.0) is to
# take all terms from one draw, as `log_marginal_likelihood` wants them.
#
# (The mean of the cells is taken pairwise, estimate minus truth, so that the scatter *between* cells, 0.2 nats, does
# not hide the excess.)

# %% [markdown]
# ## 4b.4 The same bug, invisible
#
# **Question.** So is any estimate below the truth innocent?
#
# The excess needs an encoder that has something to say, and on noise there is nothing to say. Above, $z$ makes up for a
# wrong `theta`: the random start left it some work. Start `theta` from the moments of the counts instead, the package's
# default, and train again.
#
# **Predict.** The wrong estimator then lies (a) above the truth by as much, (b) above by less, (c) below the truth.

# %%
started_well = vc.VAE(10)  # theta from the moments of the training counts
second = vc.UnsupervisedTrainer(started_well, noise, train_size=0.8, n_epochs_kl_warmup=5, seed=0)
second.train(30)

# %%
torch.manual_seed(0)
with torch.no_grad():
    honest = log_marginal_likelihood(*started_well.importance_terms(x_noise, n_samples=200))  # (cells,)
wrong = marginal_of_two_draws(started_well, x_noise, 200)  # (cells,)

# %% tags=["volatile"]
for name, one in (("theta at random", trainer), ("theta from moments", second)):
    print(f"{name:18} KL of z {one.test_set.loss_terms().kl_global.mean():.2f} nats")
for name, values in (("same draws", honest), ("two draws", wrong)):
    difference = values - log_true
    print(f"{name:10} minus truth {difference.mean():+.2f} +- {difference.std() / math.sqrt(len(difference)):.2f}")
assert wrong.mean() < log_true.mean()  # checks that your machine agrees; skip it

# %% [markdown]
# (c): the KL of $z$ has shrunk, and with it what the wrong estimator can steal. Over five seeds it lies 0.32 ± 0.02
# nats *below* the truth from this start, where it lay 0.67 ± 0.07 above from the other; the honest one is 0.7 nats
# below both times. **An estimate above the truth proves a bug. One below proves nothing.**
#
# On real cells, with a KL of ten or twenty nats, the same bug flatters a model by nats, and it flatters most the model
# that uses its latents most. A comparison of models made with it is a comparison of their appetite for latents.
#
# **Try it.** An open task. Write down a test that would have caught the bug in 2018, short enough for a test suite:
# which model, which data, how many draws, and what is compared with what?
#
# <details><summary><b>What a good answer contains</b></summary>
#
# A model with a known answer, such as the linear-Gaussian one; a $q$ that is not the prior, so that the encoder says
# something; $S$ of 10 or more, since at $S = 1$ both are the ELBO; and a comparison with $\log p(x)$ *from above*: the
# mean estimate, plus a few standard errors, must not exceed it. A second test lets $q$ be the exact posterior: then
# every estimate with the same draws is $\log p(x)$ exactly, and one with two draws is not. The package has both.
#
# </details>
#
# <details><summary><b>Check yourself.</b> Name three tests that would have passed with this bug in place.</summary>
#
# Any test at $S = 1$; a test that the estimate is finite and rises with $S$; a test that it lies above the ELBO. On
# noise with a good start of `theta`, even a comparison with the truth passes.
#
# </details>
