"""Fits what combines the members' maps: temperatures, convex weights and learners.

Everything here knows arrays: labelled cases in, a `Combiner` out. Who may be fitted on whom is
decided by those who choose the cases (`pipeline.development`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from cardiac_seg.config.sections import Stacking
from cardiac_seg.grid.companions import Companions
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.meta.combine import Combiner, below
from cardiac_seg.meta.convex_weights import fit_weights
from cardiac_seg.meta.features.feature_set import pixel_features
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.learners.sklearn_learner import fit_learner
from cardiac_seg.meta.methods import WEIGHTED_MEAN, Method
from cardiac_seg.meta.places import slice_regions
from cardiac_seg.meta.sampling import contested, draw_pixels
from cardiac_seg.meta.temperature import fit_temperature
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar


class LabelledCase(Protocol):
    """A case with maps and a reference, as `members.maps.CaseMaps` is one.

    Attributes:
        name: Unique among the cases.
        probabilities: Member -> (slices, height, width, classes) float16.
        image: The slices on the network grid.
        reference: (slices, height, width) uint8, the true classes.
        companions: The patient's other images.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def image(self) -> GridImage:
        """See above."""

    @property
    def reference(self) -> np.ndarray:
        """See above."""

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """See above."""

    @property
    def companions(self) -> Companions:
        """See above."""


@dataclass(frozen=True)
class Sample:
    """Some pixels of a development case.

    Attributes:
        index: (n,) ascending indices into the flattened case.
        weights: (n,) float32, how many pixels each stands for.
        labels: (n,) uint8 true classes.
        probabilities: (members, n, classes) float16, as the members gave them.
        patient: Whose they are.
        alone: (n,) bool, those whose features are to be as if the image had no companions, so
            that learners know single images too.
    """

    index: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    patient: str
    alone: np.ndarray


@dataclass(frozen=True)
class FittingPixels:
    """The features of the sampled pixels on which learners act.

    Attributes:
        features: (pixels, features) float32, NaN where missing.
        labels: (pixels,) uint8 true classes.
        weights: (pixels,) float32, how many pixels each stands for.
        patients: (pixels,) int64, equal for pixels of one patient.
        cases: (pixels,) number of the case, in the order of the samples.
        regions: (pixels,) text, the region of the slice, see `meta.places.slice_regions`.
        means: (pixels,) int64 classes of the calibrated mean.
    """

    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    patients: np.ndarray
    cases: np.ndarray
    regions: np.ndarray
    means: np.ndarray


@dataclass(frozen=True)
class LearnerStore:
    """Where fitted learners are kept, so that an interrupted fit takes up those that are done.

    Attributes:
        read: From a learner's name to what was kept of it; None where there is nothing.
        write: Keeps a learner under its name.
    """

    read: Callable[[str], Learner | None] = lambda name: None
    write: Callable[[str, Learner], None] = lambda name, learner: None


NOT_KEPT = LearnerStore()
ALONE_SHARE = 0.2  # of the pixels


def draw_sample(
    case: LabelledCase, patient: str, plain: Combiner, pixels: int, seed: int
) -> Sample:
    """Draws the pixels of a case; the same for a seed whatever the other cases are.

    Args:
        case: The case.
        patient: Whose it is.
        plain: Says which members, and below which confidence learners act.
        pixels: How many.
        seed: Of the run.
    """
    raw = np.stack([case.probabilities[m] for m in plain.members])
    undecided = below(raw.astype(np.float32).mean(axis=0), plain.act_below)
    rng = np.random.default_rng([seed, *case.name.encode()])
    index, weights = draw_pixels(contested(raw, undecided), pixels, rng)
    return Sample(
        index,
        weights,
        case.reference.ravel()[index],
        raw.reshape(len(raw), -1, raw.shape[-1])[:, index],
        patient,
        rng.random(len(index)) < ALONE_SHARE,
    )


