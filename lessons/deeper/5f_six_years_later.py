# %% [markdown]
# # Deeper 5f · Six years later
#
# {{links}}
#
# **You will be able to**
#
# - say what scvi-tools does differently from the scVI of the lectures today, and why
# - explain why a model with an observed library has no likelihood that can be compared
# - read a comparison of two trainings: pairs, errors, and what they exclude
# - ask rivals without a network before you believe a number, with error bars over cells and over seeds
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 5](../05_comparison_with_scvi.ipynb), where your model meets
# scvi-tools. **You need:** the library $l$ as a latent, the loss of that lesson, and $\log p(x)$ by importance
# sampling from lesson 4.

# %% setup=true
import numpy as np
import torch

import vae_course as vc
from vae_course.distributions import nb_log_prob, normal_log_prob, poisson_log_prob
from vae_course.exercises.recorded import recorded_comparison

# %% [markdown]
# ## 5f.1 What has changed, and why
#
# **Question.** The lectures describe scVI 0.3.0, of 2019. Laboratories use [scvi-tools](https://scvi-tools.org) 1.4.
# Is it the same model?
#
# Nearly. Every default that differs:
#
# | | scVI 0.3.0, the lectures | scvi-tools 1.4 by default | why |
# |---|---|---|---|
# | library | latent, a prior for each batch | **observed**, $l = \log N$ | found no worse, and a bit faster |
# | variance of $q$ | $e^{\text{logvar}}$ | $e^{\text{logvar}} + 10^{-4}$ | no variance of zero |
# | warm-up | weight = epoch / 400 | the same unless told otherwise | short trainings still end below 1 |
# | covariates | the batch | many, categorical and continuous | real studies have donors, chemistries, tissues |
# | differential expression | Bayes factor | the same, or `mode="change"` with effect sizes | how sure is not how much |
# | the ELBO's sign | minimised | `get_elbo` is +ELBO, the history holds -ELBO | label it, always |
#
# Ours takes the latent library by default, as the paper does, adds $10^{-4}$ to the variances, and asks for the
# warm-up in epochs.
#
# **What 0.3.0 got wrong**, and we mended. Most was found only when somebody checked against a known answer:
#
# | in 0.3.0 | what happened | here |
# |---|---|---|
# | `marginal_ll` took the likelihood from a second draw | it "beat" the truth (deeper 4b) | one draw for every term |
# | warm-up of 400 epochs, always | trainings ended below weight 1, unnoticed | your choice, with a warning |
# | "best weights" were a reference to the live ones | restoring them restored nothing | a copy |
# | masks for `within_cluster_degenes` became indices | every test compared cell 0 with 1 | masks stay masks |
# | ties counted as wins in the Bayes factor | identical groups scored +18.42 | a tie is half a win |
# | differential expression swapped a posterior's cells | `train_set` held all cells afterwards | nothing is changed |
#
# **What scvi-tools does that we do not.** Much. It trains on cells that do not fit in memory, maps new data onto
# reference atlases, holds dozens of other models (for proteins, chromatin, spatial data, labels on some cells only),
# and is tested by thousands of users. Ours is small enough to be read in an afternoon.

# %% [markdown]
# ## 5f.2 The first row is a trap
#
# **Question.** A colleague shows you the ELBO of a model with an observed library. It is higher than yours. Is the
# model better?
#
# Take the smallest cell there is, with *one gene*. Its share is 1, and its count is the total. Let the totals be
# Poisson around $e^l$, with $l \sim \mathcal N(\log 1000, 0.4^2)$, and let us be perfect in every respect. The honest
# log-probability of a cell averages over the libraries that it could have had, on a grid as in lesson 1:
#
# $$p(N) = \int p(l)\,\text{Poisson}(N \mid e^l)\,dl.$$
#
# The model with the observed library sets $l = \log N$ first, and then predicts $N$.
#
# **Predict.** By how many nats does it beat the honest number, which nobody can beat on average?

# %%
grid = torch.linspace(5, 9, 4001, dtype=torch.float64)  # (points,), values of l
log_prior = normal_log_prob(grid, torch.tensor(np.log(1000)).double(), torch.tensor(0.4**2).double())

