"""A dataset in nnU-Net v2's raw format: images, labels, `dataset.json` and the folds of a split."""

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cardiac_seg.config.sections import Config
from cardiac_seg.data.case import Case, CaseFile, read_cases
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.data.nifti import write_image, write_mask
from cardiac_seg.data.phantoms.dataset import is_phantom
from cardiac_seg.data.split import fold_patients, stacking_folds
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar

IDS = range(1000)  # three digits in a folder's name
SUFFIX = ".nii.gz"
CHANNELS = {"MR": "MRI"}  # by DICOM's name; other modalities keep it. All but CT are z-scored


def dataset_name(number: int, dataset: Dataset) -> str:
    """The folder's name, as `Dataset027_ACDC`.

    Raises:
        UserError: If the number is none that nnU-Net has.
    """
    if number not in IDS:
        raise UserError(f"--id: {number}; expected {IDS[0]} to {IDS[-1]}, nnU-Net has no others")
    return f"Dataset{number:03d}_{dataset.title}"


def exported_folds(config: Config) -> list[str]:
    """The trainings in the order of `splits_final.json`: nnU-Net's fold k is the k-th of them.

    `fold<k>` comes k-th. `full` comes last where patients are held out from it; with `out_of_fold`
    it is trained on all development patients, which is nnU-Net's fold `all`.
    """
    return sorted(stacking_folds(config), key=lambda fold: fold == "full")


def make_splits(
    files: Sequence[CaseFile], split: pd.DataFrame, config: Config
) -> list[dict[str, list[str]]]:
    """What `splits_final.json` holds: for each training the cases it is trained and validated on.

    Args:
        files: The cases.
        split: The table of `make_split`.
        config: The configuration that the split was made with.

    Returns:
        `train` and `val`, names of cases in the order of `files`, for each of `exported_folds`.
    """
    splits = []
    for fold in exported_folds(config):
        parts = fold_patients(split, fold, config.stacking.scheme)
        train, left_out = ([f.name for f in files if f.patient in part] for part in parts)
        splits.append({"train": train, "val": left_out})
    return splits


def write_nnunet(
    folder: Path, dataset: Dataset, files: list[CaseFile], split: pd.DataFrame, config: Config
) -> None:
    """Writes cases into an empty folder as nnU-Net reads them.

    Development patients go to `imagesTr` and `labelsTr`, test patients to `imagesTs` and
    `labelsTs`. Images keep their intensities and their affine; labels lie on their image's grid.

    Args:
        folder: `nnUNet_raw/Dataset027_ACDC` or what becomes it.
        dataset: Whose cases they are.
        files: All labelled cases.
        split: The table of `make_split`, with every patient of `files`.
        config: The configuration that the split was made with.

    Raises:
        UserError: If a case cannot be read.
    """
    for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (folder / name).mkdir()
    is_test = dict(zip(split.patient, split.subset == "test", strict=True))
    cases = read_cases(files, dataset.num_classes)
    for case in bar(cases, "export", total=len(files), unit="case"):
        subset = "Ts" if is_test[case.file.patient] else "Tr"
        _write_case(folder, subset, case)
    training = sum(not is_test[file.patient] for file in files)
    write_json(folder / "dataset.json", _description(dataset, training, is_phantom(files[0].root)))
    write_json(folder / "splits_final.json", make_splits(files, split, config))


def _description(dataset: Dataset, training: int, phantom: bool) -> dict[str, object]:
    """What `dataset.json` holds; nnU-Net itself reads the last four."""
    source = {} if phantom else {"reference": dataset.source, "licence": dataset.licence}
    kind = dataset.modality.dicom
    return {
        "name": f"{dataset.title} (phantom)" if phantom else dataset.title,
        **source,
        "channel_names": {"0": CHANNELS.get(kind, kind)},
        "labels": {name: label for label, name in enumerate(("background", *dataset.structures))},
        "numTraining": training,
        "file_ending": SUFFIX,
    }


def _write_case(folder: Path, subset: str, case: Case) -> None:
    """An image, which is copied where nnU-Net reads it as it is, and its label."""
    source, ndim = case.file.image_path, case.file.modality.ndim
    image = folder / f"images{subset}" / f"{case.file.name}_0000{SUFFIX}"
    # An image of echo stays one of two dimensions: of a single slice, nnU-Net would compare the
    # thickness, which means nothing, with the spacing of pixels to find the slice axis.
    layout = replace(case.layout, shape=case.layout.volume[:ndim])
    as_it_is = case.layout.shape == layout.shape and not layout.header.get_data_dtype().fields
    if as_it_is and source.name.endswith(SUFFIX):
        shutil.copyfile(source, image)
    elif as_it_is and source.name.endswith(".nii"):
        with source.open("rb") as plain, gzip.GzipFile(image, "wb", mtime=0) as packed:
            shutil.copyfileobj(plain, packed)
    else:
        write_image(image, case.image, layout)
    write_mask(folder / f"labels{subset}" / f"{case.file.name}{SUFFIX}", [case.reference], layout)
