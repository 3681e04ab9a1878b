"""Softmax maps from a network, slice by slice, in bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras
import numpy as np

Key = TypeVar("Key")
# The array axes that each mirror image reverses.
MIRRORED: dict[str, list[tuple[int, ...]]] = {
    "none": [()],
    "horizontal": [(), (2,)],
    "both": [(), (1,), (2,), (1, 2)],
}


def predict_cases(
    model: keras.Model,
    cases: Iterable[tuple[Key, np.ndarray]],
    batch_size: int,
    mirror: str = "none",
) -> Iterator[tuple[Key, np.ndarray]]:
    """Runs a network over cases; batches reach across cases, so single images are batched too.

    Args:
        model: From (batch, height, width, 1) to (batch, height, width, classes) probabilities,
            or to a list of which the first is.
        cases: Keys and normalised slices, (slices, height, width) float32.
        batch_size: Slices a step. The last batch is filled up with zeros, so that a compiled
            network sees one shape only.
        mirror: `none`, `horizontal` (columns reversed) or `both` (rows too): the maps are the
            mean over the image and its mirror images.

    Yields:
        Each key with its (slices, height, width, classes) float16 map: the rounding that maps
        are stored with is applied here, so that all that follows sees the same numbers.
    """
    waiting: list[tuple[Key, int]] = []  # cases begun, with their number of slices
    slices: list[np.ndarray] = []  # not yet predicted
    maps: list[np.ndarray] = []  # predicted, not yet handed out

    def flush() -> Iterator[tuple[Key, np.ndarray]]:
        while waiting and waiting[0][1] <= len(maps):
            key, count = waiting.pop(0)
            yield key, np.stack(maps[:count])
            del maps[:count]

    for key, image in cases:
        if slices and slices[0].shape != image.shape[1:]:  # a field that was grown
            maps.extend(_predict_batch(model, slices, batch_size, mirror))
            slices.clear()
            yield from flush()
        waiting.append((key, len(image)))
        slices.extend(image)
        while len(slices) >= batch_size:
            maps.extend(_predict_batch(model, slices[:batch_size], batch_size, mirror))
            del slices[:batch_size]
        yield from flush()
    if slices:
        maps.extend(_predict_batch(model, slices, batch_size, mirror))
    yield from flush()


def mean_map(maps: list[np.ndarray]) -> np.ndarray:
    """The mean of float16 maps of one case by several networks, rounded as maps are stored."""
    return maps[0] if len(maps) == 1 else np.asarray(np.mean(maps, 0, np.float32), np.float16)


def _predict_batch(
    model: keras.Model, slices: list[np.ndarray], batch_size: int, mirror: str
) -> np.ndarray:
    batch = np.zeros((batch_size, *slices[0].shape, 1), np.float32)
    batch[: len(slices), ..., 0] = slices
    maps = [np.flip(_maps(model, np.flip(batch, axes)), axes) for axes in MIRRORED[mirror]]
    mean = maps[0] if len(maps) == 1 else np.mean(maps, axis=0)
    return mean[: len(slices)].astype(np.float16)


def _maps(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    outputs: Any = _of_shape(model, batch.shape[1:]).predict_on_batch(np.ascontiguousarray(batch))
    return np.asarray(outputs[0] if isinstance(outputs, list) else outputs)


def _of_shape(model: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """The network for planes of one shape, with the same weights.

    TensorFlow compiles a network for any plane when it has seen two shapes, and cannot enlarge
    planes of a size that it does not know.
    """
    # Kept by the network itself, past Keras's own tracking: gone when the network is.
    shapes = model.__dict__.setdefault("planes_of_prediction", _Shapes(shape))
    if shape == shapes.first:
        return model
    if shape not in shapes.others:
        inputs = keras.Input(shape)
        shapes.others[shape] = keras.Model(inputs, model(inputs), name=model.name)
    return shapes.others[shape]


@dataclass
class _Shapes:
    """The shapes of planes that a network has seen: the first, and networks for the others."""

    first: tuple[int, ...]
    others: dict[tuple[int, ...], keras.Model] = field(default_factory=dict)
