"""Reads a network from a `.keras` file: plain layers alone, so that no code comes with it."""

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras

from cardiac_seg.errors import UserError

# All that networks of this project are made of, as (module, class). Keras's safe mode refuses
# Lambda layers; this list refuses every other way of naming something to call. A network that is
# built of more gets its layers listed here.
BLOCKS = {
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    (None, "__keras_tensor__"),
    *(("keras.initializers", name) for name in ("GlorotUniform", "HeNormal", "Ones", "Zeros")),
    *(
        ("keras.layers", name)
        for name in (
            "Add",
            "BatchNormalization",
            "Concatenate",
            "Conv2D",
            "Conv2DTranspose",
            "InputLayer",
            "MaxPooling2D",
            "ReLU",
            "Softmax",
            "SpatialDropout2D",
            "UpSampling2D",
        )
    ),
}
MOST_BYTES = 2**33  # of a network's weights, by a bound that is far above what they take


def read_network(path: Path) -> keras.Model:
    """Reads a network for prediction.

    Raises:
        UserError: If the file is damaged, or holds anything but the layers of `BLOCKS`.
    """
    try:
        _check(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras passes on what zip, HDF5 and JSON readers raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: cannot be loaded ({reason}); it may be damaged") from None


def _check(path: Path) -> None:
    """Raises ValueError for a file that must not be loaded."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
            raise ValueError("larger than any network when unpacked")
        described = json.loads(archive.read("config.json"))
    parts = [described, *_parts(described["config"])]
    for part in parts:
        named = part.get("module"), part["class_name"]
        if named not in BLOCKS:
            raise ValueError(f"holds {named[1]!r} of {named[0]}, no layer of these networks")
    # Layers are made before weights are read: a small file must not ask for all the memory.
    kernels = [part["config"] for part in parts if "kernel_size" in part.get("config", {})]
    widest = max((kernel["filters"] for kernel in kernels), default=0)
    area = max((math.prod(kernel["kernel_size"]) for kernel in kernels), default=0)
    if 4 * len(kernels) * area * widest**2 > MOST_BYTES:
        raise ValueError(f"layers of {widest} filters, more than any network has")


def _parts(value) -> Iterator[dict]:
    """Everything that names a class, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)
