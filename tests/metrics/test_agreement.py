"""Agreement of two measurements by hand."""

import numpy as np
import pytest

from cardiac_seg.metrics.agreement import agreement


def test_agreement_by_hand():
    found = agreement(np.array([52.0, 58, 63, 71]), np.array([50.0, 60, 60, 70]))
    # Differences 2, -2, 3, 1: mean 1, squares around it 1 + 9 + 4 + 0.
    sd = np.sqrt(14 / 3)
    assert found == pytest.approx(
        {
            "patients": 4,
            "r": np.corrcoef([52, 58, 63, 71], [50, 60, 60, 70])[0, 1],
            "bias": 1,
            "sd": sd,
            "low": 1 - 1.96 * sd,
            "high": 1 + 1.96 * sd,
            "mae": 2,
        }
    )
    assert list(found) == ["patients", "r", "bias", "sd", "low", "high", "mae"]


def test_pairs_with_an_unknown_value_are_left_out():
    known = agreement(np.array([1.0, 2, 4]), np.array([1.0, 3, 3]))
    values, reference = np.array([1.0, 2, np.nan, 4, 9]), np.array([1.0, 3, 7, 3, np.nan])
    assert agreement(values, reference) == known and known["patients"] == 3


def test_correlation_needs_three_pairs_that_vary():
    assert np.isnan(agreement(np.array([1.0, 2]), np.array([1.0, 3]))["r"])
    constant = agreement(np.full(4, 55.0), np.array([50.0, 52, 58, 60]))
    assert np.isnan(constant["r"]) and constant["bias"] == 0
    assert np.isnan(agreement(np.array([50.0, 52, 58]), np.full(3, 55.0))["r"])


@pytest.mark.filterwarnings("error")
def test_too_few_pairs_are_undefined_without_a_warning():
    one = agreement(np.array([3.0]), np.array([1.0]))
    assert (one["patients"], one["bias"], one["mae"]) == (1, 2, 2)
    assert np.isnan([one[key] for key in ("r", "sd", "low", "high")]).all()
    none = agreement(np.array([np.nan]), np.array([1.0]))
    assert none.pop("patients") == 0 and np.isnan(list(none.values())).all()


def test_agreement_needs_pairs():
    with pytest.raises(ValueError, match="pairs"):
        agreement(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="pairs"):
        agreement(np.ones((3, 1)), np.ones((3, 1)))
