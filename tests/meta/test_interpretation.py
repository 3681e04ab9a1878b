"""What learners change, their confidence, and which features they need."""

from types import SimpleNamespace

import numpy as np
import pytest

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta import interpretation
from cardiac_seg.meta.features.feature_set import FeatureSet
from cardiac_seg.meta.interpretation import (
    count_changes,
    count_errors,
    error_correlation,
    permuted_losses,
)
from cardiac_seg.meta.learners.sklearn_learner import fit_learner
from cardiac_seg.metrics.calibration import calibration_summary, count_calibration

# Two groups of two columns each.
PAIRS = FeatureSet(("a", "b"), ("background", "LV"), ("confidence", "margin"), (2.0,))


def permutation_importance(*args, **options):
    return permuted_losses(*args, **options).importance


def test_changes_are_better_worse_or_neither():
    label = np.array([[1, 1, 0], [2, 0, 1], [0, 2, 1]])
    mean = np.array([[1, 0, 0], [2, 0, 0], [1, 2, 1]])
    mask = np.array([[1, 1, 1], [0, 0, 2], [0, 2, 1]])
    assert count_changes(label, mean, mask) == {
        "pixels": 9,
        "changed": 5,
        "better": 2,  # (0, 1) and (2, 0)
        "worse": 2,  # (0, 2) and (1, 0); (1, 2) is wrong both times
    }


def test_a_maskthat_equals_the_meanchanges_nothing():
    same = np.array([0, 1, 2])
    assert count_changes(np.array([0, 2, 2]), same, same) == {
        "pixels": 3,
        "changed": 0,
        "better": 0,
        "worse": 0,
    }


def test_calibration_counts_of_three_pixels():
    """Confidence 0.62 lies in bin 9 of 15, and a confidence of 1 in the last."""
    probabilities = np.array([[0.62, 0.38], [0.38, 0.62], [0.0, 1.0]])
    counts = count_calibration(probabilities, np.array([0, 0, 1]))
    bins = np.array(counts["bins"])
    assert bins.shape == (15, 3)
    assert bins[9] == pytest.approx([2, 1.24, 1])  # pixels, confidence, right
    assert bins[14] == pytest.approx([1, 1, 1])
    assert bins.sum() == pytest.approx(2 + 1.24 + 1 + 3)
    assert counts["predicted"] == pytest.approx([1.0, 2.0])
    assert counts["observed"] == [2, 1]

    summary = calibration_summary(counts)
    assert summary["pixels"] == 3
    assert summary["expected_calibration_error"] == pytest.approx(0.24 / 3)
    assert summary["predicted"] == pytest.approx([1 / 3, 2 / 3])
    assert summary["observed"] == pytest.approx([2 / 3, 1 / 3])


def test_confidence_that_equals_accuracy_has_no_error():
    """Of 100 pixels with confidence c, 100 c are right; each c in its own bin."""
    confidence = np.repeat([0.55, 0.75, 0.95], 100)
    labels = np.concatenate([np.arange(100) >= right for right in (55, 75, 95)]).astype(int)
    summary = calibration_summary(
        count_calibration(np.stack([confidence, 1 - confidence], axis=1), labels)
    )
    assert summary["expected_calibration_error"] == pytest.approx(0, abs=1e-9)
    assert summary["predicted"] == pytest.approx(summary["observed"])


def test_full_confidence_that_is_half_wrong_has_an_error_of_a_half():
    probabilities = np.tile([1.0, 0.0, 0.0], (10, 1))
    summary = calibration_summary(count_calibration(probabilities, np.arange(10) % 2))
    assert summary["expected_calibration_error"] == 0.5
    assert summary["observed"] == [0.5, 0.5, 0]


def test_too_modest_is_an_error_too():
    probabilities = np.tile([0.6, 0.4], (10, 1))
    summary = calibration_summary(count_calibration(probabilities, np.zeros(10, int)))
    assert summary["expected_calibration_error"] == pytest.approx(0.4)


def test_modesty_here_does_not_make_up_for_conceit_there():
    """Ten pixels of 0.55 are all right, ten of 0.95 half: 0.45 each, of opposite sign."""
    confidence = np.repeat([0.55, 0.95], 10)
    labels = np.array([0] * 15 + [1] * 5)
    counts = count_calibration(np.stack([confidence, 1 - confidence], axis=1), labels)
    assert calibration_summary(counts)["expected_calibration_error"] == pytest.approx(0.45)


