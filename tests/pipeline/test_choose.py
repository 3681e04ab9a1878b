"""What is chosen on development patients, from tables alone."""

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.pipeline.choose import choose_method, fit_review
from cardiac_seg.pipeline.cross_fit import cross_fit
from cardiac_seg.pipeline.scores import Scores, summarize

STRUCTURES = ("RV", "MYO")
METHODS = ("mean", "calibrated_mean", "logistic", "random_forest")
CANDIDATES = ["logistic", "random_forest"]


def table(gains: dict[str, list[float]]) -> pd.DataFrame:
    """Scores of four patients; `gains` over 0.7 by method, 0 where a method is not named."""
    return pd.DataFrame(
        {"case": f"p{i}", "patient": f"p{i}", "method": method, "structure": structure}
        | {"dice": 0.7 + gain, "expected_dice": 0.75}
        for method in METHODS
        for structure in STRUCTURES
        for i, gain in enumerate(gains.get(method, [0.0] * 4))
    )


def summary(gains: dict[str, list[float]]) -> dict:
    pooled = {method: np.eye(3, dtype=np.int64) for method in METHODS}
    return summarize(Scores(table(gains), pooled, {}), STRUCTURES, "calibrated_mean", 42)["methods"]


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ([0.03, 0.03, 0.02, 0.02], "logistic"),
        ([0.2, -0.05, 0.01, -0.03], "calibrated_mean"),  # one patient's gain
        ([-0.01, -0.01, -0.02, -0.01], "calibrated_mean"),
    ],
)
def test_a_combination_must_be_shown_to_be_better_than_the_mean(gains, chosen):
    told = summary({"logistic": gains})
    assert choose_method(told, CANDIDATES, "calibrated_mean") == (chosen, True)


def test_the_best_of_those_shown_is_chosen_and_the_simplest_of_equals():
    better, best = [0.02, 0.02, 0.01, 0.02], [0.03, 0.03, 0.02, 0.03]
    told = summary({"logistic": better, "random_forest": best})
    assert choose_method(told, CANDIDATES, "calibrated_mean")[0] == "random_forest"
    told = summary({"logistic": best, "random_forest": best})
    assert choose_method(told, CANDIDATES, "calibrated_mean")[0] == "logistic"


def test_the_configuration_may_choose_where_there_is_a_choice():
    told = summary({})
    assert choose_method(told, CANDIDATES, "calibrated_mean", "mean") == ("mean", False)
    assert choose_method(told, [], "mean", "mean") == ("mean", True)


def test_what_a_threshold_leaves_of_the_optimism_is_known():
    cases = table({})
    before = fit_review(cases, "logistic", None)
    assert before["optimism"] == pytest.approx(0.05)
    after = fit_review(cases, "logistic", {"dice_change": 0.001, "expected_dice_change": 0.02})
    assert after["optimism"] == pytest.approx(before["optimism"] + 0.019)


def test_each_fold_is_scored_by_what_was_fitted_on_the_others():
    folds = {0: ["a", "b"], 1: ["c"], 2: ["d"]}
    seen = dict(cross_fit(folds, set, lambda fitted, held_out: (fitted, held_out)))
    assert seen == {
        0: ({"c", "d"}, ["a", "b"]),
        1: ({"a", "b", "d"}, ["c"]),
        2: ({"a", "b", "c"}, ["d"]),
    }
    assert list(dict(cross_fit(folds, set, lambda *_: None, only=[2]))) == [2]
