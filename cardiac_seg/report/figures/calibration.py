"""Figures of calibration."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cardiac_seg.drawing.styles import AREAS, GUIDE, style_of
from cardiac_seg.meta.methods import Method, names_of
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    SINGLE,
    dot_rows,
    new_axes,
    present_methods,
    select_rows,
    select_value,
)
from cardiac_seg.system.numbers import number_text


def reliability_diagrams(
    reliability: pd.DataFrame, calibration: pd.DataFrame, methods: list[Method]
) -> Figure | None:
    """Accuracy against confidence in bins, a line per method, ECE in the legend.

    Args:
        reliability: method, area, bin, pixels, confidence, accuracy.
        calibration: method, area, ece.
        methods: Lines in order.
    """
    methods = present_methods(reliability, methods)
    if not methods:
        return None
    areas = [a for a in AREAS if len(select_rows(reliability, area=a))]
    width, heights = DOUBLE if len(areas) > 1 else SINGLE, [3.4, 0.25 + 0.13 * len(methods)]
    figure, panels = new_axes(width, sum(heights), 2, len(areas), height_ratios=heights)
    uppers, lowers = np.split(panels, 2)
    for axes, below, area in zip(uppers, lowers, areas, strict=True):
        axes.plot([0, 1], [0, 1], **GUIDE)
        for method in methods:
            rows = select_rows(reliability, method=method.name, area=area).sort_values("bin")
            ece = select_value(calibration, "ece", method=method.name, area=area)
            label = f"{number_text(ece, 4)}  {method.title}"
            axes.plot(rows.confidence, rows.accuracy, **style_of(method), label=label)
        axes.set(xlabel="Confidence", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_title(AREAS[area].capitalize())
        below.axis("off")
        below.legend(*axes.get_legend_handles_labels(), title="ECE", loc="upper center")
    panels[0].set_ylabel("Accuracy")
    return figure


def calibration_scores(calibration: pd.DataFrame, methods: list[Method]) -> Figure | None:
    """Expected calibration error and Brier score of image and band, a dot per method.

    Args:
        calibration: method, area, ece, brier.
        methods: Rows in order.
    """
    methods = present_methods(calibration, methods)
    if not methods:
        return None
    names = {"ece": "ECE", "brier": "Brier score"}
    areas = [a for a in AREAS if len(select_rows(calibration, area=a))]
    figure, panels = new_axes(
        DOUBLE, 0.65 + 0.16 * len(methods), 1, len(names) * len(areas), sharey=True
    )
    columns = [(score, area) for score in names for area in areas]
    for axes, (score, area) in zip(panels, columns, strict=True):
        values = select_rows(calibration, area=area).set_index("method")[score]
        dot_rows(axes, values, methods, 4)
        top = values.reindex(names_of(methods)).max()
        axes.set_xlim(0, 1.1 * top if top > 0 else 1)
        axes.xaxis.set_major_locator(MaxNLocator(2))
        axes.set_title(f"{names[score]}, {area}")
    figure.supxlabel("Smaller is better")
    return figure
