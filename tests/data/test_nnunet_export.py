"""nnU-Net's raw format: folds by hand, images as they were, labels on their grid, dataset.json."""

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiac_seg.config.sections import Config
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.nnunet import dataset_name, exported_folds, make_splits, write_nnunet
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.data.split import trained_folds
from cardiac_seg.system.errors import UserError

PHASES = ("ED", "ES")
# Patient a: subset train, fold 0, and so on; e is tested on.
SPLIT = {
    "a": ("train", 0),
    "b": ("train", 1),
    "c": ("validation", 0),
    "d": ("train", 1),
    "e": ("test", -1),
}
FILES = [
    CaseFile(f"{patient}_{phase}", patient, Path("x"), Path("y"), Path())
    for patient in SPLIT
    for phase in PHASES
]


def table(rows: dict) -> pd.DataFrame:
    subsets, folds = zip(*rows.values(), strict=True)
    return pd.DataFrame({"patient": list(rows), "subset": subsets, "fold": folds, "stratum": "A"})


def config_of(scheme: str, dataset: str = "acdc", folds: int = 2, deploy: str = "refit") -> Config:
    return Config(
        data={"dataset": dataset, "root": "x"},
        split={"folds": folds},
        stacking={"scheme": scheme, "deploy": deploy},
    )


def patients(names: list[str]) -> str:
    assert names == sorted(names) and len(names) == 2 * len({name[0] for name in names})
    return "".join(sorted({name[0] for name in names}))


@pytest.mark.parametrize(
    ("scheme", "folds", "by_hand"),
    [
        # Folds of all development patients; `full` has nobody left out: nnU-Net's fold `all`.
        ("out_of_fold", ["fold0", "fold1"], [("bd", "ac"), ("ac", "bd")]),
        ("holdout", ["full"], [("abd", "c")]),
        # Of training patients only; then the networks in use, with their validation patients.
        ("both", ["fold0", "fold1", "full"], [("bd", "a"), ("a", "bd"), ("abd", "c")]),
    ],
)
def test_the_folds_are_those_of_the_run(scheme, folds, by_hand):
    config = config_of(scheme)
    assert exported_folds(config) == folds
    assert set(trained_folds(config)) - set(folds) <= {"full"}
    splits = make_splits(FILES, table(SPLIT), config)
    assert [(patients(s["train"]), patients(s["val"])) for s in splits] == by_hand


def test_more_folds_than_nine_keep_their_numbers():
    config = config_of("both", folds=12)
    assert exported_folds(config) == [*(f"fold{k}" for k in range(12)), "full"]


def test_a_number_has_three_digits():
    assert dataset_name(27, DATASETS["acdc"]) == "Dataset027_ACDC"
    assert dataset_name(0, DATASETS["camus"]) == "Dataset000_CAMUS"
    for number in (-1, 1000):
        with pytest.raises(UserError, match=rf"--id: {number}; expected 0 to 999"):
            dataset_name(number, DATASETS["acdc"])


def exported(folder: Path, name: str, root: Path, of_test: str):
    """Writes a dataset of phantoms of which one patient is tested on; returns its cases."""
    dataset = DATASETS[name]
    files = dataset.find(root, dataset.modality.views, PHASES)
    names = sorted({file.patient for file in files})
    split = table(
        {p: ("test", -1) if p == of_test else ("train", k % 2) for k, p in enumerate(names)}
    )
    folder.mkdir()
    write_nnunet(folder, dataset, files, split, config_of("out_of_fold", name))
    return files


def first_case(root: Path) -> CaseFile:
    """patient001_ED."""
    return DATASETS["acdc"].find(root, (), ("ED",))[0]


def image_and_label(folder: Path, name: str, subset: str = "Tr"):
    return (
        nib.load(folder / f"images{subset}" / f"{name}_0000.nii.gz"),
        nib.load(folder / f"labels{subset}" / f"{name}.nii.gz"),
    )


def test_a_dataset_of_mri(mri_copy, tmp_path):
    files = exported(tmp_path / "out", "acdc", mri_copy, of_test="patient002")
    listed = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert listed == {
        "dataset.json",
        "splits_final.json",
        *(f"imagesTr/patient001_{phase}_0000.nii.gz" for phase in PHASES),
        *(f"labelsTr/patient001_{phase}.nii.gz" for phase in PHASES),
        *(f"imagesTs/patient002_{phase}_0000.nii.gz" for phase in PHASES),
        *(f"labelsTs/patient002_{phase}.nii.gz" for phase in PHASES),
    }
    for file in files:
        subset = "Ts" if file.patient == "patient002" else "Tr"
        copy = tmp_path / "out" / f"images{subset}" / f"{file.name}_0000.nii.gz"
        assert copy.read_bytes() == file.image_path.read_bytes()
        image, label = image_and_label(tmp_path / "out", file.name, subset)
        np.testing.assert_array_equal(label.get_fdata(), nib.load(file.label_path).get_fdata())
        np.testing.assert_array_equal(label.affine, image.affine)
        assert label.get_data_dtype() == np.uint8
    assert json.loads((tmp_path / "out" / "dataset.json").read_text()) == {
        "name": "ACDC",
        "reference": DATASETS["acdc"].source,
        "licence": "CC BY-NC-SA 4.0",
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "RV": 1, "MYO": 2, "LV": 3},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }


