"""`FastVAE` against `VAE`: the same model, with its loss from the non-zeros and its gradients by hand."""

import copy
import inspect
import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import vae_course as vc
from vae_course import fast
from vae_course.distributions import nb_log_prob, zinb_log_prob

pytestmark = pytest.mark.numerical
DATA = vc.simulate_counts(60, 40, n_batches=2, n_labels=3, mean_library=120, seed=1)
CPU = torch.device("cpu")


def backpropagate(model, *minibatch, **covariates):
    """Return the loss terms, with the same draws every time, and backpropagate a weighted sum of them."""
    torch.manual_seed(0)
    terms = model.loss_terms(*minibatch, **covariates)
    weighted = terms.reconstruction + 2 * terms.kl_local + 3 * terms.kl_global
    weighted.dot(torch.linspace(0.5, 1, len(weighted))).backward()
    return terms


def gradients_of(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def compare(model, data=DATA):
    """Dense counts, which `VAE.loss_terms` takes, and the list of non-zeros give the same to float32 rounding."""
    x, *codes = data.minibatch(range(data.n_cells))
    covariates = data.covariates_of(range(data.n_cells))
    other = copy.deepcopy(model)
    expected = backpropagate(model, x, *codes, **covariates)
    terms = backpropagate(other, other.collate(data.counts, CPU), *codes, **covariates)
    for ours, theirs in zip(terms, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=1e-4)
    gradients, by_hand = gradients_of(model), gradients_of(other)
    assert by_hand.keys() == gradients.keys()
    whole = torch.cat([g.flatten() for g in gradients.values()]).abs().max()
    for name, gradient in gradients.items():
        assert (by_hand[name] - gradient).abs().max() < 1e-5 * gradient.abs().max() + 1e-6 * whole, name
        assert by_hand[name].is_contiguous(), name  # the fused Adam is silently wrong on other layouts
    for (name, statistics), buffer in zip(model.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(buffer, statistics, rtol=1e-5, atol=1e-6, equal_nan=True, msg=name)


def fast_vae(data=DATA, **options):
    """A model whose theta is moderate: at 1,000 its gradient has lost three of float32's digits either way."""
    model = vc.FastVAE(40, n_hidden=16, seed=3, dispersion_init="random", **options)
    model.prepare(data)
    return model


# --------------------------------------------------------------------------------------------------------------------
# The loss and its gradients
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("likelihood", "dispersion", "library"),
    list(itertools.product(("zinb", "nb"), ("gene", "gene-batch", "gene-label", "gene-cell"), ("latent", "observed"))),
)
def test_loss_and_gradients_are_those_of_vae(likelihood, dispersion, library):
    model = fast_vae(n_batch=2, n_labels=3, likelihood=likelihood, dispersion=dispersion, library=library)
    compare(copy.deepcopy(model))
    compare(model.eval())


OPTIONS = [{"n_layers": 3}, {"n_layers": 2, "n_batch": 2}, {"log_variational": False}, {"dropout_rate": 0}]


@pytest.mark.parametrize("options", [*OPTIONS, {"var_eps": 0}])
def test_other_options(options):
    compare(fast_vae(**options))


@pytest.mark.parametrize("options", [{}, {"n_batch": 2, "n_layers": 2}, {"dispersion": "gene-cell"}])
def test_covariates(options):
    cells = np.arange(DATA.n_cells)
    codes, values = np.column_stack([cells % 3, cells % 2]), np.column_stack([np.sin(cells), np.cos(cells)])
    data = DATA.replaced(categorical_covariates=codes, continuous_covariates=values)
    compare(fast_vae(data, n_cats_per_cov=[3, 2], n_continuous_cov=2, **options), data)


@pytest.mark.parametrize("likelihood", ["zinb", "nb"])
def test_on_real_counts_and_on_cells_that_corruption_emptied(likelihood):
    data = vc.load_pbmc().subset(range(100))
    model = vc.FastVAE(data.n_genes, likelihood=likelihood, seed=5)
    model.prepare(data)
    for cells in (data, data.corrupt(0.99), data.corrupt(1.0)):
        compare(copy.deepcopy(model), cells)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_with_any_number_of_threads(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        compare(fast_vae(n_batch=2))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("likelihood", ["zinb", "nb"])
@pytest.mark.parametrize("per_gene", [True, False], ids=["theta of a gene", "theta of a cell"])
@pytest.mark.parametrize("log_mu", [-18.0, -1.0, 3.0, 13.0])
def test_extreme_values_and_their_derivatives_entry_by_entry(log_mu, per_gene, likelihood):
    """Against the formula in float64 over the range that the package promises: a gene a case, a cell a count."""
    cases = torch.tensor(list(itertools.product((1e-4, 0.3, 5.0, 1e4, 1e8), (-30.0, -3.0, 0.0, 30.0))))
    theta, zi_logits = cases.T.contiguous()  # (genes,) each
    counts = torch.tensor([0.0, 1.0, 2.0, 16.0, 17.0, 1000.0, 100_000.0])
    table = counts.unsqueeze(-1).expand(-1, len(cases)).contiguous()  # (cells, genes)
    log_mu, zi_logits = torch.full_like(table, log_mu), zi_logits.expand_as(table).contiguous()
    theta = theta if per_gene else theta.expand_as(table).contiguous()
    value, grad_log_mu, grad_theta, *grad_logits = entries(table, log_mu.exp(), theta, zi_logits, likelihood)
    exact = [a.double().requires_grad_() for a in (log_mu, theta.expand_as(table), zi_logits)]
    mu = log_mu.exp().double() * torch.exp(
        exact[0] - exact[0].detach()
    )  # the float32 mean, with a derivative by its log
    expected = (
        zinb_log_prob(table.double(), mu, *exact[1:])
        if likelihood == "zinb"
        else nb_log_prob(table.double(), mu, exact[1])
    )
    derivatives = torch.autograd.grad(expected.sum(), exact[: 2 + len(grad_logits)])
    size_of_terms = 1 + table + log_mu.exp()  # what the derivatives are differences of
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        grad_log_mu / size_of_terms, (derivatives[0] / size_of_terms).float(), rtol=1e-5, atol=1e-6
    )
    by_log_theta = [d.double() * exact[1].detach() / size_of_terms for d in (grad_theta, derivatives[1])]
    torch.testing.assert_close(*by_log_theta, rtol=1e-5, atol=1e-6)
    for grad_logit in grad_logits:
        torch.testing.assert_close(grad_logit.double(), derivatives[2], rtol=1e-5, atol=1e-6)


def entries(counts, mu, theta, zi_logits, likelihood):
    """Return log p and its derivatives of every entry as `fast` computes them, tables of (cells, genes)."""
    x = fast.Nonzeros.of(sp.csr_matrix(counts.numpy()))
    zi_logits = zi_logits.clone() if likelihood == "zinb" else None
    above_zero = fast._above_zero(x, mu, torch.ones(len(mu), 1), theta, zi_logits)
    tables = fast._at_zero(mu / theta, theta, zi_logits)
    for table, above in zip(tables, above_zero, strict=True):
        table.view(-1)[x.positions] = above
    return tables


def test_a_zero_that_is_all_but_impossible_is_finite():
    tables = fast._at_zero(torch.tensor([[1e6, 12.5]]), torch.tensor([40.0, 40.0]), torch.tensor([[-200.0, -100.0]]))
    assert all(torch.isfinite(table).all() for table in tables)
    assert (tables[0] < -87).all()


def test_every_case_of_the_table_of_gamma_functions():
    """A gene's small counts are looked up, its large ones are not; the sums are the same."""
    counts, genes = torch.arange(1.0, 41).repeat(3), torch.arange(3).repeat_interleave(40)
    theta = torch.tensor([0.02, 1.0, 300.0])
    x = fast.Nonzeros.of(sp.csr_matrix((counts.numpy(), (range(120), genes.numpy()))))
    value, slope = fast.log_choose(x, theta)
    exact = theta[genes].double().requires_grad_()
    expected = torch.lgamma(counts + exact) - torch.lgamma(exact) - torch.lgamma(counts.double() + 1)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), exact)[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (16, 40), (13, 29), (128, 1000)])
