"""What the mean says around the pixel on the two slices before and the two after."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet
from cardiac_seg.meta.features.smoothing import smoothed

NEEDS_STACK = True  # single images have no neighbours
STEPS = (-2, -1, 1, 2)  # slices
SIGMA_MM = 5.0  # in the plane: hearts move and taper from slice to slice


def names(features: FeatureSet) -> list[str]:
    """One column per slice and class."""
    return [f"z{step:+d} {c}" for step in STEPS for c in features.classes]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 4 * classes): the mean, smoothed by 5 mm.

    The outermost slice stands in for those beyond it.
    """
    smooth = smoothed(case.mean, SIGMA_MM, case.image.grid.spacing)
    slices, *places = np.nonzero(case.pixels)
    last = len(smooth) - 1
    blocks = [smooth[(np.clip(slices + step, 0, last), *places)] for step in STEPS]
    return np.concatenate(blocks, axis=1)
