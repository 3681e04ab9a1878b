"""Augmented training batches, the same for a seed whatever the number of workers."""

from functools import lru_cache

import keras
import numpy as np

from cardiac_seg.config.sections import Config
from cardiac_seg.grid.cache import Cache, CachedCase
from cardiac_seg.grid.resample import normalize
from cardiac_seg.members.augmentation import augment

EDGE_BOOST = 1.5  # how much more often the first and last slices of a structure are drawn
# Crops: a share lies anywhere, so that the network knows what is far from the heart; the others
# have the heart within this share of their side from the middle.
ANYWHERE, OFF_CENTRE = 0.25, 0.15
MARGIN = 1.5  # what is cut out first is larger, so that turning it leaves few empty corners


class TrainingBatches(keras.utils.PyDataset):
    """An endless stream of augmented batches, `steps` of them an epoch.

    A batch's number says which epoch it belongs to, and every sample's randomness comes from
    (seed, epoch, position): neither the number of worker threads, nor how far they read ahead,
    nor a resume changes anything.

    Args:
        cache: The preprocessed slices.
        cases: The training cases.
        config: The whole configuration.
        seed: Integers that name this training.
        outputs: Number of model outputs that want the label (deep supervision has several).
        first_epoch: Epoch of batch 0; a resumed training starts later.
    """

    def __init__(
        self,
        cache: Cache,
        cases: list[CachedCase],
        config: Config,
        seed: list[int],
        outputs: int = 1,
        first_epoch: int = 0,
    ):
        super().__init__(workers=config.train.workers, max_queue_size=4 * config.train.workers)
        self.cache = cache
        self.rows = np.concatenate([np.arange(c.start, c.stop) for c in cases])
        self.case_of_row = {row: case for case in cases for row in range(case.start, case.stop)}
        self.config = config
        self.seed = seed
        self.outputs = outputs
        self.first_epoch = first_epoch
        uniform = config.train.sampling == "uniform"
        self.weights = np.ones(len(self.rows)) if uniform else slice_weights(cases)
        # The last, smaller batch is dropped: its slices come in another epoch.
        self.steps = max(1, len(self.rows) // config.train.batch_size)
        self._order = lru_cache(maxsize=2)(self._draw_order)
        # A field about the heart is a crop too: in use it lies as well as the locator finds it.
        about_heart = config.preprocess.field == "heart"
        self.crop = config.train.crop or (config.preprocess.size if about_heart else None)
        self.centres = (
            {case.name: heart_centre(cache.label(case)) for case in cases} if self.crop else {}
        )

    @property
    def num_batches(self) -> None:
        """Tells Keras that the stream has no end; `fit` is given `steps` as `steps_per_epoch`."""
        return None

    def __getitem__(self, number: int):
        epoch, batch = divmod(number, self.steps)
        epoch += self.first_epoch
        size = self.config.train.batch_size
        order = self._order(epoch)
        positions = range(batch * size, min((batch + 1) * size, len(order)))
        samples = [self._sample(order[position], epoch, position) for position in positions]
        images, labels = zip(*samples, strict=True)
        label = np.stack(labels)
        return np.stack(images)[..., None], label if self.outputs == 1 else (label,) * self.outputs

    def _draw_order(self, epoch: int) -> np.ndarray:
        return draw_evenly(self.rows, self.weights, np.random.default_rng([*self.seed, epoch]))

    def _sample(self, row: int, epoch: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        case = self.case_of_row[row]
        rng = np.random.default_rng([*self.seed, epoch, position])
        image, label = self.cache.images[row], self.cache.labels[row]
        crop = self.crop
        if crop:
            image, label = cut_out(image, label, rng, self.centres[case.name], crop)
        image = image.astype(np.float32) / np.float32(255)
        image, label = augment(image, label, rng, self.config.augment, crop)
        method = self.config.preprocess.normalize
        return normalize(image * 255, case.mean, case.std, method), label


def heart_centre(label: np.ndarray) -> tuple[float, float]:
    """(row, column) of the middle of a case's structures; of the plane where it has none.

    Args:
        label: (slices, height, width) uint8.
    """
    _, rows, columns = np.nonzero(label)
    if not len(rows):
        return (label.shape[1] - 1) / 2, (label.shape[2] - 1) / 2
    return float(rows.mean()), float(columns.mean())


def cut_out(
    image: np.ndarray,
    label: np.ndarray,
    rng: np.random.Generator,
    centre: tuple[float, float],
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """A part about a random point near the heart, now and then anywhere; 0 beyond the plane.

    Args:
        image: (height, width) uint8.
        label: (height, width) uint8.
        rng: Source of randomness.
        centre: (row, column) of the heart.
        size: (height, width) of the crop; the part is MARGIN times as large.

    Returns:
        Image and label.
    """
    anywhere, where = rng.random() < ANYWHERE, rng.uniform(-1, 1, 2)
    spans = []
    for length, middle, crop, place in zip(label.shape, centre, size, where, strict=True):
        if anywhere:
            middle = (length - 1) / 2 + place * (length - crop) / 2
        else:
            middle += place * OFF_CENTRE * crop
        side = 2 * round(MARGIN * crop / 2)
        start = round(middle - (side - 1) / 2)
        spans.append((start, start + side, length))
    inside = tuple(slice(max(0, start), min(stop, length)) for start, stop, length in spans)
    missing = [(max(0, -start), max(0, stop - length)) for start, stop, length in spans]
    return np.pad(image[inside], missing), np.pad(label[inside], missing)


def slice_weights(cases: list[CachedCase]) -> np.ndarray:
    """How often each slice is drawn, relative to the others.

    A slice counts as much as the rarest structure on it (square root of inverse frequency), and
    more at the base and apex, where stacks are short of examples and masks are worst.

    Returns:
        (slices,) float64, mean 1.
    """
    present = np.concatenate([np.array(case.class_pixels) > 0 for case in cases])
    frequency = present.mean(axis=0)
    rarity = np.where(frequency > 0, 1 / np.sqrt(np.maximum(frequency, 1e-9)), 0)
    weights = np.where(present[:, 1:], rarity[1:], 1.0).max(axis=1)
    weights *= np.concatenate([_edge_boost(case) for case in cases])
    return weights / weights.mean()


def _edge_boost(case: CachedCase) -> np.ndarray:
    """EDGE_BOOST on the two outermost foreground slices and the one outside, 1 elsewhere."""
    foreground = np.asarray(np.array(case.class_pixels)[:, 1:].any(axis=1))
    boost = np.ones(len(foreground))
    if foreground.any() and len(foreground) > 2:
        first, last = np.flatnonzero(foreground)[[0, -1]]
        boost[max(0, first - 1) : first + 2] = EDGE_BOOST
        boost[max(0, last - 1) : last + 2] = EDGE_BOOST
    return boost


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
