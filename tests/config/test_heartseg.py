"""nnU-Net's published protocol on ACDC, key by key, and what a split of all patients allows."""

import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.data.registry import check_config
from cardiac_seg.members.augmentation import ANISOTROPIC
from cardiac_seg.system.errors import UserError
from tests.support.paths import REPO

CONFIG = REPO / "configs" / "acdc_heartseg.yaml"


@pytest.fixture(scope="module")
def config():
    return load_config(CONFIG)


def test_the_network_and_its_patches_are_those_of_the_plan(config):
    check_config(config)
    assert config.members == ["unet_3d"]
    network = config.for_member("unet_3d").networks["unet_3d"]
    assert network.architecture == {
        "dropout": 0.0,
        "features": (32, 64, 128, 256, 320, 320),
        "kernels": ((1, 3, 3), *[(3, 3, 3)] * 5),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)),
        "convolutions": 2,
        "residual": False,
        "deep_supervision": True,
    }
    assert network.patch == (20, 256, 224)
    assert (network.slice_spacing, config.preprocess.spacing) == (5.0, 1.5625)
    assert (network.foreground, network.overlap) == (0.33, 0.5)
    assert not any((network.preprocess, network.augment, network.train))


def test_training_is_that_of_the_protocol(config):
    train = config.train
    assert (train.epochs, train.steps, train.batch_size) == (250, 250, 4)
    assert (train.optimizer, train.learning_rate, train.schedule) == ("sgd", 0.01, "polynomial")
    assert (train.weight_decay, train.loss, train.ema) == (3e-3, "dice_ce", 0)
    assert (train.early_stopping, train.reduce_lr, train.crop, train.start_from) == (
        0,
        0,
        *[None] * 2,
    )


def test_images_and_their_changes_are_near_those_of_the_protocol(config):
    preprocess, augment = config.preprocess, config.augment
    assert (preprocess.normalize, preprocess.clip, preprocess.field) == (
        "zscore",
        (0, 100),
        "image",
    )
    assert preprocess.size == (288, 288)  # the largest of 80 patients: 276 x 288
    assert (augment.symmetry, augment.rotation, augment.scale) == ("dihedral", 180, 0.3)
    assert (augment.gamma, augment.contrast, augment.blur) == (0.3, 0.25, 1)
    assert (augment.low_resolution, augment.noise) == (0.5, 0.08)
    for off in ("shift", "elastic", "slice_shift", "bias_field", "gain", "brightness", "shadow"):
        assert getattr(augment, off) == 0
    # So far apart are the slices that a stack is turned in plane alone.
    assert config.networks["unet_3d"].slice_spacing / preprocess.spacing > ANISOTROPIC


def test_prediction_and_split_are_those_of_fold_all(config):
    predict = config.predict
    assert (predict.checkpoint, predict.mirror) == ("last", "both")
    assert (predict.heart, predict.largest_component, predict.fill_holes) == ("off",) * 3
    assert (config.split.scheme, config.stacking.scheme) == ("all", "holdout")
    assert config.stacking.learners == [] and config.data.phases == ["ED", "ES"]
    held_out = load_config(CONFIG, ["split.scheme=random"])
    assert (held_out.split.validation, held_out.split.test) == (0.15, 0.15)


@pytest.mark.parametrize(
    "change",
    [
        ["members=[unet_advanced,unet_3d]"],
        ["members=[unet_advanced,unet_3d]", "stacking.learners=[logistic]"],
        ["members=[theirs]", "networks.theirs={kind: external, maps: m, trained_on: t}"],
        ["stacking.scheme=out_of_fold"],
        ["stacking.scheme=both"],
    ],
)
def test_all_patients_train_one_network_and_nothing_that_combines(change):
    with pytest.raises(UserError, match="split.scheme: all trains on every patient") as refused:
        load_config(CONFIG, change)
    assert "\n" not in str(refused.value) and "stacking.learners: []" in str(refused.value)
