"""Answers that passed: kept, brought back in a new session, and said whose they are; the learner's model as a `VAE`."""

import linecache

import numpy as np
import pytest
import torch
from right_answers import ModelByHand

import vae_course as vc
from vae_course.exercises import EXERCISES, as_vae, catch_up, exercise, reset, whose
from vae_course.exercises.e5_9.answer import MyVAE
from vae_course.exercises.kept import _path

CELL = """import math

def helper(counts):
    return counts.sum(dim=1)


@exercise("0.1")
def library_size(counts):
    \"\"\"Mine.\"\"\"
    return helper(counts)

print("not again")
"""


def run_cell(text, names, file="<a cell>"):
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    exec(compile(text, file, "exec"), names)


def test_an_answer_that_passed_comes_back_in_a_new_session(capsys):
    run_cell(CELL, {"exercise": exercise})
    capsys.readouterr()
    names = {}
    catch_up(names, "0.1")
    assert names["library_size"].__doc__ == "Mine."
    assert names["library_size"](torch.ones(2, 3)).tolist() == [3, 3]
    assert capsys.readouterr().out == ""
    whose(names["library_size"], EXERCISES["0.2"].reference)
    assert capsys.readouterr().out == "yours: library_size\nthe package's: log_normalize\n"


def test_a_class_comes_back_with_the_learners_own_parts_in_it():
    names = {"exercise": exercise}
    run_cell('@exercise("0.1")\ndef library_size(counts):\n    "Mine."\n    return counts.sum(1)\n', names)
    text = 'from torch import nn\n\n@exercise("2.5")\nclass GaussianHead(nn.Module):\n    "Mine."\n'
    text += "    def __init__(self, n_in, n_latent):\n        super().__init__()\n"
    text += "        self.a = nn.Linear(n_in, n_latent)\n"
    text += (
        "        self.b = nn.Linear(n_in, n_latent)\n\n    def forward(self, h):\n        return self.a(h), self.b(h)\n"
    )
    run_cell(text, names, "<another cell>")
    later = {}
    catch_up(later, "2.5", "0.1")
    assert later["GaussianHead"].__doc__ == later["library_size"].__doc__ == "Mine."
    assert list(dict(later["GaussianHead"](2, 3).named_children())) == ["a", "b"]


def test_what_the_package_adds_is_made_of_the_learners_own_parts():
    class Layers(vc.nn.FCLayers):
        pass

    names = {"FCLayers": Layers}
    catch_up(names, "vae_course.nn.Encoder")
    assert isinstance(names["Encoder"](4, 2).encoder, Layers)
    names = {}
    catch_up(names, "vae_course.nn.Encoder")
    assert names == {"Encoder": vc.nn.Encoder}


@pytest.mark.parametrize("text", ["def library_size(counts):\n    return gone(counts)\n", "no Python", ""])
def test_where_a_kept_answer_works_no_longer_the_reference_stands_in(text):
    path = _path(EXERCISES["0.1"])
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    names = {}
    catch_up(names, "0.1")
    assert names["library_size"] is EXERCISES["0.1"].reference


def test_a_wrong_answer_is_not_kept_and_a_reset_forgets():
    run_cell(CELL.replace("dim=1", "dim=0"), {"exercise": exercise}, "<wrong>")
    assert not _path(EXERCISES["0.1"]).exists()
    run_cell(CELL, {"exercise": exercise}, "<right>")
    assert _path(EXERCISES["0.1"]).exists()
    reset("0.1")
    assert not _path(EXERCISES["0.1"]).exists()
    with pytest.raises(ValueError, match="no exercise"):
        catch_up({}, "9.9")


@pytest.mark.parametrize("own", [MyVAE, ModelByHand])
def test_a_model_of_ones_own_trains_and_answers_as_the_packages_does(own, tmp_path):
    data = vc.simulate_counts(60, 12, n_batches=2, n_labels=2, mean_library=100, seed=0)
    models = [as_vae(own)(12, n_batch=2, n_hidden=8, n_latent=3), vc.VAE(12, n_batch=2, n_hidden=8, n_latent=3)]
    models[1].load_state_dict(models[0].state_dict())
    asked = []
    for model in models:
        trainer = vc.UnsupervisedTrainer(model, data, batch_size=20, n_epochs_kl_warmup=1, seed=0)
        trainer.train(2)
        posterior = trainer.test_set
        asked.append([posterior.elbo(), *posterior.get_latent()[0][0]])
        assert posterior.marginal_ll(20) > posterior.elbo()  # several draws at once
        asked[-1] += [*posterior.get_harmonized_scale(0)[0], *posterior.imputation(n_samples=2)[0, 0]]
    assert np.allclose(*asked, rtol=1e-2 if own is ModelByHand else 1e-4)  # whose noise in dropout is drawn in turns
    models[0].save(tmp_path / "model.pt")
    loaded = vc.VAE.load(tmp_path / "model.pt")
    assert vc.Posterior(loaded, data).elbo() == pytest.approx(vc.Posterior(models[0], data).elbo(), rel=1e-4)


def test_a_model_of_ones_own_with_a_single_batch_ignores_the_codes():
    data = vc.simulate_counts(40, 8, n_batches=2, mean_library=100, seed=0)
    trainer = vc.UnsupervisedTrainer(as_vae(MyVAE)(8, n_hidden=8, n_latent=2), data, n_epochs_kl_warmup=1, seed=0)
    trainer.train(2)
    assert np.isfinite(trainer.test_set.elbo())
    with pytest.raises(ValueError, match="prior of the library is not set"):
        as_vae(MyVAE)(8).loss_terms(torch.ones(4, 8))
