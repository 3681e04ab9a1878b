"""The format of a run directory's files, and how those of earlier formats are read.

`manifest.json` records the format that a run was written with; one without is of format 1. Format 2
took the field's words for what is stored, as `_RENAMED` lists; format 3 gave the network grid a
place of its own in the plane. CHANGELOG.md tells more. A run of
an earlier format is read as if it had been written with today's words, and is never rewritten
for that alone.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from cardiac_seg.system.checked_reads import read_json, read_table

FORMAT = 3
THRESHOLDS_1 = "gates.json"  # what format 1 called meta/thresholds.json
_RENAMED = {
    "gates": "thresholds",
    "model": "method",
    "models": "methods",
    "final_model": "final_method",
    "quality": "predicted_dice",
    "part": "fold",
    "tempered_mean": "calibrated_mean",
    "against_tempered_mean": "against_calibrated_mean",
}


def read_stored(path: Path):
    """Reads a JSON file of a run but its manifest, whatever format it was written in.

    Raises:
        UserError: If it is missing or not JSON.
    """
    return read_json(path, object_hook=_with_todays_words)


def read_stored_table(path: Path, columns: dict[str, type | None], advice: str) -> pd.DataFrame:
    """`read_table` for a run's CSV file, whatever format it was written in."""
    return read_table(path, columns, advice, rename=_with_todays_columns)


def method_folder(parent: Path, method: str) -> Path:
    """The folder of a method's files, under today's name or that of an earlier format."""
    earlier = parent / {"calibrated_mean": "tempered_mean"}.get(method, method)
    return earlier if earlier.is_dir() and not (parent / method).is_dir() else parent / method


def with_todays_methods(values: dict[str, Any]) -> dict[str, Any]:
    """A dictionary by method, with today's names."""
    return {"calibrated_mean" if k == "tempered_mean" else k: v for k, v in values.items()}


def _with_todays_columns(table: pd.DataFrame) -> pd.DataFrame:
    table = table.rename(columns=_RENAMED)
    return table.assign(method=table.method.replace(_RENAMED)) if "method" in table else table


def _with_todays_words(values: dict) -> dict:
    return {
        _RENAMED.get(key, key): _RENAMED.get(value, value) if isinstance(value, str) else value
        for key, value in values.items()
    }
