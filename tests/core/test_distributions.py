"""Log-probabilities, divergences, samplers and estimators against mpmath, scipy and the published formulas.

The contract: float32 in, float32 out, within 1e-5 of the exact value (absolute, or relative where it exceeds 1),
for counts 0..1e5, mu 1e-8..1e6, theta 1e-4..1e8 and logits -30..30, gradients included.
"""

import itertools
import math
from functools import cache

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf
from scipy import stats

from vae_course import distributions as d

pytestmark = pytest.mark.numerical
mpmath.mp.dps = 40
INF = math.inf

COUNTS = [0, 1, 2, 7, 100, 500, 12_345, 100_000]
MUS = [1e-8, 1e-4, 0.3, 1.0, 7.0, 300.0, 12_000.0, 1e6]
THETAS = [1e-4, 0.01, 0.3, 1.7, 12.0, 1e3, 1e5, 3e6, 1e8]
LOGITS = [-30.0, -8.0, -1.0, 0.0, 2.0, 30.0]


# --------------------------------------------------------------------------------------------------------------------
# Exact values and gradients. Each function takes mpf and returns (value, [derivative by every parameter]).
# --------------------------------------------------------------------------------------------------------------------


@cache
def exact_nb(x, mu, theta):
    value = mpmath.loggamma(x + theta) - mpmath.loggamma(theta) - mpmath.loggamma(x + 1)
    value += theta * mpmath.log(theta / (theta + mu)) + x * mpmath.log(mu / (theta + mu))
    shrunk = (x + theta) / (theta + mu)
    by_theta = mpmath.digamma(x + theta) - mpmath.digamma(theta) + mpmath.log(theta / (theta + mu)) + 1 - shrunk
    return value, [x / mu - shrunk, by_theta]


def exact_zinb(x, mu, theta, logit):
    pi = 1 / (1 + mpmath.exp(-logit))
    nb, nb_gradient = exact_nb(x, mu, theta)
    if x > 0:
        return mpmath.log(1 - pi) + nb, [*nb_gradient, -pi]
    p = pi + (1 - pi) * mpmath.exp(nb)
    share = (1 - pi) * mpmath.exp(nb) / p
    return mpmath.log(p), [*(share * g for g in nb_gradient), pi * (1 - pi) * (1 - mpmath.exp(nb)) / p]


def exact_poisson(x, mu):
    return x * mpmath.log(mu) - mu - mpmath.loggamma(x + 1), [x / mu - 1]


def exact_bernoulli(x, logit):
    p = 1 / (1 + mpmath.exp(-logit))
    return mpmath.log(p if x == 1 else 1 - p), [x - p]


def exact_normal(x, mean, var):
    value = -(mpmath.log(2 * mpmath.pi * var) + (x - mean) ** 2 / var) / 2
    return value, [(x - mean) / var, ((x - mean) ** 2 / var - 1) / (2 * var)]


def exact_kl_normal(mean_q, var_q, mean_p, var_p):
    shift = mean_q - mean_p
    value = (mpmath.log(var_p / var_q) + (var_q + shift**2) / var_p - 1) / 2
    by_var_p = (1 / var_p - (var_q + shift**2) / var_p**2) / 2
    return value, [shift / var_p, (1 / var_p - 1 / var_q) / 2, -shift / var_p, by_var_p]


# --------------------------------------------------------------------------------------------------------------------
# Comparison with them
# --------------------------------------------------------------------------------------------------------------------


def worst_error(found, exact):
    """Largest error over the tolerance's scale max(1, |exact|), and where it is."""
    errors = [abs(mpf(f) - e) / max(1, abs(e)) for f, e in zip(found.double().tolist(), exact, strict=True)]
    assert all(mpmath.isfinite(e) for e in errors)
    return max((float(e), i) for i, e in enumerate(errors))


def assert_exact(function, oracle, rows, n_fixed=1):
    """Compare values and gradients on rows of arguments, the first `n_fixed` of which are not differentiated.

    The arguments are rounded to float32 first, and the oracle sees the rounded ones.
    """
    arguments = torch.tensor(rows, dtype=torch.float64).float().T.contiguous()
    fixed, parameters = arguments[:n_fixed], [p.clone().requires_grad_() for p in arguments[n_fixed:]]
    found = function(*fixed, *parameters)
    assert found.dtype == torch.float32
    gradients = torch.autograd.grad(found.sum(), parameters)
    exact = [oracle(*(mpf(a) for a in row)) for row in arguments.T.tolist()]
    error, where = worst_error(found.detach(), [value for value, _ in exact])
    assert error <= 1e-5, f"value at {rows[where]}: {found[where].item()}, not {mpmath.nstr(exact[where][0], 15)}"
    for i, gradient in enumerate(gradients):
        error, where = worst_error(gradient, [g[i] for _, g in exact])
        assert error <= 1e-5, (
            f"derivative {i} at {rows[where]}: {gradient[where].item()}, not {mpmath.nstr(exact[where][1][i], 15)}"
        )


