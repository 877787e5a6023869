"""The loss with gradients by hand against the readable formula, which is taught."""

import copy
import itertools

import pytest
import scipy.sparse as sp
import torch

import vae_course as vc
from vae_course import fast
from vae_course.distributions import zinb_log_prob
from vae_course.nn import DecoderSCVI, Encoder, FCLayers

pytestmark = pytest.mark.numerical
DATA = vc.simulate_counts(60, 40, n_batches=2, n_labels=3, mean_library=120, seed=1)


class ReadableVAE(vc.VAE):
    """The same model; a subclass is left to its own methods, which are the readable ones."""


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3, eps=0.01, weight_decay=1e-6, fused=True)


def outcome(loss_terms, *arguments):
    """Return the terms, with the same draws every time, and go back from their sum."""
    torch.manual_seed(0)
    terms = loss_terms(*arguments)
    weighted = terms.reconstruction + 2 * terms.kl_local + 3 * terms.kl_global
    weighted.dot(torch.linspace(0.5, 1, len(weighted))).backward()
    return terms


def gradients_of(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def compare(model, data=DATA):
    """Both ways to compute the loss give the same, up to the rounding of float32, and leave the same behind."""
    x, batch_index, labels = data.minibatch(range(data.n_cells))
    nonzeros, *_ = data.minibatch(range(data.n_cells), sparse=True)
    before, layouts = copy.deepcopy(model.state_dict()), {p: (p.data_ptr(), p.stride()) for p in model.parameters()}
    model.zero_grad()
    expected = outcome(model.loss_terms, x, batch_index, labels)
    gradients, buffers = gradients_of(model), copy.deepcopy(dict(model.named_buffers()))
    model.load_state_dict(before)
    model.zero_grad()
    with fast.arranged(model, adam(model)) as (loss_terms, _):
        terms = outcome(loss_terms, nonzeros, batch_index, labels)
    by_hand = gradients_of(model)
    for ours, theirs in zip(terms, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=1e-4)
    assert by_hand.keys() == gradients.keys()
    whole = torch.cat([g.flatten() for g in gradients.values()]).abs().max()
    for name, gradient in gradients.items():
        assert (by_hand[name] - gradient).abs().max() < 1e-5 * gradient.abs().max() + 1e-6 * whole, name
    for name, statistics in model.named_buffers():
        torch.testing.assert_close(statistics, buffers[name], rtol=1e-5, atol=1e-6, equal_nan=True)
    assert layouts == {p: (p.data_ptr(), p.stride()) for p in model.parameters()}


@pytest.mark.parametrize(
    ("dispersion", "library"),
    list(itertools.product(("gene", "gene-batch", "gene-label", "gene-cell"), ("latent", "observed"))),
)
def test_is_the_readable_loss(dispersion, library):
    model = vc.VAE(40, n_batch=2, n_labels=3, n_hidden=16, dispersion=dispersion, library=library, seed=3)
    model.prepare(DATA)
    assert fast.applies(model, adam(model))
    compare(model)
    compare(model.eval())


OPTIONS = [{"n_layers": 3}, {"n_layers": 2, "n_batch": 2}, {"log_variational": False}, {"dropout_rate": 0}]


@pytest.mark.parametrize("options", [*OPTIONS, {"var_eps": 0}])
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
    x = vc.fast.Nonzeros.of(sp.csr_matrix(table.numpy()))
    log_mu, zi_logits = torch.full_like(table, log_mu), zi_logits.expand_as(table).contiguous()
    theta = theta if per_gene else theta.expand_as(table).contiguous()
    scale, size = log_mu.exp(), torch.ones(len(table), 1)
    above_zero = fast._above_zero(x, scale, size, theta, zi_logits)
    tables = fast._as_zeros(scale / theta, theta, zi_logits.clone())
    for entries, above in zip(tables, above_zero, strict=True):
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


def test_a_zero_that_is_all_but_impossible_is_finite():
    tables = fast._as_zeros(torch.tensor([[1e6, 12.5]]), torch.tensor([40.0, 40.0]), torch.tensor([[-200.0, -100.0]]))
    assert all(torch.isfinite(table).all() for table in tables)
    assert (tables[0] < -87).all()


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
    with fast.arranged(model, adam(model)) as (loss_terms, _):
        loss = loss_terms(DATA.minibatch(range(60), sparse=True)[0]).reconstruction.sum()
        loss.backward(retain_graph=True)
        with pytest.raises(RuntimeError, match="Compute the loss again"):
            loss.backward()


@pytest.mark.parametrize(
    ("options", "model"), [({"likelihood": "nb"}, vc.VAE), ({"likelihood": "poisson"}, vc.VAE), ({}, ReadableVAE)]
)
def test_other_models_keep_their_own_loss(options, model):
    model = model(40, **options)
    assert not fast.applies(model, adam(model))
    binary = vc.BinaryVAE(40)
    assert not fast.applies(binary, adam(binary))


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


def watch_before(model):
    model.decoder.register_forward_pre_hook(lambda *arguments: None)


def watch_the_way_back(model):
    model.decoder.px_dropout_decoder.register_full_backward_hook(lambda *arguments: None)


def watch_before_the_way_back(model):
    model.decoder.px_dropout_decoder.register_full_backward_pre_hook(lambda *arguments: None)


def watch_the_finished_gradient(model):
    model.px_r.register_post_accumulate_grad_hook(lambda parameter: None)


def append_a_step(model):
    model.z_encoder.encoder.fc_layers[1].append(torch.nn.Softmax(-1))


def take_a_step_out(model):
    del model.z_encoder.encoder.fc_layers[0][3]


def turn_softmax(model):
    model.decoder.px_scale_decoder[1].dim = 0


def leave_out_bias(model):
    model.z_encoder.encoder.fc_layers[0][0].bias = None


def widen(model):
    model.l_encoder = Encoder(40, 1, n_hidden=8)


def drop_all(model):
    model.z_encoder.encoder.fc_layers[0][3].p = 1.0


def tie_weights(model):
    model.l_encoder.mean_encoder.bias = model.l_encoder.var_encoder.bias


def tie_layers(model):
    model.decoder.px_dropout_decoder = model.decoder.px_scale_decoder[0]


def learn_the_prior(model):
    del model.library_log_means
    model.library_log_means = torch.nn.Parameter(torch.zeros(1, 1))


def double_precision(model):
    model.double()


def change_momentum(model):
    model.decoder.px_decoder.fc_layers[0][1].momentum = 0.1


def freeze(model):
    model.decoder.px_dropout_decoder.requires_grad_(False)


def watch_gradient(model):
    model.px_r.register_hook(lambda gradient: gradient)


@pytest.mark.parametrize(
    "change",
    [
        watch_before,
        watch_the_way_back,
        watch_before_the_way_back,
        watch_the_finished_gradient,
        append_a_step,
        take_a_step_out,
        turn_softmax,
        leave_out_bias,
        widen,
        drop_all,
        tie_weights,
        tie_layers,
        learn_the_prior,
        double_precision,
        change_momentum,
        freeze,
        watch_gradient,
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
    assert fast.applies(model, adam(model))
    change(model)
    assert not fast.applies(model, adam(model))


def test_a_changed_method_keeps_its_own_loss():
    model = vc.VAE(40)
    model.kl = lambda inferred, batch_index: (torch.zeros(1), torch.zeros(1))
    assert not fast.applies(model, adam(model))


def of_some_weights(model):
    return torch.optim.Adam(model.decoder.parameters())


def in_groups(model):
    return torch.optim.Adam([{"params": part.parameters(), "lr": 0.1} for part in (model.z_encoder, model.decoder)])


def with_a_hook(model):
    optimizer = adam(model)
    optimizer.register_step_pre_hook(lambda *arguments: None)
    return optimizer


def with_another_hook(model):
    optimizer = adam(model)
    optimizer.register_step_post_hook(lambda *arguments: None)
    return optimizer


def with_another_step(model):
    optimizer = adam(model)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    return optimizer


def that_has_trained_a_part(model):
    optimizer = adam(model)
    sum(weight.sum() for weight in model.decoder.parameters()).backward()
    optimizer.step()
    return optimizer


OPTIMIZERS = [of_some_weights, in_groups, with_a_hook, with_another_hook, with_another_step, that_has_trained_a_part]


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, lambda model: torch.optim.SGD(model.parameters(), lr=0.1)])
def test_another_optimizer_keeps_the_model_s_own_loss(optimizer):
    model = vc.VAE(40)
    assert fast.applies(model, adam(model))
    assert not fast.applies(model, optimizer(model))


def test_reduced_precision_keeps_the_model_s_own_loss():
    model = vc.VAE(40)
    with torch.autocast("cpu", torch.bfloat16):
        assert not fast.applies(model, adam(model))


class Penalised(vc.UnsupervisedTrainer):
    """A loss that depends on the weights beside the model's own loss terms."""

    def loss(self, terms):
        return super().loss(terms) + sum(p.square().sum() for p in self.model.decoder.parameters())


@pytest.mark.parametrize(
    ("kind", "trainer", "expected"),
    [(vc.VAE, vc.UnsupervisedTrainer, 8), (ReadableVAE, vc.UnsupervisedTrainer, 0), (vc.VAE, Penalised, 0)],
)
def test_the_trainer_takes_it_where_it_can(kind, trainer, expected, monkeypatch):
    calls = []
    loss_terms = fast.loss_terms
    monkeypatch.setattr(fast, "loss_terms", lambda *arguments: (calls.append(arguments), loss_terms(*arguments))[1])
    trainer(kind(40, n_hidden=16), DATA, train_size=1.0, batch_size=16, n_epochs_kl_warmup=0).train(2)
    assert len(calls) == expected


def test_settings_that_change_count_from_the_next_step():
    model = vc.VAE(40, n_hidden=16)
    model.prepare(DATA)
    optimizer = adam(model)
    with fast.arranged(model, optimizer) as (loss_terms, own):
        for lr in (0.0, 1e-3):
            before = copy.deepcopy(model.state_dict())
            optimizer.param_groups[0]["lr"] = lr
            outcome(loss_terms, DATA.minibatch(range(60), sparse=True)[0])
            own.step()
            assert torch.equal(before["px_r"], model.px_r) == (lr == 0)


@pytest.mark.parametrize("cells", [vc.simulate_counts(60, 39), DATA.subset([0])])
def test_counts_that_do_not_fit(cells):
    model = vc.VAE(40, n_hidden=16)
    model.prepare(DATA)
    with (
        fast.arranged(model, adam(model)) as (loss_terms, _),
        pytest.raises(ValueError, match=r"built for 40 genes|two cells or more"),
    ):
        loss_terms(cells.minibatch(range(cells.n_cells), sparse=True)[0])


def test_the_optimizer_learns_what_it_would_have_learned():
    """Steps in turns, arranged and not: Adam's moments and the weights go on from where the other was."""
    minibatches = [range(30), range(30, 60), range(20, 50), range(10, 40)]
    models = [vc.VAE(40, n_hidden=16, n_layers=2, dropout_rate=0, seed=6) for _ in range(2)]
    optimizers = [adam(model) for model in models]
    for step, cells in enumerate(minibatches):
        for in_turns, model, optimizer in zip((True, False), models, optimizers, strict=True):
            model.prepare(DATA)
            if in_turns and step % 2 == 0:
                with fast.arranged(model, optimizer) as (loss_terms, own):
                    outcome(loss_terms, *DATA.minibatch(cells, sparse=True)[:1])
                    own.step()
            else:
                outcome(model.loss_terms, DATA.minibatch(cells)[0])
                optimizer.step()
            optimizer.zero_grad()
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert states[0].keys() == states[1].keys()
    for index, state in states[0].items():
        assert state["step"] == len(minibatches)
        for key, value in state.items():
            torch.testing.assert_close(value, states[1][index][key], rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_fails_in_between_leaves_the_weights_that_were_reached():
    model = vc.VAE(40, n_hidden=16)
    model.prepare(DATA)
    first = model.z_encoder.encoder.fc_layers[0][0].weight
    before = first.detach().clone()
    reached = []

    def a_step_and_an_interruption():
        with fast.arranged(model, adam(model)) as (loss_terms, own):
            outcome(loss_terms, DATA.minibatch(range(60), sparse=True)[0])
            own.step()
            reached.append(first.detach().clone())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a_step_and_an_interruption()
    assert not torch.equal(before, reached[0])
    assert torch.equal(first, reached[0])
    assert first.is_contiguous()


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
