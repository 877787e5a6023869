# %% [markdown]
# # Lesson 4 · Reparameterisation, loss function, ELBO
#
# {{links}}
#
# **You will be able to**
#
# - derive the ELBO in two ways, check every line by a number, and say what the gap is (exercise 4.6, quiz 1 and 2)
# - say why a gradient cannot pass a draw, and mend it (exercise 4.1, quiz 3)
# - derive the KL to the standard normal, and say how it pulls (exercise 4.2, quiz 4)
# - write the loss, and estimate the ELBO from draws (exercise 4.3)
# - turn the bound into an estimate of the likelihood, and say when not to trust it (exercise 4.4, quiz 5 and 6)
#
# **Time:** about {{minutes}} minutes, exercises included; if you try everything, half as much again, with a pause after
# section 4.5. **You need:** lesson 1 (KL divergence, Monte Carlo, Jensen's inequality), lesson 2 (`loss.backward()`),
# lesson 3 (`BinaryVAE`). Stuck? `hint("4.1")`, twice, then `solution("4.1")`. Exercise 4.6 comes first.

# %% setup=true
import torch

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, quiz, solution

# %% fold="Names that the lesson uses, and how it checks a line that you write"
# isort: split
import math

from torch import Tensor

from vae_course.distributions import (
    bernoulli_log_prob,
    effective_sample_size,
    kl_multivariate_normal,
    normal_log_prob,
)
from vae_course.model import LossTerms


def check_line(written: object, left_side: Tensor) -> None:
    """Print the number of a line that the reader has written beside the one it should be compared with."""
    if written is ...:
        print(f"not written yet   left-hand side {left_side:.4f}")
        return
    values = torch.as_tensor(written)
    if values.numel() != 1:
        print(f"that is a table of {values.numel()} numbers; a line is one number: which mean does it need?")
        return
    difference = float(values) - float(left_side)
    verdict = (
        "equal" if abs(difference) < 1e-3 else f"{'above' if difference > 0 else 'below'} by {abs(difference):.4f}"
    )
    print(f"your line {float(values):.4f}   left-hand side {left_side:.4f}   {verdict}")


# %% [markdown]
# ## 4.1 A model that can be solved
#
# **Question.** The ELBO of lesson 3 is said to lie below $\log p(x)$. How would we know, if nobody can compute
# $\log p(x)$?
#
# We take a model in which everybody can: two latents, three genes, a decoder without a bend, and Gaussian noise.
#
# $$z \sim \mathcal N(0, I), \qquad x = W z + b + \text{noise}, \qquad \text{noise} \sim \mathcal N(0, \tau^2 I).$$
#
# $W$ and $b$ are the decoder's weight and bias, $\tau^2$ is the variance of the noise, and $x$ holds three
# log-normalised genes. This is the **linear-Gaussian model** ([Tipping and Bishop
# 1999](https://doi.org/10.1111/1467-9868.00196)).

# %%
W = torch.tensor([[1.0, 0.5], [0.0, 1.0], [-0.5, 2.0]], dtype=torch.float64)  # (genes, latents)
b = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)  # (genes,)
noise_var = torch.tensor(0.5, dtype=torch.float64)
x = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)  # (genes,), our one cell
zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)


def log_prior_of(z: Tensor) -> Tensor:
    """Return log p(z), (..., 2) -> (...)."""
    return normal_log_prob(z, zero, one).sum(dim=-1)


def log_lik_of(z: Tensor) -> Tensor:
    """Return log p(x|z) of our cell, (..., 2) -> (...)."""
    return normal_log_prob(x, z @ W.T + b, noise_var).sum(dim=-1)


# %% [markdown]
# With two latents a grid still works (lesson 1): summed over the little squares of the plane of $z$, $p(x, z)$ gives
# $p(x)$.
#
# Now an approximation. Like an encoder's, our $q(z \mid x)$ is a Gaussian with a mean $\mu$ and a variance $\sigma^2$
# for each latent, independent of one another. Its mean is poor on purpose.
#
# **Predict.** The columns of $W$ say how strongly the genes answer to each latent: $(1, 0, -0.5)$ to the first,
# $(0.5, 1, 2)$ to the second. Which latent does one cell pin down better? (a) the first, (b) the second, (c) both
# alike. The figure shows prior, posterior and $q$ as ellipses at two standard deviations (sd).

# %%
axis = torch.linspace(-6, 6, 601, dtype=torch.float64)
plane, area = torch.cartesian_prod(axis, axis), 0.02**2  # (points, 2), and the area of a grid square
log_prior, log_lik = log_prior_of(plane), log_lik_of(plane)  # (points,) each
log_joint = log_prior + log_lik  # (points,), log p(x, z)
log_px = torch.logsumexp(log_joint, dim=0) + math.log(area)
log_post = log_joint - log_px  # (points,), log p(z|x) by Bayes
mean = torch.tensor([0.2, -0.4], dtype=torch.float64)  # mu
var = torch.tensor([0.3, 0.1], dtype=torch.float64)  # sigma^2
logvar = var.log()  # as an encoder gives it


def log_q_of(z: Tensor) -> Tensor:
    """Return log q(z|x), (..., 2) -> (...)."""
    return normal_log_prob(z, mean, var).sum(dim=-1)


log_q = log_q_of(plane)  # (points,)


def mean_under_q(values: Tensor) -> Tensor:
    """Return the mean under q of values on the plane, (points,) -> a scalar."""
    return (log_q.exp() * area * values).sum()


print(f"log p(x) = {log_px:.4f} nats")


# %% fold="What is drawn: ellipses of the prior, the posterior and q"
def ellipse(center: Tensor, cov: Tensor) -> Tensor:
    """Return the line at two standard deviations around the centre, (2, points)."""
    angle = torch.linspace(0, 2 * math.pi, 121, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()])  # (2, points)
    return center.unsqueeze(-1) + 2 * torch.linalg.cholesky(cov) @ circle


