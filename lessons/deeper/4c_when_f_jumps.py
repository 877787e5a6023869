# %% [markdown]
# # Deeper 4c · When f jumps
#
# {{links}}
#
# **You will be able to**
#
# - differentiate an average whose function jumps, by the score function (exercise 4.5)
# - derive what that costs, and say why it gets worse with every latent
# - mend a part of it with a baseline
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 4, section 4.4](../04_math_details.ipynb). **You need:** the
# reparameterised draw $z = \mu + \sigma\varepsilon$; `loss.backward()`. Stuck? `hint("4.5")`, twice, then
# `solution("4.5")`.

# %% setup=true
import torch

import vae_course as vc
from vae_course import plots
from vae_course.distributions import normal_log_prob
from vae_course.exercises import exercise, hint, solution

# %% fold="Further names that this notebook uses"
# isort: split
import math
from collections.abc import Callable

from torch import Tensor

# %% [markdown]
# ## 4c.1 A slope without a derivative
#
# **Question.** The reparameterised draw needs the derivative of $f$. What if $f$ is a yes-or-no answer?
#
# Let $f(z) = 1$ if $z > 3$, else 0, with $z \sim \mathcal N(\mu, 1)$. The mean of $f$ is the area of the bell beyond 3.
# Move $\mu$ to the right and that area grows, by the height of the bell at 3.
#
# **Predict.** What would `backward()` find, through $z = \mu + \varepsilon$? (a) about 0.05, with noise, (b) 0, always,
# (c) 0 for most draws, and a huge number for the few near 3.

# %%
bell_at_3 = normal_log_prob(torch.tensor(3.0), torch.tensor(1.0), torch.tensor(1.0)).exp()
area = [0.5 * math.erfc((3 - mu) / math.sqrt(2)) for mu in (1.0, 1.01)]  # beyond 3, at two means
print(f"slope at mu = 1: finite difference {(area[1] - area[0]) / 0.01:.3f}   height of the bell at 3: {bell_at_3:.3f}")
moved = (1 + torch.tensor([-1.5, -0.7, 0.1, 0.8, 2.6])).requires_grad_()  # five draws, made of five dice
print("has backward() a path through the comparison?", (moved > 3).float().requires_grad)

# %% [markdown]
# (b): $f' = 0$ on both sides of the jump, and the jump itself is never seen. PyTorch does not even keep a path. Yet the
# true slope is not zero.
#
# **Idea.** Do not move the draws. Keep them, and ask how much more *probable* a larger $\mu$ makes each of them. Write
# the mean as an integral with the density $q(z) = \mathcal N(\mu, 1)$:
#
# $$\frac{\partial}{\partial\mu}\,\mathbb E_q[f(z)] = \frac{\partial}{\partial\mu}\int f(z)\,q(z)\,dz
# = \int f(z)\,\frac{\partial q(z)}{\partial\mu}\,dz.$$
#
# $f$ holds no $\mu$, so it is never differentiated. The derivative of a logarithm,
# $\frac{\partial}{\partial\mu}\log q = \frac{1}{q}\,\frac{\partial q}{\partial\mu}$, turned round, brings $q$ back:
#
# $$\frac{\partial}{\partial\mu}\,\mathbb E_q[f(z)] = \int f(z)\,q(z)\,\frac{\partial \log q(z)}{\partial\mu}\,dz
# = \mathbb E_q\Big[f(z)\,\frac{\partial \log q(z)}{\partial\mu}\Big].$$
#
# The slope of the log-density in $\mu$ is called the **score**. Line by line, on a grid, for the smooth
# $f(z) = (z - 3)^2$ at $\mu = 1$, whose slope is $-4$; the score by a finite difference:

# %%
grid = torch.linspace(-9, 11, 2001, dtype=torch.float64)  # (points,), spacing 0.01
unit = torch.tensor(1.0, dtype=torch.float64)
log_bell = [normal_log_prob(grid, unit * m, unit) for m in (1.0, 1.0001, 0.9999)]
slope_of_bell = (log_bell[1].exp() - log_bell[2].exp()) / 0.0002  # (points,)
score = (log_bell[1] - log_bell[2]) / 0.0002  # (points,)
print(f"integral of f dq/dmu {((grid - 3) ** 2 * slope_of_bell).sum() * 0.01:.3f}")
print(f"E_q[f times score]   {((grid - 3) ** 2 * log_bell[0].exp() * score).sum() * 0.01:.3f}")

