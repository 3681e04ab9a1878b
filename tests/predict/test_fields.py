"""A heart off the middle of the image: where the network grid goes, and what is told of cuts."""

from types import SimpleNamespace

import numpy as np
import pytest

from cardiac_seg import Ensemble
from cardiac_seg.grid.field import Cut, Field
from cardiac_seg.predict.measurements import doubts, measure
from cardiac_seg.predict.scans import ArrayScan, find_scans, open_scan
from tests.support.scans import PLACE, save
from tests.support.stub_run import ring, write_stub_run

TOP, LEFT = 60, 70  # of the part of the image that holds the heart
FIELD = Field((50, 60, 64, 64), (64, 64))  # ends in the heart, at row 114


def planes(lv=8.0):
    """(2, 160, 150) uint8 labels of a heart off the middle."""
    mask = np.zeros((2, 160, 150), np.uint8)
    mask[:, TOP : TOP + 64, LEFT : LEFT + 64] = ring(lv)
    return mask


def pixels(mask):
    """An image that is read as its mask, and has content up to its edges."""
    image = mask.astype(np.float32)
    image[:, [0, -1], :3] = 0.2
    image[:, :3, [0, -1]] = 0.2
    return image


@pytest.fixture(scope="module")
def heart_run(tmp_path_factory):
    return write_stub_run(tmp_path_factory.mktemp("heart_run"), "acdc", field="heart")


@pytest.fixture
def finder(heart_run, monkeypatch):
    """The run in use, and where it segments which frames; its locator says what it is told."""
    ensemble = Ensemble.load(heart_run)
    asked, segment = [], ensemble._map

    def spy(scan, chosen, field, *others):
        asked.extend([(field, chosen)] if chosen else [])
        return segment(scan, chosen, field, *others)

    monkeypatch.setattr(ensemble, "_map", spy)

    def say(field):
        ensemble.locator = SimpleNamespace(field=lambda images, spacing, settings: field)

    return SimpleNamespace(ensemble=ensemble, asked=asked, say=say)


def test_a_heart_off_the_middle_is_found_and_segmented(heart_run):
    mask = planes()
    frame = Ensemble.load(heart_run).segment(pixels(mask), PLACE)
    assert np.array_equal(frame.mask, mask)
    rows, columns = (np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    middle = rows.mean() + 0.5, columns.mean() + 0.5
    assert np.abs(np.subtract(frame.field.centre, middle)).max() * 1.5 <= 9  # of 6 mm a pixel
    assert frame.field.size == (64, 64) and frame.cut == Cut(frozenset(), frozenset())


def test_a_grid_about_the_middle_of_the_image_cuts_that_heart(mri_run):
    frame = Ensemble.load(mri_run).segment(pixels(planes()), PLACE)
    assert frame.field is None and frame.cut.by_field == {2, 3}  # it ends at column 106


def test_a_structure_at_the_fields_edge_is_segmented_once_more_in_a_moved_field(finder):
    mask = planes()
    left = Field((50, 40, 64, 64), (64, 64))  # its last column, 103, is in the heart
    finder.say(left)
    (frame,) = finder.ensemble.frames(ArrayScan(pixels(mask)[None], PLACE))
    assert [chosen for _, chosen in finder.asked] == [[0], [0]]
    (first, _), (moved, _) = finder.asked
    assert first == left and moved == frame.field and moved.size == (64, 64)
    assert moved.window[1] > left.window[1]
    assert np.array_equal(frame.mask, mask) and not frame.cut.by_field


def test_a_field_that_cuts_nothing_is_segmented_once(finder):
    mask, field = planes(), Field((TOP, LEFT, 64, 64), (64, 64))
    finder.say(field)
    frames = list(finder.ensemble.frames(ArrayScan(np.stack([pixels(mask)] * 6), PLACE)))
    assert finder.asked == [(field, [0, 1, 3, 4]), (field, [2, 5])]
    assert len(frames) == 6 and all(np.array_equal(frame.mask, mask) for frame in frames)


def test_all_frames_of_a_cine_lie_in_one_moved_field(finder):
    masks = [planes(lv) for lv in (8, 7, 6, 5, 6, 7)]
    finder.say(Field((50, 40, 64, 64), (64, 64)))
    frames = list(finder.ensemble.frames(ArrayScan(np.stack([*map(pixels, masks)]), PLACE)))
    assert [chosen for _, chosen in finder.asked] == [[0, 1, 3, 4], [0, 1, 2, 3, 4, 5]]
    assert len({frame.field for frame in frames}) == 1
    for frame, mask in zip(frames, masks, strict=True):
        assert np.array_equal(frame.mask, mask)


@pytest.mark.parametrize("cut", [False, True])
def test_a_heart_that_the_image_cuts_is_told(heart_run, tmp_path, cut):
    mask = planes(10)
    if cut:  # two rows of RV are lost
        mask = mask[:, np.flatnonzero(mask.any(axis=(0, 2)))[0] + 2 :]
    path = save(tmp_path / "a.nii.gz", pixels(mask))
    found = Ensemble.load(heart_run).predict(path)
    told = [reason for reason in found.review if "cut off" in reason]
    assert told == (["RV cut off at the edge of the image"] if cut else [])
    down, right = found.measured.heart_mm
    rows, columns = (np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    assert down == pytest.approx((rows.mean() + 0.5 - mask.shape[1] / 2) * 1.5, abs=9)
    assert right == pytest.approx((columns.mean() + 0.5 - mask.shape[2] / 2) * 1.5, abs=9)


def measured(ensemble, tmp_path, cuts, field=None):
    masks = [planes(lv) for lv in (8, 6, 7)]
    path = save(tmp_path / "a.nii.gz", np.stack([*map(pixels, masks)]))
    dataset = ensemble.run.dataset
    scan = open_scan(find_scans(path)[0], dataset.modality)
    return measure(scan, masks, [0.9] * 3, cuts, field, dataset, None, 1.0)


NOTHING = Cut(frozenset(), frozenset())


def test_structures_that_end_where_the_grid_or_the_image_does_are_doubtful(ensemble, tmp_path):
    ed, es = Cut(frozenset({1, 3}), frozenset()), Cut(frozenset({1}), frozenset({2}))
    found = measured(ensemble, tmp_path, [ed, es, NOTHING])
    assert (found.ed, found.es) == (0, 1)
    assert found.beyond_grid == [["RV", "LV"], ["RV"], []]
    assert found.beyond_image == [[], ["MYO"], []]
    assert doubts(found, {}, "voxels", 0.5) == (
        "RV and LV cut off at the edge of the network grid",
        "MYO cut off at the edge of the image",
    )


def test_a_cut_in_a_frame_that_does_not_count_is_no_doubt(ensemble, tmp_path):
    found = measured(ensemble, tmp_path, [NOTHING, NOTHING, Cut(frozenset({1}), frozenset({1}))])
    assert found.beyond_grid == found.beyond_image == [[], [], ["RV"]]
    assert doubts(found, {}, "voxels", 0.5) == ()


def test_where_the_heart_was_found_is_told_in_mm_from_the_middle(ensemble, tmp_path):
    found = measured(ensemble, tmp_path, [NOTHING] * 3, FIELD)
    assert found.heart_mm == ((82 - 80) * 1.5, (92 - 75) * 1.5)
    assert measured(ensemble, tmp_path, [NOTHING] * 3).heart_mm is None
