"""Multinomial logistic regression on standardised features: the simplest learner."""

from typing import Any

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.sklearn_check import check_imputer, check_kinds

# The fit is many products of a tall matrix with a narrow one: there BLAS threads wait longer for
# each other than they compute (57 s against 1 s, measured while a training was running).
FIT_THREADS = 1


def estimator(settings: Stacking, pixels: int, seed: int) -> Pipeline:
    """Unfitted; `pixels` and `seed` do not matter."""
    steps = [
        ("impute", SimpleImputer(keep_empty_features=True)),  # by the mean; changes nothing else
        ("scale", StandardScaler()),
        ("classifier", LogisticRegression(max_iter=1000)),
    ]
    return Pipeline(steps)


def check(fitted: Any, features: int, classes: int) -> None:
    """See `meta.learners.sklearn_check.check_estimator`; older files have nothing that imputes."""
    check_kinds([fitted], (Pipeline,))
    *first, scale, classifier = (step for _, step in fitted.steps)
    check_kinds([scale, classifier], (StandardScaler, LogisticRegression))
    if first:
        check_imputer(first, features)
