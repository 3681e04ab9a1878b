"""NIfTI files: opened without their pixels, read a frame at a time, written like their source."""

import gzip
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cardiac_seg.data.modality import Modality
from cardiac_seg.data.orientation import AS_STORED, Orientation, find_orientation
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
MAX_VOXELS = 2**27  # of one frame, as 512 x 512 x 512; no picture of a heart has more
MAX_GZIP_RATIO = 1100  # of what a file holds to its size; deflate reaches 1030
CHUNK_BYTES = 2**20
UNITS_MM = {"meter": 1000.0, "micron": 0.001}
FREE_TEXT_FIELDS = (
    "descrip",
    "aux_file",
    "db_name",
    "intent_name",
    "data_type",
)  # may name a patient

nib.imageglobals.logger.setLevel("CRITICAL")  # it repairs headers, and says so at length


@dataclass(frozen=True)
class Layout:
    """How an image lies in its file, or would lie in a NIfTI file.

    Attributes:
        shape: Of the file's array, (x, y), (x, y, z), (x, y, z, frame) or, for planes,
            (x, y, frame).
        frames: How many.
        orientation: From the file's axes to the canonical ones.
        affine: (4, 4) float64, RAS in mm, of the file's (x, y, z).
        header: What masks inherit: units, codes, zooms.
    """

    shape: tuple[int, ...]
    frames: int
    orientation: Orientation
    affine: np.ndarray
    header: nib.Nifti1Header

    @property
    def volume(self) -> tuple[int, int, int]:
        """(x, y, z) of one frame."""
        x, y, *others = self.shape
        return x, y, int(np.prod(others, dtype=int)) // self.frames


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
    _frame_axis: int

    def read(self, frame: int = 0) -> np.ndarray:
        """One frame, (slices, height, width), scaled as the header says; luminance of colours.

        Raises:
            UserError: If the file is truncated or damaged.
        """
        try:
            if frame == 0:
                self._check_whole()
            whole = self.layout.frames == 1
            at = (...,) if whole else (*[slice(None)] * self._frame_axis, frame)
            stored = np.asanyarray(self._pixels[at])
        except Exception as error:  # zlib, struct and OS errors come through as they are
            raise _unreadable(self.path, error) from None
        if stored.dtype.fields:
            channels = np.stack([stored[c] for c in "RGB"], axis=-1)
            stored = channels.astype(np.float32) @ LUMINANCE
        planes = self.layout.orientation.to_canonical(stored.reshape(self.layout.volume))
        return np.ascontiguousarray(planes)

    def _check_whole(self) -> None:
        """Reads a compressed file to its end, where its checksum is: nibabel stops before.

        A wrong byte in the middle would go unnoticed, and look like an image.
        """
        if self.path.suffix.lower() != ".gz":
            return
        left = math.prod(self.layout.shape) * self._pixels.dtype.itemsize + 2 * CHUNK_BYTES
        with gzip.open(self.path) as file:
            while left > 0 and (chunk := file.read(CHUNK_BYTES)):  # no further than the header says
                left -= len(chunk)


def open_nifti(
    path: Path, modality: Modality, spacing: tuple[float, float, float] | None = None
) -> Nifti:
    """Opens a file and checks its header.

    Args:
        path: A `.nii` or `.nii.gz` file.
        modality: Of three dimensions (images, stacks, cines of stacks; turned into the canonical
            frame) or two (images, clips; they have no place in the patient and stay as they are
            stored).
        spacing: (slice, row, column) distance in mm instead of the header's; 0 keeps the header's.

    Raises:
        UserError: If the header is unreadable, has no positive spacing, or is that of no such
            image.
    """
    try:
        image: Any = nib.load(path, keep_file_open=True)  # frames follow each other when compressed
        shape, dtype, header = image.shape, image.get_data_dtype(), image.header
        with nib.openers.ImageOpener(
            str(path)
        ) as file:  # without repairs: no spacing would be 1 mm
            zooms = type(header).from_fileobj(file, check=False)["pixdim"][1:4]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except Exception as error:
        raise _unreadable(path, error) from None
    frames, frame_axis = _find_frames(path, shape, dtype, modality)
    _check_size(path, shape, dtype, frames)
    zooms = [abs(float(zoom)) for zoom in zooms]
    if modality.ndim == 2 or len(shape) == 2:
        zooms[2] = 1.0
    affine = np.asarray(image.affine, np.float64)
    layout = Layout(shape, frames, AS_STORED, affine, header)
    if modality.ndim == 3:
        layout = replace(layout, orientation=find_orientation(affine, tuple(zooms), layout.volume))
    order = layout.orientation.order
    unit = UNITS_MM.get(header.get_xyzt_units()[0], 1.0)
    stored = [zooms[axis] * unit for axis in order]
    used = [given or mm for given, mm in zip(spacing or (0, 0, 0), stored, strict=True)]
    if not all(np.isfinite(mm) and mm > 0 for mm in used):
        raise UserError(
            f"{path}: slice, row and column spacing {_mm(used)} in the header; expected mm, repair "
            "it or give --spacing"
        )
    axes = [axis for axis in order if axis < min(len(shape), modality.ndim)]
    _check_affine(path, header, affine, zooms, axes, spacing)
    return Nifti(path, layout, (used[0], used[1], used[2]), image.dataobj, frame_axis)


