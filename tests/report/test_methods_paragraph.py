"""How a report and a model card speak of the networks: what they share, and where they differ."""

from typing import get_args

import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import LOSS_TITLES, External, Section
from cardiac_seg.config.sections.train import Train
from cardiac_seg.members.losses import LOSSES
from cardiac_seg.report import methods


def changed(run, *settings):
    return load_config(run().folder / "config.yaml", settings)


def test_networks_with_the_same_settings_are_named_with_their_filters(run):
    config = changed(run)
    assert methods.describe_members(config) == [
        *("unet_advanced (64 filters)", "deep_unet_improved (64 filters)")
    ]


def test_what_differs_is_said_of_each_network(run):
    own = "{preprocess: {spacing: 2.0}, train: {loss: focal}, augment: {rotation: 15}}"
    config = changed(run, f"networks.unet_advanced={own}")
    assert methods.describe_members(config) == [
        "unet_advanced (64 filters; 192 x 192 pixels at 2 mm; focal loss; augment.rotation 15.0)",
        "deep_unet_improved (64 filters; 192 x 192 pixels at 1.5 mm; Dice plus cross-entropy; "
        "augment.rotation 0.0)",
    ]


def test_an_override_that_all_share_is_no_difference(run):
    every = [f"networks.{m}.train={{epochs: 7}}" for m in ("unet_advanced", "deep_unet_improved")]
    config = changed(run, *every)
    assert not [text for text in methods.describe_members(config) if "epochs" in text]


def test_a_network_of_volumes_is_told_with_its_patch(run):
    grid = "preprocess.size=[256, 224]"
    config = changed(run, "members=[unet_advanced, unet_3d]", "networks.unet_3d.filters=16", grid)
    assert methods.describe_members(config)[1] == (
        "unet_3d (16 filters; patches of 20 x 256 x 224 voxels, slices brought to 5 mm)"
    )


def test_a_network_need_not_have_filters(run):
    class Plain(Section):
        preprocess: dict = {}
        augment: dict = {}
        train: dict = {}

    config = changed(run)
    networks = config.networks | {"unet_advanced": Plain()}
    config = config.model_copy(update={"networks": networks})
    assert methods.describe_members(config)[0] == "unet_advanced"


@pytest.mark.parametrize("names", [LOSSES, get_args(Train.model_fields["loss"].annotation)])
def test_every_loss_has_a_title(names):
    assert set(LOSS_TITLES) == set(names)


def test_maps_of_another_program_are_told_with_whose_word_is_taken_for_them():
    made = "softmax maps that another program made, brought to the ensemble's grid"
    known = External(kind="external", maps="m", trained_on="splits_final.json")
    assert methods.describe_maps(known) == made
    unknown = External(kind="external", maps="m")
    assert methods.describe_maps(unknown) == f"{made}; training set unknown"
    vouched = External(kind="external", maps="m", vouch_for_test=True)
    assert methods.describe_maps(vouched).endswith("is the user's word")
