"""The configuration: its keys, their defaults, and the checks made before anything is loaded.

A config file is YAML. `extends: other.yaml` takes another file (relative to this one) as the base.
Every key below may be overridden on the command line with `--set section.key=value`. Defaults
live here and nowhere else. This module imports neither Keras nor a backend, so that a mistake
answers at once.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def _no_bool(value):
    """Pydantic would read `true` as 1.0. Text is let through: YAML takes 1e-3 for text."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


Number = Annotated[float, BeforeValidator(_no_bool)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Amount = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
BelowOne = Annotated[Number, Field(ge=0, lt=1)]
Percentile = Annotated[Number, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=1, strict=True)]
Side = Annotated[int, Field(ge=1, le=4096, strict=True)]  # pixels
Whole = Annotated[int, Field(ge=0, strict=True)]
Switch = Annotated[bool, Field(strict=True)]
# YAML reads a bare on or off as true or false.
AutoOnOff = Annotated[
    Literal["auto", "on", "off"],
    BeforeValidator(lambda v: {True: "on", False: "off"}[v] if isinstance(v, bool) else v),
]
STAGES = ("prepare", "train", "stack", "evaluate")
MEMBERS = ("unet_advanced", "deep_unet_improved")
LEARNERS = ("weighted_mean", "logistic", "random_forest", "gradient_boosting")
# The three groups every learner gets; the others are added for the full feature set.
CORE_FEATURES = ("probability", "entropy", "confidence")
MORE_FEATURES = ("margin", "disagreement", "context", "distance", "slices", "intensity")


class Section(BaseModel):
    """A part of the configuration: unknown keys and loose types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Phantom(Section):
    """Phantoms to generate where `data.root` does not exist yet."""

    patients: Count = 24
    seed: Whole = 0


class Data(Section):
    """Where the images are and which of them to take."""

    dataset: Literal["acdc", "camus"]
    root: str = Field(min_length=1)
    views: list[Literal["2CH", "4CH"]] = Field(["2CH", "4CH"], min_length=1)  # CAMUS only
    phases: list[Literal["ED", "ES"]] = Field(["ED", "ES"], min_length=1)
    cache: str = "outputs/cache"  # preprocessed slices, shared by runs
    phantom: Phantom | None = None


class Split(Section):
    """Which patients train, validate and test."""

    scheme: Literal["official", "random"] = "random"
    validation: Fraction = 0.15  # random: share of all patients
    test: Fraction = 0.15
    folds: Annotated[int, Field(ge=2, strict=True)] = 3  # of patients, for stacking
    stratify: Switch = True  # random and folds: by group (ACDC) or image quality (CAMUS)
    seed: Whole = 42

    @model_validator(mode="after")
    def _check(self):
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must leave patients to train on (sum below 1)")
        return self


class Preprocess(Section):
    """From the file's pixels to the network grid."""

    spacing: Positive | None = 1.5  # mm in plane; null: resize the whole image to `size`
    size: tuple[Side, Side] = (192, 192)  # height, width of the network grid
    clip: tuple[Percentile, Percentile] = (
        0.5,
        99.5,
    )  # intensity percentiles that become the darkest and the brightest value
    normalize: Literal["zscore", "minmax"] = "zscore"

    @model_validator(mode="after")
    def _check(self):
        if self.clip[0] >= self.clip[1]:
            raise ValueError("clip: the first percentile must be below the second")
        for side in self.size:
            if side % 32:
                raise ValueError(f"size: {side} is not a multiple of 32 (five halvings)")
        return self


class Augment(Section):
    """Random changes to training slices, image and label together; 0 or `none` turns one off."""

    symmetry: Literal["none", "horizontal", "dihedral"] = "none"  # dihedral: all eight, MRI only
    rotation: Amount = 0.0  # degrees, +-
    scale: BelowOne = 0.0  # 0.2: 0.8 to 1.2
    shift: Fraction = 0.0  # share of the side, +-
    elastic: Amount = 0.0  # largest displacement in pixels
    gamma: BelowOne = 0.0  # 0.3: exponent from 0.7 to 1/0.7
    contrast: BelowOne = 0.0
    brightness: Amount = 0.0  # in units of the image's contrast range
    noise: Amount = 0.0  # largest standard deviation, same unit
    blur: Amount = 0.0  # largest sigma in pixels
    shadow: Fraction = 0.0  # echo: how often an acoustic shadow or a gain change is drawn


