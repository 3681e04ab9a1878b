"""Learners learn, come back from disk bit by bit, and a wrong or strange file is refused."""

import importlib
import os
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from pydantic import ValidationError
from sklearn.preprocessing import FunctionTransformer

from cardiac_seg.config.sections import GradientBoosting, RandomForest, Stacking
from cardiac_seg.meta.learners import random_forest, sklearn_learner
from cardiac_seg.meta.learners.sklearn_learner import fit_learner, load_learner, save_learner
from cardiac_seg.system.errors import UserError

NAMES = ["up", "down", "noise"]
KINDS = ["logistic", "random_forest", "histogram", "classic"]


def stacking(boosting="histogram", **more):
    return Stacking(
        random_forest=RandomForest(trees=4),
        gradient_boosting=GradientBoosting(
            kind=boosting, iterations=5, learning_rate=0.5, min_samples_leaf=50, **more
        ),
    )


def toy(pixels=600, noise=0.1):
    """Classes 0, 1 and 2, which the first two features tell apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, pixels).astype(np.uint8)
    signal = np.outer(labels, [1, -1, 0])
    return (signal + rng.normal(0, noise, (pixels, 3))).astype(np.float32), labels


def learner_of(kind):
    return "gradient_boosting" if kind in ("histogram", "classic") else kind


def fit(kind="logistic", data=None, classes=3, settings=None):
    features, labels = data or toy()
    boosting = kind in ("histogram", "classic")
    return fit_learner(
        learner_of(kind),
        settings or stacking(kind if boosting else "histogram"),
        features,
        labels,
        np.ones(len(labels), np.float32),
        np.arange(len(labels)) % 10,
        NAMES,
        classes,
        seed=0,
    )


@pytest.fixture
def stored(tmp_path):
    """A logistic learner's file."""
    save_learner(tmp_path / "logistic.skops", fit())
    return tmp_path / "logistic.skops"


def refusal(path, names=NAMES, classes=3):
    """The line with which a file is refused."""
    with pytest.raises(UserError) as caught:
        load_learner(path, "logistic", names, classes)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_and_comes_back_from_disk(kind, tmp_path):
    features, labels = toy()
    learner = fit(kind)
    probabilities = learner.predict(features)
    assert probabilities.dtype == np.float32 and probabilities.shape == (600, 3)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert (probabilities.argmax(1) == labels).mean() > 0.97

    save_learner(tmp_path / "learner.skops", learner)
    back = load_learner(tmp_path / "learner.skops", learner_of(kind), NAMES, 3)
    assert np.array_equal(back.predict(features), probabilities)
    assert (back.features, back.classes, back.seconds) == (NAMES, 3, learner.seconds)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_never_seen_has_probability_zero_in_its_own_column(kind):
    features, labels = toy()
    probabilities = fit(kind, (features, np.array([0, 2, 3])[labels]), classes=5).predict(features)
    assert probabilities.shape == (600, 5)
    assert not probabilities[:, [1, 4]].any()
    assert (probabilities.argmax(1) == np.array([0, 2, 3])[labels]).mean() > 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_missing_features_are_taken(kind, tmp_path):
    """The class is told by either feature; each is missing in a third of the pixels."""
    features, labels = toy()
    features += [5, 5, 5]  # so that 0 is no mean
    features[::3, 0] = features[1::3, 1] = features[:, 2] = np.nan
    learner = fit(kind, (features, labels))
    assert (learner.predict(features).argmax(1) == labels).mean() > (
        0.6 if kind == "logistic" else 0.9
    )
    save_learner(tmp_path / "learner.skops", learner)
    back = load_learner(tmp_path / "learner.skops", learner_of(kind), NAMES, 3)
    assert np.array_equal(back.predict(features), learner.predict(features))


def test_a_logistic_regression_takes_a_missing_feature_for_its_mean():
    features, labels = toy(noise=1.0)
    missing = features.copy()
    missing[:50, 0] = np.nan
    mean = np.nanmean(missing[:, 0], dtype=np.float64)
    filled = np.where(np.isnan(missing), np.float32(mean), missing)
    one, other = fit(data=(missing, labels)), fit(data=(filled, labels))
    assert one.predict(missing) == pytest.approx(other.predict(filled), abs=1e-5)