def test_counts_of_two_parts_add_up():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 100).astype(np.float32)
    labels = rng.integers(0, 3, 100).astype(np.uint8)  # the last class has no pixel
    whole = count_calibration(probabilities, labels)
    parts = slice(0, 37), slice(37, 100)
    first, second = (count_calibration(probabilities[h], labels[h]) for h in parts)
    for key, total in whole.items():
        assert np.array(first[key]) + np.array(second[key]) == pytest.approx(np.array(total))


def test_no_pixels_make_no_error():
    counts = count_calibration(np.zeros((0, 4), np.float32), np.zeros(0, np.uint8))
    assert calibration_summary(counts) == {
        "pixels": 0,
        "expected_calibration_error": 0,
        "predicted": [0] * 4,
        "observed": [0] * 4,
    }


def test_a_group_that_labels_depend_on_matters_and_noise_does_not():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2000, 4)).astype(np.float32)
    labels = (values[:, 2] + values[:, 3] > 0).astype(int)
    before, weights = values.copy(), np.ones(1000)
    learner = fit_learner(
        "logistic",
        Stacking(),
        values[:1000],
        labels[:1000],
        weights,
        labels[:1000],
        PAIRS.names,
        2,
        seed=0,
    )
    found = permutation_importance(learner, PAIRS, values[1000:], labels[1000:], weights, seed=0)
    assert list(found) == ["confidence", "margin"]
    assert found["margin"] > 1 and abs(found["confidence"]) < 0.05
    assert np.array_equal(values, before)


def test_the_columns_of_a_group_are_shuffled_together():
    """A learner that only asks whether the two columns match cannot tell that rows moved."""
    values = np.random.default_rng(2).normal(size=(50, 4))
    values[:, 3] = values[:, 2]

    def predict(values):
        match = np.where(values[:, 2] == values[:, 3], 0.9, 0.1)
        return np.stack([1 - match, match], axis=1)

    found = permutation_importance(
        SimpleNamespace(predict=predict), PAIRS, values, np.ones(50, int), np.ones(50), seed=0
    )
    assert found == {"confidence": 0, "margin": 0}


def test_importance_heeds_the_weights():
    """All the weight on one pixel, whose value stays or becomes another's."""
    values = np.zeros((6, 4))
    values[0, :2] = 1  # only pixel 0 is told to be class 1

    def predict(values):
        return np.stack([1 - values[:, 0], values[:, 0]], axis=1) * 0.98 + 0.01

    weights = np.array([1.0, 0, 0, 0, 0, 0])
    learner = SimpleNamespace(predict=predict)
    found = [
        permutation_importance(learner, PAIRS, values, np.eye(6, dtype=int)[0], weights, seed)
        for seed in range(10)
    ]
    lost = {round(importance["confidence"], 6) for importance in found}
    assert lost <= {0, round(np.log(0.99 / 0.01), 6)} and len(lost) == 2


def test_importance_takes_a_sample_of_many_pixels(monkeypatch):
    monkeypatch.setattr(interpretation, "MAX_PIXELS", 10)
    seen = []

    def predict(values):
        seen.append(len(values))
        return np.full((len(values), 2), 0.5)

    permutation_importance(
        SimpleNamespace(predict=predict),
        PAIRS,
        np.zeros((30, 4)),
        np.zeros(30, int),
        np.ones(30),
        seed=0,
    )
    assert set(seen) == {10}


def test_errors_of_two_masks_are_counted_alone_and_together():
    label = np.array([0, 1, 2, 3, 3, 0])
    first, second = np.array([0, 2, 1, 3, 0, 0]), np.array([1, 2, 2, 3, 1, 0])
    counts = count_errors(label, first, second)
    assert counts == {"pixels": 6, "first": 3, "second": 3, "both": 2}
    wrong = first != label, second != label
    assert error_correlation(counts) == pytest.approx(np.corrcoef(*wrong)[0, 1])


def test_equal_errors_are_wholly_correlated_and_none_are_not_at_all():
    label, mask = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    assert error_correlation(count_errors(label, mask, mask)) == pytest.approx(1)
    assert error_correlation(count_errors(label, mask, label)) is None
