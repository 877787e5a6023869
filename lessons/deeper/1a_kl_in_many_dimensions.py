# %% [markdown]
# # Deeper 1a · The KL in many dimensions
#
# {{links}}
#
# **You will be able to**
#
# - derive and write the KL divergence of two Gaussians whose latents depend on each other (exercise 1.4)
# - find a slip in a formula by asking what can never be
# - say what a $q$ with independent latents leaves out, and how many draws from the prior a real cell would take
#
# **Time:** about {{minutes}} minutes. **From:** [lesson 1, section 1.7](../01_problem_setup.ipynb), and section 1.9 for
# 1a.5. **You need:** the KL of lesson 1; matrix products, the transpose, and the covariance matrix of lesson 0.

# %% setup=true
import torch

import vae_course as vc
from vae_course import plots
from vae_course.distributions import bernoulli_log_prob, kl_normal, normal_log_prob
from vae_course.exercises import exercise, hint, progress, solution

# %% fold="Names from Python and PyTorch that are used below"
# isort: split
import math

from torch import Tensor

# %% [markdown]
# ## 1a.1 Latents that lean on each other
#
# **Question.** In lesson 1 the KL of several latents was a plain sum, because they were independent. What if knowing
# one tells about another?
#
# Then the spread is not a list of variances but a **covariance** matrix: variances on the diagonal, covariances of
# pairs beside it. We write $Q$ for that of $q$ and $P$ for that of $p$, both of shape (k, k). Our example has two
# latents. To draw from it, multiply standard normal draws by a root of $Q$: a matrix that gives $Q$ when multiplied by
# its own transpose.

# %%
mean_q, cov_q = torch.tensor([1.0, -1.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])
mean_p, cov_p = torch.zeros(2), torch.tensor([[1.0, 0.3], [0.3, 2.0]])
generator = torch.Generator().manual_seed(0)
root = torch.linalg.cholesky(cov_q)  # (2, 2), root @ root.T is cov_q
draws = mean_q + torch.randn(200_000, 2, generator=generator) @ root.T  # (S, 2), from q
print("covariance of the draws", [[round(value, 1) for value in row] for row in torch.cov(draws.T).tolist()])

# %% fold="What is drawn: 800 draws from q and from p"
from_p = mean_p + torch.randn(800, 2, generator=generator) @ torch.linalg.cholesky(cov_p).T  # (S, 2)
ax = plots.points(*draws[:800].T, name="q")
plots.points(*from_p.T, name="p", ax=ax, xlabel="first latent", ylabel="second latent")
plots.show(
    ax, alt="Two clouds of draws that overlap: that of q is wider along the first latent, that of p along the second."
)

# %% [markdown]
# **Two things to carry over.** In one dimension the log-density divides by the variance and takes its logarithm. In
# many:
#
# - To divide by a variance becomes to multiply by the **inverse**, the matrix with $Q^{-1} Q = I$:
#   `torch.linalg.inv(cov)`. (`torch.linalg.solve(cov, u)` gives $Q^{-1} u$ in one step.)
# - The size of a variance becomes the **determinant** $|Q|$, the factor by which the matrix scales areas or volumes;
#   for a 2 x 2 matrix the product of the diagonal minus the product beside it. `torch.logdet(cov)` is its logarithm.
#
# $$\log q(z) = -\tfrac12\big[k\log 2\pi + \log|Q| + (z - m_q)^\top Q^{-1} (z - m_q)\big].$$
#
# The last term is a **quadratic form**, the square divided by the variance, grown up. $^\top$ lays a column down as a
# row.

# %%
print("inverse times covariance is I:", torch.allclose(torch.linalg.inv(cov_q) @ cov_q, torch.eye(2), atol=1e-6))
print(f"determinant {2.0 * 1.0 - 0.5 * 0.5}, its logarithm {torch.logdet(cov_q):.4f}")

