"""Every mismatch inside a DICOM stack is one line without the patient."""

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from cardiac_seg.data.dicom.series import read_series
from cardiac_seg.system.errors import UserError
from tests.support.dicom_files import (
    ALONG_ROW,
    DISTANCE,
    NORMAL,
    ORIGIN,
    SERIES,
    STUDY,
    enhanced,
    mr_slice,
    set_encoded,
    set_pixels,
    write_stack,
)
from tests.support.dicom_stacks import all_phases, read_folder


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
