"""Figures show what they were given, and leave matplotlib's state alone."""

import base64
import io
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

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


def test_curves_differ_in_colour_and_style_and_pass_labels_on():
    ax = plots.lines([0, 1, 2], {"a": [1, 2, 3], "b": [3, 2, 1]}, xlabel="z", ylim=(0, 4))
    first, second = ax.get_lines()
    assert (first.get_color(), first.get_linestyle()) != (second.get_color(), second.get_linestyle())
    assert first.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylim()) == ("z", (0, 4))
    assert plots.lines([0, 1], {"": [1, 2]}).get_legend() is None


def test_points_take_the_next_colour_and_marker():
    (ax,) = plots.panels()
    plots.points([0, 1], [1, 2], "a", ax)
    plots.points([0, 1], [2, 3], "b", ax, title="two groups")
    colors = [tuple(group.get_facecolor()[0]) for group in ax.collections]
    markers = [group.get_paths()[0].vertices.shape for group in ax.collections]
    assert colors[0] != colors[1]
    assert markers[0] != markers[1]
    assert ax.get_title() == "two groups"


def test_histograms_share_their_bins():
    ax = plots.histogram({"few": [1, 2], "many": [2, 2, 3, 9]}, bins=4, xlabel="count")
    few, many = ax.patches
    assert few.get_xy()[0, 0] == many.get_xy()[0, 0] == 1
    assert few.get_xy()[:, 0].max() == many.get_xy()[:, 0].max() == 9
    assert few.get_linestyle() != many.get_linestyle()


def test_a_heatmap_says_what_its_colours_mean():
    ax = plots.heatmap([[0, 1], [2, 3]], colorbar="counts", title="two by two")
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0, 1], [2, 3]])
    assert ax.images[0].colorbar.ax.get_ylabel() == "counts"


def test_a_heatmap_of_signed_values_is_white_at_zero():
    ax = plots.heatmap([[1, -0.5], [0, 0.2]], signed=True)
    assert ax.images[0].get_clim() == (-1, 1)
    assert ax.images[0].cmap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.05)


def test_a_landscape_draws_the_walk_and_round_ticks():
    x, y = np.linspace(-1, 1, 21), np.linspace(-2, 2, 31)
    height = 0.1 + x**2 + y[:, None] ** 2
    ax = plots.landscape(x, y, height, path=[[1, 2], [0.5, 1], [0, 0]], colorbar="loss", xlabel="w")
    walk = ax.get_lines()[0]
    np.testing.assert_array_equal(walk.get_xydata(), [[1, 2], [0.5, 1], [0, 0]])
    (bar,) = [other for other in ax.figure.axes if other is not ax]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["0.1", "0.2", "0.5", "1", "2", "5"]
    assert ax.get_xlim() == (-1, 1)
    assert not plots.landscape(x, y, height).get_lines()


def test_the_course_map_names_every_lesson():
    ax = plots.course_map(here=2)
    text = " ".join(text.get_text() for text in ax.texts)
    assert all(str(lesson) in text for lesson in range(6))
    filled = [patch for patch in ax.patches if patch.get_facecolor()[:3] != (1, 1, 1)]
    assert 0 < len(filled) < len(ax.patches)
    assert len([p for p in plots.course_map().patches if p.get_facecolor()[:3] != (1, 1, 1)]) == 0


def test_show_gives_a_notebook_the_figure_and_its_description(monkeypatch):
    shown = []
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    ax = plots.lines([0, 1], {"a": [0, 1]})
    plots.show(ax, alt='a "line" that rises')
    ((bundle, options),) = shown
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size == (520, 340)
    assert 'alt="a &quot;line&quot; that rises"' in bundle["text/html"]
    assert bundle["text/plain"] == 'Figure: a "line" that rises'
    assert options == {"raw": True, "metadata": {"image/png": {"alt": 'a "line" that rises'}}}
    assert not plt.fignum_exists(ax.figure.number)


def test_outside_a_notebook_show_prints_the_description(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    plots.show(plots.panels(2)[0], alt="two empty panels")
    assert capsys.readouterr().out == "Figure: two empty panels\n"


def test_a_film_plays_by_itself_and_ends_in_its_last_frame(monkeypatch):
    shown = []
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    drawn = []

    def draw(ax, frame):
        assert not ax.lines, "the Axes are empty for each frame"
        drawn.append(frame)
        plots.lines([0, 1], {"growing": [0, frame]}, ax=ax)

    plots.animate(draw, 4, alt="a line that rises from frame to frame")
    (bundle,) = shown
    assert drawn == [0, 1, 2, 3]
    assert 'alt="a line that rises from frame to frame"' in bundle["text/html"]
    assert "http" not in bundle["text/html"]
    film = Image.open(io.BytesIO(base64.b64decode(bundle["text/html"].split("base64,")[1].split('"')[0])))
    assert (film.format, film.n_frames, film.info["loop"]) == ("GIF", 4, 0)
    still = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    film.seek(3)
    difference = np.abs(np.asarray(film.convert("RGB"), float) - np.asarray(still.convert("RGB"), float))
    assert difference.mean() < 2
    assert not plt.get_fignums()


def test_the_model_map_names_what_the_model_has():
    text = " ".join(text.get_text() for text in plots.model_map().texts)
    for name in ("z_encoder", "l_encoder", "qz_m", "ql_v", "px_scale_decoder", "select_dispersion", "kl_local", "loss"):
        assert name in text


def test_each_digit_is_drawn_where_its_image_lies():
    ax = plots.numerals([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [7, 4, 7])
    places = [np.asarray(drawn.get_offsets()).tolist() for drawn in ax.collections]
    assert places == [[[2, 3]], [[0, 1], [4, 5]]]  # the 4, then the two 7


def test_images_stand_in_named_rows():
    left, right = np.zeros(4), np.array([1.0, 0.0, 0.0, 1.0])
    ax = plots.images({"held out": [left, right], "rebuilt": [right]}, titles=["0", "1"])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["held out", "rebuilt"]
    canvas = ax.images[0].get_array()
    np.testing.assert_array_equal(canvas[1:3, 4:6], [[1, 0], [0, 1]])
    np.testing.assert_array_equal(canvas[4:6, 1:3], [[1, 0], [0, 1]])
    assert np.isnan(canvas.filled(np.nan)[4:6, 4:6]).all()


def test_a_grid_has_rows_and_columns():
    assert np.shape(plots.grid(2, 3, 2.0, 2.0)) == (2, 3)


def test_a_legend_of_many_groups_names_the_first_and_takes_names_literally():
    names = [f"donor ${k}^$" + "x" * 60 * (k == 1) for k in range(200)]
    ax = plots.latent(rng.normal(size=(200, 2)), np.arange(200), names)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(texts) == plots.LEGEND_ENTRIES
    assert texts[0] == "donor $0^$"
    assert len(texts[1]) == 32
    ax.figure.savefig(io.BytesIO())  # as mathematics it could not be drawn
    assert ax.get_legend().get_title().get_text() == "the first 40 of 200"
