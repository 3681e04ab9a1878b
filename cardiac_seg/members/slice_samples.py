"""Changed slices to train a network of the plane on."""

import numpy as np

from cardiac_seg.config.sections import Config
from cardiac_seg.grid.cache import CachedCase, CaseSet
from cardiac_seg.grid.resample import normalize
from cardiac_seg.members.augmentation import augment

EDGE_BOOST = 1.5  # how much more often the first and last slices of a structure are drawn
# Crops: a share lies anywhere, so that the network knows what is far from the heart; the others
# have the heart within this share of their side from the middle.
ANYWHERE, OFF_CENTRE = 0.25, 0.15
MARGIN = 1.5  # what is cut out first is larger, so that turning it leaves few empty corners


class SliceSamples:
    """See `members.batches.Samples`.

    Args:
        training: The cases.
        config: The whole configuration, with the member's own sections.
        outputs: Number of model outputs that want the label (deep supervision has several).
    """

    def __init__(self, training: CaseSet, config: Config, outputs: int = 1):
        cache, cases = training.cache, training.cases
        self.cache = cache
        self.rows = np.concatenate([np.arange(c.start, c.stop) for c in cases])
        self.case_of_row = {row: case for case in cases for row in range(case.start, case.stop)}
        self.config = config
        self.outputs = outputs
        uniform = config.train.sampling == "uniform"
        self.weights = np.ones(len(self.rows)) if uniform else slice_weights(cases)
        # A field about the heart is a crop too: in use it lies as well as the locator finds it.
        about_heart = config.preprocess.field == "heart"
        self.crop = config.train.crop or (config.preprocess.size if about_heart else None)
        self.centres = (
            {case.name: heart_centre(cache.label(case)) for case in cases} if self.crop else {}
        )

    def draw(self, unit: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """See `members.batches.Samples`."""
        row = self.rows[unit]
        case = self.case_of_row[row]
        image, label = self.cache.images[row], self.cache.labels[row]
        crop = self.crop
        if crop:
            image, label = cut_out(image, label, rng, self.centres[case.name], crop)
        image = image.astype(np.float32) / np.float32(255)
        image, label = augment(image, label, rng, self.config.augment, crop)
        method = self.config.preprocess.normalize
        return normalize(image * 255, case.mean, case.std, method), label

    def labels_of_outputs(self, label: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `members.batches.Samples`; coarser outputs come at the full resolution."""
        return (label,) * self.outputs


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
