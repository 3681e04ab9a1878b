"""Each member's largest probability."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet


def names(features: FeatureSet) -> list[str]:
    """One column per member."""
    return list(features.members)


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, members)."""
    return case.chosen.max(-1).T
