"""Files from others: nothing in them is run, nothing is read or written outside their folder."""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import skops.io
import yaml
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.tree import DecisionTreeRegressor
from sklearn.tree._tree import Tree

from cardiac_seg.__main__ import main
from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import GradientBoosting, Stacking
from cardiac_seg.members.maps import read_maps
from cardiac_seg.members.network_file import BLOCKS, named_parts
from cardiac_seg.members.networks import build_member
from cardiac_seg.meta.learners import sklearn_learner
from cardiac_seg.meta.learners.sklearn_check import check_estimator
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.run import meta_folder
from cardiac_seg.run.members import load_network
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scored_cases import read_test_cases
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from tests.support.paths import REPO
from tests.support.stub_run import write_stub_run

NAMES = ["a", "b", "c"]


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trace(tmp_path):
    """A folder that appears when code from a file was run."""
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def stub(tmp_path):
    return open_run(write_stub_run(tmp_path / "stub", "acdc"))


def network_of(run):
    return run.models("unet_advanced", "full") / "last.keras"


def rewritten(path, change):
    """A `.keras` file with its description changed."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(content["config.json"])
    change(described)
    content["config.json"] = json.dumps(described).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["learner.skops", "learner.onnx"])
def test_a_pickle_for_a_learner_is_damaged(tmp_path, trace, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(UserError, match="damaged"):
        if path.suffix == ".skops":
            sklearn_learner.load_learner(path, "logistic", NAMES, 3)
        else:
            pytest.importorskip("onnxruntime")
            from cardiac_seg.meta.learners.onnx_learner import load_compiled

            load_compiled(path, NAMES, 3)


def test_a_pickle_in_maps_is_damaged(tmp_path, trace):
    trapped = np.array([Trap(trace)], object)
    np.savez(tmp_path / "maps.npz", about=trapped, image=trapped, unet_advanced=trapped)
    with pytest.raises(UserError, match="damaged"):
        read_maps(tmp_path / "maps.npz", ["unet_advanced"])


def test_a_pickle_for_a_network_is_damaged(stub, trace):
    network_of(stub).write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(UserError, match="cannot be loaded"):
        load_network(stub, "unet_advanced", "full")


def test_a_lambda_layer_is_refused(stub, trace):
    image = keras.Input((64, 64, 1))
    spring = keras.layers.Lambda(lambda x, trace=str(trace): [__import__("os").mkdir(trace), x][1])
    spring.build((None, 64, 64, 1))
    layer = keras.layers.Lambda(lambda x: x)
    network = keras.Model(image, layer(image), name="unet_advanced")
    layer.function = spring.function  # what is saved has not been called yet
    network.save(network_of(stub))
    with pytest.raises(UserError, match="holds 'Lambda'"):
        load_network(stub, "unet_advanced", "full")


@pytest.mark.parametrize(
    ("module", "name"), [("keras.utils", "get_file"), ("os", "system"), ("builtins", "function")]
)
def test_a_network_that_names_something_to_call_is_refused(stub, module, name):
    def add(described):
        layer = described["config"]["layers"][1]["config"]
        layer["kernel_initializer"] = {"module": module, "class_name": name, "config": {}}

    rewritten(network_of(stub), add)
    with pytest.raises(UserError, match=f"holds '{name}' of {module}"):
        load_network(stub, "unet_advanced", "full")


def test_a_network_that_asks_for_all_the_memory_is_refused(stub):
    def widen(described):
        described["config"]["layers"][1]["config"]["filters"] = 10**6

    rewritten(network_of(stub), widen)
    with pytest.raises(UserError, match="wider than the weights"):
        load_network(stub, "unet_advanced", "full")


def test_a_network_that_multiplies_its_channels_is_refused(stub):
    image = keras.Input((64, 64, 1))
    layer = keras.layers.Conv2D(8, 1)(image)
    layer = keras.layers.Conv2D(8, 3)(keras.layers.Concatenate()([layer] * 3))
    keras.Model(image, keras.layers.Softmax()(layer), name="unet_advanced").save(network_of(stub))

    def multiply(described):
        (joined,) = [x for x in described["config"]["layers"] if x["class_name"] == "Concatenate"]
        joined["inbound_nodes"][0]["args"][0] *= 1000

    rewritten(network_of(stub), multiply)
    with pytest.raises(UserError, match="wider than the weights"):
        load_network(stub, "unet_advanced", "full")


def test_a_network_with_an_endless_description_is_refused(stub):
    rewritten(network_of(stub), lambda described: described.update(more="x" * 10**7))
    with pytest.raises(UserError, match="longer than any network's"):
        load_network(stub, "unet_advanced", "full")


@pytest.mark.parametrize("member", ["unet_advanced", "deep_unet_improved"])
def test_the_networks_are_of_listed_layers(member):
    sets = [f"networks.{member}.filters=4", "data.root=x"]
    config = load_config(REPO / "configs" / "demo.yaml", sets)
    described = json.loads(build_member(member, config, 4).to_json())
    found = {(part.get("module"), part["class_name"]) for part in named_parts(described["config"])}
    assert found <= BLOCKS


KINDS = {
    "random_forest": Stacking(random_forest={"trees": 3}),
    "gradient_boosting": Stacking(gradient_boosting={"iterations": 3}),
    "classic": Stacking(gradient_boosting=GradientBoosting(kind="classic", iterations=3)),
}


def learner_of(kind):
    return "gradient_boosting" if kind == "classic" else kind


def fitted(kind):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 3)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(int) + (features[:, 1] > 0.5)
    name = learner_of(kind)
    data = features, labels, np.ones(2000, np.float32), labels
    return sklearn_learner.fit_learner(name, KINDS[kind], *data, NAMES, 3, 0)


def astray(estimator, field, value):
    """The first tree's root, changed in place as a file could have it."""
    if hasattr(estimator, "_predictors"):
        key = {"left_child": "left", "right_child": "right", "feature": "feature_idx"}[field]
        estimator._predictors[0][0].nodes[key][0] = value
        return estimator
    one = np.ravel(estimator.estimators_)[0]
    tree = type(one.tree_)(3, np.array([3 if estimator.__class__.__name__[0] == "R" else 1]), 1)
    state = one.tree_.__getstate__()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    one.tree_ = tree
    return estimator


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**6), ("right_child", 0), ("feature", 3), ("feature", 10**6)],
)
def test_a_tree_that_leads_astray_is_refused(tmp_path, kind, field, value):
    learner = fitted(kind)
    name = learner_of(kind)
    check_estimator(name, learner.model.estimator, 3, 3)  # fine as it was fitted
    astray(learner.model.estimator, field, value)
    sklearn_learner.save_learner(tmp_path / "learner.skops", learner)
    with pytest.raises(UserError, match=r"holds a tree that (leads nowhere|asks for other)"):
        sklearn_learner.load_learner(tmp_path / "learner.skops", name, NAMES, 3)


