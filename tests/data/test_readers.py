"""Readers of both layouts on phantoms, and the answer to each kind of bad input."""

import nibabel as nib
import numpy as np
import pytest

from cardiac_seg.data.acdc import ACDC
from cardiac_seg.data.camus import CAMUS
from cardiac_seg.data.case import read_case
from cardiac_seg.data.modality import MRI
from cardiac_seg.data.nifti import open_nifti, write_mask
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.system.errors import UserError

VIEWS, PHASES = ["2CH", "4CH"], ["ED", "ES"]


def first(root, dataset="acdc"):
    return DATASETS[dataset].find(root, VIEWS, PHASES)[0]


def rewrite(path, change, zooms=None):
    """Replaces a NIfTI file's array by `change(array)`, and its spacing."""
    image = nib.load(path)
    array = np.ascontiguousarray(change(np.asarray(image.dataobj)))
    zooms = (*(zooms or image.header.get_zooms()), 1, 1)[: array.ndim]
    changed = nib.Nifti1Image(array, np.diag([*zooms, 1, 1][:3] + [1]))
    changed.header.set_zooms(zooms)
    nib.save(changed, path)


def test_acdc_lists_both_phases_of_every_patient(mri_root):
    files = ACDC.find(mri_root, VIEWS, PHASES)
    names = [f"patient{i:03d}_{phase}" for i in range(1, 9) for phase in PHASES]
    assert [f.name for f in files] == names
    assert {f.group for f in files} <= {"NOR", "DCM", "HCM", "MINF", "RV"}
    assert files[0].relative_path.parts[:2] == ("training", "patient001")
    frame = int(files[1].metadata["ES"])
    assert files[1].image_path.name == f"patient001_frame{frame:02d}.nii.gz"
    assert files[1].label_path.name == f"patient001_frame{frame:02d}_gt.nii.gz"


def test_camus_lists_each_view_and_phase_of_every_patient(echo_root):
    files = CAMUS.find(echo_root, VIEWS, PHASES)
    assert len(files) == 8 * 4 and len({f.patient for f in files}) == 8
    assert [f.name for f in files[:4]] == [
        f"patient0001_{view}_{phase}" for view in VIEWS for phase in PHASES
    ]
    assert {f.group for f in files} <= {"Good", "Medium", "Poor"}


def test_only_the_chosen_views_and_phases_are_listed(mri_root, echo_root):
    assert {f.phase for f in ACDC.find(mri_root, VIEWS, ["ES"])} == {"ES"}
    files = CAMUS.find(echo_root, ["4CH"], ["ED"])
    assert len(files) == 8 and {(f.view, f.phase) for f in files} == {("4CH", "ED")}


@pytest.mark.parametrize(("dataset", "ndim"), [("acdc", 3), ("camus", 2)])
def test_arrays_come_as_slice_row_column_of_the_files_x_y_z(dataset, ndim, mri_root, echo_root):
    file = first(mri_root if dataset == "acdc" else echo_root, dataset)
    case, nifti = read_case(file, num_classes=4), nib.load(file.image_path)
    stored = np.asarray(nifti.dataobj)
    zooms = nifti.header.get_zooms()
    assert stored.ndim == ndim and case.layout.shape == stored.shape
    stack = stored if ndim == 3 else stored[..., None]
    assert case.image.dtype == np.float32 and case.label.dtype == np.uint8
    assert case.image.shape == case.label.shape == stack.shape[::-1]
    # x runs along the columns, y along the rows
    assert case.image[0, 5, 90] == stack[90, 5, 0]
    assert case.image[-1, 70, 60] == stack[60, 70, -1]
    label = np.asarray(nib.load(file.label_path).dataobj)
    assert np.array_equal(case.label.T.reshape(label.shape), label)
    slice_spacing = zooms[2] if ndim == 3 else 1
    assert case.spacing == pytest.approx((slice_spacing, zooms[1], zooms[0]))
    assert np.array_equal(case.layout.affine, nifti.affine)


def test_spacing_is_ordered_slice_row_column(mri_copy):
    file = first(mri_copy)
    rewrite(file.image_path, lambda a: a, (1.25, 1.5, 9))
    assert read_case(file, 4, with_label=False).spacing == pytest.approx((9, 1.5, 1.25))
    assert read_case(file, 4, with_label=False).label is None


@pytest.mark.parametrize("dataset", ["acdc", "camus"])
def test_a_written_mask_lies_exactly_on_its_image(dataset, mri_copy, echo_copy, tmp_path):
    file = first(mri_copy if dataset == "acdc" else echo_copy, dataset)
    source = nib.load(file.image_path)
    turned = source.affine.copy()  # an oblique, flipped, shifted frame
    turned[:3] = [[0, -1.1, 0, 7], [-1.3, 0, 0.2, -3], [0.1, 0, 8, 11]]
    changed = nib.Nifti1Image(np.asarray(source.dataobj), turned, source.header)
    changed.header.set_slope_inter(2, -5)
    nib.save(changed, file.image_path)
    case = read_case(file, 4, with_label=False)
    mask = np.arange(case.image.size, dtype=np.uint8).reshape(case.image.shape) % 4

    write_mask(tmp_path / "new" / "mask.nii.gz", [mask], case.layout)

    image, written = nib.load(file.image_path), nib.load(tmp_path / "new" / "mask.nii.gz")
    assert written.shape == image.shape
    assert written.get_data_dtype() == np.uint8
    assert np.array_equal(written.affine, image.affine)
    assert written.header.get_zooms() == image.header.get_zooms()
    back = open_nifti(tmp_path / "new" / "mask.nii.gz", file.modality)
    assert np.array_equal(back.read(), mask)


