"""The summary of a folder of scans: one table for a spreadsheet, one file for a program."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.dataset import Dataset
from cardiac_seg.data.nifti import open_nifti
from cardiac_seg.metrics.indices import possible_indices
from cardiac_seg.predict.measurements import ScanMeasurements, clinical_indices, doubts
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.predict.scans import ScanFiles
from cardiac_seg.system.atomic import whole_file, write_json


def write_summary(
    output: Path,
    ensemble: Ensemble,
    scans: list[ScanFiles],
    measured: dict[str, ScanMeasurements],
    failed: dict[str, str],
) -> dict[str, str]:
    """Writes `summary.csv`, one row per scan, and `summary.json`, which also has the curves.

    What a study's scans tell together, as its EF, stands in the rows of all of them.

    Args:
        output: Folder with the masks.
        ensemble: What made them.
        scans: All scans, in the order of the rows.
        measured: By name, of those that were segmented.
        failed: By name, why the others were not.

    Returns:
        The scans that a person should look at, with the reasons.
    """
    dataset, limit = ensemble.run.dataset, ensemble.predicted_dice["review_below"]
    paths = {scan.name: output / scan.mask_path for scan in scans}
    studies = defaultdict(list)
    for scan in scans:
        if scan.name not in failed:
            studies[measured[scan.name].together].append(measured[scan.name])

    def mask_of(scan: ScanMeasurements, k: int) -> np.ndarray:
        # Whatever the image's header says of spacing: only the labels are wanted.
        return open_nifti(paths[scan.image], dataset.modality, (1.0, 1.0, 1.0)).read(k)

    together = {name: clinical_indices(group, dataset, mask_of) for name, group in studies.items()}
    rows: list[dict] = []
    details: list[dict] = []
    for scan in scans:
        if scan.name in failed:
            rows.append({"image": scan.name, "error": failed[scan.name]})
            details.append(rows[-1])
            continue
        measurements = measured[scan.name]
        rows.append(
            _row(measurements, *together[measurements.together], limit, dataset.modality.size_key)
        )
        details.append(rows[-1] | _curve(measurements))
    columns = _columns(dataset)
    with whole_file(output / "summary.csv") as partial:
        pd.DataFrame(rows, columns=columns).to_csv(partial, index=False)
    summary = {
        "dataset": dataset.name,
        "members": ensemble.run.config.members,
        "method": ensemble.method,
        "review_below": round(limit, 3),
        "scans": details,
    }
    write_json(output / "summary.json", summary)
    return {row["image"]: row["reasons"] for row in rows if row.get("review") == "yes"}


def _curve(measurements: ScanMeasurements) -> dict:
    """What `summary.json` holds of a cine's frames."""
    if measurements.frames == 1:
        return {}
    return {
        "curve": {
            "lv_ml": measurements.lv_ml,
            "predicted_dice": measurements.predicted_dice,
            "times_ms": measurements.times_ms,
        }
    }


def _row(
    measurements: ScanMeasurements, indices: dict[str, float], method: str, limit: float, unit: str
) -> dict[str, object]:
    reasons = doubts(measurements, indices, method, limit)
    first = next(iter(measurements.shown.values()))
    cine, at = measurements.frames > 1, measurements.heart_mm
    return {
        "image": measurements.image,
        "study": measurements.study,
        "view": measurements.view,
        "phase": measurements.phase,
        "phases": measurements.frames,
        "slices": measurements.shape[0],
        "ed_phase": measurements.ed + 1 if cine and measurements.ed is not None else None,
        "es_phase": measurements.es + 1 if cine and measurements.es is not None else None,
        **{f"{s.lower()}_{unit}": round(size, 2) for s, size in measurements.sizes[first].items()},
        **{k: None if math.isnan(v) else round(v, 2) for k, v in indices.items()},
        "method": method,
        "heart_down_mm": None if at is None else at[0],
        "heart_right_mm": None if at is None else at[1],
        "heart_rate": measurements.heart_rate,
        "predicted_dice": round(measurements.worst_predicted_dice, 3),
        "review": "yes" if reasons else "no",
        "reasons": "; ".join(reasons),
        "seconds": measurements.seconds,
    }


def _columns(dataset: Dataset) -> list[str]:
    """The table's columns: the same for every folder."""
    unit = dataset.modality.size_key
    known = possible_indices(dataset.anatomy, dataset.modality.ndim)
    return [
        *("image", "study", "view", "phase", "phases", "slices", "ed_phase", "es_phase"),
        *(f"{structure.lower()}_{unit}" for structure in dataset.structures),
        *known,
        *("method", "heart_down_mm", "heart_right_mm", "heart_rate", "predicted_dice"),
        *("review", "reasons", "seconds", "error"),
    ]
