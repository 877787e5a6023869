"""Known faults of scVI 0.3.0: one test per fault, which fails if the old behaviour comes back.

The numbers are those of the list of faults that this package was designed against. These have no counterpart here:

- 2.22 (`from_list` let an empty cell overwrite the batch index): data sets are not joined here; codes of batches come
  with the cells and are checked.
- 2.23 (`subsample_cells(0.5)` took half as many cells as there are genes): there is no such function; `subset` takes
  the cells themselves.
"""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid

import vae_course as vc
from vae_course import metrics

pytestmark = pytest.mark.numerical
N_GENES = 6


def counts_of(n_cells, n_genes=N_GENES, seed=0, mean=3.0):
    counts = np.random.default_rng(seed).poisson(mean, (n_cells, n_genes))
    counts[:, 0] += 1 + np.arange(n_cells) % 7  # no empty cell, and totals that differ
    return counts


def data_of(n_cells=40, n_batches=1, labels=None, **options):
    return vc.CountData(counts_of(n_cells, **options), batch_index=np.arange(n_cells) % n_batches, labels=labels)


def vae_of(data, **options):
    """A small untrained VAE in evaluation mode, whose library prior is set."""
    options = {"n_batch": data.n_batches, "n_labels": data.n_labels, "n_hidden": 8, "n_latent": 2} | options
    model = vc.VAE(data.n_genes, **options).eval()
    model.prepare(data)
    return model


def posterior_of(data, indices=None, batch_size=128, **options):
    return vc.Posterior(vae_of(data, **options), data, indices, batch_size)


def trainer_of(data, model=None, **options):
    model = vae_of(data, n_batch=data.n_batches) if model is None else model
    return vc.UnsupervisedTrainer(model, data, **({"batch_size": 16, "n_epochs_kl_warmup": 0} | options))


class SteadyModel(torch.nn.Module):
    """One weight, which is the loss of every cell: training moves it as the optimiser pleases."""

    def __init__(self, start=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(start))

    def loss_terms(self, x, batch_index=None, y=None):
        loss = self.weight.expand(len(x))
        return loss, torch.zeros_like(loss), torch.zeros_like(loss)


# --------------------------------------------------------------------------------------------------------------------
# Likelihoods
# --------------------------------------------------------------------------------------------------------------------


def test_row_2_1_marginal_ll_takes_all_its_terms_from_one_draw():
    # One gene, Poisson, so that px_scale is 1 and x depends on l alone: log p(x) is an integral over l, and so is
    # log E_q[p(x|z, l)] - KL(q(l) || p(l)), where 0.3.0 ends up. q is put so far from the priors that the two differ.
    counts, q_mean, q_var, p_mean, p_var = (1, 3, 9), 2.8, 0.8, 2.0, 0.5
    model = vc.VAE(1, n_hidden=4, n_latent=2, likelihood="poisson").eval()
    model.library_log_means.fill_(p_mean)
    model.library_log_vars.fill_(p_var)
    with torch.no_grad():
        for encoder, mean in ((model.z_encoder, 0.4), (model.l_encoder, q_mean)):
            encoder.mean_encoder.weight.zero_()
            encoder.mean_encoder.bias.fill_(mean)
            encoder.var_encoder.weight.zero_()
            encoder.var_encoder.bias.fill_(math.log(q_var))
    library = np.linspace(-4, 10, 4001)
    likelihood = stats.poisson.pmf(np.array(counts)[:, None], np.exp(library))  # (cells, grid)
    prior, q = (stats.norm.pdf(library, m, math.sqrt(v)) for m, v in ((p_mean, p_var), (q_mean, q_var)))
    truth = np.log(trapezoid(likelihood * prior, library))
    kl_local = (math.log(p_var / q_var) + (q_var + (q_mean - p_mean) ** 2) / p_var - 1) / 2
    faulty = np.log(trapezoid(likelihood * q, library)) - kl_local

    n_samples = 20_000
    data = vc.CountData(np.array(counts)[:, None])
    values, ess = vc.Posterior(model, data).marginal_ll(n_samples, return_per_cell=True)
    errors = 5 * np.sqrt((n_samples / ess - 1) / n_samples)
    assert (np.abs(faulty - truth) > 3 * errors).all()
    assert (np.abs(values - truth) < errors).all()


