"""Where boosting of the mean starts: scores whose softmax is the mean of the members' maps."""

import numpy as np

from cardiac_seg.meta.temperature import SMALLEST

GROUP = "probability: "  # of the leading features, a column per member and class, calibrated


def members_of(names: list[str], classes: int) -> int:
    """How many members the features are of.

    Args:
        names: The features' names.
        classes: Number of classes.

    Raises:
        ValueError: If the features do not begin with all members' probabilities of all classes.
    """
    columns = sum(name.startswith(GROUP) for name in names)
    if not columns or columns % classes or not all(n.startswith(GROUP) for n in names[:columns]):
        raise ValueError("features that do not begin with the members' probabilities")
    return columns // classes


def log_mean(features: np.ndarray, members: int, classes: int) -> np.ndarray:
    """(pixels, classes) float64, the log of the mean over the members, in nats.

    Args:
        features: (pixels, features), the members' probabilities first.
        members: Number of members.
        classes: Number of classes.
    """
    maps = features[:, : members * classes].reshape(-1, members, classes)
    return np.log(np.maximum(maps.mean(1, dtype=np.float64), SMALLEST))


def softmax(scores: np.ndarray, axis: int = 1) -> np.ndarray:
    """Probabilities of scores, whose classes lie along an axis."""
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
