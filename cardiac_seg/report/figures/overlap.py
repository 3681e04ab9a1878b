"""Figures of overlap and distances: confusion, ROC, Dice, accuracy, surface distances."""

import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.drawing.styles import GUIDE, class_colours
from cardiac_seg.meta.methods import Method
from cardiac_seg.metrics.patient_means import patient_means
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    SINGLE,
    SMALL,
    colour_of,
    dodged_methods,
    dot_rows,
    draw_legend,
    fill_of,
    is_hollow,
    luminance,
    new_axes,
    new_panels,
    present_methods,
    select_rows,
    text_beside,
)
from cardiac_seg.system.numbers import interval_text, number_text


def confusion_matrices(
    confusion: pd.DataFrame, methods: list[Method], structures: list[str]
) -> Figure | None:
    """Row-normalised confusion matrices in percent, a panel per method.

    Args:
        confusion: method, truth, predicted, share.
        methods: Panels in order.
        structures: The dataset's, in its order.
    """
    methods = present_methods(confusion, methods)
    if not methods:
        return None
    classes = ["background", *structures]
    figure, panels = new_panels(len(methods), 1.6, 0.85, sharex=True, sharey=True)
    for axes, method in zip(panels, methods, strict=True):
        rows = confusion[confusion.method == method.name]
        shares = rows.pivot(index="truth", columns="predicted", values="share")
        shares = shares.reindex(index=classes, columns=classes).to_numpy(float)
        # The root makes mistakes of a few percent visible.
        axes.imshow(shares, cmap="Greys", norm=PowerNorm(0.5, 0, 1))
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.4 else "black"
            text = number_text(100 * share, 1)
            axes.text(column, row, text, color=colour, fontsize=SMALL, ha="center", va="center")
        ticks = range(len(classes))
        axes.set(xticks=ticks, yticks=ticks, xticklabels=classes, yticklabels=classes)
        axes.tick_params("x", rotation=90)
        axes.tick_params(length=0)
        axes.set_title(method.title)
    figure.supxlabel("Predicted class")
    figure.supylabel("True class (percent of its pixels)")
    return figure


def roc_curves(
    roc: pd.DataFrame, auc: pd.DataFrame, methods: list[Method], anatomy: Anatomy
) -> Figure | None:
    """One class against the rest, a panel per method, AUC in the legend.

    The axis of false positives is logarithmic above 1e-5 and linear below: areas are near 1, and
    what differs between classes happens below a rate of 1 %.

    Args:
        roc: method, class, false_positive_rate, true_positive_rate.
        auc: method, class, auc.
        methods: Panels in order.
        anatomy: The dataset's structures.
    """
    methods = present_methods(roc, methods)
    if not methods:
        return None
    colours = class_colours(anatomy)
    figure, panels = new_panels(len(methods), 1.8, sharex=True, sharey=True)
    for axes, method in zip(panels, methods, strict=True):
        areas = select_rows(auc, method=method.name).set_index("class").auc if len(auc) else {}
        for name in ["background", *anatomy.names]:
            curve = select_rows(roc, method=method.name, **{"class": name})
            label = f"{name} {number_text(areas.get(name, np.nan), 4)}"
            rates = curve.false_positive_rate, curve.true_positive_rate
            axes.plot(*rates, color=colours[name], linewidth=1, label=label)
        axes.set_xscale("symlog", linthresh=1e-5, linscale=0.5)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 1e-4, 1e-2, 1])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")  # powers would be set below the smallest size
        axes.set_title(method.title)
        # Curves may pass below it: a background keeps the numbers legible.
        legend = axes.legend(title="AUC", loc="lower right", handlelength=1.2, labelspacing=0.25)
        legend.set(frame_on=True)
        legend.get_frame().set(facecolor="white", alpha=0.85, linewidth=0)
    figure.supxlabel("False-positive rate (linear below 0.00001, then logarithmic)")
    figure.supylabel("True-positive rate")
    return figure


def dice_bars(
    summary: pd.DataFrame,
    methods: list[Method],
    structures: list[str],
    cases: pd.DataFrame | None = None,
) -> Figure | None:
    """Dice by structure and method: bars with values, 95 % intervals, and a dot per patient.

    Args:
        summary: method, structure (incl. `mean`), metric, mean, low, high.
        methods: Bars of a group in order.
        structures: Groups in order; `mean` is put last.
        cases: patient, method, structure, dice; a patient's dot is the mean of its cases.
    """
    table = select_rows(summary, metric="dice")
    methods = present_methods(table, methods)
    if not methods:
        return None
    names = [*structures, "mean"]
    figure, (axes,) = new_axes(DOUBLE, 2.9)
    for method, offset, width in dodged_methods(methods):
        rows = select_rows(table, method=method.name).set_index("structure").reindex(names)
        x = np.arange(len(names)) + offset
        axes.bar(x, rows["mean"], width, **fill_of(method))
        for position, name in zip(x, structures if cases is not None else [], strict=False):
            rows_of = select_rows(cases, method=method.name, structure=name)
            dice = patient_means(rows_of, [], ["dice"]).sort_values("patient").dice
            # Side by side, or patients with like values would hide each other.
            beside = position + width * 0.6 * (np.arange(len(dice)) / max(len(dice) - 1, 1) - 0.5)
            axes.plot(beside, dice, "o", ms=1.4, mew=0.25, mfc="white", mec="black")
        whiskers = axes.vlines(x, rows.low, rows.high, color="black", linewidth=0.8, zorder=3)
        whiskers.set_path_effects([withStroke(linewidth=1.8, foreground="white")])
        dark = not is_hollow(method) and luminance(colour_of(method)) < 0.45
        for position, value in zip(x, rows["mean"], strict=True):
            # At the foot of the bars, where no patient's dot is.
            colour = "white" if dark and value > 0 else "black"
            style = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": SMALL}
            axes.text(position, 0.02, number_text(value, 3), color=colour, **style)
    axes.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1.01))
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylabel("Dice (mean over patients, 95 % interval)")
    draw_legend(figure, methods, patches=True)
    return figure


