"""Figures show what they were given, and leave matplotlib's state alone."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vae_course import plots

plt.switch_backend("Agg")
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_losses_draw_each_part_with_its_sign():
    history = {f"{m}_{s}": [1.0, 2.0] for m in ("reconstruction_error", "kl_local") for s in ("train_set", "test_set")}
    history |= {"elbo_train_set": [-9.0, -5.0], "elbo_test_set": [-8.0, -6.0], "kl_global_train_set": [0.0, 3.0]}
    axes = plots.losses(history)
    assert [ax.get_title() for ax in axes] == ["negative ELBO", "reconstruction", "local KL (library)", "global KL (z)"]
    assert [list(line.get_ydata()) for line in axes[0].get_lines()] == [[9, 5], [8, 6]]
    assert len(axes[3].get_lines()) == 1
    assert axes[0].get_ylabel() == "nats per cell"


def test_losses_zoom_in_after_the_steep_start():
    values = [1000.0, *np.linspace(20, 10, 19)]
    axes = plots.losses({"kl_global_train_set": values})
    low, high = axes[3].get_ylim()
    assert low < 10
    assert high < 25


def test_latent_has_one_entry_a_label_told_apart_by_colour_and_marker():
    labels = np.repeat(np.arange(0, 20, 2), 5)
    ax = plots.latent(rng.normal(size=(50, 3)), labels, [f"type {k}" for k in range(20)], axis_name="UMAP")
    looks = {(tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in ax.collections}
    assert len(looks) == 10
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"type {k}" for k in range(0, 20, 2)]
    assert ax.get_xlabel() == "UMAP 1"


def test_latent_draws_on_the_axes_it_is_given():
    _, ax = plt.subplots()
    assert plots.latent(rng.normal(size=(4, 2)), [0, 1, 0, 1], ax=ax) is ax


def test_mean_variance_shows_both_and_the_poisson_line():
    observed, generated = rng.poisson(3, (200, 5)), rng.poisson(4, (200, 5))
    ax = plots.mean_variance(observed, generated)
    offsets = [c.get_offsets() for c in ax.collections]
    np.testing.assert_allclose(offsets[0][:, 0], observed.mean(axis=0))
    np.testing.assert_allclose(offsets[1][:, 1], generated.var(axis=0))
    np.testing.assert_allclose(*ax.get_lines()[0].get_data())


def test_zero_fractions_are_those_of_the_counts():
    observed, generated = np.array([[0, 1], [0, 0]]), np.array([[1, 1], [0, 1]])
    ax = plots.zero_fractions(observed, generated)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[1, 0.5], [0.5, 0]])


def test_imputation_takes_lists_of_arrays():
    ax = plots.imputation([np.array([1.0, 4.0]), np.array([2.0])], [np.array([2.0, 4.0]), np.array([5.0])])
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[1, 2], [4, 4], [2, 5]])
    assert "1.00" in ax.get_title()
