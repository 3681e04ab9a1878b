"""The published networks, written again from their description, with Keras's defaults.

Described are: an "advanced" U-Net of residual blocks with batch normalisation and dropout, 64 to
1024 filters; a "deep improved" one, deeper, of dense blocks with he_normal weights and features of
several scales; images of 192 x 192, min-max; the plain average of both softmax maps. Where that
leaves a choice, the cheaper one is taken: two convolutions a block, dense blocks no wider than
residual ones, the deepest level no wider than 1024.
"""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers

from benchmarks.flops import network_flops
from cardiac_seg.data.modality import MRI
from cardiac_seg.predict.scans import find_scans, open_scan

SIDE = 192  # pixels
CLASSES = 4
FILTERS = (64, 128, 256, 512, 1024)
DEEP_FILTERS = (*FILTERS, 1024)
PARTS = ("unet_advanced", "deep_unet_improved", "rest")


def convolution(x, filters: int, size: int = 3):
    """Convolution, batch normalisation, ReLU."""
    x = layers.Conv2D(filters, size, padding="same", kernel_initializer="he_normal")(x)
    return layers.Activation("relu")(layers.BatchNormalization()(x))


def residual_block(x, filters: int):
    """Two 3x3 convolutions added to a 1x1 projection of the input."""
    shortcut = layers.Conv2D(filters, 1, padding="same")(x)
    x = convolution(x, filters)
    x = layers.Conv2D(filters, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation("relu")(layers.Add()([x, shortcut]))


def dense_block(x, filters: int):
    """Two 3x3 convolutions that see all that came before, joined to `filters` channels."""
    entry = convolution(x, filters, size=1)
    first = convolution(entry, filters // 2)
    second = convolution(layers.Concatenate()([entry, first]), filters // 2)
    return convolution(layers.Concatenate()([entry, first, second]), filters, size=1)


def scales_block(x, filters: int):
    """Convolutions of three sizes side by side, joined to `filters` channels."""
    scales = [convolution(x, filters // 4, size) for size in (1, 3, 5)]
    return convolution(layers.Concatenate()(scales), filters, size=1)


def u_net(block: Callable, bottom: Callable, filters: tuple[int, ...], side: int) -> keras.Model:
    """A U-Net of blocks.

    Args:
        block: From a tensor and filters to the block's output.
        bottom: The same, at the deepest level.
        filters: Of each level.
        side: Of the square images, in pixels.

    Returns:
        A model from (batch, side, side, 1) to (batch, side, side, classes) probabilities.
    """
    inputs = x = keras.Input((side, side, 1))
    skips = []
    for width in filters[:-1]:
        x = block(x, width)
        skips.append(x)
        x = layers.Dropout(0.3)(layers.MaxPooling2D()(x))
    x = bottom(x, filters[-1])
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2, padding="same")(x)
        x = block(layers.Concatenate()([x, skip]), width)
    return keras.Model(inputs, layers.Conv2D(CLASSES, 1, activation="softmax")(x))


def build_networks(side: int = SIDE, narrower: int = 1) -> dict[str, keras.Model]:
    """Both networks, random weights.

    Args:
        side: Of the square images, in pixels; a multiple of 32.
        narrower: Divides all filters, for a quick look.
    """
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    advanced, deep = (tuple(f // narrower for f in some) for some in (FILTERS, DEEP_FILTERS))
    return {
        "unet_advanced": u_net(residual_block, residual_block, advanced, side),
        "deep_unet_improved": u_net(dense_block, scales_block, deep, side),
    }


def read_images(patient: Path, side: int = SIDE) -> np.ndarray:
    """Every slice of a patient's images as the networks take it.

    Returns:
        (slices, side, side, 1) float32, each image from 0 to 1.
    """
    stacks = []
    for files in find_scans(patient):
        image = open_scan(files, MRI).image(0)
        image = (image - image.min()) / (image.max() - image.min())
        stacks += [cv2.resize(plane, (side, side)) for plane in image]
    return np.stack(stacks)[..., None]


def prepare(patient: str, side: int = SIDE, narrower: int = 1) -> Callable[[], dict]:
    """Prepares segmenting a patient's slices; the masks stay on the grid of the networks.

    Args:
        patient: Folder of the ED and the ES image.
        side, narrower: See `build_networks`.
    """
    networks = build_networks(side, narrower)
    grid = {"grid": [side, side], "filters": [f // narrower for f in FILTERS]}
    about = {
        name: {"parameters": network.count_params(), "gflop": network_flops(network) / 1e9}
        for name, network in networks.items()
    }

    def measure() -> dict:
        began = time.perf_counter()
        images = read_images(Path(patient), side)
        seconds, maps = {"rest": time.perf_counter() - began}, []
        for name, network in networks.items():
            began = time.perf_counter()
            maps.append(network.predict(images, verbose=0))
            seconds[name] = time.perf_counter() - began
        began = time.perf_counter()
        np.mean(maps, 0).argmax(-1)
        seconds["rest"] += time.perf_counter() - began
        return {"slices": len(images), "networks": about, **grid, **seconds}

    for network in networks.values():  # warm: after two batch sizes Keras traces no third
        for images in (1, 2):
            network.predict(np.zeros((images, side, side, 1), np.float32), verbose=0)
    return measure
