"""The plain three-dimensional U-Net, as nnU-Net plans it for short-axis cine MRI."""

import keras
from keras import layers

Triple = tuple[int, int, int]
SLOPE = 0.01  # of the leaky ReLU where the input is negative


def conv_norm_relu(
    x, filters: int, kernel: Triple, stride: Triple = (1, 1, 1), active: bool = True
):
    """Convolution, instance normalisation, leaky ReLU.

    Args:
        x: (batch, slices, height, width, channels) tensor.
        filters: Number of output channels.
        kernel: Along slices, rows and columns.
        stride: The same.
        active: Whether the leaky ReLU follows.

    Returns:
        (batch, slices / stride, height / stride, width / stride, filters) tensor.
    """
    # A bias before the normalisation would be taken away by it.
    x = layers.Conv3D(
        filters, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    x = layers.GroupNormalization(groups=-1, epsilon=1e-5)(x)  # each channel is a group
    return layers.LeakyReLU(negative_slope=SLOPE)(x) if active else x


def residual_block(x, filters: int, kernel: Triple, stride: Triple):
    """Two convolutions and a shortcut (He et al. 2016), as in nnU-Net's residual encoder.

    Args:
        x, filters, kernel, stride: See `conv_norm_relu`.

    Returns:
        As `conv_norm_relu`.
    """
    shortcut = layers.AveragePooling3D(stride)(x) if max(stride) > 1 else x
    if x.shape[-1] != filters:
        shortcut = conv_norm_relu(shortcut, filters, (1, 1, 1), active=False)
    x = conv_norm_relu(x, filters, kernel, stride)
    x = conv_norm_relu(x, filters, kernel, active=False)
    return layers.LeakyReLU(negative_slope=SLOPE)(layers.Add()([x, shortcut]))


def unet_3d(
    input_shape: tuple[int, int, int, int],
    classes: int,
    features: tuple[int, ...],
    kernels: tuple[Triple, ...],
    strides: tuple[Triple, ...],
    convolutions: int = 2,
    residual: bool = False,
    dropout: float = 0.0,
    deep_supervision: bool = True,
) -> keras.Model:
    """U-Net of one stage for each entry of `features` (Isensee et al. 2021, PlainConvUNet).

    Args:
        input_shape: (slices, height, width, channels) of a patch; each side is a multiple of the
            product of its strides.
        classes: Number of classes, background included.
        features: Channels of each stage.
        kernels: (slices, rows, columns) of each stage's convolutions.
        strides: The same, of each stage's first convolution.
        convolutions: Convolutions in each stage, on the way down and up.
        residual: Whether the way down is made of residual blocks; `convolutions` of them a stage.
        dropout: Rate of spatial dropout at the end of the two deepest stages.
        deep_supervision: Adds outputs of the coarser stages but the coarsest, for training.

    Returns:
        A model from (batch, slices, height, width, channels) images to
        (batch, slices, height, width, classes) float32 probabilities; with `deep_supervision` to a
        list of them, each with the slices, height and width of its stage, the full ones first.
    """
    inputs = keras.Input(input_shape, name="image")
    x, skips, stages = inputs, [], len(features)
    for stage, (width, kernel, stride) in enumerate(zip(features, kernels, strides, strict=True)):
        for step in range(convolutions):
            block = residual_block if residual else conv_norm_relu
            x = block(x, width, kernel, stride if step == 0 else (1, 1, 1))
        if dropout and stage >= stages - 2:
            x = layers.SpatialDropout3D(dropout)(x)
        skips.append(x)

    outputs = []
    for stage in reversed(range(stages - 1)):
        stride, width = strides[stage + 1], features[stage]
        x = layers.Conv3DTranspose(width, stride, stride, kernel_initializer="he_normal")(x)
        x = layers.Concatenate()([skips[stage], x])
        for _ in range(convolutions):
            x = conv_norm_relu(x, width, kernels[stage])
        if stage == 0 or (deep_supervision and stage < stages - 2):
            name = f"stage{stage}" if stage else "probabilities"
            scores = layers.Conv3D(classes, 1, name=f"{name}_scores")(x)
            # float32 whatever the precision policy: a bfloat16 softmax has three digits.
            outputs.append(layers.Softmax(dtype="float32", name=name)(scores))
    outputs.reverse()
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name="unet_3d")
