"""The configuration: its keys, their defaults, and the checks made before anything is loaded.

A config file is YAML. `extends: other.yaml` takes another file (relative to this one) as the base.
Every key below may be overridden on the command line with `--set section.key=value`. Defaults and
descriptions live here and nowhere else; docs/configuration.md is generated from them. This package
imports neither Keras nor a backend, so that a mistake answers at once.
"""

from typing import Literal

from pydantic import Field, model_validator

from cardiac_seg.config.sections.data import Data, Phantom, Split
from cardiac_seg.config.sections.networks import (
    MEMBERS,
    DeepUnetImproved,
    Networks,
    UnetAdvanced,
)
from cardiac_seg.config.sections.predict import Predict
from cardiac_seg.config.sections.preprocess import Augment, Preprocess
from cardiac_seg.config.sections.section import Section, Whole
from cardiac_seg.config.sections.stacking import (
    CORE_FEATURES,
    LEARNERS,
    MORE_FEATURES,
    GradientBoosting,
    RandomForest,
    Stacking,
)
from cardiac_seg.config.sections.train import Train

__all__ = [
    "CORE_FEATURES",
    "LEARNERS",
    "MEMBERS",
    "MORE_FEATURES",
    "STAGES",
    "Augment",
    "Config",
    "Data",
    "DeepUnetImproved",
    "GradientBoosting",
    "Networks",
    "Phantom",
    "Predict",
    "Preprocess",
    "RandomForest",
    "Section",
    "Split",
    "Stacking",
    "Train",
    "UnetAdvanced",
]

STAGES = ("prepare", "train", "stack", "evaluate")


class Config(Section):
    """The whole configuration."""

    seed: Whole = Field(42, description="seed of the training and of the stacking")
    members: list[Literal[MEMBERS]] = Field(
        list(MEMBERS), min_length=1, description="networks to train and combine"
    )
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
        holdout, drawn = self.stacking.scheme == "holdout", self.split.scheme == "random"
        if holdout and drawn and not self.split.validation:
            raise ValueError(
                "split.validation: 0 leaves no patients for stacking.scheme: holdout; set a share "
                "above 0 or use out_of_fold"
            )
        if self.stacking.scheme == "out_of_fold" and self.chosen_by_validation:
            raise ValueError(
                "stacking.scheme: out_of_fold needs a fixed schedule; use predict.checkpoint: "
                "last, train.early_stopping: 0 and train.reduce_lr: 0"
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
        return self
