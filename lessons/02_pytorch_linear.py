# %% [markdown]
# # Lesson 2 · PyTorch and nn.Linear
#
# {{links}}
#
# **You will be able to**
#
# - predict the shape of what you compute, and catch a broadcast that you did not ask for (quiz 1)
# - find a slope by hand and by `backward()`, and walk downhill with it (exercise 2.3, quiz 2)
# - write `nn.Linear` and `FCLayers` yourself, with every parameter registered (exercises 2.1 and 2.4, quiz 3)
# - feed a category to a network as one-hot columns (exercise 2.2)
# - say what batch normalisation and dropout do in their two modes (quizzes 4 and 5)
# - build an encoder with two heads, and judge a trained network against simple rivals (exercise 2.5, quizzes 6 and 7)
#
# **Time:** about {{minutes}} minutes, exercises included; if you try everything, twice that, with a pause after
# section 2.6. **You need:** lesson 0, and for section 2.9 the Gaussian of lesson 1.
#
# Running an exercise's cell checks your answer. `hint("2.1")` helps, `solution("2.1")` shows ours, and an unsolved
# exercise never stops the notebook. Exercise numbers are names, not an order: 2.3 comes first.

# %% setup=true
import torch
from torch import Tensor, nn

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, quiz, solution

# %% [markdown]
# ## 2.1 The bug that prints a number
#
# **Question.** Does a cell with more counts show more genes? We fit a line, and meet the most common bug of deep
# learning.

# %%
data = vc.load_pbmc()
counts, batch_index, labels = data.minibatch(range(data.n_cells))  # dense tensors of the cells that are named
library = counts.sum(dim=1)  # (cells,)
detected = (counts > 0).sum(dim=1).float()  # (cells,)
x = torch.log2(library / library.median())  # (cells,), doublings of the counts
y = torch.log2(detected / detected.median())  # (cells,), doublings of the genes
print("counts", tuple(counts.shape), counts.dtype, " labels", tuple(labels.shape), labels.dtype)

# %% [markdown]
# A tensor is numbers with a **shape**, the lengths of its axes, and a **dtype**: `counts` is (cells, genes), and codes
# such as `labels` are `int64`. A sum names the axis that *disappears*: `dim=1` leaves one total a cell.
#
# $x$ says how many doublings a cell's counts lie above the median cell's, $y$ the same of its genes. Two rivals predict
# $y$: the line $\hat y = 0.294\,x + 0.019$, which section 2.3 will find, and a flat line at the mean. Like a
# network, both return a column of predictions, (cells, 1). The **loss** is the mean squared error.
#
# **Predict.** Which loss is smaller? (a) The line's, by far. (b) They are about equal. (c) The flat line's.

# %%
predictions = {"line": 0.294 * x + 0.019, "flat": torch.full((700,), y.mean())}
predictions = {name: prediction.unsqueeze(1) for name, prediction in predictions.items()}  # (cells, 1)
for name, prediction in predictions.items():
    print(f"{name}: loss {((prediction - y) ** 2).mean():.4f}")

# %% [markdown]
# The flat line wins. Here are the data, and the same mistake with three numbers:

# %% fold="What is drawn: the cells, the line, and the flat line"
ax = plots.points(x, y, "a cell", xlabel="counts, doublings from the median cell", ylabel="genes, doublings")
ax.collections[0].set_color("0.6")
ends = torch.tensor([-1.1, 1.5])
plots.lines(ends, {"line": 0.294 * ends + 0.019, "flat": 0 * ends + y.mean()}, ax=ax)
plots.show(ax, alt="700 cells: detected genes rise with counts. A line follows them, a flat one at the mean does not.")

# %%
y_toy = torch.tensor([1.0, 2.0, 4.0])  # (cells,)
prediction_toy = torch.tensor([[1.0], [2.0], [4.0]])  # (cells, 1), every cell exactly right
print(prediction_toy - y_toy)

# %% [markdown]
# Instead of three zeros we got each cell's prediction minus *every* cell's truth. The rule behind it is
# **broadcasting**: write both shapes flush right; at each place the lengths must be equal, or one of them is 1 or
# missing, and is stretched.
#
# | left | right | result |
# |---|---|---|
# | (700, 765) | (700, 1) | (700, 765): one number a cell |
# | (700, 765) | (700,) | an error: 765 meets 700 |
# | (700, 1) | (700,) | **(700, 700)**: nobody wanted this |
#
# The cure is to give both the same shape: `squeeze(1)` drops an axis of length 1, `unsqueeze(1)` adds one.

# %%
for name, prediction in predictions.items():
    residual = prediction.squeeze(1) - y  # (cells,) - (cells,)
    print(f"{name}: loss {(residual**2).mean():.4f}")

