"""`Posterior`: a trained model together with some cells, and all that one asks of the two.

It holds the model, the data, a loader that cuts the cells into minibatches, and a sampler that orders them. Here are
the loader and what the model can say at once: how likely the cells are, where they lie in the latent space, which
counts to expect. `differential.py` and `imputation.py` ask for more.

Every method runs the model in evaluation mode without gradients, takes a `seed` where it draws, changes nothing, and
returns arrays whose rows are the cells in the order of `.indices`.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from vae_course import metrics
from vae_course.data import CountData, as_indices
from vae_course.differential import DifferentialExpression
from vae_course.distributions import effective_sample_size, log_marginal_likelihood, sample_nb, sample_zinb
from vae_course.imputation import Imputation
from vae_course.model import LossTerms
from vae_course.names import matched
from vae_course.nn import finish_batch_norm
from vae_course.runtime.devices import computing_on, resolve_device
from vae_course.runtime.processes import pool_batch_norm
from vae_course.runtime.seeds import same_threads, seeded
from vae_course.vae import VAE

DECODED_NUMBERS = 2**22  # the most numbers in one decoded tensor (16 MiB in float32), which bounds the memory


class Minibatch(NamedTuple):
    """Some cells: the counts that the model sees, batches, labels, and positions in the data."""

    x: Tensor
    batch_index: Tensor
    labels: Tensor
    indices: np.ndarray


class Posterior(DifferentialExpression, Imputation):
    """A model together with some cells.

    Parameters
    ----------
    model
        `VAE`, `BinaryVAE`, or another module with a `loss_terms` like theirs.
    data
        The cells. Their genes, batches, labels and covariates are matched by name with those that the model was
        trained with (`names.matched`), so that results have the model's genes in its order.
    indices
        Positions or a boolean mask of the cells to look at; all if None.
    batch_size
        Cells in a minibatch.
    device
        Where to compute: "auto" (a GPU, if there is one), "cpu", "cuda". The model is moved there while a method runs.

    Attributes
    ----------
    indices
        Positions of the cells in `data`, (n,). Results come in this order.
    seen
        What the model gets to see: `data`, or a corrupted copy.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data: CountData,
        indices: Any = None,
        batch_size: int = 128,
        device: str | torch.device = "auto",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size has to be at least 1, got {batch_size}.")
        self.model, self.data = model, matched(data, model)
        self.indices = np.arange(data.n_cells) if indices is None else as_indices(indices, data.n_cells)
        self.batch_size, self.device = batch_size, resolve_device(device)
        self.seen = self.data

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Minibatch]:
        """Go through the cells in order, a minibatch at a time."""
        if not len(self):
            raise ValueError("This posterior has no cells: with train_size=1 there is no test set.")
        return self.minibatches(self.indices)

    def minibatches(self, indices: np.ndarray) -> Iterator[Minibatch]:
        """Go through the cells at these positions of the data."""
        for cells in np.split(indices, range(self.batch_size, len(indices) - 1, self.batch_size)):
            yield Minibatch(*self.seen.minibatch(cells, self.device), cells)

    def _ask(self, method: Callable[..., Any], minibatch: Minibatch, **options: Any) -> Any:
        """Call a method of the model with what it sees of the cells; with covariates only if there are any."""
        return method(*minibatch[:3], **self.seen.covariates_of(minibatch.indices, self.device), **options)

    def _with_rows(self) -> Iterator[tuple[slice, Minibatch]]:
        """Go through the cells; yield every minibatch with its rows in a table of all cells."""
        end = 0
        for minibatch in self:
            start, end = end, end + len(minibatch.x)
            yield slice(start, end), minibatch

    def _table(self, compute: Callable[[Minibatch], Tensor]) -> Tensor:
        """Compute rows of (b, columns) for every minibatch, and write them into one table on the CPU, (n, columns).

        A list of small tensors would lie between the large ones that come and go, and leave gaps in memory that are
        too small to be used again: with 100,000 cells a gigabyte.
        """
        table = None
        for rows, minibatch in self._with_rows():
            values = compute(minibatch)
            if table is None:
                table = values.new_empty((len(self), values.shape[1]), device="cpu")
            table[rows] = values
        return table

    def corrupted(self, rate: float = 0.1, corruption: str = "uniform", seed: int = 0) -> Self:
        """Return a copy of this posterior whose model sees corrupted counts (`CountData.corrupt`).

        Posteriors of the same data get the same corruption for the same seed.
        """
        return self.showing(self.data.corrupt(rate, corruption, seed))

    def uncorrupted(self) -> Self:
        """Return a copy of this posterior whose model sees the counts as they are."""
        return self.showing(self.data)

    def showing(self, seen: CountData) -> Self:
        """Return a copy of this posterior whose model sees other counts of the same cells."""
        posterior = copy(self)
        posterior.seen = seen
        return posterior

    # -- how likely the model finds the cells ------------------------------------------------------------------------

    def loss_terms(self, seed: int = 0) -> LossTerms:
        """Return reconstruction, local KL and global KL of every cell, nats, tensors of shape (n,)."""
        with self._evaluating(seed):
            terms = self._table(lambda minibatch: torch.stack(self._ask(self.model.loss_terms, minibatch), dim=1))
        return LossTerms(*terms.T.contiguous())

    def reconstruction_error(self, seed: int = 0) -> float:
        """Return the mean negative log-likelihood -log p(x|z, l), nats per cell; lower is better."""
        return self.loss_terms(seed).reconstruction.double().mean().item()

    def elbo(self, seed: int = 0) -> float:
        """Return the mean evidence lower bound, nats per cell; higher is better."""
        return -sum(self.loss_terms(seed)).double().mean().item()

    def marginal_ll(
        self, n_samples: int = 100, return_per_cell: bool = False, seed: int = 0
    ) -> float | tuple[np.ndarray, np.ndarray]:
        """Estimate log p(x) of the cells by importance sampling (Burda et al., 2016, equation 8).

        Parameters
        ----------
        n_samples
            Draws per cell. The estimate is too low on average; more draws bring it closer to the truth.
        return_per_cell
            Return a value and an effective sample size for every cell instead of the mean.
        seed
            Seed of the draws.

        Returns
        -------
        float or (values, ess)
            Nats per cell, higher is better; or two arrays (n,). A cell whose effective sample size is near 1 has
            an estimate that rests on one draw.
        """
        self._check_draws(n_samples)

        def value_and_size(minibatch: Minibatch) -> Tensor:
            terms = self._importance_terms(minibatch, n_samples)
            return torch.stack([log_marginal_likelihood(*terms), effective_sample_size(*terms)], dim=1)

        with self._evaluating(seed):
            values, ess = self._table(value_and_size).T.contiguous()
        return (values.numpy(), ess.numpy()) if return_per_cell else values.mean().item()

    def _importance_terms(self, minibatch: Minibatch, n_samples: int) -> tuple[Tensor, Tensor]:
        """Draw in portions that fit in memory, and concatenate them along the axis of the draws."""
        portion = max(1, DECODED_NUMBERS // minibatch.x.numel())
        sizes = [min(portion, n_samples - start) for start in range(0, n_samples, portion)]
        terms = [self._ask(self.model.importance_terms, minibatch, n_samples=size) for size in sizes]
        return tuple(torch.cat(parts) for parts in zip(*terms, strict=True))

    # -- where the cells lie ------------------------------------------------------------------------------------------

    def get_latent(self, sample: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the latent positions of the cells with their batches and labels.

        Parameters
        ----------
        sample
            Draw from q(z|x) instead of taking its mean.
        seed
            Seed of the draws.

        Returns
        -------
        latent, batch_index, labels
            Float (n, n_latent), int (n,), int (n,).
        """
        with self._evaluating(seed):
            latent = self._table(lambda m: self.model.sample_from_posterior_z(m.x, m.labels, give_mean=not sample))
        return latent.numpy(), self.data.batch_index[self.indices], self.data.labels[self.indices]

    def t_sne(self, seed: int = 0, **options: Any) -> np.ndarray:
        """Return t-SNE coordinates of the latent means, (n, 2); options go to `sklearn.manifold.TSNE`."""
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(self) - 1) / 3)  # scikit-learn's default, or less for few cells
        options = {"perplexity": perplexity, "random_state": seed} | options
        return TSNE(**options).fit_transform(self.get_latent()[0])

    def umap(self, seed: int = 0, **options: Any) -> np.ndarray:
        """Return UMAP coordinates of the latent means, (n, 2); options go to `umap.UMAP`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="IProgress not found")  # of its own progress bar, in notebooks
            from umap import UMAP

        latent = self.get_latent()[0]
        with same_threads():
            return UMAP(random_state=seed, n_jobs=1, **options).fit_transform(latent)

    def entropy_batch_mixing(self, n_neighbors: int = 50, max_cells: int = 10_000, seed: int = 0) -> float:
        """Return `metrics.entropy_batch_mixing` of the latent means, nats.

        With more than `max_cells` cells, the mean is over that many, drawn at random. Their neighbours are sought among
        all cells, so the time grows with the number of cells and not with its square.
        """
        latent, batch_index, _ = self.get_latent()
        if len(latent) <= max_cells:
            return metrics.entropy_batch_mixing(latent, batch_index, n_neighbors)
        drawn = np.random.default_rng(seed).choice(len(latent), max_cells, replace=False)
        neighbours = metrics.nearest_other_cells(latent, n_neighbors, drawn)
        return float(np.mean([metrics.entropy_from_indices(batch_index[cells]) for cells in neighbours]))

    def clustering_scores(self, method: str = "kmeans", seed: int = 0) -> dict[str, float]:
        """Return `metrics.clustering_scores` of the latent means against the labels."""
        latent, _, labels = self.get_latent()
        return metrics.clustering_scores(latent, labels, method, seed)

    def knn_purity(self, n_neighbors: int = 30) -> float:
        """Return `metrics.knn_purity` of the latent means, between 0 and 1."""
        latent, _, labels = self.get_latent()
        return metrics.knn_purity(latent, labels, n_neighbors)

    def integration_scores(
        self, n_neighbors: int = 50, lisi_neighbors: int = 90, max_cells: int = 10_000, seed: int = 0
    ) -> dict[str, float]:
        """Return how well batches mix and labels stay apart in the latent means, all between 0 and 1, more is better.

        Mixing alone is no success: a latent space of noise mixes perfectly. Read the two kinds together, and the
        silhouettes with the caveat in `metrics.silhouette_batch`.

        Parameters
        ----------
        n_neighbors
            Neighbours of a cell for the entropy of mixing.
        lisi_neighbors
            Size of a neighbourhood, the cell itself included, for ilisi and clisi.
        max_cells
            Of more cells than that only so many are looked at, drawn at random.
        seed
            Seed of that draw.

        Returns
        -------
        dict
            Mixing: entropy_share (`metrics.entropy_batch_mixing` over the entropy of the batches' shares, which in
            unequal batches chance can exceed a little), ilisi, silhouette_batch. Labels: clisi, silhouette_label,
            isolated_labels.

        Raises
        ------
        ValueError
            If all cells are of one batch or of one label, or if there are too few for their neighbourhoods.
        """
        latent, batch_index, labels = self.get_latent()
        if len(latent) > max_cells:
            drawn = np.random.default_rng(seed).choice(len(latent), max_cells, replace=False)
            latent, batch_index, labels = latent[drawn], batch_index[drawn], labels[drawn]
        ilisi = metrics.ilisi(latent, batch_index, lisi_neighbors)  # says so if there is only one batch
        mixing = metrics.entropy_batch_mixing(latent, batch_index, n_neighbors)
        return {
            "entropy_share": mixing / metrics.entropy_from_indices(batch_index),
            "ilisi": ilisi,
            "silhouette_batch": metrics.silhouette_batch(latent, batch_index, labels),
            "clisi": metrics.clisi(latent, labels, lisi_neighbors),
            "silhouette_label": metrics.silhouette_label(latent, labels),
            "isolated_labels": metrics.isolated_labels(latent, labels, batch_index),
        }

    def nn_overlap_score(self, other: Any = None, n_neighbors: int = 100) -> tuple[float, float]:
        """Compare neighbours in the latent space with neighbours in another representation of the same cells.

        Parameters
        ----------
        other
            The other representation, (n, columns), for example protein levels; if None, the cells' counts scaled to
            10,000 and log(1 + x)-transformed.
        n_neighbors
            Neighbours of a cell.

        Returns
        -------
        correlation, fold
            As `metrics.nn_overlap`.
        """
        if other is None:
            counts = self.data.counts[self.indices]
            other = counts.multiply(1e4 / counts.sum(axis=1)).log1p().toarray()
        return metrics.nn_overlap(self.get_latent()[0], other, n_neighbors)

    # -- what the model expects the counts to be ----------------------------------------------------------------------

    def get_sample_scale(self, seed: int = 0) -> np.ndarray:
        """Return the expected share of each gene at one draw of z, (n, genes); rows sum to 1."""
        return self._draws("px_scale", 1, seed)[0]

    def get_normalized_expression(self, n_samples: int = 25, seed: int = 0) -> np.ndarray:
        """Return the expected share of each gene, averaged over draws of z, (n, genes); rows sum to 1.

        What scvi-tools calls denoised expression, up to its factor `library_size`.
        """
        self._check_draws(n_samples)
        return sum(self.get_sample_scale(seed + draw) for draw in range(n_samples)) / n_samples

    def get_library(self) -> np.ndarray:
        """Return every cell's library, in counts: the median exp(ql_m) of q(l|x), or the observed total; (n,)."""
        with self._evaluating(0):
            return self._table(lambda minibatch: self._vae.inference(*minibatch[:3])["ql_m"].exp())[:, 0].numpy()

    def get_harmonized_scale(self, fixed_batch: int, seed: int = 0) -> np.ndarray:
        """Return the expected shares as if all cells came from one batch, (n, genes).

        Covariates stay those of each cell. To take one out too, give the posterior cells that all have the same value:
        `Posterior(model, data.replaced(continuous_covariates=...))`. The latents stay the same, since the encoders do
        not see covariates.

        Raises
        ------
        ValueError
            If there is no such batch.
        """
        if not 0 <= fixed_batch < max(1, self._vae.n_batch):
            raise ValueError(f"fixed_batch has to be from 0 to {max(1, self._vae.n_batch) - 1}, got {fixed_batch}.")
        return self._draws("px_scale", 1, seed, batch=fixed_batch)[0]

    def get_stats(self, seed: int = 0) -> np.ndarray:
        """Return one draw of every cell's log-library, (n,)."""
        with self._evaluating(seed):
            return self._table(lambda minibatch: self._ask(self._vae.inference, minibatch)["library"])[:, 0].numpy()

    def generate_parameters(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return dropout log-odds, mean and inverse dispersion at one draw of z and l, (n, genes) each."""
        return tuple(self._draws(name, 1, seed)[0] for name in ("px_dropout", "px_rate", "px_r"))

    def generate(self, n_samples: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Draw new counts for every cell from the posterior predictive, zero inflation included.

        Parameters
        ----------
        n_samples
            Draws per cell, each with its own z and l.
        seed
            Seed of the draws.

        Returns
        -------
        generated, observed
            Counts, (n, genes, n_samples) and (n, genes), float32, so 4 bytes a number.
        """
        self._check_draws(n_samples)
        generated = np.empty((len(self), self.data.n_genes, n_samples), np.float32)
        with self._evaluating(seed):
            for rows, minibatch in self._with_rows():
                for draw in range(n_samples):
                    generated[rows, :, draw] = self._generate_once(minibatch).cpu().numpy()
        return generated, self.data.counts[self.indices].toarray()

    def _generate_once(self, minibatch: Minibatch) -> Tensor:
        inferred = self._ask(self._vae.inference, minibatch)
        if self._vae.likelihood == "poisson":
            return torch.poisson(inferred["px_rate"])
        if self._vae.likelihood == "nb":
            return sample_nb(inferred["px_rate"], inferred["px_r"])
        return sample_zinb(inferred["px_rate"], inferred["px_r"], inferred["px_dropout"])

    def _draws(self, name: str, n_samples: int, seed: int, batch: int | None = None) -> np.ndarray:
        """Draw one of the results of `VAE.inference` that have a column per gene, (n_samples, n, genes).

        In memory the draws of a cell are adjacent. No second array of this size is made.
        """
        self._check_draws(n_samples)
        table = np.empty((len(self), n_samples, self.data.n_genes), np.float32)
        with self._evaluating(seed):
            for draw in range(n_samples):
                for rows, inferred in self._inferences(batch):
                    table[rows, draw] = inferred[name].cpu().numpy()  # (b, genes)
        return table.swapaxes(0, 1)

    def _inferences(self, batch: int | None = None) -> Iterator[tuple[slice, dict[str, Tensor]]]:
        """Run `VAE.inference` on every minibatch, as if its cells came from `batch` if that is given."""
        for rows, minibatch in self._with_rows():
            if batch is not None:
                minibatch = minibatch._replace(batch_index=torch.full_like(minibatch.batch_index, batch))
            yield rows, self._ask(self._vae.inference, minibatch)

    @property
    def _vae(self) -> VAE:
        if not isinstance(self.model, VAE):
            raise ValueError(f"This needs a VAE, which models counts; the model here is a {type(self.model).__name__}.")
        return self.model

    # -- how the model is run -----------------------------------------------------------------------------------------

    def _evaluating(self, seed: int) -> AbstractContextManager[None]:
        return evaluating(self.model, seed, self.device)

    @staticmethod
    def _check_draws(n_samples: int) -> None:
        if n_samples < 1:
            raise ValueError(f"n_samples has to be at least 1, got {n_samples}.")


def split_posteriors(
    model: torch.nn.Module, data: CountData, train_size: float, seed: int, batch_size: int, device: torch.device
) -> dict[str, Posterior]:
    """Split cells at random into a "train_set" and a "test_set".

    Raises
    ------
    ValueError
        If `train_size`, the share of training cells, is not above 0 and at most 1, or leaves fewer than 2 of them.
    """
    if not 0 < train_size <= 1:
        raise ValueError(f"train_size is the share of cells to train on: expected 0 to 1, got {train_size}.")
    order = np.random.default_rng(seed).permutation(data.n_cells)
    n_train = math.ceil(round(train_size * data.n_cells, 6))  # rounded, so that 0.55 of 100 are 55
    if n_train < 2:
        raise ValueError(f"Training needs at least 2 cells, got {n_train} of {data.n_cells}.")
    split = {"train_set": np.sort(order[:n_train]), "test_set": np.sort(order[n_train:])}
    return {name: Posterior(model, data, cells, batch_size, device) for name, cells in split.items()}


def finish_averages(cells: Posterior, seed: int) -> None:
    """Set the running averages of the model's batch normalisation to those of its weights over these cells.

    The cells come in a random order, and dropout works as in training; the same seed gives the same averages. With
    several processes the averages are over the cells of all of them.
    """
    with seeded(seed, cells.device), computing_on(cells.device, cells.model):
        order = cells.indices[torch.randperm(len(cells)).numpy()]
        finish_batch_norm(
            cells.model,
            (
                (*minibatch[:3], *cells.seen.covariates_of(minibatch.indices, cells.device).values())
                for minibatch in cells.minibatches(order)
            ),
        )
        pool_batch_norm(cells.model)


@contextmanager
def evaluating(model: torch.nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Run the body on a device, in evaluation mode, without gradients, with a seed; restore everything afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(seed, device), computing_on(device, model):
            yield
    finally:
        model.train(was_training)
