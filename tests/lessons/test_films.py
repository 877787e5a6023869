"""The films of the lessons: their scripts run on the executed lessons, and the finished files are as they should be."""

import hashlib
import json
import re
import shutil
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

needed = "a film is drawn with {}: pip install -e '.[video]', and see docs/videos/README.md for what apt installs"
for module in ("manim", "typst", "piper"):
    pytest.importorskip(module, reason=needed.format(module))

from film import captions, check, engines, fetch_voice, lesson, listen, make, record, respell, sources, trailer, voice
from film.camera import FilmCamera
from film.fetch_voice import SHA256
from film.lesson import ROOT, Lesson
from film.picture import complaints
from film.render import Undrawn, known_of, prepare, settings, watched
from film.script import films, read_film
from manim import tempconfig

DOCS = ROOT / "docs" / "videos"
FILMS = pytest.mark.parametrize("number", films(), ids=lambda number: f"film {number}")
SMALL = {"pixel_width": 427, "pixel_height": 240}


@cache
def drawn(number: int) -> tuple[list[dict], list[str]]:
    """Run every beat of a film as a draft, and draw it once; return what is known of them, and what is wrong."""
    known, wrong = [], []
    with pytest.MonkeyPatch.context() as patch, tempconfig(settings(dry_run=True) | SMALL):
        patch.setenv("VIDEO_DRAFT", "1")
        prepare(f"test_{number}")
        for beat in read_film(number).beats:
            try:
                known.append(draw(beat, wrong))
            except Exception as error:
                wrong.append(f"film {number}, beat {beat.__name__}: {type(error).__name__}: {error}")
    return known, wrong


def draw(beat: type, wrong: list[str]) -> dict:
    """Run a beat, look at what is to be seen after each thing said, and draw it at its end."""

    def said(self, text):
        found = complaints([*self.mobjects, *self.foreground_mobjects])
        wrong.extend(f"beat {beat.__name__}: {one}" for one in found)

    scene = type(beat.__name__, (watched(beat),), {"said": said})(
        renderer=Undrawn(camera_class=FilmCamera, skip_animations=True)
    )
    scene.setup()
    scene.construct()
    picture = scene.renderer.picture(scene)
    assert len(picture.getcolors(picture.width * picture.height)) > 10, (
        f"beat {beat.__name__} ends with an empty picture"
    )
    return known_of(scene)


# --------------------------------------------------------------------------------------------------------------------
# Scripts
# --------------------------------------------------------------------------------------------------------------------


@FILMS
def test_every_beat_runs_and_its_pictures_can_be_read(number):
    known, wrong = drawn(number)
    assert not wrong
    assert [beat["name"] for beat in known] == [beat.__name__ for beat in read_film(number).beats]


@FILMS
def test_beats_have_sections_and_chapters(number):
    beats, titles = read_film(number).beats, Lesson(number).titles
    assert {beat.section for beat in beats} <= set(titles)
    assert beats[0].chapter
    chapters = [beat.chapter for beat in beats if beat.chapter]
    assert len(set(chapters)) == len(chapters)
    assert 6 <= len(chapters) <= 12
    assert read_film(number).poster


@FILMS
def test_something_moves_and_the_length_is_that_of_a_film(number):
    known, _ = drawn(number)
    assert {beat["name"]: beat["still"] for beat in known if beat["still"] > 12} == {}
    assert 8 <= sum(beat["seconds"] for beat in known) / 60 <= 12


@FILMS
def test_captions_fit(number):
    known, _ = drawn(number)
    for beat in known:
        words = [(one["at"] + a, one["at"] + b, word) for one in beat["spoken"] for a, b, word in one["words"]]
        check_captions(captions.captions(words), beat["name"])


def check_captions(found, name):
    assert all(len(line) <= 42 for one in found for line in one.text.split("\n")), name
    assert all(one.text.count("\n") <= 1 for one in found), name
    assert all(one.end <= other.start for one, other in pairwise(found)), name


@FILMS
def test_every_word_can_be_said(number):
    known, _ = drawn(number)
    for beat in known:
        for one in beat["spoken"]:
            for sentence in voice.sentences(one["text"]):
                engines.spelled(sentence.said)  # raises where the voice has no letter for a sound
                assert not re.search(r"[\d{}\[\]()_|^<>=+*/\\]", sentence.said), (beat["name"], sentence.said)


# --------------------------------------------------------------------------------------------------------------------
# Finished films
# --------------------------------------------------------------------------------------------------------------------


@FILMS
def test_a_finished_film_says_and_shows_what_its_script_does(number):
    known, wrong = drawn(number)
    assert not wrong
    assert record.outdated(number, known, recorded(number)) == []


def recorded(number):
    assert (DOCS / f"film_{number}.mp4").exists(), f"film {number} has a script, but was not made: make video-{number}"
    return json.loads((DOCS / f"film_{number}.json").read_text(encoding="utf-8"))


