"""Per-pixel features from the members' softmax maps: what the learners see.

Every feature belongs to a group, and every group is a module of this folder, listed in
`config.registry.FEATURES`: `names(features)` gives its columns, `values(case)` computes them. The
config chooses groups. The core (probability, entropy, confidence) comes first, so that the core
features are the leading columns of any set.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType

import numpy as np

from cardiac_seg.config.registry import CORE_FEATURES, FEATURES, find
from cardiac_seg.config.sections import Stacking
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.grid.resample import Grid, GridImage, regrid


@dataclass(frozen=True)
class FeatureSet:
    """Which features, in which order.

    Attributes:
        members: Networks in the order of their columns.
        classes: Names of the classes, background first.
        groups: Feature groups, the core first.
        context_mm: Sigmas of the context's Gaussians.
        lv: Label of the LV cavity; None where the dataset has none.
    """

    members: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    context_mm: tuple[float, ...]
    lv: int | None = None

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
        return replace(self, groups=CORE_FEATURES)

    @property
    def uses_companions(self) -> bool:
        """Whether a group looks at other images of the patient."""
        return any(getattr(_module(group), "USES_COMPANIONS", False) for group in self.groups)


def feature_set(settings: Stacking, members: list[str], dataset: Dataset) -> FeatureSet:
    """The features of a configuration; some groups exist for stacks alone, or for planes."""
    unfit = "NEEDS_PLANE" if dataset.modality.ndim == 3 else "NEEDS_STACK"
    more = [group for group in settings.features if not getattr(_module(group), unfit, False)]
    return FeatureSet(
        tuple(members),
        ("background", *dataset.structures),
        (*CORE_FEATURES, *more),
        tuple(settings.context_mm),
        dataset.anatomy.label("lv_cavity"),
    )


@dataclass(frozen=True)
class MeanMap:
    """The calibrated mean of another image of the patient.

    Attributes:
        mean: (slices, height, width, classes) float32 on that image's network grid.
        grid: Its geometry.
    """

    mean: np.ndarray
    grid: Grid


@dataclass(frozen=True)
class Beside:
    """What the features know beside the image, as `grid.companions.Companions` has it."""

    phase: str = ""
    other_phase: MeanMap | None = None
    other_view: MeanMap | None = None


NOTHING = Beside()


def pixel_features(
    maps: np.ndarray,
    image: GridImage,
    pixels: np.ndarray,
    features: FeatureSet,
    beside: Beside = NOTHING,
    alone: np.ndarray | None = None,
) -> np.ndarray:
    """The features of some pixels of a case, all in one pass.

    Args:
        maps: (members, slices, height, width, classes) float32 probabilities, calibrated or not.
        image: The slices the maps were made from.
        pixels: (slices, height, width) bool, the pixels wanted.
        features: The set.
        beside: The other images of the patient.
        alone: (wanted pixels,) bool, those whose features are to be as if there were none.

    Returns:
        (pixels, features) float32, pixels in C order, columns as `features` names them; NaN for
        what another image would tell that is not there.
    """
    case = FeatureCase(maps, image, pixels, features, beside)
    blocks = []
    for group in features.groups:
        module = _module(group)
        block = module.values(case)
        if alone is not None and getattr(module, "USES_COMPANIONS", False):
            block[alone] = module.values(replace(case, beside=NOTHING))[alone]
        blocks.append(block)
    return np.concatenate(blocks, axis=1, dtype=np.float32)


@dataclass(frozen=True)
class FeatureCase:
    """A case's arrays as the groups need them, computed when first asked for.

    Attributes:
        maps: (members, slices, height, width, classes) float32 probabilities.
        image: The slices the maps were made from.
        pixels: (slices, height, width) bool, the pixels whose features are wanted.
        features: The whole set.
        beside: The other images of the patient.
    """

    maps: np.ndarray
    image: GridImage
    pixels: np.ndarray
    features: FeatureSet
    beside: Beside = NOTHING

    @cached_property
    def chosen(self) -> np.ndarray:
        """(members, pixels, classes) probabilities of the wanted pixels."""
        return self.maps[:, self.pixels]

    @cached_property
    def mean(self) -> np.ndarray:
        """(slices, height, width, classes) mean of the members."""
        return self.maps.mean(axis=0)

    @cached_property
    def other_phase_mean(self) -> np.ndarray | None:
        """(slices, height, width, classes) mean of the other phase on this image's network grid.

        None where there is none, or where its native grid is another.
        """
        other, grid = self.beside.other_phase, self.image.grid
        if other is None or (len(other.mean), other.grid.native) != (len(self.mean), grid.native):
            return None
        return regrid(other.mean, other.grid, grid)


def areas_cm2(mean: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Each structure's area in a mean's mask, slice by slice.

    Args:
        mean: (slices, height, width, classes) probabilities.
        spacing: (row, column) distance in mm.

    Returns:
        (slices, structures) float32 in cm2.
    """
    mask, labels = mean.argmax(-1), range(1, mean.shape[-1])
    counts = np.stack([(mask == label).sum((1, 2)) for label in labels], axis=1)
    return (counts * (spacing[0] * spacing[1] / 100)).astype(np.float32)


def _module(group: str) -> ModuleType:
    return find(FEATURES[group])
