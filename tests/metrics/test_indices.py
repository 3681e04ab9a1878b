"""Clinical indices: closed-form shapes and phantoms, one and two views."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiac_seg.data.acdc import ACDC
from cardiac_seg.data.camus import CAMUS
from cardiac_seg.data.case import read_case
from cardiac_seg.data.phantoms.dataset import PHANTOM_MARKER
from cardiac_seg.metrics.discs import DISCS, biplane_volume_ml
from cardiac_seg.metrics.indices import EF_AS_RECORDED, INDICES, echo_indices, mri_indices
from cardiac_seg.metrics.volumes import volume_ml
from tests.support.hearts import APICAL, LV, SPACING, apical, half_ellipsoid_ml


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


def test_mri_indices_by_hand():
    volumes = {
        "ED": {"lv_cavity": 150, "rv_cavity": 160, "myocardium": 100},
        "ES": {"lv_cavity": 60, "rv_cavity": 80, "myocardium": 110},
    }
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
    assert mri_indices({"ES": {"lv_cavity": 60, "myocardium": 100}}, heart_rate=70) == {
        "lv_esv_ml": 60
    }
    only_lv = {"ED": {"lv_cavity": 100}, "ES": {"lv_cavity": 60, "rv_cavity": 50}}
    assert set(mri_indices(only_lv)) == {
        "lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent", "rv_esv_ml",
    }  # fmt: skip


def test_an_empty_ventricle_has_no_ejection_fraction():
    found = mri_indices({"ED": {"lv_cavity": 0.0}, "ES": {"lv_cavity": 20.0}})
    assert found["lv_sv_ml"] == -20 and np.isnan(found["lv_ef_percent"])


@pytest.mark.parametrize("heart_rate", [0, -60, np.nan])
def test_a_heart_rate_is_positive(heart_rate):
    with pytest.raises(ValueError, match="heart rate"):
        mri_indices({}, heart_rate)


def test_mri_phantoms_have_their_closed_form_indices(mri_root):
    truths = json.loads((mri_root / PHANTOM_MARKER).read_text())["truth"]
    volumes = {patient: {} for patient in truths}
    for file in ACDC.find(mri_root, [], ["ED", "ES"]):
        case = read_case(file, 4)
        volumes[file.patient][file.phase] = {
            name: volume_ml(case.label == label, case.spacing)
            for label, name in enumerate(("rv_cavity", "myocardium", "lv_cavity"), start=1)
        }
    for patient, truth in truths.items():
        found = mri_indices(volumes[patient])
        assert found["lv_edv_ml"] == pytest.approx(truth["edv_ml"], rel=0.02)
        assert found["lv_esv_ml"] == pytest.approx(truth["esv_ml"], rel=0.03)
        assert found["lv_ef_percent"] == pytest.approx(truth["ef_percent"], abs=1)
        assert found["rv_edv_ml"] == pytest.approx(truth["rv_edv_ml"], rel=0.02)
        assert found["rv_esv_ml"] == pytest.approx(truth["rv_esv_ml"], rel=0.03)
        assert found["myocardial_mass_g"] == pytest.approx(1.05 * truth["myo_ed_ml"], rel=0.02)


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
    indices, method = echo_indices(patient, APICAL)
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
    indices, found = echo_indices(masks, APICAL)
    assert found == method
    expected = [half_ellipsoid_ml(r, r, c) for r, c in zip(radii, (80, 68), strict=True)]
    assert list(indices.values())[:2] == pytest.approx(expected, rel=0.02)


def test_phases_in_different_views_say_nothing(patient):
    assert echo_indices({key: patient[key] for key in [("2CH", "ED"), ("4CH", "ES")]}, APICAL) == (
        {},
        "none",
    )
    empty = (np.zeros((9, 9), np.uint8), SPACING)
    assert echo_indices(dict.fromkeys(patient, empty), APICAL) == ({}, "none")
    assert echo_indices({}, APICAL) == ({}, "none")


def test_one_phase_has_a_volume_but_no_ejection_fraction(patient):
    masks = {key: mask for key, mask in patient.items() if key[1] == "ED"}
    indices, method = echo_indices(masks, APICAL)
    assert method == "biplane"
    assert indices == {"lv_edv_ml": echo_indices(patient, APICAL)[0]["lv_edv_ml"]}


def test_a_second_part_does_not_change_the_ejection_fraction(patient):
    damaged = {}
    for key, (label, spacing) in patient.items():
        damaged[key] = (label.copy(), spacing)
        damaged[key][0][4:12, 4:20] = LV
    assert echo_indices(damaged, APICAL) == echo_indices(patient, APICAL)


def test_echo_phantoms_have_their_closed_form_indices(echo_root):
    truths = json.loads((echo_root / PHANTOM_MARKER).read_text())["truth"]
    masks = {patient: {} for patient in truths}
    for file in CAMUS.find(echo_root, ["2CH", "4CH"], ["ED", "ES"]):
        case = read_case(file, 4)
        masks[file.patient][file.view, file.phase] = (case.label[0], case.spacing[1:])
    for patient, truth in truths.items():
        indices, method = echo_indices(masks[patient], APICAL)
        assert method == "biplane"
        assert indices["lv_edv_ml"] == pytest.approx(truth["edv_ml"], rel=0.02)
        assert indices["lv_esv_ml"] == pytest.approx(truth["esv_ml"], rel=0.02)
        assert indices["lv_ef_percent"] == pytest.approx(truth["ef_percent"], abs=1)
