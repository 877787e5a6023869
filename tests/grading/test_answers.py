# ruff: noqa: E501  # a cell stands in one line
"""Right answers, however they are written, are found in a notebook and run as Jupyter would have run them."""

import json

import pytest
import torch

from vae_course.exercises import EXERCISES
from vae_course.grading.answers import define, find_answer, read_notebook

SETUP = (
    "import math, torch\nimport torch.nn.functional as F\nfrom torch import Tensor\nfrom vae_course.exercises import *"
)
BODY = "return x * logits - F.softplus(logits)"
PLAIN = f"def bernoulli_log_prob(x, logits):\n    {BODY}"
DECORATED = f'@exercise("1.1")\n{PLAIN}'
BLANK = '@exercise("1.1")\ndef bernoulli_log_prob(x, logits):\n    """Log-probability."""\n    ...'
WRONG = "def bernoulli_log_prob(x, logits):\n    return x"
SHOW = 'check("1.1", bernoulli_log_prob)'
HELPED = "def bernoulli_log_prob(x, logits):\n    return x * logits - helper(logits)"
HELPER = "def helper(t):\n    return F.softplus(t)"
BAD_HELPER = "def helper(t):\n    return t"
SCALED = "def bernoulli_log_prob(x, logits):\n    return scale * (x * logits - F.softplus(logits))"

STYLES = {
    "plain": [PLAIN],
    "decorated": [DECORATED],
    "decorated, another name": [DECORATED.replace("def bernoulli_log_prob", "def mine")],
    "shown by another name": [PLAIN.replace("bernoulli_log_prob", "mine"), 'check("1.1", mine)'],
    "shown as an expression": [PLAIN.replace("bernoulli_log_prob", "mine"), 'result = check("1.1", torch.no_grad()(mine))'],
    "a lambda": ["bernoulli_log_prob = lambda x, logits: x * logits - F.softplus(logits)"],
    "corrected below": [WRONG, PLAIN],
    "an untouched copy below": [DECORATED, BLANK],
    "a worse try below, never shown": [PLAIN, SHOW, WRONG],
    "a worse try above, shown": [WRONG, SHOW, PLAIN, SHOW],
    "with a question": [f"{PLAIN}\nbernoulli_log_prob?"],
    "with two questions": [PLAIN, "??bernoulli_log_prob"],
    "timed": [f"%%time\n{PLAIN}"],
    "timed with options": [f"%%timeit -n1 -r1\nx = 3\n{PLAIN}"],
    "captured": [f"%%capture out\n{PLAIN}"],
    "a timing kept": [f"{PLAIN}\nt = %timeit -o -n1 -r1 bernoulli_log_prob(torch.ones(2), torch.ones(2))\nprint(t.average)"],
    "a timing of what is needed": ["%time scale = 1.0", SCALED],
    "a command's output": [f"files = !ls\n{PLAIN}"],
    "a command within": [f"if True:\n    !pip list\n    pass\n{PLAIN}"],
    "magic at the top": [f"%matplotlib inline\n%load_ext autoreload\n{PLAIN}"],
    "percent at the start of a line": [PLAIN.replace("    return", "    k = (\n        7\n        % 4\n    )\n    return")],
    "signs in a docstring": [PLAIN.replace("    return", "    '''\n    ! note\n    ? why\n    %% of\n    '''\n    return")],
    "not equal at the start of a line": [PLAIN.replace("    return", "    assert (1\n      != 2)\n    return")],
    "annotations of the future": [
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere",
        PLAIN.replace("x, logits", "x: nowhere.Float, logits: nowhere.Float[Tensor, '...']"),
    ],
    "a table filled later": ["sign = {}\nsign['x'] = 1", "sign['s'] = -1", PLAIN.replace("x * logits - F", "sign['x'] * x * logits + sign['s'] * F")],
    "a table filled by a loop": [
        "c = {}\nfor name, value in (('a', 1.0), ('b', -1.0)):\n    c[name] = value",
        PLAIN.replace("x * logits - F", "c['a'] * x * logits + c['b'] * F"),
    ],
    "a table filled by a method": ["c = []", "c.append(1.0)", PLAIN.replace("x * logits", "c[0] * x * logits")],
    "a table filled by a function": [
        "c = {}\ndef fill(table):\n    table['a'] = 1.0",
        "fill(c)",
        PLAIN.replace("x * logits", "c['a'] * x * logits"),
    ],
    "an attribute set later": [PLAIN.replace("x * logits", "bernoulli_log_prob.a * x * logits"), "bernoulli_log_prob.a = 1.0"],
    "a constant rebound below": ["scale = 1.0", SCALED, SHOW, "scale = torch.tensor([3.0, 4.0]).repeat(5)"],
    "a constant rebound above": ["scale = 7.0", "scale = scale / 7", SCALED],
    "a constant changed in place": ["scale = 0.5", "scale *= 2", SCALED],
    "a helper redefined below": [HELPER, HELPED, SHOW, BAD_HELPER],
    "a helper redefined above": [BAD_HELPER, HELPER, HELPED],
    "a helper below": [HELPED, SHOW, HELPER],
    "a helper that helps another": ["def soft(t):\n    return F.softplus(t)", "helper = soft", HELPED],
    "an old try as Markdown below": [PLAIN, ("markdown", f"My first try:\n\n{WRONG}\n")],
    "made Markdown": [("markdown", PLAIN)],
    "single dispatch": [
        "from functools import singledispatch\n@singledispatch\ndef bernoulli_log_prob(x, logits):\n    raise TypeError",
        f"@bernoulli_log_prob.register\ndef _(x: Tensor, logits):\n    {BODY}",
    ],
    "a global": [f"def make():\n    global bernoulli_log_prob\n    def bernoulli_log_prob(x, logits):\n        {BODY}", "make()"],
    "a global constant": ["def setup():\n    global scale\n    scale = 1.0", "setup()", SCALED],
    "within try": [f"try:\n    def bernoulli_log_prob(x, logits):\n        {BODY}\nexcept Exception:\n    pass"],
    "within if": [f"if torch.__version__:\n    def bernoulli_log_prob(x, logits):\n        {BODY}"],
    "a method": [f"class Mine:\n    def f(self, x, logits):\n        {BODY}", "bernoulli_log_prob = Mine().f"],
    "a partial": [
        "from functools import partial",
        "def general(sign, x, logits):\n    return x * logits + sign * F.softplus(logits)",
        "bernoulli_log_prob = partial(general, -1)",
    ],
    "cached": ["from functools import lru_cache", f"@lru_cache\n{PLAIN}"],
    "a cell with an error": [f"{PLAIN}\nnothing_of_this_name", "print(("],
    "a syntax error beside it": [f"{PLAIN}\n\ndef broken(:\n    pass"],
    "an endless line before": ["while True: pass", PLAIN],
    "an endless line after": [f"{PLAIN}\nwhile True:\n    bernoulli_log_prob.x = 1", SHOW],
    "threads": [
        "import threading\nc = {}\nthread = threading.Thread(target=lambda: c.update(a=1.0))\nthread.start()\nthread.join()",
        PLAIN.replace("x * logits", "c['a'] * x * logits"),
    ],
    "a module written by a cell": [
        "%%writefile helpers_of_mine.py\nimport torch.nn.functional as F\ndef helper(t):\n    return F.softplus(t)",
        f"from helpers_of_mine import helper\n{HELPED}",
    ],
    "setup deleted": [None, PLAIN],
    "without its imports": [None, HELPER, HELPED],
    "moved above the setup": [None, PLAIN, SETUP],
}  # fmt: skip


