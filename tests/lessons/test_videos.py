"""The videos: their chapters in the lessons, and the kits for recording them."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import build_kits
import build_lessons
import chromium as browsers
import kit_script
import lesson_slides
import nbformat
import pytest
import videos

ROOT = Path(__file__).parents[2]

VIDEOS = videos.read_videos()
SOURCES = build_lessons.sources()
LESSONS = list(zip(SOURCES, VIDEOS, strict=True))
EACH = pytest.mark.parametrize(("source", "video"), LESSONS, ids=[source.stem for source in SOURCES])
SHORT = """
[[video]]
number = 0
title = "A video"
url = ""
language = "en"
minutes = 30
chapter = [
    { start = "00:00", section = "0.1", title = "One" },
    { start = "10:00", section = "0.2", title = "Two" },
]
"""
SECTIONS = [["0.1", "0.2", "0.3"]]


def header(notebook):
    return notebook.cells[0].source


def under(notebook, section):
    """Lines of the cell that a section's heading opens, without empty ones."""
    cell = next(cell for cell in notebook.cells if cell.source.startswith(f"## {section} "))
    return [line for line in cell.source.splitlines() if line]


# --------------------------------------------------------------------------------------------------------------------
# Chapters, sections, times
# --------------------------------------------------------------------------------------------------------------------


@EACH
def test_chapters_cover_the_sections_and_the_minutes(source, video):
    sections = videos.sections_of(source.read_text(encoding="utf-8"))
    assert [section for chapter in video.chapters for section in chapter.sections] == sections
    assert video.chapters[0].start == 0
    assert video.chapters[-1].end == video.minutes * 60
    assert all(one.end == two.start for one, two in pairwise(video.chapters))
    assert all(chapter.end - chapter.start >= 60 for chapter in video.chapters)
    assert len({chapter.title for chapter in video.chapters}) == len(video.chapters)
    assert 6 <= len(video.chapters) <= 12
    assert 8 <= video.minutes <= 60


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10:00", "10", "video 0 has a chapter at '10'; write its start as mm:ss or h:mm:ss"),
        ("10:00", "10:75", "write its start as mm:ss or h:mm:ss"),
        ("10:00", "00:00", "times and sections have to rise"),
        ("10:00", "30:00", "video 0 lasts 30 minutes, but a chapter starts at 30:00"),
        ('"00:00"', '"00:10"', "video 0 starts at 00:10 with section 0.1; write 00:00 and 0.1"),
        ('"0.2"', '"0.9"', "video 0 names section 0.9, which its lesson does not have"),
        ('"0.2"', '"0.1"', "times and sections have to rise"),
        ('"0.1"', '"0.2"', "write 00:00 and 0.1"),
        ("minutes = 30", "minutes = 30\nseconds = 1", "video 0 has the key 'seconds', which means nothing here"),
        ('title = "Two"', 'name = "Two"', "a chapter of video 0 has the key 'name'"),
        ('language = "en"', "", "video 0 has no 'language'"),
        ("number = 0", "number = 1", "the videos' numbers are [1]; write one [[video]] a lesson, from 0 to 0"),
        ("minutes = 30", "minutes =", "is not valid TOML"),
        ("]\n", ']\n[video.differs]\n"0.7" = "Other."\n', "differs in section 0.7, which its lesson does not have"),
        ("]\n", ']\n[video.differs]\n"0.2" = ""\n', "differs in section 0.2 but does not say how"),
    ],
)
def test_what_contradicts_itself_is_refused_in_one_sentence(old, new, message):
    assert videos.parse_videos(SHORT, SECTIONS)[0].chapters[1].sections == ["0.2", "0.3"]
    place = SHORT.rindex(old) if old == "]\n" else SHORT.index(old)
    with pytest.raises(SystemExit, match=re.escape(message)) as refusal:
        videos.parse_videos(SHORT[:place] + new + SHORT[place + len(old) :], SECTIONS)
    assert str(refusal.value).startswith("lessons/videos.toml")
    assert "\n" not in str(refusal.value)


# --------------------------------------------------------------------------------------------------------------------
# In the lessons
# --------------------------------------------------------------------------------------------------------------------


@EACH
def test_a_lesson_does_not_name_a_video_that_is_not_there(source, video):
    notebook = build_lessons.student_edition(source)
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert video.url or "▶" not in text
    assert "Differs from the video" not in text


@EACH
@pytest.mark.parametrize("edition", ["student_edition", "solved_edition"])
@pytest.mark.parametrize(("url", "sign"), [("https://youtu.be/abc", "?"), ("https://youtube.com/watch?v=abc", "&")])
def test_a_recorded_video_is_linked_and_each_chapter_at_its_section(monkeypatch, source, video, edition, url, sign):
    monkeypatch.setattr(video, "url", url)
    monkeypatch.setattr(build_lessons, "VIDEOS", VIDEOS)
    notebook = getattr(build_lessons, edition)(source)
    text = header(notebook)
    assert f'[video {video.number}, "{video.title}"]({url})' in text
    for chapter in video.chapters:
        link = f"[{videos.clock(chapter.start)}]({url}{sign}t={chapter.start})"
        assert f"- {link} {chapter.title} (section {chapter.sections[0]})" in text
        line = under(notebook, chapter.sections[0])[1]
        assert re.fullmatch(rf"\d+ minutes? · ▶ video {video.number}, {re.escape(link)}", line)
        for section in chapter.sections[1:]:
            assert "▶" not in "".join(under(notebook, section))


