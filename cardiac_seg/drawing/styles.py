"""What models, metrics and colours are called in every figure and table for people."""

# Okabe-Ito: told apart with any colour vision; one colour a structure in every figure.
COLOURS = {"RV": "#0072B2", "MYO": "#009E73", "LV": "#D55E00", "LA": "#CC79A7"}
ERRORS = {"missed": "#56B4E9", "added": "#F0E442", "other structure": "#FFFFFF"}
MODEL_NAMES = {
    "unet_advanced": "U-Net advanced",
    "deep_unet_improved": "Deep U-Net improved",
    "mean": "Mean",
    "tempered_mean": "Temperature-scaled mean",
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
