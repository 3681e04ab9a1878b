"""Training at little cost, for tests of what surrounds a network."""

import contextlib

import keras


@contextlib.contextmanager
def eagerly():
    """No graph is traced: for a handful of steps, tracing is nearly all of a training's time."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def small_network(member: str, config, classes: int) -> keras.Model:
    """In place of `build_member`: has all that a checkpoint must keep, in a file of 0.6 MB.

    Args:
        member: Its name.
        config: Not looked at.
        classes: Labels, background included.
    """
    layers = keras.layers
    image = x = keras.Input((None, None, 1))
    for _ in range(2):
        x = layers.Conv2D(64, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SpatialDropout2D(0.1)(x)
    return keras.Model(image, layers.Softmax()(layers.Conv2D(classes, 1)(x)), name=member)
