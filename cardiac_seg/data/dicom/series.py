"""DICOM images to arrays: cine MRI sorted into slices and phases, and echo clips.

Headers are read first, and pixels a phase at a time: a long cine need not fit into memory. What
does not fit together inside a stack is an error that names the file and the tag; nothing is
guessed. Messages hold no patient's name, number or date, and no UID.
"""

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.pixels import as_pixel_options, get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.tag import Tag
from pydicom.uid import UID

from cardiac_seg.data.nifti import LUMINANCE, MOST_VOXELS
from cardiac_seg.system.errors import UserError

MODALITIES = {"MR": "mri", "US": "echo"}
NEAR = 0.1  # mm: the same place, for images of one slice and for slices along one axis
MOST_FRAMES = 100_000  # of a file; it is a claim, and memory is taken for each
GAP = 0.01  # by what part slice distances may differ
PARALLEL = 1e-4  # by how much direction cosines of parallel slices may differ
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # decoded to RGB

IDENTITY = ("PatientID", "PatientName", "PatientBirthDate")  # compared, never shown
CARDIAC_TIMES = ("TriggerTime", "NominalCardiacTriggerDelayTime")  # ms after the R peak
PHASE_ORDER = (
    *CARDIAC_TIMES,
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "InstanceNumber",
    "AcquisitionTime",
)
# Tags that all images of a stack share, and those that all phases of a slice share.
OF_STACK = (
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "ImageType",
    "FrameType",
    "RescaleType",
)
OF_SLICE = ("EchoTime", "EffectiveEchoTime", "InversionTime", "InversionTimes")
# What pydicom must know to decode.
OF_PIXELS = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "PlanarConfiguration",
    "Rows",
    "SamplesPerPixel",
)
READ = (
    *IDENTITY,
    *PHASE_ORDER,
    *OF_STACK,
    *OF_SLICE,
    *OF_PIXELS,
    "FrameTime",
    "FrameTimeVector",
    "HeartRate",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "Modality",
    "NominalInterval",
    "PerFrameFunctionalGroupsSequence",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "SOPInstanceUID",
    "SequenceOfUltrasoundRegions",
    "SeriesInstanceUID",
    "SharedFunctionalGroupsSequence",
    "SliceThickness",
)


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps pydicom from warning about values, which it quotes."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class _PixelData:
    """Where a file's pixel data begin, and what pydicom's decoder must be told about them."""

    start: int
    syntax: UID
    options: dict


@dataclass(frozen=True)
class Series:
    """A stack of slices in one or more phases, or an echo clip; its pixels stay in the files.

    Attributes:
        shape: (phases, slices, rows, columns).
        affine: (4, 4) float64 NIfTI affine (RAS, mm) of the voxel (column, row, slice).
        spacing: (slice, row, column) distance in mm; 1 between slices where nothing says it.
        modality: `mri` or `echo`.
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
    modality: str
    heart_rate: float | None
    sources: np.ndarray
    rescale: np.ndarray
    files: dict[Path, _PixelData]
    phase_times_ms: np.ndarray | None

    @quietly()
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
            frames = _decode(path, self.files[path], [index for index, _ in images])
            for (_, place), pixels in zip(images, frames, strict=True):
                if pixels.ndim == 3:
                    pixels = pixels.astype(np.float32) @ LUMINANCE
                slope, intercept = self.rescale[k, place].tolist()
                image[place] = pixels * slope + intercept
        return image


@dataclass(frozen=True)
class _Frame:
    """One image of a file; the header's functional groups, if it has any, are laid flat."""

    path: Path
    number: int | None
    header: Dataset


