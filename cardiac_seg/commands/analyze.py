"""Draw the figures, tables and report of a finished run, or compare several runs."""

import argparse
from pathlib import Path

from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a finished run directory"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for the results (default for one run: RUN/analysis)"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="report.KEY=VALUE",
        help="what the page shows (section `report` of the configuration); repeatable",
    )


def run(args: argparse.Namespace) -> int:
    """Writes tables, figures and the page; returns the exit code."""
    if len(args.runs) > 1 and args.output is None:
        raise UserError("comparing runs needs --output DIR")
    for override in args.overrides:
        if not override.strip().startswith("report."):
            raise UserError(f"--set {override}: only keys of `report` change an analysis")
    start_log()

    from cardiac_seg.report.one_run import analyze_run
    from cardiac_seg.report.several_runs import compare_runs

    if len(args.runs) > 1:
        print(compare_runs(args.runs, args.output, args.overrides))
    else:
        print(analyze_run(args.runs[0], args.output, args.overrides))
    return 0
