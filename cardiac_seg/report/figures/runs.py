"""Several runs in one figure."""

import pandas as pd
from matplotlib.figure import Figure

from cardiac_seg.drawing.styles import GUIDE
from cardiac_seg.meta.methods import Method
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    interval_dot,
    new_axes,
    select_rows,
    text_beside,
)
from cardiac_seg.system.numbers import interval_text, number_text


def run_dots(runs: pd.DataFrame, methods: dict[str, list[Method]]) -> Figure | None:
    """Mean Dice with 95 % intervals, one row per run and method.

    Args:
        runs: run, method, mean, low, high, patients.
        methods: Run -> its rows in order.
    """
    rows = [
        (method, row)
        for run, of_run in methods.items()
        for method in of_run
        for row in select_rows(runs, run=run, method=method.name).itertuples()
    ]
    if not rows:
        return None
    labels: dict[float, str] = {}
    headed: set[str] = set()  # runs whose heading is drawn
    y = 0.0
    figure, (axes,) = new_axes(
        DOUBLE, 0.5 + 0.16 * (len(rows) + 1.3 * len({row.run for _, row in rows}))
    )
    for method, row in rows:
        if row.run not in headed:
            y += 1.3 if headed else 0.3
            headed.add(row.run)
            where = axes.get_yaxis_transform()
            heading = f"{row.run} (patients: {row.patients})"
            axes.text(0.005, y - 1, heading, transform=where, va="center", weight="bold")
        interval_dot(axes, row.mean, row.low, row.high, y, method)
        text_beside(axes, y, f"{number_text(row.mean, 3)} {interval_text(row.low, row.high, 3)}")
        labels[y] = method.title
        y += 1
    axes.set(yticks=list(labels), yticklabels=list(labels.values()))
    axes.set_ylim(y - 0.4, -1.3)
    axes.grid(axis="x", **GUIDE)
    axes.set_xlabel("Mean Dice, 95 % interval (axis does not start at 0)")
    return figure
