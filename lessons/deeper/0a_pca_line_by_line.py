# %% [markdown]
# # Deeper 0a · PCA line by line
#
# {{links}}
#
# **You will be able to**
#
# - derive that the best direction is an eigenvector of the covariance matrix, and check each line with a number
# - read variances and directions off a singular value decomposition
# - say how many directions of real cells rise above chance
# - find depth where it hides in a component
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 0, section 0.4](../00_latents.ipynb). **You need:** section
# 0.4, the transpose and the matrix product; one line uses a Lagrange multiplier. If a line is new to you, run its check
# and read on.

# %% setup=true
import torch
from torch import Tensor, nn

import vae_course as vc
from vae_course import plots
from vae_course.exercises.stand_ins import log_normalize, pca_decode, pca_encode, reconstruction_error

# %% [markdown]
# ## 0a.1 Turn a direction
#
# **Question.** Five cells, two genes, means already subtracted. You may keep one number a cell: how far it lies along
# some **direction** $v$, a vector of length 1. Which direction keeps the cells furthest apart?

# %%
torch.set_printoptions(precision=2, sci_mode=False)  # print two decimals
toy = torch.tensor([[-2.0, -1.0], [-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [2.0, 1.0]])  # (cells, genes)
print("along gene 0:    ", toy @ torch.tensor([1.0, 0.0]))  # (cells,)
print("along a diagonal:", toy @ torch.tensor([0.8, 0.6]))

# %% [markdown]
# "Furthest apart" means largest variance. Turn the direction through half a circle and watch. **Predict:** at which
# angle will the peak be, nearer to 0, 30 or 45 degrees?

# %% fold="The cells, and the variance along every direction"
angle = torch.linspace(0, 180, 361)  # degrees
fan = torch.stack([torch.cos(angle.deg2rad()), torch.sin(angle.deg2rad())])  # (2, angles)
variance = (toy @ fan).var(dim=0)  # (angles,)
best = variance.argmax()
left, right = plots.panels(2)
plots.points(*toy.T, ax=left, xlabel="gene 0, centred", ylabel="gene 1, centred", title="five cells")
left.set(xlim=(-2.6, 2.6), ylim=(-1.8, 1.8), aspect="equal")
left.axline((0, 0), tuple(fan[:, best].tolist()), color=plots.COLORS[1], linestyle="--", label="best direction")
left.legend(frameon=False, loc="upper left")
plots.lines(angle, {"": variance}, right, xlabel="angle of the direction (degrees)", ylabel="variance along it")
right.axvline(angle[best].item(), color=plots.COLORS[1], linestyle="--")
plots.show(right, alt="Left: five cells and the best direction through them. Right: variance peaks near 32 degrees.")
print(f"best angle {angle[best]:.1f} degrees, variance {variance[best]:.2f}")

# %% [markdown]
# ## 0a.2 From variance to a matrix
#
# With 765 genes you cannot try all angles. So let us find the peak with a pencil. In lines 1 to 7 a cell $x_i$ is a
# column of numbers, $\bar x$ (`mean`) is the mean of $n$ cells, and what we keep of cell $i$ is
#
# $$z_i = (x_i - \bar x)^\top v .$$
#
# **Line 1. The mean of $z$ is zero**, because $\sum_i (x_i - \bar x) = 0$. So the variance is the mean square, with the
# usual $n - 1$:
#
# $$\operatorname{var}(z) = \frac{1}{n-1} \sum_i z_i^2 .$$
#
# **Line 2. Put $z_i$ in**, once as $v^\top (x_i - \bar x)$ and once as $(x_i - \bar x)^\top v$; it is the same number.
# The two $v$ do not depend on $i$, and move out of the sum:
#
# $$\operatorname{var}(z) = v^\top \Big[ \frac{1}{n-1} \sum_i (x_i - \bar x)(x_i - \bar x)^\top \Big] v = v^\top C v .$$
#
# A column times a row, $(x_i - \bar x)(x_i - \bar x)^\top$, is an **outer product**: a whole table, in which entry $(g,
# j)$ is gene $g$ times gene $j$ of that cell. For the first cell of the toy, and for all:

# %%
print("cell 0:", torch.outer(toy[0], toy[0]).tolist())  # (genes, genes)
by_cells = sum(torch.outer(cell, cell) for cell in toy) / (len(toy) - 1)  # (genes, genes)
cov = toy.T @ toy / (len(toy) - 1)  # the same sum, as one matrix product
print("C, cell by cell:", by_cells.tolist(), "  at once:", cov.tolist())

# %% [markdown]
# The bracket is the **covariance matrix** $C$ (`cov`): variances of the genes on its diagonal, covariances beside it.
# It knows the variance along *every* direction:

# %%
direction = torch.tensor([0.8, 0.6])
z = toy @ direction  # (cells,)
print(f"mean of z {z.mean().abs():.2f}   variance of z {z.var():.2f}   v C v {direction @ cov @ direction:.2f}")

# %% [markdown]
# ## 0a.3 The peak
#
# **Line 3. Keep the length at 1.** Doubling $v$ makes the variance four times as large and tells nothing more. So we
# look for the largest $v^\top C v$ with $v^\top v = 1$. Lagrange: give the condition a price $\lambda$, and look for
# flat points of
#
# $$J(v, \lambda) = v^\top C v - \lambda (v^\top v - 1).$$
#
# **Line 4. Differentiate.** As $(a v^2)' = 2 a v$ for numbers, so for vectors and a symmetric $C$: the gradient of
# $v^\top C v$ is $2Cv$, that of $v^\top v$ is $2v$. Where $J$ is flat,
#
# $$2 C v - 2 \lambda v = 0 \quad\Longrightarrow\quad C v = \lambda v .$$

# %%
step = torch.tensor([0.01, 0.0])  # a small step in the first entry of v
slope = ((direction + step) @ cov @ (direction + step) - (direction - step) @ cov @ (direction - step)) / 0.02
print(f"slope measured {slope:.2f}, first entry of 2 C v {(2 * cov @ direction)[0]:.2f}")

# %% [markdown]
# A vector that $C$ only stretches is an **eigenvector** of $C$, and the factor $\lambda$ is its **eigenvalue**. PyTorch
# finds them, smallest first:

# %%
eigenvalues, eigenvectors = torch.linalg.eigh(cov)  # (2,), (2, 2): an eigenvector in each column
first = eigenvectors[:, -1] * eigenvectors[0, -1].sign()  # v and -v are the same direction
print(f"v = ({first[0]:.3f}, {first[1]:.3f}), at {torch.atan2(first[1], first[0]).rad2deg():.1f} degrees")
print("C v      =", cov @ first)
print("lambda v =", eigenvalues[-1] * first)

# %% [markdown]
# `eigh` says 31.7 degrees; our sweep, in half degrees, found the grid point next to it.
#
# <details><summary><b>Check yourself.</b> At the best <i>v</i>, is the gradient 2<i>Cv</i> zero?</summary>
#
# No. At a free peak it would be. But $v$ has to keep its length, so it is enough that no step *along the circle* helps:
# $2Cv$ may still point along $v$, and it does, $2Cv = 2\lambda v$. If the two were not parallel, sliding along the
# circle would still raise the variance.
#
# </details>
#
# **Line 5. What is $\lambda$?** Multiply $Cv = \lambda v$ by $v^\top$ from the left, and use $v^\top v = 1$:
#
# $$\operatorname{var}(z) = v^\top C v = \lambda .$$
#
# The eigenvalue *is* the variance. So among the flat points the one with the largest eigenvalue wins.
#
# **Line 6. Is it really the highest?** $C$ is symmetric, so it has as many eigenvectors as genes, $v_1, v_2, \dots$, of
# length 1 and at right angles; number them so that $\lambda_1 \ge \lambda_2 \ge \dots$ Write any direction as $v =
# \sum_j a_j v_j$. Its length gives $\sum_j a_j^2 = 1$. Mixed terms vanish, $v_1^\top C v_2 = \lambda_2 v_1^\top v_2 =
# 0$, and what remains is
#
# $$v^\top C v = \sum_j a_j^2 \lambda_j \le \lambda_1 ,$$
#
# a weighted mean of eigenvalues, which cannot exceed the largest. If $v$ must stand at a right angle to $v_1$, then
# $a_1 = 0$, and the best is $\lambda_2$, at $v_2$. Going on like this gives the first $k$ eigenvectors: **principal
# component analysis**. (That no other $k$ directions *together* do better is the theorem of Eckart and Young in the
# [references](../../docs/references.md).)

# %%
weights = (eigenvectors.T @ direction) ** 2  # (2,): a_j squared
print(f"line 5: variance along v {(toy @ first).var():.3f} = lambda {eigenvalues[-1]:.3f}")
print(f"line 6: weights add up to {weights.sum():.2f}; weighted mean {weights @ eigenvalues:.2f} = v C v above")

# %% [markdown]
# ## 0a.4 What is lost, and 765 genes
#
# **Line 7. The same direction loses least.** Go back from $z_i$ to a cell: $\hat x_i = \bar x + z_i v$. What is lost
# stands at a right angle to $v$, because $v^\top (x_i - \bar x - z_i v) = z_i - z_i = 0$. So Pythagoras holds:
#
# $$\lVert x_i - \bar x \rVert^2 = z_i^2 + \lVert x_i - \hat x_i \rVert^2 .$$
#
# The left side does not depend on $v$. The more you keep, the less you lose.

# %%
z = toy @ first  # (cells,)
lost = ((toy - z.unsqueeze(-1) * first) ** 2).sum(dim=1)  # (cells,)
for i, whole in enumerate((toy**2).sum(dim=1)):
    print(f"cell {i}: whole {whole:.2f} = kept {z[i] ** 2:.2f} + lost {lost[i]:.2f}")

# %% [markdown]
# For real cells there is a shortcut that never builds the 765 x 765 matrix. The **singular value decomposition** writes
# the centred cells, one a row, as $X = U S V^\top$. $S$ is diagonal. The columns of $U$ are of length 1 and at right
# angles, so $U^\top U = I$, ones on the diagonal and zeros elsewhere; the same holds for $V$. Then
#
# $$C = \frac{X^\top X}{n-1} = \frac{V S U^\top U S V^\top}{n-1} = V \, \frac{S^2}{n-1} \, V^\top :$$
#
# the columns of $V$ are the eigenvectors, and $S^2/(n-1)$ the eigenvalues, largest first. PyTorch returns $V^\top$,
# with a direction in each *row*: the first $k$ of them are the matrix $W$ (`components`) of lesson 0.

# %%
data = vc.load_pbmc()
counts = torch.from_numpy(data.counts.toarray())  # (cells, genes)
x = log_normalize(counts).float()  # (cells, genes)
shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
train, test = shuffled[:560], shuffled[560:]
mean = x[train].mean(dim=0)  # (genes,)
_, singular, all_components = torch.linalg.svd(x[train] - mean, full_matrices=False)  # (560,), (560, genes)
by_eigh = torch.linalg.eigvalsh(torch.cov(x[train].T)).flip(0)[:3]
print("eigenvalues by eigh:", [f"{value:.1f}" for value in by_eigh.tolist()])
print("S^2 / (n - 1):      ", [f"{value:.1f}" for value in (singular**2 / (len(train) - 1))[:3].tolist()])

# %% [markdown]
# <details><summary><b>Check yourself.</b> Decode, then encode again: z → x_hat → z. Is it the same z?</summary>
#
# Yes. The rows of $W$ have length 1 and stand at right angles, so $W W^\top = I$, and $(\bar x + zW - \bar x)W^\top =
# z$ (a cell is a row again). The other way round, x → z → x_hat, loses whatever the directions cannot reach.
#
# </details>
#
# **What breaks it.** Forget to subtract the mean. **Predict** what the first direction will then be, before you run.

# %%
uncentred = torch.linalg.svd(x[train], full_matrices=False).Vh[0]  # (genes,)
print(f"cosine between it and the mean cell: {(uncentred @ mean / mean.norm()).abs():.3f}")

# %% [markdown]
# The longest direction is then the one from zero to the middle of the cloud. Your best latent says "this is a cell".

# %% [markdown]
# ## 0a.5 What PCA keeps, and what it throws away
#
# **Question.** How much do $k$ directions keep? By Pythagoras, applied $k$ times, the whole is a square for each
# direction and what is lost. Averaged over the training cells (with $n - 1$) each square is an eigenvalue. So the share
# kept is $\lambda_1 + \dots + \lambda_k$ over the sum of all. Check it against the error of exercise 0.5:

# %%
kept = (singular**2).cumsum(0) / (singular**2).sum()  # (560,)
components = all_components[:10]  # (latent, genes)
back = pca_decode(pca_encode(x[train], mean, components), mean, components)  # (560, genes)
lost, total = reconstruction_error(x[train], back), reconstruction_error(x[train], mean.expand(560, -1))
print(f"ten directions keep, by eigenvalues {kept[9]:.3f}   by the error {1 - lost / total:.3f}")

# %% [markdown]
# A quarter. Ten latents see the cell types, and miss three quarters of the variance? **Predict:** is the rest mostly
# biology, or mostly the luck of catching 0 or 1 molecule? A test: shuffle each gene over the cells, by itself. That
# keeps every gene's variance, and destroys everything that genes do together.

# %%
generator = torch.Generator().manual_seed(0)
scrambled = torch.stack([column[torch.randperm(560, generator=generator)] for column in x[train].T], dim=1)
noise = torch.linalg.svdvals(scrambled - mean)  # (560,)
above = int((singular > noise[0]).sum())
print(f"directions above the largest of shuffled genes: {above}; they keep {kept[above - 1]:.0%} of the variance")

# %% fold="Variances along the first 30 directions, real and shuffled"
ax = plots.lines(
    range(1, 31),
    {"real cells": singular[:30] ** 2 / 559, "genes shuffled apart": noise[:30] ** 2 / 559},
    xlabel="component",
    ylabel="variance along it (log counts²)",
    yscale="log",
)
ax.axhline(noise[0] ** 2 / 559, color="0.6", linewidth=1, label="largest after shuffling")
ax.set_title("How many directions rise above shuffled genes?", fontsize=11)
ax.legend(frameon=False)
plots.show(
    ax, alt="Variance of 30 components, log axis. Seven lie above a line at the largest variance of shuffled genes."
)

# %% [markdown]
# Seven. (The curves must cross: shuffling keeps their sum, and spreads it over all components.) The line is
# conservative: a shuffled gene still has the variance that cell types gave it, so read "at least seven", and more cells
# would lift a few more. That all the rest is noise, this test does not prove. scVI's default is 10 latents.
#
# <details><summary><b>Check yourself.</b> In lesson 0 the held-out error fell on to 559 latents. Is 559 best?</summary>
#
# The held-out error of PCA can only fall: each further direction lets the encoder copy one more aspect of the very cell
# that it is asked to rebuild, noise included. A *likelihood* of held-out cells does not have that flaw; you will
# compute it in lesson 4.
#
# </details>

# %% [markdown]
# ## 0a.6 When the first component is only depth
#
# **Question.** PCA asks for the largest variance, not for biology. What if the largest is depth, how well a cell was
# caught? In lesson 0, PC1 of *raw* counts followed the library. Where does depth go when we log-normalise?


# %%
def first_scores(table: Tensor, k: int = 2) -> Tensor:
    """Return the cells' coordinates on the first k components, (cells, k)."""
    mean = table.mean(dim=0)
    return pca_encode(table, mean, torch.linalg.svd(table - mean, full_matrices=False).Vh[:k])


raw, tamed, log_library = first_scores(counts), first_scores(x), counts.sum(dim=1).log()  # (cells, 2) twice, (cells,)
table = torch.stack([*raw.T, *tamed.T, log_library])  # (5, cells)
print("|r| with log library       raw PC1   PC2   log-normalised PC1   PC2")
for name in ("all cells", "Dendritic", "CD14+ Monocyte", "CD19+ B"):
    chosen = torch.from_numpy((data.label_names[data.labels] == name) | (name == "all cells"))  # (cells,)
    r = torch.corrcoef(table[:, chosen])[-1].abs().tolist()  # each row with log library
    print(f"{name:26} {r[0]:7.2f} {r[1]:5.2f} {r[2]:20.2f} {r[3]:5.2f}")

# %% fold="Log library against PC1, raw and log-normalised"
kinds = ["T cell" if name.startswith(("CD4+", "CD8+")) else str(name) for name in data.label_names[data.labels]]
group_names = sorted(set(kinds))
groups = torch.tensor([group_names.index(kind) for kind in kinds])  # (cells,)
lyz = x[:, list(data.gene_names).index("LYZ")]  # (cells,): PC1 rises with this gene
left, right = plots.panels(2, 4.2, 5.2)
for ax, scores, name in ((left, raw, "raw counts"), (right, tamed, "log-normalised")):
    pc1 = scores[:, 0] * torch.corrcoef(torch.stack([scores[:, 0], lyz]))[0, 1].sign()
    plots.latent(torch.stack([pc1, log_library], dim=1), groups, group_names, ax)
    ax.set(xlabel=f"PC1, {name}", ylabel="log library size (natural log)", yticks=[6, 6.5, 7])
left.get_legend().remove()
plots.show(
    left,
    alt="Log library against PC1. Raw: one group smeared along a slope. Log-normalised: groups side by side.",
)

# %% [markdown]
# Left, the group labelled Dendritic smears out along a slope: the deeper the cell, the further it lies from the T
# cells, because depth *multiplies* loud genes. Right, the groups stand side by side. The table says it within a type:
# in the two myeloid groups normalising frees PC1 of depth, in B cells PC1 follows it more than before, and in PC2 depth
# is still there. A shallow cell has more zeros, and the logarithm of 1 + 0 stays zero however one scales it.
# Log-normalising *tames* depth.
#
# On real cells we cannot tell catching from biology for sure. On simulated cells we can: `simulate_counts` draws the
# library independently of the type, so any link between depth and a component is an artefact. How much of a component's
# variance lies **between types**, from 0 to 1? **Predict** it for PC1 of raw counts.

# %%
simulated = vc.simulate_counts(
    600,  # cells
    1000,  # genes
    n_latent=1,  # one continuous latent that all types share
    mean_library=10_000,
    sd_log_library=0.8,  # spread of the log library: depths differ a lot
    share_de=0.05,  # share of genes that a type changes
    mean_dropout=0.0,  # no zeros added on top
    seed=0,
)
counts_sim, labels_sim = torch.from_numpy(simulated.counts.toarray()), torch.from_numpy(simulated.labels)
depth = counts_sim.sum(dim=1)  # (cells,)


# %%
def share_between(score: Tensor, labels: Tensor) -> Tensor:
    """Return the share of a score's variance that lies between labels, 0 to 1."""
    of_type = torch.stack([score[labels == label].mean() for label in labels.unique()])
    typical = of_type[torch.unique(labels, return_inverse=True)[1]]  # (cells,): the mean of each cell's type
    return typical.var() / score.var()


for name, table in (("raw", counts_sim), ("log-normalised", log_normalize(counts_sim))):
    scores = first_scores(table, 3)  # (cells, 3)
    r = torch.corrcoef(torch.stack([scores[:, 0], depth.log(), depth]))[0].abs()  # (3,)
    shares = ", ".join(f"{share_between(score, labels_sim):.2f}" for score in scores.T)
    print(f"{name:15} |r| of PC1 with log library {r[1]:.2f}, with library {r[2]:.2f}   between types, PC1-3: {shares}")

# %% fold="The simulated cells on PC1 and PC2, raw and log-normalised"
left, right = plots.panels(2, 3.8, 4.6)
for ax, table, name in ((left, counts_sim, "raw"), (right, log_normalize(counts_sim), "log-normalised")):
    plots.latent(first_scores(table), labels_sim, [f"type {label}" for label in range(4)], ax)
    ax.set(xlabel="PC1", ylabel="PC2", title=name)
left.get_legend().remove()
plots.show(left, alt="Left: raw PC1 and PC2, four types on top of each other in a fan. Right: types apart along PC2.")

# %% [markdown]
# Raw PC1 is the library, with 1 % of type. (Counts are proportional to the library, not to its logarithm: hence 0.97
# with the one and 0.87 with the other.) And look at the fan: depth multiplies every gene, so the deeper the cell, the
# further PC2 throws it from the middle, whatever its type. Dropping PC1 does not help. The same cells, normalised, fall
# apart by type in PC2 and PC3, and PC1 is the other thing that was simulated, the continuous latent that all types
# share:

# %%
pc1 = first_scores(log_normalize(counts_sim))[:, 0]
latent_true = torch.from_numpy(simulated.truth.latent)[:, 0].float()
r = torch.corrcoef(torch.stack([pc1, latent_true]))[0, 1].abs()
print(f"|r| of normalised PC1 with the simulated latent: {r:.2f}")

# %% [markdown]
# ## 0a.7 A network without bends
#
# **Question.** Lesson 0 says that an autoencoder is PCA with bends. Is PCA really inside? Take the bends out: two
# straight maps, trained downhill to rebuild the centred cells. No pair of straight maps beats PCA on the training
# cells. **Predict:** will training get there, or stop earlier?

# %%
torch.manual_seed(0)
centred = x[train] - mean  # (560, genes), as for PCA
network = nn.Sequential(nn.Linear(765, 2), nn.Linear(2, 765))  # to two latents and back
optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
curve = []
for _ in range(250):
    loss = reconstruction_error(centred, network(centred))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    curve.append(loss.item())

# %% fold="The error of the network, step by step, and PCA's"
two = all_components[:2]  # (2, genes)
by_pca = float(reconstruction_error(x[train], pca_decode(pca_encode(x[train], mean, two), mean, two)))
ax = plots.lines(range(1, 251), {"network without bends": curve}, xlabel="training step")
ax.axhline(by_pca, color=plots.COLORS[1], linestyle="--", label="PCA, 2 components")
ax.set(ylabel="squared error per cell (log counts²)", ylim=(1140, 1450))
ax.legend(frameon=False)
plots.show(
    ax, alt="Training error of a network without bends falls to the error of PCA with two components, not below."
)

# %% tags=["volatile"]
print(f"after 250 steps {curve[-1]:.0f}, PCA {by_pca:.0f}")
assert -0.5 < curve[-1] - by_pca < 10

# %% [markdown]
# <details><summary><b>Check yourself.</b> The same error. Need the network have the same latents as PCA?</summary>
#
# No. The error only sees $\hat x$. Turn or stretch the latent plane and let the decoder undo it: the same $\hat x$,
# other latents. PCA picks one of these by asking for unit length, right angles and order. A network takes whichever it
# met first. This freedom is why nobody knows where to draw when one wants to invent a cell: [lesson
# 0](../00_latents.ipynb), section 0.7.
#
# </details>

# %% [markdown]
# ## 0a.8 Can PCA invent cells?
#
# **Question.** An autoencoder cannot be sampled (section 0.7). Perhaps PCA can: its latents are uncorrelated, and their
# variances are the eigenvalues, so it is plain where to draw. And would ten latents cure the autoencoder?
#
# First the yardstick, and why it uses ten components. In many unrelated dimensions "near" loses its meaning. Scatter
# 200 points at random in a cube, stand on one, and ask how many times further the furthest is than the nearest:

# %%
generator = torch.Generator().manual_seed(0)
for n_dims in (2, 10, 100, 765):
    cloud = torch.rand(200, n_dims, generator=generator)  # (points, dimensions)
    distance = torch.cdist(cloud[:1], cloud[1:])  # (1, 199)
    print(f"{n_dims:3} dimensions: furthest / nearest = {distance.max() / distance.min():.1f}")

# %% [markdown]
# So distances are taken in ten principal components: to the nearest training cell, and "too far out" means further than
# 95 % of the held-out cells. **Predict** the share of invented cells that are: by PCA, and by an autoencoder with ten
# latents.

# %%
root = torch.diag(singular[:10] / 559**0.5)  # (10, 10): standard deviations of the latents
edge = torch.cdist((x[test] - mean) @ components.T, (x[train] - mean) @ components.T).min(dim=1).values.quantile(0.95)


def too_far_out(cells: Tensor) -> float:
    """Return the share of cells that lie further from the training cells than 95 % of the held-out cells do."""
    distance = torch.cdist(pca_encode(cells, mean, components), pca_encode(x[train], mean, components))
    return float((distance.min(dim=1).values > edge).float().mean())


noise = torch.randn(500, 10, generator=torch.Generator().manual_seed(0))
print(f"PCA, ten latents: {too_far_out(pca_decode(noise @ root, mean, components)):.0%} too far out")

# %%
torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(765, 128), nn.ReLU(), nn.Linear(128, 10))
decoder = nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 765))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
for _ in range(60):
    for minibatch in x[train][torch.randperm(560)].split(56):  # (56, genes)
        loss = reconstruction_error(minibatch, decoder(encoder(minibatch)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %% tags=["volatile"]
with torch.no_grad():
    z = encoder(x[train])  # (560, 10)
    invented = decoder(z.mean(dim=0) + noise @ torch.linalg.cholesky(torch.cov(z.T)).T)  # (500, genes)
print(f"autoencoder, ten latents: {too_far_out(invented):.0%} too far out, lowest value {invented.min():.1f}")
assert too_far_out(invented) > 0.4

# %% [markdown]
# Neither. A Gaussian knows mean and covariance, and not the shape: cells of blood fill islands, the Gaussian fills the
# sea between them as well. More latents leave more sea.
