"""Whole runs on phantoms: the commands, the run directory, kill and resume, prediction."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import analyze_results
import train_ensemble
from cardiac_seg import Ensemble
from cardiac_seg.__main__ import main as cardiac_seg_main
from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.members.maps import read_maps
from cardiac_seg.report.model_card import model_card
from cardiac_seg.run.open import join, open_run

REPO = Path(train_ensemble.__file__).parent


@pytest.fixture(scope="module")
def finished(config_file, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert train_ensemble.main(["--config", str(config_file), "--run-dir", str(run)]) == 0
    return run


def copy_without(run: Path, target: Path, *names: str) -> Path:
    """A copy of a run that has forgotten some stages, for damage and resume."""
    shutil.copytree(run, target)
    manifest = json.loads((target / "manifest.json").read_text())
    for name in names:
        manifest["stages"].pop(name)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def test_the_run_directory_holds_what_the_interface_promises(finished):
    split = pd.read_csv(finished / "split.csv")
    assert list(split.columns) == ["patient", "subset", "fold", "stratum"]
    for member in MEMBERS:
        assert len(pd.read_csv(finished / "history" / member / "full.csv")) == 2
        assert (finished / "models" / member / "full" / "best.keras").is_file()
        assert (finished / "models" / member / "full" / "last.keras").is_file()
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["dataset"]["phantom"] is True
    learners = {"logistic", "random_forest", "gradient_boosting"}
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
    assert set(result.phases[0].maps.members) == set(MEMBERS)
    assert result.probabilities.shape == (*result.mask.shape, 4)
    assert result.entropy.shape == result.mask.shape
    assert 0 <= result.quality <= 1 and result.indices["lv_ml"] >= 0


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


@pytest.fixture(scope="module")
def analysed(finished, tmp_path_factory):
    run = Path(shutil.copytree(finished, tmp_path_factory.mktemp("analysed") / "run"))
    assert analyze_results.main([str(run)]) == 0
    return run


def test_figures_and_info(analysed, capsys):
    assert (analysed / "analysis" / "report.html").is_file()
    assert (analysed / "analysis" / "figures" / "training_curves.png").is_file()
    table = pd.read_csv(analysed / "analysis" / "tables" / "methods_test.csv").set_index("method")
    row = table.loc["random_forest"]
    assert row.RV_low <= row.RV <= row.RV_high and row.fit_seconds >= 0
    assert row.difference == pytest.approx(row["mean"] - table.loc["mean", "mean"], abs=2e-4)
    assert cardiac_seg_main(["info", str(analysed)]) == 0
    assert "acdc (phantom): 4 train, 2 validation, 2 test patients" in capsys.readouterr().out


def test_results_are_a_row_a_model_beside_the_published_ones(analysed, capsys):
    assert cardiac_seg_main(["results", str(analysed)]) == 0
    own, published = capsys.readouterr().out.split("ACDC, published")
    rows = [line.split("|")[1:-1] for line in own.splitlines() if line.startswith("| ")]
    head, *methods = [[cell.strip() for cell in row] for row in rows]
    metrics = json.loads((analysed / "metrics.json").read_text())
    scores = metrics["subsets"]["test"]["methods"]
    named = [m[0].split("*")[2 * m[0].startswith("*")] for m in methods]
    assert [name.replace(", core", "_core") for name in named] == list(scores)
    reach = methods[0][head.index("HD95 mm (by structure)")]
    assert reach.count(",") == 2  # a number for each of the three structures
    assert "- secondary: HD95, " in own
    assert sum("(chosen)" in row[0] for row in methods) == 1
    mean = dict(zip(head, next(row for row in methods if "mean" in row[0]), strict=True))
    assert mean["LV"] == f"{scores['mean']['dice_native_per_patient']['LV']:.3f}".lstrip("0")
    assert "--config" in own
    assert "nnU-Net" in published


def test_results_of_a_run_without_analysis_are_refused(finished, capsys):
    assert cardiac_seg_main(["results", str(finished)]) == 2
    assert "run analyze_results.py" in capsys.readouterr().err


def test_a_run_compared_with_its_copy_on_development_patients_is_no_better(
    finished, tmp_path, capsys
):
    copy = shutil.copytree(finished, tmp_path / "copy")
    assert cardiac_seg_main(["compare", str(finished), str(copy), "--method", "mean"]) == 0
    title, _, first, second = capsys.readouterr().out.splitlines()
    assert title.startswith("2 patients, 4 images")
    assert "+0.0000 [+0.0000 +0.0000]" in second and "+" not in first
    for path in (copy / "meta" / "cross_fit").glob("*.csv"):
        scores = pd.read_csv(path)
        scores.loc[(scores.method == "mean") & (scores.structure == "RV"), "dice"] += 0.03
        scores.to_csv(path, index=False)
    assert cardiac_seg_main(["compare", str(finished), str(copy)]) == 0
    assert "+0.0100 [+0.0100 +0.0100]" in capsys.readouterr().out.splitlines()[-1]
    assert cardiac_seg_main(["compare", str(finished), "--method", "nobody"]) == 2
    assert "no method 'nobody'" in capsys.readouterr().err


def test_errors_are_told_by_phase_group_and_slice_and_the_worst_are_drawn(
    finished, tmp_path, capsys
):
    assert cardiac_seg_main(["errors", str(finished), "--pictures", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert {"by phase", "by group", "slices", "worst 10"} <= {
        title for line in out.splitlines() if (title := line[:12].strip())
    }
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert len(drawn) == 4 and all(name in out for name in drawn)
    scores = pd.concat(pd.read_csv(p) for p in (finished / "meta" / "cross_fit").glob("*.csv"))
    ed = scores[(scores.method == "mean") & (scores.phase == "ED") & (scores.structure == "LV")]
    line = next(line for line in out.splitlines() if line.startswith("ED "))
    assert float(line.split()[3]) == pytest.approx(ed.dice.mean(), abs=5e-4)


def test_an_exported_run_is_small_and_predicts_the_same(analysed, mri_root, tmp_path, capsys):
    out = tmp_path / "pretrained"
    assert cardiac_seg_main(["export", str(analysed), str(out)]) == 0
    suffixes = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert suffixes <= {".keras", ".json", ".yaml", ".csv", ".md", ".skops", ".onnx"}
    for member in MEMBERS:
        whole, small = (run / "models" / member / "full" / "last.keras" for run in (analysed, out))
        assert small.stat().st_size < whole.stat().st_size / 2
    card = (out / "README.md").read_text()
    assert "Phantoms" in card and "Bernard" not in card and "Where it fails" in card
    image = next(p for p in mri_root.rglob("*.nii.gz") if not p.name.endswith("_gt.nii.gz"))
    expected, found = (Ensemble.load(run).predict(image) for run in (analysed, out))
    assert (found.mask == expected.mask).mean() > 0.99
    assert abs(found.probabilities - expected.probabilities).mean() < 1e-3
    assert cardiac_seg_main(["info", str(out)]) == 0
    assert cardiac_seg_main(["export", str(analysed), str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_what_no_result_depends_on_may_change(finished, config_file, tmp_path):
    run = copy_without(finished, tmp_path / "run")
    command = ["--config", str(config_file), "--run-dir", str(run)]
    assert train_ensemble.main([*command, "--set", "predict.batch_size=2"]) == 0
    assert "batch_size: 2" in (run / "config.yaml").read_text()


def test_a_whole_run_tells_no_absolute_path(analysed, config_file, mri_root):
    texts = {".txt", ".csv", ".json", ".yaml", ".html", ".md"}
    told = [p for p in analysed.rglob("*") if p.suffix in texts and p.name != "local.yaml"]
    assert {"log.txt", "manifest.json", "config.yaml", "report.html"} <= {p.name for p in told}
    secrets = [str(folder) for folder in (analysed.parent, config_file.parent, mri_root, REPO)]
    for path in told:
        text = path.read_text()
        assert not [secret for secret in secrets if secret in text], path


def test_a_wrong_data_folder_leaves_nothing_behind(config_file, tmp_path, capsys):
    command = ["--config", str(config_file), "--run-dir", str(tmp_path / "run")]
    assert train_ensemble.main([*command, "--set", f"data.root={tmp_path / 'none'}"]) == 2
    assert "expected training/patient001" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_config_given_up_before_the_data_was_ready_leaves_no_split(config_file, tmp_path):
    run = tmp_path / "run"
    command = ["--config", str(config_file), "--run-dir", str(run), "--stage", "prepare"]
    assert train_ensemble.main(command) == 0
    first = (run / "split.csv").read_text()
    copy_without(run, tmp_path / "early", "prepare")
    command[3] = str(tmp_path / "early")
    assert train_ensemble.main([*command, "--set", "split.seed=7"]) == 0
    assert (tmp_path / "early" / "split.csv").read_text() != first


def test_masks_inside_the_input_folder_are_not_segmented_again(finished, mri_root, tmp_path):
    folder = shutil.copytree(mri_root / "training" / "patient001", tmp_path / "in")
    command = ["predict", str(finished), str(folder), "--output", str(folder / "masks")]
    assert cardiac_seg_main(command) == cardiac_seg_main(command) == 0
    assert len(list((folder / "masks").rglob("*.nii.gz"))) == 2
    assert cardiac_seg_main([*command[:-1], str(folder)]) == 2


def test_a_retrained_network_makes_new_maps(finished, tmp_path):
    run = copy_without(finished, tmp_path / "run", "train", "evaluate")
    shutil.rmtree(run / "models" / "unet_advanced")
    before = {p.name: p.stat().st_mtime_ns for p in (run / "maps").iterdir()}
    assert train_ensemble.main(["--resume", str(run)]) == 0
    assert all(p.stat().st_mtime_ns > before[p.name] for p in (run / "maps").iterdir())


def test_a_card_of_real_data_names_licence_source_and_who_trained(analysed, tmp_path):
    copy = Path(shutil.copytree(analysed, tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["dataset"]["phantom"] = False
    (copy / "manifest.json").write_text(json.dumps(manifest))
    card = model_card(open_run(copy), Path("pretrained/acdc"))
    assert "CC BY-NC-SA 4.0" in card and "Bernard" in card
    assert "trained on 4 patients; what combines them was fitted on 2 others; 2 are" in card
    assert "predict pretrained/acdc INPUT" in card and str(tmp_path) not in card


def test_other_mirror_images_are_mapped_again_by_the_same_networks(finished, config_file, tmp_path):
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))
    run = join(load_config(config_file, ["predict.mirror=none"]), copy)
    assert not (copy / "maps").exists() and not run.meta.exists() and not run.is_done("stack")
    assert run.is_done("train") and len(list((copy / "models").rglob("last.keras"))) == 2


def test_a_run_whose_meta_was_deleted_is_stacked_again(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "meta")
    assert train_ensemble.main(["--resume", str(run)]) == 0
    for name in ("metrics.json", "meta/interpretation.json"):
        assert (run / name).read_text() == (finished / name).read_text()


def test_damage_is_named(finished, mri_root, tmp_path, capsys):
    run = copy_without(finished, tmp_path / "run", "stack", "evaluate")
    some_map = next((run / "maps").iterdir())
    some_map.write_bytes(b"damaged")
    assert train_ensemble.main(["--resume", str(run)]) == 2
    assert some_map.name in capsys.readouterr().err

    methods = run / "models"
    shutil.copy(
        methods / "unet_advanced" / "full" / "last.keras",
        methods / "deep_unet_improved" / "full" / "last.keras",
    )
    command = ["predict", str(run), str(mri_root), "--output", str(tmp_path / "out")]
    assert cardiac_seg_main(command) == 2
    assert "of another run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_refused(config_file, mri_root, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["--config", str(config_file), "--run-dir", str(run), "--stage", "prepare"]
    assert train_ensemble.main(command) == 0
    assert train_ensemble.main(["--resume", str(run), "--stage", "evaluate"]) == 2
    assert "needs stage stack" in capsys.readouterr().err
    assert cardiac_seg_main(["predict", str(run), str(mri_root), "--output", "x"]) == 2
    assert analyze_results.main([str(run)]) == 2
    assert capsys.readouterr().err.count("--resume") == 2


def test_changed_data_stops_a_resume(config_file, mri_root, tmp_path, capsys):
    root = shutil.copytree(mri_root, tmp_path / "data")
    command = ["--config", str(config_file), "--run-dir", str(tmp_path / "run")]
    command += ["--set", f"data.root={root}", "--stage", "prepare"]
    assert train_ensemble.main(command) == 0
    label = next(root.rglob("*_gt.nii.gz"))
    nifti = nib.load(label)
    changed = np.asarray(nifti.dataobj).copy()
    changed[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(changed, nifti.affine, nifti.header), label)
    assert train_ensemble.main(command) == 2
    assert "the data changed" in capsys.readouterr().err


def test_a_structure_absent_from_training_is_an_error(config_file, mri_root, tmp_path, capsys):
    root = shutil.copytree(mri_root, tmp_path / "data")
    for label in root.rglob("*_gt.nii.gz"):
        nifti = nib.load(label)
        values = np.asarray(nifti.dataobj).copy()
        values[values == 1] = 0
        nib.save(nib.Nifti1Image(values, nifti.affine, nifti.header), label)
    command = ["--config", str(config_file), "--run-dir", str(tmp_path / "run")]
    assert train_ensemble.main([*command, "--set", f"data.root={root}"]) == 2
    assert "no RV in any" in capsys.readouterr().err
    assert not (tmp_path / "run" / "models").exists()


def test_a_place_that_cannot_be_written_is_named(finished, config_file, mri_root, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    below = str(tmp_path / "file" / "run")
    assert train_ensemble.main(["--config", str(config_file), "--run-dir", below]) == 2
    assert cardiac_seg_main(["predict", str(finished), str(mri_root), "--output", below]) == 2
    assert cardiac_seg_main(["phantom", below, "--patients", "1"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert sum(below in line for line in errors if line.startswith("error: ")) == 3


def test_jax_predicts_and_trains_like_tensorflow(finished, config_file, mri_root, tmp_path):
    pytest.importorskip("jax")
    case = next((finished / "masks" / "ensemble").rglob("*.nii.gz"))
    source = mri_root / case.relative_to(finished / "masks" / "ensemble")
    quick_compile = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": quick_compile}
    run = [sys.executable, "-m", "cardiac_seg", "predict", finished, source]
    done = subprocess.run(
        [*run, "--output", tmp_path], cwd=REPO, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    mask = np.asarray(nib.load(tmp_path / source.name).dataobj)
    assert (mask == np.asarray(nib.load(case).dataobj)).mean() > 0.999

    train = [sys.executable, "train_ensemble.py", "--config", config_file, "--stage", "train"]
    train += ["--run-dir", tmp_path / "run", "--member", "unet_advanced"]
    train += ["--set", "train.epochs=1", "--set", "train.warmup=0"]
    done = subprocess.run(train, cwd=REPO, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    history = pd.read_csv(tmp_path / "run" / "history" / "unet_advanced" / "full.csv")
    assert np.isfinite(history.loss).all()
