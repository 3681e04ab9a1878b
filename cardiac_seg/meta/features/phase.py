"""What the mean says at the same place in the patient's other phase: ED informs ES."""

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureCase, FeatureSet
from cardiac_seg.meta.features.smoothing import smoothed

USES_COMPANIONS = True
SIGMA_MM = 3.0
PHASES = {"ED": 0.0, "ES": 1.0}


def names(features: FeatureSet) -> list[str]:
    """Which phase this is, and two columns per class."""
    other = [f"{how} {c}" for how in ("other", "other 3 mm") for c in features.classes]
    return ["ES", *other]


def values(case: FeatureCase) -> np.ndarray:
    """(pixels, 1 + 2 * classes): 0 at ED and 1 at ES; the other phase's mean, plain and smoothed.

    NaN where the phase is unknown, where there is no other one, or where that has another
    geometry.
    """
    count, mean = np.count_nonzero(case.pixels), case.other_phase_mean
    phase = np.full((count, 1), PHASES.get(case.beside.phase, np.nan), np.float32)
    if mean is None:
        return np.hstack([phase, np.full((count, 2 * len(case.features.classes)), np.nan)])
    smooth = smoothed(mean, SIGMA_MM, case.image.grid.spacing)
    return np.hstack([phase, mean[case.pixels], smooth[case.pixels]])
