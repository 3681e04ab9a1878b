"""Files of boosting from the mean by others: every wrong one is refused in a line."""

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier

from cardiac_seg.meta.learners import sklearn_learner
from cardiac_seg.system.errors import UserError

MAPS = [f"probability: m {c}" for c in "xyz"] + ["more: a"]


def mean_and_trees(folder, change=lambda arrays: None, **values):
    """A file of boosting from the mean, of a tree of two leaves and one of one."""
    arrays = {
        "feature": np.array([3, 0, 0, 0], np.int32),
        "threshold": np.array([0.5, 0, 0, 0]),
        "left": np.array([1, -1, -1, -1], np.int32),
        "right": np.array([2, -1, -1, -1], np.int32),
        "missing_left": np.zeros(4, bool),
        "value": np.array([0, 1.0, -1, 2]),
        "offsets": np.array([0, 3, 4], np.int64),
        "of_class": np.array([0, 2], np.int32),
    }
    change(arrays)
    whole = {"features": MAPS, "classes": 3, "seconds": 1.0, "arrays": arrays} | values
    skops.io.dump(whole, folder / "boosted_mean.skops")
    return folder / "boosted_mean.skops"


def put(key, place, value):
    return lambda arrays: arrays[key].__setitem__(place, value)


def instead(key, make):
    return lambda arrays: arrays.update({key: make(arrays[key])})


def test_boosting_from_the_mean_is_read(tmp_path):
    path = mean_and_trees(tmp_path)
    learner = sklearn_learner.load_learner(path, "boosted_mean", MAPS, 3)
    scores = np.log(learner.predict(np.full((1, 4), 1 / 3, np.float32))[0])
    assert scores - scores[1] == pytest.approx([1, 0, 2], abs=1e-5)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (put("left", 0, 10**6), "leads nowhere"),
        (put("left", 0, 3), "leads nowhere"),  # into the next tree
        (put("right", 0, 0), "leads nowhere"),
        (put("right", 0, -1), "leads nowhere"),
        (put("right", 0, -(10**6)), "leads nowhere"),
        (put("right", 0, 1), "two ways to a node"),
        (put("left", 1, -2), "leads nowhere"),
        (put("feature", 0, 4), "asks for other features"),
        (put("feature", 0, -1), "asks for other features"),
        (put("value", 1, np.nan), "not finite"),
        (put("threshold", 0, np.inf), "not finite"),
        (put("of_class", 0, 3), "trees of other classes"),
        (put("of_class", 0, -1), "trees of other classes"),
        (put("offsets", 1, 4), "trees that overlap"),
        (put("offsets", 1, 0), "trees that overlap"),
        (put("offsets", 1, -1), "trees that overlap"),
        (put("offsets", 2, 5), "trees that overlap"),
        (put("offsets", 0, 1), "trees that overlap"),
        (instead("offsets", lambda a: a[:0]), "another number of trees"),
        (instead("of_class", lambda a: a[:1]), "another number of trees"),
        (instead("value", lambda a: a[:3]), "nodes of several numbers"),
        (instead("value", lambda a: a.astype(np.float32)), "value of another make"),
        (instead("left", lambda a: a.astype(float)), "left of another make"),
        (instead("missing_left", lambda a: a[None]), "missing_left of another make"),
        (instead("value", lambda a: a.tolist()), "list inside"),
        (instead("value", np.ma.MaskedArray), "MaskedArray inside"),
        (lambda arrays: arrays.pop("value"), "no arrays of trees"),
        (lambda arrays: arrays.update(more=np.zeros(1)), "no arrays of trees"),
    ],
)
def test_trees_from_the_mean_that_lead_astray_are_refused(tmp_path, change, found):
    path = mean_and_trees(tmp_path, change)
    with pytest.raises(UserError, match=f"damaged .*{found}") as caught:
        sklearn_learner.load_learner(path, "boosted_mean", MAPS, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"arrays": None},
        {"arrays": [1]},
        {"classes": 0},
        {"classes": -3},
        {"classes": "3"},
        {"classes": 1.5},
        {"features": None},
        {"features": MAPS[:2]},
        {"features": [0, 1, 2, 3]},
        {"features": "probability: "},
    ],
)
def test_a_file_of_boosting_from_something_else_is_damaged(tmp_path, values):
    path = mean_and_trees(tmp_path, **values)
    with pytest.raises(UserError, match="damaged"):
        sklearn_learner.load_learner(path, "boosted_mean", MAPS, 3)


def test_boosting_from_the_mean_is_no_other_learner(tmp_path):
    path = mean_and_trees(tmp_path)
    with pytest.raises(UserError, match="damaged"):
        sklearn_learner.load_learner(path, "random_forest", MAPS, 3)
    forest = RandomForestClassifier(2).fit(np.eye(3), np.arange(3))
    path = mean_and_trees(tmp_path, arrays=forest)
    with pytest.raises(UserError, match="damaged"):
        sklearn_learner.load_learner(path, "boosted_mean", MAPS, 3)
