"""Batches, and a training that is killed and resumed."""

import shutil
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest

from cardiac_seg.config.sections import Config
from cardiac_seg.data.acdc import ACDC
from cardiac_seg.grid.cache import CaseSet, fingerprint, open_cache
from cardiac_seg.members import networks, training
from cardiac_seg.members.batches import TrainingBatches, draw_evenly
from cardiac_seg.members.network_file import read_network
from cardiac_seg.members.networks import build_member
from cardiac_seg.members.optimizer import build_optimizer
from cardiac_seg.members.slice_samples import (
    ANYWHERE,
    SliceSamples,
    cut_out,
    heart_centre,
    slice_weights,
)
from cardiac_seg.members.starting import Start
from cardiac_seg.members.training import TrainingJob, train
from cardiac_seg.members.training_state import TrainingState, read_state, save_training
from cardiac_seg.system.errors import UserError
from tests.support.little_training import eagerly, small_network


def tiny_config(root, **train_settings) -> Config:
    return Config.model_validate(
        {
            "data": {"dataset": "acdc", "root": str(root)},
            "preprocess": {"spacing": 5.0, "size": [32, 32]},
            "augment": {"rotation": 20, "noise": 0.05, "elastic": 2},
            "networks": {"unet_advanced": {"filters": 4}, "deep_unet_improved": {"filters": 4}},
            "train": {"epochs": 3, "warmup": 1, "learning_rate": 0.01, **train_settings},
        }
    )


@pytest.fixture
def small(monkeypatch):
    """Trains a small network in place of a member's."""
    monkeypatch.setattr(training, "build_member", small_network)


@pytest.fixture(scope="module")
def cache(mri_root, tmp_path_factory):
    files = ACDC.find(mri_root, [], ["ED", "ES"])[:8]
    settings = tiny_config(mri_root).preprocess
    return open_cache(tmp_path_factory.mktemp("cache"), files, 4, settings, fingerprint(files))


def make_job(cache, folder, member="unet_advanced") -> TrainingJob:
    cases = list(cache.cases.values())
    return TrainingJob(
        member=member,
        fold="full",
        folder=folder / "models",
        history_path=folder / "history.csv",
        tensorboard=folder / "tensorboard",
        classes=4,
        train=CaseSet(cache, cases[:6]),
        validation=CaseSet(cache, cases[6:]),
    )


def epoch_of(cache, config, epoch, first_epoch=0, outputs=1):
    samples = SliceSamples(CaseSet(cache, list(cache.cases.values())), config, outputs)
    batches = TrainingBatches(samples, config.train, [1, 2], first_epoch)
    start = (epoch - first_epoch) * batches.steps
    return [batches[start + i] for i in range(batches.steps)]


