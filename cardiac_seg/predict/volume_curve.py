"""The LV volume over the frames of a cine, drawn."""

from pathlib import Path

import numpy as np

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.predict.measurements import ScanMeasurements
from cardiac_seg.system.atomic import whole_file


def draw_curve(path: Path, measured: ScanMeasurements, anatomy: Anatomy) -> None:
    """Draws the LV volume of a cine with ED and ES marked.

    Args:
        path: A PNG file.
        measured: Of a scan with several frames.
        anatomy: The dataset's structures, an LV cavity among them.
    """
    from matplotlib.figure import Figure  # takes a second: only where there is a cine

    cavity = next(s.name for s in anatomy.structures if s.role == "lv_cavity")
    timed = measured.times_ms is not None
    at = np.array(measured.times_ms) if timed else np.arange(measured.frames) + 1
    volume = np.array(measured.lv_ml)
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(at, volume, marker=".", color=anatomy.colours[cavity])
    for name, k in measured.shown.items():
        label = f"{name}, frame {k + 1}: {volume[k]:.0f} mL"
        axes.plot(at[k], volume[k], "o" if name == "ED" else "s", color="black", label=label)
    axes.set_xlabel("Time in ms" if timed else "Frame")
    axes.set_ylabel(f"{cavity} volume in mL")
    axes.set_ylim(0, max(1.0, 1.15 * volume.max()))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=150, format="png")
