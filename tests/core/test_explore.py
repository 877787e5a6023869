"""The explorables' pages, as Python makes them; tests/site drives them in a browser."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import vae_course as vc
from vae_course import explore

NAMES = ("batch_norm", "batches", "beta", "counts", "descent", "elbo", "kl", "pca", "posterior", "reparameterization")


@pytest.fixture(scope="module")
def learner():
    """A small model of the digits, as a learner may have it, and its data."""
    digits = vc.load_digits()
    model = vc.BinaryVAE(digits.n_genes, n_hidden=32, seed=0)
    vc.UnsupervisedTrainer(model, digits, n_epochs_kl_warmup=1, seed=1).train(4)
    return model, digits


def test_all_are_here():
    assert {*NAMES, "walk", "Explorable", "model"} == set(explore.__all__)


@pytest.mark.parametrize("name", [*NAMES, "walk"])
def test_a_page_is_small_and_whole(learner, name, tmp_path):
    made = getattr(explore, name)(*learner if name == "walk" else ())
    page, frame = made.html, made._repr_html_()
    assert made.save(tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert len(page.encode()) < 100_000
    assert len(frame.encode()) < 100_000
    assert re.findall(r"(?:src|href)=[\"'](?!data:)", page) == []
    alt = re.search(r'<img src="data:image/png;base64,[\w+/=]{1000,}" alt="([^"]+)"', frame)[1]
    assert 80 < len(alt) < 600
    assert repr(made).startswith(made.title)


def test_what_a_user_named_is_text():
    data = vc.simulate_counts(n_cells=30, n_genes=4, seed=0)
    genes = ["</script><b>", "a&b", "'\"", "<!--"]
    data = vc.CountData(data.counts, gene_names=genes)
    page = explore.pca(data, genes=genes[:2]).html
    assert "</script><b>" not in page
    assert json.loads(re.search(r'type="application/json">(.*?)</script>', page)[1])["names"] == genes[:2]


def test_a_class_that_a_learner_wrote_will_do(learner):
    model, data = learner
    own = torch.nn.Module()  # as in lesson 3: the package's parameter names, and nothing else of it
    for name, module in model.named_children():
        setattr(own, name, module)
    assert explore.walk(own, data).html == explore.walk(model, data).html
    assert explore.model(own, data).html == explore.model(model, data).html


def test_many_cells_are_thinned_out():
    rows = np.random.default_rng(0).poisson(1, (2500, 64)) + 1
    own = vc.VAE(64, n_latent=2, n_hidden=8)
    data = vc.CountData(rows)
    own.prepare(data)
    assert '"shape":[2000,64]' in explore.model(own, data).html


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: explore.pca(data, ["CST3"]), "expected two names, one for each axis, got 1"),
        (lambda data: explore.pca(data, ["CST3", "NOPE"]), "the data have no 'NOPE'"),
        (lambda data: explore.counts(data, []), "expected at least one name, got none"),
        (lambda data: explore.counts(data, ["NOPE"]), "the data have no 'NOPE'"),
        (lambda data: explore.walk(vc.BinaryVAE(64, n_latent=3), data), "2 latents, got a BinaryVAE with 3 latents"),
        (lambda data: explore.walk(vc.VAE(765, n_latent=2), data), "needs a BinaryVAE with 2 latents, got a VAE"),
        (lambda data: explore.walk(vc.BinaryVAE(64), data), "64"),
        (lambda data: explore.walk(vc.BinaryVAE(765), data), "use data.binarize()"),
    ],
)
def test_bad_input_gets_a_sentence(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(vc.load_pbmc())


@pytest.mark.parametrize(
    ("own", "data", "message"),
    [
        (lambda: nn.Linear(64, 2), vc.load_digits, "with the package's parameter names, got Linear"),
        (lambda: vc.BinaryVAE(64, n_latent=3), vc.load_digits, "two latents, got n_latent=3"),
        (lambda: vc.VAE(765), vc.load_pbmc, "two latents, got n_latent=10"),
        (lambda: vc.BinaryVAE(64), lambda: [[1]], "as CountData, got list"),
        (lambda: vc.VAE(765, n_latent=2, likelihood="poisson"), vc.load_pbmc, "likelihood='zinb' or 'nb', got 'poi"),
        (lambda: vc.VAE(765, n_latent=2, dispersion="gene-cell"), vc.load_pbmc, "dispersion='gene', got 'gene-cell'"),
        (lambda: vc.VAE(765, n_latent=2, library="observed"), vc.load_pbmc, "library='latent', got 'observed'"),
        (lambda: vc.VAE(765, n_latent=2, n_batch=2), vc.load_pbmc, "without batches and covariates, got n_batch=2"),
        (lambda: vc.VAE(765, n_latent=2), vc.load_pbmc, "The prior of the library is not set yet"),
        (lambda: vc.BinaryVAE(64), vc.load_pbmc, "built for 64 genes"),
        (lambda: vc.BinaryVAE(765), vc.load_pbmc, "needs entries 0 and 1"),
    ],
)
def test_what_it_cannot_show_it_refuses_in_a_sentence(own, data, message):
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        explore.model(own(), data())
    assert "\n" not in str(raised.value)


def test_weights_that_are_no_numbers_are_refused():
    own = vc.BinaryVAE(64)
    nn.init.constant_(own.mean_encoder.weight, torch.nan)
    with pytest.raises(ValueError, match="finite weights"):
        explore.model(own, vc.load_digits())
