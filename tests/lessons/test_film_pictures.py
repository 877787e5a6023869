"""What is wrong with a picture of a film is told, and what is right is not; the vocabulary keeps what it promises."""

import numpy as np
import pytest

pytest.importorskip("manim", reason="films need manim, which the extra `video` installs")
pytest.importorskip("typst", reason="formulas of films need typst, which the extra `video` installs")

from film import (
    BOLD,
    DOWN,
    FAINT,
    GROUND,
    INK,
    LEFT,
    MEAN,
    RIGHT,
    UP,
    Bars,
    Cloud,
    Derivation,
    FadeIn,
    Lecture,
    VGroup,
    Wait,
    answer_after,
    ask,
    bell,
    curve,
    glow,
    glow_to,
    histogram,
    listing,
    math,
    mono,
    number_line,
    output,
    piece,
    plot_axes,
    question,
    table,
    tempconfig,
    words,
)
from film.picture import complaints
from film.stills import still


@pytest.fixture(autouse=True)
def _quiet(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEO_DRAFT", "1")
    with tempconfig({"dry_run": True, "media_dir": str(tmp_path), "pixel_width": 320, "pixel_height": 180}):
        yield


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        (lambda: [words("in its place")], ""),
        (lambda: [words("at the edge").move_to(RIGHT * 6.4)], "too near its edge"),
        (lambda: [words("small", 18)], "size 18.0, and 20 is the smallest"),
        (lambda: [words("made small").scale(0.6)], "size 18.0, and 20 is the smallest"),
        (lambda: [math("x^2", 22)], "size 22.0, and 26 is the smallest"),
        (lambda: [words("dark", 30, FAINT)], "contrast of 1.43"),
        (lambda: [question("On a card?"), words("pale", 30, INK)], "lie over each other"),
        (lambda: [question("Does it fit?").to_edge(RIGHT, buff=0.1)], "a card"),
        (lambda: [words("over"), words("over it")], "lie over each other"),
        (lambda: [words("gone").set_opacity(0.1), words("over it")], ""),
        (lambda: [words("one line"), words("another").shift(DOWN)], ""),
        (lambda: [words("a heading", 24).shift(UP * 3.4)], "nothing to see"),
        (lambda: [Bars(["a bar"], ["12"], "unit", [MEAN])], ""),
        (lambda: [Bars(["a bar"], ["12"], "unit", [GROUND])], "contrast of 1.00"),
        (lambda: [VGroup(*[words("slanted", 24).rotate(0.8).shift(RIGHT * 0.5 * i) for i in range(3)])], ""),
    ],
)
def test_what_is_wrong_with_a_picture_is_told(shown, wrong):
    found = complaints(shown())
    if wrong:
        assert len(found) == 1
        assert wrong in found[0]
    else:
        assert found == []


def test_a_beat_is_drawn_after_what_it_says_and_its_stillness_is_told(tmp_path):
    class Beat(Lecture):
        def construct(self):
            title = words("shown", weight=BOLD)
            self.say("{title} A sentence of a few words.", title=FadeIn(title))
            self.say("And one without anything that moves.")
            self.wait(13)

    drawn = still(Beat, tmp_path)
    assert [path.name for path in drawn.pictures] == ["Beat_1.png", "Beat_2.png"]
    assert drawn.words == 12
    assert drawn.still > 13
    assert [one for one in drawn.wrong if "nothing moves" in one]


def test_a_light_moves_over_every_line_of_a_listing():
    code = listing("x = 1\n\nif x != 2 and x >= 0:  # a -> b\n    print(x)")
    bar = glow(code, 0)
    heights = [glow_to(bar, code, i).method_args[0][1] for i in range(4)]
    assert np.allclose(np.diff(heights), np.diff(heights)[0])
    assert abs(heights[3] - code.lines[3].get_y()) < 0.1
    with pytest.raises(ValueError, match="no line 4"):
        glow(code, 4)


def test_printed_text_keeps_its_columns_and_its_parts_are_found():
    out = output("mean  -4.02\n  x    1.00", listing("print(x)"))
    first, second = out.lines
    assert abs(piece(first, "-4.02").get_right()[0] - piece(second, "1.00").get_right()[0]) < 0.02
    assert len(mono("a -> b != c")) == 11


def test_formulas_are_aligned_at_their_signs():
    shown = Derivation(["log p(x) &>= EE[log p(x, z)]", "&= {{KL : k}} + 1"], ["Jensen", ""], colors={"k": MEAN})
    signs = [shown.line(i).select("sign").get_left()[0] for i in range(2)]
    assert abs(signs[0] - signs[1]) < 1e-6
    assert shown.line(1).select("k")[0].get_color().to_hex() == MEAN


def test_charts_put_values_where_they_belong():
    axes = plot_axes((-3, 3, 1), (-1, 4, 1), "x", "y", width=6, height=5).shift(LEFT)
    assert np.allclose(axes.p2c(axes.c2p(1.5, 2.5)), (1.5, 2.5))
    assert np.allclose(axes.c2p(1, 0) - axes.c2p(0, 0), [1, 0, 0])
    xs = np.linspace(-3, 3, 61)
    path = curve(axes, xs, xs**2 - 2)
    assert abs(path.get_top()[1] - axes.c2p(0, 4)[1]) < 1e-6  # cut at the axes
    assert abs(path.get_bottom()[1] - axes.c2p(0, -1)[1]) < 1e-6
    assert len(path.get_subpaths()) == 2
    assert len(curve(axes, [0, 1, 2, 3], [1, 2, np.nan, 1]).get_subpaths()) == 1
    bars = histogram(axes, [0, 1, 2], [3, 0])
    assert np.isclose(bars[0].get_top()[1], axes.c2p(0, 3)[1])
    line = number_line((-4, 4), "z", length=8)
    assert np.isclose(bell(line, 1, 0.5, height=1).get_top()[1], line.n2p(1)[1] + 2)  # half as wide, twice as high
    cloud = Cloud(axes, np.array([[0.0, 0.0], [1.0, 1.0]]), [0, 3])
    assert np.allclose(cloud.group(3).get_center(), axes.c2p(1, 1))
    rows = table([["a", 1], ["b", 22]], ["name", "value"])
    assert np.isclose(rows.cell(0, 1).get_right()[0], rows.cell(1, 1).get_right()[0], atol=0.02)


def test_an_answer_leaves_its_question_readable(tmp_path):
    class Asked(Lecture):
        def construct(self):
            card = question("What happens?").shift(UP)
            self.say("{ask} What happens?", ask=ask(card))
            self.say("{wait} Well, {answer} this.", wait=Wait(0.1), answer=answer_after(card, "this"))

    drawn = still(Asked, tmp_path)
    assert drawn.wrong == []