precision = torch.eye(2, dtype=torch.float64) + W.T @ W / noise_var  # (latents, latents)
post_cov = torch.linalg.inv(precision)
post_mean = post_cov @ W.T @ (x - b) / noise_var  # (latents,)
ax = plots.panels(width=5.0, height=4.4)[0]
shown = {"prior": (zero, torch.diag(one)), "posterior": (post_mean, post_cov), "our q": (mean, torch.diag(var))}
for (name, (center, cov)), color, style in zip(
    shown.items(), ("0.5", "black", plots.COLORS[0]), (":", "--", "-"), strict=True
):
    ax.plot(*ellipse(center, cov), color=color, linestyle=style, linewidth=2, label=name)
    ax.plot(*center, "o", color=color)
ax.set(xlabel="latent 1", ylabel="latent 2", aspect="equal", xlim=(-2.4, 2.4), ylim=(-2.2, 2.7))
ax.legend(frameon=False, loc="upper center", ncols=3)
plots.show(
    ax,
    alt="Ellipses at two standard deviations: the prior is a large circle; the posterior is small, flat and slightly "
    "tilted, right of the centre and below it; q is of nearly its size, but lies to the left of it.",
)
marginal = torch.distributions.MultivariateNormal(b, W @ W.T + noise_var * torch.eye(3))
print(f"log p(x): by formula {marginal.log_prob(x):.4f}   on the grid {log_px:.4f}")
print("posterior sd: by formula", [round(value, 2) for value in post_cov.diagonal().sqrt().tolist()], end="   ")
spread = (log_post.exp() * area) @ (plane - post_mean).square()  # (latents,)
print("on the grid", [round(value, 2) for value in spread.sqrt().tolist()])

# %% [markdown]
# (b): three genes speak about the second latent, and loudly. In this model formulas agree with the grid: $p(x)$ is a
# Gaussian with mean $b$ and covariance $W W^\top + \tau^2 I$. The posterior is one too: its covariance $P$ has the
# inverse (the **precision**) $P^{-1} = I + W^\top W / \tau^2$, its mean is $P\,W^\top (x - b) / \tau^2$. Why is
# this so? 20 minutes: [deeper/4a](deeper/4a_when_not_to_trust_it.ipynb).

# %% [markdown]
# ## 4.2 The bound, first way: Jensen
#
# **Question.** $\log p(x)$ is the logarithm of an integral over all $z$. How can a $q$ that is roughly right help?
#
# By being the place to average. You write the derivation, and a number checks each of your lines. It begins with the
# sum rule, then multiplies and divides by $q$:
#
# $$\log p(x) = \log \int p(x, z)\,dz = \log \int q(z \mid x)\,\frac{p(x, z)}{q(z \mid x)}\,dz.$$
#
# **Your line 3.** An integral against $q$ is a mean under $q$. So the right-hand side is
# $\log \mathbb E_q[\,\ldots\,]$: of what? Replace the three dots in the cell, using `log_joint`, `log_q`,
# `torch.exp`, `torch.log` and `mean_under_q`. An equality has to give the number of its left-hand side.
#
# **Your line 4.** Let the logarithm move inside. Jensen's inequality (lesson 1): the logarithm of a mean is at least
# the mean of the logarithms. So this line may lie *below* its left-hand side.


# %%
line_3 = ...
check_line(line_3, log_px)
line_4 = ...
check_line(line_4, log_px)

# %% [markdown]
# <details><summary><b>The two lines</b></summary>
#
# $$\log p(x) = \log\,\mathbb E_q\Big[\frac{p(x, z)}{q(z \mid x)}\Big]
# \;\ge\; \mathbb E_q\big[\log p(x, z) - \log q(z \mid x)\big].$$
#
# `line_3 = torch.log(mean_under_q(torch.exp(log_joint - log_q)))` gives $-4.3141$, the number of $\log p(x)$, and
# `line_4 = mean_under_q(log_joint - log_q)` gives $-5.0004$.
#
# </details>
#
# The last line is the **ELBO**, the evidence lower bound, written $\mathcal L$. It lies 0.69 nats below $\log p(x)$.
# Look at the ratio inside the mean, the **weight** $w_s = p(x, z_s) / q(z_s \mid x)$ of a draw $z_s$ from $q$. The
# histogram shows $\log w_s$ of 100,000 draws.

# %%
bound = mean_under_q(log_joint - log_q)
generator = torch.Generator().manual_seed(0)
eps = torch.randn(100_000, 2, dtype=torch.float64, generator=generator)  # (draws, 2)
draws = mean + var.sqrt() * eps  # (draws, 2), from q
log_w = log_prior_of(draws) + log_lik_of(draws) - log_q_of(draws)  # (draws,)
print(f"mean of log w   {log_w.mean():.2f}   ELBO {bound:.2f}")
print(f"log of mean w   {log_w.exp().mean().log():.2f}   log p(x) {log_px:.2f}")

# %% fold="What is drawn: the log weights, their mean, and the logarithm of the mean weight"
ax = plots.histogram({"draws": log_w}, bins=80, ax=plots.panels(width=6.4, height=3.4)[0])
ax.axvline(bound, color=plots.COLORS[1], linewidth=2, linestyle="--")
ax.axvline(log_px, color=plots.COLORS[2], linewidth=2)
ax.text(bound - 0.12, 7300, "mean of log w\n= ELBO = -5.00", ha="right", va="top", color=plots.COLORS[1])
ax.text(log_px + 0.12, 7300, "log of mean w\n= log p(x) = -4.31", va="top", color=plots.COLORS[2])
ax.annotate("", (log_px, 1500), (bound, 1500), arrowprops={"arrowstyle": "<->", "color": "0.2"})
ax.text((bound + log_px) / 2, 1650, "gap", ha="center", color="0.2")
ax.set(xlabel="log weight of a draw (nats)", ylabel="draws", xlim=(-9, 1.5), ylim=(0, 7600))
ax.get_legend().remove()
plots.show(
    ax,
    alt="Histogram of the log weights of draws from q: their mean, the ELBO, is marked at -5.00; the logarithm of the "
    "mean weight, log p(x), is marked to its right at -4.31. An arrow between the two is called the gap.",
)

