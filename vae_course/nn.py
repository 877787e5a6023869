"""The neural networks that the models are made of, with scVI 0.3.0's module tree and parameter names.

Because of these names scvi-tools' weights load unchanged ("Layer 0" included).
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vae_course.distributions import sample_normal


def one_hot(index: Tensor, n_categories: int) -> Tensor:
    """Turn codes into indicator columns.

    Parameters
    ----------
    index
        Codes 0..n_categories-1, (cells,) or (cells, 1). What is one-hot already, (cells, n_categories), passes.
    n_categories
        Number of columns.

    Returns
    -------
    Tensor
        Float32, (cells, n_categories): 1 in the column of the code, 0 elsewhere.

    Raises
    ------
    ValueError
        For another shape, and for codes out of range.
    """
    if index.dim() == 2 and index.shape[1] == n_categories > 1:
        return index.float()
    if index.dim() != 1 and not (index.dim() == 2 and index.shape[1] == 1):
        raise ValueError(f"index has to be of shape (cells,) or (cells, 1), got {tuple(index.shape)}.")
    if index.is_floating_point() and not torch.equal(index, index.floor()):
        raise ValueError(f"Codes have to be whole numbers, got {index[index != index.floor()][0].item()}.")
    index = index.flatten().long()  # (cells,)
    if len(index) and not 0 <= index.min() <= index.max() < n_categories:
        raise ValueError(
            f"Codes have to lie in 0..{n_categories - 1} ({n_categories} categories), "
            f"got {index.min().item()} to {index.max().item()}."
        )
    return nn.functional.one_hot(index, n_categories).float()


def one_hot_covariates(cat_list: Sequence[Tensor | None], n_cat_list: Sequence[int], n_cells: int) -> list[Tensor]:
    """Turn the codes of several covariates into indicator columns.

    Parameters
    ----------
    cat_list
        Codes of each covariate, (cells,) or (cells, 1); more of them than `n_cat_list` has are ignored.
    n_cat_list
        Number of categories of each covariate; one with at most one category is left out.
    n_cells
        Number of cells that need a code.

    Returns
    -------
    list of Tensor
        Indicator columns, (cells, n_categories) each.

    Raises
    ------
    ValueError
        If a covariate is missing, its codes are out of range, or their number is not that of the cells.
    """
    columns = []
    for position, n_categories in enumerate(n_cat_list):
        if n_categories <= 1:
            continue
        codes = cat_list[position] if position < len(cat_list) else None
        if codes is None:
            raise ValueError(
                f"Covariate {position} with {n_categories} categories is missing: give its codes for every cell, "
                "for example batch_index."
            )
        if len(codes) != n_cells:
            raise ValueError(f"Covariate {position} needs a code for each of {n_cells} cells, got {len(codes)}.")
        columns.append(one_hot(codes, n_categories).float())
    return columns


class FCLayers(nn.Module):
    """Fully connected layers: Linear, batch normalisation, ReLU, dropout, once per layer.

    Covariates enter every Linear as one-hot columns beside its input; a covariate with at most one category says
    nothing and is left out.

    Parameters
    ----------
    n_in, n_out
        Columns of the input and of the output.
    n_cat_list
        Number of categories of each covariate.
    n_layers, n_hidden
        Number of layers, and the width between them.
    dropout_rate
        Share of outputs set to zero during training.
    use_batch_norm
        Whether to normalise each column over the minibatch.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_cat_list: Sequence[int] | None = None,
        n_layers: int = 1,
        n_hidden: int = 128,
        dropout_rate: float = 0.1,
        use_batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers has to be at least 1, got {n_layers}.")
        self.n_cat_list = [n if n > 1 else 0 for n in n_cat_list or []]  # a single category says nothing
        widths = [n_in] + [n_hidden] * (n_layers - 1) + [n_out]
        layers = OrderedDict()
        for i, (width_in, width_out) in enumerate(pairwise(widths)):
            layer = [nn.Linear(width_in + sum(self.n_cat_list), width_out)]
            if use_batch_norm:
                layer.append(nn.BatchNorm1d(width_out, momentum=0.01, eps=0.001))
            layer.append(nn.ReLU())
            if dropout_rate > 0:
                layer.append(nn.Dropout(dropout_rate))
            layers[f"Layer {i}"] = nn.Sequential(*layer)
        self.fc_layers = nn.Sequential(layers)

    def forward(self, x: Tensor, *cat_list: Tensor | None) -> Tensor:
        """Pass x through the layers.

        Parameters
        ----------
        x
            (cells, n_in), or (samples, cells, n_in); batch normalisation then treats each sample on its own.
        *cat_list
            Codes of each covariate in `n_cat_list`, (cells,) or (cells, 1); more than that are ignored, as in
            scVI 0.3.0.

        Returns
        -------
        Tensor
            (cells, n_out), or (samples, cells, n_out).

        Raises
        ------
        ValueError
            If a covariate is missing or its codes are out of range.
        """
        covariates = one_hot_covariates(cat_list, self.n_cat_list, n_cells=x.shape[-2])
        for layer in self.fc_layers:
            for step in layer:
                if isinstance(step, nn.Linear) and covariates:
                    x = torch.cat([x, torch.cat(covariates, dim=-1).expand(*x.shape[:-1], -1)], dim=-1)
                if isinstance(step, nn.BatchNorm1d) and x.dim() == 3:
                    x = torch.stack([step(sample) for sample in x])  # (samples, cells, width)
                else:
                    x = step(x)
        return x


