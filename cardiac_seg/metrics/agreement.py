"""How two sets of measurements agree (Bland and Altman)."""

import numpy as np


def agreement(values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Agreement of paired measurements (Bland & Altman 1986, doi 10.1016/S0140-6736(86)90837-8).

    Args:
        values: (patients,) floats; a pair with a NaN is left out.
        reference: (patients,) floats.

    Returns:
        `patients` (int, the pairs), `r` (Pearson; NaN below three pairs or if one side is
        constant), `bias` (mean of values - reference), `sd` of the differences (ddof 1), the
        limits of agreement `low` and `high` (bias -+ 1.96 sd), and the mean absolute difference
        `mae`; NaN where there are too few pairs.

    Raises:
        ValueError: If the arrays are not one-dimensional or differ in length.
    """
    values, reference = np.asarray(values, float), np.asarray(reference, float)
    if values.ndim != 1 or values.shape != reference.shape:
        raise ValueError(f"arrays of shape {values.shape} and {reference.shape}; expected pairs")
    known = ~(np.isnan(values) | np.isnan(reference))
    values, reference = values[known], reference[known]
    patients, difference = len(values), values - reference
    r = bias = sd = mae = np.nan
    if patients:
        bias, mae = difference.mean(), np.abs(difference).mean()
    if patients > 1:
        sd = difference.std(ddof=1)
    if patients > 2 and np.ptp(values) and np.ptp(reference):
        r = np.corrcoef(values, reference)[0, 1]
    values_by_name = {
        "r": r,
        "bias": bias,
        "sd": sd,
        "low": bias - 1.96 * sd,
        "high": bias + 1.96 * sd,
        "mae": mae,
    }
    return {"patients": patients} | {name: float(value) for name, value in values_by_name.items()}
