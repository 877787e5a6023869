"""A lesson in JupyterLab, in a real browser."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
from lab_server import serving

from vae_course.exercises import EXERCISES, progress
from vae_course.exercises.quiz import LETTERS, questions

LESSON = "01_problem_setup"
FILM = Path(__file__).parents[2] / "docs" / "videos" / "film_1.mp4"
DONE = """() => {
    const idle = /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText ?? '');
    const waiting = [...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.innerText.includes('*'));
    return idle && !waiting;
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory, chromium):
    """Run a lesson in JupyterLab as a learner opens it; give its page and the saved notebook.

    The progress is kept in a folder of its own.
    """
    folder = tmp_path_factory.mktemp("lab")
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_COURSE_HOME", str(folder / "home"))
        with serving(folder, "vae_course.cli", "lab") as address:
            page = chromium.new_page(viewport={"width": 1300, "height": 1000})
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{address}/lab/tree/{LESSON}.ipynb?reset")
            page.wait_for_function(DONE, timeout=120_000)
            page.click(".lm-MenuBar-itemLabel:text-is('Run')")
            page.click("[data-command='runmenu:run-all']")
            page.wait_for_selector(".jp-InputPrompt:has-text('*')", timeout=30_000)
            _wait_until_done(page)
            page.keyboard.press("Control+s")
            yield page, _saved(folder / "work" / f"{LESSON}.ipynb")
            assert not [url for url in asked if not url.startswith((address, "data:", "blob:", "about:"))]
            page.close()


def test_a_lesson_runs_in_jupyterlab(lesson):
    page, notebook = lesson
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not [cell["source"] for cell in code if cell["execution_count"] is None]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    shown = [output.get("data", {}) for output in outputs]
    assert sum("not done yet" in "".join(data.get("text/plain", "")) for data in shown) == 5
    assert page.locator(".jp-OutputArea-output details summary:has-text('Hint 1 of 2')").count() == 5

    figures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert figures > 5
    explorables = [frame for frame in page.frames if frame.evaluate("Boolean(window.explorable)")]
    assert len(explorables) == 2
    assert page.locator(".jp-OutputArea-output img[alt]").count() == figures + len(explorables)  # their stills
    assert page.locator("mjx-container").count() > 50
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert page.locator(".jp-MarkdownOutput", has_text="$").count() == 0, "mathematics that was not rendered"


PLAYED = """async () => {
    const film = document.querySelector('.jp-Notebook video');
    const poster = Object.assign(new Image(), {src: film.poster});
    await poster.decode();
    film.muted = true;
    await film.play();
    film.currentTime = 300;
    await new Promise(resolve => film.addEventListener('seeked', resolve, {once: true}));
    film.pause();
    return [poster.naturalWidth, film.duration, film.currentTime];
}"""


def test_the_film_plays_in_the_lesson(lesson):
    if not FILM.exists():
        pytest.skip("lesson 1 has no film yet: make video-1")
    width, duration, now = lesson[0].evaluate(PLAYED)
    assert width == 1280
    assert 480 <= duration <= 720
    assert 299 < now < 302
    minute = lesson[0].locator(".jp-MarkdownOutput a:has-text('▶ 00:00')")
    assert "/files/videos/film_1.mp4" in minute.get_attribute("href")


def test_a_click_gives_the_next_hint(lesson):
    page = lesson[0]
    card = page.locator(".jp-OutputArea-output", has_text="1.1 bernoulli_log_prob: not done yet")
    hints = EXERCISES["1.1"].hints
    for number, hint in enumerate(hints, start=1):
        assert not card.get_by_text(hint).is_visible()
        card.locator(f"summary:has-text('Hint {number} of {len(hints)}')").click()
        assert card.get_by_text(hint).is_visible()
    assert card.get_by_text('solution("1.1")').is_visible()


def test_a_click_on_an_option_says_why_and_counts_once(lesson):
    page, one = lesson[0], questions()["1.1"]
    wrong = next(letter for letter in LETTERS if letter != one.right)
    card = page.locator(".jp-OutputArea-output", has_text="Question 1.1.")
    for letter, said in ((wrong, "Wrong."), (one.right, "Right.")):
        option = card.locator("details").nth(LETTERS.index(letter))
        option.locator("summary").click()
        assert option.get_by_text(said).is_visible()
        page.wait_for_function(DONE)
    for _ in range(60):
        if answers := progress().answers:
            break
        time.sleep(0.5)
    assert answers == {"quiz 1.1": False}


def _wait_until_done(page):
    """Idle, and still so 1.5 seconds later."""
    for _ in range(60):
        page.wait_for_function(DONE, timeout=240_000)
        page.wait_for_timeout(1500)
        if page.evaluate(DONE):
            return
    raise AssertionError("the notebook does not come to rest")


def _saved(path):
    """Read the notebook once JupyterLab has written it after the run."""
    for _ in range(60):
        with suppress(json.JSONDecodeError):  # half written
            notebook = json.loads(path.read_text(encoding="utf-8"))
            if notebook["cells"][-1].get("execution_count"):
                return notebook
        time.sleep(0.5)
    raise AssertionError("the notebook was not saved")
