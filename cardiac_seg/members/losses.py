"""Losses on softmax maps and integer labels."""

import keras
from keras import ops

SMOOTH = 1e-5


def soft_dice_loss(label, probabilities):
    """1 - mean foreground soft Dice over the batch (Milletari et al. 2016).

    Sums run over the whole batch: a structure absent from one slice then does not count as a
    failure or a success of that slice.

    Args:
        label: (batch, height, width) integers.
        probabilities: (batch, height, width, classes) floats.

    Returns:
        Scalar in 0..1.
    """
    one_hot = ops.one_hot(ops.cast(label, "int32"), probabilities.shape[-1])
    one_hot = ops.cast(one_hot, probabilities.dtype)
    overlap = ops.sum(one_hot * probabilities, axis=(0, 1, 2))[1:]
    total = ops.sum(one_hot + probabilities, axis=(0, 1, 2))[1:]
    return 1 - ops.mean((2 * overlap + SMOOTH) / (total + SMOOTH))


def dice_cross_entropy(label, probabilities):
    """Soft Dice loss plus mean cross-entropy (nats); scalar."""
    cross_entropy = keras.losses.sparse_categorical_crossentropy(label, probabilities)
    return soft_dice_loss(label, probabilities) + ops.mean(cross_entropy)


def weighted_cross_entropy(class_weights: list[float]):
    """Cross-entropy in which each pixel counts by its class.

    Args:
        class_weights: One weight a class, background first.

    Returns:
        A loss of (label, probabilities), scalar in nats.
    """

    def loss(label, probabilities):
        cross_entropy = keras.losses.sparse_categorical_crossentropy(label, probabilities)
        weights = ops.take(
            ops.convert_to_tensor(class_weights, "float32"), ops.cast(label, "int32")
        )
        return ops.sum(weights * cross_entropy) / ops.sum(weights)

    return loss


def make_loss(name: str, class_pixels: list[int]):
    """The configured loss.

    Args:
        name: `dice_ce`, `ce` or `weighted_ce`.
        class_pixels: Training pixels of each class; `weighted_ce` weighs by the inverse square
            root of the frequency.
    """
    if name == "dice_ce":
        return dice_cross_entropy
    if name == "ce":
        return keras.losses.SparseCategoricalCrossentropy()
    weights = [(sum(class_pixels) / max(pixels, 1)) ** 0.5 for pixels in class_pixels]
    return weighted_cross_entropy([w * len(weights) / sum(weights) for w in weights])
