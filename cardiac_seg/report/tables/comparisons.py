"""Paired comparisons over patients."""

import numpy as np
import pandas as pd

from cardiac_seg.metrics.patient_means import average_cases
from cardiac_seg.metrics.statistics import bootstrap_means, holm, interval, wilcoxon
from cardiac_seg.report.tables.columns import ENSEMBLE, SMALLER_IS_BETTER
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import calibrated_control, control_of, final_method, methods_of

SIGNIFICANT = 0.05
COMPARISON = [
    *("role", "method", "against", "metric", "patients", "method_value", "against_value"),
    *("difference", "low", "high", "p", "p_holm", "effect", "verdict", "excluded"),
]


def comparison_table(
    run: Run, cases: pd.DataFrame, calibration_patients: pd.DataFrame
) -> pd.DataFrame:
    """Paired comparisons over patients; the same postprocessing on both sides.

    Primary: the ensemble's Dice against that of the calibrated mean (of the mean where no
    temperature is fitted), one test. Secondary: its HD95 and band calibration error against the
    same, and all three against the mean. Exploratory: the Dice of every other method against the
    mean. P values are corrected (Holm) inside each role.

    Args:
        run: The run.
        cases: The table `cases`.
        calibration_patients: method, patient, band_ece.

    Returns:
        role, method, against, metric, patients, method_value, against_value, difference (method
        minus control), low, high, p, p_holm, effect (positive: the method is better), verdict, see
        `verdict`, excluded, see `compare`. No rows where there is nothing to combine.
    """
    control, calibrated, methods = control_of(run), calibrated_control(run), methods_of(run)
    if len(run.config.members) == 1:
        return pd.DataFrame(columns=COMPARISON)
    final = final_method(run)
    planned = [("primary", calibrated, "dice"), ("secondary", calibrated, "hd95_mm")]
    planned += [("secondary", calibrated, "band_ece")]
    if control != calibrated:
        planned += [("secondary", control, m) for m in ("dice", "hd95_mm", "band_ece")]
    # A method is not tested against itself.
    tests = [(role, ENSEMBLE, against, m) for role, against, m in planned if against != final]
    others = [m for m in methods if m not in (control, final)]
    tests += [("exploratory", m, control, "dice") for m in others]
    values = paired_values(cases, calibration_patients)
    rows = [
        {"role": role, "method": method, "against": against, "metric": metric}
        | compare(values[metric][method], values[metric][against], metric, run.config.seed)
        for role, method, against, metric in tests
    ]
    return corrected(pd.DataFrame(rows))[COMPARISON]


def paired_values(
    cases: pd.DataFrame, calibration_patients: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Metric -> ((patient, case), (method, structure)) values that comparisons are made of."""
    calibration = calibration_patients.assign(case="all", structure="all")
    tables = {"dice": cases, "hd95_mm": cases, "band_ece": calibration}
    return {
        metric: table.pivot(
            index=["patient", "case"], columns=["method", "structure"], values=metric
        )
        for metric, table in tables.items()
    }


def corrected(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Adds p_holm, inside each role, and the verdict."""
    for _, family in comparisons.groupby("role"):
        comparisons.loc[family.index, "p_holm"] = holm(family.p.tolist())
    verdicts = [verdict(row) for row in comparisons.itertuples()]
    return comparisons.assign(verdict=verdicts)


def verdict(row) -> str:
    """`better` or `worse` where the interval is on one side and p_holm below .05."""
    if not row.p_holm < SIGNIFICANT or not (row.low > 0 or row.high < 0):
        return "not shown"
    better = row.high < 0 if row.metric in SMALLER_IS_BETTER else row.low > 0
    return "better" if better else "worse"


def compare(method: pd.DataFrame, control: pd.DataFrame, metric: str, seed: int) -> dict:
    """A paired comparison over patients.

    Args:
        method, control: (cases, structures) values, patients the first level of the index; NaN
            where undefined. A case counts where both are defined: a method that fails on a hard
            case must not gain by leaving it out.
        metric: Says which direction is better.
        seed: Of the bootstrap.

    Returns:
        patients, method_value and against_value (means over these pairs), difference (mean of a
        patient's cases, of patients, of structures), low, high, p, effect, excluded (pairs of
        which only one side is defined).
    """
    defined = method.notna() & control.notna()
    excluded = int((method.notna() ^ control.notna()).sum().sum())
    sides = [average_cases(side.where(defined)) for side in (method, control)]
    apart = sides[0] - sides[1]
    apart = apart.loc[:, apart.notna().any()]
    per_patient = apart.mean(axis=1).to_numpy(float)
    low, high = np.nan, np.nan
    if apart.size:
        draws = bootstrap_means(apart.to_numpy(float), seed)
        low, high = interval(draws.mean(axis=1)) or (np.nan, np.nan)
    p, effect = wilcoxon(-per_patient if metric in SMALLER_IS_BETTER else per_patient)
    return {
        "patients": int((~np.isnan(per_patient)).sum()),
        "method_value": sides[0].mean().mean(),
        "against_value": sides[1].mean().mean(),
        "difference": apart.mean().mean(),
        "low": low,
        "high": high,
        "p": p,
        "effect": effect,
        "excluded": excluded,
    }
