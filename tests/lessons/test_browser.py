"""A lesson in JupyterLab, in a real browser."""

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
from lab_server import serving

ROOT = Path(__file__).parents[2]
LESSON = "01_problem_setup"
DONE = """() => {
    const idle = /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText ?? '');
    const waiting = [...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.innerText.includes('*'));
    return idle && !waiting;
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Run JupyterLab on a copy of the student edition; give its folder and its address."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "lessons" / f"{LESSON}.ipynb", folder)
    with serving(folder, "jupyterlab") as address:
        yield folder, address


def test_a_lesson_runs_in_jupyterlab(lab, chromium):
    folder, address = lab
    path = folder / f"{LESSON}.ipynb"
    asked = []
    page = chromium.new_page(viewport={"width": 1300, "height": 1000})
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/lab/tree/{path.name}?reset")
    page.wait_for_function(DONE, timeout=120_000)
    page.click(".lm-MenuBar-itemLabel:text-is('Run')")
    page.click("[data-command='runmenu:run-all']")
    page.wait_for_selector(".jp-InputPrompt:has-text('*')", timeout=30_000)
    _wait_until_done(page)
    page.keyboard.press("Control+s")
    notebook = _saved(path)

    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not [cell["source"] for cell in code if cell["execution_count"] is None]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    shown = [output.get("data", {}) for output in outputs]
    assert sum("not done yet" in "".join(data.get("text/plain", "")) for data in shown) == 6
    assert page.locator(".jp-OutputArea-output details summary:has-text('Hint 1 of 2')").count() == 6

    figures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert figures > 5
    explorables = [frame for frame in page.frames if frame.evaluate("Boolean(window.explorable)")]
    assert len(explorables) == 2
    assert page.locator(".jp-OutputArea-output img[alt]").count() == figures + len(explorables)  # their stills
    assert page.locator("mjx-container").count() > 50
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert page.locator(".jp-MarkdownOutput", has_text="$").count() == 0, "mathematics that was not rendered"
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:", "about:"))]
    page.close()


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
