#!/usr/bin/env python3
"""Train the networks, combine them and score the result, in one command.

  python train_ensemble.py --config configs/acdc.yaml --set data.root=/data/ACDC
  python train_ensemble.py --resume outputs/acdc

The stages, in the order of cardiac_seg/pipeline/stages.py:

  find_cases               files on disk -> cases                      pipeline/prepare.py
  prepare                  cases -> split, slices on the network grid  pipeline/prepare.py
  train_members            slices -> one trained network per fold      pipeline/train.py
  write_development_maps   networks -> softmax maps of unseen cases    pipeline/maps.py
  fit_meta_learner         maps -> learners, and the method in use     pipeline/stack.py
  evaluate                 test cases -> maps, masks, scores           pipeline/evaluate.py

A killed command continues where it stopped when it is given again. `analyze_results.py` draws the
report. `cardiac-seg train` is the same command.
"""

import sys

from cardiac_seg.commands import train
from cardiac_seg.commands.guard import script

main = script(train, __doc__)

if __name__ == "__main__":
    sys.exit(main())
