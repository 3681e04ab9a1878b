"""Dice and predicted Dice of perturbed images."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cardiac_seg.drawing.styles import GUIDE, SCORES
from cardiac_seg.report.figures.elements import new_panels
from cardiac_seg.run.stress_table import AS_IS

STYLES: dict[str, tuple[str, dict[str, Any]]] = {  # column: what it is called, how it is drawn
    "dice": ("Dice", {"color": "black", "ls": "-", "marker": "o"}),
    "predicted_dice": (
        "Predicted Dice",
        {"color": SCORES["predicted_dice"][2]["color"], "ls": "--", "marker": "s"},
    ),
}


def stress_curves(summary: pd.DataFrame, review_below: float) -> Figure | None:
    """A panel per perturbation: means over the cases by strength, the images as they are at 0.

    Args:
        summary: See `report.tables.stress.summarize_stress`.
        review_below: The predicted Dice that asks for a review.
    """
    if summary.empty:
        return None
    own = summary[summary.perturbation == AS_IS]
    groups = list(summary[summary.perturbation != AS_IS].groupby("perturbation", sort=False))
    figure, panels = new_panels(len(groups), 1.35, around=0.3, sharey=True)
    values = summary[list(STYLES)].to_numpy()
    for axes, (name, rows) in zip(panels, groups, strict=True):
        unit = rows.unit.iloc[0]
        rows = pd.concat([own, rows]).sort_values("strength", kind="stable")
        for column, (_, style) in STYLES.items():
            axes.plot(range(len(rows)), rows[column], **style, ms=2.5, linewidth=1.0)
        axes.axhline(review_below, **GUIDE)
        labels = ["as is" if s == 0 else f"{s:g}" for s in rows.strength]
        axes.set(xticks=range(len(rows)), xticklabels=labels, xlabel=unit)
        axes.set_title(name.replace("_", " ").capitalize())
        axes.margins(x=0.08)
    axes.set_ylim(0.5 if values.min() >= 0.5 else 0, 1.01)
    handles = [Line2D([], [], **style, ms=2.5, label=label) for label, style in STYLES.values()]
    handles.append(Line2D([], [], **GUIDE, label="Review below"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure
