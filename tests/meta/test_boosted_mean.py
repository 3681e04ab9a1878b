"""Boosting of the mean: corrections that patients share, and the mean where there are none."""

import subprocess
import sys

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cardiac_seg.config.sections import BoostedMean, Stacking
from cardiac_seg.meta.learners import tree_growth
from cardiac_seg.meta.learners.boosted_mean import BoostedModel, patients_of_a_leaf
from cardiac_seg.meta.learners.boosting_choice import is_shown
from cardiac_seg.meta.learners.log_mean import log_mean, members_of, softmax
from cardiac_seg.meta.learners.sklearn_learner import fit_learner, load_learner, save_learner
from cardiac_seg.meta.learners.tree_growth import patients_in_nodes, prune, read_tree
from cardiac_seg.meta.learners.trees import Tree, Trees
from tests.support.paths import REPO

CLASSES, MEMBERS, PATIENTS = 3, 2, 12
NAMES = [f"probability: {m} {c}" for m in "ab" for c in "xyz"] + ["more: up", "more: noise"]
UP, NOISE = 6, 7


def data(pixels=3000, patients=PATIENTS, seed=0, shift=None):
    """Features, labels and patients; the labels follow the mean, but for `shift` of its logits."""
    rng = np.random.default_rng(seed)
    maps = rng.dirichlet(np.ones(CLASSES), (pixels, MEMBERS)).astype(np.float32)
    others = rng.normal(size=(pixels, 2)).astype(np.float32)
    features = np.concatenate([maps.reshape(pixels, -1), others], axis=1)
    patient = np.arange(pixels) % patients
    logits = log_mean(features, MEMBERS, CLASSES)
    if shift is not None:
        logits = logits + shift(features, patient)[:, None] * [2.0, 0.0, -2.0]
    drawn = softmax(logits).cumsum(1) > rng.random((pixels, 1))
    return features, drawn.argmax(1).astype(np.uint8), patient


def where_up(features, patient):
    return features[:, UP] > 0


def fit(some, weights=None, seed=0, **own):
    features, labels, patients = some
    weights = np.ones(len(labels), np.float32) if weights is None else weights
    chosen = {"min_samples_leaf": 50, "rounds": 40, "learning_rate": 0.2, "leaves": [4]} | own
    stacking = Stacking(boosted_mean=BoostedMean(**chosen))
    return fit_learner(
        "boosted_mean", stacking, features, labels, weights, patients, NAMES, CLASSES, seed
    )


@pytest.fixture(scope="module")
def shifted():
    return data(shift=where_up)


@pytest.fixture(scope="module")
def learned(shifted):
    return fit(shifted)


def mean_of(features):
    return softmax(log_mean(features, MEMBERS, CLASSES))


