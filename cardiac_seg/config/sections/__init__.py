"""The configuration: its keys, their defaults, and the checks made before anything is loaded.

A config file is YAML. `extends: other.yaml` takes another file (relative to this one) as the base.
Every key below may be overridden on the command line with `--set section.key=value`. Defaults and
descriptions live here and nowhere else; docs/configuration.md is generated from them. This package
imports neither Keras nor a backend, so that a mistake answers at once.
"""

from pydantic import Field, ValidationError, model_validator

from cardiac_seg.config.problems import first_problem
from cardiac_seg.config.registry import RESERVED_NAMES
from cardiac_seg.config.sections.data import Data, Phantom, Split
from cardiac_seg.config.sections.networks import (
    MEMBERS,
    OVERRIDES,
    DeepUnetImproved,
    External,
    Network,
    Networks,
    Unet3D,
    default_networks,
)
from cardiac_seg.config.sections.predict import Predict
from cardiac_seg.config.sections.preprocess import Augment, Preprocess
from cardiac_seg.config.sections.report import Report
from cardiac_seg.config.sections.section import Section, Whole
from cardiac_seg.config.sections.stacking import (
    BoostedMean,
    GradientBoosting,
    RandomForest,
    Stacking,
)
from cardiac_seg.config.sections.train import LOSS_TITLES, Train

__all__ = [
    "LOSS_TITLES",
    "MEMBERS",
    "STAGES",
    "Augment",
    "BoostedMean",
    "Config",
    "Data",
    "DeepUnetImproved",
    "GradientBoosting",
    "Network",
    "Phantom",
    "Predict",
    "Preprocess",
    "RandomForest",
    "Report",
    "Section",
    "Split",
    "Stacking",
    "Train",
    "Unet3D",
]

STAGES = ("prepare", "train", "stack", "evaluate")


