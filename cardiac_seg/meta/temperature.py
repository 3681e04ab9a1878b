"""Temperature scaling: one number per member that calibrates its probabilities."""

import numpy as np
from scipy.optimize import minimize_scalar

SMALLEST = 2.0**-24  # of float16, which maps are stored in; stands for a stored zero
RANGE = (0.2, 5.0)


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of logits divided by the temperature (Guo et al. 2017), from the probabilities.

    Args:
        probabilities: (..., classes) floats.
        temperature: Above 1 lowers the confidence, below 1 raises it; 1 returns the input as
            float32.

    Returns:
        (..., classes) float32.
    """
    probabilities = probabilities.astype(np.float32)
    if temperature == 1:
        return probabilities
    powered = np.maximum(probabilities, SMALLEST) ** np.float32(1 / temperature)
    return powered / powered.sum(-1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The temperature with the smallest weighted log-loss.

    Args:
        probabilities: (pixels, classes) floats.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for.
    """

    def loss(log_temperature: float) -> float:
        return log_loss(temper(probabilities, np.exp(log_temperature)), labels, weights)

    best = minimize_scalar(loss, bounds=np.log(RANGE), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(best.x))


def log_loss(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of -log of the true class's probability, in nats."""
    return float(np.average(pixel_losses(probabilities, labels), weights=weights))


def pixel_losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(pixels,) float64, -log of the true class's probability in nats."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, SMALLEST))
