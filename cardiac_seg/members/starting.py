"""Starts a training from the weights of another one's network."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np

from cardiac_seg.members.network_file import TENSOR, named_parts
from cardiac_seg.members.seen import Seen
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log

Weights = dict[str, list[np.ndarray]]  # layer -> its arrays


@dataclass(frozen=True)
class Start:
    """A trained network to start from.

    Attributes:
        title: What messages call it.
        load: Reads the network.
        same_labels: Whether its classes mean the same; else its head is of no use.
        trained_on: The patients that it knows, by dataset.
    """

    title: str
    load: Callable[[], keras.Model]
    same_labels: bool
    trained_on: Seen = field(default_factory=dict)


def starting_weights(start: Start) -> Weights:
    """The weights to start from, those of the head only where its classes mean the same."""
    network = start.load()
    left_out = set() if start.same_labels else _heads(network)
    return {
        layer.name: layer.get_weights()
        for layer in network.layers
        if layer.weights and layer.name not in left_out
    }


def put_weights(network: keras.Model, weights: Weights, start: Start, training: str) -> None:
    """Copies weights by the names of the layers; says which layers keep their random ones.

    A stored network has one output: what deep supervision adds for the training starts afresh.

    Args:
        network: Changed in place.
        weights: See `starting_weights`.
        start: Where they come from, for messages.
        training: Which training this is, for messages.

    Raises:
        UserError: If no layer fits.
    """
    layers = [layer for layer in network.layers if layer.weights]
    absent = [layer.name for layer in layers if layer.name not in weights]
    known = [layer for layer in layers if layer.name in weights]
    unlike = [layer.name for layer in known if _shapes(layer) != _shapes_of(weights[layer.name])]
    copied = len(known) - len(unlike)
    if not copied:
        raise UserError(
            f"train.start_from: {start.title}: no layer of its network fits {training}; use "
            "the networks section that it was trained with, or another start"
        )
    for layer in known:
        if layer.name not in unlike:
            layer.set_weights(weights[layer.name])
    kinds = (("not there", absent), ("of another shape", unlike))
    fresh = "".join(f"; random, {why}: {', '.join(names)}" for why, names in kinds if names)
    labels = "" if start.same_labels else "; its head is left out, its labels are others"
    log.info(
        "%s: starts from %s, %d of %d layers%s%s",
        *(training, start.title, copied, len(layers), labels, fresh),
    )


def _shapes(layer: keras.Layer) -> list[tuple]:
    return [tuple(weight.shape) for weight in layer.weights]


def _shapes_of(arrays: list[np.ndarray]) -> list[tuple]:
    return [array.shape for array in arrays]


def _heads(network: keras.Model) -> set[str]:
    """The last layers with weights before each output."""
    described = json.loads(network.to_json())["config"]["layers"]
    sources = {
        layer["name"]: {
            part["config"]["keras_history"][0]
            for part in named_parts(layer["inbound_nodes"])
            if part["class_name"] == TENSOR
        }
        for layer in described
    }
    heads: set[str] = set()
    ahead = set(network.output_names)
    while ahead:
        name = ahead.pop()
        if network.get_layer(name).weights:
            heads.add(name)
        else:
            ahead |= sources[name]
    return heads
