# %% [markdown]
# # Lesson 3 · The demo, running the network
#
# {{links}}
#
# **You will be able to**
#
# - put a variational autoencoder together, and keep its $\sigma$, $\sigma^2$ and $\log\sigma^2$ apart (quiz 1)
# - compute its loss by hand and in code, and spot a weight on the KL that nobody set (exercise 3.1, quiz 5)
# - write the training loop and read its curves (exercise 3.2, quiz 2)
# - make up data, and walk between two cells without believing too much (exercises 3.3 and 3.4, quizzes 3 and 4)
# - name what is wrong with a run from its curves (exercise 3.5, quiz 6)
#
# **Time:** about {{minutes}} minutes, exercises included; if you try everything, twice that, with a pause after
# section 3.6. **You need:** lesson 1 (KL divergence, binary cross-entropy) and lesson 2.

# %% setup=true
import torch
from torch import Tensor, nn

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, quiz, solution

# %% [markdown]
# ## 3.1 Data you can look at
#
# **Question.** A generative model makes things up. How do you see whether it does so well?
#
# On data that we judge at a glance: 1,797 handwritten digits of 8 x 8 pixels, each on (1) or off (0). An image stands
# in for a cell, a pixel for a gene; cells come in section 3.7, with the same code. We hold out 297 images to judge by.
# No model is told which digit an image shows.
#
# The simplest generative model throws a loaded coin for each pixel: it says "on" as often as that pixel is on in the
# training images.
#
# **Predict.** What comes out? (a) Digits that one can read. (b) The same blurred average every time. (c) Black specks
# that are no digit.

# %%
digits = vc.load_digits()
images = torch.from_numpy(digits.counts.toarray()).float()  # (images, pixels)
shown = torch.from_numpy(digits.labels).ravel()  # (images,), the digit that each shows
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
train_x, test_x = images[order[:1500]], images[order[1500:]]  # (1500, pixels), (297, pixels)
test_shown = shown[order[1500:]]  # (297,)
print(tuple(images.shape), "  values:", images.unique().tolist(), f"  pixels on: {images.mean():.0%}")

# %% fold="What is drawn: fourteen held-out images, and fourteen made of coins"
share = (train_x.sum(dim=0) + 1) / (len(train_x) + 2)  # (pixels,), one on and one off added: no share is 0 or 1
coins = torch.bernoulli(share.expand(14, 64), generator=torch.Generator().manual_seed(0))  # (images, pixels)
ax = plots.images({"held out": test_x[:14], "coins": coins}, test_shown[:14].tolist())
plots.show(ax, alt="Fourteen held-out digits, easy to read, and below them fourteen images of coins: specks, no digit.")

# %% [markdown]
# Specks. Each pixel is on as often as it should be, and still no image is a digit. A stroke is made of pixels that
# *agree*. Something has to tell the coins which digit this is going to be. That something is $z$.

# %% [markdown]
# ## 3.2 From parts to a machine
#
# **Question.** Lesson 1 left you with distributions and lesson 2 with networks. How do they become one model?
#
# By three parts, here on five toy images of six pixels. The **encoder** of lesson 2 has two heads: for each latent a
# mean $\mu$ and a log-variance $\log\sigma^2$. Together they are its answer $q(z \mid x) = \mathcal N(\mu, \sigma^2)$.
# Then a **draw** from it: a standard normal number $\varepsilon$, stretched by $\sigma$ and shifted by $\mu$,
#
# $$z = \mu + \sigma\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1).$$
#
# (Lesson 4 says why.) The **decoder** is an encoder turned round, without dropout: the draw is noise enough. Out comes
# a *logit* for each pixel.

# %%
from vae_course.distributions import bernoulli_log_prob, kl_standard_normal, reparameterize
from vae_course.model import Model, check_genes
from vae_course.nn import FCLayers  # yours of lesson 2 does the same
from vae_course.runtime.seeds import seeded

torch.manual_seed(0)
x_toy = torch.bernoulli(torch.full((5, 6), 0.5))  # (images, pixels)
hidden = FCLayers(6, 8)(x_toy)  # (images, 8)
mean_toy, logvar_toy = nn.Linear(8, 2)(hidden), nn.Linear(8, 2)(hidden)  # (images, 2) each
z_toy = reparameterize(mean_toy, logvar_toy)  # (images, 2), the draw
logits_toy = nn.Linear(8, 6)(FCLayers(2, 8, dropout_rate=0)(z_toy))  # (images, pixels)
print("x", tuple(x_toy.shape), "  logvar", tuple(logvar_toy.shape), "  logits", tuple(logits_toy.shape))

# %% [markdown]
# (What does a *log*-variance do for training, and what would a trainer add to your loop? 20 minutes:
# [deeper/3a](deeper/3a_log_variance_and_the_trainer.ipynb).)
#
# **Find the slip.** This line stands in the lecture notes on which the course is based:
#
# > $\log(\sigma^2) = \tfrac12\,\texttt{logvar}$
#
# Test it with $\sigma = 0.5$. Then $\texttt{logvar} = \log 0.25 = -1.386$, and half of that is $-0.693$. Of what is
# this the logarithm?
#
# <details><summary>The correct line</summary>
#
# Of 0.5, the *standard deviation*: a logarithm turns the square into a factor 2.
#
# $$\log\sigma = \tfrac12\,\texttt{logvar}, \qquad \sigma = \exp\big(\tfrac12\,\texttt{logvar}\big).$$
#
# Taken at its word the line gives $\sigma^2 = 0.5$: the draws spread by 0.71 instead of 0.5, and nothing raises an
# error.
#
# </details>
#
# Add the prior $p(z) = \mathcal N(0, I)$ and, with the decoder's logits $a_g$, the coins $p(x_g = 1 \mid z) =
# \text{sigmoid}(a_g)$, and the model is complete ([Kingma and Welling 2014](https://doi.org/10.48550/arXiv.1312.6114)).
#
# Below, it is a class. `Model` is an `nn.Module` that can be saved; `seeded` gives everybody the same initial weights.
# The `binary_vae_loss` of the last line is for *you* to write, in section 3.3.
#
# **Predict.** The same image twice, in eval mode: will the two means be equal? And the two rows of logits?

