"""Finds where in each case the network grid lies, by a locator that was not trained on its patient.

The same code serves the watching of a training, the maps of development and of test cases, and (on
scans, in `predict`) new images.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.case import Case, CaseFile, read_case, read_cases
from cardiac_seg.data.split import fold_patients
from cardiac_seg.grid.cache import Cache, open_cache
from cardiac_seg.grid.field import Box, Field, bounding_box, from_middle, middle, wider_field
from cardiac_seg.grid.resample import label_beyond, make_grid
from cardiac_seg.grid.sector import field_of_sector
from cardiac_seg.masks.native import native_mask
from cardiac_seg.members import locator
from cardiac_seg.members.inference import mean_map
from cardiac_seg.members.maps import CaseMaps
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import load_locator
from cardiac_seg.run.provenance import data_name
from cardiac_seg.run.start import start_run
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.checked_reads import file_sha256, read_table
from cardiac_seg.system.locks import locked
from cardiac_seg.system.log import bar

FIELD_COLUMNS = ("top", "left", "rows", "columns", "size_rows", "size_columns")
ADVICE = "delete it and the folder maps, and resume the run"


@dataclass(frozen=True)
class Located:
    """Where the network grid lies in a case.

    Attributes:
        field: The field; None for the middle of the image.
        folds: Whose locators found it, joined by +.
        final: Whether the maps were looked at, and it was moved where it cut a structure off.
        moved: Whether it was.
    """

    field: Field | None
    folds: str
    final: bool = False
    moved: bool = False


def train_locator(run: Run, files: list[CaseFile], fold: str) -> None:
    """Trains a fold's locator where the run needs one and has none; others wait for it.

    Where the networks are taken as they are (`train.epochs: 0`), so is theirs.

    Raises:
        UserError: If the one that is there is not what the run wrote.
    """
    if run.config.preprocess.field != "heart":
        return
    path, patients = run.locator(fold), training_patients(run, fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = [file for file in files if file.patient in patients]

    def stacks():
        for case in read_cases(chosen, run.dataset.num_classes):
            yield case.image, case.reference, case.spacing[1:]

    with locked(path.parent):
        if path.is_file():
            run.check_hash(path)
        elif (taken := _locator_to_take(run, fold)) is not None:
            with whole_file(path) as partial:
                shutil.copyfile(taken, partial)
        seed = [run.config.seed, *locator.NAME.encode(), *fold.encode()]
        seen = {data_name(run): frozenset(file.patient for file in chosen)}
        locator.train_locator(path, stacks, seed, seen)
        run.update_manifest(models={path.relative_to(run.folder).as_posix(): file_sha256(path)})


def _locator_to_take(run: Run, fold: str) -> Path | None:
    """The locator of the run whose networks a fold takes as they are, if that has one."""
    trained = run.config.trained_members
    if not trained:
        return None
    train = run.config.for_member(trained[0]).of_fold(fold).train
    if train.epochs or train.start_from is None:
        return None
    start = start_run(train.start_from)
    path = start.locator("full")
    if not path.is_file():
        return None
    start.check_hash(path)
    return path


def training_patients(run: Run, fold: str) -> set[str]:
    """The patients that a fold's networks are trained on."""
    return fold_patients(run.split(), fold, run.config.stacking.scheme)[0]


def find_fields(run: Run, files: list[CaseFile], folds: list[str]) -> dict[str, Located]:
    """Where the network grid lies in each case, before any map was looked at.

    Args:
        run: The run.
        files: Cases of patients that the folds' networks were not trained on.
        folds: Whose locators look, together.

    Returns:
        Case name -> place.
    """
    settings, name = run.config.preprocess, "+".join(folds)
    if settings.field == "image" or not files:
        return {file.name: Located(None, name, final=True) for file in files}
    finder = load_locator(run, folds) if settings.field == "heart" else None
    fields = {}
    for file in bar(files, f"find the {settings.field}", unit="case"):
        case = read_case(file, run.dataset.num_classes, with_label=False)
        if finder is None:
            fields[file.name] = Located(field_of_sector(case.image, settings), name, final=True)
        else:
            field = finder.field([case.image], case.spacing[1:], settings)
            fields[file.name] = Located(field, name)
    return fields


