"""What patients say about methods: intervals over patients, paired tests, and their correction."""

import warnings

import numpy as np
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95


def bootstrap_means(values: np.ndarray, seed: int) -> np.ndarray:
    """The mean over patients in many draws of patients with replacement (Efron 1979).

    All columns are drawn together, so the difference of two columns' draws is paired.

    Args:
        values: (patients, columns) floats, NaN where undefined; left out of the mean.
        seed: Of the draws.

    Returns:
        (RESAMPLES, columns) float64; NaN where a draw took no patient with a value, and
        everywhere if there are fewer than two patients.
    """
    patients = len(values)
    if patients < 2:
        return np.full((RESAMPLES, values.shape[1]), np.nan)
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)

    def means(drawn: np.ndarray, axis: int) -> np.ndarray:
        # How often each patient was drawn makes the sums of all columns matrix products.
        times = (drawn[..., None] == np.arange(patients)).sum(-2).astype(float)
        sums, counts = times @ filled, times @ defined
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        return np.moveaxis(means, -1, 0)

    with warnings.catch_warnings():  # that a column is constant or undefined in some draws
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        drawn = stats.bootstrap(
            (np.arange(patients),),
            means,
            n_resamples=RESAMPLES,
            batch=500,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    replicates: np.ndarray = drawn.bootstrap_distribution.T
    return replicates


def interval(replicates: np.ndarray) -> list[float] | None:
    """The percentile interval of bootstrap replicates; None where undefined."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return None
    tail = (1 - LEVEL) / 2
    return [float(v) for v in np.quantile(defined, (tail, 1 - tail))]


def wilcoxon(differences: np.ndarray) -> tuple[float, float]:
    """Paired test over patients and its effect size.

    Args:
        differences: (patients,) paired differences; NaN and zeros are left out (Wilcoxon 1945).

    Returns:
        Two-sided p value of the signed-rank test, and the matched-pairs rank-biserial
        correlation (Kerby 2014): the share of ranks in favour minus the share against, -1 to 1.
        (1, 0) where no pair differs, (NaN, NaN) where there is no pair.
    """
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        return np.nan, np.nan
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0, 0.0
    ranks = stats.rankdata(np.abs(differences))
    effect = (ranks * np.sign(differences)).sum() / ranks.sum()
    return float(stats.wilcoxon(differences).pvalue), float(effect)


def holm(p_values: list[float]) -> list[float]:
    """P values corrected for the number of tests (Holm 1979); NaN counts for none."""
    p = np.asarray(p_values, float)
    adjusted, order = p.copy(), np.argsort(p)
    tests = int((~np.isnan(p)).sum())
    largest = 0.0
    for rank, i in enumerate(order[:tests]):
        largest = max(largest, min(1.0, (tests - rank) * p[i]))
        adjusted[i] = largest
    return [float(p) for p in adjusted]
