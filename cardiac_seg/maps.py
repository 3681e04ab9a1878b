"""Softmax maps on disk: computed once by the members, read by everything after."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cardiac_seg.errors import UserError
from cardiac_seg.files import whole_file
from cardiac_seg.preprocessing import Grid


@dataclass(frozen=True)
class CaseMaps:
    """One case's maps on the network grid.

    Attributes:
        members: Member -> (slices, height, width, classes) float16 probabilities.
        label: (slices, height, width) uint8 on the network grid.
        grid: The geometry back to the native grid.
        part: The part whose networks made the maps; `fold_mean` for the mean over all folds.
    """

    members: dict[str, np.ndarray]
    label: np.ndarray
    grid: Grid
    part: str


def write_maps(path: Path, maps: CaseMaps) -> None:
    """Writes a case's maps whole, compressed."""
    about = json.dumps({"grid": asdict(maps.grid), "part": maps.part})
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **maps.members, label=maps.label, about=np.array(about))


def read_maps(path: Path, members: list[str]) -> CaseMaps:
    """Reads a case's maps.

    Raises:
        UserError: If the file is missing, damaged or lacks a member.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            grid = Grid(**{key: tuple(value) for key, value in about["grid"].items()})
            return CaseMaps({m: stored[m] for m in members}, stored["label"], grid, about["part"])
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run train_ensemble.py --resume on this run") from None
    except Exception as error:  # zipfile, zlib and numpy let many kinds through
        raise UserError(f"{path}: damaged ({error}); delete it and resume the run") from None


def stored_members(path: Path) -> list[str]:
    """The members whose maps a file holds; none where there is no file."""
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as stored:
            return [name for name in stored.files if name not in ("label", "about")]
    except Exception as error:
        raise UserError(f"{path}: damaged ({error}); delete it and resume the run") from None
