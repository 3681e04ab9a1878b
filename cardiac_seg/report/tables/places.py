"""Tables of what the learners look at and change, by place and structure."""

import pandas as pd

from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import read_interpretation

IMPORTANCE = ["method", "group", "structure", "place", "nats_per_1000_pixels", "low", "high"]
CHANGES = ["method", "structure", "place", "pixels", "changed", "better", "worse"]


def importance_places_table(run: Run) -> pd.DataFrame:
    """Permutation importance by place, cross-fitted; see `meta.places.importance_by_place`.

    Returns:
        method, group, structure, place, nats_per_1000_pixels, low and high (range over the folds),
        pixels, drawn; without rows for a run of an earlier version.
    """
    rows = []
    for method, notes in read_interpretation(run).items():
        for place, by_structure in notes.get("importance_by_place", {}).items():
            for structure, found in by_structure.items():
                for group, value in found["nats_per_1000_pixels"].items():
                    rows.append(
                        {
                            "method": method,
                            "group": group,
                            "structure": structure,
                            "place": place,
                            "nats_per_1000_pixels": value["mean"],
                            "low": min(value["folds"]),
                            "high": max(value["folds"]),
                            "pixels": found["pixels"],
                            "drawn": found["drawn"],
                        }
                    )
    return pd.DataFrame(rows, columns=[*IMPORTANCE, "pixels", "drawn"])


def change_places_table(run: Run) -> pd.DataFrame:
    """Pixels changed against the calibrated mean; see `meta.places.changes_by_place`."""
    rows = [
        {"method": method, "structure": structure, "place": place} | counts
        for method, notes in read_interpretation(run).items()
        for place, by_structure in notes.get("changes_by_place", {}).items()
        for structure, counts in by_structure.items()
    ]
    return pd.DataFrame(rows, columns=CHANGES)
