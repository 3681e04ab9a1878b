"""Floating-point operations of a Keras network, counted from its layers' shapes."""

from math import prod

import keras

# Backpropagation does the work twice more: gradients of the inputs and of the weights.
TRAINING = 3


def network_flops(network: keras.Model, size: tuple[int, int] | None = None) -> int:
    """Operations of one image through a network; a multiplication with its addition is two.

    Convolutions and dense layers are counted, which are all but a percent of a U-Net's work;
    biases, normalisation and activations are not.

    Args:
        network: Of layers that are each used once.
        size: (height, width) of the image, for a network that takes any.
    """
    if size:
        image = keras.Input((*size, network.inputs[0].shape[-1]))
        # Without its loss: a clone of a compiled network would have to store it.
        bare = keras.Model(network.inputs[0], network.outputs)
        network = keras.models.clone_model(bare, input_tensors=image)
    return sum(layer_flops(layer) for layer in network.layers)


def layer_flops(layer: keras.Layer) -> int:
    """Operations of one image through a layer; 0 for one that is not counted."""
    if isinstance(layer, keras.Model):
        return network_flops(layer)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        # Every input pixel is spread over the kernel.
        return 2 * _pixels(layer.input) * prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Conv2D):
        # The kernel's shape holds the channels of one group, which are what an output sees.
        return 2 * _pixels(layer.output) * prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Dense):
        return 2 * _pixels(layer.output) * prod(layer.kernel.shape)
    return 0


def _pixels(tensor) -> int:
    """Positions of a (batch, ..., channels) tensor of one image."""
    return prod(tensor.shape[1:-1])
