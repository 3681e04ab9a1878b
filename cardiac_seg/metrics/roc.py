"""Bins of probability that ROC curves are counted in."""

import numpy as np

HALF = int(np.float16(0.5).view(np.uint16))
ROC_BINS = (2 * HALF >> 3) + 1  # of probability, see `probability_bins`


def probability_bins(probabilities: np.ndarray) -> np.ndarray:
    """Bins that get narrower towards 0 and 1, where most pixels lie.

    The bits of a positive float16 grow with it, so their upper part is a logarithmic scale (eight
    values of float16 a bin); above 0.5 it is that of 1 - p.

    Args:
        probabilities: Floats from 0 to 1.

    Returns:
        Integers from 0 to ROC_BINS - 1, growing with the probability.
    """
    smaller = np.minimum(probabilities, 1 - probabilities).astype(np.float16)
    bits = smaller.view(np.uint16).astype(np.int64)
    bins: np.ndarray = np.where(probabilities <= 0.5, bits, 2 * HALF - bits) >> 3
    return bins
