"""The slices that a learner repairs and harms, ranked by hand-made masks."""

import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiac_seg.data.acdc import ACDC
from cardiac_seg.meta.methods import ensemble_of
from cardiac_seg.report.captions import captions
from cardiac_seg.report.figures.repairs import moved_figure
from cardiac_seg.report.shown import methods_shown
from cardiac_seg.report.tables.slices import largest, moved_slices, slice_changes
from cardiac_seg.run.open import open_run
from tests.support.analyses import names_of_cases, table
from tests.support.drawn import texts

RV, MYO, LV = 1, 2, 3
STRUCTURES = ("RV", "MYO", "LV")


def test_changes_are_areas_of_the_slice():
    reference = np.array([[[LV, LV, MYO, 0]], [[RV, RV, 0, 0]], [[0, 0, 0, 0]]])
    before = np.array([[[LV, 0, 0, 0]], [[RV, RV, 0, 0]], [[0, 0, RV, RV]]])
    after = np.array([[[MYO, LV, MYO, 0]], [[RV, RV, 0, 0]], [[0, 0, 0, MYO]]])
    first, last = slice_changes(reference, before, after, (10.0, 1.5, 2.0), STRUCTURES)
    assert first == {
        **{"slice": 1, "slices": 3, "structure": "MYO"},  # MYO gains two pixels, LV one for one
        **{"better_mm2": 6, "worse_mm2": 3, "change_mm2": 3},
    }
    # Two pixels leave RV; one is right now, the other is wrong before and after.
    assert (last["slice"], last["structure"]) == (3, "RV")
    assert (last["better_mm2"], last["worse_mm2"], last["change_mm2"]) == (3, 0, 3)


def test_the_largest_come_first_and_equal_ones_by_name():
    rows = [("b", 1, 5.0), ("a", 2, 5.0), ("a", 1, 5.0), ("c", 1, 7.0), ("d", 1, 0.0)]
    rows += [("f", 1, -2.0), ("e", 1, -2.0), ("g", 1, -9.0)]
    moved = pd.DataFrame(rows, columns=["case", "slice", "change_mm2"])
    repairs, harms = largest(moved, True, 10), largest(moved, False, 10)
    assert list(zip(repairs.case, repairs.slice, strict=True)) == [
        *(("c", 1), ("a", 1), ("a", 2), ("b", 1))
    ]
    assert harms.case.tolist() == ["g", "e", "f"]
    assert largest(moved, True, 2).case.tolist() == ["c", "a"]


@pytest.fixture
def by_hand(mri, tmp_path):
    """A run whose learner does as the mean but in two slices, with the two cases."""
    folder = shutil.copytree(mri.folder, tmp_path / "run")
    run, cases = open_run(folder), names_of_cases(mri)
    paths = pd.read_csv(folder / "test_cases.csv").set_index("case").path

    def masks(case):
        files = [run.masks(m) / paths[case] for m in ("reference", "calibrated_mean", "logistic")]
        return [*(np.asarray(nib.load(f).dataobj).copy() for f in files[:2]), files[2]]

    for case in cases:
        reference, mean, file = masks(case)
        if case == cases[0]:
            mean[..., 2] = reference[..., 2]  # all of slice 3 is repaired
        if case == cases[1]:
            mean[..., 4][reference[..., 4] == LV] = RV  # and the LV of slice 5 lost
        nib.Nifti1Image(mean, nib.load(file).affine).to_filename(file)
    return run, cases


def test_repairs_and_harms_are_those_of_the_masks(by_hand):
    run, cases = by_hand
    moved = moved_slices(run, "logistic", "calibrated_mean")
    assert list(zip(moved.case, moved.slice, strict=True)) == [(cases[0], 3), (cases[1], 5)]
    assert (moved.change_mm2 > 0).tolist() == [True, False]
    assert moved.worse_mm2[0] == 0 and moved.better_mm2[1] == 0
    repairs = moved_figure(run, moved, True, "Logistic")
    harms = moved_figure(run, moved, False, "Logistic")
    assert f"{cases[0]}\nslice 3 of {moved.slices[0]}" in texts(repairs)
    (below,) = [t for t in texts(harms) if t.endswith("mm²")]
    assert below.split()[0] in ("LV", "RV") and below.split()[1].startswith("−")
    assert {"reference", "calibrated mean", "logistic"} <= {t.lower() for t in texts(harms)}
    assert moved_figure(run, moved[:0], True, "Logistic") is None
    assert moved_figure(run, pd.DataFrame(), True, "") is None


def test_the_analysis_lists_every_slice_that_moved(mri):
    moved = table(mri, "moved_slices")
    assert set(moved.method) == {"logistic"} and set(moved.against) == {"calibrated_mean"}
    assert moved.change_mm2.is_monotonic_decreasing
    assert (moved.slice <= moved.slices).all()
    assert np.allclose(moved.better_mm2 - moved.worse_mm2, moved.change_mm2)


def test_where_the_mean_is_in_use_the_best_learner_is_shown_and_named(run):
    shown = methods_shown(run(choice="calibrated_mean"))
    assert shown.learner.name == "logistic_core"  # the first of those without a score
    assert shown.full_learner.name == "logistic"
    text = captions(ACDC, shown)["repairs"][2]
    assert "the best learner on development patients; it is not in use" in text
    in_use = replace(shown, ensemble=ensemble_of(shown.learner))
    assert captions(ACDC, in_use)["harms"][2].startswith("The method in use: Logistic (core).")


def test_a_run_without_learners_has_none_to_show(run):
    shown = methods_shown(run(members=("unet_advanced",), choice="unet_advanced"))
    assert shown.learner is None and shown.full_learner is None
    assert "repairs" in captions(ACDC, shown)
