"""Titles and captions of the report's sections and figures."""

from cardiac_seg.metrics.boundary import BAND_MM
from cardiac_seg.metrics.roc import ROC_BINS

NOT_INDEPENDENT = (
    "Development figures are cross-fitted: each fold is scored by what was fitted on the others. "
    "The folds share most of their fitting patients and are not independent, so the spread between "
    "folds understates the uncertainty; intervals and tests here are over test patients."
)
NATIVE = "Per patient, native grid, after postprocessing."
POOLED = "Pooled over all test pixels, network grid, before postprocessing, as published."
BAND = f"Band: within {BAND_MM:g} mm of a reference boundary"
SECTIONS = {  # key -> title, text
    "overlap": ("Overlap and distances", ""),
    "cases": (
        "Pictures",
        "Every case has a page with all its slices; the table of cases links to them.",
    ),
    "stacking": ("Stacking against averaging", NOT_INDEPENDENT),
    "calibration": ("Calibration", ""),
    "uncertainty": ("Uncertainty and quality control", ""),
    "clinical": (
        "Clinical indices",
        "Against the reference masks. Echo volumes are by biplane discs, each phase with its own "
        "long axis (ASE/EACVI). CAMUS's recorded EF agrees with discs of one height in both "
        "phases, so that one is compared with it; the reference masks' own row there is the "
        "oracle: what masks without error would reach.",
    ),
    "training": ("Training", ""),
}
CAPTIONS = {  # file -> section, title, caption
    "dice_test": (
        "overlap",
        "Dice",
        f"{NATIVE} Bars: mean over patients; dots: patients; whiskers: 95 % bootstrap intervals.",
    ),
    "dice_ensemble": (
        "overlap",
        "Dice of the ensemble",
        f"{NATIVE} The ensemble is the method chosen on development patients.",
    ),
    "dice_groups": (
        "overlap",
        "Dice of the ensemble by group",
        f"{NATIVE} Mean over the patients of each group. Base, mid and apex (MRI) are thirds of "
        "the slices that hold LV in the reference.",
    ),
    "accuracy_distances": (
        "overlap",
        "Surface distances",
        "Cases, native grid, real spacing; undefined distances (an empty mask) are left out.",
    ),
    "confusion_test": (
        "overlap",
        "Confusion",
        f"{POOLED} Rows are the reference and sum to 100 %.",
    ),
    "accuracy_test": ("overlap", "Pixel accuracy", POOLED),
    "roc_test": (
        "overlap",
        "ROC",
        f"{POOLED} One class against the rest, from probabilities in {ROC_BINS} bins, narrow "
        "towards 0 and 1; the table of areas states the error that binning allows.",
    ),
    "samples_best_median_worst": (
        "cases",
        "Best, median and worst case",
        "The saved masks on the native grid; the slice with the most wrong pixels of the ensemble.",
    ),
    "overlays_typical": (
        "cases",
        "The median case of each group, or of each view and phase",
        "White: reference; coloured: ensemble. The slice with the most wrong pixels.",
    ),
    "stacking_difference": (
        "stacking",
        "Difference to the mean",
        f"{NATIVE} Paired difference in mean Dice with 95 % bootstrap intervals; verdicts after "
        "Holm's correction inside each role.",
    ),
    "stacking_changes": (
        "stacking",
        "What is changed against the mean",
        "Test pixels whose class a combination changes, network grid, by distance to the reference "
        "boundary; 'over' holds slices without any structure too. Neither: wrong before and after.",
    ),
    "stacking_importance": (
        "stacking",
        "What the learners look at",
        "Growth of the log-loss when a feature group is shuffled, cross-fitted on development "
        "patients; lines: range over the folds.",
    ),
    "calibration_reliability": (
        "calibration",
        "Reliability",
        f"Network grid. {BAND}; the whole image is mostly easy background.",
    ),
    "calibration_scores": (
        "calibration",
        "Calibration error and Brier score",
        f"Network grid; smaller is better. {BAND}.",
    ),
    "uncertainty_maps": (
        "uncertainty",
        "Uncertainty beside errors",
        "Entropy of the ensemble over log C, brought to the native grid.",
    ),
    "uncertainty_quality": (
        "uncertainty",
        "Predicted and true quality",
        "Cases. The members' Dice with each other, the mean entropy at the ensemble's boundary, "
        "and the Dice that its probabilities let expect: none needs a reference.",
    ),
    "uncertainty_risk_coverage": (
        "uncertainty",
        "Risk and coverage",
        "Mean error of the cases that remain when those of lowest predicted quality are reviewed.",
    ),
    "bland_altman_ensemble": (
        "clinical",
        "Agreement of clinical indices",
        "Ensemble minus reference masks; volumes from voxels (MRI) or biplane discs (echo). Lines: "
        "bias and 95 % limits of agreement.",
    ),
    "training_curves": (
        "training",
        "Training",
        "Training loss, and validation Dice on the network grid.",
    ),
}
