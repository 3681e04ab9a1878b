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

# Images of one slice, and the axis through all slices, may differ by so much in place.
SLICE_POSITION_TOLERANCE_MM = 0.1
SLICE_DISTANCE_TOLERANCE = 0.01  # relative: distances between slices may differ by so much
ORIENTATION_TOLERANCE = 1e-4  # direction cosines of parallel slices may differ by so much
PIXEL_SPACING_TOLERANCE = 1e-4  # relative, within a stack


@dataclass(frozen=True)
class Plane:
    """Where an image lies, in DICOM's own frame (LPS, mm)."""

    position: np.ndarray  # of the centre of the first pixel
    orientation: np.ndarray  # (2, 3): along a row, along a column
    spacing: np.ndarray  # (row, column) distance

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector across the plane."""
        return np.cross(*self.orientation)


def offset_across(plane: Plane, reference: Plane) -> float:
    """Distance (mm) of a plane's position from the axis through the reference's."""
    step = plane.position - reference.position
    return float(np.linalg.norm(step - (step @ reference.normal) * reference.normal))


def slice_heights(planes: list[Plane]) -> np.ndarray:
    """Heights (mm) of planes along the normal of the first."""
    return np.array([plane.position @ planes[0].normal for plane in planes])


def split_heights(heights: np.ndarray) -> list[np.ndarray]:
    """Indices of the images of each slice, slices in ascending order."""
    order = np.argsort(heights, kind="stable")
    return np.split(
        order, np.flatnonzero(np.diff(heights[order]) > SLICE_POSITION_TOLERANCE_MM) + 1
    )


def clip_spacing(frame: Frame, given: tuple[float, float] | None) -> tuple[float, float]:
    """(row, column) distance in mm of the calibrated 2D region, of PixelSpacing, or as given."""
    scales: set[tuple[float, float]] = set()
    for item in frame.header.get("SequenceOfUltrasoundRegions") or []:
        region = Frame(frame.path, frame.number, item)
        # Spatial format 1 is a 2D image, unit 3 is cm; M-mode, Doppler and ECG strips have others.
        kinds = ("RegionSpatialFormat", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection")
        if [read_number(region, key) for key in kinds] == [1, 3, 3]:
            row, column = (read_number(region, f"PhysicalDelta{axis}") for axis in "YX")
            if row and column:
                scales.add((round(10 * abs(row), 6), round(10 * abs(column), 6)))
    if len(scales) > 1 and given is not None:
        return given
    if len(scales) > 1:
        raise refusal(
            frame,
            "SequenceOfUltrasoundRegions",
            f"{len(scales)} image regions of different scale",
            "give the row and column distance in mm with --spacing",
        )
    if scales:
        return scales.pop()
    row, column = pixel_spacing(frame, given)
    return row, column


def plane_of(frame: Frame, spacing: tuple[float, float] | None = None) -> Plane:
    """Where an image of a stack lies.

    Raises:
        UserError: If the header does not say it.
    """
    position = _place(frame, "ImagePositionPatient", 3)
    orientation = _place(frame, "ImageOrientationPatient", 6).reshape(2, 3)
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


def _place(frame: Frame, keyword: str, count: int) -> np.ndarray:
    numbers = read_numbers(frame, keyword, count)
    if numbers is None:
        advice = "it is no slice of a stack (a screenshot?); leave it out"
        raise refusal(frame, keyword, "missing", advice)
    return numbers


def pixel_spacing(frame: Frame, given: tuple[float, float] | None) -> np.ndarray:
    """(row, column) distance in mm of the header, or as given where it has none."""
    spacing = read_numbers(frame, "PixelSpacing", 2)
    if spacing is not None and (spacing > 0).all():
        return spacing
    if given is not None:
        return np.asarray(given, float)
    value = "missing" if spacing is None else shown_value(spacing)
    raise refusal(
        frame, "PixelSpacing", value, "give the row and column distance in mm with --spacing"
    )


def check_planes(frames: list[Frame], planes: list[Plane]) -> None:
    """Refuses images that are not parallel, not of one spacing, or shifted sideways."""
    first = planes[0]
    for frame, plane in zip(frames, planes, strict=True):
        if not np.allclose(
            plane.orientation, first.orientation, rtol=0, atol=ORIENTATION_TOLERANCE
        ):
            raise differing(frame, "ImageOrientationPatient", frames[0])
        if not np.allclose(plane.spacing, first.spacing, rtol=PIXEL_SPACING_TOLERANCE):
            raise differing(frame, "PixelSpacing", frames[0])
        if offset_across(plane, first) > SLICE_POSITION_TOLERANCE_MM:
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
    if wrong.max() > max(SLICE_POSITION_TOLERANCE_MM, SLICE_DISTANCE_TOLERANCE * usual):
        at = int(wrong.argmax())
        raise refusal(
            frames[slices[at + 1][0]],
            "ImagePositionPatient",
            f"{steps[at]:.4g} mm from the slice before, where others are {usual:.4g} mm apart",
            "a slice is missing or one too many; complete the stack",
        )
    step = (firsts[-1].position - firsts[0].position) / (len(slices) - 1)
    return float(np.linalg.norm(step)), step