def write_mask(path: Path, frames: Sequence[np.ndarray], layout: Layout) -> None:
    """Writes masks with their image's shape, affine and spacing.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        frames: For each frame, (slices, height, width) uint8.
        layout: The image's.
    """
    stored = np.empty((layout.frames, *layout.volume[::-1]), np.uint8)  # as it lies in the file
    for k, mask in enumerate(frames):
        stored[k] = layout.orientation.to_stored(mask).T
    _write(path, stored.T.reshape(layout.shape, order="F"), layout)


def write_image(path: Path, planes: np.ndarray, layout: Layout) -> None:
    """Writes an image of one frame.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        planes: (slices, height, width) float32.
        layout: How it shall lie in the file; its shape is (x, y) or (x, y, z).
    """
    _write(path, layout.orientation.to_stored(planes).reshape(layout.shape), layout)


def write_map(path: Path, planes: np.ndarray, layout: Layout) -> None:
    """Writes numbers for each pixel of one frame.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        planes: (slices, height, width) or (slices, height, width, classes) floats.
        layout: The image's.
    """
    _write(path, layout.orientation.to_stored(planes).astype(np.float32), layout)


def _write(path: Path, array: np.ndarray, layout: Layout) -> None:
    header = layout.header.copy()
    header.extensions.clear()
    for field in FREE_TEXT_FIELDS:
        if field in header:
            header[field] = b""
    zooms = header["pixdim"][1:4]
    header["pixdim"][1:4] = np.where(np.isfinite(zooms) & (zooms > 0), zooms, 1)
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    with whole_file(path) as partial:
        nib.Nifti1Image(array, layout.affine, header).to_filename(partial)


def _find_frames(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, modality: Modality
) -> tuple[int, int]:
    """How many frames a file holds, and the axis they lie along."""
    others = shape[3:]
    frames = max((*others, 1))
    fits = len(shape) > 1 and 0 not in shape and int(np.prod(others, dtype=int)) == frames
    fits &= set("RGB") <= set(dtype.fields) if dtype.fields else dtype.kind in "biuf"
    axis = 3 + others.index(frames) if others else 3
    if modality.ndim == 2 and len(shape) > 2 and shape[2] > 1:
        fits &= frames == 1
        frames, axis = shape[2], 2
    if not fits:
        raise UserError(
            f"{path}: array of shape {shape} and type {dtype}; expected {modality.arrays}"
        )
    return frames, axis


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype, frames: int) -> None:
    """Refuses a header that claims what the file cannot hold, before memory is taken for it."""
    voxels = math.prod(shape)
    held = path.stat().st_size * (MAX_GZIP_RATIO if path.suffix.lower() == ".gz" else 1)
    if voxels // frames > MAX_VOXELS:
        raise UserError(
            f"{path}: array of shape {shape}, more than {MAX_VOXELS:,} pixels per frame; the "
            "header may be damaged"
        )
    if voxels * dtype.itemsize > held:
        raise _unreadable(path, ValueError(f"too small a file for an array of shape {shape}"))


def _check_affine(
    path: Path,
    header: nib.Nifti1Header,
    affine: np.ndarray,
    zooms: list[float],
    axes: list[int],
    given: tuple[float, float, float] | None,
) -> None:
    """Refuses a header whose affine and spacing contradict each other: either may be wrong."""
    if given is not None or not int(header["sform_code"]):
        return  # without an affine of its own, the file's is made from the spacing
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(lengths[axes], np.array(zooms)[axes], rtol=1e-2):
        raise UserError(
            f"{path}: spacing {_mm(zooms)} in the header, {_mm(lengths)} in its affine; repair it "
            "or give --spacing"
        )


def _unreadable(path: Path, error: Exception) -> UserError:
    what = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{path}: not a readable NIfTI file ({what}); it may be truncated, copy it again"
    )


def _mm(zooms: Iterable[float]) -> str:
    return " x ".join(f"{float(z):.4g}" for z in zooms)
