"""Measures the test patients of a run in parallel; what is measured is kept, a file per patient.

A test case is gone through once: its maps are combined, its masks written and everything measured
that a report asks for. A run that was evaluated before measures were kept is measured from the
masks that it holds.
"""

import shutil
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.case import CaseFile, read_case, read_mask
from cardiac_seg.data.nifti import write_mask
from cardiac_seg.grid.companions import ALONE
from cardiac_seg.masks.native import native_mask
from cardiac_seg.masks.postprocessing import Postprocessing
from cardiac_seg.members.maps import CaseMaps, read_maps
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.methods import list_methods, names_of
from cardiac_seg.metrics.boundary import BAND_MM
from cardiac_seg.metrics.roc import ROC_BINS
from cardiac_seg.pipeline.companions import KEPT, Image, companions_of
from cardiac_seg.pipeline.measure import CaseArrays, Study, measure_patient
from cardiac_seg.pipeline.patient_measures import (
    PatientMeasures,
    has_measures,
    read_measures,
    write_measures,
)
from cardiac_seg.run.folder import FINAL_MASKS, REFERENCE_MASKS, Run
from cardiac_seg.run.meta_folder import (
    control_of,
    final_method,
    methods_of,
    read_combiner,
    read_predicted_dice,
    read_steps,
)
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scored_cases import read_test_cases, score_again
from cardiac_seg.system.atomic import remove_leftovers, write_json
from cardiac_seg.system.checked_reads import file_sha256, read_json
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held
from cardiac_seg.system.parallel import for_each_patient

VERSION = 4  # of what is measured; another number measures anew
SCORES = "scores.json"  # the hashes of the scores that measures belong to
# A case's maps, and every method's probabilities with the seconds that they took.
Combined = tuple[CaseMaps, dict[str, np.ndarray], dict[str, float]]
BUSY = "another process measures there; wait for it"


def study_of(run: Run) -> Study:
    """What is measured of a run; of methods on core features, pixels only of the final one."""
    final = final_method(run)
    methods = list_methods(run.config.members, run.config.stacking)
    return Study(
        anatomy=run.dataset.anatomy,
        ndim=run.dataset.modality.ndim,
        members=tuple(run.config.members),
        methods=tuple(names_of(methods)),
        pixel_methods=tuple(m.name for m in methods if m.features != "core" or m.name == final),
        control=control_of(run),
        final=final,
        predicted_dice=read_predicted_dice(run),
    )


def evaluate_patients(run: Run, files: list[CaseFile]) -> list[PatientMeasures]:
    """Combines the maps of test cases, writes their masks and measures them.

    Args:
        run: A run whose stage `stack` is done, with maps of the cases.
        files: The test cases.

    Returns:
        One item per patient, in the order of the cases; what an interrupted evaluation finished
        is kept.
    """
    patients = {p: [f for f in files if f.patient == p] for p in (f.patient for f in files)}
    folder = run.measures
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, BUSY):
        remove_leftovers(folder)
        (folder / SCORES).unlink(missing_ok=True)  # those that these belong to are to come
        _measure_missing(run, patients, folder, _evaluated)
    return [read_measures(_file(folder, patient))[1] for patient in patients]


def keep_measures(run: Run) -> None:
    """Says that the measures belong to the scores that the run now holds."""
    write_json(run.measures / SCORES, _scores(run))


def measure_run(run: Run, folder: Path | None = None) -> list[PatientMeasures]:
    """The measures of the test patients; those that are missing or of other scores are made.

    Args:
        run: A run that has been evaluated.
        folder: Where measures are; default the run's own.

    Returns:
        One item per patient, in the order of the list of test cases.

    Raises:
        UserError: If a file of the run is missing or damaged.
    """
    cases, folder = read_test_cases(run), folder or run.measures
    patients = {p: cases[cases.patient == p] for p in dict.fromkeys(cases.patient)}
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, BUSY):
        remove_leftovers(folder)
        if not _belong(folder, _scores(run)):
            for path in folder.glob("*.npz"):
                path.unlink()
            write_json(folder / SCORES, _scores(run))
        _measure_missing(run, patients, folder, _measured)
    return [read_measures(_file(folder, patient))[1] for patient in patients]


def forget_measures(run: Run) -> None:
    """Drops the measures of a run that is to be evaluated again."""
    shutil.rmtree(run.measures, ignore_errors=True)


def measures_key(run: Run) -> str:
    """What the measures of a patient hang on beside the maps and masks; another measures anew."""
    manifest = run.manifest
    fitted = sorted(run.meta.glob("*.json"))
    versions = [str(VERSION), f"{BAND_MM:g}", str(ROC_BINS), metadata.version("surface-distance")]
    hashes = [*(file_sha256(path) for path in fitted), *sorted(manifest.models.values())]
    return " ".join([*versions, str(manifest.dataset.fingerprint), *hashes])


def _measure_missing(run: Run, patients: dict, folder: Path, measure) -> None:
    """Measures patients that have no file of the present key.

    Args:
        run: The run.
        patients: Patient -> what `measure` takes of the cases.
        folder: Where the files go.
        measure: `_evaluated` or `_measured`.
    """
    key = measures_key(run)
    missing = [p for p in patients if not has_measures(_file(folder, p), key)]
    work = [(measure, run.folder, patients[p], _file(folder, p), key) for p in missing]
    for_each_patient(_measure_and_keep, work, run.folder, "measure")


