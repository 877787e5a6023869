# %% [markdown]
# # Lesson 1 · Problem setup and mathematical background
#
# {{links}}
#
# **You will be able to**
#
# - tell the joint, the marginal, the likelihood and the posterior apart, and compute a posterior on a grid (exercise
#   1.6, quiz 1)
# - write log-probabilities of a Bernoulli and of a Gaussian that survive extreme numbers (exercises 1.1 and 1.2,
#   quiz 6)
# - derive the KL divergence between two Gaussians, in one dimension and in many (exercises 1.3 and 1.4, quiz 4)
# - estimate a KL divergence from samples, with an error bar (exercise 1.5), and say when drawing from the prior fails
#   (quiz 2)
# - say what variational inference searches, and which way round its KL stands (quiz 3, quiz 5)
#
# **Time:** about {{minutes}} minutes, exercises included: every section's minutes count its exercises. A good place to
# stop is the end of section 1.7, a little before halfway. **You need:** lesson 0, the sum and product rules of
# probability, the derivative of a logarithm; for section 1.8 matrix products, the transpose and the covariance matrix
# of lesson 0. Rules for expectations, inverses, determinants and traces are recalled where they are first used.
#
# Exercises check themselves when you run their cell. Stuck? `hint("1.1")`, twice, then `solution("1.1")`.

# %% setup=true
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, quiz, solution

# %% [markdown]
# ## 1.1 A story about a cell
#
# **Question.** Lesson 0 ended with a wish: a *distribution* over latents, not a point. What would such a thing look
# like for one real cell?
#
# We start as small as possible. From each of the 700 blood cells we keep one bit a gene: detected (1) or not (0). Such
# bits can tell cell types apart ([Qiu 2020](https://doi.org/10.1038/s41467-020-14976-9)).

# %%
data = vc.load_pbmc()
x = torch.from_numpy(data.binarize().counts.toarray())  # (cells, genes), 0.0 or 1.0
labels = torch.from_numpy(data.labels)  # (cells,), the codes 0 to 9
gene = data.gene_names.tolist().index("CD3D")
print(tuple(x.shape), "   first ten cells, CD3D:", x[:10, gene].int().tolist())
print("labels:", ", ".join(f"{code} {name}" for code, name in enumerate(data.label_names)))

# %% [markdown]
# Before we look at a cell, its CD3D bit is unknown: it is a **random variable**, a quantity with a list of possible
# values and a probability for each. A bit has two values, so one number $p$ says everything: $p(x = 1) = p$ and
# $p(x = 0) = 1 - p$. That is the **Bernoulli** distribution. (With brackets $p$ is a distribution, named by what stands
# in them; alone it is the number of one coin, `prob` in code.) For CD3D, over all cells:

# %%
print(f"CD3D detected in {int(x[:, gene].sum())} of {len(x)} cells: p = {x[:, gene].mean():.2f}")

# %% [markdown]
# That single $p$ hides a story. CD3D is a part of the T-cell receptor complex. Split the cells into T cells (five of
# the ten labels) and myeloid cells (monocytes and dendritic cells):

# %%
is_t = labels <= 4  # (cells,), T cells
is_myeloid = (labels == 5) | (labels == 9)  # (cells,), monocytes and dendritic cells
for name, cells in (("T", is_t), ("myeloid", is_myeloid), ("other", ~is_t & ~is_myeloid)):
    print(f"{name:8} {int(cells.sum()):4d} cells   CD3D in {x[cells, gene].mean():.2f} of them")

# %% [markdown]
# Something we did not measure decides what we do measure. Call it $z$, the **latent** variable. Say $z$ is one
# number: about $-1$ in a T cell, about $+1$ in a myeloid cell, anything between and beyond. The **generative story**
# of a cell has two steps:
#
# 1. Draw $z$ from a **prior** $p(z)$, here a bell curve around 0 with variance 1.
# 2. Given $z$, throw one coin per gene. The coin of gene $g$ shows 1 with a probability that depends on $z$.
#
# A probability has to stay between 0 and 1. The **sigmoid** $\sigma(a) = 1 / (1 + e^{-a})$ squeezes any number $a$ in
# there, so let
#
# $$p(x_g = 1 \mid z) = \sigma(w_g z + b_g).$$
#
# $a = w_g z + b_g$ is called a **logit**. The slope $w_g$ says how strongly gene $g$ follows $z$, the offset $b_g$
# how often it is seen at $z = 0$.

# %%
a = torch.tensor([-4.0, -1.0, 0.0, 1.0, 4.0])
prob = torch.sigmoid(a)
print("logit      ", a.tolist())
print("probability", [round(value, 3) for value in prob.tolist()])
print("back       ", [round(value, 3) for value in torch.log(prob / (1 - prob)).tolist()])

# %% [markdown]
# The last line runs the sigmoid backwards: $a = \log\frac{p}{1 - p}$, the logarithm of the odds. So two measured
# shares give us $w_g$ and $b_g$. At $z = -1$ the logit is $b_g - w_g$, at $z = +1$ it is $b_g + w_g$. Half their
# difference is $w_g$, half their sum is $b_g$.
#
# We do it for six marker genes: two of T cells, four of myeloid cells. We add one detected and one undetected cell to
# each group, so that no share is exactly 0 or 1 (its logit would be infinite).

# %%
genes = ["CD3D", "IL32", "S100A9", "FCN1", "LYZ", "CST3"]
markers = x[:, [data.gene_names.tolist().index(name) for name in genes]]  # (cells, 6)
share_t = (markers[is_t].sum(dim=0) + 1) / (is_t.sum() + 2)  # (6,)
share_m = (markers[is_myeloid].sum(dim=0) + 1) / (is_myeloid.sum() + 2)  # (6,)
w = (torch.logit(share_m) - torch.logit(share_t)) / 2  # (6,)
b = (torch.logit(share_m) + torch.logit(share_t)) / 2  # (6,)
for name, slope, offset in zip(genes, w.tolist(), b.tolist(), strict=True):
    print(f"{name:7} w = {slope:+.2f}   b = {offset:+.2f}")

# %% [markdown]
# The six coins, drawn over $z$. This is a complete **decoder**: put $z$ in, read six probabilities off.
# (The figure leaves FCN1 out: its curve nearly covers that of S100A9.)

# %%
grid = torch.linspace(-8, 8, 801)  # (points,), values of z; we keep this grid to the end of the lesson
curves = torch.sigmoid(grid.unsqueeze(-1) * w + b)  # (points, 6)
drawn = {name: curve for name, curve in zip(genes, curves.T, strict=True) if name != "FCN1"}
ax = plots.lines(grid, drawn, xlabel="latent z", ylabel="probability of detection")
ax.set_xlim(-4, 4)
ax.axvline(-1, color="0.7", linewidth=1, zorder=0)
ax.axvline(1, color="0.7", linewidth=1, zorder=0)
ax.text(-1.08, 0.5, "T", ha="right", fontsize=12)
ax.text(1.08, 0.3, "myeloid", fontsize=12)
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(
    ax,
    alt="Probability of detection against z for five genes: CD3D and IL32 fall, three myeloid genes rise.",
)

# %% [markdown]
# A story can be *told*. We let the computer tell it four times: draw $z$, then throw six coins.

# %%
generator = torch.Generator().manual_seed(0)
z_new = torch.randn(4, 1, generator=generator)  # (cells, 1), the prior
x_new = torch.bernoulli(torch.sigmoid(z_new * w + b), generator=generator)  # (cells, 6)
print("   z  ", "  ".join(genes))
for value, row in zip(z_new[:, 0].tolist(), x_new.int().tolist(), strict=True):
    print(f"{value:+.2f} ", "".join(f"{bit:^{len(name) + 2}}" for bit, name in zip(row, genes, strict=True)))

# %% [markdown]
# **What the story assumes.** Once $z$ is known, the coins ignore each other. They are **conditionally independent**:
# all that ties two genes together must go through $z$. How far does that hold in real cells? Correlate S100A9 with FCN1
# over all cells, then within each kind. A kind is not one $z$ but a range of them, so some correlation has to be left.
# The story itself says how much, if we tell it 100,000 times ($z > 0$ stands in for myeloid):

# %%
pair = markers[:, 2:4].T  # (2, cells)
for name, cells in (("all cells", labels >= 0), ("myeloid only", is_myeloid), ("T only", is_t)):
    print(f"{name:13} correlation of S100A9 and FCN1 {torch.corrcoef(pair[:, cells])[0, 1]:.2f}")
z_told = torch.randn(100_000, 1, generator=generator)  # (cells, 1)
pair_told = torch.bernoulli(torch.sigmoid(z_told * w[2:4] + b[2:4]), generator=generator).T  # (2, cells)
for name, cells in (
    ("told, all", z_told[:, 0] > -9),
    ("told, z > 0", z_told[:, 0] > 0),
    ("told, z < 0", z_told[:, 0] < 0),
):
    print(f"{name:13} correlation of S100A9 and FCN1 {torch.corrcoef(pair_told[:, cells])[0, 1]:.2f}")

# %% [markdown]
# In the told cells the coins ignore each other by construction, and still their correlation halves and does not vanish
# for $z > 0$. So what is left within a kind is no proof against the story. But the real genes are tied more tightly
# than the told ones, in every row. One latent explains much and not all. That is why real models take ten.

# %% [markdown]
# ## 1.2 Joint, marginal, posterior
#
# **Question.** The story runs from $z$ to $x$. We hold $x$ and want $z$. How do we run it backwards?
#
# First with two values of $z$ only, "T" and "myeloid", and one gene, CD3D. Then everything is counting.

# %%
kinds = torch.stack([is_t, is_myeloid])  # (2, cells)
detected = x[:, gene] == 1  # (cells,)
table = torch.stack([(kinds & detected).sum(dim=1), (kinds & ~detected).sum(dim=1)], dim=1)  # (kind, detected or not)
print("          detected  not detected")
print("T        ", *[f"{n:>8}" for n in table[0].tolist()])
print("myeloid  ", *[f"{n:>8}" for n in table[1].tolist()])

# %% [markdown]
# Divide by the number of cells. Each entry becomes a **joint** probability $p(x, z)$: the probability that *both*
# happen. Sum a joint over the thing you do not care about and you get a **marginal**. Divide a joint by a marginal
# and you get a **conditional**.

# %%
joint = table / table.sum()  # p(z, x), (kind, detected or not)
prior = joint.sum(dim=1)  # p(z): sum over x
likelihood = joint[:, 0] / prior  # p(x = 1 | z)
evidence = joint[:, 0].sum()  # p(x = 1): sum over z
print(f"prior p(z)            T {prior[0]:.3f}   myeloid {prior[1]:.3f}")
print(f"likelihood p(x=1|z)   T {likelihood[0]:.3f}   myeloid {likelihood[1]:.3f}")
print(f"marginal p(x=1)       {evidence:.3f}")

# %% [markdown]
# The joint can be split in two ways, $p(x, z) = p(z)\,p(x \mid z)$ and $p(x, z) = p(x)\,p(z \mid x)$. Both are the
# same number. Set them equal and divide by $p(x)$, also called the **evidence**:
#
# $$\underbrace{p(z \mid x)}_{\text{posterior}} =
# \frac{\overbrace{p(z)}^{\text{prior}}\;\overbrace{p(x \mid z)}^{\text{likelihood}}}
# {\underbrace{p(x)}_{\text{marginal}}},
# \qquad p(x) = \sum_z p(z)\,p(x \mid z).$$
#
# This is **Bayes' rule**. It turns the story round. Here we can check it: the share of T cells among the cells with
# CD3D is something one can count.

