"""Figures of the slices in which a learner most repairs and most harms the mean's mask."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.drawing import overlays
from cardiac_seg.drawing.styles import BETTER, WORSE
from cardiac_seg.members.maps import read_maps
from cardiac_seg.meta.methods import title_of
from cardiac_seg.report.figures.elements import DOUBLE, SMALL
from cardiac_seg.report.pictures import read_case_masks
from cardiac_seg.report.tables.slices import largest
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.run.scored_cases import read_test_cases
from cardiac_seg.system.numbers import number_text

SHOWN, COLUMNS = 10, 5
HEIGHT = 300  # pixels of one picture
LONGEST = 22  # letters of a case's name that fit above a picture
LINES: dict[str, tuple[Any, float]] = {  # line style and width in points
    "reference": ("solid", 0.6),
    "before": ((0, (2.5, 1.5)), 0.7),
    "after": ("solid", 0.7),
}


def moved_figure(run: Run, moved: pd.DataFrame, repairs: bool, learner: str) -> Figure | None:
    """The most repaired slices, or the most harmed: outlines of reference, mean and learner.

    Args:
        run: A finished run.
        moved: As `report.tables.slices.moved_slices` makes it.
        repairs: Whether repairs are shown, or harms.
        learner: Title of the learner.
    """
    chosen = largest(moved, repairs, SHOWN) if len(moved) else moved
    if chosen.empty:
        return None
    rows = -(-len(chosen) // COLUMNS)
    words = 0.36 if chosen.slices.max() > 1 else 0.26  # inches above and below a picture
    size = (DOUBLE, rows * (DOUBLE / COLUMNS + words) + 0.32)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=size, layout="constrained", squeeze=False)
    paths = read_test_cases(run).set_index("case").path
    for axes, row in zip(grid.flat, chosen.itertuples(), strict=False):
        _draw_slice(axes, run, row, paths[row.case])
    for axes in grid.flat[len(chosen) :]:
        axes.set_axis_off()
    _legend(figure, run.dataset.anatomy, title_of(chosen.against.iloc[0]), learner)
    return figure


def _draw_slice(axes: Axes, run: Run, row, path: str) -> None:
    names = {"reference": REFERENCE_MASKS, "before": row.against, "after": row.method}
    masks, spacing = read_case_masks(run, path, list(names.values()))
    planes = {what: masks[name][row.slice - 1] for what, name in names.items()}
    held = np.any([plane > 0 for plane in planes.values()], axis=0)
    image = read_maps(run.map(row.case), []).image
    reference = masks[REFERENCE_MASKS]
    part = overlays.close_view(image, reference, held, spacing, row.slice - 1, HEIGHT)
    shown = {what: part.fit(plane) for what, plane in planes.items()}
    picture = overlays.grey(part.image)
    changed = shown["before"] != shown["after"]
    for colour, right in ((BETTER, shown["after"]), (WORSE, shown["before"])):
        picture = overlays.tinted(picture, changed & (right == shown["reference"]), colour)
    axes.imshow(picture)
    for what in LINES:
        _outline(axes, shown[what], run.dataset.anatomy, what)
    at = f"\nslice {row.slice} of {row.slices}" if row.slices > 1 else ""
    axes.set_title(_shortened(row.case) + at, fontsize=SMALL)
    change = number_text(row.change_mm2, 0 if abs(row.change_mm2) >= 9.5 else 1, "+")
    axes.set_xlabel(f"{row.structure} {change} mm²", fontsize=SMALL)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _outline(axes: Axes, labels: np.ndarray, anatomy: Anatomy, what: str) -> None:
    # The muscle first: its inner outline would hide the cavity's.
    muscle, (style, width) = anatomy.label("myocardium"), LINES[what]
    order = sorted(enumerate(anatomy.colours.values(), start=1), key=lambda it: it[0] != muscle)
    for label, colour in order:
        inside = labels == label
        if inside.any() and not inside.all():
            colour = "#FFFFFF" if what == "reference" else colour
            shape: dict[str, Any] = {"linestyles": [style], "linewidths": width}
            axes.contour(inside.astype(float), levels=[0.5], colors=colour, **shape)


def _shortened(name: str) -> str:
    """A case's name without its middle where it is too long."""
    if len(name) <= LONGEST:
        return name
    half = (LONGEST - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _legend(figure: Figure, anatomy: Anatomy, before: str, after: str) -> None:
    """Two rows: whose the lines are, and what the colours are."""
    lines = {"reference": "reference", "before": before.lower(), "after": after.lower()}
    of_lines = []
    for what, name in lines.items():
        style, width = LINES[what]
        colour = "#FFFFFF" if what == "reference" else "#444444"
        line = Line2D([], [], color=colour, linestyle=style, linewidth=width, label=name)
        if what == "reference":  # white on white
            line.set_path_effects([withStroke(linewidth=2, foreground="#888888")])
        of_lines.append(line)
    colours = anatomy.colours | {"now right": BETTER, "now wrong": WORSE}
    patches = [Patch(fc=c, ec="#888888", lw=0.4, label=s) for s, c in colours.items()]
    nothing = [Patch(alpha=0, label=" ")] * (len(patches) - len(of_lines))
    # Legends are filled column by column.
    pairs = zip([*of_lines, *nothing], patches, strict=True)
    handles = [handle for pair in pairs for handle in pair]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(patches))
