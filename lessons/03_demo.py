# %% [markdown]
# # Lesson 3 · The demo, running the network
#
# {{links}}
#
# **You will be able to**
#
# - put a variational autoencoder together from the parts of lesson 2, and say what each of its outputs means (quiz 1)
# - compute its loss by hand and in code, and say what each part buys (exercise 3.1, quiz 2)
# - write the training loop, and read its curves (exercise 3.2, quiz 3)
# - make up data and walk between two cells (exercises 3.3 and 3.4, quiz 4)
# - spot a weight on the KL that nobody meant to set (quiz 5), and keep $\sigma$, $\sigma^2$ and $\log\sigma^2$ apart
#   (quiz 7)
# - name what is wrong with a run from its curves (exercise 3.5, quiz 6)
#
# **Time:** about {{minutes}} minutes, exercises included. A good place to stop is the end of section 3.4, two fifths of
# the way. **You need:** the KL divergence and binary cross-entropy of lesson 1; `FCLayers`, the two heads, minibatches,
# `train()` and `eval()` of lesson 2.
#
# Exercises check themselves when you run their cell. Stuck? `hint("3.1")`, twice, then `solution("3.1")`. Exercise
# numbers are not section numbers: {{exercises}}.

# %% setup=true
import math
from collections.abc import Iterable
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

import vae_course as vc
from vae_course import plots
from vae_course.data import CountData
from vae_course.distributions import bernoulli_log_prob, kl_standard_normal, normal_log_prob, reparameterize
from vae_course.exercises import exercise, hint, progress, quiz, solution
from vae_course.exercises.e3_5.runs import CAUSES, mystery_runs
from vae_course.model import LossTerms, Model, check_genes
from vae_course.nn import FCLayers
from vae_course.runtime.seeds import seeded

# %% [markdown]
# ## 3.1 From parts to a machine
#
# **Question.** Lesson 1 left you with distributions, lesson 2 with networks. How do they become one model that one can
# run?
#
# The map again. In colour is what this lesson adds: the encoder's answer, the loss, and the fit of the data inside it.
# (The map shows the finished scVI. In this lesson $x$ is bits, not counts, and the head says `logvar`, not var.)

# %%
ax = plots.course_map(3)
plots.show(ax, alt="Map of the course. Lesson 3 fills the blocks q(z|x), the loss, and the reconstruction.")

# %% [markdown]
# Walk along the middle row with a toy: five images of six pixels, each pixel on or off. First the **encoder** of lesson
# 2: a trunk and two heads. (`FCLayers` comes from the package now; yours does the same.)

# %%
torch.manual_seed(0)
x_toy = torch.bernoulli(torch.full((5, 6), 0.5))  # (cells, pixels)
hidden = FCLayers(6, 8)(x_toy)  # (cells, 8)
mean_toy, logvar_toy = nn.Linear(8, 2)(hidden), nn.Linear(8, 2)(hidden)  # (cells, 2) each
print("x", tuple(x_toy.shape), "  mean", tuple(mean_toy.shape), "  logvar", tuple(logvar_toy.shape))

# %% [markdown]
# Two numbers a latent: together they are $q(z \mid x) = \mathcal N(\mu, \sigma^2)$ with $\log \sigma^2$ = `logvar`.
#
# Second, a **draw** from it. Take a standard normal number $\varepsilon$, stretch it by $\sigma$, shift it by $\mu$:
#
# $$z = \mu + \sigma\,\varepsilon, \qquad \sigma = e^{\frac12 \texttt{logvar}},
# \qquad \varepsilon \sim \mathcal N(0, 1).$$
#
# Try it with $\mu = 1$ and $\sigma^2 = 0.25$, so $\sigma = 0.5$:

# %%
draws = reparameterize(torch.full((100_000,), 1.0), torch.full((100_000,), math.log(0.25)))
print(f"100,000 draws: mean {draws.mean():.1f}, standard deviation {draws.std():.1f}")

# %% [markdown]
# Why drawn in just this way, and why the function is called `reparameterize`, is the first riddle of lesson 4.
#
# Third, the **decoder**. It is an encoder turned round: a few numbers in, many out. Its last layer is a bare `Linear`,
# so what comes out may be any number: a *logit* for each pixel. The sigmoid makes probabilities of them.

# %%
z_toy = reparameterize(mean_toy, logvar_toy)  # (cells, 2)
logits_toy = nn.Linear(8, 6)(FCLayers(2, 8, dropout_rate=0)(z_toy))  # (cells, pixels)
prob_toy = torch.sigmoid(logits_toy)
print("z", tuple(z_toy.shape), "  logits", tuple(logits_toy.shape))
print("all probabilities between 0 and 1:", bool(((prob_toy > 0) & (prob_toy < 1)).all()))

# %% [markdown]
# That is all. Four statements make the model ([Kingma and Welling 2014](https://doi.org/10.48550/arXiv.1312.6114)), and
# each is a distribution or a network:
#
# | part | statement | in the code |
# |---|---|---|
# | prior | $p(z) = \mathcal N(0, I)$ | no network at all |
# | decoder | $p(x_g = 1 \mid z) = \text{sigmoid}(a_g)$, a network makes the logits $a_g$ from $z$ | `decode` |
# | encoder | $q(z \mid x) = \mathcal N(\mu, \sigma^2)$, a network makes $\mu$, $\log\sigma^2$ from $x$ | `encode` |
# | draw | $z = \mu + \sigma\varepsilon$ | `reparameterize` |
#
# Here is the class, exactly as it stands in the package. `Model` is an `nn.Module` that can also be saved and loaded.
# `seeded(seed)` makes the initial weights the same for everybody. What we write as $\mu$ is `mu` here and `mean` in
# exercise 3.1. The decoder has no dropout, as in scVI: the draw of $z$ is noise enough. The last method calls
# `binary_vae_loss`, a function that does not exist yet: *you* write it in section 3.3, and Python looks for it only
# when `loss` is called.

# %% source="vae_course.binary_vae.BinaryVAE" methods="__init__ encode reparameterize decode forward loss"

# %% [markdown]
# Three images of 64 pixels, all off, through a new model:

# %%
model = BinaryVAE(64)
logits, mu, logvar = model(torch.zeros(3, 64))
print("logits", tuple(logits.shape), "  mu", tuple(mu.shape), "  logvar", tuple(logvar.shape))
print("parameters:", sum(p.numel() for p in model.parameters()))

# %% [markdown]
# By hand: trunk $64 \cdot 128 + 128$ and batch norm $2 \cdot 128$; heads $2 \cdot (128 \cdot 2 + 2)$; decoder
# $2 \cdot 128 + 128$ and batch norm $2 \cdot 128$; logits $128 \cdot 64 + 64$. The sum is 17,988.
#
# **What breaks it.** Give the model the same image twice. Lesson 2 taught you `eval()` against random answers:

# %%
model.eval()  # no dropout
twice = torch.zeros(2, 64)  # two identical images
logits, mu, logvar = model(twice)
print("same mean: ", torch.equal(mu[0], mu[1]))
print("same logits:", torch.equal(logits[0], logits[1]))

# %% [markdown]
# `eval()` stops dropout. It does not stop the draw: that one belongs to the model, not to its training. Whoever wants
# one fixed place for a cell takes the mean. And a model built for 64 pixels says so when it is given something else:

# %%
try:
    model(torch.zeros(3, 765))
except ValueError as error:
    print(error)

# %% [markdown]
# <details><summary><b>Check yourself.</b> Which of the three outputs of <code>forward</code> is random in eval mode?
# </summary>
#
# Only the logits. $\mu$ and `logvar` are computed from $x$ without a draw. The logits come from a draw of $z$.
#
# </details>

# %% [markdown]
# ## 3.2 Binary data, twice
#
# **Question.** Which data show us soonest whether such a model works?
#
# Data we can *look at*. 1,797 handwritten digits of 8 x 8 pixels, each pixel on (1) or off (0). For the model, an image
# is a "cell" and a pixel is a "gene".

# %%
digits = vc.load_digits()
images, _, shown = digits.minibatch(np.arange(digits.n_cells))  # (images, pixels), and which digit it shows
shown = shown.squeeze(1)  # (images,)
print(tuple(images.shape), "  values:", images.unique().tolist(), f"  pixels on: {images.mean():.0%}")