# %%
print(f"Bayes:    p(T | CD3D detected) = {prior[0] * likelihood[0] / evidence:.4f}")
print(f"counting: {table[0, 0]} of {table[:, 0].sum()} cells     = {table[0, 0] / table[:, 0].sum():.4f}")

# %% [markdown]
# Before the gene, 34 % of these cells were T cells. After it, 74 %. That move, from prior to posterior, is all that
# inference does.
#
# Now let $z$ be a number. Five values first. One cell, two genes: CD3D detected, LYZ not. Multiply, sum, divide:

# %%
points = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
prior = torch.exp(-(points**2) / 2)
prior = prior / prior.sum()  # a bell curve, made to sum to 1
likelihood = torch.sigmoid(points * w[0] + b[0]) * (1 - torch.sigmoid(points * w[4] + b[4]))  # CD3D yes, LYZ no
joint = prior * likelihood
posterior = joint / joint.sum()
for name, row in (("z", points), ("prior", prior), ("likelihood", likelihood), ("posterior", posterior)):
    print(f"{name:11}", *[f"{value:7.3f}" for value in row.tolist()])
print(f"marginal    {joint.sum():.3f}   (sum of prior x likelihood)")

# %% [markdown]
# Read the columns. The likelihood alone likes $z = -2$ best. The prior calls $-2$ rare. The posterior settles at
# $-1$, and keeps some belief on either side.
#
# Note what the likelihood row is *not*: it does not sum to 1 over $z$. It is a distribution over $x$, looked at as a
# function of $z$.
#
# <details><summary><b>Check yourself.</b> Does <i>p(x)</i> matter for where the posterior peaks?</summary>
#
# No. $p(x)$ does not contain $z$. It only scales the posterior so that it sums to 1. Keep that in mind: all the
# trouble of this lesson comes from $p(x)$, and variational inference works because one can search without it.
#
# </details>

# %% [markdown]
# ## 1.3 Why logarithms
#
# **Question.** Two genes went well. What about 765?
#
# We score a real cell. For each gene take its share over all cells (again with one detected and one undetected cell
# added), and multiply the probabilities of what we saw.

# %%
share = (x.sum(dim=0) + 1) / (len(x) + 2)  # (genes,)
cell = x[0]  # (genes,)
of_what_we_saw = torch.where(cell == 1, share, 1 - share)  # (genes,)
print("product of 765 probabilities:", of_what_we_saw.prod().item())

# %% [markdown]
# Zero. Not "small": zero. PyTorch's usual numbers, `float32`, have 32 bits each: about seven digits, and nothing below
# about $10^{-45}$. This product falls through that floor long before the last gene:

# %%
running = of_what_we_saw.cumprod(dim=0)  # (genes,)
for n in (50, 100, 200, 300):
    print(f"after {n} genes: {running[n - 1].item():.0e}")

# %% [markdown]
# Every cell then has probability 0, and Bayes' rule divides 0 by 0. The cure is as old as the slide rule. A logarithm
# turns the product into a sum:
#
# $$\log \prod_g p_g = \sum_g \log p_g.$$
#
# We always take natural logarithms. Their unit is the **nat**.

# %%
print(f"sum of 765 logarithms: {of_what_we_saw.log().sum():.1f} nats")
print(f"logarithm of the product: {of_what_we_saw.prod().log().item()}")

# %% [markdown]
# A difference of one nat is a factor $e \approx 2.7$ in probability. This cell has probability $e^{-346}$, and that
# is normal: there are $2^{765}$ possible cells.
#
# **What breaks it.** Bayes' rule still needs a *sum* of probabilities, and a sum of logarithms is not the logarithm
# of a sum. Going back through `exp` meets the same floor. Let $\ell_1, \ell_2, \ldots$ be the logarithms of the terms
# of the sum, and $m$ the largest of them. Pull $e^m$ out of every term:
#
# $$\sum_i e^{\ell_i} = \sum_i e^{m}\,e^{\ell_i - m} = e^{m} \sum_i e^{\ell_i - m}.$$
#
# Take the logarithm of both ends. This is **log-sum-exp**:
#
# $$\log \sum_i e^{\ell_i} = m + \log \sum_i e^{\ell_i - m}.$$
#
# Now the largest exponential is $e^0 = 1$. Nothing falls through the floor that would have mattered.

# %%
log_terms = torch.tensor([-1000.0, -1001.0])
m = log_terms.max()
print("naive:        ", log_terms.exp().sum().log().item())
print(f"shifted:       {m + (log_terms - m).exp().sum().log():.4f}")
print(f"torch.logsumexp {torch.logsumexp(log_terms, dim=0):.4f}")

# %% [markdown]
# ## 1.4 One coin, seen twice
#
# **Question.** A statistician writes the log-probability of a coin. A machine-learner writes a loss called binary
# cross-entropy. What is the difference?
#
# Put the two cases of the coin on one line. With $x \in \{0, 1\}$,
#
# $$\log p(x) = x \log p + (1 - x)\log(1 - p).$$
#
# For $x = 1$ the second term vanishes, for $x = 0$ the first. Binary cross-entropy is this number with a minus sign
# in front. There is no other difference:

# %%
prob = torch.tensor([0.9, 0.9])
outcome = torch.tensor([1.0, 0.0])
log_prob = outcome * prob.log() + (1 - outcome) * (1 - prob).log()
print("log-probability     ", [round(value, 4) for value in log_prob.tolist()])
print("binary cross-entropy", [round(v, 4) for v in F.binary_cross_entropy(prob, outcome, reduction="none").tolist()])

# %% [markdown]
# So the loss of lesson 3 is a likelihood, and comes in nats. Being sure (0.9) and right costs 0.11 nats, being sure
# and wrong 2.30.
#
# Which $p$ costs least on average? For CD3D, try all logits and average over the 700 cells.

# %%
logit_grid = torch.linspace(-3, 3, 121)  # (logits,)
prob, observed = torch.sigmoid(logit_grid), x[:, gene].mean()
cost = -(observed * prob.log() + (1 - observed) * (1 - prob).log())  # (logits,)
best = logit_grid[cost.argmin()]
ax = plots.lines(
    logit_grid, {"": cost}, xlabel="logit a, the same for every cell", ylabel="mean cost of CD3D (nats per cell)"
)
ax.axvline(best, color="0.6", linewidth=1)
ax.text(best - 0.1, 1.5, f"a = {best:.2f}\nsigmoid(a) = {torch.sigmoid(best):.2f}", ha="right")
plots.show(ax, alt="Mean binary cross-entropy of CD3D against the logit: a bowl with its lowest point at -0.35.")

# %% [markdown]
# The cheapest probability is the observed share, 0.41. By algebra: the slope of the mean cost is $\sigma(a) - \bar x$
# (we derive it below), which is 0 when $\sigma(a) = \bar x$. Minimising cross-entropy *is* matching frequencies.
#
# **From probability to logit.** A network puts out logits, any number from $-\infty$ to $\infty$. Write the
# log-probability in terms of $a$ directly. Multiply the sigmoid by $e^a$ above and below, and take it from 1:
#
# $$p = \frac{1}{1 + e^{-a}} = \frac{e^{a}}{1 + e^{a}}, \qquad 1 - p = \frac{1}{1 + e^{a}}.$$
#
# Let $\text{softplus}(a) = \log(1 + e^{a})$. The logarithms of both outcomes are each minus a softplus:
#
# $$\log(1 - p) = \log\frac{1}{1 + e^{a}} = -\text{softplus}(a),$$
#
# $$\log p = \log\frac{1}{1 + e^{-a}} = -\text{softplus}(-a).$$
#
# The other form of $p$ gives the second line once more:
#
# $$\log p = \log\frac{e^{a}}{1 + e^{a}} = a - \text{softplus}(a).$$
#
# So both cases hold $-\text{softplus}(a)$. Only $x = 1$ adds $a$:
#
# $$\log p(x) = x\,a - \text{softplus}(a).$$
#
# Check the three derived lines with a number, $a = 0.7$:

# %%
a = torch.tensor(0.7)
prob = torch.sigmoid(a)
print(f"log(1 - p) {torch.log(1 - prob):.6f}   -softplus(a)  {-F.softplus(a):.6f}")
print(
    f"log p      {torch.log(prob):.6f}   -softplus(-a) {-F.softplus(-a):.6f}   a - softplus(a) {a - F.softplus(a):.6f}"
)

# %% [markdown]
# The slope of the cost $\text{softplus}(a) - x a$ is $\frac{e^a}{1 + e^a} - x = \sigma(a) - x$: prediction minus
# truth. PyTorch can compute slopes: `backward` finds that of the cost at a number marked `requires_grad`, and leaves it
# in `.grad`. Section 2.3 of lesson 2 shows how; here only the result matters:

# %%
a = torch.tensor(0.7, requires_grad=True)
(F.softplus(a) - 1.0 * a).backward()
print(f"slope at x = 1: {a.grad:.4f}   sigmoid(a) - 1 = {prob - 1:.4f}")

# %% [markdown]
# **What breaks it.** Go through the probability, and be sure and wrong. A logit of 1000 gives $p = 1$ exactly in
# float32; then $1 - p = 0$ and the logarithm is $-\infty$. It does not take 1000, as the last line shows:

# %%
a = torch.tensor([1000.0, -1000.0])
prob = torch.sigmoid(a)
print("x = 0, through the probability:", torch.log(1 - prob).tolist())
print("x = 1, through the probability:", torch.log(prob).tolist())
print("log(1 + exp(a)), typed as it stands:", torch.log(1 + torch.exp(a)).tolist())
print("sigmoid of 16 and of 17 is 1:", (torch.sigmoid(torch.tensor([16.0, 17.0])) == 1).tolist())

# %% [markdown]
# The slope is worse than infinite. Backwards through the logarithm it is divided by 0, through the flat sigmoid
# multiplied by 0:

# %%
a_wrong = torch.tensor(1000.0, requires_grad=True)
torch.log(1 - torch.sigmoid(a_wrong)).backward()
print("slope at logit 1000, through the probability:", a_wrong.grad.item())

# %% [markdown]
# One such slope, `nan` ("not a number"), spreads to every weight it touches, and the training run is lost. The truth
# is tame: being wrong at logit 1000 costs 1000 nats, with slope 1. For $a > 0$ pull the large part out, as with
# log-sum-exp:
#
# $$\text{softplus}(a) = \log(1 + e^{a}) = \log\!\big(e^{a}(e^{-a} + 1)\big) = a + \log(1 + e^{-a}).$$
#
# Both signs on one line, and the exponent is never above 0:
#
# $$\text{softplus}(a) = \max(a, 0) + \log\!\big(1 + e^{-|a|}\big).$$
#
# This line is for values only. `clamp` and `abs` have a kink at $a = 0$, where PyTorch returns the slope 1.0 instead
# of 0.5. Wherever slopes are wanted, use `F.softplus`.

# %%
stable = a.clamp(min=0) + torch.log1p(torch.exp(-a.abs()))
print("max(a, 0) + log1p(exp(-|a|)):", stable.tolist())
print("F.softplus:                  ", F.softplus(a).tolist())

