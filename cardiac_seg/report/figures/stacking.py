"""Figures of stacking against averaging."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from cardiac_seg.drawing.styles import BETTER, GUIDE, NEITHER, WORSE
from cardiac_seg.meta.methods import CALIBRATED_MEAN, MEAN, Method, title_of
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    SMALL,
    interval_dot,
    new_axes,
    new_panels,
    present_methods,
    select_rows,
    text_beside,
)
from cardiac_seg.system.numbers import interval_text, number_text, p_text


def forest_plot(comparisons: pd.DataFrame, methods: list[Method]) -> Figure | None:
    """The paired difference in Dice of every combination to the mean, with 95 % intervals.

    The primary comparison is to the calibrated mean where there is one, and says so.

    Args:
        comparisons: role, method, against, metric, difference, low, high, p_holm, verdict.
        methods: Rows in order, within primary, secondary and exploratory.
    """
    table = select_rows(comparisons, metric="dice")
    if table.empty:
        return None
    table = table[(table.against == MEAN) | (table.role == "primary")]
    roles = ["primary", "secondary", "exploratory"]
    rows = [
        (method, row)
        for role in roles
        for method in methods
        for row in select_rows(table, role=role, method=method.name).itertuples()
    ]
    if not rows:
        return None
    figure, (axes,) = new_axes(DOUBLE, 0.8 + 0.17 * len(rows))
    axes.axvline(0, **GUIDE)
    headings = {"Difference [95 % interval]": 8, "p (Holm)": 122, "Verdict": 162, "Comparison": 207}
    for heading, points in headings.items():
        where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(heading, (1, 1), (points, 3), **where, fontsize=SMALL, weight="bold")
    for y, (method, row) in enumerate(rows):
        interval_dot(axes, row.difference, row.low, row.high, y, method)
        difference = (
            f"{number_text(row.difference, 4, '+')} {interval_text(row.low, row.high, 4, '+')}"
        )
        texts = [difference, p_text(row.p_holm), row.verdict, row.role]
        for text, points in zip(texts, headings.values(), strict=True):
            text_beside(axes, y, text, points)
    marks = ["" if row.against == MEAN else " *" for _, row in rows]
    labels = [method.title + mark for (method, _), mark in zip(rows, marks, strict=True)]
    axes.set(yticks=range(len(rows)), yticklabels=labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    other = f"; * minus the {title_of(CALIBRATED_MEAN).lower()}'s" if any(marks) else ""
    axes.set_xlabel(f"Dice minus the mean's{other} (right: better)")
    return figure


def change_bars(changes: pd.DataFrame, methods: list[Method]) -> Figure | None:
    """Pixels changed against the mean by distance to the reference boundary, a panel per method.

    Args:
        changes: method, distance, better, worse, neither (pixels).
        methods: Panels in order.
    """
    methods = present_methods(changes, methods)
    if not methods:
        return None
    distances = list(dict.fromkeys(changes.distance))
    kinds = {"better": BETTER, "worse": WORSE, "neither": NEITHER}
    figure, panels = new_panels(len(methods), 1.5, sharex=True, sharey=True)
    for axes, method in zip(panels, methods, strict=True):
        rows = select_rows(changes, method=method.name).set_index("distance").reindex(distances)
        for i, (kind, colour) in enumerate(kinds.items()):
            x = np.arange(len(distances)) + 0.27 * (i - 1)
            axes.bar(x, rows[kind], 0.27, color=colour, label=kind)
        axes.set_xticks(range(len(distances)), [d.removesuffix(" mm") for d in distances])
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(method.title)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.supxlabel("Distance to the reference boundary (mm)")
    figure.supylabel("Changed pixels")
    return figure


def importance_dots(importance: pd.DataFrame, methods: list[Method]) -> Figure | None:
    """Permutation importance by feature group: mean and range over the folds, a panel per learner.

    Args:
        importance: method, group, mean, low, high (nats).
        methods: Panels in order.
    """
    methods = present_methods(importance, methods)
    if not methods:
        return None
    groups = list(dict.fromkeys(importance.group))
    figure, panels = new_panels(len(methods), 0.6 + 0.15 * len(groups), sharey=True)
    for axes, method in zip(panels, methods, strict=True):
        axes.axvline(0, **GUIDE)
        for row in select_rows(importance, method=method.name).itertuples():
            y = groups.index(row.group)
            interval_dot(axes, row.mean, row.low, row.high, y, method)
            text_beside(axes, y, number_text(row.mean, 4))
        axes.set(yticks=range(len(groups)), yticklabels=groups)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(method.title)
    figure.supxlabel("Increase of the log-loss when the group is permuted (nats; line: folds)")
    return figure
