"""Temperatures and shares of the members: known answers recovered, laws kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from cardiac_seg.meta.convex_weights import fit_weights
from cardiac_seg.meta.temperature import SMALLEST, fit_temperature, log_loss, temper

# Whole numbers over their sum: classes are equal or clearly apart, and some are exactly 0.
rows = arrays(np.int64, (5, 4), elements=st.integers(0, 200)).map(lambda n: n + [1, 0, 0, 0])


def drawn(probabilities, rng):
    """A label for each row, drawn from its probabilities."""
    return (probabilities.cumsum(1) < rng.random((len(probabilities), 1))).sum(1)


def test_temperature_one_changes_nothing():
    stored = np.array([[1, 0, 0], [0.25, 0.5, 0.25]], np.float16)
    unchanged = temper(stored, 1)
    assert unchanged.dtype == np.float32 and np.array_equal(unchanged, stored)


def test_temperature_two_takes_roots():
    assert temper(np.array([0.64, 0.36]), 2) == pytest.approx([0.8 / 1.4, 0.6 / 1.4])


@pytest.mark.parametrize("temperature", [0.3, 0.9, 1.7, 5])
def test_tempering_divides_the_logits(temperature):
    logits = np.array([[2.0, -1, 0.5, 0], [0, 0, 3, -2]])
    tempered = temper(softmax(logits, axis=1), temperature)
    assert tempered == pytest.approx(softmax(logits / temperature, axis=1), rel=1e-4)


@given(rows, st.floats(0.2, 5))
def test_tempering_keeps_the_class_and_the_sum(counts, temperature):
    probabilities = (counts / counts.sum(1, keepdims=True)).astype(np.float32)
    tempered = temper(probabilities, temperature)
    assert np.array_equal(tempered.argmax(1), probabilities.argmax(1))
    assert tempered.sum(1) == pytest.approx(1, abs=1e-6)
    surest, before = tempered.max(1), probabilities.max(1)
    assert (surest <= before + 1e-5).all() if temperature > 1 else (surest >= before - 1e-5).all()


def test_a_stored_zero_is_not_impossible_but_very_unlikely():
    tempered = temper(np.array([[1, 0]], np.float16), 2)
    assert tempered[0, 1] == pytest.approx(SMALLEST**0.5 / (1 + SMALLEST**0.5))


def test_log_loss_of_two_pixels():
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8]])
    labels = np.array([0, 1])
    assert log_loss(probabilities, labels, np.ones(2)) == pytest.approx(
        (np.log(2) + np.log(1.25)) / 2
    )
    assert log_loss(probabilities, labels, np.array([3, 1])) == pytest.approx(
        (3 * np.log(2) + np.log(1.25)) / 4
    )


def test_the_log_loss_of_a_certain_mistake_is_finite():
    assert log_loss(np.array([[1.0, 0]]), np.array([1]), np.ones(1)) == pytest.approx(
        24 * np.log(2)
    )


@pytest.mark.parametrize("true", [0.5, 2.0])
def test_the_temperature_is_recovered(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    labels = drawn(softmax(logits / true, axis=1), rng)
    found = fit_temperature(softmax(logits, axis=1), labels, np.ones(len(labels)))
    assert found == pytest.approx(true, rel=0.05)


def test_weights_act_like_repeated_pixels():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (2, 200, 3))
    members = softmax(logits, axis=2)
    labels = drawn(softmax(logits[0] / 3, axis=1), rng)
    weights = rng.integers(1, 6, 200) * (1 + 3 * (labels == 1))  # not alike across classes
    repeated = np.repeat(members, weights, axis=1)
    again, ones = np.repeat(labels, weights), np.ones(weights.sum())

    assert log_loss(members[0], labels, weights) == pytest.approx(
        log_loss(repeated[0], again, ones)
    )
    temperature = fit_temperature(members[0], labels, weights)
    assert temperature == pytest.approx(fit_temperature(repeated[0], again, ones), rel=1e-3)
    shares = fit_weights(members, labels, weights)
    assert shares == pytest.approx(fit_weights(repeated, again, ones), abs=1e-3)
    # Weights that did nothing would pass the above.
    assert abs(temperature - fit_temperature(members[0], labels, np.ones(200))) > 0.02
    assert np.abs(shares - fit_weights(members, labels, np.ones(200))).max() > 0.02


def test_all_weight_goes_to_a_perfect_member():
    labels = np.arange(40) % 4
    perfect, uniform = np.eye(4)[labels], np.full((40, 4), 0.25)
    assert fit_weights(np.stack([uniform, perfect]), labels, np.ones(40)) == pytest.approx(
        [0, 1], abs=1e-4
    )


def test_members_alike_share_equally():
    member = softmax(np.random.default_rng(2).normal(size=(30, 3)), axis=1)
    shares = fit_weights(np.stack([member] * 3), np.arange(30) % 3, np.ones(30))
    assert shares == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("seed", range(4))
def test_no_convex_combination_has_a_smaller_loss(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (300, 4))
    labels = drawn(softmax(logits, axis=1), rng)
    members = softmax(logits + rng.normal(0, [[[0.5]], [[1.5]], [[3]]], (3, 300, 4)), axis=2)
    weights = rng.uniform(0.5, 8, 300)
    shares = fit_weights(members, labels, weights)
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()

    def loss(shares):
        return log_loss(np.tensordot(shares, members, axes=1), labels, weights)

    grid = [(a, b, 10 - a - b) for a in range(11) for b in range(11 - a)]
    assert loss(shares) <= min(loss(np.array(point) / 10) for point in grid) + 1e-6
