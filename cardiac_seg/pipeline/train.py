"""Trains the members."""

from contextlib import nullcontext
from functools import partial

from cardiac_seg.data.split import fold_patients, stacking_folds, trained_folds
from cardiac_seg.grid.cache import CaseSet, class_pixels
from cardiac_seg.members.maps import FOLD_MEAN, folds_in
from cardiac_seg.pipeline.external import take_maps
from cardiac_seg.pipeline.localise import train_locator, validation_cache
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import trained_members
from cardiac_seg.run.provenance import check_networks, trained_on
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held


def train_members(
    run: Run, data: Prepared, member: str | None = None, fold: int | None = None
) -> None:
    """Trains every member's folds, or the named ones; first takes up maps that members bring.

    Args:
        run: The run.
        data: Its cases.
        member: Only this one.
        fold: Only this one.

    Raises:
        UserError: If the run has no such member or fold, a structure is in no training case, the
            split holds out a patient that a network was trained on, or maps that a member brings
            are not there.
    """
    check_networks(run)
    take_maps(run, data)
    members, folds = trained_members(run, partial(trained_on, run)), trained_folds(run.config)
    if fold is not None and f"fold{fold}" not in folds:
        raise UserError(f"--fold {fold}: the run has {', '.join(folds)}")
    if member is not None and member not in run.config.trained_members:
        names = ", ".join(run.config.trained_members) or "none"
        raise UserError(f"--member {member}: the run has {names} to train")
    wanted = [(m, name) for m in members for name in folds]
    chosen = [
        (m, name)
        for m, name in wanted
        if (member is None or m.name == member) and (fold is None or name == f"fold{fold}")
    ]
    whole = chosen == wanted and not run.is_done("train")
    with run.stage("train") if whole else nullcontext():
        for name in folds if fold is None else [f"fold{fold}"]:
            if run.config.preprocess.field == "heart" and not run.locator(name).is_file():
                _forget_maps(run, name)  # another locator may look elsewhere
            train_locator(run, data.files, name)
        for trained, name in chosen:
            training, validation = training_cases(run, data, trained.name, name)
            folder = run.models(trained.name, name)
            folder.mkdir(parents=True, exist_ok=True)
            with held(folder, "another process trains this network; wait for it"):
                if not trained.is_trained(name):
                    _forget_maps(run, name)
                record = trained.train(name, training, validation)
            hashes = {
                path.relative_to(run.folder).as_posix(): file_sha256(path)
                for path in trained.files(name)
            }
            run.update_manifest(models=hashes, trainings={f"{trained.name}/{name}": record})


def training_cases(run: Run, data: Prepared, member: str, fold: str) -> tuple[CaseSet, CaseSet]:
    """The cases that a fold's network is trained and validated on.

    Raises:
        UserError: If a structure is in none of those to train on.
    """
    cache = data.member_caches[member]
    training, validation = fold_patients(run.split(), fold, run.config.stacking.scheme)
    cases = cache.of_patients(training)
    for structure, count in zip(run.dataset.structures, class_pixels(cases)[1:], strict=True):
        if not count:
            raise UserError(
                f"{run.root}: no {structure} in any of the {len(cases)} training cases of {fold}; "
                "check the labels or the split"
            )
    as_in_use = validation_cache(run, data.files, fold, cache, member)
    return CaseSet(cache, cases), CaseSet(as_in_use, as_in_use.of_patients(validation))


def _forget_maps(run: Run, fold: str) -> None:
    """Drops the maps that an earlier network of a fold left, and all that came from them."""
    made = {fold, None} if fold == "full" else {fold, FOLD_MEAN, None}
    stale = [path for path in (run.folder / "maps").glob("*.npz") if folds_in(path) & made]
    if stale or (run.is_done("stack") and fold in stacking_folds(run.config)):
        run.forget_stacking()
    for path in stale:
        path.unlink()
    run.fields.unlink(missing_ok=True)  # where a field was moved, it was for the sake of the maps
