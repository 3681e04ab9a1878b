"""What a perturbation is, and what the functions share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Spacing = tuple[float, float, float]
Perturbed = tuple[np.ndarray, np.ndarray, Spacing]
Apply = Callable[[np.ndarray, np.ndarray, Spacing, float, np.random.Generator], Perturbed]

NOT_COUNTED = 255  # label of pixels that a perturbation leaves without an image


@dataclass(frozen=True)
class Perturbation:
    """One way of changing a case, at several strengths.

    Attributes:
        name: In tables and figures.
        unit: Of the strength.
        strengths: Those that are tried; 0 would leave the case as it is.
        apply: (image, label, spacing, strength, rng) -> (image, label, spacing): (slices, height,
            width) float32 and uint8, and (slice, row, column) distances in mm. What is given is
            not changed.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Apply


def heart_box(label: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and the columns that hold a structure in any slice.

    Args:
        label: (slices, height, width); without any structure the middle of the frame counts.

    Returns:
        (first, last) row and (first, last) column, both included.
    """
    held = np.any(label > 0, axis=0)
    if not held.any():
        row, column = (n // 2 for n in held.shape)
        return (row, row), (column, column)
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))