# %%
ax = plots.images({"": images[:14]}, shown[:14].tolist())
plots.show(ax, alt="Fourteen images of handwritten digits, 8 by 8 black or white pixels, with the digit above each.")

# %% [markdown]
# You just read them without effort. So you can judge a *made-up* one without any score.
#
# Keep 297 images away from training. They judge. (Nobody gives the model the labels: they only colour our figures.)

# %%
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
train_x, test_x = images[order[:1500]], images[order[1500:]]  # (1500, pixels), (297, pixels)
test_shown = shown[order[1500:]]  # (297,)
print(len(train_x), "to train,", len(test_x), "held out")

# %% [markdown]
# The second data set is the one we care about: the 700 blood cells, each of 765 genes detected (1) or not (0), as in
# lesson 1. No eye can judge a made-up cell. That is why digits come first.

# %%
bits = vc.load_pbmc().binarize()
cells, _, _ = bits.minibatch(np.arange(bits.n_cells))  # (cells, genes)
print(tuple(cells.shape), "  values:", cells.unique().tolist(), f"  genes detected: {cells.mean():.0%}")

# %% [markdown]
# Two kinds of cell, three genes that lesson 1 used as markers: how often is each detected? As in lesson 0, the five
# labels of T cells count as one group.

# %%
merged = ["T cell" if name.startswith(("CD4+", "CD8+")) else str(name) for name in bits.label_names]
group_names = sorted(set(merged))
groups = torch.tensor([group_names.index(merged[label]) for label in bits.labels])  # (cells,)
gene = {name: bits.gene_names.tolist().index(name) for name in ("CD3D", "IL32", "LYZ", "S100A9")}
for name in ("T cell", "CD14+ Monocyte"):
    share = cells[groups == group_names.index(name)].mean(dim=0)  # (genes,)
    print(f"{name:15}", "  ".join(f"{marker} {share[column]:.2f}" for marker, column in gene.items()))

# %% [markdown]
# What is lost? Whether a gene has 1 count or 50. Lesson 5 brings the counts back. What is left turns out to be enough
# to tell cell types apart.

# %% [markdown]
# ## 3.3 A loss in two parts
#
# **Question.** The model makes a claim about each image. Which *one number* says how good the claim is?
#
# One image of four pixels, $x = (1, 1, 0, 0)$, and the decoder's logits $a = (2, 0, -1, 3)$. Lesson 1: a coin costs
# minus its log-probability, $\log(1 + e^{-a})$ if the pixel is on, $\log(1 + e^{a})$ if it is off:

# %%
x_toy = torch.tensor([[1.0, 1.0, 0.0, 0.0]])  # (1, pixels)
logits_toy = torch.tensor([[2.0, 0.0, -1.0, 3.0]])  # (1, pixels)
cost = -bernoulli_log_prob(x_toy, logits_toy)  # (1, pixels)
print("each pixel:", [round(c, 3) for c in cost[0].tolist()], f"  sum {cost.sum():.3f} nats")

# %% [markdown]
# The first pixel was promised and came: cheap. The last one was promised and did not come: 3 nats. The sum is the
# **reconstruction** part of the loss, the binary cross-entropy (`bce`).
#
# If that were all, the encoder would shrink $q(z \mid x)$ to a point and put each image wherever it liked: lesson 0's
# autoencoder, which nobody can sample. So there is a **price** for leaving the prior, the KL divergence of lesson 1.
# Put mean 0 and variance 1 for $p$ in your `kl_normal`:
#
# $$\mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1)\big)
# = \tfrac12\Big(\log\frac{1}{\sigma^2} + \frac{\sigma^2 + (\mu - 0)^2}{1} - 1\Big)
# = \tfrac12\big(\sigma^2 + \mu^2 - 1 - \log\sigma^2\big).$$
#
# Two latents: the first at $\mu = 1$ with $\sigma^2 = 1$, the second at $\mu = 0$ with $\sigma^2 = 0.25$. By hand,
# $\tfrac12(1 + 1 - 1 - 0) = 0.500$ and $\tfrac12(0.25 + 0 - 1 + 1.386) = 0.318$:

# %%
mean_toy = torch.tensor([[1.0, 0.0]])  # (1, n_latent)
logvar_toy = torch.tensor([[0.0, math.log(0.25)]])  # (1, n_latent)
price = 0.5 * (logvar_toy.exp() + mean_toy**2 - 1 - logvar_toy)  # (1, n_latent)
print("each latent:", [round(p, 3) for p in price[0].tolist()], f"  sum {price.sum():.3f} nats")
print(f"kl_standard_normal, from the package: {kl_standard_normal(mean_toy, logvar_toy).item():.3f}")

# %% [markdown]
# Being in a special place costs, and being sure costs. An encoder that says $\mu = 0$, $\sigma = 1$ for every image
# pays nothing, and says nothing.
#
# The **loss** of a cell is fit plus price, and a minibatch has many cells. What is summed, what is averaged? Given
# $z$, the probability of an image is the product over its pixels, so its logarithm is a *sum* over pixels. Images are
# examples of one and the same thing, so we *average* over them, and the loss is in nats per cell whatever the
# minibatch size.

# %% [markdown]
# Write `binary_vae_loss`. In come `x` and `logits`, (cells, genes), `mean` and `logvar`, (cells, n_latent). Out go
# three scalars, `(total, bce, kl)`: each part summed over its genes or latents, then averaged over the cells, and
# `total = bce + kl`. You have `bernoulli_log_prob(x, logits)`, elementwise, and `kl_standard_normal(mean, logvar)`,
# which sums over the last axis (in lesson 4 you write it yourself).
#
# *By hand.* Two cells: ours, with 4.182 and 0.818 nats, and one with 2.0 and 0.2. Then bce is
# $(4.182 + 2.0) / 2 = 3.091$, kl is $(0.818 + 0.2) / 2 = 0.509$, and total is $3.600$.
#
# Mind which axis is summed and which is averaged, the sign of a log-probability, and that `logvar` is a *log*-variance.

# %% exercise="3.1" source="vae_course.binary_vae.binary_vae_loss" minutes=8 difficulty=1

# %%
total, bce, kl = binary_vae_loss(x_toy, logits_toy, mean_toy, logvar_toy)
print(f"bce {float(bce):.3f} + kl {float(kl):.3f} = total {float(total):.3f} nats per cell")

# %% [markdown]
# In one line, for $n$ cells:
#
# $$\text{loss} = \frac1n \sum_{i=1}^{n} \Big[ \underbrace{\sum_g -\log p(x_{ig} \mid z_i)}_{\text{bce of cell } i}
# + \underbrace{\sum_j \mathrm{KL}\big(q(z_{ij} \mid x_i) \,\|\, p(z_{ij})\big)}_{\text{kl of cell } i} \Big].$$
#
# You have met it with the opposite sign: in lesson 1 the ELBO was *fit minus price*, and here the fit rests on one
# draw $z_i$. So training makes a lower bound of $\log p(x)$ large. Lesson 4 proves what we just use here.
#
# **Yardsticks on real data.** A number such as 20 nats means nothing alone. Two models without latents bound the
# scale. One knows nothing: logit 0 for every pixel, so $64 \log 2 = 44.4$. The other knows how often each pixel is on,
# and nothing about the image (one image on and one off added, so that no logit is infinite). Both say $\mu = 0$,
# $\sigma = 1$: no price.


# %%
def without_latents(train: Tensor, test: Tensor) -> float:
    """Return the loss on test of a model that knows only how often each column is 1 in train, nats per cell."""
    share = (train.sum(dim=0) + 1) / (len(train) + 2)  # (genes,)
    zeros = torch.zeros(len(test), 2)  # the mean, and the log-variance
    return float(binary_vae_loss(test, torch.logit(share).expand_as(test), zeros, zeros)[0])


flat, zeros = torch.zeros_like(test_x), torch.zeros(len(test_x), 2)  # logits 0; mean 0 and log-variance 0
no_latents = without_latents(train_x, test_x)
print(f"knows nothing:                 {float(binary_vae_loss(test_x, flat, zeros, zeros)[0]):.1f}")
print(f"knows how often a pixel is on: {no_latents:.1f}")

