"""Clean-up of native masks: one heart, one component per structure, hole filling."""

import numpy as np
from scipy import ndimage

STEPS = ("fill_holes", "heart", "largest_component")  # in the order in which they are applied
MYO = 2  # the myocardium's label in every dataset
NEAR_MM = 4.0  # of 2 to 5 the best on development patients, docs/EXPERIMENTS.md


def postprocess(
    mask: np.ndarray, steps: dict[str, list[int]], spacing: tuple[float, float]
) -> np.ndarray:
    """Applies the chosen steps to the structures they were chosen for.

    Holes are filled first: what a later step takes out of a structure's middle, a cavity out of the
    myocardium above all, was no hole.

    Args:
        mask: (slices, height, width) uint8.
        steps: Step name -> labels, as `choose_steps` gives them.
        spacing: (row, column) distance of the mask's pixels in mm.

    Returns:
        A new mask of the same shape and dtype.
    """
    mask = mask.copy()
    for label in steps.get("fill_holes", []):
        fill_holes(mask, label)
    for label in steps.get("heart", []):
        keep_in_heart(mask, label, spacing)
    for label in steps.get("largest_component", []):
        own = mask == label
        mask[own & ~largest_part(own, spacing)] = 0
    return mask


def keep_in_heart(mask: np.ndarray, label: int, spacing: tuple[float, float]) -> None:
    """Turns what a structure has outside the heart into background, in place.

    The heart is the largest part of the structure and the myocardium together; for the myocardium,
    of all structures. A cavity that is almost closed lies in pieces from slice to slice, and is
    smaller than what looks like one elsewhere: its own largest part would lose pieces or be the
    wrong one. A structure without any voxel in the heart stays.

    Args:
        mask: (slices, height, width) uint8.
        label: The structure.
        spacing: (row, column) distance in mm.
    """
    own = mask == label
    heart = largest_part(mask > 0 if label == MYO else own | (mask == MYO), spacing)
    if (own & heart).any():
        mask[own & ~heart] = 0


def largest_part(mask: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """The part of a mask with most voxels; all False where it is empty.

    Voxels are of one part where they touch by faces, across slices too, once the mask is grown by
    `NEAR_MM` within its slices: an almost closed cavity moves by more than its own width from
    slice to slice, and a gap of a pixel parts no structure.

    Args:
        mask: (slices, height, width) bool.
        spacing: (row, column) distance in mm.

    Returns:
        bool, the same shape.
    """
    if not mask.any():
        return mask
    outside = [ndimage.distance_transform_edt(~p, spacing) if p.any() else None for p in mask]
    grown = np.stack([p if d is None else d <= NEAR_MM for p, d in zip(mask, outside, strict=True)])
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
