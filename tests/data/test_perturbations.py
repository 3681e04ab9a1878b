"""Each perturbation against results that are known by hand."""

import numpy as np
import pytest

from cardiac_seg.data.modality import ECHO, MRI
from cardiac_seg.data.perturbations import echo, geometry, mri
from cardiac_seg.data.perturbations.perturbation import NOT_COUNTED, heart_box
from cardiac_seg.data.perturbations.registry import perturbations_of

SPACING = (8.0, 2.0, 2.0)


@pytest.fixture
def stack():
    """Four slices of 20 x 30 with numbered pixels; a heart of 4 x 6 in rows 6.. and columns 4.."""
    image = np.arange(4 * 20 * 30, dtype=np.float32).reshape(4, 20, 30)
    label = np.zeros(image.shape, np.uint8)
    label[:, 6:10, 4:10] = 1
    label[2:, 7, 5] = 2
    return image, label


@pytest.fixture
def fan():
    """A sector of 40 degrees on either side, brightness 100, in a black frame of 101 x 141."""
    rows, columns = np.mgrid[:101, :141]
    inside = (np.abs(np.degrees(np.arctan2(columns - 70, rows))) <= 40) & (rows <= 95)
    label = np.zeros((1, 101, 141), np.uint8)
    label[0, 40:60, 60:81] = 1
    return np.where(inside, 100, 0)[None].astype(np.float32), label


