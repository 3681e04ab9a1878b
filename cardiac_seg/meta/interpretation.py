"""How often the learners overrule the mean, which features they use, and their confidence."""

from dataclasses import dataclass

import numpy as np

from cardiac_seg.meta.features.feature_set import FeatureSet
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.temperature import pixel_losses

MAX_PIXELS = 20_000  # for permutation importance


def count_changes(label: np.ndarray, mean: np.ndarray, mask: np.ndarray) -> dict[str, int]:
    """Pixels whose class a method changes against the mean.

    Args:
        label, mean, mask: Integer arrays of one shape: the reference and the two masks.

    Returns:
        `pixels` in all, `changed`, and of these `better` (now right) and `worse` (right before).
    """
    changed = mask != mean
    return {
        "pixels": int(label.size),
        "changed": int(changed.sum()),
        "better": int((changed & (mask == label)).sum()),
        "worse": int((changed & (mean == label)).sum()),
    }


def count_errors(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, int]:
    """Pixels that two masks get wrong, alone and together.

    Args:
        label, first, second: Integer arrays of one shape: the reference and the two masks.
    """
    wrong = first != label, second != label
    return {
        "pixels": int(label.size),
        "first": int(wrong[0].sum()),
        "second": int(wrong[1].sum()),
        "both": int((wrong[0] & wrong[1]).sum()),
    }


def error_correlation(counts: dict[str, int]) -> float | None:
    """Pearson's correlation of two masks' errors (phi); None where one makes none.

    Two members gain most from each other where it is low: their average then errs less than each.

    Args:
        counts: Sums of `count_errors`.
    """
    n, first, second = (counts[key] for key in ("pixels", "first", "second"))
    spread = float(first) * (n - first) * second * (n - second)
    return (n * counts["both"] - first * second) / spread**0.5 if spread else None


@dataclass(frozen=True)
class PermutedLosses:
    """How much each pixel's log-loss grows when the columns of a feature group are shuffled.

    Attributes:
        drawn: (n,) indices of the pixels; all, or MAX_PIXELS drawn of more.
        weights: (n,) how many pixels each stands for, those that were not drawn among them.
        increase: Feature group -> (n,) float64 nats.
    """

    drawn: np.ndarray
    weights: np.ndarray
    increase: dict[str, np.ndarray]

    @property
    def importance(self) -> dict[str, float]:
        """Group -> weighted mean in nats; 0 where there is no pixel."""
        if not len(self.drawn):
            return dict.fromkeys(self.increase, 0.0)
        return {g: float(np.average(v, weights=self.weights)) for g, v in self.increase.items()}


def permuted_losses(
    learner: Learner,
    features: FeatureSet,
    values: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> PermutedLosses:
    """Shuffles each group's columns together, once over all pixels (Breiman 2001).

    Args:
        learner: Fitted on `features`.
        features: The feature set.
        values: (pixels, features) float32 of patients the learner was not fitted on.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for.
        seed: Of the shuffles.
    """
    rng, drawn = np.random.default_rng(seed), np.arange(len(labels))
    if not len(labels):
        return PermutedLosses(drawn, weights, {group: np.zeros(0) for group in features.groups})
    if len(labels) > MAX_PIXELS:
        drawn = rng.choice(len(labels), MAX_PIXELS, replace=False)
        weights = weights * (len(labels) / MAX_PIXELS)
    values, labels, weights = values[drawn], labels[drawn], weights[drawn]
    plain, increase = pixel_losses(learner.predict(values), labels), {}
    for group in features.groups:
        columns, shuffled = features.columns(group), values.copy()
        shuffled[:, columns] = values[rng.permutation(len(values)), columns]
        increase[group] = pixel_losses(learner.predict(shuffled), labels) - plain
    return PermutedLosses(drawn, weights, increase)