# %% [markdown]
# Remember **25.3**. A model that ends there has not used its latents. To beat it, the latents have to save more nats in
# bce than they cost in kl.
#
# **What breaks it.** Feed it counts. The formula $\log(1 + e^{a}) - x a$ takes any $x$, and does not complain:

# %%
for a in (1.0, 10.0, 100.0):
    values = [0 - bernoulli_log_prob(torch.tensor(x), torch.tensor(a)).item() for x in (1.0, 5.0)]
    print(f"logit {a:5.0f}   cost of x = 1: {values[0]:6.2f}   cost of x = 5: {values[1]:7.2f}")

# %% [markdown]
# For $x = 1$ the cost never falls below 0. For $x = 5$ it falls without end: the larger the logit, the "better". It is
# no longer minus a log-probability, and training runs away. This loss is for 0 and 1 only (shades of grey need another:
# [Loaiza-Ganem and Cunningham 2019](https://doi.org/10.48550/arXiv.1907.06845)).
#
# <details><summary><b>Check yourself.</b> Why does the loss need a draw of <i>z</i> for bce, but none for kl?</summary>
#
# The KL between two Gaussians has a closed form: the average over $q$ is done on paper. The average of
# $\log p(x \mid z)$ over $q$ goes through the decoder, a network, and nobody can do that on paper. One draw estimates
# it.
#
# </details>

# %% [markdown]
# ## 3.4 The training loop, by hand
#
# **Question.** A model, a loss, data. What exactly happens when "it trains"?
#
# You did it in lesson 2 on a line, with `gradient_step`. Now with an **optimizer**: an object that holds the
# parameters and knows how to step. For every minibatch: compute the loss, clear the old gradients, compute the new
# ones, step.

# %%
w = torch.tensor([3.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
loss = (w**2).sum()  # 9, gradient 6
optimizer.zero_grad()  # no old gradient
loss.backward()
optimizer.step()  # 3 - 0.1 * 6
print(f"w = {w.item():.1f}")

# %% [markdown]
# We use **Adam** (section 2.8) instead of plain gradient descent (`SGD`). It divides each parameter's step by how large
# its gradients have been lately. So multiply the loss by 64, and Adam takes the same step.

# %%
for kind in (torch.optim.SGD, torch.optim.Adam):
    for factor in (1, 64):
        w = torch.tensor([3.0], requires_grad=True)
        optimizer = kind([w], lr=0.1)
        (factor * w**2).sum().backward()
        optimizer.step()  # the first
        print(f"{kind.__name__:4}  loss times {factor:2}: w = {w.item():.1f}")

# %% [markdown]
# Remember that in section 3.9.
#
# One **epoch** walks through all minibatches once. What should it report? The mean loss over all *cells*. The last
# minibatch is often smaller:

# %%
print("sizes:", [len(x) for x in train_x.split(128)])

# %% [markdown]
# Write `train_epoch`. In come a `BinaryVAE`, an iterable of minibatches `x`, (cells, n_input), that you can walk only
# once, and an optimizer that holds the model's parameters. Put the model in train mode. For each minibatch take one
# optimizer step on the first entry of `model.loss(x)`. Return a Python float: the mean over all cells of the loss, each
# minibatch's taken *before* its step.
#
# *By hand.* A minibatch of 3 cells with loss 10 and one of 1 cell with loss 30: the mean over cells is
# $(3 \cdot 10 + 1 \cdot 30) / 4 = 15$, not 20.
#
# Mind: the loss is a tensor with a record of all its operations. Keep its number, not the tensor: a running sum of
# tensors has the same value, but carries the records of all minibatches along. And gradients add up unless they are
# cleared.

# %% exercise="3.2" source="vae_course.exercises.e3_2.answer.train_epoch" minutes=12 difficulty=2

# %% [markdown]
# To watch, we ask all images after every epoch: in eval mode, without gradients. The means of $q(z \mid x)$ of the
# held-out ones we keep for section 3.6.
#
# One precaution. Eval mode uses batch norm's running averages, and a minibatch moves them by only 1 % (lesson 2): for
# some twenty epochs they describe a model that is no more, and a curve would show their delay. `update_bn` computes
# them anew from all training images. Training does not use them, so it changes the view and not the model's weights.


# %%
@torch.no_grad()
def evaluate(model: BinaryVAE, x: Tensor) -> list[float]:
    """Return total, bce and kl in eval mode, nats per cell."""
    model.eval()  # no dropout
    return [float(part) for part in model.loss(x)]


@torch.no_grad()
def place(model: BinaryVAE, x: Tensor) -> Tensor:
    """Return the means of q(z|x) in eval mode, (cells, n_latent)."""
    model.eval()  # no dropout
    return model.encode(x)[0]


# %%
torch.manual_seed(2)
model = BinaryVAE(64)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
losses, training, held_out, snapshots = [], [], [], []
for epoch in range(51):
    if epoch > 0:  # epoch 0 is the untrained model
        minibatches = train_x[torch.randperm(len(train_x))].split(128)
        losses.append(float(train_epoch(model, minibatches, optimizer)))
    update_bn([train_x], model)
    training.append(evaluate(model, train_x))
    held_out.append(evaluate(model, test_x))
    snapshots.append(place(model, test_x))

# %%
axes = plots.panels(3, width=4)
names, limits = ("total = bce + kl", "bce", "kl"), ((18, 40), (15, 40), (0, 4.5))
for part, ax in enumerate(axes):
    curves = {"training": [row[part] for row in training], "held out": [row[part] for row in held_out]}
    plots.lines(range(51), curves, ax, xlabel="epoch", title=names[part], ylim=limits[part])
axes[0].plot(range(1, 51), losses, ":", color="0.4", label="train_epoch's answer")
axes[0].legend(frameon=False)
axes[0].set_ylabel("nats per image")
axes[1].axhline(no_latents, color="0.4", linewidth=1)
axes[1].text(50, no_latents + 0.4, "without latents", ha="right")
plots.show(
    axes[0],
    alt="Three panels over 50 epochs, training solid, held out dashed, close together. The total falls from above 40 "
    "to about 21; bce falls below the line of a model without latents; kl rises fast to 2, then slowly to nearly 3.",
)

# %% tags=["volatile"]
total, bce, kl = held_out[-1]
print(f"held out: bce {bce:.1f} + kl {kl:.1f} = {total:.1f} nats per image   without latents: {no_latents:.1f}")
print(f"the latents cost {kl:.1f} nats and save {no_latents - bce:.1f}")
assert total < 23
assert kl > 2

# %% [markdown]
# Read the two parts together. **Bce falls and kl rises.** At epoch 0 kl is a fraction of a nat, and the decoder makes
# nothing of it. Then the model *buys*: it moves images apart, pays in kl, and gets more back in bce. Most is bought in
# five epochs; later the decoder learns to use $z$ better, and a little more is worth buying. It stops when the next bit
# of kl saves no more bce than it costs. A kl that rises in training is no accident and no fault.
#
# **What breaks it.** Your confidence in the last digit. The loss contains a draw. Ask the same model about the same
# images ten times:

# %% tags=["volatile"]
again = torch.tensor([evaluate(model, test_x) for _ in range(10)])  # (10, 3)
for name, values in zip(("total", "bce", "kl"), again.T, strict=True):
    print(f"{name:5}  from {values.min():.3f} to {values.max():.3f}")
assert 0.001 < again[:, 0].max() - again[:, 0].min() < 1
assert again[:, 2].std() < 1e-4

# %% [markdown]
# bce moves, kl does not: it is computed from $\mu$ and `logvar`, no draw in it. A difference of a tenth of a nat
# between two models is therefore nothing to report from one evaluation.
#
# <details><summary><b>Check yourself.</b> Without <code>update_bn</code> the held-out curve starts above the training
# curve, and after some twenty epochs they meet. Is that overfitting?</summary>
#
# No: an overfitting gap opens late and grows, this one closes. It is the delay of the running averages: each minibatch
# moves them by 1 %, and an epoch has 12 minibatches, so after 20 epochs they have come $1 - 0.99^{240} = 91\,\%$ of the
# way. You will meet such gaps in sections 3.5 and 3.10, whose curves are drawn without `update_bn`.
#
# </details>

# %% [markdown]
# ## 3.5 The same loop in the package
#
# **Question.** Nobody writes this loop anew for each data set. What does a *trainer* have to know about a model?
#
# Very little. The package's `UnsupervisedTrainer` does what you did in section 3.4, and records the history. Two things
# it does in its own way. The learning rate falls, from `lr` in the first epoch towards 0 in the last, along half a
# cosine: long steps to get near, short ones to settle. And the running averages of batch norm are computed anew only
# once, after the last epoch: what you did with `update_bn`. It asks a model for `loss_terms`: the parts of the loss
# *for every cell*, not yet averaged, since the trainer weights and averages them itself. There are three parts because
# scVI will have two KLs; here the middle one is 0.
#
# The package's `Posterior` (scVI's name for a model together with cells, not the posterior $p(z \mid x)$; the trainer
# makes one of the training cells and one of the held-out cells) asks for two more: *where* a cell lies,
# `sample_from_posterior_z`, and the logarithms from which one estimates $\log p(x)$, `importance_terms` (lesson 4).
# `prepare` lets the model refuse data that do not suit it. We add these four. `class BinaryVAE(BinaryVAE)` makes a
# new class that inherits from the old one and takes over its name; models made before keep the old class.

# %% source="vae_course.binary_vae.BinaryVAE" methods="loss_terms sample_from_posterior_z prepare" base="BinaryVAE"

# %% [markdown]
# The fourth returns two logarithms for each of several draws. Do not study it now: it waits for lesson 4.

# %% source="vae_course.binary_vae.BinaryVAE" methods="importance_terms" base="BinaryVAE"

# %% [markdown]
# Are the terms your loss, cell by cell? With the same draw, their mean must be what you computed:

# %%
cells_model = BinaryVAE(bits.n_genes).eval()
with torch.no_grad(), seeded(1):
    terms = cells_model.loss_terms(cells)  # three tensors, (cells,) each
with torch.no_grad(), seeded(1):
    yours = cells_model.loss(cells)[0]
print({name: tuple(term.shape) for name, term in terms._asdict().items()})
print("the mean of their sum is your loss:", abs(float(sum(terms).mean()) - float(yours)) < 1e-2)

# %% [markdown]
# Now train on the cells' bits. `train_size=0.8` keeps 140 cells out. `n_epochs_kl_warmup=0` gives the KL its full
# weight from the start, as in your loop (scVI starts it at 0 and lets it grow: lesson 5).

# %%
trainer = vc.UnsupervisedTrainer(
    cells_model, bits, train_size=0.8, batch_size=64, lr=5e-3, n_epochs_kl_warmup=0, seed=0
)
trainer.train(n_epochs=40)
print("recorded:", ", ".join(trainer.history))

# %% [markdown]
# `history` is a dictionary of lists, one number an epoch. The names are `<metric>_<set of cells>`; `kl_global` is our
# kl. A loss is minimised, an ELBO is maximised: `elbo` is minus the total.

# %%
train_cells, test_cells = (cells[posterior.indices] for posterior in (trainer.train_set, trainer.test_set))
no_latents_cells = without_latents(train_cells, test_cells)
left, middle, right = plots.panels(3, width=4)
for ax, key in ((left, "elbo"), (middle, "reconstruction_error"), (right, "kl_global")):
    sign = -1 if key == "elbo" else 1
    curves = {name: sign * np.array(trainer.history[f"{key}_{name}"]) for name in ("train_set", "test_set")}
    plots.lines(range(1, 41), curves, ax, xlabel="epoch", title=("-" if sign < 0 else "") + key)
left.set(ylabel="nats per cell", ylim=(330, 420))
middle.set_ylim(330, 420)
middle.axhline(no_latents_cells, color="0.4", linewidth=1)
middle.text(40, no_latents_cells + 1, "without latents", ha="right")
plots.show(
    left,
    alt="History of training on cells: negative ELBO and reconstruction fall below the line of a model without "
    "latents, the KL settles near 4. Held-out cells lie a few nats above training cells.",
)

# %% tags=["volatile"]
test_set = trainer.test_set
bound, log_px = test_set.elbo(), test_set.marginal_ll(n_samples=100)
print(f"held-out cells: ELBO {bound:.0f}   without latents {-no_latents_cells:.0f} nats per cell")
print(f"estimate of log p(x) with 100 draws a cell: {log_px:.0f}")
assert -360 < bound < log_px < -330

# %% [markdown]
# Two latents are worth about 30 nats to a cell the model has never seen. In the kl panel the model first buys more
# than it is worth, then finds out how to buy less (the dashed curves with the delay of section 3.4); and at the end
# the training cells do a few nats better than the held-out ones, for 560 cells are few. The last line is a promise:
# the ELBO is a *lower bound*, and the better estimate lies above it. Lesson 4 shows how it is made.
#
# **What breaks it.** Raw counts. Section 3.3 showed how the loss runs away. `prepare` stops it at the door:

# %%
try:
    vc.UnsupervisedTrainer(BinaryVAE(765), vc.load_pbmc())
except ValueError as error:
    print(error)

# %% [markdown]
# <details><summary><b>Check yourself.</b> Your <code>binary_vae_loss</code> returns means over cells. Why is that too
# late for the trainer?</summary>
#
# A mean cannot be taken apart. The trainer has to weight the parts during warm-up, to sum minibatches of unequal size,
# and to report values per cell. From the terms of each cell one gets the mean, not the other way round.
#
# </details>

# %% [markdown]
# ## 3.6 The plane organises itself
#
# **Question.** The loss falls. What is going on in the *latents* meanwhile?
#
# Our model has two, so we can look. In the loop of section 3.4 we kept the means of $q(z \mid x)$ of the 297 held-out
# images after each epoch. Each image is drawn as the digit that it shows. The circle holds 95 % of the prior
# $\mathcal N(0, I)$: with two latents a draw lies outside radius $r$ with probability $e^{-r^2/2}$, so $r = \sqrt{-2
# \log 0.05} = 2.45$.


# %%
def draw_plane(ax, epoch: int) -> None:
    plots.numerals(snapshots[epoch], test_shown, ax, title=f"epoch {epoch}", xlabel="latent 1 (mean)")
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(2.45 * np.cos(angle), 2.45 * np.sin(angle), color="0.7", linewidth=1, zorder=0)
    ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), ylabel="latent 2 (mean)", aspect="equal")


