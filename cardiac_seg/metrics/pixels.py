"""Sums over pixels from which calibration, ROC curves and tables of changes are made.

Those of several cases add up, so that a run keeps one set of sums per patient.
"""

from dataclasses import dataclass

import numpy as np

from cardiac_seg.metrics.boundary import BAND_MM, boundary_distance
from cardiac_seg.metrics.calibration import BINS, count_calibration
from cardiac_seg.metrics.roc import ROC_BINS, probability_bins

DISTANCES_MM = (0.0, 2.0, 4.0, 6.0, 10.0, np.inf)  # of changed pixels to the reference boundary
AREAS = ("image", "band")
OUTCOMES = ("better", "worse", "neither")


@dataclass(frozen=True)
class PixelSums:
    """Sums over pixels of the network grid; the first axis is the method.

    Attributes:
        bins: (methods, areas, BINS, 3) pixels, summed confidence and right pixels.
        brier: (methods, areas) summed squared errors of the probabilities.
        ranked: (methods, classes, 2, ROC_BINS) pixels by probability of the class; first of the
            others, then of the class.
        changes: (methods, distances, outcomes) pixels whose class the method changes.
    """

    bins: np.ndarray
    brier: np.ndarray
    ranked: np.ndarray
    changes: np.ndarray

    @classmethod
    def zeros(cls, methods: int, classes: int) -> "PixelSums":
        """Sums of no pixel."""
        return cls(
            bins=np.zeros((methods, len(AREAS), BINS, 3)),
            brier=np.zeros((methods, len(AREAS))),
            ranked=np.zeros((methods, classes, 2, ROC_BINS), np.int64),
            changes=np.zeros((methods, len(DISTANCES_MM) - 1, len(OUTCOMES)), np.int64),
        )

    def add(
        self,
        probabilities: list[np.ndarray],
        control: np.ndarray,
        label: np.ndarray,
        spacing: tuple[float, float],
    ) -> None:
        """Adds a case.

        Args:
            probabilities: Of each method, (slices, height, width, classes) float32.
            control: Probabilities of the method that changes are counted against.
            label: (slices, height, width) reference labels.
            spacing: (row, column) of the network grid in mm.
        """
        distance = boundary_distance(label, spacing)
        areas = (np.ones(label.shape, bool), distance <= BAND_MM)
        classes = control.shape[-1]
        truth = np.eye(classes, dtype=np.float32)[label]
        ring = np.digitize(distance, DISTANCES_MM[1:-1])
        before = control.argmax(-1)
        for i, values in enumerate(probabilities):
            errors = ((values - truth) ** 2).sum(-1, dtype=np.float64)
            for k, area in enumerate(areas):
                self.bins[i, k] += count_calibration(values[area], label[area])["bins"]
                self.brier[i, k] += errors[area].sum()
            steps = probability_bins(values)
            for c in range(classes):
                index = (label == c) * ROC_BINS + steps[..., c]
                counts = np.bincount(index.ravel(), minlength=2 * ROC_BINS)
                self.ranked[i, c] += counts.reshape(2, ROC_BINS)
            self.changes[i] += count_outcomes(values.argmax(-1), before, label, ring)


def count_outcomes(
    mask: np.ndarray, before: np.ndarray, label: np.ndarray, ring: np.ndarray
) -> np.ndarray:
    """Pixels whose class differs from the one before, by ring of distance and outcome.

    Args:
        mask, before, label: Classes of one shape: now, before and true.
        ring: The ring of `DISTANCES_MM` that each pixel lies in.

    Returns:
        (distances, outcomes) int64.
    """
    outcome = np.where(mask == label, 0, np.where(before == label, 1, 2))
    changed = mask != before
    index = ring[changed] * len(OUTCOMES) + outcome[changed]
    shape = len(DISTANCES_MM) - 1, len(OUTCOMES)
    return np.bincount(index, minlength=shape[0] * shape[1]).reshape(shape)
