# %% [markdown]
# # Lesson 0 · scVI as a dimensionality reduction problem
#
# {{links}}
#
# **You will be able to**
#
# - read a count matrix, and take sequencing depth out of it (exercises 0.1 and 0.2, quiz 1)
# - write an encoder and a decoder, and say what both must agree on (exercises 0.3 and 0.4, quiz 2)
# - recognise a component that follows depth instead of biology (quiz 3)
# - measure what a summary loses, and see when more latents only copy (exercise 0.5, quiz 4)
# - explain why a plain autoencoder cannot invent cells, and what scVI changes (quiz 5 and 6)
# - judge whether two batches have been mixed well (quiz 7)
#
# **Time:** about {{minutes}} minutes. If you try everything, plan about twice that, with a pause after section 0.4.
#
# **You need:** Python, and what a vector, a matrix and a variance are. No PyTorch, no biology.
#
# **How exercises work.** An exercise is a function with a blank, `...  # your code`. Fill it, run the cell, read the
# message. `hint("0.1")` gives a hint, a second call a better one, `solution("0.1")` an answer. Until yours is right the
# lesson goes on with ours.

# %% setup=true
import torch
from torch import Tensor, nn

import vae_course as vc
from vae_course import plots
from vae_course.exercises import exercise, hint, progress, quiz, solution

# %% [markdown]
# ## 0.1 The whole game
#
# **Question.** What does scVI do? Here it gets the counts of 765 genes in 700 human blood cells, and learns to sum up
# every cell in ten numbers. Then we draw a map of these, coloured by kind of cell.
#
# **Predict.** What will the map look like? **(a)** One cloud, colours mixed. **(b)** A few islands, each mostly of one
# colour. **(c)** One clean island for each of the six colours. Decide, then run both cells: 15 seconds.

# %%
data = vc.load_pbmc()
model = vc.VAE(data.n_genes)  # scVI
trainer = vc.UnsupervisedTrainer(model, data, train_size=0.8, n_epochs_kl_warmup=20, seed=0)
trainer.train(n_epochs=50)

# %% fold="The map, coloured by kind of cell"
kinds = ["T cell" if name.startswith(("CD4+", "CD8+")) else str(name) for name in data.label_names[data.labels]]
group_names = sorted(set(kinds))
groups = torch.tensor([group_names.index(kind) for kind in kinds])  # (cells,): a number for each colour
ax = plots.latent(vc.Posterior(model, data).t_sne(), groups, group_names, axis_name="t-SNE", title="scVI's map")
plots.show(
    ax, alt="t-SNE of scVI's latents: islands of T with NK cells, B cells, CD34+ cells, dendritic cells and monocytes."
)

# %% [markdown]
# **(b).** Islands, found without being told a single type. T cells and NK cells, alike in the body, share one. (CD34+
# are blood stem cells. **t-SNE** draws ten numbers on paper: near stays near, long distances mean nothing, [Kobak and
# Berens 2019](https://doi.org/10.1038/s41467-019-13056-x).)
#
# **Where the colours come from.** Each cell has one of ten labels: the purified population that it resembles most. That
# is a guess, which section 0.9 will doubt. Five of the ten are kinds of T cells, drawn as one group.
#
# **By lesson 5 you will have written every line of what these cells call.** Here is the machine, and which lesson
# builds which part; today's are coloured. An **encoder** sums up a cell in a few numbers $z$, its **latents**. A
# **decoder** turns these back into a statement about counts.

# %% fold="The map of the course"
ax = plots.course_map(0)
plots.show(
    ax, alt="Counts, encoder, q(z|x), sample z, decoder, p(x|z); below, KL, reconstruction and loss; above, the uses."
)

# %% [markdown]
# ## 0.2 What a count matrix is
#
# **Question.** What exactly went in?
#
# A cell uses a gene by copying it to **messenger RNA**. A machine catches cells one by one, and tags each RNA molecule
# that it can catch with two short sequences: a **barcode**, the same for the whole cell, and a **UMI** (unique
# molecular identifier), which differs from molecule to molecule. So a **UMI count** counts molecules and not their
# PCR copies. The result is a **count matrix**, a row for each cell and a column for each gene. Ours are **PBMCs**,
# blood cells with a single, unlobed nucleus ([Zheng et al. 2017](https://doi.org/10.1038/ncomms14049); [where the
# data come from](../data/README.md)).

# %%
counts = torch.from_numpy(data.counts.toarray())  # (cells, genes)
index = {str(gene): column for column, gene in enumerate(data.gene_names)}
markers = ["CD3D", "IL32", "CD79A", "MS4A1", "LYZ", "CST3", "NKG7"]
columns = [index[gene] for gene in markers]
print(f"{tuple(counts.shape)}\n{'':15}", *[f"{gene:>6}" for gene in markers])
for name in ("CD14+ Monocyte", "Dendritic", "CD19+ B", "T cell", "CD56+ NK"):
    cell = counts[groups == group_names.index(name)][1]  # (genes,): the second cell of that group
    print(f"{name:15}", *[f"{int(count):6}" for count in cell[columns]])

