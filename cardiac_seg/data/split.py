"""Which patient trains, validates and tests. Patients are never divided."""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.config.sections import Config, Split
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.system.errors import UserError

SUBSETS = ("train", "validation", "test")
ALL = "all"  # the only subset of a split that holds nobody out: all train, watch and are scored
TRAINING_CASES = "training cases, not a held-out figure"  # said wherever a figure of them stands
NO_FOLD = -1  # patients whose maps no learner is fitted on


def make_split(config: Config, dataset: Dataset, root: Path, files: list[CaseFile]) -> pd.DataFrame:
    """Assigns every patient to a subset, and those the learners are fitted on to a fold.

    A fold's patients are scored by learners fitted on the other folds. With `out_of_fold` the
    development patients (train and validation together) are divided, and the networks of
    `fold<k>` never see fold k; with `holdout` the validation patients are. With `both` all
    development patients are divided, and only training patients train.

    Args:
        config: The configuration; its `split` and `stacking` sections.
        dataset: Whose official files are read with `scheme: official`.
        root: The dataset's folder.
        files: All cases.

    Returns:
        Columns patient, subset (train, validation, test; or `all` for everyone), fold (-1 for
        none), stratum; one row per patient, sorted.

    Raises:
        UserError: If a subset is empty or there are more folds than patients.
    """
    strata = {file.patient: file.group for file in files}
    patients = sorted(strata)
    shuffled = _shuffled(patients, strata, config.split)

    subsets = _subsets(config, dataset, root, patients, shuffled)
    for subset in () if config.split.scheme == ALL else SUBSETS:
        # Folds validate each other, so they need no validation patients of their own.
        spare = config.stacking.scheme == "out_of_fold" and subset == "validation"
        if subset not in subsets.values() and not spare:
            raise UserError(
                f"split: no {subset} patient among the {len(patients)} in {root}; "
                "add patients or change split.validation and split.test"
            )
    split = pd.DataFrame(
        {
            "patient": patients,
            "subset": [subsets[p] for p in patients],
            "fold": NO_FOLD,
            "stratum": [strata[p] for p in patients],
        }
    )
    return with_folds(split, config)


def with_folds(split: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The same patients in the same subsets, in the folds that the stacking scheme wants.

    Args:
        split: See `make_split`; its folds are not looked at.
        config: The configuration that the split was made with, but for `stacking`.

    Raises:
        UserError: If there are more folds than patients, or a fold lacks training patients.
    """
    settings, scheme = config.split, config.stacking.scheme
    subsets = dict(zip(split.patient, split.subset, strict=True))
    strata = dict(zip(split.patient, split.stratum, strict=True))
    shuffled = _shuffled(sorted(subsets), strata, settings)
    if scheme == "holdout":
        stacked = [p for p in shuffled if subsets[p] in ("validation", ALL)]
        kind = "validation"
    else:
        stacked, kind = [p for p in shuffled if subsets[p] != "test"], "development"
    if settings.folds > len(stacked) and (config.stacking.learners or scheme != "holdout"):
        raise UserError(
            f"split.folds: {settings.folds} folds, but only {len(stacked)} {kind} patients to "
            "divide; use fewer folds or more patients"
        )
    folds = {p: i % settings.folds for i, p in enumerate(stacked)}
    split = split.assign(fold=[folds.get(p, NO_FOLD) for p in split.patient])
    if scheme == "both" and split.fold[split.subset == "train"].nunique() < settings.folds:
        raise UserError(
            f"split.folds: {settings.folds} folds, and one of them has none of the "
            f"{(split.subset == 'train').sum()} training patients; use fewer folds or more patients"
        )
    return split


def stacking_folds(config: Config) -> list[str]:
    """The folds whose networks make the maps that learners are fitted on."""
    folds = [f"fold{k}" for k in range(config.split.folds)]
    return {"holdout": ["full"], "out_of_fold": folds, "both": ["full", *folds]}[
        config.stacking.scheme
    ]


def deployed_folds(config: Config) -> list[str]:
    """The folds whose networks are in use: they map test cases and new images."""
    if config.stacking.scheme == "out_of_fold" and config.stacking.deploy == "fold_mean":
        return stacking_folds(config)
    return ["full"]


def trained_folds(config: Config) -> list[str]:
    """The trainings each member needs."""
    return list(dict.fromkeys([*stacking_folds(config), *deployed_folds(config)]))


def fold_patients(split: pd.DataFrame, fold: str, scheme: str) -> tuple[set[str], set[str]]:
    """The patients a fold's networks are trained on, and those they are validated on.

    Args:
        split: The table of `make_split`; patients of the subset `all` train and validate.
        fold: `full`, or `fold0`, `fold1`, ...
        scheme: `holdout`, `out_of_fold` or `both`. With `out_of_fold`, `full` has all development
            patients to train on and none to validate on; with `both` a fold's networks have the
            training patients of the other folds, and validation patients train none.
    """
    trainable = (split.subset == "train") | (
        (split.subset == "validation") & (scheme == "out_of_fold")
    )
    if fold != "full":
        validation = trainable & (split.fold == int(fold.removeprefix("fold")))
    else:
        validation = (split.subset == "validation") & (scheme != "out_of_fold")
    train = trainable & ~validation
    all_of_them = set(split.patient[split.subset == ALL])
    return all_of_them.union(split.patient[train]), all_of_them.union(split.patient[validation])


def held_out(split: pd.DataFrame, fold: str, scheme: str) -> set[str]:
    """The patients that a fold's networks may not have seen: those it is validated and tested on.

    Args:
        split, fold, scheme: See `fold_patients`. The subset `all` holds nobody out.
    """
    _, validation = fold_patients(split, fold, scheme)
    tested = split.patient[split.subset == "test"]
    return validation.union(tested).difference(split.patient[split.subset == ALL])


def _subsets(
    config: Config, dataset: Dataset, root: Path, patients: list[str], shuffled: list[str]
) -> dict[str, str]:
    """Patient -> train, validation or test; or all."""
    settings = config.split
    if settings.scheme == ALL:
        return dict.fromkeys(patients, ALL)
    if settings.scheme == "official":
        if dataset.official_split is None:
            raise UserError(f"split.scheme: {dataset.name} has no official split; use random")
        subsets = dataset.official_split(root, patients)
    else:
        drawn = set(_evenly(shuffled, settings.test))
        subsets = {p: "test" if p in drawn else "train" for p in patients}
    if "validation" not in subsets.values() and "train" in subsets.values():
        rest = [p for p in shuffled if subsets[p] == "train"]
        test_share = 1 - len(rest) / len(patients)
        for p in _evenly(rest, settings.validation / (1 - test_share)):
            subsets[p] = "validation"
    return subsets


def _shuffled(patients: list[str], strata: dict[str, str], settings: Split) -> list[str]:
    """Patients in random order, stratum after stratum where the split keeps their shares."""
    rng = np.random.default_rng(settings.seed)
    order = [patients[i] for i in rng.permutation(len(patients))]
    return sorted(order, key=lambda p: strata[p]) if settings.stratify else order


def _evenly(patients: list[str], share: float) -> list[str]:
    """A share of the list taken at even steps, so that each stratum gives its share."""
    steps = np.floor(np.arange(len(patients) + 1) * share + 0.5)
    return [p for p, taken in zip(patients, np.diff(steps), strict=True) if taken]