def random_rows(n, seed):
    """Counts, means, inverse dispersions and logits over the whole range; half of the means are close to the count."""
    rng = np.random.default_rng(seed)
    x = np.floor(10 ** rng.uniform(0, 5, n)) * (rng.random(n) < 0.75)
    near = np.maximum(x, 0.1) * np.exp(rng.normal(0, 0.1, n))
    mu = np.where(rng.random(n) < 0.5, near, 10 ** rng.uniform(-8, 6, n))
    return np.stack([x, mu, 10 ** rng.uniform(-4, 8, n), rng.uniform(-30, 30, n)], axis=1).tolist()


def test_nb_log_prob_is_exact_on_a_grid():
    assert_exact(d.nb_log_prob, exact_nb, list(itertools.product(COUNTS, MUS, THETAS)))


def test_zinb_log_prob_is_exact_on_a_grid():
    assert_exact(d.zinb_log_prob, exact_zinb, list(itertools.product(COUNTS, MUS, THETAS, LOGITS)))


@pytest.mark.parametrize("seed", range(3))
def test_nb_and_zinb_log_prob_are_exact_at_random_points(seed):
    rows = random_rows(500, seed)
    assert_exact(d.zinb_log_prob, exact_zinb, rows)
    assert_exact(d.nb_log_prob, exact_nb, [row[:3] for row in rows])


@pytest.mark.parametrize("zero_inflated", [False, True])
def test_nb_and_zinb_stay_exact_when_many_cells_share_one_theta(zero_inflated):
    # theta of shape (genes,) goes another way through the code, and its gradient sums over cells. The mean over
    # cells is what training takes, so that is what has to keep its digits.
    n_cells = 20
    rng = np.random.default_rng(0)
    theta = torch.tensor(THETAS)  # (genes,)
    mu = torch.from_numpy(10 ** rng.uniform(-2, 4, (n_cells, len(theta)))).float()
    x = torch.from_numpy(rng.poisson(mu.numpy() * rng.gamma(1.0, 1.0, mu.shape))).float()
    logits = torch.from_numpy(rng.uniform(-5, 5, mu.shape)).float()
    parameters = [p.clone().requires_grad_() for p in ((mu, theta, logits) if zero_inflated else (mu, theta))]
    function, oracle = (d.zinb_log_prob, exact_zinb) if zero_inflated else (d.nb_log_prob, exact_nb)
    found = function(x, *parameters)
    by_theta = torch.autograd.grad(found.sum(dim=1).mean(), parameters[1])[0]

    columns = [t.detach().expand(mu.shape).flatten().tolist() for t in (x, *parameters)]
    exact = [oracle(*map(mpf, row)) for row in zip(*columns, strict=True)]
    assert worst_error(found.detach().flatten(), [value for value, _ in exact])[0] <= 1e-5
    of_gene = [sum(exact[c * len(theta) + g][1][1] for c in range(n_cells)) / n_cells for g in range(len(theta))]
    assert worst_error(by_theta, of_gene)[0] <= 1e-5


def test_poisson_log_prob_is_exact():
    rows = list(itertools.product(COUNTS, MUS)) + [row[:2] for row in random_rows(300, 3)]
    assert_exact(d.poisson_log_prob, exact_poisson, rows)


def test_bernoulli_log_prob_is_exact():
    logits = [*LOGITS, *np.linspace(-30, 30, 121)]
    assert_exact(d.bernoulli_log_prob, exact_bernoulli, list(itertools.product([0, 1], logits)))


def test_normal_log_prob_is_exact():
    rows = list(itertools.product([-3.0, 0.0, 0.7, 20.0], [-1.0, 0.7, 8.5], [0.1, 0.5, 1.0, 3.0, 50.0]))
    assert_exact(d.normal_log_prob, exact_normal, rows)


def test_kl_normal_is_exact():
    rows = list(itertools.product([-2.0, 0.0, 7.1], [0.04, 0.5, 1.0, 4.0], [0.0, 3.0, 7.0], [0.25, 1.0, 5.0]))
    assert_exact(d.kl_normal, exact_kl_normal, rows, n_fixed=0)


