"""Expected and predicted Dice: how good a mask without a reference is likely to be."""

import numpy as np
import pandas as pd

REVIEW_SHARE = 0.05  # of the development cases lie below the predicted Dice that asks for a review


def expected_dice(probabilities: np.ndarray) -> np.ndarray:
    """The Dice that each structure's mask would have if the probabilities were right.

    Where a pixel belongs to a class with probability p, the mask M holds sum_M p true pixels of
    sum p in all, so that 2 sum_M p / (|M| + sum p) is the ratio of the expected numerator and
    denominator of Dice.

    Args:
        probabilities: (..., classes) floats, background first; the mask is their argmax.

    Returns:
        (classes - 1,) float64; 0 where the mask holds nothing of a class.
    """
    classes = probabilities.shape[-1]
    flat = probabilities.reshape(-1, classes)
    mask = flat.argmax(-1)
    held = np.bincount(mask, minlength=classes)
    chosen = np.take_along_axis(flat, mask[:, None], -1)[:, 0]
    inside = np.bincount(mask, chosen, minlength=classes)
    return expected_dice_of_sums(held, inside, flat.sum(0, dtype=np.float64))


def expected_dice_of_sums(
    predicted: np.ndarray, inside: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """`expected_dice` from what was added up over the pixels, background first.

    Args:
        predicted: (classes,) pixels of each class's mask, |M|.
        inside: (classes,) its probability, summed over its own mask.
        expected: (classes,) its probability, summed over all pixels.

    Returns:
        (classes - 1,) float64.
    """
    both = np.maximum(predicted + expected, np.finfo(float).tiny)
    dice: np.ndarray = 2 * inside / both
    return dice[1:]


def fit_predicted_dice(cases: pd.DataFrame) -> dict[str, float]:
    """What turns the expected Dice of one method into a predicted Dice with a limit for review.

    Args:
        cases: `case`, `dice` and `expected_dice`, one row per structure, of development cases
            that whatever made their probabilities was not fitted on.

    Returns:
        `optimism`: by how much the expected Dice exceeds the true one on average, for networks
        are overconfident. `review_below`: the 5th percentile of the cases' predicted Dice.
    """
    by_case = cases.groupby("case")[["dice", "expected_dice"]].mean()
    optimism = (by_case.expected_dice - by_case.dice).mean()
    limit = (by_case.expected_dice - optimism).quantile(REVIEW_SHARE)
    return {"optimism": float(optimism), "review_below": float(limit)}


def predicted_dice(probabilities: np.ndarray, fitted: dict[str, float]) -> float:
    """The Dice to expect of a case, from 0 to 1: mean of the structures.

    Args:
        probabilities: (slices, height, width, classes) floats on the network grid.
        fitted: From `fit_predicted_dice`.
    """
    return float(np.clip(expected_dice(probabilities).mean() - fitted["optimism"], 0, 1))
