"""Intervals over patients, the paired test and its correction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.metrics.statistics import RESAMPLES, bootstrap_means, holm, interval, wilcoxon


def test_the_seed_decides_the_draws():
    values = np.arange(5.0)[:, None]
    assert np.array_equal(bootstrap_means(values, 3), bootstrap_means(values, 3))
    assert not np.array_equal(bootstrap_means(values, 3), bootstrap_means(values, 4))


def test_columns_are_drawn_together():
    values = np.random.default_rng(0).normal(size=(8, 1))
    drawn = bootstrap_means(np.hstack([values, values + 0.5]), 0)
    assert drawn.shape == (RESAMPLES, 2)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 0.5)


def test_a_patient_is_missing_from_a_third_of_the_draws():
    # A draw without the one patient that has a value has no mean.
    values = np.full((20, 1), np.nan)
    values[3] = 1.0
    drawn = bootstrap_means(values, 1)[:, 0]
    assert np.isnan(drawn).mean() == pytest.approx((1 - 1 / 20) ** 20, abs=0.02)
    assert (drawn[~np.isnan(drawn)] == 1).all()


def test_undefined_values_are_left_out_of_a_draws_mean():
    values = np.array([[1.0, np.nan], [1.0, 5.0], [1.0, 7.0]])
    drawn = bootstrap_means(values, 0)
    assert (drawn[:, 0] == 1).all()
    defined = drawn[:, 1][~np.isnan(drawn[:, 1])]
    possible = [(5 * a + 7 * b) / (a + b) for a in range(4) for b in range(4 - a) if a + b]
    assert np.isin(defined.round(9), np.round(possible, 9)).all() and defined.mean() > 5


def test_one_patient_has_no_interval():
    assert interval(bootstrap_means(np.array([[0.9]]), 0)[:, 0]) is None


def test_the_interval_cuts_a_fortieth_from_either_end():
    assert interval(np.arange(41.0)[::-1]) == pytest.approx([1, 39])


def test_the_interval_leaves_undefined_draws_out():
    assert interval(np.array([np.nan, *np.arange(41.0), np.nan])) == pytest.approx([1, 39])
    assert interval(np.full(5, np.nan)) is None


def test_the_replicates_spread_by_the_standard_error():
    values = np.random.default_rng(2).normal(0.9, 0.05, (40, 1))
    means = bootstrap_means(values, 0)[:, 0]
    error = values.std() / np.sqrt(40)
    assert means.std() == pytest.approx(error, rel=0.05)
    low, high = interval(means)
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error
    )


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    experiments = np.random.default_rng(8).normal(0.8, 0.1, (30, 200))
    held = [low <= 0.8 <= high for low, high in map(interval, bootstrap_means(experiments, 0).T)]
    assert 0.88 <= np.mean(held) <= 0.98


def test_wilcoxon_by_hand():
    # All of five ranks on one side: 2 of the 2^5 sign patterns are as extreme.
    assert wilcoxon(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx((2 / 32, 1))
    # Ranks 1 to 4, the first against: (9 - 1) / 10.
    assert wilcoxon(np.array([-0.1, 0.2, 0.3, 0.4, np.nan]))[1] == pytest.approx(0.8)
    assert wilcoxon(np.zeros(4)) == (1, 0)
    assert np.isnan(wilcoxon(np.array([np.nan]))).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.02, np.nan]) == pytest.approx([0.02, np.nan], nan_ok=True)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    assert min(adjusted) == pytest.approx(min(1, len(p_values) * min(p_values)))
