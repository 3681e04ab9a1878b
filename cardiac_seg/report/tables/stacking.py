"""What each method reaches and costs, importance of features, training history."""

import numpy as np
import pandas as pd

from cardiac_seg.data.split import trained_folds
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import read_interpretation
from cardiac_seg.system.checked_reads import read_table


def history_table(run: Run) -> pd.DataFrame:
    """Loss and validation Dice of every training."""
    tables = [
        read_table(
            run.history(member, fold),
            dict.fromkeys(("epoch", "loss", "val_dice")),
            f"run train_ensemble.py --resume {run.folder} --stage train, which writes it again",
        ).assign(member=member, fold=fold)
        for member in run.config.members
        for fold in trained_folds(run.config)
        if run.history(member, fold).is_file()
    ]
    columns = ["member", "fold", "epoch", "loss", "val_dice"]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def importance_table(run: Run) -> pd.DataFrame:
    """Permutation importance of the feature groups, cross-fitted on development patients."""
    rows = []
    for method, evidence in read_interpretation(run).items():
        for group, value in evidence.get("importance", {}).items():
            row = {"method": method, "group": group, "mean": value["mean"]}
            rows.append(row | {"low": min(value["folds"]), "high": max(value["folds"])})
    return pd.DataFrame(rows, columns=["method", "group", "mean", "low", "high"])


def method_table(metrics: dict, costs: dict, subset: str) -> pd.DataFrame:
    """One row per method: Dice with intervals, the difference to the control, and what it costs.

    Args:
        metrics: Content of `metrics.json`.
        costs: `combining` of the manifest: seconds a test case and, of learners, number of
            features, seconds of fitting and MiB on disk.
        subset: `development` (cross-fitted) or `test`.

    Returns:
        Dice per patient on the native grid, each followed by the two ends of its interval.
    """
    rows = []
    for method, scores in metrics["subsets"][subset]["methods"].items():
        values = {**scores["dice_native_per_patient"], "mean": scores["mean_foreground_dice"]}
        intervals = dict(scores["interval_95"])
        intervals["mean"] = intervals.pop("mean_foreground_dice")
        if against := scores.get(f"against_{metrics['control']}"):
            values["difference"] = against["difference"]
            intervals["difference"] = against["interval_95"]
        row = {"method": method}
        for name, value in values.items():
            low, high = intervals[name] or (np.nan, np.nan)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row | costs.get(method, {}))
    return pd.DataFrame(rows)
