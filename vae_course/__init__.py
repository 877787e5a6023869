"""vae_course: from a count matrix to a scVI-style variational autoencoder.

Names are imported when they are first used, so `import vae_course` itself takes no time.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_NAMES = {
    "binary_vae": ["BinaryVAE"],
    "data": ["CountData", "load_digits", "load_pbmc"],
    "early_stopping": ["EarlyStopping"],
    "fast": ["FastVAE"],
    "files": ["load_counts", "load_h5ad"],
    "mapping": ["add_batches"],
    "posterior": ["Posterior"],
    "simulate": ["load_two_batches", "simulate_counts", "simulate_noise"],
    "trainer": ["Trainer", "UnsupervisedTrainer"],
    "vae": ["VAE"],
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = [*_NAMES, "differential", "distributions", "exercises", "explore", "imputation", "metrics", "model", "nn"]
_MODULES += ["genes", "moments", "names", "plots", "reading", "scvi_tools"]

__all__ = [*_MODULE_OF, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"vae_course.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"vae_course.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'vae_course' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
