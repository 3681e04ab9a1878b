"""A network that is trained and one whose maps another program made, from phantoms to masks."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

import analyze_results
import train_ensemble
from cardiac_seg.__main__ import main
from cardiac_seg.data.acdc import find_cases
from cardiac_seg.members.maps import read_maps
from tests.support.external_maps import softmax_of, write_npz, write_results
from tests.support.finished_runs import quick
from tests.support.little_training import eagerly, small_network

NAME = "nnunet_3d"
CONFIG = {
    "members": ["unet_advanced", NAME],
    "split": {"validation": 0.25, "test": 0.25, "folds": 2},
    "preprocess": {"spacing": 5.0, "size": [32, 32]},
    "train": {"epochs": 1, "warmup": 0, "batch_size": 16, "precision": "float32"},
    "stacking": {
        "scheme": "out_of_fold",
        "learners": ["logistic"],
        "features": ["margin"],
        "pixels_per_case": 300,
    },
    "predict": {"checkpoint": "last"},
}


@pytest.fixture(scope="module")
def work(mri_root, tmp_path_factory):
    """A folder with a finished and analysed run, and the maps that it was made with."""
    folder = tmp_path_factory.mktemp("external")
    files = find_cases(mri_root, [], ["ED", "ES"])
    splits = write_results(folder / "results", files, folds=4)
    data = {"dataset": "acdc", "root": str(mri_root), "cache": str(folder / "cache")}
    own = {"kind": "external", "maps": str(folder / "results"), "trained_on": str(splits)}
    networks = {"unet_advanced": {"filters": 4}, NAME: own}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"data": data, "networks": networks} | CONFIG))
    command = ["--config", str(config), "--run-dir", str(folder / "run")]
    with eagerly(), quick(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("cardiac_seg.members.training.build_member", small_network)
        assert train_ensemble.main(command) == 0
        assert analyze_results.main([str(folder / "run")]) == 0
    return folder


def test_each_fold_has_its_maps_by_networks_that_have_not_seen_the_patient(work):
    split = pd.read_csv(work / "run" / "split.csv").set_index("patient")
    paths = sorted((work / "run" / "maps").glob("*.npz"))
    assert len(paths) == 16
    for path in paths:
        patient = path.stem.partition("_")[0]
        made_by = read_maps(path, CONFIG["members"]).maps[NAME].provenance
        tested = split.subset[patient] == "test"
        assert made_by.fold == ("full" if tested else f"fold{split.fold[patient]}")
        assert patient not in made_by.trained_on and len(made_by.trained_on) == 6


def test_nothing_of_it_is_trained(work):
    run = work / "run"
    assert [path.name for path in (run / "models" / NAME).iterdir()] == ["maps.json"]
    assert not (run / "history" / NAME).exists()
    manifest = json.loads((run / "manifest.json").read_text())
    assert {name.partition("/")[0] for name in manifest["trainings"]} == {"unet_advanced"}
    assert f"models/{NAME}/maps.json" in manifest["models"]


def test_the_report_shows_it_and_says_where_its_maps_come_from(work):
    analysis = work / "run" / "analysis"
    told = (analysis / "summary_report.txt").read_text()
    assert f"{NAME} (softmax maps that another program made, brought to" in told
    assert "unet_advanced (4 filters)" in told and "at most 1 epochs" in told
    assert NAME in set(pd.read_csv(analysis / "tables" / "summary.csv").method)
    assert set(pd.read_csv(analysis / "tables" / "history.csv").member) == {"unet_advanced"}
    assert str(work) not in (analysis / "report.html").read_text()


def test_it_is_described_and_compared(work, capsys):
    assert main(["info", str(work / "run")]) == 0
    assert f"unet_advanced, {NAME} (brings its maps)" in capsys.readouterr().out
    assert main(["compare", str(work / "run"), str(work / "run"), "--method", NAME]) == 0
    assert main(["errors", str(work / "run")]) == 0


def test_an_exported_run_predicts_where_the_maps_are_given(work, mri_root, tmp_path, capsys):
    exported = tmp_path / "exported"
    assert main(["export", str(work / "run"), str(exported)]) == 0
    assert [path.parent.parent.name for path in exported.rglob("*.keras")] == ["unet_advanced"]
    card = (exported / "README.md").read_text()
    assert f"--maps {NAME}=FOLDER" in card and f"Not in here: {NAME}" in card
    case = find_cases(mri_root, [], ["ED"])[0]
    source = shutil.copy(case.image_path, tmp_path / "new.nii.gz")
    assert main(["predict", str(exported), str(source), "--output", str(tmp_path / "out")]) == 2
    assert f"give --maps {NAME}=FOLDER" in capsys.readouterr().err
    maps, label = tmp_path / "maps", np.asarray(nib.load(case.label_path).dataobj)
    maps.mkdir()
    shutil.copy(work / "results" / "dataset.json", maps)
    write_npz(maps / "new.npz", softmax_of(label))
    command = ["predict", str(exported), str(source), "--output", str(tmp_path / "out")]
    assert main([*command, "--maps", f"{NAME}={maps}", "--members"]) == 0
    mask = np.asarray(nib.load(tmp_path / "out" / f"new_{NAME}.nii.gz").dataobj)
    assert mask.shape == label.shape and (mask == label).mean() > 0.95


def test_another_run_starts_from_its_networks(work):
    command = ["--config", str(work / "config.yaml"), "--run-dir", str(work / "again")]
    sets = ["--set", f"train.start_from={work / 'run'}", "--set", "stacking.scheme=holdout"]
    assert train_ensemble.main([*command, *sets, "--stage", "prepare"]) == 2  # it knows them all
    sets += ["--set", "members=[deep_unet_improved]", "--set", "stacking.learners=[]"]
    assert train_ensemble.main([*command, *sets, "--stage", "prepare"]) == 2