# %% [markdown]
# Now the line wins. **What breaks it.** Nothing would have told you: the broken loss even falls in training. But since
# each prediction has to please all 700 cells, the best answer is the mean. If your network learns an average
# and nothing else, print two shapes first.

# %%
quiz("2.1")

# %% [markdown]
# ## 2.2 One slope, three ways
#
# **Question.** If I turn this knob a little, what does the loss do? The **gradient** answers for every knob at once.
#
# A cell has input $x = 2$ and target $y = 3$; the weight is $w = 0.5$ and the loss $J = (wx - y)^2$. In steps:
# $u = wx = 1$, $r = u - y = -2$, $J = r^2 = 4$.
#
# **By hand.** The **chain rule** multiplies the slopes of the steps:
#
# $$\frac{dJ}{dw} = \frac{dJ}{dr}\,\frac{dr}{du}\,\frac{du}{dw} = 2r \cdot 1 \cdot x = -4 \cdot 1 \cdot 2 = -8.$$
#
# **By finite difference**, with a small step $h$ to either side:
#
# $$\frac{dJ}{dw} \approx \frac{J(w + h) - J(w - h)}{2h}.$$
#
# **By PyTorch.** With `requires_grad=True`, PyTorch records every operation on $w$ ([Paszke et al.
# 2019](https://doi.org/10.48550/arXiv.1912.01703)); `backward()` walks this record back from the loss, multiplies the
# slopes as we did, and leaves the product in `.grad`. That is **autograd** ([Baydin et al.
# 2018](https://doi.org/10.48550/arXiv.1502.05767)).


# %%
def loss_of(w):
    return (w * 2 - 3) ** 2


w = torch.tensor(0.5, requires_grad=True)
loss_of(w).backward()
print("finite difference:", round((loss_of(0.51) - loss_of(0.49)) / 0.02, 4), "  autograd:", w.grad.item())

# %% [markdown]
# Whenever you doubt a gradient, take the finite difference.
#
# **Predict.** We call `loss_of(w).backward()` once more, $w$ unchanged. What does `w.grad` hold? (a) -8. (b) -16. (c)
# 0.

# %%
loss_of(w).backward()
print(w.grad.item())

# %% [markdown]
# **What breaks it.** `backward()` *adds* to `.grad`, so that cells can come in portions. We clear it ourselves, with
# `w.grad = None` or an optimizer's `zero_grad()`.
#
# A second rule: PyTorch refuses to change a **leaf** such as `w`, where the record begins. Inside
# `with torch.no_grad():` nothing is recorded, and it may change **in place**: the same tensor gets a new value.

# %%
from collections.abc import Iterable  # what exercise 2.3 calls anything that a loop can walk over

same = w  # a second name for the same tensor
with torch.no_grad():
    w -= 0.1  # in place
print(f"after w -= 0.1      w = {w.item():.1f}   same = {same.item():.1f}")
w = w - 0.1  # a new tensor takes the name w; the old one stays as it is
print(f"after w = w - 0.1   w = {w.item():.1f}   same = {same.item():.1f}")

# %% [markdown]
# ## 2.3 A step downhill
#
# **Question.** How does a machine find the line with slope 0.294?
#
# By **gradient descent**: step against the slope, by a length that the **learning rate** $\eta$ (`lr`) scales, again
# and again. For any parameter $p$:
#
# $$p \leftarrow p - \eta\, \frac{\partial J}{\partial p}.$$
#
# The round $\partial$ says: the slope along $p$, all other parameters held still. How fast the slope itself changes is
# the **curvature**: large in a narrow valley, small in a wide one. Predict, then move the ball:

# %%
vc.explore.descent()

# %% [markdown]
# Write `gradient_step(params, loss, lr)`. `params` holds the parameters, `loss` is a scalar computed from them. Fill
# the gradients, then change each parameter in place, so that the code outside, which holds the same tensors, sees it.
# Return nothing. `.grad` is empty before, and has to be `None` or zero after.
#
# *By hand.* $p = 0.5$, $J = (2p - 3)^2$, $\eta = 0.1$: the slope is $-8$, so $p$ becomes $0.5 + 0.8 = 1.3$.
#
# Mind: `params` may be a list or a **generator**, which hands out its items once and is then empty. Use one loop, or
# make it a list first.

# %% exercise="2.3" source="vae_course.exercises.e2_3.answer.gradient_step" minutes=6 difficulty=2

# %%
w, b = torch.tensor(-0.6, requires_grad=True), torch.tensor(0.4, requires_grad=True)  # on the real cells
path = [(w.item(), b.item())]
for _ in range(40):
    gradient_step([w, b], ((w * x + b - y) ** 2).mean(), 0.5)
    path.append((w.item(), b.item()))