def test_no_pixels_have_no_probabilities():
    assert fit().predict(np.zeros((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_what_is_fitted(kind):
    data = toy(noise=1.0)
    assert np.array_equal(fit(kind, data).predict(data[0]), fit(kind, data).predict(data[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_heavy_pixel_counts_more(kind):
    """Two classes at one place: the probabilities are the shares of the weights."""
    labels = np.arange(400) % 2
    weights = np.where(labels == 1, 9.0, 1.0)
    settings = stacking(kind if kind == "classic" else "histogram")
    name = "gradient_boosting" if kind in ("histogram", "classic") else kind
    features = np.zeros((400, 3), np.float32)
    learner = fit_learner(name, settings, features, labels, weights, labels, NAMES, 2, seed=0)
    assert learner.predict(features[:1])[0] == pytest.approx([0.1, 0.9], abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_of_the_weights_does_not_matter(kind):
    features, labels = toy(noise=1.0)
    settings = stacking(kind if kind == "classic" else "histogram")
    name = "gradient_boosting" if kind in ("histogram", "classic") else kind
    weights = np.random.default_rng(1).integers(1, 9, 600).astype(np.float32)
    one, thousand = (
        fit_learner(name, settings, features, labels, unit * weights, labels, NAMES, 3, seed=0)
        for unit in (1, 1024)
    )
    assert thousand.predict(features) == pytest.approx(one.predict(features), abs=1e-4)


def test_a_forest_votes_alike_every_time():
    data = toy(noise=1.0)
    forest = fit("random_forest", data, settings=Stacking(random_forest=RandomForest(trees=20)))
    first = forest.predict(data[0])
    assert all(np.array_equal(forest.predict(data[0]), first) for _ in range(5))
    # With threads the last bits vary only now and then, which the line above may miss.
    assert forest.model.estimator.n_jobs == 1


def test_the_trees_of_a_large_forest_stay_small(monkeypatch):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4000, 3)).astype(np.float32), rng.integers(0, 3, 4000)

    def most_leaves():
        trees = fit("random_forest", data).model.estimator.estimators_
        return max(tree.get_n_leaves() for tree in trees)

    assert most_leaves() > 20
    monkeypatch.setattr(random_forest, "MAX_LEAVES", 20)
    assert most_leaves() <= 20


def test_the_classic_kind_uses_some_of_many_pixels():
    def most_used(limit):
        trees = fit("classic", settings=stacking("classic", classic_pixels=limit))
        return max(t.tree_.n_node_samples[0] for t in trees.model.estimator.estimators_.ravel())

    assert most_used(200) <= 200 < most_used(600)


@pytest.mark.parametrize("section", [RandomForest, GradientBoosting])
def test_leaves_of_few_pixels_are_refused(section):
    assert section(min_samples_leaf=50).min_samples_leaf == 50
    with pytest.raises(ValidationError, match="min_samples_leaf"):
        section(min_samples_leaf=49)


def test_a_missing_file_is_named(tmp_path):
    text = refusal(tmp_path / "forest.skops")
    assert "missing" in text and "damaged" not in text


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_damaged(stored, share):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(share * len(whole))])
    assert "damaged" in refusal(stored)


def test_a_flipped_bit_is_damaged(stored):
    with zipfile.ZipFile(stored) as archive:
        largest = max(archive.infolist(), key=lambda info: info.compress_size)
    whole = bytearray(stored.read_bytes())
    # In the compressed bytes: nobody checks those of a header's date.
    header = 30 + len(largest.filename)
    whole[largest.header_offset + header + largest.compress_size // 2] ^= 0x10
    stored.write_bytes(whole)
    assert "damaged" in refusal(stored)


@pytest.mark.parametrize("values", [[1, 2], {"features": NAMES, "scikit_learn": "1.9"}])
def test_a_file_of_something_else_is_damaged(tmp_path, values):
    skops.io.dump(values, tmp_path / "other.skops")
    assert "damaged" in refusal(tmp_path / "other.skops")


def test_other_features_are_refused(stored):
    assert "different: left" in refusal(stored, [*NAMES, "left"])
    assert "different: noise" in refusal(stored, NAMES[:2])


def test_features_in_another_order_are_refused(stored):
    assert "order" in refusal(stored, NAMES[::-1])


def test_another_number_of_classes_is_refused(stored):
    text = refusal(stored, classes=4)
    assert "3 classes" in text and "4" in text


@pytest.mark.parametrize("version", ["0.24.2", "1.99.0"])
def test_another_scikit_learn_is_refused(tmp_path, monkeypatch, version):
    with monkeypatch.context() as patch:
        patch.setattr("cardiac_seg.meta.learners.sklearn_learner.sklearn.__version__", version)
        save_learner(tmp_path / "old.skops", fit())
    text = refusal(tmp_path / "old.skops")
    assert f"scikit-learn {version}" in text and sklearn_learner.sklearn.__version__ in text


def test_a_patch_release_reads_the_same_files(stored, monkeypatch):
    major, minor = sklearn_learner.sklearn.__version__.split(".")[:2]
    monkeypatch.setattr(
        "cardiac_seg.meta.learners.sklearn_learner.sklearn.__version__", f"{major}.{minor}.99"
    )
    assert load_learner(stored, "logistic", NAMES, 3).features == NAMES


def test_a_function_in_a_file_is_refused_by_name(tmp_path):
    values = {"features": NAMES, "classes": 3, "estimator": FunctionTransformer(os.system)}
    skops.io.dump(values, tmp_path / "strange.skops")
    text = refusal(tmp_path / "strange.skops")
    assert f"holds {os.system.__module__}.system" in text and "damaged" not in text


def test_nothing_of_a_strange_type_is_run(tmp_path, monkeypatch):
    """The module is harmless while the file is written, and leaves a trace when it is run later."""
    folder, trace = tmp_path / "modules", tmp_path / "ran"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    source = "class Trap:\n    def __init__(self):\n        self.value = 1\n"
    (folder / "strange_trap.py").write_text(source)
    trap = importlib.import_module("strange_trap").Trap()
    path = tmp_path / "trap.skops"
    skops.io.dump({"features": NAMES, "classes": 3, "estimator": trap}, path)

    del sys.modules["strange_trap"]
    (folder / "strange_trap.py").write_text(f"open({str(trace)!r}, 'w').close()\n{source}")
    importlib.invalidate_caches()
    assert "holds strange_trap.Trap" in refusal(path)
    assert not trace.exists() and "strange_trap" not in sys.modules

    skops.io.load(path, trusted=["strange_trap.Trap"])  # the trap does work
    assert trace.exists()
    del sys.modules["strange_trap"]
