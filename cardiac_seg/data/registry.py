"""The datasets: what their structures are called and how their files are found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cardiac_seg.data.acdc import find_acdc, official_acdc_split
from cardiac_seg.data.camus import find_camus, official_camus_split
from cardiac_seg.data.case import CaseFile


@dataclass(frozen=True)
class Dataset:
    """A dataset's conventions.

    Attributes:
        name: Name in configs.
        modality: `mri` (stacks, native spacing kept) or `echo` (single images).
        structures: Names of label 1, 2, 3 in that order.
        stratum: What `CaseFile.group` means.
        find: Lists the labelled ED and ES cases under a root folder.
        official_split: Reads patient -> subset as the dataset's makers set it.
    """

    name: str
    modality: str
    structures: tuple[str, ...]
    stratum: str
    find: Callable[[Path, list[str], list[str]], list[CaseFile]]
    official_split: Callable[[Path, list[str]], dict[str, str]]

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.structures) + 1


DATASETS = {
    "acdc": Dataset("acdc", "mri", ("RV", "MYO", "LV"), "group", find_acdc, official_acdc_split),
    "camus": Dataset(
        "camus", "echo", ("LV", "MYO", "LA"), "image quality", find_camus, official_camus_split
    ),
}