# %% [markdown]
# Whole numbers, many zeros, and a pattern: LYZ and CST3 are loud in monocytes and dendritic cells (together:
# **myeloid** cells), CD79A in B cells, CD3D in T cells. Such a gene is a **marker**. Here are all cells, and the 80
# genes that vary most:

# %% fold="A heat map of the counts, cells sorted by group"
variable = counts.var(dim=0).argsort(descending=True)[:80]
order = groups.argsort(stable=True)
middle = [(groups[order] == i).nonzero().float().mean().item() for i in range(len(group_names))]
picture = torch.log1p(counts[order][:, variable])  # (cells, 80)
ax = plots.heatmap(picture, plots.panels(1, 4.4, 7.5)[0], "log(1 + count)", xlabel="gene, most variable first")
ax.set(title="700 cells, 80 genes", ylabel="cells, sorted by group", yticks=middle, yticklabels=group_names)
ax.tick_params(axis="y", labelsize=8)
plots.show(
    ax, alt="Heat map of 700 cells by 80 genes. Horizontal bands share a pattern: these are the groups of cells."
)

# %% [markdown]
# The bands are groups of cells.
#
# **Predict.** Which share of all 535,500 entries is zero? A third, a half, two thirds?

# %%
zeros, ones = (counts == 0).float().mean(), (counts == 1).float().mean()
print(f"zeros {zeros:.0%}   ones {ones:.0%}   more {1 - zeros - ones:.0%}   largest count {int(counts.max())}")

# %% [markdown]
# Two thirds, and these genes were chosen *because* they vary. A zero has two readings: the gene was silent, or none of
# its few molecules was caught. The matrix does not say which.
#
# `counts` is a **tensor**, an array with a shape. A mean or a sum removes one of its dimensions, and `dim` says which:
# `dim=0` walks down the columns, and leaves one number for each gene.

# %%
toy = torch.tensor([[1.0, 3.0], [5.0, 0.0], [2.0, 6.0]])  # (cells, genes): three cells, two genes
print("mean of each gene:", [round(value, 2) for value in toy.mean(dim=0).tolist()])  # (genes,)

# %% [markdown]
# The total count of a cell is its **library size**. For cell $i$ and genes $g = 1, \dots, G$ (`n_genes`, here 765),
#
# $$N_i = \sum_{g=1}^{G} \text{counts}_{ig}.$$
#
# **Now you.** `counts` comes in as (cells, genes); one number for each *cell* goes out, shape (cells,). On `toy`, three
# cells must give three numbers: 4, 5 and 8.

# %% exercise="0.1" source="vae_course.exercises.e0_1.answer.library_size" minutes=3 difficulty=1

# %%
library = library_size(counts)  # (cells,)
print(f"smallest {library.min():.0f}   median {library.median():.0f}   largest {library.max():.0f}")
for name in ("CD14+ Monocyte", "T cell"):
    print(f"median {name:15} {library[groups == group_names.index(name)].median():.0f}")

# %% [markdown]
# A factor of five. Part of it is biology: a myeloid cell holds more RNA than a resting T cell. The rest is luck, how
# much of a cell's RNA was caught and read: **sequencing depth**, which we do not want to discover.
#
# **How noisy is a count?** Were all cells alike but for their library, gene $g$ taking the share $s_g$ of all
# molecules, a count would be **Poisson** with mean $N_i s_g$, and its variance would equal its mean. Below are counts
# from such a world, and the observed ones; a point is a gene.

# %% fold="Variance against mean of every gene, observed and generated"
rate = library.unsqueeze(-1) * counts.sum(dim=0) / counts.sum()  # (cells, genes): N_i * s_g
generated = torch.poisson(rate, generator=torch.Generator().manual_seed(0))  # (cells, genes)
ax = plots.mean_variance(counts, generated)
ax.set_title("observed, and generated as if all cells were alike", fontsize=10)
plots.show(ax, alt="Variance against mean of each gene. Generated genes lie near the line; loud observed ones above.")
loud = counts.mean(dim=0) > 1  # (genes,)
for name, table in (("observed", counts), ("generated", generated)):
    print(f"{name:9} variance / mean of loud genes, median {(table.var(dim=0) / table.mean(dim=0))[loud].median():.1f}")

# %% [markdown]
# The excess of the observed genes is called **overdispersion**. Most of it is what we are after: types differ. Some
# remains inside a type ([Grün et al. 2014](https://doi.org/10.1038/nmeth.2930)), and lesson 5 has a distribution for
# it. (Generated genes reach 1.2, not 1, because libraries differ.)

# %%
quiz("0.1")

# %% [markdown]
# ## 0.3 Taking depth out
#
# **Question.** Of two cells of one type, one was caught twice as well: $(1, 3)$ and $(2, 6)$ in our toy. How do we make
# them look the same?
#
# Divide each row by its total. Mind the shapes: three totals, (3,), do not line up with three rows. `.unsqueeze(-1)`
# adds a last dimension of size 1, and makes them a column, (3, 1).

# %%
try:
    toy / toy.sum(dim=1)  # (3, 2) / (3,)
except RuntimeError as error:
    print("RuntimeError:", error)
