"""Losses against values worked out by hand."""

from typing import Literal

import keras
import numpy as np
import pytest

from cardiac_seg.config.sections import Train
from cardiac_seg.members.losses import LOSSES, make_loss, soft_dice_loss

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


def test_the_config_knows_every_loss_by_its_name():
    assert Train.model_fields["loss"].annotation == Literal[tuple(LOSSES)]


def test_tversky_of_an_undecided_map_weighs_missed_pixels_more_than_false_ones():
    # Foreground: overlap 2 * .5 = 1; false 2 * .5 = 1, missed 2 * .5 = 1: 1 / (1 + .3 + .7).
    undecided = np.full((1, 2, 2, 2), 0.5, np.float32)
    tversky = make_loss("tversky", [1, 1])
    assert value(tversky(LABEL, undecided)) == pytest.approx(0.5, abs=1e-4)
    # One of two foreground pixels missed: 1 / (1 + .7). One too many: 2 / (2 + .3).
    missed, false = np.array([[[0, 1], [0, 0]]]), np.array([[[0, 1], [1, 1]]])
    assert value(tversky(LABEL, one_hot(missed))) == pytest.approx(1 - 1 / 1.7, abs=1e-4)
    assert value(tversky(LABEL, one_hot(false))) == pytest.approx(1 - 2 / 2.3, abs=1e-4)


def test_focal_loss_counts_a_pixel_by_the_square_of_what_its_class_lacks():
    quarter = np.stack([np.full((1, 2, 2), 0.25), np.full((1, 2, 2), 0.75)], -1).astype(np.float32)
    expected = -(2 * 0.75**2 * np.log(0.25) + 2 * 0.25**2 * np.log(0.75)) / 4
    assert value(make_loss("focal", [1, 1])(LABEL, quarter)) == pytest.approx(expected, abs=1e-4)
    assert value(make_loss("focal", [1, 1])(LABEL, one_hot(1 - LABEL))) < 20  # not infinite


def test_dice_alone_is_the_soft_dice_loss():
    assert make_loss("dice", [1, 1]) is soft_dice_loss


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_of_a_volume_is_that_of_its_planes_side_by_side(name):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (2, 4, 4, 5))
    probabilities = rng.dirichlet(np.ones(3), label.shape).astype(np.float32)
    loss = make_loss(name, [100, 30, 20])
    flat = loss(label.reshape(2, 4, 20), probabilities.reshape(2, 4, 20, 3))
    assert value(loss(label, probabilities)) == pytest.approx(value(flat), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_smaller_for_a_better_map(name):
    loss = make_loss(name, [100, 30])
    close = 0.9 * one_hot(LABEL) + 0.1 * one_hot(1 - LABEL)
    far = 0.4 * one_hot(LABEL) + 0.6 * one_hot(1 - LABEL)
    assert value(loss(LABEL, close)) < value(loss(LABEL, far))
