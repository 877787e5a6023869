"""Small figures that can be touched: in a notebook, on the site, or as a file that needs nothing else.

>>> from vae_course import explore
>>> explore.kl().save("kl.html")  # doctest: +SKIP
"""

from vae_course.explore.page import Explorable

__all__ = ["Explorable", "kl"]


def kl() -> Explorable:
    """Pull a Gaussian q over a density p of one or two bells; both KL divergences follow, in nats (lesson 1)."""
    alt = (
        "A density p with two bells of different height, and a Gaussian q between them; below, KL(q, p) = 0.90 nats "
        "and KL(p, q) = 0.64 nats."
    )
    return Explorable("kl", "Pull q over p", alt, height=730)
