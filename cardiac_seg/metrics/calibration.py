"""Calibration and entropy of probabilities."""

from typing import Any

import numpy as np


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Shannon entropy over the last axis in nats; 0 log 0 is 0."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return -(probabilities * logs).sum(-1)


def relative_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy over the last axis over log C: 0 certain, 1 all classes alike; float32."""
    return (entropy(probabilities) / np.log(probabilities.shape[-1])).astype(np.float32)


BINS = 15  # of confidence


def count_calibration(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, list[Any]]:
    """Sums from which calibration is computed; those of several cases add up.

    Args:
        probabilities: (pixels, classes) floats.
        labels: (pixels,) true classes.

    Returns:
        `bins`: for each bin of confidence pixels, summed confidence and right pixels;
        `predicted` and `observed`: for each class summed probability and pixels.
    """
    classes = probabilities.shape[-1]
    confidence = probabilities.max(-1).astype(np.float64)
    right = probabilities.argmax(-1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    sums = [np.bincount(bins, weights, BINS) for weights in (None, confidence, right)]
    return {
        "bins": np.stack(sums, axis=1).tolist(),
        "predicted": probabilities.sum(0, dtype=np.float64).tolist(),
        "observed": np.bincount(labels, minlength=classes).tolist(),
    }


def calibration_summary(counts: dict[str, list[Any]]) -> dict[str, Any]:
    """Expected calibration error (Guo et al. 2017) and how often each class came.

    Args:
        counts: Sums of `count_calibration`.

    Returns:
        `pixels`, `expected_calibration_error`, and each class's mean probability (`predicted`)
        beside its frequency (`observed`).
    """
    bins = np.array(counts["bins"])
    total = bins[:, 0].sum()
    share = max(total, 1)
    return {
        "pixels": int(total),
        "expected_calibration_error": float(np.abs(bins[:, 1] - bins[:, 2]).sum() / share),
        "predicted": [float(v / share) for v in counts["predicted"]],
        "observed": [float(v / share) for v in counts["observed"]],
    }
