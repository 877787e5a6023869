# %% [markdown]
# # Lesson 1 · Problem setup and mathematical background
#
# {{links}}
#
# **You will be able to**
#
# - tell a cell's generative story, and reverse it with Bayes' rule (exercise 1.6, quiz 1)
# - write the log-probability of a bit and of a real number so that extremes do no harm (exercises 1.1 and 1.2, quiz 2)
# - compute the KL divergence of two Gaussians, and say which way it forgives (exercise 1.3, quiz 3 and 4)
# - estimate a mean that has no formula, with an error bar (exercise 1.5, quiz 6)
# - say what variational inference searches, and what a posterior is worth on real cells (quiz 5 and 7)
#
# **Time:** about {{minutes}} minutes. If you try everything, plan about twice that. **You need:** lesson 0, the sum and
# product rules of probability, logarithms.
#
# Exercise 1.4 is in [deeper/1a](deeper/1a_kl_in_many_dimensions.ipynb).

# %% setup=true
import torch

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, quiz, solution

# %% fold="Names from Python and PyTorch that the exercises use"
# isort: split
import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

# %% [markdown]
# ## 1.1 A story about a cell
#
# **Question.** Lesson 0 ended with a wish: a *distribution* over latents for each cell, not a point. What would that
# be?
#
# Of each of the 700 blood cells we keep one bit a gene: detected (1) or not (0), which can tell types apart ([Qiu
# 2020](https://doi.org/10.1038/s41467-020-14976-9)). We look at T cells and myeloid cells (monocytes and dendritic
# cells).

# %%
data = vc.load_pbmc()
x = torch.from_numpy(data.binarize().counts.toarray())  # (cells, genes), 0.0 or 1.0
labels = torch.from_numpy(data.labels)  # (cells,), the codes 0 to 9
is_t, is_myeloid = labels <= 4, (labels == 5) | (labels == 9)  # (cells,), True or False
names = data.gene_names.tolist()
cd3d = x[:, names.index("CD3D")]  # (cells,)
print(tuple(x.shape))
for kind, cells in (("T", is_t), ("myeloid", is_myeloid)):
    print(f"{kind:8} {int(cells.sum())} cells, CD3D detected in {cd3d[cells].mean():.0%}")

# %% [markdown]
# A bit is a coin: one number $p$, the probability of a 1, says everything (the **Bernoulli** distribution). But CD3D's
# coin is not the same in every cell. Something unmeasured decides. Call it $z$, the **latent** variable: about $-1$ in
# a T cell, about $+1$ in a myeloid cell, anything between and beyond. The **generative story** of a cell has two steps.
#
# 1. Draw $z$ from a **prior** $p(z)$: here a bell curve around 0 with variance 1.
# 2. Given $z$, throw one coin per gene. The coin of gene $g$ depends on $z$:
#
# $$p(x_g = 1 \mid z) = \sigma(w_g z + b_g), \qquad \sigma(a) = \frac{1}{1 + e^{-a}}.$$
#
# The **sigmoid** $\sigma$ squeezes any number $a$, a **logit**, into 0 to 1: $-4$ becomes 0.02, 0 a half, 4 becomes
# 0.98. Backwards, $a = \log\frac{p}{1 - p}$, the logarithm of the odds. The slope $w_g$ says how strongly gene $g$
# follows $z$, the offset $b_g$ how often it is seen at $z = 0$. Two measured shares give both: the logit is $b_g - w_g$
# in T cells and $b_g + w_g$ in myeloid cells.
#
# We take six **marker genes**, two of T cells, four of myeloid cells. Then the computer tells the story four times.


