"""Titles and captions of the report's sections and figures."""

from cardiac_seg.data.dataset import Dataset
from cardiac_seg.meta.methods import Method, ensemble_of
from cardiac_seg.metrics.boundary import BAND_MM
from cardiac_seg.metrics.roc import ROC_BINS
from cardiac_seg.report.shown import Shown

NOT_INDEPENDENT = (
    "Scores on development patients are cross-fitted: each fold is scored by what was fitted on "
    "the others. The folds share most of their fitting patients and are not independent, so the "
    "spread between folds understates the uncertainty; intervals and tests here are over test "
    "patients."
)
ON_DEVELOPMENT = (
    "Development patients that the networks were not trained on; what combines the networks was "
    "fitted on them. Lost: share of the cases that lost more than 0.05 Dice against themselves as "
    "they are; noticed: share of these that the predicted Dice puts up for review."
)
NATIVE = "Per patient, native grid, after postprocessing."
POOLED = "Pooled over all {} pixels, network grid, before postprocessing, as published."
BAND = f"Band: within {BAND_MM:g} mm of a reference boundary"
_OF_STACKS = {  # what is said where images are stacks of slices
    "typical": "The median case of each group",
    "volumes": "volumes from voxels",
    "clinical": "Against the reference masks.",
}
_OF_PLANES = {
    "typical": "The median case of each view and phase",
    "volumes": "volumes by biplane discs",
    "clinical": "Against the reference masks. Volumes are by the biplane method of discs, each "
    "phase with its own long axis (ASE/EACVI). The recorded EF agrees with discs of one height in "
    "both phases, so that EF is compared with it; the reference masks' own row there is the "
    "oracle: what masks without error would reach.",
}


def _words(dataset: Dataset) -> dict[str, str]:
    stacks, cavity = dataset.modality.ndim == 3, dataset.anatomy.name("lv_cavity")
    regions = f" Base, mid and apex are thirds of the slices that hold {cavity} in the reference."
    words = _OF_STACKS if stacks else _OF_PLANES
    return words | {"groups": regions if stacks and cavity else ""}


