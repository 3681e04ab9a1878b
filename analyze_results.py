#!/usr/bin/env python3
"""Draw the figures of a finished run from what it saved.

python analyze_results.py outputs/acdc
"""

import sys
from pathlib import Path

from cardiac_seg.commands import guarded, parser


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    p = parser(__doc__)
    p.add_argument("run", type=Path, help="a finished run directory")
    p.add_argument("--output", type=Path, help="folder for the figures (default: RUN/analysis)")
    args = p.parse_args(argv)

    from cardiac_seg.analysis import analyze

    print(analyze(args.run, args.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
