"""Stacking on maps of stand-in networks: who is fitted on what, resume, choice, bad input."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.data.split import fold_parts, part_patients
from cardiac_seg.members.maps import CaseMaps, read_maps, write_maps
from cardiac_seg.metrics.expected_dice import expected_dice
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.pipeline import stack, stages
from cardiac_seg.pipeline.evaluate import Scores
from cardiac_seg.pipeline.maps import development_files, map_cases
from cardiac_seg.run.meta_folder import final_method, methods_of, read_combiner, read_steps
from cardiac_seg.run.open import join
from cardiac_seg.system.errors import UserError
from tests.support.stacking_runs import MEMORISED


def development(run, files, cache):
    return development_files(run, files, cache)


@pytest.mark.parametrize("scheme", ["holdout", "out_of_fold"])
def test_no_training_image_of_a_network_reaches_the_learners(prepared, scheme):
    run, files, cache, asked = prepared(stacking__scheme=scheme, stacking__learners=["logistic"])
    stages.stack(run, files, cache)
    # By construction: each network was asked for patients it had not seen, and all were covered.
    assert asked
    for part, patient in set(asked):
        assert patient not in part_patients(run.split(), part, scheme)[0]
    stacked = set(run.split().patient[run.split().fold >= 0])
    assert {patient for _, patient in asked} == stacked
    assert {part for part, _ in asked} == set(fold_parts(run.config))
    # By canary: nothing that a network knows by heart is among the pixels fitted on.
    samples = stack.draw_samples(run, development(run, files, cache))
    assert {name.split("_")[0] for name in samples} == stacked
    assert all((sample.probabilities < MEMORISED).all() for sample in samples.values())


def test_the_canary_sings(prepared):
    # The same check fails where a network's own training images are let in.
    run, files, cache, _ = prepared()
    part = "full"
    trained_on, _ = part_patients(run.split(), part, "holdout")
    cases = cache.of_patients(trained_on)
    map_cases(run, cache, cases, [part], part)
    maps = read_maps(run.map(cases[0].name), list(MEMBERS))
    assert (maps.members["unet_advanced"] == MEMORISED).any()
    known = [file for file in files if file.patient in trained_on]
    with pytest.raises(UserError, match=f"trained on {known[0].patient}"):
        stack.draw_samples(run, known)


def test_each_fold_is_scored_by_learners_of_the_others(prepared, monkeypatch):
    run, files, cache, _ = prepared(stacking__learners=["weighted_mean"])
    fitted = []
    fit = stack.fit_combiner

    def spy(run, files, samples, names, keep=False):
        fitted.append({file.patient for file in files})
        return fit(run, files, samples, names, keep)

    monkeypatch.setattr(stack, "fit_combiner", spy)
    monkeypatch.setattr(stages, "fit_combiner", spy)
    stages.stack(run, files, cache)
    folds = run.split().query("fold >= 0").groupby("fold").patient.apply(set)
    assert fitted == [folds[1], folds[0], folds[0] | folds[1]]
    for fold in (0, 1):
        table = pd.read_csv(run.meta / "cross_fit" / f"fold{fold}.csv")
        assert set(table.patient) == folds[fold]


def test_an_interrupted_stack_goes_on_and_ends_the_same(prepared, monkeypatch, tmp_path):
    run, files, cache, asked = prepared()
    stages.stack(run, files, cache)
    whole = shutil.copytree(run.folder, tmp_path / "whole")
    run.forget_stacking()
    shutil.rmtree(run.folder / "maps")

    fit, calls = stack.fit_learner, []

    def interrupted(*args):
        calls.append(args[0])
        if len(calls) == 14:  # in the last of three fits of six learners
            raise KeyboardInterrupt
        return fit(*args)

    monkeypatch.setattr(stack, "fit_learner", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stages.stack(run, files, cache)
    assert not run.is_done("stack")
    asked.clear()
    stages.stack(run, files, cache)
    assert not asked  # maps are not made twice
    assert len(calls) == 14 + 5  # neither are folds and the one learner that was finished
    for name in ("choice.json", "interpretation.json", "temperature.json", "weighted_mean.json"):
        assert (run.meta / name).read_text() == (whole / "meta" / name).read_text()
    for folder in (run.folder, whole):
        assert len(list((folder / "meta").glob("*.skops"))) == 6
    maps = read_maps(next((run.folder / "maps").iterdir()), list(MEMBERS))
    again = join(run.config, whole)
    for method in methods_of(run):
        ((_, one, _),) = read_combiner(run, [method]).combine(maps.members, maps.image, [method])
        ((_, two, _),) = read_combiner(again, [method]).combine(maps.members, maps.image, [method])
        np.testing.assert_array_equal(one, two)


def test_lost_maps_are_made_again(prepared):
    run, files, cache, _ = prepared(stacking__learners=["weighted_mean"])
    stages.stack(run, files, cache)
    some = next((run.folder / "maps").iterdir())
    some.unlink()
    run.forget_stacking()
    stages.stack(run, files, cache)
    assert some.is_file()


def test_learners_help_where_the_members_err_differently(prepared):
    run, files, cache, _ = prepared()
    stages.stack(run, files, cache)
    choice = json.loads((run.meta / "choice.json").read_text())
    dice = choice["development_dice"]
    assert choice["by"] == "development"
    assert dice[choice["method"]] == max(dice[m] for m in dice if m not in MEMBERS) > dice["mean"]
    weights = json.loads((run.meta / "weighted_mean.json").read_text())
    assert weights["unet_advanced"] > weights["deep_unet_improved"]
    notes = json.loads((run.meta / "interpretation.json").read_text())
    changes = notes["random_forest"]["changes"]
    assert changes["better"] + changes["worse"] <= changes["changed"] <= changes["pixels"]
    # All pixels of the development cases, once.
    labels = [read_maps(p, []).label.size for p in (run.folder / "maps").iterdir()]
    assert changes["pixels"] == sum(labels)
    assert -1 <= notes["deep_unet_improved"]["error_correlation"] <= 1
    groups = ["probability", "entropy", "confidence", "margin", "slices"]
    assert list(notes["random_forest"]["importance"]) == groups
    calibration = notes["random_forest"]["calibration"]
    np.testing.assert_allclose(calibration["predicted"], calibration["observed"], atol=0.05)
    features = json.loads((run.meta / "features.json").read_text())
    assert features["all"][: len(features["core"])] == features["core"]


def test_the_config_may_choose_and_may_leave_out(prepared):
    run, files, cache, _ = prepared(
        stacking__choose="mean", stacking__temperature=False, stacking__learners=["logistic"]
    )
    stages.stack(run, files, cache)
    assert final_method(run) == "mean"
    assert json.loads((run.meta / "temperature.json").read_text()) == {}
    assert methods_of(run) == [*MEMBERS, "mean", "logistic_core", "logistic"]


def test_a_changed_stacking_section_is_fitted_anew_on_the_same_maps(prepared):
    run, files, cache, asked = prepared(stacking__learners=["weighted_mean"])
    stages.stack(run, files, cache)
    before = {p.name: p.stat().st_mtime_ns for p in (run.folder / "maps").iterdir()}
    run, files, cache, asked = prepared(stacking__learners=["logistic"])
    assert not run.is_done("stack") and not (run.meta / "choice.json").exists()
    stages.stack(run, files, cache)
    assert not asked
    assert before == {p.name: p.stat().st_mtime_ns for p in (run.folder / "maps").iterdir()}
    assert (run.meta / "logistic.skops").is_file()
    prepared(stacking__learners=["weighted_mean"])
    assert not any(name.startswith("meta/") for name in run.manifest["models"])
    with pytest.raises(UserError, match=r"stacking\.scheme: holdout there, out_of_fold here"):
        prepared(stacking__scheme="out_of_fold")


def test_a_class_missing_from_the_maps_is_named(prepared):
    run, files, cache, _ = prepared(stacking__learners=["logistic"])
    stages.stack(run, files, cache)
    for path in (run.folder / "maps").iterdir():
        maps = read_maps(path, list(MEMBERS))
        label = np.where(maps.label == 1, 0, maps.label).astype(np.uint8)
        write_maps(path, CaseMaps(maps.members, maps.image, maps.part, label))
    run.forget_stacking()
    with pytest.raises(UserError, match="no RV in any of the 2 development cases outside fold 0"):
        stages.stack(run, files, cache)
    assert not list(run.meta.glob("*.skops"))


def test_a_learner_of_another_feature_set_is_refused(prepared):
    run, files, cache, _ = prepared(stacking__learners=["logistic"])
    stages.stack(run, files, cache)
    shutil.copy(run.meta / "logistic_core.skops", run.meta / "logistic.skops")
    with pytest.raises(UserError, match=r"logistic\.skops: damaged or of another run"):
        read_combiner(run, ["logistic"])
    (run.meta / "logistic.skops").unlink()
    with pytest.raises(UserError, match=r"logistic\.skops: missing"):
        read_combiner(run, ["logistic"])


def test_temperatures_of_other_members_are_refused(prepared):
    run, files, cache, _ = prepared(stacking__learners=["logistic"])
    stages.stack(run, files, cache)
    (run.meta / "temperature.json").write_text('{"another": 1.0}')
    with pytest.raises(UserError, match=r"temperature\.json: expected one number for each"):
        read_combiner(run, ["logistic"])


@pytest.mark.parametrize("content", ['{"method": "oracle"}', "[]", "{"])
def test_a_damaged_choice_is_named(prepared, content):
    run, *_ = prepared()
    run.meta.mkdir()
    (run.meta / "choice.json").write_text(content)
    with pytest.raises(UserError, match=r"choice\.json"):
        final_method(run)


def test_a_damaged_fold_is_named(prepared):
    run, files, cache, _ = prepared(stacking__learners=["weighted_mean"])
    stages.stack(run, files, cache)
    path = run.meta / "cross_fit" / "fold1.csv"
    for damage in (lambda: path.write_text("case,method\n"), path.unlink):
        damage()
        with pytest.raises(UserError, match=r"fold1\.(csv|json): .*stack"):
            stack.cross_fitted_scores(run)


def test_lost_folds_are_answered(prepared):
    run, files, cache, _ = prepared(stacking__learners=["logistic"])
    table = run.split()
    table.loc[table.fold == 1, "fold"] = -1
    table.to_csv(run.folder / "split.csv", index=False)
    with pytest.raises(UserError, match=r"split\.csv: the development patients are in 2 folds"):
        stages.stack(run, files, cache)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"heart": [], "largest_component": [9], "fill_holes": []}']
)
def test_damaged_postprocessing_is_named(prepared, content):
    run, *_ = prepared()
    run.meta.mkdir()
    (run.meta / "postprocessing.json").write_text(content)
    with pytest.raises(UserError, match=r"postprocessing\.json: expected lists of labels"):
        read_steps(run)


def test_learners_without_a_pixel_to_act_on_are_answered(prepared):
    run, files, cache, _ = prepared(stacking__act_below=0.01)
    with pytest.raises(UserError, match=r"stacking\.act_below: 0\.01 leaves the learners 0 pixels"):
        stages.stack(run, files, cache)


def test_the_folder_is_the_only_thing_a_stack_writes(prepared):
    run, files, cache, _ = prepared(stacking__learners=["weighted_mean"])
    stages.stack(run, files, cache)
    assert not list(Path(run.folder).rglob(".partial*"))
    assert not (run.folder / "masks").exists()  # test cases are not touched
    tested = set(run.split().patient[run.split().subset == "test"])
    assert tested.isdisjoint(p.name.split("_")[0] for p in (run.folder / "maps").iterdir())


def gates_of(run, monkeypatch, dice, wanted, expected):
    """`fit_thresholds` for one learner from the Dice of two folds at .9, .95, .98, .99."""
    monkeypatch.setattr(stack, "THRESHOLDS", (0.9, 0.95, 0.98))
    monkeypatch.setattr(stack, "folds_of", lambda run, files: {0: [], 1: []})
    evidence = {"cases": 2, "pixels": 1000, "acted_on": [10, 20, 30, 50]}
    (run.meta / "cross_fit").mkdir(parents=True, exist_ok=True)
    for fold in (0, 1):
        sums = {"dice": dice, "expected_dice": expected}
        sums = {key: [2 * value for value in values] for key, values in sums.items()}
        thresholds = {"random_forest": evidence | sums}
        (run.meta / "cross_fit" / f"fold{fold}.json").write_text(
            json.dumps({"thresholds": thresholds})
        )
    stacking_section = run.config.stacking.model_copy(update={"threshold": wanted})
    config = run.config.model_copy(update={"stacking": stacking_section})
    return stack.fit_thresholds(dataclasses.replace(run, config=config), [])["random_forest"]


SAME = [0.9, 0.9, 0.9, 0.9]


@pytest.mark.parametrize(
    ("dice", "wanted", "expected", "below"),
    [
        ([0.8, 0.8996, 0.8999, 0.9], "probabilities", SAME, 0.95),
        ([0.91, 0.9004, 0.9001, 0.9], "probabilities", SAME, 0.95),  # a gain is a change too
        ([0.9001, 0.88, 0.8999, 0.9], "probabilities", SAME, 0.98),  # .9 only by chance
        (SAME, "probabilities", [0.95, 0.903, 0.901, 0.9], 0.98),  # surer than it should be
        (SAME, "masks", [0.95, 0.903, 0.901, 0.9], 0.9),
        (SAME, "none", SAME, 0.99),
        (SAME, "probabilities", SAME, 0.9),
    ],
)
def test_a_gate_is_the_lowest_that_keeps_what_is_wanted(
    prepared, monkeypatch, dice, wanted, expected, below
):
    run, *_ = prepared()
    threshold = gates_of(run, monkeypatch, dice, wanted, expected)
    assert threshold["below"] == below and threshold["share_before"] == 0.05
    assert abs(threshold["dice_change"]) <= 0.0005
    assert threshold["share"] == {0.9: 0.01, 0.95: 0.02, 0.98: 0.03, 0.99: 0.05}[below]


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ([0.03, 0.03, 0.02, 0.02], "logistic"),
        (
            [0.2, -0.05, 0.01, -0.03],
            "calibrated_mean",
        ),  # one patient's gain
        ([-0.01, -0.01, -0.02, -0.01], "calibrated_mean"),
    ],
)
def test_a_combination_must_be_shown_to_be_better_than_the_mean(
    prepared, monkeypatch, gains, chosen
):
    run, *_ = prepared()
    rows = [
        {
            "case": f"p{i}",
            "patient": f"p{i}",
            "method": method,
            "structure": structure,
            "dice": 0.7 + g,
        }
        for method in methods_of(run)
        for structure in run.dataset.structures
        for i, g in enumerate(gains if method == "logistic" else [0.0] * len(gains))
    ]
    cases = pd.DataFrame(rows).assign(expected_dice=0.7)
    pooled = {method: np.eye(4, dtype=np.int64) for method in methods_of(run)}
    monkeypatch.setattr(stack, "cross_fitted_scores", lambda _: Scores(cases, pooled, {}))
    assert stack.choose_method(run, {})["method"] == chosen


def test_what_a_gate_leaves_of_the_optimism_is_known(prepared):
    run, files, cache, _ = prepared()
    stages.stack(run, files, cache)
    none = dict.fromkeys(("dice_change", "expected_dice_change"), 0.0)
    method = stack.choose_method(run, {})["method"]
    before = stack.choose_method(run, {method: none})["predicted_dice"]
    threshold = {method: {"dice_change": 0.001, "expected_dice_change": 0.02}}
    after = stack.choose_method(run, threshold)["predicted_dice"]
    assert after["optimism"] == pytest.approx(before["optimism"] + 0.019)


def test_gated_scores_are_those_of_the_gated_masks():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (2, 12, 10))
    rest, learner = (rng.dirichlet([0.4] * 3, label.shape) for _ in range(2))
    confidence = rng.uniform(1 / 3, 1, label.shape)  # the mean's; the rest may be less sure
    thresholds = [0.5, 0.7, 0.9, 0.99]
    learner = np.where((confidence < thresholds[-1])[..., None], learner, rest)
    scores = stack.threshold_scores(label, confidence, rest, learner, thresholds)
    assert scores["pixels"] == label.size
    for k, threshold in enumerate(thresholds):
        acted = confidence < threshold
        gated = np.where(acted[..., None], learner, rest)
        counts = confusion(label, gated.argmax(-1), 3)
        assert scores["dice"][k] == pytest.approx(np.mean(dice_from_confusion(counts)[1:]))
        assert scores["expected_dice"][k] == pytest.approx(expected_dice(gated).mean())
        assert scores["acted_on"][k] == acted.sum()


@pytest.mark.parametrize("content", ["{}", "[]", '{"logistic": {"below": 2}, "logistic_core": {}}'])
def test_damaged_gates_are_named(prepared, content):
    run, files, cache, _ = prepared(stacking__learners=["logistic"])
    stages.stack(run, files, cache)
    (run.meta / "thresholds.json").write_text(content)
    with pytest.raises(UserError, match=r"thresholds\.json: .*stack again"):
        read_combiner(run, ["logistic"])
