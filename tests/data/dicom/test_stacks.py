"""DICOM stacks: what a phantom holds comes back, in the same place."""

import io

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from cardiac_seg.data.dicom.series import read_series
from cardiac_seg.data.modality import MRI
from cardiac_seg.system.errors import UserError
from tests.support.dicom_files import (
    ALONG_COLUMN,
    ALONG_ROW,
    COLUMN_SPACING,
    DISTANCE,
    INTERCEPT,
    NORMAL,
    ORIGIN,
    ROW_SPACING,
    SERIES,
    SLOPE,
    set_encoded,
    write_stack,
)
from tests.support.dicom_stacks import all_phases, read_folder


def world(affine, index):
    return affine[:3, :3] @ index + affine[:3, 3]


def corners(shape):
    """Indices (column, row, slice) of the corners of an array (slices, rows, columns)."""
    return [np.array(c) * (np.array(shape[::-1]) - 1) for c in np.ndindex(2, 2, 2)]


def test_a_stack_comes_back_sorted_and_rescaled(heart, stack):
    stored, _ = heart
    assert stack.shape == stored.shape
    image = all_phases(stack)
    assert image.dtype == np.float32
    assert np.array_equal(image, stored * np.float32(SLOPE) + np.float32(INTERCEPT))
    assert stack.modality is MRI and stack.heart_rate == 75
    assert stack.spacing == pytest.approx((DISTANCE, ROW_SPACING, COLUMN_SPACING))
    assert stack.phase_times_ms == pytest.approx([30, 280, 530])
    for phase, k in np.ndindex(stored.shape[:2]):
        path, frame = stack.sources[phase, k]
        assert frame is None
        assert dcmread(path).SOPInstanceUID == f"{SERIES}.{phase + 1}.{k + 1}"


def test_voxels_lie_where_the_header_puts_them(stack):
    for column, row, k in corners(stack.shape[1:]):
        left_posterior = (
            ORIGIN
            + column * COLUMN_SPACING * ALONG_ROW
            + row * ROW_SPACING * ALONG_COLUMN
            + k * DISTANCE * NORMAL
        )
        found = world(stack.affine, np.array([column, row, k]))
        assert found == pytest.approx(left_posterior * (-1, -1, 1), abs=1e-6)


@pytest.mark.parametrize(
    "directions",
    [
        [*ALONG_ROW, *ALONG_COLUMN],
        [1, 0, 0, 0, 1, 0],  # axial
        [0, 1, 0, 0, 0, -1],  # sagittal
        [-1, 0, 0, 0, 0, -1],  # coronal, from behind
    ],
)
def test_another_reader_finds_the_same_voxels_in_the_same_places(heart, directions, tmp_path):
    """SimpleITK reads the series by itself, and the NIfTI file that the affine makes of it."""

    def turn(dataset, phase, k):
        normal = np.cross(directions[:3], directions[3:])
        dataset.ImageOrientationPatient = [f"{v:.13g}" for v in directions]
        dataset.ImagePositionPatient = [f"{v:.13g}" for v in ORIGIN - k * DISTANCE * normal]

    folder = write_stack(tmp_path / "one phase", heart[0][:1], turn)
    ours = read_folder(folder)
    nifti = tmp_path / "stack.nii.gz"
    image = ours.phase(0)
    nib.Nifti1Image(image.T, ours.affine).to_filename(nifti)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    theirs, again = reader.Execute(), sitk.ReadImage(str(nifti))
    assert np.array_equal(sitk.GetArrayFromImage(theirs), image)
    assert np.array_equal(sitk.GetArrayFromImage(again), image)
    for index in corners(ours.shape[1:]):
        place = theirs.TransformIndexToPhysicalPoint(index.tolist())
        assert again.TransformIndexToPhysicalPoint(index.tolist()) == pytest.approx(place, abs=0.01)
        assert world(ours.affine, index) * (-1, -1, 1) == pytest.approx(place, abs=0.01)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_pixels_are_the_same(heart, stack, syntax, tmp_path):
    def compress(dataset, phase, k):
        if syntax == JPEG2000Lossless:
            file, pixels = io.BytesIO(), dataset.pixel_array.astype(np.uint16)
            Image.fromarray(pixels).save(file, "JPEG2000", no_jp2=True)  # reversible
            set_encoded(dataset, [file.getvalue()], syntax)
            dataset.PixelRepresentation = 0
        else:
            dataset.compress(syntax, generate_instance_uid=False)

    compressed = read_folder(write_stack(tmp_path, heart[0][:, :2], compress))
    assert np.array_equal(all_phases(compressed), all_phases(stack)[:, :2])


def test_each_image_has_its_own_rescale(heart, stack, tmp_path):
    def edit(dataset, phase, k):
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 + k, phase

    stored = heart[0].astype(np.float32)
    expected = stored * np.arange(1, 6)[:, None, None] + np.arange(3)[:, None, None, None]
    series = read_folder(write_stack(tmp_path, heart[0], edit))
    assert np.array_equal(all_phases(series), expected)


def no_trigger(dataset, phase, k):
    del dataset.TriggerTime


def zero_trigger(dataset, phase, k):
    dataset.TriggerTime = 0
    dataset.TemporalPositionIdentifier = phase + 1


@pytest.mark.parametrize("edit, order", [(no_trigger, [2, 1, 0]), (zero_trigger, [0, 1, 2])])
def test_phases_without_trigger_times(heart, stack, edit, order, tmp_path):
    """The next tag tells: here instance numbers, which run backwards, or temporal positions."""
    series = read_folder(write_stack(tmp_path, heart[0], edit))
    assert np.array_equal(all_phases(series), all_phases(stack)[order])
    assert series.phase_times_ms is None


def test_one_image_is_a_stack(heart, tmp_path):
    series = read_folder(write_stack(tmp_path, heart[0][:1, :1]))
    assert series.shape == series.phase(0)[None].shape == (1, 1, 44, 36)
    assert series.spacing == (8.0, ROW_SPACING, COLUMN_SPACING)  # its thickness
    assert series.affine[:3, 2] == pytest.approx(8 * NORMAL * (-1, -1, 1))


def test_heart_rate_is_the_median_of_the_images_and_none_without_a_tag(heart, tmp_path):
    def tags(dataset, phase, k):
        dataset.NominalInterval = None
        if k < 3:
            dataset.HeartRate = (60, 70, 90)[k]

    def no_tags(dataset, phase, k):
        del dataset.NominalInterval

    assert read_folder(write_stack(tmp_path / "a", heart[0], tags)).heart_rate == 70
    assert read_folder(write_stack(tmp_path / "b", heart[0], no_tags)).heart_rate is None


def test_a_given_spacing_overrides_the_header(heart, stack, tmp_path):
    def edit(dataset, phase, k):
        del dataset.PixelSpacing

    folder = write_stack(tmp_path, heart[0], edit)
    with pytest.raises(UserError, match=r"PixelSpacing \(0028,0030\) missing; .*--spacing"):
        read_series(sorted(folder.iterdir()))
    series = read_series(sorted(folder.iterdir()), spacing=(3.0, 2.0))
    assert series.spacing == (DISTANCE, 3.0, 2.0)
    assert np.linalg.norm(series.affine[:3, :2], axis=0) == pytest.approx([2.0, 3.0])
    for wrong in ((1.0,), (1.0, 0.0), (1.0, np.nan)):
        with pytest.raises(ValueError, match="spacing"):
            read_series(sorted(folder.iterdir()), spacing=wrong)
