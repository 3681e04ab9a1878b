"""Whom the networks of a run are trained on, and maps that say it of themselves."""

from cardiac_seg.data.split import fold_patients, stacking_folds, trained_folds
from cardiac_seg.members.maps import FOLD_MEAN, CaseMaps, TrainedOn, read_maps
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

    Those that the network it started from was trained on are among them.
    """
    split, config, start = run.split(), run.config, start_of(run, member)
    before = frozenset(start.trained_on.get(data_name(run), ())) if start else frozenset[str]()

    def of_training(fold: str) -> frozenset[str]:
        own = fold_patients(split, fold, config.stacking.scheme)[0]
        started = config.for_member(member).of_fold(fold).train.start_from is not None
        return before.union(own) if started else frozenset(own)

    def patients(fold: str) -> frozenset[str]:
        folds = stacking_folds(config) if fold == FOLD_MEAN else [fold]
        return frozenset().union(*(of_training(one) for one in folds))

    return patients


def read_case_maps(run: Run, name: str) -> CaseMaps:
    """A case's maps by all members, with whom each was trained on.

    Raises:
        UserError: If the file is missing, damaged or lacks a member, or says of a member's training
            what the run's split does not.
    """
    path = run.map(name)
    patients = {member: trained_on(run, member) for member in run.config.members}
    # A run that has files of format 1 started from nothing: all members have the same patients.
    maps = read_maps(path, run.config.members, patients[run.config.members[0]])
    folds = (*trained_folds(run.config), FOLD_MEAN)
    for member, one in maps.maps.items():
        fold, said = one.provenance.fold, one.provenance.trained_on
        if fold not in folds or said != patients[member](fold):
            raise UserError(
                f"{path}: says of {member}, {fold}, what the run's split.csv does not say of its "
                "training; restore split.csv, or delete the map and resume the run"
            )
    return maps
