"""A member's maps come from a grid of its own to the ensemble's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.resample import from_grid, label_to_grid, make_grid, regrid


def grid(spacing, size, native=(80, 60), pixel=(1.0, 1.25)):
    return make_grid(native, pixel, Preprocess(spacing=spacing, size=size))


def test_maps_on_the_ensembles_grid_are_left_as_they_are():
    here = grid(2.0, (32, 32))
    maps = np.zeros((2, 32, 32, 3), np.float16)
    assert regrid(maps, here, grid(2.0, (32, 32))) is maps


@given(st.sampled_from([1.0, 1.5, 2.0, 2.5]), st.sampled_from([(32, 32), (64, 96), (96, 64)]))
def test_probabilities_stay_probabilities_and_the_outside_is_background(spacing, size):
    here, there = grid(2.0, (64, 64)), grid(spacing, size)
    rng = np.random.default_rng(0)
    maps = rng.dirichlet([1, 1, 1], (1, 64, 64)).astype(np.float16)
    brought = regrid(maps, here, there)
    assert brought.shape == (1, *size, 3) and brought.dtype == np.float16
    assert brought.sum(-1, dtype=np.float64) == pytest.approx(1, abs=3e-3)
    height, width = there.resampled
    rows = max(0, (size[0] - height) // 2)
    columns = max(0, (size[1] - width) // 2)
    assert (brought[0, :rows, :, 0] == 1).all() and (brought[0, :, :columns, 0] == 1).all()


def test_a_structure_stays_where_it_is_in_the_image():
    label = np.zeros((1, 80, 60), np.uint8)
    label[0, 20:50, 10:40] = 1
    here, there = grid(1.0, (96, 96)), grid(2.0, (64, 64))
    maps = np.eye(2, dtype=np.float16)[label_to_grid(label, here)]
    brought = regrid(maps, here, there)
    native = from_grid(brought.astype(np.float32), there).argmax(-1)
    differ = native != label
    inner = np.zeros_like(differ)
    inner[0, 22:48, 12:38] = True
    assert not (differ & inner).any()
    assert differ.sum() <= 0.1 * label.sum()  # at the boundary alone
