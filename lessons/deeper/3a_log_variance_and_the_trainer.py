# %% [markdown]
# # Deeper 3a · Why a log-variance, and what a trainer does for you
#
# {{links}}
#
# **You will be able to**
#
# - say why gradient descent on a variance hits a wall, and on its logarithm does not
# - say what the package's trainer asks of a model, and add those answers to a class of your own
# - read the trainer's history, and say why a held-out curve may lag without any overfitting
# - say how far to trust a held-out loss, and what it averages away
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 3, section 3.2](../03_demo.ipynb). **You need:** gradient
# descent, batch norm and its two modes (lesson 2); `BinaryVAE`, its loss and its loop (lesson 3).

# %% setup=true
import torch
from torch import Tensor

import vae_course as vc
from vae_course import plots
from vae_course.binary_vae import BinaryVAE

# %% [markdown]
# ## 3a.1 A variance has a wall
#
# **Question.** The encoder returns a log-variance, because a linear layer may return any number. Is that only
# convenient, or does it matter while the model *trains*?
#
# Take one latent with one variance $v = \sigma^2$. The kl pulls $v$ towards 1. The reconstruction wants $z$ precise, so
# it charges for variance; say 20 nats per unit. Then
#
# $$J(v) = \tfrac12\,(v - 1 - \log v) + 20\,v.$$
#
# By calculus, $\frac{dJ}{dv} = \tfrac12\big(1 - \tfrac1v\big) + 20$, which is 0 at $v = \tfrac{1}{41} = 0.024$. We walk
# there by gradient descent from $v = 1$ with learning rate 0.1: once with $v$ as the parameter, once with $s = \log v$.
#
# **Predict.** Where does the first step lead in each case? The slope at $v = 1$ is 20.


# %%
def descend(parameter: float, is_log: bool, lr: float = 0.1, n_steps: int = 200) -> list[float]:
    """Return the variance before each step of gradient descent on J."""
    p, path = torch.tensor(parameter, requires_grad=True), []
    for _ in range(n_steps):
        v = p.exp() if is_log else p
        path.append(v.item())
        J = 0.5 * (v - 1 - v.log()) + 20 * v
        (slope,) = torch.autograd.grad(J, p)  # backward(), but the slope is returned, not left in p.grad
        p = (p - lr * slope).detach().requires_grad_()
    return path


# %%
print("v itself: ", [round(v, 3) for v in descend(1.0, is_log=False)[:4]])
path = descend(0.0, is_log=True)
print("log v:    ", [round(v, 3) for v in path[:4]], "... ends at", round(path[-1], 3))

# %% [markdown]
# The first walk makes *one* step and stands at a variance of $-1$. There the slope sends it further down, the logarithm
# in $J$ is `nan`, and a loss of `nan` is how such a training run ends. The second walk cannot leave the positive
# numbers, and arrives.

# %% [markdown]
# ## 3a.2 Would a smaller step do?
#
# **Question.** Perhaps 0.1 was careless. Try two smaller rates:

# %%
for lr in (0.01, 0.001):
    path = descend(1.0, is_log=False, lr=lr)
    steps = next((k for k, v in enumerate(path) if v < 0), None)
    print(f"rate {lr}: " + (f"below 0 after {steps} steps" if steps else f"after 200 steps at {path[-1]:.3f}"))

# %% [markdown]
# A rate of 0.001 does it here. Will it do everywhere? Compare the slopes. By the chain rule with $v = e^s$,
# $\frac{dv}{ds} = v$:
#
# $$\frac{dJ}{ds} = v\,\frac{dJ}{dv} = \tfrac12\,(v - 1) + 20\,v.$$
#
# **Predict.** What do the two slopes tend to as $v$ goes to 0?

# %%
print("       v     dJ/dv     dJ/ds")
for v in (1.0, 0.1, 1 / 41, 0.001, 0.00001):
    slope = 0.5 * (1 - 1 / v) + 20
    print(f"{v:8.5f} {slope:9.1f} {v * slope:9.2f}")

# %% [markdown]
# $\frac{dJ}{dv}$ explodes like $-\frac{1}{2v}$, while $\frac{dJ}{ds}$ stays near $-\tfrac12$. At $v = 0.001$ a step
# with rate 0.001 is 0.48 long: 480 times $v$ itself. So for $v$ a safe rate is the tinier the smaller the best variance
# is, and that is another one for every latent of every cell. For $s$ one rate serves all.
#
# The same in a picture: on the left $J$ over $v$, with the wall at zero; on the right over $s$. The dotted line is the
# minimum.

