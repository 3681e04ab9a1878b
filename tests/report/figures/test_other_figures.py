"""Figures of training, calibration, uncertainty and stacking hold their tables."""

import numpy as np
import pandas as pd

from cardiac_seg.drawing.styles import METHOD_STYLE, SCORES
from cardiac_seg.report.figures import elements as draw
from cardiac_seg.report.figures.clinical import bland_altman
from cardiac_seg.report.figures.places import UNSURE, importance_heat
from cardiac_seg.report.figures.stacking import forest_plot
from cardiac_seg.report.figures.training import training_curves
from cardiac_seg.report.figures.uncertainty import quality_scatter
from tests.support.drawn import (
    ANATOMY,
    COLOURS,
    METHODS,
    MODELS,
    NAN,
    frame,
    intervals,
    methods,
    number,
    points,
    texts,
)


def test_training_curves_have_a_line_for_each_part(figures, tables):
    loss, dice = figures["training"].axes
    for axes, column in ((loss, "loss"), (dice, "val_dice")):
        rows = tables["history"].groupby("fold")[column].apply(list)
        assert [line.get_ydata().tolist() for line in axes.lines] == rows.tolist()
    assert texts(loss.get_legend()) == ["U-Net advanced (2 trainings)"]


def test_training_without_validation():
    columns = "member fold epoch loss val_dice"
    history = frame(columns, ("unet_advanced", "full", 1, 0.5, NAN))
    loss, _ = training_curves(history, methods("unet_advanced")).axes
    assert points(loss) == [[[1, 0.5]]] and loss.lines[0].get_marker() == "o"


def test_reliability_and_calibration(figures, tables):
    uppers = figures["reliability"].axes
    for axes, below, area in zip(uppers[:2], uppers[2:], ("image", "band"), strict=True):
        for line, method in zip(axes.lines[1:], MODELS, strict=True):  # the first is the diagonal
            rows = draw.select_rows(tables["reliability"], method=method, area=area)
            assert np.column_stack(line.get_data()).tolist() == (
                rows[["confidence", "accuracy"]].values.tolist()
            )
            assert line.get_color() == METHOD_STYLE[method]["color"]
            ece = number(tables["calibration"], "ece", method=method, area=area)
            assert f"{ece:.4f}  {METHODS[method].title}" in texts(below.get_legend())
    columns = [("ece", "image"), ("ece", "band"), ("brier", "image"), ("brier", "band")]
    for axes, (score, area) in zip(figures["calibration"].axes, columns, strict=True):
        table = tables["calibration"]
        values = [number(table, score, method=method, area=area) for method in MODELS]
        assert points(axes) == [[[v, y]] for y, v in enumerate(values)]
        assert [t.get_text() for t in axes.texts] == [f"{v:.4f}" for v in values]


def test_quality_and_its_correlation(figures, tables):
    scores = ["pairwise_dice", "boundary_entropy"]
    for axes, score in zip(figures["quality"].axes, scores, strict=True):
        assert points(axes) == [tables["quality"][[score, "dice"]].values.tolist()]
        told = draw.select_rows(tables["quality_agreement"], score=score).iloc[0]
        assert axes.get_title() == f"Pearson r {told.pearson:.2f}, Spearman {told.spearman:.2f}"
    one_member = tables["quality"].assign(pairwise_dice=NAN)
    (axes,) = quality_scatter(one_member, tables["quality_agreement"]).axes
    assert "entropy" in axes.get_xlabel()


def test_risk_coverage(figures, tables):
    (axes,) = figures["risk"].axes
    for line, (score, (name, _, _)) in zip(axes.lines, SCORES.items(), strict=True):
        rows = draw.select_rows(tables["risk_coverage"], score=score)
        assert line.get_ydata().tolist() == rows.risk.tolist()
        aurc = number(tables["quality_agreement"], "aurc", score=score)
        assert f"{aurc:.4f}  {name}" in texts(figures["risk"].legends[0])


def test_bland_altman_by_hand():
    clinical = frame("patient method index value")
    values = {"reference": [100, 120, 160], "mean": [104, 118, 170]}
    for method, three in values.items():
        rows = [(p, method, "lv_edv_ml", v) for p, v in zip("abc", three, strict=True)]
        clinical = pd.concat([clinical, frame("patient method index value", *rows)])
    columns = "method index unit patients r bias sd low high"
    agreement = frame(columns, ("mean", "lv_edv_ml", "mL", 3, 0.987, 4, 6, -7.76, 15.76))
    left, right = bland_altman(clinical, agreement, METHODS["mean"], ["lv_edv_ml"], ANATOMY).axes
    assert points(left, "o") == [[[100, 104], [120, 118], [160, 170]]]
    assert points(right, "o") == [[[102, 4], [119, -2], [165, 10]]]
    assert sorted(line.get_ydata()[0] for line in right.lines[1:]) == [-7.76, 0, 4, 15.76]
    assert {t.get_text() for t in right.texts} == {"4.0", "−7.8", "15.8"}
    assert left.get_title("left") == "LV EDV: r 0.987, n 3"
    assert "mL" in left.get_xlabel() and "mL" in right.get_ylabel()
    assert left.lines[0].get_color() == COLOURS["LV"]

    alone = frame(columns, ("mean", "lv_edv_ml", "mL", 1, NAN, 4, NAN, NAN, NAN))
    figure = bland_altman(
        clinical[clinical.patient == "a"], alone, METHODS["mean"], ["lv_edv_ml"], ANATOMY
    )
    assert [t.get_text() for t in figure.axes[1].texts] == ["4.0"]
    assert figure.axes[0].get_title("left") == "LV EDV: r –, n 1"


