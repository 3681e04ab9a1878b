"""Distance to the boundary between structures, and the band around it."""

import numpy as np
from scipy.ndimage import distance_transform_edt

BAND_MM = 5.0  # to either side of the reference boundary


def boundary_distance(label: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """In-plane distance in mm to the nearest pixel at a boundary between two classes.

    Args:
        label: (slices, height, width) integers.
        spacing: (row, column) distance in mm.

    Returns:
        (slices, height, width) float64; 0 at pixels that touch another class in their row or
        column, infinite in slices of one class.
    """
    edges = at_boundary(label)
    distance = np.full(label.shape, np.inf)
    for i in np.flatnonzero(edges.any(axis=(1, 2))):
        distance[i] = distance_transform_edt(~edges[i], sampling=spacing)
    return distance


def at_boundary(label: np.ndarray) -> np.ndarray:
    """The pixels that touch another class in their row or column, on both sides.

    Args:
        label: (slices, height, width) integers.

    Returns:
        (slices, height, width) bool.
    """
    edges = np.zeros(label.shape, bool)
    for axis in (1, 2):
        differs = np.diff(label.astype(np.int16), axis=axis) != 0
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edges[tuple(before)] |= differs
        edges[tuple(after)] |= differs
    return edges
