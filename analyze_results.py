#!/usr/bin/env python3
"""Draw the figures, tables and report of a finished run, or compare several runs.

python analyze_results.py outputs/acdc
python analyze_results.py outputs/seed1 outputs/seed2 outputs/seed3 --output outputs/seeds
"""

import sys
from pathlib import Path

from cardiac_seg.commands.guard import guarded, parser


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    p = parser(__doc__)
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a finished run directory")
    p.add_argument(
        "--output", type=Path, help="folder for the results (default for one run: RUN/analysis)"
    )
    args = p.parse_args(argv)
    if len(args.runs) > 1 and args.output is None:
        p.error("comparing runs needs --output DIR")

    from cardiac_seg.report.one_run import analyze_run
    from cardiac_seg.report.several_runs import compare_runs
    from cardiac_seg.system.log import start_log

    start_log()
    if len(args.runs) > 1:
        print(compare_runs(args.runs, args.output))
    else:
        print(analyze_run(args.runs[0], args.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
