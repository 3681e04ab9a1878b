"""The run that another one's trainings start from: what is kept of it, when it is refused."""

from pathlib import Path

import pandas as pd

from cardiac_seg.data.split import deployed_folds, held_out, trained_folds
from cardiac_seg.run.folder import Run
from cardiac_seg.run.open import open_run
from cardiac_seg.run.provenance import data_name, patients_by_data
from cardiac_seg.run.stored import StartRecord
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError

KEY = "train.start_from"


def record_starts(run: Run) -> None:
    """Writes to the manifest what each member starts from, before anything is trained.

    Raises:
        UserError: If a start cannot be used, or was trained on a patient that this run holds out.
    """
    records = {}
    for member in run.config.trained_members:
        path = run.config.for_member(member).train.start_from
        if path is not None:
            records[member] = record_of(path, member)
            _check_unseen(run, member, records[member], run.split())
    before = run.manifest.start
    if before or records:
        plain = {member: record.model_dump() for member, record in records.items()}
        run.update_manifest(start=dict.fromkeys(before) | plain)


def record_of(path: str, member: str) -> StartRecord:
    """What a run needs to know of a network that it starts from.

    Args:
        path: A finished run or exported weights, as the configuration names it.
        member: Whose network.

    Raises:
        UserError: If it has no such network.
    """
    start = start_run(path)
    if member not in start.config.trained_members:
        raise UserError(
            f"{KEY}: {path} has no {member}, it has {', '.join(start.config.trained_members)}; set "
            f"networks.{member}.train.start_from=null for random weights"
        )
    if deployed_folds(start.config) != ["full"]:
        raise UserError(
            f"{KEY}: {path} uses the mean of its folds' networks (stacking.deploy: fold_mean), "
            "there is no single network to start from; give a run with deploy: refit"
        )
    if not (start.manifest.exported or start.is_done("train")):
        raise UserError(f"{KEY}: {path} is not trained to its end; finish it first, with --resume")
    network = start_network(start, member)
    if not network.is_file():
        raise UserError(f"{KEY}: {network} is missing; restore it, or give another run")
    patients = patients_by_data(start, member)
    return StartRecord(
        path=path,
        labels=list(start.dataset.structures),
        sha256=file_sha256(network),
        trained_on={name: sorted(seen) for name, seen in patients.items()},
    )


def start_run(path: str) -> Run:
    """Opens the run to start from.

    Raises:
        UserError: If there is none.
    """
    try:
        return open_run(Path(path).expanduser())
    except UserError as error:
        raise UserError(f"{KEY}: {error}") from None


def start_network(start: Run, member: str) -> Path:
    """The file of the network to start from."""
    checkpoint = start.config.for_member(member).predict.checkpoint
    return start.models(member, "full") / f"{checkpoint}.keras"


def check_starts(run: Run, split: pd.DataFrame) -> None:
    """Refuses recorded starts that know patients whom another split of the run holds out.

    Raises:
        UserError: If one does.
    """
    for member, record in run.manifest.start.items():
        _check_unseen(run, member, record, split)


def _check_unseen(run: Run, member: str, record: StartRecord, split: pd.DataFrame) -> None:
    """Refuses a start that knows patients by whom this run judges or stacks."""
    scheme = run.config.stacking.scheme
    unseen = set(split.patient[split.subset == "test"])
    for fold in trained_folds(run.config):
        if run.config.for_member(member).of_fold(fold).train.start_from is not None:
            unseen |= held_out(split, fold, scheme)
    if seen := sorted(unseen.intersection(record.trained_on.get(data_name(run), ()))):
        raise UserError(
            f"{KEY}: {record.path} was trained on {len(seen)} of the patients that this run holds "
            f"out for validation or test, the first is {seen[0]}; use its split with "
            "stacking.scheme: holdout (or stacking.fold_train.start_from: null), or another start"
        )
