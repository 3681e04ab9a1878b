"""Clean-up of native masks: one heart, one component per structure, hole filling."""

import numpy as np
from scipy import ndimage

STEPS = ("heart", "largest_component", "fill_holes")  # in the order in which they are applied
MYO = 2  # the myocardium's label in every dataset
NEAR = 2  # pixels of the native grid


def postprocess(mask: np.ndarray, steps: dict[str, list[int]]) -> np.ndarray:
    """Applies the chosen steps to the structures they were chosen for.

    Args:
        mask: (slices, height, width) uint8.
        steps: Step name -> labels, as `choose_steps` gives them.

    Returns:
        A new mask of the same shape and dtype.
    """
    mask = mask.copy()
    for label in steps.get("heart", []):
        keep_in_heart(mask, label)
    for label in steps.get("largest_component", []):
        keep_largest_component(mask, label)
    for label in steps.get("fill_holes", []):
        fill_holes(mask, label)
    return mask


def keep_in_heart(mask: np.ndarray, label: int) -> None:
    """Turns what a structure has outside the heart into background, in place.

    The heart is the largest connected part of the structure and the myocardium together; for the
    myocardium, of all structures. A cavity that is almost closed lies in pieces from slice to
    slice, and is smaller than what looks like one elsewhere: its own largest component would lose
    pieces or be the wrong one. A structure without any part in the heart stays.

    Args:
        mask: (slices, height, width) uint8.
        label: The structure.
    """
    own = mask == label
    heart = largest_component(mask > 0 if label == MYO else own | (mask == MYO))
    if (own & heart).any():
        mask[own & ~heart] = 0


def keep_largest_component(mask: np.ndarray, label: int) -> None:
    """Turns all but a structure's largest connected part into background, in place.

    Parts count as one where they touch once each is grown by `NEAR` pixels within its slices: an
    almost closed cavity moves by more than its own width from slice to slice.
    """
    own = mask == label
    cross = ndimage.generate_binary_structure(2, 1)[None]  # within slices
    mask[own & ~largest_component(ndimage.binary_dilation(own, cross, NEAR))] = 0


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask; all False where it is empty.

    Parts touch by faces; across slices too, so that a stack keeps one three-dimensional part.

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
