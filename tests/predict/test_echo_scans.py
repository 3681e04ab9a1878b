"""`predict` on echo clips and images."""

import nibabel as nib
import numpy as np
import pytest

from cardiac_seg import Ensemble
from tests.support.scans import RADII, apical, predict, save, stack, summary
from tests.support.stub_run import SPACING


def test_both_views_of_a_patient_give_a_biplane_volume(echo_run, tmp_path):
    for view in ("2CH", "4CH"):
        for phase, radius in (("ED", 14), ("ES", 10)):
            save(tmp_path / "in" / f"p1_{view}_{phase}.nii.gz", apical(radius))
    assert predict(echo_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert set(table.method) == {"biplane"} and table.lv_ef_percent.nunique() == 1
    assert table.view.tolist() == ["2CH", "2CH", "4CH", "4CH"]
    cavity = (apical(14) == 1).sum() * SPACING**2 / 100
    assert table.lv_cm2["p1_2CH_ED"] == pytest.approx(cavity, abs=0.01)
    mask = nib.load(tmp_path / "out" / "p1_2CH_ED.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj).T, apical(14))


@pytest.mark.parametrize("ndim", [3, 4])
def test_a_clip_is_a_cine(ndim, echo_run, tmp_path):
    clip = np.stack([apical(radius) for radius in RADII])
    array = clip.T if ndim == 3 else clip.T[:, :, None]
    nib.save(nib.Nifti1Image(array, np.diag([SPACING, SPACING, 1, 1])), tmp_path / "a.nii.gz")
    assert predict(echo_run, tmp_path / "a.nii.gz", tmp_path / "out") == 0
    mask = nib.load(tmp_path / "out" / "a.nii.gz")
    assert mask.shape == array.shape and np.array_equal(np.asarray(mask.dataobj), array)
    row = summary(tmp_path / "out").loc["a"]
    assert (row.ed_phase, row.es_phase, row.method) == (1, 4, "monoplane")


def test_colour_frames_are_read_by_their_luminance(echo_run, tmp_path):
    grey = apical(12)
    colour = np.zeros(grey.T.shape, [(channel, np.uint8) for channel in "RGB"])
    for channel in "RGB":
        colour[channel] = 60 * grey.T
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(colour, np.diag([SPACING, SPACING, 1, 1])), path)
    assert np.array_equal(Ensemble.load(echo_run).predict(path).mask[0], grey)


def test_a_stack_is_no_echo(echo_run, tmp_path, capsys):
    save(tmp_path / "a.nii.gz", np.stack([stack(12), stack(9)]))
    assert predict(echo_run, tmp_path / "a.nii.gz", tmp_path / "out") == 1
    assert "echocardiography" in capsys.readouterr().err
