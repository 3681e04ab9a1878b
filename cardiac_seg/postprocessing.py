"""Clean-up of native masks: largest component per structure, hole filling."""

import numpy as np
from scipy import ndimage

STEPS = ("largest_component", "fill_holes")


def postprocess(mask: np.ndarray, steps: dict[str, list[int]]) -> np.ndarray:
    """Applies the chosen steps to the structures they were chosen for.

    Args:
        mask: (slices, height, width) uint8.
        steps: Step name -> labels, as `choose_steps` gives them.

    Returns:
        A new mask of the same shape and dtype.
    """
    mask = mask.copy()
    for label in steps.get("largest_component", []):
        keep_largest_component(mask, label)
    for label in steps.get("fill_holes", []):
        fill_holes(mask, label)
    return mask


def keep_largest_component(mask: np.ndarray, label: int) -> None:
    """Turns all but a structure's largest connected part into background, in place.

    Parts touch by faces; across slices too, so that a stack keeps one three-dimensional part.
    """
    parts, count = ndimage.label(mask == label)
    if count > 1:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        mask[(parts > 0) & (parts != sizes.argmax())] = 0


def fill_holes(mask: np.ndarray, label: int) -> None:
    """Gives a structure the background it encloses within a slice, in place.

    Other structures inside stay what they are: the cavity is no hole of the myocardium.
    """
    for plane in mask:
        own = plane == label
        inside = ndimage.binary_fill_holes(own) & ~own
        hole = inside & (plane == 0)
        for other in set(np.unique(plane[inside])) - {0}:  # its holes are its own
            hole &= ~ndimage.binary_fill_holes(inside & (plane == other))
        plane[hole] = label
