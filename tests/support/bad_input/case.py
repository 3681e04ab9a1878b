"""A bad input, the command that is given it, and what came of it."""

import io
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import keras
import nibabel as nib
import numpy as np

import analyze_results
import train_ensemble
from cardiac_seg import __main__ as cardiac_seg
from cardiac_seg.data.phantoms.dataset import write_phantoms
from cardiac_seg.run.folder import Run
from cardiac_seg.system.checked_reads import file_sha256
from tests.support.finished_runs import make_run, without_figures

NETWORK = "unet_advanced/full/last.keras"
COMMANDS = {
    "train": (train_ensemble.main, ["train_ensemble.py"]),
    "analyze": (analyze_results.main, ["analyze_results.py"]),
    "cardiac_seg": (cardiac_seg.main, ["-m", "cardiac_seg"]),
}
MAX_SECONDS = 10


@dataclass(frozen=True)
class BadInput:
    """A bad input.

    Attributes:
        kind: Of file.
        name: What is wrong with it.
        write: From an empty folder and a copy of a finished run to the command line, which begins
            with a key of `COMMANDS`.
        harmless: A reader need not notice; the command may as well succeed.
        damages: Whether the run is changed, so that the copy serves no other.
    """

    kind: str
    name: str
    write: Callable[[Path, Path], list[str]]
    harmless: bool = False
    damages: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code, lines that begin as errors do, all it said, CPU time."""

    code: int
    lines: list[str]
    text: str
    seconds: float

    def fault(self, bad: BadInput) -> str | None:
        """Why the outcome is not acceptable; None where it is."""
        if "Traceback" in self.text:
            return "a traceback"
        if self.seconds > MAX_SECONDS:
            return f"{self.seconds:.0f} s"
        if self.code not in (0, 1, 2) or (self.code == 0 and not bad.harmless):
            return f"exit code {self.code}"
        if self.code and len(self.lines) != 1:
            return f"{len(self.lines)} lines of error"
        return None


def run_here(command: list[str]) -> Outcome:
    """Gives a command in this process."""
    main, _ = COMMANDS[command[0]]
    said, began = io.StringIO(), time.process_time()  # other tests may run beside it
    with ExitStack() as stack:
        for context in (redirect_stderr(said), redirect_stdout(said), without_figures()):
            stack.enter_context(context)
        try:
            code = main(command[1:])
        except SystemExit as stop:  # argparse
            code = stop.code
    return outcome(code, said.getvalue(), time.process_time() - began)


def outcome(code: int, text: str, seconds: float) -> Outcome:
    """What is to be judged of a finished command; scans that `predict` passes over count too."""
    lines = [x for x in text.splitlines() if x.startswith(("error: ", tempfile.gettempdir()))]
    return Outcome(code, lines, text, seconds)


def finished_run(folder: Path) -> Run:
    """A finished and analysed run with networks that can be loaded; they know nothing."""
    write_phantoms(folder / "phantoms", 8, "mri", seed=1)
    run = make_run(folder / "run", "acdc", folder / "phantoms")
    hashes = {}
    for member in run.config.members:
        path = run.models(member, "full") / "last.keras"
        path.parent.mkdir(parents=True)
        image = keras.Input((None, None, 1))
        keras.Model(
            image, keras.layers.Conv2D(4, 1, activation="softmax")(image), name=member
        ).save(path)
        hashes[path.relative_to(run.folder).as_posix()] = file_sha256(path)
    run.update_manifest(models=hashes)
    with without_figures():
        assert analyze_results.main([str(run.folder)]) == 0
    return run


def nifti_bytes() -> bytearray:
    """A readable image, not compressed."""
    array = np.random.default_rng(0).integers(0, 200, (32, 32, 2)).astype(np.int16)
    image = nib.Nifti1Image(array, np.diag([1.5, 1.5, 8.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return bytearray(image.to_bytes())


def predict(run: Path, image: Path) -> list[str]:
    """The command that segments an image beside it."""
    return ["cardiac_seg", "predict", str(run), str(image), "--output", str(image.parent / "out")]


def fuzzed(data: bytes, most: int, seed: int) -> bytes:
    """A few bytes changed among the first."""
    rng, changed = np.random.default_rng(seed), bytearray(data)
    for at in rng.integers(0, most, 4):
        changed[at] = rng.integers(256)
    return bytes(changed)
