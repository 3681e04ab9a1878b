"""The mean's probabilities around the pixel, smoothed in the plane."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet
from cardiac_seg.meta.features.smoothing import smoothed


def names(features: FeatureSet) -> list[str]:
    """One column per Gaussian and class."""
    return [f"{c} {s:g} mm" for s in features.context_mm for c in features.classes]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, Gaussians * classes); the Gaussians' sigmas are in mm."""
    spacing = case.image.grid.spacing
    blocks = [smoothed(case.mean, s, spacing)[case.pixels] for s in case.features.context_mm]
    return np.concatenate(blocks, axis=1)
