"""The deep improved U-Net: dense blocks, a multi-scale bottleneck, deep supervision."""

import keras
from keras import layers

from cardiac_seg.members.networks.blocks import conv_bn_relu, softmax_head

LEVELS = 6
DILATIONS = (1, 2, 4)
SUPERVISED_LEVELS = (1, 2)  # half and quarter resolution


def dense_block(x, filters: int, convolutions: int = 2):
    """Convolutions that each see all earlier outputs, closed by a 1x1 transition (Huang 2017).

    Args:
        x: (batch, height, width, channels) tensor.
        filters: Number of output channels; each 3x3 convolution adds half as many.
        convolutions: Number of 3x3 convolutions.

    Returns:
        (batch, height, width, filters) tensor.
    """
    # Entering narrow keeps the concatenations, and with them the cost, small after a skip.
    outputs = [conv_bn_relu(x, filters // 2, kernel_size=1)] if x.shape[-1] > filters else [x]
    for _ in range(convolutions):
        seen = layers.Concatenate()(outputs) if len(outputs) > 1 else outputs[0]
        outputs.append(conv_bn_relu(seen, filters // 2))
    return conv_bn_relu(layers.Concatenate()(outputs), filters, kernel_size=1)


def multi_scale_block(x, filters: int, dropout: float):
    """Parallel dilated convolutions, joined: context of several sizes at one resolution.

    Args:
        x: (batch, height, width, channels) tensor.
        filters: Number of output channels.
        dropout: Rate of the spatial dropout on the joined scales; 0 leaves it out.

    Returns:
        (batch, height, width, filters) tensor.
    """
    scales = [conv_bn_relu(x, filters // 2, dilation=rate) for rate in DILATIONS]
    x = layers.Concatenate()([*scales, conv_bn_relu(x, filters // 2, kernel_size=1)])
    if dropout:
        x = layers.SpatialDropout2D(dropout)(x)
    return conv_bn_relu(x, filters, kernel_size=1)


def deep_unet_improved(
    input_shape: tuple[int | None, int | None, int],
    classes: int,
    filters: int = 64,
    dropout: float = 0.3,
    deep_supervision: bool = True,
) -> keras.Model:
    """Dense U-Net of six levels, `filters` to 16 * `filters` channels.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 32, or None
            for any such.
        classes: Number of classes, background included.
        filters: Channels of the first level; 64 gives 64, 128, 256, 512, 1024, 1024.
        dropout: Rate of spatial dropout in the multi-scale bottleneck.
        deep_supervision: Adds outputs from half and quarter resolution, for training.

    Returns:
        A model from (batch, height, width, channels) images to
        (batch, height, width, classes) float32 probabilities; with `deep_supervision`
        to a list of three of them, the full-resolution one first.

    Example:
        >>> deep_unet_improved((64, 64, 1), 4, filters=8, deep_supervision=False).output_shape
        (None, 64, 64, 4)
    """
    widths = [filters * 2 ** min(level, 4) for level in range(LEVELS)]
    inputs = keras.Input(input_shape, name="image")

    x, skips = conv_bn_relu(inputs, filters), []
    for width in widths[:-1]:
        x = dense_block(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)

    x = multi_scale_block(x, widths[-1], dropout)

    supervised = []
    for level in reversed(range(LEVELS - 1)):
        # 1x1 before upsampling: the same function as after it, at a quarter of the cost.
        x = layers.Conv2D(widths[level], 1, kernel_initializer="he_normal")(x)
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = dense_block(layers.Concatenate()([skips[level], x]), widths[level])
        if deep_supervision and level in SUPERVISED_LEVELS:
            supervised.append(softmax_head(x, classes, f"level{level}", upsample=2**level))

    outputs = softmax_head(x, classes, "probabilities")
    if deep_supervision:
        outputs = [outputs, *reversed(supervised)]
    return keras.Model(inputs, outputs, name="deep_unet_improved")
