"""Cases: one image or volume each, with what is known about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from cardiac_seg.errors import UserError
from cardiac_seg.files import whole_file

IMAGE_SUFFIXES = (".nii.gz", ".nii")
NOT_AN_IMAGE = ("_gt", "_4d", "_sequence")  # stems of labels, cine series and half sequences


@dataclass(frozen=True)
class CaseFile:
    """Where a case lies on disk and what its names and info files say; no pixels.

    Attributes:
        name: Unique name, `patient001_ED` or `patient0001_2CH_ES`.
        patient: The unit of every split and every statistic.
        image_path, label_path: Files under `root`; the label is None where there is none.
        root: The folder that `relative_path` starts from.
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
    view: str = ""
    phase: str = ""
    group: str = ""
    metadata: dict = field(default_factory=dict)

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
        affine: (4, 4) float64 NIfTI affine of the file, in its (x, y, z) axis order.
        shape: The file's array shape, (x, y) or (x, y, z).
    """

    file: CaseFile
    image: np.ndarray
    label: np.ndarray | None
    spacing: tuple[float, float, float]
    affine: np.ndarray
    shape: tuple[int, ...]


def nifti_stem(path: Path) -> str:
    """The file name without `.nii` or `.nii.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def is_image_file(path: Path) -> bool:
    """Whether a path names an image rather than a label, a cine series or another file."""
    return path.name.endswith(IMAGE_SUFFIXES) and not nifti_stem(path).endswith(NOT_AN_IMAGE)


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


def read_case(file: CaseFile, labels: int, with_label: bool = True) -> Case:
    """Reads one case and checks what a network would silently digest.

    Args:
        file: The case to read.
        labels: Number of label values, background included; labels lie in 0 .. labels - 1.
        with_label: Also reads the label, where there is one.

    Returns:
        The case, arrays in (slices, height, width) order.

    Raises:
        UserError: If a file is truncated, not 2D or 3D, constant, holds NaN, has no positive
            spacing, or if image and label disagree.
    """
    nifti, image = _read_nifti(file.image_path)
    _check_image(file.image_path, nifti, image)
    label = None
    if with_label and file.label_path is not None:
        label_nifti, label = _read_nifti(file.label_path)
        _check_label(file, nifti, label_nifti, label, labels)
        label = _to_slices(label).astype(np.uint8)
    return Case(
        file=file,
        image=_to_slices(image).astype(np.float32),
        label=label,
        spacing=_spacing(nifti),
        affine=nifti.affine,
        shape=image.shape,
    )


def read_cases(files: list[CaseFile], labels: int) -> Iterator[Case]:
    """Reads cases one after the other; only one is in memory."""
    for file in files:
        yield read_case(file, labels)


def read_mask(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Reads a mask that `write_mask` wrote.

    Returns:
        (slices, height, width) uint8, and the (slice, row, column) spacing in mm.

    Raises:
        UserError: If the file is missing or damaged.
    """
    nifti, values = _read_nifti(path)
    return _to_slices(values).astype(np.uint8), _spacing(nifti)


def write_mask(path: Path, mask: np.ndarray, case: Case) -> None:
    """Writes a mask with its image's shape, affine and spacing.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        mask: (slices, height, width) uint8.
        case: The case that the mask belongs to.
    """
    source = nib.load(case.file.image_path)
    header = source.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    with whole_file(path) as partial:
        # Back from (slices, height, width) to the file's own axis order.
        array = np.ascontiguousarray(mask.T.reshape(case.shape))
        nib.Nifti1Image(array, case.affine, header).to_filename(partial)


def _to_slices(array: np.ndarray) -> np.ndarray:
    """(x, y) or (x, y, z) to (slices, height, width)."""
    return np.ascontiguousarray(np.atleast_3d(array).T)


def _spacing(nifti: nib.Nifti1Image) -> tuple[float, float, float]:
    """(slice, row, column) distance in mm; a single image is 1 mm thick."""
    zooms = [float(z) for z in nifti.header.get_zooms()[:3]]
    return (zooms[2] if len(zooms) == 3 else 1.0, zooms[1], zooms[0])


def _read_nifti(path: Path) -> tuple[nib.Nifti1Image, np.ndarray]:
    try:
        nifti = nib.load(path)
        return nifti, np.asanyarray(nifti.dataobj)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except Exception as error:  # nibabel lets zlib, struct and header errors through as they come
        what = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: not a readable NIfTI file ({what}); it may be truncated, copy it again"
        ) from None


def _check_image(path: Path, nifti: nib.Nifti1Image, image: np.ndarray) -> None:
    if image.ndim not in (2, 3) or image.dtype.fields or 0 in image.shape:
        raise UserError(
            f"{path}: array of shape {image.shape} and type {image.dtype}; "
            "expected a grey 2D image or a 3D stack"
        )
    zooms = nifti.header.get_zooms()[: image.ndim]
    if not all(np.isfinite(z) and z > 0 for z in zooms):
        raise UserError(f"{path}: pixel spacing {zooms} in the header; expected positive mm")
    if not np.isfinite(image).all():
        raise UserError(f"{path}: the image holds NaN or infinite values; repair or remove it")
    if image.min() == image.max():
        raise UserError(f"{path}: the image is constant ({image.min()}); repair or remove it")


def _check_label(
    file: CaseFile, image: nib.Nifti1Image, label: nib.Nifti1Image, values: np.ndarray, labels: int
) -> None:
    path = file.label_path
    if label.shape != image.shape:
        raise UserError(
            f"{path}: label of shape {label.shape}, but its image has {image.shape}; "
            "they must be the same grid"
        )
    zooms, image_zooms = label.header.get_zooms(), image.header.get_zooms()
    if not np.allclose(zooms, image_zooms, rtol=1e-3):
        raise UserError(
            f"{path}: label spacing {_mm(zooms)} mm, but its image has {_mm(image_zooms)}; "
            "they must be the same grid"
        )
    found = np.unique(values)
    unknown = found[~np.isin(found, np.arange(labels))]
    if unknown.size:
        raise UserError(
            f"{path}: label values {[v.item() for v in unknown[:5]]}; allowed are 0 to {labels - 1}"
        )


def _mm(zooms) -> str:
    return " x ".join(f"{float(z):.4g}" for z in zooms)
