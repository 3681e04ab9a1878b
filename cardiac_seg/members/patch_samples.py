"""Changed patches of stacks to train a three-dimensional network on."""

from dataclasses import dataclass

import numpy as np

from cardiac_seg.config.sections import Config, Unet3D
from cardiac_seg.grid.cache import CachedCase, CaseSet
from cardiac_seg.grid.resample import normalize
from cardiac_seg.grid.slices import nearest_slices, slice_count
from cardiac_seg.members.augmentation import augment
from cardiac_seg.members.slice_samples import ANYWHERE, MARGIN, OFF_CENTRE, heart_centre

MAX_VOXELS = 1000  # of a structure, drawn once: enough places to cut a patch about


@dataclass(frozen=True)
class Stack:
    """A case as patches are cut from it.

    Attributes:
        case: The case.
        rows: (slices,) integers: its rows in the cache at the distance that the network sees, some
            of them twice or left out.
        centre: (row, column) of the heart's middle.
        voxels: For each structure that it has (up to MAX_VOXELS, 3) integers: slice, row, column.
        anisotropy: Distance of the slices in pixels.
    """

    case: CachedCase
    rows: np.ndarray
    centre: tuple[float, float]
    voxels: list[np.ndarray]
    anisotropy: float


class PatchSamples:
    """See `members.batches.Samples`.

    A patch lies about a random voxel of a random structure in `foreground` of the draws and
    anywhere in the others, as nnU-Net cuts them (Isensee et al. 2021). In plane it lies about the
    heart where the grid does so too (`preprocess.field: heart`), a share of the smaller ones
    anywhere.

    Args:
        training: The cases.
        config: The whole configuration, with the member's own sections.
        settings: The network's section.
    """

    def __init__(self, training: CaseSet, config: Config, settings: Unet3D):
        self.training = training
        self.config = config
        self.settings = settings
        self.about_heart = config.preprocess.field == "heart"
        # Where several patches show the grid, some of them hold little of the heart.
        self.smaller = settings.patch[1:] != tuple(config.preprocess.size)
        rng = np.random.default_rng(config.seed)
        self.stacks = [self._stack(case, rng) for case in training.cases]
        self.weights = np.ones(len(self.stacks))

    def _stack(self, case: CachedCase, rng: np.random.Generator) -> Stack:
        slices = case.stop - case.start
        count = slice_count(slices, case.slice_spacing, self.settings.slice_spacing)
        chosen = nearest_slices(slices, count)
        label = self.training.cache.label(case)[chosen]
        voxels = []
        for structure in np.unique(label[label > 0]):
            places = np.argwhere(label == structure)
            voxels.append(places[rng.permutation(len(places))[:MAX_VOXELS]])
        spacing = self.settings.slice_spacing or case.slice_spacing
        anisotropy = spacing / min(case.grid.spacing)
        return Stack(case, chosen + case.start, heart_centre(label), voxels, anisotropy)

    def draw(self, unit: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """See `members.batches.Samples`."""
        stack, cache, patch = self.stacks[unit], self.training.cache, self.settings.patch
        case, shape = stack.case, (len(stack.rows), *cache.images.shape[1:])
        # Larger in plane than the patch: turning it then leaves few empty corners.
        first = (patch[0], *(2 * round(MARGIN * side / 2) for side in patch[1:]))
        where, missing = [], []
        middle = self._middle(stack, shape, rng)
        for at, side, length in zip(middle, first, shape, strict=True):
            start = int(np.floor(at - side / 2 + 1))  # as prediction pads, where a patch is larger
            where.append(slice(max(0, start), max(0, min(start + side, length))))
            missing.append((max(0, -start), max(0, start + side - length)))
        image, label = (
            np.pad(slices[stack.rows[where[0]]][:, where[1], where[2]], missing)
            for slices in (cache.images, cache.labels)
        )
        image = image.astype(np.float32) / np.float32(255)
        rows = np.pad(stack.rows[where[0]], missing[0], constant_values=-1)
        image, label = augment(
            *(image, label, rng, self.config.augment, patch[1:], stack.anisotropy, rows)
        )
        image = normalize(image * 255, case.mean, case.std, self.config.preprocess.normalize)
        # Beyond the stack is nothing to be seen, also where it was turned: zeros, as in prediction.
        image[rows < 0] = label[rows < 0] = 0
        return image, label

    def _middle(
        self, stack: Stack, shape: tuple[int, ...], rng: np.random.Generator
    ) -> list[float]:
        """(slice, row, column) of a patch's middle; it stays inside the image where it can."""
        where, about, heart = rng.uniform(-1, 1, 3), None, self.about_heart
        if heart and self.smaller:
            heart = rng.random() >= ANYWHERE
        if rng.random() < self.settings.foreground and stack.voxels:
            voxels = stack.voxels[rng.integers(len(stack.voxels))]
            about = voxels[rng.integers(len(voxels))]
        middle = []
        for axis, (length, side) in enumerate(zip(shape, self.settings.patch, strict=True)):
            centre, room = (length - 1) / 2, max(0, length - side) / 2
            if axis and heart:
                middle.append(stack.centre[axis - 1] + where[axis] * OFF_CENTRE * side)
            elif about is None:
                middle.append(centre + where[axis] * room)
            else:
                middle.append(float(np.clip(about[axis], centre - room, centre + room)))
        return middle

    def labels_of_outputs(self, label: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `members.batches.Samples`; a coarser output gets every second, fourth, ... voxel."""
        return tuple(
            np.ascontiguousarray(label[:, a // 2 :: a, b // 2 :: b, c // 2 :: c])
            for a, b, c in self.settings.output_strides
        )
