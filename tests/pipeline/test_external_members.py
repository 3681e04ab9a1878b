"""Members whose softmax maps another program made, in a run: whose they are, and what changed."""

import json
import shutil

import numpy as np
import pytest

from cardiac_seg.data.acdc import find_cases
from cardiac_seg.members.maps import read_maps
from cardiac_seg.pipeline.evaluate import evaluate
from cardiac_seg.pipeline.external import take_maps
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.pipeline.train import train_members
from cardiac_seg.report.methods import methods_paragraph
from cardiac_seg.run.external import record_path
from cardiac_seg.run.meta_folder import read_interpretation
from cardiac_seg.run.open import join
from cardiac_seg.run.scoring import flat_settings
from cardiac_seg.run.settings import first_difference, network_settings
from cardiac_seg.run.stacks import _record
from cardiac_seg.system.errors import UserError
from tests.support.external_maps import softmax_of, write_npz, write_results
from tests.support.made_once import made_once

NAME = "nnunet_3d"
BOTH = ["unet_advanced", NAME]


@pytest.fixture(scope="module")
def made(mri_root, tmp_path_factory):
    """nnU-Net's results on all phantoms; read only."""
    files = find_cases(mri_root, [], ["ED", "ES"])
    return made_once(tmp_path_factory, "external", lambda folder: write_results(folder, files))


@pytest.fixture
def results(made, tmp_path):
    """A copy to damage."""
    return shutil.copytree(made, tmp_path / "results")


@pytest.fixture
def make(prepared, results):
    """A prepared run of a stand-in network and the external member."""

    def make(splits: str | None = "splits_final.json", learners=(), **more):
        network = {"kind": "external", "maps": str(results)}
        network |= {"trained_on": str(results / splits)} if splits else {}
        overrides = {"members": BOTH, f"networks__{NAME}": network | more}
        run, data, _ = prepared(**overrides, stacking__learners=list(learners))
        return run, data

    return make


def patients_of(run, subset):
    split = run.split()
    return set(split.patient[split.subset == subset])


def files_of(run, data, subset):
    return [file for file in data.files if file.patient in patients_of(run, subset)]


def path_of(results, file):
    (path,) = results.glob(f"fold_*/validation/{file.image_stem}.npz")
    return path


def edit_splits(results, change):
    path = results / "splits_final.json"
    splits = json.loads(path.read_text())
    change(splits)
    path.write_text(json.dumps(splits))


