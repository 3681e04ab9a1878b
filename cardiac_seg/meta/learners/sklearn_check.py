"""Whether an estimator from a file may be used: its kind, and where its trees lead.

A skops file brings no code, but arrays that compiled code follows without looking: a node whose
child or feature lies outside its array is read from anywhere in memory. What is checked here is
what `learners.fit_learner` fits, so that nothing else is ever called.
"""

from collections.abc import Iterator

import numpy as np
from sklearn._loss.loss import HalfMultinomialLoss
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import Tree


def check_estimator(estimator: object, features: int, classes: int) -> None:
    """Refuses an estimator that no learner is made of, or that would read outside its arrays.

    Args:
        estimator: As read from a file.
        features: Columns it will be given.
        classes: Number of classes; it may know fewer, as labels below this.

    Raises:
        ValueError: With the reason; also of what its attributes raise.
    """
    known = np.asarray(estimator.classes_)
    _expect(known.dtype.kind in "iu" and known.ndim == 1, "classes that are no whole numbers")
    _expect(known.min() >= 0 and known.max() < classes, "classes that the run does not have")
    _expect(estimator.n_features_in_ == features, "another number of features")
    kind = type(estimator)
    if kind is Pipeline:
        _check_kinds([step for _, step in estimator.steps], (StandardScaler, LogisticRegression))
    elif kind is RandomForestClassifier:
        for one in estimator.estimators_:
            _check_kinds([one], (DecisionTreeClassifier,))
            _check_tree(one.tree_, features, len(known))
    elif kind is GradientBoostingClassifier:
        # What compiled code adds the trees' values to is as wide as the first guess.
        _check_kinds([estimator.init_], (DummyClassifier,))
        trees = np.asarray(estimator.estimators_)
        widths = {trees.shape[1], estimator.n_trees_per_iteration_, len(estimator.init_.classes_)}
        _expect(widths == {len(known)} and trees.ndim == 2, "trees of another number of classes")
        _check_kinds([estimator._loss], (HalfMultinomialLoss,))
        guess = estimator._raw_predict_init(np.zeros((1, features), np.float32))
        _expect(guess.shape == (1, len(known)), "a first guess of other classes")
        for one in trees.ravel():
            _check_kinds([one], (DecisionTreeRegressor,))
            _check_tree(one.tree_, features, 1)
    elif kind is HistGradientBoostingClassifier:
        mapper = estimator._bin_mapper
        _expect(estimator._preprocessor is None, "a preprocessor")
        _expect(not np.any(mapper.is_categorical_), "categories")
        for nodes in _predictor_nodes(estimator):
            _expect(not nodes["is_categorical"].any(), "categories")
            leaf = nodes["is_leaf"].astype(bool)
            children = np.stack([nodes["left"], nodes["right"]])[:, ~leaf]
            _check_nodes(leaf, children.astype(np.int64), nodes["feature_idx"][~leaf], features)
    else:
        raise ValueError(f"holds a {kind.__name__}, which no learner is")


def _predictor_nodes(estimator: HistGradientBoostingClassifier) -> Iterator[np.ndarray]:
    for iteration in estimator._predictors:
        for predictor in iteration:
            _check_kinds([predictor, predictor.nodes], (TreePredictor, np.ndarray))
            _expect(predictor.nodes.dtype == PREDICTOR_RECORD_DTYPE, "nodes of another make")
            yield predictor.nodes


def _check_tree(tree, features: int, values: int) -> None:
    _check_kinds([tree], (Tree,))  # compiled: its arrays are what it is walked by
    count = tree.node_count
    _expect(tree.value.shape == (count, 1, values), "a tree of another number of classes")
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    _check_nodes(leaf, np.stack([left, right])[:, ~leaf], tree.feature[~leaf], features)


def _check_nodes(leaf: np.ndarray, children: np.ndarray, used: np.ndarray, features: int) -> None:
    """Children come after their parent, so that every way down ends."""
    inner = np.flatnonzero(~leaf)
    _expect(len(leaf) > 0, "a tree without nodes")
    _expect((children > inner).all() and (children < len(leaf)).all(), "a tree that leads nowhere")
    _expect((used >= 0).all() and (used < features).all(), "a tree that asks for other features")


def _check_kinds(found: list, expected: tuple[type, ...]) -> None:
    kinds = tuple(type(one) for one in found)
    _expect(kinds == expected, f"{', '.join(kind.__name__ for kind in kinds)} inside")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(f"holds {otherwise}")
