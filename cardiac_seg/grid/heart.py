"""Where the heart lies in a stack: what a small network sees of the whole plane, and its answer.

The plane, without a border of one value, is brought to 6 mm and laid in the middle of a square. At
that resolution a heart is some 16 pixels wide, and finding it is a small task. Padding, a heart off
the middle or another pixel spacing change nothing but where in the square it appears.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cardiac_seg.grid.field import Box, bounding_box, content_box, largest_component, middle
from cardiac_seg.grid.resample import resize_plane

STEP_MM = 6.0
SIDE = 80  # pixels of the square: 480 mm; a wider plane is brought to a wider step
CLIP = (0.5, 99.5)  # percentiles of the plane's intensities
CERTAIN = 0.7  # probability from which a pixel is heart; chosen on development patients


@dataclass(frozen=True)
class Overview:
    """All of a stack's planes, coarse.

    Attributes:
        pixels: (slices, SIDE, SIDE) float32, mean 0 and standard deviation 1 over the planes; 0
            about them.
        content: What of the native planes they show.
        shown: Rows and columns of the square that they fill.
    """

    pixels: np.ndarray
    content: Box
    shown: Box

    def native(self, row: float, column: float) -> tuple[float, float]:
        """A point of the square in native pixels, from the plane's upper left edge."""
        place = []
        for at, box, span in zip((row, column), self.content, self.shown, strict=True):
            step = (box.stop - box.start) / (span.stop - span.start)
            place.append(box.start + (at - span.start) * step)
        return place[0], place[1]


def overview(image: np.ndarray, spacing: tuple[float, float]) -> Overview:
    """All of a stack's planes at about 6 mm.

    Args:
        image: (slices, height, width) float32 in any intensity unit.
        spacing: (row, column) distance in mm.
    """
    content = content_box(image)
    part = image[:, *content]
    extents = [n * mm for n, mm in zip(part.shape[1:], spacing, strict=True)]
    step = max(STEP_MM, max(extents) / SIDE)
    height, width = (max(1, min(SIDE, round(extent / step))) for extent in extents)
    low, high = np.percentile(part, CLIP)
    if high <= low:
        low, high = part.min(), part.max()
    planes = np.stack([resize_plane(plane, (height, width)) for plane in np.clip(part, low, high)])
    planes = (planes - planes.mean()) / max(float(planes.std()), 1e-6)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    shown = (slice(top, top + height), slice(left, left + width))
    pixels = np.zeros((len(image), SIDE, SIDE), np.float32)
    pixels[:, *shown] = planes
    return Overview(pixels, content, shown)


def overview_label(label: np.ndarray, of: Overview) -> np.ndarray:
    """How much of each of an overview's pixels is heart.

    Args:
        label: (slices, height, width) uint8 on the native grid.
        of: The overview of the same stack.

    Returns:
        (slices, SIDE, SIDE) float32, 0 to 1.
    """
    share = np.zeros(of.pixels.shape, np.float32)
    height, width = (span.stop - span.start for span in of.shown)
    for plane, to in zip(label, share, strict=True):
        heart = (plane[*of.content] > 0).astype(np.float32)
        to[*of.shown] = cv2.resize(heart, (width, height), interpolation=cv2.INTER_AREA)
    return share


def heart_centre(probabilities: Sequence[np.ndarray], of: Overview) -> tuple[float, float]:
    """The middle of the heart, (row, column) in native pixels from the plane's upper left edge.

    Args:
        probabilities: (slices, SIDE, SIDE) of each phase of a study, all of the same place.
        of: The overview of one of them.

    Returns:
        The middle of the box about the largest part in three dimensions that is heart in any
        phase; of the image where nothing looks like a heart.
    """
    in_any_phase = np.zeros(of.pixels.shape, np.float32)
    in_any_phase[:, *of.shown] = np.max(probabilities, axis=0)[:, *of.shown]
    certain = CERTAIN * min(1.0, float(in_any_phase.max()))
    if certain < 0.01:
        return middle(of.content)
    box = bounding_box(largest_component(in_any_phase > certain))
    assert box is not None  # the largest value is among them
    return of.native(*middle(box))
