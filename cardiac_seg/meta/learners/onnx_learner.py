"""Forests and boosting compiled to ONNX: the same probabilities several times faster.

ONNX Runtime walks the trees of many pixels at once, and starts without scikit-learn, whose import
takes longer than a prediction. It is an optional extra (`requirements-fast.txt`); the `.skops`
file beside a compiled learner is the one that every installation reads. A compiled file holds a
graph of arithmetic, no code; it is used only where the manifest lists it with its hash.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from cardiac_seg.meta.learners.float32 import not_above
from cardiac_seg.meta.learners.learner import Learner, check_learner
from cardiac_seg.meta.learners.log_mean import log_mean, members_of, softmax
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError, stack_again

Attributes = dict[str, Any]  # of ONNX's TreeEnsembleClassifier and TreeEnsembleRegressor
NODE_KEYS = (
    *("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values"),
    *("nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true"),
)
LEAF_KEYS = ("treeids", "nodeids", "ids", "weights")  # after "class_" or "target_"


def can_compile() -> bool:
    """Whether learners can be compiled here."""
    return find_spec("onnx") is not None and can_run()


def can_run() -> bool:
    """Whether compiled learners can be used here."""
    return find_spec("onnxruntime") is not None


def compile_learner(path: Path, learner: Learner) -> bool:
    """Writes a compiled learner beside its `.skops` file, if it is made of trees.

    Args:
        path: The `.onnx` file.
        learner: With a fitted scikit-learn classifier, or of boosting from the mean.

    Returns:
        Whether it was written: a logistic regression has nothing to gain.
    """
    from onnx import TensorProto, helper

    metadata: dict[str, Any] = {
        "features": learner.features,
        "classes": learner.classes,
        "seconds": learner.seconds,
    }
    model = cast(Any, learner.model)
    if hasattr(model, "trees"):
        known = list(range(learner.classes))
        attributes = _corrections(model.trees, learner.classes)
        kind, outputs, metadata["start"] = "TreeEnsembleRegressor", ["scores"], "log_mean"
    else:
        attributes, known = _estimator(model.estimator), [int(c) for c in model.estimator.classes_]
        kind, outputs = "TreeEnsembleClassifier", ["label", "probabilities"]
        attributes |= {"classlabels_int64s": known} if attributes else {}
    if not attributes:
        return False
    node = helper.make_node(kind, ["features"], outputs, domain="ai.onnx.ml", **attributes)
    columns = [None, len(learner.features)]
    types: dict[str, tuple[Any, list[int | None]]] = {
        "label": (TensorProto.INT64, [None]),
        outputs[-1]: (TensorProto.FLOAT, [None, len(known)]),
    }
    graph = helper.make_graph(
        [node],
        "learner",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, columns)],
        [helper.make_tensor_value_info(name, *types[name]) for name in outputs],
    )
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)]
    whole = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    helper.set_model_props(whole, {"about": json.dumps(metadata | {"known": known})})
    with whole_file(path) as partial:
        partial.write_bytes(whole.SerializeToString())
    return True


def load_compiled(path: Path, features: list[str], classes: int) -> Learner:
    """Reads a compiled learner.

    Args:
        path: The `.onnx` file.
        features: The names it must have been fitted on, in order.
        classes: The number of classes it must tell apart.

    Raises:
        UserError: If the file is damaged, or of other features or classes.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # what it says of a damaged file is said below
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = json.loads(session.get_modelmeta().custom_metadata_map["about"])
        names, count = metadata["features"], metadata["classes"]
        if metadata.get("start") == "log_mean":
            model = _runner_from_mean(session, members_of(names, count), count)
        else:
            model = _runner(session, metadata["known"], count)
        learner = Learner(names, count, metadata["seconds"], model)
    except Exception as error:  # ONNX Runtime and json let many kinds through
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged ({reason}); {stack_again(path.parent.parent)}") from None
    check_learner(path, learner, features, classes)
    return learner


def _runner(session: Any, known: list[int], classes: int) -> Callable[[np.ndarray], np.ndarray]:
    def run(features: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(features), classes), np.float32)
        probabilities[:, known] = session.run(["probabilities"], {"features": features})[0]
        return probabilities

    return run


