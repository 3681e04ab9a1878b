"""A training that starts from another network's weights: what is copied, and what is not."""

import keras
import numpy as np
import pytest

from cardiac_seg.members import starting
from cardiac_seg.members.networks.blocks import conv_bn_relu, softmax_head
from cardiac_seg.members.starting import Start, put_weights, starting_weights
from cardiac_seg.system.errors import UserError

HEAD = "probabilities_scores"


def built(filters=4, classes=4, supervised=True):
    """A little network as a training builds it, with deep supervision and dropout."""
    keras.backend.clear_session()
    image = keras.Input((None, None, 1))
    x = deep = conv_bn_relu(keras.layers.MaxPooling2D()(conv_bn_relu(image, filters)), filters)
    x = keras.layers.SpatialDropout2D(0.5)(keras.layers.UpSampling2D()(x))
    outputs = [softmax_head(conv_bn_relu(x, filters), classes, "probabilities")]
    if supervised:
        outputs.append(softmax_head(deep, classes, "level1", upsample=2))
    return keras.Model(image, outputs, name="little")


@pytest.fixture
def source():
    """What is kept of a network: one output, see `export`."""
    network = built()
    return keras.Model(network.inputs, network.outputs[0], name=network.name)


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(starting.log, "info", lambda text, *values: lines.append(text % values))
    return lines


def put(source, network, same_labels=True):
    """The arrays of each layer before and after."""
    before = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    start = Start("runs/first", lambda: source, same_labels)
    put_weights(network, starting_weights(start), start, "little full")
    return before, {name: network.get_layer(name).get_weights() for name in before}


def same(one, other):
    """The layers whose arrays are equal; of batch normalisations, all that are new."""
    return {name for name in one if all(map(np.array_equal, one[name], other[name]))}


def test_all_layers_are_copied_but_the_heads_of_deep_supervision(source, said):
    for layer in source.layers:  # what a training leaves in batch normalisations too
        layer.set_weights([array + 1 for array in layer.get_weights()])
    kept = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    before, after = put(source, built())
    assert same(kept, after) == set(kept) == set(before) - {"level1_scores"}
    assert same(before, after) == {"level1_scores"}
    assert said == [
        "little full: starts from runs/first, 7 of 8 layers; random, not there: level1_scores"
    ]


def test_the_head_of_other_labels_stays_random(source, said):
    before, after = put(source, built(supervised=False), same_labels=False)
    assert np.array_equal(before[HEAD][0], after[HEAD][0])
    assert np.array_equal(after["conv2d_2"][0], source.get_layer("conv2d_2").get_weights()[0])
    assert said[0].endswith(
        f"6 of 7 layers; its head is left out, its labels are others; random, not there: {HEAD}"
    )


def test_the_head_of_another_number_of_classes_stays_random(source, said):
    before, after = put(source, built(classes=3, supervised=False))
    assert np.array_equal(before[HEAD][0], after[HEAD][0])
    assert said[0].endswith(f"6 of 7 layers; random, of another shape: {HEAD}")


def test_another_architecture_is_refused(source):
    with pytest.raises(UserError, match="runs/first: no layer of its network fits little full"):
        put(source, built(filters=8))
