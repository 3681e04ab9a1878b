"""Softmax maps of other programs: found, checked, in our order and frame, and whose they are."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiac_seg.anatomy import LA, LV, MYO, RV, Anatomy, Structure
from cardiac_seg.config.sections import Config, Data
from cardiac_seg.data.modality import ECHO, MRI
from cardiac_seg.data.nifti import open_nifti
from cardiac_seg.grid.field import Field
from cardiac_seg.grid.resample import label_to_grid, make_grid, native_grid, to_grid
from cardiac_seg.members.external import ExternalMember
from cardiac_seg.members.external_folder import (
    FoundMap,
    TrainingSets,
    choose_map,
    find_maps,
    read_training_sets,
    scan_map,
)
from cardiac_seg.members.maps import FOLD_MEAN
from cardiac_seg.members.softmax_files import check_softmax, read_class_order, read_softmax
from cardiac_seg.system.errors import UserError
from tests.support.external_maps import softmax_of, write_dataset, write_nifti, write_npz

ACDC = Anatomy((RV, MYO, LV))
SHAPE = (24, 20, 5)  # x, y, z
TURNED = np.array([[0, -1.5, 0, 3], [0, 0, 8.0, 4], [1.5, 0, 0, 5], [0, 0, 0, 1.0]])
OBLIQUE = np.array([[0.9, -0.8, 5, 3], [1.0, 0.6, -5, 4], [-0.6, 1.1, 4, 5], [0, 0, 0, 1.0]])
ORDER = (0, 3, 2, 1)  # of `LABELS`


@pytest.fixture
def label():
    rng = np.random.default_rng(0)
    label = np.zeros(SHAPE, np.uint8)
    for k in (1, 2, 3):
        at = rng.integers(2, 10, 2)
        label[at[0] : at[0] + 9, at[1] : at[1] + 7, k - 1 : k + 2] = k
    return label


def image_of(path, label, affine=TURNED):
    """An image of this label's shape."""
    pixels = np.random.default_rng(1).normal(100, 20, label.shape) + 50 * label
    nib.save(nib.Nifti1Image(pixels.astype(np.float32), affine), path)
    return open_nifti(path, MRI)


def refused(what, *arguments):
    with pytest.raises(UserError) as caught:
        what(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Class order.


def test_classes_are_found_by_name_in_the_folder_or_two_above(tmp_path):
    deep = tmp_path / "trainer" / "fold" / "maps"
    deep.mkdir(parents=True)
    write_dataset(tmp_path)
    assert "no dataset.json in it or the two folders above" in refused(read_class_order, deep, ACDC)
    assert read_class_order(deep.parent, ACDC) == ORDER
    write_dataset(deep, {"Background": 0, "lv": 2, "myo": 1, "Right_Ventricle": 3, "ignore": 4})
    assert read_class_order(deep, ACDC) == (0, 3, 1, 2)


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "RV": 1, "MYO": 2},  # LV is missing
        {"background": 0, "RV": 1, "MYO": 2, "LV": 3, "scar": 4},  # more than we have
        {"background": 0, "RV": 1, "MYO": 1, "LV": 2},  # one number twice
        {"background": 0, "heart": [1, 2, 3], "RV": 1, "MYO": 2, "LV": 3},  # regions
        {"0": "background", "1": "RV", "2": "MYO", "3": "LV"},  # nnU-Net v1
        {"background": 0, "RV": 1, "MYO": 2, "LV": 4},  # no channel 4
        None,
    ],
)
def test_other_labels_are_named_with_the_file(tmp_path, labels):
    message = refused(read_class_order, write_dataset(tmp_path, labels).parent, ACDC)
    assert str(tmp_path / "dataset.json") in message and "background, RV, MYO, LV" in message
    assert f"labels {labels!r}" in message


def test_structures_without_a_role_are_found_by_their_own_name_alone(tmp_path):
    write_dataset(tmp_path, {"background": 0, "LVC": 1, "scar": 2, "la": 3})
    assert read_class_order(tmp_path, Anatomy((LA, Structure("Scar"), LV))) == (0, 3, 2, 1)


def test_maps_of_a_reader_that_turns_images_are_refused(tmp_path):
    write_dataset(tmp_path, overwrite_image_reader_writer="NibabelIOWithReorient")
    assert "NibabelIOWithReorient" in refused(read_class_order, tmp_path, ACDC)