totals = toy.sum(dim=1).unsqueeze(-1)  # (3,) -> (3, 1)
print(totals.tolist())
print(toy / totals)  # (3, 2) / (3, 1)

# %% [markdown]
# PyTorch lines shapes up *from the right*, and repeats what has size 1 (**broadcasting**). You were lucky: with as many
# cells as genes there is no error, only wrong numbers. So we write shapes at the ends of lines.
#
# The first and the third cell are now alike. Next, give all cells the total 10,000. Then take a logarithm, since from 0
# to 10 matters more than from 300 to 310. Adding 1 keeps zero at zero:
#
# $$x_{ig} = \log\left(1 + \frac{\text{counts}_{ig}}{N_i} \cdot 10{,}000\right).$$
#
# Before PCA, cleverer recipes hardly beat it ([Ahlmann-Eltze and Huber
# 2023](https://doi.org/10.1038/s41592-023-01814-1)). By hand: $(1, 3)$ becomes $(2500, 7500)$, then
# $(\log 2501, \log 7501) = (7.82, 8.92)$.
#
# **Now you.** Counts (cells, genes) in, log-normalised values (cells, genes) out. Call your own `library_size`.
# `torch.log1p(a)` is $\log(1 + a)$. Mind `target_sum`: it is not always 10,000.

# %% exercise="0.2" source="vae_course.exercises.e0_2.answer.log_normalize" minutes=6 difficulty=1

# %%
x = log_normalize(counts).float()  # (cells, genes)
print("toy:", [[round(value, 2) for value in cell] for cell in log_normalize(toy).tolist()])
print(f"real cells: {tuple(x.shape)}, from {x.min():.0f} to {x.max():.1f}")

# %% [markdown]
# **What breaks it.** In a cell without a single count, zero is divided by zero. That is `nan`, and one `nan` spoils
# every mean that it enters. So `vc.CountData` accepts no empty cell.
#
# **765 numbers are too many.** Were they unrelated, all cells would be about equally far apart, and "near" would mean
# nothing. Are they? Red: two genes rise together. Blue: one falls as the other rises.

# %% fold="Correlations of six genes"
six = ["HLA-DRA", "CD74", "CST3", "LYZ", "CD3D", "IL32"]
correlation = torch.corrcoef(x[:, [index[gene] for gene in six]].T)  # (6, 6)
ax = plots.heatmap(correlation, colorbar="correlation over cells", signed=True, xticks=range(6), yticks=range(6))
ax.set(xticklabels=six, yticklabels=six, title="Genes move together")
ax.tick_params(axis="x", rotation=45)
plots.show(ax, alt="Correlations of six genes: HLA-DRA, CD74, CST3 and LYZ rise together and fall with CD3D and IL32.")

# %% [markdown]
# Tell me LYZ, and I can guess CST3. If hundreds of genes follow a few hidden causes, then a few numbers say nearly
# everything: latents.

# %% [markdown]
# ## 0.4 PCA: the first encoder and decoder
#
# **Question.** You may keep *one* number a cell. Which one?
#
# Take two genes. Choose a direction through the mean, drop every cell at a right angle onto it, and keep how far along
# it the cell landed. Where cells are spread *most* along the direction, is what you lose (the thin segments) small or
# large? Decide, then turn it.

# %%
vc.explore.pca()

# %% [markdown]
# Kept and lost always add up to the same, by Pythagoras. So **the direction along which cells vary most loses least.**
# It is the first principal component; the next is the best one at a right angle to it, and so on: **principal component
# analysis**, PCA.
#
# In numbers: a direction $v$ is a vector of length 1, $\bar x$ the mean cell, and what we keep of a cell is
#
# $$z = (x - \bar x)^\top v.$$
#
# For $\bar x = (1, 1)$, $v = (0.6, 0.8)$ and a cell $(3, 2)$: subtract, $(2, 1)$; multiply and add,
# $2 \cdot 0.6 + 1 \cdot 0.8 = 2$.
#
# A singular value decomposition finds the best directions among 765 genes. They are the rows of its `.Vh`,
# **orthonormal**: each of length 1, all at right angles. No other $k$ directions do better ([Eckart and Young
# 1936](https://doi.org/10.1007/BF02288367)). Why is this so? 20 minutes: [deeper/0a](deeper/0a_pca_line_by_line.ipynb).
#
# scVI's training above hid 140 cells, to be judged by. We hide the same: 560 **training cells**, 140 **held-out
# cells**.

# %%
train, test = (torch.from_numpy(part.indices) for part in (trainer.train_set, trainer.test_set))  # (560,), (140,)
mean = x[train].mean(dim=0)  # (genes,)
all_components = torch.linalg.svd(x[train] - mean, full_matrices=False).Vh  # (560, genes): a direction in each row
for k, gene in ((0, "LYZ"), (1, "CD79A")):  # v and -v are one direction: let a marker gene point to the right, or up
    all_components[k] *= all_components[k, index[gene]].sign()

