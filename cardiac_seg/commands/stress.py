"""Measure what a run withstands: development images, perturbed more and more.

Of each perturbation (shifted, turned, cropped, darkened, ...) a table and a figure show the Dice
and the predicted Dice by strength: what the run withstands, and whether it says so where it does
not. Patients are those that the networks were not trained on, never test patients. DIR receives
stress.csv, stress_summary.csv and the figure; by default it is the run's own folder stress, and the
report of the run shows them.
"""

import argparse
from pathlib import Path

from cardiac_seg.commands.predict import choose_backend, positive
from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a stacked or exported run")
    parser.add_argument(
        "--patients", type=positive(int), metavar="N", help="the first N patients; default: all"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DATA", help="the data's folder; default: that of the run"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the results; default: RUN/stress"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    start_log()
    choose_backend()
    import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
    from cardiac_seg.predict.stress import stress
    from cardiac_seg.report.stress import show_stress

    print(show_stress(args.run, stress(args.run, args.patients, args.root, args.output)))
    return 0
