# %% [markdown]
# # Deeper 5a · Which genes need extra zeros
#
# {{links}}
#
# **You will be able to**
#
# - say what in a gene's counts speaks for extra zeros, and why the share of zeros alone does not
# - compare three distributions gene by gene on held-out cells, with an error for each gain
# - put such a comparison to the test on counts whose truth is known, and say how many cells it needs
# - read the $\pi$ of a trained model without taking it for a rate of lost molecules
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 5](../05_comparison_with_scvi.ipynb), where a hundred genes
# together gain one nat by extra zeros. **You need:** the negative binomial (NB) and its zero-inflated form (ZINB) from
# that lesson.

# %% setup=true
import torch
from torch import Tensor

import vae_course as vc
from vae_course import plots
from vae_course.distributions import nb_log_prob, poisson_log_prob, sample_nb, sample_zinb, zinb_log_prob

# %% [markdown]
# ## 5a.1 Zeros have two causes
#
# **Question.** Half of a gene's counts are zeros. Has the machine lost molecules?
#
# Two stories about a gene with mean 1. In the first nothing is lost: the counts are negative binomial, $\theta = 1$. In
# the second a coin with $\pi = 0.4$ sets counts to zero, and what survives is a Poisson with mean $1 / 0.6$:

# %%
count = torch.arange(0, 8.0)  # (counts,)
no_coin = nb_log_prob(count, torch.tensor(1.0), torch.tensor(1.0)).exp()  # (counts,)
coin = zinb_log_prob(count, torch.tensor(1 / 0.6), torch.tensor(1e8), torch.logit(torch.tensor(0.4))).exp()
print("count    ", "    ".join(str(int(k)) for k in count))
for name, p in (("no coin", no_coin), ("coin   ", coin)):
    print(name, " ".join(f"{share:.2f}" for share in p.tolist()))

# %% [markdown]
# Both have half zeros. So a share of zeros proves nothing, however large. What differs is the *rest*. Without a coin
# the counts fall off from zero in one slope. With one there is a spike at zero and a **hump** that does not belong to
# it: here 1 and 2 are nearly as frequent as each other. That is what a fit has to see, and it is hard to see in a gene
# with small counts.
#
# <details><summary>The stable logarithm of $p(0)$, every line (lesson 5 has two)</summary>
#
# The logit $a$ of $\pi$ gives $\log\pi = -\text{softplus}(-a)$ and $\log(1 - \pi) = -\text{softplus}(a)$. Write
# $A = \log\mathrm{NB}(0)$, and both ways to a zero as exponentials:
#
# $$p(0) = e^{-\text{softplus}(-a)} + e^{A - \text{softplus}(a)} .$$
#
# Use $\text{softplus}(a) = a + \text{softplus}(-a)$ from lesson 1 in the second exponent, and pull the first term out:
#
# $$p(0) = e^{-\text{softplus}(-a)}\big(1 + e^{A - a}\big) .$$
#
# The logarithm of the bracket is a softplus once more:
#
# $$\log p(0) = \text{softplus}(A - a) - \text{softplus}(-a) .$$
#
# </details>
#
# Why not simply go through probabilities? Let a gene be loud ($\mathrm{NB}(0)$ underflows to 0) and its logit very low.
# A zero is then nearly impossible, but not infinitely so:

# %%
a, log_nb_0 = torch.tensor(-120.0), torch.tensor(-110.0)
pi = torch.sigmoid(a)
print("through probabilities:", torch.log(pi + (1 - pi) * log_nb_0.exp()).item())
print("softplus:             ", (torch.nn.functional.softplus(log_nb_0 - a) - torch.nn.functional.softplus(-a)).item())

# %% [markdown]
# One cell with such a count, and the first way makes the loss infinite.

# %% [markdown]
# ## 5a.2 Let the genes say
#
# **Question.** Which real genes need the coin?
#
# Fair means: fit all three distributions to two thirds of the cells, score the other third. A gene has a share of the
# cell's total, a $\theta$ (NB and ZINB) and a $\pi$ (ZINB). We find the best ones downhill, for 100 genes at once:


