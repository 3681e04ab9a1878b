"""How methods and structures are drawn in every figure, and what metrics and scores are called."""

from typing import Any

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.meta.methods import ENSEMBLE, Method

ERRORS = {"missed": "#56B4E9", "added": "#F0E442", "other structure": "#FFFFFF"}
METRIC_NAMES = {
    "dice": "Dice",
    "hd95_mm": "HD95",
    "band_ece": "Per-patient calibration error in the boundary band",
}

BACKGROUND_AND_MEAN = {"background": "#666666", "mean": "#000000"}
BETTER, WORSE, NEITHER = "#56B4E9", "#E69F00", "#BBBBBB"
GUIDE: dict[str, Any] = {
    "color": "#CCCCCC",
    "linewidth": 0.6,
    "zorder": 0.5,
}  # lines that hold no data


def _line(colour: str, marker: str, linestyle: str = "-", hollow: bool = False) -> dict:
    return {
        "color": colour,
        "marker": marker,
        "linestyle": linestyle,
        "markerfacecolor": "white" if hollow else colour,
        "markersize": 3.5,
        "linewidth": 1.0,
    }


# Keywords of `Axes.plot`. Members grey, means blue, learners purple (hollow on the core features),
# the ensemble black: families by hue, methods by lightness and marker. To change one method's
# colour, change its line here; a method without a line takes the next of its family below.
METHOD_STYLE = {
    "unet_advanced": _line("#B0B0B0", "o"),
    "deep_unet_improved": _line("#606060", "s"),
    "unet_3d": _line("#8A8A8A", "D"),
    "mean": _line("#56B4E9", "^"),
    "calibrated_mean": _line("#93CFF2", "v", "-."),
    "weighted_mean": _line("#4A86A8", "<", "-."),
    "logistic_core": _line("#BFA8E0", "P", ":", hollow=True),
    "random_forest_core": _line("#9878CC", "X", ":", hollow=True),
    "gradient_boosting_core": _line("#6543A0", "p", ":", hollow=True),
    "boosted_mean_core": _line("#4C2F80", "h", ":", hollow=True),
    "logistic": _line("#BFA8E0", "P"),
    "random_forest": _line("#9878CC", "X"),
    "gradient_boosting": _line("#6543A0", "p"),
    "boosted_mean": _line("#4C2F80", "h"),
    ENSEMBLE: _line("#000000", "D") | {"linewidth": 1.6},
}
FAMILIES = {  # kind -> colours of methods without a style of their own, in turn
    "member": ("#8A8A8A", "#404040", "#C8C8C8", "#747474", "#A0A0A0"),
    "mean": ("#2B6C8F", "#7FA9C0"),
    "learner": ("#8A63C0", "#A98BD8", "#7A4FB5", "#3A1F6B"),
}
MARKERS = ("d", ">", "8", "*", "H", "1")  # those of the styles above are taken


def style_of(method: Method) -> dict:
    """Keywords of `Axes.plot` for a method: its own, or the next of its family."""
    if method.name in METHOD_STYLE:
        return METHOD_STYLE[method.name]
    colours, core = FAMILIES[method.kind], method.features == "core"
    return _line(
        colours[method.order % len(colours)],
        MARKERS[method.order % len(MARKERS)],
        ":" if core else "-",
        hollow=core,
    )


def class_colours(anatomy: Anatomy) -> dict[str, str]:
    """Colours of the structures, of the background and of the structures' mean."""
    return anatomy.colours | BACKGROUND_AND_MEAN


AREAS = {"image": "whole image", "band": "band around the boundary"}
SCORES = {  # name, what its values mean, style
    "pairwise_dice": ("Pairwise Dice", "of the members", {"color": "#E69F00"}),
    "boundary_entropy": ("Boundary entropy", "1 = uniform", {"color": "#8C6100", "ls": "--"}),
    "predicted_dice": (
        "Predicted Dice",
        "expected, less optimism",
        {"color": "#56B4E9", "ls": "-."},
    ),
    "oracle": ("Oracle", "", {"color": "#000000", "ls": ":"}),
    "random": ("Random", "", {"color": "#999999", "ls": ":"}),
}
DIGITS = {"L/min": 2}  # of limits of agreement; 1 in other units
