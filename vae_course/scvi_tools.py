"""Weights to and from scvi-tools: `VAE.from_scvi_tools` and `VAE.to_scvi_tools`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from vae_course.names import Names
from vae_course.runtime.seeds import seeded

if TYPE_CHECKING:
    from anndata import AnnData
    from scvi.data import AnnDataManager
    from scvi.model import SCVI


class ScviToolsExchange:
    """What lets `VAE` exchange options and weights with scvi-tools, whose module tree and names it shares."""

    @classmethod
    def from_scvi_tools(cls, model: "SCVI") -> Self:
        """Take over the options and the weights of a scvi-tools model.

        Parameters
        ----------
        model
            A `scvi.model.SCVI` (or its `module`), trained or not.

        Returns
        -------
        VAE
            In evaluation mode, with the names of the genes, batches, labels and covariates (a `module` alone has none);
            its tensors agree with scvi-tools' to 1e-5.

        Raises
        ------
        ValueError
            If it uses something that this model does not have.
        """
        module = getattr(model, "module", model)
        _check_scvi_tools_options(module)
        decoder = module.decoder.px_decoder
        dropouts = [layer.p for layer in module.z_encoder.modules() if isinstance(layer, nn.Dropout)]
        ours = cls(
            module.n_input,
            module.n_batch,
            module.n_labels,
            module.n_hidden,
            module.n_latent,
            module.n_layers,
            dropouts[0] if dropouts else 0.0,
            module.dispersion,
            module.log_variational,
            module.gene_likelihood,
            "observed" if module.use_observed_lib_size else "latent",
            module.z_encoder.var_eps,
            dispersion_init="random",  # theta stays theirs, also if it was not trained yet
            n_cats_per_cov=[max(1, n) for n in decoder.n_cat_list[1:]],  # 0 stands for 1 there
            n_continuous_cov=decoder.fc_layers[0][0].in_features - sum(decoder.n_cat_list) - module.n_latent,
        )
        ours._load_weights(ours, module.state_dict(), "The scvi-tools model")
        if module is not model:
            ours.names = _names_in(model.adata_manager)
        return ours.eval()

    def to_scvi_tools(self, adata: "AnnData") -> "SCVI":
        """Hand options and weights to a scvi-tools model.

        Parameters
        ----------
        adata
            The data of the scvi-tools model. If `SCVI.setup_anndata` was not called on them, a copy with this model's
            genes, batches and labels in its order is set up, with X as counts, `obs["batch"]` if the model has batches,
            `obs["label"]` if its dispersion needs labels, as `CountData.to_anndata` writes them, and the covariates in
            columns of their names.

        Returns
        -------
        scvi.model.SCVI
            Ready to use: marked as trained, in evaluation mode. A library prior that is not set here is scvi-tools'
            own.

        Raises
        ------
        ImportError
            If scvi-tools is not installed.
        ValueError
            If the data do not fit the model, or were set up with its names in another order.
        """
        try:
            from scvi.model import SCVI
        except ImportError as error:
            raise ImportError("This needs scvi-tools: pip install 'vae-course[compare]'.") from error
        if SCVI._get_most_recent_anndata_manager(adata) is None:
            adata = self._set_up(adata)
        self._check_names(SCVI._get_most_recent_anndata_manager(adata))
        options = {name: self.options[name] for name in ("n_hidden", "n_latent", "n_layers", "dropout_rate")}
        with seeded(self.options["seed"]):
            model = SCVI(
                adata,
                dispersion=self.dispersion,
                gene_likelihood=self.likelihood,
                use_observed_lib_size=self.library == "observed",
                log_variational=self.log_variational,
                extra_encoder_kwargs={"var_eps": self.options["var_eps"]},
                **options,
            )
        self._load_weights(model.module, self.state_dict(), "These AnnData")
        model.is_trained_ = True
        model.module.eval()
        return model

    def _set_up(self, adata: "AnnData") -> "AnnData":
        """Set up data for scvi-tools: a copy in the order of this model's names, if it has some; return them."""
        from scvi.model import SCVI

        if self.n_covariates and self.names is None:
            raise ValueError("The model does not know the names of its covariates: pass data set up for scvi-tools.")
        names = self.names or Names([], [], [])
        by_label = self.dispersion == "gene-label" and self.n_labels > 1
        keys = {"batch_key": "batch" if self.n_batch > 1 else None, "labels_key": "label" if by_label else None}
        categories = {"batch": names.batches, "label": names.labels}
        categories = {key: categories[key] for key in keys.values() if key}
        categorical, continuous = names.categorical_covariates, names.continuous_covariates
        if repeated := sorted(categories.keys() & {*categorical, *continuous}):
            raise ValueError(
                f"A covariate is called {repeated[0]!r}, as this model's column: pass data set up for scvi-tools."
            )
        categories |= categorical
        missing = [key for key in (*categories, *continuous) if key not in adata.obs]
        if missing:
            raise ValueError(f"The model needs the column(s) {missing} in obs, or data set up for scvi-tools.")
        adata = _in_order(adata, self.names, categories)
        keys |= {"categorical_covariate_keys": list(categorical), "continuous_covariate_keys": list(continuous)}
        SCVI.setup_anndata(adata, **keys)
        return adata

    def _check_names(self, manager: "AnnDataManager") -> None:
        """Raise ValueError if data that were set up have the names that this model uses in another order."""
        if self.names is None:
            return
        used = {"genes": True, "batches": self.n_batch > 1}
        used["labels"] = self.dispersion == "gene-label" and self.n_labels > 1
        used |= {"categorical_covariates": True, "continuous_covariates": True}  # names has those that are used
        for kind, theirs, ours in zip(Names._fields, _names_in(manager), self.names, strict=True):
            if used[kind] and (theirs != ours or list(theirs) != list(ours)):
                raise ValueError(
                    f"These AnnData were set up with other {kind.replace('_', ' ')} than those of the model, or in "
                    "another order. Pass data that were not set up, or set them up with the names in model.names."
                )

    @staticmethod
    def _load_weights(target: nn.Module, weights: dict[str, Tensor], who: str) -> None:
        """Load all weights, except for a library prior that only one side has (or that is not set yet)."""
        own = target.state_dict()
        prior = {"library_log_means", "library_log_vars"}
        unset = {name for name in prior & weights.keys() if torch.isnan(weights[name]).any()}
        weights = {name: t for name, t in weights.items() if name not in (prior - own.keys()) | unset}
        differing = [name for name in weights.keys() ^ own.keys() if name not in prior]
        differing += [name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape]
        if differing:
            raise ValueError(f"{who} and this model do not have the same parameters: {', '.join(sorted(differing))}.")
        target.load_state_dict(weights, strict=False)


