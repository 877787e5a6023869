"""The videos: films and chapters in the lessons, and the kits for recording an own one."""

import json
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
FILMS = ROOT / "docs" / "videos"

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
FILM = videos.Film(
    0,
    'A "film"',
    131.5,
    [
        {"start": 0.0, "section": "0.1", "title": "First"},
        {"start": 40.9, "section": "0.2", "title": "Second"},
        {"start": 70.2, "section": "0.2", "title": "Third"},
    ],
    [
        {"start": 0.0, "seconds": 40.9, "section": "0.1", "said": [[0.2, "One."], [20.0, "Two."]]},
        {"start": 40.9, "seconds": 29.3, "section": "0.2", "said": [[41.0, "Three."]]},
        {"start": 70.2, "seconds": 30.0, "section": "0.2", "said": [[70.5, "Four."]]},
        {"start": 100.2, "seconds": 31.3, "section": "0.3", "said": [[100.5, "Five, & six."]]},
    ],
)


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
    assert video.chapters[-1].end == round(video.minutes * 60)
    assert all(one.end == two.start for one, two in pairwise(video.chapters))
    assert all(chapter.end - chapter.start >= (20 if video.film else 60) for chapter in video.chapters)
    assert len({chapter.title for chapter in video.chapters}) == len(video.chapters)
    assert 6 <= len(video.chapters) <= 12
    assert 8 <= video.minutes <= 60


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10:00", "10", "video 0 has a chapter at '10'; write its start as mm:ss or h:mm:ss"),
        ("10:00", "10:75", "write its start as mm:ss or h:mm:ss"),
        ("10:00", "00:00", "times have to rise from chapter to chapter, and sections not to fall"),
        ("10:00", "30:00", "video 0 lasts 30 minutes, but a chapter starts at 30:00"),
        ('"00:00"', '"00:10"', "video 0 starts at 00:10 with section 0.1; write 00:00 and 0.1"),
        ('"0.2"', '"0.9"', "video 0 names section 0.9, which its lesson does not have"),
        ("]\n", '    { start = "20:00", section = "0.1", title = "Three" },\n]\n', "and sections not to fall"),
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


def test_a_section_may_have_two_chapters_and_its_slides_are_those_of_the_first():
    (video,) = videos.parse_videos(videos.with_films(SHORT, {0: FILM}), SECTIONS)
    assert [(one.title, one.start, one.end, one.section, one.sections) for one in video.chapters] == [
        ("First", 0, 40, "0.1", ["0.1"]),
        ("Second", 40, 70, "0.2", ["0.2"]),
        ("Third", 70, 132, "0.2", ["0.3"]),
    ]


# --------------------------------------------------------------------------------------------------------------------
# From the films
# --------------------------------------------------------------------------------------------------------------------

OF_THE_FILM = """
[[video]]
number = 0
title = "A \\"film\\""
url = ""
language = "en"
minutes = 2.2
chapter = [
    { start = "00:00", section = "0.1", title = "First" },
    { start = "00:40", section = "0.2", title = "Second" },
    { start = "01:10", section = "0.2", title = "Third" },
]
"""


def test_the_entries_are_what_the_films_tell():
    text = videos.TOML.read_text(encoding="utf-8")
    assert videos.with_films(text, videos.read_films()) == text, "run `make lessons`"
    assert sorted(videos.read_films()) == [number for number in range(6) if (FILMS / f"film_{number}.mp4").exists()]


def test_a_film_writes_its_entry_and_no_other():
    other = SHORT.replace("number = 0", "number = 1")
    differs = '\n[video.differs]\n"0.2" = "Other."\n'
    assert videos.with_films(SHORT, {}) == SHORT
    assert videos.with_films(SHORT, {0: FILM}) == OF_THE_FILM
    assert videos.with_films(OF_THE_FILM, {0: FILM}) == OF_THE_FILM
    assert videos.with_films(SHORT + other, {0: FILM}) == OF_THE_FILM + other
    assert videos.with_films(SHORT + differs, {0: FILM}) == OF_THE_FILM + differs


def test_a_lecturers_own_video_takes_the_place_of_the_film(monkeypatch, tmp_path):
    mine = SHORT.replace('url = ""', 'url = "https://youtu.be/abc"')
    assert videos.with_films(mine, {0: FILM}) == mine
    monkeypatch.setattr(videos, "FILMS", tmp_path)
    monkeypatch.setattr(videos, "TOML", tmp_path / "videos.toml")
    (tmp_path / "film_4.json").write_text(json.dumps(vars(of_lesson(4))), encoding="utf-8")
    text = (ROOT / "lessons" / "videos.toml").read_text(encoding="utf-8")
    for url, film in (("", of_lesson(4)), ("https://youtu.be/abc", None)):
        head, entry = text.split("number = 4\n")
        videos.TOML.write_text(f"{head}number = 4\n{re.sub('url = .*', f'url = {json.dumps(url)}', entry, count=1)}")
        assert [video.film for video in videos.read_videos()] == [None, None, None, None, film, None]