print(f"w = {w.item():.3f}   b = {b.item():.3f}")

# %% fold="What is drawn: the loss for every w and b, and the walk from the square"
grid_w, grid_b = torch.linspace(-0.8, 1.0, 61), torch.linspace(-0.6, 0.6, 61)
fitted = grid_w[None, :, None] * x + grid_b[:, None, None]  # (61 b, 61 w, cells)
ax = plots.landscape(
    grid_w, grid_b, ((fitted - y) ** 2).mean(-1), path, colorbar="loss J", xlabel="slope w", ylabel="intercept b"
)
plots.show(
    ax,
    alt="Map of the loss, a valley long in w and narrow in b. From the upper left the walk drops to the floor of the "
    "valley in one step and follows it, in ever shorter steps, to the bottom at w = 0.29.",
)

# %% [markdown]
# Twice the counts give $2^{0.29} = 1.22$ times the genes: the common genes are found already. One learning rate has to
# serve the steepest direction and the flattest: a small one crawls along the valley, and above $2 / \text{curvature}$
# every jump across it is larger than the last.
#
# Why just there, and why do rare cell types learn slowly? 20 minutes:
# [deeper/2a](deeper/2a_what_one_step_can_do.ipynb).

# %%
quiz("2.2")

# %% [markdown]
# ## 2.4 A box that knows its parameters
#
# **Question.** Two knobs fit in two variables. Who keeps the list when there are 100,000?
#
# A **module**, a class that inherits from `nn.Module`. Its `__init__` makes the parts, its `forward` says how the input
# flows through them.
#
# **If you have never written a class:** it is a plan, from which objects are made. `Line()` makes one and runs
# `__init__` on it, with whatever stands in the brackets. `self` is the object: `self.w = ...` keeps something where
# `forward` finds it again. `super().__init__()` lets `nn.Module` set itself up, and comes first. Calling the object,
# `line(x)`, runs `forward`.


# %%
class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(-0.6))
        self.b = nn.Parameter(torch.tensor(0.4))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x + self.b


line = Line()
for _ in range(40):
    gradient_step(line.parameters(), ((line(x) - y) ** 2).mean(), 0.5)
print([(name, round(p.item(), 3)) for name, p in line.named_parameters()])

# %% [markdown]
# An `nn.Parameter` is a tensor with `requires_grad=True` and a mark: *when I am assigned to a module, write me on its
# list.* This **registration** happens at `self.w = ...`, for parameters and modules only. Optimizers read the list.
#
# **Predict.** Below, two layers stand in a Python list. Which tensors are registered? (a) All. (b) Those of `last`. (c)
# None, and an error says so.


# %%
class Hidden(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [nn.Linear(3, 3), nn.Linear(3, 3)]
        self.last = nn.Linear(3, 1)


print([name for name, _ in Hidden().named_parameters()])

# %% [markdown]
# **What breaks it.** The network computes, the loss prints, and two layers stay as random as they began.
# `nn.ModuleList([...])` or `nn.Sequential(...)` mends it. The cheapest test is to count a network's parameters by hand
# once.

# %%
quiz("2.3")

# %% [markdown]
# ## 2.5 nn.Linear from scratch
#
# **Question.** What is inside the layer that all of deep learning is made of?
#
# A line with many inputs and many outputs, a **linear layer**. Output $j$ is a weighted sum of all inputs plus an
# offset:
#
# $$y_j = \sum_{k} W_{jk}\, x_k + b_j, \qquad \text{or for all cells at once} \qquad Y = X W^\top + b.$$
#
# ```
#     X                 W transposed          b              Y
# (cells, n_in)   @   (n_in, n_out)    +  (n_out,)   =  (cells, n_out)
# ```
#
# The **weight** has a row for every output. `@` multiplies rows by columns; the inner lengths have to agree, and
# vanish.
#
# How large should fresh weights be? Variances of independent terms add: with $n_{\text{in}}$ inputs of spread 1 and
# weights of size 1, the sum has variance $n_{\text{in}}$.

# %%
weight = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 0.5]])  # (n_out, n_in) = (2, 3)
one_cell = torch.tensor([1.0, 2.0, 3.0])  # (n_in,)
print("weight.T:", tuple(weight.T.shape), "  sums:", one_cell @ weight.T)  # (n_in,) @ (n_in, n_out) -> (n_out,)
torch.manual_seed(0)
for n_in in (10, 1000):
    sums = torch.randn(500, n_in) @ torch.randn(n_in, 500)  # (cells, n_out)
    print(f"n_in {n_in:4d}: size {sums.std():5.1f}, divided by the root of n_in {sums.std() / n_in**0.5:.2f}")