def _names_in(manager: "AnnDataManager") -> Names:
    """Return the names that scvi-tools' columns and codes have."""
    keys = ("X", "batch", "labels", "extra_categorical_covs", "extra_continuous_covs")
    genes, batches, labels, categorical, continuous = (manager.get_state_registry(key) for key in keys)

    def listed(names: Iterable[Any]) -> list[str]:
        return [str(name) for name in names]

    return Names(
        listed(genes["column_names"]),
        listed(batches["categorical_mapping"]),
        listed(labels["categorical_mapping"]),
        {key: listed(categorical["mappings"][key]) for key in categorical.get("field_keys", [])},
        listed(continuous.get("columns", [])),
    )


def _in_order(adata: "AnnData", names: Names | None, categories: dict[str, list[str]]) -> "AnnData":
    """Return a copy of the data with the genes of these names, and with these categories in columns of `obs`."""
    import pandas as pd

    if names is None:
        return adata
    missing = [name for name in names.genes if name not in adata.var_names]
    if missing:
        raise ValueError(f"The data lack {len(missing)} of the model's genes, the first is {missing[0]!r}.")
    adata = adata[:, names.genes].copy()
    for key, known in categories.items():
        values = adata.obs[key].astype(str)
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(f"The model does not know {unknown[0]!r} in obs[{key!r}]; it knows {', '.join(known)}.")
        adata.obs[key] = pd.Categorical(values, categories=known)
    return adata


def _check_scvi_tools_options(module: nn.Module) -> None:
    """Refuse what is not a scvi-tools VAE, and options that this model does not have."""
    if not hasattr(module, "gene_likelihood") or not hasattr(module, "z_encoder"):
        raise ValueError(f"from_scvi_tools takes a scvi.model.SCVI or its module, got a {type(module).__name__}.")
    decoder = module.decoder.px_decoder
    networks = (module.z_encoder.encoder, module.l_encoder.encoder, decoder)
    layers = [[type(step) for step in layer.children()] for network in networks for layer in network.fc_layers]
    unsupported = {
        f"gene_likelihood={module.gene_likelihood!r}": module.gene_likelihood not in ("zinb", "nb", "poisson"),
        f"latent_distribution={module.latent_distribution!r}": module.latent_distribution != "normal",
        f"batch_representation={module.batch_representation!r}": module.batch_representation != "one-hot",
        "encode_covariates=True": module.encode_covariates,
        "a size factor": module.use_size_factor_key,
        "deeply_inject_covariates=False": sum(decoder.n_cat_list) > 0
        and module.n_layers > 1
        and not decoder.inject_covariates,
        "another var_activation than exp": module.z_encoder.var_activation is not torch.exp,
        "another activation_fn than ReLU": any(nn.ReLU not in layer for layer in layers),
        "use_batch_norm other than 'both'": any(nn.BatchNorm1d not in layer for layer in layers),
        "use_layer_norm": any(nn.LayerNorm in layer for layer in layers),
    }
    found = [name for name, used in unsupported.items() if used]
    if found:
        raise ValueError(f"The scvi-tools model uses what this VAE does not have: {', '.join(found)}.")
