"""Writes the members' softmax maps of cases, and reads them with their provenance."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.case import Case, CaseFile, read_case
from cardiac_seg.grid.field import Field, content_box, field_like
from cardiac_seg.grid.resample import GridImage, label_to_grid, make_grid, regrid, to_grid
from cardiac_seg.members.maps import (
    FOLD_MEAN,
    CaseMaps,
    MemberMap,
    read_maps,
    stored_grid,
    stored_members,
    write_maps,
)
from cardiac_seg.pipeline.development import unseen_files
from cardiac_seg.pipeline.external import take_maps
from cardiac_seg.pipeline.localise import (
    Located,
    field_of_whole_heart,
    find_fields,
    read_fields,
    write_fields,
)
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import members_of
from cardiac_seg.run.provenance import trained_on
from cardiac_seg.system import backend
from cardiac_seg.system.log import bar, log


def write_development_maps(run: Run, data: Prepared) -> None:
    """Writes the maps of every development case, by networks that were not trained on it."""
    take_maps(run, data)
    for fold, files in unseen_files(run, data).items():
        map_cases(run, data, files, [fold])


def map_cases(run: Run, data: Prepared, files: list[CaseFile], folds: list[str]) -> None:
    """Writes the maps of cases, each member's averaged over folds; skips what is there.

    Where a structure reaches an edge of the field inside the image, the field is moved or grown
    and the case is mapped once more.

    Args:
        run: The run.
        data: Its cases.
        files: Which of them.
        folds: Whose networks map them.
    """
    places, name = read_fields(run), "+".join(folds)
    new = [f for f in files if f.name not in places or places[f.name].folds != name]
    places |= find_fields(run, new, folds)
    write_fields(run, places, data.files)
    _map(run, files, places, folds)
    open_cases = [file for file in files if not places[file.name].final]
    if not open_cases:
        return
    for file in bar(open_cases, "look for cuts", unit="case"):
        places[file.name] = _looked_at(run, file, places[file.name])
    moved = [file.name for file in open_cases if places[file.name].moved]
    if moved:
        log.info("maps: the field was moved in %d cases that it cut: %s", len(moved), moved)
    write_fields(run, places, data.files)  # a kill from here on leaves maps of another field
    _map(run, files, places, folds)


def _map(run: Run, files: list[CaseFile], places: dict[str, Located], folds: list[str]) -> None:
    """Writes the maps that are missing or of another field.

    The members run one after the other, so that one network at a time is in memory; a case's
    file is rewritten with each member's map added.
    """
    name, batch_size = folds[0] if len(folds) == 1 else FOLD_MEAN, run.config.predict.batch_size
    for file in files:
        grid = stored_grid(run.map(file.name))
        if grid is not None and not _shows(places[file.name].field, grid.window, grid.size):
            run.map(file.name).unlink()
    for member in members_of(run, partial(trained_on, run)):
        missing = [f for f in files if member.name not in stored_members(run.map(f.name), name)]
        if not missing:
            continue
        mapper = member.load(folds)
        images = _on_grid(run, missing, places, member.config.preprocess)
        progress = bar(total=len(missing), description=f"maps {member.name}", unit="case")
        with backend.memory_advice(batch_size, "predict.batch_size"), progress:
            for file, made in zip(missing, mapper.softmax(images, batch_size), strict=True):
                _add_member(run, file, places[file.name].field, member, made)
                progress.update()


def _on_grid(
    run: Run, files: list[CaseFile], places: dict[str, Located], settings: Preprocess
) -> Iterator[GridImage]:
    """Cases on a member's grid, one at a time."""
    for file in files:
        case = read_case(file, run.dataset.num_classes, with_label=False)
        field = _own_field(run, case, places[file.name].field, settings)
        image = to_grid(case.image, case.spacing[1:], settings, field)
        yield replace(image, slice_spacing=case.spacing[0], name=file.name, layout=case.layout)


def _own_field(run: Run, case: Case, field: Field | None, settings: Preprocess) -> Field | None:
    if field is None:
        return None
    return field_like(field, case.spacing[1:], run.config.preprocess, settings)


def _shows(field: Field | None, window, size) -> bool:
    return window is None if field is None else (field.window, field.size) == (window, size)


def _add_member(run: Run, file: CaseFile, field: Field | None, member, made: MemberMap) -> None:
    path, settings = run.map(file.name), run.config.preprocess
    stored = stored_members(path, made.provenance.fold)
    maps = read_maps(path, stored, trained_on(run, member.name)).maps if stored else {}
    case = read_case(file, run.dataset.num_classes)
    image = to_grid(case.image, case.spacing[1:], settings, field)
    own = member.config.preprocess
    here = make_grid(case.image.shape[1:], case.spacing[1:], own, _own_field(run, case, field, own))
    maps[member.name] = MemberMap(regrid(made.probabilities, here, image.grid), made.provenance)
    label = label_to_grid(case.reference, image.grid)
    write_maps(path, CaseMaps(file.name, maps, image, label))


def _looked_at(run: Run, file: CaseFile, place: Located) -> Located:
    """A case's place after its maps were seen: another if a structure is cut off."""
    assert place.field is not None  # others are final from the start
    maps = read_maps(run.map(file.name), run.config.members)
    case = read_case(file, run.dataset.num_classes, with_label=False)
    content, settings = content_box(case.image), run.config.preprocess
    field = field_of_whole_heart([maps], place.field, content, case.spacing[1:], settings)
    if field is None:
        return replace(place, final=True)
    return replace(place, field=field, final=True, moved=True)
