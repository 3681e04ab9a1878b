"""Breaks the code on purpose, one line at a time, and sees whether a test fails.

    make mutation         a table of what was broken and which test noticed

The repository is copied; the copy is broken, tested and mended again, and the repository itself is
never touched.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPO


@dataclass(frozen=True)
class Break:
    """A line to break: what it then does wrong, and the tests that should notice."""

    what: str
    module: str
    line: str
    broken: str
    tests: str


BREAKS = (
    Break(
        "Dice without its factor of 2",
        *("metrics/overlap.py", "np.multiply(2.0, overlap)", "np.asarray(overlap)"),
        "metrics/test_overlap.py",
    ),
    Break(
        "Dice of two empty masks is 0, not undefined",
        *("metrics/overlap.py", "np.full(total.shape, np.nan)", "np.zeros(total.shape)"),
        "metrics/test_overlap.py",
    ),
    Break(
        "confusion with truth and prediction exchanged",
        *("metrics/overlap.py", "truth.ravel().astype(np.int64) * labels + prediction.ravel()"),
        "prediction.ravel().astype(np.int64) * labels + truth.ravel()",
        "metrics/test_overlap.py",
    ),
    Break(
        "HD100 for HD95",
        *(
            "metrics/surface.py",
            "hausdorff(surfaces, 95)",
            "hausdorff(surfaces, 100)",
            "metrics/test_surface.py",
        ),
    ),
    Break(
        "ASSD without the weights of the surface",
        *("metrics/surface.py", "np.average(distances, weights=sizes)", "np.average(distances)"),
        "metrics/test_surface.py",
    ),
    Break(
        "distances in pixels, not mm",
        *("metrics/surface.py", "compute_surface_distances(truth, prediction, spacing)"),
        "compute_surface_distances(truth, prediction, [1.0] * len(spacing))",
        "metrics/test_surface.py",
    ),
    Break(
        "volume without the distance of the slices",
        *("metrics/volumes.py", "np.prod(spacing) / 1000", "np.prod(spacing[1:]) / 1000"),
        "metrics/test_indices.py",
    ),
    Break(
        "mass with the density of water",
        *("metrics/volumes.py", "DENSITY = 1.05", "DENSITY = 1.0", "metrics/test_indices.py"),
    ),
    Break(
        "discs as high as the shorter long axis",
        *("metrics/discs.py", "max(length for length, _ in views)"),
        *("min(length for length, _ in views)", "metrics/test_indices.py"),
    ),
    Break(
        "a test patient trained on",
        *("data/split.py", 'trainable = (split.subset == "train") | ('),
        *('trainable = (split.subset != "none") | (', "data/test_split.py"),
    ),
    Break(
        "a fold's patients trained on",
        *("data/split.py", "train = trainable & ~validation", "train = trainable"),
        "data/test_split.py",
    ),
    Break(
        "no stratification",
        *("data/split.py", "key=lambda p: strata[p]", 'key=lambda p: ""'),
        "data/test_split.py",
    ),
    Break(
        "the split's seed unused",
        *("data/split.py", "np.random.default_rng(settings.seed)", "np.random.default_rng(0)"),
        "data/test_split.py",
    ),
    Break(
        "the way back off by a pixel",
        *("grid/resample.py", "offset = (max(old, new) - min(old, new)) // 2"),
        "offset = (max(old, new) - min(old, new) + (old > new)) // 2",
        "grid/test_resample.py",
    ),
    Break(
        "rows and columns exchanged on the way back",
        *("grid/resample.py", "(plane, grid.native)", "(plane, grid.native[::-1])"),
        "grid/test_resample.py",
    ),
    Break(
        "outside of the network grid no background",
        *("grid/resample.py", "np.eye(planes.shape[-1], dtype=np.float32)[0]"),
        *("np.eye(planes.shape[-1], dtype=np.float32)[1]", "grid/test_resample.py"),
    ),
    Break(
        "shrinking without averaging",
        *("grid/resample.py", "cv2.INTER_AREA if new < old", "cv2.INTER_NEAREST if new < old"),
        "grid/test_resample.py",
    ),
    Break(
        "intervals of 90 % that are called 95 %",
        *(
            "metrics/statistics.py",
            "tail = (1 - LEVEL) / 2",
            "tail = 1 - LEVEL",
            "metrics/test_statistics.py",
        ),
    ),
    Break(
        "Holm's correction without its order",
        *("metrics/statistics.py", "(tests - rank) * p[i]", "p[i]", "metrics/test_statistics.py"),
    ),
    Break(
        "a mask turned the wrong way when it is written",
        *("data/nifti.py", "layout.orientation.to_stored(mask).T", "mask.T"),
        "data/test_orientation.py data/test_readers.py predict/test_nifti_scans.py",
    ),
    Break(
        "the first component kept, not the largest",
        *("masks/postprocessing.py", "argmax()", "argmin()", "masks/test_postprocessing.py"),
    ),
)


def notices(tree: Path, one: Break) -> str | None:
    """The first test that fails in a copy of the repository with a line broken."""
    path = tree / "cardiac_seg" / one.module
    text = path.read_text()
    assert text.count(one.line) == 1, f"{one.module}: {text.count(one.line)} times {one.line!r}"
    path.write_text(text.replace(one.line, one.broken))
    tests = [f"tests/{name}" for name in one.tests.split()]
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(run, cwd=tree, capture_output=True, text=True)
    path.write_text(text)
    failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+)", done.stdout, re.MULTILINE)
    return failed.group(1) if failed else None


def main() -> int:
    """Breaks everything in turn; 1 where something went unnoticed."""
    unnoticed = 0
    print("| broken | noticed by |\n|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "repo"
        shutil.copytree(REPO, tree, ignore=shutil.ignore_patterns(".*", "outputs"))
        for one in BREAKS:
            test = notices(tree, one)
            unnoticed += test is None
            print(f"| {one.what} (`{one.module}`) | {f'`{test}`' if test else '**nothing**'} |")
    return min(unnoticed, 1)


if __name__ == "__main__":
    sys.exit(main())
