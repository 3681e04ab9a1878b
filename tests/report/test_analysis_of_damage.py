"""Damaged runs are refused by an analysis in one line."""

import json
import re

import pandas as pd
import pytest

from tests.support.analyses import edited, refused
from tests.support.finished_runs import quick, without_figures

pytestmark = pytest.mark.usefixtures("few_draws")


def mask_path(folder, method):
    path = pd.read_csv(folder / "test_cases.csv").path[1]
    return folder / "masks" / method / path


def foreign_value(array):
    array[0, 0] = 9
    return array


def unlink(name):
    return lambda folder: (folder / name).unlink()


def first_map(folder):
    return folder / "maps" / f"{pd.read_csv(folder / 'test_cases.csv').case[1]}.npz"


def without_control(folder):
    path = folder / "metrics.json"
    path.write_text(json.dumps({"subsets": {}}))


DAMAGE = {
    "unfinished": (unlink("metrics.json"), r"not finished \(no metrics\.json\).*--resume"),
    "not JSON": (lambda f: (f / "metrics.json").write_text("{"), r"metrics\.json: not valid JSON"),
    "of an earlier version": (without_control, r"metrics\.json: written by an earlier version"),
    "no run": (unlink("config.yaml"), r"not a run directory"),
    "no list of cases": (unlink("test_cases.csv"), r"test_cases\.csv: cannot be read .*--resume"),
    "a damaged list of cases": (
        lambda f: (f / "test_cases.csv").write_text("case,patient\n"),
        r"test_cases\.csv: .*--resume",
    ),
    "no choice": (unlink("meta/choice.json"), r"choice\.json: missing; .*--resume"),
    "no learner": (unlink("meta/logistic.skops"), r"logistic\.skops: missing"),
    "a map deleted": (lambda f: first_map(f).unlink(), r"2CH_ES\.npz: missing; .*--resume"),
    "a map damaged": (lambda f: first_map(f).write_bytes(b"PK"), r"2CH_ES\.npz: damaged"),
    "a reference deleted": (
        lambda f: mask_path(f, "reference").unlink(),
        r"masks/reference/.*2CH_ES\.nii\.gz: no such file",
    ),
    "a mask of another shape": (
        lambda f: edited(mask_path(f, "mean"), lambda a: a[:-1]),
        r"masks/mean/.*2CH_ES\.nii\.gz: shape .*--resume",
    ),
    "a mask of foreign values": (
        lambda f: edited(mask_path(f, "logistic"), foreign_value),
        r"masks/logistic/.*2CH_ES\.nii\.gz: .*9",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_one_line_that_names_the_file(what, copied, capsys):
    damage, message = DAMAGE[what]
    folder = copied(analysis=False)
    damage(folder)
    with quick():
        assert re.search(message, refused(capsys, folder))
    assert not (folder / "analysis" / "report.html").exists()


def test_a_mask_damaged_after_measuring_is_named_too(copied, capsys):
    folder = copied()
    for path in (folder / "masks" / "mean").rglob("*.nii.gz"):
        path.write_bytes(path.read_bytes()[:60])
    with without_figures():
        assert re.search(r"masks/mean/.*\.nii\.gz: not a readable", refused(capsys, folder))


def test_damage_found_by_another_process_is_one_line(copied, monkeypatch, capsys):
    folder = copied(analysis=False)
    path = mask_path(folder, "ensemble")
    path.write_bytes(path.read_bytes()[:60])
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    assert re.search(r"masks/ensemble/.*: not a readable NIfTI", refused(capsys, folder))


def test_an_output_that_cannot_be_written_is_named(echo, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with without_figures():
        line = refused(capsys, echo.folder, output=tmp_path / "file" / "out")
    assert str(tmp_path / "file") in line
