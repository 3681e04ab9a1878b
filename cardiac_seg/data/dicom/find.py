"""Finds DICOM series under a folder."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from cardiac_seg.data.dicom.geometry import (
    ORIENTATION_TOLERANCE,
    PIXEL_SPACING_TOLERANCE,
    SLICE_POSITION_TOLERANCE_MM,
    Plane,
    offset_across,
    plane_of,
    slice_heights,
    split_heights,
)
from cardiac_seg.data.dicom.header import (
    MODALITIES,
    Frame,
    frames_of_file,
    read_header,
    without_pydicom_warnings,
)
from cardiac_seg.system.errors import UserError


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


@without_pydicom_warnings()
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
    series: dict[str, list[Frame]] = defaultdict(list)
    for path in _dicom_files(folder):
        try:
            header, _ = read_header(path)
            frames = frames_of_file(path, header)
        except UserError:
            series[str(path)].append(Frame(path, None, Dataset()))
            continue
        modality = str(header.Modality)
        if modality == "SEG" or (modality not in MODALITIES and "Rows" not in header):
            continue
        alone = modality == "US" or "SeriesInstanceUID" not in header
        series[str(path) if alone else str(header.SeriesInstanceUID)] += frames
    groups = _join_series(list(series.values()))
    return sorted(sorted({frame.path for frame in group}) for group in groups)


def _dicom_files(folder: Path) -> list[Path]:
    """Files that are DICOM by what they hold or, hidden ones apart, by their name."""

    def counts(path: Path) -> bool:
        named = path.suffix.lower() == ".dcm" and not path.name.startswith(".")
        return named or is_dicom(path)

    if folder.is_file():
        return [folder] if counts(folder) else []
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [path for name in names if counts(path := Path(parent, name))]
    return sorted(paths)


def _join_series(series: list[list[Frame]]) -> list[list[Frame]]:
    """Joins the series that are parts of one stack."""
    stacks: list[list[tuple[list[Frame], list[Plane]]]] = []
    groups: list[list[Frame]] = []
    for frames in series:
        try:
            planes = [plane_of(frame) for frame in frames]
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
        slices = [len(split_heights(slice_heights(planes))) for _, planes in stack]
        together = len(
            split_heights(slice_heights([plane for _, planes in stack for plane in planes]))
        )
        members = [frames for frames, _ in stack]
        if together == sum(slices) or max(slices) == 1:
            members = [sum(members, [])]
        groups += members
    return groups


def _beside(frame: Frame, plane: Plane, other: Frame, reference: Plane) -> bool:
    """Whether two images can be of one stack: they differ in place only, and along the normal."""
    same = all(
        key in frame.header and frame.header.get(key) == other.header.get(key)
        for key in ("StudyInstanceUID", "FrameOfReferenceUID", "Modality", "Rows", "Columns")
    )
    return (
        same
        and np.allclose(
            plane.orientation, reference.orientation, rtol=0, atol=ORIENTATION_TOLERANCE
        )
        and np.allclose(plane.spacing, reference.spacing, rtol=PIXEL_SPACING_TOLERANCE)
        and offset_across(plane, reference) <= SLICE_POSITION_TOLERANCE_MM
    )