@pytest.mark.parametrize(
    ("dataset", "layout"), [("acdc", "training/patient001"), ("camus", "database_nifti")]
)
def test_a_root_of_another_layout_is_answered_with_expected_and_found(dataset, layout, tmp_path):
    (tmp_path / "subject7").mkdir()
    with pytest.raises(UserError) as caught:
        first(tmp_path, dataset)
    message = str(caught.value)
    assert str(tmp_path) in message and layout in message and "subject7" in message
    with pytest.raises(UserError, match="no such folder"):
        first(tmp_path / "nowhere", dataset)


@pytest.mark.parametrize("dataset", ["acdc", "camus"])
@pytest.mark.parametrize("lost", ["image_path", "label_path"])
def test_a_patient_without_image_or_label_is_named(dataset, lost, mri_copy, echo_copy):
    root = mri_copy if dataset == "acdc" else echo_copy
    path = getattr(first(root, dataset), lost)
    path.unlink()
    with pytest.raises(UserError) as caught:
        first(root, dataset)
    assert f"{path}: missing" in str(caught.value)


def test_a_patient_without_a_phase_is_named(mri_copy):
    info = mri_copy / "training" / "patient002" / "Info.cfg"
    info.write_text("ED: 1\nGroup: NOR\n")
    with pytest.raises(UserError) as caught:
        ACDC.find(mri_copy, VIEWS, PHASES)
    assert str(info) in str(caught.value) and "ES" in str(caught.value)
    assert len(ACDC.find(mri_copy, VIEWS, ["ED"])) == 2


@pytest.mark.parametrize("dataset", ["acdc", "camus"])
def test_a_patient_without_info_is_named(dataset, mri_copy, echo_copy):
    root = mri_copy if dataset == "acdc" else echo_copy
    info = sorted(first(root, dataset).image_path.parent.glob("Info*.cfg"))[0]
    info.unlink()
    with pytest.raises(UserError) as caught:
        first(root, dataset)
    assert str(info) in str(caught.value)


def _value(array, value):
    array = array.copy()
    array[3, 3] = value
    return array


LABEL_DAMAGE = {
    "shape": (lambda a: a[:-1], None, ["shape", "same grid"]),
    "spacing": (lambda a: a, (1.0, 1.0, 3.0), ["spacing", "3 x 1 x 1", "same grid"]),
    "value": (lambda a: _value(a, 9), None, ["9", "0 to 3"]),
    "fraction": (lambda a: _value(a.astype(np.float32), 0.5), None, ["0.5", "0 to 3"]),
}
IMAGE_DAMAGE = {
    "nan": (lambda a: _value(a.astype(np.float32), np.nan), ["NaN"]),
    "infinite": (lambda a: _value(a.astype(np.float32), np.inf), ["infinite"]),
    "constant": (lambda a: np.full_like(a, 7), ["constant", "7"]),
    "cine": (lambda a: np.stack([a, a], -1), ["2 frames", "expected an image or stack"]),
}


@pytest.mark.parametrize("damage", LABEL_DAMAGE)
def test_a_label_that_does_not_fit_is_named(damage, mri_copy):
    file = first(mri_copy)
    change, zooms, words = LABEL_DAMAGE[damage]
    rewrite(file.label_path, change, zooms)
    with pytest.raises(UserError) as caught:
        read_case(file, num_classes=4)
    assert all(word in str(caught.value) for word in [str(file.label_path), *words])
    assert read_case(file, num_classes=4, with_label=False).label is None


@pytest.mark.parametrize("damage", IMAGE_DAMAGE)
def test_an_image_that_a_network_would_silently_digest_is_named(damage, mri_copy):
    file = first(mri_copy)
    change, words = IMAGE_DAMAGE[damage]
    rewrite(file.image_path, change)
    with pytest.raises(UserError) as caught:
        read_case(file, num_classes=4)
    assert all(word in str(caught.value) for word in [str(file.image_path), *words])


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.98])
@pytest.mark.parametrize("which", ["image_path", "label_path"])
def test_a_truncated_file_is_named(which, kept, mri_copy):
    path = getattr(first(mri_copy), which)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(UserError) as caught:
        read_case(first(mri_copy), num_classes=4)
    assert f"{path}: not a readable NIfTI file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_nifti_is_named(tmp_path):
    for name in ("page.nii", "page.nii.gz"):
        path = tmp_path / name
        path.write_text("<html>not found</html>" * 50)
        with pytest.raises(UserError, match=f"{name}: not a readable NIfTI file"):
            open_nifti(path, MRI)


def test_the_camus_split_is_read_as_published(echo_root):
    patients = [f"patient{i:04d}" for i in range(1, 9)]
    subsets = CAMUS.official_split(echo_root, patients)
    for official, subset in (("training", "train"), ("validation", "validation")):
        path = echo_root / "database_split" / f"subgroup_{official}.txt"
        assert path.read_text().split() == [p for p in patients if subsets[p] == subset]
    assert sorted(subsets) == patients and "test" in subsets.values()


def test_a_patient_in_no_subset_is_named(echo_copy):
    with pytest.raises(UserError, match="1 patients are in no subset, patient0099"):
        CAMUS.official_split(echo_copy, ["patient0001", "patient0099"])


def test_a_patient_in_two_subsets_is_named(echo_copy):
    for name in ("training", "testing"):
        with open(echo_copy / "database_split" / f"subgroup_{name}.txt", "a") as file:
            file.write("patient0077\n")
    with pytest.raises(UserError, match="patient0077 is also in another"):
        CAMUS.official_split(echo_copy, ["patient0001"])


def test_a_missing_split_file_is_named(echo_copy):
    path = echo_copy / "database_split" / "subgroup_validation.txt"
    path.unlink()
    with pytest.raises(UserError, match=f"{path}: missing"):
        CAMUS.official_split(echo_copy, ["patient0001"])
