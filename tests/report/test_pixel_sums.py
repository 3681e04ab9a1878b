"""Sums over pixels: calibration and changed pixels, worked out by hand."""

import numpy as np
import pytest

from cardiac_seg.metrics.calibration import BINS
from cardiac_seg.metrics.pixels import PixelSums
from cardiac_seg.report.tables.probabilities import (
    calibration_tables,
    change_table,
)
from tests.support.measured import counted


def calibration_of(probability, label):
    sums = counted({"mean": probability}, label)
    reliability, scores = calibration_tables(
        {"mean": sums.bins[0][None]}, {"mean": sums.brier[0][None]}, seed=0
    )
    return reliability, scores.set_index("area")


def test_calibration_has_intervals_over_patients():
    # Two patients of 10 pixels in one bin: one calibrated, one certain and wrong in half of them.
    bins = np.zeros((2, 2, BINS, 3))
    bins[0, :, -1], bins[1, :, -1] = (10, 10, 10), (10, 10, 5)
    brier = np.array([[0.0, 0.0], [10.0, 10.0]])
    _, scores = calibration_tables({"mean": bins}, {"mean": brier}, seed=0)
    row = scores.set_index("area").loc["band"]
    # A draw takes the first twice, the second twice, or both.
    assert row[["ece", "ece_low", "ece_high"]].tolist() == pytest.approx([0.25, 0, 0.5])
    assert row[["brier", "brier_low", "brier_high"]].tolist() == pytest.approx([0.5, 0, 1])


def test_calibration_by_hand():
    # Confidence .9 (right, wrong) and .62 (right twice): two bins.
    probability = np.array([[[0.9, 0.9], [0.38, 0.62]]])
    label = np.array([[[1, 0], [0, 1]]], np.uint8)
    reliability, scores = calibration_of(probability, label)
    assert scores.loc["image", "ece"] == pytest.approx((abs(1.8 - 1) + abs(1.24 - 2)) / 4)
    # Both classes count: twice the squared error of one.
    squared = 2 * (0.1**2 + 0.9**2 + 2 * 0.38**2)
    assert scores.loc["image", "brier"] == pytest.approx(squared / 4)
    # Every pixel touches the other class, so the band is the image.
    for column in ("pixels", "ece", "brier"):
        assert scores.loc["band", column] == scores.loc["image", column]
    lines = reliability[reliability.area == "image"]
    assert lines.bin.tolist() == [9, 13] and lines.pixels.tolist() == [2, 2]
    assert lines.confidence.tolist() == pytest.approx([0.62, 0.9])
    assert lines.accuracy.tolist() == [1, 0.5]


def test_the_band_ends_five_millimetres_from_the_boundary():
    label = np.zeros((1, 1, 24), np.uint8)
    label[..., 12:] = 1  # boundary pixels 11 and 12, band 6 to 17
    probability = np.where(label == 1, 0.9, 0.1)
    probability[..., :6] = 0.9  # outside of it, surely wrong
    _, scores = calibration_of(probability, label)
    assert scores.pixels.to_dict() == {"image": 24, "band": 12}
    assert scores.loc["band", "ece"] == pytest.approx(0.1, abs=1e-6)
    assert scores.loc["image", "ece"] == pytest.approx(abs(24 * 0.9 - 18) / 24, abs=1e-6)


def test_without_a_boundary_the_band_is_empty_and_undefined():
    reliability, scores = calibration_of(np.full((1, 3, 3), 0.2), np.zeros((1, 3, 3), np.uint8))
    assert scores.loc["band", "pixels"] == 0
    assert np.isnan(scores.loc["band", ["ece", "brier"]].astype(float)).all()
    assert set(reliability.area) == {"image"}
    assert scores.loc["image", "ece"] == pytest.approx(0.2, abs=1e-6)


def test_changes_are_counted_by_distance_and_outcome():
    label = np.zeros((1, 1, 30), np.uint8)
    label[..., 15:] = 1  # boundary pixels 14 and 15
    mean, method = np.where(label == 1, 0.9, 0.1), np.where(label == 1, 0.9, 0.1)
    method[..., 14] = 0.9  # 0 mm: worse
    mean[..., 17] = 0.1  # 2 mm: better
    method[..., 0] = 0.9  # 14 mm: worse
    sums = counted({"mean": mean, "method": method}, label)
    table = change_table({"method": sums.changes[1]})
    assert table.distance.tolist() == ["0-2 mm", "2-4 mm", "4-6 mm", "6-10 mm", "over 10 mm"]
    assert table.changed.tolist() == [1, 1, 0, 0, 1]
    assert table.better.tolist() == [0, 1, 0, 0, 0]
    assert table.worse.tolist() == [1, 0, 0, 0, 1]
    assert not sums.changes[0].any()  # the mean does not change itself


def test_a_change_from_wrong_to_wrong_is_neither_better_nor_worse():
    label = np.zeros((1, 2, 2), np.uint8)
    by_method = {m: np.eye(3, dtype=np.float32)[label + k] for m, k in (("mean", 1), ("other", 2))}
    sums = PixelSums.zeros(2, 3)
    sums.add(list(by_method.values()), by_method["mean"], label, (1.0, 1.0))
    table = change_table({"other": sums.changes[1]}).set_index("distance")
    # No boundary at all: as far as can be.
    assert table.loc["over 10 mm", ["changed", "better", "worse", "neither"]].tolist() == [
        *(4, 0, 0, 4)
    ]
    assert table.changed.sum() == 4