def field_of_whole_heart(
    maps: Sequence[CaseMaps],
    field: Field,
    content: Box,
    spacing: tuple[float, float],
    settings: Preprocess,
) -> Field | None:
    """Another field where the mean of the members' maps reaches an edge of this one, else None.

    Args:
        maps: Of one or several phases of a study, in the field.
        field: The field.
        content: Of the image, from `grid.field.content_box`.
        spacing: (row, column) distance in mm on the native grid.
        settings: The ensemble's `preprocess` section.
    """
    means = [mean_map(list(one.probabilities.values())).astype(np.float32) for one in maps]
    if not any(_reaches_edge(mean.argmax(-1)) for mean in means):
        return None  # as nearly always: no native mask is needed
    masks = [native_mask(mean, one.grid) for mean, one in zip(means, maps, strict=True)]
    wider = wider_field(masks, field, content, spacing, settings)
    return None if wider == field else wider


def _reaches_edge(labels: np.ndarray) -> bool:
    """Whether a mask on the network grid has a label in its outermost rows and columns."""
    edges = (labels[:, [0, -1]], labels[:, :, [0, -1]])
    return any(bool(edge.any()) for edge in edges)


def validation_cache(
    run: Run, files: list[CaseFile], fold: str, cache: Cache, member: str
) -> Cache:
    """The cases that watch a training, on the grid as it will lie in use.

    Args:
        run: The run.
        files: Its cases.
        fold: Of the training.
        cache: What the member is trained on.
        member: Its name.
    """
    settings = run.config.for_member(member).preprocess
    patients = fold_patients(run.split(), fold, run.config.stacking.scheme)[1]
    watching = [file for file in files if file.patient in patients]
    if settings.field != "heart" or not watching:
        return cache
    finder, fields = load_locator(run, [fold]), {}
    for case in read_cases(watching, run.dataset.num_classes):
        fields[case.file.name] = finder.field([case.image], case.spacing[1:], settings)
    folder, data_print = Path(run.config.data.cache), str(run.manifest.dataset.fingerprint)
    classes = run.dataset.num_classes
    return open_cache(folder, watching, classes, settings, data_print, fields)


def read_fields(run: Run) -> dict[str, Located]:
    """Case name -> place, of all cases that were located.

    Raises:
        UserError: If the table is damaged.
    """
    if not run.fields.is_file():
        return {}
    columns = dict.fromkeys(("case", "folds", *FIELD_COLUMNS, "final", "moved"))
    table = read_table(run.fields, {**columns, "case": str, "folds": str}, ADVICE)
    return {
        row.case: Located(
            Field((row.top, row.left, row.rows, row.columns), (row.size_rows, row.size_columns)),
            row.folds,
            bool(row.final),
            bool(row.moved),
        )
        for row in table.itertuples()
    }


def write_fields(run: Run, places: dict[str, Located], files: list[CaseFile]) -> None:
    """Adds cases to `fields.csv`, with how far the heart is from where it was looked for.

    Args:
        run: The run.
        places: Case name -> place, all that were located so far.
        files: All cases of the run.
    """
    known = {} if not run.fields.is_file() else _rows(run)
    rows = []
    for file in files:
        place = places.get(file.name)
        if place is None or place.field is None:
            continue
        field = place.field
        same = known.get(file.name)
        here = dict(zip(FIELD_COLUMNS, (*field.window, *field.size), strict=True))
        if same is None or any(same[key] != value for key, value in here.items()):
            same = _describe(read_case(file, run.dataset.num_classes), field, run)
        rows.append(
            same
            | here
            | {"case": file.name, "patient": file.patient, "folds": place.folds}
            | {"final": place.final, "moved": place.moved}
        )
    if not rows:  # the middle of every image
        return
    with whole_file(run.fields) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)


def _rows(run: Run) -> dict[str, dict]:
    table = pd.read_csv(run.fields, dtype={"case": str})
    return {row["case"]: row for row in table.to_dict("records")}


def _describe(case: Case, field: Field, run: Run) -> dict[str, object]:
    """How far the field's middle is from the image's and from the reference's, and what is cut."""
    spacing, label = case.spacing[1:], case.reference
    box = bounding_box(label)
    offset = from_middle(field, (label.shape[1], label.shape[2]), spacing)
    error = np.nan
    if box is not None:
        apart = np.subtract(field.centre, middle(box)) * spacing
        error = float(np.hypot(apart[0], apart[1]))
    grid = make_grid(label.shape[1:], spacing, run.config.preprocess, field)
    beyond, pixels = label_beyond(label, grid), max(1, int(np.count_nonzero(label)))
    return {
        "heart_row_mm": round(offset[0], 2),
        "heart_column_mm": round(offset[1], 2),
        "error_mm": round(error, 2),
        "reference_beyond_percent": round(100 * beyond / pixels, 3),
    }