# %% [markdown]
# The encoder measures a cell along the first $k$ directions (`n_latent`), the rows of a matrix $W$ (`components`) of
# shape (latent, genes). The matrix product `@` takes all cells at once: (n, g) `@` (g, k) gives (n, k), each row of the
# left one multiplied with each column of the right one, and summed.
#
# $$z = (x - \bar x)\, W^\top.$$
#
# **Now you.** Cells (cells, genes) in, latents (cells, latent) out; `.T` is the transpose. Mind `mean`: use the one
# given. A held-out cell has to be measured from the *training* mean.

# %% exercise="0.3" source="vae_course.exercises.e0_3.answer.pca_encode" minutes=6 difficulty=1

# %%
components = all_components[:10]  # (latent, genes)
z = pca_encode(x, mean, components)  # (cells, latent)
print(f"{tuple(x.shape)} -> {tuple(z.shape)}")
for k in range(2):
    by_weight = components[k].argsort(descending=True)
    ends = [" ".join(str(data.gene_names[g]) for g in end) for end in (by_weight[:4], by_weight[-4:].flip(0))]
    print(f"PC{k + 1}: {ends[0]} (+)   {ends[1]} (-)")

# %% fold="The first two principal components"
ax = plots.latent(z, groups, group_names, title="700 cells, two numbers each")
ax.set(xlabel="PC1 (log counts)", ylabel="PC2 (log counts)", xticks=range(-20, 21, 10), yticks=range(-10, 21, 10))
plots.show(
    ax,
    alt="Two principal components: dendritic cells right and up, monocytes right and down, B cells up, T cells left.",
)

# %% [markdown]
# A formula from 1901, not told any cell type either. PC1 sets genes of myeloid cells against those of T cells; PC2 HLA
# genes, which show antigens and are loud in B and dendritic cells, against FCGR3A of monocytes and NK cells.
#
# **Predict** what breaks it: first a quiz question, then two numbers. How strongly does PC1 follow the logarithm of the
# library (a correlation, 0 to 1) on raw and on log-normalised counts? Write both down.

# %%
quiz("0.2")

# %%
b_cells = x[groups == group_names.index("CD19+ B")]  # (B cells, genes)
for name, centre in (("the given mean", mean), ("their own mean", b_cells.mean(dim=0))):
    z_b = pca_encode(b_cells, centre, components)  # (B cells, latent)
    print(f"B cells, measured from {name}: their middle is {z_b.mean(dim=0).norm():.1f} from the origin")
for name, table in (("raw counts", counts), ("log-normalised", x)):
    first = torch.linalg.svd(table - table.mean(dim=0), full_matrices=False).Vh[:1]  # (1, genes)
    pc1 = pca_encode(table, table.mean(dim=0), first)[:, 0]  # (cells,)
    r = torch.corrcoef(torch.stack([pc1, library.log()]))[0, 1].abs()
    print(f"PC1 of {name:14}: correlation with log library {r:.2f}")

# %%
quiz("0.3")

# %% [markdown]
# With a mean of its own every type lands on the origin. And PCA asks for the largest variance, not for biology: on raw
# counts PC1 follows the library. Log-normalising tames depth, and does not remove it ([Townes et al.
# 2019](https://doi.org/10.1186/s13059-019-1861-6); [deeper/0a](deeper/0a_pca_line_by_line.ipynb), section 0a.6).

# %% [markdown]
# **The way back.** The decoder starts at the mean and walks along each direction as far as $z$ says:
#
# $$\hat x = \bar x + z\, W.$$
#
# Our cell with $z = 2$ comes back as $(1, 1) + 2 \cdot (0.6, 0.8) = (2.2, 2.6)$. It was $(3, 2)$.
#
# **Now you.** Latents (cells, latent) in, cells (cells, genes) out. Which side has to be transposed this time, if any?

# %% exercise="0.4" source="vae_course.exercises.e0_4.answer.pca_decode" minutes=4 difficulty=1

# %% [markdown]
# **A place to pause.** Save the notebook. When you come back, select this cell and choose Run → Run All Above Selected
# Cell (Colab: Runtime → Run before). That restores everything, your answers too.

# %% [markdown]
# ## 0.5 What it loses
#
# **Question.** Ten latents or fifty? We need a number for "how wrong". Add the squared error over the genes of a cell,
# then average over cells:
#
# $$\text{error} = \frac{1}{n} \sum_{i=1}^{n} \lVert x_i - \hat x_i \rVert^2.$$
#
# By hand: $(3, 2)$ rebuilt as $(2, 2)$, and $(0, 0)$ rebuilt as $(1, 2)$. Sums over genes: 1 and 5. Mean over cells: 3.

# %% [markdown]
# **Now you.** Two tensors (cells, genes) in, one number out. Averaging over genes as well looks harmless here; in
# lesson 3 the same slip ruins a model.

# %% exercise="0.5" source="vae_course.exercises.e0_5.answer.reconstruction_error" minutes=5 difficulty=1

# %%
x_hat = pca_decode(pca_encode(x[test], mean, components), mean, components)  # (140, genes)
for gene in ("LYZ", "CD3D"):
    r = torch.corrcoef(torch.stack([x[test, index[gene]], x_hat[:, index[gene]].float()]))[0, 1]
    print(f"{gene:5} in held-out cells, rebuilt from 10 numbers: r = {r:.2f}")