# %%
for total in (500.0, 1000.0, 2000.0):
    count = torch.tensor(total).double()
    honest = torch.logsumexp(log_prior + poisson_log_prob(count, grid.exp()), dim=0) + np.log(0.001)
    told_the_answer = poisson_log_prob(count, count)
    print(f"N = {total:6.0f}   honest {honest:6.2f} nats   observed library {told_the_answer:6.2f} nats")

# %% [markdown]
# By some three, because it was shown the answer. Its numbers are no distribution at all. Over all cells that there
# could be, probabilities sum to one; these do not:

# %%
all_totals = torch.arange(1, 80_001, dtype=torch.float64)
sums = poisson_log_prob(all_totals, all_totals).exp().cumsum(dim=0)
print({f"N up to {top:,}": round(sums[top - 1].item()) for top in (5_000, 20_000, 80_000)})

# %% [markdown]
# The sum grows for ever. So its ELBO bounds no log-probability of a cell, and cannot be compared with one that does.
# Now on simulated cells with a hundred genes, everything equal but the library:

# %% tags=["volatile"]
cells = vc.simulate_counts(600, 100, n_labels=3, n_latent=2, mean_library=1000, share_de=0.2)
tests, parts = {}, {}
for library in ("latent", "observed"):
    model = vc.FastVAE(cells.n_genes, n_latent=2, n_hidden=64, library=library)
    one = vc.UnsupervisedTrainer(model, cells, batch_size=64, n_epochs_kl_warmup=10, seed=0)
    one.train(30)
    tests[library] = one.test_set
    parts[library] = [term.mean().item() for term in one.test_set.loss_terms(seed=0)]
    print(f"library {library:9} held-out -ELBO {sum(parts[library]):.0f}")

# %% tags=["volatile"]
gaps = [a - b for a, b in zip(parts["latent"], parts["observed"], strict=True)]
print("the gap: {:.1f} reconstruction, {:.1f} local KL, {:.1f} global KL".format(*gaps))
assert sum(gaps) > 0

# %% [markdown]
# A perfect model would lose some three nats. Where do the others come from? Take the model with the latent library,
# keep the shares that it decodes, and put the observed total in place of its guess:

# %%
model, (x, batch_index, y) = tests["latent"].model.eval(), cells.minibatch(tests["latent"].indices)
torch.manual_seed(0)
with torch.no_grad():
    out = model.inference(x, batch_index, y)

# %% tags=["volatile"]
rates = {"guessed": out["px_rate"], "observed": out["px_scale"] * x.sum(dim=1, keepdim=True)}  # (cells, genes)
with torch.no_grad():
    for name, rate in rates.items():
        score = -model.log_likelihood(x, rate, out["px_r"], out["px_dropout"]).sum(dim=-1).mean()
        print(f"reconstruction with the {name:8} library {score:.0f}")

# %% [markdown]
# The same decoder, told the total, wins back most of the gap (five seeds: 15 ± 3 of 25 ± 3 nats). A leaked answer is
# worth a few nats, as for the one gene; the rest is libraries guessed badly. Compare such models by what both can be
# asked fairly: clusters, mixing, imputed counts. Never by this number.
#
# <details><summary><b>Check yourself.</b> Is the observed library a mistake of scvi-tools, then?</summary>
#
# No. As a description of *shares*, given the total, the model is fine, and simpler. What it gives up is a distribution
# over whole cells, which matters when one compares likelihoods, or wants to draw a cell from nowhere.
#
# </details>

# %% [markdown]
# ## 5f.3 The same cells, two trainings
#
# **Question.** Loaded with the same weights, the two models give the same numbers (lesson 5). But do the *trainings*
# find equally good weights?
#
# Two runs never agree: minibatches, dropout and draws are random. So we need pairs. For ten seeds both began with the
# *same* initial weights, saw the same 630 training cells for 100 epochs with a warm-up of 50, and used the same
# optimizer. This was **recorded** by `benchmarks/paired_comparison.py`. Both trained in scVI's way, at a constant rate
# of 0.001 with a random start of $\theta$; of both the averages of batch normalisation were finished. So the record
# compares two implementations, not scvi-tools as it comes.

# %%
record = recorded_comparison()
pairs = list(record["pairs"].values())
metrics = {"negative_elbo": "-ELBO", "marginal_ll": "log p(x) >=", "ari": "ARI", "nmi": "NMI"}