# %%
def line_of(bits: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes and offsets that give the shares of two groups, (cells, genes) -> (genes,) twice."""
    # One detected and one undetected cell more in each group, so that no share is 0 or 1.
    at_left, at_right = (torch.logit((bits[one].sum(dim=0) + 1) / (one.sum() + 2)) for one in (left, right))
    return (at_right - at_left) / 2, (at_right + at_left) / 2


genes = ["CD3D", "IL32", "S100A9", "FCN1", "LYZ", "CST3"]
markers = x[:, [names.index(name) for name in genes]]  # (cells, 6)
w, b = line_of(markers, is_t, is_myeloid)  # (6,), (6,)
generator = torch.Generator().manual_seed(0)
z_told = torch.randn(4, 1, generator=generator)  # (cells, 1), from the prior
x_told = torch.bernoulli(torch.sigmoid(z_told * w + b), generator=generator)  # (cells, 6)
print("    z   ", "  ".join(genes))
for value, row in zip(z_told[:, 0].tolist(), x_told.int().tolist(), strict=True):
    print(f"{value:+.2f}  ", "".join(f"{bit:^{len(name) + 2}}" for bit, name in zip(row, genes, strict=True)))

# %% [markdown]
# The genes go together, and all that ties them is $z$. The six coins are a complete **decoder**: put $z$ in, read six
# probabilities off.

# %% fold="What is drawn: the probability of detection of five of the genes over z"
grid = torch.linspace(-8, 8, 801)  # (points,), values of z; we keep this grid to the end of the lesson
curves = torch.sigmoid(grid.unsqueeze(-1) * w + b)  # (points, 6)
drawn = {name: curve for name, curve in zip(genes, curves.T, strict=True) if name != "FCN1"}  # nearly S100A9's curve
ax = plots.lines(grid, drawn, xlabel="latent z", ylabel="probability of detection", xlim=(-4, 4))
for place, kind, side in ((-1, "T ", "right"), (1, " myeloid", "left")):
    ax.axvline(place, color="0.7", linewidth=1, zorder=0)
    ax.text(place, 1.07, kind, ha=side)
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(ax, alt="Probability of detection over z: CD3D and IL32 fall, LYZ, CST3 and S100A9 rise.")

# %% [markdown]
# **What breaks it.** Once $z$ is known, the coins ignore each other. Real genes do so only roughly, which is why real
# models take ten latents.

# %% [markdown]
# ## 1.2 The story backwards
#
# **Question.** The story runs from $z$ to $x$. We hold $x$ and want $z$.
#
# With two values of $z$, "T" and "myeloid", and one gene, everything is counting. **Predict.** 34 % of these cells are
# T cells, and CD3D shows in 97 % of T cells. In a new cell CD3D is detected. How probable is a T cell: 97 %, 74 %, or
# 34 %?

# %%
kinds, seen = torch.stack([is_t, is_myeloid]), cd3d == 1  # (kind, cells), (cells,)
table = torch.stack([(kinds & seen).sum(dim=1), (kinds & ~seen).sum(dim=1)], dim=1)  # (kind, detected or not)
joint = table / table.sum()  # p(x, z), (kind, detected or not): the probability that both happen
prior = joint.sum(dim=1)  # p(z), (kind,): summed over x
likelihood = joint[:, 0] / prior  # p(x = 1 | z), (kind,): divided by the prior
evidence = joint[:, 0].sum()  # p(x = 1): summed over z
print(
    f"prior T {prior[0]:.2f}   likelihood T {likelihood[0]:.2f}, myeloid {likelihood[1]:.2f}   p(x = 1) {evidence:.2f}"
)
print(f"Bayes    p(T | CD3D) = {prior[0] * likelihood[0] / evidence:.3f}")
print(f"counting {table[0, 0]} of {table[:, 0].sum()} cells = {table[0, 0] / table[:, 0].sum():.3f}")

# %% [markdown]
# 74 %: this sample, unlike blood, holds twice as many myeloid cells, and some of them show CD3D too. A prior belongs to
# its sample.
#
# The **joint** $p(x, z)$ is the probability of both. Summed over one of the two it becomes a **marginal**. It splits in
# two ways, $p(z)\,p(x \mid z)$ and $p(x)\,p(z \mid x)$; set them equal, divide by $p(x)$, and there is **Bayes' rule**:
#
# $$\underbrace{p(z \mid x)}_{\text{posterior}} =
# \frac{\overbrace{p(z)}^{\text{prior}}\;\overbrace{p(x \mid z)}^{\text{likelihood}}}
# {\underbrace{p(x)}_{\text{marginal, or evidence}}},
# \qquad p(x) = \sum_z p(z)\,p(x \mid z).$$
#
# Now let $z$ be one of five numbers. One cell, two genes: CD3D detected, LYZ not. Multiply, sum, divide.

# %%
z = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
prior = torch.softmax(-(z**2) / 2, dim=0)  # a bell curve, made to sum to 1
likelihood = torch.sigmoid(z * w[0] + b[0]) * (1 - torch.sigmoid(z * w[4] + b[4]))  # CD3D yes, LYZ no
posterior = prior * likelihood / (prior * likelihood).sum()
for name, row in (("z", z), ("prior", prior), ("likelihood", likelihood), ("posterior", posterior)):
    print(f"{name:11}", *[f"{value:7.2f}" for value in row.tolist()])

# %% [markdown]
# The likelihood row does not sum to 1: it is a distribution over $x$, looked at as a function of $z$.
#
# Now a real cell, gene by gene, from CD3D on. **Predict**: when will IL32, a T gene as well, narrow the posterior more?
# **(a)** If it is detected too. **(b)** The same in both cases. **(c)** If it is not. Commit in the figure.

# %%
vc.explore.posterior()

# %%
quiz("1.1")

# %% [markdown]
# ## 1.3 Why logarithms
#
# **Question.** Two genes went well. What about 765?
#
# Give each gene one coin for all cells. The probability of a cell is a product of 765 numbers, many of them above a
# half. **Predict**: does the computer say $10^{-2}$, $10^{-20}$, or 0?

# %%
share = (x.sum(dim=0) + 1) / (len(x) + 2)  # (genes,)
of_what_we_saw = torch.where(x[0] == 1, share, 1 - share)  # (genes,), of the first cell
print("product of 765 probabilities:", of_what_we_saw.prod().item())
print(f"sum of their logarithms:      {of_what_we_saw.log().sum():.1f}")

# %% [markdown]
# Zero: PyTorch's usual numbers have 32 bits and hold nothing below about $10^{-45}$. This **underflow** gives every
# cell probability 0, and Bayes' rule divides 0 by 0. The cure is a logarithm, which turns the product into a sum. Its
# unit is the **nat**: one nat less divides a probability by $e \approx 2.7$. Our cell has probability $e^{-346}$.
#
# **What breaks it.** For $p(x)$ we need a *sum* of probabilities too, and going back through `exp` meets the same
# floor. Let $\ell_1, \ell_2, \ldots$ be the logarithms of the terms. Pull out the largest, $m$:
#
# $$\log \sum_i e^{\ell_i} = m + \log \sum_i e^{\ell_i - m}.$$
#
# Now the largest exponential is 1, and what still underflows does not matter. This is **log-sum-exp**:

# %%
log_terms = torch.tensor([-1000.0, -1001.0])
print("naive          ", log_terms.exp().sum().log().item())
print(f"torch.logsumexp {torch.logsumexp(log_terms, dim=0):.4f}")

# %% [markdown]
# ## 1.4 One coin, seen twice
#
# **Question.** A statistician writes the log-probability of a coin, a machine learner a loss called binary
# cross-entropy. What is the difference?
#
# Put both cases of the coin on one line. For either $x$ one term vanishes:
#
# $$\log p(x) = x \log p + (1 - x)\log(1 - p).$$
#
# **Binary cross-entropy** is this number with a minus sign: a loss *is* a likelihood.
#
# A network puts out logits. Why not turn them into probabilities and use this line? Here are four; the outcome is
# $x = 0$ each time. **Predict** what the computer says at 1000: $-7$, $-1000$, or $-\infty$?

# %%
a = torch.tensor([2.2, 10.0, 17.0, 1000.0])  # logits
prob = torch.sigmoid(a)
print("probability of a 1:", [round(value, 5) for value in prob.tolist()])
print("log p of a 0:      ", [round(value, 1) for value in torch.log(1 - prob).tolist()])

# %% [markdown]
# From 17 on the probability is rounded to 1, and one surprise costs $\infty$. The truth is tame: 17 and 1000 nats. So
# simplify *before* computing. Multiplied by $e^a$ above and below, the sigmoid is $e^a/(1+e^a)$. Taken from 1, it
# leaves $1/(1+e^a)$. With $\text{softplus}(a) = \log(1+e^a)$,
#
# $$\log(1 - p) = -\text{softplus}(a), \qquad \log p = a - \text{softplus}(a).$$
#
# PyTorch's `F.softplus` never overflows. Why, and what would a clamp cost? 15 minutes:
# [deeper/1b](deeper/1b_numerics_of_a_coin.ipynb).

# %% [markdown]
# **Now you.** Outcomes `x` (0 or 1) and `logits` come in and broadcast; the log-probability of each outcome goes out,
# nothing summed. Let `x` choose between the two cases above, on one line. By hand: at logit 2, $x = 1$ gives $-0.1269$
# and $x = 0$ gives $-2.1269$. At logits of $\pm 1000$ the answer is 0 or $-1000$, never $-\infty$, never NaN.

# %% exercise="1.1" source="vae_course.distributions.bernoulli_log_prob" minutes=6 difficulty=1

# %% [markdown]
# Your function on all cells and genes: one list of coins for everybody, or one for each kind?

# %%
both = is_t | is_myeloid  # (cells,)
shares = [(x[cells].sum(dim=0) + 1) / (cells.sum() + 2) for cells in (both, is_t, is_myeloid)]  # (genes,) each
one_list, as_t, as_myeloid = (bernoulli_log_prob(x, torch.logit(one)).sum(dim=1) for one in shares)  # (cells,) each
two_lists = torch.where(is_t, as_t, as_myeloid)  # (cells,)
print(f"nats a cell: one list {one_list[both].mean():.1f}, two lists {two_lists[both].mean():.1f}")

# %% [markdown]
# One hidden bit, the kind, is worth 23 nats a cell.

# %%
quiz("1.2")

# %% [markdown]
# ## 1.5 The Gaussian, and its two spreads
#
# **Question.** Our latents are real numbers. How probable is $z = 0.3$ exactly?
#
# Not at all. What it has is a **density**, a probability *per unit of z*; areas under it are probabilities. Ours is the
# **Gaussian** $\mathcal N(m, v)$ with mean $m$ and **variance** $v$:
#
# $$p(z) = \frac{1}{\sqrt{2\pi v}}\exp\!\Big(-\frac{(z - m)^2}{2v}\Big).$$

# %% [markdown]
# **Now you.** Return the *logarithm* of that density, elementwise: `x`, `mean`, `var` broadcast. Take the logarithm on
# paper first, factor by factor: far out the density underflows, and your line must not go through it. By hand, for
# $m = 1$ and $v = 4$: $-1.6121$ at $z = 1$, half a nat less at $z = 3$, one standard deviation away.

# %% exercise="1.2" source="vae_course.distributions.normal_log_prob" minutes=6 difficulty=1

# %% [markdown]
# On paper you found a parabola:
#
# $$\log p(z) = -\tfrac12\Big[\log(2\pi) + \log v + \frac{(z - m)^2}{v}\Big].$$
#
# At the mean, with $v = 0.04$, it is $+0.69$: a density may exceed 1.
#
# The logarithm of a cell's total count spreads much like a Gaussian, which scVI builds in. Of the *two* below, one was
# given the standard deviation where the variance belongs.

# %% fold="What is drawn: log total counts of 700 cells, and two Gaussians"
log_library = torch.from_numpy(data.counts.sum(axis=1)).flatten().log()  # (cells,), log of the total count
mean, var = log_library.mean(), log_library.var()
values = torch.linspace(5.5, 7.8, 200)
curves = {f"var = {v:.2f}": normal_log_prob(values, mean, v).exp() for v in (var, var.sqrt())}
ax = plots.panels()[0]
ax.hist(log_library.numpy(), 25, density=True, color="0.85", label="700 cells")
plots.lines(values, curves, ax=ax, xlabel="natural log of the total count", ylabel="density", ylim=(0, 2.2))
plots.show(
    ax, alt="Histogram of log totals; a Gaussian of variance 0.09 fits it, one of variance 0.30 is far too wide."
)

# %% [markdown]
# **What breaks it.** The flat curve is the commonest slip with Gaussians: no error, and with $v = 1$ no test notices.
# `torch.distributions.Normal` wants the standard deviation; here `var` is a variance, always.
#
# **A good place to stop.** When you come back, run all cells above this one first.

# %% [markdown]
# ## 1.6 A distance that is not a distance
#
# **Question.** We shall replace a distribution $p$ by a simpler one, $q$. How wrong is that, in one number?
#
# **Predict.** Let $p$ have two bells, and $q$ only one. Where does the best $q$ lie? **(a)** Over both, wide. **(b)**
# On one of them, narrow. **(c)** Between them, narrow. Commit in the figure, then let two numbers choose.

# %%
vc.explore.kl()

# %% [markdown]
# Both numbers are a **KL divergence** ([Kullback and Leibler 1951](https://doi.org/10.1214/aoms/1177729694)). Draw $z$
# from the stand-in $q$. By how many nats does $q$ rate it above its true log-probability, under $p$? On average
#
# $$\mathrm{KL}(q\,\|\,p) = \mathbb E_{z \sim q}\big[\log q(z) - \log p(z)\big] = \sum_z q(z)\,\log\frac{q(z)}{p(z)},$$
#
# where $\mathbb E_{z \sim q}$, or $\mathbb E_q$, averages over draws from $q$; for densities the sum is an integral. By
# hand, for two coins, $q = (0.9, 0.1)$ and $p = (0.5, 0.5)$: $0.9 \log 1.8 + 0.1 \log 0.2 = 0.37$ nats. The other way
# round it is $0.51$.
#
# It is never negative, and 0 only if $q = p$. It is not symmetric: *where you draw from decides which errors count*.
# Here are two candidates for $q$: a narrow one on the larger bell, and a wide one with the mean and the variance of
# $p$.


# %%
def log_two_bells(z: Tensor) -> Tensor:
    """Log-density of p, any shape: a weighted sum of densities needs log-sum-exp."""
    weight, mean, var = torch.tensor([[0.65, 0.35], [-1.5, 2.0], [0.35, 0.5]])
    z = z.unsqueeze(-1)  # (..., 1): a new last axis of length 1, which broadcasts over the two bells
    return torch.logsumexp(weight.log() + normal_log_prob(z, mean, var), dim=-1)


dz = grid[1] - grid[0]  # spacing of the grid
log_p = log_two_bells(grid)  # (points,)
bells_mean = (log_p.exp() * grid).sum() * dz
bells_var = (log_p.exp() * (grid - bells_mean) ** 2).sum() * dz
for name, mean, var in (("narrow", torch.tensor(-1.5), torch.tensor(0.35)), ("wide", bells_mean, bells_var)):
    log_q = normal_log_prob(grid, mean, var)  # (points,)
    kl_qp = (log_q.exp() * (log_q - log_p)).sum() * dz
    kl_pq = (log_p.exp() * (log_p - log_q)).sum() * dz
    print(f"{name:6}   KL(q || p) {kl_qp:.2f}   KL(p || q) {kl_pq:.2f} nats")

# %% [markdown]
# **Mode-seeking.** $\mathrm{KL}(q\,\|\,p)$ draws from $q$. A bell that $q$ never visits costs next to nothing: the
# narrow $q$ pays about $-\log 0.65 = 0.43$ nats, for the weight it did find.
#
# **Mass-covering.** $\mathrm{KL}(p\,\|\,q)$ draws from $p$, so from both bells, and one that $q$ has forgotten is a
# catastrophe.
#
# A VAE minimises the first, with $p$ the posterior: it can draw from $q$, and not from the posterior. Where the truth
# has two answers, its Gaussian tends to give one, and to be too sure.

# %%
quiz("1.3")

# %% [markdown]
# ## 1.7 Two Gaussians: the KL in closed form
#
# **Question.** The grid took 801 points for one KL. A VAE needs one for every latent of every cell at every step. Is
# there a formula?
#
# Yes, when both are Gaussian. Let $q = \mathcal N(m_q, v_q)$ and $p = \mathcal N(m_p, v_p)$. Subtract the two parabolas
# of section 1.5; the $\log 2\pi$ cancels:
#
# $$\mathrm{KL}(q\,\|\,p) = \mathbb E_q\Big[\tfrac12 \log v_p - \tfrac12\log v_q
# + \frac{(z - m_p)^2}{2 v_p} - \frac{(z - m_q)^2}{2 v_q}\Big].$$
#
# Only the two squares depend on $z$. Around $q$'s *own* mean the average square is the variance, $v_q$. To the *other*
# mean, step through $m_q$:
#
# $$(z - m_p)^2 = (z - m_q)^2 + 2(z - m_q)(m_q - m_p) + (m_q - m_p)^2.$$
#
# On average the first term is $v_q$ again, the middle one vanishes, since $z - m_q$ is 0 on average, and the last is a
# fixed number.

# %% [markdown]
# **Now you.** Put the two averaged squares into the first line, and simplify: one factor $\tfrac12$, four terms in the
# bracket. Four tensors come in and broadcast; all spreads are variances. By hand: $\mathcal N(1, 0.5)$ against
# $\mathcal N(0, 1)$ gives $0.5966$.

# %% exercise="1.3" source="vae_course.distributions.kl_normal" minutes=7 difficulty=1

# %% [markdown]
# Your formula beside a sum over a grid, for $\mathcal N(1, 2)$ and $\mathcal N(3, 5)$. Then three latents: where they
# are independent in $q$ and in $p$, their KLs add up, since logarithms turn products into sums.

# %%
mean_q, var_q, mean_p, var_p, zero, one = torch.tensor([1.0, 2.0, 3.0, 5.0, 0.0, 1.0])
wide_grid = torch.linspace(-15, 17, 3201)  # (points,), spacing 0.01
log_q, log_p_far = normal_log_prob(wide_grid, mean_q, var_q), normal_log_prob(wide_grid, mean_p, var_p)  # (points,)
on_grid = (log_q.exp() * (log_q - log_p_far)).sum() * 0.01
print(f"your formula {kl_normal(mean_q, var_q, mean_p, var_p):.4f}   grid {on_grid:.4f}")
mean_3, var_3 = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.25, 1.0, 3.0])  # (3,): three latents of one cell
per_latent = kl_normal(mean_3, var_3, zero, one)  # (3,)
print("three latents:", [round(value, 2) for value in per_latent.tolist()], f"  in all {per_latent.sum():.2f} nats")

# %% fold="What is drawn: the KL to N(0, 1), over the mean and over the standard deviation of q"
shift, sd = torch.linspace(-3, 3, 121), torch.linspace(0.05, 3, 120)
axes = plots.panels(2)
plots.lines(shift, {"": kl_normal(shift, one, zero, one)}, ax=axes[0], xlabel="mean of q (variance 1)")
plots.lines(sd, {"": kl_normal(zero, sd**2, zero, one)}, ax=axes[1], xlabel="standard deviation of q (mean 0)")
for ax in axes:
    ax.set(ylabel="KL to N(0, 1) (nats)", ylim=(0, 5))
plots.show(
    axes[0],
    alt="Left: the KL is a parabola in the mean. Right: it is zero at standard deviation 1, "
    "rises slowly on the wide side and steeply towards zero width.",
)

# %% [markdown]
# **What breaks it**: width 0, where the cost is infinite. A VAE cannot afford a point for every cell: each further
# decimal of $z$ costs $\log 10 = 2.3$ nats.
#
# What if latents are correlated? 25 minutes, and a slip in the lecture notes' formula:
# [deeper/1a](deeper/1a_kl_in_many_dimensions.ipynb).
#
# **Find the slip.** A line of the lecture notes reads: *"The KL term has a closed form because the data are binary."*
# Is that the reason? Look for the data in the cell.

# %%
q_mean, q_var = torch.tensor(1.0), torch.tensor(0.5)
log_q = normal_log_prob(grid, q_mean, q_var)  # (points,)
priors = {"Gaussian": (normal_log_prob(grid, zero, one), zero, one), "two bells": (log_p, bells_mean, bells_var)}
for name, (log_prior, mean, var) in priors.items():
    on_grid = (log_q.exp() * (log_q - log_prior)).sum() * dz
    print(f"prior {name:10} grid {on_grid:.2f}   formula {kl_normal(q_mean, q_var, mean, var):.2f} nats")

# %% [markdown]
# <details><summary><b>The mended line, and why</b></summary>
#
# "The KL term has a closed form because **both $q(z \mid x)$ and the prior $p(z)$ are Gaussian**." The cell holds no
# data, and with a prior of two bells the formula is wrong, whatever the data. Those decide the *other* term, the
# likelihood. Counts with Gaussian $q$ and prior keep the closed form: that is scVI.
#
# </details>

# %%
quiz("1.4")

# %% [markdown]
# ## 1.8 No formula? Draw
#
# **Question.** For two bells there is no formula, and in ten dimensions no grid. What is left?
#
# A KL is a *mean* over draws from $q$, and a mean can be estimated by drawing, **Monte Carlo**:
#
# $$\mathrm{KL}(q\,\|\,p) \approx \frac1S\sum_{s=1}^{S} t_s, \qquad
# t_s = \log q(z_s) - \log p(z_s), \qquad z_s \sim q.$$
#
# An estimate without an error bar is a rumour. If terms scatter with standard deviation $\mathrm{sd}(t)$, the mean of
# $S$ of them scatters $\sqrt S$ times less: its **standard error**.

# %% [markdown]
# **Now you.** Draws (S, k) come in, and two functions that map them to log-densities (S,). Return the estimate and its
# standard error. By hand: four terms $0.2, 0.6, -0.2, 1.0$ have mean $0.4$, sample standard deviation $0.516$ (it
# divides by $4 - 1$), standard error $0.258$.

# %% exercise="1.5" source="vae_course.exercises.e1_5.answer.kl_monte_carlo" minutes=8 difficulty=2

# %% [markdown]
# The KL that the formula got wrong, from $\mathcal N(1, 0.5)$ to the two bells, with more and more draws. (What is
# wrong with the last line?)


# %%
def log_q_of(z: Tensor) -> Tensor:
    """Log-density of N(1, 0.5), (S, 1) -> (S,)."""
    return normal_log_prob(z, q_mean, q_var).sum(dim=-1)


generator = torch.Generator().manual_seed(0)
for n in (10, 1000, 100_000):
    sample = q_mean + q_var.sqrt() * torch.randn(n, 1, generator=generator)  # (S, 1), from q
    estimate, error = kl_monte_carlo(sample, log_q_of, lambda z: log_two_bells(z).sum(dim=-1))
    print(f"S = {n:>6}: {estimate:.3f} +- {error:.3f}   grid {on_grid:.3f}")

from_p = torch.randn(100_000, 1, generator=generator)  # (S, 1), from the standard normal
estimate, error = kl_monte_carlo(from_p, log_q_of, lambda z: normal_log_prob(z, zero, one).sum(dim=-1))
print(f"draws from p: {estimate:.2f} +- {error:.2f}   KL(q || p) is {kl_normal(q_mean, q_var, zero, one):.2f}")

# %% [markdown]
# A hundred times the draws, ten times the precision, in any number of dimensions.
#
# **What breaks it.** In the last line $p$ is $\mathcal N(0, 1)$, and the draws came from $p$ in place of $q$. Out comes
# a negative "KL" with a tiny error bar, which measures scatter, not mistakes.

# %% [markdown]
# ## 1.9 The posterior of a real cell
#
# **Question.** What do we know about the $z$ of a real cell? The prior is $\mathcal N(0, 1)$, the likelihood six coins,
# and $z$ has 801 values.

# %% [markdown]
# **Now you.** `log_prior` and `log_likelihood` come in, the grid on their **last** axis; they broadcast (one prior,
# many cells). Return log-probabilities whose exponentials sum to 1 over the last axis. What do multiplying and dividing
# become in logarithms? By hand: prior $\tfrac12, \tfrac12$ and likelihoods $0.3$ and $0.1$ give $\tfrac34$ and
# $\tfrac14$. Shift both log-likelihoods by $-10\,000$, and the answer must stay.

# %% exercise="1.6" source="vae_course.exercises.e1_6.answer.grid_posterior" minutes=8 difficulty=2

# %% [markdown]
# All 700 cells at once, the genes summed away:

# %%
log_prior = torch.log_softmax(normal_log_prob(grid, zero, one), dim=0)  # (points,), less its log-sum-exp
log_prob = bernoulli_log_prob(markers.unsqueeze(1), grid.unsqueeze(-1) * w + b)  # (cells, 1, 6) and (points, 6)
log_lik = log_prob.sum(dim=-1)  # (cells, points, 6) -> (cells, points)
log_posterior = grid_posterior(log_prior, log_lik)  # (cells, points)
post = log_posterior.exp().float()  # (cells, points)
post_mean = post @ grid  # (cells,)
post_sd = (post @ grid**2 - post_mean**2).sqrt()  # (cells,)
for kind, cells in (("T", is_t), ("myeloid", is_myeloid), ("NK", labels == 8), ("B", labels == 6)):
    none = (markers[cells].sum(dim=1) == 0).float().mean()
    average_mean, average_sd = post_mean[cells].mean(), post_sd[cells].mean()  # over cells
    print(f"{kind:8} posterior mean {average_mean:+.2f}, sd {average_sd:.2f} (averages)   none of the six: {none:.0%}")

# %% [markdown]
# **Predict.** Three cells: a T cell that shows CD3D and IL32; a T cell that shows *all six* genes; a dendritic cell
# that shows the myeloid genes. Whose posterior is the narrowest?

# %% fold="What is drawn: prior, likelihood and posterior of three cells"
axes = plots.panels(3, height=3.6, width=4)
for ax, i, title in zip(axes, (3, 36, 1), ("T cell", "T cell", "dendritic cell"), strict=True):
    seen = ", ".join(name for name, bit in zip(genes, markers[i], strict=True) if bit)
    curves = {
        "posterior": log_posterior[i].exp() / dz,
        "prior": log_prior.exp() / dz,
        "likelihood, rescaled": (log_lik[i] - log_lik[i].max()).exp(),
    }
    ax.fill_between(grid, curves["posterior"], color=plots.COLORS[0], alpha=0.15, linewidth=0)
    plots.lines(grid, curves, ax=ax, xlabel="latent z", xlim=(-4, 4), ylim=(0, 1.6))
    ax.set_title(f"{title}: {'all six' if markers[i].sum() == 6 else seen}", fontsize=10)
    ax.get_legend().remove()
axes[0].legend(frameon=False, loc="upper right", fontsize=9)
axes[0].set_ylabel("density (likelihood: rescaled)")
plots.show(
    axes[0],
    alt="Prior, likelihood and posterior over z for three cells. The T cell's posterior lies left of zero, the "
    "dendritic cell's right, that of the cell with all six genes between, and narrower.",
)

# %% [markdown]
# The middle one: contradicting genes leave only a small range around $+0.5$. A biologist thinks of a **doublet**, two
# cells in one droplet. The outer likelihoods are plateaus: there **only the prior holds the posterior back**. No
# posterior is a point.
#
# **What breaks it.** Most B cells show none of the six genes. The model knows one axis, so "none" can only mean "in
# between", with a *small* standard deviation. A posterior is exact **given the model**. If that has no place for a B
# cell, it is sure and wrong.
#
# **And ten latents?** Bayes' rule divides by $p(x) = \int p(z)\,p(x \mid z)\,dz$. One latent took 801 points, ten take
# $801^{10} \approx 10^{29}$: at $10^9$ a second, 250 times the age of the universe for one cell.
#
# Or draw from the prior, and average $p(x \mid z)$? That takes about $e^{\mathrm{KL}}$ draws, with the KL from the
# posterior to the prior ([Chatterjee and Diaconis 2018](https://doi.org/10.1214/17-AAP1326)): with ten latents about 25
# nats for one B cell ([deeper/1a](deeper/1a_kl_in_many_dimensions.ipynb)), or $10^{11}$ draws.

# %% [markdown]
# ## 1.10 Variational inference: a search
#
# **Question.** If we cannot compute the posterior, can we *fit* it?
#
# Choose a family of simple distributions, say all Gaussians $q(z) = \mathcal N(m, v)$, and look for the one with the
# smallest $\mathrm{KL}(q\,\|\,p(z \mid x))$: **variational inference** ([Blei et al.
# 2017](https://doi.org/10.1080/01621459.2017.1285773)). But this KL contains the posterior, and so $p(x)$. Put in
# Bayes' rule, $\log p(z \mid x) = \log p(x, z) - \log p(x)$. Since $\log p(x)$ does not depend on $z$, averaging leaves
# it as it is:
#
# $$\mathrm{KL}(q\,\|\,p(z \mid x)) = \log p(x) - \underbrace{\mathbb E_q[\log p(x, z) - \log q(z)]}_{\text{ELBO}}.$$
#
# So the smallest KL goes with the largest **ELBO**, and that needs only the joint. No KL is negative, so the ELBO never
# exceeds $\log p(x)$: an **e**vidence **l**ower **bo**und.
#
# In one dimension we can check. For the dendritic cell we try a grid of means and standard deviations. The ELBO of each
# comes from the joint, its KL from the posterior of section 1.9. Do the two add up to $\log p(x)$?

# %%
i = 1  # the dendritic cell
log_joint = normal_log_prob(grid, zero, one) + log_lik[i]  # (points,), a density in z
log_px = torch.logsumexp(log_joint, dim=0) + dz.log()  # the evidence, which only the grid can tell us
means, sds = torch.linspace(-1, 3, 81), torch.linspace(0.1, 1.5, 57)
log_q = normal_log_prob(grid, means.view(-1, 1, 1), sds.view(1, -1, 1) ** 2)  # (means, sds, points)
elbo = (log_q.exp() * (log_joint - log_q)).sum(dim=-1) * dz  # (means, sds): needs the joint alone
log_exact = log_posterior[i] - dz.log()  # (points,), the exact posterior as a density in z
kl = (log_q.exp() * (log_q - log_exact)).sum(dim=-1) * dz  # (means, sds): needs the posterior alone
row, column = divmod(int(elbo.argmax()), len(sds))
print(f"log p(x)     {log_px:.3f}")
print(f"largest ELBO {elbo.max():.3f}   at mean {means[row]:.2f}, sd {sds[column]:.2f}; KL there {kl[row, column]:.3f}")
print(f"ELBO + KL of all {elbo.numel()} candidates: {(elbo + kl).min():.3f} to {(elbo + kl).max():.3f}")

# %% fold="What is drawn: the KL over mean and standard deviation of q, and the best q beside the posterior"
axes = plots.panels(2, height=3.6, width=5)
plots.landscape(means, sds, kl.T, ax=axes[0], colorbar="KL to the posterior (nats, log scale)")
axes[0].set(xlabel="mean of q", ylabel="standard deviation of q", title="the search")
axes[0].plot(means[row], sds[column], "*", color="white", markersize=16, markeredgecolor="black")
best_q = normal_log_prob(grid, means[row], sds[column] ** 2).exp()  # (points,)
curves = {"exact posterior": log_posterior[i].exp() / dz, "best Gaussian": best_q}
plots.lines(grid, curves, ax=axes[1], xlabel="latent z", ylabel="density", title="what it found", xlim=(-1.5, 4))
plots.show(
    axes[0],
    alt="Left: the KL over mean and standard deviation of q is a single valley with a star at its bottom. "
    "Right: the best Gaussian nearly covers the exact posterior.",
)

# %% [markdown]
# They do, for every candidate. What the best Gaussian misses is a slight skew. **What breaks it**: a posterior with two
# bells. No search can mend a family that is too small.
#
# We searched for one cell. In a VAE a network, the **encoder**, reads $x$ and puts out mean and variance of
# $q(z \mid x)$: one search for all cells ([Kingma and Welling 2019](https://doi.org/10.1561/2200000056)).
#
# Still open: **why is a KL never negative?** Because the logarithm bends down: that of a mean lies above the mean of
# the logarithms.

# %% fold="What is drawn: the logarithm, and a chord below it"
u = torch.linspace(0.4, 10, 200)
ax = plots.lines(u, {"log u": u.log()}, xlabel="u", ylabel="log u", ylim=(-0.9, 2.6))
ax.plot([1, 9], [0, math.log(9)], "o--", color=plots.COLORS[1], label="chord between u = 1 and u = 9")
ax.plot([5, 5], [math.log(9) / 2, math.log(5)], color="0.3", linewidth=1)
ax.annotate("log of the mean 1.61", (5, math.log(5)), (1.4, 2.1), arrowprops={"arrowstyle": "-", "color": "0.5"})
ax.annotate("mean of the logs 1.10", (5, math.log(9) / 2), (5.6, 0.6), arrowprops={"arrowstyle": "-", "color": "0.5"})
ax.legend(frameon=False, loc="lower right")
plots.show(ax, alt="The curve of the logarithm lies above its chord: at u = 5 the curve is at 1.61, the chord at 1.10.")

# %% [markdown]
# This is **Jensen's inequality**, $\mathbb E[\log u] \le \log \mathbb E[u]$. Take $u = p(z)/q(z)$ with $z$ from $q$.
# The mean of $\log u$ is minus the KL. In the mean of $u$ the weight $q$ cancels, and the area under $p$ is 1. So minus
# the KL is at most $\log 1 = 0$.

# %%
quiz("1.5")

# %% [markdown]
# ## 1.11 Who is this cell?
#
# **Question.** Is a posterior good for anything that one well-chosen gene is not?
#
# T cell or myeloid? The folded function `right_calls` makes the decoder from the cells in even rows, and asks about
# those in odd rows. The posterior says "T" when more than half of it lies below 0. Its rivals are the *one* gene, of
# all 765, that sorts the even rows best, and a *vote* of the six: which kind has the larger share of its genes
# detected?
#
# **Predict.** Against one gene: does the posterior win clearly, barely, or not at all?


# %% fold="right_calls: posterior, vote and best gene are made from even rows, and asked about odd ones"
def right_calls(bits: Tensor, chosen: list[str]) -> tuple[Tensor, Tensor, str]:
    """Which odd-rowed cells posterior, vote and best gene call rightly, (3, cells); p(T | x), (cells,); that gene."""
    six = bits[:, [names.index(name) for name in chosen]]  # (cells, chosen), genes of both kinds
    even = torch.arange(len(bits)) % 2 == 0  # (cells,)
    known, asked = even & both, ~even & both  # (cells,) each

    slope, offset = line_of(six, known & is_t, known & is_myeloid)
    log_lik = bernoulli_log_prob(six.unsqueeze(1), grid.unsqueeze(-1) * slope + offset).sum(dim=-1)  # (cells, points)
    post = grid_posterior(log_prior, log_lik).exp()  # (cells, points)
    prob_t = post[:, grid < 0].sum(dim=1) + post[:, grid == 0].sum(dim=1) / 2  # (cells,)

    of_t, of_myeloid = six[:, slope < 0].mean(dim=1), six[:, slope > 0].mean(dim=1)  # (cells,) each: share detected
    vote = (1 + (of_t - of_myeloid).sign()) / 2  # (cells,), 1 for T, 0 for myeloid, a half for a tie

    agree = ((bits == 1) == is_t.unsqueeze(1))[known].float().mean(dim=0)  # (genes,)
    best = int((agree - 0.5).abs().argmax())  # a gene that is nearly always wrong is as good: take the opposite
    by_gene = (bits[:, best] == 1) == (agree[best] > 0.5)  # (cells,), True for T

    says_t = torch.stack([(prob_t > 0.5).float(), vote, by_gene.float()])  # (3, cells): 1, 0, or a half
    right = 1 - (says_t - is_t.float()).abs()  # (3, cells)
    return right[:, asked], prob_t[asked], names[best]


def compare(right: Tensor) -> None:
    """Print what the posterior wins over both rivals, with standard errors over cells, paired; (3, cells)."""
    for rival, gain in zip(("the vote", "the best gene"), right[0] - right[1:], strict=True):
        print(f"posterior less {rival:13} {gain.mean():+.1%} +- {gain.std() / len(gain) ** 0.5:.1%}")


right, prob_t, name = right_calls(x, genes)  # (3, asked cells), (asked cells,)
print("posterior {:.1%}   vote {:.1%}   best gene {:.1%}".format(*right.mean(dim=1).tolist()), f"({name})")
compare(right)

# %% [markdown]
# Not at all: one look at CST3 is enough. But shallower sequencing is cheaper. Keep **a tenth of the molecules**, drawn
# at random: a gene that had $n$ of them shows with probability $1 - 0.9^n$. Five such experiments:

# %% tags=["volatile"]
counts = torch.from_numpy(data.counts.toarray())  # (cells, genes)
runs, sure = [], []
for seed in range(5):
    noise = torch.rand(counts.shape, generator=torch.Generator().manual_seed(seed))  # (cells, genes)
    right, prob_t, name = right_calls((noise < 1 - 0.9**counts).float(), genes)
    runs.append(right)
    sure.append((prob_t - 0.5).abs() > 0.45)  # p(T | x) above 0.95 or below 0.05
    print("posterior {:.1%}   vote {:.1%}   best gene {:.1%}".format(*right.mean(dim=1).tolist()), f"({name})")
runs, sure = torch.stack(runs), torch.stack(sure)  # (5, 3, asked cells), (5, asked cells)
compare(runs.mean(dim=0))

by_posterior = runs[:, 0]  # (5, asked cells)
print(f"{sure.float().mean():.0%} of the calls are sure: {by_posterior[sure].mean():.1%} of these right")
print(f"of the others {by_posterior[~sure].mean():.1%}")
assert 0.45 < sure.float().mean() < 0.48

# %% [markdown]
# Now even CST3 is missed too often. The posterior wins by nine points, eight times the error. Four of the nine come
# from having six genes: the vote wins them too. The other five come from weighing what each gene says, seen or *not*
# seen. And a posterior says *when it does not know*: of the calls it is 95 % sure of, nearly all are right.
#
# **An open task, without a checker.** Put in *your own* marker genes, some for each kind:
# `compare(right_calls(x, [...])[0])`. Can two do what six do? First write down what you expect.
#
# <details><summary>What a good answer contains</summary>
#
# The genes, and why you expected them to work; the share right *beside* the rivals', paired, with an error; genes not
# chosen by looking at the odd rows.
#
# </details>

# %% [markdown]
# ## 1.12 What can I now do with my data?
#
# The same takes raw counts, some marker genes, and cells of two kinds that you are certain of.
#
# ```python
# mine = vc.load_h5ad("my_cells.h5ad", label_key="cell_type")
# bits = torch.from_numpy(mine.binarize().counts.toarray())
# kinds = [torch.from_numpy(mine.label_names[mine.labels] == name) for name in ("hepatocyte", "endothelial")]
# markers = bits[:, [list(mine.gene_names).index(name) for name in ("ALB", "APOA1", "PECAM1", "VWF")]]
# w, b = line_of(markers, *kinds)
# ```
#
# From there the cell of section 1.9 gives the posterior of every cell.

# %% [markdown]
# ## 1.13 Quiz

# %%
quiz("1.6")

# %%
quiz("1.7")

# %% [markdown]
# ## 1.14 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `bernoulli_log_prob` | `vae_course.distributions` | - | - |
# | `normal_log_prob` | `vae_course.distributions` | `Normal(...).log_prob` (torch) | the same |
# | `kl_normal` | `vae_course.distributions` | torch's `kl_divergence`, in `VAE.forward` | the same, in `VAE.loss` |
# | `kl_monte_carlo`, `grid_posterior` | `vae_course.exercises` | - | - |
#
# **Next.** We tried every $q$. Lesson 2 lets a machine search: gradients, and the networks for encoder and decoder.
# Lesson 3 trains a VAE on these very bits.

# %% tags=["volatile"]
progress()
