"""Make vae_course/_data/scvi_tools_1_4_2.npz: what scvi-tools computes from given weights and counts (see README.md).

    pip install "scvi-tools==1.4.2" && python data/record_scvi_tools.py

The weights are random numbers and the counts are simulated, so nothing in the file is anybody's data. With it the tests
compare the package with scvi-tools where scvi-tools is not installed. Arrays of a case are named `<case>.<what>`:

options                  JSON: the arguments of `vae_course.VAE`
names, shapes, weights   the state dict, all tensors one after the other in float32
px_scale ... library     scVI's ten outputs at one draw of z and l, (cells, ...), theta in place of px_r
kl_global, kl_local      nats per cell, (cells,)
log_likelihood           log p(x|z, l) of scvi-tools' outputs, evaluated in float64, nats per cell, (cells,)
log_likelihood_float32   the same as scvi-tools itself computes it, less exactly
"""

import json
import logging
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy.special import gammaln, log_expit

import vae_course as vc

TARGET = Path(__file__).parents[1] / "vae_course" / "_data" / "scvi_tools_1_4_2.npz"
SIZES = {"n_hidden": 8, "n_latent": 2}
CASES = {
    "gene": {"likelihood": "zinb", "library": "latent", "n_layers": 1, "var_eps": 1e-4},
    "gene-batch": {"likelihood": "nb", "library": "observed", "n_layers": 1, "var_eps": 1e-4},
    "gene-label": {"likelihood": "zinb", "library": "latent", "n_layers": 2, "var_eps": 0.0},
    "gene-cell": {"likelihood": "nb", "library": "latent", "n_layers": 2, "var_eps": 1e-4},
}


def build(adata, dispersion: str, likelihood: str, library: str, n_layers: int, var_eps: float) -> torch.nn.Module:
    """Return scvi-tools' module, in evaluation mode."""
    from scvi.model import SCVI

    model = SCVI(
        adata,
        dispersion=dispersion,
        gene_likelihood=likelihood,
        use_observed_lib_size=library == "observed",
        n_layers=n_layers,
        extra_encoder_kwargs={"var_eps": var_eps},
        **SIZES,
    )
    return model.module.eval()


@torch.no_grad()
def randomise(module: torch.nn.Module) -> None:
    """Replace all weights and running statistics, those too that start as zeros and ones."""
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif name.endswith(("running_var", "library_log_vars")):
            tensor.uniform_(0.5, 2.0)
        else:
            tensor.normal_(0.0, 0.3)
    for name, tensor in module.named_buffers():
        if name == "library_log_means":
            tensor.add_(np.log(200))
    module.l_encoder.mean_encoder.bias.add_(np.log(200))


def exact_log_likelihood(x, mu, theta, zi_logits) -> np.ndarray:
    """Sum over genes of log NB, or of log ZINB if there are zi_logits, in float64, (cells,)."""
    x, mu, theta = (np.asarray(t, dtype=np.float64) for t in (x, mu, theta))
    log_prob = gammaln(x + theta) - gammaln(theta) - gammaln(x + 1)
    log_prob += theta * np.log(theta / (theta + mu)) + x * np.log(mu / (theta + mu))
    if zi_logits is not None:
        zi_logits = np.asarray(zi_logits, dtype=np.float64)
        log_prob = log_expit(-zi_logits) + log_prob
        log_prob = np.where(x == 0, np.logaddexp(log_expit(zi_logits), log_prob), log_prob)
    return log_prob.sum(axis=1)


@torch.no_grad()
def outputs(module: torch.nn.Module, x, batch_index, labels) -> dict[str, np.ndarray]:
    """Run scvi-tools' module once and collect what it computes, under the names of `VAE.inference`."""
    inferred, generated, loss = module({"X": x, "batch": batch_index, "labels": labels})
    z, library, px = inferred["z"], inferred["library"], generated["px"]
    ql_m, ql_v = (inferred["ql"].loc, inferred["ql"].scale ** 2) if inferred["ql"] else (library, 0 * library)
    zi_logits = getattr(px, "zi_logits", None)
    return {
        "px_scale": px.scale.numpy(),
        "theta": px.theta.numpy(),
        "px_rate": px.mu.numpy(),
        "px_dropout": module.decoder(module.dispersion, z, library, batch_index)[3].numpy(),
        "qz_m": inferred["qz"].loc.numpy(),
        "qz_v": (inferred["qz"].scale ** 2).numpy(),
        "z": z.numpy(),
        "ql_m": ql_m.numpy(),
        "ql_v": ql_v.numpy(),
        "library": library.numpy(),
        "kl_global": loss.kl_local["kl_divergence_z"].numpy(),
        "kl_local": loss.kl_local["kl_divergence_l"].numpy(),
        "log_likelihood": exact_log_likelihood(x, px.mu, px.theta, zi_logits),
        "log_likelihood_float32": px.log_prob(x).sum(dim=-1).numpy(),
    }


def record(adata, data: vc.CountData, dispersion: str, options: dict) -> dict[str, np.ndarray]:
    """Return all arrays of one case."""
    module = build(adata, dispersion, **options)
    randomise(module)
    weights = module.state_dict()
    sizes = {"n_input": data.n_genes, "n_batch": data.n_batches, "n_labels": data.n_labels, **SIZES}
    return {
        "options": np.array(json.dumps({**sizes, "dispersion": dispersion, **options})),
        "names": np.array(list(weights)),
        "shapes": np.array([json.dumps(list(tensor.shape)) for tensor in weights.values()]),
        "weights": torch.cat([tensor.float().flatten() for tensor in weights.values()]).numpy(),
        **outputs(module, *data.minibatch(np.arange(data.n_cells))),
    }


def main() -> None:
    from scvi.model import SCVI

    warnings.filterwarnings("ignore")
    logging.getLogger("scvi").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = vc.simulate_counts(12, 20, n_labels=3, n_batches=3, mean_library=200, seed=0)
    adata = data.to_anndata()
    SCVI.setup_anndata(adata, batch_key="batch", labels_key="label")
    packages = ("scvi-tools", "torch", "numpy", "scipy", "anndata")
    versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    arrays = {
        "versions": np.array(json.dumps(versions)),
        "counts": data.counts.toarray().astype(np.uint16),
        "batch_index": data.batch_index,
        "labels": data.labels,
    }
    for dispersion, options in CASES.items():
        case = record(adata, data, dispersion, options)
        arrays |= {f"{dispersion}.{name}": array for name, array in case.items()}
        difference = np.abs(case["log_likelihood"] - case["log_likelihood_float32"]).max()
        print(f"{dispersion}: scvi-tools' own log-likelihood is off by at most {difference:.1e} nats a cell")
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET.name}: {len(CASES)} cases, {TARGET.stat().st_size / 1000:.0f} kB, {versions}")


if __name__ == "__main__":
    main()
