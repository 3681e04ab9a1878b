"""Where the heart lies in the frame, and how fine the frame's pixels are."""

import math

import cv2
import numpy as np

from cardiac_seg.data.perturbations.perturbation import Perturbed, Spacing, heart_box

MARGIN_MM = 10.0  # around the heart that no crop takes away


def shift(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Moves the content by `strength` mm towards the side where the heart has most room.

    What leaves the frame is lost, what is uncovered is 0. Where the room is too small, the frame
    is first widened by zeros on both sides, so that the heart stays whole.
    """
    sides = [
        (room * spacing[axis], room, axis, way)
        for axis, (first, last) in zip((1, 2), heart_box(label), strict=True)
        for room, way in ((first, -1), (label.shape[axis] - 1 - last, 1))
    ]
    _, room, axis, way = max(sides)
    pixels = round(strength / spacing[axis])
    return (
        _moved(image, axis, way * pixels, max(pixels - room, 0)),
        _moved(label, axis, way * pixels, max(pixels - room, 0)),
        spacing,
    )


def _moved(planes: np.ndarray, axis: int, pixels: int, widened: int) -> np.ndarray:
    """Shifted along an axis, zeros behind."""
    widths = [(0, 0)] * 3
    widths[axis] = (widened + max(pixels, 0), widened + max(-pixels, 0))
    padded = np.pad(planes, widths)
    start = max(-pixels, 0)
    return padded.take(range(start, start + planes.shape[axis] + 2 * widened), axis)


def rotate(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Turns the content by `strength` degrees anticlockwise about the middle of the frame.

    Quarter turns turn the frame and are exact; else the frame stays, and what is uncovered is 0.
    """
    turns = int(strength // 90)
    if strength == 90 * turns:
        image, label = (np.ascontiguousarray(np.rot90(a, turns, (1, 2))) for a in (image, label))
        return image, label, (spacing[0], *(spacing[1:] if turns % 2 == 0 else spacing[:0:-1]))
    # From a pixel of the result to one of the image, through mm, as pixels may not be square.
    angle, (height, width) = math.radians(strength), label.shape[1:]
    ratio = spacing[1] / spacing[2]
    turn = np.array(
        [
            [math.cos(angle), -math.sin(angle) * ratio],
            [math.sin(angle) / ratio, math.cos(angle)],
        ]
    )
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([turn, middle - turn @ middle])

    def turned(planes: np.ndarray, rule: int) -> np.ndarray:
        flags = rule | cv2.WARP_INVERSE_MAP
        return np.stack([cv2.warpAffine(p, matrix, (width, height), flags=flags) for p in planes])

    return turned(image, cv2.INTER_LINEAR), turned(label, cv2.INTER_NEAREST), spacing


def widen(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Enlarges the frame by `strength` percent of its height and width: zeros all around."""
    widths = [(0, 0), *((round(n * strength / 200),) * 2 for n in label.shape[1:])]
    return np.pad(image, widths), np.pad(label, widths), spacing


def narrow(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Cuts away `strength` percent of what lies more than 10 mm outside of the heart's box."""
    cut = [slice(None)]
    for axis, (first, last) in zip((1, 2), heart_box(label), strict=True):
        margin, size = math.ceil(MARGIN_MM / spacing[axis]), label.shape[axis]
        before, after = (max(room - margin, 0) for room in (first, size - 1 - last))
        cut.append(slice(round(before * strength / 100), size - round(after * strength / 100)))
    return image[tuple(cut)], label[tuple(cut)], spacing


def resample(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Brings the pixels to `strength` mm, edges in place; the spacing is the one that comes out."""
    here = list(zip(label.shape[1:], spacing[1:], strict=True))
    size = [max(round(n * mm / strength), 1) for n, mm in here]
    true = [n * mm / new for (n, mm), new in zip(here, size, strict=True)]
    planes = np.stack([_resized(plane, size) for plane in image])
    rule = cv2.INTER_NEAREST_EXACT
    labels = [cv2.resize(plane, (size[1], size[0]), interpolation=rule) for plane in label]
    return planes, np.stack(labels), (spacing[0], true[0], true[1])


def _resized(plane: np.ndarray, size: list[int]) -> np.ndarray:
    """Area averaging along an axis that shrinks, linear along one that grows."""
    for axis, target in ((0, (plane.shape[1], size[0])), (1, (size[1], size[0]))):
        rule = cv2.INTER_AREA if size[axis] < plane.shape[axis] else cv2.INTER_LINEAR
        plane = cv2.resize(plane, target, interpolation=rule)
    return plane
