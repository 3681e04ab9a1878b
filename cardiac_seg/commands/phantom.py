"""Generate a dataset of phantoms."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--patients", type=int, default=24, help="how many (24)")
    parser.add_argument(
        "--modality", choices=("mri", "echo"), default="mri", help="mri (default) or echo"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other patients (0)")
    parser.add_argument("--cine", action="store_true", help="also the frames between ED and ES")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.data.phantoms.dataset import write_phantoms

    write_phantoms(args.folder, args.patients, args.modality, args.seed, args.cine)
    return 0
