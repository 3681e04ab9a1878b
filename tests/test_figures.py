"""Figures: what is drawn and printed is what the tables hold, and it can be read."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.text import Text

from cardiac_seg.drawing.styles import CLASS_COLOURS, METHOD_NAMES, METHOD_STYLE, SCORES
from cardiac_seg.report.figures import elements as draw
from cardiac_seg.report.figures.calibration import calibration_scores, reliability_diagrams
from cardiac_seg.report.figures.clinical import bland_altman
from cardiac_seg.report.figures.overlap import (
    confusion_matrices,
    dice_bars,
    dice_by_group,
    dice_of_method,
    pixel_accuracies,
    roc_curves,
    surface_distances,
)
from cardiac_seg.report.figures.runs import run_dots
from cardiac_seg.report.figures.stacking import change_bars, forest_plot, importance_dots
from cardiac_seg.report.figures.training import training_curves
from cardiac_seg.report.figures.uncertainty import quality_scatter, risk_coverage_curves

MODELS = ["unet_advanced", "logistic_core", "ensemble"]
STRUCTURES = ["RV", "MYO", "LV"]
CLASSES = ["background", *STRUCTURES]
WITH_MEAN = [*STRUCTURES, "mean"]
NAN = np.nan


def frame(columns, *rows):
    return pd.DataFrame(rows, columns=columns.split())


def some_tables(methods):
    """A row for everything there is to draw; no two numbers alike."""
    rng = np.random.default_rng(0)

    def rows(columns, *keys):
        """All combinations of the keys, random numbers in the columns."""
        table = pd.MultiIndex.from_product([list(k) for _, k in keys], names=[n for n, _ in keys])
        table = table.to_frame(index=False)
        return table.assign(**{c: rng.uniform(0.6, 0.9, len(table)) for c in columns.split()})

    method = ("method", methods)
    clinical = rows(
        "value",
        ("patient", ["a", "b", "c"]),
        ("method", [*methods, "reference"]),
        ("index", ["lv_edv_ml", "lv_ef_percent", "myocardial_mass_g"]),
    )
    agreement = rows("r bias sd", method, ("index", list(clinical["index"].unique())))
    comparisons = rows("difference p_holm", method, ("metric", ["dice", "hd95_mm"]))
    summary = rows("mean", method, ("structure", WITH_MEAN), ("metric", ["dice", "hd95_mm"]))
    runs = rows("mean", ("run", ["one", "two_" * 10]), method).assign(patients=3)
    importance = rows("mean", method, ("group", ["probability", "entropy", "context"]))
    tables = {
        "cases": rows(
            "dice hd95_mm assd_mm", ("patient", "abc"), method, ("structure", STRUCTURES)
        ),
        "summary": around(summary, "mean"),
        "groups": rows(
            "dice", ("by", ["phase"]), ("value", ["ED", "ES"]), method, ("structure", WITH_MEAN)
        ).assign(patients=4),
        "comparisons": around(comparisons, "difference").assign(
            role="exploratory", against="mean", verdict="not shown"
        ),
        "confusion": rows("share", method, ("truth", CLASSES), ("predicted", CLASSES)),
        "accuracy": rows("accuracy", method),
        "roc": rows("true_positive_rate", method, ("class", CLASSES), ("i", range(3))),
        "auc": rows("auc", method, ("class", CLASSES)),
        "reliability": rows(
            "confidence accuracy", method, ("area", ["image", "band"]), ("bin", [13, 14])
        ),
        "calibration": rows("ece brier", method, ("area", ["image", "band"])),
        "history": rows(
            "loss val_dice",
            ("member", methods[:1]),
            ("part", ["fold0", "fold1"]),
            ("epoch", [1, 2]),
        ),
        "quality": rows("dice pairwise_dice boundary_entropy", ("case", "abcd")),
        "risk_coverage": rows("risk", ("score", list(SCORES)), ("coverage", [0.5, 1.0])),
        "quality_agreement": rows("spearman pearson aurc", ("score", list(SCORES))),
        "changes": rows("better worse neither", method, ("distance", ["0-2 mm", "over 2 mm"])),
        "importance": around(importance, "mean"),
        "clinical": clinical,
        "agreement": around(agreement, "bias").assign(patients=3),
        "runs": around(runs, "mean"),
    }
    tables["roc"]["false_positive_rate"] = tables["roc"].i.map({0: 0.0, 1: 1e-3, 2: 1.0})
    return tables


def around(table, column):
    """The table with an interval around a column."""
    return table.assign(low=table[column] - 0.0123, high=table[column] + 0.0234)


def drawn(t, methods):
    """Every figure of some tables."""
    indices = ["lv_edv_ml", "lv_ef_percent", "rv_edv_ml", "myocardial_mass_g"]
    return {
        "confusion": confusion_matrices(t["confusion"], methods, STRUCTURES),
        "roc": roc_curves(t["roc"], t["auc"], methods, STRUCTURES),
        "dice": dice_bars(t["summary"], methods, STRUCTURES, t["cases"]),
        "dice_of_method": dice_of_method(t["summary"], STRUCTURES),
        "dice_by_group": dice_by_group(t["groups"], STRUCTURES),
        "accuracy": pixel_accuracies(t["accuracy"], methods),
        "training": training_curves(t["history"], methods),
        "reliability": reliability_diagrams(t["reliability"], t["calibration"], methods),
        "calibration": calibration_scores(t["calibration"], methods),
        "quality": quality_scatter(t["quality"], t["quality_agreement"]),
        "risk": risk_coverage_curves(t["risk_coverage"], t["quality_agreement"]),
        "bland_altman": bland_altman(t["clinical"], t["agreement"], "ensemble", indices),
        "forest": forest_plot(t["comparisons"], methods),
        "changes": change_bars(t["changes"], methods),
        "importance": importance_dots(t["importance"], methods),
        "distances": surface_distances(t["cases"], methods, STRUCTURES),
        "runs": run_dots(t["runs"], methods),
    }


def texts(parent):
    return [t.get_text() for t in parent.findobj(Text) if t.get_text()]


def points(axes, marker=None):
    """(x, y) of every line of one point or more."""
    lines = [line for line in axes.lines if marker is None or line.get_marker() == marker]
    return [np.column_stack(line.get_data()).tolist() for line in lines]


def intervals(axes):
    """Ends of every whisker, those undefined left out."""
    found = [s for c in axes.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    return [s.tolist() for s in found if len(s) and np.isfinite(s).all()]


def heights(axes, colour):
    return [p.get_height() for p in axes.patches if to_hex(p.get_edgecolor()) == colour.lower()]


@pytest.fixture(scope="module")
def tables():
    return some_tables(MODELS)


@pytest.fixture(scope="module")
def figures(tables):
    return drawn(tables, MODELS)


def number(table, column, **wanted):
    return draw.select_value(table, column, **wanted)


def test_every_model_has_a_name_and_its_own_style():
    assert list(METHOD_STYLE) == list(METHOD_NAMES)
    assert len({str(style) for style in METHOD_STYLE.values()}) == len(METHOD_NAMES)
    structures = {colour.lower() for name, colour in CLASS_COLOURS.items() if name != "mean"}
    assert not structures & {style["color"].lower() for style in METHOD_STYLE.values()}


@pytest.mark.parametrize("empty", [pd.DataFrame(), None])
def test_nothing_is_drawn_of_empty_tables(tables, empty):
    none = {k: t.iloc[:0] if empty is None else empty for k, t in tables.items()}
    assert set(drawn(none, MODELS).values()) == {None}


def test_nothing_is_drawn_of_models_that_the_tables_lack(tables):
    t = tables
    assert confusion_matrices(t["confusion"], ["calibrated_mean"], STRUCTURES) is None
    assert dice_of_method(t["summary"], STRUCTURES, "calibrated_mean") is None
    assert bland_altman(t["clinical"], t["agreement"], "calibrated_mean", ["lv_edv_ml"]) is None
    assert bland_altman(t["clinical"], t["agreement"], "ensemble", ["rv_edv_ml"]) is None
    figure = pixel_accuracies(t["accuracy"], ["calibrated_mean", "ensemble"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Ensemble"]


def assert_readable(figure):
    """Text of 6 pt or more, and nothing beyond the edges."""
    figure.get_layout_engine().execute(figure)
    assert figure.get_figwidth() in (draw.SINGLE, draw.DOUBLE)
    sizes = {t.get_fontsize() for t in figure.findobj(Text) if t.get_text()}
    assert min(sizes) >= 6 and not [t for t in texts(figure) if "$" in t]
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01


def test_text_is_large_enough_and_inside_the_figure(figures):
    for figure in figures.values():
        assert_readable(figure)


def test_there_is_room_for_every_model():
    every = list(METHOD_NAMES)
    t = some_tables(every)
    assert_readable(dice_bars(t["summary"], every, STRUCTURES))
    assert_readable(reliability_diagrams(t["reliability"], t["calibration"], every))
    assert_readable(forest_plot(t["comparisons"], every))


def test_saved_in_print_size_with_text_as_text(tmp_path):
    figure = pixel_accuracies(frame("method accuracy", ("mean", 0.9)), ["mean"])
    pdf, png = draw.save(figure, tmp_path / "new" / "run1.5")
    assert (pdf.name, png.name) == ("run1.5.pdf", "run1.5.png")
    assert b"/Type3" not in pdf.read_bytes() and b"/FontFile2" in pdf.read_bytes()
    height, width = imread(png).shape[:2]
    assert (width, height) == tuple(np.floor(figure.get_size_inches() * 300))
    assert sorted(p.name for p in png.parent.iterdir()) == ["run1.5.pdf", "run1.5.png"]


def test_confusion_in_percent_where_it_belongs(figures, tables):
    assert len(figures["confusion"].axes) == len(MODELS)
    for axes, method in zip(figures["confusion"].axes, MODELS, strict=True):
        assert axes.get_title() == METHOD_NAMES[method]
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
    (axes,) = confusion_matrices(table, ["mean"], ["RV", "LV"]).axes
    assert [t.get_text() for t in axes.texts].count("–") == 8 and "100.0" in texts(axes)


def test_roc_curves_and_areas(figures, tables):
    for axes, method in zip(figures["roc"].axes, MODELS, strict=True):
        for line, name in zip(axes.lines, CLASSES, strict=True):
            curve = draw.select_rows(tables["roc"], method=method, **{"class": name})
            assert line.get_ydata().tolist() == curve.true_positive_rate.tolist()
            assert line.get_xdata().tolist() == curve.false_positive_rate.tolist()
            assert line.get_color() == CLASS_COLOURS[name]
            area = number(tables["auc"], "auc", method=method, **{"class": name})
            assert f"{name} {area:.4f}" in texts(axes.get_legend())


def test_roc_of_a_class_never_seen():
    columns = "method class false_positive_rate true_positive_rate"
    roc = frame(columns, ("mean", "LV", 0.0, 0.0), ("mean", "LV", 1.0, 1.0))
    auc = frame("method class auc", ("mean", "LV", 0.5), ("mean", "RV", NAN))
    (axes,) = roc_curves(roc, auc, ["mean"], ["RV", "LV"]).axes
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
    (axes,) = dice_bars(table, ["mean"], ["RV", "LV"]).axes
    assert [t.get_text() for t in axes.texts] == ["–", "0.800", "–"] and not intervals(axes)
    (axes,) = dice_of_method(table, ["RV", "LV"], "mean").axes
    assert [t.get_text() for t in axes.texts] == ["–\n[–]", "0.800\n[–]", "–\n[–]"]


def test_dice_of_the_ensemble_in_the_structures_colours(figures, tables):
    (axes,) = figures["dice_of_method"].axes
    table = draw.select_rows(tables["summary"], metric="dice", method="ensemble").set_index(
        "structure"
    )
    for name, bar, text in zip(WITH_MEAN, axes.patches, axes.texts, strict=True):
        row = table.loc[name]
        assert bar.get_height() == row["mean"]
        assert to_hex(bar.get_facecolor()) == CLASS_COLOURS[name].lower()
        assert text.get_text() == f"{row['mean']:.3f}\n[{row.low:.3f}, {row.high:.3f}]"
    assert [np.array(s)[:, 1].tolist() for s in intervals(axes)] == table.loc[
        WITH_MEAN, ["low", "high"]
    ].values.tolist()


def test_dice_by_group(figures, tables):
    (axes,) = figures["dice_by_group"].axes
    table = draw.select_rows(tables["groups"], method="ensemble")
    for line, name in zip(axes.lines, WITH_MEAN, strict=True):
        values = draw.select_rows(table, structure=name).set_index("value").dice
        assert line.get_color() == CLASS_COLOURS[name]
        assert line.get_xdata().tolist() == values[["ED", "ES"]].tolist()
    assert [t.get_text() for t in axes.texts] == [f"{v:.3f}" for v in values]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ED (4)", "ES (4)"]


def test_accuracies_and_where_their_axis_starts(tables):
    methods = MODELS[::-1]  # another order than the table's
    (axes,) = pixel_accuracies(tables["accuracy"], methods).axes
    accuracy = tables["accuracy"].set_index("method").accuracy[methods].tolist()
    assert points(axes) == [[[v, y]] for y, v in enumerate(accuracy)]
    assert [t.get_text() for t in axes.texts] == [f"{v:.4f}" for v in accuracy]
    assert [label.get_text() for label in axes.get_yticklabels()][0] == "Ensemble"
    assert f"starts at {axes.get_xlim()[0]:.4f}" in axes.get_xlabel()


def test_training_curves_have_a_line_for_each_part(figures, tables):
    loss, dice = figures["training"].axes
    for axes, column in ((loss, "loss"), (dice, "val_dice")):
        rows = tables["history"].groupby("part")[column].apply(list)
        assert [line.get_ydata().tolist() for line in axes.lines] == rows.tolist()
    assert texts(loss.get_legend()) == ["U-Net advanced (2 trainings)"]


def test_training_without_validation():
    columns = "member part epoch loss val_dice"
    history = frame(columns, ("unet_advanced", "full", 1, 0.5, NAN))
    loss, _ = training_curves(history, ["unet_advanced"]).axes
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
            assert f"{ece:.4f}  {METHOD_NAMES[method]}" in texts(below.get_legend())
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
    left, right = bland_altman(clinical, agreement, "mean", ["lv_edv_ml"]).axes
    assert points(left, "o") == [[[100, 104], [120, 118], [160, 170]]]
    assert points(right, "o") == [[[102, 4], [119, -2], [165, 10]]]
    assert sorted(line.get_ydata()[0] for line in right.lines[1:]) == [-7.76, 0, 4, 15.76]
    assert {t.get_text() for t in right.texts} == {"4.0", "−7.8", "15.8"}
    assert left.get_title("left") == "LV EDV: r 0.987, n 3"
    assert "mL" in left.get_xlabel() and "mL" in right.get_ylabel()
    assert left.lines[0].get_color() == CLASS_COLOURS["LV"]

    alone = frame(columns, ("mean", "lv_edv_ml", "mL", 1, NAN, 4, NAN, NAN, NAN))
    figure = bland_altman(clinical[clinical.patient == "a"], alone, "mean", ["lv_edv_ml"])
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
    (axes,) = forest_plot(table, ["logistic", "random_forest", "weighted_mean", "ensemble"]).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Ensemble", "Weighted mean", "Logistic", "Random forest"]
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
    (axes,) = forest_plot(table, ["ensemble"]).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Ensemble *", "Ensemble"]
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


def test_distances_leave_out_what_is_undefined():
    columns = "method structure hd95_mm assd_mm"
    cases = frame(columns, *[("mean", "LV", d, d / 2) for d in (1, 2, 6, NAN)])
    cases = pd.concat([cases, frame(columns, ("mean", "RV", NAN, NAN))])
    figure = surface_distances(cases, ["mean"], ["RV", "LV"])
    for axes, median in zip(figure.axes, (2, 1), strict=True):
        thick = [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() == 1]
        assert [y for y in thick if y and not np.isnan(y).any()] == [[median, median]]
    assert surface_distances(cases.assign(hd95_mm=NAN, assd_mm=NAN), ["mean"], ["LV"]) is None


def test_runs_each_with_its_models(figures, tables):
    (axes,) = figures["runs"].axes
    rows = tables["runs"]
    assert [line[0][0] for line in points(axes)] == rows["mean"].tolist()
    assert [[s[0][0], s[1][0]] for s in intervals(axes)] == rows[["low", "high"]].values.tolist()
    for row in rows.itertuples():
        assert f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]" in texts(axes)
    assert "one (patients: 3)" in texts(axes)