class UnetAdvanced(Section):
    """Residual U-Net, five levels."""

    filters: Annotated[int, Field(ge=4, le=1024, strict=True)] = 64
    dropout: BelowOne = 0.3


class DeepUnetImproved(UnetAdvanced):
    """Dense U-Net, six levels."""

    deep_supervision: Switch = True


class Networks(Section):
    """The two published networks; `members` chooses which are trained."""

    unet_advanced: UnetAdvanced = UnetAdvanced()
    deep_unet_improved: DeepUnetImproved = DeepUnetImproved()


class Train(Section):
    """How each network is fitted."""

    epochs: Count = 150
    batch_size: Count = 8
    loss: Literal["dice_ce", "ce", "weighted_ce"] = "dice_ce"
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"  # nnU-Net: sgd, 0.01, polynomial, 3e-5
    learning_rate: Positive = 1e-3
    weight_decay: Amount = 1e-4  # adamw and sgd
    schedule: Literal["cosine", "polynomial", "constant"] = "cosine"
    warmup: Amount = 2.0  # epochs of linear warm-up (cosine)
    ema: BelowOne = 0.0  # momentum of averaged weights; 0: off
    crop: tuple[Count, Count] | None = None  # height, width of parts about the heart; null: all
    sampling: Literal["uniform", "class_aware"] = "class_aware"
    monitor: Literal["val_dice", "val_accuracy"] = "val_dice"  # chooses best.keras
    early_stopping: Whole = 0  # patience in epochs; 0: off
    reduce_lr: Whole = 0  # ReduceLROnPlateau: patience; 0: off
    reduce_lr_factor: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    workers: Count = 1  # threads that prepare batches; the result does not depend on it
    tensorboard: Switch = False

    @model_validator(mode="after")
    def _check(self):
        if self.reduce_lr and self.schedule != "constant":
            raise ValueError(
                f"reduce_lr: ReduceLROnPlateau cannot work with schedule '{self.schedule}', "
                "which sets the learning rate itself; use schedule: constant or reduce_lr: 0"
            )
        if self.schedule == "cosine" and self.warmup >= self.epochs:
            raise ValueError(
                f"warmup: {self.warmup} epochs leave none of the {self.epochs} epochs to train; "
                "shorten it"
            )
        return self


class RandomForest(Section):
    """Leaves hold many pixels, so that a stored forest stays small."""

    trees: Count = 100
    min_samples_leaf: Annotated[int, Field(ge=50, strict=True)] = 50


class GradientBoosting(Section):
    """Regularised: neighbouring pixels are alike, so few patients are few examples."""

    kind: Literal["histogram", "classic"] = "histogram"
    iterations: Count = 60
    learning_rate: Positive = 0.05
    leaves: Annotated[int, Field(ge=2, strict=True)] = 7
    min_samples_leaf: Annotated[int, Field(ge=50, strict=True)] = 200
    classic_pixels: Count = 20000  # the classic kind is slow: at most so many pixels are used


