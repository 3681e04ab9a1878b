"""Where in the plane the network grid lies: about the heart (MRI), on the ultrasound sector (echo).

A field is given in whole native pixels. Two copies of an image that differ in what surrounds it, by
padding or by a cut, then have the same pixels in the same field.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cardiac_seg.config.sections import Preprocess

MARGIN_MM = 8.0  # kept free on each side of a heart that made its field move or grow
HIDDEN = 0.2  # of the field's side: how far a heart may go on beyond the edge that cuts it
STEP = 32  # sides of network grids are multiples of it

Box = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Field:
    """A part of the plane, and the network grid that shows it.

    Attributes:
        window: (top, left, height, width) in native pixels; it may reach beyond the plane.
        size: (height, width) of the network grid.
    """

    window: tuple[int, int, int, int]
    size: tuple[int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) of the middle in native pixels, from the plane's upper left edge."""
        top, left, height, width = self.window
        return top + height / 2, left + width / 2


def from_middle(
    field: Field, plane: tuple[int, int], spacing: tuple[float, float]
) -> tuple[float, float]:
    """(row, column) in mm from the middle of the image to that of the field.

    Args:
        field: The field.
        plane: (height, width) of the native planes.
        spacing: (row, column) distance in mm on the native grid.
    """
    rows, columns = (
        (at - n / 2) * mm for at, n, mm in zip(field.centre, plane, spacing, strict=True)
    )
    return rows, columns


def field_about(
    centre: tuple[float, float],
    spacing: tuple[float, float],
    settings: Preprocess,
    size: tuple[int, int] | None = None,
) -> Field:
    """The field of `preprocess.size` network pixels about a point.

    Args:
        centre: (row, column) in native pixels, from the plane's upper left edge.
        spacing: (row, column) distance in mm on the native grid.
        settings: The `preprocess` section, with a `spacing`.
        size: (height, width) in network pixels, instead of the configured one.
    """
    assert settings.spacing is not None  # a rule of the section
    size = size or settings.size
    starts, sides = [], []
    for middle, mm, pixels in zip(centre, spacing, size, strict=True):
        side = max(1, round(pixels * settings.spacing / mm))
        starts.append(int(np.floor(middle - side / 2 + 0.5)))
        sides.append(side)
    return Field((starts[0], starts[1], sides[0], sides[1]), size)


def field_like(
    field: Field, spacing: tuple[float, float], theirs: Preprocess, own: Preprocess
) -> Field:
    """A member's own field at the place of the ensemble's.

    Args:
        field: The ensemble's.
        spacing: (row, column) distance in mm on the native grid.
        theirs: The ensemble's `preprocess` section.
        own: The member's; the same `field`.
    """
    if own == theirs:
        return field
    if own.spacing is None or theirs.spacing is None:
        return Field(field.window, own.size)
    ratio = theirs.spacing / own.spacing
    grown = zip(field.size, theirs.size, own.size, strict=True)
    rows, columns = (
        mine + STEP * int(np.ceil((now - usual) * ratio / STEP)) for now, usual, mine in grown
    )
    return field_about(field.centre, spacing, own, (rows, columns))


def content_box(image: np.ndarray) -> Box:
    """What is left of an image without borders that hold one value on all slices.

    Scanners and conversions pad images; what is padded is no part of the picture.

    Args:
        image: (slices, height, width).

    Returns:
        Rows and columns; all of them where the image is constant.
    """
    rows, columns = (slice(0, n) for n in image.shape[1:])
    for _ in range(2):  # rows of one border may end in columns of another, of another value
        part = image[:, rows, columns]
        rows = _within(rows, _without_border(part.min(axis=(0, 2)), part.max(axis=(0, 2))))
        part = image[:, rows, columns]
        columns = _within(columns, _without_border(part.min(axis=(0, 1)), part.max(axis=(0, 1))))
    return rows, columns


def _within(whole: slice, part: slice) -> slice:
    return slice(whole.start + part.start, whole.start + part.stop)


