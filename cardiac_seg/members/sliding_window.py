"""Softmax maps of stacks from a three-dimensional network, patch by patch, in bounded memory."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import keras
import numpy as np

from cardiac_seg.config.sections import Unet3D
from cardiac_seg.grid.slices import maps_of_slices, nearest_slices, slice_count
from cardiac_seg.members.inference import MIRRORED

Key = TypeVar("Key")
SIGMA = 1 / 8  # of the Gaussian weights, as a share of the patch's side (Isensee et al. 2021)
LEAST_WEIGHT = 1e-3  # of the largest: at a patch's corner the Gaussian's own loses all digits


def predict_stacks(
    model: keras.Model,
    cases: Iterable[tuple[Key, np.ndarray, float]],
    settings: Unet3D,
    mirror: str = "none",
) -> Iterator[tuple[Key, np.ndarray]]:
    """Runs a network over stacks, one patch at a time: memory is that of a patch and of the maps.

    Args:
        model: From (1, *patch, 1) to (1, *patch, classes) probabilities, or to a list of which the
            first is.
        cases: Keys, normalised slices, (slices, height, width) float32, and their distance in mm.
        settings: The network's section: `patch`, `overlap`, `slice_spacing`.
        mirror: See `members.inference.predict_cases`.

    Yields:
        Each key with its (slices, height, width, classes) float16 map, see there.
    """
    for key, image, spacing in cases:
        count = slice_count(len(image), spacing, settings.slice_spacing)
        seen = image[nearest_slices(len(image), count)]
        maps = predict_stack(model, seen, settings.patch, settings.overlap, mirror)
        yield key, maps_of_slices(maps, len(image)).astype(np.float16)


def predict_stack(
    model: keras.Model,
    image: np.ndarray,
    patch: tuple[int, int, int],
    overlap: float,
    mirror: str = "none",
) -> np.ndarray:
    """The map of one stack: the mean over the patches, weighted by a Gaussian about their middles.

    Args:
        model: See `predict_stacks`.
        image: (slices, height, width) float32. Where a patch is larger, zeros surround the image,
            as in training.
        patch: (slices, height, width).
        overlap: Of neighbouring patches, at least this share.
        mirror: See `members.inference.predict_cases`.

    Returns:
        (slices, height, width, classes) float32. Where one patch covers the image, exactly what the
        network says of it.
    """
    margins = [max(0, side - length) for side, length in zip(patch, image.shape, strict=True)]
    padded = np.pad(image, [(margin // 2, margin - margin // 2) for margin in margins])
    starts = [
        patch_starts(length, side, overlap)
        for length, side in zip(padded.shape, patch, strict=True)
    ]
    inner = tuple(
        slice(margin // 2, margin // 2 + length)
        for margin, length in zip(margins, image.shape, strict=True)
    )
    if all(len(of_axis) == 1 for of_axis in starts):
        return _map_of_patch(model, padded, mirror)[inner]
    weight = gaussian_weight(patch)[..., None]
    total = np.zeros((*padded.shape, model.outputs[0].shape[-1]), np.float32)
    weights = np.zeros((*padded.shape, 1), np.float32)
    for corner in itertools.product(*starts):
        part = tuple(slice(start, start + side) for start, side in zip(corner, patch, strict=True))
        total[part] += weight * _map_of_patch(model, padded[part], mirror)
        weights[part] += weight
    return (total / weights)[inner]


def patch_starts(length: int, side: int, overlap: float) -> list[int]:
    """Where patches begin along an axis, at even distances and from one end to the other.

    Args:
        length: Of the axis, at least `side`.
        side: Of the patches.
        overlap: Of neighbouring ones, at least this share of `side`.
    """
    step = max(1, int(side * (1 - overlap)))
    count = -(-(length - side) // step) + 1
    return [round(k * (length - side) / max(1, count - 1)) for k in range(count)]


def gaussian_weight(patch: tuple[int, int, int]) -> np.ndarray:
    """(*patch) float32, 1 at most: how much a patch's map counts at each of its voxels."""
    weight = np.ones((), np.float32)
    for side in patch:
        apart = (np.arange(side) - (side - 1) / 2) / (SIGMA * side)
        weight = weight[..., None] * np.exp(-(apart**2) / 2).astype(np.float32)
    return np.maximum(weight / weight.max(), np.float32(LEAST_WEIGHT))


def _map_of_patch(model: keras.Model, image: np.ndarray, mirror: str) -> np.ndarray:
    maps = []
    for axes in MIRRORED[mirror]:  # of (slices, height, width)
        batch = np.ascontiguousarray(np.flip(image, axes)[None, ..., None])
        outputs: Any = model.predict_on_batch(batch)
        made = np.asarray(outputs[0] if isinstance(outputs, list) else outputs)
        maps.append(np.flip(made[0], axes))
    return maps[0] if len(maps) == 1 else np.mean(maps, axis=0)
