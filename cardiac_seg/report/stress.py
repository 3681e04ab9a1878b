"""What a run withstands, shown: the summary of its stress test and the figure."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from cardiac_seg.report.figures import elements
from cardiac_seg.report.figures.stress import stress_curves
from cardiac_seg.report.tables.stress import summarize_stress
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import read_predicted_dice
from cardiac_seg.run.open import open_run
from cardiac_seg.run.stress_table import STRESS, read_stress, stress_path, write_stress
from cardiac_seg.system.numbers import plain_number

SHOWN = ("dice", "predicted_dice", "reviewed", "lost", "noticed")


def stress_summary(run: Run) -> pd.DataFrame:
    """The summary of a run's stress test; empty where none was made.

    Raises:
        UserError: If its table is damaged.
    """
    path = stress_path(run.folder / STRESS)
    return summarize_stress(read_stress(path)) if path.is_file() else pd.DataFrame()


def show_stress(run_folder: Path, folder: Path) -> str:
    """Writes the summary and the figure beside the table of a stress test.

    Args:
        run_folder: The run.
        folder: Where the table is.

    Returns:
        Lines of text: one per perturbation and strength.
    """
    summary = summarize_stress(read_stress(stress_path(folder)))
    write_stress(folder / f"{STRESS}_summary.csv", summary)
    figure = stress_curves(summary, read_predicted_dice(open_run(run_folder))["review_below"])
    if figure is not None:
        elements.save(figure, folder / STRESS)
        plt.close(figure)
    width = max(summary.perturbation.str.len())
    heads = "".join(f"{name:>15}" for name in SHOWN)
    lines = [f"{'':{width}} {'strength':>9}{heads}  unit"]
    for row in summary.to_dict("records"):
        values = "".join(f"{plain_number(row[name], 3):>15}" for name in SHOWN)
        line = f"{row['perturbation']:{width}} {row['strength']:>9g}{values}  {row['unit']}"
        lines.append(line.rstrip())
    return "\n".join([*lines, "", f"figure: {folder / STRESS}.png"])