# %% fold="What is drawn: J over the variance, and over its logarithm"
v_grid = torch.linspace(0.0005, 0.2, 400)
s_grid = torch.linspace(-12, 1, 400)
left, right = plots.panels(2, width=4.8)
for ax, grid, v, name in ((left, v_grid, v_grid, "variance v"), (right, s_grid, s_grid.exp(), "log-variance s")):
    plots.lines(grid, {"": 0.5 * (v - 1 - v.log()) + 20 * v}, ax, xlabel=name, ylabel="J (nats)", ylim=(0, 8))
left.axvspan(-0.02, 0, color="0.85")
left.annotate("no such variance", (-0.01, 4), (0.03, 6.6), arrowprops={"arrowstyle": "->"})
left.axvline(1 / 41, color="0.5", linewidth=1, linestyle=":")
right.axvline(torch.tensor(1 / 41).log().item(), color="0.5", linewidth=1, linestyle=":")
plots.show(
    left,
    alt="Left: J over the variance falls off a cliff beside the wall at zero, the minimum close to it. Right: J over "
    "the log-variance is a wide valley with a gentle slope on the left.",
)

# %% [markdown]
# <details><summary><b>Check yourself.</b> Why not return the standard deviation, and square it?</summary>
#
# Its square is never negative, but the wall is still there: the kl holds $-\log\sigma$, which explodes at 0, and a step
# may jump across to negative $\sigma$, where the valley is mirrored. Another map to positive numbers, such as the
# softplus $\log(1 + e^{s})$, works too. Below zero it behaves like the exponential.
#
# </details>

# %% [markdown]
# ## 3a.3 The variances of a real model
#
# **Question.** Is 0.024 far-fetched? We train a VAE on the digits, and look at the variances of its $q(z \mid x)$.
#
# This time the package's own trainer does the work; what it does is the subject of the next section. `train_size=0.8`
# keeps a fifth of the images out, and `n_epochs_kl_warmup=0` gives the kl its full weight from the start.

# %%
digits = vc.load_digits()
digits_trainer = vc.UnsupervisedTrainer(BinaryVAE(64), digits, train_size=0.8, lr=5e-3, n_epochs_kl_warmup=0, seed=0)
digits_trainer.train(n_epochs=50)
test_x = torch.from_numpy(digits.counts.toarray()).float()[digits_trainer.test_set.indices]  # (images, pixels)

# %% tags=["volatile"]
with torch.no_grad():
    _, logvar = digits_trainer.model.eval().encode(test_x)  # (images, n_latent)
var = logvar.exp()
print(f"variances of q(z|x): smallest {var.min():.3f}, middle {var.median():.2f}, largest {var.max():.2f}")
assert 0 < var.min() < 0.1

# %% [markdown]
# All lie far below the prior's 1, the smallest close to the wall. A network that returned $v$ itself would be
# one careless step away from `nan`, for some image or other, in every epoch.

# %% [markdown]
# ## 3a.4 What a trainer has to know about a model
#
# **Question.** Nobody writes the loop of section 3.4 anew for each data set. What must a *trainer* know of a model that
# it has never seen?
#
# Very little. It asks for `loss_terms`: the parts of the loss *for every cell*, not yet averaged, because it weighs
# them during a warm-up and sums minibatches of unequal size. There are three parts since scVI will have two KLs; here
# the middle one is 0. And `prepare` lets the model refuse data that do not suit it.
#
# The package's `Posterior` is a model together with cells (scVI's name; it is not $p(z \mid x)$). The trainer makes one
# of the training cells and one of the held-out cells. It asks for *where* a cell lies, `sample_from_posterior_z`.
#
# These are the methods that the package's `BinaryVAE` has beyond those of lesson 3. `class BinaryVAE(BinaryVAE)` makes
# a class that inherits from the old one and takes over its name.

# %%
from vae_course.data import CountData
from vae_course.distributions import bernoulli_log_prob, kl_standard_normal, normal_log_prob
from vae_course.model import LossTerms, check_genes

# %% source="vae_course.binary_vae.BinaryVAE" methods="loss_terms sample_from_posterior_z prepare" base="BinaryVAE"

# %% [markdown]
# One more returns two logarithms for each of several draws. It waits for lesson 4, where the likelihood of a cell is
# estimated from them.

# %% source="vae_course.binary_vae.BinaryVAE" methods="importance_terms" base="BinaryVAE"

# %% [markdown]
# Are the terms the loss of lesson 3, cell by cell? With the same draw, the mean of their sum has to be what `loss`
# returns. The cells are those of lesson 3: 765 genes, detected or not.

