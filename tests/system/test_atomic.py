"""Files and folders appear whole or not at all."""

import pytest

from cardiac_seg.system.atomic import whole_directory, whole_file, write_json, write_text
from cardiac_seg.system.errors import UserError


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
