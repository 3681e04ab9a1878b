"""Each structure's area in this image, the patient's other phase and the other view."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet, areas_cm2

NEEDS_PLANE = True  # stacks have `profile`
USES_COMPANIONS = True


def names(features: FeatureSet) -> list[str]:
    """Three columns per structure."""
    images = ("", " other phase", " other view")
    return [f"{c} cm2{image}" for image in images for c in features.classes[1:]]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 3 * structures): areas in the means' masks in cm2; NaN for an image not there."""
    beside, absent = case.beside, np.full(len(case.features.classes) - 1, np.nan, np.float32)
    areas = [areas_cm2(case.mean, case.image.grid.spacing)[0]]
    for other in (beside.other_phase, beside.other_view):
        areas.append(absent if other is None else areas_cm2(other.mean, other.grid.spacing)[0])
    return np.tile(np.concatenate(areas), (int(case.pixels.sum()), 1))
