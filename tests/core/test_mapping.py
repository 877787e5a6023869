"""A new batch for a trained model: the old numbers stay, whatever trains it, and files and state dicts stay whole."""

import copy

import pytest
import torch
from torch import nn

import vae_course as vc

OPTIONS = {
    "plain": {},
    "deep, with covariates": {"n_layers": 2, "n_cats_per_cov": [3, 2], "n_continuous_cov": 1},
    "gene-batch": {"dispersion": "gene-batch", "library": "observed", "likelihood": "nb"},
}


@pytest.fixture(params=OPTIONS)
def model(request):
    model = vc.VAE(6, n_batch=2, n_hidden=8, n_latent=3, **OPTIONS[request.param])
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in (t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()):
            tensor.uniform_(-0.5, 0.5) if isinstance(tensor, nn.Parameter) else tensor.uniform_(0.6, 1.4)
    return model.eval()


def numbers(model, codes):
    """What a model makes of ten cells."""
    torch.manual_seed(1)
    x = torch.arange(60).reshape(10, 6) % 5 + 1.0
    covariates = torch.tensor([[k % 3, k % 2, 0.1 * k] for k in range(10)]) if model.n_covariates else None
    return torch.stack(model.loss_terms(x, codes, covariates=covariates))


OLD, NEW = torch.arange(10) % 2, 2 + torch.arange(10) % 2


def trained(model, **options):
    """Give the new batches a prior, and take a few steps of Adam with weight decay on cells of all batches."""
    grown = vc.add_batches(model, 2)
    for prior in (grown.library_log_means, grown.library_log_vars):
        prior.nan_to_num_(1.0)
    optimizer = torch.optim.Adam(grown.parameters(), lr=0.05, weight_decay=0.1, **options)
    for _ in range(3):
        loss = numbers(grown.train(), torch.arange(10) % 4).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return grown.eval()


def test_the_old_batches_keep_their_numbers_though_the_new_have_no_prior(model):
    grown = vc.add_batches(model, 2)
    torch.testing.assert_close(numbers(grown, OLD), numbers(model, OLD))
    assert grown.library_log_means[:, 2:].isnan().all()
    assert grown.library_log_vars[:, 2:].isnan().all()
    if model.library == "latent":
        with pytest.raises(ValueError, match="prior of the library is not set"):
            numbers(grown, NEW)


def test_only_columns_of_new_batches_learn_also_under_weight_decay(model):
    before, grown = vc.add_batches(model, 2), trained(model)
    for prior in (before.library_log_means, before.library_log_vars):
        prior.nan_to_num_(1.0)
    assert torch.equal(numbers(grown, OLD), numbers(before, OLD))
    assert not torch.allclose(numbers(grown, NEW), numbers(before, NEW))
    weights, changed = before.state_dict(), []
    for name, weight in grown.state_dict().items():
        if not torch.equal(weight, weights[name]):
            others = sum(model.decoder.px_decoder.n_cat_list[1:]) if "px_decoder" in name else 0
            columns = (weight != weights[name]).any(dim=0).nonzero().flatten().tolist()
            assert set(columns) <= set(range(weight.shape[1] - others - 2, weight.shape[1] - others))
            changed.append(name)
    assert len(changed) == model.options["n_layers"] + (model.dispersion == "gene-batch")


def test_a_grown_model_is_saved_loaded_copied_and_grown_again(model, tmp_path):
    grown = trained(model)
    grown.save(tmp_path / "grown.pt")
    loaded = vc.VAE.load(tmp_path / "grown.pt")
    assert grown.state_dict().keys() == loaded.state_dict().keys() == vc.VAE(**grown.options).state_dict().keys()
    again = vc.add_batches(model, 2)
    again.load_state_dict(grown.state_dict())
    for other in (loaded, again, copy.deepcopy(grown)):
        assert torch.equal(numbers(other, NEW), numbers(grown, NEW))
    torch.testing.assert_close(numbers(vc.add_batches(grown, 1), NEW), numbers(grown, NEW))


def test_the_trainer_leaves_the_old_batches_alone():
    data = vc.simulate_counts(90, 12, n_labels=2, n_batches=2, n_latent=2, seed=0)
    model = vc.FastVAE(12, n_batch=2, n_hidden=8, n_latent=2)
    vc.UnsupervisedTrainer(model, data, n_epochs_kl_warmup=0).train(1)
    grown = vc.add_batches(model, 1)
    assert type(grown) is vc.VAE
    assert grown.names.batches == ["0", "1", "new batch 1"]
    grown.names.batches[-1] = "2"
    new = vc.CountData(data.counts[:30], [2] * 30, batch_names=["0", "1", "2"])
    grown.library_log_means[:, 2], grown.library_log_vars[:, 2] = 5.0, 0.3
    norms = [module for module in grown.modules() if isinstance(module, nn.BatchNorm1d)]
    averages = [norm.running_mean.clone() for norm in norms]
    vc.UnsupervisedTrainer(grown, new, n_epochs_kl_warmup=0).train(2)
    assert all(torch.equal(norm.running_mean, one) for norm, one in zip(norms, averages, strict=True))


def test_what_cannot_grow_is_refused(model):
    with pytest.raises(ValueError, match="at least 2 batches"):
        vc.add_batches(vc.VAE(6), 1)
    with pytest.raises(ValueError, match="at least 1 new one"):
        vc.add_batches(model, 0)
