"""Tables of overlap and distances."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cardiac_seg.metrics.overlap import REGIONS, dice
from cardiac_seg.metrics.patient_means import patient_means, patients_by
from cardiac_seg.metrics.statistics import bootstrap_means, interval
from cardiac_seg.report.tables.columns import METRICS
from cardiac_seg.run.folder import Run


def patient_table(cases: pd.DataFrame) -> pd.DataFrame:
    """The mean of each patient's cases, for every method, structure and metric."""
    return patient_means(cases, ["method", "structure"], METRICS)


def summary_table(cases: pd.DataFrame, structures: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Mean over patients of every metric with its interval.

    Args:
        cases: The table `cases`.
        structures: In label order.
        seed: Of the bootstrap.

    Returns:
        method, structure (`mean`: of the structures), metric, mean, low, high, patients (with a
        value), undefined_cases.
    """
    patients = patient_table(cases)
    methods = list(dict.fromkeys(cases.method))
    wide = patients.pivot(index="patient", columns=["method", "structure"], values=list(METRICS))
    columns = [(x, m, s) for x in METRICS for m in methods for s in structures]
    wide = wide[columns].astype(float)
    means = wide.mean()
    draws = pd.DataFrame(bootstrap_means(wide.to_numpy(), seed), columns=wide.columns)
    undefined = cases[list(METRICS)].isna().groupby([cases.method, cases.structure]).sum()
    rows = []
    for metric in METRICS:
        for method in methods:
            for structure in structures:
                at = (metric, method, structure)
                patients = int(wide[at].notna().sum())
                low, high = _interval(draws[at].to_numpy(), patients)
                rows.append(
                    {
                        "method": method,
                        "structure": structure,
                        "metric": metric,
                        "mean": means[at],
                        "low": low,
                        "high": high,
                        "patients": patients,
                        "undefined_cases": int(undefined.loc[(method, structure), metric]),
                    }
                )
            every = [
                (metric, method, s) for s in structures if not np.isnan(means[metric, method, s])
            ]
            patients = int(wide[metric][method].notna().any(axis=1).sum())
            low, high = _interval(draws[every].mean(axis=1).to_numpy(), patients)
            rows.append(
                {
                    "method": method,
                    "structure": "mean",
                    "metric": metric,
                    "mean": means[every].mean(),
                    "low": low,
                    "high": high,
                    "patients": patients,
                    "undefined_cases": int(undefined.loc[method, metric].sum()),
                }
            )
    return pd.DataFrame(rows)


GROUPS = ["by", "value", "method", "structure", "dice", "low", "high", "patients"]


def group_table(run: Run, cases: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Dice by what is known of the cases: the mean over the patients of each group.

    Returns:
        by, value, method, structure (`mean`: of the structures), dice, low, high, patients. Values
        are sorted, but regions come base, mid, apex; methods come in the run's order, structures
        in label order.
    """
    stratum = run.dataset.stratum
    known = cases.assign(**{stratum: cases.group.map(run.dataset.group_title)})
    by = [stratum if column == "stratum" else column for column in run.dataset.modality.groups_by]
    order = list(dict.fromkeys(cases.method)), run.dataset.structures
    tables = [
        _grouped(known, column, sorted(set(known[column]) - {""}), *order, run.config.seed)
        for column in by
    ]
    if len(regions):
        sizes = regions.tp + regions.fn, regions.tp + regions.fp
        values = dice(regions.tp.to_numpy(), *(size.to_numpy() for size in sizes))
        known = regions.assign(dice=values)
        tables.append(_grouped(known, "region", REGIONS, *order, run.config.seed))
    return pd.concat(tables, ignore_index=True)


def confusion_table(pooled: dict[str, dict], classes: tuple[str, ...]) -> pd.DataFrame:
    """Pooled confusion; `share` is of the true class's pixels (rows sum to 1)."""
    rows = []
    for method, scores in pooled.items():
        counts = np.array(scores["confusion"])
        for truth, row in zip(classes, counts, strict=True):
            share = row / row.sum() if row.sum() else np.full(len(row), np.nan)
            rows += [
                {"method": method, "truth": truth, "predicted": c, "pixels": int(n), "share": s}
                for c, n, s in zip(classes, row, share, strict=True)
            ]
    return pd.DataFrame(rows)


def _grouped(
    cases: pd.DataFrame,
    column: str,
    values: Sequence[str],
    methods: Sequence[str],
    structures: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """Dice by one column: mean over the patients of each group, with its interval.

    Args:
        cases: patient, method, structure, dice and the column.
        column: What the cases are grouped by.
        values, methods, structures: Order of the rows; those that no case has are left out.
        seed: Of the bootstrap.
    """
    known = cases[cases[column] != ""]
    keys = [column, "method", "structure"]
    wide = patients_by(known, "dice", keys, sort=False)
    draws = pd.DataFrame(bootstrap_means(wide.to_numpy(float), seed), columns=wide.columns)
    means, rows = wide.mean(), []
    present = {(value, method) for value, method, _ in wide.columns}
    structures = [s for s in structures if s in set(known.structure)]
    for value, method in filter(present.__contains__, itertools.product(values, methods)):
        columns = {s: [(value, method, s)] for s in structures}
        columns["mean"] = [at[0] for at in columns.values() if not np.isnan(means[at[0]])]
        for structure, at in columns.items():
            patients = int(wide[at].notna().any(axis=1).sum())
            low, high = _interval(draws[at].mean(axis=1).to_numpy(), patients)
            row: dict[str, Any] = {
                "by": column,
                "value": value,
                "method": method,
                "structure": structure,
            }
            scores = {"dice": means[at].mean(), "low": low, "high": high, "patients": patients}
            rows.append(row | scores)
    return pd.DataFrame(rows, columns=GROUPS)


def _interval(draws: np.ndarray, patients: int) -> tuple[float, float]:
    """The ends of the interval; undefined for one patient, whose draws are all alike."""
    low, high = (interval(draws) if patients > 1 else None) or (np.nan, np.nan)
    return low, high
