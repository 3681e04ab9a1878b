"""Analyses of runs of stand-in networks."""

import contextlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import analyze_results
from cardiac_seg.metrics import statistics


def analyze(*runs, output=None):
    """The exit code of the command."""
    return analyze_results.main([*map(str, runs), *(["--output", str(output)] if output else [])])


def table(run, name):
    return pd.read_csv(Path(getattr(run, "folder", run)) / "analysis" / "tables" / f"{name}.csv")


def names_of_cases(run):
    return pd.read_csv(run.folder / "test_cases.csv").case.tolist()


def without_patients(folder, *patients):
    cases = pd.read_csv(folder / "test_cases.csv")
    cases[~cases.patient.isin(patients)].to_csv(folder / "test_cases.csv", index=False)
    return folder


def refused(capsys, *runs, output=None):
    """The one line that a refused analysis says."""
    assert analyze(*runs, output=output) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in printed.err and "report:" not in printed.out
    return line


def edited(path, change):
    nifti = nib.load(path)
    array = change(np.asarray(nifti.dataobj).copy())
    nib.Nifti1Image(array, nifti.affine).to_filename(path)


@contextlib.contextmanager
def few_resamples():
    """Bootstrap intervals of 200 resamples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 200)
        yield
