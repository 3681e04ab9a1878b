"""The list of the test cases that a run has scored."""

from pathlib import Path

import pandas as pd

from cardiac_seg.run.folder import Run
from cardiac_seg.system.checked_reads import read_table
from cardiac_seg.system.errors import UserError


def read_test_cases(run: Run) -> pd.DataFrame:
    """The test cases, see `pipeline.scores.describe_cases`.

    Raises:
        UserError: If the list or a case's map is missing.
    """
    path = run.folder / "test_cases.csv"
    text = ("case", "patient", "path", "view", "phase", "group")
    columns: dict[str, type | None] = dict.fromkeys(text, str)
    columns |= dict.fromkeys(("recorded_ef", "heart_rate"), float)
    cases = read_table(path, columns, score_again(run)).fillna(dict.fromkeys(text, ""))
    if cases.empty:
        raise UserError(f"{path}: no cases; {score_again(run)}")
    for name in (*cases.case, *cases.patient, *cases.path):
        # They name files that are read and written.
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{path}: {name!r} names no file of the run; {score_again(run)}")
    for name in cases.case:
        if not run.map(name).is_file():
            raise UserError(f"{run.map(name)}: missing; {score_again(run)}")
    return cases


def score_again(run: Run) -> str:
    """What to do about damaged scores of a run."""
    return (
        f"delete {run.folder / 'metrics.json'} and run train_ensemble.py --resume {run.folder} to "
        "score the test cases again"
    )
