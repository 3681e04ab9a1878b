"""A run with out-of-fold networks: whom they see, what is deployed."""

import json

import pandas as pd

import train_ensemble
from cardiac_seg.members.maps import folds_in
from tests.support.little_training import eagerly


def test_folds_keep_patients_unseen_and_deploy_can_change(config_file, tmp_path):
    run = tmp_path / "run"
    command = ["--config", str(config_file), "--run-dir", str(run)]
    command += ["--set", "stacking.scheme=out_of_fold", "--set", "stacking.learners=[]"]
    command += ["--set", "members=[unet_advanced]", "--set", "train.epochs=1"]
    command += ["--set", "train.warmup=0", "--set", "train.tensorboard=true"]
    fold_mean = [*command, "--set", "stacking.deploy=fold_mean"]

    def folds():
        return {path.name: folds_in(path) for path in (run / "maps").iterdir()}

    # Two jobs share the run, then a third puts it together.
    with eagerly():
        assert train_ensemble.main([*fold_mean, "--fold", "1"]) == 0
    methods = run / "models" / "unet_advanced"
    assert {p.name for p in methods.iterdir()} == {"fold1"}
    with eagerly():
        assert train_ensemble.main(fold_mean) == 0
    assert {p.name for p in methods.iterdir()} == {"fold0", "fold1"}
    split = pd.read_csv(run / "split.csv").set_index("patient")
    for name, made_by in folds().items():
        patient = split.loc[name.split("_")[0]]
        fold = "fold_mean" if patient.subset == "test" else f"fold{patient.fold}"
        assert made_by == {fold}
    assert list((run / "tensorboard").rglob("events.*"))

    # The refitted network has no validation patients; development maps stay as they are.
    before = {p.name: p.stat().st_mtime_ns for p in (run / "maps").iterdir()}
    with eagerly():
        assert train_ensemble.main(command) == 0
    assert (methods / "full" / "best.keras").is_file()
    for name, made_by in folds().items():
        is_test = split.subset[name.split("_")[0]] == "test"
        assert (made_by == {"full"}) == is_test
        assert is_test == ((run / "maps" / name).stat().st_mtime_ns > before[name])
    assert json.loads((run / "meta" / "choice.json").read_text())["method"] == "unet_advanced"
