"""Tables of overlap and distances."""

import numpy as np
import pandas as pd

from cardiac_seg.metrics.overlap import REGIONS
from cardiac_seg.metrics.statistics import bootstrap_means, interval
from cardiac_seg.report.tables.columns import METRICS
from cardiac_seg.run.folder import Run


def patient_table(cases: pd.DataFrame) -> pd.DataFrame:
    """The mean of each patient's cases, for every method, structure and metric."""
    keys = ["method", "structure", "patient"]
    return cases.groupby(keys, as_index=False, sort=False)[list(METRICS)].mean()


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
                low, high = interval(draws[at].to_numpy()) or (np.nan, np.nan)
                rows.append(
                    {
                        "method": method,
                        "structure": structure,
                        "metric": metric,
                        "mean": means[at],
                        "low": low,
                        "high": high,
                        "patients": int(wide[at].notna().sum()),
                        "undefined_cases": int(undefined.loc[(method, structure), metric]),
                    }
                )
            every = [
                (metric, method, s) for s in structures if not np.isnan(means[metric, method, s])
            ]
            low, high = interval(draws[every].mean(axis=1).to_numpy()) or (np.nan, np.nan)
            rows.append(
                {
                    "method": method,
                    "structure": "mean",
                    "metric": metric,
                    "mean": means[every].mean(),
                    "low": low,
                    "high": high,
                    "patients": int(wide[metric][method].notna().any(axis=1).sum()),
                    "undefined_cases": int(undefined.loc[method, metric].sum()),
                }
            )
    return pd.DataFrame(rows)


def group_table(run: Run, cases: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Dice by what is known of the cases: the mean over the patients of each group.

    Returns:
        by, value, method, structure (`mean`: of the structures), dice, low, high, patients.
    """
    stratum = run.dataset.stratum
    known = cases.assign(**{stratum: cases.group.map(run.dataset.group_title)})
    by = [stratum if column == "stratum" else column for column in run.dataset.modality.groups_by]
    seed = run.config.seed
    tables = [_grouped(known, column, seed) for column in by]
    if len(regions):
        total = 2 * regions.tp + regions.fp + regions.fn
        dice = (2 * regions.tp / total.where(total > 0)).rename("dice")
        # Base, mid, apex; alphabetical order would mix them.
        table = _grouped(regions.assign(dice=dice), "region", seed)
        order = table.value.map({region: i for i, region in enumerate(REGIONS)})
        tables.append(table.iloc[np.argsort(order, kind="stable")])
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


def _grouped(cases: pd.DataFrame, column: str, seed: int) -> pd.DataFrame:
    """Dice by one column: mean over the patients of each group, with its interval."""
    known = cases[cases[column] != ""]
    keys = [column, "method", "structure"]
    wide = known.pivot_table("dice", "patient", keys, "mean", dropna=False, sort=False)
    draws = pd.DataFrame(bootstrap_means(wide.to_numpy(float), seed), columns=wide.columns)
    means, rows = wide.mean(), []
    for value, method in dict.fromkeys((v, m) for v, m, _ in sorted(wide.columns)):
        of = {s: [(value, method, s)] for s in dict.fromkeys(known.structure)}
        of["mean"] = [one[0] for one in of.values() if not np.isnan(means[one[0]])]
        for structure, some in of.items():
            low, high = interval(draws[some].mean(axis=1).to_numpy()) or (np.nan, np.nan)
            row = {"by": column, "value": value, "method": method, "structure": structure}
            row |= {"dice": means[some].mean(), "low": low, "high": high}
            rows.append(row | {"patients": int(wide[some].notna().any(axis=1).sum())})
    return pd.DataFrame(rows)
