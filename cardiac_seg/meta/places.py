"""Where in the heart the learners help: importance and changed pixels by place and structure.

A place is a third of the slices that hold the LV cavity in the reference (`base`, `mid`, `apex`;
the slices outside are `beyond`) in a phase, or a view in a phase: `base ED`, `4CH ES`.
"""

from typing import Any

import numpy as np

from cardiac_seg.meta.interpretation import PermutedLosses
from cardiac_seg.metrics.overlap import REGIONS, thirds

BEYOND = "beyond"
ByPlace = dict[str, dict[str, dict[str, Any]]]  # place -> structure -> what is counted there


def slice_regions(reference: np.ndarray, lv: int | None) -> np.ndarray:
    """The region of each slice.

    Args:
        reference: (slices, height, width) true classes.
        lv: Label of the LV cavity; None where there is none.

    Returns:
        (slices,) text; empty for single planes, and where there is no LV cavity to go by.
    """
    if len(reference) == 1 or lv is None:
        return np.full(len(reference), "", f"<U{len(BEYOND)}")
    regions = np.full(len(reference), BEYOND)
    for region, slices in thirds(reference == lv).items():
        regions[slices] = region
    return regions


def place_name(region: str, *tags: str | None) -> str:
    """A place's name from region, view and phase, those that there are; `image` if none is."""
    return " ".join(word for word in (region, *tags) if word) or "image"


def place_order(place: str) -> tuple[str, int]:
    """What places are sorted by: view and phase, and within these from base to apex."""
    first, _, rest = place.partition(" ")
    regions = (*REGIONS, BEYOND)
    return (rest, regions.index(first)) if first in regions else (place, 0)


def importance_by_place(
    losses: PermutedLosses,
    labels: np.ndarray,
    means: np.ndarray,
    places: np.ndarray,
    structures: tuple[str, ...],
) -> ByPlace:
    """Permutation importance where a structure is, or where the calibrated mean takes it to be.

    One shuffle of a group serves all places: its increase of the weighted log-loss is summed over
    the pixels whose reference or whose calibrated mean is the structure. A pixel where the two
    differ counts for both structures.

    Args:
        losses: Of n pixels.
        labels: (n,) true classes.
        means: (n,) classes of the calibrated mean.
        places: (n,) names.
        structures: Names in label order.

    Returns:
        Place -> structure -> `drawn` (sampled pixels), `pixels` (how many these stand for), `nats`:
        feature group -> summed increase. Without the places and structures that have no pixel.
    """
    found: ByPlace = {}
    for place in sorted(set(places.tolist()), key=place_order):
        for label, structure in enumerate(structures, start=1):
            there = (places == place) & ((labels == label) | (means == label))
            if there.any():
                weights = losses.weights[there].astype(np.float64)
                found.setdefault(place, {})[structure] = {
                    "drawn": int(there.sum()),
                    "pixels": float(weights.sum()),
                    "nats": {g: float(weights @ v[there]) for g, v in losses.increase.items()},
                }
    return found


def changes_by_place(
    label: np.ndarray,
    mean: np.ndarray,
    mask: np.ndarray,
    places: np.ndarray,
    structures: tuple[str, ...],
) -> ByPlace:
    """Pixels that a method moves into or out of a structure, by place.

    Args:
        label, mean, mask: (slices, height, width) classes: the reference and the two masks.
        places: (slices,) names.
        structures: Names in label order.

    Returns:
        Place -> structure -> `pixels` (of the structure in the reference or in the mean), `changed`
        (in the structure by one mask alone), and of these `better` (now right) and `worse` (right
        before).
    """
    changed = mask != mean
    counts: ByPlace = {}
    for place in dict.fromkeys(places.tolist()):
        here = places == place
        truth, before, after, moved = (a[here] for a in (label, mean, mask, changed))
        counts[place] = {}
        for number, structure in enumerate(structures, start=1):
            of_it = moved & ((before == number) | (after == number))
            counts[place][structure] = {
                "pixels": int(((truth == number) | (before == number)).sum()),
                "changed": int(of_it.sum()),
                "better": int((of_it & (after == truth)).sum()),
                "worse": int((of_it & (before == truth)).sum()),
            }
    return counts


def add_by_place(sums: ByPlace, counts: ByPlace) -> None:
    """Adds counts by place and structure to `sums`; both need not have the same places."""
    for place, by_structure in counts.items():
        for structure, values in by_structure.items():
            before = sums.setdefault(place, {}).get(structure)
            sums[place][structure] = values if before is None else _sum(before, values)


def summarize_importance(
    folds: list[ByPlace],
) -> ByPlace:
    """The importance by place over all folds.

    Args:
        folds: Of each, what `importance_by_place` found.

    Returns:
        Place -> structure -> `drawn` and `pixels`, summed, and `nats_per_1000_pixels`: feature
        group -> `mean` over the pixels of all folds, and each `folds` that has such pixels.
    """
    sums: ByPlace = {}
    for fold in folds:
        add_by_place(sums, fold)
    summary: ByPlace = {}
    for place in sorted(sums, key=place_order):
        summary[place] = {}
        for structure, values in sums[place].items():
            parts = [f[place][structure] for f in folds if structure in f.get(place, {})]
            summary[place][structure] = {
                "drawn": values["drawn"],
                "pixels": values["pixels"],
                "nats_per_1000_pixels": {
                    group: {
                        "mean": 1000 * nats / values["pixels"],
                        "folds": [1000 * p["nats"][group] / p["pixels"] for p in parts],
                    }
                    for group, nats in values["nats"].items()
                },
            }
    return summary


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Numbers, and dictionaries of numbers, added key by key."""
    return {
        key: _sum(value, other[key]) if isinstance(value, dict) else value + other[key]
        for key, value in one.items()
    }
