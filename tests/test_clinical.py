"""Clinical indices: closed-form shapes and phantoms, and what damaged masks must not change."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from cardiac_seg.data.acdc import find_acdc
from cardiac_seg.data.camus import find_camus
from cardiac_seg.data.case import read_case
from cardiac_seg.data.phantoms.dataset import PHANTOM_MARKER
from cardiac_seg.metrics.agreement import agreement
from cardiac_seg.metrics.discs import DISCS, biplane_volume_ml, discs
from cardiac_seg.metrics.indices import EF_AS_RECORDED, INDICES, echo_indices, mri_indices
from cardiac_seg.metrics.volumes import volume_ml

LV, MYO, LA = 1, 2, 3
SPACING = (0.7, 0.9)


def apical(radius=20.0, length=80.0, spacing=SPACING, turn=0.0, tilt=0.0, wall=9.0):
    """A half ellipse with its flat side on the mitral plane, in wall, above an atrium.

    Radius, length and wall in mm; turn (rad) of the whole, tilt (rad) of the mitral plane alone.
    """
    shape = [int(220 / s) for s in spacing]
    row, column = np.indices(shape) * np.reshape(spacing, (2, 1, 1)) - 110
    up = -row * np.cos(turn) - column * np.sin(turn)
    across = column * np.cos(turn) - row * np.sin(turn)
    above = up > across * np.tan(tilt)
    # Below the middle of a tilted plane the walls go straight on.
    inside = np.hypot(across / radius, np.maximum(up, 0) / length) < 1
    epi = np.hypot(across / (radius + wall), np.maximum(up, 0) / (length + wall)) < 1
    atrium = np.hypot(across / 18, (up + 15) / 22) < 1
    return np.select([inside & above, epi & above, atrium & ~above], [LV, MYO, LA], 0)


def monoplane(label, spacing=SPACING):
    return biplane_volume_ml(discs(label, spacing))


def half_ellipsoid_ml(a, b, length):
    return 2 / 3 * np.pi * a * b * length / 1000


# Volumes


def test_a_volume_counts_voxels():
    mask = np.zeros((3, 4, 5), bool)
    mask[1:, 1:3, 2:] = True  # 2 x 2 x 3
    assert volume_ml(mask, (10, 1.5, 2)) == pytest.approx(12 * 30 / 1000)


@given(st.floats(0.2, 5))
def test_a_volume_grows_with_the_cube_of_the_spacing(k):
    mask = np.ones((2, 3, 4), bool)
    assert volume_ml(mask, (8 * k, 1.2 * k, 1.3 * k)) == pytest.approx(
        k**3 * volume_ml(mask, (8, 1.2, 1.3))
    )


@pytest.mark.parametrize(
    ("mask", "spacing"),
    [
        (np.ones((2, 2), bool), (1, 1, 1)),
        (np.ones((2, 2, 2), np.uint8), (1, 1, 1)),
        (np.ones((2, 2, 2), bool), (1, 1)),
        (np.ones((2, 2, 2), bool), (1, 0, 1)),
        (np.ones((2, 2, 2), bool), (1, np.nan, 1)),
    ],
)
def test_a_volume_needs_a_stack_and_its_spacing(mask, spacing):
    with pytest.raises(ValueError):
        volume_ml(mask, spacing)


# MRI


def test_mri_indices_by_hand():
    volumes = {"ED": {"LV": 150, "RV": 160, "MYO": 100}, "ES": {"LV": 60, "RV": 80, "MYO": 110}}
    expected = {
        "lv_edv_ml": 150,
        "lv_esv_ml": 60,
        "lv_sv_ml": 90,
        "lv_ef_percent": 60,
        "rv_edv_ml": 160,
        "rv_esv_ml": 80,
        "rv_sv_ml": 80,
        "rv_ef_percent": 50,
        "myocardial_mass_g": 105,
        "cardiac_output_l_min": 6.3,
    }
    found = mri_indices(volumes, heart_rate=70)
    assert found == pytest.approx(expected)
    assert list(found) == list(INDICES)[:-1]
    del expected["cardiac_output_l_min"]
    assert mri_indices(volumes) == pytest.approx(expected)


def test_what_cannot_be_computed_is_left_out():
    assert mri_indices({}) == {}
    assert mri_indices({"ES": {"LV": 60, "MYO": 100}}, heart_rate=70) == {"lv_esv_ml": 60}
    only_lv = {"ED": {"LV": 100}, "ES": {"LV": 60, "RV": 50}}
    assert set(mri_indices(only_lv)) == {
        "lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent", "rv_esv_ml",
    }  # fmt: skip


def test_an_empty_ventricle_has_no_ejection_fraction():
    found = mri_indices({"ED": {"LV": 0.0}, "ES": {"LV": 20.0}})
    assert found["lv_sv_ml"] == -20 and np.isnan(found["lv_ef_percent"])


@pytest.mark.parametrize("heart_rate", [0, -60, np.nan])
def test_a_heart_rate_is_positive(heart_rate):
    with pytest.raises(ValueError, match="heart rate"):
        mri_indices({}, heart_rate)


def test_mri_phantoms_have_their_closed_form_indices(mri_root):
    truths = json.loads((mri_root / PHANTOM_MARKER).read_text())["truth"]
    volumes = {patient: {} for patient in truths}
    for file in find_acdc(mri_root, [], ["ED", "ES"]):
        case = read_case(file, 4)
        volumes[file.patient][file.phase] = {
            name: volume_ml(case.label == label, case.spacing)
            for label, name in enumerate(("RV", "MYO", "LV"), start=1)
        }
    for patient, truth in truths.items():
        found = mri_indices(volumes[patient])
        assert found["lv_edv_ml"] == pytest.approx(truth["edv_ml"], rel=0.02)
        assert found["lv_esv_ml"] == pytest.approx(truth["esv_ml"], rel=0.03)
        assert found["lv_ef_percent"] == pytest.approx(truth["ef_percent"], abs=1)
        assert found["rv_edv_ml"] == pytest.approx(truth["rv_edv_ml"], rel=0.02)
        assert found["rv_esv_ml"] == pytest.approx(truth["rv_esv_ml"], rel=0.03)
        assert found["myocardial_mass_g"] == pytest.approx(1.05 * truth["myo_ed_ml"], rel=0.02)


# The method of discs on shapes


def test_a_half_ellipsoid_of_known_axes():
    views = [discs(apical(radius), SPACING) for radius in (18, 24)]
    for length, diameters in views:
        assert length == pytest.approx(80, abs=1) and diameters.shape == (DISCS,)
    middle = 2 * 18 * np.sqrt(1 - (4.5 / 20) ** 2)  # of the fifth disc from the base
    assert views[0][1][4] == pytest.approx(middle, rel=0.02)
    assert biplane_volume_ml(*views) == pytest.approx(half_ellipsoid_ml(18, 24, 80), rel=0.01)


def test_a_narrow_rectangle_is_a_cylinder():
    # Wall on three sides; the fourth is the mitral plane.
    label = np.zeros((130, 60), np.uint8)
    label[10:110, 15:45], label[20:110, 25:35] = MYO, LV
    length, diameters = discs(label, (1.0, 1.5))
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
    assert discs(label, spacing)[0] == pytest.approx(80, abs=1.5)
    assert monoplane(label, spacing) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.02)


def test_a_mirrored_image_measures_the_same():
    label = apical(turn=0.3, tilt=0.2)
    for mirrored in (label[:, ::-1], label[::-1]):
        assert monoplane(mirrored) == pytest.approx(monoplane(label), rel=0.002)


def test_a_tilted_mitral_plane_widens_no_disc():
    straight, tilted = (discs(apical(tilt=tilt), SPACING) for tilt in (0, 0.5))
    assert tilted[0] == pytest.approx(straight[0], rel=0.02)
    assert tilted[1] == pytest.approx(straight[1], abs=1.5)


@pytest.mark.parametrize("upright", [True, False])  # outlines are followed from the top
def test_the_axis_starts_between_the_hinges_not_below_a_bulge(upright):
    label = apical()
    label[(label == LA) & (np.indices(label.shape)[0] * SPACING[0] < 110 + 8)] = LV
    label = label if upright else label[::-1]
    length, diameters = discs(label, SPACING)
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
    length, diameters = discs(label, (row_mm, 1.1))
    area = diameters.sum() * length / DISCS
    assert any(area == pytest.approx(possible) for possible in areas)
    assert length > 0 and (diameters >= 0).all()


# The method of discs on damaged masks


def test_a_second_part_and_holes_change_nothing():
    label = apical(turn=0.2)
    damaged = label.copy()
    damaged[5:14, 5:14] = LV
    row, column = np.argwhere(label == LV).mean(0).astype(int)
    damaged[row : row + 3, column : column + 4] = MYO
    damaged[row - 20 : row - 18, column] = 0
    length, diameters = discs(damaged, SPACING)
    assert length == discs(label, SPACING)[0]
    np.testing.assert_array_equal(diameters, discs(label, SPACING)[1])


def test_specks_and_gaps_of_the_wall_do_not_move_the_axis():
    label = apical()
    rows, columns = np.nonzero(label == LV)
    damaged = label.copy()
    damaged[rows.max() + 1, columns.min() + 8 : columns.min() + 11] = MYO  # on the mitral plane
    damaged[: rows.min() + 8][label[: rows.min() + 8] == MYO] = 0  # the apex lies bare
    length, diameters = discs(damaged, SPACING)
    assert length == discs(label, SPACING)[0]
    np.testing.assert_array_equal(diameters, discs(label, SPACING)[1])


def test_the_atrium_tells_the_mitral_plane_from_a_longer_gap():
    label = apical()
    half = np.indices(label.shape)[1] * SPACING[1] > 110
    high = np.indices(label.shape)[0] * SPACING[0] < 95
    label[(label == MYO) & half & high] = 0  # most of one wall is missing
    assert discs(label, SPACING)[0] == pytest.approx(80, abs=1)
    assert monoplane(label) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.01)


@pytest.mark.parametrize("turn", [0, 0.4, 3])
@pytest.mark.parametrize("left", [(LV, MYO), (LV, LA), (LV,)])
def test_missing_neighbours_cost_a_few_percent(left, turn):
    label = apical(turn=turn)
    label[~np.isin(label, left)] = 0
    assert discs(label, SPACING)[0] == pytest.approx(80, abs=2)
    assert monoplane(label) == pytest.approx(half_ellipsoid_ml(20, 20, 80), rel=0.03)


def test_without_wall_the_atrium_tells_the_base_of_a_wide_cavity():
    label = apical(radius=45, length=60)
    label[label == MYO] = 0
    assert discs(label, SPACING)[0] == pytest.approx(60, abs=1)


def test_a_cavity_enclosed_by_wall_has_a_major_axis():
    label = apical()
    enclosed = np.where(label == LV, LV, MYO)
    assert discs(enclosed, SPACING)[0] == pytest.approx(80, abs=2)


def test_a_single_pixel_is_a_box():
    label = np.zeros((5, 5), np.uint8)
    label[2, 2] = LV
    length, diameters = discs(label, (2.0, 3.0))
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
        discs(label, spacing)


# Two views and two phases


def test_biplane_volume_by_hand():
    two, four = (80.0, np.full(DISCS, 30.0)), (100.0, np.full(DISCS, 40.0))
    assert biplane_volume_ml(two, four) == pytest.approx(np.pi / 4 * 30 * 40 * 100 / 1000)
    assert biplane_volume_ml(four, two) == biplane_volume_ml(two, four)
    assert biplane_volume_ml(two) == pytest.approx(np.pi / 4 * 30**2 * 80 / 1000)
    assert biplane_volume_ml(discs_4ch=four) == pytest.approx(np.pi / 4 * 40**2 * 100 / 1000)
    with pytest.raises(ValueError, match="no view"):
        biplane_volume_ml()


@pytest.fixture(scope="module")
def patient():
    """Masks of a patient whose views differ; spacings too."""
    coarse = (1.1, 0.8)
    return {
        ("2CH", "ED"): (apical(20, 80), SPACING),
        ("2CH", "ES"): (apical(14, 68), SPACING),
        ("4CH", "ED"): (apical(25, 80, coarse), coarse),
        ("4CH", "ES"): (apical(20, 68, coarse), coarse),
    }


def test_both_views_make_biplane_volumes(patient):
    indices, method = echo_indices(patient)
    assert method == "biplane"
    assert list(indices) == [*list(INDICES)[:4], EF_AS_RECORDED]
    edv, esv = half_ellipsoid_ml(20, 25, 80), half_ellipsoid_ml(14, 20, 68)
    # With one disc height in both phases only the cross-sections shrink.
    fixed = 100 * (1 - (14 * 20) / (20 * 25))
    expected = [edv, esv, edv - esv, 100 * (1 - esv / edv), fixed]
    assert list(indices.values()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("missing", "method", "radii"),
    [
        ([("4CH", "ED"), ("4CH", "ES")], "monoplane 2CH", (20, 14)),
        ([("4CH", "ES")], "monoplane 2CH", (20, 14)),
        ([("2CH", "ED")], "monoplane 4CH", (25, 20)),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_view_without_both_phases_is_left_out(patient, missing, method, radii, empty):
    masks = dict(patient)
    for key in missing:
        label, spacing = masks.pop(key)
        if empty:
            masks[key] = (np.where(label == LV, 0, label), spacing)
    indices, found = echo_indices(masks)
    assert found == method
    expected = [half_ellipsoid_ml(r, r, c) for r, c in zip(radii, (80, 68), strict=True)]
    assert list(indices.values())[:2] == pytest.approx(expected, rel=0.02)


def test_phases_in_different_views_say_nothing(patient):
    assert echo_indices({key: patient[key] for key in [("2CH", "ED"), ("4CH", "ES")]}) == (
        {},
        "none",
    )
    empty = (np.zeros((9, 9), np.uint8), SPACING)
    assert echo_indices(dict.fromkeys(patient, empty)) == ({}, "none")
    assert echo_indices({}) == ({}, "none")


def test_one_phase_has_a_volume_but_no_ejection_fraction(patient):
    masks = {key: mask for key, mask in patient.items() if key[1] == "ED"}
    indices, method = echo_indices(masks)
    assert method == "biplane"
    assert indices == {"lv_edv_ml": echo_indices(patient)[0]["lv_edv_ml"]}


def test_a_second_part_does_not_change_the_ejection_fraction(patient):
    damaged = {}
    for key, (label, spacing) in patient.items():
        damaged[key] = (label.copy(), spacing)
        damaged[key][0][4:12, 4:20] = LV
    assert echo_indices(damaged) == echo_indices(patient)


def test_echo_phantoms_have_their_closed_form_indices(echo_root):
    truths = json.loads((echo_root / PHANTOM_MARKER).read_text())["truth"]
    masks = {patient: {} for patient in truths}
    for file in find_camus(echo_root, ["2CH", "4CH"], ["ED", "ES"]):
        case = read_case(file, 4)
        masks[file.patient][file.view, file.phase] = (case.label[0], case.spacing[1:])
    for patient, truth in truths.items():
        indices, method = echo_indices(masks[patient])
        assert method == "biplane"
        assert indices["lv_edv_ml"] == pytest.approx(truth["edv_ml"], rel=0.02)
        assert indices["lv_esv_ml"] == pytest.approx(truth["esv_ml"], rel=0.02)
        assert indices["lv_ef_percent"] == pytest.approx(truth["ef_percent"], abs=1)


# Agreement


def test_agreement_by_hand():
    found = agreement(np.array([52.0, 58, 63, 71]), np.array([50.0, 60, 60, 70]))
    # Differences 2, -2, 3, 1: mean 1, squares around it 1 + 9 + 4 + 0.
    sd = np.sqrt(14 / 3)
    assert found == pytest.approx(
        {
            "patients": 4,
            "r": np.corrcoef([52, 58, 63, 71], [50, 60, 60, 70])[0, 1],
            "bias": 1,
            "sd": sd,
            "low": 1 - 1.96 * sd,
            "high": 1 + 1.96 * sd,
            "mae": 2,
        }
    )
    assert list(found) == ["patients", "r", "bias", "sd", "low", "high", "mae"]


def test_pairs_with_an_unknown_value_are_left_out():
    known = agreement(np.array([1.0, 2, 4]), np.array([1.0, 3, 3]))
    values, reference = np.array([1.0, 2, np.nan, 4, 9]), np.array([1.0, 3, 7, 3, np.nan])
    assert agreement(values, reference) == known and known["patients"] == 3


def test_correlation_needs_three_pairs_that_vary():
    assert np.isnan(agreement(np.array([1.0, 2]), np.array([1.0, 3]))["r"])
    constant = agreement(np.full(4, 55.0), np.array([50.0, 52, 58, 60]))
    assert np.isnan(constant["r"]) and constant["bias"] == 0
    assert np.isnan(agreement(np.array([50.0, 52, 58]), np.full(3, 55.0))["r"])


@pytest.mark.filterwarnings("error")
def test_too_few_pairs_are_undefined_without_a_warning():
    one = agreement(np.array([3.0]), np.array([1.0]))
    assert (one["patients"], one["bias"], one["mae"]) == (1, 2, 2)
    assert np.isnan([one[key] for key in ("r", "sd", "low", "high")]).all()
    none = agreement(np.array([np.nan]), np.array([1.0]))
    assert none.pop("patients") == 0 and np.isnan(list(none.values())).all()


def test_agreement_needs_pairs():
    with pytest.raises(ValueError, match="pairs"):
        agreement(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="pairs"):
        agreement(np.ones((3, 1)), np.ones((3, 1)))
