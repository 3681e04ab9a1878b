"""What postprocessing does to Dice and EF on the development patients of an ACDC run.

    PYTHONPATH=. python docs/experiments/postprocessing.py RUN      a Markdown table

Of the mean, whose maps are of networks that never saw the patients.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from cardiac_seg.masks import postprocessing
from cardiac_seg.masks.native import native_mask
from cardiac_seg.masks.postprocessing import Postprocessing, postprocess
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.pipeline.scores import cases_with_maps
from cardiac_seg.run.meta_folder import control_of, plain_combiner
from cardiac_seg.run.open import open_run

ALL, MYO, LV = [1, 2, 3], 2, 3
HOLES, HEART, LARGEST = ({step: ALL} for step in postprocessing.STEPS)
REACHES = (0, 1, 2, 3)  # COMPONENT_GAP
HEARTS = "holes, heart"


def _cleaned(mask: np.ndarray, steps: dict[str, list[int]]) -> np.ndarray:
    return postprocess(mask, Postprocessing(steps, MYO))


def variants(mask: np.ndarray) -> dict[str, np.ndarray]:
    """The mask after each way of cleaning it."""
    hearts = _cleaned(mask, HOLES | HEART)
    masks = {"nothing": mask, "holes": _cleaned(mask, HOLES), HEARTS: hearts}
    chosen = postprocessing.COMPONENT_GAP
    for reach in REACHES:
        postprocessing.COMPONENT_GAP = reach
        name = f"{HEARTS}, largest component, grown by {reach}"
        masks[name] = _cleaned(hearts, LARGEST)
    postprocessing.COMPONENT_GAP = chosen
    parts = _cleaned(mask, HEART | LARGEST)
    masks["heart, largest component, holes last"] = _cleaned(parts, HOLES)
    return masks


def main(folder: Path) -> None:
    run = open_run(folder)
    split = run.split()
    patients = set(split.patient[split.fold >= 0])
    found = run.dataset.find(run.root, run.config.data.views, run.config.data.phases)
    files = [file for file in found if file.patient in patients]
    combiner, method = plain_combiner(run), control_of(run)
    dice, volumes = defaultdict(list), defaultdict(dict)
    for case, maps in cases_with_maps(run, files, "development"):
        ((_, probabilities, _),) = combiner.combine(maps.probabilities, maps.image, [method])
        mask = native_mask(probabilities, maps.grid)
        masks = variants(mask)
        for name, cleaned in (masks | {"reference": case.label}).items():
            dice[name].append(dice_from_confusion(confusion(case.label, cleaned, 4))[1:])
            key = (case.file.patient, case.file.phase)
            volumes[name][key] = (cleaned == LV).sum()  # EF is a ratio: voxels do
    print(f"{folder}: {len(patients)} patients, {len(files)} images\n")
    print("| | RV | MYO | LV | LV EF MAE | SD | largest error | LV masks better, worse |")
    print("|---|---|---|---|---|---|---|---|")
    truth = _ef(volumes["reference"], patients)
    for name in masks:
        values = " | ".join(f"{value:.4f}" for value in np.nanmean(dice[name], 0))
        error = _ef(volumes[name], patients) - truth
        change = np.array(dice[name])[:, LV - 1] - np.array(dice[HEARTS])[:, LV - 1]
        print(
            f"| {name} | {values} | {abs(error).mean():.1f} | {error.std(ddof=1):.1f} | "
            f"{abs(error).max():.1f} | {(change > 0).sum()}, {(change < 0).sum()} |"
        )


def _ef(volumes: dict, patients: set[str]) -> np.ndarray:
    pairs = [(volumes[p, "ED"], volumes[p, "ES"]) for p in sorted(patients)]
    return np.array([100 * (ed - es) / ed for ed, es in pairs])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
