"""All figures: nothing is drawn of nothing, and what is drawn can be read."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from cardiac_seg.drawing.styles import METHOD_NAMES
from cardiac_seg.report.figures import elements as draw
from cardiac_seg.report.figures.calibration import reliability_diagrams
from cardiac_seg.report.figures.clinical import bland_altman
from cardiac_seg.report.figures.overlap import (
    confusion_matrices,
    dice_bars,
    dice_of_method,
    pixel_accuracies,
)
from cardiac_seg.report.figures.stacking import forest_plot
from tests.support.drawn import MODELS, STRUCTURES, drawn, frame, some_tables, texts


@pytest.mark.parametrize("empty", [pd.DataFrame(), None])
def test_nothing_is_drawn_of_empty_tables(tables, empty):
    none = {k: t.iloc[:0] if empty is None else empty for k, t in tables.items()}
    assert set(drawn(none, MODELS).values()) == {None}


def test_nothing_is_drawn_of_models_that_the_tables_lack(tables):
    t = tables
    assert confusion_matrices(t["confusion"], ["calibrated_mean"], STRUCTURES) is None
    assert dice_of_method(t["summary"], STRUCTURES, "calibrated_mean") is None
    assert bland_altman(t["clinical"], t["agreement"], "calibrated_mean", ["lv_edv_ml"]) is None
    assert bland_altman(t["clinical"], t["agreement"], "ensemble", ["rv_edv_ml"]) is None
    figure = pixel_accuracies(t["accuracy"], ["calibrated_mean", "ensemble"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Ensemble"]


def assert_readable(figure):
    """Text of 6 pt or more, and nothing beyond the edges."""
    figure.get_layout_engine().execute(figure)
    assert figure.get_figwidth() in (draw.SINGLE, draw.DOUBLE)
    sizes = {t.get_fontsize() for t in figure.findobj(Text) if t.get_text()}
    assert min(sizes) >= 6 and not [t for t in texts(figure) if "$" in t]
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01


def test_text_is_large_enough_and_inside_the_figure(figures):
    for figure in figures.values():
        assert_readable(figure)


def test_there_is_room_for_every_model():
    every = list(METHOD_NAMES)
    t = some_tables(every)
    assert_readable(dice_bars(t["summary"], every, STRUCTURES))
    assert_readable(reliability_diagrams(t["reliability"], t["calibration"], every))
    assert_readable(forest_plot(t["comparisons"], every))


def test_saved_in_print_size_with_text_as_text(tmp_path):
    figure = pixel_accuracies(frame("method accuracy", ("mean", 0.9)), ["mean"])
    pdf, png = draw.save(figure, tmp_path / "new" / "run1.5")
    assert (pdf.name, png.name) == ("run1.5.pdf", "run1.5.png")
    assert b"/Type3" not in pdf.read_bytes() and b"/FontFile2" in pdf.read_bytes()
    height, width = imread(png).shape[:2]
    assert (width, height) == tuple(np.floor(figure.get_size_inches() * 300))
    assert sorted(p.name for p in png.parent.iterdir()) == ["run1.5.pdf", "run1.5.png"]
