"""Tables of ROC, calibration and changed pixels."""

from typing import Any

import numpy as np
import pandas as pd

from cardiac_seg.metrics.calibration import calibration_summary
from cardiac_seg.metrics.pixels import AREAS, DISTANCES_MM, OUTCOMES
from cardiac_seg.metrics.statistics import bootstrap_means, interval

ROC_POINTS = 300


def roc_tables(
    ranked: dict[str, np.ndarray], classes: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One-vs-rest ROC curves and their areas from binned probabilities.

    Args:
        ranked: Method -> (classes, 2, bins) pixels by probability; others first, then the class.
        classes: Names.

    Returns:
        Curves, thinned to `ROC_POINTS`, and areas by the trapezoid rule over all bins. Pixels
        of one bin are ties; the true area lies within `error_bound` of the stated one, half of
        the share of pairs that are in one bin.
    """
    curves, areas = [], []
    for method, counts in ranked.items():
        for name, (negative, positive) in zip(classes, counts, strict=True):
            false, true = (np.concatenate([[0], np.cumsum(c[::-1])]) for c in (negative, positive))
            if not false[-1] or not true[-1]:
                areas.append(
                    {"method": method, "class": name, "auc": np.nan, "error_bound": np.nan}
                )
                continue
            tied = (negative / false[-1] * (positive / true[-1])).sum() / 2
            fpr, tpr = false / false[-1], true / true[-1]
            auc = float(np.trapezoid(tpr, fpr))
            areas.append({"method": method, "class": name, "auc": auc, "error_bound": tied})
            # Equal steps along the curve as it is drawn, over the logarithm of false positives.
            drawn = np.log10(np.maximum(fpr, 1e-6)) / 6
            length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(drawn), np.diff(tpr)))])
            wanted = np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS))
            kept = np.unique(np.minimum(wanted, len(fpr) - 1))
            curve = {"method": method, "class": name}
            curve |= {"false_positive_rate": fpr[kept], "true_positive_rate": tpr[kept]}
            curves.append(pd.DataFrame(curve))
    columns = ["method", "class", "false_positive_rate", "true_positive_rate"]
    curves = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=columns)
    return curves, pd.DataFrame(areas)


def calibration_tables(
    bins: dict[str, np.ndarray], brier: dict[str, np.ndarray], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reliability by bin of confidence, and expected calibration error and Brier score.

    Args:
        bins: Method -> (patients, areas, bins, 3) pixels, summed confidence, right pixels.
        brier: Method -> (patients, areas) summed squared errors of all classes (Brier 1950).
        seed: Of the bootstrap.

    Returns:
        The lines of a reliability diagram, and per method and area: pixels, ece, brier, each of
        the two with its interval over patients (`ece_low`, ...). All are of the patients' pixels
        together; a patient's own calibration error is in `calibration_patients`.
    """
    lines, scores = [], []
    for method, counts in bins.items():
        for area, of_patients, squares in zip(
            AREAS, counts.swapaxes(0, 1), brier[method].T, strict=True
        ):
            pixels, confidence, right = of_patients.sum(axis=0).T
            filled = pixels > 0
            line = {"method": method, "area": area, "bin": np.flatnonzero(filled)}
            line |= {"pixels": pixels[filled].astype(int)}
            line |= {"confidence": confidence[filled] / pixels[filled]}
            line |= {"accuracy": right[filled] / pixels[filled]}
            lines.append(pd.DataFrame(line))
            total = pixels.sum()
            row = {"method": method, "area": area, "pixels": int(total)}
            row |= {"ece": calibration_error(of_patients.sum(axis=0))}
            row |= {"brier": squares.sum() / total if total else np.nan}
            # A draw's sums are its means times the number of patients: ratios stay.
            sums = np.column_stack([of_patients.reshape(len(squares), -1), squares])
            draws = bootstrap_means(sums, seed)
            drawn = draws[:, :-1].reshape(len(draws), *of_patients.shape[1:])
            drawn_pixels = drawn[..., 0].sum(axis=1)
            apart = np.abs(drawn[..., 1] - drawn[..., 2]).sum(axis=1)
            for name, sizes in (("ece", apart), ("brier", draws[:, -1])):
                share = np.divide(
                    sizes, drawn_pixels, out=np.full(len(draws), np.nan), where=drawn_pixels > 0
                )
                low, high = interval(share) or (np.nan, np.nan)
                row |= {f"{name}_low": low, f"{name}_high": high}
            scores.append(row)
    return pd.concat(lines, ignore_index=True), pd.DataFrame(scores)


def change_table(changes: dict[str, np.ndarray]) -> pd.DataFrame:
    """Pixels whose class a combination changes against the mean, and whether for the better."""
    bounds = zip(DISTANCES_MM[:-1], DISTANCES_MM[1:], strict=True)
    names = [f"{a:g}-{b:g} mm" if np.isfinite(b) else f"over {a:g} mm" for a, b in bounds]
    rows = []
    for method, counts in changes.items():
        for name, row in zip(names, counts, strict=True):
            outcome = dict(zip(OUTCOMES, map(int, row), strict=True))
            rows.append({"method": method, "distance": name, "changed": int(row.sum()), **outcome})
    return pd.DataFrame(rows, columns=["method", "distance", "changed", *OUTCOMES])


def calibration_error(bins: np.ndarray) -> float:
    """Of (bins, 3) sums; NaN without pixels."""
    if not bins[:, 0].sum():
        return np.nan
    counts: dict[str, Any] = {"bins": bins, "predicted": [], "observed": []}
    return calibration_summary(counts)["expected_calibration_error"]
