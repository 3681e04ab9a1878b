"""Tables of predicted Dice, risk and coverage."""

import numpy as np
import pandas as pd

from cardiac_seg.report.tables.columns import ENSEMBLE


def quality_table(quality: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Predicted beside true quality of each case, those to review first on top."""
    ensemble = cases[cases.method == ENSEMBLE]
    table = quality.assign(dice=quality.case.map(ensemble.groupby("case").dice.mean()))
    table = table.sort_values(["predicted_dice", "case"], ignore_index=True)
    return table.assign(review_rank=table.index + 1)


def risk_coverage(quality: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Risk of the cases kept when those with the lowest predicted quality are set aside.

    Returns:
        score, coverage, risk (mean of 1 - Dice of the covered cases), of each predicted score,
        of the oracle that knows the Dice and of a random order; and per score its correlation
        with the true Dice, bias and mean absolute error of the one that is a Dice itself, and the
        area under its curve, the mean risk over all coverages (Geifman and El-Yaniv 2017; smaller
        is better).
    """
    known = quality[quality.dice.notna()]
    dice, n = known.dice.to_numpy(), len(known)
    scores = {
        "pairwise_dice": known.pairwise_dice.to_numpy(float),
        "boundary_entropy": -known.boundary_entropy.to_numpy(float),
        "predicted_dice": known.predicted_dice.to_numpy(float),
        "oracle": dice,
    }
    curves, agreed = [], []
    for name, score in scores.items():
        if not n or np.isnan(score).all():
            continue
        order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
        risk = np.cumsum(1 - dice[order]) / np.arange(1, n + 1)
        curves.append((name, risk))
        # The entropy as it is: it falls where the Dice rises.
        plain = known.get(name, known.dice)
        constant = n < 3 or plain.nunique() < 2 or known.dice.nunique() < 2
        spearman, pearson = (
            np.nan if constant else plain.corr(known.dice, method=m)
            for m in ("spearman", "pearson")
        )
        row = {"score": name, "spearman": spearman, "pearson": pearson}
        if name == "predicted_dice":  # the only one that is a Dice
            row["bias"], row["mae"] = (plain - known.dice).mean(), (plain - known.dice).abs().mean()
        agreed.append(row)
    if n:
        curves.append(("random", np.full(n, (1 - dice).mean())))
        agreed.append({"score": "random", "spearman": np.nan, "pearson": np.nan})
    coverage = np.arange(1, n + 1) / max(n, 1)
    tables = [pd.DataFrame({"score": s, "coverage": coverage, "risk": r}) for s, r in curves]
    table = pd.DataFrame(columns=["score", "coverage", "risk"])
    table = pd.concat(tables, ignore_index=True) if tables else table
    areas = [
        {**row, "aurc": float(risk.mean())} for row, (_, risk) in zip(agreed, curves, strict=True)
    ]
    columns = ["score", "spearman", "pearson", "bias", "mae", "aurc"]
    return table, pd.DataFrame(areas, columns=columns)