nothing = reconstruction_error(x[test], mean.expand(len(test), -1))
print(f"guess the mean for everybody {nothing:.0f}   ten latents {reconstruction_error(x[test], x_hat):.0f}")

# %% [markdown]
# Ten latents see the types of cells and still miss nearly four fifths of the variance. So take more: with 559
# directions the 560 training cells fit exactly.
#
# **Predict.** What happens to *held-out* cells on the way from 10 to 559 latents? **(a)** Their error falls to zero,
# too. **(b)** It falls, but not to zero. **(c)** It rises.

# %%
sizes = [1, 2, 3, 5, 10, 20, 50, 100, 200, 400, 559]
errors = {"training cells": [], "held-out cells": []}
for k in sizes:
    for name, cells in (("training cells", x[train]), ("held-out cells", x[test])):
        back = pca_decode(pca_encode(cells, mean, all_components[:k]), mean, all_components[:k])  # (cells, genes)
        errors[name].append(float(reconstruction_error(cells, back)))

# %% fold="Error against the number of latents"
ax = plots.lines(sizes, errors, xlabel="number of latents", ylabel="squared error per cell (log counts²)")
ax.set(xscale="log", xticks=sizes[::2], xticklabels=sizes[::2], ylim=(0, None), title="Knowing, or copying?")
ax.minorticks_off()
plots.show(
    ax,
    alt="Error against latents on a log axis: alike to ten; then training falls to zero; held-out late, not to zero.",
)
for k in (2, 10, 50, 200, 559):
    on_train, on_test = (errors[name][sizes.index(k)] for name in errors)
    print(f"{k:3} latents: training {on_train:5.0f}   held-out {on_test:5.0f}   gap {on_test - on_train:4.0f}")

# %% [markdown]
# **(b)**, to 207. Up to about ten latents both curves fall together: these directions are shared by all cells. Later
# ones describe accidents of 560 particular cells. The held-out error still falls, because each further number *copies*
# more of the very cell that is to be rebuilt; with all 765 every cell is copied whole.

# %%
quiz("0.4")

# %% [markdown]
# ## 0.6 An autoencoder is PCA with bends
#
# **Question.** PCA only knows straight lines and flat sheets. What if cells lie on a bent one?
#
# Take 200 points on a half circle. One number, the angle, says where a point is, but no *straight* line passes near
# all. So keep encoder, latents, decoder and the error of exercise 0.5, and replace the two matrices by functions that
# can bend:
#
# $$z = \text{encoder}(x), \qquad \hat x = \text{decoder}(z).$$
#
# That is an **autoencoder**. **From here to the end of section 0.8 the code is given, most of it folded away: run it,
# you need not read it.** (`nn.Linear` is a matrix to be learned, `nn.ReLU` bends by replacing negatives by 0, and a
# loop makes the error small: lessons 2 and 3.)


# %% fold="An autoencoder, and the loop that trains it"
def fit_autoencoder(
    cells: Tensor, n_latent: int, n_hidden: int, lr: float, n_epochs: int
) -> tuple[nn.Module, nn.Module]:
    """Return an encoder and a decoder, trained together to rebuild the cells, (cells, genes)."""
    torch.manual_seed(0)
    n_genes = cells.shape[1]
    encoder = nn.Sequential(nn.Linear(n_genes, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_latent))
    decoder = nn.Sequential(nn.Linear(n_latent, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_genes))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=lr)
    for _ in range(n_epochs):
        for minibatch in cells[torch.randperm(len(cells))].split(56):  # (56, genes)
            loss = ((minibatch - decoder(encoder(minibatch))) ** 2).sum(dim=1).mean()  # exercise 0.5
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return encoder.requires_grad_(False), decoder.requires_grad_(False)


# %% fold="A half circle, PCA's line and the autoencoder's curve" tags=["volatile"]
angle = torch.pi * torch.rand(200, generator=torch.Generator().manual_seed(0))
arc = torch.stack([angle.cos(), angle.sin()], dim=1)  # (points, 2)
arc += 0.05 * torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
middle, line = arc.mean(dim=0), torch.linalg.svd(arc - arc.mean(dim=0), full_matrices=False).Vh[:1]  # (2,), (1, 2)
bend, unbend = fit_autoencoder(arc, n_latent=1, n_hidden=32, lr=1e-2, n_epochs=150)
z_arc = bend(arc).sort(dim=0).values  # (points, 1)
on_line = pca_decode(pca_encode(arc, middle, line), middle, line)  # (points, 2)
ax = plots.points(*arc.T, "points", plots.panels(1, 3.4, 6.4)[0], aspect="equal", xlabel="gene 0", ylabel="gene 1")
ax.plot(*on_line[arc[:, 0].argsort()].T, "--", color=plots.COLORS[1], linewidth=2, label="PCA, one latent")
ax.plot(*unbend(z_arc).T, color=plots.COLORS[4], linewidth=2, label="autoencoder, one latent")
ax.legend(frameon=False, loc="lower center")
plots.show(
    ax, alt="200 points on a half circle. PCA's line cuts straight across; the autoencoder's curve follows the arc."
)
lost = [float(reconstruction_error(arc, back)) for back in (on_line, unbend(bend(arc)))]
print(f"error: PCA {lost[0]:.3f}   autoencoder {lost[1]:.3f}")
assert lost[1] < 0.1 * lost[0]

