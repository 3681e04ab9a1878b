"""Pieces that both networks are made of."""

from keras import layers


def batch_norm(x):
    """Batch normalisation whose running statistics follow within tens of steps.

    Keras's default momentum of 0.99 needs hundreds, and validation lags that far behind.
    """
    return layers.BatchNormalization(momentum=0.9)(x)


def conv_bn_relu(x, filters: int, kernel_size: int = 3, dilation: int = 1):
    """Convolution without bias, batch normalisation, ReLU; he_normal weights.

    Args:
        x: (batch, height, width, channels) tensor.
        filters: Number of output channels.
        kernel_size: Side of the square kernel.
        dilation: Dilation rate of the kernel.

    Returns:
        (batch, height, width, filters) tensor.
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return layers.ReLU()(batch_norm(x))


def softmax_head(x, classes: int, name: str, upsample: int = 1):
    """1x1 convolution to class scores, brought to full resolution, softmax in float32.

    Args:
        x: (batch, height, width, channels) tensor.
        classes: Number of classes, background included.
        name: Name of the output.
        upsample: Factor from this level to the network grid.

    Returns:
        (batch, upsample * height, upsample * width, classes) float32 probabilities.
    """
    x = layers.Conv2D(classes, 1, name=f"{name}_scores")(x)
    if upsample > 1:
        x = layers.UpSampling2D(upsample, interpolation="bilinear", name=f"{name}_upsample")(x)
    # float32 whatever the precision policy: a bfloat16 softmax has three digits.
    return layers.Softmax(dtype="float32", name=name)(x)
