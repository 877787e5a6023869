# %% [markdown]
# # Deeper 2a · What one step can do
#
# {{links}}
#
# **You will be able to**
#
# - say from the curvature which learning rates are safe, and why one rate has to serve two directions
# - recognise a forgotten `zero_grad`, a rate beyond the limit and an unshuffled file by their curves
# - predict how noisy the slope of a minibatch is, and which cells of a data set are learned last
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 2, section 2.3](../02_pytorch_linear.ipynb). **You need:** the
# chain rule, gradient descent, `backward()`.

# %% setup=true
import torch
from torch import Tensor

import vae_course as vc
from vae_course import plots

# %% [markdown]
# ## 2a.1 How short is a short step?
#
# **Question.** A finite difference needs a small step $h$. How small? Two curves at $w = 0.5$: the loss $J = (2w -
# 3)^2$, whose slope is $-8$, and $e^{2w}$, which bends more; its slope is $2e = 5.44$.
#
# **Predict.** Which of the three steps below gives the best slopes? The smallest?

# %%
for h in (1.0, 1e-3, 1e-8):
    up, down = torch.tensor(0.5 + h), torch.tensor(0.5 - h)  # float32
    of_loss = ((2 * up - 3) ** 2 - (2 * down - 3) ** 2) / (2 * h)
    of_exp = ((2 * up).exp() - (2 * down).exp()) / (2 * h)
    print(f"h = {h:.0e}   slope of J {of_loss:5.2f}   slope of exp(2w) {of_exp:.2f}")

# %% [markdown]
# Too large a step cuts across the bend of $e^{2w}$. ($J$ is a parabola, for which the errors to the left and to the
# right cancel at any size.) Too small a step vanishes: `float32` carries about seven digits, so 0.50000001 and 0.5 are
# one number. A step of about a thousandth serves here. Training meets the same two ends: steps too long for the bend of
# the loss, and steps so short that nothing happens.

# %% [markdown]
# **A whole gradient at once.** A network has 100,000 slopes; nobody takes as many differences. Take one, along a random
# direction: the loss should change at the rate of the sum of slope times step. Here for a small network with a loss
# that somebody wrote by hand. In `float64` a step of $10^{-6}$ is safe.

# %%
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
params, inputs = list(net.parameters()), torch.randn(5, 3, dtype=torch.float64)  # ..., (cells, 3)
directions = [torch.randn_like(p) for p in params]
net(inputs).square().mean().backward()

# %%
by_autograd = sum((p.grad * u).sum() for p, u in zip(params, directions, strict=True)).item()


# %%
def loss_along(step: float) -> float:
    moved = {name: p + step * u for (name, p), u in zip(net.named_parameters(), directions, strict=True)}
    return torch.func.functional_call(net, moved, inputs).square().mean().item()


# %%
by_difference = (loss_along(1e-6) - loss_along(-1e-6)) / 2e-6
print(f"autograd {by_autograd:.5f}   difference {by_difference:.5f}")

# %% [markdown]
# They agree, so all 21 slopes are right: a wrong one would show in a random direction. Whenever you write a gradient by
# hand, as `FastVAE` in this package does, this is its test. PyTorch has it ready as `torch.autograd.gradcheck`.

# %% [markdown]
# ## 2a.2 Where is the limit?
#
# **Question.** In lesson 2 a learning rate a little too large made a ball jump ever higher. Where exactly does that
# begin?
#
# Take the line of lesson 2. For 700 blood cells $x$ says how many doublings a cell's counts lie above the median cell,
# $y$ the same for its detected genes; the loss is the mean squared residual of $\hat y = w x + b$,
#
# $$J(w, b) = \frac{1}{n} \sum_{i=1}^{n} r_i^2, \qquad r_i = w x_i + b - y_i.$$
#
# The chain rule gives both slopes:
#
# $$\frac{\partial J}{\partial w} = \frac{2}{n} \sum_i r_i\, x_i, \qquad
# \frac{\partial J}{\partial b} = \frac{2}{n} \sum_i r_i.$$

