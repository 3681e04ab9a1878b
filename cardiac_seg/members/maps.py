"""Softmax maps on disk: computed once by the members, read by everything after."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError

NOT_MEMBERS = ("image", "label", "about")


@dataclass(frozen=True)
class CaseMaps:
    """One case on the network grid: its maps, and what they were made from.

    Attributes:
        members: Member -> (slices, height, width, classes) float16 probabilities.
        image: The slices the networks saw, 8 bit, and the geometry back to the native grid.
        part: The part whose networks made the maps; `fold_mean` for the mean over all folds.
        label: (slices, height, width) uint8; None for an image without a reference.
    """

    members: dict[str, np.ndarray]
    image: GridImage
    part: str
    label: np.ndarray | None = None

    @property
    def grid(self) -> Grid:
        """The geometry back to the native grid."""
        return self.image.grid


def write_maps(path: Path, maps: CaseMaps) -> None:
    """Writes a case's maps whole, compressed."""
    image = maps.image
    about = {"grid": asdict(image.grid), "mean": image.mean, "std": image.std, "part": maps.part}
    arrays = {"image": image.pixels, "label": maps.label, "about": np.array(json.dumps(about))}
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **maps.members, **arrays)


def read_maps(path: Path, members: list[str]) -> CaseMaps:
    """Reads a case's maps.

    Raises:
        UserError: If the file is missing, damaged or lacks a member.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            grid = Grid(**{key: tuple(value) for key, value in about["grid"].items()})
            image = GridImage(stored["image"], about["mean"], about["std"], grid)
            return CaseMaps({m: stored[m] for m in members}, image, about["part"], stored["label"])
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run train_ensemble.py --resume on this run") from None
    except Exception as error:  # zipfile, zlib and numpy let many kinds through
        raise UserError(f"{path}: damaged ({error}); delete it and resume the run") from None


def made_by(path: Path) -> str | None:
    """The part whose networks made a file's maps; None where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return json.loads(str(stored["about"]))["part"]
    except Exception:  # zipfile, zlib and numpy let many kinds through
        return None


def stored_members(path: Path, part: str) -> list[str]:
    """The members whose maps by a part's networks a file holds; none where there is no file."""
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as stored:
            if json.loads(str(stored["about"]))["part"] != part:
                return []  # by networks that are not in use any more
            if "image" not in stored.files:
                return []  # by an earlier version
            return [name for name in stored.files if name not in NOT_MEMBERS]
    except Exception as error:
        raise UserError(f"{path}: damaged ({error}); delete it and resume the run") from None
