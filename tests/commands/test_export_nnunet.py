"""`export-nnunet`: where a dataset goes, that it appears whole, and what is refused in one line."""

import json
import re

import pytest

from cardiac_seg.__main__ import main
from cardiac_seg.data import nnunet
from cardiac_seg.data.split import fold_patients


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)


def refused(capsys, *argv) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    assert main(["export-nnunet", *map(str, argv)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_dataset_with_the_folds_of_the_run(prepared, tmp_path, capsys):
    run, data, _ = prepared(stacking__scheme="both")
    assert (
        main(["export-nnunet", str(run.folder), "--id", "27", "--to", str(tmp_path / "raw")]) == 0
    )
    out, err = capsys.readouterr()
    folder = tmp_path / "raw" / "Dataset027_ACDC"
    assert f"{folder}: 16 cases; nnU-Net's fold k: 0 is fold0, 1 is fold1, 2 is full" in err
    assert "nnUNetv2_plan_and_preprocess -d 27 " in out
    splits, split = json.loads((folder / "splits_final.json").read_text()), run.split()
    for entry, fold in zip(splits, ("fold0", "fold1", "full"), strict=True):
        of_names = [{name.rsplit("_", 1)[0] for name in entry[key]} for key in ("train", "val")]
        assert of_names == list(fold_patients(split, fold, "both"))
    tested = set(split.patient[split.subset == "test"])
    assert {p.name[:10] for p in (folder / "imagesTs").iterdir()} == tested
    assert {p.name[:10] for p in (folder / "labelsTs").iterdir()} == tested
    known = {name for entry in splits for name in (*entry["train"], *entry["val"])}
    assert {p.name.removesuffix(".nii.gz") for p in (folder / "labelsTr").iterdir()} == known
    assert len(known) == json.loads((folder / "dataset.json").read_text())["numTraining"]


def test_it_goes_where_nnunet_looks_or_here(prepared, tmp_path, monkeypatch):
    run, _, _ = prepared()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["export-nnunet", str(run.folder), "--id", "1"]) == 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["Dataset001_ACDC"]
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    assert main(["export-nnunet", str(run.folder), "--id", "1"]) == 0
    assert (tmp_path / "raw" / "Dataset001_ACDC" / "dataset.json").is_file()


def test_an_existing_dataset_and_a_second_one_of_its_number_are_refused(prepared, tmp_path, capsys):
    run, _, _ = prepared()
    (tmp_path / "Dataset027_ACDC").mkdir()
    (tmp_path / "Dataset028_Heart").mkdir()
    there = refused(capsys, run.folder, "--id", 27, "--to", tmp_path)
    assert re.search("Dataset027_ACDC: exists already; remove it, or give another --id", there)
    assert "Dataset028_Heart: has the number 28" in refused(
        capsys, run.folder, "--id", 28, "--to", tmp_path
    )
    assert not list((tmp_path / "Dataset027_ACDC").iterdir())
    assert not (tmp_path / "Dataset028_ACDC").exists()


def test_bad_numbers_and_runs_are_refused_and_write_nothing(prepared, tmp_path, capsys):
    run, _, _ = prepared()
    to = ("--to", tmp_path / "raw")
    assert "--id: 1000; expected 0 to 999" in refused(capsys, run.folder, "--id", 1000, *to)
    assert "not a run directory" in refused(capsys, tmp_path / "nowhere", "--id", 1, *to)
    run.update_manifest(dataset={"fingerprint": "of other data"})
    assert "the data changed" in refused(capsys, run.folder, "--id", 1, *to)
    run.update_manifest(stages={"prepare": {"done": False}})
    assert "--stage prepare first" in refused(capsys, run.folder, "--id", 1, *to)
    run.update_manifest(exported=True)
    assert "exported for prediction only" in refused(capsys, run.folder, "--id", 1, *to)
    assert not (tmp_path / "raw").exists()


def test_a_split_that_lacks_a_patient_is_refused(prepared, tmp_path, capsys):
    run, _, _ = prepared()
    path = run.folder / "split.csv"
    path.write_text("".join(line for line in path.open() if not line.startswith("patient003")))
    said = refused(capsys, run.folder, "--id", 1, "--to", tmp_path / "raw")
    assert "split.csv: lacks patient003 (1 such patients)" in said


def test_what_fails_half_way_leaves_nothing(prepared, tmp_path, monkeypatch, capsys):
    run, _, _ = prepared()

    def full(path, values):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(nnunet, "write_json", full)
    said = refused(capsys, run.folder, "--id", 1, "--to", tmp_path / "raw")
    assert "cannot be written (No space left on device)" in said
    assert not list((tmp_path / "raw").iterdir())
