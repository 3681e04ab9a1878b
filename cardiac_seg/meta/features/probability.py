"""Each member's class probabilities."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet


def names(features: FeatureSet) -> list[str]:
    """One column per member and class."""
    return [f"{m} {c}" for m in features.members for c in features.classes]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, members * classes)."""
    return np.concatenate(list(case.chosen), axis=1)
