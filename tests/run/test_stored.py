"""The JSON files of a run: what is taken, and the one line that refuses the rest."""

import json
from pathlib import Path

import pytest

from cardiac_seg.run.stored import (
    Choice,
    Manifest,
    StoredSteps,
    Temperature,
    Threshold,
    checked,
    read,
)
from cardiac_seg.system.errors import UserError

FIT = {"optimism": 0.01, "review_below": 0.8}
STEPS = {"fill_holes": [], "heart": [2], "largest_component": [1, 3]}
REFUSED = [
    (Choice, {"method": "mean"}, "nothing at predicted_dice"),
    (Choice, {"method": ["mean"], "predicted_dice": FIT}, r"\['mean'\] at method"),
    (Choice, {"method": "mean", "predicted_dice": FIT | {"optimism": True}}, "True at pred"),
    (Choice, {"method": "mean", "predicted_dice": FIT | {"optimism": float("nan")}}, "nan at pred"),
    (Choice, [], r"\[\]; "),
    (dict[str, Temperature], {"a": 0}, "0 at a"),
    (dict[str, Temperature], {"a": float("inf")}, "inf at a"),
    (dict[str, Temperature], {"a": "1.0"}, "'1.0' at a"),
    (dict[str, Temperature], {"a": 10**400}, r"1000\d*\.\.\.\d+ at a"),
    (dict[str, Threshold], {"a": {"below": 1.5}}, r"1\.5 at a\.below"),
    (StoredSteps, STEPS | {"erode": [1]}, r"\[1\] at erode"),
    (StoredSteps, STEPS | {"heart": [True]}, r"True at heart\.0"),
    (StoredSteps, STEPS | {"heart": [0]}, r"0 at heart\.0"),
    (Manifest, {"stages": {"train": {"done": 1}}}, r"1 at stages\.train\.done"),
    (Manifest, {"models": {"a.keras": None}}, r"None at models\.a\.keras"),
    (Manifest, {"format": True}, "True at format"),
]


@pytest.mark.parametrize(("kind", "values", "found"), REFUSED)
def test_what_a_file_should_not_hold_is_named_in_one_line(kind, values, found):
    with pytest.raises(UserError, match=rf"^file\.json: expected this, found {found}.*do that$"):
        checked(kind, values, Path("file.json"), "this", "do that")


def test_a_value_as_long_as_a_book_is_cut(tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"a": "x" * 10**6}))
    with pytest.raises(UserError) as refusal:
        read(dict[str, Temperature], path, "this", "do that")
    assert len(str(refusal.value)) < 300


def test_a_whole_number_is_a_number(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"a": 1}')
    assert read(dict[str, Temperature], path, "", "") == {"a": 1.0}


def test_a_choice_of_format_1_is_read(tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"model": "tempered_mean", "quality": FIT, "more": 1}))
    choice = read(Choice, path, "", "")
    assert choice.method == "calibrated_mean"
    assert choice.predicted_dice.review_below == 0.8


def test_what_was_read_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Manifest().exported = True
