"""From the native grid to the network grid and exactly back.

Both ways use one geometry: a window is cut out in whole native pixels where the network grid has a
place of its own in the plane (`grid.field`), each axis is resampled so that first and last pixel
edges coincide (pixel centres at (i + 0.5) * step), then cropped or padded about the centre by whole
pixels. The inverse therefore has no rounding of its own: it pads or crops by the same numbers,
resamples between the same edges and puts the window back.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.nifti import Layout
from cardiac_seg.grid.field import Field, content_box


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
        window: (top, left, height, width) in native pixels of what is resampled, see `Field`; None
            for the whole plane.
    """

    native: tuple[int, int]
    resampled: tuple[int, int]
    size: tuple[int, int]
    spacing: tuple[float, float]
    window: tuple[int, int, int, int] | None = None


def read_grid(values: dict[str, Any]) -> Grid:
    """A grid from JSON, where tuples are lists; one from before format 3 has no window."""
    stored: dict[str, Any] = {k: v if v is None else tuple(v) for k, v in values.items()}
    return Grid(**stored)


@dataclass(frozen=True)
class GridImage:
    """A case's slices on the network grid, in the 8 bits they are cached with.

    Attributes:
        pixels: (slices, height, width) uint8; clipped intensities from 0 to 255.
        mean, std: Of `pixels` inside the image (padding left out), for the z-score.
        grid: The geometry, for the way back.
        slice_spacing: Distance of the slices in mm, where a member is to see it.
        name: Of the case or scan, for members that bring its maps; empty where none are wanted.
        layout: How it lies in its NIfTI file; None where it comes from none.
    """

    pixels: np.ndarray
    mean: float
    std: float
    grid: Grid
    slice_spacing: float = float("nan")
    name: str = ""
    layout: Layout | None = None


def make_grid(
    native: tuple[int, int],
    spacing: tuple[float, float],
    settings: Preprocess,
    field: Field | None = None,
) -> Grid:
    """The geometry for planes of a size and spacing.

    Args:
        native: (height, width) in pixels.
        spacing: (row, column) distance in mm.
        settings: The `preprocess` section; with `spacing: null` the plane is resized to `size`.
        field: Where the network grid lies; by default about the middle of the plane.
    """
    if field is not None:
        sides = zip(field.window[2:], spacing, field.size, strict=True)
        rows, columns = (side * mm / pixels for side, mm, pixels in sides)
        return Grid(native, field.size, field.size, (rows, columns), field.window)
    height, width = native
    rows, columns = settings.size
    if settings.spacing is not None:
        rows = max(1, round(height * spacing[0] / settings.spacing))
        columns = max(1, round(width * spacing[1] / settings.spacing))
    # The edges coincide, so the true step differs from the wanted one by the rounding of a pixel.
    true = height * spacing[0] / rows, width * spacing[1] / columns
    return Grid((height, width), (rows, columns), settings.size, true)


def native_grid(grid: Grid) -> Grid:
    """The native planes of a grid as a grid of their own, which nothing is resampled to."""
    height, width = grid.resampled if grid.window is None else grid.size
    rows, columns = grid.native if grid.window is None else grid.window[2:]
    spacing = grid.spacing[0] * height / rows, grid.spacing[1] * width / columns
    return Grid(grid.native, grid.native, grid.native, spacing)


def shown_window(grid: Grid) -> tuple[int, int, int, int]:
    """(top, left, height, width) in native pixels of what a network grid shows."""
    if grid.window is not None:
        return grid.window
    starts, sides = [], []
    for native, resampled, size in zip(grid.native, grid.resampled, grid.size, strict=True):
        step = native / resampled
        starts.append(round(int((resampled - size) / 2) * step))  # towards 0, as `_fit` does
        sides.append(round(size * step))
    return starts[0], starts[1], sides[0], sides[1]


def to_grid(
    image: np.ndarray,
    spacing: tuple[float, float],
    settings: Preprocess,
    field: Field | None = None,
    contrast_of: Field | None = None,
) -> GridImage:
    """Brings a case's slices to the network grid.

    Args:
        image: (slices, height, width) float32 in any intensity unit.
        spacing: (row, column) distance in mm.
        settings: The `preprocess` section.
        field: Where the network grid lies; by default about the middle of the plane.
        contrast_of: The field whose contrast the slices get, where that is another: training sees
            more than the field, in the contrast of the field.

    Returns:
        The slices, clipped at the percentiles over the field of all slices (over the whole case
        without a field) and scaled to 0..255. What surrounds the image, be it beyond its edge or a
        border of one value, counts neither for the percentiles nor for mean and std.
    """
    if contrast_of is not None:
        like = to_grid(image, spacing, settings, contrast_of)
    grid = make_grid(image.shape[1:], spacing, settings, field)
    shown = image if field is None else _in_image(image, contrast_of or field)
    low, high = np.percentile(shown, settings.clip)
    if high <= low:  # nearly constant: the percentiles meet, the extremes do not
        low, high = shown.min(), shown.max()
    part = image if field is None else _cut_content(image, field, fill=low)
    scaled = np.clip((part - low) * (255.0 / max(high - low, 1e-12)), 0, 255)
    resampled = np.stack([resize_plane(plane, grid.resampled) for plane in scaled])
    pixels = np.clip(np.rint(resampled), 0, 255).astype(np.uint8)
    pixels = _fit(pixels, grid.size, fill=0)
    if contrast_of is not None:
        return GridImage(pixels, like.mean, like.std, grid)
    values = pixels[:, _inside(image, grid)].astype(np.float64)
    return GridImage(pixels, float(values.mean()), max(float(values.std()), 1.0), grid)


