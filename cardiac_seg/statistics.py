"""Intervals over patients: what another draw of patients might have given."""

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


def resample(patients: int, seed: int) -> np.ndarray:
    """Bootstrap draws, as how often each patient is taken.

    Args:
        patients: Number of patients.
        seed: One seed for all models, so that differences are paired.

    Returns:
        (RESAMPLES, patients) float64 counts; rows sum to `patients`.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1 / patients), RESAMPLES).astype(float)


def bootstrap_means(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The mean over patients in every draw; undefined values are left out.

    Args:
        values: (patients, columns) floats, NaN where undefined.
        draws: From `resample`.

    Returns:
        (RESAMPLES, columns) float64; NaN where a draw took no patient with a value.
    """
    defined = ~np.isnan(values)
    taken = draws @ defined
    sums = draws @ np.where(defined, values, 0.0)
    return np.divide(sums, taken, out=np.full(sums.shape, np.nan), where=taken > 0)


def interval(replicates: np.ndarray) -> list[float] | None:
    """The percentile interval of bootstrap replicates (Efron 1979); None where undefined."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return None
    tail = (1 - LEVEL) / 2
    return [float(v) for v in np.quantile(defined, (tail, 1 - tail))]
