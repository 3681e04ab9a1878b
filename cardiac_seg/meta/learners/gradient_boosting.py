"""Gradient boosting (Friedman 2001): histogram-based, or scikit-learn's classic one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn._loss.loss import HalfMultinomialLoss
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import DecisionTreeRegressor

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.sklearn_check import check_kinds, check_nodes, check_tree, expect


def max_pixels(settings: Stacking) -> int | None:
    """How many pixels it is fitted on at most; None for all."""
    boosting = settings.gradient_boosting
    return boosting.classic_pixels if boosting.kind == "classic" else None


def estimator(
    settings: Stacking, pixels: int, seed: int
) -> GradientBoostingClassifier | HistGradientBoostingClassifier:
    """Unfitted; `pixels` does not matter."""
    boosting = settings.gradient_boosting
    if boosting.kind == "classic":
        return GradientBoostingClassifier(
            n_estimators=boosting.iterations,
            learning_rate=boosting.learning_rate,
            max_leaf_nodes=boosting.leaves,
            min_samples_leaf=boosting.min_samples_leaf,
            subsample=0.5,
            max_features=0.3,
            random_state=seed,
        )
    return HistGradientBoostingClassifier(
        max_iter=boosting.iterations,
        learning_rate=boosting.learning_rate,
        max_leaf_nodes=boosting.leaves,
        min_samples_leaf=boosting.min_samples_leaf,
        max_bins=63,  # weighted bin edges are found one by one, slower than the trees themselves
        l2_regularization=10.0,
        max_features=0.3,
        early_stopping=False,  # its own hold-out would divide patients
        random_state=seed,
    )


def check(fitted: Any, features: int, classes: int) -> None:
    """See `meta.learners.sklearn_check.check_estimator`."""
    if type(fitted) is GradientBoostingClassifier:
        _check_classic(fitted, features, classes)
    else:
        check_kinds([fitted], (HistGradientBoostingClassifier,))
        _check_histogram(fitted, features)


def _check_classic(fitted: GradientBoostingClassifier, features: int, classes: int) -> None:
    # What compiled code adds the trees' values to is as wide as the first guess.
    check_kinds([fitted.init_], (DummyClassifier,))
    trees = np.asarray(fitted.estimators_)
    widths = {trees.shape[1], fitted.n_trees_per_iteration_, len(fitted.init_.classes_)}
    expect(widths == {classes} and trees.ndim == 2, "trees of another number of classes")
    check_kinds([fitted._loss], (HalfMultinomialLoss,))
    guess = fitted._raw_predict_init(np.zeros((1, features), np.float32))
    expect(guess.shape == (1, classes), "a first guess of other classes")
    for tree in trees.ravel():
        check_kinds([tree], (DecisionTreeRegressor,))
        check_tree(tree.tree_, features, 1)


def _check_histogram(fitted: HistGradientBoostingClassifier, features: int) -> None:
    mapper = fitted._bin_mapper
    expect(fitted._preprocessor is None, "a preprocessor")
    expect(not np.any(mapper.is_categorical_), "categories")
    for nodes in _predictor_nodes(fitted):
        expect(not nodes["is_categorical"].any(), "categories")
        leaf = nodes["is_leaf"].astype(bool)
        children = np.stack([nodes["left"], nodes["right"]])[:, ~leaf]
        check_nodes(leaf, children.astype(np.int64), nodes["feature_idx"][~leaf], features)


def _predictor_nodes(fitted: HistGradientBoostingClassifier) -> Iterator[np.ndarray]:
    for iteration in fitted._predictors:
        for predictor in iteration:
            check_kinds([predictor, predictor.nodes], (TreePredictor, np.ndarray))
            expect(predictor.nodes.dtype == PREDICTOR_RECORD_DTYPE, "nodes of another make")
            yield predictor.nodes