# Reading.


@pytest.mark.parametrize("affine", [np.diag([1.5, 1.5, 8, 1]), TURNED, OBLIQUE])
@pytest.mark.parametrize("kind", ["npz", "nii.gz", "nii"])
def test_maps_come_in_our_order_of_classes_and_in_the_canonical_frame(
    tmp_path, label, affine, kind
):
    image = image_of(tmp_path / "image.nii.gz", label, affine)
    maps, path = softmax_of(label), tmp_path / f"maps.{kind}"
    write_npz(path, maps) if kind == "npz" else write_nifti(path, maps, affine)
    check_softmax(path, image.layout, 4, MRI)
    read = read_softmax(path, image.layout, ORDER, MRI)
    assert read.dtype == np.float16
    np.testing.assert_allclose(read, image.layout.orientation.to_canonical(maps), atol=1e-3)
    # The label as `read_case` reads it lies under its map.
    nib.save(nib.Nifti1Image(label, affine), tmp_path / "label.nii.gz")
    known = open_nifti(tmp_path / "label.nii.gz", MRI).read()
    assert (read.argmax(-1) == known).mean() > 0.95


def test_maps_of_a_plane_are_read(tmp_path, label):
    nib.save(nib.Nifti1Image(label[..., 1] * 9.0, np.diag([0.5, 0.5, 1, 1])), tmp_path / "i.nii")
    layout, maps = open_nifti(tmp_path / "i.nii", ECHO).layout, softmax_of(label)[:, :, 1:2]
    npz = write_npz(tmp_path / "m.npz", maps)
    image = write_nifti(tmp_path / "m.nii.gz", maps, layout.affine)
    for path in (npz, image):
        read = read_softmax(path, layout, ORDER, ECHO)
        np.testing.assert_allclose(read, maps.transpose(2, 1, 0, 3), atol=1e-3)


def test_maps_of_another_geometry_are_refused_before_a_value_is_read(tmp_path, label):
    layout = image_of(tmp_path / "image.nii.gz", label).layout
    maps = softmax_of(label)
    for wrong in (maps[:, :, 1:], maps.transpose(1, 0, 2, 3), maps[..., :3]):
        np.savez(tmp_path / "m.npz", probabilities=wrong.transpose(3, 2, 1, 0))
        message = refused(check_softmax, tmp_path / "m.npz", layout, 4, MRI)
        assert "m.npz" in message and f"of shape {wrong.T.shape}" in message
        assert "(4, 5, 20, 24)" in message
        nib.save(nib.Nifti1Image(wrong, TURNED), tmp_path / "m.nii.gz")
        message = refused(check_softmax, tmp_path / "m.nii.gz", layout, 4, MRI)
        assert f"of shape {wrong.shape}; expected (24, 20, 5, 4)" in message
    moved = TURNED.copy()
    moved[0, 3] += 2
    path = write_nifti(tmp_path / "m.nii.gz", maps, moved)
    assert "its affine places it up to 2 mm" in refused(check_softmax, path, layout, 4, MRI)
    nib.save(nib.Nifti1Image(label, TURNED), path)  # nnU-Net's mask, where it stored no softmax
    assert "--save_probabilities" in refused(check_softmax, path, layout, 4, MRI)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda maps: maps * 100, "values from 0 to 100"),
        (lambda maps: np.log(maps + 1e-6), "values from -13.8 to"),
        (lambda maps: np.where(maps > 0.9, np.nan, maps), "values from nan"),
        (lambda maps: np.where(maps > 0.9, np.inf, maps), "to inf"),
        (lambda maps: maps * 0.9, "add up to 1 but for 0.1"),
    ],
)
@pytest.mark.parametrize("kind", ["npz", "nii.gz"])
def test_what_is_no_softmax_is_refused(tmp_path, label, spoil, said, kind):
    layout, path = image_of(tmp_path / "image.nii.gz", label).layout, tmp_path / f"maps.{kind}"
    maps = spoil(softmax_of(label))
    write_npz(path, maps) if kind == "npz" else write_nifti(path, maps, TURNED)
    message = refused(read_softmax, path, layout, ORDER, MRI)
    assert message.startswith(f"{path}: ") and said in message