# %%
bits = vc.load_pbmc().binarize()
cells = torch.from_numpy(bits.counts.toarray()).float()  # (cells, genes)
model = BinaryVAE(bits.n_genes).eval()
with torch.no_grad():
    torch.manual_seed(1)
    terms = model.loss_terms(cells)  # three tensors, (cells,) each
    torch.manual_seed(1)
    total = model.loss(cells)[0]
print({name: tuple(term.shape) for name, term in terms._asdict().items()})
print("the mean of their sum is the loss:", abs(float(sum(terms).mean() - total)) < 1e-2)

# %% [markdown]
# <details><summary><b>Check yourself.</b> <code>binary_vae_loss</code> returns means over cells. Why is that too
# late for the trainer?</summary>
#
# A mean cannot be taken apart. From the terms of each cell one gets the mean, not the other way round.
#
# </details>

# %% [markdown]
# ## 3a.5 What it does beyond your loop
#
# Your loop, and three things more. It *records*: `history` holds one number per epoch. Its learning rate *falls*, from
# `lr` towards 0 along half a cosine: long steps to get near, short ones to settle. And it *finishes*: the running
# averages of batch norm are computed anew once, after the last epoch, which is what `update_bn` did in lesson 3.
#
# **Predict.** Lesson 3 called `update_bn` after every epoch. The trainer does so only at the end. How will its held-out
# curve differ in the first epochs?

# %%
trainer = vc.UnsupervisedTrainer(model, bits, train_size=0.8, batch_size=64, lr=5e-3, n_epochs_kl_warmup=0, seed=0)
trainer.train(n_epochs=60)
print("recorded:", ", ".join(trainer.history))

# %% [markdown]
# The names are `<metric>_<set of cells>`; `kl_global` is our kl. A loss is minimised and an ELBO is maximised: `elbo`
# is minus the total. The figure shows total, bce and kl; the grey line is the bce of coins, a model without latents.

# %% fold="What is drawn: the trainer's history on the cells"
train_cells, test_cells = (cells[posterior.indices] for posterior in (trainer.train_set, trainer.test_set))
share = torch.logit((train_cells.sum(dim=0) + 1) / (len(train_cells) + 2))  # (genes,), logits
coins = -bernoulli_log_prob(test_cells, share.expand_as(test_cells)).sum(dim=1).mean().item()
left, middle, right = plots.panels(3, width=4)
keys = {"elbo": "total = bce + kl", "reconstruction_error": "bce", "kl_global": "kl"}
for ax, (key, title) in zip((left, middle, right), keys.items(), strict=True):
    sign = -1 if key == "elbo" else 1
    curves = {name: [sign * value for value in trainer.history[f"{key}_{name}"]] for name in ("train_set", "test_set")}
    plots.lines(range(1, 61), curves, ax, xlabel="epoch", title=title)
left.set(ylabel="nats per cell", ylim=(330, 420))
middle.set_ylim(330, 420)
middle.axhline(coins, color="0.4", linewidth=1)
middle.text(60, coins + 1, "coins, without latents", ha="right")
plots.show(
    left,
    alt="History of training on cells. Total and bce fall below the line of the coins; the kl first shoots up and then "
    "settles near 4. Held-out cells lie some 15 nats above training cells in the first ten epochs, 6 at the end.",
)

# %% [markdown]
# At first the held-out curves lie far too high, and the gap closes over some thirty epochs. That is no overfitting:
# such a gap opens late and grows. Each minibatch moves the running averages by 1 %, and an epoch has 9 minibatches
# here, so after 20 epochs they have come $1 - 0.99^{180} = 84\,\%$ of the way. What remains at the end, a few nats,
# *is* the price of having 560 cells only. And the kl: the model first buys more than it is worth, then finds out how to
# buy less.

# %% tags=["volatile"]
test_set = trainer.test_set
bound, log_px = test_set.elbo(), test_set.marginal_ll(n_samples=100)
print(f"held-out cells: ELBO {bound:.0f}   coins {-coins:.0f} nats per cell")
print(f"estimate of log p(x) with 100 draws a cell: {log_px:.0f}")
assert -365 < bound < log_px < -330

# %% [markdown]
# The last line is a promise: the ELBO is a *lower bound*, and a better estimate lies above it. Lesson 4 shows how it is
# made.
#
# **What breaks it.** Raw counts. The cost of a coin, $\log(1 + e^{a}) - x a$, takes any $x$ and does not complain:

