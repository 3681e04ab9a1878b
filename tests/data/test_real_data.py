"""The readers and the geometry on the real data, where they are there."""

import numpy as np
import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import Config
from cardiac_seg.data.case import read_case
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.data.split import make_split
from cardiac_seg.grid.resample import from_grid, label_to_grid, make_grid
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from tests.support.paths import REPO, SHARED_DATA


def listed(dataset):
    root = SHARED_DATA / dataset
    if not root.is_dir():
        pytest.skip(f"no real {dataset} data at {root}")
    return root, DATASETS[dataset].find(root, ["2CH", "4CH"], ["ED", "ES"])


@pytest.mark.parametrize(
    ("dataset", "patients", "cases"), [("acdc", 80, 160), ("camus", 450, 1800)]
)
def test_every_patient_and_case_is_found(dataset, patients, cases):
    _, files = listed(dataset)
    assert len({f.patient for f in files}) == patients
    assert len({f.name for f in files}) == len(files) == cases


@pytest.mark.parametrize("dataset", ["acdc", "camus"])
def test_a_label_survives_the_network_grid(dataset):
    """Native label -> grid -> one-hot -> native -> argmax keeps Dice >= 0.95."""
    _, files = listed(dataset)
    settings = load_config(REPO / "configs" / f"{dataset}_cpu.yaml").preprocess
    case = read_case(files[0], num_classes=4)
    grid = make_grid(case.label.shape[1:], case.spacing[1:], settings)
    one_hot = np.eye(4, dtype=np.float32)[label_to_grid(case.label, grid)]
    mask = from_grid(one_hot, grid).argmax(-1)
    assert dice_from_confusion(confusion(case.label, mask, 4)).min() >= 0.95


def test_the_official_camus_split_has_its_published_sizes():
    root, files = listed("camus")
    config = Config(data={"dataset": "camus", "root": str(root)}, split={"scheme": "official"})
    split = make_split(config, DATASETS["camus"], root, files)
    assert split.subset.value_counts().to_dict() == {"train": 350, "validation": 50, "test": 50}
