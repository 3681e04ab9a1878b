"""Softmax maps on disk: computed once by the members, read by everything after.

Each member's map says who made it (`Provenance`), so that the rule that no learner is fitted on a
map of a training image is one comparison, `check_unseen`, for every kind of member.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardiac_seg.grid.companions import ALONE, Companions, OtherMaps
from cardiac_seg.grid.resample import Grid, GridImage, read_grid
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError

FOLD_MEAN = "fold_mean"  # the fold of maps that are the mean over several folds' networks
NOT_MEMBERS = ("image", "label", "about")


@dataclass(frozen=True)
class Provenance:
    """Where a map comes from.

    Attributes:
        fold: The training that made it, `full`, `fold0`, ..., or `fold_mean` for the mean of all
            folds' networks.
        trained_on: The patients whose images that training has seen; None where nobody knows.
    """

    fold: str
    trained_on: frozenset[str] | None


@dataclass(frozen=True)
class MemberMap:
    """One member's map of one case.

    Attributes:
        probabilities: (slices, height, width, classes) float16 on the member's own grid as a
            mapper gives it, on the ensemble's network grid in `CaseMaps`.
        provenance: Where it comes from.
    """

    probabilities: np.ndarray
    provenance: Provenance


@dataclass(frozen=True)
class CaseMaps:
    """One case on the network grid: its maps, and what they were made from.

    Attributes:
        name: Of the case.
        maps: Member -> its map.
        image: The slices on the ensemble's network grid, 8 bit, and the geometry back to the native
            grid.
        label: (slices, height, width) uint8; None for an image without a reference.
        companions: The patient's other images, where they are asked for; no file holds them.
    """

    name: str
    maps: dict[str, MemberMap]
    image: GridImage
    label: np.ndarray | None = None
    companions: Companions = ALONE

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """Member -> (slices, height, width, classes) float16."""
        return {member: one.probabilities for member, one in self.maps.items()}

    @property
    def reference(self) -> np.ndarray:
        """The label of a case that must have one.

        Raises:
            ValueError: If there is none.
        """
        if self.label is None:
            raise ValueError(f"{self.name}: no reference")
        return self.label

    @property
    def fold(self) -> str:
        """The fold whose networks made the maps; joined by + where the members' differ."""
        return "+".join(dict.fromkeys(one.provenance.fold for one in self.maps.values()))

    @property
    def grid(self) -> Grid:
        """The geometry back to the native grid."""
        return self.image.grid


def as_companion(maps: CaseMaps) -> OtherMaps:
    """A case's maps as another image of the patient sees them."""
    return OtherMaps(maps.probabilities, maps.grid)


TrainedOn = Callable[[str], frozenset[str] | None]


def check_unseen(maps: CaseMaps, patient: str, path: Path) -> None:
    """Refuses maps by members that were trained on their patient.

    Softmax maps of training images are more confident than those of new images, and would mislead
    what is fitted on them.

    Args:
        maps: A development case's.
        patient: Whose it is.
        path: Where they were read from, for the message.

    Raises:
        UserError: If a member was trained on the patient, or nobody knows on whom.
    """
    for member, one in maps.maps.items():
        check_provenance(member, one.provenance, patient, path, "delete it and resume the run")


def check_provenance(
    member: str, made_by: Provenance, patient: str, path: Path, advice: str
) -> None:
    """`check_unseen` for one member; `advice` is what to do about a map of a training image."""
    if made_by.trained_on is None:
        raise UserError(
            f"{path}: nothing says whom {member} was trained on; maps of a member without a known "
            "training set cannot be stacked"
        )
    if patient in made_by.trained_on:
        raise UserError(
            f"{path}: made by {member}, {made_by.fold}, which was trained on {patient}; {advice}"
        )


def write_maps(path: Path, maps: CaseMaps) -> None:
    """Writes a case's maps whole, compressed."""
    image = maps.image
    made_by = {
        member: {
            "fold": p.fold,
            "trained_on": None if p.trained_on is None else sorted(p.trained_on),
        }
        for member, p in ((m, one.provenance) for m, one in maps.maps.items())
    }
    metadata = {
        "grid": asdict(image.grid),
        "mean": image.mean,
        "std": image.std,
        "provenance": made_by,
    }
    arrays: dict[str, Any] = {
        "image": image.pixels,
        "label": maps.label,
        "about": np.array(json.dumps(metadata)),
    }
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **(maps.probabilities | arrays))