# %% source="vae_course.binary_vae.BinaryVAE" methods="__init__ encode reparameterize decode forward loss"

# %%
model = BinaryVAE(64).eval()
logits, mu, logvar = model(torch.zeros(2, 64))  # two identical images
print("same mean:  ", torch.equal(mu[0], mu[1]))
print("same logits:", torch.equal(logits[0], logits[1]))

with seeded(0):
    eps = torch.randn(2, 2)  # (images, n_latent), standard normal
    by_hand = mu + (0.5 * logvar).exp() * eps  # (images, n_latent), all that reparameterize does
with seeded(0):
    print("same draw:  ", torch.allclose(by_hand, model.reparameterize(mu, logvar)))

# %% [markdown]
# `eval()` stops dropout. It does not stop the draw, which belongs to the model. For one fixed place of a cell, take the
# mean.

# %%
quiz("3.1")

# %% [markdown]
# ## 3.3 A loss in two parts
#
# **Question.** Which *one number* says how good the model is?
#
# Take an image of four pixels, $x = (1, 1, 0, 0)$, and the decoder's logits $a = (2, 0, -1, 3)$. By lesson 1 a coin
# costs minus its log-probability: $\log(1 + e^{-a})$ if the pixel is on, $\log(1 + e^{a})$ if it is off.
#
# **Predict.** Which pixel costs most, and about how many nats?

# %%
x_toy = torch.tensor([[1.0, 1.0, 0.0, 0.0]])  # (1, pixels)
logits_toy = torch.tensor([[2.0, 0.0, -1.0, 3.0]])  # (1, pixels)
cost = -bernoulli_log_prob(x_toy, logits_toy)  # (1, pixels)
print("each pixel:", [round(c, 3) for c in cost[0].tolist()], f"  sum {cost.sum():.3f} nats")

# %% [markdown]
# The last one: it was promised, with a logit of 3, and did not come. The sum is the **reconstruction** part of the
# loss, the binary cross-entropy (`bce`). (On shades of grey or counts it means nothing: [Loaiza-Ganem and Cunningham
# 2019](https://doi.org/10.48550/arXiv.1907.06845).)
#
# If bce were all, the encoder would shrink $q(z \mid x)$ to a point and put it wherever it liked: lesson 0's
# autoencoder, which nobody can sample. So leaving the prior has a **price**, the KL divergence of lesson 1:
#
# $$\mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1)\big)
# = \tfrac12\big(\sigma^2 + \mu^2 - 1 - \log\sigma^2\big).$$
#
# A latent at $\mu = 1$ with $\sigma^2 = 1$ pays $\tfrac12(1 + 1 - 1 - 0) = 0.500$ nats. One at $\mu = 0$ with $\sigma^2
# = 0.25$ pays 0.318. To say $\mu = 0$, $\sigma = 1$ to every image costs nothing, and says nothing.
#
# The loss of a cell is fit plus price. We *sum* over its pixels, whose probabilities multiply, and over its latents;
# over cells we *average*:
#
# $$\text{loss} = \frac1n \sum_{i=1}^{n} \Big[ \underbrace{\sum_g -\log p(x_{ig} \mid z_i)}_{\text{bce of cell } i}
# + \underbrace{\sum_j \mathrm{KL}\big(q(z_{ij} \mid x_i) \,\|\, p(z_{ij})\big)}_{\text{kl of cell } i} \Big].$$
#
# Up to its sign this is the ELBO of lesson 1, a lower bound of $\log p(x)$, with one draw $z_i$ in place of the average
# over $q$.

# %% [markdown]
# Write `binary_vae_loss`. In come `x` and `logits`, (cells, genes), and `mean` and `logvar`, (cells, n_latent). Out go
# three scalars, `(total, bce, kl)`: each part summed over its genes or latents, averaged over cells, and total = bce +
# kl. You have `bernoulli_log_prob(x, logits)`, elementwise, and `kl_standard_normal(mean, logvar)`, summed over the
# last axis.
#
# *By hand.* Two cells: ours with 4.182 and 0.818 nats, and another with 2.0 and 0.2. Then bce is $(4.182 + 2.0) / 2 =
# 3.091$, kl is 0.509 and total is 3.600.

# %% exercise="3.1" source="vae_course.binary_vae.binary_vae_loss" minutes=7 difficulty=1

# %% [markdown]
# **A yardstick.** What do the coins of section 3.1 cost on held-out images?

# %%
nothing = torch.zeros(len(test_x), 2)  # (297, n_latent), as mean and as log-variance
no_latents = float(binary_vae_loss(test_x, torch.logit(share).expand_as(test_x), nothing, nothing)[0])
print(f"coins, without latents: {no_latents:.1f} nats per image")

