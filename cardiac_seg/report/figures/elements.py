"""What figures at print size share: axes, dots, legends; importing sets the style.

Figures are drawn from the tables alone: what is printed is what a table holds. Every function
takes tables as `report.tables` makes them, and lists that say what is drawn in which order (what
the tables lack is left out). It returns None where nothing can be drawn.
Sizes are inches; `report.column_width` brings finished figures to other columns.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cardiac_seg.drawing.styles import GUIDE, style_of
from cardiac_seg.meta.methods import Method
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.numbers import number_text

SINGLE_MM, DOUBLE_MM = 84.0, 175.0  # one column of a page, and both
SINGLE, DOUBLE = SINGLE_MM / 25.4, DOUBLE_MM / 25.4
TEXT, SMALL = 7, 6  # pt


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


def fit_columns(figure: Figure, widths_mm: tuple[float, float]) -> None:
    """Brings a figure of one column's width, or of both, to other widths; text keeps its size."""
    width, height = figure.get_size_inches()
    drawn, wanted = (SINGLE, widths_mm[0]) if width <= SINGLE else (DOUBLE, widths_mm[1])
    scale = wanted / 25.4 / drawn
    figure.set_size_inches(width * scale, height * scale)


def letter_panels(figure: Figure) -> None:
    """Writes a, b, c, ... beside the panels of a figure that has several.

    In a grid of pictures each row is a panel.
    """
    panels = [a for a in figure.axes if a.axison and a.get_label() != "<colorbar>"]
    if any(axes.get_images() for axes in panels):
        places = [(a, a.get_subplotspec()) for a in panels]
        rows = [a for a, place in places if place and place.colspan.start == 0]
        panels = rows if len(rows) > 1 else panels
    if len(panels) < 2:
        return
    for i, axes in enumerate(panels):
        where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        letter = chr(ord("a") + i % 26)
        axes.annotate(
            letter, (0, 1), (-4, 3), **where, ha="right", weight="bold", fontsize=TEXT + 1
        )


def select_rows(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """The rows whose columns have these values; of an empty table none."""
    if table.empty:
        return table
    keep = np.ones(len(table), bool)
    for column, value in wanted.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def select_value(table: pd.DataFrame, column: str, **wanted: str) -> float:
    """The cell in the only such row; NaN if there is none."""
    rows = select_rows(table, **wanted)
    return float(rows[column].iloc[0]) if len(rows) else np.nan


def present_methods(table: pd.DataFrame, methods: list[Method]) -> list[Method]:
    """Those of the methods that the table has rows of."""
    return [m for m in methods if len(select_rows(table, method=m.name))]


def new_axes(
    width: float, height: float, rows: int = 1, columns: int = 1, **shared
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes in one flat array."""
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    figure = Figure((width, height), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared).ravel()


def new_panels(
    count: int, height: float, around: float = 0.4, **shared
) -> tuple[Figure, list[Axes]]:
    """As many panels of a height, at most four beside each other, and room for labels around."""
    rows = -(-count // 4)
    columns = -(-count // rows)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    width = SINGLE if columns == 1 else DOUBLE
    figure = Figure((width, around + rows * height), layout=layout)
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    for axes in grid.ravel()[count:]:
        axes.remove()
    for axes in grid[-2, count % columns :] if count % columns else []:
        axes.tick_params(labelbottom=True)  # the last of its column
    return figure, list(grid.ravel()[:count])


def dodged_methods(methods: list[Method]) -> Iterator[tuple[Method, float, float]]:
    """Each method with the offset and the width of its bar in a group."""
    width = 0.84 / len(methods)
    for i, method in enumerate(methods):
        yield method, (i - (len(methods) - 1) / 2) * width, 0.86 * width


def colour_of(method: Method) -> str:
    """A method's colour."""
    return style_of(method)["color"]


def is_hollow(method: Method) -> bool:
    """Whether a method's markers and boxes are white inside."""
    return style_of(method)["markerfacecolor"] == "white"


def luminance(colour: str) -> float:
    """Relative luminance without gamma: what tells dark from light is enough."""
    return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))


def fill_of(method: Method) -> dict:
    """How a method's boxes and bars are filled, as Matplotlib's arguments."""
    face = "white" if is_hollow(method) else colour_of(method)
    return {"facecolor": face, "edgecolor": colour_of(method), "linewidth": 0.8}


def draw_legend(figure: Figure, methods: list[Method], patches: bool = False) -> None:
    """Draws the methods' legend above the axes; patches: squares in place of lines."""
    handles = []
    for method in methods:
        style = style_of(method)
        if patches:
            style = style | {"marker": "s", "linestyle": "none", "markersize": 5}
        handles.append(Line2D([], [], **style, label=method.title))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(methods)))


def interval_dot(
    axes: Axes, value: float, low: float, high: float, y: float, method: Method
) -> None:
    """Draws a value with its interval at height `y`, in the method's style."""
    axes.hlines(y, low, high, color=colour_of(method), linewidth=1.2)
    axes.plot(value, y, **style_of(method) | {"linestyle": "none", "markersize": 4.5})


def dot_rows(axes: Axes, values: pd.Series, methods: list[Method], digits: int) -> None:
    """A row per method from the top: its dot, and its value beside the axes."""
    for y, method in enumerate(methods):
        value = values.get(method.name, np.nan)
        axes.plot(value, y, **style_of(method) | {"linestyle": "none", "markersize": 4.5})
        text_beside(axes, y, number_text(value, digits))
    axes.set(yticks=range(len(methods)), yticklabels=[m.title for m in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="y", **GUIDE)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def text_beside(axes: Axes, y: float, text: str, points: float = 3, **style) -> None:
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


def padded_range(values: list[float]) -> tuple[float, float]:
    """Axis limits a little outside the values."""
    low, high = np.nanmin(values), np.nanmax(values)
    pad = 0.06 * (high - low) or 1
    return low - pad, high + pad