# %% [markdown]
# Given outcomes `x` and `logits`, return the log-probability of each outcome: the line derived under "From probability
# to logit", for tensors. By hand: at logit 0 both outcomes have
# probability $\tfrac12$, so each gives $-0.6931$. At logit 2, $x = 1$ gives $-0.1269$ and $x = 0$ gives $-2.1269$:
# they differ by exactly the logit.
#
# In: two tensors whose shapes broadcast. Out: the broadcast shape, nothing summed. Mind the logits of $\pm 1000$: the
# answer there is 0 or $-1000$, never $-\infty$ and never NaN.

# %% exercise="1.1" source="vae_course.distributions.bernoulli_log_prob" minutes=6 difficulty=1

# %% [markdown]
# Your function on all 700 cells at once. Every cell gets the same logits, those of the overall shares. Shape (cells,
# genes) goes in, we sum over genes:

# %%
log_prob = bernoulli_log_prob(x, torch.logit(share))  # (cells, genes)
per_cell = log_prob.sum(dim=1)  # (cells,)
print(
    tuple(log_prob.shape), f"  the cell of section 1.3: {per_cell[0]:.1f} nats   mean cell: {per_cell.mean():.1f} nats"
)

# %% [markdown]
# One list of coins for all cells is a poor story. Take the T and the myeloid cells and score them three ways: with one
# list for both kinds; with two lists, *not told* which one applies; with two lists, told the kind. The second way is
# the marginal of section 1.2, $p(x) = \sum_z p(z)\,p(x \mid z)$ with $z$ the kind. Each term is about $e^{-350}$, which
# is 0 in float32: a case for log-sum-exp.

# %%
both = is_t | is_myeloid  # (cells,)
shares = torch.stack([(x[cells].sum(dim=0) + 1) / (cells.sum() + 2) for cells in (both, is_t, is_myeloid)])
kind_scores = bernoulli_log_prob(x, torch.logit(shares).unsqueeze(1)).sum(dim=-1)  # (3, 1, genes) -> (3, cells)
log_prior = (kinds.sum(dim=1) / both.sum()).log()  # (2,), log p(z)
log_joint = log_prior.unsqueeze(-1) + kind_scores[1:]  # (2, cells), log p(x, z)
untold = torch.logsumexp(log_joint, dim=0)  # (cells,), log p(x)
told = torch.where(is_t, kind_scores[1], kind_scores[2])  # (cells,), log p(x | z)
print("nats per cell   one list   two lists   told the kind")
for name, cells in (("T", is_t), ("myeloid", is_myeloid), ("both", both)):
    print(f"{name:13}", *[f"{score[cells].mean():11.2f}" for score in (kind_scores[0], untold, told)])
other_kind = torch.where(is_t, log_joint.argmax(dim=0) == 1, log_joint.argmax(dim=0) == 0) & both  # (cells,)
print(f"{int(other_kind.sum())} of {int(both.sum())} cells look more like the other kind")
print(f"the bit is worth {(told - untold)[both & ~other_kind].mean():.2f} nats in the others")
print(f"mean of -log p(z): {-(log_prior.exp() * log_prior).sum():.2f} nats")

# %% [markdown]
# From the first column to the second we win 23 nats a cell. The lists were made with labels, but the scoring was not
# told which list applies. (They score the very cells that they were made from. That flatters two lists a little more
# than one.) This is what a latent variable is for: genes no longer vary each on its own, they move together.
#
# From the second to the third it is 0.26 nats, the worth of the bit itself. A bit could be worth up to
# $\log 2 = 0.69$ nats on average. These kinds are not equally frequent, which leaves 0.64, the last line. The six odd
# cells are worse off when told their label, which leaves 0.26. (Labels are not the truth.)
#
# <details><summary><b>Check yourself.</b> Somebody averages the cross-entropy over 765 genes, where you summed. Which
# of the two is a log-probability of the cell?</summary>
#
# The sum. Independent genes multiply, so their logarithms add. The average is the log-probability divided by 765, the
# log-probability of nothing in particular. It is harmless as long as nothing is added to it. Lesson 3 adds a KL
# divergence to it, and then it is a bug.
#
# </details>

# %% [markdown]
# ## 1.5 The Gaussian, and its two spreads
#
# **Question.** Our latents are real numbers. How probable is $z = 0.3$ exactly?
#
# Not at all: a real number has infinitely many neighbours. What it has is a **density**, a probability *per unit of
# z*. Areas under it are probabilities. The density we use everywhere is the **Gaussian** $\mathcal N(m, v)$ with mean
# $m$ and **variance** $v$ (in code `mean`, `var`):
#
# $$p(z) = \frac{1}{\sqrt{2\pi v}}\,\exp\!\Big(-\frac{(z - m)^2}{2v}\Big).$$
#
# Take the logarithm, factor by factor. The root gives $-\tfrac12\log(2\pi v)$. The exponential gives its exponent.
#
# $$\log p(z) = -\tfrac12\Big[\log(2\pi) + \log v + \frac{(z - m)^2}{v}\Big].$$
#
# A parabola in $z$, highest at the mean.

# %% [markdown]
# Elementwise again: `x`, `mean`, `var` broadcast, nothing is summed. By hand, for $m = 1$ and $v = 4$: at $z = 1$
# only $-\tfrac12[\log 2\pi + \log 4] = -1.6121$ is left; at $z = 3$, one standard deviation away, half a nat less,
# $-2.1121$; at $z = 5$, two away, two nats less, $-3.6121$. Mind that `var` is the variance, and that a log-density
# may be positive.

# %% exercise="1.2" source="vae_course.distributions.normal_log_prob" minutes=6 difficulty=1

# %% [markdown]
# Two questions to a density. Is its area 1? And can it exceed 1?

# %%
fine = torch.linspace(-10, 10, 20_001)  # (points,), spacing 0.001
for var in (4.0, 1.0, 0.04):
    density = normal_log_prob(fine, torch.tensor(0.0), torch.tensor(var)).exp()  # (points,)
    print(f"var {var:4}:  highest density {density.max():.3f}   area {density.sum() * 0.001:.3f}")

# %% [markdown]
# The narrow one reaches 2. Its *logarithm* there is positive. So log-densities may be positive; log-probabilities
# never are.
#
# A real use. The total count of a cell spreads over cells much like a Gaussian once you take its logarithm. scVI will
# build that in (lesson 5).

# %%
log_library = torch.from_numpy(data.counts.sum(axis=1)).flatten().log()  # (cells,), log of the total count
mean, var = log_library.mean(), log_library.var()
values = torch.linspace(5.5, 7.8, 200)
ax = plots.panels()[0]
ax.hist(log_library.numpy(), 25, density=True, color="0.85", label="700 cells")
plots.lines(
    values,
    {
        "variance as var": normal_log_prob(values, mean, var).exp(),
        "standard deviation as var": normal_log_prob(values, mean, var.sqrt()).exp(),
    },
    ax=ax,
    xlabel="log of total count (log counts)",
    ylabel="density",
    ylim=(0, 2.2),
)
plots.show(
    ax, alt="Histogram of log totals with two Gaussians: that with the variance fits, the other is far too wide."
)

# %% [markdown]
# **What breaks it.** The flat dashed curve is the commonest slip with Gaussians: the *standard deviation* $\sqrt v$
# was given where the variance belongs. No error, a nice bell, and a bill:

# %%
right = normal_log_prob(log_library, mean, var).mean()
wrong = normal_log_prob(log_library, mean, var.sqrt()).mean()
print(f"variance {var:.3f}, standard deviation {var.sqrt():.3f}")
print(f"mean log-density: {right:.3f} with the variance, {wrong:.3f} with the standard deviation passed as one")

# %% [markdown]
# When $v = 1$ both are the same, and a test with a standard normal notices nothing. Libraries disagree too:
# `torch.distributions.Normal(mean, scale)` wants the standard deviation. In this course a variable called `var` is a
# variance, always.

# %% [markdown]
# ## 1.6 A distance that is not a distance
#
# This section uses `grid` from section 1.1 and your `normal_log_prob` from section 1.5.
#
# **Question.** We will approximate one distribution by another. How wrong is the approximation, in one number?
#
# Suppose cells come from $q$ and you believe $p$. Draw $z$ from $q$. You gave it log-probability $\log p(z)$; the
# best-informed person gives it $\log q(z)$. The mean difference is your **regret** in nats. It is the
# **Kullback-Leibler divergence** ([Kullback and Leibler 1951](https://doi.org/10.1214/aoms/1177729694)):
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb E_{z \sim q}\big[\log q(z) - \log p(z)\big]
# = \sum_z q(z)\,\log\frac{q(z)}{p(z)}.$$
#
# $\mathbb E_{z \sim q}$, or $\mathbb E_q$ for short, is the mean over draws from $q$. For densities the sum is an
# integral. Messages of the exercises write KL(q, p); it is the same thing. For now $q$ and $p$ are any two
# distributions of $z$; from section 1.10 on $q$ approximates and $p$ is the prior or the posterior. With two coins, 0.9
# and 0.5, by hand:

# %%
coin_q = torch.tensor([0.9, 0.1])
coin_p = torch.tensor([0.5, 0.5])
print(f"KL(q || p) = 0.9 log(0.9/0.5) + 0.1 log(0.1/0.5) = {(coin_q * (coin_q / coin_p).log()).sum():.3f} nats")
print(f"KL(p || q) = 0.5 log(0.5/0.9) + 0.5 log(0.5/0.1) = {(coin_p * (coin_p / coin_q).log()).sum():.3f} nats")
print(f"KL(p || p) = {(coin_p * (coin_p / coin_p).log()).sum():.3f} nats")

# %% [markdown]
# Three properties, of which we have just seen two:
#
# - It is never negative, and 0 only if $q = p$. (Section 1.13 proves it with one picture.)
# - It is **not symmetric**. Which distribution do you draw from? That one decides which errors count.
# - It is infinite if $q$ puts weight where $p$ has none: there $\log p = -\infty$.

# %%
coin_p = torch.tensor([1.0, 0.0])
print("KL(q || p), p excludes what q does:", (coin_q * (coin_q / coin_p).log()).sum().item())
terms = torch.special.xlogy(coin_p, coin_p / coin_q)  # p log(p / q), where 0 log 0 counts as 0
print(f"KL(p || q), the other way round:    {terms.sum():.3f}")

# %% [markdown]
# The asymmetry is best *seen*. Let $p$ have two peaks, a cell that is probably T-like, perhaps myeloid:
# $p = 0.6\,\mathcal N(-1.5, 0.25) + 0.4\,\mathcal N(1.5, 0.36)$. The density of a mixture is a weighted sum, so its
# logarithm needs log-sum-exp:


# %%
def log_mixture(z: Tensor) -> Tensor:
    """Log-density of the two-peaked p."""
    weight, mean, var = torch.tensor([[0.6, 0.4], [-1.5, 1.5], [0.25, 0.36]])
    return torch.logsumexp(weight.log() + normal_log_prob(z.unsqueeze(-1), mean, var), dim=-1)


dz = grid[1] - grid[0]  # spacing of the grid of section 1.1
log_p = log_mixture(grid)  # (points,)
print(f"area under p: {log_p.exp().sum() * dz:.4f}")

# %% [markdown]
# Now take *every* Gaussian $q$ with a mean between $-3$ and $3$ and a standard deviation between 0.2 and 2.5, and
# compute both divergences on the grid. No cleverness, 61 x 93 candidates:

