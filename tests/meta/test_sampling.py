"""Which pixels are contested, how they are drawn, and that weights undo the enrichment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiac_seg.config.sections import Stacking
from cardiac_seg.meta.learners.sklearn_learner import fit_learner
from cardiac_seg.meta.sampling import contested, draw_pixels


def members(mask, classes=3):
    """Two members that are certain of one mask."""
    return np.stack([np.eye(classes, dtype=np.float16)[mask]] * 2)


def nowhere(maps):
    return np.zeros(maps.shape[1:4], bool)


def test_where_all_agree_on_one_class_nothing_is_contested():
    maps = members(np.zeros((2, 5, 6), int))
    assert not contested(maps, nowhere(maps)).any()


@pytest.mark.parametrize("axis", [1, 2])
def test_both_sides_of_a_boundary_are_contested_in_its_slice_alone(axis):
    mask = np.zeros((2, 9, 9), int)
    mask[0, :, 4:] = 1  # between columns 3 and 4; slice 1 differs from slice 0, which is none
    mask = mask if axis == 2 else mask.swapaxes(1, 2)
    found = contested(members(mask), nowhere(members(mask)))
    across = found[0] if axis == 2 else found[0].T
    assert across[:, 3:5].all()
    assert not across[:, [0, 1, 7, 8]].any()
    assert not found[1].any()


def test_all_neighbours_of_a_lone_pixel_are_contested():
    mask = np.zeros((1, 9, 9), int)
    mask[0, 4, 4] = 2
    found = contested(members(mask), nowhere(members(mask)))[0]
    assert found[4, 4] and found[[3, 5, 4, 4], [4, 4, 3, 5]].all()
    assert found.sum() <= 25 and found[2:7, 2:7].sum() == found.sum()


def test_one_member_that_disagrees_is_enough():
    maps = members(np.zeros((2, 5, 6), int)).astype(np.float32)
    maps[1, 0, 2, 3] = [0.4, 0.6, 0]  # the mean stays background: (0.7, 0.3, 0)
    assert np.argwhere(contested(maps, nowhere(maps))).tolist() == [[0, 2, 3]]


def test_undecided_pixels_are_contested():
    maps = members(np.zeros((2, 5, 6), int))
    undecided = nowhere(maps)
    undecided[1, 4, 5] = True
    assert np.array_equal(contested(maps, undecided), undecided)


def test_three_quarters_are_contested():
    is_contested = np.arange(1000).reshape(2, 20, 25) % 10 < 3
    drawn, weights = draw_pixels(is_contested, 100, np.random.default_rng(0))
    inside = is_contested.ravel()[drawn]
    assert (inside.sum(), len(drawn)) == (75, 100)
    assert set(weights[inside]) == {300 / 75} and set(weights[~inside]) == {700 / 25}


def test_the_few_contested_pixels_are_all_taken():
    is_contested = np.zeros((1, 20, 50), bool)
    is_contested[0, 3, :10] = True
    drawn, weights = draw_pixels(is_contested, 100, np.random.default_rng(0))
    inside = is_contested.ravel()[drawn]
    assert drawn[inside].tolist() == list(range(150, 160)) and (weights[inside] == 1).all()
    assert weights[~inside] == pytest.approx(np.full(25, 990 / 25))


@pytest.mark.parametrize("fill", [False, True])
def test_a_case_without_one_kind_gives_the_other(fill):
    drawn, weights = draw_pixels(np.full((1, 4, 10), fill), 16, np.random.default_rng(0))
    assert len(drawn) == (12 if fill else 4) and weights.sum() == pytest.approx(40)


def test_a_small_case_is_taken_whole():
    is_contested = np.arange(30).reshape(1, 5, 6) % 2 == 0
    drawn, weights = draw_pixels(is_contested, 1000, np.random.default_rng(0))
    assert drawn.tolist() == list(range(30)) and (weights == 1).all()


@given(arrays(bool, (2, 5, 6)), st.integers(1, 90), st.integers(0, 9))
def test_the_drawn_stand_for_every_pixel(is_contested, count, seed):
    drawn, weights = draw_pixels(is_contested, count, np.random.default_rng(seed))
    assert weights.sum() == pytest.approx(60, rel=1e-5)
    assert weights[is_contested.ravel()[drawn]].sum() == pytest.approx(is_contested.sum(), rel=1e-5)
    assert (weights >= 1).all() and weights.dtype == np.float32
    assert (np.diff(drawn) > 0).all() and drawn.dtype == np.int64
    assert len(drawn) <= count + 1  # where rounding leaves a kind with none, one is taken

    again, same = draw_pixels(is_contested, count, np.random.default_rng(seed))
    assert np.array_equal(drawn, again) and np.array_equal(weights, same)


def test_another_seed_draws_other_pixels():
    first, second = (
        draw_pixels(np.zeros((1, 30, 30), bool), 400, np.random.default_rng(seed))[0]
        for seed in (0, 1)
    )
    assert not np.array_equal(first, second)


def enriched_case():
    """Labels of which classes 1 and 2 are rare, 5 % and 3 %, and nearly all contested."""
    rng = np.random.default_rng(4)
    labels = rng.choice(3, (2, 60, 50), p=[0.92, 0.05, 0.03])
    is_contested = rng.random(labels.shape) < np.where(labels > 0, 0.9, 0.1)
    return labels, is_contested


def test_weighted_frequencies_are_right_on_average():
    labels, is_contested = enriched_case()
    true = np.bincount(labels.ravel()) / labels.size
    rng = np.random.default_rng(5)
    weighted, plain = [], []
    for _ in range(300):
        drawn, weights = draw_pixels(is_contested, 200, rng)
        taken = labels.ravel()[drawn]
        weighted.append(np.bincount(taken, weights, minlength=3) / labels.size)
        plain.append(np.bincount(taken, minlength=3) / len(drawn))
    assert np.mean(weighted, axis=0) == pytest.approx(true, abs=0.003)
    assert np.abs(np.mean(plain, axis=0) - true).max() > 0.2


def test_probabilities_fitted_with_the_weights_are_right_on_average():
    """Fitted on a sample rich in rare classes, asked of all pixels."""
    labels, is_contested = enriched_case()
    labels = labels.ravel()
    true = np.bincount(labels) / labels.size
    noise = np.random.default_rng(6).normal(size=(labels.size, 3))
    features = (np.eye(3)[labels] + noise).astype(np.float32)
    drawn, weights = draw_pixels(is_contested, 1500, np.random.default_rng(7))

    def mean_prediction(weights):
        learner = fit_learner(
            "logistic",
            Stacking(),
            features[drawn],
            labels[drawn],
            weights,
            drawn,
            ["a", "b", "c"],
            3,
            seed=0,
        )
        return learner.predict(features).mean(0)

    assert mean_prediction(weights) == pytest.approx(true, abs=0.01)
    assert np.abs(mean_prediction(np.ones(len(drawn))) - true).max() > 0.1