def statements_of(cells):
    cells = [("code", cell) if isinstance(cell, str) else cell for cell in cells]
    content = {"cells": [{"cell_type": kind, "source": text} for kind, text in cells], "metadata": {}, "nbformat": 4}
    names = {f"{one.lesson:02}": [one.name] for one in EXERCISES.values() if one.id.endswith(".1")}
    return read_notebook(json.dumps(content).encode(), "01_problem_setup.ipynb", names)


def answer_in(cells, folder):
    lesson, statements = statements_of(cells)
    assert lesson == "01"
    return define("1.1", "bernoulli_log_prob", find_answer("1.1", "bernoulli_log_prob", statements), {}, str(folder))


@pytest.mark.parametrize("style", STYLES)
def test_a_right_answer_is_found_and_run(style, tmp_path, monkeypatch):
    monkeypatch.setattr("vae_course.grading.answers.SECONDS", 0.2)
    monkeypatch.syspath_prepend(tmp_path)
    cells = STYLES[style]
    answer = answer_in([SETUP, *cells] if cells[0] else cells[1:], tmp_path)
    x, logits = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.3, -2.0, 5.0])
    expected = EXERCISES["1.1"].reference(x, logits)
    torch.testing.assert_close(answer(x, logits), expected)


@pytest.mark.parametrize("cells", [[BLANK], [SETUP], ["from vae_course.distributions import bernoulli_log_prob"], []])
def test_what_is_no_answer_is_none(cells):
    _, statements = statements_of([SETUP, *cells])
    assert find_answer("1.1", "bernoulli_log_prob", statements) == []


def test_what_a_definition_raises_is_told(tmp_path):
    with pytest.raises(ZeroDivisionError):
        answer_in([SETUP, "@(lambda f: 1 / 0)\n" + PLAIN], tmp_path)


@pytest.mark.parametrize(
    ("name", "lesson"),
    [
        ("01_problem_setup.ipynb", "01"),
        ("jane_01_problem_setup-2.ipynb", "01"),
        ("05_mai_2024_hausaufgabe.ipynb", "01"),
        ("2024_03_demo_final.ipynb", "03"),
    ],
)
def test_the_lesson_is_told_by_a_lessons_name_or_by_what_is_answered(name, lesson):
    content = {"cells": [{"cell_type": "code", "source": PLAIN}]}
    names = {"01": ["bernoulli_log_prob"], "05": ["zinb_log_prob"], "03": ["decoder"]}
    assert read_notebook(json.dumps(content).encode(), name, names)[0] == lesson
