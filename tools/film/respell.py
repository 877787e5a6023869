"""How the films' words are said: a text becomes phonemes, by way of a table of what would be said wrongly."""

import re
import unicodedata
from functools import cache

# What is written, and how it is said: in other words, or as [[phonemes of espeak-ng]]. Small letters stand for a
# capital first one too.
SAID = {
    # Names and abbreviations
    "ARI": "[[ˌeɪ ˌɑːɹ ˈaɪ]]",
    "ARIs": "[[ˌeɪ ˌɑːɹ ˈaɪz]]",
    "Bernoulli": "[[bɚnˈuːli]]",
    "BCE": "[[bˌiː sˌiː ˈiː]]",
    "ELBO": "[[ˈɛlboʊ]]",
    "ELBOs": "[[ˈɛlboʊz]]",
    "HLA-DRA": "[[ˌeɪtʃ ˌɛl ˈeɪ dˌiː ˌɑːɹ ˈeɪ]]",
    "IL32": "[[ˌaɪ ˈɛl θˈɜːɾi tˈuː]]",
    "IWAE": "[[ˌaɪ dˌʌbəljuː ˌeɪ ˈiː]]",
    "KLs": "[[kˌeɪ ˈɛlz]]",
    "LYZ": "[[ˌɛl wˌaɪ zˈiː]]",
    "NB": "[[ˌɛn bˈiː]]",
    "nn.Linear": "[[ˌɛn ˈɛn lˈɪniɚ]]",
    "NK": "[[ˌɛn kˈeɪ]]",
    "NMI": "[[ˌɛn ˌɛm ˈaɪ]]",
    "PBMC": "[[pˌiː bˌiː ˌɛm sˈiː]]",
    "PBMCs": "[[pˌiː bˌiː ˌɛm sˈiːz]]",
    "PCA": "[[pˌiː sˌiː ˈeɪ]]",
    "Poisson": "[[pwɑːsˈɑːn]]",
    "PyTorch": "[[pˈaɪ tˈɔːɹtʃ]]",
    "ReLU": "[[ɹˈɛluː]]",
    "ReLUs": "[[ɹˈɛluːz]]",
    "RNA": "[[ˌɑːɹ ˌɛn ˈeɪ]]",
    "scVI": "[[ˌɛs sˌiː vˌiː ˈaɪ]]",
    "scvi": "[[ˌɛs sˌiː vˌiː ˈaɪ]]",
    "scvi-tools": "[[ˌɛs sˌiː vˌiː ˈaɪ tˈuːlz]]",
    "UMAP": "[[jˈuː mˈæp]]",
    "UMI": "[[jˌuː ˌɛm ˈaɪ]]",
    "UMIs": "[[jˌuː ˌɛm ˈaɪz]]",
    "VAE": "[[vˌiː ˌeɪ ˈiː]]",
    "VAEs": "[[vˌiː ˌeɪ ˈiːz]]",
    "ZINB": "[[zˈɪnbiː]]",
    # Letters and formulas
    "μ": "[[mjˈuː]]",
    "mu": "[[mjˈuː]]",
    "σ": "sigma",
    "ε": "epsilon",
    "θ": "theta",
    "β": "beta",
    "−": "minus ",
    "p(x | z)": "p of x, given z",
    "p(x|z)": "p of x, given z",
    "q(z | x)": "q of z, given x",
    "q(z|x)": "q of z, given x",
    "p(z | x)": "p of z, given x",
    "p(z|x)": "p of z, given x",
    # Words
    "autoencoder": "[[ˌɔːɾoʊ ɛŋkˈoʊdɚ]]",
    "autoencoders": "[[ˌɔːɾoʊ ɛŋkˈoʊdɚz]]",
    "covariance": "[[koʊvˈɛɹiəns]]",
    "covariances": "[[koʊvˈɛɹiənsᵻz]]",
    "die": "dye",
    "epochs": "[[ˈɛpəks]]",
    "logit": "[[lˈoʊdʒɪt]]",
    "logits": "[[lˈoʊdʒɪts]]",
    "logvar": "log var",
    "megakaryocyte": "[[mˌɛɡəkˈæɹiəsˌaɪt]]",
    "megakaryocytes": "[[mˌɛɡəkˈæɹiəsˌaɪts]]",
    "myeloid": "[[mˈaɪəlˌɔɪd]]",
    "nats": "[[nˈæts]]",
    "reparameterisation": "[[ɹˌiːpəɹˌæmɪɾɚɹᵻzˈeɪʃən]]",
    "reparameterise": "[[ɹˌiːpəɹˈæmɪɾɚɹˌaɪz]]",
    "softmax": "soft max",
    "softplus": "soft plus",
    "variational": "[[vˌɛɹiˈeɪʃənəl]]",
}
# Short words before a word of the table: what espeak-ng says of them where it does not see what follows is stressed.
ALONE = {"a": "ɐ", "an": "ɐn", "and": "ænd", "as": "æz", "at": "æt", "for": "fɔːɹ", "is": "ɪz", "in": "ɪn", "of": "ʌv",
         "or": "ɔːɹ", "the": "ðə", "to": "tə", "with": "wɪð"}  # fmt: skip
