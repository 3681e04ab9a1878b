"""The two networks, by name."""

import keras

from cardiac_seg.config.sections import Config
from cardiac_seg.members.networks.deep_unet_improved import deep_unet_improved
from cardiac_seg.members.networks.unet_advanced import unet_advanced

BUILDERS = {"unet_advanced": unet_advanced, "deep_unet_improved": deep_unet_improved}


def build_member(member: str, config: Config, classes: int) -> keras.Model:
    """Builds a member as configured: one input channel, planes of any size."""
    settings = getattr(config.networks, member).model_dump()
    return BUILDERS[member]((None, None, 1), classes, **settings)
