"""Figures at print size, drawn from the tables alone: what is printed is what a table holds.

Every function takes tables as `cardiac_seg.analysis.tables` makes them, and lists that say what is
drawn in which order (what the tables lack is left out). It returns None where nothing can be
drawn. Sizes are inches: SINGLE is a column of a page, DOUBLE both. Importing sets the style.
"""

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, MaxNLocator

from cardiac_seg.drawing.styles import COLOURS as STRUCTURE_COLOURS
from cardiac_seg.drawing.styles import MODEL_NAMES
from cardiac_seg.meta.combine import CORE
from cardiac_seg.metrics.clinical import INDICES
from cardiac_seg.system.files import whole_file

SINGLE, DOUBLE = 3.3, 6.9
TEXT, SMALL = 7, 6  # pt

COLOURS = STRUCTURE_COLOURS | {"background": "#666666", "mean": "#000000"}
BETTER, WORSE, NEITHER = "#56B4E9", "#E69F00", "#BBBBBB"
GUIDE = {"color": "#CCCCCC", "linewidth": 0.6, "zorder": 0.5}  # lines that hold no data


def _line(colour: str, marker: str, linestyle: str = "-", hollow: bool = False) -> dict:
    return {
        "color": colour,
        "marker": marker,
        "linestyle": linestyle,
        "markerfacecolor": "white" if hollow else colour,
        "markersize": 3.5,
        "linewidth": 1.0,
    }


# Keywords of `Axes.plot`. Members grey, means blue, learners purple (hollow on the core features),
# the ensemble black: families by hue, models by lightness and marker.
MODEL_STYLE = {
    "unet_advanced": _line("#B0B0B0", "o"),
    "deep_unet_improved": _line("#606060", "s"),
    "mean": _line("#56B4E9", "^"),
    "tempered_mean": _line("#93CFF2", "v", "-."),
    "weighted_mean": _line("#4A86A8", "<", "-."),
    "logistic_core": _line("#BFA8E0", "P", ":", hollow=True),
    "random_forest_core": _line("#9878CC", "X", ":", hollow=True),
    "gradient_boosting_core": _line("#6543A0", "p", ":", hollow=True),
    "logistic": _line("#BFA8E0", "P"),
    "random_forest": _line("#9878CC", "X"),
    "gradient_boosting": _line("#6543A0", "p"),
    "ensemble": _line("#000000", "D") | {"linewidth": 1.6},
}
AREAS = {"image": "whole image", "band": "band around the boundary"}
SCORES = {  # name, what its values mean, style
    "pairwise_dice": ("Pairwise Dice", "of the members", {"color": "#E69F00"}),
    "boundary_entropy": ("Boundary entropy", "1 = uniform", {"color": "#8C6100", "ls": "--"}),
    "predicted_quality": ("Predicted quality", "Dice to expect", {"color": "#56B4E9", "ls": "-."}),
    "oracle": ("Oracle", "", {"color": "#000000", "ls": ":"}),
    "random": ("Random", "", {"color": "#999999", "ls": ":"}),
}
DIGITS = {"L/min": 2}  # of limits of agreement; 1 in other units