# %% [markdown]
# ## 1a.2 The mean of a quadratic form
#
# Subtract the two log-densities, as in section 1.7. The constants cancel:
#
# $$\mathrm{KL}(q \,\|\, p) = \tfrac12\,\mathbb E_q\Big[\log\frac{|P|}{|Q|} - (z - m_q)^\top Q^{-1}(z - m_q)
# + (z - m_p)^\top P^{-1}(z - m_p)\Big].$$
#
# Two means of quadratic forms are missing. In one dimension the mean square was the variance. How does a matrix get in
# there?
#
# **The trace trick.** A number is its own trace (the sum of the diagonal), and in a trace two factors may change
# places, $\mathrm{tr}(BC) = \mathrm{tr}(CB)$, whenever both products exist. For a vector $u$ and a square matrix $A$
# take $B = u^\top$, a row, and $C = A\,u$, a column:
#
# $$u^\top A\,u = \mathrm{tr}(u^\top \cdot A\,u) = \mathrm{tr}(A\,u \cdot u^\top).$$
#
# $u^\top u$ would be a number. $u u^\top$ is the **outer product**: a matrix with the product of entries $i$ and $j$ in
# row $i$ and column $j$.

# %%
u, A = torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 1.0], [1.0, 4.0]])
print("u' A u =", (u @ A @ u).item(), "   tr(A u u') =", torch.trace(A @ torch.outer(u, u)).item())

# %% [markdown]
# **First form.** A trace is a sum and $Q^{-1}$ is fixed, so the mean may move inside. There it meets
# $\mathbb E_q[(z - m_q)(z - m_q)^\top]$, which is $Q$ by definition of the covariance:
#
# $$\mathbb E_q\,(z - m_q)^\top Q^{-1}(z - m_q) = \mathrm{tr}(Q^{-1} Q) = k.$$
#
# **Second form.** Step there through $m_q$, with $\Delta = m_q - m_p$, so that $z - m_p = (z - m_q) + \Delta$. Multiply
# out. The two mixed terms vanish on average, because $\mathbb E_q[z - m_q] = 0$. The square of the first part gives a
# trace, by the same trick, and that of $\Delta$ is fixed:
#
# $$\mathbb E_q\,(z - m_p)^\top P^{-1}(z - m_p) = \mathrm{tr}(P^{-1} Q) + \Delta^\top P^{-1} \Delta.$$
#
# Do we believe both? From 200,000 draws:

# %%
Q_inv, P_inv, shift = torch.linalg.inv(cov_q), torch.linalg.inv(cov_p), mean_q - mean_p
first = ((draws - mean_q) @ Q_inv * (draws - mean_q)).sum(dim=1).mean()  # a quadratic form per draw, then the mean
second = ((draws - mean_p) @ P_inv * (draws - mean_p)).sum(dim=1).mean()
print(f"first form:  {first:.1f} from draws   k = 2")
print(f"second form: {second:.1f} from draws   formula {torch.trace(P_inv @ cov_q) + shift @ P_inv @ shift:.1f}")

# %% [markdown]
# ## 1a.3 A slip in the notes
#
# The lecture notes call the distributions 0 and 1, $q = \mathcal N(\mu_0, \Sigma_0)$ and
# $p = \mathcal N(\mu_1, \Sigma_1)$, and give this line:
#
# $$\tfrac12\Big[\mathrm{tr}(\Sigma_1^{-1}\Sigma_0) + (\mu_1 - \mu_0)^\top\,\Sigma_1^{-1}\,(\mu_0 - \mu_1) - k
# + \log\frac{|\Sigma_1|}{|\Sigma_0|}\Big].$$
#
# **Find the slip.** The next cell evaluates the line as it stands, with both covariances $I$ and the means $(0, 0)$ and
# $(3, 4)$. Ask what a KL can never be.

# %%
mu_0, mu_1 = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
quadratic = (mu_1 - mu_0) @ torch.eye(2) @ (mu_0 - mu_1)
print(f"KL by the notes: {0.5 * (2.0 + quadratic - 2.0 + 0.0):.1f} nats")

# %% [markdown]
# <details><summary><b>The mended line, and why</b></summary>
#
# $$(\mu_1 - \mu_0)^\top\,\Sigma_1^{-1}\,(\mu_1 - \mu_0).$$
#
# A KL is never negative. A quadratic form has the *same* vector on both sides; with opposite vectors it is minus a
# squared length, and the KL falls as the means part. In training it would push every latent as far from the prior as it
# can go. Mended, the example gives $+12.5$ nats. The order of the difference does not matter: both signs flip together.
#
# </details>