# %% [markdown]
# Write the class `Linear`, a child of `nn.Module`, without `nn.Linear`. `Line` above shows the form.
#
# - `__init__(n_in, n_out)` makes the parameters `weight`, (n_out, n_in), drawn at random (`torch.randn`), and `bias`,
#   (n_out,), which may start at zero. Divide the draw by $\sqrt{n_{\text{in}}}$; the check passes without, and
#   warns.
# - `forward(x)` takes (..., n_in), also a single cell (n_in,), and returns (..., n_out).
#
# *By hand.* With the weight above and the bias $(10, 0)$ the cell $(1, 2, 3)$ gives $(-2 + 10, 3 + 0) = (8, 3)$.

# %% exercise="2.1" source="vae_course.exercises.e2_1.answer.Linear" minutes=12 difficulty=2

# %%
features = torch.log1p(counts)  # (cells, genes), log(1 + count)
theirs, ours = nn.Linear(765, 2), Linear(765, 2)
ours.load_state_dict(theirs.state_dict())
print("same numbers:", torch.allclose(ours(features), theirs(features), atol=1e-5), tuple(ours(features).shape))

# %% [markdown]
# `state_dict()` lists a module's tensors by name, `load_state_dict()` copies such a list into another module. *Load the
# weights and compare the outputs*: so one shows that two programs are the same model. Lesson 5 does it with scvi-tools.
#
# **What breaks it.** Constant weights. Two outputs that start equal and are used alike get equal gradients, and stay
# equal: a layer of 128 does the work of one.

# %% [markdown]
# ## 2.6 Categories, and why a bend
#
# **Question.** A cell's type or its laboratory batch comes as a code, 0 to 9. What should a network be given for "type
# 9"?
#
# The number 9 would say that type 9 is nine times type 1. So give each category a column of its own, **one-hot**: 1 in
# the cell's own category, 0 elsewhere. Then a linear layer owns one free weight per category: if $e_k$ is the one-hot
# row of category $k$, the product $e_k W^\top$ looks up column $k$ of $W$.

# %% [markdown]
# Write `one_hot(index, n_categories)`. `index` holds codes 0..n_categories-1 (int64), of shape (cells,) or (cells, 1);
# minibatches bring the second. Return *floating-point* numbers, (cells, n_categories): they will meet weights.
#
# *By hand.* The codes $(2, 0)$ of 3 categories give the rows $(0, 0, 1)$ and $(1, 0, 0)$.
#
# Mind: a category that no cell has keeps its column. You may leave out the docstring's case "one-hot already".

# %% exercise="2.2" source="vae_course.nn.one_hot" minutes=5 difficulty=1

# %%
cell_type = labels.squeeze(1)  # (cells, 1) -> (cells,)
types = one_hot(labels, 10).float()  # (cells, types), float32 like the weights
per_type = Linear(10, 1)
looked_up = per_type.weight[0, cell_type] + per_type.bias  # (cells,)
print("a look-up:", torch.allclose(per_type(types).squeeze(1), looked_up), " cells:", types.sum(0).int().tolist())

# %% [markdown]
# **Are two linear layers in a row more than one?**
#
# $$(x W_1^\top + b_1)\, W_2^\top + b_2 = x\,(W_2 W_1)^\top + (b_1 W_2^\top + b_2).$$
#
# No: again one weight and one bias. What is missing is a **bend**. The simplest is ReLU: negative numbers become 0,
# positive ones pass. We predict, from a gene's mean count, the fraction of cells that show it, without and with a ReLU.
#
# The lines `zero_grad`, `backward` and `step` of an **optimizer** are your `gradient_step`. **Adam** ([Kingma and Ba
# 2015](https://doi.org/10.48550/arXiv.1412.6980)) gives each parameter a step size of its own, measured from its recent
# gradients.
#
# **Predict.** What will the network without a bend say about the rarest genes? (a) Nearly 0. (b) Less than 0. (c)
# Something random.

