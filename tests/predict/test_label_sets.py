"""A run on structures that play no known part: sizes and masks, and nothing that needs a role."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiac_seg import Ensemble
from cardiac_seg.__main__ import main
from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.data.registry import DATASETS
from tests.support.stub_run import SPACING, ring, write_stub_run

NAMES = ("spleen", "liver", "kidney")


@pytest.fixture
def run(tmp_path, monkeypatch):
    anatomy = Anatomy(tuple(Structure(name) for name in NAMES))
    monkeypatch.setitem(DATASETS, "acdc", replace(DATASETS["acdc"], anatomy=anatomy))
    return write_stub_run(tmp_path / "stub", "acdc")


def test_structures_without_roles_have_sizes_and_no_indices(run, tmp_path):
    frames = np.stack([np.stack([ring(lv)] * 3) for lv in (12, 8, 10)])  # frame, slice, row, column
    image = nib.Nifti1Image(frames.T.astype(np.int16), np.diag([SPACING, SPACING, 8, 1]))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "a.nii.gz")
    result = Ensemble.load(run).predict(tmp_path / "a.nii.gz")
    assert np.array_equal(result.mask, frames)
    voxel_ml = SPACING**2 * 8 / 1000
    sizes = {f"{n}_ml": (frames[0] == k).sum() * voxel_ml for k, n in enumerate(NAMES, start=1)}
    assert result.indices == pytest.approx(sizes)
    assert (result.measured.ed, result.measured.es, result.measured.lv_ml) == (None, None, [])
    assert result.review == ("spleen and liver cut off at the edge of the image",)
    assert (
        main(["predict", str(run), str(tmp_path / "a.nii.gz"), "--output", str(tmp_path / "out")])
        == 0
    )
    table = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert table.loc[0, list(sizes)].tolist() == pytest.approx([*sizes.values()], abs=0.01)
    assert not [column for column in table if column.startswith(("lv_", "rv_", "cardiac"))]
    assert table.loc[0, "review"] == "yes"
    assert not (tmp_path / "out" / "a_curve.png").exists()
