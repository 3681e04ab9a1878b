"""Clean-up of native masks: one heart, one component per structure, hole filling."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion

STEPS = ("fill_holes", "heart", "largest_component")  # in the order in which they are applied
COMPONENT_GAP = 2  # pixels of the native grid that components grow by before they count as apart
MIN_SHARE_IN_HEART = 0.05  # of a structure; where it holds less, the heart is another one


@dataclass(frozen=True)
class Postprocessing:
    """Which steps are applied to which structures.

    Attributes:
        steps: Step name -> labels.
        myocardium: Its label, which the `heart` step needs; None where the label set has none.

    Raises:
        ValueError: If the `heart` step is chosen without a myocardium.
    """

    steps: Mapping[str, list[int]]
    myocardium: int | None = None

    def __post_init__(self) -> None:
        """Refuses a step that the label set does not allow."""
        if self.steps.get("heart") and self.myocardium is None:
            raise ValueError("step 'heart' for a label set without myocardium; leave it out")


def possible_steps(anatomy: Anatomy) -> tuple[str, ...]:
    """The steps that a label set allows: `heart` needs the myocardium."""
    has_muscle = anatomy.label("myocardium") is not None
    return tuple(step for step in STEPS if step != "heart" or has_muscle)


def postprocess(mask: np.ndarray, chosen: Postprocessing) -> np.ndarray:
    """Applies the chosen steps to the structures they were chosen for.

    Holes are filled first: what a later step takes out of a structure's middle, a cavity out of the
    myocardium above all, was no hole.

    Args:
        mask: (slices, height, width) uint8.
        chosen: The steps.

    Returns:
        A new mask of the same shape and dtype.
    """
    mask = mask.copy()
    for label in chosen.steps.get("fill_holes", []):
        fill_holes(mask, label)
    if chosen.myocardium is not None:
        for label in chosen.steps.get("heart", []):
            keep_in_heart(mask, label, chosen.myocardium)
    for label in chosen.steps.get("largest_component", []):
        keep_largest_component(mask, label)
    return mask


def choose_steps(
    pairs: list[tuple[np.ndarray, np.ndarray]], wanted: Mapping[str, str], anatomy: Anatomy
) -> Postprocessing:
    """Chooses the postprocessing steps, each for each structure, on development cases.

    A step set to `auto` is kept for a structure where it does not lower the mean Dice, after the
    steps before it: one that changes nothing here guards against what these cases lack. The same
    steps then serve every method, so that methods are compared fairly.

    Args:
        pairs: Reference and mask of each case, (slices, height, width) uint8 on the native grid;
            the masks are by a method that nothing was fitted for on these cases. Not needed where
            no step is `auto`.
        wanted: Step -> `auto`, `on` or `off`.
        anatomy: The label set.

    Returns:
        The steps; `heart` for no structure where the label set has no myocardium.
    """
    labels, masks = range(1, len(anatomy.structures) + 1), [mask for _, mask in pairs]
    muscle, possible = anatomy.label("myocardium"), possible_steps(anatomy)

    def dice(masks: list[np.ndarray], label: int) -> np.ndarray:
        both = zip((truth for truth, _ in pairs), masks, strict=True)
        return np.array([dice_from_confusion(confusion(*p, len(labels) + 1))[label] for p in both])

    steps: dict[str, list[int]] = {step: [] for step in STEPS}
    chosen = [step for step in possible if wanted[step] != "off"]
    for step, label in ((step, label) for step in chosen for label in labels):
        cleaned = [postprocess(mask, Postprocessing({step: [label]}, muscle)) for mask in masks]
        if wanted[step] == "on" or np.nansum(dice(cleaned, label) - dice(masks, label)) >= 0:
            steps[step].append(label)
            masks = cleaned
    return Postprocessing(steps, muscle)


def keep_in_heart(mask: np.ndarray, label: int, myocardium: int) -> None:
    """Turns what a structure has outside the heart into background, in place.

    The heart is the largest component of the structure and the myocardium together; for the
    myocardium, of all structures. A cavity that is almost closed lies in pieces from slice to
    slice, and is smaller than what looks like one elsewhere: its own largest component would lose
    pieces or be the wrong one. A structure that has no more than a speck in the heart stays.

    Args:
        mask: (slices, height, width) uint8.
        label: The structure.
        myocardium: The myocardium's label.
    """
    structure = mask == label
    muscle = mask == myocardium
    heart = _largest_component(mask > 0 if label == myocardium else structure | muscle)
    if (structure & heart).sum() > MIN_SHARE_IN_HEART * structure.sum():
        mask[structure & ~heart] = 0


def keep_largest_component(mask: np.ndarray, label: int) -> None:
    """Turns all but a structure's largest component into background, in place.

    Components count as one where they touch once each is grown by `COMPONENT_GAP` pixels within its
    slices: an almost closed cavity moves by more than its own width from slice to slice.
    """
    structure = mask == label
    mask[structure & ~_largest_component(structure, COMPONENT_GAP)] = 0


def _largest_component(mask: np.ndarray, grow: int = 0) -> np.ndarray:
    """The component with most voxels; all False where the mask is empty.

    Args:
        mask: (slices, height, width) bool; its voxels touch by faces, across slices too.
        grow: Pixels that components are grown by within slices before they touch.
    """
    if not mask.any():
        return mask
    cross = ndimage.generate_binary_structure(2, 1)[None]  # within slices
    grown = ndimage.binary_dilation(mask, cross, grow) if grow else mask
    components, _ = ndimage.label(grown)
    return mask & (components == np.bincount(components[mask]).argmax())


def fill_holes(mask: np.ndarray, label: int) -> None:
    """Gives a structure the background it encloses within a slice, in place.

    Other structures inside stay what they are: the cavity is no hole of the myocardium.
    """
    for plane in mask:
        structure = plane == label
        inside = ndimage.binary_fill_holes(structure) & ~structure
        hole = inside & (plane == 0)
        for other in set(np.unique(plane[inside])) - {0}:  # its holes are its own
            hole &= ~ndimage.binary_fill_holes(inside & (plane == other))
        plane[hole] = label
