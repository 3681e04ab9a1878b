"""Measures every test patient once, from the saved maps and masks; kept, so figures are quick."""

import io
import itertools
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from functools import cache
from importlib import metadata
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from cardiac_seg.data.case import read_mask
from cardiac_seg.drawing.overlays import case_page, thumbnail
from cardiac_seg.members.maps import read_maps
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.methods import list_methods
from cardiac_seg.metrics.boundary import BAND_MM, boundary_distance
from cardiac_seg.metrics.calibration import BINS, count_calibration, entropy
from cardiac_seg.metrics.expected_dice import predicted_dice
from cardiac_seg.metrics.indices import EF_AS_RECORDED, echo_indices, mri_indices, possible_indices
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion, overlap_metrics, thirds
from cardiac_seg.metrics.roc import ROC_BINS, probability_bins
from cardiac_seg.metrics.surface import surface_metrics
from cardiac_seg.metrics.volumes import structure_size, structure_sizes
from cardiac_seg.run.folder import FINAL_MASKS, REFERENCE_MASKS, Run
from cardiac_seg.run.meta_folder import (
    control_of,
    final_method,
    methods_of,
    read_combiner,
    read_predicted_dice,
)
from cardiac_seg.run.open import open_run
from cardiac_seg.system.atomic import remove_leftovers, whole_file
from cardiac_seg.system.checked_reads import file_sha256, read_table
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held
from cardiac_seg.system.log import bar

VERSION = 3  # of what is measured; another number measures anew
DISTANCES_MM = (0.0, 2.0, 4.0, 6.0, 10.0, np.inf)  # of changed pixels to the reference boundary
AREAS = ("image", "band")
OUTCOMES = ("better", "worse", "neither")
ECHO_INDICES = ("lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent", EF_AS_RECORDED)


@dataclass(frozen=True)
class PatientMeasures:
    """One patient's measures; methods in the order of `methods_of`, `pixel_methods` for pixels.

    Attributes:
        cases: See the columns below; one row a case, method and structure.
        regions: tp, fp, fn of MRI cases by thirds of the slices that hold LV in the reference.
        clinical: One row a method (`reference` among them) and index.
        quality: One row a case: agreement of the members and boundary entropy of the mask in use.
        thumbnails: (cases,) of JPEG bytes.
        bins: (pixel methods, areas, BINS, 3) pixels, summed confidence and right pixels.
        brier: (pixel methods, areas) summed squared errors of the probabilities.
        ranked: (pixel methods, classes, 2, ROC_BINS) pixels by probability of the class; first of
            the others, then of the class.
        changes: (pixel methods, distances, outcomes) pixels whose class the method changes.
    """

    cases: pd.DataFrame
    regions: pd.DataFrame
    clinical: pd.DataFrame
    quality: pd.DataFrame
    thumbnails: np.ndarray
    bins: np.ndarray
    brier: np.ndarray
    ranked: np.ndarray
    changes: np.ndarray


def pixel_methods(run: Run) -> list[str]:
    """Methods whose probabilities are measured: of those on core features, only the final one."""
    final = final_method(run)
    methods = list_methods(run.config.members, run.config.stacking)
    return [m.name for m in methods if m.features != "core" or m.name == final]


def test_cases(run: Run) -> pd.DataFrame:
    """The test cases, see `evaluation.describe_cases`.

    Raises:
        UserError: If the list or a case's map is missing.
    """
    path = run.folder / "test_cases.csv"
    text = dict.fromkeys(("case", "patient", "path", "view", "phase", "group"), str)
    numbers = dict.fromkeys(("recorded_ef", "heart_rate"), float)
    cases = read_table(path, text | numbers, score_again(run)).fillna(dict.fromkeys(text, ""))
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


def measure_run(run: Run, output: Path) -> list[PatientMeasures]:
    """Measures the test patients in parallel; those measured earlier are read.

    Args:
        run: A finished run.
        output: Folder of the analysis; measures go to `measured/`, a picture of each case to
            `cases/`.

    Returns:
        One item a patient, in the order of `test_cases`.
    """
    cases = test_cases(run)
    folder, key = output / "measured", _key(run)
    for written in (folder, output / "cases"):
        written.mkdir(parents=True, exist_ok=True)
    with held(output, "another analysis is at work there; wait for it"):
        remove_leftovers(output)
        _measure_missing(run, cases, output, key)
    return [_read(folder / f"{patient}.npz")[1] for patient in dict.fromkeys(cases.patient)]