# %% [markdown]
# ## 3.4 The training loop, once
#
# **Question.** What exactly happens when "it trains"?
#
# Your optimizer is **Adam**, which divides each parameter's step by how large its gradients have been lately. What does
# a plain gradient step (`SGD`) make of a loss that somebody multiplied by 64, and what does Adam?

# %%
from collections.abc import Iterable

for kind in (torch.optim.SGD, torch.optim.Adam):
    for factor in (1, 64):
        w = torch.tensor([3.0], requires_grad=True)
        optimizer = kind([w], lr=0.1)
        (factor * w**2).sum().backward()
        optimizer.step()  # the first
        print(f"{kind.__name__:4}  loss times {factor:2}: w = {w.item():.1f}")  # Adam does not notice: see section 3.9

# %% [markdown]
# Write `train_epoch`. In come a `BinaryVAE`, an iterable of minibatches `x`, (cells, n_input), that you can walk only
# once, and an optimizer that holds the model's parameters. Put the model in train mode. For each minibatch take one
# optimizer step on the first entry of `model.loss(x)`. Return a float: the mean over all *cells* of the loss, each
# minibatch's taken *before* its step.
#
# *By hand.* A minibatch of 3 cells with loss 10 and one of 1 cell with loss 30: the mean is $(3 \cdot 10 + 1 \cdot 30)
# / 4 = 15$, not 20.
#
# Mind: gradients add up until `optimizer.zero_grad()`. And keep the loss's number, not the tensor, which remembers all
# its operations.

# %% exercise="3.2" source="vae_course.exercises.e3_2.answer.train_epoch" minutes=12 difficulty=2

# %% [markdown]
# Around it goes the whole training, for digits and cells alike. Batch norm's running averages lag behind the weights
# (section 2.7): `update_bn` computes them anew, and changes no weight.
#
# **Predict.** bce is going to fall. What will the *kl* do: fall with it, stay, or rise?

# %%
from torch.optim.swa_utils import update_bn


def fit(model: BinaryVAE, x: Tensor, n_epochs: int = 50, batch_size: int = 128, watch=None) -> BinaryVAE:
    """Train on x, shuffled anew for every epoch; call watch after each."""
    torch.manual_seed(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(n_epochs):
        train_epoch(model, x[torch.randperm(len(x))].split(batch_size), optimizer)
        update_bn([x], model)
        if watch is not None:
            watch(model)
    return model


@torch.no_grad()
def evaluate(model: BinaryVAE, x: Tensor) -> list[float]:
    """Return total, bce and kl in eval mode, nats per cell."""
    return [float(part) for part in model.eval().loss(x)]


@torch.no_grad()
def place(model: BinaryVAE, x: Tensor) -> Tensor:
    """Return the means of q(z|x) in eval mode, (cells, n_latent)."""
    return model.eval().encode(x)[0]


# %% tags=["volatile"]
held_out, snapshots = [], []


def watch(model: BinaryVAE) -> None:
    held_out.append(evaluate(model, test_x))
    snapshots.append(place(model, test_x))


model = BinaryVAE(64)
watch(model)  # epoch 0, untrained
fit(model, train_x, watch=watch)
total, bce, kl = held_out[-1]
print(f"held out: bce {bce:.1f} + kl {kl:.1f} = {total:.1f} nats per image   coins: {no_latents:.1f}")
assert total < 22
assert 2 < kl < 4

# %% fold="What is drawn: total, bce and kl of the held-out images over the epochs"
axes = plots.panels(3, width=4)
names, limits = ("total = bce + kl", "bce", "kl"), ((16, 46), (16, 46), (0, 4))
for part, ax in enumerate(axes):
    plots.lines(range(51), {"": [row[part] for row in held_out]}, ax, xlabel="epoch", title=names[part])
    ax.set_ylim(limits[part])
axes[0].set_ylabel("nats per image")
for ax in axes[:2]:
    ax.axhline(no_latents, color="0.4", linewidth=1)
    ax.text(50, no_latents + 0.5, "coins, without latents", ha="right")
plots.show(
    axes[0],
    alt="Three curves over 50 epochs. The total falls from about 45 below the line of the coins at 25.3, to about 21. "
    "bce falls to about 18. kl rises fast to 2, then slowly to nearly 3.",
)

# %% [markdown]
# Your own VAE beats the coins. And **kl rises**, which is no fault. At first the model says the same to every image.
# Then it moves images apart and pays in kl, as long as that saves more in bce.
#
# **What breaks it.** Trust in the last digit. The loss contains a draw, so it changes from call to call. A tenth of a
# nat between two models is nothing to report.

# %%
quiz("3.2")

# %% [markdown]
# ## 3.5 The plane organises itself
#
# **Question.** The loss falls. What goes on in the *latents* meanwhile?
#
# Our model has two, so we can look. Each held-out image stands at its mean, written as the digit that it shows. The
# circle holds 95 % of the prior $\mathcal N(0, I)$.

# %% tags=["slide"] fold="What is drawn: a film of the latent plane, epoch by epoch"
frames = [*range(9), *range(10, 51, 5)]  # every epoch at first, then every fifth


def draw_plane(ax, frame: int) -> None:
    epoch = frames[frame]
    plots.numerals(snapshots[epoch], test_shown, ax, title=f"epoch {epoch}", xlabel="latent 1 (mean)")
    angle = torch.linspace(0, 2 * torch.pi, 200)
    ax.plot(2.45 * angle.cos(), 2.45 * angle.sin(), color="0.7", linewidth=1, zorder=0)
    ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), ylabel="latent 2 (mean)", aspect="equal")


