"""Several runs in one figure."""

import pandas as pd
from matplotlib.figure import Figure

from cardiac_seg.drawing.styles import GUIDE, METHOD_NAMES
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    interval_dot,
    interval_text,
    new_axes,
    number_text,
    present_methods,
    select_rows,
    text_beside,
)


def run_dots(runs: pd.DataFrame, methods: list[str]) -> Figure | None:
    """Mean Dice with 95 % intervals, a row for each run and method.

    Args:
        runs: run, method, mean, low, high, patients.
        methods: Rows of a run in order.
    """
    methods = present_methods(runs, methods)
    if not methods:
        return None
    labels, texts, y = {}, [], 0
    names = list(dict.fromkeys(runs.run))
    found = [
        r
        for run in names
        for m in methods
        for r in select_rows(runs, run=run, method=m).itertuples()
    ]
    figure, (axes,) = new_axes(
        DOUBLE, 0.5 + 0.16 * (len(found) + 1.3 * len({r.run for r in found}))
    )
    for row in found:
        if row.run not in texts:
            y += 1.3 if texts else 0.3
            texts.append(row.run)
            where = axes.get_yaxis_transform()
            heading = f"{row.run} (patients: {row.patients})"
            axes.text(0.005, y - 1, heading, transform=where, va="center", weight="bold")
        interval_dot(axes, row.mean, row.low, row.high, y, row.method)
        text_beside(axes, y, f"{number_text(row.mean, 3)} {interval_text(row.low, row.high, 3)}")
        labels[y] = METHOD_NAMES[row.method]
        y += 1
    axes.set(yticks=list(labels), yticklabels=list(labels.values()))
    axes.set_ylim(y - 0.4, -1.3)
    axes.grid(axis="x", **GUIDE)
    axes.set_xlabel("Mean Dice, 95 % interval (axis does not start at 0)")
    return figure
