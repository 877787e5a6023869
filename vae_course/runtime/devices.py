"""Where a model computes: on the CPU or on a GPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that "auto" or a name stands for.

    "auto" is what the environment variable VAE_COURSE_DEVICE names, else a CUDA GPU where there is one, else the CPU.

    Raises
    ------
    ValueError
        For a device that is not there.
    """
    name = "device"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if os.environ.get("VAE_COURSE_DEVICE"):
            name, device = "VAE_COURSE_DEVICE", os.environ["VAE_COURSE_DEVICE"]
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name} has to be 'auto', 'cpu' or a GPU that is there, got {device!r}: {reason}") from error
    if found.type not in ("cpu", "cuda"):  # the gamma functions need float64, which other GPUs may not have
        raise ValueError(f"{name} has to be 'auto', 'cpu' or 'cuda', got {device!r}, which was never tried.")
    return found


def device_of(model: torch.nn.Module) -> torch.device:
    """Return the device of a model's parameters."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@contextmanager
def computing_on(device: torch.device, model: torch.nn.Module) -> Iterator[None]:
    """Move a model to a device while the body runs, and back afterwards.

    So a model can always be given tensors on its owner's device, wherever it was trained.
    """
    home = device_of(model)
    try:
        model.to(device)
        yield
    finally:
        model.to(home)


@dataclass(frozen=True)
class CountsOnGPU:
    """The counts of all cells in the memory of a GPU, in CSR format; indexing returns rows as a dense tensor.

    Attributes
    ----------
    values, genes
        Non-zero counts, float32, and their columns, int32, (nonzeros,).
    indptr
        Where each cell begins in that list, on the CPU, (cells + 1,).
    n_genes
        Number of columns.
    """

    values: Tensor
    genes: Tensor
    indptr: np.ndarray
    n_genes: int

    @classmethod
    def copy(cls, counts: sp.csr_matrix, device: torch.device) -> Self:
        """Copy a matrix to the device."""
        genes = torch.from_numpy(counts.indices.astype(np.int32, copy=False))
        return cls(torch.from_numpy(counts.data).to(device), genes.to(device), counts.indptr, counts.shape[1])

    def __getitem__(self, cells: np.ndarray) -> Tensor:
        """Return the counts of some cells, (b, genes)."""
        starts = self.indptr[cells].astype(np.int64)
        lengths = self.indptr[cells + 1] - starts
        device = self.values.device
        before = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)
        n = int(lengths.sum())
        starts, lengths = torch.from_numpy(starts).to(device), torch.from_numpy(lengths).to(device)
        row = torch.repeat_interleave(torch.arange(len(cells), device=device), lengths, output_size=n)
        place = torch.arange(n, device=device) + (starts - before)[row]
        x = torch.zeros(len(cells), self.n_genes, device=device)
        x[row, self.genes[place].long()] = self.values[place]
        return x


def rows_on(device: torch.device, counts: sp.csr_matrix) -> sp.csr_matrix | CountsOnGPU:
    """Return counts to be indexed by cells: on a GPU if they fit into half of its free memory, else as they are."""
    if device.type != "cuda":
        return counts
    needed, (free, _) = 8 * counts.nnz, torch.cuda.mem_get_info(device)
    return CountsOnGPU.copy(counts, device) if needed < free / 2 else counts
