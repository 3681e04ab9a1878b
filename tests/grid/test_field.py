"""Where the network grid lies in the plane, and when it must move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.field import (
    MARGIN_MM,
    Field,
    content_box,
    field_about,
    field_like,
    find_cut,
    from_middle,
    largest_component,
    wider_field,
)
from cardiac_seg.grid.resample import to_grid

SETTINGS = Preprocess(spacing=2.0, size=(32, 64), field="heart")
PIXEL = (1.0, 1.0)
WHOLE = (slice(0, 100), slice(0, 120))


def noise(shape=(2, 40, 50), seed=0):
    return np.random.default_rng(seed).uniform(-10, 200, shape).astype(np.float32)


def heart(rows, columns, shape=(1, 100, 120)):
    mask = np.zeros(shape, np.uint8)
    mask[:, slice(*rows), slice(*columns)] = 1
    return mask


def test_a_border_of_one_value_on_each_side_is_no_content():
    image = np.pad(noise(), ((0, 0), (3, 4), (5, 6)))
    assert content_box(image) == (slice(3, 43), slice(5, 55))


@pytest.mark.parametrize("axes", [(1, 2), (2, 1)])
def test_every_side_may_have_a_value_of_its_own(axes):
    image, value = noise(), 0.0
    for axis in axes:
        for before in (True, False):
            value += 7
            widths = [(0, 0)] * 3
            widths[axis] = (4, 0) if before else (0, 4)
            image = np.pad(image, widths, constant_values=value)
    assert content_box(image) == (slice(4, 44), slice(4, 54))


def test_what_is_constant_inside_or_on_some_slices_alone_stays():
    image = noise()
    image[:, 20] = image[:, :, 7] = 0  # a row and a column inside
    image[0, :5] = 0  # a border of the first slice
    assert content_box(image) == (slice(0, 40), slice(0, 50))
    assert content_box(np.full((2, 8, 9), 3.0)) == (slice(0, 8), slice(0, 9))


def test_a_field_is_cut_out_in_whole_native_pixels():
    field = field_about((50.0, 60.0), (1.6, 0.5), SETTINGS)
    assert field == Field((30, -68, 40, 256), (32, 64))  # 64 mm by 128 mm
    assert field.centre == (50.0, 60.0)
    assert from_middle(field, (90, 100), (1.6, 0.5)) == (8.0, 5.0)
    assert field_about((50.0, 60.0), (1.6, 0.5), SETTINGS, (64, 64)).window[2:] == (80, 256)


@given(st.tuples(*[st.floats(-50, 300)] * 2), st.tuples(*[st.floats(0.3, 3.0)] * 2))
def test_a_fields_middle_is_half_a_pixel_from_the_point_at_most(centre, spacing):
    field = field_about(centre, spacing, SETTINGS)
    assert np.abs(np.subtract(field.centre, centre)).max() <= 0.5 + 1e-9


@given(
    st.tuples(*[st.tuples(st.integers(0, 40), st.integers(0, 40))] * 2),
    st.sampled_from([0.0, -500.0, 60.0, 900.0]),
    st.tuples(st.integers(0, 180), st.integers(0, 200)),
    st.tuples(*[st.sampled_from([0.25, 0.7, 1.0, 1.3, 3.0])] * 2),
)
def test_padding_changes_nothing_that_a_field_shows(widths, value, quarters, spacing):
    """A field inside the image, one that reaches beyond it and one beside it: bit for bit."""
    image = noise((2, 45, 50))
    padded = np.pad(image, ((0, 0), *widths), constant_values=value)
    centre = quarters[0] / 4, quarters[1] / 4
    there = centre[0] + widths[0][0], centre[1] + widths[1][0]
    alone = to_grid(image, spacing, SETTINGS, field_about(centre, spacing, SETTINGS))
    within = to_grid(padded, spacing, SETTINGS, field_about(there, spacing, SETTINGS))
    assert np.array_equal(alone.pixels, within.pixels)
    assert (alone.mean, alone.std) == (within.mean, within.std)


def test_a_field_beside_the_image_gets_the_contrast_of_the_image():
    image = noise()
    padded = np.pad(image, ((0, 0), (9, 9), (9, 9)))
    for planes, left in ((image, 1000), (padded, 1009)):
        seen = to_grid(planes, PIXEL, SETTINGS, Field((0, left, 64, 128), (32, 64)))
        assert (seen.pixels.max(), seen.mean, seen.std) == (0, 0.0, 1.0)


def test_what_surrounds_the_field_is_shown_in_the_fields_contrast():
    image = noise((1, 100, 120))
    image[0, 30:70, 40:80] /= 10
    field = Field((30, 40, 40, 40), (32, 32))
    settings = Preprocess(spacing=1.25, size=(32, 32), field="heart", clip=(0, 100))
    alone = to_grid(image, PIXEL, settings, field)
    wide = to_grid(image, PIXEL, settings, Field((0, 0, 100, 120), (80, 96)), contrast_of=field)
    assert (wide.mean, wide.std) == (alone.mean, alone.std)
    assert np.array_equal(wide.pixels[0, 26:54, 34:62], alone.pixels[0, 2:-2, 2:-2])
    assert (wide.pixels[0, :20] == 255).mean() > 0.2  # beyond what the field holds


def test_a_structure_is_cut_by_the_field_or_by_the_image():
    window = (20, 0, 60, 120)
    assert find_cut(heart((30, 50), (30, 50)), WHOLE, window).by_field == frozenset()
    mask = heart((20, 50), (30, 50))  # the field's first row
    mask[0, 40, 119] = 2  # the image's last column
    mask[0, 60, 40] = 3
    cut = find_cut(mask, WHOLE, window)
    assert (cut.by_field, cut.by_image) == (frozenset({1}), frozenset({2}))
    mask = heart((60, 80), (30, 50))  # the field's last row
    assert find_cut(mask, WHOLE, window).by_field == {1}
    assert find_cut(mask, WHOLE, (20, 0, 80, 120)).by_field == frozenset()


def test_an_image_ends_where_its_content_does():
    mask, window = heart((30, 50), (10, 50)), (0, -20, 100, 160)
    assert find_cut(mask, WHOLE, window).by_image == frozenset()
    assert find_cut(mask, (slice(0, 100), slice(10, 120)), window).by_image == {1}
    assert find_cut(mask, (slice(0, 100), slice(10, 120)), (0, 400, 9, 9)).by_image == frozenset()


def wider(mask, field, content=WHOLE, *others):
    return wider_field([mask, *others], field, content, PIXEL, SETTINGS)


FIELD = Field((20, 0, 64, 120), (32, 64))


def test_a_field_that_cuts_nothing_stays():
    assert wider(heart((21, 83), (30, 50)), FIELD) is None
    assert wider(heart((0, 0), (0, 0)), FIELD) is None


def test_a_field_moves_towards_the_side_that_it_cuts():
    upwards = wider(heart((20, 50), (30, 50)), FIELD)
    # From row 20 it may go on for a fifth of 64 rows: rows 7.2 to 50, middle 28.6.
    assert upwards == Field((-3, -24, 64, 128), (32, 64))
    downwards = wider(heart((54, 84), (30, 50)), FIELD)
    assert downwards == Field((43, -24, 64, 128), (32, 64))  # 54 to 96.8, middle 75.4
    sideways = wider(heart((30, 50), (80, 100)), Field((20, 0, 64, 100), (32, 64)))
    assert sideways.window[1] + sideways.window[3] > 100


def test_a_field_grows_by_multiples_of_32_for_a_larger_heart():
    grown = wider(heart((20, 84), (30, 50)), FIELD)
    needed = (64 + 2 * 0.2 * 64 + 2 * MARGIN_MM) / 2  # 52.8 pixels of 2 mm
    assert 32 < needed < 64 and grown.size == (64, 64)
    assert grown.window == (-12, -24, 128, 128)  # about row 52, column 40
    assert wider(heart((20, 84), (30, 50)), Field((20, 0, 64, 120), (64, 64))).size == (128, 64)


def test_a_heart_goes_on_no_further_than_the_image():
    content = (slice(16, 100), slice(0, 120))
    assert wider(heart((20, 50), (30, 50)), FIELD, content).window[0] == 1  # 16 to 50, middle 33


def test_any_phase_moves_the_field():
    calm, cut = heart((40, 60), (30, 50)), heart((20, 50), (30, 50))
    assert wider(calm, FIELD) is None
    both = wider(calm, FIELD, WHOLE, cut)  # rows 7.2 to 60, middle 33.6
    assert both == Field((-30, -24, 128, 128), (64, 64))  # 68.8 mm with margins, of 64


def test_a_speck_apart_from_the_heart_moves_nothing():
    mask = heart((40, 60), (30, 50))
    speck = mask.copy()
    speck[0, 20, 90] = 1
    assert np.array_equal(largest_component(speck > 0), mask > 0)
    assert wider(speck, FIELD) is None


def test_a_field_never_moves_where_the_image_itself_ends():
    mask = heart((30, 50), (0, 120))
    assert find_cut(mask, WHOLE, FIELD.window).by_image == {1}
    assert wider(mask, FIELD) is None
    assert wider(mask, Field((20, -10, 64, 140), (32, 64))) is None


def test_a_member_of_another_spacing_has_its_field_about_the_same_point():
    own = Preprocess(spacing=1.0, size=(96, 96), field="heart")
    theirs = field_about((50.0, 60.0), PIXEL, SETTINGS)
    field = field_like(theirs, PIXEL, SETTINGS, own)
    assert field == Field((2, 12, 96, 96), (96, 96)) and field.centre == theirs.centre
    assert field_like(theirs, PIXEL, SETTINGS, SETTINGS) is theirs
    grown = field_about((50.0, 60.0), PIXEL, SETTINGS, (64, 64))
    assert field_like(grown, PIXEL, SETTINGS, own).size == (160, 96)  # 32 pixels of 2 mm more


def test_a_member_without_a_spacing_sees_the_ensembles_window():
    theirs, own = (Preprocess(spacing=None, size=(s, s), field="sector") for s in (64, 96))
    field = Field((3, 4, 50, 60), (64, 64))
    assert field_like(field, PIXEL, theirs, own) == Field((3, 4, 50, 60), (96, 96))
