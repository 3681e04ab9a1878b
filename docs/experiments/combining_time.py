"""What a method takes of a prediction's time: maps by the networks against what follows.

    PYTHONPATH=. python docs/experiments/combining_time.py RUN --root /path/to/data [--method NAME]

Processor and wall time over some test patients' images, each seen beside its companions: of the
maps (finding the heart, all members), of combining them (temperatures, features, learner), and of
the rest (reading the image, its native mask, postprocessing). Prints one row of Markdown
for each.
"""

import argparse
import time
from pathlib import Path

from cardiac_seg import Ensemble
from cardiac_seg.data.case import read_case
from cardiac_seg.grid.companions import ALONE
from cardiac_seg.masks.native import native_mask
from cardiac_seg.pipeline.companions import companions_of
from cardiac_seg.predict.scans import ArrayScan
from cardiac_seg.run.meta_folder import read_combiner


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--method", help="instead of the one in use")
    args = parser.parse_args()
    ensemble = Ensemble.load(args.run)
    run, method = ensemble.run, args.method or ensemble.method
    combiner = read_combiner(run, [method])
    data, split = run.config.data, run.split()
    tested = set(split.patient[split.subset == "test"])
    files = [f for f in run.dataset.find(args.root, data.views, data.phases) if f.patient in tested]
    files = files[: args.cases]

    def scan_of(file):
        case = read_case(file, run.dataset.num_classes, with_label=False)
        return ArrayScan(case.image[None], case.spacing, file.name)

    def combined(file):
        beside = ALONE
        if combiner.looks_beside(method):
            beside = companions_of(file, files, lambda other: maps[other.name])
        case = maps[file.name]
        ((_, probabilities, _),) = combiner.combine(
            case.probabilities, case.image, [method], beside
        )
        return probabilities

    def masked(file):
        native_mask(made[file.name], maps[file.name].grid, ensemble.steps)

    next(ensemble.maps(scan_of(files[0])))  # graphs are made at the first call
    seconds, made, maps, scans = {}, {}, {}, {}
    for what, step, kept in (
        ("read", scan_of, scans),
        ("maps", lambda file: next(ensemble.maps(scans[file.name])), maps),
        ("combining", combined, made),
        ("mask", masked, {}),
    ):
        began = time.perf_counter(), time.process_time()
        for file in files:
            kept[file.name] = step(file)
        ended = time.perf_counter(), time.process_time()
        seconds[what] = [(b - a) / len(files) for a, b in zip(began, ended, strict=True)]
    print(f"{args.run}, {method}, {len(files)} images; seconds an image")
    print("| | maps | combining | the rest | combining / maps | combining / all |")
    print("|---|---|---|---|---|---|")
    for k, what in enumerate(("wall", "processor")):
        of_maps, of_combining = seconds["maps"][k], seconds["combining"][k]
        rest = seconds["read"][k] + seconds["mask"][k]
        whole = of_maps + of_combining + rest
        print(
            f"| {what} | {of_maps:.2f} | {of_combining:.3f} | {rest:.3f} "
            f"| {of_combining / of_maps:.1%} | {of_combining / whole:.1%} |"
        )


if __name__ == "__main__":
    main()
