"""`predict`: how maps and masks are made."""

from typing import Literal

from pydantic import Field

from cardiac_seg.config.sections.section import AutoOnOff, Count, Section


class Predict(Section):
    """How maps and masks are made."""

    checkpoint: Literal["best", "last"] = Field(
        "last", description="last: validation patients choose no epoch"
    )
    batch_size: Count = Field(8, description="slices per step")
    mirror: Literal["none", "horizontal", "both"] = Field(
        "none", description="test-time augmentation: maps averaged over mirror images"
    )
    heart: AutoOnOff = Field(
        "auto",
        description="keep what is connected to the myocardium; auto: where no development Dice "
        "is lost",
    )
    largest_component: AutoOnOff = Field(
        "auto", description="keep the largest connected component of a structure; auto as above"
    )
    fill_holes: AutoOnOff = Field("auto", description="fill holes of a structure; auto as above")