# %% [markdown]
# ## 4c.2 The estimator
#
# **Question.** How does that become code that works for any $f$, a jump included?

# %% [markdown]
# Estimate $\frac{\partial}{\partial\mu}\mathbb E_{\mathcal N(\mu, 1)}[f(z)]$ by the last line. First find the score of
# $\mathcal N(\mu, 1)$, from $\log q(z) = -\tfrac12(z - \mu)^2 + \text{const}$. Then draw `n_samples` values of $z$ with
# the given `generator`, and average. `f` maps (n_samples,) to (n_samples,); `mean` is a number. Out: a scalar.
#
# By hand, $\mu = 1$, two draws $z = 0$ and $z = 3$, $f(z) = z^2$: they contribute $0$ and $18$, the estimate is $9$.
#
# Mind that `f` is a black box: it may jump, and you must not differentiate it.

# %% exercise="4.5" source="vae_course.exercises.e4_5.answer.score_function_gradient" minutes=8 difficulty=2


# %% [markdown]
# <details><summary><b>The score, and what it means</b></summary>
#
# It is $z - \mu$, so that the slope is $\mathbb E_q\big[f(z)\,(z - \mu)\big]$. Draws to the right of $\mu$ vote for
# moving right, as loudly as $f$ there is large.
#
# </details>
#
# On the step, where the other way is blind, and on the smooth $f$:


# %%
def step_at_3(z: Tensor) -> Tensor:
    """Return 1 where z > 3, else 0."""
    return (z > 3).float()


def square(z: Tensor) -> Tensor:
    """Return (z - 3)^2."""
    return (z - 3) ** 2


# %% tags=["volatile"]
generator = torch.Generator().manual_seed(0)
for f, exact in ((step_at_3, 0.054), (square, -4.0)):
    estimates = torch.tensor([float(score_function_gradient(f, 1.0, 10_000, generator)) for _ in range(50)])
    error = estimates.std() / math.sqrt(50)
    print(f"{f.__name__:10} score function {estimates.mean():+.3f} +- {error:.3f}   truth {exact:+.3f}")
    assert abs(float(estimates.mean()) - exact) < 6 * float(error)

# %% [markdown]
# **On a real decoder.** Train lesson 3's model on the PBMCs' bits and ask it a question with a yes or no. Walk along
# the first latent: would it call LYZ, a myeloid gene, detected (probability above one half)? How strongly does the
# *mean* of $q$ decide? A grid gives the exact slope, the score function estimates it, the reparameterised slope is 0.

# %%
data = vc.load_pbmc()
model = vc.BinaryVAE(data.n_genes)
trainer = vc.UnsupervisedTrainer(model, data.binarize(), lr=6e-3, n_epochs_kl_warmup=0, seed=0)
trainer.train(40)
lyz = data.gene_names.tolist().index("LYZ")


@torch.no_grad()
def calls_lyz(z_1: Tensor) -> Tensor:
    """Return 1 where the model calls LYZ detected at latents (z_1, 0), else 0."""
    return (model.eval().decode(torch.stack([z_1, torch.zeros_like(z_1)], dim=1))[:, lyz] > 0).float()


# %% tags=["volatile"]
fine = torch.linspace(-8, 8, 16_001)  # (points,), spacing 0.001
bell = normal_log_prob(fine, torch.tensor(0.5), torch.tensor(1.0)).exp()
on_grid = float((calls_lyz(fine) * bell * (fine - 0.5)).sum() / 1000)
by_score = float(score_function_gradient(calls_lyz, 0.5, 50_000, generator))
print(f"slope of P(LYZ called) in the mean, at 0.5: grid {on_grid:+.2f}   score function {by_score:+.2f}")
assert abs(by_score - on_grid) < 0.05  # checks that your machine agrees; skip it