def dice_of_method(summary: pd.DataFrame, anatomy: Anatomy, method: Method) -> Figure | None:
    """Dice of one method by structure: bars, values and 95 % intervals.

    Args:
        summary: method, structure (incl. `mean`), metric, mean, low, high.
        anatomy: The dataset's structures: bars in order, `mean` last.
        method: The method drawn.
    """
    rows = select_rows(summary, metric="dice", method=method.name)
    if rows.empty:
        return None
    names = [*anatomy.names, "mean"]
    rows = rows.set_index("structure").reindex(names)
    figure, (axes,) = new_axes(SINGLE, 2.3)
    axes.bar(range(len(names)), rows["mean"], 0.6, color=[class_colours(anatomy)[n] for n in names])
    whiskers = axes.vlines(range(len(names)), rows.low, rows.high, color="black", linewidth=1)
    whiskers.set_path_effects([withStroke(linewidth=2, foreground="white")])
    for x, row in enumerate(rows.itertuples()):
        top = np.nanmax([row.mean, row.high, 0])
        text = f"{number_text(row.mean, 3)}\n{interval_text(row.low, row.high, 3)}"
        axes.text(x, top + 0.02, text, ha="center", va="bottom", fontsize=SMALL)
    axes.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1.2))
    axes.set(yticks=np.linspace(0, 1, 6), ylabel="Dice (mean over patients)")
    axes.set_title(method.title)
    return figure


def dice_by_group(groups: pd.DataFrame, anatomy: Anatomy, method: Method) -> Figure | None:
    """Dice of one method by patient group, phase and region or view: dots, the mean printed.

    Args:
        groups: by, value, method, structure (incl. `mean`), dice, patients.
        anatomy: The dataset's structures.
        method: The method drawn.
    """
    table = select_rows(groups, method=method.name)
    if table.empty:
        return None
    kinds = list(dict.fromkeys(table.by))
    names = [*anatomy.names, "mean"]
    colours = class_colours(anatomy)
    max_values = table.groupby("by").value.nunique().max()
    figure, panels = new_axes(DOUBLE, 0.75 + 0.26 * max_values, 1, len(kinds), sharex=True)
    for axes, kind in zip(panels, kinds, strict=True):
        rows = select_rows(table, by=kind)
        values = list(dict.fromkeys(rows.value))
        for name, offset in zip(names, np.linspace(-0.24, 0.24, len(names)), strict=True):
            dice = select_rows(rows, structure=name).set_index("value").dice.reindex(values)
            y = np.arange(len(values)) + offset
            marker = {"marker": "D" if name == "mean" else "o", "ms": 3.5, "ls": "none"}
            axes.plot(dice, y, color=colours[name], **marker, label=name)
            if name == "mean":
                for row, value in enumerate(dice):
                    text_beside(axes, row + offset, number_text(value, 3))
        patients = rows.groupby("value").patients.max()
        labels = [f"{v} ({patients[v]})" for v in values]
        axes.set(yticks=range(len(values)), yticklabels=labels)
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.grid(axis="x", **GUIDE)
        axes.set_title(f"by {kind} (patients)")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(names))
    figure.supxlabel(f"{method.title}: Dice (axis does not start at 0; printed: mean)")
    return figure


def pixel_accuracies(accuracy: pd.DataFrame, methods: list[Method]) -> Figure | None:
    """Share of pixels with the right class, a dot per method, values printed.

    Args:
        accuracy: method, accuracy (pooled over the test pixels, network grid).
        methods: Rows in order.
    """
    methods = present_methods(accuracy, methods)
    if not methods:
        return None
    figure, (axes,) = new_axes(SINGLE, 0.55 + 0.16 * len(methods))
    dot_rows(axes, accuracy.set_index("method").accuracy, methods, 4)
    axes.set_xlabel(f"Pixel accuracy (axis starts at {axes.get_xlim()[0]:.4f})")
    return figure


def surface_distances(
    cases: pd.DataFrame, methods: list[Method], structures: list[str]
) -> Figure | None:
    """HD95 and ASSD by structure and method: boxes over cases, undefined distances left out.

    Boxes are quartiles and median, whiskers reach at most 1.5 times the box, dots lie beyond.

    Args:
        cases: method, structure, hd95_mm, assd_mm.
        methods: Boxes of a group in order.
        structures: Groups in order.
    """
    columns = {"hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)"}
    methods = present_methods(cases, methods)
    if not methods or not cases[list(columns)].notna().any(axis=None):
        return None
    figure, panels = new_axes(DOUBLE, 3.8, 2, 1, sharex=True)
    for axes, (column, label) in zip(panels, columns.items(), strict=True):
        for method, offset, width in dodged_methods(methods):
            values = [
                select_rows(cases, method=method.name, structure=s)[column].dropna()
                for s in structures
            ]
            fill = fill_of(method)
            dark = not is_hollow(method) and luminance(colour_of(method)) < 0.45
            axes.boxplot(
                values,
                positions=np.arange(len(structures)) + offset,
                widths=width,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"linewidth": 0.6} | fill,
                medianprops={"color": "white" if dark else "black", "linewidth": 1.0},
                whiskerprops={"linewidth": 0.6, "color": colour_of(method)},
                capprops={"linewidth": 0},
                flierprops={"marker": ".", "ms": 2, "mew": 0, "mfc": colour_of(method)},
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
    draw_legend(figure, methods, patches=True)
    return figure