def test_row_2_2_reconstruction_and_both_kls_are_reported_apart_and_the_elbo_holds_them_all():
    data = data_of()
    trainer = trainer_of(data)
    trainer.train(2)
    terms = trainer.test_set.loss_terms()
    reconstruction, kl_local, kl_global = (term.double().mean().item() for term in terms)
    assert min(reconstruction, kl_local, kl_global) > 0.01  # each matters
    assert trainer.test_set.reconstruction_error() == pytest.approx(reconstruction)
    assert trainer.test_set.elbo() == pytest.approx(-(reconstruction + kl_local + kl_global), rel=1e-6)
    assert "ll_test_set" not in trainer.history
    for name in ("train_set", "test_set"):
        parts = [np.array(trainer.history[f"{m}_{name}"]) for m in ("reconstruction_error", "kl_local", "kl_global")]
        np.testing.assert_allclose(trainer.history[f"elbo_{name}"], -sum(parts))


def test_row_2_2_early_stopping_maximises_the_elbo_and_minimises_the_error():
    for metric, better in (("elbo", 1), ("reconstruction_error", -1)):
        stopping = vc.EarlyStopping(metric, patience=2, threshold=0.0)
        for value in (0.0, better * 5.0, better * 4.0):
            stopping.update(value, torch.nn.Linear(1, 1))
        assert (stopping.best_value, stopping.waited) == (better * 5.0, 1)


# --------------------------------------------------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------------------------------------------------


def weights_of_kl(n_epochs_kl_warmup, *calls):
    """Return the weight of the global KL in every epoch."""
    data = data_of()

    class Noting(vc.UnsupervisedTrainer):
        def loss(self, terms):
            value = super().loss(terms)
            weight = (value - (terms.reconstruction + terms.kl_local).mean()) / terms.kl_global.mean()
            found.append((self.epoch, weight.item()))
            return value

    found = []
    trainer = Noting(vae_of(data), data, train_size=1.0, batch_size=40, n_epochs_kl_warmup=n_epochs_kl_warmup)
    for n_epochs in calls:
        trainer.train(n_epochs)
    return [weight for _, weight in found]


def test_row_2_3_warm_up_is_counted_in_epochs_and_reaches_its_full_weight():
    assert weights_of_kl(4, 6) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1], abs=1e-3)


def test_row_2_3_a_second_call_of_train_goes_on_with_the_warm_up():
    with pytest.warns(UserWarning, match=r"KL weight of 0\.40"):
        assert weights_of_kl(5, 3, 4) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1], abs=1e-3)


@pytest.mark.parametrize(("n_epochs", "final"), [(1, "0.00"), (4, "0.75")])
def test_row_2_3_a_training_that_ends_within_the_warm_up_warns_with_the_final_weight(n_epochs, final):
    with pytest.warns(UserWarning, match=f"ended with a KL weight of {final}: the warm-up takes 4 epochs"):
        weights_of_kl(4, n_epochs)


def test_row_2_4_early_stopping_restores_weights_that_are_really_older():
    # the test loss is (weight - 0.1)^2 but training pushes the weight up and up: the best epoch is passed early
    class Overfitting(SteadyModel):
        def loss_terms(self, x, batch_index=None, y=None):
            loss = -self.weight if self.training else (self.weight - 0.1) ** 2
            return loss.expand(len(x)), torch.zeros(len(x)), torch.zeros(len(x))

    stopping = vc.EarlyStopping("elbo", patience=3, threshold=0.0)
    model = Overfitting()
    trainer = trainer_of(data_of(), model, lr=0.02, eps=1e-8, weight_decay=0.0, early_stopping=stopping, batch_size=40)
    trainer.train(50)
    best = np.argmax(trainer.history["elbo_test_set"])
    assert len(trainer.history["elbo_test_set"]) == best + 4  # it trained on for `patience` epochs,
    assert trainer.test_set.elbo() == trainer.history["elbo_test_set"][best]  # and went back
    assert stopping.best_weights["weight"].data_ptr() != model.weight.data_ptr()


def test_row_2_5_a_steady_gain_below_the_threshold_does_not_stop():
    stopping = vc.EarlyStopping("elbo", patience=15, threshold=3.0)
    model = torch.nn.Linear(1, 1)
    assert not any(stopping.update(2.9 * epoch, model) for epoch in range(200))


