"""Measure what the parts of the stacking are worth, on development patients."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a stacked run")
    parser.add_argument("--learner", help="the one to vary; default: the best of the run")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--groups",
        nargs="*",
        metavar="GROUP",
        help="only leave out one of these groups of features at a time; default: each of the run's",
    )
    kind.add_argument(
        "--curve", action="store_true", help="instead, fit the learner on fewer and fewer patients"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.report.ablation import ablate, learning_curve

    if args.curve:
        print(learning_curve(args.run, args.learner))
    else:
        print(ablate(args.run, args.learner, args.groups))
    return 0