def _measure_and_keep(measure, run_folder: Path, cases, path: Path, key: str) -> None:
    write_measures(path, measure(*_opened(run_folder, key), cases), key)


@cache
def _opened(run_folder: Path, key: str) -> tuple[Run, Combiner, Study]:
    """Learners take a second to read: once per process and state of the run."""
    run = open_run(run_folder)
    return run, read_combiner(run, methods_of(run)), study_of(run)


def _evaluated(run: Run, combiner: Combiner, study: Study, files: list[CaseFile]):
    """Measures a patient whose masks are made and written on the way."""
    heart_rate = pd.to_numeric(files[0].metadata.get("HeartRate"), errors="coerce")
    heart_rate = np.nan if heart_rate is None else float(heart_rate)
    steps = read_steps(run)
    combined = _combined_cases(run, combiner, study, [(f.name, f) for f in files])
    arrays = (
        _written_case(run, study, file, steps, of_case)
        for file, of_case in zip(files, combined, strict=True)
    )
    return measure_patient(study, arrays, heart_rate)


def _written_case(
    run: Run, study: Study, file: CaseFile, steps: Postprocessing, combined: Combined
) -> CaseArrays:
    case = read_case(file, run.dataset.num_classes)
    maps, probabilities, seconds = combined
    masks = {REFERENCE_MASKS: case.reference}
    masks |= {m: native_mask(p, maps.grid, steps) for m, p in probabilities.items()}
    for name, mask in (*masks.items(), (FINAL_MASKS, masks[study.final])):
        write_mask(run.masks(name) / file.relative_path, [mask], case.layout)
    tags = {"case": file.name, "patient": file.patient, "view": file.view or ""}
    tags |= {"phase": file.phase or "", "group": file.group or ""}
    return _arrays(tags, maps, probabilities, seconds, masks, case.spacing)


def _measured(run: Run, combiner: Combiner, study: Study, cases: pd.DataFrame):
    """Measures a patient from the masks that the run holds."""
    rows = list(cases.itertuples())
    combined = _combined_cases(run, combiner, study, [(row.case, row) for row in rows])
    arrays = (
        _stored_case(run, study, row, of_case) for row, of_case in zip(rows, combined, strict=True)
    )
    return measure_patient(study, arrays, cases.heart_rate.iloc[0])


def _stored_case(run: Run, study: Study, row, combined: Combined) -> CaseArrays:
    masks, spacing = _read_masks(run, row.path, [FINAL_MASKS, *study.methods])
    maps, probabilities, seconds = combined
    tags = {"case": row.case, "patient": row.patient, "view": row.view}
    tags |= {"phase": row.phase, "group": row.group}
    return _arrays(tags, maps, probabilities, seconds, masks, spacing)


def _combined_cases(
    run: Run, combiner: Combiner, study: Study, images: list[tuple[str, Image]]
) -> Iterator[Combined]:
    """A patient's cases, one after the other, each beside the others.

    Args:
        run, combiner, study: What they are combined by.
        images: Case name, and what tells which case belongs beside which.
    """
    names = {id(image): name for name, image in images}
    read = lru_cache(maxsize=KEPT)(lambda name: read_maps(run.map(name), list(study.members)))
    for name, image in images:
        maps, probabilities, spent, companions = read(name), {}, {}, ALONE
        if combiner.features.uses_companions:
            others = [other for _, other in images]
            companions = companions_of(image, others, lambda other: read(names[id(other)]))
        for method, values, seconds in combiner.combine(
            maps.probabilities, maps.image, list(study.methods), companions
        ):
            probabilities[method], spent[method] = values, seconds
        yield maps, probabilities, spent


def _arrays(
    tags: dict[str, str],
    maps: CaseMaps,
    probabilities: dict[str, np.ndarray],
    seconds: dict[str, float],
    masks: dict[str, np.ndarray],
    spacing: tuple[float, float, float],
) -> CaseArrays:
    return CaseArrays(
        tags, maps.fold, maps.reference, maps.grid, probabilities, seconds, masks, spacing
    )


def _read_masks(run: Run, path: str, names: list[str]) -> tuple[dict[str, np.ndarray], tuple]:
    """The native masks of a case, the reference among them, and the spacing."""
    masks, labels = {}, run.dataset.num_classes
    for name in (REFERENCE_MASKS, *names):
        file = run.masks(name) / path
        try:
            masks[name], spacing = read_mask(file, run.dataset.modality)
        except UserError as error:
            raise UserError(f"{error}; or {score_again(run)}") from None
        reference, largest = masks[REFERENCE_MASKS], masks[name].max(initial=0)
        if masks[name].shape != reference.shape or largest >= labels:
            raise UserError(
                f"{file}: shape {masks[name].shape} and labels up to {largest}, expected "
                f"{reference.shape} and at most {labels - 1}; {score_again(run)}"
            )
    return masks, spacing


def _file(folder: Path, patient: str) -> Path:
    return folder / f"{patient}.npz"


def _scores(run: Run) -> dict[str, str]:
    return {name: file_sha256(run.folder / name) for name in ("metrics.json", "test_cases.csv")}


def _belong(folder: Path, scores: dict[str, str]) -> bool:
    """Whether the measures of a folder belong to these scores."""
    path = folder / SCORES
    try:
        return path.is_file() and read_json(path) == scores
    except UserError:  # damaged: measured again
        return False
