"""The method of discs on shapes, and what damaged masks must not change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from cardiac_seg.metrics.discs import DISCS, biplane_volume_ml, discs
from tests.support.hearts import APICAL, LA, LV, MYO, SPACING, apical, half_ellipsoid_ml


def monoplane(label, spacing=SPACING):
    return biplane_volume_ml(discs(label, spacing, APICAL))


def test_a_half_ellipsoid_of_known_axes():
    views = [discs(apical(radius), SPACING, APICAL) for radius in (18, 24)]
    for length, diameters in views:
        assert length == pytest.approx(80, abs=1) and diameters.shape == (DISCS,)
    middle = 2 * 18 * np.sqrt(1 - (4.5 / 20) ** 2)  # of the fifth disc from the base
    assert views[0][1][4] == pytest.approx(middle, rel=0.02)
    assert biplane_volume_ml(*views) == pytest.approx(half_ellipsoid_ml(18, 24, 80), rel=0.01)


def test_a_narrow_rectangle_is_a_cylinder():
    # Wall on three sides; the fourth is the mitral plane.
    label = np.zeros((130, 60), np.uint8)
    label[10:110, 15:45], label[20:110, 25:35] = MYO, LV
    length, diameters = discs(label, (1.0, 1.5), APICAL)
    assert length == pytest.approx(90, abs=1)
    assert diameters[2:-2] == pytest.approx(15, rel=0.02)
    assert monoplane(label, (1.0, 1.5)) == pytest.approx(np.pi / 4 * 15**2 * 90 / 1000, rel=0.03)


@given(st.floats(0.2, 5))
def test_echo_volumes_grow_with_the_cube_of_the_spacing(k):
    label = apical(turn=0.3, spacing=(1.7, 2.0))
    assert monoplane(label, (1.7 * k, 2 * k)) == pytest.approx(k**3 * monoplane(label, (1.7, 2)))


@pytest.mark.parametrize("turn", [-0.7, -0.2, 0.4, np.pi / 2, 2.5])
def test_a_turned_ventricle_keeps_its_volume(turn):
    assert monoplane(apical(turn=turn)) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.02)


@pytest.mark.parametrize("spacing", [(0.4, 1.3), (1.3, 0.4), (0.8, 0.8)])
def test_anisotropic_pixels_measure_the_same(spacing):
    label = apical(spacing=spacing, turn=0.5)
    assert discs(label, spacing, APICAL)[0] == pytest.approx(80, abs=1.5)
    assert monoplane(label, spacing) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.02)


def test_a_mirrored_image_measures_the_same():
    label = apical(turn=0.3, tilt=0.2)
    for mirrored in (label[:, ::-1], label[::-1]):
        assert monoplane(mirrored) == pytest.approx(monoplane(label), rel=0.002)


def test_a_tilted_mitral_plane_widens_no_disc():
    straight, tilted = (discs(apical(tilt=tilt), SPACING, APICAL) for tilt in (0, 0.5))
    assert tilted[0] == pytest.approx(straight[0], rel=0.02)
    assert tilted[1] == pytest.approx(straight[1], abs=1.5)


@pytest.mark.parametrize("upright", [True, False])  # outlines are followed from the top
def test_the_axis_starts_between_the_hinges_not_below_a_bulge(upright):
    label = apical()
    label[(label == LA) & (np.indices(label.shape)[0] * SPACING[0] < 110 + 8)] = LV
    label = label if upright else label[::-1]
    length, diameters = discs(label, SPACING, APICAL)
    assert length == pytest.approx(80, abs=1)
    area = (label == LV).sum() * np.prod(SPACING)
    assert diameters.sum() * length / DISCS == pytest.approx(area)


@given(arrays(np.uint8, (9, 11), elements=st.integers(0, 3)), st.floats(0.3, 3))
def test_the_discs_hold_the_area_of_the_largest_part(label, row_mm):
    label[4, 5] = LV
    parts, _ = ndimage.label(label == LV)
    sizes = np.bincount(parts.ravel())[1:]
    # Which of several largest ones is meant is open, and holes are filled.
    areas = [
        ndimage.binary_fill_holes(parts == 1 + part).sum() * row_mm * 1.1
        for part in np.flatnonzero(sizes == sizes.max())
    ]
    length, diameters = discs(label, (row_mm, 1.1), APICAL)
    area = diameters.sum() * length / DISCS
    assert any(area == pytest.approx(possible) for possible in areas)
    assert length > 0 and (diameters >= 0).all()


def test_a_second_part_and_holes_change_nothing():
    label = apical(turn=0.2)
    damaged = label.copy()
    damaged[5:14, 5:14] = LV
    row, column = np.argwhere(label == LV).mean(0).astype(int)
    damaged[row : row + 3, column : column + 4] = MYO
    damaged[row - 20 : row - 18, column] = 0
    length, diameters = discs(damaged, SPACING, APICAL)
    assert length == discs(label, SPACING, APICAL)[0]
    np.testing.assert_array_equal(diameters, discs(label, SPACING, APICAL)[1])


def test_specks_and_gaps_of_the_wall_do_not_move_the_axis():
    label = apical()
    rows, columns = np.nonzero(label == LV)
    damaged = label.copy()
    damaged[rows.max() + 1, columns.min() + 8 : columns.min() + 11] = MYO  # on the mitral plane
    damaged[: rows.min() + 8][label[: rows.min() + 8] == MYO] = 0  # the apex lies bare
    length, diameters = discs(damaged, SPACING, APICAL)
    assert length == discs(label, SPACING, APICAL)[0]
    np.testing.assert_array_equal(diameters, discs(label, SPACING, APICAL)[1])


def test_the_atrium_tells_the_mitral_plane_from_a_longer_gap():
    label = apical()
    half = np.indices(label.shape)[1] * SPACING[1] > 110
    high = np.indices(label.shape)[0] * SPACING[0] < 95
    label[(label == MYO) & half & high] = 0  # most of one wall is missing
    assert discs(label, SPACING, APICAL)[0] == pytest.approx(80, abs=1)
    assert monoplane(label) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.01)


@pytest.mark.parametrize("turn", [0, 0.4, 3])
@pytest.mark.parametrize("left", [(LV, MYO), (LV, LA), (LV,)])
def test_missing_neighbours_cost_a_few_percent(left, turn):
    label = apical(turn=turn)
    label[~np.isin(label, left)] = 0
    assert discs(label, SPACING, APICAL)[0] == pytest.approx(80, abs=2)
    assert monoplane(label) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.03)


def test_without_wall_the_atrium_tells_the_base_of_a_wide_cavity():
    label = apical(radius=45, length=60)
    label[label == MYO] = 0
    assert discs(label, SPACING, APICAL)[0] == pytest.approx(60, abs=1)


def test_a_cavity_enclosed_by_wall_has_a_major_axis():
    label = apical()
    enclosed = np.where(label == LV, LV, MYO)
    assert discs(enclosed, SPACING, APICAL)[0] == pytest.approx(80, abs=2)


def test_a_single_pixel_is_a_box():
    label = np.zeros((5, 5), np.uint8)
    label[2, 2] = LV
    length, diameters = discs(label, (2.0, 3.0), APICAL)
    assert length == 2 and diameters == pytest.approx(3)


@pytest.mark.parametrize(
    ("label", "spacing", "message"),
    [
        (np.zeros((4, 4), np.uint8), (1, 1), "no LV cavity"),
        (np.ones((1, 4, 4), np.uint8), (1, 1), "shape"),
        (np.ones((4, 4), np.uint8), (1, -1), "spacing"),
        (np.ones((4, 4), np.uint8), (1, 1, 1), "spacing"),
    ],
)
def test_discs_need_a_cavity_in_one_image(label, spacing, message):
    with pytest.raises(ValueError, match=message):
        discs(label, spacing, APICAL)
