"""The datasets: what their structures are called and how their files are found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cardiac_seg.data.acdc import find_acdc, official_acdc_split
from cardiac_seg.data.camus import find_camus, official_camus_split
from cardiac_seg.data.cases import CaseFile, is_image_file, nifti_stem
from cardiac_seg.errors import UserError


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
    def labels(self) -> int:
        """Number of classes, background included."""
        return len(self.structures) + 1


DATASETS = {
    "acdc": Dataset("acdc", "mri", ("RV", "MYO", "LV"), "group", find_acdc, official_acdc_split),
    "camus": Dataset(
        "camus", "echo", ("LV", "MYO", "LA"), "image quality", find_camus, official_camus_split
    ),
}


def find_inputs(path: Path) -> list[CaseFile]:
    """Images to segment under a file or a folder of any layout; labels are not looked for.

    Args:
        path: A NIfTI file, a folder, or a dataset root.

    Returns:
        The images, sorted, named by their path without suffix.

    Raises:
        UserError: If there is nothing to segment.
    """
    if path.is_file():
        if not path.name.endswith((".nii", ".nii.gz")):
            raise UserError(f"{path}: not a NIfTI file; expected .nii or .nii.gz")
        files, root = [path], path.parent
    elif path.is_dir():
        files, root = sorted(p for p in path.rglob("[!.]*.nii*") if is_image_file(p)), path
    else:
        raise UserError(f"{path}: no such file or folder; check the path")
    if not files:
        raise UserError(
            f"{path}: no image found; expected .nii or .nii.gz files "
            "(*_gt, *_4d and *_sequence are not taken)"
        )
    return [
        CaseFile(
            name=str(file.relative_to(root).with_name(nifti_stem(file))),
            patient=file.parent.name,
            image_path=file,
            label_path=None,
            root=root,
        )
        for file in files
    ]