def refused(what, *arguments, **options):
    with pytest.raises(UserError) as caught:
        what(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_stacked_and_scored_like_any_other(make, results):
    run, data = make(learners=["logistic"])
    stack(run, data)
    evaluate(run, data)
    splits = json.loads((results / "splits_final.json").read_text())
    for file in (*files_of(run, data, "validation"), *files_of(run, data, "test")):
        maps = read_maps(run.map(file.name), BOTH)
        provenance = maps.maps[NAME].provenance
        (fold,) = (k for k, split in enumerate(splits) if file.image_stem in split["val"])
        trained = {name.partition("_")[0] for name in splits[fold]["train"]}
        assert (provenance.fold, provenance.trained_on) == ("full", trained)
        assert file.patient not in trained
        agree = maps.probabilities[NAME].argmax(-1) == maps.reference
        assert agree.mean() > 0.97  # on the ensemble's grid, in its frame and class order
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert {*BOTH, "mean", "logistic"} <= set(metrics["subsets"]["test"]["methods"])
    assert NAME in read_interpretation(run)["unet_advanced"]["error_correlation"]


def test_a_development_case_without_a_map_ends_the_run_before_anything_is_trained(
    make, results, monkeypatch
):
    run, data = make()
    lacking = files_of(run, data, "validation")[1:3]
    for file in lacking:
        path_of(results, file).unlink()

    def never(*_):
        raise AssertionError("trained")

    monkeypatch.setattr("cardiac_seg.members.keras_member.KerasMember.train", never)
    monkeypatch.setattr("cardiac_seg.pipeline.train.train_locator", never)
    message = refused(train_members, run, data)
    assert f"no map by {NAME} of 2 cases ({lacking[0].name}, {lacking[1].name})" in message
    assert "nnUNetv2_train --npz" in message
    assert not record_path(run, NAME).exists()


def test_test_cases_may_come_later_but_not_never(make, results, tmp_path):
    run, data = make()
    away, lacking = tmp_path / "away.npz", files_of(run, data, "test")[0]
    shutil.move(path_of(results, lacking), away)
    stack(run, data)
    message = refused(evaluate, run, data)
    assert f"no map by {NAME} of 1 cases ({lacking.name})" in message
    # By the networks of all folds together, which have seen its patient.
    shutil.copy(away, results / f"{lacking.image_stem}.npz")
    message = refused(evaluate, run, data)
    assert f"made by {NAME}, all folds, which was trained on {lacking.patient}" in message

    def without(splits):
        for split in splits:
            for names in split.values():
                names[:] = [name for name in names if not name.startswith(lacking.patient)]

    edit_splits(results, without)
    # Every set without the patient is another: for maps that are brought already, that is told.
    assert "trained_on" in refused(evaluate, run, data)
    shutil.rmtree(run.folder / "maps")
    stack(run, data)
    evaluate(run, data)
    assert run.is_done("evaluate")


@pytest.mark.parametrize("subset", ["validation", "test"])
def test_a_map_by_networks_that_know_the_patient_is_always_refused(make, results, subset):
    run, data = make(vouch_for_test=True)
    file = files_of(run, data, subset)[0]
    (fold,) = {int(p.parent.parent.name[-1]) for p in [path_of(results, file)]}
    # By another phase of the patient.
    other = next(f for f in data.files if f.patient == file.patient and f.name != file.name)
    edit_splits(results, lambda splits: splits[fold]["train"].append(other.image_stem))
    message = refused(take_maps, run, data)
    assert f"made by {NAME}, fold_{fold}, which was trained on {file.patient}" in message
    assert str(results / f"fold_{fold}") in message


def test_another_fold_that_left_the_patient_out_is_taken_instead(make, results):
    run, data = make()
    file = files_of(run, data, "validation")[0]
    path = path_of(results, file)
    shutil.copytree(results / "fold_0", results / "fold_2")
    shutil.copytree(
        results / "fold_1" / "validation", results / "fold_2" / "validation", dirs_exist_ok=True
    )
    edit_splits(results, lambda splits: splits.append({"train": ["stranger_1"], "val": []}))
    fold = int(path.parent.parent.name[-1])
    edit_splits(results, lambda splits: splits[fold]["train"].append(file.image_stem))
    take_maps(run, data)
    record = json.loads(record_path(run, NAME).read_text())
    taken = record["maps"][file.name]
    assert taken["file"] == f"fold_2/validation/{file.image_stem}.npz"
    assert record["trained_on"]["fold_2"] == ["stranger_1"]


def test_without_a_training_set_nothing_is_stacked(make):
    run, data = make(splits=None, vouch_for_test=True)
    message = refused(train_members, run, data)
    assert f"nothing says whom {NAME} was trained on; maps of a member without a known" in message


def test_test_maps_of_an_unknown_training_set_are_the_users_word(make, results):
    run, data = make()
    stack(run, data)
    for file in files_of(run, data, "test"):
        number = int(path_of(results, file).parent.parent.name[-1])
        unknown = results / f"fold_{number + 5}" / "validation"  # of which no split speaks
        unknown.mkdir(parents=True, exist_ok=True)
        shutil.move(path_of(results, file), unknown)
    record_path(run, NAME).unlink()
    shutil.rmtree(run.folder / "maps")
    assert "vouch_for_test: true if you know" in refused(take_maps, run, data)
    networks = run.config.networks
    vouched = networks[NAME].model_copy(update={"vouch_for_test": True})
    config = run.config.model_copy(update={"networks": networks | {NAME: vouched}})
    run = join(config, run.folder)  # no other networks: the run goes on
    stack(run, data)
    evaluate(run, data)
    maps = read_maps(run.map(files_of(run, data, "test")[0].name), BOTH)
    assert maps.maps[NAME].provenance.trained_on is None


def test_changed_maps_are_noticed_and_taken_when_the_runs_own_are_deleted(make, results):
    run, data = make()
    stack(run, data)
    file = files_of(run, data, "validation")[0]
    before = read_maps(run.map(file.name), BOTH).probabilities[NAME]
    path = path_of(results, file)
    with np.load(path) as stored:
        reversed_classes = stored["probabilities"][::-1].copy()
    np.savez(path, probabilities=reversed_classes)
    message = refused(evaluate, run, data)
    assert f"{path}: changed since this run read it ({file.name}); restore it, or del" in message
    shutil.rmtree(run.folder / "maps")
    take_maps(run, data)
    assert not run.is_done("stack")  # what was fitted on the others is gone
    stack(run, data)
    after = read_maps(run.map(file.name), BOTH).probabilities[NAME]
    assert not np.array_equal(before, after)


def test_maps_that_the_run_has_on_its_grid_may_be_gone(make, results):
    run, data = make()
    stack(run, data)
    for file in files_of(run, data, "validation"):
        path_of(results, file).unlink()
    evaluate(run, data)
    shutil.rmtree(results)
    take_maps(run, data, scoring=True)
    run.map(files_of(run, data, "test")[0].name).unlink()
    assert f"{results / 'splits_final.json'}: cannot be read" in refused(take_maps, run, data)


def test_maps_of_another_grid_are_refused_before_anything_is_trained(make, results):
    run, data = make()
    file = files_of(run, data, "validation")[0]
    write_npz(path_of(results, file), softmax_of(np.zeros((9, 8, 3))))
    assert "of shape (4, 3, 8, 9)" in refused(train_members, run, data)


def test_a_kept_stack_knows_the_maps_it_was_fitted_on(make):
    run, data = make()
    take_maps(run, data)
    name = record_path(run, NAME).relative_to(run.folder).as_posix()
    digest = run.manifest.models[name]
    take_maps(run, data)
    assert run.manifest.models[name] == digest
    assert _record(run).networks[name] == digest


def test_a_moved_folder_is_the_same_run_and_no_path_is_recorded_of_a_scoring(make):
    run, _ = make()
    networks = run.config.networks
    moved = networks[NAME].model_copy(update={"maps": "/elsewhere/results", "trained_on": None})
    config = run.config.model_copy(update={"networks": networks | {NAME: moved}})
    assert first_difference(network_settings(config), network_settings(run.config)) is None
    flat = flat_settings(config)
    assert flat[f"networks.{NAME}.maps"] == '"results"'
    assert flat[f"networks.{NAME}.trained_on"] == "null"


def test_there_is_nothing_to_train_of_it_by_name(make):
    run, data = make()
    message = refused(train_members, run, data, NAME)
    assert message == f"--member {NAME}: the run has unet_advanced to train"


def test_a_run_may_have_nothing_to_train(prepared, results):
    own = {"kind": "external", "maps": str(results)}
    own |= {"trained_on": str(results / "splits_final.json")}
    networks = {"networks__one": own, "networks__other": own}
    run, data, asked = prepared(members=["one", "other"], stacking__learners=[], **networks)
    train_members(run, data)
    stack(run, data)
    evaluate(run, data)
    assert not asked  # of any network
    metrics = json.loads((run.folder / "metrics.json").read_text())
    dice = {
        name: m["mean_foreground_dice"] for name, m in metrics["subsets"]["test"]["methods"].items()
    }
    assert dice["one"] == dice["other"] == pytest.approx(dice["mean"], abs=1e-3)
    assert "one (softmax maps that another program made, brought to" in methods_paragraph(run)
    assert "epochs" not in methods_paragraph(run)