class Encoder(nn.Module):
    """Network of a Gaussian q(z|x): a mean and a variance for each latent, and a draw.

    Parameters
    ----------
    n_input, n_output
        Columns of the input and number of latents.
    n_cat_list, n_layers, n_hidden, dropout_rate
        As in `FCLayers`.
    var_eps
        Added to the variance, which scvi-tools does and scVI 0.3.0 (var_eps = 0) does not.
    """

    def __init__(
        self,
        n_input: int,
        n_output: int,
        n_cat_list: Sequence[int] | None = None,
        n_layers: int = 1,
        n_hidden: int = 128,
        dropout_rate: float = 0.1,
        var_eps: float = 1e-4,
    ) -> None:
        super().__init__()
        self.n_input, self.var_eps = n_input, var_eps
        self.encoder = FCLayers(n_input, n_hidden, n_cat_list, n_layers, n_hidden, dropout_rate)
        self.mean_encoder = nn.Linear(n_hidden, n_output)
        self.var_encoder = nn.Linear(n_hidden, n_output)  # its output is a log-variance

    def forward(self, x: Tensor, *cat_list: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, variance and one reparameterised draw, (cells, n_output) each.

        Raises
        ------
        ValueError
            If x has another number of columns, a covariate is missing or its codes are out of range.
        """
        if x.shape[-1] != self.n_input:
            raise ValueError(
                f"The model was built for {self.n_input} genes (columns), got counts of shape {tuple(x.shape)}."
            )
        hidden = self.encoder(x, *cat_list)
        mean = self.mean_encoder(hidden)
        var = torch.exp(self.var_encoder(hidden)) + self.var_eps
        return mean, var, sample_normal(mean, var)


class DecoderSCVI(nn.Module):
    """Network p_X of scVI: from a latent to the parameters of every gene's count distribution.

    Parameters
    ----------
    n_input, n_output
        Number of latents and of genes.
    n_cat_list, n_layers, n_hidden
        As in `FCLayers`; the decoder has no dropout.
    """

    def __init__(
        self,
        n_input: int,
        n_output: int,
        n_cat_list: Sequence[int] | None = None,
        n_layers: int = 1,
        n_hidden: int = 128,
    ) -> None:
        super().__init__()
        self.px_decoder = FCLayers(n_input, n_hidden, n_cat_list, n_layers, n_hidden, dropout_rate=0)
        self.px_scale_decoder = nn.Sequential(nn.Linear(n_hidden, n_output), nn.Softmax(dim=-1))
        self.px_r_decoder = nn.Linear(n_hidden, n_output)
        self.px_dropout_decoder = nn.Linear(n_hidden, n_output)

    def forward(
        self, dispersion: str, z: Tensor, library: Tensor, *cat_list: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Decode latents.

        Parameters
        ----------
        dispersion
            "gene-cell" asks for a dispersion of every gene in every cell; any other value leaves px_r None.
        z
            Latents, (..., cells, n_latent).
        library
            Natural logarithm of the cells' size, (..., cells, 1).
        *cat_list
            Codes of the covariates.

        Returns
        -------
        px_scale
            Expected share of each gene, rows sum to 1, (..., cells, genes).
        px_r
            Logarithm of the inverse dispersion, (..., cells, genes), or None.
        px_rate
            Expected counts exp(library) * px_scale, (..., cells, genes).
        px_dropout
            Log-odds of an extra zero, (..., cells, genes).
        """
        hidden = self.px_decoder(z, *cat_list)
        px_scale = self.px_scale_decoder(hidden)
        px_r = self.px_r_decoder(hidden) if dispersion == "gene-cell" else None
        px_rate = torch.exp(library) * px_scale
        px_dropout = self.px_dropout_decoder(hidden)
        return px_scale, px_r, px_rate, px_dropout


@torch.no_grad()
def finish_batch_norm(model: nn.Module, minibatches: Iterable[Tensor | Sequence[Tensor]]) -> None:
    """Set the running averages of batch normalisation to those of the weights as they are now.

    During training a running average moves by its momentum, 1 %, towards the minibatch at hand, so it trails the
    weights by about 100 steps. After training on few cells it still describes weights that are gone, and evaluation
    mode normalises with it. Here the weights stand still while the cells pass once more. Dropout works as in training.

    Parameters
    ----------
    model
        In evaluation mode afterwards, with the weights and the momenta that it had.
    minibatches
        Counts of some training cells, (cells, genes), or tuples of what `model.inference` takes (counts, batches,
        labels, and for a model with covariates these); every minibatch has the same weight. They should be drawn at
        random: where each holds one kind of cells, their variances leave out what differs between kinds.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    minibatches = minibatches if norms else []
    momenta = [norm.momentum for norm in norms]
    run = model.inference if hasattr(model, "inference") else model.loss_terms
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # for PyTorch this means the plain average over all minibatches
        model.train()
        for minibatch in minibatches:
            x_and_codes = [minibatch] if isinstance(minibatch, Tensor) else minibatch
            covariates = {"covariates": x_and_codes[3]} if len(x_and_codes) > 3 else {}
            run(*x_and_codes[:3], **covariates)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()
