"""What methods, metrics and structures are called and how they are drawn in every figure."""

from cardiac_seg.anatomy import KNOWN_COLOURS

ERRORS = {"missed": "#56B4E9", "added": "#F0E442", "other structure": "#FFFFFF"}
METHOD_NAMES = {
    "unet_advanced": "U-Net advanced",
    "deep_unet_improved": "Deep U-Net improved",
    "mean": "Mean",
    "calibrated_mean": "Calibrated mean",
    "weighted_mean": "Weighted mean",
    "logistic_core": "Logistic (core)",
    "random_forest_core": "Random forest (core)",
    "gradient_boosting_core": "Gradient boosting (core)",
    "logistic": "Logistic",
    "random_forest": "Random forest",
    "gradient_boosting": "Gradient boosting",
    "ensemble": "Ensemble",
}
METRIC_NAMES = {
    "dice": "Dice",
    "hd95_mm": "HD95",
    "band_ece": "Per-patient calibration error in the boundary band",
}

CLASS_COLOURS = KNOWN_COLOURS | {"background": "#666666", "mean": "#000000"}
BETTER, WORSE, NEITHER = "#56B4E9", "#E69F00", "#BBBBBB"
GUIDE = {"color": "#CCCCCC", "linewidth": 0.6, "zorder": 0.5}  # lines that hold no data


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
# the ensemble black: families by hue, methods by lightness and marker.
METHOD_STYLE = {
    "unet_advanced": _line("#B0B0B0", "o"),
    "deep_unet_improved": _line("#606060", "s"),
    "mean": _line("#56B4E9", "^"),
    "calibrated_mean": _line("#93CFF2", "v", "-."),
    "weighted_mean": _line("#4A86A8", "<", "-."),
    "logistic_core": _line("#BFA8E0", "P", ":", hollow=True),
    "random_forest_core": _line("#9878CC", "X", ":", hollow=True),
    "gradient_boosting_core": _line("#6543A0", "p", ":", hollow=True),
    "logistic": _line("#BFA8E0", "P"),
    "random_forest": _line("#9878CC", "X"),
    "gradient_boosting": _line("#6543A0", "p"),
    "ensemble": _line("#000000", "D") | {"linewidth": 1.6},
}
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