def _measure_missing(run: Run, cases: pd.DataFrame, output: Path, key: str) -> None:
    patients = list(dict.fromkeys(cases.patient))
    of = {p: cases[cases.patient == p] for p in patients}
    missing = [p for p in patients if not _is_measured(output, of[p], key)]
    jobs = joblib.Parallel(
        n_jobs=min(joblib.cpu_count(), len(missing) or 1), return_as="generator_unordered"
    )
    work = (joblib.delayed(_measure_and_keep)(run.folder, of[p], output, key) for p in missing)
    try:
        for _ in bar(jobs(work), "measure", total=len(missing), unit="patient"):
            pass
    except BrokenProcessPool:
        raise UserError(
            f"{run.folder}: a worker was killed, perhaps for memory; the same command goes on"
        ) from None


def _key(run: Run) -> str:
    """What the measures of a run hang on; another key measures anew."""
    files = [file_sha256(run.folder / name) for name in ("metrics.json", "test_cases.csv")]
    made_by = metadata.version("surface-distance")
    return " ".join([str(VERSION), *files, f"{BAND_MM:g}", str(ROC_BINS), made_by])


def score_again(run: Run) -> str:
    """What to do about damaged scores of a run."""
    return (
        f"delete {run.folder / 'metrics.json'} and run train_ensemble.py --resume {run.folder} to "
        "score the test cases again"
    )


def _measure_and_keep(run_folder: Path, cases: pd.DataFrame, output: Path, key: str) -> None:
    run, combiner, final = _opened(run_folder, key)
    measured = _measure(run, combiner, final, cases, output)
    arrays = {}
    for field in fields(PatientMeasures):
        value = getattr(measured, field.name)
        if isinstance(value, pd.DataFrame):
            value = np.array(value.to_json(orient="split", index=False, double_precision=15))
        arrays[field.name] = value
    path = output / "measured" / f"{cases.patient.iloc[0]}.npz"
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, key=np.array(key), **arrays)


@cache
def _opened(run_folder: Path, key: str) -> tuple[Run, Combiner, str]:
    """Learners take a second to read: once a process and state of the run."""
    run = open_run(run_folder)
    return run, read_combiner(run, methods_of(run)), final_method(run)


def _is_measured(output: Path, cases: pd.DataFrame, key: str) -> bool:
    path = output / "measured" / f"{cases.patient.iloc[0]}.npz"
    drawn = all((output / "cases" / f"{name}.png").is_file() for name in cases.case)
    try:
        return drawn and path.is_file() and _read(path)[0] == key
    except Exception:  # damaged, or of another version: measured again
        return False


def _read(path: Path) -> tuple[str, PatientMeasures]:
    values = {}
    with np.load(path, allow_pickle=False) as stored:
        for field in fields(PatientMeasures):
            value = stored[field.name]
            if field.type is pd.DataFrame:
                value = pd.read_json(io.StringIO(str(value)), orient="split", dtype=False)
            values[field.name] = value
        return str(stored["key"]), PatientMeasures(**values)


