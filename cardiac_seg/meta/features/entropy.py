"""Each member's entropy over log C: 0 certain, 1 uniform."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet
from cardiac_seg.metrics.calibration import relative_entropy


def names(features: FeatureSet) -> list[str]:
    """One column per member."""
    return list(features.members)


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, members)."""
    return relative_entropy(case.chosen).T
