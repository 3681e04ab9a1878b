"""Runs that are killed, stopped, crowded or out of space: nothing is lost, and they say so."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import train_ensemble
from cardiac_seg.config.loading import load_config
from cardiac_seg.run.open import at_work, create
from tests.campaigns.fault_injection import CONFIG, STAGES, inject_faults, results, started
from tests.support.paths import REPO

MAX_SECONDS = 120


@pytest.fixture
def one_network(mri_root, tmp_path):
    """The command of a run of one network without learners; its run and what it said."""
    config = tmp_path / "one.yaml"
    settings = "members: [unet_advanced]\n" + CONFIG % (mri_root, tmp_path / "cache", "holdout")
    config.write_text(settings.replace("[weighted_mean, logistic, random_forest]", "[]"))
    run = tmp_path / "place" / "run"
    return ["train", "--config", str(config), "--run-dir", str(run)], run, tmp_path / "said"


def given(command, said, **limits):
    """The exit code of a command that nobody disturbs."""
    process = started(command, str(said), **limits)
    process.join(MAX_SECONDS)
    return process.exitcode


def test_killed_runs_end_as_an_undisturbed_one(tmp_path):
    killed = inject_faults(tmp_path, len(STAGES), seed=0)
    assert killed.total() >= len(STAGES) and killed["evaluation"] and killed["analysis"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_stop_stops_within_seconds(one_network, number, code):
    command, run, said = one_network
    process = started([*command, "--set", "train.epochs=500"], str(said))
    while process.is_alive() and not list(run.glob("history/*/full.csv")):
        time.sleep(0.01)
    os.kill(process.pid, number)
    asked = time.monotonic()
    process.join(MAX_SECONDS)
    assert process.exitcode == code and time.monotonic() - asked < 20
    *_, last = said.read_text().splitlines()
    assert last == "stopped; what is finished is kept, the same command goes on"
    assert "Traceback" not in said.read_text() and not list(run.rglob(".partial*"))
    assert len((run / "history" / "unet_advanced" / "full.csv").read_text().splitlines()) > 1


def mounted(folder, size):
    """A small disk of its own."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")


@pytest.mark.parametrize("what", ["disk", "quota"])
def test_a_full_disk_is_said_and_a_run_goes_on_when_there_is_room(one_network, what):
    command, run, said = one_network
    try:
        if what == "disk":
            mounted(run.parent, "400k")
            assert given(command, said) == 2
        else:
            assert given(command, said, most_bytes=300_000) == 2
        (error,) = [x for x in said.read_text().splitlines() if x.startswith("error: ")]
        assert "last.keras: cannot be written" in error and "the same command" in error
        assert "Traceback" not in said.read_text() and not list(run.rglob(".partial*"))
        assert (run / "split.csv").is_file()  # what was finished is there
        if what == "disk":
            more = ["mount", "-o", "remount,size=100m", str(run.parent)]
            subprocess.run(more, check=True)
        assert given(command, said) == 0
        assert "metrics.json" in results(run)
    finally:
        if what == "disk":
            subprocess.run(["umount", str(run.parent)], capture_output=True)


def test_a_disk_that_cannot_be_written_is_said(one_network, capsys):
    command, run, _ = one_network
    try:
        mounted(run.parent, "1m")
        create(load_config(Path(command[2])), run)
        subprocess.run(["mount", "-o", "remount,ro", str(run.parent)], check=True)
        assert train_ensemble.main(["--resume", str(run)]) == 2
        error = capsys.readouterr().err
        assert "Read-only file system" in error and "Traceback" not in error
    finally:
        subprocess.run(["umount", str(run.parent)], capture_output=True)


@pytest.fixture
def empty_run(mri_root, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG % (mri_root, tmp_path / "cache", "holdout"))
    return create(load_config(config), tmp_path / "run")


def test_a_second_process_is_refused(empty_run, capsys):
    with at_work(empty_run.folder, beside_others=False):
        for more in ([], ["--member", "unet_advanced"]):
            assert train_ensemble.main(["--resume", str(empty_run.folder), *more]) == 2
            assert "log.txt: another process is at work" in capsys.readouterr().err
    assert not empty_run.manifest.stages


def test_trainings_of_one_network_each_share_a_run(empty_run, capsys):
    with at_work(empty_run.folder, beside_others=True):
        with at_work(empty_run.folder, beside_others=True):
            assert train_ensemble.main(["--resume", str(empty_run.folder)]) == 2
        assert "another process is at work" in capsys.readouterr().err


def test_a_dead_process_holds_nothing(empty_run):
    hold = (
        "import sys, time; from pathlib import Path; from cardiac_seg.run.open import at_work\n"
        "with at_work(Path(sys.argv[1]), False): print('held', flush=True); time.sleep(99)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(empty_run.folder)],
        stdout=subprocess.PIPE,
        cwd=REPO,
    )
    assert process.stdout.readline() == b"held\n"
    (empty_run.folder / ".partial-1-metrics.json").write_text("{")
    process.kill()
    process.wait()
    with at_work(empty_run.folder, beside_others=False):
        assert not list(empty_run.folder.glob(".partial-1*"))
    assert not list(empty_run.folder.glob(".partial*"))