def swapped_tree(estimator):
    """A tree in the place of what holds the arrays: it answers for its own, and walks others."""
    one, data = estimator.estimators_[0], np.random.default_rng(0).normal(size=(60, 3))
    other = DecisionTreeRegressor(max_depth=1).fit(data, np.eye(3)[np.arange(60) % 3])
    for name in ("node_count", "value", "children_left", "children_right", "feature"):
        setattr(other, name, getattr(one.tree_, name))
    one.tree_ = other


def masked_nodes(estimator):
    """Nodes whose wrong feature is masked: comparisons pass over it, compiled code does not."""
    predictor = estimator._predictors[0][0]
    nodes = np.ma.MaskedArray(predictor.nodes.copy())
    nodes["feature_idx"][0] = np.ma.masked
    predictor.nodes = nodes


def narrow_guess(estimator):
    """A first guess that is narrower than what is added to it."""
    estimator.init_.strategy = estimator.init_._strategy = "uniform"
    estimator.init_.n_classes_ = 1


@pytest.mark.parametrize(
    ("kind", "change", "found"),
    [
        ("random_forest", swapped_tree, "DecisionTreeRegressor inside"),
        ("gradient_boosting", masked_nodes, "MaskedArray inside"),
        ("classic", narrow_guess, "a first guess of other classes"),
    ],
)
def test_an_estimator_that_only_looks_right_is_refused(tmp_path, kind, change, found):
    learner = fitted(kind)
    change(learner.model.estimator)
    sklearn_learner.save_learner(tmp_path / "learner.skops", learner)
    with pytest.raises(UserError, match=found):
        sklearn_learner.load_learner(tmp_path / "learner.skops", learner_of(kind), NAMES, 3)


def test_a_tree_cannot_claim_more_nodes_than_it_holds():
    # scikit-learn sees to that itself; the check of the nodes relies on it.
    state = fitted("random_forest").model.estimator.estimators_[0].tree_.__getstate__()
    tree = Tree(3, np.array([3]), 1)
    tree.__setstate__(state | {"node_count": 10**6})
    assert tree.node_count == len(state["nodes"])


def test_another_kind_of_estimator_is_refused(tmp_path):
    learner = fitted("random_forest")
    data = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    other = GradientBoostingClassifier(n_estimators=2, init=learner.model.estimator).fit(*data)
    with pytest.raises(ValueError, match="RandomForestClassifier inside"):
        check_estimator("gradient_boosting", other, 3, 3)
    with pytest.raises(ValueError, match="GradientBoostingClassifier inside"):
        check_estimator("random_forest", other, 3, 3)
    values = {"features": NAMES, "classes": 3, "seconds": 0.0, "estimator": {"classes_": [0]}}
    skops.io.dump(
        values | {"scikit_learn": sklearn_learner.sklearn.__version__}, tmp_path / "x.skops"
    )
    with pytest.raises(UserError, match="damaged"):
        sklearn_learner.load_learner(tmp_path / "x.skops", "random_forest", NAMES, 3)


