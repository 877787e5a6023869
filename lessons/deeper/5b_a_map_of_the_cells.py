# %% [markdown]
# # Deeper 5b · A map of the cells
#
# {{links}}
#
# **You will be able to**
#
# - score a latent space against labels, with a rival beside it
# - say what a t-SNE or UMAP map keeps of the latent, and what it does not
# - measure how well batches mix (exercise 5.7), and what was kept meanwhile: iLISI, cLISI, and scIB's two axes
# - show two cases in which the silhouette misleads
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 5](../05_comparison_with_scvi.ipynb), where your model mixes
# two batches. **You need:** the trainer and the `Posterior` of that lesson, and k-means, NMI and PCA from lesson 0.

# %% setup=true
import numpy as np
import torch

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, solution

# %% fold="Further names that this notebook uses"
# isort: split
from typing import Any

from scipy.special import entr

# %% [markdown]
# ## 5b.1 Ten numbers a cell
#
# **Question.** A trained model gives every cell ten numbers. Do they know the cell types, which it was never shown?
#
# We train on the 700 blood cells of lesson 0 (with `FastVAE`: the same model as `VAE`, faster). `get_latent` gives the
# means of $q(z \mid x)$, with batch and label of every cell beside:

# %%
data = vc.load_pbmc()
trainer = vc.UnsupervisedTrainer(vc.FastVAE(data.n_genes), data, batch_size=64, n_epochs_kl_warmup=20, seed=0)
trainer.train(40)
everyone = vc.Posterior(trainer.model, data)
latent, _, labels = everyone.get_latent()
print(latent.shape, labels.shape)

# %% [markdown]
# A score needs a rival: ten principal components of the log-normalised counts. Both are clustered with k-means, and
# clusters are compared with labels. Five of the ten labels are kinds of T cells, which lesson 0 found too noisy to tell
# apart; taken as one, they leave six groups.

# %%
shares = torch.from_numpy(data.counts.multiply(1e4 / data.counts.sum(axis=1)).toarray()).double()  # (cells, genes)
centred = torch.log1p(shares) - torch.log1p(shares).mean(dim=0)
components = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:10].T).numpy()  # (cells, 10)
merged = ["T cell" if name.startswith(("CD4+", "CD8+")) else name for name in data.label_names]
group_names, codes = np.unique(merged, return_inverse=True)
groups = codes[labels]  # (cells,), the six groups of lesson 0
print(dict(zip(group_names.tolist(), np.bincount(groups).tolist(), strict=True)))

# %% [markdown]
# Three scores:
#
# - **NMI**, normalised mutual information (lesson 0): 0 for unrelated groupings, 1 for equal ones.
# - **ARI**, the adjusted Rand index: the share of *pairs* of cells on which both groupings agree, shifted and scaled so
#   that chance gives 0.
# - **ASW**, the average silhouette width, needs no clusters: is a cell nearer to its own label than to the next one?
#   From -1 to 1. Section 5b.6 shows what is wrong with it.
#
# **Predict.** Against the six groups, scVI's NMI will be (a) far above that of PCA, (b) about the same, (c) far below.

# %% tags=["volatile"]
for against, known in (("ten labels", labels), ("six groups", groups)):
    for name, position in (("scVI", latent), ("PCA", components)):
        score = vc.metrics.clustering_scores(position, known)  # as many clusters as there are groups
        print(f"{against}  {name:5}", "  ".join(f"{key} {score[key]:.2f}" for key in ("nmi", "ari", "asw")))
        assert 0.5 < score["nmi"] < 0.85

# %% [markdown]
# (b). No triumph (five seeds against the six groups: NMI 0.71 ± 0.01 and ARI 0.64 ± 0.02, PCA 0.70 and 0.64). The
# latent has other merits: it comes with a likelihood, with a decoder, and without the batches, as we shall see.

# %% [markdown]
# ## 5b.2 Two maps of the ten
#
# **Question.** Ten dimensions do not fit on paper. What is lost on the way to two?
#
# **t-SNE** and **UMAP** place cells in two dimensions so that neighbours stay together. Both are pictures of the
# latent, not the latent. (The first UMAP of a session compiles its code, which takes some ten seconds.)

# %%
maps = {"t-SNE": everyone.t_sne(max_iter=500), "UMAP": everyone.umap()}
print({name: coordinates.shape for name, coordinates in maps.items()})

# %% [markdown]
# Drawn: both maps of the same latent, coloured by the six groups.

