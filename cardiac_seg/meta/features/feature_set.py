"""Per-pixel features from the members' softmax maps: what the learners see.

Every feature belongs to a group, and every group is a module of this folder, listed in
`config.registry.FEATURES`: `names(features)` gives its columns, `values(case)` computes them. The
config chooses groups. The core (probability, entropy, confidence) comes first, so that the core
features are the leading columns of any set.
"""

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np

from cardiac_seg.config.registry import CORE_FEATURES, FEATURES, find
from cardiac_seg.config.sections import Stacking
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.grid.resample import GridImage


@dataclass(frozen=True)
class FeatureSet:
    """Which features, in which order.

    Attributes:
        members: Networks in the order of their columns.
        classes: Names of the classes, background first.
        groups: Feature groups, the core first.
        context_mm: Sigmas of the context's Gaussians.
    """

    members: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    context_mm: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        """The name of every column, `<group>: <what>`."""
        return [f"{group}: {what}" for group in self.groups for what in _module(group).names(self)]

    def columns(self, group: str) -> slice:
        """The columns of a group."""
        sizes = {g: len(_module(g).names(self)) for g in self.groups}
        start = sum(sizes[g] for g in self.groups[: self.groups.index(group)])
        return slice(start, start + sizes[group])

    def core(self) -> "FeatureSet":
        """The core features alone."""
        return FeatureSet(self.members, self.classes, CORE_FEATURES, self.context_mm)


def feature_set(settings: Stacking, members: list[str], dataset: Dataset) -> FeatureSet:
    """The features of a configuration; groups that need a stack exist where images are stacks."""
    stacks = dataset.modality.ndim == 3
    more = [g for g in settings.features if stacks or not getattr(_module(g), "NEEDS_STACK", False)]
    return FeatureSet(
        tuple(members),
        ("background", *dataset.structures),
        (*CORE_FEATURES, *more),
        tuple(settings.context_mm),
    )


def pixel_features(
    maps: np.ndarray, image: GridImage, pixels: np.ndarray, features: FeatureSet
) -> np.ndarray:
    """The features of some pixels of a case, all in one pass.

    Args:
        maps: (members, slices, height, width, classes) float32 probabilities, calibrated or not.
        image: The slices the maps were made from.
        pixels: (slices, height, width) bool, the pixels wanted.
        features: The set.

    Returns:
        (pixels, features) float32, pixels in C order, columns as `features` names them.
    """
    case = FeatureCase(maps, image, pixels, features)
    blocks = [_module(group).values(case) for group in features.groups]
    return np.concatenate(blocks, axis=1, dtype=np.float32)


@dataclass(frozen=True)
class FeatureCase:
    """A case's arrays as the groups need them, computed when first asked for.

    Attributes:
        maps: (members, slices, height, width, classes) float32 probabilities.
        image: The slices the maps were made from.
        pixels: (slices, height, width) bool, the pixels whose features are wanted.
        features: The whole set.
    """

    maps: np.ndarray
    image: GridImage
    pixels: np.ndarray
    features: FeatureSet

    @cached_property
    def chosen(self) -> np.ndarray:
        """(members, pixels, classes) probabilities of the wanted pixels."""
        return self.maps[:, self.pixels]

    @cached_property
    def mean(self) -> np.ndarray:
        """(slices, height, width, classes) mean of the members."""
        return self.maps.mean(axis=0)


def _module(group: str) -> ModuleType:
    return find(FEATURES[group])
