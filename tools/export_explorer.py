"""Make what the latent explorer shows: python tools/export_explorer.py [--code-only].

Trains three models on the digits and three on the blood cells, which differ in the weight beta of the KL alone, and
writes docs/explorer/digits.js and cells.js: data, weights, and what PyTorch computes for a few inputs. Then writes
code.js: lines of the package with their numbers, and the lessons' sections. A page in a folder may not read files, so
each of the three is a script that fills a global variable.
"""

import argparse
import ast
import base64
import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vae_course as vc
from vae_course.distributions import kl_standard_normal, scvi_kl
from vae_course.exercises.sources import find
from vae_course.runtime.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "explorer"
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]

DIGITS_BETAS = (0.01, 1, 32)  # 32 is the weight that lesson 3.9 finds hidden in a colleague's loss
CELLS_BETAS = (0.01, 1, 100)
REFERENCE_EPS = (0.5, -1.0)  # the noise of the draws that page and PyTorch both make

# Genes that textbooks call markers, by what they mark.
MARKERS = {
    "T cell": ("CD3D", "IL7R", "CD8B"),
    "Killer": ("CCL5", "NKG7", "GNLY", "GZMB"),
    "B cell": ("MS4A1", "CD79A"),
    "Monocyte": ("LYZ", "S100A8", "FCGR3A"),
    "Dendritic": ("FCER1A", "CST3", "HLA-DRA"),
    "Stem cell": ("SPINK2", "IGLL1"),
}

# Step of the computation: the function that takes it, the line that does, the section that teaches it.
DIGITS_CODE = {
    "x": ("data.load_digits", "return CountData(pixels >= 8", "3.2"),
    "encode": ("binary_vae.BinaryVAE.encode", "hidden = ", "3.1"),
    "q": ("binary_vae.BinaryVAE.encode", "return ", "3.11"),
    "z": ("distributions.reparameterize", "return mean + ", "4.4"),
    "decode": ("binary_vae.BinaryVAE.decode", "return ", "3.7"),
    "output": ("binary_vae.BinaryVAE.decode", "return ", "1.4"),
    "reconstruction": ("distributions.bernoulli_log_prob", "return ", "3.3"),
    "kl": ("distributions.kl_standard_normal", "return ", "4.5"),
    "elbo": ("binary_vae.binary_vae_loss", "return ", "4.6"),
    "beta": ("trainer.UnsupervisedTrainer.loss", "return ", "3.9"),
    "log_px": ("distributions.log_marginal_likelihood", "return ", "4.8"),
    "mean_elbo": ("distributions.elbo", "return ", "4.2"),
}
CELLS_CODE = {
    "x": ("vae.VAE.inference", "encoder_input = torch.log1p", "5.9"),
    "encode": ("nn.Encoder.forward", "hidden = ", "5.9"),
    "q": ("nn.Encoder.forward", "var = ", "5.9"),
    "z": ("distributions.sample_normal", "return mean + ", "4.4"),
    "decode": ("nn.DecoderSCVI.forward", "px_scale = ", "5.6"),
    "output": ("nn.DecoderSCVI.forward", "px_rate = ", "5.5"),
    "reconstruction": ("distributions.zinb_log_prob", "return split_at_zero", "5.4"),
    "kl": ("distributions.scvi_kl", "kl_global = ", "5.8"),
    "kl_library": ("distributions.scvi_kl", "kl_local = ", "5.8"),
    "elbo": ("vae.VAE.loss_terms", "return ", "5.10"),
    "beta": ("trainer.UnsupervisedTrainer.loss", "return ", "5.11"),
    "log_px": ("distributions.log_marginal_likelihood", "return ", "4.8"),
    "mean_elbo": ("distributions.elbo", "return ", "4.2"),
}


