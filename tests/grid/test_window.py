"""Labels and maps on a network grid that has a place of its own in the plane."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.field import Field, field_about
from cardiac_seg.grid.resample import (
    Grid,
    cut_window,
    from_grid,
    label_beyond,
    label_to_grid,
    make_grid,
    read_grid,
    regrid,
    shown_window,
)

NATIVE = (90, 110)
SETTINGS = Preprocess(spacing=1.5, size=(64, 96), field="heart")


def grid_about(centre, spacing=(1.0, 1.0), settings=SETTINGS, native=NATIVE):
    return make_grid(native, spacing, settings, field_about(centre, spacing, settings))


def disc(centre, radius, native=NATIVE):
    rows, columns = np.indices(native) + 0.5
    return (np.hypot(rows - centre[0], columns - centre[1]) <= radius)[None].astype(np.uint8)


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@given(
    st.tuples(st.integers(0, 90), st.integers(0, 110)),
    st.tuples(*[st.floats(0.8, 2.0)] * 2),
    st.sampled_from([1.0, 1.37, 2.0]),
)
def test_a_disc_comes_back_from_a_window_wherever_it_lies(centre, spacing, target):
    """A disc of 12 pixels inside a window that may reach beyond the image: Dice at least 0.94."""
    settings = Preprocess(spacing=target, size=(64, 64), field="heart")
    grid = grid_about(centre, spacing, settings)
    radius = 12 * max(1.0, target / min(spacing))
    label = disc(centre, min(radius, 0.3 * min(grid.window[2:])))
    on_grid = label_to_grid(label, grid)
    native = from_grid(np.eye(2, dtype=np.float32)[on_grid], grid)
    assert on_grid.shape == (1, 64, 64) and native.shape == (1, *NATIVE, 2)
    back = native.argmax(-1).astype(np.uint8)
    assert dice(back, label) >= 0.94
    rows, columns = np.nonzero(label[0])
    for found, expected in zip(np.nonzero(back[0]), (rows, columns), strict=True):
        step = max(1.0, target / min(spacing))
        assert abs(found.mean() - expected.mean()) < 0.5 * step


def test_background_lies_beyond_the_window_and_nothing_else_inside():
    grid = make_grid(NATIVE, (1.0, 1.0), SETTINGS, Field((-10, 40, 64, 96), (64, 96)))
    maps = np.zeros((1, 64, 96, 3), np.float32)
    maps[..., 2] = 1
    back = from_grid(maps, grid)[0]
    inside = np.zeros(NATIVE, bool)
    inside[:54, 40:] = True
    assert (back[inside] == [0, 0, 1]).all() and (back[~inside] == [1, 0, 0]).all()


@pytest.mark.parametrize("window", [(200, 0, 10, 10), (0, -50, 10, 50), (-5, 3, 5, 4)])
def test_a_window_beside_the_plane_shows_none_of_it(window):
    planes = np.ones((2, *NATIVE), np.uint8)
    assert (cut_window(planes, window, fill=7) == 7).all()
    grid = make_grid(NATIVE, (1.0, 1.0), SETTINGS, Field(window, (64, 96)))
    assert (label_to_grid(planes, grid) == 0).all()
    assert label_beyond(planes, grid) == planes.size
    assert (from_grid(np.ones((2, 64, 96, 2), np.float32), grid)[..., 1] == 0).all()


def test_a_window_is_cut_out_and_filled_beyond_the_plane():
    planes = np.arange(1, 13, dtype=np.int16).reshape(1, 3, 4)
    part = cut_window(planes, (-1, 2, 3, 3), fill=0)
    assert part.dtype == np.int16
    assert part.tolist() == [[[0, 0, 0], [3, 4, 0], [7, 8, 0]]]


def test_label_pixels_beyond_a_window_are_counted():
    label = np.zeros((2, *NATIVE), np.uint8)
    label[0, 10:30, 50:60] = 1
    label[1, 10:30, 50:60] = 3
    grid = make_grid(NATIVE, (1.0, 1.0), SETTINGS, Field((14, 52, 32, 48), (64, 96)))
    assert label_beyond(label, grid) == 2 * (20 * 10 - 16 * 8)
    whole = make_grid(NATIVE, (1.0, 1.0), SETTINGS, Field((-3, -3, 120, 120), (64, 96)))
    assert label_beyond(label, whole) == 0


@pytest.mark.parametrize(
    ("spacing", "size", "beyond"),
    [
        (1.0, (64, 96), 90 * 110 - 64 * 96),  # rows 13 to 76, columns 7 to 102
        (1.0, (96, 128), 0),
        (2.0, (32, 64), 90 * 110 - 64 * 110),  # rows 6 to 37 of 45; all 55 columns
        (None, (32, 32), 0),
    ],
)
def test_label_pixels_beyond_the_middle_of_the_image_are_counted(spacing, size, beyond):
    grid = make_grid(NATIVE, (1.0, 1.0), Preprocess(spacing=spacing, size=size))
    label = np.ones((3, *NATIVE), np.uint8)
    assert label_beyond(label, grid) == 3 * beyond
    label[:] = 0
    label[0, 44:46, 54:56] = 1
    assert label_beyond(label, grid) == 0


@given(st.integers(1, 130), st.integers(1, 130), st.sampled_from([(32, 64), (64, 96), (128, 32)]))
def test_the_window_that_a_grid_about_the_middle_shows_is_where_its_pixels_come_from(
    height, width, size
):
    grid = make_grid((height, width), (1.0, 1.0), Preprocess(spacing=1.0, size=size))
    label = np.random.default_rng(0).integers(1, 200, (1, height, width)).astype(np.uint8)
    expected = cut_window(label, shown_window(grid), fill=0)
    assert np.array_equal(label_to_grid(label, grid), expected)


def test_the_shown_window_is_in_native_pixels():
    grid = make_grid((100, 200), (0.5, 0.5), Preprocess(spacing=1.0, size=(32, 128)))
    assert grid.resampled == (50, 100)
    assert shown_window(grid) == (18, -28, 64, 256)
    assert shown_window(grid_about((50.0, 60.0))) == (2, -12, 96, 144)


def test_maps_go_from_one_window_to_another():
    """Grids of one native pixel a step: what both show is the same, bit for bit."""
    settings = Preprocess(spacing=1.0, size=(64, 64), field="heart")
    here, there = (grid_about(centre, (1.0, 1.0), settings) for centre in ((40, 40), (50, 30)))
    rng = np.random.default_rng(0)
    maps = rng.dirichlet([1, 1, 1], (2, 64, 64)).astype(np.float16)
    brought = regrid(maps, here, there)
    assert brought.dtype == np.float16 and brought.shape == maps.shape
    # `here` shows rows and columns 8 to 71, `there` rows 18 to 81 and columns -2 to 61.
    assert np.array_equal(brought[:, :54, 10:], maps[:, 10:, :54])
    assert (brought[:, 54:] == [1, 0, 0]).all() and (brought[:, :, :10] == [1, 0, 0]).all()
    assert regrid(maps, here, grid_about((40, 40), (1.0, 1.0), settings)) is maps


@given(st.tuples(st.integers(0, 90), st.integers(0, 110)), st.sampled_from([1.0, 2.0]))
def test_a_structure_stays_in_place_between_windows(centre, target):
    other = Preprocess(spacing=target, size=(96, 96), field="heart")
    here, there = grid_about((45.0, 55.0)), grid_about(centre, (1.0, 1.0), other)
    label = disc((45, 55), 15)
    maps = np.eye(2, dtype=np.float32)[label_to_grid(label, here)]
    back = from_grid(regrid(maps, here, there), there).argmax(-1)
    top, left, height, width = there.window
    shown = np.zeros(NATIVE, bool)
    shown[max(0, top + 3) : top + height - 3, max(0, left + 3) : left + width - 3] = True
    seen = back[0] * shown, label[0] * shown
    assert np.sum(seen[0] != seen[1]) <= 0.08 * label.sum()  # at the boundary


def test_a_stored_grid_without_a_window_is_read():
    grid = grid_about((45.0, 55.0))
    stored = json.loads(json.dumps(asdict(grid)))
    assert read_grid(stored) == grid
    del stored["window"]
    assert read_grid(stored) == Grid(grid.native, grid.resampled, grid.size, grid.spacing)
    centred = make_grid(NATIVE, (1.0, 1.0), Preprocess())
    assert read_grid(json.loads(json.dumps(asdict(centred)))) == centred
