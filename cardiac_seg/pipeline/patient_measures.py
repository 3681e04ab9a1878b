"""What is kept of a measured test patient, in a file of its own."""

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cardiac_seg.system.atomic import whole_file


@dataclass(frozen=True)
class PatientMeasures:
    """One patient's measures; methods in the order that the run lists them.

    Attributes:
        cases: A row per case, method and structure: overlap, distances and sizes, native grid.
        regions: tp, fp, fn of MRI cases by thirds of the slices that hold LV in the reference.
        clinical: A row per method (`reference` among them) and index.
        quality: A row per case: agreement of the members, boundary entropy, predicted Dice.
        bins, brier, ranked, changes: See `metrics.pixels.PixelSums`; of the pixel methods.
        scores: (cases, methods, structures, 2) Dice on the native grid, and the Dice expected
            from the probabilities; as computed, without the rounding of the tables above.
        folds: (cases,) whose networks made the maps.
        pooled: (methods, labels, labels) pixels on the network grid, rows the truth.
        seconds: (methods,) from maps to probabilities, all cases together.
        entropies: Of each case (slices, height, width) uint8 on the native grid, see
            `pipeline.measure.native_entropy`.
    """

    cases: pd.DataFrame
    regions: pd.DataFrame
    clinical: pd.DataFrame
    quality: pd.DataFrame
    bins: np.ndarray
    brier: np.ndarray
    ranked: np.ndarray
    changes: np.ndarray
    scores: np.ndarray
    folds: np.ndarray
    pooled: np.ndarray
    seconds: np.ndarray
    entropies: tuple[np.ndarray, ...]


def write_measures(path: Path, measures: PatientMeasures, key: str) -> None:
    """Writes the file whole.

    Args:
        path: The file.
        measures: Of one patient.
        key: What they hang on; the file is of use only where a reader expects the same.
    """
    arrays: dict[str, Any] = {}
    for field in fields(PatientMeasures):
        value = getattr(measures, field.name)
        if isinstance(value, pd.DataFrame):
            value = np.array(value.to_json(orient="split", index=False, double_precision=15))
        if isinstance(value, tuple):
            arrays |= {f"{field.name}_{i}": array for i, array in enumerate(value)}
        else:
            arrays[field.name] = value
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, key=np.array(key), **arrays)


def read_measures(path: Path) -> tuple[str, PatientMeasures]:
    """Reads the key and the measures; raises whatever a missing or damaged file brings."""
    values = {}
    with np.load(path, allow_pickle=False) as stored:
        for field in fields(PatientMeasures):
            if field.type is pd.DataFrame:
                text = str(stored[field.name])
                value = pd.read_json(io.StringIO(text), orient="split", dtype=False)
            elif field.name == "entropies":
                value = tuple(stored[f"entropies_{i}"] for i in range(len(stored["folds"])))
            else:
                value = stored[field.name]
            values[field.name] = value
        return str(stored["key"]), PatientMeasures(**values)


def has_measures(path: Path, key: str) -> bool:
    """Whether a file holds whole measures of this key."""
    try:
        return path.is_file() and read_measures(path)[0] == key
    except Exception:  # damaged, or of another version: measured again
        return False
