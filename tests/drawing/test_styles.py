"""Styles of methods and structures."""

from cardiac_seg.drawing.styles import METHOD_STYLE
from tests.support.drawn import COLOURS, METHODS


def test_every_method_has_its_own_style_and_no_colour_of_a_structure():
    assert set(METHOD_STYLE) == set(METHODS)
    assert len({str(style) for style in METHOD_STYLE.values()}) == len(METHODS)
    structures = {c.lower() for name, c in COLOURS.items() if name != "mean"}
    assert not structures & {style["color"].lower() for style in METHOD_STYLE.values()}
