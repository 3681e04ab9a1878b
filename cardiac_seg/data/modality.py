"""What follows from how images are made: their dimensions, units, views and file formats."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Modality:
    """One kind of imaging.

    Attributes:
        name: In configs, stored runs and commands.
        images: What a dataset holds, for messages: "expects short-axis cine MRI".
        one_image: The same of a single file: "this is an MR image".
        arrays: The NIfTI arrays that are read, for messages.
        dicom: DICOM's Modality (0008,0060).
        ndim: 3: stacks of slices, which have a place in the patient and are measured as volumes;
            2: planes, which have none and are measured as areas.
        size_unit: Of a structure's size, as printed.
        views: What a patient's images may be views of; empty where there is one only.
        groups_by: What results are broken down by, in that order; `stratum` is the dataset's.
        upright: Whether up and down mean something in an image, so that turning it over makes one
            that no scanner makes.
        acoustic: Whether images are made by sound, and hold shadows.
    """

    name: str
    images: str
    one_image: str
    arrays: str
    dicom: str
    ndim: Literal[2, 3]
    size_unit: str
    views: tuple[str, ...]
    groups_by: tuple[str, ...]
    upright: bool
    acoustic: bool

    @property
    def size_key(self) -> str:
        """The unit of a structure's size as names of columns have it."""
        return self.size_unit.lower()


MRI = Modality(
    name="mri",
    images="short-axis cine MRI",
    one_image="an MR image",
    arrays="an image (x, y), a stack (x, y, z) or a cine (x, y, z, phase) of MRI",
    dicom="MR",
    ndim=3,
    size_unit="mL",
    views=(),
    groups_by=("stratum", "phase"),
    upright=False,
    acoustic=False,
)
ECHO = Modality(
    name="echo",
    images="apical echocardiography",
    one_image="an ultrasound image",
    arrays="an image (x, y) or a clip (x, y, frame) of echocardiography",
    dicom="US",
    ndim=2,
    size_unit="cm2",
    views=("2CH", "4CH"),
    groups_by=("view", "phase", "stratum"),
    upright=True,
    acoustic=True,
)
