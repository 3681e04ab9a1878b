"""Figures of clinical indices: Bland-Altman plots."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.drawing.styles import DIGITS, GUIDE
from cardiac_seg.meta.methods import Method
from cardiac_seg.metrics.indices import INDICES, NEEDED
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    new_axes,
    padded_range,
    select_rows,
    select_value,
    text_beside,
)
from cardiac_seg.system.numbers import number_text


def bland_altman(
    clinical: pd.DataFrame,
    agreement: pd.DataFrame,
    method: Method,
    indices: list[str],
    anatomy: Anatomy,
) -> Figure | None:
    """A method's indices against the reference's: scatter, and Bland and Altman's plot (1986).

    Args:
        clinical: patient, method (incl. `reference`), index (keys of `INDICES`), value.
        agreement: method, index, patients, r, bias, low, high; against the reference masks alone.
        method: The method drawn.
        indices: Pairs of panels in order, two pairs beside each other.
        anatomy: The dataset's structures, for the colours.
    """
    drawn = []
    for index in indices:
        rows = select_rows(clinical, index=index)
        if rows.empty:
            continue
        wide = rows.pivot(index="patient", columns="method", values="value")
        if {method.name, "reference"} <= set(wide):
            known = wide[["reference", method.name]].dropna()
            drawn += [(index, known["reference"], known[method.name])] if len(known) else []
    if not drawn:
        return None
    across = min(2, len(drawn))
    rows = -(-len(drawn) // across)
    figure, panels = new_axes(DOUBLE, 0.1 + rows * (1.65 if across > 1 else 2.3), rows, 2 * across)
    for axes in panels[2 * len(drawn) :]:
        axes.remove()
    pairs = zip(panels[::2], panels[1::2], strict=True)
    for (left, right), (index, reference, measured) in zip(pairs, drawn, strict=False):
        limits = {
            column: select_value(agreement, column, method=method.name, index=index)
            for column in ("patients", "r", "bias", "low", "high")
        }
        name, unit = INDICES[index]
        structure = anatomy.name(NEEDED[index.split("_")[0]])
        colour = anatomy.colours.get(structure or "", "#000000")
        dots = {"marker": "o", "ms": 2.8, "ls": "none", "mfc": "none", "mew": 0.6, "color": colour}
        left.plot(reference, measured, **dots)
        ends = padded_range([*reference, *measured])
        left.plot(ends, ends, **GUIDE)
        left.set(xlim=ends, ylim=ends, xlabel=f"Reference ({unit})", ylabel=f"Method ({unit})")
        text = f"{name}: r {number_text(limits['r'], 3)}, n {number_text(limits['patients'], 0)}"
        left.set_title(text, loc="left", pad=6)

        difference = measured - reference
        right.plot((measured + reference) / 2, difference, **dots)
        right.axhline(0, **GUIDE)
        lines = {"bias": "-", "low": "--", "high": "--"}
        for line, style in lines.items():
            if np.isfinite(limits[line]):
                right.axhline(limits[line], color="black", linewidth=0.8, linestyle=style)
                text_beside(right, limits[line], number_text(limits[line], DIGITS.get(unit, 1)))
        right.set_ylim(padded_range([*difference, *(limits[line] for line in lines), 0.0]))
        right.set(xlabel=f"Mean of both ({unit})", ylabel=f"Difference ({unit})")
    return figure