def _without_border(lowest: np.ndarray, highest: np.ndarray) -> slice:
    """The lines between those at either end that hold one value, the same in each."""
    varied = [(lowest != lowest[end]) | (highest != lowest[end]) for end in (0, -1)]
    if not (varied[0].any() and varied[1].any()):
        return slice(0, len(lowest))
    return slice(int(varied[0].argmax()), len(lowest) - int(varied[1][::-1].argmax()))


def bounding_box(mask: np.ndarray) -> Box | None:
    """Rows and columns that a mask reaches; None where it is empty.

    Args:
        mask: (height, width) or (slices, height, width), zero outside.
    """
    plane = np.asarray(mask.any(axis=0) if mask.ndim == 3 else mask)
    spans = [np.flatnonzero(np.any(plane, axis=axis)) for axis in (1, 0)]
    if not len(spans[0]):
        return None
    rows, columns = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return rows, columns


def middle(box: Box) -> tuple[float, float]:
    """(row, column) of the middle of a box, from the plane's upper left edge."""
    return (box[0].start + box[0].stop) / 2, (box[1].start + box[1].stop) / 2


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest 26-connected part of a mask, (slices, height, width) bool."""
    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return np.asarray(mask, bool)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


@dataclass(frozen=True)
class Cut:
    """Labels that reach an edge beyond which they may go on.

    Attributes:
        by_field: Those at an edge of the field inside the image; another field shows more.
        by_image: Those at the edge of the image itself.
    """

    by_field: frozenset[int]
    by_image: frozenset[int]


def find_cut(mask: np.ndarray, content: Box, window: tuple[int, int, int, int]) -> Cut:
    """The labels that a field or the image cuts off.

    Args:
        mask: (slices, height, width) label values on the native grid.
        content: Of the image, from `content_box`.
        window: Of its field.
    """
    by_field: set[int] = set()
    by_image: set[int] = set()
    for axis, (box, start, side) in enumerate(
        zip(content, window[:2], window[2:], strict=True), start=1
    ):
        first, last = max(box.start, start), min(box.stop, start + side) - 1
        if last < first:
            continue
        for at, by_its_field in ((first, start > box.start), (last, start + side < box.stop)):
            labels = np.unique(np.take(mask, at, axis=axis))
            (by_field if by_its_field else by_image).update(map(int, labels[labels > 0]))
    return Cut(frozenset(by_field), frozenset(by_image))


def wider_field(
    masks: Sequence[np.ndarray],
    field: Field,
    content: Box,
    spacing: tuple[float, float],
    settings: Preprocess,
) -> Field | None:
    """The field moved, or grown, so that it shows a heart that it cuts off; None where it does not.

    Args:
        masks: Label values of every phase by this field, (slices, height, width) on the native
            grid. What is not connected to the largest part of a mask is no heart.
        field: The field.
        content: Of the image, from `content_box`.
        spacing: (row, column) distance in mm on the native grid.
        settings: The `preprocess` section.
    """
    hearts = [largest_component(mask > 0) for mask in masks]
    heart: np.ndarray = np.any(np.concatenate(hearts), axis=0)
    box = bounding_box(heart)
    if box is None or not find_cut(heart[None], content, field.window).by_field:
        return None
    centre, size = [], []
    parts = zip(box, content, field.window[:2], field.window[2:], spacing, field.size, strict=True)
    for span, whole, start, side, mm, pixels in parts:
        low, high = float(span.start), float(span.stop)
        if low <= start and start > whole.start:
            low = max(whole.start, low - HIDDEN * side)
        if high >= start + side and start + side < whole.stop:
            high = min(whole.stop, high + HIDDEN * side)
        needed = ((high - low) * mm + 2 * MARGIN_MM) / (side * mm / pixels)
        centre.append((low + high) / 2)
        size.append(max(pixels, STEP * int(np.ceil(needed / STEP))))
    return field_about((centre[0], centre[1]), spacing, settings, (size[0], size[1]))
