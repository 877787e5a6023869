"""Small figures that can be touched: in a notebook, on the site, or as a file that needs nothing else.

>>> from vae_course import explore
>>> explore.kl().save("kl.html")  # doctest: +SKIP
"""

from vae_course.explore.figures import (
    batch_norm,
    batches,
    beta,
    counts,
    descent,
    elbo,
    kl,
    pca,
    posterior,
    reparameterization,
)
from vae_course.explore.latent import model
from vae_course.explore.page import Explorable
from vae_course.explore.walk import walk

__all__ = [
    "Explorable",
    "batch_norm",
    "batches",
    "beta",
    "counts",
    "descent",
    "elbo",
    "kl",
    "model",
    "pca",
    "posterior",
    "reparameterization",
    "walk",
]
