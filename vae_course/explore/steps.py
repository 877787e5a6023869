"""The steps of a model's computation: the line of the package that takes each, and the section that teaches it."""

import ast
import inspect
from typing import Any

from vae_course.binary_vae import BinaryVAE
from vae_course.exercises.catalogue import ADDRESS, CONTENTS
from vae_course.exercises.sources import find

# Step: the function that takes it, the line that does, the section that teaches it.
COMMON = {
    "beta": ("trainer.UnsupervisedTrainer.loss", "return ", "3.9"),
    "log_px": ("distributions.log_marginal_likelihood", "return ", "4.8"),
    "mean_elbo": ("distributions.elbo", "return ", "4.2"),
}
BINARY = COMMON | {
    "x": ("data.CountData.binarize", "return ", "3.7"),
    "encode": ("binary_vae.BinaryVAE.encode", "hidden = ", "3.2"),
    "q": ("binary_vae.BinaryVAE.encode", "return ", "3.2"),
    "z": ("distributions.reparameterize", "return mean + ", "4.4"),
    "decode": ("binary_vae.BinaryVAE.decode", "return ", "3.6"),
    "output": ("binary_vae.BinaryVAE.decode", "return ", "1.4"),
    "reconstruction": ("distributions.bernoulli_log_prob", "return ", "3.3"),
    "kl": ("distributions.kl_standard_normal", "return ", "4.5"),
    "elbo": ("binary_vae.binary_vae_loss", "return ", "4.6"),
}
DIGITS = BINARY | {"x": ("data.load_digits", "return CountData(pixels >= 8", "3.1")}
ZINB = COMMON | {
    "x": ("vae.VAE.inference", "encoder_input = torch.log1p", "5.8"),
    "encode": ("nn.Encoder.forward", "hidden = ", "5.8"),
    "q": ("nn.Encoder.forward", "var = ", "5.8"),
    "z": ("distributions.sample_normal", "return mean + ", "4.4"),
    "decode": ("nn.DecoderSCVI.forward", "px_scale = ", "5.5"),
    "output": ("nn.DecoderSCVI.forward", "px_rate = ", "5.5"),
    "reconstruction": ("distributions.zinb_log_prob", "return split_at_zero", "5.3"),
    "kl": ("distributions.scvi_kl", "kl_global = ", "5.7"),
    "kl_library": ("distributions.scvi_kl", "kl_local = ", "5.7"),
    "elbo": ("vae.VAE.loss_terms", "return ", "5.8"),
    "beta": ("trainer.UnsupervisedTrainer.loss", "return ", "5.9"),
}
NB = ZINB | {"reconstruction": ("distributions.nb_log_prob", "return split_at_zero", "5.2")}


def steps_of(model: Any, is_drawn: bool) -> dict[str, dict[str, Any]]:
    """Return name, file, lines and section of every step that the page shows for a model."""
    if isinstance(model, BinaryVAE):
        table = DIGITS if is_drawn else BINARY
    else:
        table = ZINB if model.likelihood == "zinb" else NB
    return {
        step: lines_of(name, beginning) | {"section": section} for step, (name, beginning, section) in table.items()
    }


def lines_of(name: str, beginning: str) -> dict[str, Any]:
    """Return a function's file and its lines with their numbers, without the docstring, and which of them counts."""
    module, _, path = name.partition(".")
    owner, _, function = path.rpartition(".")
    thing = getattr(find(f"vae_course.{module}.{owner}"), function) if owner else find(f"vae_course.{name}")
    lines, first = inspect.getsourcelines(inspect.unwrap(thing))
    source = inspect.cleandoc("\n" + "".join(lines))
    docstring = ast.parse(source).body[0].body[0]
    hidden = range(docstring.lineno, docstring.end_lineno + 1) if isinstance(docstring.value, ast.Constant) else ()
    kept = [[first + i, line] for i, line in enumerate(source.splitlines()) if i + 1 not in hidden and line]
    marked = [number for number, line in kept if line.strip().startswith(beginning)]
    if len(marked) != 1:
        raise ValueError(
            f"Expected one line of {name} to begin with {beginning!r}, found {len(marked)}: see the table."
        )
    return {"name": name, "file": f"vae_course/{module}.py", "lines": kept, "marked": marked[0]}


def lesson_on_github(section: str) -> dict[str, str]:
    """Return what a section of the lessons is called and the address of its notebook."""
    return {
        "title": f"Lesson {section}",
        "href": f"{ADDRESS}/blob/main/lessons/{CONTENTS[int(section[0])].stem}.ipynb",
    }
