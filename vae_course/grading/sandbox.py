"""A process that runs a student's code where it can harm nothing: under bubblewrap, without a network.

The sandbox sees the system's libraries, the Python that runs here and its packages, all read-only, a package without
answers, and a small folder in memory. It sees no home, no course, and no other submission.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from vae_course.exercises import wire
from vae_course.grading.stripped import ROOT

PACKAGE = "/course"  # where the sandbox sees the package without answers
SCRATCH = 16 * 2**20  # bytes of the only folder that can be written to
NO_SANDBOX = (
    "Students' code is run in a sandbox only, and none can be had here ({reason}). On Linux it needs bubblewrap, "
    "libseccomp and IPython (apt install bubblewrap libseccomp2; pip install ipython). With --unsafe it is run "
    "unprotected, with all that you may do on this machine."
)


class Session:
    """A running process that answers requests; `package` is the folder with the package that it sees."""

    def __init__(self, package: Path, unsafe: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vae-course-grading-")
        command = [sys.executable, "-m", "vae_course.grading.runner"]
        told, tells = os.pipe()
        if not unsafe:
            command = [*_bubblewrap(package), "--info-fd", f"{tells}", *command, *["--as-nobody"] * (os.getuid() == 0)]
        environment = {
            "PYTHONPATH": os.pathsep.join([str(package) if unsafe else PACKAGE, *_packages()]),
            "HOME": self._folder.name if unsafe else "/tmp", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            command, env=environment, cwd=self._folder.name, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=() if unsafe else (tells,),
        )  # fmt: skip
        os.close(tells)
        self._first = _first_process(told)
        self._requests: queue.Queue[Any] = queue.Queue()
        self._replies: queue.Queue[Any] = queue.Queue()
        for work in (self._talk, self._listen):  # threads, since a stopped process makes pipes wait for ever
            threading.Thread(target=work, daemon=True).start()

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and return the reply.

        Raises
        ------
        TimeoutError
            If there is none in time.
        EOFError
            If the process has ended, or says something that is no reply.
        """
        self._requests.put(request)
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty as error:
            raise TimeoutError("no reply in time") from error
        if reply is None:
            raise EOFError("the process has ended")
        return reply

    def close(self) -> None:
        """Kill the process, and with it all that it started.

        The sandbox's first process is killed directly. Where root grades, it runs as another user, so that bubblewrap,
        which has given up its rights, cannot take it along when it ends itself.
        """
        if self._first is not None:
            with suppress(OSError):  # it has ended already
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            os.close(self._first)
            self._first = None
        with suppress(OSError, AttributeError):  # it has ended already; there are no groups on Windows
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._requests.put(None)
        self._folder.cleanup()

    def _talk(self) -> None:
        with suppress(OSError), self._process.stdin as pipe:
            while (request := self._requests.get()) is not None:
                wire.send(pipe, request)

    def _listen(self) -> None:
        with suppress(ValueError, OSError), self._process.stdout as pipe:
            while True:
                self._replies.put(wire.receive(pipe))
        self._replies.put(None)


def _first_process(told: int) -> int | None:
    """Return a descriptor of the first process of a sandbox, from what bubblewrap says; None where there is none."""
    with open(told, "rb") as pipe, suppress(ValueError, KeyError, OSError):
        return os.pidfd_open(json.loads(pipe.read())["child-pid"])
    return None


def check_sandbox() -> None:
    """Try a sandbox.

    Raises
    ------
    ValueError
        If none can be had on this machine.
    """
    if shutil.which("bwrap") is None:
        raise ValueError(NO_SANDBOX.format(reason="there is no bubblewrap"))
    environment = {"PYTHONPATH": os.pathsep.join(_packages())}
    command = [*_bubblewrap(ROOT), sys.executable, "-c", "import pyseccomp, IPython"]
    trial = subprocess.run(command, capture_output=True, text=True, env=environment)
    if trial.returncode:
        reason = (trial.stderr.strip() or f"it ended with {trial.returncode}").splitlines()[-1]
        raise ValueError(NO_SANDBOX.format(reason=reason))


def _bubblewrap(package: Path) -> list[str]:
    """Return the command that a sandboxed one follows."""
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--die-with-parent", "--new-session", "--as-pid-1"]
    if os.getuid() == 0:
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--disable-userns"]
    command += ["--perms", "1777", "--size", str(SCRATCH), "--tmpfs", "/tmp"]
    for folder in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"):
        command += ["--symlink", os.readlink(folder), folder] if os.path.islink(folder) else _read_only(folder)
    folders = sorted({os.path.realpath(folder) for folder in (sys.prefix, sys.base_prefix, *_packages())})
    for folder in folders:
        command += [] if folder.startswith("/usr") else _read_only(folder)
    if any(ROOT.is_relative_to(folder) for folder in ("/usr", *folders)):
        command += ["--tmpfs", str(ROOT)]  # the package with its answers
    command += ["--ro-bind", str(package), PACKAGE, "--proc", "/proc"]
    command += ["--perms", "0755", "--dir", "/dev"]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        command += ["--dev-bind", device, device]
    return [*command, "--chdir", "/tmp", "--remount-ro", "/"]


def _packages() -> list[str]:
    """Return the folders of installed packages."""
    return [folder for folder in sys.path if os.path.basename(folder) in ("site-packages", "dist-packages")]


def _read_only(folder: str | Path) -> list[str]:
    """Bind a folder, in folders that everybody may look into."""
    above = [word for parent in [*Path(folder).parents][-2::-1] for word in ("--perms", "0755", "--dir", str(parent))]
    return [*above, "--ro-bind-try", str(folder), str(folder)]
