"""Cases: one image or volume each, with what its names and info files say."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cardiac_seg.data.modality import MRI, Modality
from cardiac_seg.data.nifti import Layout, Nifti, open_nifti
from cardiac_seg.system.errors import UserError


@dataclass(frozen=True)
class CaseFile:
    """Where a case lies on disk and what its names and info files say; no pixels.

    Attributes:
        name: Unique name, `patient001_ED` or `patient0001_2CH_ES`.
        patient: The unit of every split and every statistic.
        image_path, label_path: Files under `root`; the label is None where there is none.
        root: The folder that `relative_path` starts from.
        modality: How the image was made.
        view: `2CH` or `4CH` for echo, empty for MRI.
        phase: `ED`, `ES`, or empty where unknown.
        group: Stratum: ACDC's pathology group, CAMUS's image quality.
        metadata: What else the info file holds (height, weight, recorded EF, ...).
    """

    name: str
    patient: str
    image_path: Path
    label_path: Path | None
    root: Path
    modality: Modality = MRI
    view: str = ""
    phase: str = ""
    group: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def image_stem(self) -> str:
        """The name of the image file without `.nii` or `.nii.gz`, as other programs call a case."""
        return re.sub(r"\.nii(\.gz)?$", "", self.image_path.name, flags=re.IGNORECASE)

    @property
    def relative_path(self) -> Path:
        """The image's path under `root`; masks are written at the same one."""
        return self.image_path.relative_to(self.root)


@dataclass(frozen=True)
class Case:
    """A case with its pixels.

    Attributes:
        file: Where it came from.
        image: (slices, height, width) float32, in the file's intensity units.
        label: (slices, height, width) uint8 in the dataset's label values, or None.
        spacing: (slice, row, column) distance in mm.
        layout: How the image lies in its file, for masks to lie alike.
    """

    file: CaseFile
    image: np.ndarray
    label: np.ndarray | None
    spacing: tuple[float, float, float]
    layout: Layout

    @property
    def reference(self) -> np.ndarray:
        """The label of a case that must have one.

        Raises:
            ValueError: If there is none.
        """
        if self.label is None:
            raise ValueError(f"{self.file.name}: no reference")
        return self.label


def read_info(path: Path) -> dict[str, str]:
    """The `key: value` lines of an Info.cfg file.

    Raises:
        UserError: If the file is missing or unreadable.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); the official layout has it") from None
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_case(file: CaseFile, num_classes: int, with_label: bool = True) -> Case:
    """Reads one case and checks what a network would silently digest.

    Args:
        file: The case to read.
        num_classes: Number of label values, background included; they start at 0.
        with_label: Also reads the label, where there is one.

    Returns:
        The case, arrays in (slices, height, width) order in the canonical frame.

    Raises:
        UserError: If a file is truncated, not 2D or 3D, constant, holds NaN, has no positive
            spacing, or if image and label disagree.
    """
    nifti = open_nifti(file.image_path, file.modality)
    if nifti.layout.frames != 1:
        raise UserError(
            f"{file.image_path}: {nifti.layout.frames} frames; expected an image or stack of one"
        )
    image = nifti.read()
    check_pixels(file.image_path, image)
    label = None
    if with_label and file.label_path is not None:
        label = _read_label(file.label_path, file, nifti, num_classes)
    return Case(file, image.astype(np.float32), label, nifti.spacing, nifti.layout)


def read_cases(files: list[CaseFile], num_classes: int) -> Iterator[Case]:
    """Reads cases one after the other; only one is in memory."""
    for file in files:
        yield read_case(file, num_classes)


def read_mask(path: Path, modality: Modality) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Reads a mask of one frame that `write_mask` wrote.

    Returns:
        (slices, height, width) uint8, and the (slice, row, column) spacing in mm.

    Raises:
        UserError: If the file is missing or damaged.
    """
    nifti = open_nifti(path, modality)
    return nifti.read().astype(np.uint8), nifti.spacing


def check_pixels(path: Path | str, planes: np.ndarray) -> None:
    """Refuses an image that holds nothing to segment.

    Raises:
        UserError: If it is constant or holds NaN or infinite values.
    """
    if not np.isfinite(planes).all():
        raise UserError(f"{path}: the image holds NaN or infinite values; repair or remove it")
    if planes.min() == planes.max():
        raise UserError(f"{path}: the image is constant ({planes.min()}); repair or remove it")


def _read_label(path: Path, file: CaseFile, image: Nifti, num_classes: int) -> np.ndarray:
    label = open_nifti(path, file.modality)
    if label.layout.shape != image.layout.shape:
        raise UserError(
            f"{path}: label of shape {label.layout.shape}, but its image has {image.layout.shape}; "
            "they must be the same grid"
        )
    if not np.allclose(label.spacing, image.spacing, rtol=1e-3):
        raise UserError(
            f"{path}: label spacing (slices, rows, columns) {_mm(label.spacing)} mm, but its image "
            f"has {_mm(image.spacing)}; they must be the same grid"
        )
    if label.layout.orientation != image.layout.orientation:
        raise UserError(
            f"{path}: its affine turns the axes another way than that of its image; they must be "
            "the same grid"
        )
    values = label.read()
    present = np.unique(values)
    unknown = present[~np.isin(present, np.arange(num_classes))]
    if unknown.size:
        raise UserError(
            f"{path}: label values {[v.item() for v in unknown[:5]]}; allowed are 0 to "
            f"{num_classes - 1}"
        )
    return values.astype(np.uint8)


def _mm(spacing: Iterable[float]) -> str:
    return " x ".join(f"{float(s):.4g}" for s in spacing)
