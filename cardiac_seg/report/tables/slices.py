"""The slices that a learner moves against the calibrated mean, from the saved masks."""

import numpy as np
import pandas as pd

from cardiac_seg.report.pictures import read_case_masks
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.run.scored_cases import read_test_cases

COLUMNS = ["method", "against", "case", "slice", "slices", "structure"]
AREAS = ["better_mm2", "worse_mm2", "change_mm2"]


def moved_slices(run: Run, method: str, against: str) -> pd.DataFrame:
    """Every slice of a test case that two methods label differently, most repaired first.

    Args:
        run: A finished run.
        method: The learner.
        against: What it is compared with.

    Returns:
        method, against, case, slice (from 1), slices, structure (most pixels entered or left it),
        better_mm2 (now right), worse_mm2 (right before) and change_mm2, the difference, all on the
        native grid after postprocessing; equal changes by case and slice.
    """
    rows = []
    for case in read_test_cases(run).itertuples():
        masks, spacing = read_case_masks(run, case.path, [REFERENCE_MASKS, against, method])
        named = {"method": method, "against": against, "case": case.case}
        reference, before, after = masks.values()
        found = slice_changes(reference, before, after, spacing, run.dataset.structures)
        rows += [named | row for row in found]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *AREAS])
    return _in_order(table, ascending=False)


def slice_changes(
    reference: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    spacing: tuple[float, float, float],
    structures: tuple[str, ...],
) -> list[dict]:
    """What changes on each slice of a case that changes.

    Args:
        reference, before, after: (slices, height, width) native labels.
        spacing: (slice, row, column) in mm.
        structures: Names in label order.
    """
    area, rows = spacing[1] * spacing[2], []
    changed = before != after
    better = (changed & (after == reference)).sum((1, 2))
    worse = (changed & (before == reference)).sum((1, 2))
    for index in np.flatnonzero(changed.any((1, 2))).tolist():
        labels = range(1, len(structures) + 1)
        moved = [((before[index] == s) != (after[index] == s)).sum() for s in labels]
        rows.append(
            {
                "slice": index + 1,
                "slices": len(reference),
                "structure": structures[int(np.argmax(moved))],
                "better_mm2": better[index] * area,
                "worse_mm2": worse[index] * area,
                # Of whole pixels, so that equal changes are equal.
                "change_mm2": (int(better[index]) - int(worse[index])) * area,
            }
        )
    return rows


def largest(moved: pd.DataFrame, repairs: bool, count: int) -> pd.DataFrame:
    """The slices that are most repaired, or most harmed; none that only change sides."""
    kept = moved[moved.change_mm2 > 0] if repairs else moved[moved.change_mm2 < 0]
    return _in_order(kept, ascending=not repairs).head(count)


def _in_order(table: pd.DataFrame, ascending: bool) -> pd.DataFrame:
    by = ["change_mm2", "case", "slice"]
    return table.sort_values(by, ascending=[ascending, True, True], ignore_index=True)