# %% tags=["volatile"] fold="What is drawn"
axes = plots.panels(2, height=3.8, width=5.4)
for ax, (name, coordinates) in zip(axes, maps.items(), strict=True):
    plots.latent(coordinates, groups, group_names, ax, axis_name=name, title=f"{name} of 700 blood cells")
axes[0].get_legend().remove()
plots.show(
    axes[0],
    alt="Two maps of 700 cells in six groups, told apart by colour and marker. In both, B cells and CD34+ "
    "cells lie apart, T cells and NK cells share an island, and so do monocytes and a part of the Dendritic cells.",
)

# %% [markdown]
# Where do the two maps disagree? Look at which islands lie side by side, and at how large the gaps are. Then ask each
# map for the 30 nearest neighbours of every cell: how many of the neighbours among ten latents does it keep? As a
# multiple of chance:

# %% tags=["volatile"]
maps["random"] = np.random.default_rng(0).normal(size=(700, 2))
kept = {name: vc.metrics.nn_overlap(latent, map_, n_neighbors=30)[1] for name, map_ in maps.items()}
print({name: round(fold, 1) for name, fold in kept.items()}, f"  all of them would be {700 / 30:.1f}")
assert min(kept["t-SNE"], kept["UMAP"]) > 5
assert kept["random"] < 1.5

# %% [markdown]
# Most of the neighbourhood survives. And the distances between groups? Ten labels have ten centres, and these have 45
# distances, in the latent and on the map.
#
# **Predict.** If a map were faithful, every distance would shrink by one factor. By how much will the factor vary
# among the 45? (a) By 10 %. (b) Twofold. (c) Fivefold or more.

# %% tags=["volatile"]
pair_1, pair_2 = np.triu_indices(10, k=1)  # (45,) each
apart = {}
for name, position in {"latent": latent, **maps}.items():
    centres = np.stack([position[labels == k].mean(axis=0) for k in range(10)])  # (10, dimensions)
    apart[name] = np.linalg.norm(centres[pair_1] - centres[pair_2], axis=1)  # (45,)
for name in ("t-SNE", "UMAP"):
    ratio = apart[name] / apart["latent"]
    print(f"{name:5} map : latent varies by a factor of {ratio.max() / ratio.min():.0f}")
    assert ratio.max() > 3 * ratio.min()

# %% [markdown]
# (c). One centimetre of map stands for very different distances in different places: twice the gap is not twice the
# difference ([Chari and Pachter 2023](https://doi.org/10.1371/journal.pcbi.1011288)). **Measure in the latent, look at
# the map.**

# %% [markdown]
# ## 5b.3 Two laboratories
#
# **Question.** Two laboratories measured the same kinds of cells. How do we know that a map shows the cells and not the
# laboratories?
#
# We need cells whose truth is known. So we simulate: 600 cells of three kinds, two batches, and a batch effect on every
# gene.

# %%
sim = vc.simulate_counts(
    600, 100, n_labels=3, n_batches=2, n_latent=2, mean_library=1000, share_de=0.2, sd_batch_effect=1.0, seed=0
)
print("cells by kind and batch:", [np.bincount(sim.batch_index[sim.labels == k]).tolist() for k in range(3)])
print("largest change that batch 1 puts on a gene: factor", round(float(np.exp(sim.truth.batch_effect[1]).max()), 1))

# %% [markdown]
# Train twice. With `n_batch=2` the decoder is told the batch, $p(x \mid z, l, s)$, so $z$ need not carry it. With
# `n_batch=0` nobody tells. Two latents, so that we can draw them as they are, without t-SNE:


# %%
def trained_on_simulated(n_batch: int) -> vc.Posterior:
    """Train on the simulated cells, and return a posterior of all of them."""
    model = vc.FastVAE(sim.n_genes, n_batch=n_batch, n_latent=2, n_hidden=64)
    sim_trainer = vc.UnsupervisedTrainer(model, sim, batch_size=64, n_epochs_kl_warmup=20, seed=0)
    sim_trainer.train(50)
    return vc.Posterior(model, sim)


told, untold = trained_on_simulated(n_batch=2), trained_on_simulated(n_batch=0)
print("latents, told and not told:", told.get_latent()[0].shape, untold.get_latent()[0].shape)

# %% [markdown]
# Drawn: above, both latents coloured by batch; below, the same cells by kind.

# %% tags=["volatile"] fold="What is drawn"
axes = plots.grid(2, 2)
for column, (name, posterior) in enumerate((("told the batch", told), ("not told", untold))):
    position = posterior.get_latent()[0]
    plots.latent(position, sim.batch_index, ["batch 0", "batch 1"], ax=axes[0][column], title=name)
    plots.latent(position, sim.labels, ["kind 0", "kind 1", "kind 2"], ax=axes[1][column])