plots.animate(
    draw_plane,
    len(frames),
    alt="Film of the latent plane over 50 epochs: held-out digits leave a heap at the origin, spread into the circle "
    "of the prior, and images of the same digit gather.",
)

# %% [markdown]
# Images that share pixels end up side by side: bce pushes images apart, kl holds them together. And all together they
# fill the circle, which is why we can draw from the prior next.
#
# **What breaks it.** Reading meaning into "latent 1". Turn the whole plane by any angle: the prior stays as it is, and
# the decoder's first layer can undo the turn. From another seed the same groups lie elsewhere ([Locatello et al.
# 2019](https://doi.org/10.48550/arXiv.1811.12359)). Neighbours mean something, axes do not.

# %% [markdown]
# ## 3.6 Rebuild, and make up
#
# **Question.** What can we *do* with a trained model?
#
# **Rebuild.** Encode an image, take the mean, and decode it: 64 pixels squeezed through two numbers. Grey is the
# probability that a pixel is on. We take the most typical held-out image of each digit.
#
# **The whole plane at once.** The decoder needs no image, only a place. The second figure decodes a grid of places. The
# digits 0, 1, 2, 3, 4 and 6 have regions of their own, and at a border one *becomes* the other. The others blur in
# between: the rebuilt 9 is a 3.


# %% fold="What is drawn: a typical image of each digit, and its reconstruction"
def typical(z: Tensor, members: Tensor) -> int:
    """Return the position of the cell closest to the median latents of the members, a mask (cells,)."""
    centre = z[members].median(dim=0).values  # (n_latent,)
    return int(torch.where(members, (z - centre).norm(dim=1), torch.inf).argmin())


one_each = [typical(snapshots[-1], test_shown == digit) for digit in range(10)]
with torch.no_grad():
    rebuilt = torch.sigmoid(model.decode(snapshots[-1]))  # (297, pixels)
ax = plots.images({"held out": test_x[one_each], "rebuilt": rebuilt[one_each]}, range(10))
plots.show(
    ax,
    alt="Held-out digits 0 to 9, and below each its reconstruction, softer. Those of 0, 4 and 6 are clear; 5, 7 and 8 "
    "come back as much the same blur, and the 9 as a blurred 3.",
)

# %% fold="What is drawn: the decoder's image at each point of a grid of latents"
across, down = torch.linspace(-2.1, 2.1, 15), torch.linspace(2.1, -2.1, 11)
with torch.no_grad():
    points = [torch.stack([across, value.expand(15)], dim=1) for value in down]  # (15, 2) each
    atlas = {f"{z[0, 1]:+.1f}": torch.sigmoid(model.decode(z)) for z in points}  # (15, pixels) each
ax = plots.images(atlas, [f"{value:+.1f}" for value in across], xlabel="latent 1", ylabel="latent 2")
plots.show(
    ax, alt="Atlas of the latent plane: decoded images on a grid, one digit flowing into the next without a break."
)

# %% [markdown]
# **Make up.** Draw $z$ from the prior and decode, as in lesson 1's generative story.
#
# Write `sample_prior`. In come a trained model, a number of cells and a `torch.Generator`. Draw $z \sim \mathcal N(0,
# I)$, one row of `model.n_latent` numbers for each cell, all randomness from the generator. Return probabilities,
# (n_cells, n_input), without a gradient (`with torch.no_grad():` inside the function). The model may come in train
# mode, and must be *used* in eval mode.

# %% exercise="3.3" source="vae_course.exercises.e3_3.answer.sample_prior" minutes=6 difficulty=1

# %% fold="What is drawn: fourteen images that your VAE made up, a coin thrown for each pixel, the coins of section 3.1"
made_up = torch.as_tensor(sample_prior(model, 14, torch.Generator().manual_seed(0))).float()  # (14, pixels)
thrown = torch.bernoulli(made_up, generator=torch.Generator().manual_seed(1))  # 0 or 1
ax = plots.images({"your VAE": made_up, "its coins thrown": thrown, "coins of 3.1": coins})
plots.show(
    ax,
    alt="Fourteen images that the VAE made up, soft grey shapes: 6 and 0 are clear, others a blur between 3, 8 and 9. "
    "Below them the same with a coin thrown for every pixel, rougher, and the specks of section 3.1.",
)

# %% [markdown]
# Nobody wrote the first row's digits. Many are the same blur, since the prior draws most from the crowded middle of the
# plane. The second row is a *sample* from $p(x \mid z)$: a coin for every pixel.
#
# **What breaks it.** Take away the draw and the kl, and the same class is lesson 0's autoencoder. Below, both have
# twenty latents and make up images, black where the probability exceeds one half. We count in how many pixels one
# differs from the *nearest* training image; held-out images are the yardstick. In the last row the autoencoder gets
# help: $z$ from a Gaussian fitted to its own latents.
#
# **Predict.** Which of the two *rebuilds* better? Which *makes up* better?


# %% tags=["volatile"]
class PlainAutoencoder(BinaryVAE):
    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu  # a point, no draw

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, bce, kl = super().loss(x)
        return bce, bce, kl  # the kl is reported, not minimised