# %%
data = vc.load_pbmc()
counts, _, labels = data.minibatch(range(data.n_cells))  # (cells, genes), ..., (cells, 1)
library, detected = counts.sum(dim=1), (counts > 0).sum(dim=1).float()  # (cells,) each
x = torch.log2(library / library.median())  # (cells,), doublings
y = torch.log2(detected / detected.median())  # (cells,), doublings


# %%
def slopes(w: float, b: float) -> tuple[float, float]:
    residual = w * x + b - y  # (cells,)
    return (2 * (residual * x).mean()).item(), (2 * residual.mean()).item()


# %%
print("slopes at w = -0.6, b = 0.4: {:.4f} {:.4f}".format(*slopes(-0.6, 0.4)))

# %% [markdown]
# Hold $w$, and let $b^* = \bar y - w \bar x$ be the best intercept, where the bar is the mean over cells. Along $b$ the
# loss is a plain parabola, with the slope $\partial J / \partial b = 2\,(b - b^*)$. Put that into a step:
#
# $$b_{\text{new}} - b^* = (b - b^*) - 2 \eta\,(b - b^*) = (1 - 2\eta)\,(b - b^*).$$
#
# Each step multiplies the error by $1 - 2\eta$.
#
# **Predict.** What happens to the error at $\eta = 0.5$, at 0.95, and at 1.05?

# %%
b_best = (y - 0.294 * x).mean().item()
for lr in (0.05, 0.5, 0.95, 1.05):
    b_new = 0.4 - lr * slopes(0.294, 0.4)[1]
    factor = (b_new - b_best) / (0.4 - b_best)
    print(f"lr {lr:.2f}: the error is multiplied by {round(factor, 2) + 0:+.2f}")

# %% [markdown]
# At 0.5 the error is gone at once. At 0.95 it flips its sign and shrinks to 0.9 of its size. Above $\eta = 1$ it
# *grows*. The 2 in $1 - 2\eta$ is the **curvature** along $b$: how fast the slope changes with $b$. In general a step
# is safe up to
#
# $$\eta = 2 / \text{curvature}.$$

# %% [markdown]
# ## 2a.3 Three learning rates on one map
#
# **Question.** Two knobs, two curvatures, one learning rate. Which of 0.05, 0.5 and 0.95 arrives first?


# %%
def descend(lr: float, n_steps: int = 40) -> Tensor:
    w, b = -0.6, 0.4
    path = [(w, b)]
    for _ in range(n_steps):
        slope_w, slope_b = slopes(w, b)
        w, b = w - lr * slope_w, b - lr * slope_b
        path.append((w, b))
    return torch.tensor(path)  # (1 + steps, 2)


# %%
for lr in (0.05, 0.5, 0.95):
    after = {k: ((w * x + b - y) ** 2).mean() for k, (w, b) in enumerate(descend(lr)) if k in (10, 40)}
    print(f"lr {lr:.2f}: loss {after[10]:.4f} after 10 steps, {after[40]:.4f} after 40")

# %% [markdown]
# The maps show the loss for every $(w, b)$; the square is the start.

# %% fold="What is drawn: the loss, and the walks of three learning rates"
grid_w, grid_b = torch.linspace(-0.8, 1.0, 61), torch.linspace(-0.6, 0.6, 61)
fitted = grid_w[None, :, None] * x + grid_b[:, None, None]  # (61 b, 61 w, cells)
height = ((fitted - y) ** 2).mean(-1)  # (61, 61)
axes = plots.panels(3, height=3.6, width=4.2)
for ax, lr in zip(axes, (0.05, 0.5, 0.95), strict=True):
    bar = "loss J, squared doublings" if lr == 0.95 else ""
    plots.landscape(grid_w, grid_b, height, descend(lr), ax=ax, colorbar=bar, xlabel="slope w", title=f"lr = {lr}")
