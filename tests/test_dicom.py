"""DICOM in and out: what a phantom's stack or clip holds comes back, in the same place."""

import io
import shutil
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import (
    ALONG_COLUMN,
    ALONG_ROW,
    COLUMN_SPACING,
    DISTANCE,
    FRAME,
    INTERCEPT,
    NORMAL,
    ORIGIN,
    ROW_SPACING,
    SERIES,
    SLOPE,
    STUDY,
    enhanced,
    mr_slice,
    new_file,
    region,
    set_encoded,
    set_pixels,
    write_clip,
    write_stack,
)
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from cardiac_seg.anatomy import COLOURS
from cardiac_seg.data.dicom.find import find_series, is_dicom
from cardiac_seg.data.dicom.segmentation import write_seg
from cardiac_seg.data.dicom.series import read_series
from cardiac_seg.data.phantoms.echo import echo_patient
from cardiac_seg.data.phantoms.mri import mri_patient
from cardiac_seg.system.errors import UserError

STRUCTURES = ("RV", "MYO", "LV")


@pytest.fixture(scope="module")
def heart():
    """Three phases of five slices: (3, 5, 44, 36) int16, and the first one's labels."""
    images = mri_patient(1, np.random.default_rng(1)).images
    ed, es = (name for name in images if not name.endswith("_gt"))
    mid = (images[ed] // 2 + images[es] // 2).astype(np.int16)
    cut = np.s_[60:96, 50:94, 1:6]
    stored = np.stack([image[cut].T for image in (images[ed], mid, images[es])])
    label = np.ascontiguousarray(images[f"{ed}_gt"][cut].T)
    assert set(np.unique(label)) == {0, 1, 2, 3}
    return stored, label


def read_folder(folder, **options):
    (paths,) = find_series(folder)
    return read_series(paths, **options)


def all_phases(series):
    return np.stack([series.phase(k) for k in range(series.shape[0])])


def world(affine, index):
    return affine[:3, :3] @ index + affine[:3, 3]


def corners(shape):
    """Indices (column, row, slice) of the corners of an array (slices, rows, columns)."""
    return [np.array(c) * (np.array(shape[::-1]) - 1) for c in np.ndindex(2, 2, 2)]


@pytest.fixture(scope="module")
def stack(heart, tmp_path_factory):
    return read_folder(write_stack(tmp_path_factory.mktemp("dicom") / "stack", heart[0]))


def test_a_stack_comes_back_sorted_and_rescaled(heart, stack):
    stored, _ = heart
    assert stack.shape == stored.shape
    image = all_phases(stack)
    assert image.dtype == np.float32
    assert np.array_equal(image, stored * np.float32(SLOPE) + np.float32(INTERCEPT))
    assert stack.modality == "mri" and stack.heart_rate == 75
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


# What belongs together.


def one_series_a_slice(dataset, phase, k):
    dataset.SeriesInstanceUID = f"{SERIES}.{50 - k}"


def test_a_series_a_slice_is_one_stack(heart, stack, tmp_path):
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


# Every mismatch inside a stack.


def on_slice_2(**tags):
    """Changes one image of slice 2 in the middle of the stack."""

    def edit(dataset, phase, k):
        if (phase, k) == (1, 2):
            for keyword, value in tags.items():
                setattr(dataset, keyword, value)

    return edit


def drop(*places):
    return lambda dataset, phase, k: (phase, k) not in places


def smaller(dataset, phase, k):
    if (phase, k) == (1, 2):
        dataset.Rows -= 4
        set_pixels(dataset, dataset.pixel_array[:-4] if "PixelData" in dataset else None)


def cut_pixels(dataset, phase, k):
    if (phase, k) == (1, 2):
        dataset.PixelData = dataset.PixelData[:1000]


def cut_compressed(dataset, phase, k):
    dataset.compress(RLELossless, generate_instance_uid=False)
    if (phase, k) == (1, 2):
        dataset.PixelData = dataset.PixelData[:600]


def no_pixel_data(dataset, phase, k):
    if (phase, k) == (1, 2):
        del dataset.PixelData


def no_bits(dataset, phase, k):
    if (phase, k) == (1, 2):
        dataset["PixelData"].VR = "OW"  # which it would follow from
        del dataset.BitsAllocated


def deflated(dataset, phase, k):
    if (phase, k) == (1, 2):
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def lossless_jpeg(dataset, phase, k):
    if (phase, k) == (1, 2):
        set_encoded(dataset, [b"\xff\xd8"], JPEGLosslessSV1)


def stretched(dataset, phase, k):
    if k == 4:
        dataset.ImagePositionPatient = list(ORIGIN + (4 * DISTANCE + 0.15) * NORMAL)


def same_time_everywhere(dataset, phase, k):
    dataset.TriggerTime = 30


def nothing_tells(dataset, phase, k):
    for keyword in ("TriggerTime", "InstanceNumber"):
        delattr(dataset, keyword)


def file_copied(dataset, phase, k):
    if (phase, k) == (1, 2):
        dataset.SOPInstanceUID = f"{SERIES}.1.1"


ERRORS = {
    "rows": (smaller, r"Rows \(0028,0010\) 4[04], but 4[04] in .*one stack"),
    "spacing": (on_slice_2(PixelSpacing=[1.5, 1.26]), r"PixelSpacing .* but .*one stack"),
    "no spacing": (
        on_slice_2(PixelSpacing=[0, 0]),
        r"PixelSpacing \(0028,0030\) 0\\0; .*--spacing",
    ),
    "orientation": (
        on_slice_2(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        r"ImageOrientationPatient \(0020,0037\) .* but .*one stack",
    ),
    "skewed": (
        on_slice_2(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]),
        "ImageOrientationPatient .* not two directions at right angles",
    ),
    "sideways": (
        on_slice_2(ImagePositionPatient=list(ORIGIN + 18 * NORMAL + 0.5 * ALONG_ROW)),
        r"ImagePositionPatient \(0020,0032\) .* mm beside the axis of .*one stack",
    ),
    "no position": (on_slice_2(ImagePositionPatient=None), "ImagePositionPatient .* missing"),
    "not a number": (on_slice_2(TriggerTime="30\\60"), "TriggerTime .* not a number; repair"),
    "rescale type": (
        on_slice_2(RescaleType="HU"),
        r"RescaleType \(0028,1054\) (HU|missing), but (HU|missing) in .*one stack",
    ),
    "image type": (
        on_slice_2(ImageType=["ORIGINAL", "PRIMARY", "P"]),
        r"ImageType .*ORIGINAL\\PRIMARY\\[MP], but ORIGINAL\\PRIMARY\\[MP] in",
    ),
    "echo time": (on_slice_2(EchoTime=3), "EchoTime .* one kind of image alone"),
    "missing slice": (drop((0, 2), (1, 2), (2, 2)), "18 mm from the slice before, .* are 9 mm"),
    "stretched": (stretched, "9.15 mm from the slice before, .* are 9 mm"),
    "missing phase": (drop((1, 2)), "2 phases at this position, where others have 3"),
    "duplicate": (on_slice_2(TriggerTime=30), "TriggerTime .* and position are also those of"),
    "same moment": (same_time_everywhere, "TriggerTime .* and position are also those of"),
    "nothing tells": (nothing_tells, "InstanceNumber .* and position are also those of"),
    "copied file": (file_copied, r"SOPInstanceUID \(0008,0018\) also that of .*remove one"),
    "modality": (on_slice_2(Modality="CT"), r"Modality \(0008,0060\) CT; expected MR or US"),
    "mixed modalities": (on_slice_2(Modality="US"), "Modality .* (MR|US), but (MR|US) in"),
    "patients": (on_slice_2(PatientID="CANARY-2"), "PatientID .* one patient"),
    "names": (on_slice_2(PatientName="CANARY^OTHER"), "or name or birth date .* one patient"),
    "study": (
        on_slice_2(StudyInstanceUID=f"{STUDY}.9"),
        "StudyInstanceUID .* differs from that of",
    ),
    "colour": (on_slice_2(PhotometricInterpretation="RGB"), "RGB; expected MONOCHROME2; convert"),
    "no pixels": (on_slice_2(Rows=0), "Rows .* missing; it holds no image"),
    "no frames": (on_slice_2(NumberOfFrames=-1), "NumberOfFrames .* -1; repair"),
    "frames": (on_slice_2(NumberOfFrames=2), "0 items for 2 frames; .*single images"),
    "truncated": (cut_pixels, r"PixelData \(7fe0,0010\) cannot be decoded; .*copy it again"),
    "truncated RLE": (cut_compressed, "PixelData .* cannot be decoded; .*copy it again"),
    "no pixel data": (no_pixel_data, "PixelData .* cannot be decoded; .*copy it again"),
    "no bits": (no_bits, "PixelData .* cannot be decoded; .*copy it again"),
    "deflated": (deflated, "Deflated Explicit VR .*cannot be decoded here; decompress it"),
    "codec": (
        lossless_jpeg,
        r"TransferSyntaxUID \(0002,0010\) JPEG Lossless, .*cannot be decoded here; decompress it",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_mismatch_is_one_line_without_the_patient(heart, case, tmp_path, capfd, caplog, recwarn):
    edit, message = ERRORS[case]
    folder = write_stack(tmp_path, heart[0], edit)
    recwarn.clear()
    caplog.clear()
    with pytest.raises(UserError, match=message) as error:
        all_phases(read_series(sorted(folder.iterdir())))
    text = str(error.value)
    assert text.startswith(f"{folder}/I") and "\n" not in text and "; " in text
    said = text + caplog.text + "".join(capfd.readouterr())
    said += " ".join(str(warning.message) for warning in recwarn)
    assert "CANARY" not in said and "19010203" not in said and str(STUDY) not in said


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
@pytest.mark.parametrize("multi_frame", [False, True])
def test_plain_pixels_cut_short_are_refused_at_once(heart, multi_frame, syntax, tmp_path):
    path = tmp_path / "image.dcm"
    dataset = enhanced(heart[0]) if multi_frame else mr_slice(heart[0][0, 0], 0, 0)
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    assert len(all_phases(read_series([path]))) == (3 if multi_frame else 1)
    for length in (len(whole) - 1, len(whole) - 2 * 44 * 36):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"^.*image.dcm: PixelData .* it may be truncated"):
            read_series([path])


def test_a_file_that_is_gone_is_named(heart, tmp_path):
    series = read_folder(write_stack(tmp_path, heart[0]))
    gone, _ = series.sources[1, 2]
    gone.unlink()
    assert series.phase(0).shape == (5, 44, 36)
    with pytest.raises(UserError, match=f"^{gone}: no such file"):
        series.phase(1)


@pytest.mark.parametrize(
    "before, after, message",
    [
        (b"DS\x04\x0030.0", b"DS\x04\x003x.0", r"TriggerTime \(0018,1060\) not a number; repair"),
        (b"\x10\x00US\x02\x00", b"\x10\x00US\x03\x00\x00", r"Rows \(0028,0010\) holds no value of"),
    ],
)
def test_an_unreadable_value_is_named_but_not_shown(heart, before, after, message, tmp_path):
    (path,) = write_stack(tmp_path, heart[0][:1, :1]).iterdir()
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(UserError, match=message) as error:
        read_series([path])
    assert "3x" not in str(error.value)


# Multi-frame MRI.


def test_a_multi_frame_stack_is_the_same_stack(heart, stack, tmp_path):
    enhanced(heart[0]).save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    series = read_folder(tmp_path)
    assert np.array_equal(all_phases(series), all_phases(stack))
    assert np.allclose(series.affine, stack.affine)
    assert (series.spacing, series.heart_rate) == (stack.spacing, stack.heart_rate)
    assert series.phase_times_ms == pytest.approx([30, 280, 530])
    assert sorted(frame for _, frame in series.sources.ravel()) == list(range(1, 16))

    assert write_seg(tmp_path / "seg.dcm", heart[1], series, 1, STRUCTURES, "net")
    segmentation = dcmread(tmp_path / "seg.dcm")
    check_places(segmentation, heart[1], series, 1)
    (source,) = segmentation.SourceImageSequence
    assert list(source.ReferencedFrameNumber) == [frame for _, frame in series.sources[1]]


@pytest.mark.parametrize("kind", ["classic", "multi-frame", "RLE", "RLE without offsets"])
def test_a_long_series_is_never_whole_in_memory(kind, tmp_path):
    """Never more than four phases of twenty, headers and all."""
    steps = np.arange(20 * 3 * 256 * 8, dtype=np.uint16).reshape(20, 3, 256, 8)
    stored = steps.repeat(32, -1)  # runs, which RLE is quick with
    if kind == "classic":
        write_stack(tmp_path, stored)
    else:
        dataset = enhanced(stored)
        if kind != "multi-frame":
            dataset.compress(RLELossless, generate_instance_uid=False)
        if kind == "RLE without offsets":
            frames = list(generate_frames(dataset.PixelData, number_of_frames=20 * 3))
            set_encoded(dataset, frames, RLELossless, has_bot=False)
        dataset.save_as(tmp_path / "long.dcm", enforce_file_format=True)
    (paths,) = find_series(tmp_path)  # and so what is imported once is there already
    tracemalloc.start()
    try:
        series = read_series(paths)
        means = [series.phase(k).mean() for k in range(20)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * stored[0].size * np.dtype(np.float32).itemsize
    assert means == pytest.approx(SLOPE * stored.mean((1, 2, 3)) + INTERCEPT, rel=1e-4)


# Echo.


@pytest.fixture(scope="module")
def echo():
    """Four frames of (rows, columns) uint8, from ED to ES and back, and the first one's labels."""
    images = echo_patient(1, np.random.default_rng(1)).images
    ed, es = (images[f"patient0001_2CH_{phase}"].T for phase in ("ED", "ES"))
    return np.stack([ed, ed // 2 + es // 2, es, ed]), images["patient0001_2CH_ED_gt"].T


@pytest.mark.parametrize("colour", [False, True])
def test_a_clip_comes_back_with_its_scale(echo, colour, tmp_path):
    frames = np.repeat(echo[0][..., None], 3, -1) if colour else echo[0]
    path = write_clip(tmp_path / "clip.dcm", frames)
    series = read_folder(tmp_path)
    assert series.shape == (4, 1, *echo[0].shape[1:])
    assert np.allclose(all_phases(series)[:, 0], echo[0], rtol=0, atol=1e-3)
    assert series.modality == "echo" and series.heart_rate == 66
    assert series.spacing == pytest.approx((1, 0.4, 0.3))
    assert series.affine == pytest.approx(np.diag([0.3, 0.4, 1, 1]))
    assert series.phase_times_ms == pytest.approx([0, 20, 40, 60])
    assert series.sources[:, 0].tolist() == [(path, k) for k in (1, 2, 3, 4)]


def test_a_clip_of_uneven_rhythm(echo, tmp_path):
    write_clip(tmp_path / "clip.dcm", echo[0], FrameTimeVector=[0, 20, 25, 30])
    assert read_folder(tmp_path).phase_times_ms == pytest.approx([0, 20, 45, 75])
    write_clip(tmp_path / "clip.dcm", echo[0], FrameTimeVector=[40, 20, 25, 30])
    assert read_folder(tmp_path).phase_times_ms == pytest.approx([0, 20, 45, 75])


def test_colours_become_luminance(tmp_path):
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[0, :2, :, 0] = frames[0, 2:4, :, 1] = frames[0, 4:6, :, 2] = 200
    write_clip(tmp_path / "clip.dcm", frames)
    image = read_folder(tmp_path).phase(0)[0, ::2, 0]
    assert image == pytest.approx([59.8, 117.4, 22.8, 0], abs=1e-3)


def test_a_clip_of_plain_subsampled_frames(echo, tmp_path):
    """YBR_FULL_422 without compression: two lumas, then the two chromas they share."""
    frames = echo[0][..., :170]  # in pairs
    path = write_clip(tmp_path / "clip.dcm", np.repeat(frames[..., None], 3, -1))
    dataset = dcmread(path)
    pairs = np.full((*frames.shape[:2], 85, 4), 128, np.uint8)
    pairs[..., :2] = frames.reshape(pairs[..., :2].shape)
    dataset.PhotometricInterpretation, dataset.PixelData = "YBR_FULL_422", pairs.tobytes()
    dataset.save_as(path)
    assert np.allclose(all_phases(read_folder(tmp_path))[:, 0], frames, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "layout", [{}, {"has_bot": False}, {"has_bot": False, "fragments_per_frame": 2}]
)
def test_a_clip_of_jpeg_frames(echo, layout, tmp_path):
    """What scanners write: YBR_FULL_422, 8 bits, lossy."""
    path = write_clip(tmp_path / "clip.dcm", np.repeat(echo[0][..., None], 3, -1))
    dataset = dcmread(path)
    encoded = []
    for frame in dataset.pixel_array:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=95, subsampling="4:2:2")
        encoded.append(file.getvalue())
    set_encoded(dataset, encoded, JPEGBaseline8Bit, **layout)
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.save_as(path)
    difference = np.abs(all_phases(read_folder(tmp_path))[:, 0] - echo[0])
    assert difference.mean() < 2 and difference.max() < 30


def test_the_scale_is_that_of_the_image_region(echo, tmp_path):
    strip = region(9, 9, units=4, spatial=3)  # an ECG in seconds
    write_clip(tmp_path / "clip.dcm", echo[0], [strip, region(0.4, 0.3), region(-0.4, 0.3)])
    assert read_folder(tmp_path).spacing == pytest.approx((1, 0.4, 0.3))


def test_a_clip_without_a_scale_needs_one_given(echo, tmp_path):
    path = write_clip(tmp_path / "clip.dcm", echo[0], [region(9, 9, units=4)])
    with pytest.raises(UserError, match=r"PixelSpacing .* missing.*; .*--spacing"):
        read_series([path])
    assert read_series([path], spacing=(0.5, 0.25)).affine == pytest.approx(
        np.diag([0.25, 0.5, 1, 1])
    )
    write_clip(path, echo[0], [], PixelSpacing=[0.6, 0.7])
    assert read_series([path]).spacing == pytest.approx((1, 0.6, 0.7))
    write_clip(path, echo[0], [region(0.4, 0.3), region(0.2, 0.3)])
    with pytest.raises(UserError, match="2 image regions of different scale; .*--spacing"):
        read_series([path])


def test_a_clip_is_a_file(echo, tmp_path):
    """A study's clips are in one series as a rule."""
    paths = [write_clip(tmp_path / name, echo[0]) for name in ("a", "b")]
    assert find_series(tmp_path) == [[path] for path in paths]
    second = dcmread(paths[1])
    second.SOPInstanceUID = f"{SERIES}.8"
    second.save_as(paths[1])
    with pytest.raises(UserError, match="b: a second ultrasound file beside .*one clip"):
        read_series(paths)


def test_a_clip_cut_short_is_refused(echo, tmp_path):
    path = write_clip(tmp_path / "clip.dcm", echo[0][:, :64, :64])
    dataset = dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.NumberOfFrames = 6
    dataset.save_as(path)
    series = read_series([path])
    series.phase(3)
    with pytest.raises(UserError, match="PixelData .* cannot be decoded"):
        series.phase(4)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError, match="truncated, copy it again"):
        read_series([path]).phase(3)


# Segmentations.


def check_places(segmentation, label, series, phase):
    """Each labelled voxel of each frame lies where the series has it, and nothing else is there."""
    names = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    values = {"RV cavity": 1, "LV myocardium": 2, "LV cavity": 3}
    to_index = np.linalg.inv(series.affine)
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence
    along = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
    found = np.zeros_like(label)
    for pixels, frame in zip(
        segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence, strict=True
    ):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        rows, columns = np.nonzero(pixels)
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        places = (
            position
            + columns[:, None] * float(measures.PixelSpacing[1]) * along[0]
            + rows[:, None] * float(measures.PixelSpacing[0]) * along[1]
        ) * (-1, -1, 1)
        indices = places @ to_index[:3, :3].T + to_index[:3, 3]
        assert np.abs(indices - np.round(indices)).max() < 1e-3
        x, y, z = np.round(indices).astype(int).T
        found[z, y, x] = values[names[number - 1]]
        path, frame_number = series.sources[phase, z[0]]
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        image = dcmread(path)
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        assert source.ReferencedSOPClassUID == image.SOPClassUID
        assert source.get("ReferencedFrameNumber") == frame_number
    assert np.array_equal(found, label)


@pytest.fixture(scope="module")
def segmentation_file(heart, stack, tmp_path_factory):
    path = tmp_path_factory.mktemp("seg") / "phase2.seg.dcm"
    assert write_seg(path, heart[1], stack, 1, STRUCTURES, "Ensemble of two")
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
        assert lightness == pytest.approx(relative_lightness(COLOURS[structure]), abs=1)


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


def test_a_segmentation_over_one_series_a_slice(heart, tmp_path):
    series = read_folder(write_stack(tmp_path / "stack", heart[0], one_series_a_slice))
    assert write_seg(tmp_path / "seg.dcm", heart[1], series, 2, STRUCTURES, "net")
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
    assert write_seg(path, echo[1][None], series, 2, ("LV", "MYO", "LA"), "net")
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
    assert write_seg(path, np.zeros_like(heart[1]), stack, 0, STRUCTURES, "net") is False
    assert not path.exists()
    left = np.where(heart[1] > 1, heart[1], 0).astype(np.uint8)
    assert write_seg(path, left, stack, 0, STRUCTURES, "net")
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
            write_seg(path, mask, stack, 0, STRUCTURES, "net")
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
    assert write_seg(tmp_path / "seg.dcm", heart[1], series, 0, STRUCTURES, "net")
    said = caplog.text + "".join(capfd.readouterr())
    assert "CANARY" not in said and not recwarn.list
    segmentation = dcmread(tmp_path / "seg.dcm")
    assert (segmentation.PatientName, segmentation.PatientID) == ("CANARY", "CANARY-ID")


def test_images_that_cannot_be_named_have_no_segmentation(heart, tmp_path):
    def edit(dataset, phase, k):
        del dataset.FrameOfReferenceUID

    series = read_folder(write_stack(tmp_path / "stack", heart[0], edit))
    with pytest.raises(UserError, match="no FrameOfReferenceUID, which a DICOM segmentation"):
        write_seg(tmp_path / "seg.dcm", heart[1], series, 0, STRUCTURES, "net")
    shutil.rmtree(tmp_path / "stack")
    with pytest.raises(UserError, match="can no longer be read"):
        write_seg(tmp_path / "seg.dcm", heart[1], series, 0, STRUCTURES, "net")