@dataclass(frozen=True)
class _Plane:
    """Where an image lies, in DICOM's own frame (LPS, mm)."""

    position: np.ndarray  # of the centre of the first pixel
    orientation: np.ndarray  # (2, 3): along a row, along a column
    spacing: np.ndarray  # (row, column) distance

    @property
    def normal(self) -> np.ndarray:
        return np.cross(*self.orientation)


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM files do, with 128 bytes and `DICM`; DICOMDIR does not count.

    A file that cannot be opened is none.
    """
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


@quietly()
def find_series(folder: Path) -> list[list[Path]]:
    """Groups the DICOM images under a folder, whatever their names, into what is read together.

    That is a series, or the series of one study that hold a slice or a few slices each of one
    stack: the same frame of reference, orientation, matrix and spacing, positions that differ only
    along the normal and do not overlap. Series that repeat slices of each other stay apart, unless
    each is of a single slice, where `read_series` then finds the slice twice. An ultrasound file
    is a clip by itself. Objects without pixels and segmentations are left out; a damaged file, or
    one that is named `.dcm` and is no DICOM file, is a group of its own, so that reading it
    reports it.

    Returns:
        Groups of paths, each sorted, in the order of their first paths.
    """
    series = defaultdict(list)
    for path in _dicom_files(folder):
        try:
            header, _ = _read_header(path)
            frames = _frames_of_file(path, header)
        except UserError:
            series[str(path)].append(_Frame(path, None, Dataset()))
            continue
        modality = str(header.Modality)
        if modality == "SEG" or (modality not in MODALITIES and "Rows" not in header):
            continue
        alone = modality == "US" or "SeriesInstanceUID" not in header
        series[str(path) if alone else str(header.SeriesInstanceUID)] += frames
    groups = _join_series(list(series.values()))
    return sorted(sorted({frame.path for frame in group}) for group in groups)


@quietly()
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
        header, start = headers[path] = _read_header(path)
        _check_kind(path, header)
        frames += _frames_of_file(path, header)
    _check_same(frames)
    files = {path: _find_pixels(path, header, start) for path, (header, start) in headers.items()}
    read = _read_clip if frames[0].header.Modality == "US" else _read_stack
    return read(frames, files, spacing)


def _dicom_files(folder: Path) -> list[Path]:
    """Files that are DICOM by what they hold or, hidden ones apart, by their name."""

    def counts(path: Path) -> bool:
        named = path.suffix.lower() == ".dcm" and not path.name.startswith(".")
        return named or is_dicom(path)

    if folder.is_file():
        return [folder] if counts(folder) else []
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for name in names if counts(path := Path(parent, name))]
    return sorted(found)


def _read_header(path: Path) -> tuple[Dataset, int]:
    """The tags of `READ`, and where in the file the pixel data's tag begins."""
    # pydicom lets struct, zlib and value errors through as they come. What they say may quote the
    # header, and so the patient: it is not repeated.
    try:
        with path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True, specific_tags=list(READ))
            start = file.tell()
        whole = "Modality" in header  # which every object has, near its beginning
    except FileNotFoundError:
        raise _missing(path) from None
    except Exception:
        whole = False
    if not whole:
        raise UserError(f"{path}: not a readable DICOM file; it may be truncated, copy it again")
    for tag in list(header.keys()):
        try:
            element = header[tag]  # converts what was read
            for item in element.value if element.VR == "SQ" else ():
                list(item.iterall())
        except Exception:
            raise _refuse(
                _Frame(path, None, header),
                keyword_for_tag(tag),
                "holds no value of its kind",
                "repair the header, or export it again",
            ) from None
    return header, start


def _frames_of_file(path: Path, header: Dataset) -> list[_Frame]:
    """One frame for each image in the file."""
    if header.get("PerFrameFunctionalGroupsSequence"):
        shared = list(header.get("SharedFunctionalGroupsSequence") or [])
        return [
            _Frame(path, number, _lay_flat(header, [*shared, groups]))
            for number, groups in enumerate(header.PerFrameFunctionalGroupsSequence, 1)
        ]
    count = _frame_count(path, header)
    if count == 1:
        return [_Frame(path, None, header)]
    return [_Frame(path, number, header) for number in range(1, count + 1)]


