"""Maps from a network: batches across cases, mirror images."""

import keras
import numpy as np
import pytest
from keras import layers

from cardiac_seg.members.inference import predict_cases


@pytest.fixture
def network():
    """Two classes; its kernel has no symmetry, so every mirror image gives another answer."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 1))
    return keras.Model(image, layers.Conv2D(2, 3, padding="same", activation="softmax")(image))


def cases():
    rng = np.random.default_rng(1)
    return [(n, rng.normal(size=(n, 6, 8)).astype(np.float32)) for n in (1, 4, 2)]


def direct(network, image):
    """What the network says of a case, slice by slice."""
    return np.stack([np.asarray(network(plane[None, ..., None]))[0] for plane in image])


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batches_reach_across_cases(network, batch_size):
    found = dict(predict_cases(network, cases(), batch_size))
    for name, image in cases():
        assert found[name].dtype == np.float16
        np.testing.assert_allclose(found[name], direct(network, image), atol=1e-3)


@pytest.mark.parametrize("mirror, axes", [("horizontal", [2]), ("both", [2, 1, (1, 2)])])
def test_mirror_images_are_turned_back_and_averaged(network, mirror, axes):
    found = dict(predict_cases(network, cases(), 3, mirror))
    for name, image in cases():
        turned = [np.flip(direct(network, np.flip(image, a)), a) for a in axes]
        expected = np.mean([direct(network, image), *turned], axis=0)
        np.testing.assert_allclose(found[name], expected, atol=1e-3)
        assert abs(found[name] - direct(network, image)).max() > 0.05