axes = plots.panels(4, height=4, width=3.6)
for ax, epoch in zip(axes, (0, 1, 4, 50), strict=True):
    draw_plane(ax, epoch)
plots.show(
    axes[0],
    alt="The latent plane at epochs 0, 1, 4 and 50. Digits start mixed in one small heap, spread out, and end as "
    "groups that share the circle of the prior between them.",
)

# %% [markdown]
# And as a film, thanks to `update_bn` with the model of each epoch as it is: most of the spreading takes five epochs.
# Nobody told the model that there are ten digits, or any.

# %% tags=["slide"]
frames = [*range(9), *range(10, 51, 5)]  # every epoch at first, then every fifth
plots.animate(
    lambda ax, frame: draw_plane(ax, frames[frame]),
    len(frames),
    alt="Film of the latent plane over 50 epochs: held-out digits leave a heap at the origin, spread into the circle "
    "of the prior, and images of the same digit gather.",
)

# %% [markdown]
# Three things to see.
#
# 1. *Spread.* The heap opens until it fills the circle. Bce pushes images apart, kl holds them together.
# 2. *Order.* Images that share pixels end up side by side: one stretch of the plane has to be decoded into similar
#    images.
# 3. *Fit.* All images together look like the prior, and that is why sampling from the prior will work in the next
#    section.
#
# The third in numbers. The figures show means; what should resemble the prior, 95 % in the circle and a spread of 1,
# are *draws* from $q(z \mid x)$:

# %% tags=["volatile"]
with torch.no_grad(), seeded(0):
    mu, logvar = model.eval().encode(test_x.repeat(20, 1))  # (20 times 297, 2): twenty draws an image
    draws = reparameterize(mu, logvar)
for name, z in (("means", mu), ("draws", draws)):
    print(f"{name} in the circle: {(z.norm(dim=1) < 2.45).float().mean():.0%}   spread: {z.std(dim=0).mean():.2f}")
assert (draws.norm(dim=1) < 2.45).float().mean() > 0.9

# %% [markdown]
# **On cells.** The same plane for the 700 cells, beside the first two principal components of the same bits. Neither
# saw a label.

