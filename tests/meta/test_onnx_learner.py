"""Compiled learners give what scikit-learn gives, and only for the run they are of."""

import numpy as np
import pytest

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.float32 import not_above
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.learners.sklearn_learner import fit_learner
from cardiac_seg.system.errors import UserError

pytest.importorskip("onnx", reason="requirements-fast.txt is not installed")
pytest.importorskip("onnxruntime", reason="requirements-fast.txt is not installed")
from cardiac_seg.meta.learners.onnx_learner import compile_learner, load_compiled  # noqa: E402

NAMES = [f"f{k}" for k in range(5)]
SETTINGS = Stacking(random_forest={"trees": 12}, gradient_boosting={"iterations": 12})


def fit(kind: str, labels=(0, 1, 2, 3)) -> tuple[Learner, np.ndarray]:
    """A learner of few distinct feature values, so that many lie exactly on thresholds."""
    rng = np.random.default_rng(0)
    features = (rng.integers(0, 12, (4000, len(NAMES))) / 11).astype(np.float32)
    truth = np.array(labels)[(features @ rng.random(5) * 2).astype(int) % len(labels)]
    weights = rng.random(4000)
    learner = fit_learner(
        kind, SETTINGS, features, truth, weights, np.arange(4000) % 20, NAMES, 4, seed=1
    )
    return learner, features


@pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting"])
@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (0, 2, 3)], ids=["all", "one unseen"])
def test_probabilities_are_the_same_on_and_between_thresholds(kind, labels, tmp_path):
    learner, features = fit(kind, labels)
    path = tmp_path / "meta" / "learner.onnx"
    assert compile_learner(path, learner)
    compiled = load_compiled(path, NAMES, 4)
    near = np.concatenate([np.nextafter(features, np.float32(k)) for k in (-9, 9)])
    for some in (features, near, features[:1], np.random.default_rng(1).random((500, 5), "f4")):
        expected = learner.predict(some)
        assert compiled.predict(some) == pytest.approx(expected, abs=2e-6)
    assert compiled.predict(features[:0]).shape == (0, 4)
    assert compiled.seconds == learner.seconds
    assert not list(tmp_path.rglob(".partial*"))


@pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting"])
@pytest.mark.parametrize("seen", [True, False], ids=["missing in the fit", "never missing"])
def test_missing_features_go_the_same_way(kind, seen, tmp_path):
    rng = np.random.default_rng(2)
    features = rng.random((4000, len(NAMES))).astype(np.float32)
    truth = (features @ rng.random(5) * 2).astype(int) % 4
    missing = np.where(rng.random(features.shape) < 0.3, np.float32(np.nan), features)
    data = (missing if seen else features), truth, rng.random(4000), np.arange(4000) % 20
    learner = fit_learner(kind, SETTINGS, *data, NAMES, 4, seed=1)
    path = tmp_path / "meta" / "learner.onnx"
    assert compile_learner(path, learner)
    compiled = load_compiled(path, NAMES, 4)
    assert compiled.predict(missing) == pytest.approx(learner.predict(missing), abs=2e-6)


def test_a_threshold_is_rounded_down_to_what_a_feature_can_be():
    exact, between = 0.5, 0.1  # 0.1 lies below the nearest float32
    below = not_above(np.array([exact, between, -between])).astype(float)
    assert below[0] == 0.5 and below[1] < 0.1 and below[2] <= -0.1
    assert np.nextafter(np.float32(below[1]), np.float32(1)).astype(float) > 0.1


def test_a_logistic_regression_is_left_as_it_is(tmp_path):
    assert not compile_learner(tmp_path / "logistic.onnx", fit("logistic")[0])
    assert not list(tmp_path.iterdir())


def test_a_compiled_learner_of_another_run_or_damaged_is_refused(tmp_path):
    path = tmp_path / "meta" / "forest.onnx"
    compile_learner(path, fit("random_forest")[0])
    with pytest.raises(UserError, match="fitted on 5 features and 4 classes"):
        load_compiled(path, NAMES[:4], 4)
    content = path.read_bytes()
    for damage in (content[:200], b"", b"not a model" * 30):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"forest\.onnx: damaged .*stack again"):
            load_compiled(path, NAMES, 4)
