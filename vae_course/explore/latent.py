"""The latent explorer: a page in which trained models run, made of the files in `web/explorer`.

>>> from vae_course import explore, load_digits, BinaryVAE
>>> explore.model(model, load_digits()).save("explorer.html")  # doctest: +SKIP
"""

import json
from collections.abc import Callable, Sequence
from html import escape
from string import Template
from typing import Any

import numpy as np
import torch

from vae_course.binary_vae import BinaryVAE
from vae_course.data import CountData
from vae_course.exercises.catalogue import ADDRESS
from vae_course.explore.page import WEB, Explorable
from vae_course.explore.steps import lesson_on_github, steps_of
from vae_course.explore.weights import encoded, exported, reference, twin
from vae_course.model import check_genes
from vae_course.names import matched
from vae_course.vae import VAE

LIBRARIES = ("distributions", "kit")
SCRIPTS = ("models", "integrals", "drawing", "plane", "words", "explorer", "screen", "controls")
HEIGHT = 1180  # of the frame, until the page inside says its own
MOST_CELLS = 2_000
MOST_ENTRIES = 4_000_000
N_GENES = 16  # as bars, where none is a marker

# Genes that textbooks call markers, by what they mark.
MARKERS = {
    "T cell": ("CD3D", "IL7R", "CD8B"),
    "Killer": ("CCL5", "NKG7", "GNLY", "GZMB"),
    "B cell": ("MS4A1", "CD79A"),
    "Monocyte": ("LYZ", "S100A8", "FCGR3A"),
    "Dendritic": ("FCER1A", "CST3", "HLA-DRA"),
    "Stem cell": ("SPINK2", "IGLL1"),
}


class LatentExplorer(Explorable):
    """The page around trained models; the last line of a cell shows it."""

    width = 1400

    def __init__(self, title: str, alt: str, page: str) -> None:
        super().__init__("latent", title, alt, HEIGHT)
        self._made = page

    def _page(self, still: str) -> str:
        return self._made

    def _still(self) -> str:
        return f"<p>{escape(self.alt)}</p>"


def model(model: BinaryVAE | VAE, data: CountData, title: str | None = None) -> LatentExplorer:
    """Explore a trained model of your own: pick inputs, move their latents, and see what it makes of them.

    Parameters
    ----------
    model
        A trained `BinaryVAE` or `VAE` with two latents. A BinaryVAE of 64 pixels is drawn as digits, any other model as
        genes. A VAE needs the likelihood "zinb" or "nb", dispersion "gene" and a latent library, and neither batches
        nor covariates.
    data
        What it was trained on, or other data with the same genes. Of many cells at most 2,000 are shown.
    title
        Of the page.

    Returns
    -------
    LatentExplorer
        With `.html`, `.save(path)`, and a frame in a notebook.

    Raises
    ------
    ValueError
        For another model, and for data that do not fit it.
    """
    model = twin(model)
    data = _checked(model, data)
    kind = type(model).__name__
    title = f"A look into your {kind}" if title is None else title
    alt = f"A {kind} with two latents: {data.n_cells:,} inputs in the latent plane. It runs in a browser with scripts."
    return LatentExplorer(title, alt, explorer_page([data_set(kind, data, [model])], title))


def explorer_page(
    data_sets: Sequence[dict[str, Any]],
    title: str = "The latent explorer",
    lesson: Callable[[str], dict[str, str]] = lesson_on_github,
    home: str = ADDRESS,
    is_course: bool = False,
) -> str:
    """Put together the page: one file of HTML that asks no host for anything.

    Parameters
    ----------
    data_sets
        What `data_set` returns.
    title
        Of the page.
    lesson
        Gives the title and the address of a lesson's section, such as "4.5".
    home
        Address of the course.
    is_course
        Whether these are the course's own models, to which its tour and notes belong.
    """
    sections = sorted({step["section"] for one in data_sets for step in one["code"].values()})
    content = {
        "sets": data_sets,
        "sections": {section: lesson(section) for section in sections},
        "address": ADDRESS,
        "home": home,
        "isCourse": is_course,
    }
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    libraries, scripts = (
        "\n".join(_text(f"{folder}{name}.js") for name in names).replace('"use strict";\n', "").replace("</", "<\\/")
        for folder, names in (("", LIBRARIES), ("explorer/", SCRIPTS))
    )
    page = {"title": escape(title), "style": _text("theme.css") + _text("explorer/explorer.css"), "data": data}
    return Template(_text("explorer/index.html")).substitute(page, libraries=libraries, scripts=scripts)


