"""What changes between machines, operators and exports of apical echocardiography."""

from dataclasses import dataclass

import cv2
import numpy as np

from cardiac_seg.data.perturbations.geometry import widen
from cardiac_seg.data.perturbations.perturbation import (
    NOT_COUNTED,
    Perturbation,
    Perturbed,
    Spacing,
)

SHADOWED = np.float32(0.1)  # of the brightness is left in an acoustic shadow
NEAR = 0.2  # of the height below the probe, where few pixels tell the sector's angle
TEXT = "FR 52Hz 16cm"


@dataclass(frozen=True)
class Sector:
    """The fan of beams in an image.

    Attributes:
        angle: (height, width) degrees between a pixel's beam and straight down; positive to the
            right.
        half: Of the sector's opening, in degrees.
    """

    angle: np.ndarray
    half: float


def find_sector(image: np.ndarray, spacing: Spacing) -> Sector:
    """The sector of an image whose surroundings have its least value.

    The probe is in the middle of the first row that holds anything brighter.
    """
    content = (image > image.min()).any(axis=0)
    top = int(np.argmax(content.any(axis=1)))
    across = np.flatnonzero(content[top]).mean()
    rows, columns = np.mgrid[: content.shape[0], : content.shape[1]]
    below, aside = (rows - top) * spacing[1], (columns - across) * spacing[2]
    angle = np.degrees(np.arctan2(aside, below))
    deep = content & (rows > top + NEAR * content.shape[0])
    return Sector(angle, float(np.percentile(np.abs(angle[deep if deep.any() else content]), 99.5)))


def gain(image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng) -> Perturbed:
    """Raises what is not black by `strength` percent of the grey scale, and clips it there."""
    low, high = image.min(), image.max()
    raised = np.clip(image + np.float32(strength / 100) * (high - low), low, high)
    return np.where(image > low, raised, low), label, spacing


def shadow(
    image: np.ndarray,
    label: np.ndarray,
    spacing: Spacing,
    strength: float,
    rng: np.random.Generator,
) -> Perturbed:
    """A dark beam `strength` degrees wide, somewhere in the middle half of the sector."""
    sector, low = find_sector(image, spacing), image.min()
    beam = rng.uniform(-0.5, 0.5) * sector.half
    dark = np.abs(sector.angle - beam) <= strength / 2
    return np.where(dark, low + SHADOWED * (image - low), image), label, spacing


def narrow_sector(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Blackens the outermost `strength` degrees on either side; they are not counted."""
    sector = find_sector(image, spacing)
    outside = np.abs(sector.angle) > sector.half - strength
    return (
        np.where(outside, image.min(), image),
        np.where(outside, np.uint8(NOT_COUNTED), label),
        spacing,
    )


def less_depth(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Cuts off the lowest `strength` percent of the rows."""
    kept = slice(label.shape[1] - round(label.shape[1] * strength / 100))
    return image[:, kept], label[:, kept], spacing


def more_depth(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Adds `strength` percent of black rows below, and of columns, half on either side."""
    rows, columns = (round(n * strength / 100) for n in label.shape[1:])
    widths = ((0, 0), (0, rows), (columns // 2, columns - columns // 2))
    return np.pad(image, widths, constant_values=image.min()), np.pad(label, widths), spacing


def write_beside(
    image: np.ndarray, label: np.ndarray, spacing: Spacing, strength: float, rng
) -> Perturbed:
    """Writes `strength` bright lines of text in the upper corners, beside the sector."""
    sector, (height, width) = find_sector(image, spacing), label.shape[1:]
    drawn, step = np.zeros((height, width), np.uint8), max(height // 20, 8)
    for line in range(int(strength)):
        left = 1 if line % 2 == 0 else width - 1 - round(0.3 * width)
        place = (left, (line // 2 + 1) * step)
        cv2.putText(drawn, TEXT, place, cv2.FONT_HERSHEY_PLAIN, step / 16, 1)
    beside = (drawn > 0) & (np.abs(sector.angle) > sector.half)
    return np.where(beside, image.max(), image), label, spacing


ECHO_PERTURBATIONS = (
    Perturbation("gain", "% of the grey scale", (-40, -20, 20, 40), gain),
    Perturbation("shadow", "degrees", (5, 10, 20, 30), shadow),
    Perturbation("narrower_sector", "degrees on either side", (5, 10, 15, 20), narrow_sector),
    Perturbation("less_depth", "% of the rows", (10, 20, 30, 40), less_depth),
    Perturbation("more_depth", "% of the rows", (10, 25, 50, 100), more_depth),
    Perturbation("black_borders", "% of the frame", (10, 25, 50, 100), widen),
    Perturbation("text", "lines", (2, 4, 8, 16), write_beside),
)
