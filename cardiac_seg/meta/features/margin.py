"""Each member's largest probability minus the second."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet


def names(features: FeatureSet) -> list[str]:
    """One column per member."""
    return list(features.members)


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, members)."""
    ordered = np.partition(case.chosen, -2, axis=-1)
    return (ordered[..., -1] - ordered[..., -2]).T
