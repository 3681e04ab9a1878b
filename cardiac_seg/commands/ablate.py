"""Measure what the parts of the stacking are worth, on development patients."""

import argparse
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a stacked run")
    parser.add_argument("--learner", help="the one to vary; default: the best of the run")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    from cardiac_seg.report.ablation import ablate

    print(ablate(args.run, args.learner))
    return 0
