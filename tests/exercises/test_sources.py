"""Sources as lessons show them: blanks, excerpts, cases made anew."""

import itertools

import pytest
import torch

from vae_course.exercises import EXERCISES, catch_up
from vae_course.exercises.sources import blanked, excerpt, names_beside, solution_lines, source_of, without_docstrings
from vae_course.nn import FCLayers, one_hot

IDS = list(EXERCISES)


@pytest.mark.parametrize("number", IDS)
def test_a_blank_keeps_signature_and_docstring_and_nothing_else(number):
    source = source_of(EXERCISES[number].reference)
    blank = blanked(source)
    methods = sum(line.startswith("    def ") for line in blank.splitlines())
    assert without_docstrings(blank).count("...  # your code") == (methods or 1)
    assert blank.startswith(source.split("\n")[0])
    for line in solution_lines(source):
        if len(line) > 5:
            assert line not in [kept.strip() for kept in blank.splitlines()]
    compile(blank, "blank", "exec")


def test_one_hot_of_the_course_is_the_learners(monkeypatch):
    """The layers of exercise 2.4 reach one_hot through a global: in a lesson it is the learner's."""
    seen = []
    monkeypatch.setattr("vae_course.nn.one_hot", lambda *arguments: seen.append(1) or one_hot(*arguments))
    FCLayers(2, 3, [2])(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert seen == [1]


def test_cases_are_made_anew_for_every_attempt():
    for one in EXERCISES.values():
        for first, second in itertools.pairwise([one.cases(), one.cases()]):
            for a, b in zip(first, second, strict=True):
                tensors = [(x, y) for x, y in zip(a.arguments, b.arguments, strict=True) if isinstance(x, torch.Tensor)]
                assert all(torch.equal(x, y) and x.data_ptr() != y.data_ptr() for x, y in tensors)


def test_what_a_reader_skipped_comes_from_the_package_and_what_he_wrote_stays():
    def one_hot_of_mine(index, n_categories):
        return index

    names = {"one_hot": one_hot_of_mine}
    catch_up(names, "vae_course.nn.one_hot", "vae_course.nn.FCLayers")
    assert names == {"one_hot": one_hot_of_mine, "FCLayers": FCLayers}


def test_an_excerpt_holds_the_methods_asked_for():
    text = excerpt(source_of(FCLayers), ["forward"], base="nn.Module")
    assert text.splitlines()[:2] == [
        "class FCLayers(nn.Module):",
        "    def forward(self, x: Tensor, *cat_list: Tensor | None) -> Tensor:",
    ]
    assert '"""Pass x through the layers."""' in text
    assert "Parameters" not in text
    whole = source_of(FCLayers)
    assert text.endswith(whole[whole.index("        covariates = ") :])


def test_names_beside_are_those_of_the_same_module():
    from vae_course.distributions import scvi_kl

    assert names_beside(scvi_kl) == ["kl_normal", "kl_standard_normal"]
    assert names_beside(one_hot) == []
