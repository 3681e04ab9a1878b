"""What the methods did on cases that nothing of them was fitted on, counted case by case."""

import itertools
from typing import Any

import numpy as np

from cardiac_seg.meta.combine import Combiner, below
from cardiac_seg.meta.interpretation import count_changes, count_errors, error_correlation
from cardiac_seg.meta.methods import CALIBRATED_MEAN
from cardiac_seg.meta.threshold import candidates, threshold_scores
from cardiac_seg.metrics.calibration import calibration_summary, count_calibration


class Evidence:
    """Counts over cases, plain values that can be stored and added.

    Attributes:
        changes: Method -> `count_changes` against the control.
        errors: Member -> each later member -> `count_errors` of the two.
        calibration: Method -> `count_calibration` on the pixels where learners act.
        thresholds: Learner -> `threshold_scores`.
    """

    def __init__(self, combiner: Combiner, control: str):
        self.combiner, self.control = combiner, control
        self.changes: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, dict[str, dict[str, Any]]] = {}
        self.calibration: dict[str, dict[str, Any]] = {}
        self.thresholds: dict[str, dict[str, Any]] = {}

    def add(self, label: np.ndarray, by_method: dict[str, np.ndarray]) -> None:
        """Counts one case.

        Args:
            label: (slices, height, width) true classes.
            by_method: Method -> (slices, height, width, classes) float32 probabilities.
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
        for one, other in itertools.combinations(self.combiner.members, 2):
            pair = self.errors.setdefault(one, {})
            _add_to(pair, other, count_errors(label, masks[one], masks[other]))


def summarize_evidence(folds: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the methods did, over all folds.

    Args:
        folds: Of each, `changes`, `errors`, `calibration` as `Evidence` counts them, and
            `importance`: learner -> feature group -> nats.

    Returns:
        Per method: `changes` against the control over all pixels of the network grid, with the
        shares; `calibration` on the pixels where learners act; `importance` of each feature group
        in nats, mean and each fold's; of a member, `error_correlation` with every other member over
        all pixels.
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
    return described


def added(counts: list[dict[str, Any]]) -> dict[str, Any]:
    """Dictionaries of numbers or lists of numbers, added key by key."""
    return {key: np.sum([np.array(c[key]) for c in counts], axis=0).tolist() for key in counts[0]}


def _add_to(sums: dict[str, dict[str, Any]], key: str, counts: dict[str, Any]) -> None:
    sums[key] = added([sums[key], counts]) if key in sums else added([counts])
