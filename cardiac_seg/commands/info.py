"""Show what a run was trained on and how it scores."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a run directory")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.run.describe import describe_run

    print(describe_run(args.run))
    return 0
