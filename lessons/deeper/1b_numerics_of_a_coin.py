# %% [markdown]
# # Deeper 1b · The numerics of a coin
#
# {{links}}
#
# **You will be able to**
#
# - say why a loss takes logits and not probabilities, and recognise the three usual ways of getting it wrong
# - derive a softplus that never overflows, and say why its slope needs care
# - measure what a hidden bit is worth, and how independent a cell's coins really are
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 1, section 1.4](../01_problem_setup.ipynb). **You need:** the
# Bernoulli distribution and log-sum-exp of lesson 1; the derivative of a logarithm.

# %% setup=true
import torch
import torch.nn.functional as F

import vae_course as vc
from vae_course import plots
from vae_course.distributions import bernoulli_log_prob

# %% [markdown]
# ## 1b.1 One line, five programs
#
# **Question.** A network says logit $a$, and the gene is *not* detected. What did that cost? On paper there is one
# answer, $-\log(1 - p)$ with $p = \sigma(a) = 1 / (1 + e^{-a})$. In a program there are five, and four are wrong
# somewhere.


# %%
def by_probability(a: torch.Tensor) -> torch.Tensor:
    """As it stands on paper."""
    return -torch.log(1 - torch.sigmoid(a))


def by_clamp(a: torch.Tensor) -> torch.Tensor:
    """The popular repair: keep the probability away from 0 and 1."""
    return -torch.log((1 - torch.sigmoid(a)).clamp(min=1e-7))


def by_torch(a: torch.Tensor) -> torch.Tensor:
    """PyTorch's loss for probabilities."""
    return F.binary_cross_entropy(torch.sigmoid(a), torch.zeros_like(a), reduction="none")


def by_exponential(a: torch.Tensor) -> torch.Tensor:
    """Simplified on paper: 1 - p = 1 / (1 + e^a)."""
    return torch.log(1 + torch.exp(a))


# %% [markdown]
# **Predict.** A surprise at logit 15 costs 15 nats, at 1000 it costs 1000. Which of the five rows says so everywhere?

# %% tags=["volatile"]
a = torch.tensor([2.0, 15.0, 17.0, 100.0, 1000.0])  # logits, each more certain of a 1; what comes is a 0
print("logit         ", *[f"{value:8.1f}" for value in a.tolist()])
for cost in (by_probability, by_clamp, by_torch, by_exponential, F.softplus):
    print(f"{cost.__name__:15}", *[f"{value:8.2f}" for value in cost(a).tolist()])
assert 14.5 < by_probability(a)[1] < 15.5  # its digits depend on the processor; skip this line

# %% [markdown]
# Only the last. Read the others from the left.
#
# - *By probability.* 32 bits hold about seven digits, so near 1 the steps are about $10^{-7}$. At 15 the first decimal
#   is already wrong; from about 17 on, $p$ is exactly 1.
# - *By clamp.* Nothing is infinite any more, and nothing costs more than $-\log 10^{-7} = 16.1$ nats: being badly wrong
#   costs as much as being unspeakably wrong.
# - *By PyTorch's loss for probabilities.* The same, with a ceiling of 100 nats, which its documentation admits. It
#   clamps the logarithm.
# - *By the exponential.* Right until $e^a$ overflows, at $a \approx 89$.
#
# The information is lost when the logit becomes a probability. No repair behind that line can bring it back. This is
# why losses *take logits*: `F.binary_cross_entropy_with_logits`, and your `bernoulli_log_prob`.

# %% [markdown]
# ## 1b.2 A softplus that never overflows
#
# $\text{softplus}(a) = \log(1 + e^{a})$ is what every row above wants to be. For large $a$ pull the large part out, as
# with log-sum-exp:
#
# $$\log(1 + e^{a}) = \log\!\big(e^{a}(e^{-a} + 1)\big) = a + \log(1 + e^{-a}).$$
#
# For $a < 0$ the line on paper was fine. Both on one line, whose exponent is never above 0:
#
# $$\text{softplus}(a) = \max(a, 0) + \log\!\big(1 + e^{-|a|}\big).$$
#
# One more trap: at $a = -20$ the sum $1 + e^{-20}$ rounds to 1, and the logarithm to 0. `torch.log1p(u)` computes
# $\log(1 + u)$ without forming the sum.