# %%
means = torch.linspace(-3, 3, 61).view(-1, 1, 1)  # (means, 1, 1)
sds = torch.linspace(0.2, 2.5, 93).view(1, -1, 1)  # (1, sds, 1)
log_q = normal_log_prob(grid, means, sds**2)  # (means, sds, points)
kl_qp = (log_q.exp() * (log_q - log_p)).sum(dim=-1) * dz  # (means, sds)
kl_pq = (log_p.exp() * (log_p - log_q)).sum(dim=-1) * dz  # (means, sds)
print(tuple(log_q.shape), "->", tuple(kl_qp.shape))

# %%
best = {}
for name, divergence in (("KL(q || p)", kl_qp), ("KL(p || q)", kl_pq)):
    row, column = divmod(int(divergence.argmin()), divergence.shape[1])
    best[name] = means[row, 0, 0], sds[0, column, 0]
    print(
        f"smallest {name}: {divergence.min():.2f} nats at mean {means[row].item():+.1f}, sd {sds[0, column].item():.1f}"
    )

# %% [markdown]
# The picture worth stopping for. The same two-peaked $p$ twice, with the Gaussian that each direction calls the best:

# %%
axes = plots.panels(2, height=3.4, width=4.6)
stories = {"KL(q || p)": "draw from q: seek a peak", "KL(p || q)": "draw from p: cover the mass"}
for ax, (name, (mean, sd)) in zip(axes, best.items(), strict=True):
    ax.fill_between(grid, log_p.exp(), color="0.85", linewidth=0)
    curves = {"p, two peaks": log_p.exp(), "best Gaussian q": normal_log_prob(grid, mean, sd**2).exp()}
    plots.lines(grid, curves, ax=ax, xlabel="z", ylabel="density", title=f"smallest {name}\n{stories[name]}")
    ax.set(xlim=(-5, 5), ylim=(0, 0.95))
plots.show(
    axes[0],
    alt="Left: the Gaussian with the smallest KL(q || p) sits on the larger peak and ignores the other. "
    "Right: that with the smallest KL(p || q) is wide and spans both peaks and the valley.",
)

# %% [markdown]
# **Left: mode-seeking.** Draws come from $q$. Any draw in the valley, where $p$ is tiny, costs many nats. A peak that
# $q$ never visits costs little: minus the logarithm of the weight that $q$ did find, at most $-\log 0.6 = 0.51$ nats
# here. That is the 0.50 above. So $q$ hides on one peak.
#
# **Right: mass-covering.** Draws come from $p$, from both peaks. A peak where $q$ is tiny costs many nats. So $q$
# spreads over everything, the empty valley included. Its mean and variance are those of $p$:

# %%
mean_of_p = (log_p.exp() * grid).sum() * dz
sd_of_p = ((log_p.exp() * (grid - mean_of_p) ** 2).sum() * dz).sqrt()
print(f"p has mean {mean_of_p:.2f} and standard deviation {sd_of_p:.2f}")

# %% [markdown]
# A VAE minimises the left one, $\mathrm{KL}(q \,\|\, p)$, with $p$ the posterior. Not because it is nicer: because we
# can draw from $q$, and cannot draw from the posterior. The price is on the left of the picture. Where the truth has
# two answers, a VAE's Gaussian tends to give one, and to be too sure.
#
# <details><summary><b>Check yourself.</b> A friend's q is much narrower than the posterior it approximates. Which KL
# did the friend probably minimise?</summary>
#
# $\mathrm{KL}(q \,\|\, p)$, the mode-seeking one. It punishes $q$ for weight where $p$ has little, so too narrow is
# cheap and too wide is dear.
#
# </details>

# %%
vc.explore.kl()

# %% [markdown]
# ## 1.7 Two Gaussians: the KL in closed form
#
# **Question.** The grid took 801 points for one KL. A VAE needs one for every latent of every cell in every step. Is
# there a formula?
#
# Yes, when both are Gaussian. The derivation needs three rules for expectations, whatever is averaged over:
#
# 1. *Sums.* The mean of a sum is the sum of the means: $\mathbb E[z^2 + z] = \mathbb E[z^2] + \mathbb E[z]$.
# 2. *Constants.* A fixed number goes in front, $\mathbb E[3z] = 3\,\mathbb E[z]$, and alone is its own mean.
# 3. *Centring.* With $m = \mathbb E[z]$, the first two give $\mathbb E[z - m] = \mathbb E[z] - m = 0$.
#
# Four equally probable values are enough to see them:

# %%
values = torch.tensor([1.0, 2.0, 3.0, 6.0])
m = values.mean()
print("sums:     ", (values**2 + values).mean().item(), "=", (values**2).mean().item(), "+", m.item())
print("constants:", (3 * values).mean().item(), "= 3 *", m.item())
print("centring: ", (values - m).mean().item())

# %% [markdown]
# Let $q = \mathcal N(m_q, v_q)$ and $p = \mathcal N(m_p, v_p)$. Write both logarithms
# (section 1.5) and subtract. The two $\log 2\pi$ cancel:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb E_q\Big[\tfrac12 \log v_p - \tfrac12\log v_q
# + \frac{(z - m_p)^2}{2 v_p} - \frac{(z - m_q)^2}{2 v_q}\Big].$$
#
# Only the two squares depend on $z$. We need their means under $q$. We follow one example all the way,
# $q = \mathcal N(1, 2)$ and $p = \mathcal N(3, 5)$, on a fine grid:

# %%
mean_q, var_q, mean_p, var_p = torch.tensor([1.0, 2.0, 3.0, 5.0])
grid_q = torch.linspace(-15, 17, 3201)  # (points,), wide enough for q
weight = normal_log_prob(grid_q, mean_q, var_q).exp() * 0.01  # (points,), q(z) dz
log_ratio = normal_log_prob(grid_q, mean_q, var_q) - normal_log_prob(grid_q, mean_p, var_p)
print(f"weights sum to {weight.sum():.4f}   KL on the grid {(weight * log_ratio).sum():.4f}")

# %% [markdown]
# **First square.** $\mathbb E_q (z - m_q)^2$ is the variance of $q$, by definition:
#
# $$\mathbb E_q (z - m_q)^2 = v_q.$$
#
# **Second square.** $m_p$ is not the mean of $q$, so step there through $m_q$:
#
# $$(z - m_p)^2 = (z - m_q)^2 + 2(z - m_q)(m_q - m_p) + (m_q - m_p)^2.$$
#
# Take the mean of each term (rule 1). In the middle one $2(m_q - m_p)$ is a fixed number (rule 2), and what is left
# vanishes, $\mathbb E_q[z - m_q] = 0$ (rule 3):
#
# $$\mathbb E_q (z - m_p)^2 = v_q + (m_q - m_p)^2.$$

# %%
second = (weight * (grid_q - mean_p) ** 2).sum()
print(f"first square:  {(weight * (grid_q - mean_q) ** 2).sum():.3f}   v_q = {var_q:.3f}")
middle = (weight * 2 * (grid_q - mean_q) * (mean_q - mean_p)).sum().item()
print(f"middle term:   {round(middle, 3) + 0.0:.3f}   0")
print(f"second square: {second:.3f}   v_q + shift^2 = {var_q + (mean_q - mean_p) ** 2:.3f}")

# %% [markdown]
# **Put them in.** The logarithms are fixed numbers and stay. The last term is $-\frac{v_q}{2 v_q} = -\tfrac12$. Pull
# $\tfrac12$ out:
#
# $$\mathrm{KL}(q \,\|\, p) = \tfrac12\Big[\underbrace{\log\frac{v_p}{v_q}}_{\text{widths}}
# + \underbrace{\frac{v_q + (m_q - m_p)^2}{v_p}}_{\text{misses, in units of } p} - 1\Big].$$

# %%
widths, misses = math.log(5 / 2), (2 + (1 - 3) ** 2) / 5
print(f"1/2 [{widths:.4f} + {misses:.4f} - 1] = {0.5 * (widths + misses - 1):.4f}")

# %% [markdown]
# The grid's number, without a grid. Every term has a job. A $q$ far from $p$ pays with the squared shift. A $q$ too
# wide pays through $v_q / v_p$. A $q$ too narrow pays through the logarithm.

# %% [markdown]
# The last formula, elementwise: four tensors that broadcast, all spreads are variances. By hand: $\mathcal N(1, 0.5)$
# against $\mathcal N(0, 1)$ gives $\tfrac12[\log 2 + 1.5 - 1] = 0.5966$. Mind which variance stands on top of the
# logarithm, and which one divides.

# %% exercise="1.3" source="vae_course.distributions.kl_normal" minutes=6 difficulty=1

# %% [markdown]
# Your function against exact values, and both ways round:

# %%
q_and_p = torch.tensor([[1.0, 0.5, 0.0, 1.0], [1.0, 2.0, 3.0, 5.0], [3.0, 1.0, 0.0, 4.0], [7.1, 0.04, 7.0, 0.25]])
exact = [0.596574, 0.558145, 1.443147, 0.516291]
for row, value in zip(q_and_p, exact, strict=True):
    print(f"KL {kl_normal(*row):.4f}   exact {value:.4f}   other way {kl_normal(row[2], row[3], row[0], row[1]):.4f}")

# %% [markdown]
# And drawn: what does it cost to move away from the prior $\mathcal N(0, 1)$? This landscape is the pull that every
# latent of a VAE feels.

# %%
zero, one = torch.tensor(0.0), torch.tensor(1.0)
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
# **What breaks it.** Look at the narrow side: as the standard deviation goes to 0, the KL goes to infinity. A VAE
# that wants to be an ordinary autoencoder (a point for every cell) has to pay for it:

# %%
for sd_q in (1.0, 0.1, 0.01, 0.0001):
    print(f"sd {sd_q:<6} KL {kl_normal(zero, torch.tensor(sd_q) ** 2, zero, one):.2f} nats")

# %% [markdown]
# From the second decimal of $z$ on, each costs $\log 10 = 2.3$ nats. The first comes at 1.81: a narrow $q$ also strays
# less from the prior's middle, which saves up to half a nat, once. Information has a price, and this is the price list.
#
# **A good place to stop.** You are nearly halfway. When you come back, run all cells above this one first.

# %% [markdown]
# ## 1.8 In k dimensions
#
# **Question.** Ten latents, not one. What changes?
#
# Optional on a first reading: the derivation from "A trick for quadratic forms" to "Put them in". Run its cells and go
# on with the result: it is what exercise 1.4 needs. (The trick itself comes back once, in section 4.3.)
#
# **Independent dimensions: nothing but a sum.** If $q(z) = \prod_j q_j(z_j)$ and $p(z) = \prod_j p_j(z_j)$,
# logarithms turn products into sums, and the mean of a sum is the sum of the means:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb E_q\Big[\sum_{j=1}^{k} \big[\log q_j(z_j) - \log p_j(z_j)\big]\Big]
# = \sum_{j=1}^{k} \mathbb E_q\big[\log q_j(z_j) - \log p_j(z_j)\big].$$
#
# Each bracket looks at one coordinate. In a draw from $q$ that coordinate is distributed as $q_j$, whatever the others
# do, so each mean is over $q_j$ alone, and is a KL:
#
# $$\mathrm{KL}(q \,\|\, p) = \sum_{j=1}^{k} \mathrm{KL}(q_j \,\|\, p_j).$$

# %%
mean_3, var_3 = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.25, 1.0, 3.0])
per_latent = kl_normal(mean_3, var_3, torch.zeros(3), torch.ones(3))  # (3,)
print("per latent", [round(value, 4) for value in per_latent.tolist()], f"  sum {per_latent.sum():.4f}   exact 3.3938")

