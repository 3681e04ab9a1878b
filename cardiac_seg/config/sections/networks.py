"""`networks`: the members' architectures, and what a member overrides."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError

from cardiac_seg.config.problems import first_problem
from cardiac_seg.config.registry import NETWORKS
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


# Network -> the class of its keys, where it has others than `Network`.
NETWORK_SETTINGS = {"deep_unet_improved": DeepUnetImproved}


def _by_network(values: object) -> dict[str, Network]:
    """Checks each network's keys by its own class; a network that is not named has the defaults."""
    if not isinstance(values, dict):
        raise ValueError(f": {values!r} is not allowed; expected networks by name")
    if unknown := [name for name in values if name not in NETWORKS]:
        raise ValueError(f": {unknown[0]!r} is not known; known: {', '.join(NETWORKS)}")
    networks = {}
    for name in NETWORKS:
        kind = NETWORK_SETTINGS.get(name, Network)
        given = values.get(name, {})
        try:
            networks[name] = given if isinstance(given, kind) else kind.model_validate(given)
        except ValidationError as error:
            problem = first_problem(error, kind)
            dot = "" if problem.startswith(":") else "."
            raise ValueError(f"{name}{dot}{problem}") from None
    return networks


Networks = Annotated[dict[str, SerializeAsAny[Network]], BeforeValidator(_by_network)]


def default_networks() -> dict[str, Network]:
    """Every known network with its defaults."""
    return _by_network({})