# %%
print(len(pairs), "seeds      ours            scvi-tools      ours - scvi-tools, mean ± s.e.")
for key, name in metrics.items():
    ours, theirs = (np.array([pair[who][key] for pair in pairs]) for who in ("vae_course", "scvi-tools"))
    gap, d = ours - theirs, 3 if key in ("ari", "nmi") else 1
    print(
        f"{name:11} {ours.mean():8.{d}f} ± {ours.std(ddof=1):5.{d}f} {theirs.mean():8.{d}f} ± "
        f"{theirs.std(ddof=1):5.{d}f} {gap.mean():+9.{d}f} ± {gap.std(ddof=1) / np.sqrt(len(gap)):.{d}f}"
    )
print("PCA, ten components, in the same record:", {key.upper(): round(v, 3) for key, v in record["pca_10"].items()})

# %% [markdown]
# (The second row is a lower bound, from S = 1,000 draws a cell.) Read the last column, the **paired** difference.
# Seeds differ by some 15 nats. Inside a pair the held-out cells are the same, so the gaps tell whether that was the
# cells or luck in training.
#
# **Predict.** The standard deviation of the ten gaps in -ELBO: about 20, about 6, or about 1 nat?

# %%
ours, theirs = (np.array([pair[who]["negative_elbo"] for pair in pairs]) for who in ("vae_course", "scvi-tools"))
gaps = ours - theirs
print("-ELBO, ours minus scvi-tools, nats:", gaps.round().astype(int).tolist())
print(f"sd of these gaps {gaps.std(ddof=1):.0f}; correlation inside pairs {np.corrcoef(ours, theirs)[0, 1]:.2f}")

# %% [markdown]
# Six: most of it was the held-out cells. What is left is training noise. Below, each point is a seed; on the line both
# are equal.

# %% fold="What is drawn"
axes = vc.plots.panels(3, height=3.6, width=3.9)
for ax, key in zip(axes, ("negative_elbo", "marginal_ll", "nmi"), strict=True):
    ours, theirs = (np.array([pair[who][key] for pair in pairs]) for who in ("vae_course", "scvi-tools"))
    unit = "" if key == "nmi" else ", nats per cell"
    vc.plots.points(theirs, ours, ax=ax, xlabel=f"scvi-tools{unit}", ylabel=f"ours{unit}", title=metrics[key])
    both = np.concatenate([ours, theirs])
    middle = (both.max() + both.min()) / 2
    half = 1.1 * (both.max() - middle)
    ax.axline((middle, middle), slope=1, color="0.3", linewidth=1)
    ax.set(xlim=(middle - half, middle + half), ylim=(middle - half, middle + half), aspect="equal")
vc.plots.show(
    axes[0],
    alt="Ten seeds as points, ours against scvi-tools, for negative ELBO, log p(x) and NMI. The points lie along the "
    "line of equality, on both sides of it.",
)

# %% [markdown]
# No mean difference is larger than chance makes it. But *not significant is not equal*. Which differences does the
# record exclude? The 95 % interval reaches 2.26 standard errors to either side (Student's t, ten pairs):

# %%
for key, name in metrics.items():
    gaps = np.array([pair["vae_course"][key] - pair["scvi-tools"][key] for pair in pairs])
    reach, d = 2.26 * gaps.std(ddof=1) / np.sqrt(len(gaps)), 3 if key in ("ari", "nmi") else 1
    print(f"{name:11} {gaps.mean() - reach:+.{d}f} to {gaps.mean() + reach:+.{d}f}")

# %% [markdown]
# So neither is better by more than 5 nats of some 770; a smaller difference ten pairs cannot see. And PCA clusters
# these cells nearly as well as either.
#
# <details><summary><b>Check yourself.</b> A colleague trains each model once, finds a gap of 12 nats and calls one of
# them better. What do you ask?</summary>
#
# How far apart two runs of the *same* model are. In our record they differ by up to 10 nats on the same held-out
# cells. Without seeds, pairs and a standard error, 12 nats is a story about luck.
#
# </details>

