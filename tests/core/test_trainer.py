"""The training loop: history, KL warm-up, early stopping, seeds, what it refuses, the progress bar."""

import os
import random
import re
import select
import subprocess
import sys
import time
import warnings
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

import vae_course as vc
from vae_course.early_stopping import HIGHER_IS_BETTER, epochs_for
from vae_course.trainer import Trainer

METRICS = ("elbo", "reconstruction_error", "kl_local", "kl_global")


def small_data(n_cells: int = 60, **options: Any) -> vc.CountData:
    return vc.simulate_counts(n_cells=n_cells, n_genes=25, n_labels=2, **{"seed": 0, **options})


def make_trainer(data: vc.CountData | None = None, model: Any = None, **options: Any) -> vc.UnsupervisedTrainer:
    data = small_data() if data is None else data
    model = vc.VAE(data.n_genes, n_batch=data.n_batches, n_hidden=16, n_latent=3) if model is None else model
    return vc.UnsupervisedTrainer(model, data, **{"batch_size": 16, "n_epochs_kl_warmup": 0, **options})


class Rates(torch.nn.Module):
    """The smallest model that trains: one Poisson rate per gene. It has nothing but `loss_terms`."""

    def __init__(self, n_genes: int = 25) -> None:
        super().__init__()
        self.log_rate = torch.nn.Parameter(torch.zeros(n_genes))

    def loss_terms(self, x, batch_index=None, y=None):
        reconstruction = (torch.exp(self.log_rate) - x * self.log_rate).sum(dim=-1)
        return reconstruction, torch.zeros(len(x)), torch.ones(len(x))


