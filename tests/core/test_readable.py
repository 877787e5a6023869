"""What a learner reads is what trains: no other code, and a short way from `train` to the likelihood."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vae_course as vc

PACKAGE = Path(vc.__file__).parent
MOST_FUNCTIONS, MOST_FILES = 15, 4
DATA = vc.simulate_counts(n_cells=60, n_genes=12, n_batches=2, seed=0)


def train_an_epoch(model: torch.nn.Module | None = None) -> list[float]:
    """Train a fresh model for two epochs; return what was minimised."""
    model = vc.VAE(DATA.n_genes, n_batch=2, n_hidden=8, n_latent=2) if model is None else model
    trainer = vc.UnsupervisedTrainer(model, DATA, n_epochs_kl_warmup=0)
    trainer.train(2)
    return trainer.history["loss_train_set"]


@pytest.fixture(scope="module")
def untouched():
    return train_an_epoch()


@pytest.mark.parametrize(
    "data", [vc.load_pbmc(), DATA, vc.simulate_counts(n_cells=60, n_genes=12, seed=0)], ids=["pbmc", "2 batches", "1"]
)
def test_few_functions_lie_between_train_and_the_likelihood(data, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    trainer = vc.UnsupervisedTrainer(vc.VAE(data.n_genes, n_batch=data.n_batches), data, n_epochs_kl_warmup=0)
    called = []

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            called.append((code.co_filename, code.co_qualname))
            if code.co_name == "zinb_log_prob":
                sys.setprofile(None)

    sys.setprofile(note)
    try:
        trainer.train(1)
    finally:
        sys.setprofile(None)
    functions = list(dict.fromkeys(called))
    assert [name for _, name in functions[:1] + functions[-1:]] == ["Trainer.train", "zinb_log_prob"]
    assert len(functions) <= MOST_FUNCTIONS, functions
    assert len({file for file, _ in functions}) <= MOST_FILES, functions


def replace_everywhere(monkeypatch, function, replacement):
    """Replace a function of the package in every module that has imported it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("vae_course") and getattr(module, function.__name__, None) is function:
            monkeypatch.setattr(module, function.__name__, replacement)


@pytest.mark.parametrize("name", ["zinb_log_prob", "kl_normal", "kl_standard_normal", "sample_normal"])
def test_another_function_changes_the_next_epoch(monkeypatch, untouched, name):
    function = getattr(vc.distributions, name)
    replace_everywhere(monkeypatch, function, lambda *arguments: 0.5 * function(*arguments))
    assert train_an_epoch() != untouched


@pytest.mark.parametrize(("owner", "name"), [(vc.nn.FCLayers, "forward"), (vc.nn.DecoderSCVI, "forward")])
def test_a_part_that_is_changed_in_place_changes_the_next_epoch(monkeypatch, untouched, owner, name):
    method = getattr(owner, name)

    def changed(self, *arguments):
        result = method(self, *arguments)
        return 0.5 * result if isinstance(result, torch.Tensor) else (*result[:-1], result[-1] + 1)

    monkeypatch.setattr(owner, name, changed)
    assert train_an_epoch() != untouched


def test_a_loss_that_is_changed_in_place_changes_the_next_epoch(monkeypatch, untouched):
    loss_terms = vc.VAE.loss_terms
    monkeypatch.setattr(vc.VAE, "loss_terms", lambda self, *a: [2 * term for term in loss_terms(self, *a)])
    assert train_an_epoch() != untouched


def test_a_loss_that_is_changed_by_a_subclass_changes_the_next_epoch(untouched):
    class Doubled(vc.VAE):
        def loss_terms(self, *arguments):
            return [2 * term for term in super().loss_terms(*arguments)]

    assert train_an_epoch(Doubled(DATA.n_genes, n_batch=2, n_hidden=8, n_latent=2)) != untouched


def test_a_line_that_is_changed_in_the_source_changes_the_next_epoch(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "vae_course", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "vae_course" / "distributions.py"
    old = "def zinb_log_prob(x: Tensor,"
    text = source.read_text(encoding="utf-8")
    assert old in text
    without = text.replace(old, "def _zinb_log_prob(x: Tensor,")
    source.write_text(
        f"{without}\n\ndef zinb_log_prob(*given):\n    return 0 * _zinb_log_prob(*given)\n", encoding="utf-8"
    )
    script = """
import vae_course as vc
data = vc.simulate_counts(n_cells=60, n_genes=12, seed=0)
trainer = vc.UnsupervisedTrainer(vc.VAE(12, n_hidden=8), data, n_epochs_kl_warmup=1)
trainer.train(2)
print(trainer.history["reconstruction_error_train_set"])
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[0.0, 0.0]"
