"""The voices: phonemes of espeak-ng become sound, with the time at which every one of them ends."""

import json
import os
from functools import cache

import numpy as np

from .fetch_voice import VOICE

DEFAULT = "am_michael"
FRAME, LONGEST = 0.025, 509  # seconds of one of Kokoro's frames, and the most letters that it says at once
# Kokoro's own letters for phonemes of espeak-ng.
KOKORO = {
    "aɪ": "I", "aʊ": "W", "eɪ": "A", "ɔɪ": "Y", "oʊ": "O", "əʊ": "Q", "dʒ": "ʤ", "tʃ": "ʧ", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ",
    "ɐ": "ə", "ɚɹ": "əɹ", "ɚ": "əɹ", "ʔˌn̩": "tᵊn", "ʔn̩": "tᵊn", "n̩": "ᵊn", "l̩": "ᵊl", "ʲ": "", "ː": "",
}  # fmt: skip

LETTERS = frozenset(
    "AIOQSTWYabcdefhijklmnopqrstuvwxyzɑɒæβɔɕçɖðʤəɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌᵊᵻ ,;:.?!—"
)  # of Kokoro


def chosen() -> str:
    """Return the voice of the environment variable VIDEO_VOICE: a style of Kokoro, or joe."""
    return os.environ.get("VIDEO_VOICE", DEFAULT)


def rate(voice: str) -> int:
    """Return how many samples a second of a voice has."""
    return 22_050 if voice == "joe" else 24_000


def sound(said: str, voice: str) -> tuple[np.ndarray, list[float]]:
    """Return the sound of phonemes, and the seconds at which each letter of them ends."""
    return _joe(said) if voice == "joe" else _kokoro(said, voice)


def _kokoro(said: str, style: str) -> tuple[np.ndarray, list[float]]:
    tokens, letters = spelled(said)
    session, ids, styles = _loaded(style)
    given = {"tokens": np.array([[0, *(ids[token] for token in tokens), 0]]), "style": styles[len(tokens)][None]}
    wave, frames = session.run(None, given | {"speed": np.ones(1, np.float32)})
    wave, frames = wave.ravel(), frames.ravel()
    ends = np.cumsum(frames) * FRAME  # of the rest before, then of every token, then of the rest after
    first = ends[0] * 0.8  # the first sound comes a little early
    last = len(wave) / rate(style) - max(0.0, frames[-1] * FRAME - 0.1)
    kept = wave[int(first * rate(style)) : int(last * rate(style))]
    return kept, [max(float(ends[count] - first), 0.0) for count in letters]


def spelled(said: str) -> tuple[str, list[int]]:
    """Return phonemes in Kokoro's letters, and how many of these stand when each letter of the phonemes is over."""
    tokens, counts, at = "", [], 0
    while at < len(said):
        length = next((size for size in (4, 3, 2) if said[at : at + size] in KOKORO), 1)
        part = said[at : at + length]
        counts += [len(tokens)] * length
        tokens += KOKORO.get(part, part)
        counts[-1] = len(tokens)
        at += length
    if missing := set(tokens) - LETTERS:
        raise ValueError(f"Kokoro has no letter for {missing} in {said!r}: respell the word in respell.py")
    if len(tokens) > LONGEST:
        raise ValueError(f"this sentence is too long to be said at once: {said!r}")
    return tokens, counts


@cache
def _loaded(style: str) -> tuple:
    try:
        import onnxruntime
    except ImportError:
        raise SystemExit("The voice runs on onnxruntime: pip install -e '.[video]', then try again.") from None
    if not (VOICE / f"{style}.bin").exists() or not (VOICE / "kokoro.onnx").exists():
        raise SystemExit(f"There is no voice {style} in {VOICE}: run make voice, then try again.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sound on every machine with this code
    session = onnxruntime.InferenceSession(str(VOICE / "kokoro.onnx"), options, providers=["CPUExecutionProvider"])
    ids = json.loads((VOICE / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    return session, ids, np.fromfile(VOICE / f"{style}.bin", np.float32).reshape(-1, 256)


def _joe(said: str) -> tuple[np.ndarray, list[float]]:
    from piper import SynthesisConfig

    voice = _piper()
    still = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)  # otherwise it differs each time
    wave, samples = voice.phoneme_ids_to_audio(voice.phonemes_to_ids(list(said)), still, include_alignments=True)
    times = np.cumsum(samples) / rate("joe")  # of a beginning and its rest, then of every phoneme and its rest
    ends = times[3 : 3 + 2 * len(said) : 2]
    if len(ends) != len(said):
        raise ValueError(f"the voice has no phoneme for a letter of {said!r}: respell the word in respell.py")
    return np.asarray(wave, np.float32).ravel(), ends.tolist()


@cache
def _piper():
    from piper import PiperVoice

    if not (VOICE / "joe.onnx").exists():
        raise SystemExit(f"There is no voice joe in {VOICE}: run python -m film.fetch_voice joe, then try again.")
    return PiperVoice.load(VOICE / "joe.onnx", include_alignments=True)