def _frame_count(path: Path, header: Dataset) -> int:
    count = _number(_Frame(path, None, header), "NumberOfFrames")
    if count is not None and not 1 <= count <= MOST_FRAMES:
        advice = "repair the header, or export it again"
        raise _refuse(_Frame(path, None, header), "NumberOfFrames", f"{count:.6g}", advice)
    return int(count or 1)


def _lay_flat(header: Dataset, groups: list[Dataset]) -> Dataset:
    """The header with what the functional groups of one frame say, without their nesting."""
    flat = Dataset()
    flat.update({e.tag: e for e in header if not e.keyword.endswith("FunctionalGroupsSequence")})
    for group in groups:
        for element in group:
            # Philips nests a second header in a private one.
            if element.VR == "SQ" and element.value and not element.tag.is_private:
                flat.update(element.value[0])
    return flat


def _join_series(series: list[list[_Frame]]) -> list[list[_Frame]]:
    """Joins the series that are parts of one stack."""
    stacks, groups = [], []
    for frames in series:
        try:
            planes = [_plane(frame) for frame in frames]
        except UserError:  # ultrasound, or damaged: whoever reads it says so
            groups.append(frames)
            continue
        for stack in stacks:
            others, references = stack[0]
            if _beside(frames[0], planes[0], others[0], references[0]):
                stack.append((frames, planes))
                break
        else:
            stacks.append([(frames, planes)])
    for stack in stacks:
        slices = [len(_split(_heights(planes))) for _, planes in stack]
        together = len(_split(_heights([plane for _, planes in stack for plane in planes])))
        members = [frames for frames, _ in stack]
        if together == sum(slices) or max(slices) == 1:
            members = [sum(members, [])]
        groups += members
    return groups


def _beside(frame: _Frame, plane: _Plane, other: _Frame, reference: _Plane) -> bool:
    """Whether two images can be of one stack: they differ in place only, and along the normal."""
    same = all(
        key in frame.header and frame.header.get(key) == other.header.get(key)
        for key in ("StudyInstanceUID", "FrameOfReferenceUID", "Modality", "Rows", "Columns")
    )
    return (
        same
        and np.allclose(plane.orientation, reference.orientation, rtol=0, atol=PARALLEL)
        and np.allclose(plane.spacing, reference.spacing, rtol=1e-4)
        and _offset(plane, reference) <= NEAR
    )


def _offset(plane: _Plane, reference: _Plane) -> float:
    """Distance (mm) of a plane's position from the axis through the reference's."""
    step = plane.position - reference.position
    return float(np.linalg.norm(step - (step @ reference.normal) * reference.normal))


def _heights(planes: list[_Plane]) -> np.ndarray:
    return np.array([plane.position @ planes[0].normal for plane in planes])


def _split(heights: np.ndarray) -> list[np.ndarray]:
    """Indices of the images of each slice, slices in ascending order."""
    order = np.argsort(heights, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(heights[order]) > NEAR) + 1)


