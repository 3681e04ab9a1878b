"""Small tables, the figures drawn of them, and what a figure shows."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from cardiac_seg.anatomy import LV, MYO, RV, Anatomy
from cardiac_seg.config.sections import MEMBERS, Stacking
from cardiac_seg.drawing.styles import SCORES, class_colours
from cardiac_seg.meta.methods import ensemble_of, list_methods
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

_LISTED = list_methods(list(MEMBERS), Stacking())
METHODS = {m.name: m for m in [*_LISTED, ensemble_of(_LISTED[2])]}
MODELS = ["unet_advanced", "logistic_core", "ensemble"]


def methods(*names):
    """The methods of these names."""
    return [METHODS[name] for name in names]


ANATOMY = Anatomy((RV, MYO, LV))
STRUCTURES = list(ANATOMY.names)
COLOURS = class_colours(ANATOMY)


CLASSES = ["background", *STRUCTURES]


WITH_MEAN = [*STRUCTURES, "mean"]


NAN = np.nan


def frame(columns, *rows):
    return pd.DataFrame(rows, columns=columns.split())


def some_tables(names):
    """A row for everything there is to draw; no two numbers alike."""
    rng = np.random.default_rng(0)

    def rows(columns, *keys):
        """All combinations of the keys, random numbers in the columns."""
        table = pd.MultiIndex.from_product([list(k) for _, k in keys], names=[n for n, _ in keys])
        table = table.to_frame(index=False)
        return table.assign(**{c: rng.uniform(0.6, 0.9, len(table)) for c in columns.split()})

    method = ("method", names)
    clinical = rows(
        "value",
        ("patient", ["a", "b", "c"]),
        ("method", [*names, "reference"]),
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
            ("member", names[:1]),
            ("fold", ["fold0", "fold1"]),
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


def drawn(t, names):
    """Every figure of some tables."""
    indices = ["lv_edv_ml", "lv_ef_percent", "rv_edv_ml", "myocardial_mass_g"]
    shown, ensemble = methods(*names), METHODS["ensemble"]
    runs = dict.fromkeys(t["runs"].run if len(t["runs"]) else [], shown)
    return {
        "confusion": confusion_matrices(t["confusion"], shown, STRUCTURES),
        "roc": roc_curves(t["roc"], t["auc"], shown, ANATOMY),
        "dice": dice_bars(t["summary"], shown, STRUCTURES, t["cases"]),
        "dice_of_method": dice_of_method(t["summary"], ANATOMY, ensemble),
        "dice_by_group": dice_by_group(t["groups"], ANATOMY, ensemble),
        "accuracy": pixel_accuracies(t["accuracy"], shown),
        "training": training_curves(t["history"], shown),
        "reliability": reliability_diagrams(t["reliability"], t["calibration"], shown),
        "calibration": calibration_scores(t["calibration"], shown),
        "quality": quality_scatter(t["quality"], t["quality_agreement"]),
        "risk": risk_coverage_curves(t["risk_coverage"], t["quality_agreement"]),
        "bland_altman": bland_altman(t["clinical"], t["agreement"], ensemble, indices, ANATOMY),
        "forest": forest_plot(t["comparisons"], shown),
        "changes": change_bars(t["changes"], shown),
        "importance": importance_dots(t["importance"], shown),
        "distances": surface_distances(t["cases"], shown, STRUCTURES),
        "runs": run_dots(t["runs"], runs),
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


def number(table, column, **wanted):
    return draw.select_value(table, column, **wanted)