# %%
a = torch.tensor([-1000.0, -20.0, 0.7, 1000.0])
print("log(1 + e^-|a|):  ", [f"{v:.4g}" for v in (a.clamp(min=0) + torch.log(1 + torch.exp(-a.abs()))).tolist()])
print("log1p(e^-|a|):    ", [f"{v:.4g}" for v in (a.clamp(min=0) + torch.log1p(torch.exp(-a.abs()))).tolist()])
print("F.softplus:       ", [f"{v:.4g}" for v in F.softplus(a).tolist()])

# %% [markdown]
# Does $2 \cdot 10^{-9}$ nats matter? For one gene, no. In a sum over 765 genes times millions of cells, or in a slope
# that decides whether a gene that is never seen still teaches something, it may.
#
# Both outcomes are now one softplus each: $\log(1 - p) = -\text{softplus}(a)$ and $\log p = -\text{softplus}(-a)$. The
# lesson has the second in another form, $a - \text{softplus}(a)$. Check at $a = 0.7$:

# %%
a = torch.tensor(0.7)
forms = {"log p": torch.sigmoid(a).log(), "-softplus(-a)": -F.softplus(-a), "a - softplus(a)": a - F.softplus(a)}
print("   ".join(f"{name} {value:.6f}" for name, value in forms.items()))

# %% [markdown]
# <details><summary><b>Check yourself.</b> At logit 1000, which of the two forms of log <i>p</i> loses digits, and does
# it matter?</summary>
#
# $a - \text{softplus}(a)$ subtracts 1000 from 1000 and gives 0; $-\text{softplus}(-a)$ gives $-e^{-1000}$, which is 0
# in 32 bits, too. At $a = 20$ the first gives 0 where the second gives $-2 \cdot 10^{-9}$. The error is never larger
# than about $10^{-7}$ of the logit, and no loss notices it. `bernoulli_log_prob` uses the first form, because one
# softplus then serves both outcomes.
#
# </details>

# %% [markdown]
# ## 1b.3 Slopes: prediction minus truth
#
# **Question.** Training needs the *slope* of the cost. Is it right when the value is?
#
# By hand first. The cost of an outcome $x$ is $\text{softplus}(a) - x a$. Its slope is
#
# $$\frac{e^a}{1 + e^a} - x = \sigma(a) - x,$$
#
# prediction minus truth: between $-1$ and 1, whatever happens. PyTorch computes slopes: `backward` finds that of a
# number at an input marked `requires_grad`, and leaves it in `.grad`. (Lesson 2 shows how; here only the result
# matters.)


# %%
def slope(cost, at: float) -> float:
    """Slope of a cost at a logit, by PyTorch."""
    a = torch.tensor(at, requires_grad=True)
    cost(a).backward()
    return a.grad.item() + 0.0  # never -0.0


print("logit         ", *[f"{at:8.1f}" for at in (2.0, 15.0, 17.0, 100.0, 1000.0)])
for cost in (by_probability, by_clamp, by_torch, by_exponential, F.softplus):
    print(f"{cost.__name__:15}", *[f"{slope(cost, at):8.2f}" for at in (2.0, 15.0, 17.0, 100.0, 1000.0)])

# %% [markdown]
# Being wrong at logit 17 has slope 1, "come down". By probability it is `nan`, "not a number": backwards through the
# logarithm the slope is divided by 0, through the flat sigmoid multiplied by 0. One `nan` spreads to every weight that
# it touches, and the run is lost. The clamp is worse, because nobody notices: its slope is 0. **The gene that the
# network got most wrong teaches it nothing.**