class BetaTrainer(vc.UnsupervisedTrainer):
    """Train with the same weight beta on the global KL from the first epoch to the last."""

    beta = 1.0

    def kl_weight(self, epoch: int) -> float:
        """Return beta, whatever the epoch."""
        return self.beta

    def on_train_end(self) -> None:
        """Say nothing: the weight is meant to differ from 1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code-only", action="store_true", help="keep the models, renew code.js alone")
    if not parser.parse_args().code_only:
        torch.set_num_threads(1)  # sums come out the same
        write("digits", export_digits())
        write("cells", export_cells())
    write("code", export_code())


def write(name: str, content: dict[str, Any]) -> None:
    text = f"// Written by tools/export_explorer.py.\nEXPLORER_DATA.{name} = {json.dumps(content)};\n"
    path = FOLDER / f"{name}.js"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size // 1000} kB")


# --------------------------------------------------------------------------------------------------------------------
# Data, models and what PyTorch makes of them
# --------------------------------------------------------------------------------------------------------------------


def export_digits() -> dict[str, Any]:
    data = vc.load_digits()
    x = torch.from_numpy(data.counts.toarray()).float()
    models = []
    for beta in DIGITS_BETAS:
        model = train(vc.BinaryVAE(data.n_genes, n_latent=2, n_hidden=64), data, beta)
        models.append(exported(model, beta) | {"reference": [digit_reference(model, x, i) for i in (0, 1, 2)]})
    return {
        "x": encoded(np.packbits(x.numpy().astype(np.uint8))),  # 8 pixels a byte
        "shape": list(x.shape),
        "labels": data.labels.ravel().tolist(),
        "label_names": [str(name) for name in data.label_names],
        "models": models,
    }


def export_cells() -> dict[str, Any]:
    data = vc.load_pbmc()
    x = torch.from_numpy(data.counts.toarray()).float()
    names = [str(name) for name in data.gene_names]
    markers = {group: [names.index(gene) for gene in genes] for group, genes in MARKERS.items()}
    models = []
    for beta in CELLS_BETAS:
        model = train(vc.VAE(data.n_genes, n_latent=2, n_hidden=32), data, beta)
        models.append(exported(model, beta) | {"reference": [cell_reference(model, x, i) for i in (0, 1, 2)]})
    counts = x.numpy().astype(int).ravel()
    large = np.flatnonzero(counts > 255)  # what does not fit into a byte stands apart
    return {
        "x": encoded(np.minimum(counts, 255).astype(np.uint8)),
        "large": [[int(position), int(counts[position])] for position in large],
        "shape": list(x.shape),
        "labels": data.labels.ravel().tolist(),
        "label_names": [str(name) for name in data.label_names],
        "gene_names": names,
        "markers": markers,
        "models": models,
    }


def train(model: vc.BinaryVAE | vc.VAE, data: vc.CountData, beta: float) -> vc.BinaryVAE | vc.VAE:
    trainer = BetaTrainer(model, data, lr=5e-3, seed=0)
    trainer.beta = beta
    trainer.train(n_epochs=200)
    history = {name: round(values[-1], 2) for name, values in trainer.history.items() if name.endswith("test_set")}
    print(f"{type(model).__name__} with beta = {beta}: {history}")
    return model


def exported(model: vc.BinaryVAE | vc.VAE, beta: float) -> dict[str, Any]:
    """Return the options and the float32 weights under their own names, but for those that are never used."""
    weights = {
        name: {"shape": list(tensor.shape), "data": encoded(tensor.numpy().astype("<f4"))}
        for name, tensor in model.state_dict().items()
        if "px_r_decoder" not in name and "num_batches_tracked" not in name
    }
    return {"beta": beta, "options": model.options, "weights": weights}


@torch.no_grad()
def digit_reference(model: vc.BinaryVAE, x: torch.Tensor, index: int) -> dict[str, Any]:
    """Return what PyTorch computes in float32 for one digit."""
    x = x[[index]]
    mean, logvar = model.encode(x)
    logits = model.decode(mean + torch.exp(0.5 * logvar) * torch.tensor(REFERENCE_EPS))
    values = {
        "mean": mean,
        "var": logvar.exp(),
        "output": torch.sigmoid(logits),
        "reconstruction": -vc.distributions.bernoulli_log_prob(x, logits).sum(),
        "kl": kl_standard_normal(mean, logvar),
    }
    return {"index": index, "eps": REFERENCE_EPS} | {name: value.flatten().tolist() for name, value in values.items()}


@torch.no_grad()
def cell_reference(model: vc.VAE, x: torch.Tensor, index: int) -> dict[str, Any]:
    """Return what PyTorch computes in float32 for one cell, with the library at its mean."""
    x = x[[index]]
    inferred = model.inference(x)
    mean, var, library = inferred["qz_m"], inferred["qz_v"], inferred["ql_m"]
    z = mean + torch.sqrt(var) * torch.tensor(REFERENCE_EPS)
    px_scale, _, px_rate, px_dropout = model.decoder("gene", z, library)
    kl_library, kl = scvi_kl(mean, var, library, inferred["ql_v"], model.library_log_means, model.library_log_vars)
    values = {
        "mean": mean,
        "var": var,
        "library_mean": library,
        "library_var": inferred["ql_v"],
        "output": px_scale,
        "reconstruction": -model.log_likelihood(x, px_rate, inferred["px_r"], px_dropout).double().sum(),
        "kl": kl,
        "kl_library": kl_library,
    }
    return {"index": index, "eps": REFERENCE_EPS} | {name: value.flatten().tolist() for name, value in values.items()}


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


# --------------------------------------------------------------------------------------------------------------------
# Lines of the package, sections of the lessons
# --------------------------------------------------------------------------------------------------------------------


def export_code() -> dict[str, Any]:
    steps = {
        kind: {step: lines_of(*place[:2]) | {"section": section_of(place[2])} for step, place in code.items()}
        for kind, code in (("digits", DIGITS_CODE), ("cells", CELLS_CODE))
    }
    return {"address": ADDRESS, **steps}


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


def section_of(number: str) -> dict[str, str]:
    """Return title and place of a lesson's section; its anchor is the one that tools/build_site.py sets."""
    source = next((ROOT / "lessons").glob(f"0{number[0]}_*.py"))
    heading = re.search(rf"^# ## {re.escape(number)} (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
    if heading is None:
        raise ValueError(f"{source.name} has no section {number}: see the table.")
    title = heading[1].replace("`", "")
    return {"number": number, "title": title, "page": source.stem, "anchor": f"section-{number.replace('.', '-')}"}


if __name__ == "__main__":
    main()
