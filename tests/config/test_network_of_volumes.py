"""The keys of the three-dimensional network, and what is refused of them."""

import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.data.registry import check_config
from cardiac_seg.system.errors import UserError

THREE_D = """
data: {dataset: acdc, root: somewhere}
members: [unet_advanced, unet_3d]
preprocess: {size: [256, 224]}
"""


def load(folder, text):
    path = folder / "config.yaml"
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("patch: [20, 100, 224]", "networks.unet_3d.patch: 100 is not a multiple of 32"),
        ("patch: [10, 96, 96]", "networks.unet_3d.patch: 10 is not a multiple of 4"),
        ("features: [32, 64]", "networks.unet_3d.kernels: 6 entries, but features has 2"),
        (
            "strides: [[1, 2, 2], [1, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]",
            r"networks.unet_3d.strides: the first is \[1, 2, 2\]",
        ),
        ("kernels: [[3, 3]]", "networks.unet_3d.kernels"),
        ("overlap: 1.0", "networks.unet_3d.overlap: 1.0 is not allowed"),
        ("patches: 3", "networks.unet_3d.patches: unknown key"),
    ],
)
def test_mistakes_in_a_network_of_volumes_are_named(tmp_path, keys, words):
    with pytest.raises(UserError, match=words):
        load(tmp_path, THREE_D + f"networks: {{unet_3d: {{{keys}}}}}\n")


def test_a_network_of_volumes_is_refused_for_single_images(tmp_path):
    echo = "data: {dataset: camus, root: somewhere}\nmembers: [unet_advanced, unet_3d]\n"
    with pytest.raises(UserError) as caught:
        check_config(load(tmp_path, echo))
    assert str(caught.value) == (
        "members: unet_3d sees stacks of slices, camus has single images; leave it out"
    )


def test_a_patch_larger_than_the_grid_is_refused(tmp_path):
    keys = "networks: {unet_3d: {patch: [20, 256, 256]}}\n"
    with pytest.raises(UserError) as caught:
        check_config(load(tmp_path, THREE_D + keys))
    assert str(caught.value) == (
        "networks.unet_3d.patch: [256, 256] in plane is larger than the grid, preprocess.size "
        "[256, 224]; use a smaller patch or networks.unet_3d.preprocess.size"
    )


def test_a_network_of_volumes_has_what_nnu_net_plans_for_acdc(tmp_path):
    network = load(tmp_path, THREE_D).networks["unet_3d"]
    assert network.architecture["features"] == (32, 64, 128, 256, 320, 320)
    assert network.patch == (20, 256, 224) and network.slice_spacing == 5.0
    assert network.output_strides == ((1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8))
