"""Clean-up of native masks: one component per structure, hole filling."""

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
    heart = largest_component(mask > 0)
    for label in steps.get("largest_component", []):
        keep_largest_component(mask, label, heart)
    for label in steps.get("fill_holes", []):
        fill_holes(mask, label)
    return mask


def keep_largest_component(mask: np.ndarray, label: int, heart: np.ndarray) -> None:
    """Turns all but one connected part of a structure into background, in place.

    The part kept is the structure's largest within the heart, or, where none lies there, its
    largest: a cavity that is almost closed may be smaller than what looks like one elsewhere.
    Parts touch by faces; across slices too, so that a stack keeps one three-dimensional part.

    Args:
        mask: (slices, height, width) uint8.
        label: The structure.
        heart: (slices, height, width) bool; the largest part of all structures together.
    """
    own = mask == label
    inside = own & heart  # whole parts: what touches lies in one part of all structures, too
    mask[own & ~largest_component(inside if inside.any() else own)] = 0


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask; all False where it is empty.

    Args:
        mask: (slices, height, width) bool.
    """
    parts, count = ndimage.label(mask)
    if not count:
        return np.zeros_like(mask)
    return parts == np.bincount(parts[mask]).argmax()


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