# %%
z_cells = torch.as_tensor(vc.Posterior(cells_model, bits).get_latent()[0])  # (cells, 2), the means
centred = cells - cells.mean(dim=0)  # (cells, genes)
scores = centred @ torch.linalg.svd(centred, full_matrices=False)[2][:2].T  # (cells, 2)
left, right = plots.panels(2, height=3.8, width=5.4)
plots.latent(scores, groups, group_names, left, "PCA of the bits", "PC").get_legend().remove()
plots.latent(z_cells, groups, group_names, right, "BinaryVAE, mean of q(z|x)").set(
    xticks=range(-2, 3), yticks=range(-2, 3)
)
plots.show(
    left,
    alt="700 cells coloured by group, in two principal components and in two latents of the VAE. Both separate T and "
    "NK cells, B cells and myeloid cells; the VAE leaves more space between them.",
)

# %% [markdown]
# Scored as in lesson 0: k-means clusters against the six groups (NMI, 0 to 1), and how many of a cell's 30 nearest
# neighbours are of its group.

# %% tags=["volatile"]
purity = {}
for name, latents in (("PCA, 2 components", scores), ("BinaryVAE, 2 latents", z_cells)):
    nmi = vc.metrics.clustering_scores(latents, groups)["nmi"]
    purity[name] = vc.metrics.knn_purity(latents, groups)
    print(f"{name:21} NMI {nmi:.2f}   like neighbours {purity[name]:.2f}")
assert purity["BinaryVAE, 2 latents"] > purity["PCA, 2 components"] > 0.5

# %% [markdown]
# Whether genes are seen at all, squeezed into two numbers, separates the kinds of cell, and better than two straight
# lines do.
#
# **What breaks it.** Reading meaning into "latent 1". Turn the whole plane by any angle: the prior does not change, and
# the first layer of the decoder can undo the turn. (Only the variances, one per axis, would mind a little.) Train from
# another seed and the groups lie elsewhere ([Locatello et al. 2019](https://doi.org/10.48550/arXiv.1811.12359)):

# %% tags=["volatile"]
other = BinaryVAE(64, n_hidden=64, seed=1)
optimizer = torch.optim.Adam(other.parameters(), lr=5e-3)
torch.manual_seed(1)
for _ in range(20):
    train_epoch(other, train_x[torch.randperm(len(train_x))].split(128), optimizer)
for name, z in (("this lesson's seed", snapshots[-1]), ("another seed", place(other, test_x))):
    centre = z[test_shown == 0].mean(dim=0)
    print(f"the zeros lie around ({centre[0]:+.1f}, {centre[1]:+.1f}) with {name}")
    assert centre.norm() < 3

# %% [markdown]
# ## 3.7 Rebuild, and make up
#
# **Question.** What can we *do* with a trained model?
#
# **Rebuild.** Encode an image, take the mean, decode. 64 pixels go through a gap of two numbers. Grey is the
# probability that a pixel is on. Of each digit we take the image nearest to the middle of its kind in the plane.


# %%
def typical(z: Tensor, members: Tensor) -> int:
    """Return the position of the cell closest to the median latents of the members, a mask (cells,)."""
    centre = z[members].median(dim=0).values  # (n_latent,)
    return int(torch.where(members, (z - centre).norm(dim=1), torch.inf).argmin())


with torch.no_grad():
    rebuilt = torch.sigmoid(model.decode(place(model, test_x)))  # (297, pixels)
one_each = [typical(snapshots[-1], test_shown == digit) for digit in range(10)]
ax = plots.images({"held out": test_x[one_each], "rebuilt": rebuilt[one_each]}, range(10))
plots.show(
    ax, alt="Held-out digits 0 to 9 and below each its reconstruction, softer; the 8 comes back as a blur close to a 5."
)

# %% [markdown]
# The rebuilt image is what *such* digits look like. Personal detail is gone, and the 8 looks like a 5. How often does a
# digit survive? Read each rebuilt image by the training image nearest to it:

# %% tags=["volatile"]
read = shown[order[:1500]][torch.cdist(rebuilt, train_x).argmin(dim=1)]  # (297,)
survived = [(read[test_shown == digit] == digit).float().mean().item() for digit in range(10)]
print("  ".join(f"{digit}: {share:.0%}" for digit, share in enumerate(survived)))
assert survived[0] > 0.7
assert survived[8] < 0.5

# %% [markdown]
# 0 and 6 survive nearly always, 3 and 5 about every other time, 8 hardly ever: its place in the plane is decoded into
# something between 5 and 9. Two numbers do not hold ten kinds of digit. Ten latents, further down, lose far less.
#
# **The whole plane at once.** Decode a grid of latents, nobody's images, and put each where it belongs:

# %%
across, down = torch.linspace(-2.1, 2.1, 15), torch.linspace(2.1, -2.1, 11)
atlas = {}
with torch.no_grad():
    for value in down:
        z = torch.stack([across, value.expand(15)], dim=1)  # (15, 2)
        atlas[f"{value:+.1f}"] = torch.sigmoid(model.decode(z))  # (15, pixels)
ax = plots.images(atlas, [f"{value:+.1f}" for value in across], xlabel="latent 1", ylabel="latent 2")
plots.show(
    ax, alt="Atlas of the latent plane: decoded images on a grid, one digit flowing into the next without a break."
)

# %% [markdown]
# Stop here and wander about. Most digits have a country (not 8, and 5 hardly), and at the borders one *becomes*
# another. Compare it with the last frame of the film.
#
# **Make up.** The generative story of lesson 1 says how: draw $z$ from the prior, decode. No encoder, no image.

# %% [markdown]
# Write `sample_prior`. In come a trained model, the number of cells and a `torch.Generator`. Draw
# $z \sim \mathcal N(0, I)$, one row of `model.n_latent` numbers per cell, all randomness from the generator. Return the
# probabilities, (n_cells, n_input), without a gradient (`with torch.no_grad():` inside the function). Models
# differ in their number of latents: ask the model, do not write 2.
#
# *By hand.* If the decoder gives a drawn $z$ the logits $(0, 2)$, the answer's row is $(0.5, 0.88)$.
#
# Mind the mode: the model may come in train mode, and must be *used* in eval mode.

# %% exercise="3.3" source="vae_course.exercises.e3_3.answer.sample_prior" minutes=7 difficulty=1

# %%
made_up = sample_prior(model, 14, torch.Generator().manual_seed(0))  # (14, pixels), probabilities
coins = torch.bernoulli(torch.as_tensor(made_up).float(), generator=torch.Generator().manual_seed(1))  # 0 or 1
ax = plots.images({"probabilities": made_up, "coins thrown": coins})
plots.show(ax, alt="Fourteen made-up digits as grey probabilities, and below them with every pixel drawn as a coin.")

# %% [markdown]
# Nobody wrote these. Some can be read, others are smears between two digits. The second row completes the story:
# $p(x \mid z)$ is a distribution, and a *sample* from it throws a coin for every pixel. The coins ignore each other
# (lesson 1: "conditionally independent"), and where a smear is grey their noise leaves hardly anything to read. Papers
# like to show the first row.
#
# **Against the autoencoder of lesson 0.** The same class without the draw and without the price is a plain
# autoencoder. Both get ten latents now, which smear less, and thirty epochs:


# %%
class PlainAutoencoder(BinaryVAE):
    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu  # a point, no draw

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, bce, kl = super().loss(x)
        return bce, bce, kl  # the kl is reported, not minimised