@FILMS
def test_a_finished_film_is_small_and_starts_at_once(number):
    about, film = recorded(number), DOCS / f"film_{number}.mp4"
    assert film.stat().st_size <= 12e6
    assert (DOCS / f"film_{number}.jpg").stat().st_size <= 200_000
    with film.open("rb") as file:
        head = file.read(4_000_000)
    assert 0 < head.find(b"moov") < head.find(b"mdat")
    assert 8 * 60 <= about["seconds"] <= 12 * 60
    assert 130 <= 60 * about["words"] / sum(beat["talk"] for beat in about["beats"]) <= 155
    assert max(beat["still"] for beat in about["beats"]) <= 12


@FILMS
def test_captions_chapters_and_transcript_of_a_finished_film(number):
    about, titles = recorded(number), Lesson(number).titles
    found = captions.read_vtt((DOCS / f"film_{number}.vtt").read_text(encoding="utf-8"))
    check_captions(found, number)
    assert found[-1].end <= about["seconds"]
    spoken = " ".join(text for beat in about["beats"] for _, text in beat["said"])
    assert " ".join(one.text.replace("\n", " ") for one in found) == spoken
    assert about["chapters"][0]["start"] == 0
    assert all(one["section"] in titles and one["title"] for one in about["chapters"])
    page = (DOCS / f"film_{number}.md").read_text(encoding="utf-8")
    for one in about["chapters"]:
        assert f"## {one['title']}" in page
    for still in re.findall(r"!\[.*?\]\((.*?)\)", page):
        assert 0 < (DOCS / still).stat().st_size <= 40_000


def test_the_trailer_is_cut_from_the_films_as_they_are():
    made = json.loads((DOCS / "trailer.json").read_text(encoding="utf-8"))
    assert made["cut from"] == trailer.sources(), "the films have changed: run make trailer"
    assert (DOCS / "trailer.mp4").stat().st_size <= 3e6


def test_all_films_together_are_small():
    assert sum(path.stat().st_size for path in DOCS.glob("film_*.mp4")) <= 70e6


@FILMS
def test_what_made_a_film_is_recorded(number):
    made = recorded(number)["made with"]
    assert {"manim", "typst", "onnxruntime", "piper-tts", "ffmpeg", "voice", "fonts", "model"} <= made.keys()
    assert made["model"]["sha256"] == SHA256[made["model"]["file"]]
    page = (DOCS / "README.md").read_text(encoding="utf-8")
    assert made["model"]["sha256"] in page
    assert made["voice"] in page


# --------------------------------------------------------------------------------------------------------------------
# Tools
# --------------------------------------------------------------------------------------------------------------------

SCRIPT = """
from film import *
lesson = Lesson(4)
shared = 1
def helper():
    return shared
class One(Lecture):
    def construct(self):
        self.say(f"One {helper()}.")
class Two(Lecture):
    def construct(self):
        self.add(heading("4.4", "Two"))
"""


SAYS_A_NUMBER = """
from film import *
lesson = Lesson(4)
slope = lesson.number("slope:")
class Silent(Lecture):
    section = "4.4"
    def construct(self):
        self.say("Ask for {ask} the slope.", ask=FadeIn(words("slope", 40)))
class Told(Lecture):
    section = "4.4"
    def construct(self):
        self.say(f"It is {{it}} {slope}.", it=FadeIn(words(slope, 40)))
"""


def test_a_change_in_the_lesson_names_the_beat(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEO_DRAFT", "1")
    monkeypatch.setattr(lesson, "ROOT", tmp_path)
    (tmp_path / "solutions").mkdir()
    runs = []
    for printed in ("slope: -4.02\n", "slope: -4.03\n"):
        output = {"output_type": "stream", "name": "stdout", "text": [printed]}
        notebook = {"cells": [{"cell_type": "code", "source": ["print(slope)"], "outputs": [output]}]}
        (tmp_path / "solutions" / "04_toy.ipynb").write_text(json.dumps(notebook))
        script: dict = {"__name__": "toy"}
        exec(SAYS_A_NUMBER, script)
        with tempconfig(settings(dry_run=True) | SMALL):
            runs.append([draw(script[name], []) for name in ("Silent", "Told")])
    finished = {"beats": [record.part(beat) for beat in runs[0]]}
    assert record.outdated(4, runs[0], finished) == []
    told = record.outdated(4, runs[1], finished)
    assert told == [
        "film 4, beat Told: said is ['It is −4.02.'], and in its script ['It is −4.03.']: run make video-4 again",
        "film 4, beat Told: shown is ['−4.02'], and in its script ['−4.03']: run make video-4 again",
    ]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('"One {helper()}."', '"Another {helper()}."', {"One"}),
        ("shared = 1", "shared = 2", {"One"}),
        ("shared = 1", "shared = 1  # a comment", set()),
        ('"Two"', '"2"', {"Two"}),
        ("Lesson(4)", "Lesson(3)", set()),  # neither asks it anything
        ("class Two", "other = 3\nclass Two", set()),
        ("from film", "print(4)\nfrom film", {"One", "Two"}),
    ],
)
def test_a_beat_is_made_again_when_something_that_it_uses_changes(tmp_path, old, new, changed):
    (tmp_path / "lesson.ipynb").write_text("{}")
    (tmp_path / "before.py").write_text(SCRIPT)
    (tmp_path / "after.py").write_text(SCRIPT.replace(old, new))
    keys = [
        {beat: sources.key(tmp_path / name, beat, tmp_path / "lesson.ipynb", "") for beat in ("One", "Two")}
        for name in ("before.py", "after.py")
    ]
    assert {beat for beat in ("One", "Two") if keys[0][beat] != keys[1][beat]} == changed


