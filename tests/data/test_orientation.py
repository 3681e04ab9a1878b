"""The canonical frame: a volume stored in any order and direction is the same volume."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.data.orientation import AS_STORED, find_orientation

SHAPE, SPACING = (7, 5, 3), (1.25, 1.5, 8.0)
# Along a row, along a column of a real short-axis stack's kind (LPS, as DICOM gives them).
ROW, COLUMN = np.array([0.75, 0.56, -0.35]), np.array([-0.15, 0.66, 0.73 * -1])


def oblique(towards_the_apex: bool = True) -> np.ndarray:
    """The affine (RAS, mm) of a short-axis stack as a viewer shows it."""
    row = ROW / np.linalg.norm(ROW)
    column = COLUMN - COLUMN @ row * row
    column /= np.linalg.norm(column)
    normal = np.cross(row, column) * (-1 if towards_the_apex else 1)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([row, column, normal], axis=1) * SPACING
    affine[:3, 3] = 30, -20, 10
    return np.diag([-1.0, -1, 1, 1]) @ affine


def stored_otherwise(array, affine, order, flips):
    """The volume with its axes in another order and direction, and the affine that says so."""
    index = np.zeros((4, 4))  # of the old array, from that of the new one
    index[3, 3] = 1
    for new, old in enumerate(order):
        index[old, new] = -1 if flips[new] else 1
        index[old, 3] = array.shape[old] - 1 if flips[new] else 0
    axes = [axis for axis, flip in enumerate(flips) if flip]
    return np.flip(array.transpose(order), axes), affine @ index


def canonical(array, affine):
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0))
    return find_orientation(affine, spacing, array.shape).to_canonical(array)


volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
ways = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((0, 1), repeat=3))
)


@pytest.mark.parametrize("affine", [np.diag([*SPACING, 1.0]), oblique()], ids=["plain", "oblique"])
@pytest.mark.parametrize(("order", "flips"), ways)
def test_a_volume_stored_otherwise_is_the_same_volume(order, flips, affine):
    assert np.array_equal(canonical(*stored_otherwise(volume, affine, order, flips)), volume.T)


@given(
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    spacing=st.tuples(*[st.floats(0.5, 3)] * 3),
    turn=st.integers(0, 2**32 - 1),
)
def test_any_volume_is_found_again_and_goes_back(order, flips, spacing, turn):
    """Whatever its directions: oblique by chance, with slices not much farther apart or closer."""
    directions, _ = np.linalg.qr(np.random.default_rng(turn).normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    other, said = stored_otherwise(volume, affine, order, flips)
    assert np.array_equal(canonical(other, said), canonical(volume, affine))
    orientation = find_orientation(said, tuple(np.array(spacing)[order]), other.shape)
    assert np.array_equal(orientation.to_stored(orientation.to_canonical(other)), other)


def test_a_viewers_picture_stays_and_slices_run_to_the_apex():
    assert np.array_equal(canonical(volume, oblique()), volume.T)
    from_the_apex = canonical(volume, oblique(towards_the_apex=False))
    assert np.array_equal(from_the_apex, volume.T[::-1])


def test_the_slice_axis_is_the_single_or_the_coarse_one():
    single = find_orientation(np.diag([1.0, 1, 1, 1]), (1, 1, 1), (1, 9, 8))
    assert single.order[0] == 0
    coarse = find_orientation(np.diag([1.4, 8, 1.4, 1]), (1.4, 8, 1.4), (9, 4, 8))
    assert coarse.order[0] == 1


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_without_directions_axes_are_taken_as_stored(affine):
    assert find_orientation(affine, (1, 1, 8), SHAPE) == AS_STORED
    assert np.array_equal(AS_STORED.to_canonical(volume), volume.T)
