"""Which patient trains, validates and tests. Patients are never divided."""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.config import Split
from cardiac_seg.data.cases import CaseFile
from cardiac_seg.data.datasets import Dataset
from cardiac_seg.errors import UserError

SUBSETS = ("train", "validation", "test")
NO_FOLD = -1  # test patients, and everybody where there are no folds


def make_split(config: Split, dataset: Dataset, root: Path, files: list[CaseFile]) -> pd.DataFrame:
    """Assigns every patient to a subset and, with folds, every development patient to one.

    With folds, fold k of the development patients (train and validation together) is what the
    networks of part `fold<k>` never see.

    Args:
        config: The `split` section.
        dataset: Whose official files are read with `scheme: official`.
        root: The dataset's folder.
        files: All cases.

    Returns:
        Columns patient, subset (train, validation, test), fold (-1 for none), stratum; one row a
        patient, sorted.

    Raises:
        UserError: If a subset is empty or there are more folds than patients.
    """
    strata = {file.patient: file.group for file in files}
    patients = sorted(strata)
    rng = np.random.default_rng(config.seed)
    shuffled = _shuffled(patients, strata if config.stratify else {}, rng)

    if config.scheme == "official":
        subsets = dataset.official_split(root, patients)
    else:
        drawn = set(_evenly(shuffled, config.test))
        subsets = {p: "test" if p in drawn else "train" for p in patients}
    if "validation" not in subsets.values() and "train" in subsets.values():
        rest = [p for p in shuffled if subsets[p] == "train"]
        test_share = 1 - len(rest) / len(patients)
        for p in _evenly(rest, config.validation / (1 - test_share)):
            subsets[p] = "validation"

    development = [p for p in shuffled if subsets[p] != "test"]
    if config.folds > len(development):
        raise UserError(
            f"split.folds: {config.folds} folds, but only {len(development)} patients to divide; "
            "use fewer folds"
        )
    folds = {p: i % config.folds for i, p in enumerate(development)} if config.folds else {}
    for subset in SUBSETS:
        # Folds validate each other, so they need no validation patients of their own.
        if subset not in subsets.values() and not (config.folds and subset == "validation"):
            raise UserError(
                f"split: no {subset} patient among the {len(patients)} in {root}; "
                "add patients or change split.validation and split.test"
            )
    return pd.DataFrame(
        {
            "patient": patients,
            "subset": [subsets[p] for p in patients],
            "fold": [folds.get(p, NO_FOLD) for p in patients],
            "stratum": [strata[p] for p in patients],
        }
    )


def part_names(split: pd.DataFrame) -> list[str]:
    """The trainings each member needs: `full`, or `fold0`, `fold1`, ..."""
    folds = sorted(set(split.fold) - {NO_FOLD})
    return [f"fold{k}" for k in folds] or ["full"]


def part_patients(split: pd.DataFrame, part: str) -> tuple[set[str], set[str]]:
    """The patients a part's networks are trained on, and those they are validated on."""
    if part == "full":
        train, validation = split.subset == "train", split.subset == "validation"
    else:
        validation = split.fold == int(part.removeprefix("fold"))
        train = (split.fold != NO_FOLD) & ~validation
    return set(split.patient[train]), set(split.patient[validation])


def _shuffled(patients: list[str], strata: dict[str, str], rng: np.random.Generator) -> list[str]:
    """Patients in random order, stratum after stratum."""
    order = [patients[i] for i in rng.permutation(len(patients))]
    return sorted(order, key=lambda patient: strata.get(patient, ""))


def _evenly(patients: list[str], share: float) -> list[str]:
    """A share of the list taken at even steps, so that each stratum gives its share."""
    steps = np.floor(np.arange(len(patients) + 1) * share + 0.5)
    return [p for p, taken in zip(patients, np.diff(steps), strict=True) if taken]