# %%
for a in (1.0, 10.0, 100.0):
    costs = [0 - bernoulli_log_prob(torch.tensor(x), torch.tensor(a)).item() for x in (1.0, 5.0)]
    print(f"logit {a:5.0f}   cost of x = 1: {costs[0]:6.2f}   cost of x = 5: {costs[1]:7.2f}")

# %% [markdown]
# For $x = 5$ it falls without end: the larger the logit, the "better". It is no longer minus a log-probability, and
# training runs away. `prepare` stops that at the door:

# %%
try:
    vc.UnsupervisedTrainer(BinaryVAE(765), vc.load_pbmc())
except ValueError as error:
    print(error)

# %% [markdown]
# ## 3a.6 How far to trust one number
#
# **Question.** Two models, 21.0 and 21.1 nats on the same held-out images. Is the first one better?
#
# The loss holds a draw of $z$ for every image. We ask the model of section 3a.3 ten times about the same images.
#
# **Predict.** Which of total, bce and kl will change from time to time?

# %% tags=["volatile"]
digits_model = digits_trainer.model.eval()
with torch.no_grad():
    again = torch.stack([torch.stack(digits_model.loss(test_x)) for _ in range(10)])  # (10, 3)
for name, values in zip(("total", "bce", "kl"), again.T, strict=True):
    print(f"{name:5}  from {values.min():.3f} to {values.max():.3f} nats per image")
assert 0.001 < again[:, 0].max() - again[:, 0].min() < 1
assert again[:, 2].std() < 1e-4

# %% [markdown]
# bce moves, kl does not: it is computed from $\mu$ and `logvar`, and no draw is in it. The noise of one evaluation can
# be averaged away, by more draws. Another noise cannot: that of the *images* that happen to be held out. Its size
# follows from the spread of the loss over images.

# %% tags=["volatile"]
with torch.no_grad():
    terms = digits_model.loss_terms(test_x)
total = terms.reconstruction + terms.kl_global  # (images,)
print(f"standard deviation over images {total.std():.1f}, error of their mean {total.std() / len(total) ** 0.5:.2f}")
assert 3 < total.std() < 12

# %% [markdown]
# So a mean of 21.0 has an error of some tenths, and says little against 21.1. Two models on the *same* images fare
# better: take their difference image by image, as section 3.11 of the lesson does, and what makes an image dear for
# both drops out. What remains then is that another seed trains another model. Only several seeds answer that.
#
# **A number that is not in the loss.** Do rebuilt digits still say what they were? We read each by the training image
# nearest to it. Two latents hold some of the ten kinds better than others; guess which before you look.

# %% tags=["volatile"]
pixels, shown = torch.from_numpy(digits.counts.toarray()).float(), torch.from_numpy(digits.labels).ravel()
train = digits_trainer.train_set.indices
with torch.no_grad():
    rebuilt = torch.sigmoid(digits_model.decode(digits_model.encode(test_x)[0]))  # (images, pixels)
read = shown[train][torch.cdist(rebuilt, pixels[train]).argmin(dim=1)]  # (images,)
test_shown = shown[digits_trainer.test_set.indices]  # (images,)
survived = [(read[test_shown == digit] == digit).float().mean().item() for digit in range(10)]
print("  ".join(f"{digit}: {share:.0%}" for digit, share in enumerate(survived)))
assert survived[0] > 0.7
assert min(survived) < 0.5

# %% [markdown]
# 0 and 6 survive nearly always; 8, which shares pixels with half of the others, hardly ever. The mean loss had averaged
# that away. Ten latents lose far less.
#
# <details><summary><b>Check yourself.</b> Give the model in train mode one image, alone and among others. Why may it
# decode the same latents differently?</summary>
#
# In train mode batch norm uses the mean and variance of the minibatch at hand, so an image depends on its company. In
# eval mode it uses the running averages, and the same two numbers always give the same image.
#
# </details>

# %% [markdown]
# ## 3a.7 With your own data
#
# The trainer reads what `binarize()` makes of any file of counts, and its `Posterior` gives the places of all cells:
#
# ```python
# bits = vc.load_h5ad("my_cells.h5ad").binarize() trainer = vc.UnsupervisedTrainer(BinaryVAE(bits.n_genes), bits,
# n_epochs_kl_warmup=0, lr=5e-3) trainer.train(n_epochs=60) places, _, _ = vc.Posterior(trainer.model,
# bits).get_latent()
# ```
#
# Back to [lesson 3](../03_demo.ipynb). Symbols are in the [notation](../../docs/notation.md), words in the
# [glossary](../../docs/glossary.md).
