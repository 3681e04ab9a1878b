"""Paired comparisons of methods: who counts, and what a verdict needs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.metrics.statistics import holm
from cardiac_seg.report.tables import build
from cardiac_seg.report.tables.comparisons import (
    COMPARISON,
    compare,
    comparison_table,
    corrected,
    verdict,
)
from tests.support.measured import cases_table


def values_of(columns):
    return pd.DataFrame(columns, index=[f"patient{i}" for i in range(len(columns["LV"]))])


def test_a_pair_counts_where_both_are_defined():
    method = values_of({"LV": [0.9, 0.8, np.nan], "MYO": [0.7, np.nan, 0.6]})
    control = values_of({"LV": [0.8, 0.5, 0.4], "MYO": [0.6, 0.1, np.nan]})
    found = compare(method, control, "dice", seed=0)
    assert found["patients"] == 2  # the third has no pair
    assert found["difference"] == pytest.approx(((0.1 + 0.3) / 2 + 0.1) / 2)  # patients, structures
    assert found["effect"] == 1


def test_patients_that_differ_by_the_same_leave_no_interval_but_a_point():
    control = values_of({"LV": [0.2, 0.4, 0.5], "MYO": [0.6, 0.1, 0.3]})
    found = compare(control + 0.125, control, "dice", seed=0)
    assert found["low"] == pytest.approx(0.125) and found["high"] == pytest.approx(0.125)


def test_a_structure_without_any_pair_is_left_out():
    method = values_of({"LV": [0.9, 0.8, 0.6], "MYO": [0.7, np.nan, np.nan]})
    control = values_of({"LV": [0.8, 0.5, 0.4], "MYO": [np.nan, 0.1, np.nan]})
    alone = compare(method[["LV"]], control[["LV"]], "dice", seed=0)
    found = compare(method, control, "dice", seed=0)
    assert (found.pop("excluded"), alone.pop("excluded")) == (2, 0)
    assert found == alone
    assert alone["low"] < alone["difference"] < alone["high"]


def test_no_pair_at_all_is_undefined():
    method = values_of({"LV": [0.9, np.nan]})
    control = values_of({"LV": [np.nan, 0.5]})
    found = compare(method, control, "dice", seed=0)
    assert (found.pop("patients"), found.pop("excluded")) == (0, 2)
    assert all(np.isnan(value) for value in found.values())
    found |= {"role": "primary", "metric": "dice"}
    assert corrected(pd.DataFrame([found])).verdict.tolist() == ["not shown"]


@pytest.mark.parametrize(("metric", "sign"), [("dice", 1), ("hd95_mm", -1), ("band_ece", -1)])
def test_a_positive_effect_is_a_better_model(metric, sign):
    control = values_of({"LV": np.linspace(1, 2, 8)})
    method = control + values_of({"LV": np.linspace(0.1, 0.2, 8)})
    found = compare(method, control, metric, seed=0)
    assert found["difference"] == pytest.approx(0.15)  # method minus control, whatever is better
    assert found["low"] < 0.15 < found["high"]
    assert found["effect"] == sign
    assert found["p"] == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    ("metric", "low", "high", "p_holm", "expected"),
    [
        ("dice", 0.01, 0.03, 0.04, "better"),
        ("dice", -0.03, -0.01, 0.04, "worse"),
        ("hd95_mm", 0.01, 0.03, 0.04, "worse"),
        ("hd95_mm", -0.03, -0.01, 0.04, "better"),
        ("band_ece", -0.03, -0.01, 0.04, "better"),
        ("dice", 0.01, 0.03, 0.05, "not shown"),  # the test does not say so
        ("dice", -0.001, 0.03, 0.01, "not shown"),  # the interval does not
        ("dice", 0.0, 0.03, 0.01, "not shown"),
        ("dice", np.nan, np.nan, 0.01, "not shown"),
        ("dice", 0.01, 0.03, np.nan, "not shown"),
    ],
)
def test_a_verdict_needs_the_interval_and_the_corrected_test(metric, low, high, p_holm, expected):
    row = SimpleNamespace(metric=metric, low=low, high=high, p_holm=p_holm)
    assert verdict(row) == expected


def comparison_cases(methods):
    """Ten patients; each method's Dice is the mean's plus its own small, varying difference."""
    rng = np.random.default_rng(5)
    base, spread = rng.uniform(0.6, 0.8, 10), rng.uniform(0.5, 1.5, 10)
    return cases_table(
        [
            (method, f"patient{i}", phase, base[i] + apart * spread[i])
            for method, apart in methods.items()
            for i in range(10)
            for phase in ("ED", "ES")
        ]
    )


def test_roles_and_their_correction(run):
    apart = {"unet_advanced": -0.02, "deep_unet_improved": -0.01, "mean": 0.0}
    apart |= {"calibrated_mean": 0.0, "logistic_core": 0.01, "logistic": 0.02}
    cases = build.with_ensemble(comparison_cases(apart), "logistic")
    calibration = cases[cases.structure == "LV"].groupby(["method", "patient"], as_index=False)
    calibration = calibration.hd95_mm.mean().rename(columns={"hd95_mm": "band_ece"})
    table = comparison_table(run(), cases, calibration)
    assert list(table.columns) == COMPARISON
    against = [tuple(row) for row in table[["role", "method", "against", "metric"]].to_numpy()]
    assert against == [
        ("primary", "ensemble", "calibrated_mean", "dice"),
        ("secondary", "ensemble", "calibrated_mean", "hd95_mm"),
        ("secondary", "ensemble", "calibrated_mean", "band_ece"),
        ("secondary", "ensemble", "mean", "dice"),
        ("secondary", "ensemble", "mean", "hd95_mm"),
        ("secondary", "ensemble", "mean", "band_ece"),
        ("exploratory", "unet_advanced", "mean", "dice"),
        ("exploratory", "deep_unet_improved", "mean", "dice"),
        ("exploratory", "calibrated_mean", "mean", "dice"),
        ("exploratory", "logistic_core", "mean", "dice"),
    ]
    for _, some in table.groupby("role"):
        assert some.p_holm.tolist() == holm(some.p.tolist())
    smallest = 2 / 2**10  # all ten patients on one side
    by_method = table.set_index(["role", "method", "metric"])
    assert table.p_holm[0] == smallest  # the one primary test stays as it is
    assert table.p_holm[1] == pytest.approx(5 * smallest)
    assert table.verdict.tolist() == [*["better"] * 6, "worse", "worse", "not shown", "better"]
    assert by_method.p["exploratory", "calibrated_mean", "dice"] == 1
    assert table.difference[0] == pytest.approx(0.02, abs=0.005)
    assert table.patients.tolist() == [10] * 10


def test_one_network_is_compared_with_nothing(run):
    cases = build.with_ensemble(comparison_cases({"unet_advanced": 0.0}), "unet_advanced")
    alone = run(members=MEMBERS[:1], choice="unet_advanced")
    calibration = pd.DataFrame({"method": [], "patient": [], "band_ece": []})
    table = comparison_table(alone, cases, calibration)
    assert table.empty and list(table.columns) == COMPARISON
