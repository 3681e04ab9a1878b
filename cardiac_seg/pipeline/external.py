"""Takes up the softmax maps that members of other programs bring, before anything is trained."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.nifti import open_nifti
from cardiac_seg.members.external_folder import (
    FoundMap,
    TrainingSets,
    choose_map,
    find_maps,
    read_training_sets,
)
from cardiac_seg.members.maps import Provenance, check_provenance
from cardiac_seg.members.softmax_files import (
    ADVICE,
    check_softmax,
    read_case_count,
    read_class_order,
)
from cardiac_seg.pipeline.development import development_files
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.run.external import maps_folder, read_brought, record_path
from cardiac_seg.run.folder import Run
from cardiac_seg.run.stored import BroughtMap, BroughtMaps
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar, log

MAX_LISTED = 20  # cases that a line names
UNSEEN = "give a map by networks that have not seen this patient"


def take_maps(run: Run, data: Prepared, scoring: bool = False) -> None:
    """Finds the map of each case, of every member that brings its maps, and keeps which it is.

    Done where a stage begins that needs maps, so that changed files are noticed. A map that the run
    has brought to its grid already is needed no more, and may be gone.

    Args:
        run: The run.
        data: Its cases.
        scoring: Test cases must have their maps too.

    Raises:
        UserError: If a case lacks a map; if its map was made by networks that have seen its
            patient, or nobody knows whom; if it does not lie on the image's grid; if it changed.
    """
    for member in run.config.external:
        split = run.split()
        test = set(split.patient[split.subset == "test"])
        development = development_files(run, data)
        tested = [file for file in data.files if file.patient in test]
        before = read_brought(run, member)
        old = [f for f in (*development, *tested) if _is_brought(run, before, f)]
        new = [f for f in (*development, *tested) if not _is_brought(run, before, f)]
        for file in new:  # of which nothing says what they were made of, if they are there
            run.map(file.name).unlink(missing_ok=True)
        sets = _training_sets(run, member, data.files, needed=bool(new))
        for file in old:
            _check_unchanged(run, member, before, file, sets)
        found = _look_up(run, member, new, _names(data.files), sets)
        missing = [file.name for file in new if file.name not in found]
        _tell_missing(run, member, missing, {file.name for file in tested}, scoring)
        after = _with_new(run, member, before, found)
        for file in (*development, *tested):
            if file.name in after.maps:
                _check_patient(run, member, after, file, file.patient in test)
        _keep(run, member, before, after)


def _is_brought(run: Run, record: BroughtMaps, file: CaseFile) -> bool:
    """Whether the run has a case's map on its own grid."""
    return file.name in record.maps and run.map(file.name).is_file()


def _names(files: Sequence[CaseFile]) -> dict[str, list[str]]:
    """What each case may be called: its name, and that of its image file where no other has it."""
    count = Counter(file.image_stem for file in files)
    return {
        file.name: [file.name, *([file.image_stem] if count[file.image_stem] == 1 else [])]
        for file in files
    }


def _training_sets(
    run: Run, member: str, files: list[CaseFile], needed: bool
) -> TrainingSets | None:
    """Whom the networks were trained on; None where that is not there and not needed any more."""
    settings = run.config.external[member]
    if settings.trained_on is None:
        return TrainingSets()
    path, names = Path(settings.trained_on).expanduser(), _names(files)
    if not needed and not path.is_file():
        return None
    patient_of = {n: f.patient for f in files for n in names[f.name]}
    sets = read_training_sets(path, patient_of, read_case_count(maps_folder(run, member)))
    if sets.foreign and needed:
        log.info(
            "%s: %d cases of %s are not of this run and taken for other patients' (%s)",
            *(member, len(sets.foreign), path.name, _listed(sets.foreign)),
        )
    return sets


def _look_up(
    run: Run,
    member: str,
    files: list[CaseFile],
    names: dict[str, list[str]],
    sets: TrainingSets | None,
) -> dict[str, FoundMap]:
    """Case name -> its map, its header checked; without the cases that have none."""
    if not files:
        return {}
    assert sets is not None  # they are needed where there is something to look up
    folder, dataset, found = maps_folder(run, member), run.dataset, {}
    if not folder.is_dir():
        raise UserError(f"networks.{member}.maps: {folder} is no folder; give that of its maps")
    read_class_order(folder, dataset.anatomy)
    split = run.split()
    test = set(split.patient[split.subset == "test"])
    for file in bar(files, f"check maps {member}", unit="case"):
        candidates = find_maps(folder, names[file.name], sets, file.patient in test)
        if candidates:
            one = found[file.name] = choose_map(candidates, file.patient)
            layout = open_nifti(file.image_path, file.modality).layout
            check_softmax(one.path, layout, dataset.num_classes, dataset.modality)
    return found


