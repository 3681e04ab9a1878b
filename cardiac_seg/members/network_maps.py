"""A network's softmax maps of images, slice by slice or patch by patch, as it is made."""

from collections.abc import Iterable, Iterator

import keras
import numpy as np

from cardiac_seg.config.sections import Config, Unet3D
from cardiac_seg.grid.resample import GridImage, normalize
from cardiac_seg.members.inference import predict_cases
from cardiac_seg.members.sliding_window import predict_stacks


def network_maps(
    model: keras.Model,
    images: Iterable[GridImage],
    config: Config,
    member: str,
    batch_size: int,
    mirror: str = "none",
) -> Iterator[np.ndarray]:
    """The maps of some images, in their order and one at a time.

    Args:
        model: Of the member.
        images: On the member's own grid.
        config: The configuration with the member's own sections.
        member: Its name.
        batch_size: Slices computed together; a three-dimensional network gets one patch at a time.
        mirror: See `members.inference.predict_cases`.

    Yields:
        (slices, height, width, classes) float16 on that grid.
    """
    network, method = config.networks[member], config.preprocess.normalize
    if isinstance(network, Unet3D):
        stacks = (
            (None, normalize(i.pixels, i.mean, i.std, method), i.slice_spacing) for i in images
        )
        made = predict_stacks(model, stacks, network, mirror)
    else:
        slices = ((None, normalize(i.pixels, i.mean, i.std, method)) for i in images)
        made = predict_cases(model, slices, batch_size, mirror)
    for _, maps in made:
        yield maps
