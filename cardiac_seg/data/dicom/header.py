"""The headers of DICOM files: what is read, and what it says of each frame."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from cardiac_seg.data.modality import ECHO, MRI
from cardiac_seg.system.errors import UserError

MODALITIES = {modality.dicom: modality for modality in (MRI, ECHO)}
MAX_FRAMES = 100_000  # of a file; it is a claim, and memory is taken for each

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
def without_pydicom_warnings() -> Iterator[None]:
    """Keeps pydicom from warning about values, which it quotes."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Frame:
    """One image of a file; the header's functional groups, if it has any, are laid flat."""

    path: Path
    number: int | None
    header: Dataset


def read_header(path: Path) -> tuple[Dataset, int]:
    """The tags of `READ`, and where in the file the pixel data's tag begins."""
    # pydicom lets struct, zlib and value errors through as they come. What they say may quote the
    # header, and so the patient: it is not repeated.
    try:
        with path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True, specific_tags=list(READ))
            start = file.tell()
        whole = "Modality" in header  # which every object has, near its beginning
    except FileNotFoundError:
        raise missing_file(path) from None
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
            raise refusal(
                Frame(path, None, header),
                keyword_for_tag(tag),
                "holds no value of its kind",
                "repair the header, or export it again",
            ) from None
    return header, start


def frames_of_file(path: Path, header: Dataset) -> list[Frame]:
    """One frame for each image in the file."""
    if header.get("PerFrameFunctionalGroupsSequence"):
        shared = list(header.get("SharedFunctionalGroupsSequence") or [])
        return [
            Frame(path, number, _lay_flat(header, [*shared, groups]))
            for number, groups in enumerate(header.PerFrameFunctionalGroupsSequence, 1)
        ]
    count = frame_count(path, header)
    if count == 1:
        return [Frame(path, None, header)]
    return [Frame(path, number, header) for number in range(1, count + 1)]


def frame_count(path: Path, header: Dataset) -> int:
    """How many frames a file says it holds; 1 where it says nothing."""
    count = read_number(Frame(path, None, header), "NumberOfFrames")
    if count is not None and not 1 <= count <= MAX_FRAMES:
        advice = "repair the header, or export it again"
        raise refusal(Frame(path, None, header), "NumberOfFrames", f"{count:.6g}", advice)
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


def read_number(frame: Frame, keyword: str) -> float | None:
    """A tag's one number, or None where it is missing or empty."""
    numbers = read_numbers(frame, keyword, 1)
    return None if numbers is None else float(numbers[0])


def read_numbers(frame: Frame, keyword: str, count: int | None = None) -> np.ndarray | None:
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
        raise refusal(frame, keyword, f"not {what}", "repair the header, or export it again")
    return numbers


def differing(
    frame: Frame, keyword: str, first: Frame, advice: str = "give one stack at a time"
) -> UserError:
    """The error that a frame's tag is not as the first frame's."""
    difference = f"differs from that of {first.path}"
    if not keyword.endswith("UID"):
        one, other = (shown_value(f.header.get(keyword)) for f in (frame, first))
        difference = f"{one}, but {other} in {first.path}"
    return refusal(frame, keyword, difference, advice)


def refusal(frame: Frame, keyword: str, value: str, advice: str) -> UserError:
    """The error that names the file and the tag, what it holds and what to do."""
    number = "" if frame.number is None else f", frame {frame.number}"
    tag = tag_for_keyword(keyword) or 0
    return UserError(
        f"{frame.path}{number}: {keyword} ({tag >> 16:04x},{tag & 0xFFFF:04x}) {value}; {advice}"
    )


def missing_file(path: Path) -> UserError:
    """The error that a file is not there."""
    return UserError(f"{path}: no such file; check the path")


def undecodable(path: Path) -> UserError:
    """The error that a file's pixels cannot be decoded."""
    advice = "it may be truncated, copy it again"
    return refusal(Frame(path, None, Dataset()), "PixelData", "cannot be decoded", advice)


def shown_value(value) -> str:
    """A tag's value as messages show it, several numbers as DICOM separates them."""
    if value is None or isinstance(value, str):
        return value or "missing"
    return "\\".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in np.atleast_1d(value))