def read_maps(
    path: Path, members: list[str], trained_on: TrainedOn = lambda fold: None
) -> CaseMaps:
    """Reads a case's maps.

    Args:
        path: The file.
        members: Whose maps are wanted.
        trained_on: Tells of files of format 1, which name the fold alone, whom its networks were
            trained on.

    Raises:
        UserError: If the file is missing, damaged or lacks a member.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            metadata = json.loads(str(stored["about"]))
            grid = read_grid(metadata["grid"])
            scale = float(metadata["mean"]), float(metadata["std"])
            image = GridImage(stored["image"], *scale, grid)
            made_by = _provenance(metadata, members, trained_on)
            maps = {m: MemberMap(stored[m], made_by[m]) for m in members}
            case = CaseMaps(path.stem, maps, image, stored["label"])
            _check_arrays(case)
            return case
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run train_ensemble.py --resume on this run") from None
    except Exception as error:  # zipfile, zlib and numpy let many kinds through
        raise UserError(f"{path}: damaged ({error}); delete it and resume the run") from None


def folds_in(path: Path) -> set[str | None]:
    """The folds whose networks made a file's maps; {None} where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            metadata = json.loads(str(stored["about"]))
            members = [name for name in stored.files if name not in NOT_MEMBERS]
            made_by = _provenance(metadata, members, lambda fold: None)
            return {one.fold for one in made_by.values()}
    except Exception:  # zipfile, zlib and numpy let many kinds through
        return {None}


def stored_grid(path: Path) -> Grid | None:
    """The network grid of a file of maps; None where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return read_grid(json.loads(str(stored["about"]))["grid"])
    except Exception:  # zipfile, zlib and numpy let many kinds through; reading will tell
        return None


def stored_members(path: Path, fold: str) -> list[str]:
    """The members whose maps by a fold's networks a file holds; none where there is no file."""
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "image" not in stored.files:
                return []  # by an earlier version
            members = [name for name in stored.files if name not in NOT_MEMBERS]
            made_by = _provenance(
                json.loads(str(stored["about"])), members, trained_on=lambda fold: None
            )
            return [name for name in members if made_by[name].fold == fold]
    except Exception as error:
        raise UserError(f"{path}: damaged ({error}); delete it and resume the run") from None


def _check_arrays(maps: CaseMaps) -> None:
    """Raises ValueError for arrays that do not belong together."""
    shape = (len(maps.image.pixels), *maps.grid.size)
    for name, array in (("image", maps.image.pixels), ("label", maps.reference)):
        if array.shape != shape or array.dtype != np.uint8:
            raise ValueError(
                f"{name} of shape {array.shape}, {array.dtype}; expected {shape}, uint8"
            )
    for member, probabilities in maps.probabilities.items():
        if probabilities.shape[:-1] != shape or probabilities.dtype != np.float16:
            raise ValueError(f"{member}: shape {probabilities.shape}; expected {shape} and classes")
        if not np.isfinite(probabilities).all():
            raise ValueError(f"{member}: probabilities that are no numbers")


def _provenance(metadata: dict, members: list[str], trained_on: TrainedOn) -> dict[str, Provenance]:
    """Member -> who made its map, also from a file of format 1."""
    if "provenance" not in metadata:
        fold = metadata["part"]
        return dict.fromkeys(members, Provenance(fold, trained_on(fold)))
    made_by = {}
    for member in members:
        fold, seen = (metadata["provenance"][member][key] for key in ("fold", "trained_on"))
        known = seen is None or (isinstance(seen, list) and all(isinstance(p, str) for p in seen))
        if not isinstance(fold, str) or not known:
            raise ValueError(f"{member}: a fold {fold!r} trained on {seen!r}")
        made_by[member] = Provenance(fold, None if seen is None else frozenset(seen))
    return made_by
