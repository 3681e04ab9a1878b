"""Augmented training batches, the same for a seed whatever the number of workers."""

from functools import lru_cache
from typing import Protocol

import keras
import numpy as np

from cardiac_seg.config.sections import Train


class Samples(Protocol):
    """What a network is trained on: slices for one of the plane, patches for one of the volume."""

    @property
    def weights(self) -> np.ndarray:
        """(units,) float64: how often each slice, or each case, is drawn relative to the others."""

    def draw(self, unit: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A changed slice, or a changed patch of a case.

        Args:
            unit: Index into `weights`.
            rng: The only source of randomness.

        Returns:
            ([slices,] height, width) float32, normalised, and the label of that shape, uint8.
        """

    def labels_of_outputs(self, label: np.ndarray) -> tuple[np.ndarray, ...]:
        """A batch's label as each output of the network wants it.

        Args:
            label: (batch, [slices,] height, width) uint8.

        Returns:
            One per output: the same array, or every second, fourth, ... voxel of it.
        """


class TrainingBatches(keras.utils.PyDataset):
    """An endless stream of augmented batches, `steps` of them an epoch.

    A batch's number says which epoch it belongs to, and every sample's randomness comes from
    (seed, epoch, position): neither the number of worker threads, nor how far they read ahead,
    nor a resume changes anything.

    Args:
        samples: What is drawn.
        settings: The `train` section.
        seed: Integers that name this training.
        first_epoch: Epoch of batch 0; a resumed training starts later.
    """

    def __init__(self, samples: Samples, settings: Train, seed: list[int], first_epoch: int = 0):
        super().__init__(workers=settings.workers, max_queue_size=4 * settings.workers)
        self.samples = samples
        self.batch_size, self.longer = settings.batch_size, settings.steps is not None
        self.seed = seed
        self.first_epoch = first_epoch
        # By default the last, smaller batch is dropped: its slices come in another epoch.
        self.steps = settings.steps or max(1, len(samples.weights) // settings.batch_size)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @property
    def num_batches(self) -> None:
        """Tells Keras that the stream has no end; `fit` is given `steps` as `steps_per_epoch`."""
        return None

    def __getitem__(self, number: int):
        epoch, batch = divmod(number, self.steps)
        epoch += self.first_epoch
        order, size = self._order(epoch), self.batch_size
        positions = range(batch * size, min((batch + 1) * size, len(order)))
        drawn = [
            self.samples.draw(order[p], np.random.default_rng([*self.seed, epoch, p]))
            for p in positions
        ]
        images, labels = zip(*drawn, strict=True)
        wanted = self.samples.labels_of_outputs(np.stack(labels))
        return np.stack(images)[..., None], wanted if len(wanted) > 1 else wanted[0]

    def _draw_order(self, epoch: int) -> np.ndarray:
        """The units of an epoch: each once by its weight, or over and over for `train.steps`."""
        weights, rng = self.samples.weights, np.random.default_rng([*self.seed, epoch])
        times = -(-self.steps * self.batch_size // len(weights)) if self.longer else 1
        units = np.arange(len(weights))
        return np.concatenate([draw_evenly(units, weights, rng) for _ in range(times)])


def draw_evenly(rows: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows as there are, each floor or ceil of its weight's share, in random order.

    Systematic sampling: with equal weights every row comes exactly once, which independent
    draws would not do.
    """
    order = rng.permutation(len(rows))
    edges = np.cumsum(weights[order]) * len(rows) / weights.sum()
    points = rng.random() + np.arange(len(rows))
    drawn = np.searchsorted(edges, points, side="right")
    return rng.permutation(rows[order[np.minimum(drawn, len(rows) - 1)]])
