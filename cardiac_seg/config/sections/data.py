"""`data` and `split`: the images, and which patients train, validate and test."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cardiac_seg.config.sections.section import Count, Fraction, Section, Switch, Whole


class Phantom(Section):
    """Phantoms to generate where `data.root` does not exist yet."""

    patients: Count = Field(24, description="number of patients")
    seed: Whole = Field(0, description="another seed gives other patients")


class Data(Section):
    """Where the images are and which of them to take."""

    dataset: str = Field(
        min_length=1,
        description="acdc, camus or another of data/registry.py: layout of the files, modality "
        "and label values",
    )
    root: str = Field(min_length=1, description="the dataset's folder")
    views: list[str] = Field(
        ["2CH", "4CH"], min_length=1, description="views, of modalities that have several: 2CH, 4CH"
    )
    phases: list[Literal["ED", "ES"]] = Field(
        ["ED", "ES"], min_length=1, description="cardiac phases"
    )
    cache: str = Field("outputs/cache", description="preprocessed slices, shared by runs")
    phantom: Phantom | None = Field(
        None, description="phantoms to generate where `root` does not exist yet"
    )


class Split(Section):
    """Which patients train, validate and test."""

    scheme: Literal["official", "random", "all"] = Field(
        "random",
        description="official: CAMUS's split files, or ACDC's testing/ as test patients; "
        "random: drawn from all patients; all: every patient trains the one member, watches its "
        "training and is scored, which gives no held-out figure",
    )
    validation: Fraction = Field(0.15, description="random: share of all patients")
    test: Fraction = Field(0.15, description="random: share of all patients")
    folds: Annotated[int, Field(ge=2, strict=True)] = Field(
        3, description="folds of patients for stacking"
    )
    stratify: Switch = Field(
        True,
        description="random subsets and folds are stratified by pathology group (ACDC) or image "
        "quality (CAMUS)",
    )
    seed: Whole = Field(42, description="seed of the random subsets and of the folds")

    @model_validator(mode="after")
    def _check(self):
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must leave patients to train on (sum below 1)")
        if self.scheme == "random" and not self.test:
            raise ValueError("test: 0 leaves no patients to test on; set a share above 0")
        return self