# %% [markdown]
# The gap *is* the scatter: a mean of weights listens to the large ones, a mean of logarithms to all alike.
#
# **Predict.** Draw from the exact posterior instead of $q$. How do five log weights look? (a) they scatter less,
# (b) all five are the same number, (c) they average $0$.

# %%
posterior = torch.distributions.MultivariateNormal(post_mean, post_cov)
exact_draws = post_mean + eps[:5] @ torch.linalg.cholesky(post_cov).T  # (5, 2), from the posterior
log_w_exact = log_prior_of(exact_draws) + log_lik_of(exact_draws) - posterior.log_prob(exact_draws)
print([round(value, 4) for value in log_w_exact.tolist()])

# %% [markdown]
# (b), and the number is $\log p(x)$: by Bayes' rule $p(x, z) / p(z \mid x) = p(x)$, whatever $z$ is.
#
# **What breaks it.** Nothing; it holds for *any* $q$. But it can be of no use: shrink the variances of $q$ towards 0,
# and the ELBO falls without limit.

# %% [markdown]
# ## 4.3 The bound, second way: what the gap is
#
# **Question.** Jensen says that something is lost. What exactly?
#
# Begin with what we want to be small, the KL from $q$ to the posterior:
#
# $$\mathrm{KL}(q \,\|\, p(z \mid x)) = \mathbb E_q\big[\log q(z \mid x) - \log p(z \mid x)\big].$$
#
# **Your line 2.** In a real model nobody has $\log p(z \mid x)$. Replace it by Bayes' rule; besides `log_joint` and
# `log_q` you may use `log_px`.
#
# **Your line 3.** What holds no $z$ can leave the mean. Do you recognise what stays inside? Write the line with `bound`
# (the ELBO) and without any mean.

# %%
kl_to_posterior = mean_under_q(log_q - log_post)
line_2 = ...
check_line(line_2, kl_to_posterior)
line_3 = ...
check_line(line_3, kl_to_posterior)

# %% [markdown]
# <details><summary><b>The two lines</b></summary>
#
# $$\mathrm{KL}(q \,\|\, p(z \mid x)) = \mathbb E_q\big[\log q(z \mid x) - \log p(x, z) + \log p(x)\big]
# = -\mathcal L + \log p(x).$$
#
# `mean_under_q(log_q - log_joint + log_px)`, and `-bound + log_px`: both $0.6863$.
#
# </details>
#
# This is the equation of the lesson:
#
# $$\boxed{\;\log p(x) = \mathcal L + \mathrm{KL}(q \,\|\, p(z \mid x))\;}$$
#
# What is lost, the **gap**, is the KL to the posterior, never negative: $\mathcal L \le \log p(x)$ once more.

# %% [markdown]
# Write bound and gap for many cells, from draws. In come `log_joint` $= \log p(x, z_s)$ and `log_q` $= \log q(z_s \mid
# x)$ at the same draws $z_s \sim q$, both (S, cells), a draw a row, and `log_px`, (cells,). Return the ELBO and an
# estimate of $\mathrm{KL}(q \,\|\, p(z \mid x))$, (cells,) each. In every cell the two add up to `log_px`.
#
# By hand, one cell and two draws: log-joints $-5, -7$, log-densities $-1, -2$, $\log p(x) = -4$. The draws come to $-4$
# and $-5$, so the ELBO is $-4.5$ and the gap $0.5$.

# %% exercise="4.6" source="vae_course.distributions.elbo_and_gap" minutes=8 difficulty=1

# %%
table = draws[:1000].view(100, 10, 2)  # (S, cells, 2): ten "cells", all of them ours, so the scatter is noise
log_joint_table = log_prior_of(table) + log_lik_of(table)  # (S, cells)
bounds, gaps = elbo_and_gap(log_joint_table, log_q_of(table), log_px.expand(10))  # (cells,) each
print("gaps:", [round(float(value), 1) for value in gaps], f"  exact {kl_to_posterior:.2f}")
print("bound + gap:", [round(float(a + b), 2) for a, b in zip(bounds, gaps, strict=True)][:3], "...")

# %% [markdown]
# **Fit minus price.** Split the joint, $\log p(x, z) = \log p(x \mid z) + \log p(z)$, and the last two logarithms make
# another KL:
#
# $$\mathcal L = \underbrace{\mathbb E_q[\log p(x \mid z)]}_{\text{fit}}
# - \underbrace{\mathrm{KL}(q \,\|\, p(z))}_{\text{price}}.$$
#
# Two KLs, easily confused. The **price** compares $q$ with the *prior*; we can compute it. The **gap** compares $q$
# with the *posterior*; in a real model we cannot.
#
# **Your line.** Write the price, with `mean_under_q`. The number to hit is fit minus ELBO. (Section 4.5 has the
# answer.)

# %%
fit = mean_under_q(log_lik)
price = ...
check_line(price, fit - bound)

# %%
quiz("4.1")

# %%
quiz("4.2")

# %% [markdown]
# ## 4.4 The gradient that cannot pass a die
#
# **Question.** Our loss depends on $z$, and $z$ was *drawn* from $q(z \mid x) = \mathcal N(\mu, \sigma^2)$. How does
# the encoder, which made $\mu$ and $\sigma$, learn to do better?
#
# We want to move $\mu$ so that $f(z) = (z - 3)^2$ gets small on average, where $z \sim \mathcal N(\mu, 1)$. Since
# $\mathbb E[f] = (\mu - 3)^2 + 1$, the slope at $\mu = 1$ is $2(1 - 3) = -4$.
#
# **Predict.** What does `backward()` say after one draw? (a) about $-4$, with noise, (b) an error, (c) exactly $0$.

