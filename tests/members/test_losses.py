"""Losses against values worked out by hand."""

import keras
import numpy as np
import pytest

from cardiac_seg.members.losses import make_loss, soft_dice_loss

LABEL = np.array([[[0, 1], [1, 0]]])


def value(tensor) -> float:
    return float(np.mean(keras.ops.convert_to_numpy(tensor)))


def one_hot(label, classes=2):
    return np.eye(classes, dtype=np.float32)[label]


def test_soft_dice_is_zero_for_a_perfect_map_and_one_for_an_inverted_one():
    assert value(soft_dice_loss(LABEL, one_hot(LABEL))) == pytest.approx(0, abs=1e-4)
    assert value(soft_dice_loss(LABEL, one_hot(1 - LABEL))) == pytest.approx(1, abs=1e-4)


def test_soft_dice_of_an_undecided_map():
    # Foreground: overlap 2 * .5 = 1, sums 2 + 4 * .5 = 4; Dice 2 * 1 / 4.
    undecided = np.full((1, 2, 2, 2), 0.5, np.float32)
    assert value(soft_dice_loss(LABEL, undecided)) == pytest.approx(0.5, abs=1e-4)


def test_dice_ce_is_the_sum_of_both():
    undecided = np.full((1, 2, 2, 2), 0.5, np.float32)
    assert value(make_loss("dice_ce", [1, 1])(LABEL, undecided)) == pytest.approx(
        0.5 + np.log(2), abs=1e-4
    )


def test_cross_entropy_is_the_mean_in_nats():
    quarter = np.stack([np.full((1, 2, 2), 0.25), np.full((1, 2, 2), 0.75)], -1).astype(np.float32)
    expected = -(2 * np.log(0.25) + 2 * np.log(0.75)) / 4
    assert value(make_loss("ce", [1, 1])(LABEL, quarter)) == pytest.approx(expected, abs=1e-4)


def test_weighted_cross_entropy_counts_rare_classes_more():
    # Nine times fewer pixels: three times the weight (inverse square root).
    quarter = np.stack([np.full((1, 2, 2), 0.25), np.full((1, 2, 2), 0.75)], -1).astype(np.float32)
    expected = -(1 * np.log(0.25) + 3 * np.log(0.75)) / 4
    loss = make_loss("weighted_ce", [9, 1])
    assert value(loss(LABEL, quarter)) == pytest.approx(expected, abs=1e-4)