def fit(
    plain: Combiner,
    settings: Stacking,
    cases: Iterable[LabelledCase],
    samples: Mapping[str, Sample],
    methods: list[Method],
    seed: int,
    store: LearnerStore = NOT_KEPT,
) -> Combiner:
    """Fits temperatures, weights and learners on some cases.

    Args:
        plain: The members and features; nothing fitted yet.
        settings: The `stacking` section.
        cases: The cases; gone through once for every fit that needs features, one in memory at a
            time.
        samples: Their pixels by case name and in their order, from `draw_sample`.
        methods: The learners, some of `meta.methods.list_learners`.
        seed: Of forests and boosting.
        store: Takes up learners that an interrupted try has left, and keeps those that are fitted.

    Raises:
        UserError: If the learners have nothing to learn from.
    """
    if not settings.learners:
        return plain
    labels = np.concatenate([s.labels for s in samples.values()])
    weights = np.concatenate([s.weights for s in samples.values()])
    raw = np.concatenate([s.probabilities for s in samples.values()], axis=1).astype(np.float32)
    temperatures, shares = {}, {}
    if settings.temperature:
        temperatures = {
            m: fit_temperature(raw[i], labels, weights) for i, m in enumerate(plain.members)
        }
    combiner = replace(plain, temperatures=temperatures)
    if WEIGHTED_MEAN in settings.learners:
        fitted = fit_weights(combiner.temper(raw), labels, weights)
        shares = dict(zip(plain.members, map(float, fitted), strict=True))
    combiner = replace(combiner, weights=shares)
    learners, pixels = {}, None
    for method in bar(methods, "fit learners", unit="learner"):
        learner = store.read(method.name)
        if learner is None:
            pixels = pixels or collect_pixels(combiner, cases, samples)
            learner = _fit_one(combiner, settings, method, pixels, len(samples), seed)
            store.write(method.name, learner)
        learners[method.name] = learner
    return replace(combiner, learners=learners)


def collect_pixels(
    combiner: Combiner, cases: Iterable[LabelledCase], samples: Mapping[str, Sample]
) -> FittingPixels:
    """The features of the sampled pixels on which learners act, a case at a time.

    Args:
        combiner: With its temperatures.
        cases: The cases.
        samples: Their pixels by case name.
    """
    numbers: dict[str, int] = {}
    parts: list[tuple[np.ndarray, ...]] = []
    for case in bar(cases, "features", total=len(samples), unit="case"):
        sample = samples[case.name]
        raw = np.stack([case.probabilities[m] for m in combiner.members]).astype(np.float32)
        undecided = below(raw.mean(axis=0), combiner.act_below).ravel()
        acted_on = undecided[sample.index]
        index = sample.index[acted_on]
        pixels = np.zeros(undecided.shape, bool)
        pixels[index] = True
        maps = combiner.temper(raw)
        features = pixel_features(
            maps,
            case.image,
            pixels.reshape(case.reference.shape),
            combiner.features,
            combiner.beside(case.companions, combiner.features),
            sample.alone[acted_on],
        )
        regions = slice_regions(case.reference, combiner.features.lv)
        parts.append(
            (
                features,
                sample.labels[acted_on],
                sample.weights[acted_on],
                np.full(len(index), numbers.setdefault(sample.patient, len(numbers))),
                np.full(len(index), len(parts)),
                regions[index // case.reference[0].size],
                maps.reshape(len(maps), -1, maps.shape[-1])[:, index].mean(0).argmax(-1),
            )
        )
    return FittingPixels(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _fit_one(
    combiner: Combiner,
    settings: Stacking,
    method: Method,
    pixels: FittingPixels,
    cases: int,
    seed: int,
) -> Learner:
    classes = combiner.features.classes
    missing = [c for label, c in enumerate(classes) if label not in pixels.labels]
    if missing:
        raise UserError(
            f"stacking.act_below: {settings.act_below} leaves the learners "
            f"{len(pixels.labels)} pixels of {cases} development cases, and none of "
            f"{missing[0]}; raise it or stacking.pixels_per_case"
        )
    features = combiner.features.core() if method.features == "core" else combiner.features
    columns = len(features.names)  # the core comes first
    return fit_learner(
        method.learner,
        settings,
        pixels.features[:, :columns],
        pixels.labels,
        pixels.weights,
        pixels.patients,
        features.names,
        len(classes),
        seed,
    )
