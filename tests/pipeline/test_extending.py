"""A network, a dataset, a pixel feature and a learner of one's own: one file and one line each.

This file is all four files; the lines are `setitem`s of the registries, as docs/architecture.md has
it. A tiny training, stacking and analysis then know nothing of where they came from.
"""

import json
import sys
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.naive_bayes import GaussianNB

import analyze_results
import train_ensemble
from cardiac_seg import Ensemble
from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.config.registry import FEATURES, LEARNERS, NETWORKS
from cardiac_seg.config.sections import Stacking
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.data.modality import MRI
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.members.maps import read_maps
from cardiac_seg.meta.learners.sklearn_check import check_kinds
from cardiac_seg.report.ablation import ablate
from cardiac_seg.report.model_card import model_card
from cardiac_seg.run.open import open_run
from tests.support.finished_runs import quick
from tests.support.little_training import eagerly

SIDE, PATIENTS = 48, 12
HERE = __name__
rng = np.random.default_rng(0)

# A network.


def three_layers(input_shape, classes: int, filters: int = 8, dropout: float = 0.0) -> keras.Model:
    """Convolutions at one resolution."""
    image = x = keras.Input(input_shape, name="image")
    for _ in range(2):
        x = keras.layers.Conv2D(filters, 5, padding="same", activation="relu")(x)
    softmax = keras.layers.Conv2D(classes, 1, activation="softmax", dtype="float32")
    return keras.Model(image, softmax(x), name="three_layers")


# A dataset.


def find_blobs(root: Path, views: list[str], phases: list[str]) -> list[CaseFile]:
    """Images and labels side by side."""
    return [
        CaseFile(name, name, root / f"{name}.nii.gz", root / f"{name}_label.nii.gz", root, MRI)
        for name in (f"blob{k:02d}" for k in range(PATIENTS))
    ]


BLOBS = Dataset("blobs", MRI, Anatomy((Structure("disc"), Structure("square"))), find_blobs)


def write_blobs(root: Path) -> None:
    row, column = np.mgrid[:SIDE, :SIDE]
    for k in range(PATIENTS):
        label = np.zeros((3, SIDE, SIDE), np.uint8)
        centre = rng.integers(14, 20, 2)
        label[:, np.hypot(row - centre[0], column - centre[1]) < 8 + k % 3] = 1
        label[:, 30:40, 26 + k % 4 : 38] = 2
        image = 60.0 * label + rng.normal(0, 12, label.shape)
        for name, array in ((f"blob{k:02d}", image), (f"blob{k:02d}_label", label)):
            stored = nib.Nifti1Image(array.T.astype(np.int16), np.diag([2.0, 2.0, 8.0, 1.0]))
            nib.save(stored, root / f"{name}.nii.gz")


# A pixel feature: `names` and `values`.


def names(features) -> list[str]:
    """One column."""
    return ["magnitude"]


def values(case) -> np.ndarray:
    """(pixels, 1): how steeply the mean's confidence changes."""
    down, right = np.gradient(case.mean.max(-1), axis=(1, 2))
    return np.hypot(down, right)[case.pixels][:, None]


# A learner: `estimator` and `check`.


def estimator(settings: Stacking, pixels: int, seed: int) -> GaussianNB:
    """Unfitted."""
    return GaussianNB()


def check(fitted: object, features: int, classes: int) -> None:
    """Refuses a stored learner that `estimator` did not make."""
    check_kinds([fitted], (GaussianNB,))