# %% [markdown]
# **Correlated dimensions.** Now $z$ is a vector and the spread a **covariance** matrix, variances on the diagonal,
# covariances of pairs beside it. We write $Q$ for that of $q$ and $P$ for that of $p$ (`cov_q`, `cov_p`), of shape
# (k, k). Two numbers of one dimension need a matrix version:
#
# - To divide by a variance becomes to multiply by the **inverse** $Q^{-1}$, the matrix with $Q^{-1} Q = I$:
#   `torch.linalg.inv(cov)`. (`torch.linalg.solve(cov, u)` gives $Q^{-1} u$ in one step.)
# - The size of a variance becomes the **determinant** $|Q|$, the factor by which the matrix scales areas or volumes;
#   of a 2 x 2 matrix it is the product of the diagonal minus the product beside it. `torch.logdet(cov)` is its
#   logarithm.
#
# The log-density is
#
# $$\log q(z) = -\tfrac12\big[k\log 2\pi + \log|Q| + (z - m_q)^\top Q^{-1} (z - m_q)\big].$$
#
# where $^\top$ lays a column down as a row. Compare with section 1.5, term by term: $\log v$ became $\log|Q|$, the
# square divided by $v$ became a **quadratic form**. Our example; the draws are standard normal ones, multiplied by a
# root of $Q$ (a matrix that gives $Q$ when multiplied by its own transpose):

# %%
mean_q, cov_q = torch.tensor([1.0, -1.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])
mean_p, cov_p = torch.zeros(2), torch.tensor([[1.0, 0.3], [0.3, 2.0]])
shift = mean_q - mean_p  # (2,)
generator = torch.Generator().manual_seed(0)
root = torch.linalg.cholesky(cov_q)  # (2, 2), root @ root.T is cov_q
draws = mean_q + torch.randn(200_000, 2, generator=generator) @ root.T  # (S, 2), from q
print("inverse times covariance is I:", torch.allclose(torch.linalg.inv(cov_q) @ cov_q, torch.eye(2), atol=1e-6))
print(f"determinant {2.0 * 1.0 - 0.5 * 0.5}, its logarithm {torch.logdet(cov_q):.4f} = log(1.75) {math.log(1.75):.4f}")
print("covariance of the draws", [[round(v, 1) for v in row] for row in torch.cov(draws.T).tolist()])

# %% [markdown]
# The same steps as before. Subtract the logarithms:
#
# $$\mathrm{KL}(q \,\|\, p) = \tfrac12\,\mathbb E_q\Big[\log\frac{|P|}{|Q|} - (z - m_q)^\top Q^{-1}(z - m_q)
# + (z - m_p)^\top P^{-1}(z - m_p)\Big].$$
#
# **A trick for quadratic forms** (optional, up to "Put them in"). A number is its own trace (the sum of the diagonal),
# and in a trace two factors may change places, $\mathrm{tr}(BC) = \mathrm{tr}(CB)$. They need not be square; it is
# enough that both products exist. For a vector $u$ and a square matrix $A$ take $B = u^\top$, a row, and $C = A\,u$,
# a column:
#
# $$u^\top A\,u = \mathrm{tr}(u^\top \cdot A\,u) = \mathrm{tr}(A\,u \cdot u^\top).$$
#
# $u^\top u$ would be a number; $u u^\top$ is the **outer product**, a matrix with the product of entries $i$ and $j$ in
# row $i$ and column $j$.

# %%
u, A = torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 1.0], [1.0, 4.0]])
print("u' A u =", (u @ A @ u).item(), "   tr(A u u') =", torch.trace(A @ torch.outer(u, u)).item())

# %% [markdown]
# **First form.** A trace is a sum and $Q^{-1}$ is fixed, so by rules 1 and 2 the mean may move inside. There it meets
# $\mathbb E_q[(z - m_q)(z - m_q)^\top]$, which is $Q$ by definition of the covariance:
#
# $$\mathbb E_q\,(z - m_q)^\top Q^{-1}(z - m_q)
# = \mathrm{tr}\big(Q^{-1}\,\mathbb E_q[(z - m_q)(z - m_q)^\top]\big) = \mathrm{tr}(Q^{-1} Q) = k.$$
#
# **Second form.** Step through $m_q$ again, with $\Delta = m_q - m_p$, so that $z - m_p = (z - m_q) + \Delta$. Multiply
# out. The two mixed terms are equal, because $P^{-1}$ is symmetric:
#
# $$(z - m_p)^\top P^{-1}(z - m_p) = (z - m_q)^\top P^{-1}(z - m_q) + 2\,\Delta^\top P^{-1}(z - m_q)
# + \Delta^\top P^{-1} \Delta.$$
#
# The first term's mean is $\mathrm{tr}(P^{-1} Q)$, by the same trick. The second's is
# $2\,\Delta^\top P^{-1}\,\mathbb E_q[z - m_q] = 0$ (rule 3). The third is fixed:
#
# $$\mathbb E_q\,(z - m_p)^\top P^{-1}(z - m_p) = \mathrm{tr}(P^{-1} Q) + \Delta^\top P^{-1} \Delta.$$
#
# Both by numbers, from 200,000 draws:

# %%
Q_inv, P_inv = torch.linalg.inv(cov_q), torch.linalg.inv(cov_p)
first = ((draws - mean_q) @ Q_inv * (draws - mean_q)).sum(dim=1).mean()  # a quadratic form per draw, then the mean
second = ((draws - mean_p) @ P_inv * (draws - mean_p)).sum(dim=1).mean()
print(f"first form:  {first:.1f} from draws   k = 2")
print(f"second form: {second:.1f} from draws   {torch.trace(P_inv @ cov_q) + shift @ P_inv @ shift:.1f} by the formula")

# %% [markdown]
# **Put them in,** with $\Delta = m_q - m_p$ and the trace $\mathrm{tr}$, the sum of the diagonal:
#
# $$\mathrm{KL}(q \,\|\, p) = \tfrac12\Big[\mathrm{tr}(P^{-1} Q) + \Delta^\top P^{-1}\Delta
# - k + \log\frac{|P|}{|Q|}\Big].$$
#
# Set $k = 1$, and the formula of section 1.7 is back.

# %%
log_ratio = math.log(1.91 / 1.75)  # determinants |P| = 2 - 0.09 and |Q| = 2 - 0.25
print(f"1/2 [{second:.1f} - {first:.1f} + {log_ratio:.2f}] = {0.5 * (second - first + log_ratio):.1f}")

# %% [markdown]
# **Find the slip, first.** The lecture notes call the distributions 0 and 1, $q = \mathcal N(\mu_0, \Sigma_0)$ and
# $p = \mathcal N(\mu_1, \Sigma_1)$. With their quadratic term the formula reads
#
# $$\tfrac12\Big[\mathrm{tr}(\Sigma_1^{-1}\Sigma_0) + (\mu_1 - \mu_0)^\top\,\Sigma_1^{-1}\,(\mu_0 - \mu_1) - k
# + \log\frac{|\Sigma_1|}{|\Sigma_0|}\Big].$$
#
# The next cell evaluates it as it stands, with both covariances $I$ and the means $(0, 0)$ and $(3, 4)$.

# %%
P = torch.eye(2)
mu_0, mu_1 = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
quadratic = (mu_1 - mu_0) @ torch.linalg.inv(P) @ (mu_0 - mu_1)
print(f"KL by the notes: {0.5 * (torch.trace(P @ P) + quadratic - 2 + 0.0):.1f} nats")

# %% [markdown]
# What can a KL never be? Find the term, and mend it before you open the box.
#
# <details><summary><b>The mended line, and why</b></summary>
#
# $$(\mu_1 - \mu_0)^\top\,\Sigma_1^{-1}\,(\mu_1 - \mu_0).$$
#
# A KL is never negative. A quadratic form has the *same* vector on both sides; with opposite vectors it is minus a
# squared length, and the KL falls as the means part. In training it would push every latent as far from the prior as
# it can go. Mended, the example gives $+12.5$ nats. The order of the difference does not matter: both signs flip
# together.
#
# </details>

# %% [markdown]
# The formula under "Put them in" above. Means of shape (k,), covariances of shape (k, k), out comes one scalar. By
# hand, with $Q = \mathrm{diag}(4, 1)$, $P = \mathrm{diag}(2, 1)$ and a shift of $(1, 0)$:
# $\tfrac12[(\tfrac42 + \tfrac11) + \tfrac12 - 2 + \log\tfrac{2}{4}] = 0.4034$. Mind that the trace wants the matrix
# product, and that `*` between matrices is not one.

# %% exercise="1.4" source="vae_course.distributions.kl_multivariate_normal" minutes=10 difficulty=2

# %% [markdown]
# Exact values for our example, against $p$ and against the standard normal:

# %%
print(f"KL to p        {kl_multivariate_normal(mean_q, cov_q, mean_p, cov_p):.4f}   exact 1.2165")
print(f"KL to N(0, I)  {kl_multivariate_normal(mean_q, cov_q, torch.zeros(2), torch.eye(2)):.4f}   exact 1.2202")
no_cov = kl_multivariate_normal(mean_q, torch.diag(cov_q.diagonal()), mean_p, cov_p)
print(f"KL to p, covariance of q forgotten:       {no_cov:.4f}")
alone = kl_normal(mean_q, cov_q.diagonal(), torch.zeros(2), torch.ones(2)).sum()
print(f"KL to N(0, I), covariance of q forgotten: {alone:.4f}")

# %% [markdown]
# **What breaks it.** Against a $p$ whose dimensions are independent, such as $\mathcal N(0, I)$, forget the correlation
# of $q$ and you underpay. Here it is 0.07 nats; the more correlated the two latents, the more. (Against a correlated
# $p$ it can go either way: to ours you overpay.) Take unit variances, a correlation $r$, and $p = \mathcal N(0, I)$.
# Then $\mathrm{tr}(Q) = 2 = k$, the shift is 0, and $|Q| = 1 - r^2$, so that only $-\tfrac12\log(1 - r^2)$ is left. The
# sum over dimensions sees none of it:

# %%
for r in (0.1, 0.5, 0.9, 0.99):
    cov = torch.tensor([[1.0, r], [r, 1.0]])
    full = kl_multivariate_normal(torch.zeros(2), cov, torch.zeros(2), torch.eye(2))
    apart = kl_normal(torch.zeros(2), cov.diagonal(), torch.zeros(2), torch.ones(2)).sum()
    print(f"correlation {r:<4}   full {full:.3f}   formula {-0.5 * math.log(1 - r**2):.3f}   per dimension {apart:.3f}")

# %% [markdown]
# A VAE's $q(z \mid x)$ is independent across dimensions by choice, so its KL is the plain sum. The full formula tells
# you what that choice leaves out.

# %% [markdown]
# **Find the slip, second.** From the same notes: *"The KL term has a closed form because the data are binary."*
#
# Is that the reason? The next cell computes the KL from one and the same Gaussian $q$ to two priors. The second is the
# two-peaked $p$ of section 1.6; the formula gets the Gaussian that has its mean and its variance. Look for the data in
# the cell.

