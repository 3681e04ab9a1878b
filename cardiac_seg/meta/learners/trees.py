"""Regression trees as plain arrays, stored as they are.

A pixel goes left where its feature is at most the threshold, and where `missing_left` says so if
the feature is missing (NaN).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cardiac_seg.meta.learners.float32 import not_above
from cardiac_seg.meta.learners.sklearn_check import check_nodes, expect

DTYPES = {
    "feature": np.int32,
    "threshold": np.float64,
    "left": np.int32,
    "right": np.int32,
    "missing_left": np.bool_,
    "value": np.float64,
    "offsets": np.int64,
    "of_class": np.int32,
}
PER_NODE = ("feature", "threshold", "left", "right", "missing_left", "value")


@dataclass(frozen=True)
class Tree:
    """One tree; its nodes' children come after them, and node 0 is the root.

    Attributes:
        feature: (nodes,) int32, the column asked for; 0 in leaves.
        threshold: (nodes,) float64; 0 in leaves.
        left: (nodes,) int32, the left child's node; -1 in leaves.
        right: (nodes,) int32, the right child's.
        missing_left: (nodes,) bool, whether a missing feature goes left.
        value: (nodes,) float64, what a leaf adds to a score.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray

    @property
    def leaf(self) -> np.ndarray:
        """(nodes,) bool."""
        return self.left == -1

    def walk(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(pixels,) what stands at the leaf that each pixel ends in.

        From the leaves up, all pixels at once: with trees of so few leaves that is as fast as
        compiled code that takes one pixel after the other.

        Args:
            columns: (features, pixels) float32, NaN where missing.
            values: (nodes,) of any type, what stands at each node.
        """
        found: dict[int, np.ndarray] = {int(n): values[n] for n in np.flatnonzero(self.leaf)}
        threshold = not_above(self.threshold)
        for node in np.flatnonzero(~self.leaf)[::-1]:
            column = columns[self.feature[node]]
            if self.missing_left[node]:
                goes_left = ~(column > threshold[node])  # NaN is not above anything
            else:
                goes_left = column <= threshold[node]
            left, right = found.pop(int(self.left[node])), found.pop(int(self.right[node]))
            found[node] = np.where(goes_left, left, right)
        return np.broadcast_to(found[0], columns.shape[1:])


@dataclass(frozen=True)
class Trees:
    """Any number of trees, one after the other, each of which adds to one class's score.

    Attributes:
        feature: (nodes of all trees,) as of `Tree`, and so on; children count from the tree's root.
        offsets: (trees + 1,) int64, where each tree begins; the last is the number of nodes.
        of_class: (trees,) int32, the class whose score a tree adds to.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    offsets: np.ndarray
    of_class: np.ndarray

    @classmethod
    def of(cls, trees: Iterable[Tree], of_class: Iterable[int]) -> "Trees":
        """Trees in one set of arrays."""
        trees = list(trees)
        parts: dict[str, list[Any]] = {
            key: [getattr(tree, key) for tree in trees] for key in PER_NODE
        }
        parts["offsets"] = [np.cumsum([0, *(len(tree.left) for tree in trees)])]
        parts["of_class"] = [list(of_class)]
        return cls(
            **{
                key: np.concatenate([*values, ()]).astype(DTYPES[key])
                for key, values in parts.items()
            }
        )

    @classmethod
    def checked(cls, stored: Any, features: int, classes: int) -> "Trees":
        """Trees from a file, refused where they lead astray.

        Args:
            stored: Attribute -> array, as `arrays` gives it.
            features: Columns they will be given.
            classes: Number of classes.

        Raises:
            ValueError: With the reason.
        """
        expect(type(stored) is dict and set(stored) == set(DTYPES), "no arrays of trees")
        for key, kind in DTYPES.items():
            one = stored[key]
            expect(type(one) is np.ndarray, f"{type(one).__name__} inside")
            expect(one.dtype == kind and one.ndim == 1, f"{key} of another make")
        nodes, offsets, of_class = len(stored["left"]), stored["offsets"], stored["of_class"]
        expect(all(len(stored[key]) == nodes for key in PER_NODE), "nodes of several numbers")
        expect(len(offsets) == len(of_class) + 1, "another number of trees")
        ends = offsets[0] == 0 and offsets[-1] == nodes
        expect(bool(ends and (np.diff(offsets) > 0).all()), "trees that overlap")
        expect(bool(((of_class >= 0) & (of_class < classes)).all()), "trees of other classes")
        finite = np.isfinite(stored["threshold"]).all() and np.isfinite(stored["value"]).all()
        expect(bool(finite), "numbers that are not finite")
        trees = cls(**stored)
        for tree in trees:
            leaf = tree.leaf
            children = np.stack([tree.left, tree.right])[:, ~leaf]
            check_nodes(leaf, children.astype(np.int64), tree.feature[~leaf], features)
            once = np.array_equal(np.sort(children.ravel()), np.arange(1, len(leaf)))
            expect(once, "a tree with two ways to a node, or none")
        return trees

    def __iter__(self) -> Iterator[Tree]:
        for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield Tree(*(getattr(self, key)[start:stop] for key in PER_NODE))

    def __len__(self) -> int:
        return len(self.of_class)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def add_to(self, scores: np.ndarray, features: np.ndarray) -> None:
        """Adds what the trees say to the scores, in place.

        Args:
            scores: (pixels, classes) float64.
            features: (pixels, features) float32.
        """
        columns = np.ascontiguousarray(features.T, np.float32)
        for tree, index in zip(self, self.of_class, strict=True):
            scores[:, index] += tree.walk(columns, tree.value)
