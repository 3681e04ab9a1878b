"""What the locator sees of a stack, and what its answer is in native pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.grid.heart import SIDE, heart_centre, overview, overview_label


def noise(shape=(3, 120, 180), seed=0):
    return np.random.default_rng(seed).uniform(0, 100, shape).astype(np.float32)


def test_a_plane_lies_at_6_mm_in_the_middle_of_the_square():
    view = overview(noise(), (2.0, 1.0))  # 240 x 180 mm
    assert view.pixels.shape == (3, SIDE, SIDE) and view.pixels.dtype == np.float32
    assert view.shown == (slice(20, 60), slice(25, 55))
    shown = view.pixels[:, 20:60, 25:55]
    assert shown.mean() == pytest.approx(0, abs=1e-5)
    assert shown.std() == pytest.approx(1, abs=1e-5)
    around = np.ones((SIDE, SIDE), bool)
    around[20:60, 25:55] = False
    assert (view.pixels[:, around] == 0).all()


@pytest.mark.parametrize("spacing, shown", [((2.0, 4.0), (26, 80)), ((8.0, 1.0), (80, 15))])
def test_a_plane_wider_than_the_square_gets_a_wider_step(spacing, shown):
    view = overview(noise(), spacing)  # 720 or 960 mm: 9 or 12 mm a pixel
    sides = tuple(span.stop - span.start for span in view.shown)
    assert sides == (round(120 * spacing[0] / (9 if spacing[1] > 1 else 12)), shown[1])


@given(st.tuples(*[st.tuples(st.integers(0, 60), st.integers(0, 60))] * 2))
def test_padding_changes_nothing_but_where_points_lie(widths):
    image = noise()
    view, padded = (
        overview(planes, (1.5, 1.5)) for planes in (image, np.pad(image, ((0, 0), *widths)))
    )
    assert np.array_equal(view.pixels, padded.pixels) and view.shown == padded.shown
    moved = np.subtract(padded.native(33.0, 41.0), view.native(33.0, 41.0))
    assert moved == pytest.approx((widths[0][0], widths[1][0]))


@pytest.mark.filterwarnings("error")
def test_a_constant_stack_divides_by_nothing():
    view = overview(np.full((2, 30, 40), 5, np.float32), (1.5, 1.5))
    assert np.isfinite(view.pixels).all() and view.content == (slice(0, 30), slice(0, 40))


def test_a_label_is_brought_along_as_shares():
    label = np.zeros((1, 120, 180), np.uint8)
    label[0, 30:60, 40:69] = 2  # 9 columns of 6 mm, and two thirds of one before
    view = overview(np.pad(noise((1, 120, 180)), ((0, 0), (7, 0), (0, 9))), (2.0, 2.0))
    share = overview_label(np.pad(label, ((0, 0), (7, 0), (0, 9))), view)[0]
    top, left = view.shown[0].start + 10, view.shown[1].start
    assert share[top, left + 13 : left + 24] == pytest.approx([2 / 3, *[1] * 9, 0])
    assert share.sum() == pytest.approx(30 * 29 / 9) and share.max() <= 1


def middle_of(label, view, *others):
    labels = [label, *others]
    return heart_centre([overview_label(each, view) for each in labels], view)


def box(rows, columns, shape=(3, 120, 180)):
    label = np.zeros(shape, np.uint8)
    label[:, slice(*rows), slice(*columns)] = 1
    return label


@given(st.integers(0, 70), st.integers(0, 120), st.integers(20, 50), st.integers(20, 60), st.data())
def test_the_middle_is_found_to_half_a_coarse_pixel(top, left, height, width, data):
    pad = data.draw(st.integers(0, 30))
    spacing = data.draw(st.sampled_from([(1.5, 1.5), (1.0, 2.0)]))
    label = box((top, top + height), (left, left + width))
    image = np.pad(noise(), ((0, 0), (pad, 0), (0, pad)))
    view = overview(image, spacing)
    found = middle_of(np.pad(label, ((0, 0), (pad, 0), (0, pad))), view)
    expected = top + height / 2 + pad, left + width / 2
    assert (np.abs(np.subtract(found, expected)) * spacing).max() <= 3 + 1e-6


def test_a_smaller_second_part_is_no_heart():
    view, heart = overview(noise(), (2.0, 2.0)), box((30, 60), (30, 60))
    with_speck = heart.copy()
    with_speck[:, 90:108, 120:144] = 1
    assert middle_of(with_speck, view) == middle_of(heart, view) == (45.0, 45.0)


def test_parts_on_neighbouring_slices_are_one():
    heart = box((0, 0), (0, 0))
    heart[0, 30:45, 30:45] = heart[1, 45:60, 45:60] = 1
    heart[2, 90:105, 120:138] = 1  # larger than the one, smaller than both; not connected
    assert middle_of(heart, overview(noise(), (2.0, 2.0))) == (45.0, 45.0)


def test_what_is_heart_in_any_phase_counts():
    view = overview(noise(), (2.0, 2.0))
    ed, es = box((30, 90), (30, 60)), box((30, 60), (30, 90))
    assert middle_of(ed, view, es) == (60.0, 60.0)


def test_a_faint_heart_is_better_than_none():
    view = overview(noise(), (2.0, 2.0))
    faint = 0.2 * overview_label(box((30, 60), (30, 60)), view)
    assert heart_centre([faint], view) == (45.0, 45.0)


def test_where_nothing_is_found_it_is_the_middle_of_the_content():
    view = overview(np.pad(noise(), ((0, 0), (20, 0), (0, 50))), (2.0, 2.0))
    assert heart_centre([np.full(view.pixels.shape, 0.005, np.float32)], view) == (80.0, 90.0)
    beside = np.ones(view.pixels.shape, np.float32)
    beside[:, *view.shown] = 0  # certain, but not of anything that is there
    assert heart_centre([beside], view) == (80.0, 90.0)
