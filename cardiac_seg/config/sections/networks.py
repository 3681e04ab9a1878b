"""`networks`: the members' architectures."""

from typing import Annotated

from pydantic import Field

from cardiac_seg.config.sections.section import BelowOne, Section, Switch

MEMBERS = ("unet_advanced", "deep_unet_improved")


class UnetAdvanced(Section):
    """Residual U-Net, five levels."""

    filters: Annotated[int, Field(ge=4, le=1024, strict=True)] = Field(
        64, description="at the first level; they double at each further one"
    )
    dropout: BelowOne = Field(0.3, description="rate of spatial dropout")


class DeepUnetImproved(UnetAdvanced):
    """Dense U-Net, six levels."""

    deep_supervision: Switch = Field(True, description="the loss also acts at coarser levels")


class Networks(Section):
    """The two published networks; `members` chooses which are trained."""

    unet_advanced: UnetAdvanced = UnetAdvanced()
    deep_unet_improved: DeepUnetImproved = DeepUnetImproved()
