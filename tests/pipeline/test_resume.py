"""Runs that go on: what may change, what is made again, what is refused."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

import analyze_results
import train_ensemble
from cardiac_seg.__main__ import main as cardiac_seg_main
from cardiac_seg.config.loading import load_config
from cardiac_seg.run.open import join
from tests.support.little_training import eagerly


def copy_without(run: Path, target: Path, *names: str) -> Path:
    """A copy of a run that has forgotten some stages, for damage and resume."""
    shutil.copytree(run, target)
    manifest = json.loads((target / "manifest.json").read_text())
    for name in names:
        manifest["stages"].pop(name)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def test_what_no_result_depends_on_may_change(finished, config_file, tmp_path):
    run = copy_without(finished, tmp_path / "run")
    command = ["--config", str(config_file), "--run-dir", str(run)]
    assert train_ensemble.main([*command, "--set", "predict.batch_size=2"]) == 0
    assert "batch_size: 2" in (run / "config.yaml").read_text()


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
    with eagerly():
        assert train_ensemble.main(["--resume", str(run)]) == 0
    assert all(p.stat().st_mtime_ns > before[p.name] for p in (run / "maps").iterdir())


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