def _in_image(image: np.ndarray, field: Field) -> np.ndarray:
    """What a field shows of the image itself; all of the image where it shows none of it."""
    content = content_box(image)
    boxes = zip(content, field.window[:2], field.window[2:], strict=True)
    rows, columns = (
        slice(max(box.start, start), max(box.start, min(box.stop, start + side)))
        for box, start, side in boxes
    )
    part = image[:, rows, columns]
    return part if part.size else image[:, *content]


def _cut_content(image: np.ndarray, field: Field, fill: float) -> np.ndarray:
    """What a field shows; a border of one value gets the value that lies beyond the image."""
    rows, columns = content_box(image)
    top, left, height, width = field.window
    inner = (top - rows.start, left - columns.start, height, width)
    return cut_window(image[:, rows, columns], inner, fill)


def _inside(image: np.ndarray, grid: Grid) -> np.ndarray:
    """(*grid.size) bool: where a network grid shows the image itself."""
    if grid.window is None:
        return _fit(np.ones((1, *grid.resampled), bool), grid.size, fill=False)[0]
    native = np.zeros((1, *grid.native), np.float32)
    native[0][content_box(image)] = 1
    inside = resize_plane(cut_window(native, grid.window, fill=0)[0], grid.size) > 0.5
    return inside if inside.any() else np.ones_like(inside)


def cut_window(
    planes: np.ndarray, window: tuple[int, int, int, int], fill: float | np.ndarray
) -> np.ndarray:
    """A part of some planes, which may reach beyond them.

    Args:
        planes: (slices, height, width[, channels]).
        window: (top, left, height, width) in pixels.
        fill: The value beyond the planes, or one for each channel.

    Returns:
        (slices, *window[2:][, channels]) of the same dtype.
    """
    part = np.full((len(planes), *window[2:], *planes.shape[3:]), fill, planes.dtype)
    here, there = _overlap(planes.shape[1:3], window)
    part[:, *there] = planes[:, *here]
    return part


def _overlap(
    shape: tuple[int, ...], window: tuple[int, int, int, int]
) -> tuple[list[slice], list[slice]]:
    """What planes and a window share: where it lies in the planes, and where in the window."""
    here, there = [], []
    for length, start, side in zip(shape, window[:2], window[2:], strict=True):
        first = min(max(0, start), length)
        last = max(first, min(length, start + side))
        here.append(slice(first, last))
        there.append(slice(first - start, last - start) if last > first else slice(0, 0))
    return here, there


def label_to_grid(label: np.ndarray, grid: Grid) -> np.ndarray:
    """Brings a label to the network grid with the nearest neighbour.

    Args:
        label: (slices, height, width) uint8 on the native grid.
        grid: The geometry.

    Returns:
        (slices, *grid.size) uint8; 0 outside the image.
    """
    height, width = grid.resampled
    part = label if grid.window is None else cut_window(label, grid.window, fill=0)
    planes = [
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for plane in part
    ]
    return _fit(np.stack(planes), grid.size, fill=0)


def label_beyond(label: np.ndarray, grid: Grid) -> int:
    """The number of native label pixels that lie outside a network grid.

    Args:
        label: (slices, height, width) uint8 on the native grid.
        grid: The geometry.
    """
    covered = from_grid(np.ones((1, *grid.size, 1), np.float32), grid, beyond=(0.0,))[0, ..., 0]
    return int(np.count_nonzero(label[:, covered < 0.5]))


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


def from_grid(
    probabilities: np.ndarray, grid: Grid, beyond: tuple[float, ...] | None = None
) -> np.ndarray:
    """Brings softmax maps back to the native grid; the argmax is taken there.

    Args:
        probabilities: (slices, *grid.size, classes) floats on the network grid.
        grid: The geometry of the way there.
        beyond: The value of each class where the native plane reaches beyond the network grid;
            background by default.

    Returns:
        (slices, *grid.native, classes) float32.
    """
    planes = np.asarray(probabilities, np.float32)
    background = np.eye(planes.shape[-1], dtype=np.float32)[0] if beyond is None else beyond
    planes = _fit(planes, grid.resampled, fill=np.nan)
    outside = np.isnan(planes[..., 0])
    planes[outside] = background
    if grid.window is None:
        maps = np.stack([resize_plane(plane, grid.native) for plane in planes])
        return maps.reshape(len(planes), *grid.native, -1)  # cv2 drops a single channel
    native = np.empty((len(planes), *grid.native, planes.shape[-1]), np.float32)
    native[:] = background
    here, there = _overlap(grid.native, grid.window)
    for plane, to in zip(planes, native, strict=True):
        resized = resize_plane(plane, grid.window[2:]).reshape(*grid.window[2:], -1)
        to[*here] = resized[*there]
    return native


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
        native = from_grid(plane[None], here)
        if there.window is not None:
            native = cut_window(native, there.window, np.eye(native.shape[-1])[0])
        resampled = resize_plane(native[0], there.resampled)
        fitted = _fit(resampled[None], there.size, fill=np.nan)[0]
        fitted[np.isnan(fitted[..., 0])] = np.eye(plane.shape[-1], dtype=np.float32)[0]
        planes.append(fitted.astype(probabilities.dtype))
    return np.stack(planes)


def resize_plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
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
