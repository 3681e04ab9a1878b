"""The weights that come with the repository: small, whole, and they segment hearts."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiac_seg.__main__ import main
from cardiac_seg.data.phantoms.dataset import write_phantoms
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from tests.support.paths import SHARED_DATA
from tests.support.shipped import PRETRAINED, score_shipped

MODALITY = {"acdc": "mri", "camus": "echo"}
MOST_MB = 20


@pytest.fixture(params=MODALITY)
def weights(request):
    folder = PRETRAINED / request.param
    if not folder.is_dir():
        pytest.skip(f"no pretrained/{request.param} in this version")
    return folder


def test_they_are_small_and_hold_no_patient(weights):
    files = [path for path in weights.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_MB * 1e6
    kinds = {".keras", ".skops", ".onnx", ".json", ".yaml", ".csv", ".md"}
    assert {path.suffix for path in files} <= kinds  # no map, no image, no mask


def test_a_card_and_the_scores_come_with_them(weights, capsys):
    card = (weights / "README.md").read_text()
    assert "CC BY-NC-SA 4.0" in card and "IEEE TMI" in card  # licence and citation
    test = json.loads((weights / "metrics.json").read_text())["subsets"]["test"]
    assert test["patients"] >= 16
    assert main(["info", str(weights)]) == 0
    assert weights.name.upper() in capsys.readouterr().out.upper()


def test_they_find_the_heart_of_a_phantom(weights, tmp_path, monkeypatch):
    # A phantom is no patient: this shows that all is there and fits together, not how good it is.
    images, out = tmp_path / "phantoms", Path("outputs/predictions")
    monkeypatch.chdir(tmp_path)
    write_phantoms(images, 1, MODALITY[weights.name], seed=0)
    assert main(["predict", str(weights), str(images)]) == 0
    label = sorted(images.rglob("*_gt.nii.gz"))[0]
    relative = label.relative_to(images)
    mask = nib.load(out / relative.with_name(relative.name.replace("_gt", "")))
    truth = np.asarray(nib.load(label).dataobj).astype(np.uint8)
    dice = dice_from_confusion(confusion(truth, np.asarray(mask.dataobj).astype(np.uint8), 4))
    cavity = {"acdc": 3, "camus": 1}[weights.name]
    assert dice[cavity] > 0.5


def test_they_segment_hearts_they_were_not_trained_on(weights):
    """Two patients: the figures of all test patients are `make pretrained`'s."""
    root = SHARED_DATA / weights.name
    if not root.is_dir():
        pytest.skip(f"no real {weights.name} data at {root}")
    assert score_shipped(weights.name, root, most=2).mean().mean() > 0.75