# %% [markdown]
# ## 5f.4 What neither of them does: finish
#
# Both versions leave $\theta$ near its random start, the learning rate at 0.001 to the last step, and the averages of
# batch normalisation behind the weights. Our trainer mends all three. **Recorded** by
# `benchmarks/finished_training.py`: the same initial networks, cells and 100 epochs; every row adds a step to the one
# above. Held-out cells, nats per cell, and in brackets the mean paired difference to scvi-tools over five seeds:
#
# | bundled blood cells | -ELBO | log p(x) | NMI |
# | --- | --- | --- | --- |
# | scvi-tools | 779.8 | -743.5 | 0.642 |
# | ... averages finished | 772.2 (-7.6 ± 2.3) | -735.2 (+8.2 ± 1.8) | 0.637 (-0.004 ± 0.002) |
# | ... and $\theta$ from moments | 762.6 (-17.2 ± 3.5) | -723.0 (+20.5 ± 2.7) | 0.640 (-0.002 ± 0.004) |
# | ... and a falling learning rate | 752.2 (-27.6 ± 6.8) | -719.9 (+23.6 ± 5.0) | 0.642 (+0.001 ± 0.003) |
#
# On 3,774 sorted blood cells with the 1,000 genes of largest variance the last row is worth 60.9 ± 3.7 nats of -ELBO,
# and as much of log p(x) as scvi-tools reaches in 100 epochs comes after 8. Clusters do not care: NMI and ARI stay
# the same. (Deeper notebook 5d takes the averages and $\theta$ apart.)

# %% [markdown]
# ## 5f.5 A rival without a network
#
# **Question.** Is $\log p(x) = -720$ good? By itself it is nothing. It needs a rival.
#
# Ours has no network. It knows one share $s_g$ and one $\theta_g$ for every gene, from the training cells, and the
# prior of the library that scVI has. It thinks that all cells are of one kind:
#
# $$p(x) = \int p(l) \prod_g \mathrm{NB}(x_g \mid e^l s_g, \theta_g)\,dl.$$
#
# **Predict.** Blood cells of ten labels, 765 genes, a network with half a million weights, trained to its end. In how
# many of 100 *new* cells is the network ahead?

# %%
data = vc.load_pbmc()
trainer = vc.UnsupervisedTrainer(vc.FastVAE(data.n_genes), data, n_epochs_kl_warmup=50, seed=1000)
trainer.train(100)
model, counts = trainer.model, torch.from_numpy(data.counts.toarray())
train, test = counts[trainer.train_set.indices], counts[trainer.test_set.indices]  # (630, genes), (70, genes)
print(f"{sum(parameter.numel() for parameter in model.parameters()):,} weights; {len(test)} cells held out")

# %% [markdown]
# The rival's $\theta$ comes from moments: what the counts vary about their expected values, beyond the Poisson's
# share. The integral over $l$ is a sum over a grid.


# %%
def theta_of(expected: torch.Tensor) -> torch.Tensor:
    """Return theta by moments of the training counts about their expected values, (genes,)."""
    above_poisson = ((train - expected) ** 2 - expected).sum(dim=0)  # (genes,)
    return ((expected**2).sum(dim=0) / above_poisson.clamp(min=1e-3)).clamp(max=1e4)


# %%
l_grid = torch.linspace(4.5, 8.5, 81)  # (points,), spacing 0.05
log_prior = normal_log_prob(l_grid, model.library_log_means.squeeze(), model.library_log_vars.squeeze())  # (points,)


