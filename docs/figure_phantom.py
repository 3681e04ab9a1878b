"""Draws docs/figure_phantom.png, the README's figure: one slice of a phantom that no network saw.

    PYTHONPATH=. python docs/figure_phantom.py outputs/demo      (make docs-figure)

The image, each member's mask, the uncertainty (entropy of the probabilities of the method in use)
and the final mask.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from cardiac_seg import Ensemble
from cardiac_seg.anatomy import Anatomy
from cardiac_seg.drawing.overlays import filled

PATIENT = "patient015"  # a test phantom
FIGURE = Path(__file__).with_name("figure_phantom.png")
MARGIN = 12  # pixels around the heart
WIDTH, HEIGHT, DPI = 7.2, 1.95, 140  # inches


def main(run: Path) -> None:
    """Predicts the phantom with the run and draws the slice on which the members differ most."""
    ensemble = Ensemble.load(run)
    images = sorted((Path(ensemble.run.root) / "training" / PATIENT).glob("*_frame??.nii.gz"))
    result = ensemble.predict(images[-1])  # end-systole
    anatomy = ensemble.run.dataset.anatomy
    entropy, mask, phase = result.entropy, result.mask, result.frames[0]
    masks = {member: ensemble.member_mask(phase, member) for member in ensemble.run.config.members}
    index = int(np.ptp(list(masks.values()), axis=0).astype(bool).sum(axis=(1, 2)).argmax())
    members = {member: labels[index] for member, labels in masks.items()}
    inside = np.argwhere((mask[index] > 0) | np.any([m > 0 for m in members.values()], axis=0))
    (top, left), (bottom, right) = inside.min(axis=0) - MARGIN, inside.max(axis=0) + MARGIN
    crop = (slice(max(top, 0), bottom), slice(max(left, 0), right))
    plane = result.scan.image(0)[index].astype(float)
    low, high = np.percentile(plane, (0.5, 99.5))
    grey = (255 * np.clip((plane - low) / (high - low), 0, 1)).astype(np.uint8)[crop]
    panels = {"Image": grey}
    for member, labels in members.items():
        panels[f"Member:\n{member}"] = filled(grey, labels[crop], anatomy)
    panels["Uncertainty"] = entropy[index][crop]
    panels["Final mask"] = filled(grey, mask[index][crop], anatomy)
    draw(panels, anatomy, result.scan.spacing[1] / result.scan.spacing[2])


def draw(panels: dict[str, np.ndarray], anatomy: Anatomy, aspect: float) -> None:
    """Draws the panels side by side, structures' colours below."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, HEIGHT), layout="constrained")
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        axis.set_title(title, fontsize=7)
        axis.axis("off")
        if title == "Uncertainty":
            heat = axis.imshow(picture, cmap="magma", vmin=0, vmax=1, aspect=aspect)
            bar = figure.colorbar(heat, ax=axis, fraction=0.046, pad=0.03)
            bar.ax.tick_params(labelsize=6)
        else:
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect=aspect)
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in anatomy.colours.items()],
        loc="outside lower center",
        ncols=len(anatomy.structures),
        fontsize=7,
        frameon=False,
    )
    # Without the version of matplotlib in the file, so that the same run gives the same bytes.
    figure.savefig(FIGURE, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