# %% [markdown]
# The score function finds the slope that the reparameterised draw cannot see. If the call switches once, the slope is,
# up to its sign, the height of the bell at the switch: 0.40 at most.

# %% [markdown]
# ## 4c.3 What it costs
#
# **Question.** It works for every $f$. Why not always?
#
# On the smooth $f$ both work; put them side by side, and look at the spread of one draw. With $z = 1 + \varepsilon$ the
# reparameterised slope is $2(\varepsilon - 2)$, with variance 4. The score function gives $(\varepsilon - 2)^2\,
# \varepsilon$. Its mean square needs the even moments of the standard normal, $\mathbb E[\varepsilon^2] = 1$,
# $\mathbb E[\varepsilon^4] = 3$, $\mathbb E[\varepsilon^6] = 15$ (odd ones are 0):
#
# $$\mathbb E\big[(\varepsilon - 2)^4\,\varepsilon^2\big]
# = \mathbb E[\varepsilon^6] + 24\,\mathbb E[\varepsilon^4] + 16\,\mathbb E[\varepsilon^2] = 15 + 72 + 16 = 103.$$
#
# Minus the squared mean, 16: the variance is 87. By draws, and with both estimators for growing $n$:

# %%
eps = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
pathwise, votes = 2 * (eps - 2), (eps - 2) ** 2 * eps
print(f"variance of one draw: reparameterised {pathwise.var():.1f}   score function {votes.var():.0f}")
print(f"draws needed for the same error bar: {87 / 4:.0f} times as many")

# %% tags=["volatile"]
generator, sizes, runs = torch.Generator().manual_seed(0), (10, 100, 1000, 10_000), {}
spread = {"score function": [], "reparameterised": []}
for n in sizes:
    runs["score function"] = [float(score_function_gradient(square, 1.0, n, generator)) for _ in range(300)]
    runs["reparameterised"] = (2 * (torch.randn(300, n, generator=generator) - 2)).mean(dim=1).tolist()
    for name, values in runs.items():
        spread[name].append(torch.tensor(values).std().item())
    shown = {name: torch.tensor(values) for name, values in runs.items()} if n == 100 else (shown if n > 100 else None)
ratio = spread["score function"][1] / spread["reparameterised"][1]
print(f"at n = 100 the score function scatters {ratio:.1f} times as much")
assert 3.5 < ratio < 6  # the root of 87 / 4 is 4.7

# %% fold="What is drawn: 300 estimates of 100 draws each, and the spread as draws grow" tags=["volatile"]
axes = plots.panels(2, height=3.5, width=4.8)
plots.histogram(shown, bins=20, ax=axes[0], xlabel="estimated slope, 100 draws each", ylabel="count (of 300)")
axes[0].axvline(-4, color="0.4", linewidth=1)
axes[0].set(ylim=(0, 150), xlim=(-7.2, -0.8))
axes[0].legend(frameon=False, loc="upper left")
plots.lines(sizes, spread, ax=axes[1], xscale="log", yscale="log", xlabel="draws per estimate")
axes[1].set(ylabel="standard deviation of the estimate")
plots.show(
    axes[0],
    alt="Left: estimates of the slope -4 from 100 draws; the reparameterised ones form a narrow peak, the score "
    "function's a wide one. Right: both spreads fall with the number of draws, the score function's stays five times "
    "higher.",
)

# %% [markdown]
# Same rate, a worse start. And it gets worse with every latent. The score function multiplies the score of *one* latent
# with the *whole* $f$, to which all others add their noise. Let $f(z) = \sum_j (z_j - 3)^2$, all means 1, and look at
# the slope in the first mean alone. A term $f_j = (\varepsilon_j - 2)^2$ has mean 5, variance $3 + 24 + 16 - 25 = 18$,
# and $\mathbb E[f_j\,\varepsilon_j^2] = 3 + 4 = 7$. Multiply the square out; the 103 is from above:
#
# $$\mathbb E\Big[\Big(f_1 + \sum_{j > 1} f_j\Big)^2 \varepsilon_1^2\Big]
# = 103 + 2 \cdot 7 \cdot 5\,(k - 1) + \big[18\,(k - 1) + 25\,(k - 1)^2\big].$$
#
# Minus the squared mean, 16, that is the variance:

# %%
for k in (1, 2, 5, 10, 50):
    eps_k = torch.randn(200_000, k, generator=torch.Generator().manual_seed(k))  # (draws, latents)
    votes = ((eps_k - 2) ** 2).sum(dim=1) * eps_k[:, 0]  # (draws,)
    exact = 103 + 2 * 7 * 5 * (k - 1) + 18 * (k - 1) + 25 * (k - 1) ** 2 - 16
    print(f"{k:2} latents: sd of one draw {exact**0.5:6.1f} (measured {votes.std():.0f})   reparameterised 2.0")

# %% [markdown]
# With 50 latents it takes more than ten thousand times the draws. That is why a VAE could be trained at all once the
# reparameterisation was found, and why latents that are *categories* (which no die can move smoothly) remain hard.

# %% [markdown]
# ## 4c.4 A baseline
#
# **Question.** Can one have the generality for less?
#
# Add 100 to $f$. No slope changes, but every term $f(z)\,(z - \mu)$ grows. Subtract something instead:

# %%
for constant in (0, 100, -5, -7):
    votes = ((eps - 2) ** 2 + constant) * eps
    print(f"f {constant:+4d}: slope {votes.mean():.0f}   variance of one draw {votes.var():.0f}")

# %% [markdown]
# Subtracting a constant that makes $f$ small on average, such as $\mathbb E[f] = 5$, costs nothing and stays right on
# average, because the mean score is 0. Such a constant is called a **baseline**. The best one weighs $f$ by the squared
# score, $\mathbb E[f \varepsilon^2] / \mathbb E[\varepsilon^2] = 7$: a variance of 38 against 42.
#
# **What breaks it.** The baseline must not depend on the draw that it is subtracted from. The mean of $f$ over the
# *same* draws looks harmless. With few draws it is not:
#
# **Predict.** With 2 draws, subtracting their own mean gives on average (a) $-4$, (b) $-2$, (c) $0$.

# %%
few = eps[:400_000].view(200_000, 2)  # (estimates, 2 draws)
f_few = (few - 2) ** 2
own_mean = ((f_few - f_few.mean(dim=1, keepdim=True)) * few).mean(dim=1)  # (estimates,)
other = ((f_few - f_few.flip(1)) * few).mean(dim=1)  # each draw's baseline is the f of the other
print(f"own mean subtracted {own_mean.mean():.1f}   the other draw's f subtracted {other.mean():.1f}   truth -4")

# %% [markdown]
# (b): each draw is in its own baseline, with weight one half, and cancels half of its own vote. Leave the draw out of
# its baseline, and the answer is right again.
#
# <details><summary><b>Check yourself.</b> When would you take the score function rather than the reparameterised
# draw?</summary>
#
# When $f$ jumps, or a latent is a category: it needs $f$ only at the draws, never its derivative. Not to save draws
# (its variance was 22 times as large with one latent), not for many latents, and not because a KL lacks a formula:
# means over draws can be reparameterised as well.
#
# </details>
#
# **Try it.** An open task. Use your estimator to climb: maximise the chance that $z \sim \mathcal N(\mu, 1)$ lands in
# the interval from 2 to 3, from $\mu = 0$, in 200 steps of gradient ascent with 100 draws each. Where should it end?
# What happens from $\mu = -3$?
#
# <details><summary><b>What a good answer contains</b></summary>
#
# It ends near 2.5, the middle of the interval, and jitters there; smaller steps at the end calm it. From $-3$ hardly
# any draw lands in the interval, so nearly all estimates are exactly 0 and the walk stands still for a long time: where
# $f$ is 0 at every draw, there are no votes. A wider Gaussian, or a baseline, cannot be the whole answer to that; a
# smoother question can.
#
# </details>
#
# The best that is possible, and where you start:

# %%
for mu in (2.5, 0.0):
    area = 0.5 * (math.erf((3 - mu) / math.sqrt(2)) - math.erf((2 - mu) / math.sqrt(2)))
    print(f"mu = {mu}: P(2 < z < 3) = {area:.3f}")
