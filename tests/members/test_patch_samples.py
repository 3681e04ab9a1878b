"""Patches of stacks: where they lie, what they hold, and a training on them that is resumed."""

import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from cardiac_seg.config.sections import Config, Unet3D
from cardiac_seg.grid.cache import Cache, CachedCase, CaseSet
from cardiac_seg.grid.resample import Grid
from cardiac_seg.members import training
from cardiac_seg.members.batches import TrainingBatches
from cardiac_seg.members.patch_samples import PatchSamples
from cardiac_seg.members.slice_samples import ANYWHERE
from cardiac_seg.members.training import TrainingJob, train
from cardiac_seg.members.training_state import save_training
from tests.support.little_training import eagerly

SIDE = 48
LITTLE = {
    "filters": 4,
    "features": [32, 64, 64],
    "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "slice_spacing": None,
}


def little_config(patch=(4, 16, 16), field="image", train=None, **network) -> Config:
    return Config.model_validate(
        {
            "members": ["unet_3d"],
            "data": {"dataset": "acdc", "root": "unused"},
            "preprocess": {"spacing": 2.0, "size": [32, 32], "field": field},
            "networks": {"unet_3d": {**LITTLE, "patch": patch, **network}},
            "train": {"batch_size": 2, "epochs": 2, "warmup": 0, "precision": "float32"}
            | (train or {}),
            "stacking": {"learners": []},
        }
    )


def little_cache(slices=(9, 3), slice_spacing=10.0) -> Cache:
    """A block of label 1 and a small one of label 2; the image is 60 times the label, plus 10."""
    label = np.zeros((sum(slices), SIDE, SIDE), np.uint8)
    cases, start = {}, 0
    grid = Grid((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE), (2.0, 2.0))
    for number, count in enumerate(slices):
        stop, name = start + count, f"p{number}_ED"
        label[start + 1 : stop - 1, 14:30, 20:36] = 1
        label[stop - 2, 32:36, 20:24] = 2
        cases[name] = CachedCase(
            *(name, f"p{number}", start, stop, 20.0, 20.0, grid, slice_spacing),
            *([np.bincount(p.ravel(), minlength=4).tolist() for p in label[start:stop]], 1, 0),
        )
        start = stop
    return Cache(60 * label + 10, label, cases)


def samples_of(cache, config, **changes) -> PatchSamples:
    settings = config.networks["unet_3d"].model_copy(update=changes)
    return PatchSamples(CaseSet(cache, list(cache.cases.values())), config, settings)


@pytest.mark.parametrize("field", ["image", "heart"])
def test_a_patch_holds_image_and_label_of_the_same_place(field):
    samples = samples_of(little_cache(), little_config(field=field))
    for seed in range(40):
        image, label = samples.draw(seed % 2, np.random.default_rng(seed))
        assert image.shape == label.shape == (4, 16, 16)
        pixels = image * 20 + 20
        shown = pixels.round() != 20  # zeros beyond the stack and outside the image
        inside = pixels.round() >= 10
        np.testing.assert_allclose(
            pixels[shown & inside], 60.0 * label[shown & inside] + 10, atol=0.1
        )
        assert not label[~inside].any()


def test_a_stack_with_fewer_slices_lies_in_the_middle_of_zeros_as_in_prediction():
    samples = samples_of(little_cache(), little_config(patch=(8, 16, 16)))
    image, label = samples.draw(1, np.random.default_rng(0))
    empty = [k for k in range(8) if not image[k].any()]
    assert empty == [0, 1, 5, 6, 7] and not label[empty].any()  # 3 of 8: 5 // 2 before


def test_what_is_turned_beyond_the_stack_has_no_label_either():
    config = little_config(patch=(16, 32, 32))
    augment = config.augment.model_copy(update={"rotation": 40.0})
    samples = samples_of(little_cache((9,), 4.0), config.model_copy(update={"augment": augment}))
    assert samples.stacks[0].anisotropy == 2.0  # fine enough to be turned out of plane
    for seed in range(10):
        image, label = samples.draw(0, np.random.default_rng(seed))
        empty = [k for k in range(16) if not image[k].any()]
        assert len(empty) == 7 and not label[empty].any() and label.any()


