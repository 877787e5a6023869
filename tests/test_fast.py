"""The loss with gradients by hand against the readable formula, which is taught."""

import itertools

import pytest
import scipy.sparse as sp
import torch

import vae_course as vc
from vae_course import fast
from vae_course.distributions import zinb_log_prob
from vae_course.nn import DecoderSCVI, FCLayers

DATA = vc.simulate_counts(60, 40, n_batches=2, n_labels=3, mean_library=120, seed=1)


class ReadableVAE(vc.VAE):
    """The same model; a subclass is left to its own methods, which are the readable ones."""


def outcome(loss_terms, model, *arguments):
    """Return the terms and the gradients of their sum, with the same draws every time."""
    model.zero_grad()
    torch.manual_seed(0)
    terms = loss_terms(*arguments)
    (terms.reconstruction + 2 * terms.kl_local + 3 * terms.kl_global).dot(
        torch.linspace(0.5, 1, len(terms[0]))
    ).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return terms, gradients


def compare(model, data=DATA):
    """Both ways to compute the loss give the same, up to the rounding of float32."""
    x, batch_index, labels = data.minibatch(range(data.n_cells))
    nonzeros, *_ = data.minibatch(range(data.n_cells), sparse=True)
    expected, gradients = outcome(model.loss_terms, model, x, batch_index, labels)
    terms, by_hand = outcome(lambda *a: fast.loss_terms(model, *a), model, nonzeros, batch_index, labels)
    for ours, theirs in zip(terms, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=1e-4)
    assert by_hand.keys() == gradients.keys()
    whole = torch.cat([g.flatten() for g in gradients.values()]).abs().max()
    for name, gradient in gradients.items():
        assert (by_hand[name] - gradient).abs().max() < 1e-5 * gradient.abs().max() + 1e-6 * whole, name


@pytest.mark.parametrize(
    ("dispersion", "library"),
    list(itertools.product(("gene", "gene-batch", "gene-label", "gene-cell"), ("latent", "observed"))),
)
def test_is_the_readable_loss(dispersion, library):
    model = vc.VAE(40, n_batch=2, n_labels=3, n_hidden=16, dispersion=dispersion, library=library, seed=3)
    model.prepare(DATA)
    assert fast.applies(model)
    compare(model)
    compare(model.eval())


@pytest.mark.parametrize("options", [{"n_layers": 3}, {"log_variational": False}, {"dropout_rate": 0}, {"var_eps": 0}])
def test_other_options(options):
    model = vc.VAE(40, n_hidden=16, seed=4, **options)
    model.prepare(DATA)
    compare(model)


def test_on_real_counts_and_on_cells_that_corruption_emptied():
    data = vc.load_pbmc().subset(range(100))
    model = vc.VAE(data.n_genes, seed=5)
    model.prepare(data)
    compare(model, data)
    for rate in (0.99, 1.0):
        compare(model, data.corrupt(rate))


@pytest.mark.parametrize("per_gene", [True, False], ids=["theta of a gene", "theta of a cell"])
@pytest.mark.parametrize("log_mu", [-18.0, -1.0, 3.0, 13.0])
def test_extreme_values_and_their_derivatives_entry_by_entry(log_mu, per_gene):
    """Against the formula in float64 over the range that the package promises: a gene a case, a cell a count."""
    cases = torch.tensor(list(itertools.product((1e-4, 0.3, 5.0, 1e4, 1e8), (-30.0, -3.0, 0.0, 30.0))))
    theta, zi_logits = cases.T.contiguous()  # (genes,) each
    counts = torch.tensor([0.0, 1.0, 2.0, 16.0, 17.0, 1000.0, 100_000.0])
    table = counts.unsqueeze(-1).expand(-1, len(cases)).contiguous()  # (cells, genes)
    x = vc.data.Nonzeros.of(sp.csr_matrix(table.numpy()))
    log_mu, zi_logits = torch.full_like(table, log_mu), zi_logits.expand_as(table).contiguous()
    theta = theta if per_gene else theta.expand_as(table).contiguous()
    scale, size = log_mu.exp(), torch.ones(len(table), 1)
    tables = fast._as_zeros(scale / theta, theta, zi_logits)
    for entries, above in zip(tables, fast._above_zero(x, scale, size, theta, zi_logits), strict=True):
        entries.view(-1)[x.places] = above
    exact = [a.double().requires_grad_() for a in (log_mu, zi_logits, theta.expand_as(table))]
    mu = scale.double() * torch.exp(exact[0] - exact[0].detach())  # the float32 mean, with a derivative by its log
    values = zinb_log_prob(table.double(), mu, exact[2], exact[1])
    by_log_mu, by_logit, by_theta = torch.autograd.grad(values.sum(), exact)
    size_of_terms = 1 + table + scale  # what the derivatives are differences of
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(tables[0].double(), values, **close)
    torch.testing.assert_close(tables[1].double() / size_of_terms, by_log_mu / size_of_terms, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(tables[2].double(), by_logit, rtol=1e-5, atol=1e-6)
    by_log_theta = [derivative * exact[2].detach() / size_of_terms for derivative in (tables[3].double(), by_theta)]
    torch.testing.assert_close(*by_log_theta, rtol=1e-5, atol=1e-6)


def test_every_case_of_the_table_of_gamma_functions():
    """A gene's small counts are looked up, its large ones are not; the sums are the same."""
    counts = torch.arange(1.0, 41).repeat(3)
    genes = torch.arange(3).repeat_interleave(40)
    theta = torch.tensor([0.02, 1.0, 300.0])
    value, slope = fast.log_choose(fast_minibatch(counts, genes), theta)
    exact = theta[genes].double().requires_grad_()
    expected = torch.lgamma(counts + exact) - torch.lgamma(exact) - torch.lgamma(counts.double() + 1)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), exact)[0], rtol=1e-8, atol=1e-10)