matplotlib.use("Agg")
sns.set_theme(
    context="paper",
    style="ticks",
    rc={
        "font.family": "DejaVu Sans",  # comes with matplotlib: text is as wide on every machine
        "font.size": TEXT,
        "axes.titlesize": TEXT,
        "axes.labelsize": TEXT,
        "figure.titlesize": TEXT,
        "figure.labelsize": TEXT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": SMALL,
        "legend.frameon": False,
        "axes.formatter.useoffset": False,
        "axes.linewidth": 0.6,
        "axes.titlepad": 3,
        "axes.labelpad": 2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.pad": 2,
        "ytick.major.pad": 2,
        "pdf.fonttype": 42,  # TrueType: text stays text in the PDF
        "ps.fonttype": 42,
    },
)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes `<stem>.pdf` and `<stem>.png` (300 dpi) in the figure's own size.

    Raises:
        UserError: If the folder cannot be written.
    """
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png")]
    for path, metadata in zip(paths, ({"CreationDate": None}, None), strict=True):
        with whole_file(path) as partial:
            figure.savefig(partial, dpi=300, metadata=metadata)
    return paths


def confusion_matrices(
    confusion: pd.DataFrame, models: list[str], structures: list[str]
) -> Figure | None:
    """Row-normalised confusion matrices in percent, a panel a model.

    Args:
        confusion: model, truth, predicted, share.
        models: Panels in order.
        structures: The dataset's, in its order.
    """
    models = _present(confusion, models)
    if not models:
        return None
    classes = ["background", *structures]
    figure, panels = _panels(len(models), 1.6, 0.85, sharex=True, sharey=True)
    for axes, model in zip(panels, models, strict=True):
        rows = confusion[confusion.model == model]
        shares = rows.pivot(index="truth", columns="predicted", values="share")
        shares = shares.reindex(index=classes, columns=classes).to_numpy(float)
        # The root makes mistakes of a few percent visible.
        axes.imshow(shares, cmap="Greys", norm=PowerNorm(0.5, 0, 1))
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.4 else "black"
            text = _number(100 * share, 1)
            axes.text(column, row, text, color=colour, fontsize=SMALL, ha="center", va="center")
        ticks = range(len(classes))
        axes.set(xticks=ticks, yticks=ticks, xticklabels=classes, yticklabels=classes)
        axes.tick_params("x", rotation=90)
        axes.tick_params(length=0)
        axes.set_title(MODEL_NAMES[model])
    figure.supxlabel("Predicted class")
    figure.supylabel("True class (percent of its pixels)")
    return figure


def roc_curves(
    roc: pd.DataFrame, auc: pd.DataFrame, models: list[str], structures: list[str]
) -> Figure | None:
    """One class against the rest, a panel a model, AUC in the legend.

    The axis of false positives is logarithmic above 1e-5 and linear below: areas are near 1, and
    what differs between classes happens below a rate of 1 %.

    Args:
        roc: model, class, false_positive_rate, true_positive_rate.
        auc: model, class, auc.
        models: Panels in order.
        structures: The dataset's, in its order.
    """
    models = _present(roc, models)
    if not models:
        return None
    figure, panels = _panels(len(models), 1.8, sharex=True, sharey=True)
    for axes, model in zip(panels, models, strict=True):
        areas = _rows(auc, model=model).set_index("class").auc if len(auc) else {}
        for name in ["background", *structures]:
            curve = _rows(roc, model=model, **{"class": name})
            label = f"{name} {_number(areas.get(name, np.nan), 4)}"
            rates = curve.false_positive_rate, curve.true_positive_rate
            axes.plot(*rates, color=COLOURS[name], linewidth=1, label=label)
        axes.set_xscale("symlog", linthresh=1e-5, linscale=0.5)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 1e-4, 1e-2, 1])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")  # powers would be set below the smallest size
        axes.set_title(MODEL_NAMES[model])
        # Curves may pass below it: a background keeps the numbers legible.
        legend = axes.legend(title="AUC", loc="lower right", handlelength=1.2, labelspacing=0.25)
        legend.set(frame_on=True)
        legend.get_frame().set(facecolor="white", alpha=0.85, linewidth=0)
    figure.supxlabel("False-positive rate (linear below 0.00001, then logarithmic)")
    figure.supylabel("True-positive rate")
    return figure


def dice_bars(
    summary: pd.DataFrame,
    models: list[str],
    structures: list[str],
    cases: pd.DataFrame | None = None,
) -> Figure | None:
    """Dice by structure and model: bars with values, 95 % intervals, and a dot a patient.

    Args:
        summary: model, structure (incl. `mean`), metric, mean, low, high.
        models: Bars of a group in order.
        structures: Groups in order; `mean` is put last.
        cases: patient, model, structure, dice; a patient's dot is the mean of its cases.
    """
    table = _rows(summary, metric="dice")
    models = _present(table, models)
    if not models:
        return None
    names = [*structures, "mean"]
    figure, (axes,) = _axes(DOUBLE, 2.9)
    for model, offset, width in _dodged(models):
        rows = _rows(table, model=model).set_index("structure").reindex(names)
        x = np.arange(len(names)) + offset
        axes.bar(x, rows["mean"], width, **_fill(model))
        for position, name in zip(x, structures if cases is not None else [], strict=False):
            dice = _rows(cases, model=model, structure=name).groupby("patient").dice.mean()
            # Side by side, or patients with like values would hide each other.
            beside = position + width * 0.6 * (np.arange(len(dice)) / max(len(dice) - 1, 1) - 0.5)
            axes.plot(beside, dice, "o", ms=1.4, mew=0.25, mfc="white", mec="black")
        whiskers = axes.vlines(x, rows.low, rows.high, color="black", linewidth=0.8, zorder=3)
        whiskers.set_path_effects([withStroke(linewidth=1.8, foreground="white")])
        dark = not _is_hollow(model) and _luminance(_colour(model)) < 0.45
        for position, value in zip(x, rows["mean"], strict=True):
            # At the foot of the bars, where no patient's dot is.
            colour = "white" if dark and value > 0 else "black"
            style = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": SMALL}
            axes.text(position, 0.02, _number(value, 3), color=colour, **style)
    axes.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1.01))
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylabel("Dice (mean over patients, 95 % interval)")
    _legend(figure, models, patches=True)
    return figure


def dice_of_model(
    summary: pd.DataFrame, structures: list[str], model: str = "ensemble"
) -> Figure | None:
    """Dice of one model by structure: bars, values and 95 % intervals.

    Args:
        summary: model, structure (incl. `mean`), metric, mean, low, high.
        structures: Bars in order; `mean` is put last.
        model: Whose.
    """
    rows = _rows(summary, metric="dice", model=model)
    if rows.empty:
        return None
    names = [*structures, "mean"]
    rows = rows.set_index("structure").reindex(names)
    figure, (axes,) = _axes(SINGLE, 2.3)
    axes.bar(range(len(names)), rows["mean"], 0.6, color=[COLOURS[n] for n in names])
    whiskers = axes.vlines(range(len(names)), rows.low, rows.high, color="black", linewidth=1)
    whiskers.set_path_effects([withStroke(linewidth=2, foreground="white")])
    for x, row in enumerate(rows.itertuples()):
        top = np.nanmax([row.mean, row.high, 0])
        text = f"{_number(row.mean, 3)}\n{_interval(row.low, row.high, 3)}"
        axes.text(x, top + 0.02, text, ha="center", va="bottom", fontsize=SMALL)
    axes.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1.2))
    axes.set(yticks=np.linspace(0, 1, 6), ylabel="Dice (mean over patients)")
    axes.set_title(MODEL_NAMES[model])
    return figure


def dice_by_group(
    groups: pd.DataFrame, structures: list[str], model: str = "ensemble"
) -> Figure | None:
    """Dice of one model by patient group, phase and region or view: dots, the mean printed.

    Args:
        groups: by, value, model, structure (incl. `mean`), dice, patients.
        structures: The dataset's, in its order.
        model: Whose.
    """
    table = _rows(groups, model=model)
    if table.empty:
        return None
    kinds = list(dict.fromkeys(table.by))
    names = [*structures, "mean"]
    most = table.groupby("by").value.nunique().max()
    figure, panels = _axes(DOUBLE, 0.75 + 0.26 * most, 1, len(kinds), sharex=True)
    for axes, kind in zip(panels, kinds, strict=True):
        rows = _rows(table, by=kind)
        values = list(dict.fromkeys(rows.value))
        for name, offset in zip(names, np.linspace(-0.24, 0.24, len(names)), strict=True):
            dice = _rows(rows, structure=name).set_index("value").dice.reindex(values)
            y = np.arange(len(values)) + offset
            marker = {"marker": "D" if name == "mean" else "o", "ms": 3.5, "ls": "none"}
            axes.plot(dice, y, color=COLOURS[name], **marker, label=name)
            if name == "mean":
                for row, value in enumerate(dice):
                    _beside(axes, row + offset, _number(value, 3))
        patients = rows.groupby("value").patients.max()
        labels = [f"{v} ({patients[v]})" for v in values]
        axes.set(yticks=range(len(values)), yticklabels=labels)
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.grid(axis="x", **GUIDE)
        axes.set_title(f"by {kind} (patients)")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(names))
    figure.supxlabel(f"{MODEL_NAMES[model]}: Dice (axis does not start at 0; printed: mean)")
    return figure


def pixel_accuracies(accuracy: pd.DataFrame, models: list[str]) -> Figure | None:
    """Share of pixels with the right class, a dot a model, values printed.

    Args:
        accuracy: model, accuracy (pooled over the test pixels, network grid).
        models: Rows in order.
    """
    models = _present(accuracy, models)
    if not models:
        return None
    figure, (axes,) = _axes(SINGLE, 0.55 + 0.16 * len(models))
    _dot_rows(axes, accuracy.set_index("model").accuracy, models, 4)
    axes.set_xlabel(f"Pixel accuracy (axis starts at {axes.get_xlim()[0]:.4f})")
    return figure


def training_curves(history: pd.DataFrame, members: list[str]) -> Figure | None:
    """Loss and validation Dice by epoch, a line a training.

    Args:
        history: member, part, epoch, loss, val_dice.
        members: In order.
    """
    members = [m for m in members if len(_rows(history, member=m))]
    if not members:
        return None
    figure, panels = _axes(DOUBLE, 2.3, 1, 2)
    for member in members:
        parts = list(_rows(history, member=member).groupby("part", sort=False))
        style = {k: MODEL_STYLE[member][k] for k in ("color", "linestyle")}
        label = MODEL_NAMES[member] + (f" ({len(parts)} trainings)" if len(parts) > 1 else "")
        for i, (_, rows) in enumerate(parts):
            for axes, column in zip(panels, ("loss", "val_dice"), strict=True):
                name = label if i == 0 else None
                # One epoch alone is no line.
                dot = {"marker": MODEL_STYLE[member]["marker"], "ms": 3} if len(rows) == 1 else {}
                axes.plot(rows.epoch, rows[column], **style, **dot, linewidth=0.8, label=name)
    panels[0].set(xlabel="Epoch", ylabel="Training loss")
    panels[1].set(xlabel="Epoch", ylabel="Validation Dice (network grid)")
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(loc="upper right")
    return figure


def reliability_diagrams(
    reliability: pd.DataFrame, calibration: pd.DataFrame, models: list[str]
) -> Figure | None:
    """Accuracy against confidence in bins, a line a model, ECE in the legend.

    Args:
        reliability: model, area, bin, pixels, confidence, accuracy.
        calibration: model, area, ece.
        models: Lines in order.
    """
    models = _present(reliability, models)
    if not models:
        return None
    areas = [a for a in AREAS if len(_rows(reliability, area=a))]
    width, heights = DOUBLE if len(areas) > 1 else SINGLE, [3.4, 0.25 + 0.13 * len(models)]
    figure, panels = _axes(width, sum(heights), 2, len(areas), height_ratios=heights)
    uppers, lowers = np.split(panels, 2)
    for axes, below, area in zip(uppers, lowers, areas, strict=True):
        axes.plot([0, 1], [0, 1], **GUIDE)
        for model in models:
            rows = _rows(reliability, model=model, area=area).sort_values("bin")
            ece = _value(calibration, "ece", model=model, area=area)
            label = f"{_number(ece, 4)}  {MODEL_NAMES[model]}"
            axes.plot(rows.confidence, rows.accuracy, **MODEL_STYLE[model], label=label)
        axes.set(xlabel="Confidence", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_title(AREAS[area].capitalize())
        below.axis("off")
        below.legend(*axes.get_legend_handles_labels(), title="ECE", loc="upper center")
    panels[0].set_ylabel("Accuracy")
    return figure


def calibration_scores(calibration: pd.DataFrame, models: list[str]) -> Figure | None:
    """Expected calibration error and Brier score of image and band, a dot a model.

    Args:
        calibration: model, area, ece, brier.
        models: Rows in order.
    """
    models = _present(calibration, models)
    if not models:
        return None
    names = {"ece": "ECE", "brier": "Brier score"}
    areas = [a for a in AREAS if len(_rows(calibration, area=a))]
    figure, panels = _axes(
        DOUBLE, 0.65 + 0.16 * len(models), 1, len(names) * len(areas), sharey=True
    )
    columns = [(score, area) for score in names for area in areas]
    for axes, (score, area) in zip(panels, columns, strict=True):
        values = _rows(calibration, area=area).set_index("model")[score]
        _dot_rows(axes, values, models, 4)
        top = values.reindex(models).max()
        axes.set_xlim(0, 1.1 * top if top > 0 else 1)
        axes.xaxis.set_major_locator(MaxNLocator(2))
        axes.set_title(f"{names[score]}, {area}")
    figure.supxlabel("Smaller is better")
    return figure


def quality_scatter(quality: pd.DataFrame, quality_agreement: pd.DataFrame) -> Figure | None:
    """True Dice against what predicts it without a reference, a dot a case.

    Args:
        quality: dice, pairwise_dice, boundary_entropy, predicted_quality.
        quality_agreement: score, spearman, pearson.
    """
    scores = [s for s in SCORES if s in quality and quality[s].notna().any()]
    if not scores:
        return None
    figure, panels = _axes(DOUBLE if len(scores) > 1 else SINGLE, 2.5, 1, len(scores), sharey=True)
    for axes, score in zip(panels, scores, strict=True):
        axes.plot(quality[score], quality.dice, "o", ms=3, mfc="none", color="black", mew=0.6)
        pearson, spearman = (
            _number(_value(quality_agreement, column, score=score), 2)
            for column in ("pearson", "spearman")
        )
        name, meaning, _ = SCORES[score]
        axes.set_title(f"Pearson r {pearson}, Spearman {spearman}")
        axes.set_xlabel(f"{name} ({meaning})")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    panels[0].set_ylabel("True Dice of the ensemble")
    return figure


def risk_coverage_curves(
    risk_coverage: pd.DataFrame, quality_agreement: pd.DataFrame
) -> Figure | None:
    """Mean error of the cases kept, most trusted first; AURC in the legend.

    Args:
        risk_coverage: score, coverage, risk.
        quality_agreement: score, aurc.
    """
    scores = [s for s in SCORES if len(_rows(risk_coverage, score=s).dropna())]
    if not scores:
        return None
    figure, (axes,) = _axes(SINGLE, 2.5)
    for score in scores:
        name, _, style = SCORES[score]
        rows = _rows(risk_coverage, score=score).sort_values("coverage")
        label = f"{_number(_value(quality_agreement, 'aurc', score=score), 4)}  {name}"
        axes.plot(rows.coverage, rows.risk, **style, linewidth=1.2, label=label)
    axes.set(xlim=(0, 1.01), xlabel="Coverage (share of the cases kept)")
    axes.set_ylabel("Risk (mean of 1 − Dice)")
    figure.legend(title="AURC", loc="outside upper center", ncols=2)
    return figure


def bland_altman(
    clinical: pd.DataFrame, agreement: pd.DataFrame, model: str, indices: list[str]
) -> Figure | None:
    """A model's indices against the reference's: scatter, and Bland and Altman's plot (1986).

    Args:
        clinical: patient, model (incl. `reference`), index (keys of `INDICES`), value.
        agreement: model, index, patients, r, bias, low, high; against the reference masks alone.
        model: Whose.
        indices: Pairs of panels in order, two pairs beside each other.
    """
    drawn = []
    for index in indices:
        rows = _rows(clinical, index=index)
        if rows.empty:
            continue
        wide = rows.pivot(index="patient", columns="model", values="value")
        if {model, "reference"} <= set(wide):
            known = wide[["reference", model]].dropna()
            drawn += [(index, known["reference"], known[model])] if len(known) else []
    if not drawn:
        return None
    across = min(2, len(drawn))
    rows = -(-len(drawn) // across)
    figure, panels = _axes(DOUBLE, 0.1 + rows * (1.65 if across > 1 else 2.3), rows, 2 * across)
    for axes in panels[2 * len(drawn) :]:
        axes.remove()
    pairs = zip(panels[::2], panels[1::2], strict=True)
    for (left, right), (index, reference, measured) in zip(pairs, drawn, strict=False):
        told = {
            column: _value(agreement, column, model=model, index=index)
            for column in ("patients", "r", "bias", "low", "high")
        }
        name, unit = INDICES[index]
        colour = COLOURS.get({"Myocardial mass": "MYO"}.get(name, name[:2]), "#000000")
        dots = {"marker": "o", "ms": 2.8, "ls": "none", "mfc": "none", "mew": 0.6, "color": colour}
        left.plot(reference, measured, **dots)
        ends = _padded([*reference, *measured])
        left.plot(ends, ends, **GUIDE)
        left.set(xlim=ends, ylim=ends, xlabel=f"Reference ({unit})", ylabel=f"Model ({unit})")
        text = f"{name}: r {_number(told['r'], 3)}, n {_number(told['patients'], 0)}"
        left.set_title(text, loc="left", pad=6)

        difference = measured - reference
        right.plot((measured + reference) / 2, difference, **dots)
        right.axhline(0, **GUIDE)
        lines = {"bias": "-", "low": "--", "high": "--"}
        for line, style in lines.items():
            if np.isfinite(told[line]):
                right.axhline(told[line], color="black", linewidth=0.8, linestyle=style)
                _beside(right, told[line], _number(told[line], DIGITS.get(unit, 1)))
        right.set_ylim(_padded([*difference, *(told[line] for line in lines), 0.0]))
        right.set(xlabel=f"Mean of both ({unit})", ylabel=f"Difference ({unit})")
    return figure


def forest_plot(comparisons: pd.DataFrame, models: list[str]) -> Figure | None:
    """The paired difference in Dice of every combination to the mean, with 95 % intervals.

    The primary comparison is to the temperature-scaled mean where there is one, and says so.

    Args:
        comparisons: role, model, against, metric, difference, low, high, p_holm, verdict.
        models: Rows in order, within primary, secondary and exploratory.
    """
    table = _rows(comparisons, metric="dice")
    if table.empty:
        return None
    table = table[(table.against == "mean") | (table.role == "primary")]
    roles = ["primary", "secondary", "exploratory"]
    rows = [
        row
        for role in roles
        for model in models
        for row in _rows(table, role=role, model=model).itertuples()
    ]
    if not rows:
        return None
    figure, (axes,) = _axes(DOUBLE, 0.8 + 0.17 * len(rows))
    axes.axvline(0, **GUIDE)
    headings = {"Difference [95 % interval]": 8, "p (Holm)": 122, "Verdict": 162, "Comparison": 207}
    for heading, points in headings.items():
        where = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(heading, (1, 1), (points, 3), **where, fontsize=SMALL, weight="bold")
    for y, row in enumerate(rows):
        _interval_dot(axes, row.difference, row.low, row.high, y, row.model)
        difference = f"{_number(row.difference, 4, '+')} {_interval(row.low, row.high, 4, '+')}"
        texts = [difference, _p_value(row.p_holm), row.verdict, row.role]
        for text, points in zip(texts, headings.values(), strict=True):
            _beside(axes, y, text, points)
    marks = ["" if row.against == "mean" else " *" for row in rows]
    labels = [MODEL_NAMES[row.model] + mark for row, mark in zip(rows, marks, strict=True)]
    axes.set(yticks=range(len(rows)), yticklabels=labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    other = "; * minus the temperature-scaled mean's" if any(marks) else ""
    axes.set_xlabel(f"Dice minus the mean's{other} (right: better)")
    return figure


def change_bars(changes: pd.DataFrame, models: list[str]) -> Figure | None:
    """Pixels changed against the mean by distance to the reference boundary, a panel a model.

    Args:
        changes: model, distance, better, worse, neither (pixels).
        models: Panels in order.
    """
    models = _present(changes, models)
    if not models:
        return None
    distances = list(dict.fromkeys(changes.distance))
    kinds = {"better": BETTER, "worse": WORSE, "neither": NEITHER}
    figure, panels = _panels(len(models), 1.5, sharex=True, sharey=True)
    for axes, model in zip(panels, models, strict=True):
        rows = _rows(changes, model=model).set_index("distance").reindex(distances)
        for i, (kind, colour) in enumerate(kinds.items()):
            x = np.arange(len(distances)) + 0.27 * (i - 1)
            axes.bar(x, rows[kind], 0.27, color=colour, label=kind)
        axes.set_xticks(range(len(distances)), [d.removesuffix(" mm") for d in distances])
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(MODEL_NAMES[model])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.supxlabel("Distance to the reference boundary (mm)")
    figure.supylabel("Changed pixels")
    return figure


def importance_dots(importance: pd.DataFrame, models: list[str]) -> Figure | None:
    """Permutation importance by feature group: mean and range over the folds, a panel a learner.

    Args:
        importance: model, group, mean, low, high (nats).
        models: Panels in order.
    """
    models = _present(importance, models)
    if not models:
        return None
    groups = list(dict.fromkeys(importance.group))
    figure, panels = _panels(len(models), 0.6 + 0.15 * len(groups), sharey=True)
    for axes, model in zip(panels, models, strict=True):
        axes.axvline(0, **GUIDE)
        for row in _rows(importance, model=model).itertuples():
            y = groups.index(row.group)
            _interval_dot(axes, row.mean, row.low, row.high, y, model)
            _beside(axes, y, _number(row.mean, 4))
        axes.set(yticks=range(len(groups)), yticklabels=groups)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(MODEL_NAMES[model])
    figure.supxlabel("Growth of the log-loss when the group is shuffled (nats; line: folds)")
    return figure


def surface_distances(
    cases: pd.DataFrame, models: list[str], structures: list[str]
) -> Figure | None:
    """HD95 and ASSD by structure and model: boxes over cases, undefined distances left out.

    Boxes are quartiles and median, whiskers reach at most 1.5 times the box, dots lie beyond.

    Args:
        cases: model, structure, hd95_mm, assd_mm.
        models: Boxes of a group in order.
        structures: Groups in order.
    """
    columns = {"hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)"}
    models = _present(cases, models)
    if not models or not cases[list(columns)].notna().any(axis=None):
        return None
    figure, panels = _axes(DOUBLE, 3.8, 2, 1, sharex=True)
    for axes, (column, label) in zip(panels, columns.items(), strict=True):
        for model, offset, width in _dodged(models):
            values = [_rows(cases, model=model, structure=s)[column].dropna() for s in structures]
            fill = _fill(model)
            dark = not _is_hollow(model) and _luminance(_colour(model)) < 0.45
            axes.boxplot(
                values,
                positions=np.arange(len(structures)) + offset,
                widths=width,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"linewidth": 0.6} | fill,
                medianprops={"color": "white" if dark else "black", "linewidth": 1.0},
                whiskerprops={"linewidth": 0.6, "color": _colour(model)},
                capprops={"linewidth": 0},
                flierprops={"marker": ".", "ms": 2, "mew": 0, "mfc": _colour(model)},
            )
        # Logarithmic above 1 mm, or a few far outliers would press the boxes flat.
        axes.set_yscale("symlog", linthresh=1, linscale=0.6)
        axes.set_yticks([t for t in (0, 0.5, 1, 2, 5, 10, 20, 50, 100) if t <= axes.get_ylim()[1]])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", **GUIDE)
        axes.minorticks_off()
        axes.set_ylabel(label)
    panels[1].set_xticks(range(len(structures)), structures)
    _legend(figure, models, patches=True)
    return figure


def run_dots(runs: pd.DataFrame, models: list[str]) -> Figure | None:
    """Mean Dice with 95 % intervals, a row for each run and model.

    Args:
        runs: run, model, mean, low, high, patients.
        models: Rows of a run in order.
    """
    models = _present(runs, models)
    if not models:
        return None
    labels, texts, y = {}, [], 0
    names = list(dict.fromkeys(runs.run))
    found = [r for run in names for m in models for r in _rows(runs, run=run, model=m).itertuples()]
    figure, (axes,) = _axes(DOUBLE, 0.5 + 0.16 * (len(found) + 1.3 * len({r.run for r in found})))
    for row in found:
        if row.run not in texts:
            y += 1.3 if texts else 0.3
            texts.append(row.run)
            where = axes.get_yaxis_transform()
            heading = f"{row.run} (patients: {row.patients})"
            axes.text(0.005, y - 1, heading, transform=where, va="center", weight="bold")
        _interval_dot(axes, row.mean, row.low, row.high, y, row.model)
        _beside(axes, y, f"{_number(row.mean, 3)} {_interval(row.low, row.high, 3)}")
        labels[y] = MODEL_NAMES[row.model]
        y += 1
    axes.set(yticks=list(labels), yticklabels=list(labels.values()))
    axes.set_ylim(y - 0.4, -1.3)
    axes.grid(axis="x", **GUIDE)
    axes.set_xlabel("Mean Dice, 95 % interval (axis does not start at 0)")
    return figure


def _rows(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """The rows whose columns have these values; of an empty table none."""
    if table.empty:
        return table
    keep = np.ones(len(table), bool)
    for column, value in wanted.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def _value(table: pd.DataFrame, column: str, **wanted: str) -> float:
    """The cell in the only such row; NaN if there is none."""
    rows = _rows(table, **wanted)
    return float(rows[column].iloc[0]) if len(rows) else np.nan


def _present(table: pd.DataFrame, models: list[str]) -> list[str]:
    return [m for m in models if len(_rows(table, model=m))]


def _axes(
    width: float, height: float, rows: int = 1, columns: int = 1, **shared
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes in one flat array."""
    figure = Figure((width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared).ravel()


def _panels(count: int, height: float, around: float = 0.4, **shared) -> tuple[Figure, list[Axes]]:
    """As many panels of a height, at most four beside each other, and room for labels around."""
    rows = -(-count // 4)
    columns = -(-count // rows)
    figure = Figure(
        (SINGLE if columns == 1 else DOUBLE, around + rows * height), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    for axes in grid.ravel()[count:]:
        axes.remove()
    for axes in grid[-2, count % columns :] if count % columns else []:
        axes.tick_params(labelbottom=True)  # the last of its column
    return figure, list(grid.ravel()[:count])


def _dodged(models: list[str]) -> Iterator[tuple[str, float, float]]:
    """Each model with the offset and the width of its bar in a group."""
    width = 0.84 / len(models)
    for i, model in enumerate(models):
        yield model, (i - (len(models) - 1) / 2) * width, 0.86 * width


def _colour(model: str) -> str:
    return MODEL_STYLE[model]["color"]


def _is_hollow(model: str) -> bool:
    return model.endswith(CORE)


def _luminance(colour: str) -> float:
    """Relative luminance without gamma: what tells dark from light is enough."""
    return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))


def _fill(model: str) -> dict:
    face = "white" if _is_hollow(model) else _colour(model)
    return {"facecolor": face, "edgecolor": _colour(model), "linewidth": 0.8}


def _legend(figure: Figure, models: list[str], patches: bool = False) -> None:
    handles = []
    for model in models:
        style = MODEL_STYLE[model]
        if patches:
            style = style | {"marker": "s", "linestyle": "none", "markersize": 5}
        handles.append(Line2D([], [], **style, label=MODEL_NAMES[model]))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(models)))


