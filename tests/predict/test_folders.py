"""`predict` on folders: what is a scan, what is passed over, how a call goes on."""

import os

import numpy as np
import pytest

from cardiac_seg.__main__ import main
from cardiac_seg.predict import folder
from cardiac_seg.predict.scans import find_scans
from tests.support.dicom_files import write_stack
from tests.support.scans import (
    PLACE,
    broken,
    of,
    predict,
    save,
    stack,
    stored,
    summary,
    without_spacing,
)


def constant(path):
    save(path, np.full((4, 64, 64), 7, np.int16))


@pytest.mark.parametrize(
    ("damage", "words"),
    [(broken, "truncated"), (constant, "constant"), (without_spacing, "--spacing")],
)
def test_one_bad_file_of_ten_costs_one_line(damage, words, mri_run, tmp_path, capsys):
    for k in range(10):
        save(tmp_path / "in" / f"scan{k}.nii", stack(10 + k / 4))
    damage(tmp_path / "in" / "scan4.nii")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "scan4" in line]
    assert len(lines) == 1 and words in lines[0]
    assert len(list((tmp_path / "out").glob("*.nii"))) == 9
    table = summary(tmp_path / "out")
    assert len(table) == 10 and table.error.notna().sum() == 1
    assert words in table.error["scan4"] and str(tmp_path) not in table.error["scan4"]


@pytest.mark.parametrize("switch", ["--spacing=1", "--spacing=1,2,3,4", "--heart-rate=-3"])
def test_a_senseless_switch_is_refused(switch, mri_run, tmp_path):
    with pytest.raises(SystemExit) as caught:
        predict(mri_run, tmp_path, tmp_path / "out", switch)
    assert caught.value.code == 2


def test_a_label_by_its_name_is_no_image(mri_run, tmp_path, capsys):
    save(tmp_path / "x_ED_gt.nii.gz", stack(12))
    assert predict(mri_run, tmp_path / "x_ED_gt.nii.gz", tmp_path / "out") == 2
    assert "a label by its name" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_images_of_one_phase_are_not_mixed(mri_run, tmp_path):
    for name in ("x_2CH_ED", "x_4CH_ED", "x_ES"):  # views are of echo
        save(tmp_path / "in" / f"{name}.nii.gz", stack(12))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert table.lv_edv_ml.isna().all() and set(table.review) == {"yes"}
    assert all("none: two images of ED" in reasons.split("; ") for reasons in table.reasons)


def test_scans_of_one_name_are_kept_apart(mri_run, tmp_path):
    """The first is the study's; a cine is one by itself."""
    save(tmp_path / "in" / "x_ED.nii", stack(13))
    save(tmp_path / "in" / "x_ED.nii.gz", stack(12))
    save(tmp_path / "in" / "x_ES.nii.gz", stack(9))
    save(tmp_path / "in" / "x.nii.gz", np.stack([stack(14), stack(8)]))
    write_stack(tmp_path / "in" / "x", stored(stack(11)[None]), spacing=PLACE)
    save(tmp_path / "in" / "x_2.nii.gz", stack(10))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert sorted(table.index) == ["x", "x_2", "x_3", "x_ED", "x_ED_2", "x_ES"]
    masks = list((tmp_path / "out").glob("*.nii*"))
    assert len(masks) == 6
    assert table.lv_ef_percent[["x", "x_ED", "x_ES"]].notna().all()
    assert table.lv_ef_percent["x_ED"] == table.lv_ef_percent["x_ES"]


