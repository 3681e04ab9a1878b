"""Sizes of structures: volumes in mL of stacks, areas in cm2 of planes."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cardiac_seg.anatomy import Anatomy

MYOCARDIAL_DENSITY = 1.05  # g/mL


def structure_size(pixels: int, spacing: tuple[float, float, float], ndim: Literal[2, 3]) -> float:
    """Size of so many pixels: their volume in mL, slices times their distance, or area in cm2.

    Args:
        pixels: Number of pixels in the mask.
        spacing: (slice, row, column) distance in mm.
        ndim: 3 for a volume, 2 for an area.

    Raises:
        ValueError: If a distance is not positive.
    """
    check_spacing(spacing, 3)
    if ndim == 3:
        return float(pixels * np.prod(spacing) / 1000)
    return float(pixels * (np.prod(spacing[1:]) / 100))


def structure_sizes(
    mask: npt.NDArray[np.integer[Any]],
    spacing: tuple[float, float, float],
    anatomy: Anatomy,
    ndim: Literal[2, 3],
) -> dict[str, float]:
    """Structure -> volume in mL or area in cm2, see `structure_size`.

    Args:
        mask: (slices, height, width) labels, on the native grid.
        spacing: (slice, row, column) distance in mm.
        anatomy: The label set.
        ndim: 3 for volumes, 2 for areas.
    """
    pixels = [int(np.count_nonzero(mask == k)) for k in range(1, len(anatomy.names) + 1)]
    sizes = [structure_size(held, spacing, ndim) for held in pixels]
    return dict(zip(anatomy.names, sizes, strict=True))


def volume_ml(mask: npt.NDArray[np.bool_], spacing: tuple[float, float, float]) -> float:
    """Volume of a mask in mL.

    Args:
        mask: (slices, height, width) bool, on the native grid.
        spacing: (slice, row, column) distance in mm.

    Raises:
        ValueError: If the mask is not three-dimensional bool or a distance is not positive.
    """
    if mask.ndim != 3 or mask.dtype != bool:
        raise ValueError(f"mask of shape {mask.shape}, {mask.dtype}; expected three axes of bool")
    return structure_size(int(np.count_nonzero(mask)), spacing, 3)


def check_spacing(spacing: tuple[float, ...], axes: int) -> None:
    """Refuses what is no spacing.

    Raises:
        ValueError: If it has not so many axes or a distance is not positive.
    """
    if len(spacing) != axes or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"spacing {spacing}; expected {axes} positive distances in mm")
