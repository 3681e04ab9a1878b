"""`networks`: the members' architectures, what a member overrides, and members from elsewhere."""

import itertools
import math
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from cardiac_seg.config.problems import first_problem
from cardiac_seg.config.registry import LEARNERS, NETWORKS, RESERVED_NAMES
from cardiac_seg.config.sections.section import (
    BelowOne,
    Count,
    Fraction,
    Positive,
    Section,
    Switch,
)

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

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """([slices,] height, width, channels) of what the network sees at once; None: any."""
        return (None, None, 1)


OVERRIDES = ("preprocess", "augment", "train")


class DeepUnetImproved(Network):
    """Dense U-Net, six levels."""

    deep_supervision: Switch = Field(True, description="the loss also acts at coarser levels")


Steps = tuple[Count, Count, Count]  # along slices, rows and columns
FULL_FILTERS = 32  # that `features` are given for


class Unet3D(Network):
    """Plain three-dimensional U-Net; the defaults are what nnU-Net plans for ACDC."""

    filters: Annotated[int, Field(ge=4, le=1024, strict=True)] = Field(
        FULL_FILTERS, description="at the first stage; scales all `features`"
    )
    dropout: BelowOne = Field(0.0, description="rate of spatial dropout in the two deepest stages")
    features: Annotated[tuple[Count, ...], Field(min_length=2, max_length=8)] = Field(
        (32, 64, 128, 256, 320, 320), description=f"of each stage where `filters` is {FULL_FILTERS}"
    )
    kernels: tuple[Steps, ...] = Field(
        ((1, 3, 3), *[(3, 3, 3)] * 5),
        description="of each stage's convolutions along slices, rows and columns",
    )
    strides: tuple[Steps, ...] = Field(
        ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)),
        description="from each stage's predecessor along slices, rows and columns",
    )
    convolutions: Count = Field(2, description="in each stage, on the way down and up")
    residual: Switch = Field(False, description="residual blocks on the way down")
    deep_supervision: Switch = Field(
        True, description="the loss also acts at the coarser stages, by half at each further one"
    )
    patch: Steps = Field(
        (20, 256, 224), description="slices, height and width that the network sees at once"
    )
    slice_spacing: Positive | None = Field(
        5.0, description="mm between the slices that the network sees; null: those of the file"
    )
    foreground: Fraction = Field(
        0.33,
        description="share of the training patches that lie about a random structure's voxel; "
        "along the slices alone where the grid lies about the heart",
    )
    overlap: BelowOne = Field(0.5, description="of neighbouring patches in prediction, as a share")

    @property
    def architecture(self) -> dict:
        """See `Network`; the channels of each stage are those that `filters` makes of them."""
        keys = super().architecture
        scale = keys.pop("filters") / FULL_FILTERS
        keys["features"] = tuple(max(1, round(scale * count)) for count in self.features)
        return {key: value for key, value in keys.items() if key not in PATCH_KEYS}

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """See `Network`."""
        return (*self.patch, 1)

    @property
    def output_strides(self) -> tuple[Steps, ...]:
        """From the patch to each output of training along slices, rows and columns."""
        outputs = max(1, len(self.strides) - 2) if self.deep_supervision else 1
        steps = itertools.accumulate(self.strides[:outputs], _multiplied)
        return tuple(steps)

    @model_validator(mode="after")
    def _check(self):
        stages = len(self.features)
        for key in ("kernels", "strides"):
            if len(getattr(self, key)) != stages:
                raise ValueError(
                    f"{key}: {len(getattr(self, key))} entries, but features has {stages}; each "
                    "stage needs one"
                )
        if self.strides[0] != (1, 1, 1):
            raise ValueError(
                f"strides: the first is {list(self.strides[0])}, but the maps have the resolution "
                "of the patch; it must be [1, 1, 1]"
            )
        for axis, side in enumerate(self.patch):
            factor = math.prod(stride[axis] for stride in self.strides)
            if side % factor:
                raise ValueError(
                    f"patch: {side} is not a multiple of {factor}, the product of its strides"
                )
        return self


def _multiplied(one: Steps, other: Steps) -> Steps:
    return (one[0] * other[0], one[1] * other[1], one[2] * other[2])


PATCH_KEYS = ("patch", "slice_spacing", "foreground", "overlap")  # how the network is used


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
NETWORK_SETTINGS: dict[str, type[Network]] = {
    "deep_unet_improved": DeepUnetImproved,
    "unet_3d": Unet3D,
}


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
