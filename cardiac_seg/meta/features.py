"""Per-pixel features from the members' softmax maps: what the learners see.

Every feature belongs to a group; the config chooses groups. The core (probability, entropy,
confidence) comes first, so that the core features are the leading columns of any set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from cardiac_seg.config.sections import CORE_FEATURES, Stacking
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.grid.resample import GridImage, normalize
from cardiac_seg.metrics.calibration import entropy, relative_entropy

FARTHEST_MM = 20.0  # distances are cut here; also the value where a structure is absent


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
        return [f"{group}: {what}" for group in self.groups for what in _GROUPS[group].names(self)]

    def columns(self, group: str) -> slice:
        """The columns of a group."""
        sizes = {g: len(_GROUPS[g].names(self)) for g in self.groups}
        start = sum(sizes[g] for g in self.groups[: self.groups.index(group)])
        return slice(start, start + sizes[group])

    def core(self) -> "FeatureSet":
        """The core features alone."""
        return FeatureSet(self.members, self.classes, CORE_FEATURES, self.context_mm)


def feature_set(settings: Stacking, members: list[str], dataset: Dataset) -> FeatureSet:
    """The features of a configuration; neighbouring slices exist in MRI only."""
    more = [g for g in settings.features if g != "slices" or dataset.modality.ndim == 3]
    return FeatureSet(
        tuple(members),
        ("background", *dataset.structures),
        (*CORE_FEATURES, *more),
        tuple(settings.context_mm),
    )


def pixel_features(
    maps: np.ndarray, image: GridImage, pixels: np.ndarray, wanted: FeatureSet
) -> np.ndarray:
    """The features of some pixels of a case, all in one pass.

    Args:
        maps: (members, slices, height, width, classes) float32 probabilities, calibrated or not.
        image: The slices the maps were made from.
        pixels: (slices, height, width) bool, the pixels wanted.
        wanted: The features.

    Returns:
        (pixels, features) float32, pixels in C order, columns as in `wanted.names`.
    """
    case = _Case(maps, image, pixels, wanted)
    blocks = [_GROUPS[group].compute(case) for group in wanted.groups]
    return np.concatenate(blocks, axis=1, dtype=np.float32)


@dataclass(frozen=True)
class _Case:
    """A case's arrays as the groups need them, computed when first asked for."""

    maps: np.ndarray
    image: GridImage
    pixels: np.ndarray
    wanted: FeatureSet

    @cached_property
    def chosen(self) -> np.ndarray:
        """(members, pixels, classes) probabilities of the wanted pixels."""
        return self.maps[:, self.pixels]

    @cached_property
    def mean(self) -> np.ndarray:
        """(slices, height, width, classes) mean of the members."""
        return self.maps.mean(axis=0)


@dataclass(frozen=True)
class _Group:
    names: Callable[[FeatureSet], list[str]]
    compute: Callable[[_Case], np.ndarray]


def _each_member(wanted: FeatureSet) -> list[str]:
    return list(wanted.members)


def _probability(case: _Case) -> np.ndarray:
    return np.concatenate(list(case.chosen), axis=1)


def _entropy(case: _Case) -> np.ndarray:
    return relative_entropy(case.chosen).T


def _confidence(case: _Case) -> np.ndarray:
    return case.chosen.max(-1).T


def _margin(case: _Case) -> np.ndarray:
    """The largest probability minus the second."""
    ordered = np.partition(case.chosen, -2, axis=-1)
    return (ordered[..., -1] - ordered[..., -2]).T


def _disagreement(case: _Case) -> np.ndarray:
    """Jensen-Shannon divergence over log M: 0 where the members agree, 1 at most (Lin 1991)."""
    divergence = entropy(case.chosen.mean(0)) - entropy(case.chosen).mean(0)
    return (np.maximum(divergence, 0) / np.log(len(case.chosen)))[:, None]


def _context(case: _Case) -> np.ndarray:
    """The mean's probabilities, smoothed in the plane by Gaussians of some mm."""
    blocks = []
    for sigma in case.wanted.context_mm:
        rows, columns = (sigma / step for step in case.image.grid.spacing)
        smooth = [
            cv2.GaussianBlur(plane, (0, 0), columns, sigmaY=rows, borderType=cv2.BORDER_REPLICATE)
            for plane in case.mean
        ]
        blocks.append(np.stack(smooth)[case.pixels])
    return np.concatenate(blocks, axis=1)


def _distance(case: _Case) -> np.ndarray:
    """In mm to the nearest pixel across each structure's boundary on the slice, inside positive.

    The boundary is that of the mean's mask.
    """
    mask = case.mean.argmax(-1)
    columns = []
    for label in range(1, len(case.wanted.classes)):
        planes = [_signed_distance(plane == label, case.image.grid.spacing) for plane in mask]
        columns.append(np.stack(planes)[case.pixels])
    return np.stack(columns, axis=1)


def _signed_distance(inside: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    if inside.all() or not inside.any():
        return np.full(inside.shape, FARTHEST_MM if inside.any() else -FARTHEST_MM, np.float32)
    signed = distance_transform_edt(inside, spacing) - distance_transform_edt(~inside, spacing)
    return np.clip(signed, -FARTHEST_MM, FARTHEST_MM).astype(np.float32)


def _slices(case: _Case) -> np.ndarray:
    """Where the slice lies, 0 first (base) to 1 last (apex), and the mean on both sides of it.

    The outermost slices stand in for the neighbour they lack.
    """
    count = len(case.mean)
    position = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
    index = np.nonzero(case.pixels)
    before, after = np.maximum(index[0] - 1, 0), np.minimum(index[0] + 1, count - 1)
    neighbours = [case.mean[(beside, *index[1:])] for beside in (before, after)]
    return np.concatenate([position[index[0]][:, None], *neighbours], axis=1)


def _intensity(case: _Case) -> np.ndarray:
    """The image's z-score over the case, whatever the networks were given."""
    image = case.image
    return normalize(image.pixels[case.pixels], image.mean, image.std, "zscore")[:, None]


_GROUPS = {
    "probability": _Group(
        lambda wanted: [f"{m} {c}" for m in wanted.members for c in wanted.classes], _probability
    ),
    "entropy": _Group(_each_member, _entropy),
    "confidence": _Group(_each_member, _confidence),
    "margin": _Group(_each_member, _margin),
    "disagreement": _Group(lambda wanted: ["Jensen-Shannon"], _disagreement),
    "context": _Group(
        lambda wanted: [f"{c} {s:g} mm" for s in wanted.context_mm for c in wanted.classes],
        _context,
    ),
    "distance": _Group(lambda wanted: [f"{c} mm" for c in wanted.classes[1:]], _distance),
    "slices": _Group(
        lambda wanted: [
            "position",
            *(f"{side} {c}" for side in ("before", "after") for c in wanted.classes),
        ],
        _slices,
    ),
    "intensity": _Group(lambda wanted: ["z-score"], _intensity),
}