def data_set(
    name: str, data: CountData, models: Sequence[BinaryVAE | VAE], betas: Sequence[float | None] = (None,)
) -> dict[str, Any]:
    """Return what the page needs to know of data and of the models trained on them.

    Parameters
    ----------
    name
        What the page calls it.
    data
        The inputs.
    models
        Trained models, all of one kind.
    betas
        The weight of the KL that each was trained with, or None where it is not known.
    """
    models = [twin(one) for one in models]
    x = torch.from_numpy(data.counts.toarray()).float()
    is_drawn = isinstance(models[0], BinaryVAE) and data.n_genes == 64
    packed = _packed(x.numpy().astype(np.int64), is_binary=isinstance(models[0], BinaryVAE))
    return packed | {
        "name": name,
        "isDrawn": is_drawn,
        "labels": data.labels.ravel().tolist(),
        "label_names": [str(label) for label in data.label_names],
        "gene_names": [] if is_drawn else [str(gene) for gene in data.gene_names],
        "markers": {} if is_drawn else _genes_to_show(data),
        "models": [
            exported(one, beta) | {"reference": [reference(one, x, i) for i in range(min(3, len(x)))]}
            for one, beta in zip(models, betas, strict=True)
        ],
        "code": steps_of(models[0], is_drawn),
    }


def _checked(model: BinaryVAE | VAE, data: CountData) -> CountData:
    """Return as many cells as are shown, with the model's genes; raise ValueError where the page cannot show them."""
    if model.n_latent != 2:
        raise ValueError(f"The explorer shows a BinaryVAE or VAE with two latents, got n_latent={model.n_latent}.")
    if not isinstance(data, CountData):
        raise ValueError(f"The explorer needs the data as CountData, got {type(data).__name__}.")
    if isinstance(model, VAE):
        wanted = {"likelihood": ("zinb", "nb"), "dispersion": ("gene",), "library": ("latent",)}
        for option, allowed in wanted.items():
            if getattr(model, option) not in allowed:
                raise ValueError(
                    f"The explorer shows a VAE with {option}={' or '.join(map(repr, allowed))}, "
                    f"got {getattr(model, option)!r}."
                )
        if model.n_batch > 1 or model.n_covariates:
            raise ValueError(
                f"The explorer shows a VAE without batches and covariates, got n_batch={model.n_batch} and "
                f"{model.n_covariates} covariate(s)."
            )
        model.library_prior(None)  # says what to do about a model that was not trained
    data = matched(data, model)
    check_genes(data.counts, model.n_input)
    if isinstance(model, BinaryVAE):
        model.prepare(data)
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise ValueError("The explorer needs finite weights, got a model whose weights are not all numbers.")
    n_cells = min(data.n_cells, MOST_CELLS, max(1, MOST_ENTRIES // data.n_genes))
    return data.subset(np.linspace(0, data.n_cells - 1, n_cells).astype(int))


def _packed(counts: np.ndarray, is_binary: bool) -> dict[str, Any]:
    """Return the counts in eight pixels or two counts a byte; those from 15 on stand apart, in their order."""
    flat = counts.ravel()
    if is_binary:
        return {"x": encoded(np.packbits(flat.astype(np.uint8))), "shape": counts.shape, "isBinary": True}
    small = np.append(np.minimum(flat, 15).astype(np.uint8), [0] * (flat.size % 2)).reshape(-1, 2).astype(np.uint8)
    x = encoded(small[:, 0] << 4 | small[:, 1])
    return {"x": x, "large": flat[flat >= 15].tolist(), "shape": counts.shape, "isBinary": False}


def _genes_to_show(data: CountData) -> dict[str, list[int]]:
    """Return positions of genes by group: markers of blood cells if the data have them, else what varies most."""
    names = data.gene_names.tolist()
    found = {group: [names.index(gene) for gene in genes if gene in names] for group, genes in MARKERS.items()}
    if sum(map(len, found.values())) >= N_GENES // 2:
        return {group: genes for group, genes in found.items() if genes}
    logs = np.log1p(data.counts.toarray())
    return {"What varies most": np.argsort(-logs.var(axis=0), kind="stable")[:N_GENES].tolist()}


def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")