# %% tags=["volatile"]
encoder, decoder = fit_autoencoder(x[train], n_latent=2, n_hidden=128, lr=1e-3, n_epochs=60)
for name, cells in (("training cells", x[train]), ("held-out cells", x[test])):
    bent = float(reconstruction_error(cells, decoder(encoder(cells))))
    print(f"2 latents, {name}: PCA {errors[name][sizes.index(2)]:.0f}   autoencoder {bent:.0f}")
    assert bent < errors[name][sizes.index(2)] + 5

# %% [markdown]
# One bent latent unrolls the arc. On cells, bends help by a few per cent in training, and hardly on others. Without
# bends it reaches exactly PCA's error ([deeper/0a](deeper/0a_pca_line_by_line.ipynb), section 0a.7).

# %% [markdown]
# ## 0.7 Why you cannot sample it
#
# **Question.** The decoder turns two numbers into a cell. So pick two, and it invents one?
#
# Which two? We draw 500 pairs from a Gaussian with the mean and the covariance (variances, and how the two go together)
# of the training cells' own latents. Here is the most ordinary invented cell, beside the real one nearest to it in your
# ten principal components.

# %% fold="One invented cell, beside the nearest real one" tags=["volatile"]
z_train = encoder(x[train])  # (560, 2)
noise = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
z_drawn = z_train.mean(dim=0) + noise @ torch.linalg.cholesky(torch.cov(z_train.T)).T  # (500, 2): their covariance
invented = decoder(z_drawn)  # (500, genes)


def distances(cells: Tensor) -> Tensor:
    """Return the distances of cells to the training cells in ten principal components, (cells, training cells)."""
    return torch.cdist(pca_encode(cells, mean, components).float(), pca_encode(x[train], mean, components).float())


nearest = distances(invented).min(dim=1)  # values and indices, (500,) each
one = nearest.values.argsort()[250]  # of median distance
twin = train[nearest.indices[one]]
print(f"{'':31}", *[f"{gene:>6}" for gene in markers], " lowest of 765   total")
for name, cell in (("invented", invented[one]), (f"nearest real one ({kinds[twin]})", x[twin])):
    print(f"{name:31}", *[f"{value:6.1f}" for value in cell[columns]], f"{cell.min():14.1f} {cell.expm1().sum():7,.0f}")
assert invented[one].min() < 0

# %% [markdown]
# No cell looks like this. Some values lie below zero, which no $\log(1 + \dots)$ can, and the total is not the 10,000
# of every real cell. Is it an exception? Of real, held-out cells 5 % lie further than a certain distance from the
# nearest training cell. An invented cell beyond that is **too far out**.
#
# **Predict.** Of the 500 invented cells, how many are too far out? 5 %, 20 %, more than half?

# %% fold="How many are too far out: where the latents were drawn, and where the cells came out" tags=["volatile"]
edge = distances(x[test]).min(dim=1).values.quantile(0.95)


def too_far_out(cells: Tensor) -> float:
    """Return the share of cells that lie further from the training cells than 95 % of the held-out cells do."""
    return float(1 - (distances(cells).min(dim=1).values <= edge).float().mean())  # so that nan is far out as well


share = too_far_out(invented)
print(f"held-out cells, encoded and decoded {too_far_out(decoder(encoder(x[test]))):.0%}   invented {share:.0%}")
assert share > 0.4

left, right = plots.panels(2, 3.8, 5.0)
for ax, real, ours in (
    (left, z_train, z_drawn),
    (right, pca_encode(x[train], mean, components), pca_encode(invented, mean, components)),
):
    plots.points(*real[:, :2].T, "real cells", ax)
    plots.points(*ours[:, :2].T, "invented", ax)
left.set(xlabel="latent 1 of the autoencoder", ylabel="latent 2", title="where we drew")
right.set(xlabel="PC1 (log counts)", ylabel="PC2 (log counts)", title="what came out")
plots.show(
    left, alt="Real cells fill thin arms of the latent plane; drawn latents fall between, and decode between the types."
)

# %% [markdown]
# More than half. A latent that *came from* a cell goes back to where cells are; one that we made up does not. The
# autoencoder was paid for one thing: rebuild. So it put cells wherever that was easy, in thin arms with empty land
# between, and there the decoder was never corrected. More latents do not cure this, and PCA cannot be sampled either
# ([deeper/0a](deeper/0a_pca_line_by_line.ipynb), section 0a.8).
#
# **The idea of the whole course.** Let the encoder answer with a *distribution* instead of a point: "it is around here,
# give or take". Write it $q(z \mid x)$, "q of z given x". Two things follow.
#
# 1. The decoder must rebuild the cell from *any* draw of $q(z \mid x)$: a whole neighbourhood gets corrected.
# 2. All these clouds can be pulled towards one fixed distribution that we know how to sample, the **prior**
#    $p(z) = \mathcal N(0, I)$: independent normal numbers of mean 0 and variance 1.
#
# And let the decoder answer with a distribution too, $p(x \mid z)$, over *counts*. An autoencoder with these changes is
# a **variational autoencoder**; with a distribution made for counts, it is scVI ([Lopez et al.
# 2018](https://doi.org/10.1038/s41592-018-0229-2)).