# %%
torch.manual_seed(0)
mu = torch.tensor(1.0, requires_grad=True)
z = torch.normal(mu, 1.0)  # draw
((z - 3) ** 2).backward()
print(f"slope by backward(): {mu.grad.item():.1f}   truth: -4")

# %% [markdown]
# Zero, without a word of warning. To PyTorch a draw is a number like any other: moving $\mu$ now does not move it.
#
# **Idea.** Roll the die *first*, somewhere $\mu$ has no say, and let $\mu$ only *move* the result ([Kingma and Welling
# 2014](https://doi.org/10.48550/arXiv.1312.6114); [Rezende et al. 2014](https://doi.org/10.48550/arXiv.1401.4082)):
#
# $$z = \mu + \sigma\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1).$$
#
# $z$ has exactly the distribution it had before. But now it can be differentiated: $\partial z / \partial \mu = 1$ and
# $\partial z / \partial \sigma = \varepsilon$. One draw is noisy; is it right on average? The cell tells.

# %%
mu.grad = None
eps_1 = torch.randn(())  # the die, rolled outside
z = mu + 1.0 * eps_1  # mu only shifts it
((z - 3) ** 2).backward()
print("backward() gives f' at the draw:", torch.isclose(mu.grad, 2 * (1 + eps_1 - 3)).item())
many = torch.randn(10_000, generator=torch.Generator().manual_seed(0))  # (draws,)
slopes = 2 * (1 + many - 3)
print(f"10,000 draws: mean {slopes.mean():.2f}   standard error {slopes.std() / 100:.2f}   truth: -4")

# %%
vc.explore.reparameterization()

# %% [markdown]
# **What breaks it.** If $f$ jumps, its derivative is 0 almost everywhere, and so is what the trick returns. Estimators
# that stand jumps are noisier ([Mohamed et al.
# 2020](https://doi.org/10.48550/arXiv.1906.10652)). 20 minutes: [deeper/4c](deeper/4c_when_f_jumps.ipynb).

# %% [markdown]
# Write the draw for whole tables. In: `mean` and `logvar` of one shape, any shape, and perhaps a `generator`, the
# source of the noise (`None`: PyTorch's own). Out: one draw, of the same shape. Every entry has a die of its own, every
# call new ones, and gradients reach both. Mind that the second is a *log-variance*.
#
# By hand: with mean $1$, log-variance $\log 4$ and a die that shows $0.5$, $z = 1 + 2 \cdot 0.5 = 2$.

# %% exercise="4.1" source="vae_course.distributions.reparameterize" minutes=6 difficulty=1

# %% [markdown]
# <details><summary><b>Check yourself.</b> Your check says the spread is wrong: you used <code>logvar.exp()</code>. What
# did you compute?</summary>
#
# The variance $\sigma^2$, not the standard deviation. When $\sigma < 1$, as it is in a trained encoder, the draws crowd
# too close to $\mu$: the decoder sees less noise than the KL charges for, and the loss need not be a bound on anything.
#
# </details>

# %% [markdown]
# ## 4.5 The price: KL to the standard normal
#
# **Question.** Lesson 3 computed the price by a formula. Where does it come from, and what does it want?
#
# One latent, $q = \mathcal N(\mu, \sigma^2)$ against $p = \mathcal N(0, 1)$. Write both log-densities; the two
# $\log 2\pi$ cancel:
#
# $$\mathrm{KL} = \tfrac12\,\mathbb E_q\Big[z^2 - \log\sigma^2 - \frac{(z - \mu)^2}{\sigma^2}\Big].$$
#
# Three means. The first: $\sigma^2 = \mathbb E_q[z^2] - \mu^2$, so $\mathbb E_q[z^2] = \mu^2 + \sigma^2$. The second is
# a fixed number.
#
# **Your line.** What is the third, the mean of $(z - \mu)^2 / \sigma^2$? The cell compares it with the grid, for the
# first latent of our $q$, $\mathcal N(0.2, 0.3)$.

# %%
third = ...
check_line(third, mean_under_q((plane[:, 0] - mean[0]) ** 2 / var[0]))

# %% [markdown]
# Write the KL to the standard normal, from `mean` and `logvar`, both of shape (..., latents). Several latents are
# independent in $q$ and in $p$, so their KLs add: (...) comes out, a number a cell.
#
# By hand: $\mu = (1, 0)$ and $\log\sigma^2 = (0, 0)$ give $0.5$. With $\log\sigma^2 = (0, \log 4)$ the second latent
# adds $0.807$.
#
# Mind what the encoder gives: $\log\sigma^2$, not $\sigma^2$.

# %% exercise="4.2" source="vae_course.distributions.kl_standard_normal" minutes=9 difficulty=1

# %% [markdown]
# <details><summary><b>The last lines</b></summary>
#
# The third mean is the variance over itself, 1. So
#
# $$\mathrm{KL}(q \,\|\, \mathcal N(0, I)) = \tfrac12\sum_j \big[\mu_j^2 + \sigma_j^2 - \log\sigma_j^2 - 1\big],
# \qquad \sigma_j^2 = e^{\log\sigma_j^2}.$$
#
# </details>
#
# **What does it want?** Ask its slopes, at our $q$ with $\mu = (0.2, -0.4)$ and $\sigma^2 = (0.3, 0.1)$:

# %%
mean_leaf, logvar_leaf = mean.clone().requires_grad_(), logvar.clone().requires_grad_()
price = kl_standard_normal(mean_leaf, logvar_leaf)
price.backward()
print(f"price {price.item():.4f} nats   on the grid {mean_under_q(log_q - log_prior):.4f}")
print("slope in mean  ", [round(v, 2) for v in mean_leaf.grad.tolist()])
print("slope in logvar", [round(v, 2) for v in logvar_leaf.grad.tolist()])

# %% [markdown]
# The slope is $\mu_j$ in the mean and $\tfrac12(\sigma_j^2 - 1)$ in the log-variance: two springs. One pulls the mean
# to 0, the other the variance to 1: from below with a slope of at most $\tfrac12$, from above ever harder.
#
# **What breaks it.** Pass the *variance* where the log-variance belongs. There is no error, and no negative number. But
# look which variance is now the cheapest: the spring pulls the wrong way.