def test_foreground_patches_lie_about_a_random_structure():
    always = samples_of(little_cache((9,)), little_config(), foreground=1.0)
    never = samples_of(little_cache((9,)), little_config(), foreground=0.0)
    held = {
        name: np.mean([np.any(s.draw(0, np.random.default_rng(k))[1] == 2) for k in range(300)])
        for name, s in (("always", always), ("never", never))
    }
    # Label 2 is the middle of every second patch, though it has one voxel in a hundred.
    assert held["always"] > 0.45 and held["never"] < 0.3, held
    assert all(np.any(always.draw(0, np.random.default_rng(k))[1]) for k in range(30))


def test_with_a_field_about_the_heart_patches_lie_about_it_in_plane():
    samples = samples_of(little_cache((9,)), little_config(field="heart"), foreground=0.0)
    held = 0
    for seed in range(60):
        _, label = samples.draw(0, np.random.default_rng(seed))
        held += bool((label > 0).any(axis=0)[6:10, 6:10].all())
    assert 1 - ANYWHERE - 0.2 < held / 60 <= 1


def test_the_network_sees_slices_at_its_own_distance():
    samples = samples_of(little_cache((4,)), little_config(patch=(8, 16, 16)), slice_spacing=5.0)
    assert samples.stacks[0].rows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert samples.stacks[0].anisotropy == 2.5
    image, _ = samples.draw(0, np.random.default_rng(0))
    assert np.array_equal(image[0::2], image[1::2])


def test_each_output_gets_the_label_at_its_own_resolution():
    settings = Unet3D(
        **LITTLE
        | {"features": [32] * 4, "patch": [4, 16, 16]}
        | {
            "kernels": [[1, 3, 3]] * 4,
            "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]],
        }
    )
    assert settings.output_strides == ((1, 1, 1), (1, 2, 2))
    samples = samples_of(little_cache(), little_config())
    samples.settings = settings
    label = np.arange(2 * 4 * 16 * 16, dtype=np.uint16).reshape(2, 4, 16, 16)
    fine, coarse = samples.labels_of_outputs(label)
    assert fine.shape == (2, 4, 16, 16) and coarse.shape == (2, 4, 8, 8)
    assert coarse[1, 2, 3, 4] == label[1, 2, 7, 9]


def test_a_batch_has_a_stack_for_each_patch():
    config = little_config()
    image, label = TrainingBatches(samples_of(little_cache(), config), config.train, [0])[0]
    assert image.shape == (2, 4, 16, 16, 1) and label.shape == (2, 4, 16, 16)


def test_a_resumed_training_on_patches_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    two = {key: LITTLE[key][:2] for key in ("features", "kernels", "strides")}
    config = little_config(dropout=0.2, train={"steps": 2}, **two)
    cache = little_cache((5, 4, 3))
    cases = list(cache.cases.values())

    def job(name):
        folder = tmp_path / name
        paths = (folder / "models", folder / "history.csv", folder / "tensorboard")
        return TrainingJob(
            *("unet_3d", "full", *paths, 4), CaseSet(cache, cases[:2]), CaseSet(cache, cases[2:])
        )

    whole, resumed = job("whole"), job("resumed")

    def save_and_copy_first_epoch(model, last, state, *seen):
        save_training(model, last, state, *seen)
        if state.epoch == 1 and last == whole.last:
            shutil.copytree(whole.folder, resumed.folder)

    monkeypatch.setattr(training, "save_training", save_and_copy_first_epoch)
    with eagerly():
        states = [train(whole, config), train(resumed, config)]
    rows = [[{**row, "seconds": 0} for row in state.history] for state in states]
    assert rows[0] == rows[1] and len(rows[0]) == 2

    def weights(one):
        with zipfile.ZipFile(one.last) as archive:
            return archive.read("model.weights.h5")

    assert weights(whole) == weights(resumed)
    assert replace(whole).best.is_file()
