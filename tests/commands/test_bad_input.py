"""Bad input of every kind, generated: one line and an exit code, within seconds, in bounds."""

import resource
import shutil
import subprocess
import sys

import pytest

from tests.campaigns.fuzz import all_bad
from tests.support.bad_input.case import (
    COMMANDS,
    MAX_SECONDS,
    finished_run,
    outcome,
    run_here,
)
from tests.support.paths import REPO

ALL = all_bad()
SOME = ALL[::2]  # `make fuzz` runs all
MOST_MIB = 1500  # that any of them may add to the memory of the process
# Real processes: all that a command loads before it looks at its input takes seconds.
PROCESSES = [
    *[bad for bad in ALL if bad.kind == "YAML"][::20],
    *[bad for bad in ALL if bad.name.endswith("(cardiac_seg info)")][::8],
    *[bad for bad in ALL if bad.name.endswith("(analyze)")][:1],
    *[bad for bad in ALL if bad.kind in ("NIfTI", "DICOM") and not bad.harmless][:1],
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("fuzz") / "made").folder


@pytest.fixture
def given(finished, tmp_path):
    """Writes a bad input; gives the command line."""

    def write(bad):
        run = shutil.copytree(finished, tmp_path / "run") if bad.damages else finished
        (tmp_path / "bad").mkdir()
        return bad.write(tmp_path / "bad", run)

    return write


def test_there_are_hundreds_and_all_differ():
    assert len({(bad.kind, bad.name) for bad in ALL}) == len(ALL)
    assert len(SOME) >= 200
    assert {bad.kind for bad in PROCESSES} >= {"NIfTI", "YAML", "run directory"}
    assert {bad.kind for bad in ALL} == {"NIfTI", "DICOM", "YAML", "CSV", "run directory"}


@pytest.mark.parametrize("bad", SOME, ids=lambda bad: f"{bad.kind}: {bad.name}")
def test_bad_input_is_one_line(bad, given, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = run_here(given(bad))
    assert found.fault(bad) is None, found.text
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    assert grown < MOST_MIB
    assert not list(tmp_path.rglob(".partial*"))
    if found.code and bad.kind in ("NIfTI", "DICOM"):
        assert not list((tmp_path / "bad" / "out").glob("*.nii.gz"))  # no mask of it


@pytest.mark.parametrize("bad", PROCESSES, ids=lambda bad: f"{bad.kind}: {bad.name}")
def test_bad_input_of_a_process_is_one_line(bad, given):
    name, *arguments = given(bad)
    done = subprocess.run(
        [sys.executable, *COMMANDS[name][1], *arguments],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=10 * MAX_SECONDS,  # imports included, other tests beside it
    )
    said = outcome(done.returncode, done.stdout + done.stderr, 0.0)
    assert said.fault(bad) is None, said.text
