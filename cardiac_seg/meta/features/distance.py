"""Signed distance to each structure's boundary in the mean's mask."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet

MAX_MM = 20.0  # distances are cut here; also the value where a structure is absent


def names(features: FeatureSet) -> list[str]:
    """One column per structure."""
    return [f"{c} mm" for c in features.classes[1:]]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, structures): mm to the nearest pixel across the boundary in plane, inside > 0."""
    mask = case.mean.argmax(-1)
    columns = []
    for label in range(1, len(case.features.classes)):
        planes = [_signed_distance(plane == label, case.image.grid.spacing) for plane in mask]
        columns.append(np.stack(planes)[case.pixels])
    return np.stack(columns, axis=1)


def _signed_distance(inside: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    if inside.all() or not inside.any():
        return np.full(inside.shape, MAX_MM if inside.any() else -MAX_MM, np.float32)
    signed = distance_transform_edt(inside, spacing) - distance_transform_edt(~inside, spacing)
    return np.clip(signed, -MAX_MM, MAX_MM).astype(np.float32)