def test_an_epoch_depends_on_seed_and_epoch_alone(cache, mri_root):
    first = epoch_of(cache, tiny_config(mri_root, workers=1), 4)
    again = epoch_of(cache, tiny_config(mri_root, workers=3), 4, first_epoch=3)
    other = epoch_of(cache, tiny_config(mri_root), 5)
    for (image, label), (image_again, label_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(image, image_again)
        np.testing.assert_array_equal(label, label_again)
    assert not np.array_equal(first[0][0], other[0][0])


def test_every_output_of_deep_supervision_gets_the_label(cache, mri_root):
    _, labels = epoch_of(cache, tiny_config(mri_root), 0, outputs=3)[0]
    assert len(labels) == 3 and labels[0] is labels[2]


def test_a_batch_of_crops_has_their_size(cache, mri_root):
    config = tiny_config(mri_root)
    smaller = config.train.model_copy(update={"crop": (16, 24)})
    image, label = epoch_of(cache, config.model_copy(update={"train": smaller}), 0)[0]
    assert image.shape[1:] == (16, 24, 1) and label.shape[1:] == (16, 24)


def test_a_cut_out_keeps_image_and_label_together_and_pads_with_nothing():
    label = np.zeros((1, 96, 96), np.uint8)
    label[0, 70:90, 10:30] = 3
    centre = heart_centre(label)
    assert centre == (79.5, 19.5)
    image, held = np.where(label[0], 3, 50).astype(np.uint8), 0
    for seed in range(200):
        part, part_label = cut_out(image, label[0], np.random.default_rng(seed), centre, (32, 32))
        assert part.shape == part_label.shape == (48, 48)
        inside = part > 0  # 50 or 3 in the plane
        assert np.array_equal(part[inside] == 3, part_label[inside] == 3)
        held += (part_label == 3).sum() == 400
    assert 1 - ANYWHERE - 0.1 < held / 200 < 1


def test_the_heart_of_a_case_without_structures_is_the_middle():
    assert heart_centre(np.zeros((2, 31, 40), np.uint8)) == (15, 19.5)


def test_equal_weights_draw_every_slice_once():
    rows = np.arange(10, 27)
    drawn = draw_evenly(rows, np.ones(17), np.random.default_rng(0))
    assert sorted(drawn) == list(rows)


def test_a_slice_of_three_times_the_weight_comes_three_times_as_often():
    weights = np.array([3.0, 1, 1, 1])  # 6 in all for 4 draws: shares 2 and 2/3
    draws = [draw_evenly(np.arange(4), weights, np.random.default_rng(s)) for s in range(300)]
    counts = np.bincount(np.concatenate(draws), minlength=4) / 300
    np.testing.assert_allclose(counts, [2, 2 / 3, 2 / 3, 2 / 3], atol=0.1)


@pytest.mark.parametrize("steps", [2, 9])
def test_an_epoch_has_as_many_steps_as_are_wanted(cache, mri_root, steps):
    config = tiny_config(mri_root, steps=steps, batch_size=8, sampling="uniform")
    batches = epoch_of(cache, config, 3)
    assert len(batches) == steps and all(len(image) == 8 for image, _ in batches)
    few = epoch_of(cache, tiny_config(mri_root, batch_size=8, sampling="uniform"), 3)
    shared = min(steps, len(few))  # the same slices first, and over again where there are no more
    np.testing.assert_array_equal(batches[shared - 1][0], few[shared - 1][0])


def test_slices_at_the_edge_and_with_rare_structures_weigh_more(cache):
    case = next(iter(cache.cases.values()))
    pixels = [[9, 0, 0, 0], [5, 2, 2, 2], [5, 2, 2, 2], [5, 2, 2, 2], [5, 2, 2, 2], [7, 0, 2, 2]]
    weights = slice_weights([replace(case, class_pixels=pixels)])
    assert weights.mean() == pytest.approx(1)
    assert weights[1] > weights[3]  # basal edge against the middle


def trained_whole_and_resumed(cache, config, tmp_path, monkeypatch):
    """The job and the state of a training, and of one that goes on after its first epoch."""
    whole, resumed = make_job(cache, tmp_path / "whole"), make_job(cache, tmp_path / "resumed")
    save = save_training

    def save_and_copy_first_epoch(model, last, state, *seen):
        save(model, last, state, *seen)
        if state.epoch == 1 and last == whole.last:
            shutil.copytree(whole.folder, resumed.folder)

    monkeypatch.setattr(training, "save_training", save_and_copy_first_epoch)
    return (whole, train(whole, config)), (resumed, train(resumed, config))


@pytest.mark.usefixtures("small")
def test_a_resumed_training_equals_an_uninterrupted_one(cache, mri_root, tmp_path, monkeypatch):
    # Averaged weights and a falling learning rate: all that a checkpoint must bring back.
    settings = {"schedule": "constant", "reduce_lr": 1, "early_stopping": 9, "crop": [32, 32]}
    config = tiny_config(mri_root, ema=0.9, **settings)
    (whole, expected), (resumed, found) = trained_whole_and_resumed(
        cache, config, tmp_path, monkeypatch
    )

    def without_time(state):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in state.history]

    assert [row["epoch"] for row in found.history] == [1, 2, 3]
    assert without_time(found) == without_time(expected)
    assert (found.best, found.plateau) == (expected.best, expected.plateau)
    assert weights_of(whole) == weights_of(resumed)


def weights_of(job) -> bytes:
    with zipfile.ZipFile(job.last) as archive:
        return archive.read("model.weights.h5")


@pytest.mark.usefixtures("small")
def test_a_training_starts_from_another_network_and_is_resumed_without_it(
    cache, mri_root, tmp_path, monkeypatch
):
    asked = []

    def load():
        asked.append(read_state(whole.last).epoch)
        keras.utils.set_random_seed(len(asked))  # reading may draw numbers; no result depends on it
        return source

    def started(cache, folder):
        job = make_job(cache, folder)
        start = Start("runs/first", load, same_labels=True)
        few = {"train": CaseSet(cache, job.train.cases[:1])}
        few["validation"] = CaseSet(cache, job.validation.cases[:1])
        return replace(job, **few, start=start)

    keras.backend.clear_session()  # as a training does: the layers' names begin anew
    source = small_network("unet_advanced", None, 4)
    kernel = source.layers[1].get_weights()[0]
    # So small a rate that the kernels are still those of the start.
    config = tiny_config(mri_root, epochs=2, learning_rate=1e-7, ema=0.9)
    whole = started(cache, tmp_path / "whole")
    resumed = started(cache, tmp_path / "resumed")
    save = save_training

    def save_and_copy_first_epoch(model, last, state, *seen):
        save(model, last, state, *seen)
        if state.epoch == 1 and last == whole.last:
            shutil.copytree(whole.folder, resumed.folder)

    monkeypatch.setattr(training, "save_training", save_and_copy_first_epoch)
    with eagerly():
        train(whole, config)
        train(resumed, config)
    assert asked == [0]
    assert weights_of(whole) == weights_of(resumed)
    np.testing.assert_allclose(
        read_network(whole.best).layers[1].get_weights()[0], kernel, atol=1e-5
    )