def test_row_2_5_patience_is_counted_from_the_last_gain_and_the_best_is_kept_from_the_start():
    stopping = vc.EarlyStopping("elbo", patience=3, threshold=1.0)
    model = torch.nn.Linear(1, 1, bias=False)
    stopped = []
    for epoch, value in enumerate([10.0, 0.0, 0.0, 11.5, 0.0, 0.0, 0.0]):
        torch.nn.init.constant_(model.weight, epoch)
        stopped.append(stopping.update(value, model))
    assert stopped == [False] * 6 + [True]
    assert (stopping.best_value, stopping.best_weights["weight"].item()) == (11.5, 3.0)
    # the very first value is a candidate too, before `patience` evaluations have passed
    first = vc.EarlyStopping("elbo", patience=15)
    torch.nn.init.constant_(model.weight, 7.0)
    first.update(5.0, model)
    first.update(1.0, model)
    assert (first.best_value, first.best_weights["weight"].item()) == (5.0, 7.0)


def test_row_2_5_every_evaluation_counts_once():
    stopping = vc.EarlyStopping("elbo", patience=4, threshold=0.0)
    trainer = trainer_of(data_of(), SteadyModel(), lr=0.0, early_stopping=stopping)  # nothing ever gets better
    trainer.train(30)
    assert trainer.epoch == len(trainer.history["elbo_test_set"]) == 5  # the first value, then four without gain


# --------------------------------------------------------------------------------------------------------------------
# Differential expression
# --------------------------------------------------------------------------------------------------------------------

QUICK = {"n_samples": 20}


def grouped_data():
    """Labels 0, 10 and 20 (cells in turns), and a state that doubles one gene's counts in label 10 alone."""
    labels = np.arange(60) % 3 * 10
    states = np.arange(60) // 3 % 2 == 1
    counts = counts_of(60)
    counts[:, 1] = 5
    counts[(labels == 10) & states, 1] = 50
    return vc.CountData(counts, labels=labels), labels, states


@pytest.mark.parametrize("dtype", [bool, int])
def test_row_2_6_within_cluster_degenes_compares_cells_in_the_state_with_cells_out_of_it(dtype):
    data, labels, states = grouped_data()
    table = posterior_of(data).within_cluster_degenes(states.astype(dtype), min_cells=5, **QUICK)
    assert table["cluster"].unique().tolist() == [0, 10, 20]
    for code in (0, 10, 20):
        rows = table[table["cluster"] == code].set_index("gene")
        for column, cells in (("raw_mean_1", states), ("raw_mean_2", ~states)):
            expected = data.counts[(labels == code) & cells].mean(axis=0).A1
            np.testing.assert_allclose(rows.loc[data.gene_names, column], expected, rtol=1e-6)


def test_row_2_7_one_vs_all_finds_labels_whatever_their_codes():
    data, labels, _ = grouped_data()
    table = posterior_of(data).one_vs_all_degenes(min_cells=5, **QUICK)
    assert table["cluster"].unique().tolist() == [0, 10, 20]
    assert len(table) == 3 * N_GENES
    for code in (0, 10, 20):
        rows = table[table["cluster"] == code].set_index("gene").loc[data.gene_names]
        np.testing.assert_allclose(rows["raw_mean_1"], data.counts[labels == code].mean(axis=0).A1, rtol=1e-6)
        np.testing.assert_allclose(rows["raw_mean_2"], data.counts[labels != code].mean(axis=0).A1, rtol=1e-6)


