"""The ultrasound sector is found in a frame with letters and a trace."""

import numpy as np
import pytest

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.grid.sector import field_of_sector, find_sector

SETTINGS = Preprocess(spacing=None, size=(64, 96), field="sector")


def fan(shape, tip, reach, seed=0):
    """(1, height, width): speckle in a fan of 90 degrees below a tip, 0 around it."""
    rows, columns = np.indices(shape)
    down, across = rows - tip[0], columns - tip[1]
    inside = (np.abs(across) <= down) & (np.hypot(down, across) <= reach)
    speckle = np.random.default_rng(seed).uniform(20, 255, shape)
    return np.where(inside, speckle, 0)[None].astype(np.float32)


def screen():
    """A fan in rows 60 to 460 and columns 217 to 783 of 600 x 900, letters, a trace."""
    frame = fan((600, 900), (60, 500), 400)
    for column in range(20, 180, 14):  # three lines of letters
        for row in (20, 45, 70):
            frame[0, row : row + 12, column : column + 3] = 255
            frame[0, row : row + 3, column : column + 9] = 255
    columns = np.arange(30, 870)
    trace = (560 + 15 * np.sin(columns / 20)).astype(int)
    frame[0, trace, columns] = frame[0, trace + 1, columns] = 255
    return frame


def ends(box):
    return [box[0].start, box[0].stop, box[1].start, box[1].stop]


def test_a_fan_is_found_to_2_percent_of_the_frame():
    found = find_sector(screen())
    expected = [60, 461, 500 - 283, 500 + 284]
    assert np.abs(np.subtract(ends(found), expected)).max() <= 0.02 * 600


def test_the_frames_of_a_clip_are_looked_at_together():
    left, right = fan((300, 400), (30, 200), 220), fan((300, 400), (30, 200), 220)
    left[..., 200:], right[..., :200] = 0, 0
    both = find_sector(np.concatenate([left, right]))
    assert ends(both) == ends(find_sector(np.maximum(left, right)))
    assert ends(both) != ends(find_sector(left))


def test_a_sector_that_fills_the_frame_is_not_cut_out():
    assert find_sector(fan((300, 424), (0, 212), 300)) is None
    assert field_of_sector(fan((300, 424), (0, 212), 300), SETTINGS) is None


def test_the_field_is_the_sectors_box():
    frame = screen()
    rows, columns = find_sector(frame)
    window = rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start
    assert field_of_sector(frame, SETTINGS).window == window
    assert field_of_sector(frame, SETTINGS).size == (64, 96)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "frame",
    [
        np.random.default_rng(0).uniform(0, 255, (1, 200, 300)),
        np.full((1, 200, 300), 7.0),
        np.zeros((2, 200, 300)),
        np.random.default_rng(0).uniform(0, 255, (1, 8, 9)),
        np.ones((1, 1, 1)),
        np.pad(np.full((1, 10, 10), 255.0), ((0, 0), (90, 100), (90, 200))),  # a mark, no sector
    ],
    ids=["noise", "constant", "black", "tiny", "one pixel", "a mark"],
)
def test_where_no_sector_can_be_told_the_whole_frame_is_shown(frame):
    assert find_sector(frame) is None
    assert field_of_sector(frame, SETTINGS) is None
