"""All figures: nothing is drawn of nothing, and what is drawn can be read."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.drawing.styles import class_colours, style_of
from cardiac_seg.meta.methods import Method, list_members
from cardiac_seg.report.figures import elements as draw
from cardiac_seg.report.figures.calibration import reliability_diagrams
from cardiac_seg.report.figures.clinical import bland_altman
from cardiac_seg.report.figures.elements import is_hollow
from cardiac_seg.report.figures.overlap import (
    confusion_matrices,
    dice_bars,
    dice_of_method,
    pixel_accuracies,
)
from cardiac_seg.report.figures.stacking import forest_plot
from tests.support.drawn import (
    ANATOMY,
    METHODS,
    MODELS,
    STRUCTURES,
    drawn,
    frame,
    methods,
    some_tables,
    texts,
)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_members_and_learners_of_any_name_and_number_are_drawn_apart(count):
    members = list_members([f"net_{i}" for i in range(count)])
    learners = [
        Method(f"own_{i}{'_core' * core}", "learner", "core" if core else "all", f"Own {i}", "", i)
        for i in range(count)
        for core in (False, True)
    ]
    shown = [*members, METHODS["mean"], *learners, METHODS["ensemble"]]
    styles = [style_of(method) for method in shown]
    assert len({(s["color"], s["marker"], s["markerfacecolor"]) for s in styles}) == len(shown)
    assert [is_hollow(m) for m in learners] == [False, True] * count
    names = [m.name for m in shown]
    accuracy = frame("method accuracy", *((name, 0.9) for name in names))
    (axes,) = pixel_accuracies(accuracy, shown).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == [m.title for m in shown]


def test_structures_without_a_known_role_have_colours_of_their_own():
    blobs = Anatomy((Structure("one"), Structure("two"), Structure("three")))
    colours = class_colours(blobs)
    assert list(colours) == ["one", "two", "three", "background", "mean"]
    assert len(set(colours.values())) == 5
    rows = [("mean", s, "dice", 0.9, 0.8, 1.0) for s in (*blobs.names, "mean")]
    table = frame("method structure metric mean low high", *rows)
    assert dice_of_method(table, blobs, METHODS["mean"]) is not None


def test_a_figure_is_brought_to_other_columns_and_its_panels_are_lettered(tables):
    figure = drawn(tables, MODELS)["calibration"]
    assert figure.get_figwidth() == draw.DOUBLE
    draw.fit_columns(figure, (90, 180))
    assert figure.get_figwidth() == pytest.approx(180 / 25.4)
    draw.letter_panels(figure)
    letters = [axes.texts[-1].get_text() for axes in figure.axes]
    assert letters == ["a", "b", "c", "d"]
    single = drawn(tables, MODELS)["accuracy"]
    draw.fit_columns(single, (90, 180))
    assert single.get_figwidth() == pytest.approx(90 / 25.4)
    before = texts(single)
    draw.letter_panels(single)
    assert texts(single) == before  # one panel has no letter


@pytest.mark.parametrize("empty", [pd.DataFrame(), None])
def test_nothing_is_drawn_of_empty_tables(tables, empty):
    none = {k: t.iloc[:0] if empty is None else empty for k, t in tables.items()}
    assert set(drawn(none, MODELS).values()) == {None}


def test_nothing_is_drawn_of_methods_that_the_tables_lack(tables):
    t, lacking, ensemble = tables, methods("calibrated_mean"), METHODS["ensemble"]
    assert confusion_matrices(t["confusion"], lacking, STRUCTURES) is None
    assert dice_of_method(t["summary"], ANATOMY, *lacking) is None
    assert bland_altman(t["clinical"], t["agreement"], *lacking, ["lv_edv_ml"], ANATOMY) is None
    assert bland_altman(t["clinical"], t["agreement"], ensemble, ["rv_edv_ml"], ANATOMY) is None
    figure = pixel_accuracies(t["accuracy"], [*lacking, ensemble])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Ensemble (mean)"]


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
    every = list(METHODS.values())
    t = some_tables(list(METHODS))
    assert_readable(dice_bars(t["summary"], every, STRUCTURES))
    assert_readable(reliability_diagrams(t["reliability"], t["calibration"], every))
    assert_readable(forest_plot(t["comparisons"], every))


def test_saved_in_print_size_with_text_as_text(tmp_path):
    figure = pixel_accuracies(frame("method accuracy", ("mean", 0.9)), methods("mean"))
    pdf, png = draw.save(figure, tmp_path / "new" / "run1.5")
    assert (pdf.name, png.name) == ("run1.5.pdf", "run1.5.png")
    assert b"/Type3" not in pdf.read_bytes() and b"/FontFile2" in pdf.read_bytes()
    height, width = imread(png).shape[:2]
    assert (width, height) == tuple(np.floor(figure.get_size_inches() * 300))
    assert sorted(p.name for p in png.parent.iterdir()) == ["run1.5.pdf", "run1.5.png"]
