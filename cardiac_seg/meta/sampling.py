"""Which pixels of a case the learners are fitted on: the contested ones more often."""

import numpy as np

from cardiac_seg.metrics.boundary import at_boundary

CONTESTED_SHARE = 0.75


def contested(maps: np.ndarray, undecided: np.ndarray) -> np.ndarray:
    """Where learners act, the members disagree, or a boundary of the mean's mask runs.

    Args:
        maps: (members, slices, height, width, classes) probabilities.
        undecided: (slices, height, width) bool, where learners act.

    Returns:
        (slices, height, width) bool.
    """
    masks = maps.argmax(-1)
    mask = maps.mean(axis=0, dtype=np.float32).argmax(-1)
    return undecided | at_boundary(mask) | (masks != masks[0]).any(axis=0)


def draw_pixels(
    is_contested: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws from the contested and from the other pixels of a case, each without replacement.

    Each pixel weighs as many as it stands for, so that weighted sums estimate those over the
    whole case, and probabilities fitted with the weights stay calibrated (Horvitz and Thompson
    1952).

    Args:
        is_contested: (slices, height, width) bool.
        count: Pixels to draw, CONTESTED_SHARE of them contested; fewer where there are fewer.
        rng: The source of randomness.

    Returns:
        (n,) int64 ascending indices into the flattened case, and (n,) float32 weights.
    """
    flat = is_contested.ravel()
    weights = np.zeros(flat.size, np.float32)
    for stratum, share in ((flat, CONTESTED_SHARE), (~flat, 1 - CONTESTED_SHARE)):
        members = np.flatnonzero(stratum)
        take = min(len(members), max(1, round(count * share)))
        if take:
            weights[rng.choice(members, take, replace=False)] = len(members) / take
    drawn = np.flatnonzero(weights)
    return drawn, weights[drawn]
