"""The ultrasound sector in a frame: what is left without black borders, text and traces."""

import cv2
import numpy as np

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.field import Box, Field, bounding_box

SMOOTH, THIN = 0.01, 0.03  # shares of the frame's shorter side: blur, and what counts as a line
DARK = 0.02  # of the range of intensities: what a frame shows outside the sector
MIN_AREA = 0.02  # of the frame; a smaller part is no sector
WHOLE = 0.88  # of both sides: a sector that fills the frame is not cut out


def find_sector(image: np.ndarray) -> Box | None:
    """The box of the sector, or None where it fills the frame or cannot be told.

    The largest bright part that lines and letters have been taken from, with what is connected to
    it within the width of a line.

    Args:
        image: (frames, height, width) of one clip, float; they are looked at together.
    """
    brightest = np.asarray(image, np.float32).max(axis=0)
    low, high = float(brightest.min()), float(np.percentile(brightest, 99.5))
    shorter = min(brightest.shape)
    if high <= low or shorter < 32:
        return None
    smooth = cv2.GaussianBlur(brightest, (0, 0), max(SMOOTH * shorter, 0.5))
    bright = (smooth > low + DARK * (high - low)).astype(np.uint8)
    kernel = _disc(THIN * shorter)
    thick = cv2.morphologyEx(bright, cv2.MORPH_OPEN, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(thick)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < MIN_AREA * brightest.size:
        return None
    part = (labels == largest).astype(np.uint8)
    box = bounding_box((cv2.dilate(part, kernel) & bright).astype(bool))
    assert box is not None  # the part is not empty
    sides = [(span.stop - span.start) / n for span, n in zip(box, brightest.shape, strict=True)]
    return None if min(sides) >= WHOLE else box


def field_of_sector(image: np.ndarray, settings: Preprocess) -> Field | None:
    """The field that shows the sector; None, the whole frame, where it fills that.

    Args:
        image: As for `find_sector`.
        settings: The `preprocess` section.
    """
    box = find_sector(image)
    if box is None:
        return None
    rows, columns = box
    window = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    return Field(window, settings.size)


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