def test_echo_stays_of_two_dimensions_and_phantoms_are_called_so(echo_root, tmp_path):
    exported(tmp_path / "out", "camus", echo_root, of_test="patient0002")
    image, label = image_and_label(tmp_path / "out", "patient0001_4CH_ES")
    assert image.ndim == label.ndim == 2 and image.shape == label.shape
    about = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert about["channel_names"] == {"0": "US"} and about["name"] == "CAMUS (phantom)"
    assert about["labels"] == {"background": 0, "LV": 1, "MYO": 2, "LA": 3}
    assert about["numTraining"] == 7 * 4 and "reference" not in about
    splits = json.loads((tmp_path / "out" / "splits_final.json").read_text())
    assert [split["val"] for split in splits] == [
        [f"patient000{k}_{v}_{phase}" for k in of_fold for v in ("2CH", "4CH") for phase in PHASES]
        for of_fold in ((1, 3, 5, 7), (4, 6, 8))
    ]


def test_an_image_that_is_not_packed_is_packed_as_it_is(mri_copy, tmp_path):
    packed = first_case(mri_copy).image_path
    plain = packed.with_suffix("")
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    exported(tmp_path / "out", "acdc", mri_copy, of_test="patient002")
    copy = tmp_path / "out" / "imagesTr" / "patient001_ED_0000.nii.gz"
    assert gzip.decompress(copy.read_bytes()) == plain.read_bytes()


def reshaped(path: Path, shape: tuple[int, ...], affine: np.ndarray):
    """Gives a file's array another shape; returns what it was."""
    image = nib.load(path)
    array = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(array.reshape(shape), affine, image.header), path)
    return array


def test_an_image_of_other_axes_is_rewritten_in_place(mri_copy, echo_copy, tmp_path):
    tilted = np.array(
        [[-1.2, 0.4, 0.5, 7], [-0.3, -1.5, 1.0, -8], [0.2, -0.6, 9.0, 9], [0, 0, 0, 1]]
    )
    tilted[:3, :3] *= [1.5, 1.5, 10] / np.linalg.norm(tilted[:3, :3], axis=0)
    wanted = {}
    for path in (mri_copy / "training" / "patient001").glob("*.nii.gz"):
        wanted[path.name] = reshaped(path, (*nib.load(path).shape, 1), tilted)
    for path in (echo_copy / "database_nifti" / "patient0001").glob("*_2CH_ED*.nii.gz"):
        image = nib.load(path)
        wanted[path.name] = reshaped(path, (*image.shape, 1), image.affine)
    shutil.copytree(echo_copy / "database_nifti/patient0001", other := tmp_path / "patient0002")
    for path in sorted(other.iterdir()):
        path.rename(path.with_name(path.name.replace("patient0001", "patient0002")))
    shutil.move(other, echo_copy / "database_nifti")

    exported(tmp_path / "mri", "acdc", mri_copy, of_test="patient002")
    image, label = image_and_label(tmp_path / "mri", "patient001_ED")
    frame = first_case(mri_copy).image_path.name
    np.testing.assert_array_equal(image.get_fdata(), wanted[frame])
    np.testing.assert_array_equal(label.get_fdata(), wanted[frame.replace(".", "_gt.", 1)])
    np.testing.assert_allclose(image.affine, tilted, atol=1e-5)
    np.testing.assert_allclose(label.affine, tilted, atol=1e-5)
    np.testing.assert_allclose(image.header.get_zooms(), [1.5, 1.5, 10], rtol=1e-5)

    exported(tmp_path / "echo", "camus", echo_copy, of_test="patient0002")
    image, label = image_and_label(tmp_path / "echo", "patient0001_2CH_ED")
    np.testing.assert_array_equal(image.get_fdata(), wanted["patient0001_2CH_ED.nii.gz"])
    np.testing.assert_array_equal(label.get_fdata(), wanted["patient0001_2CH_ED_gt.nii.gz"])


def test_a_label_lies_on_its_images_grid_to_the_last_digit(mri_copy, tmp_path):
    path = first_case(mri_copy).label_path
    label = nib.load(path)
    nearly = label.affine * [[1.0005], [1], [1], [1]]
    nib.save(nib.Nifti1Image(np.asarray(label.dataobj), nearly), path)
    exported(tmp_path / "out", "acdc", mri_copy, of_test="patient002")
    image, label = image_and_label(tmp_path / "out", "patient001_ED")
    assert image.header.get_zooms() == label.header.get_zooms()
    np.testing.assert_array_equal(label.affine, image.affine)
