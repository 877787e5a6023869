"""Are the estimates of log p(x) right? Compared with models whose log p(x) is known exactly.

The linear-Gaussian model z ~ N(0, I), x|z ~ N(W z + b, s2 I) has everything in closed form. For the course's own
networks with one or two latents, log p(x) is integrated numerically. For cells of pure noise the true density is a
bound that no honest estimate on held-out cells may beat.

scVI 0.3.0 took the weight p(z) / q(z|x) from one draw and the likelihood from another one. The last tests show that
these comparisons tell the two apart.
"""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats

import vae_course as vc
from vae_course.distributions import (
    effective_sample_size,
    elbo,
    kl_multivariate_normal,
    kl_standard_normal,
    log_marginal_likelihood,
    normal_log_prob,
    zinb_log_prob,
)

pytestmark = pytest.mark.numerical
# --------------------------------------------------------------------------------------------------------------------
# The linear-Gaussian model
# --------------------------------------------------------------------------------------------------------------------

W = torch.tensor([[1.0, 0.5], [0.0, 1.0], [-0.5, 2.0]], dtype=torch.float64)
B = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
S2 = torch.tensor(0.5, dtype=torch.float64)
X = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
Q_MEAN = torch.tensor([0.2, -0.4], dtype=torch.float64)
Q_VAR = torch.tensor([0.3, 0.1], dtype=torch.float64)

LOG_EVIDENCE = -4.31410876744882
POSTERIOR_MEAN = torch.tensor([0.808917197452229, -0.268789808917197], dtype=torch.float64)
POSTERIOR_COV = torch.tensor(
    [[0.292993630573248, 0.0254777070063694], [0.0254777070063694, 0.089171974522293]], dtype=torch.float64
)


def draw(n_samples, n_cells, q_var=Q_VAR, seed=0):
    """Return log p(x|z), log p(z) and log q(z|x) of draws z ~ q, (n_samples, n_cells) each; all cells are alike."""
    generator = torch.Generator().manual_seed(seed)
    z = Q_MEAN + q_var.sqrt() * torch.randn(n_samples, n_cells, 2, dtype=torch.float64, generator=generator)
    log_likelihood = normal_log_prob(X, z @ W.T + B, S2).sum(dim=-1)
    log_prior = normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z)).sum(dim=-1)
    return log_likelihood, log_prior, normal_log_prob(z, Q_MEAN, q_var).sum(dim=-1)


def mean_and_error(values):
    """Return the mean and its standard error."""
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


def mean_estimate(n_samples, n_cells, q_var=Q_VAR):
    """Return the mean over cells of the importance-weighted estimate, and its standard error."""
    log_likelihood, log_prior, log_q = draw(n_samples, n_cells, q_var)
    return mean_and_error(log_marginal_likelihood(log_likelihood + log_prior, log_q))


def mean_estimate_of_two_draws(n_samples, n_cells, q_var=Q_VAR):
    """Do the same with the likelihood of other draws than the weights, as scVI 0.3.0 does."""
    log_likelihood, _, _ = draw(n_samples, n_cells, q_var, seed=1)
    _, log_prior, log_q = draw(n_samples, n_cells, q_var, seed=2)
    return mean_and_error(log_marginal_likelihood(log_likelihood + log_prior, log_q))


def limit_of_two_draws(q_var):
    """Return log E_q[p(x|z)], which is what the average of many such weights tends to."""
    cov = S2 * torch.eye(3) + W @ torch.diag(q_var) @ W.T
    return stats.multivariate_normal(W @ Q_MEAN + B, cov).logpdf(X)


def test_the_model_has_the_published_evidence():
    evidence = stats.multivariate_normal(B, W @ W.T + S2 * torch.eye(3)).logpdf(X)
    assert evidence == pytest.approx(LOG_EVIDENCE, abs=1e-12)


def test_elbo_and_its_parts():
    log_likelihood, log_prior, log_q = draw(400_000, 1)
    likelihood, likelihood_error = mean_and_error(log_likelihood[:, 0])
    assert likelihood == pytest.approx(-3.9470948287741, abs=4 * likelihood_error)
    assert kl_standard_normal(Q_MEAN, Q_VAR.log()).item() == pytest.approx(1.05327894865999, abs=1e-10)
    bound, bound_error = mean_and_error((log_likelihood + log_prior - log_q)[:, 0])
    assert elbo(log_likelihood, log_prior, log_q).item() == pytest.approx(bound, abs=1e-10)
    assert bound == pytest.approx(-5.00037377743409, abs=4 * bound_error)


def test_the_gap_of_the_elbo_is_the_divergence_from_the_true_posterior():
    gap = kl_multivariate_normal(Q_MEAN, torch.diag(Q_VAR), POSTERIOR_MEAN, POSTERIOR_COV).item()
    assert gap == pytest.approx(0.686265009985273, abs=1e-10)
    assert LOG_EVIDENCE - gap == pytest.approx(-5.00037377743409, abs=1e-10)


