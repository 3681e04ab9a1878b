"""Maps from a network: batches across cases, mirror images, planes of several shapes."""

import gc
import weakref

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


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_cases_of_two_shapes_get_the_maps_that_each_gets_alone(network, batch_size):
    rng = np.random.default_rng(1)
    shapes = [(2, 6, 8), (3, 6, 8), (1, 12, 8), (4, 12, 8), (2, 6, 8)]
    images = [(k, rng.normal(size=shape).astype(np.float32)) for k, shape in enumerate(shapes)]
    found = list(predict_cases(network, iter(images), batch_size, "horizontal"))
    assert [key for key, _ in found] == [0, 1, 2, 3, 4]
    for (key, maps), (_, image) in zip(found, images, strict=True):
        ((_, alone),) = predict_cases(network, [(key, image)], 5, "horizontal")
        assert maps.shape == (*image.shape, 2)
        np.testing.assert_allclose(maps, alone, atol=1e-3)


def test_other_shapes_see_the_weights_as_they_are_now(network):
    rng = np.random.default_rng(1)
    images = [(k, rng.normal(size=(1, 6 * k, 8)).astype(np.float32)) for k in (1, 2)]
    before = dict(predict_cases(network, images, 2))
    network.set_weights([-w for w in network.get_weights()])
    for key, maps in predict_cases(network, images, 2):
        np.testing.assert_allclose(maps, direct(network, dict(images)[key]), atol=1e-3)
        assert abs(maps - before[key]).max() > 0.05


def test_a_network_is_let_go_after_it_saw_planes_of_two_shapes(tmp_path):
    image = keras.Input((None, None, 1))
    network = keras.Model(image, keras.layers.Conv2D(2, 3, activation="softmax")(image))
    network.save(tmp_path / "before.keras")
    planes = [(k, np.zeros((1, 6 * k, 8), np.float32)) for k in (1, 2)]
    assert len(list(predict_cases(network, planes, 2))) == 2
    network.save(tmp_path / "after.keras")
    read = keras.models.load_model(tmp_path / "after.keras", compile=False)
    assert len(read.layers) == len(network.layers) == 2
    kept = weakref.ref(network)
    del network, read
    gc.collect()
    assert kept() is None