def _tell_missing(
    run: Run, member: str, missing: list[str], tested: set[str], scoring: bool
) -> None:
    """Refuses to go on without maps that are needed; those for later are named in the log."""
    needed = [name for name in missing if scoring or name not in tested]
    folder = maps_folder(run, member)
    if needed:
        raise UserError(
            f"{folder}: no map by {member} of {len(needed)} cases ({_listed(needed)}); expected "
            f"fold_0/validation/{needed[0]}.npz or {needed[0]}.npz, or the name of the image file; "
            f"{ADVICE}"
        )
    if missing:
        log.warning(
            "%s: no map by %s of %d test cases yet (%s); stage evaluate needs them",
            *(folder, member, len(missing), _listed(missing)),
        )


def _with_new(
    run: Run, member: str, record: BroughtMaps, found: dict[str, FoundMap]
) -> BroughtMaps:
    """The record with the maps that were looked up."""
    folder = maps_folder(run, member)
    maps = {
        case: BroughtMap(
            file=one.path.relative_to(folder).as_posix(),
            sha256=file_sha256(one.path),
            made_by=one.made_by,
        )
        for case, one in found.items()
    }
    known = {
        one.made_by: None if one.trained_on is None else sorted(one.trained_on)
        for one in found.values()
    }
    return BroughtMaps(maps=record.maps | maps, trained_on=record.trained_on | known)


def _check_unchanged(
    run: Run, member: str, record: BroughtMaps, file: CaseFile, sets: TrainingSets | None
) -> None:
    """Refuses other maps, or another training set, than the run has brought to its grid."""
    one = record.maps[file.name]
    path, known = maps_folder(run, member) / one.file, record.patients(file.name)
    if path.is_file() and file_sha256(path) != one.sha256:
        what, advice = f"{path}: changed since this run read it", "restore it"
    elif sets is not None and sets.of(one.made_by) != known:
        named = run.config.external[member].trained_on
        what = f"networks.{member}.trained_on: {named} does not say of {one.made_by} what it said"
        advice = "restore it"
    else:
        return
    raise UserError(
        f"{what} ({file.name}); {advice}, or delete the folder {run.folder / 'maps'} and resume "
        "the run, which then takes what is there now"
    )


def _check_patient(
    run: Run, member: str, record: BroughtMaps, file: CaseFile, tested: bool
) -> None:
    """Refuses a map by networks that have seen its patient, or nobody knows whom."""
    one, settings = record.maps[file.name], run.config.external[member]
    path = maps_folder(run, member) / one.file
    made_by = Provenance(one.made_by, record.patients(file.name))
    if tested and made_by.trained_on is None:
        if not settings.vouch_for_test:
            raise UserError(
                f"{path}: nothing says whom {member} was trained on; name nnU-Net's "
                f"splits_final.json in networks.{member}.trained_on, or set networks.{member}."
                "vouch_for_test: true if you know that it has seen no test patient"
            )
        return
    check_provenance(member, made_by, file.patient, path, UNSEEN)


def _keep(run: Run, member: str, before: BroughtMaps, after: BroughtMaps) -> None:
    """Writes the record and its hash where something is new."""
    path = record_path(run, member)
    if after != before or not path.is_file():
        replaced = [c for c in before.maps if before.maps[c] != after.maps[c]]
        if replaced and run.is_done("stack"):
            log.info("%s: other maps of %d cases; stacked again", member, len(replaced))
            run.forget_stacking()
        write_json(path, after.model_dump())
        log.info("%s: takes the maps of %d cases, nothing is trained", member, len(after.maps))
    name = path.relative_to(run.folder).as_posix()
    if run.manifest.models.get(name) != (digest := file_sha256(path)):
        run.update_manifest(models={name: digest})


def _listed(names: Sequence[str]) -> str:
    more = f", ... {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
