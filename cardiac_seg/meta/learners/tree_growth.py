"""Grows trees with LightGBM, a round at a time, and prunes what few patients have made."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cardiac_seg.config.sections.stacking import BoostedMean
from cardiac_seg.meta.learners.log_mean import softmax
from cardiac_seg.meta.learners.trees import Tree

if TYPE_CHECKING:
    from lightgbm import Dataset

BINS = 63
FEATURES_PER_TREE = 0.3  # drawn anew: where one feature's split is pruned, others get their turn


@dataclass(frozen=True)
class BoostingPixels:
    """What trees are grown on.

    Attributes:
        columns: (features, pixels) float32, NaN where missing.
        labels: (pixels,) true classes.
        weights: (pixels,) how many pixels each stands for, on average 1.
        patients: (pixels,) numbers of the patients, from 0 without a gap.
    """

    columns: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    patients: np.ndarray


def parameters(settings: BoostedMean, leaves: int, classes: int, seed: int) -> dict[str, Any]:
    """LightGBM's, with which the same pixels give the same trees.

    Args:
        settings: The learner's own.
        leaves: Of a tree, at most.
        classes: Number of classes.
        seed: Draws each tree's features.
    """
    return {
        "objective": "none",  # gradients are given
        "num_class": classes,
        "num_leaves": leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_samples_leaf,
        "lambda_l2": settings.l2,
        "feature_fraction": FEATURES_PER_TREE,
        "max_bin": BINS,
        "feature_pre_filter": False,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,  # more spin: ten times as long while another process was running
        "verbosity": -1,
    }


def binned(pixels: BoostingPixels, settings: BoostedMean, classes: int, seed: int) -> "Dataset":
    """The pixels as LightGBM holds them, for any number of leaves and any part of the rows."""
    import lightgbm

    return lightgbm.Dataset(
        pixels.columns.T,
        pixels.labels,
        params=parameters(settings, 2, classes, seed)
        | {"bin_construct_sample_cnt": len(pixels.labels)},
    ).construct()


class Boosting:
    """Boosting under way: scores of all pixels, by trees that some of them have made.

    Each round gives LightGBM the gradients of the scores as the pruned trees have left them, so
    that a correction which was pruned away is not taken as made.
    """

    def __init__(
        self,
        pixels: BoostingPixels,
        data: "Dataset",
        rows: np.ndarray,
        start: np.ndarray,
        settings: BoostedMean,
        leaves: int,
        min_patients: int,
        seed: int,
    ):
        """Begins.

        Args:
            pixels: All pixels.
            data: The same, from `binned`.
            rows: (some,) ascending indices of those it is fitted on.
            start: (classes, pixels) scores of all.
            settings: The learner's own.
            leaves: Of a tree, at most.
            min_patients: Patients whose pixels a leaf holds, at least.
            seed: Draws each tree's features.
        """
        import lightgbm

        self.pixels, self.rows, self.scores = pixels, rows, start.copy()
        self.l2, self.min_patients = settings.l2, min_patients
        self._weights = pixels.weights[rows].astype(np.float32)
        self._truth = pixels.labels[rows] == np.arange(len(start))[:, None]
        self.trees: list[Tree] = []
        self.of_class: list[int] = []
        some = data if len(rows) == len(pixels.labels) else data.subset(rows.tolist()).construct()
        params = parameters(settings, leaves, len(start), seed)
        self._booster = lightgbm.Booster(params, some)

    def advance(self) -> None:
        """One round: a tree for each class, as far as patients enough stand behind it."""
        before = self._booster.num_trees()
        gradients = self._gradients()
        self._booster.update(fobj=lambda scores, data: gradients)
        classes = len(self.scores)
        if self._booster.num_trees() == before:
            return  # no split is left
        grown = self._booster.dump_model(start_iteration=before // classes, num_iteration=1)
        for index, described in enumerate(grown["tree_info"]):
            self._add(described["tree_structure"], index)

    def _gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the weighted log-loss by the scores: (rows, classes) first and second derivatives.

        The second as Friedman (2001) has them for classes whose probabilities sum to 1.
        """
        probabilities = softmax(self.scores[:, self.rows].astype(np.float32), axis=0)
        factor = np.float32(len(probabilities) / (len(probabilities) - 1))
        second = probabilities * (1 - probabilities) * (self._weights * factor)
        return ((probabilities - self._truth) * self._weights).T, second.T

    def _add(self, structure: dict[str, Any], index: int) -> None:
        tree, weight = read_tree(structure)
        if len(tree.left) == 1:
            return
        numbers = np.arange(len(tree.left), dtype=np.uint16)
        ends = tree.walk(self.pixels.columns, numbers)
        presence = patients_in_nodes(tree, ends[self.rows], self.pixels.patients[self.rows])
        pruned, became = prune(tree, weight, presence, self.min_patients, self.l2)
        if len(pruned.left) == 1:
            return  # one leaf tells no pixel from another
        self.scores[index] += pruned.value[became[ends]]
        self.trees.append(pruned)
        self.of_class.append(index)


