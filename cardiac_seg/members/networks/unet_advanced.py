"""The advanced U-Net: residual blocks and transposed convolutions."""

import keras
from keras import layers

from cardiac_seg.members.networks.blocks import batch_norm, conv_bn_relu, softmax_head

LEVELS = 5


def residual_block(x, filters: int, dropout: float = 0.0):
    """Two 3x3 convolutions added to a (projected) shortcut (He et al. 2016).

    Args:
        x: (batch, height, width, channels) tensor.
        filters: Number of output channels.
        dropout: Rate of the spatial dropout between the two convolutions; 0 leaves it out.

    Returns:
        (batch, height, width, filters) tensor.
    """
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal")(x)
        shortcut = batch_norm(shortcut)
    x = conv_bn_relu(x, filters)
    if dropout:
        x = layers.SpatialDropout2D(dropout)(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = batch_norm(x)
    return layers.ReLU()(layers.Add()([x, shortcut]))


def unet_advanced(
    input_shape: tuple[int | None, int | None, int],
    classes: int,
    filters: int = 64,
    dropout: float = 0.3,
) -> keras.Model:
    """Residual U-Net of five levels, `filters` to 16 * `filters` channels.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 16, or None
            for any such.
        classes: Number of classes, background included.
        filters: Channels of the first level; 64 gives 64, 128, 256, 512, 1024.
        dropout: Rate of spatial dropout in the two deepest levels.

    Returns:
        A model from (batch, height, width, channels) images to
        (batch, height, width, classes) float32 probabilities.

    Example:
        >>> unet_advanced((64, 64, 1), classes=4, filters=8).output_shape
        (None, 64, 64, 4)
    """
    widths = [filters * 2**level for level in range(LEVELS)]
    inputs = keras.Input(input_shape, name="image")

    x, skips = inputs, []
    for level, width in enumerate(widths):
        x = residual_block(x, width, dropout if level >= LEVELS - 2 else 0.0)
        if level < LEVELS - 1:
            skips.append(x)
            x = layers.MaxPooling2D()(x)

    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(x)
        x = layers.Concatenate()([skip, x])
        x = residual_block(x, width)

    return keras.Model(inputs, softmax_head(x, classes, "probabilities"), name="unet_advanced")
