"""What is chosen on development patients."""

import numpy as np

from cardiac_seg.data.case import CaseFile
from cardiac_seg.masks.native import native_mask
from cardiac_seg.masks.postprocessing import (
    STEPS,
    Postprocessing,
    possible_steps,
    postprocess,
)
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.pipeline.evaluate import cases_with_maps
from cardiac_seg.run.folder import Run


def choose_steps(
    run: Run, files: list[CaseFile], combiner: Combiner, method: str
) -> Postprocessing:
    """Chooses the postprocessing steps, each for each structure, on development cases.

    A step set to `auto` is kept for a structure where it does not lower the method's mean Dice,
    after the steps before it: one that changes nothing here guards against what these cases lack.
    The same steps then serve every method, so that methods are compared fairly.

    Args:
        run: A run with maps of the cases.
        files: Development cases.
        combiner: Gives the method's probabilities.
        method: One that is not fitted on the maps: the mean, or the only member.

    Returns:
        The steps; `heart` for no structure where the label set has no myocardium.
    """
    labels = range(1, run.dataset.num_classes)
    anatomy, muscle = run.dataset.anatomy, run.dataset.anatomy.label("myocardium")
    wanted = dict.fromkeys(STEPS, "off")
    wanted |= {step: getattr(run.config.predict, step) for step in possible_steps(anatomy)}
    if "auto" not in wanted.values():
        steps = {step: list(labels) if wanted[step] == "on" else [] for step in STEPS}
        return Postprocessing(steps, muscle)
    truths, masks = [], []
    for case, maps in cases_with_maps(run, files, "postprocessing"):
        ((_, probabilities, _),) = combiner.combine(maps.members, maps.image, [method])
        truths.append(case.label)
        masks.append(native_mask(probabilities, maps.grid))

    def dice(masks: list[np.ndarray], label: int) -> np.ndarray:
        pairs = zip(truths, masks, strict=True)
        return np.array(
            [dice_from_confusion(confusion(*p, run.dataset.num_classes))[label] for p in pairs]
        )

    steps = {step: [] for step in STEPS}
    for step, label in ((s, label) for s in STEPS if wanted[s] != "off" for label in labels):
        cleaned = [postprocess(mask, Postprocessing({step: [label]}, muscle)) for mask in masks]
        gain = np.nansum(dice(cleaned, label) - dice(masks, label))
        if wanted[step] == "on" or gain >= 0:
            steps[step].append(label)
            masks = cleaned
    return Postprocessing(steps, muscle)
