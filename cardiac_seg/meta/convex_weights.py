"""The convex weights of the weighted mean."""

import numpy as np
from scipy.optimize import minimize

from cardiac_seg.meta.temperature import SMALLEST


def fit_weights(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The convex combination of the members with the smallest weighted log-loss.

    The loss is convex in the weights, so the optimum is the only one.

    Args:
        probabilities: (members, pixels, classes) floats.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for.

    Returns:
        (members,) float64, not negative, sum 1.
    """
    true = probabilities[:, np.arange(len(labels)), labels].astype(np.float64)
    true = np.maximum(true, SMALLEST)
    portions = weights / weights.sum()

    def loss(shares: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = shares @ true
        return -portions @ np.log(mixed), -true @ (portions / mixed)

    best = minimize(
        loss,
        np.full(len(true), 1 / len(true)),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(true),
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-10},
    )
    shares = np.clip(best.x, 0, 1)
    return shares / shares.sum()