def of_lesson(number):
    """A film that is on every second section of a lesson for 30 seconds, two beats each, from the first one on."""
    sections = videos.sections_of(SOURCES[number].read_text(encoding="utf-8"))[::2]
    beats = [
        {"start": 15.4 * place, "seconds": 15.4, "section": section, "said": [[15.4 * place, f"Part {place}."]]}
        for place, section in enumerate(section for section in sections for _ in range(2))
    ]
    chapters = [
        {"start": one["start"], "section": one["section"], "title": f"Of {one['section']}"} for one in beats[::2]
    ]
    return videos.Film(number, "A film", 15.4 * len(beats), chapters, beats)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"number": 4}'])
def test_a_film_that_is_damaged_is_told_in_one_sentence(monkeypatch, tmp_path, text):
    monkeypatch.setattr(videos, "FILMS", tmp_path)
    (tmp_path / "film_4.json").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"^docs/videos/film_4.json is not .*: make video-4 writes it anew\.$"):
        videos.read_films()


# --------------------------------------------------------------------------------------------------------------------
# In the lessons
# --------------------------------------------------------------------------------------------------------------------


@EACH
def test_a_lesson_does_not_name_a_video_that_is_not_there(source, video):
    notebook = build_lessons.student_edition(source)
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert video.url or video.film or "▶" not in text
    assert "Differs from the video" not in text


@pytest.fixture
def filmed(monkeypatch):
    """Let a lesson have a film, and return it."""

    def film(video):
        monkeypatch.setattr(video, "url", "")
        monkeypatch.setattr(video, "film", of_lesson(video.number))
        monkeypatch.setattr(build_lessons, "VIDEOS", VIDEOS)
        return video.film

    return film


@EACH
@pytest.mark.parametrize("edition", ["student_edition", "solved_edition"])
def test_a_film_is_played_in_the_header_and_its_minute_is_said_at_each_section(filmed, source, video, edition):
    film = filmed(video)
    notebook = getattr(build_lessons, edition)(source)
    web = f"{build_lessons.ADDRESS}/blob/main/docs/videos/film_{video.number}"
    player, links = (line for line in header(notebook).splitlines() if "film" in line)
    assert re.match(r'<video controls preload="none" ', player)
    assert re.search(rf' src="\.\./docs/videos/film_{video.number}\.mp4">', player)
    assert f'<a href="{web}.mp4"><img src="../docs/videos/film_{video.number}.jpg" alt="' in player
    assert links.startswith(f"[▶ film, {video.length}]({web}.mp4) · [transcript]({web}.md) · [open in Colab](")
    starts = {}
    for beat in film.beats:
        starts.setdefault(beat["section"], int(beat["start"]))
    for section in videos.sections_of(source.read_text(encoding="utf-8")):
        line = under(notebook, section)[1]
        if section in starts:
            time = f"{videos.clock(starts[section])}](../docs/videos/film_{video.number}.mp4#t={starts[section]})"
            assert re.fullmatch(rf"\d+ minutes? · \[▶ {re.escape(time)}", line)
        else:
            assert re.fullmatch(r"\d+ minutes?", line)


@EACH
def test_a_film_does_not_depend_on_what_the_lesson_tells_of_it(monkeypatch, filmed, source, video):
    """Otherwise its pictures would have to be made again once its minutes stand in the lesson."""
    monkeypatch.setattr(video, "film", None)
    monkeypatch.setattr(build_lessons, "VIDEOS", VIDEOS)
    before = nbformat.writes(build_lessons.solved_edition(source)) + "\n"
    filmed(video)
    after = nbformat.writes(build_lessons.solved_edition(source)) + "\n"
    assert before != after
    assert videos.without_film(after) == videos.without_film(before) == before