def _runner_from_mean(
    session: Any, members: int, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    def run(features: np.ndarray) -> np.ndarray:
        corrections = session.run(["scores"], {"features": features})[0]
        scores = log_mean(features, members, classes) + corrections
        return softmax(scores).astype(np.float32)

    return run


def _corrections(trees: Any, classes: int) -> Attributes:
    """Attributes of ONNX's TreeEnsembleRegressor; none where there are no trees."""
    attributes = _empty("target")
    for number, (tree, index) in enumerate(zip(trees, trees.of_class, strict=True)):
        _add_tree(
            attributes,
            number,
            tree.feature,
            tree.threshold,
            tree.left,
            tree.right,
            tree.missing_left,
            tree.leaf,
        )
        at = np.flatnonzero(tree.leaf)
        _add_leaves(attributes, "target", number, at, np.full(len(at), index), tree.value[at])
    return attributes | {"n_targets": classes} if len(trees) else {}


def _estimator(estimator: Any) -> Attributes:
    """Attributes of ONNX's TreeEnsembleClassifier; none of what it has no place for."""
    if len(estimator.classes_) < 3:  # ONNX has other rules for two classes; no run has so few
        return {}
    if hasattr(estimator, "_predictors"):
        return _boosting(estimator)
    if isinstance(getattr(estimator, "estimators_", None), list):
        return _forest(estimator)
    return {}


def _boosting(estimator: Any) -> Attributes:
    """Attributes of ONNX's TreeEnsembleClassifier from histogram gradient boosting."""
    trees = [tree for iteration in estimator._predictors for tree in enumerate(iteration)]
    attributes = _empty("class")
    for number, (index, predictor) in enumerate(trees):
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        _add_tree(
            attributes,
            number,
            nodes["feature_idx"],
            nodes["num_threshold"],
            nodes["left"],
            nodes["right"],
            nodes["missing_go_to_left"],
            leaf,
        )
        at = np.flatnonzero(leaf)
        weights = nodes["value"][at]
        _add_leaves(attributes, "class", number, at, np.full(len(at), index), weights)
    baseline = np.ravel(estimator._baseline_prediction).tolist()
    return attributes | {"base_values": baseline, "post_transform": "SOFTMAX"}


def _forest(estimator: Any) -> Attributes:
    """Attributes of ONNX's TreeEnsembleClassifier from a random forest."""
    attributes = _empty("class")
    for number, one in enumerate(estimator.estimators_):
        tree = one.tree_
        leaf = tree.children_left < 0
        _add_tree(
            attributes,
            number,
            tree.feature,
            tree.threshold,
            tree.children_left,
            tree.children_right,
            tree.missing_go_to_left,
            leaf,
        )
        votes = tree.value[leaf, 0]
        votes = votes / votes.sum(1, keepdims=True) / len(estimator.estimators_)
        at, index = np.nonzero(votes)
        _add_leaves(attributes, "class", number, np.flatnonzero(leaf)[at], index, votes[at, index])
    return attributes | {"post_transform": "NONE"}


def _add_tree(
    attributes: Attributes,
    number: int,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    missing_left: np.ndarray,
    leaf: np.ndarray,
) -> None:
    def inner(values: np.ndarray) -> list[Any]:
        return np.where(leaf, 0, values).tolist()

    count = len(leaf)
    attributes["nodes_treeids"] += [number] * count
    attributes["nodes_nodeids"] += range(count)
    attributes["nodes_featureids"] += inner(feature)
    attributes["nodes_modes"] += np.where(leaf, "LEAF", "BRANCH_LEQ").tolist()
    # Features are float32: what is at most the threshold is at most the float32 below it.
    attributes["nodes_values"] += inner(not_above(threshold))
    attributes["nodes_truenodeids"] += inner(left)
    attributes["nodes_falsenodeids"] += inner(right)
    attributes["nodes_missing_value_tracks_true"] += inner(np.asarray(missing_left, int))


def _add_leaves(
    attributes: Attributes,
    what: str,
    number: int,
    nodes: np.ndarray,
    classes: np.ndarray,
    weights: np.ndarray,
) -> None:
    attributes[f"{what}_treeids"] += [number] * len(nodes)
    attributes[f"{what}_nodeids"] += np.asarray(nodes).tolist()
    attributes[f"{what}_ids"] += np.asarray(classes).tolist()
    attributes[f"{what}_weights"] += np.asarray(weights, float).tolist()


def _empty(what: str) -> Attributes:
    """Attributes of no trees, whose leaves will be of a `class` or a `target`."""
    return {key: [] for key in (*NODE_KEYS, *(f"{what}_{key}" for key in LEAF_KEYS))}
