"""The confidence below which a learner acts: as low as its masks and probabilities allow."""

from typing import Any

import numpy as np

from cardiac_seg.metrics.expected_dice import expected_dice_of_sums
from cardiac_seg.metrics.overlap import dice_from_confusion

CANDIDATES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
MAX_CHANGE = {"dice": 0.0005, "expected_dice": 0.002}  # by a threshold


def candidates(act_below: float) -> list[float]:
    """The thresholds to choose from; the last is where learners were fitted to act."""
    return [threshold for threshold in CANDIDATES if threshold < act_below] + [act_below]


def threshold_scores(
    label: np.ndarray,
    confidence: np.ndarray,
    rest: np.ndarray,
    probabilities: np.ndarray,
    thresholds: list[float],
) -> dict[str, Any]:
    """A learner's scores on one case, were it to act below each of some confidences alone.

    Args:
        label: (slices, height, width) true classes.
        confidence: (slices, height, width) of the mean.
        rest: (slices, height, width, classes) probabilities that stand where it does not act.
        probabilities: The same of the learner; equal to `rest` above the last threshold.
        thresholds: Ascending confidences.

    Returns:
        `cases` (1), `pixels`; for each threshold `acted_on` (pixels), `dice`, `expected_dice`:
        means of the structures on the network grid.
    """
    classes = rest.shape[-1]
    # Only pixels between two thresholds change from one to the next: counted by these steps.
    edges = [np.inf if t == 1 else t for t in thresholds]  # 1 is everywhere, see `below`
    step = np.searchsorted(edges, confidence.ravel(), side="right")
    by_rest, by_learner = (
        _counts_by_step(label.ravel(), p.reshape(-1, classes), step, len(thresholds) + 1)
        for p in (rest, probabilities)
    )
    dice, expected = [], []
    for k in range(1, len(thresholds) + 1):
        confused, inside, total = (
            a[:k].sum(0) + b[k:].sum(0) for a, b in zip(by_learner, by_rest, strict=True)
        )
        dice.append(float(np.nan_to_num(np.nanmean(dice_from_confusion(confused)[1:]))))
        expected.append(float(expected_dice_of_sums(confused.sum(0), inside, total).mean()))
    acted_on = np.cumsum(np.bincount(step, minlength=len(thresholds) + 1))[: len(thresholds)]
    return {
        "cases": 1,
        "pixels": label.size,
        "acted_on": acted_on.tolist(),
        "dice": dice,
        "expected_dice": expected,
    }


def choose_threshold(scores: dict[str, Any], thresholds: list[float], keep: str) -> dict[str, Any]:
    """The lowest confidence below which a learner must act to be as good.

    Where the mean is more confident, the calibrated mean stands; that saves much of the learner's
    work. Masks stay as good where the development Dice changes by at most 0.0005 against acting
    wherever the learner was fitted to (the last threshold), probabilities where the Dice that they
    let expect changes by at most 0.002 too. A gain counts as a change: it would say that the
    learner had better not act, which is not for a threshold to decide.

    Args:
        scores: Sums of `threshold_scores` over cases that the learner was not fitted on.
        thresholds: As given there.
        keep: What must stay as good: `probabilities`, `masks`, or `none` for the last threshold.

    Returns:
        `below`; `share` of the pixels acted on, and `share_before` with the last threshold;
        `dice_change` and `expected_dice_change`.
    """
    change = {
        key: (np.array(scores[key]) - scores[key][-1]) / scores["cases"] for key in MAX_CHANGE
    }
    kept = np.abs(change["dice"]) <= MAX_CHANGE["dice"]
    if keep == "probabilities":
        kept &= np.abs(change["expected_dice"]) <= MAX_CHANGE["expected_dice"]
    # All above must keep it too: one threshold that does by chance is no rule.
    k = min(i for i in range(len(thresholds)) if kept[i:].all())
    k = len(thresholds) - 1 if keep == "none" else k
    return {
        "below": thresholds[k],
        "share": scores["acted_on"][k] / scores["pixels"],
        "share_before": scores["acted_on"][-1] / scores["pixels"],
        "dice_change": float(change["dice"][k]),
        "expected_dice_change": float(change["expected_dice"][k]),
    }


def _counts_by_step(
    label: np.ndarray, probabilities: np.ndarray, step: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For the pixels of each step: confusion, probability of the mask's own class, and of all."""
    classes = probabilities.shape[1]
    mask = probabilities.argmax(1)
    at = (step * classes + label) * classes + mask
    confused = np.bincount(at, minlength=steps * classes**2).reshape(steps, classes, classes)
    predicted_at = step * classes + mask
    inside = np.bincount(predicted_at, probabilities.max(1), steps * classes).reshape(
        steps, classes
    )
    total = [np.bincount(step, probabilities[:, c], steps) for c in range(classes)]
    return confused, inside, np.stack(total, axis=1)
