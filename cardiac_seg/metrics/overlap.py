"""Dice, counted once for training, evaluation and analysis."""

import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray, labels: int) -> np.ndarray:
    """Counts pixels by true and predicted label.

    Args:
        truth, prediction: Integer arrays of one shape, values 0 .. labels - 1.
        labels: Number of classes, background included.

    Returns:
        (labels, labels) int64; rows are the truth.

    Raises:
        ValueError: If the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    index = truth.ravel().astype(np.int64) * labels + prediction.ravel()
    return np.bincount(index, minlength=labels**2).reshape(labels, labels)


def dice_from_confusion(counts: np.ndarray) -> np.ndarray:
    """Dice of every class.

    Args:
        counts: (labels, labels) pixel counts, rows the truth.

    Returns:
        (labels,) float64. 0 where one of the two masks is empty, NaN where both are.
    """
    overlap = np.diag(counts).astype(np.float64)
    total = (counts.sum(axis=0) + counts.sum(axis=1)).astype(np.float64)
    return np.divide(2 * overlap, total, out=np.full(len(counts), np.nan), where=total > 0)


def accuracy_from_confusion(counts: np.ndarray) -> float:
    """Share of pixels with the right label."""
    return float(np.trace(counts) / counts.sum())
