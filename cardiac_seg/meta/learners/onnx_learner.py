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

from cardiac_seg.meta.learners.learner import Learner, check_learner
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError, stack_again

Attributes = dict[str, Any]  # of ONNX's TreeEnsembleClassifier
LIST_KEYS = (
    *("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values"),
    *("nodes_truenodeids", "nodes_falsenodeids"),
    *("class_treeids", "class_nodeids", "class_ids", "class_weights"),
)


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
        learner: With a fitted scikit-learn classifier.

    Returns:
        Whether it was written: a logistic regression has nothing to gain.
    """
    from onnx import TensorProto, helper

    estimator = cast(Any, learner.model).estimator
    if len(estimator.classes_) < 3:  # ONNX has other rules for two classes; no run has so few
        return False
    if hasattr(estimator, "_predictors"):
        attributes = _boosting(estimator)
    elif isinstance(getattr(estimator, "estimators_", None), list):
        attributes = _forest(estimator)
    else:
        return False
    classes = [int(c) for c in estimator.classes_]
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["features"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_int64s=classes,
        **attributes,
    )
    graph = helper.make_graph(
        [node],
        "learner",
        [
            helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, [None, len(learner.features)]
            )
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(classes)]),
        ],
    )
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    metadata = {
        "features": learner.features,
        "classes": learner.classes,
        "known": classes,
        "seconds": learner.seconds,
    }
    helper.set_model_props(model, {"about": json.dumps(metadata)})
    with whole_file(path) as partial:
        partial.write_bytes(model.SerializeToString())
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
        model = _runner(session, metadata["known"], metadata["classes"])
        learner = Learner(metadata["features"], metadata["classes"], metadata["seconds"], model)
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


def _boosting(estimator: Any) -> Attributes:
    """Attributes of ONNX's TreeEnsembleClassifier from histogram gradient boosting."""
    trees = [tree for iteration in estimator._predictors for tree in enumerate(iteration)]
    attributes: Attributes = {key: [] for key in LIST_KEYS}
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
            leaf,
        )
        at = np.flatnonzero(leaf)
        weights = nodes["value"][at]
        _add_leaves(attributes, number, at, np.full(len(at), index), weights)
    baseline = np.ravel(estimator._baseline_prediction).tolist()
    return attributes | {"base_values": baseline, "post_transform": "SOFTMAX"}


def _forest(estimator: Any) -> Attributes:
    """Attributes of ONNX's TreeEnsembleClassifier from a random forest."""
    attributes: Attributes = {key: [] for key in LIST_KEYS}
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
            leaf,
        )
        votes = tree.value[leaf, 0]
        votes = votes / votes.sum(1, keepdims=True) / len(estimator.estimators_)
        at, index = np.nonzero(votes)
        _add_leaves(attributes, number, np.flatnonzero(leaf)[at], index, votes[at, index])
    return attributes | {"post_transform": "NONE"}


def _add_tree(
    attributes: Attributes,
    number: int,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
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
    attributes["nodes_values"] += inner(_not_above(threshold))
    attributes["nodes_truenodeids"] += inner(left)
    attributes["nodes_falsenodeids"] += inner(right)


def _add_leaves(
    attributes: Attributes,
    number: int,
    nodes: np.ndarray,
    classes: np.ndarray,
    weights: np.ndarray,
) -> None:
    attributes["class_treeids"] += [number] * len(nodes)
    attributes["class_nodeids"] += np.asarray(nodes).tolist()
    attributes["class_ids"] += np.asarray(classes).tolist()
    attributes["class_weights"] += np.asarray(weights, float).tolist()


def _not_above(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 that is at most each float64."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
