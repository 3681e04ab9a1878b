"""Where the frames of a DICOM series lie in the patient."""

from dataclasses import dataclass

import numpy as np

from cardiac_seg.data.dicom.header import (
    Frame,
    differing,
    read_number,
    read_numbers,
    refusal,
    shown_value,
)

NEAR = 0.1  # mm: the same place, for images of one slice and for slices along one axis
GAP = 0.01  # by what part slice distances may differ
PARALLEL = 1e-4  # by how much direction cosines of parallel slices may differ


@dataclass(frozen=True)
class Plane:
    """Where an image lies, in DICOM's own frame (LPS, mm)."""

    position: np.ndarray  # of the centre of the first pixel
    orientation: np.ndarray  # (2, 3): along a row, along a column
    spacing: np.ndarray  # (row, column) distance

    @property
    def normal(self) -> np.ndarray:
        return np.cross(*self.orientation)


def offset_across(plane: Plane, reference: Plane) -> float:
    """Distance (mm) of a plane's position from the axis through the reference's."""
    step = plane.position - reference.position
    return float(np.linalg.norm(step - (step @ reference.normal) * reference.normal))


def slice_heights(planes: list[Plane]) -> np.ndarray:
    return np.array([plane.position @ planes[0].normal for plane in planes])


def split_heights(heights: np.ndarray) -> list[np.ndarray]:
    """Indices of the images of each slice, slices in ascending order."""
    order = np.argsort(heights, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(heights[order]) > NEAR) + 1)


def clip_spacing(frame: Frame, given: tuple[float, float] | None) -> tuple[float, float]:
    """(row, column) distance in mm of the calibrated 2D region, of PixelSpacing, or as given."""
    found = set()
    for item in frame.header.get("SequenceOfUltrasoundRegions") or []:
        region = Frame(frame.path, frame.number, item)
        # Spatial format 1 is a 2D image, unit 3 is cm; M-mode, Doppler and ECG strips have others.
        kinds = ("RegionSpatialFormat", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection")
        if [read_number(region, key) for key in kinds] == [1, 3, 3]:
            steps = [read_number(region, f"PhysicalDelta{axis}") for axis in "YX"]
            if all(steps):
                found.add(tuple(round(10 * abs(step), 6) for step in steps))
    if len(found) > 1 and given is not None:
        return given
    if len(found) > 1:
        raise refusal(
            frame,
            "SequenceOfUltrasoundRegions",
            f"{len(found)} image regions of different scale",
            "give the row and column distance in mm with --spacing",
        )
    return found.pop() if found else tuple(pixel_spacing(frame, given))


def plane_of(frame: Frame, spacing: tuple[float, float] | None = None) -> Plane:
    position = read_numbers(frame, "ImagePositionPatient", 3)
    orientation = read_numbers(frame, "ImageOrientationPatient", 6)
    for key, value in (
        ("ImagePositionPatient", position),
        ("ImageOrientationPatient", orientation),
    ):
        if value is None:
            raise refusal(
                frame, key, "missing", "it is no slice of a stack (a screenshot?); leave it out"
            )
    orientation = orientation.reshape(2, 3)
    if not np.allclose(orientation @ orientation.T, np.eye(2), rtol=0, atol=1e-3):
        raise refusal(
            frame,
            "ImageOrientationPatient",
            "not two directions at right angles",
            "repair the header, or export the images again",
        )
    return Plane(
        position=position,
        orientation=orientation,
        spacing=pixel_spacing(frame, spacing),
    )


def pixel_spacing(frame: Frame, given: tuple[float, float] | None) -> np.ndarray:
    """(row, column) distance in mm of the header, or as given where it has none."""
    spacing = read_numbers(frame, "PixelSpacing", 2)
    if spacing is not None and (spacing > 0).all():
        return spacing
    if given is not None:
        return np.asarray(given, float)
    found = "missing" if spacing is None else shown_value(spacing)
    raise refusal(
        frame, "PixelSpacing", found, "give the row and column distance in mm with --spacing"
    )


def check_planes(frames: list[Frame], planes: list[Plane]) -> None:
    """Refuses images that are not parallel, not of one spacing, or shifted sideways."""
    first = planes[0]
    for frame, plane in zip(frames, planes, strict=True):
        if not np.allclose(plane.orientation, first.orientation, rtol=0, atol=PARALLEL):
            raise differing(frame, "ImageOrientationPatient", frames[0])
        if not np.allclose(plane.spacing, first.spacing, rtol=1e-4):
            raise differing(frame, "PixelSpacing", frames[0])
        if offset_across(plane, first) > NEAR:
            raise refusal(
                frame,
                "ImagePositionPatient",
                f"{offset_across(plane, first):.4g} mm beside the axis of {frames[0].path}",
                "slices must lie along their common normal; give one stack at a time",
            )


def slice_step(
    frames: list[Frame], planes: list[Plane], slices: list[np.ndarray]
) -> tuple[float, np.ndarray]:
    """Distance between slices (mm) and the step from one to the next (3,)."""
    firsts = [planes[indices[0]] for indices in slices]
    if len(slices) == 1:
        distance = max(read_number(frames[0], "SliceThickness") or 0.0, 0.0) or 1.0
        return distance, distance * firsts[0].normal
    steps = np.diff(slice_heights(firsts))
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # where two are as many, the smaller
    wrong = np.abs(steps - usual)
    if wrong.max() > max(NEAR, GAP * usual):
        at = int(wrong.argmax())
        raise refusal(
            frames[slices[at + 1][0]],
            "ImagePositionPatient",
            f"{steps[at]:.4g} mm from the slice before, where others are {usual:.4g} mm apart",
            "a slice is missing or one too many; complete the stack",
        )
    step = (firsts[-1].position - firsts[0].position) / (len(slices) - 1)
    return float(np.linalg.norm(step)), step