class Stacking(Section):
    """How the learners that combine the members' maps are fitted, and which one is used."""

    scheme: Literal["holdout", "out_of_fold"] = "holdout"
    deploy: Literal["refit", "fold_mean"] = "refit"  # out_of_fold: the networks in use
    learners: list[Literal[LEARNERS]] = list(LEARNERS)
    choose: Literal["auto", "mean", "calibrated_mean", *LEARNERS] = (
        "auto"  # auto: the best that is shown to be better than the mean
    )
    features: list[Literal[MORE_FEATURES]] = list(MORE_FEATURES)  # beside the core
    context_mm: list[Positive] = Field([2.0, 5.0, 10.0], min_length=1)  # Gaussian sigmas
    act_below: Annotated[Number, Field(gt=0, le=1)] = 0.99  # mean's confidence; 1: everywhere
    # Learners act where the mean is less sure than a threshold, fitted so that these stay as good.
    threshold: Literal["probabilities", "masks", "none"] = "probabilities"  # none: all of act_below
    temperature: Switch = True  # calibrate each member's map first
    pixels_per_case: Count = 1000
    random_forest: RandomForest = RandomForest()
    gradient_boosting: GradientBoosting = GradientBoosting()

    @model_validator(mode="after")
    def _check(self):
        for key in ("learners", "features", "context_mm"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: {values} names one twice")
        if self.choose == "calibrated_mean" and not (self.temperature and self.learners):
            raise ValueError("choose: 'calibrated_mean' needs temperature: true and a learner")
        if self.choose not in ("auto", "mean", "calibrated_mean", *self.learners):
            raise ValueError(f"choose: '{self.choose}' is not among learners {self.learners}")
        return self


class Predict(Section):
    """How maps and masks are made."""

    checkpoint: Literal["best", "last"] = "last"  # last: validation patients choose no epoch
    batch_size: Count = 8
    mirror: Literal["none", "horizontal", "both"] = "none"  # maps averaged over mirror images
    heart: AutoOnOff = (
        "auto"  # what hangs together with the myocardium; auto: where no Dice is lost
    )
    largest_component: AutoOnOff = "auto"
    fill_holes: AutoOnOff = "auto"


class Config(Section):
    """The whole configuration."""

    seed: Whole = 42
    members: list[Literal[MEMBERS]] = Field(list(MEMBERS), min_length=1)
    data: Data
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    augment: Augment = Augment()
    networks: Networks = Networks()
    train: Train = Train()
    stacking: Stacking = Stacking()
    predict: Predict = Predict()

    @property
    def chosen_by_validation(self) -> bool:
        """Whether validation patients decide anything about the networks in use."""
        by_epoch = self.predict.checkpoint == "best" or bool(self.train.early_stopping)
        return by_epoch or bool(self.train.reduce_lr)

    @model_validator(mode="after")
    def _check(self):
        if len(set(self.members)) != len(self.members):
            raise ValueError("members: a network is named twice")
        if len(self.members) == 1 and self.stacking.learners:
            raise ValueError(
                f"members: only {self.members[0]}, and stacking combines two; "
                "name both or set stacking.learners: []"
            )
        if self.stacking.scheme == "out_of_fold" and self.chosen_by_validation:
            raise ValueError(
                "stacking.scheme: out_of_fold needs a fixed schedule; use predict.checkpoint: "
                "last, train.early_stopping: 0 and train.reduce_lr: 0"
            )
        if self.data.dataset == "camus" and self.augment.symmetry == "dihedral":
            raise ValueError(
                "augment.symmetry: 'dihedral' turns an echo upside down; use 'horizontal'"
            )
        mirror, symmetry = self.predict.mirror, self.augment.symmetry
        if mirror not in ("none", symmetry) and symmetry != "dihedral":
            raise ValueError(
                f"predict.mirror: '{mirror}' shows the networks images that augment.symmetry: "
                f"'{symmetry}' kept from them in training"
            )
        if self.train.crop and self.augment.shadow:
            raise ValueError(
                "train.crop: acoustic shadows begin at the image's upper edge, which a crop has "
                "lost; use null or augment.shadow: 0"
            )
        crop, size = self.train.crop, self.preprocess.size
        if crop and any(c % 32 or c > s for c, s in zip(crop, size, strict=True)):
            raise ValueError(
                f"train.crop: {list(crop)} must be multiples of 32 within preprocess.size "
                f"{list(size)}"
            )
        if self.data.dataset == "acdc" and self.augment.shadow:
            raise ValueError("augment.shadow: acoustic shadows belong to echo; use 0 for acdc")
        return self