def test_kl_standard_normal_is_exact_also_for_extreme_log_variances():
    mean = torch.tensor([[0.5, -1.0, 2.0], [0.0, 30.0, 1e-3], [-4.0, 0.2, 0.0]], requires_grad=True)
    logvar = torch.tensor([[-1.4, 0.0, 1.1], [-30.0, 30.0, 1e-3], [12.0, -12.0, 0.0]], requires_grad=True)
    found = d.kl_standard_normal(mean, logvar)
    exact = [
        sum((mpmath.exp(mpf(s)) + mpf(m) ** 2 - 1 - mpf(s)) / 2 for m, s in zip(ms, ss, strict=True))
        for ms, ss in zip(mean.tolist(), logvar.tolist(), strict=True)
    ]
    assert found.shape == (3,)
    assert worst_error(found.detach(), exact)[0] <= 1e-5
    by_mean, by_logvar = torch.autograd.grad(found.sum(), (mean, logvar))
    torch.testing.assert_close(by_mean, mean.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(by_logvar, torch.expm1(logvar.detach().double()).float() / 2, rtol=1e-5, atol=1e-5)


def test_kl_multivariate_normal_gradients_follow_the_formula():
    # By mean_q: P^-1 (m_q - m_p); by cov_q: (P^-1 - Q^-1) / 2; by mean_p: its negative; by cov_p:
    # (P^-1 - P^-1 (Q + d d^T) P^-1) / 2.
    mean_q, cov_q = torch.tensor([1.0, -1.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    mean_p, cov_p = torch.tensor([0.3, 0.7]), torch.tensor([[1.0, 0.3], [0.3, 2.0]])
    arguments = [t.requires_grad_() for t in (mean_q, cov_q, mean_p, cov_p)]
    found = torch.autograd.grad(d.kl_multivariate_normal(*arguments), arguments)
    m_q, Q, m_p, P = (t.detach().double() for t in arguments)
    P_inverse, shift = torch.linalg.inv(P), m_q - m_p
    by_mean = P_inverse @ shift
    by_cov_p = (P_inverse - P_inverse @ (Q + torch.outer(shift, shift)) @ P_inverse) / 2
    exact = [by_mean, (P_inverse - torch.linalg.inv(Q)) / 2, -by_mean, by_cov_p]
    for gradient, expected in zip(found, exact, strict=True):
        # a covariance is symmetric, so that only the symmetric part of its gradient has a meaning
        gradient = (gradient + gradient.T) / 2 if gradient.dim() == 2 else gradient
        torch.testing.assert_close(gradient, expected.float(), rtol=1e-5, atol=1e-5)


def test_kl_multivariate_normal_of_ill_conditioned_covariances_keeps_its_digits():
    mean_q, mean_p = torch.tensor([0.1, -0.2]), torch.tensor([0.0, 0.3])
    cov_q, cov_p = torch.tensor([[1.0, 0.999], [0.999, 1.0]]), torch.tensor([[1e4, 1.0], [1.0, 1e-3]])
    Q, P = (mpmath.matrix(c.tolist()) for c in (cov_q, cov_p))
    shift = mpmath.matrix([mpf(a) - mpf(b) for a, b in zip(mean_p.tolist(), mean_q.tolist(), strict=True)])
    PQ = P**-1 * Q
    exact = (PQ[0, 0] + PQ[1, 1] + (shift.T * P**-1 * shift)[0] - 2 + mpmath.log(mpmath.det(P) / mpmath.det(Q))) / 2
    found = d.kl_multivariate_normal(mean_q, cov_q, mean_p, cov_p)
    assert worst_error(found.reshape(1), [exact])[0] <= 1e-5


# --------------------------------------------------------------------------------------------------------------------
# Reference values
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "mu", "theta", "logit", "nb", "zinb"),
    [
        (0, 1, 1, 0, -0.693147180559945, -0.287682072451781),
        (0, 2.5, 1.7, -1, -1.53757566618616, -0.853205657880436),
        (3, 2.5, 1.7, -1, -2.05350367193708, -2.36676535945531),
        (10, 0.5, 0.3, 2, -7.71245885011611, -9.83938686115908),
        (1, 1e-4, 5, -3, -9.2104603707762, -9.25904772234994),
        (500, 300, 12, 0, -7.71813433761953, -8.41128151817947),
        (7, 7, 1e5, -20, -1.90382531651161, -1.90382531857276),
        (0, 50, 0.01, 4, -0.085173931714189, -0.00146960770522606),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])
def test_nb_and_zinb_reference_table(x, mu, theta, logit, nb, zinb, dtype, tolerance):
    x, mu, theta, logit = (torch.tensor(float(value), dtype=dtype) for value in (x, mu, theta, logit))
    assert d.nb_log_prob(x, mu, theta).item() == pytest.approx(nb, rel=tolerance, abs=tolerance)
    assert d.zinb_log_prob(x, mu, theta, logit).item() == pytest.approx(zinb, rel=tolerance, abs=tolerance)


def test_nb_agrees_with_scipys_other_parametrisation():
    x = np.arange(60.0)
    mu, theta = 8.0, 1.7
    found = d.nb_log_prob(torch.from_numpy(x), torch.tensor(mu).double(), torch.tensor(theta).double())
    np.testing.assert_allclose(found.numpy(), stats.nbinom.logpmf(x, theta, theta / (theta + mu)), atol=1e-10)


@pytest.mark.parametrize(
    ("mean_q", "var_q", "mean_p", "var_p", "expected"),
    [
        (1, 0.5, 0, 1, 0.596573590279973),
        (1, 2, 3, 5, 0.558145365937078),
        (3, 4, 1, 2, 1.15342640972003),
        (7.1, 0.04, 7, 0.25, 0.516290731874155),
    ],
)
def test_kl_normal_reference_values(mean_q, var_q, mean_p, var_p, expected):
    arguments = [torch.tensor(float(value)) for value in (mean_q, var_q, mean_p, var_p)]
    assert d.kl_normal(*arguments).item() == pytest.approx(expected, abs=1e-5)
    assert d.kl_normal(*(a.double() for a in arguments)).item() == pytest.approx(expected, abs=1e-6)  # float32 inputs


def test_kl_standard_normal_reference_value():
    mean, var = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.25, 1.0, 3.0])
    assert d.kl_standard_normal(mean, var.log()).item() == pytest.approx(3.39384103622589, abs=1e-5)


