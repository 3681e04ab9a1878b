"""Random forest (Breiman 2001)."""

from typing import Any

from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.sklearn_check import check_kinds, check_tree

MAX_LEAVES = 4000  # per tree: a stored forest of 100 trees stays under 50 MB whatever the data


def estimator(settings: Stacking, pixels: int, seed: int) -> RandomForestClassifier:
    """Unfitted; leaves grow with the number of pixels it will be fitted on."""
    forest = settings.random_forest
    return RandomForestClassifier(
        forest.trees,
        min_samples_leaf=max(forest.min_samples_leaf, pixels // MAX_LEAVES),
        n_jobs=-1,
        random_state=seed,
    )


def check(fitted: Any, features: int, classes: int) -> None:
    """See `meta.learners.sklearn_check.check_estimator`."""
    check_kinds([fitted], (RandomForestClassifier,))
    for tree in fitted.estimators_:
        check_kinds([tree], (DecisionTreeClassifier,))
        check_tree(tree.tree_, features, classes)
