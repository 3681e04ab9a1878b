"""Styles of methods and structures."""

from cardiac_seg.drawing.styles import CLASS_COLOURS, METHOD_NAMES, METHOD_STYLE


def test_every_method_has_a_name_and_its_own_style():
    assert list(METHOD_STYLE) == list(METHOD_NAMES)
    assert len({str(style) for style in METHOD_STYLE.values()}) == len(METHOD_NAMES)
    structures = {colour.lower() for name, colour in CLASS_COLOURS.items() if name != "mean"}
    assert not structures & {style["color"].lower() for style in METHOD_STYLE.values()}
