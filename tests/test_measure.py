"""Measures and tables: shapes and sums worked out by hand, laws, and scikit-learn beside."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import classification_report, roc_auc_score

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.metrics.agreement import agreement
from cardiac_seg.metrics.boundary import boundary_distance
from cardiac_seg.metrics.calibration import BINS
from cardiac_seg.metrics.indices import EF_AS_RECORDED
from cardiac_seg.metrics.overlap import confusion, overlap_metrics, thirds
from cardiac_seg.metrics.roc import ROC_BINS
from cardiac_seg.metrics.statistics import holm
from cardiac_seg.report import measure, published
from cardiac_seg.report.tables import build
from cardiac_seg.report.tables.clinical import agreement_table
from cardiac_seg.report.tables.columns import METRICS
from cardiac_seg.report.tables.comparisons import (
    COMPARISON,
    compare,
    comparison_table,
    corrected,
    verdict,
)
from cardiac_seg.report.tables.overlap import confusion_table, group_table, summary_table
from cardiac_seg.report.tables.probabilities import (
    ROC_POINTS,
    calibration_tables,
    change_table,
    roc_tables,
)
from cardiac_seg.report.tables.uncertainty import quality_table, risk_coverage
from cardiac_seg.run.folder import Run

STRUCTURES = ("RV", "MYO", "LV")
CLASSES = ("background", *STRUCTURES)
QUALITY = {"optimism": 0.0, "review_below": 0.5}


@pytest.fixture
def run(tmp_path):
    """A run of which only the configuration and the choice exist; gives the makers of others."""

    def make(members=MEMBERS, dataset="acdc", choice="logistic"):
        (tmp_path / "config.yaml").write_text(
            f"data: {{dataset: {dataset}, root: none}}\n"
            f"members: [{', '.join(members)}]\n"
            f"stacking: {{learners: {'[logistic]' if len(members) > 1 else '[]'}}}\n"
        )
        (tmp_path / "meta").mkdir(exist_ok=True)
        (tmp_path / "meta" / "choice.json").write_text(
            json.dumps({"method": choice, "quality": QUALITY})
        )
        return Run(tmp_path, load_config(tmp_path / "config.yaml", []))

    return make


def cases_table(rows, structures=STRUCTURES):
    """The table `cases` of (method, patient, phase, {structure: dice}); other metrics follow it."""
    made = []
    for method, patient, phase, dice in rows:
        for structure in structures:
            value = dice[structure] if isinstance(dice, dict) else dice
            about = {"case": f"{patient}_{phase}", "patient": patient, "view": "", "phase": phase}
            about |= {"group": "NOR", "method": method, "structure": structure}
            metrics = dict.fromkeys(METRICS, value)
            made.append(about | metrics | {"hd95_mm": 10 - 10 * value})
    return pd.DataFrame(made)


# Distances to the boundary


def test_the_boundary_is_the_two_pixels_that_touch():
    label = np.zeros((1, 2, 7), np.uint8)
    label[..., 3:] = 2
    distance = boundary_distance(label, (3.0, 0.5))
    assert distance.dtype == np.float64
    np.testing.assert_array_equal(distance[0], [[1, 0.5, 0, 0, 0.5, 1, 1.5]] * 2)


def test_distances_follow_the_spacing_of_each_axis():
    label = np.zeros((1, 9, 9), np.uint8)
    label[0, 4, 4] = 1  # with its four neighbours, a cross of zeros
    distance = boundary_distance(label, (3.0, 1.0))[0]
    assert distance[4, 4] == distance[3, 4] == distance[4, 5] == 0
    assert distance[4, 8] == 3  # three columns beyond the cross
    assert distance[8, 4] == 9  # three rows
    assert distance[5, 5] == 1  # diagonal: a column from the cross, three times nearer than a row
    assert distance[7, 6] == pytest.approx(np.hypot(2 * 3, 2))


def test_a_slice_of_one_class_has_no_boundary_even_beside_one_that_has():
    label = np.zeros((3, 4, 4), np.uint8)
    label[1, 1:3, 1:3], label[2] = 3, 1
    distance = boundary_distance(label, (1.0, 1.0))
    assert np.isinf(distance[[0, 2]]).all() and np.isfinite(distance[1]).all()


@given(
    arrays(np.uint8, (2, 4, 5), elements=st.integers(0, 2)),
    st.sampled_from([(1.0, 1.0), (0.5, 2.0), (3.0, 0.7)]),
)
def test_distances_are_those_of_a_search_over_all_pixels(label, spacing):
    distance = boundary_distance(label, spacing)
    for plane, found in zip(label, distance, strict=True):
        padded = np.pad(plane.astype(int), 1, mode="edge")
        around = [padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]]
        edges = np.argwhere(np.any([plane != other for other in around], axis=0))
        for at in np.ndindex(*plane.shape):
            lengths = [np.hypot(*((edge - at) * spacing)) for edge in edges]
            assert found[at] == pytest.approx(min(lengths, default=np.inf))


# Overlap and regions


def test_overlap_by_hand():
    truth = np.array([1, 1, 1, 1, 0, 0, 2, 0])
    mask = np.array([1, 1, 1, 2, 1, 1, 2, 0])
    found = overlap_metrics(confusion(truth, mask, 3), 1)
    assert found == {
        **{"tp": 3, "fp": 2, "fn": 1},
        **{"dice": 6 / 9, "iou": 3 / 6, "precision": 3 / 5, "recall": 3 / 4},
    }


@pytest.mark.parametrize(
    ("truth", "mask", "expected"),
    [
        ([1, 1, 0], [1, 1, 0], {"dice": 1, "iou": 1, "precision": 1, "recall": 1}),
        ([1, 1, 0], [0, 0, 1], {"dice": 0, "iou": 0, "precision": 0, "recall": 0}),
        ([1, 1, 0], [0, 0, 0], {"dice": 0, "iou": 0, "precision": np.nan, "recall": 0}),
        ([0, 0, 0], [0, 1, 0], {"dice": 0, "iou": 0, "precision": 0, "recall": np.nan}),
        ([0, 0, 0], [0, 0, 0], dict.fromkeys(("dice", "iou", "precision", "recall"), np.nan)),
    ],
    ids=["identical", "disjoint", "nothing predicted", "nothing there", "both empty"],
)
def test_overlap_at_its_ends(truth, mask, expected):
    found = overlap_metrics(confusion(np.array(truth), np.array(mask), 2), 1)
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([2, 3, 4], ([2], [3], [4])),
        ([0, 1, 2, 3], ([0, 1], [2], [3])),
        ([1, 2, 4, 5, 6], ([1, 2], [4, 5], [6])),
        ([3, 4], ([3], [4], [])),
        ([], ([], [], [])),
    ],
)
def test_thirds_are_of_the_slices_that_hold_the_structure(held, expected):
    label = np.zeros((8, 2, 2), bool)
    label[held, 0, 1] = True
    found = thirds(label)
    assert list(found) == ["base", "mid", "apex"]
    assert tuple(slices.tolist() for slices in found.values()) == expected


# Sums over pixels


def counted(probabilities, label, spacing=(1.0, 1.0), control="mean"):
    """The sums of one case whose classes are two."""
    methods = len(probabilities)
    sums = {
        "bins": np.zeros((methods, 2, measure.BINS, 3)),
        "brier": np.zeros((methods, 2)),
        "ranked": np.zeros((methods, 2, 2, ROC_BINS), np.int64),
        "changes": np.zeros((methods, len(measure.DISTANCES_MM) - 1, 3), np.int64),
    }
    pairs = {m: np.stack([1 - p, p], -1).astype(np.float32) for m, p in probabilities.items()}
    measure._add_pixels(sums, pairs, control, label, spacing)
    return sums


def calibration_of(probability, label):
    sums = counted({"mean": probability}, label)
    reliability, scores = calibration_tables(
        {"mean": sums["bins"][0][None]}, {"mean": sums["brier"][0][None]}, seed=0
    )
    return reliability, scores.set_index("area")


def test_calibration_has_intervals_over_patients():
    # Two patients of 10 pixels in one bin: one calibrated, one sure and wrong in half of them.
    bins = np.zeros((2, 2, BINS, 3))
    bins[0, :, -1], bins[1, :, -1] = (10, 10, 10), (10, 10, 5)
    brier = np.array([[0.0, 0.0], [10.0, 10.0]])
    _, scores = calibration_tables({"mean": bins}, {"mean": brier}, seed=0)
    row = scores.set_index("area").loc["band"]
    # A draw takes the first twice, the second twice, or both.
    assert row[["ece", "ece_low", "ece_high"]].tolist() == pytest.approx([0.25, 0, 0.5])
    assert row[["brier", "brier_low", "brier_high"]].tolist() == pytest.approx([0.5, 0, 1])


def test_calibration_by_hand():
    # Confidence .9 (right, wrong) and .62 (right twice): two bins.
    probability = np.array([[[0.9, 0.9], [0.38, 0.62]]])
    label = np.array([[[1, 0], [0, 1]]], np.uint8)
    reliability, scores = calibration_of(probability, label)
    assert scores.loc["image", "ece"] == pytest.approx((abs(1.8 - 1) + abs(1.24 - 2)) / 4)
    # Both classes count: twice the squared error of one.
    squared = 2 * (0.1**2 + 0.9**2 + 2 * 0.38**2)
    assert scores.loc["image", "brier"] == pytest.approx(squared / 4)
    # Every pixel touches the other class, so the band is the image.
    for column in ("pixels", "ece", "brier"):
        assert scores.loc["band", column] == scores.loc["image", column]
    lines = reliability[reliability.area == "image"]
    assert lines.bin.tolist() == [9, 13] and lines.pixels.tolist() == [2, 2]
    assert lines.confidence.tolist() == pytest.approx([0.62, 0.9])
    assert lines.accuracy.tolist() == [1, 0.5]


def test_the_band_ends_five_millimetres_from_the_boundary():
    label = np.zeros((1, 1, 24), np.uint8)
    label[..., 12:] = 1  # boundary pixels 11 and 12, band 6 to 17
    probability = np.where(label == 1, 0.9, 0.1)
    probability[..., :6] = 0.9  # outside of it, surely wrong
    _, scores = calibration_of(probability, label)
    assert scores.pixels.to_dict() == {"image": 24, "band": 12}
    assert scores.loc["band", "ece"] == pytest.approx(0.1, abs=1e-6)
    assert scores.loc["image", "ece"] == pytest.approx(abs(24 * 0.9 - 18) / 24, abs=1e-6)


def test_without_a_boundary_the_band_is_empty_and_undefined():
    reliability, scores = calibration_of(np.full((1, 3, 3), 0.2), np.zeros((1, 3, 3), np.uint8))
    assert scores.loc["band", "pixels"] == 0
    assert np.isnan(scores.loc["band", ["ece", "brier"]].astype(float)).all()
    assert set(reliability.area) == {"image"}
    assert scores.loc["image", "ece"] == pytest.approx(0.2, abs=1e-6)


def test_changes_are_counted_by_distance_and_outcome():
    label = np.zeros((1, 1, 30), np.uint8)
    label[..., 15:] = 1  # boundary pixels 14 and 15
    mean, method = np.where(label == 1, 0.9, 0.1), np.where(label == 1, 0.9, 0.1)
    method[..., 14] = 0.9  # 0 mm: worse
    mean[..., 17] = 0.1  # 2 mm: better
    method[..., 0] = 0.9  # 14 mm: worse
    sums = counted({"mean": mean, "method": method}, label)
    table = change_table({"method": sums["changes"][1]})
    assert table.distance.tolist() == ["0-2 mm", "2-4 mm", "4-6 mm", "6-10 mm", "over 10 mm"]
    assert table.changed.tolist() == [1, 1, 0, 0, 1]
    assert table.better.tolist() == [0, 1, 0, 0, 0]
    assert table.worse.tolist() == [1, 0, 0, 0, 1]
    assert not sums["changes"][0].any()  # the mean does not change itself


def test_a_change_from_wrong_to_wrong_is_neither_better_nor_worse():
    sums = {
        "bins": np.zeros((2, 2, measure.BINS, 3)),
        "brier": np.zeros((2, 2)),
        "ranked": np.zeros((2, 3, 2, ROC_BINS), np.int64),
        "changes": np.zeros((2, len(measure.DISTANCES_MM) - 1, 3), np.int64),
    }
    label = np.zeros((1, 2, 2), np.uint8)
    by_method = {m: np.eye(3, dtype=np.float32)[label + k] for m, k in (("mean", 1), ("other", 2))}
    measure._add_pixels(sums, by_method, "mean", label, (1.0, 1.0))
    table = change_table({"other": sums["changes"][1]}).set_index("distance")
    # No boundary at all: as far as can be.
    assert table.loc["over 10 mm", ["changed", "better", "worse", "neither"]].tolist() == [
        *(4, 0, 0, 4)
    ]
    assert table.changed.sum() == 4


# ROC


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
    counts = counted({"mean": probability}, label)["ranked"][0]
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


# Quality control


def test_cases_of_low_predicted_quality_are_looked_at_first():
    names = [f"patient{i}_ED" for i in range(4)]
    quality = pd.DataFrame({"case": names, "predicted_dice": [0.9, 0.5, 0.5, 0.7]})
    rows = [("ensemble", f"patient{i}", "ED", (9 - i) / 10) for i in range(4)]
    table = quality_table(quality, cases_table(rows))
    assert table.case.str[7].tolist() == ["1", "2", "3", "0"]  # equals: by name
    assert table.review_rank.tolist() == [1, 2, 3, 4]
    assert table.dice.tolist() == pytest.approx([0.8, 0.7, 0.6, 0.9])


def risk(dice, **scores):
    frame = pd.DataFrame({"dice": dice, **scores})
    for name in ("pairwise_dice", "boundary_entropy", "predicted_dice"):
        frame[name] = frame.get(name, np.linspace(0.4, 0.5, len(dice)))
    return risk_coverage(frame)


def test_risk_and_coverage_by_hand():
    table, found = risk([0.9, 0.5, 0.7], pairwise_dice=[0.8, 0.9, 0.7])
    curves = {name: some.risk.tolist() for name, some in table.groupby("score")}
    assert curves["pairwise_dice"] == pytest.approx([0.5, 0.3, 0.3])  # kept: .5, then .9, then .7
    assert curves["oracle"] == pytest.approx([0.1, 0.2, 0.3])
    assert curves["random"] == pytest.approx([0.3, 0.3, 0.3])
    assert table[table.score == "oracle"].coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    found = found.set_index("score")
    assert found.aurc["pairwise_dice"] == pytest.approx(1.1 / 3)
    assert found.aurc["oracle"] == pytest.approx(0.2)
    assert found.spearman["pairwise_dice"] == pytest.approx(-0.5)
    assert found.spearman["oracle"] == pytest.approx(1)
    assert np.isnan(found.spearman["random"])


def test_the_quality_score_is_compared_with_the_dice_it_is():
    _, found = risk([0.9, 0.5, 0.7], predicted_dice=[0.8, 0.7, 0.7])
    row = found.set_index("score").loc["predicted_dice"]
    assert row.bias == pytest.approx(0.1 / 3) and row.mae == pytest.approx(0.1)


def test_a_small_entropy_is_a_good_sign():
    _, found = risk([0.9, 0.5, 0.7], boundary_entropy=[0.1, 0.3, 0.2])
    found = found.set_index("score")
    assert found.aurc["boundary_entropy"] == pytest.approx(found.aurc["oracle"])
    assert found.pearson["boundary_entropy"] == pytest.approx(-1)  # of the entropy as it is


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=20))
def test_no_score_beats_the_oracle_at_any_coverage(pairs):
    dice, score = np.array(pairs).T / 10
    table, found = risk(dice, pairwise_dice=score)
    curves = {name: some.risk.to_numpy() for name, some in table.groupby("score")}
    for curve in curves.values():
        assert (curves["oracle"] <= curve + 1e-12).all()
        assert curve[-1] == pytest.approx((1 - dice).mean())
    np.testing.assert_allclose(curves["random"], (1 - dice).mean())
    assert found.aurc.min() == found.set_index("score").aurc["oracle"]


def test_cases_without_a_dice_are_left_out_and_none_leave_no_rows():
    table, _ = risk([0.9, np.nan, 0.7])
    assert len(table) == 2 * 5  # five scores
    table, found = risk([np.nan])
    assert table.empty and found.empty


# Paired comparisons


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


# Summaries


def summary_of(rows, **options):
    table = summary_table(cases_table(rows, **options), ("MYO", "LV"), seed=0)
    return table[table.metric == "dice"].set_index(["method", "structure"])


def test_a_summary_averages_cases_then_patients_then_structures():
    rows = [
        ("mean", "patient1", "ED", {"MYO": 0.6, "LV": 0.9}),
        ("mean", "patient1", "ES", {"MYO": 0.8, "LV": np.nan}),
        ("mean", "patient2", "ED", {"MYO": 0.5, "LV": 0.7}),
    ]
    table = summary_of(rows, structures=("MYO", "LV"))
    myo, lv, mean = (table.loc[("mean", s)] for s in ("MYO", "LV", "mean"))
    assert myo["mean"] == pytest.approx((0.7 + 0.5) / 2)  # not (.6 + .8 + .5) / 3
    assert lv["mean"] == pytest.approx(0.8)  # the undefined case is left out
    assert mean["mean"] == pytest.approx(0.7)
    assert [row["undefined_cases"] for row in (myo, lv, mean)] == [0, 1, 1]
    assert [row["patients"] for row in (myo, lv, mean)] == [2, 2, 2]
    # Of two patients, one draw in four takes each twice: the interval is from one to the other.
    assert (myo.low, myo.high) == pytest.approx((0.5, 0.7))
    assert (mean.low, mean.high) == pytest.approx((0.6, 0.8))


def test_one_patient_has_no_interval():
    rows = [("mean", "patient1", phase, 0.5) for phase in ("ED", "ES")]
    table = summary_of(rows, structures=("MYO", "LV"))
    assert table["mean"].tolist() == [0.5] * 3
    assert table[["low", "high"]].isna().all(axis=None)


def test_a_structure_that_is_nowhere_is_left_out_of_the_mean():
    rows = [("mean", f"patient{i}", "ED", {"MYO": np.nan, "LV": 0.8}) for i in (1, 2)]
    table = summary_of(rows, structures=("MYO", "LV"))
    assert np.isnan(table.loc[("mean", "MYO"), "mean"])
    assert table.loc[("mean", "MYO"), "patients"] == 0
    assert table.loc[("mean", "mean"), "mean"] == pytest.approx(0.8)
    assert table.loc[("mean", "mean"), "low"] == pytest.approx(0.8)


def test_every_metric_of_every_model_is_summarised():
    rows = [(m, f"patient{i}", "ED", 0.5 + i / 10) for m in ("mean", "ensemble") for i in range(3)]
    table = summary_table(cases_table(rows), STRUCTURES, seed=0)
    assert len(table) == len(METRICS) * 2 * 4
    assert set(table.metric) == set(METRICS)
    hd95 = table[(table.metric == "hd95_mm") & (table.structure == "mean")]
    assert hd95["mean"].tolist() == pytest.approx([4.0, 4.0])


def test_groups_average_patients_and_regions_come_from_their_pixels(run):
    about = {"view": "", "group": "RV", "method": "ensemble"}
    cases = cases_table(
        [
            ("ensemble", "patient1", "ED", 0.6),
            ("ensemble", "patient1", "ES", 0.8),
            ("ensemble", "patient2", "ED", 0.9),
        ]
    )
    cases["group"] = cases.patient.map({"patient1": "RV", "patient2": ""})
    counts = [("ED", "apex", 3, 1, 1), ("ES", "apex", 1, 1, 1), ("ED", "base", 5, 0, 0)]
    counts += [("ED", "mid", 0, 0, 0)]
    regions = pd.DataFrame(
        about
        | {"patient": "patient1", "case": f"patient1_{phase}", "phase": phase}
        | {"structure": "LV", "region": region, "tp": tp, "fp": fp, "fn": fn}
        for phase, region, tp, fp, fn in counts
    )
    table = group_table(run(), cases, regions).set_index(["by", "value", "structure"])
    assert table.dice["group", "abnormal RV", "LV"] == pytest.approx(0.7)
    assert table.patients["group", "abnormal RV", "LV"] == 1
    assert "patient2" not in table.index and len(table.loc["group"]) == 4  # no group known
    assert table.dice["phase", "ED", "mean"] == pytest.approx(0.75)
    assert table.patients["phase", "ED", "mean"] == 2
    assert table.low["phase", "ED", "mean"] < 0.75 < table.high["phase", "ED", "mean"]
    assert table.dice["region", "apex", "LV"] == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert table.dice["region", "base", "LV"] == 1
    assert np.isnan(table.dice["region", "mid", "LV"])
    assert list(dict.fromkeys(table.loc["region"].index.get_level_values(0))) == [
        *("base", "mid", "apex")
    ]


def test_the_reference_has_its_own_row_against_the_recorded_ef():
    recorded = pd.Series([50.0, 60.0, 40.0], index=["0001", "0002", "0003"])
    values = {"reference": [55.0, 63.0, 47.0], "ensemble": [54.0, 66.0, 44.0]}
    clinical = pd.DataFrame(
        {"patient": patient, "method": method, "index": EF_AS_RECORDED, "value": value}
        for method, of in values.items()
        for patient, value in zip(recorded.index, of, strict=True)
    )
    clinical = clinical.assign(volume_method="biplane")
    table = agreement_table(clinical, recorded).set_index(["method", "against"])
    assert list(table.index) == [
        ("reference", "recorded EF"),
        ("ensemble", "reference masks"),
        ("ensemble", "recorded EF"),
    ]
    oracle = table.loc[("reference", "recorded EF")]
    assert oracle.bias == pytest.approx((5 + 3 + 7) / 3) and oracle.mae == pytest.approx(5)
    expected = agreement(np.array(values["ensemble"]), np.array(values["reference"]))
    assert table.loc[("ensemble", "reference masks"), list(expected)].to_dict() == expected
    assert table.unit.unique().tolist() == ["%"]


def test_volumes_by_another_method_are_left_out_of_the_agreement():
    rows = [("reference", "biplane", [100.0, 120.0]), ("mean", None, [110.0, 150.0])]
    clinical = pd.DataFrame(
        {"patient": p, "method": m, "volume_method": how or w, "index": "lv_edv_ml", "value": v}
        for m, how, of in rows
        for p, w, v in zip(("p1", "p2"), ("biplane", "monoplane 2CH"), of, strict=True)
    )
    table = agreement_table(clinical, pd.Series(np.nan, index=["p1", "p2"]))
    assert table[["patients", "bias"]].to_numpy().tolist() == [[1, 10]]


def test_indices_without_a_recorded_ef_have_no_oracle():
    clinical = pd.DataFrame(
        {"patient": p, "method": m, "index": "lv_edv_ml", "value": v}
        for m, of in (("reference", [100.0, 120.0]), ("mean", [110.0, np.nan]))
        for p, v in zip(("p1", "p2"), of, strict=True)
    )
    clinical = clinical.assign(volume_method="voxels")
    table = agreement_table(clinical, pd.Series(np.nan, index=["p1", "p2"]))
    assert table[["method", "against", "patients"]].to_numpy().tolist() == [
        ["mean", "reference masks", 1]
    ]
    assert table.bias[0] == 10


# The published form


def pixels_table(truth, predicted, methods=("mean",), classes=CLASSES):
    counts = confusion(truth, predicted, len(classes)).tolist()
    return confusion_table({m: {"confusion": counts} for m in methods}, classes)


def some_pixels(seed=0, labels=4):
    rng = np.random.default_rng(seed)
    truth = rng.choice(labels, 5000, p=np.array([0.7, 0.1, 0.1, 0.1][:labels]))
    wrong = rng.random(5000) < 0.2
    return truth, np.where(wrong, rng.integers(0, labels, 5000), truth)


def test_rows_of_the_confusion_sum_to_one():
    truth, predicted = some_pixels()
    table = pixels_table(truth, predicted)
    assert table.groupby("truth").share.sum().tolist() == pytest.approx([1] * 4)
    row = table[(table.truth == "LV") & (table.predicted == "background")].iloc[0]
    assert row.pixels == ((truth == 3) & (predicted == 0)).sum()
    assert row.share == pytest.approx(row.pixels / (truth == 3).sum())
    absent = pixels_table(np.array([0, 1]), np.array([0, 1]))
    assert absent[absent.truth == "LV"].share.isna().all()


def flat(values, path=""):
    for key, value in values.items():
        nested = isinstance(value, dict)
        yield from flat(value, f"{path}{key}/") if nested else [(path + key, value)]


@pytest.mark.parametrize("seed", range(3))
def test_the_report_is_scikit_learns(seed):
    truth, predicted = some_pixels(seed)
    told = published.numerical_results(pixels_table(truth, predicted))["mean"]
    expected = classification_report(truth, predicted, target_names=CLASSES, output_dict=True)
    assert dict(flat(told["classification_report"])) == pytest.approx(dict(flat(expected)))
    assert told["accuracy"] == pytest.approx((truth == predicted).mean())
    assert list(told["dice_scores"]) == ["0", "1", "2", "3"]
    f1 = [expected[name]["f1-score"] for name in CLASSES]
    assert list(told["dice_scores"].values()) == pytest.approx(f1)
    assert told["mean_dice"] == pytest.approx(np.mean(f1))


def test_the_published_models_come_first_under_their_names():
    truth, predicted = some_pixels()
    methods = ("mean", "deep_unet_improved", "random_forest", "unet_advanced", "ensemble")
    results = published.numerical_results(pixels_table(truth, predicted, methods))
    assert list(results) == [*MEMBERS, "Ensemble", "mean", "random_forest"]
    table = published.dice_scores(results, list(CLASSES))
    assert list(table.columns) == ["Model", "Class", "Dice_Score"] and len(table) == 5 * 4
    assert table.Class.tolist()[:4] == list(CLASSES)


def test_what_is_undefined_is_null_and_no_part_of_a_mean():
    truth = np.array([0, 0, 0, 1, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 1, 0, 0])  # 2 is missed, 3 is nowhere
    told = published.numerical_results(pixels_table(truth, predicted))["mean"]
    entry = told["classification_report"]["LV"]
    assert entry == {"precision": None, "recall": None, "f1-score": None, "support": 0}
    assert told["classification_report"]["MYO"]["precision"] is None
    assert told["dice_scores"]["2"] == 0 and told["dice_scores"]["3"] is None
    # 4 of (3 + 4) background pixels, 4 of (3 + 3) of class 1.
    assert told["mean_dice"] == pytest.approx((4 / 7 + 4 / 6 + 0) / 3)
    json.loads(json.dumps(told, allow_nan=False))


def results_of(dice, accuracy, methods=("Ensemble",)):
    told = {"dice_scores": {str(i): v for i, v in enumerate(dice)}, "accuracy": accuracy}
    known = [v for v in dice if v is not None]
    return dict.fromkeys(methods, told | {"mean_dice": float(np.mean(known))})


def test_targets_are_met_or_missed():
    results = results_of([0.95, 0.91, 0.79, 0.86], 0.97)
    table = published.target_table(results, ["background", "LV", "MYO", "LA"])
    assert [what.split()[-1] for what in table.target] == ["0.85", "0.90", "0.80", "0.95", "0.90"]
    # Background misses: a target is more than .95, not .95.
    assert table.met.tolist() == ["met", "met", "missed", "missed", "met"]
    assert table.value.tolist() == pytest.approx([0.8775, 0.91, 0.79, 0.95, 0.97])
    results = results_of([0.99, None, 0.9, 0.9], 0.97)
    table = published.target_table(results, ["background", "LV", "MYO", "LA"])
    assert table.met[1] == "-" and np.isnan(table.value[1])


def test_the_published_figures_are_the_papers():
    titles = (*MEMBERS, "Ensemble")
    table = published.published_table(results_of([0.9, 0.8, None, 0.6], 0.95, titles))
    there = table.pivot(index="method", columns="quantity", values="published")
    columns = ["background", "LV", "MYO", "LA", "mean of 4", "pixel accuracy"]
    assert there.loc["unet_advanced", columns].tolist() == [
        *(0.9797, 0.9324, 0.8529, 0.8612, 0.9066, 0.9557)
    ]
    assert there.loc["deep_unet_improved", columns].tolist() == [
        *(0.9776, 0.9251, 0.8385, 0.8497, 0.8977, 0.9512)
    ]
    assert there.loc["ensemble", columns].tolist() == [
        *(0.9801, 0.9339, 0.8563, 0.8662, 0.9091, 0.9567)
    ]
    lv = table[(table.method == "ensemble") & (table.quantity == "LV")].iloc[0]
    assert lv.here == 0.8 and lv.difference == pytest.approx(0.8 - 0.9339)
    assert table[table.quantity == "MYO"].difference.isna().all()


@pytest.mark.parametrize(
    ("dataset", "data", "follows"),
    [
        ("camus", ["data.views=[2CH]", "data.phases=[ED]"], True),
        ("camus", ["data.phases=[ED]"], False),
        ("camus", ["data.views=[2CH]"], False),
        ("acdc", ["data.phases=[ED]"], False),
    ],
)
def test_only_runs_on_the_published_images_stand_beside_the_paper(run, dataset, data, follows):
    here = run(dataset=dataset)
    config = load_config(here.folder / "config.yaml", data)
    assert published.follows_publication(Run(here.folder, config)) is follows