axes[0].set_ylabel("intercept b, doublings")
plots.show(
    axes[0],
    alt="Three maps of an elongated valley. With lr 0.05 the path falls short of the bottom, with 0.5 it drops to the "
    "valley floor at once and walks along it, with 0.95 it jumps from wall to wall.",
)

# %% [markdown]
# After 10 steps 0.5 is ahead. The valley is long in $w$ and narrow in $b$. The small rate crawls, and has not arrived
# after 40; the large one bounces between the walls of $b$ while it advances along $w$. **One learning rate has to serve
# the steepest direction and the flattest.** In a network of 100,000 knobs this tension only becomes invisible.
#
# A rate 5 % beyond the limit raises no error:

# %% fold="What is drawn: the loss at every step, on a logarithmic axis"
losses = {}
for lr in (0.5, 0.95, 1.05):
    residual = descend(lr) @ torch.stack([x, torch.ones_like(x)]) - y  # (1 + steps, 2) @ (2, cells)
    losses[f"lr = {lr}"] = (residual**2).mean(1)  # (1 + steps,)
ax = plots.lines(range(41), losses, xlabel="step", ylabel="loss J, squared doublings", yscale="log")
plots.show(ax, alt="On a logarithmic axis the losses at lr 0.5 and 0.95 fall; the one at lr 1.05 rises without end.")

# %% [markdown]
# On the logarithmic axis the diverging loss is a straight line upwards: a factor of about $1.1^2 = 1.21$ a step.
#
# The steepest direction, a mixture of $w$ and $b$, sets the limit; its curvature is the largest eigenvalue of the
# matrix of second derivatives. That is why we measured $x$ from the median cell. Compare with the bare log2 of the
# counts:

# %%
for name, inputs in (("from the median", x), ("bare log2", torch.log2(library))):
    columns = torch.stack([inputs, torch.ones_like(inputs)])  # (2, cells)
    curvature = torch.linalg.eigvalsh(2 * columns @ columns.T / 700)[-1]  # of the second derivatives of J
    print(f"{name}: steepest curvature {curvature:.1f}, largest safe lr {2 / curvature:.3f}")

# %% [markdown]
# Bare log2 counts lie near 9.4. A small change of $w$ then lifts the whole line by 9.4 times as much, and the valley
# becomes a narrow diagonal ravine. Centred inputs are cheap speed; batch normalisation does the same inside the
# network.
#
# <details><summary><b>Check yourself.</b>
# You double all inputs x. What becomes of the safe learning rate for w?</summary>
#
# The curvature along $w$ is twice the mean of $x^2$, so it becomes four times as large, and the limit falls to a
# quarter.
#
# </details>

# %% [markdown]
# ## 2a.4 The ball without friction
#
# **Question.** `backward()` adds to `.grad`. What does a training run look like that never clears it?
#
# We walk downhill on $J = (2w - 3)^2$ from $w = 0.5$, 0.02 times `w.grad` at each step, with and without `zero_grad`.
#
# **Predict.** Without clearing, does the loss (a) fall faster, (b) explode, (c) swing?


# %%
def walk(clear: bool, n_steps: int = 60) -> list[float]:
    w, path = torch.tensor(0.5, requires_grad=True), []
    optimizer = torch.optim.SGD([w], lr=0.02)  # its step() goes downhill by 0.02 times w.grad
    for _ in range(n_steps):
        if clear:
            optimizer.zero_grad()
        loss = (w * 2 - 3) ** 2
        loss.backward()
        path.append(loss.item())
        optimizer.step()
    return path


# %% fold="What is drawn: the loss at every step, with and without clearing"
curves = {"cleared": walk(True), "never cleared": walk(False)}
ax = plots.lines(range(60), curves, xlabel="step", ylabel="loss J", ylim=(-0.2, 4.9))
ax.legend(frameon=False, ncols=2, loc="upper center")
plots.show(
    ax, alt="With clearing the loss falls smoothly to zero; without it the loss swings between 0 and 4 for ever."
)

