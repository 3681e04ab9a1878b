"""Whom networks were trained on: their files say it, whatever becomes of the split."""

import json
import shutil
import zipfile
from functools import partial

import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.data.split import fold_patients
from cardiac_seg.members.maps import read_maps
from cardiac_seg.members.seen import SEEN, read_seen
from cardiac_seg.pipeline.evaluate import evaluate
from cardiac_seg.pipeline.maps import map_cases
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.pipeline.train import train_members
from cardiac_seg.run.open import create, join, open_run
from cardiac_seg.run.provenance import trained_on
from cardiac_seg.system.errors import UserError
from tests.support.little_training import eagerly, small_network
from tests.support.stacking_runs import SMALL

MEMBER, DATA = "unet_advanced", "acdc (phantom)"
ONE = [f"members=[{MEMBER}]", "stacking.learners=[]"]
SHORT = ["train={epochs: 1, warmup: 0, batch_size: 32, precision: float32}"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("cardiac_seg.members.training.build_member", small_network)


@pytest.fixture
def make(mri_root, cache_of_small, tmp_path):
    """Makes a run of one member on phantoms and trains it."""

    def make(name, *overrides, start=None):
        (tmp_path / "small.yaml").write_text(SMALL % (mri_root, cache_of_small))
        sets = [*ONE, *SHORT, *overrides]
        sets += [f"train.start_from={json.dumps(str(start))}"] if start else []
        config = load_config(tmp_path / "small.yaml", sets)
        create(config, tmp_path / name)
        run = join(config, tmp_path / name)
        data = prepare(run, find_cases(run))
        with eagerly():
            train_members(run, data)
        return run, data

    return make


def moved(run, subset, to):
    """Edits the split: one patient of a subset is in another from now on; who."""
    table = run.split()
    patient = table.patient[table.subset == subset].iloc[0]
    table.loc[table.patient == patient, "subset"] = to
    table.to_csv(run.folder / "split.csv", index=False)
    return patient


def mapped(run, data, files):
    map_cases(run, data, files, ["full"])


def network_of(run, fold="full"):
    return run.models(MEMBER, fold) / f"{run.config.predict.checkpoint}.keras"


def without_entry(path):
    """As the file would be by an earlier version."""
    whole = path.rename(path.with_name("whole.zip"))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name != SEEN:
                target.writestr(name, source.read(name))
    whole.unlink()


def test_a_split_edited_after_the_training_is_refused_where_it_leaks(make):
    run, data = make("run")
    train = fold_patients(run.split(), "full", "holdout")[0]
    for name in ("best", "last"):
        assert read_seen(run.models(MEMBER, "full") / f"{name}.keras") == {DATA: train}
    assert trained_on(run, MEMBER)("full") == train
    before = (run.folder / "split.csv").read_text()
    for held_out in ("test", "validation"):
        patient = moved(run, "train", held_out)
        run.update_manifest(stages={"stack": {"done": False}})
        files = [file for file in data.files if file.patient == patient]
        steps = [train_members, stack, partial(mapped, files=files)]
        if held_out == "test":
            steps.append(evaluate)
        for step in steps:
            if step is evaluate:
                run.update_manifest(stages={"stack": {"done": True}})
            words = rf"unet_advanced/full/.*\.keras: was trained on {patient}, whom .*split\.csv"
            with pytest.raises(UserError, match=words) as refused:
                step(run, data)
            assert "restore the split.csv" in str(refused.value)
            assert "\n" not in str(refused.value)
        assert not run.map(files[0].name).exists()
        (run.folder / "split.csv").write_text(before)


def test_a_network_of_an_earlier_version_has_the_patients_of_the_split(make):
    run, data = make("run")
    without_entry(network_of(run))
    run.update_manifest(models={f"models/{MEMBER}/full/{network_of(run).name}": None})
    patient = moved(run, "train", "test")
    assert patient not in trained_on(run, MEMBER)("full")
    train_members(run, data)


def test_who_was_trained_on_before_the_split_was_edited_stays_known(make, monkeypatch, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cardiac_seg.members.training._Epochs._report", stop)
        make("run", "train.epochs=2")
    run = open_run(tmp_path / "run")
    first = read_seen(network_of(run))[DATA]
    table = run.split()
    table.loc[table.patient == min(first), "subset"] = "validation"
    table.to_csv(run.folder / "split.csv", index=False)
    with pytest.raises(UserError, match=f"was trained on {min(first)}"):
        make("run", "train.epochs=2")


def test_a_start_is_remembered_in_the_file_by_its_dataset(make):
    first, _ = make("first")
    train = fold_patients(first.split(), "full", "holdout")[0]
    manifest = json.loads((first.folder / "manifest.json").read_text())
    manifest["dataset"]["phantom"] = False  # of another dataset, with patients of the same names
    (first.folder / "manifest.json").write_text(json.dumps(manifest))
    # The file of the start is believed, not its split or its manifest.
    second, _ = make("second", start=first.folder)
    assert read_seen(network_of(second)) == {DATA: train, "acdc": frozenset()}
    without_entry(network_of(first))
    first.update_manifest(models={f"models/{MEMBER}/full/{network_of(first).name}": None})
    third, _ = make("third", "split.seed=5", start=first.folder)
    own = fold_patients(third.split(), "full", "holdout")[0]
    assert read_seen(network_of(third)) == {DATA: own, "acdc": train}
    shutil.rmtree(first.folder)
    assert trained_on(third, MEMBER)("full") == own


def test_folds_from_scratch_do_not_know_whom_the_start_has_seen(make):
    first, _ = make("first")
    fixed = "{epochs: 1, warmup: 0, batch_size: 32, precision: float32, start_from: null}"
    both = ["stacking.scheme=both", f"stacking.fold_train={fixed}"]
    run, data = make("second", *both, start=first.folder)
    for fold in ("full", "fold0", "fold1"):
        train, unseen = fold_patients(run.split(), fold, "both")
        assert read_seen(network_of(run, fold)) == {DATA: train}
        assert trained_on(run, MEMBER)(fold) == train and not train & unseen
    with eagerly():
        stack(run, data)
    for path in (run.folder / "maps").iterdir():
        provenance = read_maps(path, [MEMBER]).maps[MEMBER].provenance
        assert provenance.trained_on == trained_on(run, MEMBER)(provenance.fold)
