"""The table of what a run's masks are worth on perturbed images, as files."""

from pathlib import Path

import pandas as pd

from cardiac_seg.run.formats import read_stored_table
from cardiac_seg.system.atomic import whole_file

STRESS = "stress"  # the folder in a run, and the name of the table in it
AS_IS = "as_is"  # stands where a perturbation does, for the images as they are
COLUMNS: dict[str, type | None] = {
    **dict.fromkeys(("case", "patient", "perturbation"), str),
    "strength": float,
    "unit": str,
    **dict.fromkeys(("dice", "predicted_dice"), float),
    "review": str,
}


def stress_path(folder: Path) -> Path:
    """The table of all cases in the folder of a stress test."""
    return folder / f"{STRESS}.csv"


def write_stress(path: Path, table: pd.DataFrame) -> None:
    """Writes a table whole."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False)


def read_stress(path: Path) -> pd.DataFrame:
    """Reads a table of one case or of all.

    Raises:
        UserError: If it is missing, damaged or lacks a column.
    """
    return read_stored_table(path, COLUMNS, "delete it, `cardiac-seg stress` makes it again")
