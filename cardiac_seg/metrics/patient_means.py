"""The value of a patient: the mean of the patient's cases. Everything over patients begins here."""

from collections.abc import Sequence

import pandas as pd


def patient_means(cases: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Means over each patient's cases as a long table, in the order of the cases.

    Args:
        cases: `patient`, the columns `by`, and numbers; NaN where undefined, left out of the mean.
        by: Columns inside which patients are averaged: method, structure, ...
        values: Columns of numbers.

    Returns:
        The columns `by`, `patient` and `values`; NaN where no case of the patient has a value.
    """
    keys = [*by, "patient"]
    return cases.groupby(keys, as_index=False, sort=False)[list(values)].mean()


def patients_by(
    cases: pd.DataFrame, value: str, columns: Sequence[str], sort: bool = True
) -> pd.DataFrame:
    """Means over each patient's cases as a wide table: a row per patient.

    Args:
        cases: `patient`, `columns` and the value.
        value: The column of numbers.
        columns: Columns whose values become the columns of the result.
        sort: Sorts the patients and the columns; else they come in the order of the cases.
    """
    return cases.pivot_table(value, "patient", list(columns), "mean", dropna=False, sort=sort)


def average_cases(values: pd.DataFrame) -> pd.DataFrame:
    """Means over each patient's cases of a table that is indexed by patient first, then case."""
    return values.groupby(level=0, sort=False).mean()
