"""The page's figures: round numbers at their axes, and curves where their values are."""

import numpy as np
import pytest

from vae_course.report_svg import Axis, history_plots


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis(0, 1, 0, 100), ["0", "0.5", "1"]),
        (Axis(-1, 1, 0, 100), ["\N{MINUS SIGN}1", "\N{MINUS SIGN}0.5", "0", "0.5", "1"]),
        (Axis(1, 100, 0, 100), ["50", "100"]),
        (Axis(0.5, 2e6, 0, 100, log=True), ["1", "100", "10,000", "10⁶"]),
        (Axis(4, 6, 0, 100, log=True), ["4", "6"]),
    ],
)
def test_ticks_are_round_and_lie_where_they_belong(axis, texts):
    assert [text for _, text in axis.ticks()] == texts
    assert all(0 <= place <= 100 for place, _ in axis.ticks())


def test_curves_end_where_the_training_ended():
    history = {"elbo_train_set": [-9.0, -5.0, -4.0, -3.0], "elbo_test_set": [-8.0, -6.0, -6.0, -6.0]}
    (plot,) = history_plots(history, {"elbo": "negative ELBO", "kl_local": "not recorded"})
    low, high = (float(curve.path.removesuffix("h0").split(" ")[-1]) for curve in plot.curves)
    assert low > high  # down is more, in SVG
    assert [text for _, text in plot.x_ticks] == ["1", "2", "3", "4"]
    assert "9 to 3 in training cells" in plot.alt
    assert np.isclose(low, 196 - 166 * 0.05 / 1.1, atol=0.1)