def test_an_interrupted_call_goes_on(mri_run, tmp_path, monkeypatch, capsys):
    for k in range(4):
        save(tmp_path / "in" / f"scan{k}.nii.gz", stack(10 + k))
    asked, segment = [], folder._predict_scan

    def interrupted(ensemble, files, *others):
        asked.append(files.name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return segment(ensemble, files, *others)

    monkeypatch.setattr(folder, "_predict_scan", interrupted)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 130
    save(tmp_path / "in" / "scan1.nii.gz", stack(16))  # changed meanwhile
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    assert asked == ["scan0", "scan1", "scan2", "scan1", "scan2", "scan3"]
    table = summary(tmp_path / "out")
    assert table.lv_ml["scan1"] == pytest.approx(of(stack(16)), abs=0.01)
    assert len(table) == 4 and not list((tmp_path / "out").glob(".*"))
    # Another call with other wishes does not take over what was left undone.
    asked[:] = [0, 0]
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 130
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--overlay") == 0
    assert len(list((tmp_path / "out").glob("*_overlay.png"))) == 4


def test_what_failed_before_is_tried_again_alone(mri_run, tmp_path, monkeypatch):
    for k in range(3):
        save(tmp_path / "in" / f"scan{k}.nii.gz", stack(10 + k))
    good = (tmp_path / "in" / "scan1.nii.gz").read_bytes()
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--uncertainty") == 0
    broken(tmp_path / "in" / "scan1.nii.gz")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--uncertainty") == 1
    assert not list((tmp_path / "out").glob("scan1*"))  # nothing of the earlier call stays
    assert summary(tmp_path / "out").lv_ml.isna().tolist() == [False, True, False]
    (tmp_path / "in" / "scan1.nii.gz").write_bytes(good)
    asked, segment = [], folder._predict_scan
    monkeypatch.setattr(
        folder, "_predict_scan", lambda e, f, *more: asked.append(f.name) or segment(e, f, *more)
    )
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--uncertainty") == 0
    assert asked == ["scan1"]


def test_another_folder_is_another_call(mri_run, tmp_path, monkeypatch):
    for root, radius in (("a", 10), ("b", 14)):
        save(tmp_path / root / "scan.nii", stack(radius))
        os.utime(tmp_path / root / "scan.nii", ns=(0, 0))
    save(tmp_path / "a" / "z.nii", stack(10))
    broken(tmp_path / "a" / "z.nii")
    assert predict(mri_run, tmp_path / "a", tmp_path / "out") == 1  # remembers what it has done
    assert predict(mri_run, tmp_path / "b", tmp_path / "out") == 0
    assert summary(tmp_path / "out").lv_ml["scan"] == pytest.approx(of(stack(14)), abs=0.01)


def test_an_unforeseen_failure_is_one_scans(mri_run, tmp_path, monkeypatch, capsys):
    for k in range(2):
        save(tmp_path / "in" / f"scan{k}.nii.gz", stack(10))
    measure = folder.measure

    def fails(scan, *others):
        if scan.files.name == "scan0":
            raise ZeroDivisionError("CANARY^NAME")
        return measure(scan, *others)

    monkeypatch.setattr(folder, "measure", fails)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "scan0.nii.gz: ZeroDivisionError in test_folders.py" in error
    assert "CANARY" not in error + (tmp_path / "out" / "summary.csv").read_text()


def test_results_are_no_images_and_images_are_not_overwritten(mri_run, tmp_path, capsys):
    save(tmp_path / "in" / "a.nii.gz", stack(12))
    for output in ("out", "out", "more"):
        assert predict(mri_run, tmp_path / "in", tmp_path / "in" / output, "--members") == 0
        assert summary(tmp_path / "in" / output).index.tolist() == ["a"]
    assert "are passed over" in capsys.readouterr().err
    assert predict(mri_run, tmp_path / "in", tmp_path / "in") == 2
    save(tmp_path / "other" / "a.nii.gz", stack(9))
    before = (tmp_path / "other" / "a.nii.gz").read_bytes()
    assert predict(mri_run, tmp_path / "in" / "a.nii.gz", tmp_path / "other") == 2
    assert (tmp_path / "other" / "a.nii.gz").read_bytes() == before
    assert "no result of" in capsys.readouterr().err


def test_odd_names_and_files(mri_run, tmp_path):
    save(tmp_path / "in" / "A.NII.GZ".lower(), stack(12)).rename(tmp_path / "in" / "A.NII.GZ")
    save(tmp_path / "in" / "two\nlines.nii.gz", stack(12))
    save(tmp_path / "in" / ".cache" / "b.nii.gz", stack(12))
    (tmp_path / "in" / "unpacked.nii").mkdir()
    (tmp_path / "in" / ".nii.gz").touch()
    save(tmp_path / "in" / "p_frame01.nii.gz", stack(12))
    (tmp_path / "in" / "Info.cfg").write_bytes("ED: 1\nName: Müller\n".encode("latin-1"))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    assert sorted(summary(tmp_path / "out").index) == ["A", "p_frame01", "two\nlines"]


def test_what_is_no_input_is_answered(mri_run, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "empty", "no image found"),
        (tmp_path / "notes.txt", "neither NIfTI"),
        (tmp_path / "nowhere", "no such file or folder"),
    ):
        assert predict(mri_run, path, tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert words in error and str(path) in error
    assert not (tmp_path / "out").exists()


def test_names_say_what_belongs_together(tmp_path):
    for name in (
        "patient0001_2CH_ED.nii.gz",
        "patient0001_2CH_ED_gt.nii.gz",
        "patient0001_4CH_half_sequence.nii.gz",
        "patient002_4d.nii.gz",
        "patient003_frame01.nii.gz",
        ".hidden.nii.gz",
    ):
        (tmp_path / name).touch()
    places = {s.name: (s.study, s.view, s.phase) for s in find_scans(tmp_path)}
    assert places == {
        "patient0001_2CH_ED": ("patient0001", "2CH", "ED"),
        "patient0001_4CH_half_sequence": ("patient0001_half_sequence", "4CH", ""),
        "patient002_4d": ("patient002_4d", "", ""),
        "patient003_frame01": ("patient003_frame01", "", ""),  # no Info.cfg says which
    }


def test_info_says_what_a_run_expects(mri_run, capsys):
    assert main(["info", str(mri_run)]) == 0
    said = capsys.readouterr().out
    assert "short-axis cine MRI" in said and "96 x 96 mm" in said and "1 RV" in said
