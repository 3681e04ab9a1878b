"""A whole run on phantoms: the run directory, its scores, prediction with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import train_ensemble
from cardiac_seg import Ensemble
from cardiac_seg.__main__ import main as cardiac_seg_main
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.members.maps import read_maps
from tests.support.paths import REPO


def test_the_run_directory_holds_what_the_interface_promises(finished):
    split = pd.read_csv(finished / "split.csv")
    assert list(split.columns) == ["patient", "subset", "fold", "stratum"]
    for member in MEMBERS:
        assert len(pd.read_csv(finished / "history" / member / "full.csv")) == 2
        assert (finished / "models" / member / "full" / "best.keras").is_file()
        assert (finished / "models" / member / "full" / "last.keras").is_file()
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["dataset"]["phantom"] is True
    learners = {"logistic", "random_forest", "boosted_mean"}
    learners |= {f"{name}_core" for name in learners}
    assert {p.stem for p in (finished / "meta").glob("*.skops")} == learners
    assert len([name for name in manifest["models"] if name.endswith(".keras")]) == 4
    assert {Path(n).stem for n in manifest["models"] if n.endswith(".skops")} == learners
    methods = {*MEMBERS, "mean", "calibrated_mean", "weighted_mean", *learners}
    assert {p.name for p in (finished / "masks").iterdir()} == {*methods, "ensemble", "reference"}
    assert set(manifest["combining"]) == methods
    assert manifest["combining"]["random_forest"]["mib_on_disk"] < 50
    assert all(stage["done"] for stage in manifest["stages"].values())
    seen = set(split.patient[split.subset != "train"])
    assert {p.name.split("_")[0] for p in (finished / "maps").iterdir()} == seen
    assert not list(finished.rglob(".partial*"))


def test_scores_agree_with_the_masks_on_disk(finished, mri_root):
    cases = pd.read_csv(finished / "cases.csv").query("subset == 'test'")
    row = cases[(cases.method == "mean") & (cases.structure == "MYO")].iloc[0]
    info = (mri_root / "training" / row.patient / "Info.cfg").read_text()
    frame = int(dict(line.split(": ") for line in info.splitlines())[row.phase])
    name = f"training/{row.patient}/{row.patient}_frame{frame:02d}"
    mask = nib.load(finished / "masks" / "mean" / f"{name}.nii.gz")
    truth = nib.load(mri_root / f"{name}_gt.nii.gz")
    a, b = np.asarray(mask.dataobj) == 2, np.asarray(truth.dataobj) == 2
    assert row.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    np.testing.assert_array_equal(mask.affine, truth.affine)


def test_metrics_average_patients_then_structures(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    cases = pd.read_csv(finished / "cases.csv")
    test = cases[(cases.subset == "test") & (cases.method == "mean")]
    scores = metrics["subsets"]["test"]["methods"]["mean"]
    by_patient = test.groupby(["structure", "patient"]).dice.mean().groupby("structure").mean()
    for structure in ("RV", "MYO", "LV"):
        assert scores["dice_native_per_patient"][structure] == pytest.approx(by_patient[structure])
    assert scores["mean_foreground_dice"] == pytest.approx(by_patient.mean())
    counts = np.array(scores["pooled_network_grid"]["confusion"])
    assert counts.sum() == sum(
        read_maps(path, []).label.size
        for path in (finished / "maps").iterdir()
        if path.name.removesuffix(".npz") in set(test.case)
    )


def test_predict_gives_the_masks_that_were_scored(finished, mri_root, tmp_path):
    assert (
        cardiac_seg_main(["predict", str(finished), str(mri_root), "--output", str(tmp_path)]) == 0
    )
    images = [p for p in mri_root.rglob("*.nii.gz") if not p.name.endswith("_gt.nii.gz")]
    assert len(list(tmp_path.rglob("*.nii.gz"))) == len(images)
    for scored in (finished / "masks" / "ensemble").rglob("*.nii.gz"):
        relative = scored.relative_to(finished / "masks" / "ensemble")
        source, mask = nib.load(mri_root / relative), nib.load(tmp_path / relative)
        np.testing.assert_array_equal(mask.dataobj, nib.load(scored).dataobj)
        assert mask.shape == source.shape and mask.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(mask.affine, source.affine)


def test_library_prediction(finished, mri_root):
    image = next(p for p in mri_root.rglob("*.nii.gz") if not p.name.endswith("_gt.nii.gz"))
    result = Ensemble.load(finished).predict(image)
    assert result.mask.shape == nib.load(image).shape[::-1]
    assert set(result.frames[0].maps.maps) == set(MEMBERS)
    assert result.probabilities.shape == (*result.mask.shape, 4)
    assert result.entropy.shape == result.mask.shape
    assert 0 <= result.predicted_dice <= 1 and result.indices["lv_ml"] >= 0


def test_best_checkpoint_loads_without_this_package(finished):
    path = finished / "models" / "deep_unet_improved" / "full" / "best.keras"
    code = (
        f"import keras; m = keras.saving.load_model({str(path)!r}); print(m.output_shape)\n"
        "import sys; assert 'cardiac_seg' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "(None, None, None, 4)" in done.stdout


def test_a_finished_run_says_so_and_stays(finished, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.name != "log.txt"}
    assert train_ensemble.main(["--resume", str(finished)]) == 0
    assert "finished already" in capsys.readouterr().err
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.name != "log.txt"}


def test_another_configuration_does_not_join(finished, config_file, capsys):
    command = ["--config", str(config_file), "--run-dir", str(finished), "--set", "seed=7"]
    assert train_ensemble.main(command) == 2
    assert "seed: 42 there, 7 here" in capsys.readouterr().err


def test_jax_predicts_and_trains_like_tensorflow(finished, config_file, mri_root, tmp_path):
    pytest.importorskip("jax")
    case = next((finished / "masks" / "ensemble").rglob("*.nii.gz"))
    source = mri_root / case.relative_to(finished / "masks" / "ensemble")
    quick_compile = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": quick_compile}
    # The whole patient: its images inform each other, as they did in the run.
    predict = ["predict", str(finished), str(source.parent), "--output", str(tmp_path)]
    train = ["--config", str(config_file), "--stage", "train", "--run-dir", str(tmp_path / "run")]
    train += ["--member", "unet_advanced", "--set", "train.epochs=1", "--set", "train.warmup=0"]
    code = (
        "import cardiac_seg.__main__, train_ensemble\n"
        f"assert cardiac_seg.__main__.main({predict}) == 0\n"
        f"assert train_ensemble.main({train}) == 0"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    mask = np.asarray(nib.load(tmp_path / source.name).dataobj)
    assert (mask == np.asarray(nib.load(case).dataobj)).mean() > 0.999
    history = pd.read_csv(tmp_path / "run" / "history" / "unet_advanced" / "full.csv")
    assert np.isfinite(history.loss).all()