def test_forest_of_dice_against_the_mean_primary_first():
    columns = "role method against metric difference low high p_holm verdict"
    table = frame(
        columns,
        ("exploratory", "logistic", "mean", "dice", -0.002, -0.003, -0.00001, 0.0004, "worse"),
        ("primary", "ensemble", "mean", "dice", 0.0031, 0.0012, 0.0049, 0.012, "better"),
        ("secondary", "ensemble", "mean", "hd95_mm", 1, 1, 1, 1, "not shown"),
        ("secondary", "ensemble", "calibrated_mean", "dice", 1, 1, 1, 1, "not shown"),
        ("secondary", "weighted_mean", "mean", "dice", 0, -0.1, 0.1, 1, "not shown"),
        ("exploratory", "random_forest", "mean", "dice", 0.001, NAN, NAN, NAN, "not shown"),
    )
    (axes,) = forest_plot(
        table, methods("logistic", "random_forest", "weighted_mean", "ensemble")
    ).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Ensemble (mean)", "Weighted mean", "Logistic", "Random forest"]
    assert points(axes)[1:] == [[[0.0031, 0]], [[0, 1]], [[-0.002, 2]], [[0.001, 3]]]
    assert intervals(axes) == [
        [[0.0012, 0], [0.0049, 0]],
        [[-0.1, 1], [0.1, 1]],
        [[-0.003, 2], [-0.00001, 2]],
    ]
    told = [t.get_text() for t in axes.texts][4:]  # after the headings
    assert told[:4] == ["+0.0031 [+0.0012, +0.0049]", "0.012", "better", "primary"]
    assert told[4:8] == ["+0.0000 [−0.1000, +0.1000]", "1.000", "not shown", "secondary"]
    assert told[8:12] == ["−0.0020 [−0.0030, +0.0000]", "< 0.001", "worse", "exploratory"]
    assert told[12:15] == ["+0.0010 [–]", "–", "not shown"]
    assert axes.get_xlabel() == "Dice minus the mean's (right: better)"


def test_a_primary_comparison_to_another_control_says_so():
    columns = "role method against metric difference low high p_holm verdict"
    table = frame(
        columns,
        ("primary", "ensemble", "calibrated_mean", "dice", 0.003, 0.001, 0.005, 0.01, "better"),
        ("secondary", "ensemble", "mean", "dice", 0.002, -0.001, 0.005, 0.2, "not shown"),
    )
    (axes,) = forest_plot(table, methods("ensemble")).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Ensemble (mean) *", "Ensemble (mean)"]
    assert "* minus the calibrated mean's" in axes.get_xlabel()


def test_changed_pixels(figures, tables):
    for axes, method in zip(figures["changes"].axes, MODELS, strict=True):
        rows = draw.select_rows(tables["changes"], method=method)
        for bars in axes.containers:
            assert [b.get_height() for b in bars] == rows[bars.get_label()].tolist()
        assert [c.get_label() for c in axes.containers] == ["better", "worse", "neither"]


def test_importance(figures, tables):
    for axes, method in zip(figures["importance"].axes, MODELS, strict=True):
        rows = draw.select_rows(tables["importance"], method=method)
        assert points(axes)[1:] == [[[v, y]] for y, v in enumerate(rows["mean"])]
        ends = [[[r.low, y], [r.high, y]] for y, r in enumerate(rows.itertuples())]
        assert intervals(axes) == ends
        assert [t.get_text() for t in axes.texts] == [f"{v:.4f}" for v in rows["mean"]]


def test_runs_each_with_its_models(figures, tables):
    (axes,) = figures["runs"].axes
    rows = tables["runs"]
    assert [line[0][0] for line in points(axes)] == rows["mean"].tolist()
    assert [[s[0][0], s[1][0]] for s in intervals(axes)] == rows[["low", "high"]].values.tolist()
    for row in rows.itertuples():
        assert f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]" in texts(axes)
    assert "one (patients: 3)" in texts(axes)


def test_importance_by_place_has_a_panel_per_structure():
    rows = [
        ("logistic", group, structure, place, value, value - spread, value + spread)
        for group, value, spread in (("slices", 12.3, 1), ("margin", -0.44, 0.1), ("phase", 3, 5))
        for structure in ("LV", "RV")
        for place in ("base ED", "apex ED")
    ]
    table = frame("method group structure place nats_per_1000_pixels low high", *rows)
    figure = importance_heat(table, METHODS["logistic"], ["RV", "MYO", "LV"])
    assert [axes.get_title() for axes in figure.axes] == ["RV", "LV"]
    for axes in figure.axes:
        assert [t.get_text() for t in axes.get_xticklabels()] == ["base ED", "apex ED"]
        cells = {t.get_text(): t.get_color() for t in axes.texts}
        # Where the folds disagree on the sign, the number is grey.
        assert cells == {"12": "#000000", "−0.4": "#000000", "3.0": UNSURE}
        assert np.asarray(axes.images[0].get_array())[0].tolist() == [12.3, 12.3]
    assert figure.axes[0].get_yticklabels()[0].get_text() == "slices"
    assert importance_heat(table, None, ["LV"]) is None
    assert importance_heat(table[:0], METHODS["logistic"], ["LV"]) is None
    assert importance_heat(table, METHODS["mean"], ["LV"]) is None