rivals = {"VAE": BinaryVAE(64, n_latent=20), "autoencoder": PlainAutoencoder(64, n_latent=20)}
for name, rival in rivals.items():
    _, bce, kl = evaluate(fit(rival, train_x, n_epochs=30), test_x)
    print(f"{name:11} bce {bce:4.1f} nats per image, held out")
assert bce < 5

# %% tags=["volatile"] fold="What is drawn: what each of the two makes up, and how far it is from any training image"
made = {name: sample_prior(rival, 300, torch.Generator().manual_seed(0)) for name, rival in rivals.items()}
with torch.no_grad(), seeded(0):
    mu = place(rivals["autoencoder"], train_x)  # (1500, n_latent)
    z = torch.distributions.MultivariateNormal(mu.mean(dim=0), mu.T.cov()).sample((300,))  # (300, n_latent)
    made["the same, helped"] = torch.sigmoid(rivals["autoencoder"].decode(z))  # (300, pixels)
made = {"held out": test_x} | {name: torch.as_tensor(one).round().float() for name, one in made.items()}  # (images, 64)
off = {name: torch.cdist(x, train_x, p=1).min(dim=1).values.mean().item() for name, x in made.items()}
ax = plots.images({f"{name}, {off[name]:.1f} pixels off": x[20:34] for name, x in made.items()})
assert off["VAE"] + 1 < min(off["autoencoder"], off["the same, helped"])
plots.show(
    ax,
    alt="Held-out digits, 3.2 pixels from the nearest training image; samples of the VAE, most of them like digits, "
    "about as far off; samples of the autoencoder, mostly blots and specks, more than 5 pixels off, helped or not.",
)

# %% [markdown]
# The autoencoder rebuilds better, and makes up blots. The VAE's images are as close to real digits as new ones are: the
# draw makes its decoder answer for a whole neighbourhood, and the kl puts the neighbourhoods where the prior draws.

# %%
quiz("3.3")

# %% [markdown]
# ## 3.7 The same on cells
#
# **Question.** Does it work on the data we care about, where no eye can judge?
#
# The 700 blood cells, each of 765 genes detected (1) or not (0), as in lesson 1. A fifth is held out. All T cells are
# drawn as one group.

# %%
bits = vc.load_pbmc().binarize()
cells = torch.from_numpy(bits.counts.toarray()).float()  # (cells, genes)
order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))
train_cells, test_cells = cells[order[:560]], cells[order[560:]]  # (560, genes), (140, genes)
merged = ["T cell" if name.startswith(("CD4+", "CD8+")) else str(name) for name in bits.label_names]
group_names = sorted(set(merged))
groups = torch.tensor([group_names.index(merged[label]) for label in bits.labels])  # (cells,)
print(tuple(cells.shape), f"  genes detected: {cells.mean():.0%}", "  groups:", ", ".join(group_names))

# %% tags=["volatile"]
cells_model = fit(BinaryVAE(bits.n_genes), train_cells, n_epochs=60, batch_size=64)
z_cells = place(cells_model, cells)  # (cells, 2), the means
total, bce, kl = evaluate(cells_model, test_cells)
print(f"held out: bce {bce:.0f} + kl {kl:.1f} = {total:.0f} nats per cell")
assert total < 360
assert kl > 2

# %% tags=["volatile"] fold="What is drawn: 700 cells in two principal components of their bits, and in two latents"
centre = train_cells.mean(dim=0)  # (genes,), of the cells that the VAE learned from
centred = cells - centre  # (cells, genes)
scores = centred @ torch.linalg.svd(train_cells - centre, full_matrices=False)[2][:2].T  # (cells, 2)
gene_at = {name: place for place, name in enumerate(bits.gene_names.tolist())}
scores *= torch.sign((scores * centred[:, [gene_at["LYZ"]]]).sum(dim=0))  # more LYZ to the right and above
purity = [vc.metrics.knn_purity(z, groups) for z in (scores, z_cells)]
assert purity[1] > purity[0] > 0.5
left, right = plots.panels(2, height=3.8, width=5.4)
plots.latent(scores, groups, group_names, left, f"PCA: {purity[0]:.0%} like neighbours", "PC").get_legend().remove()
plots.latent(z_cells, groups, group_names, right, f"your VAE: {purity[1]:.0%} like neighbours")
plots.show(
    left,
    alt="700 cells coloured by group, in two principal components and in two latents of the VAE. Both part T and NK "
    "cells from monocytes and dendritic cells. In PCA NK cells lie among the T cells and B cells run into them; in the "
    "VAE NK and B cells lie beside the T cells. In both most dendritic cells are a group of their own, and some dozens "
    "lie among the monocytes.",
)

# %% [markdown]
# Neither saw a label. Each title gives the share of a cell's 30 nearest neighbours that are of its own group. Merely
# which genes are seen, squeezed into two numbers, tells the kinds of cell apart, and the VAE does so better than PCA.
# About one dendritic cell in seven lies among the monocytes. Hardly one of these shows FCER1A, which most others do:
# there the plane may be right and the label wrong.
#
# The next figure is *your* model.
#
# **Predict.** From a monocyte to a B cell: which bars will fall?
#
# <details><summary>What you should see</summary>
#
# Most: genes of the monocytes, such as LYZ. PTPRCAP, of the lymphocytes, rises. The HLA genes, which both kinds show,
# stay high.
#
# </details>

# %% tags=["volatile"]
vc.explore.walk(cells_model, bits)

