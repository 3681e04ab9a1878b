"""Multinomial logistic regression on standardised features: the simplest learner."""

from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.sklearn_check import check_kinds

# The fit is many products of a tall matrix with a narrow one: there BLAS threads wait longer for
# each other than they compute (57 s against 1 s, measured while a training was running).
FIT_THREADS = 1


def estimator(settings: Stacking, pixels: int, seed: int) -> Pipeline:
    """Unfitted; `pixels` and `seed` do not matter."""
    classifier = LogisticRegression(max_iter=1000)
    return Pipeline([("scale", StandardScaler()), ("classifier", classifier)])


def check(fitted: Any, features: int, classes: int) -> None:
    """See `meta.learners.sklearn_check.check_estimator`."""
    check_kinds([fitted], (Pipeline,))
    check_kinds([step for _, step in fitted.steps], (StandardScaler, LogisticRegression))