def _interval_dot(axes: Axes, value: float, low: float, high: float, y: float, model: str) -> None:
    axes.hlines(y, low, high, color=_colour(model), linewidth=1.2)
    axes.plot(value, y, **MODEL_STYLE[model] | {"linestyle": "none", "markersize": 4.5})


def _dot_rows(axes: Axes, values: pd.Series, models: list[str], digits: int) -> None:
    """A row a model from the top: its dot, and its value beside the axes."""
    for y, model in enumerate(models):
        value = values.get(model, np.nan)
        axes.plot(value, y, **MODEL_STYLE[model] | {"linestyle": "none", "markersize": 4.5})
        _beside(axes, y, _number(value, digits))
    axes.set(yticks=range(len(models)), yticklabels=[MODEL_NAMES[m] for m in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.grid(axis="y", **GUIDE)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _beside(axes: Axes, y: float, text: str, points: float = 3, **style) -> None:
    """Text to the right of the axes at a height in data units."""
    axes.annotate(
        text,
        (1, y),
        (points, 0),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        annotation_clip=False,
        **style,
    )


def _padded(values: list[float]) -> tuple[float, float]:
    """Axis limits a little outside the values."""
    low, high = np.nanmin(values), np.nanmax(values)
    pad = 0.06 * (high - low) or 1
    return low - pad, high + pad


def _number(value: float, digits: int, sign: str = "") -> str:
    """Rounded, with a true minus; a dash where undefined."""
    return "–" if pd.isna(value) else f"{value:{sign}z.{digits}f}".replace("-", "−")


def _interval(low: float, high: float, digits: int, sign: str = "") -> str:
    if pd.isna(low) or pd.isna(high):
        return "[–]"
    return f"[{_number(low, digits, sign)}, {_number(high, digits, sign)}]"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else _number(p, 3)
