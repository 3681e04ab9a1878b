"""The figure of which feature group moves which structure where."""

import numpy as np
import pandas as pd
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from cardiac_seg.drawing.styles import BETTER, WORSE
from cardiac_seg.meta.methods import Method
from cardiac_seg.report.figures.elements import DOUBLE, SMALL, new_axes, select_rows
from cardiac_seg.system.numbers import number_text

UNSURE = "#888888"
SCALE = LinearSegmentedColormap.from_list("helps", (WORSE, "#FFFFFF", BETTER))


def importance_heat(
    importance: pd.DataFrame, learner: Method | None, structures: list[str]
) -> Figure | None:
    """Permutation importance: rows are feature groups, columns places, a panel per structure.

    Args:
        importance: method, group, structure, place, nats_per_1000_pixels, low, high.
        learner: Which of the methods.
        structures: Panels in order.
    """
    table = importance if learner is None else select_rows(importance, method=learner.name)
    if learner is None or table.empty:
        return None
    places, groups = list(dict.fromkeys(table.place)), list(dict.fromkeys(table.group))
    present = [s for s in structures if s in set(table.structure)]
    # Square roots, for a group or two outweigh the rest; as far for harm as for help.
    most = float(np.nanmax(np.abs(table.nats_per_1000_pixels))) or 1.0
    norm = FuncNorm((_signed_root, _signed_square), -most, most)
    figure, panels = new_axes(DOUBLE, 0.75 + 0.17 * len(groups), 1, len(present), sharey=True)
    for axes, structure in zip(panels, present, strict=True):
        rows = select_rows(table, structure=structure)
        wide = rows.pivot(index="group", columns="place", values="nats_per_1000_pixels")
        wide = wide.reindex(index=groups, columns=places)
        axes.imshow(wide, cmap=SCALE, norm=norm, aspect="auto")
        for row in rows.itertuples():
            at = places.index(row.place), groups.index(row.group)
            colour = UNSURE if row.low <= 0 <= row.high else "#000000"
            axes.text(
                *at, _short(row.nats_per_1000_pixels), color=colour, **CENTRED, fontsize=SMALL
            )
        axes.set_xticks(range(len(places)), places, rotation=90)
        axes.set_yticks(range(len(groups)), groups)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(structure)
    figure.supxlabel("Increase of the log-loss when the group is permuted (nats per 1000 pixels)")
    return figure


CENTRED = {"ha": "center", "va": "center"}


def _short(value: float) -> str:
    """As many digits as fit a cell."""
    if abs(value) < 0.05:
        return "0"
    return number_text(value, 0 if abs(value) >= 9.95 else 1)


def _signed_root(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values))


def _signed_square(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.square(values)
