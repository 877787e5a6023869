"""The annotated references and the lessons that cite them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOI = re.compile(r"https?://(?:dx\.)?doi\.org/([^)\s]+)")
PAGE = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
ENTRIES = re.split(r"^- ", PAGE, flags=re.MULTILINE)[1:]
SOURCES = [path for folder in ("lessons", "lessons/deeper") for path in sorted((ROOT / folder).glob("[0-9]*.py"))]
LESSONS = {path.stem: path.read_text(encoding="utf-8") for path in SOURCES}
BY_ENTRY = pytest.mark.parametrize("entry", ENTRIES, ids=[re.search(r"\*\*(.+?)\*\*", one)[1] for one in ENTRIES])


def listed():
    """DOIs on the page, in its order."""
    return [DOI.search(entry)[1] for entry in ENTRIES]


def citations():
    """Every citation in a lesson: (text of the link, DOI, section)."""
    found = []
    for lesson in LESSONS.values():
        sections = r"^# ## (\d[a-z]?\.\d+) (.*?)(?=^# ## |\Z)"
        for section, text in re.findall(sections, lesson, flags=re.MULTILINE | re.DOTALL):
            flat = re.sub(r"\n#\s+", " ", text)
            found += [(*link, section) for link in re.findall(rf"\[([^\]]+)\]\({DOI.pattern}\)", flat)]
    return found


@BY_ENTRY
def test_an_entry_is_complete(entry):
    head, annotation = re.sub(r"\n## .*", "", entry, flags=re.DOTALL).split("\n\n", maxsplit=1)
    pattern = (
        r"\*\*.+ (\d{4})\*\* \(\d[a-z]?\.\d+(?:, \d[a-z]?\.\d+)*\)\. "  # key and year, sections
        r"[^*]+\. \*[^*]+[.!?]\* [^*]+\. "  # authors, title, journal
        r"\[doi:(10\.\d{4,9}/[-._;()/:A-Za-z0-9]+)\]\(https://doi\.org/\2\)"
    )
    assert re.fullmatch(pattern, " ".join(head.split())), head
    assert len(annotation.split()) >= 10


def test_no_reference_is_listed_twice():
    assert len(listed()) == len(set(listed()))


def test_what_is_listed_is_cited_and_what_is_cited_is_listed():
    assert {doi for _, doi, _ in citations()} == set(listed())
    links = [doi for lesson in LESSONS.values() for doi in DOI.findall(lesson)]
    assert len(links) == len(citations()), "a DOI stands outside of a section, or is no link"


@BY_ENTRY
def test_a_reference_is_cited_by_its_name_in_the_sections_that_it_names(entry):
    name, sections = re.match(r"\*\*(.+?)\*\* \((.+?)\)", " ".join(entry.split())).groups()
    cited = [(text, section) for text, doi, section in citations() if doi == DOI.search(entry)[1]]
    assert {text for text, _ in cited} == {name}
    assert list(dict.fromkeys(section for _, section in cited)) == sections.split(", ")


@pytest.mark.parametrize("number", range(6))
def test_a_lesson_has_five_references_at_least(number):
    part = re.search(rf"^## Lesson {number}: .*?(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)[0]
    assert len(re.findall(r"^- ", part, flags=re.MULTILINE)) >= 5
    assert len({doi for _, doi, section in citations() if section.startswith(f"{number}.")}) >= 5
