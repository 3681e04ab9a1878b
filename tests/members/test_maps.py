"""Softmax maps survive the disk, say when they did not, and know whom their members have seen."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from cardiac_seg.grid.resample import Grid, GridImage
from cardiac_seg.members.maps import (
    CaseMaps,
    MemberMap,
    Provenance,
    check_unseen,
    folds_in,
    read_maps,
    stored_members,
    write_maps,
)
from cardiac_seg.system.errors import UserError

GRID = Grid((5, 6), (10, 12), (32, 32), (0.5, 0.75))


def some_maps(members=("one", "two")):
    rng = np.random.default_rng(0)
    maps = {m: (rng.integers(0, 9, (2, 32, 32, 4)) / 8).astype(np.float16) for m in members}
    pixels, label = rng.integers(0, 4, (2, 2, 32, 32)).astype(np.uint8)
    made_by = Provenance("fold1", frozenset({"p1", "p2"}))
    maps = {m: MemberMap(p, made_by) for m, p in maps.items()}
    return CaseMaps("p_ED", maps, GridImage(pixels, 1.5, 0.25, GRID), label)


def test_maps_survive_the_disk(tmp_path):
    path, maps = tmp_path / "maps" / "p_ED.npz", some_maps()
    write_maps(path, maps)
    read = read_maps(path, ["two", "one"])
    assert (read.name, read.grid) == ("p_ED", GRID)
    assert all(m.provenance == maps.maps["one"].provenance for m in read.maps.values())
    assert (read.image.mean, read.image.std) == (1.5, 0.25)
    for got, put in (
        (read.label, maps.label),
        (read.image.pixels, maps.image.pixels),
        *((read.probabilities[m], maps.probabilities[m]) for m in maps.maps),
    ):
        assert got.dtype == put.dtype and np.array_equal(got, put)
    assert list(read_maps(path, ["one"]).maps) == ["one"]
    assert sorted(stored_members(path, "fold1")) == ["one", "two"]
    assert stored_members(path, "full") == []  # maps by other networks do not count
    assert stored_members(tmp_path / "none.npz", "fold1") == []


def test_a_map_of_a_training_image_is_refused_whichever_member_made_it():
    maps, path = some_maps(), Path("x.npz")
    check_unseen(maps, "p3", path)
    with pytest.raises(UserError, match=r"x\.npz: made by one, fold1, which was trained on p1"):
        check_unseen(maps, "p1", path)
    knows_it = MemberMap(maps.maps["two"].probabilities, Provenance("fold0", frozenset({"p3"})))
    mixed = dataclasses.replace(maps, maps=maps.maps | {"two": knows_it})
    with pytest.raises(UserError, match="made by two, fold0, which was trained on p3"):
        check_unseen(mixed, "p3", path)
    stranger = MemberMap(maps.maps["two"].probabilities, Provenance("full", None))
    with pytest.raises(UserError, match="nothing says whom two was trained on"):
        check_unseen(dataclasses.replace(maps, maps={"two": stranger}), "p3", path)


def test_maps_of_format_1_name_a_fold_whose_patients_are_looked_up(tmp_path):
    maps, path = some_maps(), tmp_path / "p_ED.npz"
    about = {"grid": dataclasses.asdict(GRID), "mean": 1.5, "std": 0.25, "part": "fold1"}
    arrays = {"image": maps.image.pixels, "label": maps.label, "about": np.array(json.dumps(about))}
    np.savez_compressed(path, **maps.probabilities, **arrays)
    read = read_maps(path, ["one"], {"fold1": frozenset({"p9"})}.get)
    assert read.maps["one"].provenance == Provenance("fold1", frozenset({"p9"}))
    assert stored_members(path, "fold1") == ["one", "two"] and folds_in(path) == {"fold1"}


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"one": np.zeros((2, 16, 32, 4), np.float16)}, "one: shape"),
        ({"one": np.full((2, 32, 32, 4), np.nan, np.float16)}, "no numbers"),
        ({"label": np.zeros((3, 32, 32), np.uint8)}, "label of shape"),
        ({"about": ("mean", "x")}, "could not convert"),
        ({"about": ("provenance", {"one": {"fold": 3, "trained_on": []}})}, "a fold 3"),
        ({"about": ("provenance", {"one": {"fold": "full", "trained_on": "p1"}})}, "'p1'"),
    ],
)
def test_maps_whose_arrays_or_provenance_cannot_be_are_damaged(tmp_path, change, words):
    path = tmp_path / "x.npz"
    write_maps(path, some_maps(["one"]))
    with np.load(path) as stored:
        arrays = dict(stored)
    metadata = json.loads(str(arrays["about"]))
    if "about" in change:
        key, value = change["about"]
        change = {"about": np.array(json.dumps(metadata | {key: value}))}
    np.savez_compressed(path, **(arrays | change))
    with pytest.raises(UserError, match=rf"x\.npz: damaged.*{words}"):
        read_maps(path, ["one"])
