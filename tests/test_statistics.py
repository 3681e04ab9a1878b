"""Bootstrap over patients: its counts, its means and its intervals."""

import numpy as np
import pytest

from cardiac_seg.statistics import RESAMPLES, bootstrap_means, interval, resample


def test_each_draw_takes_as_many_patients_as_there_are():
    draws = resample(7, seed=0)
    assert draws.shape == (RESAMPLES, 7)
    assert (draws.sum(1) == 7).all()
    assert (draws >= 0).all() and (draws == draws.round()).all()
    assert draws.mean(0) == pytest.approx(np.ones(7), abs=0.05)  # none is favoured


def test_a_patient_is_missing_from_a_third_of_the_draws():
    assert (resample(20, seed=1) == 0).mean() == pytest.approx((1 - 1 / 20) ** 20, abs=0.01)


def test_the_seed_decides_the_draws():
    assert np.array_equal(resample(5, seed=3), resample(5, seed=3))
    assert not np.array_equal(resample(5, seed=3), resample(5, seed=4))


def test_taking_everyone_once_gives_the_plain_mean():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [6.0, 7.0]])
    assert bootstrap_means(values, np.ones((2, 3))).tolist() == [[3, 6], [3, 6]]


def test_means_of_draws_by_hand():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [6.0, 7.0]])
    draws = np.array([[2, 0, 1], [1, 1, 1], [3, 0, 0], [0, 1, 2]], float)
    found = bootstrap_means(values, draws)
    assert found[:, 0] == pytest.approx([8 / 3, 3, 1, 14 / 3])
    # The third draw has only the patient without a value.
    assert found[:, 1] == pytest.approx([7, 6, np.nan, 19 / 3], nan_ok=True)


def test_the_interval_of_a_constant_is_that_constant():
    means = bootstrap_means(np.full((6, 1), 0.75), resample(6, seed=0))
    assert interval(means[:, 0]) == pytest.approx([0.75, 0.75])


def test_the_interval_cuts_a_fortieth_from_either_end():
    assert interval(np.arange(41.0)[::-1]) == pytest.approx([1, 39])


def test_the_interval_leaves_undefined_draws_out():
    assert interval(np.array([np.nan, *np.arange(41.0), np.nan])) == pytest.approx([1, 39])
    assert interval(np.full(5, np.nan)) is None


def test_the_replicates_spread_by_the_standard_error():
    values = np.random.default_rng(2).normal(0.9, 0.05, (40, 1))
    means = bootstrap_means(values, resample(40, seed=0))[:, 0]
    error = values.std() / np.sqrt(40)
    assert means.std() == pytest.approx(error, rel=0.05)
    low, high = interval(means)
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error
    )


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    draws = resample(30, seed=0)
    experiments = np.random.default_rng(8).normal(0.8, 0.1, (30, 200))
    means = bootstrap_means(experiments, draws)
    held = [low <= 0.8 <= high for low, high in map(interval, means.T)]
    assert 0.88 <= np.mean(held) <= 0.98