def test_row_2_8_nothing_that_is_asked_of_a_posterior_changes_it():
    data, labels, states = grouped_data()
    posterior = posterior_of(data, indices=np.arange(0, 60, 1)[::-1][:50], batch_size=16, n_batch=0, n_labels=0)
    before = deepcopy({name: value for name, value in vars(posterior).items() if name not in ("model", "data", "seen")})
    counts, weights = data.counts.copy(), deepcopy(posterior.model.state_dict())
    state = torch.get_rng_state()
    held = labels[posterior.indices] == 10
    posterior.differential_expression_score(held, ~held, **QUICK)
    posterior.differential_expression_stats(2)
    posterior.one_vs_all_degenes(min_cells=2, **QUICK)
    posterior.within_cluster_degenes(states[posterior.indices], min_cells=2, **QUICK)
    posterior.corrupted().imputation_benchmark()
    posterior.get_latent(sample=True)
    posterior.generate(2)
    posterior.marginal_ll(2)
    after = {name: value for name, value in vars(posterior).items() if name not in ("model", "data", "seen")}
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.array_equal(value, after[name]), name
    assert posterior.data is data
    assert posterior.seen is data
    assert (data.counts != counts).nnz == 0
    assert all(torch.equal(weights[name], tensor) for name, tensor in posterior.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_row_2_9_ties_count_half():
    same = torch.full((10, 3), 0.2)
    assert metrics.bayes_factor(same, same).tolist() == [0.0, 0.0, 0.0]


def test_row_2_9_a_pair_is_decoded_under_the_same_batch():
    # The batch decides the shares and z nothing at all, so that a pair within a batch ties exactly in every gene,
    # and any pair across batches shows a large fold change.
    data = data_of(n_batches=2)
    posterior = posterior_of(data)
    with torch.no_grad():
        first = posterior.model.decoder.px_decoder.fc_layers[0][0]
        first.weight[:, :2] = 0.0
        first.weight[:, 2:] *= 20
    scales = [posterior.get_harmonized_scale(batch)[0] for batch in (0, 1)]
    assert np.abs(np.log2(scales[0] / scales[1])).max() > 1
    table = posterior.differential_expression_score(np.arange(20), np.arange(20, 40), n_samples=50)
    assert table["bayes_factor"].tolist() == pytest.approx([0.0] * N_GENES, abs=1e-6)
    assert table["lfc_std"].tolist() == pytest.approx([0.0] * N_GENES, abs=1e-4)


# --------------------------------------------------------------------------------------------------------------------
# Model options together
# --------------------------------------------------------------------------------------------------------------------


def test_row_2_10_dispersion_by_label_trains_and_learns_every_label_apart():
    data = data_of(labels=np.arange(40) % 3)
    model = vae_of(data, dispersion="gene-label")
    before = model.px_r.detach().clone()
    trainer_of(data, model, train_size=1.0).train(1)
    moved = (model.px_r.detach() - before).abs()
    assert moved.shape == (N_GENES, 3)
    assert (moved.amax(dim=0) > 1e-5).all()


@pytest.mark.parametrize("n_layers", [2, 3])
def test_row_2_11_deep_decoders_with_batches_take_several_draws(n_layers):
    data = data_of(8, n_batches=2)
    model = vae_of(data, n_layers=n_layers)
    x, batch_index, _ = data.minibatch(np.arange(8))
    found = model.inference(x, batch_index, n_samples=3)
    for s in range(3):
        scale = model.decoder("gene", found["z"][s], found["library"][s], batch_index)[0]
        torch.testing.assert_close(found["px_scale"][s], scale)


# --------------------------------------------------------------------------------------------------------------------
# Corruption and imputation
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.35, 1.0])
def test_row_2_12_uniform_corruption_zeroes_all_that_it_chose(rate):
    data = data_of(50)
    damaged = data.corrupt(rate)
    n_zeroed = (data.counts != damaged.counts).nnz
    assert n_zeroed == int(rate * data.counts.nnz)
    assert damaged.counts.nnz == data.counts.nnz - n_zeroed


def test_row_2_12_a_second_corrupt_posteriors_replaces_the_first():
    trainer = trainer_of(data_of(50))
    seen = []
    for rate, seed in ((0.1, 0), (0.5, 1)):
        trainer.corrupt_posteriors(rate, seed=seed)
        assert trainer.train_set.seen is trainer.test_set.seen
        seen.append(trainer.train_set.seen.counts)
    assert [c.nnz for c in seen] == [trainer.data.counts.nnz - int(r * trainer.data.counts.nnz) for r in (0.1, 0.5)]
    trainer.uncorrupt_posteriors()
    assert trainer.train_set.seen is trainer.data


def test_row_2_13_imputation_list_holds_exactly_the_changed_entries_cell_by_cell():
    # minibatches of 8 cells, and only the cells 3 and 19 change: the second minibatch has none
    data = data_of(24)
    damaged = data.counts.toarray()
    changed = {3: [0, 1], 19: [2]}
    for cell, genes in changed.items():
        damaged[cell, genes] = 0
    posterior = posterior_of(data, batch_size=8).showing(vc.CountData(damaged))
    original, imputed = posterior.imputation_list()
    rates = posterior.imputation()
    for cell in range(24):
        genes = changed.get(cell, [])
        assert original[cell].tolist() == data.counts.toarray()[cell, genes].tolist()
        assert imputed[cell].tolist() == rates[cell, genes].tolist()
    errors = [abs(data.counts[cell, g] - rates[cell, g]) for cell, genes in changed.items() for g in genes]
    assert posterior.imputation_score() == pytest.approx(np.median(errors), rel=1e-6)


def test_row_2_13_an_imputation_score_of_nothing_is_refused():
    posterior = posterior_of(data_of(24))
    with pytest.raises(ValueError, match="No count was changed"):
        posterior.imputation_score()
    with pytest.raises(ValueError, match="No count was changed"):
        posterior.corrupted(rate=0.0).imputation_benchmark()


