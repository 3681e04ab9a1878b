"""Areas under the curve of counted probabilities, with scikit-learn beside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cardiac_seg.report.tables.probabilities import (
    ROC_POINTS,
    roc_tables,
)
from tests.support.measured import counted


@given(
    st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=2, max_size=60),
    st.sampled_from([1, 2, 7, 25, 100]),
)
def test_the_true_area_lies_within_the_stated_error(pixels, bins):
    scores, truth = np.array(pixels).T
    binned = [scores[truth == c] * bins // 100 for c in (0, 1)]
    counts = np.stack([np.bincount(some, minlength=bins) for some in binned])
    _, areas = roc_tables({"mean": counts[None]}, ("LV",))
    auc, bound = areas.loc[0, ["auc", "error_bound"]]
    if truth.min() == truth.max():
        assert np.isnan(auc) and np.isnan(bound)
        return
    true = roc_auc_score(truth, scores)
    assert abs(auc - true) <= bound + 1e-12
    if bins == 100:  # pixels of one bin are really tied
        assert auc == pytest.approx(true)


def test_areas_of_counted_probabilities_and_their_curves():
    rng = np.random.default_rng(3)
    label = (rng.random((1, 100, 200)) < 0.1).astype(np.uint8)
    probability = np.clip(rng.normal(0.3 + 0.3 * label, 0.2), 0, 1)
    counts = counted({"mean": probability}, label).ranked[0]
    curves, areas = roc_tables({"mean": counts}, ("background", "LV"))
    areas = areas.set_index("class")
    true = roc_auc_score(label.ravel(), probability.astype(np.float32).ravel())
    for name in ("background", "LV"):  # of two classes, the one's curve mirrors the other's
        assert abs(areas.auc[name] - true) <= areas.error_bound[name] < 2e-3
        rates = curves[curves["class"] == name].filter(like="rate").to_numpy()
        assert len(rates) <= ROC_POINTS
        np.testing.assert_array_equal(rates[[0, -1]], [[0, 0], [1, 1]])
        assert (np.diff(rates, axis=0) >= 0).all()
        # Thinned, the curve still encloses its area.
        assert np.trapezoid(rates[:, 1], rates[:, 0]) == pytest.approx(areas.auc[name], abs=2e-3)


def test_a_class_that_is_nowhere_has_no_curve():
    counts = np.zeros((2, 2, 8), np.int64)
    counts[0, 1], counts[1, 0] = 5, 5
    curves, areas = roc_tables({"mean": counts}, ("background", "LV"))
    assert curves.empty and areas.auc.isna().all()
    assert list(curves.columns) == ["method", "class", "false_positive_rate", "true_positive_rate"]
