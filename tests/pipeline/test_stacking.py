"""Stacking on maps of stand-in networks: who is fitted on what, resume, choice, bad input."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.data.split import fold_patients, stacking_folds
from cardiac_seg.members.maps import Provenance, read_maps, write_maps
from cardiac_seg.meta import fit
from cardiac_seg.pipeline import cross_fit
from cardiac_seg.pipeline.development import development_files, draw_samples
from cardiac_seg.pipeline.maps import map_cases
from cardiac_seg.pipeline.scores import Scores, cases_with_maps
from cardiac_seg.pipeline.stack import mapped_as_in_use
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.run.meta_folder import final_method, methods_of, read_combiner, read_steps
from cardiac_seg.run.open import join
from cardiac_seg.run.provenance import read_case_maps
from cardiac_seg.system.errors import UserError
from tests.support.stacking_runs import MEMORISED


@pytest.mark.parametrize("scheme", ["holdout", "out_of_fold"])
def test_no_training_image_of_a_network_reaches_the_learners(prepared, scheme):
    run, data, asked = prepared(stacking__scheme=scheme, stacking__learners=["logistic"])
    stack(run, data)
    # By construction: each network was asked for patients it had not seen, and all were covered.
    assert asked
    for fold, patient in set(asked):
        assert patient not in fold_patients(run.split(), fold, scheme)[0]
    stacked = set(run.split().patient[run.split().fold >= 0])
    assert {patient for _, patient in asked} == stacked
    assert {fold for fold, _ in asked} == set(stacking_folds(run.config))
    # By canary: nothing that a network knows by heart is among the pixels fitted on.
    samples = draw_samples(run, development_files(run, data))
    assert {name.split("_")[0] for name in samples} == stacked
    assert all((sample.probabilities < MEMORISED).all() for sample in samples.values())


def test_the_canary_sings(prepared):
    # The same check fails where a network's own training images are let in.
    run, data, _ = prepared()
    trained_on, _ = fold_patients(run.split(), "full", "holdout")
    known = [file for file in data.files if file.patient in trained_on]
    map_cases(run, data, known, ["full"])
    maps = read_case_maps(run, known[0].name)
    assert (maps.probabilities["unet_advanced"] == MEMORISED).any()
    assert maps.maps["unet_advanced"].provenance == Provenance("full", frozenset(trained_on))
    with pytest.raises(UserError, match=f"trained on {known[0].patient}"):
        draw_samples(run, known)


def test_each_fold_is_scored_by_learners_of_the_others(prepared, monkeypatch):
    run, data, _ = prepared(stacking__learners=["weighted_mean"])
    fitted = []
    fit_cases = cross_fit.fit

    def spy(plain, settings, cases, *more):
        fitted.append({file.patient for file in cases.files})
        return fit_cases(plain, settings, cases, *more)

    monkeypatch.setattr(cross_fit, "fit", spy)
    stack(run, data)
    folds = run.split().query("fold >= 0").groupby("fold").patient.apply(set)
    assert fitted == [folds[1], folds[0], folds[0] | folds[1]]
    for fold in (0, 1):
        table = pd.read_csv(run.meta / "cross_fit" / f"fold{fold}.csv")
        assert set(table.patient) == folds[fold]


def test_an_interrupted_stack_goes_on_and_ends_the_same(prepared, monkeypatch, tmp_path):
    run, data, asked = prepared()
    stack(run, data)
    whole = shutil.copytree(run.folder, tmp_path / "whole")
    run.forget_stacking()
    shutil.rmtree(run.folder / "maps")

    fit_one, calls = fit.fit_learner, []

    def interrupted(*args):
        calls.append(args[0])
        if len(calls) == 18:  # in the last of three fits of eight learners
            raise KeyboardInterrupt
        return fit_one(*args)

    monkeypatch.setattr(fit, "fit_learner", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stack(run, data)
    assert not run.is_done("stack")
    asked.clear()
    stack(run, data)
    assert not asked  # maps are not made twice
    assert len(calls) == 18 + 7  # neither are folds and the one learner that was finished
    for name in ("choice.json", "interpretation.json", "temperature.json", "weighted_mean.json"):
        assert (run.meta / name).read_text() == (whole / "meta" / name).read_text()
    for folder in (run.folder, whole):
        assert len(list((folder / "meta").glob("*.skops"))) == 8
    maps = read_maps(next((run.folder / "maps").iterdir()), list(MEMBERS))
    again = join(run.config, whole)
    for method in methods_of(run):
        ((_, one, _),) = read_combiner(run, [method]).combine(
            maps.probabilities, maps.image, [method]
        )
        ((_, two, _),) = read_combiner(again, [method]).combine(
            maps.probabilities, maps.image, [method]
        )
        np.testing.assert_array_equal(one, two)


def test_lost_maps_are_made_again(prepared):
    run, data, _ = prepared(stacking__learners=["weighted_mean"])
    stack(run, data)
    some = next((run.folder / "maps").iterdir())
    some.unlink()
    run.forget_stacking()
    stack(run, data)
    assert some.is_file()


def test_learners_help_where_the_members_err_differently(prepared):
    run, data, _ = prepared()
    stack(run, data)
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
    correlation = notes["deep_unet_improved"]["error_correlation"]["unet_advanced"]
    assert -1 <= correlation <= 1
    assert notes["unet_advanced"]["error_correlation"] == {"deep_unet_improved": correlation}
    groups = ["probability", "entropy", "confidence", "margin", "slices"]
    assert list(notes["random_forest"]["importance"]) == groups
    places = notes["random_forest"]["importance_by_place"]
    assert list(places)[:3] == ["base ED", "mid ED", "apex ED"]
    for by_structure in places.values():
        assert set(by_structure) <= {"RV", "MYO", "LV"}
        for found in by_structure.values():
            assert list(found["nats_per_1000_pixels"]) == groups
    moved = notes["random_forest_core"]["changes_by_place"]
    assert set(moved) >= set(places)
    assert "importance_by_place" not in notes["random_forest_core"]
    calibration = notes["random_forest"]["calibration"]
    np.testing.assert_allclose(calibration["predicted"], calibration["observed"], atol=0.05)
    features = json.loads((run.meta / "features.json").read_text())
    assert features["all"][: len(features["core"])] == features["core"]


def test_the_config_may_choose_and_may_leave_out(prepared):
    run, data, _ = prepared(
        stacking__choose="mean", stacking__temperature=False, stacking__learners=["logistic"]
    )
    stack(run, data)
    assert final_method(run) == "mean"
    assert json.loads((run.meta / "temperature.json").read_text()) == {}
    assert methods_of(run) == [*MEMBERS, "mean", "logistic_core", "logistic"]


def test_a_changed_stacking_section_is_fitted_anew_on_the_same_maps(prepared):
    run, data, asked = prepared(stacking__learners=["weighted_mean"])
    stack(run, data)
    before = {p.name: p.stat().st_mtime_ns for p in (run.folder / "maps").iterdir()}
    run, data, asked = prepared(stacking__learners=["logistic"])
    assert not run.is_done("stack") and not (run.meta / "choice.json").exists()
    stack(run, data)
    assert not asked
    assert before == {p.name: p.stat().st_mtime_ns for p in (run.folder / "maps").iterdir()}
    assert (run.meta / "logistic.skops").is_file()
    prepared(stacking__learners=["weighted_mean"])
    assert not any(name.startswith("meta/") for name in run.manifest.models)
    with pytest.raises(UserError, match=r"stacking\.scheme: holdout there, out_of_fold here"):
        prepared(stacking__scheme="out_of_fold")


def test_a_class_missing_from_the_maps_is_named(prepared):
    run, data, _ = prepared(stacking__learners=["logistic"])
    stack(run, data)
    for path in (run.folder / "maps").iterdir():
        maps = read_maps(path, list(MEMBERS))
        label = np.where(maps.label == 1, 0, maps.label).astype(np.uint8)
        write_maps(path, dataclasses.replace(maps, label=label))
    run.forget_stacking()
    with pytest.raises(UserError, match="no RV in any of the 2 development cases outside fold 0"):
        stack(run, data)
    assert not list(run.meta.glob("*.skops"))


def test_a_learner_of_another_feature_set_is_refused(stacked):
    shutil.copy(stacked.meta / "logistic_core.skops", stacked.meta / "logistic.skops")
    with pytest.raises(UserError, match=r"logistic\.skops: damaged or of another run"):
        read_combiner(stacked, ["logistic"])
    (stacked.meta / "logistic.skops").unlink()
    with pytest.raises(UserError, match=r"logistic\.skops: missing"):
        read_combiner(stacked, ["logistic"])


def test_temperatures_of_other_members_are_refused(stacked):
    (stacked.meta / "temperature.json").write_text('{"another": 1.0}')
    with pytest.raises(UserError, match=r"temperature\.json: expected one number for each"):
        read_combiner(stacked, ["logistic"])


@pytest.mark.parametrize("content", ['{"method": "oracle"}', "[]", "{"])
def test_a_damaged_choice_is_named(prepared, content):
    run, *_ = prepared()
    run.meta.mkdir()
    (run.meta / "choice.json").write_text(content)
    with pytest.raises(UserError, match=r"choice\.json"):
        final_method(run)


def test_a_damaged_fold_is_named(prepared):
    run, data, _ = prepared(stacking__learners=["weighted_mean"])
    stack(run, data)
    path = run.meta / "cross_fit" / "fold1.csv"
    for damage in (lambda: path.write_text("case,method\n"), path.unlink):
        damage()
        with pytest.raises(UserError, match=r"fold1\.(csv|json): .*stack"):
            cross_fit.cross_fitted_scores(run)


def test_lost_folds_are_answered(prepared):
    run, data, _ = prepared(stacking__learners=["logistic"])
    table = run.split()
    table.loc[table.fold == 1, "fold"] = -1
    table.to_csv(run.folder / "split.csv", index=False)
    with pytest.raises(UserError, match=r"split\.csv: the development patients are in 2 folds"):
        stack(run, data)


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
    run, data, _ = prepared(stacking__act_below=0.01)
    with pytest.raises(UserError, match=r"stacking\.act_below: 0\.01 leaves the learners 0 pixels"):
        stack(run, data)


def test_the_folder_is_the_only_thing_a_stack_writes(prepared):
    run, data, _ = prepared(stacking__learners=["weighted_mean"])
    stack(run, data)
    assert not list(Path(run.folder).rglob(".partial*"))
    assert not (run.folder / "masks").exists()  # test cases are not touched
    tested = set(run.split().patient[run.split().subset == "test"])
    assert tested.isdisjoint(p.name.split("_")[0] for p in (run.folder / "maps").iterdir())


@pytest.mark.parametrize("content", ["{}", "[]", '{"logistic": {"below": 2}, "logistic_core": {}}'])
def test_damaged_thresholds_are_named(stacked, content):
    (stacked.meta / "thresholds.json").write_text(content)
    with pytest.raises(UserError, match=r"thresholds\.json: .*stack again"):
        read_combiner(stacked, ["logistic"])


def test_no_choice_is_made_on_a_map_of_a_training_image(prepared):
    # Postprocessing and scores go through the same rule as the learners.
    run, data, _ = prepared()
    trained_on, _ = fold_patients(run.split(), "full", "holdout")
    known = [file for file in data.files if file.patient in trained_on]
    map_cases(run, data, known, ["full"])
    with pytest.raises(UserError, match=f"trained on {known[0].patient}"):
        next(cases_with_maps(run, known, "look"))


@pytest.mark.parametrize(("fold", "patients"), [("full", []), ("fold7", None)])
def test_a_map_that_says_of_its_training_what_the_split_does_not_is_refused(
    prepared, fold, patients
):
    run, data, _ = prepared()
    file = development_files(run, data)[0]
    map_cases(run, data, [file], ["full"])
    maps = read_case_maps(run, file.name)
    seen = maps.maps["unet_advanced"].provenance.trained_on if patients is None else patients
    strange = dataclasses.replace(
        maps.maps["unet_advanced"], provenance=Provenance(fold, frozenset(seen))
    )
    both = maps.maps | {"unet_advanced": strange}
    write_maps(run.map(file.name), dataclasses.replace(maps, maps=both))
    with pytest.raises(UserError, match=rf"says of unet_advanced, {fold}, what the run's split"):
        draw_samples(run, [file])


def test_a_method_is_chosen_by_cases_that_the_networks_in_use_have_mapped():
    cases = pd.DataFrame({"case": ["a", "b", "c"], "fold": ["full", "fold0", "full"]})
    judged = mapped_as_in_use(Scores(cases, {}, {}))
    assert judged.cases.case.tolist() == ["a", "c"]
    out_of_fold = Scores(cases[cases.fold != "full"], {}, {})
    assert mapped_as_in_use(out_of_fold).cases.case.tolist() == ["b"]
