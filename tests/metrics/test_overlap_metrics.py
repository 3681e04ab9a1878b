"""Overlap metrics and thirds of the heart, worked out by hand."""

import numpy as np
import pytest

from cardiac_seg.metrics.overlap import confusion, overlap_metrics, thirds


def test_overlap_by_hand():
    truth = np.array([1, 1, 1, 1, 0, 0, 2, 0])
    mask = np.array([1, 1, 1, 2, 1, 1, 2, 0])
    found = overlap_metrics(confusion(truth, mask, 3), 1)
    assert found == {
        **{"tp": 3, "fp": 2, "fn": 1},
        **{"dice": 6 / 9, "iou": 3 / 6, "precision": 3 / 5, "recall": 3 / 4},
    }


@pytest.mark.parametrize(
    ("truth", "mask", "expected"),
    [
        ([1, 1, 0], [1, 1, 0], {"dice": 1, "iou": 1, "precision": 1, "recall": 1}),
        ([1, 1, 0], [0, 0, 1], {"dice": 0, "iou": 0, "precision": 0, "recall": 0}),
        ([1, 1, 0], [0, 0, 0], {"dice": 0, "iou": 0, "precision": np.nan, "recall": 0}),
        ([0, 0, 0], [0, 1, 0], {"dice": 0, "iou": 0, "precision": 0, "recall": np.nan}),
        ([0, 0, 0], [0, 0, 0], dict.fromkeys(("dice", "iou", "precision", "recall"), np.nan)),
    ],
    ids=["identical", "disjoint", "nothing predicted", "nothing there", "both empty"],
)
def test_overlap_at_its_ends(truth, mask, expected):
    found = overlap_metrics(confusion(np.array(truth), np.array(mask), 2), 1)
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([2, 3, 4], ([2], [3], [4])),
        ([0, 1, 2, 3], ([0, 1], [2], [3])),
        ([1, 2, 4, 5, 6], ([1, 2], [4, 5], [6])),
        ([3, 4], ([3], [4], [])),
        ([], ([], [], [])),
    ],
)
def test_thirds_are_of_the_slices_that_hold_the_structure(held, expected):
    label = np.zeros((8, 2, 2), bool)
    label[held, 0, 1] = True
    found = thirds(label)
    assert list(found) == ["base", "mid", "apex"]
    assert tuple(slices.tolist() for slices in found.values()) == expected
