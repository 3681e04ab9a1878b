"""Experiments: runs compared on their development patients; no test patient is looked at."""

from pathlib import Path

import pandas as pd

from cardiac_seg.analysis.tables import compare
from cardiac_seg.errors import UserError
from cardiac_seg.meta import control_of
from cardiac_seg.run import open_run

WHAT = "Dice per patient on the native grid, development patients, cross-fitted where fitted"


def compare_development(folders: list[Path], model: str | None = None) -> str:
    """Scores runs on the development patients that all of them hold out, against the first.

    Args:
        folders: Runs of one dataset whose stage `stack` is done.
        model: The model to compare; each run's control (its mean, or only member) by default.

    Returns:
        Lines of text: a run each, with the paired difference and its 95 % bootstrap interval.

    Raises:
        UserError: If a run is not stacked or lacks the model, or no patient is common.
    """
    tables = {folder: _dice(folder, model) for folder in folders}
    first = tables[folders[0]]
    for folder, table in tables.items():
        if list(table) != list(first):
            raise UserError(
                f"{folder}: scores {', '.join(table)}, the first run {', '.join(first)}; "
                "compare runs of one dataset"
            )
    common = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    if not common:
        raise UserError("the runs have no development case in common; use one split.seed")
    patients = {patient for patient, _ in common}
    width = max(len(str(folder)) for folder in folders)
    lines = [f"{len(patients)} patients, {len(common)} images: {WHAT}"]
    lines.append(f"{'':<{width}}" + "".join(f"{s:>7}" for s in first) + "    mean  minus the first")
    for folder, table in tables.items():
        own = table.loc[common]
        by_structure = own.groupby(level=0).mean().mean()
        line = f"{folder!s:<{width}}" + "".join(f"{value:7.3f}" for value in by_structure)
        line += f"{by_structure.mean():8.4f}"
        if folder != folders[0]:
            told = compare(own, first.loc[common], "dice", open_run(folder).config.seed)
            line += f"  {told['difference']:+.4f} [{told['low']:+.4f} {told['high']:+.4f}]"
        lines.append(line)
    return "\n".join(lines)


def _dice(folder: Path, model: str | None) -> pd.DataFrame:
    """((patient, case), structure) Dice of a model of a run."""
    run = open_run(folder)
    paths = sorted((run.meta / "cross_fit").glob("fold*.csv"))
    if not (run.meta / "choice.json").is_file() or not paths:
        raise UserError(f"{folder}: not stacked; run train_ensemble.py --resume {folder}")
    scores = pd.concat([pd.read_csv(path, dtype={"patient": str}) for path in paths])
    wanted = model or control_of(run)
    own = scores[scores.model == wanted]
    if own.empty:
        raise UserError(f"{folder}: no model {wanted!r}, it has {', '.join(scores.model.unique())}")
    table = own.pivot(index=["patient", "case"], columns="structure", values="dice")
    return table[list(run.dataset.structures)]