def read_tree(structure: dict[str, Any]) -> tuple[Tree, np.ndarray]:
    """A tree from LightGBM's description.

    Returns:
        The tree, and (nodes,) float64 the sum of second derivatives in each leaf, 0 elsewhere.
    """
    rows: list[list[Any]] = []

    def visit(node: dict[str, Any]) -> int:
        place = len(rows)
        if "left_child" not in node:
            rows.append([0, 0.0, -1, -1, False, node["leaf_value"], node.get("leaf_weight", 0.0)])
            return place
        threshold = float(node["threshold"])
        # Where no feature was missing in the fit, LightGBM reads a missing one as 0.
        missing = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
        rows.append([node["split_feature"], threshold, 0, 0, missing, 0.0, 0.0])
        rows[place][2] = visit(node["left_child"])
        rows[place][3] = visit(node["right_child"])
        return place

    visit(structure)
    feature, threshold, left, right, missing, value, weight = zip(*rows, strict=True)
    tree = Tree(
        np.array(feature, np.int32),
        np.array(threshold, np.float64),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array(missing, bool),
        np.array(value, np.float64),
    )
    return tree, np.array(weight, np.float64)


def patients_in_nodes(tree: Tree, ends: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(nodes,) how many patients' pixels come through each node.

    Args:
        tree: The tree.
        ends: (pixels,) where each fitting pixel ends.
        patients: (pixels,) its patient, from 0.
    """
    nodes, count = len(tree.left), patients.max() + 1
    held = (
        np.bincount(ends.astype(np.intp) * count + patients, minlength=nodes * count).reshape(
            nodes, count
        )
        > 0
    )
    for node in np.flatnonzero(~tree.leaf)[::-1]:  # children come after their parents
        held[node] = held[tree.left[node]] | held[tree.right[node]]
    return held.sum(1)


def prune(
    tree: Tree, weight: np.ndarray, presence: np.ndarray, min_patients: int, l2: float
) -> tuple[Tree, np.ndarray]:
    """Makes a leaf of every split one of whose sides holds pixels of too few patients.

    A leaf of LightGBM is -rate * G / (H + l2), with G and H the sums of its pixels' derivatives;
    the merged leaf is what its pixels together would have had.

    Args:
        tree: The tree.
        weight: (nodes,) H in leaves.
        presence: (nodes,) from `patients_in_nodes`.
        min_patients: On each side of a split, at least.
        l2: The penalty in the leaves' values.

    Returns:
        The pruned tree, and (nodes,) the node of the pruned tree that the pixels in a node of the
        old one come to.
    """
    nodes, value, sums = len(tree.left), tree.value.copy(), weight.copy()
    kept = ~tree.leaf
    for node in np.flatnonzero(~tree.leaf)[::-1]:
        sides = [tree.left[node], tree.right[node]]
        sums[node] = sums[sides].sum()
        value[node] = (value[sides] * (sums[sides] + l2)).sum() / (sums[node] + l2)
        kept[node] = presence[sides].min() >= min_patients
    owner = np.arange(nodes)
    for node in np.flatnonzero(~tree.leaf):
        for side in (tree.left[node], tree.right[node]):
            if owner[node] != node or not kept[node]:
                owner[side] = owner[node]
    alive = owner == np.arange(nodes)
    number = np.cumsum(alive) - 1
    split = (kept & alive)[alive]

    def renumbered(children: np.ndarray) -> np.ndarray:
        return np.where(split, number[children[alive]], -1).astype(np.int32)

    pruned = Tree(
        np.where(split, tree.feature[alive], 0).astype(np.int32),
        np.where(split, tree.threshold[alive], 0.0),
        renumbered(tree.left),
        renumbered(tree.right),
        split & tree.missing_left[alive],
        np.where(split, 0.0, value[alive]),
    )
    return pruned, number[owner]