def test_transposed(shape):
    matrix = torch.arange(float(shape[0] * shape[1])).view(shape)
    transposed = fast._transposed(matrix)
    assert torch.equal(transposed, matrix.t())
    assert transposed.is_contiguous()


# --------------------------------------------------------------------------------------------------------------------
# A model like `VAE`
# --------------------------------------------------------------------------------------------------------------------


def test_has_the_constructor_and_the_weights_of_vae():
    assert inspect.signature(vc.FastVAE) == inspect.signature(vc.VAE)
    ours, theirs = (kind(40, 2, n_hidden=16, seed=7).state_dict() for kind in (vc.FastVAE, vc.VAE))
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_poisson_is_refused():
    with pytest.raises(ValueError, match="got 'poisson': use VAE"):
        vc.FastVAE(40, likelihood="poisson")


def test_collates_nonzeros_on_a_cpu_alone():
    rows = DATA.counts[:5]
    x = vc.FastVAE(40).collate(rows, CPU)
    assert (len(x), x.shape, x.device) == (5, (5, 40), CPU)
    dense = torch.zeros(5, 40)
    dense[x.cells, x.genes] = x.counts
    assert torch.equal(dense, torch.from_numpy(rows.toarray()))
    assert vc.FastVAE(40).collate(rows, torch.device("meta")).device.type == "meta"
    assert torch.equal(vc.VAE(40).collate(rows, CPU), dense)


def test_with_dense_counts_it_is_vae():
    x, batch_index, labels = DATA.minibatch(range(60))
    ours, theirs = fast_vae(n_batch=2), vc.VAE(40, n_hidden=16, seed=3, n_batch=2, dispersion_init="random")
    theirs.prepare(DATA)
    for a, b in zip(*(backpropagate(model, x, batch_index, labels) for model in (ours, theirs)), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None and b.grad is None) or torch.equal(a.grad, b.grad)


def test_a_second_backward_pass_is_refused():
    model = fast_vae()
    loss = model.loss_terms(model.collate(DATA.counts, CPU)).reconstruction.sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()


