"""Reads a network from a `.keras` file: plain layers alone, so that no code comes with it."""

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras

from cardiac_seg.system.errors import UserError

TENSOR = "__keras_tensor__"
# What networks may be made of, as (module, class). Keras's safe mode refuses Lambda layers; this
# list refuses every other way of naming something to call. A network that is built of more gets its
# layers listed here; what draws random numbers must do so from a `seed_generator`, which training
# sets anew for each epoch so that it can be resumed bit for bit.
BLOCKS = {
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    (None, TENSOR),
    *(("keras.initializers", name) for name in ("GlorotUniform", "HeNormal", "Ones", "Zeros")),
    *(
        ("keras.layers", name)
        for name in (
            "Activation",
            "Add",
            "Average",
            "AveragePooling2D",
            "AveragePooling3D",
            "BatchNormalization",
            "Concatenate",
            "Conv2D",
            "Conv2DTranspose",
            "Conv3D",
            "Conv3DTranspose",
            "Dropout",
            "GroupNormalization",
            "InputLayer",
            "LayerNormalization",
            "LeakyReLU",
            "MaxPooling2D",
            "Multiply",
            "ReLU",
            "Softmax",
            "SpatialDropout2D",
            "SpatialDropout3D",
            "UpSampling2D",
        )
    ),
}
MAX_BYTES = 2**33  # of a file when unpacked, far above what a network takes
MAX_COMPRESSION = 8  # times that weights are larger than their file; trained ones hardly shrink
MAX_CHANNELS = 2**15
MAX_DESCRIPTION = 5 * 10**6  # bytes


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


def check_layers(network: keras.Model) -> None:
    """Refuses, before it is trained, a network that could not be read again.

    Raises:
        UserError: If it is made of anything but the layers of `BLOCKS`.
    """
    try:
        _check_parts(json.loads(network.to_json()))
        if nested := [layer.name for layer in network.layers if isinstance(layer, keras.Model)]:
            raise ValueError(f"holds the network {nested[0]!r} as a layer")
    except ValueError as error:
        raise UserError(
            f"{network.name}: {error}; build it of others, or list it in BLOCKS of "
            "members/network_file.py"
        ) from None


def _check_parts(described: dict) -> None:
    for part in [described, *named_parts(described["config"])]:
        named = part.get("module"), part["class_name"]
        if named not in BLOCKS:
            raise ValueError(f"holds {named[1]!r} of {named[0]}, no layer of these networks")


def _check(path: Path) -> None:
    """Raises ValueError for a file that must not be loaded."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError("larger than any network when unpacked")
        if archive.getinfo("config.json").file_size > MAX_DESCRIPTION:
            raise ValueError("a description longer than any network's")
        described = json.loads(archive.read("config.json"))
    _check_parts(described)
    # Layers are made before weights are read: a small file must not ask for all the memory.
    channels: dict[str, int] = {}
    weights, most = 0, MAX_COMPRESSION * path.stat().st_size + 2**20
    for layer in described["config"]["layers"]:  # each comes after its inputs
        settings = layer["config"]
        inputs = [p for p in named_parts(layer["inbound_nodes"]) if p["class_name"] == TENSOR]
        sources = [tensor["config"]["keras_history"][0] for tensor in inputs]
        taken = sum(channels[source] for source in sources)
        if "filters" in settings:
            weights += 4 * math.prod(settings["kernel_size"]) * taken * settings["filters"]
            taken = settings["filters"]
        elif layer["class_name"] == "InputLayer":
            taken = settings["batch_shape"][-1]
        elif layer["class_name"] != "Concatenate" and sources:
            taken = max(channels[source] for source in sources)  # Multiply broadcasts
        channels[layer["name"]] = taken
        if weights > most or taken > MAX_CHANNELS:
            raise ValueError(f"{layer['name']} is wider than the weights in the file")


def named_parts(value) -> Iterator[dict]:
    """Everything that names a class, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from named_parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_parts(inner)