def test_what_half_precision_leaves_of_a_softmax_is_taken(tmp_path, label):
    layout = image_of(tmp_path / "image.nii.gz", label).layout
    rounded = softmax_of(label).astype(np.float16)
    path = write_npz(tmp_path / "m.npz", np.where(rounded == 0, np.float16(-1e-4), rounded))
    read = read_softmax(path, layout, ORDER, MRI)
    assert read.min() == 0 and read.max() <= 1


def test_a_file_is_never_unpickled(tmp_path, label):
    layout, ran = image_of(tmp_path / "image.nii.gz", label).layout, tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (ran,)

    array = np.empty((4, *SHAPE[::-1]), object)
    array.fill(Evil())
    np.savez(tmp_path / "m.npz", probabilities=array, allow_pickle=True)
    assert "object" in refused(read_softmax, tmp_path / "m.npz", layout, ORDER, MRI)
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Evil()))
    assert "not a readable .npz" in refused(read_softmax, tmp_path / "p.npz", layout, ORDER, MRI)
    assert not ran.exists()


def test_a_file_of_something_else_is_named_with_what_it_holds(tmp_path, label):
    layout = image_of(tmp_path / "image.nii.gz", label).layout
    np.savez(tmp_path / "m.npz", softmax=np.zeros(3))
    message = refused(check_softmax, tmp_path / "m.npz", layout, 4, MRI)
    assert "holds softmax, expected probabilities" in message
    path = write_npz(tmp_path / "cut.npz", softmax_of(label))
    path.write_bytes(path.read_bytes()[:-200])
    assert "not a readable .npz" in refused(check_softmax, path, layout, 4, MRI)


# Folders.

CASES = {f"patient00{k}{end}": f"patient00{k}" for k in (1, 2, 3) for end in ("_ED", "_frame01")}


def write_splits(path, *folds):
    path.write_text(json.dumps([{"train": train, "val": val} for train, val in folds]))
    return path


def test_training_sets_are_patients_and_strangers_keep_their_names(tmp_path):
    path = write_splits(
        tmp_path / "splits_final.json",
        (["patient001_frame01", "patient002_ED", "other_7"], ["patient003_frame01"]),
        (["patient003_frame12"], ["patient001_ED", "patient002_frame01"]),
    )
    sets = read_training_sets(path, CASES)
    assert sets.foreign == ("other_7",)
    assert sets.of("fold_0") == {"patient001", "patient002", "other_7"}
    assert sets.of("fold_1") == {"patient003"}  # by an image of its that the run does not take
    assert sets.of("fold_2") is None  # the file does not speak of it
    assert sets.of("all folds") == sets.of("fold_all") == {*CASES.values(), "other_7"}
    assert TrainingSets().of("fold_0") is None
    alone = read_training_sets(write_splits(path, (["patient001_ED"], ["patient002_ED"])), CASES)
    assert alone.of("all folds") == alone.of("fold_all") == {"patient001", "patient002"}
    more = read_training_sets(path, CASES, cases=3)  # of which the folds name two
    assert more.of("fold_0") == {"patient001"}
    assert more.of("all folds") is more.of("fold_all") is None


def test_splits_of_other_images_are_refused(tmp_path):
    path = write_splits(tmp_path / "splits_final.json", (["a", "b"], ["c"]))
    message = refused(read_training_sets, path, CASES)
    assert "none of its 3 cases is one of this run: a there, patient001_ED or" in message


