"""The image's z-score over the case, whatever the members were given."""

import numpy as np

from cardiac_seg.grid.resample import normalize
from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet


def names(features: FeatureSet) -> list[str]:
    """One column."""
    return ["z-score"]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 1)."""
    image = case.image
    return normalize(image.pixels[case.pixels], image.mean, image.std, "zscore")[:, None]