def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("modality", [MRI, ECHO])
def test_every_perturbation_keeps_types_and_what_it_was_given(modality, stack, fan):
    image, label = stack if modality is MRI else fan
    before = image.copy(), label.copy()
    kinds = perturbations_of(modality)
    assert len({kind.name for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert 0 not in kind.strengths and list(kind.strengths) == sorted(kind.strengths)
        for strength in kind.strengths:
            made, truth, spacing = kind.apply(image, label, SPACING, strength, rng())
            again = kind.apply(image, label, SPACING, strength, rng())[0]
            assert made.shape == truth.shape and len(spacing) == 3, kind.name
            assert made.dtype == np.float32 and truth.dtype == np.uint8, kind.name
            assert np.isfinite(made).all() and np.array_equal(made, again), kind.name
            assert np.array_equal(image, before[0]) and np.array_equal(label, before[1])


def test_the_heart_box_is_that_of_all_slices_and_the_middle_where_there_is_none(stack):
    assert heart_box(stack[1]) == ((6, 9), (4, 9))
    assert heart_box(np.zeros((1, 8, 6), np.uint8)) == ((4, 4), (3, 3))


def test_a_shift_moves_the_content_to_the_side_with_most_room(stack):
    image, label = stack  # 20 columns are free on the right
    made, truth, spacing = geometry.shift(image, label, SPACING, 10, None)
    assert np.array_equal(made[:, :, 5:], image[:, :, :-5]) and not made[:, :, :5].any()
    assert np.array_equal(truth[:, :, 5:], label[:, :, :-5]) and spacing == SPACING


def test_a_shift_beyond_the_frame_widens_it_and_keeps_the_heart_as_far_from_its_middle(stack):
    image, label = stack
    made, truth, _ = geometry.shift(image, label, SPACING, 50, None)  # 25 columns, 20 are free
    assert made.shape == (4, 20, 40)
    assert heart_box(truth)[1] == (4 + 25 + 5, 9 + 25 + 5)
    assert np.array_equal(made[truth > 0], image[label > 0])


def test_quarter_turns_are_exact_and_turn_the_spacing(stack):
    image, label = stack
    made, truth, spacing = geometry.rotate(image, label, (8.0, 2.0, 3.0), 90, None)
    assert np.array_equal(made, np.rot90(image, 1, (1, 2))) and spacing == (8.0, 3.0, 2.0)
    half, _, spacing = geometry.rotate(image, label, (8.0, 2.0, 3.0), 180, None)
    assert np.array_equal(half, image[:, ::-1, ::-1]) and spacing == (8.0, 2.0, 3.0)
    assert np.array_equal(truth, np.rot90(label, 1, (1, 2)))


def test_other_turns_go_the_same_way_in_mm():
    image = np.zeros((1, 41, 81), np.float32)
    image[0, 20, 60] = 1  # 20 mm to the right of the middle, where columns are 1 mm and rows 2 mm
    label = (image > 0).astype(np.uint8)
    made, truth, _ = geometry.rotate(image, label, (1.0, 2.0, 1.0), 89.999, None)
    assert made[0, 10, 40] == pytest.approx(1, abs=0.05)  # 20 mm above it: anticlockwise
    assert np.argwhere(truth[0]).tolist() == [[10, 40], [10, 41]]  # a row is two columns wide


def test_a_wider_field_is_the_frame_among_zeros(stack):
    image, label = stack
    made, truth, _ = geometry.widen(image, label, SPACING, 100, None)
    assert made.shape == (4, 40, 60)
    assert np.array_equal(made[:, 10:30, 15:45], image) and made.sum() == image.sum()
    assert heart_box(truth) == ((16, 19), (19, 24))


def test_a_narrower_field_ends_ten_mm_from_the_heart(stack):
    image, label = stack  # 10 mm are 5 pixels; before the columns there are only 4
    made, truth, _ = geometry.narrow(image, label, SPACING, 100, None)
    assert np.array_equal(made, image[:, 1:15, :15]) and truth.sum() == label.sum()
    half, _, _ = geometry.narrow(image, label, SPACING, 40, None)
    assert np.array_equal(half, image[:, : 20 - 2, : 30 - 6])


def test_another_spacing_keeps_the_field_and_reports_what_came_out(stack):
    image, label = stack
    made, truth, spacing = geometry.resample(image, label, SPACING, 4.0, None)
    blocks = image.reshape(4, 10, 2, 15, 2).mean(axis=(2, 4))
    assert np.allclose(made, blocks) and spacing == (8.0, 4.0, 4.0)
    assert heart_box(truth) == ((3, 4), (2, 4))
    _, _, spacing = geometry.resample(image, label, SPACING, 0.7, None)
    assert spacing == (8.0, pytest.approx(40 / 57), pytest.approx(60 / 86))


def test_thicker_slices_are_means_with_the_label_of_the_middle(stack):
    image, label = stack
    made, truth, spacing = mri.thicken(image, label, SPACING, 3, None)
    assert np.array_equal(made, [image[:3].mean(0), image[3]]) and spacing == (24.0, 2.0, 2.0)
    assert np.array_equal(truth, label[[1, 3]])
    _, truth, _ = mri.thicken(image, label, SPACING, 2, None)
    assert np.array_equal(truth, label[[0, 2]])


def test_missing_slices_are_those_of_the_ends_but_never_all(stack):
    image, label = stack
    for count, kept in ((1, [1, 2]), (3, [1, 2])):
        made, truth, _ = mri.drop_end_slices(image, label, SPACING, count, None)
        assert np.array_equal(made, image[kept]) and np.array_equal(truth, label[kept])
    made, truth, _ = mri.keep_one_slice(image, label, SPACING, 1, None)
    assert np.array_equal(made, image[[2]]) and np.array_equal(truth, label[[2]])
    assert np.array_equal(mri.drop_end_slices(image[:1], label[:1], SPACING, 2, None)[0], image[:1])


def test_brightness_changes_by_the_factors_that_are_stated(stack):
    image, label = stack[0] + 1, stack[1]
    made, _, _ = mri.gain_of_slices(image, label, SPACING, 0.5, rng())
    factors = np.exp(0.5 * rng().standard_normal(4))
    assert np.allclose(made / image, factors[:, None, None])
    made, _, _ = mri.darken_ends(image, label, SPACING, 75, None)
    assert np.allclose((made / image)[:, 0, 0], [0.25, 1, 1, 0.25])
    made, _, _ = mri.bias(image, label, SPACING, 1.0, None)
    assert np.allclose((made / image)[0, 0, [0, -1]], [np.exp(-1), np.e])
    made, _, _ = mri.invert(image, label, SPACING, 1, None)
    assert np.array_equal(made, image[::-1, ::-1, ::-1])  # pixels are numbered


def test_noise_is_that_of_a_magnitude_of_the_stated_size():
    image = np.zeros((1, 200, 200), np.float32)
    image[:, :100] = 1000
    made, _, _ = mri.noise(image, image.astype(bool), SPACING, 5, rng())
    assert made.min() >= 0
    assert made[:, :100].std() == pytest.approx(50, rel=0.05)
    assert made[:, 100:].mean() == pytest.approx(50 * np.sqrt(np.pi / 2), rel=0.05)  # Rayleigh


def test_blur_is_a_gaussian_in_mm():
    image = np.zeros((1, 61, 61), np.float32)
    image[0, 30, 30] = 1
    made, _, _ = mri.blur(image, image, (8.0, 1.0, 2.0), 4, None)
    offsets = np.arange(61) - 30
    assert made.sum() == pytest.approx(1, abs=1e-3)
    assert np.sqrt((made[0].sum(1) * offsets**2).sum()) == pytest.approx(4, rel=0.05)
    assert np.sqrt((made[0].sum(0) * offsets**2).sum()) == pytest.approx(2, rel=0.05)


def test_the_sector_is_found_with_its_probe_and_opening(fan):
    sector = echo.find_sector(fan[0], (1.0, 1.0, 1.0))
    assert sector.half == pytest.approx(40, abs=0.5)
    assert sector.angle[50, 70] == 0 and sector.angle[50, 120] == pytest.approx(45)
    assert echo.find_sector(fan[0], (1.0, 2.0, 1.0)).half < 30  # mm, not pixels


def test_a_narrower_sector_is_black_outside_and_not_counted_there(fan):
    image, label = fan
    made, truth, _ = echo.narrow_sector(image, label, (1.0, 1.0, 1.0), 30, None)
    assert made[0, 90, 70] == 100 and made[0, 90, 70 + 30] == 0  # 18 degrees
    assert set(np.unique(truth)) == {0, 1, NOT_COUNTED}
    assert np.array_equal(truth[truth != NOT_COUNTED], label[truth != NOT_COUNTED])
    assert not made[truth == NOT_COUNTED].any() and truth[0, 50, 70] == 1


def test_gain_is_a_share_of_the_grey_scale_and_leaves_black_black(fan):
    image, label = fan
    image[0, 50, 70] = 200
    made, _, _ = echo.gain(image, label, SPACING, 20, None)
    assert set(np.unique(made)) == {0, 140, 200}
    made, _, _ = echo.gain(image, label, SPACING, -20, None)
    assert set(np.unique(made)) == {0, 60, 160}


def test_a_shadow_is_a_beam_of_the_stated_width(fan):
    image, label = fan
    made, truth, _ = echo.shadow(image, label, (1.0, 1.0, 1.0), 20, rng())
    dark = np.flatnonzero(made[0, 90] == 10)
    beam = rng().uniform(-0.5, 0.5) * echo.find_sector(image, (1.0, 1.0, 1.0)).half
    ends = 70 + 90 * np.tan(np.radians([beam - 10, beam + 10]))
    assert dark[[0, -1]] == pytest.approx(ends, abs=1) and truth is label


def test_depth_and_borders_move_the_content_and_the_label_together(fan):
    image, label = fan
    made, truth, _ = echo.less_depth(image, label, SPACING, 50, None)
    assert np.array_equal(made, image[:, :51]) and np.array_equal(truth, label[:, :51])
    made, truth, _ = echo.more_depth(image, label, SPACING, 100, None)
    assert made.shape == (1, 202, 282) and np.array_equal(made[:, :101, 70:211], image)
    assert np.array_equal(truth[:, :101, 70:211], label) and truth.sum() == label.sum()


def test_text_is_bright_and_beside_the_sector_alone(fan):
    image, label = fan
    made, truth, _ = echo.write_beside(image, label, (1.0, 1.0, 1.0), 4, None)
    changed = made != image
    assert changed[:, :, :70].any() and changed[:, :, 71:].any() and truth is label
    assert (made[changed] == 100).all() and not image[changed].any()
