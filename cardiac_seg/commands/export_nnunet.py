"""Write a run's cases and folds as a dataset of nnU-Net v2.

The folder `Dataset<id>_<name>` holds imagesTr and labelsTr (training and validation patients),
imagesTs and labelsTs (test patients), dataset.json and splits_final.json, so that nnU-Net trains on
the folds of the run.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log, start_log

if TYPE_CHECKING:
    from cardiac_seg.data.case import CaseFile
    from cardiac_seg.run.folder import Run

RAW = "nnUNet_raw"  # nnU-Net's environment variable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a run whose prepare stage is done")
    parser.add_argument(
        "--id", type=int, required=True, metavar="N", help="nnU-Net's number of the dataset, 0-999"
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help=f"where to make it (default: ${RAW} where it is set, else the current directory)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.data.nnunet import dataset_name, exported_folds, write_nnunet
    from cardiac_seg.run.open import open_run
    from cardiac_seg.system.atomic import whole_directory

    prepared = open_run(args.run)
    name = dataset_name(args.id, prepared.dataset)
    target = (args.to or Path(os.environ.get(RAW) or ".")) / name
    _check_free(target, args.id)
    files = _cases(prepared)
    split = prepared.split()
    with whole_directory(target) as partial:
        write_nnunet(partial, prepared.dataset, files, split, prepared.config)
    folds = exported_folds(prepared.config)
    log.info("%s: %d cases; nnU-Net's fold k: %s", target, len(files), _numbered(folds))
    print(f"\nnext: nnUNetv2_plan_and_preprocess -d {args.id} --verify_dataset_integrity")
    return 0


def _check_free(target: Path, number: int) -> None:
    """Refuses a dataset that is there, and a second one of the same number beside it."""
    if target.exists():
        raise UserError(f"{target}: exists already; remove it, or give another --id or --to")
    taken = sorted(target.parent.glob(f"Dataset{number:03d}_*"))
    if taken:
        raise UserError(
            f"{taken[0]}: has the number {number} already, and nnU-Net takes one dataset of a "
            "number; give another --id or --to"
        )


def _cases(run: "Run") -> "list[CaseFile]":
    """The run's labelled cases, if they are what it was prepared with."""
    from cardiac_seg.grid.cache import fingerprint
    from cardiac_seg.pipeline.prepare import check_unchanged

    run.check_whole()
    if not run.is_done("prepare"):
        raise UserError(
            f"{run.folder}: not prepared yet, so its patients are in no folds; run "
            f"train_ensemble.py --resume {run.folder} --stage prepare first"
        )
    data = run.config.data
    files = run.dataset.find(run.root, data.views, data.phases)
    check_unchanged(run, fingerprint(files))
    if lost := sorted({file.patient for file in files} - set(run.split().patient)):
        raise UserError(
            f"{run.folder / 'split.csv'}: lacks {lost[0]} ({len(lost)} such patients); restore it, "
            "or train in another --run-dir"
        )
    return files


def _numbered(folds: list[str]) -> str:
    return ", ".join(f"{k} is {fold}" for k, fold in enumerate(folds))
