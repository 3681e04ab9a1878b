"""Strip a run to what prediction needs."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a finished and analysed run")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
    from cardiac_seg.report.export import export_run

    export_run(args.run, args.folder)
    return 0
