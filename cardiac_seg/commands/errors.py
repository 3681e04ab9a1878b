"""Show where a run errs on its development patients."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a stacked run")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="pages of the worst cases")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.report.development import describe_errors

    print(describe_errors(args.run, args.pictures))
    return 0
