"""The numbers of a report's first screen: Dice, HD95 and ejection fraction with intervals."""

import numpy as np
import pandas as pd

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.metrics.statistics import bootstrap_means, interval
from cardiac_seg.report.tables.columns import ENSEMBLE
from cardiac_seg.run.folder import REFERENCE_MASKS

COLUMNS = ["measure", "structure", "value", "low", "high", "patients"]
EF = "lv_ef_percent"


def headline_table(
    summary: pd.DataFrame, clinical: pd.DataFrame, anatomy: Anatomy, seed: int
) -> pd.DataFrame:
    """What a reader looks for first, of the ensemble, with 95 % intervals over patients.

    Args:
        summary: The table `summary`.
        clinical: The table `clinical`.
        anatomy: The dataset's structures.
        seed: Of the bootstrap.

    Returns:
        measure, structure, value, low, high, patients; no EF where there is none.
    """
    rows = []
    for metric, name in (("dice", "Dice"), ("hd95_mm", "HD95 (mm)")):
        scores = summary[(summary.method == ENSEMBLE) & (summary.metric == metric)]
        scores = scores.set_index("structure").loc[[*anatomy.names, "mean"]]
        rows += [
            dict(zip(COLUMNS, (name, s, r.mean, r.low, r.high, r.patients), strict=True))
            for s, r in zip(scores.index, scores.itertuples(), strict=True)
        ]
    cavity = anatomy.name("lv_cavity")
    errors = ejection_fraction_errors(clinical)
    if len(errors):
        columns = np.column_stack([errors, np.abs(errors)])
        draws = bootstrap_means(columns, seed)
        for i, name in enumerate(("EF, bias (points)", "EF, mean absolute error (points)")):
            low, high = interval(draws[:, i]) or (np.nan, np.nan)
            value = columns[:, i].mean()
            rows.append(
                dict(zip(COLUMNS, (name, cavity, value, low, high, len(errors)), strict=True))
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def ejection_fraction_errors(clinical: pd.DataFrame) -> np.ndarray:
    """The ensemble's LV ejection fraction minus the reference masks', a value per patient.

    A patient counts where both volumes come by one method.
    """
    rows = clinical[clinical["index"] == EF]
    values = rows.pivot(index="patient", columns="method", values="value")
    if not {ENSEMBLE, REFERENCE_MASKS} <= set(values):
        return np.array([])
    by = rows.pivot(index="patient", columns="method", values="volume_method")
    same = by[ENSEMBLE] == by[REFERENCE_MASKS]
    return (values[ENSEMBLE] - values[REFERENCE_MASKS])[same].dropna().to_numpy(float)