def plain_network(input_shape, classes, *, layer, **settings) -> keras.Model:
    """A network of a user's own, with one layer more."""
    image = keras.Input(input_shape)
    x = layer(keras.layers.Conv2D(4, 3, padding="same")(image))
    return keras.Model(image, keras.layers.Softmax()(keras.layers.Conv2D(classes, 1)(x)))


def test_a_plain_dropout_in_an_own_network_is_resumed_bit_for_bit_and_read_again(
    cache, mri_root, tmp_path, monkeypatch
):
    def with_dropout(*shape, **settings):
        return plain_network(*shape, layer=keras.layers.Dropout(0.5))

    monkeypatch.setattr(networks, "find", lambda where: with_dropout)
    config = tiny_config(mri_root, epochs=2)
    (whole, _), (resumed, _) = trained_whole_and_resumed(cache, config, tmp_path, monkeypatch)
    assert weights_of(whole) == weights_of(resumed)
    layers = [type(layer) for layer in read_network(whole.best).layers]
    assert keras.layers.Dropout in layers


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (keras.layers.GaussianNoise(0.1), "holds 'GaussianNoise' of keras.layers"),
        (keras.Sequential([keras.layers.ReLU()], name="inner"), "holds"),
    ],
)
def test_a_network_that_could_not_be_read_again_is_refused_before_it_is_trained(
    cache, mri_root, tmp_path, monkeypatch, layer, words
):
    monkeypatch.setattr(
        networks, "find", lambda where: lambda *shape, **_: plain_network(*shape, layer=layer)
    )
    job = make_job(cache, tmp_path)
    with pytest.raises(UserError, match=f"unet_advanced: {words}.*BLOCKS of members/network_file"):
        train(job, tiny_config(mri_root))
    assert not job.last.exists()


@pytest.mark.usefixtures("small")
def test_early_stopping_ends_after_its_patience(cache, mri_root, tmp_path, monkeypatch):
    monkeypatch.setattr(
        training,
        "case_scores",
        lambda *_: {"val_dice": 0.5, "val_accuracy": 0.5, "val_cross_entropy": 1.0},
    )
    config = tiny_config(mri_root, epochs=9, early_stopping=1)
    state = train(make_job(cache, tmp_path), config)
    assert (state.epoch, state.best_epoch, state.finished) == (2, 1, True)


@pytest.mark.usefixtures("small")
def test_a_plateau_lowers_the_learning_rate(cache, mri_root, tmp_path, monkeypatch):
    scores = {"val_dice": 0.5, "val_accuracy": 0.5, "val_cross_entropy": 1.0}
    monkeypatch.setattr(training, "case_scores", lambda *_: scores)
    settings = {"schedule": "constant", "warmup": 0, "reduce_lr": 1, "reduce_lr_factor": 0.5}
    state = train(make_job(cache, tmp_path), tiny_config(mri_root, epochs=4, **settings))
    assert [row["learning_rate"] for row in state.history] == pytest.approx(
        [0.01, 0.01, 0.005, 0.0025]
    )


def test_a_polynomial_schedule_falls_to_nothing():
    settings = tiny_config("x", schedule="polynomial", warmup=0, epochs=4).train
    rate = build_optimizer(settings, steps=5)._learning_rate
    assert [float(rate(step)) for step in (0, 10, 20)] == pytest.approx([0.01, 0.01 * 0.5**0.9, 0])


@pytest.mark.usefixtures("small")
def test_a_loss_that_is_not_finite_stops_with_advice(cache, mri_root, tmp_path):
    config = tiny_config(mri_root, learning_rate=1e30, schedule="constant", optimizer="sgd")
    with pytest.raises(UserError, match=r"loss became .* epoch .*learning_rate"):
        train(make_job(cache, tmp_path), config)


def test_a_checkpoint_of_another_architecture_is_refused(cache, mri_root, tmp_path):
    job, narrow = make_job(cache, tmp_path), tiny_config(mri_root)
    model = build_member(job.member, narrow, job.classes)
    save_training(model, job.last, TrainingState(epoch=1, best=0.1, best_epoch=1))
    wider = narrow.model_dump()
    wider["networks"]["unet_advanced"]["filters"] = 8
    with pytest.raises(UserError, match=r"last\.keras: checkpoint of another architecture"):
        train(job, Config.model_validate(wider))


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "last.keras"
    path.write_bytes(b"not a zip file")
    with pytest.raises(UserError, match=r"last\.keras: not a checkpoint"):
        read_state(path)
