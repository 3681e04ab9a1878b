"""How well the heart was found, and what of the reference the network grid leaves out."""

import pandas as pd

from cardiac_seg.run.folder import Run

NEAR_MM = 15.0  # a heart found so well lies whole in a field of the presets' size


def localisation_table(run: Run) -> pd.DataFrame:
    """A row for development and one for test cases, or one for all where nobody is held out.

    No row where the grid has no place of its own.

    Returns:
        subset, cases, the distance in mm from the middle of the field to that of the reference
        (median, largest, percent of cases within NEAR_MM), the percent of the reference outside the
        field (mean over cases, largest), and the number of cases whose field was moved or grown.
    """
    if run.config.preprocess.field != "heart" or not run.fields.is_file():
        return pd.DataFrame()
    table = pd.read_csv(run.fields, dtype={"patient": str})
    subset_of = run.split().set_index("patient").subset
    scored = run.scored
    table["subset"] = [scored if subset_of[p] == scored else "development" for p in table.patient]
    rows = []
    for subset, cases in table.groupby("subset", sort=True):
        beyond = cases.reference_beyond_percent
        rows.append(
            {
                "subset": subset,
                "cases": len(cases),
                "median_mm": cases.error_mm.median(),
                "largest_mm": cases.error_mm.max(),
                f"within_{NEAR_MM:g}_mm_percent": 100 * (cases.error_mm <= NEAR_MM).mean(),
                "reference_outside_percent": beyond.mean(),
                "largest_outside_percent": beyond.max(),
                "moved": int(cases.moved.sum()),
            }
        )
    return pd.DataFrame(rows)