# %%
quiz("0.5")

# %%
quiz("0.6")

# %% [markdown]
# ## 0.8 An honest promise
#
# **Question.** So scVI can be sampled? The model of section 0.1 was trained on the same 560 cells. Draw $z$ from the
# prior, and a library size as they scatter in the data. The decoder answers with a distribution for every count, and
# from that we draw whole numbers.
#
# **Before you compare.** The autoencoder's cells are *means*, smooth. scVI's counts are *drawn*, with all the luck of
# catching 0 or 1 molecule, so the yardstick is harder on scVI. Compare each first with itself, made up against held
# out.

# %% fold="Cells made up by both machines, on the same yardstick" tags=["volatile"]
torch.manual_seed(0)
z_prior, noise = torch.randn(500, 10), torch.randn(500, 1)
with torch.no_grad():
    log_size = model.library_log_means + model.library_log_vars.sqrt() * noise  # (500, 1)
    _, _, expected, extra_zeros = model.decoder("gene", z_prior, log_size)  # (500, genes) each
    made_up = vc.distributions.sample_zinb(expected, model.px_r.exp(), extra_zeros)  # (500, genes), whole numbers
at_cells = torch.from_numpy(trainer.test_set.generate(n_samples=1)[0][..., 0])  # (140, genes)
by_prior, at_held_out = (too_far_out(log_normalize(cells).float()) for cells in (made_up, at_cells))
rebuilt, by_normal = too_far_out(decoder(encoder(x[test]))), too_far_out(decoder(z_prior[:, :2]))
print("too far out          at held-out cells   made up from N(0, 1)")
print(f"autoencoder, means   {rebuilt:17.0%}   {by_normal:20.0%}")
print(f"scVI, drawn counts   {at_held_out:17.0%}   {by_prior:20.0%}")
assert at_held_out < 0.6 < by_prior < 0.98

# %% [markdown]
# 50 epochs are too few to judge by. Recorded after 200, on five splits of the cells (`benchmarks/made_up_cells.py`;
# mean ± standard error). *Distance* is the median one to the nearest training cell; held-out cells have 4.1.
#
# | | too far out | distance |
# |---|---|---|
# | autoencoder, at held-out cells | 13 ± 3 % | 4.8 ± 0.2 |
# | autoencoder, from its latents' own Gaussian | 64 ± 4 % | 8.9 ± 0.3 |
# | autoencoder, from $\mathcal N(0, I)$ | over 99 % | 20.5 ± 0.5 |
# | scVI, at held-out cells | 26 ± 1 % | 5.8 ± 0.1 |
# | scVI, from $\mathcal N(0, I)$ | 68 ± 3 % | 8.9 ± 0.1 |
#
# **What the prior gains:** a place to draw from that is known in advance. From there scVI lands as near as the
# autoencoder does from a Gaussian fitted to it afterwards, and with whole counts, none negative.
#
# **What it does not give:** new cells from nothing. Most draws still land too far out, since blood has separate types
# and $\mathcal N(0, I)$ has none. *Next to a measured cell* scVI's samples are likely cells.

# %% [markdown]
# ## 0.9 Two laboratories
#
# **Question.** Half of your cells were measured by another laboratory, which catches some genes better and others
# worse. Which cells are alike?
#
# Our second laboratory is simulated, so the truth is known. **Predict** what PCA's map will show first, types or
# laboratories. Then pull the slider up.

# %%
vc.explore.batches()

# %% [markdown]
# Now with your own PCA, and a model trained here. `FastVAE` is scVI, written for speed; with `n_batch=2` it is told
# which laboratory (in code, **batch**) each cell comes from.

# %%
two = vc.load_two_batches()
told = vc.FastVAE(two.n_genes, n_batch=two.n_batches)
vc.UnsupervisedTrainer(told, two, train_size=1.0, seed=0).train(n_epochs=100)
logged = log_normalize(torch.from_numpy(two.counts.toarray())).float()  # (cells, genes)
directions = torch.linalg.svd(logged - logged.mean(dim=0), full_matrices=False).Vh[:10]  # (10, genes)
before = pca_encode(logged, logged.mean(dim=0), directions).numpy()  # (cells, 10)
after = vc.Posterior(told, two).get_latent()[0]  # (cells, 10)

# %% fold="Before and after: t-SNE of both, coloured by laboratory"
from sklearn.manifold import TSNE

axes = plots.grid(1, 2)[0]
for ax, space, name in zip(
    axes, (before, after), ("before: your PCA", "after: scVI, told the laboratory"), strict=True
):
    places = TSNE(random_state=0).fit_transform(space)
    plots.latent(places, two.batch_index, ["laboratory 1", "laboratory 2"], ax, title=name, axis_name="t-SNE")
