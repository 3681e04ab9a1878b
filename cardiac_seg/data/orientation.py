"""The canonical frame: (slices, height, width), slices from base to apex, as on a viewer's screen.

A stored volume may have its axes in any order and direction, if its affine says so. What is read
is brought into one frame by axis permutations and flips, what is written is turned back; no value
changes.
"""

from dataclasses import dataclass

import numpy as np

# Where slices, rows and columns go, in the order of the canonical axes (RAS, mm). A short-axis
# image shows the patient from the feet: columns run to the left, rows backwards and down; the
# apex lies to the left of, before and below the base.
PATIENT_FRAME = np.array([[-1.0, 1, -1], [0, -1, -1], [-1, 0, 0]]) / np.sqrt([[3.0], [2.0], [1.0]])
# An axis-aligned affine holds no directions of a short-axis stack, which is always oblique: files
# that only know their spacing have one. Its axes are taken by name: x columns, y rows, z slices.
# The small parts decide for axes that do not go where their names say.
NOMINAL_FRAME = np.eye(3)[::-1] + np.array([[2, 1, 0], [1, 0, 2], [0, 2, 1]]) / 1000
WHOLE_AXIS_TOLERANCE = 1e-3  # how far from 0 or 1 the directions of such an affine may be
MIN_SLICE_TO_PIXEL_RATIO = 1.5  # of distances; below it the affine says which axis is the slices'


@dataclass(frozen=True)
class Orientation:
    """How a stored (x, y, z) array lies in the canonical frame.

    Attributes:
        order: The stored axis of the slices, the rows' direction and the columns' direction.
        flipped: Whether each of these runs against the canonical direction.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def to_canonical(self, stored: np.ndarray) -> np.ndarray:
        """A stored (x, y, z, ...) array as (slices, height, width, ...); a view."""
        channels = range(3, stored.ndim)
        return np.flip(stored.transpose(*self.order, *channels), self._axes())

    def to_stored(self, planes: np.ndarray) -> np.ndarray:
        """The way back; a view."""
        channels = range(3, planes.ndim)
        return np.flip(planes, self._axes()).transpose(*np.argsort(self.order), *channels)

    def _axes(self) -> tuple[int, ...]:
        return tuple(axis for axis, flip in enumerate(self.flipped) if flip)


AS_STORED = Orientation((2, 1, 0), (False, False, False))


def find_orientation(
    affine: np.ndarray, spacing: tuple[float, float, float], shape: tuple[int, int, int]
) -> Orientation:
    """How a stored volume lies in the canonical frame, from its header.

    The slice axis is the only one with a single voxel, or the one with clearly the largest
    spacing, or else the one that lies closest to the frame's. Of the others, columns are the one
    that lies closest to the frame's columns.

    Args:
        affine: (4, 4) of the voxel (x, y, z), RAS in mm.
        spacing: (x, y, z) in mm.
        shape: (x, y, z) in voxels.

    Returns:
        The orientation; `AS_STORED` where the affine has no three directions.
    """
    if not np.isfinite(affine).all() or not affine[:3, :3].any(axis=0).all():
        return AS_STORED
    directions = _directions(affine)
    frame = NOMINAL_FRAME if is_nominal(affine) else PATIENT_FRAME
    along = directions @ frame.T  # stored axis, canonical axis
    coarse = np.argsort(spacing)
    if shape.count(1) == 1:
        slices = shape.index(1)
    elif spacing[coarse[2]] > MIN_SLICE_TO_PIXEL_RATIO * spacing[coarse[1]]:
        slices = int(coarse[2])
    else:
        slices = int(np.abs(along[:, 0]).argmax())
    first, second = (axis for axis in range(3) if axis != slices)
    swap = abs(along[first, 2]) < abs(along[second, 2])
    order = (slices, first, second) if swap else (slices, second, first)
    against = [bool(along[axis, k] < 0) for k, axis in enumerate(order)]
    return Orientation(order, (against[0], against[1], against[2]))


def is_nominal(affine: np.ndarray) -> bool:
    """Whether an affine is axis-aligned, as no short-axis stack in a patient is."""
    size = np.abs(_directions(affine))
    return bool(np.all((size < WHOLE_AXIS_TOLERANCE) | (size > 1 - WHOLE_AXIS_TOLERANCE)))


def _directions(affine: np.ndarray) -> np.ndarray:
    """(3, 3): for each stored axis, where it goes, of length 1."""
    return (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T
