"""How far from the heart's middle the locator looks, for images as they are and placed otherwise.

    PYTHONPATH=. python docs/experiments/localisation.py RUN --root DATA [--cross-fit 5]

A Markdown table over the development patients that the run's locator was not trained on. With
`--cross-fit K` locators are trained on K - 1 parts of all development patients in turn (a few
minutes each), and every development patient is looked at.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
from cardiac_seg.data.case import Case, CaseFile, read_case, read_cases
from cardiac_seg.data.perturbations import geometry
from cardiac_seg.data.split import deployed_folds, fold_patients
from cardiac_seg.grid.field import bounding_box, middle
from cardiac_seg.grid.resample import label_beyond, make_grid
from cardiac_seg.members.locator import Locator, train_locator
from cardiac_seg.members.network_file import read_network
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import load_locator
from cardiac_seg.run.open import open_run
from cardiac_seg.system.log import bar, start_log

NEAR_MM = 15.0
Stack = tuple[np.ndarray, np.ndarray, tuple[float, float, float]]


def _shifted(case: Stack, down: float, right: float) -> Stack:
    """Moved in its frame, zeros behind; as far as the heart stays whole."""
    image, label, spacing = case
    pixels = []
    for mm, step, span, length in zip(
        (down, right), spacing[1:], bounding_box(label), label.shape[1:], strict=True
    ):
        pixels.append(int(np.clip(round(mm / step), -span.start, length - span.stop)))
    widths = [(0, 0), *((max(p, 0), max(-p, 0)) for p in pixels)]
    cut = tuple(
        slice(max(-p, 0), max(-p, 0) + n) for p, n in zip(pixels, label.shape[1:], strict=True)
    )
    return np.pad(image, widths)[:, *cut], np.pad(label, widths)[:, *cut], spacing


def _padded(case: Stack, *mm: float) -> Stack:
    """Zeros above, on the left, below and on the right."""
    image, label, spacing = case
    above, left, below, right = (round(m / spacing[1 + i % 2]) for i, m in enumerate(mm))
    widths = ((0, 0), (above, below), (left, right))
    return np.pad(image, widths), np.pad(label, widths), spacing


def _flipped(case: Stack, axis: int) -> Stack:
    return np.flip(case[0], axis), np.flip(case[1], axis), case[2]


def _as(change: Callable, strength: float) -> Callable[[Stack], Stack]:
    """A perturbation of the stress test at one strength."""
    return lambda case: change(*case, strength, np.random.default_rng(0))


PLACEMENTS: dict[str, dict[str, Callable[[Stack], Stack]]] = {
    "as it is": {"": lambda case: case},
    "shifted by 80 mm": {
        f"{at}": (lambda case, at=at: _shifted(case, *at))
        for at in ((80, 0), (-80, 0), (0, 80), (0, -80), (57, 57), (-57, -57), (57, -57), (-57, 57))
    },
    "padded by 90 mm on a side": {
        f"{side}": (lambda case, side=side: _padded(case, *np.eye(4)[side] * 90))
        for side in range(4)
    },
    "padded by 60 mm": {"": lambda case: _padded(case, 60, 60, 60, 60)},
    "cut to the heart and 10 mm": {"": _as(geometry.narrow, 100)},
    "half of what surrounds the heart": {"": _as(geometry.narrow, 50)},
    "flipped": {f"{axis}": (lambda case, axis=axis: _flipped(case, axis)) for axis in (1, 2)},
    "turned by quarters": {f"{a}": _as(geometry.rotate, a) for a in (90, 180, 270)},
    "turned by 45 degrees": {"": _as(geometry.rotate, 45)},
    "stored at 0.7 to 2.5 mm": {f"{mm}": _as(geometry.resample, mm) for mm in (0.7, 1.0, 1.8, 2.5)},
}


def look(run: Run, locator: Locator, cases: Iterator[Case]) -> Iterator[tuple]:
    """Placement, distance in mm, percent of the reference outside the field, for each image."""
    settings = run.config.preprocess
    for case in cases:
        for name, changes in PLACEMENTS.items():
            for change in changes.values():
                image, label, spacing = change((case.image, case.reference, case.spacing))
                image, label = np.ascontiguousarray(image), np.ascontiguousarray(label)
                field = locator.field([image], spacing[1:], settings)
                apart = np.subtract(field.centre, middle(bounding_box(label))) * spacing[1:]
                grid = make_grid(label.shape[1:], spacing[1:], settings, field)
                outside = 100 * label_beyond(label, grid) / np.count_nonzero(label)
                yield name, float(np.hypot(*apart)), outside


def cross_fitted(
    run: Run, files: list[CaseFile], parts: int, folder: Path
) -> Iterator[tuple[Locator, list[CaseFile]]]:
    """Locators trained on all parts of the patients but one, with the cases of that one."""
    patients = sorted({file.patient for file in files})
    order = np.random.default_rng(run.config.seed).permutation(patients)
    part_of = {patient: k % parts for k, patient in enumerate(order)}
    for k in range(parts):
        path = folder / f"part{k}" / "locator.keras"
        others = [file for file in files if part_of[file.patient] != k]

        def stacks(others=others):
            for case in read_cases(others, run.dataset.num_classes):
                yield case.image, case.reference, case.spacing[1:]

        train_locator(path, stacks, [run.config.seed, k])
        left_out = [file for file in files if part_of[file.patient] == k]
        yield Locator((read_network(path),)), left_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--cross-fit", type=int, metavar="K", default=0)
    args = parser.parse_args()
    start_log()
    run = open_run(args.run)
    split, data = run.split(), run.config.data
    folds = deployed_folds(run.config)
    seen = set.union(*(fold_patients(split, f, run.config.stacking.scheme)[0] for f in folds))
    chosen = set(split[split.subset != "test"].patient) - (set() if args.cross_fit else seen)
    files = [f for f in run.dataset.find(args.root, data.views, data.phases) if f.patient in chosen]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        parts = [(load_locator(run, folds), files)]
        if args.cross_fit:
            parts = cross_fitted(run, files, args.cross_fit, Path(folder))
        for locator, group in parts:
            cases = (read_case(file, run.dataset.num_classes) for file in bar(group, "look"))
            rows += look(run, locator, cases)
    print(f"{len(chosen)} development patients, {len(files)} volumes, {len(rows)} images\n")
    print("| placement | images | median, mm | largest | within 15 mm, % | outside, % (largest) |")
    print("|---|---|---|---|---|---|")
    by_name = defaultdict(list)
    for name, error, outside in rows:
        by_name[name].append((error, outside))
        by_name["**all**"].append((error, outside))
    for name in (*PLACEMENTS, "**all**"):
        table = pd.DataFrame(by_name[name], columns=["error", "outside"])
        near = 100 * (table.error <= NEAR_MM).mean()
        print(
            f"| {name} | {len(table)} | {table.error.median():.1f} | {table.error.max():.1f} | "
            f"{near:.2f} | {table.outside.mean():.3f} ({table.outside.max():.1f}) |"
        )


if __name__ == "__main__":
    main()