# %% tags=["volatile"]
gene_mean = torch.log10(counts.mean(0)).unsqueeze(1)  # (genes, 1)
gene_seen = (counts > 0).float().mean(0).unsqueeze(1)  # (genes, 1)
torch.manual_seed(0)
nets = {
    "without a bend": nn.Sequential(Linear(1, 16), Linear(16, 1)),
    "with ReLU": nn.Sequential(Linear(1, 16), nn.ReLU(), Linear(16, 1)),
}
for net in nets.values():
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    for _ in range(600):
        loss = ((net(gene_mean) - gene_seen) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print({name: round(((net(gene_mean) - gene_seen) ** 2).mean().item(), 4) for name, net in nets.items()})

# %% fold="What is drawn: 765 genes and both networks"
ax = plots.points(
    gene_mean, gene_seen, "a gene", xlabel="mean count of a gene (log10)", ylabel="fraction of cells that show it"
)
ax.collections[0].set_color("0.6")
along = torch.linspace(-2.4, 1.5, 200).unsqueeze(1)  # (200, 1)
plots.lines(along, {name: net(along).detach() for name, net in nets.items()}, ax=ax)
plots.show(
    ax,
    alt="Fraction of cells that show a gene against its mean count, an S-shaped cloud with stragglers below. Without a "
    "bend the network draws a straight line that falls below 0; with ReLU it bends with the cloud.",
)

# %% [markdown]
# Without a bend it promises fractions down to -0.4: answer (b).
#
# **A good place for a pause.** Coming back, run all cells above first.

# %% [markdown]
# ## 2.7 Batch norm, dropout, and two modes
#
# **Question.** Two more parts sit in every layer of scVI, and behave in one way while the network learns and in another
# when it is used. What if you forget to switch?
#
# A step need not look at all cells: a random handful, a **minibatch**, gives a slope that is good enough ([Bottou et
# al. 2018](https://doi.org/10.1137/16M1080173)). **Batch normalisation** ([Ioffe and Szegedy
# 2015](https://doi.org/10.48550/arXiv.1502.03167)) centres and scales each column $h$ over the minibatch, by its mean
# $m$ and variance $v$ there:
#
# $$\tilde h = \gamma\, \frac{h - m}{\sqrt{v + \epsilon}} + \beta,$$
#
# with parameters $\gamma$ and $\beta$, which start at 1 and 0, and a small $\epsilon$ against division by zero. It
# cures narrow valleys inside the network: all columns become equally large.

# %%
h = torch.tensor([[1.0, 100.0], [2.0, 300.0], [3.0, 200.0], [6.0, 400.0]])  # (cells, columns)
norm = nn.BatchNorm1d(2, momentum=0.01, eps=0.001)
print(norm(h).detach().round(decimals=2))  # detach() leaves the record behind and keeps the numbers
print("mean of the minibatch:", h.mean(0).tolist(), "  running mean:", norm.running_mean)

# %% [markdown]
# But a single cell has no spread. When the network is *used*, batch norm goes by **running averages** of $m$ and $v$,
# gathered in training: with momentum 0.01 each minibatch moves them by 1 %. They are *buffers*: saved with the model,
# and touched by no gradient. Predict, then move the cell and its companions:

# %%
vc.explore.batch_norm()

# %% [markdown]
# **What the averages remember.** The running mean starts at 0, so after $T$ minibatches it has come $1 - 0.99^T$ of the
# way: 18 % after 20, 63 % after 100, 95 % after 300. And the averages lag behind *moving* weights: they belong to the
# last hundred networks. Lesson 5 meets a model that looked wrong for no other reason.
#
# **Dropout** sets each number to zero with probability $d$ (`dropout_rate`), afresh at every call, and multiplies the
# survivors by $1/(1-d)$, so that the mean stays.
#
# `model.train()` and `model.eval()` switch the mode of a module and of everything in it; a fresh one is in train mode.
#
# | | `train()` | `eval()` |
# |---|---|---|
# | batch norm | mean and variance of this minibatch; moves the running averages | the running averages, fixed |
# | dropout | zeros at random | passes everything |
#
# We encode the same 64 cells beside B cells and beside dendritic cells, in either mode. Dropout is off ($d = 0$).
#
# **Predict.** In train mode, do the 64 cells get the same codes both times?

# %%
torch.manual_seed(0)
network = nn.Sequential(Linear(765, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.0), Linear(64, 2))
for _ in range(50):  # in train mode; PyTorch's own momentum is 0.1, so the averages come 1 - 0.9**50 = 99 % of the way
    network(features)
cells = features[(cell_type != 6) & (cell_type != 9)][:64]  # neither B nor dendritic
beside = [torch.cat([cells, features[cell_type == k][:64]]) for k in (6, 9)]  # (128, genes) each
encoded = {mode: [network.train(mode == "train()")(both)[:64, 0].detach() for both in beside]
           for mode in ("train()", "eval()")}  # fmt: skip

# %% fold="What is drawn: the first encoding of each cell against the second"
axes = plots.panels(2, height=3.4, width=3.8)
everything = torch.stack([codes for both in encoded.values() for codes in both])  # (4, 64)
limits = everything.min().item() - 0.2, everything.max().item() + 0.2
for ax, (mode, (one, two)) in zip(axes, encoded.items(), strict=True):
    plots.points(one, two, ax=ax, title=mode, xlabel="code beside B cells", xlim=limits, ylim=limits)
    ax.axline((0, 0), slope=1, color="0.4", linewidth=1)
axes[0].set_ylabel("code beside dendritic cells")
plots.show(
    axes[0],
    alt="Codes of the same 64 cells, encoded beside B cells and beside dendritic cells. In train mode the points lie "
    "off the diagonal, in eval mode on it.",
)

# %% [markdown]
# Through batch norm alone, a cell's code depends on its neighbours in the minibatch. The rule: **`model.train()` before
# the training loop, `model.eval()` before everything you report.**

# %%
quiz("2.4")

# %%
quiz("2.5")

# %% [markdown]
# ## 2.8 FCLayers
#
# **Question.** `Linear`, batch norm, ReLU, dropout, again and again. How do we write it once?
#
# Take a toy with 3 features, hidden width 4 and 2 outputs. **One layer** is a list of parts, any of which may be left
# out; the star in `nn.Sequential(*steps)` unpacks it. For **several**, `pairwise` walks over neighbouring widths, and
# an `OrderedDict` names the layers.

# %%
steps = [nn.Linear(3, 4)]
steps.append(nn.ReLU())
one_layer = nn.Sequential(*steps)
print(tuple(one_layer(torch.ones(2, 3)).shape))  # (cells, 3) -> (cells, 4)

# %%
from collections import OrderedDict
from collections.abc import Sequence  # a list or a tuple
from itertools import pairwise

print([f"{width_in} -> {width_out}" for width_in, width_out in pairwise([3, 4, 2])])
named = nn.Sequential(OrderedDict([("Layer 0", one_layer), ("Layer 1", nn.Linear(4, 2))]))
print([name for name, _ in named.named_parameters()])

# %% [markdown]
# **Covariates** are what we know of a cell besides its counts: its donor, or its **experimental batch**
# (`batch_index`), the laboratory run that measured it (no minibatch). Fed to *every* layer, they can shift its sums:
#
# ```
#             ┌────────────── Layer 0 ──────────────┐    ┌────────────── Layer 1 ──────────────┐
#   x ───────►│ Linear ► BatchNorm ► ReLU ► Dropout ├───►│ Linear ► BatchNorm ► ReLU ► Dropout ├──► out
#             └───▲─────────────────────────────────┘    └───▲─────────────────────────────────┘
#   one-hot ──────┴──────────────────────────────────────────┘
# ```
#
# There may be any number of them. So `forward` has a star in its *signature*: `*cat_list` gathers all further arguments
# in one tuple. `one_hot_covariates` makes the columns of each, and none for a single category; `torch.cat` puts tables
# side by side.

# %%
from vae_course.nn import one_hot_covariates


def widen(x, *cat_list):
    columns = one_hot_covariates(cat_list, [2, 1], n_cells=len(x))  # numbers of categories: 2 and 1
    return torch.cat([x, *columns], dim=1)


print(widen(torch.ones(2, 3), torch.tensor([1, 0]), torch.tensor([0, 0])))  # (cells, 3) -> (cells, 3 + 2)

# %% [markdown]
# Write the class `FCLayers`. In `__init__`, after `super().__init__()`:
#
# 1. Keep `n_cat_list` on `self`, with a 0 for every covariate of one category (its sum counts columns; `None`
#    means no covariates).
# 2. Widths: n_in, then `n_layers - 1` times n_hidden, then n_out.
# 3. For each pair of neighbours a list of steps: `nn.Linear` (yours will do), wider by the number of one-hot columns;
#    `nn.BatchNorm1d(width_out, momentum=0.01, eps=0.001)` if `use_batch_norm`; `nn.ReLU()`; `nn.Dropout(dropout_rate)`.
# 4. Layers named `"Layer 0"`, `"Layer 1"`, ... in an `nn.Sequential` called `self.fc_layers`.
#
# In `forward(x, *cat_list)`: make the columns once; then, layer by layer, put them behind the input anew and apply the
# layer. `x` is (cells, n_in), the result (cells, n_out). You may leave out the docstring's (samples, cells, n_in), and
# errors of your own.
#
# *By hand.* `FCLayers(3, 2, [2, 1], n_layers=2, n_hidden=4)` maps 5 columns (3 and 2) to 4, then 6 to 2. Its linear
# layers have $5 \cdot 4 + 4 = 24$ and $6 \cdot 2 + 2 = 14$ parameters, its batch norms 8 and 4: 50 in all.

# %% exercise="2.4" source="vae_course.nn.FCLayers" minutes=20 difficulty=3

# %%
small = FCLayers(3, 2, [2, 1], n_layers=2, n_hidden=4)
print([type(step).__name__ for layer in small.fc_layers for step in layer])
print("parameters:", sum(p.numel() for p in small.parameters()))

torch.manual_seed(0)
trunk, package = FCLayers(765, 128, [10]).eval(), vc.nn.FCLayers(765, 128, [10]).eval()
package.load_state_dict(trunk.state_dict())
as_is, as_if = trunk(features, labels), trunk(features, 0 * labels)  # (cells, 128) each
print("the package's:", torch.allclose(as_is, package(features, labels), atol=1e-5))
print("changed:", (as_is != as_if).any(1).sum().item(), "of", (cell_type != 0).sum().item(), "cells of other types")

# %% [markdown]
# Yours gives the package's numbers. Told that *all* cells are of type 0, it changes its answer for the others alone.

# %% [markdown]
# ## 2.9 An encoder has two heads
#
# **Question.** No layer of `FCLayers` can say "minus two". How does a network say a mean and a variance?
#
# `FCLayers` is a trunk, and needs a **head**; an encoder needs two. Its answer about a cell is a distribution, $q(z
# \mid x) = \mathcal N(\mu, \sigma^2)$, a mean and a variance for each latent. A linear layer may say any number, a
# variance may not. Three ways to read one:

# %%
raw = torch.tensor([-3.0, 0.0, 3.0])
for name, var in (("as it is", raw), ("relu", torch.relu(raw)), ("exp", raw.exp())):
    print(f"{name:9s} variance {[round(v, 2) for v in var.tolist()]}   sd {[round(v, 2) for v in var.sqrt().tolist()]}")

# %% [markdown]
# As it is: `nan`. With ReLU: a variance of 0, by which a density divides. The exponential is always positive.
# So a head returns a **log-variance**, $\log \sigma^2$ (`logvar`), any number, and $\sigma^2 = \exp(\text{logvar})$.
#
# Write the class `GaussianHead`. `__init__(n_in, n_latent)` makes **two** affine layers, each with parameters of its
# own. `forward(h)` takes features (cells, n_in) and returns the pair (mean, logvar), each (cells, n_latent). No
# activation: both may be negative.
#
# *By hand.* `GaussianHead(128, 10)` has $2 \cdot (128 \cdot 10 + 10) = 2580$ parameters.

# %% exercise="2.5" source="vae_course.exercises.e2_5.answer.GaussianHead" minutes=4 difficulty=1


# %%
class TwoHeadEncoder(nn.Module):
    def __init__(self, n_genes: int, n_latent: int, n_hidden: int = 128) -> None:
        super().__init__()
        self.trunk = FCLayers(n_genes, n_hidden)
        self.head = GaussianHead(n_hidden, n_latent)

    def forward(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.trunk(torch.log1p(counts)))  # (cells, n_latent) twice


torch.manual_seed(0)
encoder = TwoHeadEncoder(data.n_genes, 2).eval()
mean, logvar = encoder(counts)  # (cells, latent) each
print("logvar has both signs:", bool((logvar < 0).any() and (logvar > 0).any()))
print("every variance is positive:", bool((logvar.exp() > 0).all()))

# %% [markdown]
# An encoder: for every cell a place and an uncertainty.

# %% [markdown]
# ## 2.10 Train something small and real
#
# **Question.** Do these parts learn? Let them name the group of cells that they have never seen, one of lesson 0's six.
#
# The network is your `FCLayers` with your `Linear` as its head, one output a group. These **logits** $a_k$ go through
# the **softmax**, $e^{a_k} / \sum_j e^{a_j}$, and become probabilities. A cell of the true group $c$ costs minus the
# log-probability of $c$; the mean over cells is the **cross-entropy**, in nats per cell. One walk through all training
# cells, minibatch by minibatch, is an **epoch**.

# %%
merged = ["T cell" if name.startswith(("CD4+", "CD8+")) else str(name) for name in data.label_names]
group_names = sorted(set(merged))
groups = torch.tensor([group_names.index(merged[label]) for label in cell_type])  # (cells,)
print({name: (groups == k).sum().item() for k, name in enumerate(group_names)})


# %%
def cross_entropy(logits: Tensor, c: Tensor) -> Tensor:
    log_p = logits.log_softmax(dim=1)  # (cells, groups)
    return -(one_hot(c, logits.shape[1]) * log_p).sum(1).mean()


def train(model: nn.Module, cells: Tensor, n_epochs: int = 10, lr: float = 0.1) -> nn.Module:
    for _ in range(n_epochs):
        model.train()
        for some in cells[torch.randperm(len(cells))].tensor_split(len(cells) // 56):  # 56 cells or a few more
            gradient_step(model.parameters(), cross_entropy(model(features[some]), groups[some]), lr)
    return model.eval()


# %% [markdown]
# Five times we hold a fifth of the cells out and train on the rest: every cell is judged once. One rival always says
# the largest group, the other is a single `Linear`. A share $p$ of $n$ cells has the standard error
# $\sqrt{p\,(1 - p)/n}$.
#
# **Predict.** What will each score? Write down three numbers, in per cent.

# %% tags=["volatile"]
(n_cells, n_genes), n_groups = features.shape, int(groups.max()) + 1
makers = {
    "FCLayers": lambda: nn.Sequential(FCLayers(n_genes, 64), Linear(64, n_groups)),
    "Linear alone": lambda: Linear(n_genes, n_groups),
}
order = torch.randperm(n_cells, generator=torch.Generator().manual_seed(0))
fold = torch.arange(n_cells) * 5 // n_cells  # (cells,), 0 to 4: the fifth that each place of `order` is in
right = {"largest group": (groups == groups.mode().values).float()} | {name: torch.zeros(n_cells) for name in makers}
for name, make in makers.items():
    torch.manual_seed(0)
    for k in range(5):
        model, held_out = train(make(), order[fold != k]), order[fold == k]
        right[name][held_out] = (model(features[held_out]).argmax(1) == groups[held_out]).float()
for name, is_right in right.items():
    p = is_right.mean().item()
    print(f"{name:13s} right for {p:.1%} ± {(p * (1 - p) / n_cells) ** 0.5:.1%} of held-out cells")
difference = right["FCLayers"] - right["Linear alone"]  # (cells,), -1, 0 or 1
print(f"cell by cell, FCLayers minus Linear: {difference.mean():+.1%} ± {difference.std() / n_cells**0.5:.1%}")
if not 0.85 < right["FCLayers"].mean() < 0.95:
    print("(On our cells, with `train` as it is above, FCLayers is right for about 90 %.)")

# %% [markdown]
# Made of your own parts, the network names nine in ten unseen cells rightly; the largest group alone is a third. The
# straight rival does about as well: they differ by little more than the error of their difference. Where every group
# has its own marker genes, a weighted sum is enough. A network shows its worth where the answer bends, as in section
# 2.6, or where there is no label, as in lesson 3.
#
# Ten epochs of ten minibatches bring batch norm's averages only 63 % of the way (section 2.7). That costs FCLayers less
# than one point here; lesson 3 finishes the averages.
#
# **Your turn, without a checker: break it.** Change one line of `train`: drop the `eval()` at its end; or make `lr` 10;
# or take the cells sorted by group, `cells[groups[cells].argsort()]`, instead of shuffled. First write down what both
# models will score. How would somebody who does not know what you did notice?
#
# <details><summary><b>What a good answer contains</b></summary>
#
# One change, one prediction, one number that differs, and a check that would catch it.
#
# - Without `eval()` the scores hardly move, which is the danger. But asked twice about the same cells FCLayers gives
#   two answers: ask twice.
# - With `lr` 10 FCLayers is right for about half of the cells, Linear still for 90 %. The losses start above 10, where
#   guessing costs $\log 6 = 1.79$: print the loss.
# - Sorted, FCLayers is right for about 68 %, Linear for 82 %: print the groups of a minibatch.
#
# </details>

# %% [markdown]
# ## 2.11 What can I now do with my data?
#
# Train this network on a file of your own. `load_h5ad` keeps counts; `label_key` names the column of `adata.obs` that
# holds your annotation:
#
# ```python
# data = vc.load_h5ad("mine.h5ad", label_key="cell_type")
# counts, batch_index, labels = data.minibatch(range(data.n_cells))
# features, groups = torch.log1p(counts), labels.squeeze(1)
# ```
#
# Then run section 2.10 again, from `cross_entropy` on. Keep the rivals, and hold out whole *donors*: cells of one donor
# resemble each other.

# %% [markdown]
# ## 2.12 Quiz
#
# Decide first, then click.

# %%
quiz("2.6")

# %%
quiz("2.7")

# %% [markdown]
# ## 2.13 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `Linear` | - (uses `nn.Linear`) | - (uses `nn.Linear`) | - (uses `nn.Linear`) |
# | `one_hot` | `vae_course.nn.one_hot` | `one_hot` | `torch.nn.functional.one_hot` |
# | `gradient_step` | `Trainer` (with Adam) | `Trainer` (with Adam) | `TrainingPlan` (with Adam) |
# | `FCLayers` | `vae_course.nn.FCLayers` | `FCLayers` | `FCLayers` |
# | `GaussianHead` | `mean_encoder`, `var_encoder` in `Encoder` | the same two | the same two |
# | `TwoHeadEncoder` | `vae_course.nn.Encoder` | `Encoder` | `Encoder` |
#
# Lesson 3 puts your encoder in front of a decoder and trains the whole. Symbols are in the
# [notation](../docs/notation.md), words in the [glossary](../docs/glossary.md).

# %% tags=["volatile"]
progress()
