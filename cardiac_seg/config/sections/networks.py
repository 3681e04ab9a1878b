"""`networks`: the members' architectures, what a member overrides, and members from elsewhere."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError

from cardiac_seg.config.problems import first_problem
from cardiac_seg.config.registry import LEARNERS, NETWORKS, RESERVED_NAMES
from cardiac_seg.config.sections.section import BelowOne, Section, Switch

MEMBERS = ("unet_advanced", "deep_unet_improved")  # the two published networks, the default


class Network(Section):
    """What every network has; `preprocess`, `augment` and `train` override those of the run."""

    filters: Annotated[int, Field(ge=4, le=1024, strict=True)] = Field(
        64, description="at the first level; they double at each further one"
    )
    dropout: BelowOne = Field(0.3, description="rate of spatial dropout")
    preprocess: dict = Field(
        {}, description="keys of `preprocess` that this member overrides, for a grid of its own"
    )
    augment: dict = Field({}, description="keys of `augment` that this member overrides")
    train: dict = Field({}, description="keys of `train` that this member overrides")

    @property
    def architecture(self) -> dict:
        """The keys that the network's builder takes."""
        return self.model_dump(exclude=set(OVERRIDES))


OVERRIDES = ("preprocess", "augment", "train")


class DeepUnetImproved(Network):
    """Dense U-Net, six levels."""

    deep_supervision: Switch = Field(True, description="the loss also acts at coarser levels")


class External(Section):
    """A member whose softmax maps another program made, under a name of your choice.

    Nothing is trained; the maps lie on the images' own grid.
    """

    kind: Literal["external"] = Field(description="says that the member brings its maps")
    maps: Annotated[str, Field(min_length=1)] = Field(
        description="folder of the maps: results of nnU-Net v2 (`fold_0/validation/CASE.npz`, or "
        "`CASE.npz` directly in it), or NIfTI images (x, y, z, class) named alike"
    )
    trained_on: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="nnU-Net's `splits_final.json`, which names the cases that each fold was "
        "trained on; null: nobody knows, and the maps cannot be stacked",
    )
    vouch_for_test: Switch = Field(
        False,
        description="true: you vouch that maps whose training set nobody knows were made by "
        "networks that have seen no test patient; without it they are refused for test cases",
    )


EXTERNAL_NAME = re.compile("[A-Za-z][A-Za-z0-9_-]{0,39}")
# Names that a file of a run, an option of NumPy or a result of `predict` has beside a member's.
NO_EXTERNAL_NAMES = RESERVED_NAMES | {"file", "allow_pickle", "entropy", "probabilities"}

# Network -> the class of its keys, where it has others than `Network`.
NETWORK_SETTINGS = {"deep_unet_improved": DeepUnetImproved}


def _by_network(values: object) -> dict[str, Network | External]:
    """Checks each network's keys by its own class; a network that is not named has the defaults."""
    if not isinstance(values, dict):
        raise ValueError(f": {values!r} is not allowed; expected networks by name")
    external = [name for name in values if name not in NETWORKS and _is_external(values[name])]
    if unknown := [name for name in values if name not in (*NETWORKS, *external)]:
        raise ValueError(f": {unknown[0]!r} is not known; known: {', '.join(NETWORKS)}")
    networks: dict[str, Network | External] = {}
    for name in (*NETWORKS, *external):
        kind = External if name in external else NETWORK_SETTINGS.get(name, Network)
        if name in external:
            _check_name(name)
        given = values.get(name, {})
        try:
            networks[name] = given if isinstance(given, kind) else kind.model_validate(given)
        except ValidationError as error:
            problem = first_problem(error, kind).replace("--set ", f"--set networks.{name}.")
            dot = "" if problem.startswith(":") else "."
            raise ValueError(f"{name}{dot}{problem}") from None
    return networks


def _is_external(values: object) -> bool:
    return isinstance(values, External) or isinstance(values, dict) and "kind" in values


def _check_name(name: object) -> None:
    """Refuses names that a run gives to something else, or that no file can have."""
    if not isinstance(name, str) or not EXTERNAL_NAME.fullmatch(name):
        raise ValueError(
            f": {name!r} cannot name a member; use a letter, then letters, digits, '_' and '-', at "
            "most 40"
        )
    if name in NO_EXTERNAL_NAMES or name.removesuffix("_core") in LEARNERS:
        raise ValueError(f": '{name}' is the name of something else in a run; rename it")


Networks = Annotated[dict[str, SerializeAsAny[Network | External]], BeforeValidator(_by_network)]


def default_networks() -> dict[str, Network | External]:
    """Every known network with its defaults."""
    return _by_network({})