def loss(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("seed", range(4))
def test_without_a_signal_the_mean_stands(seed):
    some = data(seed=seed)
    learner = fit(some, seed=seed)
    assert len(learner.model.trees) == 0
    plain = some[0][:, :6].reshape(-1, MEMBERS, CLASSES).mean(1)
    assert learner.predict(some[0]) == pytest.approx(plain, abs=1e-6)


def test_what_the_mean_gets_wrong_in_all_patients_is_learned(learned):
    features, labels, _ = data(seed=9, shift=where_up)  # others
    truth = softmax(
        log_mean(features, MEMBERS, CLASSES)
        + where_up(features, None)[:, None] * np.array([2.0, 0.0, -2.0])
    )
    before, after, best = (
        loss(p, labels) for p in (mean_of(features), learned.predict(features), truth)
    )
    assert after < before - 0.7 * (before - best)
    wrong = where_up(features, None)
    change = np.abs(learned.predict(features) - mean_of(features)).mean(1)
    assert change[~wrong].mean() < change[wrong].mean() / 3


@pytest.mark.parametrize(("min_patients", "is_learned"), [(6, False), (1, True)])
def test_what_few_patients_show_makes_no_leaf(min_patients, is_learned):
    """A feature tells the five patients with an error; another error is all patients'."""

    def wrong(features, patient):
        return (patient < 5) + 1.0 * (features[:, NOISE] > 0)

    features, labels, patient = data(shift=wrong)
    features[:, UP] = patient < 5
    learner = fit((features, labels, patient), min_patients=min_patients)
    used = {int(f) for tree in learner.model.trees for f in tree.feature[~tree.leaf]}
    assert NOISE in used and (UP in used) == is_learned
    for tree in learner.model.trees:
        ends = tree.walk(np.ascontiguousarray(features.T), np.arange(len(tree.left)))
        assert patients_in_nodes(tree, ends, patient).min() >= min_patients


def test_of_few_patients_a_leaf_holds_half():
    own = BoostedMean(min_patients=5)
    assert [patients_of_a_leaf(own, n) for n in (1, 2, 3, 8, 9, 10, 50)] == [1, 1, 1, 4, 4, 5, 5]


def test_one_patient_shows_nothing(shifted):
    features, labels, patient = shifted
    assert len(fit((features, labels, np.zeros_like(patient))).model.trees) == 0


def test_the_names_of_patients_do_not_matter(shifted, learned):
    features, labels, patient = shifted
    again = fit((features, labels, patient * 7 + 1000))
    assert np.array_equal(again.predict(features), learned.predict(features))


def test_it_is_fitted_alike_every_time(shifted, learned):
    again, other = fit(shifted), fit(shifted, seed=1)
    assert len(learned.model.trees) > 0
    for key, one in learned.model.arrays().items():
        assert np.array_equal(one, again.model.arrays()[key])
    assert not np.array_equal(other.predict(shifted[0]), learned.predict(shifted[0]))


def test_pixels_of_no_weight_teach_nothing_and_heavy_ones_do(shifted):
    features, labels, _ = shifted
    upper = features[:, UP] > 0
    light = fit(shifted, np.where(upper, 1e-6, 1).astype(np.float32))
    heavy = fit(shifted, np.where(upper, 1, 1e-6).astype(np.float32))
    before = loss(mean_of(features)[upper], labels[upper])
    assert loss(light.predict(features)[upper], labels[upper]) > before - 0.02
    assert loss(heavy.predict(features)[upper], labels[upper]) < before - 0.2


def test_the_unit_of_the_weights_does_not_matter(shifted, learned):
    again = fit(shifted, np.full(len(shifted[1]), 1024, np.float32))
    assert np.array_equal(again.predict(shifted[0]), learned.predict(shifted[0]))


def test_a_missing_feature_can_be_what_is_learned(shifted):
    features, labels, patient = shifted
    features = features.copy()
    features[features[:, UP] > 0, UP] = np.nan
    learner = fit((features, labels, patient))
    missing = np.isnan(features[:, UP])
    probabilities = learner.predict(features)
    assert np.isfinite(probabilities).all() and probabilities.sum(1) == pytest.approx(1, abs=1e-6)
    before = loss(mean_of(features)[missing], labels[missing])
    assert loss(probabilities[missing], labels[missing]) < before - 0.2


def test_a_gain_is_shown_by_patients_alike_not_by_one():
    assert is_shown(np.array([1.0, 1.1, 0.9, 1.0]))
    assert not is_shown(np.array([4.0, 0.0, 0.0, 0.0]))
    assert not is_shown(np.array([1.0, -1.0, 1.0, -1.0]))
    assert not is_shown(np.zeros(4))


def test_it_comes_back_from_disk_bit_by_bit(shifted, learned, tmp_path):
    save_learner(tmp_path / "learner.skops", learned)
    back = load_learner(tmp_path / "learner.skops", "boosted_mean", NAMES, CLASSES)
    assert np.array_equal(back.predict(shifted[0]), learned.predict(shifted[0]))
    assert (back.features, back.classes, back.seconds) == (NAMES, CLASSES, learned.seconds)
    assert back.predict(shifted[0][:0]).shape == (0, CLASSES)


def test_the_mean_itself_comes_back_from_disk(tmp_path):
    some = data()
    save_learner(tmp_path / "learner.skops", fit(some))
    back = load_learner(tmp_path / "learner.skops", "boosted_mean", NAMES, CLASSES)
    assert back.predict(some[0]) == pytest.approx(mean_of(some[0]), abs=1e-6)


def test_prediction_does_not_load_lightgbm(learned, tmp_path):
    save_learner(tmp_path / "learner.skops", learned)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from cardiac_seg.meta.learners.sklearn_learner import load_learner\n"
        f"one = load_learner(Path({str(tmp_path / 'learner.skops')!r}), 'boosted_mean', "
        f"{NAMES}, {CLASSES})\n"
        f"one.predict(np.ones((2, {len(NAMES)}), np.float32))\n"
        "assert 'lightgbm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)


@pytest.mark.parametrize("names", [NAMES[1:], NAMES[6:], ["more: up", *NAMES[:6]]])
def test_features_without_the_members_probabilities_are_refused(names):
    assert members_of(NAMES, CLASSES) == MEMBERS
    with pytest.raises(ValueError, match="do not begin with the members' probabilities"):
        members_of(names, CLASSES)


@pytest.mark.parametrize(
    "wrong", [{"leaves": []}, {"leaves": [1]}, {"min_samples_leaf": 49}, {"l2": -1}, {"rounds": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        BoostedMean(**wrong)


@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["nothing missing in the fit", "missing"])
def test_the_walk_gives_what_lightgbm_gives(missing):
    rng = np.random.default_rng(3)
    features = rng.normal(size=(4000, 6)).astype(np.float32)
    features[:, 1] = rng.integers(0, 5, 4000)  # many values on a threshold
    features[rng.random(features.shape) < missing] = np.nan
    target = np.nan_to_num(features) @ rng.normal(size=6) + 3 * np.isnan(features[:, 0])
    parameters = {"objective": "regression", "verbosity": -1, "num_leaves": 16, "num_threads": 1}
    fitted = lightgbm.train(
        parameters | {"boost_from_average": False}, lightgbm.Dataset(features, target), 20
    )
    dump = fitted.dump_model()["tree_info"]
    trees = Trees.of([read_tree(one["tree_structure"])[0] for one in dump], [0] * len(dump))
    features[rng.random(features.shape) < 0.1] = np.nan  # also where none was in the fit
    scores = np.zeros((4000, 1))
    trees.add_to(scores, features)
    assert np.abs(scores[:, 0] - fitted.predict(features, raw_score=True)).max() < 1e-9


def stump_of_stumps():
    """Six leaves' pixels told apart by one feature: under 0 at -1 and -2, above it at 1 and 2."""
    return Tree(
        np.zeros(9, np.int32),
        np.array([0.0, -1, 0, 0, 1, 0, 2, 0, 0]),
        np.array([1, 2, -1, -1, 5, -1, 7, -1, -1], np.int32),
        np.array([4, 3, -1, -1, 6, -1, 8, -1, -1], np.int32),
        np.zeros(9, bool),
        np.array([0, 0, 1.0, 2.0, 0, 3.0, 0, 4.0, 5.0]),
    )


def test_a_split_that_few_patients_make_is_a_leaf_of_what_its_pixels_would_have_had():
    tree, l2 = stump_of_stumps(), 5.0
    weight = np.array([0, 0, 10.0, 20.0, 0, 30.0, 0, 40.0, 50.0])
    presence = np.array([9, 9, 9, 9, 9, 9, 8, 2, 8])
    pruned, became = prune(tree, weight, presence, 3, l2)
    merged = (4.0 * 45 + 5.0 * 55) / 95
    assert pruned.value[pruned.leaf] == pytest.approx([1, 2, 3, merged])
    assert became.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 6]
    places = np.array([[-1.5, -0.5, 0.5, 1.5, 2.5]], np.float32)
    assert pruned.walk(places, pruned.value) == pytest.approx([1, 2, 3, merged, merged])
    assert prune(tree, weight, presence, 2, l2)[0].value.tolist() == tree.value.tolist()


def test_a_root_that_few_patients_split_takes_the_tree_with_it():
    tree = stump_of_stumps()
    presence = np.array([9, 2, 2, 2, 9, 9, 9, 9, 9])
    pruned, became = prune(tree, np.ones(9), presence, 3, 0.0)
    assert pruned.left.tolist() == [-1] and not became.any()


def test_a_patient_is_counted_once_in_a_node():
    ends = np.array([2, 2, 2, 3, 5, 7, 7])
    patients = np.array([0, 0, 1, 1, 2, 3, 0])
    found = patients_in_nodes(stump_of_stumps(), ends, patients)
    assert found.tolist() == [4, 2, 2, 1, 3, 1, 2, 2, 0]


def test_pruned_corrections_are_not_taken_as_made(shifted):
    """Scores under way are those of the trees that are kept."""
    features, labels, patient = shifted
    columns = np.ascontiguousarray(features.T)
    own = BoostedMean(min_samples_leaf=50)
    pixels = tree_growth.BoostingPixels(columns, labels, np.ones(len(labels)), patient)
    start = log_mean(features, MEMBERS, CLASSES).T
    rows = np.flatnonzero(patient < 9)
    boosting = tree_growth.Boosting(
        pixels, tree_growth.binned(pixels, own, CLASSES, 0), rows, start, own, 8, 9, 0
    )
    for _ in range(5):
        boosting.advance()
    scores = start.T.copy()
    Trees.of(boosting.trees, boosting.of_class).add_to(scores, features)
    assert boosting.trees and np.allclose(scores.T, boosting.scores, atol=1e-12)


@st.composite
def tree_sets(draw):
    """Any trees of up to six leaves, on thresholds that features lie on."""
    trees = []
    for _ in range(draw(st.integers(0, 4))):
        rows = []

        def grow(leaves, rows=rows):
            place = len(rows)
            rows.append([0, 0.0, -1, -1, False, draw(st.floats(-5, 5))])
            if leaves > 1:
                first = draw(st.integers(1, leaves - 1))
                asked = draw(st.integers(0, len(NAMES) - 1)), draw(st.sampled_from([-1.0, 0.1, 1]))
                left, right = grow(first), grow(leaves - first)
                rows[place] = [*asked, left, right, draw(st.booleans()), 0.0]
            return place

        grow(draw(st.integers(1, 6)))
        columns = zip(*rows, strict=True)
        kinds = (np.int32, np.float64, np.int32, np.int32, bool, np.float64)
        trees.append(Tree(*(np.array(c, k) for c, k in zip(columns, kinds, strict=True))))
    return trees, draw(
        st.lists(st.integers(0, CLASSES - 1), min_size=len(trees), max_size=len(trees))
    )


def pixel_by_pixel(tree, row):
    node = 0
    while tree.left[node] >= 0:
        value = float(row[tree.feature[node]])
        left = tree.missing_left[node] if np.isnan(value) else value <= tree.threshold[node]
        node = (tree.left if left else tree.right)[node]
    return tree.value[node]


@settings(max_examples=60, deadline=None)
@given(tree_sets(), st.integers(0, 99))
def test_probabilities_are_the_mean_and_the_walks_and_sum_to_one(made, seed):
    trees, of_class = made
    rng = np.random.default_rng(seed)
    features = rng.choice([-1, 0, 0.1, 1, 2, np.nan], (7, len(NAMES))).astype(np.float32)
    features[:, :6] = rng.dirichlet(np.ones(CLASSES), (7, MEMBERS)).reshape(7, -1)
    stored = Trees.of(trees, of_class).arrays()
    model = BoostedModel(MEMBERS, CLASSES, Trees.checked(stored, len(NAMES), CLASSES))
    probabilities = model(features)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-6)
    scores = log_mean(features, MEMBERS, CLASSES)
    for tree, index in zip(trees, of_class, strict=True):
        scores[:, index] += [pixel_by_pixel(tree, row) for row in features]
    assert probabilities == pytest.approx(softmax(scores), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(tree_sets(), st.integers(0, 99))
def test_compiled_it_gives_the_same(made, seed):
    pytest.importorskip("onnx", reason="requirements-fast.txt is not installed")
    pytest.importorskip("onnxruntime", reason="requirements-fast.txt is not installed")
    import tempfile
    from pathlib import Path

    from cardiac_seg.meta.learners.learner import Learner
    from cardiac_seg.meta.learners.onnx_learner import compile_learner, load_compiled

    trees, of_class = made
    model = BoostedModel(MEMBERS, CLASSES, Trees.of(trees, of_class))
    learner = Learner(NAMES, CLASSES, 1.0, model)
    rng = np.random.default_rng(seed)
    features = rng.choice([-1, 0, 0.1, 1, 2, np.nan], (50, len(NAMES))).astype(np.float32)
    features[:, :6] = rng.dirichlet(np.ones(CLASSES), (50, MEMBERS)).reshape(50, -1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "meta" / "learner.onnx"
        assert compile_learner(path, learner) == bool(trees)
        if trees:
            compiled = load_compiled(path, NAMES, CLASSES)
            assert compiled.predict(features) == pytest.approx(model(features), abs=1e-6)