def test_a_learner_as_large_as_a_disk_is_refused(tmp_path, monkeypatch):
    sklearn_learner.save_learner(tmp_path / "learner.skops", fitted("random_forest"))
    monkeypatch.setattr(sklearn_learner, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="when unpacked"):
        sklearn_learner.load_learner(tmp_path / "learner.skops", "random_forest", NAMES, 3)


@pytest.mark.parametrize(
    "text",
    [
        "x: !!python/object/apply:os.mkdir [%s]",
        "!!python/object/new:os.mkdir [%s]",
        "data: {root: !!python/name:os.mkdir }",
    ],
)
def test_a_python_tag_in_a_config_is_refused(tmp_path, trace, text):
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("%s", str(trace)))
    with pytest.raises(UserError, match="line 1: not valid YAML"):
        load_config(path)


def test_an_alias_bomb_is_refused(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for one, other in zip("bcdefgh", "abcdefg", strict=True):
        lines.append(f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]")
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match="line 2: not valid YAML .an alias; write the value out"):
        load_config(path)
    assert yaml.safe_load("{a: &x 1, b: *x}") == {"a": 1, "b": 1}  # valid, and of no use here


def test_another_file_than_the_run_wrote_is_refused(stub):
    path = network_of(stub)
    stub.update_manifest(models={path.relative_to(stub.folder).as_posix(): file_sha256(path)})
    Ensemble.load(stub.folder)
    shutil.copyfile(stub.models("deep_unet_improved", "full") / "last.keras", path)
    with pytest.raises(UserError, match=r"last\.keras: damaged or of another run"):
        Ensemble.load(stub.folder)


@pytest.mark.parametrize("name", ["../../outside", "/etc/outside", ""])
@pytest.mark.parametrize("column", ["case", "patient", "path"])
def test_a_listed_case_cannot_leave_the_run(stub, column, name):
    row = {"case": "a", "patient": "p", "path": "p/a.nii.gz", "view": "", "phase": "ED"} | {
        column: name
    }
    table = ",".join([*row, "group", "recorded_ef", "heart_rate"])
    (stub.folder / "test_cases.csv").write_text(f"{table}\n{','.join(row.values())},,,\n")
    with pytest.raises(UserError, match="names no file of the run"):
        read_test_cases(stub)


def test_nothing_reaches_for_the_network():
    # For all tests: conftest.py.
    with pytest.raises(RuntimeError, match="no network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_predict_works_where_there_is_no_network(stub, tmp_path):
    alone = ["unshare", "--net", "--map-root-user"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone, "true"], capture_output=True).returncode
    ):
        pytest.skip("no right to run a process without network here")
    assert main(["phantom", str(tmp_path / "images"), "--patients", "1"]) == 0
    command = [sys.executable, "-m", "cardiac_seg", "predict", str(stub.folder)]
    command += [str(tmp_path / "images"), "--output", str(tmp_path / "results")]
    done = subprocess.run([*alone, *command], cwd=REPO, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "summary.csv").is_file()


def test_a_compiled_learner_that_the_run_does_not_list_is_not_loaded(stub, monkeypatch):
    monkeypatch.setattr(meta_folder, "can_run", lambda: True)
    features = SimpleNamespace(names=NAMES, classes=range(3))
    monkeypatch.setattr(
        meta_folder, "plain_combiner", lambda run: SimpleNamespace(features=features)
    )
    (stub.meta / "logistic.onnx").write_bytes(b"anything")
    stacked = stub.config.model_copy(update={"stacking": Stacking(learners=["logistic"])})
    with pytest.raises(UserError, match=r"logistic\.skops"):
        meta_folder.read_learner(replace(stub, config=stacked), "logistic")


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json", "config.yaml"])
def test_a_pipe_for_a_file_of_a_run_is_refused(stub, capsys, name):
    (stub.folder / name).unlink(missing_ok=True)
    os.mkfifo(stub.folder / name)
    assert main(["export", str(stub.folder), str(stub.folder.parent / "out")]) == 2
    assert name in capsys.readouterr().err


def test_a_run_extends_no_other_file(stub):
    path = stub.folder / "config.yaml"
    path.write_text(path.read_text() + "extends: ../stub.yaml\n")
    with pytest.raises(UserError, match="extends another file"):
        open_run(stub.folder)


def test_a_result_names_no_place_of_this_machine(stub, tmp_path):
    images, results = tmp_path / "images", tmp_path / "results"
    assert main(["phantom", str(images), "--patients", "1"]) == 0
    assert main(["predict", str(stub.folder), str(images), "--output", str(results)]) in (0, 1)
    for path in [p for p in results.rglob("*") if p.suffix in (".csv", ".json", ".txt")]:
        assert str(tmp_path) not in path.read_text()
