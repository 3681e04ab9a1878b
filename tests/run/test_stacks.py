"""The stacks of a run: an earlier one is kept, comes back without a fit, and survives a kill."""

import json
import os
import shutil
from pathlib import Path

import pytest

import train_ensemble
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.run import stacks
from cardiac_seg.run.describe import describe_run
from cardiac_seg.run.folder import Run
from cardiac_seg.run.open import at_work, join, open_run
from cardiac_seg.run.stacks import CHANGE, kept_stacks, replace_stack, switch_stack
from cardiac_seg.system.errors import UserError

SETTINGS = {"stacking__learners": ["weighted_mean"]}
FIXED = {
    "predict__checkpoint": "last",
    "train__early_stopping": 0,
    "train__reduce_lr": 0,
    **SETTINGS,
}


def content(folder):
    """Every file of a run but its log, as bytes by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("log.txt", "local.yaml")
    }


def fitted(run):
    """Puts files where a stack leaves them."""
    learner = run.config.stacking.learners[0]
    choice = {"method": learner, "predicted_dice": {"optimism": 0.0, "review_below": 0.5}}
    (run.meta / "cross_fit").mkdir(parents=True)
    (run.meta / "choice.json").write_text(json.dumps(choice))
    for name in (f"{learner}.skops", "cross_fit/fold0.csv"):
        (run.meta / name).write_text(f"{name} of {learner}")
    run.update_manifest(stages={"stack": {"done": True}}, models={f"meta/{learner}.skops": "1"})


def with_scores(run):
    """Puts files where an evaluation leaves them."""
    for name in ("metrics.json", "cases.csv", "test_cases.csv", "masks/mean/a", "measures/a.npz"):
        (run.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / name).write_text(f"{name} of {run.config.stacking.learners}")
    run.update_manifest(
        stages={"evaluate": {"done": True}}, combining={"mean": {"seconds_per_case": 1.0}}
    )


def of_stack(folder):
    """What belongs to a stack, wherever it lies."""
    files = content(folder)
    mine = ("meta", "metrics.json", "cases.csv", "test_cases.csv", "masks", "measures")
    return {name: data for name, data in files.items() if name.split("/")[0] in mine}


@pytest.fixture
def two(prepared):
    """A run with a stack in use and an earlier one that is kept, and what the earlier one was."""
    run, *_ = prepared(**SETTINGS)
    fitted(run)
    with_scores(run)
    before, manifest = of_stack(run.folder), run.manifest
    run, *_ = prepared(stacking__learners=["logistic"])
    fitted(run)
    with_scores(run)
    return run, before, manifest


def test_an_earlier_stack_is_kept_whole_and_comes_back_without_a_fit(two):
    run, before, manifest = two
    assert kept_stacks(run) == ["stack1"] and of_stack(run.stacks / "stack1") == before
    later, later_manifest = of_stack(run.folder), run.manifest
    assert any(name.startswith("meta/") for name in later_manifest.models)
    switch_stack(run, "stack1")
    run = open_run(run.folder)
    assert of_stack(run.folder) == before and run.config.stacking.learners == ["weighted_mean"]
    assert run.manifest.models == manifest.models and run.manifest.combining == manifest.combining
    assert run.manifest.stack == "stack1" and kept_stacks(run) == ["stack2"]
    assert run.is_done("stack") and run.is_done("evaluate")
    assert of_stack(run.stacks / "stack2") == later
    switch_stack(run, "stack2")
    run = open_run(run.folder)
    assert of_stack(run.folder) == later and run.manifest.models == later_manifest.models
    assert kept_stacks(run) == ["stack1"] and run.manifest.stack == "stack2"


def test_one_line_says_what_is_replaced_and_where_the_earlier_is_kept(prepared, monkeypatch):
    run, *_ = prepared(**SETTINGS)
    fitted(run)
    said = []
    monkeypatch.setattr(stacks.log, "info", lambda text, *values: said.append(text % values))
    prepared(stacking__learners=["logistic"])
    (line,) = [x for x in said if "stacked again" in x]
    assert "networks and maps are kept (stacking.learners: ['weighted_mean'] there" in line
    assert f"kept in stacks/stack1, train_ensemble.py --resume {run.folder} --stack stack1" in line


def test_an_unfinished_stack_is_not_kept(prepared):
    run, *_ = prepared(**SETTINGS)
    run.meta.mkdir()
    (run.meta / "postprocessing.json").write_text("{}")
    run, *_ = prepared(stacking__learners=["logistic"])
    assert not run.stacks.exists() and not run.meta.exists()


def test_names_are_given_and_kept(two):
    run, _, _ = two
    config = run.config.model_copy(
        update={"stacking": run.config.stacking.model_copy(update={"learners": ["random_forest"]})}
    )
    with pytest.raises(UserError, match=r"--stack stack1: .* has a stack of this name"):
        join(config, run.folder, "stack1")
    named = join(run.config, run.folder, "linear")
    assert named.manifest.stack == "linear"
    with pytest.raises(UserError, match="--stack linear: .* has a stack of this name"):
        join(config, run.folder, "linear")
    with pytest.raises(UserError, match="is named linear; leave --stack out"):
        join(run.config, run.folder, "other")
    again = join(config, run.folder, "forest")
    assert again.manifest.stack == "forest" and kept_stacks(again) == ["linear", "stack1"]
    assert join(config, run.folder, "forest").manifest.stack == "forest"
    with pytest.raises(UserError, match="keeps no stack of this name; kept: linear, stack1"):
        switch_stack(again, "nobody")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "a b", "mean", "meta", "x" * 65])
def test_a_bad_name_is_answered_in_one_line(config_file, tmp_path, capsys, name):
    for source in (["--config", str(config_file)], ["--resume", str(tmp_path)]):
        assert train_ensemble.main([*source, "--stack", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: --stack ")


class Killed:
    """Ends the process before the n-th time that something is changed on disk."""

    def __init__(self, patch, number):
        self.left = number
        for owner, name in (
            *((Path, n) for n in ("rename", "unlink", "rmdir")),
            *((stacks, n) for n in ("write_json", "write_text")),
            (stacks.shutil, "rmtree"),
            (Run, "update_manifest"),
        ):
            patch.setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, change):
        def counted(*args, **options):
            self.left -= 1
            if self.left == 0:
                os._exit(9)
            return change(*args, **options)

        return counted


def is_killed(change, number):
    """Whether the change, in a process of its own, is killed before its n-th step."""
    child = os.fork()
    if child == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                Killed(patch, number)
                change()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("what", ["replaced", "switched", "switched from an unfinished one"])
def test_a_change_that_is_killed_ends_in_one_of_the_two_states(two, tmp_path, what):
    run, _, _ = two
    learners = run.config.stacking.model_copy(update={"learners": ["random_forest"]})
    config = run.config.model_copy(update={"stacking": learners})
    if what == "switched from an unfinished one":
        run.update_manifest(stages={"stack": {"done": False}})

    def change(folder):
        if what == "replaced":
            replace_stack(open_run(folder), config, "forest", "why", remap=False)
        else:
            switch_stack(open_run(folder), "stack1")

    done = Path(shutil.copytree(run.folder, tmp_path / "done"))
    change(done)
    ends, number = [content(run.folder), content(done)], 1
    while True:
        folder = Path(shutil.copytree(run.folder, tmp_path / f"killed{number}"))
        killed = is_killed(lambda here=folder: change(here), number)
        if (folder / "stacks" / CHANGE).is_file():
            with pytest.raises(UserError, match="train_ensemble.py --resume .* brings it to its"):
                open_run(folder)
        with at_work(folder, beside_others=False):
            found = content(folder)
        # What is dropped, and nobody misses, may lie there until the next change.
        found = {k: v for k, v in found.items() if not k.startswith("stacks/.dropped")}
        assert found in ends, number
        shutil.rmtree(folder)
        if not killed:
            break
        number += 1
    assert number > 10 and found == ends[1]


def test_a_stack_of_other_networks_or_maps_does_not_come_back(two):
    run, _, _ = two
    path = run.stacks / "stack1" / "stack.json"
    record = json.loads(path.read_text())
    path.write_text(
        json.dumps(record | {"networks": {"models/unet_advanced/full/best.keras": "1"}})
    )
    with pytest.raises(UserError, match="stack1: of another models/unet_advanced/full/best.keras"):
        switch_stack(run, "stack1")
    path.write_text(json.dumps(record | {"mirror": "both"}))
    with pytest.raises(UserError, match=r"of maps with predict\.mirror: both, the run has none"):
        switch_stack(run, "stack1")
    path.write_text("[]")
    with pytest.raises(UserError, match=r"stack\.json: expected what the run wrote"):
        switch_stack(run, "stack1")


def test_info_lists_the_stacks(two):
    run, _, _ = two
    for folder, learner in ((run.folder, "logistic"), (run.stacks / "stack1", "weighted_mean")):
        scores = {"mean_foreground_dice": 0.91234, "dice_native_per_patient": {"LV": 0.9}}
        scores |= {"interval_95": {"mean_foreground_dice": None}}
        scores |= {"pooled_network_grid": {"confusion": [[1]]}}
        methods = ["unet_advanced", "deep_unet_improved", "mean", "calibrated_mean", learner]
        test = {"patients": 2, "methods": dict.fromkeys((*methods, "logistic_core"), scores)}
        metrics = {"dataset": "acdc", "phantom": True, "structures": ["LV"], "postprocessing": {}}
        metrics |= {"control": "mean", "final_method": learner, "chosen_by": "development"}
        metrics |= {"subsets": {"test": test}}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    lines = [x for x in describe_run(run.folder).splitlines() if x.startswith("stack  ")]
    settings = "holdout; learners {0}; features margin, slices; {0} in use, test Dice 0.9123"
    assert lines == [
        f"stack          (in use): {settings.format('logistic')}",
        f"stack          stack1: {settings.format('weighted_mean')}",
    ]
    (run.stacks / "stack1" / "metrics.json").unlink()
    assert describe_run(run.folder).count("weighted_mean in use, not scored") == 1


def test_more_patients_are_stacked_with_the_networks_in_use(prepared):
    run, data, _ = prepared(**FIXED)
    stack(run, data)
    run.update_manifest(stages={"train": {"done": True}})
    before, split = of_stack(run.folder), run.split()
    with pytest.raises(UserError, match=r"stacking\.scheme: holdout there, out_of_fold here"):
        prepared(**FIXED, stacking__scheme="out_of_fold")
    both, data, asked = prepared(
        **FIXED, stacking__scheme="both", stacking__fold_train={"epochs": 5}
    )
    assert not both.is_done("train") and not both.is_done("stack") and both.is_done("prepare")
    assert of_stack(both.stacks / "stack1") == before
    table = both.split()
    assert table.drop(columns="fold").equals(split.drop(columns="fold"))
    assert (table.fold[table.subset != "test"] >= 0).all()
    assert (table.fold[table.subset == "test"] == -1).all()
    maps = {path.name for path in (both.folder / "maps").iterdir()}
    stack(both, data)
    assert {fold for fold, _ in asked} == {"fold0", "fold1"}  # maps by the networks in use are kept
    assert maps < {path.name for path in (both.folder / "maps").iterdir()}
    with pytest.raises(UserError, match=r"stacking\.scheme: both there, holdout here"):
        prepared(**FIXED)
    # Back to the one before, as it was, with its folds and as trained as it was.
    switch_stack(both, "stack1")
    back = open_run(both.folder)
    assert of_stack(back.folder) == before and back.split().equals(split)
    assert back.config.stacking.scheme == "holdout" and back.is_done("train")
    (back.folder / "models" / "unet_advanced" / "fold0").mkdir(parents=True)
    with pytest.raises(UserError, match="trained with another stacking.fold_train"):
        prepared(**FIXED, stacking__scheme="both")


def test_a_split_made_for_both_at_once_is_the_same(prepared):
    run, *_ = prepared(**FIXED)
    grown, *_ = prepared(**FIXED, stacking__scheme="both")
    table = grown.split()
    shutil.rmtree(run.folder)
    fresh, *_ = prepared(**FIXED, stacking__scheme="both")
    assert fresh.split().equals(table)
