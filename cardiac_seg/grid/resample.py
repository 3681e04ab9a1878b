"""From the native grid to the network grid and exactly back.

Both ways use one geometry: each axis is resampled so that first and last pixel edges coincide
(pixel centres at (i + 0.5) * step), then cropped or padded about the centre by whole pixels. The
inverse therefore has no rounding of its own: it pads or crops by the same numbers and resamples
between the same edges.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from cardiac_seg.config.sections import Preprocess


@dataclass(frozen=True)
class Grid:
    """How a native (height, width) plane lies on a network grid; slices stay as they are.

    A member that sees another crop or another resolution than the ensemble has a `Grid` of its own,
    and `regrid` brings its maps to the ensemble's.

    Attributes:
        native: (height, width) of the file's planes.
        resampled: (height, width) after resampling, before crop or pad.
        size: (height, width) of the network grid.
        spacing: (row, column) distance on the network grid in mm.
    """

    native: tuple[int, int]
    resampled: tuple[int, int]
    size: tuple[int, int]
    spacing: tuple[float, float]


@dataclass(frozen=True)
class GridImage:
    """A case's slices on the network grid, in the 8 bits they are cached with.

    Attributes:
        pixels: (slices, height, width) uint8; clipped intensities from 0 to 255.
        mean, std: Of `pixels` inside the image (padding left out), for the z-score.
        grid: The geometry, for the way back.
    """

    pixels: np.ndarray
    mean: float
    std: float
    grid: Grid


def make_grid(native: tuple[int, int], spacing: tuple[float, float], settings: Preprocess) -> Grid:
    """The geometry for planes of a size and spacing.

    Args:
        native: (height, width) in pixels.
        spacing: (row, column) distance in mm.
        settings: The `preprocess` section; with `spacing: null` the plane is resized to `size`.
    """
    height, width = native
    rows, columns = settings.size
    if settings.spacing is not None:
        rows = max(1, round(height * spacing[0] / settings.spacing))
        columns = max(1, round(width * spacing[1] / settings.spacing))
    # The edges coincide, so the true step differs from the wanted one by the rounding of a pixel.
    true = height * spacing[0] / rows, width * spacing[1] / columns
    return Grid((height, width), (rows, columns), settings.size, true)


def to_grid(image: np.ndarray, spacing: tuple[float, float], settings: Preprocess) -> GridImage:
    """Brings a case's slices to the network grid.

    Args:
        image: (slices, height, width) float32 in any intensity unit.
        spacing: (row, column) distance in mm.
        settings: The `preprocess` section.

    Returns:
        The slices, clipped at the percentiles over the whole case and scaled to 0..255.
    """
    grid = make_grid(image.shape[1:], spacing, settings)
    low, high = np.percentile(image, settings.clip)
    if high <= low:  # nearly constant: the percentiles meet, the extremes do not
        low, high = image.min(), image.max()
    scaled = np.clip((image - low) * (255.0 / max(high - low, 1e-12)), 0, 255)
    resampled = np.stack([_resize(plane, grid.resampled) for plane in scaled])
    pixels = np.clip(np.rint(resampled), 0, 255).astype(np.uint8)
    pixels = _fit(pixels, grid.size, fill=0)
    inside = _fit(np.ones((1, *grid.resampled), bool), grid.size, fill=False)[0]
    values = pixels[:, inside].astype(np.float64)
    return GridImage(pixels, float(values.mean()), max(float(values.std()), 1.0), grid)


def label_to_grid(label: np.ndarray, grid: Grid) -> np.ndarray:
    """Brings a label to the network grid with the nearest neighbour.

    Args:
        label: (slices, height, width) uint8 on the native grid.
        grid: The geometry.

    Returns:
        (slices, *grid.size) uint8; 0 outside the image.
    """
    height, width = grid.resampled
    planes = [
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for plane in label
    ]
    return _fit(np.stack(planes), grid.size, fill=0)


def normalize(
    pixels: np.ndarray, mean: float, std: float, method: Literal["zscore", "minmax"]
) -> np.ndarray:
    """uint8 slices to the float32 values that the networks see.

    Args:
        pixels: uint8 array of any shape.
        mean: Of the case, from `GridImage`; used by the z-score.
        std: The same.
        method: `zscore` or `minmax` (0..1).
    """
    if method == "minmax":
        return pixels.astype(np.float32) / np.float32(255)
    return (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)


def from_grid(probabilities: np.ndarray, grid: Grid) -> np.ndarray:
    """Brings softmax maps back to the native grid; the argmax is taken there.

    Args:
        probabilities: (slices, *grid.size, classes) floats on the network grid.
        grid: The geometry of the way there.

    Returns:
        (slices, *grid.native, classes) float32; background has probability 1 where the native
        plane reaches beyond the network grid.
    """
    planes = np.asarray(probabilities, np.float32)
    planes = _fit(planes, grid.resampled, fill=np.nan)
    outside = np.isnan(planes[..., 0])
    planes[outside] = np.eye(planes.shape[-1], dtype=np.float32)[0]
    return np.stack([_resize(plane, grid.native) for plane in planes])


def regrid(probabilities: np.ndarray, here: Grid, there: Grid) -> np.ndarray:
    """Brings softmax maps from one network grid to another over the same native planes.

    Args:
        probabilities: (slices, *here.size, classes) floats.
        here: The geometry they are on.
        there: The geometry they are brought to.

    Returns:
        (slices, *there.size, classes) of the same dtype, the same array where the grids are one;
        background has probability 1 where `there` reaches beyond the image.
    """
    if here == there:
        return probabilities
    planes = []
    for plane in probabilities:
        resampled = _resize(from_grid(plane[None], here)[0], there.resampled)
        fitted = _fit(resampled[None], there.size, fill=np.nan)[0]
        fitted[np.isnan(fitted[..., 0])] = np.eye(plane.shape[-1], dtype=np.float32)[0]
        planes.append(fitted.astype(probabilities.dtype))
    return np.stack(planes)


def _resize(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resamples (height, width[, channels]) edge to edge, each axis by its own rule.

    Area averaging where an axis shrinks (no aliasing), linear where it grows.
    """
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    for axis in (0, 1):
        old, new = plane.shape[axis], size[axis]
        if new == old:
            continue
        target = (plane.shape[1], new) if axis == 0 else (new, plane.shape[0])
        rule = cv2.INTER_AREA if new < old else cv2.INTER_LINEAR
        plane = cv2.resize(plane, target, interpolation=rule)
    return plane


def _fit(planes: np.ndarray, size: tuple[int, int], fill: float) -> np.ndarray:
    """Crops or pads axes 1 and 2 about the centre; its own inverse where nothing was cropped."""
    fitted = np.full((planes.shape[0], *size, *planes.shape[3:]), fill, planes.dtype)
    here, there = [], []
    for old, new in zip(planes.shape[1:3], size, strict=True):
        # floor towards the same side both ways, so that pad(crop(x)) puts pixels back in place
        offset = (max(old, new) - min(old, new)) // 2
        span = min(old, new)
        here.append(slice(offset, offset + span) if old > new else slice(0, span))
        there.append(slice(offset, offset + span) if new > old else slice(0, span))
    fitted[:, there[0], there[1]] = planes[:, here[0], here[1]]
    return fitted
