"""Preprocessed slices on disk: made once, memory-mapped, shared by members, folds and runs."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.case import CaseFile, read_cases
from cardiac_seg.grid import resample
from cardiac_seg.system.atomic import whole_directory
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar

ARRAYS = ("images.u8", "labels.u8")
FORMAT = 2  # raise when what is stored changes


@dataclass(frozen=True)
class CachedCase:
    """One case's place in the cache.

    Attributes:
        name, patient: As in `CaseFile`.
        start, stop: Its rows in `Cache.images`.
        mean, std: Of its uint8 pixels inside the image.
        grid: The geometry back to the native grid.
        class_pixels: (slices, classes) nested list, label pixels of each slice.
    """

    name: str
    patient: str
    start: int
    stop: int
    mean: float
    std: float
    grid: resample.Grid
    class_pixels: list[list[int]]


@dataclass(frozen=True)
class Cache:
    """All slices of a dataset on the network grid.

    Attributes:
        images: (slices, height, width) uint8, memory-mapped.
        labels: (slices, height, width) uint8, memory-mapped.
        cases: Case name -> place, in the order of the rows.
    """

    images: np.ndarray
    labels: np.ndarray
    cases: dict[str, CachedCase]

    def image(self, case: CachedCase, method: Literal["zscore", "minmax"]) -> np.ndarray:
        """A case's normalised slices, (slices, height, width) float32."""
        return resample.normalize(self.pixels(case), case.mean, case.std, method)

    def pixels(self, case: CachedCase) -> np.ndarray:
        """A case's slices as stored, (slices, height, width) uint8."""
        return self.images[case.start : case.stop]

    def grid_image(self, case: CachedCase) -> resample.GridImage:
        """A case's slices with the geometry back to the native grid."""
        return resample.GridImage(self.pixels(case), case.mean, case.std, case.grid)

    def label(self, case: CachedCase) -> np.ndarray:
        """A case's label slices, (slices, height, width) uint8."""
        return self.labels[case.start : case.stop]

    def of_patients(self, patients: set[str]) -> list[CachedCase]:
        """The cases of a set of patients, in the order of the rows."""
        return [case for case in self.cases.values() if case.patient in patients]


def class_pixels(cases: list[CachedCase]) -> list[int]:
    """Label pixels of each class over all of the cases, background first."""
    return np.concatenate([case.class_pixels for case in cases]).sum(axis=0).tolist()


def fingerprint(files: list[CaseFile]) -> str:
    """SHA-256 over the relative paths and contents of all images and labels."""
    digest = hashlib.sha256()
    for file in files:
        for path in filter(None, (file.image_path, file.label_path)):
            digest.update(path.relative_to(file.root).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def open_cache(
    folder: Path, files: list[CaseFile], num_classes: int, settings: Preprocess, data_print: str
) -> Cache:
    """Opens the cache for a dataset and settings, and makes it first where it does not exist.

    Args:
        folder: Where caches lie; this one's subfolder is named by a hash of what it holds.
        files: All labelled cases.
        num_classes: Number of label values, background included.
        settings: The `preprocess` section.
        data_print: The dataset's fingerprint.

    Raises:
        UserError: If a case cannot be read, or the folder cannot be written.
    """
    names = [file.name for file in files]
    key = json.dumps([FORMAT, data_print, names, settings.model_dump(mode="json")])
    folder = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not folder.is_dir():
        _build(folder, files, num_classes, settings)
    try:
        entries = json.loads((folder / "cases.json").read_text())
        cases = {e["name"]: CachedCase(**{**e, "grid": _grid(e["grid"])}) for e in entries}
        shape = (entries[-1]["stop"], *settings.size)
        images, pixels = (np.memmap(folder / name, np.uint8, "r") for name in ARRAYS)
        return Cache(images.reshape(shape), pixels.reshape(shape), cases)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder}: damaged ({error}); delete it, it is made again") from None


def _build(folder: Path, files: list[CaseFile], num_classes: int, settings: Preprocess) -> None:
    entries, start = [], 0
    with (
        whole_directory(folder) as partial,
        open(partial / "images.u8", "wb") as images,
        open(partial / "labels.u8", "wb") as label_file,
    ):
        cases = read_cases(files, num_classes)
        for case in bar(cases, "preprocess", total=len(files), unit="case"):
            on_grid = resample.to_grid(case.image, case.spacing[1:], settings)
            label = resample.label_to_grid(case.label, on_grid.grid)
            images.write(on_grid.pixels.tobytes())
            label_file.write(label.tobytes())
            counts = [np.bincount(plane.ravel(), minlength=num_classes).tolist() for plane in label]
            stop = start + len(label)
            entry = CachedCase(
                case.file.name,
                case.file.patient,
                start,
                stop,
                on_grid.mean,
                on_grid.std,
                on_grid.grid,
                counts,
            )
            entries.append(asdict(entry))
            start = stop
        (partial / "cases.json").write_text(json.dumps(entries))


def _grid(values: dict[str, Any]) -> resample.Grid:
    stored: dict[str, Any] = {key: tuple(value) for key, value in values.items()}
    return resample.Grid(**stored)
