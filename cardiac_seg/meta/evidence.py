"""What the methods did on cases that nothing of them was fitted on, counted case by case."""

import itertools
from typing import Any

import numpy as np

from cardiac_seg.meta.combine import Combiner, below
from cardiac_seg.meta.interpretation import count_changes, count_errors, error_correlation
from cardiac_seg.meta.methods import CALIBRATED_MEAN
from cardiac_seg.meta.places import (
    ByPlace,
    add_by_place,
    changes_by_place,
    place_order,
    summarize_importance,
)
from cardiac_seg.meta.threshold import candidates, threshold_scores
from cardiac_seg.metrics.calibration import calibration_summary, count_calibration


class Evidence:
    """Counts over cases, plain values that can be stored and added.

    Attributes:
        changes: Method -> `count_changes` against the control.
        changes_by_place: Learner -> `meta.places.changes_by_place` against the calibrated mean.
        errors: Member -> each later member -> `count_errors` of the two.
        calibration: Method -> `count_calibration` on the pixels where learners act.
        thresholds: Learner -> `threshold_scores`.
    """

    def __init__(self, combiner: Combiner, control: str):
        self.combiner, self.control = combiner, control
        self.changes: dict[str, dict[str, Any]] = {}
        self.changes_by_place: dict[str, ByPlace] = {}
        self.errors: dict[str, dict[str, dict[str, Any]]] = {}
        self.calibration: dict[str, dict[str, Any]] = {}
        self.thresholds: dict[str, dict[str, Any]] = {}

    def add(self, label: np.ndarray, by_method: dict[str, np.ndarray], places: np.ndarray) -> None:
        """Counts one case.

        Args:
            label: (slices, height, width) true classes.
            by_method: Method -> (slices, height, width, classes) float32 probabilities.
            places: (slices,) names of places, see `meta.places`.
        """
        mean = by_method[self.control]
        masks = {method: p.argmax(-1) for method, p in by_method.items()}
        pixels = below(mean, self.combiner.act_below)
        for method, probabilities in by_method.items():
            counts = count_calibration(probabilities[pixels], label[pixels])
            _add_to(self.calibration, method, counts)
            if method != self.control:
                _add_to(
                    self.changes, method, count_changes(label, masks[self.control], masks[method])
                )
            if method in self.combiner.learners:
                # Not among the methods where there are no temperatures: it is the mean then.
                rest = by_method.get(CALIBRATED_MEAN, mean)
                thresholds = candidates(self.combiner.act_below)
                scores = threshold_scores(label, mean.max(-1), rest, probabilities, thresholds)
                _add_to(self.thresholds, method, scores)
                moved = (label, masks.get(CALIBRATED_MEAN, masks[self.control]), masks[method])
                structures = self.combiner.features.classes[1:]
                add_by_place(
                    self.changes_by_place.setdefault(method, {}),
                    changes_by_place(*moved, places, structures),
                )
        for one, other in itertools.combinations(self.combiner.members, 2):
            pair = self.errors.setdefault(one, {})
            _add_to(pair, other, count_errors(label, masks[one], masks[other]))


def summarize_evidence(folds: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the methods did, over all folds.

    Args:
        folds: Of each, `changes`, `changes_by_place`, `errors`, `calibration` as `Evidence` counts
            them; `importance`: learner -> feature group -> nats; `importance_by_place`: learner ->
            `meta.places.importance_by_place`. Those by place may be empty.

    Returns:
        Per method: `changes` against the control over all pixels of the network grid, with the
        shares; `calibration` on the pixels where learners act; `importance` of each feature group
        in nats, mean and each fold's; both by place too, where every fold has them; of a member,
        `error_correlation` with every other member over all pixels.
    """
    described: dict[str, dict[str, Any]] = {}
    for method in folds[0]["calibration"]:
        calibration = added([fold["calibration"][method] for fold in folds])
        described[method] = {"calibration": calibration_summary(calibration)}
    for one, others in folds[0]["errors"].items():
        for other in others:
            errors = added([fold["errors"][one][other] for fold in folds])
            for a, b in ((one, other), (other, one)):
                described[a].setdefault("error_correlation", {})[b] = error_correlation(errors)
    for method in folds[0]["changes"]:
        counts = added([fold["changes"][method] for fold in folds])
        changed = max(counts["changed"], 1)
        described[method]["changes"] = {
            **counts,
            "share_changed": counts["changed"] / counts["pixels"],
            "share_better": counts["better"] / changed,
            "share_worse": counts["worse"] / changed,
        }
    for method, groups in folds[0]["importance"].items():
        described[method]["importance"] = {
            group: {
                "mean": float(np.mean([fold["importance"][method][group] for fold in folds])),
                "folds": [fold["importance"][method][group] for fold in folds],
            }
            for group in groups
        }
    _describe_places(described, folds)
    return described


def _describe_places(described: dict[str, dict[str, Any]], folds: list[dict[str, Any]]) -> None:
    """Adds what is known by place; a fold that an earlier version scored knows nothing of it."""
    for method in folds[0]["changes_by_place"]:
        if all(method in fold["changes_by_place"] for fold in folds):
            sums: ByPlace = {}
            for fold in folds:
                add_by_place(sums, fold["changes_by_place"][method])
            ordered = sorted(sums, key=place_order)
            described[method]["changes_by_place"] = {place: sums[place] for place in ordered}
    for method in folds[0]["importance_by_place"]:
        if all(method in fold["importance_by_place"] for fold in folds):
            described[method]["importance_by_place"] = summarize_importance(
                [fold["importance_by_place"][method] for fold in folds]
            )


def added(counts: list[dict[str, Any]]) -> dict[str, Any]:
    """Dictionaries of numbers or lists of numbers, added key by key."""
    return {key: np.sum([np.array(c[key]) for c in counts], axis=0).tolist() for key in counts[0]}


def _add_to(sums: dict[str, dict[str, Any]], key: str, counts: dict[str, Any]) -> None:
    sums[key] = added([sums[key], counts]) if key in sums else added([counts])