def _measure(
    run: Run, combiner: Combiner, final: str, cases: pd.DataFrame, output: Path
) -> PatientMeasures:
    """Measures one patient."""
    methods, watched, labels = methods_of(run), pixel_methods(run), run.dataset.num_classes
    sums = {
        "bins": np.zeros((len(watched), len(AREAS), BINS, 3)),
        "brier": np.zeros((len(watched), len(AREAS))),
        "ranked": np.zeros((len(watched), labels, 2, ROC_BINS), np.int64),
        "changes": np.zeros((len(watched), len(DISTANCES_MM) - 1, len(OUTCOMES)), np.int64),
    }
    rows, regions, unsure, thumbnails, masks_of = [], [], [], [], {}
    for case in cases.itertuples():
        masks, spacing = _masks(run, case.path, methods)
        masks_of[case.view, case.phase] = masks, spacing
        maps = read_maps(run.map(case.case), run.config.members)
        probabilities = {m: p for m, p, _ in combiner.combine(maps.members, maps.image, watched)}
        _add_pixels(sums, probabilities, control_of(run), maps.label, maps.grid.spacing)
        about = {"case": case.case, "patient": case.patient, "view": case.view}
        about |= {"phase": case.phase, "group": case.group}
        rows += _case_rows(run, masks, spacing, about, methods)
        regions += _region_rows(run, masks, about, methods)
        used = probabilities[final]
        unsure.append(about | _quality(run, masks, used, maps.grid.spacing))
        dice = {
            r["structure"]: r["dice"]
            for r in rows
            if r["case"] == case.case and r["method"] == final
        }
        page = case_page(
            case.case,
            masks[REFERENCE_MASKS],
            masks[FINAL_MASKS],
            maps.image,
            used,
            spacing,
            run.dataset.anatomy,
            dice,
        )
        page_path = output / "cases" / f"{case.case}.png"
        with whole_file(page_path) as partial:
            partial.write_bytes(page)
        thumbnails.append(
            thumbnail(
                masks[REFERENCE_MASKS],
                masks[FINAL_MASKS],
                maps.image,
                spacing,
                run.dataset.anatomy,
            )
        )
    return PatientMeasures(
        cases=pd.DataFrame(rows),
        regions=pd.DataFrame(
            regions, columns=[*about, "method", "structure", "region", "tp", "fp", "fn"]
        ),
        clinical=pd.DataFrame(
            _clinical_rows(run, masks_of, cases),
            columns=["patient", "method", "volume_method", "index", "value"],
        ),
        quality=pd.DataFrame(unsure),
        thumbnails=np.array(thumbnails),
        **sums,
    )


def _masks(run: Run, path: str, methods: list[str]) -> tuple[dict[str, np.ndarray], tuple]:
    """All native masks of a case, the reference among them, and the spacing."""
    masks = {}
    for name in (REFERENCE_MASKS, FINAL_MASKS, *methods):
        try:
            masks[name], spacing = read_mask(
                run.folder / "masks" / name / path, run.dataset.modality
            )
        except UserError as error:
            raise UserError(f"{error}; or {score_again(run)}") from None
        reference, largest = masks[REFERENCE_MASKS], masks[name].max(initial=0)
        if masks[name].shape != reference.shape or largest >= run.dataset.num_classes:
            raise UserError(
                f"{run.folder / 'masks' / name / path}: shape {masks[name].shape} and labels up to "
                f"{largest}, expected {reference.shape} and at most {run.dataset.num_classes - 1}; "
                f"{score_again(run)}"
            )
    return masks, spacing


def _case_rows(
    run: Run, masks: dict, spacing: tuple, about: dict, methods: list[str]
) -> list[dict]:
    """The table `cases` of one case."""
    reference, rows = masks[REFERENCE_MASKS], []
    ndim = run.dataset.modality.ndim
    for method in methods:
        counts = confusion(reference, masks[method], run.dataset.num_classes)
        for label, structure in enumerate(run.dataset.structures, start=1):
            overlap = overlap_metrics(counts, label)
            size = structure_size(overlap["tp"] + overlap["fp"], spacing, ndim)
            size_reference = structure_size(overlap["tp"] + overlap["fn"], spacing, ndim)
            rows.append(
                about
                | {"method": method, "structure": structure}
                | overlap
                | surface_metrics(reference == label, masks[method] == label, spacing)
                | {"size": size, "size_reference": size_reference}
                | {"size_difference": size - size_reference}
            )
    return rows


def _region_rows(run: Run, masks: dict, about: dict, methods: list[str]) -> list[dict]:
    lv = run.dataset.anatomy.label("lv_cavity")
    if run.dataset.modality.ndim == 2 or lv is None:
        return []
    reference, rows = masks[REFERENCE_MASKS], []
    cavity = reference == lv
    for region, slices in thirds(cavity).items():
        for method in methods:
            counts = confusion(reference[slices], masks[method][slices], run.dataset.num_classes)
            for label, structure in enumerate(run.dataset.structures, start=1):
                overlap = overlap_metrics(counts, label)
                about_row = about | {"method": method, "structure": structure, "region": region}
                rows.append(about_row | {key: overlap[key] for key in ("tp", "fp", "fn")})
    return rows