# %%
for value in (0.01, 0.3, 1.0):
    v = torch.tensor([value])
    right, wrong = kl_standard_normal(torch.zeros(1), v.log()), kl_standard_normal(torch.zeros(1), v)
    print(f"variance {value:<5} right {float(right):.2f} nats   variance passed as logvar {float(wrong):.2f} nats")

# %%
quiz("4.3")

# %%
quiz("4.4")

# %% [markdown]
# ## 4.6 The loss
#
# **Question.** Lesson 3 minimised "binary cross-entropy plus KL". Which line of this lesson is that?
#
# Minus the ELBO. $-\log p(x \mid z)$ is the binary cross-entropy (lesson 1); one draw stands for its mean:
#
# $$\underbrace{-\mathcal L}_{\text{loss}} = \underbrace{\mathbb E_q[-\log p(x \mid z)]}_{\text{reconstruction}}
# + \underbrace{\mathrm{KL}(q(z \mid x) \,\|\, p(z))}_{\text{KL}}.$$
#
# **Find the slip.** The lecture notes get there through this line, "the loss is"
#
# $$-\mathbb E_q\big[\log p(x \mid z)\,p(z) - \log q(z \mid x)\big] + \log p(x),$$
#
# where $\log$ is meant of the product $p(x \mid z)\,p(z)$. Its number, and that without the last term:

# %%
inner = mean_under_q(log_lik + log_prior - log_q)
print(f"the notes' line          {-inner + log_px:.4f}")
print(f"without its last term    {-inner:.4f}")

# %% [markdown]
# **Predict**, before you open the box: which quantity of section 4.3 is the first number, which the second, and which
# of them can a network compute?
#
# <details><summary><b>The mended line, and why</b></summary>
#
# $$-\mathbb E_q\big[\log\big(p(x \mid z)\,p(z)\big) - \log q(z \mid x)\big] = -\mathcal L.$$
#
# The notes' line is the *gap*, 0.6863, which contains $\log p(x)$: nobody can compute it. The loss is 5.0004. For the
# encoder the two differ by a constant, for the *decoder* they do not: trained on the gap, it would be asked to make its
# own posterior easy to hit, not to explain the cells.
#
# </details>
#
# **Global and local.** scVI (lesson 5) has a second latent: the logarithm $l$ of the cell's library size, with a
# $q(l \mid x)$ and a prior of its own. So its loss has one more price, $\mathrm{KL}(q(l \mid x) \,\|\, p(l))$. The
# code calls it `kl_local`, and that of $z$ `kl_global`.

# %% [markdown]
# **The ELBO by draws.** Where the price has no formula, average everything over the same draws. Three tables of shape
# (S, cells) go in, a draw a row: $\log p(x \mid z_s)$, $\log p(z_s)$ and $\log q(z_s \mid x)$. (cells,) comes out.
#
# By hand, one cell and two draws: log-likelihoods $-4, -6$, log-priors $-2, -3$, log-densities $-1, -1$. The estimate
# is $-6.5$.

# %% exercise="4.3" source="vae_course.distributions.elbo" minutes=5 difficulty=1

# %%
table = draws.view(1000, 100, 2)  # (S, cells, 2): 100 copies of our cell
estimates = torch.as_tensor(elbo(log_lik_of(table), log_prior_of(table), log_q_of(table)))  # (cells,)
print(f"mean {float(estimates.mean()):.2f}   scatter of one estimate {float(estimates.std()):.2f}   exact -5.00")

# %% [markdown]
# ## 4.7 Watching the gap close
#
# **Question.** Does climbing the ELBO really bring $q$ to the posterior?
#
# First by hand, in a model with one latent:

# %%
vc.explore.elbo()

# %% [markdown]
# Now by gradient, with your draw and your price. Start $q$ far off, and step downhill on the loss with 64 draws a step.
#
# **Predict.** After 600 steps the gap is (a) zero but for rounding, (b) small, and further steps will close it,
# (c) small, and no number of steps will close it.


# %%
def climb(n_steps: int = 600) -> Tensor:
    """Improve q by gradient steps; return its means and log-variances on the way, (steps, 2, 2)."""
    torch.manual_seed(0)
    m, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([-1.0, 0.6], [0.0, 0.0]))
    trace = []
    for step in range(n_steps):
        trace.append(torch.stack([m, s]).detach())
        z = reparameterize(m.expand(64, 2), s.expand(64, 2)).double()  # (64, 2)
        loss = kl_standard_normal(m, s) - log_lik_of(z).mean()
        slopes = torch.autograd.grad(loss, [m, s])
        with torch.no_grad():
            for parameter, slope in zip((m, s), slopes, strict=True):
                parameter -= 0.05 / (1 + step / 60) * slope  # smaller and smaller steps: the noise dies down
    return torch.stack(trace)


def gap_of(m: Tensor, s: Tensor) -> Tensor:
    """Return KL(q, posterior) for q with mean m and log-variance s, exactly."""
    return kl_multivariate_normal(m, torch.diag(s.exp()), post_mean, post_cov)


# %% tags=["volatile"]
trace = climb()  # (steps, 2, 2)
gaps = torch.stack([gap_of(*row) for row in trace])  # (steps,)
floor = gap_of(post_mean, -precision.diagonal().log())  # of the best q of this kind
print("gap after 0, 10, 50, 599 steps:", "  ".join(f"{gaps[step]:.3f}" for step in (0, 10, 50, 599)), "nats")
print(f"the smallest that is possible: {floor:.4f}")
assert floor < gaps[-1] < 0.06  # checks that your machine agrees; skip it

# %% [markdown]
# (c). Left in the figure, $q$ (blue) moves to the posterior (dashed). Middle, the bound rises. Right, the gap
# magnified.

