"""Compare runs on their development patients: for experiments."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="run", help="a stacked run")
    parser.add_argument("--method", help="of each run; default: each run's method in use")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.report.development import compare_development

    print(compare_development(args.runs, args.method))
    return 0
