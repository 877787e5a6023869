"""What all models share: options, files, and the parts of their loss.

Trainer and posterior ask every model the same questions: `loss_terms(x, batch_index, y)` (what to minimise),
`importance_terms` (how likely the cells are) and `sample_from_posterior_z` (where the cells lie). A model may have
`prepare(data)` (do these training cells suit it) and `collate(rows, device)` (how a minibatch reaches its loss terms,
given rows of a SciPy CSR matrix; as a dense table if it has none).

A model that uses covariates says so with `n_cats_per_cov` and `n_continuous_cov`, as `VAE` does; then `loss_terms`,
`importance_terms` and `inference` get one more argument by name, `covariates`: float32, (cells, covariates), the codes
of the categorical ones first.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.data import CountData
from vae_course.names import Names
from vae_course.runtime.files import read_torch_file, write_atomically

SMALLEST = {"n_input": 1, "n_hidden": 1, "n_latent": 1, "n_layers": 1, "n_batch": 0, "n_labels": 0}
SMALLEST |= {"n_continuous_cov": 0}


class LossTerms(NamedTuple):
    """The three parts of the negative ELBO, nats per cell, (cells,) each: their sum is the negative ELBO."""

    reconstruction: Tensor
    kl_local: Tensor
    kl_global: Tensor


class Model(nn.Module):
    """A network that can be saved and loaded together with the options that built it.

    Attributes
    ----------
    options
        The arguments that built it.
    names
        `Names` of the genes, batches, labels and covariates that it was trained with; None for one that has not seen
        data.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        for name, least in SMALLEST.items():
            if name in options:
                check_whole_number(name, options[name], least)
        self.options = {name: plain_number(value) for name, value in options.items()}
        self.names: Names | None = None

    @classmethod
    def kind(cls) -> str:
        """Return the name by which files know the class; one whose files are those of another class returns its."""
        return cls.__name__.removeprefix("Parametrized")  # which PyTorch adds where only a part of a weight learns

    def save(self, path: str | Path) -> None:
        """Write options, names and weights to one file, whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier file is then untouched.
        """
        content = io.BytesIO()
        names = self.names and self.names._asdict()
        kept = {"model": self.kind(), "options": self.options, "names": names, "weights": self.state_dict()}
        torch.save(kept, content)
        write_atomically(path, lambda temporary: temporary.write_bytes(content.getvalue()))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the model that `save` wrote, in evaluation mode.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file holds something else.
        """
        content = read_torch_file(path)
        if not isinstance(content, dict) or content.get("model") != cls.kind():
            found = content.get("model") if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"{path} does not hold a saved {cls.__name__} (found: {found}).")
        try:
            model = cls(**content["options"])
            model.load_state_dict(content["weights"])
            model.names = content.get("names") and Names(**content["names"])
        except ValueError as error:  # which says what an option has to be
            raise ValueError(f"{path} is not a {cls.__name__}. {error}") from error
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} is not a complete {cls.__name__}: options and weights do not fit.") from error
        return model.eval()


def prepare(model: nn.Module, data: CountData) -> None:
    """Let a model prepare for its training cells, if it knows how to, and keep their names if it has none yet."""
    if hasattr(model, "prepare"):
        model.prepare(data)
    if getattr(model, "names", False) is None:
        model.names = Names.of(data)


def check_option(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} has to be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def check_whole_number(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless `value` is a whole number that is not below `least`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} has to be a whole number of at least {least}, got {value!r}.")


def plain_number(value: Any) -> Any:
    """Return a NumPy or PyTorch scalar as Python's own, which every file can hold; anything else as it is."""
    is_scalar = isinstance(value, np.generic) or (isinstance(value, Tensor) and value.dim() == 0)
    return value.item() if is_scalar else value


def check_genes(x: Tensor, n_input: int) -> None:
    """Raise ValueError unless x has `n_input` columns."""
    if x.shape[-1] != n_input:
        raise ValueError(f"The model was built for {n_input} genes (columns), got counts of shape {tuple(x.shape)}.")
