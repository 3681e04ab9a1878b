"""The tables of an analysis; every number in a figure or in the report comes from one."""

import numpy as np
import pandas as pd

from cardiac_seg.metrics.pixels import AREAS
from cardiac_seg.pipeline.measure_run import study_of
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.report.tables.clinical import agreement_table
from cardiac_seg.report.tables.columns import ENSEMBLE
from cardiac_seg.report.tables.comparisons import comparison_table
from cardiac_seg.report.tables.overlap import (
    confusion_table,
    group_table,
    patient_table,
    summary_table,
)
from cardiac_seg.report.tables.places import change_places_table, importance_places_table
from cardiac_seg.report.tables.probabilities import (
    calibration_error,
    calibration_tables,
    change_table,
    roc_tables,
)
from cardiac_seg.report.tables.stacking import history_table, importance_table, method_table
from cardiac_seg.report.tables.uncertainty import quality_table, risk_coverage
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import control_of, final_method
from cardiac_seg.run.scored_cases import read_test_cases


def build_tables(run: Run, measured: list[PatientMeasures]) -> dict[str, pd.DataFrame]:
    """All tables of a run.

    Args:
        run: A finished run.
        measured: Of the patients that it scores.

    Returns:
        Name -> table; a table without rows keeps its columns where it can.
    """
    final, metrics = final_method(run), read_stored(run.folder / "metrics.json")
    cases = with_ensemble(pd.concat([m.cases for m in measured], ignore_index=True), final)
    regions = with_ensemble(pd.concat([m.regions for m in measured], ignore_index=True), final)
    pixels = _Pixels(run, measured, final)
    clinical = pd.concat([m.clinical for m in measured], ignore_index=True)
    clinical = with_ensemble(clinical, final)
    recorded_ef = read_test_cases(run).groupby("patient").recorded_ef.first()
    quality = quality_table(pd.concat([m.quality for m in measured], ignore_index=True), cases)
    risk, quality_agreement = risk_coverage(quality)
    roc, auc = roc_tables(pixels.ranked, ("background", *run.dataset.structures))
    reliability, calibration = calibration_tables(pixels.bins, pixels.brier, run.config.seed)
    scored = metrics["subsets"][run.scored]["methods"]
    pooled = {method: scores["pooled_network_grid"] for method, scores in scored.items()}
    pooled[ENSEMBLE] = pooled[final]
    return {
        "cases": cases,
        "patients": patient_table(cases),
        "summary": summary_table(cases, run.dataset.structures, run.config.seed),
        "groups": group_table(run, cases, regions),
        "comparisons": comparison_table(run, cases, pixels.calibration_patients),
        "confusion": confusion_table(pooled, ("background", *run.dataset.structures)),
        "accuracy": pd.DataFrame(
            {"method": m, "accuracy": scores["accuracy"]} for m, scores in pooled.items()
        ),
        "roc": roc,
        "auc": auc,
        "reliability": reliability,
        "calibration": calibration,
        "calibration_patients": pixels.calibration_patients,
        "history": history_table(run),
        "quality": quality,
        "risk_coverage": risk,
        "quality_agreement": quality_agreement,
        "changes": change_table(pixels.changes),
        "importance": importance_table(run),
        "importance_places": importance_places_table(run),
        "changes_places": change_places_table(run),
        "clinical": clinical,
        "agreement": agreement_table(clinical, recorded_ef),
        **{
            f"methods_{subset}": method_table(metrics, run.manifest.combining, subset)
            for subset in metrics["subsets"]
        },
    }


def with_ensemble(table: pd.DataFrame, final: str) -> pd.DataFrame:
    """The table with the chosen method's rows once more, as `ensemble`, last."""
    return pd.concat(
        [table, table[table.method == final].assign(method=ENSEMBLE)], ignore_index=True
    )


class _Pixels:
    """The per-pixel measures by method; the ensemble is one of them."""

    def __init__(self, run: Run, measured: list[PatientMeasures], final: str):
        self.methods, self.final = study_of(run).pixel_methods, final
        self.bins = self._by_method(np.stack([m.bins for m in measured], axis=1))
        self.brier = self._by_method(np.stack([m.brier for m in measured], axis=1))
        main = {*run.config.members, control_of(run), ENSEMBLE}
        with_curves = main | set(run.config.report.methods or [])
        ranked = self._by_method(np.sum([m.ranked for m in measured], axis=0))
        self.ranked = {method: counts for method, counts in ranked.items() if method in with_curves}
        changes = self._by_method(np.sum([m.changes for m in measured], axis=0))
        self.changes = {method: counts for method, counts in changes.items() if method not in main}
        band = AREAS.index("band")
        errors = np.array([[calibration_error(areas[band]) for areas in m.bins] for m in measured])
        patients = [m.cases.patient.iloc[0] for m in measured]
        self.calibration_patients = pd.DataFrame(
            {"method": method, "patient": patient, "band_ece": value}
            for method, values in self._by_method(errors.T).items()
            for patient, value in zip(patients, values, strict=True)
        )

    def _by_method(self, values: np.ndarray) -> dict[str, np.ndarray]:
        named = dict(zip(self.methods, values, strict=True))
        return named | {ENSEMBLE: named[self.final]}