# %% [markdown]
# ## 3.8 A walk between two cells
#
# **Question.** What lies *between* two digits, or between two cells?
#
# Halfway between $z = (0, 2)$ and $z = (1, 0)$ lies $(0.5, 1)$. A **latent walk** takes even steps on that straight
# line, and the decoder says what each looks like. With a share $t$ from 0 to 1,
#
# $$z_t = (1 - t)\, z_{\text{start}} + t\, z_{\text{end}}.$$
#
# The lazy way is a cross-fade, which mixes the *pixels* of both ends by the same formula. Below are both, from the
# typical 6 to the typical 4.
#
# **Predict.** What does each show halfway?

# %% [markdown]
# Write `latent_walk`. In come a trained model, two cells `x_start` and `x_end`, each (n_input,), and `n_steps`, 2 or
# more. Encode both, take the two posterior *means* (no draw), and decode `n_steps` even steps from one to the other,
# both ends included. Return probabilities, (n_steps, n_input), in eval mode, without a gradient.
#
# Mind the shape: a model takes (cells, n_input), and one cell is (n_input,).

# %% exercise="3.4" source="vae_course.exercises.e3_4.answer.latent_walk" minutes=8 difficulty=2

# %% fold="What is drawn: your walk from a 6 to a 4, and the fade below it"
walk = torch.as_tensor(latent_walk(model, test_x[one_each[6]], test_x[one_each[4]], 12)).float()  # (steps, pixels)
t = torch.linspace(0, 1, 12).unsqueeze(-1)  # (steps, 1)
fade = (1 - t) * walk[0] + t * walk[-1]  # (steps, pixels)
ax = plots.images({"walk in the latents": walk, "fade of the pixels": fade}, range(1, 13))
plots.show(ax, alt="Above, a 6 turns into a 4 by way of another shape. Below, the 6 fades while the 4 comes in.")

# %% [markdown]
# The fade is a smudge, grey wherever 6 and 4 differ. The walk passes through a 0: find it in the grid of section 3.6.
#
# **On cells.** From a typical T cell to a typical monocyte, with two **marker genes** of each: CD3D and IL32 for T
# cells, LYZ and S100A9 for monocytes.
#
# **Predict.** How many of the 700 real cells lie near the middle of the way?

# %% fold="What is drawn: the way in the plane, and four genes along it"
ends = [typical(z_cells, groups == group_names.index(name)) for name in ("T cell", "CD14+ Monocyte")]
steps = torch.as_tensor(latent_walk(cells_model, cells[ends[0]], cells[ends[1]], 21)).float()  # (steps, genes)
left, right = plots.panels(2, height=3.8, width=6)
plots.latent(z_cells, groups, group_names, left, "where the walk goes")
left.plot(*z_cells[ends].T, color="black", linewidth=1.5, marker="o", markersize=7, markerfacecolor="white")
curves = {gene: steps[:, gene_at[gene]] for gene in ("CD3D", "IL32", "LYZ", "S100A9")}
plots.lines(range(21), curves, right, xlabel="step from the T cell (0) to the monocyte (20)")
for line, of in zip(right.get_lines(), (5, 5, 0, 0), strict=True):  # in the colour of the cells that a gene marks
    line.set_color(plots.COLORS[of])
right.set(xticks=range(0, 21, 5), ylabel="probability of detection", ylim=(-0.03, 1.03))
right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(
    left,
    alt="Left, a straight line in the latent plane from the T cells to the monocytes. Right, along it the "
    "probabilities of CD3D and IL32 fall, and those of LYZ and S100A9 rise.",
)

# %% tags=["volatile"]
t = torch.linspace(0, 1, 21).unsqueeze(-1)  # (steps, 1)
path = (1 - t) * z_cells[ends[0]] + t * z_cells[ends[1]]  # (steps, 2)
near = (torch.cdist(path, z_cells) < 0.3).sum(dim=1)  # (steps,)
print("cells within 0.3 of each step:", near.tolist())
assert near.min() < 0.3 * near[0]

# %% [markdown]
# It looks like a cell changing its type. **What breaks it.** Taking this for biology. Dozens of cells lie near either
# end, and hardly one near the middle, where nothing ever corrected the decoder. A walk shows what the *model* puts
# between two cells.

# %%
quiz("3.4")

# %% [markdown]
# ## 3.9 A weight that nobody set
#
# **Question.** A colleague takes PyTorch's ready-made loss and adds the KL. The code runs, the loss falls, and every
# sample is the same grey smear. What happened?
#
# `F.binary_cross_entropy_with_logits(logits, x)` averages over cells *and pixels*. With 64 pixels your colleague
# minimises
#
# $$\frac{\text{bce}}{64} + \text{kl} = \frac{1}{64}\,\big(\text{bce} + 64\,\text{kl}\big).$$
#
# The factor in front moves no minimum, and Adam does not notice it. What stays is a weight $\beta = 64$: a nat of kl
# now has to save 64 nats of bce.
#
# **Predict.** Which of the two runs *prints* the smaller loss? How many nats of kl will the colleague's model pay?