plots.show(
    axes[0][0],
    alt="Four panels of latents. Told the batch, the batches lie on top of each other and the three kinds apart. "
    "Not told, the batches lie side by side, the kinds fall into halves, and kinds 1 and 2 lie on each other.",
)

# %% [markdown]
# Not told, the model gives a kind two places, one per laboratory, and here kinds 1 and 2 share theirs. We see it. Now
# put a number on it, since ten latents cannot be looked at.

# %% [markdown]
# ## 5b.4 A number for mixing
#
# **Idea.** Take a cell, look at its nearest neighbours: from which batches do they come? Four neighbours, two of each
# batch: shares $\tfrac12, \tfrac12$. All four of one batch: shares $1, 0$. The **entropy** of the shares,
#
# $$H = -\sum_b p_b \log p_b,$$
#
# is $\log 2 = 0.693$ nats in the first case and 0 in the second ($0 \log 0$ counts as 0; `entr` computes
# $-p \log p$ with that rule):

# %%
for p in ([0.5, 0.5], [0.75, 0.25], [1.0, 0.0]):
    print(p, f"entropy {entr(np.array(p)).sum():.3f} nats")

# %% [markdown]
# Write the score: for every cell the `n_neighbors` nearest *other* cells in the latent (Euclidean distance), the
# batches' shares among them, the entropy of the shares in nats; return the mean over cells.
#
# By hand: four cells on a line at 0, 1, 10, 11, in batches 0, 1, 0, 0, and one neighbour each. One neighbour has one
# batch, so every entropy is 0. With three neighbours: the cell at 0 sees batches 1, 0, 0, the one at 1 sees 0, 0, 0.
# Shares $\tfrac13, \tfrac23$ have entropy 0.6365, so the mean is $\tfrac34 \cdot 0.6365 = 0.4774$.
#
# In come two torch tensors, `latent` (cells, latent) and `batch_index`, either (cells,) or (cells, 1); out comes one
# number. Mind that a cell is not its own neighbour, even when another cell sits on the same spot. Any number of batches
# may come.

# %% exercise="5.7" source="vae_course.metrics.entropy_batch_mixing" minutes=12 difficulty=2

# %% [markdown]
# The example, then the two latents. The most one can expect is the entropy of the overall shares, here nearly
# $\log 2$: that is a neighbourhood which looks like the whole data set.

# %%
line, line_batch = torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 1, 0, 0])
print(f"four cells, three neighbours: {float(entropy_batch_mixing(line, line_batch, 3)):.4f}")
batches = torch.from_numpy(sim.batch_index)  # (cells,)
ceiling = vc.metrics.entropy_from_indices(sim.batch_index)
print(f"ceiling for the simulated batches: {ceiling:.3f} nats")

# %% tags=["volatile"]
mixing = {}
for name, posterior in (("told", told), ("not told", untold)):
    mixing[name] = float(entropy_batch_mixing(torch.from_numpy(posterior.get_latent()[0]), batches, 50))
    print(f"{name:9} mixing {mixing[name]:.3f} of {ceiling:.3f} nats")
assert mixing["not told"] < 0.45 < 0.5 < mixing["told"]

# %% [markdown]
# Five simulations, each with its own two models: 0.59 ± 0.05 told, 0.012 ± 0.004 not told.
#
# **What breaks it.** Mixing is easy to win. Throw the cells about at random:

# %%
anywhere = torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
print(f"random positions: mixing {float(entropy_batch_mixing(anywhere, batches, 50)):.2f}")

# %% [markdown]
# ## 5b.5 The second axis
#
# **Question.** Random positions mix perfectly, and are worthless. What has to stand beside a score of mixing?
#
# A score of what should have been *kept*: the kinds of cells. The scores most used today come in such a pair. Both ask
# for the **effective number** of groups in a neighbourhood, the local inverse Simpson index (LISI). It is one over the
# probability that two random neighbours are of one group, $1 / \sum_b p_b^2$:

# %%
for p in ([0.5, 0.5], [0.75, 0.25], [1.0, 0.0]):
    print(p, "effective number of batches", round(1 / sum(share**2 for share in p), 2))

# %% [markdown]
# **iLISI** ("integration") is that number for the batches, scaled so that 0 means one batch in each neighbourhood and 1
# all of them equally. **cLISI** is the same for the labels, turned round: 1 means one label in each neighbourhood.
# (Neighbours are weighted by distance, and the median over cells is taken.) So each method is a point with two
# coordinates, and good is *up and to the right*.
#
# **Predict.** Told, not told, and random: which of the three will win on one axis only?

