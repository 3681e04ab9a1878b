"""How far the members disagree."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet
from cardiac_seg.metrics.calibration import entropy


def names(features: FeatureSet) -> list[str]:
    """One column."""
    return ["Jensen-Shannon"]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 1): Jensen-Shannon divergence over log M, from 0 (agreement) to 1 (Lin 1991)."""
    divergence = entropy(case.chosen.mean(0)) - entropy(case.chosen).mean(0)
    return (np.maximum(divergence, 0) / np.log(len(case.chosen)))[:, None]