# %% fold="What is drawn: the way of q, the bound as it rises, and the gap on a log scale" tags=["slide"]
axes = plots.panels(3, height=4.2, width=4.9)
for step, spot, place in ((0, (-1, 2.68), "bottom"), (4, (0, -1.78), "top"), (20, (1.95, 0.35), "bottom"), (599, 0, 0)):
    line = ellipse(trace[step, 0], torch.diag(trace[step, 1].exp()))  # (2, points)
    axes[0].plot(*line, color=plots.COLORS[0], linewidth=1.3 if spot else 3.0)
    if spot:
        side = "left" if step == 20 else "center"
        axes[0].text(*spot, f"step {step}", ha=side, va=place, color=plots.COLORS[0])
axes[0].plot(*trace[:, 0].T, color=plots.COLORS[1], marker=".", markersize=4, linewidth=0.8)
axes[0].text(-1.15, 0.6, "mean of q", ha="right", color=plots.COLORS[1])
axes[0].plot(*ellipse(post_mean, post_cov), "--", color="black", linewidth=1.5, zorder=3)
thin = {"arrowstyle": "-", "color": "0.3"}
axes[0].annotate("q, step 599", (1.15, 0.3), (1.35, 1.6), arrowprops=thin, color=plots.COLORS[0], weight="bold")
axes[0].annotate("posterior", (1.25, -0.79), (1.5, -2.0), arrowprops=thin, fontsize=11)
axes[0].set(xlim=(-3.2, 2.9), ylim=(-2.2, 3.1), xlabel="latent 1", ylabel="latent 2", title="q moves to the posterior")

levels, steps = (log_px - gaps)[:61], range(61)
axes[1].fill_between(steps, levels, log_px, color=plots.COLORS[1], alpha=0.3, linewidth=0)
axes[1].plot(steps, levels, color=plots.COLORS[0], linewidth=2.5)
axes[1].axhline(log_px, color="black", linewidth=1.5)
axes[1].text(60, log_px + 0.15, "log p(x) = -4.31", ha="right", fontsize=11)
axes[1].annotate("gap = KL(q || posterior)", (2.5, -5.6), (14, -7.5), arrowprops={"arrowstyle": "-"}, fontsize=11)
axes[1].text(30, -5.2, "ELBO", color=plots.COLORS[0], fontsize=11)
axes[1].set(xlabel="gradient step", ylabel="nats", ylim=(-12, -3.5), xlim=(0, 60), title="the bound rises")

axes[2].plot(range(1, 601), gaps, color=plots.COLORS[0])
axes[2].axhline(floor, color="0.5", linewidth=1)
axes[2].text(1.1, float(floor) * 0.85, "best diagonal q: 0.0126", va="top", color="0.3")
axes[2].set(xscale="log", yscale="log", xlabel="gradient step + 1", ylabel="gap (nats, log scale)", ylim=(1e-3, 30))
axes[2].set_title("what a diagonal q cannot reach")
plots.show(
    axes[0],
    alt="Left: ellipses of q move from the upper left onto the dashed posterior. Middle: the ELBO rises to the line of "
    "log p(x), the shaded gap closes. Right, on a log scale: the gap falls and comes to rest near 0.0126 nats.",
)

# %% [markdown]
# Our $q$ is **diagonal**: its latents are independent, while the posterior's are correlated ($r = 0.158$). That costs
# $-\tfrac12\log(1 - r^2) = 0.0126$ nats, nothing here; with $r = 0.9$ it would be 0.83. Why?
# [deeper/4a](deeper/4a_when_not_to_trust_it.ipynb). A *decoder* in training comes to prefer latents whose posterior is
# nearly diagonal ([Rolinek et al. 2019](https://doi.org/10.1109/CVPR.2019.01269), which we take on trust).

# %% [markdown]
# ## 4.8 From the bound to the likelihood
#
# **Question.** Can models be compared by their ELBOs?
#
# Keep our $q$, and give the decoder more noise.
#
# **Predict.** From 0.5 to 1 the ELBO *rises*. Does $\log p(x)$? (a) it rises too, (b) it stays, (c) it falls.

# %%
for value in (0.5, 1.0, 2.0):
    level = torch.tensor(value, dtype=torch.float64)
    joint = log_prior + normal_log_prob(x, plane @ W.T + b, level).sum(dim=-1)  # (points,)
    evidence = torch.logsumexp(joint, dim=0) + math.log(area)
    print(f"noise_var {value}: ELBO {mean_under_q(joint - log_q):.2f}   log p(x) {evidence:.2f}")

# %% [markdown]
# (c): a worse model with a better bound, because its gap shrank. So we want $\log p(x)$ itself, and the line *before*
# Jensen gives it:
#
# $$p(x) = \mathbb E_q\Big[\frac{p(x, z)}{q(z \mid x)}\Big] \approx \frac1S\sum_{s=1}^{S} w_s,
# \qquad z_s \sim q(z \mid x).$$
#
# Draw where $q$ thinks the posterior is, and correct each draw by its weight: **importance sampling** ([Burda et al.
# 2016](https://doi.org/10.48550/arXiv.1509.00519)). On average, the right side's logarithm is the ELBO at
# $S = 1$, rises with $S$ to $\log p(x)$, and by Jensen stays a **lower bound** for every $S$.

# %% [markdown]
# Write it. Given `log_joint` $= \log p(x, z_s)$ and `log_q` $= \log q(z_s \mid x)$, both (S, cells), return the
# logarithm of the mean weight of each cell, (cells,).
#
# By hand, one cell and three draws with $\log p(x, z_s) = \log 2, \log 2, \log 3$ and
# $\log q(z_s \mid x) = \log 2, 0, 0$: the weights are $1, 2, 3$, and the answer is $\log 2 = 0.6931$.
#
# Mind real cells: $\log p(x, z)$ may be $-10^4$, where the exponential of a float is 0.

# %% exercise="4.4" source="vae_course.distributions.log_marginal_likelihood" minutes=8 difficulty=2