@EACH
@pytest.mark.parametrize("edition", ["student_edition", "solved_edition"])
@pytest.mark.parametrize(("url", "sign"), [("https://youtu.be/abc", "?"), ("https://youtube.com/watch?v=abc", "&")])
def test_an_own_video_is_linked_and_each_chapter_at_its_section(monkeypatch, source, video, edition, url, sign):
    monkeypatch.setattr(video, "url", url)
    monkeypatch.setattr(video, "film", None)
    monkeypatch.setattr(build_lessons, "VIDEOS", VIDEOS)
    notebook = getattr(build_lessons, edition)(source)
    text = header(notebook)
    assert f'[video {video.number}, "{video.title}"]({url})' in text
    assert "<video" not in text
    starts = {}
    for chapter in video.chapters:
        starts.setdefault(chapter.section, chapter.start)
        link = f"[{videos.clock(chapter.start)}]({url}{sign}t={chapter.start})"
        assert f"- {link} {chapter.title} (section {chapter.section})" in text
    for section in videos.sections_of(source.read_text(encoding="utf-8")):
        if section in starts:
            link = f"[{videos.clock(starts[section])}]({url}{sign}t={starts[section]})"
            line = under(notebook, section)[1]
            assert re.fullmatch(rf"\d+ minutes? · ▶ video {video.number}, {re.escape(link)}", line)
        else:
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


OF_LESSON = pytest.mark.parametrize(
    ("lesson", "video"), list(zip(build_kits.LESSONS, VIDEOS, strict=True)), ids=range(6)
)


@OF_LESSON
def test_what_is_shown(lesson, video):
    """Every section and exercise has its slides, and no answer is on one."""
    notebook = nbformat.read(lesson, as_version=4)
    slides = lesson_slides.slides_of(notebook, video)
    shown = "\n".join(cell.source for slide in slides for cell in slide.cells)
    assert {slide.section for slide in slides} == {section for one in video.chapters for section in one.sections}
    exercises = [cell.source for cell in notebook.cells if cell.source.startswith("### Exercise")]
    assert sum(slide.kind == "exercise" for slide in slides) == len(exercises)
    assert sum(slide.kind == "quiz" for slide in slides) == 1
    for answer in ("@exercise", "is right.**", "pip install", "<details>", "<video", "▶"):
        assert answer not in shown
    figures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert sum(slide.kind == "figure" for slide in slides) == len(figures)
    said = "\n".join(text for slide in slides for text in slide.say)
    assert "**Question 1.**" not in said
    assert not re.search(r"^\d+ minutes?", said, flags=re.MULTILINE)
    for statement in exercises:
        number, name, minutes = re.match(r"### Exercise (\S+) · (`\w+`) · (\d+)", statement).groups()
        assert f"solve exercise {number}, {name}. Take {minutes} minutes." in said


def chapters_of(script, video):
    """What a script has for each chapter, below its heading."""
    _, *parts = re.split(r"^## \d+\. ", script, flags=re.MULTILINE)
    for chapter, part in zip(video.chapters, parts, strict=True):
        start, end = videos.clock(chapter.start), videos.clock(chapter.end)
        assert part.startswith(f"{chapter.title}\n\n**{start} to {end}** · section")
    return [part.split("\n\n", maxsplit=2)[2].strip() for part in parts]


@OF_LESSON
def test_without_a_film_the_script_is_what_the_lesson_says(monkeypatch, lesson, video):
    monkeypatch.setattr(video, "film", None)
    slides = lesson_slides.slides_of(nbformat.read(lesson, as_version=4), video)
    text = kit_script.script(slides, video)
    assert all(chapters_of(text, video))
    numbers = [int(number) for number in re.findall(r"^\*\*\[(\d+)\]\*\*", text, flags=re.MULTILINE)]
    assert list(dict.fromkeys(numbers)) == list(range(1, len(slides) + 1))
    for slide in slides:
        assert all(" ".join(said.split()) in " ".join(text.split()) for said in slide.say)


@OF_LESSON
def test_with_a_film_the_script_is_what_is_said_in_it(lesson, video):
    film = of_lesson(video.number)
    entry = videos.with_films(SHORT.replace("number = 0", f"number = {video.number}"), {video.number: film})
    known = [videos.sections_of(SOURCES[video.number].read_text(encoding="utf-8"))]
    (filmed,) = videos.parse_videos(entry.replace(f"number = {video.number}", "number = 0"), known)
    filmed.film = film
    slides = lesson_slides.slides_of(nbformat.read(lesson, as_version=4), filmed)
    text = kit_script.script(slides, filmed)
    beats = [said for beat in film.beats for _, said in beat["said"]]
    assert chapters_of(text, filmed) == [f"{one}\n\n{two}" for one, two in zip(beats[::2], beats[1::2], strict=True)]
    places = [tuple(map(int, pair)) for pair in re.findall(r"slides (\d+) to (\d+)$", text, flags=re.MULTILINE)]
    assert [number for start, end in places for number in range(start, end + 1)] == list(range(1, len(slides) + 1))


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
