"""`stacking`: the learners that combine the members' maps."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cardiac_seg.config.registry import CORE_FEATURES, FEATURES, LEARNERS
from cardiac_seg.config.sections.section import Amount, Count, Number, Positive, Section, Switch

FITTED = ("weighted_mean", *LEARNERS)  # the default; a learner registered later is named to be used
MORE_FEATURES = tuple(group for group in FEATURES if group not in CORE_FEATURES)


class RandomForest(Section):
    """Leaves hold many pixels, so that a stored forest stays small."""

    trees: Count = Field(100, description="number of trees")
    min_samples_leaf: Annotated[int, Field(ge=50, strict=True)] = Field(
        50, description="pixels per leaf, at least"
    )


class GradientBoosting(Section):
    """Regularised: neighbouring pixels are alike, so few patients are few examples."""

    kind: Literal["histogram", "classic"] = Field(
        "histogram", description="scikit-learn's histogram-based or classic gradient boosting"
    )
    iterations: Count = Field(60, description="number of boosting iterations")
    learning_rate: Positive = Field(0.05, description="shrinkage")
    leaves: Annotated[int, Field(ge=2, strict=True)] = Field(7, description="leaves per tree")
    min_samples_leaf: Annotated[int, Field(ge=50, strict=True)] = Field(
        200, description="pixels per leaf, at least"
    )
    classic_pixels: Count = Field(
        20000, description="the classic kind is slow: at most so many pixels are used"
    )


class BoostedMean(Section):
    """Corrections of the calibrated mean, no more of them than help patients who are left out."""

    rounds: Count = Field(
        100, description="rounds of a tree per class, at most; the patients left out decide"
    )
    leaves: list[Annotated[int, Field(ge=2, strict=True)]] = Field(
        [4, 8], min_length=1, description="leaves per tree, the patients left out choose"
    )
    learning_rate: Positive = Field(0.1, description="shrinkage")
    min_samples_leaf: Annotated[int, Field(ge=50, strict=True)] = Field(
        200, description="pixels per leaf, at least"
    )
    min_patients: Count = Field(
        5,
        description="patients whose pixels a leaf holds, at least; of fewer than twice as many, "
        "half of them",
    )
    l2: Amount = Field(5.0, description="penalty of a leaf's value")


class Stacking(Section):
    """How the learners that combine the members' maps are fitted, and which one is used."""

    scheme: Literal["holdout", "out_of_fold", "both"] = Field(
        "holdout",
        description="holdout: learners are fitted on the validation patients; out_of_fold: on all "
        "development patients, by networks trained on the other folds; both: the networks in use "
        "are trained as with holdout, and the learners are fitted on the validation patients' maps "
        "by them and the training patients' maps by networks of the folds",
    )
    fold_train: dict = Field(
        {},
        description="keys of `train` that the folds' networks override (out_of_fold, both), as "
        "fewer epochs",
    )
    deploy: Literal["refit", "fold_mean"] = Field(
        "refit",
        description="out_of_fold: the networks in use, one refitted on all development patients "
        "or the mean of those of the folds",
    )
    learners: list[str] = Field(list(FITTED), description="methods to fit")
    choose: str = Field(
        "auto",
        description="the method in use; auto: the best that is shown to be better than the "
        "calibrated mean on development patients",
    )
    features: list[str] = Field(
        list(MORE_FEATURES),
        description="groups of pixel features beside the core (probability, entropy, confidence)",
    )
    context_mm: list[Positive] = Field(
        [2.0, 5.0, 10.0], min_length=1, description="sigmas in mm of the Gaussian-smoothed context"
    )
    act_below: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.99, description="learners act where the mean's confidence is below; 1: everywhere"
    )
    threshold: Literal["probabilities", "masks", "none"] = Field(
        "probabilities",
        description="lower confidence threshold of each learner, fitted so that expected Dice and "
        "Dice (masks: Dice alone) stay as good; none: `act_below` for all",
    )
    temperature: Switch = Field(True, description="calibrate each member's map first")
    pixels_per_case: Count = Field(1000, description="pixels sampled from each case")
    random_forest: RandomForest = RandomForest()
    gradient_boosting: GradientBoosting = GradientBoosting()
    boosted_mean: BoostedMean = BoostedMean()

    @model_validator(mode="after")
    def _check(self):
        known = {
            "learners": ["weighted_mean", *LEARNERS],
            "features": [group for group in FEATURES if group not in CORE_FEATURES],
        }
        for key, names in known.items():
            if unknown := [name for name in getattr(self, key) if name not in names]:
                raise ValueError(f"{key}: '{unknown[0]}' is not known; known: {', '.join(names)}")
        for key in ("learners", "features", "context_mm"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: {values} names one twice")
        if self.choose == "calibrated_mean" and not (self.temperature and self.learners):
            raise ValueError("choose: 'calibrated_mean' needs temperature: true and a learner")
        if self.choose not in ("auto", "mean", "calibrated_mean", *self.learners):
            raise ValueError(f"choose: '{self.choose}' is not among learners {self.learners}")
        return self
