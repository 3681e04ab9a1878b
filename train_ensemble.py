#!/usr/bin/env python3
"""Train the two U-Nets, combine them and score the result, in one command.

  python train_ensemble.py --config configs/acdc.yaml --set data.root=/data/ACDC
  python train_ensemble.py --resume outputs/acdc

A killed command continues where it stopped when it is given again.
"""

import sys

from cardiac_seg.commands import train
from cardiac_seg.commands.guard import script

main = script(train, __doc__)

if __name__ == "__main__":
    sys.exit(main())