# %% [markdown]
# **When not to trust it.** Estimate our cell's $\log p(x)$ 500 times each with 1, 10, 100 and 1000 draws: once from our
# $q$, once from a narrow one with a tenth of its variances.
#
# **Predict.** Where do the narrow one's 500 estimates lie with 1000 draws each? (a) half above the truth, half below,
# (b) nearly all below, (c) nearly all above.


# %%
def repeated(spread: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return 500 estimates of log p(x) with n draws of N(mean, spread) each, and their ESS (see below), (500,) each."""
    generator = torch.Generator().manual_seed(1)
    z = mean + spread.sqrt() * torch.randn(n, 500, 2, dtype=torch.float64, generator=generator)
    terms = log_prior_of(z) + log_lik_of(z), normal_log_prob(z, mean, spread).sum(dim=-1)  # (S, 500) each
    return torch.as_tensor(log_marginal_likelihood(*terms)).double(), effective_sample_size(*terms)


sizes, choices = (1, 10, 100, 1000), {"our q": var, "a tenth of its variances": 0.1 * var}
runs = {name: [repeated(spread, n) for n in sizes] for name, spread in choices.items()}
for name, run in runs.items():
    print(f"{name:25} medians", "  ".join(f"{values.median():.2f}" for values, _ in run))
    below = (run[3][0] < log_px).double().mean()
    print(f"{'':25} with 1000 draws {below:.0%} are below log p(x); median ESS {run[3][1].median():.0f}")

# %% fold="What is drawn: 500 estimates for each number of draws, from two q"
axes = plots.panels(2, width=5.0, height=3.9)
for ax, (name, run) in zip(axes, runs.items(), strict=True):
    parts = ax.violinplot([values.tolist() for values, _ in run], range(4), widths=0.8, showextrema=False)
    for body in parts["bodies"]:
        body.set(facecolor=plots.COLORS[6], alpha=0.7)
    ax.plot(range(4), [v.median() for v, _ in run], "o-", color=plots.COLORS[0], label="median estimate")
    ax.axhline(log_px, color="black", linewidth=1.5)
    ax.text(2.5, float(log_px) + 0.15, "log p(x)", ha="center")
    ax.set(xlabel="draws per estimate, S", ylabel="estimate (nats)", ylim=(-9, -1), title=name)
    ax.set_xticks(range(4), ["1", "10", "100", "1000"])
axes[0].legend(frameon=False, loc="lower right")
plots.show(
    axes[0],
    alt="Distributions of 500 estimates for S = 1, 10, 100, 1000. Left, from our q, they climb to the line of log p(x) "
    "and close around it. Right, from a narrow q, the bulk stays below the line even at 1000, with a thin tail above.",
)

# %% [markdown]
# (b). From the narrow $q$, 94 % lie below the truth, by a nat in the median. Almost no draw strays to where the
# posterior is, and the few that do carry everything. An error bar knows nothing of draws that have not come.
#
# What helps a little is to ask how many draws did the work. The **effective sample size** is $S$ if all weights are
# alike, and 1 if one draw has all the weight:
#
# $$\mathrm{ESS} = \frac{\big(\sum_s w_s\big)^2}{\sum_s w_s^2}.$$
#
# Of 1000 draws, 255 of ours did the work, and 29 of the narrow one's. **A low ESS proves trouble. A high one proves
# nothing**: it is made of the same draws. ([Vehtari et al. 2024](https://doi.org/10.48550/arXiv.1507.02646) look at the
# tail of the weights instead.) Why narrow is worse than wide: 20 minutes,
# [deeper/4a](deeper/4a_when_not_to_trust_it.ipynb).
#
# On average, an honest estimate of $\log p(x)$ never lies above it. scVI 0.3.0's did: 15 minutes,
# [deeper/4b](deeper/4b_an_estimator_that_beats_the_truth.ipynb).

# %%
quiz("4.5")

# %% [markdown]
# ## 4.9 A win on real cells
#
# **Question.** Your draw, your price, your estimate: do they make a model that knows something about blood cells?
#
# The model is that of lesson 3, with your two functions inside. Beside it trains a twin that is deaf: `.detach()`
# throws the path of the gradient away. Both see the same 560 cells (genes detected or not); 140 are kept away.
#
# **Predict.** The deaf one's loss on its training cells will (a) stay where it is, (b) fall, (c) become NaN.


# %%
class LessonVAE(vc.BinaryVAE):
    """Lesson 3's model with your draw and your KL."""

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return reparameterize(mu, logvar).float()  # the networks are float32

    def loss_terms(self, x: Tensor, batch_index: Tensor | None = None, y: Tensor | None = None) -> LossTerms:
        logits, mu, logvar = self(x)
        bce = -bernoulli_log_prob(x, logits).sum(dim=-1)  # (cells,)
        return LossTerms(bce, torch.zeros_like(bce), kl_standard_normal(mu, logvar).float())


class DeafVAE(LessonVAE):
    """The same, but no gradient passes the draw."""

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return super().reparameterize(mu, logvar).detach()


# %%
data = vc.load_pbmc()
bits = data.binarize()
trainers = {"your VAE": LessonVAE(data.n_genes), "deaf": DeafVAE(data.n_genes)}
for name, network in trainers.items():
    trainers[name] = vc.UnsupervisedTrainer(
        network, bits, train_size=0.8, batch_size=64, lr=5e-3, n_epochs_kl_warmup=0, seed=0
    )
    trainers[name].train(40)

# %% tags=["volatile"]
for name, trainer in trainers.items():
    first, *_, last = trainer.history["loss_train_set"]
    terms = trainer.test_set.loss_terms()  # of the held-out cells, (cells,) each
    bce, kl = terms.reconstruction.mean(), terms.kl_global.mean()
    print(f"{name:8}  training loss {first:.0f} -> {last:.0f}   held out: reconstruction {bce:.0f} + KL {kl:.1f}")
assert kl < 0.1  # of the deaf one; checks that your machine agrees; skip it

# %% fold="What is drawn: the means of q, coloured by six groups of cells" tags=["volatile"]
everything = torch.from_numpy(bits.counts.toarray())  # (cells, genes)
merged = ["T cell" if name.startswith(("CD4+", "CD8+")) else str(name) for name in data.label_names]
group_names = sorted(set(merged))
groups = torch.tensor([group_names.index(merged[label]) for label in data.labels])  # (cells,)
axes = plots.panels(2, height=3.8, width=5.2)
for ax, (name, trainer) in zip(axes, trainers.items(), strict=True):
    with torch.no_grad():
        z_mean, _ = trainer.model.eval().encode(everything)  # (cells, latents)
    plots.latent(z_mean, groups, group_names, ax, name, "mean of z")
    ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[-2, 0, 2], yticks=[-2, 0, 2])
