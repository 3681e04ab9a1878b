"""The pictures of every test case: a page of all its slices, and a thumbnail, kept on disk.

They are drawn from the saved masks and the measures, patients side by side.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.case import read_mask
from cardiac_seg.drawing.overlays import case_page, thumbnail
from cardiac_seg.members.maps import read_maps
from cardiac_seg.pipeline.measure_run import measures_key
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.run.folder import FINAL_MASKS, REFERENCE_MASKS, Run
from cardiac_seg.run.meta_folder import final_method
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scored_cases import read_test_cases, score_again
from cardiac_seg.system.atomic import remove_leftovers, whole_file
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held
from cardiac_seg.system.parallel import for_each_patient

VERSION = 1  # of the drawing; a new number redraws the pictures


def draw_cases(run: Run, measures: list[PatientMeasures], output: Path) -> dict[str, bytes]:
    """Draws the pictures that are missing or of other measures.

    Args:
        run: A finished run.
        measures: Of its test patients.
        output: Folder of the analysis; pages go to `cases/`, thumbnails to `thumbnails/`.

    Returns:
        Case -> its thumbnail, a JPEG file's content.
    """
    cases, key = read_test_cases(run), _key(run)
    for folder in (output / "cases", output / "thumbnails"):
        folder.mkdir(parents=True, exist_ok=True)
    with held(output, "another analysis is at work there; wait for it"):
        remove_leftovers(output)
        patients = dict(iter(cases.groupby("patient", sort=False)))
        missing = [
            (patients[patient], one)
            for patient, one in zip(patients, measures, strict=True)
            if not _is_drawn(output, patients[patient], key)
        ]
        work = [(run.folder, rows, one.cases, one.entropies, output, key) for rows, one in missing]
        for_each_patient(_draw_patient, work, run.folder, "pictures")
    return {
        case: bytes(picture)
        for patient, rows in patients.items()
        for case, picture in zip(rows.case, _read(output, patient)[1], strict=True)
    }


def read_case_masks(run: Run, path: str, names: list[str]) -> tuple[dict[str, np.ndarray], tuple]:
    """Saved masks of a case, and the spacing.

    Returns:
        Name -> (slices, height, width) uint8 on the native grid; (slice, row, column) mm.

    Raises:
        UserError: If one is missing or damaged.
    """
    masks = {}
    for name in names:
        try:
            masks[name], spacing = read_mask(run.masks(name) / path, run.dataset.modality)
        except UserError as error:
            raise UserError(f"{error}; or {score_again(run)}") from None
    return masks, spacing


def _draw_patient(
    run_folder: Path,
    rows: pd.DataFrame,
    scores: pd.DataFrame,
    entropies: tuple[np.ndarray, ...],
    output: Path,
    key: str,
) -> None:
    run, thumbnails = open_run(run_folder), []
    anatomy = run.dataset.anatomy
    of_final = scores[scores.method == final_method(run)].set_index(["case", "structure"]).dice
    for case, entropy in zip(rows.itertuples(), entropies, strict=True):
        masks, spacing = read_case_masks(run, case.path, [REFERENCE_MASKS, FINAL_MASKS])
        reference, mask = masks.values()
        image = read_maps(run.map(case.case), []).image
        dice = {s: of_final[case.case, s] for s in anatomy.names}
        shown = entropy / np.float32(255)
        page = case_page(case.case, reference, mask, image, shown, spacing, anatomy, dice)
        with whole_file(output / "cases" / f"{case.case}.png") as partial:
            partial.write_bytes(page)
        thumbnails.append(thumbnail(reference, mask, image, spacing, anatomy))
    path = _file(output, rows.patient.iloc[0])
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez(file, key=np.array(key), thumbnails=np.array(thumbnails))


def _key(run: Run) -> str:
    """What the pictures depend on; they are redrawn when it changes."""
    scores = [file_sha256(run.folder / name) for name in ("metrics.json", "test_cases.csv")]
    return " ".join([str(VERSION), *scores, measures_key(run)])


def _is_drawn(output: Path, rows: pd.DataFrame, key: str) -> bool:
    drawn = all((output / "cases" / f"{name}.png").is_file() for name in rows.case)
    try:
        return drawn and _read(output, rows.patient.iloc[0])[0] == key
    except Exception:  # missing or damaged: drawn again
        return False


def _read(output: Path, patient: str) -> tuple[str, np.ndarray]:
    with np.load(_file(output, patient), allow_pickle=False) as stored:
        return str(stored["key"]), stored["thumbnails"]


def _file(output: Path, patient: str) -> Path:
    return output / "thumbnails" / f"{patient}.npz"
