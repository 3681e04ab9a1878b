"""Whom the networks of a run are trained on, and maps that say it of themselves."""

from cardiac_seg.data.split import fold_patients, stacking_folds, trained_folds
from cardiac_seg.members.maps import FOLD_MEAN, CaseMaps, TrainedOn, read_maps
from cardiac_seg.run.folder import Run
from cardiac_seg.system.errors import UserError


def trained_on(run: Run) -> TrainedOn:
    """From a fold of a run to the patients that its networks are trained on."""
    split, config = run.split(), run.config

    def patients(fold: str) -> frozenset[str]:
        folds = stacking_folds(config) if fold == FOLD_MEAN else [fold]
        scheme = config.stacking.scheme
        return frozenset().union(*(fold_patients(split, one, scheme)[0] for one in folds))

    return patients


def read_case_maps(run: Run, name: str) -> CaseMaps:
    """A case's maps by all members, with whom each was trained on.

    Raises:
        UserError: If the file is missing, damaged or lacks a member, or says of a member's training
            what the run's split does not.
    """
    path, patients = run.map(name), trained_on(run)
    maps = read_maps(path, run.config.members, patients)
    folds = (*trained_folds(run.config), FOLD_MEAN)
    for member, one in maps.maps.items():
        fold, said = one.provenance.fold, one.provenance.trained_on
        if fold not in folds or said != patients(fold):
            raise UserError(
                f"{path}: says of {member}, {fold}, what the run's split.csv does not say of its "
                "training; restore split.csv, or delete the map and resume the run"
            )
    return maps