class Recorder(Rates):
    """Notes the number of cells in every training minibatch."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.cells: list[torch.Tensor] = []

    def loss_terms(self, x, batch_index=None, y=None):
        assert batch_index.shape == y.shape == (len(x), 1)
        if self.training:
            self.sizes.append(len(x))
            self.cells.append(x)
        return super().loss_terms(x)


def assert_same_weights(first: torch.nn.Module, second: torch.nn.Module) -> None:
    one, two = first.state_dict(), second.state_dict()
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


# --------------------------------------------------------------------------------------------------------------------
# History
# --------------------------------------------------------------------------------------------------------------------


def test_history_has_a_value_per_epoch_for_every_metric_and_posterior():
    trainer = make_trainer()
    trainer.train(3)
    names = {f"{metric}_{on}" for metric in METRICS for on in ("train_set", "test_set")}
    assert set(trainer.history) == names | {"loss_train_set"}
    assert {len(values) for values in trainer.history.values()} == {3}
    assert trainer.epoch == len(trainer.epoch_seconds) == 3
    assert all(type(value) is float for values in trainer.history.values() for value in values)
    trainer.train(2)
    assert {len(values) for values in trainer.history.values()} == {5}
    assert trainer.epoch == len(trainer.epoch_seconds) == 5


def test_history_adds_up_and_ends_with_what_the_test_set_says():
    trainer = make_trainer(n_epochs_kl_warmup=4)
    with pytest.warns(UserWarning, match="KL weight"):
        trainer.train(4)
    h = {name: np.array(values) for name, values in trainer.history.items()}
    for on in ("train_set", "test_set"):
        total = h[f"reconstruction_error_{on}"] + h[f"kl_local_{on}"] + h[f"kl_global_{on}"]
        np.testing.assert_allclose(h[f"elbo_{on}"], -total, rtol=1e-12)
    weighted = h["reconstruction_error_train_set"] + h["kl_local_train_set"]
    weighted = weighted + np.array([0, 0.25, 0.5, 0.75]) * h["kl_global_train_set"]
    np.testing.assert_allclose(h["loss_train_set"], weighted, rtol=1e-5)


def test_history_ends_with_what_the_test_set_says_of_a_model_without_running_averages():
    trainer = make_trainer(model=Rates())
    trainer.train(4)
    assert trainer.test_set.elbo() == pytest.approx(trainer.history["elbo_test_set"][-1], rel=1e-6)


def test_without_test_cells_history_has_the_train_set_alone():
    trainer = make_trainer(train_size=1.0)
    trainer.train(2)
    assert set(trainer.history) == {f"{metric}_train_set" for metric in (*METRICS, "loss")}
    assert len(trainer.train_set) == 60
    assert len(trainer.test_set) == 0


def test_training_explains_the_cells_better():
    trainer = make_trainer(small_data(200), train_size=0.8)
    trainer.train(30)
    for on in ("train_set", "test_set"):
        assert trainer.history[f"elbo_{on}"][-1] > trainer.history[f"elbo_{on}"][0] + 10
    assert not trainer.model.training


@pytest.mark.parametrize(("train_size", "n_train"), [(0.9, 54), (0.5, 30), (0.51, 31), (1.0, 60)])
def test_the_split_parts_all_cells(train_size, n_train):
    trainer = make_trainer(train_size=train_size)
    train, test = trainer.train_set.indices, trainer.test_set.indices
    assert len(train) == n_train
    assert sorted([*train, *test]) == list(range(60))
    assert list(train) == sorted(train)
    assert train.tolist() != make_trainer(train_size=train_size, seed=1).train_set.indices.tolist() or n_train == 60


def test_the_prior_of_the_library_comes_from_the_training_cells():
    data = small_data(n_batches=2)
    trainer = make_trainer(data, train_size=0.5)
    train = data.subset(trainer.train_set.indices)
    np.testing.assert_allclose(trainer.model.library_log_means[0], train.library_mean, rtol=1e-6)
    np.testing.assert_allclose(trainer.model.library_log_vars[0], train.library_var, rtol=1e-6)


# --------------------------------------------------------------------------------------------------------------------
# KL warm-up
# --------------------------------------------------------------------------------------------------------------------


def weights_of_loss(trainer: vc.UnsupervisedTrainer) -> list[float]:
    """Weight of the global KL in each epoch, found from the loss: `Rates` has a global KL of exactly 1."""
    return (np.array(trainer.history["loss_train_set"]) - trainer.history["reconstruction_error_train_set"]).tolist()


def test_warm_up_grows_by_epochs_and_goes_on_over_a_second_call():
    trainer = make_trainer(model=Rates(), n_epochs_kl_warmup=5)
    with pytest.warns(UserWarning, match=r"KL weight of 0\.40: the warm-up takes 5 epochs, 3 were done"):
        trainer.train(3)
    assert [trainer.kl_weight(epoch) for epoch in (0, 1, 5, 6)] == [0.0, 0.2, 1.0, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.train(4)
    expected = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    np.testing.assert_allclose(weights_of_loss(trainer), expected, atol=1e-4)


@pytest.mark.parametrize(("n_epochs", "warns"), [(1, True), (5, True), (6, False), (9, False)])
def test_a_final_weight_below_1_is_warned_about(n_epochs, warns):
    trainer = make_trainer(model=Rates(), n_epochs_kl_warmup=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train(n_epochs)
    messages = [str(w.message) for w in caught if "KL weight" in str(w.message)]
    assert len(messages) == warns
    if warns:
        assert f"{(n_epochs - 1) / 5:.2f}" in messages[0]
        assert caught[0].filename == __file__  # it points to the call of train


def test_without_warm_up_the_weight_is_1_from_the_start():
    trainer = make_trainer(model=Rates(), n_epochs_kl_warmup=0)
    assert trainer.kl_weight(0) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.train(2)
    np.testing.assert_allclose(weights_of_loss(trainer), [1, 1], atol=1e-4)


def test_warm_up_leaves_the_local_kl_alone():
    trainer = make_trainer(n_epochs_kl_warmup=10**6)
    with pytest.warns(UserWarning, match="KL weight"):
        trainer.train(1)
    h = trainer.history
    expected = h["reconstruction_error_train_set"][0] + h["kl_local_train_set"][0]
    assert h["loss_train_set"][0] == pytest.approx(expected, rel=1e-6)


# --------------------------------------------------------------------------------------------------------------------
# Early stopping
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_steady_small_gains_do_not_stop(metric):
    # 2.9 nats an epoch with a threshold of 3: scVI 0.3.0 stops after 31 of them
    stopping = vc.EarlyStopping(metric, patience=15, threshold=3.0)
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    model = torch.nn.Linear(1, 1)
    assert not any(stopping.update(sign * (2.9 * epoch - 1000), model) for epoch in range(200))
    assert stopping.best_value == pytest.approx(sign * (2.9 * 199 - 1000))


def test_stopping_takes_exactly_patience_evaluations_without_a_gain():
    model = torch.nn.Linear(1, 1)
    stopping = vc.EarlyStopping(patience=4, threshold=1.0)
    answers = [stopping.update(value, model) for value in (-100, -90, -90, -89.5, -95, -90)]
    assert answers == [False, False, False, False, False, True]
    assert stopping.stopped
    assert stopping.best_value == -89.5  # too small a gain to wait longer for, but the best all the same


def test_a_loss_that_grows_too_slowly_stops_in_the_end():
    model = torch.nn.Linear(1, 1)
    stopping = vc.EarlyStopping(patience=10, threshold=3.0)
    answers = [stopping.update(0.2 * epoch, model) for epoch in range(11)]  # 2 nats in 10 evaluations
    assert answers == [False] * 10 + [True]


def test_best_weights_are_a_deep_copy():
    model = torch.nn.Linear(2, 2)
    stopping = vc.EarlyStopping()
    stopping.update(-1.0, model)
    best = deepcopy(model.state_dict())
    with torch.no_grad():
        model.weight += 1
    stopping.update(-2.0, model)
    assert all(torch.equal(stopping.best_weights[name], best[name]) for name in best)


def test_training_stops_early_and_restores_the_best_weights():
    stopping = vc.EarlyStopping(patience=8, threshold=0.5)
    trainer = make_trainer(train_size=0.5, lr=0.02, lr_schedule="constant", early_stopping=stopping)
    trainer.train(200)
    elbo = trainer.history["elbo_test_set"]
    assert len(elbo) == trainer.epoch < 200
    best = int(np.argmax(elbo))
    assert best < len(elbo) - 1  # so that the last weights are not the best ones
    reference = make_trainer(train_size=0.5, lr=0.02, lr_schedule="constant")
    reference.train(best + 1)
    assert_same_weights(trainer.model, reference.model)


def test_an_interrupted_training_leaves_the_best_weights_in_evaluation_mode():
    class Interrupted(vc.UnsupervisedTrainer):
        def loss(self, terms):
            if self.epoch == 60:
                raise KeyboardInterrupt
            return super().loss(terms)

    data, stopping = small_data(), vc.EarlyStopping(patience=1000)
    model = vc.VAE(data.n_genes, n_hidden=16, n_latent=3)
    options = {"train_size": 0.5, "batch_size": 16, "lr": 0.02, "early_stopping": stopping, "n_epochs_kl_warmup": 0}
    trainer = Interrupted(model, data, **options)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(100)
    assert not model.training
    assert np.argmax(trainer.history["elbo_test_set"]) < 59
    assert trainer.test_set.elbo() == pytest.approx(max(trainer.history["elbo_test_set"]), rel=1e-6)


def test_a_new_trainer_leaves_the_library_prior_of_a_trained_model_alone():
    model = make_trainer().model
    untrained = model.library_log_means.clone()
    make_trainer(small_data(seed=1), model)
    assert not torch.equal(model.library_log_means, untrained)  # nothing was learned yet
    make_trainer(model=model).train(1)
    trained = model.library_log_means.clone(), model.library_log_vars.clone()
    make_trainer(small_data(seed=2), model)
    assert torch.equal(model.library_log_means, trained[0])
    assert torch.equal(model.library_log_vars, trained[1])


def test_best_weights_are_restored_when_training_ends_before_patience_does():
    stopping = vc.EarlyStopping(patience=1000)
    trainer = make_trainer(train_size=0.5, lr=0.02, lr_schedule="constant", early_stopping=stopping)
    trainer.train(60)
    assert np.argmax(trainer.history["elbo_test_set"]) < 59
    for name, weights in trainer.model.named_parameters():
        assert torch.equal(weights, stopping.best_weights[name])


# --------------------------------------------------------------------------------------------------------------------
# What finishes a training
# --------------------------------------------------------------------------------------------------------------------


def averages(model):
    return {name: value.clone() for name, value in model.named_buffers() if "running" in name}


@pytest.mark.parametrize("kind", [vc.VAE, vc.FastVAE, vc.BinaryVAE])
@pytest.mark.parametrize("stopping", [None, vc.EarlyStopping(patience=1000)], ids=["last weights", "best weights"])
def test_after_training_the_running_averages_are_those_of_the_final_weights(kind, stopping):
    data = small_data() if kind is not vc.BinaryVAE else small_data().binarize()
    options = {"train_size": 0.6, "batch_size": 12, "lr": 0.02, "early_stopping": stopping}  # 3 equal minibatches
    trainer = make_trainer(data, kind(25, n_hidden=16, n_latent=3), **options)
    trainer.train(30)
    x = torch.from_numpy(data.counts[trainer.train_set.indices].toarray())
    encoder = trainer.model.encoder if kind is vc.BinaryVAE else trainer.model.z_encoder.encoder
    linear, norm = encoder.fc_layers[0][:2]
    expected = linear(x if kind is vc.BinaryVAE else torch.log1p(x)).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-4)
    assert not trainer.model.training


def test_the_same_weights_get_the_same_averages_in_a_second_trainer_that_learns_nothing():
    first = make_trainer()
    first.train(3)
    expected = averages(first.model)
    make_trainer(model=first.model, lr=0.0, weight_decay=0.0).train(1)
    assert all(torch.equal(value, expected[name]) for name, value in averages(first.model).items())


@pytest.mark.parametrize(("n_cells", "n_epochs"), [(30, 100), (10_000, 100), (20_000, 50), (10**6, 20)])
def test_the_number_of_epochs_suits_that_of_the_cells(n_cells, n_epochs):
    assert epochs_for(n_cells) == n_epochs


def test_training_takes_as_many_epochs_as_suit_the_training_cells():
    trainer = make_trainer(model=Rates())
    trainer.train()
    assert trainer.epoch == epochs_for(len(trainer.train_set))


class Rated(vc.UnsupervisedTrainer):
    """Notes the learning rate of every step."""

    def loss(self, terms):
        self.rates = [*getattr(self, "rates", []), self.optimizer.param_groups[0]["lr"]]
        return super().loss(terms)


def test_the_learning_rate_falls_as_a_cosine_in_every_call_and_can_be_constant():
    trainer = Rated(Rates(), small_data(), lr=0.1, train_size=1.0, n_epochs_kl_warmup=0)  # one step an epoch
    trainer.train(4)
    trainer.train(2)
    assert trainer.rates == pytest.approx([0.1, 0.05 + 0.05 / 2**0.5, 0.05, 0.05 - 0.05 / 2**0.5, 0.1, 0.05])
    trainer = Rated(Rates(), small_data(), lr=0.1, lr_schedule="constant", train_size=1.0, n_epochs_kl_warmup=0)
    trainer.train(3)
    assert trainer.rates == [0.1] * 3


@pytest.mark.parametrize(("metric", "on"), [("reconstruction_error", "train_set"), ("kl_global", "test_set")])
def test_early_stopping_watches_what_it_is_told_to(metric, on):
    stopping = vc.EarlyStopping(metric, on, patience=3, threshold=1e9)
    trainer = make_trainer(early_stopping=stopping)
    trainer.train(50)
    assert trainer.epoch == 4  # the first evaluation, and 3 without a gain of 1e9
    assert stopping.best_value == min(trainer.history[f"{metric}_{on}"])


def test_early_stopping_given_to_two_trainers_hands_neither_the_weights_of_the_other():
    stopping = vc.EarlyStopping(patience=1000)
    for model in (vc.VAE(25, n_hidden=16, seed=0), vc.VAE(25, n_hidden=24, seed=1)):
        trainer = make_trainer(model=model, early_stopping=stopping)
        trainer.train(2)
        best = trainer.early_stopping.best_weights["z_encoder.mean_encoder.weight"]
        assert torch.equal(model.z_encoder.mean_encoder.weight, best)
        assert trainer.early_stopping.best_value == max(trainer.history["elbo_test_set"])


@pytest.mark.parametrize(
    "options", [{"metric": "loss"}, {"on": "validation"}, {"patience": 0}, {"threshold": -1.0}], ids=str
)
def test_bad_options_of_early_stopping(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}.*got"):
        vc.EarlyStopping(**options)


def test_early_stopping_on_a_test_set_without_cells_is_refused():
    with pytest.raises(ValueError, match="train_size below 1"):
        make_trainer(train_size=1.0, early_stopping=vc.EarlyStopping())
    make_trainer(train_size=1.0, early_stopping=vc.EarlyStopping(on="train_set")).train(1)


# --------------------------------------------------------------------------------------------------------------------
# Minibatches
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_cells", "sizes"), [(33, [16, 17]), (17, [17]), (32, [16, 16]), (34, [16, 16, 2])])
def test_a_last_minibatch_of_one_cell_joins_the_one_before(n_cells, sizes):
    model = Recorder()
    make_trainer(small_data(n_cells), model, train_size=1.0).train(1)
    assert model.sizes == sizes


def test_batch_normalisation_survives_one_cell_too_many():
    trainer = make_trainer(small_data(33), train_size=1.0)
    trainer.train(2)
    assert np.isfinite(trainer.history["loss_train_set"]).all()


def test_every_training_cell_is_seen_once_per_epoch_in_a_new_order():
    data, model = small_data(40), Recorder()
    trainer = make_trainer(data, model, train_size=0.75)
    trainer.train(2)
    seen = torch.cat(model.cells).numpy()
    first, second = seen[:30], seen[30:]
    expected = data.counts[trainer.train_set.indices].toarray()
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(expected, axis=0))
    assert (first != second).any()
    assert (first != expected).any()


# --------------------------------------------------------------------------------------------------------------------
# Data that a latent library cannot learn from
# --------------------------------------------------------------------------------------------------------------------


def vae_for(data: vc.CountData, library: str) -> vc.VAE:
    return vc.VAE(data.n_genes, n_batch=data.n_batches, n_hidden=16, n_latent=3, library=library)


def with_a_batch_of_one_training_cell() -> vc.CountData:
    data = small_data(30)
    batch_index = np.zeros(30, dtype=int)
    batch_index[4] = 1
    return vc.CountData(data.counts, batch_index, batch_names=["many", "lonely"])


def with_one_total() -> vc.CountData:
    rng = np.random.default_rng(0)
    return vc.CountData(rng.multinomial(100, np.full(25, 1 / 25), size=30))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (with_a_batch_of_one_training_cell, r"'lonely' has 1 training cell.*library='observed'"),
        (with_one_total, r"same total count.*library='observed'"),
    ],
)
def test_what_a_latent_library_cannot_learn_from_is_refused_and_an_observed_one_takes_it(data, words):
    data = data()
    with pytest.raises(ValueError, match=words):
        make_trainer(data, vae_for(data, "latent"), train_size=1.0)
    trainer = make_trainer(data, vae_for(data, "observed"), train_size=1.0)
    trainer.train(2)
    assert np.isfinite(trainer.history["loss_train_set"]).all()


def test_a_model_without_batches_takes_data_with_a_batch_of_one_cell():
    data = with_a_batch_of_one_training_cell()
    make_trainer(data, vc.VAE(25, n_hidden=16), train_size=1.0).train(1)


def test_data_that_do_not_fit_the_model_are_refused():
    with pytest.raises(ValueError, match=r"26 genes.*25"):
        make_trainer(small_data(), vc.VAE(26))
    with pytest.raises(ValueError, match=r"3 batches.*2"):
        make_trainer(small_data(n_batches=2), vc.VAE(25, n_batch=3))
    with pytest.raises(ValueError, match=r"3 labels.*2"):
        make_trainer(small_data(), vc.VAE(25, n_labels=3, dispersion="gene-label"))


# --------------------------------------------------------------------------------------------------------------------
# Seeds
# --------------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_bitwise_the_same_weights_whatever_the_global_state():
    first, second = make_trainer(seed=7), make_trainer(seed=7)
    torch.manual_seed(1)
    first.train(5)
    torch.manual_seed(2)
    second.train(5)
    assert_same_weights(first.model, second.model)
    assert first.history == second.history


def test_five_epochs_and_five_more_are_ten():
    first, second = make_trainer(lr_schedule="constant"), make_trainer(lr_schedule="constant")
    first.train(10)
    second.train(5)
    torch.rand(3)
    second.test_set.elbo()
    second.test_set.get_latent(sample=True)  # looking at the model in between must not change what follows
    second.train(5)
    assert_same_weights(first.model, second.model)
    assert first.history["elbo_train_set"] == second.history["elbo_train_set"]
    # the averages were finished after five epochs too, which the evaluations of the next ones show
    assert first.history["elbo_test_set"][:5] == second.history["elbo_test_set"][:5]


def test_two_seeds_differ():
    first, second = make_trainer(seed=1, train_size=1.0), make_trainer(seed=2, train_size=1.0)
    assert_same_weights(first.model, second.model)  # the weights they start from have a seed of their own
    first.train(2)
    second.train(2)
    assert not torch.equal(first.model.px_r, second.model.px_r)


def test_global_random_states_are_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    trainer = make_trainer(early_stopping=vc.EarlyStopping())
    trainer.train(2)
    trainer.corrupt_posteriors(0.2, "binomial")
    trainer.train(1)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]


def test_global_random_state_is_left_alone_by_a_training_that_fails():
    trainer = make_trainer(lr=1e30)
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"not finite|NaN or infinite"):
        trainer.train(5)
    assert torch.equal(torch.get_rng_state(), state)


# --------------------------------------------------------------------------------------------------------------------
# NaN and infinity
# --------------------------------------------------------------------------------------------------------------------

ADVICE = r"Lower the learning rate \(lr\), and check that the data are raw counts"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_counts_are_named(value):
    data = small_data()
    trainer = make_trainer(data, train_size=1.0)
    data.counts.data[500] = value  # CountData refuses it, so that it has to come in by the back door
    with pytest.raises(ValueError, match=r"counts are not \(tensor x\)\. Check the data"):
        trainer.train(2)


@pytest.mark.parametrize("n_cells", [60, 16])
def test_an_absurd_learning_rate_is_refused_with_advice(n_cells):
    trainer = make_trainer(small_data(n_cells), lr=1e30, train_size=1.0)
    with pytest.raises(ValueError, match=ADVICE):
        trainer.train(3)


def test_a_model_that_broke_in_its_last_epoch_is_not_returned_silently():
    # one minibatch in one epoch: the weights are absurd but finite, and nothing but the test set can tell
    trainer = make_trainer(small_data(32), lr=1e30, train_size=0.5)
    with pytest.raises(ValueError, match=ADVICE):
        trainer.train(1)


@pytest.mark.parametrize("name", ["px_r", "l_encoder.mean_encoder.bias", "decoder.px_scale_decoder.0.weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_parameter_is_named(name, value):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.get_parameter(name).view(-1)[-1] = value
    with pytest.raises(ValueError, match=rf"{re.escape(name)}\b.*{ADVICE}"):
        trainer.train(1)


class Breaking(torch.nn.Module):
    """Two layers whose second one gives a bad number from a certain call on."""

    def __init__(self, good_calls: int, value: float) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(25, 4), BreakingLayer(good_calls, value)

    def loss_terms(self, x, batch_index=None, y=None):
        loss = self.second(self.first(torch.log1p(x))).square().sum(dim=-1)
        return loss, torch.zeros_like(loss), torch.zeros_like(loss)


class BreakingLayer(torch.nn.Module):
    def __init__(self, good_calls: int, value: float) -> None:
        super().__init__()
        self.good_calls, self.value = good_calls, value

    def forward(self, x):
        self.good_calls -= 1
        return x if self.good_calls >= 0 else x * self.value


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_bad_tensor_on_the_way_is_named(value):
    trainer = make_trainer(model=Breaking(3, value))
    with pytest.raises(ValueError, match=rf"first bad tensor is the output of second\. {ADVICE}"):
        trainer.train(3)


class BadTerm(Rates):
    """A loss term that is NaN though all that it is made of is fine."""

    def loss_terms(self, x, batch_index=None, y=None):
        reconstruction, kl_local, kl_global = super().loss_terms(x)
        return reconstruction, kl_local + torch.tensor(torch.nan), kl_global


def test_a_bad_term_of_the_loss_is_named():
    with pytest.raises(ValueError, match=rf"kl_local\. {ADVICE}"):
        make_trainer(model=BadTerm()).train(1)


def test_explaining_leaves_no_hooks_behind():
    model = Breaking(0, np.nan)
    with pytest.raises(ValueError, match="second"):
        make_trainer(model=model).train(1)
    assert not any(module._forward_hooks for module in model.modules())


# --------------------------------------------------------------------------------------------------------------------
# Any model trains
# --------------------------------------------------------------------------------------------------------------------


def test_binary_vae_trains():
    data = small_data(120).binarize()
    trainer = make_trainer(data, vc.BinaryVAE(25, n_hidden=16))
    trainer.train(20)
    assert trainer.history["elbo_train_set"][-1] > trainer.history["elbo_train_set"][0]
    assert trainer.history["kl_local_train_set"] == [0.0] * 20
    assert trainer.test_set.get_latent()[0].shape == (12, 2)


def test_binary_vae_refuses_counts():
    with pytest.raises(ValueError, match=r"binarize\(\)"):
        make_trainer(model=vc.BinaryVAE(25))


def test_a_module_with_nothing_but_loss_terms_trains_to_its_optimum():
    data = small_data()
    trainer = make_trainer(data, Rates(), train_size=1.0, lr=0.05, weight_decay=0.0)
    trainer.train(400)
    best = np.log(data.counts.toarray().mean(axis=0))
    np.testing.assert_allclose(trainer.model.log_rate.detach(), best, atol=0.05)


def test_a_loss_of_ones_own_needs_but_one_method():
    class ReconstructionTrainer(vc.UnsupervisedTrainer):
        def loss(self, terms):
            return terms.reconstruction.mean()

    data = small_data()
    trainer = ReconstructionTrainer(vc.VAE(25, n_hidden=16), data, batch_size=16, n_epochs_kl_warmup=0)
    trainer.train(2)
    np.testing.assert_allclose(
        trainer.history["loss_train_set"], trainer.history["reconstruction_error_train_set"], rtol=1e-6
    )


def test_the_base_class_has_no_loss():
    with pytest.raises(NotImplementedError):
        Trainer(Rates(), small_data()).loss(None)


# --------------------------------------------------------------------------------------------------------------------
# Corruption
# --------------------------------------------------------------------------------------------------------------------


def test_posteriors_are_corrupted_together_and_restored():
    trainer = make_trainer()
    before = trainer.data.counts.copy()
    trainer.corrupt_posteriors(0.4, seed=3)
    damaged = trainer.data.corrupt(0.4, seed=3)
    for posterior in (trainer.train_set, trainer.test_set):
        assert (posterior.seen.counts != damaged.counts).nnz == 0
        assert posterior.data is trainer.data
    trainer.train(1)
    trainer.uncorrupt_posteriors()
    for posterior in (trainer.train_set, trainer.test_set):
        assert (posterior.seen.counts != before).nnz == 0
    assert (trainer.data.counts != before).nnz == 0


def test_a_second_corruption_replaces_the_first():
    # scVI 0.3.0 ignores it
    trainer = make_trainer()
    trainer.corrupt_posteriors(0.4)
    trainer.corrupt_posteriors(0.1, "binomial", seed=5)
    expected = trainer.data.corrupt(0.1, "binomial", seed=5)
    assert (trainer.test_set.seen.counts != expected.counts).nnz == 0


def test_training_sees_the_damaged_counts_alone():
    data, model = small_data(), Recorder()
    trainer = make_trainer(data, model, train_size=1.0)
    trainer.corrupt_posteriors(1.0)
    trainer.train(1)
    assert not torch.cat(model.cells).any()


@pytest.mark.parametrize("library", ["latent", "observed"])
def test_training_survives_cells_that_corruption_emptied(library):
    data = small_data()
    trainer = make_trainer(data, vae_for(data, library), train_size=1.0)
    trainer.corrupt_posteriors(0.97)
    assert (trainer.train_set.seen.counts.sum(axis=1) == 0).any()
    trainer.train(2)
    assert np.isfinite(trainer.history["loss_train_set"]).all()


def test_unknown_corruption_is_refused_and_changes_nothing():
    trainer = make_trainer()
    with pytest.raises(ValueError, match="'uniform' or 'binomial'"):
        trainer.corrupt_posteriors(0.1, "gaussian")
    assert trainer.test_set.seen is trainer.data


# --------------------------------------------------------------------------------------------------------------------
# Bad options
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"train_size": 0.0},
        {"train_size": 1.1},
        {"train_size": -0.5},
        {"batch_size": 1},
        {"batch_size": 0},
        {"n_epochs_kl_warmup": -1},
        {"lr": -1.0},
        {"lr_schedule": "linear"},
        {"eps": -1.0},
        {"weight_decay": -1.0},
    ],
    ids=str,
)
def test_bad_options_of_the_trainer(options):
    with pytest.raises(ValueError, match=rf"{next(iter(options))}|Invalid"):
        make_trainer(**options)


def test_too_few_training_cells_are_refused():
    with pytest.raises(ValueError, match="at least 2 cells, got 1 of 60"):
        make_trainer(train_size=0.01)


@pytest.mark.parametrize("n_epochs", [0, -3])
def test_training_needs_an_epoch(n_epochs):
    with pytest.raises(ValueError, match=r"n_epochs.*at least 1"):
        make_trainer().train(n_epochs)


# --------------------------------------------------------------------------------------------------------------------
# The progress bar
# --------------------------------------------------------------------------------------------------------------------

SCRIPT = """
import vae_course as vc
data = vc.simulate_counts(n_cells=40, n_genes=10, seed=0)
vc.UnsupervisedTrainer(vc.VAE(10, n_hidden=8), data, n_epochs_kl_warmup=0).train(30)
"""


def printed(script: str, **changes: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**changes), check=True)


def environment(**changes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TQDM")} | changes


def test_the_progress_bar_is_silent_without_a_terminal():
    result = printed(SCRIPT)
    assert (result.stdout, result.stderr) == ("", "")


LONG = """
import time
import vae_course as vc
from vae_course.runtime import progress
progress.SECONDS_BETWEEN_LINES = 0.3
step = vc.Trainer._step
vc.Trainer._step = lambda *arguments: (time.sleep(0.01), step(*arguments))[1]  # stands for more cells
data = vc.simulate_counts(n_cells=400, n_genes=10, seed=0)
vc.UnsupervisedTrainer(vc.VAE(10, n_hidden=8), data, train_size=1.0, batch_size=4, n_epochs_kl_warmup=0).train(2)
"""


def test_a_long_run_without_a_terminal_writes_a_plain_line_now_and_then():
    start = time.monotonic()
    result = printed(LONG)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 2 <= len(lines) <= (time.monotonic() - start) / 0.3  # 200 minibatches of at least a hundredth of a second
    assert not re.search(r"[\r\x1b]", result.stderr)
    shares = []
    for line in lines:
        shown = re.fullmatch(r"training, epoch [12]/2: (\d+)% \[\d\d:\d\d<\d\d:\d\d, .*cells/s, loss=\d+\.\d\]", line)
        assert shown, line
        shares.append(int(shown[1]))
    assert shares == sorted(shares)
    assert len(set(shares)) > 2  # it moves within an epoch
    assert 0 < shares[0] < 50


def test_a_long_run_is_silent_with_tqdm_disable():
    assert printed(LONG, TQDM_DISABLE="1").stderr == ""


def shown_on_a_terminal(script: str = SCRIPT, **changes: str) -> str:
    """Run a script with a pseudo-terminal as its standard error; return what a person would see."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))  # a new one has no columns, in which nothing can be shown
    process = subprocess.Popen([sys.executable, "-c", script], stderr=theirs, env=environment(**changes))
    os.close(theirs)
    shown, end = b"", time.monotonic() + 120
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so that the other side is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_the_progress_bar_shows_epochs_loss_and_time_left_on_a_terminal():
    shown = shown_on_a_terminal()
    last = re.split(r"[\r\n]+", shown.strip())[-1]
    assert "training" in last
    assert "30/30" in last
    assert "100%" in last
    assert "1.08k/1.08k" in last  # 36 training cells in 30 epochs
    assert re.search(r"loss=\d+\.\d", last)
    assert re.search(r"\d\d:\d\d<\d\d:\d\d, .*cells/s", last)  # elapsed<left, speed


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_the_progress_bar_moves_within_an_epoch_and_does_not_flicker():
    shown = re.split(r"[\r\n]+", shown_on_a_terminal(LONG))
    first_epoch = {int(share) for share in re.findall(r"epoch 1/2: +(\d+)%", "\n".join(shown))}
    assert len(first_epoch) > 4
    assert len(shown) < 150  # 200 minibatches in 2 seconds or more, at most 10 updates a second


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_the_progress_bar_is_silent_with_tqdm_disable():
    assert shown_on_a_terminal(TQDM_DISABLE="1") == ""


def test_a_trainer_can_be_copied_before_and_after_training():
    trainer = make_trainer()
    trainer.train(1)
    copied = deepcopy(trainer)
    trainer.train(1)
    copied.train(1)
    assert_same_weights(trainer.model, copied.model)


def test_training_after_an_early_stop_says_that_it_does_nothing():
    stopping = vc.EarlyStopping(patience=1, threshold=1e9)
    trainer = vc.UnsupervisedTrainer(
        vc.VAE(20, n_hidden=8), vc.simulate_counts(60, 20), n_epochs_kl_warmup=0, early_stopping=stopping
    )
    trainer.train(5)
    done = trainer.epoch
    with pytest.warns(UserWarning, match="stopped early before"):
        trainer.train(5)
    assert trainer.epoch == done
