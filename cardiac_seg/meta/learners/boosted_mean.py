"""Gradient boosting that starts from the calibrated mean, and learns corrections of it alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cardiac_seg.config.sections import Stacking
from cardiac_seg.config.sections.stacking import BoostedMean
from cardiac_seg.meta.learners.log_mean import log_mean, members_of, softmax
from cardiac_seg.meta.learners.trees import Trees


@dataclass(frozen=True)
class BoostedModel:
    """Softmax of the mean's log and what the trees add to it.

    Attributes:
        members: Number of members.
        classes: Number of classes.
        trees: The corrections; none where none was shown to help.
    """

    members: int
    classes: int
    trees: Trees

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(pixels, classes) float32 from (pixels, features) float32."""
        scores = log_mean(features, self.members, self.classes)
        self.trees.add_to(scores, features)
        return softmax(scores).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored of it, beside its names and classes."""
        return self.trees.arrays()


def read(stored: Any, names: list[str], classes: int) -> BoostedModel:
    """A model from a file.

    Args:
        stored: What `BoostedModel.arrays` gave.
        names: The features it was fitted on.
        classes: Number of classes.

    Raises:
        ValueError: If it is none, or leads outside its arrays.
    """
    members = members_of(names, classes)
    return BoostedModel(members, classes, Trees.checked(stored, len(names), classes))


def fit(
    settings: Stacking,
    features: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    patients: np.ndarray,
    names: list[str],
    classes: int,
    seed: int,
) -> BoostedModel:
    """Fits the corrections; their number and size are those that help patients left out.

    Args:
        settings: The `stacking` section.
        features: (pixels, features) float32, NaN where missing; the members' probabilities first.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for, on average 1.
        patients: (pixels,) whole numbers, equal for pixels of one patient.
        names: The features' names.
        classes: Number of classes.
        seed: Draws the groups of patients and the trees' features.
    """
    from cardiac_seg.meta.learners.boosting_choice import choose
    from cardiac_seg.meta.learners.tree_growth import Boosting, BoostingPixels, binned

    own, members = settings.boosted_mean, members_of(names, classes)
    start = np.ascontiguousarray(log_mean(features, members, classes).T)
    columns = np.ascontiguousarray(features.T, np.float32)
    numbers = np.unique(patients, return_inverse=True)[1]
    pixels = BoostingPixels(columns, labels, weights.astype(np.float64), numbers)
    data = binned(pixels, own, classes, seed)
    least = patients_of_a_leaf(own, int(numbers.max()) + 1)

    def begin(rows: np.ndarray, leaves: int) -> Boosting:
        return Boosting(pixels, data, rows, start, own, leaves, least, seed)

    leaves, rounds = choose(pixels, begin, own.leaves, own.rounds, seed)
    whole = begin(np.arange(len(labels)), leaves)
    for _ in range(rounds):
        whole.advance()
    return BoostedModel(members, classes, Trees.of(whole.trees, whole.of_class))


def patients_of_a_leaf(settings: BoostedMean, patients: int) -> int:
    """How many patients' pixels a leaf holds at least: of few patients no more than half."""
    return max(1, min(settings.min_patients, patients // 2))
