"""Tables and measures made by hand."""

import numpy as np
import pandas as pd

from cardiac_seg.metrics.pixels import PixelSums
from cardiac_seg.report.tables.columns import METRICS

STRUCTURES = ("RV", "MYO", "LV")


QUALITY = {"optimism": 0.0, "review_below": 0.5}


def cases_table(rows, structures=STRUCTURES):
    """The table `cases` of (method, patient, phase, {structure: dice}); other metrics follow it."""
    made = []
    for method, patient, phase, dice in rows:
        for structure in structures:
            value = dice[structure] if isinstance(dice, dict) else dice
            about = {"case": f"{patient}_{phase}", "patient": patient, "view": "", "phase": phase}
            about |= {"group": "NOR", "method": method, "structure": structure}
            metrics = dict.fromkeys(METRICS, value)
            made.append(about | metrics | {"hd95_mm": 10 - 10 * value})
    return pd.DataFrame(made)


def counted(probabilities, label, spacing=(1.0, 1.0), control="mean"):
    """The sums of one case whose classes are two."""
    sums = PixelSums.zeros(len(probabilities), 2)
    pairs = {m: np.stack([1 - p, p], -1).astype(np.float32) for m, p in probabilities.items()}
    sums.add(list(pairs.values()), pairs[control], label, spacing)
    return sums