@pytest.mark.parametrize(
    ("cov_p", "expected"), [([[1.0, 0.3], [0.3, 2.0]], 1.21651859617151), ([[1.0, 0.0], [0.0, 1.0]], 1.22019210603229)]
)
def test_kl_multivariate_normal_reference_values(cov_p, expected):
    cov_q = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    found = d.kl_multivariate_normal(torch.tensor([1.0, -1.0]), cov_q, torch.zeros(2), torch.tensor(cov_p))
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_the_three_kls_agree_where_they_mean_the_same():
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(4, generator=generator), torch.randn(4, generator=generator)
    summed = d.kl_normal(mean, logvar.exp(), torch.zeros(4), torch.ones(4)).sum()
    full = d.kl_multivariate_normal(mean, torch.diag(logvar.exp()), torch.zeros(4), torch.eye(4))
    torch.testing.assert_close(d.kl_standard_normal(mean, logvar), summed, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(d.kl_standard_normal(mean, logvar), full, rtol=1e-5, atol=1e-5)


def test_scvi_kl_is_the_sum_of_the_two_divergences_and_keeps_the_axis_of_the_draws():
    generator = torch.Generator().manual_seed(0)
    qz_m, qz_v = torch.randn(3, 5, 2, generator=generator), torch.rand(3, 5, 2, generator=generator) + 0.1
    ql_m, ql_v = torch.randn(3, 5, 1, generator=generator) + 7, torch.rand(3, 5, 1, generator=generator) + 0.1
    prior_mean, prior_var = torch.full((5, 1), 6.5), torch.full((5, 1), 0.3)
    normal = torch.distributions.Normal
    expected_l = torch.distributions.kl_divergence(normal(ql_m, ql_v.sqrt()), normal(prior_mean, prior_var.sqrt()))
    expected_z = torch.distributions.kl_divergence(normal(qz_m, qz_v.sqrt()), normal(0.0, 1.0)).sum(dim=-1)
    kl_local, kl_global = d.scvi_kl(qz_m, qz_v, ql_m, ql_v, prior_mean, prior_var)
    assert kl_local.shape == kl_global.shape == (3, 5)
    torch.testing.assert_close(kl_local, expected_l.squeeze(-1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(kl_global, expected_z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("x", "expected"), [(1.0, 0.403186048885458), (0.0, 1.10318604888546)])
def test_binary_cross_entropy_reference_values(x, expected):
    assert -d.bernoulli_log_prob(torch.tensor(x), torch.tensor(0.7)).item() == pytest.approx(expected, abs=1e-5)


# --------------------------------------------------------------------------------------------------------------------
# Limits
# --------------------------------------------------------------------------------------------------------------------


def nb(x, mu, theta):
    return d.nb_log_prob(x, mu, theta)


def zinb_without_inflation_of_counts(x, mu, theta):
    return d.zinb_log_prob(x, mu, theta, torch.tensor(-1000.0))  # an extra zero has probability 0


def poisson(x, mu, theta):
    return d.poisson_log_prob(x, mu)


@pytest.mark.parametrize("log_prob", [nb, zinb_without_inflation_of_counts, poisson])
@pytest.mark.parametrize("theta", [1e-4, 1.7, 1e8, INF])
def test_a_mean_of_zero_allows_only_zero(log_prob, theta):
    found = log_prob(torch.tensor([0.0, 1.0, 1e5]), torch.zeros(3), torch.tensor(theta))
    assert found.tolist() == [0.0, -INF, -INF]


@pytest.mark.parametrize("log_prob", [nb, zinb_without_inflation_of_counts, poisson])
@pytest.mark.parametrize("theta", [1e-4, 1.7, 1e8, INF])
def test_the_gradient_at_a_mean_of_zero_is_the_one_sided_limit(log_prob, theta):
    # log p(0) is -mu to first order, whatever theta is
    mu = torch.zeros(2, requires_grad=True)
    log_prob(torch.zeros(2), mu, torch.tensor(theta)).sum().backward()
    assert mu.grad.tolist() == pytest.approx([-1.0, -1.0], abs=1e-6)


def test_the_zinb_gradient_at_a_mean_of_zero_is_weighted_by_the_chance_of_a_true_zero():
    mu, logits = torch.zeros(3, requires_grad=True), torch.tensor([-2.0, 0.0, 3.0])
    d.zinb_log_prob(torch.zeros(3), mu, torch.tensor(1.7), logits).sum().backward()
    torch.testing.assert_close(mu.grad, -torch.sigmoid(-logits), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_an_infinite_theta_gives_poisson_values_and_gradients(shared):
    x, mu = torch.tensor([[0.0, 0.0, 1.0, 7.0, 1e5]]), torch.tensor([[1e-8, 3.0, 1e-8, 6.5, 9.9e4]])
    theta = torch.full((5,) if shared else (1, 5), INF, requires_grad=True)
    mu_nb, mu_poisson = mu.clone().requires_grad_(), mu.clone().requires_grad_()
    found, expected = d.nb_log_prob(x, mu_nb, theta), d.poisson_log_prob(x, mu_poisson)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(mu_nb.grad, mu_poisson.grad, rtol=1e-6, atol=1e-6)
    assert theta.grad.abs().max() == 0  # the derivative falls like 1 / theta^2


@pytest.mark.parametrize("shared", [False, True])
def test_finite_and_infinite_theta_side_by_side_do_not_disturb_each_other(shared):
    x, mu = torch.tensor([[0.0, 4.0, 0.0, 4.0]]), torch.full((1, 4), 2.5)
    theta = torch.tensor([1.7, 1.7, INF, INF]) if shared else torch.tensor([[1.7, 1.7, INF, INF]])
    theta.requires_grad_()
    found = d.nb_log_prob(x, mu, theta)
    alone = torch.tensor([1.7], requires_grad=True)
    expected = d.nb_log_prob(x[:, :2], mu[:, :2], alone.expand(2))
    torch.testing.assert_close(found[:, :2], expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[:, 2:], d.poisson_log_prob(x[:, 2:], mu[:, 2:]), rtol=1e-6, atol=1e-6)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(theta.grad.flatten()[:2].sum(), alone.grad[0], rtol=1e-5, atol=1e-6)
    assert torch.isfinite(theta.grad).all()


@pytest.mark.parametrize("theta", [1.7, INF])
def test_extreme_dropout_logits_are_harmless(theta):
    logits = torch.tensor([-1000.0, 1000.0, -1000.0, 1000.0], requires_grad=True)
    x, mu = torch.tensor([0.0, 0.0, 3.0, 3.0]), torch.tensor(2.5)
    found = d.zinb_log_prob(x, mu, torch.tensor(theta), logits)
    plain = d.nb_log_prob(x, mu, torch.tensor(theta))
    expected = torch.stack([plain[0], torch.tensor(0.0), plain[2], plain[3] - 1000])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    found.sum().backward()
    assert logits.grad.tolist() == pytest.approx([0.0, 0.0, 0.0, -1.0], abs=1e-6)


def test_bernoulli_with_extreme_logits_is_exact_with_finite_gradients():
    logits = torch.tensor([1000.0, 1000.0, -1000.0, -1000.0], requires_grad=True)
    found = d.bernoulli_log_prob(torch.tensor([1.0, 0.0, 1.0, 0.0]), logits)
    assert found.tolist() == [0.0, -1000.0, -1000.0, 0.0]
    found.sum().backward()
    assert logits.grad.tolist() == [0.0, -1.0, 1.0, 0.0]


def test_probabilities_sum_to_one():
    x = torch.arange(3000.0).double()
    mu, theta, logits = (torch.tensor(v).double() for v in (20.0, 0.7, -0.5))
    assert d.nb_log_prob(x, mu, theta).exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert d.zinb_log_prob(x, mu, theta, logits).exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert d.poisson_log_prob(x, mu).exp().sum().item() == pytest.approx(1, abs=1e-9)


# --------------------------------------------------------------------------------------------------------------------
# Shapes and types
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta_shape", [(), (5,), (4, 5), (4, 1), (3, 4, 5), (3, 1, 5)])
@pytest.mark.parametrize("mu_shape", [(4, 5), (3, 4, 5), (5,), ()])
def test_nb_and_zinb_broadcast_like_their_elements(theta_shape, mu_shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.poisson(torch.full((4, 5), 1.5), generator=generator)  # zeros and counts
    mu, theta = torch.rand(mu_shape, generator=generator) * 5, torch.rand(theta_shape, generator=generator) * 3 + 0.1
    logits = torch.randn(mu_shape, generator=generator)
    shape = torch.broadcast_shapes(x.shape, mu_shape, theta_shape)
    full = [t.expand(shape).contiguous() for t in (x, mu, theta, logits)]
    for function, arguments in ((d.nb_log_prob, [0, 1, 2]), (d.zinb_log_prob, [0, 1, 2, 3])):
        found = function(*((x, mu, theta, logits)[i] for i in arguments))
        one_by_one = [function(*row) for row in zip(*(full[i].flatten() for i in arguments), strict=True)]
        assert found.shape == shape
        torch.testing.assert_close(found.flatten(), torch.stack(one_by_one), rtol=1e-5, atol=1e-5)


def test_a_shared_theta_gets_the_summed_gradient_of_its_copies():
    generator = torch.Generator().manual_seed(0)
    x = torch.poisson(torch.full((6, 4), 1.5), generator=generator)
    mu = torch.rand(6, 4, generator=generator) * 5
    shared = (torch.rand(4, generator=generator) + 0.2).requires_grad_()
    copied = shared.detach().expand(6, 4).clone().requires_grad_()
    d.nb_log_prob(x, mu, shared).sum().backward()
    d.nb_log_prob(x, mu, copied).sum().backward()
    torch.testing.assert_close(shared.grad, copied.grad.sum(dim=0), rtol=1e-5, atol=1e-5)


ELEMENTWISE = {
    "bernoulli": (d.bernoulli_log_prob, (1.0, 0.3)),
    "normal": (d.normal_log_prob, (1.0, 0.3, 0.5)),
    "poisson": (d.poisson_log_prob, (2.0, 0.3)),
    "nb": (d.nb_log_prob, (2.0, 0.3, 0.7)),
    "zinb": (d.zinb_log_prob, (2.0, 0.3, 0.7, -1.0)),
    "kl_normal": (d.kl_normal, (1.0, 0.3, 0.5, 0.7)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_dtype_in_is_dtype_out(name, dtype):
    function, values = ELEMENTWISE[name]
    arguments = [torch.tensor([value], dtype=dtype).requires_grad_(i > 0) for i, value in enumerate(values)]
    found = function(*arguments)
    assert found.dtype == dtype
    found.sum().backward()
    assert all(a.grad.dtype == dtype for a in arguments[1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_in_is_dtype_out_for_functions_of_whole_vectors(dtype):
    zeros, eye = torch.zeros(2, dtype=dtype), torch.eye(2, dtype=dtype)
    assert d.kl_standard_normal(zeros, zeros).dtype == dtype
    assert d.kl_multivariate_normal(zeros, eye, zeros, eye).dtype == dtype
    assert d.reparameterize(zeros, zeros).dtype == dtype
    assert d.sample_nb(zeros + 1, zeros + 1).dtype == dtype
    assert d.sample_zinb(zeros + 1, zeros + 1, zeros).dtype == dtype
    assert d.log_marginal_likelihood(eye, eye).dtype == dtype
    assert d.effective_sample_size(eye, eye).dtype == dtype


def test_arguments_are_left_as_they_were():
    arguments = [torch.tensor([[0.0, 3.0]]), torch.tensor([[1.0, 2.0]]), torch.tensor([1.5, INF]), torch.zeros(1, 2)]
    before = [a.clone() for a in arguments]
    d.zinb_log_prob(*arguments)
    d.sample_zinb(*arguments[1:])
    assert all(torch.equal(a, b) for a, b in zip(arguments, before, strict=True))


# --------------------------------------------------------------------------------------------------------------------
# Samplers: five standard errors, which a right sampler misses once in a million seeds
# --------------------------------------------------------------------------------------------------------------------

N_DRAWS = 200_000


def nb_raw_moments(mu, theta):
    """The first four moments about 0 of NB(mu, theta), or of Poisson(mu)."""
    frozen = stats.poisson(mu) if theta == INF else stats.nbinom(theta, theta / (theta + mu))
    return [frozen.moment(k) for k in (1, 2, 3, 4)]


def assert_moments(draws, mean, var, raw_moments):
    """Compare with a mean and a variance; the standard errors follow from the moments about 0."""
    m1, m2, m3, m4 = raw_moments
    fourth_central = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    draws = draws.double()
    assert draws.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(var / N_DRAWS))
    assert draws.var().item() == pytest.approx(var, abs=5 * math.sqrt((fourth_central - var**2) / N_DRAWS))


@pytest.mark.parametrize(("mu", "theta"), [(2.5, 1.7), (0.2, 0.3), (300.0, 12.0), (7.0, 1e5), (4.0, INF)])
def test_sample_nb_has_the_mean_and_the_variance_of_the_formula(mu, theta):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        draws = d.sample_nb(torch.full((N_DRAWS,), mu), torch.tensor(theta))
    assert_moments(draws, mu, mu + mu**2 / theta, nb_raw_moments(mu, theta))
    assert torch.equal(draws, draws.round())


@pytest.mark.parametrize(
    ("mu", "theta", "logit"), [(2.5, 1.7, -1.0), (4.0, 2.0, 0.85), (50.0, 0.5, 2.0), (4.0, INF, 0.0)]
)
def test_sample_zinb_has_the_mean_and_the_variance_of_the_formula(mu, theta, logit):
    pi = 1 / (1 + math.exp(-logit))
    with torch.random.fork_rng():
        torch.manual_seed(2)
        draws = d.sample_zinb(torch.full((N_DRAWS,), mu), torch.tensor(theta), torch.tensor(logit))
    mean, var = (1 - pi) * mu, (1 - pi) * mu * (1 + mu / theta + pi * mu)
    if (mu, theta, logit) == (2.5, 1.7, -1.0):
        assert (mean, var) == pytest.approx((1.82764644657501, 5.74418639194458), rel=1e-12)
    assert_moments(draws, mean, var, [(1 - pi) * m for m in nb_raw_moments(mu, theta)])


def test_samples_follow_the_log_probabilities():
    mu, theta, logit = torch.tensor(2.5), torch.tensor(1.7), torch.tensor(-1.0)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        draws = d.sample_zinb(mu.expand(N_DRAWS), theta, logit)
    observed = torch.bincount(draws.long().clamp(max=15), minlength=16).numpy()
    expected = d.zinb_log_prob(torch.arange(15.0), mu, theta, logit).double().exp().numpy()
    expected = np.append(expected, 1 - expected.sum()) * N_DRAWS
    assert stats.chisquare(observed, expected).pvalue > 1e-6


def test_samplers_broadcast_and_take_a_mean_of_zero():
    mu, theta = torch.tensor([[0.0], [1000.0]]), torch.tensor([0.5, 2.0, INF])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = d.sample_nb(mu, theta)
        inflated = d.sample_zinb(mu, theta, torch.tensor(-1000.0))
        all_dropped = d.sample_zinb(mu, theta, torch.tensor(1000.0))
    assert draws.shape == inflated.shape == (2, 3)
    assert draws[0].tolist() == inflated[0].tolist() == [0.0, 0.0, 0.0]
    assert (draws[1] > 0).all()
    assert (inflated[1] > 0).all()
    assert all_dropped.abs().max() == 0


# --------------------------------------------------------------------------------------------------------------------
# Reparameterisation, and estimates made of samples
# --------------------------------------------------------------------------------------------------------------------


def test_reparameterize_draws_from_the_gaussian_it_is_given():
    mean, logvar = torch.tensor([1.0, -2.0]), torch.tensor([0.25, 4.0]).log()
    z = d.reparameterize(mean.expand(N_DRAWS, 2), logvar.expand(N_DRAWS, 2), torch.Generator().manual_seed(0)).double()
    var = logvar.exp().double()
    assert ((z.mean(dim=0) - mean).abs() < 5 * (var / N_DRAWS).sqrt()).all()
    assert ((z.var(dim=0) - var).abs() < 5 * var * math.sqrt(2 / N_DRAWS)).all()


def test_reparameterize_draws_all_its_noise_from_the_generator():
    mean, logvar = torch.zeros(3, 2), torch.zeros(3, 2)
    state = torch.get_rng_state()
    first, again, other = (d.reparameterize(mean, logvar, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.unique().numel() == 6  # every entry has noise of its own


def test_reparameterize_without_a_generator_follows_the_global_seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = d.reparameterize(torch.zeros(4), torch.zeros(4))
        second = d.reparameterize(torch.zeros(4), torch.zeros(4))
        torch.manual_seed(0)
        again = d.reparameterize(torch.zeros(4), torch.zeros(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_reparameterize_lets_gradients_reach_mean_and_logvar():
    mean, logvar = torch.tensor([0.3, -1.0], requires_grad=True), torch.tensor([0.2, -3.0], requires_grad=True)
    z = d.reparameterize(mean, logvar, torch.Generator().manual_seed(0))
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(2))
    torch.testing.assert_close(logvar.grad, ((z - mean) / 2).detach())  # dz/dlogvar = std eps / 2


@pytest.mark.parametrize("offset", [0.0, -1e4, 1e4])
def test_log_marginal_likelihood_is_stable_far_below_and_above_what_exp_can_hold(offset):
    log_weights = torch.tensor([[0.0, 3.0], [-1.0, 3.0], [-2.0, 3.0]], dtype=torch.float64)
    found = d.log_marginal_likelihood(log_weights + offset, torch.zeros(3, 2, dtype=torch.float64))
    expected = [offset + math.log((1 + math.exp(-1) + math.exp(-2)) / 3), offset + 3]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_log_marginal_likelihood_subtracts_log_q():
    log_joint, log_q = torch.tensor([[-1e4], [-1e4 - 700]]), torch.tensor([[-3.0], [-703.0]])
    assert d.log_marginal_likelihood(log_joint, log_q).item() == pytest.approx(-1e4 + 3, rel=1e-5)


def test_log_marginal_likelihood_survives_an_impossible_draw():
    log_joint = torch.tensor([[-INF], [-5.0]], dtype=torch.float64)
    found = d.log_marginal_likelihood(log_joint, torch.zeros(2, 1, dtype=torch.float64))
    assert found.item() == pytest.approx(-5 - math.log(2), abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, -1e4])
@pytest.mark.parametrize(
    ("weights", "expected"), [([1, 1, 1, 1], 4.0), ([1, 1, 2], 16 / 6), ([1, 1e-30, 1e-30], 1.0), ([3], 1.0)]
)
def test_effective_sample_size(weights, expected, offset):
    log_q = torch.linspace(-1, 1, len(weights), dtype=torch.float64).unsqueeze(-1)  # (S, 1)
    log_joint = torch.tensor(weights, dtype=torch.float64).log().unsqueeze(-1) + log_q + offset
    found = d.effective_sample_size(log_joint, log_q)
    assert found.tolist() == pytest.approx([expected], rel=1e-9)


def test_elbo_is_the_mean_over_draws_cell_by_cell():
    log_likelihood = torch.tensor([[-3.0, -10.0], [-5.0, -20.0]])
    log_prior, log_q = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]), torch.tensor([[-0.5, 1.0], [0.5, 2.0]])
    # cell 0: (-3 - 1 + 0.5 - 5 - 3 - 0.5) / 2; cell 1: (-10 - 2 - 1 - 20 - 4 - 2) / 2
    assert d.elbo(log_likelihood, log_prior, log_q).tolist() == [-6.0, -19.5]


def test_elbo_is_never_above_the_importance_weighted_estimate_of_the_same_draws():
    generator = torch.Generator().manual_seed(0)
    log_likelihood, log_prior, log_q = (torch.randn(20, 50, generator=generator) * 5 for _ in range(3))
    bound = d.elbo(log_likelihood, log_prior, log_q)
    assert (bound < d.log_marginal_likelihood(log_likelihood + log_prior, log_q)).all()


@pytest.mark.parametrize(
    "x",
    [
        torch.arange(1.0, 400.0),
        torch.full((500,), 3.0),
        torch.tensor([1e5, 1.0]),
        torch.tensor([0.5, 2.5, 1.0]),
        torch.tensor([-2.0, 1.0, 3.0]),
    ],
)
def test_the_table_of_factorials_changes_nothing(x):
    theta, mu = torch.tensor(1.7), torch.tensor(2.5)
    one_by_one = torch.stack([d.nb_log_prob(count, mu, theta) for count in x])
    torch.testing.assert_close(d.nb_log_prob(x, mu, theta), one_by_one, rtol=0, atol=0, equal_nan=True)