@pytest.mark.parametrize(
    ("n_samples", "n_cells", "expected", "last_digit"),
    [(1, 400_000, -5.00037, 1e-5), (10, 100_000, -4.44, 0.01), (100, 10_000, -4.331, 1e-3), (1000, 2000, -4.316, 1e-3)],
)
def test_the_importance_weighted_bound_rises_to_the_evidence(n_samples, n_cells, expected, last_digit):
    mean, error = mean_estimate(n_samples, n_cells)
    assert error < 0.005
    assert mean == pytest.approx(expected, abs=4 * error + last_digit / 2)


def test_weights_of_the_true_posterior_are_all_the_same():
    # then one draw is as good as a thousand: every weight is p(x)
    factor = torch.linalg.cholesky(POSTERIOR_COV)
    noise = torch.randn(50, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = POSTERIOR_MEAN + noise @ factor.T
    log_joint = normal_log_prob(X, z @ W.T + B, S2).sum(dim=-1) + normal_log_prob(z, z * 0, z * 0 + 1).sum(dim=-1)
    posterior = stats.multivariate_normal(POSTERIOR_MEAN, POSTERIOR_COV)
    log_q = torch.from_numpy(posterior.logpdf(z.numpy()))
    assert log_marginal_likelihood(log_joint, log_q).tolist() == pytest.approx([LOG_EVIDENCE] * 3, abs=1e-9)
    assert effective_sample_size(log_joint, log_q).tolist() == pytest.approx([50] * 3, rel=1e-9)


def test_two_independent_draws_tend_to_something_above_the_evidence():
    assert limit_of_two_draws(Q_VAR) == pytest.approx(-3.24784310935991, abs=1e-10)
    ours, _ = mean_estimate(1000, 2000)
    theirs, error = mean_estimate_of_two_draws(1000, 2000)
    assert theirs == pytest.approx(-3.53, abs=4 * error + 0.005)  # still rising to its limit
    assert ours < LOG_EVIDENCE + 0.01
    assert theirs > LOG_EVIDENCE + 0.5


def test_two_independent_draws_miss_the_evidence_also_where_the_weights_are_bounded():
    q_var = torch.tensor([0.8, 0.7], dtype=torch.float64)
    assert limit_of_two_draws(q_var) == pytest.approx(-3.95026564726961, abs=1e-10)
    theirs, their_error = mean_estimate_of_two_draws(1000, 2000, q_var)
    ours, our_error = mean_estimate(1000, 2000, q_var)
    assert theirs == pytest.approx(-3.952, abs=4 * their_error + 5e-4)
    assert ours == pytest.approx(LOG_EVIDENCE, abs=4 * our_error + 0.002)  # the bias at S = 1000 is below 0.002


# --------------------------------------------------------------------------------------------------------------------
# The course's own models, integrated numerically
# --------------------------------------------------------------------------------------------------------------------

GRID, STEP = torch.linspace(-8, 8, 321), 0.05
COUNTS = torch.tensor([[3.0, 0.0, 1.0], [0.0, 7.0, 2.0], [1.0, 1.0, 0.0]])


def tiny_vae(library, likelihood="zinb"):
    """A VAE with one latent and random weights, and q wide enough that its weights are bounded."""
    model = vc.VAE(3, n_latent=1, n_hidden=8, library=library, likelihood=likelihood, seed=1).eval()
    model.library_log_means.fill_(1.6)
    model.library_log_vars.fill_(0.2)
    with torch.no_grad():
        model.z_encoder.var_encoder.bias.fill_(0.5)
        model.l_encoder.var_encoder.bias.fill_(-1.0)
        model.l_encoder.mean_encoder.bias.fill_(1.6)
        model.decoder.px_scale_decoder[0].weight.mul_(3)
    return model


@torch.no_grad()
def integrated_vae(model, x):
    """Return log p(x) of one cell, (), by the rectangle rule over z (and over l if it is latent)."""
    library = GRID / 16 * 6 + 1.6 if model.library == "latent" else x.sum().log().reshape(1)  # +-6.7 sd around 1.6
    z, log_size = (t.flatten().unsqueeze(-1) for t in torch.meshgrid(GRID, library, indexing="ij"))
    _, _, rate, dropout = model.decoder(model.dispersion, z, log_size, torch.zeros(len(z)))
    log_joint = model.log_likelihood(x, rate, model.px_r.exp(), dropout).double().sum(dim=-1)
    log_joint += torch.from_numpy(stats.norm.logpdf(z[:, 0].numpy())) + math.log(STEP)
    if model.library == "latent":
        log_joint += torch.from_numpy(stats.norm.logpdf(log_size[:, 0].numpy(), 1.6, math.sqrt(0.2)))
        log_joint += math.log(STEP / 16 * 6)
    return torch.logsumexp(log_joint, dim=0).item()


def assert_estimates(model, data, expected, n_samples=20_000):
    """Compare `marginal_ll` cell by cell with log p(x), within what its effective sample size allows."""
    values, ess = vc.Posterior(model, data).marginal_ll(n_samples, return_per_cell=True)
    # relative variance of the mean weight: (S / ess - 1) / S; five standard errors
    errors = 5 * np.sqrt((n_samples / ess - 1) / n_samples)
    assert (errors < 0.1).all()
    assert (np.abs(values - np.array(expected)) < errors + 1e-4).all(), (values, expected, errors)


@pytest.mark.parametrize("likelihood", ["zinb", "poisson"])
@pytest.mark.parametrize("library", ["latent", "observed"])
def test_marginal_ll_of_a_vae_is_the_integral_over_its_latents(library, likelihood):
    model = tiny_vae(library, likelihood)
    assert_estimates(model, vc.CountData(COUNTS), [integrated_vae(model, x) for x in COUNTS])


def test_marginal_ll_of_a_binary_vae_is_the_integral_over_its_latents():
    model = vc.BinaryVAE(3, n_latent=2, n_hidden=8, seed=1).eval()
    with torch.no_grad():
        model.logvar_encoder.bias.fill_(0.3)
        model.logits_decoder.weight.mul_(4)
        z = torch.stack(torch.meshgrid(GRID[::2], GRID[::2], indexing="ij"), dim=-1).view(-1, 2)
        logits = model.decode(z).double()
    log_prior = torch.from_numpy(stats.norm.logpdf(z.numpy()).sum(axis=1)) + 2 * math.log(2 * STEP)
    cells = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    log_p = [torch.where(x == 1, -torch.log1p((-logits).exp()), -torch.log1p(logits.exp())).sum(dim=-1) for x in cells]
    expected = [torch.logsumexp(log_prior + lp, dim=0).item() for lp in log_p]
    assert sum(map(math.exp, expected)) == pytest.approx(1, abs=1e-6)  # all outcomes there are
    assert_estimates(model, vc.CountData(cells[1:]), expected[1:])


@pytest.mark.parametrize("library", ["latent", "observed"])
def test_elbo_of_a_vae_is_below_its_evidence_and_the_weighted_estimate_lies_between(library):
    model, data = tiny_vae(library), vc.CountData(COUNTS.repeat(300, 1))
    evidence = np.mean([integrated_vae(model, x) for x in COUNTS])
    posterior = vc.Posterior(model, data)
    estimates = [posterior.elbo(), posterior.marginal_ll(1), posterior.marginal_ll(5), posterior.marginal_ll(50)]
    assert estimates[0] == pytest.approx(estimates[1], abs=0.2)  # one draw: the same expectation
    assert estimates[1] < estimates[2] < estimates[3] < evidence + 0.01
    assert estimates[0] < evidence - 0.05


# --------------------------------------------------------------------------------------------------------------------
# Cells of pure noise: the true density bounds every honest estimate on held-out cells
# --------------------------------------------------------------------------------------------------------------------


@cache
def trained_on_noise():
    """Return the posterior of the held-out cells, and their mean true log density."""
    trainer = vc.UnsupervisedTrainer(vc.VAE(10), vc.simulate_noise(seed=0), batch_size=128, n_epochs_kl_warmup=20)
    trainer.train(60)
    x = torch.from_numpy(trainer.data.counts[trainer.test_set.indices].toarray()).double()
    mu, theta, dropout = (torch.tensor(v, dtype=torch.float64) for v in (4.0, 2.0, 0.7))
    return trainer.test_set, zinb_log_prob(x, mu, theta, torch.logit(dropout)).sum(dim=-1).mean().item()


@torch.no_grad()
def marginal_ll_of_scvi_0_3_0(posterior, n_samples=200):
    """Weight p(z) / q(z|x) of one draw, likelihood of a second one, minus the exact KL of the library."""
    model, values = posterior.model, []
    for x, batch_index, labels, _ in posterior:
        weighing = model.inference(x, batch_index, labels, n_samples)
        z = weighing["z"]
        log_ratio = normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z))
        log_ratio = (log_ratio - normal_log_prob(z, weighing["qz_m"], weighing["qz_v"])).sum(dim=-1)
        second = model.inference(x, batch_index, labels, n_samples)
        log_likelihood = model.log_likelihood(x, second["px_rate"], second["px_r"], second["px_dropout"]).sum(dim=-1)
        kl_local = model.kl(second, batch_index)[0]
        values.append(torch.logsumexp(log_likelihood + log_ratio - kl_local, dim=0) - math.log(n_samples))
    return torch.cat(values).double().mean().item()


def test_marginal_ll_on_held_out_noise_does_not_beat_the_truth():
    test_set, truth = trained_on_noise()
    estimate = test_set.marginal_ll(200)
    assert estimate <= truth + 0.25
    elbo = np.mean([test_set.elbo(seed) for seed in range(20)])
    assert estimate >= elbo  # and it is no trivial bound: it improves on the ELBO,
    assert estimate >= truth - 2  # and the model has learned the noise


def test_the_estimator_of_scvi_0_3_0_beats_the_truth_on_the_same_cells():
    test_set, truth = trained_on_noise()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert marginal_ll_of_scvi_0_3_0(test_set) > truth + 0.25
