"""What a network's file says of the patients that it was trained on."""

import zipfile

import pytest

from cardiac_seg.members.network_file import read_network
from cardiac_seg.members.seen import SEEN, merged, read_seen, write_seen
from cardiac_seg.report.export import _write_network
from cardiac_seg.system.errors import UserError
from tests.support.little_training import small_network


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "best.keras"
    small_network("unet_advanced", None, 4).save(path)
    return path


def test_it_is_read_as_written_and_the_network_is_still_one(saved, tmp_path):
    assert read_seen(saved) is None  # as the files of earlier versions
    seen = {"acdc": frozenset(("b", "a")), "camus": frozenset()}
    write_seen(saved, seen)
    assert read_seen(saved) == seen
    assert read_network(saved).name == "unet_advanced"
    _write_network(read_network(saved), saved, tmp_path / "rounded.keras")
    assert read_seen(tmp_path / "rounded.keras") == seen
    assert read_network(tmp_path / "rounded.keras").name == "unet_advanced"


@pytest.mark.parametrize("content", ["[]", '{"acdc": "patient001"}', '{"acdc": [1]}', "{"])
def test_what_is_no_list_of_patients_is_answered_in_one_line(saved, content):
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr(SEEN, content)
    with pytest.raises(UserError, match=r"best\.keras: says in trained_on\.json") as refused:
        read_seen(saved)
    assert "\n" not in str(refused.value)


def test_a_file_cut_off_is_answered(saved):
    saved.write_bytes(saved.read_bytes()[:100])
    with pytest.raises(UserError, match="may be damaged"):
        read_seen(saved)


def test_patients_of_one_dataset_are_put_together():
    both = merged({"a": ["x"], "b": ["x"]}, {"a": frozenset("y")})
    assert both == {"a": frozenset("xy"), "b": frozenset("x")}
