"""What a run withstands: the table of perturbed cases, summed up."""

import numpy as np
import pandas as pd

from cardiac_seg.run.stress_table import AS_IS

LOST = 0.05  # Dice that a case may lose against itself as it is


def summarize_stress(table: pd.DataFrame) -> pd.DataFrame:
    """One row per perturbation and strength, the images as they are first.

    Args:
        table: See `run.stress_table.read_stress`.

    Returns:
        perturbation, strength, unit; cases; dice and predicted_dice, means over the cases;
        reviewed, the share whose predicted Dice asks for a review; lost, the share that lost more
        than 0.05 Dice against the case as it is; noticed, the share of these that are reviewed, NaN
        where there are none.
    """
    own = table[table.perturbation == AS_IS].set_index("case").dice
    table = table.assign(
        reviewed=table.review == "yes", lost=own[table.case].to_numpy() - table.dice > LOST
    )
    rows = []
    for (name, strength), cases in table.groupby(["perturbation", "strength"], sort=False):
        rows.append(
            {
                "perturbation": name,
                "strength": strength,
                "unit": "" if name == AS_IS else cases.unit.iloc[0],
                "cases": len(cases),
                "dice": cases.dice.mean(),
                "predicted_dice": cases.predicted_dice.mean(),
                "reviewed": cases.reviewed.mean(),
                "lost": cases.lost.mean(),
                "noticed": cases.reviewed[cases.lost].mean() if cases.lost.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)