# %% [markdown]
# **Now you.** Put the two means of 1a.2 into the KL. Means of shape (k,) and covariances of shape (k, k) come in, one
# scalar goes out. By hand: $Q = \mathrm{diag}(4, 1)$, $P = \mathrm{diag}(2, 1)$ and a shift of $(1, 0)$ give $0.4034$.
# Mind that a trace wants the matrix product (`*` between matrices is none), and that $k = 1$ must give the formula of
# lesson 1.

# %% exercise="1.4" source="vae_course.distributions.kl_multivariate_normal" minutes=10 difficulty=2

# %% [markdown]
# Our example, beside an exact value; and once more with the covariance of $q$ forgotten, as a sum over latents forgets
# it:

# %%
no_cov = torch.diag(cov_q.diagonal())  # (2, 2)
for name, mean, cov in (("p", mean_p, cov_p), ("N(0, I)", torch.zeros(2), torch.eye(2))):
    full, apart = (kl_multivariate_normal(mean_q, one, mean, cov) for one in (cov_q, no_cov))
    print(f"KL to {name:8} {full:.4f}   covariance of q forgotten {apart:.4f}")
print("exact:         1.2165 to p, 1.2202 to N(0, I)")

# %% [markdown]
# ## 1a.4 What a sum forgets
#
# **Question.** A VAE's $q(z \mid x)$ has independent latents *by choice*. When is that choice dear?
#
# Take unit variances, a correlation $r$, and $p = \mathcal N(0, I)$. The trace is 2, the shift 0, and the determinant
# $1 - r^2$. Only $-\tfrac12\log(1 - r^2)$ is left, and the sum over latents sees none of it: it says 0.
#
# **Predict.** At which correlation does the sum forget a whole nat: 0.5, 0.93, or 0.99?

# %%
for r in (0.1, 0.5, 0.93, 0.99):
    cov = torch.tensor([[1.0, r], [r, 1.0]])
    full = kl_multivariate_normal(torch.zeros(2), cov, torch.zeros(2), torch.eye(2))
    print(f"correlation {r:<4}   KL {full:.3f}   by the formula {-0.5 * math.log(1 - r**2):.3f}   as a sum 0")

# %% [markdown]
# Against a $p$ with independent latents, forgetting correlation always underpays. Against a correlated $p$ it can go
# either way: to our $p$ above it overpays. The full formula tells you what the choice leaves out. What it buys is $k$
# numbers per cell in place of $k^2$, and a sum that a network can learn.

# %% [markdown]
# ## 1a.5 Ten latents, one real cell
#
# **Question.** Lesson 1 said that drawing $z$ from the prior does not save us, since it takes about $e^{\mathrm{KL}}$
# draws, with the KL from the posterior to the prior ([Chatterjee and Diaconis
# 2018](https://doi.org/10.1214/17-AAP1326)). How bad is it, for one cell?
#
# First a decoder with ten latents, made without any training. Take ten PCA scores as latents; for each, compare the
# third of the cells with the highest scores to the third with the lowest. The difference of their logits, over the
# difference of their scores, is a row of slopes. (Five detected and five undetected cells are added to each group, so
# that rare genes do not go wild.)


# %%
def smoothed_logit(x: Tensor) -> Tensor:
    """Logit of the share of ones, pulled a little towards a half, (cells, genes) -> (genes,)."""
    return torch.logit((x.sum(dim=0) + 5) / (len(x) + 10))


data = vc.load_pbmc()
x = torch.from_numpy(data.binarize().counts.toarray())  # (cells, genes), 0.0 or 1.0
U, _, Vt = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)  # Vt: one component in each row
sign = torch.sign(Vt[:10].sum(dim=1))  # a component's sign is free; we choose one
scores = U[:, :10] * sign * math.sqrt(len(x))  # (cells, 10), mean 0 and variance 1 as in N(0, I)
slopes = []
for score in scores.T:  # one latent after the other
    low, high = score < score.quantile(1 / 3), score > score.quantile(2 / 3)
    slopes.append((smoothed_logit(x[high]) - smoothed_logit(x[low])) / (score[high].mean() - score[low].mean()))
