"""Gives every bad input to the command that reads it.

    make fuzz         the table of docs/reliability.md

Each must end in one line of error, within seconds; a kind of file is chosen by its name.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.support.bad_input.case import BadInput, finished_run, run_here
from tests.support.bad_input.configs import bad_yaml
from tests.support.bad_input.dicom import bad_dicom
from tests.support.bad_input.nifti import bad_nifti
from tests.support.bad_input.runs import bad_runs


def all_bad() -> list[BadInput]:
    """Every bad input; names are unique."""
    return [*bad_nifti(), *bad_dicom(), *bad_yaml(), *bad_runs()]


def main() -> None:
    """Runs all, or those of the kinds named, and prints the table."""
    rows: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        run = finished_run(Path(scratch) / "made").folder
        chosen = [bad for bad in all_bad() if not sys.argv[1:] or bad.kind in sys.argv[1:]]
        for number, bad in enumerate(chosen):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            copy = shutil.copytree(run, folder / "run") if bad.damages else run
            found = run_here(bad.write(folder, copy))
            if fault := found.fault(bad):
                print(f"{bad.kind}: {bad.name}: {fault}\n{found.text}", file=sys.stderr)
            row = rows.setdefault(bad.kind, [0, 0, 0, 0])
            row[0] += 1
            row[1 if found.code else 2] += 1
            row[3] += bool(fault)
            shutil.rmtree(folder)
    print("| kind | count | refused, one line | read, harmless | wrong |\n|---|---|---|---|---|")
    for kind, counts in [*rows.items(), ("all", np.sum(list(rows.values()), axis=0).tolist())]:
        print(f"| {kind} | " + " | ".join(map(str, counts)) + " |")


if __name__ == "__main__":
    main()
