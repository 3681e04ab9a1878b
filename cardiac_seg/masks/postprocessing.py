"""Clean-up of native masks: one heart, one component per structure, hole filling."""

import numpy as np
from scipy import ndimage

STEPS = ("fill_holes", "heart", "largest_component")  # in the order in which they are applied
MYO = 2  # the myocardium's label in every dataset
NEAR = 2  # pixels of the native grid
SPECK = 0.05  # of a structure: too little to be the heart's share of it


def postprocess(mask: np.ndarray, steps: dict[str, list[int]]) -> np.ndarray:
    """Applies the chosen steps to the structures they were chosen for.

    Holes are filled first: what a later step takes out of a structure's middle, a cavity out of the
    myocardium above all, was no hole.

    Args:
        mask: (slices, height, width) uint8.
        steps: Step name -> labels, as `choose_steps` gives them.

    Returns:
        A new mask of the same shape and dtype.
    """
    mask = mask.copy()
    for label in steps.get("fill_holes", []):
        fill_holes(mask, label)
    for label in steps.get("heart", []):
        keep_in_heart(mask, label)
    for label in steps.get("largest_component", []):
        keep_largest_component(mask, label)
    return mask


def keep_in_heart(mask: np.ndarray, label: int) -> None:
    """Turns what a structure has outside the heart into background, in place.

    The heart is the largest connected part of the structure and the myocardium together; for the
    myocardium, of all structures. A cavity that is almost closed lies in pieces from slice to
    slice, and is smaller than what looks like one elsewhere: its own largest component would lose
    pieces or be the wrong one. A structure that has no more than a speck in the heart stays.

    Args:
        mask: (slices, height, width) uint8.
        label: The structure.
    """
    own = mask == label
    within = own & _largest_part(mask > 0 if label == MYO else own | (mask == MYO))
    if within.sum() > SPECK * own.sum():
        mask[own & ~within] = 0


def keep_largest_component(mask: np.ndarray, label: int) -> None:
    """Turns all but a structure's largest part into background, in place.

    Parts count as one where they touch once each is grown by `NEAR` pixels within its slices: an
    almost closed cavity moves by more than its own width from slice to slice.
    """
    own = mask == label
    mask[own & ~_largest_part(own, NEAR)] = 0


def _largest_part(mask: np.ndarray, grow: int = 0) -> np.ndarray:
    """The connected part with most voxels; all False where the mask is empty.

    Args:
        mask: (slices, height, width) bool; its voxels touch by faces, across slices too.
        grow: Pixels that parts are grown by within slices before they touch.
    """
    if not mask.any():
        return mask
    cross = ndimage.generate_binary_structure(2, 1)[None]  # within slices
    grown = ndimage.binary_dilation(mask, cross, grow) if grow else mask
    parts, _ = ndimage.label(grown)
    return mask & (parts == np.bincount(parts[mask]).argmax())


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