# %%
def nb(x, mu, log_theta):
    """Negative binomial, with the logarithm of theta."""
    return nb_log_prob(x, mu, log_theta.exp())


def zinb(x, mu, log_theta, zi_logits):
    """Zero-inflated negative binomial, with the logarithm of theta."""
    return zinb_log_prob(x, mu, log_theta.exp(), zi_logits)


# %%
def fit(log_prob, x: Tensor, total: Tensor, *starts: float, n_steps: int = 120) -> list[Tensor]:
    """Fit every gene's log share and further parameters by gradient steps; return them, (genes,) each."""
    log_share = (x.sum(dim=0) / total.sum()).log()  # (genes,)
    fitted = [log_share, *(torch.full_like(log_share, start) for start in starts)]
    optimizer = torch.optim.Adam([parameter.requires_grad_() for parameter in fitted], lr=0.1)
    for _ in range(n_steps):
        loss = -log_prob(x, total * fitted[0].exp(), *fitted[1:]).mean(dim=0).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach() for parameter in fitted]


# %% [markdown]
# The comparison. For a Poisson the share of all molecules is the best there is, so nothing has to be searched:


# %%
def compare(x: Tensor, total: Tensor) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    """Fit three distributions to two thirds of the cells; return them, and the scores of the others."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held_out, train = order[: len(x) // 3], order[len(x) // 3 :]
    fits = {"Poisson": [(x[train].sum(dim=0) / total[train].sum()).log()]}  # (genes,)
    fits["NB"] = fit(nb, x[train], total[train], 0.0)
    fits["ZINB"] = fit(zinb, x[train], total[train], 0.0, -2.0)
    scores = {
        name: FAMILIES[name](x[held_out], total[held_out] * share.exp(), *more)  # (held-out cells, genes)
        for name, (share, *more) in fits.items()
    }
    return fits, scores


# %%
FAMILIES = {"Poisson": poisson_log_prob, "NB": nb, "ZINB": zinb}

# %% [markdown]
# The cells are the 700 blood cells of lesson 0, the genes their 100 loudest:

# %%
data = vc.load_pbmc()
counts = torch.from_numpy(data.counts.toarray())  # (cells, genes)
total = counts.sum(dim=1, keepdim=True)  # (cells, 1)
loud = counts.mean(dim=0).argsort(descending=True)[:100]  # (100,)
names = [data.gene_names[gene] for gene in loud.tolist()]
print("the loudest:", *names[:5], " the quietest of these: mean", round(counts[:, loud[-1]].mean().item(), 1))

# %% [markdown]
# **Predict.** All 100 genes together, in nats per held-out cell: what is the NB worth over the Poisson, and the ZINB
# over the NB? (a) Some ten, and some ten more. (b) Over a hundred, and some ten more. (c) Over a hundred, and about
# one.

# %% tags=["volatile"]
fits, scores = compare(counts[:, loud], total)
nats = {name: score.sum(dim=1).mean().item() for name, score in scores.items()}  # per cell, of the 100 genes
print(f"NB over Poisson {nats['NB'] - nats['Poisson']:+.1f}   ZINB over NB {nats['ZINB'] - nats['NB']:+.1f}")
assert nats["NB"] - nats["Poisson"] > 100
assert abs(nats["ZINB"] - nats["NB"]) < 5

# %% [markdown]
# (c). Gene by gene: call a gain *clear* if it exceeds twice its standard error over the held-out cells. Those with the
# most standard errors first:


# %%
def list_gains(fits, scores, n_shown: int = 5) -> int:
    """Print the genes that gain most surely from extra zeros; return how many gain clearly."""
    gain = scores["ZINB"] - scores["NB"]  # (held-out cells, genes)
    mean, error = gain.mean(dim=0), gain.std(dim=0) / len(gain) ** 0.5  # (genes,)
    clear = [gene for gene in (mean / error).argsort(descending=True).tolist() if mean[gene] > 2 * error[gene]]
    for gene in clear[:n_shown]:
        pi = torch.sigmoid(fits["ZINB"][2][gene])
        print(f"{names[gene]:8} {mean[gene]:+.3f} +- {error[gene]:.3f} nats per cell   pi = {pi:.2f}")
    return len(clear)


# %% tags=["volatile"]
n_clear = list_gains(fits, scores)
print(f"{n_clear} of 100 genes gain clearly")
assert 10 < n_clear < 40

# %% [markdown]
# Some twenty. By chance alone two or three would. So there *is* something here that the NB does not describe. But what?

# %% [markdown]
# ## 5a.3 Lost, or never there?
#
# CST3 gains most, and it has $\pi$ near 0.4. Did the machine lose CST3 in 40 % of the cells? CST3 is a myeloid gene. T
# and B cells do not make it. Look at its mean count by label:

# %%
cst3 = counts[:, data.gene_names.tolist().index("CST3")]  # (cells,)
for code, label in enumerate(data.label_names):
    one = torch.from_numpy(data.labels == code)  # (cells,)
    print(f"{label:30} {int(one.sum()):3d} cells   mean {cst3[one].mean():5.2f}")

# %% [markdown]
# So fit again, inside one label, the 240 cells called Dendritic.
#
# **Predict.** How many of the 100 genes will still gain clearly? (a) Twenty as before. (b) About ten. (c) Two or three.

# %% tags=["volatile"]
dendritic = torch.from_numpy(data.label_names[data.labels] == "Dendritic")  # (cells,)
fits_one, scores_one = compare(counts[dendritic][:, loud], total[dendritic])
n_clear_one = list_gains(fits_one, scores_one)
pi_cst3 = torch.sigmoid(fits_one["ZINB"][2][names.index("CST3")])
print(f"{n_clear_one} of 100 genes gain clearly; CST3 now has pi = {pi_cst3:.2f}")
assert n_clear_one < 8
assert pi_cst3 < 0.05


# %% [markdown]
# (c). Drawn: observed shares of cells (grey) and the three fits, in bins of counts that double in width. FTL in all
# cells, CST3 in all cells, CST3 in the Dendritic ones.


# %% fold="What is drawn"
def in_bins(fits, gene: int, total: Tensor) -> dict[str, Tensor]:
    """Return the probability of each bin of counts under the three distributions, averaged over cells."""
    count = torch.arange(0, 512.0)  # (counts,)
    shares = {}
    for name, (log_share, *more) in fits.items():
        mu = total * log_share[gene].exp()  # (cells, 1)
        p = FAMILIES[name](count, mu, *(parameter[gene] for parameter in more)).exp().mean(dim=0)  # (counts,)
        shares[name] = torch.stack([part.sum() for part in p.float().split(SIZES)])  # (bins,)
    return shares


SIZES = [1, 1, 1, 2, 4, 8, 16, 32, 447]  # how many counts fall in each bin
BINS = ["0", "1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65+"]
axes = plots.panels(3, 3.6, 4.3)
everyone = torch.ones(len(counts), dtype=torch.bool)  # (cells,)
panels = (("FTL", everyone, fits, "all"), ("CST3", everyone, fits, "all"), ("CST3", dendritic, fits_one, "one label"))
for ax, (name, cells, fitted, which) in zip(axes, panels, strict=True):
    gene = names.index(name)
    observed = torch.bincount(counts[cells, loud[gene]].long(), minlength=512)[:512] / cells.sum()  # (counts,)
    ax.bar(range(9), [part.sum() for part in observed.split(SIZES)], color="0.82", label="observed")
    plots.lines(range(9), in_bins(fitted, gene, total[cells]), ax, ylim=(0, 0.75))
    ax.set(title=f"{name}, {which}: {int(cells.sum())} cells", xlabel="count (bins)", ylabel="share of cells")
    ax.set_xticks(range(9), BINS, rotation=45)
plots.show(
    axes[0],
    alt="Observed bins of counts and three fits. FTL: Poisson too narrow, NB fits. CST3 over all cells: only ZINB "
    "makes the many zeros and the hump. CST3 inside one label: no zeros, NB and ZINB coincide.",
)

# %% [markdown]
# **Left:** FTL needs width, not zeros. **Middle:** CST3 over all cells has a spike at zero and a hump far away, and
# only ZINB has both. (It misses the far side of the hump, 33 to 64: one mean for all cells is not enough.) **Right:**
# inside one label the spike is gone, and so is the need. Those zeros were not lost molecules. They were *other kinds of
# cells*.
#
# Two genes still gain inside the label. CFP gains a hundredth of a nat, which is negligible. FCGR3A gains more: it is
# the monocyte gene of lesson 0, the label mixes other cells with monocytes, and zero inflation has found the mixture.

# %% [markdown]
# ## 5a.4 Worlds whose truth is known
#
# **Question.** Is the test itself any good? Would it find a coin that is there? Would it ever see one that is not?
#
# Real cells cannot say. So we invent three worlds with the totals of the real cells and the shares and $\theta$ that
# the NB has found in the Dendritic ones. In the **first** no count is lost. In the **second** every gene has a coin
# with $\pi = 0.3$. In the **third** there is no coin either, but half of the cells are of another kind, which hardly
# makes every third gene: a hundredth of it.

# %%
log_share, log_theta = fits_one["NB"]  # (100,) each
mu, theta = total * log_share.exp(), log_theta.exp()  # (cells, 100) and (100,)
other_kind = (torch.arange(700) % 2 == 1)[:, None]  # (cells, 1)
silent = torch.arange(100) % 3 == 0  # (100,), what the other kind does not make

# %%
torch.manual_seed(0)
worlds = {
    "no coin": sample_nb(mu, theta),  # (cells, 100)
    "coin, pi = 0.3": sample_zinb(mu, theta, torch.logit(torch.tensor(0.3))),
    "no coin, two kinds": sample_nb(torch.where(other_kind & silent, mu / 100, mu), theta),
}
print({name: tuple(x.shape) for name, x in worlds.items()}, "  silent genes:", int(silent.sum()))

# %% [markdown]
# **Predict.** In which worlds will more genes gain clearly than chance allows (two or three of 100)? (a) The second.
# (b) The second and the third. (c) All.

# %% tags=["volatile"]
clear, gain_in = {}, {}
for name, x in worlds.items():
    fits_w, scores_w = compare(x, total)
    gain = scores_w["ZINB"] - scores_w["NB"]  # (held-out cells, 100)
    gain_in[name], error = gain.mean(dim=0), gain.std(dim=0) / len(gain) ** 0.5  # (100,) each
    clear[name] = gain_in[name] > 2 * error  # (100,)
    pi = torch.sigmoid(fits_w["ZINB"][2])  # (100,)
    print(f"{name:19} {int(clear[name].sum()):3d} clear, median pi of these {pi[clear[name]].median():.2f}", end="")
    print(f"   100 genes together {gain.sum(dim=1).mean():+5.1f} nats")
assert clear["no coin"].sum() < 9
assert clear["coin, pi = 0.3"].sum() > 25
assert clear["no coin, two kinds"][silent].sum() > 6

# %% [markdown]
# (b). The first world is quiet, as it should be, and so the test is honest. In the second it finds about half of the
# genes, with the right $\pi$. And in the third it finds coins that do not exist: genes that one kind does not make,
# with a $\pi$ near one half, the share of that kind among the cells. It looks exactly like CST3.
#
# It takes silence to fool the test. Where the other kind makes a bit more or less of every gene, the NB takes a smaller
# $\theta$, and hardly a gene asks for a coin (factors $e^{1.5\varepsilon}$ with $\varepsilon \sim \mathcal N(0, 1)$:
# four and two genes of 100, in two such worlds).

# %% [markdown]
# ## 5a.5 How many cells would it take?
#
# **Question.** In the second world every gene has its coin. Why are only half of them found?
#
# Drawn: every gene of that world, by its mean count; found or not.

# %% tags=["volatile"] fold="What is drawn"
ax = plots.panels(1, 3.4, 5.4)[0]
mean_count, found = worlds["coin, pi = 0.3"].mean(dim=0), clear["coin, pi = 0.3"]  # (100,) each
for name, which in (("found", found), ("not found", ~found)):
    plots.points(mean_count[which], gain_in["coin, pi = 0.3"][which], name, ax)
ax.set(xscale="log", xlabel="mean count", ylabel="ZINB over NB, nats per cell")
plots.show(
    ax, alt="The gain by extra zeros against a gene's mean count: near zero for quiet genes, rising with the mean."
)

# %% [markdown]
# The quiet genes are missed. No test can do better on so few cells, and we can compute why. Take the *exact* ZINB of a
# gene, and find the NB that comes nearest: the one with the smallest KL divergence from the ZINB. That KL is the gain
# per cell which an ideal experiment would see. Hold it against its scatter from cell to cell, and you have the number
# of cells after which the gain is twice its error.
#
# **Predict.** A gene with mean 1 and $\pi = 0.3$: how many held-out cells? (a) Thirty. (b) Three hundred. (c) Three
# thousand.

# %%
count, means = torch.arange(0, 2000.0), torch.tensor([0.3, 1.0, 3.0, 10.0, 30.0])[:, None]  # (counts,), (genes, 1)
log_p = zinb_log_prob(count, means / 0.7, torch.tensor(1.0), torch.logit(torch.tensor(0.3)))  # (genes, counts)
p = log_p.double().exp()  # (genes, counts), the truth: theta 1 and a coin

# %%
nearest = [means.log().requires_grad_(), torch.zeros_like(means).requires_grad_()]  # logs of mu and theta
optimizer = torch.optim.Adam(nearest, lr=0.05)
for _ in range(400):
    log_q = nb_log_prob(count, nearest[0].exp(), nearest[1].exp()).double()  # (genes, counts)
    optimizer.zero_grad()
    (-(p * log_q).sum()).backward()
    optimizer.step()

# %%
gap = (log_p.double() - log_q).detach()  # (genes, counts), what one cell with this count adds
kl = (p * gap).sum(dim=1)  # (genes,)
cells = 4 * ((p * gap**2).sum(dim=1) - kl**2) / kl**2  # (genes,), where the mean is twice its error

# %%
for mean, one, n, log_theta in zip(means[:, 0], kl, cells, nearest[1][:, 0], strict=True):
    print(
        f"mean {mean:4.1f}: {one:.3f} nats per cell, {float(f'{n:.1g}'):6.0f} cells   NB's theta {log_theta.exp():.2f}"
    )
assert 2500 < cells[1] < 4500

# %% [markdown]
# (c). A quiet gene needs thousands of cells to tell a coin from a wide negative binomial: the NB simply takes a smaller
# $\theta$, 0.5 in place of 1, and nobody can tell. Read it in both directions. A test that finds nothing in quiet genes
# has not shown that they lose nothing. And it does not *matter* to a model of counts either, since a gain that cannot
# be seen in thousands of cells is not worth a parameter.

# %% [markdown]
# ## 5a.6 And with a latent $z$?
#
# **Question.** scVI knows about kinds of cells, through $z$. Does it still want its coin?
#
# We train it with both likelihoods, on the same cells, to the end (`FastVAE` is the same model as `VAE`, faster):

# %%
trainers = {}
for likelihood in ("nb", "zinb"):
    model = vc.FastVAE(data.n_genes, likelihood=likelihood)
    trainers[likelihood] = vc.UnsupervisedTrainer(model, data, batch_size=64, n_epochs_kl_warmup=20, seed=0)
    trainers[likelihood].train(40)
print({name: len(trainer.test_set) for name, trainer in trainers.items()}, "held-out cells")

# %% tags=["volatile"]
elbo = {}
for name, trainer in trainers.items():
    terms = trainer.test_set.loss_terms(seed=0)  # (held-out cells,) each
    elbo[name] = -(terms.reconstruction + terms.kl_local + terms.kl_global)

# %% tags=["volatile"]
gain = elbo["zinb"] - elbo["nb"]  # (held-out cells,), paired
print(f"NB {elbo['nb'].mean():.0f}   ZINB {elbo['zinb'].mean():.0f} nats", end="   ")
print(f"paired difference {gain.mean():+.1f} +- {gain.std() / len(gain) ** 0.5:.1f}")
assert abs(gain.mean()) < 8

# %% [markdown]
# All 765 genes together, and no difference that can be seen (nor with two other seeds: -1.0 ± 1.6 and +1.2 ± 1.5). So
# its $\pi$ must be near zero now, must it not?
#
# **Predict.** T cells do not make CST3. What $\pi$ does the trained ZINB model give CST3 in T cells? (a) Near 0, since
# nothing was lost. (b) Near 0.4, as in section 5a.2. (c) Near 1.

# %% tags=["volatile"]
with torch.no_grad():
    out = trainers["zinb"].model.eval().inference(counts)
gene, pi = data.gene_names.tolist().index("CST3"), torch.sigmoid(out["px_dropout"])  # pi (cells, genes)

# %% tags=["volatile"]
for label in ("CD4+/CD25 T Reg", "Dendritic"):
    one = torch.from_numpy(data.label_names[data.labels] == label)  # (cells,)
    rate = out["px_rate"][one, gene]  # (cells of the label,), mu
    print(f"{label:16} mean count {counts[one, gene].mean():5.2f}   pi {pi[one, gene].mean():.2f}", end="   ")
    print(f"mu {rate.mean():5.2f}   (1 - pi) mu {((1 - pi[one, gene]) * rate).mean():5.2f}")
    assert (pi[one, gene].mean() > 0.6) == (label != "Dendritic")

# %% [markdown]
# (c). The model says "nine times in ten the molecule was lost" about a gene that these cells do not make. It is not
# wrong about the *counts*: $(1 - \pi)\mu$ is about what there is. But a small mean can be said in two ways, by a small
# $\mu$ or by a large $\pi$, and section 5a.5 showed that no likelihood can choose between them where counts are small.
# Two warnings follow:
#
# - **$\pi$ is not a rate of lost molecules.** Nothing in the data makes it one.
# - **$\mu$ (`px_rate`) is not the expected count** of a ZINB model. It is the expectation *before* the coin, and
#   some twenty times too large here. Whoever calls it "denoised expression" reports a silent gene as a quiet one.
#
# With `likelihood="nb"` neither question arises.

# %% [markdown]
# ## 5a.7 What to take home
#
# Technical controls of droplet data, in which every droplet holds the same RNA, show no more zeros than counting
# explains ([Svensson 2020](https://doi.org/10.1038/s41587-019-0379-5)). Ours agree: once cells of one kind are
# compared, the negative binomial is enough. scVI comes with ZINB because in 2018 the many zeros were widely held to be
# dropouts ([Lopez et al. 2018](https://doi.org/10.1038/s41592-018-0229-2)). It costs little in likelihood. What it
# costs in meaning you have just seen. (Read counts *without* molecular barcodes are another matter: there one molecule
# is read many times, and zeros beside large counts are common.)
#
# <details><summary><b>An open task.</b> Is there a gene in these cells that needs a coin after all?</summary>
#
# Try other labels, and other splits than that of seed 0. A good answer corrects for having looked at hundreds of genes
# (two of 100 are clear by chance at two standard errors), asks for the size of the gain and not for its certainty
# alone, and rules out a mixture of kinds first: does the gene's zero go along with the zeros of *other* genes? Lost
# molecules would not know of each other.
#
# </details>
#
# <details><summary><b>Check yourself.</b> Somebody shows you a data set with 95 % zeros and says that it "obviously"
# needs zero inflation. What do you ask?</summary>
#
# How large the totals are, and what the mean of a gene is: with means of 0.05 a Poisson makes 95 % zeros. Then whether
# the zeros exceed those of an NB *inside* one kind of cells. A share of zeros alone says how deep the sequencing was.
#
# </details>
