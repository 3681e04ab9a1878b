"""A phantom heart and an echo, and the heart as a DICOM stack."""

import numpy as np
import pytest

from cardiac_seg.data.phantoms.echo import echo_patient
from cardiac_seg.data.phantoms.mri import mri_patient
from tests.support.dicom_files import (
    write_stack,
)
from tests.support.dicom_stacks import read_folder


@pytest.fixture(scope="module")
def heart():
    """Three phases of five slices: (3, 5, 44, 36) int16, and the first one's labels."""
    images = mri_patient(1, np.random.default_rng(1)).images
    ed, es = (name for name in images if not name.endswith("_gt"))
    mid = (images[ed] // 2 + images[es] // 2).astype(np.int16)
    cut = np.s_[60:96, 50:94, 1:6]
    stored = np.stack([image[cut].T for image in (images[ed], mid, images[es])])
    label = np.ascontiguousarray(images[f"{ed}_gt"][cut].T)
    assert set(np.unique(label)) == {0, 1, 2, 3}
    return stored, label


@pytest.fixture(scope="module")
def stack(heart, tmp_path_factory):
    return read_folder(write_stack(tmp_path_factory.mktemp("dicom") / "stack", heart[0]))


@pytest.fixture(scope="module")
def echo():
    """Four frames of (rows, columns) uint8, from ED to ES and back, and the first one's labels."""
    images = echo_patient(1, np.random.default_rng(1)).images
    ed, es = (images[f"patient0001_2CH_{phase}"].T for phase in ("ED", "ES"))
    return np.stack([ed, ed // 2 + es // 2, es, ed]), images["patient0001_2CH_ED_gt"].T
