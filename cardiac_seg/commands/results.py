"""Print analysed runs as Markdown tables, published results beside them."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="run", help="an analysed run")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.report.results import results_table

    print(results_table(args.runs))
    return 0
