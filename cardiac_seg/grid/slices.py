"""Out of the plane: a stack's slices at another distance, apart from the resampling in plane.

Short-axis slices lie three to ten times as far apart as pixels, so that nothing between two of them
can be told from their pixels. As nnU-Net does with such voxels, images and labels get the nearest
slice and keep its sharpness (Isensee et al. 2021, "anisotropic resampling"). Positions follow
`grid.resample`: the outer edges of the first and last slice coincide before and after.
"""

import numpy as np

from cardiac_seg.system.errors import UserError

MAX_TIMES = 8  # more slices than the file has: 40 mm apart and brought to 5, which no stack is


def slice_count(slices: int, spacing: float, wanted: float | None) -> int:
    """The number of slices at another distance.

    Args:
        slices: Number of slices.
        spacing: Their distance in mm.
        wanted: The distance in mm that is wanted; None keeps the slices as they are.

    Raises:
        UserError: If they are so far apart that next to nothing of the stack would be seen.
    """
    if wanted is None:
        return slices
    if not spacing <= MAX_TIMES * wanted:
        raise UserError(
            f"slices {spacing:g} mm apart: the network sees slices at {wanted:g} mm and takes "
            f"{MAX_TIMES * wanted:g} mm at most; check the file's spacing"
        )
    return max(1, round(slices * spacing / wanted))


def nearest_slices(slices: int, count: int) -> np.ndarray:
    """(count,) integers: the slice that lies nearest to each of `count` in the same extent."""
    return np.minimum(((np.arange(count) + 0.5) * slices / count).astype(int), slices - 1)


def maps_of_slices(maps: np.ndarray, count: int) -> np.ndarray:
    """Brings softmax maps to another number of slices: the way back of `nearest_slices`.

    Args:
        maps: (slices, height, width, classes) floats.
        count: Of slices.

    Returns:
        (count, height, width, classes) of the same dtype. The mean of those that a slice covers,
        each by its share, where there are fewer; linear between the middles where there are more.
    """
    slices = len(maps)
    if count == slices:
        return maps
    weights = _covered(slices, count) if count < slices else _between(slices, count)
    return np.tensordot(weights.astype(maps.dtype), maps, 1)


def _covered(slices: int, count: int) -> np.ndarray:
    """(count, slices): how much of each new slice lies in each old one; rows sum to 1."""
    edges = np.arange(count + 1) * slices / count
    old = np.arange(slices)
    shared = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.maximum(shared, 0) * count / slices


def _between(slices: int, count: int) -> np.ndarray:
    """(count, slices): weights of the two old slices beside each new one; rows sum to 1."""
    middle = np.clip((np.arange(count) + 0.5) * slices / count - 0.5, 0, slices - 1)
    return np.maximum(0, 1 - np.abs(middle[:, None] - np.arange(slices)))
