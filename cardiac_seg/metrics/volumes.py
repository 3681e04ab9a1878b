"""Volumes of masks in mL."""

import numpy as np

DENSITY = 1.05  # of myocardium, g/mL


def volume_ml(mask: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Volume of a mask in mL: its voxels, so slices times their distance.

    Args:
        mask: (slices, height, width) bool, on the native grid.
        spacing: (slice, row, column) distance in mm.

    Raises:
        ValueError: If the mask is not three-dimensional bool or a distance is not positive.
    """
    if mask.ndim != 3 or mask.dtype != bool:
        raise ValueError(f"mask of shape {mask.shape}, {mask.dtype}; expected three axes of bool")
    check_spacing(spacing, 3)
    return float(np.count_nonzero(mask) * np.prod(spacing) / 1000)


def check_spacing(spacing: tuple[float, ...], axes: int) -> None:
    if len(spacing) != axes or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"spacing {spacing}; expected {axes} positive distances in mm")
