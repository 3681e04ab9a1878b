"""Maps of stacks: one patch exactly, several by their weights, other slice distances."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cardiac_seg.config.sections import Unet3D
from cardiac_seg.members.sliding_window import (
    LEAST_WEIGHT,
    gaussian_weight,
    patch_starts,
    predict_stack,
    predict_stacks,
)

PATCH = (4, 8, 6)


@pytest.fixture(scope="module")
def network():
    """Two classes; its kernel sees one voxel, so that patches agree wherever they lie."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*PATCH, 1))
    return keras.Model(image, layers.Conv3D(2, 1, activation="softmax")(image))


@pytest.fixture(scope="module")
def lopsided():
    """Its kernel has no symmetry and sees a patch's edges."""
    keras.utils.set_random_seed(1)
    image = keras.Input((*PATCH, 1))
    return keras.Model(image, layers.Conv3D(2, 3, padding="same", activation="softmax")(image))


def stack(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def said_by(network, patch):
    """What the network says of one patch."""
    return np.asarray(network.predict_on_batch(patch[None, ..., None]))[0]


def test_a_patch_that_covers_the_stack_gives_exactly_what_the_network_says(lopsided):
    image = stack(*PATCH)
    made = predict_stack(lopsided, image, PATCH, 0.5)
    assert np.array_equal(made, said_by(lopsided, image))


def test_a_smaller_stack_lies_in_the_middle_of_zeros(lopsided):
    image = stack(3, 5, 6)
    padded = np.zeros(PATCH, np.float32)
    padded[0:3, 1:6] = image
    expected = said_by(lopsided, padded)[0:3, 1:6]
    assert np.array_equal(predict_stack(lopsided, image, PATCH, 0.5), expected)


@pytest.mark.parametrize("shape", [(5, 9, 6), (11, 8, 17), (2, 20, 13)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_patches_that_agree_leave_no_seam(network, shape, overlap):
    image = stack(*shape)
    made = predict_stack(network, image, PATCH, overlap)
    kernel, bias = (np.asarray(w) for w in network.get_weights())
    scores = image[..., None] * kernel.reshape(1, -1) + bias
    softmax = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(made, softmax, atol=1e-5)


def test_patches_count_by_the_gaussian_about_their_middles(lopsided):
    image = stack(6, 8, 6)
    two = [
        np.asarray(lopsided.predict_on_batch(p[None, ..., None]))[0] for p in (image[:4], image[2:])
    ]
    weight = gaussian_weight(PATCH)[..., None]
    made = predict_stack(lopsided, image, PATCH, 0.5)
    np.testing.assert_allclose(made[:2], two[0][:2], atol=1e-6)
    both = (weight[2:] * two[0][2:] + weight[:2] * two[1][:2]) / (weight[2:] + weight[:2])
    np.testing.assert_allclose(made[2:4], both, atol=1e-6)


def test_mirror_images_are_turned_back_and_averaged(lopsided):
    image = stack(*PATCH)
    turned = [
        np.flip(predict_stack(lopsided, np.flip(image, a), PATCH, 0.5), a) for a in (1, 2, (1, 2))
    ]
    expected = np.mean([predict_stack(lopsided, image, PATCH, 0.5), *turned], axis=0)
    np.testing.assert_allclose(
        predict_stack(lopsided, image, PATCH, 0.5, "both"), expected, atol=1e-6
    )


def test_the_network_sees_slices_at_its_own_distance(network):
    settings = Unet3D(
        features=(32, 64), kernels=((1, 3, 3),) * 2, strides=((1, 1, 1), (1, 2, 2)), patch=PATCH
    )
    image = stack(5, 8, 6)
    ((key, made),) = predict_stacks(network, [("a", image, 10.0)], settings)
    assert key == "a" and made.shape == (5, 8, 6, 2) and made.dtype == np.float16
    # Each slice was seen twice, by a network that looks at no other.
    np.testing.assert_allclose(made, predict_stack(network, image, PATCH, 0.5), atol=1e-3)


@given(st.integers(1, 60), st.integers(1, 20), st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_patches_cover_an_axis_and_overlap_by_as_much_as_is_wanted(length, side, overlap):
    length = max(length, side)
    starts = patch_starts(length, side, overlap)
    assert starts[0] == 0 and starts[-1] == length - side
    gaps = np.diff(starts)
    assert (gaps > 0).all() and (gaps <= max(1, int(side * (1 - overlap)))).all()


def test_weights_fall_from_the_middle_and_never_to_nothing():
    weight = gaussian_weight((20, 256, 224))
    assert (
        weight.dtype == np.float32
        and weight.max() == 1
        and weight.min() == np.float32(LEAST_WEIGHT)
    )
    assert weight[10, 128, 112] > weight[10, 128, 150] > weight[10, 200, 200]