def test_a_beat_is_made_again_when_the_lesson_changes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    keys = []
    for text in ("{}", "{ }"):
        (tmp_path / "lesson.ipynb").write_text(text)
        keys.append(sources.key(tmp_path / "script.py", "One", tmp_path / "lesson.ipynb", ""))
    assert keys[0] != keys[1]


def test_a_beat_is_not_made_again_when_its_lesson_tells_the_film_s_minutes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    keys = []
    for source in ("4 minutes", "4 minutes · [▶ 03:53](../docs/videos/film_4.mp4#t=233)", "5 minutes"):
        cell = {"id": f"04-{hashlib.sha1(source.encode()).hexdigest()[:8]}", "source": [source]}
        text = json.dumps({"cells": [cell]}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        (tmp_path / "lesson.ipynb").write_text(text, encoding="utf-8")
        keys.append(sources.key(tmp_path / "script.py", "One", tmp_path / "lesson.ipynb", ""))
    assert keys[0] == keys[1] != keys[2]


def test_known_terms_are_respelled():
    assert set(listen.KNOWN) <= set(respell.SAID)
    assert all(listen.KNOWN.values())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("VAE", "vˌiː ˌeɪ ˈiː"),
        ("Variational", respell.phonemes("variational")),
        ("A VAE", "ɐ vˌiː ˌeɪ ˈiː"),
        ("mu, and sigma.", "mjˈuː, ænd sˈɪɡmə."),
        ("−4.02", "mˈaɪnəs fˈɔːɹ pɔɪnt zˈiəɹoʊ tˈuː"),
        ("music", "mjˈuːzɪk"),
        ("a die", "ɐ dˈaɪ"),
    ],
)
def test_words_are_said_as_they_should_be(written, said):
    assert respell.phonemes(written) == said


def test_words_and_cues_have_their_places_in_what_is_said():
    (one, other) = voice.sentences("The {mu} mu of a {v} VAE should have no bound. {end} So?")
    assert [one.said[start:].split()[0] for start in one.starts[:6]] == ["ðə", "mjˈuː", "ʌv", "ɐ", "vˌiː", "ʃˌʊdəv"]
    assert one.starts[5] < one.starts[6] < one.starts[7]  # "should have" is said as one word
    assert (one.cues, other.cues) == ({"mu": 1, "v": 4}, {"end": 0})


def test_a_speech_that_the_voice_cannot_say_is_told():
    with pytest.raises(ValueError, match="respell the word"):
        engines.spelled("ab🎲")


def test_a_listener_is_compared_by_sound():
    said = "An autoencoder of 1,700 cells: the log-likelihood is −4.02, and we normalise."
    heard = "An auto encoder of 1700 cells. The log likelihood is minus 4.02 and we normalize."
    assert listen.compare(said, heard) == (20, [], [])
    assert listen.compare("Two cells of mu.", "Ten sells of mew.") == (4, ["Two"], [])


@pytest.mark.parametrize(("number", "words"), [("0", "zero"), ("0.31", "zero point three one"), ("17", "seventeen"),
                                               ("1732", "one thousand seven hundred thirty two")])  # fmt: skip
def test_numbers_in_words(number, words):
    assert listen.in_words(number) == words


def test_captions_break_where_a_reader_pauses():
    text = "So far, z came from a bell that mu moves. Roll the die outside instead: z is mu, plus sigma times epsilon."
    words = [(at, at + 0.25, word) for at, word in zip((0.3 * i for i in range(99)), text.split(), strict=False)]
    found = captions.captions(words)
    assert [one.text for one in found] == [
        "So far, z came from a bell that mu moves.",
        "Roll the die outside instead:\nz is mu, plus sigma times epsilon.",
    ]
    assert captions.read_vtt(captions.vtt(found)) == found


def test_flashes_are_counted():
    still = [np.full((4, 4), 40, np.uint8)] * 60
    fast = [np.full((4, 4), 200 * (i // 3 % 2), np.uint8) for i in range(60)]
    slow = [np.full((4, 4), 200 * (i // 15 % 2), np.uint8) for i in range(60)]
    assert check.flashes(iter(still))[0] == check.flashes(iter(slow))[0] == 0
    assert check.flashes(iter(fast))[0] == 1


def test_a_missing_tool_is_one_sentence(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="ffmpeg, which is not here: install ffmpeg, then try again"):
        make.check_tools()


def test_a_download_that_is_not_what_was_pinned_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_voice, "VOICE", tmp_path)
    with pytest.raises(SystemExit, match="its checksum differs"):
        fetch_voice._keep("vocab.json", b"{}")
    assert not list(tmp_path.iterdir())
