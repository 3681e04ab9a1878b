"""What the method in use takes of a prediction's time: maps by the networks against what follows.

    PYTHONPATH=. python docs/experiments/combining_time.py RUN --root /path/to/data [--cases 40]

Processor and wall time of the maps (reading, finding the heart, all members) and of the
combination (temperatures, features, learner) over some test patients' images, each seen beside its
companions. Prints one row of Markdown for each.
"""

import argparse
import time
from pathlib import Path

from cardiac_seg import Ensemble
from cardiac_seg.data.case import read_case
from cardiac_seg.grid.companions import ALONE
from cardiac_seg.pipeline.companions import companions_of
from cardiac_seg.predict.scans import ArrayScan


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=40)
    args = parser.parse_args()
    ensemble = Ensemble.load(args.run)
    run = ensemble.run
    data, split = run.config.data, run.split()
    tested = set(split.patient[split.subset == "test"])
    files = [f for f in run.dataset.find(args.root, data.views, data.phases) if f.patient in tested]
    files = files[: args.cases]
    scans, maps = {}, {}
    for file in files:
        case = read_case(file, run.dataset.num_classes, with_label=False)
        scans[file.name] = ArrayScan(case.image[None], case.spacing, file.name)
    next(ensemble.maps(scans[files[0].name]))  # graphs are made at the first call
    began = time.perf_counter(), time.process_time()
    for file in files:
        maps[file.name] = next(ensemble.maps(scans[file.name]))
    mapped = time.perf_counter(), time.process_time()
    for file in files:
        beside = ALONE
        if ensemble.uses_companions:
            beside = companions_of(file, files, lambda other: maps[other.name])
        list(
            ensemble.combiner.combine(
                maps[file.name].probabilities, maps[file.name].image, [ensemble.method], beside
            )
        )
    ended = time.perf_counter(), time.process_time()
    print(f"{args.run}, {ensemble.method}, {len(files)} images")
    print("| | maps, s an image | combining, s an image | combining / maps |")
    print("|---|---|---|---|")
    for what, start, middle, end in zip(("wall", "processor"), began, mapped, ended, strict=True):
        made, combined = (middle - start) / len(files), (end - middle) / len(files)
        print(f"| {what} | {made:.2f} | {combined:.3f} | {combined / made:.1%} |")


if __name__ == "__main__":
    main()
