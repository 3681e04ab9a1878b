"""Losses on softmax maps and integer labels, by the names that `train.loss` takes.

A loss is a function of (label, probabilities) that returns a scalar:

    label: (batch, [slices,] height, width) integers.
    probabilities: the same shape with a last axis of classes, floats; background is class 0.

To add one: a function here, a line in `LOSSES`, and its name and title in
`config/sections/train.py`.
"""

from collections.abc import Callable

import keras
from keras import ops

SMOOTH = 1e-5
FOCAL_GAMMA = 2.0  # Lin et al. 2017
FALSE_POSITIVES, FALSE_NEGATIVES = 0.3, 0.7  # weights of Tversky's index, Salehi et al. 2017


def soft_dice_loss(label, probabilities):
    """1 - mean foreground soft Dice over the batch (Milletari et al. 2016); in 0..1.

    Sums run over the whole batch: a structure absent from one slice then does not count as a
    failure or a success of that slice.
    """
    reference = _one_hot(label, probabilities)
    axes = _all_but_classes(probabilities)
    overlap = ops.sum(reference * probabilities, axis=axes)[1:]
    total = ops.sum(reference + probabilities, axis=axes)[1:]
    return 1 - ops.mean((2 * overlap + SMOOTH) / (total + SMOOTH))


def tversky_loss(label, probabilities):
    """1 - mean foreground Tversky index over the batch; in 0..1.

    Soft Dice in which a missed pixel counts more than a false one (0.7 to 0.3), for small
    structures. Sums run over the whole batch, as in `soft_dice_loss`.
    """
    reference = _one_hot(label, probabilities)
    axes = _all_but_classes(probabilities)
    overlap = ops.sum(reference * probabilities, axis=axes)[1:]
    missed = ops.sum(reference * (1 - probabilities), axis=axes)[1:]
    false = ops.sum((1 - reference) * probabilities, axis=axes)[1:]
    total = overlap + FALSE_POSITIVES * false + FALSE_NEGATIVES * missed
    return 1 - ops.mean((overlap + SMOOTH) / (total + SMOOTH))


def focal_loss(label, probabilities):
    """Mean cross-entropy (nats) in which a pixel counts by (1 - probability of its class) ** 2."""
    reference = _one_hot(label, probabilities)
    of_label = ops.sum(reference * probabilities, axis=-1)
    of_label = ops.clip(of_label, keras.config.epsilon(), 1.0)
    return ops.mean(-ops.log(of_label) * (1 - of_label) ** FOCAL_GAMMA)


def dice_cross_entropy(label, probabilities):
    """Soft Dice loss plus mean cross-entropy (nats)."""
    cross_entropy = keras.losses.sparse_categorical_crossentropy(label, probabilities)
    return soft_dice_loss(label, probabilities) + ops.mean(cross_entropy)


def weighted_cross_entropy(class_pixels: list[int]) -> Callable:
    """Mean cross-entropy (nats) in which each pixel counts by its class.

    Args:
        class_pixels: Training pixels of each class, background first; a class weighs by the
            inverse square root of its frequency.
    """
    frequencies = [(sum(class_pixels) / max(pixels, 1)) ** 0.5 for pixels in class_pixels]
    class_weights = [f * len(frequencies) / sum(frequencies) for f in frequencies]

    def loss(label, probabilities):
        cross_entropy = keras.losses.sparse_categorical_crossentropy(label, probabilities)
        weights = ops.take(
            ops.convert_to_tensor(class_weights, "float32"), ops.cast(label, "int32")
        )
        return ops.sum(weights * cross_entropy) / ops.sum(weights)

    return loss


# Each makes the loss of a training, given the training pixels of each class.
LOSSES: dict[str, Callable[[list[int]], Callable]] = {
    "dice_ce": lambda class_pixels: dice_cross_entropy,
    "dice": lambda class_pixels: soft_dice_loss,
    "tversky": lambda class_pixels: tversky_loss,
    "focal": lambda class_pixels: focal_loss,
    "ce": lambda class_pixels: keras.losses.SparseCategoricalCrossentropy(),
    "weighted_ce": weighted_cross_entropy,
}


def make_loss(name: str, class_pixels: list[int]) -> Callable:
    """The configured loss.

    Args:
        name: One of `LOSSES`.
        class_pixels: Training pixels of each class, background first.
    """
    return LOSSES[name](class_pixels)


def _one_hot(label, probabilities):
    one_hot = ops.one_hot(ops.cast(label, "int32"), probabilities.shape[-1])
    return ops.cast(one_hot, probabilities.dtype)


def _all_but_classes(probabilities) -> tuple[int, ...]:
    return tuple(range(len(probabilities.shape) - 1))