def _check_kind(path: Path, header: Dataset) -> None:
    """Refuses a file that is no image of a kind that is read."""
    frame = _Frame(path, None, header)
    modality = str(header.Modality)
    if modality not in MODALITIES:
        raise _refuse(frame, "Modality", modality, "expected MR or US; leave this file out")
    rows, columns = (_number(frame, keyword) for keyword in ("Rows", "Columns"))
    if not rows or not columns:
        raise _refuse(frame, "Rows", "missing", "it holds no image; leave this file out")
    if rows * columns > MOST_VOXELS:
        claim = f"{rows:.0f} of {columns:.0f} columns"
        raise _refuse(frame, "Rows", claim, "no such image is read; repair the header")
    kind = header.get("PhotometricInterpretation")
    kinds = ["MONOCHROME2", *(COLOURS if modality == "US" else ())]
    if kind not in kinds:
        advice = f"expected {' or '.join(kinds)}; convert it"
        raise _refuse(frame, "PhotometricInterpretation", _shown(kind), advice)
    frames = _frame_count(path, header)
    groups = len(header.get("PerFrameFunctionalGroupsSequence") or [])
    if groups != frames and (groups or (modality == "MR" and frames > 1)):
        raise _refuse(
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
        raise _refuse(
            frame,
            "TransferSyntaxUID",
            f"{syntax.name if syntax else 'missing'}, which cannot be decoded here",
            "decompress it first, as DCMTK's dcmdjpeg and GDCM's gdcmconv --raw do",
        )


def _check_same(frames: list[_Frame]) -> None:
    """Refuses images of different patients, kinds or sizes, and an image that is there twice."""
    first = frames[0]
    seen = {}
    for frame in frames:
        if [frame.header.get(key) for key in IDENTITY] != [
            first.header.get(key) for key in IDENTITY
        ]:
            raise _refuse(
                frame,
                "PatientID",
                f"or name or birth date differs from that of {first.path}",
                "a stack is of one patient; give each patient's files alone",
            )
        for key in ("Modality", "Rows", "Columns", *OF_STACK):
            if frame.header.get(key) != first.header.get(key):
                raise _differs(frame, key, first)
        if "SOPInstanceUID" in frame.header:
            image = str(frame.header.SOPInstanceUID), frame.number
            if image in seen:
                found = f"also that of {seen[image]}"
                raise _refuse(frame, "SOPInstanceUID", found, "remove one of the two")
            seen[image] = frame.path


def _read_clip(
    frames: list[_Frame], files: dict[Path, _PixelData], spacing: tuple[float, float] | None
) -> Series:
    first = frames[0]
    if frames[-1].path != first.path:
        raise UserError(
            f"{frames[-1].path}: a second ultrasound file beside {first.path}; "
            "give one clip at a time"
        )
    row, column = _clip_spacing(first, spacing)
    steps = _numbers(first, "FrameTimeVector")
    step = _number(first, "FrameTime")
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
        modality=MODALITIES["US"],
        heart_rate=_heart_rate(frames[:1]),
        phase_times_ms=times,
    )


