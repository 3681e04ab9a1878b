"""Folders of softmax maps that another program made: a case's files, and who trained on whom.

A folder is laid out as nnU-Net v2 leaves its results: `fold_<k>/validation/<case>.npz` by the
networks of fold k, `fold_all/` by those trained on all cases, and `<case>.npz` directly in it by
the networks of all folds together. `splits_final.json` names the cases that each fold was trained
on.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardiac_seg.system.checked_reads import read_json
from cardiac_seg.system.errors import UserError

SUFFIXES = (".npz", ".nii.gz", ".nii")  # of two files of one name the first is taken
TOGETHER, ON_ALL = "all folds", "fold_all"
CHANNEL = "_0000"  # ends the names of the images that nnU-Net predicts, not those of its maps


@dataclass(frozen=True)
class FoundMap:
    """A file of a case's softmax maps.

    Attributes:
        path: The file.
        made_by: `fold_0`, ..., `fold_all`, or `all folds` for the networks of all of them.
        trained_on: The patients that these networks have seen; None where nobody knows.
    """

    path: Path
    made_by: str
    trained_on: frozenset[str] | None


@dataclass(frozen=True)
class TrainingSets:
    """Whom the networks of each fold were trained on.

    Attributes:
        folds: For each fold the patients to train and those to validate on.
        foreign: Cases that are none of the run; they stand for patients of their own.
        complete: Whether they name every case that nnU-Net had to train on.
    """

    folds: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    foreign: tuple[str, ...] = ()
    complete: bool = True

    def of(self, made_by: str) -> frozenset[str] | None:
        """The patients that the networks behind a map have seen; None where nobody knows."""
        if not self.folds:
            return None
        if made_by in (TOGETHER, ON_ALL):
            # Fold `all` trains on every case of imagesTr, and maps that lie together may be its.
            every = frozenset[str]().union(*(patients for fold in self.folds for patients in fold))
            return every if self.complete else None
        number = int(made_by.removeprefix("fold_"))
        return self.folds[number][0] if number < len(self.folds) else None


def read_training_sets(
    path: Path, patient_of: Mapping[str, str], cases: int | None = None
) -> TrainingSets:
    """Reads nnU-Net's `splits_final.json`.

    Args:
        path: The file: a list with the cases to `train` and to `val`, one entry per fold.
        patient_of: From the names of the run's cases, and from those of their image files, to the
            patient.
        cases: How many nnU-Net had to train on (`numTraining`), where that is known.

    Raises:
        UserError: If it is no such file, or names no case of the run.
    """
    stored = read_json(path)
    splits = stored if isinstance(stored, list) else []
    pairs: list[list[Any]] = [[s.get("train"), s.get("val")] for s in splits if isinstance(s, dict)]
    names = [case for pair in pairs for cases in pair for case in cases or ()]
    lists = all(isinstance(cases, list) for pair in pairs for cases in pair)
    if not names or len(pairs) < len(splits) or not lists or {*map(type, names)} - {str}:
        raise UserError(
            f"{path}: no list of folds with the cases to 'train' and to 'val'; give nnU-Net's "
            "splits_final.json"
        )
    resolved = {name: _patient(name, patient_of) for name in names}
    foreign = sorted(name for name, patient in resolved.items() if patient is None)
    if len(foreign) == len(resolved):
        raise UserError(
            f"{path}: none of its {len(resolved)} cases is one of this run: {foreign[0]} there, "
            f"{' or '.join([*patient_of][:2])} here; give the file of the same images"
        )
    patients = {name: patient or name for name, patient in resolved.items()}
    folds = tuple((_patients(train, patients), _patients(val, patients)) for train, val in pairs)
    return TrainingSets(folds, tuple(foreign), cases is None or cases <= len(resolved))


def find_maps(
    folder: Path, names: Sequence[str], sets: TrainingSets, together_first: bool = False
) -> list[FoundMap]:
    """The files of a case's maps.

    Args:
        folder: See above.
        names: What the case may be called, the best name first.
        sets: Whom the networks were trained on.
        together_first: Maps by all folds' networks come before those of one fold.

    Returns:
        All of them, in the order in which they are to be taken.
    """
    found = []
    for place, made_by in _places(folder):
        path = _file(place, names)
        if path is not None:
            found.append(FoundMap(path, made_by, sets.of(made_by)))
    return sorted(found, key=lambda one: one.made_by != TOGETHER) if together_first else found


def choose_map(found: Iterable[FoundMap], patient: str) -> FoundMap:
    """The first whose networks have not seen the patient, or nobody knows of, or else the first."""

    def doubt(one: FoundMap) -> int:
        return 1 if one.trained_on is None else 2 * (patient in one.trained_on)

    return min(found, key=doubt)


def scan_map(folder: Path, member: str, name: str) -> FoundMap:
    """The maps of a new image, directly in a folder.

    Args:
        folder: The folder.
        member: Whose they are, for the message.
        name: Of the image's file without suffix; a cine's frames have `_frame01`, ... behind it.

    Raises:
        UserError: If there are none.
    """
    known = name.removesuffix(CHANNEL)
    path = _file(folder, [name, known])
    if path is None:
        raise UserError(
            f"{folder}: no softmax map {known}.npz or {known}.nii.gz; run {member} on this image "
            "first and let it store its softmax (nnUNetv2_predict --save_probabilities)"
        )
    return FoundMap(path, TOGETHER, None)


def _places(folder: Path) -> Iterator[tuple[Path, str]]:
    """Where maps lie, and by which networks they are."""
    numbered = [path for path in folder.glob("fold_*") if re.fullmatch(r"fold_\d+", path.name)]
    for path in sorted(numbered, key=lambda path: int(path.name.removeprefix("fold_"))):
        yield path / "validation", path.name
    yield folder / ON_ALL / "validation", ON_ALL
    yield folder / ON_ALL, ON_ALL
    yield folder, TOGETHER


def _file(place: Path, names: Sequence[str]) -> Path | None:
    paths = (place / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _patient(case: str, patient_of: Mapping[str, str]) -> str | None:
    """Whose a case is: also of an image that the run does not take, if its name begins alike."""
    if case in patient_of:
        return patient_of[case]
    parts, patients = case.split("_"), set(patient_of.values())
    begun = ("_".join(parts[:k]) for k in range(1, len(parts) + 1))
    return next((name for name in begun if name in patients), None)


def _patients(cases: Iterable[str], patients: Mapping[str, str]) -> frozenset[str]:
    return frozenset(patients[case] for case in cases)