# %% tags=["volatile"]
places = {"told": told.get_latent()[0], "not told": untold.get_latent()[0], "random": anywhere.numpy()}
ilisi = {name: vc.metrics.ilisi(position, sim.batch_index) for name, position in places.items()}
clisi = {name: vc.metrics.clisi(position, sim.labels) for name, position in places.items()}
for name in places:
    print(f"{name:9} iLISI {ilisi[name]:.2f}   cLISI {clisi[name]:.2f}")
assert ilisi["not told"] < 0.3 < ilisi["told"]
assert clisi["random"] < 0.3 < clisi["told"]

# %% [markdown]
# Random wins the first and loses the second; the model that was not told loses both, since it also laid two kinds on
# each other. Drawn: the three as points.

# %% tags=["volatile"] fold="What is drawn"
ax = plots.panels(1, 3.4, 5)[0]
for name in places:
    plots.points([ilisi[name]], [clisi[name]], name, ax)
ax.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel="iLISI, batches mix", ylabel="cLISI, kinds stay apart")
plots.show(
    ax, alt="Three points. Random is far right and at the bottom, not told far left, told high and to the right."
)

# %% [markdown]
# These are the two axes of **scIB**, the benchmark by which methods of integration are compared ([Luecken et al.
# 2022](https://doi.org/10.1038/s41592-021-01336-8)): *batch correction* and *conservation of biology*. Each axis is a
# mean of several scores, and the total weighs them 0.4 and 0.6. That weight is a choice. A method may climb in the
# ranking by removing what another laboratory calls biology, so look at the plane and not at the total.
#
# On *real* cells: lesson 0's `load_two_batches`, half of the bundled cells passed through a known effect. Five seeds of
# data and training, as `benchmarks/two_batches.py` **recorded** them (*entropy* is yours, as a share of its ceiling):
#
# | | entropy | iLISI | cLISI | neighbours of the same kind | ARI |
# | --- | --- | --- | --- | --- | --- |
# | ten principal components | 0.183 ± 0.009 | 0.002 ± 0.000 | 0.954 ± 0.002 | 0.466 ± 0.002 | 0.384 ± 0.003 |
# | not told | 0.253 ± 0.009 | 0.014 ± 0.002 | 0.951 ± 0.002 | 0.463 ± 0.003 | 0.390 ± 0.001 |
# | told | 0.767 ± 0.014 | 0.355 ± 0.035 | 0.952 ± 0.002 | 0.485 ± 0.003 | 0.437 ± 0.016 |
#
# Told, the two halves mix, and the kinds are found no worse. Two lessons about *scores*. Entropy and iLISI agree in
# order and differ in size: iLISI is stricter, so never compare numbers of one with numbers of the other. And with ten
# labels cLISI is near 1 for everything. It hardly tells the three apart, where the ARI does. One score an axis is not
# enough.

# %% [markdown]
# ## 5b.6 What the silhouette does not see
#
# **Question.** The silhouette width sits on both axes in many papers. Why not here?
#
# For one cell: $a$ is its mean distance to its own group, $b$ that to the *nearest* other group. The silhouette is
# $(b - a) / \max(a, b)$. Two things can go wrong. Take one kind of cell and four batches. Batches 0 and 1 lie on each
# other, 2 and 3 as well, and both pairs are far apart. That is a large batch effect.
#
# **Predict.** The silhouette score of mixing, 1 for perfect: (a) near 0, (b) near one half, (c) near 1.

# %%
rng, n = np.random.default_rng(0), 400
four = np.arange(n) % 4  # (cells,), batches
two_places = rng.normal(size=(n, 2)) + 40 * np.stack([four >= 2, np.zeros(n)], axis=1)  # (cells, 2)
one_kind = np.zeros(n, dtype=int)
print(f"silhouette, batches mix {vc.metrics.silhouette_batch(two_places, four, one_kind):.2f}")
share = vc.metrics.entropy_batch_mixing(two_places, four) / np.log(4)
print(f"entropy, share of its ceiling {share:.2f}   iLISI {vc.metrics.ilisi(two_places, four):.2f}")

# %% [markdown]
# (c), near perfect. It asks about the *nearest* other batch, and there is one right here. Neighbourhoods know better.
#
# Second: the silhouette likes its groups **round**. Drawn are two data sets of two kinds each. On the left the kinds
# overlap, on the right they are two clean stripes (100 wide, the gap 20 high). Which should score higher?