# %%
q_mean, q_var = torch.tensor(1.0), torch.tensor(0.5)
log_q = normal_log_prob(grid, q_mean, q_var)  # (points,)
priors = {
    "Gaussian": (normal_log_prob(grid, zero, one), zero, one),
    "two-peaked": (log_mixture(grid), mean_of_p, sd_of_p**2),
}
for name, (log_prior, mean, var) in priors.items():
    on_grid = (log_q.exp() * (log_q - log_prior)).sum() * dz
    print(f"prior {name:10}   on the grid {on_grid:.3f}   formula {kl_normal(q_mean, q_var, mean, var):.3f}")

# %% [markdown]
# <details><summary><b>The mended line, and why</b></summary>
#
# "The KL term has a closed form because **both distributions, $q(z \mid x)$ and the prior $p(z)$, are Gaussian**."
# The cell above holds no data, and neither does the formula, once the mean and the variance of $q$ are known. With two
# Gaussians it agrees with the grid. With a two-peaked prior it is wrong, whatever the data: mean and variance do not
# say where the valley is. Binary data decide the *other* term, the Bernoulli likelihood. Counts with Gaussian $q$ and
# prior keep the closed form (that is scVI).
#
# </details>

# %% [markdown]
# ## 1.9 No formula? Draw
#
# **Question.** For the two-peaked $p$ there is no formula, and in ten dimensions no grid. What is left?
#
# The definition. A KL is a *mean* over draws from $q$, and means can be estimated from draws. That is **Monte
# Carlo**:
#
# $$\mathrm{KL}(q \,\|\, p) \approx \frac1S\sum_{s=1}^{S} t_s, \qquad
# t_s = \log q(z_s) - \log p(z_s), \qquad z_s \sim q.$$
#
# An estimate without an error bar is a rumour. The terms scatter with a standard deviation $\mathrm{sd}(t)$; the mean
# of $S$ of them scatters $\sqrt S$ times less. That is the **standard error** $\mathrm{sd}(t) / \sqrt S$.

# %% [markdown]
# The two formulas above. You get draws of shape (S, k) and two functions that map them to log-densities of shape (S,).
# Return the estimate and its standard error.
#
# By hand, four terms $0.2, 0.6, -0.2, 1.0$: mean $0.4$, sample standard deviation $0.516$ (divide by $4 - 1$),
# standard error $0.258$.
#
# Mind that the sample standard deviation divides by $S - 1$, and that the signs of the two
# log-densities differ.

# %% exercise="1.5" source="vae_course.exercises.e1_5.answer.kl_monte_carlo" minutes=8 difficulty=2

# %% [markdown]
# First where we know the answer: the three independent latents of section 1.8, exactly 3.3938 nats. Growing $S$:


# %%
def log_q3(z: Tensor) -> Tensor:
    """Log-density of the three independent latents, (S, 3) -> (S,)."""
    return normal_log_prob(z, mean_3, var_3).sum(dim=-1)


def log_standard(z: Tensor) -> Tensor:
    """Log-density of N(0, I), (S, k) -> (S,)."""
    return normal_log_prob(z, zero, one).sum(dim=-1)


# %%
generator = torch.Generator().manual_seed(0)
for n in (10, 100, 1000, 100_000):
    sample = mean_3 + var_3.sqrt() * torch.randn(n, 3, generator=generator)  # (S, 3)
    estimate, error = kl_monte_carlo(sample, log_q3, log_standard)
    print(f"S = {n:>6}: {estimate:.2f} +- {error:.2f}   exact 3.39")

# %% [markdown]
# A hundred times the draws, ten times the precision. That $\sqrt S$ is the law of all Monte Carlo, in any number of
# dimensions; a grid's points multiply with every dimension. But the law speaks of the *rate*. The scatter
# $\mathrm{sd}(t)$ that it starts from may be enormous, and in section 1.11 that will be the end of a fine idea.
#
# Then where we do not know it: from $\mathcal N(1, 0.5)$ to the two-peaked $p$. The grid of the slip box has a number
# to compare with.

# %%
sample = 1.0 + math.sqrt(0.5) * torch.randn(5000, 1, generator=generator)  # (S, 1)
estimate, error = kl_monte_carlo(
    sample, lambda z: normal_log_prob(z, q_mean, q_var).sum(dim=-1), lambda z: log_mixture(z).sum(dim=-1)
)
print(f"Monte Carlo {estimate:.2f} +- {error:.2f}   grid {on_grid:.2f}")

# %% [markdown]
# **What breaks it.** Draw from the wrong one. The mean is over $q$, so the draws have to come from $q$. With draws
# from $p$ the same line gives a number, negative on average, and calls it a KL:

# %%
from_p = torch.randn(50_000, 3, generator=generator)  # (S, 3), drawn from the prior by mistake
estimate, error = kl_monte_carlo(from_p, log_q3, log_standard)
print(f"draws from p: {estimate:.3f} +- {error:.3f}   KL(q || p) is 3.394")
print(f"it is minus KL(p || q): {-kl_normal(zero, one, mean_3, var_3).sum():.3f}")

# %% [markdown]
# The error bar is small. It measures scatter, not mistakes.

# %% [markdown]
# ## 1.10 The posterior, seen
#
# **Question.** One real cell, six genes, one latent. What do we know about its $z$?
#
# All pieces are there. Prior: $\mathcal N(0, 1)$. Likelihood: six coins with logits $w_g z + b_g$. Bayes' rule on a
# grid, in logarithms:
#
# $$\log p(z_i \mid x) = \log p(z_i) + \log p(x \mid z_i) - \log\sum_{i'} p(z_{i'})\,p(x \mid z_{i'}).$$

# %% [markdown]
# Given `log_prior` and `log_likelihood`, apply Bayes' rule as in the line above. Both have the grid on their **last**
# axis and broadcast (one prior for many cells). Return log-probabilities of the same shape whose exponentials sum to 1
# over the last axis.
#
# By hand, on two points with prior $\tfrac12, \tfrac12$ and likelihoods $0.3$ and $0.1$: the joint is $0.15$ and
# $0.05$, their sum $0.2$, the posterior $\tfrac34$ and $\tfrac14$. Shift both log-likelihoods by $-10\,000$, and the
# answer must stay.
#
# Mind section 1.3: log-likelihoods near $-10^4$ must work.

# %% exercise="1.6" source="vae_course.exercises.e1_6.answer.grid_posterior" minutes=8 difficulty=2

# %% [markdown]
# The example of the statement, then all 700 cells at once:

# %%
half = torch.tensor([0.5, 0.5]).log()
for drop in (0.0, 10_000.0):
    log_lik = torch.tensor([0.3, 0.1]).log() - drop
    print(
        f"log-likelihoods near {log_lik[0]:9.1f}: posterior",
        [round(v, 2) for v in grid_posterior(half, log_lik).exp().tolist()],
    )

# %%
log_prior = normal_log_prob(grid, zero, one)
log_prior = log_prior - torch.logsumexp(log_prior, dim=0)  # (points,), a probability for every grid point
logits = grid.unsqueeze(-1) * w + b  # (points, 6)
log_prob = bernoulli_log_prob(markers.unsqueeze(1), logits)  # (cells, 1, 6) with (points, 6) -> (cells, points, 6)
log_lik = log_prob.sum(dim=-1)  # (cells, points)
log_posterior = grid_posterior(log_prior, log_lik)  # (cells, points)
print(tuple(log_lik.shape), "->", tuple(log_posterior.shape))

# %% [markdown]
# Three cells, picked by hand, rows 3, 36 and 1 of the table: a T cell, a cytotoxic T cell in which *all six* genes were
# detected, and a dendritic cell. Posterior and prior are densities. The likelihood is none (section 1.2), so we rescale
# it to a peak of 1. Stop here and look.

# %%
axes = plots.panels(3, height=3.6, width=4)
for ax, i in zip(axes, (3, 36, 1), strict=True):
    seen = (
        ", ".join(name for name, bit in zip(genes, markers[i], strict=True) if bit)
        if markers[i].sum() < 6
        else "all six"
    )
    curves = {
        "posterior": log_posterior[i].exp() / dz,
        "prior": log_prior.exp() / dz,
        "likelihood, rescaled to peak 1": (log_lik[i] - log_lik[i].max()).exp(),
    }
    ax.fill_between(grid, curves["posterior"], color=plots.COLORS[0], alpha=0.15, linewidth=0)
    plots.lines(grid, curves, ax=ax, xlabel="latent z", title=f"{data.label_names[labels[i]]}\ndetected: {seen}")
    ax.set(xlim=(-4, 4), ylim=(0, 1.6), ylabel="density (likelihood: rescaled)" if i == 3 else "")
    ax.get_legend().remove()
axes[0].legend(frameon=False, loc="upper right", fontsize=9)
plots.show(
    axes[0],
    alt="Prior, likelihood and posterior over z for three cells. The T cell's posterior lies left of zero, the "
    "dendritic cell's right, that of the cell with all six genes between, and narrower.",
)

# %% [markdown]
# Four things to see.
#
# - The likelihood of the outer two is a plateau: beyond some $z$ all six coins agree with the cell, and more extreme
#   costs nothing. **Only the prior holds the posterior back.**
# - Each posterior is narrower than the prior: six genes told us something. That holds for all 700 cells here (standard
#   deviations 0.33 to 0.59 against 1), but it is no law. Section 1.12 has a posterior wider than its prior.
# - The middle cell has genes of both sides. Its posterior sits between, and is the narrowest of the three:
#   contradicting genes leave only a small range where nobody is very surprised.
# - No posterior is a point. This is the *distribution over latents* that lesson 0 asked for.
#
# The mean and the standard deviation of every cell's posterior, and who these cells are:

# %%
post = log_posterior.exp().float()  # (cells, points), float32 like the grid
post_mean = post @ grid  # (cells,)
post_sd = (post @ grid**2 - post_mean**2).sqrt()  # (cells,)
is_b, is_nk = labels == 6, labels == 8
groups = {"T": is_t, "myeloid": is_myeloid, "NK": is_nk, "B": is_b}
for name, cells in groups.items():
    print(f"{name:8} mean of z {post_mean[cells].mean():+.2f}   its standard deviation {post_sd[cells].mean():.2f}")
print(f"standard deviations of all cells: {post_sd.min():.2f} to {post_sd.max():.2f}")

# %%
generator = torch.Generator().manual_seed(0)
jitter = torch.randn(2, len(x), generator=generator) * torch.tensor([[0.03], [0.004]])  # (2, cells)
axes = plots.panels(2, height=3.4, width=4.8)
curves = {name: post[cells].mean(dim=0) / dz for name, cells in groups.items()}
plots.lines(grid, curves, ax=axes[0], xlabel="latent z", ylabel="mean posterior density", xlim=(-4, 4))
for name, cells in groups.items():
    plots.points(post_mean[cells] + jitter[0, cells], post_sd[cells] + jitter[1, cells], name=name, ax=axes[1])
arrow = {"arrowstyle": "->", "color": "0.3"}
none_seen = markers.sum(dim=1) == 0  # (cells,)
note = f"{int((none_seen & is_b).sum())} of {int(is_b.sum())} B cells:\nnone of the six genes"
axes[1].annotate(note, (-0.36, 0.36), (-0.5, 0.5), arrowprops=arrow)
axes[1].set(xlabel="posterior mean of z", ylabel="posterior standard deviation of z")
plots.show(
    axes[0],
    alt="Left: the mean posterior of T cells lies left of zero, that of myeloid cells right, B and NK cells between. "
    "Right: the posterior standard deviation is smallest near zero and grows to either side.",
)

