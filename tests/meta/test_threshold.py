"""The confidence below which a learner acts."""

import numpy as np
import pytest

from cardiac_seg.meta.threshold import candidates, choose_threshold, threshold_scores
from cardiac_seg.metrics.expected_dice import expected_dice
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion

THRESHOLDS = [0.9, 0.95, 0.98, 0.99]
SAME = [0.9, 0.9, 0.9, 0.9]


@pytest.mark.parametrize(
    ("dice", "keep", "expected", "below"),
    [
        ([0.8, 0.8996, 0.8999, 0.9], "probabilities", SAME, 0.95),
        ([0.91, 0.9004, 0.9001, 0.9], "probabilities", SAME, 0.95),  # a gain is a change too
        ([0.9001, 0.88, 0.8999, 0.9], "probabilities", SAME, 0.98),  # 0.9 only by chance
        (SAME, "probabilities", [0.95, 0.903, 0.901, 0.9], 0.98),  # overconfident
        (SAME, "masks", [0.95, 0.903, 0.901, 0.9], 0.9),
        (SAME, "none", SAME, 0.99),
        (SAME, "probabilities", SAME, 0.9),
    ],
)
def test_a_threshold_is_the_lowest_that_keeps_what_is_wanted(dice, keep, expected, below):
    sums = {"cases": 4, "pixels": 2000, "acted_on": [20, 40, 60, 100]}
    sums |= {"dice": [4 * v for v in dice], "expected_dice": [4 * v for v in expected]}
    chosen = choose_threshold(sums, THRESHOLDS, keep)
    assert chosen["below"] == below and chosen["share_before"] == 0.05
    assert abs(chosen["dice_change"]) <= 0.0005
    assert chosen["share"] == {0.9: 0.01, 0.95: 0.02, 0.98: 0.03, 0.99: 0.05}[below]


def test_candidates_end_where_learners_were_fitted_to_act():
    assert candidates(0.85) == [0.5, 0.6, 0.7, 0.8, 0.85]
    assert candidates(1)[-2:] == [0.98, 1]


def test_threshold_scores_are_those_of_the_masks_below_the_threshold():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (2, 12, 10))
    rest, learner = (rng.dirichlet([0.4] * 3, label.shape) for _ in range(2))
    confidence = rng.uniform(1 / 3, 1, label.shape)  # the mean's; the rest may be less confident
    thresholds = [0.5, 0.7, 0.9, 0.99]
    learner = np.where((confidence < thresholds[-1])[..., None], learner, rest)
    scores = threshold_scores(label, confidence, rest, learner, thresholds)
    assert scores["pixels"] == label.size
    for k, threshold in enumerate(thresholds):
        acted = confidence < threshold
        combined = np.where(acted[..., None], learner, rest)
        counts = confusion(label, combined.argmax(-1), 3)
        assert scores["dice"][k] == pytest.approx(np.mean(dice_from_confusion(counts)[1:]))
        assert scores["expected_dice"][k] == pytest.approx(expected_dice(combined).mean())
        assert scores["acted_on"][k] == acted.sum()