class Config(Section):
    """The whole configuration."""

    seed: Whole = Field(42, description="seed of the training and of the stacking")
    members: list[str] = Field(
        list(MEMBERS),
        min_length=1,
        description="networks to train and combine, and members of `networks` of kind external",
    )
    data: Data
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    augment: Augment = Augment()
    networks: Networks = Field(default_factory=default_networks)
    train: Train = Train()
    stacking: Stacking = Stacking()
    predict: Predict = Predict()
    report: Report = Report()

    @property
    def external(self) -> dict[str, External]:
        """The members whose maps another program made."""
        networks = {name: self.networks[name] for name in self.members}
        return {name: one for name, one in networks.items() if isinstance(one, External)}

    @property
    def trained_members(self) -> list[str]:
        """The members that are networks of a run of this configuration."""
        return [name for name in self.members if name not in self.external]

    @property
    def chosen_by_validation(self) -> bool:
        """Whether validation patients decide anything about the networks in use."""
        trainings = [
            self.for_member(name).of_fold(fold).train
            for name in self.trained_members
            for fold in ("full", "fold0")
        ]
        return self.predict.checkpoint == "best" or any(
            bool(train.early_stopping or train.reduce_lr) for train in trainings
        )

    def for_member(self, name: str) -> "Config":
        """The configuration with what `networks.<name>` says otherwise.

        Its grid, augmentation and training are the member's own; all that is common to the members
        (data, split, stacking, prediction) is the run's. Maps that another program made come to the
        ensemble's grid as they are, and nothing else of it concerns them.
        """
        return self.model_copy(update=self._own_sections(name))

    def of_fold(self, fold: str) -> "Config":
        """The configuration of a fold's training: `stacking.fold_train` overrides `train`.

        Args:
            fold: `full`, the networks in use, which nothing is overridden of; or `fold0`, ...
        """
        if fold == "full" or not self.stacking.fold_train:
            return self
        try:
            own = Train.model_validate(self.train.model_dump() | self.stacking.fold_train)
        except ValidationError as error:
            raise ValueError(f"stacking.fold_train.{first_problem(error, Train)}") from None
        return self.model_copy(update={"train": own})

    def _own_sections(self, name: str) -> dict[str, Section]:
        sections: dict[str, Section] = {}
        network = self.networks[name]
        if isinstance(network, External):
            return sections
        for key in OVERRIDES:
            section, own = getattr(self, key), getattr(network, key)
            try:
                sections[key] = type(section).model_validate(section.model_dump() | own)
            except ValidationError as error:
                problem = first_problem(error, type(section))
                raise ValueError(f"networks.{name}.{key}.{problem}") from None
        return sections

    @model_validator(mode="after")
    def _check(self):
        self._check_members()
        scheme, drawn = self.stacking.scheme, self.split.scheme == "random"
        alone = len(self.members) == 1 and not (self.external or self.stacking.learners)
        if self.split.scheme == "all" and not (alone and scheme == "holdout"):
            raise ValueError(
                "split.scheme: all trains on every patient and leaves none to combine networks by; "
                "it takes one network that is trained here, stacking.learners: [] and "
                "stacking.scheme: holdout"
            )
        if scheme != "out_of_fold" and drawn and not self.split.validation:
            raise ValueError(
                f"split.validation: 0 leaves no patients for stacking.scheme: {scheme}; set a "
                "share above 0 or use out_of_fold"
            )
        if scheme != "holdout" and self.chosen_by_validation:
            raise ValueError(
                f"stacking.scheme: {scheme} needs a fixed schedule; use predict.checkpoint: "
                "last, train.early_stopping: 0 and train.reduce_lr: 0"
            )
        _check_training(self, "")
        for name in self.members:
            own = self.for_member(name)
            _check_training(own, f"networks.{name}.")
            if own.preprocess.field != self.preprocess.field:
                raise ValueError(
                    f"networks.{name}.preprocess.field: '{own.preprocess.field}', but the maps are "
                    f"brought to a grid with preprocess.field: '{self.preprocess.field}'; all "
                    "members see the same part of the image"
                )
            if self.stacking.fold_train:
                _check_fold_training(own)
        return self

    def _check_members(self) -> None:
        if unknown := [name for name in self.members if name not in self.networks]:
            raise ValueError(
                f"members: '{unknown[0]}' is no known network; known: {', '.join(self.networks)}"
            )
        if taken := [
            m
            for m in (*self.members, *self.stacking.learners)
            if m in RESERVED_NAMES - {"weighted_mean"}
        ]:
            raise ValueError(f"'{taken[0]}' is the name of something else in a run; rename it")
        if len(set(self.members)) != len(self.members):
            raise ValueError("members: a network is named twice")
        if len(self.members) == 1 and self.stacking.learners:
            raise ValueError(
                f"members: only {self.members[0]}, and stacking combines several; "
                "name another or set stacking.learners: []"
            )


def _check_training(config: Config, where: str) -> None:
    """Refuses sections that contradict each other; `where` names whose they are."""
    mirror, symmetry = config.predict.mirror, config.augment.symmetry
    if mirror not in ("none", symmetry) and symmetry != "dihedral":
        raise ValueError(
            f"predict.mirror: '{mirror}' shows the networks images that {where}augment."
            f"symmetry: '{symmetry}' kept from them in training"
        )
    if config.train.crop and config.augment.shadow:
        raise ValueError(
            f"{where}train.crop: acoustic shadows begin at the image's upper edge, which a "
            "crop has lost; use null or augment.shadow: 0"
        )
    crop, size = config.train.crop, config.preprocess.size
    if crop and any(c % 32 or c > s for c, s in zip(crop, size, strict=True)):
        raise ValueError(
            f"{where}train.crop: {list(crop)} must be multiples of 32 within preprocess.size "
            f"{list(size)}"
        )


def _check_fold_training(config: Config) -> None:
    """The same of the folds' trainings of a member."""
    of_folds = config.of_fold("fold0")
    _check_training(of_folds, "stacking.fold_")
    if of_folds.train.start_from not in (None, config.train.start_from):
        raise ValueError(
            "stacking.fold_train.start_from: the folds' networks start from what "
            "train.start_from names, or from random weights (null)"
        )
