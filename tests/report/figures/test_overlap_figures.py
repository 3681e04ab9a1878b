"""Figures of overlap, accuracy and distances hold what the tables hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from cardiac_seg.anatomy import LV, RV, Anatomy
from cardiac_seg.drawing.styles import METHOD_STYLE
from cardiac_seg.report.figures import elements as draw
from cardiac_seg.report.figures.overlap import (
    confusion_matrices,
    dice_bars,
    dice_of_method,
    pixel_accuracies,
    roc_curves,
    surface_distances,
)
from tests.support.drawn import (
    CLASSES,
    COLOURS,
    METHODS,
    MODELS,
    NAN,
    WITH_MEAN,
    frame,
    intervals,
    methods,
    number,
    points,
    texts,
)


def heights(axes, colour):
    return [p.get_height() for p in axes.patches if to_hex(p.get_edgecolor()) == colour.lower()]


def test_confusion_in_percent_where_it_belongs(figures, tables):
    assert len(figures["confusion"].axes) == len(MODELS)
    for axes, method in zip(figures["confusion"].axes, MODELS, strict=True):
        assert axes.get_title() == METHODS[method].title
        assert [label.get_text() for label in axes.get_xticklabels()] == CLASSES
        for cell in axes.texts:
            column, row = cell.get_position()
            place = {"truth": CLASSES[row], "predicted": CLASSES[column]}
            share = number(tables["confusion"], "share", method=method, **place)
            assert cell.get_text() == f"{100 * share:.1f}"


def test_confusion_of_a_class_without_pixels():
    table = frame(
        "method truth predicted share", ("mean", "RV", "RV", NAN), ("mean", "LV", "RV", 1)
    )
    (axes,) = confusion_matrices(table, methods("mean"), ["RV", "LV"]).axes
    assert [t.get_text() for t in axes.texts].count("–") == 8 and "100.0" in texts(axes)


def test_roc_curves_and_areas(figures, tables):
    for axes, method in zip(figures["roc"].axes, MODELS, strict=True):
        for line, name in zip(axes.lines, CLASSES, strict=True):
            curve = draw.select_rows(tables["roc"], method=method, **{"class": name})
            assert line.get_ydata().tolist() == curve.true_positive_rate.tolist()
            assert line.get_xdata().tolist() == curve.false_positive_rate.tolist()
            assert line.get_color() == COLOURS[name]
            area = number(tables["auc"], "auc", method=method, **{"class": name})
            assert f"{name} {area:.4f}" in texts(axes.get_legend())


def test_roc_of_a_class_never_seen():
    columns = "method class false_positive_rate true_positive_rate"
    roc = frame(columns, ("mean", "LV", 0.0, 0.0), ("mean", "LV", 1.0, 1.0))
    auc = frame("method class auc", ("mean", "LV", 0.5), ("mean", "RV", NAN))
    (axes,) = roc_curves(roc, auc, methods("mean"), Anatomy((RV, LV))).axes
    assert {"LV 0.5000", "RV –", "background –"} <= set(texts(axes.get_legend()))


def test_dice_bars_whiskers_and_patients(figures, tables):
    (axes,) = figures["dice"].axes
    dice = tables["summary"][tables["summary"].metric == "dice"]
    ends = {tuple(np.array(s)[:, 1]) for s in intervals(axes)}
    assert ends == set(zip(dice.low, dice.high, strict=True))
    for method in MODELS:
        rows = dice[dice.method == method].set_index("structure")["mean"]
        assert heights(axes, METHOD_STYLE[method]["color"]) == rows[WITH_MEAN].tolist()
    assert sorted(t.get_text() for t in axes.texts) == sorted(f"{v:.3f}" for v in dice["mean"])
    dots = sorted(y for line in points(axes) for _, y in line)
    assert dots == pytest.approx(sorted(tables["cases"].dice))


def test_dice_without_intervals_and_of_a_structure_never_defined():
    columns = "method structure metric mean low high"
    one = ("mean", "LV", "dice", 0.8, NAN, NAN), ("mean", "RV", "dice", NAN, NAN, NAN)
    table = frame(columns, *one, ("mean", "LV", "iou", 0.5, 0.4, 0.6))
    (axes,) = dice_bars(table, methods("mean"), ["RV", "LV"]).axes
    assert [t.get_text() for t in axes.texts] == ["–", "0.800", "–"] and not intervals(axes)
    (axes,) = dice_of_method(table, Anatomy((RV, LV)), METHODS["mean"]).axes
    assert [t.get_text() for t in axes.texts] == ["–\n[–]", "0.800\n[–]", "–\n[–]"]


def test_dice_of_the_ensemble_in_the_structures_colours(figures, tables):
    (axes,) = figures["dice_of_method"].axes
    table = draw.select_rows(tables["summary"], metric="dice", method="ensemble").set_index(
        "structure"
    )
    for name, bar, text in zip(WITH_MEAN, axes.patches, axes.texts, strict=True):
        row = table.loc[name]
        assert bar.get_height() == row["mean"]
        assert to_hex(bar.get_facecolor()) == COLOURS[name].lower()
        assert text.get_text() == f"{row['mean']:.3f}\n[{row.low:.3f}, {row.high:.3f}]"
    assert [np.array(s)[:, 1].tolist() for s in intervals(axes)] == table.loc[
        WITH_MEAN, ["low", "high"]
    ].values.tolist()


def test_dice_by_group(figures, tables):
    (axes,) = figures["dice_by_group"].axes
    table = draw.select_rows(tables["groups"], method="ensemble")
    for line, name in zip(axes.lines, WITH_MEAN, strict=True):
        values = draw.select_rows(table, structure=name).set_index("value").dice
        assert line.get_color() == COLOURS[name]
        assert line.get_xdata().tolist() == values[["ED", "ES"]].tolist()
    assert [t.get_text() for t in axes.texts] == [f"{v:.3f}" for v in values]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ED (4)", "ES (4)"]


def test_accuracies_and_where_their_axis_starts(tables):
    order = MODELS[::-1]  # another order than the table's
    (axes,) = pixel_accuracies(tables["accuracy"], methods(*order)).axes
    accuracy = tables["accuracy"].set_index("method").accuracy[order].tolist()
    assert points(axes) == [[[v, y]] for y, v in enumerate(accuracy)]
    assert [t.get_text() for t in axes.texts] == [f"{v:.4f}" for v in accuracy]
    assert [label.get_text() for label in axes.get_yticklabels()][0] == "Ensemble (mean)"
    assert f"starts at {axes.get_xlim()[0]:.4f}" in axes.get_xlabel()


def test_distances_leave_out_what_is_undefined():
    columns = "method structure hd95_mm assd_mm"
    cases = frame(columns, *[("mean", "LV", d, d / 2) for d in (1, 2, 6, NAN)])
    cases = pd.concat([cases, frame(columns, ("mean", "RV", NAN, NAN))])
    figure = surface_distances(cases, methods("mean"), ["RV", "LV"])
    for axes, median in zip(figure.axes, (2, 1), strict=True):
        thick = [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() == 1]
        assert [y for y in thick if y and not np.isnan(y).any()] == [[median, median]]
    assert (
        surface_distances(cases.assign(hd95_mm=NAN, assd_mm=NAN), methods("mean"), ["LV"]) is None
    )
