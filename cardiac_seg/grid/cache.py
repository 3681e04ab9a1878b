"""Preprocessed slices on disk: made once, memory-mapped, shared by members, folds and runs."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.case import Case, CaseFile, read_cases
from cardiac_seg.grid import resample
from cardiac_seg.grid.field import Field, bounding_box, field_about, middle
from cardiac_seg.grid.sector import field_of_sector
from cardiac_seg.system.atomic import whole_directory
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar

ARRAYS = ("images.u8", "labels.u8")
FORMAT = 4  # raise when what is stored changes
# What training sees of a plane whose field lies about the heart: so many times the field's sides,
# so that crops may be off the middle and turned without empty corners.
TRAINING_SHARE = 1.5


@dataclass(frozen=True)
class CachedCase:
    """One case's place in the cache.

    Attributes:
        name, patient: As in `CaseFile`.
        start, stop: Its rows in `Cache.images`.
        mean, std: Of its uint8 pixels inside the image.
        grid: The geometry back to the native grid.
        slice_spacing: Distance of the slices in mm.
        class_pixels: (slices, classes) nested list, label pixels of each slice.
        label_pixels, beyond: Native label pixels, and how many of them lie outside the grid.
    """

    name: str
    patient: str
    start: int
    stop: int
    mean: float
    std: float
    grid: resample.Grid
    slice_spacing: float
    class_pixels: list[list[int]]
    label_pixels: int
    beyond: int


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
        return resample.GridImage(
            self.pixels(case), case.mean, case.std, case.grid, case.slice_spacing
        )

    def label(self, case: CachedCase) -> np.ndarray:
        """A case's label slices, (slices, height, width) uint8."""
        return self.labels[case.start : case.stop]

    def of_patients(self, patients: set[str]) -> list[CachedCase]:
        """The cases of a set of patients, in the order of the rows."""
        return [case for case in self.cases.values() if case.patient in patients]


@dataclass(frozen=True)
class CaseSet:
    """Some of the cases of a cache.

    Attributes:
        cache: The slices.
        cases: The cases.
    """

    cache: Cache
    cases: list[CachedCase]


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
    folder: Path,
    files: list[CaseFile],
    num_classes: int,
    settings: Preprocess,
    data_print: str,
    fields: dict[str, Field] | None = None,
) -> Cache:
    """Opens the cache for a dataset and settings, and makes it first where it does not exist.

    Args:
        folder: Where caches lie; this one's subfolder is named by a hash of what it holds.
        files: All labelled cases.
        num_classes: Number of label values, background included.
        settings: The `preprocess` section.
        data_print: The dataset's fingerprint.
        fields: Case name -> the field that its slices show, each of `preprocess.size`. By default
            what training sees: about the reference where `preprocess.field` is `heart`, with what
            surrounds the field.

    Raises:
        UserError: If a case cannot be read, or the folder cannot be written.
    """
    names = [file.name for file in files]
    places = None if fields is None else [[*fields[name].window] for name in names]
    key = json.dumps([FORMAT, data_print, names, settings.model_dump(mode="json"), places])
    folder = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not folder.is_dir():
        _build(folder, files, num_classes, settings, fields)
    try:
        entries = json.loads((folder / "cases.json").read_text())
        cases = {
            e["name"]: CachedCase(**{**e, "grid": resample.read_grid(e["grid"])}) for e in entries
        }
        shape = (entries[-1]["stop"], *next(iter(cases.values())).grid.size)
        images, pixels = (np.memmap(folder / name, np.uint8, "r") for name in ARRAYS)
        return Cache(images.reshape(shape), pixels.reshape(shape), cases)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder}: damaged ({error}); delete it, it is made again") from None


def _build(
    folder: Path,
    files: list[CaseFile],
    num_classes: int,
    settings: Preprocess,
    fields: dict[str, Field] | None,
) -> None:
    entries: list[dict[str, Any]] = []
    with (
        whole_directory(folder) as partial,
        open(partial / "images.u8", "wb") as images,
        open(partial / "labels.u8", "wb") as label_file,
    ):
        cases = read_cases(files, num_classes)
        for case in bar(cases, "preprocess", total=len(files), unit="case"):
            if fields is None:
                on_grid = for_training(case, settings)
            else:
                field = fields[case.file.name]
                on_grid = resample.to_grid(case.image, case.spacing[1:], settings, field)
            label = resample.label_to_grid(case.reference, on_grid.grid)
            images.write(on_grid.pixels.tobytes())
            label_file.write(label.tobytes())
            start = entries[-1]["stop"] if entries else 0
            entry = CachedCase(
                case.file.name,
                case.file.patient,
                start,
                start + len(label),
                on_grid.mean,
                on_grid.std,
                on_grid.grid,
                case.spacing[0],
                [np.bincount(plane.ravel(), minlength=num_classes).tolist() for plane in label],
                int(np.count_nonzero(case.reference)),
                resample.label_beyond(case.reference, on_grid.grid),
            )
            entries.append(asdict(entry))
        (partial / "cases.json").write_text(json.dumps(entries))


def for_training(case: Case, settings: Preprocess) -> resample.GridImage:
    """What training sees of a case."""
    spacing = case.spacing[1:]
    if settings.field == "image":
        return resample.to_grid(case.image, spacing, settings)
    if settings.field == "sector":
        return resample.to_grid(
            case.image, spacing, settings, field_of_sector(case.image, settings)
        )
    box = bounding_box(case.reference)
    rows, columns = (slice(0, n) for n in case.image.shape[1:])
    centre = middle(box or (rows, columns))
    height, width = settings.size
    wide = (round(TRAINING_SHARE * height), round(TRAINING_SHARE * width))
    return resample.to_grid(
        case.image,
        spacing,
        settings,
        field_about(centre, spacing, settings, wide),
        contrast_of=field_about(centre, spacing, settings),
    )
