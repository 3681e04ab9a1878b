"""Whom the networks of a run are trained on, and maps that say it of themselves."""

from pathlib import Path

from cardiac_seg.data.split import fold_patients, held_out, stacking_folds, trained_folds
from cardiac_seg.members.maps import FOLD_MEAN, CaseMaps, TrainedOn, read_maps
from cardiac_seg.members.seen import merged, read_seen
from cardiac_seg.run.external import found_map
from cardiac_seg.run.folder import Run
from cardiac_seg.run.stored import StartRecord
from cardiac_seg.system.errors import UserError


def data_name(run: Run) -> str:
    """Tells apart datasets whose patients may have the same names."""
    dataset = run.manifest.dataset
    name = dataset.name or run.config.data.dataset
    return f"{name} (phantom)" if dataset.phantom else name


def start_of(run: Run, member: str) -> StartRecord | None:
    """What is recorded of the network that a member's trainings start from; None for random ones.

    Raises:
        UserError: If the configuration names another.
    """
    record = run.manifest.start.get(member)
    recorded, named = record and record.path, run.config.for_member(member).train.start_from
    if recorded != named:
        raise UserError(
            f"{run.folder}: {member} starts from {named} by config.yaml, from {recorded} by "
            "manifest.json; restore them, or train in another --run-dir"
        )
    return record


def trained_on(run: Run, member: str) -> TrainedOn:
    """From a fold of a run to the patients that a member's network is trained on.

    Of a member that brings its maps, no fold says it: it differs from case to case.

    The network's file says it; those of earlier versions do not, and the split is taken at its
    word. Those that the network it started from was trained on are among them.

    Raises:
        UserError: When a fold is asked for whose network was trained on a patient that the split
            holds out from it.
    """
    if member in run.config.external:
        return lambda fold: None
    config, start = run.config, start_of(run, member)
    before = frozenset(start.trained_on.get(data_name(run), ())) if start else frozenset[str]()

    def of_training(fold: str) -> frozenset[str]:
        own = _own_patients(run, _network(run, member, fold), fold)
        started = config.for_member(member).of_fold(fold).train.start_from is not None
        return before.union(own) if started else own

    def patients(fold: str) -> frozenset[str]:
        folds = stacking_folds(config) if fold == FOLD_MEAN else [fold]
        return frozenset().union(*(of_training(one) for one in folds))

    return patients


def check_networks(run: Run) -> None:
    """Refuses a split that was edited since a network or locator was trained, where it leaks.

    Raises:
        UserError: If one was trained on a patient that the split holds out from it.
    """
    for fold in trained_folds(run.config):
        networks = (_network(run, member, fold) for member in run.config.trained_members)
        for path in (*networks, run.locator(fold)):
            _own_patients(run, path, fold)


def patients_by_data(run: Run, member: str) -> dict[str, frozenset[str]]:
    """All that a member's network in use knows: patients by the name of their dataset."""
    start, path = run.manifest.start.get(member), _network(run, member, "full")
    named = read_seen(path) if path.is_file() else None
    own = {data_name(run): trained_on(run, member)("full") or ()}
    return merged(start.trained_on if start else {}, named or {}, own)


def _network(run: Run, member: str, fold: str) -> Path:
    checkpoint = run.config.for_member(member).predict.checkpoint
    return run.models(member, fold) / f"{checkpoint}.keras"


def _own_patients(run: Run, path: Path, fold: str) -> frozenset[str]:
    """The run's patients that a network's file names, none of them held out from the training."""
    split, scheme = run.split(), run.config.stacking.scheme
    named = read_seen(path) if path.is_file() else None
    if named is None:
        return frozenset(fold_patients(split, fold, scheme)[0])
    known = named.get(data_name(run), frozenset())
    if leaked := sorted(held_out(split, fold, scheme) & known):
        raise UserError(
            f"{path}: was trained on {leaked[0]}, whom {run.folder / 'split.csv'} holds out from "
            f"it ({len(leaked)} such patients); restore the split.csv that the network was trained "
            "with, or train in another --run-dir"
        )
    return known


def _of_case(run: Run, member: str, case: str) -> TrainedOn:
    if member not in run.config.external:
        return trained_on(run, member)
    found = found_map(run, member, case)
    return lambda fold: found.trained_on


def read_case_maps(run: Run, name: str) -> CaseMaps:
    """A case's maps by all members, with whom each was trained on.

    Raises:
        UserError: If the file is missing, damaged or lacks a member, or says of a member's training
            what its network and the run's split do not.
    """
    path = run.map(name)
    patients = {member: _of_case(run, member, name) for member in run.config.members}
    # A run that has files of format 1 started from nothing: all members have the same patients.
    maps = read_maps(path, run.config.members, patients[run.config.members[0]])
    folds = (*trained_folds(run.config), FOLD_MEAN)
    for member, one in maps.maps.items():
        fold, said = one.provenance.fold, one.provenance.trained_on
        if fold not in folds or said != patients[member](fold):
            raise UserError(
                f"{path}: says of {member}, {fold}, what the run's split.csv and networks do not "
                "say of its training; restore split.csv, or delete the map and resume the run"
            )
    return maps
