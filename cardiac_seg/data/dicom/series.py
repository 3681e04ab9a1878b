"""DICOM images to arrays: cine MRI sorted into slices and phases, and echo clips.

Headers are read first, and the pixels of one phase at a time: a long cine need not fit into
memory. What does not fit together inside a stack is an error that names the file and the tag;
nothing is guessed. Messages hold no patient's name, number or date, and no UID.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder

from cardiac_seg.data.dicom.geometry import (
    check_planes,
    clip_spacing,
    plane_of,
    slice_heights,
    slice_step,
    split_heights,
)
from cardiac_seg.data.dicom.header import (
    IDENTITY,
    MODALITIES,
    OF_STACK,
    Frame,
    differing,
    frame_count,
    frames_of_file,
    read_header,
    read_number,
    read_numbers,
    refusal,
    shown_value,
    without_pydicom_warnings,
)
from cardiac_seg.data.dicom.phases import read_heart_rate, sort_phases
from cardiac_seg.data.dicom.pixels import PixelData, decode_frames, find_pixels
from cardiac_seg.data.modality import ECHO, MRI, Modality
from cardiac_seg.data.nifti import LUMINANCE, MAX_VOXELS
from cardiac_seg.system.errors import UserError

COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # decoded to RGB


@dataclass(frozen=True)
class Series:
    """A stack of slices in one or more phases, or an echo clip; its pixels stay in the files.

    Attributes:
        shape: (phases, slices, rows, columns).
        affine: (4, 4) float64 NIfTI affine (RAS, mm) of the voxel (column, row, slice).
        spacing: (slice, row, column) distance in mm; 1 between slices where nothing says it.
        modality: How the images were made.
        heart_rate: Beats per minute, the median over the images, or None.
        sources: (phases, slices) objects, each (path, frame number from 1, or None for a file of
            one image).
        rescale: (phases, slices, 2) float64, slope and intercept of each image.
        files: How each path's pixels are decoded.
        phase_times_ms: (phases,) time after the R peak, averaged over the slices; for a clip,
            after its first frame. None where the header has none.
    """

    shape: tuple[int, int, int, int]
    affine: np.ndarray
    spacing: tuple[float, float, float]
    modality: Modality
    heart_rate: float | None
    sources: np.ndarray
    rescale: np.ndarray
    files: dict[Path, PixelData]
    phase_times_ms: np.ndarray | None

    @without_pydicom_warnings()
    def phase(self, k: int) -> np.ndarray:
        """Decodes the images of one phase, and no others.

        Args:
            k: Index of the phase.

        Returns:
            (slices, rows, columns) float32, rescaled; luminance of colour frames.

        Raises:
            UserError: If a file is no longer there, or its pixels cannot be decoded.
        """
        image = np.empty(self.shape[1:], np.float32)
        wanted = defaultdict(list)
        for place, (path, number) in enumerate(self.sources[k]):
            wanted[path].append(((number or 1) - 1, place))
        for path, images in wanted.items():
            images.sort()  # as they lie in the file
            frames = decode_frames(path, self.files[path], [index for index, _ in images])
            for (_, place), pixels in zip(images, frames, strict=True):
                if pixels.ndim == 3:
                    pixels = pixels.astype(np.float32) @ LUMINANCE
                slope, intercept = self.rescale[k, place].tolist()
                image[place] = pixels * slope + intercept
        return image


@without_pydicom_warnings()
def read_series(paths: list[Path], spacing: tuple[float, float] | None = None) -> Series:
    """Reads the headers of a stack of MR images, or of one ultrasound clip.

    Slices are grouped and sorted by their position along their normal, phases by the first tag of
    `PHASE_ORDER` that tells them apart.

    Args:
        paths: The files, in any order; a group of `find_series`.
        spacing: (row, column) distance in mm, for a header that has none.

    Returns:
        The stack or clip, which decodes its pixels when asked for a phase.

    Raises:
        UserError: If a file cannot be read, lacks pixel data, is no MR or ultrasound image, or
            does not fit the others. Compressed pixels that are damaged show only when decoded.
        ValueError: If there are no paths, or the spacing is not two positive numbers.
    """
    if not paths:
        raise ValueError("no files to read")
    if spacing is not None:
        given = np.asarray(spacing, float)
        if given.shape != (2,) or not (np.isfinite(given) & (given > 0)).all():
            raise ValueError(f"spacing {spacing}; expected (row, column) in mm, both positive")
    frames, headers = [], {}
    for path in sorted(paths):
        header, start = headers[path] = read_header(path)
        _check_kind(path, header)
        frames += frames_of_file(path, header)
    _check_same(frames)
    files = {path: find_pixels(path, header, start) for path, (header, start) in headers.items()}
    read = _read_clip if frames[0].header.Modality == "US" else _read_stack
    return read(frames, files, spacing)


def _check_kind(path: Path, header: Dataset) -> None:
    """Refuses a file that is no image of a kind that is read."""
    frame = Frame(path, None, header)
    modality = str(header.Modality)
    if modality not in MODALITIES:
        raise refusal(frame, "Modality", modality, "expected MR or US; leave this file out")
    rows, columns = (read_number(frame, keyword) for keyword in ("Rows", "Columns"))
    if not rows or not columns:
        raise refusal(frame, "Rows", "missing", "it holds no image; leave this file out")
    if rows * columns > MAX_VOXELS:
        claim = f"{rows:.0f} of {columns:.0f} columns"
        raise refusal(frame, "Rows", claim, "no such image is read; repair the header")
    kind = header.get("PhotometricInterpretation")
    kinds = ["MONOCHROME2", *(COLOURS if modality == "US" else ())]
    if kind not in kinds:
        advice = f"expected {' or '.join(kinds)}; convert it"
        raise refusal(frame, "PhotometricInterpretation", shown_value(kind), advice)
    frames = frame_count(path, header)
    groups = len(header.get("PerFrameFunctionalGroupsSequence") or [])
    if groups != frames and (groups or (modality == "MR" and frames > 1)):
        raise refusal(
            frame,
            "PerFrameFunctionalGroupsSequence",
            f"{groups} items for {frames} frames",
            "their places are unknown; export them as single images",
        )
    syntax = header.file_meta.get("TransferSyntaxUID")
    try:
        # In a deflated file, pixels have no place of their own.
        readable = syntax and get_decoder(syntax).is_available and not syntax.is_deflated
    except NotImplementedError:
        readable = False
    if not readable:
        raise refusal(
            frame,
            "TransferSyntaxUID",
            f"{syntax.name if syntax else 'missing'}, which cannot be decoded here",
            "decompress it first, as DCMTK's dcmdjpeg and GDCM's gdcmconv --raw do",
        )


def _check_same(frames: list[Frame]) -> None:
    """Refuses images of different patients, kinds or sizes, and an image that is there twice."""
    first = frames[0]
    seen: dict[tuple[str, int | None], Path] = {}
    for frame in frames:
        if [frame.header.get(key) for key in IDENTITY] != [
            first.header.get(key) for key in IDENTITY
        ]:
            raise refusal(
                frame,
                "PatientID",
                f"or name or birth date differs from that of {first.path}",
                "a stack is of one patient; give each patient's files alone",
            )
        for key in ("Modality", "Rows", "Columns", *OF_STACK):
            if frame.header.get(key) != first.header.get(key):
                raise differing(frame, key, first)
        if "SOPInstanceUID" in frame.header:
            image = str(frame.header.SOPInstanceUID), frame.number
            if image in seen:
                where = f"also that of {seen[image]}"
                raise refusal(frame, "SOPInstanceUID", where, "remove one of the two")
            seen[image] = frame.path


def _read_clip(
    frames: list[Frame], files: dict[Path, PixelData], spacing: tuple[float, float] | None
) -> Series:
    first = frames[0]
    if frames[-1].path != first.path:
        raise UserError(
            f"{frames[-1].path}: a second ultrasound file beside {first.path}; "
            "give one clip at a time"
        )
    row, column = clip_spacing(first, spacing)
    steps = read_numbers(first, "FrameTimeVector")
    step = read_number(first, "FrameTime")
    times = None
    if steps is not None and len(steps) == len(frames):
        times = np.cumsum(steps) - steps[0]
    elif step is not None and len(frames) > 1:
        times = step * np.arange(len(frames))
    return Series(
        **_lay_out([[frame] for frame in frames]),
        files=files,
        affine=np.diag([column, row, 1.0, 1.0]),
        spacing=(1.0, float(row), float(column)),
        modality=ECHO,
        heart_rate=read_heart_rate(frames[:1]),
        phase_times_ms=times,
    )


def _read_stack(
    frames: list[Frame], files: dict[Path, PixelData], spacing: tuple[float, float] | None
) -> Series:
    planes = [plane_of(frame, spacing) for frame in frames]
    check_planes(frames, planes)
    slices = split_heights(slice_heights(planes))
    distance, step = slice_step(frames, planes, slices)
    first = planes[slices[0][0]]
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[0] * first.spacing[1]
    affine[:3, 1] = first.orientation[1] * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    phases, times = sort_phases([[frames[k] for k in indices] for indices in slices])
    return Series(
        **_lay_out(phases),
        files=files,
        affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine,  # DICOM's LPS to NIfTI's RAS
        spacing=(distance, float(first.spacing[0]), float(first.spacing[1])),
        modality=MRI,
        heart_rate=read_heart_rate(frames),
        phase_times_ms=times,
    )


def _lay_out(phases: list[list[Frame]]) -> dict[str, Any]:
    """What a `Series` holds of its images: their shape, sources and rescale."""
    header = phases[0][0].header
    shape = len(phases), len(phases[0]), int(header.Rows), int(header.Columns)
    sources, rescale = np.empty(shape[:2], object), np.empty((*shape[:2], 2))
    for phase, images in enumerate(phases):
        for k, frame in enumerate(images):
            slope, intercept = (
                read_number(frame, "RescaleSlope"),
                read_number(frame, "RescaleIntercept"),
            )
            sources[phase, k] = (frame.path, frame.number)
            rescale[phase, k] = 1.0 if slope is None else slope, intercept or 0.0
    return {"shape": shape, "sources": sources, "rescale": rescale}