# %% [markdown]
# Summed gradients behave like a speed. The walker becomes a ball in a bowl without friction: it rolls through the
# bottom, up the other side, and back, for ever. A loss that *swings* in slow regular waves is this bug's signature. A
# rate near its limit also swings, but from wall to wall at every step, and it settles.
#
# <details><summary><b>Check yourself.</b> Why does the swing not grow, although nothing is ever cleared?</summary>
#
# Beyond the bottom the slopes have the other sign, so they take away from the sum what the way down has put there.
# Where the walker turns, the sum is zero; then the way back begins. Only a larger rate would make it grow: with the
# curvature 8 of this bowl it diverges above $4 / 8 = 0.5$.
#
# </details>

# %% [markdown]
# ## 2a.5 With friction: momentum, and Adam
#
# **Question.** Can a ball that rolls do better than one that is moved?
#
# Let the old gradients fade, by 10 % a step, so that there is friction:
#
# $$v \leftarrow 0.9\, v + \frac{\partial J}{\partial w}, \qquad w \leftarrow w - \eta\, v.$$
#
# Here $v$ is a speed. Along the floor of a valley the slopes agree and add up, to ten times one of them. Across it they
# change sign from step to step, and cancel. That is **momentum**. Adam has it too, and divides each parameter's step by
# the usual size of its slope, so that steep and flat directions are walked at one pace.
#
# We test all three in a ravine: the same line, on $x$ stretched to a fifth of its size, as a gene that varies little
# would have it. The best slope is then five times as large, and the floor of the valley 25 times flatter.
#
# **Predict.** After 100 steps, who is nearest to the best loss?

# %%
flat_x = x / 5  # (cells,)


# %%
def race(make) -> list[float]:
    w, b = torch.tensor(-3.0, requires_grad=True), torch.tensor(0.4, requires_grad=True)
    optimizer, history = make([w, b]), []
    for _ in range(100):
        optimizer.zero_grad()
        loss = ((w * flat_x + b - y) ** 2).mean()
        loss.backward()
        history.append(loss.item())
        optimizer.step()
    return history


# %%
racers = {
    "plain, lr 0.5": race(lambda params: torch.optim.SGD(params, lr=0.5)),
    "momentum 0.9, lr 0.5": race(lambda params: torch.optim.SGD(params, lr=0.5, momentum=0.9)),
    "Adam, lr 0.2": race(lambda params: torch.optim.Adam(params, lr=0.2)),
}

# %%
print({name: round(history[-1], 4) for name, history in racers.items()})

# %% fold="What is drawn: the loss of the three at every step"
ax = plots.lines(range(100), racers, xlabel="step", ylabel="loss J, squared doublings", yscale="log")
plots.show(
    ax,
    alt="On a logarithmic axis: momentum and Adam fall in swings, come near the best loss at about step 25 and settle "
    "on it by step 60; the plain walker falls evenly and is still three times as high after 100 steps.",
)

# %% [markdown]
# Momentum and Adam have arrived at 0.0143, the best loss there is. The plain walker, at the rate that momentum has,
# still stands at three times that. Both others swing on their way: that is the ball that rolls.
#
# <details><summary><b>Check yourself.</b>
# Why does momentum 0.9 make the steps ten times as long on even ground?</summary>
#
# With the same slope $s$ at every step the speed becomes $s + 0.9 s + 0.81 s + \dots = s / (1 - 0.9) = 10 s$.
#
# </details>
#
# **Your turn.** Find the largest rate at which the momentum racer still arrives, and the largest for the plain one.
# Which of the two limits is the larger?
#
# <details><summary><b>What a good answer contains</b></summary>
#
# The plain one ends at 1, which is $2 / \text{curvature}$ with the curvature 2 along $b$. With momentum the limit lies
# higher, at $2\,(1 + 0.9) / \text{curvature} = 1.9$: a speed that fades also brakes the jumps. Say how you decided
# "still arrives": by the loss after 100 steps, or by whether it falls at all.
#
# </details>

