"""The networks, by name."""

import keras

from cardiac_seg.config.registry import NETWORKS, find
from cardiac_seg.config.sections import Config


def build_member(member: str, config: Config, classes: int) -> keras.Model:
    """Builds a member as configured: one input channel, planes of any size, named after it."""
    builder = find(NETWORKS[member])
    network = builder((None, None, 1), classes, **config.networks[member].architecture)
    if network.name == member:
        return network
    return keras.Model(network.inputs, network.outputs, name=member)
