"""The locator: a small network that finds the heart in a whole plane, for the grid to lie about.

It is trained as a part of the run, in minutes, on the same patients as the fold's members, and
shown what other scanners and other fields of view do to an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers, ops

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.field import Field, field_about
from cardiac_seg.grid.heart import SIDE, Overview, heart_centre, overview, overview_label
from cardiac_seg.members.networks.blocks import conv_bn_relu
from cardiac_seg.members.seen import Seen, write_seen
from cardiac_seg.system import backend
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.log import bar

NAME = "locator"
FILTERS = (12, 24, 48, 48, 48)
CROP = 64  # pixels of a training square, 384 mm
BATCH = 16
MIN_STEPS, MAX_STEPS = 300, 1200  # between them, one for each slice to train on
TURNS = 4  # quarter turns of an overview that are averaged
LEARNING_RATE = 3e-3
# Of the augmentation: shares of samples, and largest changes.
TURN, ZOOM, PLACE = 25.0, 0.3, 0.25  # degrees; on a log scale; share of the square, each way
CROPPED, CROP_SHARE = 0.4, 0.4  # fields of view that end near the heart
GAIN, OFFSET, BIAS = 0.5, 0.5, 0.7
NOISY, NOISE, BLURRED, BLUR = 0.3, 0.5, 0.3, 1.0


def locator() -> keras.Model:
    """A U-Net of five levels, from (batch, height, width, 1) overviews to the chance of heart.

    Height and width are multiples of 16; the output is (batch, height, width, 1) float32, 0 to 1.
    """
    inputs = keras.Input((None, None, 1), name="overview")
    x, skips = inputs, []
    for width in FILTERS[:-1]:
        x = conv_bn_relu(conv_bn_relu(x, width), width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = conv_bn_relu(conv_bn_relu(x, FILTERS[-1]), FILTERS[-1])
    for width, skip in zip(reversed(FILTERS[:-1]), reversed(skips), strict=True):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = conv_bn_relu(layers.Concatenate()([x, skip]), width)
    outputs = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="heart")(x)
    return keras.Model(inputs, outputs, name=NAME)


@dataclass(frozen=True)
class Locator:
    """One or several folds' locators in use.

    Attributes:
        networks: Their probabilities are averaged.
    """

    networks: tuple[keras.Model, ...]

    def field(
        self, images: Sequence[np.ndarray], spacing: tuple[float, float], settings: Preprocess
    ) -> Field:
        """The network grid's field about the heart.

        Args:
            images: Phases of one study, each (slices, height, width) float32.
            spacing: (row, column) distance in mm.
            settings: The `preprocess` section.
        """
        views = [overview(image, spacing) for image in images]
        # Phases padded unlike each other do not happen: the first says what is shown.
        probabilities = [self.probabilities(view) for view in views]
        return field_about(heart_centre(probabilities, views[0]), spacing, settings)

    def probabilities(self, view: Overview) -> np.ndarray:
        """How likely each pixel of an overview is heart, (slices, SIDE, SIDE) float32."""
        turned = np.concatenate([np.rot90(view.pixels, k, (1, 2)) for k in range(TURNS)])
        batch = np.zeros((-(-len(turned) // BATCH) * BATCH, SIDE, SIDE, 1), np.float32)
        batch[: len(turned), ..., 0] = turned
        steps = range(0, len(batch), BATCH)  # one shape: a compiled network sees no other
        maps = [
            np.concatenate([np.asarray(n.predict_on_batch(batch[i : i + BATCH])) for i in steps])
            for n in self.networks
        ]
        by_turn = np.split(np.mean(maps, axis=0)[: len(turned), ..., 0], TURNS)
        back = [np.rot90(heart, -k, (1, 2)) for k, heart in enumerate(by_turn)]
        return np.asarray(np.mean(back, axis=0), np.float32)


def train_locator(
    path: Path,
    stacks: Callable[[], Sequence[tuple[np.ndarray, np.ndarray, tuple[float, float]]]],
    seed: list[int],
    seen: Seen | None = None,
) -> None:
    """Trains a locator and writes it; what is there already is kept.

    Args:
        path: The `.keras` file.
        stacks: Gives image and label, (slices, height, width), and (row, column) mm of each case.
        seed: Integers that name this training.
        seen: The patients of the cases, for the file to name.
    """
    if path.is_file():
        return
    backend.start_training(int(np.random.default_rng(seed).integers(2**31)))
    keras.config.set_dtype_policy("float32")
    samples = []
    for image, label, spacing in stacks():
        view = overview(image, spacing)
        rows, columns = view.shown
        share = overview_label(label, view)
        samples += list(zip(view.pixels[:, rows, columns], share[:, rows, columns], strict=True))
    network, steps = locator(), min(max(len(samples), MIN_STEPS), MAX_STEPS)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    network.compile(keras.optimizers.AdamW(rate), _loss, jit_compile=False)
    with bar(total=steps, description=f"{NAME} {path.parent.name}", unit="step") as progress:
        shown = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda *_, **__: progress.update()
        )
        network.fit(
            _Batches(samples, steps, seed), epochs=1, verbose=0, shuffle=False, callbacks=[shown]
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        network.save(partial)
        write_seen(partial, seen)


def _loss(label, heart):
    """Cross-entropy and soft Dice of the whole batch: most slices of it hold a heart."""
    cross_entropy = ops.mean(keras.losses.binary_crossentropy(label, heart))
    overlap = (2 * ops.sum(label * heart) + 1) / (ops.sum(label) + ops.sum(heart) + 1)
    return cross_entropy + 1 - overlap


class _Batches(keras.utils.PyDataset):
    """Augmented squares; a sample's randomness comes from (seed, step, position)."""

    def __init__(self, samples: list[tuple[np.ndarray, np.ndarray]], steps: int, seed: list[int]):
        super().__init__(workers=1)
        self.samples, self.steps, self.seed = samples, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        pairs = []
        for position in range(BATCH):
            rng = np.random.default_rng([*self.seed, step, position])
            pairs.append(augment(*self.samples[rng.integers(len(self.samples))], rng))
        images, labels = zip(*pairs, strict=True)
        return np.stack(images)[..., None], np.stack(labels)[..., None]


