"""Scans for `predict` whose masks are known, and a call of it."""

import nibabel as nib
import numpy as np
import pandas as pd

from cardiac_seg.__main__ import main
from tests.support.stub_run import SPACING, ring

PLACE = (8, SPACING, SPACING)


VOXEL = SPACING * SPACING * 8 / 1000  # mL


RADII = (14, 12, 9, 7, 8, 11, 13)  # of the LV over a cine: ED first, ES fourth


ANCHOR = (slice(None), slice(0, 2), slice(0, 1))  # two pixels of LV, so that grey values reach 3


def stack(radius: float, slices: int = 4) -> np.ndarray:
    """(slices, 64, 64) uint8 labels that taper towards the last slice."""
    planes = np.stack([ring(radius * (1 - k / (2 * slices))) for k in range(slices)])
    planes[ANCHOR] = 3
    return planes


def apical(radius: float) -> np.ndarray:
    """(64, 64) uint8 labels in CAMUS's order: an LV above an LA, MYO around."""
    plane = ring(radius)
    plane = np.choose(plane, [0, 0, 2, 1]).astype(np.uint8)
    plane[34:] = np.where(plane[34:] > 0, 3, 0)
    return plane


def save(path, planes, affine=None):
    """Writes (slices, height, width) or (phases, slices, height, width) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([SPACING, SPACING, 8, 1]) if affine is None else affine
    array = planes.T if planes.ndim < 4 else planes.transpose(3, 2, 1, 0)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array), affine), path)
    return path


def predict(run, source, output, *switches) -> int:
    return main(["predict", str(run), str(source), "--output", str(output), *switches])


def summary(output) -> pd.DataFrame:
    return pd.read_csv(output / "summary.csv").set_index("image")


def of(planes, label=3) -> float:
    return (planes == label).sum() * VOXEL


def broken(path):
    path.write_bytes(path.read_bytes()[:200])


def without_spacing(path):
    content = bytearray(path.read_bytes())
    content[80:92] = bytes(12)  # pixdim[1..3]
    path.write_bytes(content)


def stored(cine: np.ndarray) -> np.ndarray:
    """What `write_stack` is to write: 16-bit grey values of labels."""
    return 100 * cine.astype(np.uint16)
