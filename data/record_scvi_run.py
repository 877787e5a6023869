"""Make vae_course/_data/scvi_tools_run.npz: a training with scvi-tools on AnnData, as deeper notebook 6 shows it.

    pip install "scvi-tools==1.4.2" && python data/record_scvi_run.py

The cells are those of `load_pbmc` with their 300 genes of largest variance. The notebook makes the same calls where
scvi-tools is installed, and shows this file where it is not. In it are:

elbo_train, elbo_validation   -ELBO after every epoch, nats per cell, (epochs,)
latent                        posterior means of all cells, (cells, latent)
genes, lfc, prob_de           B cells against CD14+ monocytes in mode "change", (genes,)
loaded                        the largest difference of the latents after saving and loading
versions                      JSON
"""

import json
import logging
import platform
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

import vae_course as vc

TARGET = Path(__file__).parents[1] / "vae_course" / "_data" / "scvi_tools_run.npz"
GROUPS = {"group1": "CD19+ B", "group2": "CD14+ Monocyte"}
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}


def most_variable(data: vc.CountData, n_genes: int = 300) -> vc.CountData:
    """Keep the genes whose counts vary most."""
    counts = data.counts.toarray()
    genes = np.sort(np.argsort(-counts.var(axis=0))[:n_genes])
    return data.replaced(counts=counts[:, genes], gene_names=data.gene_names[genes])


def main() -> None:
    warnings.filterwarnings("ignore")
    import scvi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    adata = most_variable(vc.load_pbmc()).to_anndata()
    scvi.settings.seed = 0
    scvi.model.SCVI.setup_anndata(adata)
    model = scvi.model.SCVI(adata, use_observed_lib_size=False)
    plan = {"n_epochs_kl_warmup": 25}
    model.train(max_epochs=50, accelerator="cpu", check_val_every_n_epoch=1, plan_kwargs=plan, **QUIET)
    latent = model.get_latent_representation()
    table = model.differential_expression(groupby="label", mode="change", silent=True, **GROUPS).loc[adata.var_names]
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
        again = scvi.model.SCVI.load(f"{folder}/model", adata).get_latent_representation()
    curves = {f"elbo_{name}": model.history[f"elbo_{name}"].iloc[:, 0].to_numpy(dtype=np.float32) for name in
              ("train", "validation")}  # fmt: skip
    packages = ("scvi-tools", "torch", "anndata", "lightning")
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    np.savez_compressed(
        TARGET,
        **curves,
        latent=latent.astype(np.float32),
        genes=np.array(adata.var_names, dtype=str),
        lfc=table["lfc_mean"].to_numpy(dtype=np.float32),
        prob_de=table["proba_de"].to_numpy(dtype=np.float32),
        loaded=np.abs(latent - again).max(),
        versions=json.dumps(versions),
    )
    print(versions, {name: curve[[0, -1]] for name, curve in curves.items()}, table.head(3))


if __name__ == "__main__":
    main()