def fast_minibatch(counts, genes):
    cells = torch.arange(len(counts))
    matrix = sp.csr_matrix((counts.numpy(), (cells.numpy(), genes.numpy())))
    return vc.CountData(matrix).minibatch(range(len(counts)), sparse=True)[0]


def test_a_second_way_back_is_refused():
    model = vc.VAE(40, n_hidden=16)
    model.prepare(DATA)
    loss = fast.loss_terms(model, DATA.minibatch(range(60), sparse=True)[0]).reconstruction.sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize(
    ("options", "model"), [({"likelihood": "nb"}, vc.VAE), ({"likelihood": "poisson"}, vc.VAE), ({}, ReadableVAE)]
)
def test_other_models_keep_their_own_loss(options, model):
    assert not fast.applies(model(40, **options))


def replace_decoder(model):
    model.decoder = type("Decoder", (DecoderSCVI,), {})(10, 40)


def replace_layers(model):
    model.l_encoder.encoder = type("Layers", (FCLayers,), {})(40, 128)


def replace_linear(model):
    model.z_encoder.encoder.fc_layers[0][0] = type("Linear", (torch.nn.Linear,), {})(40, 128)


def replace_softmax(model):
    model.decoder.px_scale_decoder[1] = torch.nn.Softplus()


def leave_out_softmax(model):
    model.decoder.px_scale_decoder = torch.nn.Sequential(torch.nn.Linear(128, 40))


def replace_forward(model):
    model.decoder.forward = lambda *arguments: None


def watch(model):
    model.decoder.register_forward_hook(lambda *arguments: None)


@pytest.mark.parametrize(
    "change",
    [
        replace_decoder,
        replace_layers,
        replace_linear,
        replace_softmax,
        leave_out_softmax,
        replace_forward,
        watch,
    ],
)
def test_a_replaced_part_keeps_its_own_loss(change):
    model = vc.VAE(40, n_layers=2)
    assert fast.applies(model)
    change(model)
    assert not fast.applies(model)
    assert not fast.applies(vc.BinaryVAE(40))


def test_a_changed_method_keeps_its_own_loss():
    model = vc.VAE(40)
    model.kl = lambda inferred, batch_index: (torch.zeros(1), torch.zeros(1))
    assert not fast.applies(model)


def test_training_goes_the_same_way():
    histories = []
    for kind in (vc.VAE, ReadableVAE):
        trainer = vc.UnsupervisedTrainer(kind(40, n_batch=2, n_hidden=16), DATA, batch_size=16, n_epochs_kl_warmup=2)
        trainer.train(5)
        histories.append(trainer.history)
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name], rel=1e-4), name


def test_corrupted_counts_are_what_it_trains_on():
    trainers = [vc.UnsupervisedTrainer(kind(40, n_hidden=16), DATA, batch_size=16) for kind in (vc.VAE, ReadableVAE)]
    for trainer in trainers:
        trainer.corrupt_posteriors(0.5)
        with pytest.warns(UserWarning, match="KL weight"):
            trainer.train(2)
    losses = [trainer.history["loss_train_set"] for trainer in trainers]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    whole = vc.UnsupervisedTrainer(vc.VAE(40, n_hidden=16), DATA, batch_size=16)
    with pytest.warns(UserWarning, match="KL weight"):
        whole.train(1)
    assert losses[0][0] < 0.9 * whole.history["loss_train_set"][0]  # half of the counts are gone
