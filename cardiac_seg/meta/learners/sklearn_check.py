"""Whether an estimator from a file may be used: its kind, and where its trees lead.

A skops file brings no code, but arrays that compiled code follows without looking: a node whose
child or feature lies outside its array is read from anywhere in memory. Each learner's module
checks what its `estimator` fits, with the pieces here, so that nothing else is ever called.
"""

from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from cardiac_seg.config.registry import LEARNERS, find


def check_estimator(kind: str, estimator: Any, features: int, classes: int) -> None:
    """Refuses an estimator that is not the learner's, or that would read outside its arrays.

    Args:
        kind: One of `config.registry.LEARNERS`; its module's `check` is asked, with the number of
            classes that the estimator knows.
        estimator: As read from a file.
        features: Columns it will be given.
        classes: Number of classes; it may know fewer, as labels below this.

    Raises:
        ValueError: With the reason; also of what its attributes raise.
    """
    known = np.asarray(estimator.classes_)
    expect(known.dtype.kind in "iu" and known.ndim == 1, "classes that are no whole numbers")
    expect(known.min() >= 0 and known.max() < classes, "classes that the run does not have")
    expect(estimator.n_features_in_ == features, "another number of features")
    find(LEARNERS[kind]).check(estimator, features, len(known))


def check_tree(tree: Any, features: int, values: int) -> None:
    """Refuses a compiled decision tree that leads outside its arrays.

    Args:
        tree: A fitted tree's `tree_`.
        features: Columns it will be given.
        values: Numbers that each node holds.
    """
    check_kinds([tree], (Tree,))  # compiled: its arrays are what it is walked by
    count = tree.node_count
    expect(tree.value.shape == (count, 1, values), "a tree of another number of classes")
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    check_nodes(leaf, np.stack([left, right])[:, ~leaf], tree.feature[~leaf], features)


def check_nodes(leaf: np.ndarray, children: np.ndarray, used: np.ndarray, features: int) -> None:
    """Children come after their parent, so that every way down ends."""
    inner = np.flatnonzero(~leaf)
    expect(len(leaf) > 0, "a tree without nodes")
    expect(bool(((children > inner) & (children < len(leaf))).all()), "a tree that leads nowhere")
    expect(bool(((used >= 0) & (used < features)).all()), "a tree that asks for other features")


def check_kinds(objects: list[Any], expected: tuple[type, ...]) -> None:
    """Refuses objects that are not exactly of the expected types, in order."""
    kinds = tuple(type(one) for one in objects)
    expect(kinds == expected, f"{', '.join(kind.__name__ for kind in kinds)} inside")


def expect(condition: bool, otherwise: str) -> None:
    """Refuses an estimator that `otherwise` describes."""
    if not condition:
        raise ValueError(f"holds {otherwise}")