CONFIG = {
    "members": ["unet_advanced", "unet_3d", "three_layers"],
    "split": {"validation": 0.34, "test": 0.25, "folds": 2, "stratify": False},
    "preprocess": {"spacing": 3.0, "size": [32, 32]},
    "networks": {
        "unet_advanced": {"filters": 4},
        # Two patches along the slices, which it sees at half their distance.
        "unet_3d": {
            "filters": 4,
            "features": [32, 64],
            "kernels": [[1, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "patch": [4, 32, 32],
            "slice_spacing": 4.0,
            "train": {"batch_size": 2},
        },
        # Settings of its own: a finer grid and more epochs than the others.
        "three_layers": {
            "filters": 8,
            "preprocess": {"spacing": 2.0, "size": [64, 64]},
            "train": {"epochs": 3},
        },
    },
    "train": {"epochs": 1, "warmup": 0, "learning_rate": 0.01, "batch_size": 4},
    "stacking": {
        "learners": ["naive_bayes"],
        "features": ["margin", "gradient"],
        "choose": "naive_bayes",
        "pixels_per_case": 300,
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three members, trained, stacked, scored and analysed."""
    folder = tmp_path_factory.mktemp("extending")
    with pytest.MonkeyPatch.context() as patch, eagerly(), quick():
        patch.setitem(sys.modules, "own", sys.modules[HERE])
        patch.setitem(NETWORKS, "three_layers", "own:three_layers")  # the four lines
        patch.setitem(DATASETS, "blobs", BLOBS)
        patch.setitem(FEATURES, "gradient", "own")
        patch.setitem(LEARNERS, "naive_bayes", "own")
        (folder / "data").mkdir()
        write_blobs(folder / "data")
        data = {"dataset": "blobs", "root": str(folder / "data"), "cache": str(folder / "cache")}
        config = folder / "own.yaml"
        config.write_text(yaml.safe_dump({"data": data} | CONFIG))
        assert train_ensemble.main(["--config", str(config), "--run-dir", str(folder / "run")]) == 0
        assert analyze_results.main([str(folder / "run")]) == 0
        yield folder / "run"


def test_the_network_is_a_member_with_settings_of_its_own(run):
    epochs = [pd.read_csv(path) for path in sorted((run / "history").glob("*/full.csv"))]
    assert [len(table) for table in epochs] == [3, 1, 1]  # three_layers is the first of them
    maps = read_maps(next((run / "maps").iterdir()), CONFIG["members"])
    shapes = {member: p.shape for member, p in maps.probabilities.items()}
    assert set(shapes) == set(CONFIG["members"]) and len(set(shapes.values())) == 1
    assert maps.image.pixels.shape[1:] == (32, 32)  # the ensemble's grid, for all of them


def test_the_feature_and_the_learner_make_the_masks(run):
    columns = json.loads((run / "meta" / "features.json").read_text())["all"]
    assert columns[-1] == "gradient: magnitude"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["final_method"] == "naive_bayes" and metrics["structures"] == ["disc", "square"]
    notes = json.loads((run / "meta" / "interpretation.json").read_text())
    assert "gradient" in notes["naive_bayes"]["importance"]
    others = notes["three_layers"]["error_correlation"]
    assert set(others) == {"unet_advanced", "unet_3d"}


def test_prediction_sees_a_stack_as_the_run_did(run, tmp_path):
    scored = next((run / "masks" / "unet_3d").glob("*.nii.gz"))
    ensemble = Ensemble.load(run)
    image = nib.load(run.parent / "data" / scored.name)
    pixels = np.asarray(image.dataobj, np.float32).T
    frame = ensemble.segment(pixels, (8.0, 2.0, 2.0))
    mask = ensemble.member_mask(frame, "unet_3d")
    assert mask.any() and np.array_equal(mask, np.asarray(nib.load(scored).dataobj).T)


def test_all_four_are_in_the_report(run):
    page = (run / "analysis" / "report.html").read_text()
    for title in ("three_layers", "Naive bayes", "gradient", "BLOBS", "disc", "square"):
        assert title in page, title
    tables = run / "analysis" / "tables"
    summary = pd.read_csv(tables / "summary.csv")
    assert {"three_layers", "naive_bayes", "naive_bayes_core", "mean"} <= set(summary.method)
    assert {"disc", "square"} <= set(summary.structure)


def test_report_and_card_say_in_what_the_networks_differ(run):
    told = (run / "analysis" / "summary_report.txt").read_text()
    assert "brought to each network's grid and the maps to 32 x 32 pixels at 3 mm, inten" in told
    differences = (
        "unet_advanced (4 filters; 32 x 32 pixels at 3 mm; at most 1 epochs; batch 4), unet_3d (4 "
        "filters; patches of 4 x 32 x 32 voxels, slices brought to 4 mm; 32 x 32 pixels at 3 mm; "
        "at most 1 epochs; batch 2), three_layers (8 filters; 64 x 64 pixels at 2 mm; at most 3 "
        "epochs; batch 4)"
    )
    assert f"Networks: {differences}; Dice plus cross-entropy, adamw with" in told
    card = model_card(open_run(run), run / "card")
    assert f"**Method.** {differences}, stacking scheme" in card


def test_the_learner_is_ablated_though_it_has_no_settings(run):
    rows = ablate(run, "naive_bayes").splitlines()
    names = [row.split("|")[1].strip() for row in rows if row.startswith("|")]
    assert "**naive_bayes**" in names and "naive_bayes, core features" in names
    assert names[-9:] == [
        *("without margin", "without gradient", "core and margin", "core and gradient"),
        *("without temperature", "75 pixels per case", "1200 pixels per case"),
        *("acting below 0.9", "acting below 0.999"),
    ]
