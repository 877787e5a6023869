"""Checking a notebook in this process: its own exceptions cost an answer, and Ctrl-C ends the command."""

import signal
import subprocess
import sys
import time

import pytest
from hostile_submissions import notebook_of

from vae_course.grading import check_notebook

HELPED = "def bernoulli_log_prob(x, logits):\n    return x * logits - torch.nn.functional.softplus(logits) + nothing"
# What runs when the answer is defined; the first lines tell that it has begun.
SLEEPS = {
    "in the definition": "@wait\ndef bernoulli_log_prob(x, logits):\n    return x * logits",
    "in what it is made of": f"nothing = wait(0)\n\n\n{HELPED}",
    "where exceptions are swallowed": f"try: nothing = wait(0)\nexcept BaseException: nothing = 0\n\n\n{HELPED}",
}
WAIT = """
import time
from pathlib import Path


def wait(thing):
    Path({begun!r}).touch()
    time.sleep(120)
    return thing
"""


def write(folder, *cells):
    path = folder / "01_problem_setup.ipynb"
    path.write_bytes(notebook_of(cells))
    return path


@pytest.mark.parametrize("name", SLEEPS)
def test_ctrl_c_ends_the_check(tmp_path, name):
    begun = tmp_path / "begun"
    path = write(tmp_path, WAIT.format(begun=str(begun)), SLEEPS[name])
    # a job in the background would ignore Ctrl-C
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"from vae_course.grading import check_notebook\nprint(check_notebook({str(path)!r}))"
    checking = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 100
        while not begun.exists():
            assert time.monotonic() < deadline
            assert checking.poll() is None, checking.stderr.read()
            time.sleep(0.05)
        checking.send_signal(signal.SIGINT)
        said, error = checking.communicate(timeout=60)
    finally:
        checking.kill()
    assert said == ""
    assert error.strip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("stop", ["raise KeyboardInterrupt", "raise SystemExit", "import sys; sys.exit()"])
def test_a_cell_that_stops_python_costs_its_own_answer(tmp_path, stop):
    before = signal.getsignal(signal.SIGINT)
    path = write(
        tmp_path,
        f"def stopping(function):\n    {stop}",
        "@stopping\ndef bernoulli_log_prob(x, logits):\n    return x * logits",
        "def normal_log_prob(x, mean, var):\n    return torch.distributions.Normal(mean, var.sqrt()).log_prob(x)",
    )
    results = check_notebook(path)
    assert results["1.1"].status == "error"
    assert "stopped with" in results["1.1"].message
    assert results["1.2"].status == "passed"
    assert signal.getsignal(signal.SIGINT) is before