# %% fold="What is drawn: the cost of a surprise, and its slope, over the logit"
logits = torch.linspace(0, 30, 301)  # (logits,)
axes = plots.panels(2, width=4.8)
costs = {"softplus": F.softplus(logits), "clamped at 1e-7": by_clamp(logits)}
plots.lines(logits, costs, ax=axes[0], xlabel="logit", ylabel="cost of a 0 (nats)", title="the value")
slopes = {name: torch.tensor([slope(f, at) for at in logits.tolist()])
          for name, f in (("softplus", F.softplus), ("clamped at 1e-7", by_clamp))}  # fmt: skip
plots.lines(logits, slopes, ax=axes[1], xlabel="logit", ylabel="slope (nats per unit of logit)", title="the slope")
plots.show(
    axes[0],
    alt="Left: the cost of a surprise rises with the logit; clamped, it stays at 16 nats from about 16 on. "
    "Right: the slope of softplus rises to 1 and stays; that of the clamped cost drops to 0 between 16 and 17.",
)

# %% [markdown]
# **And the line of section 1b.2?** Its values are perfect. But `clamp` and `abs` each have a kink at $a = 0$, where
# there is no slope, and PyTorch has to choose one for each. **Predict** the slope of softplus at 0, then look.


# %%
def by_hand(a: torch.Tensor) -> torch.Tensor:
    """The line of section 1b.2."""
    return a.clamp(min=0) + torch.log1p(torch.exp(-a.abs()))


print(f"at 0.1: by hand {slope(by_hand, 0.1):.3f}, F.softplus {slope(F.softplus, 0.1):.3f}")
print(f"at 0:   by hand {slope(by_hand, 0.0):.3f}, F.softplus {slope(F.softplus, 0.0):.3f}")

# %% [markdown]
# 1 instead of a half. And exactly 0 is no rare logit: it is where a network starts whose last layer starts at zero.
# Where slopes are wanted, use `F.softplus`. A function is more than its values.

# %% [markdown]
# ## 1b.4 Half the bits
#
# **Question.** Large models train with 16 bits a number, to save memory and time. What is left of a coin then?
#
# `float16` keeps three digits and a small range, `bfloat16` two digits and the range of 32 bits, `float64` sixteen
# digits. **Predict** for each at which whole logit the sigmoid is exactly 1, and at which $e^a$ overflows.

# %% tags=["volatile"]
whole = torch.arange(1.0, 1000.0)  # (logits,)
for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
    prob, power = torch.sigmoid(whole.to(dtype)), torch.exp(whole.to(dtype))  # (logits,) each
    certain, overflow = (int(whole[found.nonzero()[0]]) for found in (prob == 1, power.isinf()))
    print(f"{str(dtype)[6:]:9} sigmoid is 1 from logit {certain:2d} on, exp overflows from {overflow:3d} on")
assert 8 <= certain <= 10  # checks that your machine agrees; skip it

# %% [markdown]
# In `bfloat16` a coin is certain from a logit of 7 on, which a trained network reaches easily; and its $e^a$ survives
# where that of `float16` is long gone. More bits only move the wall: with 64 of them it stands at 37. The line with
# softplus has no wall. Libraries for mixed precision compute such losses in 32 bits whatever the network does, and on a
# GPU PyTorch's `autocast` refuses `binary_cross_entropy` of probabilities outright, with the advice to pass logits.

# %% [markdown]
# ## 1b.5 The cheapest coin
#
# **Question.** If all cells share one logit for a gene, which is the cheapest?
#
# The mean cost over cells has slope $\sigma(a) - \bar x$, with $\bar x$ the share of cells that show the gene. It is 0
# where $\sigma(a) = \bar x$. Minimising cross-entropy *is* matching frequencies. On 700 real cells, for CD3D:

# %%
data = vc.load_pbmc()
x = torch.from_numpy(data.binarize().counts.toarray())  # (cells, genes), 0.0 or 1.0
names = data.gene_names.tolist()
observed = x[:, names.index("CD3D")].mean()
logit_grid = torch.linspace(-3, 3, 121)  # (logits,)
mean_cost = F.softplus(logit_grid) - observed * logit_grid  # (logits,)
best = logit_grid[mean_cost.argmin()]
print(f"cheapest logit {best:.2f}, probability {torch.sigmoid(best):.2f}   observed share {observed:.2f}")