@pytest.mark.parametrize("n_samples", [2, 3])
def test_row_2_14_imputation_with_several_draws_takes_a_ragged_last_minibatch(n_samples):
    posterior = posterior_of(data_of(11), batch_size=4)
    draws = posterior.imputation(n_samples)
    assert draws.shape == (n_samples, 11, N_GENES)
    assert not np.allclose(draws[0], draws[1])
    assert posterior.corrupted(0.5).imputation_score(n_samples) > 0


# --------------------------------------------------------------------------------------------------------------------
# Generation
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("likelihood", "share_of_zeros"), [("zinb", 0.9), ("nb", 0.0), ("poisson", 0.0)])
def test_row_2_15_generated_counts_are_zero_inflated_where_the_model_is(likelihood, share_of_zeros):
    data = data_of(20, mean=500.0)  # counts so large that a zero is an extra one
    posterior = posterior_of(data, likelihood=likelihood)
    model = posterior.model
    with torch.no_grad():
        model.px_r.fill_(5.0)
        model.decoder.px_dropout_decoder.weight.zero_()
        model.decoder.px_dropout_decoder.bias.fill_(math.log(9.0))  # probability 0.9
        model.l_encoder.mean_encoder.bias.fill_(math.log(1e5))
    generated, observed = posterior.generate(50)
    assert generated.shape == (20, N_GENES, 50)
    assert np.array_equal(observed, data.counts.toarray())
    error = math.sqrt(0.09 / generated.size)
    assert (generated == 0).mean() == pytest.approx(share_of_zeros, abs=5 * error)


@pytest.mark.parametrize("dispersion", ["gene", "gene-batch", "gene-label", "gene-cell"])
def test_row_2_16_generated_parameters_are_cells_by_genes_in_every_mode(dispersion):
    data = data_of(11, n_batches=2, labels=np.arange(11) % 3)
    posterior = posterior_of(data, batch_size=4, dispersion=dispersion)
    dropout, mean, theta = posterior.generate_parameters()
    assert dropout.shape == mean.shape == theta.shape == (11, N_GENES)
    x, batch_index, labels = data.minibatch(np.arange(11))
    if dispersion != "gene-cell":
        expected = posterior.model.inference(x, batch_index, labels)["px_r"].detach().expand(11, -1)
        np.testing.assert_allclose(theta, expected, rtol=1e-6)
    else:
        assert len(np.unique(theta, axis=0)) == 11


