"""Where the slice lies in the stack, and what the mean says on its neighbours."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet

NEEDS_STACK = True  # single images have no neighbours


def names(features: FeatureSet) -> list[str]:
    """The position, and one column per side and class."""
    return ["position", *(f"{side} {c}" for side in ("before", "after") for c in features.classes)]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 1 + 2 * classes): position from 0 (first, basal) to 1 (last, apical), and the mean.

    The outermost slices stand in for the neighbour they lack.
    """
    count = len(case.mean)
    position = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
    index = np.nonzero(case.pixels)
    before, after = np.maximum(index[0] - 1, 0), np.minimum(index[0] + 1, count - 1)
    neighbours = [case.mean[(beside, *index[1:])] for beside in (before, after)]
    return np.concatenate([position[index[0]][:, None], *neighbours], axis=1)
