"""From the members' softmax maps to masks on the native grid.

Prediction and evaluation both end here, so that a mask scored is the mask a user gets.
"""

import numpy as np

from cardiac_seg.postprocessing import postprocess
from cardiac_seg.preprocessing import Grid, from_grid

MEAN = "mean"


def model_names(members: list[str]) -> list[str]:
    """The models that a run scores: each member, then their combinations."""
    return [*members, MEAN] if len(members) > 1 else list(members)


def final_model(members: list[str]) -> str:
    """The model whose mask is the run's answer."""
    return model_names(members)[-1]


def combine(maps: dict[str, np.ndarray], model: str) -> np.ndarray:
    """The probabilities of a member or a combination.

    Args:
        maps: Member -> (slices, height, width, classes) float16.
        model: One of `model_names`.

    Returns:
        (slices, height, width, classes) float32.
    """
    if model in maps:
        return maps[model].astype(np.float32)
    return np.mean([m.astype(np.float32) for m in maps.values()], axis=0)


def native_mask(
    probabilities: np.ndarray, grid: Grid, steps: dict[str, list[int]] | None = None
) -> np.ndarray:
    """Argmax on the native grid, then postprocessing.

    Args:
        probabilities: (slices, *grid.size, classes) float32 on the network grid.
        grid: The geometry.
        steps: Postprocessing, see `postprocessing.postprocess`; None for none.

    Returns:
        (slices, *grid.native) uint8.
    """
    # Slice by slice: the native probabilities of a large stack would not fit beside the maps.
    planes = [from_grid(plane[None], grid)[0].argmax(-1) for plane in probabilities]
    mask = np.stack(planes).astype(np.uint8)
    return postprocess(mask, steps) if steps else mask
