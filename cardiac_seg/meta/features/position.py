"""Where the pixel lies relative to the left ventricle, in units of its spread."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet


def names(features: FeatureSet) -> list[str]:
    """Two columns; none where the label set has no LV cavity."""
    return [] if features.lv is None else ["down", "right"]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 2): rows and columns from the LV's centre of mass, over its spread.

    Both in mm, by the mean's probabilities over all slices; the spread is the root mean square
    distance from the centre in the plane. NaN where the mean sees no LV.
    """
    lv = case.features.lv
    if lv is None:
        return np.zeros((np.count_nonzero(case.pixels), 0), np.float32)
    weights = np.where(case.mean.argmax(-1) == lv, case.mean[..., lv], 0).sum(0, dtype=np.float64)
    total = weights.sum()
    _, rows, columns = np.nonzero(case.pixels)
    if not total:
        return np.full((len(rows), 2), np.nan, np.float32)
    spread, places = 0.0, []
    for axis, (at, step) in enumerate(zip((rows, columns), case.image.grid.spacing, strict=True)):
        along = weights.sum(1 - axis)
        mm = np.arange(len(along)) * step
        centre = along @ mm / total
        spread += along @ (mm - centre) ** 2 / total
        places.append(at * step - centre)
    return np.stack(places, axis=1) / max(np.sqrt(spread), min(case.image.grid.spacing))