def test_a_section_that_differs_gets_a_box_and_no_other_does(monkeypatch):
    monkeypatch.setattr(VIDEOS[1], "differs", {"1.4": "The video rounds."})
    monkeypatch.setattr(build_lessons, "VIDEOS", VIDEOS)
    notebook = build_lessons.student_edition(SOURCES[1])
    assert under(notebook, "1.4")[1] == "> **Differs from the video.** The video rounds."
    assert sum("Differs from the video" in cell.source for cell in notebook.cells) == 1


# --------------------------------------------------------------------------------------------------------------------
# The kits
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lesson", "video"), list(zip(build_kits.LESSONS, VIDEOS, strict=True)), ids=range(6))
def test_what_is_shown_and_said(lesson, video):
    """Every section and exercise has its slides, no answer is on one, and the words fit the time of each chapter."""
    notebook = nbformat.read(lesson, as_version=4)
    slides = lesson_slides.slides_of(notebook, video)
    shown = "\n".join(cell.source for slide in slides for cell in slide.cells)
    assert {slide.section for slide in slides} == {section for one in video.chapters for section in one.sections}
    exercises = [cell.source for cell in notebook.cells if cell.source.startswith("### Exercise")]
    assert sum(slide.kind == "exercise" for slide in slides) == len(exercises)
    assert sum(slide.kind == "quiz" for slide in slides) == 1
    for answer in ("@exercise", "is right.**", "pip install", "<details>"):
        assert answer not in shown
    figures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert sum(slide.kind == "figure" for slide in slides) == len(figures)
    text = kit_script.script(slides, video)
    for position, chapter in enumerate(video.chapters, start=1):
        assert (
            f"## {position}. {chapter.title}\n\n**{videos.clock(chapter.start)} to {videos.clock(chapter.end)}**"
            in text
        )
    assert "**Question 1.**" not in text
    for needed, available in re.findall(r"words: ([\d.]+) minutes of ([\d.]+)\.", text):
        assert float(needed) <= float(available)
    for statement in exercises:
        number, name, minutes = re.match(r"### Exercise (\S+) · (`\w+`) · (\d+)", statement).groups()
        assert f"solve exercise {number}, {name}. Take {minutes} minutes." in text
    assert [int(number) for number in re.findall(r"^\*\*\[(\d+)\]\*\*", text, flags=re.MULTILINE)] == list(
        range(1, len(slides) + 1)
    )


HEIGHTS = """() => Math.max(...Reveal.getSlides().map((_, number) => {
    Reveal.slide(number);
    return Reveal.getCurrentSlide().scrollHeight;
}))"""


@pytest.fixture(scope="module")
def kits(chromium, tmp_path_factory):
    """Folder and slides of the kits of two lessons."""
    if shutil.which("npm") is None and not (ROOT / "build" / "npm").exists():
        pytest.skip("no npm on this machine")
    folder = tmp_path_factory.mktemp("kits")
    return {
        folder / f"{number}": build_kits.build(
            build_kits.LESSONS[number], VIDEOS[number], folder / f"{number}", chromium
        )
        for number in (0, 3)
    }


def test_slides_open_from_a_folder_and_ask_nobody_and_the_speaker_sees_the_notes(chromium, kits):
    for folder, slides in kits.items():
        page = chromium.new_context(offline=True, viewport={"width": 960, "height": 700}).new_page()
        asked, said = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.goto((folder / "slides.html").as_uri())
        page.wait_for_function("window.Reveal?.isReady()")
        assert page.evaluate("Reveal.getTotalSlides()") == len(slides)
        assert page.evaluate(HEIGHTS) <= build_kits.HEIGHT
        equations = sum(cell.source.count("$$") // 2 for slide in slides for cell in slide.cells)
        assert page.locator("section > div mjx-container[display=true]").count() == equations > 2
        assert "$" not in page.evaluate("document.querySelector('.slides').textContent").replace("\\$", "")
        assert page.locator("[data-mjx-error]").count() == 0
        assert page.locator(".slides img:not([alt])").count() == 0
        assert [url for url in asked if not url.startswith("data:")] == [(folder / "slides.html").as_uri()]
        assert said == []
        page.evaluate("Reveal.slide(0)")
        with page.expect_popup() as popup:
            page.keyboard.press("s")
        notes = popup.value.locator(".speaker-controls-notes .value")
        notes.get_by_text("Welcome to video").wait_for()
        page.context.close()


def test_a_page_of_the_pdf_is_a_slide(kits):
    for folder, slides in kits.items():
        pages = re.findall(rb"/Type\s*/Page\b(?!s)", (folder / "slides.pdf").read_bytes())
        assert len(pages) == len(slides)


def test_a_slide_that_does_not_fit_stops_the_build(chromium, kits, tmp_path):
    long = lesson_slides.Slide("code", "0.1", "Long", [lesson_slides.v4.new_markdown_cell("line\n\n" * 30)])
    (tmp_path / "slides.html").write_text(build_kits.html([long], VIDEOS[0]), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"slides \[1\] do not fit their page"):
        build_kits.print_pdf(tmp_path / "slides.html", tmp_path / "slides.pdf", chromium)


def test_without_a_browser_it_is_said_what_to_install(monkeypatch):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
    monkeypatch.setattr(browsers.shutil, "which", lambda _: None)
    with (
        pytest.raises(SystemExit, match="install one of chromium, chromium-browser, google-chrome"),
        browsers.open_chromium(),
    ):
        pass
