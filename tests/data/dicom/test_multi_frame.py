"""Multi-frame DICOM: Enhanced MR and echo clips."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEGBaseline8Bit,
    RLELossless,
)

from cardiac_seg.data.dicom.find import find_series
from cardiac_seg.data.dicom.segmentation import write_seg
from cardiac_seg.data.dicom.series import read_series
from cardiac_seg.data.modality import ECHO
from cardiac_seg.system.errors import UserError
from tests.support.dicom_files import (
    INTERCEPT,
    SERIES,
    SLOPE,
    enhanced,
    region,
    set_encoded,
    write_clip,
    write_stack,
)
from tests.support.dicom_stacks import HEART, all_phases, check_places, read_folder


def test_a_multi_frame_stack_is_the_same_stack(heart, stack, tmp_path):
    enhanced(heart[0]).save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    series = read_folder(tmp_path)
    assert np.array_equal(all_phases(series), all_phases(stack))
    assert np.allclose(series.affine, stack.affine)
    assert (series.spacing, series.heart_rate) == (stack.spacing, stack.heart_rate)
    assert series.phase_times_ms == pytest.approx([30, 280, 530])
    assert sorted(frame for _, frame in series.sources.ravel()) == list(range(1, 16))

    assert write_seg(tmp_path / "seg.dcm", heart[1], series, 1, HEART, "net")
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


@pytest.mark.parametrize("colour", [False, True])
def test_a_clip_comes_back_with_its_scale(echo, colour, tmp_path):
    frames = np.repeat(echo[0][..., None], 3, -1) if colour else echo[0]
    path = write_clip(tmp_path / "clip.dcm", frames)
    series = read_folder(tmp_path)
    assert series.shape == (4, 1, *echo[0].shape[1:])
    assert np.allclose(all_phases(series)[:, 0], echo[0], rtol=0, atol=1e-3)
    assert series.modality is ECHO and series.heart_rate == 66
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
