"""Distances to the boundary, by hand and by a search over all pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiac_seg.metrics.boundary import boundary_distance


def test_the_boundary_is_the_two_pixels_that_touch():
    label = np.zeros((1, 2, 7), np.uint8)
    label[..., 3:] = 2
    distance = boundary_distance(label, (3.0, 0.5))
    assert distance.dtype == np.float64
    np.testing.assert_array_equal(distance[0], [[1, 0.5, 0, 0, 0.5, 1, 1.5]] * 2)


def test_distances_follow_the_spacing_of_each_axis():
    label = np.zeros((1, 9, 9), np.uint8)
    label[0, 4, 4] = 1  # with its four neighbours, a cross of zeros
    distance = boundary_distance(label, (3.0, 1.0))[0]
    assert distance[4, 4] == distance[3, 4] == distance[4, 5] == 0
    assert distance[4, 8] == 3  # three columns beyond the cross
    assert distance[8, 4] == 9  # three rows
    assert distance[5, 5] == 1  # diagonal: a column from the cross, three times nearer than a row
    assert distance[7, 6] == pytest.approx(np.hypot(2 * 3, 2))


def test_a_slice_of_one_class_has_no_boundary_even_beside_one_that_has():
    label = np.zeros((3, 4, 4), np.uint8)
    label[1, 1:3, 1:3], label[2] = 3, 1
    distance = boundary_distance(label, (1.0, 1.0))
    assert np.isinf(distance[[0, 2]]).all() and np.isfinite(distance[1]).all()


@given(
    arrays(np.uint8, (2, 4, 5), elements=st.integers(0, 2)),
    st.sampled_from([(1.0, 1.0), (0.5, 2.0), (3.0, 0.7)]),
)
def test_distances_are_those_of_a_search_over_all_pixels(label, spacing):
    distance = boundary_distance(label, spacing)
    for plane, found in zip(label, distance, strict=True):
        padded = np.pad(plane.astype(int), 1, mode="edge")
        around = [padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]]
        edges = np.argwhere(np.any([plane != other for other in around], axis=0))
        for at in np.ndindex(*plane.shape):
            lengths = [np.hypot(*((edge - at) * spacing)) for edge in edges]
            assert found[at] == pytest.approx(min(lengths, default=np.inf))
