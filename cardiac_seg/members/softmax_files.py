"""Softmax maps in files of other programs: their class order, checks against the image, reading.

Two kinds of file are read: nnU-Net v2's `.npz`, which holds `probabilities` (classes, z, y, x) in
the order of the image's file, and NIfTI images (x, y, z, class) on the image's own grid.
"""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from cardiac_seg.anatomy import Anatomy, Role
from cardiac_seg.data.modality import Modality
from cardiac_seg.data.nifti import Layout, Nifti, open_nifti
from cardiac_seg.system.checked_reads import read_json
from cardiac_seg.system.errors import UserError

DATASET, ABOVE = "dataset.json", 2  # nnU-Net's, and how many folders above the maps it may lie
KEY = "probabilities"  # of an .npz
BACKGROUND, IGNORE = "background", "ignore"  # names of nnU-Net's; what is ignored has no map
SYNONYMS: Mapping[Role, tuple[str, ...]] = {
    "rv_cavity": ("rv", "rvc", "rv cavity", "right ventricle"),
    "myocardium": ("myo", "mlv", "lvm", "myocardium", "lv myocardium"),
    "lv_cavity": ("lv", "lvc", "lv cavity", "left ventricle"),
    "la": ("la", "lac", "la cavity", "left atrium"),
}
REORIENTED = "NibabelIOWithReorient"  # its arrays are not in the order of the image's file
# Of the probabilities of a pixel: what half precision and eight bits leave of 1.
SUM_TOLERANCE, RANGE_TOLERANCE = 0.02, 0.005
SHIFT = 0.1  # of the smallest voxel side: how far apart corners of the same grid may lie
ADVICE = (
    "softmax maps are needed, which nnU-Net writes with nnUNetv2_train --npz and "
    "nnUNetv2_predict --save_probabilities"
)


def _dataset_file(folder: Path) -> Path | None:
    """nnU-Net's description of the dataset behind a folder of maps."""
    above = (folder, *(*folder.absolute().parents,)[:ABOVE])
    return next((place / DATASET for place in above if (place / DATASET).is_file()), None)


def read_case_count(folder: Path) -> int | None:
    """How many cases nnU-Net had to train on, by its `dataset.json`; None where it does not say."""
    path = _dataset_file(folder)
    values = read_json(path) if path else None
    count = values.get("numTraining") if isinstance(values, dict) else None
    return count if type(count) is int else None


def read_class_order(folder: Path, anatomy: Anatomy) -> tuple[int, ...]:
    """Which channel of a folder's maps is which class.

    Args:
        folder: Of the maps; `dataset.json` lies in it or in one of the two folders above.
        anatomy: The structures in our order.

    Returns:
        The channel of the background, then that of each structure.

    Raises:
        UserError: If there is no such file, or its labels are not these structures.
    """
    path = _dataset_file(folder)
    expected = ", ".join((BACKGROUND, *anatomy.names))
    if path is None:
        raise UserError(
            f"{folder}: no {DATASET} in it or the two folders above, so nothing says which channel "
            f"is which of {expected}; copy nnU-Net's there"
        )
    values = read_json(path)
    labels = values.get("labels") if isinstance(values, dict) else None
    if isinstance(values, dict) and values.get("overwrite_image_reader_writer") == REORIENTED:
        raise UserError(
            f"{path}: maps by {REORIENTED}, which do not lie as their image does; predict them "
            "with SimpleITKIO"
        )
    if isinstance(labels, dict) and labels and not {*map(type, labels.values())} - {int}:
        named = {_plain(name): k for name, k in labels.items() if _plain(name) != IGNORE}
        order = [_channel(named, _names_of(anatomy, k)) for k in range(len(anatomy.names) + 1)]
        if (
            sorted(named.values())
            == sorted(k for k in order if k is not None)
            == [*range(len(order))]
        ):
            return tuple(k for k in order if k is not None)
    raise UserError(
        f"{path}: labels {labels!r}; expected one number from 0 for each of {expected} and for "
        "nothing else; rename them there, if they mean the same"
    )


def check_softmax(path: Path, layout: Layout, classes: int, modality: Modality) -> None:
    """Checks a file's header against its image; no value is read.

    Args:
        path: `.npz`, `.nii.gz` or `.nii`.
        layout: The image's.
        classes: How many, background included.
        modality: How the image was made.

    Raises:
        UserError: If the file cannot be read, or its maps do not lie on the image's grid.
    """
    if path.suffix == ".npz":
        _check_npz(path, layout, classes)
    else:
        _open_nifti(path, layout, classes, modality)


