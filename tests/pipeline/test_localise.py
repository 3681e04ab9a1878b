"""The table of where network grids lie."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.grid.field import Field
from cardiac_seg.members.seen import read_seen, write_seen
from cardiac_seg.pipeline.localise import Located, read_fields, train_locator, write_fields
from cardiac_seg.pipeline.train import train_members
from cardiac_seg.system.errors import UserError
from tests.support.stacking_runs import cache_of_small, set_up  # noqa: F401  a fixture


def run_at(folder):
    settings = Preprocess(spacing=2.0, size=(64, 64), field="heart")
    return SimpleNamespace(
        fields=folder / "fields.csv",
        config=SimpleNamespace(preprocess=settings),
        dataset=SimpleNamespace(num_classes=4),
    )


def test_grids_in_the_middle_of_the_image_need_no_table(tmp_path):
    run = run_at(tmp_path)
    files = [SimpleNamespace(name="a", patient="a")]
    for _ in range(2):
        write_fields(run, {"a": Located(None, "full", final=True)}, files)
        assert read_fields(run) == {}


def test_places_are_read_as_they_were_written(mri_root, tmp_path, monkeypatch):
    run, files = run_at(tmp_path), DATASETS["acdc"].find(mri_root, [], ["ED", "ES"])[:3]
    first = Located(Field((3, -4, 80, 90), (64, 64)), "fold0+fold1")
    places = {files[0].name: first}
    write_fields(run, places, files)
    assert read_fields(run) == places
    moved = Located(Field((9, 9, 80, 90), (96, 64)), "full", final=True, moved=True)
    places |= {files[2].name: moved}
    write_fields(run, places, files)
    assert read_fields(run) == places
    # What is known of a place is not looked up again.
    monkeypatch.setattr("cardiac_seg.pipeline.localise.read_case", None)
    write_fields(run, places, files)
    assert read_fields(run) == places


def test_the_table_says_how_far_the_field_is_from_the_heart(mri_root, tmp_path, monkeypatch):
    label = np.zeros((1, 100, 120), np.uint8)
    label[:, 40:60, 40:60] = 1
    case = SimpleNamespace(reference=label, spacing=(8.0, 1.0, 2.0))
    monkeypatch.setattr("cardiac_seg.pipeline.localise.read_case", lambda *_: case)
    run = run_at(tmp_path)
    place = Located(Field((45, 14, 64, 64), (64, 64)), "full")  # middle: row 77, column 46
    write_fields(run, {"1": place}, [SimpleNamespace(name="1", patient="1")])
    (row,) = (run.fields.read_text().splitlines())[1:]
    names = run.fields.read_text().splitlines()[0].split(",")
    found = dict(zip(names, row.split(","), strict=True))
    assert (float(found["heart_row_mm"]), float(found["heart_column_mm"])) == (27.0, -28.0)
    assert float(found["error_mm"]) == round(float(np.hypot(27, 8)), 2)
    assert float(found["reference_beyond_percent"]) == 25.0  # rows 40 to 44 of 40 to 59
    monkeypatch.setattr("cardiac_seg.pipeline.localise.read_case", None)
    write_fields(run, {"1": place}, [SimpleNamespace(name="1", patient="1")])  # a number as name


@pytest.fixture
def heart_run(mri_root, cache_of_small, tmp_path, monkeypatch):  # noqa: F811
    """A run whose locators are files, and the patients that each was trained on."""
    run, data, _ = set_up(
        tmp_path, mri_root, cache_of_small, monkeypatch, preprocess__field="heart"
    )
    seen = {}

    def train(path, stacks, seed, patients):
        if not path.is_file():
            seen[path.parent.name] = len(list(stacks()))
            write_seen(path, patients)

    monkeypatch.setattr("cardiac_seg.members.locator.train_locator", train)
    return run, data, seen


def test_a_locator_is_trained_on_its_folds_patients_alone(heart_run):
    run, data, seen = heart_run
    train_locator(run, data.files, "full")
    folds = run.config.stacking.model_copy(update={"scheme": "out_of_fold"})
    in_folds = replace(run, config=run.config.model_copy(update={"stacking": folds}))
    train_locator(in_folds, data.files, "fold0")
    split = run.split()
    named = {"acdc (phantom)": frozenset(split.patient[split.subset == "train"])}
    assert read_seen(run.locator("full")) == named
    assert seen["full"] == 2 * (split.subset == "train").sum()  # ED and ES
    assert seen["fold0"] == 2 * ((split.subset != "test") & (split.fold != 0)).sum()


def test_a_damaged_locator_is_refused(heart_run):
    run, data, _ = heart_run
    train_locator(run, data.files, "full")
    run.locator("full").write_bytes(b"another")
    with pytest.raises(UserError, match=r"locator\.keras: damaged or of another run"):
        train_locator(run, data.files, "full")


def test_another_locator_makes_new_maps(heart_run, monkeypatch):
    run, data, _ = heart_run
    run.map("x").parent.mkdir()
    run.map("x").write_bytes(b"a map of nobody knows which fold")
    run.fields.write_text("case")
    train_locator(run, data.files, "full")

    class Trained:
        name = "unet_advanced"

        def is_trained(self, fold):
            return True

        def train(self, fold, training, validation):
            return {}

        def files(self, fold):
            return []

    monkeypatch.setattr("cardiac_seg.pipeline.train.trained_members", lambda *_: [Trained()])
    monkeypatch.setattr("cardiac_seg.pipeline.train.training_cases", lambda *_: (None, None))
    train_members(run, data)
    assert run.map("x").is_file()  # the locator is there: nothing is forgotten
    run.locator("full").unlink()
    train_members(run, data)
    assert not run.map("x").exists() and not run.fields.exists()
    assert run.locator("full").is_file()
