"""A trained model as plain data, for a page, and back."""

import base64
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.binary_vae import BinaryVAE
from vae_course.distributions import bernoulli_log_prob, kl_standard_normal, scvi_kl
from vae_course.nn import FCLayers
from vae_course.runtime.seeds import seeded
from vae_course.vae import VAE

REFERENCE_EPS = (0.5, -1.0)  # the noise of the draws that page and PyTorch both make


class DeepBinaryVAE(BinaryVAE):
    """A BinaryVAE whose encoder has `n_encoder_layers` hidden layers."""

    def __init__(
        self, n_input: int, n_latent: int = 2, n_hidden: int = 128, n_encoder_layers: int = 2, seed: int = 0
    ) -> None:
        super().__init__(n_input, n_latent, n_hidden, seed)
        self.options["n_encoder_layers"] = n_encoder_layers
        with seeded(seed):
            self.encoder = FCLayers(n_input, n_hidden, n_layers=n_encoder_layers, n_hidden=n_hidden)


def twin(model: nn.Module) -> BinaryVAE | VAE:
    """Return the package's own model with the weights of another, in eval mode on the CPU.

    A `BinaryVAE` that a learner wrote in a notebook has the package's parameter names, and is taken for the package's.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if isinstance(model, BinaryVAE | VAE):
        return deepcopy(model).cpu().eval()
    try:
        heads = model.mean_encoder, model.logits_decoder
        own = BinaryVAE(heads[1].out_features, n_latent=heads[0].out_features, n_hidden=heads[1].in_features)
        own.load_state_dict(model.state_dict())
    except (AttributeError, RuntimeError) as error:
        kind = type(model).__name__
        raise ValueError(f"Expected a BinaryVAE or a VAE with the package's parameter names, got {kind}.") from error
    return own.eval()


def exported(model: BinaryVAE | VAE, beta: float | None = None) -> dict[str, Any]:
    """Return kind, options and the float32 weights under their own names, but for those that are never used."""
    weights = {
        name: {"shape": list(tensor.shape), "data": encoded(tensor.cpu().numpy())}
        for name, tensor in model.state_dict().items()
        if "px_r_decoder" not in name and "num_batches_tracked" not in name
    }
    kind = "BinaryVAE" if isinstance(model, BinaryVAE) else "VAE"
    return {"beta": beta, "kind": kind, "options": model.options, "weights": weights}


def restored(stored: dict[str, Any]) -> BinaryVAE | VAE:
    """Return the model that was exported."""
    kinds = {"BinaryVAE": DeepBinaryVAE if "n_encoder_layers" in stored["options"] else BinaryVAE, "VAE": VAE}
    model = kinds[stored["kind"]](**stored["options"])
    weights = {
        name: torch.from_numpy(np.frombuffer(base64.b64decode(part["data"]), "<f4").reshape(part["shape"]).copy())
        for name, part in stored["weights"].items()
    }
    model.load_state_dict(weights, strict=False)
    return model.eval()


@torch.no_grad()
def reference(model: BinaryVAE | VAE, x: Tensor, index: int) -> dict[str, Any]:
    """Return what PyTorch computes in float32 for one input, with the library at its mean."""
    x, eps = x[[index]], torch.tensor(REFERENCE_EPS)
    if isinstance(model, BinaryVAE):
        mean, logvar = model.encode(x)
        logits = model.decode(mean + torch.exp(0.5 * logvar) * eps)
        log_likelihood = bernoulli_log_prob(x, logits).double().sum()
        values = {"mean": mean, "var": logvar.exp(), "output": torch.sigmoid(logits)}
        values["kl"] = kl_standard_normal(mean, logvar)
    else:
        inferred = model.inference(x)
        mean, var, library = inferred["qz_m"], inferred["qz_v"], inferred["ql_m"]
        px_scale, _, px_rate, px_dropout = model.decoder("gene", mean + torch.sqrt(var) * eps, library)
        log_likelihood = model.log_likelihood(x, px_rate, inferred["px_r"], px_dropout).double().sum()
        prior = model.library_log_means, model.library_log_vars
        kl_library, kl = scvi_kl(mean, var, library, inferred["ql_v"], *prior)
        values = {"mean": mean, "var": var, "output": px_scale, "kl": kl, "kl_library": kl_library}
    values["reconstruction"] = -log_likelihood
    return {"index": index, "eps": REFERENCE_EPS} | {name: value.flatten().tolist() for name, value in values.items()}


def encoded(array: np.ndarray) -> str:
    """Return the bytes of an array in base64, fractions as float32."""
    array = array.astype("<f4") if array.dtype.kind == "f" else array
    return base64.b64encode(array.tobytes()).decode()
