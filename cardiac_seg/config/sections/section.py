"""What the sections are made of: their base class and the types of their values."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _no_bool(value):
    """Pydantic would read `true` as 1.0. Text is let through: YAML takes 1e-3 for text."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


Number = Annotated[float, BeforeValidator(_no_bool)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Amount = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
BelowOne = Annotated[Number, Field(ge=0, lt=1)]
Percentile = Annotated[Number, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=1, strict=True)]
Side = Annotated[int, Field(ge=1, le=4096, strict=True)]  # pixels
Whole = Annotated[int, Field(ge=0, strict=True)]
Switch = Annotated[bool, Field(strict=True)]
# YAML reads a bare on or off as true or false.
AutoOnOff = Annotated[
    Literal["auto", "on", "off"],
    BeforeValidator(lambda v: {True: "on", False: "off"}[v] if isinstance(v, bool) else v),
]


class Section(BaseModel):
    """A part of the configuration: unknown keys and loose types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
