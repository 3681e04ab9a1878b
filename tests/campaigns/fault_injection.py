"""Kills small runs at random moments, resumes them, and compares what comes of it.

    make fault-injection        100 kills or more, over all stages; a table of what was killed where

A run is killed with SIGKILL in one stage after the other, resumed, killed again, and analysed in
the end. Its scores, masks and tables must equal those of a run that nobody touched, bit for bit;
what was finished before a kill must not be made again; nothing half-written may stay.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import nibabel as nib
import numpy as np
import pandas as pd

from cardiac_seg.data.phantoms.dataset import write_phantoms
from cardiac_seg.members import training
from tests.support.finished_runs import quick
from tests.support.little_training import small_network

# In one process: workers that joblib starts from a forked process wait for each other.
os.environ["LOKY_MAX_CPU_COUNT"] = "1"

CONFIG = """
data: {dataset: acdc, root: %s, cache: %s}
split: {validation: 0.25, test: 0.25, folds: 2}
preprocess: {spacing: 5.0, size: [32, 32]}
augment: {rotation: 10, symmetry: horizontal}
stacking:
  scheme: %s
  pixels_per_case: 300
  features: [margin, distance]
  learners: [weighted_mean, logistic, random_forest]
  random_forest: {trees: 4}
train: {epochs: 3, warmup: 1, learning_rate: 0.01}
"""
SCHEMES = ("holdout", "out_of_fold")
TEMP = "tmp"  # for what libraries write beside their files, see `_give`
PATIENTS = 8
MAX_SECONDS = 300  # for one command that is not killed
# Stage -> whether a run is in it, from what lies in its folder and in the cache.
STAGES: dict[str, Callable[[Path, Path], bool]] = {
    "cache": lambda run, cache: any(cache.glob(".partial-*")),
    "training": lambda run, cache: any(run.glob("models/*/*")),
    "checkpoint": lambda run, cache: any(run.glob("models/*/*/.partial-*")),
    "maps": lambda run, cache: any(run.glob("maps/.partial-*")),
    "stacking": lambda run, cache: (run / "meta" / "postprocessing.json").is_file(),
    "evaluation": lambda run, cache: (run / "masks").is_dir(),
    "analysis": lambda run, cache: (run / "analysis" / "cases").is_dir(),
}
SOON = ("cache", "checkpoint", "maps")  # they last for a moment: killed at once, or nearly
LATER_S = 3.0  # at most, the others


def inject_faults(folder: Path, kills: int, seed: int) -> Counter:
    """Kills runs until there were enough kills, and checks each run that it ends.

    Args:
        folder: An empty folder.
        kills: How many at least; the last run is then brought to its end.
        seed: Of the moments.

    Returns:
        Stage -> kills.

    Raises:
        AssertionError: If a run differs from an undisturbed one, or says that it did.
    """
    write_phantoms(folder / "phantoms", PATIENTS, "mri", seed=1)
    undisturbed: dict[str, dict] = {}
    draw, killed, number = random.Random(seed), Counter(), 0
    while killed.total() < kills:
        scheme = SCHEMES[number % len(SCHEMES)]
        if scheme not in undisturbed:
            _finish(_new(folder, folder / scheme, scheme))
            undisturbed[scheme] = results(folder / scheme)
        expected = undisturbed[scheme]
        run = folder / f"killed{number}"
        number += 1
        commands = _new(folder, run, scheme)
        # Each stage as often as any other, in the order of a run.
        for stage in STAGES:
            twice = kills > len(STAGES) and killed[stage] < kills / len(STAGES) / 2
            for _ in range(1 + twice):
                if killed.total() < kills and _killed_in(stage, commands, run, draw):
                    killed[stage] += 1
        _finish(commands)
        found = results(run)
        differing = [name for name in expected if found.get(name) != expected[name]]
        assert list(found) == list(expected) and not differing, (run, differing)
        _check_once(run)
        left = [*run.rglob(".partial*"), *_cache(run).rglob(".partial*")]
        assert not left and not list((folder / TEMP).iterdir()), left
    return killed


def results(run: Path) -> dict[str, str]:
    """Everything that a run tells, as text by name; without the time that it took."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.suffix in (".csv", ".json") and not name.startswith(("manifest", "meta/cross_fit")):
            found[name] = _without_seconds(path)
        elif name.endswith(".nii.gz"):
            found[name] = np.asarray(nib.load(path).dataobj).tobytes().hex()
        elif name.startswith("maps/"):
            with np.load(path) as stored:
                found[name] = "".join(stored[key].tobytes().hex() for key in sorted(stored.files))
    return found


def _without_seconds(path: Path) -> str:
    if path.suffix == ".json":
        return re.sub(r'"seconds[a-z_]*": [\d.]+', "", path.read_text())
    table = pd.read_csv(path)
    timed = [c for c in table if "second" in c or c == "fit_s" or c == "s_per_case"]
    return table.drop(columns=timed).to_csv()


