"""Thresholds of float64 for features of float32."""

import numpy as np


def not_above(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 that is at most each float64: the same float32 are at most it."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
