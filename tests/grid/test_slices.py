"""Out of the plane: other slice distances, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.grid.slices import maps_of_slices, nearest_slices, slice_count
from cardiac_seg.system.errors import UserError

counts = st.integers(1, 24)


def test_the_number_of_slices_keeps_the_extent():
    assert slice_count(10, 10.0, 5.0) == 20
    assert slice_count(8, 2.5, 5.0) == 4
    assert slice_count(1, 0.5, 5.0) == 1
    assert slice_count(9, 8.0, None) == 9


@pytest.mark.parametrize("spacing", [1000.0, float("nan")])
def test_a_distance_that_no_stack_has_is_refused(spacing):
    with pytest.raises(UserError, match="mm apart: the network sees slices at 5 mm"):
        slice_count(10, spacing, 5.0)


def test_nearest_slices_of_twice_and_half_as_many():
    assert nearest_slices(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    assert nearest_slices(6, 3).tolist() == [1, 3, 5]
    assert nearest_slices(3, 3).tolist() == [0, 1, 2]


def test_maps_come_back_as_means_and_between_two_slices():
    maps = np.array([0, 1, 0.5, 0.5], np.float32).reshape(4, 1, 1, 1)
    assert maps_of_slices(maps, 2).ravel().tolist() == [0.5, 0.5]
    # Middles at .25 and .75, 1.25, ... of the old slices' distance.
    assert maps_of_slices(maps[:2], 4).ravel().tolist() == [0, 0.25, 0.75, 1]


@given(counts, st.integers(1, 4))
def test_whole_multiples_come_back_exactly(slices, times):
    maps = np.random.default_rng(slices).random((slices, 2, 3, 4), np.float32)
    there = maps[nearest_slices(slices, times * slices)]
    np.testing.assert_allclose(maps_of_slices(there, slices), maps, atol=1e-6)


@given(counts, counts)
def test_probabilities_stay_probabilities(slices, count):
    maps = np.random.default_rng(slices).random((slices, 2, 2, 3), np.float32)
    maps /= maps.sum(-1, keepdims=True)
    back = maps_of_slices(maps, count)
    assert back.shape == (count, 2, 2, 3) and back.dtype == np.float32
    np.testing.assert_allclose(back.sum(-1), 1, atol=1e-5)
    assert back.min() >= 0
