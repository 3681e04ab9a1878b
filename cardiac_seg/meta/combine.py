"""From the members' softmax maps to masks on the native grid.

Prediction and evaluation both end here, so that a mask scored is the mask a user gets.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from cardiac_seg.grid.companions import ALONE, Companions, OtherMaps
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.meta.features.feature_set import Beside, FeatureSet, MeanMap, pixel_features
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.methods import CALIBRATED_MEAN, MEAN, WEIGHTED_MEAN
from cardiac_seg.meta.temperature import temper


@dataclass(frozen=True)
class Combiner:
    """Everything fitted that turns a case's maps into the probabilities of every method.

    Attributes:
        members: The networks.
        features: The full feature set; a learner takes what it was fitted on, all or the core.
        act_below: The mean's confidence below which learners are fitted.
        thresholds: Learner -> the one below which it acts, at most `act_below`, which holds where a
            learner is not named; elsewhere the calibrated mean stands.
        temperatures: Member -> temperature, applied before every combination but the plain mean.
        weights: Member -> share in the weighted mean; empty where it was not fitted.
        learners: Name -> learner.
    """

    members: tuple[str, ...]
    features: FeatureSet
    act_below: float
    temperatures: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    learners: dict[str, Learner] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)

    def combine(
        self,
        maps: Mapping[str, np.ndarray],
        image: GridImage,
        methods: list[str],
        companions: Companions = ALONE,
    ) -> Iterator[tuple[str, np.ndarray, float]]:
        """The probabilities of some methods for one case.

        Args:
            maps: Member -> (slices, height, width, classes) probabilities of the case.
            image: Its slices on the network grid, for the features.
            methods: Names of some of `meta.methods.list_methods`.
            companions: The other images of the patient, for the features.

        Yields:
            Method, (slices, height, width, classes) float32, and the seconds it would take alone,
            features included.
        """
        began = time.perf_counter()
        raw = np.stack([maps[m] for m in self.members]).astype(np.float32)
        mean = raw.mean(axis=0)
        to_mean = time.perf_counter() - began
        stacked = [m for m in methods if m in self.learners]
        began = time.perf_counter()
        if stacked or WEIGHTED_MEAN in methods or CALIBRATED_MEAN in methods:
            tempered = self.temper(raw)
        if stacked:
            thresholds = {m: self.thresholds.get(m, self.act_below) for m in stacked}
            pixels = below(mean, max(thresholds.values()))
        to_temper = time.perf_counter() - began
        to_features, features = {}, {}
        for method in methods:
            shared = to_mean
            core = method in stacked and self._is_core(method)
            if method in stacked and core not in features:
                wanted = self.features.core() if core else self.features
                began = time.perf_counter()
                features[core] = pixel_features(
                    tempered, image, pixels, wanted, self.beside(companions, wanted)
                )
                to_features[core] = time.perf_counter() - began
            began = time.perf_counter()
            if method in self.members:
                probabilities = raw[self.members.index(method)]
            elif method == MEAN:
                probabilities = mean
            elif method in (CALIBRATED_MEAN, WEIGHTED_MEAN):
                probabilities = self._mean_of(tempered, method)
                shared += to_temper
            else:
                acted_on = below(mean, thresholds[method])
                probabilities = tempered.mean(axis=0)
                probabilities[acted_on] = self.learners[method].predict(
                    features[core][acted_on[pixels]]
                )
                shared += to_temper + to_features[core]
            yield method, probabilities, shared + time.perf_counter() - began

    def _mean_of(self, tempered: np.ndarray, method: str) -> np.ndarray:
        if method == CALIBRATED_MEAN:
            return tempered.mean(axis=0)
        shares = np.array([self.weights[m] for m in self.members], np.float32)
        return np.tensordot(shares, tempered, axes=1)

    def _is_core(self, learner: str) -> bool:
        return self.learners[learner].features == self.features.core().names

    def looks_beside(self, method: str) -> bool:
        """Whether a method looks at other images of the patient."""
        if method not in self.learners or self._is_core(method):
            return False
        return self.features.uses_companions

    def calibrated_mean(self, maps: Mapping[str, np.ndarray]) -> np.ndarray:
        """(slices, height, width, classes) float32; the mean where there are no temperatures."""
        return self.temper(np.stack([maps[m] for m in self.members]).astype(np.float32)).mean(0)

    def beside(self, companions: Companions, features: FeatureSet) -> Beside:
        """The calibrated means of the other images, as the features want them."""
        if not features.uses_companions:
            return Beside()

        def mean_of(other: OtherMaps | None) -> MeanMap | None:
            if other is None:
                return None
            return MeanMap(self.calibrated_mean(other.probabilities), other.grid)

        return Beside(
            companions.phase, mean_of(companions.other_phase), mean_of(companions.other_view)
        )

    def temper(self, raw: np.ndarray) -> np.ndarray:
        """Calibrated maps, (members, ..., classes) float32."""
        if not self.temperatures:
            return raw
        return np.stack(
            [temper(m, self.temperatures[n]) for n, m in zip(self.members, raw, strict=True)]
        )


def below(mean: np.ndarray, confidence: float) -> np.ndarray:
    """Where the mean's confidence is below that: (slices, height, width) bool; 1 for everywhere."""
    if confidence == 1:
        return np.ones(mean.shape[:-1], bool)
    return mean.max(-1) < confidence
