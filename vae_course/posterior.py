"""`Posterior`: a model, data, and the order in which to look at the cells. Whatever one asks of a trained model.

Every method runs the model in evaluation mode without gradients, takes a `seed` where it draws, changes nothing, and
returns arrays whose rows are the cells in the order of `.indices`.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from vae_course import metrics
from vae_course._devices import chosen, computing_on
from vae_course._seeds import same_threads, seeded
from vae_course.data import CountData, as_indices, split_minibatches
from vae_course.distributions import effective_sample_size, log_marginal_likelihood, sample_nb, sample_zinb
from vae_course.models import VAE, LossTerms

if TYPE_CHECKING:
    import pandas as pd

DECODED_NUMBERS = 2**22  # numbers of one decoded tensor at most (16 MiB in float32), which bounds the memory


class Minibatch(NamedTuple):
    """Some cells: what the model sees, their batch and label, and their positions in the data."""

    x: Tensor
    batch_index: Tensor
    labels: Tensor
    indices: np.ndarray


class Posterior:
    """A model together with cells.

    Parameters
    ----------
    model
        `VAE`, `BinaryVAE`, or another module with a `loss_terms` like theirs.
    data
        The cells.
    indices
        Positions or a boolean mask of the cells to look at; all if None.
    batch_size
        Cells in a minibatch.
    device
        Where to compute: "auto" (a card, if there is one), "cpu", "cuda". The model is moved there for as long as a
        method runs.

    Attributes
    ----------
    indices
        Positions of the cells in `data`, (n,). Results come in this order.
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
        self.model = model
        self.data = data
        self.indices = np.arange(data.n_cells) if indices is None else as_indices(indices, data.n_cells)
        self.batch_size, self.device = batch_size, chosen(device)
        self.seen = data  # what the model gets to see: the data themselves, or a corrupted copy

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Minibatch]:
        """Go through the cells in order, a minibatch at a time."""
        if not len(self):
            raise ValueError("This posterior has no cells: with train_size=1 there is no test set.")
        return self.minibatches(self.indices)

    def shuffled(self) -> Iterator[Minibatch]:
        """Go through the cells in an order drawn from PyTorch's global generator."""
        return self.minibatches(self.indices[torch.randperm(len(self)).numpy()])

    def minibatches(self, indices: np.ndarray) -> Iterator[Minibatch]:
        """Go through the cells at these positions of the data."""
        for chunk in split_minibatches(indices, self.batch_size):
            yield Minibatch(*self.seen.minibatch(chunk, self.device), chunk)

    def _with_rows(self) -> Iterator[tuple[slice, Minibatch]]:
        """Go through the cells, each minibatch with the rows that are its in a result that holds all cells."""
        end = 0
        for minibatch in self:
            start, end = end, end + len(minibatch.x)
            yield slice(start, end), minibatch

    def _table(self, ask: Callable[[Minibatch], Tensor]) -> Tensor:
        """Ask the same of every minibatch, and write the answers, (b, columns), into one table on the CPU.

        A list of them would leave small tensors between the large ones that come and go, whose memory then lies in
        pieces too small to be used again: with 100,000 cells that came to a gigabyte.
        """
        table = None
        for rows, minibatch in self._with_rows():
            answer = ask(minibatch)
            if table is None:
                table = answer.new_empty((len(self), answer.shape[1]), device="cpu")
            table[rows] = answer
        return table

    def corrupted(self, rate: float = 0.1, corruption: str = "uniform", seed: int = 0) -> Self:
        """Return this posterior with damaged counts shown to the model (`CountData.corrupt`).

        All posteriors of the same data and seed see the same damage.
        """
        return self.showing(self.data.corrupt(rate, corruption, seed))

    def uncorrupted(self) -> Self:
        """Return this posterior with the counts as they are shown to the model."""
        return self.showing(self.data)

    def showing(self, seen: CountData) -> Self:
        """Return this posterior with other counts of the same cells shown to the model."""
        posterior = copy(self)
        posterior.seen = seen
        return posterior

    # -- how well the model explains the cells ------------------------------------------------------------------------

    def loss_terms(self, seed: int = 0) -> LossTerms:
        """Return reconstruction, local KL and global KL of every cell, nats, tensors of shape (n,)."""
        with evaluating(self.model, seed, self.device):
            terms = self._table(lambda minibatch: torch.stack(self.model.loss_terms(*minibatch[:3]), dim=1))
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
            Draws per cell. More draws bring the estimate, which is too low on average, closer to the truth.
        return_per_cell
            Return the values of all cells with their effective sample sizes instead of the mean.
        seed
            Seed of the draws.

        Returns
        -------
        float or (values, ess)
            Nats per cell, higher is better; or two arrays (n,). A cell whose effective sample size is near 1 has
            an estimate that rests on one draw.
        """
        _check_draws(n_samples)

        def value_and_size(minibatch: Minibatch) -> Tensor:
            terms = self._importance_terms(minibatch, n_samples)
            return torch.stack([log_marginal_likelihood(*terms), effective_sample_size(*terms)], dim=1)

        with evaluating(self.model, seed, self.device):
            values, ess = self._table(value_and_size).T.contiguous()
        return (values.numpy(), ess.numpy()) if return_per_cell else values.mean().item()

    def _importance_terms(self, minibatch: Minibatch, n_samples: int) -> tuple[Tensor, Tensor]:
        """Draw in portions that fit in memory, and put them together on the axis of the draws."""
        portion = max(1, DECODED_NUMBERS // minibatch.x.numel())
        sizes = [min(portion, n_samples - start) for start in range(0, n_samples, portion)]
        terms = [self.model.importance_terms(*minibatch[:3], n_samples=size) for size in sizes]
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
        with evaluating(self.model, seed, self.device):
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

        Of more than `max_cells` cells, so many are drawn whose neighbourhoods count. Their neighbours are still sought
        among all, so that the time grows as the number of cells and not as its square.
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

    def get_harmonized_scale(self, fixed_batch: int, seed: int = 0) -> np.ndarray:
        """Return the expected shares as if all cells came from one batch, (n, genes).

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
        with evaluating(self._vae, seed, self.device):
            return self._table(lambda minibatch: self._vae.inference(*minibatch[:3])["library"])[:, 0].numpy()

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
            Counts, (n, genes, n_samples) and (n, genes), float32: 4 bytes for each of these numbers.
        """
        _check_draws(n_samples)
        generated = np.empty((len(self), self.data.n_genes, n_samples), np.float32)
        with evaluating(self._vae, seed, self.device):
            for rows, minibatch in self._with_rows():
                for draw in range(n_samples):
                    generated[rows, :, draw] = self._generate_once(minibatch).cpu().numpy()
        return generated, self.data.counts[self.indices].toarray()

    def _generate_once(self, minibatch: Minibatch) -> Tensor:
        inferred = self._vae.inference(*minibatch[:3])
        if self._vae.likelihood == "poisson":
            return torch.poisson(inferred["px_rate"])
        if self._vae.likelihood == "nb":
            return sample_nb(inferred["px_rate"], inferred["px_r"])
        return sample_zinb(inferred["px_rate"], inferred["px_r"], inferred["px_dropout"])

    def _draws(self, name: str, n_samples: int, seed: int, batch: int | None = None) -> np.ndarray:
        """Draw a result of `VAE.inference` that has a column per gene for all cells, (n_samples, n, genes).

        In memory the draws of one cell stand together. Nothing of this size exists twice.
        """
        _check_draws(n_samples)
        table = np.empty((len(self), n_samples, self.data.n_genes), np.float32)
        with evaluating(self._vae, seed, self.device):
            for draw in range(n_samples):
                for rows, inferred in self._inferences(batch):
                    table[rows, draw] = inferred[name].cpu().numpy()  # what is the same for all cells is repeated
        return table.swapaxes(0, 1)

    def _inferences(self, batch: int | None = None) -> Iterator[tuple[slice, dict[str, Tensor]]]:
        """Run `VAE.inference` on a minibatch at a time."""
        for rows, (x, batch_index, labels, _) in self._with_rows():
            batch_index = batch_index if batch is None else torch.full_like(batch_index, batch)
            yield rows, self._vae.inference(x, batch_index, labels)

    @property
    def _vae(self) -> VAE:
        if not isinstance(self.model, VAE):
            raise ValueError(f"This needs a VAE, which models counts; the model here is a {type(self.model).__name__}.")
        return self.model

    # -- imputation ---------------------------------------------------------------------------------------------------

    def imputation(self, n_samples: int = 1, seed: int = 0) -> np.ndarray:
        """Return the expected counts (px_rate), (n, genes), or (n_samples, n, genes) for more than one draw.

        4 bytes for each of these numbers; `imputation_list` needs far fewer.
        """
        draws = self._draws("px_rate", n_samples, seed)
        return draws[0] if n_samples == 1 else draws

    def imputation_list(self, n_samples: int = 1, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return original and imputed values of the entries that corruption changed.

        Parameters
        ----------
        n_samples
            Draws over which imputed values are averaged.
        seed
            Seed of the draws.

        Returns
        -------
        original, imputed
            A list with one array per cell each; a cell without changed entries has empty ones.
        """
        _check_draws(n_samples)
        changed = self.data.counts[self.indices] != self.seen.counts[self.indices]  # sparse, (n, genes)
        original = _pick((self.data.counts[minibatch.indices].toarray() for minibatch in self), changed)
        with evaluating(self._vae, seed, self.device):
            imputed = sum(_pick(self._rates(), changed) for _ in range(n_samples)) / n_samples  # draw by draw
        ends = changed.indptr[1:-1]  # where each cell's entries end, the last one's left out
        return np.split(original, ends), np.split(imputed, ends)

    def _rates(self) -> Iterator[np.ndarray]:
        """Draw the expected counts, (b, genes), of a minibatch at a time."""
        return (inferred["px_rate"].cpu().numpy() for _, inferred in self._inferences())

    def imputation_score(self, n_samples: int = 1, seed: int = 0) -> float:
        """Return the median absolute difference between original and imputed counts at the changed entries.

        Raises
        ------
        ValueError
            If corruption changed nothing.
        """
        return self.imputation_benchmark(n_samples, seed)["median"]

    def imputation_benchmark(self, n_samples: int = 1, seed: int = 0) -> dict[str, float]:
        """Return how far imputed counts are from the original ones, at the entries that corruption changed.

        Returns
        -------
        dict
            median: median absolute difference over all entries; mean_of_medians: mean over cells of their medians;
            n_entries: how many entries there were.

        Raises
        ------
        ValueError
            If corruption changed nothing.
        """
        original, imputed = self.imputation_list(n_samples, seed)
        errors = [np.abs(a - b) for a, b in zip(original, imputed, strict=True) if len(a)]
        if not errors:
            raise ValueError("No count was changed, so there is nothing to impute: call this on posterior.corrupted().")
        together = np.concatenate(errors)
        return {
            "median": float(np.median(together)),
            "mean_of_medians": float(np.mean([np.median(e) for e in errors])),
            "n_entries": len(together),
        }

    # -- differential expression --------------------------------------------------------------------------------------

    def differential_expression_stats(self, n_samples: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return draws of the genes' shares for every cell.

        Returns
        -------
        scales, labels
            (n * n_samples, genes), float32: 4 bytes for each of these numbers; and (n * n_samples,). The draws of one
            cell stand together.
        """
        draws = self._draws("px_scale", n_samples, seed).swapaxes(0, 1)  # (n, n_samples, genes)
        labels = np.repeat(self.data.labels[self.indices], n_samples)
        return draws.reshape(-1, self.data.n_genes), labels  # (n * n_samples, genes)

    def differential_expression_score(
        self,
        cells_1: Any,
        cells_2: Any,
        batchid: Sequence[int] | None = None,
        n_samples: int = 5000,
        delta: float = 0.25,
        pseudocount: float = 1e-6,
        seed: int = 0,
    ) -> "pd.DataFrame":
        """Compare the expression of every gene between two groups of cells (Lopez et al., 2018, Methods).

        A draw takes a cell of each group, at random and with replacement, with a z ~ q(z|x) each, and decodes
        both under the same batch.

        Parameters
        ----------
        cells_1, cells_2
            The groups: boolean masks over this posterior's cells, or positions among them.
        batchid
            Batches to decode under, in equal parts; all if None.
        n_samples
            Pairs of draws under each batch.
        delta
            Smallest log2 fold change that matters.
        pseudocount
            Added to shares before their logarithm is taken, so that genes that are hardly there show no large change.
        seed
            Seed of the draws.

        Returns
        -------
        DataFrame
            A row per gene, highest Bayes factor first: gene; bayes_factor, the log-odds that group 1 expresses it more;
            prob_greater, that probability; lfc, the mean log2 fold change of group 1 over group 2, with lfc_std;
            prob_de, the probability that it exceeds delta either way; scale_1 and scale_2, the mean shares; raw_mean_1,
            raw_mean_2, mean counts; nonzero_1, nonzero_2, the shares of cells with a count.

        Raises
        ------
        ValueError
            If a group is empty, or a batch does not exist.
        """
        import pandas as pd

        _check_draws(n_samples)
        groups = [self.indices[as_indices(cells, len(self))] for cells in (cells_1, cells_2)]
        for position, group in enumerate(groups, start=1):
            if not len(group):
                raise ValueError(f"Group {position} has no cells, so there is nothing to compare.")
        with evaluating(self._vae, seed, self.device):
            drawn_1, drawn_2 = (self._draw_latents(group, self._batches(batchid), n_samples) for group in groups)
            pairs = zip(map(self._decode_scale, drawn_1), map(self._decode_scale, drawn_2), strict=True)
            compared = _compare(pairs, delta, pseudocount)
        raw_1, raw_2 = (self.data.counts[group] for group in groups)
        table = pd.DataFrame(
            {
                "gene": self.data.gene_names,
                **{name: values.cpu().numpy() for name, values in compared.items()},
                "raw_mean_1": raw_1.mean(axis=0).A1,
                "raw_mean_2": raw_2.mean(axis=0).A1,
                "nonzero_1": (raw_1 > 0).mean(axis=0).A1,
                "nonzero_2": (raw_2 > 0).mean(axis=0).A1,
            }
        )
        return table.sort_values("bayes_factor", ascending=False, kind="stable", ignore_index=True)

    def _batches(self, batchid: Sequence[int] | None) -> list[int]:
        n_batch = max(1, self._vae.n_batch)
        batches = list(range(n_batch) if batchid is None else batchid)
        if not batches or not all(0 <= b < n_batch for b in batches):
            raise ValueError(f"batchid has to name batches from 0 to {n_batch - 1}, got {batches}.")
        return batches

    def _draw_latents(self, cells: np.ndarray, batches: list[int], n_samples: int) -> list[tuple[Tensor, ...]]:
        """Draw z and log-library of random cells for each batch to decode under; return minibatches of all three.

        They are kept because they are small: what they decode to has a column per gene.
        """
        latents = []
        for batch in batches:
            drawn = cells[torch.randint(len(cells), (n_samples,)).numpy()]
            for x, batch_index, labels, _ in self.minibatches(drawn):
                z, library = self._vae.sample_from_posterior_z(x, labels), self._vae.sample_from_posterior_l(x)
                latents.append((z, library, torch.full_like(batch_index, batch)))
        return latents

    def _decode_scale(self, latents: tuple[Tensor, ...]) -> Tensor:
        """Return px_scale, (b, genes), of one minibatch of `_draw_latents`."""
        return self._vae.decoder(self._vae.dispersion, *latents)[0]

    def one_vs_all_degenes(self, min_cells: int = 10, **options: Any) -> "pd.DataFrame":
        """Compare the cells of every label with all others.

        Parameters
        ----------
        min_cells
            A comparison needs more cells than this on either side; others are left out.
        **options
            Go to `differential_expression_score`.

        Returns
        -------
        DataFrame
            The tables one below the other, with the columns `cluster` (code) and `cluster_name` in front.
        """
        labels = self.data.labels[self.indices]
        return self._compare_clusters(
            {code: (labels == code, labels != code) for code in np.unique(labels)}, min_cells, options
        )

    def within_cluster_degenes(self, states: Any, min_cells: int = 10, **options: Any) -> "pd.DataFrame":
        """Compare cells in a state with the other cells of the same label, label by label.

        Parameters
        ----------
        states
            Whether each cell is in the state (treated, say), boolean, (n,).
        min_cells, **options
            As in `one_vs_all_degenes`.

        Returns
        -------
        DataFrame
            As `one_vs_all_degenes`.

        Raises
        ------
        ValueError
            If `states` is not a boolean value for every cell.
        """
        labels, states = self.data.labels[self.indices], np.asarray(states)
        if states.shape != labels.shape or not np.isin(states, (0, 1)).all():
            raise ValueError(
                f"states needs True or False for each of the {len(labels)} cells, got shape {states.shape}."
            )
        states = states.astype(bool)
        groups = {code: ((labels == code) & states, (labels == code) & ~states) for code in np.unique(labels)}
        return self._compare_clusters(groups, min_cells, options)

    def _compare_clusters(
        self, groups: dict[int, tuple[np.ndarray, np.ndarray]], min_cells: int, options: dict[str, Any]
    ) -> "pd.DataFrame":
        import pandas as pd

        tables = []
        for code, (cells_1, cells_2) in groups.items():
            if min(cells_1.sum(), cells_2.sum()) > min_cells:
                table = self.differential_expression_score(cells_1, cells_2, **options)
                table.insert(0, "cluster", code)
                table.insert(1, "cluster_name", self.data.label_names[code])
                tables.append(table)
        if not tables:
            raise ValueError(f"No cluster has more than {min_cells} cells on both sides of the comparison.")
        return pd.concat(tables, ignore_index=True)


def _check_draws(n_samples: int) -> None:
    if n_samples < 1:
        raise ValueError(f"n_samples has to be at least 1, got {n_samples}.")


def _pick(tables: Iterable[np.ndarray], entries: sp.csr_matrix) -> np.ndarray:
    """Pick entries out of a dense table that comes some rows at a time, row by row."""
    picked, end = np.empty(entries.nnz, np.float32), 0
    for table in tables:
        start, end = end, end + len(table)
        picked[entries.indptr[start] : entries.indptr[end]] = table[entries[start:end].nonzero()]
    return picked


def _compare(pairs: Iterable[tuple[Tensor, Tensor]], delta: float, pseudocount: float) -> dict[str, Tensor]:
    """Compare draws of two groups that come in portions of (b, genes) each, gene by gene; only sums are kept."""
    n_draws, sums, centre = 0, {}, None
    for scale_1, scale_2 in pairs:
        lfc = torch.log2(scale_1 + pseudocount) - torch.log2(scale_2 + pseudocount)
        centre = lfc[0].double() if centre is None else centre
        deviation = lfc - centre  # from the first draw: where all draws agree, the variance is exactly 0
        portion = {"wins": scale_1 > scale_2, "ties": scale_1 == scale_2, "large": lfc.abs() >= delta}
        portion |= {"scale_1": scale_1, "scale_2": scale_2, "deviation": deviation, "square": deviation**2}
        for name, values in portion.items():
            sums[name] = sums.get(name, 0) + values.sum(dim=0, dtype=torch.float64)
        n_draws += len(lfc)
    means = {name: total / n_draws for name, total in sums.items()}
    var = (means["square"] - means["deviation"] ** 2) * n_draws / (n_draws - 1)  # of a single draw: not a number
    prob_greater = means["wins"] + means["ties"] / 2
    return {
        "bayes_factor": metrics.log_odds(prob_greater),
        "prob_greater": prob_greater,
        "lfc": (centre + means["deviation"]).float(),
        "lfc_std": var.sqrt().float(),
        "prob_de": means["large"],
        "scale_1": means["scale_1"].float(),
        "scale_2": means["scale_2"].float(),
    }


@contextmanager
def evaluating(model: torch.nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Run the body on a device, in evaluation mode, without gradients, seeded; restore all that afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(seed, device), computing_on(device, model):
            yield
    finally:
        model.train(was_training)