W, b = torch.stack(slopes), smoothed_logit(x)  # (10, genes), (genes,): z @ W + b are the logits of all genes

# %% [markdown]
# Now $\log p(x)$ of one B cell, as a mean over the prior: $p(x) = \mathbb E_{z \sim p(z)}\,[\,p(x \mid z)\,]$. Five
# runs of 20,000 draws. **Predict**: do the five agree to 0.1 nats, to 1 nat, or not even that?

# %%
unusual = 189  # row of a B cell far from the middle of the cloud
generator = torch.Generator().manual_seed(0)
runs = []
for _ in range(5):
    z = torch.randn(20_000, 10, generator=generator)  # (S, 10)
    runs.append(bernoulli_log_prob(x[unusual], z @ W + b).sum(dim=-1))  # (S,)
log_lik = torch.stack(runs)  # (5 runs, S)

# %% tags=["volatile"]
for n in (100, 1000, 20_000):
    estimates = torch.logsumexp(log_lik[:, :n], dim=1) - math.log(n)  # (5,)
    print(f"S = {n:>6}: log p(x) =", "  ".join(f"{value:.1f}" for value in estimates.tolist()))
share = torch.softmax(log_lik, dim=1).max(dim=1).values  # (5,)
print("share of the sum in the single best draw:", "  ".join(f"{value:.0%}" for value in share.tolist()))
assert share.max() > 0.5  # checks that your machine agrees; skip it

# %% [markdown]
# Several nats apart, each a factor of $e$, and creeping up as $S$ grows. Out of 20,000 draws *one* may carry nearly the
# whole sum. The rest landed where this cell is all but impossible:

# %% fold="What is drawn: log p(x | z) of the B cell, at 100,000 draws from the prior" tags=["volatile"]
own = bernoulli_log_prob(x[unusual], scores[unusual] @ W + b).sum()
ax = plots.histogram({"draws from the prior": log_lik.flatten()}, bins=60, yscale="log")
ax.set(xlabel="log p(x | z) of the B cell (nats)", ylabel="draws", ylim=(0.5, 1e5), xticks=[-1000, -800, -600, -400])
ax.axvline(own, color=plots.COLORS[1], linestyle="--", label="at the cell's own scores")
ax.legend(frameon=False, loc="upper left")
plots.show(
    ax,
    alt="Histogram of the log-likelihoods of 100,000 draws from the prior; that at the cell's own scores lies to the "
    "right of all of them.",
)

# %% [markdown]
# We chose an unusual cell on purpose: nobody wants a method that fails on the unusual ones. (Why do the estimates creep
# *up*? Their mean is right, but we took its logarithm, and a logarithm punishes scatter: Jensen.)
#
# **Draw where the posterior is.** Take for $q$ a Gaussian around the cell's own ten scores, one standard deviation for
# all, and search that one number. The ELBO of section 1.10 splits into a fit and a price:
#
# $$\text{ELBO} = \mathbb E_q[\log p(x, z) - \log q(z)]
# = \underbrace{\mathbb E_q[\log p(x \mid z)]}_{\text{fit}} - \underbrace{\mathrm{KL}(q \,\|\, p(z))}_{\text{price}}.$$
#
# The price has a closed form, a sum over ten latents. The fit is a mean over draws from $q$, and a hundred will do:

# %% tags=["volatile"]
eps = torch.randn(100, 10, generator=torch.Generator().manual_seed(0))  # (S, 10)
bounds = []
for sd in (1.0, 0.5, 0.25, 0.1):
    fit = bernoulli_log_prob(x[unusual], (scores[unusual] + sd * eps) @ W + b).sum(dim=-1)  # (S,)
    price = kl_normal(scores[unusual], torch.tensor(sd**2), torch.tensor(0.0), torch.tensor(1.0)).sum()
    bounds.append((fit.mean() - price).item())
    print(f"sd {sd:<5} fit {fit.mean():.0f} - price {price:.0f} = ELBO {bounds[-1]:.0f} +- {fit.std() / 10:.1f} nats")
best_of_prior = (torch.logsumexp(log_lik, dim=1) - math.log(20_000)).max()
print(f"best of five runs of 20,000 draws from the prior: {best_of_prior:.0f} nats")
print(f"without latents, exactly: {bernoulli_log_prob(x[unusual], b).sum():.0f} nats")
assert max(bounds) > best_of_prior  # checks that your machine agrees; skip it

