"""The networks: shapes, probabilities, what makes each what it is."""

import keras
import numpy as np
import pytest
from keras import layers

from cardiac_seg.config.registry import NETWORKS, find
from cardiac_seg.config.sections import Unet3D
from cardiac_seg.members.networks.deep_unet_improved import DILATIONS, deep_unet_improved
from cardiac_seg.members.networks.unet_3d import unet_3d
from cardiac_seg.members.networks.unet_advanced import unet_advanced

OF_PLANES = [name for name in NETWORKS if name != "unet_3d"]


def convolutions(model, kind=layers.Conv2D):
    return [layer for layer in model.layers if type(layer) is kind]


@pytest.mark.parametrize("name", OF_PLANES)
def test_output_is_a_probability_map_of_the_input_size(name):
    model = find(NETWORKS[name])((64, 32, 1), 4, filters=4)
    images = np.random.default_rng(0).normal(size=(2, 64, 32, 1)).astype(np.float32)
    outputs = model(images)
    for output in outputs if isinstance(outputs, list) else [outputs]:
        output = keras.ops.convert_to_numpy(output)
        assert output.shape == (2, 64, 32, 4) and output.dtype == np.float32
        np.testing.assert_allclose(output.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", OF_PLANES)
def test_filters_set_the_width_from_first_level_to_sixteen_times_it(name):
    model = find(NETWORKS[name])((32, 32, 1), 4, filters=4)
    widths = {layer.filters for layer in convolutions(model)}
    assert max(widths) == 64
    assert {4, 8, 16, 32, 64} <= widths


def test_unet_advanced_adds_shortcuts_and_transposes_convolutions():
    model = unet_advanced((32, 32, 1), 4, filters=4)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(layers.Add) == 9  # one a block: five down, four up
    assert kinds.count(layers.Conv2DTranspose) == 4
    assert kinds.count(layers.SpatialDropout2D) == 2


def test_deep_unet_is_one_level_deeper_with_parallel_dilations():
    model = deep_unet_improved((32, 32, 1), 4, filters=4)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(layers.MaxPooling2D) == 5
    dilations = {layer.dilation_rate[0] for layer in convolutions(model)}
    assert dilations == set(DILATIONS)
    hidden = [layer for layer in convolutions(model) if not layer.name.endswith("_scores")]
    assert all(
        isinstance(layer.kernel_initializer, keras.initializers.HeNormal) for layer in hidden
    )


def test_deep_supervision_can_be_switched_off():
    assert len(deep_unet_improved((32, 32, 1), 4, filters=4).outputs) == 3
    assert len(deep_unet_improved((32, 32, 1), 4, filters=4, deep_supervision=False).outputs) == 1


def little_3d(**keys) -> Unet3D:
    """Three stages for patches of 4 x 16 x 8."""
    strides, kernels = ((1, 1, 1), (1, 2, 2), (2, 2, 2)), ((1, 3, 3), (3, 3, 3), (3, 3, 3))
    few = {"filters": 4, "features": (32, 64, 80), "strides": strides, "kernels": kernels}
    return Unet3D(**(few | {"patch": (4, 16, 8)} | keys))


def test_the_network_of_volumes_is_what_nnu_net_plans_for_acdc():
    settings = Unet3D()
    assert settings.architecture["features"] == (32, 64, 128, 256, 320, 320)
    model = unet_3d(settings.input_shape, 4, **settings.architecture)
    assert [output.shape[1:] for output in model.outputs] == [
        *((20, 256, 224, 4), (20, 128, 112, 4), (10, 64, 56, 4), (5, 32, 28, 4))
    ]
    deepest = [layer for layer in convolutions(model, layers.Conv3D) if layer.filters == 320]
    assert deepest[-1].output.shape[1:4] == (5, 16, 14) or len(deepest) > 2
    assert min(layer.output.shape[2] for layer in deepest) == 8
    first, second = convolutions(model, layers.Conv3D)[:2]
    assert first.kernel_size == second.kernel_size == (1, 3, 3)
    assert len(convolutions(model, layers.Conv3DTranspose)) == 5
    # Two of each stage down (six) and up (five), and four outputs.
    assert len(convolutions(model, layers.Conv3D)) == 2 * 6 + 2 * 5 + 4


@pytest.mark.parametrize("keys", [{}, {"residual": True}, {"dropout": 0.2, "convolutions": 1}])
def test_a_network_of_volumes_gives_a_map_for_each_of_its_levels(keys):
    settings = little_3d(**keys)
    model = unet_3d(settings.input_shape, 3, **settings.architecture)
    image = np.random.default_rng(0).normal(size=(2, 4, 16, 8, 1)).astype(np.float32)
    outputs = model(image)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    assert len(outputs) == len(settings.output_strides) == 1
    for output, steps in zip(outputs, settings.output_strides, strict=True):
        maps = keras.ops.convert_to_numpy(output)
        assert maps.shape[1:4] == tuple(a // b for a, b in zip((4, 16, 8), steps, strict=True))
        np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-5)


def test_filters_scale_all_features():
    assert little_3d(filters=8).architecture["features"] == (8, 16, 20)


def test_instance_normalisation_takes_gain_and_offset_of_an_image_away():
    settings = little_3d()
    model = unet_3d(settings.input_shape, 3, **settings.architecture)
    image = np.random.default_rng(0).normal(size=(1, 4, 16, 8, 1)).astype(np.float32)
    one, other = (keras.ops.convert_to_numpy(model(x)) for x in (image, 50 * image))
    np.testing.assert_allclose(one, other, atol=1e-3)
