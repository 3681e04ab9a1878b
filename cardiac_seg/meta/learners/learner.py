"""A fitted learner in use: no more than its features, and a function from them to probabilities."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardiac_seg.system.errors import UserError, stack_again


@dataclass(frozen=True)
class Learner:
    """A fitted learner.

    Attributes:
        features: The names of the columns it was fitted on.
        classes: Number of classes.
        seconds: What fitting took.
        model: From (pixels, features) float32 to (pixels, classes) float32 probabilities, 0 for a
            class that no pixel it was fitted on had; called with one pixel at least.
    """

    features: list[str]
    classes: int
    seconds: float
    model: Callable[[np.ndarray], np.ndarray]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities.

        Args:
            features: (pixels, features) float32.

        Returns:
            (pixels, classes) float32.
        """
        if not len(features):
            return np.zeros((0, self.classes), np.float32)
        return self.model(features)


def check_learner(path: Path, learner: Learner, features: list[str], classes: int) -> None:
    """Refuses a learner that was fitted for another run.

    Args:
        path: Where it was read from.
        learner: The learner.
        features: The names it must have been fitted on, in order.
        classes: The number of classes it must tell apart.

    Raises:
        UserError: If it was fitted on others.
    """
    if learner.features == features and learner.classes == classes:
        return
    other = sorted(set(learner.features) ^ set(features))
    named = f" (different: {other[0]})" if other else ""
    raise UserError(
        f"{path}: fitted on {len(learner.features)} features and {learner.classes} classes, the "
        f"run has {len(features)} and {classes}{named}; restore its file or "
        f"{stack_again(path.parent.parent)}"
    )
