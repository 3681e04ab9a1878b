"""What a dataset is: its structures, its modality, and how its files are found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.modality import Modality


@dataclass(frozen=True)
class PublishedResult:
    """What others reached on held-out patients of a dataset, for the results table.

    Attributes:
        method: Who, with what, on which patients.
        source: Who says so.
        dice: Of each structure, in label order, with the digits that were published; or empty.
        mean_dice, hd95_mm, ef_r, ef_bias_sd, ef_mae: As published; empty where not given. EF in
            points.
    """

    method: str
    source: str
    dice: tuple[str, ...] = ()
    mean_dice: str = ""
    hd95_mm: str = ""
    ef_r: str = ""
    ef_bias_sd: str = ""
    ef_mae: str = ""


@dataclass(frozen=True)
class PublishedProtocol:
    """Published figures of some of a dataset's images, and which images.

    Runs on the same images stand beside them.

    Attributes:
        source: The publication.
        views, phases: The images, in the words of the configuration; no views where the modality
            has none.
        scores: Method (a network, or `ensemble`) -> Dice pooled over the pixels of all images, of
            each class, background first; their mean; and pixel accuracy. Per case: mean Dice of
            each structure, and their mean.
        targets: Class, `mean` or `accuracy` -> what the publication says is to be exceeded.
        per_case: Whether the figures are means over cases, on the native grid.
        member: The network that a run must have to stand beside them; None for any.
        scored_on: Whose figures they are, where the networks had seen them; empty if held out.
    """

    source: str
    views: tuple[str, ...]
    phases: tuple[str, ...]
    scores: Mapping[str, tuple[float, ...]]
    targets: Mapping[str, float] = field(default_factory=dict)
    per_case: bool = False
    member: str | None = None
    scored_on: str = ""

    @property
    def images(self) -> str:
        """The images as they are printed."""
        return " ".join((*self.views, *self.phases))


@dataclass(frozen=True)
class Dataset:
    """A dataset's conventions: all that depends on which dataset it is.

    A new dataset is a file beside this one that makes such a value, and a line in `registry`.

    Attributes:
        name: Name in configs.
        modality: How its images are made.
        anatomy: Its label set.
        find: Lists the labelled cases under a root folder: (root, views, phases) -> cases.
        official_split: Reads patient -> subset (`train`, `validation`, `test`) as the dataset's
            makers set it: (root, patients) -> subsets. None where they set none.
        stratum: What `CaseFile.group` means.
        stratum_titles: Values of the stratum that are printed as something else.
        has_phantoms: Whether `write_phantoms` draws patients in this dataset's layout.
        source: Where the images come from, with the citation, for the model card.
        limits: What they do not cover, for the model card.
        published: What others reached on it.
        protocol: Published figures of a part of its images that runs may stand beside; or None.
        licence: Of the data, and so of what is trained on them; empty where unknown.
    """

    name: str
    modality: Modality
    anatomy: Anatomy
    find: Callable[[Path, Sequence[str], Sequence[str]], list[CaseFile]]
    official_split: Callable[[Path, list[str]], dict[str, str]] | None = None
    stratum: str = "group"
    stratum_titles: Mapping[str, str] = field(default_factory=dict)
    has_phantoms: bool = False
    source: str = "Data of the user's own."
    limits: str = "Images unlike the data it was trained on."
    licence: str = ""
    published: tuple[PublishedResult, ...] = ()
    protocol: PublishedProtocol | None = None

    @property
    def title(self) -> str:
        """The name as it is printed."""
        return self.name.upper()

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of label 1, 2, 3, ... in that order."""
        return self.anatomy.names

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.anatomy.structures) + 1

    def group_title(self, group: str) -> str:
        """A value of the stratum as it is printed."""
        return self.stratum_titles.get(group, group)
