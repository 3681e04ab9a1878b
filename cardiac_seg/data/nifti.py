"""NIfTI files: opened without their pixels, read a phase at a time, written like their source."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from cardiac_seg.data.orientation import AS_STORED, Orientation, find_orientation
from cardiac_seg.errors import UserError
from cardiac_seg.files import whole_file

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
FREE_TEXT = ("descrip", "aux_file", "db_name", "intent_name", "data_type")  # may name a patient


@dataclass(frozen=True)
class Layout:
    """How an image lies in its file, or would lie in a NIfTI file.

    Attributes:
        shape: Of the file's array, (x, y), (x, y, z), (x, y, z, phase) or, in echo,
            (x, y, frame).
        phases: How many.
        orientation: From the file's axes to the canonical ones.
        affine: (4, 4) float64, RAS in mm, of the file's (x, y, z).
        header: What masks inherit: units, codes, zooms.
    """

    shape: tuple[int, ...]
    phases: int
    orientation: Orientation
    affine: np.ndarray
    header: nib.Nifti1Header

    @property
    def volume(self) -> tuple[int, int, int]:
        """(x, y, z) of one phase."""
        x, y, *more = self.shape
        return x, y, int(np.prod(more, dtype=int)) // self.phases


@dataclass(frozen=True)
class Nifti:
    """An opened NIfTI file.

    Attributes:
        path: The file.
        layout: Its geometry.
        spacing: (slice, row, column) distance in mm; a single image is 1 mm thick.
    """

    path: Path
    layout: Layout
    spacing: tuple[float, float, float]
    _pixels: nib.arrayproxy.ArrayProxy

    def read(self, phase: int = 0) -> np.ndarray:
        """One phase, (slices, height, width), scaled as the header says; luminance of colours.

        Raises:
            UserError: If the file is truncated or damaged.
        """
        try:
            stored = np.asanyarray(self._pixels[self._at(phase)])
        except Exception as error:  # zlib, struct and OS errors come through as they are
            raise _unreadable(self.path, error) from None
        if stored.dtype.fields:
            channels = np.stack([stored[c] for c in "RGB"], axis=-1)
            stored = channels.astype(np.float32) @ LUMINANCE
        planes = self.layout.orientation.to_canonical(stored.reshape(self.layout.volume))
        return np.ascontiguousarray(planes)

    def _at(self, phase: int) -> tuple:
        """The index of a phase in the file's array."""
        if self.layout.phases == 1:
            return (...,)
        axis = self.layout.shape.index(self.layout.phases, 2)
        return (*[slice(None)] * axis, phase)


def open_nifti(
    path: Path, modality: str, spacing: tuple[float, float, float] | None = None
) -> Nifti:
    """Opens a file and checks its header.

    Args:
        path: A `.nii` or `.nii.gz` file.
        modality: `mri` (images, stacks, cines of stacks; turned into the canonical frame) or
            `echo` (images, clips; they have no place in the patient and stay as they are stored).
        spacing: (slice, row, column) distance in mm instead of the header's; 0 keeps the header's.

    Raises:
        UserError: If the header is unreadable, has no positive spacing, or is that of no such
            image.
    """
    try:
        with (
            nib.imageglobals.LoggingOutputSuppressor()
        ):  # it repairs headers, and says so at length
            image = nib.load(path, keep_file_open=True)  # phases follow each other when compressed
        shape, dtype = image.shape, image.get_data_dtype()
        with nib.openers.ImageOpener(path) as file:  # without repairs: no spacing would be 1 mm
            zooms = type(image.header).from_fileobj(file, check=False)["pixdim"][1:4]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except Exception as error:
        raise _unreadable(path, error) from None
    phases = _count_phases(path, shape, dtype, modality)
    zooms = [abs(float(zoom)) for zoom in zooms]
    if modality == "echo" or len(shape) == 2:
        zooms[2] = 1.0
    layout = Layout(shape, phases, AS_STORED, np.asarray(image.affine, float), image.header)
    if modality == "mri" and len(shape) > 2:
        orientation = find_orientation(layout.affine, tuple(zooms), layout.volume)
        layout = Layout(shape, phases, orientation, layout.affine, image.header)
    canonical = [zooms[axis] for axis in layout.orientation.order]
    if spacing is not None:
        canonical = [given or own for given, own in zip(spacing, canonical, strict=True)]
    if not all(np.isfinite(z) and z > 0 for z in canonical):
        raise UserError(
            f"{path}: slice, row and column spacing {_mm(canonical)} in the header; expected "
            "mm, repair it or give --spacing"
        )
    return Nifti(path, layout, tuple(canonical), image.dataobj)


def write_mask(path: Path, phases: Sequence[np.ndarray], layout: Layout) -> None:
    """Writes masks with their image's shape, affine and spacing.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        phases: For each phase, (slices, height, width) uint8.
        layout: The image's.
    """
    stored = np.empty((layout.phases, *layout.volume[::-1]), np.uint8)  # as it lies in the file
    for k, mask in enumerate(phases):
        stored[k] = layout.orientation.to_stored(mask).T
    _write(path, stored.T.reshape(layout.shape, order="F"), layout)


def write_map(path: Path, planes: np.ndarray, layout: Layout) -> None:
    """Writes numbers for each pixel of one phase.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        planes: (slices, height, width) or (slices, height, width, classes) floats.
        layout: The image's.
    """
    _write(path, layout.orientation.to_stored(planes).astype(np.float32), layout)


def _write(path: Path, array: np.ndarray, layout: Layout) -> None:
    header = layout.header.copy()
    header.extensions.clear()
    for field in FREE_TEXT:
        if field in header:
            header[field] = b""
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    with whole_file(path) as partial:
        nib.Nifti1Image(array, layout.affine, header).to_filename(partial)


def _count_phases(path: Path, shape: tuple[int, ...], dtype: np.dtype, modality: str) -> int:
    more = shape[3:]
    fits = len(shape) > 1 and 0 not in shape and int(np.prod(more, dtype=int)) == max((*more, 1))
    fits &= not dtype.fields or set("RGB") <= set(dtype.fields)
    phases = max((*more, 1))
    kinds = "an image (x, y), a stack (x, y, z) or a cine (x, y, z, phase) of MRI"
    if modality == "echo":
        kinds = "an image (x, y) or a clip (x, y, frame) of echocardiography"
        if len(shape) > 2:
            fits &= shape[2] == 1 or phases == 1
            phases = max(phases, shape[2])
    if not fits:
        raise UserError(f"{path}: array of shape {shape} and type {dtype}; expected {kinds}")
    return phases


def _unreadable(path: Path, error: Exception) -> UserError:
    what = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{path}: not a readable NIfTI file ({what}); it may be truncated, copy it again"
    )


def _mm(zooms) -> str:
    return " x ".join(f"{float(z):.4g}" for z in zooms)