def sections(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """Key -> title and text of the page's sections, in order."""
    return {
        "overlap": ("Overlap and distances", ""),
        "cases": (
            "Pictures",
            "Every case has a page with all its slices; the table of cases links to them."
            if dataset.modality.ndim == 3
            else "Every case has a page; the table of cases links to them.",
        ),
        "stacking": ("Stacking against averaging", NOT_INDEPENDENT),
        "calibration": ("Calibration", ""),
        "uncertainty": ("Uncertainty and review", ""),
        "stress": ("Perturbed images", ON_DEVELOPMENT),
        "clinical": ("Clinical indices", _words(dataset)["clinical"]),
        "training": ("Training", ""),
    }


def captions(dataset: Dataset, shown: Shown) -> dict[str, tuple[str, str, str]]:
    """File -> section, title and caption of a figure."""
    texts = _captions(dataset, shown)
    return {
        stem: (section, title, shown.told(caption))
        for stem, (section, title, caption) in texts.items()
    }


def _captions(dataset: Dataset, shown: Shown) -> dict[str, tuple[str, str, str]]:
    words = _words(dataset)
    return {
        "median_case": (
            "first",
            "The median case",
            "By mean Dice. Image, reference, mask of the ensemble and its errors; the slice with "
            "the most wrong pixels."
            if dataset.modality.ndim == 3
            else "By mean Dice. Image, reference, mask of the ensemble and its errors.",
        ),
        **_overlap_captions(shown, words),
        **_picture_captions(dataset, words),
        **STACKING,
        **_learner_captions(dataset, shown),
        **CALIBRATION,
        **UNCERTAINTY,
        "stress": (
            "stress",
            "Dice and predicted Dice by strength",
            "Means over cases, native grid; the images as they are stand at the left, or in the "
            "middle where the strength has a sign. Predicted Dice below the grey line asks for a "
            "review.",
        ),
        "bland_altman_ensemble": (
            "clinical",
            "Agreement of clinical indices",
            f"Ensemble minus reference masks; {words['volumes']}. Lines: bias and 95 % limits of "
            "agreement.",
        ),
        "training_curves": (
            "training",
            "Training",
            "Training loss, and validation Dice on the network grid.",
        ),
    }


def _overlap_captions(shown: Shown, words: dict[str, str]) -> dict[str, tuple[str, str, str]]:
    pooled = POOLED.format(shown.scored)
    return {
        "dice_test": (
            "overlap",
            "Dice",
            f"{NATIVE} Bars: mean over patients; dots: patients; whiskers: 95 % bootstrap "
            "intervals.",
        ),
        "dice_ensemble": (
            "overlap",
            "Dice of the ensemble",
            f"{NATIVE} The ensemble is the method in use: {shown.ensemble.title}.",
        ),
        "dice_groups": (
            "overlap",
            "Dice of the ensemble by group",
            f"{NATIVE} Mean over the patients of each group.{words['groups']}",
        ),
        "accuracy_distances": (
            "overlap",
            "Surface distances",
            "Cases, native grid, real spacing; undefined distances (an empty mask) are left out.",
        ),
        "confusion_test": (
            "overlap",
            "Confusion",
            f"{pooled} Rows are the reference and sum to 100 %.",
        ),
        "accuracy_test": ("overlap", "Pixel accuracy", pooled),
        "roc_test": (
            "overlap",
            "ROC",
            f"{pooled} One class against the rest, from probabilities in {ROC_BINS} bins, narrow "
            "towards 0 and 1; the table of areas states the error that binning allows.",
        ),
    }


def _picture_captions(dataset: Dataset, words: dict[str, str]) -> dict[str, tuple[str, str, str]]:
    slices = dataset.modality.ndim == 3
    worst = " The slice with the most wrong pixels of the ensemble." if slices else ""
    return {
        "samples_best_median_worst": (
            "cases",
            "Best, median and worst case",
            f"The saved masks on the native grid.{worst}",
        ),
        "overlays_typical": (
            "cases",
            words["typical"],
            f"White: reference; coloured: ensemble.{worst}",
        ),
        "uncertainty_maps": (
            "uncertainty",
            "Uncertainty beside errors",
            "Entropy of the ensemble over log C, brought to the native grid.",
        ),
    }


def _learner_captions(dataset: Dataset, shown: Shown) -> dict[str, tuple[str, str, str]]:
    stacks, cavity = dataset.modality.ndim == 3, dataset.anatomy.name("lv_cavity")
    slices, places = "images", "Places are view and phase."
    if stacks:
        slices, places = "slices", "Places are phase and third of the slices that hold"
        places += f" {cavity} in the reference; beyond: the slices outside." if cavity else ""
    panels = (
        "Dashed: the mask of the mean; solid: that of the learner; white: the reference. What the "
        "learner changed is filled: blue where it is now right, orange where it was right before. "
        "Below: the structure that moved most, and the area that is labelled correctly by the "
        "learner less that by the mean. Test patients; the saved masks on the native grid, after "
        "postprocessing."
    )
    moved = _learner_words(shown.learner, shown.ensemble)
    return {
        "stacking_places": (
            "stacking",
            "Which features move which structure where",
            f"{_learner_words(shown.full_learner, shown.ensemble)} Increase of the log-loss, per "
            "1000 pixels, when a feature group is shuffled among the pixels on which learners act: "
            "above 0, the group helps there. Counted where the reference or the calibrated mean is "
            f"the structure. {places} Cross-fitted on development patients; grey numbers: the "
            "folds disagree on the sign. Colours go by the square root.",
        ),
        "repairs": (
            "stacking",
            "The largest repairs",
            f"{moved} The {slices} in which its mask gains most correctly labelled area over that "
            f"of the mean of the networks. {panels}",
        ),
        "harms": (
            "stacking",
            "The largest harms",
            f"{moved} The {slices} in which its mask loses most correctly labelled area against "
            f"that of the mean of the networks. {panels}",
        ),
    }


def _learner_words(learner: Method | None, ensemble: Method) -> str:
    """Which learner a figure shows, and why."""
    if learner is None:
        return ""
    if ensemble_of(learner) == ensemble:
        return f"The method in use: {learner.title}."
    return (
        f"{learner.title}, the best learner on development patients; it is not in use: "
        f"{ensemble.title} is."
    )


STACKING = {
    "stacking_difference": (
        "stacking",
        "Difference to the mean",
        f"{NATIVE} Paired difference in mean Dice with 95 % bootstrap intervals; verdicts after "
        "Holm's correction within each role.",
    ),
    "stacking_changes": (
        "stacking",
        "What is changed against the mean",
        "Test pixels whose class a combination changes, network grid, by distance to the reference "
        "boundary; 'over' holds slices without any structure too. Neither: wrong before and after.",
    ),
    "stacking_importance": (
        "stacking",
        "Importance of the features",
        "Increase of the log-loss when a feature group is permuted, cross-fitted on development "
        "patients; lines: range over the folds.",
    ),
}
CALIBRATION = {
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
}
UNCERTAINTY = {
    "uncertainty_quality": (
        "uncertainty",
        "Predicted and true Dice",
        "Cases. The members' Dice with each other, the mean entropy at the ensemble's boundary, "
        "and the Dice expected under its probabilities: none needs a reference.",
    ),
    "uncertainty_risk_coverage": (
        "uncertainty",
        "Risk and coverage",
        "Mean error of the cases that remain when those of lowest predicted Dice are reviewed.",
    ),
}