def _quality(run: Run, masks: dict, probabilities: np.ndarray, spacing: tuple) -> dict:
    """What tells good masks from bad ones without a reference.

    How far the members agree, how unsure the method in use is at its own boundary, and the quality
    score that `predict` gives.
    """
    pairs = itertools.combinations(run.config.members, 2)
    agreement = [
        np.nanmean(dice_from_confusion(confusion(masks[a], masks[b], run.dataset.num_classes))[1:])
        for a, b in pairs
        if (masks[a] | masks[b]).any()
    ]
    near = boundary_distance(probabilities.argmax(-1), spacing) <= BAND_MM
    unsure = entropy(probabilities[near]) / np.log(run.dataset.num_classes)
    return {
        "pairwise_dice": float(np.mean(agreement)) if agreement else np.nan,
        "boundary_entropy": float(unsure.mean()) if near.any() else np.nan,
        "predicted_dice": predicted_dice(probabilities, read_predicted_dice(run)),
    }


def _add_pixels(
    sums: dict,
    probabilities: dict[str, np.ndarray],
    control: str,
    label: np.ndarray,
    spacing: tuple,
) -> None:
    """Adds a case's calibration, ROC counts and changes against the mean, on the network grid."""
    distance = boundary_distance(label, spacing)
    areas = dict(zip(AREAS, (np.ones(label.shape, bool), distance <= BAND_MM), strict=True))
    classes = probabilities[control].shape[-1]
    truth = np.eye(classes, dtype=np.float32)[label]
    ring = np.digitize(distance, DISTANCES_MM[1:-1])
    before = probabilities[control].argmax(-1)
    for i, some in enumerate(probabilities.values()):
        errors = ((some - truth) ** 2).sum(-1, dtype=np.float64)
        for k, area in enumerate(areas.values()):
            sums["bins"][i, k] += count_calibration(some[area], label[area])["bins"]
            sums["brier"][i, k] += errors[area].sum()
        steps = probability_bins(some)
        for c in range(classes):
            index = (label == c) * ROC_BINS + steps[..., c]
            counts = np.bincount(index.ravel(), minlength=2 * ROC_BINS)
            sums["ranked"][i, c] += counts.reshape(2, ROC_BINS)
        mask = some.argmax(-1)
        outcome = np.where(mask == label, 0, np.where(before == label, 1, 2))
        changed = mask != before
        index = ring[changed] * len(OUTCOMES) + outcome[changed]
        counts = np.bincount(index, minlength=sums["changes"][i].size)
        sums["changes"][i] += counts.reshape(sums["changes"][i].shape)


def _clinical_rows(run: Run, masks_of: dict, cases: pd.DataFrame) -> list[dict]:
    """Clinical indices of the patient by every method and by the reference."""
    heart_rate, rows = cases.heart_rate.iloc[0], []
    anatomy = run.dataset.anatomy
    for method in (REFERENCE_MASKS, *methods_of(run)):
        if run.dataset.modality.ndim == 3:
            volumes = {
                phase: anatomy.by_role(structure_sizes(masks[method], spacing, anatomy, 3))
                for (_, phase), (masks, spacing) in masks_of.items()
            }
            rate = None if np.isnan(heart_rate) else float(heart_rate)
            indices, volume_method = mri_indices(volumes, rate), "voxels"
        else:
            views = {
                at: (masks[method][0], spacing[1:]) for at, (masks, spacing) in masks_of.items()
            }
            indices, volume_method = echo_indices(views, anatomy)
            wanted = set(ECHO_INDICES) & set(possible_indices(anatomy, 2))
            indices = {k: indices.get(k, np.nan) for k in ECHO_INDICES if k in wanted}
        patient = cases.patient.iloc[0]
        rows += [
            {
                "patient": patient,
                "method": method,
                "volume_method": volume_method,
                "index": k,
                "value": v,
            }
            for k, v in indices.items()
        ]
    return rows