def fit(model: BinaryVAE, n_epochs: int = 30) -> list[float]:
    """Train on the digits as in section 3.4; return total, bce and kl of the held-out images."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(n_epochs):
        train_epoch(model, train_x[torch.randperm(len(train_x))].split(128), optimizer)
    return evaluate(model, test_x)


# %% tags=["volatile"]
rivals = {"VAE": BinaryVAE(64, n_latent=10), "autoencoder": PlainAutoencoder(64, n_latent=10)}
for name, rival in rivals.items():
    _, bce, kl = fit(rival)
    print(f"{name:12} bce {bce:4.1f}   kl {kl:4.1f} nats per image, held out")
assert bce < 10

# %% [markdown]
# The autoencoder *rebuilds* much better: nothing it says has a price. (The kl in its line was counted, not minimised.)
# Now ask both to make something up:

# %%
samples = {name: sample_prior(rival, 300, torch.Generator().manual_seed(0)) for name, rival in rivals.items()}
ax = plots.images({"held out": test_x[20:34]} | {name: sample[:14] for name, sample in samples.items()})
plots.show(
    ax,
    alt="Held-out digits, samples of the VAE that look like soft digits, and samples of the autoencoder: torn shapes.",
)

# %% [markdown]
# In numbers: round the probabilities to pixels and count by how many pixels an image differs from the *nearest*
# training image. The yardstick is the held-out images: real, and new.


# %%
def pixels_off(x: Tensor) -> float:
    """Return the mean number of pixels by which images differ from their nearest training image."""
    return torch.cdist(torch.as_tensor(x).float().round(), train_x, p=1).min(dim=1).values.mean().item()


print(f"held-out images: {pixels_off(test_x):.1f} pixels")

# %% tags=["volatile"]
off = {name: pixels_off(sample) for name, sample in samples.items()}
print({name: f"{value:.1f} pixels" for name, value in off.items()})
assert off["autoencoder"] > off["VAE"] + 0.5

# %% [markdown]
# The better one at rebuilding is the worse one at making up, as in lesson 0. There the cure was promised, here you
# built it: the draw makes the decoder answer for a neighbourhood, the kl puts the neighbourhoods where the prior looks.
# (Mind what the count does not see: variety. Somebody who returns one training image for ever scores 0.)
#
# **What breaks it.** Forgetting `eval()`, as in section 2.10; this time the decoder suffers. One latent, in two
# different companies (and in a copy of the model, since train mode also moves the running averages):

# %%
careless = deepcopy(model).train()
generator = torch.Generator().manual_seed(0)
with torch.no_grad():
    companies = [torch.cat([torch.zeros(1, 2), torch.randn(9, 2, generator=generator)]) for _ in range(2)]  # (10, 2)
    first, second = (careless.decode(z)[0] for z in companies)  # (pixels,) each
print("the same image in both companies:", torch.allclose(first, second, atol=1e-3))

# %% [markdown]
# The same two numbers gave two images.

# %% [markdown]
# ## 3.8 A walk between two cells
#
# **Question.** What lies *between* two digits, or between two cells?
#
# Two numbers first. Halfway between $z = (0, 2)$ and $z = (1, 0)$ lies $(0.5, 1)$; three even steps, ends included, are
# $(0, 2)$, $(0.5, 1)$, $(1, 0)$. That is a **latent walk**; the decoder says what it looks like.

# %% [markdown]
# Write `latent_walk`. In come a trained model, two cells `x_start` and `x_end`, each (n_input,), and `n_steps`, 2 or
# more. Encode both, take the two posterior *means* (no draw), go from one to the other in `n_steps` even steps on the
# straight line, both ends included, and decode each step. Return probabilities, (n_steps, n_input), in eval mode,
# without a gradient (`with torch.no_grad():` inside again).
#
# *By hand.* With `n_steps=2` you return the two reconstructions and nothing else. With 5 steps the third is the decoded
# middle of the two means.
#
# Mind the shape: a model takes (cells, n_input), and one cell is (n_input,). The line is straight in the *latents*,
# not in the pixels.

# %% exercise="3.4" source="vae_course.exercises.e3_4.answer.latent_walk" minutes=8 difficulty=2

# %% [markdown]
# With a share $t$ from 0 to 1, $z_t = (1 - t)\, z_{\text{start}} + t\, z_{\text{end}}$. From the typical 0 to the
# typical 4. Below the walk, the lazy way: a cross-fade, which mixes the *pixels* of the two ends by the same formula.

# %%
walk = torch.as_tensor(latent_walk(model, test_x[one_each[0]], test_x[one_each[4]], 12)).float()  # (steps, pixels)
print("steps, pixels:", tuple(walk.shape))

# %%
t = torch.linspace(0, 1, 12).unsqueeze(-1)  # (steps, 1)
fade = (1 - t) * walk[0] + t * walk[-1]  # (steps, pixels)
ax = plots.images({"walk in the latents": walk, "fade of the pixels": fade}, range(1, 13))
plots.show(ax, alt="Above, a 0 changes into a 4 by way of a 6. Below, the 0 fades out while the 4 fades in over it.")

# %% [markdown]
# The fade shows two digits at once, halfway. The walk passes through a shape of its own, a 6, and neither end is one:
# look at the atlas, and you can follow the way.
#
# **On cells.** From a typical T cell to a typical monocyte:

# %%
ends = [typical(z_cells, groups == group_names.index(name)) for name in ("T cell", "CD14+ Monocyte")]
steps = torch.as_tensor(latent_walk(cells_model, cells[ends[0]], cells[ends[1]], 21)).float()  # (steps, genes)
print("steps, genes:", tuple(steps.shape))

# %%
left, right = plots.panels(2, height=3.8, width=6)
plots.latent(z_cells, groups, group_names, left, "where the walk goes").set(xticks=range(-2, 3), yticks=range(-2, 3))
left.plot(*z_cells[ends].T, color="black", linewidth=1.5, marker="o", markersize=7, markerfacecolor="white")
curves = {name: steps[:, column] for name, column in gene.items()}
plots.lines(range(21), curves, right, xlabel="step from the T cell (0) to the monocyte (20)")
right.set(xticks=range(0, 21, 5), ylabel="probability of detection", ylim=(-0.03, 1.03))
right.set(title="what the decoder expects on the way")
right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(
    left,
    alt="Left, a straight line in the latent plane from the T cells to the monocytes. Right, along it the "
    "probabilities of CD3D and IL32 fall together, LYZ rises fast and S100A9 more slowly.",
)

# %% tags=["volatile"]
for name, column in gene.items():
    print(f"{name:7} {steps[0, column]:.2f} -> {steps[10, column]:.2f} -> {steps[-1, column]:.2f}")
assert steps[0, gene["CD3D"]] > steps[-1, gene["CD3D"]] + 0.3
assert steps[-1, gene["LYZ"]] > steps[0, gene["LYZ"]] + 0.3

# %% [markdown]
# The T cell's two genes fade out together, on one curve; of the monocyte's, LYZ comes in fast and S100A9 more slowly.
# This looks like a cell changing its type.
#
# **What breaks it.** Believing so. Count the real cells near each step of the walk:

# %% tags=["volatile"]
t = torch.linspace(0, 1, 21).unsqueeze(-1)
path = (1 - t) * z_cells[ends[0]] + t * z_cells[ends[1]]  # (steps, 2)
near = (torch.cdist(path, z_cells) < 0.3).sum(dim=1)  # (steps,)
print("cells within 0.3 of each step:", near.tolist())
assert near.min() < 0.3 * near[0]

# %% [markdown]
# Where hardly any cell lies, the decoder was hardly ever corrected. It answers all the same, smoothly and without
# doubt. A walk shows what the *model* puts between two cells. Whether cells ever pass there, only cells can tell: T
# cells and monocytes part ways in the bone marrow, and none turns into the other in the blood.
#
# <details><summary><b>Check yourself.</b> Why walk between the <i>means</i> and not between two draws?</summary>
#
# The walk should start at the best single place for each cell, and be the same every time. Two draws would start and
# end somewhere in two clouds, elsewhere at every call.
#
# </details>

# %% tags=["volatile"]
vc.explore.walk(cells_model, bits)

# %% [markdown]
# ## 3.9 The trap: a weight that nobody set
#
# This section uses `BinaryVAE` from section 3.1; `train_x` and `test_x` from section 3.2; your `binary_vae_loss` from
# section 3.3; `evaluate`, the trained `model` and your `train_epoch` from section 3.4; `fit` and your `sample_prior`
# from section 3.7.
#
# **Question.** A colleague uses PyTorch's ready-made loss and adds the KL. The code runs, the loss falls, every sample
# is the same grey smear. What happened?
#
# Look at what the ready-made function averages over when you do not tell it:

# %%
with torch.no_grad(), seeded(0):
    logits, mu, logvar = model(test_x)
ready_made = F.binary_cross_entropy_with_logits(logits, test_x)
bce = float(binary_vae_loss(test_x, logits, mu, logvar)[1])
print("ready-made times 64 pixels is your bce:", abs(64 * ready_made.item() - bce) < 1e-3)

# %% [markdown]
# It averages over cells *and pixels*. Your colleague minimises $\text{bce}/64 + \text{kl}$. Pull $1/64$ out:
#
# $$\frac{\text{bce}}{64} + \text{kl} = \frac{1}{64}\,\big(\text{bce} + 64\,\text{kl}\big).$$
#
# The factor in front does not matter: it moves no minimum, and Adam's steps do not see it. What stays is a weight
# $\beta = 64$ on the kl. The next piece of kl has to save 64 times itself in bce. Even the first, smallest
# piece may not do that.
#
# Some repair it by averaging the kl too, over the latents. With 2 of them that is
# $\frac{\text{bce}}{64} + \frac{\text{kl}}{2} = \frac{1}{64}(\text{bce} + 32\,\text{kl})$: now $\beta = 32$. Three
# runs:


# %%
class Divided(BinaryVAE):
    by_pixels, by_latents = 1, 1

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, bce, kl = super().loss(x)
        return bce / self.by_pixels + kl / self.by_latents, bce, kl


# %%
trap = {}
for name, by_pixels, by_latents in (("sum, sum", 1, 1), ("mean, sum", 64, 1), ("mean, mean", 64, 2)):
    net = Divided(64, n_hidden=64)
    net.by_pixels, net.by_latents = by_pixels, by_latents
    trap[name] = (by_pixels / by_latents, net, fit(net, n_epochs=25))
    print(f"bce by {name.split(', ')[0]:4}, kl by {name.split(', ')[1]:4}: beta = {trap[name][0]:.0f}")

# %% tags=["volatile"]
for beta, _, (total, bce, kl) in trap.values():
    print(
        f"beta {beta:2.0f}   what it prints {total:5.2f}   bce {bce:.1f} + kl {kl:.2f} = {bce + kl:.1f} nats per image"
    )
assert trap["sum, sum"][2][2] > 1.5
assert trap["mean, sum"][2][2] < 0.2

# %%
rows = {}
for name, (beta, net, _) in trap.items():
    rows[f"{name}  (beta {beta:.0f})"] = sample_prior(net, 14, torch.Generator().manual_seed(0))
plots.show(
    plots.images(rows),
    alt="Samples of three runs. With sum and sum there are different digits; with the other two every sample is the "
    "same grey average image.",
)

# %% [markdown]
# The two wrong runs print the *smallest* losses, 0.4 instead of 21, in units that nobody can compare. Their kl is 0 and
# their bce is that of the model without latents, 25.3 or a little worse: the encoder says $\mathcal N(0, 1)$ whatever
# it sees, so $z$ carries nothing, and the decoder answers everything with the average image. This is **posterior
# collapse** ([Lucas et al. 2019](https://doi.org/10.48550/arXiv.1911.02469)).
#
# **On cells** the same line of code would give $\beta = 765$. The hidden weight grows with the number of genes.
#
# The rule: sum over what belongs to one cell, average over cells. A weight on the kl is not forbidden. People set
# $\beta$ on purpose ([Alemi et al. 2018](https://doi.org/10.48550/arXiv.1711.00464)), and the warm-up of lesson 5 is
# one that changes. But then it stands in the code with its name.
#
# <details><summary><b>Check yourself.</b> Somebody sums bce over pixels, sums kl over latents, and sums both over the
# cells of a minibatch. Which beta?</summary>
#
# $\beta = 1$. Both parts are multiplied by the same number. The loss is in nats per minibatch, and plain gradient
# descent would need a smaller learning rate; the minimum is the same.
#
# </details>

# %%
vc.explore.beta()

# %% [markdown]
# ## 3.10 A gallery of curves
#
# **Question.** A run has ended, and all you have is its curves. Can you tell what went wrong?
#
# Six small VAEs were trained on the digits, 40 epochs each. In one run nothing is wrong. Each of the others has a
# single fault. We train them here:

# %%
runs = mystery_runs(digits)
print("runs:", ", ".join(runs), "  curves of each:", ", ".join(runs["A"]))

# %% [markdown]
# The training curves are taken in train mode, with dropout, while it trains. The held-out curves come from 300 images
# that none of the six saw (another split than ours), in eval mode and without `update_bn`: they lag at first. Five
# runs have two latents and 1,400 images; one has ten latents and other numbers, so its kl is not to be judged by the
# 3 nats of section 3.4. All panels have the same axes. The grey line is your yardstick of section 3.3, a model
# without latents.


# %%
def gallery(letters: str, top: float = 48) -> None:
    axes = plots.panels(len(letters), height=3.6, width=4.4)
    for ax, letter in zip(axes, letters, strict=True):
        plots.lines(range(1, 41), runs[letter], ax, xlabel="epoch", title=f"run {letter}", ylim=(-1, top))
        for line, name in zip(ax.get_lines(), runs[letter], strict=True):
            line.set(color=plots.COLORS["kl" in name], linestyle="--" if "held out" in name else "-")
        ax.axhline(no_latents, color="0.7", linewidth=1, zorder=0)
        ax.get_legend().remove()
    axes[0].set_ylabel("nats per image")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    plots.show(axes[0], alt=f"Curves of bce and kl, training and held out, over 40 epochs: runs {', '.join(letters)}.")


gallery("ABC")

# %%
gallery("DEF")

# %% [markdown]
# Look at each with four questions. Does it *move*? Does it move *smoothly*? Do training and held-out curves *part*? Is
# the kl of a size that makes sense for its latents?

# %% [markdown]
# These are the causes to choose from:

# %%
for cause in CAUSES:
    print("-", cause)

# %% [markdown]
# Write `diagnose`: it takes nothing and returns a dictionary with one entry per run, the letter as the key and one of
# the causes above as the value, letter by letter as printed. Each cause occurs once.
#
# *By example.* `{"A": "nothing is wrong", "B": "nothing is wrong", ...}` has the right form, and is not right.
#
# Mind: two runs have hardly any kl, for different reasons. And two have a bce on the training images *below* that of
# the healthy run, for different reasons too.

# %% exercise="3.5" source="vae_course.exercises.e3_5.answer.diagnose" minutes=8 difficulty=2

# %% [markdown]
# What one can measure, for each run that you named: how far bce came, how far it jumps from one epoch to the next on
# held-out images, the gap between held-out and training, and the last kl. Does it bear out your diagnosis?

# %% tags=["volatile"]
answer = diagnose()
print(f"runs named: {len(answer)}   different causes: {len(set(answer.values()))}")
print("run   fall of bce   largest jump up    gap    kl")
for letter in sorted(answer):
    train, held = np.array(runs[letter]["bce train"]), np.array(runs[letter]["bce held out"])
    fall, jump, gap = train[0] - train[-1], np.diff(held).max(), held[-1] - train[-1]
    print(f" {letter}  {fall:12.1f} {jump:17.1f} {gap:6.1f} {runs[letter]['kl held out'][-1]:5.1f}")
assert all(len(curve) == 40 for run in runs.values() for curve in run.values())

# %% [markdown]
# <details><summary><b>Each symptom, explained</b> (open after you have answered)</summary>
#
# - *Nothing is wrong.* Smooth, training and held out together once batch norm has caught up, kl about 3.
# - *Learning rate too high.* The curves do not fall smoothly: held-out values jump up and down, above all at first,
#   since each step throws the weights about and the running averages of batch norm lag behind. Remedy: a tenth of the
#   rate. A still higher one ends in `nan`.
# - *Learning rate too low.* Almost nothing moves. Bce is still above the model without latents at the end; kl is small
#   because nothing has been learned *yet*. Remedy: ten times the rate, or patience.
# - *Overfitting.* Training bce keeps falling, held-out bce stops, and a gap of many nats opens. (This run had only 60
#   images and ten latents.) Remedy: more data, a smaller network, fewer latents, or to stop early.
# - *Posterior collapse.* Kl on the floor although everything else moves, bce at the grey line. Learned well, but
#   without latents: the kl was weighted 30-fold. Remedy: look for a hidden $\beta$ (section 3.9).
# - *KL forgotten.* Kl climbs far beyond what a healthy run pays, bce is a little lower, training and held out agree. As
#   a reconstruction it looks *better* than the healthy run. But it is an autoencoder: its samples are worth nothing.
#   Remedy: add the kl to the loss.
#
# </details>

# %% [markdown]
# ## 3.11 Why a log-variance
#
# **Question.** Lesson 2 gave the head a log-variance because any number is one. Does it matter while the model
# *trains*?
#
# One latent, one variance $v = \sigma^2$. The kl pulls $v$ towards 1. The reconstruction wants $z$ precise, so it
# charges for variance; say 20 nats per unit. Then
#
# $$J(v) = \tfrac12\,(v - 1 - \log v) + 20\,v.$$
#
# By calculus, $\frac{dJ}{dv} = \tfrac12\big(1 - \tfrac1v\big) + 20$, which is 0 at $v = \tfrac{1}{41} = 0.024$. Walk
# there by gradient descent from $v = 1$, with learning rate 0.1, once with $v$ as the parameter and once with
# $s = \log v$.


# %%
def descend(parameter: float, is_log: bool, lr: float = 0.1, n_steps: int = 200) -> list[float]:
    """Return the variance after each step of gradient descent on J."""
    p, path = torch.tensor(parameter, requires_grad=True), []
    for _ in range(n_steps):
        v = p.exp() if is_log else p
        path.append(v.item())
        J = 0.5 * (v - 1 - v.log()) + 20 * v
        (slope,) = torch.autograd.grad(J, p)  # backward(), but the slope is returned, not left in p.grad
        p = (p - lr * slope).detach().requires_grad_()
    return path


print("v itself: ", [round(v, 3) for v in descend(1.0, is_log=False)[:4]])
print("log v:    ", [round(v, 3) for v in descend(0.0, is_log=True)[:4]], "... ends at", end=" ")
print(round(descend(0.0, is_log=True)[-1], 3))

# %% [markdown]
# The first walk makes *one* step and stands at a variance of $-1$. The slope there tells it to go on down, the
# logarithm in $J$ is `nan`, and a loss of `nan` is how such a training run ends. The second walk cannot leave the
# positive numbers, and arrives.
#
# **Would a smaller step save the first?** Try two:

# %%
for lr in (0.01, 0.001):
    path = descend(1.0, is_log=False, lr=lr)
    steps = next((k for k, v in enumerate(path) if v < 0), None)
    print(f"rate {lr}: " + (f"below 0 after {steps} steps" if steps else f"after 200 steps at {path[-1]:.3f}"))

# %% [markdown]
# A rate of 0.001 does it here. Will it do everywhere? Compare the slopes. The chain rule with $v = e^s$,
# $\frac{dv}{ds} = v$:
#
# $$\frac{dJ}{ds} = v\,\frac{dJ}{dv} = \tfrac12\,(v - 1) + 20\,v.$$

# %%
print("       v     dJ/dv     dJ/ds")
for v in (1.0, 0.1, 1 / 41, 0.001, 0.00001):
    slope = 0.5 * (1 - 1 / v) + 20
    print(f"{v:8.5f} {slope:9.1f} {v * slope:9.2f}")

# %% [markdown]
# As $v$ gets small, $\frac{dJ}{dv}$ explodes like $-\frac{1}{2v}$. $\frac{dJ}{ds}$ stays near $-\tfrac12$. At
# $v = 0.001$ a step with rate 0.001 is 0.48 long, 480 times $v$ itself. For $v$ a safe rate is tinier the smaller the
# best variance is, another one for every latent of every cell. For $s$ one rate serves all.

# %%
v_grid = torch.linspace(0.0005, 0.2, 400)
s_grid = torch.linspace(-12, 1, 400)
left, right = plots.panels(2, width=4.8)
for ax, grid, v, name in ((left, v_grid, v_grid, "variance v"), (right, s_grid, s_grid.exp(), "log-variance s")):
    plots.lines(grid, {"": 0.5 * (v - 1 - v.log()) + 20 * v}, ax, xlabel=name, ylabel="J (nats)", ylim=(0, 8))
left.axvspan(-0.02, 0, color="0.85")
left.annotate("no such variance", (-0.01, 4), (0.03, 6.6), arrowprops={"arrowstyle": "->"})
left.axvline(1 / 41, color="0.5", linewidth=1, linestyle=":")
right.axvline(math.log(1 / 41), color="0.5", linewidth=1, linestyle=":")
plots.show(
    left,
    alt="Left: J over the variance falls off a cliff beside the wall at zero, the minimum close to it. Right: J over "
    "the log-variance is a wide valley with a gentle slope on the left.",
)

# %% [markdown]
# The minimum (dotted) on the left leans against a wall. On the right there is no wall, only a gentle ramp. What do the
# variances of our trained model look like?

# %% tags=["volatile"]
with torch.no_grad():
    _, logvar = model.eval().encode(test_x)  # (297, 2)
low, high = logvar.exp().min().item(), logvar.exp().max().item()
print(f"variances of the digits' q(z|x): from {low:.3f} to {high:.2f}")
assert 0 < low < 0.1

# %% [markdown]
# All of them far below the prior's 1, the smallest close to the wall.
#
# **Find the slip.** The lecture notes say that the network returns `logvar` and
#
# $$\log(\sigma^2) = \tfrac12\,\texttt{logvar}.$$
#
# Mend the line. Here is a number to test it: a latent with $\sigma = 0.5$, so $\sigma^2 = 0.25$.

# %%
logvar_toy = torch.tensor(0.25).log()
print(f"log(sigma^2) = {math.log(0.5**2):.3f}   1/2 logvar = {0.5 * logvar_toy:.3f}   log(sigma) = {math.log(0.5):.3f}")
for name, sd in (("exp(1/2 logvar)", (0.5 * logvar_toy).exp()), ("exp(logvar)", logvar_toy.exp())):
    with seeded(0):
        spread = (sd * torch.randn(100_000)).std()
    print(f"{name:15} as the standard deviation: draws spread by {spread:.2f}, wanted 0.50")

# %% [markdown]
# <details><summary>The mended line</summary>
#
# $\texttt{logvar} = \log(\sigma^2)$, by its name. A logarithm turns a square into a factor 2, $\log(\sigma^2) = 2
# \log\sigma$, so it is the *standard deviation* that takes the half: $\log\sigma = \tfrac12\,\texttt{logvar}$ and
# $\sigma = \exp(\tfrac12\,\texttt{logvar})$. The line of the notes is true with $\log\sigma$ on its left side.
#
# Whoever forgets the half uses the variance as a standard deviation: $0.25$ instead of $0.5$. With $\sigma$ below 1, as
# here, the draws then crowd too close to the mean, the decoder sees less noise than the kl charges for, and nothing
# raises an error. (With $\sigma$ above 1 they scatter too far.)
#
# </details>

# %% [markdown]
# ## 3.12 Quiz
#
# Decide first: a click on an option says why it is right or wrong.

# %%
quiz("3.1")

# %%
quiz("3.2")

# %%
quiz("3.3")

# %%
quiz("3.4")

# %%
quiz("3.5")

# %%
quiz("3.6")

# %%
quiz("3.7")

# %% [markdown]
# ## 3.13 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `BinaryVAE` | `vae_course.binary_vae.BinaryVAE` | - (`VAE`, for counts) | - (`scvi.module.VAE`, for counts) |
# | `encode`, two heads | `BinaryVAE.encode` | `Encoder` | `Encoder`, called in `inference` |
# | `decode` | `BinaryVAE.decode` | `DecoderSCVI` | `DecoderSCVI`, called in `generative` |
# | `binary_vae_loss` | `vae_course.binary_vae.binary_vae_loss` | `VAE.forward` | `VAE.loss` |
# | `train_epoch` | `Trainer.train` | `Trainer.train` | `TrainingPlan`, run by Lightning |
# | `trainer.history` | the same | `Trainer.history` | `model.history` |
# | `place` | `Posterior.get_latent` | `Posterior.get_latent` | `get_latent_representation` |
# | `sample_prior` | `vae_course.exercises.e3_3` | - | - |
# | `latent_walk` | `vae_course.exercises.e3_4` | - | - |
#
# Symbols are in the [notation](../docs/notation.md), words in the [glossary](../docs/glossary.md), and where images and
# cells come from in [data](../data/README.md).
#
# **Next.** It runs, and three things were taken on trust: that a gradient gets through the draw, that the loss is a
# bound, and that the bound is close. Lesson 4 proves the first two and measures the third. Then lesson 5 exchanges the
# coins for counts, and the demo becomes scVI.

# %% tags=["volatile"]
progress()
