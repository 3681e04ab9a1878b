"""A run whose trainings start from another run: whom it may hold out, and what it remembers."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.data.split import fold_patients
from cardiac_seg.pipeline import localise
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.pipeline.train import train_members
from cardiac_seg.report import methods
from cardiac_seg.run import members
from cardiac_seg.run.open import create, join, open_run
from cardiac_seg.run.provenance import trained_on
from cardiac_seg.system import backend
from cardiac_seg.system.errors import UserError
from tests.support.little_training import eagerly, small_network
from tests.support.stacking_runs import SMALL

ONE = ["members=[unet_advanced]", "stacking.learners=[]", "stacking.scheme=holdout"]
FOLDS = ("full", "fold0", "fold1")
SHORT = ["train={epochs: 2, warmup: 0, batch_size: 32, precision: float32}"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("cardiac_seg.members.training.build_member", small_network)


@pytest.fixture
def make(mri_root, cache_of_small, tmp_path):
    """Makes a run of one member on phantoms, prepared."""

    def make(name, *overrides, start=None):
        (tmp_path / "small.yaml").write_text(SMALL % (mri_root, cache_of_small))
        sets = [*ONE, *SHORT, *overrides]
        sets += [f"train.start_from={json.dumps(str(start))}"] if start else []
        config = load_config(tmp_path / "small.yaml", sets)
        create(config, tmp_path / name)
        run = join(config, tmp_path / name)
        return run, prepare(run, find_cases(run))

    return make


@pytest.fixture
def first(make):
    """The folder of a run that is trained, with a network of random weights."""
    run, _ = make("first")
    path = run.models("unet_advanced", "full") / "last.keras"
    path.parent.mkdir(parents=True)
    backend.start_training(7)
    small_network("unet_advanced", None, 4).save(path)
    run.update_manifest(stages={"train": {"done": True}})
    return run.folder


def rewrite(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def of_another_dataset(manifest):
    manifest["dataset"]["phantom"] = False


def test_patients_of_the_start_cannot_be_held_out_and_another_start_can_be_given(make, first):
    seen = fold_patients(open_run(first).split(), "full", "holdout")[0]
    with pytest.raises(UserError, match="trained on") as refused:
        make("second", "split.seed=5", start=first)
    run = open_run(first.parent / "second")
    held_out = set(run.split().query("subset != 'train'").patient) & seen
    assert f"{len(held_out)} of the patients" in str(refused.value)
    assert f"the first is {min(held_out)};" in str(refused.value)
    assert not run.is_done("prepare") and not run.manifest.start
    run, _ = make("second", "split.seed=5")  # its configuration may still change
    assert run.is_done("prepare") and trained_on(run, "unet_advanced")("full")


def test_every_fold_holds_out_whom_another_fold_trains_on(make, first):
    with pytest.raises(UserError, match="4 of the patients that this run holds out"):
        make("second", "stacking.scheme=out_of_fold", start=first)


def test_patients_of_another_dataset_are_others(make, first):
    rewrite(first, of_another_dataset)
    run, _ = make("second", "split.seed=5", start=first)
    split = fold_patients(run.split(), "full", "holdout")[0]
    assert trained_on(run, "unet_advanced")("full") == split
    # Who starts from it in turn still knows whom the first one saw.
    rewrite(run.folder, lambda manifest: manifest["stages"].update(train={"done": True}))
    shutil.copytree(first / "models", run.folder / "models")
    third, _ = make("third", "split.seed=5", start=run.folder)
    seen = third.manifest.start["unet_advanced"].trained_on
    assert set(seen) == {"acdc", "acdc (phantom)"}


def test_a_training_goes_on_without_the_start_and_remembers_its_patients(make, first, monkeypatch):
    run, data = make("second", start=first)
    moved = first.rename(first.with_name("moved"))
    with pytest.raises(UserError, match=r"train\.start_from: .*first: not a run directory"):
        train_members(run, data)
    moved.rename(first)

    def stop(*_):
        raise KeyboardInterrupt

    with eagerly(), monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cardiac_seg.members.training._Epochs._report", stop)
        train_members(run, data)
    shutil.rmtree(first)
    run, data = make("second", start=first)  # the same command again
    with eagerly():
        train_members(run, data)
    assert run.is_done("train")
    rewrite(
        run.folder,
        lambda m: m["start"]["unet_advanced"]["trained_on"].update(
            {"acdc (phantom)": ["patient099"]}
        ),
    )
    assert "patient099" in trained_on(run, "unet_advanced")("full")


def test_a_start_that_changed_is_refused(make, first):
    run, data = make("second", start=first)
    backend.start_training(8)
    network = first / "models" / "unet_advanced" / "full" / "last.keras"
    small_network("unet_advanced", None, 4).save(network)
    with pytest.raises(UserError, match="not the network that this run was to start from"):
        train_members(run, data)


@pytest.mark.parametrize(
    ("overrides", "change", "words"),
    [
        ([], lambda m: m["stages"].pop("train"), "not trained to its end"),
        (["networks.unet_advanced.train={start_from: nowhere}"], None, "nowhere: not a run"),
        (["members=[deep_unet_improved]"], None, "has no deep_unet_improved, it has unet_adv"),
    ],
)
def test_what_cannot_be_a_start_is_refused_in_one_line(make, first, overrides, change, words):
    if change:
        rewrite(first, change)
    with pytest.raises(UserError, match=words) as refused:
        make("second", *overrides, start=first)
    assert str(refused.value).startswith("train.start_from: ") and "\n" not in str(refused.value)


def test_a_mean_of_folds_is_no_single_network(make):
    run, _ = make("first", "stacking.scheme=out_of_fold", "stacking.deploy=fold_mean")
    with pytest.raises(UserError, match="no single network to start from"):
        make("second", start=run.folder)


def test_a_member_may_start_from_random_weights_and_a_report_says_who_does_not(make, first):
    own = "networks.deep_unet_improved.train={start_from: null}"
    run, _ = make("second", "members=[unet_advanced,deep_unet_improved]", own, start=first)
    assert set(run.manifest.start) == {"unet_advanced"}
    starts = {m.name: m.start() for m in members.members_of(run, lambda member: frozenset)}
    assert starts["unet_advanced"].same_labels and starts["deep_unet_improved"] is None
    told = methods.describe_members(run.config)
    assert "training started from the weights of first" in told[0]
    assert "start" not in told[1] and not methods.describe_start(run.config)


def test_a_record_that_the_configuration_does_not_know_is_refused(make, first):
    run, _ = make("second", start=first)
    rewrite(run.folder, lambda manifest: manifest.pop("start"))
    with pytest.raises(UserError, match=r"by config\.yaml, from None by manifest\.json"):
        trained_on(run, "unet_advanced")


def test_no_epoch_takes_the_networks_as_they_are(make, first):
    run, data = make("second", "train.epochs=0", start=first)
    train_members(run, data)
    taken = members.load_network(run, "unet_advanced", "full").get_weights()
    wanted = members.load_network(open_run(first), "unet_advanced", "full").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(taken, wanted, strict=True))
    history = pd.read_csv(run.history("unet_advanced", "full"))
    assert history.epoch.tolist() == [0] and 0 <= history.val_dice[0] <= 1
    assert run.is_done("train")
    known = trained_on(open_run(run.folder), "unet_advanced")("full")
    assert known == fold_patients(run.split(), "full", "holdout")[0]


def test_networks_of_folds_may_be_trained_otherwise_than_those_in_use(make, first):
    overrides = ["stacking.scheme=both", "train.epochs=0"]
    with pytest.raises(UserError, match=r"trained on .*fold_train\.start_from: null"):
        make("leaky", *overrides, start=first)
    own = "stacking.fold_train={epochs: 1, start_from: null}"
    run, data = make("second", *overrides, own, start=first)
    train_members(run, data)
    epochs = {f: pd.read_csv(run.history("unet_advanced", f)).epoch.tolist() for f in FOLDS}
    assert epochs == {"full": [0], "fold0": [1], "fold1": [1]}
    tested = set(run.split().query("subset != 'train'").patient)
    for fold in FOLDS:
        known = trained_on(run, "unet_advanced")(fold)
        assert known == fold_patients(run.split(), fold, "both")[0] and not known & tested


def test_a_locator_is_taken_with_the_networks(make, first):
    locator = open_run(first).locator("full")
    locator.parent.mkdir(parents=True)
    locator.write_bytes(b"what the start has")
    for fold, epochs in (("full", 0), ("fold0", 1)):
        run, _ = make(f"of_{fold}", f"train.epochs={epochs}", start=first)
        assert localise._locator_to_take(run, "full") == (None if epochs else locator)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.epochs=0"], "epochs: 0 trains nothing"),
        (["stacking.fold_train={start_from: elsewhere}"], "fold_train.start_from"),
        (["stacking.fold_train={epoch: 3}"], "fold_train.epoch"),
        (["stacking.scheme=both", "stacking.fold_train={early_stopping: 3}"], "fixed schedule"),
        (["stacking.scheme=both", "split.validation=0"], "split.validation: 0"),
    ],
)
def test_what_folds_cannot_be_trained_with_is_one_line(make, overrides, words):
    with pytest.raises(UserError, match=words):
        make("wrong", *overrides)