# %%
def log_p(share: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Return log p(x) of the new cells, with the library averaged out, (70,)."""
    given_l = torch.stack([nb_log_prob(test, size * share, theta).sum(dim=-1) for size in l_grid.exp()])
    return torch.logsumexp(given_l + log_prior.unsqueeze(-1), dim=0) + np.log(0.05)


# %%
total = train.sum(dim=1, keepdim=True)  # (630, 1)
share = (train.sum(dim=0) + 0.1) / (train.sum() + 0.1 * data.n_genes)  # (genes,), none at exactly 0
one_kind = log_p(share, theta_of(total * share))  # (70,)

# %%
bound = torch.from_numpy(trainer.test_set.marginal_ll(200, return_per_cell=True)[0])  # (70,), S = 200
gain = bound - one_kind

# %% tags=["volatile"]
print(f"one kind: log p(x) = {one_kind.mean():.0f}   model: log p(x) >= {bound.mean():.0f} nats per cell")
print(f"the model is ahead in {(gain > 0).double().mean():.0%} of the cells; median gain {gain.median():.0f} nats")
print(f"mean gain {gain.mean():.0f} ± {gain.std() / np.sqrt(70):.0f} nats (standard error over 70 cells)")
assert -760 < one_kind.mean() < -690
assert (gain > 0).double().mean() > 0.6

# %% fold="What is drawn" tags=["volatile"]
ax = vc.plots.panels(1, height=3.2, width=6.0)[0]
vc.plots.histogram({"70 new cells": gain.clamp(min=-300)}, np.linspace(-300, 150, 46), ax, ylabel="cells")
ax.axvline(0, color="0.3", linewidth=1)
ax.set(xlabel="gain of the model over the rival, nats")
vc.plots.show(
    ax,
    alt="Histogram of the gain of 70 new cells. Most gain some tens of nats; a tail of few cells loses up to hundreds.",
)

# %% [markdown]
# Most cells gain, and a few lose badly. That is one split, with one error bar, over cells. The other error is over
# *seeds*: another split, another training. **Recorded** by `benchmarks/rivals.py`, with S = 1,000; the gain of the
# model over the rival, nats per cell:
#
# | seed | 1000 | 1001 | 1002 | 1003 | 1004 | mean ± s.e. over seeds |
# | --- | --- | --- | --- | --- | --- | --- |
# | mean over 70 cells ± s.e. | +26 ± 7 | -5 ± 15 | +11 ± 13 | +19 ± 7 | +9 ± 14 | **+12 ± 5** |
# | median cell | +36 | +27 | +24 | +32 | +34 | **+30 ± 2** |
# | cells with a gain | 81 % | 79 % | 73 % | 80 % | 80 % | **79 ± 1 %** |
# | the worst cell | -206 | -843 | -717 | -232 | -723 | |
#
# So the network explains about four new cells in five better than one kind does, the median cell by 30 nats. Its
# *mean* is only just ahead, for in every split some cell surprises it by hundreds of nats. Seed 1000 alone, the live
# one, would have told a nicer story; seed 1001 alone a sadder one. Trained in scVI's way, and not finished, it is
# *behind* on average, by 20 ± 5 nats (S = 200).

# %% [markdown]
# ## 5f.6 The rival learns of kinds
#
# That rival was a man of straw: it thinks that a B cell is a monocyte. Give it the *simplest* latent variable there
# is, and still no network. K-means cuts the training cells into five clusters, on ten principal components of
# log-normalised counts. Each cluster $k$ has its weight $w_k$ and its own shares, and a new cell may come from any of
# them:
#
# $$p(x) = \sum_k w_k\, p_k(x).$$
#
# **Predict.** Who is ahead now: the mixture of five, or the network?


# %%
def clusters_of(cells: torch.Tensor, n_clusters: int) -> torch.Tensor:
    """Cut cells into clusters by k-means on ten principal components, (cells,)."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    components = PCA(10, random_state=0).fit_transform(torch.log1p(1e4 * cells / cells.sum(dim=1, keepdim=True)))
    return torch.from_numpy(KMeans(n_clusters, n_init=10, random_state=0).fit_predict(components)).long()


# %%
cluster = clusters_of(train, 5)  # (630,)
molecules = torch.stack([train[cluster == k].sum(dim=0) for k in range(5)])  # (5, genes)
shares = (molecules + 500 * share) / (molecules.sum(dim=1, keepdim=True) + 500)  # (5, genes), drawn to the common ones
theta = theta_of(total * shares[cluster])  # (genes,), of all clusters
weights = cluster.bincount() / len(train)  # (5,)

# %%
mixture = torch.logsumexp(torch.stack([log_p(s, theta) for s in shares]) + weights.log()[:, None], dim=0)  # (70,)
gain = bound - mixture

# %% tags=["volatile"]
print(f"one kind {one_kind.mean():.0f}   five kinds {mixture.mean():.0f}   model >= {bound.mean():.0f} nats per cell")
print(
    f"model minus mixture {gain.mean():.0f} ± {gain.std() / np.sqrt(70):.0f}; ahead in {(gain > 0).double().mean():.0%}"
)
assert mixture.mean() > one_kind.mean() + 15

# %% [markdown]
# The mixture, in all five splits of the same record: the network is behind it by 37 ± 6 nats, and behind ten clusters
# by 48 ± 5. That is this notebook's honest defeat.
#
# - **The bound is loose, but not by that much.** From S = 200 to 1,000 it rose by 2 to 8 nats.
# - **Few cells, probably.** 630 cells teach five tables of shares well, and half a million weights less well. No new
#   cell surprises the mixture by hundreds of nats: it falls back on a common share.
# - **Noise, probably.** The mixture's $\theta$ is taken from moments *inside* the clusters. The network's began at
#   the moments of all cells, and is too small (deeper notebook 5d).
# - **A likelihood is not all.** A latent space without the batches, or a state between two kinds, a mixture cannot
#   give. But whoever quotes a likelihood has to name a rival, and one kind of cell is too weak a rival.
#
# <details><summary><b>Check yourself.</b> The mixture has 5 x 765 shares and the clustering was made on the training
# cells. Could it have overfitted?</summary>
#
# It could, and it would show, since all numbers are of cells that neither the clustering nor the shares have seen.
# The 500 molecules of the common profile that are added to every cluster keep a gene that it has not shown from being
# impossible.
#
# </details>

# %% [markdown]
# ## 5f.7 Is $z$ free of depth?
#
# One more promise. $l$ is a variable of its own for the number of molecules. Is $z$ free of it, then? R² is the share
# of the variance of the log total that a straight-line fit on ten numbers explains. (Random numbers explain about 10
# / cells: 0.1 for B cells.)

# %%
log_total = counts.sum(dim=1).log()  # (cells,)
logs = torch.log1p(1e4 * counts / counts.sum(dim=1, keepdim=True))  # (cells, genes)
center = logs.mean(dim=0)
pca = (logs - center) @ torch.linalg.svd(logs - center, full_matrices=False).Vh[:10].T  # (cells, 10)
ten = {"scVI": torch.from_numpy(vc.Posterior(model, data).get_latent()[0]).float(), "PCA": pca}

# %% tags=["volatile"]
for label in ("all", "Dendritic", "CD14+ Monocyte", "CD19+ B"):
    these, r_squared = torch.from_numpy((data.label_names[data.labels] == label) | (label == "all")), {}
    for name, numbers in ten.items():
        table, target = torch.cat([numbers, torch.ones(len(numbers), 1)], dim=1)[these], log_total[these]  # (n, 11)
        fit = table @ torch.linalg.lstsq(table, target.unsqueeze(-1)).solution.squeeze(-1)
        r_squared[name] = round(float(1 - (target - fit).var() / target.var()), 2)
    print(f"{label:15} {int(these.sum())} cells, R² of the log total:", r_squared)
    assert 0.1 < r_squared["scVI"] < 0.95

# %% [markdown]
# Less than in PCA (five seeds: by 0.11 ± 0.01 over all cells, by 0.08 to 0.10 ± 0.02 inside a label), and far from
# free, even inside one label. The softmax keeps the *decoder* from turning $z$ into size. But the encoder reads
# $\log(1 + x)$, in which depth is plain to see, and no term of the loss forbids it to pass depth on. (Some of it is
# biology: a kind of cell with more RNA has other shares, too.)
#
# What became of the promises of lesson 0?
#
# | promised | kept? |
# |---|---|
# | counts that can be: nothing negative, shares that sum to 1 | yes, by construction |
# | it can be sampled | from $q$ of a cell, fairly; from the prior mostly not likely cells (deeper notebook 5d) |
# | a variable for depth | yes, and the decoder obeys it; but $z$ still knows depth |
# | a number for how good it is | yes, and it is honest: ahead of a model of one kind, not of one of five |
#
# **Now you (no checker).** Find where the network wins. Take more cells (`vc.simulate_counts` with thousands of them
# and several latents, or data of your own) and let both rivals and the model try.
#
# <details><summary>What a good answer would contain</summary>
#
# Held-out cells, the same for all; the paired gain with its standard error over cells, and two seeds at least. The
# number of clusters chosen on other cells than those that are scored. An effective sample size beside each bound,
# since a loose bound makes the model look worse than it is. And a curve over the number of training cells: shares of
# a few clusters need few cells, and a network needs many, but then it describes what varies *inside* a cluster, which
# a mixture cannot.
#
# </details>