def _clip_spacing(frame: _Frame, given: tuple[float, float] | None) -> tuple[float, float]:
    """(row, column) distance in mm of the calibrated 2D region, of PixelSpacing, or as given."""
    found = set()
    for item in frame.header.get("SequenceOfUltrasoundRegions") or []:
        region = _Frame(frame.path, frame.number, item)
        # Spatial format 1 is a 2D image, unit 3 is cm; M-mode, Doppler and ECG strips have others.
        kinds = ("RegionSpatialFormat", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection")
        if [_number(region, key) for key in kinds] == [1, 3, 3]:
            steps = [_number(region, f"PhysicalDelta{axis}") for axis in "YX"]
            if all(steps):
                found.add(tuple(round(10 * abs(step), 6) for step in steps))
    if len(found) > 1 and given is not None:
        return given
    if len(found) > 1:
        raise _refuse(
            frame,
            "SequenceOfUltrasoundRegions",
            f"{len(found)} image regions of different scale",
            "give the row and column distance in mm with --spacing",
        )
    return found.pop() if found else tuple(_pixel_spacing(frame, given))


def _read_stack(
    frames: list[_Frame], files: dict[Path, _PixelData], spacing: tuple[float, float] | None
) -> Series:
    planes = [_plane(frame, spacing) for frame in frames]
    _check_planes(frames, planes)
    slices = _split(_heights(planes))
    distance, step = _slice_step(frames, planes, slices)
    first = planes[slices[0][0]]
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[0] * first.spacing[1]
    affine[:3, 1] = first.orientation[1] * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    phases, times = _sort_phases([[frames[k] for k in indices] for indices in slices])
    return Series(
        **_lay_out(phases),
        files=files,
        affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine,  # DICOM's LPS to NIfTI's RAS
        spacing=(distance, *map(float, first.spacing)),
        modality=MODALITIES["MR"],
        heart_rate=_heart_rate(frames),
        phase_times_ms=times,
    )


def _plane(frame: _Frame, spacing: tuple[float, float] | None = None) -> _Plane:
    position = _numbers(frame, "ImagePositionPatient", 3)
    orientation = _numbers(frame, "ImageOrientationPatient", 6)
    for key, value in (
        ("ImagePositionPatient", position),
        ("ImageOrientationPatient", orientation),
    ):
        if value is None:
            raise _refuse(
                frame, key, "missing", "it is no slice of a stack (a screenshot?); leave it out"
            )
    orientation = orientation.reshape(2, 3)
    if not np.allclose(orientation @ orientation.T, np.eye(2), rtol=0, atol=1e-3):
        raise _refuse(
            frame,
            "ImageOrientationPatient",
            "not two directions at right angles",
            "repair the header, or export the images again",
        )
    return _Plane(
        position=position,
        orientation=orientation,
        spacing=_pixel_spacing(frame, spacing),
    )


def _pixel_spacing(frame: _Frame, given: tuple[float, float] | None) -> np.ndarray:
    """(row, column) distance in mm of the header, or as given where it has none."""
    spacing = _numbers(frame, "PixelSpacing", 2)
    if spacing is not None and (spacing > 0).all():
        return spacing
    if given is not None:
        return np.asarray(given, float)
    found = "missing" if spacing is None else _shown(spacing)
    raise _refuse(
        frame, "PixelSpacing", found, "give the row and column distance in mm with --spacing"
    )


def _check_planes(frames: list[_Frame], planes: list[_Plane]) -> None:
    """Refuses images that are not parallel, not of one spacing, or shifted sideways."""
    first = planes[0]
    for frame, plane in zip(frames, planes, strict=True):
        if not np.allclose(plane.orientation, first.orientation, rtol=0, atol=PARALLEL):
            raise _differs(frame, "ImageOrientationPatient", frames[0])
        if not np.allclose(plane.spacing, first.spacing, rtol=1e-4):
            raise _differs(frame, "PixelSpacing", frames[0])
        if _offset(plane, first) > NEAR:
            raise _refuse(
                frame,
                "ImagePositionPatient",
                f"{_offset(plane, first):.4g} mm beside the axis of {frames[0].path}",
                "slices must lie along their common normal; give one stack at a time",
            )


def _slice_step(
    frames: list[_Frame], planes: list[_Plane], slices: list[np.ndarray]
) -> tuple[float, np.ndarray]:
    """Distance between slices (mm) and the step from one to the next (3,)."""
    firsts = [planes[indices[0]] for indices in slices]
    if len(slices) == 1:
        distance = max(_number(frames[0], "SliceThickness") or 0.0, 0.0) or 1.0
        return distance, distance * firsts[0].normal
    steps = np.diff(_heights(firsts))
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # where two are as many, the smaller
    wrong = np.abs(steps - usual)
    if wrong.max() > max(NEAR, GAP * usual):
        at = int(wrong.argmax())
        raise _refuse(
            frames[slices[at + 1][0]],
            "ImagePositionPatient",
            f"{steps[at]:.4g} mm from the slice before, where others are {usual:.4g} mm apart",
            "a slice is missing or one too many; complete the stack",
        )
    step = (firsts[-1].position - firsts[0].position) / (len(slices) - 1)
    return float(np.linalg.norm(step)), step


def _sort_phases(slices: list[list[_Frame]]) -> tuple[list[list[_Frame]], np.ndarray | None]:
    """The images of each phase, slices in order, and the phases' times in ms if known."""
    for images in slices:
        for key in OF_SLICE:
            for frame in images:
                if frame.header.get(key) != images[0].header.get(key):
                    raise _differs(frame, key, images[0], "give one kind of image alone")
    key, values = _phase_values(slices)
    slices = [
        sorted(zip(moments, images, strict=True), key=lambda pair: pair[0])
        for moments, images in zip(values, slices, strict=True)
    ]
    for pairs in slices:
        for (moment, frame), (following, other) in zip(pairs, pairs[1:], strict=False):
            if moment == following:
                raise _refuse(
                    other,
                    key,
                    f"and position are also those of {frame.path}",
                    "an image is there twice, or of another kind; leave one out",
                )
    usual = Counter(map(len, slices)).most_common(1)[0][0]
    for pairs in slices:
        if len(pairs) != usual:
            raise _refuse(
                pairs[0][1],
                "ImagePositionPatient",
                f"{len(pairs)} phases at this position, where others have {usual}",
                "complete the stack, or leave the slice out",
            )
    phases = [[pairs[k][1] for pairs in slices] for k in range(usual)]
    times = None
    if key in CARDIAC_TIMES:
        times = np.mean([[moment for moment, _ in pairs] for pairs in slices], axis=0)
    return phases, times


def _phase_values(slices: list[list[_Frame]]) -> tuple[str, list[list[float]]]:
    """The first tag that tells phases apart, and its value for each image of each slice."""
    several = any(len(images) > 1 for images in slices)
    for key in PHASE_ORDER:
        values = [[_number(frame, key) for frame in images] for images in slices]
        if any(value is None for moments in values for value in moments):
            continue
        constant = all(len(set(moments)) == 1 for moments in values)
        # Some scanners write trigger time 0 everywhere; any other shared one is a moment.
        if not (several and constant) or (key in CARDIAC_TIMES and values[0][0] > 0):
            return key, values
    # No tag, or one that never differs: with one image a slice that is no matter.
    return "InstanceNumber", [[0.0] * len(images) for images in slices]


def _lay_out(phases: list[list[_Frame]]) -> dict:
    """What a `Series` holds of its images: their shape, sources and rescale."""
    header = phases[0][0].header
    shape = len(phases), len(phases[0]), int(header.Rows), int(header.Columns)
    sources, rescale = np.empty(shape[:2], object), np.empty((*shape[:2], 2))
    for phase, images in enumerate(phases):
        for k, frame in enumerate(images):
            slope, intercept = _number(frame, "RescaleSlope"), _number(frame, "RescaleIntercept")
            sources[phase, k] = (frame.path, frame.number)
            rescale[phase, k] = 1.0 if slope is None else slope, intercept or 0.0
    return {"shape": shape, "sources": sources, "rescale": rescale}


def _find_pixels(path: Path, header: Dataset, start: int) -> _PixelData:
    """Finds a file's pixel data, and refuses what is shorter than the images it should hold."""
    syntax = header.file_meta.TransferSyntaxUID
    order = "little" if syntax.is_little_endian else "big"
    try:
        with path.open("rb") as file:
            file.seek(start)
            # Tag, VR unless it is implied, and length; then the value.
            element = file.read(8 if syntax.is_implicit_VR else 12)
            group, number = (int.from_bytes(element[k : k + 2], order) for k in (0, 2))
            runner = DecodeRunner(syntax)
            options = as_pixel_options(
                header,
                pixel_keyword=keyword_for_tag(Tag(group, number)),
                pixel_vr="OW" if syntax.is_implicit_VR else element[4:6].decode("ascii"),
            )
            runner.set_options(**options)
            start = file.tell()
            if syntax.is_encapsulated:
                table = runner.extended_offsets or _list_frames(file, runner.number_of_frames)
                options["extended_offsets"] = table
                whole = True  # as far as can be told without decoding
            else:
                length = int.from_bytes(element[-4:], order)
                present = min(length, file.seek(0, os.SEEK_END) - start)
                whole = present >= runner.frame_length() * runner.number_of_frames
    except Exception:  # a tag that decoding needs is missing, or of another kind
        whole = False
    if not whole:
        raise _undecodable(path)
    return _PixelData(start, syntax, options)


def _list_frames(file: BinaryIO, count: int) -> tuple[list[int], list[int]] | None:
    """Offsets and lengths of compressed frames that are a fragment each and that no table lists.

    Without a table, pydicom goes through all fragments again for each frame.
    """
    if parse_basic_offsets(file):
        return None
    first = file.tell()
    found, places = parse_fragments(file)
    if found != count:
        return None
    lengths = []
    for place in places:
        file.seek(place + 4)
        lengths.append(int.from_bytes(file.read(4), "little"))
    return [place - first for place in places], lengths


def _decode(path: Path, pixels: _PixelData, indices: list[int]) -> Iterator[np.ndarray]:
    """Some images of a file, (rows, columns) or (rows, columns, colours), one after the other."""
    # Not pydicom's iter_pixels: it reads the header again each time, which takes longer than a
    # phase's pixels where that lists a thousand frames.
    try:
        with path.open("rb") as file:
            file.seek(pixels.start)
            decoder = get_decoder(pixels.syntax)
            for image, _ in decoder.iter_array(file, indices=indices, **pixels.options):
                yield image
    except FileNotFoundError:
        raise _missing(path) from None
    except Exception:  # each codec has errors of its own
        raise _undecodable(path) from None


def _heart_rate(frames: list[_Frame]) -> float | None:
    """Beats per minute: HeartRate, or 60 s over the R-R interval; the median over the images."""
    rates = []
    for frame in frames:
        rate = _number(frame, "HeartRate")
        interval = _number(frame, "NominalInterval") or _number(frame, "RRIntervalTimeNominal")
        rate = rate or (60000 / interval if interval else 0.0)
        if rate > 0:  # 0 or less is how some headers say that there is none
            rates.append(rate)
    return float(np.median(rates)) if rates else None


def _number(frame: _Frame, keyword: str) -> float | None:
    """A tag's one number, or None where it is missing or empty."""
    numbers = _numbers(frame, keyword, 1)
    return None if numbers is None else float(numbers[0])


def _numbers(frame: _Frame, keyword: str, count: int | None = None) -> np.ndarray | None:
    """A tag's numbers, or None where it is missing or empty."""
    try:
        value = frame.header.get(keyword)
        if value is None or value == "" or value == []:
            return None
        numbers = np.atleast_1d(np.asarray(value, float))
    except Exception:  # pydicom converts only now, and lets its errors through as they come
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all() or count not in (None, len(numbers)):
        what = {None: "numbers", 1: "a number"}.get(count, f"{count} numbers")
        raise _refuse(frame, keyword, f"not {what}", "repair the header, or export it again")
    return numbers


def _differs(
    frame: _Frame, keyword: str, first: _Frame, advice: str = "give one stack at a time"
) -> UserError:
    found = f"differs from that of {first.path}"
    if not keyword.endswith("UID"):
        one, other = (_shown(f.header.get(keyword)) for f in (frame, first))
        found = f"{one}, but {other} in {first.path}"
    return _refuse(frame, keyword, found, advice)


def _refuse(frame: _Frame, keyword: str, found: str, advice: str) -> UserError:
    number = "" if frame.number is None else f", frame {frame.number}"
    tag = tag_for_keyword(keyword)
    return UserError(
        f"{frame.path}{number}: {keyword} ({tag >> 16:04x},{tag & 0xFFFF:04x}) {found}; {advice}"
    )


def _missing(path: Path) -> UserError:
    return UserError(f"{path}: no such file; check the path")


def _undecodable(path: Path) -> UserError:
    advice = "it may be truncated, copy it again"
    return _refuse(_Frame(path, None, Dataset()), "PixelData", "cannot be decoded", advice)


def _shown(value) -> str:
    if value is None or isinstance(value, str):
        return value or "missing"
    return "\\".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in np.atleast_1d(value))
