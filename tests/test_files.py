"""Files appear whole or not at all; softmax maps survive the disk and say when they did not."""

import numpy as np
import pytest

from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.members.maps import CaseMaps, read_maps, stored_members, write_maps
from cardiac_seg.system.atomic import whole_directory, whole_file, write_json, write_text
from cardiac_seg.system.errors import UserError

GRID = Grid((5, 6), (10, 12), (32, 32), (0.5, 0.75))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_and_json_are_written_with_their_folders(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "é\n")
    write_json(tmp_path / "a" / "c.json", {"x": [1]})
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "é\n"
    assert (tmp_path / "a" / "c.json").read_text() == '{\n  "x": [\n    1\n  ]\n}\n'
    assert names(tmp_path / "a") == ["b.txt", "c.json"]


def test_a_file_is_seen_only_when_it_is_whole(tmp_path):
    path = tmp_path / "x.nii.gz"
    with whole_file(path) as partial:
        partial.write_text("half")
        assert not path.exists() and partial.parent == tmp_path
        assert partial.name.endswith("x.nii.gz")  # writers choose the format by the suffix
    assert path.read_text() == "half" and names(tmp_path) == ["x.nii.gz"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.txt"
    write_text(path, "earlier")
    with pytest.raises(error), whole_file(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "earlier" and names(tmp_path) == ["x.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_no_folder(tmp_path, error):
    with pytest.raises(error), whole_directory(tmp_path / "new") as partial:
        (partial / "a").mkdir()
        (partial / "a" / "b.txt").write_text("half")
        raise error
    assert names(tmp_path) == []


def test_a_folder_is_seen_only_when_it_is_whole(tmp_path):
    with whole_directory(tmp_path / "new") as partial:
        (partial / "b.txt").write_text("1")
        assert not (tmp_path / "new").exists()
    assert names(tmp_path) == ["new"] and names(tmp_path / "new") == ["b.txt"]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


def test_the_folder_of_a_faster_process_is_kept(tmp_path):
    with whole_directory(tmp_path / "new") as partial:
        (partial / "b.txt").write_text("slow")
        write_text(tmp_path / "new" / "b.txt", "fast")
    assert (tmp_path / "new" / "b.txt").read_text() == "fast" and names(tmp_path) == ["new"]


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_an_unwritable_place_is_named(tmp_path, whole):
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / "file" / "below" / "x"
    with pytest.raises(UserError) as caught, whole(path):
        pass
    assert f"{path}: cannot be written" in str(caught.value)
    assert names(tmp_path) == ["file"]


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