# %% [markdown]
# Left, the posteriors of each kind, averaged over its cells. Slopes and offsets were made with the labels of these very
# cells, but the grid was not told which cell is which. T and myeloid cells part all the same. Right, one mark per cell,
# shaken a little: six bits make at most 64 different cells, so many would coincide. At the upper left NK marks lie on
# top of T marks: those NK cells show the same six bits.
#
# **What breaks it.** Look at the B cells, near $-0.4$. Most show none of the six genes. The model knows only one
# axis, so "none" can only mean "in between", and it says so with a *small* standard deviation. A posterior is exact
# **given the model**. If the model has no place for a B cell, the posterior is sure and wrong.

# %%
print(f"{int(none_seen.sum())} cells show none of the six genes; {int((none_seen & is_b).sum())} of them are B cells")
for name, cell_index in (("none of the genes", int(none_seen.nonzero()[0])), ("a typical T cell", 3)):
    print(f"{name:17}  z = {post_mean[cell_index]:.2f} +- {post_sd[cell_index]:.2f}")

# %% [markdown]
# <details><summary><b>Check yourself.</b> You double the number of grid points. What happens to the posterior
# probabilities of the points, and to the curve in the figure?</summary>
#
# Each point's probability halves, because twice as many share the 1. The curve does not move: it shows probability
# *per unit of z*, the point's probability divided by the spacing.
#
# </details>

# %%
vc.explore.posterior()

# %% [markdown]
# ## 1.11 Why this is hopeless in ten dimensions
#
# **Question.** Why not do this with ten latents and all 765 genes?
#
# The denominator of Bayes' rule is an integral over all of $z$, $p(x) = \int p(z)\,p(x \mid z)\,dz$. Our grid had 801
# points. In two dimensions that is $801^2$. And in ten? We grant ourselves a thousand million points a second:

# %%
for k in (1, 2, 3, 10):
    n_points = 801**k
    years = n_points / 1e9 / 3.15e7  # at a thousand million points a second
    print(f"{k:2} latents: {n_points:.1e} points, {years:.1e} years")

# %% [markdown]
# The universe is $1.4 \times 10^{10}$ years old. A miserly grid of 10 points a dimension has $10^{10}$ points, ten
# seconds. But that is per cell, and again whenever the decoder changes, which in training is at every step: two hours
# for one pass over 700 cells.
#
# **Then draw!** Monte Carlo needs no grid. And $p(x)$ is a mean over the prior:
#
# $$p(x) = \mathbb E_{z \sim p(z)}\,[\,p(x \mid z)\,] \approx \frac1S\sum_s p(x \mid z_s), \qquad z_s \sim p(z).$$
#
# Let us try on real cells. First a ten-dimensional decoder, made with the trick of section 1.1, once a dimension:
# take ten PCA scores as latents; compare, for each, the third of the cells with the highest scores to the third with
# the lowest. This time we add five detected and five undetected cells to each group, not one: ten slopes add up, and
# rarely seen genes would make them wild.


# %%
def smoothed_logit(x: Tensor) -> Tensor:
    """Logit of the share of ones, pulled a little towards a half, (cells, genes) -> (genes,)."""
    return torch.logit((x.sum(dim=0) + 5) / (len(x) + 10))


U, _, Vt = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)  # Vt: one component in each row (section 0.4)
sign = torch.sign(Vt[:10].sum(dim=1))  # a component's sign is free; we choose one
scores = U[:, :10] * sign * math.sqrt(len(x))  # (cells, 10), mean 0 and variance 1 as in N(0, I)
slopes = []
for score in scores.T:  # one latent after the other
    low, high = score < score.quantile(1 / 3), score > score.quantile(2 / 3)
    rise = smoothed_logit(x[high]) - smoothed_logit(x[low])  # (genes,)
    slopes.append(rise / (score[high].mean() - score[low].mean()))
W, b_10 = torch.stack(slopes), smoothed_logit(x)  # (10, genes), (genes,)

# %% [markdown]
# `W` is (10, genes): each latent has a row of slopes, so that `z @ W + b_10` are the logits of all genes. Does this
# decoder know anything? Mean log-probability of a cell, without latents and at its own ten scores:

# %%
print(f"no latents:        {bernoulli_log_prob(x, b_10).sum(dim=1).mean():.0f} nats per cell")
print(f"at its own scores: {bernoulli_log_prob(x, scores @ W + b_10).sum(dim=1).mean():.0f} nats per cell")

# %% [markdown]
# It knows something. But the comparison is unfair: the scores were computed from the very cell, ten numbers for free.
# Section 1.12 will make them pay. Now $\log p(x)$ of one B cell by draws from the prior, five times over, with more and
# more draws:

# %%
unusual = 189  # row of a B cell far from the middle of the cloud
generator = torch.Generator().manual_seed(0)
runs = []
for _ in range(5):
    z_prior = torch.randn(20_000, 10, generator=generator)  # (S, 10)
    runs.append(bernoulli_log_prob(x[unusual], z_prior @ W + b_10).sum(dim=-1))  # (S,)
log_lik_10 = torch.stack(runs)  # (5 runs, S)
print(tuple(log_lik_10.shape))

# %% tags=["volatile"]
for n in (100, 1000, 20_000):
    estimates = torch.logsumexp(log_lik_10[:, :n], dim=1) - math.log(n)  # (5,)
    print(f"S = {n:>6}: log p(x) =", "  ".join(f"{value:.1f}" for value in estimates.tolist()))
share_of_best = torch.softmax(log_lik_10, dim=1).max(dim=1).values  # (5,); softmax: exponentials over their sum
print("share of the single best draw:", "  ".join(f"{value:.0%}" for value in share_of_best.tolist()))
assert share_of_best.max() > 0.5  # checks that your machine agrees; skip it

# %% [markdown]
# Five runs, five answers, several nats apart, each nat a factor of $e$ in probability. And they creep up as $S$
# grows. The last line says why: out of 20,000 draws *one* may carry nearly the whole sum. The rest landed where this
# cell is all but impossible. The picture shows it:

# %% tags=["volatile"]
own = bernoulli_log_prob(x[unusual], scores[unusual] @ W + b_10).sum()
ax = plots.histogram({"draws from the prior": log_lik_10.flatten()}, bins=60, yscale="log")
ax.set(xlabel="log p(x | z) of the B cell (nats)", ylabel="draws", ylim=(0.5, 1e5), xticks=[-1000, -800, -600, -400])
ax.axvline(own, color=plots.COLORS[1], linestyle="--", label="at the cell's own scores")
ax.legend(frameon=False, loc="upper left")
plots.show(
    ax,
    alt="Histogram of the log-likelihoods of 100,000 draws from the prior; that at the cell's own scores lies to the "
    "right of all of them.",
)

# %% [markdown]
# Draws from the prior search the whole of blood for one B cell. We chose an unusual one on purpose: nobody wants a
# method that fails on the unusual cells. And 20,000 decodings a cell are far too dear for a training step anyway.
#
# The rate $1/\sqrt S$ still holds; it is the scatter that kills: about $e^{\mathrm{KL}}$ draws are needed, with the KL
# from the posterior to the prior ([Chatterjee and Diaconis 2018](https://doi.org/10.1214/17-AAP1326)). The posterior
# lives in a tiny corner of ten-dimensional space. **We would have to draw where the posterior is. But the posterior is
# what we are looking for.**

# %% [markdown]
# ## 1.12 Variational inference: a search in a family
#
# **Question.** If we cannot compute the posterior, can we *fit* it?
#
# Choose a family of simple distributions, say all Gaussians $q(z) = \mathcal N(m, v)$. Look for the member with the
# smallest $\mathrm{KL}(q \,\|\, p(z \mid x))$. Inference becomes a search: **variational inference** ([Blei et al.
# 2017](https://doi.org/10.1080/01621459.2017.1285773)).
#
# There is a catch: the KL contains the posterior, which contains $p(x)$, which we cannot compute. Follow it:
#
# $$\mathrm{KL}(q \,\|\, p(z \mid x)) = \mathbb E_q[\log q(z) - \log p(z \mid x)].$$
#
# By Bayes' rule $\log p(z \mid x) = \log p(x, z) - \log p(x)$:
#
# $$\mathrm{KL}(q \,\|\, p(z \mid x)) = \mathbb E_q[\log q(z) - \log p(x, z) + \log p(x)].$$
#
# $p(x)$ holds no $z$, so it leaves the mean (rule 2):
#
# $$\mathrm{KL}(q \,\|\, p(z \mid x)) = \log p(x) - \underbrace{\mathbb E_q[\log p(x, z) - \log q(z)]}_{\text{ELBO}}.$$
#
# $\log p(x)$ is the same for every $q$. So the $q$ with the smallest KL is the $q$ with the largest **ELBO**, and the
# ELBO holds only the joint: prior times likelihood, both easy. The KL is never negative, so
# $\text{ELBO} \le \log p(x)$: it is an **e**vidence **l**ower **bo**und. (Lesson 4 derives it twice and slowly.)
#
# In one dimension we can watch. Take the dendritic cell of the last figure and try every Gaussian with a mean in
# $-1 \ldots 3$ and a standard deviation in $0.1 \ldots 1.5$:

# %%
i = 1  # the dendritic cell
log_joint = normal_log_prob(grid, zero, one) + log_lik[i]  # (points,), a density in z
log_px = torch.logsumexp(log_joint, dim=0) + dz.log()  # the marginal, on the grid
means, sds = torch.linspace(-1, 3, 81), torch.linspace(0.1, 1.5, 57)
log_q = normal_log_prob(grid, means.view(-1, 1, 1), sds.view(1, -1, 1) ** 2)  # (means, sds, points)
elbo = (log_q.exp() * (log_joint - log_q)).sum(dim=-1) * dz  # (means, sds)
log_post = log_posterior[i] - dz.log()  # (points,), as a density
kl = (log_q.exp() * (log_q - log_post)).sum(dim=-1) * dz  # (means, sds)

# %%
row, column = divmod(int(elbo.argmax()), len(sds))
best_mean, best_sd = means[row], sds[column]
print(f"log p(x)                  {log_px:.3f}")
print(f"largest ELBO              {elbo.max():.3f}   at mean {best_mean:.2f}, sd {best_sd:.2f}")
print(f"KL to the posterior there {kl[row, column]:.3f}")
print(f"ELBO + KL                 {elbo[row, column] + kl[row, column]:.3f}")

# %% [markdown]
# ELBO + KL is $\log p(x)$, and not only at the best point. Over all candidates, up to the grid's last digit:

# %%
total = elbo + kl  # (means, sds)
print(f"{total.numel()} candidates, ELBO + KL between {total.min():.3f} and {total.max():.3f}")

# %% [markdown]
# So maximising one is minimising the other. The map below is drawn with the KL: the landscape of the ELBO, upside
# down. Its colours are on a logarithmic scale: the white lines crowd where the KL changes by large factors.

# %%
axes = plots.panels(2, height=3.6, width=5)
plots.landscape(means, sds, kl.T, ax=axes[0], colorbar="KL to the posterior (nats, log scale)")
axes[0].set(xlabel="mean of q", ylabel="standard deviation of q", title="the search")
axes[0].plot(best_mean, best_sd, "*", color="white", markersize=16, markeredgecolor="black")
curves = {"exact posterior": log_post.exp(), "best Gaussian": normal_log_prob(grid, best_mean, best_sd**2).exp()}
plots.lines(grid, curves, ax=axes[1], xlabel="latent z", ylabel="density", title="what it found", xlim=(-1.5, 4))
plots.show(
    axes[0],
    alt="Left: the KL over mean and standard deviation of q is a single valley with a star at its bottom. "
    "Right: the best Gaussian nearly covers the exact posterior.",
)

