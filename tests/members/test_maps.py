"""Softmax maps survive the disk and say when they did not."""

import numpy as np
import pytest

from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.members.maps import CaseMaps, read_maps, stored_members, write_maps
from cardiac_seg.system.errors import UserError

GRID = Grid((5, 6), (10, 12), (32, 32), (0.5, 0.75))


def some_maps(members=("one", "two")):
    rng = np.random.default_rng(0)
    maps = {m: (rng.integers(0, 9, (2, 32, 32, 4)) / 8).astype(np.float16) for m in members}
    pixels, label = rng.integers(0, 4, (2, 2, 32, 32)).astype(np.uint8)
    return CaseMaps(maps, GridImage(pixels, 1.5, 0.25, GRID), "fold1", label)


def test_maps_survive_the_disk(tmp_path):
    path, maps = tmp_path / "maps" / "p_ED.npz", some_maps()
    write_maps(path, maps)
    read = read_maps(path, ["two", "one"])
    assert (read.grid, read.part) == (GRID, "fold1")
    assert (read.image.mean, read.image.std) == (1.5, 0.25)
    for got, put in (
        (read.label, maps.label),
        (read.image.pixels, maps.image.pixels),
        *((read.members[m], maps.members[m]) for m in maps.members),
    ):
        assert got.dtype == put.dtype and np.array_equal(got, put)
    assert list(read_maps(path, ["one"]).members) == ["one"]
    assert sorted(stored_members(path, "fold1")) == ["one", "two"]
    assert stored_members(path, "full") == []  # maps by other networks do not count
    assert stored_members(tmp_path / "none.npz", "fold1") == []


def test_missing_maps_say_how_to_make_them(tmp_path):
    with pytest.raises(UserError, match="none.npz: missing; run train_ensemble.py --resume"):
        read_maps(tmp_path / "none.npz", ["one"])


def test_maps_without_a_member_name_it(tmp_path):
    write_maps(tmp_path / "x.npz", some_maps(["one"]))
    with pytest.raises(UserError, match="x.npz: damaged.*two"):
        read_maps(tmp_path / "x.npz", ["one", "two"])


@pytest.mark.parametrize("damage", ["empty", "half", "bytes", "text"])
def test_damaged_maps_are_named(tmp_path, damage):
    path = tmp_path / "x.npz"
    write_maps(path, some_maps())
    content = path.read_bytes()
    middle = len(content) // 4
    path.write_bytes(
        {
            "empty": b"",
            "half": content[: 2 * middle],
            "bytes": content[:middle] + bytes(64) + content[middle + 64 :],
            "text": b"not found" * 100,
        }[damage]
    )
    with pytest.raises(UserError, match="x.npz: damaged"):
        read_maps(path, ["one", "two"])


def test_damaged_maps_are_named_when_asked_for_their_members(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(UserError, match="x.npz: damaged"):
        stored_members(tmp_path / "x.npz", "full")
