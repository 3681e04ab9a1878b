"""The networks, by name."""

import keras

from cardiac_seg.config.registry import NETWORKS, find
from cardiac_seg.config.sections import Config, Network
from cardiac_seg.members.network_file import check_layers


def build_member(member: str, config: Config, classes: int) -> keras.Model:
    """Builds a member as configured: one input channel, planes of any size or patches, its name.

    Raises:
        UserError: If it holds layers that a stored network is not read with.
    """
    builder, settings = find(NETWORKS[member]), config.networks[member]
    assert isinstance(settings, Network)  # others have no architecture
    network = builder(settings.input_shape, classes, **settings.architecture)
    if network.name != member:
        network = keras.Model(network.inputs, network.outputs, name=member)
    check_layers(network)
    return network