def augment(
    image: np.ndarray, label: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One overview as another scanner, another field of view and another position would show it.

    Args:
        image: (height, width) float32, mean 0 and standard deviation 1 over its stack.
        label: (height, width) float32, the share of heart.
        rng: Source of randomness.

    Returns:
        (CROP, CROP) float32 each; 0 about the plane.
    """
    turns = int(rng.integers(4))
    image, label = np.rot90(image, turns), np.rot90(label, turns)
    if rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    image = _coil(image, rng)
    if rng.random() < CROPPED:
        image, label = _field_of_view(image, label, rng)
    height, width = label.shape
    scale, angle = np.exp(rng.uniform(-ZOOM, ZOOM)), rng.uniform(-TURN, TURN)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    middle = np.array([(CROP - width) / 2, (CROP - height) / 2])
    matrix[:, 2] = matrix[:, 2] + middle + rng.uniform(-PLACE, PLACE, 2) * CROP
    image, label = (
        cv2.warpAffine(np.ascontiguousarray(plane, np.float32), matrix, (CROP, CROP))
        for plane in (image, label)
    )
    if rng.random() < NOISY:
        image = image + rng.uniform(0, NOISE) * rng.standard_normal(image.shape, np.float32)
    if rng.random() < BLURRED:
        image = cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), rng.uniform(0.3, BLUR))
    return np.asarray(image, np.float32), label


def _coil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another gain and offset, and in half of the slices a smooth bias field."""
    image = image * np.exp(rng.uniform(-GAIN, GAIN))
    if rng.random() < 0.5:
        coarse = rng.uniform(-BIAS, BIAS, (3, 3)).astype(np.float32)
        field = cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
        darkest = image.min()
        image = (image - darkest) * np.exp(field) + darkest
    return image + rng.uniform(-OFFSET, OFFSET)


def _field_of_view(
    image: np.ndarray, label: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The part that a smaller field of view shows; it never cuts the heart."""
    height, width = label.shape
    rows, columns = np.nonzero(label)
    top, left, bottom, right = rng.uniform(0, CROP_SHARE, 4) * (height, width, height, width)
    if len(rows):
        top, left = min(top, rows.min()), min(left, columns.min())
        bottom, right = (
            min(bottom, height - 1 - rows.max()),
            min(right, width - 1 - columns.max()),
        )
    part = np.s_[int(top) : height - int(bottom), int(left) : width - int(right)]
    return image[part], label[part]