# %% [markdown]
# ## 2a.6 Rare cell types learn slowly
#
# **Question.** One model, ten cell types. Do all types arrive at the same time?
#
# Let one weight per cell type, $W_k$, predict the logarithm of a cell's library. Targets $t_i$ are centred, and we know
# where each weight must end: at the mean $m_k$ of its type. With $n_k$ cells of type $k$ among $n$,
#
# $$\frac{\partial J}{\partial W_k} = \frac{2}{n} \sum_{i\,:\,\text{type } k} (W_k - t_i)
# = 2\,\frac{n_k}{n}\,(W_k - m_k).$$
#
# As in section 2a.2, each step multiplies the error $W_k - m_k$ by one factor: $1 - 2 \eta\, n_k / n$.
#
# **Predict.** The rarest type has 8 of 700 cells, the largest 240. How much of the error is left after 20 steps at
# $\eta = 0.5$?

# %%
cell_type = labels.squeeze(1)  # (cells,)
target = library.log() - library.log().mean()  # (cells,)
types = torch.nn.functional.one_hot(cell_type, 10).float()  # (cells, types)
truth, n_k = types.T @ target / types.sum(0), types.sum(0)  # (types,) each

# %%
weight, left = torch.zeros(10, requires_grad=True), {}  # (types,)
optimizer = torch.optim.SGD([weight], lr=0.5)
for step in range(1, 201):
    optimizer.zero_grad()
    ((types @ weight - target) ** 2).mean().backward()
    optimizer.step()
    if step in (20, 200):
        left[step] = 1 - weight.detach() / truth  # (types,), 1 at the start
        rarest, largest = left[step][1], left[step][9].abs()
        print(f"after {step:3d} steps: left of 8 CD4 naive T cells {rarest:.0%}, of 240 dendritic {largest:.0%}")

# %% fold="What is drawn: the share of the error that is left, by the size of the type"
sizes = torch.logspace(0.8, 2.4, 100)  # cells of a type
ax = plots.panels(1, height=3.6, width=6)[0]
for step, share in left.items():
    plots.points(n_k, share, f"ten types, {step} steps", ax=ax)
plots.lines(sizes, {f"formula, {step} steps": (1 - sizes / 700) ** step for step in left}, ax=ax, xscale="log")
for markers in ax.collections:
    markers.set(sizes=[60], zorder=3, alpha=1)
ax.set(xlabel="cells of the type", ylabel="share of the error that is left")
ax.legend(frameon=False)
plots.show(
    ax,
    alt="Share of the error left against the number of cells of a type, after 20 and 200 steps, on the curves of the "
    "formula. Types with many cells are done after 20 steps, the rarest keeps a tenth of its error after 200.",
)

# %% [markdown]
# The big types arrive first. A type's slope is *averaged over all cells*, so 8 cells among 700 pull with 1 % of the
# force. Here this is an exact law; in a deep network the cause is the same. Remember it when a rare population is
# blurred in a latent space after a short training.
#
# **What breaks it.** Adam divides each slope by its usual size, and so a rare type's weight moves as fast as any other.
# But a hidden layer is shared: there the large types decide which way its weights go.

# %% [markdown]
# ## 2a.7 A noisy slope is good enough
#
# **Question.** With a million cells each exact step would wait for all of them. Must it?
#
# The slope is a *mean over cells*, and a mean can be estimated from a sample, a **minibatch**. Cell $i$ contributes
# $g_i = 2 r_i x_i$ to the slope of $w$. The mean over $n_{\text{mini}}$ of the $n$ cells, drawn without replacement,
# scatters about the full slope with
#
# $$\operatorname{sd} = \frac{\sigma_g}{\sqrt{n_{\text{mini}}}}\, \sqrt{\frac{n - n_{\text{mini}}}{n - 1}},$$
#
# where $\sigma_g$ is the spread of the $g_i$. The second root is the reward for never drawing a cell twice: at
# $n_{\text{mini}} = n$ no noise is left.