# %%
kind = np.arange(n) % 2  # (cells,)
blobs = 1.2 * rng.normal(size=(n, 2)) + 3 * np.stack([kind, np.zeros(n)], axis=1)  # (cells, 2)
stripes = np.stack([rng.uniform(0, 100, n), 25 * kind + rng.normal(size=n)], axis=1)  # (cells, 2)

# %% fold="What is drawn"
axes = plots.panels(2, height=3.0, width=4.6)
plots.latent(blobs, kind, ["kind 0", "kind 1"], axes[0], title="two blobs", axis_name="position")
plots.latent(stripes, kind, ["kind 0", "kind 1"], axes[1], title="two stripes", axis_name="position")
axes[0].get_legend().remove()
plots.show(axes[0], alt="Left: two round clouds that overlap. Right: two long stripes with a wide empty gap between.")

# %%
for name, position in (("blobs", blobs), ("stripes", stripes)):
    silhouette, purity = vc.metrics.silhouette_label(position, kind), vc.metrics.knn_purity(position, kind)
    print(f"{name:8} silhouette, from 0 to 1: {silhouette:.2f}   cLISI {vc.metrics.clisi(position, kind):.2f}", end="")
    print(f"   neighbours of the same kind {purity:.2f}")

# %% [markdown]
# The silhouette prefers the blobs that overlap to the stripes that do not, because a stripe is long. Cells that mature,
# cycle or respond lie on stripes. [Rautenstrauch and Ohler
# 2025](https://doi.org/10.1038/s41587-025-02743-4) show both failures in published benchmarks, and conclude that the
# silhouette cannot be relied on to judge an integration. Report it, if you must, beside a score of neighbourhoods.
#
# `Posterior.integration_scores()` computes all of these in one call. Read it with this section in mind:

# %% tags=["volatile"]
table = {name: posterior.integration_scores() for name, posterior in (("told", told), ("not told", untold))}
for name in table["told"]:
    print(f"{name:17}", "   ".join(f"{who} {scores[name]:.2f}" for who, scores in table.items()))
assert table["told"]["ilisi"] > table["not told"]["ilisi"]

# %% [markdown]
# ## 5b.7 What the correction does to the counts
#
# **Question.** The batch is gone from the latent. Is it gone from the *genes*?
#
# The decoder takes the batch as an input, so we may lie to it. Encode each cell as it is, and decode all cells as if
# they came from batch 0: `get_harmonized_scale(0)`. For every gene we take the log-ratio of batch 1 to batch 0, in the
# raw shares and in the harmonised ones:


# %%
def log_ratio(shares: np.ndarray) -> np.ndarray:
    """Log of the mean share in batch 1 over that in batch 0, per gene, (genes,)."""
    return np.log(shares[sim.batch_index == 1].mean(axis=0) / shares[sim.batch_index == 0].mean(axis=0))


raw_shares = sim.counts.multiply(1 / sim.counts.sum(axis=1)).toarray()  # (cells, genes)
harmonised = told.get_harmonized_scale(0)  # (cells, genes)

# %% [markdown]
# Drawn: both against the true effect, which only a simulation knows.

# %% tags=["volatile"] fold="What is drawn"
ax = plots.points(sim.truth.batch_effect[1], log_ratio(raw_shares), "raw counts")
plots.points(sim.truth.batch_effect[1], log_ratio(harmonised), "decoded as batch 0", ax=ax)
ax.set(xlabel="true batch effect (log)", ylabel="log ratio of shares, batch 1 : 0")
assert np.std(log_ratio(harmonised)) < 0.3 * np.std(log_ratio(raw_shares))
plots.show(ax, alt="Raw log-ratios follow the true batch effect on a line; harmonised ones lie flat at zero.")

# %% [markdown]
# The batch is gone from every gene. That is as good as the design was, and no better:
#
# <details><summary><b>Check yourself.</b> Laboratory 0 measured only kind 0, laboratory 1 only kind 1. What will the
# correction do?</summary>
#
# It cannot know which differences are the laboratory's and which the kind's: batch and kind are the same column. The
# model may well remove both. No method mends a design in which the two are confounded completely.
#
# </details>
#
# <details><summary><b>An open task.</b> One kind of cell is in one batch only. Simulate it, and see which scores
# punish the model for being right.</summary>
#
# Take `sim.subset(...)` without the cells of kind 2 in batch 1, and train again. A good model leaves kind 2 alone. Its
# neighbourhoods then hold one batch, so entropy and iLISI fall, although nothing is wrong; a model that pushed kind 2
# into another would score higher. A good answer says so with numbers, and reads the mixing kind by kind, where both
# batches have cells.
#
# </details>

# %% tags=["volatile"]
progress()
