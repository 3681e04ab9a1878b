"""Synthetic patients on disk, in the official ACDC and CAMUS layouts.

Every structure has a closed form (stacks of discs and crescents for MRI, truncated half-ellipsoids
for echo), so the true volumes are known without counting a pixel and are kept in `phantom.json`.
The images around them imitate what makes the real ones hard: blood pools that are not the heart,
organs as grey as the muscle, papillary muscles, bias fields, speckle and dropout.

Example:
    write_phantoms(Path("phantoms/mri"), patients=10, modality="mri", seed=0)
"""

import contextlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np

from cardiac_seg.data.phantoms.echo import echo_patient
from cardiac_seg.data.phantoms.mri import mri_patient
from cardiac_seg.data.phantoms.painting import PhantomPatient
from cardiac_seg.system.atomic import whole_directory
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar

PHANTOM_MARKER = "phantom.json"
_MODALITY_IDS = {"mri": 1, "echo": 2}


def is_phantom(root: Path) -> bool:
    """True where `root` was written by `write_phantoms`."""
    return (Path(root) / PHANTOM_MARKER).is_file()


def write_phantoms(root: Path, patients: int, modality: str, seed: int, cine: bool = False) -> None:
    """Write synthetic patients as NIfTI files, with their true volumes in `phantom.json`.

    Args:
        root: Folder to create; it must not exist, or be empty. It appears whole or not at all.
        patients: Number of patients, at least 1. Patient i does not depend on this number.
        modality: "mri" (ACDC layout) or "echo" (CAMUS layout).
        seed: Non-negative seed; the same seed gives the same files.
        cine: Also write the series that the ED and ES images are frames of, which changes no other
            image: `*_4d` (x, y, slice, phase) over one beat for MRI, its 4th zoom the seconds
            between phases, and `*_half_sequence` (x, depth, frame) from ED to ES for echo. Their
            true LV volumes are `cine_lv_ml`, in mL per frame; `heart_rate` (MRI) is in beats/min.

    Raises:
        UserError: An argument is out of range, or `root` holds something or cannot be written.
            Of two processes that write the same at once, the first's files are kept.
    """
    root = Path(root).resolve()
    if modality not in _MODALITY_IDS:
        raise UserError(f"modality is {modality!r}; choose one of {', '.join(_MODALITY_IDS)}")
    if patients < 1 or seed < 0:
        raise UserError(f"patients is {patients}, seed is {seed}; need patients >= 1, seed >= 0")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root} already holds something; name a new or an empty folder")

    draw = mri_patient if modality == "mri" else echo_patient
    truth = {}
    with whole_directory(root) as partial:
        for index in bar(range(1, patients + 1), f"{modality} phantoms", unit="patient"):
            patient = draw(index, _generator(seed, modality, index), cine)
            folder = partial / patient.folder
            _write_patient(folder, patient)
            truth[folder.name] = {k: _rounded(value) for k, value in patient.truth.items()}
        if modality == "echo":
            _write_split(partial, list(truth), _generator(seed, modality, 0))
        record = {
            "phantom": True,
            "modality": modality,
            "patients": patients,
            "seed": seed,
            "truth": truth,
        }
        marker = json.dumps(record, indent=2) + "\n"
        (partial / PHANTOM_MARKER).write_text(marker)
        if root.exists():
            _make_way(root, marker)


def _make_way(root: Path, marker: str) -> None:
    """Removes an empty folder; leaves one that another process filled meanwhile with the same."""
    with contextlib.suppress(OSError):
        root.rmdir()
        return
    path = root / PHANTOM_MARKER
    if not path.is_file() or path.read_text() != marker:
        raise UserError(f"{root}: other files appeared meanwhile; name another folder")


def _rounded(value):
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(float(value), 3)


def _generator(seed: int, modality: str, index: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, _MODALITY_IDS[modality], index]))


def _write_patient(folder: Path, patient: PhantomPatient) -> None:
    """Write NIfTI files, each with a diagonal affine of its spacing padded to 3D, and cfgs.

    A fourth axis is time, in seconds.
    """
    folder.mkdir(parents=True)
    for stem, array in patient.images.items():
        spacing = patient.spacings[stem]
        image = nib.Nifti1Image(array, np.diag([*spacing, 1.0, 1.0][:3] + [1.0]))
        image.header.set_xyzt_units("mm")
        if array.ndim == 4:
            image.header.set_zooms(spacing)
            image.header.set_xyzt_units("mm", "sec")
        nib.save(image, folder / f"{stem}.nii.gz")
    for file_name, values in patient.cfgs.items():
        lines = "".join(f"{key}: {value}\n" for key, value in values.items())
        (folder / file_name).write_text(lines)


def _write_split(root: Path, names: list[str], rng) -> None:
    """Write the three patient lists, about 70/15/15; a list may be empty below 3 patients."""
    held_out = max(1, round(0.15 * len(names))) if len(names) >= 3 else 0
    order = rng.permutation(names).tolist()
    parts = {
        "testing": order[:held_out],
        "validation": order[held_out : 2 * held_out],
        "training": order[2 * held_out :],
    }
    folder = root / "database_split"
    folder.mkdir()
    for part, members in parts.items():
        lines = "".join(f"{name}\n" for name in sorted(members))
        (folder / f"subgroup_{part}.txt").write_text(lines)
