"""Styles of methods and structures."""

from cardiac_seg.config.registry import NETWORKS
from cardiac_seg.config.sections import Stacking
from cardiac_seg.drawing.styles import METHOD_STYLE
from cardiac_seg.meta.methods import ENSEMBLE, list_methods
from tests.support.drawn import COLOURS


def test_every_method_has_its_own_style_and_no_colour_of_a_structure():
    methods = {method.name for method in list_methods(list(NETWORKS), Stacking())} | {ENSEMBLE}
    assert set(METHOD_STYLE) == methods
    assert len({str(style) for style in METHOD_STYLE.values()}) == len(methods)
    structures = {c.lower() for name, c in COLOURS.items() if name != "mean"}
    assert not structures & {style["color"].lower() for style in METHOD_STYLE.values()}