def _check_once(run: Path) -> None:
    """No epoch is told twice in the log: a finished one is never trained again."""
    told = re.findall(r"(\w+ \w+: epoch \d+/\d+) loss", (run / "log.txt").read_text())
    again = [line for line, count in Counter(told).items() if count > 1]
    assert not again, again


def _new(folder: Path, run: Path, scheme: str) -> list[list[str]]:
    """The commands of a run with a cache of its own."""
    config = run.with_suffix(".yaml")
    config.write_text(CONFIG % (folder / "phantoms", _cache(run), scheme))
    return [["train", "--config", str(config), "--run-dir", str(run)], ["analyze", str(run)]]


def _cache(run: Path) -> Path:
    return run.with_suffix(".cache")


def _finish(commands: list[list[str]]) -> None:
    for command in commands:
        process = started(command)
        process.join(MAX_SECONDS)
        assert process.exitcode == 0, (command, process.exitcode)


def _killed_in(stage: str, commands: list[list[str]], run: Path, draw: random.Random) -> bool:
    """Runs the commands until they are killed in a stage; False where they end before."""
    finished_before = _finished(run)
    for command in commands:
        process = started(command)
        while process.is_alive() and not STAGES[stage](run, _cache(run)):
            time.sleep(0.001)
        # A moment of the stage; where it is over by then, what comes after is killed as well.
        most = 0.02 if stage in SOON else LATER_S
        process.join(draw.uniform(0, most))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            _check_kept(run, finished_before)
            return True
        assert process.exitcode == 0, (command, process.exitcode)
    return False


def _finished(run: Path) -> dict[Path, int]:
    """What is finished, with the moment it was written: networks, maps, folds, learners."""
    finished = {}
    trained = [p.parent for p in run.glob("models/*/*/last.keras") if _is_trained(run, p)]
    # A fold is finished with its second file.
    folds = [p.with_suffix(".csv") for p in run.glob("meta/cross_fit/[!.]*.json")]
    for paths in (folds, run.glob("meta/*.skops"), run.glob("measures/[!.]*.npz")):
        finished |= {p: p.stat().st_mtime_ns for p in paths}
    for folder in trained:
        finished |= {p: p.stat().st_mtime_ns for p in folder.glob("*.keras")}
    for path in run.glob("maps/[!.]*.npz"):
        with np.load(path) as stored:
            if {"unet_advanced", "deep_unet_improved"} <= set(stored.files):
                finished[path] = path.stat().st_mtime_ns
    return {p: t for p, t in finished.items() if not p.name.startswith(".partial")}


def _is_trained(run: Path, last: Path) -> bool:
    manifest = run / "manifest.json"
    methods = json.loads(manifest.read_text()).get("models", {}) if manifest.is_file() else {}
    return last.relative_to(run).as_posix() in methods


def _check_kept(run: Path, before: dict[Path, int]) -> None:
    again = [p for p, moment in before.items() if not p.is_file() or p.stat().st_mtime_ns != moment]
    assert not again, again


def started(command: list[str], said: str = os.devnull, most_bytes: int | None = None):
    """A process that gives a command; it is forked from one that has imported what it needs.

    Args:
        command: `train` or `analyze`, and arguments.
        said: A file for what it writes to the terminal.
        most_bytes: Of any file that it writes, as a quota limits them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["cardiac_seg.system.backend", "cardiac_seg.pipeline.stages", "tests.support.finished_runs"]
    )
    process = context.Process(target=_give, args=(command, said, most_bytes))
    process.start()
    return process


def _give(command: list[str], said: str, most_bytes: int | None) -> None:
    import analyze_results
    import train_ensemble

    main = {"train": train_ensemble.main, "analyze": analyze_results.main}[command[0]]
    temporary = Path(command[2] if command[0] == "train" else command[1]).parent / TEMP
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = str(temporary)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(said, "w"))
        for context in (redirect_stdout(file), redirect_stderr(file), quick()):
            stack.enter_context(context)
        stack.enter_context(mock.patch.object(training, "build_member", small_network))
        # A shell that started the tests in the background had it ignored, for them and for this.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if most_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
        sys.exit(main(command[1:]))


def main() -> None:
    """Kills runs and prints what was killed where."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        killed = inject_faults(Path(folder), args.kills, args.seed)
    print("| stage | kills |\n|---|---|")
    for stage in STAGES:
        print(f"| {stage} | {killed[stage]} |")
    print(f"| all | {killed.total()} |")
    print(f"\nall runs ended as the undisturbed one; {(time.monotonic() - began) / 60:.0f} min")


if __name__ == "__main__":
    main()
