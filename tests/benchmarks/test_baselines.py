"""`make bench-baselines`: what it hands over, the published networks, the table; without torch."""

import re
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmarks.baselines import __main__ as baselines
from benchmarks.baselines.patient import hand_over
from benchmarks.baselines.published import build_networks, read_images
from benchmarks.baselines.report import System, compare
from benchmarks.worker import prepared
from cardiac_seg.system.errors import UserError
from tests.support.paths import REPO

REQUIREMENTS = REPO / "benchmarks" / "baselines" / "requirements.txt"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The ED and the ES image, two slices each."""
    return hand_over(tmp_path_factory.mktemp("pair"), slices=2)


def test_pair_is_ed_and_es_of_one_patient_cut_alike(images):
    assert len(images) == 2 and images[0].parent == images[1].parent
    for path in images:
        image, label = (nib.load(p) for p in (path, str(path).replace(".nii.gz", "_gt.nii.gz")))
        assert image.shape == label.shape and image.shape[2] == 2
        assert np.ptp(image.get_fdata()) > 0 and set(np.unique(label.get_fdata())) == {0, 1, 2, 3}


def test_published_networks_give_probabilities_of_the_pair(images):
    slices = read_images(images[0].parent, side=64)
    assert slices.shape == (4, 64, 64, 1) and 0 <= slices.min() < slices.max() <= 1
    for network in build_networks(side=64, narrower=32).values():
        probabilities = network.predict(slices, verbose=0)
        assert probabilities.shape == (4, 64, 64, 4)
        np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)


def test_table_gives_medians_and_ratios_round_by_round():
    slow = System("slow", "", [8.0, 12.0, 40.0], 4, [4.0, 6.0, 20.0], 2_000_000, 3.0, 1024)
    fast = System("fast", "", [1.0, 2.0, 4.0], 4, [], 1_000_000, 1.5, 512)
    first, second = compare([slow, fast], [slow]).rows
    assert first == ["slow", "", "2", "3", "1,500", "3,000", "12 [8, 40]", "", "1"]
    assert second == ["fast", "", "1", "1.5", "", "500", "2 [1, 4]", "8.00 [6.00, 10.00]", "0.5"]


def test_systems_of_nnunet_add_its_parts_and_count_its_passes():
    variant = {"slices": 4, "patches": 8, "to_grid": 1.0, "network": 6.0, "to_native": 3.0}
    about = {"features": [32, 64], "patch": [256, 224], "parameters": 5, "gflop": 1.5}
    about |= {"mirroring": variant, "no_mirroring": variant | {"network": 2.0}}
    mirrored, plain = baselines.nnunet_systems([about | {"peak_memory_mib": 100}])
    assert mirrored.seconds == [10.0] and plain.seconds == [6.0]
    assert (mirrored.gflop, plain.gflop) == (4 * 1.5 * 2, 1.5 * 2)  # two patches a slice
    assert {mirrored.name, plain.name} < set(baselines.BASELINES)


def test_ours_adds_members_learner_and_rest_once():
    parts = {"members": 1.0, "rest": 0.5, "random_forest": 0.25, "gradient_boosting": 0.125}
    seconds = baselines.our_seconds([parts])
    assert seconds["random_forest"] == ([1.75], [1.0])
    assert seconds["gradient_boosting"] == ([1.625], [1.0])
    assert baselines.our_seconds([{"models": {"mean": 2.0}}]) == {"mean": ([2.0], [])}


def test_worker_of_another_interpreter_answers(tmp_path, monkeypatch):
    (tmp_path / "stub.py").write_text(
        "import sys\nprint('{}', flush=True)\n"
        "for line in sys.stdin: print('{\"given\": %d}' % len(sys.argv), flush=True)\n"
    )
    monkeypatch.setattr(baselines, "ROOT", tmp_path)
    worker = baselines.PeerWorker(Path(sys.executable), "stub", "a", tmp_path)
    with prepared(worker):
        assert worker.measure() == {"given": 3}


def test_what_is_missing_is_said(tmp_path, capsys):
    assert baselines.main(["--python", str(tmp_path / "python")]) == 2
    assert "make bench-baselines" in capsys.readouterr().err
    with pytest.raises(UserError, match="not a finished run"):
        baselines.finished_runs([tmp_path])


def test_requirements_are_exact():
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][\w.]*", line) for line in lines)
    assert {"nnunetv2", "torch"} <= {line.split("==")[0] for line in lines}
