"""The methods of a run: each member, the means over the members, and each fitted learner.

A method is a value. What it is called in files (`name`) and on a page (`title`), what kind it is
and which features it sees are fields, so that nobody takes a name apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from cardiac_seg.config.sections import Stacking

MEAN, WEIGHTED_MEAN = "mean", "weighted_mean"
CALIBRATED_MEAN = "calibrated_mean"  # of the temperature-scaled members
ENSEMBLE = "ensemble"  # the method in use, whichever that is: a second name for one of the others
TITLES = {  # of names whose title is not the name itself, see `title_of`
    "unet_advanced": "U-Net advanced",
    "deep_unet_improved": "Deep U-Net improved",
    "unet_3d": "3D U-Net",
}


@dataclass(frozen=True)
class Method:
    """One way from the members' maps to probabilities: a row of the results.

    Attributes:
        name: In tables, files and folders.
        kind: A network alone, a mean over the members, or a fitted learner.
        features: What a learner sees: the core alone, or all that are configured.
        title: On a page.
        learner: The entry of `stacking.learners` that it is fitted as; empty for other kinds.
        order: Its place among the run's methods of its kind and features, from 0.
    """

    name: str
    kind: Literal["member", "mean", "learner"]
    features: Literal["none", "core", "all"] = "none"
    title: str = ""
    learner: str = ""
    order: int = 0


def list_members(members: Iterable[str]) -> list[Method]:
    """The networks of a run as methods of their own."""
    return [Method(m, "member", title=title_of(m), order=i) for i, m in enumerate(members)]


def list_learners(settings: Stacking) -> list[Method]:
    """The learners of a configuration, those on the core features first."""
    names = [name for name in settings.learners if name != WEIGHTED_MEAN]
    core = [
        Method(f"{name}_core", "learner", "core", f"{title_of(name)} (core)", name, i)
        for i, name in enumerate(names)
    ]
    full = [Method(n, "learner", "all", title_of(n), n, i) for i, n in enumerate(names)]
    return [*(core if settings.features else []), *full]


def list_combinations(members: list[str], settings: Stacking) -> list[Method]:
    """The combinations that a run scores; none where there is one member."""
    if len(members) == 1:
        return []
    means = [MEAN]
    means += [CALIBRATED_MEAN] if settings.learners and settings.temperature else []
    means += [WEIGHTED_MEAN] if WEIGHTED_MEAN in settings.learners else []
    of_means = [Method(m, "mean", title=title_of(m), order=i) for i, m in enumerate(means)]
    return [*of_means, *list_learners(settings)]


def list_methods(members: list[str], settings: Stacking) -> list[Method]:
    """The methods that a run scores: each member, then their combinations."""
    return [*list_members(members), *list_combinations(members, settings)]


def ensemble_of(method: Method) -> Method:
    """The method in use under its second name; the title says which it is."""
    title = method.title if method.kind == "member" else method.title.lower()
    return replace(method, name=ENSEMBLE, title=f"Ensemble ({title})")


def names_of(methods: Iterable[Method]) -> list[str]:
    """The methods' names, in their order."""
    return [method.name for method in methods]


def title_of(name: str) -> str:
    """What a member, mean or learner is called on a page: `random_forest` is Random forest."""
    return TITLES.get(name) or name[:1].upper() + name[1:].replace("_", " ")
