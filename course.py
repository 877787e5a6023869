"""Open the course, run its demo or its tests: python3 course.py lab | demo | test.

Needs Python 3.11 or newer and nothing else. The first call makes an environment in .venv and installs the course and
what it needs there (about 1.5 GB, some minutes); later calls start at once. Further words go to the command; `test`
with further words calls pytest with them, and without any runs everything.
"""

import hashlib
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
# No pop-up that asks whether JupyterLab may fetch news.
JUPYTERLAB = '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}'
PYTEST = ["-m", "pytest", "-n", "2"]
OTHERS = [f"tests/{folder}" for folder in ("lessons", "site", "grading", "exercises")]
COMMANDS = {
    "lab": [["-m", "vae_course.cli", "lab"]],
    "demo": [["-m", "vae_course.cli", "demo"]],
    # Two runs, since notebooks do not start under coverage. What takes long comes first, so that no worker waits.
    "test": [
        [*PYTEST, "--dist", "worksteal", "--cov", "--cov-fail-under=95", "tests/core"],
        [*PYTEST, "--dist", "loadscope", "--no-loadscope-reorder", "solutions", *OTHERS],
    ],
}


def install() -> None:
    """Make the environment, unless one stands that was made from the same files."""
    files = [ROOT / name for name in ("pyproject.toml", "constraints.txt", "course.py")]
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in files) + sys.version.encode()).hexdigest()
    stamp = ENVIRONMENT / "course.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Installing the course into .venv; this takes some minutes, once.", flush=True)
    venv.create(ENVIRONMENT, with_pip=True, symlinks=os.name != "nt")  # as `python -m venv` does; renews an old one too
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", "constraints.txt"]
    # First PyTorch alone: from its own index comes the build without CUDA, which saves gigabytes.
    torch = ["--retries", "0", "--extra-index-url", "https://download.pytorch.org/whl/cpu", "torch"]
    subprocess.run([*pip, *torch], cwd=ROOT, check=True)
    subprocess.run([*pip, "-e", ".[genes,lab,test]"], cwd=ROOT, check=True)
    settings = ENVIRONMENT / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "overrides.json").write_text(JUPYTERLAB)
    stamp.write_text(wanted)


def main() -> int:
    """Install what is missing and run the command; return its exit status."""
    if sys.version_info < (3, 11):
        print(f"The course needs Python 3.11 or newer; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 2
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"The installation failed ({error}). Check the network connection and the free disk space, then run the "
            "same command again. To start from nothing, delete the folder .venv first.",
            file=sys.stderr,
        )
        return 1
    word, *further = sys.argv[1:]
    quiet = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"} if word == "test" else {}
    commands = [[*PYTEST, "--dist", "loadscope"]] if word == "test" and further else COMMANDS[word]
    statuses, interrupts = [], []
    # Ctrl-C reaches the command as well, which may have something to save: wait for its end, and start no other one.
    signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    for command in commands:
        run = subprocess.run([PYTHON, *command, *further], cwd=ROOT, env=os.environ | quiet)
        statuses.append(abs(run.returncode))
        if interrupts:
            break
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
