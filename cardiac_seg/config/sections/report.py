"""`report`: what the page of an analysis shows; changing it runs nothing again."""

from typing import Annotated

from pydantic import Field, model_validator

from cardiac_seg.config.sections.section import Number, Section, Switch

Millimetres = Annotated[Number, Field(ge=40, le=400)]


class Report(Section):
    """What the page of an analysis shows."""

    methods: list[str] | None = Field(
        None,
        min_length=1,
        description="methods of the figures, in order; null: members, mean and ensemble where few "
        "fit, all elsewhere. Tables hold every method",
    )
    figures: list[str] | None = Field(
        None, description="figures by file name, in order inside their sections; null: all"
    )
    panel_letters: Switch = Field(False, description="a, b, c on the panels of a figure")
    column_width: tuple[Millimetres, Millimetres] = Field(
        (84.0, 175.0), description="width in mm of a figure over one column, and over both"
    )

    @model_validator(mode="after")
    def _check(self):
        for key in ("methods", "figures"):
            values = getattr(self, key) or []
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: {values} names one twice")
        return self