@pytest.mark.parametrize("frozen", ["px_r", "decoder.px_dropout_decoder.weight", "z_encoder.encoder"])
def test_frozen_weights_have_no_gradient(frozen):
    model = fast_vae()
    parameters = dict(model.named_parameters())
    names = {name for name in parameters if name.startswith(frozen)}
    for name in names:
        parameters[name].requires_grad_(False)
    expected = {name for name, p in parameters.items() if p.requires_grad}
    backpropagate(model, model.collate(DATA.counts, CPU), *DATA.minibatch(range(60))[1:])
    assert names
    assert gradients_of(model).keys() == expected


@pytest.mark.parametrize("cells", [vc.simulate_counts(60, 39), DATA.subset([0])])
def test_counts_that_do_not_fit(cells):
    model = fast_vae()
    with pytest.raises(ValueError, match=r"built for 40 genes|two cells or more"):
        model.loss_terms(model.collate(cells.counts, CPU))


def test_a_single_cell_can_be_evaluated():
    model = fast_vae().eval()
    terms = model.loss_terms(model.collate(DATA.counts[:1], CPU))
    assert all(term.shape == (1,) and torch.isfinite(term).all() for term in terms)


# --------------------------------------------------------------------------------------------------------------------
# Training and files
# --------------------------------------------------------------------------------------------------------------------


def trainer_of(kind, data=DATA, **options):
    model = kind(data.n_genes, n_batch=2, n_hidden=16, **options)
    options = {"batch_size": 16, "lr": 1e-3, "lr_schedule": "constant", "n_epochs_kl_warmup": 2, "device": "cpu"}
    return vc.UnsupervisedTrainer(model, data, **options)


@pytest.mark.parametrize("options", [{}, {"likelihood": "nb"}, {"n_layers": 2, "dispersion": "gene-cell"}])
def test_training_goes_the_same_way(options):
    """Rounding differs by 1e-7 a step and grows while Adam divides by small moments: 20 steps stay within 1e-4."""
    trainers = [trainer_of(kind, **options) for kind in (vc.FastVAE, vc.VAE)]
    for trainer in trainers:
        trainer.train(5)
    ours, theirs = (trainer.history for trainer in trainers)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert values == pytest.approx(theirs[name], rel=1e-4), name
    for (name, a), b in zip(*(trainers[0].model.named_parameters(), trainers[1].model.parameters()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize(("kind", "expected"), [(vc.FastVAE, fast.Nonzeros), (vc.VAE, torch.Tensor)])
def test_the_trainer_asks_the_model_how_to_collate(kind, expected):
    seen = {True: set(), False: set()}

    class Watched(kind):
        def loss_terms(self, x, batch_index=None, y=None):
            seen[self.training].add(type(x))
            return super().loss_terms(x, batch_index, y)

    trainer_of(Watched).train(3)
    assert seen == {True: {expected}, False: {torch.Tensor}}


def test_corrupted_counts_are_what_it_trains_on():
    trainers = [trainer_of(kind) for kind in (vc.FastVAE, vc.VAE)]
    for trainer in trainers:
        trainer.corrupt_posteriors(0.5)
        trainer.train(3)
    losses = [trainer.history["loss_train_set"] for trainer in trainers]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    whole = trainer_of(vc.FastVAE)
    whole.train(3)
    assert losses[0][0] < 0.9 * whole.history["loss_train_set"][0]  # half of the counts are gone


@pytest.mark.parametrize(("writer", "reader"), [(vc.FastVAE, vc.VAE), (vc.VAE, vc.FastVAE)])
def test_saved_models_are_exchanged(tmp_path, writer, reader):
    trainer = trainer_of(writer)
    trainer.train(3)
    trainer.model.save(tmp_path / "model.pt")
    model = reader.load(tmp_path / "model.pt")
    assert type(model) is reader
    assert model.options == trainer.model.options
    for a, b in zip(model.state_dict().values(), trainer.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_saved_poisson_model_is_refused_with_the_reason(tmp_path):
    vc.VAE(40, likelihood="poisson").save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="got 'poisson': use VAE"):
        vc.FastVAE.load(tmp_path / "model.pt")


@pytest.mark.parametrize(("first", "second"), [(vc.FastVAE, vc.VAE), (vc.VAE, vc.FastVAE)])
def test_a_checkpoint_of_one_resumes_in_the_other(tmp_path, first, second):
    trainer_of(first).train(3, checkpoint=tmp_path / "run.ckpt")
    resumed, whole = trainer_of(second), trainer_of(second)
    resumed.train(5, checkpoint=tmp_path / "run.ckpt", resume=True)
    whole.train(5)
    assert resumed.epoch == 5
    for name, values in whole.history.items():
        assert resumed.history[name] == pytest.approx(values, rel=1e-4), name


def test_other_subclasses_are_saved_under_their_own_name(tmp_path):
    own = type("OwnVAE", (vc.VAE,), {})
    own(40).save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="found: OwnVAE"):
        vc.VAE.load(tmp_path / "model.pt")