# --------------------------------------------------------------------------------------------------------------------
# Data that stop the training
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_cells", [2, 3, 17, 33])
def test_row_2_17_a_last_minibatch_of_one_cell_joins_the_one_before(n_cells):
    data = data_of(n_cells)
    trainer = trainer_of(data, train_size=1.0, batch_size=max(2, (n_cells - 1) // 2) if n_cells > 3 else 2)
    sizes = [len(minibatch.x) for minibatch in trainer.train_set]
    assert sum(sizes) == n_cells
    assert min(sizes) > 1
    trainer.train(1)
    assert np.isfinite(trainer.history["loss_train_set"]).all()


def test_row_2_18_an_empty_cell_is_refused_at_the_door():
    with pytest.raises(ValueError, match="1 of 3 cells have no counts at all, the first is cell 1"):
        vc.CountData([[1, 2], [0, 0], [3, 0]])


def test_row_2_18_a_constant_library_has_a_floor_and_is_refused_only_where_it_is_latent():
    data = vc.CountData(np.tile([[3, 7], [5, 5]], (10, 1)))
    assert data.library_var.tolist() == [pytest.approx(1e-6)]
    with pytest.raises(ValueError, match="same total count"):
        vc.UnsupervisedTrainer(vc.VAE(2), data)
    trainer = trainer_of(data, vc.VAE(2, n_hidden=8, library="observed"))
    trainer.train(2)
    assert np.isfinite(trainer.history["loss_train_set"]).all()


@pytest.mark.parametrize("library", ["latent", "observed"])
def test_row_2_18_cells_that_corruption_emptied_keep_the_loss_finite(library):
    data = vc.CountData(np.eye(N_GENES, dtype=int).repeat(10, axis=0) * np.arange(1, 61)[:, None])
    trainer = trainer_of(data, vc.VAE(N_GENES, n_hidden=8, library=library))
    trainer.corrupt_posteriors(0.5)
    assert trainer.train_set.seen.counts.sum(axis=1).min() == 0
    assert np.isfinite([trainer.train_set.seen.library_mean, trainer.train_set.seen.library_var]).all()
    trainer.train(2)
    assert torch.isfinite(trainer.train_set.loss_terms().reconstruction).all()
    assert np.isfinite(trainer.test_set.marginal_ll(5))


# --------------------------------------------------------------------------------------------------------------------
# The latent space
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [(0, 1, 2), (4, 7, 9), (-1, 30, 2)])
def test_row_2_19_mixing_counts_any_codes_of_three_batches(codes):
    # Sites of four cells far from each other, one of one batch and three of another. The odd one has neighbours of
    # one batch; the others have one of its batch and two of their own. A cell that counted itself would change that.
    sites = np.tile(np.array(codes)[[[0, 1, 1, 1], [1, 2, 2, 2], [2, 0, 0, 0]]], (5, 1))  # (sites, 4)
    latent = np.arange(len(sites))[:, None] * 100.0 + np.arange(4)
    found = metrics.entropy_batch_mixing(latent.reshape(-1, 1), sites.ravel(), n_neighbors=3)
    assert found == pytest.approx(3 / 4 * (math.log(3) - 2 / 3 * math.log(2)))


def test_row_2_19_duplicated_cells_do_not_count_themselves():
    # as above, with the cells of a site all in one place, where nothing but its position tells a cell from the others
    sites = np.tile([[0, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]], (10, 1))
    latent = np.repeat(np.arange(len(sites)) * 100.0, 4)
    found = metrics.entropy_batch_mixing(latent[:, None], sites.ravel(), n_neighbors=3)
    assert found == pytest.approx(3 / 4 * (math.log(3) - 2 / 3 * math.log(2)))


def test_row_2_19_mixing_is_the_same_at_every_call_and_does_not_touch_the_random_state():
    data = data_of(60, n_batches=3)
    posterior = posterior_of(data)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (posterior.entropy_batch_mixing(n_neighbors=20) for _ in range(2))
    assert first == again > 0
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_row_2_20_latents_come_in_the_order_of_the_indices():
    data = data_of(50, n_batches=2, labels=np.arange(50) // 2)
    trainer = trainer_of(data, batch_size=7)
    trainer.train(1)
    everyone = vc.Posterior(trainer.model, data).get_latent()[0]
    for posterior in (trainer.train_set, trainer.test_set, vc.Posterior(trainer.model, data, [31, 4, 4, 17])):
        latent, batch_index, labels = posterior.get_latent()
        np.testing.assert_allclose(latent, everyone[posterior.indices], rtol=1e-5, atol=1e-6)
        assert batch_index.tolist() == (posterior.indices % 2).tolist()
        assert labels.tolist() == (posterior.indices // 2).tolist()
        assert np.array_equal(posterior.get_latent()[0], latent)


# --------------------------------------------------------------------------------------------------------------------
# The rest
# --------------------------------------------------------------------------------------------------------------------


def test_row_2_21_chosen_genes_keep_their_names(tmp_path):
    pytest.importorskip("skmisc", reason="choosing genes needs scikit-misc")
    adata = vc.simulate_counts(80, 60, seed=1).to_anndata()
    adata.var_names = [f"name of {g}" for g in range(60)]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    chosen = vc.load_h5ad(tmp_path / "cells.h5ad", n_top_genes=12)
    assert chosen.n_genes == 12
    columns = [int(name.removeprefix("name of ")) for name in chosen.gene_names]
    assert columns != list(range(12))  # not simply the first ones
    assert (chosen.counts != adata.X[:, columns]).nnz == 0


def test_row_2_24_weight_decay_reaches_the_optimiser():
    def trained(weight_decay):
        model = SteadyModel(start=5.0)
        model.loss_terms = lambda x, *_: (0 * model.weight.expand(len(x)), torch.zeros(len(x)), torch.zeros(len(x)))
        trainer_of(data_of(), model, weight_decay=weight_decay, lr=0.01).train(1)
        return model.weight.item()

    assert trained(0.0) == 5.0
    assert trained(0.1) < 4.99  # nothing else pulls at it


def test_row_2_24_an_unknown_dispersion_is_named():
    with pytest.raises(ValueError, match=r"dispersion has to be one of 'gene', .*got 'genes'"):
        vc.VAE(N_GENES, dispersion="genes")


def test_row_2_24_training_leaves_the_global_random_states_alone():
    data = data_of()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    trainer = trainer_of(data)
    trainer.train(2)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