# %% fold="What is drawn: the mean cost of CD3D over the logit"
ax = plots.lines(
    logit_grid, {"": mean_cost}, xlabel="logit, the same for every cell", ylabel="mean cost (nats per cell)"
)
ax.axvline(best, color="0.6", linewidth=1)
ax.text(best + 0.15, 1.5, f"logit {best:.2f}\nprobability {torch.sigmoid(best):.2f}")
plots.show(ax, alt="Mean cost of CD3D against the logit: a bowl with its lowest point at -0.35.")

# %% [markdown]
# ## 1b.6 What a hidden bit is worth
#
# **Question.** Lesson 1 scored cells with one list of coins, or with two, and told which list applies. That is a gift.
# What if nobody tells?
#
# Then it is a model with a latent variable of two values, the kind, and the score is the marginal
# $p(x) = \sum_z p(z)\,p(x \mid z)$. Each term is about $e^{-350}$, which is 0 in 32 bits: a case for log-sum-exp.

# %%
labels = torch.from_numpy(data.labels)  # (cells,), the codes 0 to 9
is_t, is_myeloid = labels <= 4, (labels == 5) | (labels == 9)  # (cells,), True or False
both = is_t | is_myeloid  # (cells,)
shares = torch.stack(
    [(x[cells].sum(dim=0) + 1) / (cells.sum() + 2) for cells in (both, is_t, is_myeloid)]
)  # (3, genes)
scores = bernoulli_log_prob(x, torch.logit(shares).unsqueeze(1)).sum(dim=-1)  # (3, 1, genes) -> (3, cells)
log_prior = torch.stack([is_t.sum(), is_myeloid.sum()]).div(both.sum()).log()  # (2,), log p(z)
log_joint = log_prior.unsqueeze(-1) + scores[1:]  # (2, cells), log p(x, z)
untold = torch.logsumexp(log_joint, dim=0)  # (cells,), log p(x)
told = torch.where(is_t, scores[1], scores[2])  # (cells,), log p(x | z)

# %%
print("nats per cell   one list   two lists   told the kind")
for name, cells in (("T", is_t), ("myeloid", is_myeloid), ("both", both)):
    print(f"{name:13}", *[f"{score[cells].mean():11.2f}" for score in (scores[0], untold, told)])

# %% [markdown]
# From the first column to the second we win 23 nats a cell, without being told anything about the cell. This is what a
# latent variable is for: genes no longer vary each on its own, they move together. (The lists are scored on the cells
# that they were made from, which flatters two lists a little more than one.)
#
# **Predict.** A bit can be worth at most $\log 2 = 0.69$ nats on average, and these two kinds are not equally frequent.
# What should being told it be worth, and what is it?

# %%
guess = torch.where(log_joint.argmax(dim=0) == 0, is_t, is_myeloid)  # (cells,), True where the guess is the label
odd = both & ~guess  # (cells,)
print(f"mean of -log p(z): {-(log_prior.exp() * log_prior).sum():.2f} nats")
gain = told - untold  # (cells,), nats that the bit is worth
print(f"told minus untold: {gain[both].mean():.2f} nats")
print(f"without {int(odd.sum())} odd cells: {gain[both & ~odd].mean():.2f} nats")

# %% [markdown]
# Almost every cell gives its kind away by itself, so being told saves just the prior's surprise, $-\log p(z)$, as it
# should. Six cells look more like the other kind. They are worse off when told their label, and pull the mean down to
# 0.26. Labels are not the truth.
#
# <details><summary><b>Check yourself.</b> Somebody averages the cross-entropy over 765 genes, where we summed. Which of
# the two is a log-probability of the cell?</summary>
#
# The sum. Independent coins multiply, so their logarithms add. The average is the log-probability of nothing in
# particular. It is harmless as long as nothing is added to it. Lesson 3 adds a KL divergence to it, and then it is a
# bug.
#
# </details>

