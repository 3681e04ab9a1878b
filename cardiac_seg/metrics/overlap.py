"""Dice, counted once for training, evaluation and analysis."""

import numpy as np
import numpy.typing as npt


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


def dice(overlap: npt.ArrayLike, truth: npt.ArrayLike, prediction: npt.ArrayLike) -> np.ndarray:
    """Dice, twice the overlap over both sizes: the one place that says so.

    Args:
        overlap: Pixels of both masks, any shape.
        truth, prediction: Pixels of each mask, of that shape.

    Returns:
        float64 of that shape: 0 where one of the masks is empty, NaN where both are.
    """
    total = np.add(truth, prediction, dtype=np.float64)
    undefined = np.full(total.shape, np.nan)
    return np.divide(np.multiply(2.0, overlap), total, out=undefined, where=total > 0)


def dice_from_confusion(counts: np.ndarray) -> np.ndarray:
    """Dice of every class.

    Args:
        counts: (labels, labels) pixel counts, rows the truth.

    Returns:
        (labels,) float64. 0 where one of the two masks is empty, NaN where both are.
    """
    return dice(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0))


def accuracy_from_confusion(counts: np.ndarray) -> float:
    """Share of pixels with the right label."""
    return float(np.trace(counts) / counts.sum())


REGIONS = ("base", "mid", "apex")


def overlap_metrics(counts: np.ndarray, label: int) -> dict[str, float]:
    """tp, fp, fn and what follows from them, of one label.

    Args:
        counts: (labels, labels) pixels, rows the truth.
        label: Which.

    Returns:
        `tp`, `fp`, `fn` (pixels), `dice`, `iou`, `precision`, `recall`: 0 where one of the masks
        is empty, except that precision (recall) is NaN where nothing is predicted (there); all
        NaN where both are.
    """
    tp = int(counts[label, label])
    fp, fn = int(counts[:, label].sum()) - tp, int(counts[label].sum()) - tp

    def share(part: float, whole: float) -> float:
        return part / whole if whole else np.nan

    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "dice": float(dice(tp, tp + fn, tp + fp)),
        "iou": share(tp, tp + fp + fn),
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
    }


def thirds(label: np.ndarray) -> dict[str, np.ndarray]:
    """The slices of base, mid and apex: thirds of those that hold a structure.

    Args:
        label: (slices, height, width) bool, slice 0 basal.

    Returns:
        Region -> slice numbers; the first regions are the longer ones where thirds are uneven.
    """
    held = np.flatnonzero(label.any(axis=(1, 2)))
    return dict(zip(REGIONS, np.array_split(held, len(REGIONS)), strict=True))
