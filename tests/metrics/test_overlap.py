"""Dice by hand, its rules for empty masks, its laws, and the summary over patients."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiac_seg.metrics.overlap import accuracy_from_confusion, confusion, dice_from_confusion
from cardiac_seg.pipeline.scores import Scores, summarize

masks = arrays(np.uint8, (2, 5, 6), elements=st.integers(0, 3))


def dice(truth, prediction, labels=4):
    return dice_from_confusion(confusion(np.array(truth), np.array(prediction), labels))


def test_counts_and_dice_of_six_pixels():
    counts = confusion(np.array([[0, 0, 1], [1, 1, 2]]), np.array([[0, 1, 1], [1, 2, 2]]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]
    assert dice_from_confusion(counts) == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert accuracy_from_confusion(counts) == pytest.approx(4 / 6)


def test_squares_that_overlap_by_half():
    truth, prediction = np.zeros((2, 8, 8), np.uint8)
    truth[2:6, 0:4] = prediction[2:6, 2:6] = 1
    assert dice(truth, prediction)[1] == 0.5


def test_one_empty_mask_is_zero_and_two_are_undefined():
    assert dice([1, 0], [0, 0])[1] == 0
    assert dice([0, 0], [1, 0])[1] == 0
    assert np.isnan(dice([0, 0], [0, 0])[1:]).all()


@given(masks, masks)
def test_dice_is_symmetric_and_between_zero_and_one(a, b):
    forth, back = dice(a, b), dice(b, a)
    assert np.array_equal(forth, back, equal_nan=True)
    assert ((forth >= 0) & (forth <= 1) | np.isnan(forth)).all()
    for label in range(4):
        both = np.sum(a == label) + np.sum(b == label)
        overlap = 2 * np.sum((a == label) & (b == label))
        assert np.isnan(forth[label]) if both == 0 else forth[label] == overlap / both


@given(masks)
def test_a_mask_agrees_with_itself(mask):
    assert set(dice(mask, mask)[np.unique(mask)]) == {1}
    assert confusion(mask, mask, 4).sum() == mask.size


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        confusion(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)


def test_the_summary_takes_each_patient_once():
    """Patient p has two cases, q one: RV (0.6 + 0.8) / 2 = 0.7 with 0.3 gives 0.5, not 0.57."""
    rows = [
        ("p", "p_ED", "RV", 0.6),
        ("p", "p_ES", "RV", 0.8),
        ("q", "q_ED", "RV", 0.3),
        ("p", "p_ED", "LV", 0.9),
        ("p", "p_ES", "LV", np.nan),  # absent from reference and mask: left out
        ("q", "q_ED", "LV", 0.7),
    ]
    cases = pd.DataFrame(rows, columns=["patient", "case", "structure", "dice"])
    better = cases.assign(method="m", dice=cases.dice + 0.1)
    pooled = {name: np.eye(3, dtype=np.int64) for name in ("mean", "m")}
    scores = Scores(pd.concat([cases.assign(method="mean"), better]), pooled, {})
    summary = summarize(scores, ("RV", "LV"), "mean", seed=0)
    assert (summary["patients"], summary["cases"]) == (2, 3)
    model = summary["methods"]["mean"]
    assert model["dice_native_per_patient"] == pytest.approx({"RV": 0.5, "LV": 0.8})
    assert model["mean_foreground_dice"] == pytest.approx(0.65)
    assert model["undefined_cases"] == {"RV": 0, "LV": 1}
    assert model["pooled_network_grid"]["accuracy"] == 1
    # Two patients: a draw takes p twice, q twice or both.
    assert model["interval_95"]["RV"] == pytest.approx([0.3, 0.7])
    # Paired: every patient gains the same, whoever is drawn.
    against = summary["methods"]["m"]["against_mean"]
    assert against["difference"] == pytest.approx(0.1)
    assert against["interval_95"] == pytest.approx([0.1, 0.1])
    assert "against_mean" not in model