axes[0].get_legend().remove()
plots.show(
    axes[0],
    alt="Means of q for 700 blood cells in two latents, on the same scale. Left, your VAE: myeloid cells, B cells, and "
    "T with NK cells lie apart. Right, the deaf VAE: all cells sit in one small heap at zero.",
)

# %% [markdown]
# (b), and that is why nobody notices. The deaf encoder hears only the price, which needs no draw and has one wish: *be
# the prior*. So every cell gets $\mathcal N(0, I)$, and the decoder learns only how often each gene is detected. The
# sign to look for is a KL of zero.
#
# **The rival.** A model without latents: every gene a coin of its own, detected as often as in the training cells. We
# compare $\log p(x)$, held-out cell by cell.

# %% tags=["volatile"]
train, held_out = everything[trainer.train_set.indices], everything[trainer.test_set.indices]  # the same for both
share = (train.sum(dim=0) + 0.5) / (len(train) + 1)  # (genes,), never 0 or 1
rival = bernoulli_log_prob(held_out, torch.logit(share)).sum(dim=-1)  # (cells,)
print(f"{len(held_out)} held-out cells, independent genes: log p(x) = {rival.mean():.0f} nats per cell")
torch.manual_seed(0)
gains = {}
for name, trainer in trainers.items():
    with torch.no_grad():
        joint, q = trainer.model.importance_terms(held_out, n_samples=100)  # log p(x, z) and log q(z|x), (S, cells)
    rungs = [torch.as_tensor(log_marginal_likelihood(joint[:n], q[:n])) for n in (1, 10, 100)]  # (cells,) each
    gains[name] = rungs[-1] - rival
    error = gains[name].std() / math.sqrt(len(rival))
    ladder = "  ".join(f"{float(values.mean()):.1f}" for values in rungs)
    print(f"{name:8}  S = 1, 10, 100: {ladder}   above the rival by {gains[name].mean():.1f} +- {error:.1f}", end="")
    print(f"   median ESS {effective_sample_size(joint, q).median():.0f}")
assert gains["your VAE"].mean() > 25  # checks that your machine agrees; skip it
assert abs(gains["deaf"].mean()) < 3

# %% [markdown]
# **A win.** Your VAE gives a held-out cell about 33 nats more than independent genes do, a factor of $e^{33}$ in
# probability, from two numbers a cell. The estimate is a lower bound on average, so the true lead is no smaller. The
# deaf model ends where the rival does, to within a nat.
#
# **Break it, and say how one would notice.** An open task, without a checker. Give `LessonVAE` a fault of your own
# choice: `mean` instead of `sum` over the latents in the KL, `logvar.exp()` as standard deviation, weights without the
# $-\log S$, anything. Before you run: which of the printed numbers will give it away?
#
# <details><summary><b>What a good answer contains</b></summary>
#
# A prediction, a number that confirms or refutes it, and a check that works *without* knowing the fault. For example: a
# KL halved by `mean` trains without complaint, and its "loss" looks *better*; the honest estimate of $\log p(x)$, which
# uses no KL formula, does not. The best tests have a known answer: the linear-Gaussian model above, or the rival, close
# to which a model with a KL of zero has to end.
#
# </details>

# %% [markdown]
# ## 4.10 Your own data
#
# **What can I now do with my data?** Ask whether a model knows more about your cells than independent genes do, and for
# which cells the answer can be trusted. `marginal_ll` returns an ESS for each:
#
# ```python
# bits = vc.load_h5ad("my_cells.h5ad", n_top_genes=1000).binarize()
# trainer = vc.UnsupervisedTrainer(vc.BinaryVAE(bits.n_genes), bits, train_size=0.8, n_epochs_kl_warmup=0)
# trainer.train(60)
# log_px, ess = trainer.test_set.marginal_ll(n_samples=200, return_per_cell=True)  # (cells,) each
# print(log_px.mean(), (ess < 5).sum(), "cells whose estimate rests on a few draws")
# ```
#
# The rival is computed as above, with your cells in `everything`. Compare models on the same held-out cells and the
# same genes only.

# %% [markdown]
# ## 4.11 Quiz
#
# One more.

# %%
quiz("4.6")

# %% [markdown]
# ## 4.12 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `reparameterize` | `vae_course.distributions` | `reparameterize`, in the encoder | torch's `rsample` |
# | `kl_standard_normal` | `vae_course.distributions` | torch's `kl_divergence`, in `VAE.forward` | in `VAE.loss` |
# | `elbo`, `elbo_and_gap` | `vae_course.distributions` | - | - |
# | ELBO of a trained model | `vae_course.Posterior.elbo` | - | `get_elbo` |
# | `log_marginal_likelihood` | `vae_course.distributions` | in `Posterior.marginal_ll` | in `get_marginal_ll` |
# | reconstruction, two KLs | `vae_course.VAE.loss_terms` | `VAE.forward` (the first two added) | `VAE.loss` |
#
# Symbols are in the [notation](../docs/notation.md), terms in the [glossary](../docs/glossary.md), and where the cells
# come from in [data](../data/README.md).
#
# **Next.** Lesson 5 changes the likelihood, from bits to counts, gives the library its latent, and you will have scVI.

# %% tags=["volatile"]
progress()
