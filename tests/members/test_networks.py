"""The two networks: shapes, probabilities, what makes each what it is."""

import keras
import numpy as np
import pytest
from keras import layers

from cardiac_seg.config.registry import NETWORKS, find
from cardiac_seg.members.networks.deep_unet_improved import DILATIONS, deep_unet_improved
from cardiac_seg.members.networks.unet_advanced import unet_advanced


def convolutions(model, kind=layers.Conv2D):
    return [layer for layer in model.layers if type(layer) is kind]


@pytest.mark.parametrize("name", NETWORKS)
def test_output_is_a_probability_map_of_the_input_size(name):
    model = find(NETWORKS[name])((64, 32, 1), 4, filters=4)
    images = np.random.default_rng(0).normal(size=(2, 64, 32, 1)).astype(np.float32)
    outputs = model(images)
    for output in outputs if isinstance(outputs, list) else [outputs]:
        output = keras.ops.convert_to_numpy(output)
        assert output.shape == (2, 64, 32, 4) and output.dtype == np.float32
        np.testing.assert_allclose(output.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
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
