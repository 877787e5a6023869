"""Where a model computes: on the CPU, and on a GPU as well where there is one."""

import numpy as np
import pytest
import torch

import vae_course as vc
from vae_course.runtime.devices import CountsOnGPU, computing_on, device_of, resolve_device, rows_on

DATA = vc.simulate_counts(80, 30, n_batches=2, seed=0)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.delenv("VAE_COURSE_DEVICE", raising=False)
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert vc.UnsupervisedTrainer(vc.VAE(30), DATA).device == resolve_device("auto")
    assert vc.Posterior(vc.VAE(30), DATA).device == resolve_device("auto")


def test_a_variable_of_the_environment_says_what_auto_is(monkeypatch):
    monkeypatch.setenv("VAE_COURSE_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cpu")


def test_a_wrong_variable_of_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("VAE_COURSE_DEVICE", "gpu")
    with pytest.raises(ValueError, match=r"VAE_COURSE_DEVICE has to be .* got 'gpu'"):
        resolve_device("auto")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 3.5, None])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(device):
    with pytest.raises(ValueError, match=r"device has to be 'auto', 'cpu' or .*, got") as caught:
        vc.UnsupervisedTrainer(vc.VAE(30), DATA, device=device)
    assert "\n" not in str(caught.value)


def test_the_model_is_back_afterwards_even_after_an_error():
    class Watched(torch.nn.Linear):
        moves = []  # noqa: RUF012

        def to(self, device):
            self.moves.append(str(device))
            return self

    model = Watched(1, 1)
    with pytest.raises(KeyError), computing_on(torch.device("meta"), model):
        raise KeyError
    assert model.moves == ["meta", "cpu"]
    assert device_of(torch.nn.ReLU()) == torch.device("cpu")


@pytest.mark.parametrize("indices", [[0], [3, 1, 2], [79, 79, 0], np.arange(80), []])
def test_rows_made_on_the_device_are_those_of_the_matrix(indices):
    damaged = DATA.corrupt(0.9)  # with cells that are empty
    counts = CountsOnGPU.copy(damaged.counts, torch.device("cpu"))
    indices = np.asarray(indices, dtype=np.int64)
    assert np.array_equal(counts[indices].numpy(), damaged.counts[indices].toarray())


@pytest.mark.parametrize(("free", "stays"), [(10**9, True), (10**3, False)])
def test_counts_stay_on_a_gpu_if_they_fit(monkeypatch, free, stays):
    copy = CountsOnGPU.copy
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    monkeypatch.setattr(CountsOnGPU, "copy", lambda counts, device: copy(counts, torch.device("cpu")))
    assert isinstance(rows_on(torch.device("cuda"), DATA.counts), CountsOnGPU) is stays
    assert rows_on(torch.device("cpu"), DATA.counts) is DATA.counts


def test_counts_are_copied_to_a_device_once_and_other_counts_anew():
    device = torch.device("cpu")
    assert DATA.counts_on(device) is DATA.counts_on(device)
    damaged = DATA.corrupt(0.5)
    assert damaged.counts_on(device) is damaged.counts


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_gives_the_same_latents_and_trains(device):
    x, batch_index, labels = DATA.minibatch(np.arange(80))
    model = vc.VAE(30, n_batch=2, dropout_rate=0.0).eval()
    latent = model.sample_from_posterior_z(x, give_mean=True).detach().numpy()
    assert np.allclose(vc.Posterior(model, DATA, device=device).get_latent()[0], latent, atol=1e-4)
    trainer = vc.UnsupervisedTrainer(model, DATA, n_epochs_kl_warmup=1, device=device)
    trainer.train(20)
    assert trainer.history["loss_train_set"][-1] < trainer.history["loss_train_set"][0]
    assert device_of(model) == torch.device("cpu")
    assert torch.isfinite(model.loss_terms(x, batch_index, labels).reconstruction).all()


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_goes_on_where_it_was_interrupted_on_every_device(tmp_path, device):
    def trainer():
        options = {"lr_schedule": "constant", "n_epochs_kl_warmup": 1, "device": device}
        return vc.UnsupervisedTrainer(vc.VAE(30), DATA, **options)

    whole, first, second = trainer(), trainer(), trainer()
    whole.train(4, tmp_path / "whole.pt")
    first.train(2, tmp_path / "part.pt")
    second.train(2, tmp_path / "part.pt", resume=True)
    second.train(2, tmp_path / "part.pt", resume=True)
    assert second.epoch == whole.epoch
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(value, second.model.state_dict()[name], msg=name)
