"""From probabilities on the network grid to a mask on the native grid."""

import numpy as np

from cardiac_seg.grid.resample import Grid, from_grid
from cardiac_seg.masks.postprocessing import Postprocessing, postprocess


def native_mask(
    probabilities: np.ndarray, grid: Grid, steps: Postprocessing | None = None
) -> np.ndarray:
    """Argmax on the native grid, then postprocessing.

    Args:
        probabilities: (slices, *grid.size, classes) float32 on the network grid.
        grid: The geometry.
        steps: The clean-up; None for none.

    Returns:
        (slices, *grid.native) uint8.
    """
    # Slice by slice: the native probabilities of a large stack would not fit beside the maps.
    planes = [from_grid(plane[None], grid)[0].argmax(-1) for plane in probabilities]
    mask = np.stack(planes).astype(np.uint8)
    return postprocess(mask, steps) if steps else mask