STOPS = ",;:.?!"


def phonemes(text: str) -> str:
    """Return what is said for a text, in the phonemes of espeak-ng, with the stops of the text."""
    respelled = _table().sub(lambda found: SAID.get(found[0]) or SAID[found[0][0].lower() + found[0][1:]], text)
    respelled = re.sub(r"(\S*)\]\]['’]s\b", lambda found: f"{found[1]}{_owns(found[1])}]]", respelled)
    respelled = re.sub(r"(?<=\w )A\b(?!['’])", "[[ˈeɪ]]", respelled)  # the letter, as in "batch A"
    said = ""
    for part in re.split(r"(\[\[.*?\]\])", respelled):
        said += f" {part[2:-2]}" if part.startswith("[[") else "".join(map(_spoken, _clauses(part)))
    return re.sub(rf"\s+([{STOPS}])", r"\1", re.sub(r"\s+", " ", said)).strip()


def _owns(said: str) -> str:
    """Return how the s of "PyTorch's" is said."""
    return (
        "ɪz" if said.endswith(("tʃ", "dʒ", "s", "z", "ʃ")) else "s" if said.endswith(("p", "t", "k", "f", "θ")) else "z"
    )


@cache
def _table() -> re.Pattern:
    keys = []
    for key in sorted(SAID, key=len, reverse=True):
        first = f"[{key[0]}{key[0].upper()}]" if key[0].isascii() and key[0].islower() else re.escape(key[0])
        before, after = r"(?<!\w)" if key[0].isalnum() else "", r"(?!\w)" if key[-1].isalnum() else ""
        keys.append(before + first + re.escape(key[1:]) + after)
    return re.compile("|".join(keys))


def _clauses(text: str) -> list[str]:
    """Split a text after each stop that ends a word, and drop what has no sound."""
    return re.split(rf"(?<=[{STOPS}])(?=\s|$)", re.sub(r"[\"“”()]", " ", text.replace("’", "'")))


def _spoken(clause: str) -> str:
    bare = clause.strip().rstrip(STOPS)
    stop = clause.strip()[len(bare) :][:1]
    start, _, last = bare.rpartition(" ")
    if (
        not stop and last.lower() in ALONE and (last.islower() or not start)
    ):  # espeak-ng would stress it, as it does what ends a sentence
        return f" {_espeak(start)} {ALONE[last.lower()]}"
    return f" {_espeak(bare)}{stop}"


@cache
def _espeak(text: str) -> str:
    if not text:
        return ""
    sentences = _phonemizer().phonemize("en-us", text)
    said = unicodedata.normalize("NFC", " ".join("".join(sentence) for sentence in sentences))
    return said.strip().rstrip(STOPS)


@cache
def _phonemizer():
    try:
        from piper.phonemize_espeak import ESPEAK_DATA_DIR, EspeakPhonemizer
    except ImportError:
        raise SystemExit(
            "The voice needs espeak-ng from piper-tts: pip install -e '.[video]', then try again."
        ) from None
    return EspeakPhonemizer(ESPEAK_DATA_DIR)
