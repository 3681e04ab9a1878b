"""Masks painted on images, for case pages, thumbnails and figures: the saved masks, native grid."""

from dataclasses import dataclass

import cv2
import numpy as np

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.drawing.styles import ERRORS
from cardiac_seg.grid.resample import GridImage, from_grid

MARGIN_MM = 15.0  # around the heart, MRI
PAGE_TILE, THUMBNAIL = {"stack": 170, "plane": 330}, 96  # heights in pixels
TILE, OVERLAY_COLUMNS = 200, 6  # of the overlay of a stack: height in pixels, slices in a row
COLUMNS = ("image", "reference", "ensemble", "errors", "uncertainty")


@dataclass(frozen=True)
class View:
    """One slice of a case, cropped, with square pixels.

    Attributes:
        image: (height, width) uint8, brought back from the network grid.
        reference: (height, width) uint8 labels.
    """

    image: np.ndarray
    reference: np.ndarray
    _rows: slice
    _columns: slice

    def fit(self, plane: np.ndarray, smooth: bool = False) -> np.ndarray:
        """Crops and resizes another native plane, (native height, native width), the same way."""
        cropped = np.ascontiguousarray(plane[self._rows, self._columns])
        how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        return cv2.resize(cropped, self.image.shape[::-1], interpolation=how)


def view(
    on_grid: GridImage,
    reference: np.ndarray,
    mask: np.ndarray,
    spacing: tuple,
    index: int,
    height: int,
) -> View:
    """A slice cropped to the heart, with square pixels.

    Args:
        on_grid: The slices on the network grid, with the way back.
        reference, mask: (slices, height, width) native labels; in MRI their structures and a
            margin are shown, in echo the whole image.
        spacing: (slice, row, column) in mm.
        index: The slice.
        height: Of the picture, in pixels.
    """
    shape = reference.shape[1:]
    heart = np.asarray(((reference > 0) | (mask > 0)).any(axis=0))
    crop = _around(heart, spacing) if len(reference) > 1 else [slice(0, n) for n in shape]
    return _cut(on_grid, reference, spacing, index, crop[0], crop[1], height)


def close_view(
    on_grid: GridImage,
    reference: np.ndarray,
    held: np.ndarray,
    spacing: tuple,
    index: int,
    height: int,
) -> View:
    """A slice cropped to a square about what it holds itself, and a margin.

    Args:
        on_grid, reference, spacing, index, height: See `view`.
        held: (height, width) bool of the slice; the whole slice is shown where nothing is.
    """
    rows, columns = _around(held, spacing)
    spans = (rows.stop - rows.start, columns.stop - columns.start)
    side = max(n * mm for n, mm in zip(spans, spacing[1:], strict=True))
    square = []
    for part, count, mm in zip((rows, columns), held.shape, spacing[1:], strict=True):
        span = min(round(side / mm), count)
        start = (part.start + part.stop - span) // 2
        start = min(max(start, 0), count - span)  # pushed back into the image
        square.append(slice(start, start + span))
    return _cut(on_grid, reference, spacing, index, square[0], square[1], height)


def grey(image: np.ndarray) -> np.ndarray:
    """(height, width) uint8 to (height, width, 3)."""
    return np.repeat(image[..., None], 3, axis=-1)


def filled(image: np.ndarray, labels: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """RGB uint8 picture with the structures in their colours, half transparent."""
    picture = grey(image)
    for label, colour in enumerate(anatomy.colours.values(), start=1):
        picture = tinted(picture, labels == label, colour)
    return picture


def tinted(picture: np.ndarray, where: np.ndarray, colour: str) -> np.ndarray:
    """RGB picture with some pixels, (height, width) bool, half in a colour."""
    picture = picture.copy()
    picture[where] = (0.5 * picture[where] + 0.5 * np.array(_rgb(colour))).astype(np.uint8)
    return picture


def contoured(
    picture: np.ndarray,
    labels: np.ndarray,
    anatomy: Anatomy,
    width: int = 1,
    colour: str | None = None,
) -> np.ndarray:
    """RGB picture with the structures' outlines, in their colours or in one."""
    picture = picture.copy()
    # The muscle first: its inner outline would hide the cavity's.
    muscle = anatomy.label("myocardium")
    order = sorted(enumerate(anatomy.colours.values(), start=1), key=lambda it: it[0] != muscle)
    for label, structure_colour in order:
        inside = np.ascontiguousarray((labels == label).astype(np.uint8))
        lines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, _rgb(colour or structure_colour), width)
    return picture


def errors(image: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """RGB picture of the wrong pixels, by kind; see `ERRORS`."""
    picture = grey((image * 0.45).astype(np.uint8))
    wrong = reference != labels
    kinds = (labels == 0, reference == 0, (labels > 0) & (reference > 0))
    for kind, colour in zip(kinds, ERRORS.values(), strict=True):
        picture[wrong & kind] = _rgb(colour)
    return picture


def heat(values: np.ndarray) -> np.ndarray:
    """RGB picture of values from 0 to 1."""
    steps = np.clip(values * 255, 0, 255).astype(np.uint8)
    return cv2.applyColorMap(steps, cv2.COLORMAP_MAGMA)[..., ::-1].copy()


def worst_slice(reference: np.ndarray, mask: np.ndarray) -> int:
    """The slice with the most wrong pixels."""
    return int((reference != mask).sum(axis=(1, 2)).argmax())


def case_page(
    name: str,
    reference: np.ndarray,
    mask: np.ndarray,
    on_grid: GridImage,
    entropy: np.ndarray,
    spacing: tuple,
    anatomy: Anatomy,
    dice: dict[str, float],
) -> bytes:
    """A picture of all slices of a case that hold a structure: what was seen, said and missed.

    Args:
        name: The case.
        reference, mask: (slices, height, width) native labels; the mask is the method's in use.
        on_grid: The slices on the network grid, with the way back.
        entropy: (slices, height, width) float32 of the method in use over log C, native grid.
        spacing: (slice, row, column) in mm.
        anatomy: The label set.
        dice: Structure -> Dice, for the title.

    Returns:
        PNG.
    """
    shown = np.flatnonzero(((reference > 0) | (mask > 0)).any(axis=(1, 2)))
    height = PAGE_TILE["stack" if len(reference) > 1 else "plane"]
    rows = []
    for index in shown.tolist() if len(shown) else [len(reference) // 2]:
        part = view(on_grid, reference, mask, spacing, index, height)
        labels = part.fit(mask[index])
        tiles = [
            grey(part.image),
            filled(part.image, part.reference, anatomy),
            filled(part.image, labels, anatomy),
            errors(part.image, part.reference, labels),
            heat(part.fit(entropy[index], smooth=True)),
        ]
        if len(reference) > 1:
            _write(tiles[0], f"slice {index + 1}/{len(reference)}", (4, height - 6))
        rows.append(np.hstack([_framed(tile) for tile in tiles]))
    body = np.vstack(rows)
    scores = "  ".join(f"{s} {dice[s]:.3f}" for s in anatomy.names)
    title = np.zeros((22, body.shape[1], 3), np.uint8)
    _write(title, f"{name}   Dice {scores}", (4, 15))
    heads = np.zeros((18, body.shape[1], 3), np.uint8)
    for k, column in enumerate(COLUMNS):
        _write(heads, column, (4 + k * body.shape[1] // len(COLUMNS), 12))
    legend = _legend(body.shape[1], anatomy, ERRORS)
    return _encode(np.vstack([title, heads, body, legend]), ".png")


def thumbnail(
    reference: np.ndarray,
    mask: np.ndarray,
    on_grid: GridImage,
    spacing: tuple,
    anatomy: Anatomy,
) -> bytes:
    """A small JPEG of the slice with the most errors: the mask filled, the reference outlined."""
    index = worst_slice(reference, mask)
    part = view(on_grid, reference, mask, spacing, index, THUMBNAIL)
    picture = filled(part.image, part.fit(mask[index]), anatomy)
    return _encode(contoured(picture, part.reference, anatomy, colour="#FFFFFF"), ".jpg")


def overlay(
    phases: list[tuple[str, np.ndarray, np.ndarray]],
    spacing: tuple[float, float, float],
    anatomy: Anatomy,
) -> bytes:
    """A picture of all slices with the structures outlined, without a name or number.

    Args:
        phases: For each, its title (may be empty), (slices, height, width) float32 pixels and
            uint8 labels. Stacks are cropped to the structures and a margin.
        spacing: (slice, row, column) in mm.
        anatomy: The label set.

    Returns:
        PNG.
    """
    slices = len(phases[0][1])
    height = TILE if slices > 1 else 2 * TILE
    held = np.any([mask > 0 for _, _, mask in phases], axis=(0, 1))
    rows, columns = _around(held, spacing) if slices > 1 else (slice(None), slice(None))
    aspect = spacing[2] * held[rows, columns].shape[1] / (spacing[1] * held[rows, columns].shape[0])
    size = (max(1, round(height * aspect)), height)
    across = min(slices, OVERLAY_COLUMNS)
    tiles = []
    for title, planes, mask in phases:
        low, high = np.percentile(planes[:, rows, columns], (1, 99))
        for k, (plane, labels) in enumerate(zip(planes, mask, strict=True)):
            shown = np.clip((plane[rows, columns] - low) / max(high - low, 1e-12), 0, 1)
            image = cv2.resize(shown, size, interpolation=cv2.INTER_LINEAR)
            part = np.ascontiguousarray(labels[rows, columns])
            part = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            tile = contoured(grey((255 * image).astype(np.uint8)), part, anatomy)
            words = [title] if slices == 1 else [title, f"slice {k + 1}/{slices}"]
            _write(tile, "  ".join(filter(None, words)), (4, height - 6))
            tiles.append(_framed(tile))
        tiles += [np.zeros_like(tiles[0])] * (-slices % across)
    if slices == 1:
        across = len(phases)
    lines = [np.hstack(tiles[i : i + across]) for i in range(0, len(tiles), across)]
    body = np.vstack(lines)
    return _encode(np.vstack([body, _legend(body.shape[1], anatomy, {})]), ".png")


def _cut(
    on_grid: GridImage,
    reference: np.ndarray,
    spacing: tuple,
    index: int,
    rows: slice,
    columns: slice,
    height: int,
) -> View:
    """Rows and columns of a slice, see `view`."""
    plane = from_grid(on_grid.pixels[index][None, ..., None], on_grid.grid)
    image = plane.reshape(on_grid.grid.native)  # cv2 drops a single channel
    cropped = image[rows, columns]
    aspect = cropped.shape[1] * spacing[2] / (cropped.shape[0] * spacing[1])
    size = (max(1, round(height * aspect)), height)
    image = cv2.resize(np.ascontiguousarray(cropped), size, interpolation=cv2.INTER_LINEAR)
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    part = np.ascontiguousarray(reference[index][rows, columns])
    labels = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
    return View(image, labels, rows, columns)


def _around(held: np.ndarray, spacing: tuple) -> tuple[slice, slice]:
    """Rows and columns of (height, width) bool, and a margin; all where there are none."""
    crop = []
    for axis in (0, 1):
        lines = np.flatnonzero(held.any(axis=1 - axis))
        margin = round(MARGIN_MM / spacing[1 + axis])
        whole = slice(0, held.shape[axis])
        crop.append(
            slice(max(lines[0] - margin, 0), lines[-1] + margin + 1) if len(lines) else whole
        )
    return crop[0], crop[1]


def _legend(width: int, anatomy: Anatomy, more: dict[str, str]) -> np.ndarray:
    """A strip that says which colour is what."""
    legend = np.zeros((20, width, 3), np.uint8)
    at = 4
    for word, colour in (anatomy.colours | more).items():
        cv2.rectangle(legend, (at, 5), (at + 10, 15), _rgb(colour), -1)
        _write(legend, word, (at + 15, 14))
        at += 28 + 7 * len(word)
    return legend


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def _framed(tile: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(tile, 0, 2, 0, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def _write(picture: np.ndarray, text: str, at: tuple[int, int]) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, at, font, 0.38, (255, 255, 255), 1, cv2.LINE_AA)


def _encode(picture: np.ndarray, suffix: str) -> bytes:
    options = (
        [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 6]
    )
    return cv2.imencode(suffix, np.ascontiguousarray(picture[..., ::-1]), options)[1].tobytes()
