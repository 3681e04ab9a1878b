"""Each structure's area along the stack: the heart's taper tells where base and apex end."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet, areas_cm2

NEEDS_STACK = True


def names(features: FeatureSet) -> list[str]:
    """Four columns per structure."""
    what = ("cm2", "cm2 before", "cm2 after", "share of largest")
    return [f"{c} {which}" for which in what for c in features.classes[1:]]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 4 * structures): areas in the mean's mask, alike for all pixels of a slice.

    On this slice, the one before and the one after (the outermost slice stands in for those
    beyond it) in cm2, and as a share of the structure's largest slice; 0 where there is none.
    """
    areas = areas_cm2(case.mean, case.image.grid.spacing)
    share = areas / np.maximum(areas.max(0), np.finfo(np.float32).tiny)
    before, after = np.concatenate([areas[:1], areas[:-1]]), np.concatenate([areas[1:], areas[-1:]])
    return np.concatenate([areas, before, after, share], axis=1)[np.nonzero(case.pixels)[0]]