def read_softmax(
    path: Path, layout: Layout, order: tuple[int, ...], modality: Modality
) -> np.ndarray:
    """Reads a file's maps.

    Args:
        path: `.npz`, `.nii.gz` or `.nii`.
        layout: The image's.
        order: See `read_class_order`.
        modality: How the image was made.

    Returns:
        (slices, height, width, classes) float16 in the canonical frame, on the image's own grid.

    Raises:
        UserError: See `check_softmax`; or if the values are no probabilities.
    """
    if path.suffix == ".npz":
        _check_npz(path, layout, len(order))
        try:
            with np.load(path, allow_pickle=False) as stored:
                array = stored[KEY]
        except Exception as error:  # zipfile, zlib and numpy let many kinds through
            raise _unreadable(path, error) from None
        maps = layout.orientation.to_canonical(array.transpose(3, 2, 1, 0))
    else:
        nifti = _open_nifti(path, layout, len(order), modality)
        maps = np.stack([nifti.read(k) for k in range(len(order))], axis=-1)
    _check_values(path, maps)
    return np.clip(maps[..., order], 0, 1).astype(np.float16)


def _names_of(anatomy: Anatomy, label: int) -> tuple[tuple[str, ...], ...]:
    """What a label may be called, the best names first."""
    if label == 0:
        return ((BACKGROUND,),)
    structure = anatomy.structures[label - 1]
    own = (_plain(structure.name), _plain(structure.title))
    return own, SYNONYMS[structure.role] if structure.role else ()


def _channel(labels: Mapping[str, int], names: Iterable[tuple[str, ...]]) -> int | None:
    """The number of the first of some names that is there."""
    return next((labels[name] for group in names for name in group if name in labels), None)


def _plain(name: object) -> str:
    return " ".join(str(name).casefold().replace("_", " ").replace("-", " ").split())


def _check_npz(path: Path, layout: Layout, classes: int) -> None:
    """Reads the array's header alone: what it claims may be more than the memory holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{KEY}.npy" not in archive.namelist():
                held = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:5])
                raise UserError(
                    f"{path}: holds {held or 'nothing'}, expected {KEY} (classes, z, y, x) as "
                    "nnU-Net v2 writes it; give its file"
                )
            with archive.open(f"{KEY}.npy") as file:
                version = np.lib.format.read_magic(file)
                header = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    header = np.lib.format.read_array_header_2_0
                shape, _, dtype = header(file)
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and numpy let many kinds through
        raise _unreadable(path, error) from None
    expected = (classes, *layout.volume[::-1])
    if shape != expected or dtype.kind != "f":
        raise UserError(
            f"{path}: {KEY} of shape {shape}, {dtype}; expected floats of shape {expected}, the "
            "classes and the image's z, y, x; give the maps of this image"
        )


def _open_nifti(path: Path, layout: Layout, classes: int, modality: Modality) -> Nifti:
    """Opens a NIfTI image of which a frame is a class."""
    nifti = open_nifti(path, modality)
    found, expected = nifti.layout, (*layout.volume, classes)
    if (*found.volume, found.frames) != expected or len(found.shape) != 4:
        raise UserError(
            f"{path}: array of shape {found.shape}; expected {expected}, the image's x, y, z and "
            f"the classes; {ADVICE}"
        )
    corners = np.array([(*at, 1) for at in product(*((0, side) for side in layout.volume))])
    apart = np.linalg.norm((corners @ (found.affine - layout.affine).T)[:, :3], axis=1).max()
    if not apart <= SHIFT * np.linalg.norm(layout.affine[:3, :3], axis=0).min():  # NaN neither
        raise UserError(
            f"{path}: its affine places it up to {apart:.3g} mm from its image; give maps on the "
            "image's own grid"
        )
    return replace(nifti, layout=replace(found, orientation=layout.orientation))


def _check_values(path: Path, maps: np.ndarray) -> None:
    """Refuses what is no softmax: logits, percentages, overlapping regions."""
    low, high = float(maps.min()), float(maps.max())  # NaN comes through
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        raise UserError(
            f"{path}: values from {low:.3g} to {high:.3g}; expected probabilities from 0 to 1, "
            "after the softmax"
        )
    off = float(np.abs(maps.sum(-1, dtype=np.float32) - 1).max())
    if off > SUM_TOLERANCE:
        raise UserError(
            f"{path}: a pixel's probabilities add up to 1 but for {off:.2g}; expected a softmax, "
            "not regions that overlap"
        )


def _unreadable(path: Path, error: Exception) -> UserError:
    what = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{path}: not a readable .npz file ({what}); copy it again")