axes[0].get_legend().remove()
plots.show(axes[0], alt="PCA: the two laboratories lie apart. scVI: every island holds cells of both laboratories.")

# %% [markdown]
# A map can flatter, so count. Among the 50 nearest neighbours of a cell, how mixed are the laboratories (0: one only,
# 1: as mixed as can be)? And what share of them has the cell's own label?

# %% tags=["volatile"]
most = vc.metrics.entropy_from_indices(two.batch_index)
for name, space in (("before", before), ("after", after)):
    mixed = vc.metrics.entropy_batch_mixing(space, two.batch_index) / most
    same = [vc.metrics.knn_purity(space, kind) for kind in (two.labels, groups.numpy())]
    print(f"{name:7} mixed {mixed:.2f}   same label: of the ten {same[0]:.2f}, of the six groups {same[1]:.2f}")
    assert (mixed < 0.3) == (name == "before")

# %% [markdown]
# Half looks poor. But five of the ten labels are kinds of T cells, all alike; even without a second laboratory it is
# 0.51. The six groups agree better.
#
# Recorded, five seeds of the laboratory and of the training (`benchmarks/two_batches.py`):
#
# | | mixed | same of ten labels |
# |---|---|---|
# | PCA | 0.183 ± 0.009 | 0.466 ± 0.002 |
# | VAE, not told the laboratory | 0.253 ± 0.009 | 0.463 ± 0.003 |
# | VAE, told the laboratory | **0.767 ± 0.014** | **0.485 ± 0.003** |
#
# **That is a win.** The laboratories mix, and the types come out better. PCA cannot do it: the laboratory is one of its
# largest directions. Nor can a network alone, says the middle row. It takes a *model* that one can tell what one knows.
# (On one batch of such easy cells, PCA's map is as good as scVI's.)
#
# **Open task: your own marker genes.** No checker here. Dendritic cells are one in a hundred of blood, yet 240 of our
# 700 carry the name. Are the labels right? Look up genes that tell dendritic cells, CD14+ and CD16+ monocytes apart,
# and see who uses them. Would you rename a group?
#
# <details><summary><b>What a good answer would contain.</b></summary>
#
# A claim, a gene for it, a gene *against* it, and a number for each. For instance: nearly all "CD14+ Monocyte" cells
# use FCGR3A, which makes CD16, the marker of the *other* kind of monocyte, so the name is probably wrong and the group
# real. "Dendritic" is a mixture: FCER1A and CLEC10A, genes of dendritic cells, show in more than half of its cells, and
# so does FCN1, a gene of monocytes. And what would change your mind.
#
# </details>

# %%
mine = ["FCGR3A"]  # which makes CD16; put your own genes here
print(f"{'detected in':15}", *[f"{gene:>8}" for gene in mine])
for name in ("CD14+ Monocyte", "Dendritic"):
    found = counts[groups == group_names.index(name)][:, [index[gene] for gene in mine]] > 0  # (cells, genes)
    print(f"{name:15}", *[f"{share:8.0%}" for share in found.float().mean(dim=0).tolist()])

# %% [markdown]
# ## 0.10 Your own data
#
# **What can I now do with my data?** `load_counts` reads h5ad, 10x, loom, csv and zarr files of raw counts:
#
# ```python
# data = vc.load_counts("my_cells.h5ad", batch_key="sample", n_top_genes=2000)
# counts = torch.from_numpy(data.counts.toarray())
# x = log_normalize(counts)                                    # then section 0.4, as it stands
# model = vc.VAE(data.n_genes, n_batch=data.n_batches)
# vc.UnsupervisedTrainer(model, data, seed=0).train()
# places = vc.Posterior(model, data).t_sne()
# ```
#
# Or from a terminal: `vae-course train my_cells.h5ad --batch-key sample --out results` writes the latents, the model
# and a page with figures. Look first: how large is the largest library over the smallest, and does PC1 follow it?

# %% [markdown]
# ## 0.11 Quiz

# %%
quiz("0.7")

# %% [markdown]
# ## 0.12 What we built
#
# | in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |
# |---|---|---|---|
# | `counts`, `data` | `vae_course.CountData` | `GeneExpressionDataset` | `AnnData` with `SCVI.setup_anndata` |
# | `library_size` | `CountData.library_mean` | `local_means` | `library_log_means` |
# | `pca_encode` | `vae_course.nn.Encoder` | `Encoder` | `Encoder` |
# | `pca_decode` | `vae_course.nn.DecoderSCVI` | `DecoderSCVI` | `DecoderSCVI` |
# | `reconstruction_error` | `Posterior.reconstruction_error` | `Posterior.ll` | `get_reconstruction_error` |
# | latents `z` | `Posterior.get_latent` | `Posterior.get_latent` | `get_latent_representation` |
#
# There the error is a negative log-likelihood, and only the encoder takes the logarithm of the counts. Symbols:
# [notation](../docs/notation.md). Words: [glossary](../docs/glossary.md).
#
# **Next**, lesson 1: what is a distribution over latents, how does one compare two, and why can nobody compute the one
# that we want?

# %% tags=["volatile"]
progress()
