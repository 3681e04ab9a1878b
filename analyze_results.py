#!/usr/bin/env python3
"""Draw the figures, tables and report of a finished run, or compare several runs.

  python analyze_results.py outputs/acdc
  python analyze_results.py outputs/seed1 outputs/seed2 outputs/seed3 --output outputs/seeds

`cardiac_seg/commands/analyze.py` does it; `cardiac-seg analyze` is the same.
"""

import sys

from cardiac_seg.commands import analyze
from cardiac_seg.commands.guard import script

main = script(analyze, __doc__)

if __name__ == "__main__":
    sys.exit(main())
