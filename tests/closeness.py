"""How closely two float32 computations of the same numbers can agree."""

import numpy as np
from numpy.typing import ArrayLike


def assert_close(actual: ArrayLike, expected: ArrayLike, tolerance: float = 1e-5, what: str = "") -> None:
    """Compare absolutely, and relatively where a value exceeds 1, since a float32 has only about seven digits."""
    actual, expected = (np.asarray(array, dtype=np.float64) for array in (actual, expected))
    assert actual.shape == expected.shape, what
    error = np.abs(actual - expected) / np.maximum(1, np.abs(expected))
    assert (error <= tolerance).all(), f"{what} differs by up to {error.max():.3g}, more than {tolerance}"
