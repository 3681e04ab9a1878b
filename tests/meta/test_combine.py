"""Combining: the controls by hand, where learners act, what they are given."""

import numpy as np
import pytest

from cardiac_seg.config.sections import MEMBERS, Stacking
from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.features.feature_set import FeatureSet
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.methods import list_combinations, list_methods, names_of

GRID = Grid((1, 2), (1, 2), (1, 2), (1.0, 1.0))
FEATURES = FeatureSet(
    MEMBERS, ("background", "a"), ("probability", "entropy", "confidence", "margin"), (2.0,)
)
# Two pixels: the members agree and are certain of the first.
ONE = np.array([[[[1.0, 0.0], [0.75, 0.25]]]], np.float16)
TWO = np.array([[[[1.0, 0.0], [0.25, 0.75]]]], np.float16)


class Always:
    """A method that says class 1, and remembers what it was shown."""

    def __call__(self, features):
        self.shown = features
        return np.tile(np.float32([0, 1]), (len(features), 1))


MAPS = dict(zip(MEMBERS, (ONE, TWO), strict=True))
IMAGE = GridImage(np.zeros((1, 1, 2), np.uint8), 0, 1, GRID)


def combined(method, **settings):
    combiner = Combiner(MEMBERS, FEATURES, **{"act_below": 0.99, **settings})
    ((name, probabilities, seconds),) = combiner.combine(MAPS, IMAGE, [method])
    assert name == method and seconds >= 0 and probabilities.dtype == np.float32
    return probabilities[0, 0].tolist()


def test_controls_by_hand():
    assert combined(MEMBERS[1]) == [[1, 0], [0.25, 0.75]]
    assert combined("mean") == [[1, 0], [0.5, 0.5]]
    weights = dict(zip(MEMBERS, (0.25, 0.75), strict=True))
    assert combined("weighted_mean", weights=weights) == [[1, 0], [0.375, 0.625]]


def test_temperature_reaches_the_combinations_but_no_plain_model():
    settings = {
        "weights": dict(zip(MEMBERS, (1.0, 0.0), strict=True)),
        "temperatures": dict(zip(MEMBERS, (2.0, 1.0), strict=True)),
    }
    # sqrt(.75) : sqrt(.25) is sqrt(3) : 1
    expected = np.sqrt(3) / (np.sqrt(3) + 1)
    assert combined("weighted_mean", **settings)[1][0] == pytest.approx(expected, abs=1e-6)
    tempered = (expected + 0.25) / 2
    assert combined("calibrated_mean", **settings)[1][0] == pytest.approx(tempered, abs=1e-6)
    assert combined(MEMBERS[0], **settings) == [[1, 0], [0.75, 0.25]]
    assert combined("mean", **settings) == [[1, 0], [0.5, 0.5]]


def test_learners_act_only_where_the_mean_is_unsure():
    learners = {"logistic": Learner([], 2, 0.0, Always())}
    assert combined("logistic", learners=learners) == [[1, 0], [0, 1]]
    assert combined("logistic", learners=learners, act_below=1) == [[0, 1], [0, 1]]
    assert combined("logistic", learners=learners, act_below=0.4) == [[1, 0], [0.5, 0.5]]
    thresholds = {"logistic": 0.4}
    assert combined("logistic", learners=learners, thresholds=thresholds) == [[1, 0], [0.5, 0.5]]


def test_where_no_learner_acts_the_tempered_mean_stands():
    learners = {"logistic": Learner([], 2, 0.0, Always())}
    temperatures = dict(zip(MEMBERS, (2.0, 1.0), strict=True))
    expected = combined("calibrated_mean", temperatures=temperatures)
    stacked = combined("logistic", learners=learners, act_below=0.4, temperatures=temperatures)
    assert stacked == expected != combined("mean")


def test_each_learner_has_a_gate_of_its_own():
    wide, narrow = Always(), Always()
    learners = {"logistic": Learner([], 2, 0.0, wide), "random_forest": Learner([], 2, 0.0, narrow)}
    thresholds = {"logistic": 1.0, "random_forest": 0.9}
    combiner = Combiner(MEMBERS, FEATURES, 0.99, learners=learners, thresholds=thresholds)
    masks = {m: p[0, 0].tolist() for m, p, _ in combiner.combine(MAPS, IMAGE, list(learners))}
    assert masks == {"logistic": [[0, 1], [0, 1]], "random_forest": [[1, 0], [0, 1]]}
    assert len(wide.shown) == 2 and len(narrow.shown) == 1
    assert wide.shown[1].tolist() == narrow.shown[0].tolist()


def test_core_learners_see_the_core_columns_alone():
    full, core = Always(), Always()
    learners = {
        "logistic": Learner(FEATURES.names, 2, 0.0, full),
        "logistic_core": Learner(FEATURES.core().names, 2, 0.0, core),
    }
    combiner = Combiner(MEMBERS, FEATURES, 0.99, learners=learners)
    assert [m for m, _, _ in combiner.combine(MAPS, IMAGE, list(learners))] == list(learners)
    assert full.shown.shape == (1, 10) and core.shown.shape == (1, 8)
    np.testing.assert_array_equal(full.shown[:, :8], core.shown)
    # probability one, probability two, entropy, confidence
    np.testing.assert_allclose(core.shown[0, :4], [0.75, 0.25, 0.25, 0.75])
    np.testing.assert_allclose(core.shown[0, 6:], [0.75, 0.75])


def test_the_models_follow_the_config():
    assert list_combinations(["unet_advanced"], Stacking(learners=[])) == []
    assert names_of(list_methods(list(MEMBERS), Stacking(learners=[]))) == [*MEMBERS, "mean"]
    chosen = Stacking(learners=["weighted_mean", "random_forest"])
    names = ["mean", "calibrated_mean", "weighted_mean", "random_forest_core", "random_forest"]
    assert names_of(list_combinations(list(MEMBERS), chosen)) == names
    untempered = chosen.model_copy(update={"temperature": False})
    assert "calibrated_mean" not in names_of(list_combinations(list(MEMBERS), untempered))
    # The core features are the full set: there is no second row to report.
    core_only = Stacking(learners=["random_forest"], features=[])
    assert names_of(list_combinations(list(MEMBERS), core_only)) == [
        "mean",
        "calibrated_mean",
        "random_forest",
    ]