# %%
g = 2 * (-0.6 * x + 0.4 - y) * x  # (cells,), each cell's slope at w = -0.6, b = 0.4
sizes = torch.tensor([4, 8, 16, 32, 64, 128, 256, 512])
predicted = g.std(unbiased=False) / sizes.sqrt() * ((700 - sizes) / 699).sqrt()

# %%
generator = torch.Generator().manual_seed(0)
draws = torch.stack([g[torch.randperm(700, generator=generator)] for _ in range(2000)])  # (draws, cells)
measured = torch.stack([draws[:, :size].mean(1).std() for size in sizes])
print(f"full slope {g.mean():.3f}   measured / predicted:", (measured / predicted).round(decimals=1).tolist())

# %% fold="What is drawn: slopes from minibatches of two sizes, and their noise by size"
axes = plots.panels(2, height=3.4, width=4.6)
plots.histogram({f"{s} cells": draws[:, :s].mean(1) for s in (8, 128)}, 40, ax=axes[0], ylabel="how many of 2000 draws")
axes[0].axvline(g.mean(), color="0.4", linewidth=1)
axes[0].set_xlabel("slope of the loss in w, from one minibatch")
plots.points(sizes, measured, "measured", ax=axes[1])
plots.lines(sizes, {"formula": predicted}, ax=axes[1], xscale="log", yscale="log", ylabel="noise (sd) of the slope")
axes[1].set_xlabel("cells in the minibatch")
plots.show(
    axes[0],
    alt="Left: slopes from minibatches of 8 cells scatter widely about the full slope, those of 128 cells narrowly. "
    "Right: the measured noise falls with the minibatch size on the line of the formula.",
)

# %% [markdown]
# **Sixteen times the cells, a quarter of the noise** (0.23, thanks to the second root). Small minibatches are the
# better bargain, as Bottou, Curtis and Nocedal argue ([references](../../docs/references.md)). Spend one look at each
# of the 700 cells on one exact step, or a look at 640 of them on five noisy ones:


# %%
def steps_on(minibatches: list[Tensor]) -> float:
    w, b = torch.tensor(-0.6, requires_grad=True), torch.tensor(0.4, requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=0.5)
    for cells in minibatches:
        optimizer.zero_grad()
        ((w * x[cells] + b - y[cells]) ** 2).mean().backward()
        optimizer.step()
    return ((w * x + b - y) ** 2).mean().item()


# %%
order = torch.randperm(700, generator=torch.Generator().manual_seed(0))
print(f"1 exact step: loss {steps_on([order]):.2f}   5 noisy steps: loss {steps_on(order[:640].split(128)):.2f}")

# %% [markdown]
# The best possible loss is 0.014. 128 cells a minibatch is scVI's choice.
#
# **What breaks it.** A minibatch has to be a *random* handful. Many files are sorted by cell type; unshuffled, a
# minibatch sees a few types only, and its slope points where these want to go:

# %%
sorted_g = g[cell_type.argsort(stable=True)]  # a file sorted by cell type
for name, portion in (("first 128 cells (T cells)", sorted_g[:128]), ("last 128 (dendritic)", sorted_g[-128:])):
    off = (portion.mean() - g.mean()).abs() / predicted[5]
    print(f"{name}: slope {portion.mean():+.2f}, off by {off:.0f} times the noise of 128 shuffled cells")

# %% [markdown]
# <details><summary><b>Check yourself.</b> You halve the minibatch. What should become of the learning rate?</summary>
#
# The noise of the slope grows by about 1.4, so each step wanders more: a somewhat smaller rate, or one that falls
# towards the end of training, makes up for it. The safe limit does not change; it belongs to the loss, not to the
# sample.
#
# </details>
#
# **What to take along.** A loss that grows from the first step: rate too large. Slow regular waves: gradients never
# cleared. Jumps from wall to wall: rate near its limit. Irregular jumps: minibatches small, or not shuffled. Falls, but
# a rare type stays blurred: train longer. Back to [lesson 2](../02_pytorch_linear.ipynb).
