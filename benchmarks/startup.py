"""Start-up: what a command takes from nothing to its end, in a new process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.bench import Bench
from benchmarks.tables import Outcome, Table
from benchmarks.timing import spread
from benchmarks.worker import ROOT
from benchmarks.workload import new_patient
from cardiac_seg.predict.scans import find_scans
from cardiac_seg.system.log import log


def run(bench: Bench) -> Outcome:
    """Help, a mistake in the config, and the prediction of one slice."""
    bad = bench.folder / "bad.yaml"
    bad.write_text("data: {dataset: acdc, root: nowhere}\ntrain: {epoch: 3}\n")
    image = _one_slice(bench.folder)
    predict = ["-m", "cardiac_seg", "predict", str(bench.run), str(image)]
    commands = [
        ("`train_ensemble.py --help`", ["train_ensemble.py", "--help"], 0, "1"),
        ("a bad config", ["train_ensemble.py", "--config", str(bad)], 2, "1"),
        ("`predict` of one slice", predict, 0, "6"),
    ]
    rows, raw = [], {}
    for what, command, code, target in commands:
        log.info("start-up: %s", what)
        seconds = []
        for number in range(bench.sizes.rounds):
            output = ["--output", str(bench.folder / f"predicted{number}")]
            seconds.append(_seconds(command + output if command is predict else command, code))
        raw[what] = seconds
        some = spread(seconds)
        rows.append([what, f"{some.median:.2f} [{some.low:.2f}, {some.high:.2f}]", target])
    sizes = bench.sizes
    table = Table(
        "Start-up, s",
        ["command", "seconds", "target"],
        rows,
        "New processes, files in the page cache. The run has two networks of "
        f"{sizes.filters} filters at {sizes.side} x {sizes.side}; the mean is its model in use.",
    )
    return Outcome([table], raw)


def _one_slice(folder: Path) -> Path:
    """A NIfTI file of the middle slice of the new patient's ED."""
    stack = nib.load(find_scans(new_patient(folder))[0].paths[0])
    middle = np.asarray(stack.dataobj)[..., stack.shape[2] // 2]
    path = folder / "slice.nii.gz"
    nib.save(nib.Nifti1Image(middle, stack.affine), path)
    return path


def _seconds(command: list[str], code: int) -> float:
    """Runs a command of this project as a user would.

    Raises:
        RuntimeError: If it does not end with `code`.
    """
    # Of this process alone: a user's shell has no such choice.
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode != code:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return seconds