# %% [markdown]
# The best Gaussian costs almost nothing here, because this posterior nearly *is* Gaussian. What remains is the slight
# skew that no Gaussian has.
#
# **What breaks it.** Let the decoder bend. Suppose one gene is detected at *both* ends of the axis, with logit
# $3z^2 + z - 5$, and we see it. Same prior, your functions, the same search:

# %%
bent = bernoulli_log_prob(one, 3 * grid**2 + grid - 5)  # (points,), a gene detected at both ends
log_joint = normal_log_prob(grid, zero, one) + bent
log_px_bent = torch.logsumexp(log_joint, dim=0) + dz.log()
means_bent = torch.linspace(-3, 3, 121)
log_q = normal_log_prob(grid, means_bent.view(-1, 1, 1), sds.view(1, -1, 1) ** 2)  # (means, sds, points)
elbo_bent = (log_q.exp() * (log_joint - log_q)).sum(dim=-1) * dz  # (means, sds)
row, column = divmod(int(elbo_bent.argmax()), len(sds))
print(f"log p(x) {log_px_bent:.2f}   best ELBO {elbo_bent.max():.2f}   gap {log_px_bent - elbo_bent.max():.2f} nats")
post_bent = grid_posterior(log_prior, bent).exp().float()  # (points,)
sd_bent = (post_bent @ grid**2 - (post_bent @ grid) ** 2).sqrt()
print(f"posterior: standard deviation {sd_bent:.2f}, weight of the right peak {post_bent[grid > 0].sum():.2f}")

# %%
axes = plots.panels(2, height=3.6, width=5)
gap = (log_px_bent - elbo_bent).T  # (sds, means), the KL
plots.landscape(means_bent, sds, gap, ax=axes[0], colorbar="KL to the posterior (nats, log scale)")
axes[0].set(xlabel="mean of q", ylabel="standard deviation of q", title="two valleys")
axes[0].plot(means_bent[row], sds[column], "*", color="white", markersize=16, markeredgecolor="black")
curves = {
    "exact posterior": post_bent / dz,
    "best Gaussian": normal_log_prob(grid, means_bent[row], sds[column] ** 2).exp(),
}
plots.lines(
    grid, curves, ax=axes[1], xlabel="latent z", ylabel="density", title="one peak found, one lost", xlim=(-4, 4)
)
plots.show(
    axes[0],
    alt="Left: the KL surface has two valleys, one on each side of zero. Right: of the posterior's two peaks "
    "the best Gaussian covers only the right one.",
)

# %% [markdown]
# The mode-seeking KL of section 1.6, in the wild. (And the posterior wider than its prior: standard deviation 1.67
# against 1. The observation pushed $z$ away from 0, to either side.) The gap is nearly the price of the missed peak,
# $-\log 0.63 = 0.46$ nats; the rest is skew. A search that starts on the left would even end in
# the shallower valley. The family was too small, and no search can mend that: the gap of the best member stays.
#
# **Back to ten dimensions.** The B cell that defeated 100,000 draws from the prior: take for $q$ a Gaussian around
# the cell's own ten scores, one standard deviation for all, and search that one number. Split the joint,
# $\log p(x, z) = \log p(x \mid z) + \log p(z)$, and the last two logarithms make a KL with a minus sign:
#
# $$\text{ELBO} = \mathbb E_q[\log p(x \mid z) + \log p(z) - \log q(z)],$$
#
# $$\text{ELBO} = \mathbb E_q[\log p(x \mid z)] - \mathbb E_q[\log q(z) - \log p(z)],$$
#
# $$\text{ELBO} = \underbrace{\mathbb E_q[\log p(x \mid z)]}_{\text{fit}}
# - \underbrace{\mathrm{KL}(q \,\|\, p(z))}_{\text{price}}.$$
#
# $q$ and the prior $p(z)$ are Gaussian, so the price has your closed form. The fit is a mean over draws from $q$, and a
# hundred will do:

# %% tags=["volatile"]
generator = torch.Generator().manual_seed(0)
eps = torch.randn(100, 10, generator=generator)  # (S, 10)
bounds = []
for sd in (1.0, 0.5, 0.25, 0.1):
    z_q = scores[unusual] + sd * eps  # (S, 10), draws from q
    log_lik_q = bernoulli_log_prob(x[unusual], z_q @ W + b_10).sum(dim=-1)  # (S,)
    kl_q = kl_normal(scores[unusual], torch.tensor(sd) ** 2, zero, one).sum()
    bounds.append((log_lik_q.mean() - kl_q).item())
    error = log_lik_q.std() / 10  # standard error: 10 is the root of 100 draws
    print(f"sd {sd:<5} fit {log_lik_q.mean():.0f} - price {kl_q:.0f} = ELBO {bounds[-1]:.0f} +- {error:.1f} nats")

# %% tags=["volatile"]
prior_estimates = torch.logsumexp(log_lik_10, dim=1) - math.log(log_lik_10.shape[1])  # (5,)
print(f"best of five runs of 20,000 draws from the prior: {prior_estimates.max():.0f} nats")
print(f"lower bound from 100 draws of q:                  {max(bounds):.0f} nats")
print(f"for comparison, without latents, exactly:         {bernoulli_log_prob(x[unusual], b_10).sum():.0f} nats")
assert max(bounds) > prior_estimates.max()  # checks that your machine agrees; skip it

# %% [markdown]
# Read the table as the bargain that a VAE strikes. A wide $q$ has a small KL, but its draws explain the cell badly. A
# narrow $q$ explains well and pays for its precision. The best lies between. And the last line is the fair comparison
# that section 1.11 owed: after the price, the ten latents are still worth more than a hundred nats to this cell.
#
# We still guessed the mean. A VAE learns it, and for all cells together: a network, the **encoder**, reads $x$ and puts
# out the mean and the variance of $q(z \mid x)$. That saves a search for every cell, and is called *amortised*
# inference ([Kingma and Welling 2019](https://doi.org/10.1561/2200000056)). Lesson 2 builds that network.

# %% [markdown]
# ## 1.13 Jensen's inequality, a picture
#
# **Question.** We used twice that a KL is never negative. Why is it so?
#
# Because the logarithm bends down. Take two numbers, 1 and 9. The mean of the logarithms is
# $\tfrac12(\log 1 + \log 9) = 1.10$. The logarithm of the mean is $\log 5 = 1.61$.

# %%
u = torch.linspace(0.4, 10, 200)
ax = plots.lines(u, {"log u": u.log()}, xlabel="u", ylabel="log u", ylim=(-0.9, 2.6))
ax.plot([1, 9], [0, math.log(9)], "o--", color=plots.COLORS[1], label="chord between u = 1 and u = 9")
ax.plot([5, 5], [math.log(9) / 2, math.log(5)], color="0.3", linewidth=1)
ax.annotate("log of the mean 1.61", (5, math.log(5)), (1.4, 2.1), arrowprops={"arrowstyle": "-", "color": "0.5"})
ax.annotate("mean of the logs 1.10", (5, math.log(9) / 2), (5.6, 0.6), arrowprops={"arrowstyle": "-", "color": "0.5"})
ax.legend(frameon=False, loc="lower right")
plots.show(ax, alt="The curve of the logarithm lies above its chord: at u = 5 the curve is at 1.61, the chord at 1.10.")

# %% [markdown]
# A mean of points on the curve lies on a chord, or inside the area below the curve. It never gets above it. That is
# **Jensen's inequality** for the logarithm:
#
# $$\mathbb E[\log u] \le \log \mathbb E[u], \qquad\text{equal only if } u \text{ does not vary}.$$
#
# On real cells, the totals per cell. They vary, so there is a gap:

# %%
library = log_library.exp()  # (cells,), total counts
print(f"mean of the logs {log_library.mean():.3f}   log of the mean {library.mean().log():.3f}")

# %% [markdown]
# **The KL is never negative**, step by step. Take $u = p(z)/q(z)$ with $z$ drawn from $q$ (both positive
# everywhere, as Gaussians are):
#
# $$-\mathrm{KL}(q \,\|\, p) = \mathbb E_q\Big[\log\frac{p(z)}{q(z)}\Big]
# \le \log \mathbb E_q\Big[\frac{p(z)}{q(z)}\Big] \qquad\text{(Jensen)}.$$
#
# A mean under $q$ is an integral with weight $q(z)$, and $q$ cancels:
#
# $$\log \mathbb E_q\Big[\frac{p(z)}{q(z)}\Big] = \log \int q(z)\,\frac{p(z)}{q(z)}\,dz
# = \log \int p(z)\,dz = \log 1 = 0.$$
#
# So $-\mathrm{KL}(q \,\|\, p) \le 0$. It is 0 only if $u = p(z)/q(z)$ does not vary. Both areas are 1, so then $p = q$.
#
# Each line by a number, for $q = \mathcal N(1, 0.5)$ and $p = \mathcal N(0, 1)$ on the grid:

# %%
weight = normal_log_prob(grid, q_mean, q_var).exp() * dz  # (points,), q(z) dz
log_u = normal_log_prob(grid, zero, one) - normal_log_prob(grid, q_mean, q_var)  # (points,)
area = normal_log_prob(grid, zero, one).exp().sum() * dz  # the integral of p
print(f"-KL by the formula {-kl_normal(q_mean, q_var, zero, one):.3f}   E_q[log u] = {(weight * log_u).sum():.3f}")
print(f"E_q[u] = {(weight * log_u.exp()).sum():.3f}   area under p = {area:.3f}   log 1 = {math.log(1):.3f}")

# %% [markdown]
# The same bend explains the estimates of section 1.11 that crept up with $S$. The mean inside was right on average,
# but we took its logarithm, and a logarithm punishes scatter: the average of $\log$(estimate) is *below* $\log p(x)$.
# Jensen is behind every lower bound in this course.

# %% [markdown]
# ## 1.14 Quiz
#
# Decide first: a click on an option says why it is right or wrong.

# %%
quiz("1.1")

# %%
quiz("1.2")

# %%
quiz("1.3")

# %%
quiz("1.4")

# %%
quiz("1.5")

# %%
quiz("1.6")

# %% [markdown]
# ## 1.15 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `bernoulli_log_prob` | `vae_course.distributions` | - | - |
# | `normal_log_prob` | `vae_course.distributions` | `Normal(...).log_prob` (torch) | the same |
# | `kl_normal` | `vae_course.distributions` | torch's `kl_divergence`, in `VAE.forward` | the same, in `VAE.loss` |
# | `kl_multivariate_normal` | `vae_course.distributions` | - | - |
# | `kl_monte_carlo` | `vae_course.exercises.e1_5` | - | - |
# | `grid_posterior` | `vae_course.exercises.e1_6` | - | - |
#
# Every symbol stands in the table of [notation](../docs/notation.md), every term in the
# [glossary](../docs/glossary.md), and where the cells come from in [data](../data/README.md).
#
# **Next.** We chose $w$ and $b$ by hand and searched every $q$ by trying them all. Lesson 2 lets a machine search:
# tensors, gradients, and the networks that will be our encoder and our decoder. Lesson 3 puts them together and
# trains a VAE on these very bits.

# %% tags=["volatile"]
progress()
