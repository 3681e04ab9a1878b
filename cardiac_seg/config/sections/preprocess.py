"""`preprocess` and `augment`: the network grid, and what training changes on it."""

from typing import Literal

from pydantic import Field, model_validator

from cardiac_seg.config.sections.section import (
    Amount,
    BelowOne,
    Fraction,
    Percentile,
    Positive,
    Section,
    Side,
)


class Preprocess(Section):
    """From the file's pixels to the network grid."""

    spacing: Positive | None = Field(
        1.5, description="mm in plane; null: the whole image is resized to `size`"
    )
    size: tuple[Side, Side] = Field(
        (192, 192), description="height and width of the network grid, multiples of 32"
    )
    field: Literal["image", "heart", "sector"] = Field(
        "image",
        description="what the grid shows. image: the middle of the image, as all runs did before "
        "format 3; heart: the heart, which a small network finds (MRI); sector: the ultrasound "
        "sector, found in the image (echo)",
    )
    clip: tuple[Percentile, Percentile] = Field(
        (0.5, 99.5),
        description="intensity percentiles that become the darkest and the brightest value",
    )
    normalize: Literal["zscore", "minmax"] = Field(
        "zscore", description="intensity normalisation of each image"
    )

    @model_validator(mode="after")
    def _check(self):
        if self.clip[0] >= self.clip[1]:
            raise ValueError("clip: the first percentile must be below the second")
        if self.field == "heart" and self.spacing is None:
            raise ValueError(
                "field: heart needs a spacing in mm; with null the whole image is shown"
            )
        if self.field == "sector" and self.spacing is not None:
            raise ValueError("field: sector needs spacing: null; the sector is resized to `size`")
        for side in self.size:
            if side % 32:
                raise ValueError(f"size: {side} is not a multiple of 32 (five halvings)")
        return self


class Augment(Section):
    """Random changes to training slices, image and label together; 0 or `none` turns one off."""

    symmetry: Literal["none", "horizontal", "dihedral"] = Field(
        "none", description="mirror images; dihedral: all eight flips and quarter turns (MRI only)"
    )
    rotation: Amount = Field(0.0, description="degrees, plus or minus")
    scale: BelowOne = Field(0.0, description="0.2: factors from 0.8 to 1.2")
    shift: Fraction = Field(0.0, description="share of the side, plus or minus")
    elastic: Amount = Field(0.0, description="largest displacement in pixels")
    slice_shift: Amount = Field(
        0.0,
        description="3D networks: largest displacement in pixels of a quarter of the slices, as "
        "by another breath-hold",
    )
    low_resolution: BelowOne = Field(
        0.0,
        description="0.5: half of the slices go to 0.5 to 1 of their resolution and back",
    )
    bias_field: Amount = Field(
        0.0, description="0.3: factors that vary smoothly over the slice, exp(-0.3) to exp(0.3)"
    )
    gain: Amount = Field(
        0.0, description="0.5: one factor for the whole slice, from exp(-0.5) to exp(0.5)"
    )
    gamma: BelowOne = Field(0.0, description="0.3: exponents from 0.7 to 1/0.7")
    contrast: BelowOne = Field(0.0, description="0.2: factors from 0.8 to 1.2")
    brightness: Amount = Field(0.0, description="in units of the image's contrast range")
    noise: Amount = Field(0.0, description="largest standard deviation, in the same unit")
    blur: Amount = Field(0.0, description="largest sigma in pixels")
    shadow: Fraction = Field(
        0.0, description="echo: probability of an acoustic shadow or a gain change"
    )
