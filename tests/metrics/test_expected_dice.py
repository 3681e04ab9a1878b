"""The quality score on numbers known by hand, and how it is fitted."""

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.metrics.expected_dice import expected_dice, fit_predicted_dice, predicted_dice

EXACT = {"optimism": 0.0, "review_below": 0.5}


def test_a_certain_mask_has_all_of_its_dice_and_an_absent_structure_none():
    sure = np.eye(3, dtype=np.float32)[[0, 1, 1, 0]]
    assert expected_dice(sure).tolist() == [1, 0]
    assert predicted_dice(sure, EXACT) == 0.5


def test_expected_dice_by_hand():
    """Class 1 is chosen at .8 and .6 and lost at .3: 2 (.8 + .6) / (2 + 1.7)."""
    p = np.array([0.8, 0.6, 0.3])
    assert expected_dice(np.stack([1 - p, p], -1)) == pytest.approx([2.8 / 3.7])


def test_where_probabilities_are_right_the_dice_is_as_expected():
    """Labels drawn from the probabilities, as a calibrated network's would be."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.3, 200_000)
    truth, mask = rng.random(p.size) < p, p > 0.5
    dice = 2 * (truth & mask).sum() / (truth.sum() + mask.sum())
    assert expected_dice(np.stack([1 - p, p], -1))[0] == pytest.approx(dice, abs=0.005)


def test_the_score_is_freed_of_optimism_and_knows_its_lowest_cases():
    cases = pd.DataFrame(
        {
            "case": [f"c{k // 2}" for k in range(42)],
            "dice": np.repeat(np.linspace(0.5, 0.9, 21), 2),
            "expected_dice": np.repeat(np.linspace(0.5, 0.9, 21) + 0.04, 2) + [-0.01, 0.01] * 21,
        }
    )
    fitted = fit_predicted_dice(cases)
    assert fitted["optimism"] == pytest.approx(0.04)
    assert fitted["review_below"] == pytest.approx(0.52)  # the second of 21
    sure = np.eye(3, dtype=np.float32)[[0, 1, 2]]
    assert predicted_dice(sure, fitted) == pytest.approx(0.96)
