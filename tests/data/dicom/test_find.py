"""Which DICOM images belong together, and what is passed over."""

import shutil

import numpy as np
import pytest
from pydicom import dcmread

from cardiac_seg.data.dicom.find import find_series, is_dicom
from cardiac_seg.data.dicom.series import read_series
from cardiac_seg.system.errors import UserError
from tests.support.dicom_files import (
    FRAME,
    SERIES,
    STUDY,
    enhanced,
    new_file,
    write_stack,
)
from tests.support.dicom_stacks import all_phases, one_series_a_slice, read_folder


def test_one_series_per_slice_is_one_stack(heart, stack, tmp_path):
    series = read_folder(write_stack(tmp_path, heart[0], one_series_a_slice))
    assert np.array_equal(all_phases(series), all_phases(stack))


@pytest.mark.parametrize(
    "tags",
    [
        {"FrameOfReferenceUID": f"{FRAME}.9"},
        {"StudyInstanceUID": f"{STUDY}.9"},
        {"PixelSpacing": [1.5, 1.5]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        {"ImagePositionPatient": [0, 0, 0]},  # beside the axis
    ],
)
def test_other_geometry_is_another_stack(heart, tags, tmp_path):
    def edit(dataset, phase, k):
        one_series_a_slice(dataset, phase, k)
        if k == 4:
            dataset.update(tags)

    groups = find_series(write_stack(tmp_path, heart[0], edit))
    assert sorted(map(len, groups)) == [3, 12]


def test_two_series_of_the_same_slices_stay_apart(heart, tmp_path):
    write_stack(tmp_path / "first", heart[0])
    write_stack(tmp_path / "second", heart[0][:, :2], one_series_a_slice)
    assert [len(group) for group in find_series(tmp_path)] == [15, 3, 3]


def test_a_slice_that_was_taken_again_is_not_guessed_away(heart, tmp_path):
    def again(dataset, phase, k):
        dataset.SeriesInstanceUID = f"{SERIES}.99"
        dataset.SOPInstanceUID = f"{SERIES}.99.{phase}"
        return k == 0

    write_stack(tmp_path / "all", heart[0], one_series_a_slice)
    write_stack(tmp_path / "again", heart[0], again)
    with pytest.raises(UserError, match="TriggerTime .* and position are also those of"):
        read_folder(tmp_path)


def test_what_is_no_image_is_passed_over(heart, tmp_path):
    folder = write_stack(tmp_path, heart[0][:1])
    image = next(folder.iterdir())
    (folder / "notes.txt").write_text("DICM")
    (folder / ".hidden").mkdir()
    for name in ("DICOMDIR", ".partial", ".hidden/copy"):
        shutil.copy(image, folder / name)
    report = new_file(SOPInstanceUID="1.2.3")
    report.Modality, report.SeriesInstanceUID = "SR", f"{SERIES}.5"
    report.save_as(folder / "report", enforce_file_format=True)
    ((*paths,),) = find_series(folder)
    assert len(paths) == 5 and is_dicom(image)
    assert not is_dicom(folder / "DICOMDIR") and not is_dicom(folder / "missing")
    assert find_series(image) == [[image]]


def test_a_damaged_file_is_a_group_that_says_so(heart, tmp_path):
    folder = write_stack(tmp_path / "stack", heart[0][:1])
    damaged = tmp_path / "damaged"
    damaged.write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + b"\xff" * 40)
    groups = find_series(tmp_path)
    assert groups == [[damaged], sorted(folder.iterdir())]
    with pytest.raises(UserError, match=f"^{damaged}: not a readable DICOM file; .*copy it again"):
        read_series(groups[0])
    enhanced(heart[0]).save_as(tmp_path / "frameless", enforce_file_format=True)
    frameless = dcmread(tmp_path / "frameless")
    frameless.PerFrameFunctionalGroupsSequence, frameless.NumberOfFrames = [], -1
    frameless.save_as(tmp_path / "frameless")
    assert [tmp_path / "frameless"] in find_series(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        read_series([tmp_path / "gone"])
    with pytest.raises(ValueError, match="no files"):
        read_series([])


@pytest.mark.parametrize("name", ["I1.dcm", "I1.DCM"])
@pytest.mark.parametrize("length", [0, 100, 131, 500])
def test_a_dcm_file_that_is_no_dicom_is_a_group_that_says_so(heart, name, length, tmp_path):
    folder = write_stack(tmp_path / "stack", heart[0][:1])
    damaged = folder / name
    damaged.write_bytes(b"CANARY" * 100)
    damaged.write_bytes(damaged.read_bytes()[:length])
    for ignored in ("._I1.dcm", "notes.txt", "noname"):  # macOS leaves the first beside a file
        shutil.copy(damaged, folder / ignored)
    groups = find_series(tmp_path)
    assert sorted(map(len, groups)) == [1, 5] and [damaged] in groups
    assert find_series(damaged) == [[damaged]] and find_series(folder / "notes.txt") == []
    with pytest.raises(UserError) as error:
        read_series([damaged])
    assert str(error.value) == (
        f"{damaged}: not a readable DICOM file; it may be truncated, copy it again"
    )
