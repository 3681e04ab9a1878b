"""DICOM segmentations lie on their images and keep the patient."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.uid import (
    UltrasoundMultiFrameImageStorage,
)

from cardiac_seg.anatomy import LA, LV, MYO, RV, Anatomy
from cardiac_seg.data.camus import CAMUS
from cardiac_seg.data.dicom.segmentation import write_seg
from cardiac_seg.system.errors import UserError
from tests.support.dicom_files import (
    DISTANCE,
    FRAME,
    NORMAL,
    ORIGIN,
    SERIES,
    STUDY,
    write_clip,
    write_stack,
)
from tests.support.dicom_stacks import HEART, check_places, one_series_a_slice, read_folder


@pytest.fixture(scope="module")
def segmentation_file(heart, stack, tmp_path_factory):
    path = tmp_path_factory.mktemp("seg") / "phase2.seg.dcm"
    assert write_seg(path, heart[1], stack, 1, HEART, "Ensemble of two")
    return path


def test_a_segmentation_lies_on_its_images(heart, stack, segmentation_file):
    segmentation = dcmread(segmentation_file)
    check_places(segmentation, heart[1], stack, 1)
    assert segmentation.FrameOfReferenceUID == FRAME
    assert segmentation.StudyInstanceUID == STUDY
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    for references in (segmentation.SourceImageSequence, series.ReferencedInstanceSequence):
        uids = [reference.ReferencedSOPInstanceUID for reference in references]
        assert uids == [f"{SERIES}.2.{k}" for k in range(1, 6)]


def test_a_segmentation_says_what_it_shows(segmentation_file):
    segmentation = dcmread(segmentation_file)
    assert (segmentation.Modality, segmentation.SegmentationType) == ("SEG", "BINARY")
    codes = {"RV": "53085002", "MYO": "49848007", "LV": "87878005"}
    for number, (structure, code) in enumerate(codes.items(), 1):
        segment = segmentation.SegmentSequence[number - 1]
        assert segment.SegmentNumber == number
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        assert (kind.CodeValue, kind.CodingSchemeDesignator) == (code, "SCT")
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "Ensemble of two"
        lightness = segment.RecommendedDisplayCIELabValue[0] * 100 / 65535
        assert lightness == pytest.approx(
            relative_lightness(Anatomy((RV, MYO, LV, LA)).colours[structure]), abs=1
        )


def relative_lightness(colour: str) -> float:
    """CIE L* of an sRGB colour."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    return 116 * (linear @ [0.2126, 0.7152, 0.0722]) ** (1 / 3) - 16


def test_another_reader_sees_the_masks(heart, segmentation_file):
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(segmentation_file))) > 0
    heights = [
        np.dot(frame.PlanePositionSequence[0].ImagePositionPatient - ORIGIN, NORMAL) / DISTANCE
        for frame in dcmread(segmentation_file).PerFrameFunctionalGroupsSequence
    ]
    labels = np.repeat([1, 2, 3], [len(heights) // 3] * 3)
    expected = [heart[1][round(k)] == label for k, label in zip(heights, labels, strict=True)]
    assert np.array_equal(pixels, expected)


def test_a_segmentation_over_one_series_per_slice(heart, tmp_path):
    series = read_folder(write_stack(tmp_path / "stack", heart[0], one_series_a_slice))
    assert write_seg(tmp_path / "seg.dcm", heart[1], series, 2, HEART, "net")
    segmentation = dcmread(tmp_path / "seg.dcm")
    check_places(segmentation, heart[1], series, 2)
    referenced = {
        item.SeriesInstanceUID: [
            r.ReferencedSOPInstanceUID for r in item.ReferencedInstanceSequence
        ]
        for item in segmentation.ReferencedSeriesSequence
    }
    assert referenced == {f"{SERIES}.{50 - k}": [f"{SERIES}.3.{k + 1}"] for k in range(5)}


def test_a_segmentation_of_a_clip_names_the_frame(echo, tmp_path):
    write_clip(tmp_path / "clip" / "clip.dcm", np.repeat(echo[0][..., None], 3, -1))
    series = read_folder(tmp_path / "clip")
    path = tmp_path / "seg.dcm"
    assert write_seg(path, echo[1][None], series, 2, CAMUS.anatomy, "net")
    segmentation = dcmread(path)
    labels = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert labels == ["LV cavity", "LV myocardium", "LA cavity"]
    assert segmentation.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0].CodeValue == (
        "82471001"
    )
    assert segmentation.PatientOrientation == "" and "FrameOfReferenceUID" not in segmentation
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == f"{SERIES}.7"
        assert source.ReferencedSOPClassUID == UltrasoundMultiFrameImageStorage
        assert source.ReferencedFrameNumber == 3
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.4, 0.3]
    pixels = segmentation.pixel_array
    assert np.array_equal(pixels, np.stack([echo[1] == label for label in (1, 2, 3)]))


def test_what_is_empty_is_left_out(heart, stack, tmp_path):
    path = tmp_path / "seg.dcm"
    assert write_seg(path, np.zeros_like(heart[1]), stack, 0, HEART, "net") is False
    assert not path.exists()
    left = np.where(heart[1] > 1, heart[1], 0).astype(np.uint8)
    assert write_seg(path, left, stack, 0, HEART, "net")
    segmentation = dcmread(path)
    labels = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert labels == ["LV myocardium", "LV cavity"]
    check_places(segmentation, left, stack, 0)
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_mask_is_refused(heart, stack, tmp_path):
    path = tmp_path / "seg.dcm"
    for mask, message in (
        (heart[1][1:], "expected uint8"),
        (heart[1].astype(int), "expected uint8"),
        (heart[1] + np.uint8(1), "holds label 4"),
    ):
        with pytest.raises(ValueError, match=message):
            write_seg(path, mask, stack, 0, HEART, "net")
    assert not path.exists()


def test_a_segmentation_keeps_the_patient_and_tells_nobody(heart, tmp_path, capfd, caplog, recwarn):
    """pydicom and highdicom warn about odd values and quote them, or want what is not there."""

    def edit(dataset, phase, k):
        dataset.PatientName, dataset.PatientSex, dataset.PatientBirthDate = "CANARY", "X", "CANARY"
        dataset.SeriesInstanceUID = "1.2.CANARY"
        del dataset.StudyDate, dataset.SliceThickness

    folder = write_stack(tmp_path / "stack", heart[0], edit)
    recwarn.clear()
    caplog.clear()
    caplog.set_level("DEBUG")
    series = read_folder(folder)
    assert write_seg(tmp_path / "seg.dcm", heart[1], series, 0, HEART, "net")
    said = caplog.text + "".join(capfd.readouterr())
    assert "CANARY" not in said and not recwarn.list
    segmentation = dcmread(tmp_path / "seg.dcm")
    assert (segmentation.PatientName, segmentation.PatientID) == ("CANARY", "CANARY-ID")


def test_images_that_cannot_be_named_have_no_segmentation(heart, tmp_path):
    def edit(dataset, phase, k):
        del dataset.FrameOfReferenceUID

    series = read_folder(write_stack(tmp_path / "stack", heart[0], edit))
    with pytest.raises(UserError, match="no FrameOfReferenceUID, which a DICOM segmentation"):
        write_seg(tmp_path / "seg.dcm", heart[1], series, 0, HEART, "net")
    shutil.rmtree(tmp_path / "stack")
    with pytest.raises(UserError, match="can no longer be read"):
        write_seg(tmp_path / "seg.dcm", heart[1], series, 0, HEART, "net")
