"""The images that everyone segments: ED and ES of one phantom patient."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib

from benchmarks.workload import new_patient
from cardiac_seg.predict.scans import find_scans


def prepare(folder: str, slices: int | None) -> Callable[[], dict]:
    """Prepares `hand_over` for a process of its own."""
    return lambda: {"images": [str(path) for path in hand_over(Path(folder), slices)]}


def hand_over(folder: Path, slices: int | None = None) -> list[Path]:
    """Writes the patient that `make bench` segments too, and finds its images.

    Args:
        folder: Where the patient's folder appears.
        slices: Keep that many middle slices of each image and label; None for all.

    Returns:
        The ED and the ES image.
    """
    root = new_patient(folder)
    if slices:
        for path in root.rglob("*.nii.gz"):
            _keep_middle(path, slices)
    return [path for files in find_scans(root) for path in files.paths]


def _keep_middle(path: Path, slices: int) -> None:
    stack = nib.load(path)
    first = max(0, (stack.shape[2] - slices) // 2)
    kept = stack.slicer[:, :, first : first + slices]
    pixels = kept.get_fdata().astype(stack.get_data_dtype())
    nib.save(nib.Nifti1Image(pixels, kept.affine, kept.header), path)
