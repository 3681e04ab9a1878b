"""`predict` with a member whose softmax maps another program made of the scans."""

import shutil

import nibabel as nib
import numpy as np
import pytest
import yaml

from cardiac_seg import Ensemble
from cardiac_seg.predict.stress import stress
from cardiac_seg.system.errors import UserError
from tests.support.external_maps import softmax_of, write_dataset, write_nifti, write_npz
from tests.support.scans import PLACE, RADII, predict, save, stack, summary

NAME = "nnunet_3d"


@pytest.fixture(scope="module")
def run(mri_run, tmp_path_factory):
    """The stub run with an external member in place of its second network."""
    folder = shutil.copytree(mri_run, tmp_path_factory.mktemp("external") / "run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["members"] = ["unet_advanced", NAME]
    config["networks"][NAME] = {"kind": "external", "maps": "only/there/in/training"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def maps(tmp_path):
    return write_dataset(tmp_path / "maps").parent


def write_map(maps, name, planes, kind="npz"):
    """Maps of (slices, height, width) labels."""
    softmax = softmax_of(planes.T, sigma=0.3)
    if kind == "npz":
        return write_npz(maps / f"{name}.npz", softmax)
    return write_nifti(maps / f"{name}.nii.gz", softmax, np.diag([*PLACE[::-1], 1]))


def masks(output, name):
    return np.asarray(nib.load(output / f"{name}.nii.gz").dataobj).T


@pytest.mark.parametrize("kind", ["npz", "nii.gz"])
def test_its_maps_are_read_from_the_folder_by_the_scans_name(run, maps, tmp_path, kind):
    planes, other = stack(12), stack(9)
    source, output = tmp_path / "in" / "deeper" / "heart.nii.gz", tmp_path / "out"
    save(source, planes)
    write_map(maps, "heart", other, kind)
    switches = ["--maps", f"{NAME}={maps}", "--members"]
    assert predict(run, tmp_path / "in", output, *switches) == 0
    assert np.array_equal(masks(output, "deeper/heart_unet_advanced"), planes)
    theirs = masks(output, f"deeper/heart_{NAME}")
    assert (theirs == other).mean() > 0.99 and (theirs != planes).mean() > 0.02


def test_each_frame_of_a_cine_has_its_own_maps(run, maps, tmp_path):
    frames = np.stack([stack(radius) for radius in RADII[:3]])
    source, output = save(tmp_path / "cine.nii.gz", frames), tmp_path / "out"
    for k, planes in enumerate(frames):
        write_map(maps, f"cine_frame{k + 1:02d}", planes)
    switches = ["--maps", f"{NAME}={maps}", "--members"]
    assert predict(run, source, output, *switches) == 0
    theirs = masks(output, f"cine_{NAME}")
    assert (theirs == frames).mean(axis=(1, 2, 3)).min() > 0.99
    (maps / "cine_frame02.npz").unlink()
    assert predict(run, source, tmp_path / "again", *switches) == 1
    assert "no softmax map cine_frame02.npz" in summary(tmp_path / "again").error["cine"]


def test_without_the_maps_one_line_says_what_must_run_first(run, maps, tmp_path, capsys):
    source = save(tmp_path / "heart.nii.gz", stack(12))
    assert predict(run, source, tmp_path / "out") == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if NAME in text]
    assert "let the program that makes them predict these images first" in line
    assert f"give --maps {NAME}=FOLDER" in line
    for given, said in (
        (f"{NAME}={tmp_path / 'nowhere'}", "no such folder"),
        (f"unet_advanced={maps}", f"--maps unet_advanced: no member of {run} that brings"),
    ):
        assert predict(run, source, tmp_path / "out", "--maps", given) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        predict(run, source, tmp_path / "out", "--maps", NAME)
    said = f"invalid member and folder (as nnunet_3d=results) value: '{NAME}'"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scan_without_a_map_fails_alone_and_is_taken_up_when_it_has_one(run, maps, tmp_path):
    for name in ("one", "two"):
        save(tmp_path / "in" / f"{name}.nii.gz", stack(12))
    write_map(maps, "one", stack(12))
    output, switches = tmp_path / "out", ["--maps", f"{NAME}={maps}"]
    assert predict(run, tmp_path / "in", output, *switches) == 1
    assert f"run {NAME} on this image first" in summary(output).error["two"]
    done = (output / "one.nii.gz").stat().st_mtime_ns
    write_map(maps, "two", stack(12))
    assert predict(run, tmp_path / "in", output, *switches) == 0
    assert (output / "two.nii.gz").is_file()
    assert (output / "one.nii.gz").stat().st_mtime_ns == done


def test_a_scan_is_done_again_when_its_map_changed(run, maps, tmp_path):
    for name in ("one", "two"):
        save(tmp_path / "in" / f"{name}.nii.gz", stack(12))
    write_map(maps, "one", stack(12))
    output, switches = tmp_path / "out", ["--maps", f"{NAME}={maps}", "--members"]
    assert predict(run, tmp_path / "in", output, *switches) == 1
    write_map(maps, "one", stack(9))
    assert predict(run, tmp_path / "in", output, *switches) == 1
    assert (masks(output, f"one_{NAME}") == stack(9)).mean() > 0.99


def test_two_scans_of_one_name_cannot_share_a_folder_of_maps(run, maps, tmp_path, capsys):
    for folder in ("a", "b"):
        save(tmp_path / "in" / folder / "heart.nii.gz", stack(12))
    switches = ["--maps", f"{NAME}={maps}"]
    assert predict(run, tmp_path / "in", tmp_path / "out", *switches) == 2
    assert "belong to either; rename one" in capsys.readouterr().err


def test_in_python(run, maps, tmp_path):
    source = save(tmp_path / "heart.nii.gz", stack(12))
    with pytest.raises(UserError, match=f"its member {NAME} is no network of this run"):
        Ensemble.load(run)
    ensemble = Ensemble.load(run, maps={NAME: maps})
    with pytest.raises(UserError, match=r"no softmax map heart\.npz"):
        ensemble.predict(source)
    write_map(maps, "heart", stack(12))
    assert (ensemble.predict(source).mask == stack(12)).mean() > 0.99
    with pytest.raises(UserError, match="no NIfTI file; maps of nnunet_3d lie on the grid of one"):
        ensemble.segment(stack(12).astype(np.float32), PLACE)


def test_nobody_made_maps_of_perturbed_images(run):
    with pytest.raises(UserError, match=f"{NAME} brings its maps, and there are none of pert"):
        stress(run)
