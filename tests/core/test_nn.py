"""The networks: names and shapes of scVI 0.3.0's parameters, covariates, samples on a leading axis."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import vae_course as vc
from vae_course.nn import DecoderSCVI, Encoder, FCLayers, finish_batch_norm, one_hot

pytestmark = pytest.mark.numerical
G, H, L = 7, 5, 3  # genes, hidden, latents


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shapes(module):
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def layer_shapes(prefix, width_in, i=0, width_out=H):
    """Return the state of one fully connected layer with batch normalisation, as in scVI 0.3.0."""
    name = f"{prefix}fc_layers.Layer {i}."
    normalisation = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (width_out,))
    return {
        f"{name}0.weight": (width_out, width_in),
        f"{name}0.bias": (width_out,),
        **{f"{name}1.{key}": shape for key, shape in normalisation.items()},
        f"{name}1.num_batches_tracked": (),
    }


def linear_shapes(name, width_in, width_out):
    return {f"{name}.weight": (width_out, width_in), f"{name}.bias": (width_out,)}


# --------------------------------------------------------------------------------------------------------------------
# one_hot
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [torch.tensor([2, 0]), torch.tensor([[2], [0]]), torch.tensor([2.0, 0.0])])
def test_one_hot_of_codes(codes):
    found = one_hot(codes, 3)
    assert found.dtype == torch.float32
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_one_hot_passes_what_is_one_hot_already():
    columns = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert torch.equal(one_hot(columns, 2), columns)
    assert torch.equal(one_hot(columns.long(), 2), columns)


def test_one_hot_of_a_single_category_is_ones_not_the_codes():
    # (cells, 1) has the width of a one-hot matrix of one category, but holds codes
    assert one_hot(torch.zeros(3, 1), 1).tolist() == [[1.0]] * 3


def test_one_hot_of_no_cells():
    assert one_hot(torch.empty(0, dtype=torch.int64), 3).shape == (0, 3)


@pytest.mark.parametrize(("codes", "found"), [([0, 3], "0 to 3"), ([-1, 2], "-1 to 2"), ([[5], [1]], "1 to 5")])
def test_one_hot_refuses_codes_out_of_range(codes, found):
    with pytest.raises(ValueError, match=rf"0\.\.2 \(3 categories\), got {found}"):
        one_hot(torch.tensor(codes), 3)


@pytest.mark.parametrize("shape", [(4, 2), (4, 5), (2, 4, 1), ()])
def test_one_hot_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=rf"\(cells,\) or \(cells, 1\), got \({str(shape)[1:-1]}\)"):
        one_hot(torch.zeros(shape), 3)


def test_one_hot_refuses_codes_that_are_not_whole_numbers():
    with pytest.raises(ValueError, match=r"0\.5"):
        one_hot(torch.tensor([0.0, 0.5]), 2)


# --------------------------------------------------------------------------------------------------------------------
# FCLayers
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_cat_list", "extra"), [(None, 0), ([], 0), ([0], 0), ([1], 0), ([2], 2), ([0, 3, 1, 2], 5)])
def test_fc_layers_have_the_names_and_shapes_of_scvi(n_cat_list, extra):
    layers = FCLayers(G, 4, n_cat_list, n_layers=3, n_hidden=H)
    assert shapes(layers) == {
        **layer_shapes("", G + extra, 0),
        **layer_shapes("", H + extra, 1),
        **layer_shapes("", H + extra, 2, width_out=4),
    }


def test_fc_layers_are_linear_then_normalised_then_rectified_then_dropped():
    steps = list(FCLayers(G, H, dropout_rate=0.3).fc_layers[0])
    assert [type(step) for step in steps] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert (steps[1].momentum, steps[1].eps, steps[3].p) == (0.01, 0.001, 0.3)


def test_fc_layers_leave_out_what_is_switched_off():
    steps = list(FCLayers(G, H, dropout_rate=0, use_batch_norm=False).fc_layers[0])
    assert [type(step) for step in steps] == [nn.Linear, nn.ReLU]


def test_fc_layers_compute_what_they_say():
    layers = FCLayers(G, H, n_layers=2, n_hidden=4, dropout_rate=0.5).eval()
    x = noise(6, G)
    expected = x
    for layer in layers.fc_layers:
        linear, norm = layer[0], layer[1]
        with torch.no_grad():
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
        expected = expected @ linear.weight.T + linear.bias
        expected = (expected - norm.running_mean) / (norm.running_var + 1e-3).sqrt() * norm.weight + norm.bias
        expected = expected.clamp(min=0)
    torch.testing.assert_close(layers(x), expected)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_covariates_enter_every_layer_as_one_hot_columns(n_layers):
    layers = FCLayers(G, H, [2, 3], n_layers, n_hidden=H, dropout_rate=0, use_batch_norm=False)
    x, first, second = noise(4, G), torch.tensor([0, 1, 1, 0]), torch.tensor([[2], [0], [1], [1]])
    columns = torch.cat([torch.eye(2)[first], torch.eye(3)[second.flatten()]], dim=1)
    expected = x
    for layer in layers.fc_layers:
        expected = layer(torch.cat([expected, columns], dim=1))
    torch.testing.assert_close(layers(x, first, second), expected)


def test_one_hot_covariates_are_taken_as_they_are():
    layers = FCLayers(G, H, [2], dropout_rate=0).eval()
    x, codes = noise(4, G), torch.tensor([0, 1, 1, 0])
    assert torch.equal(layers(x, torch.eye(2)[codes]), layers(x, codes))


@pytest.mark.parametrize("codes", [None, torch.tensor([0, 0, 0]), torch.tensor([7, 8, 9])])
def test_a_covariate_of_at_most_one_category_is_ignored_whatever_it_holds(codes):
    layers = FCLayers(G, H, [1, 2, 0], dropout_rate=0).eval()
    x, batch = noise(3, G), torch.tensor([0, 1, 0])
    assert torch.equal(layers(x, codes, batch, codes), layers(x, None, batch))


def test_surplus_covariates_are_ignored():
    plain, conditional = FCLayers(G, H, dropout_rate=0).eval(), FCLayers(G, H, [2], dropout_rate=0).eval()
    x, batch = noise(3, G), torch.tensor([0, 1, 0])
    assert torch.equal(plain(x, batch, batch), plain(x))
    assert torch.equal(conditional(x, batch, torch.tensor([9, 9, 9])), conditional(x, batch))


@pytest.mark.parametrize("given", [(), (None,)])
def test_a_missing_covariate_is_named(given):
    with pytest.raises(ValueError, match=r"Covariate 0 with 2 categories is missing.*batch_index"):
        FCLayers(G, H, [2])(noise(3, G), *given)


def test_a_covariate_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.1 \(2 categories\), got 0 to 2"):
        FCLayers(G, H, [2])(noise(3, G), torch.tensor([0, 2, 1]))


@pytest.mark.parametrize("n_codes", [1, 2, 4])
def test_a_covariate_needs_one_code_per_cell(n_codes):
    # a single code must not be spread over all cells without a word
    with pytest.raises(ValueError, match=rf"3.*{n_codes}"):
        FCLayers(G, H, [2])(noise(3, G), torch.zeros(n_codes, dtype=torch.int64))


@pytest.mark.parametrize("n_layers", [0, -1])
def test_fc_layers_need_a_layer(n_layers):
    with pytest.raises(ValueError, match=f"n_layers has to be at least 1, got {n_layers}"):
        FCLayers(G, H, n_layers=n_layers)


@pytest.mark.parametrize("training", [False, True])
def test_samples_on_a_leading_axis_are_treated_slice_by_slice(training):
    # batch normalisation must not mix the samples: in training each has its own mean and variance
    layers = FCLayers(G, H, [2, 3], n_layers=2, n_hidden=4, dropout_rate=0).train(training)
    x = noise(3, 6, G) * torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1)
    codes = torch.tensor([0, 1, 0, 1, 1, 0]), torch.tensor([[0], [1], [2], [2], [1], [0]])
    torch.testing.assert_close(layers(x, *codes), torch.stack([layers(sample, *codes) for sample in x]))


# --------------------------------------------------------------------------------------------------------------------
# Encoder
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [1, 2])
def test_encoder_has_the_names_and_shapes_of_scvi(n_layers):
    deeper = layer_shapes("encoder.", H, 1) if n_layers == 2 else {}
    assert shapes(Encoder(G, L, n_layers=n_layers, n_hidden=H)) == {
        **layer_shapes("encoder.", G),
        **deeper,
        **linear_shapes("mean_encoder", H, L),
        **linear_shapes("var_encoder", H, L),
    }


@pytest.mark.parametrize("var_eps", [1e-4, 0.0, 0.5])
def test_encoder_returns_mean_variance_and_a_draw(var_eps):
    encoder = Encoder(G, L, n_hidden=H, var_eps=var_eps).eval()
    x = noise(4, G)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mean, var, draw = encoder(x)
        torch.manual_seed(3)
        eps = torch.randn(4, L)
    hidden = encoder.encoder(x)
    torch.testing.assert_close(mean, encoder.mean_encoder(hidden))
    torch.testing.assert_close(var, encoder.var_encoder(hidden).exp() + var_eps)
    torch.testing.assert_close(draw, mean + var.sqrt() * eps)


def test_the_draw_of_an_encoder_is_differentiable():
    encoder = Encoder(G, L, n_hidden=H)
    encoder(noise(4, G))[2].sum().backward()
    assert encoder.mean_encoder.weight.grad.abs().sum() > 0
    assert encoder.var_encoder.weight.grad.abs().sum() > 0


def test_encoder_adds_1e_4_to_its_variance_unless_told_otherwise():
    encoder = Encoder(G, L, n_hidden=H).eval()
    with torch.no_grad():
        encoder.var_encoder.weight.zero_()
        encoder.var_encoder.bias.fill_(-50.0)
    assert encoder(noise(4, G))[1].flatten().tolist() == pytest.approx([1e-4] * 4 * L, rel=1e-6)


def test_encoder_takes_covariates():
    encoder = Encoder(G, L, [2], n_hidden=H).eval()
    x = noise(4, G)
    means = [encoder(x, torch.full((4,), code))[0] for code in (0, 1)]
    assert encoder.encoder.fc_layers[0][0].in_features == G + 2
    assert not torch.allclose(*means)


# --------------------------------------------------------------------------------------------------------------------
# DecoderSCVI
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_batch", "extra"), [(0, 0), (1, 0), (2, 2)])
def test_decoder_has_the_names_and_shapes_of_scvi(n_batch, extra):
    assert shapes(DecoderSCVI(L, G, [n_batch], n_layers=2, n_hidden=H)) == {
        **layer_shapes("px_decoder.", L + extra),
        **layer_shapes("px_decoder.", H + extra, 1),
        **linear_shapes("px_scale_decoder.0", H, G),
        **linear_shapes("px_r_decoder", H, G),
        **linear_shapes("px_dropout_decoder", H, G),
    }


def test_decoder_has_no_dropout():
    assert not any(isinstance(module, nn.Dropout) for module in DecoderSCVI(L, G).modules())


@pytest.mark.parametrize("leading", [(), (2,)])
def test_decoder_returns_shares_rates_and_dropout(leading):
    decoder = DecoderSCVI(L, G, [2], n_hidden=H).eval()
    z, library = noise(*leading, 4, L), noise(*leading, 4, 1, seed=1) + 5
    scale, r, rate, dropout = decoder("gene-cell", z, library, torch.tensor([0, 1, 1, 0]))
    assert scale.shape == r.shape == rate.shape == dropout.shape == (*leading, 4, G)
    torch.testing.assert_close(scale.sum(dim=-1), torch.ones(*leading, 4))
    torch.testing.assert_close(rate, library.exp() * scale)
    hidden = decoder.px_decoder(z, torch.tensor([0, 1, 1, 0]))
    torch.testing.assert_close(scale, decoder.px_scale_decoder[0](hidden).softmax(dim=-1))
    torch.testing.assert_close(r, decoder.px_r_decoder(hidden))
    torch.testing.assert_close(dropout, decoder.px_dropout_decoder(hidden))


@pytest.mark.parametrize("dispersion", ["gene", "gene-batch", "gene-label"])
def test_decoder_makes_a_dispersion_only_for_gene_cell(dispersion):
    assert DecoderSCVI(L, G, n_hidden=H).eval()(dispersion, noise(4, L), noise(4, 1))[1] is None


@pytest.mark.parametrize("training", [False, True])
def test_decoder_treats_samples_slice_by_slice(training):
    decoder = DecoderSCVI(L, G, [2], n_layers=2, n_hidden=H).train(training)
    z, library, batch = noise(3, 6, L), noise(3, 6, 1), torch.tensor([0, 1, 0, 1, 1, 0])
    together = decoder("gene-cell", z, library, batch)
    one_by_one = [decoder("gene-cell", *sample, batch) for sample in zip(z, library, strict=True)]
    for found, *expected in zip(together, *one_by_one, strict=True):
        torch.testing.assert_close(found, torch.stack(expected))


def test_decoder_does_not_clip_large_libraries():
    decoder = DecoderSCVI(L, G, n_hidden=H).eval()
    rate = decoder("gene", noise(2, L), torch.tensor([[13.0], [20.0]]))[2]
    torch.testing.assert_close(rate.sum(dim=-1), torch.tensor([13.0, 20.0]).exp())


# --------------------------------------------------------------------------------------------------------------------
# All together
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_batch": 0}, 69_670),
        ({"n_batch": 1}, 69_670),
        ({"n_batch": 2}, 69_926),
        ({"n_batch": 2, "n_layers": 2}, 103_718),
    ],
)
def test_a_vae_has_as_many_parameters_as_scvi(options, expected):
    assert sum(parameter.numel() for parameter in vc.VAE(100, **options).parameters()) == expected


@pytest.mark.parametrize(
    ("dispersion", "px_r"),
    [
        ("gene", {"px_r": (G,)}),
        ("gene-batch", {"px_r": (G, 2)}),
        ("gene-label", {"px_r": (G, 3)}),
        ("gene-cell", {}),
    ],
)
def test_a_vae_has_the_state_of_scvi(dispersion, px_r):
    model = vc.VAE(G, n_batch=2, n_labels=3, n_hidden=H, n_latent=L, n_layers=2, dispersion=dispersion)
    assert shapes(model) == {
        **px_r,
        "library_log_means": (1, 2),
        "library_log_vars": (1, 2),
        **layer_shapes("z_encoder.encoder.", G),
        **layer_shapes("z_encoder.encoder.", H, 1),
        **linear_shapes("z_encoder.mean_encoder", H, L),
        **linear_shapes("z_encoder.var_encoder", H, L),
        **layer_shapes("l_encoder.encoder.", G),
        **linear_shapes("l_encoder.mean_encoder", H, 1),
        **linear_shapes("l_encoder.var_encoder", H, 1),
        **layer_shapes("decoder.px_decoder.", L + 2),
        **layer_shapes("decoder.px_decoder.", H + 2, 1),
        **linear_shapes("decoder.px_scale_decoder.0", H, G),
        **linear_shapes("decoder.px_r_decoder", H, G),
        **linear_shapes("decoder.px_dropout_decoder", H, G),
    }


# --------------------------------------------------------------------------------------------------------------------
# finish_batch_norm
# --------------------------------------------------------------------------------------------------------------------


class Layers(FCLayers):
    """Layers with the method that passes counts through a model."""

    def inference(self, x):
        assert self.training
        assert not torch.is_grad_enabled()
        return self(x)


def trained_layers(**options):
    layers = Layers(G, H, n_layers=2, n_hidden=H, **options)
    for seed in range(5):
        layers(noise(20, G, seed=seed) * 3 + 1)
    return layers


def test_finish_batch_norm_does_what_pytorchs_update_bn_does():
    minibatches = [noise(20, G, seed=9), noise(8, G, seed=10) + 2]
    layers, theirs = trained_layers(), trained_layers()
    theirs.load_state_dict(layers.state_dict())
    before = {name: weights.clone() for name, weights in layers.named_parameters()}
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of dropout
        finish_batch_norm(layers, iter(minibatches))
        torch.manual_seed(0)
        update_bn(minibatches, theirs)
    for name, value in theirs.state_dict().items():
        assert torch.equal(layers.state_dict()[name], value), name
    assert all(torch.equal(weights, before[name]) for name, weights in layers.named_parameters())
    assert not any(module.training for module in layers.modules())
    assert {norm.momentum for norm in layers.modules() if isinstance(norm, nn.BatchNorm1d)} == {0.01}


def test_finish_batch_norm_of_a_first_layer_is_the_mean_over_minibatches_of_their_moments():
    layers, minibatches = trained_layers(), [noise(20, G, seed=9), noise(8, G, seed=10) + 2]
    linear, norm = layers.fc_layers[0][:2]
    finish_batch_norm(layers, minibatches)
    outputs = [linear(x) for x in minibatches]
    torch.testing.assert_close(norm.running_mean, torch.stack([out.mean(dim=0) for out in outputs]).mean(dim=0))
    torch.testing.assert_close(norm.running_var, torch.stack([out.var(dim=0) for out in outputs]).mean(dim=0))


def test_finish_batch_norm_leaves_the_momenta_also_when_it_fails():
    layers = trained_layers()
    with pytest.raises(RuntimeError):
        finish_batch_norm(layers, [noise(20, G + 1)])
    assert {norm.momentum for norm in layers.modules() if isinstance(norm, nn.BatchNorm1d)} == {0.01}
    assert not layers.training