# %% [markdown]
# ## 1b.7 How independent are the coins?
#
# **Question.** Given $z$, the story of lesson 1 throws the coins one by one. Do real genes obey?
#
# S100A9 and FCN1, two genes of myeloid cells, over all cells and within each kind. A kind is not one $z$ but a range,
# so even an obedient pair keeps some correlation within a kind. How much, the story itself can say: tell it 100,000
# times, with the two coins of lesson 1 ($z > 0$ stands in for myeloid).

# %%
pair = x[:, [names.index("S100A9"), names.index("FCN1")]]  # (cells, 2)
at_t, at_m = (
    torch.logit((pair[cells].sum(dim=0) + 1) / (cells.sum() + 2)) for cells in (is_t, is_myeloid)
)  # (2,) each
z = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))  # (cells, 1), from the prior
prob = torch.sigmoid(z * (at_m - at_t) / 2 + (at_m + at_t) / 2)  # (cells, 2)
told = torch.bernoulli(prob, generator=torch.Generator().manual_seed(1))  # (cells, 2)
rows = {
    "all cells": (pair, told),
    "myeloid, or z > 0": (pair[is_myeloid], told[z[:, 0] > 0]),
    "T, or z < 0": (pair[is_t], told[z[:, 0] < 0]),
}
print("correlation of S100A9 and FCN1    real   told")
for name, cells in rows.items():
    print(f"{name:30}", *[f"{torch.corrcoef(bits.T)[0, 1]:7.2f}" for bits in cells])

# %% [markdown]
# In the told cells the coins ignore each other by construction, and still some correlation is left. So a correlation
# within a kind is no proof against the story. But the real genes are tied more tightly than the told ones, in every
# row. Perhaps because "myeloid" is two labels? Take each alone:

# %%
for code in (5, 9):
    correlation = torch.corrcoef(pair[labels == code].T)[0, 1]
    print(f"labelled {data.label_names[code]:15} correlation {correlation:.2f}")

# %% [markdown]
# Still tighter than told. Something else moves these two genes together, and one latent has no room for it. Real models
# take ten. What a KL costs then, and why a grid is hopeless there, is the matter of
# [deeper/1a](1a_kl_in_many_dimensions.ipynb).
#
# <details><summary><b>Check yourself.</b> Two genes are correlated over all cells. Is that evidence against coins that
# are independent given <i>z</i>?</summary>
#
# No. The told cells of the first row have it, too: both genes follow $z$, and so they follow each other. Evidence
# against the story is what is left *at one* $z$, or more of it within a kind than the story itself produces.
#
# </details>

# %% [markdown]
# ## 1b.8 Another coin, the same care
#
# **Question.** Of some gene $\mu$ molecules a cell are caught on average. How probable is it that *none* is?
#
# If they are caught independently (a Poisson, lesson 5), it is $e^{-\mu}$. So the gene is detected with probability
# $1 - e^{-\mu}$. Here no logit is in sight, and the trouble is back: for a rare gene the program subtracts two nearly
# equal numbers. The cure has the form of `log1p`: `torch.expm1(u)` computes $e^u - 1$ without forming $e^u$ first.
#
# That is this notebook in one line: *find the subtraction of two nearly equal numbers, or the number that leaves its
# range, and do that step on paper.* **Predict** which $\mu$ breaks the first column.

# %% tags=["volatile"]
mu = torch.tensor([1.0, 1e-3, 1e-6, 1e-9])  # mean number of molecules
print("mu        log(1 - e^-mu)   log(-expm1(-mu))")
for value in mu:
    print(f"{value:<9.0e} {torch.log(1 - torch.exp(-value)):14.2f} {torch.log(-torch.expm1(-value)):18.2f}")
assert torch.log(1 - torch.exp(-mu[-1])) == -torch.inf  # checks that your machine agrees; skip it