@pytest.mark.parametrize(
    "content", ["[]", "{}", "[1]", '[{"train": ["a"]}]', '[{"train": [1], "val": []}]', "[", "null"]
)
def test_what_is_no_splits_file_is_refused(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    assert str(tmp_path / "s.json") in refused(read_training_sets, tmp_path / "s.json", CASES)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_maps_are_found_where_nnunet_leaves_them(tmp_path):
    names = ["patient001_ED", "patient001_frame01"]
    touch(tmp_path, "fold_10/validation/patient001_frame01.npz", "fold_10/validation/other.npz")
    touch(tmp_path, "fold_2/validation/patient001_ED.nii.gz", "fold_x/validation/patient001_ED.npz")
    touch(tmp_path, "fold_3/patient001_ED.npz")  # not where validation is
    touch(tmp_path, "fold_all/patient001_ED.npz", "patient001_ED.npz", "patient001_ED.nii.gz")
    found = find_maps(tmp_path, names, TrainingSets())
    assert [(one.path.relative_to(tmp_path).as_posix(), one.made_by) for one in found] == [
        ("fold_2/validation/patient001_ED.nii.gz", "fold_2"),
        ("fold_10/validation/patient001_frame01.npz", "fold_10"),
        ("fold_all/patient001_ED.npz", "fold_all"),
        ("patient001_ED.npz", "all folds"),
    ]
    together = find_maps(tmp_path, names, TrainingSets(), together_first=True)
    assert [one.made_by for one in together] == ["all folds", "fold_2", "fold_10", "fold_all"]
    assert find_maps(tmp_path, ["patient002_ED"], TrainingSets()) == []


def test_the_map_by_networks_that_have_not_seen_the_patient_is_taken():
    seen, unseen, unknown = (
        FoundMap(Path(name), name, patients)
        for name, patients in (
            ("fold_0", frozenset({"p1", "p2"})),
            ("fold_1", frozenset({"p2"})),
            ("fold_2", None),
        )
    )
    assert choose_map([seen, unknown, unseen], "p1") == unseen
    assert choose_map([seen, unknown], "p1") == unknown
    assert choose_map([unknown, seen, unseen], "p2") == unknown
    assert choose_map([seen], "p1") == seen  # which is refused by `check_provenance`


def test_the_maps_of_a_new_image_are_named_as_its_file(tmp_path):
    touch(tmp_path, "a.npz", "a.nii.gz", "b_frame02.nii.gz")
    assert scan_map(tmp_path, "nnunet", "a").path.name == "a.npz"
    assert scan_map(tmp_path, "nnunet", "a_0000").path.name == "a.npz"  # as nnU-Net names its input
    assert scan_map(tmp_path, "nnunet", "b_frame02").path.name == "b_frame02.nii.gz"
    message = refused(scan_map, tmp_path, "nnunet", "b")
    assert "no softmax map b.npz" in message and "run nnunet on this image first" in message


# The member.


@pytest.mark.parametrize("field", [None, Field((2, -1, 14, 22), (32, 32))])
def test_maps_come_to_the_ensembles_grid_with_whom_they_know(tmp_path, label, field):
    image = image_of(tmp_path / "image.nii.gz", label, OBLIQUE)
    pixels, spacing = image.read(), image.spacing[1:]
    write_dataset(tmp_path)
    path = write_npz(tmp_path / "case.npz", softmax_of(label, 0.3))
    config = Config(data=Data(dataset="acdc", root="x"))
    config = config.model_copy(
        update={"preprocess": config.preprocess.model_copy(update={"size": (32, 32)})}
    )
    found = FoundMap(path, "fold_1", frozenset({"p9"}))
    member = ExternalMember("nnunet", config, ACDC, MRI, tmp_path, {"case": found}.__getitem__)
    on_grid = to_grid(pixels, spacing, config.preprocess, field)
    named = replace(on_grid, name="case", layout=image.layout)
    (made,) = member.load(["fold0"]).softmax([named], 8)
    assert (made.provenance.fold, made.provenance.trained_on) == ("fold0", {"p9"})
    assert member.load(["fold0", "fold1"]).fold == FOLD_MEAN
    assert made.probabilities.dtype == np.float16
    nib.save(nib.Nifti1Image(label, OBLIQUE), tmp_path / "label.nii.gz")
    known = label_to_grid(open_nifti(tmp_path / "label.nii.gz", MRI).read(), on_grid.grid)
    assert made.probabilities.shape == (*known.shape, 4)
    assert (made.probabilities.argmax(-1) == known).mean() > 0.97
    assert known.any()
    with pytest.raises(UserError, match="no NIfTI file; maps of nnunet lie on the grid of one"):
        list(member.load(["full"]).softmax([on_grid], 8))


def test_the_native_grid_of_a_grid_has_the_images_own_spacing():
    settings = Config(data=Data(dataset="acdc", root="x")).preprocess
    for field in (None, Field((2, -1, 14, 22), (32, 32))):
        native = native_grid(make_grid((24, 20), (1.25, 0.75), settings, field))
        assert native.native == native.resampled == native.size == (24, 20)
        np.testing.assert_allclose(native.spacing, (1.25, 0.75))
