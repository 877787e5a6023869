"""What a notebook shows of an attempt, a hint, a solution and the progress, and the plain text of a terminal."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch

from vae_course.exercises import EXERCISES, check, exercise, hint, overview, record, solution
from vae_course.exercises.cards import KINDS, hint_card, solution_card, verdict_card
from vae_course.exercises.catalogue import CORE
from vae_course.exercises.start import write_start_page

ONE = EXERCISES["4.2"]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path))
    monkeypatch.delenv("VAE_COURSE_LAB", raising=False)


def without_minus_one(mean, logvar):
    return 0.5 * (mean**2 + logvar.exp() - logvar).sum(-1)


def raises(mean, logvar):
    raise ValueError("<b>bold</b>")


ATTEMPTS = {"passed": ONE.reference, "wrong": without_minus_one, "error": raises, "not_attempted": None}


@pytest.mark.parametrize("status", ATTEMPTS)
def test_a_verdict_is_a_card_and_a_few_lines(status):
    result = check("4.2", ATTEMPTS[status])
    card = verdict_card(ONE, result)
    color, sign = KINDS[status]
    assert result.status == status
    assert repr(card).startswith(f"{sign} 4.2 kl_standard_normal: ")
    assert len(repr(card).splitlines()) <= 6
    html = card._repr_html_()
    assert f"rgb({color})" in html
    assert f"<b>{sign} 4.2 kl_standard_normal</b>" in html
    assert "<b>bold" not in html
    assert all(name in html for name in ("4.1", "4.6", "in this lesson"))
    assert (html.count("<details>") == 2) == (status != "passed")  # the next hint is a click


def test_kinds_differ_in_colour_and_sign():
    for position in (0, 1):
        assert len({kind[position] for kind in KINDS.values()}) == len(KINDS)


def test_a_wrong_number_stands_beside_the_right_one():
    result = check("4.2", without_minus_one)
    label, yours, expected = result.compared
    assert label == ONE.cases()[0].label
    differences = [float(a) - float(b) for a, b in zip(yours.split(", "), expected.split(", "), strict=True)]
    assert differences == pytest.approx([1.0, 1.0, 1.0], abs=2e-3)  # a half for each of two latents
    assert f"yours <code>{yours}</code>" in verdict_card(ONE, result)._repr_html_()
    assert check("4.2", ONE.reference).compared is None
    assert check("3.5", dict).compared is None  # names of causes would be the answer


class UnscaledLinear(EXERCISES["2.1"].reference):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        torch.nn.init.normal_(self.weight)


def test_a_right_answer_that_will_hurt_later_passes_with_a_warning(capsys):
    result = check("2.1", UnscaledLinear)
    assert result.status == "passed"
    assert "outputs of size 10" in result.warning
    card = verdict_card(EXERCISES["2.1"], result)
    assert f"! But mind: {result.warning}" in repr(card).splitlines()[1]
    assert len(repr(card).splitlines()) <= 6
    assert "! But mind:</b> with 100 inputs" in card._repr_html_()
    assert exercise("2.1")(UnscaledLinear) is UnscaledLinear  # and the lesson goes on with it
    assert "goes on with" in capsys.readouterr().out


def epoch_that_keeps_its_graphs(model, minibatches, optimizer):
    model.train()
    total, n_cells = 0, 0
    for x in minibatches:
        loss, _, _ = model.loss(x)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total, n_cells = total + loss * len(x), n_cells + len(x)
    return total / n_cells


def test_an_epoch_that_keeps_its_graphs_passes_with_a_warning():
    result = check("3.2", epoch_that_keeps_its_graphs)
    assert result.status == "passed"
    assert "holds the graphs of all minibatches" in result.warning
    assert check("3.2", lambda *of: float(epoch_that_keeps_its_graphs(*of))).warning == ""
    assert check("3.2", EXERCISES["3.2"].reference).warning == ""


@pytest.mark.parametrize(
    "answer", [EXERCISES["2.1"].reference, torch.nn.Linear, lambda n_in, n_out: torch.nn.Linear(n_in + 1, n_out)]
)
def test_neither_a_good_answer_nor_a_wrong_one_hears_a_warning(answer):
    assert check("2.1", answer).warning == ""


@pytest.mark.parametrize("number", EXERCISES)
def test_a_right_answer_hears_what_it_built(number):
    one = EXERCISES[number]
    assert re.fullmatch(r"[A-Z].{15,110}\.", one.built)
    assert one.built in repr(verdict_card(one, check(number, one.reference)))


def test_hints_and_solution_are_cards_too():
    assert ONE.hints[0] in hint_card(ONE, 1)._repr_html_()
    assert ONE.hints[1] not in hint_card(ONE, 1)._repr_html_()
    assert "solution(" in repr(hint_card(ONE, 2))
    assert "<pre>def kl_standard_normal" in solution_card(ONE)._repr_html_()


def test_a_notebook_is_shown_cards_and_a_terminal_text(capsys, monkeypatch):
    hint("4.2")
    solution("4.2")
    assert capsys.readouterr().out.startswith("Hint 1 of 2.")
    shown = []
    notebook = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1), __spec__=None)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=shown.append))
    exercise("4.2")(ONE.reference)
    hint("4.2")
    solution("4.2")
    assert [card.kind for card in shown] == ["passed", "hint", "solution"]
    assert capsys.readouterr().out == ""


def test_what_is_shown_of_the_progress_follows(monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda bundle, raw: shown.append(bundle["text/plain"]))
    monkeypatch.setattr(overview, "_shown", [handle])
    exercise("4.2")(ONE.reference)
    assert shown[-1].startswith(f"1 of {len(CORE)} exercises passed.")


def test_the_start_page_s_picture_follows(tmp_path, monkeypatch):
    write_start_page(tmp_path)
    picture = tmp_path / overview.PICTURE
    assert picture.read_text(encoding="utf-8").count("✓") == 0
    assert picture.name in (tmp_path / "START.ipynb").read_text(encoding="utf-8")
    monkeypatch.setenv("VAE_COURSE_LAB", str(tmp_path))
    exercise("4.2")(ONE.reference)
    assert "4.2 ✓" in picture.read_text(encoding="utf-8")
    monkeypatch.setenv("VAE_COURSE_LAB", str(tmp_path / "moved"))
    exercise("4.1")(EXERCISES["4.1"].reference)  # a folder that is gone stops nothing
    assert overview.progress()["4.1"]["status"] == "passed"


def test_stand_ins_are_the_right_answers():
    from vae_course.exercises import stand_ins

    for one in EXERCISES.values():
        assert getattr(stand_ins, one.name) is one.reference
    with pytest.raises(ImportError):
        from vae_course.exercises.stand_ins import nothing_of_the_kind  # noqa: F401
    assert record.load() == {}