# %% [markdown]
# A hundred draws from a rough $q$ beat a hundred thousand from the prior, and theirs is a *lower* bound. Read the table
# as the bargain that a VAE strikes. A wide $q$ is cheap, but its draws explain the cell badly. A narrow one explains
# well and pays for its precision. The best lies between, at a price of about 25 nats. That is roughly the exponent in
# $e^{\mathrm{KL}}$: $e^{25} \approx 10^{11}$ draws from the prior, for one cell.

# %% [markdown]
# ## 1a.6 When the family is too small
#
# **Question.** The search of lesson 1 lost 0.02 nats to the true posterior. Is a Gaussian always that good?
#
# Let the decoder bend. Suppose a gene is detected at *both* ends of the axis, with logit $3z^2 + z - 5$, and we see it.
# On a grid of one latent, the prior $\mathcal N(0, 1)$ as ever:

# %%
grid = torch.linspace(-8, 8, 801)  # (points,)
dz = grid[1] - grid[0]
log_joint = normal_log_prob(grid, torch.tensor(0.0), torch.tensor(1.0)) + bernoulli_log_prob(
    torch.tensor(1.0), 3 * grid**2 + grid - 5
)  # (points,)
log_px = torch.logsumexp(log_joint, dim=0) + dz.log()
means, sds = torch.linspace(-3, 3, 121), torch.linspace(0.1, 1.5, 57)
log_q = normal_log_prob(grid, means.view(-1, 1, 1), sds.view(1, -1, 1) ** 2)  # (means, sds, points)
elbo = (log_q.exp() * (log_joint - log_q)).sum(dim=-1) * dz  # (means, sds)
row, column = divmod(int(elbo.argmax()), len(sds))
print(f"log p(x) {log_px:.2f}   best ELBO {elbo.max():.2f}   gap {log_px - elbo.max():.2f} nats")
post = (log_joint - log_px).exp() * dz  # (points,)
print(f"weight of the right peak {post[grid > 0].sum():.2f}, standard deviation of the posterior "
      f"{(post @ grid**2 - (post @ grid) ** 2).sqrt():.2f}")  # fmt: skip

# %% fold="What is drawn: the KL over mean and standard deviation of q, and the best q beside the posterior"
axes = plots.panels(2, height=3.6, width=5)
plots.landscape(means, sds, (log_px - elbo).T, ax=axes[0], colorbar="KL to the posterior (nats, log scale)")
axes[0].set(xlabel="mean of q", ylabel="standard deviation of q", title="two valleys")
axes[0].plot(means[row], sds[column], "*", color="white", markersize=16, markeredgecolor="black")
best_q = normal_log_prob(grid, means[row], sds[column] ** 2).exp()  # (points,)
curves = {"exact posterior": post / dz, "best Gaussian": best_q}
plots.lines(
    grid, curves, ax=axes[1], xlabel="latent z", ylabel="density", title="one peak found, one lost", xlim=(-4, 4)
)
plots.show(
    axes[0],
    alt="Left: the KL surface has two valleys, one on each side of zero. Right: of the posterior's two peaks "
    "the best Gaussian covers only the right one.",
)

# %% [markdown]
# The mode-seeking KL, in the wild. The gap is nearly the price of the missed peak, $-\log 0.63 = 0.46$ nats; the rest
# is skew. A search that starts on the left would even end in the shallower valley. And the posterior is *wider* than
# its prior (standard deviation 1.67 against 1): seeing the gene pushed $z$ away from 0, to either side. No search can
# mend a family that is too small: the gap of its best member stays.
#
# <details><summary><b>Check yourself.</b> In ten dimensions there is no grid. How would one notice that the family is
# too small?</summary>
#
# Not from the ELBO alone: a low one may mean a bad $q$ or an unusual cell. Compare families: if a mixture of two
# Gaussians has a clearly higher ELBO than one, the one was too small. Or start the search at several places: different
# ends, of nearly the same ELBO, are the mark of several peaks. Lesson 4 measures the gap by better and better estimates
# of $\log p(x)$.
#
# </details>

# %% tags=["volatile"]
progress()