# %% tags=["volatile"]
class Colleague(BinaryVAE):
    def loss(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, mu, logvar = self(x)
        _, bce, kl = binary_vae_loss(x, logits, mu, logvar)
        return nn.functional.binary_cross_entropy_with_logits(logits, x) + kl, bce, kl


trap = fit(Colleague(64), train_x, n_epochs=25)
for name, one in (("yours", model), ("colleague's", trap)):
    total, bce, kl = evaluate(one, test_x)
    print(f"{name:12} prints {total:5.2f}   bce {bce:.1f} + kl {kl:.2f} = {bce + kl:.1f} nats per image")
assert kl < 0.2

# %% fold="What is drawn: what the two models make up"
rows = {"yours": sample_prior(model, 14, torch.Generator().manual_seed(0))}
rows["colleague's"] = sample_prior(trap, 14, torch.Generator().manual_seed(0))
plots.show(plots.images(rows), alt="Samples: of yours different digits, of the colleague's always the same grey image.")

# %% [markdown]
# The wrong run prints by far the *smaller* loss, in other units. Its kl is 0 and its bce that of the coins: the decoder
# answers everything with the average image. This is **posterior collapse** ([Lucas et al.
# 2019](https://doi.org/10.48550/arXiv.1911.02469)). On cells the same line of code gives $\beta = 765$.
#
# The rule: sum over what belongs to one cell, average over cells. Who sets $\beta$ on purpose ([Alemi et al.
# 2018](https://doi.org/10.48550/arXiv.1711.00464)) says so in the code.
#
# **Predict.** At which $\beta$ do the first digits lose their place? What does the plane do *below* 1?
#
# <details><summary>What you should see</summary>
#
# At 4 already: the plane shrinks to a line, and kl to 0.09. Below 1 the plane grows and each $q$ shrinks: at 0.01 kl is
# 8.5, to save 0.3 nats of bce.
#
# </details>

# %%
vc.explore.beta()

# %% [markdown]
# ## 3.10 A gallery of curves
#
# **Question.** A run has ended, and all you have is its curves. Can you tell what went wrong?
#
# Six small VAEs are trained on the digits for 40 epochs; five of them have one fault each. Solid: the training images.
# Dashed: 300 held-out images, in eval mode and without `update_bn`, so that they lag as batch norm's averages do. Five
# runs have two latents and 1,400 images; one has ten latents and far fewer. The grey line is the coins'.

# %%
from vae_course.exercises.e3_5.runs import CAUSES, mystery_runs

runs = mystery_runs(digits)
print("\n".join(CAUSES))

# %% fold="What is drawn: bce and kl of the six runs, training and held out"
rows = plots.grid(2, 3, height=3, width=4.2)
for letter, ax in zip(runs, [ax for row in rows for ax in row], strict=True):
    plots.lines(range(1, 41), runs[letter], ax, title=f"run {letter}", ylim=(-1, 48))
    for line, name in zip(ax.get_lines(), runs[letter], strict=True):
        line.set(color=plots.COLORS["kl" in name], linestyle="--" if "held out" in name else "-")
    ax.axhline(no_latents, color="0.7", linewidth=1, zorder=0)
    ax.get_legend().remove()
rows[0][2].legend(frameon=False, fontsize=8)
for row in rows:
    row[0].set_ylabel("nats per image")
for ax in rows[1]:
    ax.set_xlabel("epoch")
plots.show(rows[0][0], alt="Curves of bce and kl, training and held out, over 40 epochs, in six panels A to F.")

# %% [markdown]
# Write `diagnose`: it takes nothing and returns a dictionary, the letter of each run -> one of the causes above, word
# by word. Each cause occurs once.
#
# Ask of each run: does it *move*, and *smoothly*? Do training and held-out curves *part*? Does the kl make sense? And
# mind: two runs have hardly any kl, and two a training bce *below* the healthy run's, each for a reason of its own.

# %% exercise="3.5" source="vae_course.exercises.e3_5.answer.diagnose" minutes=8 difficulty=2

# %% tags=["volatile"]
from vae_course.exercises import stand_ins

for letter, run in runs.items():
    cause = "?" if diagnose is stand_ins.diagnose else diagnose()[letter]  # yours, once it is right
    print(f"{letter}: {cause:24} last kl, held out: {run['kl held out'][-1]:.0f}")

# %% [markdown]
# <details><summary><b>Each symptom</b> (open after you have answered)</summary>
#
# - *A, overfitting.* Ten latents learn 60 images by heart: training bce goes on falling, held-out bce stops near 20,
#   and the gap *stays*. More data, fewer latents, or stop early.
# - *B, learning rate too high.* Twenty times C's. The weights jump, and batch norm's averages cannot follow. So
#   held-out bce, which uses them, jumps by two nats until epoch 28; training bce does not. The gap *comes and goes*.
# - *C, nothing is wrong.* Smooth, both curves together once the averages have caught up, kl about 3.
# - *D, KL forgotten.* kl climbs, bce is lower, the curves agree. It *looks* best, and its samples are worth nothing.
# - *E, posterior collapse.* kl on the floor, bce at the grey line.
# - *F, learning rate too low.* Almost nothing moves; kl is small because nothing is learned *yet*.
#
# </details>
#
# **Open task, without a checker: break it** in a way that is *not* in the gallery. Change one line of the class, the
# loss, the loop or the data. First write down which number or figure will show it.
#
# <details><summary><b>What a good answer contains</b></summary>
#
# One change, a symptom predicted *before* the run, and a number that tells it from a healthy run, such as:
#
# - `reparameterize` with `logvar.exp()` as the standard deviation: no curve looks odd, but the draws lack the variance
#   that the kl charges for. Compare `(z - mu).var()` with `logvar.exp()`.
#
# </details>

# %% [markdown]
# ## 3.11 Is it worth the effort?
#
# **Question.** By how much does your VAE beat models that need no network?
#
# Three models bet on the 140 held-out cells. The *coins* know how often each gene is detected. The *depth* model is
# also told, for free, how many genes the cell shows, its *depth*: each gene's logit rises with its logarithm. Your VAE
# bets with its ELBO, which lies *below* its log-likelihood.
#
# **Predict.** By how many nats per cell do you beat the coins: 3, 10 or 30?


# %%
@torch.no_grad()
def bound(model: BinaryVAE, x: Tensor, n_draws: int = 20) -> Tensor:
    """Return the ELBO of every cell, nats, a mean over draws: (cells,)."""
    x = x.repeat(n_draws, 1)  # (draws times cells, genes)
    logits, mu, logvar = model.eval()(x)
    elbo = bernoulli_log_prob(x, logits).sum(dim=1) - kl_standard_normal(mu, logvar)
    return elbo.reshape(n_draws, -1).mean(dim=0)


# %% fold="What is fitted: the two rivals, coins and depth"
def depth(x: Tensor) -> Tensor:
    """Return the logarithm of the number of detected genes, centred, (cells, 1)."""
    return x.sum(dim=1, keepdim=True).log() - train_cells.sum(dim=1).log().mean()


often = torch.logit((train_cells.sum(dim=0) + 1) / (len(train_cells) + 2))  # (genes,), one added to both sides
slope, offset = torch.zeros(765, requires_grad=True), often.clone().requires_grad_()
optimizer = torch.optim.Adam([slope, offset], lr=0.05)
for _ in range(300):  # all genes' lines at once
    optimizer.zero_grad()  # no old gradient
    (-bernoulli_log_prob(train_cells, offset + slope * depth(train_cells)).sum(dim=1).mean()).backward()
    optimizer.step()  # of the lines

# %% tags=["volatile"]
with torch.no_grad(), seeded(0):
    of_coins = bernoulli_log_prob(test_cells, often.expand_as(test_cells)).sum(dim=1)  # (cells,)
    of_depth = bernoulli_log_prob(test_cells, offset + slope * depth(test_cells)).sum(dim=1)  # (cells,)
    of_vae = bound(cells_model, test_cells)  # (cells,)
for name, rival in (("coins", of_coins), ("depth", of_depth)):
    gain = of_vae - rival  # (cells,), cell by cell
    error = gain.std() / len(gain) ** 0.5
    print(f"VAE {of_vae.mean():.0f}, {name} {rival.mean():.0f} nats per cell: {gain.mean():+.0f} ± {error:.0f}", end="")
    print(f", better in {(gain > 0).float().mean():.0%} of the cells")
    assert gain.mean() > 10 * error

# %% [markdown]
# The error is that of *paired* differences: what makes a cell costly for every model drops out. Two latents are worth
# more than thirty nats to a cell that the model has never seen, and most of that is not depth.

# %% [markdown]
# ## 3.12 Draw into your own model
#
# The weights that you trained run in the page below, without Python. Paint a digit with the mouse, and watch $q(z \mid
# x)$, your decoder's answer, and both parts of your loss.
#
# **Predict.** Paint something that is no digit. Will kl rise, or bce, or both?
#
# <details><summary>What you should see</summary>
#
# bce. The encoder puts everything among the digits, so kl stays below 5 nats; but no digit fits. Digits cost 9 to 28
# nats of bce, a big X some 90.
#
# </details>
#

# %% tags=["volatile"]
vc.explore.model(model, digits)

# %% [markdown]
# ## 3.13 What can I now do with my data?
#
# Everything above, in four lines. `binarize()` makes bits of a file of counts:
#
# ```python
# bits = vc.load_h5ad("my_cells.h5ad").binarize()
# x = torch.from_numpy(bits.counts.toarray()).float()
# mine = fit(BinaryVAE(bits.n_genes), x, batch_size=64)
# vc.explore.model(mine, bits).save("my_cells.html")
# ```
#
# Mutations are bits, too, and so are open stretches of chromatin. Ask what the coins cost
# before you believe anything.

# %% [markdown]
# ## 3.14 Quiz
#
# Decide first, then click.

# %%
quiz("3.5")

# %%
quiz("3.6")

# %% [markdown]
# ## 3.15 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `BinaryVAE` | `vae_course.binary_vae.BinaryVAE` | - (`VAE`, for counts) | - (`scvi.module.VAE`, for counts) |
# | `encode`, two heads | `BinaryVAE.encode` | `Encoder` | `Encoder`, called in `inference` |
# | `decode` | `BinaryVAE.decode` | `DecoderSCVI` | `DecoderSCVI`, called in `generative` |
# | `binary_vae_loss` | `vae_course.binary_vae.binary_vae_loss` | `VAE.forward` | `VAE.loss` |
# | `train_epoch`, `fit` | `vae_course.UnsupervisedTrainer` | `Trainer.train` | `TrainingPlan`, run by Lightning |
# | `place` | `Posterior.get_latent` | `Posterior.get_latent` | `get_latent_representation` |
#
# Symbols are in the [notation](../docs/notation.md), words in the [glossary](../docs/glossary.md).
#
# **Next.** Three things were taken on trust: that a gradient gets through the draw, that the loss is a bound, and that
# the bound is close. Lesson 4 proves the first two and measures the third.

# %% tags=["volatile"]
progress()
